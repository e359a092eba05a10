/* model/numbers.c: numbers into scores, and the one place where columns are brought to the range
 * that a head was trained on: (x - mean) / scale, mean and deviation of the training part. Training
 * uses the same function, so the two cannot differ. */
#include <math.h>

#include "model/model_priv.h"

void gf__standardise(const gf__standardisation *how, const float *row, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (row[i] - how->means[i]) / how->scales[i];
}

/* In double and in the order of rows: the same data gives the same bytes. */
void gf__standardisation_fit(const float *rows, size_t n_rows, size_t n_columns, float *means,
                             float *scales)
{
    for (size_t c = 0; c < n_columns; c++) {
        double sum = 0, squares = 0;
        for (size_t r = 0; r < n_rows; r++)
            sum += (double)rows[r * n_columns + c];
        const double mean = n_rows > 0 ? sum / (double)n_rows : 0;
        for (size_t r = 0; r < n_rows; r++) {
            const double off = (double)rows[r * n_columns + c] - mean;
            squares += off * off;
        }
        const double deviation = n_rows > 0 ? sqrt(squares / (double)n_rows) : 0;
        means[c] = (float)mean;
        /* A column that never changes tells nothing; it must not divide by 0 either. */
        scales[c] = (float)deviation > 0 && isfinite((float)deviation) ? (float)deviation : 1.0F;
    }
}

bool gf__model_takes_numbers(const gf_model *model)
{
    return model->trunk_name == NULL;
}

gf__standardisation gf__model_standardisation(const gf_model *model)
{
    return (gf__standardisation){model->means, model->scales};
}

size_t gf_model_n_inputs(const gf_model *model)
{
    return model->n_features;
}

const char *gf_model_column_at(const gf_model *model, size_t i)
{
    return model->column_names != NULL && i < model->n_features ? model->column_names[i] : NULL;
}

float gf_model_mean_at(const gf_model *model, size_t i)
{
    return model->means != NULL && i < model->n_features ? model->means[i] : 0.0F;
}

float gf_model_scale_at(const gf_model *model, size_t i)
{
    return model->scales != NULL && i < model->n_features ? model->scales[i] : 1.0F;
}

gf_status gf__model_predict_numbers(const gf_model *model, const float *numbers, size_t n,
                                    float *scores, float *logits, gf_error *err)
{
    if (n != model->n_features)
        return gf_error_set(err, GF_ESHAPE, "%zu numbers, the model takes %zu", n,
                            model->n_features);
    const size_t i = gf__first_not_finite(numbers, n);
    if (i < n)
        return gf_error_set(err, GF_EINVAL, "number %zu is %g, expected a finite one", i,
                            (double)numbers[i]);
    return gf__model_score(model, numbers, scores, logits, err);
}
