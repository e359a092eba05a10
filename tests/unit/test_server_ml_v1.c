/* Cloud ML Engine v1 without predictions, from request to answer: routes, handlers, registry,
 * catalog. */
#include "server_asked.h"
#include "server_home.h"

#define P "/v1/projects/p"

static char *answer;     /* of the last ask() */
static char *other;      /* kept from an earlier one */
static const char *host; /* Host header; NULL: none */
static char bearer[128]; /* Authorization; "": none */
static bool says_when;   /* the last answer had Retry-After */

/* The code; the body is in answer. */
static int ask(const char *method, const char *target, const char *body)
{
    asked a;
    gf__pair headers[3];
    size_t n_headers = 0;
    if (host != NULL)
        headers[n_headers++] = (gf__pair){"Host", host};
    if (bearer[0] != '\0')
        headers[n_headers++] = (gf__pair){"Authorization", bearer};
    if (strcmp(method, "PATCH as POST") == 0) {
        headers[n_headers++] = (gf__pair){"X-HTTP-Method-Override", "PATCH"};
        method = "POST";
    }
    ask_for(&server, method, target, body, headers, n_headers, &a);
    gf__free(answer);
    answer = gf__buffer_take(&a.response.body, NULL);
    says_when = header_of(&a, "Retry-After")[0] != '\0';
    const int code = a.response.code;
    forget(&a);
    return code;
}

static int leave_all(void **state)
{
    gf__free(answer);
    gf__free(other);
    answer = other = NULL;
    host = NULL;
    bearer[0] = '\0';
    return leave_server(state);
}

#define ML_UNIT(name) cmocka_unit_test_setup_teardown(name, enter_server, leave_all)

TEST(ml_v1__models_come_and_go)
{
    ASK(200, "POST", P "/models", "{\"name\":\"m\",\"regions\":[\"us-central1\"]}");
    CHECK_VALUE(answer, "name", MODEL);
    ASK(409, "POST", P "/models", "{\"name\":\"m\"}");
    CHECK_VALUE(answer, "error.status", "ALREADY_EXISTS");
    ASK(400, "POST", P "/models", "{\"name\":\"keras-iris\"}");
    CHECK_VALUE(answer, "error.status", "INVALID_ARGUMENT");
    ASK(200, "GET", P "/models/m", "");
    CHECK_VALUE(answer, "regions.0", "us-central1");
    NOT_FOUND(GF_EPRECONDITION, "has no default version", "m", NULL, NULL);
    ASK(200, "DELETE", P "/models/m", "");
    CHECK_VALUE(answer, "done", "true");
    ASK(404, "GET", P "/models/m", "");
    CHECK_VALUE(answer, "error.status", "NOT_FOUND");
    NOT_FOUND(GF_ENOTFOUND, "model not found", "m", NULL, NULL);
    ASK(200, "GET", P "/models", "");
    CHECK_STR(answer, "{}\n");
}

TEST(ml_v1__lists_have_pages_and_filters)
{
    for (int i = 0; i < 5; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"name\":\"m%d\"}", i);
        ASK(200, "POST", P "/models", body);
    }
    char target[256];
    ASK(200, "GET", P "/models?pageSize=3", "");
    CHECK_VALUE(answer, "models.2.name", "projects/p/models/m2");
    CHECK_VALUE(answer, "models.3.name", "");
    snprintf(target, sizeof target, P "/models?page_size=3&page_token=%s",
             value_of(answer, "nextPageToken"));
    ASK(200, "GET", target, "");
    CHECK_VALUE(answer, "models.1.name", "projects/p/models/m4");
    CHECK_VALUE(answer, "nextPageToken", "");
    ASK(200, "GET", P "/models?filter=name:projects/p/models/m3", "");
    CHECK_VALUE(answer, "models.0.name", "projects/p/models/m3");
    CHECK_VALUE(answer, "models.1.name", "");
    ASK(400, "GET", P "/models?pageSize=many", "");
    CHECK_VALUE(answer, "error.message", "pageSize: \"many\", expected a whole number");
    ASK(400, "GET", P "/models?pageSize=-1", "");
    ASK(400, "GET", P "/models?pageToken=made.up", "");
}

