/* base/fs.c: reading files and folders, paths, locks. Every error names the path. Writing is in
 * fs_write.c. */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/mem.h"

#define READ_CHUNK ((size_t)64 << 10)

static gf_status check_regular(const struct stat *info, const char *path, gf_error *err)
{
    if (S_ISREG(info->st_mode))
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "%s: expected a file, found %s", path,
                        S_ISDIR(info->st_mode) ? "a folder" : "a device or pipe");
}

static gf_status map_descriptor(int fd, const char *path, gf__mapping *out, gf_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return gf__error_errno(err, errno, "%s: cannot look at it", path);
    const gf_status st = check_regular(&info, path, err);
    if (st != GF_OK || info.st_size == 0)
        return st;
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return gf__error_errno(err, errno, "%s: cannot map %lld bytes", path,
                               (long long)info.st_size);
    *out = (gf__mapping){.data = data, .size = (size_t)info.st_size};
    return GF_OK;
}

gf_status gf__map_file(const char *path, gf__mapping *out, gf_error *err)
{
    *out = (gf__mapping){0};
    /* Not to wait for the writer of a pipe that is refused afterwards. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return gf__error_errno(err, errno, "%s: cannot open", path);
    const gf_status st = map_descriptor(fd, path, out, err);
    close(fd);
    return st;
}

void gf__mapping_release_pages(const gf__mapping *mapping)
{
    if (mapping->data != NULL)
        (void)madvise((void *)(uintptr_t)mapping->data, mapping->size, MADV_DONTNEED);
}

void gf__unmap(gf__mapping *mapping)
{
    if (mapping->data != NULL)
        munmap((void *)(uintptr_t)mapping->data, mapping->size);
    *mapping = (gf__mapping){0};
}

/* To the end of the file or one byte past the limit, so that the caller can tell the two. */
static gf_status read_descriptor(int fd, const char *path, size_t limit_bytes, gf__buffer *buffer,
                                 gf_error *err)
{
    char *chunk = gf__malloc(READ_CHUNK);
    if (chunk == NULL)
        return gf__error_nomem(err, "reading a file", READ_CHUNK);
    gf_status st = GF_OK;
    while (buffer->size <= limit_bytes && !buffer->failed) {
        const ssize_t n_read = read(fd, chunk, READ_CHUNK);
        if (n_read == 0)
            break;
        if (n_read > 0) {
            gf__buffer_append(buffer, chunk, (size_t)n_read);
        } else if (errno != EINTR) {
            st = gf__error_errno(err, errno, "%s: cannot read", path);
            break;
        }
    }
    gf__free(chunk);
    return st;
}

gf_status gf__read_file(const char *path, size_t limit_bytes, char **out, size_t *size,
                        gf_error *err)
{
    *out = NULL;
    *size = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gf__error_errno(err, errno, "%s: cannot open", path);
    gf__buffer buffer = {0};
    gf_status st = read_descriptor(fd, path, limit_bytes, &buffer, err);
    close(fd);
    if (st == GF_OK && buffer.size > limit_bytes)
        st = gf_error_set(err, GF_ELIMIT, "%s: larger than the %zu bytes allowed here", path,
                          limit_bytes);
    if (st == GF_OK) {
        const size_t n_bytes = buffer.size;
        *out = gf__buffer_take(&buffer, size);
        if (*out == NULL)
            st = gf__error_nomem(err, path, n_bytes);
    }
    gf__buffer_free(&buffer);
    return st;
}

static gf_status make_dir(const char *path, gf_error *err)
{
    if (mkdir(path, 0777) == 0)
        return GF_OK;
    const int why = errno; /* of mkdir(): looking whether it is there sets another */
    if (gf__is_dir(path))
        return GF_OK;
    if (why == EEXIST)
        return gf_error_set(err, GF_EIO, "%s: cannot make this folder, a file has its name", path);
    return gf__error_errno(err, why, "%s: cannot make this folder", path);
}

gf_status gf__make_dirs(const char *path, gf_error *err)
{
    if (gf__is_dir(path))
        return GF_OK;
    char *partial = gf__strdup(path);
    if (partial == NULL)
        return gf__error_nomem(err, "a path", strlen(path));
    gf_status st = GF_OK;
    for (char *slash = strchr(partial + (partial[0] == '/'), '/'); st == GF_OK && slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        st = make_dir(partial, err);
        *slash = '/';
    }
    if (st == GF_OK)
        st = make_dir(path, err);
    gf__free(partial);
    return st;
}

bool gf__is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool gf__is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool gf__is_same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    if (a == NULL || b == NULL)
        return false;
    if (stat(a, &of_a) != 0 || stat(b, &of_b) != 0)
        return strcmp(a, b) == 0;
    return of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

gf_status gf__file_size(const char *path, uint64_t *size_bytes, gf_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return gf__error_errno(err, errno, "%s: cannot look at it", path);
    const gf_status st = check_regular(&info, path, err);
    if (st == GF_OK)
        *size_bytes = (uint64_t)info.st_size;
    return st;
}

char *gf__path_join(const char *dir, const char *name)
{
    size_t n_dir = strlen(dir);
    while (n_dir > 1 && dir[n_dir - 1] == '/')
        n_dir--;
    while (n_dir > 0 && name[0] == '/')
        name++;
    const char *slash = n_dir == 0 || dir[n_dir - 1] == '/' ? "" : "/";
    gf__buffer path = {0};
    gf__buffer_append(&path, dir, n_dir);
    gf__buffer_puts(&path, slash);
    gf__buffer_puts(&path, name);
    return gf__buffer_take(&path, NULL);
}

const char *gf__path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

const char *gf__path_extension(const char *path)
{
    const char *base = gf__path_base(path);
    const char *dot = strrchr(base, '.');
    return dot != NULL && dot != base ? dot : base + strlen(base); /* ".hidden" has none */
}

static gf_status append_name(gf__dir_list *list, size_t *capacity, const char *name, gf_error *err)
{
    if (list->n_names == *capacity) {
        const size_t grown = *capacity > 0 ? *capacity * 2 : 64;
        char **names = gf__realloc(list->names, grown * sizeof *names);
        if (names == NULL)
            return gf__error_nomem(err, "a list of files", grown * sizeof *names);
        list->names = names;
        *capacity = grown;
    }
    char *copy = gf__strdup(name);
    if (copy == NULL)
        return gf__error_nomem(err, "a list of files", strlen(name));
    list->names[list->n_names++] = copy;
    return GF_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static gf_status read_names(DIR *dir, const char *path, gf__dir_list *list, gf_error *err)
{
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL && errno != 0)
            return gf__error_errno(err, errno, "%s: cannot read this folder", path);
        if (entry == NULL)
            return GF_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        const gf_status st = append_name(list, &capacity, entry->d_name, err);
        if (st != GF_OK)
            return st;
    }
}

