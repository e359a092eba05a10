/* test_registry_models.c: names, fields, defaults and what may not be done to a model. */
#include "registry_home.h"

TEST(create_model__gives_the_model_with_its_full_name)
{
    GET(gf_registry_create_model(
        registry, PROJECT,
        "{\"name\":\"m\",\"description\":\"Blumen\",\"regions\":[\"eu\"],"
        "\"labels\":{\"team_a\":\"x\"},\"online_prediction_logging\":true}",
        &text, &check_err));
    CHECK_VALUE(text, "name", MODEL);
    CHECK_VALUE(text, "description", "Blumen");
    CHECK_VALUE(text, "regions", "[\"eu\"]");
    CHECK_VALUE(text, "labels.team_a", "x"); /* a label's key is the user's */
    CHECK_VALUE(text, "onlinePredictionLogging", "true");
    CHECK_VALUE(text, "defaultVersion", "");
    CHECK_EQ(strlen(value_of(text, "etag")), 12);
    char *created = strdup(text);
    GET(gf_registry_get_model(registry, MODEL, &text, &check_err));
    CHECK_STR(text, created);
    free(created);
}

TEST(create_model__refuses_names_that_break_the_rule)
{
    static const char *const names[] = {"keras-iris", "1st", "_m", "", "a b", "bl\\u00fcte"};
    char body[300];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(body, sizeof body, "{\"name\":\"%s\"}", names[i]);
        REFUSES(GF_EINVAL, "must begin with a letter and have only letters, digits",
                gf_registry_create_model(registry, PROJECT, body, &text, &check_err));
        assert_null(text);
    }
    char name[130];
    memset(name, 'a', sizeof name);
    name[129] = '\0';
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    REFUSES(GF_EINVAL, "at most 128",
            gf_registry_create_model(registry, PROJECT, body, &text, &check_err));
    name[128] = '\0';
    create_model(name);
    create_model("Case");
    create_model("case"); /* names differ by case */
}

TEST(create_model__refuses_a_second_one_of_a_name)
{
    create_model("m");
    REFUSES(GF_EEXISTS, MODEL ": exists already",
            gf_registry_create_model(registry, PROJECT, "{\"name\":\"m\"}", &text, &check_err));
    GET(gf_registry_create_model(registry, "projects/other", "{\"name\":\"m\"}", &text,
                                 &check_err));
}

static void refuse_body(const char *body, const char *message)
{
    REFUSES(GF_EINVAL, message,
            gf_registry_create_model(registry, PROJECT, body, &text, &check_err));
}

TEST(create_model__refuses_bodies_that_are_no_model)
{
    refuse_body("{\"name\":\"m\",\"descrption\":\"\"}", "unknown field \"descrption\" in Model");
    refuse_body("{\"name\":\"m\",\"description\":5}", "description: expected a string");
    refuse_body("{\"name\":\"m\",\"regions\":\"eu\"}", "regions: expected a list of strings");
    refuse_body("{\"name\":\"m\",\"labels\":{\"a\":1}}", "labels: expected an object with strings");
    refuse_body("{\"name\":\"m\",\"onlinePredictionLogging\":1}", "expected true or false");
    refuse_body("[]", "Model: expected an object");
    refuse_body("{\"name\":", "body: JSON, line 1");
    refuse_body("", "body: JSON");
}

TEST(create_model__takes_a_body_at_the_limit_and_not_beyond)
{
    const size_t limit = (size_t)256 << 10;
    const char *head = "{\"name\":\"m\",\"description\":\"";
    char *body = malloc(limit + 2);
    memset(body, 'x', limit + 1);
    memcpy(body, head, strlen(head));
    memcpy(body + limit - 1, "\"}", 3);
    REFUSES(GF_ELIMIT, "a body of 262145 bytes, at most 262144",
            gf_registry_create_model(registry, PROJECT, body, &text, &check_err));
    memcpy(body + limit - 2, "\"}", 3);
    GET(gf_registry_create_model(registry, PROJECT, body, &text, &check_err));
    free(body);
}

TEST(calls__refuse_names_of_another_kind)
{
    REFUSES(GF_EINVAL, "\"projects/p\": expected projects/PROJECT/models/MODEL",
            gf_registry_get_model(registry, PROJECT, &text, &check_err));
    REFUSES(GF_EINVAL, "expected projects/PROJECT/models/MODEL",
            gf_registry_get_model(registry, MODEL "/", &text, &check_err));
    REFUSES(GF_EINVAL, "expected projects/PROJECT",
            gf_registry_list_models(registry, MODEL, NULL, &text, &check_err));
    REFUSES(GF_EINVAL, "project \"-p\"",
            gf_registry_list_models(registry, "projects/-p", NULL, &text, &check_err));
    REFUSES(GF_ENOTFOUND, MODEL ": no such model",
            gf_registry_get_model(registry, MODEL, &text, &check_err));
}

