/* tasks/archive.c: a stranger's archive unpacked into a new folder: tar (plain, gzip, bzip2, xz),
 * zip and what is one inside (wheels). Names, links and kinds of entries are checked here and not
 * left to libarchive: nothing is written outside of the folder, nothing but files and folders and
 * links among them, no more than was agreed on.
 *
 * libarchive brings a dozen other libraries that no other command needs: it is loaded when an
 * archive is opened. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "tasks/tasks_priv.h"

#define ARCHIVE_LIBRARY "libarchive.so.13"
#define BLOCK_BYTES     ((size_t)64 << 10)
#define MAX_NAME        4096
#define MAX_DEPTH       64

#define ARCHIVE_FUNCTIONS(X)     \
    X(read_new)                  \
    X(read_support_filter_gzip)  \
    X(read_support_filter_bzip2) \
    X(read_support_filter_xz)    \
    X(read_support_format_tar)   \
    X(read_support_format_zip)   \
    X(read_open_filename)        \
    X(read_next_header)          \
    X(read_data_block)           \
    X(read_free)                 \
    X(error_string)              \
    X(entry_pathname)            \
    X(entry_pathname_utf8)       \
    X(entry_filetype)            \
    X(entry_perm)                \
    X(entry_hardlink)            \
    X(entry_hardlink_utf8)       \
    X(entry_symlink)             \
    X(entry_symlink_utf8)

typedef struct functions {
#define DECLARE(name) __typeof__(archive_##name) *name;
    ARCHIVE_FUNCTIONS(DECLARE)
#undef DECLARE
} functions;

typedef struct unpacking {
    const gf__task *task;
    const gf__archive_limits *limits;
    functions lib;
    struct archive *archive;
    int root; /* of the folder */
    uint64_t n_bytes;
    size_t n_entries;
    char name[MAX_NAME]; /* of the entry: "a/b/c", without "." and doubled slashes */
} unpacking;

static gf_status load_library(functions *out, gf_error *err)
{
    static const struct {
        const char *name;
        size_t offset;
    } entries[] = {
#define ENTRY(name) {"archive_" #name, offsetof(functions, name)},
        ARCHIVE_FUNCTIONS(ENTRY)
#undef ENTRY
    };
    void *library = dlopen(ARCHIVE_LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "packages need libarchive (Debian: apt install libarchive13): %s",
                            dlerror());
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        void *symbol = dlsym(library, entries[i].name);
        if (symbol == NULL)
            return gf_error_set(err, GF_EUNSUPPORTED, "%s has no %s", ARCHIVE_LIBRARY,
                                entries[i].name);
        memcpy((char *)out + entries[i].offset, &symbol, sizeof symbol);
    }
    return GF_OK;
}

static gf_status refuse(const char *name, const char *why, gf_error *err)
{
    return gf_error_set(err, GF_EFORMAT, "%.120s: %s", name, why);
}

static gf_status broken(const unpacking *u, gf_error *err)
{
    const char *reason = u->lib.error_string(u->archive);
    return gf_error_set(err, GF_EFORMAT, "the archive cannot be read: %s",
                        reason != NULL ? reason : "no reason is known");
}

/* ---- names ---- */

/* "./a//b/" as "a/b". The empty name is the folder itself. */
static gf_status clean_name(const char *name, char *clean, gf_error *err)
{
    size_t n = 0, depth = 0;
    if (name == NULL)
        return gf_error_set(err, GF_EFORMAT, "an entry whose name cannot be read");
    if (name[0] == '/')
        return refuse(name, "an absolute name; expected one below the package", err);
    for (const char *part = name; *part != '\0';) {
        const size_t n_part = strcspn(part, "/");
        if (n_part == 2 && strncmp(part, "..", 2) == 0)
            return refuse(name, "\"..\" in a name; expected one below the package", err);
        if (n_part > 0 && !(n_part == 1 && part[0] == '.')) {
            if (n_part > NAME_MAX || n + n_part + 2 > MAX_NAME || ++depth > MAX_DEPTH)
                return refuse(name, "a name that is too long or too deep", err);
            if (n > 0)
                clean[n++] = '/';
            memcpy(clean + n, part, n_part);
            n += n_part;
        }
        part += n_part + (part[n_part] == '/');
    }
    clean[n] = '\0';
    return GF_OK;
}

static gf_status check_utf8(const char *name, gf_error *err)
{
    const size_t n_bytes = strlen(name);
    size_t length = 1;
    for (size_t i = 0; i < n_bytes && length > 0; i += length)
        length = gf__utf8_length(name + i, n_bytes - i);
    return length > 0 ? GF_OK : gf_error_set(err, GF_EFORMAT, "a name that is not UTF-8");
}

/* The open folder of an entry, made with all above it; *base is the last part. No step may be a
 * link: what the archive has put there must not lead us elsewhere. */
