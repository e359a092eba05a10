/* registry/origin.c: what an address means on this machine, and the files there.
 *
 *     gs://BUCKET/PATH     HOME/buckets/BUCKET/PATH, no step of it a link
 *     file:///PATH         if its real path is below one of the file roots
 *     PATH                 for callers on this machine
 *
 * The first two come from clients that must not see more of the machine than they were given. */
#include "registry/registry_priv.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "registry/registry.h"

#define MAX_DEPTH 32 /* folders in folders; also what ends a circle of links */

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Cloud Storage's rule: 3 to 63 of a-z 0-9 - _ . between letters or digits. */
static bool is_bucket_name(const char *name, size_t n_chars)
{
    bool is_good = n_chars >= 3 && n_chars <= 63;
    for (size_t i = 0; is_good && i < n_chars; i++) {
        const bool is_inner = i > 0 && i < n_chars - 1 && memchr("-_.", name[i], 3) != NULL;
        is_good = islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]) || is_inner;
    }
    return is_good;
}

static gf_status refuse_link(const char *path, const char *address, gf_error *err)
{
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode))
        return gf_error_set(err, GF_EINVAL, "%s: %s is a link; links are not followed in buckets",
                            address, gf__path_base(path));
    return GF_OK;
}

/* Appends the parts of rest to path, one by one, and looks at each. */
static gf_status walk_bucket(const char *address, const char *rest, gf__buffer *path, gf_error *err)
{
    gf_status st = GF_OK;
    while (*rest != '\0' && st == GF_OK) {
        const size_t n_chars = strcspn(rest, "/");
        if (n_chars == 0 || (n_chars <= 2 && strncmp(rest, "..", n_chars) == 0))
            return gf_error_set(err, GF_EINVAL,
                                "%s: an empty part, \".\" or \"..\" is not allowed in it", address);
        gf__buffer_puts(path, "/");
        gf__buffer_append(path, rest, n_chars);
        st = gf__buffer_status(path, err);
        if (st == GF_OK)
            st = refuse_link(path->data, address, err);
        rest += n_chars + (rest[n_chars] == '/' ? 1 : 0);
    }
    return st;
}

gf_status gf__bucket_resolve(const char *buckets_dir, const char *address, char **path,
                             gf_error *err)
{
    const char *bucket = address + strlen("gs://");
    gf__buffer built = {0};
    if (!is_bucket_name(bucket, strcspn(bucket, "/")))
        return gf_error_set(err, GF_EINVAL,
                            "%s: expected gs://BUCKET/PATH; a bucket has 3 to 63 of a-z 0-9 - _ .",
                            address);
    gf__buffer_puts(&built, buckets_dir);
    gf_status st = walk_bucket(address, bucket, &built, err);
    if (st == GF_OK)
        st = gf__buffer_status(&built, err);
    if (st == GF_OK)
        *path = gf__buffer_take(&built, NULL);
    gf__buffer_free(&built);
    return st;
}

static gf_status find_real_path(const char *path, const char *address, char **out, gf_error *err)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL)
        return gf__error_errno(err, errno, "%s", address);
    *out = gf__strdup(real);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(path));
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* %41 is A; new. GF_EINVAL for a broken escape and for a NUL. */
static gf_status decode_percent(const char *address, const char *text, char **out, gf_error *err)
{
    gf__buffer decoded = {0};
    gf_status st = GF_OK;
    for (; *text != '\0' && st == GF_OK; text++) {
        char c = *text;
        if (c == '%') {
            const int high = hex_digit(text[1]);
            const int low = high >= 0 ? hex_digit(text[2]) : -1;
            if (low < 0 || high * 16 + low == 0)
                st = gf_error_set(err, GF_EINVAL, "%s: a '%%' without two hex digits", address);
            c = (char)(high * 16 + low);
            text += st == GF_OK ? 2 : 0;
        }
        gf__buffer_append(&decoded, &c, 1);
    }
    if (st == GF_OK)
        st = gf__buffer_status(&decoded, err);
    if (st == GF_OK)
        *out = gf__buffer_take(&decoded, NULL);
    gf__buffer_free(&decoded);
    return st;
}

