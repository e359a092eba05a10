/* pool/dispatch.c: which task a node gets next. A node is given little more than it can run, so
 * that one which starts late still finds work; tickets take turns, so that one of a thousand
 * instances does not hold up one of a single one. */
#include "pool/pool_priv.h"

#define PREFETCH 2 /* tasks for each thread: one runs, one is there when it ends */

bool gf__task_is_suspect(const gf__task *task)
{
    return task->n_crashes > 0 || task->n_kills > 0 || task->n_timeouts > 0;
}

size_t gf__node_room(const gf__node *node)
{
    const size_t most = (size_t)(PREFETCH * node->share);
    if (node->state != GF__NODE_READY || node->is_gone || node->is_alone)
        return 0;
    return node->n_flights < most ? most - node->n_flights : 0;
}

void gf__trunk_pool_wake_nodes(gf__trunk_pool *pool)
{
    for (gf__node *node = pool->nodes; node != NULL; node = node->next)
        pthread_cond_signal(&node->work);
}

/* A ticket whose next task is a suspect, or is none. */
static gf__ticket *find(const gf__node *node, bool is_suspect)
{
    for (gf__ticket *ticket = node->pool->first; ticket != NULL; ticket = ticket->next)
        if (gf__task_is_suspect(gf__ticket_front(ticket)) == is_suspect &&
            gf__node_has_cut(node, ticket->version->cut))
            return ticket;
    return NULL;
}

static bool is_any_reserved(const gf__trunk_pool *pool)
{
    for (const gf__node *node = pool->nodes; node != NULL; node = node->next)
        if (node->is_reserved && node->state == GF__NODE_READY && !node->is_gone)
            return true;
    return false;
}

gf__task *gf__dispatch_pick(gf__node *node)
{
    if (gf__node_room(node) == 0)
        return NULL;
    /* A suspect runs alone: if the worker dies again, it is known of whom, and nobody else had to
     * be moved. One node empties itself for it while the others go on. */
    gf__ticket *suspect = find(node, true);
    if (suspect == NULL)
        node->is_reserved = false;
    else if (node->n_flights == 0) {
        node->is_alone = true;
        node->is_reserved = false;
        gf__trunk_pool_wake_nodes(node->pool);
        return gf__ticket_take(suspect);
    } else if (!is_any_reserved(node->pool)) {
        node->is_reserved = true;
    }
    if (node->is_reserved)
        return NULL;
    gf__ticket *ticket = find(node, false);
    return ticket != NULL ? gf__ticket_take(ticket) : NULL;
}
