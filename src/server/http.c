/* server/http.c: the listener: libmicrohttpd set up for one thread a connection, which reads, runs
 * the handler and writes (http_incoming.c, http_outgoing.c). */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "server/http_mhd_priv.h"

/* RFC 8996: the versions before are no more to be spoken. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define STACK_BYTES    ((size_t)1 << 20) /* address space; what is not touched costs nothing */

static void notify_connection(void *user, struct MHD_Connection *http, void **socket_context,
                              enum MHD_ConnectionNotificationCode code)
{
    gf__listener *listener = user;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(
            http, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = gf__peers_add(listener->peers, (int)info->connect_fd);
    } else {
        gf__peers_remove(listener->peers, *socket_context);
        *socket_context = NULL;
        gf__acceptor_give_back(listener->acceptor);
    }
}
/* Addresses stay as they came: the library would decode them before anybody could look. */
static size_t keep_escapes(void *user, struct MHD_Connection *http, char *text)
{
    return strlen(text);
}

static gf_status start_daemon(gf__listener *listener, gf_error *err)
{
    const gf__listener_options *options = &listener->options;
    /* Room for what is read at once and for the answer's headers, beside the longest head. */
    const size_t pool_bytes = 2 * options->max_header_bytes + ((size_t)64 << 10);
    struct MHD_OptionItem items[] = {
        /* The acceptor counts; here a connection is counted a moment longer. */
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)(2 * options->max_connections + 64), NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)pool_bytes, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (intptr_t)16384, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, (intptr_t)STACK_BYTES, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)gf__incoming_end, listener},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)notify_connection, listener},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)gf__incoming_begin, listener},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        /* Its own checks answer with a page, and with two heads where Host is missing. */
        {MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned int flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                         MHD_USE_POLL | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET;
    if (options->tls_cert_pem != NULL) {
        flags |= MHD_USE_TLS;
        items[9] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0,
                                           (void *)(uintptr_t)options->tls_cert_pem};
        items[10] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0,
                                            (void *)(uintptr_t)options->tls_key_pem};
        items[11] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                            (void *)(uintptr_t)TLS_PRIORITIES};
    }
    listener->daemon = MHD_start_daemon(flags, 0, NULL, NULL, gf__incoming_take, listener,
                                        MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (listener->daemon != NULL)
        return GF_OK;
    if (options->tls_cert_pem != NULL)
        return gf_error_set(
            err, GF_EFORMAT,
            "TLS certificate and key: not a pair of PEM texts that belong together");
    return gf_error_set(err, GF_EIO, "the HTTP listener cannot be started: %s", strerror(errno));
}

static bool take_connection(void *user, int fd, const struct sockaddr *address,
                            unsigned int n_bytes)
{
    const gf__listener *listener = user;
    return MHD_add_connection(listener->daemon, fd, address, n_bytes) == MHD_YES;
}

static gf_status open_port(gf__listener *listener, gf_error *err)
{
    const gf__listener_options *options = &listener->options;
    int fd = -1;
    gf_status st = gf__port_open(options->address, options->port, &fd, &listener->port, err);
    if (st != GF_OK)
        return st;
    st = gf__acceptor_new(fd, options->max_connections, take_connection, listener,
                          &listener->acceptor, err);
    if (st != GF_OK)
        close(fd);
    return st;
}

gf_status gf__listener_open(const gf__listener_options *options, gf__listener **out, gf_error *err)
{
    *out = NULL;
    gf__listener *listener = gf__calloc(1, sizeof *listener);
    if (listener == NULL)
        return gf__error_nomem(err, "a listener", sizeof *listener);
    listener->options = *options;
    gf_status st = open_port(listener, err);
    if (st == GF_OK)
        st = gf__peers_start(options->read_timeout_ms, &listener->peers, err);
    if (st == GF_OK) {
        /* Signals are for the threads of whoever embeds us; the library's inherit from this one. */
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        st = start_daemon(listener, err);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (st != GF_OK) {
        gf__listener_free(listener);
        return st;
    }
    *out = listener;
    return GF_OK;
}

gf_status gf__listener_accept(gf__listener *listener, gf_error *err)
{
    return gf__acceptor_start(listener->acceptor, err);
}

int gf__listener_port(const gf__listener *listener)
{
    return listener->port;
}

size_t gf__listener_n_in_flight(const gf__listener *listener)
{
    return atomic_load(&listener->n_in_flight);
}

void gf__listener_let_go(gf__listener *listener)
{
    atomic_store(&listener->lets_go, true);
}

void gf__listener_close(gf__listener *listener)
{
    gf__listener_let_go(listener);
    gf__acceptor_close(listener->acceptor);
}

void gf__listener_free(gf__listener *listener)
{
    if (listener == NULL)
        return;
    if (listener->acceptor != NULL)
        gf__listener_close(listener);
    if (listener->daemon != NULL)
        MHD_stop_daemon(listener->daemon);
    gf__peers_stop(listener->peers);
    gf__acceptor_free(listener->acceptor);
    gf__free(listener);
}
