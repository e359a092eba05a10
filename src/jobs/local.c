/* jobs/local.c: the runner of this machine. An attempt's place is "PID:STARTTIME:BOOTID": a number
 * that was given out again, or a machine that was started again, is not taken for it. Whoever
 * started the process, we or a keeper before us, it is watched through a pidfd; all of them hang on
 * one epoll descriptor. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/local_priv.h"

#define LOOK_EVERY_MS 100

typedef struct live {
    int64_t job_id;
    size_t n_cpus;
    pid_t pid;
    unsigned long long start_time;
    int pidfd; /* -1: the process has ended, what is left of it is being killed */
    char *dir; /* real path */
    char group[48];
    char reason[160];
    struct live *next;
} live;

typedef struct local {
    char *program;
    size_t n_cpus;
    gf__groups groups;
    char boot_id[40];
    int epoll_fd;
    live *all;
    char reason[80];
} local;

/* ---- the living ---- */

static void drop(local *self, live *gone)
{
    for (live **at = &self->all; *at != NULL; at = &(*at)->next) {
        if (*at != gone)
            continue;
        *at = gone->next;
        break;
    }
    if (gone->pidfd >= 0)
        close(gone->pidfd);
    gf__free(gone->dir);
    gf__free(gone);
}

static live *find_live(const local *self, int64_t job_id)
{
    live *at = self->all;
    while (at != NULL && at->job_id != job_id)
        at = at->next;
    return at;
}

static gf_status real_path(const char *path, char **out, gf_error *err)
{
    char real[PATH_MAX];
    *out = NULL;
    if (realpath(path, real) == NULL)
        return gf__error_errno(err, errno, "%s", path);
    *out = gf__strdup(real);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(path));
}

/* Two homes on one machine may both have a job 7. */
static void name_group(const char *dir, int64_t job_id, char *name, size_t n)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *at = dir; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    snprintf(name, n, "%016llx-%lld", (unsigned long long)hash, (long long)job_id);
}

static gf_status new_live(local *self, const gf__attempt *attempt, live **out, gf_error *err)
{
    live *made = gf__calloc(1, sizeof *made);
    *out = made;
    if (made == NULL)
        return gf__error_nomem(err, "a job's process", sizeof *made);
    *made = (live){.job_id = attempt->job_id, .n_cpus = attempt->n_cpus, .pidfd = -1};
    made->next = self->all;
    self->all = made;
    const gf_status st = real_path(attempt->dir, &made->dir, err);
    if (st == GF_OK)
        name_group(made->dir, attempt->job_id, made->group, sizeof made->group);
    else
        drop(self, made);
    return st;
}

/* The descriptor first, then the second look: it is of that process, or of none. */
static gf_status watch(local *self, live *l, gf_error *err)
{
    l->pidfd = pidfd_open(l->pid, 0);
    if (l->pidfd < 0 && errno == ESRCH)
        return GF_OK;
    if (l->pidfd < 0)
        return gf__error_errno(err, errno, "watching process %d", (int)l->pid);
    gf__proc proc;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)l->job_id};
    if (!gf__proc_look(l->pid, &proc) || proc.start_time != l->start_time) {
        close(l->pidfd);
        l->pidfd = -1;
    } else if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, l->pidfd, &event) != 0) {
        return gf__error_errno(err, errno, "watching process %d", (int)l->pid);
    }
    return GF_OK;
}

static gf__job_mark mark_of(const local *self, const live *l)
{
    return (gf__job_mark){.dir = l->dir,
                          .leader = l->pid,
                          .leader_start_time = l->start_time,
                          .groups = &self->groups,
                          .group = l->group};
}

/* ---- open and close ---- */

static void close_runner(void *user)
{
    local *self = user;
    if (self == NULL)
        return;
    while (self->all != NULL)
        drop(self, self->all);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    gf__groups_close(&self->groups);
    gf__free(self->program);
    gf__free(self);
}

static void say_limits(const local *self, const gf_observer *observer)
{
    char *text = gf__groups_describe(&self->groups);
    if (text != NULL && text[0] != '\0')
        gf__observe_log(observer, GF_LOG_DEBUG, "jobs: %zu CPUs; limits are kept by %s",
                        self->n_cpus, text);
    else
        gf__observe_log(observer, GF_LOG_INFO,
                        "jobs: %zu CPUs; no cgroups may be made here, jobs are niced and their "
                        "address space is limited",
                        self->n_cpus);
    gf__free(text);
}

