/* jobs/jobs.h: the queue of training and batch prediction jobs, worked off: a keeper starts each job's
 * process through a runner (this machine, or Slurm), watches it, notes in the registry what becomes
 * of it, and finds running jobs again after a restart.
 *
 * A job's process is `graft job DIR ATTEMPT` (tasks/): it does the work and knows nothing of the
 * registry. The two speak through the job's folder, so that either may die and start again, on
 * another machine as well:
 *
 *     HOME/jobs/ID/             ID: gf__job.id
 *         spec.json             keeper, before the first attempt: what is to be done (below)
 *         lock                  flock()ed by the process that runs an attempt, as long as it lives; in
 *                               it: "ATTEMPT PID\n". Who does not get it does not run anything
 *         log, log.1, ...       process: JSON lines {"time": RFC 3339 with ms, "stream":
 *                               "stdout|stderr|graft", "trialId": "3" (trials only), "message": "..."};
 *                               rotated at GF__JOB_LOG_BYTES, log.1 is the older; see log.h
 *         progress.json         process: {"attempt": 1, "state": "PREPARING|RUNNING", "output": {...}}
 *         result.json           process, at its very end: {"attempt": 1, "state": "SUCCEEDED|FAILED|
 *                               CANCELLED", "errorMessage": "...", "output": {...}}
 *         work/                 the program's working folder; packages/, site-packages/, trials/N/ ...
 *
 * Both documents are written whole (gf__write_file and its rename). An attempt that ended without
 * result.json has crashed and is tried again after a pause that grows, GF__JOB_ATTEMPTS in all;
 * progress in the folder may be taken up by the next one.
 *
 * spec.json:
 *     {"format": 1, "name": "projects/P/jobs/J", "kind": "training|prediction",
 *      "home": "/abs", "buckets": "/abs/buckets",        gs://BUCKET/x is buckets/BUCKET/x
 *      "program": "/abs/graft", "server": "http://..." (where known),
 *      "python": "python3" | "/abs/python",              that runs packages
 *      "nCpus": 2, "maxMemoryBytes": 0 (no bound), "maxRunningS": 604800, "graceMs": 10000,
 *      "startTimeMs": 1700000000000 (not of a first attempt), since when maxRunningS counts
 *      "nShards": 1,                                     processes that share the work
 *      "training": {the Job's trainingInput as it is, and "packages": ["/abs/x.tar.gz", ...]},
 *      "prediction": {the Job's predictionInput as it is, and "model": "/abs/model.safetensors",
 *                     "version": "projects/P/models/M/versions/V" (unless by uri)}}
 * Addresses in args, jobDir, inputPaths, outputPath stay gs://; the process maps them.
 *
 * Threads: any call from any thread. */
#ifndef GRAFT_SRC_JOBS_H
#define GRAFT_SRC_JOBS_H

#include "base/base.h"
#include "jobs/log.h"
#include "registry/registry.h"

#define GF__JOB_ATTEMPTS 3

typedef enum gf__runner_kind { GF__RUNNER_LOCAL, GF__RUNNER_SLURM } gf__runner_kind;
/* "local", "slurm". GF_EINVAL. */
gf_status gf__runner_kind_parse(const char *name, gf__runner_kind *out, gf_error *err);

typedef struct gf__jobs_options {
    gf_registry *registry; /* locked; borrowed until gf__jobs_free() */
    const char *home, *program;
    const char *server_url; /* told to the jobs; NULL: none */
    const char *python;     /* of their packages: a path, or a name of the path; NULL: "python3" */
    gf__runner_kind runner;
    int n_cpus;                /* that jobs may use together; 0: gf_threads_available() */
    uint64_t max_memory_bytes; /* of all jobs together; 0: what the machine or cgroup has */
    int grace_ms;              /* from SIGTERM to SIGKILL, default 10000 */
    int retry_ms; /* from a first crash to the next attempt, default 2000; later longer */
    const char *slurm_partition; /* NULL: Slurm's default */
    gf_observer observer;        /* log only */
} gf__jobs_options;
gf__jobs_options gf__jobs_options_default(void);

typedef struct gf__jobs gf__jobs;
/* Finds running jobs again, then starts the keeper's thread. GF_EUNAVAILABLE where the runner is
 * not there (no sbatch in the path), GF_ENOTFOUND where python is a path and nothing can be run
 * there. */
gf_status gf__jobs_start(const gf__jobs_options *options, gf__jobs **out, gf_error *err);
/* After a job was created or cancelled. */
void gf__jobs_wake(gf__jobs *jobs);
/* The address that later jobs are told, once the server has its port. */
gf_status gf__jobs_set_server(gf__jobs *jobs, const char *url, gf_error *err);
/* Stops the keeper. Jobs that run go on without it; the next keeper finds them. NULL is fine. */
void gf__jobs_free(gf__jobs *jobs);

/* How it stands: {"runner": "local", "nCpus": 2, "nCpusUsed": 2, "jobs": [{"name", "state", "attempt",
 * "place", "reason": "waits for 2 CPUs"}]}. New. */
gf_status gf__jobs_describe(gf__jobs *jobs, gf__json **out, gf_error *err);
typedef struct gf__jobs_counts { /* for metrics; ended ones since the start */
    size_t n_queued, n_running;
    uint64_t n_succeeded, n_failed, n_cancelled, n_attempts_crashed;
    double submit_to_start_s_sum; /* of all whose process began */
    uint64_t n_started;
} gf__jobs_counts;
void gf__jobs_count(gf__jobs *jobs, gf__jobs_counts *out);

#endif
