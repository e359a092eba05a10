/* download_server.h: a server of our own on the loopback, which misbehaves as its paths say, and downloads
 * from it. */
#ifndef GRAFT_TESTS_DOWNLOAD_SERVER_H
#define GRAFT_TESTS_DOWNLOAD_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "check.h"

#define N_BODY 50000
/* The server answers once a connection, and says so: a client that believed it could send its next
 * request on the same one would meet a reset where the close is slower than the request. */
#define CLOSE "Connection: close\r\n"

typedef struct server {
    int listener;
    int port;
    pthread_t thread;
    atomic_int n_requests;
    char body[N_BODY];
    char last_request[4096]; /* read between downloads only */
} server;

static server srv;
static char *dir, *path, *part_path;

static inline void send_all(int client, const void *bytes, size_t n_bytes)
{
    const char *at = bytes;
    while (n_bytes > 0) {
        const ssize_t n = send(client, at, n_bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += n;
        n_bytes -= (size_t)n;
    }
}

static void send_text(int client, const char *fmt, ...) GF_PRINTF(2, 3);
static inline void send_text(int client, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    send_all(client, text, (size_t)n);
}

/* The offset of "Range: bytes=N-", or 0. */
static inline size_t asked_offset(void)
{
    const char *range = strstr(srv.last_request, "Range: bytes=");
    return range != NULL ? strtoul(range + 13, NULL, 10) : 0;
}

/* n_bytes of the body from start on, of a file that claims to be complete. */
static inline void send_part(int client, size_t start, size_t n_bytes, const char *etag)
{
    if (start > 0)
        send_text(client, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %zu-%d/%d\r\n",
                  start, N_BODY - 1, N_BODY);
    else
        send_text(client, "HTTP/1.1 200 OK\r\n");
    send_text(client, CLOSE "ETag: %s\r\nContent-Length: %zu\r\n\r\n", etag, N_BODY - start);
    send_all(client, srv.body + start, n_bytes);
}

static inline void serve_full(int client, int n_before)
{
    send_part(client, asked_offset(), N_BODY - asked_offset(), "\"v1\"");
}

/* Hangs up in the middle, twice. */
static inline void serve_drop(int client, int n_before)
{
    const size_t start = asked_offset();
    send_part(client, start, n_before < 2 ? 10000 : N_BODY - start, "\"v1\"");
}

/* Hangs up, then has another file, which is sent whole as If-Range demands. */
static inline void serve_changed(int client, int n_before)
{
    if (n_before == 0)
        send_part(client, 0, 10000, "\"old\"");
    else
        send_part(client,
                  strstr(srv.last_request, "If-Range: \"old\"") != NULL ? 0 : asked_offset(),
                  N_BODY, "\"new\"");
}

/* The same from a server that does not know If-Range: noticed by its ETag. */
static inline void serve_changed_rudely(int client, int n_before)
{
    const size_t start = asked_offset();
    send_part(client, start, n_before == 0 ? 10000 : N_BODY - start,
              n_before == 0 ? "\"old\"" : "\"new\"");
}

static inline void serve_without_range(int client, int n_before)
{
    send_part(client, 0, n_before == 0 ? 10000 : N_BODY, "\"v1\"");
}

static inline void serve_wrong_range(int client, int n_before)
{
    const size_t start = asked_offset();
    send_part(client, start > 0 ? start - 1 : 0, n_before == 0 ? 10000 : N_BODY - start, "\"v1\"");
}

/* Complete already, or too long: nothing to send from there on. */
static inline void serve_range_error(int client, int n_before)
{
    if (asked_offset() >= N_BODY)
        send_text(client,
                  "HTTP/1.1 416 Range Not Satisfiable\r\n" CLOSE "Content-Range: bytes */%d\r\n"
                  "Content-Length: 4\r\n\r\noops",
                  N_BODY);
    else
        serve_full(client, n_before);
}

static inline void serve_404(int client, int n_before)
{
    send_text(client, "HTTP/1.1 404 Not Found\r\n" CLOSE "Content-Length: 5\r\n\r\nsorry");
}

static inline void serve_403(int client, int n_before)
{
    send_text(client, "HTTP/1.1 403 Forbidden\r\n" CLOSE "Content-Length: 0\r\n\r\n");
}

static inline void serve_503_once(int client, int n_before)
{
    if (n_before == 0)
        send_text(client, "HTTP/1.1 503 Busy\r\n" CLOSE "Content-Length: 5\r\n\r\nlater");
    else
        serve_full(client, n_before);
}

static inline void serve_503(int client, int n_before)
{
    send_text(client, "HTTP/1.1 503 Busy\r\n" CLOSE "Content-Length: 5\r\n\r\nlater");
}

static inline void serve_503_for_long(int client, int n_before)
{
    send_text(client, "HTTP/1.1 503 Busy\r\n" CLOSE "Retry-After: 7\r\nContent-Length: 0\r\n\r\n");
}

/* Sends a little and then nothing, until the client hangs up. */
static inline void serve_stall(int client, int n_before)
{
    char byte;
    send_part(client, 0, 1000, "\"v1\"");
    while (recv(client, &byte, 1, 0) > 0)
        continue;
}

static inline void serve_redirect(int client, int n_before)
{
    send_text(client,
              "HTTP/1.1 302 Found\r\n" CLOSE "Location: /full\r\nContent-Length: 5\r\n\r\nthere");
}

static inline void serve_redirect_to_file(int client, int n_before)
{
    send_text(client, "HTTP/1.1 302 Found\r\n" CLOSE "Location: file:///etc/hostname\r\n"
                      "Content-Length: 0\r\n\r\n");
}

static inline void serve_loop(int client, int n_before)
{
    send_text(client,
              "HTTP/1.1 302 Found\r\n" CLOSE "Location: /loop\r\nContent-Length: 0\r\n\r\n");
}

static inline void serve_without_length(int client, int n_before)
{
    send_text(client, "HTTP/1.0 200 OK\r\n\r\n");
    send_all(client, srv.body, N_BODY);
}

static inline void serve_empty(int client, int n_before)
{
    send_text(client, "HTTP/1.1 200 OK\r\n" CLOSE "Content-Length: 0\r\n\r\n");
}

static const struct {
    const char *name;
    void (*serve)(int client, int n_before);
} routes[] = {
    {"/full", serve_full},
    {"/drop", serve_drop},
    {"/changed", serve_changed},
    {"/changed-rudely", serve_changed_rudely},
    {"/without-range", serve_without_range},
    {"/wrong-range", serve_wrong_range},
    {"/range-error", serve_range_error},
    {"/404", serve_404},
    {"/403", serve_403},
    {"/503-once", serve_503_once},
    {"/503", serve_503},
    {"/503-for-long", serve_503_for_long},
    {"/stall", serve_stall},
    {"/redirect", serve_redirect},
    {"/redirect-to-file", serve_redirect_to_file},
    {"/loop", serve_loop},
    {"/without-length", serve_without_length},
    {"/empty", serve_empty},
};

static inline bool read_request(int client)
{
    size_t n_bytes = 0;
    while (n_bytes < sizeof srv.last_request - 1) {
        const ssize_t n = recv(client, srv.last_request + n_bytes,
                               sizeof srv.last_request - 1 - n_bytes, 0);
        if (n <= 0)
            return false;
        n_bytes += (size_t)n;
        srv.last_request[n_bytes] = '\0';
        if (strstr(srv.last_request, "\r\n\r\n") != NULL)
            return true;
    }
    return false;
}

static inline void answer(int client)
{
    char target[256] = "";
    sscanf(srv.last_request, "GET %255s", target);
    const char *name = strrchr(target, '/'); /* a proxy is sent the whole address */
    for (size_t i = 0; name != NULL && i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].name, name) == 0)
            routes[i].serve(client, atomic_fetch_add(&srv.n_requests, 1));
    }
}

