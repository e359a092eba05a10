/* spool.c: pixels that are done and wait for the rest. How many rows an .npz will have must be
 * known before its first row is written, and that is known only when every picture has been
 * tried. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/make_priv.h"

struct gf__spool {
    int fd;
    size_t row_bytes;
    char *folder; /* for messages */
};

/* Without a name from the start where the file system can, else unlinked at once. */
static int open_nameless(const char *folder)
{
    int fd = -1;
    char *path;

#ifdef O_TMPFILE
    fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
#endif
    path = gf__path_join(folder, ".graft-rows-XXXXXX");
    if (path == NULL) {
        errno = ENOMEM;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    gf__free(path);
    return fd;
}

gf_status gf__spool_open(const char *beside, size_t row_bytes, gf__spool **out, gf_error *err)
{
    gf_status st = GF_OK;
    const size_t n_folder = (size_t)(gf__path_base(beside) - beside);
    gf__spool *spool = gf__calloc(1, sizeof *spool);

    *out = NULL;
    if (spool == NULL)
        return gf__error_nomem(err, "rows on disk", sizeof *spool);
    spool->fd = -1;
    spool->row_bytes = row_bytes;
    spool->folder = n_folder > 0 ? gf__strndup(beside, n_folder) : gf__strdup(".");
    if (spool->folder == NULL)
        st = gf__error_nomem(err, "a path", n_folder);
    else
        spool->fd = open_nameless(spool->folder);
    if (st == GF_OK && spool->fd < 0)
        st = gf__error_errno(err, errno, "%s: cannot make a file", spool->folder);
    if (st != GF_OK) {
        gf__spool_close(spool);
        return st;
    }
    *out = spool;
    return GF_OK;
}

void gf__spool_close(gf__spool *spool)
{
    if (spool == NULL)
        return;
    if (spool->fd >= 0)
        close(spool->fd);
    gf__free(spool->folder);
    gf__free(spool);
}

gf_status gf__spool_write(gf__spool *spool, size_t row, const void *bytes, gf_error *err)
{
    const char *at = bytes;
    size_t n_left = spool->row_bytes;
    off_t place = (off_t)(row * spool->row_bytes);

    while (n_left > 0) {
        const ssize_t n = pwrite(spool->fd, at, n_left, place);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gf__error_errno(err, errno, "%s: cannot keep rows", spool->folder);
        at += n;
        place += n;
        n_left -= (size_t)n;
    }
    return GF_OK;
}

gf_status gf__spool_read(gf__spool *spool, size_t row, void *bytes, gf_error *err)
{
    char *at = bytes;
    size_t n_left = spool->row_bytes;
    off_t place = (off_t)(row * spool->row_bytes);

    while (n_left > 0) {
        const ssize_t n = pread(spool->fd, at, n_left, place);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gf__error_errno(err, errno, "%s: cannot read rows back", spool->folder);
        if (n == 0)
            return gf_error_set(err, GF_EIO, "%s: row %zu is not there", spool->folder, row);
        at += n;
        place += n;
        n_left -= (size_t)n;
    }
    return GF_OK;
}
