/* pool/keeper.c: the thread that starts and stops workers as scale.c says, kills those that hang,
 * buries those that died, and writes the log. It sleeps until something happens. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pool/pool_priv.h"

#define MAX_BUSY 256

const char *gf__trunk_pool_name(const gf__trunk_pool *pool)
{
    return pool->trunk_name != NULL ? pool->trunk_name : "models of numbers";
}

size_t gf__trunk_pool_n_nodes(const gf__trunk_pool *pool)
{
    size_t n = 0;
    for (const gf__node *node = pool->nodes; node != NULL; node = node->next)
        n += node->state <= GF__NODE_READY ? 1 : 0;
    return n;
}

void gf__trunk_pool_note(gf__trunk_pool *pool, size_t from, size_t to, const char *reason)
{
    gf__decision *decision = &pool->decisions[pool->n_decisions++ % GF__N_DECISIONS];
    *decision = (gf__decision){.unix_s = (int64_t)time(NULL), .from = from, .to = to};
    snprintf(decision->reason, sizeof decision->reason, "%s", reason);
}

/* ---- scaling ---- */

static size_t fill_nodes(const gf__trunk_pool *pool, gf__scale_node *views, gf__node **nodes)
{
    const int64_t now_ms = gf__clock_ms();
    size_t n = 0;
    for (gf__node *node = pool->nodes; node != NULL; node = node->next) {
        if (node->state > GF__NODE_READY || node->is_gone)
            continue;
        nodes[n] = node;
        views[n++] = (gf__scale_node){.is_ready = node->state == GF__NODE_READY,
                                      .is_outdated = gf__node_is_outdated(node),
                                      .is_busy = node->n_flights > 0,
                                      .idle_ms = now_ms - node->idle_since_ms};
    }
    return n;
}

static void stop(gf__node *node, const char *reason)
{
    gf__trunk_pool *pool = node->pool;
    const size_t n = gf__trunk_pool_n_nodes(pool);
    /* One that is not ready yet has nobody to answer: no need to wait for it. */
    if (node->state == GF__NODE_STARTING)
        gf__worker_kill(node->worker, SIGKILL);
    node->state = GF__NODE_STOPPING;
    node->progress_ms = gf__clock_ms();
    snprintf(node->stop_reason, sizeof node->stop_reason, "%s", reason);
    gf__trunk_pool_note(pool, n, n - 1, reason);
    pthread_cond_signal(&node->work);
    gf__trunk_pool_wake_nodes(pool);
}

static void start(gf__trunk_pool *pool, const char *reason)
{
    const size_t n = gf__trunk_pool_n_nodes(pool);
    gf__trunk_pool_note(pool, n, n + 1, reason);
    gf__pools_log(pool->pools, GF_LOG_INFO, "starting a worker of %s: %s",
                  gf__trunk_pool_name(pool), reason);
    gf__node_start(pool);
}

/* Acts once; true where it did. */
static bool scale(gf__trunk_pool *pool, int64_t *look_ms)
{
    const int64_t now_ms = gf__clock_ms();
    size_t n_all = 0;
    for (const gf__node *node = pool->nodes; node != NULL; node = node->next)
        n_all++;
    gf__scale_node *views = gf__calloc(n_all + 1, sizeof *views);
    gf__node **nodes = gf__calloc(n_all + 1, sizeof(gf__node *));
    gf__scale_decision d = {.action = GF__SCALE_KEEP, .look_ms = 1000};
    if (views != NULL && nodes != NULL) {
        const gf__scale_view view = {
            .nodes = views,
            .n_nodes = fill_nodes(pool, views, nodes),
            .n_waiting = pool->n_listed,
            .waiting_ms = pool->backlog_since_ms != 0 ? now_ms - pool->backlog_since_ms : 0,
            .n_versions = pool->n_versions,
            .min_nodes = gf__trunk_pool_min_nodes(pool),
            .max_nodes = gf__trunk_pool_max_nodes(pool),
            .idle_timeout_ms = pool->pools->options.idle_timeout_ms,
            .retry_ms = pool->retry_at_ms > now_ms ? pool->retry_at_ms - now_ms : 0};
        d = gf__scale_decide(&view);
    }
    if (d.action == GF__SCALE_START)
        start(pool, d.reason);
    else if (d.action == GF__SCALE_STOP)
        stop(nodes[d.node], d.reason);
    else if (d.look_ms >= 0 && d.look_ms < *look_ms)
        *look_ms = d.look_ms;
    gf__free(views);
    gf__free(nodes);
    return d.action != GF__SCALE_KEEP;
}

/* ---- what hangs ---- */

static void kill_node(gf__node *node, const char *why)
{
    gf__pools_log(node->pool->pools, GF_LOG_WARNING, "killing worker %d of %s: %s", (int)node->pid,
                  gf__trunk_pool_name(node->pool), why);
    gf__worker_kill(node->worker, SIGKILL);
    node->progress_ms = gf__clock_ms(); /* not again at the next look */
}

