/* cli/cmd_train.c: graft train: the main job. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "train/train.h"

typedef struct train_settings {
    const char *trunk, *layer, *optimizer, *class_weight, *augment, *precision;
    const char *test, *output, *report, *metrics;
    int hidden, n_epochs, batch, early_stop, n_views;
    double learning_rate, momentum, dropout, val;
    uint64_t seed;
    bool is_stratified, is_bundle, is_resumed;
} train_settings;

static void preset(void *settings)
{
    *(train_settings *)settings = (train_settings){.trunk = "inception_v3",
                                                   .layer = "avg_pool",
                                                   .optimizer = "adam",
                                                   .class_weight = "none",
                                                   .precision = "auto",
                                                   .hidden = 1024,
                                                   .n_epochs = 20,
                                                   .batch = 32,
                                                   .n_views = 4,
                                                   .learning_rate = 0.001,
                                                   .val = 0.2,
                                                   .seed = 42};
}

#define S train_settings
static const gf__option options[] = {
    GF__TEXT("--model", "TRUNK", "inception_v3", S, trunk, "The pretrained network to build on."),
    GF__TEXT("--layer", "avg_pool|auto|NAME", "avg_pool", S, layer,
             "Where the network is cut: its output, pooled, is the feature vector. auto tries "
             "every block output in "
             "the same single pass, scores each by a cross-validated closed-form probe, and takes "
             "the best."),
    GF__INT("--hidden", "UNITS", "1024", S, hidden, 0, 65536,
            "Units of the hidden Dense layer (relu); 0 for none."),
    GF__NUMBER("--dropout", "RATE", "0", S, dropout, 0, 0.99, "Dropout before the last layer."),
    GF__INT("--epochs", "N", "20", S, n_epochs, 1, 100000, "Passes over the training pictures."),
    GF__INT("--batch", "N", "32", S, batch, 1, 65536, "Pictures a step."),
    GF__TEXT("--optimizer", "adam|sgd|rmsprop", "adam", S, optimizer,
             "The optimizer, with Keras' settings."),
    GF__NUMBER("--lr", "RATE", "0.001", S, learning_rate, 1e-12, 1000, "Learning rate."),
    GF__NUMBER("--momentum", "M", "0", S, momentum, 0, 0.9999, "Momentum of sgd."),
    GF__NUMBER("--val", "FRACTION", "0.2", S, val, 0, 1,
               "Part of the pictures that is held out to measure on. The split is scikit-learn's "
               "train_test_split with random_state = the seed, index for index."),
    GF__TEXT("--test", "DATASET", "a part of DATASET", S, test,
             "Measure on this data set instead of holding a part out."),
    GF__FLAG("--stratify", S, is_stratified, "Hold out every class in the same proportion."),
    GF__SIZE(
        "--seed", "N", "42", S, seed, 0, 4294967295.0,
        "Of the split, the initial weights, the order and the views. Same data, seed and build "
        "give the same bytes."),
    GF__TEXT("--class-weight", "none|balanced", "none", S, class_weight,
             "balanced: rare classes count more, n / (n_classes * n_k)."),
    GF__INT("--early-stop", "N", "never", S, early_stop, 0, 100000,
            "Stop after N epochs without a better validation loss and return the best epoch."),
    GF__TEXT(
        "--augment", "LIST", "none", S, augment,
        "Also learn from seeded views of each picture: flip, crop, rotate, brightness, contrast, "
        "separated by commas."),
    GF__INT("--views", "N", "4", S, n_views, 1, 64, "Views of each picture with --augment."),
    GF__TEXT("--precision", "auto|f32|bf16", "auto", S, precision,
             "What the network computes in: auto is the faster of the two on this CPU."),
    GF__TEXT("--output", "M.safetensors", "DATASET's name + .safetensors", S, output,
             "The model file to write."),
    GF__FLAG("--bundle", S, is_bundle,
             "Put the network's weights into the model file too, so that it needs no home folder."),
    GF__TEXT("--report", "F.html", "no report", S, report,
             "Write a page with curves, confusion matrix and the misclassified pictures."),
    GF__TEXT(
        "--metrics", "F.jsonl", "$CLOUD_ML_HP_METRIC_FILE, or no file", S, metrics,
        "Note loss, accuracy, val_loss and val_accuracy after each epoch, a JSON line each: what a "
        "hyperparameter search follows."),
    GF__FLAG("--resume", S, is_resumed,
             "Go on from the checkpoint that an interrupted run left beside its output."),
};
#undef S

/* "flowers.safetensors" for "data/flowers/", "opera.safetensors" for "opera.npz". New. */
static char *default_output(const char *dataset)
{
    size_t n = strlen(dataset);
    while (n > 1 && dataset[n - 1] == '/')
        n--;
    char *path = gf__strndup(dataset, n);
    if (path == NULL)
        return NULL;
    const char *base = gf__path_base(path);
    const size_t n_stem = gf__is_dir(path) ? strlen(base)
                                           : strlen(base) - strlen(gf__path_extension(base));
    char *output = gf__asprintf("%.*s.safetensors", (int)n_stem, base);
    gf__free(path);
    return output;
}

