/* tasks/child.c: programs that run for a job. One thread does it all: gf__child_wait_any()
 * sleeps on everything that can happen (output, an end, the job's end, a grace that is over) and
 * takes care of it. Signals come through descriptors, so that nothing happens between two lines
 * of ours. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tasks/tasks_priv.h"

#define CHUNK_BYTES   ((size_t)64 << 10) /* read at once: a pipe's worth */
#define TAIL_BYTES    4096               /* of a child's last words that are kept in memory */
#define TAIL_LINE     1024               /* of one line among them */
#define DEATHS_DOOR_S 10.0               /* how long the killed may take to be gone */
/* A signal to all of a job's processes may end a child before this one has seen its own. */
#define SAME_SIGNAL_MS 300

typedef struct stream {
    int fd; /* -1: ended */
    const char *name;
    size_t n_bytes; /* of a line that has not ended */
    bool is_cut;    /* its beginning is in the log already */
    char line[GF__JOB_LINE_BYTES];
} stream;

struct gf__child {
    gf__child *next;
    gf__task *task;
    pid_t pid;
    stream streams[2];
    char *trial;
    void *user;
    bool has_ended, is_given, is_stopping, is_killed;
    int exit; /* as gf__child_exit() gives it */
    int64_t kill_at_ms;
    size_t n_tail;
    char tail[TAIL_BYTES + 1];
};

typedef struct last_words { /* of a trial's child that has ended */
    struct last_words *next;
    char *trial;
    char text[TAIL_BYTES + 1];
} last_words;

struct gf__children {
    gf__child *first;
    size_t n;
    int stop_fd;  /* readable once SIGTERM or SIGINT came; never read, so that it stays so */
    int child_fd; /* SIGCHLD */
    sigset_t signals_before;
    struct pollfd *polled; /* 2 and 2 a child */
    char *chunk;           /* CHUNK_BYTES */
    last_words *words;
};

/* ---- output ---- */

/* The oldest lines go when it is full. */
static void add_to_tail(gf__child *child, const char *text, size_t n_bytes)
{
    const size_t n_line = n_bytes < TAIL_LINE ? n_bytes : TAIL_LINE;
    while (child->n_tail + n_line + 1 > TAIL_BYTES) {
        const char *end = memchr(child->tail, '\n', child->n_tail);
        const size_t n_oldest = end != NULL ? (size_t)(end - child->tail) + 1 : child->n_tail;
        child->n_tail -= n_oldest;
        memmove(child->tail, child->tail + n_oldest, child->n_tail);
    }
    if (child->n_tail > 0)
        child->tail[child->n_tail++] = '\n';
    memcpy(child->tail + child->n_tail, text, n_line);
    child->n_tail += n_line;
    child->tail[child->n_tail] = '\0';
}

/* A full disk loses lines, never the job: the log counts them. */
static void log_line(gf__child *child, const stream *from, size_t n_bytes)
{
    add_to_tail(child, from->line, n_bytes);
    if (child->task->log != NULL)
        (void)gf__job_log_write(child->task->log, from->name, child->trial, from->line, n_bytes,
                                NULL);
}

static void end_line(gf__child *child, stream *from)
{
    size_t n_bytes = from->n_bytes;
    if (n_bytes > 0 && from->line[n_bytes - 1] == '\r')
        n_bytes--;
    if (n_bytes > 0 || !from->is_cut) /* an end alone is no line more */
        log_line(child, from, n_bytes);
    from->n_bytes = 0;
    from->is_cut = false;
}

/* A line that is longer than a line may be: what is there goes, up to the last whole character. */
static void cut_line(gf__child *child, stream *from)
{
    size_t n_bytes = from->n_bytes;
    for (size_t back = 1; back < 4; back++) {
        const char *last = from->line + from->n_bytes - back;
        if (((unsigned char)*last & 0xC0) == 0x80)
            continue;
        if (gf__utf8_length(last, back) == 0 && ((unsigned char)*last & 0xC0) == 0xC0)
            n_bytes -= back;
        break;
    }
    log_line(child, from, n_bytes);
    from->is_cut = true;
    from->n_bytes -= n_bytes;
    memmove(from->line, from->line + n_bytes, from->n_bytes);
}

