/* test_registry_versions.c: states, the default version, what may be changed and what never. */
#include "registry_home.h"

TEST(create_version__is_creating_until_its_operation_has_run)
{
    lock_home();
    create_version("v1");
    CHECK_VALUE(text, "done", "false");
    CHECK_VALUE(text, "metadata.@type", "type.googleapis.com/google.cloud.ml.v1.OperationMetadata");
    CHECK_VALUE(text, "metadata.operationType", "CREATE_VERSION");
    CHECK_VALUE(text, "metadata.modelName", MODEL);
    CHECK_VALUE(text, "metadata.isCancellationRequested", "false");
    CHECK_VALUE(text, "metadata.version.state", "CREATING");
    CHECK_VALUE(text, "metadata.version.isDefault", "true");
    assert_non_null(strstr(value_of(text, "name"), "projects/p/operations/create_m_v1-"));
    char *name = strdup(value_of(text, "name"));
    GET(gf_registry_run_operation(registry, name, NULL, NULL, &text, &check_err));
    CHECK_VALUE(text, "name", name);
    CHECK_VALUE(text, "done", "true");
    CHECK_VALUE(text, "response.@type", "type.googleapis.com/google.cloud.ml.v1.Version");
    CHECK_VALUE(text, "response.name", V1);
    CHECK_VALUE(text, "response.state", "READY");
    CHECK_EQ(strlen(value_of(text, "metadata.endTime")), strlen("2018-07-07T02:51:50Z"));
    free(name);
}

TEST(create_version__gives_back_what_the_client_sent)
{
    create_model("m");
    put_object("bucket/f.safetensors", "weights");
    GET(gf_registry_create_version(
        registry, MODEL,
        "{\"name\":\"v1\",\"deployment_uri\":\"gs://bucket/"
        "f.safetensors\",\"runtimeVersion\":\"1.2\","
        "\"pythonVersion\":\"3.5\",\"framework\":\"TENSORFLOW\",\"machineType\":\"mls1-c1-m2\","
        "\"auto_scaling\":{\"min_nodes\":\"0\",\"maxNodes\":3},\"labels\":{\"a\":\"b\"},"
        "\"explanationConfig\":{\"xraiAttribution\":{\"numIntegralSteps\":5}},"
        "\"requestLoggingConfig\":{\"bigqueryTableName\":\"t\"},\"state\":\"READY\",\"etag\":"
        "\"x\"}",
        &text, &check_err));
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "deploymentUri", "gs://bucket/f.safetensors");
    CHECK_VALUE(text, "runtimeVersion", "1.2");
    CHECK_VALUE(text, "framework", "TENSORFLOW");
    CHECK_VALUE(text, "machineType", "mls1-c1-m2");
    CHECK_VALUE(text, "autoScaling", "{\"minNodes\":0,\"maxNodes\":3}");
    CHECK_VALUE(text, "explanationConfig.xraiAttribution.numIntegralSteps", "5");
    CHECK_VALUE(text, "requestLoggingConfig", ""); /* has no effect in a create */
    CHECK_VALUE(text, "state", "CREATING");        /* output only */
    CHECK_EQ(strlen(value_of(text, "createTime")), strlen("2018-07-07T02:51:50Z"));
}

static void refuse(gf_status status, const char *fields, const char *message)
{
    char body[512];
    snprintf(body, sizeof body, "{\"name\":\"v1\"%s}", fields);
    REFUSES(status, message, gf_registry_create_version(registry, MODEL, body, &text, &check_err));
    REFUSES(GF_ENOTFOUND, "no such version",
            gf_registry_get_version(registry, V1, &text, &check_err));
}

#define AT ",\"deploymentUri\":\"gs://bucket/model\""

