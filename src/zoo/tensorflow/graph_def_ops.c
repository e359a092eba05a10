/* zoo/tensorflow/graph_def_ops.c: TensorFlow's operators with windows, matrices and shapes. */
#include <string.h>

#include "zoo/tensorflow/graph_def_priv.h"

/* ---- windows --------------------------------------------------------------------------------- */

/* The middle two of four, the others being 1. */
static gf_status middle_pair(const gf__def_op *at, const char *key, bool is_needed, size_t out[2],
                             gf_error *err)
{
    const GfTf__AttrValue *value = gf__def_attr(at->node, key);
    const GfTf__ListValue *list = value != NULL ? value->list : NULL;
    out[0] = out[1] = 1;
    if (list == NULL || list->n_i == 0)
        return is_needed ? gf__def_refuse(at, "without strides or a window", err) : GF_OK;
    if (list->n_i != 4 || list->i[0] != 1 || list->i[3] != 1 || list->i[1] < 1 || list->i[2] < 1 ||
        list->i[1] > 65536 || list->i[2] > 65536)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "node \"%.100s\" (%.40s): %s must be [1,height,width,1]",
                            at->node->name, at->node->op, key);
    out[0] = (size_t)list->i[1];
    out[1] = (size_t)list->i[2];
    return GF_OK;
}

/* [0,0, top,bottom, left,right, 0,0] */
static gf_status set_padding(const gf__def_op *at, const int64_t *values, size_t n,
                             size_t padding[4], gf_error *err)
{
    bool is_good = n == 8 && values[0] == 0 && values[1] == 0 && values[6] == 0 && values[7] == 0;
    for (size_t i = 0; is_good && i < 4; i++) {
        is_good = values[2 + i] >= 0 && values[2 + i] <= 65536;
        padding[i] = is_good ? (size_t)values[2 + i] : 0;
    }
    return is_good ? GF_OK : gf__def_refuse(at, "that pads other than height and width", err);
}

static gf_status read_window(const gf__def_op *at, bool has_size, gf__window *out, gf_error *err)
{
    size_t dilations[2];
    *out = (gf__window){0};
    gf_status st = gf__def_check_layout(at, err);
    if (st == GF_OK)
        st = middle_pair(at, "strides", true, out->strides, err);
    if (st == GF_OK && has_size)
        st = middle_pair(at, "ksize", true, out->kernel, err);
    if (st == GF_OK)
        st = middle_pair(at, "dilations", false, dilations, err);
    if (st != GF_OK)
        return st;
    if (dilations[0] != 1 || dilations[1] != 1)
        return gf__def_refuse(at, "with dilation, which graft does not have", err);
    const GfTf__AttrValue *sides = gf__def_attr(at->node, "explicit_paddings");
    const GfTf__ListValue *list = sides != NULL ? sides->list : NULL;
    out->is_same = gf__def_attr_is(at->node, "padding", "SAME", "");
    if (out->is_same || gf__def_attr_is(at->node, "padding", "VALID", ""))
        return GF_OK;
    if (!gf__def_attr_is(at->node, "padding", "EXPLICIT", "") || list == NULL)
        return gf__def_refuse(at, "with unknown padding", err);
    return set_padding(at, list->i, list->n_i, out->padding, err);
}

/* ---- operators ------------------------------------------------------------------------------- */

gf_status gf__def_add_convolution(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__window window;
    gf_tensor *kernel = NULL;
    gf_status st = read_window(at, false, &window, err);
    if (st == GF_OK)
        st = gf__def_load_input(at, 1, &kernel, err);
    if (st == GF_OK)
        st = strcmp(at->node->op, "Conv2D") == 0
                 ? gf__op_conv2d(at->l->ops, at->node->name, gf__def_value(at, 0), &window, kernel,
                                 NULL, out, err)
                 : gf__op_depthwise(at->l->ops, at->node->name, gf__def_value(at, 0), &window,
                                    kernel, NULL, out, err);
    gf_tensor_free(kernel);
    return st;
}

