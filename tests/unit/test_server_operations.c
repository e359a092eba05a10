/* The operations thread: what waits is run, the catalog follows, and a stop in the middle costs
 * nothing. */
#include "server_home.h"

#include <sqlite3.h>

/* What the thread says, to wait for: no sleeping. */
static pthread_mutex_t said_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t said_more = PTHREAD_COND_INITIALIZER;
static char said[16384];

static void hear(void *user, gf_log_level level, const char *message)
{
    pthread_mutex_lock(&said_mutex);
    strncat(said, message, sizeof said - strlen(said) - 2);
    strcat(said, "\n");
    pthread_cond_broadcast(&said_more);
    pthread_mutex_unlock(&said_mutex);
}

/* The operation's end is told before the catalog follows; stopping the thread waits for that. */
static void wait_until_said(const char *part)
{
    pthread_mutex_lock(&said_mutex);
    while (strstr(said, part) == NULL)
        pthread_cond_wait(&said_more, &said_mutex);
    pthread_mutex_unlock(&said_mutex);
}

static void start(void)
{
    said[0] = '\0';
    server.options.observer.log = hear;
    CHECK_OK(gf__operations_start(&server, &server.operations, &check_err));
}

static void stop(void)
{
    gf__operations_stop(server.operations);
    server.operations = NULL;
}

static void wait_until_checking(size_t n)
{
    pthread_mutex_lock(&fake.mutex);
    while (fake.n_checking < n)
        pthread_cond_wait(&fake.changed, &fake.mutex);
    pthread_mutex_unlock(&fake.mutex);
}

static void let_checks_go(void)
{
    pthread_mutex_lock(&fake.mutex);
    fake.hold_checks = false;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.mutex);
}

static void ask_for_v(const char *name)
{
    put_model("model", "flowers", true);
    ask_for_version("m", name, "model", "");
}

TEST(operations__make_a_version_ready_and_found)
{
    create_model("m");
    start();
    ask_for_v("v1");
    gf__operations_wake(server.operations);
    wait_until_said("operations/create_m_v1");
    stop();
    CHECK_STR(found("m", NULL, NULL), V1);
    assert_non_null(strstr(said, "self-test passed"));
}

TEST(operations__run_what_waited_at_the_start)
{
    create_model("m");
    ask_for_v("v1");
    ask_for_v("v2");
    start();
    wait_until_said("operations/create_m_v2");
    stop();
    CHECK_STR(found("m", "v1", NULL), V1);
    CHECK_STR(found("m", "v2", NULL), V2);
}

static void run_sql(const char *sql)
{
    char path[4096];
    sqlite3 *connection = NULL;
    snprintf(path, sizeof path, "%s/registry.db", home);
    CHECK_EQ(sqlite3_open(path, &connection), SQLITE_OK);
    CHECK_EQ(sqlite3_busy_timeout(connection, 10000), SQLITE_OK);
    if (sqlite3_exec(connection, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(connection));
    sqlite3_close(connection);
}

TEST(operations__end_once_there_is_room_for_their_end)
{
    create_model("m");
    fake.hold_checks = true;
    ask_for_v("v1");
    start();
    wait_until_checking(1);
    run_sql(
        "CREATE TRIGGER full BEFORE UPDATE ON operations BEGIN SELECT RAISE(FAIL, 'full'); END");
    let_checks_go();
    wait_until_said("an operation could not be run");
    run_sql("DROP TRIGGER full");
    wait_until_said("operations/create_m_v1");
    stop();
    CHECK_STR(found("m", "v1", NULL), V1);
}

TEST(operations__tell_why_a_version_failed)
{
    create_model("m");
    fake.refuse_check = "/v1";
    ask_for_v("v1");
    start();
    wait_until_said("failed: self-test: sample 0 differs");
    stop();
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    CHECK_VALUE(text, "state", "FAILED");
    CHECK_VALUE(text, "errorMessage", "self-test: sample 0 differs");
    NOT_FOUND(GF_EPRECONDITION, "v1: is FAILED, not READY: self-test: sample 0 differs", "m", "v1",
              NULL);
}

TEST(operations__unload_a_version_before_they_delete_it)
{
    create_model("m");
    deploy("m", "v1", "");
    refresh(V1);
    GET(gf_registry_delete_version(registry, V1, &text, &check_err));
    start();
    wait_until_said("operations/delete_m_v1");
    stop();
    CHECK_EQ(fake.n_versions, 0);
    CHECK_EQ(fake.n_removed, 1);
    REFUSES(GF_ENOTFOUND, "v1", gf_registry_get_version(registry, V1, &text, &check_err));
    NOT_FOUND(GF_ENOTFOUND, "version not found", "m", "v1", NULL);
}

/* Far more often than an operation may take its process with it: none of them is such a start. */
TEST(operations__go_on_at_the_next_start_after_a_stop)
{
    create_model("m");
    ask_for_v("v1");
    fake.refuse_check = "/v1"; /* what a check comes to when the workers are taken from it */
    for (size_t i = 1; i <= 5; i++) {
        fake.hold_checks = true;
        start();
        wait_until_checking(i);
        gf__operations_let_go(server.operations);
        let_checks_go();
        stop();
        assert_non_null(strstr(said, "goes on at the next start"));
        GET(gf_registry_get_version(registry, V1, &text, &check_err));
        CHECK_VALUE(text, "state", "CREATING");
    }
    fake.refuse_check = NULL;
    start();
    wait_until_said("operations/create_m_v1");
    stop();
    CHECK_STR(found("m", NULL, NULL), V1);
}

TEST(operations__note_at_the_end_which_versions_were_used)
{
    create_model("m");
    deploy("m", "v1", "");
    deploy("m", "v2", "");
    start();
    gf__operations_note_use(server.operations, V1);
    gf__operations_note_use(server.operations, "projects/p/models/m/versions/gone");
    gf__operations_note_use(server.operations, V1);
    stop();
    GET(gf_registry_get_version(registry, V1, &text, &check_err));
    assert_string_not_equal(value_of(text, "lastUseTime"), "");
    GET(gf_registry_get_version(registry, V2, &text, &check_err));
    CHECK_VALUE(text, "lastUseTime", "");
    assert_null(strstr(said, "was not noted"));
}

TESTS_MAIN(SERVER_UNIT(operations__make_a_version_ready_and_found),
           SERVER_UNIT(operations__run_what_waited_at_the_start),
           SERVER_UNIT(operations__end_once_there_is_room_for_their_end),
           SERVER_UNIT(operations__tell_why_a_version_failed),
           SERVER_UNIT(operations__unload_a_version_before_they_delete_it),
           SERVER_UNIT(operations__go_on_at_the_next_start_after_a_stop),
           SERVER_UNIT(operations__note_at_the_end_which_versions_were_used))
