/* bench_engine.c: how fast a trunk runs, as one JSON line: for bench/run.sh and for a person at a
 * terminal.
 *
 *     bench_engine --home HOME [--trunk inception_v3] [--layer avg_pool]
 *                  [--precision f32|bf16|auto] [--threads 1] [--batch 1] [--workers 1]
 *                  [--seconds 2] [--no-packs]
 *
 * A run is `batch` pictures of random bytes in one exec; with --workers each of that many threads
 * has an exec of its own and runs all the time. times_ms are single runs; median_ms and best_ms are
 * for one picture and count what all workers do. */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "graft/engine.h"
#include "zoo/zoo.h"

#define MAX_RUNS    10000
#define MAX_WORKERS 64

typedef struct settings {
    const char *home, *trunk, *layer;
    gf_plan_options options;
    bool has_packs;
    int n_workers;
    double seconds;
} settings;

typedef struct worker {
    const gf_plan *plan;
    const uint8_t *pixels;
    size_t batch;
    double seconds;
    double *times_ms;
    size_t n_times;
    double exec_ms, first_ms;
    gf_error err;
    gf_status status;
    pthread_t thread;
} worker;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* "VmHWM", "RssAnon" ... of this process, in MB. */
static double memory_mb(const char *field)
{
    char line[256];
    double kb = 0.0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kb = strtod(line + strlen(field) + 1, NULL);
    if (file != NULL)
        fclose(file);
    return kb / 1024.0;
}

static gf_status run_once(gf_exec *exec, worker *w, double *ms)
{
    const double start = now_ms();
    const gf_status st = gf_exec_run(exec, w->pixels, w->batch, &w->err);
    *ms = now_ms() - start;
    return st;
}

