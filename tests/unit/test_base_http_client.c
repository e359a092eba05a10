/* test_base_http_client.c: requests to a server of our own on the loopback, which keeps what it was
 * sent and answers as the path says. */
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"

#define N_BIG 300000

typedef struct server {
    int listener, port;
    pthread_t thread;
    atomic_int n_connections;
    char head[4096];      /* of the last request; read between requests only */
    char body[N_BIG + 1]; /* of it */
    size_t n_body;
} server;

static server srv;
static char *dir;

static bool send_all(int client, const void *bytes, size_t n_bytes)
{
    const char *at = bytes;
    while (n_bytes > 0) {
        const ssize_t n = send(client, at, n_bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        n_bytes -= (size_t)n;
    }
    return true;
}

static bool send_text(int client, const char *text)
{
    return send_all(client, text, strlen(text));
}

/* Head and body of one request; false where the client has gone. */
static bool read_request(int client)
{
    size_t n_head = 0;
    char head[sizeof srv.head] = ""; /* the test may still look at the one before */
    while (strstr(head, "\r\n\r\n") == NULL) {
        if (n_head + 1 == sizeof head || recv(client, head + n_head, 1, 0) != 1)
            return false;
        head[++n_head] = '\0';
    }
    memcpy(srv.head, head, sizeof head);
    const char *length = strstr(srv.head, "Content-Length: ");
    const size_t n_body = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    if (strstr(srv.head, "Expect: 100-continue") != NULL)
        send_text(client, "HTTP/1.1 100 Continue\r\n\r\n");
    for (srv.n_body = 0; srv.n_body < n_body;) {
        const ssize_t n = recv(client, srv.body + srv.n_body, n_body - srv.n_body, 0);
        if (n <= 0)
            return false;
        srv.n_body += (size_t)n;
    }
    srv.body[srv.n_body] = '\0';
    return true;
}

static bool serve_big(int client)
{
    static char bytes[N_BIG];
    memset(bytes, 'b', sizeof bytes);
    return send_text(client, "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\n"
                             "Content-Length: 300000\r\n\r\n") &&
           send_all(client, bytes, sizeof bytes);
}

/* Half of what was promised, then gone. */
static bool serve_cut(int client)
{
    send_text(client, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    return false;
}

/* A piece, and the next one only when that was taken; then gone, without the end. */
static atomic_int n_pieces_taken;
static bool serve_pieces(int client)
{
    send_text(client, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    while (atomic_load(&n_pieces_taken) == 0)
        usleep(1000);
    send_text(client, "6\r\n world\r\n");
    return false;
}

/* Nothing at all, until the client gives up. */
static bool serve_silence(int client)
{
    char byte;
    while (recv(client, &byte, 1, 0) > 0)
        continue;
    return false;
}

static bool answer(int client)
{
    char target[64] = "";
    sscanf(srv.head, "%*s %63s", target);
    if (strcmp(target, "/big") == 0)
        return serve_big(client);
    if (strcmp(target, "/cut") == 0)
        return serve_cut(client);
    if (strcmp(target, "/pieces") == 0)
        return serve_pieces(client);
    if (strcmp(target, "/silence") == 0)
        return serve_silence(client);
    if (strcmp(target, "/empty") == 0)
        return send_text(client, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    if (strcmp(target, "/busy") == 0)
        return send_text(client, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\n"
                                 "late");
    if (strcmp(target, "/moved") == 0)
        return send_text(client, "HTTP/1.1 302 Found\r\nLocation: /big\r\nContent-Length: 0\r\n"
                                 "\r\n");
    return send_text(client, "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
                             "Content-Length: 16\r\n\r\n{\"error\":\"none\"}");
}

static void *run_server(void *unused)
{
    for (;;) {
        const int client = accept(srv.listener, NULL, NULL);
        if (client < 0)
            return NULL;
        atomic_fetch_add(&srv.n_connections, 1);
        while (read_request(client) && answer(client))
            continue;
        close(client);
    }
}

static int start_server(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t n_address = sizeof address;
    srv.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(srv.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(srv.listener, 16), 0);
    getsockname(srv.listener, (struct sockaddr *)&address, &n_address);
    srv.port = ntohs(address.sin_port);
    return pthread_create(&srv.thread, NULL, run_server, NULL);
}

static int stop_server(void **state)
{
    shutdown(srv.listener, SHUT_RDWR);
    pthread_join(srv.thread, NULL);
    return close(srv.listener);
}

static int enter(void **state)
{
    dir = check_temp_dir();
    atomic_store(&srv.n_connections, 0);
    return 0;
}

static int leave(void **state)
{
    check_remove_dir(dir);
    return 0;
}

static gf__http_client *new_client(const gf__http_options *options)
{
    gf__http_client *client = NULL;
    CHECK_OK(gf__http_client_new(options, &client, &check_err));
    return client;
}

/* request->url is a path here. */
static gf_status send_to(gf__http_client *client, gf__http_request request, gf__http_answer *got)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", srv.port, request.url);
    request.url = url;
    return gf__http_send(client, &request, got, &check_err);
}

TEST(http_client__keeps_the_connection_and_the_answer)
{
    gf__http_client *client = new_client(NULL);
    gf__http_answer got;
    CHECK_OK(send_to(client, (gf__http_request){.url = "/big"}, &got));
    CHECK_EQ(got.code, 200);
    CHECK_EQ(got.body.size, N_BIG);
    CHECK_STR(got.content_type, "text/plain");
    CHECK(strncmp(srv.head, "GET /big HTTP/1.1\r\n", 19) == 0);
    CHECK(strstr(srv.head, "User-Agent: graft/") != NULL);
    CHECK(strstr(srv.head, "Authorization") == NULL);
    gf__http_answer_free(&got);
    CHECK_OK(send_to(client, (gf__http_request){.url = "/empty"}, &got));
    CHECK_STR(got.body.data, "");
    gf__http_answer_free(&got);
    CHECK_EQ(srv.n_connections, 1);
    gf__http_client_free(client);
}

TEST(http_client__gives_errors_of_the_server_as_answers)
{
    gf__http_client *client = new_client(NULL);
    gf__http_answer got;
    CHECK_OK(send_to(client, (gf__http_request){.url = "/none"}, &got));
    CHECK_EQ(got.code, 404);
    CHECK_STR(got.body.data, "{\"error\":\"none\"}");
    CHECK_STR(got.content_type, "application/json");
    CHECK_EQ(got.retry_after_s, 0);
    gf__http_answer_free(&got);
    CHECK_OK(send_to(client, (gf__http_request){.url = "/busy"}, &got));
    CHECK_EQ(got.code, 503);
    CHECK_EQ(got.retry_after_s, 7);
    gf__http_answer_free(&got);
    CHECK_OK(send_to(client, (gf__http_request){.url = "/moved"}, &got)); /* not followed */
    CHECK_EQ(got.code, 302);
    gf__http_answer_free(&got);
    gf__http_client_free(client);
}

TEST(http_client__sends_method_body_and_token)
{
    gf__http_options options = gf__http_options_default();
    options.token = "graft_secret";
    gf__http_client *client = new_client(&options);
    gf__http_answer got;
    CHECK_OK(
        send_to(client, (gf__http_request){.url = "/x", .body = "{}", .n_body_bytes = 2}, &got));
    gf__http_answer_free(&got);
    CHECK(strncmp(srv.head, "POST /x ", 8) == 0);
    CHECK(strstr(srv.head, "Content-Type: application/json\r\n") != NULL);
    CHECK(strstr(srv.head, "Authorization: Bearer graft_secret\r\n") != NULL);
    CHECK_STR(srv.body, "{}");
    const gf__http_request patch = {
        .url = "/x", .method = "PATCH", .body = "", .content_type = "text/x"};
    CHECK_OK(send_to(client, patch, &got));
    gf__http_answer_free(&got);
    CHECK(strncmp(srv.head, "PATCH /x ", 9) == 0);
    CHECK(strstr(srv.head, "Content-Type: text/x\r\n") != NULL);
    CHECK_EQ(srv.n_body, 0);
    /* nothing of the request before is left in the next */
    CHECK_OK(send_to(client, (gf__http_request){.url = "/x", .method = "DELETE"}, &got));
    gf__http_answer_free(&got);
    CHECK(strncmp(srv.head, "DELETE /x ", 10) == 0);
    CHECK(strstr(srv.head, "Content-Type") == NULL);
    gf__http_client_free(client);
}

typedef struct seen {
    char stage[16];
    uint64_t n_done, n_total;
    bool is_to_stop;
} seen;

static bool see_progress(void *user, const gf_progress *p)
{
    seen *s = user;
    snprintf(s->stage, sizeof s->stage, "%s", p->stage);
    s->n_done = p->n_done;
    s->n_total = p->n_total;
    return !s->is_to_stop;
}

TEST(http_client__sends_a_file_and_tells_how_far_it_is)
{
    char bytes[N_BIG];
    seen s = {.stage = ""};
    gf__http_options options = gf__http_options_default();
    options.observer = (gf_observer){.progress = see_progress, .user = &s};
    gf__http_client *client = new_client(&options);
    gf__http_answer got;
    char *path = gf__path_join(dir, "big");
    memset(bytes, 'u', sizeof bytes);
    CHECK_OK(gf__write_file(path, bytes, sizeof bytes, &check_err));
    const gf__http_request put = {.url = "/x",
                                  .method = "PUT",
                                  .body_path = path,
                                  .content_type = "application/octet-stream"};
    CHECK_OK(send_to(client, put, &got));
    CHECK_EQ(got.code, 404);
    gf__http_answer_free(&got);
    CHECK(strncmp(srv.head, "PUT /x ", 7) == 0);
    CHECK_EQ(srv.n_body, N_BIG);
    assert_memory_equal(srv.body, bytes, N_BIG);
    CHECK_STR(s.stage, "upload");
    CHECK_EQ(s.n_done, N_BIG);
    CHECK_EQ(s.n_total, N_BIG);
    gf__free(path);
    path = gf__path_join(dir, "missing");
    CHECK_FAILS(GF_ENOTFOUND, "missing",
                send_to(client, (gf__http_request){.url = "/x", .body_path = path}, &got));
    gf__free(path);
    gf__http_client_free(client);
}

TEST(http_client__writes_an_answer_to_a_file_whole_or_not_at_all)
{
    gf__http_client *client = new_client(NULL);
    gf__http_answer got;
    uint64_t size = 0;
    char *path = gf__path_join(dir, "answer");
    CHECK_OK(send_to(client, (gf__http_request){.url = "/none", .answer_path = path}, &got));
    CHECK_STR(got.body.data, "{\"error\":\"none\"}");
    CHECK(!gf__is_file(path));
    gf__http_answer_free(&got);
    CHECK_FAILS(GF_ENETWORK, "http://127.0.0.1:",
                send_to(client, (gf__http_request){.url = "/cut", .answer_path = path}, &got));
    CHECK(!gf__is_file(path));
    gf__http_answer_free(&got);
    CHECK_OK(send_to(client, (gf__http_request){.url = "/big", .answer_path = path}, &got));
    CHECK_EQ(got.body.size, 0);
    CHECK_OK(gf__file_size(path, &size, &check_err));
    CHECK_EQ(size, N_BIG);
    gf__http_answer_free(&got);
    CHECK_OK(send_to(client, (gf__http_request){.url = "/empty", .answer_path = path}, &got));
    CHECK_OK(gf__file_size(path, &size, &check_err));
    CHECK_EQ(size, 0);
    gf__http_answer_free(&got);
    gf__free(path);
    gf__http_client_free(client);
}

typedef struct taken {
    char text[32];
    size_t n_chars;
    bool refuses;
} taken;

static gf_status take(void *user, const char *bytes, size_t n_bytes, gf_error *err)
{
    taken *t = user;
    if (t->refuses)
        return gf_error_set(err, GF_EFORMAT, "not that");
    assert_true(t->n_chars + n_bytes < sizeof t->text);
    memcpy(t->text + t->n_chars, bytes, n_bytes);
    t->n_chars += n_bytes;
    atomic_fetch_add(&n_pieces_taken, 1);
    return GF_OK;
}

TEST(http_client__hands_an_answer_on_as_it_comes)
{
    gf__http_client *client = new_client(NULL);
    gf__http_answer got;
    taken t = {.n_chars = 0};
    gf__http_request request = {
        .url = "/pieces", .take = take, .take_user = &t, .extra_header = "Last-Event-ID: 17"};
    CHECK_FAILS(GF_ENETWORK, "http://127.0.0.1:", send_to(client, request, &got));
    CHECK_STR(t.text, "hello world");
    CHECK_EQ(got.code, 200);
    CHECK_EQ(got.body.size, 0);
    CHECK(strstr(srv.head, "\r\nLast-Event-ID: 17\r\n") != NULL);
    gf__http_answer_free(&got);
    t.refuses = true;
    request.url = "/big";
    CHECK_FAILS(GF_EFORMAT, "not that", send_to(client, request, &got));
    gf__http_answer_free(&got);
    request.url = "/none"; /* what an error answers is no part of it */
    CHECK_OK(send_to(client, request, &got));
    CHECK_STR(got.body.data, "{\"error\":\"none\"}");
    gf__http_answer_free(&got);
    gf__http_client_free(client);
}

TEST(http_client__refuses_an_answer_over_its_limit)
{
    gf__http_options options = gf__http_options_default();
    options.limit_bytes = N_BIG;
    gf__http_client *client = new_client(&options);
    gf__http_answer got;
    CHECK_OK(send_to(client, (gf__http_request){.url = "/big"}, &got));
    gf__http_answer_free(&got);
    gf__http_client_free(client);
    options.limit_bytes = N_BIG - 1;
    client = new_client(&options);
    CHECK_FAILS(GF_ELIMIT, "limit of 299999 bytes",
                send_to(client, (gf__http_request){.url = "/big"}, &got));
    gf__http_answer_free(&got);
    gf__http_client_free(client);
}

static bool always(void *user)
{
    return true;
}

TEST(http_client__gives_up_on_silence_and_when_it_is_told_to)
{
    gf__http_options options = gf__http_options_default();
    options.stall_timeout_ms = 100;
    gf__http_client *client = new_client(&options);
    gf__http_answer got;
    CHECK_FAILS(GF_ENETWORK, "no answer for",
                send_to(client, (gf__http_request){.url = "/silence"}, &got));
    gf__http_client_free(client);
    options = gf__http_options_default();
    options.is_stopped = always;
    client = new_client(&options);
    CHECK_FAILS(GF_ECANCELED, "stopped",
                send_to(client, (gf__http_request){.url = "/silence"}, &got));
    gf__http_client_free(client);
}

/* A port that nothing listens on: bound, and held so that nobody else gets it. */
TEST(http_client__names_the_server_and_why)
{
    gf__http_client *client = new_client(NULL);
    gf__http_answer got;
    char url[64];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t n_address = sizeof address;
    const int refusing = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(refusing, (struct sockaddr *)&address, sizeof address), 0);
    getsockname(refusing, (struct sockaddr *)&address, &n_address);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/a?key=secret", ntohs(address.sin_port));
    gf__http_request request = {.url = url};
    CHECK_FAILS(GF_ENETWORK, ": Connection refused",
                gf__http_send(client, &request, &got, &check_err));
    CHECK(strstr(check_err.message, "secret") == NULL);
    close(refusing);
    request.url = "ftp://127.0.0.1/";
    CHECK_FAILS(GF_EINVAL, "begins with http://",
                gf__http_send(client, &request, &got, &check_err));
    request.url = "http://";
    CHECK_FAILS(GF_EINVAL, "http://", gf__http_send(client, &request, &got, &check_err));
    gf__http_client_free(client);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(http_client__keeps_the_connection_and_the_answer),
        CASE(http_client__gives_errors_of_the_server_as_answers),
        CASE(http_client__sends_method_body_and_token),
        CASE(http_client__sends_a_file_and_tells_how_far_it_is),
        CASE(http_client__writes_an_answer_to_a_file_whole_or_not_at_all),
        CASE(http_client__hands_an_answer_on_as_it_comes),
        CASE(http_client__refuses_an_answer_over_its_limit),
        CASE(http_client__gives_up_on_silence_and_when_it_is_told_to),
        CASE(http_client__names_the_server_and_why),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
