/* shapes.c: what a layer makes of its inputs' shapes, one function a class (or a family of
 * classes), and the weights it needs for that. Shapes are height, width, channels, without the
 * batch. Settings come from files of strangers: every product is checked, every message names the
 * layer. */
#include <string.h>

#include "graph/graph_priv.h"
#include "tensor/tensor.h"

/* No tensor of a network that can be run has more values; keeps every later product inside a
 * size_t. */
#define MAX_VALUES ((size_t)1 << 40)

/* Kernels work along the channels. An axis that turns out to be the last one is not kept: it is the
 * default. */
static gf_status need_last_axis(gf_layer *layer, const gf_layer *input, gf_error *err)
{
    const size_t axis = layer->config.axis;
    layer->config.axis = 0;
    if (axis == 0 || axis == input->n_dims)
        return GF_OK;
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "layer \"%s\" (%s): axis is %zu; only the last one, %zu or -1, can be run",
                        layer->config.name, gf_layer_class_name(layer), axis, input->n_dims);
}

static const gf_layer *input_of(const gf_graph *graph, const gf_layer *layer, size_t i)
{
    return graph->layers[layer->inputs[i]];
}

static bool count_values(const size_t *shape, size_t n_dims, size_t *n_values)
{
    size_t n = 1;
    for (size_t i = 0; i < n_dims; i++) {
        if (shape[i] == 0 || !gf__mul_size(n, shape[i], &n) || n > MAX_VALUES)
            return false;
    }
    *n_values = n;
    return true;
}

static gf_status set_shape(gf_layer *layer, const size_t *shape, size_t n_dims, gf_error *err)
{
    size_t n_values;
    if (!count_values(shape, n_dims, &n_values)) {
        char text[GF__SHAPE_TEXT];
        return gf_error_set(err, GF_ESHAPE, "layer \"%s\" (%s) would put out %s",
                            layer->config.name, gf_layer_class_name(layer),
                            gf__shape_text(shape, n_dims, text));
    }
    memcpy(layer->shape, shape, n_dims * sizeof *shape);
    layer->n_dims = n_dims;
    return GF_OK;
}

static gf_status add_weight(gf_layer *layer, const char *name, bool is_trainable,
                            const size_t *shape, size_t n_dims, gf_error *err)
{
    gf__weight *weight = &layer->weights[layer->n_weights];
    *weight = (gf__weight){.name = name, .is_trainable = is_trainable, .n_dims = n_dims};
    if (!count_values(shape, n_dims, &weight->n_values)) {
        char text[GF__SHAPE_TEXT];
        return gf_error_set(err, GF_ESHAPE, "layer \"%s\": %s would have shape %s",
                            layer->config.name, name, gf__shape_text(shape, n_dims, text));
    }
    memcpy(weight->shape, shape, n_dims * sizeof *shape);
    layer->n_weights++;
    return GF_OK;
}

static gf_status need_spatial(const gf_layer *layer, const gf_layer *input, gf_error *err)
{
    char text[GF__SHAPE_TEXT];
    if (input->n_dims == 3)
        return GF_OK;
    return gf_error_set(err, GF_ESHAPE,
                        "layer \"%s\" (%s) needs height, width and channels, \"%s\" puts out %s",
                        layer->config.name, gf_layer_class_name(layer), input->config.name,
                        gf__shape_text(input->shape, input->n_dims, text));
}

/* One side of a sliding window, as TensorFlow has it: "same" puts ceil(in / stride) windows, the
 * odd pixel of padding at the end; "valid" only those that fit. False where none does. */
static bool slide(size_t in, size_t window, size_t stride, bool is_same, size_t *out, size_t pad[2])
{
    pad[0] = pad[1] = 0;
    if (window == 0 || stride == 0 || in == 0 || window > MAX_VALUES || stride > MAX_VALUES)
        return false;
    if (is_same) {
        *out = (in - 1) / stride + 1;
        const size_t covered = (*out - 1) * stride + window;
        const size_t total = covered > in ? covered - in : 0;
        pad[0] = total / 2;
        pad[1] = total - pad[0];
        return true;
    }
    if (window > in)
        return false;
    *out = (in - window) / stride + 1;
    return true;
}

