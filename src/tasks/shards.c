/* tasks/shards.c: the processes of a job's shards, and what they leave. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tasks/shards_priv.h"

#define LOOK_MS          1000
#define MAX_RESULT_BYTES ((size_t)64 << 20)
/* Deaths in a row without a line in its notes. */
#define MAX_IDLE_DEATHS 3

typedef struct shard {
    size_t k;
    gf__child *child;
    int n_idle_deaths;
    int64_t notes_size; /* when it was started */
} shard;

typedef struct sharing {
    gf__task *task;
    void (*add)(gf__json *sum, const gf__json *output);
    shard *shards;
    size_t n_shards, n_running, next; /* the next one to be started, if it is not done */
} sharing;

size_t gf__shards_n(const gf__task *task)
{
    const int64_t n = gf__json_int(gf__json_find(task->spec, "nShards"), 1);
    return n > 0 ? (size_t)n : 1;
}

static size_t n_cpus(const gf__task *task)
{
    const int64_t n = gf__json_int(gf__json_find(task->spec, "nCpus"), 1);
    return n > 0 ? (size_t)n : 1;
}

int gf__shards_n_threads(const gf__task *task)
{
    const size_t each = n_cpus(task) / gf__shards_n(task);
    const int n_here = gf_threads_available();
    return each < 1 ? 1 : each < (size_t)n_here ? (int)each : n_here;
}

/* ---- documents ------------------------------------------------------------------------------- */

/* NULL where there is none that can be read. */
static gf__json *read_shard(const gf__task *task, size_t k, const char *ending)
{
    char *path = gf__asprintf("%s/shards/%zu.%s", task->options->dir, k, ending);
    char *text = NULL;
    size_t size = 0;
    gf__json *document = NULL;
    if (path != NULL && gf__is_file(path) &&
        gf__read_file(path, MAX_RESULT_BYTES, &text, &size, NULL) == GF_OK)
        (void)gf__json_parse(text, size, &document, NULL);
    gf__free(text);
    gf__free(path);
    return document;
}

static bool is_shard_done(const gf__task *task, size_t k)
{
    gf__task_options options = *task->options;
    options.part = GF__TASK_SHARD;
    options.shard = k;
    return gf__left_is_done(&options);
}

static int64_t notes_size(const gf__task *task, size_t k)
{
    char *path = gf__asprintf("%s/shards/%zu.notes", task->options->dir, k);
    struct stat info;
    const bool is_there = path != NULL && stat(path, &info) == 0;
    gf__free(path);
    return is_there ? (int64_t)info.st_size : 0;
}

static void note_progress(const sharing *all)
{
    if (all->add == NULL)
        return;
    gf__json *sum = gf__json_object();
    for (size_t k = 0; k < all->n_shards; k++) {
        gf__json *said = read_shard(all->task, k, "json");
        if (said == NULL)
            said = read_shard(all->task, k, "progress.json");
        all->add(sum, gf__json_find(said, "output"));
        gf__json_free(said);
    }
    (void)gf__task_progress(all->task, true, sum, NULL);
    gf__json_free(sum);
}

/* ---- processes ------------------------------------------------------------------------------- */

static gf_status start(sharing *all, shard *one, gf_error *err)
{
    const gf__task_options *options = all->task->options;
    char attempt[16], k[24];
    const char *program = gf__json_string(gf__json_find(all->task->spec, "program"), "");
    gf__texts argv = {0};
    snprintf(attempt, sizeof attempt, "%d", options->attempt);
    snprintf(k, sizeof k, "%zu", one->k);
    const char *const words[] = {program, "job", options->dir, attempt, "--shard", k};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        gf__texts_add(&argv, words[i]);
    gf_status st = gf__texts_status(&argv, err);
    const gf__child_options child = {.argv = argv.items, .dir = options->dir, .user = one};
    one->notes_size = notes_size(all->task, one->k);
    if (st == GF_OK)
        st = gf__child_start(all->task, &child, &one->child, err);
    if (st == GF_OK)
        all->n_running++;
    gf__texts_free(&argv);
    return st;
}

static gf_status start_more(sharing *all, gf_error *err)
{
    gf_status st = GF_OK;
    while (st == GF_OK && all->next < all->n_shards && all->n_running < n_cpus(all->task)) {
        shard *one = &all->shards[all->next++];
        if (!is_shard_done(all->task, one->k))
            st = start(all, one, err);
    }
    return st;
}

