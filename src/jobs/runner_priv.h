/* jobs/runner_priv.h: how attempts become processes: one table a runner. The keeper calls from its
 * one thread. local.c forks on this machine, slurm.c asks Slurm. */
#ifndef GRAFT_JOBS_RUNNER_PRIV_H
#define GRAFT_JOBS_RUNNER_PRIV_H

#include "jobs/jobs.h"

typedef struct gf__attempt {
    int64_t job_id;
    int number;       /* from 1 */
    const char *name; /* "projects/P/jobs/J" */
    const char *dir;  /* HOME/jobs/ID */
    size_t n_cpus;
    uint64_t max_memory_bytes; /* 0: no bound */
    int64_t max_running_s;
    int grace_ms;
    size_t n_shards; /* above 1: `graft job DIR ATTEMPT --shard K` for each, then --merge */
    int priority;
} gf__attempt;

typedef struct gf__size {
    size_t n_cpus;
    uint64_t max_memory_bytes; /* 0: no bound */
    char note[160];            /* for the job's log: "BASIC_GPU: ..."; "" */
} gf__size;

typedef enum gf__attempt_state {
    GF__ATTEMPT_WAITING, /* in the runner's own queue */
    GF__ATTEMPT_RUNNING,
    GF__ATTEMPT_ENDED /* no process of it is left; result.json says the rest, if it is there */
} gf__attempt_state;
typedef struct gf__attempt_look {
    gf__attempt_state state;
    bool is_final;    /* ENDED, and not to be tried again: somebody else than graft decided so */
    char reason[160]; /* ENDED: "killed by signal 9", "its node went down"; else why it waits; "" */
} gf__attempt_look;

typedef struct gf__runner_ops {
    const char *name;
    /* How often the keeper looks at running attempts; each look may cost a process. */
    int look_every_ms;
    gf_status (*open)(const gf__jobs_options *options, void **self, gf_error *err);
    void (*close)(void *self);
    /* Whether an attempt of that size could begin now; *reason (static or in self) says what it waits for. A runner with a queue of
     * its own always says yes. */
    bool (*has_room)(void *self, const gf__attempt *attempt, const char **reason);
    /* What the largest machine has that jobs run on, 0 where it is not known. NULL: this one is it. */
    gf_status (*largest)(void *self, gf__size *out, gf_error *err);
    /* *place is new, gf__free(): a word without blanks that finds the attempt again, from another
     * process too. */
    gf_status (*start)(void *self, const gf__attempt *attempt, char **place, gf_error *err);
    /* An attempt whose start was not noted: did it happen? *place NULL: no, and it never will. */
    gf_status (*find)(void *self, const gf__attempt *attempt, char **place, gf_error *err);
    gf_status (*look)(void *self, const gf__attempt *attempt, const char *place,
                      gf__attempt_look *out, gf_error *err);
    /* Ends it: first asks (SIGTERM to all its processes); forced: SIGKILL, and no process is left
     * after look says ENDED. Ending what has ended is fine. */
    gf_status (*stop)(void *self, const gf__attempt *attempt, const char *place, bool is_forced,
                      gf_error *err);
    /* Whether a place is one of this runner's: of another one's, that is asked. */
    bool (*is_place)(const char *place);
    /* A descriptor that gets readable when something happened, -1: none; the keeper polls it. */
    int (*fd)(void *self);
} gf__runner_ops;
extern const gf__runner_ops gf__runner_local, gf__runner_slurm;

/* environment.c: what a job gets of ours: see gf__environment_new(). */
extern const char *const gf__job_variables[];

#endif
