/* registry/mask.c: updateMask: which fields a patch is about, and what becomes of them. */
#include "registry/registry_priv.h"

#include <string.h>

static const char *const model_paths[] = {"description", "labels", "defaultVersion.name", "etag",
                                          NULL};
static const char *const version_paths[] = {"description",
                                            "labels",
                                            "requestLoggingConfig",
                                            "autoScaling",
                                            "autoScaling.minNodes",
                                            "autoScaling.maxNodes",
                                            "manualScaling",
                                            "manualScaling.nodes",
                                            "etag",
                                            NULL};
static const char *const job_paths[] = {"labels", "etag", NULL};

static const char *const *paths_of(gf__kind kind)
{
    if (kind == GF__KIND_MODEL)
        return model_paths;
    return kind == GF__KIND_JOB ? job_paths : version_paths;
}

static gf_status refuse_path(const char *path, const char *const *known, gf_error *err)
{
    gf__buffer list = {0};
    for (size_t i = 0; known[i] != NULL; i++)
        gf__buffer_printf(&list, "%s%s", i > 0 ? ", " : "", known[i]);
    gf_status st = gf__buffer_status(&list, err);
    if (st == GF_OK)
        st = gf_error_set(err, GF_EINVAL, "updateMask: \"%s\" cannot be changed, only %s can", path,
                          list.data);
    gf__buffer_free(&list);
    return st;
}

static gf_status add_path(gf__mask *mask, const char *path, const char *const *known, gf_error *err)
{
    size_t i = 0;
    while (known[i] != NULL && strcmp(known[i], path) != 0)
        i++;
    if (known[i] == NULL)
        return refuse_path(path, known, err);
    if (gf__mask_has(mask, path))
        return GF_OK;
    mask->paths[mask->n_paths++] = known[i]; /* fewer are known than there is room for */
    return GF_OK;
}

gf_status gf__mask_read(const char *text, gf__kind kind, gf__mask *out, gf_error *err)
{
    const char *const *known = paths_of(kind);
    *out = (gf__mask){0};
    char *copy = gf__strdup(text != NULL ? text : "");
    if (copy == NULL)
        return gf__error_nomem(err, "a mask", 0);
    gf_status st = GF_OK;
    char *rest = copy;
    while (rest != NULL && st == GF_OK) {
        char *path = rest + strspn(rest, " ");
        rest = strchr(path, ',');
        if (rest != NULL)
            *rest++ = '\0';
        path[strcspn(path, " ")] = '\0';
        gf__to_camel_case(path);
        if (path[0] != '\0')
            st = add_path(out, path, known, err);
    }
    gf__free(copy);
    if (st == GF_OK && out->n_paths == 0)
        return gf_error_set(err, GF_EINVAL, "updateMask: missing; it names the fields to change");
    return st;
}

bool gf__mask_has(const gf__mask *mask, const char *path)
{
    for (size_t i = 0; i < mask->n_paths; i++) {
        if (strcmp(mask->paths[i], path) == 0)
            return true;
    }
    return false;
}

/* A copy of object with the member that path leads to as it is in body, or without it. NULL
 * gives an object too; failures are inside. */
static gf__json *with_member(const gf__json *object, const char *path, const gf__json *body)
{
    char key[64];
    const size_t n_chars = strcspn(path, ".");
    gf__json *copy = gf__json_object();
    memcpy(key, path, n_chars);
    key[n_chars] = '\0';

    const gf__json *given = gf__json_find(body, key);
    const gf__json *value = NULL;
    for (const char *k = gf__json_next(object, NULL, &value); k != NULL;
         k = gf__json_next(object, k, &value)) {
        if (strcmp(k, key) != 0)
            gf__json_set(copy, k, gf__json_copy(value));
    }
    if (path[n_chars] == '.')
        gf__json_set(copy, key, with_member(gf__json_find(object, key), path + n_chars + 1, given));
    else if (given != NULL)
        gf__json_set(copy, key, gf__json_copy(given));
    return copy;
}

gf_status gf__mask_apply(const gf__mask *mask, const gf__json *fields, const gf__json *body,
                         gf__json **out, gf_error *err)
{
    gf__json *changed = gf__json_copy(fields);
    gf_status st = gf__json_status(changed, err);
    for (size_t i = 0; i < mask->n_paths && st == GF_OK; i++) {
        if (strcmp(mask->paths[i], "etag") == 0 ||
            strncmp(mask->paths[i], "defaultVersion", 14) == 0)
            continue; /* not among the stored fields */
        gf__json *next = with_member(changed, mask->paths[i], body);
        gf__json_free(changed);
        changed = next;
        st = gf__json_status(changed, err);
    }
    if (st != GF_OK) {
        gf__json_free(changed);
        changed = NULL;
    }
    *out = changed;
    return st;
}
