/* tasks/search_choose.c: which setting is tried next. Every choice has a random stream of its own,
 * made from the search's seed and the trial's number, so that an attempt after a crash chooses
 * what the first one did.
 *
 * Grid: all settings in order, the last parameter first. Random: even in the unit cube.
 *
 * Bayesian: the first trials are points of a scrambled Halton sequence (Owen, "A randomized Halton
 * algorithm in R", 2017). Then a Gaussian process (search_model.c) through all that is known, and
 * the setting with the largest expected improvement. Candidates are rounded to settings before the
 * process sees them (Garrido-Merchan & Hernandez-Lobato, "Dealing with categorical and
 * integer-valued variables in Bayesian optimization", 2020). Trials that still run count with the
 * average of the known ones (the constant liar of Ginsbourger, Le Riche & Carraro, "Kriging is
 * well-suited to parallelize optimization", 2010), failed ones with the worst: both keep the next
 * trial away from them. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "tasks/search_priv.h"

#define N_CANDIDATES 1500 /* all over the cube */
#define N_NEAR       500  /* around the best trials */
#define N_BEST       5
#define N_POLISH     200 /* around the best candidate, ever closer */
#define MAX_FITTED   300 /* trials: the matrix is inverted a hundred times */
#define N_REDRAWS    64

/* ---- quasi-random points --------------------------------------------------------------------- */

static size_t next_prime(size_t above)
{
    for (size_t n = above + 1;; n++) {
        size_t d = 2;
        while (d * d <= n && n % d != 0)
            d++;
        if (d * d > n)
            return n;
    }
}

/* Every digit goes through a random permutation of its own, also the zeros in front: 2^-53 is where
 * a double ends. */
static double radical_inverse(size_t index, size_t base, gf__rng *rng, size_t *digits)
{
    double sum = 0;
    for (double weight = 1.0 / (double)base; weight > 0x1p-53; weight /= (double)base) {
        for (size_t i = 0; i < base; i++)
            digits[i] = i;
        gf__rng_shuffle(rng, digits, base);
        sum += weight * (double)digits[index % base];
        index /= base;
    }
    return fmin(sum, 1 - 0x1p-53);
}

/* Primes of 64 dimensions end with 311. */
#define MAX_PRIME 512
void gf__halton(uint64_t seed, size_t index, size_t n_dims, double *out)
{
    size_t digits[MAX_PRIME];
    size_t prime = 1;
    for (size_t d = 0; d < n_dims; d++) {
        gf__rng rng;
        prime = next_prime(prime);
        assert(prime <= MAX_PRIME);
        gf__rng_seed(&rng, seed, d);
        out[d] = radical_inverse(index, prime, &rng, digits);
    }
}

/* ---- grid and random ------------------------------------------------------------------------- */

static bool is_seen(const gf__space *space, const gf__seen *seen, size_t n_seen,
                    const double *values)
{
    for (size_t t = 0; t < n_seen; t++)
        if (memcmp(seen[t].values, values, space->n_params * sizeof *values) == 0)
            return true;
    return false;
}

static void setting_at(const gf__space *space, size_t index, double *values)
{
    for (size_t i = space->n_params; i-- > 0;) {
        const gf__param *param = &space->params[i];
        const size_t k = index % param->n_values;
        values[i] = param->kind == GF__PARAM_INTEGER    ? param->low + (double)k
                    : param->kind == GF__PARAM_DISCRETE ? param->points[k]
                                                        : (double)k;
        index /= param->n_values;
    }
}

/* The first that was not there before: also in an earlier job. */
static gf_status choose_grid(const gf__search *search, const gf__seen *seen, size_t n_seen,
                             double *values, bool *is_exhausted, gf_error *err)
{
    const gf__space *space = search->space;
    for (size_t i = 0; i < space->n_params; i++)
        if (space->params[i].n_values == 0)
            return gf_error_set(err, GF_EINVAL,
                                "%s: a DOUBLE has no grid: GRID_SEARCH takes INTEGER, CATEGORICAL "
                                "and DISCRETE parameters",
                                space->params[i].name);
    const size_t n = gf__space_n_settings(space);
    size_t i = 0;
    do {
        if (i == n) {
            *is_exhausted = true;
            return GF_OK;
        }
        setting_at(space, i++, values);
    } while (is_seen(space, seen, n_seen, values));
    return GF_OK;
}

static void draw(const gf__space *space, gf__rng *rng, double *values)
{
    for (size_t i = 0; i < space->n_params; i++)
        values[i] = gf__param_from_unit(&space->params[i], gf__rng_uniform(rng));
}

/* A setting that was there before teaches nothing; where few are left it may come again. */
static void choose_random(const gf__search *search, gf__rng *rng, const gf__seen *seen,
                          size_t n_seen, double *values)
{
    for (size_t i = 0; i < N_REDRAWS; i++) {
        draw(search->space, rng, values);
        if (!is_seen(search->space, seen, n_seen, values))
            return;
    }
}