static gf_status check_roots(const gf_registry *registry, const char *address, const char *path,
                             gf_error *err)
{
    for (size_t i = 0; i < registry->options.n_file_roots; i++) {
        char root[PATH_MAX];
        if (realpath(registry->file_roots[i], root) == NULL)
            continue;
        const size_t n_chars = strlen(root);
        if (strncmp(path, root, n_chars) == 0 &&
            (path[n_chars] == '/' || path[n_chars] == '\0' || n_chars == 1))
            return GF_OK;
    }
    return gf_error_set(err, GF_EINVAL, "%s: not below a folder that file:// may point into",
                        address);
}

static gf_status resolve_file(const gf_registry *registry, const char *address, char **path,
                              gf_error *err)
{
    char *decoded = NULL;
    const char *rest = address + strlen("file://");
    if (registry->options.n_file_roots == 0)
        return gf_error_set(
            err, GF_EINVAL,
            "%s: file:// addresses are not allowed here; upload to a bucket and use "
            "gs://",
            address);
    if (has_prefix(rest, "localhost/"))
        rest += strlen("localhost");
    if (rest[0] != '/')
        return gf_error_set(err, GF_EINVAL, "%s: expected file:///PATH", address);
    gf_status st = decode_percent(address, rest, &decoded, err);
    if (st == GF_OK)
        st = find_real_path(decoded, address, path, err);
    /* One answer for what is outside and what does not exist: a client must not learn what there
     * is. */
    if (st == GF_ENOTFOUND || st == GF_EIO)
        st = check_roots(registry, address, "", err);
    else if (st == GF_OK)
        st = check_roots(registry, address, *path, err);
    gf__free(decoded);
    return st;
}

gf_status gf__registry_resolve(gf_registry *registry, const char *address, char **path,
                               gf_error *err)
{
    gf_status st;
    *path = NULL;
    if (has_prefix(address, "gs://"))
        st = gf__bucket_resolve(registry->buckets_dir, address, path, err);
    else if (has_prefix(address, "file://"))
        st = resolve_file(registry, address, path, err);
    else if (strstr(address, "://") != NULL)
        st = gf_error_set(err, GF_EINVAL, "%s: expected gs://BUCKET/PATH", address);
    else if (registry->options.takes_local_paths)
        st = find_real_path(address, address, path, err);
    else
        st = gf_error_set(
            err, GF_EINVAL,
            "%s: expected gs://BUCKET/PATH; a path is taken on the server's own machine "
            "only",
            address);
    if (st != GF_OK) {
        gf__free(*path);
        *path = NULL;
    }
    return st;
}

gf_status gf__origin_find(gf_registry *registry, const char *address, char **path, gf_error *err)
{
    gf_status st = gf__registry_resolve(registry, address, path, err);
    if (st == GF_OK && !gf__is_file(*path) && !gf__is_dir(*path))
        st = gf_error_set(err, GF_ENOTFOUND, "%s: no such file or folder", address);
    if (st != GF_OK) {
        gf__error_prefix(err, "deploymentUri");
        gf__free(*path);
        *path = NULL;
    }
    return st;
}

static bool is_utf8(const char *text)
{
    const size_t n_bytes = strlen(text);
    size_t length = 1;
    for (size_t i = 0; i < n_bytes && length > 0; i += length)
        length = gf__utf8_length(text + i, n_bytes - i);
    return length > 0;
}

static gf_status grow(gf__origin *source, gf_error *err)
{
    if (source->n_files < source->capacity)
        return GF_OK;
    const size_t capacity = source->capacity == 0 ? 16 : source->capacity * 2;
    gf__origin_file *files = gf__realloc(source->files, capacity * sizeof *files);
    if (files == NULL)
        return gf__error_nomem(err, "a list of files", capacity * sizeof *files);
    source->files = files;
    source->capacity = capacity;
    return GF_OK;
}

