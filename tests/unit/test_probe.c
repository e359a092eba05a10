/* The probe against scikit-learn's Ridge in both of its forms, its linear algebra on odd sizes, and
 * what it promises: the same answer on any number of threads, no leak, a sensible score at the
 * ends. */
#include "check.h"

#include "../golden/train/probe_golden.h"
#include "head/head.h"
#include "train/linear_priv.h"
#include "train/probe_priv.h"

enum { PN = 30, PK = 3 };

static void check_golden(const float *features, size_t n_features, const double *want)
{
    double scores[PN * PK], accuracy = 0.0;
    size_t n_correct = 0;
    gf_probe_options options = gf_probe_options_default();
    options.ridge = 5.0;
    options.n_threads = 1;
    CHECK_OK(gf__probe_run(features, golden_probe_labels, golden_probe_folds, 5, PN, n_features, PK,
                           &options, scores, &accuracy, &check_err));
    for (size_t i = 0; i < PN * PK; i++)
        CHECK_NEAR(scores[i], want[i], 1e-7); /* features in the file have 9 digits */
    for (size_t i = 0; i < PN; i++) {
        const double *row = want + i * PK;
        const size_t k = golden_probe_labels[i];
        n_correct += row[k] >= row[0] && row[k] >= row[1] && row[k] >= row[2];
    }
    CHECK_NEAR(accuracy, (double)n_correct / PN, 1e-12);
}

TEST(probe__agrees_with_scikit_learn_with_fewer_features_than_rows)
{
    check_golden(golden_probe_features, 8, golden_probe_scores);
}

TEST(probe__agrees_with_scikit_learn_with_more_features_than_rows)
{
    check_golden(golden_wide_features, 58, golden_wide_scores);
}

static float *random_features(size_t n, size_t d, const size_t *labels, double distance)
{
    float *features = malloc(n * d * sizeof *features);
    gf__rng rng;
    gf__rng_seed(&rng, 8, 0);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            features[i * d + j] = (float)(gf__rng_normal(&rng) +
                                          (j % 3 == labels[i] ? distance : 0.0));
    return features;
}

static double probe_of(size_t n, size_t d, double distance, size_t n_folds, int n_threads)
{
    double accuracy = -1.0;
    gf_probe_options options = gf_probe_options_default();
    options.n_folds = n_folds;
    options.n_threads = n_threads;
    size_t *labels = malloc(n * sizeof *labels);
    for (size_t i = 0; i < n; i++)
        labels[i] = i % 3;
    float *features = random_features(n, d, labels, distance);
    CHECK_OK(gf_probe(features, labels, n, d, 3, &options, &accuracy, &check_err));
    free(features), free(labels);
    return accuracy;
}

TEST(probe__tells_separable_features_from_noise)
{
    CHECK_NEAR(probe_of(90, 200, 2.0, 5, 1), 1.0, 0.0);
    CHECK_NEAR(probe_of(300, 20, 3.0, 5, 1), 1.0, 0.0);
    CHECK_NEAR(probe_of(300, 20, 0.0, 5, 1), 0.333, 0.1);
    CHECK_NEAR(probe_of(300, 400, 0.0, 5, 1), 0.333, 0.1);
    const double some = probe_of(300, 20, 0.3, 5, 1);
    CHECK(some > 0.45 && some < 0.9);
}

TEST(probe__works_with_two_folds)
{
    CHECK_NEAR(probe_of(90, 200, 2.0, 2, 1), 1.0, 0.0);
    CHECK_NEAR(probe_of(300, 20, 0.0, 2, 1), 0.333, 0.1);
}

TEST(probe__gives_the_same_answer_on_any_number_of_threads)
{
    for (int n_threads = 2; n_threads <= 3; n_threads++) {
        CHECK(probe_of(100, 130, 0.2, 5, 1) == probe_of(100, 130, 0.2, 5, n_threads));
        CHECK(probe_of(150, 70, 0.2, 5, 1) == probe_of(150, 70, 0.2, 5, n_threads));
    }
}

TEST(probe__takes_constant_features_and_lone_classes)
{
    const size_t labels[] = {0, 0, 0, 0, 1, 1, 1, 2};
    float features[8 * 3];
    double accuracy = -1.0;
    const gf_probe_options options = gf_probe_options_default();
    for (size_t i = 0; i < 8; i++) {
        features[3 * i] = 7.0f;
        features[3 * i + 1] = (float)labels[i];
        features[3 * i + 2] = 0.0f;
    }
    CHECK_OK(gf_probe(features, labels, 8, 3, 4, &options, &accuracy, &check_err));
    CHECK(accuracy >= 0.5 && accuracy < 1.0); /* the lone row of class 2 cannot be known */
}

