/* base/threads.c: a pool that hands out item numbers.
 *
 * Items are taken one by one from an atomic counter, so uneven ones (pictures of all sizes) balance
 * themselves. Everything else is under one mutex. Between calls the threads wait on a condition
 * variable: a spinning thread takes its core from somebody else's work. */
#include "base/threads.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct pool_thread {
    gf__pool *pool;
    pthread_t handle;
    int number;
} pool_thread;

struct gf__pool {
    pthread_mutex_t mutex;
    pthread_cond_t work_is_there;
    pthread_cond_t all_are_idle;
    pool_thread *threads; /* n_threads - 1; number 0 is the caller */
    int n_threads;
    int n_started;

    /* Under the mutex. */
    uint64_t n_calls;
    int n_busy;
    bool is_ending;

    /* The call being run: written before the threads are woken, read only until all are idle. */
    void (*work)(void *user, size_t i, int thread);
    void *user;
    size_t n_items;
    atomic_size_t next_item;
};

static void run_items(gf__pool *pool, int thread)
{
    for (;;) {
        const size_t i = atomic_fetch_add_explicit(&pool->next_item, 1, memory_order_relaxed);
        if (i >= pool->n_items)
            return;
        pool->work(pool->user, i, thread);
    }
}

/* Waits for a call after the last one seen; false when the pool ends. */
static bool wait_for_call(gf__pool *pool, uint64_t *n_seen)
{
    pthread_mutex_lock(&pool->mutex);
    while (pool->n_calls == *n_seen && !pool->is_ending)
        pthread_cond_wait(&pool->work_is_there, &pool->mutex);
    *n_seen = pool->n_calls;
    const bool goes_on = !pool->is_ending;
    pthread_mutex_unlock(&pool->mutex);
    return goes_on;
}

static void *run_thread(void *argument)
{
    const pool_thread *self = argument;
    gf__pool *pool = self->pool;
    uint64_t n_seen = 0;
    while (wait_for_call(pool, &n_seen)) {
        run_items(pool, self->number);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->n_busy == 0)
            pthread_cond_signal(&pool->all_are_idle);
        pthread_mutex_unlock(&pool->mutex);
    }
    return NULL;
}

int gf__thread_start(pthread_t *thread, void *(*run)(void *user), void *user)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failure = pthread_create(thread, NULL, run, user);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static gf_status start_threads(gf__pool *pool, gf_error *err)
{
    int failure = 0;
    while (failure == 0 && pool->n_started < pool->n_threads - 1) {
        pool_thread *thread = &pool->threads[pool->n_started];
        *thread = (pool_thread){.pool = pool, .number = pool->n_started + 1};
        failure = gf__thread_start(&thread->handle, run_thread, thread);
        if (failure == 0)
            pool->n_started++;
    }
    if (failure != 0)
        return gf__error_errno(err, failure, "cannot start thread %d of %d", pool->n_started + 2,
                               pool->n_threads);
    return GF_OK;
}

gf_status gf__pool_new(int n_threads, gf__pool **out, gf_error *err)
{
    *out = NULL;
    if (n_threads < 1)
        return gf_error_set(err, GF_EINVAL, "%d threads asked for, expected 1 or more", n_threads);
    gf__pool *pool = gf__calloc(1, sizeof *pool);
    pool_thread *threads = gf__calloc((size_t)n_threads, sizeof *threads);
    if (pool == NULL || threads == NULL) {
        gf__free(threads);
        gf__free(pool);
        return gf__error_nomem(err, "a thread pool", (size_t)n_threads * sizeof *threads);
    }
    pool->threads = threads;
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work_is_there, NULL);
    pthread_cond_init(&pool->all_are_idle, NULL);
    const gf_status st = start_threads(pool, err);
    if (st != GF_OK) {
        gf__pool_free(pool);
        return st;
    }
    *out = pool;
    return GF_OK;
}

void gf__pool_free(gf__pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->is_ending = true;
    pthread_cond_broadcast(&pool->work_is_there);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->n_started; i++)
        pthread_join(pool->threads[i].handle, NULL);
    pthread_cond_destroy(&pool->all_are_idle);
    pthread_cond_destroy(&pool->work_is_there);
    pthread_mutex_destroy(&pool->mutex);
    gf__free(pool->threads);
    gf__free(pool);
}

int gf__pool_n_threads(const gf__pool *pool)
{
    return pool != NULL ? pool->n_threads : 1;
}

void gf__pool_run(gf__pool *pool, size_t n_items, void (*work)(void *user, size_t i, int thread),
                  void *user)
{
    if (pool == NULL || pool->n_threads == 1 || n_items <= 1) {
        for (size_t i = 0; i < n_items; i++)
            work(user, i, 0);
        return;
    }

    pthread_mutex_lock(&pool->mutex);
    assert(pool->n_busy == 0); /* one call at a time, and none from within work() */
    pool->work = work;
    pool->user = user;
    pool->n_items = n_items;
    atomic_store_explicit(&pool->next_item, 0, memory_order_relaxed);
    pool->n_busy = pool->n_started;
    pool->n_calls++;
    pthread_cond_broadcast(&pool->work_is_there);
    pthread_mutex_unlock(&pool->mutex);

    run_items(pool, 0);

    pthread_mutex_lock(&pool->mutex);
    while (pool->n_busy > 0)
        pthread_cond_wait(&pool->all_are_idle, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}
