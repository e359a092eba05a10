/* An optimizer's step. With 2 million weights a step is bound by memory, not arithmetic: weights,
 * gradient and two slots are 32 MB. So the gradient is never stored whole. A block of weight rows
 * is an item of work: its gradient is computed into a scratch and used up there; only weights and
 * slots travel. The scratch is larger than L1: with 16 rows of 1024 weights a strip of the deltas
 * serves two groups of rows once it is fetched. */
#include "train/optimizer_priv.h"

#include <math.h>
#include <string.h>

#include "train/update_priv.h"

enum { SCRATCH_FLOATS = 16384, MAX_SLOTS = 2 };

struct gf__optimizer {
    gf_optimizer kind;
    double learning_rate;
    gf__update update;
    gf__update_rows *rows;
    gf__pool *pool;
    uint64_t n_steps;
    size_t n_slots;
    float *slots[MAX_SLOTS];
    float *scratch; /* a piece for each thread */
    size_t n_scratch;
};

static const gf__update_ops *pick_ops(void)
{
#if defined(__x86_64__)
    switch (gf__isa_pick()) {
    case GF__ISA_V4:
        return &gf__update_ops_v4;
    case GF__ISA_V3:
        return &gf__update_ops_v3;
    case GF__ISA_GENERIC:
        break;
    }
#endif
    return &gf__update_ops_generic;
}

static void choose_rows(gf__optimizer *optimizer, const gf_train_options *options)
{
    const gf__update_ops *ops = pick_ops();
    switch (options->optimizer) {
    case GF_OPTIMIZER_ADAM:
        optimizer->rows = ops->adam;
        optimizer->n_slots = 2;
        return;
    case GF_OPTIMIZER_SGD:
        optimizer->rows = options->momentum > 0.0 ? ops->momentum : ops->sgd;
        optimizer->n_slots = options->momentum > 0.0 ? 1 : 0;
        return;
    case GF_OPTIMIZER_RMSPROP:
        optimizer->rows = ops->rmsprop;
        optimizer->n_slots = 1;
        return;
    }
}

static size_t find_widest(const gf_head *head)
{
    size_t widest = SCRATCH_FLOATS;
    for (size_t i = 0; i < gf_head_n_layers(head); i++) {
        const size_t units = gf_head_layer_at(head, i).units;
        widest = units > widest ? units : widest;
    }
    return (widest + 15) / 16 * 16;
}

gf_status gf__optimizer_new(gf_head *head, const gf_train_options *options, gf__pool *pool,
                            gf__optimizer **out, gf_error *err)
{
    size_t n_floats;
    gf__head_params(head, &n_floats);
    const size_t n_threads = pool != NULL ? (size_t)gf__pool_n_threads(pool) : 1;

    *out = NULL;
    gf__optimizer *optimizer = gf__calloc(1, sizeof *optimizer);
    if (optimizer == NULL)
        return gf__error_nomem(err, "an optimizer", sizeof *optimizer);
    optimizer->kind = options->optimizer;
    optimizer->learning_rate = options->learning_rate;
    optimizer->update.momentum = (float)options->momentum;
    optimizer->pool = pool;
    choose_rows(optimizer, options);
    optimizer->n_scratch = find_widest(head);
    optimizer->scratch = gf__alloc_aligned(n_threads * optimizer->n_scratch * sizeof(float));
    bool has_memory = optimizer->scratch != NULL;
    for (size_t i = 0; i < optimizer->n_slots; i++) {
        optimizer->slots[i] = gf__alloc_aligned(n_floats * sizeof(float));
        has_memory = has_memory && optimizer->slots[i] != NULL;
    }
    if (!has_memory) {
        gf__optimizer_free(optimizer);
        return gf__error_nomem(err, "an optimizer's slots", n_floats * sizeof(float));
    }
    *out = optimizer;
    return GF_OK;
}

void gf__optimizer_free(gf__optimizer *optimizer)
{
    if (optimizer == NULL)
        return;
    for (size_t i = 0; i < MAX_SLOTS; i++)
        gf__free(optimizer->slots[i]);
    gf__free(optimizer->scratch);
    gf__free(optimizer);
}

