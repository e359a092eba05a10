/* downloads.c: the pictures of a list of addresses, many at once, each into a file named after its
 * address. The folder stays when a run is stopped: the next one goes on with what is there. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/each_priv.h"
#include "data/make_priv.h"

#define LOCK_NAME         "lock"
#define MAX_PICTURE_BYTES ((uint64_t)256 << 20)

struct gf__downloads {
    char *dir;
    char *lock_path;
    gf__lock *lock;
};

/* One call of gf__downloads_get(). */
typedef struct download_run {
    const gf__downloads *downloads;
    const gf_dataset *set;
    gf__download_options options;
    gf__each each;
    char **failures;
} download_run;

char *gf__downloads_path(const gf__downloads *downloads, const char *url)
{
    char hex[GF__SHA256_HEX];

    gf__sha256_hex(url, strlen(url), hex);
    return gf__path_join(downloads->dir, hex);
}

static bool goes_on(void *user, const gf_progress *progress)
{
    download_run *run = user;
    return gf__each_goes_on(&run->each);
}

static const char *name_of(void *user, size_t i)
{
    const download_run *run = user;
    return gf_dataset_item_at(run->set, i);
}

/* Reasons often start with the address, which the list of failures names already. */
static const char *without_url(const char *message, const char *url)
{
    const size_t n = strlen(url);

    if (strncmp(message, url, n) == 0 && strncmp(message + n, ": ", 2) == 0)
        return message + n + 2;
    return message;
}

static gf_status get_one(void *user, size_t i, int thread, gf_error *err)
{
    download_run *run = user;
    const char *url = gf_dataset_item_at(run->set, i);
    const gf_observer obs = {.progress = goes_on, .user = run};
    char *path = gf__downloads_path(run->downloads, url);
    gf_error why = {0};
    gf_status st = GF_OK;

    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(run->downloads->dir));
    if (!gf__is_file(path))
        st = gf__download(url, path, &run->options, &obs, &why);
    gf__free(path);
    switch (st) {
    case GF_OK:
        return GF_OK;
    case GF_ECANCELED: /* the picture is not at fault */
    case GF_ENOMEM:
    case GF_EIO:
        if (err != NULL)
            *err = why;
        return st;
    default:
        run->failures[i] = gf__strdup(without_url(why.message, url));
        return run->failures[i] != NULL ? GF_OK : gf__error_nomem(err, "a message", 0);
    }
}

gf_status gf__downloads_get(gf__downloads *downloads, const gf_dataset *set,
                            const gf__downloads_options *options, const gf_observer *obs,
                            char **failures, gf_error *err)
{
    download_run run = {.downloads = downloads, .set = set, .failures = failures};

    run.options = gf__download_options_default();
    run.options.n_retries = options->n_retries;
    run.options.limit_bytes = MAX_PICTURE_BYTES;
    run.each = (gf__each){.stage = "download",
                          .n_items = set->n_items,
                          .work = get_one,
                          .name = name_of,
                          .user = &run,
                          .obs = obs};
    return gf__each_run(&run.each, options->n_connections, err);
}

gf_status gf__downloads_open(const char *dir, gf__downloads **out, gf_error *err)
{
    gf_status st;
    gf__downloads *downloads = gf__calloc(1, sizeof *downloads);

    *out = NULL;
    if (downloads == NULL)
        return gf__error_nomem(err, "downloads", sizeof *downloads);
    downloads->dir = gf__strdup(dir);
    downloads->lock_path = gf__path_join(dir, LOCK_NAME);
    if (downloads->dir == NULL || downloads->lock_path == NULL)
        st = gf__error_nomem(err, "a path", strlen(dir));
    else
        st = gf__make_dirs(dir, err);
    if (st == GF_OK)
        st = gf__lock_acquire(downloads->lock_path, false, &downloads->lock, err);
    if (st != GF_OK) {
        gf__downloads_close(downloads, true);
        return st;
    }
    *out = downloads;
    return GF_OK;
}

/* "SHA256", "SHA256.part": the names that gf__downloads_path() and gf__download() give. The folder
 * may have been there before, with files of the user's. */
static bool is_own(const char *name)
{
    const size_t n = strspn(name, "0123456789abcdef");

    return n == GF__SHA256_HEX - 1 && (name[n] == '\0' || strcmp(name + n, ".part") == 0);
}

static void remove_files(const char *dir)
{
    gf__dir_list list;

    if (gf__list_dir(dir, &list, NULL) != GF_OK)
        return;
    for (size_t i = 0; i < list.n_names; i++) {
        char *path = is_own(list.names[i]) ? gf__path_join(dir, list.names[i]) : NULL;

        if (path != NULL)
            unlink(path);
        gf__free(path);
    }
    gf__dir_list_free(&list);
}

bool gf__downloads_close(gf__downloads *downloads, bool keep_files)
{
    bool stays = false;

    if (downloads == NULL)
        return false;
    if (downloads->lock != NULL) { /* else the folder is somebody else's */
        if (!keep_files)
            remove_files(downloads->dir);
        unlink(downloads->lock_path);
        stays = rmdir(downloads->dir) != 0; /* where it is not empty */
    }
    gf__lock_release(downloads->lock);
    gf__free(downloads->lock_path);
    gf__free(downloads->dir);
    gf__free(downloads);
    return stays;
}
