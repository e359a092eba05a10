/* base/threads.h: work shared out over threads. */
#ifndef GRAFT_BASE_THREADS_H
#define GRAFT_BASE_THREADS_H

#include <pthread.h>

#include "graft/base.h"

/* pthread_create() with all signals blocked in the new thread: they are for the threads of the program,
 * whose handlers must not run in the middle of ours. 0, or an errno. */
int gf__thread_start(pthread_t *thread, void *(*run)(void *user), void *user);

/* A pool of n_threads - 1 sleeping threads; the caller is the n-th. Sleeps between calls, never
 * spins. */
typedef struct gf__pool gf__pool;
gf_status gf__pool_new(int n_threads, gf__pool **out, gf_error *err);
void gf__pool_free(gf__pool *pool);
int gf__pool_n_threads(const gf__pool *pool);

/* Calls work(user, i, thread) for every i < n_items, each once, by whichever thread (0 <= thread <
 * n_threads) is free; returns when all are done. One call at a time per pool. A pool of NULL runs
 * in the caller. */
void gf__pool_run(gf__pool *pool, size_t n_items, void (*work)(void *user, size_t i, int thread),
                  void *user);

#endif
