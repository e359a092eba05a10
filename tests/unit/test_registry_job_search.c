/* test_registry_job_search.c: what the search for parameters in a job's body must be. */
#include "job_refusals.h"

TEST(search__has_parameters_and_trials)
{
    static const refusal refusals[] = {
        {"", "trainingInput.hyperparameters.params: missing, expected one or more"},
        {"\"params\":[]", "trainingInput.hyperparameters.params: missing"},
        {"\"goal\":\"BEST\"", "trainingInput.hyperparameters.goal: expected one of "
                              "GOAL_TYPE_UNSPECIFIED, MAXIMIZE, MINIMIZE"},
        {"\"algorithm\":\"BAYES\"", "trainingInput.hyperparameters.algorithm: expected one of "
                                    "ALGORITHM_UNSPECIFIED, GRID_SEARCH, RANDOM_SEARCH"},
        {"\"maxTrials\":0", "trainingInput.hyperparameters.maxTrials: 0, expected 1 to 10000"},
        {"\"maxTrials\":10001",
         "trainingInput.hyperparameters.maxTrials: 10001, expected 1 to 10000"},
        {"\"maxParallelTrials\":0",
         "trainingInput.hyperparameters.maxParallelTrials: 0, expected 1 to 10000"},
        {"\"maxFailedTrials\":-1",
         "trainingInput.hyperparameters.maxFailedTrials: -1, expected 0 to 10000"},
        {"\"resumePreviousJobId\":\"a b\"",
         "trainingInput.hyperparameters.resumePreviousJobId: job name \"a b\": must begin"},
        {"\"enableTrialEarlyStopping\":1",
         "trainingInput.hyperparameters.enableTrialEarlyStopping: expected true or false"},
    };
    REFUSE_EACH(SEARCH, refusals);
    take(SEARCH, "\"goal\":\"MINIMIZE\",\"maxTrials\":\"16\",\"maxParallelTrials\":4,"
                 "\"maxFailedTrials\":2,\"algorithm\":\"RANDOM_SEARCH\","
                 "\"hyperparameterMetricTag\":\"accuracy\",\"enableTrialEarlyStopping\":true,"
                 "\"resumePreviousJobId\":\"before\",\"params\":[{\"parameterName\":\"rate\","
                 "\"type\":\"DOUBLE\",\"minValue\":1e-5,\"maxValue\":0.1,"
                 "\"scaleType\":\"UNIT_LOG_SCALE\"}]");
    CHECK_VALUE(text, "trainingInput.hyperparameters.maxTrials", "16");
    CHECK_VALUE(text, "trainingInput.hyperparameters.params.0",
                "{\"parameterName\":\"rate\",\"type\":\"DOUBLE\",\"minValue\":1e-5,"
                "\"maxValue\":0.1,\"scaleType\":\"UNIT_LOG_SCALE\"}");
}

