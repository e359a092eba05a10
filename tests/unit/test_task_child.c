/* test_task_child.c: programs that run for a job: their output, their ends, and nobody left
 * behind. */
#include "task_home.h"

#include "base/base.h"

static gf__task_options options;
static gf__task *task;

static void open_task(long max_running_s, long grace_ms)
{
    write_spec(&(job_spec){"op.task", "", max_running_s, grace_ms});
    options = (gf__task_options){.dir = job, .attempt = 1};
    CHECK_OK(gf__task_open(&options, &task, &check_err));
}

static void close_task(void)
{
    gf__task_close(task);
    task = NULL;
}

static gf__child *start_in(const char *trial, char *const *env, char *const *argv)
{
    gf__child *child = NULL;
    const gf__child_options started = {
        .argv = argv, .env = env, .dir = job, .trial = trial, .user = (void *)(uintptr_t)argv};
    CHECK_OK(gf__child_start(task, &started, &child, &check_err));
    return child;
}

#define TEXT(text)    ((char *)(uintptr_t)(text))
#define ARGV(...)     ((char *[]){__VA_ARGS__, NULL})
#define SHELL(script) start_in(NULL, NULL, ARGV(TEXT("sh"), TEXT("-c"), TEXT(script)))

/* Its exit status; it is freed. */
static int finish(gf__child *child)
{
    gf__child *ended = NULL;
    CHECK_OK(gf__child_wait_any(task, -1, &ended, &check_err));
    CHECK(ended == child);
    const int status = gf__child_exit(child);
    gf__child_free(child);
    return status;
}

/* The process of that number does not run. */
static bool is_gone(const char *pid)
{
    return kill((pid_t)strtol(pid, NULL, 10), 0) != 0 && errno == ESRCH;
}

TEST(output__is_in_the_log_line_by_line)
{
    open_task(0, 0);
    CHECK_EQ(finish(SHELL("printf 'one\\ntwo\\r\\n\\nthe last, without an end'; echo three >&2")),
             0);
    close_task();
    check_log_has("\"stream\": \"stdout\", \"message\": \"one\"}");
    check_log_has("\"message\": \"two\"}");
    check_log_has("\"message\": \"\"}");
    check_log_has("\"message\": \"the last, without an end\"}");
    check_log_has("\"stream\": \"stderr\", \"message\": \"three\"}");
}

TEST(output__of_a_trial_names_it)
{
    open_task(0, 0);
    CHECK_EQ(finish(start_in("3", NULL, ARGV(TEXT("echo"), TEXT("hello")))), 0);
    CHECK_STR(gf__child_last_tail(task, "3"), "hello");
    CHECK_STR(gf__child_last_tail(task, "4"), "");
    CHECK_STR(gf__child_last_tail(task, NULL), "");
    close_task();
    check_log_has("\"trialId\": \"3\", \"message\": \"hello\"");
}

/* Ten megabytes without a newline, of characters of three bytes: cut between them, none lost. */
TEST(output__without_newlines_is_cut_between_characters)
{
    open_task(0, 0);
    CHECK_EQ(
        finish(SHELL("i=0; while [ $i -lt 100 ]; do printf '\xe2\x80\xa2"
                     "ab'; i=$((i+1)); done >x;"
                     "i=0; while [ $i -lt 200 ]; do cat x x x x x x x x x x; i=$((i+1)); done >y;"
                     "cat y y y y y y y y y y")),
        0);
    close_task();
    char *text = read_log(job);
    const size_t n_bullets = count_byte(text, '\xe2'), n_lines = count_byte(text, '\n');
    CHECK(strstr(text, "\xef\xbf\xbd") == NULL); /* nothing had to be replaced */
    gf__free(text);
    CHECK_EQ(n_bullets, 2000000);
    CHECK(n_lines >= 10000000 / GF__JOB_LINE_BYTES);
}

/* The end of a line that fills its pieces comes after the last one was cut. */
TEST(output__that_fills_its_pieces_has_no_empty_line)
{
    open_task(0, 0);
    CHECK_EQ(finish(SHELL("head -c 65536 /dev/zero | tr '\\0' x; echo; echo end")), 0);
    close_task();
    char *text = read_log(job);
    CHECK(strstr(text, "\"message\": \"\"") == NULL);
    CHECK_EQ(count_byte(text, '\n'), 65536 / GF__JOB_LINE_BYTES + 1);
    gf__free(text);
}

