/* registry/queries.c: every statement's text. Columns that several statements give are named
 * once, because the functions that read rows count on their order. Nothing here but ON CONFLICT
 * and numbered parameters is beyond plain SQL. */
#include "registry/queries_priv.h"

#include <assert.h>

/* gf__model_row in models.c */
#define MODEL_COLUMNS                                                                \
    "SELECT m.id, m.revision, m.name, m.fields, m.default_version_id, m.project_id," \
    " (SELECT count(*) FROM versions c WHERE c.model_id = m.id)"                     \
    " FROM models m JOIN projects p ON p.id = m.project_id "

/* gf__version_row in versions.c */
#define VERSION_COLUMNS                                                                         \
    "SELECT v.id, v.revision, v.name, v.fields, v.source, v.state, v.error_message,"            \
    " v.create_time, v.last_use_time, CASE WHEN m.default_version_id = v.id THEN 1 ELSE 0 END," \
    " v.model_id, m.name, p.name, p.id"                                                         \
    " FROM versions v JOIN models m ON m.id = v.model_id JOIN projects p ON p.id = m.project_id "

/* gf__operation_row in operations.c */
#define OPERATION_COLUMNS                                                               \
    "SELECT o.id, p.name, o.name, o.type, o.model, o.version_id, o.phase, o.subject,"   \
    " o.create_time, o.start_time, o.end_time, o.n_starts, o.cancel_asked, o.response," \
    " o.error_code, o.error_message FROM operations o JOIN projects p ON p.id = o.project_id "

/* gf__job_row in jobs.c. position: counted for one job, taken from a numbered queue for many. */
#define JOB_COLUMNS(position)                                                    \
    "SELECT j.id, j.revision, p.name, j.name, j.fields, j.state, j.priority,"    \
    " j.create_time, j.start_time, j.end_time, j.n_attempts, j.place, j.output," \
    " j.error_message, " position " FROM jobs j JOIN projects p ON p.id = j.project_id "
#define ONE_POSITION                                                                \
    "CASE WHEN j.state = 'QUEUED' THEN 1 + (SELECT count(*) FROM jobs a"            \
    " WHERE a.end_time IS NULL AND a.state = 'QUEUED' AND (a.priority > j.priority" \
    " OR (a.priority = j.priority AND a.id < j.id))) END"
#define QUEUE                                                                          \
    "LEFT JOIN (SELECT id, row_number() OVER (ORDER BY priority DESC, id) AS position" \
    " FROM jobs WHERE end_time IS NULL AND state = 'QUEUED') q ON q.id = j.id "

/* token_row in tokens.c */
#define TOKEN_COLUMNS \
    "SELECT name, sha256, role, project, description, create_time, expire_time FROM tokens "