static gf_status open_runner(const gf__jobs_options *options, void **out, gf_error *err)
{
    *out = NULL;
    local *self = gf__calloc(1, sizeof *self);
    if (self == NULL)
        return gf__error_nomem(err, "the runner", sizeof *self);
    self->n_cpus = (size_t)(options->n_cpus > 0 ? options->n_cpus : gf_threads_available());
    self->program = gf__strdup(options->program);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    gf__boot_id(self->boot_id);
    gf_status st = GF_OK;
    if (self->program == NULL)
        st = gf__error_nomem(err, "a path", strlen(options->program));
    else if (self->epoll_fd < 0)
        st = gf__error_errno(err, errno, "the runner of jobs");
    if (st == GF_OK)
        st = gf__groups_open("", options->max_memory_bytes, &self->groups, err);
    if (st == GF_OK) {
        say_limits(self, &options->observer);
        *out = self;
    } else {
        close_runner(self);
    }
    return st;
}

static bool has_room(void *user, const gf__attempt *attempt, const char **reason)
{
    local *self = user;
    size_t n_used = 0;
    for (const live *l = self->all; l != NULL; l = l->next)
        n_used += l->n_cpus;
    if (n_used + attempt->n_cpus <= self->n_cpus)
        return true;
    snprintf(self->reason, sizeof self->reason, "waits for %zu CPU%s; %zu of %zu are in use",
             attempt->n_cpus, attempt->n_cpus == 1 ? "" : "s", n_used, self->n_cpus);
    *reason = self->reason;
    return false;
}

/* ---- start and find ---- */

static char *place_of(const local *self, const gf__proc *proc)
{
    return gf__asprintf("%d:%llu:%s", (int)proc->pid, proc->start_time, self->boot_id);
}

static gf_status spawn(local *self, live *l, const gf__attempt *attempt, gf_error *err)
{
    int fds[GF__MAX_GROUPS];
    size_t n_fds = 0;
    bool has_memory = false;
    const gf__group_limits limits = {attempt->n_cpus, attempt->max_memory_bytes};
    gf_status st = gf__group_make(&self->groups, l->group, &limits, fds, &n_fds, &has_memory, err);
    if (st != GF_OK)
        return st;
    const gf__spawn spawn = {.program = self->program,
                             .dir = l->dir,
                             .attempt = attempt->number,
                             .max_address_bytes = has_memory ? 0 : attempt->max_memory_bytes,
                             .group_fds = fds,
                             .n_group_fds = n_fds};
    st = gf__spawn_job(&spawn, &l->pid, err);
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
    return st;
}

static gf_status start(void *user, const gf__attempt *attempt, char **place, gf_error *err)
{
    local *self = user;
    live *l = NULL;
    gf__proc proc = {0};
    *place = NULL;
    gf_status st = new_live(self, attempt, &l, err);
    if (st != GF_OK)
        return st;
    st = spawn(self, l, attempt, err);
    if (st != GF_OK) {
        gf__group_remove(&self->groups, l->group);
        drop(self, l);
        return st;
    }
    /* Our child: at least its zombie is there until we have waited for it. */
    if (gf__proc_look(l->pid, &proc))
        l->start_time = proc.start_time;
    st = watch(self, l, err);
    proc.pid = l->pid;
    *place = st == GF_OK ? place_of(self, &proc) : NULL;
    if (st == GF_OK && *place == NULL)
        st = gf__error_nomem(err, "a place", sizeof self->boot_id);
    if (st == GF_OK)
        return GF_OK;
    /* Nothing may run that nobody knows of. */
    const gf__job_mark mark = mark_of(self, l);
    (void)gf__job_procs_kill(&mark);
    (void)waitpid(l->pid, NULL, 0);
    gf__group_remove(&self->groups, l->group);
    drop(self, l);
    return st;
}

static gf_status find(void *user, const gf__attempt *attempt, char **place, gf_error *err)
{
    local *self = user;
    char *dir = NULL;
    gf__proc leader;
    *place = NULL;
    gf_status st = real_path(attempt->dir, &dir, err);
    if (st == GF_ENOTFOUND) /* no folder, no process */
        return GF_OK;
    if (st == GF_OK)
        st = gf__spawn_settle(dir, err);
    if (st == GF_OK && gf__job_leader_find(dir, attempt->number, &leader)) {
        *place = place_of(self, &leader);
        if (*place == NULL)
            st = gf__error_nomem(err, "a place", sizeof self->boot_id);
    } else if (st == GF_OK) {
        const gf__job_mark mark = {.dir = dir};
        if (gf__job_procs_kill(&mark) > 0)
            st = gf_error_set(err, GF_EBUSY, "%s: processes of an earlier attempt cannot be ended",
                              dir);
    }
    gf__free(dir);
    return st;
}

/* ---- look ---- */

/* "PID:STARTTIME:BOOTID" of this machine's present life; false: of another one. */
static gf_status parse_place(const local *self, const char *place, live *l, bool *is_ours,
                             gf_error *err)
{
    char boot_id[40] = "";
    int pid = 0;
    if (sscanf(place, "%d:%llu:%39s", &pid, &l->start_time, boot_id) != 3 || pid <= 0)
        return gf_error_set(err, GF_EFORMAT,
                            "\"%.80s\" is no place of the local runner, expected PID:TIME:BOOT",
                            place);
    l->pid = pid;
    *is_ours = strcmp(boot_id, self->boot_id) == 0;
    return GF_OK;
}

