/* registry/blobs.c: files stored once, under the SHA-256 of their bytes: HOME/blobs/ab/cdef...
 *
 * A file is read twice: for its hash, which may show that there is nothing to do, and into its
 * place, when the hash must come out the same. A blob without a row is rubbish of a killed
 * process or of a version that went; a row is written only after its blob is on the disk. The
 * mutex registry->blobs keeps collecting away from what is stored but not yet used. */
#include "registry/registry_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)256 << 10)

/* A source file being read. */
typedef struct source_reader {
    const gf__origin_file *file;
    int fd;
    const gf_observer *obs;
    char *chunk;
} source_reader;

char *gf__blob_path(const gf_registry *registry, const char *sha256)
{
    return gf__asprintf("%s/%.2s/%s", registry->blobs_dir, sha256, sha256 + 2);
}

static gf_status has_changed(const gf__origin_file *file, gf_error *err)
{
    return gf_error_set(err, GF_EMISMATCH,
                        "deploymentUri: %s: changed while it was copied; create the version again",
                        file->path);
}

static gf_status open_reader(source_reader *reader, bool follows_links, gf_error *err)
{
    struct stat info;
    /* O_NONBLOCK: what was a file may be a pipe by now, and must not hold us. */
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follows_links ? 0 : O_NOFOLLOW);
    reader->fd = open(reader->file->absolute, flags);
    if (reader->fd < 0)
        return gf__error_errno(err, errno, "deploymentUri: %s: cannot open", reader->file->path);
    if (fstat(reader->fd, &info) != 0 || !S_ISREG(info.st_mode) ||
        (uint64_t)info.st_size != reader->file->size_bytes)
        return has_changed(reader->file, err);
    reader->chunk = gf__malloc(CHUNK);
    return reader->chunk != NULL ? GF_OK : gf__error_nomem(err, "copying a file", CHUNK);
}

/* The whole file, from its beginning, into a hash and (if not NULL) a writer. */
static gf_status pass(source_reader *reader, gf__writer *writer, char sha256[GF__SHA256_HEX],
                      gf_error *err)
{
    gf__hash *hash = NULL;
    uint64_t n_done = 0;
    ssize_t n = 1;
    if (lseek(reader->fd, 0, SEEK_SET) != 0)
        return gf__error_errno(err, errno, "deploymentUri: %s: cannot read", reader->file->path);
    gf_status st = gf__hash_new(GF__HASH_SHA256, &hash, err);
    while (st == GF_OK && n != 0) {
        n = read(reader->fd, reader->chunk, CHUNK);
        if (n < 0 && errno != EINTR) {
            st = gf__error_errno(err, errno, "deploymentUri: %s: cannot read", reader->file->path);
        } else if (n > 0) {
            gf__hash_update(hash, reader->chunk, (size_t)n);
            if (writer != NULL)
                gf__writer_write(writer, reader->chunk, (size_t)n);
            n_done += (uint64_t)n;
            st = gf__observe_progress(reader->obs, "copy", n_done, reader->file->size_bytes,
                                      reader->file->path, err);
        }
    }
    if (hash != NULL)
        gf__hash_finish(hash, sha256);
    if (st == GF_OK && (n_done != reader->file->size_bytes || sha256[0] == '\0'))
        st = has_changed(reader->file, err);
    return st;
}

/* HOME/blobs/ab. A new folder is brought to the disk: else a power cut could take it with all
 * that is in it. */
