/* Ridge classifiers in closed form, for many training sets taken from the same rows.
 *
 * With standardised rows Z (n,d) and one-hot targets Y (both centred on the training set), the
 * weights solve (Z'Z + lambda I) w = Z'Y, or equally w = Z'a with (ZZ' + lambda I) a = Y. The first
 * is of size d, the second of size n, and the smaller is taken. Either way the large product is
 * made once, part by part of the rows, and a training set is a selection from it:
 *   dual    ZZ' is one matrix; a training set is the rows and columns of its parts
 *   primal  Z'Z is a sum over parts; a training set is the sum over its parts
 * Centring is put in afterwards from means, which is exact. Scaling uses all rows: it sees no
 * labels, so nothing leaks. */
#include <math.h>
#include <string.h>

#include "head/head.h"
#include "train/linear_priv.h"
#include "train/probe_priv.h"

struct gf__ridge {
    const gf__linear_ops *ops;
    bool is_dual;
    size_t n, d, n_classes, n_parts;
    size_t first[GF__PROBE_MAX_PARTS +
                 1];    /* rows are kept part by part; part p is [first[p], first[p+1]) */
    size_t *row_of;     /* n: the caller's number of a kept row */
    size_t *labels;     /* n, of kept rows */
    double *z;          /* dual (n,d), primal (d,n): standardised rows */
    double *gram;       /* dual (n,n), primal (n_parts,d,d); lower triangles */
    double *sums;       /* primal (n_parts,d): of rows */
    double *class_sums; /* primal (n_parts,d,n_classes): of rows times targets */
};

struct gf__ridge_work {
    size_t M;            /* of the system being solved */
    size_t n_rows;       /* in the training set */
    size_t *rows;        /* n_rows: kept rows of the training set */
    double *base;        /* (M,M) before lambda */
    double *factor;      /* (M,M) */
    double *means;       /* dual (n_rows): of columns of ZZ'; primal (d): of features */
    double *class_means; /* n_classes */
    double *right;       /* (M,n_classes): right-hand sides */
    double *solution;    /* (M,n_classes) */
    double *scores;      /* (n,n_classes) of the part being predicted */
};

const gf__linear_ops *gf__linear_pick(void)
{
#if defined(__x86_64__)
    switch (gf__isa_pick()) {
    case GF__ISA_V4:
        return &gf__linear_ops_v4;
    case GF__ISA_V3:
        return &gf__linear_ops_v3;
    case GF__ISA_GENERIC:
        break;
    }
#endif
    return &gf__linear_ops_generic;
}

/* Puts the rows in order of their parts, keeping their order within a part. */
static void sort_rows(gf__ridge *ridge, const size_t *labels, const size_t *part_of)
{
    size_t n_kept = 0;
    for (size_t p = 0; p < ridge->n_parts; p++) {
        ridge->first[p] = n_kept;
        for (size_t i = 0; i < ridge->n; i++) {
            if (part_of[i] != p)
                continue;
            ridge->row_of[n_kept] = i;
            ridge->labels[n_kept++] = labels[i];
        }
    }
    ridge->first[ridge->n_parts] = n_kept;
}

/* Mean and 1 / deviation of every feature; 0 for a constant one. */
static void find_scale(const float *features, size_t n, size_t d, double *mean, double *scale)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            mean[j] += (double)features[i * d + j];
    for (size_t j = 0; j < d; j++)
        mean[j] /= (double)n;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) {
            const double x = (double)features[i * d + j] - mean[j];
            scale[j] += x * x;
        }
    }
    for (size_t j = 0; j < d; j++) {
        const double deviation = sqrt(scale[j] / (double)n);
        scale[j] = deviation > 1e-7 * (fabs(mean[j]) + 1e-30) ? 1.0 / deviation : 0.0;
    }
}

static gf_status standardise(gf__ridge *ridge, const float *features, gf_error *err)
{
    const size_t n = ridge->n, d = ridge->d;
    double *mean = gf__calloc(2 * d, sizeof *mean);
    if (mean == NULL)
        return gf__error_nomem(err, "a probe", 2 * d * sizeof *mean);
    find_scale(features, n, d, mean, mean + d);
    for (size_t i = 0; i < n; i++) {
        const float *row = features + ridge->row_of[i] * d;
        double *z = ridge->is_dual ? ridge->z + i * d : ridge->z + i;
        const size_t step = ridge->is_dual ? 1 : n;
        for (size_t j = 0; j < d; j++)
            z[j * step] = ((double)row[j] - mean[j]) * mean[d + j];
    }
    gf__free(mean);
    return GF_OK;
}

