/* The training record's parts as JSON, and the history back from it. */
#include <math.h>
#include <stdio.h>

#include "train/train.h"

gf__json *gf__history_to_json(const gf_history *history)
{
    gf__json *json = gf__json_object();
    gf__json *epochs = gf__json_array();
    for (size_t i = 0; i < history->n_epochs; i++) {
        const gf_epoch *epoch = &history->epochs[i];
        gf__json *row = gf__json_object();
        gf__json_set_int(row, "epoch", epoch->number);
        gf__json_set_number(row, "loss", epoch->loss);
        gf__json_set_number(row, "accuracy", epoch->accuracy);
        gf__json_set_number(row, "val_loss", epoch->val_loss);
        gf__json_set_number(row, "val_accuracy", epoch->val_accuracy);
        gf__json_set_number(row, "time_s", epoch->time_s);
        gf__json_append(epochs, row);
    }
    gf__json_set(json, "epochs", epochs);
    gf__json_set_int(json, "best_epoch", history->best_epoch);
    gf__json_set_bool(json, "is_complete", history->is_complete);
    return json;
}

static gf_status read_epoch(const gf__json *row, size_t i, gf_epoch *out, gf_error *err)
{
    size_t number = 0;
    gf_status st = gf__json_get_size(row, "epoch", &number, err);
    if (st == GF_OK && number != i + 1)
        st = gf_error_set(err, GF_EFORMAT, "epoch: expected %zu, found %zu", i + 1, number);
    if (st == GF_OK)
        st = gf__json_get_number(row, "loss", &out->loss, err);
    if (st == GF_OK)
        st = gf__json_get_number(row, "accuracy", &out->accuracy, err);
    if (st != GF_OK) {
        gf__error_prefix(err, "history epoch %zu", i + 1);
        return st;
    }
    out->number = (int)number;
    out->val_loss = gf__json_number(gf__json_find(row, "val_loss"), (double)NAN);
    out->val_accuracy = gf__json_number(gf__json_find(row, "val_accuracy"), (double)NAN);
    out->time_s = gf__json_number(gf__json_find(row, "time_s"), 0.0);
    return GF_OK;
}

gf_status gf__history_from_json(const gf__json *json, gf_history **out, gf_error *err)
{
    const gf__json *epochs = NULL;
    size_t best_epoch = 0;

    *out = NULL;
    gf_status st = gf__json_get_array(json, "epochs", &epochs, err);
    if (st == GF_OK)
        st = gf__json_get_size(json, "best_epoch", &best_epoch, err);
    const size_t n_epochs = gf__json_n_items(epochs);
    if (st == GF_OK && best_epoch > n_epochs)
        st = gf_error_set(err, GF_EFORMAT, "best_epoch: %zu of %zu epochs", best_epoch, n_epochs);
    if (st != GF_OK)
        return st;

    gf_history *history = gf__calloc(1, sizeof *history);
    if (history != NULL)
        history->epochs = gf__calloc(n_epochs, sizeof *history->epochs);
    if (history == NULL || history->epochs == NULL) {
        gf_history_free(history);
        return gf__error_nomem(err, "a history", n_epochs * sizeof *history->epochs);
    }
    history->n_epochs = n_epochs;
    history->best_epoch = (int)best_epoch;
    history->is_complete = gf__json_bool(gf__json_find(json, "is_complete"), true);
    for (size_t i = 0; i < n_epochs && st == GF_OK; i++)
        st = read_epoch(gf__json_at(epochs, i), i, &history->epochs[i], err);
    if (st != GF_OK) {
        gf_history_free(history);
        return st;
    }
    *out = history;
    return GF_OK;
}

static gf__json *class_to_json(const gf_metrics *metrics, size_t k, const char *name)
{
    gf__json *row = gf__json_object();
    size_t n = 0;
    for (size_t j = 0; j < metrics->n_classes; j++)
        n += metrics->confusion[k * metrics->n_classes + j];
    gf__json_set_string(row, "class", name);
    gf__json_set_int(row, "n", (int64_t)n);
    gf__json_set_number(row, "precision", metrics->precision[k]);
    gf__json_set_number(row, "recall", metrics->recall[k]);
    gf__json_set_number(row, "f1", metrics->f1[k]);
    return row;
}

gf__json *gf__metrics_to_json(const gf_metrics *metrics, const char *const *class_names)
{
    const size_t K = metrics->n_classes;
    gf__json *json = gf__json_object(), *interval = gf__json_array(), *classes = gf__json_array(),
             *confusion = gf__json_array();
    gf__json_set_int(json, "n", (int64_t)metrics->n);
    gf__json_set_number(json, "loss", metrics->loss);
    gf__json_set_number(json, "accuracy", metrics->accuracy);
    gf__json_append(interval, gf__json_new_number(metrics->accuracy_low));
    gf__json_append(interval, gf__json_new_number(metrics->accuracy_high));
    gf__json_set(json, "accuracy_interval_95", interval);
    gf__json_set_number(json, "macro_f1", metrics->macro_f1);
    for (size_t k = 0; k < K; k++) {
        gf__json *row = gf__json_array();
        gf__json_append(classes, class_to_json(metrics, k, class_names[k]));
        for (size_t j = 0; j < K; j++)
            gf__json_append(row, gf__json_new_int((int64_t)metrics->confusion[k * K + j]));
        gf__json_append(confusion, row);
    }
    gf__json_set(json, "classes", classes);
    gf__json_set(json, "confusion", confusion);
    return json;
}

/* Without n_threads: it changes nothing in the result. The seed is text, as 64 bits do not fit a
 * JSON number everywhere. */
gf__json *gf__train_options_to_json(const gf_train_options *options)
{
    gf__json *json = gf__json_object();
    char seed[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)options->seed);
    gf__json_set_int(json, "epochs", options->n_epochs);
    gf__json_set_int(json, "batch_size", (int64_t)options->batch_size);
    gf__json_set_string(json, "optimizer", gf_optimizer_name(options->optimizer));
    gf__json_set_number(json, "learning_rate", options->learning_rate);
    gf__json_set_number(json, "momentum", options->momentum);
    gf__json_set_string(json, "seed", seed);
    gf__json_set_string(json, "class_weight", options->is_balanced ? "balanced" : "none");
    gf__json_set_int(json, "early_stop", options->early_stop);
    if (options->keeps_order) /* files of before it was there stay as they are */
        gf__json_set_bool(json, "keeps_order", true);
    return json;
}

gf__json *gf__probes_to_json(const char *const *layers, const double *accuracy, size_t n)
{
    gf__json *probes = gf__json_array();
    for (size_t i = 0; i < n; i++) {
        gf__json *probe = gf__json_object();
        gf__json_set_string(probe, "layer", layers[i]);
        gf__json_set_number(probe, "accuracy", accuracy[i]);
        gf__json_append(probes, probe);
    }
    return probes;
}