/* What the callbacks below get. */
typedef struct training {
    gf__cli *cli;
    const char *metrics; /* its path; NULL: none */
} training;

/* A line as cloudml-hypertune writes them, but for the tags. The file is opened for each: a reader
 * sees whole lines, and a search that is short of files none that wait. */
static void note_metrics(training *t, const gf_epoch *epoch)
{
    struct timespec now;
    gf__buffer line = {0};
    gf__json *document = gf__json_object();
    clock_gettime(CLOCK_REALTIME, &now);
    gf__json_set_int(document, "global_step", epoch->number);
    gf__json_set_number(document, "loss", epoch->loss);
    gf__json_set_number(document, "accuracy", epoch->accuracy);
    if (!isnan(epoch->val_loss)) {
        gf__json_set_number(document, "val_loss", epoch->val_loss);
        gf__json_set_number(document, "val_accuracy", epoch->val_accuracy);
    }
    /* Nine digits of a number are too few for a time that orders epochs. */
    gf__buffer_printf(&line, "{\"timestamp\":%lld.%06ld,", (long long)now.tv_sec,
                      now.tv_nsec / 1000);
    gf__buffer text = {0};
    gf__json_write(document, false, &text);
    gf__buffer_append(&line, text.data + 1, text.size > 0 ? text.size - 1 : 0);
    gf__buffer_puts(&line, "\n");
    FILE *file = line.failed || text.failed ? NULL : fopen(t->metrics, "ae");
    if (file == NULL || fwrite(line.data, line.size, 1, file) != 1)
        gf__cli_note(t->cli, "%s: cannot write: %s", t->metrics, strerror(errno));
    if (file != NULL)
        fclose(file);
    gf__buffer_free(&text);
    gf__buffer_free(&line);
    gf__json_free(document);
}

static void print_started(void *user, size_t n_train, size_t n_test, size_t n_classes,
                          size_t n_cached, size_t n_features)
{
    gf__cli *cli = ((training *)user)->cli;
    if (n_cached == SIZE_MAX) {
        gf__cli_note(cli, "%zu rows to learn from, %zu held out, %zu classes, %zu columns each",
                     n_train, n_test, n_classes, n_features);
        return;
    }
    gf__cli_note(cli,
                 "%zu pictures to learn from, %zu held out, %zu classes, %zu features each "
                 "(%zu from the cache)",
                 n_train, n_test, n_classes, n_features, n_cached);
}

