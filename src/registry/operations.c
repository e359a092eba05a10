/* registry/operations.c: long-running operations: rows, documents, how they begin and end, and
 * the calls of clients. Who runs them is in runner.c. */
#include "registry/registry_priv.h"

#include <stdio.h>
#include <string.h>

#include "registry/registry.h"

#define TYPE_METADATA "type.googleapis.com/google.cloud.ml.v1.OperationMetadata"

static void copy_text(gf__rows *rows, int column, char *to, size_t size)
{
    const char *text = gf__rows_text(rows, column);
    snprintf(to, size, "%s", text != NULL ? text : "");
}

/* NULL stays NULL; false when memory is out. */
static bool keep_text(gf__rows *rows, int column, char **to)
{
    const char *text = gf__rows_text(rows, column);
    *to = text != NULL ? gf__strdup(text) : NULL;
    return text == NULL || *to != NULL;
}

gf_status gf__operation_read(gf__rows *rows, gf__operation_row *row, gf_error *err)
{
    char phase[16];
    copy_text(rows, 6, phase, sizeof phase);
    *row = (gf__operation_row){.id = gf__rows_number(rows, 0),
                               .version_id = gf__rows_number(rows, 5),
                               .is_waiting = strcmp(phase, "WAITING") == 0,
                               .is_done = strcmp(phase, "DONE") == 0,
                               .create_time = gf__rows_number(rows, 8),
                               .start_time = gf__rows_number(rows, 9),
                               .end_time = gf__rows_number(rows, 10),
                               .n_starts = gf__rows_number(rows, 11),
                               .cancel_asked = gf__rows_number(rows, 12) != 0,
                               .error_code = gf__rows_number(rows, 14)};
    copy_text(rows, 1, row->full_name.project, sizeof row->full_name.project);
    copy_text(rows, 2, row->full_name.operation, sizeof row->full_name.operation);
    copy_text(rows, 3, row->type, sizeof row->type);
    copy_text(rows, 4, row->model, sizeof row->model);
    if (keep_text(rows, 7, &row->subject) && keep_text(rows, 13, &row->response) &&
        keep_text(rows, 15, &row->error_message))
        return GF_OK;
    return gf__error_nomem(err, "an operation", sizeof *row);
}

void gf__operation_row_free(gf__operation_row *row)
{
    gf__free(row->subject);
    gf__free(row->response);
    gf__free(row->error_message);
    row->subject = row->response = row->error_message = NULL;
}

