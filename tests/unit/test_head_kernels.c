/* Fast kernels against their plain versions on odd shapes, guarded outputs, and the promises about
 * order: neither threads nor neighbouring rows change a byte. */
#include "check.h"

#include "head/gemm_priv.h"
#include "head/head.h"

enum { GUARD = 16 };
static const float guard_value = 12345.0f;

static float *random_floats(gf__rng *rng, size_t n)
{
    float *values = malloc((n + 1) * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)gf__rng_normal(rng);
    return values;
}

/* n values with GUARD marked ones on either side; returns the first of the n. */
static float *guarded(size_t n)
{
    float *memory = malloc((n + 2 * GUARD) * sizeof *memory);
    for (size_t i = 0; i < n + 2 * GUARD; i++)
        memory[i] = guard_value;
    return memory + GUARD;
}

static void check_guards_and_free(float *values, size_t n)
{
    for (size_t i = 0; i < GUARD; i++) {
        CHECK(values[-1 - (ptrdiff_t)i] == guard_value);
        CHECK(values[n + i] == guard_value);
    }
    free(values - GUARD);
}

/* Terms are of size 1. In a block of 256 the l-th rounding is relative to a partial sum of about
 * sqrt(l), so the error grows as the number of terms; over blocks it grows as the square root. */
static void check_close(const float *got, const float *want, size_t n, size_t n_terms)
{
    const double block = (double)(n_terms < 256 ? n_terms : 256);
    for (size_t i = 0; i < n; i++) {
        const double tolerance = 1e-6 + 1.5e-7 * block * sqrt((double)n_terms / block) +
                                 4e-7 * fabs((double)want[i]);
        CHECK_NEAR((double)got[i], (double)want[i], tolerance);
    }
}

static const size_t sizes[] = {1, 3, 17, 33, 130, 257, 300};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

/* Calls check for every N, D, K of odd sizes. */
static void for_odd_shapes(void (*check)(gf__rng *rng, size_t N, size_t D, size_t K))
{
    gf__rng rng;
    gf__rng_seed(&rng, 7, 0);
    for (size_t n = 0; n < N_SIZES - 2; n++)
        for (size_t d = 0; d < N_SIZES; d++)
            for (size_t k = 0; k < N_SIZES; k++)
                check(&rng, sizes[n], sizes[d], sizes[k]);
    check(&rng, 3, 2048, 50);
    check(&rng, 32, 2048, 64);
}

static void check_dense(gf__rng *rng, size_t N, size_t D, size_t K)
{
    float *x = random_floats(rng, N * D), *w = random_floats(rng, D * K),
          *b = random_floats(rng, K), *y = guarded(N * K), *want = guarded(N * K);
    gf__dense(y, x, w, b, N, D, K, NULL);
    gf__dense_ref(want, x, w, b, N, D, K);
    check_close(y, want, N * K, D);
    check_guards_and_free(y, N * K);
    check_guards_and_free(want, N * K);
    free(x), free(w), free(b);
}

static void check_backward_input(gf__rng *rng, size_t N, size_t D, size_t K)
{
    float *d = random_floats(rng, N * K), *w = random_floats(rng, D * K), *dx = guarded(N * D),
          *want = guarded(N * D);
    gf__dense_backward_input(dx, d, w, N, D, K, NULL);
    gf__dense_backward_input_ref(want, d, w, N, D, K);
    check_close(dx, want, N * D, K);
    check_guards_and_free(dx, N * D);
    check_guards_and_free(want, N * D);
    free(d), free(w);
}

static void check_backward_weights(gf__rng *rng, size_t N, size_t D, size_t K)
{
    const size_t first = D / 3, n_rows = D - first;
    float *x = random_floats(rng, N * D), *d = random_floats(rng, N * K), *dw = guarded(n_rows * K),
          *want = guarded(n_rows * K);
    gf__dense_backward_weights(dw, x, d, N, D, K, first, n_rows);
    gf__dense_backward_weights_ref(want, x, d, N, D, K, first, n_rows);
    check_close(dw, want, n_rows * K, N);
    check_guards_and_free(dw, n_rows * K);
    check_guards_and_free(want, n_rows * K);
    free(x), free(d);
}

TEST(dense__agrees_with_the_plain_version_on_odd_shapes)
{
    for_odd_shapes(check_dense);
}

TEST(dense_backward_input__agrees_with_the_plain_version_on_odd_shapes)
{
    for_odd_shapes(check_backward_input);
}

TEST(dense_backward_weights__agrees_with_the_plain_version_on_odd_shapes)
{
    for_odd_shapes(check_backward_weights);
}

