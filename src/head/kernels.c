/* The kernels of Dense layers: plain versions that sum in double and are the specification, and the
 * fast ones, which describe the product to gemm.c and share its tiles out over the threads of a
 * pool. */
#include <assert.h>
#include <math.h>

#include "head/gemm_priv.h"
#include "head/head.h"

void gf__dense_ref(float *y, const float *x, const float *w, const float *b, size_t N, size_t D,
                   size_t K)
{
    for (size_t n = 0; n < N; n++) {
        for (size_t k = 0; k < K; k++) {
            double sum = (double)b[k];
            for (size_t d = 0; d < D; d++)
                sum += (double)x[n * D + d] * (double)w[d * K + k];
            y[n * K + k] = (float)sum;
        }
    }
}

void gf__dense_backward_input_ref(float *dx, const float *d, const float *w, size_t N, size_t D,
                                  size_t K)
{
    for (size_t n = 0; n < N; n++) {
        for (size_t i = 0; i < D; i++) {
            double sum = 0.0;
            for (size_t k = 0; k < K; k++)
                sum += (double)d[n * K + k] * (double)w[i * K + k];
            dx[n * D + i] = (float)sum;
        }
    }
}

void gf__dense_backward_weights_ref(float *dw, const float *x, const float *d, size_t N, size_t D,
                                    size_t K, size_t first, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        for (size_t k = 0; k < K; k++) {
            double sum = 0.0;
            for (size_t n = 0; n < N; n++)
                sum += (double)x[n * D + first + i] * (double)d[n * K + k];
            dw[i * K + k] = (float)sum;
        }
    }
}

gf__isa gf__isa_pick(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return GF__ISA_V4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return GF__ISA_V3;
#endif
    return GF__ISA_GENERIC;
}

static gf__gemm_tile *pick_tile(void)
{
#if defined(__x86_64__)
    switch (gf__isa_pick()) {
    case GF__ISA_V4:
        return gf__gemm_tile_v4;
    case GF__ISA_V3:
        return gf__gemm_tile_v3;
    case GF__ISA_GENERIC:
        break;
    }
#endif
    return gf__gemm_tile_generic;
}

typedef struct tiles {
    const gf__gemm *gemm;
    gf__gemm_tile *run;
    size_t n_rows, n_columns; /* of the whole product */
    size_t n_tiles_across;
} tiles;

static void run_tile(void *user, size_t i, int thread)
{
    (void)thread;
    const tiles *work = user;
    const size_t row = i / work->n_tiles_across * GF__GEMM_TILE_ROWS;
    const size_t column = i % work->n_tiles_across * GF__GEMM_TILE_COLUMNS;
    const size_t n_rows = work->n_rows - row, n_columns = work->n_columns - column;
    work->run(work->gemm, row, n_rows < GF__GEMM_TILE_ROWS ? n_rows : GF__GEMM_TILE_ROWS, column,
              n_columns < GF__GEMM_TILE_COLUMNS ? n_columns : GF__GEMM_TILE_COLUMNS);
}

static void run_gemm(const gf__gemm *gemm, size_t n_rows, size_t n_columns, gf__pool *pool)
{
    const size_t n_tiles_across = (n_columns + GF__GEMM_TILE_COLUMNS - 1) / GF__GEMM_TILE_COLUMNS;
    const size_t n_tiles_down = (n_rows + GF__GEMM_TILE_ROWS - 1) / GF__GEMM_TILE_ROWS;
    tiles work = {gemm, pick_tile(), n_rows, n_columns, n_tiles_across};

    /* Waking a thread takes as long as about a million products. */
    const double n_products = (double)n_rows * (double)n_columns * (double)gemm->depth;
    gf__pool_run(n_products < 1e6 ? NULL : pool, n_tiles_down * n_tiles_across, run_tile, &work);
}

void gf__dense(float *y, const float *x, const float *w, const float *b, size_t N, size_t D,
               size_t K, gf__pool *pool)
{
    const gf__gemm gemm = {.out = y,
                           .out_stride = K,
                           .a = x,
                           .a_row = D,
                           .a_depth = 1,
                           .b = w,
                           .b_depth = K,
                           .b_column = 1,
                           .depth = D,
                           .bias = b};
    run_gemm(&gemm, N, K, pool);
}

void gf__dense_backward_input(float *dx, const float *d, const float *w, size_t N, size_t D,
                              size_t K, gf__pool *pool)
{
    const gf__gemm gemm = {.out = dx,
                           .out_stride = D,
                           .a = d,
                           .a_row = K,
                           .a_depth = 1,
                           .b = w,
                           .b_depth = 1,
                           .b_column = K,
                           .depth = K};
    run_gemm(&gemm, N, D, pool);
}

void gf__dense_backward_weights(float *dw, const float *x, const float *d, size_t N, size_t D,
                                size_t K, size_t first, size_t n_rows)
{
    const gf__gemm gemm = {.out = dw,
                           .out_stride = K,
                           .a = x + first,
                           .a_row = 1,
                           .a_depth = D,
                           .b = d,
                           .b_depth = K,
                           .b_column = 1,
                           .depth = N};
    run_gemm(&gemm, n_rows, K, NULL);
}

void gf__softmax_rows(float *x, size_t N, size_t K)
{
    assert(K > 0);
    for (size_t n = 0; n < N; n++, x += K) {
        float largest = x[0];
        for (size_t k = 1; k < K; k++)
            largest = x[k] > largest ? x[k] : largest;
        double sum = 0.0;
        for (size_t k = 0; k < K; k++) {
            x[k] = expf(x[k] - largest);
            sum += (double)x[k];
        }
        for (size_t k = 0; k < K; k++)
            x[k] = (float)((double)x[k] / sum);
    }
}

/* Both in double, then rounded once: as exact as a float is. exp() overflows to infinity for a very
 * negative x, whose sigmoid is 0. */
void gf__sigmoid(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(1.0 / (1.0 + exp(-(double)x[i])));
}

/* Below 1e-4 the difference would cancel; there x and tanh x are the same float. */
void gf__tanh(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double e = exp(-2.0 * fabs((double)x[i]));
        const float t = (float)copysign((1.0 - e) / (1.0 + e), (double)x[i]);
        x[i] = fabsf(x[i]) < 1e-4f ? x[i] : t;
    }
}
