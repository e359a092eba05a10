/* tasks/task.c: one attempt of a job, from its spec to its result. Whatever happens to the work,
 * there is a result; where there cannot be one, the process ends with a failure and its keeper
 * sees a crash. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tasks/tasks_priv.h"

/* ---- what the work asks of its task ---- */

static long long max_running_s(const gf__task *task)
{
    return (long long)gf__json_int(gf__json_find(task->spec, "maxRunningS"), 0);
}

gf_status gf__task_check(const gf__task *task, gf_error *err)
{
    if (gf__children_is_stopped(task->children))
        return gf_error_set(err, GF_ECANCELED, "the job was cancelled while it was running");
    if (gf__clock_s() > task->deadline_s)
        return gf_error_set(err, GF_ETIMEOUT, "the job ran longer than maxRunningTime (%llds)",
                            max_running_s(task));
    return GF_OK;
}

void gf__task_say(gf__task *task, const char *fmt, ...)
{
    char text[GF__JOB_LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0 && task->log != NULL)
        (void)gf__job_log_write(task->log, "graft", NULL, text,
                                (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, NULL);
}

/* ---- kinds of work ---- */

static bool is_kind(const gf__task *task, const char *kind)
{
    return strcmp(gf__json_string(gf__json_find(task->spec, "kind"), ""), kind) == 0;
}

static bool is_any_training(const gf__task *task)
{
    return is_kind(task, "training");
}

static bool is_search(const gf__task *task)
{
    const gf__json *training = gf__json_find(task->spec, "training");
    return is_any_training(task) && gf__json_find(training, "hyperparameters") != NULL;
}

static bool is_prediction(const gf__task *task)
{
    return is_kind(task, "prediction");
}

static bool is_features(const gf__task *task)
{
    const gf__json *training = gf__json_find(task->spec, "training");
    return is_any_training(task) &&
           strcmp(gf__json_string(gf__json_find(training, "pythonModule"), ""), "graft.features") ==
               0;
}

typedef struct work {
    bool (*is_meant)(const gf__task *task);
    gf_status (*run)(gf__task *task, gf__outcome *out, gf_error *err);
} work;

/* The first that is meant. */
static const work works[] = {
    {is_search, gf__task_search},
    {is_features, gf__task_features},
    {is_any_training, gf__task_train},
    {is_prediction, gf__task_predict},
};

static gf_status run_work(gf__task *task, gf__outcome *out, gf_error *err)
{
    const char *kind = gf__json_string(gf__json_find(task->spec, "kind"), "");
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        if (works[i].is_meant(task))
            return works[i].run(task, out, err);
    return gf_error_set(err, GF_EUNSUPPORTED, "this graft cannot run a job of kind %s", kind);
}

/* ---- opening and closing ---- */

/* For people and for keepers: who it is that holds it. The first line is whole at any moment. */
static gf_status sign_lock(const char *path, int attempt, gf_error *err)
{
    char text[64];
    const int n = snprintf(text, sizeof text, "%d %d\n", attempt, (int)getpid());
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool is_written = fd >= 0 && write(fd, text, (size_t)n) == n && ftruncate(fd, n) == 0;
    const gf_status st = is_written ? GF_OK : gf__error_errno(err, errno, "%s: cannot write", path);
    if (fd >= 0)
        close(fd);
    return st;
}

static gf_status take_lock(gf__task *task, gf_error *err)
{
    const gf__task_options *options = task->options;
    char *path = options->part == GF__TASK_SHARD
                     ? gf__asprintf("%s/shards/%zu.lock", options->dir, options->shard)
                     : gf__path_join(options->dir, "lock");
    gf_status st = path != NULL ? GF_OK : gf__error_nomem(err, "a path", 0);
    if (st == GF_OK)
        st = gf__lock_acquire(path, false, &task->lock, err);
    if (st == GF_OK)
        st = sign_lock(path, options->attempt, err);
    gf__free(path);
    return st;
}

/* The time is the job's: what an attempt that died has used of it is gone. */
static double ran_s(const gf__task *task)
{
    struct timespec now;
    const int64_t start_ms = gf__json_int(gf__json_find(task->spec, "startTimeMs"), 0);
    clock_gettime(CLOCK_REALTIME, &now);
    const double s = (double)now.tv_sec - (double)start_ms / 1000;
    return start_ms > 0 && s > 0 ? s : 0;
}

static gf_status read_spec(gf__task *task, gf_error *err)
{
    char *path = gf__path_join(task->options->dir, "spec.json");
    if (path == NULL)
        return gf__error_nomem(err, "a path", 0);
    const gf_status st = gf__spec_read(path, &task->spec, err);
    gf__free(path);
    if (st != GF_OK)
        return st;
    const int64_t n_shards = gf__json_int(gf__json_find(task->spec, "nShards"), 1);
    if (task->options->part == GF__TASK_SHARD && task->options->shard >= (size_t)n_shards)
        return gf_error_set(err, GF_EINVAL, "--shard %zu: the job has %lld shards, from 0",
                            task->options->shard, (long long)n_shards);
    task->name = gf__json_string(gf__json_find(task->spec, "name"), "");
    task->grace_ms = (int)gf__json_int(gf__json_find(task->spec, "graceMs"), 0);
    task->deadline_s = gf__clock_s() + (double)max_running_s(task) - ran_s(task);
    return GF_OK;
}

static gf_status make_shards_dir(const gf__task_options *options, gf_error *err)
{
    char *dir = gf__path_join(options->dir, "shards");
    const gf_status st = dir != NULL ? gf__make_dirs(dir, err) : gf__error_nomem(err, "a path", 0);
    gf__free(dir);
    return st;
}

static gf_status open_log(gf__task *task, gf_error *err)
{
    char *dir = gf__left_log_dir(task->options);
    gf_status st = dir != NULL ? gf__make_dirs(dir, err) : gf__error_nomem(err, "a path", 0);
    if (st == GF_OK)
        st = gf__job_log_open(dir, &task->log, err);
    gf__free(dir);
    return st;
}

/* It would be no better in the next attempt. */
static bool is_refused(gf_status st)
{
    return st == GF_EFORMAT || st == GF_EINVAL || st == GF_ELIMIT;
}

/* The lock is held. What an attempt before this one has left stays. */
static void leave_refusal(const gf__task_options *options, const char *why)
{
    if (!gf__left_is_done(options))
        (void)gf__left_result(options, GF__END_FAILED, why, NULL, NULL);
}

gf_status gf__task_open(const gf__task_options *options, gf__task **out, gf_error *err)
{
    *out = NULL;
    gf__task *task = gf__calloc(1, sizeof *task);
    if (task == NULL)
        return gf__error_nomem(err, "a task", sizeof *task);
    task->options = options;
    /* A write past a limit, or to a reader that is gone, is an error to report, not a death. */
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    gf_status st = gf__children_new(&task->children, err);
    if (st == GF_OK && options->part == GF__TASK_SHARD)
        st = make_shards_dir(options, err);
    if (st == GF_OK)
        st = take_lock(task, err);
    if (st == GF_OK)
        st = read_spec(task, err);
    if (is_refused(st))
        leave_refusal(options, err != NULL ? err->message : "spec.json cannot be read");
    if (st == GF_OK)
        st = open_log(task, err);
    if (st != GF_OK) {
        gf__task_close(task);
        return st;
    }
    *out = task;
    return GF_OK;
}

void gf__task_close(gf__task *task)
{
    if (task == NULL)
        return;
    gf__children_free(task->children);
    gf__job_log_close(task->log, NULL);
    gf__lock_release(task->lock);
    gf__json_free(task->spec);
    gf__free(task->python_path);
    gf__free(task->failure);
    gf__free(task);
}

/* ---- the end ---- */

static gf__end_state state_of(gf_status st, const gf__outcome *outcome)
{
    if (st == GF_ECANCELED)
        return GF__END_CANCELLED;
    return st != GF_OK || outcome->is_failed ? GF__END_FAILED : GF__END_SUCCEEDED;
}

/* Of a shard nothing where all is well: the job is not at its end. */
static void say_end(gf__task *task, gf__end_state state, const char *message)
{
    const bool is_shard = task->options->part == GF__TASK_SHARD;
    if (is_shard && state == GF__END_FAILED)
        gf__task_say(task, "shard %zu failed: %s", task->options->shard,
                     message != NULL ? message : "no reason is known");
    else if (is_shard)
        return;
    else if (state == GF__END_SUCCEEDED)
        gf__task_say(task, "Job completed successfully.");
    else
        gf__task_say(task, "Job %s: %s", state == GF__END_CANCELLED ? "cancelled" : "failed",
                     message != NULL ? message : "no reason is known");
}

/* What a program that was given no more time wrote last. Out of memory: the bare reason. */
static void add_last_words(gf__task *task, gf_status st, const gf_error *failure)
{
    const char *tail = gf__child_last_tail(task, NULL);
    if (st == GF_ETIMEOUT && task->failure == NULL && tail[0] != '\0')
        task->failure = gf__asprintf("%s\n%s", failure->message, tail);
}

/* Nothing of it runs any more when the result is there to be read, and nobody else begins
 * before. */
static gf_status end_task(gf__task *task, gf_status st, const gf__outcome *outcome,
                          const gf_error *failure, gf_error *err)
{
    const gf__end_state state = state_of(st, outcome);
    gf__children_kill_all(task->children);
    add_last_words(task, st, failure);
    const char *said = task->failure != NULL ? task->failure : failure->message;
    const char *message = st == GF_OK ? outcome->error_message : said;
    gf__left_gather_logs(task);
    say_end(task, state, message);
    gf__job_log_close(task->log, NULL);
    task->log = NULL;
    return gf__left_result(task->options, state, message, outcome->output, err);
}

/* Why the log has the beginning a second time. */
static void say_begin(gf__task *task)
{
    if (task->options->attempt > 1 && task->options->part == GF__TASK_WHOLE)
        gf__task_say(task, "Attempt %d: the one before ended without a result.",
                     task->options->attempt);
}

/* A full disk is waited for: each attempt that dies of it is one of few. */
static gf_status open_patiently(const gf__task_options *options, gf__task **out, gf_error *err)
{
    gf_status st = GF_EIO;
    for (int i = 0; i < GF__DISK_TRIES && st == GF_EIO; i++) {
        if (i > 0)
            (void)poll(NULL, 0, GF__DISK_WAIT_MS);
        st = gf__task_open(options, out, err);
    }
    return st;
}

gf_status gf__task_run(const gf__task_options *options, gf_error *err)
{
    gf__task *task = NULL;
    gf__outcome outcome = {0};
    gf_error failure = {0};
    gf_status st = open_patiently(options, &task, err);
    if (st != GF_OK)
        return st;
    if (!gf__left_is_done(options)) {
        say_begin(task);
        gf__left_clear(options);
        st = gf__task_check(task, &failure);
        if (st == GF_OK)
            st = run_work(task, &outcome, &failure);
        st = end_task(task, st, &outcome, &failure, err);
    }
    gf__free(outcome.error_message);
    gf__json_free(outcome.output);
    gf__task_close(task);
    return st;
}
