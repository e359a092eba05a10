/* tasks/child.c: programs that run for a job. One thread does it all: gf__child_wait_any()
 * sleeps on everything that can happen (output, an end, the job's end, a grace that is over) and
 * takes care of it. Signals come through descriptors, so that nothing happens between two lines
 * of ours. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "tasks/child_priv.h"

#define DEATHS_DOOR_S 10.0 /* how long the killed may take to be gone */
/* A signal to all of a job's processes may end a child before this one has seen its own. */
#define SAME_SIGNAL_MS 300

/* ---- ends ---- */

static bool is_same_trial(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void keep_last_words(gf__child *child)
{
    gf__children *all = child->task->children;
    gf__last_words *words = all->words;
    while (words != NULL && !is_same_trial(words->trial, child->trial))
        words = words->next;
    if (words == NULL) {
        words = gf__calloc(1, sizeof *words);
        if (words == NULL)
            return; /* a message is shorter than it might be */
        words->trial = child->trial != NULL ? gf__strdup(child->trial) : NULL;
        words->next = all->words;
        all->words = words;
    }
    memcpy(words->text, child->tail, child->n_tail + 1);
}

/* What is in the pipes now was written before the end; what comes later is by processes that it
 * has left behind, which must not hold us up. */
static void note_end(gf__child *child, int status)
{
    for (size_t i = 0; i < 2; i++) {
        if (child->streams[i].fd >= 0)
            gf__child_read(child, &child->streams[i]);
        gf__child_close_stream(child, &child->streams[i]);
    }
    child->has_ended = true;
    child->exit = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    keep_last_words(child);
}

/* Also those of orphans, which are ours since gf__children_new(). Nobody else in this process
 * may have children while there are some here. */
static void reap(gf__children *all)
{
    for (;;) {
        siginfo_t info = {0};
        int status = 0;
        gf__child *child = all->first;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        while (child != NULL && (child->has_ended || child->pid != info.si_pid))
            child = child->next;
        /* Its group ends with it; while it is not reaped, the number is not given to another. */
        if (child != NULL)
            kill(-child->pid, SIGKILL);
        if (waitpid(info.si_pid, &status, 0) == info.si_pid && child != NULL)
            note_end(child, status);
    }
}

static void kill_child(gf__child *child)
{
    child->is_killed = true;
    (void)gf__descendants_kill(child->pid);
    kill(-child->pid, SIGKILL);
}

void gf__child_stop(gf__child *child)
{
    if (child->has_ended || child->is_stopping)
        return;
    child->is_stopping = true;
    child->kill_at_ms = gf__clock_ms() + child->task->grace_ms;
    kill(-child->pid, SIGTERM);
    kill(-child->pid, SIGCONT); /* a stopped one could not even end */
}

/* ---- waiting ---- */

static size_t count_running(const gf__children *all)
{
    size_t n = 0;
    for (const gf__child *child = all->first; child != NULL; child = child->next)
        n += !child->has_ended;
    return n;
}

static void drain_signals(int fd)
{
    struct signalfd_siginfo infos[8];
    while (read(fd, infos, sizeof infos) > 0)
        continue;
}

/* Sleeps until something happens, timeout_ms (below 0: for ever) at most, and reads what was
 * written. */
static void pass_time(gf__children *all, bool watches_stop, int timeout_ms)
{
    struct pollfd *polled = all->polled;
    nfds_t n = 0;
    polled[n++] = (struct pollfd){.fd = all->child_fd, .events = POLLIN};
    polled[n++] = (struct pollfd){.fd = watches_stop ? all->stop_fd : -1, .events = POLLIN};
    for (const gf__child *child = all->first; child != NULL; child = child->next)
        for (size_t i = 0; i < 2; i++)
            polled[n++] = (struct pollfd){.fd = child->streams[i].fd, .events = POLLIN};
    if (poll(polled, n, timeout_ms) <= 0)
        return;
    if (polled[0].revents != 0)
        drain_signals(all->child_fd);
    n = 2;
    for (gf__child *child = all->first; child != NULL; child = child->next)
        for (size_t i = 0; i < 2; i++)
            if (polled[n++].revents != 0)
                gf__child_read(child, &child->streams[i]);
}

/* Kills those whose grace is over. When the next one's is: ms from now, -1: there is none. */
static int kill_late(gf__children *all)
{
    int64_t next_ms = -1;
    const int64_t now_ms = gf__clock_ms();
    for (gf__child *child = all->first; child != NULL; child = child->next) {
        if (child->has_ended || !child->is_stopping || child->is_killed)
            continue;
        if (child->kill_at_ms <= now_ms)
            kill_child(child);
        else if (next_ms < 0 || child->kill_at_ms - now_ms < next_ms)
            next_ms = child->kill_at_ms - now_ms;
    }
    return (int)next_ms;
}

static int earlier_ms(int a, double b_s)
{
    const int b = b_s <= 0 ? 0 : b_s > 1e6 ? 1000000000 : (int)(1e3 * b_s) + 1;
    return a < 0 || b < a ? b : a;
}

static void stop_all(gf__children *all)
{
    double gone_by_s = 0;
    for (gf__child *child = all->first; child != NULL; child = child->next)
        gf__child_stop(child);
    for (reap(all); count_running(all) > 0; reap(all)) {
        int next_ms = kill_late(all);
        if (next_ms < 0 && gone_by_s <= 0)
            gone_by_s = gf__clock_s() + DEATHS_DOOR_S;
        /* Killed and still there: stuck in the kernel. The runner deals with it. */
        if (gone_by_s > 0 && gf__clock_s() > gone_by_s)
            break;
        pass_time(all, false, next_ms < 0 ? 100 : next_ms);
    }
    for (gf__child *child = all->first; child != NULL; child = child->next)
        child->is_given = true;
}

static gf__child *find_new_end(gf__children *all)
{
    gf__child *child = all->first;
    while (child != NULL && (!child->has_ended || child->is_given))
        child = child->next;
    return child;
}

/* Looks as if the same signal had come to it that comes to us; graft's programs end with 4. */
static bool was_asked_to_end(const gf__child *child)
{
    const int exit = child->exit;
    return !child->is_stopping && (exit == -SIGTERM || exit == -SIGINT || exit == 4 ||
                                   exit == 128 + SIGTERM || exit == 128 + SIGINT);
}

/* What has ended well counts although the job is to end: it was done before. */
static gf__child *take_end(gf__children *all)
{
    gf__child *child = find_new_end(all);
    if (child == NULL)
        return NULL;
    if (was_asked_to_end(child)) {
        struct pollfd polled = {.fd = all->stop_fd, .events = POLLIN};
        (void)poll(&polled, 1, SAME_SIGNAL_MS);
    }
    if (child->exit != 0 && gf__children_is_stopped(all))
        return NULL;
    child->is_given = true;
    return child;
}

gf_status gf__child_wait_any(gf__task *task, int timeout_ms, gf__child **ended, gf_error *err)
{
    gf__children *all = task->children;
    const double until_s = timeout_ms < 0 ? HUGE_VAL : gf__clock_s() + 1e-3 * timeout_ms;
    for (;;) {
        reap(all);
        *ended = take_end(all);
        if (*ended != NULL)
            return GF_OK;
        const gf_status st = gf__task_check(task, err);
        if (st != GF_OK) {
            stop_all(all);
            return st;
        }
        const double now_s = gf__clock_s();
        if (now_s >= until_s || (timeout_ms < 0 && count_running(all) == 0))
            return GF_OK;
        const int next_ms = earlier_ms(kill_late(all), until_s - now_s);
        pass_time(all, true, earlier_ms(next_ms, task->deadline_s - now_s));
    }
}

void *gf__child_user(const gf__child *child)
{
    return child->user;
}

int gf__child_exit(const gf__child *child)
{
    return child->exit;
}

const char *gf__child_tail(const gf__child *child)
{
    return child->tail;
}

const char *gf__child_last_tail(const gf__task *task, const char *trial)
{
    for (const gf__last_words *words = task->children->words; words != NULL; words = words->next)
        if (is_same_trial(words->trial, trial))
            return words->text;
    return "";
}

/* ---- all of them ---- */

/* In all threads to come, too: they are started with this thread's mask. */
static gf_status catch_signals(gf__children *all, gf_error *err)
{
    sigset_t stop, child, both;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigemptyset(&both);
    sigorset(&both, &stop, &child);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would reap by itself */
    if (pthread_sigmask(SIG_BLOCK, &both, &all->signals_before) != 0)
        return gf__error_errno(err, errno, "holding signals back");
    all->stop_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    all->child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (all->stop_fd < 0 || all->child_fd < 0)
        return gf__error_errno(err, errno, "a descriptor of signals");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return gf__error_errno(err, errno, "taking orphans over");
    return GF_OK;
}

gf_status gf__children_new(gf__children **out, gf_error *err)
{
    *out = NULL;
    gf__children *all = gf__calloc(1, sizeof *all);
    if (all == NULL)
        return gf__error_nomem(err, "a list of children", sizeof *all);
    all->stop_fd = all->child_fd = -1;
    pthread_sigmask(SIG_BLOCK, NULL, &all->signals_before);
    all->polled = gf__calloc(2, sizeof *all->polled);
    all->chunk = gf__malloc(GF__CHILD_CHUNK_BYTES);
    gf_status st = all->polled != NULL && all->chunk != NULL
                       ? GF_OK
                       : gf__error_nomem(err, "a list of children", GF__CHILD_CHUNK_BYTES);
    if (st == GF_OK)
        st = catch_signals(all, err);
    if (st != GF_OK) {
        gf__children_free(all);
        return st;
    }
    *out = all;
    return GF_OK;
}

bool gf__children_is_stopped(const gf__children *children)
{
    struct pollfd polled = {.fd = children->stop_fd, .events = POLLIN};
    return poll(&polled, 1, 0) > 0 && (polled.revents & POLLIN) != 0;
}

/* Again and again, as some may have been started meanwhile. */
void gf__children_kill_all(gf__children *all)
{
    const double until_s = gf__clock_s() + DEATHS_DOOR_S;
    reap(all);
    while (gf__descendants_kill(getpid()) > 0 && gf__clock_s() < until_s) {
        struct pollfd polled = {.fd = all->child_fd, .events = POLLIN};
        (void)poll(&polled, 1, 100);
        drain_signals(all->child_fd);
        reap(all);
    }
    reap(all); /* who died between the look and the list */
}

void gf__children_free(gf__children *children)
{
    if (children == NULL)
        return;
    if (children->child_fd >= 0)
        gf__children_kill_all(children);
    while (children->first != NULL)
        gf__child_free(children->first);
    while (children->words != NULL) {
        gf__last_words *words = children->words;
        children->words = words->next;
        gf__free(words->trial);
        gf__free(words);
    }
    if (children->stop_fd >= 0)
        drain_signals(children->stop_fd); /* they were meant for the work, which is over */
    gf__close_if_open(children->stop_fd);
    gf__close_if_open(children->child_fd);
    pthread_sigmask(SIG_SETMASK, &children->signals_before, NULL);
    gf__free(children->polled);
    gf__free(children->chunk);
    gf__free(children);
}

void gf__child_free(gf__child *child)
{
    if (child == NULL)
        return;
    gf__children *all = child->task->children;
    if (!child->has_ended && child->pid > 0) {
        kill_child(child);
        for (reap(all); !child->has_ended; reap(all))
            pass_time(all, false, 100);
    }
    for (gf__child **at = &all->first; *at != NULL; at = &(*at)->next) {
        if (*at != child)
            continue;
        *at = child->next;
        all->n--;
        break;
    }
    gf__close_if_open(child->streams[0].fd);
    gf__close_if_open(child->streams[1].fd);
    gf__free(child->trial);
    gf__free(child);
}
