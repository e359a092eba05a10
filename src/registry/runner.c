/* registry/runner.c: what becomes of operations that wait: copying a version's files and having
 * them checked, deleting a version, and picking up after a process that died. Only the holder of
 * the home's lock does any of it.
 *
 * Files are copied and hooks called outside of transactions. What they come to is one
 * transaction at the end: a process killed before it leaves an operation that ran, and blobs
 * that nobody uses. */
#include "registry/registry_priv.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define MAX_STARTS 3 /* an operation that took the process with it so often is not tried again */

/* An operation being run. */
typedef struct running {
    gf_registry *registry;
    const gf_registry_hooks *hooks;
    const gf_observer *obs;
    gf__operation_row operation;
    gf__version_row version;
    char *version_name;
} running;

static gf_status refuse_started(const gf__operation_row *row, gf_error *err)
{
    if (row->is_waiting)
        return GF_OK;
    return gf_error_set(err, GF_EPRECONDITION, "projects/%s/operations/%s: %s",
                        row->full_name.project, row->full_name.operation,
                        row->is_done ? "is done" : "is running already");
}

/* The row of name, or of the one that waits longest; *is_found false where none waits. */
static gf_status find_waiting(gf_registry *registry, const char *name, gf__operation_row *row,
                              bool *is_found, gf_error *err)
{
    gf__name parts;
    gf__rows *rows = NULL;
    *is_found = true;
    if (name != NULL) {
        gf_status st = gf__name_parse(name, GF__KIND_OPERATION, &parts, err);
        if (st == GF_OK)
            st = gf__operation_find(registry, &parts, row, err);
        return st == GF_OK ? refuse_started(row, err) : st;
    }
    gf_status st = gf__db_select(registry->db, GF__SQL_OPERATION_NEXT, NULL, 0, &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, is_found, err);
    if (st == GF_OK && *is_found)
        st = gf__operation_read(rows, row, err);
    gf__rows_end(rows);
    return st;
}

static gf_status start(running *run, const char *name, bool *is_found, gf_error *err)
{
    gf_registry *registry = run->registry;
    gf_status st = gf__enter_write(registry, err);
    if (st != GF_OK)
        return st;
    st = find_waiting(registry, name, &run->operation, is_found, err);
    if (st != GF_OK || !*is_found)
        return gf__leave(registry, st, err);
    st = gf__db_run(registry->db, GF__SQL_OPERATION_START,
                    VALUES(gf__number(run->operation.id), gf__number(gf__now_ms())), NULL, err);
    if (st == GF_OK)
        st = gf__version_find_id(registry, run->operation.version_id, &run->version, err);
    if (st == GF_OK) {
        run->version_name = gf__name_text(&run->version.full_name);
        if (run->version_name == NULL)
            st = gf__error_nomem(err, "a name", 0);
    }
    return gf__leave(registry, st, err);
}

static gf_status stop_if_canceled(running *run, gf_error *err)
{
    gf__operation_row row;
    gf_status st = gf__enter_read(run->registry, err);
    if (st != GF_OK)
        return st;
    st = gf__operation_find(run->registry, &run->operation.full_name, &row, err);
    if (st == GF_OK && row.cancel_asked)
        st = gf_error_set(err, GF_ECANCELED, "canceled");
    gf__operation_row_free(&row);
    return gf__leave(run->registry, st, err);
}

static gf_status record_files(running *run, const gf__origin *source,
                              char (*hashes)[GF__SHA256_HEX], gf_error *err)
{
    gf__db *db = run->registry->db;
    const int64_t now = gf__now_ms();
    gf_status st = gf__enter_write(run->registry, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < source->n_files && st == GF_OK; i++) {
        st = gf__db_run(db, GF__SQL_BLOB_ADD,
                        VALUES(gf__text(hashes[i]),
                               gf__number((int64_t)source->files[i].size_bytes), gf__number(now)),
                        NULL, err);
        if (st == GF_OK)
            st = gf__db_run(db, GF__SQL_FILE_ADD,
                            VALUES(gf__number(run->version.id), gf__text(source->files[i].path),
                                   gf__text(hashes[i])),
                            NULL, err);
    }
    return gf__leave(run->registry, st, err);
}

static gf_status store_files(running *run, const gf__origin *source, char (*hashes)[GF__SHA256_HEX],
                             gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < source->n_files && st == GF_OK; i++) {
        st = stop_if_canceled(run, err);
        if (st == GF_OK)
            st = gf__blob_store(run->registry, &source->files[i], source->follows_links, run->obs,
                                hashes[i], err);
    }
    return st;
}

/* Forgets what a run that was cut off after record_files() has recorded. */
static gf_status forget_files(running *run, gf_error *err)
{
    const gf_status st = gf__enter_write(run->registry, err);
    if (st != GF_OK)
        return st;
    return gf__leave(run->registry,
                     gf__db_run(run->registry->db, GF__SQL_FILE_DELETE,
                                VALUES(gf__number(run->version.id)), NULL, err),
                     err);
}

