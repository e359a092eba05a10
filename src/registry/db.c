/* registry/db.c: the only file that sees SQLite. Opens a file with the settings that make an
 * acknowledged transaction durable (WAL, synchronous FULL), checks it, brings it to this
 * program's schema, and runs statements, each of which is prepared once. Statuses of SQLite
 * become ours, with the file's name, in fail(). */
#include "registry/db_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "base/base.h"

#define APPLICATION_ID 0x47465247 /* "GFRG", in the file's header: file(1) and we know it by that */

struct gf__db {
    sqlite3 *connection;
    char *path;
    int busy_timeout_ms;
    sqlite3_stmt *statements[GF__N_QUERIES]; /* prepared at first use */
    sqlite3_stmt *rollback;                  /* prepared when opened: see roll_back() */
};

/* A statement that runs. Not a type of its own: the statement knows its connection, not our
 * gf__db. */
struct gf__rows {
    gf__db *db;
    sqlite3_stmt *statement;
};

static gf_status fail(gf__db *db, int code, gf_error *err)
{
    const char *reason = db->connection != NULL ? sqlite3_errmsg(db->connection)
                                                : sqlite3_errstr(code);
    const int system_errno = db->connection != NULL ? sqlite3_system_errno(db->connection) : 0;
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return gf_error_set(err, GF_ENOMEM, "%s: out of memory", db->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return gf_error_set(err, GF_EBUSY,
                            "%s: another process has been writing for more than %d ms; try again",
                            db->path, db->busy_timeout_ms);
    case SQLITE_FULL:
        return gf__error_errno(err, ENOSPC, "%s: cannot write", db->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return gf_error_set(err, GF_EFORMAT,
                            "%s: damaged, or no registry (%s); put a copy in its place", db->path,
                            reason);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (system_errno != 0 && system_errno != ENOENT)
            return gf__error_errno(err, system_errno, "%s: %s", db->path, reason);
        break;
    default:
        break;
    }
    return gf_error_set(err, GF_EIO, "%s: %s (SQLite %d)", db->path, reason, code);
}

static gf_status execute(gf__db *db, const char *sql, gf_error *err)
{
    const int code = sqlite3_exec(db->connection, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? GF_OK : fail(db, code, err);
}

/* The first column of the first row: what a PRAGMA answers. text may be NULL. */
static gf_status ask(gf__db *db, const char *sql, int64_t *number, char text[128], gf_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->connection, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    gf_status st = GF_OK;
    if (code != SQLITE_ROW) {
        st = fail(db, code, err);
    } else {
        const char *answer = (const char *)sqlite3_column_text(statement, 0);
        *number = sqlite3_column_int64(statement, 0);
        if (text != NULL)
            snprintf(text, 128, "%s", answer != NULL ? answer : "");
    }
    sqlite3_finalize(statement);
    return st;
}

/* Several processes may find no database at once and all make it one with a write-ahead log.
 * SQLite answers "busy" to that without waiting, so we do. */
static gf_status start_wal(gf__db *db, gf_error *err)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    int64_t number = 0;
    gf_status st = GF_EBUSY;
    for (int waited_ms = 0; st == GF_EBUSY && waited_ms <= db->busy_timeout_ms; waited_ms += 5) {
        if (waited_ms > 0)
            nanosleep(&pause, NULL);
        st = ask(db, "PRAGMA journal_mode = WAL", &number, NULL, err);
    }
    return st;
}

/* Before anything is written: a file of somebody else is left alone. */
static gf_status check_identity(gf__db *db, const gf__migrations *migrations, gf_error *err)
{
    int64_t application = 0, schema = 0, n_tables = 0;
    gf_status st = ask(db, "PRAGMA application_id", &application, NULL, err);
    if (st == GF_OK)
        st = ask(db, "PRAGMA user_version", &schema, NULL, err);
    if (st == GF_OK)
        st = ask(db, "SELECT count(*) FROM sqlite_master", &n_tables, NULL, err);
    if (st != GF_OK)
        return st;
    if (application != APPLICATION_ID && (application != 0 || n_tables > 0))
        return gf_error_set(err, GF_EFORMAT, "%s: a database of another program, no registry",
                            db->path);
    if (schema < 0 || (uint64_t)schema > migrations->n_scripts)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "%s: schema %lld, this graft knows up to %zu; use a newer graft",
                            db->path, (long long)schema, migrations->n_scripts);
    return GF_OK;
}

