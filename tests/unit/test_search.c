/* test_search.c: the space of a hyperparameter search, which trial comes next, which one is
 * stopped. */
#include "check.h"
#include "tasks/search_priv.h"

static gf__space space_of(const char *text)
{
    gf__json *params = NULL;
    gf__space space;
    CHECK_OK(gf__json_parse(text, strlen(text), &params, &check_err));
    CHECK_OK(gf__space_parse(params, &space, &check_err));
    gf__json_free(params);
    return space;
}

#define RATE                                                               \
    "{\"parameterName\":\"rate\",\"type\":\"DOUBLE\",\"minValue\":0.0001," \
    "\"maxValue\":1,\"scaleType\":\"UNIT_LOG_SCALE\"}"
#define UNITS "{\"parameterName\":\"units\",\"type\":\"INTEGER\",\"minValue\":1,\"maxValue\":8}"
#define KIND                                                \
    "{\"parameterName\":\"kind\",\"type\":\"CATEGORICAL\"," \
    "\"categoricalValues\":[\"adam\",\"sgd\",\"rmsprop\"]}"
#define BATCH "{\"parameterName\":\"batch\",\"type\":\"DISCRETE\",\"discreteValues\":[16,32,100.5]}"

/* ---- space ----------------------------------------------------------------------------------- */

TEST(space__log_scale_halves_the_decades)
{
    gf__space space = space_of("[" RATE "]");
    const gf__param *rate = &space.params[0];
    CHECK_NEAR(gf__param_from_unit(rate, 0), 1e-4, 1e-18);
    CHECK_NEAR(gf__param_from_unit(rate, 0.5), 1e-2, 1e-15);
    CHECK_NEAR(gf__param_from_unit(rate, 1), 1, 0);
    CHECK_NEAR(gf__param_to_unit(rate, 1e-3), 0.25, 1e-12);
    gf__space_free(&space);
}

TEST(space__reverse_log_scale_spreads_the_top)
{
    gf__space space = space_of("[{\"parameterName\":\"m\",\"type\":\"DOUBLE\",\"minValue\":0.001,"
                               "\"maxValue\":0.999,\"scaleType\":\"UNIT_REVERSE_LOG_SCALE\"}]");
    const gf__param *m = &space.params[0];
    CHECK_NEAR(gf__param_from_unit(m, 0), 0.001, 1e-12);
    CHECK_NEAR(gf__param_from_unit(m, 1), 0.999, 1e-12);
    /* log(1 - m) has its middle where 1 - m = sqrt(0.001 * 0.999) */
    CHECK_NEAR(gf__param_from_unit(m, 0.5), 1 - sqrt(0.001 * 0.999), 1e-12);
    for (double u = 0; u <= 1; u += 0.125)
        CHECK_NEAR(gf__param_to_unit(m, gf__param_from_unit(m, u)), u, 1e-12);
    gf__space_free(&space);
}

TEST(space__every_whole_number_point_and_category_gets_an_even_share)
{
    gf__space space = space_of("[" UNITS "," KIND "," BATCH "]");
    for (size_t p = 0; p < space.n_params; p++) {
        const gf__param *param = &space.params[p];
        size_t n_hits[8] = {0};
        for (size_t i = 0; i < 2400; i++) {
            const double value = gf__param_from_unit(param, ((double)i + 0.5) / 2400);
            const double back = gf__param_from_unit(param, gf__param_to_unit(param, value));
            CHECK_NEAR(back, value, 0);
            n_hits[(size_t)(gf__param_to_unit(param, value) * (double)param->n_values)]++;
        }
        for (size_t k = 0; k < param->n_values; k++)
            CHECK_EQ(n_hits[k], 2400 / param->n_values);
    }
    gf__space_free(&space);
}

static void check_text(const gf__param *param, double value, const char *want)
{
    double back = 0;
    char *text = gf__param_format(param, value);
    CHECK_STR(text, want);
    CHECK_OK(gf__param_read(param, text, &back, &check_err));
    CHECK(memcmp(&back, &value, sizeof back) == 0);
    gf__free(text);
}

