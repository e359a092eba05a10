/* pool/queue.c: requests that wait. A ticket stands in its pool's line while it has instances to
 * hand out; a node takes one of them and the ticket goes to the end of the line. The thread that
 * called predict sleeps until all are answered, or its time is over: then it takes back what it
 * lent and goes. */
#include <stdio.h>
#include <string.h>

#include "pool/pool_priv.h"

/* ---- the line ---- */

bool gf__ticket_has_waiting(const gf__ticket *ticket)
{
    return ticket->retry != NULL || ticket->n_taken < ticket->n_tasks;
}

gf__task *gf__ticket_front(gf__ticket *ticket)
{
    return ticket->retry != NULL ? ticket->retry : &ticket->tasks[ticket->n_taken];
}

static void unlist(gf__ticket *ticket)
{
    gf__trunk_pool *pool = ticket->version->pool;
    if (!ticket->is_listed)
        return;
    *(ticket->previous != NULL ? &ticket->previous->next : &pool->first) = ticket->next;
    *(ticket->next != NULL ? &ticket->next->previous : &pool->last) = ticket->previous;
    ticket->previous = ticket->next = NULL;
    ticket->is_listed = false;
    if (--pool->n_listed == 0)
        pool->backlog_since_ms = 0;
}

static void list_last(gf__ticket *ticket)
{
    gf__trunk_pool *pool = ticket->version->pool;
    ticket->previous = pool->last;
    *(pool->last != NULL ? &pool->last->next : &pool->first) = ticket;
    pool->last = ticket;
    ticket->is_listed = true;
    pool->n_listed++;
}

static void list_first(gf__ticket *ticket)
{
    gf__trunk_pool *pool = ticket->version->pool;
    ticket->next = pool->first;
    *(pool->first != NULL ? &pool->first->previous : &pool->last) = ticket;
    pool->first = ticket;
    ticket->is_listed = true;
    pool->n_listed++;
}

gf__task *gf__ticket_take(gf__ticket *ticket)
{
    gf__trunk_pool *pool = ticket->version->pool;
    gf__task *task = gf__ticket_front(ticket);
    if (ticket->retry != NULL)
        ticket->retry = task->next_retry;
    else
        ticket->n_taken++;
    task->next_retry = NULL;
    const int64_t since_ms = pool->backlog_since_ms;
    unlist(ticket);
    if (gf__ticket_has_waiting(ticket)) {
        list_last(ticket);
        pool->backlog_since_ms = since_ms;
    }
    return task;
}

void gf__ticket_give_back(gf__task *task)
{
    gf__ticket *ticket = task->ticket;
    task->node = NULL;
    task->waits_for_load = false;
    task->next_retry = ticket->retry;
    ticket->retry = task;
    unlist(ticket);
    list_first(ticket);
}

/* ---- answers ---- */

void gf__task_finish(gf__task *task)
{
    gf__ticket *ticket = task->ticket;
    task->node = NULL;
    task->is_done = true;
    ticket->n_done++;
    if (ticket->n_done == ticket->n_tasks)
        pthread_cond_signal(&ticket->changed);
}

void gf__task_fail(gf__task *task, gf_status status, const char *message)
{
    task->memory = gf__strdup(message);
    task->result = (gf__prediction){.status = status,
                                    .message = task->memory != NULL ? task->memory
                                                                    : gf_status_name(status),
                                    .tensor_sha256 = "",
                                    .features_sha256 = "",
                                    .logits_sha256 = ""};
    gf__task_finish(task);
}

