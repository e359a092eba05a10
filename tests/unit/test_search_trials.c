/* test_search_trials.c: a trial's file of metrics, and the document of all trials, there and back.
 */
#include "check.h"
#include "tasks/search_priv.h"

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(text, file);
    CHECK(fclose(file) == 0);
}

static void check_measure(const gf__measures *seen, size_t i, int64_t step, double value)
{
    CHECK(i < seen->n);
    CHECK_EQ(seen->measures[i].step, step);
    CHECK_NEAR(seen->measures[i].value, value, 1e-12);
}

/* ---- metrics --------------------------------------------------------------------------------- */

TEST(metrics__are_read_as_cloudml_hypertune_writes_them)
{
    char *dir = check_temp_dir(), path[4200];
    gf__measures seen = {0};
    bool is_new = true;
    snprintf(path, sizeof path, "%s/output.metric", dir);
    CHECK_OK(gf__measures_read(&seen, path, "acc", &is_new, &check_err));
    CHECK(!is_new);
    write_text(path, "{\"acc\": \"0.5\", \"checkpoint_path\": \"\", \"global_step\": \"100\", "
                     "\"timestamp\": 10.5, \"trial\": \"0\"}\n"
                     "{\"acc\": \"0.7\", \"global_step\": \"200\", \"timestamp\": 11.5}\n"
                     "{\"acc\": \"0.9\", \"global_st");
    CHECK_OK(gf__measures_read(&seen, path, "acc", &is_new, &check_err));
    CHECK(is_new);
    CHECK_EQ(seen.n, 2);
    check_measure(&seen, 0, 100, 0.5);
    check_measure(&seen, 1, 200, 0.7);
    CHECK_OK(gf__measures_read(&seen, path, "acc", &is_new, &check_err));
    CHECK(!is_new);
    gf__measures_free(&seen);
    check_remove_dir(dir);
}

TEST(metrics__survive_a_file_that_is_written_anew_and_forgets)
{
    char *dir = check_temp_dir(), path[4200];
    gf__measures seen = {0};
    bool is_new = false;
    snprintf(path, sizeof path, "%s/output.metric", dir);
    write_text(path, "{\"acc\":1,\"global_step\":1,\"timestamp\":1}\n"
                     "{\"acc\":2,\"global_step\":2,\"timestamp\":2}\n"
                     "{\"acc\":3,\"global_step\":3,\"timestamp\":3}\n");
    CHECK_OK(gf__measures_read(&seen, path, "acc", &is_new, &check_err));
    write_text(path, ""); /* opened with "w", nothing written yet */
    CHECK_OK(gf__measures_read(&seen, path, "acc", &is_new, &check_err));
    CHECK(!is_new);
    CHECK_EQ(seen.n, 3);
    write_text(path, "{\"acc\":2,\"global_step\":2,\"timestamp\":2}\n");
    CHECK_OK(gf__measures_read(&seen, path, "acc", &is_new, &check_err));
    CHECK(!is_new);
    CHECK_EQ(seen.n, 3);
    write_text(path, "{\"acc\":2,\"global_step\":2,\"timestamp\":2}\n"
                     "{\"acc\":3,\"global_step\":3,\"timestamp\":3}\n"
                     "{\"acc\":4,\"global_step\":4,\"timestamp\":4}\n");
    CHECK_OK(gf__measures_read(&seen, path, "acc", &is_new, &check_err));
    CHECK(is_new);
    CHECK_EQ(seen.n, 4);
    for (size_t i = 0; i < 4; i++)
        check_measure(&seen, i, (int64_t)i + 1, (double)i + 1);
    gf__measures_free(&seen);
    check_remove_dir(dir);
}

TEST(metrics__without_a_tag_asked_for_are_the_held_out_accuracy)
{
    char *dir = check_temp_dir(), path[4200];
    gf__measures seen = {0};
    bool is_new = false;
    snprintf(path, sizeof path, "%s/output.metric", dir);
    write_text(path, "not a document\n{\"loss\":0.5,\"val_accuracy\":0.75,\"global_step\":1}\n"
                     "{\"loss\":0.25,\"training/hptuning/metric\":0.5,\"val_accuracy\":0.875}\n");
    CHECK_OK(gf__measures_read(&seen, path, GF__DEFAULT_METRIC_TAG, &is_new, &check_err));
    CHECK_EQ(seen.n, 2);
    check_measure(&seen, 0, 1, 0.75);
    check_measure(&seen, 1, 2,
                  0.5); /* the tag itself comes first; a step that is not told is counted */
    gf__measures_free(&seen);
    seen.file_size = 0;
    CHECK_OK(gf__measures_read(&seen, path, "acuracy", &is_new, &check_err));
    CHECK_EQ(seen.n, 0);
    CHECK_STR(seen.other_tags, "loss, val_accuracy"); /* what the job's errorMessage tells */
    gf__measures_free(&seen);
    check_remove_dir(dir);
}

/* ---- the document ---------------------------------------------------------------------------- */

static gf__json *parse(const char *text)
{
    gf__json *document = NULL;
    CHECK_OK(gf__json_parse(text, strlen(text), &document, &check_err));
    return document;
}

