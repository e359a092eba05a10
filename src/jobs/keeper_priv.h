/* jobs/keeper_priv.h: what the files of the keeper share.
 *
 *     jobs.c      the door: options, start, wake, what is told to others
 *     keeper.c    the thread: whom to start, whom to stop, when to look again
 *     attempts.c  one job in one round: found, looked at, stopped
 *     attempt_start.c  its plan, its wait, its start
 *     attempt_end.c    what its process left: its end, or another attempt
 *     track.c     open jobs of the registry <-> what the keeper knows of them
 *     outcome.c   progress.json and result.json, read
 *     plan.c      how large a job is, how long it may wait and run
 *     spec.c      the Job -> spec.json
 *     tiers.c     scaleTier, masterType -> CPUs and memory
 *     runners.c   which runner
 *     elsewhere.c attempts that another runner has
 *     environment.c  what jobs get of the server's environment
 *     local*.c    the runner of this machine */
#ifndef GRAFT_JOBS_KEEPER_PRIV_H
#define GRAFT_JOBS_KEEPER_PRIV_H

#include <pthread.h>

#include "jobs/runner_priv.h"

/* ---- tiers.c ---- */

/* What a training input asks for, clipped to what there is (`most`: all CPUs, all memory or 0).
 * GF_EINVAL: a tier or machine that is not known; the message names the field and the known ones. */
gf_status gf__size_of_training(const gf__json *input, const gf__size *most, gf__size *out,
                               gf_error *err);

/* ---- plan.c ---- */

/* What the keeper decides by, out of a Job's document. */
typedef struct gf__job_plan {
    bool is_training;
    gf__size size;
    size_t n_shards;
    int64_t max_running_s, max_wait_s; /* the second 0: it may wait for ever */
} gf__job_plan;
/* kind: where shards run side by side, they do not share CPUs (Slurm), or do (this machine). */
gf_status gf__job_plan_read(const gf__json *job, gf__runner_kind kind, const gf__size *most,
                            gf__job_plan *out, gf_error *err);

/* ---- spec.c ---- */

typedef struct gf__spec_context {
    gf_registry *registry;
    const char *home, *program, *python, *server_url; /* the last may be NULL */
    int grace_ms;
    int64_t
        start_time_ms; /* since when the job has been RUNNING, in earlier attempts; 0: it has not */
    const char *name;  /* "projects/P/jobs/J" */
    const char *dir;   /* HOME/jobs/ID, made if missing */
} gf__spec_context;
/* Writes DIR/spec.json; of an earlier attempt's only what a new server changes, so that all attempts
 * do the same. GF_EIO, GF_ENOMEM, GF_EBUSY: try again later; everything else is the job's own fault, and
 * the message names the field and the address. */
gf_status gf__spec_write(const gf__spec_context *context, const gf__json *job,
                         const gf__job_plan *plan, gf_error *err);
/* What the spec holds on to for the attempts only, once the job has ended. */
void gf__spec_release(const char *dir);

/* ---- outcome.c ---- */

/* What a process left in the job's folder. */
typedef struct gf__job_left {
    bool is_there;
    int attempt;
    gf__job_state state; /* PREPARING or RUNNING of progress; an end of a result */
    char *error_message; /* NULL: none */
    char *output;        /* JSON, NULL: none */
} gf__job_left;
/* GF_OK where there is none, and where it is not what it should be: is_there is false then. End
 * with gf__job_left_free(), also after a failure. */
gf_status gf__job_progress_read(const char *dir, gf__job_left *out, gf_error *err);
gf_status gf__job_result_read(const char *dir, gf__job_left *out, gf_error *err);
void gf__job_left_free(gf__job_left *left);
/* "The job was not done: it ran into Slurm's time limit." and the log's last lines. New. */
gf_status gf__job_refusal_text(const char *dir, const char *reason, char **out, gf_error *err);
/* "The job's process ended 3 times without a result: killed by signal 9." and the log's last lines. New. */
gf_status gf__job_crash_text(const char *dir, int n_attempts, const char *reason, char **out,
                             gf_error *err);

/* ---- track.c ---- */

