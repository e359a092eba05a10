/* test_registry_query.c: pages and their tokens, filters. */
#include "registry_home.h"

static void create_models(size_t n)
{
    char name[16];
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "m%03zu", i);
        create_model(name);
    }
}

/* All names of a list, page by page, joined by commas. */
static void list_names(const char *filter, int size, char *names, size_t n_chars)
{
    char token[4096] = "";
    gf__buffer joined = {0};
    do {
        const gf_registry_page page = {.size = size, .token = token, .filter = filter};
        char path[32];
        GET(gf_registry_list_models(registry, PROJECT, &page, &text, &check_err));
        for (int i = 0;; i++) {
            snprintf(path, sizeof path, "models.%d.name", i);
            const char *name = value_of(text, path);
            if (name[0] == '\0')
                break;
            CHECK(i < (size == 0 ? 20 : size));
            gf__buffer_printf(&joined, "%s,", name + strlen(PROJECT "/models/"));
        }
        snprintf(token, sizeof token, "%s", value_of(text, "nextPageToken"));
    } while (token[0] != '\0');
    snprintf(names, n_chars, "%.*s", (int)n_chars - 1, joined.size > 0 ? joined.data : "");
    gf__buffer_free(&joined);
}

TEST(list__gives_every_item_once_in_pages_of_any_size)
{
    char names[256];
    create_models(7);
    for (int size = 1; size <= 8; size++) {
        list_names(NULL, size, names, sizeof names);
        CHECK_STR(names, "m000,m001,m002,m003,m004,m005,m006,");
    }
}

TEST(list__of_nothing_is_an_empty_object)
{
    GET(gf_registry_list_models(registry, "projects/none", NULL, &text, &check_err));
    CHECK_STR(text, "{}");
    GET(gf_registry_list_operations(registry, PROJECT, NULL, &text, &check_err));
    CHECK_STR(text, "{}");
    REFUSES(GF_ENOTFOUND, MODEL ": no such model",
            gf_registry_list_versions(registry, MODEL, NULL, &text, &check_err));
}

TEST(list__has_twenty_items_by_default_and_never_more_than_a_hundred)
{
    const gf_registry_page page = {.size = 1000};
    create_models(102);
    GET(gf_registry_list_models(registry, PROJECT, NULL, &text, &check_err));
    CHECK_VALUE(text, "models.19.name", PROJECT "/models/m019");
    CHECK_VALUE(text, "models.20.name", "");
    GET(gf_registry_list_models(registry, PROJECT, &page, &text, &check_err));
    CHECK_VALUE(text, "models.99.name", PROJECT "/models/m099");
    CHECK_VALUE(text, "models.100.name", "");
}

TEST(page_token__stays_good_while_others_create_and_delete)
{
    const gf_registry_page first = {.size = 2};
    char token[4096];
    create_models(4);
    GET(gf_registry_list_models(registry, PROJECT, &first, &text, &check_err));
    snprintf(token, sizeof token, "%s", value_of(text, "nextPageToken"));
    GET(gf_registry_delete_model(registry, PROJECT "/models/m001", &text,
                                 &check_err)); /* its last one */
    create_model("a");
    const gf_registry_page second = {.size = 2, .token = token};
    GET(gf_registry_list_models(registry, PROJECT, &second, &text, &check_err));
    CHECK_VALUE(text, "models.0.name", PROJECT "/models/m002");
    CHECK_VALUE(text, "models.1.name", PROJECT "/models/m003");
    CHECK_VALUE(text, "nextPageToken", "");
}

static void refuse_page(const char *parent, gf_registry_page page, const char *message)
{
    REFUSES(GF_EINVAL, message,
            gf_registry_list_models(registry, parent, &page, &text, &check_err));
}

TEST(page_token__is_refused_by_any_other_list)
{
    const gf_registry_page first = {.size = 1};
    char token[4096];
    create_models(2);
    GET(gf_registry_list_models(registry, PROJECT, &first, &text, &check_err));
    snprintf(token, sizeof token, "%s", value_of(text, "nextPageToken"));
    refuse_page("projects/q", (gf_registry_page){.token = token},
                "pageToken: not one of this list");
    refuse_page(PROJECT, (gf_registry_page){.token = token, .filter = "name:m*"},
                "pageToken: not one");
    refuse_page(PROJECT, (gf_registry_page){.token = "m000"}, "pageToken: not one");
    refuse_page(PROJECT, (gf_registry_page){.token = "m001.0123456789abcdef"},
                "pageToken: not one");
    REFUSES(GF_EINVAL, "pageToken: not one",
            gf_registry_list_operations(registry, PROJECT, &(gf_registry_page){.token = token},
                                        &text, &check_err));
    refuse_page(PROJECT, (gf_registry_page){.size = -1}, "pageSize: -1, expected 0 or more");
}

