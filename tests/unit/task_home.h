/* task_home.h: a job's folder for the tests of tasks/, the archives of task_packages.py, and the
 * program `graft job` run on it. */
#ifndef GRAFT_TESTS_TASK_HOME_H
#define GRAFT_TESTS_TASK_HOME_H

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tasks/tasks_priv.h"

static char *root;                              /* of everything below */
static char home[512], job[512], packages[512]; /* ROOT/home, ROOT/home/jobs/7, ROOT/packages */
static char path_text[1024];

/* "DIR/NAME"; static buffer. */
static inline const char *path_in(const char *dir, const char *name)
{
    const int n = snprintf(path_text, sizeof path_text, "%s/%s", dir, name);
    assert_in_range(n, 1, sizeof path_text - 1);
    return path_text;
}

static inline pid_t start_program(char *const *argv)
{
    pid_t pid = 0;
    assert_int_equal(posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ), 0);
    return pid;
}

static inline int end_program(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static inline int open_home(void **state)
{
    root = check_temp_dir();
    snprintf(home, sizeof home, "%s/home", root);
    snprintf(job, sizeof job, "%s/home/jobs/7", root);
    snprintf(packages, sizeof packages, "%s/packages", root);
    CHECK_OK(gf__make_dirs(job, &check_err));
    CHECK_OK(gf__make_dirs(path_in(home, "buckets/bucket"), &check_err));
    CHECK_OK(gf__make_dirs(packages, &check_err));
    return 0;
}

static inline int close_home(void **state)
{
    check_remove_dir(root);
    return 0;
}

static inline void make_packages(void)
{
    char *script = (char *)(uintptr_t)check_fixture("unit/task_packages.py");
    char *argv[] = {(char *)(uintptr_t) "python3", script, packages, NULL};
    assert_int_equal(end_program(start_program(argv)), 0);
}

/* Since when the job of the next specs runs; 0: it has not. */
static long spec_start_time_ms;

/* training: its members beside pythonModule, with a comma before them; "" for none. */
typedef struct job_spec {
    const char *module, *training;
    long max_running_s, grace_ms;
} job_spec;

static inline void write_spec(const job_spec *spec)
{
    gf__buffer text = {0};
    gf__buffer_printf(&text,
                      "{\"format\":1,\"name\":\"projects/p/jobs/opera\",\"kind\":\"training\","
                      "\"home\":\"%s\",\"buckets\":\"%s/buckets\",\"program\":\"%s\","
                      "\"server\":\"http://127.0.0.1:1\",\"nCpus\":2,\"maxMemoryBytes\":0,"
                      "\"maxRunningS\":%ld,\"graceMs\":%ld,\"startTimeMs\":%ld,\"nShards\":1,"
                      "\"training\":{\"pythonModule\":\"%s\"%s}}",
                      home, home, getenv("GRAFT_PROGRAM"),
                      spec->max_running_s > 0 ? spec->max_running_s : 300,
                      spec->grace_ms > 0 ? spec->grace_ms : 20000, spec_start_time_ms, spec->module,
                      spec->training);
    CHECK_OK(gf__write_file(path_in(job, "spec.json"), text.data, text.size, &check_err));
    gf__buffer_free(&text);
}

static inline pid_t start_job(const char *attempt)
{
    char *argv[] = {getenv("GRAFT_PROGRAM"), (char *)(uintptr_t) "job", job,
                    (char *)(uintptr_t)attempt, NULL};
    return start_program(argv);
}

/* The exit status of `graft job JOB 1`. */
static inline int run_job(void)
{
    const int status = end_program(start_job("1"));
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static inline gf__json *read_json(const char *path)
{
    char *text = NULL;
    size_t n_bytes = 0;
    gf__json *document = NULL;
    CHECK_OK(gf__read_file(path, (size_t)64 << 20, &text, &n_bytes, &check_err));
    CHECK_OK(gf__json_parse(text, n_bytes, &document, &check_err));
    gf__free(text);
    return document;
}

/* result.json says so; part is in its errorMessage, NULL: it has none. */
static inline void check_result(const char *state, const char *part)
{
    gf__json *result = read_json(path_in(job, "result.json"));
    const char *message = gf__json_string(gf__json_find(result, "errorMessage"), NULL);
    CHECK_STR(gf__json_string(gf__json_find(result, "state"), "?"), state);
    if (part == NULL && message != NULL)
        fail_msg("an errorMessage: %s", message);
    if (part != NULL && (message == NULL || strstr(message, part) == NULL))
        fail_msg("errorMessage is \"%s\", expected one with \"%s\"", message, part);
    gf__json_free(result);
}

/* The whole log, lines of JSON. New. */
static inline char *read_log(const char *dir)
{
    gf__buffer text = {0};
    uint64_t offset = 0, before;
    do {
        before = offset;
        CHECK_OK(gf__job_log_read(dir, &offset, (size_t)1 << 20, &text, &check_err));
    } while (offset != before);
    return gf__buffer_take(&text, NULL);
}

/* How often a byte is in a text: one walk, where strstr() under a sanitizer takes a walk each. */
static inline size_t count_byte(const char *text, char byte)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == byte;
    return n;
}

static inline void check_log_has(const char *part)
{
    char *text = read_log(job);
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in the log:\n%s", part, text);
    gf__free(text);
}

/* A pipe with a name, open for reading: what a program says in it, and that nobody holds it any
 * more. */
static inline int make_pipe(const char *path)
{
    assert_int_equal(mkfifo(path, 0600), 0);
    return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/* What comes out of the pipe first; text has room for n. Two minutes are for ever here. */
static inline void await_text(int pipe, char *text, size_t n)
{
    struct pollfd polled = {.fd = pipe, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, 120000), 1);
    const ssize_t n_read = read(pipe, text, n - 1);
    CHECK(n_read > 0);
    text[n_read] = '\0';
}

/* Until the last of those who hold its other end is gone. */
static inline void await_end(int pipe)
{
    char text[256];
    for (;;) {
        struct pollfd polled = {.fd = pipe, .events = POLLIN};
        assert_int_equal(poll(&polled, 1, 120000), 1);
        if ((polled.revents & POLLIN) != 0 && read(pipe, text, sizeof text) > 0)
            continue;
        if ((polled.revents & POLLHUP) != 0)
            return;
    }
}

#endif