gf_status gf__operation_find(gf_registry *registry, const gf__name *name, gf__operation_row *row,
                             gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    *row = (gf__operation_row){0};
    gf_status st = gf__db_select(registry->db, GF__SQL_OPERATION_GET,
                                 VALUES(gf__text(name->project), gf__text(name->operation)), &rows,
                                 err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    if (st == GF_OK && has_row)
        st = gf__operation_read(rows, row, err);
    else if (st == GF_OK)
        st = gf_error_set(err, GF_ENOTFOUND, "projects/%s/operations/%s: no such operation",
                          name->project, name->operation);
    gf__rows_end(rows);
    return st;
}

static gf_status make_metadata(const gf__operation_row *row, gf__json **out, gf_error *err)
{
    gf__json *subject = NULL;
    gf_status st = row->subject != NULL ? gf__json_read_stored(row->subject, &subject, err) : GF_OK;
    *out = NULL;
    if (st != GF_OK)
        return st;
    gf__json *metadata = gf__json_object();
    gf__json_set_string(metadata, "@type", TYPE_METADATA);
    gf__set_time(metadata, "createTime", row->create_time);
    if (row->start_time > 0)
        gf__set_time(metadata, "startTime", row->start_time);
    if (row->end_time > 0)
        gf__set_time(metadata, "endTime", row->end_time);
    gf__json_set_bool(metadata, "isCancellationRequested", row->cancel_asked);
    gf__json_set_string(metadata, "operationType", row->type);
    gf__name model = {0};
    snprintf(model.project, sizeof model.project, "%s", row->full_name.project);
    snprintf(model.model, sizeof model.model, "%s", row->model);
    char *name = gf__name_text(&model);
    gf__json_set(metadata, "modelName", name != NULL ? gf__json_new_string(name) : NULL);
    gf__free(name);
    const gf__json *labels = gf__json_find(subject, "labels");
    if (labels != NULL)
        gf__json_set(metadata, "labels", gf__json_copy(labels));
    if (subject != NULL)
        gf__json_set(metadata, "version", subject);
    *out = metadata;
    return GF_OK;
}

static gf_status set_outcome(const gf__operation_row *row, gf__json *document, gf_error *err)
{
    gf__json *response = NULL;
    gf__json_set_bool(document, "done", row->is_done);
    if (!row->is_done)
        return GF_OK;
    if (row->response == NULL) {
        gf__json *error = gf__json_object();
        gf__json_set_int(error, "code", row->error_code);
        gf__json_set_string(error, "message", row->error_message != NULL ? row->error_message : "");
        gf__json_set(document, "error", error);
        return GF_OK;
    }
    const gf_status st = gf__json_read_stored(row->response, &response, err);
    if (st == GF_OK)
        gf__json_set(document, "response", response);
    return st;
}

gf_status gf__operation_document(const gf__operation_row *row, gf__json **out, gf_error *err)
{
    gf__json *metadata = NULL;
    *out = NULL;
    gf_status st = make_metadata(row, &metadata, err);
    if (st != GF_OK)
        return st;
    gf__json *document = gf__json_object();
    char *name = gf__name_text(&row->full_name);
    gf__json_set(document, "name", name != NULL ? gf__json_new_string(name) : NULL);
    gf__free(name);
    gf__json_set(document, "metadata", metadata);
    st = set_outcome(row, document, err);
    if (st == GF_OK)
        st = gf__json_status(document, err);
    if (st != GF_OK) {
        gf__json_free(document);
        return st;
    }
    *out = document;
    return GF_OK;
}

gf_status gf__operation_text(gf_registry *registry, const gf__name *name, char **out, gf_error *err)
{
    gf__operation_row row;
    gf__json *document = NULL;
    gf_status st = gf__operation_find(registry, name, &row, err);
    if (st == GF_OK)
        st = gf__operation_document(&row, &document, err);
    if (st == GF_OK)
        st = gf__json_text(document, out, err);
    gf__json_free(document);
    gf__operation_row_free(&row);
    return st;
}

/* Inserted under VERB_MODEL_VERSION-TIME, as the service calls them; two of one millisecond get
 * two times. */
static gf_status insert(gf_registry *registry, const gf__operation_plan *plan, const char *subject,
                        gf__name *name, gf_error *err)
{
    const int64_t now = gf__now_ms();
    size_t n_added = 0;
    gf_status st = GF_OK;
    for (int64_t i = 0; st == GF_OK && n_added == 0; i++) {
        snprintf(name->operation, sizeof name->operation, "%s_%s%s%s-%lld", plan->verb,
                 plan->about.model, plan->about.version[0] != '\0' ? "_" : "", plan->about.version,
                 (long long)(now + i));
        st = gf__db_run(
            registry->db, GF__SQL_OPERATION_ADD,
            VALUES(gf__number(plan->project_id), gf__text(name->operation), gf__text(plan->type),
                   gf__text(plan->about.model),
                   plan->version_id != 0 ? gf__number(plan->version_id) : gf__text(NULL),
                   gf__text(subject), gf__number(now)),
            &n_added, err);
    }
    return st;
}

gf_status gf__operation_add(gf_registry *registry, const gf__operation_plan *plan,
                            gf__operation_row *row, gf_error *err)
{
    gf__name name = {0};
    char *subject = NULL;
    *row = (gf__operation_row){0};
    snprintf(name.project, sizeof name.project, "%s", plan->about.project);
    gf_status st = GF_OK;
    if (plan->subject != NULL)
        st = gf__json_text(plan->subject, &subject, err);
    if (st == GF_OK)
        st = insert(registry, plan, subject, &name, err);
    if (st == GF_OK)
        st = gf__operation_find(registry, &name, row, err);
    gf__free(subject);
    return st;
}

gf_status gf__operation_succeed(gf_registry *registry, int64_t id, const char *response_type,
                                const gf__json *response, gf_error *err)
{
    gf__json *typed = gf__json_object();
    const gf__json *value = NULL;
    char *text = NULL;
    gf__json_set_string(typed, "@type", response_type);
    for (const char *key = gf__json_next(response, NULL, &value); key != NULL;
         key = gf__json_next(response, key, &value))
        gf__json_set(typed, key, gf__json_copy(value));
    gf_status st = gf__json_text(typed, &text, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_OPERATION_FINISH,
                        VALUES(gf__number(id), gf__number(gf__now_ms()), gf__text(text),
                               gf__text(NULL), gf__text(NULL)),
                        NULL, err);
    gf__free(text);
    gf__json_free(typed);
    return st;
}

gf_status gf__operation_fail(gf_registry *registry, int64_t id, gf_status failure,
                             const char *message, gf_error *err)
{
    return gf__db_run(registry->db, GF__SQL_OPERATION_FINISH,
                      VALUES(gf__number(id), gf__number(gf__now_ms()), gf__text(NULL),
                             gf__number(gf__rpc_code(failure)), gf__text(message)),
                      NULL, err);
}

gf_status gf__operation_fail_with_version(gf_registry *registry, const gf__operation_row *row,
                                          gf_status failure, const char *message, gf_error *err)
{
    gf__version_row version = {0};
    gf_status st = GF_OK;
    if (row->version_id != 0)
        st = gf__version_find_id(registry, row->version_id, &version, err);
    if (st == GF_OK && version.state == GF__CREATING) {
        st = gf__db_run(registry->db, GF__SQL_FILE_DELETE, VALUES(gf__number(version.id)), NULL,
                        err);
        if (st == GF_OK)
            st = gf__version_set_state(registry, version.id, GF__FAILED, message, err);
    } else if (st == GF_OK && version.state == GF__DELETING) {
        st = gf__version_set_state(registry, version.id,
                                   version.error_message != NULL ? GF__FAILED : GF__READY,
                                   version.error_message, err);
    }
    if (st == GF_OK)
        st = gf__operation_fail(registry, row->id, failure, message, err);
    gf__version_row_free(&version);
    return st;
}

gf_status gf__operation_add_done(gf_registry *registry, const gf__operation_plan *plan,
                                 const char *response_type, const gf__json *response, char **out,
                                 gf_error *err)
{
    gf__operation_row row;
    gf_status st = gf__operation_add(registry, plan, &row, err);
    if (st == GF_OK)
        st = gf__operation_succeed(registry, row.id, response_type, response, err);
    if (st == GF_OK)
        st = gf__operation_text(registry, &row.full_name, out, err);
    gf__operation_row_free(&row);
    return st;
}

gf_status gf_registry_get_operation(gf_registry *registry, const char *name, char **operation,
                                    gf_error *err)
{
    return gf__call_read(registry, name, GF__KIND_OPERATION, gf__operation_text, operation, err);
}

static gf_status list_operation(gf_registry *registry, const gf__name *of, gf__rows *rows,
                                gf__list *list, gf_error *err)
{
    gf__operation_row row;
    gf__json *document = NULL;
    char position[24];
    gf_status st = gf__operation_read(rows, &row, err);
    if (st == GF_OK)
        st = gf__operation_document(&row, &document, err);
    snprintf(position, sizeof position, "%lld", (long long)row.id);
    if (st == GF_OK)
        gf__list_add(list, position, document);
    gf__operation_row_free(&row);
    return st;
}

static gf_status collect_operations(gf_registry *registry, const gf__name *of, gf__list *list,
                                    gf_error *err)
{
    return gf__list_add_rows(registry, GF__SQL_OPERATION_LIST,
                             VALUES(gf__text(of->project), gf__number(gf__list_before(list))), of,
                             list_operation, list, err);
}

gf_status gf_registry_list_operations(gf_registry *registry, const char *parent,
                                      const gf_registry_page *page, char **list, gf_error *err)
{
    return gf__list_answer(registry, "operations", GF__KIND_PROJECT, parent, page,
                           collect_operations, list, err);
}

static gf_status cancel(gf_registry *registry, const gf__name *name, gf_error *err)
{
    gf__operation_row row;
    gf_status st = gf__operation_find(registry, name, &row, err);
    if (st == GF_OK && !row.is_done)
        st = gf__db_run(registry->db, GF__SQL_OPERATION_ASK_CANCEL, VALUES(gf__number(row.id)),
                        NULL, err);
    if (st == GF_OK && row.is_waiting)
        st = gf__operation_fail_with_version(registry, &row, GF_ECANCELED,
                                             "canceled before it began", err);
    gf__operation_row_free(&row);
    return st;
}

gf_status gf_registry_cancel_operation(gf_registry *registry, const char *name, gf_error *err)
{
    gf__name parts;
    gf_status st = gf__name_parse(name, GF__KIND_OPERATION, &parts, err);
    if (st == GF_OK)
        st = gf__enter_write(registry, err);
    if (st != GF_OK)
        return st;
    return gf__leave(registry, cancel(registry, &parts, err), err);
}
