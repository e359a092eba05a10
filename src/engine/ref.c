/* ref.c: the whole graph in plain C, layer by layer as Keras describes them: the specification
 * that plans are tested against. Nothing is fused or folded, values are float, sums double. One
 * kernel for each class of layer. */
#include <math.h>
#include <string.h>

#include "engine/engine_priv.h"

typedef struct map { /* one layer's output: height x width x channels */
    size_t height, width, channels;
    float *data;
} map;

typedef struct reference {
    const gf_graph *graph;
    map *maps; /* of every layer, data NULL until it has run */
    const float *input;
} reference;

static const gf_layer *layer_of(const reference *ref, size_t i)
{
    return gf_graph_layer_at(ref->graph, (ptrdiff_t)i);
}

static size_t size_of(const map *m)
{
    return m->height * m->width * m->channels;
}

static const float *weight_of(const gf_layer *layer, const char *name)
{
    const gf_tensor *tensor = gf_layer_weight(layer, name);
    return tensor != NULL ? gf_tensor_f32(tensor) : NULL;
}

static void apply_activation(map *m, gf__activation activation)
{
    const size_t C = m->channels;
    for (size_t i = 0; i < size_of(m); i++) {
        if (activation == GF__ACTIVATION_RELU || activation == GF__ACTIVATION_RELU6)
            m->data[i] = fmaxf(m->data[i], 0.0f);
        if (activation == GF__ACTIVATION_RELU6)
            m->data[i] = fminf(m->data[i], 6.0f);
        if (activation == GF__ACTIVATION_TANH)
            m->data[i] = (float)tanh((double)m->data[i]);
        if (activation == GF__ACTIVATION_SIGMOID)
            m->data[i] = (float)(1.0 / (1.0 + exp(-(double)m->data[i])));
    }
    for (float *row = m->data; activation == GF__ACTIVATION_SOFTMAX && row < m->data + size_of(m);
         row += C) {
        double max = -INFINITY, sum = 0.0;
        for (size_t c = 0; c < C; c++)
            max = fmax(max, (double)row[c]);
        for (size_t c = 0; c < C; c++)
            sum += exp((double)row[c] - max);
        for (size_t c = 0; c < C; c++)
            row[c] = (float)(exp((double)row[c] - max) / sum);
    }
}

/* Where a window starts: output y * stride - padding; positions outside the picture are skipped. */
static bool window_at(size_t out, size_t k, size_t stride, size_t padding, size_t size, size_t *at)
{
    *at = out * stride + k - padding;
    return out * stride + k >= padding && *at < size;
}

/* x (H,W,I)  kernel (KH,KW,I,O)  bias (O) or NULL  ->  y. sums is room for O numbers. */
static void convolve_pixel(float *y, const map *x, size_t top, size_t left, const float *kernel,
                           const float *bias, size_t O, const gf__layer_config *config,
                           double *sums)
{
    const size_t I = x->channels;
    size_t row, column;
    for (size_t o = 0; o < O; o++)
        sums[o] = bias != NULL ? (double)bias[o] : 0.0;
    for (size_t ky = 0; ky < config->kernel[0]; ky++) {
        if (!window_at(top, ky, config->strides[0], config->padding[0], x->height, &row))
            continue;
        for (size_t kx = 0; kx < config->kernel[1]; kx++) {
            if (!window_at(left, kx, config->strides[1], config->padding[2], x->width, &column))
                continue;
            const float *pixel = x->data + (row * x->width + column) * I;
            const float *weights = kernel + (ky * config->kernel[1] + kx) * I * O;
            for (size_t i = 0; i < I; i++)
                for (size_t o = 0; o < O; o++)
                    sums[o] += (double)pixel[i] * (double)weights[i * O + o];
        }
    }
    for (size_t o = 0; o < O; o++)
        y[o] = (float)sums[o];
}

