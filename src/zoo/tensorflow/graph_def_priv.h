/* graph_def_priv.h: TensorFlow's operators on their way to layers: graph_def_layers.c walks and
 * has the table, graph_def_ops.c, graph_def_norms.c and graph_def_input.c have its rows,
 * graph_def_fixed.c what they read. */
#ifndef GRAFT_ZOO_GRAPH_DEF_PRIV_H
#define GRAFT_ZOO_GRAPH_DEF_PRIV_H

#include "zoo/operators/operators.h"
#include "zoo/tensorflow/graph_def.h"

enum {
    GF__DEF_UNSEEN,
    GF__DEF_IN_PROGRESS,
    GF__DEF_FIRST_VALUE
}; /* a frame's marks; a value v is
                                                                     GF__DEF_FIRST_VALUE + v */
enum { GF__DEF_TYPE_FLOAT = 1, GF__DEF_TYPE_UINT8 = 4 };

typedef struct gf__def_walk {
    gf__def_graph *graph;
    gf__operators *ops;
    gf__def_ref *waiting; /* a stack */
    size_t n_waiting, capacity;
    const size_t *picture; /* the size where the graph leaves it open, or NULL */
    gf__def_ref input;     /* the placeholder */
    bool has_input;
    size_t n_spread; /* values that were made of single numbers */
} gf__def_walk;

typedef struct gf__def_op {
    gf__def_walk *l;
    gf__def_ref ref;
    const GfTf__NodeDef *node;
    gf__def_ref *data; /* what it waits for */
    size_t n_data;
} gf__def_op;

/* Adds the layer of a node whose inputs are there; *out is its value. */
typedef gf_status gf__def_add(const gf__def_op *at, size_t *out, gf_error *err);

/* ---- what rows use --------------------------------------------------------------------------- */

size_t *gf__def_mark(gf__def_walk *l, gf__def_ref ref);
/* Of input i of those that it waits for. */
size_t gf__def_value(const gf__def_op *at, size_t i);
/* GF_EUNSUPPORTED: node "x" is an op LRN WHY. */
gf_status gf__def_refuse(const gf__def_op *at, const char *why, gf_error *err);
gf_status gf__def_check_layout(const gf__def_op *at, gf_error *err);
bool gf__def_is_add(const char *op);
bool gf__def_is_same(gf__def_ref a, gf__def_ref b);

/* Computed from constants alone, in a few steps. */
gf_status gf__def_is_fixed(gf__def_graph *graph, gf__def_ref ref, int depth, bool *out,
                           gf_error *err);
gf_status gf__def_load_input(const gf__def_op *at, size_t i, gf_tensor **out, gf_error *err);
/* A vector (C), or one that is spread over a map: (1,1,1,C). */
gf_status gf__def_load_vector(const gf__def_op *at, gf__def_ref ref, gf_tensor **out,
                              gf_error *err);

/* ---- rows ------------------------------------------------------------------------------------ */

gf__def_add gf__def_add_convolution, gf__def_add_matmul, gf__def_add_bias, gf__def_add_activation,
    gf__def_add_pool, gf__def_add_global_pool, gf__def_add_concat, gf__def_add_sum, gf__def_add_pad,
    gf__def_add_reshape, gf__def_add_squeeze, gf__def_add_cast, gf__def_add_fused_norm,
    gf__def_add_old_norm, gf__def_add_input, gf__def_add_resized;
/* Add, Sub, Mul, Div of two values, or of one and a constant. */
gf__def_add gf__def_add_binary;

bool gf__def_is_placeholder(const char *op);

/* tf.nn.batch_normalization: x * f + (beta - mean * f), f = rsqrt(variance + epsilon) * gamma. */
typedef struct gf__def_norm {
    gf__def_ref x, places[4]; /* gamma, beta, mean, variance */
    bool is_there[4];
    gf__def_ref epsilon;
    bool is_found;
} gf__def_norm;
void gf__def_find_norm(gf__def_graph *graph, gf__def_ref sum, gf__def_norm *norm);
gf_status gf__def_add_norm(const gf__def_op *at, const gf__def_norm *norm, size_t *out,
                           gf_error *err);

#endif
