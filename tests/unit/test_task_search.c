/* test_task_search.c: hyperparameter search by the real program: trials run, are followed, stopped
 * early, fail; and an attempt after a crash runs only what is missing. */
#include "task_home.h"

static int open_search(void **state)
{
    open_home(state);
    char *script = (char *)(uintptr_t)check_fixture("unit/task_trials.py");
    char *argv[] = {(char *)(uintptr_t) "python3", script, packages, NULL};
    assert_int_equal(end_program(start_program(argv)), 0);
    return 0;
}

/* hyperparameters: its members. */
static void write_search(const char *module, const char *training, const char *hyperparameters)
{
    char *fields = gf__asprintf(",\"jobDir\":\"gs://bucket/trials\",%s,\"hyperparameters\":{%s}",
                                training, hyperparameters);
    CHECK(fields != NULL);
    write_spec(&(job_spec){.module = module, .training = fields});
    gf__free(fields);
}

/* Trials of the package, their ways in this order. */
static void write_ways(const char *ways, const char *more)
{
    char *training = gf__asprintf(
        "\"packages\":[\"%s/trial.tar.gz\"],\"args\":[\"--pipe\",\"%s/pipe\"]", packages, root);
    char *hyperparameters = gf__asprintf(
        "\"goal\":\"MAXIMIZE\",\"algorithm\":\"GRID_SEARCH\","
        "\"maxTrials\":20,%s\"params\":[{\"parameterName\":\"way\","
        "\"type\":\"CATEGORICAL\",\"categoricalValues\":[%s]}]",
        more, ways);
    write_search("trial.task", training, hyperparameters);
    gf__free(training);
    gf__free(hyperparameters);
}

static gf__json *read_output(const char *document)
{
    gf__json *whole = read_json(path_in(job, document));
    gf__json *output = gf__json_copy(gf__json_find(whole, "output"));
    gf__json_free(whole);
    return output;
}

/* Field of the i-th trial of an output. */
static const char *trial_text(const gf__json *output, size_t i, const char *field)
{
    const gf__json *trial = gf__json_at(gf__json_find(output, "trials"), i);
    return gf__json_string(gf__json_find(trial, field), "?");
}

static const char *way_of(const gf__json *output, size_t i)
{
    const gf__json *trial = gf__json_at(gf__json_find(output, "trials"), i);
    return gf__json_string(gf__json_find(gf__json_find(trial, "hyperparameters"), "way"), "?");
}

static double objective_of(const gf__json *output, size_t i)
{
    const gf__json *trial = gf__json_at(gf__json_find(output, "trials"), i);
    return gf__json_number(gf__json_find(gf__json_find(trial, "finalMetric"), "objectiveValue"),
                           NAN);
}

TEST(search__tells_its_trials_best_first_and_stops_the_hopeless)
{
    write_ways("\"good0.5\",\"good0.9\",\"good0.7\",\"hopeless\"",
               "\"enableTrialEarlyStopping\":true,");
    CHECK_EQ(run_job(), 0);
    check_result("SUCCEEDED", NULL);
    gf__json *output = read_output("result.json");
    static const char *const ways[] = {"good0.9", "good0.7", "good0.5", "hopeless"};
    CHECK_STR(gf__json_string(gf__json_find(output, "completedTrialCount"), ""), "4");
    CHECK_STR(gf__json_string(gf__json_find(output, "hyperparameterMetricTag"), ""),
              "training/hptuning/metric");
    for (size_t i = 0; i < 4; i++) {
        const gf__json *trial = gf__json_at(gf__json_find(output, "trials"), i);
        CHECK_STR(way_of(output, i), ways[i]);
        CHECK_STR(trial_text(output, i, "state"), "SUCCEEDED");
        CHECK_EQ(gf__json_bool(gf__json_find(trial, "isTrialStoppedEarly"), false), i == 3);
    }
    CHECK_NEAR(objective_of(output, 0), 0.9, 1e-9);
    CHECK_NEAR(objective_of(output, 3), 0.001, 1e-9);
    gf__json_free(output);
    CHECK(gf__is_dir(path_in(home, "buckets/bucket/trials/4")));
}

TEST(search__fails_by_maxFailedTrials_and_by_most_of_its_trials)
{
    write_ways("\"fail\",\"good0.9\",\"good0.7\"", "\"maxFailedTrials\":1,");
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "a way that fails");
    gf__json *output = read_output("result.json");
    CHECK_EQ(gf__json_n_items(gf__json_find(output, "trials")), 1); /* no more were begun */
    CHECK_STR(trial_text(output, 0, "state"), "FAILED");
    gf__json_free(output);
    remove(path_in(job, "result.json"));
    remove(path_in(job, "progress.json"));
    write_ways("\"fail\",\"good0.9\",\"good0.7\"", ""); /* one of three is no reason */
    CHECK_EQ(run_job(), 0);
    check_result("SUCCEEDED", NULL);
    output = read_output("result.json");
    CHECK_STR(gf__json_string(gf__json_find(output, "completedTrialCount"), ""), "2");
    CHECK_STR(trial_text(output, 2, "state"), "FAILED");
    gf__json_free(output);
}