gf_status gf__def_add_matmul(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf_tensor *kernel = NULL;
    if (gf__def_attr_bool(at->node, "transpose_a", false) ||
        gf__def_attr_bool(at->node, "transpose_b", false))
        return gf__def_refuse(at, "of transposed matrices; a Dense layer has them as they are",
                              err);
    gf_status st = gf__def_load_input(at, 1, &kernel, err);
    if (st == GF_OK)
        st = gf__op_dense(at->l->ops, at->node->name, gf__def_value(at, 0), kernel, NULL, out, err);
    gf_tensor_free(kernel);
    return st;
}

gf_status gf__def_add_bias(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    gf_tensor *bias = NULL;
    gf_status st = gf__def_check_layout(at, err);
    if (st == GF_OK)
        st = gf__def_input(at->l->graph, at->ref, 1, &ref, err);
    if (st == GF_OK)
        st = gf__def_load_vector(at, ref, &bias, err);
    if (st == GF_OK)
        st = gf__op_bias(at->l->ops, at->node->name, gf__def_value(at, 0), bias, out, err);
    gf_tensor_free(bias);
    return st;
}

gf_status gf__def_add_activation(const gf__def_op *at, size_t *out, gf_error *err)
{
    static const struct {
        const char *op;
        gf__activation activation;
    } known[] = {{"Relu", GF__ACTIVATION_RELU},
                 {"Relu6", GF__ACTIVATION_RELU6},
                 {"Sigmoid", GF__ACTIVATION_SIGMOID},
                 {"Softmax", GF__ACTIVATION_SOFTMAX},
                 {"Tanh", GF__ACTIVATION_TANH}};
    size_t i = 0;
    while (strcmp(known[i].op, at->node->op) != 0)
        i++; /* one is: rows of graph_def_layers.c send here */
    const gf__activation activation = known[i].activation;
    return gf__op_activation(at->l->ops, at->node->name, gf__def_value(at, 0), activation, out,
                             err);
}

gf_status gf__def_add_pool(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__window window;
    const gf_status st = read_window(at, true, &window, err);
    if (st != GF_OK)
        return st;
    if (strcmp(at->node->op, "MaxPool") == 0)
        return gf__op_max_pool(at->l->ops, at->node->name, gf__def_value(at, 0), &window, out, err);
    return gf__op_average_pool(at->l->ops, at->node->name, gf__def_value(at, 0), &window, false,
                               out, err);
}

/* Over height and width alone. */
gf_status gf__def_add_global_pool(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t axes[2] = {0};
    size_t n = 0;
    gf_status st = gf__def_input(at->l->graph, at->ref, 1, &ref, err);
    if (st == GF_OK)
        st = gf__def_numbers(at->l->graph, ref, axes, 2, &n, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < n; i++)
        axes[i] = axes[i] < 0 ? axes[i] + 4 : axes[i];
    size_t shape[3];
    if (n != 2 || axes[0] < 1 || axes[1] < 1 || axes[0] > 2 || axes[0] != 3 - axes[1] ||
        gf__op_shape(at->l->ops, gf__def_value(at, 0), shape) != 3)
        return gf__def_refuse(at, "over other axes than height and width", err);
    return gf__op_global_pool(at->l->ops, at->node->name, gf__def_value(at, 0),
                              strcmp(at->node->op, "Max") == 0,
                              gf__def_attr_bool(at->node, "keep_dims", false), out, err);
}

/* Along the last axis; Concat has the axis first, ConcatV2 last. */
gf_status gf__def_add_concat(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t axis = 0;
    size_t n = 0, shape[3];
    const bool is_old = strcmp(at->node->op, "Concat") == 0;
    gf_status st = gf__def_input(at->l->graph, at->ref, is_old ? 0 : at->n_data, &ref, err);
    if (st == GF_OK)
        st = gf__def_numbers(at->l->graph, ref, &axis, 1, &n, err);
    if (st != GF_OK)
        return st;
    const size_t n_dims = gf__op_shape(at->l->ops, gf__def_value(at, 0), shape);
    if (n != 1 || (axis != -1 && axis != (int64_t)n_dims))
        return gf__def_refuse(at, "along another axis than the channels", err);
    size_t *in = gf__calloc(at->n_data, sizeof *in);
    if (in == NULL)
        return gf__error_nomem(err, "inputs", at->n_data * sizeof *in);
    for (size_t i = 0; i < at->n_data; i++)
        in[i] = gf__def_value(at, i);
    st = gf__op_concat(at->l->ops, at->node->name, in, at->n_data, out, err);
    gf__free(in);
    return st;
}

