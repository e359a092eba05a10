/* zoo/onnx/onnx_nodes.c: what ONNX' operators mean as layers: a table, and a function for each family. What is
 * not in the table, or says more than a layer can, is refused with the node's name. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/onnx/onnx_priv.h"

/* ---- values ---------------------------------------------------------------------------------- */

void gf__onnx_give(const gf__onnx_at *at, size_t op, gf__onnx_layout layout)
{
    at->out->is_there = true;
    at->out->op = op;
    at->out->layout = layout;
}

void gf__onnx_pass(const gf__onnx_at *at, const gf__onnx_value *from, gf__onnx_layout layout)
{
    gf__onnx_value *out = at->out;
    gf__onnx_give(at, from->op, layout);
    memcpy(out->map, from->map, sizeof out->map);
    out->is_input = from->is_input;
    out->can_take_bias = from->can_take_bias && from->n_uses == 1;
    out->is_not_negative = from->is_not_negative;
}

void gf__onnx_give_like(const gf__onnx_at *at, const gf__onnx_value *from, size_t op)
{
    gf__onnx_give(at, op, from->layout);
    memcpy(at->out->map, from->map, sizeof at->out->map);
}

static const char *const layout_names[GF__ONNX_N_LAYOUTS] = {
    [GF__ONNX_VECTOR] = "a vector",
    [GF__ONNX_FIRST] = "a map with channels first",
    [GF__ONNX_LAST] = "a map with channels last",
    [GF__ONNX_ONE_FIRST] = "a vector as a map of one pixel",
    [GF__ONNX_ONE_LAST] = "a vector as a map of one pixel, channels last",
    [GF__ONNX_FLAT_FIRST] = "a map flattened with channels first",
    [GF__ONNX_CHANNEL] = "one channel of the input",
    [GF__ONNX_CHANNEL_FIRST] = "one channel of the input"};

const char *gf__onnx_layout_text(const gf__onnx_value *value)
{
    return layout_names[value->layout];
}

gf_status gf__onnx_need_layout(const gf__onnx_at *at, const gf__onnx_value *value,
                               gf__onnx_layout layout, gf_error *err)
{
    if (gf__onnx_is_constant(value))
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "its first input is a constant");
    if (value->layout == layout)
        return GF_OK;
    return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "its input is %s, expected %s",
                           gf__onnx_layout_text(value), layout_names[layout]);
}

gf_status gf__onnx_need_computed(const gf__onnx_at *at, const gf__onnx_value *value, gf_error *err)
{
    if (!gf__onnx_is_constant(value))
        return GF_OK;
    return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "its input is a constant");
}

static gf_status need_value(const gf__onnx_at *at, const char *name, int64_t found, int64_t wanted,
                            gf_error *err)
{
    if (found == wanted)
        return GF_OK;
    return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "%s is %lld; only %lld can be run", name,
                           (long long)found, (long long)wanted);
}

bool gf__onnx_has_extra_output(const gf__onnx_at *at)
{
    return at->node->n_output > 1 && at->node->output[1][0] != '\0';
}

/* ---- normalization and activations ----------------------------------------------------------- */

static gf_status run_batch_normalization(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    gf_tensor *weights[4] = {NULL};
    size_t op = 0;
    gf_status st = gf__onnx_need_computed(at, input, err);
    if (st == GF_OK && input->layout != GF__ONNX_VECTOR)
        st = gf__onnx_need_layout(at, input, GF__ONNX_FIRST, err);
    if (st == GF_OK)
        st = need_value(at, "training_mode", gf__onnx_int_of(at, "training_mode", 0), 0, err);
    if (st == GF_OK && gf__onnx_has_extra_output(at)) /* before opset 14 that says so */
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                             "gives mean and variance, too, as it does while training");
    for (size_t i = 0; i < 4 && st == GF_OK; i++)
        st = gf__onnx_floats(at, gf__onnx_input(at, i + 1), &weights[i], err);
    if (st == GF_OK) {
        /* The operator cannot leave gamma out: ones are Keras' layers without it. */
        const gf__op_norm norm = {.gamma = gf__tensor_is_all(weights[0], 1.0f) ? NULL : weights[0],
                                  .beta = weights[1],
                                  .mean = weights[2],
                                  .variance = weights[3],
                                  .epsilon = gf__onnx_float_of(at, "epsilon", 1e-5f)};
        st = gf__op_batch_norm(at->model->ops, at->name, input->op, &norm, &op, err);
    }
    if (st == GF_OK)
        gf__onnx_give_like(at, input, op);
    for (size_t i = 0; i < 4; i++)
        gf_tensor_free(weights[i]);
    return st;
}