static void take_output(gf__child *child, stream *from, const char *bytes, size_t n_bytes)
{
    while (n_bytes > 0) {
        const char *end = memchr(bytes, '\n', n_bytes);
        const size_t n_wanted = end != NULL ? (size_t)(end - bytes) : n_bytes;
        const size_t n_room = sizeof from->line - from->n_bytes;
        const size_t n_taken = n_wanted < n_room ? n_wanted : n_room;
        memcpy(from->line + from->n_bytes, bytes, n_taken);
        from->n_bytes += n_taken;
        bytes += n_taken;
        n_bytes -= n_taken;
        if (end != NULL && n_taken == n_wanted) {
            end_line(child, from);
            bytes++;
            n_bytes--;
        } else if (from->n_bytes == sizeof from->line) {
            cut_line(child, from);
        }
    }
}

static void close_stream(gf__child *child, stream *from)
{
    if (from->fd < 0)
        return;
    close(from->fd);
    from->fd = -1;
    if (from->n_bytes > 0)
        end_line(child, from);
}

/* One pipe's worth at most: a fast writer must not keep us from the others, nor from the end of the
 * time. */
static void read_stream(gf__child *child, stream *from)
{
    ssize_t n;
    char *chunk = child->task->children->chunk;
    do
        n = read(from->fd, chunk, CHUNK_BYTES);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        take_output(child, from, chunk, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        close_stream(child, from);
}

/* ---- ends ---- */

static bool is_same_trial(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void keep_last_words(gf__child *child)
{
    gf__children *all = child->task->children;
    last_words *words = all->words;
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
            read_stream(child, &child->streams[i]);
        close_stream(child, &child->streams[i]);
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
                read_stream(child, &child->streams[i]);
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
    for (const last_words *words = task->children->words; words != NULL; words = words->next)
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
    all->chunk = gf__malloc(CHUNK_BYTES);
    gf_status st = all->polled != NULL && all->chunk != NULL
                       ? GF_OK
                       : gf__error_nomem(err, "a list of children", CHUNK_BYTES);
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

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
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
        last_words *words = children->words;
        children->words = words->next;
        gf__free(words->trial);
        gf__free(words);
    }
    if (children->stop_fd >= 0)
        drain_signals(children->stop_fd); /* they were meant for the work, which is over */
    close_if_open(children->stop_fd);
    close_if_open(children->child_fd);
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
    close_if_open(child->streams[0].fd);
    close_if_open(child->streams[1].fd);
    gf__free(child->trial);
    gf__free(child);
}

/* ---- starting ---- */

typedef struct start {
    const gf__child_options *options;
    char **env;
    pid_t parent;
    int ends[3][2]; /* stdout, stderr, and what says why it could not be started; read end first */
} start;

static bool has_name(const char *entry, const char *name)
{
    const size_t n_chars = strcspn(name, "=");
    return strncmp(entry, name, n_chars) == 0 && entry[n_chars] == '=';
}

static bool is_replaced(const char *entry, char *const *names)
{
    bool is_found = false;
    for (char *const *name = names; name != NULL && *name != NULL && !is_found; name++)
        is_found = has_name(entry, *name);
    return is_found;
}

/* This process' environment is handed on, not looked at. The array is new, its texts are not. */
static gf_status merge_env(char *const *added, char ***out, gf_error *err)
{
    size_t n = 1, k = 0;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++)
        n++;
    for (char *const *entry = added; entry != NULL && *entry != NULL; entry++)
        n++;
    char **merged = gf__calloc(n, sizeof *merged);
    if (merged == NULL)
        return gf__error_nomem(err, "an environment", n * sizeof *merged);
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++)
        if (!is_replaced(*entry, added))
            merged[k++] = *entry;
    for (char *const *entry = added; entry != NULL && *entry != NULL; entry++)
        merged[k++] = *entry;
    *out = merged;
    return GF_OK;
}

