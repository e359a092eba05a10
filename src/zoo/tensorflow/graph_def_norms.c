/* zoo/tensorflow/graph_def_norms.c: batch normalization in the three ways that TensorFlow has it, and
 * constants beside values: a bias, or a scaling of the input. */
#include <stdio.h>
#include <string.h>

#include "zoo/tensorflow/graph_def_priv.h"

#define NAME_TEXT 160

/* ---- one operator ---- */

static void free_norm(gf__op_norm *norm)
{
    gf_tensor_free(norm->gamma);
    gf_tensor_free(norm->beta);
    gf_tensor_free(norm->mean);
    gf_tensor_free(norm->variance);
}

/* Keras writes "Const" for a gamma of ones that is no weight, and for a beta of zeros. */
static void drop_constant(const gf__def_op *at, gf__def_ref ref, float value, gf_tensor **tensor)
{
    const GfTf__NodeDef *node = gf__def_node_at(at->l->graph, ref);
    const char *slash = strrchr(node->name, '/');
    const char *own = slash != NULL ? slash + 1 : node->name;
    const bool is_named = strncmp(own, "Const", 5) == 0 || strncmp(own, "ones", 4) == 0 ||
                          strncmp(own, "zeros", 5) == 0;
    if (!is_named || strcmp(node->op, "Const") != 0 || !gf__tensor_is_all(*tensor, value))
        return;
    gf_tensor_free(*tensor);
    *tensor = NULL;
}

/* gamma, beta, mean, variance from these places; SIZE_MAX: none. */
static gf_status load_norm(const gf__def_op *at, const gf__def_ref places[4],
                           const bool is_there[4], gf__op_norm *norm, gf_error *err)
{
    gf_tensor **tensors[] = {&norm->gamma, &norm->beta, &norm->mean, &norm->variance};
    gf_status st = GF_OK;
    for (size_t i = 0; i < 4 && st == GF_OK; i++) {
        if (is_there[i])
            st = gf__def_load_vector(at, places[i], tensors[i], err);
    }
    if (st == GF_OK && is_there[0])
        drop_constant(at, places[0], 1.0f, &norm->gamma);
    if (st == GF_OK && is_there[1])
        drop_constant(at, places[1], 0.0f, &norm->beta);
    return st;
}

/* Spelled out, its nodes have a scope of their own: "net/norm/batchnorm/add_1" is of net/norm. */
static const char *norm_name(const char *node, char name[NAME_TEXT])
{
    static const char scope[] = "/batchnorm/";
    const char *at = strstr(node, scope);
    if (at == NULL || strchr(at + sizeof scope - 1, '/') != NULL)
        return node;
    const size_t n = (size_t)(at - node) + sizeof scope - 2;
    const size_t n_cut = n < NAME_TEXT ? 0 : n - (NAME_TEXT - 1);
    snprintf(name, NAME_TEXT, "%.*s", (int)(n - n_cut), node + n_cut);
    return name;
}

static gf_status add_loaded_norm(const gf__def_op *at, size_t in, const gf__def_ref places[4],
                                 const bool is_there[4], float epsilon, size_t *out, gf_error *err)
{
    char name[NAME_TEXT];
    gf__op_norm norm = {.epsilon = epsilon};
    gf_status st = load_norm(at, places, is_there, &norm, err);
    if (st == GF_OK)
        st = gf__op_batch_norm(at->l->ops, norm_name(at->node->name, name), in, &norm, out, err);
    free_norm(&norm);
    return st;
}

gf_status gf__def_add_fused_norm(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__def_ref places[4];
    const bool all[4] = {true, true, true, true};
    gf_status st = gf__def_check_layout(at, err);
    if (st == GF_OK && gf__def_attr_bool(at->node, "is_training", true))
        return gf__def_refuse(at, "as it is while training; save the network for inference", err);
    for (size_t i = 0; i < 4 && st == GF_OK; i++)
        st = gf__def_input(at->l->graph, at->ref, 1 + i, &places[i], err);
    if (st != GF_OK)
        return st;
    return add_loaded_norm(at, gf__def_value(at, 0), places, all,
                           gf__def_attr_float(at->node, "epsilon", 1e-4f), out, err);
}

/* TensorFlow 0.x: input, mean, variance, beta, gamma. */
gf_status gf__def_add_old_norm(const gf__def_op *at, size_t *out, gf_error *err)
{
    static const size_t inputs[4] = {4, 3, 1, 2};
    gf__def_ref places[4];
    gf_status st = GF_OK;
    const bool is_there[4] = {gf__def_attr_bool(at->node, "scale_after_normalization", true), true,
                              true, true};
    for (size_t i = 0; i < 4 && st == GF_OK; i++)
        st = gf__def_input(at->l->graph, at->ref, inputs[i], &places[i], err);
    if (st != GF_OK)
        return st;
    return add_loaded_norm(at, gf__def_value(at, 0), places, is_there,
                           gf__def_attr_float(at->node, "variance_epsilon", 1e-3f), out, err);
}

