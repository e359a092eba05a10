/* One tile of a matrix product, in the vector width that this compilation's instruction set has
 * (GF__ISA names it).
 *
 * A tile walks the depth in blocks of 256: a block of a is packed row group by row group, the
 * columns of b are read in place (or packed, where they are not contiguous, end early or are far
 * apart), and ROWS x COLUMNS sums live in registers. Every sum adds its products in order of depth
 * within a block, then the blocks in order: the order depends on neither the tile nor the thread,
 * and a row's values not on its neighbours. Short blocks keep the float sums close to the double
 * sums of the plain version. */
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

/* The same, at any address of a float. */
typedef float loose_vector
    __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

typedef struct sums {
    vector at[ROWS][2];
} sums;

static inline vector load(const float *from)
{
    return *(const loose_vector *)(const void *)from;
}

static inline void save(float *to, vector value)
{
    *(loose_vector *)(void *)to = value;
}

typedef float quad __attribute__((vector_size(4 * sizeof(float))));

/* Four rows of four depths, turned: packed is ROWS wide. Scalars would take four times as many loads
 * and stores, and a batch is packed anew for each tile across. */
static inline void pack_4x4(float *packed, const float *a, size_t a_row)
{
    quad r[4];
    for (size_t i = 0; i < 4; i++)
        memcpy(&r[i], a + i * a_row, sizeof r[i]);
    const quad low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
    const quad low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    const quad high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    const quad high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    const quad turned[4] = {
        __builtin_shufflevector(low01, low23, 0, 1, 4, 5),
        __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
        __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
        __builtin_shufflevector(high01, high23, 2, 3, 6, 7),
    };
    for (size_t i = 0; i < 4; i++)
        memcpy(packed + i * ROWS, &turned[i], sizeof turned[i]);
}

/* A whole group whose depths are neighbours; the last depths are left over. */
static size_t pack_turned(float *packed, const float *a, size_t a_row, size_t depth)
{
    const size_t n = depth / 4 * 4;
    for (size_t r = 0; r < ROWS; r += 4)
        for (size_t l = 0; l < n; l += 4)
            pack_4x4(packed + l * ROWS + r, a + r * a_row + l, a_row);
    return n;
}

/* Row groups one after another; within a group the ROWS values of one depth are neighbours. Rows
 * past the end are zero. */
static void pack_a(float *packed, const gf__gemm *gemm, size_t row, size_t n_rows, size_t first,
                   size_t depth)
{
    for (size_t group = 0; group < n_rows; group += ROWS, packed += DEPTH * ROWS) {
        const size_t n = n_rows - group < ROWS ? n_rows - group : ROWS;
        const float *a = gemm->a + (row + group) * gemm->a_row + first * gemm->a_depth;
        size_t n_turned = 0;
        if (n < ROWS)
            memset(packed, 0, depth * ROWS * sizeof *packed);
        else if (gemm->a_depth == 1)
            n_turned = pack_turned(packed, a, gemm->a_row, depth);
        if (gemm->a_row == 1 && n == ROWS)
            for (size_t l = 0; l < depth; l++)
                memcpy(packed + l * ROWS, a + l * gemm->a_depth, ROWS * sizeof *packed);
        else
            for (size_t r = 0; r < n; r++)
                for (size_t l = n_turned; l < depth; l++)
                    packed[l * ROWS + r] = a[r * gemm->a_row + l * gemm->a_depth];
    }
}

static void pack_b(float *packed, const float *b, const gf__gemm *gemm, size_t n, size_t depth)
{
    if (n == COLUMNS && gemm->b_column == 1) {
        for (size_t l = 0; l < depth; l++, packed += COLUMNS, b += gemm->b_depth) {
            save(packed, load(b));
            save(packed + LANES, load(b + LANES));
        }
        return;
    }
    if (n < COLUMNS)
        memset(packed, 0, depth * COLUMNS * sizeof *packed);
    for (size_t c = 0; c < n; c++)
        for (size_t l = 0; l < depth; l++)
            packed[l * COLUMNS + c] = b[l * gemm->b_depth + c * gemm->b_column];
}

static inline sums multiply(const float *a, const float *b, size_t b_stride, size_t depth)
{
    sums sum;
#pragma GCC unroll 8
    for (size_t r = 0; r < ROWS; r++)
        sum.at[r][0] = sum.at[r][1] = (vector){0};
    for (size_t l = 0; l < depth; l++, a += ROWS, b += b_stride) {
        const vector left = load(b), right = load(b + LANES);
#pragma GCC unroll 8
        for (size_t r = 0; r < ROWS; r++) {
            sum.at[r][0] += a[r] * left;
            sum.at[r][1] += a[r] * right;
        }
    }
    return sum;
}

