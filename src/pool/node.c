/* pool/node.c: one worker process. Its sender hands tasks over, loading and unloading heads on the
 * way; its receiver takes the answers until the process is gone. All calls that may block are made
 * by these two, without the mutex. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "pool/pool_priv.h"

gf__flight *gf__node_flight(gf__node *node, uint64_t id)
{
    for (size_t i = 0; i < node->n_flights; i++)
        if (node->flights[i].id == id)
            return &node->flights[i];
    return NULL;
}

void gf__node_land(gf__node *node, gf__flight *flight)
{
    gf__loaded *head = gf__heads_find(node, flight->head);
    if (head != NULL && head->n_flights > 0)
        head->n_flights--;
    *flight = node->flights[--node->n_flights];
    node->idle_since_ms = gf__clock_ms();
    if (node->n_flights == 0)
        node->is_alone = false;
    pthread_cond_signal(&node->work);
}

/* ---- the sender ---- */

/* A call of the worker without the mutex. */
#define WITHOUT_MUTEX(node, call)                              \
    do {                                                       \
        (node)->is_sending = true;                             \
        pthread_mutex_unlock(&(node)->pool->pools->mutex);     \
        call;                                                  \
        pthread_mutex_lock(&(node)->pool->pools->mutex);       \
        (node)->is_sending = false;                            \
        pthread_cond_broadcast(&(node)->pool->pools->changed); \
    } while (0)

static bool send_share(gf__node *node)
{
    const int share = node->share;
    if (share == node->share_sent)
        return false;
    WITHOUT_MUTEX(node, (void)gf__worker_share(node->worker, share, NULL));
    node->share_sent = share;
    return true;
}

static bool send_unload(gf__node *node, size_t n_bytes)
{
    gf__loaded *head = gf__heads_to_unload(node, n_bytes);
    if (head == NULL)
        return false;
    const uint64_t id = head->version->head;
    gf__heads_drop(node, head);
    WITHOUT_MUTEX(node, (void)gf__worker_unload(node->worker, id, NULL));
    return true;
}

static gf_status send_load(gf__node *node, gf__task *task, gf_error *err)
{
    gf__served *version = task->ticket->version;
    gf_status st;
    while (send_unload(node, version->head_bytes))
        continue;
    gf__loaded *head = gf__heads_add(node, version);
    if (head == NULL)
        return gf__error_nomem(err, "the list of loaded heads", 0);
    head->n_flights = 1;
    head->used = ++node->n_uses;
    WITHOUT_MUTEX(node,
                  st = gf__worker_load(node->worker, version->head, version->model_path, err));
    if (st != GF_OK && st != GF_EUNAVAILABLE) {
        head = gf__heads_find(node, version->head);
        if (head != NULL)
            gf__heads_drop(node, head);
        const gf_error why = *err;
        st = gf__heads_failure(version, st, why.message, err);
    }
    return st;
}

static gf_status send_run(gf__node *node, gf__task *task, uint64_t id, gf_error *err)
{
    const gf__prediction_request *request = task->ticket->request;
    const gf__instance *instance = &request->instances[task->index];
    const gf__run run = {.id = id,
                         .head = task->ticket->version->head,
                         .kind = instance->kind,
                         .bytes = instance->bytes,
                         .n_bytes = instance->n_bytes,
                         .height = instance->height,
                         .width = instance->width,
                         .wants_debug = request->wants_debug};
    gf_status st;
    WITHOUT_MUTEX(node, st = gf__worker_run(node->worker, &run, err));
    return st;
}

static void note_first_sent(const gf__node *node, gf__ticket *ticket)
{
    if (ticket->is_sent)
        return;
    ticket->is_sent = true;
    ticket->sent_s = gf__clock_s();
    if (!ticket->had_node && node->ready_s > ticket->arrived_s)
        ticket->cold_start_s = node->ready_s - ticket->arrived_s;
}

static uint64_t take_off(gf__node *node, gf__task *task)
{
    const uint64_t id = ++node->pool->pools->last_id, head = task->ticket->version->head;
    if (node->n_flights == 0)
        node->progress_ms = gf__clock_ms();
    node->flights[node->n_flights++] = (gf__flight){.id = id, .task = task, .head = head};
    task->node = node;
    task->is_sending = true;
    task->ticket->n_sending++;
    note_first_sent(node, task->ticket);
    return id;
}

/* The ticket's thread may have given up meanwhile; it waits for is_sending to be over. The answer
 * may have come already. */
static void end_send(gf__node *node, gf__task *task, uint64_t id, gf_status st, const gf_error *err)
{
    gf__flight *flight = gf__node_flight(node, id);
    task->is_sending = false;
    task->ticket->n_sending--;
    pthread_cond_signal(&task->ticket->changed);
    if (st == GF_OK || st == GF_EUNAVAILABLE || flight == NULL)
        return; /* of a worker that is gone the receiver takes care */
    gf__task *waiting = flight->task;
    gf__node_land(node, flight);
    if (waiting != NULL)
        gf__task_fail(waiting, st, err->message);
}

