/* The keeper beside a Slurm that is a folder of small scripts: ends that nobody asked graft for,
 * submissions whose answer is lost, and jobs that are where a server with another --runner has put
 * them. */
#include "registry_home.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "jobs/keeper_priv.h"

#define WAIT_MS 120000

static gf__jobs *jobs;
static int n_cpus = 2; /* of the server */
static char *slurm, *path_before;

/* ---- Slurm ---- */

/* What it is told: queue (of squeue), shown (of scontrol), down (it does not answer). What it
 * notes: submitted, cancelled. */
static const char *const commands[][2] = {
    {"sinfo", "answers sinfo; echo 'main*|infinite|1|500'; echo 'main*|infinite|6|3000'"},
    {"squeue", "answers squeue; cat queue"},
    {"scontrol", "answers scontrol; cat shown"},
    {"scancel",
     "answers scancel; echo \"$@\" >>cancelled; sed s/RUNNING/CANCELLED/ queue >queue.new; "
     "mv queue.new queue"},
    {"sbatch",
     "for word; do case $word in --job-name=*) name=${word#*=};; esac; done; cat >/dev/null; "
     "echo \"$@\" >>asked; echo \"77|N/A|RUNNING|$name|None\" >>queue; echo 1 >>submitted; "
     "[ ! -e loses ] || touch down; answers sbatch; "
     "echo 77"},
};

static void write_slurm(const char *name, const char *content)
{
    char *path = gf__path_join(slurm, name);
    CHECK_OK(gf__write_file(path, content, strlen(content), &check_err));
    gf__free(path);
}

static char *read_slurm(const char *name)
{
    char *path = gf__path_join(slurm, name), *found = NULL;
    size_t size = 0;
    if (gf__read_file(path, 1 << 20, &found, &size, NULL) != GF_OK)
        found = gf__strdup("");
    gf__free(path);
    return found;
}

static void remove_slurm(const char *name)
{
    char *path = gf__path_join(slurm, name);
    CHECK_EQ(unlink(path), 0);
    gf__free(path);
}

static void make_commands(void)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char *path = gf__path_join(slurm, commands[i][0]);
        char *script = gf__asprintf("#!/bin/sh\nPATH=/usr/bin:/bin\ncd '%s' || exit 1\n"
                                    "[ \"$1\" = --version ] && exit 0\n"
                                    "answers() { [ ! -e down ] || { echo \"$1: error: Unable to "
                                    "contact slurm controller\" >&2; "
                                    "exit 1; }; }\n%s\n",
                                    slurm, commands[i][1]);
        write_slurm(commands[i][0], script);
        CHECK_EQ(chmod(path, 0755), 0);
        gf__free(script);
        gf__free(path);
    }
    write_slurm("queue", "");
    write_slurm("shown", "");
}

/* The job of an attempt, in a state of Slurm's. */
static void queue_job(int64_t id, int attempt, const char *state)
{
    char hex[GF__SHA256_HEX], *real = realpath(home, NULL);
    gf__sha256_hex(real, strlen(real), hex);
    char *line = gf__asprintf("77|N/A|%s|graft-%.16s-%lld-%d|None\n", state, hex, (long long)id,
                              attempt);
    write_slurm("queue", line);
    gf__free(line);
    free(real);
}

/* ---- the keeper ---- */

static int set_up(void **state)
{
    enter(state);
    CHECK_OK(gf_registry_lock(registry, &check_err));
    slurm = check_temp_dir();
    path_before = gf__strdup(getenv("PATH"));
    make_commands();
    setenv("PATH", slurm, 1);
    return 0;
}

static int tear_down(void **state)
{
    gf__jobs_free(jobs);
    jobs = NULL;
    setenv("PATH", path_before, 1);
    gf__free(path_before);
    check_remove_dir(slurm);
    return leave(state);
}

static void start_keeper(gf__runner_kind runner)
{
    gf__jobs_options options = gf__jobs_options_default();
    options.registry = registry;
    options.home = home;
    options.program = getenv("GRAFT_JOB_PROGRAM");
    options.runner = runner;
    options.n_cpus = n_cpus;
    options.grace_ms = 200;
    options.retry_ms = 1;
    CHECK_OK(gf__jobs_start(&options, &jobs, &check_err));
}

