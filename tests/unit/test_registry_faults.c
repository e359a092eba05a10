/* test_registry_faults.c: memory that cannot be had and disks that are full: a status, and the
 * registry as it was. */
#include "registry_home.h"

#include <signal.h>
#include <sys/resource.h>

#include <sqlite3.h>

/* Calls until no allocation fails any more. CALL gives a document in text; BEFORE prepares each
 * round, number n. */
#define SURVIVE(before, call)                                 \
    do {                                                      \
        gf_status st = GF_ENOMEM;                             \
        for (size_t n = 0; st == GF_ENOMEM; n++) {            \
            before;                                           \
            gf_registry_free_text(text);                      \
            text = NULL;                                      \
            gf__mem_fail_after(n);                            \
            st = (call);                                      \
            gf__mem_fail_never();                             \
            CHECK(st == GF_OK || (st == GF_ENOMEM && !text)); \
        }                                                     \
    } while (0)

TEST(open__survives_every_allocation_failure)
{
    gf_registry_options options = gf_registry_options_default();
    gf_registry *second = NULL;
    gf_status st = GF_ENOMEM;
    options.home = home;
    options.file_roots = (const char *const[]){"/a", "/b"};
    options.n_file_roots = 2;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_registry_open(&options, &second, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && second == NULL));
    }
    gf_registry_close(second);
}

TEST(models__survive_every_allocation_failure)
{
    const gf_registry_page page = {.size = 1, .filter = "description=x AND labels.a:*"};
    SURVIVE((void)0, gf_registry_create_model(
                         registry, PROJECT,
                         "{\"name\":\"m\",\"description\":\"x\",\"labels\":{\"a\":\"b\"}}", &text,
                         &check_err));
    GET(gf_registry_create_model(registry, PROJECT,
                                 "{\"name\":\"m2\",\"description\":\"x\",\"labels\":{\"a\":\"b\"}}",
                                 &text, &check_err));
    SURVIVE((void)0, gf_registry_get_model(registry, MODEL, &text, &check_err));
    SURVIVE((void)0, gf_registry_list_models(registry, PROJECT, &page, &text, &check_err));
    SURVIVE((void)0, gf_registry_patch_model(registry, MODEL, "{\"description\":\"y\"}",
                                             "description,labels", &text, &check_err));
    SURVIVE((void)0, gf_registry_list_operations(registry, PROJECT, NULL, &text, &check_err));
    SURVIVE((void)0, gf_registry_delete_model(registry, MODEL, &text, &check_err));
}

TEST(versions__survive_every_allocation_failure)
{
    gf_registry_files files;
    lock_home();
    create_model("m");
    put_object("bucket/model/sub/f", "weights");
    SURVIVE(
        (void)0,
        gf_registry_create_version(
            registry, MODEL,
            "{\"name\":\"v1\",\"deploymentUri\":\"gs://bucket/model\",\"labels\":{\"a\":\"b\"}}",
            &text, &check_err));
    run_all(NULL);
    deploy_version("v2");
    SURVIVE((void)0, gf_registry_get_version(registry, V1, &text, &check_err));
    SURVIVE((void)0, gf_registry_list_versions(registry, MODEL, NULL, &text, &check_err));
    SURVIVE((void)0, gf_registry_patch_version(registry, V1, "{\"autoScaling\":{\"minNodes\":1}}",
                                               "autoScaling.minNodes", &text, &check_err));
    SURVIVE((void)0, gf_registry_set_default_version(registry, V2, &text, &check_err));
    SURVIVE((void)0, gf_registry_get_files(registry, V1, &files, &check_err));
    gf_registry_free_files(&files);
    SURVIVE((void)0, gf_registry_delete_version(registry, V1, &text, &check_err));
    run_all(NULL);
    GET(gf_registry_list_versions(registry, MODEL, NULL, &text, &check_err));
    CHECK_VALUE(text, "versions.0.name", V2);
}

