/* One tile of a matrix product, in the vector width that this compilation's instruction set has (GF__ISA names it).
 *
 * A tile walks the depth in blocks of 256: a block of a is packed row group by row group, the columns of b are read in place (or
 * packed, where they are not contiguous or end early), and ROWS x COLUMNS sums live in registers. Every sum adds its products in
 * order of depth within a block, then the blocks in order: the order depends on neither the tile nor the thread, and a row's values
 * not on its neighbours. Short blocks keep the float sums close to the double sums of the plain version. */
#include <stdbool.h>
#include <string.h>

#include "head/gemm_priv.h"

#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 8 };
#elif defined(__AVX__)
enum { LANES = 8, ROWS = 4 };
#else
enum { LANES = 4, ROWS = 4 };
#endif
enum { COLUMNS = 2 * LANES, DEPTH = 256 };

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

typedef struct sums {
    float at[ROWS][COLUMNS];
} sums;

static inline vector load(const float *from)
{
    vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* Row groups one after another; within a group the ROWS values of one depth are neighbours. Rows past the end are zero. */
static void pack_a(float *packed, const gf__gemm *gemm, size_t row, size_t n_rows, size_t first,
                   size_t depth)
{
    for (size_t group = 0; group < n_rows; group += ROWS, packed += DEPTH * ROWS) {
        const size_t n = n_rows - group < ROWS ? n_rows - group : ROWS;
        const float *a = gemm->a + (row + group) * gemm->a_row + first * gemm->a_depth;
        for (size_t l = 0; l < depth; l++)
            for (size_t r = 0; r < ROWS; r++)
                packed[l * ROWS + r] = r < n ? a[r * gemm->a_row + l * gemm->a_depth] : 0.0f;
    }
}

static void pack_b(float *packed, const float *b, const gf__gemm *gemm, size_t n, size_t depth)
{
    memset(packed, 0, depth * COLUMNS * sizeof *packed);
    for (size_t c = 0; c < n; c++)
        for (size_t l = 0; l < depth; l++)
            packed[l * COLUMNS + c] = b[l * gemm->b_depth + c * gemm->b_column];
}

static void multiply(sums *out, const float *a, const float *b, size_t b_stride, size_t depth)
{
    vector sum[ROWS][2];
    memset(sum, 0, sizeof sum);
    for (size_t l = 0; l < depth; l++, a += ROWS, b += b_stride) {
        const vector left = load(b), right = load(b + LANES);
        __builtin_prefetch(b + 8 * b_stride);
#pragma GCC unroll 8
        for (size_t r = 0; r < ROWS; r++) {
            sum[r][0] += a[r] * left;
            sum[r][1] += a[r] * right;
        }
    }
    memcpy(out->at, sum, sizeof sum);
}

static void store(const gf__gemm *gemm, const sums *sum, size_t row, size_t n_rows, size_t column,
                  size_t n_columns, bool is_first)
{
    const float *bias = gemm->bias != NULL ? gemm->bias + column : NULL;
    for (size_t r = 0; r < n_rows; r++) {
        float *out = gemm->out + (row + r) * gemm->out_stride + column;
        if (!is_first)
            for (size_t c = 0; c < n_columns; c++)
                out[c] += sum->at[r][c];
        else if (bias != NULL)
            for (size_t c = 0; c < n_columns; c++)
                out[c] = bias[c] + sum->at[r][c];
        else
            memcpy(out, sum->at[r], n_columns * sizeof *out);
    }
}

void JOIN(gf__gemm_tile_, GF__ISA)(const gf__gemm *gemm, size_t row, size_t n_rows, size_t column,
                                   size_t n_columns)
{
    _Alignas(64) float packed_a[GF__GEMM_TILE_ROWS * DEPTH];
    _Alignas(64) float packed_b[COLUMNS * DEPTH];
    _Alignas(64) sums sum;

    for (size_t first = 0; first == 0 || first < gemm->depth; first += DEPTH) {
        const size_t left = gemm->depth - first, depth = left < DEPTH ? left : DEPTH;
        pack_a(packed_a, gemm, row, n_rows, first, depth);
        for (size_t c = 0; c < n_columns; c += COLUMNS) {
            const size_t n = n_columns - c < COLUMNS ? n_columns - c : COLUMNS;
            const float *b = gemm->b + first * gemm->b_depth + (column + c) * gemm->b_column;
            size_t b_stride = gemm->b_depth;
            if (n < COLUMNS || gemm->b_column != 1) {
                pack_b(packed_b, b, gemm, n, depth);
                b = packed_b;
                b_stride = COLUMNS;
            }
            for (size_t r = 0; r < n_rows; r += ROWS) {
                multiply(&sum, packed_a + r * DEPTH, b, b_stride, depth);
                store(gemm, &sum, row + r, n_rows - r < ROWS ? n_rows - r : ROWS, column + c, n,
                      first == 0);
            }
        }
    }
}
