/* A head: the sizes of its Dense layers and one block with all their weights. One block, so that an
 * optimizer, a checkpoint or a copy of the best weights is one walk over memory. Prediction runs in
 * chunks of rows with scratch of its own and changes nothing. */
#include "head/head_priv.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { ALIGN_FLOATS = 16, PREDICT_ROWS = 64 };

static gf_status check_layer(const gf_head_layer *layer, size_t i, size_t n_layers, gf_error *err)
{
    if (layer->units == 0)
        return gf_error_set(err, GF_EINVAL, "head layer %zu: units is 0, must be at least 1", i);
    if (!(layer->dropout >= 0.0 && layer->dropout < 1.0))
        return gf_error_set(err, GF_EINVAL, "head layer %zu: dropout is %g, must be in [0,1)", i,
                            layer->dropout);
    if (layer->activation == GF_HEAD_SOFTMAX && i + 1 < n_layers)
        return gf_error_set(err, GF_EINVAL,
                            "head layer %zu of %zu: softmax is for the last layer only", i,
                            n_layers);
    return GF_OK;
}

/* Keras numbers layers of one class from the second on. */
static char *name_layer(const gf_head_layer *layer, size_t i, size_t n_layers)
{
    if (layer->name != NULL)
        return gf__strdup(layer->name);
    if (n_layers > 1 && i + 1 == n_layers)
        return gf__strdup("predictions");
    return i == 0 ? gf__strdup("dense") : gf__asprintf("dense_%zu", i);
}

static gf_status check_name(const gf_head *head, size_t i, gf_error *err)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(head->parts[j].layer.name, head->parts[i].layer.name) == 0)
            return gf_error_set(err, GF_EINVAL, "head layers %zu and %zu are both named \"%s\"", j,
                                i, head->parts[i].layer.name);
    return GF_OK;
}

static bool reserve(size_t *n_floats, size_t wanted, size_t *at)
{
    size_t end;
    *at = *n_floats;
    if (!gf__add_size(*n_floats, wanted, &end) || !gf__add_size(end, ALIGN_FLOATS - 1, &end))
        return false;
    *n_floats = end / ALIGN_FLOATS * ALIGN_FLOATS;
    return true;
}

static gf_status lay_out(gf_head *head, const gf_head_layer *layers, gf_error *err)
{
    size_t n_inputs = head->n_features;
    for (size_t i = 0; i < head->n_parts; i++) {
        gf__head_part *part = &head->parts[i];
        const size_t units = layers[i].units;
        size_t n_weights = 0, size_bytes;
        part->n_inputs = n_inputs;
        if (!gf__mul_size(n_inputs, units, &n_weights) ||
            !reserve(&head->n_floats, n_weights, &part->kernel_at) ||
            !reserve(&head->n_floats, units, &part->bias_at) ||
            !gf__mul_size(head->n_floats, sizeof(float), &size_bytes))
            return gf_error_set(err, GF_ELIMIT, "head layer %zu: %zu x %zu weights are too many", i,
                                n_inputs, units);
        n_inputs = units;
    }
    return GF_OK;
}

/* All but the weights. */
static gf_status new_shape(size_t n_features, const gf_head_layer *layers, size_t n_layers,
                           gf_head **out, gf_error *err)
{
    gf_status st = GF_OK;
    gf_head *head = NULL;

    *out = NULL;
    if (n_features == 0 || n_layers == 0)
        return gf_error_set(err, GF_EINVAL, "a head needs at least one feature and one layer");
    head = gf__calloc(1, sizeof *head);
    if (head != NULL)
        head->parts = gf__calloc(n_layers, sizeof *head->parts);
    if (head == NULL || head->parts == NULL) {
        st = gf__error_nomem(err, "a head", sizeof *head);
        goto done;
    }
    head->n_features = n_features;
    head->n_parts = n_layers;
    for (size_t i = 0; i < n_layers && st == GF_OK; i++) {
        gf__head_part *part = &head->parts[i];
        part->layer = layers[i];
        part->layer.name = name_layer(&layers[i], i, n_layers);
        if (part->layer.name == NULL)
            st = gf__error_nomem(err, "a layer's name", 0);
        else
            st = check_layer(&layers[i], i, n_layers, err);
        if (st == GF_OK)
            st = check_name(head, i, err);
    }
    if (st == GF_OK)
        st = lay_out(head, layers, err);
    if (st != GF_OK)
        goto done;

    *out = head;
    head = NULL; /* moved to the caller */
done:
    gf_head_free(head);
    return st;
}

