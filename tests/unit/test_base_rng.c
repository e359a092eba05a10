/* test_base_rng.c: numpy's legacy generator bit for bit, and that ours is uniform, seeded and
 * unbiased. */
#include "check.h"

#include "../golden/numpy_rng.h"
#include "base/base.h"

#define N_ITEMS(array) (sizeof(array) / sizeof(array)[0])

static void check_permutation(uint32_t seed, const uint16_t *want, size_t n, double after)
{
    size_t items[1000];
    gf__mt19937 mt;
    gf__mt19937_seed(&mt, seed);
    gf__mt19937_permutation(&mt, items, n);
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(items[i], want[i]);
    CHECK(gf__mt19937_double(&mt) == after); /* no draw too many or too few */
}

TEST(mt19937_permutation__equals_numpy_with_seed_0)
{
    check_permutation(0, numpy_permutation_0_10, 10, numpy_after_0_10);
    check_permutation(0, numpy_permutation_0_40, 40, numpy_after_0_40);
    check_permutation(0, numpy_permutation_0_200, 200, numpy_after_0_200);
    check_permutation(0, numpy_permutation_0_1000, 1000, numpy_after_0_1000);
}

TEST(mt19937_permutation__equals_numpy_with_seed_42)
{
    check_permutation(42, numpy_permutation_42_10, 10, numpy_after_42_10);
    check_permutation(42, numpy_permutation_42_40, 40, numpy_after_42_40);
    check_permutation(42, numpy_permutation_42_200, 200, numpy_after_42_200);
    check_permutation(42, numpy_permutation_42_1000, 1000, numpy_after_42_1000);
}

TEST(mt19937_u32__equals_numpy)
{
    gf__mt19937 mt;
    gf__mt19937_seed(&mt, 0);
    for (size_t i = 0; i < N_ITEMS(numpy_u32_0); i++)
        CHECK_EQ(gf__mt19937_u32(&mt), numpy_u32_0[i]);
    gf__mt19937_seed(&mt, 42);
    for (size_t i = 0; i < N_ITEMS(numpy_u32_42); i++)
        CHECK_EQ(gf__mt19937_u32(&mt), numpy_u32_42[i]);
}

TEST(mt19937_double__equals_numpy_also_after_refilling)
{
    gf__mt19937 mt;
    gf__mt19937_seed(&mt, 0);
    for (size_t i = 0; i < N_ITEMS(numpy_double_0); i++)
        CHECK(gf__mt19937_double(&mt) == numpy_double_0[i]);
    gf__mt19937_seed(&mt, 42);
    for (size_t i = 0; i < N_ITEMS(numpy_double_42); i++)
        CHECK(gf__mt19937_double(&mt) == numpy_double_42[i]);
    for (size_t i = N_ITEMS(numpy_double_42); i < 10000; i++)
        gf__mt19937_double(&mt);
    CHECK(gf__mt19937_double(&mt) == numpy_double_42_at_10000);
}

TEST(mt19937_shuffle__leaves_nothing_and_one_alone)
{
    gf__mt19937 mt;
    gf__mt19937_seed(&mt, 7);
    size_t item = 5;
    gf__mt19937_shuffle(&mt, NULL, 0);
    gf__mt19937_shuffle(&mt, &item, 1);
    CHECK_EQ(item, 5);
    CHECK_EQ(mt.position, 624); /* nothing drawn */
}

TEST(rng_u64__is_xoshiro256_starstar)
{
    /* From the reference implementation started at {1, 2, 3, 4}. */
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240u};
    gf__rng rng = {.state = {1, 2, 3, 4}};
    for (size_t i = 0; i < N_ITEMS(want); i++)
        CHECK(gf__rng_u64(&rng) == want[i]);
}

