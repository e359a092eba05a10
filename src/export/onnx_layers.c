/* export/onnx_layers.c: a table from layer class to ONNX operators. ONNX has channels first: pictures
 * are transposed once behind the input, kernels as they are written, and a Flatten of something that
 * is still a map goes back, since Dense kernels count in Keras' order. */
#include <string.h>

#include "export/onnx_priv.h"

typedef struct layer_at {
    gf__onnx *onnx;
    const gf_layer *layer;
    const gf__layer_config *config;
    const char *name;   /* the beginning of every name that is the layer's */
    const char *output; /* the value that it gives */
    const char *input;  /* the value that its first input gives */
} layer_at;

#define INPUTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool is_map(const gf_layer *layer)
{
    return gf_layer_n_dims(layer) == 3;
}

static const gf_layer *input_of(const layer_at *at, size_t i)
{
    return gf_graph_layer_at(at->onnx->net, (ptrdiff_t)gf_layer_input_at(at->layer, i));
}

static const char *value_of(const layer_at *at, size_t i)
{
    return at->onnx->values[gf_layer_input_at(at->layer, i)];
}

/* ---- weights --------------------------------------------------------------------------------- */

/* A vector as it is; of a weight that the layer does not have, all of one value. */
static const char *add_vector(const layer_at *at, const char *weight, size_t n, float otherwise)
{
    const gf_tensor *tensor = gf_layer_weight(at->layer, weight);
    const char *name = gf__proto_text(&at->onnx->arena, "%s/%s", at->name, weight);
    float *values = gf__onnx_weight(at->onnx, name, &n, 1);
    for (size_t i = 0; values != NULL && i < n; i++)
        values[i] = tensor != NULL ? gf_tensor_f32(tensor)[i] : otherwise;
    return name;
}

/* (H,W,I,O) -> (O,I,H,W); of a depthwise kernel (H,W,C,1) -> (C,1,H,W): its last two swapped first. */
static const char *add_kernel(const layer_at *at, bool is_depthwise)
{
    const gf_tensor *tensor = gf_layer_weight(at->layer, "kernel");
    const size_t *have = gf_tensor_shape(tensor);
    const size_t H = have[0], W = have[1], I = is_depthwise ? have[3] : have[2],
                 O = is_depthwise ? have[2] : have[3];
    const char *name = gf__proto_text(&at->onnx->arena, "%s/kernel", at->name);
    const float *from = gf_tensor_f32(tensor);
    float *to = gf__onnx_weight(at->onnx, name, (size_t[]){O, I, H, W}, 4);
    for (size_t o = 0; to != NULL && o < O; o++)
        for (size_t i = 0; i < I; i++)
            for (size_t k = 0; k < H * W; k++)
                to[(o * I + i) * H * W + k] =
                    from[k * I * O + (is_depthwise ? o * I + i : i * O + o)];
    return name;
}

/* ---- parts of layers ------------------------------------------------------------------------- */

/* The operator of an activation from value to output. */
static void add_activation(const layer_at *at, gf__activation activation, const char *value,
                           const char *output)
{
    gf__onnx *onnx = at->onnx;
    switch (activation) {
    case GF__ACTIVATION_LINEAR:
        gf__onnx_node(onnx, "Identity", output, INPUTS(value));
        return;
    case GF__ACTIVATION_RELU:
        gf__onnx_node(onnx, "Relu", output, INPUTS(value));
        return;
    case GF__ACTIVATION_RELU6: {
        const char *low = gf__proto_text(&onnx->arena, "%s/min", at->name);
        const char *high = gf__proto_text(&onnx->arena, "%s/max", at->name);
        float *bound = gf__onnx_weight(onnx, low, NULL, 0);
        if (bound != NULL)
            *bound = 0.0f;
        bound = gf__onnx_weight(onnx, high, NULL, 0);
        if (bound != NULL)
            *bound = 6.0f;
        gf__onnx_node(onnx, "Clip", output, INPUTS(value, low, high));
        return;
    }
    case GF__ACTIVATION_TANH:
        gf__onnx_node(onnx, "Tanh", output, INPUTS(value));
        return;
    case GF__ACTIVATION_SIGMOID:
        gf__onnx_node(onnx, "Sigmoid", output, INPUTS(value));
        return;
    case GF__ACTIVATION_SOFTMAX:
        gf__onnx_int(onnx, gf__onnx_node(onnx, "Softmax", output, INPUTS(value)), "axis",
                     is_map(at->layer) ? 1 : -1);
        return;
    }
}

