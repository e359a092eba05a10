/* The listener: real sockets against a toy respond() that tells what it got. */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
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

static gf_status admit(void *user, gf__request *request, uint64_t *max_body_bytes,
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
static gf_status pull(void *user, gf__buffer *out, bool *is_end, gf_error *err)
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

static void end_stream(void *user)
{
    toy_server *toy = user;
    atomic_fetch_add(&toy->n_streams_ended, 1);
}

/* "METHOD PATH BODY_BYTES SUM", where the sum is over the body's bytes. */
static void respond(void *user, gf__request *request, gf_status st, const gf_error *err,
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

static void done(void *user, const gf__request *request, const gf__response *response,
                 double total_ms, uint64_t n_sent_bytes, const char *client_address,
                 bool is_complete)
{
    toy_server *toy = user;
    assert_string_equal(client_address, "127.0.0.1");
    atomic_fetch_add(is_complete ? &toy->n_done : &toy->n_cut, 1);
}

static toy_server *start(int read_timeout_ms, size_t max_connections)
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

static void stop(toy_server *toy)
{
    gf__listener_free(toy->listener);
    free(toy);
}

/* ---- a client -------------------------------------------------------------------------------- */

static int dial(const toy_server *toy)
{
    const struct sockaddr_in where = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)gf__listener_port(toy->listener)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&where, sizeof where), 0);
    return fd;
}

static bool put(int fd, const char *bytes, size_t n_bytes)
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

static void puts_to(int fd, const char *text)
{
    assert_true(put(fd, text, strlen(text)));
}

/* One answer: head and body. Returns its code; 0 where the connection ended before. */
static int get(int fd, char *answer, size_t n_room)
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

static bool is_at_end(int fd)
{
    char c;
    return recv(fd, &c, 1, 0) <= 0;
}

/* Sends the text on a connection of its own and gives the answer's code. */
static int ask(const toy_server *toy, const char *text, char answer[4096])
{
    const int fd = dial(toy);
    puts_to(fd, text);
    const int code = get(fd, answer, 4096);
    close(fd);
    return code;
}

static const char *body_of(const char *answer)
{
    return strstr(answer, "\r\n\r\n") + 4;
}

/* A POST of n letters 'a'. */
static int post(int fd, size_t n_bytes, char answer[4096])
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

/* ---- tests ----------------------------------------------------------------------------------- */

TEST(http__answers_with_what_was_asked)
{
    char answer[4096];
    toy_server *toy = start(5000, 10);
    CHECK_EQ(
        ask(toy, "GET /a%20b/c?q=x%26y&z=1 HTTP/1.1\r\nHost: x\r\nX-Colour: red\r\n\r\n", answer),
        200);
    CHECK_STR(body_of(answer), "GET /a%20b/c 0 0 q=x&y");
    CHECK(strstr(answer, "X-Colour: red\r\n") != NULL);
    CHECK(strstr(answer, "Content-Type: application/json\r\n") != NULL);
    CHECK_EQ(ask(toy, "GET http://host:80/abc?q=1 HTTP/1.1\r\nHost: x\r\n\r\n", answer), 200);
    CHECK_STR(body_of(answer), "GET /abc 0 0 q=1");
    stop(toy);
}

TEST(http__gives_a_request_its_id)
{
    char answer[4096];
    toy_server *toy = start(5000, 10);
    ask(toy, "GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: my-id.7\r\n\r\n", answer);
    CHECK(strstr(answer, "X-Request-Id: my-id.7\r\n") != NULL);
    ask(toy,
        "GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: not sensible\r\n"
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
        answer);
    CHECK(strstr(answer, "X-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\n") != NULL);
    stop(toy);
}

TEST(http__keeps_a_connection_and_takes_pipelined_requests)
{
    char answer[4096];
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy);
    puts_to(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
                "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_EQ(get(fd, answer, sizeof answer), 200);
    CHECK_STR(body_of(answer), "GET /1 0 0");
    CHECK_EQ(get(fd, answer, sizeof answer), 200);
    CHECK_STR(body_of(answer), "POST /2 3 294");
    CHECK_EQ(get(fd, answer, sizeof answer), 200);
    CHECK_STR(body_of(answer), "GET /3 0 0");
    close(fd);
    stop(toy);
}

