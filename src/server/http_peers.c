/* server/http_peers.c: clients that are too slow. A thread (the reaper) ends connections that have
 * been waited for too long, however busy they keep the socket: the HTTP library knows only silence,
 * and a byte now and then is none. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#include "server/http_priv.h"

#define MIN_BODY_RATE 4096u /* bytes a second that a body must come at, on average */
#define NEVER         INT64_MAX
#define LINGER_MS     3000

struct gf__peer {
    gf__peer *previous, *next;
    int fd;
    _Atomic int64_t waits_since_ms; /* for bytes of the client; 0: it is not its turn */
    _Atomic uint64_t n_received;    /* of the body since */
};

struct gf__peers {
    int read_timeout_ms;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    gf__peer *first;
    bool ends, has_reaper;
    pthread_t reaper;
};

void gf__peer_wait(gf__peer *peer)
{
    atomic_store(&peer->n_received, 0);
    atomic_store(&peer->waits_since_ms, gf__clock_ms());
}

void gf__peer_received(gf__peer *peer, size_t n_bytes)
{
    atomic_fetch_add(&peer->n_received, n_bytes);
}

void gf__peer_is_served(gf__peer *peer)
{
    atomic_store(&peer->waits_since_ms, 0);
}

int gf__peer_fd(const gf__peer *peer)
{
    return peer->fd;
}

/* The grace of the options, and a second more for each MIN_BODY_RATE bytes that came. */
static int64_t deadline_of(const gf__peers *peers, const gf__peer *peer)
{
    const int64_t since = atomic_load(&peer->waits_since_ms);
    if (since == 0)
        return NEVER;
    const uint64_t n = atomic_load(&peer->n_received);
    return since + peers->read_timeout_ms + (int64_t)(n / MIN_BODY_RATE) * 1000;
}

/* Ends who is late; returns when to look again. */
static int64_t end_late_ones(gf__peers *peers, int64_t now_ms)
{
    /* Whoever begins to wait from now on may wait that long at least. */
    int64_t first = now_ms + peers->read_timeout_ms;
    for (gf__peer *peer = peers->first; peer != NULL; peer = peer->next) {
        const int64_t deadline = deadline_of(peers, peer);
        if (deadline <= now_ms) {
            shutdown(peer->fd, SHUT_RDWR); /* its thread wakes up and closes */
            atomic_store(&peer->waits_since_ms, 0);
        } else if (deadline < first) {
            first = deadline;
        }
    }
    return first;
}

static void *reap(void *user)
{
    gf__peers *peers = user;
    pthread_mutex_lock(&peers->mutex);
    while (!peers->ends) {
        if (peers->first == NULL) {
            pthread_cond_wait(&peers->changed, &peers->mutex);
            continue;
        }
        const int64_t again_ms = end_late_ones(peers, gf__clock_ms());
        const struct timespec until = {.tv_sec = (time_t)(again_ms / 1000),
                                       .tv_nsec = (long)(again_ms % 1000) * 1000000};
        pthread_cond_timedwait(&peers->changed, &peers->mutex, &until);
    }
    pthread_mutex_unlock(&peers->mutex);
    return NULL;
}

gf_status gf__peers_start(int read_timeout_ms, gf__peers **out, gf_error *err)
{
    pthread_condattr_t monotonic;
    *out = NULL;
    gf__peers *peers = gf__calloc(1, sizeof *peers);
    if (peers == NULL)
        return gf__error_nomem(err, "connections", sizeof *peers);
    peers->read_timeout_ms = read_timeout_ms;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* gf__clock_ms()'s */
    pthread_cond_init(&peers->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&peers->mutex, NULL);
    const int failed = read_timeout_ms > 0 ? gf__thread_start(&peers->reaper, reap, peers) : 0;
    if (failed != 0) {
        gf__peers_stop(peers);
        return gf__error_errno(err, failed, "a thread for the HTTP listener");
    }
    peers->has_reaper = read_timeout_ms > 0;
    *out = peers;
    return GF_OK;
}

void gf__peers_stop(gf__peers *peers)
{
    if (peers == NULL)
        return;
    pthread_mutex_lock(&peers->mutex);
    peers->ends = true;
    pthread_cond_signal(&peers->changed);
    pthread_mutex_unlock(&peers->mutex);
    if (peers->has_reaper)
        pthread_join(peers->reaper, NULL);
    pthread_cond_destroy(&peers->changed);
    pthread_mutex_destroy(&peers->mutex);
    gf__free(peers);
}

gf__peer *gf__peers_add(gf__peers *peers, int fd)
{
    gf__peer *peer = gf__calloc(1, sizeof *peer);
    if (peer == NULL) {
        shutdown(fd, SHUT_RDWR);
        return NULL;
    }
    peer->fd = fd;
    gf__peer_wait(peer);
    pthread_mutex_lock(&peers->mutex);
    peer->next = peers->first;
    if (peer->next != NULL)
        peer->next->previous = peer;
    else
        pthread_cond_signal(&peers->changed);
    peers->first = peer;
    pthread_mutex_unlock(&peers->mutex);
    return peer;
}

void gf__peers_remove(gf__peers *peers, gf__peer *peer)
{
    if (peer == NULL)
        return;
    pthread_mutex_lock(&peers->mutex);
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
    if (peer->previous != NULL)
        peer->previous->next = peer->next;
    else
        peers->first = peer->next;
    pthread_mutex_unlock(&peers->mutex);
    gf__free(peer);
}

void gf__peer_linger(const gf__peer *peer, bool is_tls)
{
    char ignored[16384];
    uint64_t n_read = 0;
    const int64_t end_ms = gf__clock_ms() + LINGER_MS;
    if (!is_tls)
        shutdown(peer->fd, SHUT_WR);
    while (n_read < GF__MAX_DISCARD) {
        struct pollfd wait = {.fd = peer->fd, .events = POLLIN};
        const int64_t left_ms = end_ms - gf__clock_ms();
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) <= 0)
            return;
        const ssize_t n = recv(peer->fd, ignored, sizeof ignored, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
        n_read += n > 0 ? (uint64_t)n : 0;
    }
}