gf_status gf__list_dir(const char *path, gf__dir_list *out, gf_error *err)
{
    *out = (gf__dir_list){0};
    DIR *dir = opendir(path);
    if (dir == NULL)
        return gf__error_errno(err, errno, "%s: cannot open this folder", path);
    const gf_status st = read_names(dir, path, out, err);
    closedir(dir);
    if (st != GF_OK)
        gf__dir_list_free(out);
    if (out->n_names > 1)
        qsort(out->names, out->n_names, sizeof out->names[0], compare_names);
    return st;
}

void gf__dir_list_free(gf__dir_list *list)
{
    for (size_t i = 0; i < list->n_names; i++)
        gf__free(list->names[i]);
    gf__free(list->names);
    *list = (gf__dir_list){0};
}

struct gf__lock {
    int fd;
};

static gf_status lock_descriptor(int fd, const char *path, bool wait, gf_error *err)
{
    while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) != 0) {
        if (errno == EWOULDBLOCK)
            return gf_error_set(err, GF_EBUSY, "%s: another process holds this lock", path);
        if (errno != EINTR)
            return gf__error_errno(err, errno, "%s: cannot lock", path);
    }
    return GF_OK;
}

gf_status gf__lock_acquire(const char *path, bool wait, gf__lock **out, gf_error *err)
{
    *out = NULL;
    gf__lock *lock = gf__malloc(sizeof *lock);
    if (lock == NULL)
        return gf__error_nomem(err, "a lock", sizeof *lock);
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock->fd < 0) {
        const gf_status st = gf__error_errno(err, errno, "%s: cannot open this lock", path);
        gf__free(lock);
        return st;
    }
    const gf_status st = lock_descriptor(lock->fd, path, wait, err);
    if (st != GF_OK) {
        gf__lock_release(lock);
        return st;
    }
    *out = lock;
    return GF_OK;
}

void gf__lock_release(gf__lock *lock)
{
    if (lock == NULL)
        return;
    /* The lock goes with its last descriptor; the file stays, others may wait on it. */
    close(lock->fd);
    gf__free(lock);
}