/* The operation either fails with the reason, or is left running for recovery: never half done. */
TEST(run_operation__survives_every_allocation_failure)
{
    bool is_ready = false;
    lock_home();
    create_model("m");
    put_object("bucket/model/f", "weights");
    for (size_t n = 0; !is_ready; n++) {
        char body[96], name[64], *operation = NULL;
        snprintf(body, sizeof body, "{\"name\":\"v%zu\",\"deploymentUri\":\"gs://bucket/model\"}",
                 n);
        GET(gf_registry_create_version(registry, MODEL, body, &text, &check_err));
        gf__mem_fail_after(n);
        const gf_status st = gf_registry_run_operation(registry, NULL, NULL, NULL, &operation,
                                                       &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && operation == NULL));
        gf_registry_free_text(operation);
        CHECK_OK(gf_registry_recover(registry, GF_REGISTRY_FAIL, NULL, &check_err));
        run_all(NULL); /* one that had not even begun */
        snprintf(name, sizeof name, MODEL "/versions/v%zu", n);
        GET(gf_registry_get_version(registry, name, &text, &check_err));
        const char *state = value_of(text, "state");
        is_ready = st == GF_OK && strcmp(state, "READY") == 0;
        CHECK(strcmp(state, "READY") == 0 || strcmp(state, "FAILED") == 0);
    }
}

TEST(calls__survive_a_database_without_memory)
{
    const int64_t n_used = sqlite3_memory_used();
    size_t n_failed = 0;
    create_model("m");
    for (int64_t spare = 0; spare < 40000; spare += 1500) {
        char body[32];
        snprintf(body, sizeof body, "{\"name\":\"m%lld\"}", (long long)spare);
        gf_registry_free_text(text);
        text = NULL;
        sqlite3_hard_heap_limit64(n_used + spare);
        const gf_status st = gf_registry_create_model(registry, PROJECT, body, &text, &check_err);
        sqlite3_hard_heap_limit64(0);
        n_failed += st != GF_OK ? 1 : 0;
        CHECK(st == GF_OK || (st == GF_ENOMEM && text == NULL));
        if (st != GF_OK)
            GET(gf_registry_create_model(registry, PROJECT, body, &text, &check_err));
    }
    CHECK(n_failed > 0);
}

static void limit_files(rlim_t size_bytes)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size_bytes;
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST(full_disk__is_said_and_loses_nothing)
{
    size_t n_made = 0;
    char body[32], name[64];
    gf_status st = GF_OK;
    signal(SIGXFSZ, SIG_IGN);
    limit_files((rlim_t)300 << 10);
    while (st == GF_OK) {
        snprintf(body, sizeof body, "{\"name\":\"m%zu\"}", n_made);
        gf_registry_free_text(text);
        text = NULL;
        st = gf_registry_create_model(registry, PROJECT, body, &text, &check_err);
        n_made += st == GF_OK ? 1 : 0;
        CHECK(n_made < 10000);
    }
    CHECK_EQ(st, GF_EIO);
    assert_non_null(strstr(check_err.message, "registry.db"));
    CHECK(n_made > 3);
    limit_files(RLIM_INFINITY);
    GET(gf_registry_create_model(registry, PROJECT, body, &text, &check_err)); /* it goes on */
    gf_registry_close(registry);
    registry = open_home(false);
    for (size_t i = 0; i <= n_made; i++) {
        snprintf(name, sizeof name, PROJECT "/models/m%zu", i);
        GET(gf_registry_get_model(registry, name, &text, &check_err));
    }
}

TEST(full_disk__fails_the_copy_of_a_version_and_leaves_no_part_of_it)
{
    const size_t size = (size_t)600 << 10;
    char *large = malloc(size + 1);
    memset(large, 'w', size);
    large[size] = '\0';
    lock_home();
    create_version("v1");
    put_object("bucket/model/large", large);
    signal(SIGXFSZ, SIG_IGN);
    limit_files((rlim_t)400 << 10);
    run_all(NULL);
    limit_files(RLIM_INFINITY);
    CHECK_VALUE(text, "error.code", "13");
    assert_non_null(strstr(value_of(text, "error.message"), "cannot write: File too large"));
    CHECK_EQ(count_blobs(), 1); /* the small file's, that no version uses */
    CHECK_OK(gf_registry_collect(registry, 0, NULL, &check_err));
    CHECK_EQ(count_blobs(), 0);
    deploy_version("v2");
    free(large);
}

TESTS_MAIN(HOME_UNIT(open__survives_every_allocation_failure),
           HOME_UNIT(models__survive_every_allocation_failure),
           HOME_UNIT(versions__survive_every_allocation_failure),
           HOME_UNIT(run_operation__survives_every_allocation_failure),
           HOME_UNIT(calls__survive_a_database_without_memory),
           HOME_UNIT(full_disk__is_said_and_loses_nothing),
           HOME_UNIT(full_disk__fails_the_copy_of_a_version_and_leaves_no_part_of_it))
