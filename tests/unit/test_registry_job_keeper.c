/* test_registry_job_keeper.c: what the keeper of jobs reads and writes, and what becomes of a job when
 * a client cancels it meanwhile. */
#include <sched.h>
#include <stdatomic.h>

#include "kept_jobs.h"

TEST(open_jobs__are_in_the_order_of_priority_and_age)
{
    lock_home();
    create_job("a", NULL);
    create_job("b", "\"scheduling\":{\"priority\":5}");
    create_job("c", "\"scheduling\":{\"priority\":1000}");
    create_job("d", "\"scheduling\":{\"priority\":5}");
    static const char *const names[] = {"c", "b", "d", "a"};
    look();
    CHECK_EQ(list.n_jobs, 4);
    for (size_t i = 0; i < 4; i++) {
        char position[8];
        snprintf(position, sizeof position, "%zu", i + 1);
        CHECK_STR(gf__path_base(list.jobs[i].name), names[i]);
        CHECK_VALUE(list.jobs[i].document, "jobId", names[i]);
        CHECK_VALUE(list.jobs[i].document, "jobPosition", position);
        GET(gf_registry_get_job(registry, list.jobs[i].name, &text, &check_err));
        CHECK_STR(text, list.jobs[i].document);
    }
    CHECK_EQ(list.jobs[0].priority, 1000);
    CHECK(list.jobs[0].create_time_ms > 0 && list.jobs[0].start_time_ms == 0);
    CHECK_EQ(list.jobs[0].n_attempts, 0);
    assert_null(list.jobs[0].place);
}

TEST(open_jobs__are_none_in_an_empty_home)
{
    lock_home();
    look();
    CHECK_EQ(list.n_jobs, 0);
    assert_null(list.jobs);
}

TEST(open_jobs__may_be_many)
{
    char id[16];
    lock_home();
    for (int i = 0; i < 40; i++) {
        snprintf(id, sizeof id, "j%d", i);
        create_job(id, NULL);
    }
    look();
    CHECK_EQ(list.n_jobs, 40);
    CHECK_STR(list.jobs[39].name, PROJECT "/jobs/j39");
    CHECK_VALUE(list.jobs[39].document, "jobPosition", "40");
}

TEST(attempts__lead_a_job_to_its_end)
{
    lock_home();
    create_job("j", NULL);
    const int64_t id = id_of_last();
    CHECK_OK(gf__registry_begin_attempt(registry, id, &check_err));
    check_state("PREPARING");
    CHECK_VALUE(text, "jobPosition", "");
    CHECK_VALUE(text, "startTime", "");
    CHECK_OK(gf__registry_note_place(registry, id, "pid:7", &check_err));
    look();
    CHECK_STR(list.jobs[0].place, "pid:7");
    CHECK_EQ(list.jobs[0].n_attempts, 1);
    CHECK_OK(gf__registry_note_progress(registry, id, false, NULL, &check_err));
    check_state("PREPARING");
    CHECK_OK(gf__registry_note_progress(registry, id, true, TRAINED, &check_err));
    check_state("RUNNING");
    CHECK_VALUE(text, "trainingOutput", TRAINED);
    CHECK(seconds_of(text, "startTime") >= seconds_of(text, "createTime"));
    CHECK_OK(gf__registry_begin_attempt(registry, id, &check_err));
    look();
    CHECK_EQ(list.jobs[0].n_attempts, 2);
    CHECK_EQ(list.jobs[0].state, GF__JOB_RUNNING);
    CHECK(list.jobs[0].start_time_ms >= list.jobs[0].create_time_ms);
    assert_null(list.jobs[0].place);
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_SUCCEEDED, NULL, "{}", &check_err));
    check_state("SUCCEEDED");
    CHECK_VALUE(text, "trainingOutput", "{}");
    CHECK_VALUE(text, "errorMessage", "");
    CHECK(seconds_of(text, "endTime") >= seconds_of(text, "startTime"));
    look();
    CHECK_EQ(list.n_jobs, 0);
}

/* ---- cancelled meanwhile ---- */

TEST(cancelled_job__keeps_its_place_until_it_has_ended)
{
    lock_home();
    const int64_t id = bring_to(GF__JOB_CANCELLING);
    CHECK_OK(gf__registry_note_place(registry, id, "pid:9", &check_err)); /* it was starting */
    look();
    CHECK_EQ(list.jobs[0].state, GF__JOB_CANCELLING);
    CHECK_STR(list.jobs[0].place, "pid:9");
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_CANCELLED, NULL, TRAINED, &check_err));
    check_state("CANCELLED");
    CHECK_VALUE(text, "errorMessage", "The job was cancelled by a client's request.");
    CHECK_VALUE(text, "trainingOutput", TRAINED);
}