/* The value before the layer's activation: its output if it has none. */
static const char *before_activation(const layer_at *at)
{
    return at->config->activation == GF__ACTIVATION_LINEAR
               ? at->output
               : gf__proto_text(&at->onnx->arena, "%s/linear", at->name);
}

static void end_with_activation(const layer_at *at, const char *value)
{
    if (at->config->activation != GF__ACTIVATION_LINEAR)
        add_activation(at, at->config->activation, value, at->output);
}

static void set_window(const layer_at *at, GfOnnx__Node *node)
{
    const gf__layer_config *c = at->config;
    const int64_t kernel[] = {(int64_t)c->kernel[0], (int64_t)c->kernel[1]};
    const int64_t strides[] = {(int64_t)c->strides[0], (int64_t)c->strides[1]};
    const int64_t pads[] = {(int64_t)c->padding[0], (int64_t)c->padding[2], (int64_t)c->padding[1],
                            (int64_t)c->padding[3]};
    gf__onnx_ints(at->onnx, node, "kernel_shape", kernel, 2);
    gf__onnx_ints(at->onnx, node, "strides", strides, 2);
    gf__onnx_ints(at->onnx, node, "pads", pads, 4);
}

static void add_transpose(const layer_at *at, const char *value, const char *output, bool is_first)
{
    const int64_t to_first[] = {0, 3, 1, 2}, to_last[] = {0, 2, 3, 1};
    gf__onnx_ints(at->onnx, gf__onnx_node(at->onnx, "Transpose", output, INPUTS(value)), "perm",
                  is_first ? to_first : to_last, 4);
}

/* ---- layers ---------------------------------------------------------------------------------- */

typedef gf_status emit_layer(const layer_at *at, gf_error *err);

static gf_status emit_input(const layer_at *at, gf_error *err)
{
    if (at->onnx->decoded_as != NULL)
        gf__onnx_decoder(at->onnx, at->onnx->decoded_as, at->output);
    else if (is_map(at->layer))
        add_transpose(at, "input", at->output, true);
    else
        gf__onnx_node(at->onnx, "Identity", at->output, INPUTS("input"));
    return GF_OK;
}

static void add_convolution(const layer_at *at, bool is_depthwise)
{
    const size_t n_channels = gf_layer_shape(at->layer)[2];
    const char *kernel = add_kernel(at, is_depthwise), *value = before_activation(at);
    GfOnnx__Node *node = NULL;
    if (at->config->has_bias)
        node = gf__onnx_node(at->onnx, "Conv", value,
                             INPUTS(at->input, kernel, add_vector(at, "bias", n_channels, 0)));
    else
        node = gf__onnx_node(at->onnx, "Conv", value, INPUTS(at->input, kernel));
    set_window(at, node);
    if (is_depthwise)
        gf__onnx_int(at->onnx, node, "group", (int64_t)gf_layer_shape(input_of(at, 0))[2]);
    end_with_activation(at, value);
}

static gf_status emit_conv2d(const layer_at *at, gf_error *err)
{
    add_convolution(at, false);
    return GF_OK;
}

static gf_status emit_depthwise(const layer_at *at, gf_error *err)
{
    add_convolution(at, true);
    return GF_OK;
}

