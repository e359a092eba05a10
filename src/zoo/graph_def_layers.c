/* zoo/graph_def_layers.c: TensorFlow's operators by name, each with what it waits for and what layer it becomes. The
 * network is walked from its output backwards, without recursion: graphs of strangers may be long. What no
 * row of the table says is refused by name; what stands in front of the picture is never looked at. */
#include <stdlib.h>
#include <string.h>

#include "zoo/graph_def.h"
#include "zoo/operators.h"

#define MAX_WAITING ((size_t)16384) /* operators on the way from the output to the input */

enum { UNSEEN, IN_PROGRESS, FIRST_VALUE }; /* a frame's marks; a value v is FIRST_VALUE + v */

typedef struct layers {
    gf__def_graph *graph;
    gf__operators *ops;
    gf__def_ref *waiting; /* a stack */
    size_t n_waiting, capacity;
    gf__def_ref input; /* the placeholder */
    bool has_input;
} layers;

typedef struct op_at {
    layers *l;
    gf__def_ref ref;
    const GfTf__NodeDef *node;
    gf__def_ref *data; /* what it waits for */
    size_t n_data;
} op_at;

typedef gf_status add_op(const op_at *at, size_t *out, gf_error *err);

static size_t *mark_of(layers *l, gf__def_ref ref)
{
    return &l->graph->frames[ref.frame].marks[ref.node];
}

static size_t value_of(const op_at *at, size_t i)
{
    return *mark_of(at->l, at->data[i]) - FIRST_VALUE;
}

static gf_status refuse(const op_at *at, const char *why, gf_error *err)
{
    return gf_error_set(err, GF_EUNSUPPORTED, "node \"%.100s\" is an op %.40s %s", at->node->name,
                        at->node->op, why);
}

static gf_status constant_input(const op_at *at, size_t i, gf__def_ref *out, gf_error *err)
{
    return gf__def_input(at->l->graph, at->ref, i, out, err);
}

static gf_status load_input(const op_at *at, size_t i, gf_tensor **out, gf_error *err)
{
    gf__def_ref ref;
    const gf_status st = constant_input(at, i, &ref, err);
    return st == GF_OK ? gf__def_load(at->l->graph, ref, out, err) : st;
}

/* ---- constants that are computed ------------------------------------------------------------- */

static const char *const shapers[] = {"Reshape", "ExpandDims", "Squeeze", "Cast"};

static bool is_one_of(const char *op, const char *const *ops, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(op, ops[i]) == 0)
            return true;
    }
    return false;
}
#define IS_ONE_OF(op, ops) is_one_of(op, ops, sizeof(ops) / sizeof *(ops))

/* What is behind reshaping: Keras 3 gives a bias of (C) the shape (1,1,1,C). */
static gf_status unshaped(gf__def_graph *graph, gf__def_ref ref, gf__def_ref *out, gf_error *err)
{
    gf_status st = GF_OK;
    *out = ref;
    for (int n = 0; n < 4 && st == GF_OK && IS_ONE_OF(gf__def_node_at(graph, *out)->op, shapers);
         n++)
        st = gf__def_input(graph, *out, 0, out, err);
    return st;
}

/* Computed from constants alone, in a few steps. */
static gf_status is_fixed(gf__def_graph *graph, gf__def_ref ref, int depth, bool *out,
                          gf_error *err)
{
    static const char *const sums[] = {"Mul", "Add", "AddV2", "Sub", "Rsqrt", "Neg"};
    gf_status st = unshaped(graph, ref, &ref, err);
    *out = st == GF_OK && gf__def_is_constant(graph, ref);
    if (st != GF_OK || *out || depth == 0 || !IS_ONE_OF(gf__def_node_at(graph, ref)->op, sums))
        return st;
    const size_t n = gf__def_n_inputs(gf__def_node_at(graph, ref));
    *out = n > 0;
    for (size_t i = 0; i < n && i < 2 && *out && st == GF_OK; i++) {
        gf__def_ref input;
        st = gf__def_input(graph, ref, i, &input, err);
        if (st == GF_OK)
            st = is_fixed(graph, input, depth - 1, out, err);
    }
    return st;
}

/* A vector (C), or one that is spread over a map: (1,1,1,C). */
static gf_status load_vector(const op_at *at, gf__def_ref ref, gf_tensor **out, gf_error *err)
{
    gf_tensor *tensor = NULL;
    *out = NULL;
    gf_status st = unshaped(at->l->graph, ref, &ref, err);
    if (st == GF_OK)
        st = gf__def_load(at->l->graph, ref, &tensor, err);
    if (st != GF_OK)
        return st;
    const size_t n_dims = gf_tensor_n_dims(tensor), n = gf_tensor_n_values(tensor);
    if (n_dims == 1 && n > 0) {
        *out = tensor;
        return GF_OK;
    }
    if (n == 0 || (n_dims > 0 && gf_tensor_shape(tensor)[n_dims - 1] != n))
        st = refuse(at, "with a constant that is no vector along the channels", err);
    if (st == GF_OK)
        st = gf_tensor_new(GF_DTYPE_F32, &n, 1, out, err);
    if (st == GF_OK)
        memcpy(gf_tensor_mutable_data(*out), gf_tensor_data(tensor), n * sizeof(float));
    gf_tensor_free(tensor);
    return st;
}

