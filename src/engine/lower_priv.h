/* engine/lower_priv.h: what lower.c (which layers, in which order) and lower_layers.c (what each becomes)
 * work on together. */
#ifndef GRAFT_ENGINE_LOWER_PRIV_H
#define GRAFT_ENGINE_LOWER_PRIV_H

#include "engine/engine_priv.h"

typedef struct gf__lowering_node { /* what is known of a layer */
    bool is_needed, is_requested, is_absorbed;
    bool is_raw; /* the input, when its only reader has scale and shift in its weights */
    /* needed layers that take its output, one that takes it twice counted twice */
    size_t n_readers;
    size_t reader; /* the last of them */
    size_t value;
    size_t padding[4]; /* of a ZeroPadding2D left to its only reader */
} gf__lowering_node;

typedef struct gf__lowering {
    const gf_graph *graph;
    const gf_output_spec *specs;
    const size_t *requested; /* layer of each spec */
    size_t n_outputs;
    const gf_plan_options *options;
    gf_dtype dtype; /* of spatial values */
    gf__program *program;
    gf__lowering_node *nodes;
    size_t n_layers;
    bool has_input;
    gf_error *err;
} gf__lowering;

static inline const gf_layer *gf__lowering_layer(const gf__lowering *low, size_t i)
{
    return gf_graph_layer_at(low->graph, (ptrdiff_t)i);
}

static inline const gf__layer_config *gf__lowering_config(const gf__lowering *low, size_t i)
{
    return gf__layer_config_of(gf__lowering_layer(low, i));
}

static inline size_t gf__lowering_input(const gf__lowering *low, size_t i, size_t k)
{
    return low->nodes[gf_layer_input_at(gf__lowering_layer(low, i), k)].value;
}

/* GF_EUNSUPPORTED, with the layer's name and class before what. */
gf_status gf__lowering_unsupported(const gf__lowering *low, size_t i, const char *what);
gf_status gf__lowering_add_value(gf__lowering *low, const gf__value *value, size_t *index);
/* The value of layer i's output shape. */
gf_status gf__lowering_add_layer_value(gf__lowering *low, size_t i, size_t *index);
gf__op gf__op_of(gf__op_kind kind, size_t src, size_t dst); /* with nothing else in it */
gf_status gf__lowering_add_op(gf__lowering *low, const gf__op *op);
/* Layer i is there; whoever asked for it gets it now, while it is warm and before its memory is
 * reused. */
gf_status gf__lowering_finish(gf__lowering *low, size_t i, size_t value);

/* lower_layers.c: the operations of layer i, whose inputs are there, and of the layers after it that
 * they take in. */
gf_status gf__lower_layer(gf__lowering *low, size_t i);

#endif
