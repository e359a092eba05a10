/* cli/labels.c: labels are read, changed and written back whole: the API has no call that adds
 * one. */
#include "cli/labels.h"

#include <string.h>

void gf__mask_add(gf__buffer *mask, const char *path)
{
    gf__buffer_printf(mask, "%s%s", mask->size > 0 ? "," : "", path);
}

/* Whether key is one of the names in "a,b". */
static bool is_named(const gf__cli_list *list, const char *key)
{
    for (size_t i = 0; i < list->n; i++) {
        for (const char *name = list->items[i]; *name != '\0';) {
            const size_t n_chars = strcspn(name, ",");
            if (strlen(key) == n_chars && strncmp(key, name, n_chars) == 0)
                return true;
            name += n_chars + (name[n_chars] == ',');
        }
    }
    return false;
}

gf_status gf__labels_change(gf__remote *remote, const char *path, const gf__label_settings *asked,
                            gf__json *patch, gf__buffer *mask, gf_error *err)
{
    gf__json *now = NULL;
    const gf__json *value = NULL;
    if (asked->update.n == 0 && asked->remove.n == 0 && !asked->clears)
        return GF_OK;
    gf_status st = gf__remote_call(remote, "GET", path, NULL, &now, err);
    if (st != GF_OK)
        return st;
    gf__json *labels = gf__json_object();
    const gf__json *before = asked->clears ? NULL : gf__json_find(now, "labels");
    for (const char *key = gf__json_next(before, NULL, &value); key != NULL;
         key = gf__json_next(before, key, &value))
        if (!is_named(&asked->remove, key))
            gf__json_set(labels, key, gf__json_copy(value));
    st = gf__labels_parse(&asked->update, labels, err);
    gf__json_set(patch, "labels", labels);
    gf__mask_add(mask, "labels");
    const char *etag = gf__json_string(gf__json_find(now, "etag"), NULL);
    if (etag != NULL) /* somebody else's change in between is not written over */
        gf__json_set_string(patch, "etag", etag);
    gf__json_free(now);
    return st;
}

gf_status gf__remote_patch(gf__cli *cli, gf__remote *remote, const char *path,
                           const gf__json *patch, const gf__buffer *mask, gf__json **operation,
                           gf_error *err)
{
    gf_status st = gf__buffer_status(mask, err);
    if (st != GF_OK)
        return st;
    if (mask->size == 0)
        return gf_error_set(err, GF_EINVAL, "nothing to change; see graft %s --help", cli->command);
    char *url = gf__asprintf("%s?updateMask=%s", path, mask->data);
    st = gf__remote_call(remote, "PATCH", url, patch, operation, err);
    gf__free(url);
    return st == GF_OK ? gf__remote_wait(cli, remote, operation, err) : st;
}
