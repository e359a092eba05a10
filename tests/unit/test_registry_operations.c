/* test_registry_operations.c: operations run once, fail with reasons, are canceled, and are
 * picked up after a restart. */
#include "registry_home.h"

#include <sys/wait.h>

#include "registry/registry.h"

static char *name_of_operation(void)
{
    return strdup(value_of(text, "name"));
}

typedef struct witness {
    size_t n_checks, n_unloads;
    const char *cancel; /* canceled by the check */
    char version[256], path[256];
    gf_status answer;
} witness;

static gf_status check(void *user, const char *version, const gf_registry_files *files,
                       gf_error *err)
{
    witness *w = user;
    w->n_checks++;
    snprintf(w->version, sizeof w->version, "%s", version);
    snprintf(w->path, sizeof w->path, "%s", files->n_files > 0 ? files->files[0].path : "");
    if (w->cancel != NULL)
        CHECK_OK(gf_registry_cancel_operation(registry, w->cancel, &check_err));
    return w->answer;
}

static gf_status unload(void *user, const char *version, gf_error *err)
{
    witness *w = user;
    w->n_unloads++;
    return w->answer == GF_OK ? GF_OK : gf_error_set(err, w->answer, "in use");
}

static gf_registry_hooks hooks_of(witness *w)
{
    return (gf_registry_hooks){.check = check, .unload = unload, .user = w};
}

TEST(run_operation__calls_the_hooks_of_those_who_serve)
{
    witness w = {0};
    const gf_registry_hooks hooks = hooks_of(&w);
    lock_home();
    create_version("v1");
    run_all(&hooks);
    CHECK_EQ(w.n_checks, 1);
    CHECK_STR(w.version, V1);
    CHECK_STR(w.path, "flowers.safetensors");
    GET(gf_registry_delete_version(registry, V1, &text, &check_err));
    run_all(&hooks);
    CHECK_EQ(w.n_unloads, 1);
    CHECK_EQ(w.n_checks, 1);
}

TEST(run_operation__turns_failures_into_errors_of_the_operation)
{
    witness w = {.answer = GF_EMISMATCH}; /* without a message of its own */
    const gf_registry_hooks hooks = hooks_of(&w);
    lock_home();
    create_version("v1");
    run_all(&hooks);
    CHECK_VALUE(text, "done", "true");
    CHECK_VALUE(text, "response", "");
    CHECK_VALUE(text, "error", "{\"code\":9,\"message\":\"GF_EMISMATCH\"}");
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "state", "FAILED");
    GET(gf_registry_delete_version(registry, V1, &text, &check_err));
    run_all(&hooks);
    CHECK_VALUE(text, "error.message", "in use");
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "state", "FAILED"); /* back where it was */
    CHECK_VALUE(text, "errorMessage", "GF_EMISMATCH");
}

TEST(run_operation__fails_a_version_whose_source_went)
{
    char path[4096];
    lock_home();
    create_version("v1");
    snprintf(path, sizeof path, "%s/buckets/bucket/model/flowers.safetensors", home);
    CHECK_EQ(unlink(path), 0);
    run_all(NULL);
    CHECK_VALUE(text, "error.code", "5");
    CHECK_VALUE(text, "error.message", "deploymentUri: gs://bucket/model: an empty folder");
}

TEST(run_operation__runs_each_once_and_the_oldest_first)
{
    char *first, *operation = NULL;
    lock_home();
    create_version("v1");
    first = name_of_operation();
    create_version("v2");
    CHECK_OK(gf_registry_run_operation(registry, NULL, NULL, NULL, &operation, &check_err));
    CHECK_VALUE(operation, "name", first);
    gf_registry_free_text(operation);
    CHECK_FAILS(GF_EPRECONDITION, "is done",
                gf_registry_run_operation(registry, first, NULL, NULL, &operation, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "projects/p/operations/x: no such operation",
                gf_registry_run_operation(registry, "projects/p/operations/x", NULL, NULL,
                                          &operation, &check_err));
    run_all(NULL);
    CHECK_OK(gf_registry_run_operation(registry, NULL, NULL, NULL, &operation, &check_err));
    assert_null(operation);
    free(first);
}

TEST(cancel_operation__ends_one_that_waits)
{
    lock_home();
    create_version("v1");
    char *name = name_of_operation();
    CHECK_OK(gf_registry_cancel_operation(registry, name, &check_err));
    GET(gf_registry_get_operation(registry, name, &text, &check_err));
    CHECK_VALUE(text, "done", "true");
    CHECK_VALUE(text, "error.code", "1");
    CHECK_VALUE(text, "metadata.isCancellationRequested", "true");
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "state", "FAILED");
    CHECK_VALUE(text, "errorMessage", "canceled before it began");
    CHECK_OK(gf_registry_cancel_operation(registry, name, &check_err)); /* done: stays as it is */
    free(name);
    CHECK_FAILS(GF_ENOTFOUND, "no such operation",
                gf_registry_cancel_operation(registry, PROJECT "/operations/x", &check_err));
}

