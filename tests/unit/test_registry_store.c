/* test_registry_store.c: the database below: what is acknowledged stays, what is damaged or
 * foreign is said to be so, schemas follow one another, processes share a home. */
#include "registry_home.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "registry/db_priv.h"

static char database[4096];

/* The home without a registry in it yet. */
static int enter_empty(void **state)
{
    home = check_temp_dir();
    snprintf(database, sizeof database, "%s/registry.db", home);
    return 0;
}

#define EMPTY_UNIT(name) cmocka_unit_test_setup_teardown(name, enter_empty, leave)

static gf_status try_open(gf_registry **out, gf_error *err)
{
    gf_registry_options options = gf_registry_options_default();
    options.home = home;
    return gf_registry_open(&options, out, err);
}

/* Straight into the file, as another program would. */
static void run_sql(const char *sql)
{
    sqlite3 *connection = NULL;
    CHECK_EQ(sqlite3_open(database, &connection), SQLITE_OK);
    if (sqlite3_exec(connection, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(connection));
    sqlite3_close(connection);
}

static int64_t ask_sql(const char *sql)
{
    sqlite3 *connection = NULL;
    sqlite3_stmt *statement = NULL;
    CHECK_EQ(sqlite3_open(database, &connection), SQLITE_OK);
    CHECK_EQ(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL), SQLITE_OK);
    CHECK_EQ(sqlite3_step(statement), SQLITE_ROW);
    const int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    return number;
}

TEST(open__makes_a_home_and_finds_it_again)
{
    char deep[4096];
    gf_registry_options options = gf_registry_options_default();
    CHECK_FAILS(GF_EINVAL, "a registry needs a home folder",
                gf_registry_open(&options, &registry, &check_err));
    snprintf(deep, sizeof deep, "%s/a/b", home);
    options.home = deep;
    CHECK_OK(gf_registry_open(&options, &registry, &check_err));
    create_model("m");
    gf_registry_close(registry);
    CHECK_OK(gf_registry_open(&options, &registry, &check_err));
    GET(gf_registry_get_model(registry, MODEL, &text, &check_err));
    gf_registry_close(NULL);
}

