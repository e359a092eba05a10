/* service/record.c: what a training run was, as the record in the model file and as the page people
 * read. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "service/service_priv.h"

#define MAX_FACTS 16
#define FACT_TEXT 256

static gf__json *data_record(const gf__train_facts *facts)
{
    const gf_train_request *r = facts->request;
    gf__json *data = gf__json_object();
    gf__json_set_string(data, "path", gf_dataset_path(facts->dataset));
    gf__json_set_string(data, "kind", gf_dataset_kind(facts->dataset));
    gf__json_set_string(data, "sha256", facts->dataset_sha256);
    gf__json_set_int(data, "n_items", (int64_t)gf_dataset_n_items(facts->dataset));
    gf__json_set_int(data, "n_train", (int64_t)facts->train->n);
    gf__json_set_int(data, "n_test", (int64_t)facts->test->n);
    gf__json_set_int(data, "n_unreadable", (int64_t)facts->result->n_skipped);
    gf__json *split = gf__json_object();
    if (facts->test_dataset != NULL) {
        gf__json_set_string(split, "test_dataset", gf_dataset_path(facts->test_dataset));
    } else {
        gf__json_set_number(split, "test_fraction", r->val_fraction);
        gf__json_set_int(split, "seed", (int64_t)(uint32_t)r->options.seed);
        gf__json_set_bool(split, "stratified", r->is_stratified);
    }
    gf__json_set(data, "split", split);
    return data;
}

/* The history without its times: the same training gives the same file. */
static gf__json *history_record(const gf_history *history)
{
    gf__json *whole = gf__history_to_json(history);
    gf_history *plain = NULL;
    gf_error err;
    if (gf__history_from_json(whole, &plain, &err) == GF_OK) {
        for (size_t i = 0; i < plain->n_epochs; i++)
            plain->epochs[i].time_s = NAN; /* written as null */
        gf__json_free(whole);
        whole = gf__history_to_json(plain);
    }
    gf_history_free(plain);
    return whole;
}

gf_status gf__training_record(const gf__train_facts *facts, gf__json **out, gf_error *err)
{
    const gf_train_request *r = facts->request;
    gf__json *record = gf__json_object();
    gf__json_set_string(record, "graft", gf_version());
    gf__json_set_string(record, "engine", gf_engine_library());
    gf__json_set_string(record, "isa", gf_engine_isa());
    gf__json_set(record, "data", data_record(facts));
    gf__json *options = gf__train_options_to_json(&r->options);
    if (facts->trunk != NULL)
        gf__json_set_string(options, "layer", r->layer);
    gf__json_set_int(options, "hidden", (int64_t)r->hidden);
    gf__json_set_number(options, "dropout", r->dropout);
    gf__buffer augment = {0};
    gf__view_kinds_write(r->augment, &augment);
    gf__json_set_string(options, "augment", augment.data);
    gf__buffer_free(&augment);
    gf__json_set_int(options, "n_views", r->augment != 0 ? (int64_t)r->n_views : 0);
    gf__json_set(record, "options", options);
    if (facts->result->n_probes > 0)
        gf__json_set(record, "probes",
                     gf__probes_to_json(facts->result->probe_layers, facts->result->probe_accuracy,
                                        facts->result->n_probes));
    gf__json_set(record, "history", history_record(facts->result->history));
    gf__json_set(record, "metrics",
                 gf__metrics_to_json(facts->result->metrics,
                                     (const char *const *)facts->result->class_names));
    const gf_status st = record != NULL ? gf__json_status(record, err)
                                        : gf__error_nomem(err, "record", 0);
    if (st == GF_OK)
        *out = record;
    else
        gf__json_free(record);
    return st;
}

/* Facts of a report with room for the texts that are made for it. */
typedef struct fact_list {
    gf_report_fact facts[MAX_FACTS];
    char text[MAX_FACTS][FACT_TEXT];
    size_t n;
} fact_list;

static void add_fact(fact_list *list, const char *name, const char *fmt, ...) GF_PRINTF(3, 4);
static void add_fact(fact_list *list, const char *name, const char *fmt, ...)
{
    if (list->n == MAX_FACTS)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(list->text[list->n], FACT_TEXT, fmt, args);
    va_end(args);
    list->facts[list->n] = (gf_report_fact){name, list->text[list->n]};
    list->n++;
}

static void list_data(const gf__train_facts *facts, fact_list *list)
{
    const gf_train_request *r = facts->request;
    add_fact(list, "Data set", "%s (%s)", gf_dataset_path(facts->dataset),
             gf_dataset_kind(facts->dataset));
    add_fact(list, facts->trunk != NULL ? "Pictures" : "Rows", "%zu in %zu classes",
             gf_dataset_n_items(facts->dataset), facts->result->n_classes);
    if (facts->test_dataset != NULL)
        add_fact(list, "Held out", "%zu from %s", facts->test->n,
                 gf_dataset_path(facts->test_dataset));
    else
        add_fact(list, "Held out", "%zu of %zu, seed %u%s", facts->test->n,
                 facts->test->n + facts->train->n, (unsigned)(uint32_t)r->options.seed,
                 r->is_stratified ? ", every class in the same proportion" : "");
    if (facts->result->n_skipped > 0)
        add_fact(list, "Unreadable", "%zu, left out", facts->result->n_skipped);
    add_fact(list, "SHA-256", "%s", facts->dataset_sha256);
}