TEST(cancelled_job__may_be_given_another_reason)
{
    lock_home();
    const int64_t id = bring_to(GF__JOB_CANCELLING);
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_CANCELLED, "It did not end by itself.",
                                  NULL, &check_err));
    check_state("CANCELLED");
    CHECK_VALUE(text, "errorMessage", "It did not end by itself.");
}

TEST(cancelled_job__that_was_faster_has_succeeded)
{
    lock_home();
    const int64_t id = bring_to(GF__JOB_CANCELLING);
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_SUCCEEDED, NULL, TRAINED, &check_err));
    check_state("SUCCEEDED");
    CHECK_VALUE(text, "errorMessage", "");
}

TEST(waiting_job__may_be_ended_by_the_keeper)
{
    lock_home();
    const int64_t id = bring_to(GF__JOB_QUEUED);
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_CANCELLED, "waited for more than 1800 s",
                                  NULL, &check_err));
    check_state("CANCELLED");
    CHECK_VALUE(text, "errorMessage", "waited for more than 1800 s");
    CHECK_VALUE(text, "startTime", "");
}

/* ---- outputs and times ---- */

TEST(output__is_what_was_noted_last)
{
    lock_home();
    GET(gf_registry_create_job(
        registry, PROJECT,
        "{\"jobId\":\"j\",\"predictionInput\":{\"uri\":\"gs://bucket/m\",\"dataFormat\":\"JSON\","
        "\"inputPaths\":[\"gs://bucket/in\"],\"outputPath\":\"gs://bucket/out\"}}",
        &text, &check_err));
    const int64_t id = id_of_last();
    CHECK_EQ(list.jobs[0].priority, 0);
    CHECK_OK(gf__registry_begin_attempt(registry, id, &check_err));
    CHECK_OK(
        gf__registry_note_progress(registry, id, true, "{\"predictionCount\":\"5\"}", &check_err));
    CHECK_OK(gf__registry_note_progress(registry, id, true, NULL, &check_err));
    check_state("RUNNING");
    CHECK_VALUE(text, "predictionOutput", "{\"predictionCount\":\"5\"}");
    CHECK_OK(gf__registry_note_progress(registry, id, true, "{\"errorCount\":\"1\"}", &check_err));
    check_state("RUNNING");
    CHECK_VALUE(text, "predictionOutput", "{\"errorCount\":\"1\"}");
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_FAILED, "x", NULL, &check_err));
    check_state("FAILED");
    CHECK_VALUE(text, "predictionOutput", "{\"errorCount\":\"1\"}");
}

TEST(output__must_be_an_object)
{
    lock_home();
    const int64_t id = bring_to(GF__JOB_RUNNING);
    static const char *const outputs[] = {"", "[]", "{", "null", "{\"a\":1,\"a\":2}", "\"x\""};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        CHECK_FAILS(GF_EFORMAT, "a job's output: ",
                    gf__registry_note_progress(registry, id, true, outputs[i], &check_err));
        CHECK_FAILS(
            GF_EFORMAT, "a job's output: ",
            gf__registry_end_job(registry, id, GF__JOB_FAILED, "x", outputs[i], &check_err));
    }
    check_state("RUNNING");
    CHECK_VALUE(text, "trainingOutput", "{}");
}

/* The write-ahead log grows with every transaction that writes. */
static int64_t log_bytes(void)
{
    char path[4096];
    struct stat info;
    snprintf(path, sizeof path, "%s/registry.db-wal", home);
    CHECK_EQ(stat(path, &info), 0);
    return (int64_t)info.st_size;
}

TEST(progress__that_is_known_already_writes_nothing)
{
    lock_home();
    const int64_t id = bring_to(GF__JOB_RUNNING);
    CHECK_OK(gf__registry_note_progress(registry, id, true, TRAINED, &check_err));
    const int64_t size = log_bytes();
    for (int i = 0; i < 3; i++) {
        CHECK_OK(gf__registry_note_progress(registry, id, true, TRAINED, &check_err));
        CHECK_OK(gf__registry_note_progress(registry, id, false, NULL, &check_err));
    }
    CHECK_EQ(log_bytes(), size);
    CHECK_OK(gf__registry_note_progress(registry, id, true, "{}", &check_err));
    CHECK(log_bytes() > size);
}

