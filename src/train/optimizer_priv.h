/* train/optimizer_priv.h: one step of an optimizer over a whole head. */
#ifndef GRAFT_TRAIN_OPTIMIZER_PRIV_H
#define GRAFT_TRAIN_OPTIMIZER_PRIV_H

#include "head/head.h"
#include "train/train.h"

typedef struct gf__optimizer gf__optimizer;
/* For heads of this shape. The pool may be NULL and is kept. */
gf_status gf__optimizer_new(gf_head *head, const gf_train_options *options, gf__pool *pool,
                            gf__optimizer **out, gf_error *err);
void gf__optimizer_free(gf__optimizer *optimizer);
/* Another pool, of as many threads or not, in the place of the one it was made with. */
gf_status gf__optimizer_set_pool(gf__optimizer *optimizer, gf__pool *pool, gf_error *err);
void gf__optimizer_set_rate(gf__optimizer *optimizer,
                            double learning_rate); /* of steps from now on */

/* Computes the gradients of the weights from a pass that has been run backward over n rows, a few
 * rows of weights at a time, and changes the weights while those are in the cache. */
void gf__optimizer_step(gf__optimizer *optimizer, gf_head *head, const gf__head_pass *pass,
                        size_t n);

/* State, for checkpoints. Slots are laid out as gf__head_params(). */
size_t gf__optimizer_n_slots(const gf__optimizer *optimizer);
float *gf__optimizer_slot(gf__optimizer *optimizer, size_t i);
uint64_t gf__optimizer_n_steps(const gf__optimizer *optimizer);
void gf__optimizer_set_n_steps(gf__optimizer *optimizer, uint64_t n_steps);

#endif