static gf_status copy_files(running *run, gf_error *err)
{
    gf__origin source = {0};
    char(*hashes)[GF__SHA256_HEX] = NULL;
    const char *address = gf__json_string(gf__json_find(run->version.fields, "deploymentUri"), "");
    gf_status st = gf__origin_list(run->registry, address, run->version.source, &source, err);
    if (st == GF_OK) {
        hashes = gf__calloc(source.n_files, sizeof *hashes);
        st = hashes != NULL ? forget_files(run, err) : gf__error_nomem(err, "a list of files", 0);
    }
    if (st == GF_OK) {
        pthread_mutex_lock(&run->registry->blobs);
        st = store_files(run, &source, hashes, err);
        if (st == GF_OK)
            st = record_files(run, &source, hashes, err);
        pthread_mutex_unlock(&run->registry->blobs);
    }
    gf__free(hashes);
    gf__origin_free(&source);
    return st;
}

static gf_status check_version(running *run, gf_error *err)
{
    gf_registry_files files;
    if (run->hooks->check == NULL)
        return GF_OK;
    gf_status st = gf_registry_get_files(run->registry, run->version_name, &files, err);
    if (st == GF_OK)
        st = run->hooks->check(run->hooks->user, run->version_name, &files, err);
    gf_registry_free_files(&files);
    return st;
}

/* The new version is the default where there is none, or one that cannot answer. */
static gf_status take_over(gf_registry *registry, const gf__version_row *version, gf_error *err)
{
    gf__model_row model;
    gf__version_row present = {0};
    gf_status st = gf__model_find(registry, &version->full_name, &model, err);
    if (st == GF_OK && model.default_version_id != 0)
        st = gf__version_find_id(registry, model.default_version_id, &present, err);
    if (st == GF_OK && (model.default_version_id == 0 || present.state == GF__FAILED ||
                        present.state == GF__DELETING))
        st = gf__version_make_default(registry, version, err);
    gf__version_row_free(&present);
    gf__model_row_free(&model);
    return st;
}

static gf_status make_ready(gf_registry *registry, const gf__operation_row *operation,
                            gf_error *err)
{
    gf__version_row row = {0};
    gf__json *document = NULL;
    const int64_t id = operation->version_id;
    gf_status st = gf__version_set_state(registry, id, GF__READY, NULL, err);
    if (st == GF_OK)
        st = gf__version_find_id(registry, id, &row, err);
    if (st == GF_OK)
        st = take_over(registry, &row, err);
    gf__version_row_free(&row);
    if (st == GF_OK)
        st = gf__version_find_id(registry, id, &row, err);
    if (st == GF_OK)
        st = gf__version_document(&row, &document, err);
    if (st == GF_OK)
        st = gf__operation_succeed(registry, operation->id, GF__TYPE_VERSION, document, err);
    gf__json_free(document);
    gf__version_row_free(&row);
    return st;
}

static gf_status remove_version(gf_registry *registry, const gf__operation_row *operation,
                                const gf__version_row *version, gf_error *err)
{
    gf_status st = GF_OK;
    if (version->is_default)
        st = gf__db_run(registry->db, GF__SQL_MODEL_SET_DEFAULT,
                        VALUES(gf__number(version->model_id), gf__text(NULL)), NULL, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_VERSION_DELETE, VALUES(gf__number(version->id)), NULL,
                        err);
    if (st == GF_OK)
        st = gf__operation_succeed(registry, operation->id, GF__TYPE_EMPTY, NULL, err);
    return st;
}

/* The work that takes time. Its failure is the operation's. */
static gf_status work(running *run, gf_error *err)
{
    gf_status st = stop_if_canceled(run, err);
    if (st == GF_OK && run->version.state == GF__CREATING) {
        st = copy_files(run, err);
        if (st == GF_OK)
            st = check_version(run, err);
    } else if (st == GF_OK && run->hooks->unload != NULL) {
        st = run->hooks->unload(run->hooks->user, run->version_name, err);
    }
    return st == GF_OK ? stop_if_canceled(run, err) : st;
}

static gf_status finish(running *run, gf_status outcome, const char *message, gf_error *err)
{
    gf_registry *registry = run->registry;
    gf__version_row now = {0};
    gf_status st = gf__enter_write(registry, err);
    if (st != GF_OK)
        return st;
    /* Read again: it may have become the default, or lost it, since the start. */
    st = gf__version_find_id(registry, run->version.id, &now, err);
    if (st == GF_OK && outcome != GF_OK)
        st = gf__operation_fail_with_version(registry, &run->operation, outcome, message, err);
    else if (st == GF_OK && now.state == GF__CREATING)
        st = make_ready(registry, &run->operation, err);
    else if (st == GF_OK)
        st = remove_version(registry, &run->operation, &now, err);
    gf__version_row_free(&now);
    return gf__leave(registry, st, err);
}

