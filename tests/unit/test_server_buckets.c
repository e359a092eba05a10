/* test_server_buckets.c: objects are put in whole, listed, sent and deleted; no name leads out of
 * the buckets; tokens over HTTP. No sockets: the listener's questions are asked here. */
#include "registry_home.h"
#include "server_asked.h"

static gf_server server;

/* What came of a request. */
typedef struct answer {
    int code;
    char body[65536];
    char file_path[4096]; /* "" where no file is sent */
} answer;
static answer got;
static char bearer[128]; /* Authorization; "": none */

static int enter_server(void **state)
{
    enter(state);
    bearer[0] = '\0';
    memset(&server, 0, sizeof server);
    server.options = gf_server_options_default();
    server.options.home = home;
    server.registry = registry;
    server.uploads_dir = gf__path_join(home, "uploads");
    CHECK_OK(gf__make_dirs(server.uploads_dir, &check_err));
    CHECK_OK(gf__metrics_new(&server.metrics, &check_err));
    return 0;
}

static int leave_server(void **state)
{
    gf__metrics_free(server.metrics);
    gf__free(server.uploads_dir);
    return leave(state);
}

#define SERVER_UNIT(name) cmocka_unit_test_setup_teardown(name, enter_server, leave_server)

static void ask(const char *method, const char *target, const char *body)
{
    asked a;
    const gf__pair authorization = {"Authorization", bearer};
    ask_for(&server, method, target, body, &authorization, bearer[0] != '\0' ? 1 : 0, &a);
    const gf__response *response = &a.response;
    got.code = response->code;
    snprintf(got.body, sizeof got.body, "%s", body_of(&a));
    snprintf(got.file_path, sizeof got.file_path, "%s",
             response->file_path != NULL ? response->file_path : "");
    forget(&a);
}

static void check_asks(int want, const char *method, const char *target, const char *body)
{
    ask(method, target, body);
    if (got.code != want)
        fail_msg("%s %s got %d, expected %d: %s", method, target, got.code, want, got.body);
}

static void check_refused(int want, const char *part, const char *method, const char *target,
                          const char *body)
{
    check_asks(want, method, target, body);
    if (strstr(got.body, part) == NULL)
        fail_msg("%s %s said %s, expected \"%s\"", method, target, got.body, part);
}

#define OBJECTS "/graft/v1/buckets/my-bucket/objects"

static void check_content(const char *relative, const char *want)
{
    char path[4096], *bytes = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/buckets/%s", home, relative);
    CHECK_OK(gf__read_file(path, 1 << 20, &bytes, &size, &check_err));
    CHECK_STR(bytes, want);
    gf__free(bytes);
}

static size_t count_uploads(void)
{
    gf__dir_list list;
    CHECK_OK(gf__list_dir(server.uploads_dir, &list, &check_err));
    const size_t n = list.n_names;
    gf__dir_list_free(&list);
    return n;
}

