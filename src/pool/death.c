/* pool/death.c: what becomes of the tasks of a node that ended. All of them go back to the front
 * of the line. Those that threads of the worker were busy with are suspects: they run alone next
 * time, and one that a second worker dies of fails by itself. Killed from outside (or by the
 * kernel, for memory) counts for less, as that is mostly not a picture's doing. */
#include <signal.h>
#include <stdio.h>

#include "pool/pool_priv.h"

#define MAX_CRASHES  2
#define MAX_TIMEOUTS 2
#define MAX_KILLS    10
#define MAX_BUSY     256

static bool contains(const uint64_t *ids, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Where no thread was busy, one that waits for a head being loaded: the load may have done it. */
static bool is_loading_first(gf__node *node, const gf__flight *flight)
{
    const gf__loaded *head = gf__heads_find(node, flight->head);
    return head != NULL && head->is_loading;
}

static void accuse(const gf__node *node, gf__task *task, const gf__worker_end *end)
{
    if (node->timed_out != 0)
        task->n_timeouts++;
    else if (end->is_from_outside)
        task->n_kills++;
    else
        task->n_crashes++;
}

/* true where the task has failed of what it did. */
static bool is_condemned(const gf__node *node, gf__task *task, const gf__worker_end *end)
{
    char text[160];
    if (task->n_timeouts >= MAX_TIMEOUTS) {
        snprintf(text, sizeof text, "not done within %d ms by two workers",
                 node->pool->pools->options.run_timeout_ms);
        gf__task_fail(task, GF_ETIMEOUT, text);
        return true;
    }
    if (task->n_crashes < MAX_CRASHES && task->n_kills < MAX_KILLS)
        return false;
    snprintf(text, sizeof text, "%s workers died of this picture (%s)",
             task->n_crashes >= MAX_CRASHES ? "two" : "ten", end->text);
    gf__task_fail(task, GF_EFORMAT, text);
    return true;
}

/* true where a task is to blame for the end, and no other that may be started is in danger. */
static bool take_back(gf__node *node, const gf__worker_end *end)
{
    uint64_t busy[MAX_BUSY];
    size_t n_busy = 0;
    if (node->timed_out != 0)
        busy[n_busy++] = node->timed_out; /* the others that were busy did nothing */
    else if (node->worker != NULL && node->n_flights > 0)
        n_busy = gf__worker_busy_with(node->worker, busy, MAX_BUSY);
    n_busy = n_busy < MAX_BUSY ? n_busy : MAX_BUSY;
    bool is_any_known = false, is_any_to_blame = false;
    for (size_t i = 0; i < node->n_flights; i++)
        is_any_known = is_any_known || contains(busy, n_busy, node->flights[i].id);
    /* From the last to the first, so that they are in line as they were. */
    while (node->n_flights > 0) {
        gf__flight flight = node->flights[--node->n_flights];
        gf__task *task = flight.task;
        if (task == NULL)
            continue;
        const bool is_suspect = is_any_known ? contains(busy, n_busy, flight.id)
                                             : is_loading_first(node, &flight);
        if (is_suspect)
            accuse(node, task, end);
        is_any_to_blame = is_any_to_blame || (is_suspect && !end->is_from_outside);
        if (is_suspect && is_condemned(node, task, end))
            continue;
        node->pool->counts.n_retries++;
        gf__ticket_give_back(task);
    }
    while (node->n_heads > 0)
        gf__heads_drop(node, &node->heads[0]);
    return is_any_to_blame || node->timed_out != 0;
}

/* Requests that only this could have served are told. */
static void fail_waiting(gf__trunk_pool *pool, gf_status st, const char *reason, bool is_check_only)
{
    gf__ticket *next = NULL;
    for (gf__ticket *ticket = pool->first; ticket != NULL; ticket = next) {
        bool has_other = false;
        next = ticket->next;
        for (const gf__node *node = pool->nodes; node != NULL; node = node->next)
            has_other = has_other || (node->state <= GF__NODE_READY && !node->is_gone &&
                                      gf__node_has_cut(node, ticket->version->cut));
        if (has_other || (is_check_only && !ticket->version->is_check))
            continue;
        if (ticket->version->is_check)
            gf__ticket_fail(ticket, st, reason);
        else {
            char text[GF_ERROR_MAX + 40];
            snprintf(text, sizeof text, "no worker can be started: %s", reason);
            gf__ticket_fail(ticket, GF_EUNAVAILABLE, text);
        }
    }
}

/* Cuts that only checks need, and that this worker was to have, are left out of the next. */
static bool blame_checks(gf__node *node)
{
    bool is_any = false;
    for (size_t i = 0; i < node->n_cuts; i++) {
        gf__cut *cut = &node->pool->cuts[i];
        if (!node->has_cut[i] || cut->n_versions > 0 || cut->n_checks == 0)
            continue;
        is_any = cut->is_broken = true;
        gf_error_set(&cut->why, node->failure, "%s", node->reason);
    }
    return is_any;
}

/* The next start has to wait, the longer the more were in vain. */
static void put_off_starts(gf__trunk_pool *pool, size_t n_in_vain, const char *reason)
{
    snprintf(pool->failure, sizeof pool->failure, "%s", reason);
    pool->retry_at_ms = gf__clock_ms() + gf__scale_backoff_ms(n_in_vain);
}

/* One that was ready, and was killed before it was of any use: by the kernel for memory, mostly. The
 * requests that wait go on waiting: the next may do better. */
static void note_early_end(gf__node *node, const gf__worker_end *end)
{
    char reason[GF_ERROR_MAX];
    snprintf(reason, sizeof reason, "worker %d %s before it had answered anything", (int)node->pid,
             end->text);
    put_off_starts(node->pool, ++node->pool->n_early_ends, reason);
}

void gf__node_prove(gf__node *node)
{
    node->has_answered = true;
    node->pool->n_early_ends = 0;
}

static void note_failed_start(gf__node *node, const gf__worker_end *end)
{
    gf__trunk_pool *pool = node->pool;
    const gf_status st = node->failure != GF_OK ? node->failure : GF_EUNAVAILABLE;
    if (node->reason[0] == '\0')
        snprintf(node->reason, sizeof node->reason, "worker %d %s before it was ready",
                 (int)node->pid, end->text);
    gf__pools_log(pool->pools, GF_LOG_WARNING, "worker %d of %s could not be made ready: %s",
                  (int)node->pid, gf__trunk_pool_name(pool), node->reason);
    if (node->failure != GF_OK && blame_checks(node)) {
        fail_waiting(pool, st, node->reason, true);
        return; /* those without the new cut are tried at once */
    }
    pool->n_failed_starts++;
    if (node->failure != GF_OK && pool->n_failed_starts < GF__MAX_FAILED_STARTS)
        pool->n_failed_starts = GF__MAX_FAILED_STARTS;
    put_off_starts(pool, pool->n_failed_starts, node->reason);
    if (pool->n_failed_starts >= GF__MAX_FAILED_STARTS)
        fail_waiting(pool, st, node->reason, false);
}

static void note_end(gf__node *node, const gf__worker_end *end)
{
    gf__trunk_pool *pool = node->pool;
    const size_t n = gf__trunk_pool_n_nodes(pool);
    char reason[128];
    if (node->state == GF__NODE_STOPPING && node->is_stopped && !end->is_crash) {
        pool->counts.n_stops++;
        gf__pools_log(pool->pools, GF_LOG_INFO, "worker %d of %s stopped: %s", (int)node->pid,
                      gf__trunk_pool_name(pool), node->stop_reason);
        return;
    }
    pool->counts.n_crashes++;
    snprintf(reason, sizeof reason, "worker %d %s with %zu under way", (int)node->pid, end->text,
             node->n_flights);
    if (node->state != GF__NODE_STOPPING)
        gf__trunk_pool_note(pool, n, n - 1, reason);
    gf__pools_log(pool->pools, GF_LOG_WARNING, "%s: %s", gf__trunk_pool_name(pool), reason);
}

void gf__node_died(gf__node *node, const gf__worker_end *end)
{
    gf__pools *pools = node->pool->pools;
    const bool was_ready = node->is_counted;
    const bool is_proven = node->has_answered ||
                           (was_ready && gf__clock_ms() - node->ready_ms >= GF__PROVEN_MS);
    node->is_gone = true;
    pthread_cond_signal(&node->work);
    while (node->is_sending) /* it ends at once: there is nobody to send to */
        pthread_cond_wait(&pools->changed, &pools->mutex);
    note_end(node, end);
    const bool is_task_to_blame = take_back(node, end);
    const gf__node_state state = node->state;
    node->state = GF__NODE_DEAD;
    if (!was_ready && state == GF__NODE_STARTING)
        note_failed_start(node, end);
    else if (is_proven && !node->has_answered)
        gf__node_prove(node);
    else if (!is_proven && state == GF__NODE_READY && !is_task_to_blame)
        note_early_end(node, end);
    gf__trunk_pool_wake_nodes(node->pool);
    gf__pools_wake(pools);
    pthread_cond_broadcast(&pools->changed);
}