TEST(open__uses_a_write_ahead_log_and_checks_references)
{
    registry = open_home(false);
    create_model("m");
    CHECK_EQ(ask_sql("SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 1);
    CHECK_EQ(ask_sql("PRAGMA application_id"), 0x47465247);
    CHECK_EQ(ask_sql("SELECT count(*) FROM pragma_foreign_key_list('versions')"), 1);
    CHECK_EQ(ask_sql("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE "
                     "'sqlite%' AND sql NOT LIKE '%STRICT'"),
             0);
}

TEST(open__says_that_a_file_is_no_registry)
{
    CHECK_OK(gf__write_file(database, "this is a letter to my aunt", 27, &check_err));
    CHECK_FAILS(GF_EFORMAT, "registry.db: damaged, or no registry",
                try_open(&registry, &check_err));
    assert_null(registry);
    CHECK_EQ(unlink(database), 0);
    run_sql("CREATE TABLE aunts (name)");
    CHECK_FAILS(GF_EFORMAT, "registry.db: a database of another program, no registry",
                try_open(&registry, &check_err));
    CHECK_EQ(ask_sql("SELECT count(*) FROM sqlite_master"), 1); /* left alone */
    CHECK_EQ(ask_sql("SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 0);
}

TEST(open__refuses_the_schema_of_a_newer_graft)
{
    registry = open_home(false);
    gf_registry_close(registry);
    registry = NULL;
    run_sql("PRAGMA user_version = 99");
    CHECK_FAILS(GF_EUNSUPPORTED, "schema 99, this graft knows up to 3; use a newer graft",
                try_open(&registry, &check_err));
}

TEST(open__notices_damage)
{
    char name[16];
    uint64_t size_bytes = 0;
    registry = open_home(false);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "m%d", i);
        create_model(name);
    }
    gf_registry_close(registry);
    registry = NULL;
    CHECK_OK(gf__file_size(database, &size_bytes, &check_err));
    const int fd = open(database, O_WRONLY);
    char noise[4096];
    memset(noise, 0xa5, sizeof noise);
    for (off_t at = 4096; at < (off_t)size_bytes; at += 4096)
        CHECK_EQ(pwrite(fd, noise, 2000, at + 8), 2000);
    close(fd);
    CHECK_FAILS(GF_EFORMAT, "put a copy in its place", try_open(&registry, &check_err));
    CHECK_EQ(truncate(database, 5000), 0);
    CHECK_FAILS(GF_EFORMAT, "put a copy in its place", try_open(&registry, &check_err));
}

TEST(open__says_what_the_system_refused)
{
    CHECK_OK(gf__make_dirs(database, &check_err)); /* a folder in its place */
    CHECK_FAILS(GF_EIO, "registry.db: ", try_open(&registry, &check_err));
}

static gf_status open_with(const char *second, gf__db **db)
{
    const gf__migrations known = gf__schema();
    const char *scripts[] = {known.scripts[0], known.scripts[1], known.scripts[2], second};
    const gf__migrations migrations = {.scripts = scripts, .n_scripts = 4};
    return gf__db_open(database, 100, &migrations, db, &check_err);
}

TEST(migrations__run_once_by_number_and_whole_or_not_at_all)
{
    gf__db *db = NULL;
    registry = open_home(false);
    create_model("m");
    gf_registry_close(registry);
    CHECK_FAILS(GF_EIO, "near \"nonsense\"", open_with("CREATE TABLE x (a); nonsense", &db));
    assert_null(db);
    CHECK_EQ(ask_sql("PRAGMA user_version"), 3);
    CHECK_EQ(ask_sql("SELECT count(*) FROM sqlite_master WHERE name = 'x'"), 0);
    registry = open_home(false); /* as good as before */
    GET(gf_registry_get_model(registry, MODEL, &text, &check_err));
    gf_registry_close(registry);
    registry = NULL;

    CHECK_OK(open_with("ALTER TABLE models ADD COLUMN note TEXT", &db));
    gf__db_close(db);
    CHECK_OK(open_with("nonsense, and not run again", &db));
    gf__db_close(db);
    CHECK_EQ(ask_sql("PRAGMA user_version"), 4);
    CHECK_EQ(ask_sql("SELECT count(*) FROM models WHERE note IS NULL"), 1);
}

TEST(database_of_schema_1__opens_in_this_version)
{
    char *bytes = NULL;
    size_t size = 0;
    CHECK_OK(gf__read_file(check_fixture("golden/registry/schema-1.db"), 1 << 20, &bytes, &size,
                           &check_err));
    CHECK_OK(gf__write_file(database, bytes, size, &check_err));
    gf__free(bytes);
    registry = open_home(false);
    GET(gf_registry_get_model(registry, MODEL, &text, &check_err));
    CHECK_VALUE(text, "description", "flowers");
    CHECK_VALUE(text, "labels.team", "vision");
    CHECK_VALUE(text, "defaultVersion.name", V1);
    CHECK_VALUE(text, "defaultVersion.state", "READY");
    CHECK_VALUE(text, "defaultVersion.lastUseTime", "2018-07-07T02:51:50Z");
    GET(gf_registry_list_versions(registry, MODEL, NULL, &text, &check_err));
    CHECK_VALUE(text, "versions.1.name", V2);
    CHECK_VALUE(text, "versions.1.errorMessage", "not the self-test's scores");
    CHECK_VALUE(text, "versions.2.state", "CREATING");
    gf_registry_files files;
    CHECK_OK(gf_registry_get_files(registry, V1, &files, &check_err));
    CHECK_EQ(files.n_files, 1);
    CHECK_EQ(files.files[0].size_bytes, 7);
    gf_registry_free_files(&files);
    GET(gf_registry_list_operations(registry, PROJECT, NULL, &text, &check_err));
    CHECK_VALUE(text, "operations.0.done", "false");
    CHECK_VALUE(text, "operations.1.error.message", "not the self-test's scores");
    GET(gf_registry_create_token(registry, "{\"role\":\"admin\"}", &text, &check_err));
    CHECK_EQ(ask_sql("PRAGMA user_version"), 3); /* and it is one of this schema now */
    CHECK_EQ(ask_sql("SELECT count(*) FROM tokens"), 1);
    GET(gf_registry_create_job(
        registry, PROJECT, "{\"jobId\":\"j\",\"trainingInput\":{\"pythonModule\":\"graft.train\"}}",
        &text, &check_err));
    CHECK_EQ(ask_sql("SELECT count(*) FROM jobs"), 1);
    lock_home();
    deploy_version("v4");
}

#define N_CREATES 200

/* Creates models and says so down the pipe after each. */
static void create_until_killed(int pipe_end)
{
    gf_registry *mine = NULL;
    if (try_open(&mine, NULL) != GF_OK)
        _exit(1);
    for (uint32_t i = 0; i < N_CREATES; i++) {
        char body[32], *model = NULL;
        snprintf(body, sizeof body, "{\"name\":\"m%u\"}", i);
        if (gf_registry_create_model(mine, PROJECT, body, &model, NULL) != GF_OK ||
            write(pipe_end, &i, sizeof i) != (ssize_t)sizeof i)
            _exit(1);
        gf_registry_free_text(model);
    }
    pause();
    _exit(0);
}

/* Kills the creator after its n-th word; *n_said: all it had said by then. */
static void kill_after(uint32_t n, uint32_t *n_said)
{
    int ends[2];
    uint32_t number = 0;
    *n_said = 0;
    CHECK_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0)
        create_until_killed(ends[1]);
    close(ends[1]);
    while (*n_said < n && read(ends[0], &number, sizeof number) == (ssize_t)sizeof number)
        *n_said = number + 1;
    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    while (read(ends[0], &number, sizeof number) == (ssize_t)sizeof number)
        *n_said = number + 1;
    close(ends[0]);
}

TEST(kill_9__loses_nothing_that_was_acknowledged)
{
    static const uint32_t moments[] = {1, 17, 60, 133, 199};
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        uint32_t n_said = 0;
        kill_after(moments[i], &n_said);
        CHECK(n_said >= moments[i]);
        registry = open_home(false); /* which checks the file */
        for (uint32_t k = 0; k < n_said; k++) {
            char name[64];
            snprintf(name, sizeof name, PROJECT "/models/m%u", k);
            GET(gf_registry_get_model(registry, name, &text, &check_err));
        }
        gf_registry_close(registry);
        registry = NULL;
        char file[4200];
        CHECK_EQ(unlink(database), 0);
        snprintf(file, sizeof file, "%s-wal", database);
        unlink(file);
        snprintf(file, sizeof file, "%s-shm", database);
        unlink(file);
    }
}