TEST(put_object__makes_bucket_and_folders_and_says_what_it_has)
{
    check_asks(200, "PUT", OBJECTS "/flowers/v1/model.safetensors", "abc");
    CHECK_VALUE(got.body, "name", "flowers/v1/model.safetensors");
    CHECK_VALUE(got.body, "bucket", "my-bucket");
    CHECK_VALUE(got.body, "size", "3");
    CHECK_VALUE(got.body, "sha256",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_EQ(strlen(value_of(got.body, "updated")), 20);
    check_content("my-bucket/flowers/v1/model.safetensors", "abc");
    CHECK_EQ(count_uploads(), 0);
    check_asks(200, "GET", OBJECTS "/flowers/v1/model.safetensors", "");
    check_content("my-bucket/flowers/v1/model.safetensors", "abc");
    CHECK(strstr(got.file_path, "buckets/my-bucket/flowers/v1/model.safetensors") != NULL);
    check_asks(200, "POST", OBJECTS "/empty%20file", "");
    check_content("my-bucket/empty file", "");
}

TEST(put_object__again_replaces)
{
    check_asks(200, "PUT", OBJECTS "/a", "first");
    check_asks(200, "PUT", OBJECTS "/a", "first");
    check_content("my-bucket/a", "first");
    check_asks(200, "PUT", OBJECTS "/a", "second");
    check_content("my-bucket/a", "second");
}

TEST(put_object__refuses_names_that_lead_out)
{
    static const char *const bad[] = {
        OBJECTS "/../x",
        OBJECTS "/%2e%2e/x",
        OBJECTS "/a/../../../x",
        OBJECTS "/a%2f..%2fx",
        OBJECTS "/./x",
        OBJECTS "/a//x",
        OBJECTS "/a/",
        OBJECTS "/a%0ab",
        "/graft/v1/buckets/..%2fx/objects/a",
        OBJECTS "/%2fetc/x",
        "/graft/v1/buckets/BIG/objects/a",
        "/graft/v1/buckets/x/objects/a",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ask("PUT", bad[i], "x");
        if (got.code < 400 || got.code >= 500)
            fail_msg("PUT %s got %d: %s", bad[i], got.code, got.body);
        ask("GET", bad[i], "");
        if (got.code < 400 || got.code >= 500)
            fail_msg("GET %s got %d: %s", bad[i], got.code, got.body);
        ask("DELETE", bad[i], "");
        if (got.code < 400 || got.code >= 500)
            fail_msg("DELETE %s got %d: %s", bad[i], got.code, got.body);
    }
    CHECK_EQ(count_uploads(), 0);
    char target[2048], part[257];
    memset(part, 'x', 256);
    part[256] = '\0';
    snprintf(target, sizeof target, OBJECTS "/%s", part);
    check_refused(400, "256 bytes without a slash", "PUT", target, "x");
    part[255] = '\0';
    snprintf(target, sizeof target, OBJECTS "/%s", part);
    check_asks(200, "PUT", target, "x");
    snprintf(target, sizeof target, OBJECTS "/%s/%s/%s/%s/x", part, part, part, part);
    check_refused(400, "at most 1024", "PUT", target, "x");
}

TEST(objects__links_are_not_followed)
{
    char link[4096], secret[4096];
    check_asks(200, "PUT", OBJECTS "/a", "mine");
    snprintf(secret, sizeof secret, "%s/secret", home);
    CHECK_OK(gf__make_dirs(secret, &check_err));
    snprintf(link, sizeof link, "%s/buckets/my-bucket/out", home);
    CHECK_EQ(symlink(secret, link), 0);
    snprintf(secret, sizeof secret, "%s/registry.db", home);
    snprintf(link, sizeof link, "%s/buckets/my-bucket/db", home);
    CHECK_EQ(symlink(secret, link), 0);
    check_refused(400, "is a link", "PUT", OBJECTS "/out/x", "x");
    check_refused(400, "is a link", "GET", OBJECTS "/db", "");
    check_refused(400, "is a link", "PUT", OBJECTS "/db", "x");
    check_refused(400, "is a link", "DELETE", OBJECTS "/db", "");
    check_asks(200, "GET", OBJECTS, "");
    CHECK_VALUE(got.body, "items.0.name", "a");
    CHECK_VALUE(got.body, "items.1", "");
}

TEST(put_object__a_folder_is_no_object_and_the_other_way_round)
{
    check_asks(200, "PUT", OBJECTS "/a/b", "x");
    check_refused(400, "one name", "PUT", OBJECTS "/a", "y");
    check_refused(400, "one name", "PUT", OBJECTS "/a/b/c", "y");
    check_refused(404, "no such object", "GET", OBJECTS "/a", "");
    check_refused(404, "no such object", "DELETE", OBJECTS "/a", "");
    check_content("my-bucket/a/b", "x");
    CHECK_EQ(count_uploads(), 0);
}

TEST(list_objects__in_the_order_of_names_page_by_page)
{
    static const char *const wanted[] = {"a-1", "a.txt", "a/1", "a/2", "b/c/d"};
    char target[512], token[256] = "";
    check_refused(404, "no such bucket", "GET", OBJECTS, "");
    check_asks(200, "PUT", OBJECTS "/b/c/d", "4444");
    check_asks(200, "PUT", OBJECTS "/a/2", "2");
    check_asks(200, "PUT", OBJECTS "/a/1", "1");
    check_asks(200, "PUT", OBJECTS "/a.txt", "3");
    check_asks(200, "PUT", OBJECTS "/a-1", "3");
    check_asks(200, "GET", OBJECTS "?prefix=", "");
    for (size_t i = 0; i < 5; i++) {
        char path[32];
        snprintf(path, sizeof path, "items.%zu.name", i);
        CHECK_VALUE(got.body, path, wanted[i]);
    }
    CHECK_VALUE(got.body, "items.4.size", "4");
    CHECK_VALUE(got.body, "nextPageToken", "");
    for (size_t i = 0; i < 5; i++) {
        snprintf(target, sizeof target, OBJECTS "?pageSize=1&pageToken=%s", token);
        check_asks(200, "GET", target, "");
        CHECK_VALUE(got.body, "items.0.name", wanted[i]);
        CHECK_VALUE(got.body, "items.1", "");
        snprintf(token, sizeof token, "%s", value_of(got.body, "nextPageToken"));
        if (i == 1) /* what goes meanwhile moves nothing */
            check_asks(200, "DELETE", OBJECTS "/a-1", "");
    }
    CHECK_STR(token, "");
    check_asks(200, "GET", OBJECTS "?prefix=a/", "");
    CHECK_VALUE(got.body, "items.1.name", "a/2");
    CHECK_VALUE(got.body, "items.2", "");
    check_asks(200, "GET", OBJECTS "?prefix=b/c", "");
    CHECK_VALUE(got.body, "items.0.name", "b/c/d");
    check_asks(200, "GET", OBJECTS "?prefix=nothing", "");
    CHECK_VALUE(got.body, "items", "[]");
    check_refused(400, "pageSize", "GET", OBJECTS "?pageSize=-1", "");
    check_refused(400, "pageToken", "GET", OBJECTS "?pageToken=***", "");
}

TEST(delete_object__takes_empty_folders_along_but_not_the_bucket)
{
    char folder[4096];
    check_asks(200, "PUT", OBJECTS "/a/b/c", "x");
    check_asks(200, "PUT", OBJECTS "/a/d", "x");
    check_asks(200, "DELETE", OBJECTS "/a/b/c", "");
    CHECK_STR(got.body, "{}\n");
    snprintf(folder, sizeof folder, "%s/buckets/my-bucket/a/b", home);
    CHECK(!gf__is_dir(folder));
    check_content("my-bucket/a/d", "x");
    check_refused(404, "no such object", "DELETE", OBJECTS "/a/b/c", "");
    check_asks(200, "DELETE", OBJECTS "/a/d", "");
    check_asks(200, "GET", "/graft/v1/buckets", "");
    CHECK_VALUE(got.body, "items.0.name", "my-bucket");
    check_asks(200, "GET", OBJECTS, "");
    CHECK_VALUE(got.body, "items", "[]");
}

TEST(an_uploaded_object__is_what_a_version_is_made_of)
{
    lock_home();
    create_model("m");
    check_asks(200, "PUT", OBJECTS "/m/flowers.safetensors", "weights");
    GET(gf_registry_create_version(registry, MODEL,
                                   "{\"name\":\"v1\",\"deploymentUri\":\"gs://my-bucket/m/\"}",
                                   &text, &check_err));
    run_all(NULL);
    CHECK_VALUE(text, "response.state", "READY");
}

TEST(tokens__are_made_listed_and_revoked)
{
    char name[128], target[256];
    check_asks(200, "POST", "/graft/v1/tokens", "{\"role\":\"predict\",\"project\":\"p\"}");
    CHECK_EQ(strncmp(value_of(got.body, "token"), "graft_", 6), 0);
    snprintf(name, sizeof name, "%s", value_of(got.body, "name"));
    check_refused(400, "expected admin, deploy or predict", "POST", "/graft/v1/tokens", "{}");
    check_asks(200, "GET", "/graft/v1/tokens", "");
    CHECK_VALUE(got.body, "tokens.0.name", name);
    CHECK_VALUE(got.body, "tokens.0.token", "");
    snprintf(target, sizeof target, "/graft/v1/%s", name);
    check_asks(200, "DELETE", target, "");
    check_refused(404, "no such token", "DELETE", target, "");
    check_asks(200, "GET", "/graft/v1/tokens", "");
    CHECK_STR(got.body, "{}\n");
}

/* Buckets are all projects', their folders are not. */
TEST(a_token_of_one_project__uses_the_folders_of_its_name_and_no_others)
{
    check_asks(200, "PUT", OBJECTS "/q/theirs", "secret");
    check_asks(200, "POST", "/graft/v1/tokens", "{\"role\":\"deploy\",\"project\":\"p\"}");
    snprintf(bearer, sizeof bearer, "Bearer %s", value_of(got.body, "token"));
    check_asks(200, "PUT", OBJECTS "/p/mine", "weights");
    check_asks(200, "GET", OBJECTS "/p/mine", "");
    check_asks(200, "GET", OBJECTS "?prefix=p/", "");
    CHECK_VALUE(got.body, "items.0.name", "p/mine");
    check_refused(403, "gs://BUCKET/p/...", "PUT", OBJECTS "/q/mine", "weights");
    CHECK_EQ(count_uploads(), 0);
    check_asks(403, "PUT", OBJECTS "/p", "weights");
    check_asks(403, "PUT", OBJECTS "/pp/mine", "weights");
    check_asks(403, "GET", OBJECTS "/q/theirs", "");
    check_asks(403, "DELETE", OBJECTS "/q/theirs", "");
    check_asks(403, "GET", OBJECTS, "");
    check_asks(403, "GET", OBJECTS "?prefix=p", "");
    check_asks(403, "GET", "/graft/v1/buckets", "");
    check_asks(400, "GET", OBJECTS "/p/..%2fq/theirs", "");
    check_asks(200, "DELETE", OBJECTS "/p/mine", "");
    check_asks(200, "GET", "/graft/v1/projects", "");
    CHECK_VALUE(got.body, "projects.0", "p");
    bearer[0] = '\0';
    check_asks(200, "GET", OBJECTS "/q/theirs", "");
}

static char logged[512];

static void keep_log(void *user, gf_log_level level, const char *message)
{
    snprintf(logged, sizeof logged, "%s", message);
}

TEST(what_is_wrong_with_files__is_told_without_where_they_are)
{
    server.options.observer = (gf_observer){.log = keep_log};
    server.options.home = gf__path_join(home, "registry.db");
    check_refused(500, "cannot be read or written: Not a directory", "GET", "/graft/v1/buckets",
                  "");
    if (strstr(got.body, home) != NULL)
        fail_msg("told a client: %s", got.body);
    if (strstr(logged, server.options.home) == NULL || strncmp(logged, "request ", 8) != 0)
        fail_msg("logged: %s", logged);
    gf__free((void *)(uintptr_t)server.options.home);
}

TEST(version_and_projects__are_told)
{
    check_asks(200, "GET", "/graft/v1/version", "");
    CHECK_VALUE(got.body, "version", gf_version());
    create_model("m");
    check_asks(200, "GET", "/graft/v1/projects", "");
    CHECK_VALUE(got.body, "projects.0", "p");
}

TESTS_MAIN(SERVER_UNIT(put_object__makes_bucket_and_folders_and_says_what_it_has),
           SERVER_UNIT(put_object__again_replaces),
           SERVER_UNIT(put_object__refuses_names_that_lead_out),
           SERVER_UNIT(objects__links_are_not_followed),
           SERVER_UNIT(put_object__a_folder_is_no_object_and_the_other_way_round),
           SERVER_UNIT(list_objects__in_the_order_of_names_page_by_page),
           SERVER_UNIT(delete_object__takes_empty_folders_along_but_not_the_bucket),
           SERVER_UNIT(an_uploaded_object__is_what_a_version_is_made_of),
           SERVER_UNIT(tokens__are_made_listed_and_revoked),
           SERVER_UNIT(a_token_of_one_project__uses_the_folders_of_its_name_and_no_others),
           SERVER_UNIT(what_is_wrong_with_files__is_told_without_where_they_are),
           SERVER_UNIT(version_and_projects__are_told))
