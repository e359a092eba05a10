/* test_base_download.c: downloads that are broken off, resumed, refused, stalled and stopped. */
#include <fcntl.h>
#include <sys/file.h>

#include "download_server.h"

TEST(download__writes_the_file)
{
    CHECK_OK(fetch("full", NULL, NULL));
    check_complete();
    CHECK_EQ(srv.n_requests, 1);
    assert_non_null(strstr(srv.last_request, "User-Agent: graft/"));
    assert_null(strstr(srv.last_request, "Range:"));
    CHECK_OK(fetch("without-length", NULL, NULL)); /* over the one that is there */
    check_complete();
}

TEST(download__follows_redirects_but_never_to_a_file)
{
    CHECK_OK(fetch("redirect", NULL, NULL));
    check_complete();
    unlink(path);
    CHECK_FAILS(GF_ENETWORK, "redirect-to-file", fetch("redirect-to-file", NULL, NULL));
    check_nothing_left();
}

TEST(download__gives_up_on_a_ring_of_redirects)
{
    CHECK_FAILS(GF_ENETWORK, "redirects", fetch("loop", NULL, NULL));
    CHECK_EQ(srv.n_requests, 11); /* the first and ten more; another round would not help */
    check_nothing_left();
}

TEST(download__writes_an_empty_file)
{
    uint64_t size = 9;
    CHECK_OK(fetch("empty", NULL, NULL));
    CHECK_OK(gf__file_size(path, &size, &check_err));
    CHECK_EQ(size, 0);
}

TEST(download__does_not_retry_what_is_not_there)
{
    CHECK_FAILS(GF_ENOTFOUND, "404: the server answered 404", fetch("404", NULL, NULL));
    CHECK_EQ(srv.n_requests, 1);
    CHECK_FAILS(GF_ENETWORK, "the server answered 403", fetch("403", NULL, NULL));
    CHECK_EQ(srv.n_requests, 2);
    check_nothing_left();
}

static void keep_log(void *user, gf_log_level level, const char *message)
{
    snprintf(user, 256, "%s", message);
}

TEST(download__retries_a_busy_server_and_says_so)
{
    char line[256] = "";
    const gf_observer obs = {.log = keep_log, .user = line};
    CHECK_OK(fetch("503-once", NULL, &obs));
    check_complete();
    CHECK_EQ(srv.n_requests, 2);
    assert_non_null(strstr(line, "the server answered 503; trying again in 0.0 s"));
}

TEST(download__gives_up_after_its_retries)
{
    gf__download_options options = fast_options();
    options.n_retries = 2;
    CHECK_FAILS(GF_ENETWORK, "answered 503 (tried 3 times)", fetch("503", &options, NULL));
    CHECK_EQ(srv.n_requests, 3);
    check_nothing_left();
}

TEST(download__goes_on_where_the_connection_broke)
{
    CHECK_OK(fetch("drop", NULL, NULL));
    check_complete();
    CHECK_EQ(srv.n_requests, 3);
    assert_non_null(strstr(srv.last_request, "Range: bytes=20000-"));
    assert_non_null(strstr(srv.last_request, "If-Range: \"v1\""));
}

TEST(download__starts_over_where_the_file_has_changed)
{
    CHECK_OK(fetch("changed", NULL, NULL));
    check_complete();
    CHECK_EQ(srv.n_requests, 2);
}

TEST(download__never_joins_two_versions_of_a_file)
{
    CHECK_OK(fetch("changed-rudely", NULL, NULL));
    check_complete();
    CHECK_EQ(srv.n_requests, 3); /* broken, refused, whole */
}

TEST(download__starts_over_where_the_server_knows_no_ranges)
{
    CHECK_OK(fetch("without-range", NULL, NULL));
    check_complete();
    CHECK_EQ(srv.n_requests, 2);
}

TEST(download__refuses_bytes_from_another_offset)
{
    CHECK_OK(fetch("wrong-range", NULL, NULL));
    check_complete();
    CHECK_EQ(srv.n_requests, 3);
}

TEST(download__resumes_in_the_next_call)
{
    gf__download_options options = fast_options();
    options.is_resumable = true;
    options.n_retries = 0;
    CHECK_FAILS(GF_ENETWORK, "/drop: ", fetch("drop", &options, NULL));
    uint64_t size = 0;
    CHECK_OK(gf__file_size(part_path, &size, &check_err));
    CHECK_EQ(size, 10000);
    CHECK(!gf__is_file(path));
    CHECK_OK(fetch("full", &options, NULL));
    check_complete();
    assert_non_null(strstr(srv.last_request, "Range: bytes=10000-"));
}