/* In the new process; nothing here may take a lock. */
static _Noreturn void become(const start *s)
{
    static const int reset[] = {SIGTERM, SIGINT, SIGPIPE, SIGXFSZ, SIGHUP, SIGCHLD, SIGQUIT};
    sigset_t none;
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    setpgid(0, 0);
    for (size_t i = 0; i < sizeof reset / sizeof *reset; i++)
        signal(reset[i], SIG_DFL);
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == s->parent && null >= 0 &&
        dup2(null, STDIN_FILENO) == 0 && dup2(s->ends[0][1], STDOUT_FILENO) == STDOUT_FILENO &&
        dup2(s->ends[1][1], STDERR_FILENO) == STDERR_FILENO && chdir(s->options->dir) == 0)
        execvpe(s->options->argv[0], s->options->argv, s->env);
    const int failure = errno;
    (void)!write(s->ends[2][1], &failure, sizeof failure);
    _exit(127);
}

static gf_status start_process(start *s, gf__child *child, gf_error *err)
{
    int failure = 0;
    for (size_t i = 0; i < 3; i++)
        if (pipe2(s->ends[i], O_CLOEXEC) != 0)
            return gf__error_errno(err, errno, "a pipe to %s", s->options->argv[0]);
    s->parent = getpid();
    child->pid = fork();
    if (child->pid < 0) {
        child->pid = 0;
        return gf__error_errno(err, errno, "a process for %s", s->options->argv[0]);
    }
    if (child->pid == 0)
        become(s);
    setpgid(child->pid, child->pid); /* whoever is first */
    close(s->ends[2][1]);
    s->ends[2][1] = -1;
    ssize_t n;
    do
        n = read(s->ends[2][0], &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n != sizeof failure)
        return GF_OK; /* it is the program by now */
    waitpid(child->pid, NULL, 0);
    child->pid = 0;
    return gf__error_errno(err, failure, "cannot start %s in %s", s->options->argv[0],
                           s->options->dir);
}

static gf_status make_room(gf__children *all, gf_error *err)
{
    const size_t n_bytes = (2 + 2 * (all->n + 1)) * sizeof *all->polled;
    struct pollfd *polled = gf__realloc(all->polled, n_bytes);
    if (polled == NULL)
        return gf__error_nomem(err, "a list of children", n_bytes);
    all->polled = polled;
    return GF_OK;
}

static gf_status new_child(gf__task *task, const gf__child_options *options, gf__child **out,
                           gf_error *err)
{
    gf__child *child = gf__calloc(1, sizeof *child);
    if (child == NULL)
        return gf__error_nomem(err, "a child", sizeof *child);
    *out = child;
    child->task = task;
    child->user = options->user;
    child->streams[0].fd = child->streams[1].fd = -1;
    child->streams[0].name = "stdout";
    child->streams[1].name = "stderr";
    if (options->trial == NULL)
        return GF_OK;
    child->trial = gf__strdup(options->trial);
    return child->trial != NULL ? GF_OK : gf__error_nomem(err, "a trial's name", 0);
}

/* The new process' end of each pipe is its alone: otherwise there would be no end to the output. */
static void take_pipes(start *s, gf__child *child)
{
    for (size_t i = 0; i < 2; i++) {
        child->streams[i].fd = s->ends[i][0];
        s->ends[i][0] = -1;
        fcntl(child->streams[i].fd, F_SETFL, O_NONBLOCK);
    }
}

gf_status gf__child_start(gf__task *task, const gf__child_options *options, gf__child **out,
                          gf_error *err)
{
    start s = {.options = options, .ends = {{-1, -1}, {-1, -1}, {-1, -1}}};
    gf__child *child = NULL;
    *out = NULL;
    gf_status st = make_room(task->children, err);
    if (st == GF_OK)
        st = new_child(task, options, &child, err);
    if (st == GF_OK)
        st = merge_env(options->env, &s.env, err);
    if (st == GF_OK)
        st = start_process(&s, child, err);
    if (st == GF_OK) {
        take_pipes(&s, child);
        child->next = task->children->first;
        task->children->first = child;
        task->children->n++;
        *out = child;
        child = NULL;
    }
    for (size_t i = 0; i < 6; i++)
        close_if_open(s.ends[i / 2][i % 2]);
    gf__free(s.env);
    gf__child_free(child);
    return st;
}