/* ---- spelled out ---- */

/* The two inputs of ref, the one that is first_op (if any) first. False, out untouched, where ref has
 * another op or an input leads nowhere. */
static bool split(gf__def_graph *graph, gf__def_ref ref, const char *op, const char *first_op,
                  gf__def_ref out[2])
{
    gf__def_ref in[2];
    const char *own = gf__def_node_at(graph, ref)->op;
    if (strcmp(own, op) != 0 && !(gf__def_is_add(own) && gf__def_is_add(op)))
        return false;
    if (gf__def_n_inputs(gf__def_node_at(graph, ref)) != 2 ||
        gf__def_input(graph, ref, 0, &in[0], NULL) != GF_OK ||
        gf__def_input(graph, ref, 1, &in[1], NULL) != GF_OK)
        return false;
    const bool is_turned = first_op != NULL && !gf__def_is_op(graph, in[0], first_op) &&
                           gf__def_is_op(graph, in[1], first_op);
    out[0] = in[is_turned ? 1 : 0];
    out[1] = in[is_turned ? 0 : 1];
    return true;
}

/* f: its gamma, variance and epsilon. */
static bool find_factor(gf__def_graph *graph, gf__def_ref f, gf__def_norm *norm)
{
    gf__def_ref parts[2], inner, sum[2];
    norm->is_there[0] = split(graph, f, "Mul", "Rsqrt", parts);
    const gf__def_ref root = norm->is_there[0] ? parts[0] : f;
    norm->places[0] = norm->is_there[0] ? parts[1] : f;
    if (!gf__def_is_op(graph, root, "Rsqrt") ||
        gf__def_input(graph, root, 0, &inner, NULL) != GF_OK ||
        !split(graph, inner, "Add", NULL, sum))
        return false;
    norm->places[3] = sum[0];
    norm->epsilon = sum[1];
    norm->is_there[2] = norm->is_there[3] = true;
    return true;
}

/* The other side of the sum, beta - mean * f, or without beta: -(mean * f), -mean * f. */
static bool find_offset(gf__def_graph *graph, gf__def_ref offset, gf__def_ref f, gf__def_norm *norm)
{
    gf__def_ref sides[2] = {offset, offset}, parts[2];
    norm->is_there[1] = split(graph, offset, "Sub", NULL, sides);
    norm->places[1] = sides[0];
    bool is_negative = norm->is_there[1];
    if (!is_negative && gf__def_is_op(graph, offset, "Neg")) {
        is_negative = true;
        if (gf__def_input(graph, offset, 0, &sides[1], NULL) != GF_OK)
            return false;
    }
    if (!split(graph, sides[1], "Mul", NULL, parts))
        return false;
    const size_t of_mean = gf__def_is_same(parts[1], f) ? 0 : 1;
    norm->places[2] = parts[of_mean];
    if (!gf__def_is_same(parts[1 - of_mean], f))
        return false;
    return is_negative ||
           (gf__def_is_op(graph, norm->places[2], "Neg") &&
            gf__def_input(graph, norm->places[2], 0, &norm->places[2], NULL) == GF_OK);
}

void gf__def_find_norm(gf__def_graph *graph, gf__def_ref sum, gf__def_norm *norm)
{
    gf__def_ref terms[2], product[2];
    *norm = (gf__def_norm){0};
    if (!split(graph, sum, "Add", NULL, terms))
        return;
    for (size_t side = 0; side < 2; side++) {
        if (!split(graph, terms[side], "Mul", NULL, product))
            continue;
        for (size_t k = 0; k < 2; k++) {
            bool is_x_fixed = true;
            if (gf__def_is_fixed(graph, product[1 - k], 6, &is_x_fixed, NULL) != GF_OK ||
                is_x_fixed || !find_factor(graph, product[k], norm) ||
                !find_offset(graph, terms[1 - side], product[k], norm))
                continue;
            norm->x = product[1 - k];
            norm->is_found = true;
            return;
        }
    }
}

gf_status gf__def_add_norm(const gf__def_op *at, const gf__def_norm *norm, size_t *out,
                           gf_error *err)
{
    gf_tensor *epsilon = NULL;
    gf_status st = gf__def_load_vector(at, norm->epsilon, &epsilon, err);
    if (st == GF_OK && gf_tensor_n_values(epsilon) != 1)
        st = gf__def_refuse(at, "with an epsilon for each channel", err);
    if (st == GF_OK)
        st = add_loaded_norm(at, gf__def_value(at, 0), norm->places, norm->is_there,
                             gf_tensor_f32(epsilon)[0], out, err);
    gf_tensor_free(epsilon);
    return st;
}

/* ---- a value and a constant ---- */

#define MAX_SPREAD ((size_t)16 << 20) /* values; networks have a hundred thousand */

/* One number for each channel. No bytes of the file stand for them, nor for the mean and the variance of the layer
 * that they may become. */