TEST(filter__takes_names_labels_and_truth)
{
    char names[256];
    create_models(2);
    GET(gf_registry_create_model(
        registry, PROJECT,
        "{\"name\":\"rose\",\"labels\":{\"team\":\"vision\",\"a.b_c\":\"1\"},"
        "\"onlinePredictionLogging\":true,\"description\":\"two words\"}",
        &text, &check_err));
    list_names("name:m*", 1, names, sizeof names);
    CHECK_STR(names, "m000,m001,");
    list_names("name=" PROJECT "/models/rose", 0, names, sizeof names);
    CHECK_STR(names, "rose,");
    list_names("labels.team=vision AND labels.a.b_c:1", 0, names, sizeof names);
    CHECK_STR(names, "rose,");
    list_names("labels.team:*", 0, names, sizeof names);
    CHECK_STR(names, "rose,");
    list_names("labels:*", 0, names, sizeof names);
    CHECK_STR(names, "rose,");
    list_names(" name!=rose  AND name != \"m000\" ", 0, names, sizeof names);
    CHECK_STR(names, "m001,");
    list_names("online_prediction_logging=true", 0, names, sizeof names);
    CHECK_STR(names, "rose,");
    list_names("onlinePredictionLogging=false", 0, names, sizeof names);
    CHECK_STR(names, "m000,m001,"); /* left out means false */
    list_names("description=\"two words\"", 0, names, sizeof names);
    CHECK_STR(names, "rose,");
    list_names("name:x*", 0, names, sizeof names);
    CHECK_STR(names, "");
    list_names("", 0, names, sizeof names);
    CHECK_STR(names, "m000,m001,rose,");
}

TEST(filter__says_where_it_is_wrong)
{
    char many[400] = "a=1";
    refuse_page(PROJECT, (gf_registry_page){.filter = "name"},
                "character 5: expected ':', '=' or '!='");
    refuse_page(PROJECT, (gf_registry_page){.filter = "=m"},
                "character 1: expected the name of a field");
    refuse_page(PROJECT, (gf_registry_page){.filter = "name="}, "character 6: expected a value");
    refuse_page(PROJECT, (gf_registry_page){.filter = "name=\"m"}, "expected a closing '\"'");
    refuse_page(PROJECT, (gf_registry_page){.filter = "a=1 OR b=2"},
                "character 5: expected AND (OR and NOT are not known)");
    refuse_page(PROJECT, (gf_registry_page){.filter = "(a=1)"}, "character 1: expected the name");
    refuse_page(PROJECT, (gf_registry_page){.filter = "a=(1)"}, "parentheses are not known");
    refuse_page(PROJECT, (gf_registry_page){.filter = "a=1 AND "},
                "expected a condition after AND");
    for (int i = 0; i < 16; i++)
        strncat(many, " AND a=1", sizeof many - strlen(many) - 1);
    refuse_page(PROJECT, (gf_registry_page){.filter = many}, "filter: more than 16 conditions");
}

TEST(list_operations__is_newest_first_and_filtered)
{
    char path[64];
    lock_home();
    deploy_version("v1");
    create_version("v2");
    GET(gf_registry_list_operations(registry, PROJECT, &(gf_registry_page){.size = 1}, &text,
                                    &check_err));
    CHECK_VALUE(text, "operations.0.done", "false");
    char *token = strdup(value_of(text, "nextPageToken"));
    GET(gf_registry_list_operations(
        registry, PROJECT, &(gf_registry_page){.size = 1, .token = token}, &text, &check_err));
    CHECK_VALUE(text, "operations.0.response.name", V1);
    free(token);
    const gf_registry_page waiting = {.filter = "done=false AND "
                                                "metadata.operation_type=CREATE_VERSION"};
    GET(gf_registry_list_operations(registry, PROJECT, &waiting, &text, &check_err));
    CHECK_VALUE(text, "operations.0.metadata.version.name", V2);
    snprintf(path, sizeof path, "operations.%d.name", 1);
    CHECK_VALUE(text, path, "");
}

TEST(list_versions__pages_within_its_model)
{
    lock_home();
    create_version("v1");
    create_version("v2");
    GET(gf_registry_list_versions(registry, MODEL, &(gf_registry_page){.size = 1}, &text,
                                  &check_err));
    CHECK_VALUE(text, "versions.0.name", V1);
    char *token = strdup(value_of(text, "nextPageToken"));
    GET(gf_registry_list_versions(registry, MODEL, &(gf_registry_page){.size = 1, .token = token},
                                  &text, &check_err));
    CHECK_VALUE(text, "versions.0.name", V2);
    CHECK_VALUE(text, "nextPageToken", "");
    free(token);
    GET(gf_registry_list_versions(registry, MODEL, &(gf_registry_page){.filter = "isDefault=false"},
                                  &text, &check_err));
    CHECK_VALUE(text, "versions.0.name", V2);
}

TESTS_MAIN(HOME_UNIT(list__gives_every_item_once_in_pages_of_any_size),
           HOME_UNIT(list__of_nothing_is_an_empty_object),
           HOME_UNIT(list__has_twenty_items_by_default_and_never_more_than_a_hundred),
           HOME_UNIT(page_token__stays_good_while_others_create_and_delete),
           HOME_UNIT(page_token__is_refused_by_any_other_list),
           HOME_UNIT(filter__takes_names_labels_and_truth),
           HOME_UNIT(filter__says_where_it_is_wrong),
           HOME_UNIT(list_operations__is_newest_first_and_filtered),
           HOME_UNIT(list_versions__pages_within_its_model))
