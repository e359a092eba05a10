/* pool/pools.c: the set of pools: making it, draining it, ending it. */
#include "pool/pool_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

gf__pools_options gf__pools_options_default(void)
{
    return (gf__pools_options){.precision = GF_PRECISION_AUTO,
                               .idle_timeout_ms = 60000,
                               .max_waiting = 64,
                               .deadline_ms = 60000,
                               .run_timeout_ms = 30000,
                               .max_head_bytes = (uint64_t)512 << 20,
                               .max_worker_bytes = (uint64_t)8 << 30};
}

void gf__cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool gf__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                                   .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    return pthread_cond_timedwait(cond, mutex, &until) != ETIMEDOUT;
}

void gf__pools_wake(gf__pools *pools)
{
    pools->has_news = true;
    pthread_cond_signal(&pools->news);
}

/* Written by the keeper, outside of the mutex and in order. */
void gf__pools_log(gf__pools *pools, gf_log_level level, const char *fmt, ...)
{
    char text[GF_ERROR_MAX + 128];
    va_list args;
    if (pools->options.observer.log == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const size_t n_chars = strlen(text) + 1;
    gf__log_line *line = gf__malloc(sizeof *line + n_chars);
    if (line == NULL)
        return;
    line->next = NULL;
    line->level = level;
    memcpy(line->text, text, n_chars);
    *(pools->last_line != NULL ? &pools->last_line->next : &pools->first_line) = line;
    pools->last_line = line;
    gf__pools_wake(pools);
}

/* A worker that has just answered mostly gets the next request at once: it keeps its share for so
 * long, so that shares do not change twice a request. */
#define SHARE_MS 50

/* How long a node still counts as at work; 0: it does not. */
static int64_t at_work_ms(const gf__node *node, int64_t now_ms)
{
    if (node->state > GF__NODE_READY || node->is_gone)
        return 0;
    if (node->n_flights > 0)
        return INT64_MAX;
    const int64_t left_ms = SHARE_MS - (now_ms - node->idle_since_ms);
    return node->state == GF__NODE_READY && left_ms > 0 ? left_ms : 0;
}

static void set_share(gf__node *node, int share)
{
    share = share > 1 ? share : 1;
    if (node->share == share)
        return;
    node->share = share;
    pthread_cond_signal(&node->work);
}

int64_t gf__pools_share_threads(gf__pools *pools)
{
    const int64_t now_ms = gf__clock_ms();
    int64_t look_ms = INT64_MAX;
    int n_at_work = 0;
    for (const gf__trunk_pool *pool = pools->first_pool; pool != NULL; pool = pool->next)
        for (const gf__node *node = pool->nodes; node != NULL; node = node->next) {
            const int64_t left_ms = at_work_ms(node, now_ms);
            n_at_work += left_ms > 0 ? 1 : 0;
            look_ms = left_ms > 0 && left_ms < look_ms ? left_ms : look_ms;
        }
    for (gf__trunk_pool *pool = pools->first_pool; pool != NULL; pool = pool->next)
        for (gf__node *node = pool->nodes; node != NULL; node = node->next) {
            const int n = n_at_work + (at_work_ms(node, now_ms) > 0 ? 0 : 1);
            set_share(node, pools->n_threads / n);
        }
    return look_ms;
}

static gf_status init(gf__pools *pools, const gf__pools_options *options, gf_error *err)
{
    pools->options = *options;
    pools->options.program = pools->options.home = NULL; /* not ours */
    pools->n_threads = options->n_threads > 0 ? options->n_threads : gf_threads_available();
    pools->program = gf__strdup(options->program);
    pools->home = gf__strdup(options->home);
    if (pools->program == NULL || pools->home == NULL)
        return gf__error_nomem(err, "pools", 0);
    const int failure = gf__thread_start(&pools->keeper, gf__keeper_run, pools);
    if (failure != 0)
        return gf__error_errno(err, failure, "cannot start the thread that keeps workers");
    pools->has_keeper = true;
    return GF_OK;
}

gf_status gf__pools_new(const gf__pools_options *options, gf__pools **out, gf_error *err)
{
    *out = NULL;
    gf__pools *pools = gf__calloc(1, sizeof *pools);
    if (pools == NULL)
        return gf__error_nomem(err, "pools", sizeof *pools);
    pthread_mutex_init(&pools->mutex, NULL);
    gf__cond_init(&pools->changed);
    gf__cond_init(&pools->news);
    const gf_status st = init(pools, options, err);
    if (st == GF_OK)
        *out = pools;
    else
        gf__pools_free(pools);
    return st;
}

static void fail_all(gf__pools *pools)
{
    for (gf__trunk_pool *pool = pools->first_pool; pool != NULL; pool = pool->next) {
        while (pool->first != NULL)
            gf__ticket_fail(pool->first, GF_EUNAVAILABLE, "the server is stopping");
        for (gf__node *node = pool->nodes; node != NULL; node = node->next) {
            for (size_t i = 0; i < node->n_flights; i++)
                if (node->flights[i].task != NULL)
                    gf__ticket_fail(node->flights[i].task->ticket, GF_EUNAVAILABLE,
                                    "the server is stopping");
            if (node->n_flights > 0 && node->worker != NULL && !node->is_gone)
                gf__worker_kill(node->worker, SIGKILL); /* nobody waits for its answers */
        }
    }
}

void gf__pools_drain(gf__pools *pools, int timeout_ms)
{
    const int64_t end_ms = gf__clock_ms() + timeout_ms;
    pthread_mutex_lock(&pools->mutex);
    pools->is_draining = true;
    while (pools->n_tickets > 0 && gf__cond_wait_until(&pools->changed, &pools->mutex, end_ms))
        continue;
    fail_all(pools);
    while (pools->n_tickets > 0)
        pthread_cond_wait(&pools->changed, &pools->mutex);
    pools->is_ending = true;
    gf__pools_wake(pools);
    const bool has_keeper = pools->has_keeper;
    pools->has_keeper = false;
    pthread_mutex_unlock(&pools->mutex);
    if (has_keeper)
        pthread_join(pools->keeper, NULL);
}

void gf__pools_free(gf__pools *pools)
{
    if (pools == NULL)
        return;
    gf__pools_drain(pools, 0);
    while (pools->first_pool != NULL) {
        gf__trunk_pool *pool = pools->first_pool;
        pools->first_pool = pool->next;
        gf__trunk_pool_free(pool);
    }
    for (size_t i = 0; i < pools->n_versions; i++)
        gf__served_unref(pools->versions[i]);
    gf__free(pools->versions);
    gf__free(pools->program);
    gf__free(pools->home);
    pthread_cond_destroy(&pools->news);
    pthread_cond_destroy(&pools->changed);
    pthread_mutex_destroy(&pools->mutex);
    gf__free(pools);
}