TEST(http__takes_a_body_up_to_the_limit_and_not_one_byte_more)
{
    char answer[4096];
    toy_server *toy = start(5000, 10);
    int fd = dial(toy);
    CHECK_EQ(post(fd, MAX_BODY, answer), 200);
    CHECK_STR(body_of(answer), "POST /p 100000 9700000");
    CHECK_EQ(post(fd, 0, answer), 200); /* the same connection */
    CHECK_EQ(post(fd, MAX_BODY + 1, answer), 413);
    CHECK_STR(body_of(answer), "Request payload size exceeds the limit: 100000 bytes.");
    CHECK(is_at_end(fd));
    close(fd);
    /* Far more than the sockets' buffers hold: the answer is there all the same. */
    fd = dial(toy);
    CHECK_EQ(post(fd, 30u << 20, answer), 413);
    close(fd);
    stop(toy);
}

/* n bytes in chunks of 1000. */
static int post_chunked(const toy_server *toy, size_t n_bytes, char answer[4096])
{
    const int fd = dial(toy);
    char chunk[1000];
    memset(chunk, 'a', sizeof chunk);
    puts_to(fd, "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t n; n_bytes > 0; n_bytes -= n) {
        char head[20];
        n = n_bytes < sizeof chunk ? n_bytes : sizeof chunk;
        snprintf(head, sizeof head, "%zx\r\n", n);
        puts_to(fd, head);
        assert_true(put(fd, chunk, n));
        puts_to(fd, "\r\n");
    }
    puts_to(fd, "0\r\n\r\n");
    const int code = get(fd, answer, 4096);
    close(fd);
    return code;
}

TEST(http__holds_chunked_bodies_to_the_same_limit)
{
    char answer[4096];
    toy_server *toy = start(5000, 10);
    CHECK_EQ(post_chunked(toy, 5, answer), 200);
    CHECK_STR(body_of(answer), "POST /c 5 485");
    CHECK_EQ(post_chunked(toy, MAX_BODY, answer), 200);
    CHECK_STR(body_of(answer), "POST /c 100000 9700000");
    CHECK_EQ(post_chunked(toy, MAX_BODY + 1, answer), 413);
    stop(toy);
}

