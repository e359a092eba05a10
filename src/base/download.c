/* base/download.c: a download as a series of requests that append to PATH.part.
 *
 * PATH.part is locked while it grows, so that two processes fetching one file do not write over
 * each other; the second is told so at once. */
#include "base/download.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/download_priv.h"
#include "base/error.h"
#include "base/fs_priv.h"
#include "base/mem.h"

#define WAIT_STEP_MS 100

typedef struct download {
    const char *url;
    const gf__download_options *options;
    const gf_observer *obs;
    gf__partial part;
} download;

gf__download_options gf__download_options_default(void)
{
    return (gf__download_options){
        .n_retries = 3,
        .retry_wait_ms = 1000,
        .connect_timeout_ms = 15000,
        .stall_timeout_ms = 30000,
    };
}

static gf_status check_scheme(const char *url, gf_error *err)
{
    static const char *const schemes[] = {"http://", "https://", "file://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
            return GF_OK;
    }
    return gf_error_set(err, GF_EINVAL,
                        "%s: expected an address that begins with http://, https:// or file://",
                        url);
}

static gf_status report_progress(const download *d, gf_error *err)
{
    return gf__observe_progress(d->obs, "download", d->part.n_have, d->part.n_total, d->url, err);
}

/* Sleeps in short steps, since whoever watches may want to stop. */
static gf_status wait_for_retry(const download *d, int64_t wait_ms, gf_error *err)
{
    gf_status st = GF_OK;
    while (st == GF_OK && wait_ms > 0) {
        const long step_ms = wait_ms < WAIT_STEP_MS ? (long)wait_ms : WAIT_STEP_MS;
        nanosleep(&(const struct timespec){.tv_nsec = step_ms * 1000000}, NULL);
        wait_ms -= step_ms;
        st = report_progress(d, err);
    }
    return st;
}

static gf_status give_up(gf_error *err, gf_status st, const gf_error *failure, int n_tries)
{
    if (n_tries == 1)
        return gf_error_set(err, st, "%s", failure->message);
    return gf_error_set(err, st, "%s (tried %d times)", failure->message, n_tries);
}

static gf_status request_until_done(download *d, gf_error *err)
{
    int64_t backoff_ms = d->options->retry_wait_ms;
    for (int n_tries = 1;; n_tries++, backoff_ms *= 2) {
        gf_error failure;
        gf__request_verdict verdict;
        gf_status st = gf__request_rest(d->url, d->options, d->obs, &d->part, &verdict, &failure);
        if (st == GF_OK)
            return report_progress(d, err);
        if (!verdict.is_passing || n_tries > d->options->n_retries)
            return give_up(err, st, &failure, n_tries);

        const int64_t wait_ms = verdict.wait_ms > backoff_ms ? verdict.wait_ms : backoff_ms;
        gf__observe_log(d->obs, GF_LOG_INFO, "%s; trying again in %.1f s", failure.message,
                        (double)wait_ms / 1000);
        st = wait_for_retry(d, wait_ms, err);
        if (st != GF_OK)
            return st;
    }
}

/* Opens and locks PATH.part. One that was renamed away between the two is another's finished
 * file. */
static gf_status open_and_lock(gf__partial *part, uint64_t *size_bytes, gf_error *err)
{
    struct stat opened, named;
    for (;;) {
        part->fd = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (part->fd < 0)
            return gf__error_errno(err, errno, "%s: cannot create", part->path);
        if (flock(part->fd, LOCK_EX | LOCK_NB) != 0)
            return gf_error_set(err, GF_EBUSY, "%s: another download is writing this file",
                                part->path);
        if (fstat(part->fd, &opened) != 0)
            return gf__error_errno(err, errno, "%s: cannot look at it", part->path);
        if (stat(part->path, &named) == 0 && named.st_ino == opened.st_ino)
            break;
        close(part->fd);
    }
    *size_bytes = (uint64_t)opened.st_size;
    return GF_OK;
}

/* A part that is worth something to the next call stays. */
static bool is_worth_keeping(const download *d, gf_status st)
{
    return d->options->is_resumable && d->part.n_have > 0 && st != GF_ELIMIT && st != GF_ENOTFOUND;
}

static gf_status fill_part(download *d, const char *target, gf_error *err)
{
    gf_status st = GF_OK;
    if (!d->options->is_resumable)
        st = gf__partial_clear(&d->part, err);
    if (st == GF_OK)
        st = request_until_done(d, err);
    if (st == GF_OK)
        st = gf__rename_durably(d->part.path, target, err);
    if (st != GF_OK && !is_worth_keeping(d, st))
        unlink(d->part.path);
    return st;
}

gf_status gf__download(const char *url, const char *path, const gf__download_options *options,
                       const gf_observer *obs, gf_error *err)
{
    const gf__download_options defaults = gf__download_options_default();
    download d = {.url = url,
                  .options = options != NULL ? options : &defaults,
                  .obs = obs,
                  .part = {.fd = -1}};
    char *target = NULL, *part_path = NULL;

    gf_status st = check_scheme(url, err);
    if (st != GF_OK)
        goto done;
    st = gf__resolve_target(path, &target, err);
    if (st != GF_OK)
        goto done;
    part_path = gf__asprintf("%s.part", target);
    if (part_path == NULL) {
        st = gf__error_nomem(err, "a path", strlen(target));
        goto done;
    }
    d.part.path = part_path;
    st = open_and_lock(&d.part, &d.part.n_have, err);
    if (st == GF_OK)
        st = fill_part(&d, target, err);
done:
    if (d.part.fd >= 0)
        close(d.part.fd);
    gf__free(part_path);
    gf__free(target);
    return st;
}
