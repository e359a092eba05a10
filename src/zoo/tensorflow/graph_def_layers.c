/* zoo/tensorflow/graph_def_layers.c: TensorFlow's operators by name, each with what it waits for and what
 * layer it becomes. The network is walked from its output backwards, without recursion: graphs
 * of strangers may be long. What no row of the table says is refused by name; what stands in
 * front of the picture is never looked at. */
#include <stdlib.h>
#include <string.h>

#include "zoo/tensorflow/graph_def_priv.h"

#define MAX_WAITING ((size_t)16384) /* operators on the way from the output to the input */

/* ---- the table ------------------------------------------------------------------------------- */

typedef enum waits { FIRST, ALL, ALL_BUT_FIRST, ALL_BUT_LAST, NOT_FIXED } waits;

static const struct row {
    const char *op;
    waits waits; /* for which inputs */
    gf__def_add *add;
} rows[] = {
    {"Conv2D", FIRST, gf__def_add_convolution},
    {"DepthwiseConv2dNative", FIRST, gf__def_add_convolution},
    {"MatMul", FIRST, gf__def_add_matmul},
    {"BiasAdd", FIRST, gf__def_add_bias},
    {"BiasAddV1", FIRST, gf__def_add_bias},
    {"FusedBatchNorm", FIRST, gf__def_add_fused_norm},
    {"FusedBatchNormV2", FIRST, gf__def_add_fused_norm},
    {"FusedBatchNormV3", FIRST, gf__def_add_fused_norm},
    {"BatchNormWithGlobalNormalization", FIRST, gf__def_add_old_norm},
    {"Relu", FIRST, gf__def_add_activation},
    {"Relu6", FIRST, gf__def_add_activation},
    {"Sigmoid", FIRST, gf__def_add_activation},
    {"Softmax", FIRST, gf__def_add_activation},
    {"Tanh", FIRST, gf__def_add_activation},
    {"MaxPool", FIRST, gf__def_add_pool},
    {"AvgPool", FIRST, gf__def_add_pool},
    {"Mean", FIRST, gf__def_add_global_pool},
    {"Max", FIRST, gf__def_add_global_pool},
    {"ConcatV2", ALL_BUT_LAST, gf__def_add_concat},
    {"Concat", ALL_BUT_FIRST, gf__def_add_concat},
    {"AddN", ALL, gf__def_add_sum},
    {"Pad", FIRST, gf__def_add_pad},
    {"PadV2", FIRST, gf__def_add_pad},
    {"Reshape", FIRST, gf__def_add_reshape},
    {"Squeeze", FIRST, gf__def_add_squeeze},
    {"Cast", FIRST, gf__def_add_cast},
    {"Add", NOT_FIXED, gf__def_add_binary},
    {"AddV2", NOT_FIXED, gf__def_add_binary},
    {"Sub", NOT_FIXED, gf__def_add_binary},
    {"Mul", NOT_FIXED, gf__def_add_binary},
    {"RealDiv", NOT_FIXED, gf__def_add_binary},
    {"Div", NOT_FIXED, gf__def_add_binary},
};

static const struct row *find_row(const char *op)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].op, op) == 0)
            return &rows[i];
    }
    return NULL;
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* Inputs from `first` on, n of them, that are not computed from constants where only those
 * count. */
static gf_status collect(gf__def_op *at, size_t first, size_t n, bool leaves_fixed, gf_error *err)
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
            st = gf__def_is_fixed(at->l->graph, *next, 6, &fixed, err);
        at->n_data += st == GF_OK && !fixed;
    }
    return st;
}

