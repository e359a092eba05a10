/* test_worker.c: real worker processes: they say what the predictor says, in order and once, and
 * nothing that is sent to them or happens to them loses anything else. */
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tiny_worker.h"

TEST(worker__says_what_the_predictor_says_to_the_byte)
{
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        tiny_worker t;
        open_tiny(&t, n_threads);
        for (uint64_t seed = 0; seed < 10; seed++) {
            send_png(t.worker, 100 + seed, 7, seed);
            const gf__report report = receive(t.worker, GF__REPORT_RESULT);
            CHECK_EQ(report.id, 100 + seed);
            CHECK_EQ(report.timing.n_threads, n_threads);
            check_scores(&t, &report, seed);
        }
        stop(&t);
        close_tiny(&t);
    }
}

TEST(worker__answers_each_of_many_runs_once)
{
    enum { N = 300 };
    tiny_worker t;
    bool is_seen[N] = {false};
    open_tiny(&t, 2);
    for (uint64_t i = 0; i < N; i++)
        send_png(t.worker, i, 7, i % 5); /* many of one picture: they share passes */
    gf__worker_stop(t.worker);
    for (size_t i = 0; i < N; i++) {
        const gf__report report = receive(t.worker, GF__REPORT_RESULT);
        CHECK(report.id < N && !is_seen[report.id]);
        is_seen[report.id] = true;
        check_scores(&t, &report, report.id % 5);
    }
    stop(&t);
    close_tiny(&t);
}

TEST(worker__runs_what_was_sent_after_a_load_on_that_head_and_no_other)
{
    tiny_worker t;
    gf__report report;
    open_tiny(&t, 2);
    CHECK_OK(gf__worker_load(t.worker, 8, t.path, &check_err));
    send_png(t.worker, 1, 8, 4);
    report = receive(t.worker, GF__REPORT_LOADED);
    CHECK_EQ(report.head, 8);
    report = receive(t.worker, GF__REPORT_RESULT);
    check_scores(&t, &report, 4);
    send_png(t.worker, 2, 8, 4);
    CHECK_OK(gf__worker_unload(t.worker, 8, &check_err));
    send_png(t.worker, 3, 8, 4);
    bool is_answered = false, is_refused = false;
    for (int i = 0; i < 2; i++) {
        report = receive(t.worker, GF__REPORT_RESULT);
        is_answered = is_answered || (report.id == 2 && report.status == GF_OK);
        is_refused = is_refused || (report.id == 3 && report.status == GF_ENOTFOUND);
    }
    CHECK(is_answered && is_refused);
    CHECK_OK(gf__worker_load(t.worker, 7, t.path, &check_err));
    report = receive(t.worker, GF__REPORT_LOADED);
    CHECK_EQ(report.status, GF_EEXISTS);
    stop(&t);
    close_tiny(&t);
}

TEST(worker__refuses_a_file_that_is_no_model_and_the_runs_that_wait_for_it)
{
    tiny_worker t;
    open_tiny(&t, 1);
    char *path = tiny_path(t.dir, "bad");
    CHECK_OK(gf__write_file(path, "no model", 8, &check_err));
    CHECK_OK(gf__worker_load(t.worker, 9, path, &check_err));
    send_png(t.worker, 5, 9, 1);
    gf__report report = receive(t.worker, GF__REPORT_LOADED);
    CHECK_EQ(report.status, GF_EFORMAT);
    CHECK_EQ(report.head, 9);
    report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.id, 5);
    CHECK(report.status != GF_OK);
    CHECK_FAILS(GF_ENOTFOUND, "not-there", gf__worker_load(t.worker, 10, "/not-there", &check_err));
    gf__free(path);
    stop(&t);
    close_tiny(&t);
}