static gf_status check_integrity(gf__db *db, gf_error *err)
{
    char answer[128];
    int64_t number;
    const gf_status st = ask(db, "PRAGMA quick_check(1)", &number, answer, err);
    if (st == GF_OK && strcmp(answer, "ok") != 0)
        return gf_error_set(err, GF_EFORMAT, "%s: damaged (%s); put a copy in its place", db->path,
                            answer);
    return st;
}

/* Runs the next migration, if one is missing. Looked up inside the transaction: another process
 * may have been faster. */
static gf_status migrate_once(gf__db *db, const gf__migrations *migrations, bool *is_current,
                              gf_error *err)
{
    char settings[80];
    int64_t schema = 0;
    gf_status st = gf__db_begin_write(db, err);
    if (st != GF_OK)
        return st;
    st = check_identity(db, migrations, err);
    if (st == GF_OK)
        st = ask(db, "PRAGMA user_version", &schema, NULL, err);
    *is_current = (uint64_t)schema == migrations->n_scripts;
    if (st == GF_OK && !*is_current) {
        st = execute(db, migrations->scripts[schema], err);
        snprintf(settings, sizeof settings, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 APPLICATION_ID, (int)schema + 1);
        if (st == GF_OK)
            st = execute(db, settings, err);
    }
    return gf__db_end(db, st, err);
}

static gf_status migrate(gf__db *db, const gf__migrations *migrations, gf_error *err)
{
    int64_t schema = 0;
    gf_status st = ask(db, "PRAGMA user_version", &schema, NULL, err);
    bool is_current = (uint64_t)schema == migrations->n_scripts;
    while (st == GF_OK && !is_current)
        st = migrate_once(db, migrations, &is_current, err);
    return st;
}