/* As convolve_pixel, each channel on its own: kernel (KH,KW,C,1). */
static void convolve_depthwise_pixel(float *y, const map *x, size_t top, size_t left,
                                     const float *kernel, const float *bias,
                                     const gf__layer_config *config)
{
    const size_t C = x->channels;
    size_t row, column;
    for (size_t c = 0; c < C; c++) {
        double sum = bias != NULL ? (double)bias[c] : 0.0;
        for (size_t ky = 0; ky < config->kernel[0]; ky++)
            for (size_t kx = 0; kx < config->kernel[1]; kx++)
                if (window_at(top, ky, config->strides[0], config->padding[0], x->height, &row) &&
                    window_at(left, kx, config->strides[1], config->padding[2], x->width, &column))
                    sum += (double)x->data[(row * x->width + column) * C + c] *
                           (double)kernel[(ky * config->kernel[1] + kx) * C + c];
        y[c] = (float)sum;
    }
}

static gf_status run_convolution(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    const gf__layer_config *config = gf__layer_config_of(layer);
    const map *x = &ref->maps[gf_layer_input_at(layer, 0)];
    const bool is_depthwise = config->class_id == GF__LAYER_DEPTHWISE_CONV2D;
    const float *kernel = weight_of(layer, "kernel");
    const float *bias = weight_of(layer, "bias");
    double *sums = gf__malloc(y->channels * sizeof *sums);
    if (sums == NULL)
        return gf__error_nomem(err, "sums", y->channels * sizeof *sums);
    for (size_t p = 0; p < y->height * y->width; p++) {
        float *pixel = y->data + p * y->channels;
        if (is_depthwise)
            convolve_depthwise_pixel(pixel, x, p / y->width, p % y->width, kernel, bias, config);
        else
            convolve_pixel(pixel, x, p / y->width, p % y->width, kernel, bias, y->channels, config,
                           sums);
    }
    apply_activation(y, config->activation);
    gf__free(sums);
    return GF_OK;
}

static gf_status run_norm(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    const map *x = &ref->maps[gf_layer_input_at(layer, 0)];
    const float *gamma = weight_of(layer, "gamma"), *beta = weight_of(layer, "beta");
    const float *mean = weight_of(layer, "moving_mean");
    const float *variance = weight_of(layer, "moving_variance");
    const double epsilon = gf__layer_config_of(layer)->epsilon;
    for (size_t i = 0; i < size_of(y); i++) {
        const size_t c = i % y->channels;
        double value = ((double)x->data[i] - (double)mean[c]) / sqrt((double)variance[c] + epsilon);
        value *= gamma != NULL ? (double)gamma[c] : 1.0;
        value += beta != NULL ? (double)beta[c] : 0.0;
        y->data[i] = (float)value;
    }
    return GF_OK;
}

/* The mean counts only what lies inside the picture. */
static float pool_window(const map *x, size_t top, size_t left, size_t c,
                         const gf__layer_config *config)
{
    const bool is_max = config->class_id == GF__LAYER_MAX_POOLING2D;
    double sum = 0.0, max = -INFINITY;
    size_t n = 0, row, column;
    for (size_t ky = 0; ky < config->kernel[0]; ky++) {
        for (size_t kx = 0; kx < config->kernel[1]; kx++) {
            if (!window_at(top, ky, config->strides[0], config->padding[0], x->height, &row) ||
                !window_at(left, kx, config->strides[1], config->padding[2], x->width, &column))
                continue;
            const double value = (double)x->data[(row * x->width + column) * x->channels + c];
            sum += value;
            max = fmax(max, value);
            n++;
        }
    }
    return (float)(is_max ? max : sum / (double)n);
}

static gf_status run_pool(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    const map *x = &ref->maps[gf_layer_input_at(layer, 0)];
    for (size_t p = 0; p < y->height * y->width; p++)
        for (size_t c = 0; c < y->channels; c++)
            y->data[p * y->channels + c] = pool_window(x, p / y->width, p % y->width, c,
                                                       gf__layer_config_of(layer));
    return GF_OK;
}

static void pool_all(float *y, const map *x, bool is_max)
{
    const size_t C = x->channels;
    for (size_t c = 0; c < C; c++) {
        double sum = 0.0, max = -INFINITY;
        for (size_t i = c; i < size_of(x); i += C) {
            sum += (double)x->data[i];
            max = fmax(max, (double)x->data[i]);
        }
        y[c] = (float)(is_max ? max : sum / (double)(x->height * x->width));
    }
}