TEST(worker__answers_a_bad_picture_with_its_fault)
{
    tiny_worker t;
    uint8_t *png = NULL;
    size_t n_bytes = 0;
    open_tiny(&t, 0);
    gf__worker_options options = tiny_options(&t, 1);
    options.max_pixels = 1000;
    start(&t, &options);
    CHECK_OK(gf__worker_load(t.worker, 7, t.path, &check_err));
    receive(t.worker, GF__REPORT_LOADED);
    const gf__run noise = {.id = 1, .head = 7, .bytes = "no picture", .n_bytes = 10};
    CHECK_OK(gf__worker_run(t.worker, &noise, &check_err));
    gf__report report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.status, GF_EFORMAT);
    CHECK(report.message[0] != '\0');
    send_png(t.worker, 2, 7, 1); /* 40 x 30 */
    report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.status, GF_ELIMIT);
    tiny_png(TINY_SIDE, TINY_SIDE, 1, &png, &n_bytes);
    const gf__run good = {.id = 3, .head = 7, .bytes = png, .n_bytes = n_bytes};
    CHECK_OK(gf__worker_run(t.worker, &good, &check_err));
    report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.status, GF_OK);
    gf_image_bytes_free(png);
    stop(&t);
    close_tiny(&t);
}

TEST(worker__takes_the_features_themselves_and_replays_the_self_test)
{
    tiny_worker t;
    float features[TINY_FILTERS + 1] = {1, 2, 3}, want[3];
    gf_head *head = tiny_head(3);
    open_tiny(&t, 2);
    gf__run run = {.id = 1,
                   .head = 7,
                   .kind = GF__RUN_NUMBERS,
                   .bytes = features,
                   .n_bytes = TINY_FILTERS * sizeof(float),
                   .wants_debug = true};
    CHECK_OK(gf__worker_run(t.worker, &run, &check_err));
    gf__report report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.status, GF_OK);
    CHECK_OK(gf_head_predict(head, features, 1, want, &check_err));
    assert_memory_equal(report.scores, want, sizeof want);
    char hex[GF__SHA256_HEX];
    gf__sha256_hex(features, TINY_FILTERS * sizeof(float), hex);
    CHECK_STR(report.features_sha256, hex);
    gf__sha256_hex(report.logits, 3 * sizeof(float), hex);
    CHECK_STR(report.logits_sha256, hex);
    CHECK_STR(report.tensor_sha256, "");
    run.n_bytes += sizeof(float);
    CHECK_OK(gf__worker_run(t.worker, &run, &check_err));
    report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.status, GF_ESHAPE);
    CHECK(strstr(report.message, "13 numbers") != NULL && strstr(report.message, "takes 12"));
    run = (gf__run){.id = 2, .head = 7, .kind = GF__RUN_SELF_TEST};
    CHECK_OK(gf__worker_run(t.worker, &run, &check_err));
    report = receive(t.worker, GF__REPORT_RESULT);
    if (report.status != GF_OK)
        fail_msg("%s", report.message);
    CHECK_EQ(report.n_scores, 1);
    CHECK(report.scores[0] >= 0 && report.scores[0] <= 1e-4f);
    gf_head_free(head);
    stop(&t);
    close_tiny(&t);
}

TEST(worker__without_a_trunk_takes_numbers_and_no_pictures)
{
    tiny_worker t;
    const float features[TINY_FILTERS] = {0};
    gf__report report;
    open_tiny(&t, 0);
    gf__worker_options options = tiny_options(&t, 1);
    options.trunk_file = NULL;
    options.n_cuts = 0;
    CHECK_OK(gf__worker_start(&options, &t.worker, &check_err));
    receive(t.worker, GF__REPORT_READY);
    CHECK_OK(gf__worker_load(t.worker, 7, t.path, &check_err));
    receive(t.worker, GF__REPORT_LOADED);
    const gf__run run = {
        .id = 1, .head = 7, .kind = GF__RUN_NUMBERS, .bytes = features, .n_bytes = sizeof features};
    CHECK_OK(gf__worker_run(t.worker, &run, &check_err));
    report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.status, GF_OK);
    send_png(t.worker, 2, 7, 1);
    report = receive(t.worker, GF__REPORT_RESULT);
    CHECK_EQ(report.status, GF_EINVAL);
    CHECK(strstr(report.message, "no trunk") != NULL);
    stop(&t);
    close_tiny(&t);
}