/* Job a; its number. */
static int64_t submit(const char *words)
{
    char *body = gf__asprintf("{\"jobId\": \"a\", \"trainingInput\": {\"region\": \"here\", "
                              "\"pythonModule\": \"graft.train\", \"args\": [%s]}}",
                              words);
    gf__job_list list;
    GET(gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
    CHECK_OK(gf__registry_open_jobs(registry, &list, &check_err));
    const int64_t id = list.jobs[0].id;
    gf__job_list_free(&list);
    gf__free(body);
    return id;
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static const char *value(const char *path)
{
    GET(gf_registry_get_job(registry, PROJECT "/jobs/a", &text, &check_err));
    return value_of(text, path);
}

static void wait_state(const char *state)
{
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    while (strcmp(value("state"), state) != 0) {
        if (gf__clock_ms() > until_ms)
            fail_msg("the job does not become %s: %s", state, text);
        pause_a_little();
    }
}

/* Until the keeper says so of the job. */
static void wait_reason(const char *part)
{
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    for (bool is_said = false; !is_said; pause_a_little()) {
        gf__json *all = NULL;
        CHECK_OK(gf__jobs_describe(jobs, &all, &check_err));
        const gf__json *job = gf__json_at(gf__json_find(all, "jobs"), 0);
        const char *reason = gf__json_string(gf__json_find(job, "reason"), "");
        is_said = strstr(reason, part) != NULL;
        if (!is_said && gf__clock_ms() > until_ms)
            fail_msg("the reason is \"%s\", expected \"%s\" in it", reason, part);
        gf__json_free(all);
    }
}

static void wait_noted(const char *name)
{
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    for (bool is_there = false; !is_there; pause_a_little()) {
        char *found = read_slurm(name);
        is_there = found[0] != '\0';
        gf__free(found);
        if (gf__clock_ms() > until_ms)
            fail_msg("Slurm was not asked: %s", name);
    }
}

static size_t count_noted(const char *name)
{
    size_t n = 0;
    char *found = read_slurm(name);
    for (const char *at = found; (at = strchr(at, '\n')) != NULL; at++)
        n++;
    gf__free(found);
    return n;
}

/* As if a server with --runner slurm had started attempt 1 and ended. */
static int64_t leave_in_slurm(const char *words)
{
    const int64_t id = submit(words);
    CHECK_OK(gf__registry_begin_attempt(registry, id, &check_err));
    CHECK_OK(gf__registry_note_place(registry, id, "77", &check_err));
    return id;
}

static char *dir_of(int64_t id)
{
    char *dir = gf__asprintf("%s/jobs/%lld", home, (long long)id);
    CHECK_OK(gf__make_dirs(dir, &check_err));
    return dir;
}

static void write_in(int64_t id, const char *name, const char *content)
{
    char *dir = dir_of(id), *path = gf__path_join(dir, name);
    CHECK_OK(gf__write_file(path, content, strlen(content), &check_err));
    gf__free(path);
    gf__free(dir);
}

static void wait_in(int64_t id, const char *name)
{
    const int64_t until_ms = gf__clock_ms() + WAIT_MS;
    char *dir = dir_of(id), *path = gf__path_join(dir, name);
    for (; !gf__is_file(path); pause_a_little())
        if (gf__clock_ms() > until_ms)
            fail_msg("%s is not there", path);
    gf__free(path);
    gf__free(dir);
}

#define CANCELLED_RESULT \
    "{\"attempt\": 1, \"state\": \"CANCELLED\", \"errorMessage\": \"was asked\"}"

/* ---- ends that nobody asked graft for ---- */

static void check_refused(const char *state, const char *shown, const char *part)
{
    const int64_t id = leave_in_slurm("\"succeed\"");
    queue_job(id, 1, "RUNNING");
    start_keeper(GF__RUNNER_SLURM);
    write_in(id, "result.json", CANCELLED_RESULT); /* its process was sent SIGTERM */
    write_slurm("shown", shown);
    queue_job(id, 1, state);
    wait_state("FAILED");
    const char *message = value("errorMessage");
    if (strstr(message, part) == NULL)
        fail_msg("errorMessage is \"%s\", expected \"%s\" in it", message, part);
    CHECK_EQ(count_noted("submitted"), 0);
}

TEST(slurm__a_job_out_of_slurms_time_is_failed_and_says_so)
{
    check_refused("TIMEOUT", "", "The job was not done: it ran into Slurm's time limit.");
}

TEST(slurm__a_job_that_ended_at_slurms_warning_is_out_of_time)
{
    check_refused("COMPLETED",
                  "JobId=77 JobState=COMPLETED ExitCode=0:0 RunTime=00:29:40 TimeLimit=00:30:00\n",
                  "it ran into Slurm's time limit.");
}

TEST(slurm__a_job_that_an_administrator_cancelled_is_failed_and_says_so)
{
    check_refused("CANCELLED", "", "it was cancelled in Slurm.");
}

TEST(slurm__a_job_whose_process_got_a_signal_is_tried_again)
{
    const int64_t id = leave_in_slurm("\"succeed\"");
    write_in(id, "result.json", CANCELLED_RESULT);
    write_slurm("shown",
                "JobId=77 JobState=COMPLETED ExitCode=0:0 RunTime=00:01:00 TimeLimit=01:00:00\n");
    queue_job(id, 1, "COMPLETED");
    start_keeper(GF__RUNNER_SLURM);
    wait_noted("submitted");
    write_in(id, "result.json", "{\"attempt\": 2, \"state\": \"SUCCEEDED\"}");
    queue_job(id, 2, "COMPLETED");
    wait_state("SUCCEEDED");
}

/* ---- submissions ---- */

/* What Slurm is asked for, for a job with so much of trainingInput; the nodes have up to 6 CPUs and 3000 MiB. */
static void check_asked(const char *more, const char *cpus, const char *memory)
{
    char *words = gf__asprintf("\"succeed\"], %s, \"packageUris\": [", more);
    submit(words);
    n_cpus = 0; /* the server is not told how many */
    start_keeper(GF__RUNNER_SLURM);
    n_cpus = 2;
    wait_noted("submitted");
    char *asked = read_slurm("asked");
    if (strstr(asked, cpus) == NULL || strstr(asked, memory) == NULL)
        fail_msg("sbatch was asked for %s; expected %s and %s", asked, cpus, memory);
    gf__free(asked);
    gf__free(words);
}

/* This machine's CPUs are not the cluster's. */
TEST(slurm__the_partitions_nodes_bound_a_job_and_not_the_server)
{
    check_asked("\"scaleTier\": \"STANDARD_1\"", "--cpus-per-task=6 ", "");
}

TEST(slurm__a_machine_gets_what_it_is_where_the_nodes_have_it)
{
    check_asked("\"scaleTier\": \"CUSTOM\", \"masterType\": \"standard\"", "--cpus-per-task=4 ",
                "--mem=3000M ");
}

TEST(slurm__that_is_down_keeps_jobs_waiting_and_is_said_to_be)
{
    write_slurm("down", "");
    submit("\"succeed\"");
    start_keeper(GF__RUNNER_SLURM);
    wait_reason("Unable to contact slurm controller");
    CHECK_STR(value("state"), "QUEUED");
    remove_slurm("down");
    wait_noted("submitted");
}

TEST(slurm__a_submission_whose_answer_was_lost_is_found_and_cancelled)
{
    write_slurm("loses", ""); /* slurmctld takes the job, and is gone before it says so */
    submit("\"succeed\"");
    start_keeper(GF__RUNNER_SLURM);
    wait_reason("starting it: sbatch refused the job");
    CHECK_OK(gf_registry_cancel_job(registry, PROJECT "/jobs/a", &check_err));
    gf__jobs_wake(jobs);
    write_slurm("shown", "JobId=77 JobState=CANCELLED ExitCode=0:15\n");
    remove_slurm("down");
    wait_state("CANCELLED");
    CHECK(count_noted("cancelled") > 0); /* nothing is left running in Slurm */
    CHECK_EQ(count_noted("submitted"), 1);
}

TEST(slurm__a_submission_whose_answer_was_lost_is_not_submitted_again)
{
    write_slurm("loses", "");
    const int64_t id = submit("\"succeed\"");
    start_keeper(GF__RUNNER_SLURM);
    wait_reason("starting it: sbatch refused the job");
    remove_slurm("down");
    while (strcmp(value("state"), "RUNNING") != 0) { /* found, and followed */
        write_in(id, "progress.json", "{\"attempt\": 1, \"state\": \"RUNNING\"}");
        pause_a_little();
    }
    write_in(id, "result.json", "{\"attempt\": 1, \"state\": \"SUCCEEDED\"}");
    queue_job(id, 1, "COMPLETED");
    wait_state("SUCCEEDED");
    CHECK_EQ(count_noted("submitted"), 1);
}

/* ---- another --runner ---- */

TEST(elsewhere__a_job_that_slurm_has_is_followed_to_its_end)
{
    const int64_t id = leave_in_slurm("\"succeed\"");
    queue_job(id, 1, "RUNNING");
    write_in(id, "progress.json", "{\"attempt\": 1, \"state\": \"RUNNING\"}");
    start_keeper(GF__RUNNER_LOCAL);
    wait_state("RUNNING");
    write_in(id, "result.json", "{\"attempt\": 1, \"state\": \"SUCCEEDED\"}");
    queue_job(id, 1, "COMPLETED");
    wait_state("SUCCEEDED");
}

TEST(elsewhere__a_job_that_slurm_has_is_cancelled_there)
{
    const int64_t id = leave_in_slurm("\"succeed\"");
    queue_job(id, 1, "RUNNING");
    start_keeper(GF__RUNNER_LOCAL);
    CHECK_OK(gf_registry_cancel_job(registry, PROJECT "/jobs/a", &check_err));
    gf__jobs_wake(jobs);
    wait_state("CANCELLED");
    CHECK(count_noted("cancelled") > 0);
}

TEST(elsewhere__a_job_that_died_in_slurm_is_tried_again_here)
{
    const int64_t id = leave_in_slurm("\"crash-until\", \"2\", \"succeed\"");
    queue_job(id, 1, "NODE_FAIL");
    start_keeper(GF__RUNNER_LOCAL);
    wait_state("SUCCEEDED");
    CHECK_EQ(count_noted("submitted"), 0);
}

TEST(elsewhere__a_job_that_runs_here_is_followed_by_a_keeper_of_slurm)
{
    const int64_t id = submit("\"touch\", \"here\", \"wait\", \"go\"");
    start_keeper(GF__RUNNER_LOCAL);
    wait_in(id, "here");
    gf__jobs_free(jobs);
    start_keeper(GF__RUNNER_SLURM);
    write_in(id, "go", "");
    wait_state("SUCCEEDED");
    CHECK_EQ(count_noted("submitted"), 0);
}

TEST(elsewhere__where_slurm_is_gone_a_job_that_runs_is_waited_for)
{
    const int64_t id = leave_in_slurm("\"succeed\"");
    gf__lock *lock = NULL;
    char *dir = dir_of(id), *path = gf__path_join(dir, "lock");
    CHECK_OK(gf__lock_acquire(path, false, &lock, &check_err)); /* its process, on some node */
    setenv("PATH", "/nowhere", 1);
    start_keeper(GF__RUNNER_LOCAL);
    wait_reason("runs, but its place 77 cannot be asked: there is no sbatch in the path");
    write_in(id, "result.json", "{\"attempt\": 1, \"state\": \"SUCCEEDED\"}");
    gf__lock_release(lock);
    wait_state("SUCCEEDED");
    gf__free(path);
    gf__free(dir);
}

TEST(elsewhere__where_slurm_is_gone_a_job_that_does_not_run_is_tried_again)
{
    leave_in_slurm("\"crash-until\", \"2\", \"succeed\"");
    setenv("PATH", "/nowhere", 1);
    start_keeper(GF__RUNNER_LOCAL);
    wait_state("SUCCEEDED"); /* by its second attempt: the first would have crashed */
}

#define SLURM_UNIT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TESTS_MAIN(SLURM_UNIT(slurm__a_job_out_of_slurms_time_is_failed_and_says_so),
           SLURM_UNIT(slurm__a_job_that_ended_at_slurms_warning_is_out_of_time),
           SLURM_UNIT(slurm__a_job_that_an_administrator_cancelled_is_failed_and_says_so),
           SLURM_UNIT(slurm__a_job_whose_process_got_a_signal_is_tried_again),
           SLURM_UNIT(slurm__the_partitions_nodes_bound_a_job_and_not_the_server),
           SLURM_UNIT(slurm__a_machine_gets_what_it_is_where_the_nodes_have_it),
           SLURM_UNIT(slurm__that_is_down_keeps_jobs_waiting_and_is_said_to_be),
           SLURM_UNIT(slurm__a_submission_whose_answer_was_lost_is_found_and_cancelled),
           SLURM_UNIT(slurm__a_submission_whose_answer_was_lost_is_not_submitted_again),
           SLURM_UNIT(elsewhere__a_job_that_slurm_has_is_followed_to_its_end),
           SLURM_UNIT(elsewhere__a_job_that_slurm_has_is_cancelled_there),
           SLURM_UNIT(elsewhere__a_job_that_died_in_slurm_is_tried_again_here),
           SLURM_UNIT(elsewhere__a_job_that_runs_here_is_followed_by_a_keeper_of_slurm),
           SLURM_UNIT(elsewhere__where_slurm_is_gone_a_job_that_runs_is_waited_for),
           SLURM_UNIT(elsewhere__where_slurm_is_gone_a_job_that_does_not_run_is_tried_again))
