/* features/extractor_priv.h: the extractor's inside, for extractor.c (one picture) and
 * extract_dataset.c (many). */
#ifndef GRAFT_FEATURES_EXTRACTOR_PRIV_H
#define GRAFT_FEATURES_EXTRACTOR_PRIV_H

#include <pthread.h>

#include "features/features_priv.h"

typedef struct gf__extractor_output {
    char *layer; /* its name, also where the caller gave an index */
    gf_pool pool;
    size_t shape[3], n_dims;
    size_t size; /* values a picture */
} gf__extractor_output;

/* What one thread works with; made when the thread meets its first picture that is not cached. */
typedef struct gf__extractor_worker {
    gf_exec *exec;
    gf__image_scratch *scratch;
    uint8_t *pixels;
} gf__extractor_worker;

struct gf_extractor {
    gf_trunk *trunk;
    gf_recipe recipe;
    gf_precision precision; /* never AUTO */
    int n_threads;
    uint64_t max_pixels; /* never 0 */
    bool for_latency;
    char *cache_dir, *pack_dir; /* or NULL */
    gf__extractor_output *outputs;
    size_t n_outputs;
    bool is_cacheable; /* its outputs do not depend on which others are taken in the same pass */

    gf__pool *pool;                /* made with the first data set */
    gf__extractor_worker *workers; /* n_threads; the caller's is number 0 */
    pthread_mutex_t plan_mutex;    /* only while the plan is being made */
    gf_plan *plan;
};

/* The sample's pixels into the worker's; an error here is the picture's. */
gf_status gf__extractor_preprocess(gf_extractor *extractor, gf__extractor_worker *worker,
                                   const gf_sample *sample, const gf_view *view, gf_error *err);
/* The network over the worker's pixels; features[i] receives output i. An error here is ours. */
gf_status gf__extractor_run(gf_extractor *extractor, gf__extractor_worker *worker,
                            float *const *features, gf_error *err);
/* Makes what the worker lacks, the plan included. */
gf_status gf__extractor_ready(gf_extractor *extractor, gf__extractor_worker *worker, gf_error *err);

#endif
