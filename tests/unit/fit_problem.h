/* fit_problem.h: a small seeded classification problem that the tests of training share. */
#ifndef GRAFT_TESTS_FIT_PROBLEM_H
#define GRAFT_TESTS_FIT_PROBLEM_H

#include "check.h"

#include "head/head.h"
#include "train/train.h"

enum { FIT_FEATURES = 40, FIT_CLASSES = 3, FIT_TRAIN = 90, FIT_VAL = 30, FIT_VIEWS = 2 };

typedef struct fit_problem {
    float train_features[FIT_VIEWS * FIT_TRAIN * FIT_FEATURES];
    float val_features[FIT_VAL * FIT_FEATURES];
    size_t train_labels[FIT_TRAIN], val_labels[FIT_VAL];
    gf_fit_data train, val;
    gf_train_options options;
} fit_problem;

/* Rows around a centre of each class; label i % 3. */
static inline void fit_fill(gf__rng *rng, const float *centres, float *features, size_t *labels,
                            size_t n)
{
    for (size_t i = 0; i < n; i++) {
        labels[i] = i % FIT_CLASSES;
        for (size_t d = 0; d < FIT_FEATURES; d++)
            features[i * FIT_FEATURES + d] = 0.5f * centres[labels[i] * FIT_FEATURES + d] +
                                             (float)gf__rng_normal(rng);
    }
}

static inline fit_problem *fit_problem_new(void)
{
    fit_problem *p = calloc(1, sizeof *p);
    float centres[FIT_CLASSES * FIT_FEATURES];
    size_t view_labels[FIT_TRAIN];
    gf__rng rng;
    gf__rng_seed(&rng, 99, 0);
    for (size_t i = 0; i < FIT_CLASSES * FIT_FEATURES; i++)
        centres[i] = (float)gf__rng_normal(&rng);
    fit_fill(&rng, centres, p->train_features, p->train_labels, FIT_TRAIN);
    fit_fill(&rng, centres, p->train_features + FIT_TRAIN * FIT_FEATURES, view_labels, FIT_TRAIN);
    fit_fill(&rng, centres, p->val_features, p->val_labels, FIT_VAL);
    p->train = (gf_fit_data){.features = p->train_features,
                             .labels = p->train_labels,
                             .n = FIT_TRAIN,
                             .n_views = FIT_VIEWS};
    p->val = (gf_fit_data){.features = p->val_features, .labels = p->val_labels, .n = FIT_VAL};
    p->options = gf_train_options_default();
    p->options.n_epochs = 8;
    p->options.batch_size = 16;
    p->options.n_threads = 1;
    return p;
}

static inline gf_head *fit_head_new(double dropout)
{
    const gf_head_layer layers[] = {
        {.units = 300, .activation = GF_HEAD_RELU, .dropout = dropout},
        {.units = FIT_CLASSES, .activation = GF_HEAD_SOFTMAX, .dropout = dropout}};
    gf_head *head = NULL;
    CHECK_OK(gf_head_new(FIT_FEATURES, layers, 2, &head, &check_err));
    return head;
}

/* The same weights to the byte. */
static inline bool fit_heads_equal(gf_head *a, gf_head *b)
{
    size_t n_floats;
    const float *params = gf__head_params(a, &n_floats);
    return memcmp(params, gf__head_params(b, &n_floats), n_floats * sizeof(float)) == 0;
}

/* A callback that stops after epoch *user. */
static inline bool fit_stop_after(void *user, const gf_epoch *epoch, int n_epochs)
{
    (void)n_epochs;
    return epoch->number < *(const int *)user;
}

#endif
