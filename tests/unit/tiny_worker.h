/* tiny_worker.h: a real worker process on the tiny trunk inside a model file, and predictors of the same
 * model that say what it must answer. */
#ifndef GRAFT_TESTS_TINY_WORKER_H
#define GRAFT_TESTS_TINY_WORKER_H

#include "tiny_model.h"
#include "worker/protocol.h"

static inline const char *program(void)
{
    const char *path = getenv("GRAFT_PROGRAM");
    if (path == NULL)
        fail_msg("GRAFT_PROGRAM is not set: run this through make test");
    return path;
}

typedef struct tiny_worker {
    char *dir, *path;
    gf__worker *worker;
    gf_predictor *predictor[3]; /* of 1 and 2 threads */
} tiny_worker;

static const gf_output_spec tiny_cut = {"conv", GF_POOL_AVG};

static inline gf__worker_options tiny_options(const tiny_worker *t, int n_threads)
{
    return (gf__worker_options){.program = program(),
                                .home = t->dir,
                                .trunk_file = t->path,
                                .precision = GF_PRECISION_F32,
                                .cuts = &tiny_cut,
                                .n_cuts = 1,
                                .n_threads = n_threads};
}

static inline gf__report receive(gf__worker *worker, gf__report_kind kind)
{
    gf__report report;
    CHECK_OK(gf__worker_receive(worker, &report, &check_err));
    if (report.kind != kind)
        fail_msg("report %d (%s), expected %d", (int)report.kind, report.message, (int)kind);
    return report;
}

static inline void start(tiny_worker *t, const gf__worker_options *options)
{
    CHECK_OK(gf__worker_start(options, &t->worker, &check_err));
    const gf__report report = receive(t->worker, GF__REPORT_READY);
    CHECK_EQ(report.status, GF_OK);
    CHECK(report.start_ms > 0);
    CHECK_EQ(report.precision, GF_PRECISION_F32);
    CHECK(report.rss_bytes > 1 << 20);
}

static inline void open_tiny(tiny_worker *t, int n_threads)
{
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_head *head = tiny_head(3);
    gf_model *model = NULL;
    *t = (tiny_worker){.dir = check_temp_dir()};
    t->path = tiny_path(t->dir, "m.safetensors");
    tiny_save_model(t->path, trunk, head, true);
    gf_head_free(head);
    gf_trunk_free(trunk);
    CHECK_OK(gf_model_load(t->path, &model, &check_err));
    for (int n = 1; n <= 2; n++) {
        gf_predictor_options options = gf_predictor_options_default();
        options.n_threads = n;
        CHECK_OK(gf_predictor_new(model, NULL, &options, &t->predictor[n], &check_err));
    }
    gf_model_unref(model);
    if (n_threads == 0)
        return;
    const gf__worker_options options = tiny_options(t, n_threads);
    start(t, &options);
    CHECK_OK(gf__worker_load(t->worker, 7, t->path, &check_err));
    const gf__report report = receive(t->worker, GF__REPORT_LOADED);
    if (report.status != GF_OK)
        fail_msg("%s", report.message);
    CHECK_EQ(report.head, 7);
    CHECK(report.resident_bytes > 0);
}

static inline void close_tiny(tiny_worker *t)
{
    gf__worker_free(t->worker);
    for (int n = 1; n <= 2; n++)
        gf_predictor_free(t->predictor[n]);
    gf__free(t->path);
    check_remove_dir(t->dir);
}

static inline void send_png(gf__worker *worker, uint64_t id, uint64_t head, uint64_t seed)
{
    uint8_t *png = NULL;
    size_t n_bytes = 0;
    tiny_png(40, 30, seed, &png, &n_bytes);
    const gf__run run = {
        .id = id, .head = head, .kind = GF__RUN_PICTURE, .bytes = png, .n_bytes = n_bytes};
    CHECK_OK(gf__worker_run(worker, &run, &check_err));
    gf_image_bytes_free(png);
}

static inline void check_scores(const tiny_worker *t, const gf__report *report, uint64_t seed)
{
    float want[3];
    uint8_t *png = NULL;
    size_t n_bytes = 0;
    if (report->status != GF_OK)
        fail_msg("%s", report->message);
    tiny_png(40, 30, seed, &png, &n_bytes);
    gf_predictor *predictor = t->predictor[report->timing.n_threads];
    CHECK_OK(gf_predictor_picture(predictor, png, n_bytes, want, NULL, &check_err));
    CHECK_EQ(report->n_scores, 3);
    assert_memory_equal(report->scores, want, sizeof want);
    gf_image_bytes_free(png);
}

static inline void stop(tiny_worker *t)
{
    gf__worker_end end;
    gf__report report;
    gf__worker_stop(t->worker);
    CHECK_FAILS(GF_EUNAVAILABLE, "gone", gf__worker_receive(t->worker, &report, &check_err));
    gf__worker_wait(t->worker, &end);
    CHECK_STR(end.text, "ended");
    CHECK(!end.is_crash);
}

#endif
