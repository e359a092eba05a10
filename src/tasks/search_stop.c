/* tasks/search_stop.c: the median stopping rule (Golovin et al., "Google Vizier", KDD 2017): a
 * running trial ends early at step s if its best objective up to s is strictly worse than
 * the median of what the completed trials had reached on average by step s. */
#include <math.h>
#include <stdlib.h>

#include "tasks/search_priv.h"

/* Larger is better from here on. NAN where nothing was measured by then. */
static double best_of(const gf__curve *curve, double sign)
{
    double best = NAN;
    for (size_t i = 0; i < curve->n; i++) {
        const double value = sign * curve->at[i].value;
        if (isfinite(value) && !(value <= best))
            best = value;
    }
    return best;
}

static double average_until(const gf__curve *curve, int64_t step, double sign)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < curve->n; i++) {
        if (curve->at[i].step > step || !isfinite(curve->at[i].value))
            continue;
        sum += sign * curve->at[i].value;
        n++;
    }
    return n > 0 ? sum / (double)n : NAN;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* NAN out of memory as well: then nothing is stopped. */
static double median_of_averages(const gf__curve *completed, size_t n_completed, int64_t step,
                                 double sign)
{
    double *averages = gf__calloc(n_completed, sizeof *averages);
    double median = NAN;
    size_t n = 0;
    for (size_t i = 0; averages != NULL && i < n_completed; i++) {
        const double average = average_until(&completed[i], step, sign);
        if (!isnan(average))
            averages[n++] = average;
    }
    if (n >= GF__STOP_MIN_TRIALS) {
        qsort(averages, n, sizeof *averages, compare);
        median = n % 2 == 1 ? averages[n / 2] : 0.5 * (averages[n / 2 - 1] + averages[n / 2]);
    }
    gf__free(averages);
    return median;
}

bool gf__search_should_stop(const gf__curve *trial, const gf__curve *completed, size_t n_completed,
                            bool is_minimised)
{
    if (trial->n == 0 || n_completed < GF__STOP_MIN_TRIALS)
        return false;
    const double sign = is_minimised ? -1 : 1;
    const int64_t step = trial->at[trial->n - 1].step;
    const double best = best_of(trial, sign);
    const double median = median_of_averages(completed, n_completed, step, sign);
    return best < median; /* false with a NAN */
}
