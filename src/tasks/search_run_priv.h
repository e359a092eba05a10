/* tasks/search_run_priv.h: a search that runs: what search_begin.c finds and search.c goes on with. */
#ifndef GRAFT_TASKS_SEARCH_RUN_PRIV_H
#define GRAFT_TASKS_SEARCH_RUN_PRIV_H

#include "tasks/search_priv.h"

typedef struct gf__searching {
    gf__task *task;
    gf__space space;
    gf__search search;
    const char *tag;
    size_t max_trials, max_parallel, max_failed;
    bool stops_early;
    bool is_exhausted;          /* a grid has no more settings */
    gf__trials trials, earlier; /* of this job; of resumePreviousJobId */
    size_t n_running;
    bool is_graft;   /* trials are graft.train: they share the cache of features */
    size_t *telling; /* parameters that say which features a trial needs */
    size_t n_telling;
    int64_t progress_ms; /* when it was noted last */
    bool is_news;        /* something is not noted yet */
    char *failure;       /* of the latest trial that failed */
} gf__searching;

/* s->task is set, the rest zero. GF_EINVAL names the field; trials and space are there to be freed
 * also after a failure. */
gf_status gf__search_begin(gf__searching *s, gf_error *err);

#endif