/* Rows of a lower triangle are made in strips; the last strips are the longest, so they are dealt
 * first. */
enum { STRIP = 64 };

static size_t count_strips(const gf__ridge *ridge)
{
    return ((ridge->is_dual ? ridge->n : ridge->d) + STRIP - 1) / STRIP;
}

static void make_strip(void *user, size_t item, int thread)
{
    (void)thread;
    const gf__ridge *ridge = user;
    const size_t M = ridge->is_dual ? ridge->n : ridge->d, n_strips = count_strips(ridge);
    const size_t part = item / n_strips;
    const size_t row = (n_strips - 1 - item % n_strips) * STRIP;
    const size_t n_rows = M - row < STRIP ? M - row : STRIP;
    if (ridge->is_dual) {
        ridge->ops->add_product(ridge->gram + row * M, M, ridge->z + row * ridge->d, ridge->d,
                                n_rows, ridge->z, ridge->d, row + n_rows, ridge->d, 1.0);
        return;
    }
    const double *z = ridge->z + ridge->first[part];
    ridge->ops->add_product(ridge->gram + part * M * M + row * M, M, z + row * ridge->n, ridge->n,
                            n_rows, z, ridge->n, row + n_rows,
                            ridge->first[part + 1] - ridge->first[part], 1.0);
}

static void make_sums(gf__ridge *ridge)
{
    const size_t d = ridge->d, C = ridge->n_classes;
    for (size_t p = 0; p < ridge->n_parts; p++) {
        for (size_t j = 0; j < d; j++) {
            for (size_t i = ridge->first[p]; i < ridge->first[p + 1]; i++) {
                const double z = ridge->z[j * ridge->n + i];
                ridge->sums[p * d + j] += z;
                ridge->class_sums[(p * d + j) * C + ridge->labels[i]] += z;
            }
        }
    }
}

static gf_status allocate(gf__ridge *ridge, gf_error *err)
{
    const size_t n = ridge->n, d = ridge->d, n_parts = ridge->n_parts;
    size_t n_z, n_gram, n_bytes;
    const size_t M = ridge->is_dual ? n : d, n_grams = ridge->is_dual ? 1 : n_parts;

    if (!gf__mul_size(n, d, &n_z) || !gf__mul_size(M, M, &n_gram) ||
        !gf__mul_size(n_gram, n_grams, &n_gram) ||
        !gf__mul_size(n_z > n_gram ? n_z : n_gram, sizeof(double), &n_bytes))
        return gf_error_set(err, GF_ELIMIT, "%zu rows of %zu features are too many", n, d);
    ridge->row_of = gf__calloc(n, sizeof *ridge->row_of);
    ridge->labels = gf__calloc(n, sizeof *ridge->labels);
    ridge->z = gf__alloc_aligned(n_z * sizeof *ridge->z);
    ridge->gram = gf__alloc_aligned(n_gram * sizeof *ridge->gram);
    bool has_memory = ridge->row_of != NULL && ridge->labels != NULL && ridge->z != NULL &&
                      ridge->gram != NULL;
    if (!ridge->is_dual) {
        ridge->sums = gf__calloc(n_parts * d, sizeof *ridge->sums);
        ridge->class_sums = gf__calloc(n_parts * d * ridge->n_classes, sizeof *ridge->class_sums);
        has_memory = has_memory && ridge->sums != NULL && ridge->class_sums != NULL;
    }
    return has_memory ? GF_OK : gf__error_nomem(err, "a probe", n_bytes);
}