/* Keras' line, and one of metrics. */
static bool tell_epoch(void *user, const gf_epoch *epoch, int n_epochs)
{
    training *t = user;
    gf__cli *cli = t->cli;
    if (isnan(epoch->val_loss))
        gf__cli_note(cli, "Epoch %d/%d - %.2fs - loss: %.4f - accuracy: %.4f", epoch->number,
                     n_epochs, epoch->time_s, epoch->loss, epoch->accuracy);
    else
        gf__cli_note(cli,
                     "Epoch %d/%d - %.2fs - loss: %.4f - accuracy: %.4f - val_loss: %.4f - "
                     "val_accuracy: %.4f",
                     epoch->number, n_epochs, epoch->time_s, epoch->loss, epoch->accuracy,
                     epoch->val_loss, epoch->val_accuracy);
    if (t->metrics != NULL)
        note_metrics(t, epoch);
    return !gf__cli_is_interrupted();
}

static gf_status fill_request(gf__cli *cli, const train_settings *s, gf_train_request *r,
                              gf_error *err)
{
    *r = gf_train_request_default();
    r->context = gf__cli_context(cli);
    r->dataset = cli->words[0];
    r->trunk = s->trunk;
    r->layer = s->layer;
    r->hidden = (size_t)s->hidden;
    r->dropout = s->dropout;
    r->val_fraction = s->val;
    r->test_dataset = s->test;
    r->is_stratified = s->is_stratified;
    r->n_views = (size_t)s->n_views;
    r->is_bundle = s->is_bundle;
    r->report = s->report;
    r->is_resumed = s->is_resumed;
    r->command = cli->command_line.data;
    r->options.n_epochs = s->n_epochs;
    r->options.batch_size = (size_t)s->batch;
    r->options.learning_rate = s->learning_rate;
    r->options.momentum = s->momentum;
    r->options.seed = s->seed;
    r->options.is_balanced = strcmp(s->class_weight, "balanced") == 0;
    r->options.early_stop = s->early_stop;
    gf_status st = gf_optimizer_parse(s->optimizer, &r->options.optimizer, err);
    if (st == GF_OK)
        st = gf_precision_parse(s->precision, &r->precision, err);
    if (st == GF_OK && s->augment != NULL)
        st = gf_view_parse(s->augment, &r->augment, err);
    return st;
}

static gf__json *result_json(const gf_train_result *result, const gf_train_request *request)
{
    gf__json *document = gf__json_object();
    gf__json *history = gf__json_array();
    gf__json_set_string(document, "model", request->output);
    gf__json_set_string(document, "report", request->report);
    gf__json_set_string(document, "layer", result->layer);
    gf__json_set_string(document, "precision", gf_precision_name(result->precision));
    gf__json_set_int(document, "n_train", (int64_t)result->n_train);
    gf__json_set_int(document, "n_test", (int64_t)result->n_test);
    gf__json_set_int(document, "n_unreadable", (int64_t)result->n_skipped);
    gf__json_set_number(document, "loss", result->metrics->loss);
    gf__json_set_number(document, "accuracy", result->metrics->accuracy);
    gf__json_set_number(document, "accuracy_low", result->metrics->accuracy_low);
    gf__json_set_number(document, "accuracy_high", result->metrics->accuracy_high);
    gf__json_set(document, "metrics",
                 gf__metrics_to_json(result->metrics, (const char *const *)result->class_names));
    if (result->n_probes > 0)
        gf__json_set(
            document, "probes",
            gf__probes_to_json(result->probe_layers, result->probe_accuracy, result->n_probes));
    gf__json_set_int(document, "best_epoch", result->history->best_epoch);
    for (size_t i = 0; i < result->history->n_epochs; i++) {
        const gf_epoch *e = &result->history->epochs[i];
        gf__json *line = gf__json_object();
        gf__json_set_int(line, "epoch", e->number);
        gf__json_set_number(line, "loss", e->loss);
        gf__json_set_number(line, "accuracy", e->accuracy);
        gf__json_set_number(line, "val_loss", e->val_loss);
        gf__json_set_number(line, "val_accuracy", e->val_accuracy);
        gf__json_append(history, line);
    }
    gf__json_set(document, "history", history);
    gf__json_set_number(document, "features_s", result->features_s);
    gf__json_set_number(document, "fit_s", result->fit_s);
    gf__json_set_number(document, "total_s", result->total_s);
    return document;
}

