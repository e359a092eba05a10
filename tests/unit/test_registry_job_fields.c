/* test_registry_job_fields.c: what a job must be: each rule of its body, with the message that names
 * the field. */
#include "registry_jobs.h"

typedef struct refusal {
    const char *members; /* of trainingInput, predictionInput, or params[0] */
    const char *message;
} refusal;

/* REFUSE_EACH(format, list): each with its members in the place of '@'. */
static void refuse(const char *body, gf_status status, const char *message)
{
    REFUSES(status, message, gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
}

static void refuse_each(const char *format, const refusal *refusals, size_t n)
{
    char body[1024];
    for (size_t i = 0; i < n; i++) {
        char *at = strstr(format, "@");
        snprintf(body, sizeof body, "%.*s%s%s", (int)(at - format), format, refusals[i].members,
                 at + 1);
        refuse(body, GF_EINVAL, refusals[i].message);
    }
    GET(gf_registry_list_jobs(registry, PROJECT, NULL, &text, &check_err));
    CHECK_STR(text, "{}");
}
#define REFUSE_EACH(format, list) refuse_each(format, list, sizeof list / sizeof list[0])

/* A body of its members, taken; its document is in text. */
static void take(const char *format, const char *members)
{
    static int n_taken;
    char body[2048], id[16];
    const char *at = strstr(format, "@"), *name = strstr(format, "\"j\"");
    snprintf(id, sizeof id, "\"t%d\"", n_taken++);
    CHECK(at != NULL && name != NULL);
    snprintf(body, sizeof body, "%.*s%s%.*s%s%s", (int)(name - format), format, id,
             (int)(at - name - 3), name + 3, members, at + 1);
    GET(gf_registry_create_job(registry, PROJECT, body, &text, &check_err));
}

#define TRAINING "{\"jobId\":\"j\",\"trainingInput\":{@}}"
#define OWN      "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"graft.train\",@}}"
#define SEARCH                                                                                     \
    "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"graft.train\",\"hyperparameters\":{@}" \
    "}}"
#define PARAM                                                                                 \
    "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"graft.train\","                   \
    "\"hyperparameters\":{\"params\":[{\"parameterName\":\"first\",\"type\":\"CATEGORICAL\"," \
    "\"categoricalValues\":[\"a\"]},{@}]}}}"
#define PREDICTION "{\"jobId\":\"j\",\"predictionInput\":{@}}"
#define COMPLETE                                                                   \
    "{\"jobId\":\"j\",\"predictionInput\":{\"modelName\":\"projects/p/models/m\"," \
    "\"dataFormat\":\"JSON\",\"inputPaths\":[\"gs://bucket/in/*.json\"],"          \
    "\"outputPath\":\"gs://bucket/out/\"@}}"

TEST(job__is_training_or_prediction_under_a_name)
{
    refuse("{\"trainingInput\":{\"pythonModule\":\"graft.train\"}}", GF_EINVAL,
           "jobId: job name \"\": must begin with a letter");
    refuse("{\"jobId\":\"1j\",\"trainingInput\":{}}", GF_EINVAL, "jobId: job name \"1j\"");
    refuse("{\"jobId\":\"a-b\",\"trainingInput\":{}}", GF_EINVAL, "jobId: job name \"a-b\"");
    refuse("{\"jobId\":\"j\"}", GF_EINVAL,
           "trainingInput, predictionInput: neither is given, expected one of them");
    refuse("{\"jobId\":\"j\",\"trainingInput\":{},\"predictionInput\":{}}", GF_EINVAL,
           "trainingInput, predictionInput: both are given");
    refuse("[]", GF_EINVAL, "Job: expected an object");
    refuse("{", GF_EINVAL, "body: ");
    refuse("{\"jobId\":7}", GF_EINVAL, "jobId: expected a string");
    refuse("{\"jobId\":\"j\",\"labels\":{\"a\":1}}", GF_EINVAL,
           "labels: expected an object with strings in it");
    refuse("{\"jobId\":\"j\",\"jobNumber\":1}", GF_EINVAL, "unknown field \"jobNumber\" in Job");
    REFUSES(GF_EINVAL, "expected projects/PROJECT",
            gf_registry_create_job(registry, "p", "{}", &text, &check_err));
}

TEST(job_id__has_at_most_128_characters)
{
    char body[300], id[130];
    memset(id, 'a', 129);
    id[129] = '\0';
    snprintf(body, sizeof body,
             "{\"jobId\":\"%s\",\"trainingInput\":{\"pythonModule\":\"graft.train\"}}", id);
    refuse(body, GF_EINVAL, "at most 128");
    id[128] = '\0';
    create_job(id, NULL);
    CHECK_VALUE(text, "jobId", id);
}

TEST(fields__are_of_the_kinds_that_the_api_has)
{
    static const refusal refusals[] = {
        {"\"scaleTier\":\"HUGE\"",
         "trainingInput.scaleTier: expected one of BASIC, STANDARD_1, PREMIUM_1, BASIC_GPU, "
         "BASIC_TPU, CUSTOM"},
        {"\"scaleTier\":1", "trainingInput.scaleTier: expected one of BASIC"},
        {"\"region\":5", "trainingInput.region: expected a string"},
        {"\"useChiefInTfConfig\":\"yes\"",
         "trainingInput.useChiefInTfConfig: expected true or false"},
        {"\"packageUris\":\"gs://b/x\"", "trainingInput.packageUris: expected a list of strings"},
        {"\"args\":[\"a\",1]", "trainingInput.args: expected a list of strings"},
        {"\"workerCount\":\"1e3\"",
         "trainingInput.workerCount: expected a whole number of 64 bits, or a string of one"},
        {"\"workerCount\":1.5", "trainingInput.workerCount: expected a whole number"},
        {"\"workerCount\":\"-\"", "trainingInput.workerCount: expected a whole number"},
        {"\"workerCount\":\" 1\"", "trainingInput.workerCount: expected a whole number"},
        {"\"workerCount\":\"9223372036854775808\"", "trainingInput.workerCount: expected"},
        {"\"scheduling\":{\"priority\":2147483648}",
         "trainingInput.scheduling.priority: expected a whole number of 32 bits"},
        {"\"scheduling\":{\"priority\":true}", "trainingInput.scheduling.priority: expected"},
        {"\"scheduling\":[]", "trainingInput.scheduling: expected an object"},
        {"\"scheduling\":{\"nice\":1}", "unknown field \"nice\" in trainingInput.scheduling"},
        {"\"hyperparameters\":{\"params\":{}}",
         "trainingInput.hyperparameters.params: expected a list of objects"},
        {"\"hyperparameters\":{\"params\":[{},7]}",
         "trainingInput.hyperparameters.params[1]: expected an object"},
        {"\"hyperparameters\":{\"params\":[{\"minValue\":\"0\"}]}",
         "trainingInput.hyperparameters.params[0].minValue: expected a number"},
        {"\"hyperparameters\":{\"params\":[{\"discreteValues\":[1,\"2\"]}]}",
         "trainingInput.hyperparameters.params[0].discreteValues: expected a list of numbers"},
        {"\"hyperparameters\":{\"params\":[{\"kind\":1}]}",
         "unknown field \"kind\" in trainingInput.hyperparameters.params[0]"},
        {"\"masterConfig\":{\"diskConfig\":{\"bootDiskSizeGb\":0.5}}",
         "trainingInput.masterConfig.diskConfig.bootDiskSizeGb: expected a whole number"},
        {"\"gpus\":1", "unknown field \"gpus\" in trainingInput"},
    };
    REFUSE_EACH(OWN, refusals);
    static const refusal predictions[] = {
        {"\"batchSize\":[]", "predictionInput.batchSize: expected a whole number of 64 bits"},
        {"\"inputPaths\":\"gs://bucket/in\"", "predictionInput.inputPaths: expected a list"},
        {"\"accelerator\":1", "predictionInput.accelerator: expected an object"},
    };
    REFUSE_EACH(PREDICTION, predictions);
}

TEST(fields__come_back_as_they_were_sent)
{
    take(OWN, "\"scale_tier\":\"CUSTOM\",\"masterType\":\"complex_model_m\",\"worker_count\":2,"
              "\"workerType\":\"standard\",\"parameterServerCount\":\"9007199254740993\","
              "\"parameterServerType\":\"large_model\",\"region\":\"europe-west1\","
              "\"runtimeVersion\":\"1.8\",\"pythonVersion\":\"3.5\",\"serviceAccount\":\"a@b\","
              "\"network\":\"projects/1/global/networks/n\",\"jobDir\":\"gs://bucket/job/\","
              "\"args\":[\"\",\"--epochs=3\"],\"enableWebAccess\":false,"
              "\"encryptionConfig\":{\"kmsKeyName\":\"k\"},"
              "\"masterConfig\":{\"acceleratorConfig\":{\"count\":1,\"type\":\"NVIDIA_TESLA_K80\"},"
              "\"diskConfig\":{\"bootDiskSizeGb\":\"100\",\"bootDiskType\":\"pd-ssd\"}},"
              "\"scheduling\":{\"max_running_time\":\"0.000000001s\",\"maxWaitTime\":\"1800s\","
              "\"priority\":\"1000\"}");
    CHECK_VALUE(text, "trainingInput",
                "{\"pythonModule\":\"graft.train\",\"scaleTier\":\"CUSTOM\","
                "\"masterType\":\"complex_model_m\",\"workerCount\":\"2\","
                "\"workerType\":\"standard\",\"parameterServerCount\":\"9007199254740993\","
                "\"parameterServerType\":\"large_model\",\"region\":\"europe-west1\","
                "\"runtimeVersion\":\"1.8\",\"pythonVersion\":\"3.5\",\"serviceAccount\":\"a@b\","
                "\"network\":\"projects/1/global/networks/n\",\"jobDir\":\"gs://bucket/job/\","
                "\"args\":[\"\",\"--epochs=3\"],\"enableWebAccess\":false,"
                "\"encryptionConfig\":{\"kmsKeyName\":\"k\"},"
                "\"masterConfig\":{\"acceleratorConfig\":{\"count\":\"1\","
                "\"type\":\"NVIDIA_TESLA_K80\"},\"diskConfig\":{\"bootDiskSizeGb\":100,"
                "\"bootDiskType\":\"pd-ssd\"}},\"scheduling\":{\"maxRunningTime\":"
                "\"0.000000001s\",\"maxWaitTime\":\"1800s\",\"priority\":1000}}");
    take(COMPLETE, ",\"batchSize\":32,\"maxWorkerCount\":\"4\",\"signatureName\":\"s\","
                   "\"outputDataFormat\":\"JSON\",\"region\":\"us\",\"runtimeVersion\":\"1.8\","
                   "\"accelerator\":{\"count\":\"1\"}");
    CHECK_VALUE(text, "predictionInput.batchSize", "32");
    CHECK(strstr(text, "\"batchSize\":\"32\"") != NULL);
    CHECK_VALUE(text, "predictionInput.accelerator", "{\"count\":\"1\"}");
    CHECK_VALUE(text, "predictionOutput", "{}");
    CHECK_VALUE(text, "trainingOutput", "");
}

TEST(fields__that_only_the_registry_sets_are_ignored)
{
    GET(gf_registry_create_job(
        registry, PROJECT,
        "{\"jobId\":\"j\",\"state\":\"FAILED\",\"errorMessage\":\"x\",\"createTime\":\"x\","
        "\"startTime\":1,\"endTime\":2,\"trainingOutput\":{\"a\":1},\"predictionOutput\":3,"
        "\"jobPosition\":\"9\",\"etag\":\"AAAA\",\"labels\":null,"
        "\"trainingInput\":{\"pythonModule\":\"graft.train\",\"region\":\"\",\"args\":null}}",
        &text, &check_err));
    CHECK_VALUE(text, "state", "QUEUED");
    CHECK_VALUE(text, "errorMessage", "");
    CHECK_VALUE(text, "trainingOutput", "{}");
    CHECK_VALUE(text, "jobPosition", "1");
    CHECK_VALUE(text, "trainingInput", "{\"pythonModule\":\"graft.train\"}");
}

TEST(scale_tier__decides_which_machines_may_be_named)
{
    static const refusal refusals[] = {
        {"\"masterType\":\"standard\"",
         "trainingInput.masterType: only scaleTier CUSTOM takes it, this one is BASIC"},
        {"\"scaleTier\":\"STANDARD_1\",\"workerCount\":1",
         "trainingInput.workerCount: only scaleTier CUSTOM takes it, this one is STANDARD_1"},
        {"\"scaleTier\":\"BASIC\",\"workerType\":\"standard\"", "trainingInput.workerType: only"},
        {"\"parameterServerType\":\"standard\"", "trainingInput.parameterServerType: only"},
        {"\"parameterServerCount\":0", "trainingInput.parameterServerCount: only"},
        {"\"evaluatorType\":\"standard\"", "trainingInput.evaluatorType: only"},
        {"\"evaluatorCount\":0", "trainingInput.evaluatorCount: only"},
        {"\"scaleTier\":\"CUSTOM\"",
         "trainingInput.masterType: missing, scaleTier CUSTOM needs it"},
        {"\"scaleTier\":\"CUSTOM\",\"masterType\":\"standard\",\"workerCount\":1",
         "trainingInput.workerType: missing, workerCount needs it"},
        {"\"scaleTier\":\"CUSTOM\",\"masterType\":\"standard\",\"evaluatorCount\":1",
         "trainingInput.evaluatorType: missing, evaluatorCount needs it"},
        {"\"scaleTier\":\"CUSTOM\",\"masterType\":\"standard\",\"parameterServerCount\":-1",
         "trainingInput.parameterServerCount: -1, expected 0 or more"},
    };
    REFUSE_EACH(OWN, refusals);
    take(OWN, "\"scaleTier\":\"CUSTOM\",\"masterType\":\"standard\",\"workerCount\":0");
    take(OWN, "\"scaleTier\":\"BASIC_GPU\"");
    take(OWN, "\"scaleTier\":\"BASIC_TPU\"");
    take(OWN, "\"scaleTier\":\"PREMIUM_1\"");
}

TEST(program__is_a_module_in_packages_or_graft_s_own)
{
    static const refusal refusals[] = {
        {"\"packageUris\":[\"gs://bucket/t.tar.gz\"]",
         "trainingInput.pythonModule: missing, expected the module to run"},
        {"\"pythonModule\":\"trainer.task\"",
         "trainingInput.packageUris: missing, expected the packages that trainer.task is in"},
        {"\"pythonModule\":\"graft.trainer\"", "trainingInput.packageUris: missing"},
        {"\"pythonModule\":\"trainer.task\",\"packageUris\":[]",
         "trainingInput.packageUris: missing"},
        {"\"pythonModule\":\"-c\",\"packageUris\":[\"gs://bucket/t\"]",
         "trainingInput.pythonModule: \"-c\", expected names with dots between them"},
        {"\"pythonModule\":\"a..b\"", "trainingInput.pythonModule: \"a..b\""},
        {"\"pythonModule\":\"a.\"", "trainingInput.pythonModule: \"a.\""},
        {"\"pythonModule\":\"1a\"", "trainingInput.pythonModule: \"1a\""},
        {"\"pythonModule\":\"a b\"", "trainingInput.pythonModule: \"a b\""},
        {"\"pythonModule\":\"t\",\"packageUris\":[\"gs://bucket/t\",\"t.tar.gz\"]",
         "trainingInput.packageUris[1]: \"t.tar.gz\", expected gs://BUCKET/PATH"},
        {"\"pythonModule\":\"t\",\"packageUris\":[\"\"]", "trainingInput.packageUris[0]: \"\""},
        {"\"pythonModule\":\"t\",\"packageUris\":[\"http://host/t\"]",
         "trainingInput.packageUris[0]: \"http://host/t\", expected gs://BUCKET/PATH"},
        {"\"pythonModule\":\"t\",\"packageUris\":[\"gs://bucket/../x\"]",
         "trainingInput.packageUris[0]: gs://bucket/../x: "},
        {"\"pythonModule\":\"graft.train\",\"jobDir\":\"/etc\"",
         "trainingInput.jobDir: \"/etc\", expected gs://BUCKET/PATH"},
        {"\"pythonModule\":\"graft.train\",\"jobDir\":\"gs://b\"",
         "trainingInput.jobDir: gs://b: expected gs://BUCKET/PATH"},
    };
    REFUSE_EACH(TRAINING, refusals);
    take(TRAINING, "\"pythonModule\":\"trainer.task\",\"packageUris\":[\"gs://bucket/t.tar.gz\"]");
    take(TRAINING, "\"pythonModule\":\"graft.train\"");
    take(TRAINING, "\"pythonModule\":\"graft.features\",\"jobDir\":\"gs://bucket/a b/c\"");
}

TEST(packages__are_at_most_100)
{
    gf__buffer body = {0};
    for (size_t n = 100; n <= 101; n++) {
        gf__buffer_puts(
            &body, "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"t\",\"packageUris\":[");
        for (size_t i = 0; i < n; i++)
            gf__buffer_printf(&body, "%s\"gs://bucket/%zu\"", i > 0 ? "," : "", i);
        gf__buffer_puts(&body, "]}}");
        if (n == 100)
            GET(gf_registry_create_job(registry, PROJECT, body.data, &text, &check_err));
        else
            refuse(body.data, GF_EINVAL,
                   "trainingInput.packageUris: 101 packages, expected at most 100");
        gf__buffer_free(&body);
    }
}

TEST(paths_of_this_machine__are_for_its_own_callers)
{
    gf_registry_close(registry);
    registry = open_home(true);
    take(TRAINING, "\"pythonModule\":\"t\",\"packageUris\":[\"/tmp/t.tar.gz\"],\"jobDir\":\"out\"");
    refuse("{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"t\",\"packageUris\":[\"file:///"
           "t\"]}}",
           GF_EINVAL, "trainingInput.packageUris[0]: \"file:///t\", expected gs://BUCKET/PATH");
}

TEST(containers__are_said_to_be_unsupported)
{
    static const char *const configs[] = {"masterConfig", "workerConfig", "parameterServerConfig",
                                          "evaluatorConfig"};
    static const char *const members[] = {"\"imageUri\":\"gcr.io/x\"", "\"containerArgs\":[\"a\"]",
                                          "\"containerCommand\":[\"a\"]", "\"tpuTfVersion\":\"1\""};
    char body[256];
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 4; k++) {
            snprintf(body, sizeof body, "{\"jobId\":\"j\",\"trainingInput\":{\"%s\":{%s}}}",
                     configs[i], members[k]);
            refuse(body, GF_EUNSUPPORTED,
                   ": graft runs no containers; give the program as "
                   "packageUris and pythonModule");
            CHECK(strncmp(check_err.message, "trainingInput.", 14) == 0);
            CHECK(strstr(check_err.message, configs[i]) == check_err.message + 14);
        }
    }
}