TEST(create_version__refuses_what_cannot_be)
{
    create_model("m");
    put_object("bucket/model/f", "weights");
    refuse(GF_EINVAL, "", "deploymentUri: missing");
    refuse(GF_ENOTFOUND, ",\"deploymentUri\":\"gs://bucket/none\"",
           "deploymentUri: gs://bucket/none: no such file or folder");
    refuse(GF_EINVAL, AT ",\"autoScaling\":{},\"manualScaling\":{\"nodes\":1}", "only one of them");
    refuse(GF_EINVAL, AT ",\"autoScaling\":{\"minNodes\":3,\"maxNodes\":2}", "maxNodes is 2");
    refuse(GF_EINVAL, AT ",\"autoScaling\":{\"minNodes\":-1}", "minNodes: expected a whole number");
    refuse(GF_EINVAL, AT ",\"autoScaling\":{\"nodes\":1}",
           "unknown field \"nodes\" in autoScaling");
    refuse(GF_EINVAL, AT ",\"manualScaling\":{}", "nodes must be 1 or more");
    refuse(GF_EINVAL, AT ",\"framework\":\"CAFFE\"", "framework: \"CAFFE\"");
    refuse(GF_EINVAL, AT ",\"deploymentURI\":\"\"", "unknown field \"deploymentURI\" in Version");
    REFUSES(GF_ENOTFOUND, "projects/p/models/x: no such model",
            gf_registry_create_version(registry, "projects/p/models/x", "{\"name\":\"v1\"" AT "}",
                                       &text, &check_err));
    create_version("v1");
    REFUSES(
        GF_EEXISTS, V1 ": exists already, and a version never changes",
        gf_registry_create_version(registry, MODEL, "{\"name\":\"v1\"" AT "}", &text, &check_err));
}

TEST(default_version__is_the_first_until_another_is_set)
{
    lock_home();
    deploy_version("v1");
    deploy_version("v2");
    GET(gf_registry_get_version(registry, V2, &text, &check_err));
    CHECK_VALUE(text, "isDefault", "");
    GET(gf_registry_get_model(registry, MODEL, &text, &check_err));
    CHECK_VALUE(text, "defaultVersion.name", V1);
    CHECK_VALUE(text, "defaultVersion.state", "READY");
    GET(gf_registry_set_default_version(registry, V2, &text, &check_err));
    CHECK_VALUE(text, "name", V2);
    CHECK_VALUE(text, "isDefault", "true");
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "isDefault", "");
    GET(gf_registry_patch_model(registry, MODEL, "{\"defaultVersion\":{\"name\":\"v1\"}}",
                                "default_version.name", &text, &check_err));
    CHECK_VALUE(text, "response.defaultVersion.name", V1);
    GET(gf_registry_patch_model(registry, MODEL, "{\"defaultVersion\":{\"name\":\"" V2 "\"}}",
                                "defaultVersion.name", &text, &check_err));
    CHECK_VALUE(text, "response.defaultVersion.name", V2);
    REFUSES(GF_EINVAL, "is not of this model",
            gf_registry_patch_model(
                registry, MODEL,
                "{\"defaultVersion\":{\"name\":\"projects/p/models/x/versions/v1\"}}",
                "defaultVersion.name", &text, &check_err));
    REFUSES(GF_ENOTFOUND, "versions/v9: no such version",
            gf_registry_set_default_version(registry, MODEL "/versions/v9", &text, &check_err));
}

TEST(default_version__must_be_ready)
{
    lock_home();
    deploy_version("v1");
    create_version("v2");
    REFUSES(GF_EPRECONDITION, V2 ": is CREATING; only a READY version can be the default",
            gf_registry_set_default_version(registry, V2, &text, &check_err));
}

static gf_status refuse_model(void *user, const char *version, const gf_registry_files *files,
                              gf_error *err)
{
    return gf_error_set(err, GF_EFORMAT, "truncated at byte 7");
}

TEST(default_version__passes_from_a_failed_one_to_the_next_that_is_ready)
{
    const gf_registry_hooks broken = {.check = refuse_model};
    lock_home();
    create_version("v1");
    run_all(&broken);
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "state", "FAILED");
    CHECK_VALUE(text, "errorMessage", "truncated at byte 7");
    CHECK_VALUE(text, "isDefault", "true");
    deploy_version("v2");
    CHECK_VALUE(text, "response.isDefault", "true");
    GET(gf_registry_get_model(registry, MODEL, &text, &check_err));
    CHECK_VALUE(text, "defaultVersion.name", V2);
}

TEST(delete_version__is_refused_for_the_default_unless_it_is_the_only_one)
{
    lock_home();
    deploy_version("v1");
    deploy_version("v2");
    REFUSES(GF_EPRECONDITION, V1 ": is the default version; make another one the default first",
            gf_registry_delete_version(registry, V1, &text, &check_err));
    GET(gf_registry_delete_version(registry, V2, &text, &check_err));
    CHECK_VALUE(text, "metadata.operationType", "DELETE_VERSION");
    CHECK_VALUE(text, "metadata.version.state", "DELETING");
    CHECK_VALUE(text, "done", "false");
    run_all(NULL);
    CHECK_VALUE(text, "response.@type", "type.googleapis.com/google.protobuf.Empty");
    GET(gf_registry_delete_version(registry, V1, &text, &check_err));
    run_all(NULL);
    GET(gf_registry_get_model(registry, MODEL, &text, &check_err));
    CHECK_VALUE(text, "defaultVersion", "");
    GET(gf_registry_list_versions(registry, MODEL, NULL, &text, &check_err));
    CHECK_STR(text, "{}");
    deploy_version("v3"); /* the first one again */
    CHECK_VALUE(text, "response.isDefault", "true");
}

