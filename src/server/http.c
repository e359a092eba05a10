/* server/http.c: the listener: sockets to requests, responses to sockets. The only file that knows
 * libmicrohttpd: one thread a connection, which reads, runs the handler and writes.
 *
 * A refusal is sent before the body is in, and what the client still sends is read for a moment,
 * since closing at once would take the answer from it. */
#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/http_priv.h"

#define STACK_BYTES   ((size_t)1 << 20) /* address space; what is not touched costs nothing */
#define SMALL_DISCARD ((uint64_t)64 << 10)
#define SEND_EXTRA_S  1
#define STREAM_BLOCK  ((size_t)16 << 10)

struct gf__listener {
    gf__listener_options options;
    struct MHD_Daemon *daemon;
    int port;
    gf__acceptor *acceptor;
    atomic_bool lets_go;
    atomic_size_t n_in_flight;
    gf__peers *peers;
};

/* One request on its way. */
typedef struct incoming {
    gf__request request;
    gf__exchange exchange;
    gf__listener *listener;
    gf__peer *peer;
    struct MHD_Connection *http;
    char *target;
    char client[INET6_ADDRSTRLEN];
    bool has_begun, is_early, is_hopeless, was_answered;
    gf_status st;
    gf_error err;
    gf__body body;
    uint64_t n_discarded;
    gf__response response;
    double begin_s;
    uint64_t n_sent_bytes;
} incoming;

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

/* ---- the head of a request ------------------------------------------------------------------- */

/* Called with the request line; what it returns comes with every later call of the request. */
static void *request_begins(void *user, const char *target, struct MHD_Connection *http)
{
    gf__listener *listener = user;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        http, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    incoming *in = gf__calloc(1, sizeof *in);
    if (in == NULL || info == NULL || info->socket_context == NULL) {
        gf__free(in);
        return NULL;
    }
    in->listener = listener;
    in->http = http;
    in->peer = info->socket_context;
    in->request.exchange = &in->exchange;
    in->body.fd = -1;
    in->begin_s = gf__clock_s();
    in->target = gf__strdup(target != NULL ? target : "");
    atomic_fetch_add(&listener->n_in_flight, 1);
    return in;
}

static void read_client(incoming *in, struct MHD_Connection *http)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        http, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL)
        return;
    const struct sockaddr *address = info->client_addr;
    if (address->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
                        in->client, sizeof in->client);
    else if (address->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
                        in->client, sizeof in->client);
}

static enum MHD_Result add_header(void *user, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    incoming *in = user;
    gf__exchange *exchange = &in->exchange;
    if (exchange->n_headers == GF__MAX_HEADERS) {
        in->request.refused_code = 431;
        in->st = gf_error_set(&in->err, GF_ELIMIT, "the request has more than %d headers",
                              GF__MAX_HEADERS);
        return MHD_NO;
    }
    exchange->headers[exchange->n_headers++] = (gf__pair){.name = name,
                                                          .value = value != NULL ? value : ""};
    return MHD_YES;
}

static gf_status refuse(incoming *in, int code, gf_status st)
{
    in->request.refused_code = code;
    in->st = st;
    return st;
}

/* Whether the whole is within the limits that hold before anybody looked at it. */
static gf_status check_head(incoming *in, struct MHD_Connection *http, const char *method)
{
    const gf__listener_options *options = &in->listener->options;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        http, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const size_t n_header_bytes = info != NULL ? info->header_size : 0;
    (void)MHD_get_connection_values(http, MHD_HEADER_KIND, add_header, in);
    if (in->target == NULL)
        return refuse(in, 0, gf__error_nomem(&in->err, "an address", 0));
    gf_error err = {0};
    const gf_status st = gf__request_read(&in->request, method, in->target, &err);
    if (in->st != GF_OK)
        return in->st;
    if (st != GF_OK) {
        in->err = err;
        return refuse(in, st == GF_EFORMAT ? 400 : 0, st);
    }
    if (n_header_bytes > options->max_header_bytes)
        return refuse(in, 431,
                      gf_error_set(&in->err, GF_ELIMIT,
                                   "the request line and headers have %zu bytes, more than %zu",
                                   n_header_bytes, options->max_header_bytes));
    const char *coding = gf__request_header(&in->request, "Content-Encoding");
    if (coding != NULL && strcasecmp(coding, "identity") != 0)
        return refuse(in, 415,
                      gf_error_set(&in->err, GF_EUNSUPPORTED,
                                   "Content-Encoding: %.40s; send the body as it is", coding));
    return GF_OK;
}

