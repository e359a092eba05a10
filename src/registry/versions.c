/* registry/versions.c: versions: rows, documents, states. What clients call is in
 * version_calls.c. */
#include "registry/registry_priv.h"

#include <stdio.h>
#include <string.h>

static const char *const states[] = {[GF__CREATING] = "CREATING",
                                     [GF__READY] = "READY",
                                     [GF__FAILED] = "FAILED",
                                     [GF__DELETING] = "DELETING"};

const char *gf__state_name(gf__state state)
{
    return states[state];
}

static gf__state state_of(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(states[i], name) == 0)
            return (gf__state)i;
    }
    return GF__FAILED; /* the table's CHECK keeps others out */
}

static void copy_text(gf__rows *rows, int column, char *to, size_t size)
{
    const char *text = gf__rows_text(rows, column);
    snprintf(to, size, "%s", text != NULL ? text : "");
}

gf_status gf__version_read(gf__rows *rows, gf__version_row *row, gf_error *err)
{
    const char *source = gf__rows_text(rows, 4);
    const char *message = gf__rows_text(rows, 6);
    *row = (gf__version_row){.id = gf__rows_number(rows, 0),
                             .revision = gf__rows_number(rows, 1),
                             .source = source != NULL ? gf__strdup(source) : NULL,
                             .state = state_of(gf__rows_text(rows, 5)),
                             .error_message = message != NULL ? gf__strdup(message) : NULL,
                             .create_time = gf__rows_number(rows, 7),
                             .last_use_time = gf__rows_number(rows, 8),
                             .is_default = gf__rows_number(rows, 9) != 0,
                             .model_id = gf__rows_number(rows, 10),
                             .project_id = gf__rows_number(rows, 13)};
    copy_text(rows, 2, row->full_name.version, sizeof row->full_name.version);
    copy_text(rows, 11, row->full_name.model, sizeof row->full_name.model);
    copy_text(rows, 12, row->full_name.project, sizeof row->full_name.project);
    if (row->source == NULL || (message != NULL && row->error_message == NULL))
        return gf__error_nomem(err, "a version", sizeof *row);
    return gf__json_read_stored(gf__rows_text(rows, 3), &row->fields, err);
}

void gf__version_row_free(gf__version_row *row)
{
    gf__json_free(row->fields);
    gf__free(row->error_message);
    gf__free(row->source);
    row->fields = NULL;
    row->error_message = row->source = NULL;
}

gf_status gf__version_find(gf_registry *registry, const gf__name *name, gf__version_row *row,
                           gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    *row = (gf__version_row){0};
    gf_status st = gf__db_select(
        registry->db, GF__SQL_VERSION_GET,
        VALUES(gf__text(name->project), gf__text(name->model), gf__text(name->version)), &rows,
        err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    if (st == GF_OK && has_row)
        st = gf__version_read(rows, row, err);
    else if (st == GF_OK)
        st = gf_error_set(err, GF_ENOTFOUND, "projects/%s/models/%s/versions/%s: no such version",
                          name->project, name->model, name->version);
    gf__rows_end(rows);
    return st;
}

gf_status gf__version_find_id(gf_registry *registry, int64_t id, gf__version_row *row,
                              gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    *row = (gf__version_row){0};
    gf_status st = gf__db_select(registry->db, GF__SQL_VERSION_GET_BY_ID, VALUES(gf__number(id)),
                                 &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    if (st == GF_OK && has_row)
        st = gf__version_read(rows, row, err);
    else if (st == GF_OK)
        st = gf_error_set(err, GF_EPRECONDITION, "the version is gone");
    gf__rows_end(rows);
    return st;
}

gf_status gf__version_document(const gf__version_row *row, gf__json **out, gf_error *err)
{
    gf__json *document = gf__json_object();
    char *name = gf__name_text(&row->full_name);
    *out = NULL;
    gf__json_set(document, "name", name != NULL ? gf__json_new_string(name) : NULL);
    gf__free(name);
    const gf__json *value = NULL;
    const char *key = gf__json_next(row->fields, NULL, &value);
    for (; key != NULL; key = gf__json_next(row->fields, key, &value))
        gf__json_set(document, key, gf__json_copy(value));
    gf__set_time(document, "createTime", row->create_time);
    if (row->last_use_time > 0)
        gf__set_time(document, "lastUseTime", row->last_use_time);
    if (row->is_default)
        gf__json_set_bool(document, "isDefault", true);
    gf__json_set_string(document, "state", gf__state_name(row->state));
    if (row->error_message != NULL)
        gf__json_set_string(document, "errorMessage", row->error_message);
    gf__set_etag(document, "versions", row->id, row->revision);
    const gf_status st = gf__json_status(document, err);
    if (st != GF_OK) {
        gf__json_free(document);
        return st;
    }
    *out = document;
    return GF_OK;
}

gf_status gf__version_set_state(gf_registry *registry, int64_t id, gf__state state,
                                const char *error_message, gf_error *err)
{
    return gf__db_run(
        registry->db, GF__SQL_VERSION_SET_STATE,
        VALUES(gf__number(id), gf__text(gf__state_name(state)), gf__text(error_message)), NULL,
        err);
}

gf_status gf__version_make_default(gf_registry *registry, const gf__version_row *row, gf_error *err)
{
    if (row->state != GF__READY)
        return gf_error_set(err, GF_EPRECONDITION,
                            "projects/%s/models/%s/versions/%s: is %s; only a READY version can be "
                            "the default",
                            row->full_name.project, row->full_name.model, row->full_name.version,
                            gf__state_name(row->state));
    if (row->is_default)
        return GF_OK;
    return gf__db_run(registry->db, GF__SQL_MODEL_SET_DEFAULT,
                      VALUES(gf__number(row->model_id), gf__number(row->id)), NULL, err);
}
