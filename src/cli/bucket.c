/* cli/bucket.c: graft bucket cp, ls, rm: files into a server's buckets, out of them, and away. */
#include "cli/bucket.h"

#include <inttypes.h>
#include <string.h>

#define MAX_DEPTH 32

bool gf__is_gs(const char *text)
{
    return strncmp(text, "gs://", 5) == 0;
}

/* "." or ".." among the names of a path, which would be taken out of an address on its way. */
static bool has_dots(const char *path)
{
    while (*path != '\0') {
        const size_t n = strcspn(path, "/");
        if ((n == 1 || n == 2) && strncmp(path, "..", n) == 0)
            return true;
        path += path[n] == '/' ? n + 1 : n;
    }
    return false;
}

/* "/graft/v1/buckets/BUCKET/objects/PATH" of gs://BUCKET/PATH; without PATH where that is empty. */
static gf_status object_url(const char *address, char **url, gf_error *err)
{
    const char *bucket = address + strlen("gs://");
    const size_t n_bucket = strcspn(bucket, "/");
    gf__buffer built = {0};
    *url = NULL;
    if (n_bucket == 0)
        return gf_error_set(err, GF_EINVAL, "%s: expected gs://BUCKET/PATH", address);
    if (has_dots(bucket))
        return gf_error_set(err, GF_EINVAL, "%s: . and .. are no names here", address);
    char *name = gf__strndup(bucket, n_bucket);
    gf__buffer_puts(&built, "/graft/v1/buckets/");
    gf__url_encode(&built, name != NULL ? name : "", false);
    gf__buffer_puts(&built, "/objects");
    if (bucket[n_bucket] == '/' && bucket[n_bucket + 1] != '\0')
        gf__url_encode(&built, bucket + n_bucket, true);
    const gf_status st = name != NULL ? gf__buffer_status(&built, err)
                                      : gf__error_nomem(err, "an address", n_bucket);
    if (st == GF_OK)
        *url = gf__buffer_take(&built, NULL);
    gf__buffer_free(&built);
    gf__free(name);
    return st;
}

/* ---- uploading ------------------------------------------------------------------------------- */

/* request: what the body is. */
static gf_status put_object(gf__remote *remote, const char *address, gf__http_request request,
                            gf_error *err)
{
    gf__http_answer answer = {0};
    char *url = NULL;
    gf_status st = object_url(address, &url, err);
    request.method = "PUT";
    request.url = url;
    request.content_type = "application/octet-stream";
    if (st == GF_OK)
        st = gf__remote_send(remote, &request, &answer, err);
    gf__http_answer_free(&answer);
    gf__free(url);
    return st;
}

static gf_status upload_file(gf__remote *remote, const char *path, const char *address,
                             gf_error *err)
{
    return put_object(remote, address, (gf__http_request){.body_path = path}, err);
}

gf_status gf__bucket_put(gf__remote *remote, const void *bytes, size_t n_bytes, const char *address,
                         gf_error *err)
{
    return put_object(remote, address, (gf__http_request){.body = bytes, .n_body_bytes = n_bytes},
                      err);
}

/* address: of the folder, without a slash at its end. */
static gf_status upload_folder(gf__remote *remote, const char *path, const char *address, int depth,
                               gf_error *err)
{
    gf__dir_list list = {0};
    if (depth > MAX_DEPTH)
        return gf_error_set(err, GF_ELIMIT, "%s: more than %d folders deep", path, MAX_DEPTH);
    gf_status st = gf__list_dir(path, &list, err);
    if (st == GF_OK && depth == 0 && list.n_names == 0)
        st = gf_error_set(err, GF_EINVAL, "%s: is an empty folder; nothing to upload", path);
    for (size_t i = 0; i < list.n_names && st == GF_OK; i++) {
        char *inner = gf__path_join(path, list.names[i]);
        char *target = gf__asprintf("%s/%s", address, list.names[i]);
        if (inner == NULL || target == NULL)
            st = gf__error_nomem(err, "a path", 0);
        else if (gf__is_dir(inner))
            st = upload_folder(remote, inner, target, depth + 1, err);
        else
            st = upload_file(remote, inner, target, err);
        gf__free(inner);
        gf__free(target);
    }
    gf__dir_list_free(&list);
    return st;
}