/* A success that cannot be noted becomes a failure, which needs less memory and disk. */
static gf_status settle(running *run, gf_status outcome, const gf_error *reason, gf_error *err)
{
    gf_error own = {0};
    const char *message = reason->message[0] != '\0' ? reason->message : gf_status_name(outcome);
    gf_status st = finish(run, outcome, message, &own);
    if (st != GF_OK && outcome == GF_OK && finish(run, st, own.message, NULL) == GF_OK)
        return GF_OK;
    return st == GF_OK ? GF_OK : gf_error_set(err, st, "%s", own.message);
}

/* As if it had not been started: a process that ends in good order is no reason to give up. */
static gf_status put_back(running *run, gf_error *err)
{
    const gf_status st = gf__enter_write(run->registry, err);
    if (st != GF_OK)
        return st;
    return gf__leave(run->registry,
                     gf__db_run(run->registry->db, GF__SQL_OPERATION_PUT_BACK,
                                VALUES(gf__number(run->operation.id)), NULL, err),
                     err);
}

static gf_status give_text(running *run, char **operation, gf_error *err)
{
    char *text = NULL;
    gf_status st = gf__enter_read(run->registry, err);
    if (st != GF_OK)
        return st;
    st = gf__operation_text(run->registry, &run->operation.full_name, &text, err);
    return gf__leave_with(run->registry, st, text, operation, err);
}

gf_status gf_registry_run_operation(gf_registry *registry, const char *name,
                                    const gf_registry_hooks *hooks, const gf_observer *obs,
                                    char **operation, gf_error *err)
{
    static const gf_registry_hooks no_hooks;
    running run = {.registry = registry, .hooks = hooks != NULL ? hooks : &no_hooks, .obs = obs};
    gf_error reason = {0};
    bool is_found = false;
    *operation = NULL;
    assert(registry->lock != NULL);
    gf_status st = start(&run, name, &is_found, err);
    if (st != GF_OK || !is_found)
        goto done;
    const gf_status outcome = work(&run, &reason);
    if (outcome != GF_OK && run.hooks->is_stopping != NULL &&
        run.hooks->is_stopping(run.hooks->user))
        st = put_back(&run, err);
    else
        st = settle(&run, outcome, &reason, err);
    if (st == GF_OK)
        st = give_text(&run, operation, err);
done:
    gf__free(run.version_name);
    gf__version_row_free(&run.version);
    gf__operation_row_free(&run.operation);
    return st;
}

static gf_status recover_one(gf_registry *registry, const gf__operation_row *row,
                             gf_registry_recovery recovery, gf_error *err)
{
    char reason[96];
    if (row->cancel_asked)
        return gf__operation_fail_with_version(registry, row, GF_ECANCELED, "canceled", err);
    if (recovery == GF_REGISTRY_FAIL)
        return gf__operation_fail_with_version(
            registry, row, GF_EBUSY, "the server stopped while this was running; do it again", err);
    if (row->n_starts >= MAX_STARTS) {
        snprintf(reason, sizeof reason, "the server stopped %d times while this was running",
                 MAX_STARTS);
        return gf__operation_fail_with_version(registry, row, GF_EIO, reason, err);
    }
    return gf__db_run(registry->db, GF__SQL_OPERATION_WAIT_AGAIN, VALUES(gf__number(row->id)), NULL,
                      err);
}

/* One at a time, the first that still runs: the query must not be open while its table changes. */
static gf_status recover_next(gf_registry *registry, gf_registry_recovery recovery, bool *is_found,
                              gf_error *err)
{
    gf__rows *rows = NULL;
    gf__operation_row row = {0};
    gf_status st = gf__db_select(registry->db, GF__SQL_OPERATION_NEXT_RUNNING, NULL, 0, &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, is_found, err);
    if (st == GF_OK && *is_found)
        st = gf__operation_read(rows, &row, err);
    gf__rows_end(rows);
    if (st == GF_OK && *is_found)
        st = recover_one(registry, &row, recovery, err);
    gf__operation_row_free(&row);
    return st;
}

gf_status gf_registry_recover(gf_registry *registry, gf_registry_recovery recovery, size_t *n_found,
                              gf_error *err)
{
    bool is_found = true;
    size_t n = 0;
    assert(registry->lock != NULL);
    gf_status st = gf__enter_write(registry, err);
    if (st != GF_OK)
        return st;
    while (st == GF_OK && is_found) {
        is_found = false;
        st = recover_next(registry, recovery, &is_found, err);
        n += is_found ? 1 : 0;
    }
    st = gf__leave(registry, st, err);
    if (n_found != NULL)
        *n_found = st == GF_OK ? n : 0;
    return st;
}