static gf_status emit_batch_normalization(const layer_at *at, gf_error *err)
{
    const size_t n = gf_layer_shape(at->layer)[gf_layer_n_dims(at->layer) - 1];
    const char *scale = add_vector(at, "gamma", n, 1), *shift = add_vector(at, "beta", n, 0);
    const char *mean = add_vector(at, "moving_mean", n, 0);
    const char *variance = add_vector(at, "moving_variance", n, 1);
    GfOnnx__Node *node = gf__onnx_node(at->onnx, "BatchNormalization", at->output,
                                       INPUTS(at->input, scale, shift, mean, variance));
    gf__onnx_float(at->onnx, node, "epsilon", (float)at->config->epsilon);
    return GF_OK;
}

static gf_status emit_activation(const layer_at *at, gf_error *err)
{
    add_activation(at, at->config->activation, at->input, at->output);
    return GF_OK;
}

static gf_status emit_relu(const layer_at *at, gf_error *err)
{
    const double most = at->config->max_value;
    if (most != 0.0 && most != 6.0)
        return gf_error_set(err, GF_EUNSUPPORTED, "%s: a ReLU up to %g, expected none or 6",
                            at->name, most);
    add_activation(at, most > 0.0 ? GF__ACTIVATION_RELU6 : GF__ACTIVATION_RELU, at->input,
                   at->output);
    return GF_OK;
}

static gf_status emit_max_pooling(const layer_at *at, gf_error *err)
{
    set_window(at, gf__onnx_node(at->onnx, "MaxPool", at->output, INPUTS(at->input)));
    return GF_OK;
}

/* Keras averages over what is inside the picture alone; so does ONNX unless told otherwise. */
static gf_status emit_average_pooling(const layer_at *at, gf_error *err)
{
    set_window(at, gf__onnx_node(at->onnx, "AveragePool", at->output, INPUTS(at->input)));
    return GF_OK;
}

static gf_status emit_global_pooling(const layer_at *at, gf_error *err)
{
    const char *op = at->config->class_id == GF__LAYER_GLOBAL_MAX_POOLING2D ? "GlobalMaxPool"
                                                                            : "GlobalAveragePool";
    const char *map = gf__proto_text(&at->onnx->arena, "%s/map", at->name);
    gf__onnx_node(at->onnx, op, map, INPUTS(at->input));
    gf__onnx_node(at->onnx, "Flatten", at->output, INPUTS(map));
    return GF_OK;
}

static gf_status emit_concatenate(const layer_at *at, gf_error *err)
{
    const size_t n = gf_layer_n_inputs(at->layer);
    const char **inputs = gf__proto_new(&at->onnx->arena, (n + 1) * sizeof *inputs);
    if (inputs == NULL)
        return GF_OK; /* the end says so */
    for (size_t i = 0; i < n; i++)
        inputs[i] = value_of(at, i);
    gf__onnx_int(at->onnx, gf__onnx_node(at->onnx, "Concat", at->output, inputs), "axis", 1);
    return GF_OK;
}

static gf_status emit_add(const layer_at *at, gf_error *err)
{
    const char *sum = at->input;
    const size_t n = gf_layer_n_inputs(at->layer);
    for (size_t i = 1; i < n; i++) {
        const char *output = i + 1 == n
                                 ? at->output
                                 : gf__proto_text(&at->onnx->arena, "%s/sum_%zu", at->name, i);
        gf__onnx_node(at->onnx, "Add", output, INPUTS(sum, value_of(at, i)));
        sum = output;
    }
    return GF_OK;
}

static gf_status emit_zero_padding(const layer_at *at, gf_error *err)
{
    const size_t *p = at->config->padding;
    const int64_t pads[] = {0, 0, (int64_t)p[0], (int64_t)p[2], 0, 0, (int64_t)p[1], (int64_t)p[3]};
    const char *name = gf__proto_text(&at->onnx->arena, "%s/pads", at->name);
    gf__onnx_numbers(at->onnx, name, pads, 8);
    gf__onnx_node(at->onnx, "Pad", at->output, INPUTS(at->input, name));
    return GF_OK;
}

