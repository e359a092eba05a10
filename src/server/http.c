/* server/http.c: the listener: sockets to requests, responses to sockets. The only file that knows
 * libmicrohttpd: one thread a connection, which reads, runs the handler and writes.
 *
 * What the library does not do by itself is here: a body goes straight into one block of the size
 * that was announced, or into a file; a refusal is sent before the body is in, and what the client
 * still sends is read for a moment, since closing at once would take the answer from it; a thread
 * (the reaper) ends connections whose clients are too slow, however busy they keep the socket. */
#include "server/http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/http_priv.h"

#define STACK_BYTES    ((size_t)1 << 20) /* address space; what is not touched costs nothing */
#define LISTEN_BACKLOG 511
#define FIRST_BODY     ((size_t)16 << 10) /* of a body whose length is not announced */
#define MIN_BODY_RATE  4096u              /* bytes a second that a body must come at, on average */
#define SMALL_DISCARD  ((uint64_t)64 << 10)
#define MAX_DISCARD    ((uint64_t)64 << 20)
#define LINGER_MS      3000
#define NEVER          INT64_MAX
#define SEND_EXTRA_S   1

/* One client's socket, as the reaper sees it. */
typedef struct peer {
    struct peer *previous, *next;
    int fd;
    _Atomic int64_t waits_since_ms; /* for bytes of the client; 0: it is not its turn */
    _Atomic uint64_t n_received;    /* of the body since */
} peer;

struct gf__listener {
    gf__listener_options options;
    struct MHD_Daemon *daemon;
    int fd, port;
    atomic_bool lets_go;
    atomic_size_t n_in_flight;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    peer *connections;
    bool ends, has_reaper;
    pthread_t reaper;
};

/* One request on its way. */
typedef struct incoming {
    gf__request request;
    gf__exchange exchange;
    gf__listener *listener;
    peer *connection;
    char *target;
    char client[INET6_ADDRSTRLEN];
    bool has_begun, is_early, is_hopeless, was_answered;
    gf_status st;
    gf_error err;
    uint64_t max_body_bytes, n_body, n_discarded;
    size_t capacity;
    char *body;
    char *spool_path;
    int spool_fd;
    gf__response response;
    double begin_s;
    uint64_t n_sent_bytes;
} incoming;

void gf__response_header(gf__response *response, const char *name, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *value = n < 0 ? NULL : gf__malloc((size_t)n + 1);
    if (value != NULL)
        (void)vsnprintf(value, (size_t)n + 1, fmt, again);
    va_end(again);
    if (value == NULL)
        return; /* a header less, and an answer */
    for (size_t i = 0; i < response->n_headers; i++) {
        if (strcasecmp(response->headers[i].name, name) == 0) {
            gf__free(response->headers[i].value);
            response->headers[i].value = value;
            return;
        }
    }
    assert(response->n_headers < GF__MAX_RESPONSE_HEADERS);
    response->headers[response->n_headers].name = name;
    response->headers[response->n_headers++].value = value;
}

static void clear_response(gf__response *response)
{
    for (size_t i = 0; i < response->n_headers; i++)
        gf__free(response->headers[i].value);
    response->n_headers = 0;
    gf__buffer_free(&response->body);
    gf__free(response->file_path);
    response->file_path = NULL;
}

/* ---- clients that are too slow --------------------------------------------------------------- */

static void wait_for_client(peer *connection)
{
    atomic_store(&connection->n_received, 0);
    atomic_store(&connection->waits_since_ms, gf__clock_ms());
}

/* The grace of the options, and a second more for each MIN_BODY_RATE bytes that came. */
static int64_t deadline_of(const gf__listener *listener, const peer *connection)
{
    const int64_t since = atomic_load(&connection->waits_since_ms);
    if (since == 0)
        return NEVER;
    const uint64_t n = atomic_load(&connection->n_received);
    return since + listener->options.read_timeout_ms + (int64_t)(n / MIN_BODY_RATE) * 1000;
}