TEST(cancel_operation__brings_a_version_back_that_was_to_be_deleted)
{
    lock_home();
    deploy_version("v1");
    GET(gf_registry_delete_version(registry, V1, &text, &check_err));
    char *name = name_of_operation();
    CHECK_OK(gf_registry_cancel_operation(registry, name, &check_err));
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "state", "READY");
    free(name);
}

TEST(cancel_operation__stops_one_that_runs_at_its_next_step)
{
    witness w = {0};
    const gf_registry_hooks hooks = hooks_of(&w);
    lock_home();
    create_version("v1");
    char *name = name_of_operation();
    w.cancel = name;
    run_all(&hooks);
    CHECK_VALUE(text, "error.code", "1");
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "state", "FAILED");
    free(name);
}

static bool stop(void *user, const gf_progress *progress)
{
    CHECK_STR(progress->stage, "copy");
    return false;
}

TEST(run_operation__is_canceled_by_its_observer)
{
    const gf_observer observer = {.progress = stop};
    lock_home();
    create_version("v1");
    GET(gf_registry_run_operation(registry, NULL, NULL, &observer, &text, &check_err));
    CHECK_VALUE(text, "error", "{\"code\":1,\"message\":\"stopped\"}");
    CHECK_EQ(count_blobs(), 0);
}

/* A process that dies in the middle of an operation: what it leaves behind. */
static gf_status die(void *user, const char *version, const gf_registry_files *files, gf_error *err)
{
    _exit(9);
}

static void die_while_running(void)
{
    const gf_registry_hooks hooks = {.check = die};
    gf_registry_close(registry);
    registry = NULL;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        char *operation = NULL;
        gf_registry_options options = gf_registry_options_default();
        options.home = home;
        if (gf_registry_open(&options, &registry, NULL) == GF_OK &&
            gf_registry_lock(registry, NULL) == GF_OK)
            gf_registry_run_operation(registry, NULL, &hooks, NULL, &operation, NULL);
        _exit(1);
    }
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WEXITSTATUS(status), 9);
    registry = open_home(false);
    lock_home();
}

TEST(recover__resumes_what_ran_and_gives_up_after_three_starts)
{
    size_t n_found = 0;
    create_version("v1");
    char *name = name_of_operation();
    for (int i = 0; i < 3; i++) {
        die_while_running();
        GET(gf_registry_get_operation(registry, name, &text, &check_err));
        CHECK_VALUE(text, "done", "false");
        CHECK_OK(gf_registry_recover(registry, GF_REGISTRY_RESUME, &n_found, &check_err));
        CHECK_EQ(n_found, 1);
    }
    GET(gf_registry_get_operation(registry, name, &text, &check_err));
    CHECK_VALUE(text, "error.message", "the server stopped 3 times while this was running");
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "state", "FAILED");
    CHECK_OK(gf_registry_recover(registry, GF_REGISTRY_RESUME, &n_found, &check_err));
    CHECK_EQ(n_found, 0);
    free(name);
}

TEST(recover__lets_a_resumed_one_end_well)
{
    create_version("v1");
    die_while_running();
    CHECK_OK(gf_registry_recover(registry, GF_REGISTRY_RESUME, NULL, &check_err));
    run_all(NULL);
    CHECK_VALUE(text, "response.state", "READY");
    CHECK_EQ(count_blobs(), 1);
}

