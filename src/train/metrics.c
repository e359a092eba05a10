/* How good a classifier is: confusion matrix, per-class precision, recall and F1, and how sure one
 * can be of the accuracy. */
#include <math.h>

#include "train/train.h"

/* Wilson's score interval (Wilson 1927): unlike the textbook interval it stays inside [0,1] and is
 * right for few rows. */
static void find_interval(double accuracy, size_t n, double *low, double *high)
{
    const double z = 1.959963984540054, count = (double)n;
    const double scale = 1.0 / (1.0 + z * z / count);
    const double centre = scale * (accuracy + z * z / (2.0 * count));
    const double half = scale * z *
                        sqrt(accuracy * (1.0 - accuracy) / count + z * z / (4.0 * count * count));
    *low = fmax(0.0, centre - half);
    *high = fmin(1.0, centre + half);
}

static gf_status check_rows(const float *scores, const size_t *labels, size_t n, size_t n_classes,
                            gf_error *err)
{
    if (n == 0 || n_classes == 0)
        return gf_error_set(err, GF_EINVAL, "nothing to measure: %zu rows of %zu classes", n,
                            n_classes);
    for (size_t i = 0; i < n; i++) {
        if (labels[i] >= n_classes)
            return gf_error_set(err, GF_EINVAL, "row %zu has label %zu, there are %zu classes", i,
                                labels[i], n_classes);
        for (size_t k = 0; k < n_classes; k++)
            if (isnan(scores[i * n_classes + k]))
                return gf_error_set(err, GF_EINVAL,
                                    "row %zu: the score of class %zu is not a number", i, k);
    }
    return GF_OK;
}

static gf_metrics *new_metrics(size_t n, size_t n_classes)
{
    gf_metrics *metrics = gf__calloc(1, sizeof *metrics);
    size_t n_cells;
    if (metrics == NULL || !gf__mul_size(n_classes, n_classes, &n_cells))
        goto failed;
    metrics->n = n;
    metrics->n_classes = n_classes;
    metrics->confusion = gf__calloc(n_cells, sizeof *metrics->confusion);
    metrics->precision = gf__calloc(n_classes, sizeof *metrics->precision);
    metrics->recall = gf__calloc(n_classes, sizeof *metrics->recall);
    metrics->f1 = gf__calloc(n_classes, sizeof *metrics->f1);
    metrics->predicted = gf__calloc(n, sizeof *metrics->predicted);
    metrics->score = gf__calloc(n, sizeof *metrics->score);
    if (metrics->confusion != NULL && metrics->precision != NULL && metrics->recall != NULL &&
        metrics->f1 != NULL && metrics->predicted != NULL && metrics->score != NULL)
        return metrics;
failed:
    gf_metrics_free(metrics);
    return NULL;
}

/* Fills predictions, confusion matrix, loss and accuracy. */
static void count_rows(gf_metrics *metrics, const float *scores, const size_t *labels)
{
    const size_t K = metrics->n_classes;
    double loss = 0.0;
    size_t n_correct = 0;
    for (size_t i = 0; i < metrics->n; i++) {
        const float *row = scores + i * K;
        size_t largest = 0;
        for (size_t k = 1; k < K; k++)
            largest = row[k] > row[largest] ? k : largest;
        metrics->predicted[i] = largest;
        metrics->score[i] = row[largest];
        metrics->confusion[labels[i] * K + largest]++;
        n_correct += largest == labels[i];
        loss -= log(fmin(fmax((double)row[labels[i]], 1e-7), 1.0 - 1e-7));
    }
    metrics->loss = loss / (double)metrics->n;
    metrics->accuracy = (double)n_correct / (double)metrics->n;
}

static void measure_classes(gf_metrics *metrics)
{
    const size_t K = metrics->n_classes;
    double sum = 0.0;
    size_t n_defined = 0;
    for (size_t k = 0; k < K; k++) {
        double n_true = 0.0, n_predicted = 0.0;
        const double n_both = (double)metrics->confusion[k * K + k];
        for (size_t j = 0; j < K; j++) {
            n_true += (double)metrics->confusion[k * K + j];
            n_predicted += (double)metrics->confusion[j * K + k];
        }
        metrics->precision[k] = n_predicted > 0.0 ? n_both / n_predicted : (double)NAN;
        metrics->recall[k] = n_true > 0.0 ? n_both / n_true : (double)NAN;
        /* 2 both / (true + predicted): 0 for a class that was there and never found, 0/0 only for
         * one that never came up. */
        metrics->f1[k] = n_true + n_predicted > 0.0 ? 2.0 * n_both / (n_true + n_predicted)
                                                    : (double)NAN;
        if (!isnan(metrics->f1[k])) {
            sum += metrics->f1[k];
            n_defined++;
        }
    }
    metrics->macro_f1 = sum / (double)n_defined;
}

gf_status gf_metrics_new(const float *scores, const size_t *labels, size_t n, size_t n_classes,
                         gf_metrics **out, gf_error *err)
{
    *out = NULL;
    const gf_status st = check_rows(scores, labels, n, n_classes, err);
    if (st != GF_OK)
        return st;
    gf_metrics *metrics = new_metrics(n, n_classes);
    if (metrics == NULL)
        return gf__error_nomem(err, "metrics", n_classes * n_classes * sizeof(size_t));
    count_rows(metrics, scores, labels);
    find_interval(metrics->accuracy, n, &metrics->accuracy_low, &metrics->accuracy_high);
    measure_classes(metrics);
    *out = metrics;
    return GF_OK;
}

void gf_metrics_free(gf_metrics *metrics)
{
    if (metrics == NULL)
        return;
    gf__free(metrics->confusion);
    gf__free(metrics->precision);
    gf__free(metrics->recall);
    gf__free(metrics->f1);
    gf__free(metrics->predicted);
    gf__free(metrics->score);
    gf__free(metrics);
}
