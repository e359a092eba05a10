/* pool/describe.c: what pools and versions are doing, as JSON and as counters. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "pool/pool_priv.h"

static const char *const state_names[] = {"starting", "ready", "stopping", "stopping"};

static gf__json *describe_node(const gf__node *node, int64_t now_ms)
{
    gf__json *json = gf__json_object();
    const bool is_idle = node->state == GF__NODE_READY && node->n_flights == 0;
    gf__json_set_int(json, "pid", node->pid);
    gf__json_set_string(json, "state", state_names[node->state]);
    gf__json_set_int(json, "busy", (int64_t)node->n_flights);
    gf__json_set_int(json, "threads", node->share);
    gf__json_set_int(json, "loadedHeads", (int64_t)node->n_heads);
    gf__json_set_int(json, "headBytes", (int64_t)node->head_bytes);
    gf__json_set_int(json, "rssBytes", (int64_t)node->rss_bytes);
    gf__json_set_number(json, "idleSeconds",
                        is_idle ? 1e-3 * (double)(now_ms - node->idle_since_ms) : 0);
    gf__json_set_number(json, "startMillis", node->start_ms);
    return json;
}

static gf__json *describe_decisions(const gf__trunk_pool *pool)
{
    gf__json *list = gf__json_array();
    const size_t n = pool->n_decisions < GF__N_DECISIONS ? pool->n_decisions : GF__N_DECISIONS;
    for (size_t i = 1; i <= n; i++) {
        const gf__decision *d = &pool->decisions[(pool->n_decisions - i) % GF__N_DECISIONS];
        const time_t seconds = (time_t)d->unix_s;
        gf__json *json = gf__json_object();
        struct tm tm;
        char text[32] = "";
        if (gmtime_r(&seconds, &tm) != NULL)
            strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        gf__json_set_string(json, "time", text);
        gf__json_set_int(json, "from", (int64_t)d->from);
        gf__json_set_int(json, "to", (int64_t)d->to);
        gf__json_set_string(json, "reason", d->reason);
        gf__json_append(list, json);
    }
    return list;
}

/* Only while workers are started in vain. */
static void describe_failure(const gf__trunk_pool *pool, int64_t now_ms, gf__json *json)
{
    const size_t n_in_vain = pool->n_failed_starts + pool->n_early_ends;
    if (n_in_vain == 0)
        return;
    const int64_t left_ms = pool->retry_at_ms - now_ms;
    gf__json_set_string(json, "failure", pool->failure);
    gf__json_set_int(json, "failedStarts", (int64_t)n_in_vain);
    gf__json_set_number(json, "retrySeconds", left_ms > 0 ? 1e-3 * (double)left_ms : 0);
}

static gf__json *describe_pool(const gf__trunk_pool *pool)
{
    const int64_t now_ms = gf__clock_ms();
    gf__json *json = gf__json_object(), *cuts = gf__json_array(), *nodes = gf__json_array();
    for (size_t i = 0; i < pool->n_cuts; i++)
        if (gf__cut_is_needed(&pool->cuts[i]))
            gf__json_append(cuts, gf__json_new_string(pool->cuts[i].layer));
    for (const gf__node *node = pool->nodes; node != NULL; node = node->next)
        if (node->state != GF__NODE_DEAD)
            gf__json_append(nodes, describe_node(node, now_ms));
    gf__json_set_string(json, "trunk", pool->counts.trunk);
    gf__json_set_string(json, "trunkSha256", pool->trunk_sha256 != NULL ? pool->trunk_sha256 : "");
    gf__json_set_string(json, "precision", pool->counts.precision);
    gf__json_set(json, "cuts", cuts);
    gf__json_set_int(json, "waiting", (int64_t)pool->n_listed);
    gf__json_set(json, "nodes", nodes);
    gf__json_set_int(json, "minNodes", gf__trunk_pool_min_nodes(pool));
    gf__json_set_int(json, "maxNodes", gf__trunk_pool_max_nodes(pool));
    describe_failure(pool, now_ms, json);
    gf__json_set(json, "decisions", describe_decisions(pool));
    return json;
}

gf_status gf__pools_describe(gf__pools *pools, gf__json **out, gf_error *err)
{
    gf__json *root = gf__json_object(), *list = gf__json_array();
    *out = NULL;
    pthread_mutex_lock(&pools->mutex);
    for (const gf__trunk_pool *pool = pools->first_pool; pool != NULL; pool = pool->next)
        gf__json_append(list, describe_pool(pool));
    pthread_mutex_unlock(&pools->mutex);
    gf__json_set(root, "pools", list);
    const gf_status st = gf__json_status(root, err);
    if (st == GF_OK)
        *out = root;
    else
        gf__json_free(root);
    return st;
}

static gf__pool_counts count_pool(const gf__trunk_pool *pool)
{
    gf__pool_counts counts = pool->counts;
    counts.n_waiting = pool->n_listed;
    counts.n_nodes = gf__trunk_pool_n_nodes(pool);
    for (const gf__node *node = pool->nodes; node != NULL; node = node->next)
        counts.rss_bytes += node->state != GF__NODE_DEAD ? node->rss_bytes : 0;
    return counts;
}

static gf__version_counts count_version(const gf__served *version)
{
    gf__version_counts counts = version->counts;
    counts.n_passes = (uint64_t)llround(version->passes);
    counts.resident_bytes = version->resident_bytes;
    counts.load_seconds = 1e-3 * version->load_ms;
    for (const gf__ticket *ticket = version->pool->first; ticket != NULL; ticket = ticket->next)
        counts.n_waiting += ticket->version == version ? 1 : 0;
    return counts;
}

void gf__pools_count(gf__pools *pools, void (*pool)(void *user, const gf__pool_counts *counts),
                     void (*version)(void *user, const gf__version_counts *counts), void *user)
{
    pthread_mutex_lock(&pools->mutex);
    for (const gf__trunk_pool *p = pools->first_pool; p != NULL && pool != NULL; p = p->next) {
        const gf__pool_counts counts = count_pool(p);
        pool(user, &counts);
    }
    for (size_t i = 0; i < pools->n_versions && version != NULL; i++) {
        const gf__version_counts counts = count_version(pools->versions[i]);
        version(user, &counts);
    }
    pthread_mutex_unlock(&pools->mutex);
}

bool gf__pools_are_ready(gf__pools *pools)
{
    bool are_ready = true;
    pthread_mutex_lock(&pools->mutex);
    for (const gf__trunk_pool *pool = pools->first_pool; pool != NULL; pool = pool->next) {
        const int min = gf__trunk_pool_min_nodes(pool), max = gf__trunk_pool_max_nodes(pool);
        int n_ready = 0;
        for (const gf__node *node = pool->nodes; node != NULL; node = node->next)
            n_ready += node->state == GF__NODE_READY && !node->is_gone ? 1 : 0;
        are_ready = are_ready && n_ready >= (min < max ? min : max);
    }
    pthread_mutex_unlock(&pools->mutex);
    return are_ready;
}