/* One block: scores, logits, three hashes. */
void gf__task_succeed(gf__task *task, const gf__report *report)
{
    const size_t n_bytes = report->n_scores * sizeof(float);
    if (report->status != GF_OK) {
        gf__task_fail(task, report->status, report->message);
        task->result.timing = report->timing;
        return;
    }
    const size_t hashes_at = report->logits != NULL ? 2 * n_bytes : n_bytes;
    char *memory = gf__malloc(hashes_at + 3 * (size_t)GF__SHA256_HEX);
    if (memory == NULL) {
        gf__task_fail(task, GF_ENOMEM, "out of memory for the scores");
        return;
    }
    char *hashes = memory + hashes_at;
    task->memory = memory;
    task->result = (gf__prediction){.status = GF_OK,
                                    .message = "",
                                    .scores = (float *)(void *)memory,
                                    .n_scores = report->n_scores,
                                    .timing = report->timing,
                                    .tensor_sha256 = hashes,
                                    .features_sha256 = hashes + GF__SHA256_HEX,
                                    .logits_sha256 = hashes + 2 * GF__SHA256_HEX};
    if (n_bytes > 0)
        memcpy(memory, report->scores, n_bytes);
    if (report->logits != NULL) {
        memcpy(memory + n_bytes, report->logits, n_bytes);
        task->result.logits = (float *)(void *)(memory + n_bytes);
    }
    snprintf(hashes, GF__SHA256_HEX, "%s", report->tensor_sha256);
    snprintf(hashes + GF__SHA256_HEX, GF__SHA256_HEX, "%s", report->features_sha256);
    snprintf(hashes + 2 * GF__SHA256_HEX, GF__SHA256_HEX, "%s", report->logits_sha256);
    gf__task_finish(task);
}

/* Takes all of it back: what waits, and what is under way. */
void gf__ticket_fail(gf__ticket *ticket, gf_status status, const char *message)
{
    if (ticket->status != GF_OK)
        return;
    ticket->status = status;
    snprintf(ticket->message, sizeof ticket->message, "%s", message);
    ticket->retry = NULL;
    ticket->n_taken = ticket->n_tasks;
    unlist(ticket);
    for (size_t i = 0; i < ticket->n_tasks; i++) {
        gf__node *node = ticket->tasks[i].node;
        for (size_t k = 0; node != NULL && k < node->n_flights; k++)
            if (node->flights[k].task == &ticket->tasks[i])
                node->flights[k].task = NULL; /* its answer is dropped when it comes */
        ticket->tasks[i].node = NULL;
    }
    pthread_cond_signal(&ticket->changed);
}

/* ---- one request ---- */

static void free_ticket(gf__ticket *ticket)
{
    for (size_t i = 0; i < ticket->n_tasks; i++)
        gf__free(ticket->tasks[i].memory);
    gf__free(ticket->tasks);
    pthread_cond_destroy(&ticket->changed);
}

static gf_status init_ticket(gf__ticket *ticket, const gf__prediction_request *request,
                             gf_error *err)
{
    *ticket = (gf__ticket){.version = request->version,
                           .request = request,
                           .n_tasks = request->n_instances,
                           .arrived_s = gf__clock_s()};
    gf__cond_init(&ticket->changed);
    ticket->tasks = gf__calloc(ticket->n_tasks + 1, sizeof *ticket->tasks);
    if (ticket->tasks == NULL) {
        ticket->n_tasks = 0;
        return gf__error_nomem(err, "a request", request->n_instances * sizeof *ticket->tasks);
    }
    for (size_t i = 0; i < ticket->n_tasks; i++) {
        ticket->tasks[i].ticket = ticket;
        ticket->tasks[i].index = i;
    }
    return GF_OK;
}

/* Whether a node can take it: now, or at all. */
static void look_at_nodes(gf__ticket *ticket, size_t *n_room, bool *has_any)
{
    const gf__trunk_pool *pool = ticket->version->pool;
    *n_room = 0;
    *has_any = false;
    for (const gf__node *node = pool->nodes; node != NULL; node = node->next) {
        if (!gf__node_has_cut(node, ticket->version->cut) || node->is_gone)
            continue;
        *n_room += gf__node_room(node);
        *has_any = *has_any || node->state <= GF__NODE_READY;
        ticket->had_node = ticket->had_node || node->state == GF__NODE_READY;
    }
}

