/* One attempt after another: limits of time, pauses after a crash, what an attempt is given, and the
 * words for what ended it. */
#include <signal.h>

#include "job_keeper.h"

/* ---- limits ---- */

TEST(keeper__ends_one_that_does_not_keep_its_time)
{
    int wait_ms = 0;
    gf__jobs *by_hand = NULL;
    const gf__jobs_options options = keeper_options();
    gf__jobs_free(jobs);
    jobs = NULL;
    submit("a", "\"touch\", \"here\", \"hang\"", ", \"scheduling\": {\"maxRunningTime\": \"1s\"}");
    CHECK_OK(gf__jobs_start(&options, &by_hand, &check_err));
    stop_thread(by_hand);
    wait_file("a", "here");
    CHECK_OK(gf__jobs_round(by_hand, &wait_ms, &check_err));
    by_hand->tracks->running_ms -= 70000; /* so long it has been running */
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    while (!has_state("a", "FAILED")) {
        CHECK(gf__clock_ms() < until_ms);
        CHECK_OK(gf__jobs_round(by_hand, &wait_ms, &check_err));
        pause_a_little();
    }
    gf__jobs_free(by_hand);
    check_message("a", "ran longer than maxRunningTime (1s)"); /* and not that it was cancelled */
    check_no_orphan("a");
    start_keeper();
}

/* What this keeper has not seen begin has been running all the same. */
TEST(keeper__ends_one_whose_time_was_over_before_it_came)
{
    int wait_ms = 0;
    gf__jobs *by_hand = NULL;
    gf__job_list list;
    const gf__jobs_options options = keeper_options();
    submit("a", "\"note\", \"x\", \"touch\", \"here\", \"hang\"",
           ", \"scheduling\": {\"maxRunningTime\": \"100s\"}");
    wait_state("a", "RUNNING");
    gf__jobs_free(jobs);
    jobs = NULL;
    CHECK_OK(gf__jobs_start(&options, &by_hand, &check_err));
    stop_thread(by_hand);
    gf__track *track = by_hand->tracks;
    CHECK(track->running_ms != 0 && track->end_message == NULL);
    track->running_ms = 0; /* as on its first look */
    CHECK_OK(gf__registry_open_jobs(registry, &list, &check_err));
    CHECK_EQ(list.n_jobs, 1);
    list.jobs[0].start_time_ms -= 161000;
    CHECK_OK(gf__attempt_tend(by_hand, track, &list.jobs[0], &check_err));
    gf__job_list_free(&list);
    assert_non_null(track->end_message);
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    while (!has_state("a", "FAILED")) {
        CHECK(gf__clock_ms() < until_ms);
        CHECK_OK(gf__jobs_round(by_hand, &wait_ms, &check_err));
        pause_a_little();
    }
    gf__jobs_free(by_hand);
    check_message("a", "ran longer than maxRunningTime (100s)");
    check_no_orphan("a");
    start_keeper();
}

TEST(keeper__tells_a_later_attempt_since_when_its_job_runs)
{
    submit("a", "\"note\", \"x\", \"wait\", \"go\", \"crash-until\", \"2\", \"succeed\"", "");
    wait_state("a", "RUNNING");
    char *before = read_of("a", "spec.json");
    CHECK(strstr(before, "startTimeMs") == NULL);
    put("a", "go");
    wait_state("a", "SUCCEEDED");
    char *after = read_of("a", "spec.json");
    CHECK(strstr(after, "startTimeMs") != NULL);
    gf__free(before);
    gf__free(after);
}

/* ---- pauses ---- */

static void round_until(gf__jobs *by_hand, const gf__track *track, int n_attempts)
{
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    int wait_ms = 0;
    while (track->n_attempts < n_attempts) {
        CHECK(gf__clock_ms() < until_ms);
        CHECK_OK(gf__jobs_round(by_hand, &wait_ms, &check_err));
        pause_a_little();
    }
}

/* A keeper without a thread, and a job "a" that crashes. */
static gf__jobs *crash_by_hand(int retry_ms)
{
    gf__jobs *by_hand = NULL;
    gf__jobs_options options = keeper_options();
    options.retry_ms = retry_ms;
    gf__jobs_free(jobs);
    jobs = NULL;
    submit("a", "\"crash\"", "");
    CHECK_OK(gf__jobs_start(&options, &by_hand, &check_err));
    stop_thread(by_hand);
    return by_hand;
}

