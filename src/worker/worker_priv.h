/* worker/worker_priv.h: the inside of the process.
 *
 *     process.c   reads requests, starts and ends everything
 *     queue.c     who takes which picture, and with how many threads
 *     runs.c      one picture, from its bytes to the reports
 *     heads.c     model files, loaded by a thread of their own
 *     plans.c     the trunk's plans
 *     sandbox.c   what the process can no longer do */
#ifndef GRAFT_WORKER_PRIV_H
#define GRAFT_WORKER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "features/features.h"
#include "model/model.h"
#include "worker/protocol.h"

#define GF__NO_CUT SIZE_MAX

typedef struct gf__process gf__process;

/* ---- plans.c ---- */

/* A trunk with the plans that heads on its cuts need. One pass of a plan gives all cuts up to its
 * depth; a picture for a shallow cut runs a plan that ends there. */
typedef struct gf__plans gf__plans;
/* Reads the trunk; compiles the deepest plan for all threads. Later plans need no file. */
gf_status gf__plans_new(const gf__worker_options *options, gf__plans **out, gf_error *err);
void gf__plans_free(gf__plans *plans);
const gf_trunk *gf__plans_trunk(const gf__plans *plans);
gf_precision gf__plans_precision(const gf__plans *plans);
/* Whether a model names the trunk by this. */
bool gf__plans_is_trunk(const gf__plans *plans, const char *sha256);
/* The cut that a model was made for; GF__NO_CUT. */
size_t gf__plans_find_cut(const gf__plans *plans, const char *layer, gf_pool pool);
size_t gf__plans_cut_size(const gf__plans *plans, size_t cut);
/* Compiles what pictures for the cut need, so that the first does not wait. Any thread. */
gf_status gf__plans_prepare(gf__plans *plans, size_t cut, gf_error *err);
/* Runs pixels through the plans for the marked cuts (is_wanted: one for each cut); features[cut] is
 * valid until the thread's next run. is_alone: all threads share it (thread 0 only). */
gf_status gf__plans_run(gf__plans *plans, int thread, bool is_alone, const bool *is_wanted,
                        const uint8_t *pixels, const float **features, gf_error *err);
size_t gf__plans_n_cuts(const gf__plans *plans);

/* ---- heads.c ---- */

typedef struct gf__job gf__job;

typedef enum gf__head_state { GF__HEAD_LOADING, GF__HEAD_LOADED, GF__HEAD_BROKEN } gf__head_state;

typedef struct gf__head {
    uint64_t id;
    atomic_int n_owners; /* the table and every run */
    gf_model *model;
    gf__mapping file; /* the model's weights lie in it */
    size_t cut;
    /* Under the table's mutex, until it is loaded. */
    gf__head_state state;
    gf_error err; /* why it is broken; before that, why its file could not be mapped */
    gf__job *first_waiting, *last_waiting;
    struct gf__head *next; /* in the loader's list */
} gf__head;

typedef struct gf__heads gf__heads;
gf_status gf__heads_new(gf__process *process, gf__heads **out, gf_error *err);
/* Loads what is still to be loaded, and ends the loader. */
void gf__heads_finish(gf__heads *heads);
void gf__heads_load(gf__heads *heads, uint64_t id, int fd); /* takes fd over; reports */
void gf__heads_unload(gf__heads *heads, uint64_t id);
/* Gives the job its head and puts it into the queue, now or when the head is loaded; a job whose
 * head is none is answered. */
void gf__heads_submit(gf__heads *heads, gf__job *job);
void gf__head_unref(gf__heads *heads, gf__head *head);

/* ---- queue.c ---- */

/* A run that waits. Jobs of the same picture hang on the first one and are answered by one pass. */
struct gf__job {
    gf__run run; /* its bytes lie in the frame */
    gf__frame frame;
    gf__head *head;
    double received_s;
    gf__job *next; /* in the queue, or waiting for a head */
    gf__job *peer; /* of the same picture */
    size_t n_peers;
};
void gf__job_free(gf__job *job);

typedef struct gf__queue gf__queue;
gf_status gf__queue_new(int n_threads, gf__queue **out, gf_error *err);
void gf__queue_free(gf__queue *queue);
void gf__queue_share(gf__queue *queue, int n_threads);
void gf__queue_push(gf__queue *queue, gf__job *job);
/* What thread is to do next; NULL: the queue was closed and is empty. is_alone: with all threads.
 * n_others: jobs that other threads are busy with. */
gf__job *gf__queue_take(gf__queue *queue, int thread, bool *is_alone, uint32_t *n_others);
/* Once for each job taken, when nothing but sending its last answer is left to do. */
void gf__queue_done(gf__queue *queue, bool is_alone, size_t n_jobs);
void gf__queue_close(gf__queue *queue);

/* ---- runs.c ---- */

typedef struct gf__runner gf__runner; /* what one thread works with */
gf_status gf__runner_new(gf__process *process, int thread, gf__runner **out, gf_error *err);
void gf__runner_free(gf__runner *runner);
/* Takes and answers until the queue is closed. */
void gf__runner_work(gf__runner *runner);

/* ---- sandbox.c ---- */

typedef struct gf__sandbox_options {
    uint64_t max_memory_bytes; /* 0: no limit */
    const int *fds;            /* kept open, ascending; everything else is closed */
    size_t n_fds;
} gf__sandbox_options;
/* From now on, for good and for all threads: no files, no network, no processes, no capabilities.
 * Called while there is one thread. *has_landlock may be NULL. GF_EUNSUPPORTED where the kernel has
 * no seccomp. */
gf_status gf__sandbox_enter(const gf__sandbox_options *options, bool *has_landlock, gf_error *err);

/* ---- process.c ---- */

struct gf__process {
    int socket;
    pthread_mutex_t send_mutex;
    gf__frame setup_frame;
    gf__setup setup;
    gf__busy *busy;
    gf__plans *plans; /* NULL: no trunk */
    gf__heads *heads;
    gf__queue *queue;
};
/* Ends the process where the other side is gone. Any thread. */
void gf__process_report(gf__process *process, const gf__report *report);

#endif