TEST(rng_seed__gives_equal_streams_for_equal_seeds_only)
{
    gf__rng a, b, other_seed, other_stream, swapped;
    gf__rng_seed(&a, 1, 0);
    gf__rng_seed(&b, 1, 0);
    gf__rng_seed(&other_seed, 2, 0);
    gf__rng_seed(&other_stream, 1, 1);
    gf__rng_seed(&swapped, 0, 1);
    size_t n_equal = 0;
    for (int i = 0; i < 100; i++) {
        const uint64_t value = gf__rng_u64(&a);
        CHECK(gf__rng_u64(&b) == value);
        n_equal += gf__rng_u64(&other_seed) == value;
        n_equal += gf__rng_u64(&other_stream) == value;
        n_equal += gf__rng_u64(&swapped) == value;
    }
    CHECK_EQ(n_equal, 0);
}

TEST(rng_uniform__fills_the_unit_interval_evenly)
{
    gf__rng rng;
    gf__rng_seed(&rng, 3, 0);
    double sum = 0, lowest = 1, highest = 0;
    for (int i = 0; i < 100000; i++) {
        const double u = gf__rng_uniform(&rng);
        CHECK(u >= 0 && u < 1);
        sum += u;
        lowest = fmin(lowest, u);
        highest = fmax(highest, u);
    }
    CHECK_NEAR(sum / 100000, 0.5, 0.005);
    CHECK(lowest < 0.001 && highest > 0.999);
}

TEST(rng_normal__has_mean_0_and_deviation_1)
{
    gf__rng rng;
    gf__rng_seed(&rng, 4, 0);
    double sum = 0, squares = 0, fourths = 0;
    for (int i = 0; i < 200000; i++) {
        const double x = gf__rng_normal(&rng);
        sum += x;
        squares += x * x;
        fourths += x * x * x * x;
    }
    CHECK_NEAR(sum / 200000, 0, 0.01);
    CHECK_NEAR(squares / 200000, 1, 0.015);
    CHECK_NEAR(fourths / 200000, 3, 0.1); /* kurtosis of a normal, not of something merely round */
}

TEST(rng_below__reaches_every_value_equally_often)
{
    gf__rng rng;
    gf__rng_seed(&rng, 5, 0);
    size_t counts[7] = {0};
    for (int i = 0; i < 70000; i++)
        counts[gf__rng_below(&rng, 7)]++;
    for (size_t k = 0; k < 7; k++)
        CHECK_NEAR((double)counts[k], 10000, 400);
    CHECK_EQ(gf__rng_below(&rng, 1), 0);
    CHECK(gf__rng_below(&rng, SIZE_MAX) < SIZE_MAX);
}

TEST(rng_shuffle__keeps_every_item_once)
{
    gf__rng rng;
    gf__rng_seed(&rng, 6, 0);
    size_t items[100];
    bool is_seen[100] = {false};
    size_t n_moved = 0;
    for (size_t i = 0; i < 100; i++)
        items[i] = i;
    gf__rng_shuffle(&rng, items, 100);
    for (size_t i = 0; i < 100; i++) {
        CHECK(items[i] < 100 && !is_seen[items[i]]);
        is_seen[items[i]] = true;
        n_moved += items[i] != i;
    }
    CHECK(n_moved > 80);
}

TESTS_MAIN(UNIT(mt19937_permutation__equals_numpy_with_seed_0),
           UNIT(mt19937_permutation__equals_numpy_with_seed_42), UNIT(mt19937_u32__equals_numpy),
           UNIT(mt19937_double__equals_numpy_also_after_refilling),
           UNIT(mt19937_shuffle__leaves_nothing_and_one_alone),
           UNIT(rng_u64__is_xoshiro256_starstar),
           UNIT(rng_seed__gives_equal_streams_for_equal_seeds_only),
           UNIT(rng_uniform__fills_the_unit_interval_evenly),
           UNIT(rng_normal__has_mean_0_and_deviation_1),
           UNIT(rng_below__reaches_every_value_equally_often),
           UNIT(rng_shuffle__keeps_every_item_once))
