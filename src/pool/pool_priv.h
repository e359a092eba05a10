/* pool/pool_priv.h: what the parts of the pool share.
 *
 *     pools.c      the set: making, draining, ending
 *     versions.c   served versions, and the cuts their pools need
 *     queue.c      tickets (requests that wait) and their tasks (instances)
 *     dispatch.c   which task a node gets next
 *     node.c       a worker process: its two threads and what is under way in it
 *     heads.c      the heads that a node has loaded
 *     death.c      what becomes of the tasks of a node that ended
 *     scale.c      start, stop or leave it: a function of what is seen, nothing else
 *     keeper.c     the thread that acts on scale.c, kills what hangs and buries what died
 *     describe.c   telling
 *
 * One mutex guards everything in this file. Nobody holds it across anything that can block: a
 * worker that waits for us to read its answers must never wait for somebody who waits for it. Each
 * node has one thread that sends and one that receives. */
#ifndef GRAFT_SRC_POOL_PRIV_H
#define GRAFT_SRC_POOL_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "pool/pool.h"

typedef struct gf__trunk_pool gf__trunk_pool;
typedef struct gf__node gf__node;
typedef struct gf__ticket gf__ticket;

#define GF__NO_CUT      SIZE_MAX
#define GF__N_DECISIONS 50
/* Starts that fail in a row before requests are told so. A worker that says why it cannot be made
 * ready counts for all of them. */
#define GF__MAX_FAILED_STARTS 5
#define GF__START_TIMEOUT_MS  60000 /* until READY */
#define GF__STOP_TIMEOUT_MS   5000  /* from the last answer to the end of the process */
/* A worker that lived so long, or has answered, was a good one: its end is no failed start. */
#define GF__PROVEN_MS 10000

/* ---- scale.c --------------------------------------------------------------------------------- */

typedef struct gf__scale_node {
    bool is_ready;    /* else it is being started */
    bool is_outdated; /* has not all cuts that are needed */
    bool is_busy;
    int64_t idle_ms; /* since it last had something to do */
} gf__scale_node;

typedef struct gf__scale_view {
    const gf__scale_node *nodes; /* without those that are on their way out */
    size_t n_nodes;
    size_t n_waiting;    /* requests that have not been wholly handed out */
    int64_t waiting_ms;  /* for how long there was always one, with all nodes full */
    size_t n_versions;   /* served or being checked */
    int min_nodes;       /* largest of the versions */
    int max_nodes;       /* the same; at most as many as threads */
    int idle_timeout_ms; /* of the options */
    int64_t retry_ms;    /* after a start that failed: until the next; 0: now */
} gf__scale_view;

typedef enum gf__scale_action { GF__SCALE_KEEP, GF__SCALE_START, GF__SCALE_STOP } gf__scale_action;

typedef struct gf__scale_decision {
    gf__scale_action action;
    size_t node;     /* STOP: which of the view */
    int64_t look_ms; /* KEEP: look again after so long; -1: when something happens */
    char reason[96];
} gf__scale_decision;

gf__scale_decision gf__scale_decide(const gf__scale_view *view);
/* How long to wait after the n-th start that failed in a row, n from 1. */
int64_t gf__scale_backoff_ms(size_t n_failed);

/* ---- versions -------------------------------------------------------------------------------- */

typedef struct gf__cut {
    char *layer;
    gf_pool pool;
    size_t n_versions, n_checks; /* that need it */
    /* A worker could not be made ready with it; needed by checks alone, it is left out. */
    bool is_broken;
    gf_error why;
} gf__cut;

struct gf__served {
    atomic_int n_owners;
    char *name, *model_path;
    gf_model *model;      /* document only */
    gf__trunk_pool *pool; /* NULL once it is removed and nobody waits for it */
    size_t cut;           /* of the pool; GF__NO_CUT */
    uint64_t head;
    int min_nodes, max_nodes;
    bool is_check, is_removed;
    gf__served *next_check; /* of the pool */
    size_t n_tickets;       /* not answered */
    size_t resident_bytes;  /* in all nodes */
    size_t head_bytes;      /* in one, as last loaded; 0: never loaded */
    double load_ms;
    gf__version_counts counts;
    double passes;
};

/* ---- requests -------------------------------------------------------------------------------- */

