/* pool/pool.h: the door of pool: versions that can be asked for predictions, and the workers that
 * answer for them, started on demand and stopped when idle.
 *
 *     gf__pools *pools = NULL;
 *     gf__served *version = NULL;
 *     gf__predictions *answer = NULL;
 *     st = gf__pools_new(&options, &pools, err);
 *     st = gf__pools_add(pools, &(gf__version_spec){.name = "projects/P/models/M/versions/V",
 *                                                   .model_path = blob}, err);
 *     version = gf__pools_find(pools, "projects/P/models/M/versions/V");
 *     st = gf__pools_predict(pools, &(gf__prediction_request){.version = version, ...}, &answer, err);
 *     gf__predictions_free(answer); gf__served_unref(version); gf__pools_free(pools);
 *
 * A pool is what versions share: one trunk in one precision, its queue and its workers. Versions
 * whose models have no trunk share a pool of their own. The autoscaler ticks by itself: it starts
 * workers when requests wait (at once for the first), up to the largest max_nodes of its versions
 * and never more than there are threads; keeps the largest min_nodes of its versions; stops one that
 * had nothing to do for idle_timeout_ms. Threads of the machine are shared out among the
 * workers that have something to do. A worker whose trunk gets a new cut is replaced: the new one is ready before
 * the old one gets its last request.
 *
 * A worker that dies takes no request with it: what it had is given to another. A picture that was
 * being worked on when two workers died of it fails by itself.
 *
 * Threads: any call from any thread. predict blocks until the answer is there. */
#ifndef GRAFT_SRC_POOL_H
#define GRAFT_SRC_POOL_H

#include "base/base.h"
#include "graft/model.h"
#include "worker/worker.h"

typedef struct gf__pools_options {
    const char *program; /* the program graft; started as `graft worker` */
    const char *home;
    gf_precision precision;    /* default AUTO: each model's own where the CPU has it */
    int n_threads;             /* of all workers together; 0: gf_threads_available() */
    int idle_timeout_ms;       /* default 60000 */
    size_t max_waiting;        /* requests that wait in one pool; default 64 */
    int deadline_ms;           /* a request's whole stay where it names none; default 60000 */
    int run_timeout_ms;        /* a worker longer busy with one picture is killed; default 30000 */
    uint64_t max_head_bytes;   /* heads loaded in one worker, the least used go; default 512 MiB */
    uint64_t max_pixels;       /* 0: default */
    uint64_t max_worker_bytes; /* address space of a worker; default 8 GiB */
    gf_observer observer;      /* log only: starts, stops, crashes, with reasons */
} gf__pools_options;
gf__pools_options gf__pools_options_default(void);

typedef struct gf__pools gf__pools;
gf_status gf__pools_new(const gf__pools_options *options, gf__pools **out, gf_error *err);
/* New requests are refused (GF_EUNAVAILABLE), those there are get their answers, at most for
 * timeout_ms; then workers stop. */
void gf__pools_drain(gf__pools *pools, int timeout_ms);
void gf__pools_free(gf__pools *pools); /* drains for no time at all; NULL is fine */

/* ---- versions -------------------------------------------------------------------------------- */

typedef struct gf__version_spec {
    const char *name;       /* "projects/P/models/M/versions/V" */
    const char *model_path; /* the model file */
    int min_nodes;          /* workers that stay when idle; 0: down to none */
    int max_nodes;          /* 0: as many as there are threads */
} gf__version_spec;

/* Loads the version on a worker (started if there is none) and replays its self-test there: what
 * must hold before it is READY. Changes nothing that is served. load_ms may be NULL: how long
 * loading took. GF_EMISMATCH self-test; GF_EFORMAT, GF_ENOTFOUND the trunk; GF_ETIMEOUT. */
gf_status gf__pools_check(gf__pools *pools, const gf__version_spec *spec, double *load_ms,
                          gf_error *err);
/* Takes it up. Reads the file's document only. GF_EEXISTS, GF_EFORMAT. */
gf_status gf__pools_add(gf__pools *pools, const gf__version_spec *spec, gf_error *err);
/* Changes min_nodes and max_nodes. GF_ENOTFOUND. */
gf_status gf__pools_scale(gf__pools *pools, const char *name, int min_nodes, int max_nodes,
                          gf_error *err);