TEST(tail__is_the_last_lines)
{
    open_task(0, 0);
    gf__child *child = SHELL("i=0; while [ $i -lt 2000 ]; do echo \"line $i\"; i=$((i+1)); done");
    gf__child *ended = NULL;
    CHECK_OK(gf__child_wait_any(task, -1, &ended, &check_err));
    const char *tail = gf__child_tail(child);
    CHECK(strlen(tail) <= 4096 && strlen(tail) > 3900);
    CHECK_STR(tail + strlen(tail) - 9, "line 1999");
    CHECK(strncmp(tail, "line ", 5) == 0); /* whole lines */
    gf__child_free(child);
    close_task();
}

TEST(exit__is_the_status_or_the_signal)
{
    open_task(0, 0);
    CHECK_EQ(finish(SHELL("exit 3")), 3);
    CHECK_EQ(finish(SHELL("kill -KILL $$")), -SIGKILL);
    close_task();
}

TEST(start__says_what_cannot_be_started)
{
    gf__child *child = NULL;
    open_task(0, 0);
    gf__child_options started = {.argv = ARGV(TEXT("graft-no-such-program")), .dir = job};
    CHECK_FAILS(GF_ENOTFOUND, "graft-no-such-program",
                gf__child_start(task, &started, &child, &check_err));
    started = (gf__child_options){.argv = ARGV(TEXT("true")), .dir = "/no/such/folder"};
    CHECK_FAILS(GF_ENOTFOUND, "/no/such/folder",
                gf__child_start(task, &started, &child, &check_err));
    CHECK(child == NULL);
    close_task();
}

TEST(environment__is_added_to_ours)
{
    open_task(0, 0);
    setenv("GRAFT_TEST_KEPT", "kept", 1);
    setenv("GRAFT_TEST_CHANGED", "before", 1);
    char *const env[] = {TEXT("GRAFT_TEST_CHANGED=after"), TEXT("GRAFT_TEST_NEW=new"), NULL};
    CHECK_EQ(finish(start_in(NULL, env,
                             ARGV(TEXT("sh"), TEXT("-c"),
                                  TEXT("echo $GRAFT_TEST_KEPT $GRAFT_TEST_CHANGED $GRAFT_TEST_NEW; "
                                       "env | grep -c GRAFT_TEST_CHANGED; pwd")))),
             0);
    char expected[1024];
    snprintf(expected, sizeof expected, "kept after new\n1\n%s", job);
    CHECK_STR(gf__child_last_tail(task, NULL), expected);
    close_task();
}

TEST(wait__gives_each_child_once_as_it_ends)
{
    gf__child *ended = NULL;
    open_task(0, 0);
    gf__child *slow = SHELL("exec sleep 1000"), *quick = SHELL("exit 1"), *good = SHELL("exit 0");
    for (int i = 0; i < 2; i++) {
        CHECK_OK(gf__child_wait_any(task, -1, &ended, &check_err));
        CHECK(ended == quick || ended == good);
        CHECK(gf__child_user(ended) != NULL);
        CHECK_EQ(gf__child_exit(ended), ended == quick ? 1 : 0);
        gf__child_free(ended);
    }
    CHECK_OK(gf__child_wait_any(task, 1, &ended, &check_err));
    CHECK(ended == NULL);
    gf__child_stop(slow);
    CHECK_EQ(finish(slow), -SIGTERM);
    CHECK_OK(gf__child_wait_any(task, -1, &ended, &check_err)); /* nobody to wait for */
    CHECK(ended == NULL);
    close_task();
}

TEST(stop__kills_who_does_not_listen)
{
    char text[64];
    open_task(0, 50);
    const int pipe = make_pipe(path_in(job, "pipe"));
    gf__child *child = SHELL(
        "trap '' TERM; exec 9>pipe; echo ready >&9; while :; do sleep 1000; done");
    await_text(pipe, text, sizeof text);
    gf__child_stop(child);
    CHECK_EQ(finish(child), -SIGKILL);
    await_end(pipe); /* the sleep as well */
    close(pipe);
    close_task();
}

TEST(end__takes_the_group_along)
{
    char pid[64];
    open_task(0, 0);
    CHECK_EQ(finish(SHELL("trap '' HUP; sleep 1000 & echo $!")), 0);
    snprintf(pid, sizeof pid, "%s", gf__child_last_tail(task, NULL));
    close_task();
    CHECK(is_gone(pid));
}