TEST(worker__that_cannot_be_made_ready_says_why_and_ends)
{
    tiny_worker t;
    gf__worker_end end;
    open_tiny(&t, 0);
    gf__worker_options options = tiny_options(&t, 1);
    options.trunk_file = "/not-there.safetensors";
    CHECK_OK(gf__worker_start(&options, &t.worker, &check_err));
    const gf__report report = receive(t.worker, GF__REPORT_FAILED);
    CHECK_EQ(report.status, GF_ENOTFOUND);
    CHECK(strstr(report.message, "/not-there.safetensors") != NULL);
    gf__worker_wait(t.worker, &end);
    CHECK_STR(end.text, "exited with 1");
    options = tiny_options(&t, 1);
    options.program = "/not-there/graft";
    gf__worker *none = NULL;
    CHECK_FAILS(GF_ENOTFOUND, "/not-there/graft", gf__worker_start(&options, &none, &check_err));
    CHECK(none == NULL);
    close_tiny(&t);
}

TEST(worker__end_says_what_killed_it_and_sends_fail_afterwards)
{
    tiny_worker t;
    gf__worker_end end;
    gf__report report;
    uint64_t ids[4];
    open_tiny(&t, 1);
    gf__worker_kill(t.worker, SIGSEGV);
    while (gf__worker_receive(t.worker, &report, &check_err) == GF_OK)
        continue;
    gf__worker_wait(t.worker, &end);
    CHECK(end.is_crash);
    CHECK_EQ(end.signal_number, SIGSEGV);
    CHECK_STR(end.text, "killed by signal 11 (Segmentation fault)");
    CHECK_EQ(gf__worker_busy_with(t.worker, ids, 4), 0);
    CHECK_FAILS(GF_EUNAVAILABLE, "gone", gf__worker_unload(t.worker, 7, &check_err));
    gf__worker_kill(t.worker, SIGKILL); /* nobody's number by now */
    close_tiny(&t);
}

/* ---- the real trunk ---- */

/* A home of our own: packs are written into it. */
static char *real_home(void)
{
    const char *theirs = getenv("GRAFT_TEST_HOME");
    if (theirs == NULL)
        fail_msg("GRAFT_TEST_HOME is not set: run the tests with make test");
    char *home = check_temp_dir(), *trunks = tiny_path(home, "trunks");
    char *from = gf__asprintf("%s/trunks/inception_v3.safetensors", theirs);
    char *to = tiny_path(trunks, "inception_v3.safetensors");
    CHECK_OK(gf__make_dirs(trunks, &check_err));
    assert_int_equal(symlink(from, to), 0);
    gf__free(to);
    gf__free(from);
    gf__free(trunks);
    return home;
}

static const gf_output_spec real_cuts[2] = {{"mixed2", GF_POOL_AVG}, {"mixed0", GF_POOL_AVG}};

static char *save_real(const char *home, gf_trunk *trunk, const gf_output_spec *cut, size_t n)
{
    const gf_head_layer layer = {.units = 3, .activation = GF_HEAD_SOFTMAX};
    gf_head *head = NULL;
    char *path = tiny_path(home, cut->layer);
    CHECK_OK(gf_head_new(n, &layer, 1, &head, &check_err));
    gf_head_initialise(head, n);
    const gf__model_content content = {.head = head,
                                       .class_names = tiny_classes,
                                       .trunk = trunk,
                                       .layer = cut->layer,
                                       .pool = cut->pool,
                                       .precision = GF_PRECISION_F32,
                                       .recipe = gf_recipe_of(trunk)};
    CHECK_OK(gf__model_save(path, &content, &check_err));
    gf_head_free(head);
    return path;
}