gf_status gf_head_new(size_t n_features, const gf_head_layer *layers, size_t n_layers,
                      gf_head **out, gf_error *err)
{
    const gf_status st = new_shape(n_features, layers, n_layers, out, err);
    if (st != GF_OK)
        return st;
    gf_head *head = *out;
    const size_t n_bytes = head->n_floats * sizeof(float);
    head->params = gf__alloc_aligned(n_bytes);
    if (head->params == NULL) {
        gf_head_free(head);
        *out = NULL;
        return gf__error_nomem(err, "the head's weights", n_bytes);
    }
    for (size_t i = 0; i < n_layers; i++) {
        head->parts[i].kernel = head->params + head->parts[i].kernel_at;
        head->parts[i].bias = head->params + head->parts[i].bias_at;
    }
    return GF_OK;
}

gf_status gf__head_new_view(size_t n_features, const gf_head_layer *layers, size_t n_layers,
                            const float *const *kernels, const float *const *biases, gf_head **out,
                            gf_error *err)
{
    const gf_status st = new_shape(n_features, layers, n_layers, out, err);
    for (size_t i = 0; st == GF_OK && i < n_layers; i++) {
        (*out)->parts[i].kernel = kernels[i];
        (*out)->parts[i].bias = biases[i];
    }
    return st;
}

void gf_head_free(gf_head *head)
{
    if (head == NULL)
        return;
    for (size_t i = 0; head->parts != NULL && i < head->n_parts; i++)
        gf__free((char *)(uintptr_t)head->parts[i].layer.name);
    gf__free(head->parts);
    gf__free(head->params);
    gf__free(head);
}

gf_status gf_head_copy(const gf_head *head, gf_head **out, gf_error *err)
{
    *out = NULL;
    gf_head_layer *layers = gf__calloc(head->n_parts, sizeof *layers);
    if (layers == NULL)
        return gf__error_nomem(err, "a copy of a head", head->n_parts * sizeof *layers);
    for (size_t i = 0; i < head->n_parts; i++)
        layers[i] = head->parts[i].layer;
    const gf_status st = gf_head_new(head->n_features, layers, head->n_parts, out, err);
    for (size_t i = 0; st == GF_OK && i < head->n_parts; i++) {
        const gf__head_part *part = &head->parts[i];
        memcpy(gf_head_kernel(*out, i), part->kernel,
               part->n_inputs * part->layer.units * sizeof(float));
        memcpy(gf_head_bias(*out, i), part->bias, part->layer.units * sizeof(float));
    }
    gf__free(layers);
    return st;
}

size_t gf_head_n_features(const gf_head *head)
{
    return head->n_features;
}

size_t gf_head_n_classes(const gf_head *head)
{
    return head->parts[head->n_parts - 1].layer.units;
}

size_t gf_head_n_layers(const gf_head *head)
{
    return head->n_parts;
}

gf_head_activation gf__head_end(const gf_head *head)
{
    return head->parts[head->n_parts - 1].layer.activation;
}

gf_head_layer gf_head_layer_at(const gf_head *head, size_t i)
{
    assert(i < head->n_parts);
    return head->parts[i].layer;
}

size_t gf_head_n_params(const gf_head *head)
{
    size_t n = 0;
    for (size_t i = 0; i < head->n_parts; i++)
        n += (head->parts[i].n_inputs + 1) * head->parts[i].layer.units;
    return n;
}

const float *gf__head_kernel_of(const gf_head *head, size_t i)
{
    assert(i < head->n_parts);
    return head->parts[i].kernel;
}

const float *gf__head_bias_of(const gf_head *head, size_t i)
{
    assert(i < head->n_parts);
    return head->parts[i].bias;
}

float *gf_head_kernel(gf_head *head, size_t i)
{
    assert(i < head->n_parts && head->params != NULL);
    return head->params + head->parts[i].kernel_at;
}

float *gf_head_bias(gf_head *head, size_t i)
{
    assert(i < head->n_parts && head->params != NULL);
    return head->params + head->parts[i].bias_at;
}

float *gf__head_params(gf_head *head, size_t *n_floats)
{
    assert(head->params != NULL);
    *n_floats = head->n_floats;
    return head->params;
}

size_t gf__head_widest(const gf_head *head)
{
    size_t widest = 0;
    for (size_t i = 0; i < head->n_parts; i++)
        widest = head->parts[i].layer.units > widest ? head->parts[i].layer.units : widest;
    return widest;
}