static gf_status run_global_pool(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    const bool is_max = gf__layer_config_of(layer)->class_id == GF__LAYER_GLOBAL_MAX_POOLING2D;
    pool_all(y->data, &ref->maps[gf_layer_input_at(layer, 0)], is_max);
    return GF_OK;
}

static gf_status run_concatenate(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    size_t first = 0;
    for (size_t k = 0; k < gf_layer_n_inputs(layer); k++) {
        const map *x = &ref->maps[gf_layer_input_at(layer, k)];
        for (size_t p = 0; p < y->height * y->width; p++)
            memcpy(y->data + p * y->channels + first, x->data + p * x->channels,
                   x->channels * sizeof(float));
        first += x->channels;
    }
    return GF_OK;
}

static gf_status run_add(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    for (size_t i = 0; i < size_of(y); i++) {
        double sum = 0.0;
        for (size_t k = 0; k < gf_layer_n_inputs(layer); k++)
            sum += (double)ref->maps[gf_layer_input_at(layer, k)].data[i];
        y->data[i] = (float)sum;
    }
    return GF_OK;
}

static gf_status run_padding(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    const map *x = &ref->maps[gf_layer_input_at(layer, 0)];
    const size_t *padding = gf__layer_config_of(layer)->padding;
    memset(y->data, 0, size_of(y) * sizeof(float));
    for (size_t row = 0; row < x->height; row++)
        memcpy(y->data + ((row + padding[0]) * y->width + padding[2]) * y->channels,
               x->data + row * x->width * x->channels, x->width * x->channels * sizeof(float));
    return GF_OK;
}

static gf_status run_dense(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    const map *x = &ref->maps[gf_layer_input_at(layer, 0)];
    const float *kernel = weight_of(layer, "kernel"), *bias = weight_of(layer, "bias");
    const size_t D = size_of(x), K = y->channels;
    for (size_t k = 0; k < K; k++) {
        double sum = bias != NULL ? (double)bias[k] : 0.0;
        for (size_t d = 0; d < D; d++)
            sum += (double)x->data[d] * (double)kernel[d * K + k];
        y->data[k] = (float)sum;
    }
    apply_activation(y, gf__layer_config_of(layer)->activation);
    return GF_OK;
}

static gf_status run_input(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    memcpy(y->data, ref->input, size_of(y) * sizeof(float));
    return GF_OK;
}

/* Dropout does nothing outside training, and flattening nothing to memory that is channels last
 * already. */
static gf_status run_copy(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    memcpy(y->data, ref->maps[gf_layer_input_at(layer, 0)].data, size_of(y) * sizeof(float));
    return GF_OK;
}

static gf_status run_activation(const reference *ref, const gf_layer *layer, map *y, gf_error *err)
{
    const gf__layer_config *config = gf__layer_config_of(layer);
    run_copy(ref, layer, y, err);
    if (config->class_id == GF__LAYER_ACTIVATION) {
        apply_activation(y, config->activation);
        return GF_OK;
    }
    for (size_t i = 0; i < size_of(y); i++) {
        y->data[i] = fmaxf(y->data[i], 0.0f);
        if (config->max_value > 0)
            y->data[i] = fminf(y->data[i], (float)config->max_value);
    }
    return GF_OK;
}

static gf_status (*const kernels[GF__N_LAYER_CLASSES])(const reference *, const gf_layer *, map *,
                                                       gf_error *) = {
    [GF__LAYER_INPUT] = run_input,
    [GF__LAYER_CONV2D] = run_convolution,
    [GF__LAYER_DEPTHWISE_CONV2D] = run_convolution,
    [GF__LAYER_BATCH_NORMALIZATION] = run_norm,
    [GF__LAYER_ACTIVATION] = run_activation,
    [GF__LAYER_RELU] = run_activation,
    [GF__LAYER_MAX_POOLING2D] = run_pool,
    [GF__LAYER_AVERAGE_POOLING2D] = run_pool,
    [GF__LAYER_GLOBAL_AVERAGE_POOLING2D] = run_global_pool,
    [GF__LAYER_GLOBAL_MAX_POOLING2D] = run_global_pool,
    [GF__LAYER_CONCATENATE] = run_concatenate,
    [GF__LAYER_ADD] = run_add,
    [GF__LAYER_ZERO_PADDING2D] = run_padding,
    [GF__LAYER_FLATTEN] = run_copy,
    [GF__LAYER_DENSE] = run_dense,
    [GF__LAYER_DROPOUT] = run_copy,
};