static gf_status adopt(local *self, const gf__attempt *attempt, const char *place, live **out,
                       gf_error *err)
{
    bool is_ours = false;
    gf_status st = new_live(self, attempt, out, err);
    if (st != GF_OK)
        return st;
    st = parse_place(self, place, *out, &is_ours, err);
    if (st == GF_OK && is_ours)
        st = watch(self, *out, err);
    if (st == GF_OK && !is_ours) {
        (*out)->pid = 0;
        snprintf((*out)->reason, sizeof(*out)->reason, "this machine was started anew");
    } else if (st == GF_OK && (*out)->pidfd < 0) {
        /* Nobody knows for how long: its number, and with it its session, may be another's by now. What it
         * left is known by its environment and its groups. */
        (*out)->pid = 0;
        snprintf((*out)->reason, sizeof(*out)->reason, "its process is gone");
    }
    if (st != GF_OK) {
        drop(self, *out);
        *out = NULL;
    }
    return st;
}

static void say_end(local *self, live *l, const siginfo_t *info)
{
    const bool was_full = gf__group_was_out_of_memory(&self->groups, l->group);
    if (info->si_pid == 0)
        snprintf(l->reason, sizeof l->reason, "its process is gone");
    else if (info->si_code == CLD_EXITED)
        snprintf(l->reason, sizeof l->reason, "its process ended with status %d", info->si_status);
    else
        snprintf(l->reason, sizeof l->reason, "its process was killed by signal %d%s",
                 info->si_status, was_full ? ": out of the memory it may use" : "");
}

/* The first process has ended: it is waited for if it is ours, and leaves the descriptors. */
static void bury(local *self, live *l)
{
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_PIDFD, (id_t)l->pidfd, &info, WEXITED | WNOHANG) != 0)
        info.si_pid = 0; /* of a keeper before us: how it ended is not to be known */
    say_end(self, l, &info);
    (void)epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, l->pidfd, NULL);
    close(l->pidfd);
    l->pidfd = -1;
}

static bool is_running(const live *l)
{
    struct pollfd fd = {.fd = l->pidfd, .events = POLLIN};
    return l->pidfd >= 0 && poll(&fd, 1, 0) == 0;
}

static gf_status look(void *user, const gf__attempt *attempt, const char *place,
                      gf__attempt_look *out, gf_error *err)
{
    local *self = user;
    live *l = find_live(self, attempt->job_id);
    *out = (gf__attempt_look){.state = GF__ATTEMPT_RUNNING};
    if (l == NULL) {
        const gf_status st = adopt(self, attempt, place, &l, err);
        if (st != GF_OK)
            return st;
    }
    if (is_running(l))
        return GF_OK;
    if (l->pidfd >= 0)
        bury(self, l);
    const gf__job_mark mark = mark_of(self, l);
    const size_t n_left = gf__job_procs_kill(&mark);
    snprintf(out->reason, sizeof out->reason, "%s", l->reason);
    if (n_left > 0) /* in the kernel's hands, which take their time; the next look goes on */
        return GF_OK;
    out->state = GF__ATTEMPT_ENDED;
    gf__group_remove(&self->groups, l->group);
    drop(self, l);
    return GF_OK;
}

/* ---- stop ---- */

static gf_status stop(void *user, const gf__attempt *attempt, const char *place, bool is_forced,
                      gf_error *err)
{
    local *self = user;
    live *l = find_live(self, attempt->job_id);
    if (l == NULL) {
        const gf_status st = adopt(self, attempt, place, &l, err);
        if (st != GF_OK)
            return st;
    }
    const gf__job_mark mark = mark_of(self, l);
    if (is_forced) {
        (void)gf__job_procs_kill(&mark);
        return GF_OK;
    }
    gf__job_procs procs;
    gf__job_procs_find(&mark, &procs);
    gf__job_procs_signal(&procs, SIGTERM);
    gf__job_procs_free(&procs);
    return GF_OK;
}

static bool is_place(const char *place)
{
    unsigned long long start_time = 0;
    char boot_id[40];
    int pid = 0;
    return sscanf(place, "%d:%llu:%39s", &pid, &start_time, boot_id) == 3 && pid > 0;
}

static int descriptor(void *user)
{
    return ((const local *)user)->epoll_fd;
}

const gf__runner_ops gf__runner_local = {.name = "local",
                                         .look_every_ms = LOOK_EVERY_MS,
                                         .open = open_runner,
                                         .close = close_runner,
                                         .has_room = has_room,
                                         .start = start,
                                         .find = find,
                                         .look = look,
                                         .stop = stop,
                                         .is_place = is_place,
                                         .fd = descriptor};