TEST(recover__fails_what_ran_with_a_reason)
{
    create_version("v1");
    char *name = name_of_operation();
    die_while_running();
    CHECK_OK(gf_registry_recover(registry, GF_REGISTRY_FAIL, NULL, &check_err));
    GET(gf_registry_get_operation(registry, name, &text, &check_err));
    CHECK_VALUE(text, "error.code", "10");
    CHECK_VALUE(text, "error.message", "the server stopped while this was running; do it again");
    free(name);
}

TEST(rpc_code__is_what_the_service_answered)
{
    CHECK_EQ(gf__rpc_code(GF_OK), 0);
    CHECK_EQ(gf__rpc_code(GF_ECANCELED), 1);
    CHECK_EQ(gf__rpc_code(GF_EINVAL), 3);
    CHECK_EQ(gf__rpc_code(GF_ENOTFOUND), 5);
    CHECK_EQ(gf__rpc_code(GF_EEXISTS), 6);
    CHECK_EQ(gf__rpc_code(GF_EPRECONDITION), 9);
    CHECK_EQ(gf__rpc_code(GF_EBUSY), 10);
    CHECK_EQ(gf__rpc_code(GF_EIO), 13);
}

#define N_THREADS 4
#define N_EACH    6

static void *create_and_run(void *user)
{
    const int number = *(const int *)user;
    for (int i = 0; i < N_EACH; i++) {
        char body[160], name[200];
        char *document = NULL, *operation = NULL;
        snprintf(body, sizeof body, "{\"name\":\"t%d_%d\",\"deploymentUri\":\"gs://bucket/model\"}",
                 number, i);
        assert_int_equal(gf_registry_create_version(registry, MODEL, body, &document, NULL), GF_OK);
        gf_registry_free_text(document);
        /* Perhaps another thread's: each is taken by one of them. */
        assert_int_equal(gf_registry_run_operation(registry, NULL, NULL, NULL, &operation, NULL),
                         GF_OK);
        gf_registry_free_text(operation);
        snprintf(name, sizeof name, MODEL "/versions/t%d_%d", number, i);
        assert_int_equal(gf_registry_note_use(registry, name, 1000 + i, NULL), GF_OK);
        assert_int_equal(gf_registry_list_versions(registry, MODEL, NULL, &document, NULL), GF_OK);
        gf_registry_free_text(document);
    }
    return NULL;
}

TEST(calls__of_many_threads_take_turns)
{
    pthread_t threads[N_THREADS];
    int numbers[N_THREADS];
    lock_home();
    deploy_version("v1");
    for (int i = 0; i < N_THREADS; i++) {
        numbers[i] = i;
        CHECK_EQ(pthread_create(&threads[i], NULL, create_and_run, &numbers[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    const gf_registry_page ready = {.size = 100, .filter = "state:READY"};
    GET(gf_registry_list_versions(registry, MODEL, &ready, &text, &check_err));
    char last[32];
    snprintf(last, sizeof last, "versions.%d.state", N_THREADS * N_EACH); /* and v1 */
    CHECK_VALUE(text, last, "READY");
    CHECK_EQ(count_blobs(), 1);
}

TESTS_MAIN(HOME_UNIT(run_operation__calls_the_hooks_of_those_who_serve),
           HOME_UNIT(run_operation__turns_failures_into_errors_of_the_operation),
           HOME_UNIT(run_operation__fails_a_version_whose_source_went),
           HOME_UNIT(run_operation__runs_each_once_and_the_oldest_first),
           HOME_UNIT(cancel_operation__ends_one_that_waits),
           HOME_UNIT(cancel_operation__brings_a_version_back_that_was_to_be_deleted),
           HOME_UNIT(cancel_operation__stops_one_that_runs_at_its_next_step),
           HOME_UNIT(run_operation__is_canceled_by_its_observer),
           HOME_UNIT(recover__resumes_what_ran_and_gives_up_after_three_starts),
           HOME_UNIT(recover__lets_a_resumed_one_end_well),
           HOME_UNIT(recover__fails_what_ran_with_a_reason),
           HOME_UNIT(rpc_code__is_what_the_service_answered),
           HOME_UNIT(calls__of_many_threads_take_turns))