TEST(dense__gives_the_same_bytes_on_any_number_of_threads)
{
    enum { N = 70, D = 515, K = 333 };
    gf__rng rng;
    gf__rng_seed(&rng, 1, 0);
    float *x = random_floats(&rng, N * D), *w = random_floats(&rng, D * K),
          *b = random_floats(&rng, K), *alone = guarded(N * K), *shared = guarded(N * K),
          *dx_alone = guarded(N * D), *dx_shared = guarded(N * D);
    gf__dense(alone, x, w, b, N, D, K, NULL);
    gf__dense_backward_input(dx_alone, alone, w, N, D, K, NULL);
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        gf__pool *pool = NULL;
        CHECK_OK(gf__pool_new(n_threads, &pool, &check_err));
        gf__dense(shared, x, w, b, N, D, K, pool);
        CHECK(memcmp(alone, shared, N * K * sizeof(float)) == 0);
        gf__dense_backward_input(dx_shared, alone, w, N, D, K, pool);
        CHECK(memcmp(dx_alone, dx_shared, N * D * sizeof(float)) == 0);
        gf__pool_free(pool);
    }
    check_guards_and_free(alone, N * K);
    check_guards_and_free(shared, N * K);
    check_guards_and_free(dx_alone, N * D);
    check_guards_and_free(dx_shared, N * D);
    free(x), free(w), free(b);
}

TEST(dense__gives_a_row_the_same_bytes_whatever_is_beside_it)
{
    enum { N = 37, D = 300, K = 45 };
    gf__rng rng;
    gf__rng_seed(&rng, 2, 0);
    float *x = random_floats(&rng, N * D), *w = random_floats(&rng, D * K),
          *b = random_floats(&rng, K), *all = guarded(N * K), *one = guarded(K);
    gf__dense(all, x, w, b, N, D, K, NULL);
    for (size_t n = 0; n < N; n++) {
        gf__dense(one, x + n * D, w, b, 1, D, K, NULL);
        CHECK(memcmp(one, all + n * K, K * sizeof(float)) == 0);
    }
    check_guards_and_free(all, N * K);
    check_guards_and_free(one, K);
    free(x), free(w), free(b);
}

TEST(dense_backward_weights__gives_a_row_the_same_bytes_in_any_block)
{
    enum { N = 32, D = 40, K = 77 };
    gf__rng rng;
    gf__rng_seed(&rng, 3, 0);
    float *x = random_floats(&rng, N * D), *d = random_floats(&rng, N * K), *all = guarded(D * K),
          *some = guarded(3 * K);
    gf__dense_backward_weights(all, x, d, N, D, K, 0, D);
    for (size_t first = 0; first + 3 <= D; first++) {
        gf__dense_backward_weights(some, x, d, N, D, K, first, 3);
        CHECK(memcmp(some, all + first * K, 3 * K * sizeof(float)) == 0);
    }
    check_guards_and_free(all, D * K);
    check_guards_and_free(some, 3 * K);
    free(x), free(d);
}

/* Every tile this CPU can run, not only the one it picks. */
static size_t list_tiles(gf__gemm_tile *tiles[3])
{
    size_t n = 0;
    tiles[n++] = gf__gemm_tile_generic;
#if defined(__x86_64__)
    if (gf__isa_pick() != GF__ISA_GENERIC)
        tiles[n++] = gf__gemm_tile_v3;
    if (gf__isa_pick() == GF__ISA_V4)
        tiles[n++] = gf__gemm_tile_v4;
#endif
    return n;
}

static void check_tiles(gf__rng *rng, size_t N, size_t D, size_t K)
{
    gf__gemm_tile *tiles[3];
    if (N > GF__GEMM_TILE_ROWS || K > GF__GEMM_TILE_COLUMNS)
        return;
    for (size_t t = 0, n_tiles = list_tiles(tiles); t < n_tiles; t++) {
        float *x = random_floats(rng, N * D), *w = random_floats(rng, D * K),
              *b = random_floats(rng, K), *y = guarded(N * K), *want = guarded(N * K);
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
        tiles[t](&gemm, 0, N, 0, K);
        gf__dense_ref(want, x, w, b, N, D, K);
        check_close(y, want, N * K, D);
        check_guards_and_free(y, N * K);
        check_guards_and_free(want, N * K);
        free(x), free(w), free(b);
    }
}

TEST(gemm_tile__agrees_with_the_plain_version_in_every_instruction_set)
{
    gf__rng rng;
    gf__rng_seed(&rng, 4, 0);
    for_odd_shapes(check_tiles);
    check_tiles(&rng, 32, 1025, 128);
}

TEST(softmax__sums_to_one_and_survives_large_values)
{
    float rows[2][3] = {{1000.0f, 1001.0f, 1002.0f}, {-1e30f, 0.0f, -1e30f}};
    gf__softmax_rows(rows[0], 2, 3);
    CHECK_NEAR((double)rows[0][0], 0.0900305732, 1e-7);
    CHECK_NEAR((double)rows[0][2], 0.6652409558, 1e-7);
    CHECK(rows[1][0] == 0.0f && rows[1][1] == 1.0f);
}

TESTS_MAIN(UNIT(dense__agrees_with_the_plain_version_on_odd_shapes),
           UNIT(dense_backward_input__agrees_with_the_plain_version_on_odd_shapes),
           UNIT(dense_backward_weights__agrees_with_the_plain_version_on_odd_shapes),
           UNIT(dense__gives_the_same_bytes_on_any_number_of_threads),
           UNIT(dense__gives_a_row_the_same_bytes_whatever_is_beside_it),
           UNIT(dense_backward_weights__gives_a_row_the_same_bytes_in_any_block),
           UNIT(gemm_tile__agrees_with_the_plain_version_in_every_instruction_set),
           UNIT(softmax__sums_to_one_and_survives_large_values))