/* Output height and width of a convolution or pooling; resolves its padding. */
static gf_status slide_window(gf_layer *layer, const gf_layer *input, size_t out[2], gf_error *err)
{
    gf__layer_config *config = &layer->config;
    const gf_status st = need_spatial(layer, input, err);
    if (st != GF_OK)
        return st;
    for (size_t side = 0; side < 2; side++) {
        if (slide(input->shape[side], config->kernel[side], config->strides[side],
                  config->is_same_padding, &out[side], &config->padding[2 * side]))
            continue;
        return gf_error_set(err, GF_ESHAPE,
                            "layer \"%s\": a window of %zux%zu with strides %zux%zu does not fit "
                            "the %zux%zu of \"%s\"",
                            config->name, config->kernel[0], config->kernel[1], config->strides[0],
                            config->strides[1], input->shape[0], input->shape[1],
                            input->config.name);
    }
    return GF_OK;
}

gf_status gf__infer_input(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    (void)graph;
    const size_t n_dims = layer->config.n_input_dims;
    if (n_dims != 1 && n_dims != 3)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%s\": inputs have 1 or 3 dimensions beside the batch, not %zu",
                            layer->config.name, n_dims);
    return set_shape(layer, layer->config.input_shape, n_dims, err);
}

/* Convolutions: the kernel's last two dimensions are (channels, filters), or (channels, 1) where
 * each channel has its own. */
static gf_status infer_convolution(const gf_graph *graph, gf_layer *layer, size_t n_out,
                                   size_t n_filters, gf_error *err)
{
    const gf_layer *input = input_of(graph, layer, 0);
    const gf__layer_config *config = &layer->config;
    size_t size[2];
    gf_status st = slide_window(layer, input, size, err);
    if (st != GF_OK)
        return st;
    const size_t kernel[4] = {config->kernel[0], config->kernel[1], input->shape[2], n_filters};
    st = add_weight(layer, "kernel", true, kernel, 4, err);
    if (st == GF_OK && config->has_bias)
        st = add_weight(layer, "bias", true, &n_out, 1, err);
    if (st != GF_OK)
        return st;
    return set_shape(layer, (size_t[]){size[0], size[1], n_out}, 3, err);
}

gf_status gf__infer_conv2d(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const size_t filters = layer->config.filters;
    return infer_convolution(graph, layer, filters, filters, err);
}

gf_status gf__infer_depthwise(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *input = input_of(graph, layer, 0);
    return infer_convolution(graph, layer, input->n_dims == 3 ? input->shape[2] : 0, 1, err);
}

gf_status gf__infer_batch_normalization(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *input = input_of(graph, layer, 0);
    const size_t *channels = &input->shape[input->n_dims - 1];
    const struct {
        const char *name;
        bool is_trainable, is_there;
    } rows[] = {{"gamma", true, layer->config.has_scale},
                {"beta", true, layer->config.has_center},
                {"moving_mean", false, true},
                {"moving_variance", false, true}};
    gf_status st = need_last_axis(layer, input, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].is_there)
            continue;
        st = add_weight(layer, rows[i].name, rows[i].is_trainable, channels, 1, err);
        if (st != GF_OK)
            return st;
    }
    return set_shape(layer, input->shape, input->n_dims, err);
}

gf_status gf__infer_same(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *input = input_of(graph, layer, 0);
    const gf_status st = need_last_axis(layer, input, err);
    if (st != GF_OK)
        return st;
    return set_shape(layer, input->shape, input->n_dims, err);
}

gf_status gf__infer_pooling(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *input = input_of(graph, layer, 0);
    size_t size[2];
    const gf_status st = slide_window(layer, input, size, err);
    if (st != GF_OK)
        return st;
    return set_shape(layer, (size_t[]){size[0], size[1], input->shape[2]}, 3, err);
}