TEST(ml_v1__patches_what_the_mask_names_and_compares_etags)
{
    char body[256];
    ASK(200, "POST", P "/models", "{\"name\":\"m\",\"description\":\"old\"}");
    snprintf(body, sizeof body, "{\"description\":\"new\",\"etag\":\"%s\"}",
             value_of(answer, "etag"));
    ASK(200, "PATCH", P "/models/m?updateMask=description", body);
    CHECK_VALUE(answer, "response.description", "new");
    ASK(409, "PATCH", P "/models/m?updateMask=description", body); /* of a model of the past */
    CHECK_VALUE(answer, "error.status", "ABORTED");
    ASK(200, "PATCH as POST", P "/models/m?update_mask=description", "{\"description\":\"newer\"}");
    ASK(400, "PATCH", P "/models/m?updateMask=regions", "{\"regions\":[]}");
    ASK(200, "GET", P "/models/m?fields=description", "");
    CHECK_STR(answer, "{\"description\":\"newer\"}\n");
}

TEST(ml_v1__versions_are_operations_until_they_are_ready)
{
    put_model("model", "flowers", true);
    ASK(200, "POST", P "/models", "{\"name\":\"m\"}");
    ASK(404, "POST", P "/models/m/versions",
        "{\"name\":\"v1\",\"deploymentUri\":\"gs://bucket/nothing\"}");
    ASK(200, "POST", P "/models/m/versions",
        "{\"name\":\"v1\",\"deploymentUri\":\"gs://bucket/model\",\"runtimeVersion\":\"1.2\"}");
    CHECK_VALUE(answer, "metadata.operationType", "CREATE_VERSION");
    CHECK_VALUE(answer, "done", "false");
    NOT_FOUND(GF_EPRECONDITION, "v1: is CREATING", "m", "v1", NULL);
    char target[512];
    snprintf(target, sizeof target, "/v1/%s", value_of(answer, "name"));
    run_all(NULL);
    ASK(200, "GET", target, "");
    CHECK_VALUE(answer, "response.state", "READY");
    ASK(200, "GET", P "/models/m/versions/v1", "");
    CHECK_VALUE(answer, "isDefault", "true");
    ASK(200, "PATCH", P "/models/m/versions/v1?updateMask=autoScaling.minNodes",
        "{\"autoScaling\":{\"minNodes\":1}}");
    CHECK_STR(found("m", NULL, NULL), V1); /* the catalog followed */
    CHECK_EQ(fake.versions[0]->min_nodes, 1);
    ASK(200, "GET", P "/operations?filter=metadata.operationType=CREATE_VERSION", "");
    CHECK_VALUE(answer, "operations.0.response.name", V1);
    ASK(200, "GET", P "/locations/local/operations", "");
    CHECK_VALUE(answer, "operations.0.metadata.operationType", "UPDATE_VERSION");
    ASK(404, "GET", P "/locations/mars/operations", "");
}

TEST(ml_v1__default_and_deletion_of_versions)
{
    ASK(200, "POST", P "/models", "{\"name\":\"m\"}");
    deploy("m", "v1", "");
    deploy("m", "v2", "");
    refresh(MODEL);
    ASK(400, "DELETE", P "/models/m/versions/v1", "");
    CHECK_VALUE(answer, "error.status", "FAILED_PRECONDITION");
    ASK(200, "POST", P "/models/m/versions/v2:setDefault", "{}");
    CHECK_VALUE(answer, "name", V2);
    CHECK_VALUE(answer, "isDefault", "true");
    CHECK_STR(found("m", NULL, NULL), V2);
    ASK(200, "DELETE", P "/models/m/versions/v1", "");
    CHECK_VALUE(answer, "metadata.operationType", "DELETE_VERSION");
    NOT_FOUND(GF_EPRECONDITION, "v1: is DELETING", "m", "v1", NULL);
    char target[512];
    snprintf(target, sizeof target, "/v1/%s:cancel", value_of(answer, "name"));
    ASK(200, "POST", target, "{}");
    CHECK_STR(answer, "{}\n");
    CHECK_STR(found("m", "v1", NULL), V1); /* back */
    ASK(200, "GET", P "/models/m/versions?filter=state=READY", "");
    CHECK_VALUE(answer, "versions.1.name", V2);
    ASK(400, "DELETE", P "/models/m", "");
    ASK(404, "POST", P "/operations/none:cancel", "{}");
}

