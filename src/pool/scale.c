/* pool/scale.c: whether a pool needs a worker more or less, and why. A function of what is seen and
 * of nothing else, so that every rule stands in a table of the tests. */
#include <stdio.h>

#include "pool/pool_priv.h"

/* Requests that have waited so long while every worker was full get one worker more. Shorter than
 * that a burst is gone before a new worker would be ready. */
#define BACKLOG_MS 100

/* A worker without a version stays for so long: one that was checked on it may be about to be
 * served. */
#define UNUSED_MS 5000

typedef struct counted {
    size_t n_current, n_current_ready; /* nodes with all cuts, and of them ready */
    size_t n_outdated;
    size_t outdated, starting; /* one of each */
} counted;

static counted count(const gf__scale_view *view)
{
    counted c = {0};
    for (size_t i = 0; i < view->n_nodes; i++) {
        const gf__scale_node *node = &view->nodes[i];
        if (node->is_outdated) {
            c.n_outdated++;
            if (c.n_outdated == 1 || !node->is_busy)
                c.outdated = i;
            continue;
        }
        c.n_current++;
        c.n_current_ready += node->is_ready ? 1 : 0;
    }
    return c;
}

static gf__scale_decision keep(int64_t look_ms)
{
    return (gf__scale_decision){.action = GF__SCALE_KEEP, .look_ms = look_ms};
}

static gf__scale_decision stop(size_t node)
{
    return (gf__scale_decision){.action = GF__SCALE_STOP, .node = node, .look_ms = -1};
}

/* What is to be started; false: nothing. */
static bool wants_start(const gf__scale_view *view, const counted *c, size_t limit, size_t least,
                        gf__scale_decision *out)
{
    char *reason = out->reason;
    const size_t n_all = c->n_current + c->n_outdated;
    if (view->n_waiting > 0 && n_all == 0)
        snprintf(reason, sizeof out->reason, "%zu waiting, no worker", view->n_waiting);
    else if (c->n_outdated > 0 && c->n_current == 0)
        snprintf(reason, sizeof out->reason, "a version needs a cut that %zu worker%s not have",
                 c->n_outdated, c->n_outdated == 1 ? " does" : "s do");
    else if (n_all < least)
        snprintf(reason, sizeof out->reason, "%zu of at least %zu", n_all, least);
    else if (view->n_waiting > 0 && view->waiting_ms >= BACKLOG_MS && n_all < limit &&
             c->n_current == c->n_current_ready)
        snprintf(reason, sizeof out->reason, "%zu waiting for %lld ms, all %zu busy",
                 view->n_waiting, (long long)view->waiting_ms, n_all);
    else
        return false;
    out->action = GF__SCALE_START;
    out->look_ms = -1;
    return true;
}

static int64_t least_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_idle(const gf__scale_node *node)
{
    return node->is_ready && !node->is_busy;
}

/* The node that is idle longest; n_nodes where none is. */
static size_t find_idlest(const gf__scale_view *view)
{
    size_t best = view->n_nodes;
    for (size_t i = 0; i < view->n_nodes; i++) {
        const gf__scale_node *node = &view->nodes[i];
        if (is_idle(node) && (best == view->n_nodes || node->idle_ms > view->nodes[best].idle_ms))
            best = i;
    }
    return best;
}

static gf__scale_decision stop_or_keep(const gf__scale_view *view, const counted *c, size_t limit,
                                       size_t least)
{
    const size_t idlest = find_idlest(view), n_all = c->n_current + c->n_outdated;
    gf__scale_decision d = keep(-1);
    if (c->n_outdated > 0 && c->n_current_ready > 0) {
        d = stop(c->outdated);
        snprintf(d.reason, sizeof d.reason, "replaced by one that has all cuts");
    } else if (c->n_current > limit && idlest < view->n_nodes) {
        d = stop(idlest);
        snprintf(d.reason, sizeof d.reason, "%zu of at most %zu", n_all, limit);
    } else if (view->n_versions == 0 && idlest < view->n_nodes) {
        const int64_t left_ms = least_of(view->idle_timeout_ms, UNUSED_MS) -
                                view->nodes[idlest].idle_ms;
        if (left_ms > 0)
            return keep(left_ms);
        d = stop(idlest);
        snprintf(d.reason, sizeof d.reason, "no version is left");
    } else if (n_all > least && idlest < view->n_nodes && view->n_waiting == 0) {
        const int64_t left_ms = view->idle_timeout_ms - view->nodes[idlest].idle_ms;
        if (left_ms > 0)
            return keep(left_ms);
        d = stop(idlest);
        snprintf(d.reason, sizeof d.reason, "idle for %lld ms",
                 (long long)view->nodes[idlest].idle_ms);
    }
    return d;
}

gf__scale_decision gf__scale_decide(const gf__scale_view *view)
{
    const size_t limit = view->max_nodes > 1 ? (size_t)view->max_nodes : 1;
    const size_t asked = view->min_nodes > 0 ? (size_t)view->min_nodes : 0;
    const size_t least = view->n_versions == 0 ? 0 : asked < limit ? asked : limit;
    const counted c = count(view);
    gf__scale_decision d = keep(-1);
    if (view->n_versions > 0 && wants_start(view, &c, limit, least, &d))
        return view->retry_ms > 0 ? keep(view->retry_ms) : d;
    d = stop_or_keep(view, &c, limit, least);
    /* Work that waits may have waited long enough soon. */
    if (d.action == GF__SCALE_KEEP && view->n_waiting > 0 && view->waiting_ms < BACKLOG_MS &&
        c.n_current + c.n_outdated < limit)
        return keep(BACKLOG_MS - view->waiting_ms);
    return d;
}

int64_t gf__scale_backoff_ms(size_t n_failed)
{
    int64_t wait_ms = 50;
    if (n_failed <= 1)
        return 0; /* whatever it was may be over */
    for (size_t i = 2; i < n_failed && wait_ms < 10000; i++)
        wait_ms *= 2;
    return wait_ms < 10000 ? wait_ms : 10000;
}