static void check_real(const char *home, const char *path, const uint8_t *png, size_t n_bytes,
                       const gf__report *report)
{
    gf_model *model = NULL;
    gf_predictor *predictor = NULL;
    gf_predictor_options options = gf_predictor_options_default();
    float want[3];
    if (report->status != GF_OK)
        fail_msg("%s", report->message);
    options.n_threads = (int)report->timing.n_threads;
    CHECK_OK(gf_model_load(path, &model, &check_err));
    CHECK_OK(gf_predictor_new(model, home, &options, &predictor, &check_err));
    CHECK_OK(gf_predictor_picture(predictor, png, n_bytes, want, NULL, &check_err));
    assert_memory_equal(report->scores, want, sizeof want);
    gf_predictor_free(predictor);
    gf_model_unref(model);
}

/* Sent together, so that they are answered alone and shared, by one thread and by two. */
TEST(worker__gives_heads_on_two_cuts_what_each_would_get_alone)
{
    enum { N = 12 };
    char *home = real_home(), *paths[2];
    gf_trunk *trunk = NULL;
    gf__worker *worker = NULL;
    uint8_t *pngs[2] = {NULL, NULL};
    size_t n_bytes[2] = {0, 0};
    gf__worker_end end;
    gf__report report;
    uint64_t ids[2] = {0};
    CHECK_OK(gf_trunk_load(home, "inception_v3", &trunk, &check_err));
    paths[0] = save_real(home, trunk, &real_cuts[0], 288);
    paths[1] = save_real(home, trunk, &real_cuts[1], 256);
    const gf__worker_options options = {.program = program(),
                                        .home = home,
                                        .trunk_name = "inception_v3",
                                        .trunk_sha256 = gf_trunk_sha256(trunk),
                                        .precision = GF_PRECISION_F32,
                                        .cuts = real_cuts,
                                        .n_cuts = 2,
                                        .n_threads = 2};
    CHECK_OK(gf__worker_start(&options, &worker, &check_err));
    receive(worker, GF__REPORT_READY);
    for (uint64_t i = 0; i < 2; i++) {
        tiny_png(320, 200, i, &pngs[i], &n_bytes[i]);
        CHECK_OK(gf__worker_load(worker, i, paths[i], &check_err));
        report = receive(worker, GF__REPORT_LOADED);
        if (report.status != GF_OK)
            fail_msg("%s", report.message);
    }
    for (uint64_t i = 0; i < N; i++) {
        const gf__run run = {
            .id = i, .head = i % 2, .bytes = pngs[i / 2 % 2], .n_bytes = n_bytes[i / 2 % 2]};
        CHECK_OK(gf__worker_run(worker, &run, &check_err));
    }
    for (size_t i = 0; i < N; i++) {
        report = receive(worker, GF__REPORT_RESULT);
        const size_t picture = report.id / 2 % 2;
        check_real(home, paths[report.id % 2], pngs[picture], n_bytes[picture], &report);
    }
    /* Killed in the middle of a run, it leaves behind which one it was. */
    const gf__run last = {.id = 77, .head = 0, .bytes = pngs[0], .n_bytes = n_bytes[0]};
    CHECK_OK(gf__worker_run(worker, &last, &check_err));
    while (gf__worker_busy_with(worker, ids, 2) != 1 || ids[0] != 77)
        continue;
    gf__worker_kill(worker, SIGKILL);
    gf__worker_wait(worker, &end);
    CHECK_EQ(end.signal_number, SIGKILL);
    CHECK_EQ(gf__worker_busy_with(worker, ids, 2), 1);
    CHECK_EQ(ids[0], 77);
    gf__worker_free(worker);
    for (size_t i = 0; i < 2; i++) {
        gf_image_bytes_free(pngs[i]);
        gf__free(paths[i]);
    }
    gf_trunk_free(trunk);
    check_remove_dir(home);
}