static gf_status activate(const gf__onnx_at *at, gf__activation activation, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    size_t op = 0;
    gf_status st = gf__onnx_need_computed(at, input, err);
    if (st == GF_OK)
        st = gf__op_activation(at->model->ops, at->name, input->op, activation, &op, err);
    if (st == GF_OK)
        gf__onnx_give_like(at, input, op);
    at->out->is_not_negative = activation != GF__ACTIVATION_TANH;
    return st;
}

static gf_status run_relu(const gf__onnx_at *at, gf_error *err)
{
    return activate(at, GF__ACTIVATION_RELU, err);
}

static gf_status run_sigmoid(const gf__onnx_at *at, gf_error *err)
{
    return activate(at, GF__ACTIVATION_SIGMOID, err);
}

static gf_status run_tanh(const gf__onnx_at *at, gf_error *err)
{
    return activate(at, GF__ACTIVATION_TANH, err);
}

/* A bound of Clip: an input of one number, or an attribute before opset 11. */
static gf_status read_bound(const gf__onnx_at *at, size_t i, const char *name, float *out,
                            gf_error *err)
{
    gf_tensor *tensor = NULL;
    const gf__onnx_value *value = gf__onnx_input(at, i);
    *out = gf__onnx_float_of(at, name, *out);
    if (value == NULL)
        return GF_OK;
    gf_status st = gf__onnx_floats(at, value, &tensor, err);
    if (st == GF_OK && gf_tensor_n_values(tensor) != 1)
        st = gf__onnx_refuse(at, GF_EFORMAT, err, "%s has %zu values", name,
                             gf_tensor_n_values(tensor));
    if (st == GF_OK)
        *out = gf_tensor_f32(tensor)[0];
    gf_tensor_free(tensor);
    return st;
}

static gf_status run_clip(const gf__onnx_at *at, gf_error *err)
{
    float low = -INFINITY, high = INFINITY;
    gf_status st = read_bound(at, 1, "min", &low, err);
    if (st == GF_OK)
        st = read_bound(at, 2, "max", &high, err);
    if (st != GF_OK)
        return st;
    if (low == 0.0f && high == 6.0f)
        return activate(at, GF__ACTIVATION_RELU6, err);
    if (low == 0.0f && high > 3e38f)
        return activate(at, GF__ACTIVATION_RELU, err);
    return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                           "from %g to %g; only 0 to 6, or 0 and up, can be run", (double)low,
                           (double)high);
}

static gf_status run_softmax(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    gf_status st = gf__onnx_need_computed(at, input, err);
    if (st != GF_OK)
        return st;
    const size_t rank = gf__onnx_rank(input), channels = gf__onnx_channel_axis(input);
    const int64_t axis = gf__onnx_int_of(at, "axis", at->model->opset < 13 ? 1 : -1);
    /* Before opset 13 the axes from that one on were one: the same for the last. */
    const bool is_one = at->model->opset >= 13 || channels == rank - 1;
    if (gf__onnx_axis(axis, rank) != channels || !is_one)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "over axis %lld of %s", (long long)axis,
                               layout_names[input->layout]);
    return activate(at, GF__ACTIVATION_SOFTMAX, err);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static gf_status run_concat(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *first = gf__onnx_input(at, 0);
    const size_t n = at->node->n_input;
    size_t op = 0, *ops = NULL;
    bool is_not_negative = true;
    gf_status st = gf__onnx_need_computed(at, first, err);
    if (st != GF_OK)
        return st;
    if (gf__onnx_is_channel(first))
        return gf__onnx_join_channels(at, err);
    const int64_t axis = gf__onnx_int_of(at, "axis", 1);
    if (first->layout == GF__ONNX_FLAT_FIRST ||
        gf__onnx_axis(axis, gf__onnx_rank(first)) != gf__onnx_channel_axis(first))
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "along axis %lld of %s", (long long)axis,
                               layout_names[first->layout]);
    ops = gf__calloc(n, sizeof *ops);
    if (ops == NULL)
        return gf__error_nomem(err, "inputs of a node", n * sizeof *ops);
    for (size_t i = 0; i < n && st == GF_OK; i++) {
        const gf__onnx_value *value = gf__onnx_input(at, i);
        st = gf__onnx_need_layout(at, value, first->layout, err);
        ops[i] = value->op;
        is_not_negative = is_not_negative && value->is_not_negative;
    }
    if (st == GF_OK && n == 1)
        op = ops[0];
    else if (st == GF_OK)
        st = gf__op_concat(at->model->ops, at->name, ops, n, &op, err);
    if (st == GF_OK)
        gf__onnx_give(at, op, first->layout);
    at->out->is_not_negative = is_not_negative;
    gf__free(ops);
    return st;
}