/* They last minutes here, and are ended by hand. */
TEST(keeper__pauses_longer_after_each_crash_and_says_why)
{
    int wait_ms = 0;
    gf__jobs *by_hand = crash_by_hand(60000);
    gf__track *track = by_hand->tracks;
    for (int attempt = 2; attempt <= GF__JOB_ATTEMPTS; attempt++) {
        round_until(by_hand, track, attempt);
        CHECK_OK(gf__jobs_round(by_hand, &wait_ms, &check_err));
        CHECK_EQ(n_runs("a"), (size_t)attempt - 1); /* and no more */
        CHECK(track->retry_ms - gf__clock_ms() > (attempt == 2 ? 50000 : 290000));
        assert_non_null(strstr(track->reason, "killed by signal 9"));
        track->retry_ms = 0;
        CHECK_OK(gf__jobs_round(by_hand, &wait_ms, &check_err));
    }
    gf__jobs_free(by_hand);
    start_keeper();
    wait_state("a", "FAILED");
    CHECK_EQ(n_runs("a"), GF__JOB_ATTEMPTS);
    char *log = read_of("a", "log");
    assert_non_null(strstr(log, "killed by signal 9; attempt 2 of 3 begins 60 s later"));
    assert_non_null(strstr(log, "killed by signal 9; attempt 3 of 3 begins 300 s later"));
    gf__free(log);
}

TEST(keeper__a_cancel_ends_the_pause)
{
    int wait_ms = 0;
    gf__jobs *by_hand = crash_by_hand(600000);
    round_until(by_hand, by_hand->tracks, 2);
    CHECK_OK(gf_registry_cancel_job(registry, PROJECT "/jobs/a", &check_err));
    CHECK_OK(gf__jobs_round(by_hand, &wait_ms, &check_err));
    CHECK(has_state("a", "CANCELLED"));
    CHECK_EQ(n_runs("a"), 1);
    gf__jobs_free(by_hand);
    start_keeper();
}

TEST(keeper__cancels_one_that_waits_too_long)
{
    int wait_ms = 0;
    gf__jobs *by_hand = NULL;
    const gf__jobs_options options = keeper_options();
    submit("first", "\"wait\", \"go\"", "");
    wait_file("first", "runs");
    gf__jobs_free(jobs);
    jobs = NULL;
    submit("a", "\"succeed\"", ", \"scheduling\": {\"maxWaitTime\": \"1800s\"}");
    CHECK_OK(gf__jobs_start(&options, &by_hand, &check_err));
    stop_thread(by_hand);
    for (gf__track *track = by_hand->tracks; track != NULL; track = track->next)
        track->plan.max_wait_s = track->plan.max_wait_s > 0 ? 1 : 0;
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    while (!has_state("a", "CANCELLED")) {
        CHECK(gf__clock_ms() < until_ms);
        CHECK_OK(gf__jobs_round(by_hand, &wait_ms, &check_err));
        pause_a_little();
    }
    gf__jobs_free(by_hand);
    check_message("a", "waited longer than maxWaitTime (1s)");
    CHECK_EQ(n_runs("a"), 0);
    start_keeper();
    put("first", "go");
    wait_state("first", "SUCCEEDED");
}

static bool has_reason(const char *part)
{
    gf__json *all = NULL;
    CHECK_OK(gf__jobs_describe(jobs, &all, &check_err));
    const gf__json *job = gf__json_at(gf__json_find(all, "jobs"), 0);
    const bool has = strstr(gf__json_string(gf__json_find(job, "reason"), ""), part) != NULL;
    gf__json_free(all);
    return has;
}

static bool is_in_log(const char *id, const char *part)
{
    char *log = read_of(id, "log");
    const bool is_there = strstr(log, part) != NULL;
    gf__free(log);
    return is_there;
}

#define ASKED "somebody asked it to end (SIGTERM), not graft"

/* The machine is shut down, or somebody killed it: nobody has cancelled the job. */
static void end_process_of(const char *id)
{
    wait_file(id, "here");
    char *lock = read_of(id, "lock");
    int attempt = 0, pid = 0;
    const int n = sscanf(lock, "%d %d", &attempt, &pid);
    gf__free(lock);
    CHECK_EQ(n, 2);
    CHECK_EQ(kill(pid, SIGTERM), 0);
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    /* shown until the next attempt begins, which a busy machine may miss; and said in the log */
    while (!has_reason(ASKED) && !is_in_log(id, ASKED)) {
        if (gf__clock_ms() > until_ms)
            fail_msg("the keeper does not say why the attempt ended");
        pause_a_little();
    }
}

TEST(keeper__a_process_that_somebody_else_ended_is_tried_again)
{
    submit("a", "\"touch\", \"here\", \"wait\", \"go\"", "");
    end_process_of("a");
    put("a", "go");
    wait_state("a", "SUCCEEDED");
    CHECK_EQ(n_runs("a"), 2);
}

