/* server/http_accept.c: connections out of the listen queue, as many as may be at a time. A thread of
 * its own and not the HTTP library's, which drops connections beyond the limit: here they wait in the
 * queue. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http_priv.h"

#define SHORTAGE_MS 50

struct gf__acceptor {
    int fd;
    gf__take_connection *take;
    void *user;
    sem_t slots; /* connections there may still be */
    int wake_fd; /* an event: end accepting */
    atomic_bool is_closing;
    pthread_t thread;
    bool has_thread;
};

/* Takes what waits in the listen queue; false when accepting is to end. */
static bool accept_one(gf__acceptor *acceptor)
{
    struct sockaddr_storage address = {0};
    socklen_t n_bytes = sizeof address;
    const int fd = accept4(acceptor->fd, (struct sockaddr *)&address, &n_bytes,
                           SOCK_CLOEXEC | SOCK_NONBLOCK);
    const int error = fd < 0 ? errno : 0;
    if (fd < 0) {
        sem_post(&acceptor->slots);
        if (error == EINTR || error == ECONNABORTED)
            return true;
        if (error != EAGAIN)
            (void)poll(NULL, 0, SHORTAGE_MS); /* of files, mostly: others will end */
        return !atomic_load(&acceptor->is_closing);
    }
    if (!acceptor->take(acceptor->user, fd, (struct sockaddr *)&address, n_bytes))
        sem_post(&acceptor->slots);
    return true;
}

/* Before the port is closed its queue is emptied. */
static void *accept_all(void *user)
{
    gf__acceptor *acceptor = user;
    struct pollfd waits[] = {{.fd = acceptor->fd, .events = POLLIN},
                             {.fd = acceptor->wake_fd, .events = POLLIN}};
    for (;;) {
        if (!atomic_load(&acceptor->is_closing) && poll(waits, 2, -1) < 0)
            continue;
        while (!atomic_load(&acceptor->is_closing) && sem_wait(&acceptor->slots) != 0)
            continue;
        if (!accept_one(acceptor))
            return NULL;
    }
}

gf_status gf__acceptor_new(int fd, size_t max_connections, gf__take_connection *take, void *user,
                           gf__acceptor **out, gf_error *err)
{
    gf__acceptor *acceptor = gf__calloc(1, sizeof *acceptor);
    *out = NULL;
    if (acceptor == NULL)
        return gf__error_nomem(err, "a listener", sizeof *acceptor);
    acceptor->fd = -1;
    acceptor->take = take;
    acceptor->user = user;
    sem_init(&acceptor->slots, 0, (unsigned int)max_connections);
    acceptor->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (acceptor->wake_fd < 0) {
        const int error = errno;
        gf__acceptor_free(acceptor);
        return gf__error_errno(err, error, "an event for the HTTP listener");
    }
    acceptor->fd = fd;
    *out = acceptor;
    return GF_OK;
}

gf_status gf__acceptor_start(gf__acceptor *acceptor, gf_error *err)
{
    const int failed = gf__thread_start(&acceptor->thread, accept_all, acceptor);
    if (failed != 0)
        return gf__error_errno(err, failed, "a thread for the HTTP listener");
    acceptor->has_thread = true;
    return GF_OK;
}

void gf__acceptor_give_back(gf__acceptor *acceptor)
{
    sem_post(&acceptor->slots);
}

void gf__acceptor_close(gf__acceptor *acceptor)
{
    if (acceptor->fd < 0)
        return;
    if (acceptor->has_thread) {
        const uint64_t one = 1;
        atomic_store(&acceptor->is_closing, true);
        const ssize_t n = write(acceptor->wake_fd, &one, sizeof one);
        (void)n;                    /* an event's first write cannot fail */
        sem_post(&acceptor->slots); /* it may wait for one */
        pthread_join(acceptor->thread, NULL);
    }
    close(acceptor->fd);
    acceptor->fd = -1;
}

void gf__acceptor_free(gf__acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    gf__acceptor_close(acceptor);
    if (acceptor->wake_fd >= 0)
        close(acceptor->wake_fd);
    sem_destroy(&acceptor->slots);
    gf__free(acceptor);
}
