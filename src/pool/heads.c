/* pool/heads.c: the heads that a node has loaded: on demand, as many as max_head_bytes holds, those
 * used longest ago go first. */
#include "pool/pool_priv.h"

gf__loaded *gf__heads_find(gf__node *node, uint64_t head)
{
    for (size_t i = 0; i < node->n_heads; i++)
        if (node->heads[i].version->head == head)
            return &node->heads[i];
    return NULL;
}

gf__loaded *gf__heads_add(gf__node *node, gf__served *version)
{
    if (node->n_heads == node->max_heads) {
        const size_t n = node->max_heads == 0 ? 16 : 2 * node->max_heads;
        gf__loaded *larger = gf__realloc(node->heads, n * sizeof *larger);
        if (larger == NULL)
            return NULL;
        node->heads = larger;
        node->max_heads = n;
    }
    gf__loaded *head = &node->heads[node->n_heads++];
    *head = (gf__loaded){.version = version, .is_loading = true};
    return head;
}

void gf__heads_drop(gf__node *node, gf__loaded *head)
{
    head->version->resident_bytes -= head->n_bytes;
    node->head_bytes -= head->n_bytes;
    *head = node->heads[--node->n_heads];
    pthread_cond_broadcast(&node->pool->pools->changed);
}

gf_status gf__heads_failure(const gf__served *version, gf_status st, const char *reason,
                            gf_error *err)
{
    const bool is_passing = st == GF_ENOMEM || st == GF_EUNAVAILABLE;
    if (version->is_check || is_passing)
        return gf_error_set(err, st, "%s", reason);
    return gf_error_set(err, GF_EIO, "the model file of %.100s: %s", version->name, reason);
}

/* The runs that were sent after it fail with the reason, not with "there is no such head". */
static void fail_flights(gf__node *node, const gf__served *version, const gf__report *report)
{
    gf_error err = {0};
    const gf_status st = gf__heads_failure(version, report->status, report->message, &err);
    for (size_t i = 0; i < node->n_flights; i++) {
        gf__flight *flight = &node->flights[i];
        if (flight->head != report->head || flight->task == NULL)
            continue;
        gf__task *task = flight->task;
        flight->task = NULL; /* its answer is still to come, and says less */
        gf__task_fail(task, st, err.message);
    }
}

void gf__heads_loaded(gf__node *node, const gf__report *report)
{
    gf__loaded *head = gf__heads_find(node, report->head);
    if (head == NULL)
        return;
    if (report->status != GF_OK) {
        fail_flights(node, head->version, report);
        gf__heads_drop(node, head);
        return;
    }
    head->is_loading = false;
    head->n_bytes = report->resident_bytes;
    head->load_ms = report->load_ms;
    head->version->resident_bytes += report->resident_bytes;
    head->version->head_bytes = report->resident_bytes;
    head->version->load_ms = report->load_ms;
    node->head_bytes += report->resident_bytes;
}

gf__loaded *gf__heads_to_unload(gf__node *node, size_t n_bytes)
{
    const uint64_t most = node->pool->pools->options.max_head_bytes;
    const bool is_short = node->head_bytes > most || n_bytes > most - node->head_bytes;
    gf__loaded *best = NULL;
    for (size_t i = 0; i < node->n_heads; i++) {
        gf__loaded *head = &node->heads[i];
        if (head->n_flights > 0 || head->is_loading)
            continue;
        if (head->version->is_removed)
            return head;
        if (is_short && (best == NULL || head->used < best->used))
            best = head;
    }
    return best;
}