TEST(scheduling__has_limits)
{
    static const refusal refusals[] = {
        {"\"maxRunningTime\":\"0s\"",
         "trainingInput.scheduling.maxRunningTime: 0s, expected more than 0s"},
        {"\"maxRunningTime\":\"0.000000000s\"", "maxRunningTime: 0.000000000s, expected more"},
        {"\"maxRunningTime\":\"315576000001s\"", "at most 315576000000s"},
        {"\"maxRunningTime\":\"3600\"",
         "trainingInput.scheduling.maxRunningTime: expected seconds as in \"3600s\""},
        {"\"maxRunningTime\":3600", "maxRunningTime: expected seconds"},
        {"\"maxRunningTime\":\"1m\"", "maxRunningTime: expected seconds"},
        {"\"maxRunningTime\":\"-1s\"", "maxRunningTime: expected seconds"},
        {"\"maxRunningTime\":\"1.s\"", "maxRunningTime: expected seconds"},
        {"\"maxRunningTime\":\".5s\"", "maxRunningTime: expected seconds"},
        {"\"maxRunningTime\":\"1.0000000001s\"", "maxRunningTime: expected seconds"},
        {"\"maxRunningTime\":\"1000000000000000s\"", "maxRunningTime: expected seconds"},
        {"\"maxRunningTime\":\"1s \"", "maxRunningTime: expected seconds"},
        {"\"maxWaitTime\":\"1799.999999999s\"",
         "trainingInput.scheduling.maxWaitTime: 1799.999999999s, expected 1800s or more"},
        {"\"priority\":-1", "trainingInput.scheduling.priority: -1, expected 0 to 1000"},
        {"\"priority\":1001", "trainingInput.scheduling.priority: 1001, expected 0 to 1000"},
    };
    REFUSE_EACH(
        "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"graft.train\",\"scheduling\":{@}}}",
        refusals);
    take(OWN, "\"scheduling\":{}");
    CHECK_VALUE(text, "trainingInput.scheduling", "{}"); /* the default is not written into it */
    take(OWN, "\"scheduling\":{\"maxRunningTime\":\"604800.5s\",\"priority\":0}");
}

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

