/* The keeper when things go wrong: cancels, a keeper that is killed, a full disk. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "job_keeper.h"

/* ---- cancelling ---- */

TEST(keeper__cancels_a_running_job_with_all_its_processes)
{
    submit("a", "\"child\", \"daemon\", \"touch\", \"here\", \"hang\"", "");
    wait_file("a", "here");
    cancel("a");
    wait_state("a", "CANCELLED");
    check_message("a", "cancelled");
    check_no_orphan("a");
}

TEST(keeper__forces_a_job_that_does_not_listen)
{
    submit("a", "\"deaf\", \"child\", \"touch\", \"here\", \"hang\"", "");
    wait_file("a", "here");
    cancel("a");
    wait_state("a", "CANCELLED");
    check_message("a", "cancelled");
    check_no_orphan("a");
    CHECK_EQ(n_runs("a"), 1);
}

TEST(keeper__a_job_cancelled_in_the_queue_never_runs)
{
    submit("a", "\"wait\", \"go\"", "");
    wait_file("a", "runs");
    submit("b", "\"succeed\"", "");
    cancel("b");
    CHECK(has_state("b", "CANCELLED"));
    put("a", "go");
    wait_state("a", "SUCCEEDED");
    submit("c", "\"succeed\"", "");
    wait_state("c", "SUCCEEDED");
    CHECK_EQ(n_runs("b"), 0);
}

/* ---- another keeper ---- */

TEST(keeper__takes_over_what_runs_and_what_ended_meanwhile)
{
    submit("runs", "\"wait\", \"go\"", SMALL);
    submit("ends", "\"wait\", \"go\"", SMALL);
    wait_file("runs", "runs");
    wait_file("ends", "runs");
    gf__jobs_free(jobs);
    jobs = NULL;
    put("ends", "go");
    wait_file("ends", "result.json");
    CHECK(!has_state("ends", "SUCCEEDED"));
    start_keeper();
    wait_state("ends", "SUCCEEDED");
    CHECK(!has_state("runs", "SUCCEEDED"));
    put("runs", "go");
    wait_state("runs", "SUCCEEDED");
    CHECK_EQ(n_runs("runs"), 1);
    CHECK_EQ(n_runs("ends"), 1);
}

static int64_t id_of(const char *id)
{
    gf__job_list list;
    int64_t number = 0;
    char *name = gf__asprintf(PROJECT "/jobs/%s", id);
    CHECK_OK(gf__registry_open_jobs(registry, &list, &check_err));
    for (size_t i = 0; i < list.n_jobs; i++)
        if (strcmp(list.jobs[i].name, name) == 0)
            number = list.jobs[i].id;
    gf__job_list_free(&list);
    gf__free(name);
    CHECK(number > 0);
    return number;
}

TEST(keeper__an_attempt_that_was_begun_and_never_started_is_no_crash)
{
    gf__jobs_free(jobs);
    jobs = NULL;
    submit("a", "\"crash-until\", \"3\", \"succeed\"", "");
    CHECK_OK(gf__registry_begin_attempt(registry, id_of("a"), &check_err));
    start_keeper();
    wait_state("a", "SUCCEEDED"); /* two crash, the third that runs does not */
    CHECK_EQ(n_runs("a"), 3);
}

TEST(keeper__an_attempt_that_was_started_and_not_noted_is_found)
{
    gf__jobs_free(jobs);
    jobs = NULL;
    submit("a", "\"wait\", \"go\"", "");
    void *runner = NULL;
    char *place = NULL, *dir = dir_of("a"), *path = gf__path_join(dir, "plan");
    const gf__jobs_options options = keeper_options();
    CHECK_OK(gf__make_dirs(dir, &check_err));
    CHECK_OK(gf__write_file(path, "wait\ngo\n", 8, &check_err));
    CHECK_OK(gf__registry_begin_attempt(registry, id_of("a"), &check_err));
    CHECK_OK(gf__runner_local.open(&options, &runner, &check_err));
    const gf__attempt attempt = {.job_id = id_of("a"), .number = 1, .dir = dir, .n_cpus = 2};
    CHECK_OK(gf__runner_local.start(runner, &attempt, &place, &check_err));
    wait_file("a", "runs");
    start_keeper(); /* the one before died between start and note */
    put("a", "go");
    wait_state("a", "SUCCEEDED");
    CHECK_EQ(n_runs("a"), 1);
    gf__runner_local.close(runner);
    gf__free(place);
    gf__free(path);
    gf__free(dir);
}

/* A process that keeps the home's jobs and is killed. It tells that it runs through fd. */
static void keep_until_killed(int fd)
{
    gf_registry *mine = NULL;
    gf_registry_options options = gf_registry_options_default();
    options.home = home;
    if (gf_registry_open(&options, &mine, NULL) != GF_OK || gf_registry_lock(mine, NULL) != GF_OK)
        _exit(1);
    gf__jobs_options settings = keeper_options();
    settings.registry = mine;
    if (gf__jobs_start(&settings, &jobs, NULL) != GF_OK || write(fd, "x", 1) != 1)
        _exit(2);
    for (;;)
        pause();
}

