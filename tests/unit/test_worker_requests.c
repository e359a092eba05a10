/* test_worker_requests.c: what a worker does with what is sent to it: pixels and floats instead of
 * encoded pictures, other shares of threads, many models at once, a model that is not what its
 * self-test says, and an end of the socket in the middle of it all. */
#include <fcntl.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tiny_worker.h"

extern char **environ;

/* More than the process may hold open files, and sent before it is ready to read any. */
TEST(worker__loads_as_many_models_at_once_as_are_sent)
{
    enum { N = 100 };
    tiny_worker t;
    bool is_loaded[N] = {false};
    open_tiny(&t, 0);
    const gf__worker_options options = tiny_options(&t, 2);
    CHECK_OK(gf__worker_start(&options, &t.worker, &check_err));
    for (uint64_t i = 0; i < N; i++)
        CHECK_OK(gf__worker_load(t.worker, i, t.path, &check_err));
    send_png(t.worker, 1, N - 1, 5);
    receive(t.worker, GF__REPORT_READY);
    for (size_t i = 0; i < N; i++) {
        const gf__report report = receive(t.worker, GF__REPORT_LOADED);
        CHECK_EQ(report.status, GF_OK);
        CHECK(report.head < N && !is_loaded[report.head]);
        is_loaded[report.head] = true;
    }
    const gf__report report = receive(t.worker, GF__REPORT_RESULT);
    check_scores(&t, &report, 5);
    stop(&t);
    close_tiny(&t);
}

/* The weights are read where they lie: what happens to the file's name is nothing to the worker. */
TEST(worker__answers_from_a_model_whose_file_was_removed)
{
    tiny_worker t;
    open_tiny(&t, 1);
    assert_int_equal(unlink(t.path), 0);
    send_png(t.worker, 1, 7, 8);
    const gf__report report = receive(t.worker, GF__REPORT_RESULT);
    check_scores(&t, &report, 8);
    stop(&t);
    close_tiny(&t);
}

/* The picture of send_png(), as bytes and as floats in [-1,1]. */
static void check_pixels(tiny_worker *t, size_t width, size_t height, uint64_t seed)
{
    gf_image *image = tiny_picture(width, height, seed);
    const size_t n = width * height * 3;
    const uint8_t *pixels = gf_image_rgb(image);
    float *scaled = malloc(n * sizeof *scaled), want[3];
    uint8_t *png = NULL;
    size_t n_png = 0;
    for (size_t i = 0; i < n; i++)
        scaled[i] = (float)pixels[i] / 127.5f - 1.0f;
    tiny_png(width, height, seed, &png, &n_png);
    gf__run runs[2] = {{.id = 1, .kind = GF__RUN_PIXELS, .bytes = pixels, .n_bytes = n},
                       {.id = 2, .kind = GF__RUN_SCALED, .bytes = scaled, .n_bytes = 4 * n}};
    for (size_t i = 0; i < 2; i++) {
        runs[i].head = 7;
        runs[i].width = width;
        runs[i].height = height;
        CHECK_OK(gf__worker_run(t->worker, &runs[i], &check_err));
        const gf__report report = receive(t->worker, GF__REPORT_RESULT);
        if (report.status != GF_OK)
            fail_msg("%s", report.message);
        CHECK_EQ(report.id, runs[i].id);
        CHECK_OK(gf_predictor_picture(t->predictor[report.timing.n_threads], png, n_png, want, NULL,
                                      &check_err));
        assert_memory_equal(report.scores, want, sizeof want);
        runs[i].n_bytes--;
        CHECK_OK(gf__worker_run(t->worker, &runs[i], &check_err));
        const gf__report refused = receive(t->worker, GF__REPORT_RESULT);
        CHECK_EQ(refused.status, GF_ESHAPE);
    }
    gf_image_bytes_free(png);
    gf_image_free(image);
    free(scaled);
}

TEST(worker__says_to_pixels_what_the_predictor_says_to_the_picture)
{
    tiny_worker t;
    open_tiny(&t, 2);
    check_pixels(&t, TINY_SIDE, TINY_SIDE, 3);
    check_pixels(&t, 40, 30, 4); /* resized */
    stop(&t);
    close_tiny(&t);
}

static uint32_t threads_of_a_lone_picture(tiny_worker *t, uint64_t seed)
{
    send_png(t->worker, seed, 7, seed);
    const gf__report report = receive(t->worker, GF__REPORT_RESULT);
    check_scores(t, &report, seed);
    return report.timing.n_threads;
}

TEST(worker__uses_no_more_threads_than_its_share)
{
    tiny_worker t;
    open_tiny(&t, 2);
    CHECK_EQ(threads_of_a_lone_picture(&t, 1), 2);
    CHECK_OK(gf__worker_share(t.worker, 1, &check_err));
    CHECK_EQ(threads_of_a_lone_picture(&t, 2), 1);
    CHECK_OK(gf__worker_share(t.worker, 2, &check_err));
    CHECK_EQ(threads_of_a_lone_picture(&t, 3), 2);
    CHECK_FAILS(GF_EINVAL, "3 threads", gf__worker_share(t.worker, 3, &check_err));
    CHECK_FAILS(GF_EINVAL, "0 threads", gf__worker_share(t.worker, 0, &check_err));
    stop(&t);
    close_tiny(&t);
}

