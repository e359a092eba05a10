/* test_registry_job_calls.c: every call of the keeper's in every state of a job, and without memory. */
#include <sqlite3.h>

#include "kept_jobs.h"

/* ---- every call in every state ---- */

typedef enum call_kind { BEGIN, PLACE, PROGRESS, START, SUCCEED, FAIL, CANCEL, N_CALLS } call_kind;

static gf_status do_call(call_kind kind, int64_t id)
{
    switch (kind) {
    case BEGIN:
        return gf__registry_begin_attempt(registry, id, &check_err);
    case PLACE:
        return gf__registry_note_place(registry, id, "here", &check_err);
    case PROGRESS:
        return gf__registry_note_progress(registry, id, false, TRAINED, &check_err);
    case START:
        return gf__registry_note_progress(registry, id, true, TRAINED, &check_err);
    case SUCCEED:
        return gf__registry_end_job(registry, id, GF__JOB_SUCCEEDED, NULL, NULL, &check_err);
    case FAIL:
        return gf__registry_end_job(registry, id, GF__JOB_FAILED, "broken", NULL, &check_err);
    case CANCEL:
        return gf__registry_end_job(registry, id, GF__JOB_CANCELLED, NULL, NULL, &check_err);
    case N_CALLS:
        break;
    }
    return GF_EINVAL;
}

#define NO (-1) /* GF_EPRECONDITION, and the job as it was */

TEST(calls__move_a_job_only_as_they_may)
{
    enum { Q = GF__JOB_QUEUED, P = GF__JOB_PREPARING, R = GF__JOB_RUNNING };
    enum { S = GF__JOB_SUCCEEDED, F = GF__JOB_FAILED, C = GF__JOB_CANCELLING };
    enum { D = GF__JOB_CANCELLED };
    static const int after[7][N_CALLS] = {
        /* BEGIN PLACE PROGRESS START SUCCEED FAIL CANCEL */
        [Q] = {P, NO, NO, NO, S, F, D},     [P] = {P, P, P, R, S, F, D},
        [R] = {R, R, R, R, S, F, D},        [S] = {NO, NO, NO, NO, NO, NO, NO},
        [F] = {NO, NO, NO, NO, NO, NO, NO}, [C] = {NO, C, C, C, S, F, D},
        [D] = {NO, NO, NO, NO, NO, NO, NO},
    };
    for (int state = 0; state < 7; state++) {
        for (int kind = 0; kind < N_CALLS; kind++) {
            gf_registry_close(registry);
            check_remove_dir(home);
            home = check_temp_dir();
            registry = open_home(false);
            lock_home();
            const int64_t id = bring_to((gf__job_state)state);
            const int want = after[state][kind];
            GET(gf_registry_get_job(registry, JOB, &text, &check_err));
            char *before = strdup(text);
            const gf_status st = do_call((call_kind)kind, id);
            CHECK_EQ(st, want == NO ? GF_EPRECONDITION : GF_OK);
            if (want == NO)
                assert_non_null(strstr(check_err.message, JOB ": is "));
            check_state(gf__job_state_name((gf__job_state)(want == NO ? state : want)));
            if (want == NO)
                CHECK_STR(text, before);
            free(before);
        }
    }
}

TEST(calls__refuse_an_id_that_no_job_has)
{
    lock_home();
    for (int kind = 0; kind < N_CALLS; kind++)
        CHECK_FAILS(GF_ENOTFOUND, "job 7: no such job", do_call((call_kind)kind, 7));
}

/* ---- faults ---- */

/* Calls until no allocation fails any more; a call that failed changed nothing. */
#define SURVIVE(call)                              \
    do {                                           \
        gf_status st = GF_ENOMEM;                  \
        for (size_t n = 0; st == GF_ENOMEM; n++) { \
            gf__mem_fail_after(n);                 \
            st = (call);                           \
            gf__mem_fail_never();                  \
            CHECK(st == GF_OK || st == GF_ENOMEM); \
        }                                          \
    } while (0)
#define SURVIVE_TEXT(call) SURVIVE((gf_registry_free_text(text), text = NULL, (call)))