TEST(start_time__is_the_first_running_attempt_s)
{
    lock_home();
    const int64_t id = bring_to(GF__JOB_RUNNING);
    look();
    const int64_t start_time = list.jobs[0].start_time_ms;
    CHECK(start_time > 0);
    CHECK_OK(gf__registry_begin_attempt(registry, id, &check_err));
    CHECK_OK(gf__registry_note_progress(registry, id, false, NULL, &check_err));
    CHECK_OK(gf__registry_note_progress(registry, id, true, NULL, &check_err));
    look();
    CHECK_EQ(list.jobs[0].start_time_ms, start_time);
}

TEST(start_time__of_work_too_short_to_be_seen_is_its_end)
{
    lock_home();
    const int64_t id = bring_to(GF__JOB_PREPARING);
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_SUCCEEDED, NULL, NULL, &check_err));
    check_state("SUCCEEDED");
    char *end = strdup(value_of(text, "endTime"));
    CHECK_VALUE(text, "startTime", end);
    free(end);
}

TEST(error_message__may_be_any_text)
{
    lock_home();
    const int64_t id = bring_to(GF__JOB_RUNNING);
    char *message = malloc(20001);
    memset(message, 'x', 20000);
    memcpy(message, "line 1\nline \"2\"\n\xff", 17);
    message[20000] = '\0';
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_FAILED, message, NULL, &check_err));
    GET(gf_registry_get_job(registry, JOB, &text, &check_err));
    assert_non_null(strstr(text, "\"errorMessage\":\"line 1\\nline \\\"2\\\"\\n\xef\xbf\xbdxxx"));
    CHECK(strlen(text) > 20000);
    free(message);
}

/* ---- folders ---- */

TEST(job_dir__is_the_same_in_every_state)
{
    char *dir = NULL, *again = NULL, want[4096];
    gf__job_state state = GF__JOB_FAILED;
    lock_home();
    const int64_t id = bring_to(GF__JOB_QUEUED);
    CHECK_OK(gf__registry_job_dir(registry, JOB, &dir, &state, &check_err));
    snprintf(want, sizeof want, "%s/jobs/%lld", home, (long long)id);
    CHECK_STR(dir, want);
    CHECK_EQ(state, GF__JOB_QUEUED);
    CHECK_OK(gf__registry_end_job(registry, id, GF__JOB_SUCCEEDED, NULL, NULL, &check_err));
    CHECK_OK(gf__registry_job_dir(registry, JOB, &again, NULL, &check_err));
    CHECK_STR(again, dir);
    gf__free(again);
    gf__free(dir);
    CHECK_FAILS(GF_ENOTFOUND, PROJECT "/jobs/k: no such job",
                gf__registry_job_dir(registry, PROJECT "/jobs/k", &dir, &state, &check_err));
    assert_null(dir);
    CHECK_FAILS(GF_EINVAL, "expected projects/PROJECT/jobs/JOB",
                gf__registry_job_dir(registry, MODEL, &dir, &state, &check_err));
    assert_null(dir);
}

TEST(state_names__are_those_of_the_api)
{
    static const char *const names[] = {"QUEUED", "PREPARING",  "RUNNING",  "SUCCEEDED",
                                        "FAILED", "CANCELLING", "CANCELLED"};
    for (int i = 0; i < 7; i++)
        CHECK_STR(gf__job_state_name((gf__job_state)i), names[i]);
}

/* ---- threads ---- */

#define N_CLIENTS     2
#define N_CLIENT_JOBS 40

static atomic_int n_clients_left;

typedef struct client {
    char prefix; /* of its jobs */
    size_t n_unexpected;
} client;

static void *run_client(void *user)
{
    client *self = user;
    char body[128], name[64], *job = NULL;
    gf_error err;
    for (int i = 0; i < N_CLIENT_JOBS; i++) {
        snprintf(body, sizeof body,
                 "{\"jobId\":\"%c%d\",\"trainingInput\":{\"pythonModule\":\"graft.train\"}}",
                 self->prefix, i);
        snprintf(name, sizeof name, PROJECT "/jobs/%c%d", self->prefix, i);
        gf_status st = gf_registry_create_job(registry, PROJECT, body, &job, &err);
        self->n_unexpected += st != GF_OK ? 1 : 0;
        gf_registry_free_text(job);
        st = i % 2 == 0 ? gf_registry_cancel_job(registry, name, &err) : GF_OK;
        if (st != GF_OK && st != GF_EPRECONDITION) /* the keeper was faster */
            self->n_unexpected++;
    }
    atomic_fetch_sub(&n_clients_left, 1);
    return NULL;
}

