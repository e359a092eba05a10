/* make_registry.c: writes tests/golden/registry/schema-N.db, a small registry for the tests that
 * open it in every later version. Run once when the schema's number changes, never to make an old
 * file anew:
 *
 *     ninja -C build tests/golden/make_registry && build/tests/golden/make_registry
 *     tests/golden/registry/schema-1.db
 */
#include "registry_home.h"

#include <sqlite3.h>

static const char *path;

static gf_status refuse(void *user, const char *version, const gf_registry_files *files,
                        gf_error *err)
{
    return gf_error_set(err, GF_EMISMATCH, "not the self-test's scores");
}

static void fill(void)
{
    const gf_registry_hooks hooks = {.check = refuse};
    registry = open_home(false);
    lock_home();
    GET(gf_registry_create_model(
        registry, PROJECT,
        "{\"name\":\"m\",\"description\":\"flowers\",\"labels\":{\"team\":\"vision\"}}", &text,
        &check_err));
    deploy_version("v1");
    CHECK_OK(gf_registry_note_use(registry, V1, 1530931910, &check_err));
    create_version("v2");
    run_all(&hooks);
    create_version("v3");
    gf_registry_close(registry);
    registry = NULL;
}

/* Small pages and no log beside it: a file to be committed. */
TEST(registry_of_this_schema_is_written)
{
    char database[4096], sql[8192];
    sqlite3 *connection = NULL;
    home = check_temp_dir();
    fill();
    snprintf(database, sizeof database, "%s/registry.db", home);
    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM INTO '%s'", path);
    CHECK_EQ(sqlite3_open(database, &connection), SQLITE_OK);
    if (sqlite3_exec(connection, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(connection));
    sqlite3_close(connection);
    leave(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {UNIT(registry_of_this_schema_is_written)};
    if (argc != 2) {
        fprintf(stderr, "usage: make_registry FILE\n");
        return 2;
    }
    path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
