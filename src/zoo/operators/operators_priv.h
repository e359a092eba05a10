/* operators_priv.h: operators on their way to layers. operators.c and operators_windows.c add them,
 * operators_finish.c makes the graph. */
#ifndef GRAFT_ZOO_OPERATORS_PRIV_H
#define GRAFT_ZOO_OPERATORS_PRIV_H

#include "zoo/operators/operators.h"

#define GF__OPERATOR_MAX_WEIGHTS 4
#define GF__OPERATOR_NAME_BYTES  120 /* a layer's name has at most 128 */

typedef enum gf__operator_kind {
    GF__OPERATOR_LAYER,
    GF__OPERATOR_BIAS,  /* part of the layer before it */
    GF__OPERATOR_AFFINE /* part of the trunk's input */
} gf__operator_kind;

/* Operator i is layer i of gf__operators.shapes. */
typedef struct gf__operator {
    gf__operator_kind kind;
    gf__layer_config config; /* its name is not set */
    char *node;              /* printable */
    size_t *inputs;
    size_t n_inputs;
    struct {
        const char *name; /* static */
        gf_tensor *tensor;
    } weights[GF__OPERATOR_MAX_WEIGHTS];
    size_t n_weights;
    double scale, shift; /* GF__OPERATOR_AFFINE: of the input, all steps together */
} gf__operator;

struct gf__operators {
    gf_graph *shapes; /* a layer an operator, without weights: what infers and checks shapes */
    gf__operator *items;
    size_t n_items, capacity;
    bool folds_padding;
    double scale, shift; /* of the input, once finished */
};

/* The end of a text: the first place, n_cut bytes on or a little more, where a letter begins. */
const char *gf__operator_end_of(const char *text, size_t n_cut);
/* Padding of a "same" window over this many pixels: its two sides. */
void gf__same_padding(size_t n_pixels, size_t window, size_t stride, size_t sides[2]);
/* One of one input. *item may be NULL, and is valid until the next is added. */
gf_status gf__operator_add(gf__operators *ops, const char *node, const gf__layer_config *config,
                           size_t in, size_t *out, gf__operator **item, gf_error *err);
/* GF_ESHAPE, with the node and what the tensor is to it. */
gf_status gf__operator_need_dims(const char *node, const char *what, const gf_tensor *tensor,
                                 size_t n_dims, gf_error *err);
gf_status gf__operator_add_weight(gf__operator *item, const char *name, gf_tensor *tensor,
                                  gf_error *err);

#endif