/* ---- windows --------------------------------------------------------------------------------- */

static gf_status check_layout(const op_at *at, gf_error *err)
{
    if (!gf__def_attr_is(at->node, "data_format", "NHWC", "NHWC"))
        return refuse(at, "with channels first; graft has them last", err);
    return GF_OK;
}

/* The middle two of four, the others being 1. */
static gf_status middle_pair(const op_at *at, const char *key, bool is_needed, size_t out[2],
                             gf_error *err)
{
    const GfTf__AttrValue *value = gf__def_attr(at->node, key);
    const GfTf__ListValue *list = value != NULL ? value->list : NULL;
    out[0] = out[1] = 1;
    if (list == NULL || list->n_i == 0)
        return is_needed ? refuse(at, "without strides or a window", err) : GF_OK;
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
static gf_status set_padding(const op_at *at, const int64_t *values, size_t n, size_t padding[4],
                             gf_error *err)
{
    bool is_good = n == 8 && values[0] == 0 && values[1] == 0 && values[6] == 0 && values[7] == 0;
    for (size_t i = 0; is_good && i < 4; i++) {
        is_good = values[2 + i] >= 0 && values[2 + i] <= 65536;
        padding[i] = is_good ? (size_t)values[2 + i] : 0;
    }
    return is_good ? GF_OK : refuse(at, "that pads other than height and width", err);
}

static gf_status read_window(const op_at *at, bool has_size, gf__window *out, gf_error *err)
{
    size_t dilations[2];
    *out = (gf__window){0};
    gf_status st = check_layout(at, err);
    if (st == GF_OK)
        st = middle_pair(at, "strides", true, out->strides, err);
    if (st == GF_OK && has_size)
        st = middle_pair(at, "ksize", true, out->kernel, err);
    if (st == GF_OK)
        st = middle_pair(at, "dilations", false, dilations, err);
    if (st != GF_OK)
        return st;
    if (dilations[0] != 1 || dilations[1] != 1)
        return refuse(at, "with dilation, which graft does not have", err);
    const GfTf__AttrValue *sides = gf__def_attr(at->node, "explicit_paddings");
    const GfTf__ListValue *list = sides != NULL ? sides->list : NULL;
    out->is_same = gf__def_attr_is(at->node, "padding", "SAME", "");
    if (out->is_same || gf__def_attr_is(at->node, "padding", "VALID", ""))
        return GF_OK;
    if (!gf__def_attr_is(at->node, "padding", "EXPLICIT", "") || list == NULL)
        return refuse(at, "with unknown padding", err);
    return set_padding(at, list->i, list->n_i, out->padding, err);
}

/* ---- operators ------------------------------------------------------------------------------- */

static gf_status add_convolution(const op_at *at, size_t *out, gf_error *err)
{
    gf__window window;
    gf_tensor *kernel = NULL;
    gf_status st = read_window(at, false, &window, err);
    if (st == GF_OK)
        st = load_input(at, 1, &kernel, err);
    if (st == GF_OK)
        st = strcmp(at->node->op, "Conv2D") == 0
                 ? gf__op_conv2d(at->l->ops, at->node->name, value_of(at, 0), &window, kernel, NULL,
                                 out, err)
                 : gf__op_depthwise(at->l->ops, at->node->name, value_of(at, 0), &window, kernel,
                                    NULL, out, err);
    gf_tensor_free(kernel);
    return st;
}

static gf_status add_matmul(const op_at *at, size_t *out, gf_error *err)
{
    gf_tensor *kernel = NULL;
    if (gf__def_attr_bool(at->node, "transpose_a", false) ||
        gf__def_attr_bool(at->node, "transpose_b", false))
        return refuse(at, "of transposed matrices; a Dense layer has them as they are", err);
    gf_status st = load_input(at, 1, &kernel, err);
    if (st == GF_OK)
        st = gf__op_dense(at->l->ops, at->node->name, value_of(at, 0), kernel, NULL, out, err);
    gf_tensor_free(kernel);
    return st;
}

static gf_status add_bias(const op_at *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    gf_tensor *bias = NULL;
    gf_status st = check_layout(at, err);
    if (st == GF_OK)
        st = constant_input(at, 1, &ref, err);
    if (st == GF_OK)
        st = load_vector(at, ref, &bias, err);
    if (st == GF_OK)
        st = gf__op_bias(at->l->ops, at->node->name, value_of(at, 0), bias, out, err);
    gf_tensor_free(bias);
    return st;
}

static void free_norm(gf__op_norm *norm)
{
    gf_tensor_free(norm->gamma);
    gf_tensor_free(norm->beta);
    gf_tensor_free(norm->mean);
    gf_tensor_free(norm->variance);
}

/* Keras writes "Const" for a gamma of ones that is no weight, and for a beta of zeros. */
static void drop_constant(const op_at *at, gf__def_ref ref, float value, gf_tensor **tensor)
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
static gf_status load_norm(const op_at *at, const gf__def_ref places[4], const bool is_there[4],
                           gf__op_norm *norm, gf_error *err)
{
    gf_tensor **tensors[] = {&norm->gamma, &norm->beta, &norm->mean, &norm->variance};
    gf_status st = GF_OK;
    for (size_t i = 0; i < 4 && st == GF_OK; i++) {
        if (is_there[i])
            st = load_vector(at, places[i], tensors[i], err);
    }
    if (st == GF_OK && is_there[0])
        drop_constant(at, places[0], 1.0f, &norm->gamma);
    if (st == GF_OK && is_there[1])
        drop_constant(at, places[1], 0.0f, &norm->beta);
    return st;
}

static gf_status add_loaded_norm(const op_at *at, size_t in, const gf__def_ref places[4],
                                 const bool is_there[4], float epsilon, size_t *out, gf_error *err)
{
    gf__op_norm norm = {.epsilon = epsilon};
    gf_status st = load_norm(at, places, is_there, &norm, err);
    if (st == GF_OK)
        st = gf__op_batch_norm(at->l->ops, at->node->name, in, &norm, out, err);
    free_norm(&norm);
    return st;
}

static gf_status add_fused_norm(const op_at *at, size_t *out, gf_error *err)
{
    gf__def_ref places[4];
    const bool all[4] = {true, true, true, true};
    gf_status st = check_layout(at, err);
    if (st == GF_OK && gf__def_attr_bool(at->node, "is_training", true))
        return refuse(at, "as it is while training; save the network for inference", err);
    for (size_t i = 0; i < 4 && st == GF_OK; i++)
        st = constant_input(at, 1 + i, &places[i], err);
    if (st != GF_OK)
        return st;
    return add_loaded_norm(at, value_of(at, 0), places, all,
                           gf__def_attr_float(at->node, "epsilon", 1e-4f), out, err);
}

/* TensorFlow 0.x: input, mean, variance, beta, gamma. */
static gf_status add_old_norm(const op_at *at, size_t *out, gf_error *err)
{
    static const size_t inputs[4] = {4, 3, 1, 2};
    gf__def_ref places[4];
    gf_status st = GF_OK;
    const bool is_there[4] = {gf__def_attr_bool(at->node, "scale_after_normalization", true), true,
                              true, true};
    for (size_t i = 0; i < 4 && st == GF_OK; i++)
        st = constant_input(at, inputs[i], &places[i], err);
    if (st != GF_OK)
        return st;
    return add_loaded_norm(at, value_of(at, 0), places, is_there,
                           gf__def_attr_float(at->node, "variance_epsilon", 1e-3f), out, err);
}

static gf_status add_activation(const op_at *at, size_t *out, gf_error *err)
{
    const char *op = at->node->op;
    const gf__activation activation = strcmp(op, "Relu") == 0    ? GF__ACTIVATION_RELU
                                      : strcmp(op, "Relu6") == 0 ? GF__ACTIVATION_RELU6
                                                                 : GF__ACTIVATION_SOFTMAX;
    return gf__op_activation(at->l->ops, at->node->name, value_of(at, 0), activation, out, err);
}

static gf_status add_pool(const op_at *at, size_t *out, gf_error *err)
{
    gf__window window;
    const gf_status st = read_window(at, true, &window, err);
    if (st != GF_OK)
        return st;
    if (strcmp(at->node->op, "MaxPool") == 0)
        return gf__op_max_pool(at->l->ops, at->node->name, value_of(at, 0), &window, out, err);
    return gf__op_average_pool(at->l->ops, at->node->name, value_of(at, 0), &window, false, out,
                               err);
}

/* Over height and width alone. */
static gf_status add_global_pool(const op_at *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t axes[2] = {0};
    size_t n = 0;
    gf_status st = constant_input(at, 1, &ref, err);
    if (st == GF_OK)
        st = gf__def_numbers(at->l->graph, ref, axes, 2, &n, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < n; i++)
        axes[i] = axes[i] < 0 ? axes[i] + 4 : axes[i];
    size_t shape[3];
    if (n != 2 || axes[0] + axes[1] != 3 || axes[0] < 1 || axes[1] < 1 ||
        gf__op_shape(at->l->ops, value_of(at, 0), shape) != 3)
        return refuse(at, "over other axes than height and width", err);
    return gf__op_global_pool(at->l->ops, at->node->name, value_of(at, 0),
                              strcmp(at->node->op, "Max") == 0,
                              gf__def_attr_bool(at->node, "keep_dims", false), out, err);
}

/* Along the last axis; Concat has the axis first, ConcatV2 last. */
static gf_status add_concat(const op_at *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t axis = 0;
    size_t n = 0, shape[3];
    const bool is_old = strcmp(at->node->op, "Concat") == 0;
    gf_status st = constant_input(at, is_old ? 0 : at->n_data, &ref, err);
    if (st == GF_OK)
        st = gf__def_numbers(at->l->graph, ref, &axis, 1, &n, err);
    if (st != GF_OK)
        return st;
    const size_t n_dims = gf__op_shape(at->l->ops, value_of(at, 0), shape);
    if (n != 1 || (axis != -1 && axis != (int64_t)n_dims))
        return refuse(at, "along another axis than the channels", err);
    size_t *in = gf__calloc(at->n_data, sizeof *in);
    if (in == NULL)
        return gf__error_nomem(err, "inputs", at->n_data * sizeof *in);
    for (size_t i = 0; i < at->n_data; i++)
        in[i] = value_of(at, i);
    st = gf__op_concat(at->l->ops, at->node->name, in, at->n_data, out, err);
    gf__free(in);
    return st;
}

static gf_status add_sum(const op_at *at, size_t *out, gf_error *err)
{
    size_t *in = gf__calloc(at->n_data, sizeof *in);
    if (in == NULL)
        return gf__error_nomem(err, "inputs", at->n_data * sizeof *in);
    for (size_t i = 0; i < at->n_data; i++)
        in[i] = value_of(at, i);
    const gf_status st = gf__op_add(at->l->ops, at->node->name, in, at->n_data, out, err);
    gf__free(in);
    return st;
}

static gf_status add_pad(const op_at *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t values[8] = {0};
    size_t n = 0, padding[4];
    gf_tensor *filling = NULL;
    gf_status st = constant_input(at, 1, &ref, err);
    if (st == GF_OK)
        st = gf__def_numbers(at->l->graph, ref, values, 8, &n, err);
    if (st == GF_OK)
        st = set_padding(at, values, n, padding, err);
    if (st == GF_OK && strcmp(at->node->op, "PadV2") == 0)
        st = load_input(at, 2, &filling, err);
    if (st == GF_OK && filling != NULL && !gf__tensor_is_all(filling, 0.0f))
        st = refuse(at, "that pads with other values than 0", err);
    gf_tensor_free(filling);
    if (st != GF_OK)
        return st;
    return gf__op_pad(at->l->ops, at->node->name, value_of(at, 0), padding, out, err);
}

/* To (batch, values): of a shape that is written, or put together from the batch and a number. */
static gf_status add_reshape(const op_at *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t target[4] = {0};
    size_t n = 0, shape[3], n_values = 1;
    gf_status st = constant_input(at, 1, &ref, err);
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
    const size_t n_dims = gf__op_shape(at->l->ops, value_of(at, 0), shape);
    for (size_t i = 0; i < n_dims; i++)
        n_values *= shape[i];
    if (n != 2 || (target[1] != (int64_t)n_values && target[1] != -1))
        return refuse(at, "that is no Flatten", err);
    return gf__op_flatten(at->l->ops, at->node->name, value_of(at, 0), out, err);
}

/* Of a map of 1x1: what is left is a vector. */
static gf_status add_squeeze(const op_at *at, size_t *out, gf_error *err)
{
    size_t shape[3];
    const size_t n_dims = gf__op_shape(at->l->ops, value_of(at, 0), shape);
    const GfTf__AttrValue *value = gf__def_attr(at->node, "squeeze_dims");
    const GfTf__ListValue *list = value != NULL ? value->list : NULL;
    bool is_good = n_dims == 3 && shape[0] == 1 && shape[1] == 1 && list != NULL && list->n_i == 2;
    for (size_t i = 0; is_good && i < 2; i++)
        is_good = list->i[i] == (int64_t)i + 1 || list->i[i] == (int64_t)i - 3;
    if (!is_good)
        return refuse(at, "of something else than height and width of 1", err);
    return gf__op_flatten(at->l->ops, at->node->name, value_of(at, 0), out, err);
}

enum { TYPE_FLOAT = 1, TYPE_UINT8 = 4 };

/* Of whole pixels to float; what else is cast would be rounded. */
static gf_status add_cast(const op_at *at, size_t *out, gf_error *err)
{
    const GfTf__AttrValue *to = gf__def_attr(at->node, "DstT");
    if (to == NULL || to->type != TYPE_FLOAT)
        return refuse(at, "to another type than float", err);
    *out = value_of(at, 0);
    return GF_OK;
}

/* ---- sums of a value and a constant ---------------------------------------------------------- */

static bool is_add(const char *op)
{
    return strcmp(op, "Add") == 0 || strcmp(op, "AddV2") == 0;
}

/* tf.nn.batch_normalization: x * f + (beta - mean * f), f = rsqrt(variance + epsilon) * gamma. */
typedef struct spelled_norm {
    gf__def_ref x, places[4]; /* gamma, beta, mean, variance */
    bool is_there[4];
    gf__def_ref epsilon;
    bool is_found;
} spelled_norm;

/* The two inputs of ref, the one that is op (if any) first. False where ref has another op. */
static bool split(gf__def_graph *graph, gf__def_ref ref, const char *op, const char *first_op,
                  gf__def_ref out[2])
{
    const char *own = gf__def_node_at(graph, ref)->op;
    if (strcmp(own, op) != 0 && !(is_add(own) && is_add(op)))
        return false;
    if (gf__def_n_inputs(gf__def_node_at(graph, ref)) != 2 ||
        gf__def_input(graph, ref, 0, &out[0], NULL) != GF_OK ||
        gf__def_input(graph, ref, 1, &out[1], NULL) != GF_OK)
        return false;
    if (first_op != NULL && !gf__def_is_op(graph, out[0], first_op) &&
        gf__def_is_op(graph, out[1], first_op)) {
        const gf__def_ref first = out[1];
        out[1] = out[0];
        out[0] = first;
    }
    return true;
}

static bool is_same_node(gf__def_ref a, gf__def_ref b)
{
    return a.frame == b.frame && a.node == b.node;
}

/* f: its gamma, variance and epsilon. */
static bool find_factor(gf__def_graph *graph, gf__def_ref f, spelled_norm *norm)
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

/* The other side of the sum: its beta and mean. */
static bool find_offset(gf__def_graph *graph, gf__def_ref offset, gf__def_ref f, spelled_norm *norm)
{
    gf__def_ref sides[2] = {offset, offset}, parts[2];
    norm->is_there[1] = split(graph, offset, "Sub", NULL, sides);
    norm->places[1] = sides[0];
    if (!norm->is_there[1] && (!gf__def_is_op(graph, offset, "Neg") ||
                               gf__def_input(graph, offset, 0, &sides[1], NULL) != GF_OK))
        return false;
    if (!split(graph, sides[1], "Mul", NULL, parts))
        return false;
    const size_t of_mean = is_same_node(parts[1], f) ? 0 : 1;
    norm->places[2] = parts[of_mean];
    return is_same_node(parts[1 - of_mean], f);
}

static void find_spelled_norm(gf__def_graph *graph, gf__def_ref sum, spelled_norm *norm)
{
    gf__def_ref terms[2], product[2];
    *norm = (spelled_norm){0};
    if (!split(graph, sum, "Add", NULL, terms))
        return;
    for (size_t side = 0; side < 2; side++) {
        if (!split(graph, terms[side], "Mul", NULL, product))
            continue;
        for (size_t k = 0; k < 2; k++) {
            bool is_x_fixed = true;
            if (is_fixed(graph, product[1 - k], 6, &is_x_fixed, NULL) != GF_OK || is_x_fixed ||
                !find_factor(graph, product[k], norm) ||
                !find_offset(graph, terms[1 - side], product[k], norm))
                continue;
            norm->x = product[1 - k];
            norm->is_found = true;
            return;
        }
    }
}

static gf_status add_spelled_norm(const op_at *at, const spelled_norm *norm, size_t *out,
                                  gf_error *err)
{
    gf_tensor *epsilon = NULL;
    gf_status st = load_vector(at, norm->epsilon, &epsilon, err);
    if (st == GF_OK && gf_tensor_n_values(epsilon) != 1)
        st = refuse(at, "with an epsilon for each channel", err);
    if (st == GF_OK)
        st = add_loaded_norm(at, value_of(at, 0), norm->places, norm->is_there,
                             gf_tensor_f32(epsilon)[0], out, err);
    gf_tensor_free(epsilon);
    return st;
}

/* The constant beside a value: one number scales or shifts; a vector can only be a bias. */
static gf_status add_constant(const op_at *at, gf__def_ref constant, bool is_constant_first,
                              size_t *out, gf_error *err)
{
    const char *op = at->node->op;
    gf_tensor *vector = NULL;
    gf_status st = load_vector(at, constant, &vector, err);
    if (st != GF_OK)
        return st;
    const double c = (double)gf_tensor_f32(vector)[0];
    const bool is_number = gf__tensor_is_all(vector, gf_tensor_f32(vector)[0]);
    const bool is_sub = strcmp(op, "Sub") == 0;
    const size_t in = value_of(at, 0);
    if (is_add(op) && gf_tensor_n_values(vector) > 1)
        st = gf__op_bias(at->l->ops, at->node->name, in, vector, out, err);
    else if (!is_number)
        st = refuse(at, "with a constant for each channel, for which graft has no layer", err);
    else if (is_add(op))
        st = gf__op_affine(at->l->ops, at->node->name, in, 1.0, c, out, err);
    else if (is_sub)
        st = gf__op_affine(at->l->ops, at->node->name, in, is_constant_first ? -1.0 : 1.0,
                           is_constant_first ? c : -c, out, err);
    else if (strcmp(op, "Mul") == 0)
        st = gf__op_affine(at->l->ops, at->node->name, in, c, 0.0, out, err);
    else if (is_constant_first)
        st = refuse(at, "by a value that is not constant", err);
    else
        st = gf__op_affine(at->l->ops, at->node->name, in, 1.0 / c, 0.0, out, err);
    gf_tensor_free(vector);
    return st;
}

static gf_status add_binary(const op_at *at, size_t *out, gf_error *err)
{
    spelled_norm norm;
    gf__def_ref inputs[2];
    gf_status st = GF_OK;
    if (at->n_data == 2)
        return is_add(at->node->op)
                   ? add_sum(at, out, err)
                   : refuse(at, "of two values that are not constant; graft can add only", err);
    find_spelled_norm(at->l->graph, at->ref, &norm);
    if (norm.is_found)
        return add_spelled_norm(at, &norm, out, err);
    for (size_t i = 0; i < 2 && st == GF_OK; i++)
        st = constant_input(at, i, &inputs[i], err);
    if (st != GF_OK)
        return st;
    const bool is_first = is_same_node(inputs[1], at->data[0]);
    return add_constant(at, inputs[is_first ? 0 : 1], is_first, out, err);
}

/* ---- the table ------------------------------------------------------------------------------- */

typedef enum waits { FIRST, ALL, ALL_BUT_FIRST, ALL_BUT_LAST, NOT_FIXED } waits;

static const struct row {
    const char *op;
    waits waits; /* for which inputs */
    add_op *add;
} rows[] = {
    {"Conv2D", FIRST, add_convolution},
    {"DepthwiseConv2dNative", FIRST, add_convolution},
    {"MatMul", FIRST, add_matmul},
    {"BiasAdd", FIRST, add_bias},
    {"BiasAddV1", FIRST, add_bias},
    {"FusedBatchNorm", FIRST, add_fused_norm},
    {"FusedBatchNormV2", FIRST, add_fused_norm},
    {"FusedBatchNormV3", FIRST, add_fused_norm},
    {"BatchNormWithGlobalNormalization", FIRST, add_old_norm},
    {"Relu", FIRST, add_activation},
    {"Relu6", FIRST, add_activation},
    {"Softmax", FIRST, add_activation},
    {"MaxPool", FIRST, add_pool},
    {"AvgPool", FIRST, add_pool},
    {"Mean", FIRST, add_global_pool},
    {"Max", FIRST, add_global_pool},
    {"ConcatV2", ALL_BUT_LAST, add_concat},
    {"Concat", ALL_BUT_FIRST, add_concat},
    {"AddN", ALL, add_sum},
    {"Pad", FIRST, add_pad},
    {"PadV2", FIRST, add_pad},
    {"Reshape", FIRST, add_reshape},
    {"Squeeze", FIRST, add_squeeze},
    {"Cast", FIRST, add_cast},
    {"Add", NOT_FIXED, add_binary},
    {"AddV2", NOT_FIXED, add_binary},
    {"Sub", NOT_FIXED, add_binary},
    {"Mul", NOT_FIXED, add_binary},
    {"RealDiv", NOT_FIXED, add_binary},
    {"Div", NOT_FIXED, add_binary},
};

static const struct row *find_row(const char *op)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].op, op) == 0)
            return &rows[i];
    }
    return NULL;
}