TEST(probe__refuses_bad_input)
{
    float features[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const size_t labels[] = {0, 1, 0, 1, 0, 1, 0, 2};
    double accuracy;
    gf_probe_options options = gf_probe_options_default();
    CHECK_FAILS(GF_EINVAL, "row 7 has label 2, there are 2 classes",
                gf_probe(features, labels, 8, 1, 2, &options, &accuracy, &check_err));
    CHECK_FAILS(GF_EINVAL, "4 rows",
                gf_probe(features, labels, 3, 1, 3, &options, &accuracy, &check_err));
    features[5] = NAN;
    CHECK_FAILS(GF_EINVAL, "row 5: feature 0",
                gf_probe(features, labels, 8, 1, 3, &options, &accuracy, &check_err));
    options.n_folds = 1;
    CHECK_FAILS(GF_EINVAL, "folds is 1, must be from 2",
                gf_probe(features, labels, 8, 1, 3, &options, &accuracy, &check_err));
    options.n_folds = 5;
    options.ridge = -1.0;
    CHECK_FAILS(GF_EINVAL, "ridge is -1",
                gf_probe(features, labels, 8, 1, 3, &options, &accuracy, &check_err));
}

TEST(probe__survives_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    double accuracy = 0.0;
    gf_probe_options options = gf_probe_options_default();
    options.n_threads = 2;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_probe(golden_probe_features, golden_probe_labels, PN, 8, PK, &options, &accuracy,
                      NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || st == GF_ENOMEM);
    }
    CHECK_EQ(st, GF_OK);
}

static const gf__linear_ops *all_ops[3];

/* Those this CPU can run. */
static size_t list_ops(void)
{
    size_t n = 0;
    all_ops[n++] = &gf__linear_ops_generic;
#if defined(__x86_64__)
    if (gf__isa_pick() != GF__ISA_GENERIC)
        all_ops[n++] = &gf__linear_ops_v3;
    if (gf__isa_pick() == GF__ISA_V4)
        all_ops[n++] = &gf__linear_ops_v4;
#endif
    return n;
}

/* A random symmetric positive definite (M,M). */
static double *random_matrix(size_t M)
{
    double *a = malloc(M * M * sizeof *a), *root = malloc(M * M * sizeof *root);
    gf__rng rng;
    gf__rng_seed(&rng, M, 0);
    for (size_t i = 0; i < M * M; i++)
        root[i] = gf__rng_normal(&rng);
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < M; j++) {
            a[i * M + j] = i == j ? 1.0 : 0.0;
            for (size_t k = 0; k < M; k++)
                a[i * M + j] += root[i * M + k] * root[j * M + k];
        }
    }
    free(root);
    return a;
}

TEST(linear__solves_what_it_factored_on_odd_sizes)
{
    static const size_t sizes[] = {1, 2, 17, 63, 64, 65, 130, 200};
    const size_t n_ops = list_ops();
    for (size_t o = 0; o < n_ops; o++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            const size_t M = sizes[s], C = 3;
            double *a = random_matrix(M), *factor = malloc(M * M * sizeof *factor),
                   *x = calloc(M * C, sizeof *x);
            memcpy(factor, a, M * M * sizeof *a);
            /* b = a times 1, 2, 3 ... in every column, times the column's number. */
            for (size_t i = 0; i < M; i++)
                for (size_t j = 0; j < M; j++)
                    for (size_t c = 0; c < C; c++)
                        x[i * C + c] += a[i * M + j] * (double)((j + 1) * c);
            CHECK(all_ops[o]->factor(factor, M));
            all_ops[o]->solve(x, C, factor, M);
            for (size_t i = 0; i < M; i++)
                for (size_t c = 0; c < C; c++)
                    CHECK_NEAR(x[i * C + c], (double)((i + 1) * c), 1e-6);
            free(a), free(factor), free(x);
        }
    }
}

TEST(linear__says_when_a_matrix_is_not_positive_definite)
{
    for (size_t o = 0, n_ops = list_ops(); o < n_ops; o++) {
        double singular[] = {1.0, 1.0, 1.0, 1.0}, missing[] = {(double)NAN};
        CHECK(!all_ops[o]->factor(singular, 2));
        CHECK(!all_ops[o]->factor(missing, 1));
    }
}

TESTS_MAIN(UNIT(probe__agrees_with_scikit_learn_with_fewer_features_than_rows),
           UNIT(probe__agrees_with_scikit_learn_with_more_features_than_rows),
           UNIT(probe__tells_separable_features_from_noise), UNIT(probe__works_with_two_folds),
           UNIT(probe__gives_the_same_answer_on_any_number_of_threads),
           UNIT(probe__takes_constant_features_and_lone_classes), UNIT(probe__refuses_bad_input),
           UNIT(probe__survives_every_allocation_failure),
           UNIT(linear__solves_what_it_factored_on_odd_sizes),
           UNIT(linear__says_when_a_matrix_is_not_positive_definite))