TEST(versions__cannot_be_touched_while_they_come_or_go)
{
    lock_home();
    create_version("v1");
    REFUSES(GF_EPRECONDITION, V1 ": is CREATING; wait for its operation to end",
            gf_registry_delete_version(registry, V1, &text, &check_err));
    REFUSES(GF_EPRECONDITION, "is CREATING",
            gf_registry_patch_version(registry, V1, "{}", "description", &text, &check_err));
    run_all(NULL);
    GET(gf_registry_delete_version(registry, V1, &text, &check_err));
    REFUSES(GF_EPRECONDITION, V1 ": is DELETING",
            gf_registry_delete_version(registry, V1, &text, &check_err));
}

TEST(patch_version__changes_scaling_and_words_and_nothing_else)
{
    char body[200];
    lock_home();
    deploy_version("v1");
    GET(gf_registry_patch_version(registry, V1,
                                  "{\"autoScaling\":{\"minNodes\":2},\"description\":\"d\"}",
                                  "auto_scaling.min_nodes, description", &text, &check_err));
    CHECK_VALUE(text, "metadata.operationType", "UPDATE_VERSION");
    CHECK_VALUE(text, "response.autoScaling", "{\"minNodes\":2}");
    GET(gf_registry_patch_version(registry, V1, "{\"autoScaling\":{\"maxNodes\":4}}",
                                  "autoScaling.maxNodes", &text, &check_err));
    CHECK_VALUE(text, "response.autoScaling", "{\"minNodes\":2,\"maxNodes\":4}");
    snprintf(body, sizeof body, "{\"etag\":\"%s\"}", value_of(text, "response.etag"));
    GET(gf_registry_patch_version(registry, V1, body, "autoScaling", &text, &check_err));
    CHECK_VALUE(text, "response.autoScaling", "");
    REFUSES(GF_EBUSY, V1 ": changed by somebody else",
            gf_registry_patch_version(registry, V1, body, "description", &text, &check_err));
    REFUSES(GF_EINVAL, "updateMask: \"deploymentUri\" cannot be changed",
            gf_registry_patch_version(registry, V1, "{\"deploymentUri\":\"gs://bucket/x\"}",
                                      "deployment_uri", &text, &check_err));
    REFUSES(GF_EINVAL, "maxNodes is 1",
            gf_registry_patch_version(registry, V1,
                                      "{\"autoScaling\":{\"minNodes\":2,\"maxNodes\":1}}",
                                      "autoScaling", &text, &check_err));
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "deploymentUri", "gs://bucket/model");
    CHECK_VALUE(text, "description", "d");
}

TEST(note_use__sets_the_last_time_and_never_an_earlier_one)
{
    lock_home();
    deploy_version("v1");
    char *etag = strdup(value_of(text, "response.etag"));
    CHECK_OK(gf_registry_note_use(registry, V1, 1530931910, &check_err));
    CHECK_OK(gf_registry_note_use(registry, V1, 1, &check_err));
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "lastUseTime", "2018-07-07T02:51:50Z");
    CHECK_VALUE(text, "etag", etag); /* nothing that a client could overwrite has changed */
    CHECK_FAILS(GF_ENOTFOUND, "no such version", gf_registry_note_use(registry, V2, 1, &check_err));
    free(etag);
}

TESTS_MAIN(HOME_UNIT(create_version__is_creating_until_its_operation_has_run),
           HOME_UNIT(create_version__gives_back_what_the_client_sent),
           HOME_UNIT(create_version__refuses_what_cannot_be),
           HOME_UNIT(default_version__is_the_first_until_another_is_set),
           HOME_UNIT(default_version__must_be_ready),
           HOME_UNIT(default_version__passes_from_a_failed_one_to_the_next_that_is_ready),
           HOME_UNIT(delete_version__is_refused_for_the_default_unless_it_is_the_only_one),
           HOME_UNIT(versions__cannot_be_touched_while_they_come_or_go),
           HOME_UNIT(patch_version__changes_scaling_and_words_and_nothing_else),
           HOME_UNIT(note_use__sets_the_last_time_and_never_an_earlier_one))