gf_status gf__bucket_upload(gf__remote *remote, const char *path, const char *address,
                            bool is_recursive, char **stored, gf_error *err)
{
    const size_t n_address = strlen(address);
    const bool is_dir = gf__is_dir(path);
    const bool is_bare = strchr(address + strlen("gs://"), '/') == NULL;
    size_t n_path = strlen(path);
    gf_status st = GF_OK;
    while (n_path > 1 && path[n_path - 1] == '/')
        n_path--;
    char *plain = gf__strndup(path, n_path);
    const char *base = plain != NULL ? gf__path_base(plain) : "";
    const char *slash = is_bare ? "/" : "";
    char *target = is_bare || address[n_address - 1] == '/'
                       ? gf__asprintf("%s%s%s", address, slash, base)
                       : gf__strdup(address);
    if (plain == NULL || target == NULL)
        st = gf__error_nomem(err, "a path", n_path);
    else if (is_dir && !is_recursive)
        st = gf_error_set(err, GF_EINVAL, "%s: is a folder; take all of it with --recursive", path);
    else if (is_dir)
        st = upload_folder(remote, plain, target, 0, err);
    else
        st = upload_file(remote, plain, target, err);
    gf__free(plain);
    if (st == GF_OK && stored != NULL) {
        *stored = target;
        target = NULL;
    }
    gf__free(target);
    return st;
}

/* ---- listing --------------------------------------------------------------------------------- */

/* The objects below gs://BUCKET/PREFIX: [{"name","size","updated"}]. For "gs://": the buckets. */
static gf_status list_objects(gf__remote *remote, const char *address, gf__json **out,
                              gf_error *err)
{
    const char *bucket = address + strlen("gs://");
    char *url = NULL;
    gf__list_query query = {.key = "items", .name = "prefix"};
    if (bucket[0] == '\0')
        return gf__remote_list(remote, "/graft/v1/buckets", &query, out, err);
    const char *slash = strchr(bucket, '/');
    char *top = slash != NULL ? gf__strndup(address, (size_t)(slash - address))
                              : gf__strdup(address);
    gf_status st = top != NULL ? object_url(top, &url, err)
                               : gf__error_nomem(err, "an address", strlen(address));
    if (slash != NULL && slash[1] != '\0')
        query.value = slash + 1;
    if (st == GF_OK)
        st = gf__remote_list(remote, url, &query, out, err);
    gf__free(top);
    gf__free(url);
    return st;
}

gf_status gf__bucket_has(gf__remote *remote, const char *address, bool *out, gf_error *err)
{
    gf__json *objects = NULL;
    const char *slash = strchr(address + strlen("gs://"), '/');
    *out = false;
    const gf_status st = list_objects(remote, address, &objects, err);
    for (size_t i = 0; i < gf__json_n_items(objects) && slash != NULL && !*out; i++)
        *out = strcmp(gf__json_string(gf__json_find(gf__json_at(objects, i), "name"), ""),
                      slash + 1) == 0;
    gf__json_free(objects);
    return st == GF_ENOTFOUND ? GF_OK : st;
}

/* The name of an object below the folder that prefix names; NULL where it is not in it. */
static const char *below(const char *name, const char *prefix)
{
    size_t n_chars = strlen(prefix);
    while (n_chars > 0 && prefix[n_chars - 1] == '/')
        n_chars--;
    if (strncmp(name, prefix, n_chars) != 0)
        return NULL;
    if (n_chars == 0)
        return name;
    return name[n_chars] == '/' ? name + n_chars + 1 : NULL;
}

/* What stands behind gs://BUCKET/. */
static const char *prefix_of(const char *address)
{
    const char *slash = strchr(address + strlen("gs://"), '/');
    return slash != NULL ? slash + 1 : "";
}

/* Calls visit for every object of the folder at address. GF_ENOTFOUND where there is none. */
static gf_status visit_folder(gf__remote *remote, const char *address,
                              gf_status (*visit)(void *user, const char *object, const char *inner,
                                                 gf_error *err),
                              void *user, gf_error *err)
{
    gf__json *objects = NULL;
    size_t n_found = 0;
    const char *prefix = prefix_of(address);
    const int n_bucket = (int)(strlen("gs://") + strcspn(address + strlen("gs://"), "/"));
    const bool is_folder = prefix[0] == '\0' || prefix[strlen(prefix) - 1] == '/';
    char *folder = gf__asprintf("%s%s", address, is_folder ? "" : "/");
    gf_status st = folder != NULL ? list_objects(remote, folder, &objects, err)
                                  : gf__error_nomem(err, "an address", strlen(address));
    gf__free(folder);
    for (size_t i = 0; i < gf__json_n_items(objects) && st == GF_OK; i++) {
        const char *name = gf__json_string(gf__json_find(gf__json_at(objects, i), "name"), "");
        const char *inner = below(name, prefix);
        if (inner == NULL)
            continue;
        char *object = gf__asprintf("%.*s/%s", n_bucket, address, name);
        st = object != NULL ? visit(user, object, inner, err)
                            : gf__error_nomem(err, "an address", strlen(name));
        gf__free(object);
        n_found++;
    }
    if (st == GF_OK && n_found == 0)
        st = gf_error_set(err, GF_ENOTFOUND, "%s: nothing there", address);
    gf__json_free(objects);
    return st;
}