/* ---- the input ------------------------------------------------------------------------------- */

static bool is_placeholder(const char *op)
{
    return strcmp(op, "Placeholder") == 0 || strcmp(op, "PlaceholderWithDefault") == 0 ||
           strcmp(op, "PlaceholderV2") == 0;
}

/* (batch, height, width, channels), all but the batch written down, or (batch, values). */
static gf_status input_shape(const op_at *at, size_t shape[3], size_t *n_dims, gf_error *err)
{
    const GfTf__AttrValue *value = gf__def_attr(at->node, "shape");
    const GfTf__TensorShape *s = value != NULL ? value->shape : NULL;
    if (s == NULL || s->unknown_rank || (s->n_dim != 2 && s->n_dim != 4))
        return refuse(at, "whose shape is not (batch,height,width,channels)", err);
    *n_dims = s->n_dim - 1;
    for (size_t i = 0; i < *n_dims; i++) {
        if (s->dim[i + 1]->size < 1 || s->dim[i + 1]->size > 1 << 30)
            return refuse(
                at, "of pictures of any size; save the network with a fixed height and width", err);
        shape[i] = (size_t)s->dim[i + 1]->size;
    }
    return GF_OK;
}

/* As the signature calls it: "serving_default_input_1" is input_1. */
static const char *input_name(const char *node)
{
    static const char *const prefixes[] = {"serving_default_", "serve_"};
    for (size_t i = 0; i < 2; i++) {
        const size_t n = strlen(prefixes[i]);
        if (strncmp(node, prefixes[i], n) == 0 && node[n] != '\0')
            return node + n;
    }
    return node;
}