TEST(keeper__killed_at_any_moment_loses_no_job_and_runs_none_twice)
{
    enum { N = 6 };
    gf__jobs_free(jobs);
    jobs = NULL;
    gf_registry_close(registry);
    registry = open_home(false);
    for (int i = 0; i < N; i++) {
        char id[8];
        snprintf(id, sizeof id, "k%d", i);
        submit(id, "\"note\", \"x\", \"wait\", \"go\"", SMALL);
    }
    for (int round = 0; round < 12; round++) {
        int fds[2];
        char word;
        CHECK_EQ(pipe(fds), 0);
        const pid_t keeper = fork();
        if (keeper == 0)
            keep_until_killed(fds[1]);
        close(fds[1]); /* so that one that ends by itself is noticed */
        CHECK_EQ(read(fds[0], &word, 1), 1);
        nanosleep(&(struct timespec){.tv_nsec = (round * 7919 % 23) * 1000000L}, NULL);
        kill(keeper, SIGKILL);
        waitpid(keeper, NULL, 0);
        close(fds[0]);
        char id[8];
        snprintf(id, sizeof id, "k%d", round / 2);
        char *dir = dir_of(id);
        CHECK_OK(gf__make_dirs(dir, &check_err));
        gf__free(dir);
        put(id, "go");
    }
    CHECK_OK(gf_registry_lock(registry, &check_err));
    start_keeper();
    for (int i = 0; i < N; i++) {
        char id[8];
        snprintf(id, sizeof id, "k%d", i);
        wait_state(id, "SUCCEEDED");
        CHECK_EQ(n_runs(id), 1);
        check_no_orphan(id);
    }
}

TEST(keeper__needs_the_lock_of_the_home)
{
    gf_registry *other = open_home(false);
    CHECK_FAILS(GF_EBUSY, "", gf_registry_lock(other, &check_err));
    gf_registry_close(other);
}

/* ---- the disk ---- */

TEST(keeper__waits_while_the_disk_is_full)
{
    struct rlimit before;
    int wait_ms = 0;
    gf__jobs *by_hand = NULL;
    const gf__jobs_options options = keeper_options();
    signal(SIGXFSZ, SIG_IGN);
    gf__jobs_free(jobs);
    jobs = NULL;
    CHECK_OK(gf__jobs_start(&options, &by_hand, &check_err));
    stop_thread(by_hand); /* its rounds are ours: the limit is of the whole process */
    submit("a", "\"succeed\"", "");
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit full = {50, before.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
    const gf_status st = gf__jobs_round(by_hand, &wait_ms, &check_err);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_EQ(st, GF_OK);
    CHECK(has_state("a", "QUEUED")); /* nothing was begun */
    assert_non_null(strstr(by_hand->tracks->reason, "spec.json"));
    by_hand->tracks->retry_ms = 0;
    CHECK_OK(gf__jobs_round(by_hand, &wait_ms, &check_err));
    gf__jobs_free(by_hand);
    start_keeper();
    wait_state("a", "SUCCEEDED");
    CHECK_EQ(n_runs("a"), 1);
}

TEST(keeper__survives_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    int wait_ms = 0;
    const gf__jobs_options options = keeper_options();
    gf__jobs_free(jobs);
    jobs = NULL;
    submit("a", "\"note\", \"x\", \"wait\", \"go\"", "");
    for (size_t n = 0; st != GF_OK || !has_state("a", "RUNNING"); n++) {
        gf__jobs *by_hand = NULL;
        CHECK(n < 3000);
        gf__mem_fail_after(n);
        st = gf__jobs_start(&options, &by_hand, NULL);
        gf__mem_fail_never();
        if (st != GF_OK)
            continue;
        stop_thread(by_hand);
        gf__mem_fail_after(n / 4);
        st = gf__jobs_round(by_hand, &wait_ms, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || st == GF_ENOMEM || st == GF_EIO);
        gf__jobs_free(by_hand);
    }
    start_keeper();
    put("a", "go");
    wait_state("a", "SUCCEEDED");
    CHECK_EQ(n_runs("a"), 1);
    check_no_orphan("a");
}

TESTS_MAIN(JOB_UNIT(keeper__cancels_a_running_job_with_all_its_processes),
           JOB_UNIT(keeper__forces_a_job_that_does_not_listen),
           JOB_UNIT(keeper__a_job_cancelled_in_the_queue_never_runs),
           JOB_UNIT(keeper__takes_over_what_runs_and_what_ended_meanwhile),
           JOB_UNIT(keeper__an_attempt_that_was_begun_and_never_started_is_no_crash),
           JOB_UNIT(keeper__an_attempt_that_was_started_and_not_noted_is_found),
           JOB_UNIT(keeper__killed_at_any_moment_loses_no_job_and_runs_none_twice),
           JOB_UNIT(keeper__needs_the_lock_of_the_home),
           JOB_UNIT(keeper__waits_while_the_disk_is_full),
           JOB_UNIT(keeper__survives_every_allocation_failure))
