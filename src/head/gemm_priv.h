/* head/gemm_priv.h: the one matrix product behind forward and both backward passes. A problem is
 * described by strides, so that transposed operands need no copy of their own; gemm.c is compiled
 * once for each instruction set and kernels.c picks. */
#ifndef GRAFT_HEAD_GEMM_PRIV_H
#define GRAFT_HEAD_GEMM_PRIV_H

#include <stddef.h>

/* out (M,N) = bias (N) + a (M,L) b (L,N). */
typedef struct gf__gemm {
    float *out;
    size_t out_stride; /* floats from one row of out to the next */
    const float *a;    /* a[m * a_row + l * a_depth] */
    size_t a_row, a_depth;
    const float *b; /* b[l * b_depth + n * b_column] */
    size_t b_depth, b_column;
    size_t depth;      /* L */
    const float *bias; /* NULL: zero */
} gf__gemm;

enum { GF__GEMM_TILE_ROWS = 32, GF__GEMM_TILE_COLUMNS = 128 };

/* Computes rows [row, row + n_rows) and columns [column, column + n_columns) of out, at most one
 * tile of them. column is a multiple of the tile's columns. */
typedef void gf__gemm_tile(const gf__gemm *gemm, size_t row, size_t n_rows, size_t column,
                           size_t n_columns);
gf__gemm_tile gf__gemm_tile_generic, gf__gemm_tile_v3, gf__gemm_tile_v4;

#endif
