/* server/buckets.c: which buckets there are, and which objects are in one, page by page.
 *
 * A page's token is the name of the last object, in base64: what is put in or deleted meanwhile
 * makes no other object appear twice or not at all. Objects are in the order of their names' bytes,
 * so all names below the prefix are gathered before a page is cut out of them. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/graft_v1_priv.h"

#define MAX_SIZE    1000 /* and what a page has where nothing is said */
#define MAX_DEPTH   32
#define MAX_OBJECTS 1000000 /* in one bucket below one prefix */

typedef struct names {
    char **items;
    size_t n_items, capacity;
} names;

static void free_names(names *list)
{
    for (size_t i = 0; i < list->n_items; i++)
        gf__free(list->items[i]);
    gf__free(list->items);
}

/* name is taken, whatever comes back. */
static gf_status add_name(names *list, char *name, gf_error *err)
{
    gf_status st = name != NULL ? GF_OK : gf__error_nomem(err, "a name", 0);
    if (st == GF_OK && list->n_items == MAX_OBJECTS)
        st = gf_error_set(err, GF_ELIMIT, "more than %d objects; ask for a longer prefix",
                          MAX_OBJECTS);
    if (st == GF_OK && list->n_items == list->capacity) {
        const size_t capacity = 2 * list->capacity + 64;
        char **items = gf__realloc(list->items, capacity * sizeof *items);
        if (items == NULL)
            st = gf__error_nomem(err, "a list", capacity * sizeof *items);
        else
            *list = (names){items, list->n_items, capacity};
    }
    if (st == GF_OK)
        list->items[list->n_items++] = name;
    else
        gf__free(name);
    return st;
}

/* Whether a folder of that name can have objects that begin with prefix. */
static bool may_have(const char *folder, const char *prefix)
{
    const size_t n_folder = strlen(folder), n_prefix = strlen(prefix);
    if (n_prefix <= n_folder)
        return strncmp(folder, prefix, n_prefix) == 0;
    return strncmp(folder, prefix, n_folder) == 0 && prefix[n_folder] == '/';
}

/* Objects below root/folder ("" for the root). What is gone by the time it is looked at was deleted
 * meanwhile. */
static gf_status gather(const char *root, const char *folder, const char *prefix, int depth,
                        names *list, gf_error *err)
{
    gf__dir_list found = {0};
    gf_error own;
    char *path = folder[0] != '\0' ? gf__path_join(root, folder) : gf__strdup(root);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(root));
    gf_status st = depth <= MAX_DEPTH ? gf__list_dir(path, &found, &own) : GF_ENOTFOUND;
    gf__free(path);
    if (st != GF_OK)
        return st == GF_ENOTFOUND ? GF_OK : gf_error_set(err, st, "%s", own.message);
    for (size_t i = 0; i < found.n_names && st == GF_OK; i++) {
        struct stat info;
        char *name = folder[0] != '\0' ? gf__asprintf("%s/%s", folder, found.names[i])
                                       : gf__strdup(found.names[i]);
        path = name != NULL ? gf__path_join(root, name) : NULL;
        const bool is_there = path != NULL && lstat(path, &info) == 0;
        if (path == NULL) {
            st = gf__error_nomem(err, "a path", strlen(root));
        } else if (is_there && S_ISDIR(info.st_mode) && may_have(name, prefix)) {
            st = gather(root, name, prefix, depth + 1, list, err);
        } else if (is_there && S_ISREG(info.st_mode) &&
                   strncmp(name, prefix, strlen(prefix)) == 0) {
            st = add_name(list, name, err);
            name = NULL;
        }
        gf__free(path);
        gf__free(name);
    }
    gf__dir_list_free(&found);
    return st;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- a page ---- */

typedef struct page {
    const char *bucket, *root;
    size_t size;
    char *after; /* the last name of the page before; NULL for the first */
} page;

static gf_status read_page(const gf__request *request, page *out, gf_error *err)
{
    gf_registry_page asked;
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    gf_status st = gf__request_page(request, &asked, err);
    if (st != GF_OK)
        return st;
    out->size = asked.size > 0 && asked.size < MAX_SIZE ? (size_t)asked.size : MAX_SIZE;
    const char *token = asked.token;
    if (token == NULL || token[0] == '\0')
        return GF_OK;
    st = gf__base64_decode(token, strlen(token), &bytes, &n_bytes, err);
    if (st == GF_ENOMEM)
        return st;
    if (st != GF_OK || n_bytes == 0 || memchr(bytes, '\0', n_bytes) != NULL) {
        gf__free(bytes);
        return gf_error_set(err, GF_EINVAL, "pageToken: not one of this list");
    }
    out->after = gf__strndup((const char *)bytes, n_bytes);
    gf__free(bytes);
    return out->after != NULL ? GF_OK : gf__error_nomem(err, "a page token", n_bytes);
}

