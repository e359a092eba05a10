/* server/objects.c: one object of a bucket: put in whole or not at all, sent, removed. What gs://
 * addresses mean, and that none leads out of the buckets, is the registry's to say.
 *
 * An upload's body is in a file beside the buckets already. It is made durable and renamed to its
 * place, so a reader (a version being created, too) has the old bytes or the new ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/graft_v1_priv.h"

#define MAX_NAME    1024 /* bytes, as in Cloud Storage */
#define MAX_PART    255  /* what file systems take */
#define MAX_FOLDERS 32   /* as deep as a version's files may lie */
#define MAX_TRIES   16   /* against others who remove a folder while it is being filled */

gf__json *gf__object_document(const char *bucket, const char *name, const struct stat *info)
{
    char size[24], updated[32] = "";
    struct tm utc;
    gf__json *document = gf__json_object();
    snprintf(size, sizeof size, "%lld", (long long)info->st_size);
    if (gmtime_r(&info->st_mtime, &utc) != NULL)
        strftime(updated, sizeof updated, "%Y-%m-%dT%H:%M:%SZ", &utc);
    gf__json_set_string(document, "name", name);
    gf__json_set_string(document, "bucket", bucket);
    gf__json_set_string(document, "size", size);
    gf__json_set_string(document, "updated", updated);
    return document;
}

/* What the registry's rules for addresses do not say. */
static gf_status check_name(const char *name, gf_error *err)
{
    const size_t n_chars = strlen(name);
    size_t n_parts = 0;
    if (n_chars > MAX_NAME)
        return gf_error_set(err, GF_EINVAL, "an object's name of %zu bytes, at most %d are taken",
                            n_chars, MAX_NAME);
    if (n_chars == 0 || name[n_chars - 1] == '/')
        return gf_error_set(err, GF_EINVAL, "object \"%.200s\": a name does not end in a slash",
                            name);
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return gf_error_set(err, GF_EINVAL, "an object's name with the byte 0x%02x in it", *c);
    for (const char *part = name; *part != '\0'; part += *part == '/' ? 1 : 0) {
        const size_t n_part = strcspn(part, "/");
        if (n_part > MAX_PART)
            return gf_error_set(err, GF_EINVAL,
                                "object \"%.40s...\": %zu bytes without a slash, "
                                "at most %d are taken",
                                part, n_part, MAX_PART);
        part += n_part;
        n_parts++;
    }
    if (n_parts > MAX_FOLDERS)
        return gf_error_set(err, GF_EINVAL, "object \"%.60s...\": %zu folders deep, at most %d",
                            name, n_parts - 1, MAX_FOLDERS - 1);
    return GF_OK;
}

/* The object's place on this machine; new. */
static gf_status find_path(gf_server *server, const gf__request *request, char **path,
                           gf_error *err)
{
    const char *bucket = request->params[0], *name = request->params[1];
    *path = NULL;
    gf_status st = check_name(name, err);
    if (st != GF_OK)
        return st;
    char *address = gf__asprintf("gs://%s/%s", bucket, name);
    st = address != NULL ? gf__registry_resolve(server->registry, address, path, err)
                         : gf__error_nomem(err, "an address", strlen(name));
    gf__free(address);
    return st;
}

static gf_status not_found(const gf__request *request, gf_error *err)
{
    return gf_error_set(err, GF_ENOTFOUND, "gs://%s/%.200s: no such object", request->params[0],
                        request->params[1]);
}

/* ---- putting ---- */

static gf_status sync_path(const char *path, int flags, gf_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return gf__error_errno(err, errno, "%s: cannot open", path);
    const int code = fsync(fd);
    const int why = errno;
    close(fd);
    return code == 0 ? GF_OK : gf__error_errno(err, why, "%s: cannot write", path);
}

/* The folders from the object's own up to the buckets': each may be new, and is known to its
 * parent only. */
static gf_status sync_folders(const char *path, const char *bucket, const char *name, gf_error *err)
{
    const size_t n_inner = strlen(bucket) + 1 + strlen(name);
    char *folder = gf__strdup(path);
    if (folder == NULL)
        return gf__error_nomem(err, "a path", strlen(path));
    char *top = folder + strlen(folder) - n_inner - 1; /* the slash before the bucket */
    gf_status st = GF_OK;
    for (char *slash = strrchr(folder, '/'); st == GF_OK && slash != NULL && slash >= top;
         slash = strrchr(folder, '/')) {
        *slash = '\0';
        st = sync_path(folder, O_DIRECTORY, err);
    }
    gf__free(folder);
    return st;
}

