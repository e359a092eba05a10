/* Metrics against scikit-learn, intervals against Wilson's published values, and the records as
 * JSON. */
#include "check.h"

#include "../golden/train/metrics_golden.h"
#include "train/train.h"

TEST(metrics__agree_with_scikit_learn)
{
    gf_metrics *metrics = NULL;
    CHECK_OK(gf_metrics_new(golden_scores, golden_truth, 40, 4, &metrics, &check_err));
    for (size_t i = 0; i < 16; i++)
        CHECK_EQ(metrics->confusion[i], golden_confusion[i]);
    for (size_t k = 0; k < 3; k++) {
        CHECK_NEAR(metrics->precision[k], golden_precision[k], 1e-8);
        CHECK_NEAR(metrics->f1[k], golden_f1[k], 1e-8);
    }
    for (size_t k = 0; k < 4; k++)
        CHECK_NEAR(metrics->recall[k], golden_recall[k], 1e-8);
    CHECK(isnan(metrics->precision[3])); /* never predicted: 0/0 */
    CHECK_NEAR(metrics->f1[3], 0.0, 0.0);
    CHECK_NEAR(metrics->macro_f1, (golden_f1[0] + golden_f1[1] + golden_f1[2]) / 4.0, 1e-8);
    CHECK_NEAR(metrics->accuracy, 11.0 / 40.0, 1e-12);
    CHECK_EQ(metrics->predicted[0], 0); /* the first of equal scores */
    CHECK_NEAR((double)metrics->score[0], 0.25, 0.0);
    gf_metrics_free(metrics);
}

/* n rows of 2 classes of which n_right are. */
static gf_metrics *measure(size_t n, size_t n_right)
{
    gf_metrics *metrics = NULL;
    float *scores = malloc(n * 2 * sizeof *scores);
    size_t *labels = calloc(n, sizeof *labels);
    for (size_t i = 0; i < n; i++) {
        scores[2 * i] = i < n_right ? 0.75f : 0.25f;
        scores[2 * i + 1] = 1.0f - scores[2 * i];
    }
    CHECK_OK(gf_metrics_new(scores, labels, n, 2, &metrics, &check_err));
    free(scores), free(labels);
    return metrics;
}

TEST(metrics__give_wilsons_interval)
{
    /* scipy 1.17.1: binomtest(39, 40).proportion_ci(0.95, "wilson"), (10, 10), (0, 10). */
    gf_metrics *most = measure(40, 39), *all = measure(10, 10), *none = measure(10, 0);
    CHECK_NEAR(most->accuracy_low, 0.871186310, 1e-8);
    CHECK_NEAR(most->accuracy_high, 0.995573168, 1e-8);
    CHECK_NEAR(all->accuracy_low, 0.722467200, 1e-8);
    CHECK_NEAR(all->accuracy_high, 1.0, 1e-12);
    CHECK_NEAR(none->accuracy_low, 0.0, 1e-12);
    CHECK_NEAR(none->accuracy_high, 0.277532800, 1e-8);
    CHECK_NEAR(most->loss, -(39 * log(0.75) + log(0.25)) / 40, 1e-7);
    gf_metrics_free(most);
    gf_metrics_free(all);
    gf_metrics_free(none);
}

TEST(metrics__leave_out_a_class_that_never_came_up)
{
    gf_metrics *metrics = measure(5, 5);
    CHECK(isnan(metrics->recall[1]) && isnan(metrics->f1[1]));
    CHECK_NEAR(metrics->macro_f1, 1.0, 0.0);
    gf_metrics_free(metrics);
}