static void put_part(size_t n_bytes)
{
    char *bytes = gf__calloc(1, n_bytes);
    memcpy(bytes, srv.body, n_bytes < N_BODY ? n_bytes : N_BODY);
    CHECK_OK(gf__write_file(part_path, bytes, n_bytes, &check_err));
    gf__free(bytes);
}

TEST(download__knows_a_part_that_is_complete_or_too_long)
{
    gf__download_options options = fast_options();
    options.is_resumable = true;
    put_part(N_BODY);
    CHECK_OK(fetch("range-error", &options, NULL));
    check_complete();
    CHECK_EQ(srv.n_requests, 1);
    put_part(N_BODY + 5);
    CHECK_OK(fetch("range-error", &options, NULL));
    check_complete();
    CHECK_EQ(srv.n_requests, 3);
}

TEST(download__ignores_an_old_part_where_it_may_not_resume)
{
    put_part(10000);
    CHECK_OK(fetch("full", NULL, NULL));
    check_complete();
    assert_null(strstr(srv.last_request, "Range:"));
}

TEST(download__notices_a_stall)
{
    gf__download_options options = fast_options();
    options.n_retries = 0;
    options.stall_timeout_ms = 50;
    CHECK_FAILS(GF_ENETWORK, "/stall: nothing came for", fetch("stall", &options, NULL));
    check_nothing_left();
}

TEST(download__keeps_to_its_limit)
{
    gf__download_options options = fast_options();
    options.limit_bytes = N_BODY;
    CHECK_OK(fetch("full", &options, NULL));
    check_complete();
    unlink(path);
    options.limit_bytes = N_BODY - 1;
    options.is_resumable = true;
    CHECK_FAILS(GF_ELIMIT, "larger than the limit of 49999 bytes", fetch("full", &options, NULL));
    CHECK_FAILS(GF_ELIMIT, "larger than the limit", fetch("without-length", &options, NULL));
    CHECK_EQ(srv.n_requests, 3);
    check_nothing_left();
}

typedef struct watcher {
    uint64_t n_done, n_total;
    bool stops;
} watcher;

static bool watch(void *user, const gf_progress *progress)
{
    watcher *w = user;
    CHECK_STR(progress->stage, "download");
    w->n_done = progress->n_done;
    w->n_total = progress->n_total;
    return !w->stops;
}

TEST(download__tells_how_far_it_is_and_stops_when_told)
{
    watcher w = {0};
    const gf_observer obs = {.progress = watch, .user = &w};
    CHECK_OK(fetch("drop", NULL, &obs));
    CHECK_EQ(w.n_done, N_BODY);
    CHECK_EQ(w.n_total, N_BODY);
    unlink(path);
    w.stops = true;
    CHECK_FAILS(GF_ECANCELED, "stopped", fetch("stall", NULL, &obs));
    check_nothing_left();
}

typedef struct impatient {
    char line[256];
    bool is_waiting;
} impatient;

static void note_waiting(void *user, gf_log_level level, const char *message)
{
    impatient *i = user;
    i->is_waiting = true;
    snprintf(i->line, sizeof i->line, "%s", message);
}

static bool go_on_unless_waiting(void *user, const gf_progress *progress)
{
    return !((const impatient *)user)->is_waiting;
}

TEST(download__waits_as_long_as_the_server_asks_and_can_be_stopped_meanwhile)
{
    impatient user = {0};
    const gf_observer obs = {.progress = go_on_unless_waiting, .log = note_waiting, .user = &user};
    CHECK_FAILS(GF_ECANCELED, "stopped", fetch("503-for-long", NULL, &obs));
    assert_non_null(strstr(user.line, "answered 503; trying again in 7.0 s"));
    CHECK_EQ(srv.n_requests, 1);
    check_nothing_left();
}

static void fetch_numbered(void *statuses, size_t i, int thread)
{
    const gf__download_options fast = fast_options();
    char url[128], target[4096];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/full", srv.port);
    snprintf(target, sizeof target, "%s/%zu", dir, i);
    ((gf_status *)statuses)[i] = gf__download(url, target, &fast, NULL, NULL);
}

TEST(download__works_in_many_threads_at_once)
{
    gf__pool *pool = NULL;
    gf_status statuses[16];
    CHECK_OK(gf__pool_new(4, &pool, &check_err));
    gf__pool_run(pool, 16, fetch_numbered, statuses);
    gf__pool_free(pool);
    for (size_t i = 0; i < 16; i++)
        CHECK_EQ(statuses[i], GF_OK);
    CHECK_EQ(srv.n_requests, 16);
}

