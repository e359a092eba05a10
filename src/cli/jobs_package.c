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

typedef struct staged {
    gf__cli *cli;
    gf__remote *remote;
    const gf__packages *settings;
    char *staging; /* made when the first is to be put there */
    gf__json *uris;
    gf__json *own; /* of uris: what was not there before */
} staged;

static gf_status put(const staged *to, const char *address, const void *bytes, size_t n_bytes,
                     gf_error *err)
{
    bool is_there = false;
    gf_status st = gf__bucket_has(to->remote, address, &is_there, err);
    if (st == GF_OK)
        st = gf__bucket_put(to->remote, bytes, n_bytes, address, err);
    if (st == GF_OK && !is_there)
        gf__json_append(to->own, gf__json_new_string(address));
    return st;
}

/* Before anything is sent: most names that cannot be are names of before. */
static gf_status check_job(const gf__cli *cli, gf__remote *remote, gf_error *err)
{
    char *path = gf__job_path(remote, cli->words[0], NULL);
    gf_status st = gf__remote_call(remote, "GET", path, NULL, NULL, err);
    gf__free(path);
    if (st == GF_OK)
        return gf_error_set(err, GF_EEXISTS,
                            "projects/%.128s/jobs/%.128s: exists already; each job needs a name of "
                            "its own",
                            remote->project, cli->words[0]);
    return st == GF_ENOTFOUND ? GF_OK : st;
}

/* Once, when the first is whole and to be sent. */
static gf_status find_staging(staged *to, gf_error *err)
{
    if (to->staging != NULL)
        return GF_OK;
    const gf_status st = staging_of(to->settings, &to->staging, err);
    return st == GF_OK ? check_job(to->cli, to->remote, err) : st;
}

/* Under the hash of what it is: the same package lies there once, whoever sends it when. */
static gf_status stage(staged *to, const char *name, const void *bytes, size_t n_bytes,
                       gf_error *err)
{
    char hash[GF__SHA256_HEX];
    gf_status st = find_staging(to, err);
    if (st != GF_OK)
        return st;
    gf__sha256_hex(bytes, n_bytes, hash);
    char *address = gf__asprintf("%s/%s/%s/%s", to->staging, to->cli->words[0], hash, name);
    st = address != NULL ? put(to, address, bytes, n_bytes, err)
                         : gf__error_nomem(err, "an address", strlen(name));
    if (st == GF_OK) {
        gf__cli_note(to->cli, "%s -> %s", name, address);
        gf__json_append(to->uris, gf__json_new_string(address));
    }
    gf__free(address);
    return st;
}

static bool has_ending(const char *path)
{
    static const char *const endings[] = {".whl", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip"};
    const size_t n_path = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const size_t n = strlen(endings[i]);
        if (n_path > n && strcmp(path + n_path - n, endings[i]) == 0)
            return true;
    }
    return false;
}

static gf_status stage_file(staged *to, const char *path, gf_error *err)
{
    gf__mapping file = {0};
    if (gf__is_dir(path))
        return gf_error_set(err, GF_EINVAL,
                            "--packages %.160s: is a folder; --package-path makes one a package",
                            path);
    gf_status st = gf__map_file(path, &file, err);
    if (st == GF_OK && !has_ending(path))
        st = gf_error_set(err, GF_EINVAL,
                          "--packages %.160s: not a Python package by its name; expected "
                          "NAME-VERSION.tar.gz (.tar.bz2, .tar.xz, .zip) or a .whl",
                          path);
    if (st == GF_OK)
        st = stage(to, gf__path_base(path), file.data, file.size, err);
    gf__unmap(&file);
    return st;
}

static gf_status stage_folder(staged *to, const char *path, gf_error *err)
{
    gf__sdist sdist;
    gf_status st = gf__sdist_build(path, &sdist, err);
    if (st == GF_OK)
        st = stage(to, sdist.name, sdist.bytes.data, sdist.bytes.size, err);
    gf__sdist_free(&sdist);
    return st;
}

static gf_status stage_item(void *user, const char *item, gf_error *err)
{
    staged *to = user;
    if (!gf__is_gs(item))
        return stage_file(to, item, err);
    gf__json_append(to->uris, gf__json_new_string(item));
    return GF_OK;
}

gf_status gf__packages_stage(gf__cli *cli, gf__remote *remote, const gf__packages *packages,
                             gf__json *input, gf__json **own, gf_error *err)
{
    staged to = {.cli = cli, .remote = remote, .settings = packages};
    *own = NULL;
    if (packages->package_path == NULL && packages->files->n == 0)
        return GF_OK;
    gf_status st = GF_OK;
    const gf__json *given = gf__json_find(input, "packageUris");
    to.uris = gf__json_is_array(given) ? gf__json_copy(given) : gf__json_array();
    to.own = gf__json_array();
    if (packages->package_path != NULL)
        st = stage_folder(&to, packages->package_path, err);
    if (st == GF_OK)
        st = gf__each_item(packages->files, stage_item, &to, err);
    gf__json_set(input, "packageUris", to.uris);
    gf__free(to.staging);
    *own = to.own;
    return st;
}

void gf__packages_unstage(gf__remote *remote, const gf__json *own)
{
    for (size_t i = 0; i < gf__json_n_items(own); i++)
        (void)gf__bucket_delete(remote, gf__json_string(gf__json_at(own, i), ""), NULL);
}
