/* The catalog: names to versions, in step with the registry. */
#include "server_home.h"

#include <stdatomic.h>

#include "server/catalog_priv.h"

TEST(catalog__finds_what_is_ready_by_default_name_and_label)
{
    create_model("m");
    deploy("m", "v1", "");
    deploy("m", "v2", ",\"labels\":{\"canary\":\"\"}");
    NOT_FOUND(GF_ENOTFOUND, "model not found: projects/p/models/m", "m", NULL, NULL);
    refresh(MODEL);
    CHECK_STR(found("m", NULL, NULL), V1);
    CHECK_STR(found("m", "v2", NULL), V2);
    CHECK_STR(found("m", NULL, "canary"), V2);
    NOT_FOUND(GF_ENOTFOUND, "version not found: projects/p/models/m/versions/v3", "m", "v3", NULL);
    NOT_FOUND(GF_ENOTFOUND, "label not found: stable", "m", NULL, "stable");
    NOT_FOUND(GF_ENOTFOUND, "model not found: projects/p/models/n", "n", NULL, NULL);
}

TEST(catalog__takes_up_what_is_there_at_the_start)
{
    char name[32];
    create_model("m");
    create_model("empty");
    put_model("model", "flowers", true);
    for (int i = 0; i < 130; i++) { /* more than a page of the registry */
        snprintf(name, sizeof name, "v%d", i);
        ask_for_version("m", name, "model", "");
    }
    run_all(NULL);
    close_server();
    open_server();
    CHECK_EQ(fake.n_versions, 130);
    CHECK_STR(found("m", NULL, NULL), "projects/p/models/m/versions/v0");
    CHECK_STR(found("m", "v129", NULL), "projects/p/models/m/versions/v129");
    NOT_FOUND(GF_EPRECONDITION, "has no default version", "empty", NULL, NULL);
}

TEST(catalog__tells_why_a_version_cannot_be_asked)
{
    create_model("m");
    put_model("model", "flowers", true);
    ask_for_version("m", "v1", "model", "");
    refresh(V1);
    NOT_FOUND(GF_EPRECONDITION, "v1: is CREATING, not READY", "m", "v1", NULL);
    NOT_FOUND(GF_EPRECONDITION, "v1: is CREATING, not READY", "m", NULL, NULL);
    run_all(NULL);
    refresh(V1);
    CHECK_STR(found("m", NULL, NULL), V1);
}

TEST(catalog__goes_on_without_a_version_that_cannot_be_had)
{
    create_model("m");
    deploy("m", "v1", "");
    deploy("m", "v2", "");
    fake.refuse_add = "/v1";
    refresh(MODEL);
    CHECK_STR(found("m", "v2", NULL), V2);
    NOT_FOUND(GF_EPRECONDITION, "v1: is FAILED, not READY: damaged on purpose", "m", NULL, NULL);
    fake.refuse_add = NULL;
    refresh(V1); /* tries again */
    CHECK_STR(found("m", NULL, NULL), V1);
}

TEST(catalog__follows_default_scaling_and_deletion)
{
    create_model("m");
    deploy("m", "v1", ",\"autoScaling\":{\"minNodes\":1,\"maxNodes\":3}");
    deploy("m", "v2", ",\"manualScaling\":{\"nodes\":2}");
    refresh(V1);
    refresh(V2);
    CHECK_EQ(fake.versions[0]->min_nodes, 1);
    CHECK_EQ(fake.versions[0]->max_nodes, 3);
    CHECK_EQ(fake.versions[1]->min_nodes, 2);
    CHECK_EQ(fake.versions[1]->max_nodes, 2);
    GET(gf_registry_set_default_version(registry, V2, &text, &check_err));
    refresh(V2);
    CHECK_STR(found("m", NULL, NULL), V2);
    GET(gf_registry_patch_version(registry, V1, "{\"autoScaling\":{\"minNodes\":2}}",
                                  "autoScaling.minNodes", &text, &check_err));
    refresh(V1);
    CHECK_EQ(fake.n_scaled, 1);
    CHECK_EQ(fake.versions[0]->min_nodes, 2);
    GET(gf_registry_delete_version(registry, V1, &text, &check_err));
    refresh(V1);
    NOT_FOUND(GF_EPRECONDITION, "v1: is DELETING", "m", "v1", NULL);
    CHECK_EQ(fake.n_removed, 0); /* not yet: its last requests may be under way */
    CHECK_OK(gf__catalog_drop(server.catalog, V1, &check_err));
    CHECK_EQ(fake.n_removed, 1);
    run_all(NULL);
    refresh(V1);
    NOT_FOUND(GF_ENOTFOUND, "version not found", "m", "v1", NULL);
    CHECK_EQ(fake.n_removed, 1);
}

TEST(catalog__is_back_after_a_deletion_that_was_cancelled)
{
    create_model("m");
    deploy("m", "v1", "");
    refresh(V1);
    CHECK_OK(gf__catalog_drop(server.catalog, V1, &check_err));
    NOT_FOUND(GF_EPRECONDITION, "v1: is being deleted", "m", NULL, NULL);
    refresh(V1); /* still READY for the registry */
    CHECK_STR(found("m", NULL, NULL), V1);
}