static void print_result(const gf_train_result *result, const gf_train_request *request)
{
    const gf_metrics *m = result->metrics;
    const size_t n_right = m->n - result->n_mistakes;
    for (size_t i = 0; i < result->n_probes; i++)
        printf("probe %-10s %.4f%s\n", result->probe_layers[i], result->probe_accuracy[i],
               strcmp(result->probe_layers[i], result->layer) == 0 ? "  chosen" : "");
    printf("Loss %.6f, Accuracy %.4f: %zu of %zu right, 95 %% interval %.1f-%.1f %%\n", m->loss,
           m->accuracy, n_right, m->n, 100 * m->accuracy_low, 100 * m->accuracy_high);
    for (size_t i = 0; i < result->n_mistakes && i < 5; i++)
        printf("  %s\n", result->mistakes[i]);
    if (result->n_mistakes > 5)
        printf("  ... and %zu more%s\n", result->n_mistakes - 5,
               request->report != NULL ? ", all in the report" : "");
    printf("features %.2f s, training %.2f s, all %.2f s\n", result->features_s, result->fit_s,
           result->total_s);
    printf("wrote %s\n", request->output);
    if (request->report != NULL)
        printf("wrote %s\n", request->report);
}

static gf_status run(gf__cli *cli, const void *settings, gf_error *err)
{
    const train_settings *s = settings;
    gf_train_request request;
    gf_train_result *result = NULL;
    char *named = NULL;
    gf_status st = fill_request(cli, s, &request, err);
    if (st != GF_OK)
        return st;
    request.output = s->output;
    if (request.output == NULL) {
        request.output = named = default_output(cli->words[0]);
        if (named == NULL)
            return gf__error_nomem(err, "name", 0);
    }
    training told = {
        .cli = cli, .metrics = s->metrics != NULL ? s->metrics : getenv("CLOUD_ML_HP_METRIC_FILE")};
    const gf_train_watch watch = {
        .observer = cli->observer, .started = print_started, .epoch = tell_epoch, .user = &told};
    st = gf_service_train(&request, &watch, &result, err);
    gf__bar_end(&cli->bar);
    if (st == GF_ECANCELED)
        gf__cli_note(cli, "stopped; the same command with --resume goes on");
    if (st == GF_OK && cli->is_json)
        st = gf__cli_print_json(result_json(result, &request), err);
    else if (st == GF_OK)
        print_result(result, &request);
    gf_train_result_free(result);
    gf__free(named);
    return st;
}

const gf__command gf__command_train = {
    .name = "train",
    .words = "DATASET",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "Train a classifier on your own pictures, or on a table of numbers.",
    .text =
        "DATASET is a folder with one folder of pictures for each class, an .npz with features and "
        "labels "
        "(uint8 pictures, or floats in [-1,1]), or a CSV or JSON-lines file of path and label. Or "
        "a "
        "table of numbers: a CSV with a header, whose last column (or the one called label) is the "
        "class, or an .npz with features (N,D): its columns take the place of features, and no "
        "pretrained network is needed.\n\n"
        "Every picture goes through the pretrained network once; its features are kept in the home "
        "folder, so a "
        "second run starts training at once. The head (Dense relu, Dense softmax) is trained with "
        "categorical "
        "cross-entropy, measured on the held-out pictures and written with everything needed to "
        "predict.\n\n"
        "Ctrl-C stops after the current epoch and keeps a checkpoint for --resume.",
    .examples = "graft train flowers/ -o flowers.safetensors --report flowers.html\n"
                "graft train opera.npz --epochs 20 --hidden 1024 -o opera.safetensors\n"
                "graft train flowers/ --layer auto --early-stop 5 --augment flip,crop",
    .options = options,
    .n_options = GF__N_OPTIONS(options),
    .settings_size = sizeof(train_settings),
    .preset = preset,
    .run = run,
};