TEST(space__values_are_written_as_short_as_they_read_back)
{
    gf__space space = space_of("[" RATE "," UNITS "," KIND "," BATCH "]");
    check_text(&space.params[0], 0.1, "0.1");
    check_text(&space.params[0], 1e-4, "0.0001");
    check_text(&space.params[0], 1.0 / 3, "0.3333333333333333");
    check_text(&space.params[0], 0.1 + 0.2, "0.30000000000000004");
    check_text(&space.params[1], 8, "8");
    check_text(&space.params[2], 2, "rmsprop");
    check_text(&space.params[3], 32, "32");
    check_text(&space.params[3], 100.5, "100.5");
    double value;
    CHECK_FAILS(GF_EINVAL, "units", gf__param_read(&space.params[1], "9", &value, &check_err));
    CHECK_FAILS(GF_EINVAL, "units", gf__param_read(&space.params[1], "2.5", &value, &check_err));
    CHECK_FAILS(GF_EINVAL, "batch", gf__param_read(&space.params[3], "33", &value, &check_err));
    CHECK_FAILS(GF_EINVAL, "kind", gf__param_read(&space.params[2], "adamw", &value, &check_err));
    gf__space_free(&space);
    space = space_of("[{\"parameterName\":\"n\",\"type\":\"INTEGER\",\"minValue\":100,"
                     "\"maxValue\":1000000}]");
    check_text(&space.params[0], 100, "100");
    check_text(&space.params[0], 1000000, "1000000");
    gf__space_free(&space);
}

TEST(space__says_what_is_wrong_with_a_parameter)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"[]", "0 parameters"},
        {"[{\"type\":\"DOUBLE\"}]", "parameterName"},
        {"[{\"parameterName\":\"a\",\"type\":\"FLOAT\"}]", "FLOAT"},
        {"[{\"parameterName\":\"a\",\"type\":\"DOUBLE\",\"minValue\":1}]", "maxValue"},
        {"[{\"parameterName\":\"a\",\"type\":\"DOUBLE\",\"minValue\":2,\"maxValue\":1}]", "above"},
        {"[{\"parameterName\":\"a\",\"type\":\"INTEGER\",\"minValue\":0.5,\"maxValue\":1}]",
         "whole"},
        {"[{\"parameterName\":\"a\",\"type\":\"DOUBLE\",\"minValue\":0,\"maxValue\":1,"
         "\"scaleType\":\"UNIT_LOG_SCALE\"}]",
         "above 0"},
        {"[{\"parameterName\":\"a\",\"type\":\"DISCRETE\",\"discreteValues\":[2,1]}]",
         "increasing"},
        {"[{\"parameterName\":\"a\",\"type\":\"CATEGORICAL\",\"categoricalValues\":[\"x\","
         "\"x\"]}]",
         "twice"},
        {"[" UNITS "," UNITS "]", "twice"},
        {"[{\"parameterName\":\"a\",\"type\":\"DOUBLE\",\"scaleType\":\"LOG\"}]", "LOG"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        gf__json *params = NULL;
        gf__space space;
        CHECK_OK(gf__json_parse(rows[i].text, strlen(rows[i].text), &params, &check_err));
        CHECK_FAILS(GF_EINVAL, rows[i].part, gf__space_parse(params, &space, &check_err));
        gf__space_free(&space);
        gf__json_free(params);
    }
}

/* ---- choosing -------------------------------------------------------------------------------- */

TEST(grid__covers_every_setting_once_and_ends)
{
    gf__space space = space_of("[" UNITS "," KIND "," BATCH "]");
    const gf__search search = {.space = &space, .algorithm = GF__SEARCH_GRID};
    bool is_there[8][3][3] = {{{false}}}, is_exhausted = false;
    double all[72][3];
    gf__seen seen[72];
    for (size_t i = 0; i < 72; i++) {
        double *values = all[i];
        CHECK_OK(gf__search_choose(&search, i, seen, i, values, &is_exhausted, &check_err));
        CHECK(!is_exhausted);
        seen[i] = (gf__seen){values, GF__SEEN_PENDING, 0};
        bool *cell = &is_there[(size_t)values[0] - 1][(size_t)values[1]][values[2] < 20   ? 0
                                                                         : values[2] < 50 ? 1
                                                                                          : 2];
        CHECK(!*cell);
        *cell = true;
    }
    double values[3];
    CHECK_OK(gf__search_choose(&search, 72, seen, 72, values, &is_exhausted, &check_err));
    CHECK(is_exhausted);
    CHECK_OK(gf__search_choose(&search, 72, seen + 1, 71, values, &is_exhausted, &check_err));
    CHECK(!is_exhausted && memcmp(values, all[0], sizeof values) == 0);
    gf__space_free(&space);
    space = space_of("[" RATE "]");
    CHECK_FAILS(GF_EINVAL, "rate: a DOUBLE has no grid",
                gf__search_choose(&search, 0, NULL, 0, values, &is_exhausted, &check_err));
    gf__space_free(&space);
}