/* ---- Bayesian -------------------------------------------------------------------------------- */

/* What a choice holds while it is made. */
typedef struct choosing {
    const gf__search *search;
    const gf__seen *seen;
    size_t n_seen;
    gf__rng *rng;
    size_t n_dims;
    size_t *fitted; /* numbers of seen trials that the model goes through */
    size_t n_fitted;
    double *points, *targets; /* of those; larger targets are better */
    size_t *groups;
    double *candidate, *units, *near, *scratch;
    double best_target;
    gf__gp *gp;
    double best_improvement;
} choosing;

static double target_of(const choosing *c, const gf__seen *trial, double average, double worst)
{
    switch (trial->state) {
    case GF__SEEN_PENDING:
        return average;
    case GF__SEEN_FAILED:
        return worst;
    case GF__SEEN_DONE:
        break;
    }
    return c->search->is_minimised ? -trial->objective : trial->objective;
}

static void embed(const choosing *c, const double *values, double *out)
{
    const gf__space *space = c->search->space;
    for (size_t i = 0, d = 0; i < space->n_params; i++) {
        gf__param_embed(&space->params[i], values[i], out + d);
        d += gf__param_n_dims(&space->params[i]);
    }
}

/* The latest, where there are too many. */
static void fill_points(choosing *c)
{
    double sum = 0, worst = INFINITY;
    size_t n_done = 0;
    for (size_t t = 0; t < c->n_seen; t++) {
        if (c->seen[t].state != GF__SEEN_DONE)
            continue;
        const double target = target_of(c, &c->seen[t], 0, 0);
        sum += target;
        worst = fmin(worst, target);
        c->best_target = fmax(c->best_target, target);
        n_done++;
    }
    const size_t first = c->n_seen > MAX_FITTED ? c->n_seen - MAX_FITTED : 0;
    for (size_t t = first; t < c->n_seen; t++) {
        c->fitted[c->n_fitted] = t;
        c->targets[c->n_fitted] = target_of(c, &c->seen[t], sum / (double)n_done, worst);
        embed(c, c->seen[t].values, c->points + c->n_fitted * c->n_dims);
        c->n_fitted++;
    }
}

/* The setting at c->units, if it is new and better than the best one so far. */
static void consider(choosing *c, double *values)
{
    const gf__space *space = c->search->space;
    double mean, deviation;
    for (size_t i = 0; i < space->n_params; i++)
        c->candidate[i] = gf__param_from_unit(&space->params[i], c->units[i]);
    if (is_seen(space, c->seen, c->n_seen, c->candidate))
        return;
    double *point = c->points + c->n_fitted * c->n_dims; /* one more than fitted */
    embed(c, c->candidate, point);
    gf__gp_predict(c->gp, point, c->scratch, &mean, &deviation);
    const double improvement = gf__expected_improvement(mean, deviation, c->best_target);
    if (!(improvement > c->best_improvement))
        return;
    c->best_improvement = improvement;
    memcpy(values, c->candidate, space->n_params * sizeof *values);
}

/* Around a setting: each parameter moves, or stays, by one chance in two. */
static void consider_near(choosing *c, const double *centre, double deviation, double *values)
{
    const gf__space *space = c->search->space;
    for (size_t i = 0; i < space->n_params; i++) {
        const gf__param *param = &space->params[i];
        const bool moves = space->n_params == 1 || gf__rng_uniform(c->rng) < 0.5;
        c->units[i] = gf__param_to_unit(param, centre[i]);
        if (moves && param->kind == GF__PARAM_CATEGORICAL)
            c->units[i] = gf__rng_uniform(c->rng);
        else if (moves)
            c->units[i] += deviation * gf__rng_normal(c->rng);
    }
    consider(c, values);
}

/* The k-th best of the fitted trials; k is small. */
static const double *best_trial(const choosing *c, size_t k)
{
    size_t best = 0;
    double bound = INFINITY;
    for (size_t i = 0; i <= k; i++) {
        double found = -INFINITY;
        for (size_t t = 0; t < c->n_fitted; t++) {
            if (c->targets[t] < bound && c->targets[t] > found) {
                found = c->targets[t];
                best = t;
            }
        }
        bound = found;
    }
    return c->seen[c->fitted[best]].values;
}

static void search_candidates(choosing *c, double *values)
{
    static const double deviations[] = {0.2, 0.05, 0.01};
    const size_t n = c->search->space->n_params;
    for (size_t i = 0; i < N_CANDIDATES; i++) {
        for (size_t k = 0; k < n; k++)
            c->units[k] = gf__rng_uniform(c->rng);
        consider(c, values);
    }
    for (size_t i = 0; i < N_NEAR; i++)
        consider_near(c, best_trial(c, i % N_BEST), deviations[i / N_BEST % 3], values);
    for (size_t i = 0; i < N_POLISH && c->best_improvement >= 0; i++) {
        memcpy(c->near, values, n * sizeof *values);
        consider_near(c, c->near, 0.1 * pow(0.97, (double)i), values);
    }
}