#define FROM "\"dataFormat\":\"JSON\",\"inputPaths\":[\"gs://bucket/in\"],"
TEST(prediction__has_one_model_inputs_and_an_output)
{
    static const refusal refusals[] = {
        {"", "predictionInput: 0 of modelName, versionName and uri are given, expected one"},
        {"\"modelName\":\"projects/p/models/m\",\"uri\":\"gs://bucket/m\"",
         "predictionInput: 2 of modelName, versionName and uri are given"},
        {"\"modelName\":\"m\"",
         "predictionInput.modelName: \"m\": expected projects/PROJECT/models/MODEL"},
        {"\"modelName\":\"projects/q/models/m\"",
         "predictionInput.modelName: \"projects/q/models/m\" is of another project than the job "
         "(p)"},
        {"\"versionName\":\"projects/p/models/m\"",
         "predictionInput.versionName: \"projects/p/models/m\": expected projects/PROJECT/models"},
        {"\"versionName\":\"projects/q/models/m/versions/v\"",
         "predictionInput.versionName: \"projects/q/models/m/versions/v\" is of another project"},
        {"\"uri\":\"/etc\"", "predictionInput.uri: \"/etc\", expected gs://BUCKET/PATH"},
        {"\"uri\":\"gs://bucket/m\"", "predictionInput.dataFormat: missing"},
        {"\"uri\":\"gs://bucket/m\",\"dataFormat\":\"DATA_FORMAT_UNSPECIFIED\"",
         "predictionInput.dataFormat: missing"},
        {"\"uri\":\"gs://bucket/m\",\"dataFormat\":\"XML\"",
         "predictionInput.dataFormat: expected one of DATA_FORMAT_UNSPECIFIED, JSON"},
        {"\"uri\":\"gs://bucket/m\",\"dataFormat\":\"JSON\"",
         "predictionInput.inputPaths: missing, expected one address or more"},
        {"\"uri\":\"gs://bucket/m\",\"dataFormat\":\"JSON\",\"inputPaths\":[]",
         "predictionInput.inputPaths: missing"},
        {"\"uri\":\"gs://bucket/m\",\"dataFormat\":\"JSON\",\"inputPaths\":[\"gs://bucket/in\"]",
         "predictionInput.outputPath: missing, expected gs://BUCKET/PATH"},
        {FROM "\"uri\":\"gs://bucket/m\",\"outputPath\":\"/tmp\"",
         "predictionInput.outputPath: \"/tmp\", expected gs://BUCKET/PATH"},
        {"\"uri\":\"gs://bucket/m\",\"dataFormat\":\"JSON\",\"outputPath\":\"gs://bucket/o\","
         "\"inputPaths\":[\"gs://bucket/in\",\"/etc/passwd\"]",
         "predictionInput.inputPaths[1]: \"/etc/passwd\", expected gs://BUCKET/PATH"},
        {FROM "\"uri\":\"gs://bucket/m\",\"outputPath\":\"gs://bucket/o\",\"batchSize\":0",
         "predictionInput.batchSize: 0, expected 1 or more"},
        {FROM
         "\"uri\":\"gs://bucket/m\",\"outputPath\":\"gs://bucket/o\",\"maxWorkerCount\":\"-2\"",
         "predictionInput.maxWorkerCount: -2, expected 1 or more"},
        {"\"batch\":1", "unknown field \"batch\" in predictionInput"},
    };
    REFUSE_EACH(PREDICTION, refusals);
    take(COMPLETE, "");
    take(COMPLETE, ",\"batchSize\":1,\"maxWorkerCount\":1");
    take(PREDICTION, FROM
         "\"versionName\":\"projects/p/models/m/versions/v\",\"outputPath\":\"gs://bucket/o\"");
    take(PREDICTION, FROM "\"uri\":\"gs://bucket/m/\",\"outputPath\":\"gs://bucket/o\"");
}