TEST(halton__fills_every_dimension_evenly)
{
    enum { N_DIMS = 6, N = 64 };
    size_t n_hits[N_DIMS][4] = {{0}};
    for (size_t i = 0; i < N; i++) {
        double point[N_DIMS];
        gf__halton(7, i, N_DIMS, point);
        for (size_t d = 0; d < N_DIMS; d++)
            n_hits[d][(size_t)(point[d] * 4)]++;
    }
    for (size_t d = 0; d < N_DIMS; d++)
        for (size_t k = 0; k < 4; k++)
            CHECK(n_hits[d][k] >= 12 && n_hits[d][k] <= 20); /* 16 each; random ones spread more */
}

/* A smooth hill with its top, 0, at (0.3, 0.7), on a ripple. */
static double hill(const double *x)
{
    const double a = x[0] - 0.3, b = x[1] - 0.7;
    return -(a * a + 2 * b * b + 0.5 * a * b) - 0.02 * (1 - cos(12 * a)) - 0.02 * (1 - cos(9 * b));
}

#define N_TRIALS 25
#define PLANE                                                                       \
    "[{\"parameterName\":\"x\",\"type\":\"DOUBLE\",\"minValue\":0,\"maxValue\":1}," \
    "{\"parameterName\":\"y\",\"type\":\"DOUBLE\",\"minValue\":0,\"maxValue\":1}]"

static double search_hill(gf__search_algorithm algorithm, uint64_t seed, bool is_minimised)
{
    gf__space space = space_of(PLANE);
    const gf__search search = {
        .space = &space, .algorithm = algorithm, .seed = seed, .is_minimised = is_minimised};
    double values[N_TRIALS][2], best = -INFINITY;
    gf__seen seen[N_TRIALS];
    for (size_t i = 0; i < N_TRIALS; i++) {
        bool is_exhausted = false;
        CHECK_OK(gf__search_choose(&search, i, seen, i, values[i], &is_exhausted, &check_err));
        const double found = hill(values[i]);
        seen[i] = (gf__seen){values[i], GF__SEEN_DONE, is_minimised ? -found : found};
        best = found > best ? found : best;
    }
    gf__space_free(&space);
    return best;
}

/* Margin: over ten seeds, what random search misses the top by is at least a hundred times what
 * Bayesian search misses it by. */
TEST(bayesian__comes_a_hundred_times_closer_to_the_top_than_random)
{
    double random = 0, bayesian = 0, minimised = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        random += search_hill(GF__SEARCH_RANDOM, seed, false);
        bayesian += search_hill(GF__SEARCH_BAYESIAN, seed, false);
        minimised += search_hill(GF__SEARCH_BAYESIAN, seed, true);
    }
    printf("missed by: random %.6f, bayesian %.6f, minimised %.6f\n", -random / 10, -bayesian / 10,
           -minimised / 10);
    CHECK(-bayesian * 100 < -random);
    CHECK_NEAR(minimised, bayesian, 0); /* the same search of the hill turned over */
}

TEST(bayesian__finds_the_best_of_mixed_kinds)
{
    gf__space space = space_of("[" RATE "," UNITS "," KIND "," BATCH "]");
    const gf__search search = {.space = &space, .algorithm = GF__SEARCH_BAYESIAN, .seed = 3};
    double values[40][4];
    double best = -INFINITY;
    gf__seen seen[40];
    for (size_t i = 0; i < 40; i++) {
        bool is_exhausted = false;
        CHECK_OK(gf__search_choose(&search, i, seen, i, values[i], &is_exhausted, &check_err));
        const double *v = values[i];
        const double found = -pow(log10(v[0]) + 2, 2) - 0.1 * pow(v[1] - 6, 2) -
                             (v[2] == 1 ? 0 : 1.0) - (v[3] < 20 ? 0.5 : 0); /* NOLINT */
        seen[i] = (gf__seen){v, GF__SEEN_DONE, found};
        best = found > best ? found : best;
    }
    CHECK(best > -0.05);
    gf__space_free(&space);
}

