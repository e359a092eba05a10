/* each.c: a pool's run over items, with progress told by one thread at a time and an early end. */
#include "data/each_priv.h"

/* Under the lock. The first failure stays. */
static void remember(gf__each *each, gf_status st, const gf_error *err)
{
    if (st == GF_OK || each->st != GF_OK)
        return;
    each->st = st;
    each->err = *err;
}

static bool ask_observer(gf__each *each, const char *item)
{
    gf_error err;

    if (each->st == GF_OK) {
        const gf_status st = gf__observe_progress(each->obs, each->stage, each->n_done,
                                                  each->n_items, item, &err);
        remember(each, st, &err);
    }
    return each->st == GF_OK;
}

bool gf__each_goes_on(gf__each *each)
{
    bool goes_on;

    pthread_mutex_lock(&each->lock);
    goes_on = ask_observer(each, NULL);
    pthread_mutex_unlock(&each->lock);
    return goes_on;
}

static void run_item(void *user, size_t i, int thread)
{
    gf__each *each = user;
    gf_error err;
    gf_status st;
    bool goes_on;

    pthread_mutex_lock(&each->lock);
    goes_on = each->st == GF_OK;
    pthread_mutex_unlock(&each->lock);
    if (!goes_on)
        return;

    st = each->work(each->user, i, thread, &err);

    pthread_mutex_lock(&each->lock);
    remember(each, st, &err);
    each->n_done++;
    ask_observer(each, each->name != NULL ? each->name(each->user, i) : NULL);
    pthread_mutex_unlock(&each->lock);
}

gf_status gf__each_run(gf__each *each, int n_threads, gf_error *err)
{
    gf__pool *pool = NULL;
    gf_status st = gf__pool_new(n_threads, &pool, err);

    if (st != GF_OK)
        return st;
    pthread_mutex_init(&each->lock, NULL);
    each->n_done = 0;
    each->st = GF_OK;
    gf__pool_run(pool, each->n_items, run_item, each);
    pthread_mutex_destroy(&each->lock);
    gf__pool_free(pool);
    if (each->st != GF_OK && err != NULL)
        *err = each->err;
    return each->st;
}