/* One request a connection, until the listener is shut down. */
static inline void *run_server(void *unused)
{
    for (;;) {
        const int client = accept(srv.listener, NULL, NULL);
        if (client < 0)
            return NULL;
        if (read_request(client))
            answer(client);
        close(client);
    }
}

static inline int start_server(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t n_address = sizeof address;
    for (size_t i = 0; i < N_BODY; i++)
        srv.body[i] = (char)(i % 251);
    srv.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(srv.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(srv.listener, 16), 0);
    getsockname(srv.listener, (struct sockaddr *)&address, &n_address);
    srv.port = ntohs(address.sin_port);
    return pthread_create(&srv.thread, NULL, run_server, NULL);
}

static inline int stop_server(void **state)
{
    shutdown(srv.listener, SHUT_RDWR);
    pthread_join(srv.thread, NULL);
    return close(srv.listener);
}

static inline int enter(void **state)
{
    dir = check_temp_dir();
    path = gf__path_join(dir, "weights.h5");
    part_path = gf__asprintf("%s.part", path);
    atomic_store(&srv.n_requests, 0);
    return 0;
}

static inline int leave(void **state)
{
    gf__free(part_path);
    gf__free(path);
    check_remove_dir(dir);
    return 0;
}

static inline gf__download_options fast_options(void)
{
    gf__download_options options = gf__download_options_default();
    options.retry_wait_ms = 1;
    return options;
}

static inline gf_status fetch(const char *name, const gf__download_options *options,
                              const gf_observer *obs)
{
    const gf__download_options fast = fast_options();
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", srv.port, name);
    return gf__download(url, path, options != NULL ? options : &fast, obs, &check_err);
}

/* The server's body is at path, and nothing else is in the folder. */
static inline void check_complete(void)
{
    char *bytes = NULL;
    size_t size = 0;
    CHECK_OK(gf__read_file(path, 1 << 20, &bytes, &size, &check_err));
    CHECK_EQ(size, N_BODY);
    assert_memory_equal(bytes, srv.body, N_BODY);
    gf__free(bytes);
    CHECK(!gf__is_file(part_path));
}

static inline void check_nothing_left(void)
{
    CHECK(!gf__is_file(path));
    CHECK(!gf__is_file(part_path));
}

#define IN_DIR(name) cmocka_unit_test_setup_teardown(name, enter, leave)

#endif
