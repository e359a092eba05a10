/* How well features separate the classes, without training a head: the accuracy of a ridge
 * classifier on rows it has not seen, the ridge chosen on rows it has not been judged by.
 *
 * A job is one training set: all parts but some. Two kinds are needed. To choose the ridge of fold
 * f, for every part p outside it, the set without f and p is tried with every ridge and judged on
 * p; with one part a fold, the sets without {f,p} serve f and p alike. Then the set without f, with
 * the ridge that had the most right, is judged on f. Jobs run in parallel, each on one thread, so
 * the result does not depend on their number. */
#include <math.h>
#include <string.h>

#include "head/head.h"
#include "train/probe_priv.h"

static const double ridges[] = {1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4};
enum { N_RIDGES = sizeof ridges / sizeof ridges[0] };

typedef struct probe_job {
    uint64_t left_out;
    const double *lambdas;
    size_t n_lambdas;
    double *scores; /* where the rows left out are to be scored, or NULL */
    /* Right answers for each ridge tried on each part left out. */
    size_t n_correct[N_RIDGES][GF__PROBE_MAX_PARTS];
} probe_job;

typedef struct probing {
    gf__ridge *ridge;
    gf__ridge_work **works; /* one a thread */
    size_t n_works;
    gf__pool *pool;
    size_t n_folds, n_parts;
    probe_job *jobs;
    size_t n_jobs;
} probing;

gf_probe_options gf_probe_options_default(void)
{
    return (gf_probe_options){.n_folds = 5, .seed = 42};
}

static uint64_t parts_of_fold(const probing *probe, size_t fold)
{
    uint64_t parts = 0;
    for (size_t p = fold; p < probe->n_parts; p += probe->n_folds)
        parts |= (uint64_t)1 << p;
    return parts;
}

static void run_job(void *user, size_t i, int thread)
{
    const probing *probe = user;
    probe_job *job = &probe->jobs[i];
    gf__ridge_work *work = probe->works[thread];
    gf__ridge_choose(probe->ridge, job->left_out, work);
    for (size_t r = 0; r < job->n_lambdas; r++) {
        if (!gf__ridge_solve(probe->ridge, job->lambdas[r], work))
            continue; /* singular: nothing right */
        for (size_t p = 0; p < probe->n_parts; p++)
            if (job->left_out >> p & 1)
                job->n_correct[r][p] = gf__ridge_count(probe->ridge, p, work, job->scores);
    }
}

/* Every set without a fold and one more part, once. */
static void list_choosing_jobs(probing *probe)
{
    probe->n_jobs = 0;
    for (size_t fold = 0; fold < probe->n_folds; fold++) {
        for (size_t p = 0; p < probe->n_parts; p++) {
            const uint64_t left_out = parts_of_fold(probe, fold) | (uint64_t)1 << p;
            size_t known = 0;
            if (left_out == parts_of_fold(probe, fold))
                continue;
            while (known < probe->n_jobs && probe->jobs[known].left_out != left_out)
                known++;
            if (known < probe->n_jobs)
                continue;
            probe->jobs[probe->n_jobs++] = (probe_job){
                .left_out = left_out, .lambdas = ridges, .n_lambdas = N_RIDGES};
        }
    }
}

/* The ridge with the most right answers on parts outside the fold; of equals the largest, the
 * plainest classifier. */
static const double *choose_ridge(const probing *probe, size_t fold)
{
    const uint64_t own = parts_of_fold(probe, fold);
    size_t best = 0, most = 0;
    for (size_t r = 0; r < N_RIDGES; r++) {
        size_t n_correct = 0;
        for (size_t i = 0; i < probe->n_jobs; i++) {
            const uint64_t rest = probe->jobs[i].left_out & ~own;
            const bool is_for_fold = (probe->jobs[i].left_out & own) == own && rest != 0 &&
                                     (rest & (rest - 1)) == 0;
            for (size_t p = 0; is_for_fold && p < probe->n_parts; p++)
                if (rest >> p & 1)
                    n_correct += probe->jobs[i].n_correct[r][p];
        }
        if (n_correct >= most) {
            most = n_correct;
            best = r;
        }
    }
    return &ridges[best];
}

static double judge(probing *probe, const gf_probe_options *options, size_t n, double *scores)
{
    const double *chosen[GF__PROBE_MAX_PARTS];
    for (size_t fold = 0; fold < probe->n_folds; fold++)
        chosen[fold] = &options->ridge;
    if (options->ridge <= 0.0) {
        list_choosing_jobs(probe);
        gf__pool_run(probe->pool, probe->n_jobs, run_job, probe);
        for (size_t fold = 0; fold < probe->n_folds; fold++)
            chosen[fold] = choose_ridge(probe, fold);
    }

    probe->n_jobs = probe->n_folds;
    for (size_t fold = 0; fold < probe->n_folds; fold++)
        probe->jobs[fold] = (probe_job){.left_out = parts_of_fold(probe, fold),
                                        .lambdas = chosen[fold],
                                        .n_lambdas = 1,
                                        .scores = scores};
    gf__pool_run(probe->pool, probe->n_jobs, run_job, probe);
    size_t n_correct = 0;
    for (size_t fold = 0; fold < probe->n_folds; fold++)
        for (size_t p = 0; p < probe->n_parts; p++)
            n_correct += probe->jobs[fold].n_correct[0][p];
    return (double)n_correct / (double)n;
}

