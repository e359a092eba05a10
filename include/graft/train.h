/* graft/train.h: fitting a head to features, measuring it, and the report people look at.
 *
 *     gf_fit_data train = {.features = features, .labels = labels, .n = n}, test = {...};
 *     gf_train_options options = gf_train_options_default();
 *     gf_history *history = NULL;
 *     st = gf_fit(head, &train, &test, &options, &callbacks, &history, err);
 *
 * Same data, seed, options and build give the same weights, byte for byte, on any number of
 * threads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_TRAIN_H
#define GRAFT_TRAIN_H

#include "graft/head.h"

GF_BEGIN_DECLS

typedef enum gf_optimizer {
    GF_OPTIMIZER_ADAM,
    GF_OPTIMIZER_SGD,
    GF_OPTIMIZER_RMSPROP
} gf_optimizer;
GF_API const char *gf_optimizer_name(gf_optimizer optimizer); /* "adam" */
GF_API gf_status gf_optimizer_parse(const char *name, gf_optimizer *out, gf_error *err);

typedef struct gf_train_options {
    int n_epochs;      /* passes over the training part, default 20 */
    size_t batch_size; /* rows a step, default 32 */
    /* Default Adam. Constants are Keras': betas 0.9 and 0.999, RMSprop rho 0.9, epsilon 1e-7. */
    gf_optimizer optimizer;
    double learning_rate; /* default 0.001 (SGD: 0.01 is usual) */
    double momentum;      /* SGD only, default 0 */
    uint64_t seed;        /* of initial weights, shuffling and dropout, default 42 */
    bool is_balanced;     /* class weights n / (n_classes * n_k), as scikit-learn's "balanced" */
    bool keeps_order;     /* every epoch takes the rows as they come, instead of a new order */
    /* Epochs without a better validation loss before stopping, 0: never. The best epoch's weights
     * are returned. */
    int early_stop;
    int n_threads; /* 0: gf_threads_available() */
} gf_train_options;
GF_API gf_train_options gf_train_options_default(void);
/* GF_EINVAL names the option, its value and what is allowed. */
GF_API gf_status gf_train_options_check(const gf_train_options *options, gf_error *err);

/* Rows to learn from. features (n_views * n, n_features): row v * n + i is view v of item i;
 * training draws one view of each item an epoch, evaluation sees view 0. */
typedef struct gf_fit_data {
    const float *features;
    const size_t *labels; /* n values < n_classes, of a head that ends in softmax */
    size_t n;
    size_t n_views; /* 0 means 1 */
    /* Of training data: n_classes factors of the rows' losses, not with is_balanced; NULL: 1 each.
     * A checkpoint does not know them: say them in data_id. */
    const float *class_weights;
    /* Of a head that ends in sigmoid, instead of labels: (n, units) answers from 0 (no) to 1 (yes),
     * independent of one another. A row's loss is the mean of their binary cross-entropies, its
     * accuracy the share of scores that are on the answer's side of 0.5. */
    const float *targets;
    /* n factors of the rows' losses; NULL: 1 each. To be told in data_id as well. */
    const float *row_weights;
} gf_fit_data;

typedef struct gf_epoch {
    int number; /* from 1 */
    double loss, accuracy;
    double val_loss, val_accuracy; /* NaN without validation data */
    double time_s;
} gf_epoch;

typedef struct gf_history {
    gf_epoch *epochs;
    size_t n_epochs;
    int best_epoch;   /* number of the epoch whose weights the head has now */
    bool is_complete; /* false: stopped by the caller */
} gf_history;
GF_API void gf_history_free(gf_history *history);

/* What a training leaves for the next one that goes on with the same head: the optimizer's moments
 * and how many epochs there were. Two trainings of 10 epochs with one state give the bytes of one of
 * 20. Opaque. */
typedef struct gf_fit_state gf_fit_state;
GF_API gf_status gf_fit_state_new(gf_fit_state **out, gf_error *err);
GF_API void gf_fit_state_free(gf_fit_state *state);

