/* export/savedmodel_layers.c: a table from layer class to TensorFlow operators. Nodes are called as Keras
 * calls them (conv2d/kernel, conv2d/Conv2D, conv2d/BiasAdd), weights lie in Const nodes as they are. */
#include <assert.h>
#include <string.h>

#include "export/savedmodel_priv.h"

typedef struct layer_at {
    gf__tf_scope *scope;
    gf__tf *tf;
    const gf_layer *layer;
    const gf__layer_config *config;
    const char *name;
    const char *input; /* the value that its first input gives */
} layer_at;

#define TEXT(at, ...) gf__proto_text((at)->scope->arena, __VA_ARGS__)

static const gf_layer *input_of(const layer_at *at, size_t i)
{
    return gf_graph_layer_at(at->tf->net, (ptrdiff_t)gf_layer_input_at(at->layer, i));
}

static const char *value_of(const layer_at *at, size_t i)
{
    return at->tf->values[gf_layer_input_at(at->layer, i)];
}

/* A node NAME/what; returns its name. */
static const char *add(const layer_at *at, const char *what, const char *op, const char *inputs,
                       const char *settings)
{
    const char *name = TEXT(at, "%s/%s", at->name, what);
    gf__tf_node(at->scope, name, op, inputs, settings);
    return name;
}

/* ---- constants ------------------------------------------------------------------------------- */

static const char *add_weight(const layer_at *at, const char *weight, const char *what)
{
    const gf_tensor *tensor = gf_layer_weight(at->layer, weight);
    const char *name = TEXT(at, "%s/%s", at->name, what);
    gf__tf_floats(at->scope, name, gf_tensor_f32(tensor), gf_tensor_shape(tensor),
                  gf_tensor_n_dims(tensor));
    return name;
}

/* gamma or beta, which a layer may not have: then a constant that Keras does not call a weight. */
static const char *add_vector(const layer_at *at, const char *weight, const char *what, size_t n,
                              float otherwise)
{
    if (gf_layer_weight(at->layer, weight) != NULL)
        return add_weight(at, weight, weight);
    const char *name = TEXT(at, "%s/%s", at->name, what);
    float *values = gf__proto_new(at->scope->arena, n * sizeof *values);
    for (size_t i = 0; values != NULL && i < n; i++)
        values[i] = otherwise;
    gf__tf_floats(at->scope, name, values, &n, values != NULL);
    return name;
}

static const char *add_numbers(const layer_at *at, const char *what, const int32_t *values,
                               const size_t *shape, size_t n_dims)
{
    const char *name = TEXT(at, "%s/%s", at->name, what);
    gf__tf_numbers(at->scope, name, values, shape, n_dims);
    return name;
}

gf_status gf__tf_check_numbers(const char *layer, const char *what, const size_t *values, size_t n,
                               gf_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (values[i] > INT32_MAX)
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "layer \"%.120s\": %s of %zu; in TensorFlow's shapes are 32 bits, "
                                "which have at most %d",
                                layer, what, values[i], INT32_MAX);
    return GF_OK;
}

/* ---- parts of layers ------------------------------------------------------------------------- */

static const char *add_activation(const layer_at *at, gf__activation activation, const char *value)
{
    switch (activation) {
    case GF__ACTIVATION_LINEAR:
        break;
    case GF__ACTIVATION_RELU:
        return add(at, "Relu", "Relu", value, "float");
    case GF__ACTIVATION_RELU6:
        return add(at, "Relu6", "Relu6", value, "float");
    case GF__ACTIVATION_SOFTMAX:
        return add(at, "Softmax", "Softmax", value, "float");
    case GF__ACTIVATION_TANH:
        return add(at, "Tanh", "Tanh", value, "float");
    case GF__ACTIVATION_SIGMOID:
        return add(at, "Sigmoid", "Sigmoid", value, "float");
    }
    return value;
}

static const char *end_with_bias(const layer_at *at, const char *value)
{
    if (at->config->has_bias)
        value = add(at, "BiasAdd", "BiasAdd",
                    TEXT(at, "%s %s", value, add_weight(at, "bias", "bias")), "float");
    return add_activation(at, at->config->activation, value);
}