#define PARAMS                                                                         \
    "[{\"parameterName\":\"rate\",\"type\":\"DOUBLE\",\"minValue\":0,\"maxValue\":1}," \
    "{\"parameterName\":\"kind\",\"type\":\"CATEGORICAL\",\"categoricalValues\":[\"a\",\"b\"]}]"

static void end_trial(gf__trial *trial, gf__trial_state state, double value)
{
    const gf__measure measure = {.step = 20, .value = value};
    trial->state = state;
    if (!isnan(value))
        CHECK_OK(gf__measures_add(&trial->metrics, &measure, 0, &check_err));
}

/* Five trials: two good ones, a failed one, a good one without an objective, one that runs. */
static void fill(gf__trials *trials, const gf__space *space)
{
    static const gf__trial_state states[5] = {GF__TRIAL_SUCCEEDED, GF__TRIAL_FAILED,
                                              GF__TRIAL_SUCCEEDED, GF__TRIAL_SUCCEEDED,
                                              GF__TRIAL_RUNNING};
    static const double found[5] = {0.5, NAN, NAN, 0.75, 0.99};
    *trials = (gf__trials){.space = space};
    for (size_t i = 0; i < 5; i++) {
        const double values[2] = {0.1 * (double)(i + 1) / 3, (double)(i % 2)};
        gf__trial *trial = NULL;
        CHECK_OK(gf__trials_add(trials, values, &trial, &check_err));
        end_trial(trial, states[i], found[i]);
    }
}

static void check_order(const gf__json *output, const char *want)
{
    char ids[16] = "";
    const gf__json *list = gf__json_find(output, "trials");
    for (size_t i = 0; i < gf__json_n_items(list); i++)
        strncat(ids, gf__json_string(gf__json_find(gf__json_at(list, i), "trialId"), "?"), 1);
    CHECK_STR(ids, want);
}

TEST(trials__are_told_best_first_as_the_api_has_them)
{
    gf__json *params = parse(PARAMS);
    gf__space space;
    gf__trials trials;
    CHECK_OK(gf__space_parse(params, &space, &check_err));
    fill(&trials, &space);
    gf__json *output = gf__trials_output(&trials, "acc", false);
    CHECK_OK(gf__json_status(output, &check_err));
    check_order(output, "41325");
    CHECK_STR(gf__json_string(gf__json_find(output, "completedTrialCount"), ""), "3");
    CHECK(gf__json_bool(gf__json_find(output, "isHyperparameterTuningJob"), false));
    const gf__json *best = gf__json_at(gf__json_find(output, "trials"), 0);
    const gf__json *final = gf__json_find(best, "finalMetric");
    CHECK_STR(gf__json_string(gf__json_find(final, "trainingStep"), ""), "20");
    CHECK_NEAR(gf__json_number(gf__json_find(final, "objectiveValue"), 0), 0.75, 0);
    CHECK_STR(gf__json_string(gf__json_find(gf__json_find(best, "hyperparameters"), "kind"), ""),
              "b");
    gf__json_free(output);
    output = gf__trials_output(&trials, "loss", true);
    check_order(output, "14325");
    gf__json_free(output);
    gf__trials_free(&trials);
    gf__space_free(&space);
    gf__json_free(params);
}

TEST(trials__come_back_from_their_document)
{
    gf__json *params = parse(PARAMS);
    gf__space space;
    gf__trials trials, again = {.space = &space}, other = {.space = &space};
    size_t n_left_out = 0;
    CHECK_OK(gf__space_parse(params, &space, &check_err));
    fill(&trials, &space);
    gf__json *output = gf__trials_output(&trials, "acc", false);
    CHECK_OK(gf__trials_restore(&again, output, &check_err));
    CHECK_EQ(again.n, 5);
    for (size_t i = 0; i < 5; i++) {
        const gf__trial *a = trials.at[i], *b = again.at[i];
        CHECK_STR(b->id, a->id);
        CHECK(memcmp(b->values, a->values, 2 * sizeof(double)) == 0); /* to the last bit */
        CHECK_EQ(b->state, a->state == GF__TRIAL_RUNNING ? GF__TRIAL_QUEUED : a->state);
        CHECK_EQ(b->metrics.n, i == 4 ? 0 : a->metrics.n); /* what ran begins again */
    }
    CHECK_OK(gf__trials_import(&other, output, &n_left_out, &check_err));
    CHECK_EQ(other.n, 3); /* with an objective */
    CHECK_EQ(n_left_out, 2);
    gf__json_free(output);
    output = parse("{\"trials\":[{\"trialId\":\"2\",\"hyperparameters\":{}}]}");
    CHECK_FAILS(GF_EFORMAT, "trial 1", gf__trials_restore(&again, output, &check_err));
    gf__json_free(output);
    gf__trials_free(&trials);
    gf__trials_free(&again);
    gf__trials_free(&other);
    gf__space_free(&space);
    gf__json_free(params);
}

TESTS_MAIN(UNIT(metrics__are_read_as_cloudml_hypertune_writes_them),
           UNIT(metrics__survive_a_file_that_is_written_anew_and_forgets),
           UNIT(metrics__without_a_tag_asked_for_are_the_held_out_accuracy),
           UNIT(trials__are_told_best_first_as_the_api_has_them),
           UNIT(trials__come_back_from_their_document))
