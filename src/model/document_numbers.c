/* model/document_numbers.c: the members of a model's document that a model without a trunk has in
 * the place of trunk, cut and recipe: the columns' names, and how they are standardised. */
#include <math.h>

#include "model/model_priv.h"

static gf_status read_columns(gf_model *model, gf_error *err)
{
    const gf__json *list = NULL;
    const gf_status st = gf__json_get_array(model->json, "columns", &list, err);
    if (st != GF_OK)
        return st;
    const size_t n = gf__json_n_items(list);
    if (n == 0 || n != model->n_features)
        return gf_error_set(err, GF_EFORMAT, "columns: %zu names, n_features is %zu", n,
                            model->n_features);
    model->column_names = gf__calloc(n, sizeof *model->column_names);
    if (model->column_names == NULL)
        return gf__error_nomem(err, "column names", n * sizeof *model->column_names);
    for (size_t i = 0; i < n; i++) {
        model->column_names[i] = gf__json_string(gf__json_at(list, i), NULL);
        if (model->column_names[i] == NULL)
            return gf_error_set(err, GF_EFORMAT, "columns: item %zu is not a string", i);
    }
    return GF_OK;
}

gf_status gf__document_read_floats(const gf__json *object, const char *key, size_t n, float **out,
                                   gf_error *err)
{
    const gf__json *list = NULL;
    const gf_status st = gf__json_get_array(object, key, &list, err);
    if (st != GF_OK)
        return st;
    if (gf__json_n_items(list) != n)
        return gf_error_set(err, GF_EFORMAT, "%s: %zu for %zu places", key, gf__json_n_items(list),
                            n);
    float *values = gf__calloc(n, sizeof *values);
    if (values == NULL)
        return gf__error_nomem(err, "numbers", n * sizeof *values);
    *out = values;
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)gf__json_number(gf__json_at(list, i), (double)NAN);
        if (!isfinite(values[i]))
            return gf_error_set(err, GF_EFORMAT, "%s: item %zu is not a number", key, i);
    }
    return GF_OK;
}

static gf_status read_standardisation(gf_model *model, gf_error *err)
{
    const gf__json *object = NULL;
    gf_status st = gf__json_get_object(model->json, "standardisation", &object, err);
    if (st != GF_OK)
        return st;
    st = gf__document_read_floats(object, "means", model->n_features, &model->means, err);
    if (st == GF_OK)
        st = gf__document_read_floats(object, "scales", model->n_features, &model->scales, err);
    for (size_t i = 0; i < model->n_features && st == GF_OK; i++)
        if (!(model->scales[i] > 0))
            st = gf_error_set(err, GF_EFORMAT, "scales: item %zu is %g, expected above 0", i,
                              (double)model->scales[i]);
    if (st != GF_OK)
        gf__error_prefix(err, "standardisation");
    return st;
}

gf_status gf__document_read_numbers(gf_model *model, gf_error *err)
{
    gf_status st = gf__json_get_size(model->json, "n_features", &model->n_features, err);
    model->precision = GF_PRECISION_F32;
    if (st == GF_OK)
        st = read_columns(model, err);
    return st == GF_OK ? read_standardisation(model, err) : st;
}

gf__json *gf__document_floats(const float *values, size_t n)
{
    gf__json *list = gf__json_array();
    for (size_t i = 0; i < n; i++)
        gf__json_append(list, gf__json_new_number((double)values[i]));
    return list;
}

void gf__document_set_numbers(gf__json *document, const gf__model_content *content)
{
    const size_t n = gf_head_n_features(content->head);
    gf__json *columns = gf__json_array(), *standardisation = gf__json_object();
    for (size_t i = 0; i < n; i++)
        gf__json_append(columns, gf__json_new_string(content->column_names[i]));
    gf__json_set(document, "trunk", gf__json_new_null());
    gf__json_set(document, "columns", columns);
    gf__json_set(standardisation, "means", gf__document_floats(content->standardisation.means, n));
    gf__json_set(standardisation, "scales",
                 gf__document_floats(content->standardisation.scales, n));
    gf__json_set(document, "standardisation", standardisation);
}