static void list_model(const gf__train_facts *facts, fact_list *list)
{
    const gf_train_request *r = facts->request;
    if (facts->trunk != NULL) {
        add_fact(list, "Trunk", "%s (%.12s)", gf_trunk_name(facts->trunk),
                 gf_trunk_sha256(facts->trunk));
        add_fact(list, "Cut at", "%s, %zu features", facts->layer, gf_head_n_features(facts->head));
    } else {
        add_fact(list, "Columns", "%zu, standardised", gf_head_n_features(facts->head));
    }
    if (r->hidden > 0)
        add_fact(list, "Head", "Dense(%zu, relu), Dense(%zu, softmax), %zu weights", r->hidden,
                 facts->result->n_classes, gf_head_n_params(facts->head));
    else
        add_fact(list, "Head", "Dense(%zu, softmax), %zu weights", facts->result->n_classes,
                 gf_head_n_params(facts->head));
    add_fact(list, "Precision", "%s", gf_precision_name(facts->precision));
    add_fact(list, "Optimizer", "%s, learning rate %g, batch %zu",
             gf_optimizer_name(r->options.optimizer), r->options.learning_rate,
             r->options.batch_size);
    add_fact(list, "Epochs", "%zu of %d, weights of epoch %d", facts->result->history->n_epochs,
             r->options.n_epochs, facts->result->history->best_epoch);
    if (r->augment != 0) {
        gf__buffer kinds = {0};
        gf__view_kinds_write(r->augment, &kinds);
        add_fact(list, "Augmentation", "%s: %zu views of each training picture",
                 kinds.data != NULL ? kinds.data : "", r->n_views);
        gf__buffer_free(&kinds);
    }
    add_fact(list, "Time", "features %.2f s, training %.2f s", facts->result->features_s,
             facts->result->fit_s);
    add_fact(list, "Made by", "graft %s, %s, %s", gf_version(), gf_engine_library(),
             gf_engine_isa());
}

static gf_status save_report(const gf__train_facts *facts, const gf_report_picture *pictures,
                             size_t n_pictures, const char *path, gf_error *err)
{
    const gf_train_result *result = facts->result;
    fact_list data = {.n = 0}, model = {.n = 0};
    char next_step[FACT_TEXT] = "";
    size_t *counts = gf__calloc(2 * result->n_classes, sizeof *counts);
    if (counts == NULL)
        return gf__error_nomem(err, "counts", 0);
    gf__part_count(facts->train, counts);
    gf__part_count(facts->test, counts + result->n_classes);
    list_data(facts, &data);
    list_model(facts, &model);
    if (facts->request->output != NULL)
        snprintf(next_step, sizeof next_step,
                 facts->trunk != NULL ? "graft predict %s PICTURE.jpg"
                                      : "graft predict %s --numbers ROWS.csv",
                 facts->request->output);
    const gf_report report = {.title = gf__path_base(gf_dataset_path(facts->dataset)),
                              .class_names = (const char *const *)result->class_names,
                              .n_classes = result->n_classes,
                              .history = result->history,
                              .metrics = result->metrics,
                              .mistakes = pictures,
                              .n_mistakes = n_pictures,
                              .n_mistakes_total = result->n_mistakes,
                              .dataset = data.facts,
                              .n_dataset = data.n,
                              .model = model.facts,
                              .n_model = model.n,
                              .n_train_per_class = counts,
                              .n_test_per_class = counts + result->n_classes,
                              .probe_layers = result->probe_layers,
                              .probe_accuracy = result->probe_accuracy,
                              .n_probes = result->n_probes,
                              .command = facts->request->command,
                              .next_step = next_step[0] != '\0' ? next_step : NULL};
    const gf_status st = gf_report_save(&report, path, err);
    gf__free(counts);
    return st;
}

gf_status gf__training_report(const gf__train_facts *facts, const char *path, gf_error *err)
{
    size_t *order = NULL;
    size_t n_order = 0, n_pictures = 0;
    gf_report_picture *pictures = NULL;
    gf_status st = gf__part_mistakes(facts->test, facts->result->metrics, &order, &n_order, err);
    if (st == GF_OK && facts->trunk != NULL)
        st = gf__report_pictures(facts->test, facts->result->metrics, order, n_order,
                                 facts->request->context.max_pixels, &pictures, &n_pictures, err);
    if (st == GF_OK)
        st = save_report(facts, pictures, n_pictures, path, err);
    gf__report_pictures_free(pictures, n_pictures);
    gf__free(order);
    return st;
}