static gf_status open_parent(const unpacking *u, const char *name, int *parent, const char **base,
                             gf_error *err)
{
    char part[NAME_MAX + 1];
    int at = dup(u->root);
    const char *rest = name;
    for (const char *slash; at >= 0 && (slash = strchr(rest, '/')) != NULL; rest = slash + 1) {
        memcpy(part, rest, (size_t)(slash - rest));
        part[slash - rest] = '\0';
        int next = -1;
        if (mkdirat(at, part, 0755) == 0 || errno == EEXIST)
            next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(at);
        at = next;
    }
    *parent = at;
    *base = rest;
    if (at >= 0)
        return GF_OK;
    if (errno == ENOTDIR || errno == ELOOP)
        return refuse(name, "lies below something that is no folder", err);
    return gf__error_errno(err, errno, "%.120s: its folder", name);
}

/* ---- entries ---- */

static gf_status count_bytes(unpacking *u, uint64_t n_bytes, gf_error *err)
{
    if (n_bytes > u->limits->max_bytes - u->n_bytes)
        return gf_error_set(err, GF_ELIMIT, "more than %llu bytes unpacked",
                            (unsigned long long)u->limits->max_bytes);
    u->n_bytes += n_bytes;
    return GF_OK;
}

static gf_status write_block(int fd, const char *bytes, size_t n_bytes, off_t offset,
                             const char *name, gf_error *err)
{
    while (n_bytes > 0) {
        const ssize_t n = pwrite(fd, bytes, n_bytes, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gf__error_errno(err, n < 0 ? errno : ENOSPC, "%.120s: cannot write", name);
        bytes += n;
        offset += n;
        n_bytes -= (size_t)n;
    }
    return GF_OK;
}

/* Holes count as what they stand for. */
static gf_status copy_data(unpacking *u, int fd, gf_error *err)
{
    const void *block = NULL;
    size_t n_bytes = 0;
    la_int64_t offset = 0;
    uint64_t end = 0;
    gf_status st = GF_OK;
    while (st == GF_OK) {
        const int code = u->lib.read_data_block(u->archive, &block, &n_bytes, &offset);
        if (code == ARCHIVE_EOF)
            return GF_OK;
        if (code != ARCHIVE_OK || offset < 0 || (uint64_t)offset < end)
            return broken(u, err);
        st = count_bytes(u, (uint64_t)offset - end + n_bytes, err);
        end = (uint64_t)offset + n_bytes;
        if (st == GF_OK)
            st = write_block(fd, block, n_bytes, (off_t)offset, u->name, err);
        if (st == GF_OK && u->task != NULL)
            st = gf__task_check(u->task, err);
    }
    return st;
}

/* For a file or a link: an earlier one of its name goes. */
static gf_status clear_place(const unpacking *u, int parent, const char *base, gf_error *err)
{
    if (unlinkat(parent, base, 0) == 0 || errno == ENOENT)
        return GF_OK;
    if (errno == EISDIR || errno == EPERM) /* what a folder gives here and elsewhere */
        return refuse(u->name, "a file and a folder of one name", err);
    return gf__error_errno(err, errno, "%.120s: cannot replace", u->name);
}

/* A later entry of the same name takes the place of the earlier one, as tar does it. */
static gf_status unpack_file(unpacking *u, struct archive_entry *entry, int parent,
                             const char *base, gf_error *err)
{
    const mode_t mode = (u->lib.entry_perm(entry) & 0111) != 0 ? 0755 : 0644;
    gf_status st = clear_place(u, parent, base, err);
    if (st != GF_OK)
        return st;
    const int fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return gf__error_errno(err, errno, "%.120s: cannot write", u->name);
    st = copy_data(u, fd, err);
    if (close(fd) != 0 && st == GF_OK)
        st = gf__error_errno(err, errno, "%.120s: cannot write", u->name);
    return st;
}

static gf_status unpack_folder(const unpacking *u, int parent, const char *base, gf_error *err)
{
    struct stat info;
    if (mkdirat(parent, base, 0755) == 0)
        return GF_OK;
    if (errno == EEXIST && fstatat(parent, base, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(info.st_mode))
        return GF_OK;
    return refuse(u->name, "a file and a folder of one name", err);
}

/* "../../a/b" from a folder that is deep enough. ".." after a name is refused: it would depend
 * on what that name is. */
static bool stays_inside(const char *name, const char *target)
{
    size_t depth = 0, n_up = 0;
    bool is_down = false;
    for (const char *c = name; *c != '\0'; c++)
        depth += *c == '/';
    if (target[0] == '/' || target[0] == '\0' || strlen(target) >= MAX_NAME)
        return false;
    for (const char *part = target; *part != '\0';) {
        const size_t n_part = strcspn(part, "/");
        const bool is_up = n_part == 2 && strncmp(part, "..", 2) == 0;
        if (is_up && is_down)
            return false;
        n_up += is_up;
        is_down = is_down || (!is_up && n_part > 0 && !(n_part == 1 && part[0] == '.'));
        part += n_part + (part[n_part] == '/');
    }
    return n_up <= depth;
}

static gf_status unpack_link(const unpacking *u, const char *target, int parent, const char *base,
                             gf_error *err)
{
    if (target == NULL || !stays_inside(u->name, target))
        return refuse(u->name, "a link to something outside of the package", err);
    const gf_status st = clear_place(u, parent, base, err);
    if (st == GF_OK && symlinkat(target, parent, base) != 0)
        return gf__error_errno(err, errno, "%.120s: cannot make the link", u->name);
    return st;
}

/* A second name of a file that came before: of a real one, at the end of real folders. */
static gf_status unpack_second_name(const unpacking *u, const char *target, int parent,
                                    const char *base, gf_error *err)
{
    char clean[MAX_NAME];
    const char *target_base = NULL;
    struct stat info;
    int target_parent = -1;
    gf_status st = clean_name(target, clean, err);
    if (st == GF_OK)
        st = open_parent(u, clean, &target_parent, &target_base, err);
    if (st != GF_OK)
        return st;
    if (fstatat(target_parent, target_base, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(info.st_mode))
        st = refuse(u->name, "a second name of a file that is not in the package before it", err);
    else if (strcmp(clean, u->name) != 0)
        st = clear_place(u, parent, base, err);
    if (st == GF_OK && strcmp(clean, u->name) != 0 &&
        linkat(target_parent, target_base, parent, base, 0) != 0)
        st = gf__error_errno(err, errno, "%.120s: cannot make the link", u->name);
    close(target_parent);
    return st;
}

static gf_status unpack_kind(unpacking *u, struct archive_entry *entry, int parent,
                             const char *base, gf_error *err)
{
    const char *second = u->lib.entry_hardlink_utf8(entry);
    const char *target = u->lib.entry_symlink_utf8(entry);
    second = second != NULL ? second : u->lib.entry_hardlink(entry);
    if (second != NULL)
        return unpack_second_name(u, second, parent, base, err);
    switch (u->lib.entry_filetype(entry)) {
    case AE_IFREG:
        return unpack_file(u, entry, parent, base, err);
    case AE_IFDIR:
        return unpack_folder(u, parent, base, err);
    case AE_IFLNK:
        return unpack_link(u, target != NULL ? target : u->lib.entry_symlink(entry), parent, base,
                           err);
    default:
        return refuse(u->name, "neither a file nor a folder: devices and pipes are not unpacked",
                      err);
    }
}

static gf_status unpack_entry(unpacking *u, struct archive_entry *entry, gf_error *err)
{
    const char *name = u->lib.entry_pathname_utf8(entry), *base = NULL;
    int parent = -1;
    if (++u->n_entries > u->limits->max_entries)
        return gf_error_set(err, GF_ELIMIT, "more than %zu files and folders",
                            u->limits->max_entries);
    gf_status st = clean_name(name != NULL ? name : u->lib.entry_pathname(entry), u->name, err);
    if (st == GF_OK)
        st = check_utf8(u->name, err);
    if (st != GF_OK || u->name[0] == '\0')
        return st;
    st = open_parent(u, u->name, &parent, &base, err);
    if (st != GF_OK)
        return st;
    st = unpack_kind(u, entry, parent, base, err);
    close(parent);
    return st;
}

/* ---- the archive ---- */

static gf_status open_archive(unpacking *u, const char *path, gf_error *err)
{
    u->archive = u->lib.read_new();
    if (u->archive == NULL)
        return gf__error_nomem(err, "an archive", 0);
    if (u->lib.read_support_filter_gzip(u->archive) < ARCHIVE_WARN ||
        u->lib.read_support_filter_bzip2(u->archive) < ARCHIVE_WARN ||
        u->lib.read_support_filter_xz(u->archive) < ARCHIVE_WARN ||
        u->lib.read_support_format_tar(u->archive) < ARCHIVE_WARN ||
        u->lib.read_support_format_zip(u->archive) < ARCHIVE_WARN ||
        u->lib.read_open_filename(u->archive, path, BLOCK_BYTES) != ARCHIVE_OK)
        return broken(u, err);
    return GF_OK;
}

static gf_status unpack_all(unpacking *u, gf_error *err)
{
    gf_status st = GF_OK;
    while (st == GF_OK) {
        struct archive_entry *entry = NULL;
        const int code = u->lib.read_next_header(u->archive, &entry);
        if (code == ARCHIVE_EOF)
            break;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            return broken(u, err);
        st = unpack_entry(u, entry, err);
    }
    if (st == GF_OK && u->n_entries == 0)
        return gf_error_set(
            err, GF_EFORMAT,
            "nothing is in it; expected a .tar.gz, .tar.bz2, .tar.xz, .zip or .whl");
    return st;
}

gf_status gf__archive_unpack(const gf__task *task, const char *path, const char *dir,
                             const gf__archive_limits *limits, gf_error *err)
{
    unpacking u = {.task = task, .limits = limits, .root = -1};
    gf_status st = load_library(&u.lib, err);
    if (st == GF_OK)
        st = gf__make_dirs(dir, err);
    if (st == GF_OK) {
        u.root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        st = u.root >= 0 ? GF_OK : gf__error_errno(err, errno, "%s", dir);
    }
    if (st == GF_OK)
        st = open_archive(&u, path, err);
    if (st == GF_OK)
        st = unpack_all(&u, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", gf__path_base(path));
    if (u.archive != NULL)
        u.lib.read_free(u.archive);
    if (u.root >= 0)
        close(u.root);
    return st;
}