/* ---- downloading ----------------------------------------------------------------------------- */

static gf_status download_file(gf__remote *remote, const char *address, const char *path,
                               gf_error *err)
{
    gf__http_answer answer = {0};
    char *url = NULL,
         *inner = gf__is_dir(path) ? gf__path_join(path, gf__path_base(address)) : gf__strdup(path);
    gf_status st = inner != NULL ? object_url(address, &url, err)
                                 : gf__error_nomem(err, "a path", strlen(path));
    if (st == GF_OK)
        st = gf__remote_send(remote, &(gf__http_request){.url = url, .answer_path = inner}, &answer,
                             err);
    gf__http_answer_free(&answer);
    gf__free(inner);
    gf__free(url);
    return st;
}

typedef struct folder_copy {
    gf__remote *remote;
    const char *target;
} folder_copy;

/* A server must not write where it likes: "..", an absolute name. */
static bool is_safe_name(const char *name)
{
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        const size_t n_chars = strcspn(part, "/");
        if (n_chars == 0 || (n_chars <= 2 && strncmp(part, "..", n_chars) == 0))
            return false;
        part += n_chars;
        if (*part == '\0')
            break;
    }
    return true;
}

static gf_status download_object(void *user, const char *object, const char *inner, gf_error *err)
{
    const folder_copy *copy = user;
    if (!is_safe_name(inner))
        return gf_error_set(err, GF_EFORMAT, "%s: not a name that a file can have here", object);
    char *path = gf__path_join(copy->target, inner);
    char *dir = path != NULL ? gf__strndup(path, (size_t)(gf__path_base(path) - path)) : NULL;
    gf_status st = dir != NULL ? gf__make_dirs(dir, err) : gf__error_nomem(err, "a path", 0);
    if (st == GF_OK)
        st = download_file(copy->remote, object, path, err);
    gf__free(dir);
    gf__free(path);
    return st;
}

/* ---- the commands ---------------------------------------------------------------------------- */

typedef struct bucket_settings {
    gf__remote_settings remote;
    bool is_recursive, is_long;
} bucket_settings;

static const gf__option cp_options[] = {
    GF__FLAG("--recursive", bucket_settings, is_recursive,
             "Copy folders with all in them. Short: -r."),
    GF__REMOTE_OPTIONS(bucket_settings),
};

static const gf__option ls_options[] = {
    GF__FLAG("--long", bucket_settings, is_long, "Sizes, too."),
    GF__REMOTE_OPTIONS(bucket_settings),
    GF__FORMAT_OPTION(bucket_settings),
};

static gf_status copy_one(gf__cli *cli, gf__remote *remote, bool is_recursive, const char *from,
                          const char *to, gf_error *err)
{
    gf_status st;
    if (gf__is_gs(from) == gf__is_gs(to))
        return gf_error_set(err, GF_EINVAL, "%s, %s: expected one gs://BUCKET/PATH and one path",
                            from, to);
    if (gf__is_gs(to)) {
        char *stored = NULL;
        st = gf__bucket_upload(remote, from, to, is_recursive, &stored, err);
        if (st == GF_OK)
            gf__cli_note(cli, "%s -> %s", from, stored);
        gf__free(stored);
        return st;
    }
    if (is_recursive)
        st = visit_folder(remote, from, download_object,
                          &(folder_copy){.remote = remote, .target = to}, err);
    else
        st = download_file(remote, from, to, err);
    if (st == GF_OK)
        gf__cli_note(cli, "%s -> %s", from, to);
    return st;
}

static gf_status run_cp(gf__cli *cli, const void *settings, gf_error *err)
{
    const bucket_settings *s = settings;
    const char *to = cli->words[cli->n_words - 1];
    gf__remote remote;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    for (size_t i = 0; i + 1 < cli->n_words && st == GF_OK; i++)
        st = copy_one(cli, &remote, s->is_recursive, cli->words[i], to, err);
    gf__remote_close(&remote);
    return st;
}

const gf__command gf__command_bucket_cp = {
    .name = "bucket cp",
    .words = "FROM... TO",
    .n_words_low = 2,
    .n_words_high = SIZE_MAX,
    .summary = "Copy files into a server's buckets, or back.",
    .text =
        "gs://BUCKET/PATH is a file of the server, kept in its home folder. A bucket begins to "
        "exist with its first file. A target that ends in / is a folder that the files go into.",
    .examples = "graft bucket cp flowers.safetensors gs://mine/flowers/\n"
                "graft bucket cp -r gs://mine/flowers backup",
    .options = cp_options,
    .n_options = GF__N_OPTIONS(cp_options),
    .settings_size = sizeof(bucket_settings),
    .run = run_cp,
};