/* Begins, then ends, of four dimensions: input 1, or an attribute before opset 11. */
static gf_status read_pads(const gf__onnx_at *at, int64_t pads[8], gf_error *err)
{
    const GfOnnx__Attribute *attribute = gf__onnx_attribute(at, "pads");
    const gf__onnx_value *value = gf__onnx_input(at, 1);
    size_t n = 0;
    gf_status st = GF_OK;
    if (value != NULL)
        st = gf__onnx_whole(at, value, pads, 8, &n, err);
    else if (attribute != NULL && attribute->n_ints == 8)
        memcpy(pads, attribute->ints, (n = 8) * sizeof *pads);
    if (st == GF_OK && n != 8)
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "pads has %zu numbers, expected 8", n);
    for (size_t i = 0; st == GF_OK && i < 8; i++)
        if (pads[i] < 0 || pads[i] > 1 << 20)
            st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "pads with %lld", (long long)pads[i]);
    return st;
}

static gf_status run_pad(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    float value = 0.0f;
    int64_t pads[8] = {0};
    size_t op = 0;
    gf_status st = gf__onnx_need_computed(at, input, err);
    if (st == GF_OK && input->layout != GF__ONNX_LAST)
        st = gf__onnx_need_layout(at, input, GF__ONNX_FIRST, err);
    if (st == GF_OK)
        st = read_pads(at, pads, err);
    if (st == GF_OK)
        st = read_bound(at, 2, "value", &value, err);
    if (st != GF_OK)
        return st;
    const size_t h = input->layout == GF__ONNX_FIRST ? 2 : 1;
    const size_t c = gf__onnx_channel_axis(input);
    const bool is_constant = gf__onnx_attribute(at, "mode") == NULL ||
                             gf__onnx_says(at, "mode", "constant");
    if (gf__onnx_input(at, 3) != NULL || !is_constant || value != 0.0f || pads[0] != 0 ||
        pads[4] != 0 || pads[c] != 0 || pads[4 + c] != 0)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                               "pads with something else than zeros around height and width");
    const size_t padding[4] = {(size_t)pads[h], (size_t)pads[4 + h], (size_t)pads[h + 1],
                               (size_t)pads[5 + h]};
    st = gf__op_pad(at->model->ops, at->name, input->op, padding, &op, err);
    if (st == GF_OK)
        gf__onnx_give(at, op, input->layout);
    at->out->is_not_negative = input->is_not_negative;
    return st;
}

