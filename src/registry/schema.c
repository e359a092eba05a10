/* registry/schema.c: the tables, as a list of migrations by number. What is in a migration that was
 * once released is never changed: a database remembers only how many it has had. docs/formats.md
 * explains the tables.
 *
 * Ids are never used again (AUTOINCREMENT): etags are made of them, and operations are listed by
 * them. Times are milliseconds since 1970. Documents (fields, response ...) are JSON as the
 * client gave or will get it. */
#include "registry/queries_priv.h"

static const char *const scripts[] = {
    /* 1 */
    "CREATE TABLE projects ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE,"
    " create_time INTEGER NOT NULL) STRICT;"

    "CREATE TABLE models ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " project_id INTEGER NOT NULL REFERENCES projects (id),"
    " name TEXT NOT NULL,"
    " fields TEXT NOT NULL,"
    " default_version_id INTEGER REFERENCES versions (id) ON DELETE SET NULL,"
    " create_time INTEGER NOT NULL,"
    " revision INTEGER NOT NULL DEFAULT 1,"
    " UNIQUE (project_id, name)) STRICT;"
    "CREATE INDEX models_by_default ON models (default_version_id);"

    "CREATE TABLE versions ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " model_id INTEGER NOT NULL REFERENCES models (id),"
    " name TEXT NOT NULL,"
    " fields TEXT NOT NULL,"
    " source TEXT NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('CREATING', 'READY', 'FAILED', 'DELETING')),"
    " error_message TEXT,"
    " create_time INTEGER NOT NULL,"
    " last_use_time INTEGER,"
    " revision INTEGER NOT NULL DEFAULT 1,"
    " UNIQUE (model_id, name)) STRICT;"

    "CREATE TABLE blobs ("
    " sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64),"
    " size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),"
    " create_time INTEGER NOT NULL) STRICT;"

    "CREATE TABLE files ("
    " version_id INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,"
    " path TEXT NOT NULL,"
    " sha256 TEXT NOT NULL REFERENCES blobs (sha256),"
    " PRIMARY KEY (version_id, path)) STRICT;"
    "CREATE INDEX files_by_blob ON files (sha256);"

    "CREATE TABLE operations ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " project_id INTEGER NOT NULL REFERENCES projects (id),"
    " name TEXT NOT NULL,"
    " type TEXT NOT NULL,"
    " model TEXT NOT NULL,"
    " version_id INTEGER REFERENCES versions (id) ON DELETE SET NULL,"
    " phase TEXT NOT NULL CHECK (phase IN ('WAITING', 'RUNNING', 'DONE')),"
    " subject TEXT,"
    " create_time INTEGER NOT NULL,"
    " start_time INTEGER,"
    " end_time INTEGER,"
    " n_starts INTEGER NOT NULL DEFAULT 0,"
    " cancel_asked INTEGER NOT NULL DEFAULT 0,"
    " response TEXT,"
    " error_code INTEGER,"
    " error_message TEXT,"
    " UNIQUE (project_id, name)) STRICT;"
    "CREATE INDEX operations_by_phase ON operations (phase, id);"
    "CREATE INDEX operations_by_version ON operations (version_id);",

    /* 2: project is a name, not a row: a token may be made before its project exists */
    "CREATE TABLE tokens ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE,"
    " sha256 TEXT NOT NULL CHECK (length(sha256) = 64),"
    " role TEXT NOT NULL CHECK (role IN ('admin', 'deploy', 'predict')),"
    " project TEXT,"
    " description TEXT,"
    " create_time INTEGER NOT NULL,"
    " expire_time INTEGER) STRICT;",

    /* 3 */
    "CREATE TABLE jobs ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " project_id INTEGER NOT NULL REFERENCES projects (id),"
    " name TEXT NOT NULL,"
    " fields TEXT NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('QUEUED', 'PREPARING', 'RUNNING', 'SUCCEEDED',"
    " 'FAILED', 'CANCELLING', 'CANCELLED')),"
    " priority INTEGER NOT NULL,"
    " create_time INTEGER NOT NULL,"
    " start_time INTEGER,"
    " end_time INTEGER,"
    " n_attempts INTEGER NOT NULL DEFAULT 0,"
    " place TEXT,"
    " output TEXT,"
    " error_message TEXT,"
    " revision INTEGER NOT NULL DEFAULT 1,"
    " UNIQUE (project_id, name)) STRICT;"
    "CREATE INDEX jobs_by_project ON jobs (project_id, id);"
    /* Ended jobs pile up for ever; the queue stays short. */
    "CREATE INDEX jobs_open ON jobs (priority DESC, id) WHERE end_time IS NULL;",
};

gf__migrations gf__schema(void)
{
    return (gf__migrations){.scripts = scripts, .n_scripts = sizeof scripts / sizeof scripts[0]};
}
