/* One training step's forward and backward over a batch. The pass owns activations, gradients at
 * the layers' outputs and dropout masks; the weight gradients themselves are never stored whole:
 * the optimizer computes them a few rows at a time from what gf__head_pass_input() and
 * gf__head_pass_delta() give. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "head/head_priv.h"

typedef struct pass_layer {
    const float *input; /* features, the layer below, or dropped */
    float *dropped;     /* the input after dropout; NULL for a layer without */
    float *mask;        /* 0 or 1 / (1 - rate), as wide as the input */
    float *output;      /* after the activation */
    float *delta;       /* gradient of the loss before the activation */
} pass_layer;

struct gf__head_pass {
    gf__pool *pool;
    size_t max_batch;
    size_t n_layers;
    pass_layer *layers;
    float *memory;
    /* of the last forward */
    gf__head_batch batch;
    bool is_dropping;
};

/* Hands out pieces of memory (64-byte aligned); with memory NULL only counts. */
static float *take(float *memory, size_t *n_used, size_t n_floats)
{
    float *piece = memory != NULL ? memory + *n_used : NULL;
    *n_used += (n_floats + 15) / 16 * 16;
    return piece;
}

static size_t lay_out(gf__head_pass *pass, const gf_head *head)
{
    size_t n_used = 0;
    for (size_t i = 0; i < head->n_parts; i++) {
        const gf__head_part *part = &head->parts[i];
        pass_layer *layer = &pass->layers[i];
        const size_t n_outputs = pass->max_batch * part->layer.units;
        layer->output = take(pass->memory, &n_used, n_outputs);
        layer->delta = take(pass->memory, &n_used, n_outputs);
        if (part->layer.dropout > 0.0) {
            layer->dropped = take(pass->memory, &n_used, pass->max_batch * part->n_inputs);
            layer->mask = take(pass->memory, &n_used, pass->max_batch * part->n_inputs);
        }
    }
    return n_used;
}

gf_status gf__head_pass_new(const gf_head *head, size_t max_batch, gf__pool *pool,
                            gf__head_pass **out, gf_error *err)
{
    size_t size_bytes = 0;
    *out = NULL;
    /* Four rows a layer at most: output, delta, dropped, mask; 16 floats of padding each. */
    const size_t widest = gf__head_widest(head) + head->n_features + 16;
    if (!gf__mul_size(widest, max_batch, &size_bytes) ||
        !gf__mul_size(size_bytes, 4 * sizeof(float), &size_bytes) ||
        !gf__mul_size(size_bytes, head->n_parts, &size_bytes))
        return gf_error_set(err, GF_ELIMIT, "batches of %zu rows are too large", max_batch);

    gf__head_pass *pass = gf__calloc(1, sizeof *pass);
    if (pass == NULL)
        return gf__error_nomem(err, "a training step", sizeof *pass);
    pass->pool = pool;
    pass->max_batch = max_batch;
    pass->n_layers = head->n_parts;
    pass->layers = gf__calloc(head->n_parts, sizeof *pass->layers);
    if (pass->layers != NULL) {
        size_bytes = lay_out(pass, head) * sizeof(float);
        pass->memory = gf__alloc_aligned(size_bytes);
    }
    if (pass->memory == NULL) {
        gf__head_pass_free(pass);
        return gf__error_nomem(err, "a training step", size_bytes);
    }
    lay_out(pass, head);
    *out = pass;
    return GF_OK;
}

void gf__head_pass_free(gf__head_pass *pass)
{
    if (pass == NULL)
        return;
    gf__free(pass->memory);
    gf__free(pass->layers);
    gf__free(pass);
}

/* Inverted dropout: what stays is scaled up, so that prediction needs no change. */
static void drop(pass_layer *layer, const float *input, size_t n_values, double rate, gf__rng *rng)
{
    const float kept = (float)(1.0 / (1.0 - rate));
    for (size_t i = 0; i < n_values; i++) {
        layer->mask[i] = gf__rng_uniform(rng) < rate ? 0.0f : kept;
        layer->dropped[i] = input[i] * layer->mask[i];
    }
}

static double weight_of(const gf__head_batch *batch, size_t row)
{
    const double weight = batch->row_weights != NULL ? (double)batch->row_weights[row] : 1.0;
    return batch->class_weights != NULL ? weight * (double)batch->class_weights[batch->labels[row]]
                                        : weight;
}

/* -log p, with p clipped. */
static double surprise(double p)
{
    const double clip = 1e-7;
    return isnan(p) ? (double)NAN : -log(fmin(fmax(p, clip), 1.0 - clip));
}

static size_t find_largest(const float *row, size_t n)
{
    size_t largest = 0;
    for (size_t k = 1; k < n; k++)
        if (row[k] > row[largest])
            largest = k;
    return largest;
}

/* The loss of one row, and how far it is right. */
static double judge_label(const float *scores, size_t label, size_t n_classes, double *n_correct)
{
    assert(label < n_classes);
    *n_correct += find_largest(scores, n_classes) == label ? 1.0 : 0.0;
    return surprise((double)scores[label]);
}

static double judge_targets(const float *scores, const float *targets, size_t n, double *n_correct)
{
    double sum = 0.0;
    size_t n_right = 0;
    for (size_t k = 0; k < n; k++) {
        const double p = (double)scores[k], t = (double)targets[k];
        sum += t * surprise(p) + (1.0 - t) * surprise(1.0 - p);
        n_right += (scores[k] > 0.5f ? 1.0f : 0.0f) == targets[k];
    }
    *n_correct += (double)n_right / (double)n;
    return sum / (double)n;
}

