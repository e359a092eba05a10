/* Routing: what a request meets before and after its handler. No sockets: the listener's questions
 * are asked here. */
#include "server_asked.h"

static gf_server server;

static void ask(asked *a, const char *method, const char *target)
{
    ask_for(&server, method, target, "", NULL, 0, a);
}

static void check_answer(const char *method, const char *target, int code, const char *body)
{
    asked a;
    ask(&a, method, target);
    if (a.response.code != code)
        fail_msg("%s %s got %d: %s", method, target, a.response.code, body_of(&a));
    CHECK_STR(body_of(&a), body);
    forget(&a);
}

static void set_up(void)
{
    memset(&server, 0, sizeof server);
    server.options = gf_server_options_default();
    CHECK_OK(gf__metrics_new(&server.metrics, &check_err));
}

static void tear_down(void)
{
    gf__metrics_free(server.metrics);
    gf_registry_close(server.registry);
    server.metrics = NULL;
    server.registry = NULL;
}

TEST(routes__tell_what_is_missing_in_the_familys_words)
{
    set_up();
    check_answer("GET", "/v1/projects/p/nothing", 404,
                 "{\"error\":{\"code\":404,\"message\":\"there is nothing at GET "
                 "/v1/projects/p/nothing\",\"status\":\"NOT_FOUND\"}}\n");
    check_answer("POST", "/v1/models/m/nothing", 400,
                 "{\"error\":\"Malformed request: POST /v1/models/m/nothing\"}\n");
    check_answer("GET", "/v2/nothing", 404,
                 "{\"error\":\"there is nothing at GET /v2/nothing\"}\n");
    check_answer("GET", "/nothing", 404, "there is nothing at GET /nothing\n");
    check_answer("GET", "/graft/v1/nothing/at/all", 404,
                 "{\"error\":{\"code\":404,\"message\":\"there is nothing at GET "
                 "/graft/v1/nothing/at/all\",\"status\":\"NOT_FOUND\"}}\n");
    tear_down();
}

TEST(routes__tell_which_methods_there_are)
{
    asked a;
    set_up();
    ask(&a, "DELETE", "/livez");
    CHECK_EQ(a.response.code, 405);
    CHECK_STR(header_of(&a, "Allow"), "GET, HEAD, OPTIONS");
    forget(&a);
    ask(&a, "OPTIONS", "/livez");
    CHECK_EQ(a.response.code, 204);
    CHECK_STR(header_of(&a, "Allow"), "GET, HEAD, OPTIONS");
    CHECK_STR(header_of(&a, "Access-Control-Allow-Methods"), "");
    forget(&a);
    check_answer("HEAD", "/livez", 200, "ok\n");
    check_answer("GET", "/live%7a", 200, "ok\n");
    tear_down();
}

TEST(routes__take_a_method_for_another_where_the_header_says_so)
{
    asked a;
    set_up();
    ask_for(&server, "POST", "/livez", "", &(gf__pair){"X-HTTP-Method-Override", "get"}, 1, &a);
    CHECK_EQ(a.response.code, 200);
    forget(&a);
    ask_for(&server, "GET", "/livez", "", &(gf__pair){"X-HTTP-Method-Override", "DELETE"}, 1, &a);
    CHECK_EQ(a.response.code, 200);
    forget(&a);
    tear_down();
}

TEST(routes__allow_other_origins_only_when_told)
{
    asked a;
    const gf__pair origin = {"Origin", "https://a.example"};
    set_up();
    ask_for(&server, "GET", "/livez", "", &origin, 1, &a);
    CHECK_STR(header_of(&a, "Access-Control-Allow-Origin"), "");
    forget(&a);
    server.options.cors_origin = "*";
    ask_for(&server, "OPTIONS", "/livez", "", &origin, 1, &a);
    CHECK_STR(header_of(&a, "Access-Control-Allow-Origin"), "*");
    CHECK_STR(header_of(&a, "Access-Control-Allow-Methods"), "GET, HEAD, OPTIONS");
    forget(&a);
    server.options.cors_origin = "https://b.example";
    ask_for(&server, "GET", "/livez", "", &origin, 1, &a);
    CHECK_STR(header_of(&a, "Access-Control-Allow-Origin"), "");
    CHECK_STR(header_of(&a, "Vary"), "Origin");
    forget(&a);
    tear_down();
}