/* Drops nothing unless it is told to train. */
static gf_status run_dropout(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *training = gf__onnx_input(at, 2);
    const GfOnnx__Tensor *said = training != NULL ? training->stored : NULL;
    const bool is_off = training == NULL ||
                        (said != NULL && said->raw_data.len == 1 && said->raw_data.data[0] == 0) ||
                        (said != NULL && said->n_int32_data == 1 && said->int32_data[0] == 0);
    return is_off ? gf__onnx_same(at, err)
                  : gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "is for training");
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct operator_row {
    const char *name;
    gf__onnx_meaning *run;
    size_t n_low, n_high; /* inputs */
} operators[] = {
    {"Add", gf__onnx_arithmetic, 2, 2},
    {"AveragePool", gf__onnx_average_pool, 1, 1},
    {"BatchNormalization", run_batch_normalization, 5, 5},
    {"Cast", gf__onnx_cast, 1, 1},
    {"Clip", run_clip, 1, 3},
    {"Concat", run_concat, 1, 1024},
    {"Constant", gf__onnx_constant, 0, 0},
    {"Conv", gf__onnx_conv, 2, 3},
    {"Div", gf__onnx_arithmetic, 2, 2},
    {"Dropout", run_dropout, 1, 3},
    {"Flatten", gf__onnx_flatten, 1, 1},
    {"Gather", gf__onnx_gather, 2, 2},
    {"Gemm", gf__onnx_gemm, 2, 3},
    {"GlobalAveragePool", gf__onnx_global_pool, 1, 1},
    {"GlobalMaxPool", gf__onnx_global_pool, 1, 1},
    {"Identity", gf__onnx_same, 1, 1},
    {"MatMul", gf__onnx_matmul, 2, 2},
    {"MaxPool", gf__onnx_max_pool, 1, 1},
    {"Mul", gf__onnx_arithmetic, 2, 2},
    {"Pad", run_pad, 1, 4},
    {"ReduceMax", gf__onnx_reduce, 1, 2},
    {"ReduceMean", gf__onnx_reduce, 1, 2},
    {"Relu", run_relu, 1, 1},
    {"Reshape", gf__onnx_reshape, 2, 2},
    {"Sigmoid", run_sigmoid, 1, 1},
    {"Softmax", run_softmax, 1, 1},
    {"Squeeze", gf__onnx_squeeze, 1, 2},
    {"Sub", gf__onnx_arithmetic, 2, 2},
    {"Sum", gf__onnx_sum, 1, 1024},
    {"Tanh", run_tanh, 1, 1},
    {"Transpose", gf__onnx_transpose, 1, 1},
    {"Unsqueeze", gf__onnx_unsqueeze, 1, 2},
};

static int compare_names(const void *key, const void *row)
{
    return strcmp(key, ((const struct operator_row *)row)->name);
}

static bool is_here(const char *domain)
{
    return domain == NULL || domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0;
}

/* One channel of the input is no layer's value: only to scale it, and to put it back, makes sense. */
static gf_status check_channels(const gf__onnx_at *at, const struct operator_row *row,
                                gf_error *err)
{
    const bool takes_them = row->run == gf__onnx_arithmetic || row->run == gf__onnx_unsqueeze ||
                            row->run == run_concat || row->run == gf__onnx_same ||
                            row->run == gf__onnx_cast;
    for (size_t i = 0; i < at->node->n_input && !takes_them; i++) {
        const gf__onnx_value *value = gf__onnx_input(at, i);
        if (value != NULL && gf__onnx_is_channel(value))
            return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                                   "of one channel of the input, which can only be scaled");
    }
    return GF_OK;
}

gf_status gf__onnx_run(const gf__onnx_at *at, gf_error *err)
{
    const GfOnnx__Node *node = at->node;
    const struct operator_row *row = bsearch(node->op_type, operators,
                                             sizeof operators / sizeof *operators,
                                             sizeof *operators, compare_names);
    if (row == NULL || !is_here(node->domain))
        return gf__onnx_refuse(
            at, GF_EUNSUPPORTED, err, "graft has no layer for this operator%s%.40s",
            is_here(node->domain) ? "" : " of ", is_here(node->domain) ? "" : node->domain);
    if (node->n_input < row->n_low || node->n_input > row->n_high)
        return gf__onnx_refuse(at, GF_EFORMAT, err, "has %zu inputs, expected %zu to %zu",
                               node->n_input, row->n_low, row->n_high);
    for (size_t i = 0; i < node->n_input; i++) {
        const gf__onnx_value *value = gf__onnx_input(at, i);
        if (node->input[i][0] == '\0' && i >= row->n_low)
            continue;
        if (value == NULL || !value->is_there)
            return gf__onnx_refuse(
                at, GF_EFORMAT, err,
                "nothing before it gives its input \"%.60s\": a cycle, or a node "
                "that is missing",
                node->input[i]);
    }
    return check_channels(at, row, err) == GF_OK ? row->run(at, err) : GF_EUNSUPPORTED;
}
