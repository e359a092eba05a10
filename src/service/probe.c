/* service/probe.c: how well each of several cuts separates the classes, for --layer auto. */
#include <string.h>

#include "service/service_priv.h"

/* A probe's cost grows with the square of its rows; beyond this many the ranking of the layers
 * hardly changes. */
#define PROBE_MAX_ROWS 2000

typedef struct probe_rows {
    size_t *rows; /* of the part; NULL: all, in order */
    size_t *labels;
    size_t n;
} probe_rows;

static gf_status choose_rows(const gf__part *part, uint64_t seed, probe_rows *out, gf_error *err)
{
    *out = (probe_rows){.n = part->n};
    if (part->n <= PROBE_MAX_ROWS)
        return GF_OK;
    gf__mt19937 mt;
    out->n = PROBE_MAX_ROWS;
    out->rows = gf__calloc(part->n, sizeof *out->rows);
    out->labels = gf__calloc(out->n, sizeof *out->labels);
    if (out->rows == NULL || out->labels == NULL)
        return gf__error_nomem(err, "probe rows", part->n * sizeof *out->rows);
    gf__mt19937_seed(&mt, (uint32_t)seed);
    gf__mt19937_permutation(&mt, out->rows, part->n);
    for (size_t i = 0; i < out->n; i++)
        out->labels[i] = part->labels[out->rows[i]];
    return GF_OK;
}

static gf_status probe_output(const gf__part *part, size_t output, const probe_rows *chosen,
                              size_t n_classes, const gf_probe_options *options, double *accuracy,
                              gf_error *err)
{
    const size_t size = gf_tensor_shape(part->features[output])[1];
    const float *all = gf_tensor_f32(part->features[output]);
    if (chosen->rows == NULL)
        return gf_probe(all, part->labels, part->n, size, n_classes, options, accuracy, err);
    float *some = gf__malloc(chosen->n * size * sizeof *some);
    if (some == NULL)
        return gf__error_nomem(err, "probe rows", chosen->n * size * sizeof *some);
    for (size_t i = 0; i < chosen->n; i++)
        memcpy(some + i * size, all + chosen->rows[i] * size, size * sizeof *some);
    const gf_status st = gf_probe(some, chosen->labels, chosen->n, size, n_classes, options,
                                  accuracy, err);
    gf__free(some);
    return st;
}

gf_status gf__part_probe(const gf__part *part, size_t n_classes, const gf_probe_options *options,
                         const gf_observer *obs, double *accuracy, gf_error *err)
{
    probe_rows chosen;
    gf_status st = choose_rows(part, options->seed, &chosen, err);
    for (size_t i = 0; i < part->n_outputs && st == GF_OK; i++) {
        st = probe_output(part, i, &chosen, n_classes, options, &accuracy[i], err);
        if (st == GF_OK)
            st = gf__observe_progress(obs, "probe", i + 1, part->n_outputs, NULL, err);
    }
    gf__free(chosen.rows);
    gf__free(chosen.labels);
    return st;
}