TEST(routes__give_each_status_its_shape)
{
    gf__response response = {0};
    set_up();
    gf__respond_error(&server, GF__FAMILY_TENSORFLOW, GF_EOVERLOAD, "full", &response);
    CHECK_EQ(response.code, 429);
    CHECK_STR(response.headers[0].name, "Retry-After");
    CHECK_STR(response.body.data, "{\"error\":\"full\"}\n");
    gf__response_clear(&response);
    response = (gf__response){0};
    gf__respond_error(&server, GF__FAMILY_ML_PREDICT, GF_EFORMAT, "instances[0]: bad", &response);
    CHECK_EQ(response.code, 400);
    CHECK_STR(response.body.data, "{\"error\":\"instances[0]: bad\"}\n");
    gf__respond_error(&server, GF__FAMILY_ML_PREDICT, GF_ETIMEOUT, "late", &response);
    CHECK_EQ(response.code, 504);
    CHECK_STR(response.body.data, "{\"error\":{\"code\":504,\"message\":\"late\",\"status\":"
                                  "\"DEADLINE_EXCEEDED\"}}\n");
    server.options.ml_v1_errors_200 = true;
    gf__respond_error(&server, GF__FAMILY_ML_PREDICT, GF_ESHAPE, "instances[0]: bad", &response);
    CHECK_EQ(response.code, 200);
    gf__respond_error(&server, GF__FAMILY_ML_PREDICT, GF_ENOTFOUND, "gone", &response);
    CHECK_EQ(response.code, 404);
    gf__response_clear(&response);
    tear_down();
}

TEST(metrics__need_a_token_where_tokens_are_needed)
{
    set_up();
    server.needs_tokens = true;
    for (int i = 0; i < 2; i++) {
        asked a;
        ask(&a, "GET", i == 0 ? "/metrics" : "/monitoring/prometheus/metrics");
        CHECK_EQ(a.response.code, 401);
        forget(&a);
    }
    check_answer("GET", "/livez", 200, "ok\n");
    tear_down();
}

TEST(routes__have_no_options_where_there_is_nothing)
{
    set_up();
    check_answer("OPTIONS", "/nothing", 404, "there is nothing at OPTIONS /nothing\n");
    asked a;
    ask(&a, "OPTIONS", "*");
    CHECK_EQ(a.response.code, 204);
    forget(&a);
    tear_down();
}

TEST(routes__answer_json_or_refuse)
{
    set_up();
    check_answer("GET", "/v1/projects/p:getConfig?alt=json", 200, "{\"config\":{}}\n");
    check_answer("GET", "/v1/projects/p:getConfig?alt=proto", 400,
                 "{\"error\":{\"code\":400,\"message\":\"alt: \\\"proto\\\", expected "
                 "json\",\"status\":\"INVALID_ARGUMENT\"}}\n");
    check_answer("GET", "/v1/projects/p:getConfig?$.xgafv=2", 200, "{\"config\":{}}\n");
    tear_down();
}