static gf_status check_weights(const gf_layer *layer, gf_error *err)
{
    for (size_t k = 0; k < gf__layer_n_weights(layer); k++)
        if (gf__layer_weight_at(layer, k) == NULL)
            return gf_error_set(err, GF_EINVAL, "%s: its %s has not been loaded",
                                gf_layer_name(layer), gf__layer_weight_name(layer, k));
    return GF_OK;
}

static gf_status run_layer(const reference *ref, size_t i, gf_error *err)
{
    const gf_layer *layer = layer_of(ref, i);
    const size_t *shape = gf_layer_shape(layer);
    map *y = &ref->maps[i];
    gf_status st = check_weights(layer, err);
    if (st != GF_OK)
        return st;
    *y = gf_layer_n_dims(layer) == 3
             ? (map){.height = shape[0], .width = shape[1], .channels = shape[2]}
             : (map){.height = 1, .width = 1, .channels = shape[0]};
    y->data = gf__alloc_aligned(size_of(y) * sizeof(float));
    if (y->data == NULL)
        return gf__error_nomem(err, "a layer's output", size_of(y) * sizeof(float));
    return kernels[gf__layer_config_of(layer)->class_id](ref, layer, y, err);
}

/* Inputs come before the layers that read them, so one pass backwards finds what the outputs
 * need. */
static void mark_needed(const gf_graph *graph, bool *is_needed)
{
    for (size_t i = gf_graph_n_layers(graph); i-- > 0;) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; is_needed[i] && k < gf_layer_n_inputs(layer); k++)
            is_needed[gf_layer_input_at(layer, k)] = true;
    }
}

static gf_status copy_output(const map *m, const gf__output *output, gf_pool pool, float **out,
                             gf_error *err)
{
    *out = gf__alloc_aligned(output->size * sizeof(float));
    if (*out == NULL)
        return gf__error_nomem(err, "results", output->size * sizeof(float));
    if (pool == GF_POOL_NONE)
        memcpy(*out, m->data, output->size * sizeof(float));
    else
        pool_all(*out, m, pool == GF_POOL_MAX);
    return GF_OK;
}

gf_status gf__engine_run_reference(const gf_graph *graph, const gf_output_spec *outputs,
                                   size_t n_outputs, const float *input, float **out, gf_error *err)
{
    gf_status st = GF_OK;
    const size_t n_layers = gf_graph_n_layers(graph);
    reference ref = {.graph = graph, .input = input};
    bool *is_needed = gf__calloc(n_layers, sizeof *is_needed);
    gf__output output;
    size_t layer;

    for (size_t k = 0; k < n_outputs; k++)
        out[k] = NULL;
    ref.maps = gf__calloc(n_layers, sizeof *ref.maps);
    if (is_needed == NULL || ref.maps == NULL) {
        st = gf__error_nomem(err, "the reference run", n_layers * sizeof *ref.maps);
        goto done;
    }
    for (size_t k = 0; st == GF_OK && k < n_outputs; k++) {
        st = gf__output_resolve(graph, &outputs[k], &layer, &output, err);
        if (st == GF_OK)
            is_needed[layer] = true;
    }
    if (st != GF_OK)
        goto done;
    mark_needed(graph, is_needed);
    for (size_t i = 0; st == GF_OK && i < n_layers; i++)
        if (is_needed[i])
            st = run_layer(&ref, i, err);
    for (size_t k = 0; st == GF_OK && k < n_outputs; k++) {
        gf__output_resolve(graph, &outputs[k], &layer, &output, NULL);
        st = copy_output(&ref.maps[layer], &output, outputs[k].pool, &out[k], err);
    }
done:
    for (size_t i = 0; ref.maps != NULL && i < n_layers; i++)
        gf__free(ref.maps[i].data);
    for (size_t k = 0; st != GF_OK && k < n_outputs; k++) {
        gf__free(out[k]);
        out[k] = NULL;
    }
    gf__free(ref.maps);
    gf__free(is_needed);
    return st;
}