typedef struct gf__task {
    gf__ticket *ticket;
    size_t index; /* of the instance */
    struct gf__task *next_retry;
    gf__node *node;  /* it is under way there */
    bool is_sending; /* its bytes are being read by that node's thread */
    bool is_done, waits_for_load;
    uint8_t n_crashes, n_kills, n_timeouts; /* of workers that were busy with it */
    gf__prediction result;
    void *memory; /* of the result */
} gf__task;

struct gf__ticket {
    gf__served *version;
    const gf__prediction_request *request;
    gf__task *tasks;
    size_t n_tasks, n_taken, n_done, n_sending;
    gf__task *retry;              /* taken and given back */
    gf__ticket *previous, *next;  /* in the pool's line, while it has something to hand out */
    bool is_listed, is_self_test; /* a self-test is let in when the line is full */
    bool had_node;                /* a worker was there when it came */
    bool is_sent;
    pthread_cond_t changed;
    gf_status status; /* of the whole, if it failed */
    char message[GF_ERROR_MAX];
    double arrived_s, sent_s, cold_start_s, load_ms;
};

/* ---- nodes ----------------------------------------------------------------------------------- */

typedef enum gf__node_state {
    GF__NODE_STARTING,
    GF__NODE_READY,
    GF__NODE_STOPPING, /* takes nothing more */
    GF__NODE_DEAD      /* its threads are to be joined */
} gf__node_state;

typedef struct gf__flight {
    uint64_t id;
    gf__task *task; /* NULL: nobody waits for it any more */
    uint64_t head;
    int64_t busy_since_ms; /* as first seen by the keeper; 0: not seen */
} gf__flight;

typedef struct gf__loaded {
    gf__served *version;
    size_t n_bytes;
    double load_ms;
    bool is_loading;
    size_t n_flights;
    uint64_t used; /* counts up: the smallest was used longest ago */
} gf__loaded;

struct gf__node {
    gf__trunk_pool *pool;
    gf__worker *worker;
    pid_t pid;
    gf__node_state state;
    pthread_t sender, receiver;
    bool has_sender, has_receiver;
    pthread_cond_t work; /* of the sender */
    bool is_gone;        /* the process has ended */
    bool is_sending;     /* the sender is in a call of the worker */
    bool is_stopped;     /* it was told to end */
    bool is_counted;     /* was READY once */
    bool has_answered;
    char *has_cut; /* n_cuts of the pool when it was started */
    size_t n_cuts;
    int share, share_sent;
    gf__flight *flights;
    size_t n_flights, max_flights;
    bool is_reserved, is_alone; /* for a task that runs alone; has one */
    gf__loaded *heads;
    size_t n_heads, max_heads, head_bytes;
    uint64_t n_uses;
    uint64_t timed_out; /* the run that it was killed for; 0: none */
    gf_status failure;  /* why it could not be made ready */
    char reason[GF_ERROR_MAX];
    char stop_reason[96];
    int64_t started_ms, ready_ms, idle_since_ms, progress_ms, last_answer_ms;
    double ready_s, start_ms;
    uint64_t rss_bytes;
    gf__node *next;
};

typedef struct gf__decision {
    int64_t unix_s;
    size_t from, to;
    char reason[128];
} gf__decision;

struct gf__trunk_pool {
    gf__pools *pools;
    char *trunk_name, *trunk_sha256; /* NULL: without one */
    gf_precision precision;
    gf__cut *cuts; /* grows only: nodes know them by index */
    size_t n_cuts;
    size_t n_versions;        /* served or being checked */
    gf__served *checks;       /* the latter */
    gf__ticket *first, *last; /* the line */
    size_t n_listed;
    int64_t backlog_since_ms; /* 0: none */
    gf__node *nodes;
    size_t n_failed_starts; /* in a row */
    size_t n_early_ends;    /* in a row: of workers that were ready, and answered nothing */
    int64_t retry_at_ms;
    char failure[GF_ERROR_MAX];              /* the last one's */
    gf__decision decisions[GF__N_DECISIONS]; /* a ring */
    size_t n_decisions;
    gf__pool_counts counts;
    gf__trunk_pool *next;
};

typedef struct gf__log_line {
    struct gf__log_line *next;
    gf_log_level level;
    char text[];
} gf__log_line;