static gf_status add_file(const gf_registry_options *limits, const char *absolute,
                          const char *relative, uint64_t size_bytes, gf__origin *out, gf_error *err)
{
    if (out->n_files == limits->max_version_files)
        return gf_error_set(err, GF_ELIMIT, "deploymentUri: more than %zu files",
                            limits->max_version_files);
    if (size_bytes > limits->max_version_bytes ||
        out->size_bytes > limits->max_version_bytes - size_bytes)
        return gf_error_set(err, GF_ELIMIT, "deploymentUri: files of more than %llu bytes together",
                            (unsigned long long)limits->max_version_bytes);
    if (!is_utf8(relative))
        return gf_error_set(err, GF_EINVAL, "deploymentUri: %s: the name is not UTF-8", relative);
    const gf_status st = grow(out, err);
    if (st != GF_OK)
        return st;
    gf__origin_file *file = &out->files[out->n_files++];
    *file = (gf__origin_file){
        .path = gf__strdup(relative), .absolute = gf__strdup(absolute), .size_bytes = size_bytes};
    out->size_bytes += size_bytes;
    return file->path != NULL && file->absolute != NULL ? GF_OK : gf__error_nomem(err, "a path", 0);
}

static gf_status add_entry(const gf_registry_options *limits, const char *absolute,
                           const char *relative, int depth, gf__origin *out, gf_error *err);

static gf_status add_folder(const gf_registry_options *limits, const char *absolute,
                            const char *relative, int depth, gf__origin *out, gf_error *err)
{
    gf__dir_list list;
    if (depth == MAX_DEPTH)
        return gf_error_set(err, GF_ELIMIT, "deploymentUri: %s: more than %d folders deep",
                            relative, MAX_DEPTH);
    gf_status st = gf__list_dir(absolute, &list, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < list.n_names && st == GF_OK; i++) {
        char *inner = gf__path_join(absolute, list.names[i]);
        char *name = relative[0] != '\0' ? gf__path_join(relative, list.names[i])
                                         : gf__strdup(list.names[i]);
        st = inner != NULL && name != NULL ? add_entry(limits, inner, name, depth + 1, out, err)
                                           : gf__error_nomem(err, "a path", 0);
        gf__free(name);
        gf__free(inner);
    }
    gf__dir_list_free(&list);
    return st;
}

static gf_status add_entry(const gf_registry_options *limits, const char *absolute,
                           const char *relative, int depth, gf__origin *out, gf_error *err)
{
    struct stat info;
    if ((out->follows_links ? stat(absolute, &info) : lstat(absolute, &info)) != 0)
        return gf__error_errno(err, errno, "deploymentUri: %s", relative);
    if (S_ISDIR(info.st_mode))
        return add_folder(limits, absolute, relative, depth, out, err);
    if (S_ISREG(info.st_mode))
        return add_file(limits, absolute, relative, (uint64_t)info.st_size, out, err);
    return gf_error_set(err, GF_EINVAL, "deploymentUri: %s: %s", relative,
                        S_ISLNK(info.st_mode) ? "a link; links are not followed here"
                                              : "neither a file nor a folder");
}

gf_status gf__origin_list(gf_registry *registry, const char *address, const char *path,
                          gf__origin *out, gf_error *err)
{
    char *again = NULL;
    gf_status st = GF_OK;
    *out = (gf__origin){.follows_links = strstr(address, "://") == NULL};
    /* A bucket may have changed since the request: it is looked at again. The others were
     * resolved for their caller. */
    if (has_prefix(address, "gs://"))
        st = gf__origin_find(registry, address, &again, err);
    if (again != NULL)
        path = again;
    if (st == GF_OK && gf__is_dir(path))
        st = add_folder(&registry->options, path, "", 0, out, err);
    else if (st == GF_OK)
        st = add_entry(&registry->options, path, gf__path_base(path), 0, out, err);
    if (st == GF_OK && out->n_files == 0)
        st = gf_error_set(err, GF_ENOTFOUND, "deploymentUri: %s: an empty folder", address);
    gf__free(again);
    return st;
}

void gf__origin_free(gf__origin *source)
{
    for (size_t i = 0; i < source->n_files; i++) {
        gf__free(source->files[i].path);
        gf__free(source->files[i].absolute);
    }
    gf__free(source->files);
    *source = (gf__origin){0};
}
