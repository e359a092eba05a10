/* Products, Cholesky factors and triangular solves in double, in the vector width that this
 * compilation's instruction set has. The factorisation works in blocks (Golub and Van Loan, 4.2.9),
 * so that nearly all of it is the product, which works out of registers. */
#include "train/linear_priv.h"

#include <math.h>
#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 8, ROWS = 8 };
#elif defined(__AVX__)
enum { LANES = 4, ROWS = 4 };
#else
enum { LANES = 2, ROWS = 4 };
#endif
enum { COLUMNS = 2 * LANES, DEPTH = 128, TILE_COLUMNS = 64, BLOCK = 64 };

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

typedef double vector __attribute__((vector_size(LANES * sizeof(double))));

typedef struct sums {
    double at[ROWS][COLUMNS];
} sums;

/* n rows, transposed so that one depth's values are width neighbours; missing rows are zero. */
static void pack(double *packed, size_t width, const double *rows, size_t stride, size_t n,
                 size_t depth)
{
    for (size_t r = 0; r < width; r++)
        for (size_t l = 0; l < depth; l++)
            packed[l * width + r] = r < n ? rows[r * stride + l] : 0.0;
}

static void multiply(sums *out, const double *a, const double *b, size_t depth)
{
    vector sum[ROWS][2];
    memset(sum, 0, sizeof sum);
    for (size_t l = 0; l < depth; l++, a += ROWS, b += COLUMNS) {
        vector left, right;
        memcpy(&left, b, sizeof left);
        memcpy(&right, b + LANES, sizeof right);
#pragma GCC unroll 8
        for (size_t r = 0; r < ROWS; r++) {
            sum[r][0] += a[r] * left;
            sum[r][1] += a[r] * right;
        }
    }
    memcpy(out->at, sum, sizeof sum);
}

static void add_sums(double *c, size_t c_stride, const sums *sum, size_t n_rows, size_t n_columns,
                     double scale)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t k = 0; k < n_columns; k++)
            c[r * c_stride + k] += scale * sum->at[r][k];
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* At most TILE_COLUMNS columns and DEPTH depths. */
static void add_tile(double *c, size_t c_stride, const double *a, size_t a_stride, size_t M,
                     const double *b, size_t b_stride, size_t N, size_t L, double scale)
{
    _Alignas(64) double packed_b[TILE_COLUMNS * DEPTH];
    _Alignas(64) double packed_a[ROWS * DEPTH];
    _Alignas(64) sums sum;

    for (size_t k = 0; k < N; k += COLUMNS)
        pack(packed_b + k * DEPTH, COLUMNS, b + k * b_stride, b_stride, smaller(N - k, COLUMNS), L);
    for (size_t m = 0; m < M; m += ROWS) {
        const size_t n_rows = smaller(M - m, ROWS);
        pack(packed_a, ROWS, a + m * a_stride, a_stride, n_rows, L);
        for (size_t k = 0; k < N; k += COLUMNS) {
            multiply(&sum, packed_a, packed_b + k * DEPTH, L);
            add_sums(c + m * c_stride + k, c_stride, &sum, n_rows, smaller(N - k, COLUMNS), scale);
        }
    }
}

static void add_product(double *c, size_t c_stride, const double *a, size_t a_stride, size_t M,
                        const double *b, size_t b_stride, size_t N, size_t L, double scale)
{
    for (size_t k = 0; k < N; k += TILE_COLUMNS)
        for (size_t l = 0; l < L; l += DEPTH)
            add_tile(c + k, c_stride, a + l, a_stride, M, b + k * b_stride + l, b_stride,
                     smaller(N - k, TILE_COLUMNS), smaller(L - l, DEPTH), scale);
}

/* The plain factorisation of one block on the diagonal. */
static bool factor_block(double *a, size_t stride, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        double *row = a + j * stride;
        for (size_t i = 0; i < j; i++) {
            double sum = row[i];
            for (size_t k = 0; k < i; k++)
                sum -= row[k] * a[i * stride + k];
            row[i] = sum / a[i * stride + i];
        }
        double pivot = row[j];
        for (size_t k = 0; k < j; k++)
            pivot -= row[k] * row[k];
        if (!(pivot > 0.0))
            return false;
        row[j] = sqrt(pivot);
    }
    return true;
}

/* The rows under a factored block: each becomes the solution of row * block^T = row. */
static void solve_panel(double *rows, const double *block, size_t stride, size_t n_rows, size_t n)
{
    for (size_t m = 0; m < n_rows; m++) {
        double *row = rows + m * stride;
        for (size_t i = 0; i < n; i++) {
            double sum = row[i];
            for (size_t k = 0; k < i; k++)
                sum -= row[k] * block[i * stride + k];
            row[i] = sum / block[i * stride + i];
        }
    }
}

static bool factor(double *a, size_t M)
{
    for (size_t start = 0; start < M; start += BLOCK) {
        const size_t n = smaller(M - start, BLOCK), next = start + n;
        double *block = a + start * M + start;
        if (!factor_block(block, M, n))
            return false;
        solve_panel(a + next * M + start, block, M, M - next, n);
        for (size_t row = next; row < M; row += BLOCK) {
            const size_t n_rows = smaller(M - row, BLOCK);
            add_product(a + row * M + next, M, a + row * M + start, M, n_rows, a + next * M + start,
                        M, row + n_rows - next, n, -1.0);
        }
    }
    return true;
}

static void solve(double *b, size_t C, const double *factor, size_t M)
{
    for (size_t i = 0; i < M; i++) {
        const double *row = factor + i * M;
        double *x = b + i * C;
        for (size_t j = 0; j < i; j++)
            for (size_t c = 0; c < C; c++)
                x[c] -= row[j] * b[j * C + c];
        for (size_t c = 0; c < C; c++)
            x[c] /= row[i];
    }
    for (size_t i = M; i-- > 0;) {
        const double *row = factor + i * M;
        double *x = b + i * C;
        for (size_t c = 0; c < C; c++)
            x[c] /= row[i];
        for (size_t j = 0; j < i; j++)
            for (size_t c = 0; c < C; c++)
                b[j * C + c] -= row[j] * x[c];
    }
}

const gf__linear_ops JOIN(gf__linear_ops_, GF__ISA) = {
    .add_product = add_product,
    .factor = factor,
    .solve = solve,
};