static void *reap(void *user)
{
    gf__listener *listener = user;
    pthread_mutex_lock(&listener->mutex);
    while (!listener->ends) {
        const int64_t now = gf__clock_ms();
        int64_t first = NEVER;
        for (peer *c = listener->connections; c != NULL; c = c->next) {
            const int64_t deadline = deadline_of(listener, c);
            if (deadline <= now) {
                shutdown(c->fd, SHUT_RDWR); /* its thread wakes up and closes */
                atomic_store(&c->waits_since_ms, 0);
            } else if (deadline < first) {
                first = deadline;
            }
        }
        if (listener->connections == NULL) {
            pthread_cond_wait(&listener->changed, &listener->mutex);
            continue;
        }
        /* Whoever begins to wait from now on may wait that long at least. */
        if (first > now + listener->options.read_timeout_ms)
            first = now + listener->options.read_timeout_ms;
        const struct timespec until = {.tv_sec = (time_t)(first / 1000),
                                       .tv_nsec = (long)(first % 1000) * 1000000};
        pthread_cond_timedwait(&listener->changed, &listener->mutex, &until);
    }
    pthread_mutex_unlock(&listener->mutex);
    return NULL;
}

static void connection_begins(gf__listener *listener, int fd, void **socket_context)
{
    peer *connection = gf__calloc(1, sizeof *connection);
    *socket_context = connection;
    if (connection == NULL) {
        shutdown(fd, SHUT_RDWR);
        return;
    }
    connection->fd = fd;
    wait_for_client(connection);
    pthread_mutex_lock(&listener->mutex);
    connection->next = listener->connections;
    if (connection->next != NULL)
        connection->next->previous = connection;
    else
        pthread_cond_signal(&listener->changed);
    listener->connections = connection;
    pthread_mutex_unlock(&listener->mutex);
}

static void connection_ends(gf__listener *listener, peer *connection)
{
    if (connection == NULL)
        return;
    pthread_mutex_lock(&listener->mutex);
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        listener->connections = connection->next;
    pthread_mutex_unlock(&listener->mutex);
    gf__free(connection);
}

static void notify_connection(void *user, struct MHD_Connection *http, void **socket_context,
                              enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(
            http, MHD_CONNECTION_INFO_CONNECTION_FD);
        connection_begins(user, (int)info->connect_fd, socket_context);
    } else {
        connection_ends(user, *socket_context);
        *socket_context = NULL;
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
    in->connection = info->socket_context;
    in->request.exchange = &in->exchange;
    in->spool_fd = -1;
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

/* How long the body is: 0 without one, UINT64_MAX chunked. What two readers could understand in
 * two ways is refused. */
static gf_status read_framing(incoming *in, uint64_t *n_bytes)
{
    const char *length = NULL, *encoding = NULL;
    size_t n_lengths = 0, n_encodings = 0;
    for (size_t i = 0; i < in->exchange.n_headers; i++) {
        const gf__pair *header = &in->exchange.headers[i];
        if (strcasecmp(header->name, "Content-Length") == 0) {
            length = header->value;
            n_lengths++;
        } else if (strcasecmp(header->name, "Transfer-Encoding") == 0) {
            encoding = header->value;
            n_encodings++;
        }
    }
    *n_bytes = 0;
    if (n_lengths + n_encodings > 1)
        return refuse(in, 400,
                      gf_error_set(&in->err, GF_EFORMAT,
                                   "the request says more than once how long its body is"));
    if (encoding != NULL) {
        *n_bytes = UINT64_MAX;
        if (strcasecmp(encoding, "chunked") != 0)
            return refuse(in, 501,
                          gf_error_set(&in->err, GF_EUNSUPPORTED,
                                       "Transfer-Encoding: %.40s; only chunked is understood",
                                       encoding));
    }
    for (const char *p = length; p != NULL && *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || *n_bytes > (UINT64_MAX >> 1) / 10)
            return refuse(
                in, 400,
                gf_error_set(&in->err, GF_EFORMAT, "Content-Length: %.40s is no length", length));
        *n_bytes = *n_bytes * 10 + (uint64_t)(*p - '0');
    }
    return GF_OK;
}

