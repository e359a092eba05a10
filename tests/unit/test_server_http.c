/* The listener: real sockets against a toy respond(): requests whole, in pieces, too long and broken. */
#include "toy_server.h"

/* ---- tests ----------------------------------------------------------------------------------- */

TEST(http__answers_with_what_was_asked)
{
    char answer[4096];
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
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

TEST(http__spools_a_body_into_a_file_and_removes_it)
{
    char answer[4096];
    char *dir = check_temp_dir();
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
    const int fd = dial(toy);
    puts_to(fd, "GET /gone HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_EQ(get(fd, answer, sizeof answer), 404);
    CHECK_STR(body_of(answer), "/gone was deleted");
    puts_to(fd, "GET /p HTTP/1.1\r\nHost: x\r\n\r\n"); /* and the connection lives on */
    CHECK_EQ(get(fd, answer, sizeof answer), 200);
    close(fd);
    stop(toy);
}

TEST(http__tells_what_is_wrong_with_an_address)
{
    toy_server *toy = start(120000, 10);
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
           UNIT(http__spools_a_body_into_a_file_and_removes_it),
           UNIT(http__says_that_a_file_is_gone_that_was_there_a_moment_ago),
           UNIT(http__tells_what_is_wrong_with_an_address))