static const char *const texts[GF__N_QUERIES] = {
    [GF__SQL_PROJECT_ADD] = "INSERT INTO projects (name, create_time) VALUES (?1, ?2)"
                            " ON CONFLICT (name) DO NOTHING",
    [GF__SQL_PROJECT_FIND] = "SELECT id FROM projects WHERE name = ?1",
    [GF__SQL_PROJECT_LIST] = "SELECT name FROM projects ORDER BY name",

    [GF__SQL_MODEL_ADD] = "INSERT INTO models (project_id, name, fields, create_time)"
                          " VALUES (?1, ?2, ?3, ?4)",
    [GF__SQL_MODEL_GET] = MODEL_COLUMNS "WHERE p.name = ?1 AND m.name = ?2",
    [GF__SQL_MODEL_LIST] = MODEL_COLUMNS "WHERE p.name = ?1 AND m.name > ?2 ORDER BY m.name",
    [GF__SQL_MODEL_SET_FIELDS] = "UPDATE models SET fields = ?2, revision = revision + 1"
                                 " WHERE id = ?1",
    [GF__SQL_MODEL_SET_DEFAULT] = "UPDATE models SET default_version_id = ?2,"
                                  " revision = revision + 1 WHERE id = ?1",
    [GF__SQL_MODEL_DELETE] = "DELETE FROM models WHERE id = ?1",

    [GF__SQL_VERSION_ADD] = "INSERT INTO versions (model_id, name, fields, source, state,"
                            " create_time) VALUES (?1, ?2, ?3, ?4, 'CREATING', ?5)",
    [GF__SQL_VERSION_GET] = VERSION_COLUMNS "WHERE p.name = ?1 AND m.name = ?2 AND v.name = ?3",
    [GF__SQL_VERSION_GET_BY_ID] = VERSION_COLUMNS "WHERE v.id = ?1",
    [GF__SQL_VERSION_LIST] = VERSION_COLUMNS
    "WHERE p.name = ?1 AND m.name = ?2 AND v.name > ?3 ORDER BY v.name",
    [GF__SQL_VERSION_SET_FIELDS] = "UPDATE versions SET fields = ?2, revision = revision + 1"
                                   " WHERE id = ?1",
    [GF__SQL_VERSION_SET_STATE] = "UPDATE versions SET state = ?2, error_message = ?3,"
                                  " revision = revision + 1 WHERE id = ?1",
    [GF__SQL_VERSION_USED] = "UPDATE versions SET last_use_time = ?2 WHERE id = ?1"
                             " AND coalesce(last_use_time, 0) < ?2",
    [GF__SQL_VERSION_DELETE] = "DELETE FROM versions WHERE id = ?1",

    [GF__SQL_FILE_ADD] = "INSERT INTO files (version_id, path, sha256) VALUES (?1, ?2, ?3)",
    [GF__SQL_FILE_LIST] = "SELECT f.path, f.sha256, b.size_bytes FROM files f"
                          " JOIN blobs b ON b.sha256 = f.sha256 WHERE f.version_id = ?1"
                          " ORDER BY f.path",
    [GF__SQL_FILE_DELETE] = "DELETE FROM files WHERE version_id = ?1",
    [GF__SQL_BLOB_ADD] = "INSERT INTO blobs (sha256, size_bytes, create_time)"
                         " VALUES (?1, ?2, ?3) ON CONFLICT (sha256) DO NOTHING",
    [GF__SQL_BLOB_FIND] = "SELECT size_bytes FROM blobs WHERE sha256 = ?1",
    [GF__SQL_BLOB_DELETE_UNUSED] = "DELETE FROM blobs WHERE NOT EXISTS"
                                   " (SELECT 1 FROM files f WHERE f.sha256 = blobs.sha256)",

    [GF__SQL_OPERATION_ADD] = "INSERT INTO operations (project_id, name, type, model, version_id,"
                              " phase, subject, create_time) VALUES (?1, ?2, ?3, ?4, ?5,"
                              " 'WAITING', ?6, ?7) ON CONFLICT (project_id, name) DO NOTHING",
    [GF__SQL_OPERATION_GET] = OPERATION_COLUMNS "WHERE p.name = ?1 AND o.name = ?2",
    [GF__SQL_OPERATION_LIST] = OPERATION_COLUMNS
    "WHERE p.name = ?1 AND o.id < ?2 ORDER BY o.id DESC",
    [GF__SQL_OPERATION_NEXT_RUNNING] = OPERATION_COLUMNS
    "WHERE o.phase = 'RUNNING' ORDER BY o.id LIMIT 1",
    [GF__SQL_OPERATION_NEXT] = OPERATION_COLUMNS "WHERE o.phase = 'WAITING' ORDER BY o.id LIMIT 1",
    [GF__SQL_OPERATION_START] = "UPDATE operations SET phase = 'RUNNING', start_time = ?2,"
                                " n_starts = n_starts + 1 WHERE id = ?1",
    [GF__SQL_OPERATION_WAIT_AGAIN] = "UPDATE operations SET phase = 'WAITING', start_time = NULL"
                                     " WHERE id = ?1",
    [GF__SQL_OPERATION_PUT_BACK] = "UPDATE operations SET phase = 'WAITING', start_time = NULL,"
                                   " n_starts = n_starts - 1 WHERE id = ?1",
    [GF__SQL_OPERATION_ASK_CANCEL] = "UPDATE operations SET cancel_asked = 1 WHERE id = ?1",
    [GF__SQL_OPERATION_FINISH] = "UPDATE operations SET phase = 'DONE', end_time = ?2,"
                                 " start_time = coalesce(start_time, ?2), response = ?3,"
                                 " error_code = ?4, error_message = ?5 WHERE id = ?1",
    [GF__SQL_OPERATION_PRUNE] = "DELETE FROM operations WHERE phase = 'DONE' AND end_time < ?1",

    [GF__SQL_JOB_ADD] = "INSERT INTO jobs (project_id, name, fields, state, priority, create_time)"
                        " VALUES (?1, ?2, ?3, 'QUEUED', ?4, ?5)"
                        " ON CONFLICT (project_id, name) DO NOTHING",
    [GF__SQL_JOB_GET] = JOB_COLUMNS(ONE_POSITION) "WHERE p.name = ?1 AND j.name = ?2",
    [GF__SQL_JOB_GET_BY_ID] = JOB_COLUMNS(ONE_POSITION) "WHERE j.id = ?1",
    [GF__SQL_JOB_LIST] = JOB_COLUMNS("q.position") QUEUE
    "WHERE p.name = ?1 AND j.id < ?2 ORDER BY j.id DESC",
    [GF__SQL_JOB_LIST_OPEN] = JOB_COLUMNS("q.position") QUEUE
    "WHERE j.end_time IS NULL ORDER BY j.priority DESC, j.id",
    [GF__SQL_JOB_SET_FIELDS] = "UPDATE jobs SET fields = ?2, revision = revision + 1 WHERE id = ?1",
    [GF__SQL_JOB_SET_STATE] = "UPDATE jobs SET state = ?2, error_message = ?3,"
                              " revision = revision + 1 WHERE id = ?1",
    [GF__SQL_JOB_BEGIN] = "UPDATE jobs SET state = ?2, n_attempts = n_attempts + 1, place = NULL,"
                          " revision = revision + 1 WHERE id = ?1",
    [GF__SQL_JOB_SET_PLACE] = "UPDATE jobs SET place = ?2 WHERE id = ?1",
    [GF__SQL_JOB_START] = "UPDATE jobs SET state = 'RUNNING', start_time = ?2,"
                          " revision = revision + 1 WHERE id = ?1",
    [GF__SQL_JOB_SET_OUTPUT] = "UPDATE jobs SET output = ?2 WHERE id = ?1",
    [GF__SQL_JOB_FINISH] = "UPDATE jobs SET state = ?2, end_time = ?3, error_message = ?4,"
                           " start_time = CASE WHEN ?2 = 'SUCCEEDED' THEN coalesce(start_time, ?3)"
                           " ELSE start_time END, place = NULL, revision = revision + 1"
                           " WHERE id = ?1",

    [GF__SQL_TOKEN_ADD] = "INSERT INTO tokens (name, sha256, role, project, description,"
                          " create_time, expire_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [GF__SQL_TOKEN_LIST] = TOKEN_COLUMNS "ORDER BY id",
    [GF__SQL_TOKEN_FIND] = TOKEN_COLUMNS "WHERE name = ?1",
    [GF__SQL_TOKEN_DELETE] = "DELETE FROM tokens WHERE name = ?1",
};

const char *gf__query_text(gf__query query)
{
    assert(query < GF__N_QUERIES && texts[query] != NULL);
    return texts[query];
}