TEST(keeper__jobs_get_the_servers_python)
{
    gf__jobs_free(jobs);
    jobs = NULL;
    gf__jobs_options options = keeper_options();
    options.python = "/nowhere/python";
    CHECK_FAILS(GF_ENOTFOUND, "python: /nowhere/python",
                gf__jobs_start(&options, &jobs, &check_err));
    options.python = "python3.99";
    CHECK_OK(gf__jobs_start(&options, &jobs, &check_err));
    submit("a", "\"succeed\"", "");
    wait_state("a", "SUCCEEDED");
    char *spec = read_of("a", "spec.json");
    assert_non_null(strstr(spec, "\"python3.99\""));
    gf__free(spec);
}

TEST(keeper__an_attempt_gets_what_this_server_has)
{
    submit("a", "\"touch\", \"here\", \"wait\", \"go\"", "");
    wait_file("a", "here");
    gf__jobs_free(jobs);
    jobs = NULL;
    gf__jobs_options options = keeper_options();
    options.n_cpus = 1;
    options.grace_ms = 300;
    CHECK_OK(gf__jobs_start(&options, &jobs, &check_err));
    end_process_of("a");
    put("a", "go");
    wait_state("a", "SUCCEEDED");
    CHECK_EQ(n_runs("a"), 2);
    char *written = read_of("a", "spec.json");
    gf__json *spec = NULL;
    CHECK_OK(gf__json_parse(written, strlen(written), &spec, &check_err));
    CHECK_EQ(gf__json_int(gf__json_find(spec, "nCpus"), 0), 1);
    CHECK_EQ(gf__json_int(gf__json_find(spec, "graceMs"), 0), 300);
    gf__json_free(spec);
    gf__free(written);
}

TEST(keeper__one_folder_that_cannot_be_read_keeps_nobody_waiting)
{
    submit("a", "\"touch\", \"here\", \"wait\", \"go\", \"crash-until\", \"2\", \"succeed\"",
           SMALL);
    wait_file("a", "here");
    char *dir = dir_of("a"), *path = gf__path_join(dir, "result.json");
    CHECK_EQ(symlink("/proc/self/mem", path), 0); /* a file, and reading it fails */
    put("a", "go");
    submit("b", "\"succeed\"", SMALL);
    wait_state("b", "SUCCEEDED");
    CHECK_EQ(unlink(path), 0);
    wait_state("a", "SUCCEEDED");
    gf__free(path);
    gf__free(dir);
}

TEST(keeper__a_process_that_cannot_begin_has_its_words_in_the_message)
{
    submit("a", "\"no such word\"", "");
    wait_state("a", "FAILED");
    check_message("a", "its process ended with status 70");
    check_message("a", "job_program: no such word");
}

TEST(keeper__a_program_that_is_not_there_fails_the_job_and_is_named)
{
    gf__jobs_free(jobs);
    jobs = NULL;
    gf__jobs_options options = keeper_options();
    options.program = "/nowhere/graft";
    CHECK_OK(gf__jobs_start(&options, &jobs, &check_err));
    submit("a", "\"succeed\"", "");
    wait_state("a", "FAILED");
    check_message("a", "/nowhere/graft");
}

TEST(runner_kind__is_local_or_slurm)
{
    gf__runner_kind kind;
    CHECK_OK(gf__runner_kind_parse("slurm", &kind, &check_err));
    CHECK_EQ(kind, GF__RUNNER_SLURM);
    CHECK_OK(gf__runner_kind_parse("local", &kind, &check_err));
    CHECK_EQ(kind, GF__RUNNER_LOCAL);
    CHECK_FAILS(GF_EINVAL, "expected local or slurm",
                gf__runner_kind_parse("k8s", &kind, &check_err));
}

TESTS_MAIN(JOB_UNIT(keeper__ends_one_that_does_not_keep_its_time),
           JOB_UNIT(keeper__ends_one_whose_time_was_over_before_it_came),
           JOB_UNIT(keeper__tells_a_later_attempt_since_when_its_job_runs),
           JOB_UNIT(keeper__pauses_longer_after_each_crash_and_says_why),
           JOB_UNIT(keeper__a_cancel_ends_the_pause),
           JOB_UNIT(keeper__cancels_one_that_waits_too_long),
           JOB_UNIT(keeper__a_process_that_somebody_else_ended_is_tried_again),
           JOB_UNIT(keeper__jobs_get_the_servers_python),
           JOB_UNIT(keeper__an_attempt_gets_what_this_server_has),
           JOB_UNIT(keeper__one_folder_that_cannot_be_read_keeps_nobody_waiting),
           JOB_UNIT(keeper__a_process_that_cannot_begin_has_its_words_in_the_message),
           JOB_UNIT(keeper__a_program_that_is_not_there_fails_the_job_and_is_named),
           JOB_UNIT(runner_kind__is_local_or_slurm))
