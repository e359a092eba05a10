/* A whole server: what it starts on, what it refuses to, how it ends. No prediction is asked for, so
 * no worker is started. */
#include "check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "graft/registry.h"
#include "graft/server.h"

static gf_server_options options_of(const char *home)
{
    gf_server_options options = gf_server_options_default();
    options.home = home;
    options.program = "/bin/false";
    options.port = 0;
    return options;
}

static int dial(int port)
{
    const struct sockaddr_in where = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&where, sizeof where) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The whole answer to a GET on a connection of its own; its code. */
static int get(int port, const char *path, const char *header, char *answer, size_t n_room)
{
    char request[512];
    const int fd = dial(port);
    if (fd < 0)
        return 0;
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
             path, header);
    size_t n = 0;
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        for (ssize_t got; (got = recv(fd, answer + n, n_room - 1 - n, 0)) > 0;)
            n += (size_t)got;
    answer[n] = '\0';
    close(fd);
    return n > 9 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

TEST(server__answers_on_the_port_it_names)
{
    char answer[65536], wanted[64];
    char *home = check_temp_dir();
    gf_server *server = NULL;
    const gf_server_options options = options_of(home);
    CHECK_OK(gf_server_start(&options, &server, &check_err));
    const int port = gf_server_port(server);
    snprintf(wanted, sizeof wanted, "http://127.0.0.1:%d", port);
    CHECK_STR(gf_server_url(server), wanted);
    /* Nobody has asked whether it is ready. */
    CHECK_EQ(get(port, "/metrics", "", answer, sizeof answer), 200);
    CHECK(strstr(answer, "\ngraft_ready 1\n") != NULL);
    CHECK_EQ(get(port, "/readyz", "", answer, sizeof answer), 200);
    CHECK_EQ(get(port, "/v1/projects/p/models", "", answer, sizeof answer), 200);
    CHECK_STR(strstr(answer, "\r\n\r\n") + 4, "{}\n");
    CHECK_EQ(get(port, "/metrics", "", answer, sizeof answer), 200);
    CHECK(strstr(answer, "graft_http_requests_total{family=\"ml_v1\",code=\"200\"} 1\n") != NULL);
    CHECK(strstr(answer, "\ngraft_ready 1\n") != NULL);
    CHECK(strstr(answer, "nv_inference") == NULL);
    CHECK(strstr(answer, "graft_http_request_duration_seconds_count{family=\"ml_v1\"} 1\n") !=
          NULL);
    CHECK(strstr(answer, "ml_v1_predict") == NULL); /* what was never asked is not 0 for ever */
    CHECK_EQ(get(port, "/monitoring/prometheus/metrics", "", answer, sizeof answer), 200);
    CHECK(strstr(answer, "# TYPE nv_inference_count counter\n") != NULL);
    CHECK(strstr(answer, "# TYPE :tensorflow:serving:request_latency histogram\n") != NULL);
    CHECK_OK(gf_server_drain(server, &check_err));
    CHECK_EQ(get(port, "/livez", "", answer, sizeof answer), 0);
    gf_server_free(server);
    check_remove_dir(home);
}

TEST(server__has_its_home_for_itself)
{
    char *home = check_temp_dir();
    gf_server *server = NULL, *second = NULL;
    const gf_server_options options = options_of(home);
    CHECK_OK(gf_server_start(&options, &server, &check_err));
    CHECK_FAILS(GF_EBUSY, "another server runs on this home",
                gf_server_start(&options, &second, &check_err));
    gf_server_free(server);
    CHECK_OK(gf_server_start(&options, &server, &check_err));
    gf_server_free(server);
    check_remove_dir(home);
}