static gf_status add_input(const op_at *at, size_t *out, gf_error *err)
{
    size_t shape[3], n_dims = 0;
    const GfTf__AttrValue *dtype = gf__def_attr(at->node, "dtype");
    if (at->l->has_input)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "nodes \"%.100s\" and \"%.100s\" are both inputs; networks with one "
                            "can be run",
                            gf__def_node_at(at->l->graph, at->l->input)->name, at->node->name);
    if (dtype != NULL && dtype->type != TYPE_FLOAT && dtype->type != TYPE_UINT8)
        return refuse(at, "that takes no pictures of float or uint8", err);
    gf_status st = input_shape(at, shape, &n_dims, err);
    if (st == GF_OK)
        st = gf__op_input(at->l->ops, input_name(at->node->name), shape, n_dims, out, err);
    at->l->has_input = true;
    at->l->input = at->ref;
    return st;
}

static bool is_resize(const char *op)
{
    return strncmp(op, "Resize", 6) == 0;
}

/* Behind it is nothing but a picture being decoded. */
static gf_status check_decoding(const op_at *at, gf_error *err)
{
    gf__def_ref ref = at->ref;
    for (int n = 0; n < 16; n++) {
        const gf_status st = gf__def_input(at->l->graph, ref, 0, &ref, err);
        if (st != GF_OK)
            return st;
        const char *op = gf__def_node_at(at->l->graph, ref)->op;
        if (strncmp(op, "Decode", 6) == 0 || is_placeholder(op))
            return GF_OK;
        if (strcmp(op, "Cast") != 0 && strcmp(op, "ExpandDims") != 0)
            break;
    }
    return refuse(at, "in the middle of the network, which graft does not have", err);
}

