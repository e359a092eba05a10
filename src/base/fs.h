/* base/fs.h: files and folders. Readers map, writers write aside and rename: a reader sees the old
 * file or the new one, never half of one, and a process killed at any moment leaves no broken
 * file. */
#ifndef GRAFT_BASE_FS_H
#define GRAFT_BASE_FS_H

#include "graft/base.h"

typedef struct gf__mapping {
    const uint8_t *data; /* read-only; NULL for an empty file */
    size_t size;
} gf__mapping;

/* Maps a regular file. Errors name the path. End with gf__unmap(); a zeroed mapping is fine. */
gf_status gf__map_file(const char *path, gf__mapping *out, gf_error *err);
void gf__unmap(gf__mapping *mapping);
/* Gives the memory back that reading has filled; what is read again comes from the file. For large
 * files that are read once in a while. */
void gf__mapping_release_pages(const gf__mapping *mapping);

/* Reads a whole file, at most limit_bytes (GF_ELIMIT beyond), NUL-terminated after *size bytes. */
gf_status gf__read_file(const char *path, size_t limit_bytes, char **out, size_t *size,
                        gf_error *err);

/* A file being written beside its final name. Writes after a failure do nothing and the failure
 * comes back from commit; abort (or commit failing) removes the temporary file. "-" is not special
 * here. */
typedef struct gf__writer gf__writer;
gf_status gf__writer_open(const char *path, gf__writer **out, gf_error *err);
void gf__writer_write(gf__writer *writer, const void *bytes, size_t n_bytes);
void gf__writer_printf(gf__writer *writer, const char *fmt, ...) GF_PRINTF(2, 3);
/* Flush, fsync, rename, fsync of the folder. Frees the writer whatever comes back. */
gf_status gf__writer_commit(gf__writer *writer, gf_error *err);
void gf__writer_abort(gf__writer *writer); /* NULL is fine */
/* The temporary name, for libraries that insist on opening the file themselves. */
const char *gf__writer_path(const gf__writer *writer);

/* The three above in one. */
gf_status gf__write_file(const char *path, const void *bytes, size_t n_bytes, gf_error *err);

/* Removes what killed writers have left in a folder, and in folders below it that deep (not through links): NAME.tmp.PID.N whose
 * process is not alive and that nobody has written to for an hour. For folders of our own, not for
 * users' files. How many. */
size_t gf__sweep_temporaries(const char *dir, int depth);

/* mkdir -p. */
gf_status gf__make_dirs(const char *path, gf_error *err);
bool gf__is_file(const char *path);
bool gf__is_dir(const char *path);
/* Whether writing one writes over the other: links are followed. Where one of them is not there
 * yet, the names are compared as they are written. NULL is no file. */
bool gf__is_same_file(const char *a, const char *b);
gf_status gf__file_size(const char *path, uint64_t *size_bytes, gf_error *err);

/* "a/b" from "a" and "b" with exactly one slash; new, ended with gf__free(); NULL out of memory. */
char *gf__path_join(const char *dir, const char *name);
/* After the last slash; the text itself where there is none. Borrowed from path. */
const char *gf__path_base(const char *path);
/* ".png" with its dot, lower or upper case as it stands; "" where there is none. Borrowed. */
const char *gf__path_extension(const char *path);

/* Names in a folder, without "." and "..", sorted by bytes so that every machine sees one order. */
typedef struct gf__dir_list {
    char **names;
    size_t n_names;
} gf__dir_list;
gf_status gf__list_dir(const char *path, gf__dir_list *out, gf_error *err);
void gf__dir_list_free(gf__dir_list *list);

/* An advisory lock (flock) on a file that is created if missing. wait = false: GF_EBUSY at once. */
typedef struct gf__lock gf__lock;
gf_status gf__lock_acquire(const char *path, bool wait, gf__lock **out, gf_error *err);
void gf__lock_release(gf__lock *lock); /* NULL is fine */

#endif