TEST(server__wants_tokens_on_other_addresses)
{
    char answer[4096], header[256];
    char *home = check_temp_dir(), *text = NULL;
    gf_server *server = NULL;
    gf_server_options options = options_of(home);
    options.address = "0.0.0.0";
    CHECK_FAILS(GF_EINVAL, "graft token create", gf_server_start(&options, &server, &check_err));
    gf_registry *registry = NULL;
    gf_registry_options settings = gf_registry_options_default();
    settings.home = home;
    CHECK_OK(gf_registry_open(&settings, &registry, &check_err));
    CHECK_OK(gf_registry_create_token(registry, "{\"role\":\"deploy\"}", &text, &check_err));
    CHECK_OK(gf_server_start(&options, &server, &check_err));
    const int port = gf_server_port(server);
    CHECK_EQ(get(port, "/v1/projects/p/models", "", answer, sizeof answer), 401);
    CHECK(strstr(answer, "WWW-Authenticate: Bearer") != NULL);
    CHECK(strstr(answer, "\"status\":\"UNAUTHENTICATED\"") != NULL);
    CHECK_EQ(get(port, "/readyz", "", answer, sizeof answer), 200);
    gf__json *token = NULL;
    CHECK_OK(gf__json_parse(text, strlen(text), &token, &check_err));
    snprintf(header, sizeof header, "Authorization: Bearer %s\r\n",
             gf__json_string(gf__json_find(token, "token"), ""));
    CHECK_EQ(get(port, "/v1/projects/p/models", header, answer, sizeof answer), 200);
    /* Another process takes it away: seen at once. */
    CHECK_OK(gf_registry_revoke_token(registry, gf__json_string(gf__json_find(token, "name"), ""),
                                      &check_err));
    CHECK_EQ(get(port, "/v1/projects/p/models", header, answer, sizeof answer), 401);
    gf_server_free(server);
    options.is_open = true;
    CHECK_OK(gf_server_start(&options, &server, &check_err));
    CHECK_EQ(get(gf_server_port(server), "/v1/projects/p/models", "", answer, sizeof answer), 200);
    gf_server_free(server);
    gf__json_free(token);
    gf_registry_free_text(text);
    gf_registry_close(registry);
    check_remove_dir(home);
}

TEST(server__refuses_options_that_cannot_be)
{
    char *home = check_temp_dir();
    gf_server *server = NULL;
    gf_server_options options = options_of(home);
    options.tls_cert = "cert.pem";
    CHECK_FAILS(GF_EINVAL, "both a certificate and its key",
                gf_server_start(&options, &server, &check_err));
    options.tls_key = "/no/such/key.pem";
    options.tls_cert = "/no/such/cert.pem";
    CHECK_FAILS(GF_ENOTFOUND, "/no/such/cert.pem", gf_server_start(&options, &server, &check_err));
    options = options_of(NULL);
    CHECK_FAILS(GF_EINVAL, "home", gf_server_start(&options, &server, &check_err));
    options = options_of(home);
    options.port = 65536;
    CHECK_FAILS(GF_EINVAL, "port 65536", gf_server_start(&options, &server, &check_err));
    options = options_of(home);
    options.project = "a b";
    CHECK_FAILS(GF_EINVAL, "project \"a b\"", gf_server_start(&options, &server, &check_err));
    options.project = "a/b";
    CHECK_FAILS(GF_EINVAL, "expected projects/PROJECT",
                gf_server_start(&options, &server, &check_err));
    options = options_of(home);
    options.deadline_ms = 0;
    CHECK_FAILS(GF_EINVAL, "deadline 0: expected 1 or more",
                gf_server_start(&options, &server, &check_err));
    options = options_of(home);
    options.run_timeout_ms = 0;
    CHECK_FAILS(GF_EINVAL, "run timeout 0", gf_server_start(&options, &server, &check_err));
    options = options_of(home);
    options.max_waiting = 0;
    CHECK_FAILS(GF_EINVAL, "max waiting 0", gf_server_start(&options, &server, &check_err));
    options = options_of(home);
    options.drain_delay_ms = -1;
    CHECK_FAILS(GF_EINVAL, "drain delay -1: expected 0 or more",
                gf_server_start(&options, &server, &check_err));
    CHECK(server == NULL);
    check_remove_dir(home);
}

typedef struct drainer {
    gf_server *server;
    gf_status st;
} drainer;