static void print_objects(const gf__json *objects, const char *address, bool is_long)
{
    const int n_bucket = (int)(strlen("gs://") + strcspn(address + strlen("gs://"), "/"));
    const bool is_top = address[strlen("gs://")] == '\0';
    for (size_t i = 0; i < gf__json_n_items(objects); i++) {
        const gf__json *object = gf__json_at(objects, i);
        const char *name = gf__json_string(gf__json_find(object, "name"), "");
        const gf__json *size = gf__json_find(object, "size"); /* int64: a string in Google's JSON */
        if (is_long && !is_top && gf__json_is_string(size))
            printf("%12s  ", gf__json_string(size, ""));
        else if (is_long && !is_top)
            printf("%12" PRId64 "  ", gf__json_int(size, 0));
        if (is_top)
            printf("gs://%s/\n", name);
        else
            printf("%.*s/%s\n", n_bucket, address, name);
    }
}

static gf_status run_ls(gf__cli *cli, const void *settings, gf_error *err)
{
    const bucket_settings *s = settings;
    const char *address = cli->n_words > 0 ? cli->words[0] : "gs://";
    gf__remote remote;
    gf__json *objects = NULL;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    if (st == GF_OK && !gf__is_gs(address))
        st = gf_error_set(err, GF_EINVAL, "%s: expected gs://BUCKET/PATH", address);
    if (st == GF_OK)
        st = list_objects(&remote, address, &objects, err);
    if (st == GF_OK && cli->is_json) {
        st = gf__cli_print_json(objects, err);
        objects = NULL;
    } else if (st == GF_OK) {
        print_objects(objects, address, s->is_long);
    }
    gf__json_free(objects);
    gf__remote_close(&remote);
    return st;
}

const gf__command gf__command_bucket_ls = {
    .name = "bucket ls",
    .words = "[gs://BUCKET/PREFIX]",
    .n_words_low = 0,
    .n_words_high = 1,
    .summary = "List a server's buckets, or the files of one.",
    .text = "Without an address, the buckets.",
    .examples = "graft bucket ls\n"
                "graft bucket ls gs://mine/flowers --long",
    .options = ls_options,
    .n_options = GF__N_OPTIONS(ls_options),
    .settings_size = sizeof(bucket_settings),
    .run = run_ls,
};

gf_status gf__bucket_delete(gf__remote *remote, const char *address, gf_error *err)
{
    char *url = NULL;
    gf_status st = object_url(address, &url, err);
    if (st == GF_OK)
        st = gf__remote_call(remote, "DELETE", url, NULL, NULL, err);
    gf__free(url);
    return st;
}

static gf_status delete_object(void *user, const char *object, const char *inner, gf_error *err)
{
    return gf__bucket_delete(user, object, err);
}

static gf_status run_rm(gf__cli *cli, const void *settings, gf_error *err)
{
    const bucket_settings *s = settings;
    gf__remote remote;
    gf_status st = gf__remote_open(cli, &s->remote, &remote, err);
    for (size_t i = 0; i < cli->n_words && st == GF_OK; i++) {
        const char *address = cli->words[i];
        if (!gf__is_gs(address) || (!s->is_recursive && prefix_of(address)[0] == '\0'))
            st = gf_error_set(err, GF_EINVAL, "%s: expected gs://BUCKET/PATH", address);
        else if (gf__confirm(cli, "Delete %s%s?", address,
                             s->is_recursive ? " and all in it" : "") != GF_OK)
            st = gf_error_set(err, GF_ECANCELED, "%s was not deleted", address);
        else if (s->is_recursive)
            st = visit_folder(&remote, address, delete_object, &remote, err);
        else
            st = delete_object(&remote, address, NULL, err);
    }
    gf__remote_close(&remote);
    return st;
}

const gf__command gf__command_bucket_rm = {
    .name = "bucket rm",
    .words = "gs://BUCKET/PATH...",
    .n_words_low = 1,
    .n_words_high = SIZE_MAX,
    .summary = "Delete files of a server's buckets.",
    .text = "Asks first on a terminal; with --quiet it does not. Versions that were made from the "
            "files have copies of their own and are not touched.",
    .examples = "graft bucket rm gs://mine/flowers/flowers.safetensors\n"
                "graft bucket rm -r gs://mine/flowers --quiet",
    .options = cp_options,
    .n_options = GF__N_OPTIONS(cp_options),
    .settings_size = sizeof(bucket_settings),
    .run = run_rm,
};
