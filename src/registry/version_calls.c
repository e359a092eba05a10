/* registry/version_calls.c: what clients do with versions. Each call is one transaction;
 * creating and deleting leave an operation behind that runner.c takes up. */
#include "registry/registry_priv.h"

#include <stdio.h>
#include <string.h>

static gf_status get_text(gf_registry *registry, const gf__name *name, char **out, gf_error *err)
{
    gf__version_row row;
    gf__json *document = NULL;
    gf_status st = gf__version_find(registry, name, &row, err);
    if (st == GF_OK)
        st = gf__version_document(&row, &document, err);
    if (st == GF_OK)
        st = gf__json_text(document, out, err);
    gf__json_free(document);
    gf__version_row_free(&row);
    return st;
}

gf_status gf_registry_get_version(gf_registry *registry, const char *name, char **version,
                                  gf_error *err)
{
    return gf__call_read(registry, name, GF__KIND_VERSION, get_text, version, err);
}

/* What a create was asked for, checked and ready to be stored. */
typedef struct new_version {
    gf__name name;
    char *fields;
    char *source;
} new_version;

static gf_status read_new(gf_registry *registry, const char *parent, const char *body,
                          new_version *out, gf_error *err)
{
    gf__json *document = NULL, *stored = NULL;
    gf_status st = gf__name_parse(parent, GF__KIND_MODEL, &out->name, err);
    if (st == GF_OK)
        st = gf__fields_read(body, GF__KIND_VERSION, &document, err);
    if (st != GF_OK)
        goto done;
    const char *bare = gf__json_string(gf__json_find(document, "name"), "");
    const char *address = gf__json_string(gf__json_find(document, "deploymentUri"), NULL);
    st = gf__name_check("version", bare, err);
    if (st == GF_OK)
        st = gf__version_check_fields(document, err);
    if (st == GF_OK && address == NULL)
        st = gf_error_set(err, GF_EINVAL, "deploymentUri: missing; it says where the model is");
    if (st == GF_OK)
        st = gf__origin_find(registry, address, &out->source, err);
    if (st != GF_OK)
        goto done;
    snprintf(out->name.version, sizeof out->name.version, "%s", bare);
    stored = gf__fields_stored(document);
    st = gf__json_text(stored, &out->fields, err);
done:
    gf__json_free(stored);
    gf__json_free(document);
    return st;
}

static gf_status refuse_existing(gf_registry *registry, const gf__name *name, gf_error *err)
{
    gf__version_row row;
    const gf_status st = gf__version_find(registry, name, &row, err);
    gf__version_row_free(&row);
    if (st == GF_ENOTFOUND)
        return GF_OK;
    if (st == GF_OK)
        return gf_error_set(
            err, GF_EEXISTS,
            "projects/%s/models/%s/versions/%s: exists already, and a version never "
            "changes; create one of another name",
            name->project, name->model, name->version);
    return st;
}

/* The row, and the default if it is the first. *row is ended by the caller in any case. */
static gf_status insert_row(gf_registry *registry, const new_version *request, gf__version_row *row,
                            gf_error *err)
{
    gf__model_row model;
    gf_status st = gf__model_find(registry, &request->name, &model, err);
    if (st == GF_OK)
        st = refuse_existing(registry, &request->name, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_VERSION_ADD,
                        VALUES(gf__number(model.id), gf__text(request->name.version),
                               gf__text(request->fields), gf__text(request->source),
                               gf__number(gf__now_ms())),
                        NULL, err);
    if (st == GF_OK)
        st = gf__version_find(registry, &request->name, row, err);
    if (st == GF_OK && model.default_version_id == 0) {
        row->is_default = true;
        st = gf__db_run(registry->db, GF__SQL_MODEL_SET_DEFAULT,
                        VALUES(gf__number(model.id), gf__number(row->id)), NULL, err);
    }
    gf__model_row_free(&model);
    return st;
}

/* The operation that is about a version as it is now; its text. response_type NULL: it waits. */
static gf_status add_operation(gf_registry *registry, const char *type, const char *verb,
                               const gf__version_row *row, const char *response_type,
                               char **operation, gf_error *err)
{
    gf__json *document = NULL, *shown = NULL;
    gf__operation_row added = {0};
    gf_status st = gf__version_document(row, &document, err);
    if (st != GF_OK)
        return st;
    const gf__operation_plan plan = {.type = type,
                                     .verb = verb,
                                     .project_id = row->project_id,
                                     .about = row->full_name,
                                     .version_id = row->id,
                                     .subject = document};
    if (response_type != NULL) {
        st = gf__operation_add_done(registry, &plan, response_type, document, operation, err);
    } else {
        st = gf__operation_add(registry, &plan, &added, err);
        if (st == GF_OK)
            st = gf__operation_document(&added, &shown, err);
        if (st == GF_OK)
            st = gf__json_text(shown, operation, err);
    }
    gf__json_free(shown);
    gf__operation_row_free(&added);
    gf__json_free(document);
    return st;
}