static bool send_work(gf__node *node)
{
    gf_error err = {0};
    gf_status st = GF_OK;
    gf__task *task = gf__dispatch_pick(node);
    if (task == NULL)
        return false;
    const uint64_t id = take_off(node, task);
    if (node->n_flights == 1) { /* it is at work from now on, and others may have to move over */
        (void)gf__pools_share_threads(node->pool->pools);
        (void)send_share(node);
    }
    gf__loaded *head = gf__heads_find(node, task->ticket->version->head);
    if (head != NULL) {
        head->n_flights++;
        head->used = ++node->n_uses;
        task->waits_for_load = task->waits_for_load || head->is_loading;
    } else {
        task->waits_for_load = true;
        st = send_load(node, task, &err);
    }
    if (st == GF_OK)
        st = send_run(node, task, id, &err);
    end_send(node, task, id, st, &err);
    return true;
}

static void *send_all(void *argument)
{
    gf__node *node = argument;
    pthread_mutex_t *mutex = &node->pool->pools->mutex;
    pthread_mutex_lock(mutex);
    while (!node->is_gone && !node->is_stopped) {
        const bool is_started = node->state != GF__NODE_STARTING;
        if (is_started && (send_share(node) || send_unload(node, 0) || send_work(node)))
            continue;
        if (node->state == GF__NODE_STOPPING && node->n_flights == 0) {
            node->is_stopped = true;
            node->progress_ms = gf__clock_ms();
            WITHOUT_MUTEX(node, gf__worker_stop(node->worker));
            continue;
        }
        pthread_cond_wait(&node->work, mutex);
    }
    pthread_mutex_unlock(mutex);
    return NULL;
}

/* ---- the receiver ---- */

static void take_ready(gf__node *node, const gf__report *report)
{
    gf__trunk_pool *pool = node->pool;
    if (node->state == GF__NODE_STARTING)
        node->state = GF__NODE_READY;
    node->is_counted = true;
    node->ready_s = gf__clock_s();
    node->ready_ms = node->idle_since_ms = gf__clock_ms();
    node->start_ms = report->start_ms;
    pool->n_failed_starts = 0;
    pool->retry_at_ms = 0;
    pool->counts.cold_start_seconds = 1e-3 * (double)(node->ready_ms - node->started_ms);
    gf__pools_log(pool->pools, GF_LOG_INFO, "worker %d of %s is ready after %.0f ms",
                  (int)node->pid, gf__trunk_pool_name(pool), report->start_ms);
    gf__trunk_pool_wake_nodes(pool);
    gf__pools_wake(pool->pools);
    pthread_cond_broadcast(&pool->pools->changed);
}

static void take_result(gf__node *node, const gf__report *report)
{
    gf__flight *flight = gf__node_flight(node, report->id);
    if (flight == NULL)
        return;
    gf__task *task = flight->task;
    if (task != NULL) {
        const gf__loaded *head = gf__heads_find(node, flight->head);
        if (task->waits_for_load && head != NULL && head->load_ms > task->ticket->load_ms)
            task->ticket->load_ms = head->load_ms;
    }
    gf__node_land(node, flight);
    if (!node->has_answered)
        gf__node_prove(node);
    if (task != NULL)
        gf__task_succeed(task, report);
    if (node->n_flights == 0)
        gf__pools_wake(node->pool->pools);
}

static void take_report(gf__node *node, const gf__report *report)
{
    node->rss_bytes = report->rss_bytes;
    node->progress_ms = gf__clock_ms();
    switch (report->kind) {
    case GF__REPORT_READY:
        take_ready(node, report);
        break;
    case GF__REPORT_FAILED:
        node->failure = report->status != GF_OK ? report->status : GF_EUNAVAILABLE;
        snprintf(node->reason, sizeof node->reason, "%s", report->message);
        break;
    case GF__REPORT_LOADED:
        gf__heads_loaded(node, report);
        pthread_cond_signal(&node->work); /* it may be one too many now */
        break;
    case GF__REPORT_RESULT:
        take_result(node, report);
        break;
    }
}

static void *receive_all(void *argument)
{
    gf__node *node = argument;
    pthread_mutex_t *mutex = &node->pool->pools->mutex;
    gf__report report;
    gf__worker_end end;
    gf_error err;
    gf_status st;
    while ((st = gf__worker_receive(node->worker, &report, &err)) == GF_OK) {
        pthread_mutex_lock(mutex);
        take_report(node, &report);
        pthread_mutex_unlock(mutex);
    }
    if (st != GF_EUNAVAILABLE)
        gf__worker_kill(node->worker, SIGKILL); /* it speaks another language: it was taken over */
    gf__worker_wait(node->worker, &end);
    if (st != GF_EUNAVAILABLE) {
        end.is_from_outside = false;
        snprintf(end.text, sizeof end.text, "broke the protocol");
    }
    pthread_mutex_lock(mutex);
    gf__node_died(node, &end);
    pthread_mutex_unlock(mutex);
    return NULL;
}

