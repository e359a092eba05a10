/* train/update_priv.h: the optimizers' arithmetic on runs of weights; update.c is compiled once for
 * each instruction set. */
#ifndef GRAFT_TRAIN_UPDATE_PRIV_H
#define GRAFT_TRAIN_UPDATE_PRIV_H

#include <stddef.h>

typedef struct gf__update {
    float rate;     /* learning rate; Adam: with the bias correction of this step in it */
    float momentum; /* SGD */
} gf__update;

/* n weights w, their gradients g and slots; nothing aliases. */
typedef void gf__update_rows(const gf__update *update, float *w, const float *g, float *slot0,
                             float *slot1, size_t n);

typedef struct gf__update_ops {
    gf__update_rows *adam, *sgd, *momentum, *rmsprop;
} gf__update_ops;
extern const gf__update_ops gf__update_ops_generic, gf__update_ops_v3, gf__update_ops_v4;

/* Keras' constants. */
#define GF__ADAM_BETA1  0.9
#define GF__ADAM_BETA2  0.999
#define GF__EPSILON     1e-7
#define GF__RMSPROP_RHO 0.9

#endif
