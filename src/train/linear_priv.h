/* train/linear_priv.h: linear algebra in double for the probe, for one thread; linear.c is compiled
 * once for each instruction set. All matrices are row-major. Every sum has an order fixed by the
 * shapes. */
#ifndef GRAFT_TRAIN_LINEAR_PRIV_H
#define GRAFT_TRAIN_LINEAR_PRIV_H

#include <stdbool.h>
#include <stddef.h>

typedef struct gf__linear_ops {
    /* c (M,N) += scale * a (M,L) b (N,L)^T; rows of a matrix are stride doubles apart. */
    void (*add_product)(double *c, size_t c_stride, const double *a, size_t a_stride, size_t M,
                        const double *b, size_t b_stride, size_t N, size_t L, double scale);
    /* The lower triangle of the symmetric a (M,M) becomes its Cholesky factor; the upper is not
     * looked at. false: a is not positive definite. */
    bool (*factor)(double *a, size_t M);
    /* b (M,C) becomes the solution x of (factor factor^T) x = b. */
    void (*solve)(double *b, size_t C, const double *factor, size_t M);
} gf__linear_ops;
extern const gf__linear_ops gf__linear_ops_generic, gf__linear_ops_v3, gf__linear_ops_v4;

const gf__linear_ops *gf__linear_pick(void);

#endif