/* ---- starting ---- */

static gf__node *new_node(gf__trunk_pool *pool)
{
    const size_t n_cuts = pool->n_cuts, n_threads = (size_t)pool->pools->n_threads;
    gf__node *node = gf__calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    node->has_cut = gf__calloc(n_cuts + 1, 1);
    node->max_flights = 2 * n_threads + 2;
    node->flights = gf__calloc(node->max_flights, sizeof *node->flights);
    if (node->has_cut == NULL || node->flights == NULL) {
        gf__free(node->has_cut);
        gf__free(node->flights);
        gf__free(node);
        return NULL;
    }
    for (size_t i = 0; i < n_cuts; i++)
        node->has_cut[i] = gf__cut_is_needed(&pool->cuts[i]);
    node->n_cuts = n_cuts;
    node->pool = pool;
    node->share = node->share_sent = (int)n_threads;
    node->started_ms = node->progress_ms = gf__clock_ms();
    gf__cond_init(&node->work);
    node->next = pool->nodes;
    pool->nodes = node;
    return node;
}

void gf__node_free(gf__node *node)
{
    gf__worker_free(node->worker);
    pthread_cond_destroy(&node->work);
    gf__free(node->heads);
    gf__free(node->flights);
    gf__free(node->has_cut);
    gf__free(node);
}

static int start_threads(gf__node *node)
{
    int failure = gf__thread_start(&node->receiver, receive_all, node);
    node->has_receiver = failure == 0;
    if (failure == 0) {
        failure = gf__thread_start(&node->sender, send_all, node);
        node->has_sender = failure == 0;
    }
    return failure;
}

static gf_status start_worker(const gf__trunk_pool *pool, const char *trunk_file,
                              const gf_output_spec *cuts, size_t n_cuts, gf__worker **out,
                              gf_error *err)
{
    const gf__pools_options *options = &pool->pools->options;
    const gf__worker_options worker = {.program = pool->pools->program,
                                       .home = pool->pools->home,
                                       .trunk_sha256 = trunk_file == NULL ? pool->trunk_sha256
                                                                          : NULL,
                                       .trunk_name = trunk_file == NULL ? pool->trunk_name : NULL,
                                       .trunk_file = trunk_file,
                                       .precision = pool->precision,
                                       .cuts = cuts,
                                       .n_cuts = n_cuts,
                                       .n_threads = pool->pools->n_threads,
                                       .max_pixels = options->max_pixels,
                                       .max_memory_bytes = options->max_worker_bytes};
    return gf__worker_start(&worker, out, err);
}

/* The mutex is free while the process is made. */
static gf_status start_process(gf__node *node, gf_error *err)
{
    gf__trunk_pool *pool = node->pool;
    size_t n_cuts = 0;
    gf_output_spec *cuts = gf__calloc(node->n_cuts + 1, sizeof *cuts);
    char *trunk_file = gf__trunk_pool_file(pool);
    if (cuts == NULL) {
        gf__free(trunk_file);
        return gf__error_nomem(err, "a list of cuts", 0);
    }
    for (size_t i = 0; i < node->n_cuts; i++)
        if (node->has_cut[i])
            cuts[n_cuts++] = (gf_output_spec){pool->cuts[i].layer, pool->cuts[i].pool};
    pthread_mutex_unlock(&pool->pools->mutex);
    gf__worker *worker = NULL;
    const gf_status st = start_worker(pool, trunk_file, cuts, n_cuts, &worker, err);
    pthread_mutex_lock(&pool->pools->mutex);
    node->worker = worker; /* others look at it */
    gf__free(cuts);
    gf__free(trunk_file);
    return st;
}

void gf__node_start(gf__trunk_pool *pool)
{
    gf_error err = {0};
    gf__node *node = new_node(pool);
    if (node == NULL) {
        pool->retry_at_ms = gf__clock_ms() + gf__scale_backoff_ms(++pool->n_failed_starts + 1);
        snprintf(pool->failure, sizeof pool->failure, "out of memory");
        return;
    }
    pool->counts.n_starts++;
    gf_status st = start_process(node, &err);
    if (st == GF_OK) {
        node->pid = gf__worker_pid(node->worker);
        const int failure = start_threads(node);
        if (failure == 0)
            return;
        st = gf__error_errno(&err, failure, "cannot start a thread");
        gf__worker_kill(node->worker, SIGKILL);
        if (node->has_receiver) {
            snprintf(node->reason, sizeof node->reason, "%s", err.message);
            return; /* it will see the end */
        }
    }
    node->failure = st;
    snprintf(node->reason, sizeof node->reason, "%s", err.message);
    gf__node_died(node, &(gf__worker_end){.is_crash = true, .exit_code = 1});
}