/* An answer is only sent when its threads are free for the next picture. */
TEST(worker__gives_all_threads_to_one_picture_after_the_other)
{
    tiny_worker t;
    open_tiny(&t, 2);
    for (uint64_t seed = 0; seed < 300; seed++)
        CHECK_EQ(threads_of_a_lone_picture(&t, seed), 2);
    stop(&t);
    close_tiny(&t);
}

TEST(worker__finds_a_model_that_is_not_what_its_self_test_says)
{
    tiny_worker t;
    const size_t shape[1] = {3};
    open_tiny(&t, 1);
    gf_tensor *bias = tiny_random(shape, 1, 3.0, 77);
    const tiny_change change = {.replace = "head/1/bias", .by = bias};
    tiny_change_model(t.path, &change);
    CHECK_OK(gf__worker_load(t.worker, 8, t.path, &check_err));
    gf__report report = receive(t.worker, GF__REPORT_LOADED);
    CHECK_EQ(report.status, GF_OK);
    const gf__run runs[2] = {{.id = 1, .head = 8, .kind = GF__RUN_SELF_TEST},
                             {.id = 2, .head = 7, .kind = GF__RUN_SELF_TEST}};
    CHECK_OK(gf__worker_run(t.worker, &runs[0], &check_err));
    report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.status, GF_EMISMATCH);
    CHECK(strstr(report.message, "rose") != NULL || strstr(report.message, "tulip") != NULL);
    CHECK_EQ(report.n_scores, 0);
    CHECK_OK(gf__worker_run(t.worker, &runs[1], &check_err)); /* the file as it was */
    report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.status, GF_OK);
    gf_tensor_free(bias);
    stop(&t);
    close_tiny(&t);
}

/* ---- the socket's end ---- */

/* `graft worker` without a handle, so that its socket can be closed under it. */
static pid_t spawn_worker(int socket)
{
    char *argv[] = {(char *)(uintptr_t)program(), (char *)(uintptr_t) "worker",
                    (char *)(uintptr_t) "--fd", (char *)(uintptr_t) "3", NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket, 3);
    assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void send_frame(int socket, gf__frame_kind kind, gf__buffer *head, const void *body,
                       size_t n_body, int fd)
{
    CHECK_OK(gf__frame_send(socket, kind, head, body, n_body, fd, &check_err));
    gf__buffer_free(head);
}

static void expect_report(int socket, gf__report_kind kind)
{
    gf__frame frame;
    gf__report report;
    float *floats = NULL;
    CHECK_OK(gf__frame_receive(socket, GF__REPORT_MAX_BYTES, false, &frame, &check_err));
    CHECK_OK(gf__report_read(frame.payload, frame.n_bytes, &report, &floats, &check_err));
    CHECK_EQ(report.kind, kind);
    CHECK_EQ(report.status, GF_OK);
    gf__free(floats);
    gf__frame_clear(&frame);
}

/* Many large pictures, no two alike: seconds of work. */
static void send_much_work(int socket, size_t n)
{
    enum { SIDE = 1500 };
    uint8_t *pixels = calloc(SIDE * SIDE, 3);
    for (size_t i = 0; i < n; i++) {
        gf__buffer head = {0};
        pixels[i] = 1;
        const gf__run run = {
            .id = i, .head = 7, .kind = GF__RUN_PIXELS, .height = SIDE, .width = SIDE};
        gf__run_write(&run, &head);
        send_frame(socket, GF__FRAME_RUN, &head, pixels, (size_t)SIDE * SIDE * 3, -1);
    }
    free(pixels);
}

TEST(worker__ends_when_its_socket_does_whatever_it_was_busy_with)
{
    enum { N = 40 };
    tiny_worker t;
    gf__buffer setup = {0}, number = {0};
    int ends[2], status = 0;
    open_tiny(&t, 0);
    const gf__worker_options options = tiny_options(&t, 1);
    const int busy_fd = memfd_create("busy", MFD_CLOEXEC);
    assert_int_equal(ftruncate(busy_fd, sizeof(gf__busy)), 0);
    gf__busy *busy = mmap(NULL, sizeof *busy, PROT_READ | PROT_WRITE, MAP_SHARED, busy_fd, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const pid_t pid = spawn_worker(ends[1]);
    close(ends[1]);
    gf__setup_write(&options, gf__clock_s(), &setup);
    send_frame(ends[0], GF__FRAME_SETUP, &setup, NULL, 0, busy_fd);
    expect_report(ends[0], GF__REPORT_READY);
    const int model_fd = open(t.path, O_RDONLY | O_CLOEXEC);
    gf__number_write(7, &number);
    send_frame(ends[0], GF__FRAME_LOAD, &number, NULL, 0, model_fd);
    expect_report(ends[0], GF__REPORT_LOADED);
    send_much_work(ends[0], N);
    while (atomic_load(&busy->n) == 0)
        continue;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(atomic_load(&busy->ids[0]) < N - 1); /* what waited was not begun */
    munmap(busy, sizeof *busy);
    close(busy_fd);
    close(model_fd);
    close_tiny(&t);
}

TESTS_MAIN(UNIT(worker__loads_as_many_models_at_once_as_are_sent),
           UNIT(worker__answers_from_a_model_whose_file_was_removed),
           UNIT(worker__says_to_pixels_what_the_predictor_says_to_the_picture),
           UNIT(worker__uses_no_more_threads_than_its_share),
           UNIT(worker__gives_all_threads_to_one_picture_after_the_other),
           UNIT(worker__finds_a_model_that_is_not_what_its_self_test_says),
           UNIT(worker__ends_when_its_socket_does_whatever_it_was_busy_with))
