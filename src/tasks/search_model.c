/* tasks/search_model.c: the Gaussian process behind Bayesian search, in plain C: at most a few
 * hundred trials are few numbers.
 *
 * Kernel, marginal likelihood and prediction: Rasmussen & Williams, "Gaussian Processes for
 * Machine Learning", 2006, (4.17), (5.8), algorithm 2.1. Matern 5/2 with a length scale a
 * parameter, and expected improvement, as in Snoek, Larochelle & Adams, "Practical Bayesian
 * Optimization of Machine Learning Algorithms", NIPS 2012. The signal's variance is not searched
 * for: for any length scales and ratio of noise to signal the best one is y' K^-1 y / n. */
#include <math.h>
#include <string.h>

#include "tasks/search_priv.h"

#define N_STARTS 48
#define N_SWEEPS 3
/* Length scales are in units of the cube; the noise is a share of the signal's variance. */
#define LENGTH_LOW  0.03
#define LENGTH_HIGH 10.0
#define NOISE_LOW   1e-6
#define NOISE_HIGH  0.5

/* A logarithm of each, so that all of them are searched the same way: the noise behind the
 * lengths. */
typedef struct fit {
    double *settings; /* n_groups + 1 */
    double score;
} fit;

struct gf__gp {
    size_t n, n_dims, n_groups;
    double *points;  /* (n, n_dims) */
    size_t *groups;  /* n_dims */
    double *targets; /* standardised */
    double mean, deviation;
    double *inverse_lengths; /* n_groups */
    double *factor;          /* (n, n): the lower half is Cholesky's */
    double *weights;         /* K^-1 y */
    double variance;
};

bool gf__cholesky(double *a, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        for (size_t i = j; i < n; i++) {
            double sum = a[i * n + j];
            for (size_t k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            if (i > j) {
                a[i * n + j] = sum / a[j * n + j];
                continue;
            }
            if (!(sum > 0) || !isfinite(sum))
                return false;
            a[j * n + j] = sqrt(sum);
        }
    }
    return true;
}

/* x = L^-1 x, then x = L'^-1 x. */
static void solve_lower(const double *l, size_t n, double *x)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            x[i] -= l[i * n + k] * x[k];
        x[i] /= l[i * n + i];
    }
}

static void solve_upper(const double *l, size_t n, double *x)
{
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            x[i] -= l[k * n + i] * x[k];
        x[i] /= l[i * n + i];
    }
}

/* Matern 5/2 of variance 1. */
static double kernel(const gf__gp *gp, const double *a, const double *b)
{
    double square = 0;
    for (size_t d = 0; d < gp->n_dims; d++) {
        const double step = (a[d] - b[d]) * gp->inverse_lengths[gp->groups[d]];
        square += step * step;
    }
    const double r = sqrt(5 * square);
    return (1 + r + r * r / 3) * exp(-r);
}

/* Factor, weights and variance for these settings; false where the matrix is not definite. */
static bool apply(gf__gp *gp, const double *settings)
{
    const size_t n = gp->n;
    for (size_t g = 0; g < gp->n_groups; g++)
        gp->inverse_lengths[g] = exp(-settings[g]);
    const double noise = exp(settings[gp->n_groups]);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            gp->factor[i * n + j] = kernel(gp, gp->points + i * gp->n_dims,
                                           gp->points + j * gp->n_dims) +
                                    (i == j ? noise : 0);
    if (!gf__cholesky(gp->factor, n))
        return false;
    memcpy(gp->weights, gp->targets, n * sizeof *gp->weights);
    solve_lower(gp->factor, n, gp->weights);
    gp->variance = 0;
    for (size_t i = 0; i < n; i++)
        gp->variance += gp->weights[i] * gp->weights[i];
    gp->variance = fmax(gp->variance / (double)n, 1e-12);
    solve_upper(gp->factor, n, gp->weights);
    return true;
}

/* Log marginal likelihood with the best variance, without its constant, plus a log normal prior
 * (median 0.5, wide) on the lengths: a handful of trials would else agree with any. */
static double score(gf__gp *gp, const double *settings)
{
    const size_t n = gp->n;
    if (!apply(gp, settings))
        return -INFINITY;
    double sum = -0.5 * (double)n * log(gp->variance);
    for (size_t i = 0; i < n; i++)
        sum -= log(gp->factor[i * n + i]);
    for (size_t g = 0; g < gp->n_groups; g++) {
        const double z = settings[g] - log(0.5);
        sum -= 0.5 * z * z;
    }
    const double z = (settings[gp->n_groups] - log(1e-3)) / 3;
    return sum - 0.5 * z * z;
}

static void limits_of(const gf__gp *gp, size_t i, double *low, double *high)
{
    const bool is_noise = i == gp->n_groups;
    *low = log(is_noise ? NOISE_LOW : LENGTH_LOW);
    *high = log(is_noise ? NOISE_HIGH : LENGTH_HIGH);
}

static void keep_better(gf__gp *gp, fit *best, const double *settings)
{
    const double found = score(gp, settings);
    if (!(found > best->score))
        return;
    best->score = found;
    memcpy(best->settings, settings, (gp->n_groups + 1) * sizeof *settings);
}

/* Seeded starts, first those with one length for all; then one setting after the other, up and
 * down by ever smaller factors. */