TEST(routes__readiness_ends_with_draining)
{
    set_up();
    atomic_store(&server.is_draining, true);
    asked a;
    ask(&a, "GET", "/readyz");
    CHECK_EQ(a.response.code, 503);
    CHECK_STR(body_of(&a), "shutting down\n");
    forget(&a);
    check_answer("GET", "/livez", 200, "ok\n");
    tear_down();
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void make_token(const char *body, char secret[128])
{
    char *text = NULL;
    gf__json *token = NULL;
    CHECK_OK(gf_registry_create_token(server.registry, body, &text, &check_err));
    CHECK_OK(gf__json_parse(text, strlen(text), &token, &check_err));
    snprintf(secret, 128, "Bearer %s", gf__json_string(gf__json_find(token, "token"), ""));
    gf__json_free(token);
    gf_registry_free_text(text);
}

static gf_status authorize(const gf__route *route, const char *target, const char *authorization,
                           const char *project, gf_error *err)
{
    asked a = {0};
    a.request.exchange = &a.exchange;
    if (authorization != NULL)
        a.exchange.headers[a.exchange.n_headers++] = (gf__pair){"authorization", authorization};
    CHECK_OK(gf__request_read(&a.request, "GET", target, err));
    a.request.params[0] = gf__strdup(project);
    const gf_status st = gf__authorize(&server, route, &a.request, err);
    gf__request_clear(&a.request);
    return st;
}

TEST(auth__asks_for_a_token_with_role_and_project)
{
    char *home = check_temp_dir();
    char admin[128], deploy[128], predict[128], of_p[128], target[256];
    set_up();
    gf_registry_options options = gf_registry_options_default();
    options.home = home;
    CHECK_OK(gf_registry_open(&options, &server.registry, &check_err));
    make_token("{\"role\":\"admin\"}", admin);
    make_token("{\"role\":\"deploy\"}", deploy);
    make_token("{\"role\":\"predict\"}", predict);
    make_token("{\"role\":\"deploy\",\"project\":\"p\"}", of_p);
    const gf__route for_admin = {.role = GF__ROLE_ADMIN, .project_param = GF__PROJECT_OF_ALL},
                    for_watching = {.role = GF__ROLE_PREDICT, .project_param = GF__PROJECT_OF_ALL},
                    for_deploy = {.role = GF__ROLE_DEPLOY, .project_param = 0},
                    for_predict = {.role = GF__ROLE_PREDICT, .project_param = 0},
                    of_server = {.role = GF__ROLE_PREDICT, .project_param = -1},
                    for_all = {.role = GF__ROLE_NONE, .project_param = -1};
    server.needs_tokens = true;
    CHECK_OK(authorize(&for_all, "/", NULL, "p", &check_err));
    CHECK_FAILS(GF_EAUTH, "a token is needed", authorize(&for_predict, "/", NULL, "p", &check_err));
    CHECK_FAILS(GF_EAUTH, "", authorize(&for_predict, "/", "Bearer graft_x", "p", &check_err));
    CHECK_FAILS(GF_EAUTH, "", authorize(&for_predict, "/", "Basic abc", "p", &check_err));
    CHECK_OK(authorize(&for_predict, "/", predict, "p", &check_err));
    CHECK_OK(authorize(&for_predict, "/", deploy, "p", &check_err));
    CHECK_OK(authorize(&for_predict, "/", admin, "p", &check_err));
    CHECK_FAILS(GF_EDENIED, "deploy is needed; this one has predict",
                authorize(&for_deploy, "/", predict, "p", &check_err));
    CHECK_FAILS(GF_EDENIED, "admin is needed", authorize(&for_admin, "/", deploy, "p", &check_err));
    CHECK_OK(authorize(&for_admin, "/", admin, "p", &check_err));
    CHECK_OK(authorize(&for_deploy, "/", of_p, "p", &check_err));
    CHECK_FAILS(GF_EDENIED, "for the project p, not for q",
                authorize(&for_deploy, "/", of_p, "q", &check_err));
    CHECK_FAILS(GF_EDENIED, "admin is needed", authorize(&for_admin, "/", of_p, "p", &check_err));
    CHECK_OK(authorize(&for_watching, "/", predict, "p", &check_err));
    CHECK_FAILS(GF_EDENIED, "for the project p alone",
                authorize(&for_watching, "/", of_p, "p", &check_err));
    CHECK_FAILS(GF_EAUTH, "a token is needed",
                authorize(&for_watching, "/", NULL, "p", &check_err));
    CHECK_FAILS(GF_EDENIED, "not for default", authorize(&of_server, "/", of_p, "p", &check_err));
    snprintf(target, sizeof target, "/?key=%s", predict + strlen("Bearer "));
    CHECK_OK(authorize(&for_predict, target, NULL, "p", &check_err));
    snprintf(target, sizeof target, "/?access_token=%s", predict + strlen("Bearer "));
    CHECK_OK(authorize(&for_predict, target, NULL, "p", &check_err));
    server.needs_tokens = false; /* loopback */
    CHECK_OK(authorize(&for_admin, "/", NULL, "p", &check_err));
    CHECK_OK(authorize(&for_admin, "/", "Bearer ya29.of-google", "p", &check_err));
    CHECK_FAILS(GF_EDENIED, "admin is needed",
                authorize(&for_admin, "/", predict, "p", &check_err));
    tear_down();
    check_remove_dir(home);
}

/* ---- forms ----------------------------------------------------------------------------------- */

static gf_status read_form(const char *type, const char *text, size_t n, gf__form *form,
                           char **body, gf_error *err)
{
    static gf__exchange exchange;
    exchange = (gf__exchange){.headers = {{"Content-Type", type}}, .n_headers = 1};
    *body = gf__calloc(n + 1, 1);
    memcpy(*body, text, n);
    const gf__request request = {.body = *body, .body_bytes = n, .exchange = &exchange};
    return gf__request_form(&request, form, err);
}

#define FORM "multipart/form-data; boundary=\"XX\""

TEST(form__gives_its_parts)
{
    static const char text[] =
        "preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n"
        "\r\none\r\n--XX\r\ncontent-disposition: form-data; "
        "filename=\"x \\\"y\\\".jpg\"; name=b\r\nContent-Type: image/jpeg\r\n"
        "\r\n\r\n-\r\n--X\r\n\0\r\n--XX  \r\n\r\n\r\n--XX--\r\nepilogue";
    gf__form form;
    char *body;
    CHECK_OK(read_form(FORM, text, sizeof text - 1, &form, &body, &check_err));
    CHECK_EQ(form.n_parts, 3);
    CHECK_STR(form.parts[0].name, "a");
    CHECK(form.parts[0].file_name == NULL && form.parts[0].content_type == NULL);
    CHECK_EQ(form.parts[0].n_bytes, 3);
    CHECK_STR(form.parts[0].bytes, "one");
    CHECK_STR(form.parts[1].name, "b");
    CHECK_STR(form.parts[1].file_name, "x \"y\".jpg");
    CHECK_STR(form.parts[1].content_type, "image/jpeg");
    CHECK_EQ(form.parts[1].n_bytes, 11);
    CHECK(memcmp(form.parts[1].bytes, "\r\n-\r\n--X\r\n\0", 11) == 0);
    CHECK_EQ(form.parts[2].n_bytes, 0);
    CHECK_STR(form.parts[2].bytes, "");
    gf__form_free(&form);
    gf__free(body);
}

TEST(form__that_is_none_is_refused)
{
    static const struct {
        const char *type, *text, *part;
    } broken[] = {
        {"image/jpeg", "", "expected a multipart/form-data"},
        {"multipart/form-data", "", "expected a boundary"},
        {"multipart/form-data; boundary=", "", "expected a boundary"},
        {FORM, "", "no line with its boundary"},
        {FORM, "--XY\r\n", "no line with its boundary"},
        {FORM, "--XX", "followed by other"},
        {FORM, "--XXX\r\n\r\n", "followed by other"},
        {FORM, "--XX\r\n", "do not end"},
        {FORM, "--XX\r\nA: b\r\n", "do not end"},
        {FORM, "--XX\r\nA: b\r\n\r\nabc", "does not end"},
        {FORM, "--XX\r\nA: b\r\n\r\nabc\r\n--XX", "does not end"},
        {FORM, "--XX\r\nA: b\r\n\r\nabc\r\n--XXyy\r\n", "followed by other"},
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        gf__form form;
        char *body;
        CHECK_FAILS(GF_EFORMAT, broken[i].part,
                    read_form(broken[i].type, broken[i].text, strlen(broken[i].text), &form, &body,
                              &check_err));
        gf__free(body);
    }
    gf__form form;
    char *body;
    CHECK_OK(read_form(FORM, "--XX--", 6, &form, &body, &check_err));
    CHECK_EQ(form.n_parts, 0);
    gf__free(body);
}

TESTS_MAIN(UNIT(routes__tell_what_is_missing_in_the_familys_words),
           UNIT(routes__tell_which_methods_there_are),
           UNIT(routes__take_a_method_for_another_where_the_header_says_so),
           UNIT(routes__allow_other_origins_only_when_told),
           UNIT(routes__give_each_status_its_shape),
           UNIT(metrics__need_a_token_where_tokens_are_needed),
           UNIT(routes__have_no_options_where_there_is_nothing),
           UNIT(routes__answer_json_or_refuse), UNIT(routes__readiness_ends_with_draining),
           UNIT(auth__asks_for_a_token_with_role_and_project), UNIT(form__gives_its_parts),
           UNIT(form__that_is_none_is_refused))