TEST(calls__survive_every_allocation_failure)
{
    const gf_registry_page page = {.size = 1, .filter = "jobId:j* AND trainingInput.args:x"};
    const char *body =
        "{\"jobId\":\"j\",\"labels\":{\"a\":\"b\"},\"trainingInput\":{\"pythonModule\":\"t\","
        "\"args\":[\"x\"],\"packageUris\":[\"gs://bucket/t.tar.gz\"],\"workerCount\":1,"
        "\"scaleTier\":\"CUSTOM\",\"masterType\":\"standard\",\"workerType\":\"standard\","
        "\"scheduling\":{\"priority\":3,\"maxRunningTime\":\"60s\"},\"hyperparameters\":{"
        "\"params\":[{\"parameterName\":\"x\",\"type\":\"INTEGER\",\"minValue\":0,"
        "\"maxValue\":9}]}}}";
    char *dir = NULL;
    lock_home();
    SURVIVE_TEXT(gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
    create_job("j2", "\"args\":[\"x\"]");
    SURVIVE_TEXT(gf_registry_get_job(registry, JOB, &text, &check_err));
    SURVIVE_TEXT(gf_registry_list_jobs(registry, PROJECT, &page, &text, &check_err));
    CHECK_VALUE(text, "jobs.0.jobId", "j2");
    SURVIVE_TEXT(
        gf_registry_patch_job(registry, JOB, "{\"labels\":{}}", "labels", &text, &check_err));
    SURVIVE((gf__job_list_free(&list), gf__registry_open_jobs(registry, &list, &check_err)));
    CHECK_EQ(list.n_jobs, 2);
    const int64_t id = list.jobs[0].id;
    CHECK_STR(list.jobs[0].name, JOB);
    SURVIVE(gf__registry_begin_attempt(registry, id, &check_err));
    SURVIVE(gf__registry_note_place(registry, id, "here", &check_err));
    SURVIVE(gf__registry_note_progress(registry, id, true, TRAINED, &check_err));
    SURVIVE((gf__job_list_free(&list), gf__registry_open_jobs(registry, &list, &check_err)));
    CHECK_EQ(list.jobs[0].n_attempts, 1);
    CHECK_STR(list.jobs[0].place, "here");
    SURVIVE(
        (gf__free(dir), dir = NULL, gf__registry_job_dir(registry, JOB, &dir, NULL, &check_err)));
    gf__free(dir);
    SURVIVE(gf_registry_cancel_job(registry, JOB, &check_err));
    SURVIVE(gf__registry_end_job(registry, id, GF__JOB_FAILED, "x", "{}", &check_err));
    check_state("FAILED");
}

TEST(refusals__survive_every_allocation_failure)
{
    static const char *const bodies[] = {
        "{\"jobId\":\"j\",\"trainingInput\":{\"hyperparameters\":{\"params\":[{\"a\":1}]}}}",
        "{\"jobId\":\"j\",\"trainingInput\":{\"scaleTier\":\"x\"}}",
        "{\"jobId\":\"j\",\"trainingInput\":{\"scheduling\":{\"priority\":\"x\"}}}",
        "{\"jobId\":\"j\",\"predictionInput\":{\"uri\":\"gs://a/../b\"}}",
        "{\"jobId\":\"j\",\"x\":1}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        gf_status st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM; n++) {
            gf__mem_fail_after(n);
            st = gf_registry_create_job(registry, PROJECT, bodies[i], &text, &check_err);
            gf__mem_fail_never();
            CHECK(st == GF_EINVAL || st == GF_ENOMEM);
            assert_null(text);
        }
    }
}

/* One step of a job's life; what it changes is there after GF_OK, and not after a failure. */
static gf_status live(int step, int64_t id)
{
    switch (step) {
    case 0:
        return gf__registry_begin_attempt(registry, id, &check_err);
    case 1:
        return gf__registry_note_place(registry, id, "here", &check_err);
    case 2:
        return gf__registry_note_progress(registry, id, true, TRAINED, &check_err);
    case 3:
        gf__job_list_free(&list);
        return gf__registry_open_jobs(registry, &list, &check_err);
    case 4:
        return gf_registry_cancel_job(registry, JOB, &check_err);
    default:
        return gf__registry_end_job(registry, id, GF__JOB_CANCELLED, NULL, NULL, &check_err);
    }
}

TEST(calls__survive_a_database_without_memory)
{
    const int64_t n_used = sqlite3_memory_used();
    size_t n_failed = 0;
    lock_home();
    for (int64_t spare = 0; spare < 60000; spare += 4000) {
        char body[128];
        snprintf(body, sizeof body,
                 "{\"jobId\":\"n%lld\",\"trainingInput\":{\"pythonModule\":\"graft.train\"}}",
                 (long long)spare);
        gf_registry_free_text(text);
        text = NULL;
        sqlite3_hard_heap_limit64(n_used + spare);
        const gf_status st = gf_registry_create_job(registry, PROJECT, body, &text, &check_err);
        sqlite3_hard_heap_limit64(0);
        CHECK(st == GF_OK || (st == GF_ENOMEM && text == NULL));
        n_failed += st != GF_OK ? 1 : 0;
        if (st != GF_OK)
            GET(gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
    }
    CHECK(n_failed > 0);
    const int64_t id = bring_to(GF__JOB_QUEUED);
    for (int step = 0; step < 6; step++) {
        gf_status st = GF_ENOMEM;
        for (int64_t spare = -20000; st == GF_ENOMEM; spare += 1000) {
            sqlite3_hard_heap_limit64(sqlite3_memory_used() + spare);
            st = live(step, id);
            sqlite3_hard_heap_limit64(0);
            if (st != GF_OK && st != GF_ENOMEM)
                fail_msg("step %d: %s", step, check_err.message);
        }
    }
    check_state("CANCELLED");
    look();
    CHECK_EQ(list.n_jobs, 15);
}

TEST(damaged_document__is_said_to_be_one)
{
    sqlite3 *database = NULL;
    char path[4096];
    lock_home();
    create_job("j", NULL);
    snprintf(path, sizeof path, "%s/registry.db", home);
    CHECK_EQ(sqlite3_open(path, &database), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(database, "UPDATE jobs SET fields = '{'", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    REFUSES(GF_EFORMAT, "registry.db: a stored document: ",
            gf_registry_get_job(registry, JOB, &text, &check_err));
    REFUSES(GF_EFORMAT, "registry.db: a stored document: ",
            gf_registry_list_jobs(registry, PROJECT, NULL, &text, &check_err));
    CHECK_FAILS(GF_EFORMAT, "registry.db: a stored document: ",
                gf__registry_open_jobs(registry, &list, &check_err));
}

TESTS_MAIN(JOBS_UNIT(calls__move_a_job_only_as_they_may),
           JOBS_UNIT(calls__refuse_an_id_that_no_job_has),
           JOBS_UNIT(calls__survive_every_allocation_failure),
           JOBS_UNIT(refusals__survive_every_allocation_failure),
           JOBS_UNIT(calls__survive_a_database_without_memory),
           JOBS_UNIT(damaged_document__is_said_to_be_one))