gf_status gf__optimizer_set_pool(gf__optimizer *optimizer, gf__pool *pool, gf_error *err)
{
    const size_t n_threads = pool != NULL ? (size_t)gf__pool_n_threads(pool) : 1;
    const size_t n_bytes = n_threads * optimizer->n_scratch * sizeof(float);
    float *scratch = gf__alloc_aligned(n_bytes);
    if (scratch == NULL)
        return gf__error_nomem(err, "an optimizer's scratch", n_bytes);
    gf__free(optimizer->scratch);
    optimizer->scratch = scratch;
    optimizer->pool = pool;
    return GF_OK;
}

void gf__optimizer_set_rate(gf__optimizer *optimizer, double learning_rate)
{
    optimizer->learning_rate = learning_rate;
}

size_t gf__optimizer_n_slots(const gf__optimizer *optimizer)
{
    return optimizer->n_slots;
}

float *gf__optimizer_slot(gf__optimizer *optimizer, size_t i)
{
    return optimizer->slots[i];
}

uint64_t gf__optimizer_n_steps(const gf__optimizer *optimizer)
{
    return optimizer->n_steps;
}

void gf__optimizer_set_n_steps(gf__optimizer *optimizer, uint64_t n_steps)
{
    optimizer->n_steps = n_steps;
}

/* One layer's share of a step. */
typedef struct layer_step {
    const gf__optimizer *optimizer;
    float *params, *kernel, *bias;
    const float *input, *delta;
    size_t N, D, K;
    size_t n_rows; /* in an item of work */
} layer_step;

static void update_run(const layer_step *step, float *w, const float *gradient, size_t n)
{
    const gf__optimizer *optimizer = step->optimizer;
    float *slots[MAX_SLOTS] = {NULL, NULL};
    for (size_t i = 0; i < optimizer->n_slots; i++)
        slots[i] = optimizer->slots[i] + (w - step->params);
    optimizer->rows(&optimizer->update, w, gradient, slots[0], slots[1], n);
}

/* Item 0 is the bias, item i the i-th block of rows. */
static void update_item(void *user, size_t i, int thread)
{
    const layer_step *step = user;
    float *gradient = step->optimizer->scratch + (size_t)thread * step->optimizer->n_scratch;
    if (i == 0) {
        memset(gradient, 0, step->K * sizeof *gradient);
        for (size_t n = 0; n < step->N; n++)
            for (size_t k = 0; k < step->K; k++)
                gradient[k] += step->delta[n * step->K + k];
        update_run(step, step->bias, gradient, step->K);
        return;
    }
    const size_t first = (i - 1) * step->n_rows;
    const size_t n_rows = step->D - first < step->n_rows ? step->D - first : step->n_rows;
    gf__dense_backward_weights(gradient, step->input, step->delta, step->N, step->D, step->K, first,
                               n_rows);
    update_run(step, step->kernel + first * step->K, gradient, n_rows * step->K);
}

/* Keras folds the corrections for the slots' start at zero into the rate. */
static double correct_rate(const gf__optimizer *optimizer)
{
    if (optimizer->kind != GF_OPTIMIZER_ADAM)
        return optimizer->learning_rate;
    const double t = (double)optimizer->n_steps;
    return optimizer->learning_rate * sqrt(1.0 - pow(GF__ADAM_BETA2, t)) /
           (1.0 - pow(GF__ADAM_BETA1, t));
}

void gf__optimizer_step(gf__optimizer *optimizer, gf_head *head, const gf__head_pass *pass,
                        size_t n)
{
    size_t n_floats, n_inputs = gf_head_n_features(head);
    float *params = gf__head_params(head, &n_floats);

    optimizer->n_steps++;
    optimizer->update.rate = (float)correct_rate(optimizer);
    for (size_t i = 0; i < gf_head_n_layers(head); i++) {
        const size_t units = gf_head_layer_at(head, i).units;
        layer_step step = {.optimizer = optimizer,
                           .params = params,
                           .kernel = gf_head_kernel(head, i),
                           .bias = gf_head_bias(head, i),
                           .input = gf__head_pass_input(pass, i),
                           .delta = gf__head_pass_delta(pass, i),
                           .N = n,
                           .D = n_inputs,
                           .K = units};
        step.n_rows = SCRATCH_FLOATS / units > 0 ? SCRATCH_FLOATS / units : 1;
        const size_t n_items = 1 + (n_inputs + step.n_rows - 1) / step.n_rows;
        gf__pool_run(n_inputs * units < 65536 ? NULL : optimizer->pool, n_items, update_item,
                     &step);
        n_inputs = units;
    }
}
