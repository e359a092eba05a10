/* service/numbers.c: what tables of numbers need in the place of a network: rows of a part as its
 * features, standardised, and the rows of a self-test. */
#include <string.h>

#include "service/service_priv.h"

#define TOLERANCE 1e-3 /* another CPU's kernels sum in another order */

/* The rows as they came, as the part's only features. */
static gf_status take_rows(gf__part *part, gf_error *err)
{
    const size_t n_columns = gf_dataset_n_columns(part->dataset);
    const size_t shape[2] = {part->n, n_columns};
    part->n_outputs = part->n_views = 1;
    part->features = gf__calloc(1, sizeof *part->features);
    if (part->features == NULL)
        return gf__error_nomem(err, "features", sizeof *part->features);
    gf_status st = gf_tensor_new(GF_DTYPE_F32, shape, 2, &part->features[0], err);
    float *rows = st == GF_OK ? gf_tensor_mutable_data(part->features[0]) : NULL;
    for (size_t i = 0; i < part->n && st == GF_OK; i++) {
        gf_sample sample;
        st = gf_dataset_read(part->dataset, part->items[i], &sample, err);
        if (st == GF_OK)
            memcpy(rows + i * n_columns, sample.data, sample.n_bytes);
        gf_sample_release(&sample);
    }
    return st;
}

static void standardise_rows(gf__part *part, const gf__standardisation *how)
{
    const size_t n_columns = gf_dataset_n_columns(part->dataset);
    float *rows = gf_tensor_mutable_data(part->features[0]);
    for (size_t i = 0; i < part->n; i++)
        gf__standardise(how, rows + i * n_columns, rows + i * n_columns, n_columns);
}

gf_status gf__part_rows(gf__part *part, const gf__standardisation *how, gf_error *err)
{
    const gf_status st = take_rows(part, err);
    if (st == GF_OK)
        standardise_rows(part, how);
    return st;
}

/* The same columns in the same order. */
static gf_status check_columns(const gf_dataset *dataset, const char *const *names, size_t n_names,
                               gf_error *err)
{
    const size_t n = gf_dataset_n_columns(dataset);
    if (n != n_names)
        return gf_error_set(err, GF_EMISMATCH, "%s: rows of %zu numbers, expected %zu",
                            gf_dataset_path(dataset), n, n_names);
    for (size_t i = 0; i < n; i++)
        if (strcmp(gf_dataset_column_at(dataset, i), names[i]) != 0)
            return gf_error_set(err, GF_EMISMATCH, "%s: column %zu is %.60s, expected %.60s",
                                gf_dataset_path(dataset), i + 1, gf_dataset_column_at(dataset, i),
                                names[i]);
    return GF_OK;
}

gf_status gf__column_names_new(const gf_dataset *dataset, const char ***out, gf_error *err)
{
    const size_t n = gf_dataset_n_columns(dataset);
    *out = gf__calloc(n > 0 ? n : 1, sizeof **out);
    if (*out == NULL)
        return gf__error_nomem(err, "column names", n * sizeof **out);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = gf_dataset_column_at(dataset, i);
    return GF_OK;
}

gf_status gf__part_numbers_fit(gf__part *train, gf__part *test, float **means, float **scales,
                               gf_error *err)
{
    const size_t n = gf_dataset_n_columns(train->dataset);
    const char **names = NULL;
    *means = gf__calloc(n, sizeof **means);
    *scales = gf__calloc(n, sizeof **scales);
    if (*means == NULL || *scales == NULL)
        return gf__error_nomem(err, "numbers", n * sizeof **means);
    gf_status st = gf__column_names_new(train->dataset, &names, err);
    if (st == GF_OK)
        st = check_columns(test->dataset, names, n, err);
    gf__free(names);
    if (st == GF_OK)
        st = take_rows(train, err);
    if (st == GF_OK)
        st = take_rows(test, err);
    if (st != GF_OK)
        return st;
    gf__standardisation_fit(gf_tensor_f32(train->features[0]), train->n, n, *means, *scales);
    const gf__standardisation how = {*means, *scales};
    standardise_rows(train, &how);
    standardise_rows(test, &how);
    return GF_OK;
}

gf_status gf__part_numbers(gf__part *part, const gf_model *model, gf_error *err)
{
    const size_t n = gf_model_n_inputs(model);
    const gf__standardisation how = gf__model_standardisation(model);
    if (!gf__model_takes_numbers(model) || gf_dataset_n_columns(part->dataset) == 0)
        return gf_error_set(
            err, GF_EMISMATCH, "%s: %s, the model takes %s", gf_dataset_path(part->dataset),
            gf_dataset_n_columns(part->dataset) > 0 ? "rows of numbers" : "pictures",
            gf__model_takes_numbers(model) ? "rows of numbers" : "pictures");
    const char **names = gf__calloc(n, sizeof *names);
    if (names == NULL)
        return gf__error_nomem(err, "column names", n * sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = gf_model_column_at(model, i);
    const gf_status st = check_columns(part->dataset, names, n, err);
    gf__free(names);
    return st == GF_OK ? gf__part_rows(part, &how, err) : st;
}

/* Borrowed from the data set, which keeps all rows in memory. */
static gf_status borrow_row(const gf__part *part, size_t row, const float **out, gf_error *err)
{
    gf_sample sample;
    const gf_status st = gf_dataset_read(part->dataset, part->items[row], &sample, err);
    if (st == GF_OK)
        *out = sample.data;
    return st;
}

gf_status gf__samples_of_numbers(const gf__part *part, const gf_head *head, gf__samples *out,
                                 gf_error *err)
{
    const size_t n_classes = gf_head_n_classes(head), size = gf_head_n_features(head);
    const float *features = gf_tensor_f32(part->features[0]);
    gf_status st = GF_OK;
    *out = (gf__samples){.tolerance = TOLERANCE};
    out->scores = gf__calloc(GF__SELF_TEST_SAMPLES * n_classes, sizeof *out->scores);
    if (out->scores == NULL)
        return gf__error_nomem(err, "self-test", GF__SELF_TEST_SAMPLES * n_classes * sizeof(float));
    for (size_t k = 0; k < n_classes && out->n < GF__SELF_TEST_SAMPLES && st == GF_OK; k++) {
        gf__self_test_sample *sample = &out->at[out->n];
        float *scores = out->scores + out->n * n_classes;
        size_t row = 0;
        while (row < part->n && part->labels[row] != k)
            row++;
        if (row == part->n)
            continue;
        sample->item = gf_dataset_item_at(part->dataset, part->items[row]);
        sample->scores = scores;
        st = borrow_row(part, row, &sample->numbers, err);
        if (st == GF_OK)
            st = gf_head_predict(head, features + row * size, 1, scores, err);
        out->n++;
    }
    return st;
}
