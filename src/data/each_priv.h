/* data/each_priv.h: one piece of work for each item, over threads, observed and stoppable.
 *
 *     gf__each each = {.stage = "check", .n_items = n, .work = inspect, .user = &s, .obs = obs};
 *     st = gf__each_run(&each, n_threads, err); */
#ifndef GRAFT_DATA_EACH_PRIV_H
#define GRAFT_DATA_EACH_PRIV_H

#include <pthread.h>

#include "base/base.h"

typedef struct gf__each {
    const char *stage;
    size_t n_items;
    /* Item i, by whichever thread is free. A status other than GF_OK ends the whole run with it:
     * what is wrong with one item only is remembered in user. */
    gf_status (*work)(void *user, size_t i, int thread, gf_error *err);
    const char *(*name)(void *user, size_t i); /* for progress; may be NULL */
    void *user;
    const gf_observer *obs;

    pthread_mutex_t lock; /* private, and what follows under it; observer calls too */
    size_t n_done;
    gf_status st;
    gf_error err;
} gf__each;

/* Runs all. The error is the first that happened. */
gf_status gf__each_run(gf__each *each, int n_threads, gf_error *err);
/* From inside work that takes long: asks the observer. False once the run is to end. */
bool gf__each_goes_on(gf__each *each);

#endif
