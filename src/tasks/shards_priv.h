/* tasks/shards_priv.h: work that is shared out: a process a shard, `graft job DIR ATTEMPT --shard
 * K`, each leaves shards/K.json. A runner may start them itself; what is missing then is done
 * here. */
#ifndef GRAFT_TASKS_SHARDS_PRIV_H
#define GRAFT_TASKS_SHARDS_PRIV_H

#include "tasks/tasks_priv.h"

size_t gf__shards_n(const gf__task *task);
/* Threads of one shard, where all of them share the job's CPUs. */
int gf__shards_n_threads(const gf__task *task);

/* Runs the shards that have not ended well, as many at once as there are CPUs; one that died is
 * started again as long as it gets further, which shards/K.notes shows by growing. add (may be
 * NULL) adds the output of a shard, or what it has said so far, to a sum, which becomes the job's
 * progress. GF_ECANCELED, GF_ETIMEOUT; GF_EUNAVAILABLE: one dies and dies. */
gf_status gf__shards_run(gf__task *task, void (*add)(gf__json *sum, const gf__json *output),
                         gf_error *err);
/* What they left: *sum of all outputs, new, may be NULL without add. A shard that FAILED fails the
 * job with its message. */
gf_status gf__shards_collect(gf__task *task, void (*add)(gf__json *sum, const gf__json *output),
                             gf__outcome *out, gf_error *err);

#endif
