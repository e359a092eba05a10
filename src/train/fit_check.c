/* Options, data and head of a training against one another, before anything is computed: rows are
 * named here, so that the loop need not look at them. */
#include <math.h>

#include "head/head.h"
#include "train/fit_priv.h"

static gf_status check_labels(const gf_head *head, const gf_fit_data *data, const char *what,
                              gf_error *err)
{
    const size_t n_classes = gf_head_n_classes(head);
    for (size_t i = 0; i < data->n; i++)
        if (data->labels[i] >= n_classes)
            return gf_error_set(err, GF_EINVAL,
                                "%s row %zu has label %zu, the head has %zu classes", what, i,
                                data->labels[i], n_classes);
    return GF_OK;
}

static gf_status check_targets(const gf_head *head, const gf_fit_data *data, const char *what,
                               gf_error *err)
{
    const size_t n_units = gf_head_n_classes(head);
    for (size_t i = 0; i < data->n * n_units; i++)
        if (!(data->targets[i] >= 0.0f && data->targets[i] <= 1.0f))
            return gf_error_set(err, GF_EINVAL, "%s row %zu: target %zu is %g, must be from 0 to 1",
                                what, i / n_units, i % n_units, (double)data->targets[i]);
    return GF_OK;
}

static gf_status check_weights(const float *weights, size_t n, const char *what, gf_error *err)
{
    for (size_t i = 0; weights != NULL && i < n; i++)
        if (!(weights[i] >= 0.0f) || !isfinite(weights[i]))
            return gf_error_set(err, GF_EINVAL, "weight of %s %zu is %g, must be at least 0", what,
                                i, (double)weights[i]);
    return GF_OK;
}

static gf_status check_data(const gf_head *head, const gf_fit_data *data, const char *what,
                            gf_error *err)
{
    const size_t n_features = gf_head_n_features(head);
    const size_t n_views = data->n_views > 0 ? data->n_views : 1;
    if (data->n == 0)
        return gf_error_set(err, GF_EINVAL, "the %s data has no rows", what);
    gf_status st = data->targets != NULL ? check_targets(head, data, what, err)
                                         : check_labels(head, data, what, err);
    if (st == GF_OK)
        st = check_weights(data->row_weights, data->n, "row", err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < data->n * n_views * n_features; i++)
        if (!isfinite(data->features[i]))
            return gf_error_set(err, GF_EINVAL, "%s row %zu: feature %zu is not a finite number",
                                what, i / n_features, i % n_features);
    return GF_OK;
}

/* What is right is told as the last layer answers. */
static gf_status check_end(const gf_head *head, const gf_fit_data *train, const gf_fit_data *val,
                           gf_error *err)
{
    const gf_head_layer last = gf_head_layer_at(head, gf_head_n_layers(head) - 1);
    const bool has_targets = train->targets != NULL;
    if (last.activation != GF_HEAD_SOFTMAX && last.activation != GF_HEAD_SIGMOID)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%s\": training needs softmax on the last layer, or sigmoid",
                            last.name);
    if (has_targets != (last.activation == GF_HEAD_SIGMOID) ||
        (val != NULL && has_targets != (val->targets != NULL)))
        return gf_error_set(err, GF_EINVAL,
                            "layer \"%s\" is a %s, which learns from %s, not from %s", last.name,
                            gf__head_activation_name(last.activation),
                            last.activation == GF_HEAD_SIGMOID ? "targets" : "labels",
                            last.activation == GF_HEAD_SIGMOID ? "labels" : "targets");
    return GF_OK;
}

static gf_status check_class_weights(const gf_head *head, const gf_fit_data *train,
                                     const gf_train_options *options, gf_error *err)
{
    const bool is_told = train->class_weights != NULL;
    if ((is_told || options->is_balanced) && train->targets != NULL)
        return gf_error_set(err, GF_EINVAL,
                            "class weights are of labels; weigh rows where there are targets");
    if (is_told && options->is_balanced)
        return gf_error_set(err, GF_EINVAL, "balanced classes and class weights: choose one");
    return check_weights(train->class_weights, gf_head_n_classes(head), "class", err);
}

gf_status gf__fit_check(const gf_head *head, const gf_fit_data *train, const gf_fit_data *val,
                        const gf_train_options *options, const gf_fit_callbacks *callbacks,
                        gf_error *err)
{
    gf_status st = gf_train_options_check(options, err);
    if (st == GF_OK)
        st = check_end(head, train, val, err);
    if (st != GF_OK)
        return st;
    if (options->early_stop > 0 && val == NULL)
        return gf_error_set(err, GF_EINVAL, "early stop after %d epochs needs validation data",
                            options->early_stop);
    if (callbacks != NULL && callbacks->learning_rate != NULL && callbacks->checkpoint_path != NULL)
        return gf_error_set(err, GF_EINVAL,
                            "a checkpoint does not know a learning rate that changes: choose one");
    st = check_class_weights(head, train, options, err);
    if (st == GF_OK)
        st = check_data(head, train, "training", err);
    if (st == GF_OK && val != NULL)
        st = check_data(head, val, "validation", err);
    return st;
}