/* Begins what waits and ends what it began; *n_begun and *n_late count what was begun, and what was
 * cancelled between being seen and being begun. */
static void keep_once(size_t *n_begun, size_t *n_late)
{
    look();
    for (size_t i = 0; i < list.n_jobs; i++) {
        const gf__job *job = &list.jobs[i];
        gf_status st = GF_OK;
        if (job->state == GF__JOB_QUEUED) {
            st = gf__registry_begin_attempt(registry, job->id, &check_err);
            CHECK(st == GF_OK || st == GF_EPRECONDITION);
            *n_begun += st == GF_OK ? 1 : 0;
            *n_late += st != GF_OK ? 1 : 0;
        } else {
            CHECK_EQ(job->n_attempts, 1);
            CHECK_OK(gf__registry_end_job(registry, job->id,
                                          job->state == GF__JOB_CANCELLING ? GF__JOB_CANCELLED
                                                                           : GF__JOB_SUCCEEDED,
                                          NULL, NULL, &check_err));
        }
    }
}

TEST(clients__cancel_while_a_keeper_begins_attempts)
{
    static client clients[N_CLIENTS] = {{.prefix = 'a'}, {.prefix = 'b'}};
    pthread_t threads[N_CLIENTS];
    size_t n_begun = 0, n_late = 0, n_ended = 0, n_unbegun = 0;
    lock_home();
    atomic_store(&n_clients_left, N_CLIENTS);
    for (size_t i = 0; i < N_CLIENTS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, run_client, &clients[i]), 0);
    while (atomic_load(&n_clients_left) > 0 || list.n_jobs > 0) {
        keep_once(&n_begun, &n_late);
        sched_yield();
    }
    for (size_t i = 0; i < N_CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(clients[i].n_unexpected, 0);
    }
    keep_once(&n_begun, &n_late);
    keep_once(&n_begun, &n_late);
    CHECK_EQ(list.n_jobs, 0);

    const gf_registry_page page = {.size = 100};
    char path[64];
    GET(gf_registry_list_jobs(registry, PROJECT, &page, &text, &check_err));
    for (int i = 0; i < N_CLIENTS * N_CLIENT_JOBS; i++) {
        snprintf(path, sizeof path, "jobs.%d.state", i);
        const bool is_cancelled = strcmp(value_of(text, path), "CANCELLED") == 0;
        n_ended += is_cancelled || strcmp(value_of(text, path), "SUCCEEDED") == 0 ? 1 : 0;
        snprintf(path, sizeof path, "jobs.%d.startTime", i);
        n_unbegun += is_cancelled && value_of(text, path)[0] == '\0' ? 1 : 0;
    }
    CHECK_EQ(n_ended, N_CLIENTS * N_CLIENT_JOBS);
    /* What succeeded was begun; what was not begun is cancelled. */
    CHECK(n_begun >= N_CLIENTS * N_CLIENT_JOBS / 2);
    CHECK(n_late <= n_unbegun);
}

TESTS_MAIN(JOBS_UNIT(open_jobs__are_in_the_order_of_priority_and_age),
           JOBS_UNIT(open_jobs__are_none_in_an_empty_home), JOBS_UNIT(open_jobs__may_be_many),
           JOBS_UNIT(attempts__lead_a_job_to_its_end),
           JOBS_UNIT(cancelled_job__keeps_its_place_until_it_has_ended),
           JOBS_UNIT(cancelled_job__may_be_given_another_reason),
           JOBS_UNIT(cancelled_job__that_was_faster_has_succeeded),
           JOBS_UNIT(waiting_job__may_be_ended_by_the_keeper),
           JOBS_UNIT(output__is_what_was_noted_last), JOBS_UNIT(output__must_be_an_object),
           JOBS_UNIT(progress__that_is_known_already_writes_nothing),
           JOBS_UNIT(start_time__is_the_first_running_attempt_s),
           JOBS_UNIT(start_time__of_work_too_short_to_be_seen_is_its_end),
           JOBS_UNIT(error_message__may_be_any_text),
           JOBS_UNIT(job_dir__is_the_same_in_every_state),
           JOBS_UNIT(state_names__are_those_of_the_api),
           JOBS_UNIT(clients__cancel_while_a_keeper_begins_attempts))