static gf_status make_folder(const gf_registry *registry, const char *sha256, gf_error *err)
{
    gf_status st = GF_OK;
    char *folder = gf__asprintf("%s/%.2s", registry->blobs_dir, sha256);
    if (folder == NULL)
        return gf__error_nomem(err, "a path", 0);
    if (mkdir(folder, 0777) == 0) {
        const int fd = open(registry->blobs_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
            st = gf__error_errno(err, errno, "%s: cannot bring it to the disk",
                                 registry->blobs_dir);
        if (fd >= 0)
            close(fd);
        if (st != GF_OK)
            rmdir(folder); /* or the next one would take it for safe */
    } else if (errno != EEXIST) {
        st = gf__error_errno(err, errno, "%s: cannot make this folder", folder);
    }
    gf__free(folder);
    return st;
}

static gf_status copy_into(source_reader *reader, const char *path, const char *sha256,
                           gf_error *err)
{
    gf__writer *writer = NULL;
    char again[GF__SHA256_HEX] = "";
    gf_status st = gf__writer_open(path, &writer, err);
    if (st == GF_OK)
        st = pass(reader, writer, again, err);
    if (st == GF_OK && strcmp(again, sha256) != 0)
        st = has_changed(reader->file, err);
    if (st != GF_OK) {
        gf__writer_abort(writer);
        return st;
    }
    st = gf__writer_commit(writer, err);
    if (st == GF_OK)
        chmod(path, 0444); /* a reminder for people; a file system that has no modes is fine */
    return st;
}

gf_status gf__blob_store(gf_registry *registry, const gf__origin_file *file, bool follows_links,
                         const gf_observer *obs, char sha256[GF__SHA256_HEX], gf_error *err)
{
    source_reader reader = {.file = file, .fd = -1, .obs = obs};
    struct stat info;
    char *path = NULL;
    sha256[0] = '\0';
    gf_status st = open_reader(&reader, follows_links, err);
    if (st == GF_OK)
        st = pass(&reader, NULL, sha256, err);
    if (st != GF_OK)
        goto done;
    path = gf__blob_path(registry, sha256);
    st = path != NULL ? make_folder(registry, sha256, err) : gf__error_nomem(err, "a path", 0);
    if (st != GF_OK)
        goto done;
    /* Another size under this name is a file that some accident has cut: it is made again. */
    if (stat(path, &info) != 0 || (uint64_t)info.st_size != file->size_bytes)
        st = copy_into(&reader, path, sha256, err);
done:
    gf__free(path);
    gf__free(reader.chunk);
    if (reader.fd >= 0)
        close(reader.fd);
    return st;
}

static gf_status read_file_row(const gf_registry *registry, gf__rows *rows, gf_registry_files *out,
                               gf_error *err)
{
    gf_registry_file *files = gf__realloc(out->files, (out->n_files + 1) * sizeof *files);
    const char *path = gf__rows_text(rows, 0);
    const char *sha256 = gf__rows_text(rows, 1);
    if (files == NULL || path == NULL || sha256 == NULL) {
        out->files = files != NULL ? files : out->files;
        return gf__error_nomem(err, "a list of files", 0);
    }
    out->files = files;
    gf_registry_file *file = &files[out->n_files++];
    *file = (gf_registry_file){.path = gf__strdup(path),
                               .blob_path = gf__blob_path(registry, sha256),
                               .sha256 = gf__strdup(sha256),
                               .size_bytes = (uint64_t)gf__rows_number(rows, 2)};
    if (file->path == NULL || file->blob_path == NULL || file->sha256 == NULL)
        return gf__error_nomem(err, "a list of files", 0);
    return GF_OK;
}

gf_status gf__files_read(gf_registry *registry, int64_t version_id, gf_registry_files *out,
                         gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    gf_status st = gf__db_select(registry->db, GF__SQL_FILE_LIST, VALUES(gf__number(version_id)),
                                 &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    while (st == GF_OK && has_row) {
        st = read_file_row(registry, rows, out, err);
        if (st == GF_OK)
            st = gf__rows_next(rows, &has_row, err);
    }
    gf__rows_end(rows);
    if (st != GF_OK)
        gf_registry_free_files(out);
    return st;
}

void gf_registry_free_files(gf_registry_files *files)
{
    for (size_t i = 0; i < files->n_files; i++) {
        gf__free(files->files[i].path);
        gf__free(files->files[i].blob_path);
        gf__free(files->files[i].sha256);
    }
    gf__free(files->files);
    *files = (gf_registry_files){0};
}

static gf_status forget_unused(gf_registry *registry, int64_t keep_seconds, gf_error *err)
{
    gf_status st = gf__enter_write(registry, err);
    if (st != GF_OK)
        return st;
    st = gf__db_run(registry->db, GF__SQL_OPERATION_PRUNE,
                    VALUES(gf__number(gf__now_ms() - keep_seconds * 1000)), NULL, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_BLOB_DELETE_UNUSED, NULL, 0, NULL, err);
    return gf__leave(registry, st, err);
}

/* Removes the files of one folder of blobs that have no row: temporary ones have no name that
 * could have one. */
static gf_status sweep_folder(gf_registry *registry, const char *prefix, size_t *n_removed,
                              gf_error *err)
{
    gf__dir_list list = {0};
    char *folder = gf__path_join(registry->blobs_dir, prefix);
    gf_status st = folder != NULL ? gf__list_dir(folder, &list, err)
                                  : gf__error_nomem(err, "a path", 0);
    for (size_t i = 0; st == GF_OK && i < list.n_names; i++) {
        bool is_known = false;
        int64_t size_bytes = 0;
        char *sha256 = gf__asprintf("%s%s", prefix, list.names[i]);
        char *path = gf__path_join(folder, list.names[i]);
        st = sha256 != NULL && path != NULL ? GF_OK : gf__error_nomem(err, "a path", 0);
        if (st == GF_OK)
            st = gf__db_get_number(registry->db, GF__SQL_BLOB_FIND, VALUES(gf__text(sha256)),
                                   &is_known, &size_bytes, err);
        if (st == GF_OK && !is_known && unlink(path) == 0)
            ++*n_removed;
        gf__free(path);
        gf__free(sha256);
    }
    gf__dir_list_free(&list);
    gf__free(folder);
    return st;
}

static gf_status sweep(gf_registry *registry, size_t *n_removed, gf_error *err)
{
    gf__dir_list list;
    gf_status st = gf__list_dir(registry->blobs_dir, &list, err);
    for (size_t i = 0; st == GF_OK && i < list.n_names; i++) {
        if (strlen(list.names[i]) != 2)
            continue;
        st = gf__enter_read(registry, err);
        if (st == GF_OK)
            st = gf__leave(registry, sweep_folder(registry, list.names[i], n_removed, err), err);
    }
    gf__dir_list_free(&list);
    return st;
}

gf_status gf_registry_collect(gf_registry *registry, int64_t keep_seconds, size_t *n_blobs,
                              gf_error *err)
{
    size_t n_removed = 0;
    assert(registry->lock != NULL);
    pthread_mutex_lock(&registry->blobs);
    gf_status st = forget_unused(registry, keep_seconds, err);
    if (st == GF_OK)
        st = sweep(registry, &n_removed, err);
    pthread_mutex_unlock(&registry->blobs);
    if (n_blobs != NULL)
        *n_blobs = n_removed;
    return st;
}