gf_status gf__ridge_new(const float *features, const size_t *labels, const size_t *part_of,
                        size_t n_parts, size_t n, size_t n_features, size_t n_classes,
                        gf__pool *pool, gf__ridge **out, gf_error *err)
{
    *out = NULL;
    gf__ridge *ridge = gf__calloc(1, sizeof *ridge);
    if (ridge == NULL)
        return gf__error_nomem(err, "a probe", sizeof *ridge);
    ridge->ops = gf__linear_pick();
    ridge->is_dual = n <= n_features;
    ridge->n = n;
    ridge->d = n_features;
    ridge->n_classes = n_classes;
    ridge->n_parts = n_parts;
    gf_status st = allocate(ridge, err);
    if (st == GF_OK) {
        sort_rows(ridge, labels, part_of);
        st = standardise(ridge, features, err);
    }
    if (st != GF_OK) {
        gf__ridge_free(ridge);
        return st;
    }
    gf__pool_run(pool, count_strips(ridge) * (ridge->is_dual ? 1 : n_parts), make_strip, ridge);
    if (!ridge->is_dual)
        make_sums(ridge);
    *out = ridge;
    return GF_OK;
}

void gf__ridge_free(gf__ridge *ridge)
{
    if (ridge == NULL)
        return;
    gf__free(ridge->row_of);
    gf__free(ridge->labels);
    gf__free(ridge->z);
    gf__free(ridge->gram);
    gf__free(ridge->sums);
    gf__free(ridge->class_sums);
    gf__free(ridge);
}

gf_status gf__ridge_work_new(const gf__ridge *ridge, gf__ridge_work **out, gf_error *err)
{
    const size_t M = ridge->is_dual ? ridge->n : ridge->d, C = ridge->n_classes;
    *out = NULL;
    gf__ridge_work *work = gf__calloc(1, sizeof *work);
    if (work == NULL)
        return gf__error_nomem(err, "a probe", sizeof *work);
    work->rows = gf__calloc(ridge->n, sizeof *work->rows);
    work->base = gf__alloc_aligned(M * M * sizeof *work->base);
    work->factor = gf__alloc_aligned(M * M * sizeof *work->factor);
    work->means = gf__calloc(M, sizeof *work->means);
    work->class_means = gf__calloc(C, sizeof *work->class_means);
    work->right = gf__calloc(M * C, sizeof *work->right);
    work->solution = gf__calloc(M * C, sizeof *work->solution);
    work->scores = gf__calloc(ridge->n * C, sizeof *work->scores);
    if (work->rows == NULL || work->base == NULL || work->factor == NULL || work->means == NULL ||
        work->class_means == NULL || work->right == NULL || work->solution == NULL ||
        work->scores == NULL) {
        gf__ridge_work_free(work);
        return gf__error_nomem(err, "a probe", 2 * M * M * sizeof *work->base);
    }
    *out = work;
    return GF_OK;
}

void gf__ridge_work_free(gf__ridge_work *work)
{
    if (work == NULL)
        return;
    gf__free(work->rows);
    gf__free(work->base);
    gf__free(work->factor);
    gf__free(work->means);
    gf__free(work->class_means);
    gf__free(work->right);
    gf__free(work->solution);
    gf__free(work->scores);
    gf__free(work);
}

/* ZZ' of two kept rows, from its lower triangle. */
static double gram_at(const gf__ridge *ridge, size_t i, size_t j)
{
    return i > j ? ridge->gram[i * ridge->n + j] : ridge->gram[j * ridge->n + i];
}

static void choose_dual(const gf__ridge *ridge, gf__ridge_work *work)
{
    const size_t M = work->n_rows, C = ridge->n_classes;
    double mean = 0.0;
    work->M = M;
    memset(work->means, 0, M * sizeof *work->means);
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < i; j++) {
            const double value = gram_at(ridge, work->rows[i], work->rows[j]);
            work->base[i * M + j] = value;
            work->means[i] += value;
            work->means[j] += value;
        }
        work->base[i * M + i] = gram_at(ridge, work->rows[i], work->rows[i]);
        work->means[i] += work->base[i * M + i];
    }
    for (size_t i = 0; i < M; i++) {
        work->means[i] /= (double)M;
        mean += work->means[i];
    }
    mean /= (double)M;
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j <= i; j++)
            work->base[i * M + j] += mean - work->means[i] - work->means[j];
        for (size_t c = 0; c < C; c++)
            work->right[i * C + c] = (ridge->labels[work->rows[i]] == c ? 1.0 : 0.0) -
                                     work->class_means[c];
    }
}