TEST(prediction__refuses_formats_that_graft_has_not)
{
    static const char *const members[][2] = {
        {"\"dataFormat\":\"TF_RECORD\"", "dataFormat: TF_RECORD; graft reads JSON, TEXT and CSV"},
        {"\"dataFormat\":\"TF_RECORD_GZIP\"", "dataFormat: TF_RECORD_GZIP; graft reads"},
        {"\"dataFormat\":\"CSV\",\"outputDataFormat\":\"CSV\"",
         "outputDataFormat: CSV; graft writes JSON"},
        {"\"dataFormat\":\"CSV\",\"outputDataFormat\":\"TF_RECORD\"",
         "outputDataFormat: TF_RECORD; graft writes JSON"},
    };
    char body[256];
    for (size_t i = 0; i < 4; i++) {
        snprintf(body, sizeof body,
                 "{\"jobId\":\"j\",\"predictionInput\":{\"uri\":\"gs://bucket/m\",%s}}",
                 members[i][0]);
        refuse(body, GF_EUNSUPPORTED, members[i][1]);
        CHECK(strncmp(check_err.message, "predictionInput.", 16) == 0);
    }
}

TESTS_MAIN(HOME_UNIT(job__is_training_or_prediction_under_a_name),
           HOME_UNIT(job_id__has_at_most_128_characters),
           HOME_UNIT(fields__are_of_the_kinds_that_the_api_has),
           HOME_UNIT(fields__come_back_as_they_were_sent),
           HOME_UNIT(fields__that_only_the_registry_sets_are_ignored),
           HOME_UNIT(scale_tier__decides_which_machines_may_be_named),
           HOME_UNIT(program__is_a_module_in_packages_or_graft_s_own),
           HOME_UNIT(packages__are_at_most_100),
           HOME_UNIT(paths_of_this_machine__are_for_its_own_callers),
           HOME_UNIT(containers__are_said_to_be_unsupported), HOME_UNIT(scheduling__has_limits),
           HOME_UNIT(search__has_parameters_and_trials),
           HOME_UNIT(parameters__have_names_types_and_their_values),
           HOME_UNIT(grid_search__refuses_ranges_of_fractions),
           HOME_UNIT(search__has_at_most_64_parameters_of_1000_values),
           HOME_UNIT(prediction__has_one_model_inputs_and_an_output),
           HOME_UNIT(prediction__refuses_formats_that_graft_has_not))