static gf_status spread(const gf__def_op *at, gf_tensor **vector, gf_error *err)
{
    size_t shape[3] = {0};
    gf_tensor *wide = NULL;
    const size_t n_dims = gf__op_shape(at->l->ops, gf__def_value(at, 0), shape);
    const gf_status st = gf__plain_norm_vector(shape[n_dims - 1], gf_tensor_f32(*vector)[0], &wide,
                                               err);
    if (st != GF_OK)
        return st;
    at->l->n_spread += 3 * gf_tensor_n_values(wide);
    if (at->l->n_spread > MAX_SPREAD) {
        gf_tensor_free(wide);
        return gf_error_set(
            err, GF_ELIMIT,
            "node \"%.100s\": single numbers become vectors of more than %zu values",
            at->node->name, MAX_SPREAD);
    }
    gf_tensor_free(*vector);
    *vector = wide;
    return GF_OK;
}

/* Of the input: one number scales or shifts all of it. */
static gf_status scale_input(const gf__def_op *at, double c, bool is_constant_first, size_t *out,
                             gf_error *err)
{
    const char *op = at->node->op, *name = at->node->name;
    gf__operators *ops = at->l->ops;
    const size_t in = gf__def_value(at, 0);
    if (gf__def_is_add(op))
        return gf__op_affine(ops, name, in, 1.0, c, out, err);
    if (strcmp(op, "Sub") == 0)
        return gf__op_affine(ops, name, in, is_constant_first ? -1.0 : 1.0,
                             is_constant_first ? c : -c, out, err);
    if (strcmp(op, "Mul") == 0)
        return gf__op_affine(ops, name, in, c, 0.0, out, err);
    if (is_constant_first)
        return gf__def_refuse(at, "by a value that is not constant", err);
    return gf__op_affine(ops, name, in, 1.0 / c, 0.0, out, err);
}

/* Of a layer's output, a number for each channel. Division would have to be rounded. */
static gf_status scale_layer(const gf__def_op *at, gf_tensor *vector, bool is_constant_first,
                             size_t *out, gf_error *err)
{
    const char *op = at->node->op;
    const bool is_sub = strcmp(op, "Sub") == 0 && !is_constant_first;
    float *values = gf_tensor_mutable_data(vector);
    for (size_t i = 0; is_sub && i < gf_tensor_n_values(vector); i++)
        values[i] = -values[i];
    if (gf__def_is_add(op) || is_sub)
        return gf__op_bias(at->l->ops, at->node->name, gf__def_value(at, 0), vector, out, err);
    if (strcmp(op, "Mul") == 0)
        return gf__op_scale(at->l->ops, at->node->name, gf__def_value(at, 0), vector, out, err);
    return gf__def_refuse(at, "with a constant, for which graft has no layer", err);
}

static gf_status add_constant(const gf__def_op *at, gf__def_ref constant, bool is_constant_first,
                              size_t *out, gf_error *err)
{
    gf_tensor *vector = NULL;
    gf_status st = gf__def_load_vector(at, constant, &vector, err);
    if (st != GF_OK)
        return st;
    const float c = gf_tensor_f32(vector)[0];
    size_t shape[3] = {0};
    const size_t n_dims = gf__op_shape(at->l->ops, gf__def_value(at, 0), shape);
    const size_t n_channels = shape[n_dims - 1];
    if (!gf__op_is_input(at->l->ops, gf__def_value(at, 0))) {
        if (gf_tensor_n_values(vector) == 1)
            st = spread(at, &vector, err);
        if (st == GF_OK)
            st = scale_layer(at, vector, is_constant_first, out, err);
    } else if (gf__tensor_is_all(vector, c) &&
               (gf_tensor_n_values(vector) == 1 || gf_tensor_n_values(vector) == n_channels)) {
        st = scale_input(at, (double)c, is_constant_first, out, err);
    } else {
        st = gf__def_refuse(at,
                            "with another number for each channel of the input; graft scales "
                            "all channels the same way",
                            err);
    }
    gf_tensor_free(vector);
    return st;
}

gf_status gf__def_add_binary(const gf__def_op *at, size_t *out, gf_error *err)
{
    gf__def_norm norm;
    gf__def_ref inputs[2];
    gf_status st = GF_OK;
    if (at->n_data == 2)
        return gf__def_is_add(at->node->op)
                   ? gf__def_add_sum(at, out, err)
                   : gf__def_refuse(at, "of two values that are not constant; graft can add only",
                                    err);
    gf__def_find_norm(at->l->graph, at->ref, &norm);
    if (norm.is_found)
        return gf__def_add_norm(at, &norm, out, err);
    for (size_t i = 0; i < 2 && st == GF_OK; i++)
        st = gf__def_input(at->l->graph, at->ref, i, &inputs[i], err);
    if (st != GF_OK)
        return st;
    const bool is_first = gf__def_is_same(inputs[1], at->data[0]);
    return add_constant(at, inputs[is_first ? 0 : 1], is_first, out, err);
}
