/* tasks/tasks.h: what a job's process does: `graft job DIR ATTEMPT [--shard K|--merge]`, started by a
 * runner of jobs/ (jobs/jobs.h has the folder's contents). It unpacks, installs, runs programs, keeps
 * their words in the job's log, holds them to their limits, and leaves result.json. */
#ifndef GRAFT_SRC_TASKS_H
#define GRAFT_SRC_TASKS_H

#include "base/base.h"

typedef enum gf__task_part {
    GF__TASK_WHOLE, /* all of it, shards as processes of its own */
    GF__TASK_SHARD, /* one shard: leaves shards/K.json instead of result.json */
    GF__TASK_MERGE  /* what the shards left becomes result.json */
} gf__task_part;

typedef struct gf__task_options {
    const char *dir;
    int attempt;
    gf__task_part part;
    size_t shard;       /* GF__TASK_SHARD */
    const char *python; /* program of user packages where the spec names none; NULL: "python3" */
    const char *python_dir; /* the folder that has graft's Python package in it */
    const char *library;    /* libgraft.so for that package; NULL: it looks itself */
} gf__task_options;

/* Runs it to its end; GF_OK when a result was left, whatever it says. GF_EBUSY: another process
 * holds the lock (nothing was done); GF_EFORMAT: a spec that cannot be read, which is the result
 * then; GF_EIO: the result could not be written. The caller's process is given up to it: signals,
 * children, process group. */
gf_status gf__task_run(const gf__task_options *options, gf_error *err);

#endif
