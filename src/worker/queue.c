/* worker/queue.c: who takes which picture. A picture that is alone gets all threads, which halves
 * its latency; of several, each thread takes its own, which gives more pictures a second. Runs of
 * one picture, for whatever heads, are one job with peers. */
#include <string.h>

#include "worker/worker_priv.h"

typedef struct taker {
    pthread_cond_t is_called;
    bool is_idle; /* waits, and nobody has called it yet */
} taker;

struct gf__queue {
    pthread_mutex_t mutex;
    taker *takers;
    int n_threads;
    int share; /* how many of them may run */
    gf__job *first, *last;
    int n_running;
    size_t n_jobs_running; /* peers counted */
    bool is_alone_running;
    bool is_closed;
};

void gf__job_free(gf__job *job)
{
    if (job == NULL)
        return;
    gf__frame_clear(&job->frame);
    gf__free(job);
}

gf_status gf__queue_new(int n_threads, gf__queue **out, gf_error *err)
{
    *out = NULL;
    gf__queue *queue = gf__calloc(1, sizeof *queue);
    taker *takers = gf__calloc((size_t)n_threads, sizeof *takers);
    if (queue == NULL || takers == NULL) {
        gf__free(queue);
        gf__free(takers);
        return gf__error_nomem(err, "a queue", (size_t)n_threads * sizeof *takers);
    }
    pthread_mutex_init(&queue->mutex, NULL);
    for (int i = 0; i < n_threads; i++)
        pthread_cond_init(&takers[i].is_called, NULL);
    queue->takers = takers;
    queue->n_threads = queue->share = n_threads;
    *out = queue;
    return GF_OK;
}

void gf__queue_free(gf__queue *queue)
{
    if (queue == NULL)
        return;
    for (int i = 0; i < queue->n_threads; i++)
        pthread_cond_destroy(&queue->takers[i].is_called);
    pthread_mutex_destroy(&queue->mutex);
    gf__free(queue->takers);
    gf__free(queue);
}

/* A head alone takes microseconds: waking threads for it would cost more. */
static bool wants_all(const gf__queue *queue)
{
    return queue->first != NULL && queue->first->next == NULL && queue->n_running == 0 &&
           queue->n_threads > 1 && queue->share == queue->n_threads &&
           queue->first->run.kind != GF__RUN_NUMBERS;
}

static void call(gf__queue *queue, int thread)
{
    if (!queue->takers[thread].is_idle)
        return;
    queue->takers[thread].is_idle = false;
    pthread_cond_signal(&queue->takers[thread].is_called);
}

/* One idle thread for every job that waits; thread 0 alone for a picture that gets all. */
static void call_takers(gf__queue *queue)
{
    if (queue->is_alone_running)
        return;
    if (wants_all(queue)) {
        call(queue, 0);
        return;
    }
    int thread = 0;
    for (const gf__job *job = queue->first; job != NULL; job = job->next) {
        while (thread < queue->share && !queue->takers[thread].is_idle)
            thread++;
        if (thread == queue->share)
            break;
        call(queue, thread);
    }
}

static void call_all(gf__queue *queue)
{
    for (int i = 0; i < queue->n_threads; i++)
        call(queue, i);
}

static bool is_same_picture(const gf__run *a, const gf__run *b)
{
    return a->kind == b->kind && a->kind != GF__RUN_SELF_TEST && a->kind != GF__RUN_NUMBERS &&
           a->n_bytes == b->n_bytes && a->height == b->height && a->width == b->width &&
           (a->n_bytes == 0 || memcmp(a->bytes, b->bytes, a->n_bytes) == 0);
}

/* True: the job hangs on one that waits. */
static bool join(gf__queue *queue, gf__job *job)
{
    for (gf__job *other = queue->first; other != NULL; other = other->next) {
        if (other->n_peers + 1 >= GF__GROUP_MAX || !is_same_picture(&other->run, &job->run))
            continue;
        gf__job **end = &other->peer;
        while (*end != NULL)
            end = &(*end)->peer;
        *end = job;
        other->n_peers++;
        gf__frame_clear(&job->frame); /* the first one's bytes do for all */
        job->run.bytes = NULL;
        return true;
    }
    return false;
}

void gf__queue_push(gf__queue *queue, gf__job *job)
{
    pthread_mutex_lock(&queue->mutex);
    job->next = job->peer = NULL;
    job->n_peers = 0;
    if (!join(queue, job)) {
        if (queue->last != NULL)
            queue->last->next = job;
        else
            queue->first = job;
        queue->last = job;
        call_takers(queue);
    }
    pthread_mutex_unlock(&queue->mutex);
}

static gf__job *pop(gf__queue *queue)
{
    gf__job *job = queue->first;
    queue->first = job->next;
    if (queue->first == NULL)
        queue->last = NULL;
    job->next = NULL;
    return job;
}

static bool may_take(const gf__queue *queue, int thread)
{
    return queue->first != NULL && thread < queue->share && !queue->is_alone_running &&
           (thread == 0 || !wants_all(queue));
}

gf__job *gf__queue_take(gf__queue *queue, int thread, bool *is_alone, uint32_t *n_others)
{
    gf__job *job = NULL;
    pthread_mutex_lock(&queue->mutex);
    while (!may_take(queue, thread) && !(queue->is_closed && queue->first == NULL)) {
        if (queue->first != NULL)
            call_takers(queue); /* somebody else's: it may have been this thread that was called */
        queue->takers[thread].is_idle = true;
        pthread_cond_wait(&queue->takers[thread].is_called, &queue->mutex);
        queue->takers[thread].is_idle = false;
    }
    if (queue->first != NULL) {
        *is_alone = wants_all(queue);
        job = pop(queue);
        *n_others = (uint32_t)queue->n_jobs_running;
        queue->is_alone_running = *is_alone;
        queue->n_running++;
        queue->n_jobs_running += job->n_peers + 1;
        call_takers(queue);
    }
    pthread_mutex_unlock(&queue->mutex);
    return job;
}

void gf__queue_done(gf__queue *queue, bool is_alone, size_t n_jobs)
{
    pthread_mutex_lock(&queue->mutex);
    queue->n_running--;
    queue->n_jobs_running -= n_jobs;
    if (is_alone)
        queue->is_alone_running = false;
    call_takers(queue);
    if (queue->is_closed && queue->first == NULL)
        call_all(queue);
    pthread_mutex_unlock(&queue->mutex);
}

void gf__queue_share(gf__queue *queue, int n_threads)
{
    pthread_mutex_lock(&queue->mutex);
    queue->share = n_threads;
    call_takers(queue);
    pthread_mutex_unlock(&queue->mutex);
}

void gf__queue_close(gf__queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->is_closed = true;
    call_all(queue);
    pthread_mutex_unlock(&queue->mutex);
}