TEST(patch_model__changes_what_the_mask_names)
{
    GET(gf_registry_create_model(registry, PROJECT,
                                 "{\"name\":\"m\",\"description\":\"a\",\"labels\":{\"k\":\"v\"}}",
                                 &text, &check_err));
    GET(gf_registry_patch_model(registry, MODEL, "{\"description\":\"b\",\"labels\":{}}",
                                "description", &text, &check_err));
    CHECK_VALUE(text, "done", "true");
    CHECK_VALUE(text, "metadata.operationType", "UPDATE_MODEL");
    CHECK_VALUE(text, "metadata.modelName", MODEL);
    CHECK_VALUE(text, "response.@type", "type.googleapis.com/google.cloud.ml.v1.Model");
    CHECK_VALUE(text, "response.description", "b");
    CHECK_VALUE(text, "response.labels.k", "v"); /* not in the mask */
    GET(gf_registry_patch_model(registry, MODEL, "{}", "description,labels", &text, &check_err));
    GET(gf_registry_get_model(registry, MODEL, &text, &check_err));
    CHECK_VALUE(text, "description", ""); /* in the mask, not in the body */
    CHECK_VALUE(text, "labels", "");
}

TEST(patch_model__takes_back_a_whole_model_as_it_was_given)
{
    lock_home();
    deploy_version("v1");
    GET(gf_registry_get_model(registry, MODEL, &text, &check_err));
    char *body = strdup(text);
    GET(gf_registry_patch_model(registry, MODEL, body, "description", &text, &check_err));
    CHECK_VALUE(text, "response.defaultVersion.name", V1);
    free(body);
}

TEST(patch_model__refuses_masks_that_name_nothing_or_too_much)
{
    create_model("m");
    REFUSES(GF_EINVAL, "updateMask: missing",
            gf_registry_patch_model(registry, MODEL, "{}", NULL, &text, &check_err));
    REFUSES(GF_EINVAL, "updateMask: missing",
            gf_registry_patch_model(registry, MODEL, "{}", " ,", &text, &check_err));
    REFUSES(GF_EINVAL, "updateMask: \"regions\" cannot be changed, only description, labels",
            gf_registry_patch_model(registry, MODEL, "{}", "regions", &text, &check_err));
    REFUSES(GF_ENOTFOUND, "no such model",
            gf_registry_patch_model(registry, "projects/p/models/x", "{}", "labels", &text,
                                    &check_err));
}

TEST(patch_model__is_refused_with_an_etag_that_is_out_of_date)
{
    char body[128];
    create_model("m");
    snprintf(body, sizeof body, "{\"description\":\"mine\",\"etag\":\"%s\"}",
             value_of(text, "etag"));
    GET(gf_registry_patch_model(registry, MODEL, body, "description,etag", &text, &check_err));
    gf_registry_free_text(text);
    text = NULL;
    REFUSES(GF_EBUSY, "changed by somebody else: etag is",
            gf_registry_patch_model(registry, MODEL, body, "description", &text, &check_err));
    GET(gf_registry_patch_model(registry, MODEL, "{}", "description", &text, &check_err));
}

TEST(delete_model__leaves_nothing_and_its_name_is_free)
{
    create_model("m");
    char *etag = strdup(value_of(text, "etag"));
    GET(gf_registry_delete_model(registry, MODEL, &text, &check_err));
    CHECK_VALUE(text, "done", "true");
    CHECK_VALUE(text, "metadata.operationType", "DELETE_MODEL");
    CHECK_VALUE(text, "response", "{\"@type\":\"type.googleapis.com/google.protobuf.Empty\"}");
    GET(gf_registry_list_models(registry, PROJECT, NULL, &text, &check_err));
    CHECK_STR(text, "{}");
    REFUSES(GF_ENOTFOUND, "no such model",
            gf_registry_delete_model(registry, MODEL, &text, &check_err));
    create_model("m");
    assert_string_not_equal(value_of(text, "etag"), etag); /* another model of that name */
    free(etag);
}

TEST(delete_model__is_refused_while_it_has_versions)
{
    lock_home();
    deploy_version("v1");
    REFUSES(GF_EPRECONDITION, MODEL ": has 1 version; delete it first",
            gf_registry_delete_model(registry, MODEL, &text, &check_err));
    deploy_version("v2");
    REFUSES(GF_EPRECONDITION, "has 2 versions; delete them first",
            gf_registry_delete_model(registry, MODEL, &text, &check_err));
}

TESTS_MAIN(HOME_UNIT(create_model__gives_the_model_with_its_full_name),
           HOME_UNIT(create_model__refuses_names_that_break_the_rule),
           HOME_UNIT(create_model__refuses_a_second_one_of_a_name),
           HOME_UNIT(create_model__refuses_bodies_that_are_no_model),
           HOME_UNIT(create_model__takes_a_body_at_the_limit_and_not_beyond),
           HOME_UNIT(calls__refuse_names_of_another_kind),
           HOME_UNIT(patch_model__changes_what_the_mask_names),
           HOME_UNIT(patch_model__takes_back_a_whole_model_as_it_was_given),
           HOME_UNIT(patch_model__refuses_masks_that_name_nothing_or_too_much),
           HOME_UNIT(patch_model__is_refused_with_an_etag_that_is_out_of_date),
           HOME_UNIT(delete_model__leaves_nothing_and_its_name_is_free),
           HOME_UNIT(delete_model__is_refused_while_it_has_versions))