static gf_status admit(incoming *in, uint64_t n_announced)
{
    const gf__listener_options *options = &in->listener->options;
    gf_status st = options->admit(options->user, &in->request, &in->body.max_bytes,
                                  &in->body.spool_path, &in->err);
    if (st != GF_OK)
        return refuse(in, in->request.refused_code, st);
    st = gf__body_begin(&in->body, n_announced, &in->err);
    return st == GF_OK ? GF_OK : refuse(in, st == GF_ELIMIT ? 413 : 0, st);
}

/* ---- answering ------------------------------------------------------------------------------- */

static void free_body(void *memory)
{
    gf__free(memory);
}

static struct MHD_Response *file_response(gf__response *from, uint64_t *n_bytes)
{
    struct stat info;
    const int fd = open(from->file_path, O_RDONLY | O_CLOEXEC);
    struct MHD_Response *response = NULL;
    if (fd >= 0 && fstat(fd, &info) == 0) {
        *n_bytes = (uint64_t)info.st_size;
        response = MHD_create_response_from_fd64(*n_bytes, fd);
    }
    if (response == NULL && fd >= 0)
        close(fd);
    return response;
}

static struct MHD_Response *buffer_response(gf__response *from, uint64_t *n_bytes)
{
    size_t size = 0;
    char *body = gf__buffer_take(&from->body, &size);
    struct MHD_Response *response = NULL;
    *n_bytes = size;
    if (body != NULL)
        response = MHD_create_response_from_buffer_with_free_callback(size, body, free_body);
    if (response == NULL)
        gf__free(body);
    return response;
}