static gf_status admit(gf__pools *pools, gf__ticket *ticket, gf_error *err)
{
    gf__trunk_pool *pool = ticket->version->pool;
    size_t n_room = 0;
    bool has_any = false;
    if (ticket->version->is_removed) /* and its pool may have ended */
        return gf_error_set(err, GF_ENOTFOUND, "%s was deleted", ticket->version->name);
    look_at_nodes(ticket, &n_room, &has_any);
    if (ticket->version->is_check && ticket->version->cut != GF__NO_CUT &&
        pool->cuts[ticket->version->cut].is_broken) {
        const gf_error *why = &pool->cuts[ticket->version->cut].why;
        return gf_error_set(err, why->code, "%s", why->message);
    }
    if (pools->is_draining)
        return gf_error_set(err, GF_EUNAVAILABLE, "the server is stopping");
    if (!ticket->is_self_test && pool->n_listed >= pools->options.max_waiting + n_room)
        return gf_error_set(err, GF_EOVERLOAD, "%zu requests are waiting for trunk %s, at most %zu",
                            pool->n_listed, gf__trunk_pool_name(pool), pools->options.max_waiting);
    if (!has_any && !ticket->is_self_test && pool->n_failed_starts >= GF__MAX_FAILED_STARTS &&
        gf__clock_ms() < pool->retry_at_ms)
        return gf_error_set(err, GF_EUNAVAILABLE, "no worker can be started: %s", pool->failure);
    list_last(ticket);
    if (n_room == 0 && pool->backlog_since_ms == 0)
        pool->backlog_since_ms = gf__clock_ms();
    gf__trunk_pool_wake_nodes(pool);
    if (n_room < ticket->n_tasks)
        gf__pools_wake(pools);
    return GF_OK;
}

/* Under the mutex: joins the line, and returns when no node knows it any more. */
static gf_status run_ticket(gf__pools *pools, gf__ticket *ticket, int deadline_ms, gf_error *err)
{
    const int64_t end_ms = gf__clock_ms() + deadline_ms;
    gf_status st = admit(pools, ticket, err);
    if (st != GF_OK)
        return st;
    ticket->version->n_tickets++;
    pools->n_tickets++;
    while (ticket->n_done < ticket->n_tasks && ticket->status == GF_OK) {
        char text[128];
        if (gf__cond_wait_until(&ticket->changed, &pools->mutex, end_ms) ||
            ticket->n_done == ticket->n_tasks)
            continue;
        snprintf(text, sizeof text, "not done within %d ms: %zu of %zu instances were answered",
                 deadline_ms, ticket->n_done, ticket->n_tasks);
        gf__ticket_fail(ticket, GF_ETIMEOUT, text);
    }
    while (ticket->n_sending > 0)
        pthread_cond_wait(&ticket->changed, &pools->mutex);
    ticket->version->n_tickets--;
    if (--pools->n_tickets == 0 || ticket->version->n_tickets == 0)
        pthread_cond_broadcast(&pools->changed);
    return ticket->status != GF_OK ? gf_error_set(err, ticket->status, "%s", ticket->message)
                                   : GF_OK;
}

/* ---- what is handed out ---- */

typedef struct answer {
    gf__predictions predictions; /* first: what the caller holds is the whole */
    void **memory;
} answer;

static gf_status new_answer(size_t n, answer **out, gf_error *err)
{
    answer *a = gf__calloc(1, sizeof *a);
    *out = a;
    if (a == NULL)
        return gf__error_nomem(err, "predictions", sizeof *a);
    a->predictions.items = gf__calloc(n + 1, sizeof *a->predictions.items);
    a->memory = gf__calloc(n + 1, sizeof *a->memory);
    if (a->predictions.items == NULL || a->memory == NULL)
        return gf__error_nomem(err, "predictions", n * sizeof *a->predictions.items);
    return GF_OK;
}

static void fill_answer(answer *a, gf__ticket *ticket)
{
    gf__predictions *p = &a->predictions;
    p->n_items = ticket->n_tasks;
    for (size_t i = 0; i < ticket->n_tasks; i++) {
        p->items[i] = ticket->tasks[i].result;
        a->memory[i] = ticket->tasks[i].memory;
        ticket->tasks[i].memory = NULL;
    }
    p->total_ms = 1e3 * (gf__clock_s() - ticket->arrived_s);
    p->queue_ms = ticket->is_sent ? 1e3 * (ticket->sent_s - ticket->arrived_s) : 0;
    p->cold_start_ms = 1e3 * ticket->cold_start_s;
    p->load_ms = ticket->load_ms;
}