TEST(ml_v1__tells_where_it_is_and_what_it_does_not_do)
{
    ASK(200, "GET", P "/locations", "");
    CHECK_VALUE(answer, "locations.0.name", "projects/p/locations/local");
    ASK(200, "GET", P "/locations/local", "");
    CHECK_VALUE(answer, "capabilities.0.type", "ONLINE_PREDICTION");
    ASK(404, "GET", P "/locations/us-central1", "");
    ASK(200, "GET", P ":getConfig", "");
    CHECK_STR(answer, "{\"config\":{}}\n");
    ASK(501, "GET", P "/models/m:getIamPolicy", "");
    CHECK_VALUE(answer, "error.status", "UNIMPLEMENTED");
    ASK(501, "POST", P "/models/m:testIamPermissions", "{}");
    ASK(501, "POST", P "/models/m/versions/v:explain", "{}");
    ASK(400, "GET", P "/models/m%2Fversions%2Fv", ""); /* a name cannot smuggle in a longer one */
}

TEST(discovery__leads_back_to_this_server)
{
    host = "graft.example:8080";
    ASK(200, "GET", "/$discovery/rest?version=v1", "");
    gf__free(other);
    other = answer;
    answer = NULL;
    CHECK_VALUE(other, "rootUrl", "http://graft.example:8080/");
    CHECK_VALUE(other, "baseUrl", "http://graft.example:8080/");
    CHECK_VALUE(other, "mtlsRootUrl", "http://graft.example:8080/");
    CHECK_VALUE(other, "id", "ml:v1");
    CHECK_VALUE(other, "resources.projects.methods.predict.flatPath",
                "v1/projects/{projectsId}:predict");
    ASK(200, "GET", "/discovery/v1/apis/ml/v1/rest", "");
    CHECK_STR(answer, other);
    ASK(200, "GET", "/discovery/v1/apis", "");
    CHECK_VALUE(answer, "items.0.discoveryRestUrl",
                "http://graft.example:8080/discovery/v1/apis/ml/v1/rest");
    ASK(404, "GET", "/$discovery/rest?version=v2", "");
    host = "evil.example/\"path";
    ASK(200, "GET", "/discovery/v1/apis/ml/v1/rest", "");
    CHECK_VALUE(answer, "rootUrl", "http://127.0.0.1:1/");
    host = NULL;
    ASK(200, "GET", "/discovery/v1/apis/ml/v1/rest?fields=rootUrl", "");
    CHECK_STR(answer, "{\"rootUrl\":\"http://127.0.0.1:1/\"}\n");
}

TEST(ml_v1__a_token_of_one_project_makes_versions_of_its_own_files)
{
    ASK(200, "POST", P "/models", "{\"name\":\"m\"}");
    put_model("p/m", "flowers", true);
    put_model("q/m", "flowers", true);
    ASK(200, "POST", "/graft/v1/tokens", "{\"role\":\"deploy\",\"project\":\"p\"}");
    snprintf(bearer, sizeof bearer, "Bearer %s", value_of(answer, "token"));
    ASK(403, "POST", P "/models/m/versions",
        "{\"name\":\"v1\",\"deploymentUri\":\"gs://bucket/q/m/\"}");
    ASK(403, "POST", P "/models/m/versions",
        "{\"name\":\"v1\",\"deployment_uri\":\"gs://bucket/q/m/\"}");
    ASK(403, "POST", P "/models/m/versions", "{\"name\":\"v1\",\"deploymentUri\":\"gs://bucket\"}");
    ASK(200, "POST", P "/models/m/versions",
        "{\"name\":\"v1\",\"deploymentUri\":\"gs://bucket/p/m/\"}");
}

TEST(ml_v1__says_of_studies_that_there_are_none)
{
    ASK(501, "GET", P "/locations/local/studies", "");
    ASK(501, "POST", P "/locations/local/studies/s/trials:suggest", "{}");
    ASK(501, "POST", P ":explain", "{}");
}

TEST(tensorflow_and_v2__say_what_is_not_done)
{
    ASK(501, "POST", "/v1/models/m:regress", "{}");
    CHECK_STR(answer, "{\"error\":\"these models classify: ask :classify or :predict instead of "
                      ":regress\"}\n");
    ASK(501, "POST", "/v1/models/m/labels/stable:explain", "{}");
    ASK(501, "POST", "/v2/repository/models/m/unload", "{}");
    ASK(400, "POST", "/v2/repository/models/m/load", "{\"parameters\":{\"config\":\"{}\"}}");
    CHECK(strstr(answer, "parameters: \\\"config\\\"") != NULL);
    ASK(404, "POST", "/v2/repository/models/m/load", "{\"parameters\":{}}");
}