static gf_status emit_flatten(const layer_at *at, gf_error *err)
{
    const gf_layer *from = input_of(at, 0);
    const char *value = at->input;
    if (is_map(from) && gf_layer_shape(from)[0] * gf_layer_shape(from)[1] > 1) {
        value = gf__proto_text(&at->onnx->arena, "%s/last", at->name);
        add_transpose(at, at->input, value, false);
    }
    gf__onnx_node(at->onnx, "Flatten", at->output, INPUTS(value));
    return GF_OK;
}

static gf_status emit_dense(const layer_at *at, gf_error *err)
{
    const gf_tensor *kernel = gf_layer_weight(at->layer, "kernel");
    if (gf_layer_n_dims(input_of(at, 0)) != 1)
        return gf_error_set(err, GF_EUNSUPPORTED, "%s: a Dense layer on a map has no operator here",
                            at->name);
    const char *name = gf__proto_text(&at->onnx->arena, "%s/kernel", at->name);
    const char *value = before_activation(at);
    float *to = gf__onnx_weight(at->onnx, name, gf_tensor_shape(kernel), 2);
    if (to != NULL)
        memcpy(to, gf_tensor_f32(kernel), gf_tensor_size_bytes(kernel));
    if (at->config->has_bias)
        gf__onnx_node(at->onnx, "Gemm", value,
                      INPUTS(at->input, name, add_vector(at, "bias", at->config->units, 0)));
    else
        gf__onnx_node(at->onnx, "Gemm", value, INPUTS(at->input, name));
    end_with_activation(at, value);
    return GF_OK;
}

/* Does nothing where nothing is trained. */
static gf_status emit_dropout(const layer_at *at, gf_error *err)
{
    gf__onnx_node(at->onnx, "Identity", at->output, INPUTS(at->input));
    return GF_OK;
}

static emit_layer *const emitters[GF__N_LAYER_CLASSES] = {
    [GF__LAYER_INPUT] = emit_input,
    [GF__LAYER_CONV2D] = emit_conv2d,
    [GF__LAYER_DEPTHWISE_CONV2D] = emit_depthwise,
    [GF__LAYER_BATCH_NORMALIZATION] = emit_batch_normalization,
    [GF__LAYER_ACTIVATION] = emit_activation,
    [GF__LAYER_RELU] = emit_relu,
    [GF__LAYER_MAX_POOLING2D] = emit_max_pooling,
    [GF__LAYER_AVERAGE_POOLING2D] = emit_average_pooling,
    [GF__LAYER_GLOBAL_AVERAGE_POOLING2D] = emit_global_pooling,
    [GF__LAYER_GLOBAL_MAX_POOLING2D] = emit_global_pooling,
    [GF__LAYER_CONCATENATE] = emit_concatenate,
    [GF__LAYER_ADD] = emit_add,
    [GF__LAYER_ZERO_PADDING2D] = emit_zero_padding,
    [GF__LAYER_FLATTEN] = emit_flatten,
    [GF__LAYER_DENSE] = emit_dense,
    [GF__LAYER_DROPOUT] = emit_dropout,
};

gf_status gf__onnx_layer(gf__onnx *onnx, size_t i, gf_error *err)
{
    const gf_layer *layer = gf_graph_layer_at(onnx->net, (ptrdiff_t)i);
    layer_at at = {.onnx = onnx,
                   .layer = layer,
                   .config = gf__layer_config_of(layer),
                   .name = gf_layer_name(layer),
                   .output = gf__proto_text(&onnx->arena, "%s/output", gf_layer_name(layer))};
    if (gf_layer_n_inputs(layer) > 0)
        at.input = value_of(&at, 0);
    onnx->values[i] = at.output;
    return emitters[at.config->class_id](&at, err);
}
