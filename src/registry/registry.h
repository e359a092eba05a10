/* registry/registry.h: the door of registry, for service and server. */
#ifndef GRAFT_SRC_REGISTRY_H
#define GRAFT_SRC_REGISTRY_H

#include "graft/registry.h"

/* The google.rpc.Code (0 to 16) that a status is in an Operation's error, and in the answers of
 * the server. */
int gf__rpc_code(gf_status status);

/* The file or folder of this machine that an address means, under the rules of
 * gf_registry_create_version(): what bucket uploads and downloads use as well. It need not
 * exist, but no step on the way may be a link. *path is new, ended with gf__free(). GF_EINVAL. */
gf_status gf__registry_resolve(gf_registry *registry, const char *address, char **path,
                               gf_error *err);

/* The same of a gs:// address alone, for processes without a registry: buckets_dir is HOME/buckets. */
gf_status gf__bucket_resolve(const char *buckets_dir, const char *address, char **path,
                             gf_error *err);

/* Whether a project can have that name: "P", not "projects/P". GF_EINVAL. */
gf_status gf__registry_check_project(const char *project, gf_error *err);

/* ---- jobs: what their keeper (jobs/) reads and writes; with gf_registry_lock() only ----------- */

typedef enum gf__job_state {
    GF__JOB_QUEUED,
    GF__JOB_PREPARING,
    GF__JOB_RUNNING,
    GF__JOB_SUCCEEDED,
    GF__JOB_FAILED,
    GF__JOB_CANCELLING,
    GF__JOB_CANCELLED
} gf__job_state;
const char *gf__job_state_name(gf__job_state state); /* "QUEUED"; static storage */

/* A job that has not ended. */
typedef struct gf__job {
    int64_t id; /* never used again: names the job's folder HOME/jobs/ID */
    char *name; /* "projects/P/jobs/J" */
    gf__job_state state;
    int priority; /* scheduling.priority, 0..1000; a batch prediction's is 0 */
    int64_t create_time_ms, start_time_ms; /* the second 0: not yet */
    int n_attempts;                        /* begun so far: the running one's number, from 1 */
    char *place;    /* what the runner calls the running attempt; NULL: none, or not noted yet */
    char *document; /* the Job, JSON: what get gives */
} gf__job;
typedef struct gf__job_list {
    gf__job *jobs; /* higher priority first, then the older */
    size_t n_jobs;
} gf__job_list;
/* All that have not ended. End with gf__job_list_free(), also after a failure. */
gf_status gf__registry_open_jobs(gf_registry *registry, gf__job_list *out, gf_error *err);
void gf__job_list_free(gf__job_list *list);

/* The calls below: GF_ENOTFOUND an id that no job has. */

/* One attempt more: QUEUED becomes PREPARING; PREPARING, RUNNING stay what they are for attempts
 * after the first. Noted before anything is started, so that a crash in between is seen. place is NULL
 * from here on. GF_EPRECONDITION where it was cancelled meanwhile. */
gf_status gf__registry_begin_attempt(gf_registry *registry, int64_t id, gf_error *err);
/* Where the attempt runs, also of one that is CANCELLING: it has to be found to be ended.
 * GF_EPRECONDITION where no attempt has begun or the job has ended. */
gf_status gf__registry_note_place(gf_registry *registry, int64_t id, const char *place,
                                  gf_error *err);
/* PREPARING becomes RUNNING (startTime is now); output (trainingOutput or predictionOutput as JSON,
 * NULL: unchanged) takes the place of the earlier one. CANCELLING stays. What is known already costs no
 * write. GF_EFORMAT an output that is no object; GF_EPRECONDITION where no attempt has begun or the job
 * has ended. */
gf_status gf__registry_note_progress(gf_registry *registry, int64_t id, bool is_running,
                                     const char *output, gf_error *err);
/* SUCCEEDED, FAILED or CANCELLED, endTime now. error_message NULL: none; of a CANCELLED job what its
 * cancelling noted. A CANCELLING job whose work was done before the signal came is SUCCEEDED.
 * GF_EPRECONDITION where it has ended already: a client's cancel of a QUEUED one may have been faster. */
gf_status gf__registry_end_job(gf_registry *registry, int64_t id, gf__job_state state,
                               const char *error_message, const char *output, gf_error *err);
/* HOME/jobs/ID of a job by its name, whatever its state: where its log lies. *dir is new. *state may be NULL.
 * GF_ENOTFOUND. */
gf_status gf__registry_job_dir(gf_registry *registry, const char *name, char **dir,
                               gf__job_state *state, gf_error *err);

#endif