/* The old way: the graph decodes a JPEG and resizes it; the network begins with what comes out. */
static gf_status add_resized(const op_at *at, size_t *out, gf_error *err)
{
    gf__def_ref ref;
    int64_t size[2] = {0};
    size_t n = 0;
    gf_status st = at->l->has_input ? refuse(at, "beside another input", err)
                                    : check_decoding(at, err);
    if (st == GF_OK)
        st = constant_input(at, 1, &ref, err);
    if (st == GF_OK)
        st = gf__def_numbers(at->l->graph, ref, size, 2, &n, err);
    if (st != GF_OK)
        return st;
    if (n != 2 || size[0] < 1 || size[1] < 1 || size[0] > 1 << 16 || size[1] > 1 << 16)
        return refuse(at, "to no usable size", err);
    const size_t shape[3] = {(size_t)size[0], (size_t)size[1], 3};
    at->l->has_input = true;
    at->l->input = at->ref;
    return gf__op_input(at->l->ops, "input", shape, 3, out, err);
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* Inputs from `first` on, n of them, that are not computed from constants where only those count. */
static gf_status collect(op_at *at, size_t first, size_t n, bool leaves_fixed, gf_error *err)
{
    gf_status st = GF_OK;
    at->data = gf__calloc(n + 1, sizeof *at->data);
    if (at->data == NULL)
        return gf__error_nomem(err, "inputs", n * sizeof *at->data);
    for (size_t i = first; i < first + n && st == GF_OK; i++) {
        bool fixed = false;
        gf__def_ref *next = &at->data[at->n_data];
        st = gf__def_input(at->l->graph, at->ref, i, next, err);
        if (st == GF_OK && leaves_fixed)
            st = is_fixed(at->l->graph, *next, 6, &fixed, err);
        at->n_data += st == GF_OK && !fixed;
    }
    return st;
}

static gf_status find_data(op_at *at, const struct row *row, gf_error *err)
{
    const size_t n = gf__def_n_inputs(at->node);
    spelled_norm norm;
    if (n == 0)
        return refuse(at, "without inputs", err);
    switch (row->waits) {
    case FIRST:
        return collect(at, 0, 1, false, err);
    case ALL:
        return collect(at, 0, n, false, err);
    case ALL_BUT_FIRST:
        return n < 2 ? refuse(at, "of nothing", err) : collect(at, 1, n - 1, false, err);
    case ALL_BUT_LAST:
        return n < 2 ? refuse(at, "of nothing", err) : collect(at, 0, n - 1, false, err);
    case NOT_FIXED:
        break;
    }
    if (n != 2)
        return refuse(at, "with other than two inputs", err);
    gf_status st = collect(at, 0, 2, true, err);
    if (st != GF_OK)
        return st;
    if (at->n_data == 0)
        return refuse(at, "of constants; the network's values were expected", err);
    find_spelled_norm(at->l->graph, at->ref, &norm);
    if (norm.is_found) {
        at->data[0] = norm.x;
        at->n_data = 1;
    }
    return GF_OK;
}

static gf_status wait_for(layers *l, gf__def_ref ref, gf_error *err)
{
    if (l->n_waiting == MAX_WAITING)
        return gf_error_set(err, GF_ELIMIT, "more than %zu nodes from the output to the input",
                            MAX_WAITING);
    if (l->n_waiting == l->capacity) {
        const size_t capacity = l->capacity == 0 ? 64 : 2 * l->capacity;
        gf__def_ref *waiting = gf__realloc(l->waiting, capacity * sizeof *waiting);
        if (waiting == NULL)
            return gf__error_nomem(err, "nodes", capacity * sizeof *waiting);
        l->waiting = waiting;
        l->capacity = capacity;
    }
    l->waiting[l->n_waiting++] = ref;
    return GF_OK;
}

/* Those of a node's inputs that are not there yet go on the stack. The last one first, so that the first
 * is computed first. */
static gf_status wait_for_data(const op_at *at, bool *is_ready, gf_error *err)
{
    gf_status st = GF_OK;
    *is_ready = true;
    for (size_t i = at->n_data; i-- > 0 && st == GF_OK;) {
        const size_t mark = *mark_of(at->l, at->data[i]);
        if (mark == IN_PROGRESS)
            return gf_error_set(err, GF_EFORMAT,
                                "node \"%.100s\" is computed from itself (a cycle)",
                                at->node->name);
        if (mark >= FIRST_VALUE)
            continue;
        *is_ready = false;
        st = wait_for(at->l, at->data[i], err);
    }
    return st;
}

/* The node on top of the stack: its inputs are put there, or it becomes a layer and leaves. */
static gf_status step(layers *l, gf_error *err)
{
    op_at at = {.l = l, .ref = l->waiting[l->n_waiting - 1]};
    size_t value = 0;
    bool is_ready = true;
    gf_status st = GF_OK;
    if (*mark_of(l, at.ref) >= FIRST_VALUE) { /* another one needed it, too */
        l->n_waiting--;
        return GF_OK;
    }
    at.node = gf__def_node_at(l->graph, at.ref);
    const struct row *row = find_row(at.node->op);
    if (at.ref.output != 0)
        st = gf_error_set(err, GF_EUNSUPPORTED, "output %zu of node \"%.100s\" (%.40s) is needed",
                          at.ref.output, at.node->name, at.node->op);
    else if (is_placeholder(at.node->op))
        st = add_input(&at, &value, err);
    else if (is_resize(at.node->op))
        st = add_resized(&at, &value, err);
    else if (row == NULL)
        st = refuse(&at, "for which graft has no layer", err);
    else
        st = find_data(&at, row, err);
    if (st == GF_OK && row != NULL) {
        st = wait_for_data(&at, &is_ready, err);
        if (st == GF_OK && is_ready)
            st = row->add(&at, &value, err);
    }
    gf__free(at.data);
    if (st != GF_OK)
        return st;
    *mark_of(l, at.ref) = is_ready ? FIRST_VALUE + value : IN_PROGRESS;
    l->n_waiting -= is_ready;
    return GF_OK;
}

gf_status gf__def_layers(gf__def_graph *graph, gf__def_ref output, const gf_observer *obs,
                         gf__operators *ops, size_t *value, gf_error *err)
{
    layers l = {.graph = graph, .ops = ops};
    gf_status st = wait_for(&l, output, err);
    for (size_t n = 0; st == GF_OK && l.n_waiting > 0; n++) {
        if (n % 64 == 0)
            st = gf__observe_progress(obs, "import", n, 0, "layers", err);
        if (st == GF_OK)
            st = step(&l, err);
    }
    if (st == GF_OK)
        *value = *mark_of(&l, output) - FIRST_VALUE;
    gf__free(l.waiting);
    return st;
}