static void describe_end(int exit_status, char *text, size_t n_text)
{
    if (exit_status < 0)
        snprintf(text, n_text, "was killed by signal %d", -exit_status);
    else
        snprintf(text, n_text, "ended with status %d", exit_status);
}

/* Left without its document: it died. */
static gf_status restart(sharing *all, shard *one, int exit_status, const char *tail, gf_error *err)
{
    char end[64];
    describe_end(exit_status, end, sizeof end);
    one->n_idle_deaths = notes_size(all->task, one->k) > one->notes_size ? 0
                                                                         : one->n_idle_deaths + 1;
    if (one->n_idle_deaths >= MAX_IDLE_DEATHS)
        return gf_error_set(err, GF_EUNAVAILABLE, "shard %zu %s, %d times without getting on%s%s",
                            one->k, end, MAX_IDLE_DEATHS, tail[0] != '\0' ? ": " : "", tail);
    gf__task_say(all->task, "shard %zu %s; it is started again", one->k, end);
    return start(all, one, err);
}

static gf_status take_end(sharing *all, gf__child *ended, gf_error *err)
{
    shard *one = gf__child_user(ended);
    const int exit_status = gf__child_exit(ended);
    gf_status st = GF_OK;
    all->n_running--;
    if (exit_status != 0 || !is_shard_done(all->task, one->k))
        st = restart(all, one, exit_status, gf__child_tail(ended), err);
    if (one->child == ended)
        one->child = NULL;
    gf__child_free(ended);
    return st;
}

static gf_status run_all(sharing *all, gf_error *err)
{
    gf_status st = start_more(all, err);
    while (st == GF_OK && all->n_running > 0) {
        gf__child *ended = NULL;
        st = gf__child_wait_any(all->task, LOOK_MS, &ended, err);
        if (st == GF_OK && ended != NULL)
            st = take_end(all, ended, err);
        if (st == GF_OK)
            st = start_more(all, err);
        if (st == GF_OK)
            note_progress(all);
    }
    return st;
}

gf_status gf__shards_run(gf__task *task, void (*add)(gf__json *sum, const gf__json *output),
                         gf_error *err)
{
    sharing all = {.task = task, .add = add, .n_shards = gf__shards_n(task)};
    all.shards = gf__calloc(all.n_shards, sizeof *all.shards);
    if (all.shards == NULL)
        return gf__error_nomem(err, "shards", all.n_shards * sizeof *all.shards);
    for (size_t k = 0; k < all.n_shards; k++)
        all.shards[k].k = k;
    const gf_status st = run_all(&all, err);
    for (size_t k = 0; k < all.n_shards; k++)
        gf__child_free(all.shards[k].child); /* after a failure: ends it */
    gf__free(all.shards);
    return st;
}

/* ---- what they left -------------------------------------------------------------------------- */

static gf_status collect_shard(gf__task *task, size_t k, const gf__json *left, gf__outcome *out,
                               gf_error *err)
{
    const char *state = gf__json_string(gf__json_find(left, "state"), "");
    const char *message = gf__json_string(gf__json_find(left, "errorMessage"), "no reason given");
    if (left == NULL)
        return gf_error_set(err, GF_EUNAVAILABLE, "shard %zu of %zu left no result", k,
                            gf__shards_n(task));
    if (strcmp(state, "SUCCEEDED") == 0 || out->is_failed)
        return GF_OK;
    out->is_failed = true;
    out->error_message = gf__shards_n(task) > 1 ? gf__asprintf("shard %zu: %s", k, message)
                                                : gf__strdup(message);
    return out->error_message != NULL ? GF_OK : gf__error_nomem(err, "a message", strlen(message));
}

gf_status gf__shards_collect(gf__task *task, void (*add)(gf__json *sum, const gf__json *output),
                             gf__outcome *out, gf_error *err)
{
    gf_status st = GF_OK;
    if (add != NULL)
        out->output = gf__json_object();
    for (size_t k = 0; k < gf__shards_n(task) && st == GF_OK; k++) {
        gf__json *left = read_shard(task, k, "json");
        st = collect_shard(task, k, left, out, err);
        if (st == GF_OK && add != NULL)
            add(out->output, gf__json_find(left, "output"));
        gf__json_free(left);
    }
    return st;
}
