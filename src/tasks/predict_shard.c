/* tasks/predict_shard.c: one shard of a batch prediction: its inputs through the model, a thread
 * an input, and two files:
 *
 *     OUTPUT/prediction.results-00000-of-00003        {"outputs": [0.99, 0.01], "item": "..."}
 *     OUTPUT/prediction.errors_stats-00000-of-00003   {"item": "...", "error": "truncated JPEG"}
 *
 * both in the order of the inputs; an instance's "key" is in its line as well. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tasks/predict_priv.h"
#include "tasks/shards_priv.h"

#define PROGRESS_MS 1000

typedef struct shard {
    gf__task *task;
    size_t k, n_shards;
    gf__inputs inputs;
    gf__input_range range;
    gf_model *model;
    gf__notes *notes;
    gf_predictor **predictors; /* one a thread */
    float **scores;
    int n_threads;
    double start_s;
    const size_t *wanted; /* inputs to be done, numbers of the range */
    atomic_bool is_stopped;
    atomic_llong progress_ms; /* when it was noted last */
    pthread_mutex_t mutex;    /* of the two below */
    gf_status status;         /* what ended the shard, not an input */
    gf_error error;
} shard;

/* ---- one input ------------------------------------------------------------------------------- */

/* The line, new; NULL out of memory. Either scores or, of an error, message. */
static char *make_line(const shard *s, const gf__input *input, const gf__json *key,
                       const float *scores, const char *message)
{
    gf__json *line = gf__json_object();
    gf__buffer text = {0};
    char *name = gf__input_name(input);
    if (scores != NULL) {
        gf__json *outputs = gf__json_array();
        for (size_t k = 0; k < gf_model_n_classes(s->model); k++)
            gf__json_append(outputs, gf__json_new_number((double)scores[k]));
        gf__json_set(line, "outputs", outputs);
    }
    if (key != NULL)
        gf__json_set(line, "key", gf__json_copy(key));
    gf__json_set(line, "item", name != NULL ? gf__json_new_string(name) : NULL);
    if (message != NULL)
        gf__json_set_string(line, "error", message);
    gf__json_write(line, false, &text);
    char *out = gf__buffer_take(&text, NULL);
    gf__buffer_free(&text);
    gf__json_free(line);
    gf__free(name);
    return out;
}

static gf_status predict(shard *s, size_t i, int thread, char **line, bool *is_error, gf_error *err)
{
    const gf__input *input = &s->range.inputs[i];
    gf__input_reading reading;
    gf_error own = {.message = ""};
    gf_status st = gf__input_read(s->task, input, s->model, &reading, &own);
    if (st == GF_OK)
        st = gf__predictor_sample(s->predictors[thread], &reading.sample, s->scores[thread], &own);
    if (st != GF_ENOMEM)
        *line = make_line(s, input, reading.key, st == GF_OK ? s->scores[thread] : NULL,
                          st != GF_OK ? own.message : NULL);
    *is_error = st != GF_OK;
    gf__input_reading_end(&reading);
    return *line != NULL ? GF_OK : gf__error_nomem(err, "an input", 0);
}

/* What it died of twice is not tried again. */
static gf_status give_up_on(shard *s, size_t i, gf_error *err)
{
    char *line = make_line(s, &s->range.inputs[i], NULL, NULL,
                           "the process that was to decode it died of it twice");
    return gf__notes_add(s->notes, i, line, true, err);
}

