/* The runner of this machine: attempts begin and end, are found again, and leave nobody behind. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "jobs/local_priv.h"

static const gf__runner_ops *const ops = &gf__runner_local;

typedef struct fixture {
    char *home, *dir;
    void *runner;
    gf__attempt attempt;
    char *place;
} fixture;

static void open_runner(fixture *f)
{
    gf__jobs_options options = {
        .home = f->home, .program = getenv("GRAFT_JOB_PROGRAM"), .n_cpus = 2};
    assert_non_null(options.program);
    CHECK_OK(ops->open(&options, &f->runner, &check_err));
}

/* words: the program's, each ended by a newline. */
static void set_up(fixture *f, const char *words)
{
    *f = (fixture){.home = check_temp_dir()};
    f->dir = gf__path_join(f->home, "jobs/1");
    CHECK_OK(gf__make_dirs(f->dir, &check_err));
    char *plan = gf__path_join(f->dir, "plan");
    CHECK_OK(gf__write_file(plan, words, strlen(words), &check_err));
    gf__free(plan);
    f->attempt = (gf__attempt){.job_id = 1,
                               .number = 1,
                               .name = "projects/p/jobs/j",
                               .dir = f->dir,
                               .n_cpus = 1,
                               .grace_ms = 1000,
                               .max_running_s = 60,
                               .n_shards = 1};
    open_runner(f);
}

static void tear_down(fixture *f)
{
    ops->close(f->runner);
    gf__free(f->place);
    gf__free(f->dir);
    check_remove_dir(f->home);
}

static void start(fixture *f)
{
    CHECK_OK(ops->start(f->runner, &f->attempt, &f->place, &check_err));
}

static gf__attempt_state look(fixture *f, char *reason)
{
    gf__attempt_look found;
    CHECK_OK(ops->look(f->runner, &f->attempt, f->place, &found, &check_err));
    if (reason != NULL)
        snprintf(reason, 160, "%s", found.reason);
    return found.state;
}

/* By the descriptor, as the keeper waits; a pidfd that got lost would hang here until the timeout. */
static void wait_end(fixture *f, char *reason)
{
    while (look(f, reason) != GF__ATTEMPT_ENDED) {
        struct pollfd fd = {.fd = ops->fd(f->runner), .events = POLLIN};
        CHECK(poll(&fd, 1, 120000) >= 0);
    }
}

static bool has_file(const fixture *f, const char *name)
{
    char *path = gf__path_join(f->dir, name);
    const bool has = access(path, F_OK) == 0;
    gf__free(path);
    return has;
}

static void wait_file(const fixture *f, const char *name)
{
    while (!has_file(f, name))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static char *read_text(const fixture *f, const char *name)
{
    char *text = NULL, *path = gf__path_join(f->dir, name);
    size_t size = 0;
    CHECK_OK(gf__read_file(path, 1 << 20, &text, &size, &check_err));
    gf__free(path);
    return text;
}

static void check_result(const fixture *f, const char *part)
{
    char *text = read_text(f, "result.json");
    const bool has_part = strstr(text, part) != NULL;
    gf__free(text);
    CHECK(has_part);
}

static pid_t pid_of(const fixture *f)
{
    return (pid_t)strtol(f->place, NULL, 10);
}

/* Of the processes that the program started beside itself: none is alive. */
static void check_others_gone(const fixture *f, size_t n_want)
{
    char *text = read_text(f, "others");
    size_t n = 0;
    for (char *line = text; *line != '\0'; line = strchr(line, '\n') + 1, n++) {
        gf__proc proc;
        const pid_t pid = (pid_t)strtol(line, NULL, 10);
        CHECK(!gf__proc_look(pid, &proc) || proc.state == 'Z');
    }
    CHECK_EQ(n, n_want);
    gf__free(text);
}

static void wait_others(const fixture *f, size_t n_want)
{
    size_t n = 0;
    wait_file(f, "others");
    while (n < n_want) {
        char *text = read_text(f, "others");
        n = 0;
        for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
            n++;
        gf__free(text);
    }
}

TEST(local__runs_a_program_to_its_end)
{
    fixture f;
    char reason[160];
    set_up(&f, "say\nhello\nsucceed\n");
    start(&f);
    wait_end(&f, reason);
    CHECK_STR(reason, "its process ended with status 0");
    check_result(&f, "SUCCEEDED");
    tear_down(&f);
}

TEST(local__program_leads_a_session_niced_in_its_folder_without_our_files)
{
    fixture f;
    char path[64], where[4096] = "", *real = NULL;
    signal(SIGPIPE, SIG_IGN); /* as a server does */
    set_up(&f, "touch\nhere\nhang\n");
    real = realpath(f.dir, NULL);
    const int leaked = open(f.dir, O_RDONLY); /* not close-on-exec: somebody's carelessness */
    start(&f);
    wait_file(&f, "here");
    gf__proc proc;
    CHECK(gf__proc_look(pid_of(&f), &proc));
    CHECK_EQ(proc.session, proc.pid);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)proc.pid, leaked);
    /* The program may have opened something of its own under that number. */
    CHECK(leaked > 2 && (readlink(path, where, sizeof where - 1) < 0 || strcmp(where, real) != 0));
    memset(where, 0, sizeof where);
    snprintf(path, sizeof path, "/proc/%d/cwd", (int)proc.pid);
    CHECK(readlink(path, where, sizeof where - 1) > 0);
    CHECK_STR(where, real);
    free(real);
    snprintf(path, sizeof path, "/proc/%d/stat", (int)proc.pid);
    char *stat_text = NULL;
    size_t size = 0;
    CHECK_OK(gf__read_file(path, 4096, &stat_text, &size, &check_err));
    int niceness = 0;
    CHECK_EQ(sscanf(strrchr(stat_text, ')') + 1,
                    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %d",
                    &niceness),
             1);
    CHECK_EQ(niceness, 10);
    gf__free(stat_text);
    CHECK_OK(ops->stop(f.runner, &f.attempt, f.place, true, &check_err));
    wait_end(&f, NULL);
    close(leaked);
    signal(SIGPIPE, SIG_DFL);
    tear_down(&f);
}