#define NAMED "\"parameterName\":\"x\",\"type\":"
TEST(parameters__have_names_types_and_their_values)
{
    static const refusal refusals[] = {
        {"\"type\":\"DOUBLE\"", "params[1].parameterName: missing, expected the name of an option"},
        {"\"parameterName\":\"-x\"", "params[1].parameterName: \"-x\", expected a letter"},
        {"\"parameterName\":\"a=b\"", "params[1].parameterName: \"a=b\""},
        {"\"parameterName\":\"first\"", "params[1].parameterName: \"first\" is params[0] already"},
        {"\"parameterName\":\"x\"",
         "params[1].type: missing, expected DOUBLE, INTEGER, CATEGORICAL or DISCRETE"},
        {NAMED "\"PARAMETER_TYPE_UNSPECIFIED\"", "params[1].type: missing"},
        {NAMED "\"FLOAT\"", "params[1].type: expected one of PARAMETER_TYPE_UNSPECIFIED, DOUBLE"},
        {NAMED "\"DOUBLE\",\"maxValue\":1", "params[1].minValue: missing, expected a number"},
        {NAMED "\"DOUBLE\",\"minValue\":1", "params[1].maxValue: missing, expected a number"},
        {NAMED "\"DOUBLE\",\"minValue\":0.5,\"maxValue\":0.1",
         "trainingInput.hyperparameters.params[1].maxValue: 0.1, expected more than minValue 0.5"},
        {NAMED "\"DOUBLE\",\"minValue\":1,\"maxValue\":1", "params[1].maxValue: 1, expected more"},
        {NAMED "\"DOUBLE\",\"minValue\":0.10000000001,\"maxValue\":0.10000000002",
         "params[1].maxValue: 0.1, expected more than minValue 0.1"}, /* nine digits are kept */
        {NAMED "\"DOUBLE\",\"minValue\":0,\"maxValue\":1,\"categoricalValues\":[\"a\"]",
         "params[1].categoricalValues: given, type DOUBLE has none"},
        {NAMED "\"INTEGER\",\"minValue\":0,\"maxValue\":1,\"discreteValues\":[1]",
         "params[1].discreteValues: given, type INTEGER has none"},
        {NAMED "\"INTEGER\",\"minValue\":0.5,\"maxValue\":1",
         "params[1].minValue: 0.5, expected a whole number"},
        {NAMED "\"INTEGER\",\"minValue\":0,\"maxValue\":1.5",
         "params[1].maxValue: 1.5, expected a whole number"},
        {NAMED "\"INTEGER\",\"minValue\":0,\"maxValue\":9007199254740994",
         "params[1].maxValue: 9.00719925e+15, expected a whole number up to 2^53"},
        {NAMED "\"CATEGORICAL\"", "params[1].categoricalValues: missing, expected one or more"},
        {NAMED "\"CATEGORICAL\",\"categoricalValues\":[]", "params[1].categoricalValues: missing"},
        {NAMED "\"CATEGORICAL\",\"categoricalValues\":[\"a\",\"b\",\"a\"]",
         "params[1].categoricalValues[2]: \"a\" again"},
        {NAMED "\"CATEGORICAL\",\"categoricalValues\":[\"a\"],\"minValue\":0",
         "params[1].minValue: given, type CATEGORICAL has none"},
        {NAMED "\"CATEGORICAL\",\"categoricalValues\":[\"a\"],\"maxValue\":0",
         "params[1].maxValue: given, type CATEGORICAL has none"},
        {NAMED "\"CATEGORICAL\",\"categoricalValues\":[\"a\"],\"discreteValues\":[1]",
         "params[1].discreteValues: given, type CATEGORICAL has none"},
        {NAMED "\"CATEGORICAL\",\"categoricalValues\":[\"a\"],\"scaleType\":\"UNIT_LINEAR_SCALE\"",
         "params[1].scaleType: UNIT_LINEAR_SCALE, expected none for a CATEGORICAL parameter"},
        {NAMED "\"DISCRETE\"", "params[1].discreteValues: missing, expected one or more"},
        {NAMED "\"DISCRETE\",\"discreteValues\":[1,1]",
         "params[1].discreteValues[1]: 1, expected more than the one before (1)"},
        {NAMED "\"DISCRETE\",\"discreteValues\":[1,2,1.5]", "params[1].discreteValues[2]: 1.5"},
        {NAMED "\"DISCRETE\",\"discreteValues\":[1],\"minValue\":0",
         "params[1].minValue: given, type DISCRETE has none"},
        {NAMED "\"DISCRETE\",\"discreteValues\":[1],\"maxValue\":0",
         "params[1].maxValue: given, type DISCRETE has none"},
        {NAMED "\"DISCRETE\",\"discreteValues\":[1],\"categoricalValues\":[\"a\"]",
         "params[1].categoricalValues: given, type DISCRETE has none"},
        {NAMED "\"DOUBLE\",\"minValue\":0,\"maxValue\":1,\"scaleType\":\"UNIT_LOG_SCALE\"",
         "params[1].minValue: 0, expected more than 0 for scaleType UNIT_LOG_SCALE"},
        {NAMED
         "\"INTEGER\",\"minValue\":-1,\"maxValue\":1,\"scaleType\":\"UNIT_REVERSE_LOG_SCALE\"",
         "params[1].minValue: -1, expected more than 0 for scaleType UNIT_REVERSE_LOG_SCALE"},
        {NAMED "\"DISCRETE\",\"discreteValues\":[0,1],\"scaleType\":\"UNIT_LOG_SCALE\"",
         "params[1].discreteValues[0]: 0, expected more than 0 for scaleType UNIT_LOG_SCALE"},
        {NAMED "\"DISCRETE\",\"discreteValues\":[1],\"scaleType\":\"LOG\"",
         "params[1].scaleType: expected one of NONE, UNIT_LINEAR_SCALE"},
    };
    REFUSE_EACH(PARAM, refusals);
    take(PARAM,
         NAMED "\"DOUBLE\",\"minValue\":-1.5,\"maxValue\":1e3,\"scaleType\":\"UNIT_LINEAR_SCALE\"");
    take(PARAM,
         NAMED "\"INTEGER\",\"minValue\":1.0,\"maxValue\":2,\"scaleType\":\"UNIT_LOG_SCALE\"");
    take(PARAM, NAMED "\"CATEGORICAL\",\"categoricalValues\":[\"\",\"b\"],\"scaleType\":\"NONE\"");
    take(PARAM, NAMED "\"DISCRETE\",\"discreteValues\":[-1,0,0.5]");
}