gf_status gf__def_add_sum(const gf__def_op *at, size_t *out, gf_error *err)
{
    size_t *in = gf__calloc(at->n_data, sizeof *in);
    if (in == NULL)
        return gf__error_nomem(err, "inputs", at->n_data * sizeof *in);
    for (size_t i = 0; i < at->n_data; i++)
        in[i] = gf__def_value(at, i);
    const gf_status st = gf__op_add(at->l->ops, at->node->name, in, at->n_data, out, err);
    gf__free(in);
    return st;
}

gf_status gf__def_add_pad(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t values[8] = {0};
    size_t n = 0, padding[4];
    gf_tensor *filling = NULL;
    gf_status st = gf__def_input(at->l->graph, at->ref, 1, &ref, err);
    if (st == GF_OK)
        st = gf__def_numbers(at->l->graph, ref, values, 8, &n, err);
    if (st == GF_OK)
        st = set_padding(at, values, n, padding, err);
    if (st == GF_OK && strcmp(at->node->op, "PadV2") == 0)
        st = gf__def_load_input(at, 2, &filling, err);
    if (st == GF_OK && filling != NULL && !gf__tensor_is_all(filling, 0.0f))
        st = gf__def_refuse(at, "that pads with other values than 0", err);
    gf_tensor_free(filling);
    if (st != GF_OK)
        return st;
    return gf__op_pad(at->l->ops, at->node->name, gf__def_value(at, 0), padding, out, err);
}

/* To (batch, values): of a shape that is written, or put together from the batch and a number. */
gf_status gf__def_add_reshape(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t target[4] = {0};
    size_t n = 0, shape[3], n_values = 1;
    gf_status st = gf__def_input(at->l->graph, at->ref, 1, &ref, err);
    if (st == GF_OK && gf__def_is_op(at->l->graph, ref, "Pack") &&
        gf__def_n_inputs(gf__def_node_at(at->l->graph, ref)) == 2) {
        st = gf__def_input(at->l->graph, ref, 1, &ref, err);
        if (st == GF_OK)
            st = gf__def_numbers(at->l->graph, ref, &target[1], 1, &n, err);
        n++;
    } else if (st == GF_OK) {
        st = gf__def_numbers(at->l->graph, ref, target, 4, &n, err);
    }
    if (st != GF_OK)
        return st;
    const size_t n_dims = gf__op_shape(at->l->ops, gf__def_value(at, 0), shape);
    for (size_t i = 0; i < n_dims; i++)
        n_values *= shape[i];
    if (n != 2 || (target[1] != (int64_t)n_values && target[1] != -1))
        return gf__def_refuse(at, "that is no Flatten", err);
    return gf__op_flatten(at->l->ops, at->node->name, gf__def_value(at, 0), out, err);
}

/* Of a map of 1x1: what is left is a vector. */
gf_status gf__def_add_squeeze(const gf__def_op *at, size_t *out, gf_error *err)
{
    size_t shape[3];
    const size_t n_dims = gf__op_shape(at->l->ops, gf__def_value(at, 0), shape);
    const GfTf__AttrValue *value = gf__def_attr(at->node, "squeeze_dims");
    const GfTf__ListValue *list = value != NULL ? value->list : NULL;
    bool is_good = n_dims == 3 && shape[0] == 1 && shape[1] == 1 && list != NULL && list->n_i == 2;
    for (size_t i = 0; is_good && i < 2; i++)
        is_good = list->i[i] == (int64_t)i + 1 || list->i[i] == (int64_t)i - 3;
    if (!is_good)
        return gf__def_refuse(at, "of something else than height and width of 1", err);
    return gf__op_flatten(at->l->ops, at->node->name, gf__def_value(at, 0), out, err);
}

/* Of whole pixels to float; what else is cast would be rounded. */
gf_status gf__def_add_cast(const gf__def_op *at, size_t *out, gf_error *err)
{
    const GfTf__AttrValue *to = gf__def_attr(at->node, "DstT");
    if (to == NULL || to->type != GF__DEF_TYPE_FLOAT)
        return gf__def_refuse(at, "to another type than float", err);
    *out = gf__def_value(at, 0);
    return GF_OK;
}