TEST(search__without_its_metric_fails_and_names_the_tags_there_are)
{
    write_ways("\"other\",\"silent\"", "");
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "accuracy_of_mine");
}

TEST(search__goes_on_after_a_crash_with_what_is_missing)
{
    char text[32];
    const int pipe = make_pipe(path_in(root, "pipe"));
    write_ways("\"good0.5\",\"good0.9\",\"wait\"", "");
    const pid_t pid = start_job("1");
    await_text(pipe, text, sizeof text); /* the third runs: two have ended */
    CHECK(kill(pid, SIGKILL) == 0);
    end_program(pid);
    await_end(pipe); /* a trial does not outlive its job */
    close(pipe);
    gf__json *before = read_output("progress.json");
    CHECK_STR(gf__json_string(gf__json_find(before, "completedTrialCount"), ""), "2");
    remove(path_in(root, "pipe"));
    const int second = make_pipe(path_in(root, "pipe"));
    const pid_t again = start_job("2");
    await_text(second, text, sizeof text);
    CHECK(kill(again, SIGTERM) == 0);
    end_program(again);
    close(second);
    check_result("CANCELLED", "cancelled");
    gf__json *output = read_output("result.json");
    CHECK_EQ(gf__json_n_items(gf__json_find(output, "trials")), 3);
    for (size_t i = 0; i < 2; i++) { /* those that had ended were not touched */
        CHECK_STR(trial_text(output, i, "trialId"), trial_text(before, i, "trialId"));
        CHECK_STR(trial_text(output, i, "startTime"), trial_text(before, i, "startTime"));
        CHECK_NEAR(objective_of(output, i), objective_of(before, i), 0);
    }
    CHECK_STR(trial_text(output, 2, "trialId"), "3");
    CHECK_STR(way_of(output, 2), "wait");
    CHECK_STR(trial_text(output, 2, "state"), "CANCELLED");
    check_log_has("2 of 3 trials had ended before this attempt");
    gf__json_free(output);
    gf__json_free(before);
}

/* graft's own trainer on a table, two at once, every model in a folder of its own; then a job that
 * knows of these. */
TEST(search__of_graft_train_leaves_a_model_a_trial_and_is_resumed)
{
    static const char rate[] =
        "\"goal\":\"MINIMIZE\",\"hyperparameterMetricTag\":\"val_loss\",\"maxTrials\":5,"
        "\"maxParallelTrials\":2,\"params\":[{\"parameterName\":\"lr\",\"type\":\"DOUBLE\","
        "\"minValue\":0.0001,\"maxValue\":0.1,\"scaleType\":\"UNIT_LOG_SCALE\"}]";
    gf__buffer rows = {0};
    gf__buffer_puts(&rows, "a,b,label\n");
    for (int i = 0; i < 60; i++)
        gf__buffer_printf(&rows, "%d,%d,%s\n", i % 7 + 10 * (i % 2), i % 5, i % 2 ? "x" : "y");
    CHECK_OK(
        gf__write_file(path_in(home, "buckets/bucket/rows.csv"), rows.data, rows.size, &check_err));
    gf__buffer_free(&rows);
    static const char args[] =
        "\"args\":[\"gs://bucket/rows.csv\",\"--epochs\",\"5\",\"--hidden\",\"4\"]";
    write_search("graft.train", args, rate);
    CHECK_EQ(run_job(), 0);
    check_result("SUCCEEDED", NULL);
    gf__json *output = read_output("result.json");
    CHECK_EQ(gf__json_n_items(gf__json_find(output, "trials")), 5);
    for (size_t i = 0; i < 5; i++) {
        char model[700];
        snprintf(model, sizeof model, "%s/buckets/bucket/trials/%s/model.safetensors", home,
                 trial_text(output, i, "trialId"));
        CHECK(gf__is_file(model));
        CHECK(i == 0 || objective_of(output, i) >= objective_of(output, i - 1));
    }
    gf__json_free(output);

    snprintf(job, sizeof job, "%.400s/home/jobs/8", root);
    CHECK_OK(gf__make_dirs(job, &check_err));
    char *resumed = gf__asprintf("\"resumePreviousJobId\":\"%s\",%s", "opera", rate);
    write_search("graft.train", args, resumed);
    CHECK_EQ(run_job(), 0);
    check_result("SUCCEEDED", NULL);
    check_log_has("5 trials of projects/p/jobs/opera are known");
    gf__free(resumed);
    remove(path_in(job, "result.json"));
    remove(path_in(job, "progress.json"));
    resumed = gf__asprintf("\"resumePreviousJobId\":\"%s\",%s", "nobody", rate);
    write_search("graft.train", args, resumed);
    CHECK_EQ(run_job(), 0);
    check_result("FAILED", "there is no job projects/p/jobs/nobody");
    gf__free(resumed);
}

#define SEARCH(name) cmocka_unit_test_setup_teardown(name, open_search, close_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEARCH(search__tells_its_trials_best_first_and_stops_the_hopeless),
        SEARCH(search__fails_by_maxFailedTrials_and_by_most_of_its_trials),
        SEARCH(search__without_its_metric_fails_and_names_the_tags_there_are),
        SEARCH(search__goes_on_after_a_crash_with_what_is_missing),
        SEARCH(search__of_graft_train_leaves_a_model_a_trial_and_is_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