static void choose_primal(const gf__ridge *ridge, uint64_t left_out, gf__ridge_work *work)
{
    const size_t d = ridge->d, C = ridge->n_classes;
    const double n_rows = (double)work->n_rows;
    work->M = d;
    memset(work->base, 0, d * d * sizeof *work->base);
    memset(work->means, 0, d * sizeof *work->means);
    memset(work->right, 0, d * C * sizeof *work->right);
    for (size_t p = 0; p < ridge->n_parts; p++) {
        if (left_out >> p & 1)
            continue;
        for (size_t i = 0; i < d * d; i++)
            work->base[i] += ridge->gram[p * d * d + i];
        for (size_t j = 0; j < d; j++)
            work->means[j] += ridge->sums[p * d + j] / n_rows;
        for (size_t i = 0; i < d * C; i++)
            work->right[i] += ridge->class_sums[p * d * C + i];
    }
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j <= i; j++)
            work->base[i * d + j] -= n_rows * work->means[i] * work->means[j];
        for (size_t c = 0; c < C; c++)
            work->right[i * C + c] -= n_rows * work->means[i] * work->class_means[c];
    }
}

void gf__ridge_choose(const gf__ridge *ridge, uint64_t left_out, gf__ridge_work *work)
{
    const size_t C = ridge->n_classes;
    work->n_rows = 0;
    memset(work->class_means, 0, C * sizeof *work->class_means);
    for (size_t p = 0; p < ridge->n_parts; p++) {
        if (left_out >> p & 1)
            continue;
        for (size_t i = ridge->first[p]; i < ridge->first[p + 1]; i++) {
            work->rows[work->n_rows++] = i;
            work->class_means[ridge->labels[i]] += 1.0;
        }
    }
    for (size_t c = 0; c < C; c++)
        work->class_means[c] /= (double)work->n_rows;
    if (ridge->is_dual)
        choose_dual(ridge, work);
    else
        choose_primal(ridge, left_out, work);
}

bool gf__ridge_solve(const gf__ridge *ridge, double lambda, gf__ridge_work *work)
{
    const size_t M = work->M, C = ridge->n_classes;
    memcpy(work->factor, work->base, M * M * sizeof *work->factor);
    for (size_t i = 0; i < M; i++)
        work->factor[i * M + i] += lambda;
    if (!ridge->ops->factor(work->factor, M))
        return false;
    memcpy(work->solution, work->right, M * C * sizeof *work->solution);
    ridge->ops->solve(work->solution, C, work->factor, M);
    return true;
}

/* scores += value * solution row i */
static void add_row(double *scores, double value, const gf__ridge_work *work, size_t i, size_t C)
{
    for (size_t c = 0; c < C; c++)
        scores[c] += value * work->solution[i * C + c];
}

/* The coefficients of the dual solution sum to 0, so of the centring only the columns' means
 * remain. */
static void predict_part(const gf__ridge *ridge, size_t part, gf__ridge_work *work)
{
    const size_t C = ridge->n_classes, first = ridge->first[part];
    const size_t n = ridge->first[part + 1] - first;
    for (size_t t = 0; t < n; t++)
        memcpy(work->scores + t * C, work->class_means, C * sizeof *work->scores);
    for (size_t i = 0; i < work->M; i++) {
        for (size_t t = 0; t < n; t++) {
            const double value = ridge->is_dual ? gram_at(ridge, first + t, work->rows[i])
                                                : ridge->z[i * ridge->n + first + t];
            add_row(work->scores + t * C, value - work->means[i], work, i, C);
        }
    }
}

size_t gf__ridge_count(const gf__ridge *ridge, size_t part, gf__ridge_work *work, double *scores)
{
    const size_t C = ridge->n_classes, first = ridge->first[part];
    size_t n_correct = 0;
    predict_part(ridge, part, work);
    for (size_t i = first; i < ridge->first[part + 1]; i++) {
        const double *row = work->scores + (i - first) * C;
        size_t largest = 0;
        for (size_t c = 1; c < C; c++)
            largest = row[c] > row[largest] ? c : largest;
        n_correct += largest == ridge->labels[i];
        if (scores != NULL)
            memcpy(scores + ridge->row_of[i] * C, row, C * sizeof *row);
    }
    return n_correct;
}