/* A run that a thread has been busy with for too long. */
static bool kill_if_stuck(gf__node *node, int64_t now_ms, int64_t most_ms)
{
    uint64_t busy[MAX_BUSY];
    size_t n = gf__worker_busy_with(node->worker, busy, MAX_BUSY);
    n = n < MAX_BUSY ? n : MAX_BUSY;
    for (size_t i = 0; i < n; i++) {
        gf__flight *flight = gf__node_flight(node, busy[i]);
        if (flight == NULL)
            continue;
        if (flight->busy_since_ms == 0)
            flight->busy_since_ms = now_ms;
        if (now_ms - flight->busy_since_ms < most_ms || node->timed_out != 0)
            continue;
        node->timed_out = flight->id;
        kill_node(node, "busy with one run for too long");
        return true;
    }
    return false;
}

static void watch(gf__node *node, int64_t *look_ms)
{
    const int64_t now_ms = gf__clock_ms(), run_ms = node->pool->pools->options.run_timeout_ms;
    const int64_t still_ms = now_ms - node->progress_ms;
    int64_t most_ms = INT64_MAX;
    if (node->worker == NULL || node->state == GF__NODE_DEAD)
        return;
    if (node->is_gone || node->is_stopped)
        most_ms = GF__STOP_TIMEOUT_MS;
    else if (node->state == GF__NODE_STARTING)
        most_ms = GF__START_TIMEOUT_MS;
    else if (node->n_flights > 0) {
        if (kill_if_stuck(node, now_ms, run_ms))
            return;
        most_ms = 2 * run_ms; /* neither busy nor answering */
        if (*look_ms > run_ms / 4 + 1)
            *look_ms = run_ms / 4 + 1;
    }
    if (still_ms >= most_ms && !node->is_gone)
        kill_node(node, "no sign of life");
    else if (most_ms != INT64_MAX && most_ms - still_ms < *look_ms)
        *look_ms = most_ms - still_ms > 100 ? most_ms - still_ms : 100;
}

/* ---- what is over ---- */

static void bury(gf__pools *pools, gf__node *node)
{
    pthread_mutex_unlock(&pools->mutex);
    if (node->has_receiver)
        pthread_join(node->receiver, NULL);
    if (node->has_sender)
        pthread_join(node->sender, NULL);
    gf__node_free(node);
    pthread_mutex_lock(&pools->mutex);
}

/* One dead node, or a pool that nobody needs; false where there is none. */
static bool clear_one(gf__pools *pools)
{
    for (gf__trunk_pool **at = &pools->first_pool; *at != NULL; at = &(*at)->next) {
        gf__trunk_pool *pool = *at;
        for (gf__node **link = &pool->nodes; *link != NULL; link = &(*link)->next) {
            gf__node *node = *link;
            if (node->state != GF__NODE_DEAD)
                continue;
            *link = node->next;
            bury(pools, node);
            pthread_cond_broadcast(&pools->changed);
            return true;
        }
        if (pool->n_versions == 0 && pool->nodes == NULL) {
            *at = pool->next;
            gf__trunk_pool_free(pool);
            return true;
        }
    }
    return false;
}

static bool write_log(gf__pools *pools)
{
    gf__log_line *line = pools->first_line;
    if (line == NULL)
        return false;
    pools->first_line = line->next;
    if (line->next == NULL)
        pools->last_line = NULL;
    pthread_mutex_unlock(&pools->mutex);
    gf__observe_log(&pools->options.observer, line->level, "%s", line->text);
    gf__free(line);
    pthread_mutex_lock(&pools->mutex);
    return true;
}

/* true where something was done: what was seen before may not hold any more. */
static bool act(gf__pools *pools, int64_t *look_ms)
{
    if (write_log(pools) || clear_one(pools))
        return true;
    for (gf__trunk_pool *pool = pools->first_pool; pool != NULL; pool = pool->next) {
        for (gf__node *node = pool->nodes; node != NULL; node = node->next)
            watch(node, look_ms);
        if (!pools->is_ending && scale(pool, look_ms))
            return true;
    }
    return false;
}

static void end_nodes(gf__pools *pools)
{
    for (gf__trunk_pool *pool = pools->first_pool; pool != NULL; pool = pool->next)
        for (gf__node *node = pool->nodes; node != NULL; node = node->next)
            if (node->state <= GF__NODE_READY)
                stop(node, "the server is stopping");
}

static bool has_nodes(const gf__pools *pools)
{
    for (const gf__trunk_pool *pool = pools->first_pool; pool != NULL; pool = pool->next)
        if (pool->nodes != NULL)
            return true;
    return false;
}

void *gf__keeper_run(void *argument)
{
    gf__pools *pools = argument;
    pthread_mutex_lock(&pools->mutex);
    while (!pools->is_ending || has_nodes(pools) || pools->first_line != NULL) {
        int64_t look_ms = INT32_MAX;
        pools->has_news = false;
        if (pools->is_ending)
            end_nodes(pools);
        if (act(pools, &look_ms))
            continue;
        const int64_t share_ms = gf__pools_share_threads(pools);
        look_ms = share_ms < look_ms ? share_ms : look_ms;
        const int64_t until_ms = gf__clock_ms() + look_ms;
        while (!pools->has_news && gf__cond_wait_until(&pools->news, &pools->mutex, until_ms))
            continue;
    }
    pthread_mutex_unlock(&pools->mutex);
    return NULL;
}
