/* test_registry_job_fields.c: what a job must be: each rule of its body, with the message that names
 * the field. */
#include "job_refusals.h"

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
           HOME_UNIT(prediction__has_one_model_inputs_and_an_output),
           HOME_UNIT(prediction__refuses_formats_that_graft_has_not))