static gf_status choosing_init(choosing *c, gf_error *err)
{
    const gf__space *space = c->search->space;
    for (size_t i = 0; i < space->n_params; i++)
        c->n_dims += gf__param_n_dims(&space->params[i]);
    const size_t n = (c->n_seen < MAX_FITTED ? c->n_seen : MAX_FITTED) + 1;
    c->fitted = gf__calloc(n, sizeof *c->fitted);
    c->points = gf__calloc(n * c->n_dims, sizeof *c->points);
    c->targets = gf__calloc(n, sizeof *c->targets);
    c->scratch = gf__calloc(n, sizeof *c->scratch);
    c->groups = gf__calloc(c->n_dims, sizeof *c->groups);
    c->candidate = gf__calloc(space->n_params, sizeof *c->candidate);
    c->units = gf__calloc(space->n_params, sizeof *c->units);
    c->near = gf__calloc(space->n_params, sizeof *c->near);
    if (c->fitted == NULL || c->points == NULL || c->targets == NULL || c->scratch == NULL ||
        c->groups == NULL || c->candidate == NULL || c->units == NULL || c->near == NULL)
        return gf__error_nomem(err, "the next trial", n * c->n_dims * sizeof(double));
    for (size_t i = 0, d = 0; i < space->n_params; i++)
        for (size_t k = 0; k < gf__param_n_dims(&space->params[i]); k++)
            c->groups[d++] = i;
    fill_points(c);
    return GF_OK;
}

static void choosing_free(choosing *c)
{
    gf__gp_free(c->gp);
    gf__free(c->fitted);
    gf__free(c->points);
    gf__free(c->targets);
    gf__free(c->scratch);
    gf__free(c->groups);
    gf__free(c->candidate);
    gf__free(c->units);
    gf__free(c->near);
}

/* Objectives that no process goes through (all the same but for one at 1e300, say) are no reason to
 * fail the job: then the choice is random. */
static gf_status choose_by_model(const gf__search *search, gf__rng *rng, const gf__seen *seen,
                                 size_t n_seen, double *values, gf_error *err)
{
    choosing c = {.search = search,
                  .seen = seen,
                  .n_seen = n_seen,
                  .rng = rng,
                  .best_target = -INFINITY,
                  .best_improvement = -1};
    gf_status st = choosing_init(&c, err);
    if (st == GF_OK) {
        const gf__gp_data data = {.points = c.points,
                                  .targets = c.targets,
                                  .n = c.n_fitted,
                                  .n_dims = c.n_dims,
                                  .groups = c.groups,
                                  .n_groups = search->space->n_params};
        st = gf__gp_fit(&data, rng, &c.gp, err);
    }
    if (st == GF_OK)
        search_candidates(&c, values);
    if (st == GF_EINVAL || (st == GF_OK && c.best_improvement < 0)) {
        choose_random(search, rng, seen, n_seen, values);
        st = GF_OK;
    }
    choosing_free(&c);
    return st;
}

static gf_status choose_bayesian(const gf__search *search, size_t index, gf__rng *rng,
                                 const gf__seen *seen, size_t n_seen, double *values, gf_error *err)
{
    const size_t n = search->space->n_params;
    size_t n_done = 0;
    for (size_t t = 0; t < n_seen; t++)
        n_done += seen[t].state == GF__SEEN_DONE;
    /* One more than a plane through the cube needs. */
    if (n_done >= n + 2)
        return choose_by_model(search, rng, seen, n_seen, values, err);
    gf__halton(search->seed, index, n, values);
    for (size_t i = 0; i < n; i++)
        values[i] = gf__param_from_unit(&search->space->params[i], values[i]);
    if (is_seen(search->space, seen, n_seen, values))
        choose_random(search, rng, seen, n_seen, values);
    return GF_OK;
}

gf_status gf__search_choose(const gf__search *search, size_t index, const gf__seen *seen,
                            size_t n_seen, double *values, bool *is_exhausted, gf_error *err)
{
    gf__rng rng;
    *is_exhausted = false;
    /* Streams below 64 are the Halton sequence's. */
    gf__rng_seed(&rng, search->seed, 64 + (uint64_t)index);
    switch (search->algorithm) {
    case GF__SEARCH_GRID:
        return choose_grid(search, seen, n_seen, values, is_exhausted, err);
    case GF__SEARCH_RANDOM:
        choose_random(search, &rng, seen, n_seen, values);
        return GF_OK;
    case GF__SEARCH_BAYESIAN:
        return choose_bayesian(search, index, &rng, seen, n_seen, values, err);
    }
    return GF_OK;
}