TEST(metrics__refuse_bad_rows)
{
    gf_metrics *metrics = NULL;
    const float scores[] = {0.5f, 0.5f, NAN, 0.5f};
    const size_t labels[] = {0, 1}, too_large[] = {0, 2};
    CHECK_FAILS(GF_EINVAL, "row 1 has label 2, there are 2 classes",
                gf_metrics_new(scores, too_large, 2, 2, &metrics, &check_err));
    CHECK_FAILS(GF_EINVAL, "row 1: the score of class 0 is not a number",
                gf_metrics_new(scores, labels, 2, 2, &metrics, &check_err));
    CHECK_FAILS(GF_EINVAL, "0 rows", gf_metrics_new(scores, labels, 0, 2, &metrics, &check_err));
    CHECK(metrics == NULL);
    gf_metrics_free(NULL);
}

TEST(metrics__survive_every_allocation_failure)
{
    gf_metrics *metrics = NULL;
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_metrics_new(golden_scores, golden_truth, 40, 4, &metrics, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && metrics == NULL));
    }
    gf_metrics_free(metrics);
}

TEST(metrics_to_json__has_null_for_what_is_undefined)
{
    const char *const names[] = {"rose \"red\"", "tulip"};
    gf_metrics *metrics = measure(40, 39);
    gf__json *json = gf__metrics_to_json(metrics, names);
    CHECK_OK(gf__json_status(json, &check_err));
    CHECK_NEAR(gf__json_number(gf__json_find(json, "accuracy"), -1.0), 0.975, 1e-9);
    const gf__json *classes = gf__json_find(json, "classes");
    CHECK_STR(gf__json_string(gf__json_find(gf__json_at(classes, 0), "class"), ""), names[0]);
    CHECK_EQ(gf__json_int(gf__json_find(gf__json_at(classes, 0), "n"), -1), 40);
    CHECK(gf__json_is_null(gf__json_find(gf__json_at(classes, 1), "recall")));
    const gf__json *row = gf__json_at(gf__json_find(json, "confusion"), 0);
    CHECK_EQ(gf__json_int(gf__json_at(row, 1), -1), 1);
    gf__json_free(json);
    gf_metrics_free(metrics);
}

TEST(history_json__comes_back_as_it_went)
{
    gf_epoch epochs[] = {{1, 0.7, 0.5, 0.6, 0.55, 0.01},
                         {2, 0.5, 0.8, (double)NAN, (double)NAN, 0.02}};
    const gf_history history = {epochs, 2, 1, true};
    gf_history *back = NULL;
    gf__json *json = gf__history_to_json(&history);
    CHECK_OK(gf__history_from_json(json, &back, &check_err));
    CHECK_EQ(back->n_epochs, 2);
    CHECK_EQ(back->best_epoch, 1);
    CHECK(back->is_complete);
    CHECK_NEAR(back->epochs[0].val_loss, 0.6, 1e-9);
    CHECK(isnan(back->epochs[1].val_loss));
    gf_history_free(back);
    gf__json_free(json);
}

TEST(history_from_json__names_what_is_wrong)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{}", "epochs"},
        {"{\"epochs\":[],\"best_epoch\":1}", "1 of 0 epochs"},
        {"{\"epochs\":[{\"epoch\":2}],\"best_epoch\":1}", "expected 1, found 2"},
        {"{\"epochs\":[{\"epoch\":1,\"loss\":\"x\"}],\"best_epoch\":1}", "history epoch 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gf__json *json = NULL;
        gf_history *history = NULL;
        CHECK_OK(gf__json_parse(cases[i].text, strlen(cases[i].text), &json, &check_err));
        CHECK_FAILS(GF_EFORMAT, cases[i].message,
                    gf__history_from_json(json, &history, &check_err));
        CHECK(history == NULL);
        gf__json_free(json);
    }
}

TESTS_MAIN(UNIT(metrics__agree_with_scikit_learn), UNIT(metrics__give_wilsons_interval),
           UNIT(metrics__leave_out_a_class_that_never_came_up), UNIT(metrics__refuse_bad_rows),
           UNIT(metrics__survive_every_allocation_failure),
           UNIT(metrics_to_json__has_null_for_what_is_undefined),
           UNIT(history_json__comes_back_as_it_went), UNIT(history_from_json__names_what_is_wrong))