/* What the keeper knows of an open job beside what the registry has. */
typedef struct gf__track {
    struct gf__track *next;
    int64_t id;
    char *name, *dir;
    gf__job_plan plan;
    gf__json *document;
    bool has_plan, is_seen; /* is_seen: in the registry's list of this round */
    bool is_ended;          /* by us: its leaving the list is no news */
    char *place;            /* as soon as there is one, noted or not */
    bool is_place_noted;
    bool is_found;        /* this keeper has looked for an attempt of an earlier one */
    int n_attempts;       /* the running one's number */
    int64_t retry_ms;     /* when to try again what failed for the moment; 0: at once */
    int64_t stop_ms;      /* when it was asked to end; 0: not */
    int64_t force_ms;     /* when it will be killed, again and again */
    int64_t running_ms;   /* since when the job runs, on our clock; 0: it is not known to */
    int n_failures;       /* of its start, in a row, that were none of its own */
    char *end_message;    /* why the keeper itself ends it; NULL: it does not */
    gf__job_state end_as; /* then */
    char progress[96];    /* of progress.json, as it was noted last */
    char reason[160];     /* why it waits */
} gf__track;
/* The track of a job of the registry's list, made if it is a new one. */
gf_status gf__track_of(gf__track **all, const gf__jobs_options *options, const gf__job *job,
                       gf__track **out, gf_error *err);
void gf__track_drop(gf__track **all, gf__track *gone);
gf__attempt gf__track_attempt(const gf__track *track, const gf__job *job, int grace_ms);

/* ---- jobs.c, keeper.c ---- */

struct gf__jobs {
    gf__jobs_options options; /* texts are below */
    char *home, *program, *python, *partition;
    const gf__runner_ops *ops;
    void *runner;
    const gf__runner_ops *other_ops; /* of places of an earlier server; NULL: not needed yet */
    void *other;
    gf__size most;
    pthread_t thread;
    bool has_thread;
    int wake_fd;
    /* of the thread */
    gf__track *tracks;
    /* under the mutex */
    pthread_mutex_t mutex;
    bool is_stopping;
    char *server_url;
    gf__json *described;
    gf__jobs_counts counts;
};
/* One look at everything; *wait_ms: until the next one, at most. A failure is of the registry. */
gf_status gf__jobs_round(gf__jobs *jobs, int *wait_ms, gf_error *err);
void *gf__jobs_run(void *jobs);
/* Adds to counts under the mutex. */
void gf__jobs_add_one(gf__jobs *jobs, uint64_t *counter);

/* ---- attempts.c ---- failures are of the registry, or memory; a round ends with them and begins again. */

/* Of one that has begun: finds it, looks at it, stops it, takes its end. */
gf_status gf__attempt_tend(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err);
/* For the other two: */
int64_t gf__unix_ms(void);
gf__attempt gf__attempt_of(const gf__jobs *jobs, const gf__track *track, const gf__job *job);
/* A client wants its end, or we do. */
bool gf__attempt_is_to_end(const gf__track *track, const gf__job *job);
/* What failed for the moment; why becomes the reason for which it waits. */
void gf__attempt_try_later(gf__track *track, const gf_error *why);
gf_status gf__attempt_note_place(gf__jobs *jobs, gf__track *track, gf_error *err);

/* ---- attempt_end.c ---- */

/* The job's end, noted and counted. */
gf_status gf__job_end(gf__jobs *jobs, gf__track *track, gf__job_state state, const char *message,
                      const char *output, gf_error *err);
gf_status gf__attempt_note_progress(gf__jobs *jobs, gf__track *track, gf_error *err);
/* Of an attempt that look says ENDED. */
gf_status gf__attempt_take_end(gf__jobs *jobs, gf__track *track, const gf__job *job,
                               const gf__attempt_look *look, gf_error *err);
/* Of one that is nowhere: counted and not started, or it came to its end while nobody looked. */
gf_status gf__attempt_take_unplaced(gf__jobs *jobs, gf__track *track, const gf__job *job,
                                    gf_error *err);

/* ---- attempt_start.c ---- */

/* Reads the plan, once; ends a job that has none, or that waited too long. */
gf_status gf__attempt_plan(gf__jobs *jobs, gf__track *track, const gf__job *job, gf_error *err);
/* Whether it is to be started as soon as there is room. */
bool gf__attempt_is_waiting(const gf__track *track, const gf__job *job);
gf_status gf__attempt_launch(gf__jobs *jobs, gf__track *track, gf__job *job, gf_error *err);
/* A line of stream "graft" in the job's log, while no process has it. */
void gf__attempt_say(const gf__track *track, const char *text);

/* ---- runners.c ---- */

const gf__runner_ops *gf__runner_of(gf__runner_kind kind);
/* The one that places like this are of; NULL: none. */
const gf__runner_ops *gf__runner_of_place(const char *place);

/* ---- elsewhere.c ---- an attempt that was started by a server with another --runner. */

/* Whom to ask for a place: the keeper's own runner, or the other one, opened now. GF_EFORMAT: it is
 * no place; others: that runner is not to be had here. *self is the keeper's. */
gf_status gf__owner_find(gf__jobs *jobs, const char *place, const gf__runner_ops **ops, void **self,
                         gf_error *err);
void gf__owners_close(gf__jobs *jobs);
/* Whether a process, on whatever machine, works for the job now: it holds a lock of the folder. */
bool gf__job_is_locked(const char *dir);

#endif