static gf_status start(probing *probe, const gf_probe_options *options, gf_error *err)
{
    const size_t max_jobs = probe->n_folds * probe->n_parts;
    int n_threads = options->n_threads > 0 ? options->n_threads : gf_threads_available();
    if ((size_t)n_threads > max_jobs)
        n_threads = (int)max_jobs;
    probe->jobs = gf__calloc(max_jobs, sizeof *probe->jobs);
    probe->works = gf__calloc((size_t)n_threads, sizeof(gf__ridge_work *));
    if (probe->jobs == NULL || probe->works == NULL)
        return gf__error_nomem(err, "a probe", max_jobs * sizeof *probe->jobs);
    probe->n_works = (size_t)n_threads;
    return gf__pool_new(n_threads, &probe->pool, err);
}

gf_status gf__probe_run(const float *features, const size_t *labels, const size_t *folds,
                        size_t n_folds, size_t n, size_t n_features, size_t n_classes,
                        const gf_probe_options *options, double *scores, double *accuracy,
                        gf_error *err)
{
    probing probe = {.n_folds = n_folds, .n_parts = n_folds > 2 ? n_folds : 2 * n_folds};
    size_t n_dealt[GF__PROBE_MAX_PARTS] = {0};

    size_t *part_of = gf__calloc(n, sizeof *part_of);
    gf_status st = part_of != NULL ? start(&probe, options, err)
                                   : gf__error_nomem(err, "a probe", n * sizeof *part_of);
    if (st != GF_OK)
        goto done;
    for (size_t i = 0; i < n; i++) /* the rows of a fold are dealt out over its parts */
        part_of[i] = folds[i] + n_folds * (n_dealt[folds[i]]++ % (probe.n_parts / n_folds));
    st = gf__ridge_new(features, labels, part_of, probe.n_parts, n, n_features, n_classes,
                       probe.pool, &probe.ridge, err);
    for (size_t i = 0; i < probe.n_works && st == GF_OK; i++)
        st = gf__ridge_work_new(probe.ridge, &probe.works[i], err);
    if (st == GF_OK)
        *accuracy = judge(&probe, options, n, scores);
done:
    for (size_t i = 0; i < probe.n_works; i++)
        gf__ridge_work_free(probe.works[i]);
    gf__free(probe.works);
    gf__free(probe.jobs);
    gf__ridge_free(probe.ridge);
    gf__pool_free(probe.pool);
    gf__free(part_of);
    return st;
}

static gf_status check_probe(const float *features, const size_t *labels, size_t n,
                             size_t n_features, size_t n_classes, const gf_probe_options *options,
                             gf_error *err)
{
    if (options->n_folds < 2 || options->n_folds > GF__PROBE_MAX_PARTS)
        return gf_error_set(err, GF_EINVAL, "folds is %zu, must be from 2 to %d", options->n_folds,
                            GF__PROBE_MAX_PARTS);
    if (!(options->ridge >= 0.0) || !isfinite(options->ridge))
        return gf_error_set(err, GF_EINVAL, "ridge is %g, must be at least 0", options->ridge);
    if (n < 4 || n_features == 0 || n_classes == 0)
        return gf_error_set(err, GF_EINVAL,
                            "a probe needs 4 rows with a feature; %zu rows of %zu features", n,
                            n_features);
    for (size_t i = 0; i < n; i++)
        if (labels[i] >= n_classes)
            return gf_error_set(err, GF_EINVAL, "row %zu has label %zu, there are %zu classes", i,
                                labels[i], n_classes);
    for (size_t i = 0; i < n * n_features; i++)
        if (!isfinite(features[i]))
            return gf_error_set(err, GF_EINVAL, "row %zu: feature %zu is not a finite number",
                                i / n_features, i % n_features);
    return GF_OK;
}

/* Deals each class's rows, shuffled, over the folds; a class goes on where the last one ended, so
 * that folds are of equal size. */
static size_t deal_folds(const size_t *labels, size_t n, size_t n_classes, size_t n_folds,
                         gf__rng *rng, size_t *rows, size_t *folds)
{
    size_t smallest = n, next = 0;
    for (size_t k = 0; k < n_classes; k++) {
        size_t n_k = 0;
        for (size_t i = 0; i < n; i++)
            n_k += labels[i] == k;
        smallest = n_k > 0 && n_k < smallest ? n_k : smallest;
    }
    n_folds = n_folds < smallest ? n_folds : smallest;
    n_folds = n_folds < 2 ? 2 : n_folds;
    for (size_t k = 0; k < n_classes; k++) {
        size_t n_k = 0;
        for (size_t i = 0; i < n; i++)
            if (labels[i] == k)
                rows[n_k++] = i;
        gf__rng_shuffle(rng, rows, n_k);
        for (size_t i = 0; i < n_k; i++)
            folds[rows[i]] = next++ % n_folds;
    }
    return n_folds;
}

gf_status gf_probe(const float *features, const size_t *labels, size_t n, size_t n_features,
                   size_t n_classes, const gf_probe_options *options, double *accuracy,
                   gf_error *err)
{
    gf__rng rng;
    gf_status st = check_probe(features, labels, n, n_features, n_classes, options, err);
    if (st != GF_OK)
        return st;
    size_t *folds = gf__calloc(2 * n, sizeof *folds);
    if (folds == NULL)
        return gf__error_nomem(err, "folds", 2 * n * sizeof *folds);
    gf__rng_seed(&rng, options->seed, GF__STREAM_FOLDS);
    const size_t n_folds = deal_folds(labels, n, n_classes, options->n_folds, &rng, folds + n,
                                      folds);
    st = gf__probe_run(features, labels, folds, n_folds, n, n_features, n_classes, options, NULL,
                       accuracy, err);
    gf__free(folds);
    return st;
}
