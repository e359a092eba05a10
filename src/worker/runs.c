/* worker/runs.c: what a thread does with the job it took: the picture's pixels once, the trunk once,
 * then each run's head, and a report for each. */
#include <string.h>

#include "worker/worker_priv.h"

struct gf__runner {
    gf__process *process;
    int thread;
    gf__image_scratch *scratch;
    uint8_t *pixels; /* of the recipe's size; NULL without a trunk */
    size_t n_pixels_bytes;
    bool *is_wanted; /* a cut */
    const float **features;
    /* Of the job being done. */
    bool is_alone;
    size_t n_jobs;
    uint32_t n_others;
    double taken_s, decode_ms, network_ms;
};

gf_status gf__runner_new(gf__process *process, int thread, gf__runner **out, gf_error *err)
{
    *out = NULL;
    gf__runner *runner = gf__calloc(1, sizeof *runner);
    if (runner == NULL)
        return gf__error_nomem(err, "a thread", sizeof *runner);
    runner->process = process;
    runner->thread = thread;
    gf_status st = GF_OK;
    if (process->plans != NULL) {
        const gf_recipe recipe = gf_recipe_of(gf__plans_trunk(process->plans));
        const size_t n_cuts = gf__plans_n_cuts(process->plans);
        runner->n_pixels_bytes = recipe.width * recipe.height * 3;
        runner->pixels = gf__alloc_aligned(runner->n_pixels_bytes);
        runner->is_wanted = gf__calloc(n_cuts, sizeof *runner->is_wanted);
        runner->features = gf__calloc(n_cuts, sizeof(float *));
        if (runner->pixels == NULL || runner->is_wanted == NULL || runner->features == NULL)
            st = gf__error_nomem(err, "a thread", runner->n_pixels_bytes);
        if (st == GF_OK)
            st = gf__image_scratch_new(&runner->scratch, err);
    }
    if (st == GF_OK) {
        *out = runner;
        runner = NULL;
    }
    gf__runner_free(runner);
    return st;
}

void gf__runner_free(gf__runner *runner)
{
    if (runner == NULL)
        return;
    gf__image_scratch_free(runner->scratch);
    gf__free(runner->pixels);
    gf__free(runner->is_wanted);
    gf__free(runner->features);
    gf__free(runner);
}

/* ---- who is busy with what: see gf__worker_busy_with() ---- */

static void say_busy(gf__busy *busy, const gf__job *job)
{
    uint32_t n = 0;
    for (; job != NULL && n < GF__GROUP_MAX; job = job->peer)
        atomic_store_explicit(&busy->ids[n++], job->run.id, memory_order_relaxed);
    atomic_store_explicit(&busy->n, n, memory_order_release);
}

static void say_idle(gf__busy *busy)
{
    atomic_store_explicit(&busy->n, 0, memory_order_release);
}

/* ---- the trunk ---- */

static gf_status network(gf__runner *runner, const gf_sample *sample, gf_error *err)
{
    gf__process *process = runner->process;
    const gf__preprocess_options options = {.recipe = gf_recipe_of(gf__plans_trunk(process->plans)),
                                            .max_pixels = process->setup.options.max_pixels};
    const double start = gf__clock_s();
    gf_status st = gf__preprocess(sample, &options, runner->scratch, runner->pixels, err);
    const double decoded = gf__clock_s();
    if (st == GF_OK)
        st = gf__plans_run(process->plans, runner->thread, runner->is_alone, runner->is_wanted,
                           runner->pixels, runner->features, err);
    runner->decode_ms += 1e3 * (decoded - start);
    runner->network_ms += 1e3 * (gf__clock_s() - decoded);
    return st;
}

static gf_sample sample_of(const gf__run *run)
{
    return (gf_sample){.kind = run->kind == GF__RUN_PICTURE  ? GF_SAMPLE_ENCODED
                               : run->kind == GF__RUN_PIXELS ? GF_SAMPLE_PIXELS
                                                             : GF_SAMPLE_SCALED,
                       .data = run->bytes,
                       .n_bytes = run->n_bytes,
                       .width = run->width,
                       .height = run->height};
}

static gf_status check_has_cut(const gf__runner *runner, const gf__job *job, gf_error *err)
{
    if (job->head->cut != GF__NO_CUT && runner->process->plans != NULL)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL,
                        runner->process->plans == NULL
                            ? "this worker runs no trunk: it takes numbers, not pictures"
                            : "the model runs on no trunk: it takes numbers, not pictures");
}