TEST(local__program_gets_no_secret_of_ours)
{
    fixture f;
    char path[64], *text = NULL;
    size_t size = 0;
    setenv("SOME_SECRET", "4711", 1);
    setenv("GRAFT_TOKEN", "4711", 1);
    setenv("PIP_INDEX_URL", "http://index", 1);
    set_up(&f, "touch\nhere\nhang\n");
    start(&f);
    wait_file(&f, "here");
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid_of(&f));
    CHECK_OK(gf__read_file(path, 1 << 20, &text, &size, &check_err));
    assert_null(memmem(text, size, "4711", 4));
    assert_non_null(memmem(text, size, "PATH=", 5));
    assert_non_null(memmem(text, size, "PIP_INDEX_URL=http://index", 26));
    gf__free(text);
    CHECK_OK(ops->stop(f.runner, &f.attempt, f.place, true, &check_err));
    wait_end(&f, NULL);
    unsetenv("SOME_SECRET");
    unsetenv("GRAFT_TOKEN");
    unsetenv("PIP_INDEX_URL");
    tear_down(&f);
}

TEST(local__says_how_a_process_ended)
{
    fixture f;
    char reason[160];
    set_up(&f, "crash\n");
    start(&f);
    wait_end(&f, reason);
    CHECK_STR(reason, "its process was killed by signal 9");
    CHECK(!has_file(&f, "result.json"));
    tear_down(&f);
    set_up(&f, "exit\n3\n");
    start(&f);
    wait_end(&f, reason);
    CHECK_STR(reason, "its process ended with status 3");
    tear_down(&f);
}

TEST(local__start_of_a_missing_program_fails_and_names_it)
{
    fixture f = {.home = check_temp_dir()};
    gf__jobs_options options = {.home = f.home, .program = "/nowhere/graft", .n_cpus = 2};
    CHECK_OK(ops->open(&options, &f.runner, &check_err));
    f.attempt = (gf__attempt){.job_id = 1, .number = 1, .dir = f.home, .n_cpus = 1};
    CHECK_FAILS(GF_ENOTFOUND, "/nowhere/graft",
                ops->start(f.runner, &f.attempt, &f.place, &check_err));
    assert_null(f.place);
    const char *reason = NULL;
    CHECK(ops->has_room(f.runner, &f.attempt, &reason));
    tear_down(&f);
}

TEST(local__has_room_for_so_many_cpus)
{
    fixture f;
    const char *reason = NULL;
    set_up(&f, "hang\n");
    start(&f);
    gf__attempt other = f.attempt;
    other.job_id = 2;
    CHECK(ops->has_room(f.runner, &other, &reason));
    other.n_cpus = 2;
    CHECK(!ops->has_room(f.runner, &other, &reason));
    CHECK_STR(reason, "waits for 2 CPUs; 1 of 2 are in use");
    CHECK_OK(ops->stop(f.runner, &f.attempt, f.place, true, &check_err));
    wait_end(&f, NULL);
    CHECK(ops->has_room(f.runner, &other, &reason));
    tear_down(&f);
}

