/* cli/jobs_package.c: the packages of a training job on their way to the server: a folder becomes a
 * source distribution, a file goes as it is, and both are put into the staging bucket. */
#include <string.h>

#include "cli/bucket.h"
#include "cli/jobs.h"

gf_status gf__each_item(const gf__cli_list *list,
                        gf_status (*each)(void *user, const char *item, gf_error *err), void *user,
                        gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < list->n && st == GF_OK; i++) {
        for (const char *at = list->items[i]; *at != '\0' && st == GF_OK;) {
            const size_t n_chars = strcspn(at, ",");
            char *item = gf__strndup(at, n_chars);
            if (item == NULL)
                return gf__error_nomem(err, "an option", n_chars);
            if (n_chars > 0)
                st = each(user, item, err);
            gf__free(item);
            at += n_chars + (at[n_chars] == ',');
        }
    }
    return st;
}

/* gs://BUCKET/... of the options, without a slash at its end; new. */
static gf_status staging_of(const gf__packages *s, char **out, gf_error *err)
{
    const char *place = s->staging_bucket != NULL ? s->staging_bucket : s->job_dir;
    *out = NULL;
    if (place == NULL)
        return gf_error_set(err, GF_EINVAL,
                            "packages have to be put somewhere: expected --staging-bucket "
                            "gs://BUCKET, or --job-dir");
    if (!gf__is_gs(place) || place[5] == '\0' || place[5] == '/')
        return gf_error_set(err, GF_EINVAL, "%.160s: expected gs://BUCKET", place);
    size_t n_chars = strlen(place);
    while (n_chars > 6 && place[n_chars - 1] == '/')
        n_chars--;
    *out = gf__asprintf("%.*s%s", (int)n_chars, place,
                        s->staging_bucket != NULL ? "" : "/packages");
    return *out != NULL ? GF_OK : gf__error_nomem(err, "an address", n_chars);
}

/* Under the hash of what it is: the same package lies there once, whoever sends it when. */
static gf_status stage(gf__cli *cli, gf__remote *remote, const char *staging, const char *name,
                       const void *bytes, size_t n_bytes, gf__json *uris, gf_error *err)
{
    char hash[GF__SHA256_HEX];
    gf__sha256_hex(bytes, n_bytes, hash);
    char *address = gf__asprintf("%s/%s/%s/%s", staging, cli->words[0], hash, name);
    gf_status st = address != NULL ? gf__bucket_put(remote, bytes, n_bytes, address, err)
                                   : gf__error_nomem(err, "an address", strlen(name));
    if (st == GF_OK) {
        gf__cli_note(cli, "%s -> %s", name, address);
        gf__json_append(uris, gf__json_new_string(address));
    }
    gf__free(address);
    return st;
}

static gf_status stage_file(gf__cli *cli, gf__remote *remote, const char *staging, const char *path,
                            gf__json *uris, gf_error *err)
{
    gf__mapping file = {0};
    gf_status st = gf__map_file(path, &file, err);
    if (st == GF_OK)
        st = stage(cli, remote, staging, gf__path_base(path), file.data, file.size, uris, err);
    gf__unmap(&file);
    return st;
}

static gf_status stage_folder(gf__cli *cli, gf__remote *remote, const char *staging,
                              const char *path, gf__json *uris, gf_error *err)
{
    gf__sdist sdist;
    gf_status st = gf__sdist_build(path, &sdist, err);
    if (st == GF_OK)
        st = stage(cli, remote, staging, sdist.name, sdist.bytes.data, sdist.bytes.size, uris, err);
    gf__sdist_free(&sdist);
    return st;
}

typedef struct staged {
    gf__cli *cli;
    gf__remote *remote;
    const gf__packages *settings;
    char *staging; /* made when the first is to be put there */
    gf__json *uris;
} staged;

static gf_status find_staging(staged *to, gf_error *err)
{
    return to->staging != NULL ? GF_OK : staging_of(to->settings, &to->staging, err);
}

static gf_status stage_item(void *user, const char *item, gf_error *err)
{
    staged *to = user;
    if (gf__is_gs(item)) {
        gf__json_append(to->uris, gf__json_new_string(item));
        return GF_OK;
    }
    const gf_status st = find_staging(to, err);
    return st == GF_OK ? stage_file(to->cli, to->remote, to->staging, item, to->uris, err) : st;
}

gf_status gf__packages_stage(gf__cli *cli, gf__remote *remote, const gf__packages *packages,
                             gf__json *input, gf_error *err)
{
    staged to = {.cli = cli, .remote = remote, .settings = packages};
    gf_status st = GF_OK;
    if (packages->package_path == NULL && packages->files->n == 0)
        return GF_OK;
    const gf__json *given = gf__json_find(input, "packageUris");
    to.uris = gf__json_is_array(given) ? gf__json_copy(given) : gf__json_array();
    if (packages->package_path != NULL) {
        st = find_staging(&to, err);
        if (st == GF_OK)
            st = stage_folder(cli, remote, to.staging, packages->package_path, to.uris, err);
    }
    if (st == GF_OK)
        st = gf__each_item(packages->files, stage_item, &to, err);
    gf__json_set(input, "packageUris", to.uris);
    gf__free(to.staging);
    return st;
}