TEST(tensorflow__names_what_is_not_there_as_it_does)
{
    ASK(404, "POST", "/v1/models/half:predict", "{}");
    CHECK_STR(answer, "{\"error\":\"Servable not found for request: Latest(half)\"}\n");
    ASK(404, "POST", "/v1/models/half/versions/7:predict", "{}");
    CHECK_STR(answer, "{\"error\":\"Servable not found for request: Specific(half, 7)\"}\n");
    ASK(404, "GET", "/v1/models/half", ""); /* KServe asks this, too */
    CHECK_STR(answer, "{\"error\":\"Model with name half does not exist.\"}\n");
}

TEST(tensorflow__a_version_by_number_is_awaited_as_one_by_name)
{
    ASK(200, "POST", "/v1/projects/default/models", "{\"name\":\"m\"}");
    put_model("m", "flowers", true);
    ASK(200, "POST", "/v1/projects/default/models/m/versions",
        "{\"name\":\"v7\",\"deploymentUri\":\"gs://bucket/m/\"}");
    ASK(503, "POST", "/v1/models/m/versions/v7:predict", "{}");
    ASK(503, "POST", "/v1/models/m/versions/7:predict", "{}");
    CHECK(strstr(answer, "is CREATING, not READY") != NULL);
    ASK(404, "POST", "/v1/models/m/versions/8:predict", "{}");
}

TEST(tensorflow__a_model_that_is_not_ready_says_when_to_come_again)
{
    ASK(200, "POST", "/v1/projects/default/models", "{\"name\":\"m\"}");
    ASK(503, "GET", "/v1/models/m", "");
    CHECK(says_when);
    ASK(404, "GET", "/v1/models/n", "");
    CHECK(!says_when);
}

/* Of an earlier start there may be another version, which is still the default. */
TEST(vertex__is_ready_with_the_version_it_is_to_serve)
{
    ASK(200, "POST", P "/models", "{\"name\":\"m\"}");
    deploy("m", "v1", "");
    refresh(MODEL);
    server.options.project = "p";
    server.options.health_route = "/health";
    server.options.vertex_model = "m";
    ASK(200, "GET", "/health", "");
    server.options.vertex_version = "v2";
    ASK(503, "GET", "/health", "");
    deploy("m", "v2", "");
    refresh(MODEL);
    ASK(200, "GET", "/health", "");
}

TEST(readiness__is_what_the_pools_say_and_stays)
{
    fake.are_starting = true;
    ASK(503, "GET", "/readyz", "");
    CHECK_STR(answer, "starting\n");
    fake.are_starting = false;
    ASK(200, "GET", "/readyz", "");
    fake.are_starting = true; /* a worker that dies later is the pool's business */
    ASK(200, "GET", "/readyz", "");
}

TESTS_MAIN(ML_UNIT(ml_v1__a_token_of_one_project_makes_versions_of_its_own_files),
           ML_UNIT(ml_v1__says_of_studies_that_there_are_none),
           ML_UNIT(tensorflow_and_v2__say_what_is_not_done),
           ML_UNIT(tensorflow__names_what_is_not_there_as_it_does),
           ML_UNIT(tensorflow__a_version_by_number_is_awaited_as_one_by_name),
           ML_UNIT(tensorflow__a_model_that_is_not_ready_says_when_to_come_again),
           ML_UNIT(vertex__is_ready_with_the_version_it_is_to_serve),
           ML_UNIT(readiness__is_what_the_pools_say_and_stays), ML_UNIT(ml_v1__models_come_and_go),
           ML_UNIT(ml_v1__lists_have_pages_and_filters),
           ML_UNIT(ml_v1__patches_what_the_mask_names_and_compares_etags),
           ML_UNIT(ml_v1__versions_are_operations_until_they_are_ready),
           ML_UNIT(ml_v1__default_and_deletion_of_versions),
           ML_UNIT(ml_v1__tells_where_it_is_and_what_it_does_not_do),
           ML_UNIT(discovery__leads_back_to_this_server))