TEST(local_stop__asks_first)
{
    fixture f;
    set_up(&f, "touch\nhere\nhang\n");
    start(&f);
    wait_file(&f, "here");
    CHECK_OK(ops->stop(f.runner, &f.attempt, f.place, false, &check_err));
    wait_end(&f, NULL);
    check_result(&f, "CANCELLED");
    CHECK_OK(ops->stop(f.runner, &f.attempt, f.place, false, &check_err)); /* has ended: fine */
    tear_down(&f);
}

TEST(local_stop__forced_ends_children_daemons_and_those_without_environment)
{
    fixture f;
    char reason[160];
    set_up(&f, "deaf\nchild\ndaemon\nhidden\nfork\n20\ntouch\nhere\nhang\n");
    start(&f);
    wait_file(&f, "here");
    wait_others(&f, 23);
    CHECK_OK(ops->stop(f.runner, &f.attempt, f.place, false, &check_err));
    CHECK_EQ(look(&f, NULL), GF__ATTEMPT_RUNNING);
    CHECK_OK(ops->stop(f.runner, &f.attempt, f.place, true, &check_err));
    wait_end(&f, reason);
    CHECK_STR(reason, "its process was killed by signal 9");
    gf__groups groups;
    CHECK_OK(gf__groups_open("", 0, &groups, &check_err));
    /* The hidden one is in no session of the job's and says nothing: only a group knows it. */
    if (groups.n_trees > 0)
        check_others_gone(&f, 23);
    gf__groups_close(&groups);
    tear_down(&f);
}

TEST(local__what_an_ended_program_left_behind_is_ended)
{
    fixture f;
    set_up(&f, "child\ndaemon\nwait\ngate\nsucceed\n");
    start(&f);
    wait_others(&f, 2);
    char *gate = gf__path_join(f.dir, "gate");
    CHECK_OK(gf__write_file(gate, "", 0, &check_err));
    gf__free(gate);
    wait_end(&f, NULL);
    check_result(&f, "SUCCEEDED");
    check_others_gone(&f, 2);
    tear_down(&f);
}

TEST(local__another_runner_takes_over_what_runs)
{
    fixture f;
    set_up(&f, "touch\nhere\nwait\ngo\n");
    start(&f);
    wait_file(&f, "here");
    ops->close(f.runner);
    open_runner(&f);
    CHECK_EQ(look(&f, NULL), GF__ATTEMPT_RUNNING);
    const char *reason = NULL;
    gf__attempt other = {.job_id = 2, .n_cpus = 2};
    CHECK(!ops->has_room(f.runner, &other, &reason)); /* its CPUs are counted again */
    char *go = gf__path_join(f.dir, "go");
    CHECK_OK(gf__write_file(go, "", 0, &check_err));
    gf__free(go);
    wait_end(&f, NULL);
    check_result(&f, "SUCCEEDED");
    tear_down(&f);
}

TEST(local__sees_the_end_of_what_is_not_its_child)
{
    fixture f;
    int fds[2];
    char reason[160];
    set_up(&f, "touch\nhere\nwait\ngo\ncrash\n");
    CHECK_EQ(pipe(fds), 0);
    const pid_t keeper = fork();
    if (keeper == 0) { /* starts the job, tells its place, and dies */
        if (ops->start(f.runner, &f.attempt, &f.place, NULL) != GF_OK ||
            write(fds[1], f.place, strlen(f.place) + 1) < 0)
            _exit(1);
        raise(SIGKILL);
    }
    char place[128] = "";
    CHECK(read(fds[0], place, sizeof place - 1) > 0);
    waitpid(keeper, NULL, 0);
    f.place = gf__strdup(place);
    wait_file(&f, "here");
    CHECK_EQ(look(&f, NULL), GF__ATTEMPT_RUNNING);
    char *go = gf__path_join(f.dir, "go");
    CHECK_OK(gf__write_file(go, "", 0, &check_err));
    gf__free(go);
    wait_end(&f, reason);
    CHECK_STR(reason, "its process is gone");
    close(fds[0]);
    close(fds[1]);
    tear_down(&f);
}