/* ---- heads ---- */

/* With the last answer the job is done for the queue, before it is sent: who asks one picture after
 * the other, each when he has the answer to the last, is alone and gets all threads. */
static void answer(gf__runner *runner, const gf__job *job, size_t n_peers, gf__report *report,
                   gf_status st, const gf_error *err)
{
    report->kind = GF__REPORT_RESULT;
    report->status = st;
    report->message = st == GF_OK ? "" : err->message;
    report->head = job->run.head;
    report->id = job->run.id;
    report->timing.wait_ms = 1e3 * (runner->taken_s - job->received_s);
    report->timing.decode_ms = runner->decode_ms;
    report->timing.network_ms = runner->network_ms;
    report->timing.n_batch = (uint32_t)n_peers + runner->n_others;
    report->timing.n_threads = runner->is_alone ? (uint32_t)runner->process->setup.options.n_threads
                                                : 1;
    if (st != GF_OK) {
        report->scores = report->logits = NULL;
        report->n_scores = 0;
    }
    if (job->peer == NULL)
        gf__queue_done(runner->process->queue, runner->is_alone, runner->n_jobs);
    gf__process_report(runner->process, report);
}

static void hash_all(const gf__runner *runner, const gf__job *job, const float *features,
                     const float *logits, gf__report *report)
{
    const gf_head *head = gf_model_head(job->head->model);
    if (job->run.kind != GF__RUN_NUMBERS)
        gf__sha256_hex(runner->pixels, runner->n_pixels_bytes, report->tensor_sha256);
    gf__sha256_hex(features, gf_head_n_features(head) * sizeof *features, report->features_sha256);
    gf__sha256_hex(logits, gf_head_n_classes(head) * sizeof *logits, report->logits_sha256);
}

static void score(gf__runner *runner, const gf__job *job, size_t n_peers, const float *features)
{
    gf_error err;
    gf__report report = {0};
    const size_t n = gf_model_n_classes(job->head->model);
    gf_status st = GF_OK;
    float *scores = gf__malloc(2 * n * sizeof *scores);
    if (scores == NULL) {
        st = gf__error_nomem(&err, "scores", 2 * n * sizeof *scores);
    } else {
        const double start = gf__clock_s();
        report.scores = scores;
        report.n_scores = n;
        report.logits = job->run.wants_debug ? scores + n : NULL;
        st = gf__model_score(job->head->model, features, scores, scores + n, &err);
        report.timing.head_ms = 1e3 * (gf__clock_s() - start);
        if (st == GF_OK && job->run.wants_debug)
            hash_all(runner, job, features, scores + n, &report);
    }
    answer(runner, job, n_peers, &report, st, &err);
    gf__free(scores);
}

/* ---- the three kinds of work ---- */

static void run_pictures(gf__runner *runner, gf__job *first)
{
    const size_t n_peers = first->n_peers + 1;
    const gf_sample sample = sample_of(&first->run);
    bool is_any = false;
    gf_error err = {0}, none = {0};
    gf_status st = GF_OK;
    for (const gf__job *job = first; job != NULL; job = job->peer) {
        if (check_has_cut(runner, job, NULL) == GF_OK) {
            runner->is_wanted[job->head->cut] = true;
            is_any = true;
        }
    }
    if (is_any)
        st = network(runner, &sample, &err);
    for (const gf__job *job = first; job != NULL; job = job->peer) {
        gf__report report = {0};
        const gf_status mine = check_has_cut(runner, job, &none);
        if (mine != GF_OK)
            answer(runner, job, n_peers, &report, mine, &none);
        else if (st != GF_OK)
            answer(runner, job, n_peers, &report, st, &err);
        else
            score(runner, job, n_peers, runner->features[job->head->cut]);
    }
}

static void run_numbers(gf__runner *runner, const gf__job *job)
{
    const size_t n = gf_head_n_features(gf_model_head(job->head->model));
    gf_error err;
    gf__report report = {0};
    gf_status st = GF_OK;
    float *numbers = NULL;
    if (job->run.n_bytes != n * sizeof(float))
        st = gf_error_set(&err, GF_ESHAPE, "%zu numbers (%zu bytes), the model takes %zu",
                          job->run.n_bytes / sizeof(float), job->run.n_bytes, n);
    if (st == GF_OK) {
        numbers = gf__alloc_aligned(n * sizeof(float));
        if (numbers == NULL)
            st = gf__error_nomem(&err, "numbers", n * sizeof(float));
    }
    if (st == GF_OK)
        memcpy(numbers, job->run.bytes, n * sizeof(float));
    for (size_t i = 0; i < n && st == GF_OK; i++)
        if (!(numbers[i] - numbers[i] == 0.0f))
            st = gf_error_set(&err, GF_EINVAL, "number %zu is %g, expected a finite one", i,
                              (double)numbers[i]);
    if (st == GF_OK)
        score(runner, job, 1, numbers);
    else
        answer(runner, job, 1, &report, st, &err);
    gf__free(numbers);
}