TEST(download__lets_one_write_a_part_at_a_time)
{
    const int fd = open(part_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    CHECK_FAILS(GF_EBUSY, "another download is writing this file", fetch("full", NULL, NULL));
    CHECK(gf__is_file(part_path));
    close(fd);
}

TEST(download__takes_http_https_and_file_only)
{
    CHECK_FAILS(GF_EINVAL, "ftp://host/x: expected an address that begins with http://",
                gf__download("ftp://host/x", path, NULL, NULL, &check_err));
    CHECK_FAILS(GF_EINVAL, "/etc/passwd: expected",
                gf__download("/etc/passwd", path, NULL, NULL, &check_err));
    check_nothing_left();
}

TEST(download__copies_local_files)
{
    char *source = gf__path_join(dir, "source"), url[4096];
    const gf__download_options fast = fast_options();
    CHECK_OK(gf__write_file(source, srv.body, N_BODY, &check_err));
    snprintf(url, sizeof url, "file://%s", source);
    CHECK_OK(gf__download(url, path, &fast, NULL, &check_err));
    check_complete();
    unlink(path);
    snprintf(url, sizeof url, "file://%s/missing", dir);
    CHECK_FAILS(GF_ENOTFOUND, "missing", gf__download(url, path, &fast, NULL, &check_err));
    check_nothing_left();
    gf__free(source);
}

TEST(download__says_that_a_host_cannot_be_reached)
{
    gf__download_options options = fast_options();
    options.n_retries = 1;
    /* A port that was free a moment ago. */
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t n_address = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    getsockname(fd, (struct sockaddr *)&address, &n_address);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x", ntohs(address.sin_port));
    CHECK_FAILS(GF_ENETWORK, "onnect", gf__download(url, path, &options, NULL, &check_err));
    assert_non_null(strstr(check_err.message, "(tried 2 times)"));
    close(fd);
    check_nothing_left();
}

TEST(download__refuses_to_replace_a_folder)
{
    CHECK_OK(gf__make_dirs(path, &check_err));
    CHECK_FAILS(GF_EINVAL, "it is a folder", fetch("full", NULL, NULL));
    CHECK_EQ(srv.n_requests, 0);
}

TEST(download__goes_through_the_proxy_of_the_environment)
{
    char proxy[64];
    const gf__download_options fast = fast_options();
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", srv.port);
    setenv("http_proxy", proxy, 1);
    setenv("no_proxy", "", 1);
    const gf_status st = gf__download("http://pictures.invalid/full", path, &fast, NULL,
                                      &check_err);
    unsetenv("http_proxy");
    setenv("no_proxy", "*", 1);
    CHECK_OK(st);
    check_complete();
    assert_non_null(strstr(srv.last_request, "GET http://pictures.invalid/full HTTP"));
}

TEST(download__survives_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = fetch("full", NULL, NULL);
        gf__mem_fail_never();
        if (st != GF_OK)
            check_nothing_left();
    }
    check_complete();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(download__writes_the_file),
        IN_DIR(download__follows_redirects_but_never_to_a_file),
        IN_DIR(download__gives_up_on_a_ring_of_redirects),
        IN_DIR(download__writes_an_empty_file),
        IN_DIR(download__does_not_retry_what_is_not_there),
        IN_DIR(download__retries_a_busy_server_and_says_so),
        IN_DIR(download__gives_up_after_its_retries),
        IN_DIR(download__goes_on_where_the_connection_broke),
        IN_DIR(download__starts_over_where_the_file_has_changed),
        IN_DIR(download__never_joins_two_versions_of_a_file),
        IN_DIR(download__starts_over_where_the_server_knows_no_ranges),
        IN_DIR(download__refuses_bytes_from_another_offset),
        IN_DIR(download__resumes_in_the_next_call),
        IN_DIR(download__knows_a_part_that_is_complete_or_too_long),
        IN_DIR(download__ignores_an_old_part_where_it_may_not_resume),
        IN_DIR(download__notices_a_stall),
        IN_DIR(download__keeps_to_its_limit),
        IN_DIR(download__tells_how_far_it_is_and_stops_when_told),
        IN_DIR(download__waits_as_long_as_the_server_asks_and_can_be_stopped_meanwhile),
        IN_DIR(download__works_in_many_threads_at_once),
        IN_DIR(download__lets_one_write_a_part_at_a_time),
        IN_DIR(download__takes_http_https_and_file_only),
        IN_DIR(download__copies_local_files),
        IN_DIR(download__says_that_a_host_cannot_be_reached),
        IN_DIR(download__refuses_to_replace_a_folder),
        IN_DIR(download__goes_through_the_proxy_of_the_environment),
        IN_DIR(download__survives_every_allocation_failure),
    };
    setenv("no_proxy", "*", 1); /* a proxy of whoever runs this has no business on the loopback */
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