gf_status gf__infer_global_pooling(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *input = input_of(graph, layer, 0);
    const gf_status st = need_spatial(layer, input, err);
    if (st != GF_OK)
        return st;
    return set_shape(layer, &input->shape[2], 1, err);
}

static gf_status shapes_disagree(const gf_layer *layer, const gf_layer *a, const gf_layer *b,
                                 gf_error *err)
{
    char first[GF__SHAPE_TEXT], second[GF__SHAPE_TEXT];
    return gf_error_set(
        err, GF_ESHAPE,
        "layer \"%s\" (%s): \"%s\" puts out %s and \"%s\" %s; they do not go together",
        layer->config.name, gf_layer_class_name(layer), a->config.name,
        gf__shape_text(a->shape, a->n_dims, first), b->config.name,
        gf__shape_text(b->shape, b->n_dims, second));
}

/* The first n dimensions and the number of them. */
static bool are_alike(const gf_layer *a, const gf_layer *b, size_t n)
{
    return a->n_dims == b->n_dims && memcmp(a->shape, b->shape, n * sizeof a->shape[0]) == 0;
}

gf_status gf__infer_concatenate(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *first = input_of(graph, layer, 0);
    const size_t last_dim = first->n_dims - 1;
    size_t shape[3] = {first->shape[0], first->shape[1], first->shape[2]};
    const gf_status st = need_last_axis(layer, first, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 1; i < layer->n_inputs; i++) {
        const gf_layer *input = input_of(graph, layer, i);
        if (!are_alike(first, input, last_dim) ||
            !gf__add_size(shape[last_dim], input->shape[last_dim], &shape[last_dim]))
            return shapes_disagree(layer, first, input, err);
    }
    return set_shape(layer, shape, first->n_dims, err);
}

gf_status gf__infer_add(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *first = input_of(graph, layer, 0);
    for (size_t i = 1; i < layer->n_inputs; i++) {
        const gf_layer *input = input_of(graph, layer, i);
        if (!are_alike(first, input, first->n_dims))
            return shapes_disagree(layer, first, input, err);
    }
    return set_shape(layer, first->shape, first->n_dims, err);
}

gf_status gf__infer_zero_padding(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *input = input_of(graph, layer, 0);
    const size_t *padding = layer->config.padding;
    size_t shape[3] = {0};
    const gf_status st = need_spatial(layer, input, err);
    if (st != GF_OK)
        return st;
    for (size_t side = 0; side < 2; side++) {
        if (!gf__add_size(input->shape[side], padding[2 * side], &shape[side]) ||
            !gf__add_size(shape[side], padding[2 * side + 1], &shape[side]))
            return gf_error_set(err, GF_ESHAPE, "layer \"%s\": padding is too large",
                                layer->config.name);
    }
    shape[2] = input->shape[2];
    return set_shape(layer, shape, 3, err);
}

gf_status gf__infer_flatten(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *input = input_of(graph, layer, 0);
    size_t n_values = 0;
    (void)count_values(input->shape, input->n_dims, &n_values); /* did when the input was added */
    return set_shape(layer, &n_values, 1, err);
}

gf_status gf__infer_dense(const gf_graph *graph, gf_layer *layer, gf_error *err)
{
    const gf_layer *input = input_of(graph, layer, 0);
    const size_t units = layer->config.units;
    char text[GF__SHAPE_TEXT];
    if (input->n_dims != 1)
        return gf_error_set(err, GF_ESHAPE,
                            "layer \"%s\" (Dense) needs one dimension, \"%s\" puts out %s: pool or "
                            "flatten it first",
                            layer->config.name, input->config.name,
                            gf__shape_text(input->shape, input->n_dims, text));
    gf_status st = add_weight(layer, "kernel", true, (size_t[]){input->shape[0], units}, 2, err);
    if (st == GF_OK && layer->config.has_bias)
        st = add_weight(layer, "bias", true, &units, 1, err);
    if (st != GF_OK)
        return st;
    return set_shape(layer, &units, 1, err);
}