#define N_PROCESSES 4
#define N_EACH      15

/* In a process of its own, whose reasons would else be lost. */
static void must_work(gf_status st, const gf_error *err)
{
    if (st == GF_OK)
        return;
    fprintf(stderr, "process %ld: %s\n", (long)getpid(), err->message);
    _exit(1);
}

static void create_as(int process)
{
    gf_registry *mine = NULL;
    gf_error err;
    must_work(try_open(&mine, &err), &err);
    for (int i = 0; i < N_EACH; i++) {
        char body[32], *document = NULL;
        snprintf(body, sizeof body, "{\"name\":\"p%d_%d\"}", process, i);
        must_work(gf_registry_create_model(mine, PROJECT, body, &document, &err), &err);
        gf_registry_free_text(document);
        must_work(gf_registry_list_models(mine, PROJECT, NULL, &document, &err), &err);
        gf_registry_free_text(document);
    }
    gf_registry_close(mine);
    _exit(0);
}

TEST(processes__share_a_home_from_its_first_moment)
{
    pid_t children[N_PROCESSES];
    for (int i = 0; i < N_PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0)
            create_as(i);
    }
    for (int i = 0; i < N_PROCESSES; i++) {
        int status = 0;
        CHECK_EQ(waitpid(children[i], &status, 0), children[i]);
        CHECK_EQ(status, 0);
    }
    registry = open_home(false);
    const gf_registry_page page = {.size = 100};
    GET(gf_registry_list_models(registry, PROJECT, &page, &text, &check_err));
    CHECK_VALUE(text, "models.59.name", PROJECT "/models/p3_9");
    CHECK_VALUE(text, "models.60.name", "");
}

TEST(writer__that_is_kept_waiting_says_so)
{
    gf_registry_options options = gf_registry_options_default();
    sqlite3 *other = NULL;
    options.home = home;
    options.busy_timeout_ms = 20;
    CHECK_OK(gf_registry_open(&options, &registry, &check_err));
    CHECK_EQ(sqlite3_open(database, &other), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    CHECK_FAILS(GF_EBUSY, "another process has been writing for more than 20 ms; try again",
                gf_registry_create_model(registry, PROJECT, "{\"name\":\"m\"}", &text, &check_err));
    GET(gf_registry_list_models(registry, PROJECT, NULL, &text,
                                &check_err)); /* readers do not wait */
    sqlite3_close(other);
    create_model("m");
}

TEST(lock__is_one_handle_s_until_it_closes)
{
    registry = open_home(false);
    gf_registry *second = open_home(false);
    CHECK_OK(gf_registry_lock(second, &check_err));
    CHECK_FAILS(GF_EBUSY, "registry.lock: another process runs the operations of this home",
                gf_registry_lock(registry, &check_err));
    gf_registry_close(second);
    CHECK_OK(gf_registry_lock(registry, &check_err));
}

TESTS_MAIN(EMPTY_UNIT(open__makes_a_home_and_finds_it_again),
           EMPTY_UNIT(open__uses_a_write_ahead_log_and_checks_references),
           EMPTY_UNIT(open__says_that_a_file_is_no_registry),
           EMPTY_UNIT(open__refuses_the_schema_of_a_newer_graft), EMPTY_UNIT(open__notices_damage),
           EMPTY_UNIT(open__says_what_the_system_refused),
           EMPTY_UNIT(migrations__run_once_by_number_and_whole_or_not_at_all),
           EMPTY_UNIT(database_of_schema_1__opens_in_this_version),
           EMPTY_UNIT(kill_9__loses_nothing_that_was_acknowledged),
           EMPTY_UNIT(processes__share_a_home_from_its_first_moment),
           EMPTY_UNIT(writer__that_is_kept_waiting_says_so),
           EMPTY_UNIT(lock__is_one_handle_s_until_it_closes))