/* strides, padding and, where there is a window without weights, its size. */
static const char *window(const layer_at *at, bool has_size)
{
    const gf__layer_config *c = at->config;
    const char *size = has_size ? TEXT(at, "ksize=[1,%zu,%zu,1] ", c->kernel[0], c->kernel[1]) : "";
    return TEXT(at, "float %sstrides=[1,%zu,%zu,1] padding='%s", size, c->strides[0], c->strides[1],
                c->is_same_padding ? "SAME" : "VALID");
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* *value: the name of the layer's output. */
typedef gf_status emit_layer(const layer_at *at, const char **value, gf_error *err);

/* Of pictures: what the decoded ones are, unless a signature brings its own. */
static gf_status emit_input(const layer_at *at, const char **value, gf_error *err)
{
    GfTf__NodeDef *node = NULL;
    if (at->tf->recipe == NULL)
        node = gf__tf_node(at->scope, at->name, "Placeholder", "", "float");
    else
        node = gf__tf_node(at->scope, at->name, "PlaceholderWithDefault", *value, "float");
    gf__tf_set_batch_shape(at->scope, node, "shape", gf_layer_shape(at->layer),
                           gf_layer_n_dims(at->layer));
    *value = at->name;
    return GF_OK;
}

static gf_status emit_conv2d(const layer_at *at, const char **value, gf_error *err)
{
    const char *kernel = add_weight(at, "kernel", "kernel");
    *value = add(at, "Conv2D", "Conv2D", TEXT(at, "%s %s", at->input, kernel), window(at, false));
    *value = end_with_bias(at, *value);
    return GF_OK;
}

static gf_status emit_depthwise(const layer_at *at, const char **value, gf_error *err)
{
    const size_t *strides = at->config->strides;
    if (strides[0] != strides[1])
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "%s: a DepthwiseConv2D with strides %zux%zu; TensorFlow wants the "
                            "same both ways",
                            at->name, strides[0], strides[1]);
    const char *kernel = add_weight(at, "kernel", "depthwise_kernel");
    *value = add(at, "depthwise", "DepthwiseConv2dNative", TEXT(at, "%s %s", at->input, kernel),
                 window(at, false));
    *value = end_with_bias(at, *value);
    return GF_OK;
}

/* x * (gamma / sqrt(variance + epsilon)) + (beta - mean * that), as Keras writes it for rows of numbers. */
static const char *normalise_rows(const layer_at *at, const char *gamma, const char *beta,
                                  const char *mean, const char *variance)
{
    float *value = gf__proto_new(at->scope->arena, sizeof *value);
    const char *epsilon = TEXT(at, "%s/batchnorm/add/y", at->name);
    if (value != NULL)
        *value = (float)at->config->epsilon;
    gf__tf_floats(at->scope, epsilon, value, NULL, 0);
    const char *sum = add(at, "batchnorm/add", "AddV2", TEXT(at, "%s %s", variance, epsilon),
                          "float");
    const char *factor = add(at, "batchnorm/Rsqrt", "Rsqrt", sum, "float");
    factor = add(at, "batchnorm/mul", "Mul", TEXT(at, "%s %s", factor, gamma), "float");
    const char *scaled = add(at, "batchnorm/mul_1", "Mul", TEXT(at, "%s %s", at->input, factor),
                             "float");
    const char *moved = add(at, "batchnorm/mul_2", "Mul", TEXT(at, "%s %s", mean, factor), "float");
    moved = add(at, "batchnorm/sub", "Sub", TEXT(at, "%s %s", beta, moved), "float");
    return add(at, "batchnorm/add_1", "AddV2", TEXT(at, "%s %s", scaled, moved), "float");
}

static gf_status emit_batch_normalization(const layer_at *at, const char **value, gf_error *err)
{
    const size_t n_dims = gf_layer_n_dims(at->layer);
    const size_t n = gf_layer_shape(at->layer)[n_dims - 1];
    const char *gamma = add_vector(at, "gamma", "Const", n, 1);
    const char *beta = add_vector(at, "beta", "Const_1", n, 0);
    const char *mean = add_weight(at, "moving_mean", "moving_mean");
    const char *variance = add_weight(at, "moving_variance", "moving_variance");
    if (n_dims == 1) {
        *value = normalise_rows(at, gamma, beta, mean, variance);
        return GF_OK;
    }
    *value = TEXT(at, "%s/FusedBatchNormV3", at->name);
    GfTf__NodeDef *node = gf__tf_node(
        at->scope, *value, "FusedBatchNormV3",
        TEXT(at, "%s %s %s %s %s", at->input, gamma, beta, mean, variance), "float");
    gf__tf_set_float(at->scope, node, "epsilon", (float)at->config->epsilon);
    return GF_OK;
}

static gf_status emit_activation(const layer_at *at, const char **value, gf_error *err)
{
    *value = at->config->activation == GF__ACTIVATION_LINEAR
                 ? add(at, "Identity", "Identity", at->input, "float")
                 : add_activation(at, at->config->activation, at->input);
    return GF_OK;
}

static gf_status emit_relu(const layer_at *at, const char **value, gf_error *err)
{
    const double most = at->config->max_value;
    if (most != 0.0 && most != 6.0)
        return gf_error_set(err, GF_EUNSUPPORTED, "%s: a ReLU up to %g, expected none or 6",
                            at->name, most);
    *value = add_activation(at, most > 0.0 ? GF__ACTIVATION_RELU6 : GF__ACTIVATION_RELU, at->input);
    return GF_OK;
}