static void *drain(void *user)
{
    drainer *with = user;
    with->st = gf_server_drain(with->server, NULL);
    return NULL;
}

/* How often it said that it is not ready. */
static int ask_while_it_drains(const char *home, int drain_delay_ms)
{
    char answer[4096];
    pthread_t thread;
    drainer with = {0};
    gf_server_options options = options_of(home);
    options.drain_delay_ms = drain_delay_ms;
    CHECK_OK(gf_server_start(&options, &with.server, &check_err));
    const int port = gf_server_port(with.server);
    CHECK_EQ(get(port, "/readyz", "", answer, sizeof answer), 200);
    CHECK_EQ(pthread_create(&thread, NULL, drain, &with), 0);
    int n_unready = 0, code;
    while ((code = get(port, "/readyz", "", answer, sizeof answer)) != 0) {
        n_unready += code == 503 ? 1 : 0;
        CHECK(code == 503 || n_unready == 0); /* never ready again */
        CHECK_EQ(get(port, "/livez", "", answer, sizeof answer) % 200, 0);
    }
    pthread_join(thread, NULL);
    CHECK_EQ(with.st, GF_OK);
    gf_server_free(with.server);
    return n_unready;
}

TEST(server__is_not_ready_and_answers_before_it_closes)
{
    char *home = check_temp_dir();
    int n_unready = 0;
    /* A busy machine may ask when a short delay is over. */
    for (int ms = 1500; ms <= 24000 && n_unready == 0; ms *= 4)
        n_unready = ask_while_it_drains(home, ms);
    CHECK(n_unready > 0);
    check_remove_dir(home);
}

TEST(server__writes_its_log_anew_when_told)
{
    char answer[4096];
    char *home = check_temp_dir();
    char *path = gf__path_join(home, "access.log"), *moved = gf__path_join(home, "access.log.1");
    char *text = NULL;
    size_t size = 0;
    gf__json *line = NULL;
    gf_server *server = NULL;
    gf_server_options options = options_of(home);
    options.access_log = path;
    CHECK_OK(gf_server_start(&options, &server, &check_err));
    const int port = gf_server_port(server);
    CHECK_EQ(get(port, "/livez?key=secret", "X-Request-Id: one\r\n", answer, sizeof answer), 200);
    CHECK_EQ(rename(path, moved), 0);
    CHECK_OK(gf_server_reopen_logs(server, &check_err));
    CHECK_EQ(get(port, "/nothing", "X-Request-Id: two\r\n", answer, sizeof answer), 404);
    CHECK_OK(gf_server_drain(server, &check_err)); /* lines are written after their answers */
    gf_server_free(server);
    CHECK_OK(gf__read_file(moved, 10000, &text, &size, &check_err));
    CHECK(strstr(text, "secret") == NULL);
    CHECK_OK(gf__json_parse(text, size, &line, &check_err));
    CHECK_STR(gf__json_string(gf__json_find(line, "id"), ""), "one");
    CHECK_STR(gf__json_string(gf__json_find(line, "path"), ""), "/livez");
    CHECK_STR(gf__json_string(gf__json_find(line, "client"), ""), "127.0.0.1");
    gf__json_free(line);
    gf__free(text);
    CHECK_OK(gf__read_file(path, 10000, &text, &size, &check_err));
    CHECK_OK(gf__json_parse(text, size, &line, &check_err));
    CHECK_STR(gf__json_string(gf__json_find(line, "id"), ""), "two");
    CHECK_EQ(gf__json_int(gf__json_find(line, "code"), 0), 404);
    gf__json_free(line);
    gf__free(text);
    gf__free(moved);
    gf__free(path);
    check_remove_dir(home);
}

TESTS_MAIN(UNIT(server__answers_on_the_port_it_names), UNIT(server__has_its_home_for_itself),
           UNIT(server__wants_tokens_on_other_addresses),
           UNIT(server__refuses_options_that_cannot_be),
           UNIT(server__is_not_ready_and_answers_before_it_closes),
           UNIT(server__writes_its_log_anew_when_told))