/* Out of the group, out of the session, no father: and still killed with the task. */
TEST(close__kills_daemons)
{
    char text[64];
    open_task(0, 0);
    const int pipe = make_pipe(path_in(job, "pipe"));
    gf__child *child = SHELL("(setsid sh -c 'trap \"\" TERM HUP; exec 9>pipe; echo $$ >&9; "
                             "while :; do sleep 1000; done' &) ; exit 0");
    await_text(pipe, text, sizeof text);
    CHECK_EQ(finish(child), 0); /* it holds our pipes, and does not hold us up */
    CHECK(!is_gone(text));
    close_task();
    CHECK(is_gone(text));
    await_end(pipe);
    close(pipe);
}

TEST(cancel__ends_all_children)
{
    gf__child *ended = NULL;
    char text[64];
    open_task(0, 100);
    const int pipe = make_pipe(path_in(job, "pipe"));
    gf__child *polite = SHELL("exec sleep 1000");
    gf__child *deaf = SHELL("trap '' TERM; exec 9>pipe; echo $$ >&9; while :; do sleep 1000; done");
    await_text(pipe, text, sizeof text);
    CHECK_OK(gf__task_check(task, &check_err));
    kill(getpid(), SIGTERM);
    CHECK_FAILS(GF_ECANCELED, "cancelled", gf__child_wait_any(task, -1, &ended, &check_err));
    CHECK_FAILS(GF_ECANCELED, "cancelled", gf__task_check(task, &check_err)); /* and stays so */
    CHECK_EQ(gf__child_exit(polite), -SIGTERM);
    CHECK_EQ(gf__child_exit(deaf), -SIGKILL);
    gf__child_free(polite);
    gf__child_free(deaf);
    await_end(pipe);
    close(pipe);
    close_task();
}

/* The signal went to all of a job's processes, and the child was quicker. */
TEST(cancel__is_no_failure_of_the_child)
{
    gf__child *ended = NULL;
    open_task(0, 0);
    gf__child *child = SHELL("kill -TERM $PPID; exit 143");
    CHECK_FAILS(GF_ECANCELED, "cancelled", gf__child_wait_any(task, -1, &ended, &check_err));
    gf__child_free(child);
    close_task();
}

TEST(cancel__after_the_work_was_done_comes_too_late)
{
    siginfo_t info = {0};
    open_task(0, 0);
    gf__child *child = SHELL("exit 0");
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
    kill(getpid(), SIGTERM);
    CHECK_EQ(finish(child), 0);
    close_task();
}

TEST(deadline__ends_all_children)
{
    gf__child *ended = NULL;
    open_task(1, 0);
    gf__child *child = SHELL("exec sleep 1000");
    CHECK_FAILS(GF_ETIMEOUT, "longer than maxRunningTime (1s)",
                gf__child_wait_any(task, -1, &ended, &check_err));
    CHECK_EQ(gf__child_exit(child), -SIGTERM);
    gf__child_free(child);
    close_task();
}

TEST(start__survives_every_allocation_failure)
{
    gf__child *child = NULL;
    char *const env[] = {TEXT("A=b"), NULL};
    const gf__child_options started = {
        .argv = ARGV(TEXT("true")), .env = env, .dir = job, .trial = "1"};
    gf_status st = GF_ENOMEM;
    open_task(0, 0);
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__child_start(task, &started, &child, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && child == NULL));
    }
    CHECK_EQ(finish(child), 0);
    close_task();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_home, close_home)
TESTS_MAIN(CASE(output__is_in_the_log_line_by_line), CASE(output__of_a_trial_names_it),
           CASE(output__without_newlines_is_cut_between_characters),
           CASE(output__that_fills_its_pieces_has_no_empty_line), CASE(tail__is_the_last_lines),
           CASE(exit__is_the_status_or_the_signal), CASE(start__says_what_cannot_be_started),
           CASE(environment__is_added_to_ours), CASE(wait__gives_each_child_once_as_it_ends),
           CASE(stop__kills_who_does_not_listen), CASE(end__takes_the_group_along),
           CASE(close__kills_daemons), CASE(cancel__ends_all_children),
           CASE(cancel__is_no_failure_of_the_child),
           CASE(cancel__after_the_work_was_done_comes_too_late), CASE(deadline__ends_all_children),
           CASE(start__survives_every_allocation_failure))