TEST(local_find__finds_what_was_started_and_not_noted)
{
    fixture f;
    char *found = NULL;
    set_up(&f, "daemon\ntouch\nhere\nhang\n");
    start(&f);
    wait_file(&f, "here");
    wait_others(&f, 1);
    CHECK_OK(ops->find(f.runner, &f.attempt, &found, &check_err));
    CHECK_STR(found, f.place);
    gf__free(found);
    CHECK_OK(ops->stop(f.runner, &f.attempt, f.place, true, &check_err));
    wait_end(&f, NULL);
    CHECK_OK(ops->find(f.runner, &f.attempt, &found, &check_err));
    assert_null(found);
    f.attempt.number = 2;
    CHECK_OK(ops->find(f.runner, &f.attempt, &found, &check_err));
    assert_null(found);
    tear_down(&f);
}

TEST(local_find__ends_the_leftovers_of_another_attempt)
{
    fixture f;
    char *found = NULL;
    set_up(&f, "daemon\ntouch\nhere\nhang\n");
    start(&f);
    wait_file(&f, "here");
    wait_others(&f, 1);
    f.attempt.number = 2; /* begun, and never started */
    CHECK_OK(ops->find(f.runner, &f.attempt, &found, &check_err));
    assert_null(found);
    check_others_gone(&f, 1);
    f.attempt.number = 1;
    wait_end(&f, NULL);
    tear_down(&f);
}

TEST(local_look__knows_a_number_given_out_again_and_another_life_of_the_machine)
{
    fixture f;
    char reason[160], boot[40];
    set_up(&f, "succeed\n");
    gf__proc ours;
    gf__boot_id(boot);
    CHECK(gf__proc_look(getpid(), &ours));
    f.place = gf__asprintf("%d:%llu:%s", (int)getpid(), ours.start_time + 1, boot);
    CHECK_EQ(look(&f, reason), GF__ATTEMPT_ENDED);
    CHECK_STR(reason, "its process is gone");
    gf__free(f.place);
    f.place = gf__asprintf("%d:%llu:another-boot", (int)getpid(), ours.start_time);
    CHECK_EQ(look(&f, reason), GF__ATTEMPT_ENDED);
    CHECK_STR(reason, "this machine was started anew");
    gf__free(f.place);
    f.place = gf__strdup("nonsense");
    gf__attempt_look found;
    CHECK_FAILS(GF_EFORMAT, "no place of the local runner",
                ops->look(f.runner, &f.attempt, f.place, &found, &check_err));
    tear_down(&f);
}

/* ---- cgroups ---- */

TEST(local__a_program_over_its_memory_is_ended_and_the_reason_says_so)
{
    fixture f;
    gf__groups groups;
    char reason[160];
    bool has_memory = false;
    CHECK_OK(gf__groups_open("", 0, &groups, &check_err));
    for (size_t i = 0; i < groups.n_trees; i++)
        has_memory = has_memory || groups.trees[i].has_memory;
    gf__groups_close(&groups);
    set_up(&f, "eat\n400\nsucceed\n");
    f.attempt.max_memory_bytes = (uint64_t)200 << 20;
    start(&f);
    wait_end(&f, reason);
    CHECK(!has_file(&f, "result.json"));
    /* Without a group the address space is bounded: the program is told no. */
    CHECK_STR(reason, has_memory
                          ? "its process was killed by signal 9: out of the memory it may use"
                          : "its process ended with status 70");
    tear_down(&f);
}

TESTS_MAIN(UNIT(local__runs_a_program_to_its_end),
           UNIT(local__program_leads_a_session_niced_in_its_folder_without_our_files),
           UNIT(local__program_gets_no_secret_of_ours), UNIT(local__says_how_a_process_ended),
           UNIT(local__start_of_a_missing_program_fails_and_names_it),
           UNIT(local__has_room_for_so_many_cpus), UNIT(local_stop__asks_first),
           UNIT(local_stop__forced_ends_children_daemons_and_those_without_environment),
           UNIT(local__what_an_ended_program_left_behind_is_ended),
           UNIT(local__another_runner_takes_over_what_runs),
           UNIT(local__sees_the_end_of_what_is_not_its_child),
           UNIT(local_find__finds_what_was_started_and_not_noted),
           UNIT(local_find__ends_the_leftovers_of_another_attempt),
           UNIT(local_look__knows_a_number_given_out_again_and_another_life_of_the_machine),
           UNIT(local__a_program_over_its_memory_is_ended_and_the_reason_says_so))