/* ---- frames that are none ---- */

static gf_status receive_bytes(const void *bytes, size_t n_bytes)
{
    int ends[2];
    gf__frame frame;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(write(ends[0], bytes, n_bytes), (ssize_t)n_bytes);
    close(ends[0]);
    const gf_status st = gf__frame_receive(ends[1], 100, true, &frame, &check_err);
    gf__frame_clear(&frame);
    close(ends[1]);
    return st;
}

TEST(frame__that_is_none_or_too_large_is_refused_before_memory_is_taken)
{
    uint8_t header[16 + 101] = {'G', 'W', 'K', '1', 5};
    CHECK_EQ(receive_bytes(header, 16), GF_OK);
    header[8] = 100;
    CHECK_EQ(receive_bytes(header, 16 + 100), GF_OK);
    CHECK_EQ(receive_bytes(header, 16 + 99), GF_EUNAVAILABLE);
    header[8] = 101;
    CHECK_FAILS(GF_EFORMAT, "101 bytes", receive_bytes(header, 16 + 101));
    header[15] = 0xff;
    CHECK_FAILS(GF_EFORMAT, "at most 100", receive_bytes(header, 16));
    header[0] = 'g';
    CHECK_FAILS(GF_EFORMAT, "no frame", receive_bytes(header, 16));
    CHECK_EQ(receive_bytes(header, 15), GF_EUNAVAILABLE);
}

/* Every shorter payload, and one byte more, is refused. */
TEST(report__is_read_back_and_refused_in_any_other_length)
{
    const float scores[2] = {0.25f, 0.75f};
    gf__report report = {.kind = GF__REPORT_RESULT,
                         .id = 9,
                         .message = "",
                         .scores = scores,
                         .n_scores = 2,
                         .logits = scores,
                         .timing = {1, 2, 3, 4, 5, 6}};
    gf__sha256_hex("", 0, report.logits_sha256);
    gf__buffer bytes = {0};
    gf__report got;
    float *floats = NULL;
    gf__report_write(&report, &bytes);
    CHECK_OK(gf__report_read((uint8_t *)bytes.data, bytes.size, &got, &floats, &check_err));
    CHECK_EQ(got.id, 9);
    CHECK_EQ(got.timing.n_threads, 6);
    CHECK_STR(got.logits_sha256, report.logits_sha256);
    assert_memory_equal(got.logits, scores, sizeof scores);
    gf__free(floats);
    for (size_t n = 0; n < bytes.size; n++)
        CHECK_FAILS(GF_EFORMAT, "protocol",
                    gf__report_read((uint8_t *)bytes.data, n, &got, &floats, &check_err));
    gf__buffer_append(&bytes, "", 1);
    CHECK_FAILS(GF_EFORMAT, "too long",
                gf__report_read((uint8_t *)bytes.data, bytes.size, &got, &floats, &check_err));
    gf__buffer_free(&bytes);
}

TESTS_MAIN(UNIT(worker__says_what_the_predictor_says_to_the_byte),
           UNIT(worker__answers_each_of_many_runs_once),
           UNIT(worker__runs_what_was_sent_after_a_load_on_that_head_and_no_other),
           UNIT(worker__refuses_a_file_that_is_no_model_and_the_runs_that_wait_for_it),
           UNIT(worker__answers_a_bad_picture_with_its_fault),
           UNIT(worker__takes_the_features_themselves_and_replays_the_self_test),
           UNIT(worker__without_a_trunk_takes_numbers_and_no_pictures),
           UNIT(worker__that_cannot_be_made_ready_says_why_and_ends),
           UNIT(worker__end_says_what_killed_it_and_sends_fail_afterwards),
           UNIT(worker__gives_heads_on_two_cuts_what_each_would_get_alone),
           UNIT(frame__that_is_none_or_too_large_is_refused_before_memory_is_taken),
           UNIT(report__is_read_back_and_refused_in_any_other_length))