struct gf__pools {
    gf__pools_options options;
    char *program, *home;
    int n_threads;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* what callers other than predict wait for */
    pthread_cond_t news;    /* for the keeper */
    bool has_news, is_draining, is_ending;
    pthread_t keeper;
    bool has_keeper;
    gf__trunk_pool *first_pool;
    gf__served **versions; /* by name */
    size_t n_versions, max_versions;
    size_t n_tickets;
    uint64_t last_id, last_head;
    gf__log_line *first_line, *last_line;
};

/* pools.c */
void gf__pools_wake(gf__pools *pools); /* the keeper */
void gf__pools_log(gf__pools *pools, gf_log_level level, const char *fmt, ...) GF_PRINTF(3, 4);
/* Shares the machine's threads out among the nodes that are at work; one that is not has what it
 * would get with its next request. Returns after how many milliseconds to do it again. */
int64_t gf__pools_share_threads(gf__pools *pools);
void gf__cond_init(pthread_cond_t *cond); /* waits by the monotonic clock */
/* false once deadline_ms (of gf__clock_ms) has passed. */
bool gf__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ms);

/* versions.c */
bool gf__cut_is_needed(const gf__cut *cut);
bool gf__node_has_cut(const gf__node *node, size_t cut);
bool gf__node_is_outdated(const gf__node *node);
void gf__trunk_pool_free(gf__trunk_pool *pool);
int gf__trunk_pool_min_nodes(const gf__trunk_pool *pool);
int gf__trunk_pool_max_nodes(const gf__trunk_pool *pool);
/* new; the file of a version whose trunk is inside, NULL where the home has it. */
char *gf__trunk_pool_file(const gf__trunk_pool *pool);

/* queue.c */
bool gf__ticket_has_waiting(const gf__ticket *ticket);
gf__task *gf__ticket_front(gf__ticket *ticket);
gf__task *gf__ticket_take(gf__ticket *ticket); /* and to the end of the line */
void gf__ticket_give_back(gf__task *task);     /* to the front of the line */
void gf__task_finish(gf__task *task);
void gf__task_fail(gf__task *task, gf_status status, const char *message);
void gf__ticket_fail(gf__ticket *ticket, gf_status status, const char *message);
void gf__task_succeed(gf__task *task, const gf__report *report);
/* Runs the self-test of a version that is being checked. */
gf_status gf__self_test(gf__pools *pools, gf__served *version, gf_error *err);

/* dispatch.c */
gf__task *gf__dispatch_pick(gf__node *node);
size_t gf__node_room(const gf__node *node);
bool gf__task_is_suspect(const gf__task *task); /* it runs alone */
void gf__trunk_pool_wake_nodes(gf__trunk_pool *pool);

/* node.c: starting leaves the mutex meanwhile. */
void gf__node_start(gf__trunk_pool *pool);
void gf__node_free(gf__node *node); /* dead and joined */
gf__flight *gf__node_flight(gf__node *node, uint64_t id);
void gf__node_land(gf__node *node, gf__flight *flight); /* forgets it */

/* heads.c */
gf__loaded *gf__heads_find(gf__node *node, uint64_t head);
gf__loaded *gf__heads_add(gf__node *node, gf__served *version); /* NULL: out of memory */
void gf__heads_loaded(gf__node *node, const gf__report *report);
void gf__heads_drop(gf__node *node, gf__loaded *head);
/* Why the model cannot be loaded, as whoever asked for it is told: one that was checked once and is
 * broken now is the server's fault, and nothing is wrong with the request (GF_EIO). */
gf_status gf__heads_failure(const gf__served *version, gf_status st, const char *reason,
                            gf_error *err);
/* A head to unload now: of a removed version, or the one used longest ago while there is not room
 * for n_bytes more. NULL: none. */
gf__loaded *gf__heads_to_unload(gf__node *node, size_t n_bytes);

/* death.c */
void gf__node_died(gf__node *node, const gf__worker_end *end);
/* It has done what workers are for: those before it that did not do not count any more. Once a
 * node: another that always dies would be started over and over beside one that answers. */
void gf__node_prove(gf__node *node);

/* keeper.c */
void *gf__keeper_run(void *pools);
void gf__trunk_pool_note(gf__trunk_pool *pool, size_t from, size_t to, const char *reason);
const char *gf__trunk_pool_name(const gf__trunk_pool *pool); /* for people */
size_t gf__trunk_pool_n_nodes(const gf__trunk_pool *pool);   /* starting and ready */

#endif