/* A whole row group into out. base: what the sums are added to, with its own stride (0: the same
 * bias for every row); NULL: zero. */
static inline void store_whole(float *out, size_t out_stride, const float *base, size_t base_stride,
                               const sums *sum)
{
#pragma GCC unroll 8
    for (size_t r = 0; r < ROWS; r++) {
        const vector zero = {0};
        const float *from = base != NULL ? base + r * base_stride : NULL;
        save(out + r * out_stride, sum->at[r][0] + (from != NULL ? load(from) : zero));
        save(out + r * out_stride + LANES,
             sum->at[r][1] + (from != NULL ? load(from + LANES) : zero));
    }
}

/* The same for a group that ends early, in rows or columns. */
static void store_part(float *out, size_t out_stride, const float *base, size_t base_stride,
                       const sums *sum, size_t n_rows, size_t n_columns)
{
    float values[ROWS][COLUMNS];
    memcpy(values, sum->at, sizeof values);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < n_columns; c++)
            out[r * out_stride + c] = values[r][c] +
                                      (base != NULL ? base[r * base_stride + c] : 0.0f);
}

/* A block of the depth of one strip: at most COLUMNS columns of b, in place or packed. */
typedef struct depth_strip {
    const float *b;
    size_t b_stride;
    size_t column, n_columns; /* of out */
    size_t depth;
    bool is_first; /* block: out is set, not added to */
} depth_strip;

/* All rows of the tile. */
static void run_strip(const gf__gemm *gemm, const float *packed_a, size_t row, size_t n_rows,
                      const depth_strip *strip)
{
    for (size_t r = 0; r < n_rows; r += ROWS) {
        const sums sum = multiply(packed_a + r * DEPTH, strip->b, strip->b_stride, strip->depth);
        float *out = gemm->out + (row + r) * gemm->out_stride + strip->column;
        const float *base = out;
        size_t base_stride = gemm->out_stride;
        if (strip->is_first) {
            base = gemm->bias != NULL ? gemm->bias + strip->column : NULL;
            base_stride = 0;
        }
        if (n_rows - r >= ROWS && strip->n_columns == COLUMNS)
            store_whole(out, gemm->out_stride, base, base_stride, &sum);
        else
            store_part(out, gemm->out_stride, base, base_stride, &sum,
                       n_rows - r < ROWS ? n_rows - r : ROWS, strip->n_columns);
    }
}

/* Rows of b that are kilobytes apart share a few places in the L1 cache: each row group would fetch
 * them anew. Two groups do not make up for the copy. */
static bool is_better_packed(const gf__gemm *gemm, size_t n_rows)
{
    return gemm->b_column != 1 || (gemm->b_depth >= 512 && n_rows > 2 * ROWS);
}

void JOIN(gf__gemm_tile_, GF__ISA)(const gf__gemm *gemm, size_t row, size_t n_rows, size_t column,
                                   size_t n_columns)
{
    _Alignas(64) float packed_a[GF__GEMM_TILE_ROWS * DEPTH];
    _Alignas(64) float packed_b[COLUMNS * DEPTH];

    for (size_t first = 0; first == 0 || first < gemm->depth; first += DEPTH) {
        const size_t left = gemm->depth - first, depth = left < DEPTH ? left : DEPTH;
        const float *block = gemm->b + first * gemm->b_depth + column * gemm->b_column;
        pack_a(packed_a, gemm, row, n_rows, first, depth);
        for (size_t c = 0; c < n_columns; c += COLUMNS) {
            const size_t n = n_columns - c < COLUMNS ? n_columns - c : COLUMNS;
            depth_strip strip = {.b = block + c * gemm->b_column,
                                 .b_stride = gemm->b_depth,
                                 .column = column + c,
                                 .n_columns = n,
                                 .depth = depth,
                                 .is_first = first == 0};
            if (n < COLUMNS || is_better_packed(gemm, n_rows)) {
                pack_b(packed_b, strip.b, gemm, n, depth);
                strip.b = packed_b;
                strip.b_stride = COLUMNS;
            }
            run_strip(gemm, packed_a, row, n_rows, &strip);
        }
    }
}
