/* zoo/tensorflow/graph_def_fixed.c: what the rows of TensorFlow's operators read: constants, some of them
 * computed from others, and what is said when one cannot be used. */
#include <string.h>

#include "zoo/tensorflow/graph_def_priv.h"

size_t *gf__def_mark(gf__def_walk *l, gf__def_ref ref)
{
    return &l->graph->frames[ref.frame].marks[ref.node];
}

size_t gf__def_value(const gf__def_op *at, size_t i)
{
    return *gf__def_mark(at->l, at->data[i]) - GF__DEF_FIRST_VALUE;
}

gf_status gf__def_refuse(const gf__def_op *at, const char *why, gf_error *err)
{
    return gf_error_set(err, GF_EUNSUPPORTED, "node \"%.100s\" is an op %.40s %s", at->node->name,
                        at->node->op, why);
}

gf_status gf__def_check_layout(const gf__def_op *at, gf_error *err)
{
    if (!gf__def_attr_is(at->node, "data_format", "NHWC", "NHWC"))
        return gf__def_refuse(at, "with channels first; graft has them last", err);
    return GF_OK;
}

bool gf__def_is_add(const char *op)
{
    return strcmp(op, "Add") == 0 || strcmp(op, "AddV2") == 0;
}

bool gf__def_is_same(gf__def_ref a, gf__def_ref b)
{
    return a.frame == b.frame && a.node == b.node;
}

gf_status gf__def_load_input(const gf__def_op *at, size_t i, gf_tensor **out, gf_error *err)
{
    gf__def_ref ref;
    const gf_status st = gf__def_input(at->l->graph, at->ref, i, &ref, err);
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
gf_status gf__def_is_fixed(gf__def_graph *graph, gf__def_ref ref, int depth, bool *out,
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
            st = gf__def_is_fixed(graph, input, depth - 1, out, err);
    }
    return st;
}

static bool casts_to_real(const GfTf__NodeDef *node)
{
    static const int reals[] = {GF__DEF_TYPE_FLOAT, 2, 14, 19}; /* double, bfloat16, half */
    const GfTf__AttrValue *to = gf__def_attr(node, "DstT");
    for (size_t i = 0; to != NULL && i < sizeof reals / sizeof *reals; i++) {
        if (to->type == reals[i])
            return true;
    }
    return false;
}

/* Whether a vector of n values is still the channels': (1,...,1,n). */
static gf_status keeps_channels(gf__def_graph *graph, gf__def_ref ref, size_t n, bool *out,
                                gf_error *err)
{
    int64_t sides[GF_TENSOR_MAX_DIMS] = {0};
    size_t n_sides = 0;
    gf__def_ref shape;
    gf_status st = gf__def_input(graph, ref, 1, &shape, err);
    if (st == GF_OK)
        st = gf__def_numbers(graph, shape, sides, GF_TENSOR_MAX_DIMS, &n_sides, err);
    if (st != GF_OK)
        return st;
    if (gf__def_is_op(graph, ref, "ExpandDims")) /* in front of them */
        *out = n == 1 || sides[0] == 0;
    else
        *out = n_sides == 0 || sides[n_sides - 1] == -1 || sides[n_sides - 1] == (int64_t)n;
    return GF_OK;
}

/* What unshaped() leaves out must change neither a value nor whose it is. */
static gf_status check_shapers(const gf__def_op *at, gf__def_ref ref, size_t n_values,
                               gf_error *err)
{
    gf__def_graph *graph = at->l->graph;
    gf_status st = GF_OK;
    for (int n = 0; n < 4 && st == GF_OK && IS_ONE_OF(gf__def_node_at(graph, ref)->op, shapers);
         n++) {
        bool is_good = true;
        const GfTf__NodeDef *node = gf__def_node_at(graph, ref);
        if (strcmp(node->op, "Cast") == 0)
            is_good = casts_to_real(node);
        else if (strcmp(node->op, "Squeeze") != 0)
            st = keeps_channels(graph, ref, n_values, &is_good, err);
        if (st == GF_OK && !is_good)
            st = gf__def_refuse(at, "with a constant that is no vector along the channels", err);
        if (st == GF_OK)
            st = gf__def_input(graph, ref, 0, &ref, err);
    }
    return st;
}

/* A vector (C), or one that is spread over a map: (1,1,1,C). */
gf_status gf__def_load_vector(const gf__def_op *at, gf__def_ref ref, gf_tensor **out, gf_error *err)
{
    gf_tensor *tensor = NULL;
    *out = NULL;
    const gf__def_ref outside = ref;
    gf_status st = unshaped(at->l->graph, ref, &ref, err);
    if (st == GF_OK)
        st = gf__def_load(at->l->graph, ref, &tensor, err);
    if (st == GF_OK)
        st = check_shapers(at, outside, gf_tensor_n_values(tensor), err);
    if (st != GF_OK) {
        gf_tensor_free(tensor);
        return st;
    }
    const size_t n_dims = gf_tensor_n_dims(tensor), n = gf_tensor_n_values(tensor);
    if (n_dims == 1 && n > 0) {
        *out = tensor;
        return GF_OK;
    }
    if (n == 0 || (n_dims > 0 && gf_tensor_shape(tensor)[n_dims - 1] != n))
        st = gf__def_refuse(at, "with a constant that is no vector along the channels", err);
    if (st == GF_OK)
        st = gf_tensor_new(GF_DTYPE_F32, &n, 1, out, err);
    if (st == GF_OK)
        memcpy(gf_tensor_mutable_data(*out), gf_tensor_data(tensor), n * sizeof(float));
    gf_tensor_free(tensor);
    return st;
}
