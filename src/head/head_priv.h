/* head/head_priv.h: what a head is made of. */
#ifndef GRAFT_HEAD_HEAD_PRIV_H
#define GRAFT_HEAD_HEAD_PRIV_H

#include "head/head.h"

typedef struct gf__head_part {
    size_t n_inputs;
    gf_head_layer layer;       /* its name is our own copy */
    size_t kernel_at, bias_at; /* in params */
    const float *kernel, *bias;
} gf__head_part;

struct gf_head {
    size_t n_features;
    size_t n_parts;
    gf__head_part *parts;
    float *params;   /* NULL: the weights are somebody else's */
    size_t n_floats; /* in params */
};

/* The layer's activation on n rows, in place. */
void gf__head_activate(const gf__head_part *part, float *rows, size_t n);
size_t gf__head_widest(const gf_head *head); /* units of the widest layer */

#endif