static gf_status connect(gf__db *db, const gf__migrations *migrations, gf_error *err)
{
    /* No mutex of SQLite's own: the registry has one around more than one statement. */
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const int code = sqlite3_open_v2(db->path, &db->connection, flags, NULL);
    if (code != SQLITE_OK)
        return fail(db, code, err);
    sqlite3_extended_result_codes(db->connection, 1);
    sqlite3_busy_timeout(db->connection, db->busy_timeout_ms);
    sqlite3_db_config(db->connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    gf_status st = gf__db_begin_read(db, err); /* one moment of it: another may be making it */
    if (st == GF_OK)
        st = gf__db_end(db, check_identity(db, migrations, err), err);
    if (st == GF_OK)
        st = start_wal(db, err);
    if (st == GF_OK)
        st = execute(db,
                     "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                     "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON",
                     err);
    if (st == GF_OK)
        st = check_integrity(db, err);
    if (st == GF_OK)
        st = migrate(db, migrations, err);
    if (st != GF_OK)
        return st;
    const int prepared = sqlite3_prepare_v3(db->connection, "ROLLBACK", -1,
                                            SQLITE_PREPARE_PERSISTENT, &db->rollback, NULL);
    return prepared == SQLITE_OK ? GF_OK : fail(db, prepared, err);
}

gf_status gf__db_open(const char *path, int busy_timeout_ms, const gf__migrations *migrations,
                      gf__db **out, gf_error *err)
{
    *out = NULL;
    gf__db *db = gf__calloc(1, sizeof *db);
    if (db == NULL)
        return gf__error_nomem(err, "a database", sizeof *db);
    db->busy_timeout_ms = busy_timeout_ms;
    db->path = gf__strdup(path);
    gf_status st = db->path != NULL ? GF_OK : gf__error_nomem(err, "a path", strlen(path));
    if (st == GF_OK)
        st = connect(db, migrations, err);
    if (st != GF_OK) {
        gf__db_close(db);
        return st;
    }
    *out = db;
    return GF_OK;
}

void gf__db_close(gf__db *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < GF__N_QUERIES; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_finalize(db->rollback);
    sqlite3_close(db->connection);
    gf__free(db->path);
    gf__free(db);
}

/* SQLite has rolled back by itself after some failures; after others, and a failed COMMIT, it has
 * not. One of them is that memory was out: then the word ROLLBACK could not be read either, the
 * transaction would stay open, and no other could begin. */
static void roll_back(gf__db *db)
{
    if (db->rollback != NULL && !sqlite3_get_autocommit(db->connection)) {
        sqlite3_step(db->rollback);
        sqlite3_reset(db->rollback);
    }
    if (!sqlite3_get_autocommit(db->connection))
        sqlite3_exec(db->connection, "ROLLBACK", NULL, NULL, NULL);
}

gf_status gf__db_begin_read(gf__db *db, gf_error *err)
{
    roll_back(db); /* what even that could not end */
    return execute(db, "BEGIN", err);
}

gf_status gf__db_begin_write(gf__db *db, gf_error *err)
{
    roll_back(db);
    return execute(db, "BEGIN IMMEDIATE", err);
}

gf_status gf__db_end(gf__db *db, gf_status st, gf_error *err)
{
    if (st == GF_OK)
        st = execute(db, "COMMIT", err);
    if (st != GF_OK)
        roll_back(db);
    return st;
}

static int bind(sqlite3_stmt *statement, const gf__sql_value *values, size_t n_values)
{
    int code = SQLITE_OK;
    assert((size_t)sqlite3_bind_parameter_count(statement) == n_values);
    for (size_t i = 0; i < n_values && code == SQLITE_OK; i++) {
        const int place = (int)i + 1;
        if (values[i].is_number)
            code = sqlite3_bind_int64(statement, place, values[i].number);
        else if (values[i].text == NULL)
            code = sqlite3_bind_null(statement, place);
        else
            code = sqlite3_bind_text(statement, place, values[i].text, -1, SQLITE_TRANSIENT);
    }
    return code;
}

gf_status gf__db_select(gf__db *db, gf__query query, const gf__sql_value *values, size_t n_values,
                        gf__rows **out, gf_error *err)
{
    *out = NULL;
    sqlite3_stmt **statement = &db->statements[query];
    int code = SQLITE_OK;
    if (*statement == NULL)
        code = sqlite3_prepare_v3(db->connection, gf__query_text(query), -1,
                                  SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (code != SQLITE_OK)
        return fail(db, code, err);
    assert(!sqlite3_stmt_busy(*statement));
    code = bind(*statement, values, n_values);
    if (code != SQLITE_OK) {
        sqlite3_clear_bindings(*statement);
        return fail(db, code, err);
    }
    gf__rows *rows = gf__malloc(sizeof *rows);
    if (rows == NULL)
        return gf__error_nomem(err, "a query", sizeof *rows);
    *rows = (gf__rows){.db = db, .statement = *statement};
    *out = rows;
    return GF_OK;
}

gf_status gf__rows_next(gf__rows *rows, bool *has_row, gf_error *err)
{
    const int code = sqlite3_step(rows->statement);
    *has_row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? GF_OK : fail(rows->db, code, err);
}

const char *gf__rows_text(gf__rows *rows, int column)
{
    return (const char *)sqlite3_column_text(rows->statement, column);
}

int64_t gf__rows_number(gf__rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement, column);
}

void gf__rows_end(gf__rows *rows)
{
    if (rows == NULL)
        return;
    sqlite3_reset(rows->statement);
    sqlite3_clear_bindings(rows->statement);
    gf__free(rows);
}

gf_status gf__db_run(gf__db *db, gf__query query, const gf__sql_value *values, size_t n_values,
                     size_t *n_changed, gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    gf_status st = gf__db_select(db, query, values, n_values, &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    if (st == GF_OK && n_changed != NULL)
        *n_changed = (size_t)sqlite3_changes(db->connection);
    gf__rows_end(rows);
    return st;
}

gf_status gf__db_get_number(gf__db *db, gf__query query, const gf__sql_value *values,
                            size_t n_values, bool *has_row, int64_t *out, gf_error *err)
{
    gf__rows *rows = NULL;
    *has_row = false;
    gf_status st = gf__db_select(db, query, values, n_values, &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, has_row, err);
    if (st == GF_OK && *has_row)
        *out = gf__rows_number(rows, 0);
    gf__rows_end(rows);
    return st;
}