void gf__predictions_free(gf__predictions *predictions)
{
    answer *a = (answer *)predictions;
    if (a == NULL)
        return;
    for (size_t i = 0; i < predictions->n_items; i++)
        gf__free(a->memory[i]);
    gf__free(predictions->items);
    gf__free(a->memory);
    gf__free(a);
}

static void count(gf__ticket *ticket, gf_status st)
{
    gf__version_counts *counts = &ticket->version->counts;
    bool is_ok = st == GF_OK;
    for (size_t i = 0; i < ticket->n_tasks; i++) {
        const gf__prediction *result = &ticket->tasks[i].result;
        if (!ticket->tasks[i].is_done)
            continue;
        is_ok = is_ok && result->status == GF_OK;
        counts->n_instances += result->status == GF_OK ? 1 : 0;
        if (result->timing.n_batch > 0)
            ticket->version->passes += 1.0 / result->timing.n_batch;
        counts->decode_us += (uint64_t)(1e3 * result->timing.decode_ms);
        counts->network_us += (uint64_t)(1e3 * result->timing.network_ms);
        counts->head_us += (uint64_t)(1e3 * result->timing.head_ms);
    }
    *(is_ok ? &counts->n_requests_ok : &counts->n_requests_failed) += 1;
    counts->duration_us += (uint64_t)(1e6 * (gf__clock_s() - ticket->arrived_s));
    if (ticket->is_sent)
        counts->queue_us += (uint64_t)(1e6 * (ticket->sent_s - ticket->arrived_s));
}

static gf_status run(gf__pools *pools, gf__ticket *ticket, int deadline_ms, gf_error *err)
{
    pthread_mutex_lock(&pools->mutex);
    const bool is_new = !pools->is_draining;
    const gf_status st = run_ticket(pools, ticket, deadline_ms, err);
    if (st == GF_EOVERLOAD || !is_new)
        ticket->version->counts.n_rejected++;
    else
        count(ticket, st);
    pthread_mutex_unlock(&pools->mutex);
    return st;
}

gf_status gf__pools_predict(gf__pools *pools, const gf__prediction_request *request,
                            gf__predictions **out, gf_error *err)
{
    gf__ticket ticket;
    answer *a = NULL;
    const int deadline_ms = request->deadline_ms > 0 ? request->deadline_ms
                                                     : pools->options.deadline_ms;
    *out = NULL;
    gf_status st = init_ticket(&ticket, request, err);
    if (st == GF_OK)
        st = new_answer(ticket.n_tasks, &a, err);
    if (st == GF_OK && ticket.n_tasks > 0)
        st = run(pools, &ticket, deadline_ms, err);
    if (st == GF_OK) {
        fill_answer(a, &ticket);
        *out = &a->predictions;
        a = NULL;
    }
    gf__predictions_free(a != NULL ? &a->predictions : NULL);
    free_ticket(&ticket);
    return st;
}

gf_status gf__self_test(gf__pools *pools, gf__served *version, gf_error *err)
{
    const gf__instance instance = {.kind = GF__RUN_SELF_TEST};
    const gf__prediction_request request = {
        .version = version, .instances = &instance, .n_instances = 1};
    gf__ticket ticket;
    gf_status st = init_ticket(&ticket, &request, err);
    if (st == GF_OK) {
        ticket.is_self_test = true;
        pthread_mutex_lock(&pools->mutex);
        st = run_ticket(pools, &ticket, pools->options.deadline_ms, err);
        pthread_mutex_unlock(&pools->mutex);
    }
    if (st == GF_OK && ticket.tasks[0].result.status != GF_OK)
        st = gf_error_set(err, ticket.tasks[0].result.status, "%s", ticket.tasks[0].result.message);
    free_ticket(&ticket);
    return st;
}