TEST(choice__is_the_same_for_a_second_attempt)
{
    gf__space space = space_of("[" RATE "," UNITS "]");
    for (int a = 0; a < 3; a++) {
        const gf__search search = {.space = &space,
                                   .algorithm = a == 0   ? GF__SEARCH_BAYESIAN
                                                : a == 1 ? GF__SEARCH_RANDOM
                                                         : GF__SEARCH_BAYESIAN,
                                   .seed = 11};
        double values[8][2];
        gf__seen seen[8];
        for (size_t i = 0; i < 8; i++) {
            double again[2];
            bool is_exhausted = false;
            CHECK_OK(gf__search_choose(&search, i, seen, i, values[i], &is_exhausted, &check_err));
            CHECK_OK(gf__search_choose(&search, i, seen, i, again, &is_exhausted, &check_err));
            CHECK(memcmp(values[i], again, sizeof again) == 0);
            seen[i] = (gf__seen){values[i], a == 2 && i % 3 == 2 ? GF__SEEN_FAILED : GF__SEEN_DONE,
                                 values[i][0]};
        }
    }
    gf__space_free(&space);
}

/* Eight at once: without a lie for the running ones they would all go to the same place. */
TEST(bayesian__keeps_away_from_trials_that_run)
{
    gf__space space = space_of(PLANE);
    const gf__search search = {.space = &space, .algorithm = GF__SEARCH_BAYESIAN, .seed = 5};
    double values[20][2];
    gf__seen seen[20];
    for (size_t i = 0; i < 20; i++) {
        bool is_exhausted = false;
        CHECK_OK(gf__search_choose(&search, i, seen, i, values[i], &is_exhausted, &check_err));
        seen[i] = (gf__seen){values[i], i < 12 ? GF__SEEN_DONE : GF__SEEN_PENDING, hill(values[i])};
        for (size_t k = 12; k < i; k++)
            CHECK(fabs(values[i][0] - values[k][0]) + fabs(values[i][1] - values[k][1]) > 0.005);
    }
    gf__space_free(&space);
}

TEST(bayesian__tries_no_setting_twice_and_lives_with_equal_or_wild_objectives)
{
    gf__space space = space_of("[" UNITS "]");
    const gf__search search = {.space = &space, .algorithm = GF__SEARCH_BAYESIAN, .seed = 2};
    for (int wild = 0; wild < 2; wild++) {
        double values[9][1];
        gf__seen seen[9];
        bool is_there[8] = {false}, is_exhausted = false;
        for (size_t i = 0; i < 9; i++) {
            CHECK_OK(gf__search_choose(&search, i, seen, i, values[i], &is_exhausted, &check_err));
            seen[i] = (gf__seen){values[i], GF__SEEN_DONE, wild && i == 2 ? 1e300 : 1};
            if (i < 8)
                CHECK(!is_there[(size_t)values[i][0] - 1]);
            is_there[(size_t)values[i][0] - 1] = true;
        }
    }
    gf__space_free(&space);
}

/* ---- the model ------------------------------------------------------------------------------- */

TEST(cholesky__multiplies_back)
{
    const double a[9] = {4, 0, 0, 2, 5, 0, -1, 1, 3};
    double l[9], odd[4] = {1, 0, 2, 1};
    memcpy(l, a, sizeof l);
    CHECK(gf__cholesky(l, 3));
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k <= j; k++)
                sum += l[i * 3 + k] * l[j * 3 + k];
            CHECK_NEAR(sum, a[i * 3 + j], 1e-12);
        }
    }
    CHECK(!gf__cholesky(odd, 2));
}