typedef struct gf_fit_callbacks {
    /* After every epoch; false stops: gf_fit returns GF_ECANCELED, with the checkpoint written and
     * *history so far. */
    bool (*epoch)(void *user, const gf_epoch *epoch, int n_epochs);
    void *user;
    /* Where the state is kept (a safetensors file, removed when training completes); NULL: nowhere.
     * It is written when the caller stops, and after an epoch that ends 10 s or more after the last
     * writing: so much work a kill can cost. A file that is there already is gone on from if
     * is_resumed, and must be of the same options, data and head: GF_EMISMATCH names the
     * difference. */
    const char *checkpoint_path;
    bool is_resumed;
    /* Leave the file when training completes: the caller removes it once the result is safe. */
    bool is_kept;
    const char *data_id; /* goes into the checkpoint to recognise the data; may be NULL */
    /* Not NULL: the head's weights are kept as they are instead of initialised, and the training
     * goes on from where this state's last one ended, at the rate that is asked for now.
     * GF_EMISMATCH where that was of another optimizer or head; GF_EINVAL together with a
     * checkpoint. */
    gf_fit_state *state;
    /* Not NULL: the learning rate, read anew before every epoch, instead of that of the options.
     * GF_EINVAL together with a checkpoint, or where it is not above 0. */
    const double *learning_rate;
} gf_fit_callbacks;

/* Initialises the head from the seed (but see state) and trains it. The last layer must be a
 * softmax, or a sigmoid where the data have targets. val may be NULL, callbacks too. *history is new
 * (also with GF_ECANCELED), NULL with other errors: GF_EINVAL names a bad row or option, or says
 * that the loss has exploded. */
GF_API gf_status gf_fit(gf_head *head, const gf_fit_data *train, const gf_fit_data *val,
                        const gf_train_options *options, const gf_fit_callbacks *callbacks,
                        gf_history **history, gf_error *err);

/* How good a head is. */
typedef struct gf_metrics {
    size_t n, n_classes;
    double loss, accuracy;
    double accuracy_low, accuracy_high; /* Wilson's 95 % interval (Wilson 1927, z = 1.959964) */
    size_t *confusion; /* (n_classes, n_classes): row is the true class, column the predicted one */
    double *precision, *recall, *f1; /* a class; NaN where it is 0/0 */
    double macro_f1;                 /* mean over the classes that have one */
    size_t *predicted;               /* n labels */
    float *score;                    /* n scores of the predicted label */
} gf_metrics;
/* From scores (n, n_classes) of which the largest is the answer. */
GF_API gf_status gf_metrics_new(const float *scores, const size_t *labels, size_t n,
                                size_t n_classes, gf_metrics **out, gf_error *err);
GF_API void gf_metrics_free(gf_metrics *metrics);

/* Cross-validated accuracy of a ridge classifier in closed form (features standardised, targets
 * one-hot, k folds in a seeded stratified order): how well a layer's features separate the classes,
 * without training a head. Solved in the smaller of n and n_features dimensions. */
typedef struct gf_probe_options {
    size_t n_folds; /* default 5; fewer where a class is smaller, at least 2 */
    double ridge;   /* default 0: the best of 1e-2 ... 1e4, chosen inside the folds */
    uint64_t seed;  /* default 42 */
    int n_threads;
} gf_probe_options;
GF_API gf_probe_options gf_probe_options_default(void);
GF_API gf_status gf_probe(const float *features, const size_t *labels, size_t n, size_t n_features,
                          size_t n_classes, const gf_probe_options *options, double *accuracy,
                          gf_error *err);

/* The report: one HTML file that needs nothing else. Strings and pictures are borrowed for the
 * call; NULL or 0 leaves a part out. */
typedef struct gf_report_picture {
    const char *item;
    const uint8_t *jpeg; /* a thumbnail */
    size_t n_bytes;
    size_t label, predicted;
    float score;
} gf_report_picture;
typedef struct gf_report_fact {
    const char *name, *value;
} gf_report_fact;
typedef struct gf_report {
    const char *title;
    const char *const *class_names;
    size_t n_classes;
    const gf_history *history;
    const gf_metrics *metrics;           /* of the held-out part */
    const gf_report_picture *mistakes;   /* most certain first */
    size_t n_mistakes, n_mistakes_total; /* those shown, and all there are */
    const gf_report_fact *dataset;       /* what was learnt from: counts, split, odd things found */
    size_t n_dataset;
    const gf_report_fact *model; /* trunk, cut, precision, options */
    size_t n_model;
    const size_t *n_train_per_class, *n_test_per_class; /* n_classes each */
    const char *const *probe_layers; /* with --layer auto: what each cut reached */
    const double *probe_accuracy;
    size_t n_probes;
    const char *command;   /* how to reproduce it, one shell line */
    const char *next_step; /* a shell line to try */
} gf_report;
GF_API gf_status gf_report_save(const gf_report *report, const char *path, gf_error *err);

GF_END_DECLS

#endif