static gf_status set_token(gf__json *document, const char *last, gf_error *err)
{
    gf__buffer token = {0};
    gf__buffer_base64(&token, last, strlen(last));
    const gf_status st = gf__buffer_status(&token, err);
    if (st == GF_OK)
        gf__json_set_string(document, "nextPageToken", token.data);
    gf__buffer_free(&token);
    return st;
}

static gf_status write_page(const names *list, const page *asked, gf__json *document, gf_error *err)
{
    gf__json *items = gf__json_array();
    gf_status st = GF_OK;
    size_t i = 0;
    while (asked->after != NULL && i < list->n_items && strcmp(list->items[i], asked->after) <= 0)
        i++;
    const size_t n_left = list->n_items - i;
    const size_t end = i + (n_left < asked->size ? n_left : asked->size);
    for (; i < end && st == GF_OK; i++) {
        struct stat info;
        char *path = gf__path_join(asked->root, list->items[i]);
        if (path == NULL)
            st = gf__error_nomem(err, "a path", strlen(asked->root));
        else if (lstat(path, &info) == 0)
            gf__json_append(items, gf__object_document(asked->bucket, list->items[i], &info));
        gf__free(path);
    }
    gf__json_set(document, "items", items);
    if (st == GF_OK && end < list->n_items)
        st = set_token(document, list->items[end - 1], err);
    return st;
}

gf_status gf__handle_list_objects(gf_server *server, gf__request *request, gf__response *response,
                                  gf_error *err)
{
    const char *prefix = gf__request_query(request, "prefix");
    names list = {0};
    page asked = {.bucket = request->params[0]};
    gf__json *document = gf__json_object();
    char *root = NULL, *address = gf__asprintf("gs://%s", request->params[0]);
    gf_status st = address != NULL ? gf__registry_resolve(server->registry, address, &root, err)
                                   : gf__error_nomem(err, "an address", 0);
    if (st == GF_OK)
        st = gf__token_may_use(request, prefix != NULL ? prefix : "", err);
    if (st == GF_OK && !gf__is_dir(root))
        st = gf_error_set(err, GF_ENOTFOUND, "%s: no such bucket; an upload makes it", address);
    asked.root = root;
    if (st == GF_OK)
        st = read_page(request, &asked, err);
    if (st == GF_OK)
        st = gather(root, "", prefix != NULL ? prefix : "", 0, &list, err);
    if (st == GF_OK && list.n_items > 0)
        qsort(list.items, list.n_items, sizeof *list.items, by_bytes);
    if (st == GF_OK)
        st = write_page(&list, &asked, document, err);
    if (st == GF_OK) {
        st = gf__respond_json(request, response, document, err);
        document = NULL;
    }
    gf__json_free(document);
    free_names(&list);
    gf__free(asked.after);
    gf__free(root);
    gf__free(address);
    return st;
}

/* ---- buckets ---- */

gf_status gf__handle_list_buckets(gf_server *server, gf__request *request, gf__response *response,
                                  gf_error *err)
{
    gf__dir_list found = {0};
    gf__json *document = gf__json_object(), *items = gf__json_array();
    char *root = gf__path_join(server->options.home, "buckets");
    gf_status st = root != NULL ? gf__list_dir(root, &found, err)
                                : gf__error_nomem(err, "a path", strlen(server->options.home));
    for (size_t i = 0; i < found.n_names && st == GF_OK; i++) {
        char *address = gf__asprintf("gs://%s", found.names[i]), *path = NULL;
        if (address == NULL)
            st = gf__error_nomem(err, "an address", 0);
        /* What has no bucket's name, or is a link, is none. */
        else if (gf__registry_resolve(server->registry, address, &path, NULL) == GF_OK &&
                 gf__is_dir(path)) {
            gf__json *item = gf__json_object();
            gf__json_set_string(item, "name", found.names[i]);
            gf__json_append(items, item);
        }
        gf__free(path);
        gf__free(address);
    }
    gf__dir_list_free(&found);
    gf__free(root);
    gf__json_set(document, "items", items);
    if (st == GF_OK)
        return gf__respond_json(request, response, document, err);
    gf__json_free(document);
    return st;
}