TEST(catalog__forgets_a_model_that_is_gone)
{
    create_model("m");
    refresh(MODEL);
    NOT_FOUND(GF_EPRECONDITION, "has no default version", "m", NULL, NULL);
    GET(gf_registry_delete_model(registry, MODEL, &text, &check_err));
    refresh(MODEL);
    NOT_FOUND(GF_ENOTFOUND, "model not found", "m", NULL, NULL);
}

TEST(catalog__serves_the_one_file_that_is_a_model)
{
    create_model("m");
    put_model("beside", "trunk", false);
    put_model("beside", "flowers", true);
    put_object("bucket/beside/notes.txt", "notes");
    ask_for_version("m", "v1", "beside", "");
    put_model("two", "a", true);
    put_model("two", "b", true);
    ask_for_version("m", "v2", "two", "");
    put_model("none", "trunk", false);
    ask_for_version("m", "v3", "none", "");
    run_all(NULL);
    refresh(MODEL);
    CHECK_STR(found("m", "v1", NULL), V1);
    NOT_FOUND(GF_EPRECONDITION, "two model files, a.safetensors and b.safetensors", "m", "v2",
              NULL);
    NOT_FOUND(GF_EPRECONDITION, "no model file: of 1 files, 1 end in .safetensors", "m", "v3",
              NULL);
}

static void count_version(void *user, const gf__catalog_version *version)
{
    size_t *n_defaults = user;
    *n_defaults += version->is_default ? 1 : 0;
    CHECK_STR(version->state, "READY");
}

TEST(catalog__is_visited_by_model_project_and_whole)
{
    size_t n_defaults = 0;
    create_model("m");
    create_model("n");
    deploy("m", "v1", "");
    deploy("m", "v2", "");
    deploy("n", "v1", "");
    refresh(MODEL);
    refresh("projects/p/models/n");
    CHECK_EQ(gf__catalog_visit(server.catalog, "p", "m", count_version, &n_defaults), 2);
    CHECK_EQ(n_defaults, 1);
    CHECK_EQ(gf__catalog_visit(server.catalog, "p", NULL, count_version, &n_defaults), 3);
    CHECK_EQ(n_defaults, 3);
    CHECK_EQ(gf__catalog_visit(server.catalog, NULL, NULL, count_version, &n_defaults), 3);
    CHECK_EQ(gf__catalog_visit(server.catalog, "q", NULL, count_version, &n_defaults), 0);
    CHECK_EQ(gf__catalog_visit(server.catalog, "p", "o", count_version, &n_defaults), 0);
}

/* A client that waited for the operation must not be told by a status page that nothing is ready. */
TEST(catalog__is_visited_as_the_registry_is_where_a_version_was_being_made)
{
    size_t n_defaults = 0;
    create_model("m");
    put_model("model", "flowers", true);
    ask_for_version("m", "v1", "model", "");
    ask_for_version("m", "v2", "model", "");
    refresh(MODEL); /* CREATING */
    run_all(NULL);
    CHECK_EQ(gf__catalog_visit(server.catalog, "p", "m", count_version, &n_defaults), 2);
    CHECK_EQ(n_defaults, 1);
}

static atomic_bool switching_is_over;

static void *ask_default(void *user)
{
    size_t *n_failed = user;
    while (!atomic_load(&switching_is_over)) {
        gf__served *served = NULL;
        if (gf__catalog_find(server.catalog, "p", "m", NULL, NULL, &served, NULL) != GF_OK)
            (*n_failed)++;
        gf__served_unref(served);
    }
    return NULL;
}

TEST(catalog__switches_the_default_under_requests_without_losing_one)
{
    pthread_t threads[2];
    size_t n_failed[2] = {0};
    create_model("m");
    deploy("m", "v1", "");
    deploy("m", "v2", "");
    refresh(MODEL);
    atomic_store(&switching_is_over, false);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, ask_default, &n_failed[i]), 0);
    for (int i = 0; i < 20; i++) {
        const char *name = i % 2 == 0 ? V2 : V1;
        GET(gf_registry_set_default_version(registry, name, &text, &check_err));
        refresh(i % 3 == 0 ? MODEL : name);
        CHECK_STR(found("m", NULL, NULL), name);
    }
    atomic_store(&switching_is_over, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(n_failed[i], 0);
    }
}

TEST(catalog__refuses_what_is_no_name)
{
    CHECK_FAILS(GF_EINVAL, "expected projects/P/models/M",
                gf__catalog_refresh(server.catalog, "projects/p", &check_err));
}

TESTS_MAIN(SERVER_UNIT(catalog__finds_what_is_ready_by_default_name_and_label),
           SERVER_UNIT(catalog__takes_up_what_is_there_at_the_start),
           SERVER_UNIT(catalog__tells_why_a_version_cannot_be_asked),
           SERVER_UNIT(catalog__goes_on_without_a_version_that_cannot_be_had),
           SERVER_UNIT(catalog__follows_default_scaling_and_deletion),
           SERVER_UNIT(catalog__is_back_after_a_deletion_that_was_cancelled),
           SERVER_UNIT(catalog__forgets_a_model_that_is_gone),
           SERVER_UNIT(catalog__serves_the_one_file_that_is_a_model),
           SERVER_UNIT(catalog__is_visited_by_model_project_and_whole),
           SERVER_UNIT(catalog__is_visited_as_the_registry_is_where_a_version_was_being_made),
           SERVER_UNIT(catalog__switches_the_default_under_requests_without_losing_one),
           SERVER_UNIT(catalog__refuses_what_is_no_name))