static void search_settings(gf__gp *gp, gf__rng *rng, fit *best, double *trial)
{
    const size_t n = gp->n_groups + 1;
    double low, high;
    for (size_t s = 0; s < N_STARTS; s++) {
        double u = gf__rng_uniform(rng);
        for (size_t i = 0; i < n; i++) {
            limits_of(gp, i, &low, &high);
            if (s >= N_STARTS / 2 || i + 1 == n)
                u = gf__rng_uniform(rng);
            trial[i] = low + u * (high - low);
        }
        keep_better(gp, best, trial);
    }
    for (int sweep = 0; sweep < N_SWEEPS && isfinite(best->score); sweep++) {
        for (size_t i = 0; i < n; i++) {
            limits_of(gp, i, &low, &high);
            for (double step = 1.0 / (1 << sweep), sign = -1; sign <= 1; sign += 2) {
                memcpy(trial, best->settings, n * sizeof *trial);
                trial[i] = fmin(fmax(trial[i] + sign * step, low), high);
                keep_better(gp, best, trial);
            }
        }
    }
}

static gf_status choose_settings(gf__gp *gp, gf__rng *rng, gf_error *err)
{
    const size_t n = gp->n_groups + 1;
    fit best = {.settings = gf__calloc(n, sizeof(double)), .score = -INFINITY};
    double *trial = gf__calloc(n, sizeof *trial);
    gf_status st = GF_OK;
    if (best.settings == NULL || trial == NULL)
        st = gf__error_nomem(err, "a model of the trials", n * sizeof *trial);
    if (st == GF_OK) {
        search_settings(gp, rng, &best, trial);
        if (!isfinite(best.score) || !apply(gp, best.settings))
            st = gf_error_set(err, GF_EINVAL,
                              "no Gaussian process goes through %zu trials: their objectives may "
                              "be too far apart",
                              gp->n);
    }
    gf__free(best.settings);
    gf__free(trial);
    return st;
}

static void standardise(gf__gp *gp, const double *targets)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < gp->n; i++)
        sum += targets[i];
    gp->mean = sum / (double)gp->n;
    for (size_t i = 0; i < gp->n; i++)
        squares += (targets[i] - gp->mean) * (targets[i] - gp->mean);
    gp->deviation = sqrt(squares / (double)gp->n);
    if (!(gp->deviation > 0) || !isfinite(gp->deviation))
        gp->deviation = 1;
    for (size_t i = 0; i < gp->n; i++)
        gp->targets[i] = (targets[i] - gp->mean) / gp->deviation;
}

gf_status gf__gp_fit(const gf__gp_data *data, gf__rng *rng, gf__gp **out, gf_error *err)
{
    *out = NULL;
    const size_t n = data->n;
    gf__gp *gp = gf__calloc(1, sizeof *gp);
    if (gp == NULL)
        return gf__error_nomem(err, "a model of the trials", sizeof *gp);
    gp->n = n;
    gp->n_dims = data->n_dims;
    gp->n_groups = data->n_groups;
    gp->points = gf__calloc(n * data->n_dims, sizeof *gp->points);
    gp->groups = gf__calloc(data->n_dims, sizeof *gp->groups);
    gp->targets = gf__calloc(n, sizeof *gp->targets);
    gp->inverse_lengths = gf__calloc(data->n_groups, sizeof *gp->inverse_lengths);
    gp->factor = gf__calloc(n * n, sizeof *gp->factor);
    gp->weights = gf__calloc(n, sizeof *gp->weights);
    gf_status st = GF_OK;
    if (gp->points == NULL || gp->groups == NULL || gp->targets == NULL ||
        gp->inverse_lengths == NULL || gp->factor == NULL || gp->weights == NULL)
        st = gf__error_nomem(err, "a model of the trials", n * n * sizeof(double));
    if (st == GF_OK) {
        memcpy(gp->points, data->points, n * data->n_dims * sizeof *gp->points);
        memcpy(gp->groups, data->groups, data->n_dims * sizeof *gp->groups);
        standardise(gp, data->targets);
        st = choose_settings(gp, rng, err);
    }
    if (st == GF_OK) {
        *out = gp;
        gp = NULL;
    }
    gf__gp_free(gp);
    return st;
}

void gf__gp_free(gf__gp *gp)
{
    if (gp == NULL)
        return;
    gf__free(gp->points);
    gf__free(gp->groups);
    gf__free(gp->targets);
    gf__free(gp->inverse_lengths);
    gf__free(gp->factor);
    gf__free(gp->weights);
    gf__free(gp);
}

void gf__gp_predict(const gf__gp *gp, const double *point, double *scratch, double *mean,
                    double *deviation)
{
    double sum = 0, explained = 0;
    for (size_t i = 0; i < gp->n; i++) {
        scratch[i] = kernel(gp, point, gp->points + i * gp->n_dims);
        sum += scratch[i] * gp->weights[i];
    }
    solve_lower(gp->factor, gp->n, scratch);
    for (size_t i = 0; i < gp->n; i++)
        explained += scratch[i] * scratch[i];
    *mean = gp->mean + gp->deviation * sum;
    *deviation = gp->deviation * sqrt(gp->variance * fmax(1 - explained, 0));
}

double gf__expected_improvement(double mean, double deviation, double best)
{
    if (!(deviation > 0))
        return fmax(mean - best, 0);
    const double z = (mean - best) / deviation;
    const double density = exp(-0.5 * z * z) / sqrt(2 * 3.14159265358979323846);
    return (mean - best) * 0.5 * erfc(-z / sqrt(2.0)) + deviation * density;
}
