/* jobs/local_proc.c: which processes belong to a job. A number alone names nobody: it is given out
 * again. So a process is its number and the time it was started at, and a signal goes to a
 * descriptor of it, after a second look. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "jobs/local_priv.h"

#define MAX_PROC_BYTES ((size_t)2 << 20) /* of an environment: the kernel's own limit */
#define KILL_ROUNDS    40
#define KILL_PAUSE_NS  5000000

static gf_status read_proc(const char *path, char **text, size_t *size)
{
    return gf__read_file(path, MAX_PROC_BYTES, text, size, NULL);
}

/* "17 (a name) in) S ppid pgrp session ...": the name may hold anything, so the last ')' counts. */
bool gf__proc_look(pid_t pid, gf__proc *out)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    int session = 0;
    *out = (gf__proc){.pid = pid};
    if (end == NULL || sscanf(end + 1,
                              " %c %*d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                              "%*d %*d %llu",
                              &out->state, &session, &out->start_time) != 3)
        return false;
    out->session = session;
    return true;
}

static bool is_dead(const gf__proc *proc)
{
    return proc->state == 'Z' || proc->state == 'X';
}

bool gf__proc_is_alive(pid_t pid, unsigned long long start_time)
{
    gf__proc proc;
    return gf__proc_look(pid, &proc) && proc.start_time == start_time && !is_dead(&proc);
}

void gf__boot_id(char id[40])
{
    char *text = NULL;
    size_t size = 0;
    snprintf(id, 40, "-");
    if (read_proc("/proc/sys/kernel/random/boot_id", &text, &size) == GF_OK) {
        text[strcspn(text, "\n")] = '\0';
        snprintf(id, 40, "%.39s", text);
    }
    gf__free(text);
}

/* ---- which ---- */

/* Whether one of the words that /proc keeps, each ended by a NUL, is this. */
static bool has_word(const char *text, size_t size, const char *word)
{
    for (const char *at = text; at < text + size; at += strlen(at) + 1)
        if (strcmp(at, word) == 0)
            return true;
    return false;
}

static bool has_variable(pid_t pid, const char *entry)
{
    char path[64], *text = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    const bool is_read = read_proc(path, &text, &size) == GF_OK;
    const bool has = is_read && has_word(text, size, entry);
    gf__free(text);
    return has;
}

static void add(gf__job_procs *procs, const gf__proc *proc)
{
    if (procs->n == procs->capacity) {
        const size_t capacity = procs->capacity > 0 ? 2 * procs->capacity : 16;
        gf__proc *grown = gf__realloc(procs->procs, capacity * sizeof *grown);
        if (grown == NULL) {
            procs->is_short = true;
            return;
        }
        procs->procs = grown;
        procs->capacity = capacity;
    }
    procs->procs[procs->n++] = *proc;
}

static void add_from_group(void *user, pid_t pid)
{
    gf__job_procs *procs = user;
    gf__proc proc;
    for (size_t i = 0; i < procs->n; i++)
        if (procs->procs[i].pid == pid)
            return;
    if (pid != getpid() && gf__proc_look(pid, &proc) && !is_dead(&proc))
        add(procs, &proc);
}

static pid_t pid_of(const char *name)
{
    return isdigit((unsigned char)name[0]) ? (pid_t)strtol(name, NULL, 10) : 0;
}

/* The session is the job's as long as its number is that of the process that made it: a number is
 * not given out again while a session has it. */
static bool owns_session(const gf__job_mark *mark)
{
    gf__proc leader;
    if (mark->leader <= 0)
        return false;
    return !gf__proc_look(mark->leader, &leader) || leader.start_time == mark->leader_start_time;
}

void gf__job_procs_find(const gf__job_mark *mark, gf__job_procs *out)
{
    *out = (gf__job_procs){0};
    char *entry = gf__asprintf("%s=%s", GF__JOB_DIR_VARIABLE, mark->dir);
    DIR *dir = opendir("/proc");
    out->is_short = entry == NULL || dir == NULL;
    const bool has_session = owns_session(mark);
    const struct dirent *name;
    while (!out->is_short && (name = readdir(dir)) != NULL) {
        gf__proc proc;
        const pid_t pid = pid_of(name->d_name);
        if (pid <= 0 || pid == getpid() || !gf__proc_look(pid, &proc) || is_dead(&proc))
            continue;
        if ((has_session && proc.session == mark->leader) || has_variable(pid, entry))
            add(out, &proc);
    }
    if (dir != NULL)
        closedir(dir);
    gf__free(entry);
    if (mark->groups != NULL)
        gf__group_visit(mark->groups, mark->group, add_from_group, out);
}

void gf__job_procs_free(gf__job_procs *procs)
{
    gf__free(procs->procs);
    *procs = (gf__job_procs){0};
}

bool gf__job_leader_find(const char *dir, int attempt, gf__proc *out)
{
    char *entry = gf__asprintf("%s=%s", GF__JOB_DIR_VARIABLE, dir);
    char number[64];
    snprintf(number, sizeof number, "%s=%d", GF__JOB_ATTEMPT_VARIABLE, attempt);
    DIR *proc_dir = opendir("/proc");
    bool is_found = false;
    const struct dirent *name;
    while (entry != NULL && proc_dir != NULL && (name = readdir(proc_dir)) != NULL) {
        gf__proc proc;
        const pid_t pid = pid_of(name->d_name);
        if (pid <= 0 || pid == getpid() || !gf__proc_look(pid, &proc) || is_dead(&proc) ||
            proc.session != pid || !has_variable(pid, entry) || !has_variable(pid, number))
            continue;
        /* A daemon of the job leads a session, too: one that was started later. */
        if (!is_found || proc.start_time < out->start_time ||
            (proc.start_time == out->start_time && proc.pid < out->pid))
            *out = proc;
        is_found = true;
    }
    if (proc_dir != NULL)
        closedir(proc_dir);
    gf__free(entry);
    return is_found;
}

/* ---- signals ---- */

void gf__job_procs_signal(const gf__job_procs *procs, int signal_number)
{
    for (size_t i = 0; i < procs->n; i++) {
        const gf__proc *proc = &procs->procs[i];
        const int fd = pidfd_open(proc->pid, 0);
        if (fd < 0)
            continue;
        if (gf__proc_is_alive(proc->pid, proc->start_time))
            (void)pidfd_send_signal(fd, signal_number, NULL, 0);
        close(fd);
    }
}

size_t gf__job_procs_kill(const gf__job_mark *mark)
{
    size_t n_left = 0;
    for (int i = 0; i < KILL_ROUNDS; i++) {
        gf__job_procs procs;
        if (mark->groups != NULL)
            gf__group_kill(mark->groups, mark->group);
        gf__job_procs_find(mark, &procs);
        n_left = procs.n + (procs.is_short ? 1 : 0);
        gf__job_procs_signal(&procs, SIGKILL);
        gf__job_procs_free(&procs);
        if (n_left == 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = KILL_PAUSE_NS}, NULL);
    }
    return n_left;
}
