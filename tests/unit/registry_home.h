/* registry_home.h: a registry in a fresh home for each test, and short ways to its documents. */
#ifndef GRAFT_TESTS_REGISTRY_HOME_H
#define GRAFT_TESTS_REGISTRY_HOME_H

#include "check.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "graft/registry.h"

#define PROJECT "projects/p"
#define MODEL   "projects/p/models/m"
#define V1      "projects/p/models/m/versions/v1"
#define V2      "projects/p/models/m/versions/v2"

static char *home __attribute__((unused));
static gf_registry *registry __attribute__((unused));
static char *text __attribute__((unused)); /* what the last GET() gave */

static inline gf_registry *open_home(bool takes_local_paths)
{
    gf_registry_options options = gf_registry_options_default();
    gf_registry *opened = NULL;
    options.home = home;
    options.takes_local_paths = takes_local_paths;
    CHECK_OK(gf_registry_open(&options, &opened, &check_err));
    return opened;
}

static inline int enter(void **state)
{
    home = check_temp_dir();
    registry = open_home(false);
    return 0;
}

static inline int leave(void **state)
{
    gf_registry_free_text(text);
    text = NULL;
    gf_registry_close(registry);
    registry = NULL;
    check_remove_dir(home);
    return 0;
}

#define HOME_UNIT(name) cmocka_unit_test_setup_teardown(name, enter, leave)

/* GET(gf_registry_get_model(registry, MODEL, &text, &check_err)): the document is in text. */
#define GET(call)                    \
    do {                             \
        gf_registry_free_text(text); \
        text = NULL;                 \
        CHECK_OK(call);              \
    } while (0)

/* CHECK_FAILS() for a call that would give a document in text: it gives none. */
#define REFUSES(want, part, call)      \
    do {                               \
        gf_registry_free_text(text);   \
        text = NULL;                   \
        CHECK_FAILS(want, part, call); \
        assert_null(text);             \
    } while (0)

/* The value that a dotted path leads to in a document, as text; "" for nothing, compact JSON for
 * containers. Static. */
static inline const char *value_of(const char *document, const char *path)
{
    static char value[4096];
    gf__json *root = NULL;
    gf__buffer written = {0};
    CHECK_OK(gf__json_parse(document, strlen(document), &root, &check_err));
    const gf__json *at = root;
    while (at != NULL && *path != '\0') {
        char key[128];
        const size_t n_chars = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n_chars, path);
        at = gf__json_is_array(at) ? gf__json_at(at, strtoul(key, NULL, 10))
                                   : gf__json_find(at, key);
        path += n_chars + (path[n_chars] == '.' ? 1 : 0);
    }
    value[0] = '\0';
    if (gf__json_is_string(at)) {
        snprintf(value, sizeof value, "%s", gf__json_string(at, ""));
    } else if (at != NULL) {
        gf__json_write(at, false, &written);
        snprintf(value, sizeof value, "%s", written.data);
    }
    gf__buffer_free(&written);
    gf__json_free(root);
    return value;
}

#define CHECK_VALUE(document, path, want) CHECK_STR(value_of(document, path), want)

/* HOME/buckets/RELATIVE with these bytes. */
static inline void put_object(const char *relative, const char *bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/buckets/%s", home, relative);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    CHECK_OK(gf__make_dirs(path, &check_err));
    *slash = '/';
    CHECK_OK(gf__write_file(path, bytes, strlen(bytes), &check_err));
}

static inline void create_model(const char *name)
{
    char body[256];
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    GET(gf_registry_create_model(registry, PROJECT, body, &text, &check_err));
}

/* Model m, and gs://bucket/model with a file in it; then a version of that waits to be created. */
static inline void create_version(const char *name)
{
    char body[256];
    gf_registry_free_text(text);
    text = NULL;
    if (gf_registry_get_model(registry, MODEL, &text, NULL) != GF_OK)
        create_model("m");
    put_object("bucket/model/flowers.safetensors", "weights");
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"deploymentUri\":\"gs://bucket/model\"}", name);
    GET(gf_registry_create_version(registry, MODEL, body, &text, &check_err));
}

/* Runs what waits; the last operation is in text. */
static inline void run_all(const gf_registry_hooks *hooks)
{
    char *operation = NULL;
    do {
        CHECK_OK(gf_registry_run_operation(registry, NULL, hooks, NULL, &operation, &check_err));
        if (operation != NULL) {
            gf_registry_free_text(text);
            text = operation;
        }
    } while (operation != NULL);
}

/* With the lock of the home, as create_version() and run_all() together: it is READY. */
static inline void deploy_version(const char *name)
{
    create_version(name);
    run_all(NULL);
    CHECK_VALUE(text, "response.state", "READY");
}

static inline void lock_home(void)
{
    CHECK_OK(gf_registry_lock(registry, &check_err));
}

/* Files below HOME/blobs. */
static inline size_t count_blobs(void)
{
    size_t n = 0;
    char path[4096];
    gf__dir_list folders, files;
    snprintf(path, sizeof path, "%s/blobs", home);
    CHECK_OK(gf__list_dir(path, &folders, &check_err));
    for (size_t i = 0; i < folders.n_names; i++) {
        snprintf(path, sizeof path, "%s/blobs/%s", home, folders.names[i]);
        CHECK_OK(gf__list_dir(path, &files, &check_err));
        n += files.n_names;
        gf__dir_list_free(&files);
    }
    gf__dir_list_free(&folders);
    return n;
}

#endif