static gf_status insert_version(gf_registry *registry, const new_version *request, char **operation,
                                gf_error *err)
{
    gf__version_row row = {0};
    gf_status st = insert_row(registry, request, &row, err);
    if (st == GF_OK)
        st = add_operation(registry, "CREATE_VERSION", "create", &row, NULL, operation, err);
    gf__version_row_free(&row);
    return st;
}

gf_status gf_registry_create_version(gf_registry *registry, const char *parent, const char *body,
                                     char **operation, gf_error *err)
{
    new_version request = {0};
    char *text = NULL;
    *operation = NULL;
    gf_status st = read_new(registry, parent, body, &request, err);
    if (st == GF_OK)
        st = gf__enter_write(registry, err);
    if (st != GF_OK)
        goto done;
    st = insert_version(registry, &request, &text, err);
    st = gf__leave_with(registry, st, text, operation, err);
done:
    gf__free(request.source);
    gf__free(request.fields);
    return st;
}

static gf_status list_version(gf_registry *registry, const gf__name *model, gf__rows *rows,
                              gf__list *list, gf_error *err)
{
    gf__version_row row;
    gf__json *document = NULL;
    gf_status st = gf__version_read(rows, &row, err);
    if (st == GF_OK)
        st = gf__version_document(&row, &document, err);
    if (st == GF_OK)
        gf__list_add(list, row.full_name.version, document);
    gf__version_row_free(&row);
    return st;
}

static gf_status collect_versions(gf_registry *registry, const gf__name *model, gf__list *list,
                                  gf_error *err)
{
    gf__model_row owner;
    const gf_status st = gf__model_find(registry, model, &owner, err);
    gf__model_row_free(&owner);
    if (st != GF_OK)
        return st;
    return gf__list_add_rows(
        registry, GF__SQL_VERSION_LIST,
        VALUES(gf__text(model->project), gf__text(model->model), gf__text(list->after)), model,
        list_version, list, err);
}

gf_status gf_registry_list_versions(gf_registry *registry, const char *parent,
                                    const gf_registry_page *page, char **list, gf_error *err)
{
    return gf__list_answer(registry, "versions", GF__KIND_MODEL, parent, page, collect_versions,
                           list, err);
}

static gf_status refuse_unsettled(const gf__version_row *row, gf_error *err)
{
    if (row->state == GF__READY || row->state == GF__FAILED)
        return GF_OK;
    return gf_error_set(err, GF_EPRECONDITION,
                        "projects/%s/models/%s/versions/%s: is %s; wait for its operation to end",
                        row->full_name.project, row->full_name.model, row->full_name.version,
                        gf__state_name(row->state));
}

/* The fields that the mask makes of row's, in the place of row's. */
static gf_status change_fields(gf_registry *registry, gf__version_row *row, const gf__json *body,
                               const gf__mask *mask, gf_error *err)
{
    gf__json *before = NULL, *fields = NULL;
    char *text = NULL;
    gf_status st = gf__version_document(row, &before, err);
    if (st == GF_OK)
        st = gf__check_etag(body, before, err);
    if (st == GF_OK)
        st = refuse_unsettled(row, err);
    if (st == GF_OK)
        st = gf__mask_apply(mask, row->fields, body, &fields, err);
    if (st == GF_OK)
        st = gf__version_check_fields(fields, err);
    if (st == GF_OK)
        st = gf__json_text(fields, &text, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_VERSION_SET_FIELDS,
                        VALUES(gf__number(row->id), gf__text(text)), NULL, err);
    gf__free(text);
    gf__json_free(fields);
    gf__json_free(before);
    return st;
}