static gf_status emit_max_pooling(const layer_at *at, const char **value, gf_error *err)
{
    *value = add(at, "MaxPool", "MaxPool", at->input, window(at, true));
    return GF_OK;
}

static gf_status emit_average_pooling(const layer_at *at, const char **value, gf_error *err)
{
    *value = add(at, "AvgPool", "AvgPool", at->input, window(at, true));
    return GF_OK;
}

static gf_status emit_global_pooling(const layer_at *at, const char **value, gf_error *err)
{
    const bool is_max = at->config->class_id == GF__LAYER_GLOBAL_MAX_POOLING2D;
    const char *op = is_max ? "Max" : "Mean";
    const char *sides = add_numbers(at, TEXT(at, "%s/reduction_indices", op), (int32_t[]){1, 2},
                                    (size_t[]){2}, 1);
    *value = add(at, op, op, TEXT(at, "%s %s", at->input, sides), "float");
    return GF_OK;
}

static gf_status emit_concatenate(const layer_at *at, const char **value, gf_error *err)
{
    const size_t n = gf_layer_n_inputs(at->layer);
    const int32_t axis = (int32_t)gf_layer_n_dims(at->layer);
    const char *inputs = at->input;
    if (n == 1) { /* ConcatV2 wants two */
        *value = add(at, "Identity", "Identity", inputs, "float");
        return GF_OK;
    }
    for (size_t i = 1; i < n; i++)
        inputs = TEXT(at, "%s %s", inputs, value_of(at, i));
    inputs = TEXT(at, "%s %s", inputs, add_numbers(at, "concat/axis", &axis, NULL, 0));
    *value = add(at, "concat", "ConcatV2", inputs, TEXT(at, "float N=%zu", n));
    return GF_OK;
}

static gf_status emit_add(const layer_at *at, const char **value, gf_error *err)
{
    *value = at->input;
    for (size_t i = 1; i < gf_layer_n_inputs(at->layer); i++)
        *value = add(at, i == 1 ? "add" : TEXT(at, "add_%zu", i - 1), "AddV2",
                     TEXT(at, "%s %s", *value, value_of(at, i)), "float");
    return GF_OK;
}

static gf_status emit_zero_padding(const layer_at *at, const char **value, gf_error *err)
{
    const size_t *p = at->config->padding;
    const gf_status st = gf__tf_check_numbers(at->name, "a padding", p, 4, err);
    if (st != GF_OK)
        return st;
    const int32_t pads[] = {0, 0, (int32_t)p[0], (int32_t)p[1], (int32_t)p[2], (int32_t)p[3], 0, 0};
    const char *name = add_numbers(at, "Pad/paddings", pads, (size_t[]){4, 2}, 2);
    *value = add(at, "Pad", "Pad", TEXT(at, "%s %s", at->input, name), "float");
    return GF_OK;
}

static gf_status emit_flatten(const layer_at *at, const char **value, gf_error *err)
{
    const size_t n_values = gf_layer_shape(at->layer)[0];
    const gf_status st = gf__tf_check_numbers(at->name, "a vector", &n_values, 1, err);
    if (st != GF_OK)
        return st;
    const int32_t shape[] = {-1, (int32_t)n_values};
    const char *name = add_numbers(at, "Const", shape, (size_t[]){2}, 1);
    *value = add(at, "Reshape", "Reshape", TEXT(at, "%s %s", at->input, name), "float");
    return GF_OK;
}

static gf_status emit_dense(const layer_at *at, const char **value, gf_error *err)
{
    assert(gf_layer_n_dims(input_of(at, 0)) == 1); /* graph/shapes.c sees to that */
    const char *kernel = add_weight(at, "kernel", "kernel");
    *value = add(at, "MatMul", "MatMul", TEXT(at, "%s %s", at->input, kernel), "float");
    *value = end_with_bias(at, *value);
    return GF_OK;
}

/* Does nothing where nothing is trained. */
static gf_status emit_dropout(const layer_at *at, const char **value, gf_error *err)
{
    *value = add(at, "Identity", "Identity", at->input, "float");
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

gf_status gf__tf_layer(gf__tf *tf, size_t i, gf_error *err)
{
    const gf_layer *layer = gf_graph_layer_at(tf->net, (ptrdiff_t)i);
    layer_at at = {.scope = &tf->graph,
                   .tf = tf,
                   .layer = layer,
                   .config = gf__layer_config_of(layer),
                   .name = gf_layer_name(layer)};
    if (gf_layer_n_inputs(layer) > 0)
        at.input = value_of(&at, 0);
    return emitters[at.config->class_id](&at, &tf->values[i], err);
}
