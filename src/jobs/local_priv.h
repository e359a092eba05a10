/* jobs/local_priv.h: what the files of the runner of this machine share.
 *
 *     local.c        the runner: which attempts live, when they have ended
 *     local_spawn.c  fork and exec
 *     local_proc.c   which processes belong to a job; signals that reach nobody else
 *     local_group.c  cgroups: limits, and a fence around a job's processes */
#ifndef GRAFT_JOBS_LOCAL_PRIV_H
#define GRAFT_JOBS_LOCAL_PRIV_H

#include <sys/types.h>

#include "jobs/runner_priv.h"

/* Every process of a job has these in its environment, unless it took them out. */
#define GF__JOB_DIR_VARIABLE     "GRAFT_JOB_DIR"
#define GF__JOB_ATTEMPT_VARIABLE "GRAFT_JOB_ATTEMPT"

/* ---- local_group.c ---- */

#define GF__MAX_GROUPS 4 /* v2, and v1's cpu, memory, pids */

typedef struct gf__group_tree {
    char *top; /* our folder in it; the jobs' groups are below */
    bool is_v2, has_cpu, has_memory, has_pids;
} gf__group_tree;
typedef struct gf__groups {
    gf__group_tree trees[GF__MAX_GROUPS];
    size_t n_trees;
} gf__groups;
/* Finds the cgroup trees in which groups may be made; none is fine. root: "" for the real ones.
 * max_memory_bytes: of all jobs together, 0 no bound. */
gf_status gf__groups_open(const char *root, uint64_t max_memory_bytes, gf__groups *out,
                          gf_error *err);
void gf__groups_close(gf__groups *groups);
/* "cgroup v2 (cpu, memory), ..." for people; new. */
char *gf__groups_describe(const gf__groups *groups);

typedef struct gf__group_limits {
    size_t n_cpus;
    uint64_t max_memory_bytes; /* 0: no bound */
} gf__group_limits;
/* Makes the groups of a job; fds[GF__MAX_GROUPS]: opened cgroup.procs, to which the process writes
 * itself; *n_fds may be 0. *has_memory: the bound is kept by them. */
gf_status gf__group_make(const gf__groups *groups, const char *name, const gf__group_limits *limits,
                         int *fds, size_t *n_fds, bool *has_memory, gf_error *err);
/* Kills what is in there, and lets nothing new in; not waited for. */
void gf__group_kill(const gf__groups *groups, const char *name);
/* visit(): each process in it. */
void gf__group_visit(const gf__groups *groups, const char *name,
                     void (*visit)(void *user, pid_t pid), void *user);
bool gf__group_was_out_of_memory(const gf__groups *groups, const char *name);
void gf__group_remove(const gf__groups *groups, const char *name); /* once it is empty */

/* ---- local_proc.c ---- */

typedef struct gf__proc {
    pid_t pid, session;
    unsigned long long start_time; /* ticks since the machine's start: with pid, one process only */
    char state;                    /* 'Z': a zombie */
} gf__proc;
bool gf__proc_look(pid_t pid, gf__proc *out); /* false: there is none of that number */
bool gf__proc_is_alive(pid_t pid, unsigned long long start_time); /* zombies are not */
void gf__boot_id(char id[40]);

/* The processes of a job: in its session, in its groups, or with its folder in their environment. */
typedef struct gf__job_procs {
    gf__proc *procs;
    size_t n, capacity;
    bool is_short; /* memory ran out: not all of them */
} gf__job_procs;
typedef struct gf__job_mark {
    const char *dir; /* real path */
    pid_t leader;    /* 0: not known */
    unsigned long long leader_start_time;
    const gf__groups *groups;
    const char *group;
} gf__job_mark;
void gf__job_procs_find(const gf__job_mark *mark, gf__job_procs *out);
void gf__job_procs_signal(const gf__job_procs *procs, int signal_number);
void gf__job_procs_free(gf__job_procs *procs);
/* SIGKILL to all, until none is left or it takes too long; how many are left. */
size_t gf__job_procs_kill(const gf__job_mark *mark);
/* The process `PROGRAM job DIR ATTEMPT` itself. */
bool gf__job_leader_find(const char *dir, int attempt, gf__proc *out);

/* ---- local_spawn.c ---- */

typedef struct gf__spawn {
    const char *program;
    const char *dir; /* real path */
    int attempt;
    uint64_t max_address_bytes; /* 0: no bound */
    const int *group_fds;
    size_t n_group_fds;
} gf__spawn;
/* GF_OK: the program runs (exec has happened). A start lock in the folder is held from before the
 * fork to after the exec, whoever dies: see gf__spawn_settle(). */
gf_status gf__spawn_job(const gf__spawn *spawn, pid_t *pid, gf_error *err);
/* Waits until a child that a killed keeper left between fork and exec is one thing or the other. */
gf_status gf__spawn_settle(const char *dir, gf_error *err);

#endif