TEST(gp__goes_through_its_points_and_is_unsure_far_away)
{
    const double points[5] = {0.0, 0.1, 0.2, 0.3, 0.4}, targets[5] = {1, 3, 4, 3.5, 2};
    const size_t group = 0;
    const gf__gp_data data = {points, targets, 5, 1, &group, 1};
    gf__gp *gp = NULL;
    gf__rng rng;
    gf__rng_seed(&rng, 1, 0);
    CHECK_OK(gf__gp_fit(&data, &rng, &gp, &check_err));
    double mean, deviation, far, scratch[5];
    for (size_t i = 0; i < 5; i++) {
        gf__gp_predict(gp, &points[i], scratch, &mean, &deviation);
        CHECK_NEAR(mean, targets[i], 0.1);
        CHECK(deviation < 0.2);
    }
    gf__gp_predict(gp, &(double){0.9}, scratch, &mean, &far);
    CHECK(far > 5 * deviation);
    gf__gp_free(gp);
}

TEST(expected_improvement__is_the_known_value)
{
    /* z = 0: deviation / sqrt(2 pi) */
    CHECK_NEAR(gf__expected_improvement(1, 2, 1), 2 / sqrt(2 * 3.14159265358979), 1e-12);
    CHECK_NEAR(gf__expected_improvement(3, 0, 1), 2, 0);
    CHECK_NEAR(gf__expected_improvement(0, 0, 1), 0, 0);
    /* mean 1, deviation 1, best 0: Phi(1) + phi(1) */
    CHECK_NEAR(gf__expected_improvement(1, 1, 0), 0.8413447460685429 + 0.24197072451914337, 1e-12);
}

/* ---- early stopping -------------------------------------------------------------------------- */

#define CURVE(...)                                                           \
    {                                                                        \
        (const gf__measure[]){__VA_ARGS__},                                  \
            sizeof((const gf__measure[]){__VA_ARGS__}) / sizeof(gf__measure) \
    }

TEST(median_stop__compares_the_best_with_the_median_of_averages_by_that_step)
{
    const gf__curve completed[] = {
        CURVE({1, 0.2}, {2, 0.4}, {3, 0.9}), /* averages by step 2: 0.3, 0.5, 0.7 */
        CURVE({1, 0.4}, {2, 0.6}, {3, 0.9}),
        CURVE({1, 0.6}, {2, 0.8}, {3, 0.9}),
    };
    const gf__curve worse = CURVE({1, 0.49}, {2, 0.1}), level = CURVE({1, 0.5}, {2, 0.1});
    const gf__curve better = CURVE({1, 0.1}, {2, 0.55}), empty = {NULL, 0};
    CHECK(gf__search_should_stop(&worse, completed, 3, false));
    CHECK(!gf__search_should_stop(&level, completed, 3, false)); /* strictly worse only */
    CHECK(!gf__search_should_stop(&better, completed, 3, false));
    CHECK(!gf__search_should_stop(&worse, completed, 2, false)); /* too few to judge by */
    CHECK(!gf__search_should_stop(&empty, completed, 3, false));
    /* a loss: the best is the lowest */
    CHECK(!gf__search_should_stop(&worse, completed, 3, true));
    const gf__curve high = CURVE({1, 0.9}, {2, 0.51});
    CHECK(gf__search_should_stop(&high, completed, 3, true));
}

TESTS_MAIN(
    UNIT(space__log_scale_halves_the_decades), UNIT(space__reverse_log_scale_spreads_the_top),
    UNIT(space__every_whole_number_point_and_category_gets_an_even_share),
    UNIT(space__values_are_written_as_short_as_they_read_back),
    UNIT(space__says_what_is_wrong_with_a_parameter),
    UNIT(grid__covers_every_setting_once_and_ends), UNIT(halton__fills_every_dimension_evenly),
    UNIT(bayesian__comes_a_hundred_times_closer_to_the_top_than_random),
    UNIT(bayesian__finds_the_best_of_mixed_kinds), UNIT(choice__is_the_same_for_a_second_attempt),
    UNIT(bayesian__keeps_away_from_trials_that_run),
    UNIT(bayesian__tries_no_setting_twice_and_lives_with_equal_or_wild_objectives),
    UNIT(cholesky__multiplies_back), UNIT(gp__goes_through_its_points_and_is_unsure_far_away),
    UNIT(expected_improvement__is_the_known_value),
    UNIT(median_stop__compares_the_best_with_the_median_of_averages_by_that_step))