static void *run_worker(void *user)
{
    worker *w = user;
    gf_exec *exec = NULL;
    const double start = now_ms();
    double ms;
    w->status = gf_exec_new(w->plan, &exec, &w->err);
    w->exec_ms = now_ms() - start;
    if (w->status == GF_OK)
        w->status = run_once(exec, w, &w->first_ms);
    const double end = now_ms() + w->seconds * 1e3;
    while (w->status == GF_OK && w->n_times < MAX_RUNS && (w->n_times < 3 || now_ms() < end)) {
        w->status = run_once(exec, w, &ms);
        w->times_ms[w->n_times++] = ms;
    }
    gf_exec_free(exec);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_line(const settings *s, const gf_plan *plan, const worker *workers,
                       double plan_ms)
{
    const worker *w = &workers[0];
    const double pictures = (double)w->batch * s->n_workers;
    double sorted[MAX_RUNS];
    memcpy(sorted, w->times_ms, w->n_times * sizeof *sorted);
    qsort(sorted, w->n_times, sizeof *sorted, compare);
    printf("{\"bench\": \"engine\", \"library\": \"%s\", \"isa\": \"%s\", \"auto_precision\": "
           "\"%s\", \"trunk\": \"%s\", "
           "\"layer\": \"%s\", \"precision\": \"%s\", \"threads\": %d, \"workers\": %d, "
           "\"batch\": %zu, \"median_ms\": %.3f, \"best_ms\": %.3f, \"plan_ms\": %.2f, "
           "\"exec_ms\": %.2f, \"first_ms\": %.2f, \"peak_rss_mb\": %.1f, \"rss_mb\": %.1f, "
           "\"anonymous_mb\": %.1f, \"weights_mb\": %.1f, \"arena_mb\": %.1f, \"times_ms\": [",
           gf_engine_library(), gf_engine_isa(),
           gf_precision_name(gf_precision_resolve(GF_PRECISION_AUTO)), s->trunk, s->layer,
           gf_precision_name(gf_plan_precision(plan)), s->options.n_threads, s->n_workers, w->batch,
           sorted[w->n_times / 2] / pictures, sorted[0] / pictures, plan_ms, w->exec_ms,
           w->first_ms, memory_mb("VmHWM"), memory_mb("VmRSS"), memory_mb("RssAnon"),
           (double)gf_plan_memory_bytes(plan) / 1e6, (double)gf_plan_arena_bytes(plan) / 1e6);
    for (size_t i = 0; i < w->n_times; i++)
        printf("%s%.3f", i > 0 ? ", " : "", w->times_ms[i]);
    printf("]}\n");
}

static gf_status run_workers(const settings *s, const gf_plan *plan, worker *workers,
                             size_t picture, gf_error *err)
{
    gf_status st = GF_OK;
    gf__rng rng;
    uint8_t *pixels = gf__malloc(picture * s->options.max_batch);
    double *times = gf__calloc((size_t)s->n_workers * MAX_RUNS, sizeof *times);
    if (pixels == NULL || times == NULL) {
        st = gf__error_nomem(err, "pictures", picture * s->options.max_batch);
        goto done;
    }
    gf__rng_seed(&rng, 1, 0);
    for (size_t i = 0; i < picture * s->options.max_batch; i++)
        pixels[i] = (uint8_t)gf__rng_below(&rng, 256);
    for (int i = 0; i < s->n_workers; i++) {
        workers[i] = (worker){.plan = plan,
                              .pixels = pixels,
                              .batch = s->options.max_batch,
                              .seconds = s->seconds,
                              .times_ms = times + (size_t)i * MAX_RUNS};
        if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < s->n_workers; i++) {
        pthread_join(workers[i].thread, NULL);
        if (workers[i].status != GF_OK) {
            st = workers[i].status;
            if (err != NULL)
                *err = workers[i].err;
        }
    }
done:
    gf__free(pixels);
    return st; /* the times are printed, then the process ends */
}

static gf_status run(settings *s, gf_error *err)
{
    gf_status st;
    gf_trunk *trunk = NULL;
    gf_plan *plan = NULL;
    char *packs = NULL;
    worker workers[MAX_WORKERS];
    gf_output_spec output = {.pool = GF_POOL_NONE};
    bool needs_pool = false;
    size_t width, height;

    st = gf_trunk_load(s->home, s->trunk, &trunk, err);
    if (st != GF_OK)
        goto done;
    st = gf__zoo_resolve_cut(gf_trunk_graph(trunk), s->layer, &output.layer, &needs_pool, err);
    if (st != GF_OK)
        goto done;
    output.pool = needs_pool ? GF_POOL_AVG : GF_POOL_NONE;
    gf_trunk_input(trunk, &width, &height, &s->options.scale, &s->options.shift);
    packs = gf__path_join(s->home, "packs");
    s->options.pack_dir = s->has_packs ? packs : NULL;
    s->options.weights_key = gf_trunk_sha256(trunk);
    const double start = now_ms();
    st = gf_plan_new(gf_trunk_graph(trunk), &output, 1, &s->options, &plan, err);
    const double plan_ms = now_ms() - start;
    if (st != GF_OK)
        goto done;
    st = run_workers(s, plan, workers, width * height * 3, err);
    if (st == GF_OK)
        print_line(s, plan, workers, plan_ms);
done:
    gf_plan_free(plan);
    gf_trunk_free(trunk);
    gf__free(packs);
    return st;
}

static const struct option long_options[] = {
    {"home", required_argument, NULL, 'h'},    {"trunk", required_argument, NULL, 't'},
    {"layer", required_argument, NULL, 'l'},   {"precision", required_argument, NULL, 'p'},
    {"threads", required_argument, NULL, 'n'}, {"batch", required_argument, NULL, 'b'},
    {"workers", required_argument, NULL, 'w'}, {"seconds", required_argument, NULL, 's'},
    {"no-packs", no_argument, NULL, 'x'},      {NULL, 0, NULL, 0}};

static bool read_option(settings *s, int letter)
{
    switch (letter) {
    case 'h':
        s->home = optarg;
        return true;
    case 't':
        s->trunk = optarg;
        return true;
    case 'l':
        s->layer = optarg;
        return true;
    case 'p':
        return gf_precision_parse(optarg, &s->options.precision, NULL) == GF_OK;
    case 'n':
        s->options.n_threads = (int)strtol(optarg, NULL, 10);
        return s->options.n_threads > 0;
    case 'b':
        s->options.max_batch = (size_t)strtoul(optarg, NULL, 10);
        return s->options.max_batch > 0;
    case 'w':
        s->n_workers = (int)strtol(optarg, NULL, 10);
        return s->n_workers > 0 && s->n_workers <= MAX_WORKERS;
    case 's':
        s->seconds = strtod(optarg, NULL);
        return true;
    case 'x':
        s->has_packs = false;
        return true;
    default:
        return false;
    }
}

/* libgomp reads its settings when it is loaded, and unset it spins so long that a busy neighbour
 * slows a run down five times. graft starts itself again in the same way; what is measured here is
 * what graft does. */
static void restart_with_short_spinning(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") == NULL && setenv("GOMP_SPINCOUNT", "1000", 1) == 0)
        execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    restart_with_short_spinning(argv);
    settings s = {.trunk = "inception_v3",
                  .layer = "avg_pool",
                  .options = gf_plan_options_default(),
                  .has_packs = true,
                  .n_workers = 1,
                  .seconds = 2.0};
    gf_error err;
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (!read_option(&s, letter)) {
            fprintf(stderr, "bench_engine: see the first lines of bench/bench_engine.c\n");
            return 2;
        }
    }
    if (s.home == NULL) {
        fprintf(stderr, "bench_engine: --home is missing\n");
        return 2;
    }
    if (run(&s, &err) != GF_OK) {
        fprintf(stderr, "bench_engine: %s\n", err.message);
        return 1;
    }
    return 0;
}