TEST(grid_search__refuses_ranges_of_fractions)
{
    const char *const format = "\"algorithm\":\"GRID_SEARCH\",\"params\":[{" NAMED "\"%s\","
                               "\"minValue\":1,\"maxValue\":2}]";
    char members[256];
    snprintf(members, sizeof members, format, "DOUBLE");
    REFUSE_EACH(SEARCH, ((refusal[]){{members, "params[0].type: DOUBLE, expected INTEGER, "
                                               "CATEGORICAL or DISCRETE for algorithm "
                                               "GRID_SEARCH"}}));
    snprintf(members, sizeof members, format, "INTEGER");
    take(SEARCH, members);
}

/* {"jobId":..., params: n of one, or one with n values} */
static gf_status create_with(size_t n_params, size_t n_values, const char *kind, const char *key,
                             const char *quote)
{
    gf__buffer body = {0};
    gf__buffer_printf(
        &body,
        "{\"jobId\":\"n%zu_%zu%s\",\"trainingInput\":{\"pythonModule\":\"graft.train\","
        "\"hyperparameters\":{\"params\":[",
        n_params, n_values, kind);
    for (size_t p = 0; p < n_params; p++) {
        gf__buffer_printf(&body, "%s{\"parameterName\":\"p%zu\",\"type\":\"%s\",\"%s\":[",
                          p > 0 ? "," : "", p, kind, key);
        for (size_t i = 0; i < n_values; i++)
            gf__buffer_printf(&body, "%s%s%zu%s", i > 0 ? "," : "", quote, i, quote);
        gf__buffer_puts(&body, "]}");
    }
    gf__buffer_puts(&body, "]}}}");
    gf_registry_free_text(text);
    text = NULL;
    const gf_status st = gf_registry_create_job(registry, PROJECT, body.data, &text, &check_err);
    gf__buffer_free(&body);
    return st;
}

TEST(search__has_at_most_64_parameters_of_1000_values)
{
    CHECK_OK(create_with(1, 1000, "DISCRETE", "discreteValues", ""));
    CHECK_FAILS(GF_EINVAL, "params[0].discreteValues: 1001 values, expected at most 1000",
                create_with(1, 1001, "DISCRETE", "discreteValues", ""));
    CHECK_OK(create_with(1, 1000, "CATEGORICAL", "categoricalValues", "\""));
    CHECK_FAILS(GF_EINVAL, "params[0].categoricalValues: 1001 values, expected at most 1000",
                create_with(1, 1001, "CATEGORICAL", "categoricalValues", "\""));
    CHECK_OK(create_with(64, 1, "DISCRETE", "discreteValues", ""));
    CHECK_FAILS(GF_EINVAL, "params: 65 parameters, expected at most 64",
                create_with(65, 1, "DISCRETE", "discreteValues", ""));
}

TESTS_MAIN(HOME_UNIT(search__has_parameters_and_trials),
           HOME_UNIT(parameters__have_names_types_and_their_values),
           HOME_UNIT(grid_search__refuses_ranges_of_fractions),
           HOME_UNIT(search__has_at_most_64_parameters_of_1000_values))