static void judge(const gf__head_pass *pass, const float *scores, size_t n_classes, double *loss,
                  double *n_correct)
{
    const gf__head_batch *batch = &pass->batch;
    double sum = 0.0;
    *n_correct = 0.0;
    for (size_t row = 0; row < batch->n; row++, scores += n_classes)
        sum += weight_of(batch, row) *
               (batch->targets != NULL
                    ? judge_targets(scores, batch->targets + row * n_classes, n_classes, n_correct)
                    : judge_label(scores, batch->labels[row], n_classes, n_correct));
    *loss = sum / (double)batch->n;
}

void gf__head_forward(gf__head_pass *pass, const gf_head *head, const gf__head_batch *batch,
                      gf__rng *rng, double *loss, double *n_correct)
{
    const size_t n = batch->n;
    assert(n > 0 && n <= pass->max_batch && pass->n_layers == head->n_parts);
    assert(gf__head_end(head) == (batch->targets != NULL ? GF_HEAD_SIGMOID : GF_HEAD_SOFTMAX));

    pass->batch = *batch;
    pass->is_dropping = rng != NULL;
    const float *input = batch->features;
    for (size_t i = 0; i < head->n_parts; i++) {
        const gf__head_part *part = &head->parts[i];
        pass_layer *layer = &pass->layers[i];
        layer->input = input;
        if (pass->is_dropping && layer->dropped != NULL) {
            drop(layer, input, n * part->n_inputs, part->layer.dropout, rng);
            layer->input = layer->dropped;
        }
        gf__dense(layer->output, layer->input, gf__head_kernel_of(head, i),
                  gf__head_bias_of(head, i), n, part->n_inputs, part->layer.units, pass->pool);
        gf__head_activate(part, layer->output, n);
        input = layer->output;
    }
    judge(pass, input, gf_head_n_classes(head), loss, n_correct);
}

/* Activation and cross-entropy together: (score - target) * weight / n, where the target of a softmax
 * is 1 for the label; a sigmoid's losses are averaged over its units. */
static void start_backward(gf__head_pass *pass, size_t n_classes)
{
    const gf__head_batch *batch = &pass->batch;
    pass_layer *last = &pass->layers[pass->n_layers - 1];
    const float n_shares = (float)batch->n * (batch->targets != NULL ? (float)n_classes : 1.0f);
    for (size_t row = 0; row < batch->n; row++) {
        const float scale = (float)weight_of(batch, row) / n_shares;
        const float *scores = last->output + row * n_classes;
        const float *targets = batch->targets != NULL ? batch->targets + row * n_classes : NULL;
        float *delta = last->delta + row * n_classes;
        for (size_t k = 0; k < n_classes; k++) {
            const float one_hot = targets == NULL && k == batch->labels[row] ? 1.0f : 0.0f;
            delta[k] = (scores[k] - (targets != NULL ? targets[k] : one_hot)) * scale;
        }
    }
}

/* The gradient before the activation from the one behind it: each derivative is told by the output. */
static void activation_backward(gf_head_activation activation, pass_layer *layer, size_t n_values)
{
    const float *y = layer->output;
    float *delta = layer->delta;
    switch (activation) {
    case GF_HEAD_RELU:
        for (size_t v = 0; v < n_values; v++)
            delta[v] = y[v] > 0.0f ? delta[v] : 0.0f;
        return;
    case GF_HEAD_TANH:
        for (size_t v = 0; v < n_values; v++)
            delta[v] *= 1.0f - y[v] * y[v];
        return;
    case GF_HEAD_SIGMOID:
        for (size_t v = 0; v < n_values; v++)
            delta[v] *= y[v] * (1.0f - y[v]);
        return;
    case GF_HEAD_LINEAR:
    case GF_HEAD_SOFTMAX: /* of the last layer: see start_backward() */
        return;
    }
}

void gf__head_backward(gf__head_pass *pass, const gf_head *head)
{
    start_backward(pass, gf_head_n_classes(head));
    for (size_t i = head->n_parts; i-- > 1;) {
        const gf__head_part *part = &head->parts[i];
        const pass_layer *layer = &pass->layers[i];
        pass_layer *below = &pass->layers[i - 1];
        const size_t n_values = pass->batch.n * part->n_inputs;
        gf__dense_backward_input(below->delta, layer->delta, gf__head_kernel_of(head, i),
                                 pass->batch.n, part->n_inputs, part->layer.units, pass->pool);
        if (pass->is_dropping && layer->mask != NULL)
            for (size_t v = 0; v < n_values; v++)
                below->delta[v] *= layer->mask[v];
        activation_backward(head->parts[i - 1].layer.activation, below, n_values);
    }
}

const float *gf__head_pass_input(const gf__head_pass *pass, size_t layer)
{
    assert(layer < pass->n_layers);
    return pass->layers[layer].input;
}

const float *gf__head_pass_delta(const gf__head_pass *pass, size_t layer)
{
    assert(layer < pass->n_layers);
    return pass->layers[layer].delta;
}

const float *gf__head_pass_scores(const gf__head_pass *pass)
{
    return pass->layers[pass->n_layers - 1].output;
}