static gf_status refuse_too_long(incoming *in)
{
    gf__free(in->body);
    in->body = NULL;
    return refuse(in, 413,
                  gf_error_set(&in->err, GF_ELIMIT,
                               "Request payload size exceeds the limit: %llu bytes.",
                               (unsigned long long)in->max_body_bytes));
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

static gf_status admit(incoming *in, uint64_t n_body_bytes)
{
    const gf__listener_options *options = &in->listener->options;
    const gf_status st = options->admit(options->user, &in->request, &in->max_body_bytes,
                                        &in->spool_path, &in->err);
    if (st != GF_OK)
        return refuse(in, in->request.refused_code, st);
    if (n_body_bytes != UINT64_MAX && n_body_bytes > in->max_body_bytes)
        return refuse_too_long(in);
    if (n_body_bytes == 0 && in->spool_path == NULL)
        return GF_OK;
    if (in->spool_path != NULL) {
        in->spool_fd = open(in->spool_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (in->spool_fd < 0)
            return refuse(in, 0, gf__error_errno(&in->err, errno, "%s", in->spool_path));
        return GF_OK;
    }
    in->capacity = n_body_bytes != UINT64_MAX ? (size_t)n_body_bytes : FIRST_BODY;
    in->body = gf__malloc(in->capacity + 1);
    if (in->body == NULL)
        return refuse(in, 0, gf__error_nomem(&in->err, "a request", in->capacity));
    return GF_OK;
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

static struct MHD_Response *make_response(incoming *in)
{
    gf__response *from = &in->response;
    struct MHD_Response *response;
    if (from->file_path != NULL) {
        response = file_response(from, &in->n_sent_bytes);
    } else {
        size_t size = 0;
        char *body = gf__buffer_take(&from->body, &size);
        in->n_sent_bytes = size;
        response = body == NULL
                       ? NULL
                       : MHD_create_response_from_buffer_with_free_callback(size, body, free_body);
        if (response == NULL)
            gf__free(body);
    }
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

/* The library's own clock runs only while an answer is being sent. */
static void set_send_timeout(incoming *in, struct MHD_Connection *http, bool is_on)
{
    const int ms = in->listener->options.read_timeout_ms;
    const unsigned int seconds = is_on && ms > 0 ? (unsigned int)((ms + 999) / 1000) + SEND_EXTRA_S
                                                 : 0u;
    (void)MHD_set_connection_option(http, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static void close_spool(incoming *in)
{
    if (in->spool_fd < 0)
        return;
    if (close(in->spool_fd) != 0 && in->st == GF_OK)
        refuse(in, 0, gf__error_errno(&in->err, errno, "%s", in->spool_path));
    in->spool_fd = -1;
}

static void finish_body(incoming *in)
{
    gf__request *request = &in->request;
    close_spool(in);
    if (in->st != GF_OK)
        return;
    if (in->spool_path != NULL) {
        request->body = in->spool_path;
        request->body_bytes = (size_t)in->n_body;
    } else if (in->body != NULL) {
        in->body[in->n_body] = '\0';
        request->body = in->body;
        request->body_bytes = (size_t)in->n_body;
        const gf_status st = gf__request_take_query_body(request, &in->err);
        if (st != GF_OK)
            refuse(in, st == GF_EFORMAT ? 400 : 0, st);
    }
}

static enum MHD_Result answer(incoming *in, struct MHD_Connection *http)
{
    const gf__listener_options *options = &in->listener->options;
    if (in->was_answered)
        return MHD_YES;
    in->was_answered = true;
    atomic_store(&in->connection->waits_since_ms, 0);
    finish_body(in);
    in->response.code = 200;
    options->respond(options->user, &in->request, in->st, &in->err, &in->response);
    struct MHD_Response *response = make_response(in);
    if (response == NULL)
        return MHD_NO;
    set_send_timeout(in, http, true);
    const enum MHD_Result result = MHD_queue_response(http, (unsigned int)in->response.code,
                                                      response);
    MHD_destroy_response(response);
    return result;
}

/* ---- the body -------------------------------------------------------------------------------- */

static gf_status write_spool(incoming *in, const char *bytes, size_t n_bytes)
{
    while (n_bytes > 0) {
        const ssize_t n = write(in->spool_fd, bytes, n_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return refuse(in, 0, gf__error_errno(&in->err, errno, "%s", in->spool_path));
        bytes += n;
        n_bytes -= (size_t)n;
    }
    return GF_OK;
}

static gf_status make_room(incoming *in, size_t n_bytes)
{
    if (in->capacity - in->n_body >= n_bytes)
        return GF_OK;
    size_t wanted = in->capacity * 2;
    if (wanted < in->n_body + n_bytes)
        wanted = (size_t)in->n_body + n_bytes;
    char *body = gf__realloc(in->body, wanted + 1);
    if (body == NULL)
        return refuse(in, 0, gf__error_nomem(&in->err, "a request", wanted));
    in->body = body;
    in->capacity = wanted;
    return GF_OK;
}

static void take_bytes(incoming *in, const char *bytes, size_t n_bytes)
{
    atomic_fetch_add(&in->connection->n_received, n_bytes);
    if (in->st == GF_OK && n_bytes > in->max_body_bytes - in->n_body)
        refuse_too_long(in);
    if (in->st != GF_OK) { /* an answer cannot be given in the middle of a chunked body */
        in->n_discarded += n_bytes;
        in->is_hopeless = in->n_discarded > MAX_DISCARD;
        return;
    }
    if (in->spool_fd >= 0) {
        if (write_spool(in, bytes, n_bytes) == GF_OK)
            in->n_body += n_bytes;
    } else if (make_room(in, n_bytes) == GF_OK) {
        memcpy(in->body + in->n_body, bytes, n_bytes);
        in->n_body += n_bytes;
    }
}

static enum MHD_Result begin(incoming *in, struct MHD_Connection *http, const char *method)
{
    uint64_t n_body_bytes = 0;
    in->has_begun = true;
    read_client(in, http);
    if (check_head(in, http, method) == GF_OK && read_framing(in, &n_body_bytes) == GF_OK)
        (void)admit(in, n_body_bytes);
    wait_for_client(in->connection);
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

/* Reads what the client of a refused request still sends, for a moment and without looking: were
 * the socket closed with bytes unread, the client's system would throw the answer away. */
static void linger(const incoming *in)
{
    char ignored[16384];
    uint64_t n_read = 0;
    const int64_t end_ms = gf__clock_ms() + LINGER_MS;
    if (in->listener->options.tls_cert_pem == NULL)
        shutdown(in->connection->fd, SHUT_WR);
    while (n_read < MAX_DISCARD) {
        struct pollfd wait = {.fd = in->connection->fd, .events = POLLIN};
        const int64_t left_ms = end_ms - gf__clock_ms();
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) <= 0)
            return;
        const ssize_t n = recv(in->connection->fd, ignored, sizeof ignored, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
        n_read += n > 0 ? (uint64_t)n : 0;
    }
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
    close_spool(in);
    if (in->spool_path != NULL)
        (void)unlink(in->spool_path);
    atomic_fetch_sub(&listener->n_in_flight, 1);
    set_send_timeout(in, http, false);
    if (in->is_early && is_complete && !atomic_load(&listener->lets_go))
        linger(in);
    wait_for_client(in->connection);
    gf__request_clear(&in->request);
    clear_response(&in->response);
    gf__free(in->spool_path);
    gf__free(in->body);
    gf__free(in->target);
    gf__free(in);
}

/* ---- the listener ---------------------------------------------------------------------------- */

static gf_status bind_error(const gf__listener_options *options, int error, gf_error *err)
{
    const bool is_v6 = strchr(options->address, ':') != NULL;
    char name[160];
    (void)snprintf(name, sizeof name, is_v6 ? "[%.120s]:%d" : "%.120s:%d", options->address,
                   options->port);
    if (error == EADDRINUSE)
        return gf_error_set(err, GF_EIO,
                            "%s: the port is in use; choose another, or 0 for any free one", name);
    if (error == EADDRNOTAVAIL)
        return gf_error_set(err, GF_EIO, "%s: this machine does not have that address", name);
    if (error == EACCES)
        return gf_error_set(err, GF_EIO, "%s: ports below 1024 are for root", name);
    return gf_error_set(err, GF_EIO, "%s: %s", name, strerror(error));
}

static int open_socket(const struct addrinfo *where)
{
    const int on = 1, off = 0;
    const int fd = socket(where->ai_family, where->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (where->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static gf_status open_port(gf__listener *listener, gf_error *err)
{
    const gf__listener_options *options = &listener->options;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    const char *address = strcmp(options->address, "localhost") == 0 ? "127.0.0.1"
                                                                     : options->address;
    struct addrinfo *found = NULL;
    char port[16];
    (void)snprintf(port, sizeof port, "%d", options->port);
    const int failed = getaddrinfo(address, port, &hints, &found);
    if (failed != 0)
        return gf_error_set(err, GF_EINVAL, "address %.200s: %s", address, gai_strerror(failed));
    listener->fd = open_socket(found);
    const int error = errno;
    freeaddrinfo(found);
    if (listener->fd < 0)
        return bind_error(options, error, err);
    struct sockaddr_storage bound = {0};
    socklen_t n_bytes = sizeof bound;
    if (getsockname(listener->fd, (struct sockaddr *)&bound, &n_bytes) != 0)
        return bind_error(options, errno, err);
    listener->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                       : ((struct sockaddr_in *)&bound)->sin_port);
    return GF_OK;
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
        {MHD_OPTION_LISTEN_SOCKET, listener->fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)options->max_connections, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)pool_bytes, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (intptr_t)16384, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, (intptr_t)STACK_BYTES, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)request_ends, listener},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)notify_connection, listener},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)request_begins, listener},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned int flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                         MHD_USE_POLL | MHD_USE_ITC;
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

static gf_status start_reaper(gf__listener *listener, gf_error *err)
{
    if (listener->options.read_timeout_ms <= 0)
        return GF_OK;
    const int failed = pthread_create(&listener->reaper, NULL, reap, listener);
    if (failed != 0)
        return gf__error_errno(err, failed, "a thread for the HTTP listener");
    listener->has_reaper = true;
    return GF_OK;
}

static void init_locks(gf__listener *listener)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* gf__clock_ms()'s */
    pthread_cond_init(&listener->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&listener->mutex, NULL);
}

gf_status gf__listener_start(const gf__listener_options *options, gf__listener **out, gf_error *err)
{
    *out = NULL;
    gf__listener *listener = gf__calloc(1, sizeof *listener);
    if (listener == NULL)
        return gf__error_nomem(err, "a listener", sizeof *listener);
    listener->options = *options;
    listener->fd = -1;
    init_locks(listener);
    /* Signals are for the threads of whoever embeds us. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    gf_status st = open_port(listener, err);
    if (st == GF_OK)
        st = start_reaper(listener, err);
    if (st == GF_OK)
        st = start_daemon(listener, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (st != GF_OK) {
        gf__listener_free(listener);
        return st;
    }
    *out = listener;
    return GF_OK;
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
    if (listener->fd < 0)
        return;
    if (listener->daemon != NULL)
        (void)MHD_quiesce_daemon(listener->daemon);
    close(listener->fd);
    listener->fd = -1;
}

void gf__listener_free(gf__listener *listener)
{
    if (listener == NULL)
        return;
    gf__listener_close(listener);
    if (listener->daemon != NULL)
        MHD_stop_daemon(listener->daemon);
    pthread_mutex_lock(&listener->mutex);
    listener->ends = true;
    pthread_cond_signal(&listener->changed);
    pthread_mutex_unlock(&listener->mutex);
    if (listener->has_reaper)
        pthread_join(listener->reaper, NULL);
    pthread_cond_destroy(&listener->changed);
    pthread_mutex_destroy(&listener->mutex);
    gf__free(listener);
}