/* The library's own clock runs only while an answer is being sent; switching it on winds it. */
static void set_send_timeout(incoming *in, struct MHD_Connection *http, bool is_on)
{
    const int ms = in->listener->options.read_timeout_ms;
    const unsigned int seconds = is_on && ms > 0 ? (unsigned int)((ms + 999) / 1000) + SEND_EXTRA_S
                                                 : 0u;
    (void)MHD_set_connection_option(http, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

/* A stream may say nothing for longer than a client may take to read. */
static ssize_t pull_stream(void *user, uint64_t n_before, char *bytes, size_t n_room)
{
    incoming *in = user;
    size_t n = 0;
    set_send_timeout(in, in->http, false);
    const gf__stream_look look = gf__stream_read(&in->response.stream, gf__peer_fd(in->peer), bytes,
                                                 n_room, &n);
    set_send_timeout(in, in->http, true);
    in->n_sent_bytes += n;
    switch (look) {
    case GF__STREAM_MORE:
        return (ssize_t)n;
    case GF__STREAM_END:
        return MHD_CONTENT_READER_END_OF_STREAM;
    case GF__STREAM_BROKEN:
        break;
    }
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(incoming *in)
{
    gf__response *from = &in->response;
    struct MHD_Response *response;
    if (from->stream.pull != NULL)
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, pull_stream,
                                                     in, NULL);
    else if (from->file_path != NULL)
        response = file_response(from, &in->n_sent_bytes);
    else
        response = buffer_response(from, &in->n_sent_bytes);
    if (response == NULL)
        return NULL;
    if (from->content_type == NULL)
        from->content_type = "application/json";
    (void)MHD_add_response_header(response, "Content-Type", from->content_type);
    (void)MHD_add_response_header(response, "X-Request-Id", in->request.id);
    if (atomic_load(&in->listener->lets_go))
        (void)MHD_add_response_header(response, "Connection", "close");
    for (size_t i = 0; i < from->n_headers; i++)
        (void)MHD_add_response_header(response, from->headers[i].name, from->headers[i].value);
    return response;
}

static void finish_body(incoming *in)
{
    gf__request *request = &in->request;
    gf_error ignored;
    gf_status st = gf__body_finish(&in->body, in->st == GF_OK ? &in->err : &ignored);
    if (in->st != GF_OK)
        return;
    if (st == GF_OK && in->body.spool_path != NULL) {
        request->body = in->body.spool_path;
        request->body_bytes = (size_t)in->body.n_bytes;
    } else if (st == GF_OK && in->body.bytes != NULL) {
        request->body = in->body.bytes;
        request->body_bytes = (size_t)in->body.n_bytes;
        st = gf__request_take_query_body(request, &in->err);
    }
    if (st != GF_OK)
        refuse(in, 0, st);
}

/* The file that was to be sent has been deleted since the handler looked. */
static void respond_gone(incoming *in)
{
    const gf__listener_options *options = &in->listener->options;
    gf__response_clear(&in->response);
    in->response = (gf__response){.code = 404};
    (void)refuse(in, 404,
                 gf_error_set(&in->err, GF_ENOTFOUND, "%.200s was deleted", in->request.path));
    options->respond(options->user, &in->request, in->st, &in->err, &in->response);
}

static enum MHD_Result answer(incoming *in, struct MHD_Connection *http)
{
    const gf__listener_options *options = &in->listener->options;
    if (in->was_answered)
        return MHD_YES;
    in->was_answered = true;
    gf__peer_is_served(in->peer);
    finish_body(in);
    in->response.code = 200;
    options->respond(options->user, &in->request, in->st, &in->err, &in->response);
    struct MHD_Response *response = make_response(in);
    if (response == NULL && in->response.file_path != NULL) {
        respond_gone(in);
        response = make_response(in);
    }
    if (response == NULL)
        return MHD_NO;
    set_send_timeout(in, http, true);
    const enum MHD_Result result = MHD_queue_response(http, (unsigned int)in->response.code,
                                                      response);
    MHD_destroy_response(response);
    return result;
}

/* ---- the body -------------------------------------------------------------------------------- */

static void take_bytes(incoming *in, const char *bytes, size_t n_bytes)
{
    gf__peer_received(in->peer, n_bytes);
    if (in->st == GF_OK) {
        const gf_status st = gf__body_take(&in->body, bytes, n_bytes, &in->err);
        if (st != GF_OK)
            refuse(in, st == GF_ELIMIT ? 413 : 0, st);
    }
    if (in->st != GF_OK) { /* an answer cannot be given in the middle of a chunked body */
        in->n_discarded += n_bytes;
        in->is_hopeless = in->n_discarded > GF__MAX_DISCARD;
    }
}

static enum MHD_Result begin(incoming *in, struct MHD_Connection *http, const char *method)
{
    uint64_t n_body_bytes = 0;
    in->has_begun = true;
    read_client(in, http);
    if (check_head(in, http, method) == GF_OK) {
        int code = 0;
        const gf_status st = gf__request_framing(&in->request, &n_body_bytes, &code, &in->err);
        (void)(st == GF_OK ? admit(in, n_body_bytes) : refuse(in, code, st));
    }
    gf__peer_wait(in->peer);
    if (in->st == GF_OK || n_body_bytes == 0)
        return MHD_YES;
    /* A short body that is coming anyway is taken, and the connection lives on. */
    if (n_body_bytes <= SMALL_DISCARD && gf__request_header(&in->request, "Expect") == NULL)
        return MHD_YES;
    in->is_early = true;
    return answer(in, http);
}

static enum MHD_Result handle(void *user, struct MHD_Connection *http, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *n_upload_bytes, void **context)
{
    incoming *in = *context;
    if (in == NULL)
        return MHD_NO;
    if (!in->has_begun)
        return begin(in, http, method);
    if (*n_upload_bytes > 0) {
        take_bytes(in, upload_data, *n_upload_bytes);
        *n_upload_bytes = 0;
        return in->is_hopeless ? MHD_NO : MHD_YES;
    }
    return answer(in, http);
}

static void request_ends(void *user, struct MHD_Connection *http, void **context,
                         enum MHD_RequestTerminationCode code)
{
    incoming *in = *context;
    *context = NULL;
    if (in == NULL)
        return;
    gf__listener *listener = in->listener;
    const bool is_complete = code == MHD_REQUEST_TERMINATED_COMPLETED_OK && in->was_answered;
    const bool is_head = in->has_begun && strcmp(in->request.method, "HEAD") == 0;
    if (in->has_begun)
        listener->options.done(listener->options.user, &in->request, &in->response,
                               (gf__clock_s() - in->begin_s) * 1e3,
                               is_complete && !is_head ? in->n_sent_bytes : 0, in->client,
                               is_complete);
    gf__body_free(&in->body);
    atomic_fetch_sub(&listener->n_in_flight, 1);
    set_send_timeout(in, http, false);
    if (in->is_early && is_complete && !atomic_load(&listener->lets_go))
        gf__peer_linger(in->peer, listener->options.tls_cert_pem != NULL);
    gf__peer_wait(in->peer);
    gf__request_clear(&in->request);
    gf__response_clear(&in->response);
    gf__free(in->target);
    gf__free(in);
}

/* ---- the listener ---------------------------------------------------------------------------- */

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
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)request_ends, listener},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)notify_connection, listener},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)request_begins, listener},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL}, /* Host, no blanks in addresses */
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
    }
    listener->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, listener, MHD_OPTION_ARRAY,
                                        items, MHD_OPTION_END);
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