static gf_status do_input(shard *s, size_t i, int thread, gf_error *err)
{
    char *line = NULL;
    bool is_error = false;
    if (gf__notes_at(s->notes, i)->strikes >= GF__MAX_STRIKES)
        return give_up_on(s, i, err);
    gf__notes_begin(s->notes, (size_t)thread, i);
    gf_status st = predict(s, i, thread, &line, &is_error, err);
    if (st == GF_OK)
        st = gf__notes_add(s->notes, i, line, is_error, err);
    gf__notes_end(s->notes, (size_t)thread);
    return st;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static gf__json *counts_document(shard *s)
{
    const gf__note_counts counts = gf__notes_count(s->notes);
    const char *names[] = {"predictionCount", "errorCount"};
    const size_t values[] = {counts.n_results, counts.n_errors};
    gf__json *document = gf__json_object();
    for (size_t i = 0; i < 2; i++) {
        char text[24];
        snprintf(text, sizeof text, "%zu", values[i]);
        gf__json_set_string(document, names[i], text);
    }
    gf__json_set_number(document, "nodeHours", (gf__clock_s() - s->start_s) / 3600);
    return document;
}

/* Now and then, by whichever thread comes first. */
static void note_progress(shard *s)
{
    long long before = atomic_load(&s->progress_ms);
    const long long now = gf__clock_ms();
    if (now - before < PROGRESS_MS ||
        !atomic_compare_exchange_strong(&s->progress_ms, &before, now))
        return;
    gf__json *output = counts_document(s);
    (void)gf__task_progress(s->task, true, output, NULL);
    gf__json_free(output);
}

static void work(void *user, size_t n, int thread)
{
    shard *s = user;
    gf_error own = {.message = ""};
    if (atomic_load(&s->is_stopped))
        return;
    gf_status st = gf__task_check(s->task, &own);
    if (st == GF_OK)
        st = do_input(s, s->wanted[n], thread, &own);
    note_progress(s);
    if (st == GF_OK)
        return;
    pthread_mutex_lock(&s->mutex);
    if (s->status == GF_OK) {
        s->status = st;
        s->error = own;
    }
    pthread_mutex_unlock(&s->mutex);
    atomic_store(&s->is_stopped, true);
}

/* Suspects first and alone: only then one that dies again is known to be the one. */
static gf_status run_inputs(shard *s, gf_error *err)
{
    gf__pool *pool = NULL;
    size_t *wanted = gf__calloc(s->range.n, sizeof *wanted);
    size_t n_suspects = 0, n = 0;
    gf_status st = wanted != NULL ? GF_OK : gf__error_nomem(err, "inputs", s->range.n);
    for (int is_clean = 0; is_clean < 2 && st == GF_OK; is_clean++) {
        for (size_t i = 0; i < s->range.n; i++) {
            const gf__note *note = gf__notes_at(s->notes, i);
            if (note->line == NULL && (note->strikes == 0) == (is_clean == 1))
                wanted[n++] = i;
        }
        n_suspects = is_clean == 0 ? n : n_suspects;
    }
    s->wanted = wanted;
    for (size_t i = 0; i < n_suspects && st == GF_OK; i++)
        work(s, i, 0);
    if (st == GF_OK)
        st = gf__pool_new(s->n_threads, &pool, err);
    if (st == GF_OK) {
        s->wanted = wanted + n_suspects;
        gf__pool_run(pool, n - n_suspects, work, s);
        if (s->status != GF_OK && err != NULL)
            *err = s->error;
        st = s->status;
    }
    gf__pool_free(pool);
    gf__free(wanted);
    return st;
}

/* ---- what it works with ---------------------------------------------------------------------- */

/* One thread a picture: all at once they do more than one picture with all threads. */
static gf_status open_predictors(shard *s, gf_error *err)
{
    const char *home = gf__json_string(gf__json_find(s->task->spec, "home"), "");
    gf_predictor_options options = gf_predictor_options_default();
    options.n_threads = 1;
    s->n_threads = gf__shards_n_threads(s->task);
    if (s->range.n < (size_t)s->n_threads)
        s->n_threads = s->range.n > 0 ? (int)s->range.n : 1;
    s->predictors = gf__calloc((size_t)s->n_threads, sizeof(gf_predictor *));
    s->scores = gf__calloc((size_t)s->n_threads, sizeof(float *));
    if (s->predictors == NULL || s->scores == NULL)
        return gf__error_nomem(err, "predictors", 0);
    gf_status st = GF_OK;
    for (int t = 0; t < s->n_threads && st == GF_OK; t++) {
        s->scores[t] = gf__calloc(gf_model_n_classes(s->model), sizeof(float));
        st = s->scores[t] != NULL
                 ? gf_predictor_new(s->model, home, &options, &s->predictors[t], err)
                 : gf__error_nomem(err, "scores", 0);
    }
    return st;
}

static void close_shard(shard *s)
{
    for (int t = 0; t < s->n_threads; t++) {
        if (s->predictors != NULL)
            gf_predictor_free(s->predictors[t]);
        if (s->scores != NULL)
            gf__free(s->scores[t]);
    }
    gf__free(s->predictors);
    gf__free(s->scores);
    gf__notes_close(s->notes);
    gf_model_unref(s->model);
    gf__input_range_close(&s->range);
    gf__inputs_free(&s->inputs);
    pthread_mutex_destroy(&s->mutex);
}

static gf_status open_shard(shard *s, gf_error *err)
{
    const gf__json *prediction = gf__json_find(s->task->spec, "prediction");
    const char *model = gf__json_string(gf__json_find(prediction, "model"), "");
    gf_status st = gf__inputs_open(s->task, &s->inputs, err);
    if (st == GF_OK)
        st = gf_model_load(model, &s->model, err);
    if (st != GF_OK)
        return st;
    const size_t n = s->inputs.n, each = n / s->n_shards, rest = n % s->n_shards;
    const size_t first = each * s->k + (s->k < rest ? s->k : rest);
    st = gf__input_range_open(&s->inputs, first, each + (s->k < rest), s->model, &s->range, err);
    char *base = gf__asprintf("%s/shards/%zu", s->task->options->dir, s->k);
    if (st == GF_OK)
        st = base != NULL ? gf__notes_open(base, s->range.n, &s->notes, err)
                          : gf__error_nomem(err, "a path", 0);
    gf__free(base);
    return st;
}

/* ---- what it leaves -------------------------------------------------------------------------- */

static gf_status write_lines(const shard *s, const char *dir, const char *name, bool is_error,
                             gf_error *err)
{
    gf__writer *writer = NULL;
    char *path = gf__asprintf("%s/prediction.%s-%05zu-of-%05zu", dir, name, s->k, s->n_shards);
    gf_status st = path != NULL ? gf__writer_open(path, &writer, err)
                                : gf__error_nomem(err, "a path", 0);
    for (size_t i = 0; st == GF_OK && i < s->range.n; i++) {
        const gf__note *note = gf__notes_at(s->notes, i);
        if (note->is_error != is_error)
            continue;
        gf__writer_write(writer, note->line, strlen(note->line));
        gf__writer_write(writer, "\n", 1);
    }
    if (st == GF_OK)
        st = gf__writer_commit(writer, err);
    gf__free(path);
    return st;
}

static gf_status write_output(const shard *s, gf_error *err)
{
    const gf__json *prediction = gf__json_find(s->task->spec, "prediction");
    char *dir = NULL;
    gf_status st = gf__task_path(
        s->task, gf__json_string(gf__json_find(prediction, "outputPath"), ""), &dir, err);
    if (st == GF_OK)
        st = gf__make_dirs(dir, err);
    if (st == GF_OK)
        st = write_lines(s, dir, "results", false, err);
    if (st == GF_OK)
        st = write_lines(s, dir, "errors_stats", true, err);
    if (st != GF_OK)
        gf__error_prefix(err, "outputPath");
    gf__free(dir);
    return st;
}

gf_status gf__predict_shard(gf__task *task, size_t k, size_t n_shards, gf__json **output,
                            gf_error *err)
{
    shard s = {.task = task, .k = k, .n_shards = n_shards, .start_s = gf__clock_s()};
    pthread_mutex_init(&s.mutex, NULL);
    atomic_init(&s.is_stopped, false);
    atomic_init(&s.progress_ms, gf__clock_ms());
    gf_status st = open_shard(&s, err);
    if (st == GF_OK)
        st = open_predictors(&s, err);
    if (st == GF_OK) {
        (void)gf__task_progress(task, true, NULL, NULL);
        st = run_inputs(&s, err);
    }
    if (st == GF_OK)
        st = write_output(&s, err);
    if (st == GF_OK)
        *output = counts_document(&s);
    close_shard(&s);
    return st;
}
