/* toy_server.h: the listener with a toy respond() that tells what it got, and a client of bare sockets. */
#ifndef GRAFT_TESTS_TOY_SERVER_H
#define GRAFT_TESTS_TOY_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "check.h"
#include "server/http.h"

#define MAX_BODY   100000u
#define MAX_HEADER 4096u

/* What the toy server is told to do, and what it saw. */
typedef struct toy_server {
    const char *spool_dir; /* bodies go to files there */
    bool refuses;          /* every request, before its body */
    atomic_int n_answered, n_done, n_cut;
    atomic_bool holds; /* answers wait until it is false */
    /* of /stream: pieces made, and those that may be; -1 fails; streams ended */
    atomic_int n_pieces, n_allowed, n_streams_ended;
    gf__listener *listener;
} toy_server;

static inline gf_status admit(void *user, gf__request *request, uint64_t *max_body_bytes,
                              char **spool_path, gf_error *err)
{
    toy_server *toy = user;
    *max_body_bytes = MAX_BODY;
    if (toy->refuses)
        return gf_error_set(err, GF_EDENIED, "not you");
    if (toy->spool_dir != NULL)
        *spool_path = gf__path_join(toy->spool_dir, "body");
    return GF_OK;
}

#define N_PIECES 3

/* "piece 1\n" to "piece 3\n", each when the test allows it. */
static inline gf_status pull(void *user, gf__buffer *out, bool *is_end, gf_error *err)
{
    toy_server *toy = user;
    const int n_allowed = atomic_load(&toy->n_allowed);
    if (n_allowed < 0)
        return gf_error_set(err, GF_EIO, "no more");
    if (atomic_load(&toy->n_pieces) < n_allowed)
        gf__buffer_printf(out, "piece %d\n", atomic_fetch_add(&toy->n_pieces, 1) + 1);
    else
        usleep(1000);
    *is_end = atomic_load(&toy->n_pieces) == N_PIECES;
    return GF_OK;
}

static inline void end_stream(void *user)
{
    toy_server *toy = user;
    atomic_fetch_add(&toy->n_streams_ended, 1);
}

/* "METHOD PATH BODY_BYTES SUM", where the sum is over the body's bytes. */
static inline void respond(void *user, gf__request *request, gf_status st, const gf_error *err,
                           gf__response *response)
{
    toy_server *toy = user;
    while (atomic_load(&toy->holds))
        usleep(1000);
    if (st != GF_OK) {
        response->code = request->refused_code != 0 ? request->refused_code : 403;
        gf__buffer_printf(&response->body, "%s", err->message);
    } else if (strcmp(request->path, "/stream") == 0) {
        response->content_type = "text/plain";
        response->stream = (gf__stream){.pull = pull, .end = end_stream, .user = toy};
    } else if (strcmp(request->path, "/gone") == 0) {
        response->file_path = gf__strdup("/no/such/file");
    } else if (toy->spool_dir != NULL) {
        uint64_t size = 0;
        (void)gf__file_size(request->body, &size, NULL);
        gf__buffer_printf(&response->body, "%s %s %zu file %d", request->method, request->path,
                          request->body_bytes, (int)size);
    } else {
        unsigned sum = 0;
        for (size_t i = 0; i < request->body_bytes; i++)
            sum += (unsigned char)request->body[i];
        gf__buffer_printf(&response->body, "%s %s %zu %u", request->method, request->path,
                          request->body_bytes, sum);
        if (request->body[request->body_bytes] != '\0')
            gf__buffer_puts(&response->body, " no NUL");
    }
    const char *q = gf__request_query(request, "q");
    if (q != NULL)
        gf__buffer_printf(&response->body, " q=%s", q);
    if (gf__request_header(request, "x-colour") != NULL)
        gf__response_header(response, "X-Colour", "%s", gf__request_header(request, "X-COLOUR"));
    atomic_fetch_add(&toy->n_answered, 1);
}

static inline void done(void *user, const gf__request *request, const gf__response *response,
                        double total_ms, uint64_t n_sent_bytes, const char *client_address,
                        bool is_complete)
{
    toy_server *toy = user;
    assert_string_equal(client_address, "127.0.0.1");
    atomic_fetch_add(is_complete ? &toy->n_done : &toy->n_cut, 1);
}

static inline toy_server *start(int read_timeout_ms, size_t max_connections)
{
    toy_server *toy = calloc(1, sizeof *toy);
    const gf__listener_options options = {.address = "127.0.0.1",
                                          .max_header_bytes = MAX_HEADER,
                                          .max_connections = max_connections,
                                          .read_timeout_ms = read_timeout_ms,
                                          .user = toy,
                                          .admit = admit,
                                          .respond = respond,
                                          .done = done};
    CHECK_OK(gf__listener_open(&options, &toy->listener, &check_err));
    CHECK_OK(gf__listener_accept(toy->listener, &check_err));
    return toy;
}

static inline void stop(toy_server *toy)
{
    gf__listener_free(toy->listener);
    free(toy);
}

static inline int dial(const toy_server *toy)
{
    const struct sockaddr_in where = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)gf__listener_port(toy->listener)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&where, sizeof where), 0);
    return fd;
}

static inline bool put(int fd, const char *bytes, size_t n_bytes)
{
    while (n_bytes > 0) {
        const ssize_t n = send(fd, bytes, n_bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        n_bytes -= (size_t)n;
    }
    return true;
}

static inline bool put_text(int fd, const char *text)
{
    return put(fd, text, strlen(text));
}

static inline void puts_to(int fd, const char *text)
{
    assert_true(put_text(fd, text));
}

/* One answer: head and body. Returns its code; 0 where the connection ended before. */
static inline int get(int fd, char *answer, size_t n_room)
{
    size_t n = 0;
    char *end = NULL;
    while (end == NULL) {
        if (n + 1 >= n_room || recv(fd, answer + n, 1, 0) != 1)
            return 0;
        answer[++n] = '\0';
        end = strstr(answer, "\r\n\r\n");
    }
    const int code = (int)strtol(answer + 9, NULL, 10);
    const char *length = strcasestr(answer, "\r\nContent-Length:");
    size_t left = length != NULL && code != 100 ? (size_t)strtoul(length + 17, NULL, 10) : 0;
    while (left > 0 && n + 1 < n_room) {
        const ssize_t got = recv(fd, answer + n, left < n_room - n - 1 ? left : n_room - n - 1, 0);
        if (got <= 0)
            return 0;
        n += (size_t)got;
        left -= (size_t)got;
        answer[n] = '\0';
    }
    return code;
}

static inline bool is_at_end(int fd)
{
    char c;
    return recv(fd, &c, 1, 0) <= 0;
}

/* Sends the text on a connection of its own and gives the answer's code. */
static inline int ask(const toy_server *toy, const char *text, char answer[4096])
{
    const int fd = dial(toy);
    const int code = put_text(fd, text) ? get(fd, answer, 4096) : 0;
    close(fd);
    return code;
}

static inline const char *body_of(const char *answer)
{
    return strstr(answer, "\r\n\r\n") + 4;
}

/* A POST of n letters 'a'. */
static inline int post(int fd, size_t n_bytes, char answer[4096])
{
    char head[200];
    char *body = malloc(n_bytes + 1);
    memset(body, 'a', n_bytes);
    snprintf(head, sizeof head, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
             n_bytes);
    const bool is_sent = put(fd, head, strlen(head)) && put(fd, body, n_bytes);
    free(body);
    const int code = get(fd, answer, 4096);
    assert_true(is_sent || code != 0);
    return code;
}

#endif