static gf_status patch_version(gf_registry *registry, const gf__name *name, const gf__json *body,
                               const gf__mask *mask, char **operation, gf_error *err)
{
    gf__version_row row = {0}, after = {0};
    gf_status st = gf__version_find(registry, name, &row, err);
    if (st == GF_OK)
        st = change_fields(registry, &row, body, mask, err);
    if (st == GF_OK)
        st = gf__version_find(registry, name, &after, err);
    if (st == GF_OK)
        st = add_operation(registry, "UPDATE_VERSION", "update", &after, GF__TYPE_VERSION,
                           operation, err);
    gf__version_row_free(&after);
    gf__version_row_free(&row);
    return st;
}

gf_status gf_registry_patch_version(gf_registry *registry, const char *name, const char *body,
                                    const char *mask, char **operation, gf_error *err)
{
    const gf__patch patch = {GF__KIND_VERSION, body, mask, patch_version};
    return gf__call_patch(registry, name, &patch, operation, err);
}

static gf_status refuse_default(gf_registry *registry, const gf__version_row *row, gf_error *err)
{
    gf__model_row model;
    gf_status st = gf__model_find(registry, &row->full_name, &model, err);
    if (st == GF_OK && row->is_default && model.n_versions > 1)
        st = gf_error_set(err, GF_EPRECONDITION,
                          "projects/%s/models/%s/versions/%s: is the default version; make another "
                          "one the default first",
                          row->full_name.project, row->full_name.model, row->full_name.version);
    gf__model_row_free(&model);
    return st;
}

static gf_status delete_version(gf_registry *registry, const gf__name *name, char **operation,
                                gf_error *err)
{
    gf__version_row row;
    gf_status st = gf__version_find(registry, name, &row, err);
    if (st == GF_OK)
        st = refuse_unsettled(&row, err);
    if (st == GF_OK)
        st = refuse_default(registry, &row, err);
    if (st == GF_OK) /* its message stays: it says which state a cancelled deletion goes back to */
        st = gf__version_set_state(registry, row.id, GF__DELETING, row.error_message, err);
    if (st == GF_OK) {
        row.state = GF__DELETING;
        row.revision++;
        st = add_operation(registry, "DELETE_VERSION", "delete", &row, NULL, operation, err);
    }
    gf__version_row_free(&row);
    return st;
}

gf_status gf_registry_delete_version(gf_registry *registry, const char *name, char **operation,
                                     gf_error *err)
{
    return gf__call_write(registry, name, GF__KIND_VERSION, delete_version, operation, err);
}

static gf_status set_default(gf_registry *registry, const gf__name *name, char **version,
                             gf_error *err)
{
    gf__version_row row;
    gf_status st = gf__version_find(registry, name, &row, err);
    if (st == GF_OK)
        st = gf__version_make_default(registry, &row, err);
    if (st == GF_OK)
        st = get_text(registry, name, version, err);
    gf__version_row_free(&row);
    return st;
}

gf_status gf_registry_set_default_version(gf_registry *registry, const char *name, char **version,
                                          gf_error *err)
{
    return gf__call_write(registry, name, GF__KIND_VERSION, set_default, version, err);
}

static gf_status note_use(gf_registry *registry, const gf__name *name, int64_t unix_time,
                          gf_error *err)
{
    gf__version_row row;
    gf_status st = gf__version_find(registry, name, &row, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_VERSION_USED,
                        VALUES(gf__number(row.id), gf__number(unix_time * 1000)), NULL, err);
    gf__version_row_free(&row);
    return st;
}

gf_status gf_registry_note_use(gf_registry *registry, const char *name, int64_t unix_time,
                               gf_error *err)
{
    gf__name parts;
    gf_status st = gf__name_parse(name, GF__KIND_VERSION, &parts, err);
    if (st == GF_OK)
        st = gf__enter_write(registry, err);
    if (st != GF_OK)
        return st;
    return gf__leave(registry, note_use(registry, &parts, unix_time, err), err);
}

static gf_status get_files(gf_registry *registry, const gf__name *name, gf_registry_files *out,
                           gf_error *err)
{
    gf__version_row row;
    gf_status st = gf__version_find(registry, name, &row, err);
    if (st == GF_OK)
        st = gf__files_read(registry, row.id, out, err);
    gf__version_row_free(&row);
    return st;
}

gf_status gf_registry_get_files(gf_registry *registry, const char *name, gf_registry_files *out,
                                gf_error *err)
{
    gf__name parts;
    *out = (gf_registry_files){0};
    gf_status st = gf__name_parse(name, GF__KIND_VERSION, &parts, err);
    if (st == GF_OK)
        st = gf__enter_read(registry, err);
    if (st != GF_OK)
        return st;
    return gf__leave(registry, get_files(registry, &parts, out, err), err);
}