void gf_head_initialise(gf_head *head, uint64_t seed)
{
    memset(head->params, 0, head->n_floats * sizeof(float));
    for (size_t i = 0; i < head->n_parts; i++) {
        const gf__head_part *part = &head->parts[i];
        const size_t n = part->n_inputs * part->layer.units;
        const double limit = sqrt(6.0 / ((double)part->n_inputs + (double)part->layer.units));
        float *kernel = gf_head_kernel(head, i);
        gf__rng rng;
        /* A stream a layer: the first layer's weights do not change when another one is put behind
         * it. */
        gf__rng_seed(&rng, seed, GF__STREAM_WEIGHTS + i);
        for (size_t w = 0; w < n; w++)
            kernel[w] = (float)(limit * (2.0 * gf__rng_uniform(&rng) - 1.0));
    }
}

static const char *const activation_names[] = {[GF_HEAD_LINEAR] = "linear",
                                               [GF_HEAD_RELU] = "relu",
                                               [GF_HEAD_SOFTMAX] = "softmax",
                                               [GF_HEAD_TANH] = "tanh",
                                               [GF_HEAD_SIGMOID] = "sigmoid"};

const char *gf__head_activation_name(gf_head_activation activation)
{
    return activation_names[activation];
}

bool gf__head_activation_parse(const char *name, gf_head_activation *out)
{
    for (size_t i = 0; i < sizeof activation_names / sizeof activation_names[0]; i++) {
        if (strcmp(activation_names[i], name) == 0) {
            *out = (gf_head_activation)i;
            return true;
        }
    }
    return false;
}

void gf__head_activate(const gf__head_part *part, float *rows, size_t n)
{
    const size_t n_values = n * part->layer.units;
    switch (part->layer.activation) {
    case GF_HEAD_LINEAR:
        return;
    case GF_HEAD_RELU:
        for (size_t i = 0; i < n_values; i++)
            rows[i] = rows[i] > 0.0f ? rows[i] : 0.0f;
        return;
    case GF_HEAD_SOFTMAX:
        gf__softmax_rows(rows, n, part->layer.units);
        return;
    case GF_HEAD_TANH:
        gf__tanh(rows, n_values);
        return;
    case GF_HEAD_SIGMOID:
        gf__sigmoid(rows, n_values);
        return;
    }
}

/* scratch holds two layers' outputs, used in turn. */
static void predict_rows(const gf_head *head, const float *features, size_t n, float *scores,
                         float *logits, float *scratch[2])
{
    const float *input = features;
    for (size_t i = 0; i < head->n_parts; i++) {
        const gf__head_part *part = &head->parts[i];
        float *output = i + 1 == head->n_parts ? scores : scratch[i % 2];
        gf__dense(output, input, gf__head_kernel_of(head, i), gf__head_bias_of(head, i), n,
                  part->n_inputs, part->layer.units, NULL);
        if (logits != NULL && i + 1 == head->n_parts)
            memcpy(logits, output, n * part->layer.units * sizeof *logits);
        gf__head_activate(part, output, n);
        input = output;
    }
}

gf_status gf_head_predict(const gf_head *head, const float *features, size_t n, float *scores,
                          gf_error *err)
{
    return gf__head_predict_logits(head, features, n, scores, NULL, err);
}

gf_status gf__head_predict_logits(const gf_head *head, const float *features, size_t n,
                                  float *scores, float *logits, gf_error *err)
{
    const size_t widest = gf__head_widest(head), n_classes = gf_head_n_classes(head);
    const size_t chunk = n < PREDICT_ROWS ? n : PREDICT_ROWS;
    float *scratch[2] = {NULL, NULL};

    if (head->n_parts > 1) {
        scratch[0] = gf__malloc(2 * chunk * widest * sizeof(float));
        if (scratch[0] == NULL)
            return gf__error_nomem(err, "a prediction", 2 * chunk * widest * sizeof(float));
        scratch[1] = scratch[0] + chunk * widest;
    }
    for (size_t row = 0; row < n; row += chunk) {
        const size_t n_rows = n - row < chunk ? n - row : chunk;
        predict_rows(head, features + row * head->n_features, n_rows, scores + row * n_classes,
                     logits != NULL ? logits + row * n_classes : NULL, scratch);
    }
    gf__free(scratch[0]);
    return GF_OK;
}