static gf_status make_folder_of(const char *path, gf_error *err)
{
    char *folder = gf__strndup(path, (size_t)(gf__path_base(path) - path) - 1);
    if (folder == NULL)
        return gf__error_nomem(err, "a path", strlen(path));
    const gf_status st = gf__make_dirs(folder, err);
    gf__free(folder);
    return st;
}

/* A folder where the file should be, or a file where one of its folders should be: the client's
 * choice of names. */
static bool is_name_taken(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0)
        return !S_ISREG(info.st_mode);
    return errno == ENOTDIR;
}

static gf_status move_in(const char *from, const char *to, const gf__request *request,
                         gf_error *err)
{
    gf_status st = GF_OK;
    int code = -1;
    errno = ENOENT;
    for (int i = 0; i < MAX_TRIES && code != 0 && errno == ENOENT && st == GF_OK; i++) {
        st = make_folder_of(to, err);
        code = st == GF_OK ? rename(from, to) : -1;
    }
    if (code == 0)
        return GF_OK;
    const int why = errno;
    if (is_name_taken(to))
        return gf_error_set(err, GF_EINVAL,
                            "gs://%s/%.200s: a folder and an object would have one name; delete "
                            "the other first",
                            request->params[0], request->params[1]);
    return st != GF_OK ? st : gf__error_errno(err, why, "%s: cannot write", to);
}

static gf_status describe_upload(const gf__request *request, const char *sha256, const char *path,
                                 gf__response *response, gf_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0) /* deleted since */
        return not_found(request, err);
    gf__json *document = gf__object_document(request->params[0], request->params[1], &info);
    gf__json_set_string(document, "sha256", sha256);
    return gf__respond_json(request, response, document, err);
}

gf_status gf__handle_put_object(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    char sha256[GF__SHA256_HEX];
    char *path = NULL;
    gf_status st = find_path(server, request, &path, err);
    if (st != GF_OK)
        return st;
    st = gf__hash_file(GF__HASH_SHA256, request->body, sha256, err);
    if (st == GF_OK)
        st = sync_path(request->body, 0, err);
    if (st == GF_OK)
        st = move_in(request->body, path, request, err);
    if (st == GF_OK)
        st = sync_folders(path, request->params[0], request->params[1], err);
    if (st == GF_OK)
        st = describe_upload(request, sha256, path, response, err);
    gf__free(path);
    return st;
}

/* ---- getting, deleting ---- */

gf_status gf__handle_get_object(gf_server *server, gf__request *request, gf__response *response,
                                gf_error *err)
{
    struct stat info;
    char *path = NULL;
    const gf_status st = find_path(server, request, &path, err);
    if (st != GF_OK)
        return st;
    if (lstat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
        gf__free(path);
        return not_found(request, err);
    }
    response->content_type = "application/octet-stream";
    response->file_path = path;
    return GF_OK;
}

/* Folders are there for their objects. The bucket itself stays. */
static void remove_empty_folders(char *path, const char *name)
{
    char *top = path + strlen(path) - strlen(name) - 1; /* the slash behind the bucket */
    for (char *slash = strrchr(path, '/'); slash != NULL && slash > top;
         slash = strrchr(path, '/')) {
        *slash = '\0';
        if (rmdir(path) != 0)
            return;
    }
}

gf_status gf__handle_delete_object(gf_server *server, gf__request *request, gf__response *response,
                                   gf_error *err)
{
    struct stat info;
    char *path = NULL;
    gf_status st = find_path(server, request, &path, err);
    if (st != GF_OK)
        return st;
    if (lstat(path, &info) != 0 || !S_ISREG(info.st_mode))
        st = not_found(request, err);
    else if (unlink(path) != 0)
        st = errno == ENOENT ? not_found(request, err)
                             : gf__error_errno(err, errno, "%s: cannot delete", path);
    if (st == GF_OK) {
        remove_empty_folders(path, request->params[1]);
        st = gf__respond_json(request, response, gf__json_object(), err);
    }
    gf__free(path);
    return st;
}
