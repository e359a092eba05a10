/* server_home.h: a server without sockets and workers on a fresh home: registry, catalog, pretended
 * pools. */
#ifndef GRAFT_TESTS_SERVER_HOME_H
#define GRAFT_TESTS_SERVER_HOME_H

#include "fake_pools.h"
#include "registry_home.h"

#include "graft/tensor.h"
#include "server/server_priv.h"

static gf_server server;

static inline void open_server(void)
{
    memset(&server, 0, sizeof server);
    server.options = gf_server_options_default();
    server.registry = registry;
    server.pools = &fake_pools;
    server.url = (char *)(uintptr_t) "http://127.0.0.1:1";
    CHECK_OK(gf__metrics_new(&server.metrics, &check_err));
    CHECK_OK(gf__catalog_new(&server, &server.catalog, &check_err));
}

static inline void close_server(void)
{
    gf__catalog_free(server.catalog);
    gf__metrics_free(server.metrics);
    server.catalog = NULL;
    server.metrics = NULL;
}

static inline int enter_server(void **state)
{
    enter(state);
    lock_home();
    open_server();
    return 0;
}

static inline int leave_server(void **state)
{
    close_server();
    fake_reset();
    return leave(state);
}

#define SERVER_UNIT(name) cmocka_unit_test_setup_teardown(name, enter_server, leave_server)

/* gs://bucket/FOLDER/NAME.safetensors, with a graft document or without. */
static inline void put_model(const char *folder, const char *name, bool has_document)
{
    char path[4096];
    const size_t shape[1] = {1};
    gf_tensor *tensor = NULL;
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, shape, 1, &tensor, &check_err));
    snprintf(path, sizeof path, "%s/buckets/bucket/%s", home, folder);
    CHECK_OK(gf__make_dirs(path, &check_err));
    snprintf(path, sizeof path, "%s/buckets/bucket/%s/%s.safetensors", home, folder, name);
    const gf_named_tensor tensors[] = {{"head/0/bias", tensor}};
    const gf_metadata metadata[] = {{has_document ? "graft" : "format", "{}"}};
    CHECK_OK(gf_safetensors_save(path, tensors, 1, metadata, 1, &check_err));
    gf_tensor_free(tensor);
}

/* Asks for the version of gs://bucket/FOLDER; extra: more of its body, from the comma on. */
static inline void ask_for_version(const char *model, const char *name, const char *folder,
                                   const char *extra)
{
    char body[1024], full[256];
    snprintf(full, sizeof full, "projects/p/models/%s", model);
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"deploymentUri\":\"gs://bucket/%s\"%s}", name,
             folder, extra);
    GET(gf_registry_create_version(registry, full, body, &text, &check_err));
}

/* A READY version that the catalog does not know of yet. */
static inline void deploy(const char *model, const char *name, const char *extra)
{
    put_model("model", "flowers", true);
    ask_for_version(model, name, "model", extra);
    run_all(NULL);
    CHECK_VALUE(text, "response.state", "READY");
}

static inline void refresh(const char *name)
{
    CHECK_OK(gf__catalog_refresh(server.catalog, name, &check_err));
}

/* The version that a request to p's model would reach, by its full name. */
static inline const char *found(const char *model, const char *version, const char *label)
{
    gf__served *served = NULL;
    CHECK_OK(gf__catalog_find(server.catalog, "p", model, version, label, &served, &check_err));
    const char *name = gf__served_name(served);
    gf__served_unref(served);
    return name;
}

#define NOT_FOUND(want, part, model, version, label)                                             \
    do {                                                                                         \
        gf__served *served_ = NULL;                                                              \
        CHECK_FAILS(                                                                             \
            want, part,                                                                          \
            gf__catalog_find(server.catalog, "p", model, version, label, &served_, &check_err)); \
        assert_null(served_);                                                                    \
    } while (0)

#endif