static gf_status replay(gf__runner *runner, const gf__job *job, size_t i, float *scores,
                        gf_error *err)
{
    const gf_model *model = job->head->model;
    const gf__self_test_sample stored = gf__model_sample_at(model, i);
    const gf_sample sample = {
        .kind = GF_SAMPLE_ENCODED, .data = stored.png, .n_bytes = stored.n_bytes};
    gf_status st = GF_OK;
    if (stored.numbers == NULL) {
        runner->is_wanted[job->head->cut] = true;
        st = network(runner, &sample, err);
    }
    if (st == GF_OK && stored.numbers != NULL)
        st = gf__model_score(model, stored.numbers, scores, NULL, err);
    else if (st == GF_OK)
        st = gf__model_score(model, runner->features[job->head->cut], scores, NULL, err);
    if (st != GF_OK)
        gf__error_prefix(err, "self-test: %.100s", stored.item);
    return st;
}

static gf_status self_test(gf__runner *runner, const gf__job *job, float *largest, gf_error *err)
{
    const gf_model *model = job->head->model;
    gf__self_test_finding worst = {0};
    const size_t n = gf_model_n_classes(model);
    const bool takes_numbers = gf__model_takes_numbers(model);
    gf_status st = takes_numbers ? GF_OK : check_has_cut(runner, job, err);
    if (st == GF_OK && gf__model_n_samples(model) == 0)
        st = gf_error_set(err, GF_EUNSUPPORTED,
                          "the model carries no self-test: there is nothing to compare with");
    if (st != GF_OK)
        return st;
    float *scores = gf__malloc(n * sizeof *scores);
    if (scores == NULL)
        return gf__error_nomem(err, "scores", n * sizeof *scores);
    for (size_t i = 0; i < gf__model_n_samples(model) && st == GF_OK; i++) {
        st = replay(runner, job, i, scores, err);
        if (st == GF_OK)
            gf__self_test_add(&worst, model, i, scores);
    }
    if (st == GF_OK)
        st = gf__self_test_judge(&worst, model,
                                 takes_numbers ? gf_model_precision(model)
                                               : gf__plans_precision(runner->process->plans),
                                 err);
    *largest = (float)worst.difference;
    gf__free(scores);
    return st;
}

static void run_self_test(gf__runner *runner, const gf__job *job)
{
    float largest = 0;
    gf_error err;
    gf__report report = {.scores = &largest, .n_scores = 1};
    const gf_status st = self_test(runner, job, &largest, &err);
    answer(runner, job, 1, &report, st, &err);
}

static void run(gf__runner *runner, gf__job *job)
{
    runner->taken_s = gf__clock_s();
    runner->decode_ms = runner->network_ms = 0;
    for (size_t i = 0; runner->is_wanted != NULL && i < gf__plans_n_cuts(runner->process->plans);
         i++)
        runner->is_wanted[i] = false;
    switch (job->run.kind) {
    case GF__RUN_PICTURE:
    case GF__RUN_PIXELS:
    case GF__RUN_SCALED:
        run_pictures(runner, job);
        break;
    case GF__RUN_NUMBERS:
        run_numbers(runner, job);
        break;
    case GF__RUN_SELF_TEST:
        run_self_test(runner, job);
        break;
    }
}

void gf__runner_work(gf__runner *runner)
{
    gf__process *process = runner->process;
    gf__busy *busy = &process->busy[runner->thread];
    for (;;) {
        gf__job *job = gf__queue_take(process->queue, runner->thread, &runner->is_alone,
                                      &runner->n_others);
        if (job == NULL)
            return;
        runner->n_jobs = job->n_peers + 1;
        say_busy(busy, job);
        run(runner, job);
        say_idle(busy);
        while (job != NULL) {
            gf__job *peer = job->peer;
            gf__head_unref(process->heads, job->head);
            gf__job_free(job);
            job = peer;
        }
    }
}
