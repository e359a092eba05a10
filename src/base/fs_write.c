/* base/fs_write.c: a file that appears whole or not at all.
 *
 * Bytes go to NAME.tmp.PID.N in the folder of NAME (rename() works within one file system only),
 * are fsynced, and take the name in one step. The folder is fsynced too: without it a power cut may
 * bring back the old file, which is allowed, or neither, which is not. */
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/fs_priv.h"
#include "base/mem.h"

#define CHUNK      ((size_t)64 << 10)
#define N_ATTEMPTS 1000 /* names tried; those taken are another thread's or a killed process's */

struct gf__writer {
    char *path;      /* the final name, symbolic links followed */
    char *temporary; /* beside it */
    int fd;
    gf_status status;
    gf_error failure; /* of the first write that failed */
    size_t n_pending;
    char pending[CHUNK];
};

gf_status gf__resolve_target(const char *path, char **out, gf_error *err)
{
    struct stat info;
    *out = NULL;
    if (stat(path, &info) != 0) {
        *out = gf__strdup(path);
        return *out != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(path));
    }
    if (!S_ISREG(info.st_mode))
        return gf_error_set(err, GF_EINVAL, "%s: cannot write here, it is %s", path,
                            S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
    char *real = realpath(path, NULL);
    if (real == NULL)
        return gf__error_errno(err, errno, "%s: cannot find its real name", path);
    *out = gf__strdup(real);
    free(real);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(path));
}

static gf_status open_temporary(gf__writer *writer, gf_error *err)
{
    for (int i = 0; i < N_ATTEMPTS; i++) {
        gf__free(writer->temporary);
        writer->temporary = gf__asprintf("%s.tmp.%ld.%d", writer->path, (long)getpid(), i);
        if (writer->temporary == NULL)
            return gf__error_nomem(err, "a path", strlen(writer->path));
        writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->fd >= 0)
            return GF_OK;
        if (errno != EEXIST)
            return gf__error_errno(err, errno, "%s: cannot create", writer->path);
    }
    return gf_error_set(err, GF_EBUSY, "%s: %d temporary files %s.tmp.* are in the way",
                        writer->path, N_ATTEMPTS, writer->path);
}

static void free_writer(gf__writer *writer)
{
    if (writer->fd >= 0)
        close(writer->fd);
    gf__free(writer->temporary);
    gf__free(writer->path);
    gf__free(writer);
}

gf_status gf__writer_open(const char *path, gf__writer **out, gf_error *err)
{
    *out = NULL;
    gf__writer *writer = gf__malloc(sizeof *writer);
    if (writer == NULL)
        return gf__error_nomem(err, "writing a file", sizeof *writer);
    writer->path = writer->temporary = NULL;
    writer->fd = -1;
    writer->status = GF_OK;
    writer->n_pending = 0;
    gf_status st = gf__resolve_target(path, &writer->path, err);
    if (st == GF_OK)
        st = open_temporary(writer, err);
    if (st != GF_OK) {
        free_writer(writer);
        return st;
    }
    *out = writer;
    return GF_OK;
}

static void write_through(gf__writer *writer, const char *bytes, size_t n_bytes)
{
    while (n_bytes > 0 && writer->status == GF_OK) {
        const ssize_t n_written = write(writer->fd, bytes, n_bytes);
        if (n_written >= 0) {
            bytes += n_written;
            n_bytes -= (size_t)n_written;
        } else if (errno != EINTR) {
            writer->status = gf__error_errno(&writer->failure, errno, "%s: cannot write",
                                             writer->path);
        }
    }
}

static void flush_pending(gf__writer *writer)
{
    write_through(writer, writer->pending, writer->n_pending);
    writer->n_pending = 0;
}