static gf_status find_data(gf__def_op *at, const struct row *row, gf_error *err)
{
    const size_t n = gf__def_n_inputs(at->node);
    gf__def_norm norm;
    if (n == 0)
        return gf__def_refuse(at, "without inputs", err);
    switch (row->waits) {
    case FIRST:
        return collect(at, 0, 1, false, err);
    case ALL:
        return collect(at, 0, n, false, err);
    case ALL_BUT_FIRST:
        return n < 2 ? gf__def_refuse(at, "of nothing", err) : collect(at, 1, n - 1, false, err);
    case ALL_BUT_LAST:
        return n < 2 ? gf__def_refuse(at, "of nothing", err) : collect(at, 0, n - 1, false, err);
    case NOT_FIXED:
        break;
    }
    if (n != 2)
        return gf__def_refuse(at, "with other than two inputs", err);
    gf_status st = collect(at, 0, 2, true, err);
    if (st != GF_OK)
        return st;
    if (at->n_data == 0)
        return gf__def_refuse(at, "of constants; the network's values were expected", err);
    gf__def_find_norm(at->l->graph, at->ref, &norm);
    if (norm.is_found) {
        at->data[0] = norm.x;
        at->n_data = 1;
    }
    return GF_OK;
}

static gf_status wait_for(gf__def_walk *l, gf__def_ref ref, gf_error *err)
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

/* Those of a node's inputs that are not there yet go on the stack. The last one first, so that
 * the first is computed first. */
static gf_status wait_for_data(const gf__def_op *at, bool *is_ready, gf_error *err)
{
    gf_status st = GF_OK;
    *is_ready = true;
    for (size_t i = at->n_data; i-- > 0 && st == GF_OK;) {
        const size_t mark = *gf__def_mark(at->l, at->data[i]);
        if (mark == GF__DEF_IN_PROGRESS)
            return gf_error_set(err, GF_EFORMAT,
                                "node \"%.100s\" is computed from itself (a cycle)",
                                at->node->name);
        if (mark >= GF__DEF_FIRST_VALUE)
            continue;
        *is_ready = false;
        st = wait_for(at->l, at->data[i], err);
    }
    return st;
}

static bool is_resize(const char *op)
{
    return strncmp(op, "Resize", 6) == 0;
}

/* The node on top of the stack: its inputs are put there, or it becomes a layer and leaves. */
static gf_status step(gf__def_walk *l, gf_error *err)
{
    gf__def_op at = {.l = l, .ref = l->waiting[l->n_waiting - 1]};
    size_t value = 0;
    bool is_ready = true;
    gf_status st = GF_OK;
    if (*gf__def_mark(l, at.ref) >= GF__DEF_FIRST_VALUE) { /* another one needed it, too */
        l->n_waiting--;
        return GF_OK;
    }
    at.node = gf__def_node_at(l->graph, at.ref);
    const struct row *row = find_row(at.node->op);
    if (at.ref.output != 0)
        st = gf_error_set(err, GF_EUNSUPPORTED, "output %zu of node \"%.100s\" (%.40s) is needed",
                          at.ref.output, at.node->name, at.node->op);
    else if (gf__def_is_placeholder(at.node->op))
        st = gf__def_add_input(&at, &value, err);
    else if (is_resize(at.node->op))
        st = gf__def_add_resized(&at, &value, err);
    else if (row == NULL)
        st = gf__def_refuse(&at, "for which graft has no layer", err);
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
    *gf__def_mark(l, at.ref) = is_ready ? GF__DEF_FIRST_VALUE + value : GF__DEF_IN_PROGRESS;
    l->n_waiting -= is_ready;
    return GF_OK;
}

gf_status gf__def_layers(gf__def_graph *graph, gf__def_ref output, const size_t *picture,
                         const gf_observer *obs, gf__operators *ops, size_t *value, gf_error *err)
{
    gf__def_walk l = {.graph = graph, .ops = ops, .picture = picture};
    gf_status st = wait_for(&l, output, err);
    for (size_t n = 0; st == GF_OK && l.n_waiting > 0; n++) {
        if (n % 64 == 0)
            st = gf__observe_progress(obs, "import", n, 0, "layers", err);
        if (st == GF_OK)
            st = step(&l, err);
    }
    if (st == GF_OK)
        *value = *gf__def_mark(&l, output) - GF__DEF_FIRST_VALUE;
    gf__free(l.waiting);
    return st;
}