/* No longer found; returns when its last request is answered and its heads are unloaded.
 * GF_ENOTFOUND. */
gf_status gf__pools_remove(gf__pools *pools, const char *name, gf_error *err);

/* A version being served; counted. The model is loaded as far as its document: classes, cut. */
typedef struct gf__served gf__served;
gf__served *gf__pools_find(gf__pools *pools, const char *name); /* NULL: none of that name */
void gf__served_unref(gf__served *served);                      /* NULL is fine */
const char *gf__served_name(const gf__served *served);
const gf_model *gf__served_model(const gf__served *served);

/* ---- predicting ------------------------------------------------------------------------------ */

typedef struct gf__instance { /* one input; bytes are borrowed for the call */
    gf__run_kind kind;
    const void *bytes;
    size_t n_bytes;
    size_t height, width; /* PIXELS, SCALED */
} gf__instance;

typedef struct gf__prediction_request {
    gf__served *version;
    const gf__instance *instances;
    size_t n_instances;
    int deadline_ms; /* 0: of the options */
    bool wants_debug;
} gf__prediction_request;

typedef struct gf__prediction {
    gf_status status;    /* of this instance */
    const char *message; /* "" with GF_OK */
    const float *scores; /* n_scores, NULL where it failed */
    const float *logits; /* with wants_debug */
    size_t n_scores;
    gf__run_timing timing;
    const char *tensor_sha256, *features_sha256, *logits_sha256; /* "" unless wants_debug */
} gf__prediction;

typedef struct gf__predictions {
    gf__prediction *items; /* one an instance, in order */
    size_t n_items;
    double queue_ms;      /* until the first instance was given to a worker */
    double cold_start_ms; /* of it, waiting for a worker to start; 0 if one was there */
    double load_ms;       /* of loading the head for this request; 0 if it was loaded */
    double total_ms;
} gf__predictions;

/* Runs all instances and waits for them. GF_OK as soon as each has an answer or an error of its own.
 * Errors of the whole: GF_EOVERLOAD the queue is full; GF_ETIMEOUT; GF_EUNAVAILABLE draining, or no
 * worker can be started (the message says why). */
gf_status gf__pools_predict(gf__pools *pools, const gf__prediction_request *request,
                            gf__predictions **out, gf_error *err);
void gf__predictions_free(gf__predictions *predictions); /* NULL is fine */

/* ---- looking at it --------------------------------------------------------------------------- */

/* {"pools":[{"trunk","trunkSha256","precision","cuts":[],"waiting","nodes":[{"pid","state","busy","threads",
 * "loadedHeads","headBytes","rssBytes","idleSeconds","startMillis"}],"minNodes","maxNodes",
 * "decisions":[{"time","from","to","reason"}, newest first, 50 at most]}]} */
gf_status gf__pools_describe(gf__pools *pools, gf__json **out, gf_error *err);

/* Whether every pool has the workers that min_nodes asks for, ready. */
bool gf__pools_are_ready(gf__pools *pools);

/* Counters since the start, for the metrics page. */
typedef struct gf__version_counts {
    const char *name;
    uint64_t n_requests_ok, n_requests_failed; /* requests; rejected ones are not among them */
    uint64_t n_rejected;                       /* queue full or draining */
    uint64_t n_instances;                      /* that were answered with scores */
    uint64_t n_passes; /* network passes they took: a batch of four is a quarter of one for each */
    uint64_t queue_us, decode_us, network_us, head_us, duration_us; /* sums */
    uint64_t resident_bytes;                                        /* of its head in all workers */
    double load_seconds; /* of the last load; 0: never loaded */
    size_t n_waiting;    /* requests not yet wholly handed to workers */
} gf__version_counts;
typedef struct gf__pool_counts {
    const char *trunk, *precision; /* trunk "" for the pool without one */
    size_t n_nodes, n_waiting;
    uint64_t n_starts, n_stops, n_crashes, n_retries;
    double cold_start_seconds; /* of the last start */
    uint64_t rss_bytes;        /* of all its workers */
} gf__pool_counts;
/* Calls the two for every pool and version, under a lock: do not call back. Either may be NULL. */
void gf__pools_count(gf__pools *pools, void (*pool)(void *user, const gf__pool_counts *counts),
                     void (*version)(void *user, const gf__version_counts *counts), void *user);

#endif