void gf__writer_write(gf__writer *writer, const void *bytes, size_t n_bytes)
{
    if (writer->n_pending + n_bytes > CHUNK || n_bytes > CHUNK)
        flush_pending(writer);
    if (n_bytes > CHUNK) {
        write_through(writer, bytes, n_bytes);
    } else if (n_bytes > 0) {
        memcpy(writer->pending + writer->n_pending, bytes, n_bytes);
        writer->n_pending += n_bytes;
    }
}

void gf__writer_printf(gf__writer *writer, const char *fmt, ...)
{
    if (writer->status != GF_OK)
        return;
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    const int n_chars = vasprintf(&text, fmt, args);
    va_end(args);
    if (n_chars < 0) {
        writer->status = gf__error_nomem(&writer->failure, "a line of text", 0);
        return;
    }
    gf__writer_write(writer, text, (size_t)n_chars);
    free(text);
}

/* For reading: fsync() takes any descriptor of the file, and a library that was given the temporary
 * name may have put another file under it than the one we opened for writing. */
static gf_status open_to_sync(const char *path, int flags, int *fd, gf_error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    return *fd >= 0 ? GF_OK : gf__error_errno(err, errno, "%s: cannot open", path);
}

static gf_status sync_descriptor(int fd, const char *path, gf_error *err)
{
    /* EINVAL: a file system without fsync, nothing to be done about it. */
    if (fsync(fd) == 0 || errno == EINVAL)
        return GF_OK;
    return gf__error_errno(err, errno, "%s: cannot bring it to the disk", path);
}

static gf_status open_folder_of(const char *path, int *fd, gf_error *err)
{
    const size_t n_chars = (size_t)(gf__path_base(path) - path);
    char *folder = n_chars > 0 ? gf__strndup(path, n_chars) : gf__strdup(".");
    if (folder == NULL)
        return gf__error_nomem(err, "a path", n_chars);
    const gf_status st = open_to_sync(folder, O_DIRECTORY, fd, err);
    gf__free(folder);
    return st;
}

/* All that can fail for lack of memory or descriptors comes before the rename. */
gf_status gf__rename_durably(const char *from, const char *to, gf_error *err)
{
    int file = -1, folder = -1;
    gf_status st = open_to_sync(from, 0, &file, err);
    if (st != GF_OK)
        goto done;
    st = open_folder_of(to, &folder, err);
    if (st != GF_OK)
        goto done;
    st = sync_descriptor(file, to, err);
    if (st != GF_OK)
        goto done;
    if (rename(from, to) != 0)
        st = gf__error_errno(err, errno, "%s: cannot give the new file this name", to);
    else
        st = sync_descriptor(folder, to, err);
done:
    if (folder >= 0)
        close(folder);
    if (file >= 0)
        close(file);
    return st;
}

static gf_status finish_temporary(gf__writer *writer, gf_error *err)
{
    flush_pending(writer);
    if (writer->status != GF_OK)
        return gf_error_set(err, writer->status, "%s", writer->failure.message);
    const int closed = close(writer->fd);
    writer->fd = -1;
    if (closed != 0)
        return gf__error_errno(err, errno, "%s: cannot write", writer->path);
    return GF_OK;
}

gf_status gf__writer_commit(gf__writer *writer, gf_error *err)
{
    gf_status st = finish_temporary(writer, err);
    if (st == GF_OK)
        st = gf__rename_durably(writer->temporary, writer->path, err);
    if (st != GF_OK)
        unlink(writer->temporary);
    free_writer(writer);
    return st;
}

void gf__writer_abort(gf__writer *writer)
{
    if (writer == NULL)
        return;
    unlink(writer->temporary);
    free_writer(writer);
}

const char *gf__writer_path(const gf__writer *writer)
{
    return writer->temporary;
}

gf_status gf__write_file(const char *path, const void *bytes, size_t n_bytes, gf_error *err)
{
    gf__writer *writer = NULL;
    const gf_status st = gf__writer_open(path, &writer, err);
    if (st != GF_OK)
        return st;
    gf__writer_write(writer, bytes, n_bytes);
    return gf__writer_commit(writer, err);
}
