/* The listener over time: answers that stream, clients that are slow, go, or are many, and its own end. */
#include "toy_server.h"

/* ---- tests ----------------------------------------------------------------------------------- */

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

/* A stream that is silent for longer than a client may be. false where the connection ended before the
 * stream did, or before the request after it was answered. */
static bool is_streamed(int patience_ms)
{
    char answer[4096] = "", next[4096];
    toy_server *toy = start(patience_ms, 10);
    const int fd = dial(toy);
    bool is_whole = put_text(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    atomic_store(&toy->n_allowed, 1);
    is_whole = is_whole && read_until(fd, "piece 1\n", answer, sizeof answer);
    if (is_whole) {
        CHECK(strstr(answer, "Transfer-Encoding: chunked\r\n") != NULL);
        CHECK(strstr(answer, "Content-Length") == NULL);
        CHECK(strstr(answer, "piece 2") == NULL);
        /* more than the patience, and what the library adds to it */
        usleep((useconds_t)(patience_ms + 2400) * 1000);
        atomic_store(&toy->n_allowed, N_PIECES);
        is_whole = read_until(fd, "\r\n0\r\n\r\n", answer, sizeof answer);
    }
    if (is_whole) {
        CHECK(strstr(answer, "piece 3\n") != NULL);
        wait_for(&toy->n_done, 1);
        CHECK_EQ(atomic_load(&toy->n_streams_ended), 1);
        is_whole = put_text(fd, "GET /after HTTP/1.1\r\nHost: x\r\n\r\n") &&
                   get(fd, next, sizeof next) == 200;
    }
    close(fd);
    stop(toy);
    return is_whole;
}

/* On a busy machine the client may itself be silent for longer than a short patience. */
TEST(http__streams_what_is_there_and_keeps_the_connection)
{
    CHECK(is_streamed(100) || is_streamed(1000) || is_streamed(10000));
}

/* A stream of which the first piece has come, and no other will. */
static int dial_stream(toy_server *toy, char *answer, size_t n_answer)
{
    const int fd = dial(toy);
    puts_to(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    atomic_store(&toy->n_allowed, 1);
    assert_true(read_until(fd, "piece 1\n", answer, n_answer));
    return fd;
}

TEST(http__ends_a_stream_whose_client_has_gone)
{
    char answer[4096] = "";
    toy_server *toy = start(120000, 10);
    const int fd = dial_stream(toy, answer, sizeof answer);
    close(fd);
    wait_for(&toy->n_cut, 1);
    wait_for(&toy->n_streams_ended, 1);
    CHECK_EQ(gf__listener_n_in_flight(toy->listener), 0);
    stop(toy);
}

TEST(http__lets_the_client_see_that_a_stream_was_broken_off)
{
    char answer[4096] = "";
    toy_server *toy = start(120000, 10);
    const int fd = dial_stream(toy, answer, sizeof answer);
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
    toy_server *toy = start(120000, 10);
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
    toy_server *toy = start(120000, 10);
    const int fd = dial_stream(toy, answer, sizeof answer);
    stop(toy);
    CHECK(!read_until(fd, "piece 2\n", answer, sizeof answer));
    close(fd);
}

TEST(http__answers_who_half_closes)
{
    char answer[4096];
    toy_server *toy = start(120000, 10);
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
    /* a busy machine may be too late with it */
    (void)put_text(in_head, "GET / HTTP/1.1\r\nHo");
    (void)put_text(in_body, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
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
    while (recv(drip, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN) {
        CHECK(gf__clock_ms() - begin_ms < 60000);
        (void)put(drip, "x", 1);
        usleep(10000);
    }
    close(drip);
    int code = 0;
    for (int i = 0; i < 20 && code == 0; i++) /* 0: too slow ourselves */
        code = ask(toy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer);
    CHECK_EQ(code, 200);
    stop(toy);
}

static void *ask_held(void *user)
{
    toy_server *toy = user;
    char answer[4096];
    CHECK_EQ(ask(toy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", answer), 200);
    return NULL;
}

typedef struct patient {
    const toy_server *toy;
    int code; /* 0: the connection ended without an answer */
    atomic_bool is_over;
} patient;

static void *ask_slow(void *user)
{
    patient *with = user;
    char answer[4096];
    with->code = ask(with->toy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", answer);
    atomic_store(&with->is_over, true);
    return NULL;
}

/* One that takes longer than a client may. */
static int code_of_slow_answer(int patience_ms)
{
    pthread_t client;
    toy_server *toy = start(patience_ms, 10);
    patient with = {.toy = toy};
    atomic_store(&toy->holds, true);
    CHECK_EQ(pthread_create(&client, NULL, ask_slow, &with), 0);
    while (gf__listener_n_in_flight(toy->listener) == 0 && !atomic_load(&with.is_over))
        usleep(1000);
    const int64_t begin_ms = gf__clock_ms();
    while (gf__clock_ms() - begin_ms < patience_ms + 2400 && !atomic_load(&with.is_over))
        usleep(10000); /* past every clock of a reading client */
    atomic_store(&toy->holds, false);
    pthread_join(client, NULL);
    stop(toy);
    return with.code;
}

TEST(http__does_not_hurry_its_own_answers)
{
    int code = 0;
    for (int ms = 100; ms <= 10000 && code == 0; ms *= 10) /* 0: too slow ourselves */
        code = code_of_slow_answer(ms);
    CHECK_EQ(code, 200);
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
    toy_server *toy = start(120000, max_connections);
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
    toy_server *toy = start(120000, 10);
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

TESTS_MAIN(UNIT(http__streams_what_is_there_and_keeps_the_connection),
           UNIT(http__ends_a_stream_whose_client_has_gone),
           UNIT(http__lets_the_client_see_that_a_stream_was_broken_off),
           UNIT(http__answers_head_of_a_stream_at_once), UNIT(http__ends_its_streams_when_it_ends),
           UNIT(http__answers_who_half_closes), UNIT(http__ends_clients_that_are_too_slow),
           UNIT(http__does_not_hurry_its_own_answers), UNIT(http__serves_200_connections_at_once),
           UNIT(http__lets_connections_beyond_the_limit_wait),
           UNIT(http__closes_its_port_and_finishes_what_it_has))