TEST(http__says_continue_to_who_asks_and_refuses_before_the_body)
{
    char answer[4096];
    toy_server *toy = start(5000, 10);
    int fd = dial(toy);
    puts_to(fd, "POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    CHECK_EQ(get(fd, answer, sizeof answer), 100);
    puts_to(fd, "ab");
    CHECK_EQ(get(fd, answer, sizeof answer), 200);
    CHECK_STR(body_of(answer), "POST /e 2 195");
    close(fd);
    fd = dial(toy);
    puts_to(fd, "POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                "Content-Length: 100001\r\n\r\n");
    CHECK_EQ(get(fd, answer, sizeof answer), 413);
    close(fd);
    toy->refuses = true;
    fd = dial(toy);
    puts_to(fd, "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n");
    CHECK_EQ(get(fd, answer, sizeof answer), 403); /* no byte of the body was sent */
    close(fd);
    /* A short body costs nobody the connection. */
    fd = dial(toy);
    CHECK_EQ(post(fd, 1000, answer), 403);
    CHECK_STR(body_of(answer), "not you");
    CHECK_EQ(post(fd, 1000, answer), 403);
    close(fd);
    stop(toy);
}

TEST(http__takes_headers_up_to_the_limit_and_not_one_byte_more)
{
    char answer[4096], text[3 * MAX_HEADER];
    toy_server *toy = start(5000, 10);
    for (size_t extra = 0; extra < 2; extra++) {
        const char *head = "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ";
        const size_t n = MAX_HEADER + extra - strlen(head) - 4;
        snprintf(text, sizeof text, "%s%0*d\r\n\r\n", head, (int)n, 0);
        CHECK_EQ(strlen(text), MAX_HEADER + extra);
        CHECK_EQ(ask(toy, text, answer), extra == 0 ? 200 : 431);
    }
    snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n", (int)MAX_HEADER, 0);
    CHECK_EQ(ask(toy, text, answer), 431);
    stop(toy);
}

TEST(http__survives_headers_without_end)
{
    char answer[4096], line[1000];
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy);
    puts_to(fd, "GET / HTTP/1.1\r\nHost: x\r\n");
    memset(line, 'x', sizeof line);
    memcpy(line, "X: ", 3);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    bool is_open = true;
    for (int i = 0; i < 2000 && is_open; i++)
        is_open = put(fd, line, sizeof line);
    const int code = get(fd, answer, sizeof answer);
    CHECK(code == 431 || code == 0); /* 0: the socket's system dropped what had been answered */
    CHECK(!is_open || code == 431);
    close(fd);
    CHECK_EQ(ask(toy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer), 200);
    stop(toy);
}

TEST(http__refuses_broken_requests)
{
    static const char *const broken[] = {
        "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a%f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /?q=%4 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET abc HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "\r\n\r\nnonsense\r\n\r\n",
    };
    char answer[4096];
    toy_server *toy = start(5000, 10);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const int code = ask(toy, broken[i], answer);
        if (code != 400 && code != 0)
            fail_msg("%s got %d", broken[i], code);
    }
    CHECK_EQ(ask(toy, "POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n", answer), 415);
    CHECK_EQ(ask(toy, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", answer),
             501);
    CHECK_EQ(ask(toy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer), 200);
    stop(toy);
}

TEST(http__answers_head_without_a_body)
{
    char answer[4096];
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy);
    puts_to(fd, "HEAD /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    size_t n = 0;
    for (ssize_t got; (got = recv(fd, answer + n, sizeof answer - 1 - n, 0)) > 0;)
        n += (size_t)got;
    answer[n] = '\0';
    CHECK(strstr(answer, "Content-Length: 11\r\n") != NULL);
    CHECK_STR(body_of(answer), "");
    close(fd);
    stop(toy);
}

/* Reads until the text is there; false where the connection ends before. */
static bool read_until(int fd, const char *text, char *answer, size_t n_room)
{
    for (size_t n = strlen(answer); strstr(answer, text) == NULL;) {
        const ssize_t got = n + 1 < n_room ? recv(fd, answer + n, n_room - 1 - n, 0) : 0;
        if (got <= 0)
            return false;
        n += (size_t)got;
        answer[n] = '\0';
    }
    return true;
}

static void wait_for(const atomic_int *counter, int value)
{
    while (atomic_load(counter) != value)
        usleep(1000);
}

TEST(http__streams_what_is_there_and_keeps_the_connection)
{
    char answer[4096] = "", next[4096];
    toy_server *toy = start(100, 10); /* a client's patience: the stream is silent for longer */
    const int fd = dial(toy);
    puts_to(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    atomic_store(&toy->n_allowed, 1);
    assert_true(read_until(fd, "piece 1\n", answer, sizeof answer));
    CHECK(strstr(answer, "Transfer-Encoding: chunked\r\n") != NULL);
    CHECK(strstr(answer, "Content-Length") == NULL);
    CHECK(strstr(answer, "piece 2") == NULL);
    usleep(2500 * 1000); /* more than the patience, and what the library adds to it */
    atomic_store(&toy->n_allowed, N_PIECES);
    assert_true(read_until(fd, "\r\n0\r\n\r\n", answer, sizeof answer));
    CHECK(strstr(answer, "piece 3\n") != NULL);
    wait_for(&toy->n_done, 1);
    CHECK_EQ(atomic_load(&toy->n_streams_ended), 1);
    puts_to(fd, "GET /after HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_EQ(get(fd, next, sizeof next), 200);
    close(fd);
    stop(toy);
}

TEST(http__ends_a_stream_whose_client_has_gone)
{
    char answer[4096] = "";
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy);
    puts_to(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    atomic_store(&toy->n_allowed, 1);
    assert_true(read_until(fd, "piece 1\n", answer, sizeof answer));
    close(fd);
    wait_for(&toy->n_cut, 1);
    wait_for(&toy->n_streams_ended, 1);
    CHECK_EQ(gf__listener_n_in_flight(toy->listener), 0);
    stop(toy);
}

TEST(http__lets_the_client_see_that_a_stream_was_broken_off)
{
    char answer[4096] = "";
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy);
    puts_to(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    atomic_store(&toy->n_allowed, 1);
    assert_true(read_until(fd, "piece 1\n", answer, sizeof answer));
    atomic_store(&toy->n_allowed, -1);
    CHECK(!read_until(fd, "\r\n0\r\n\r\n", answer, sizeof answer));
    wait_for(&toy->n_cut, 1);
    CHECK_EQ(atomic_load(&toy->n_streams_ended), 1);
    close(fd);
    stop(toy);
}

TEST(http__answers_head_of_a_stream_at_once)
{
    char answer[4096] = "";
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy);
    puts_to(fd, "HEAD /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(!read_until(fd, "piece", answer, sizeof answer));
    CHECK(strncmp(answer, "HTTP/1.1 200", 12) == 0);
    wait_for(&toy->n_streams_ended, 1);
    CHECK_EQ(atomic_load(&toy->n_pieces), 0);
    close(fd);
    stop(toy);
}

TEST(http__ends_its_streams_when_it_ends)
{
    char answer[4096] = "";
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy);
    puts_to(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    atomic_store(&toy->n_allowed, 1);
    assert_true(read_until(fd, "piece 1\n", answer, sizeof answer));
    stop(toy);
    CHECK(!read_until(fd, "piece 2\n", answer, sizeof answer));
    close(fd);
}

TEST(http__answers_who_half_closes)
{
    char answer[4096];
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy);
    puts_to(fd, "POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na");
    shutdown(fd, SHUT_WR);
    CHECK_EQ(get(fd, answer, sizeof answer), 200);
    CHECK(is_at_end(fd));
    close(fd);
    stop(toy);
}

TEST(http__ends_clients_that_are_too_slow)
{
    char answer[4096];
    toy_server *toy = start(200, 10);
    const int silent = dial(toy), in_head = dial(toy), in_body = dial(toy);
    puts_to(in_head, "GET / HTTP/1.1\r\nHo");
    puts_to(in_body, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    CHECK(is_at_end(silent));
    CHECK(is_at_end(in_head));
    CHECK(is_at_end(in_body));
    close(silent);
    close(in_head);
    close(in_body);
    /* A byte now and then keeps nobody in. */
    const int drip = dial(toy);
    const int64_t begin_ms = gf__clock_ms();
    char c;
    while (recv(drip, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN &&
           gf__clock_ms() - begin_ms < 10000) {
        (void)put(drip, "x", 1);
        usleep(10000);
    }
    CHECK(gf__clock_ms() - begin_ms < 5000);
    close(drip);
    CHECK_EQ(ask(toy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer), 200);
    stop(toy);
}

static void *ask_held(void *user)
{
    toy_server *toy = user;
    char answer[4096];
    CHECK_EQ(ask(toy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", answer), 200);
    return NULL;
}

TEST(http__does_not_hurry_its_own_answers)
{
    pthread_t client;
    toy_server *toy = start(100, 10);
    atomic_store(&toy->holds, true);
    CHECK_EQ(pthread_create(&client, NULL, ask_held, toy), 0);
    const int64_t begin_ms = gf__clock_ms();
    while (gf__listener_n_in_flight(toy->listener) == 0)
        usleep(1000);
    while (gf__clock_ms() - begin_ms < 2500) /* past every clock of a reading client */
        usleep(10000);
    atomic_store(&toy->holds, false);
    pthread_join(client, NULL);
    stop(toy);
}

TEST(http__spools_a_body_into_a_file_and_removes_it)
{
    char answer[4096];
    char *dir = check_temp_dir();
    toy_server *toy = start(5000, 10);
    toy->spool_dir = dir;
    const int fd = dial(toy);
    CHECK_EQ(post(fd, 70000, answer), 200);
    CHECK_STR(body_of(answer), "POST /p 70000 file 70000");
    CHECK_EQ(post(fd, 0, answer), 200);
    CHECK_STR(body_of(answer), "POST /p 0 file 0");
    close(fd);
    stop(toy);
    gf__dir_list list;
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    CHECK_EQ(list.n_names, 0);
    gf__dir_list_free(&list);
    check_remove_dir(dir);
}

TEST(http__says_that_a_file_is_gone_that_was_there_a_moment_ago)
{
    char answer[4096];
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy);
    puts_to(fd, "GET /gone HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_EQ(get(fd, answer, sizeof answer), 404);
    CHECK_STR(body_of(answer), "/gone was deleted");
    puts_to(fd, "GET /p HTTP/1.1\r\nHost: x\r\n\r\n"); /* and the connection lives on */
    CHECK_EQ(get(fd, answer, sizeof answer), 200);
    close(fd);
    stop(toy);
}

#define N_CLIENTS 200
static void *ask_often(void *user)
{
    toy_server *toy = user;
    char answer[4096];
    const int fd = dial(toy);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(post(fd, 2000, answer), 200);
    close(fd);
    return NULL;
}

static void run_clients(size_t max_connections)
{
    pthread_t clients[N_CLIENTS];
    toy_server *toy = start(20000, max_connections);
    for (size_t i = 0; i < N_CLIENTS; i++)
        CHECK_EQ(pthread_create(&clients[i], NULL, ask_often, toy), 0);
    for (size_t i = 0; i < N_CLIENTS; i++)
        pthread_join(clients[i], NULL);
    CHECK_EQ(atomic_load(&toy->n_answered), 10 * N_CLIENTS);
    stop(toy);
}

TEST(http__serves_200_connections_at_once)
{
    run_clients(1000);
}

TEST(http__lets_connections_beyond_the_limit_wait)
{
    run_clients(8);
}

TEST(http__closes_its_port_and_finishes_what_it_has)
{
    char answer[4096];
    pthread_t client;
    toy_server *toy = start(5000, 10);
    const int fd = dial(toy), idle = dial(toy);
    CHECK_EQ(post(fd, 1, answer), 200);
    while (gf__listener_n_in_flight(toy->listener) >
           0) /* the answer is here before it is counted */
        usleep(1000);
    atomic_store(&toy->holds, true);
    CHECK_EQ(pthread_create(&client, NULL, ask_held, toy), 0);
    while (gf__listener_n_in_flight(toy->listener) == 0)
        usleep(1000);
    gf__listener_close(toy->listener);
    const struct sockaddr_in where = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)gf__listener_port(toy->listener)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(late, (const struct sockaddr *)&where, sizeof where) != 0);
    close(late);
    atomic_store(&toy->holds, false);
    pthread_join(client, NULL);
    CHECK_EQ(post(fd, 1, answer), 200); /* an open connection gets one more answer */
    CHECK(strstr(answer, "Connection: close\r\n") != NULL);
    CHECK(is_at_end(fd));
    close(fd);
    close(idle);
    stop(toy);
}

TEST(http__tells_what_is_wrong_with_an_address)
{
    toy_server *toy = start(5000, 10);
    gf__listener *other = NULL;
    gf__listener_options options = {.address = "127.0.0.1",
                                    .port = gf__listener_port(toy->listener),
                                    .max_header_bytes = MAX_HEADER,
                                    .max_connections = 10};
    CHECK_FAILS(GF_EIO, "the port is in use", gf__listener_open(&options, &other, &check_err));
    options.port = 0;
    options.address = "192.0.2.1";
    CHECK_FAILS(GF_EIO, "does not have that address",
                gf__listener_open(&options, &other, &check_err));
    options.address = "no such address";
    CHECK_FAILS(GF_EINVAL, "no such address", gf__listener_open(&options, &other, &check_err));
    options.address = "127.0.0.1";
    options.tls_cert_pem = options.tls_key_pem = "no PEM";
    CHECK_FAILS(GF_EFORMAT, "TLS", gf__listener_open(&options, &other, &check_err));
    stop(toy);
}

TESTS_MAIN(UNIT(http__answers_with_what_was_asked), UNIT(http__gives_a_request_its_id),
           UNIT(http__keeps_a_connection_and_takes_pipelined_requests),
           UNIT(http__takes_a_body_up_to_the_limit_and_not_one_byte_more),
           UNIT(http__holds_chunked_bodies_to_the_same_limit),
           UNIT(http__says_continue_to_who_asks_and_refuses_before_the_body),
           UNIT(http__takes_headers_up_to_the_limit_and_not_one_byte_more),
           UNIT(http__survives_headers_without_end), UNIT(http__refuses_broken_requests),
           UNIT(http__answers_head_without_a_body),
           UNIT(http__streams_what_is_there_and_keeps_the_connection),
           UNIT(http__ends_a_stream_whose_client_has_gone),
           UNIT(http__lets_the_client_see_that_a_stream_was_broken_off),
           UNIT(http__answers_head_of_a_stream_at_once), UNIT(http__ends_its_streams_when_it_ends),
           UNIT(http__answers_who_half_closes), UNIT(http__ends_clients_that_are_too_slow),
           UNIT(http__does_not_hurry_its_own_answers),
           UNIT(http__spools_a_body_into_a_file_and_removes_it),
           UNIT(http__says_that_a_file_is_gone_that_was_there_a_moment_ago),
           UNIT(http__serves_200_connections_at_once),
           UNIT(http__lets_connections_beyond_the_limit_wait),
           UNIT(http__closes_its_port_and_finishes_what_it_has),
           UNIT(http__tells_what_is_wrong_with_an_address))
