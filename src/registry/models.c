/* registry/models.c: models: rows, documents, and the five calls. All of them are one
 * transaction each. */
#include "registry/registry_priv.h"

#include <stdio.h>
#include <string.h>

/* The row under the columns of MODEL_COLUMNS. */
static gf_status read_row(gf__rows *rows, gf__model_row *row, gf_error *err)
{
    const char *name = gf__rows_text(rows, 2);
    *row = (gf__model_row){.id = gf__rows_number(rows, 0),
                           .revision = gf__rows_number(rows, 1),
                           .default_version_id = gf__rows_number(rows, 4),
                           .project_id = gf__rows_number(rows, 5),
                           .n_versions = gf__rows_number(rows, 6)};
    snprintf(row->name, sizeof row->name, "%s", name != NULL ? name : "");
    return gf__json_read_stored(gf__rows_text(rows, 3), &row->fields, err);
}

void gf__model_row_free(gf__model_row *row)
{
    gf__json_free(row->fields);
    row->fields = NULL;
}

static gf_status not_found(const gf__name *name, gf_error *err)
{
    return gf_error_set(err, GF_ENOTFOUND, "projects/%s/models/%s: no such model", name->project,
                        name->model);
}

gf_status gf__model_find(gf_registry *registry, const gf__name *name, gf__model_row *row,
                         gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    *row = (gf__model_row){0};
    gf_status st = gf__db_select(registry->db, GF__SQL_MODEL_GET,
                                 VALUES(gf__text(name->project), gf__text(name->model)), &rows,
                                 err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    if (st == GF_OK)
        st = has_row ? read_row(rows, row, err) : not_found(name, err);
    gf__rows_end(rows);
    return st;
}

static gf_status set_default_document(gf_registry *registry, const gf__model_row *row,
                                      gf__json *document, gf_error *err)
{
    gf__version_row version = {0};
    gf__json *value = NULL;
    if (row->default_version_id == 0)
        return GF_OK;
    gf_status st = gf__version_find_id(registry, row->default_version_id, &version, err);
    if (st == GF_OK)
        st = gf__version_document(&version, &value, err);
    if (st == GF_OK)
        gf__json_set(document, "defaultVersion", value);
    gf__version_row_free(&version);
    return st;
}

gf_status gf__model_document(gf_registry *registry, const char *project, const gf__model_row *row,
                             gf__json **out, gf_error *err)
{
    gf__json *document = gf__json_object();
    gf__name full = {0};
    *out = NULL;
    snprintf(full.project, sizeof full.project, "%s", project);
    snprintf(full.model, sizeof full.model, "%s", row->name);
    char *name = gf__name_text(&full);
    gf__json_set(document, "name", name != NULL ? gf__json_new_string(name) : NULL);
    gf__free(name);
    const gf__json *value = NULL;
    const char *key = gf__json_next(row->fields, NULL, &value);
    for (; key != NULL; key = gf__json_next(row->fields, key, &value))
        gf__json_set(document, key, gf__json_copy(value));
    gf_status st = set_default_document(registry, row, document, err);
    gf__set_etag(document, "models", row->id, row->revision);
    if (st == GF_OK)
        st = gf__json_status(document, err);
    if (st != GF_OK) {
        gf__json_free(document);
        return st;
    }
    *out = document;
    return GF_OK;
}

/* A model's document by its name. */
static gf_status get_document(gf_registry *registry, const gf__name *name, gf__json **out,
                              gf_error *err)
{
    gf__model_row row;
    *out = NULL;
    gf_status st = gf__model_find(registry, name, &row, err);
    if (st == GF_OK)
        st = gf__model_document(registry, name->project, &row, out, err);
    gf__model_row_free(&row);
    return st;
}

static gf_status get_text(gf_registry *registry, const gf__name *name, char **out, gf_error *err)
{
    gf__json *document = NULL;
    gf_status st = get_document(registry, name, &document, err);
    if (st == GF_OK)
        st = gf__json_text(document, out, err);
    gf__json_free(document);
    return st;
}

gf_status gf__project_add(gf_registry *registry, const char *project, int64_t *id, gf_error *err)
{
    bool has_row = false;
    gf_status st = gf__db_run(registry->db, GF__SQL_PROJECT_ADD,
                              VALUES(gf__text(project), gf__number(gf__now_ms())), NULL, err);
    if (st == GF_OK)
        st = gf__db_get_number(registry->db, GF__SQL_PROJECT_FIND, VALUES(gf__text(project)),
                               &has_row, id, err);
    return st;
}

static gf_status collect_projects(gf_registry *registry, gf__json *projects, gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    gf_status st = gf__db_select(registry->db, GF__SQL_PROJECT_LIST, NULL, 0, &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    while (st == GF_OK && has_row) {
        const char *name = gf__rows_text(rows, 0);
        gf__json_append(projects, name != NULL ? gf__json_new_string(name) : NULL);
        st = gf__rows_next(rows, &has_row, err);
    }
    gf__rows_end(rows);
    return st;
}

gf_status gf_registry_list_projects(gf_registry *registry, char **list, gf_error *err)
{
    *list = NULL;
    gf_status st = gf__enter_read(registry, err);
    if (st != GF_OK)
        return st;
    gf__json *document = gf__json_object(), *projects = gf__json_array();
    st = gf__leave(registry, collect_projects(registry, projects, err), err);
    gf__json_set(document, "projects", projects);
    if (st == GF_OK)
        st = gf__json_text(document, list, err);
    gf__json_free(document);
    return st;
}

static gf_status refuse_existing(gf_registry *registry, const gf__name *name, gf_error *err)
{
    gf__model_row row;
    const gf_status st = gf__model_find(registry, name, &row, err);
    gf__model_row_free(&row);
    if (st == GF_ENOTFOUND)
        return GF_OK;
    if (st == GF_OK)
        return gf_error_set(err, GF_EEXISTS, "projects/%s/models/%s: exists already", name->project,
                            name->model);
    return st;
}

static gf_status insert_model(gf_registry *registry, const gf__name *name, const char *fields,
                              char **model, gf_error *err)
{
    int64_t project_id = 0;
    gf_status st = refuse_existing(registry, name, err);
    if (st == GF_OK)
        st = gf__project_add(registry, name->project, &project_id, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_MODEL_ADD,
                        VALUES(gf__number(project_id), gf__text(name->model), gf__text(fields),
                               gf__number(gf__now_ms())),
                        NULL, err);
    if (st == GF_OK)
        st = get_text(registry, name, model, err);
    return st;
}

/* The bare name out of a body, checked, into the name of the parent. */
static gf_status take_name(const gf__json *body, gf__name *name, gf_error *err)
{
    const char *bare = gf__json_string(gf__json_find(body, "name"), "");
    const gf_status st = gf__name_check("model", bare, err);
    if (st == GF_OK)
        snprintf(name->model, sizeof name->model, "%s", bare);
    return st;
}

gf_status gf_registry_create_model(gf_registry *registry, const char *parent, const char *body,
                                   char **model, gf_error *err)
{
    gf__name name;
    gf__json *document = NULL, *stored = NULL;
    char *fields = NULL, *text = NULL;
    *model = NULL;
    gf_status st = gf__name_parse(parent, GF__KIND_PROJECT, &name, err);
    if (st == GF_OK)
        st = gf__fields_read(body, GF__KIND_MODEL, &document, err);
    if (st == GF_OK)
        st = take_name(document, &name, err);
    if (st != GF_OK)
        goto done;
    stored = gf__fields_stored(document);
    st = gf__json_text(stored, &fields, err);
    if (st == GF_OK)
        st = gf__enter_write(registry, err);
    if (st != GF_OK)
        goto done;
    st = insert_model(registry, &name, fields, &text, err);
    st = gf__leave_with(registry, st, text, model, err);
done:
    gf__free(fields);
    gf__json_free(stored);
    gf__json_free(document);
    return st;
}

gf_status gf_registry_get_model(gf_registry *registry, const char *name, char **model,
                                gf_error *err)
{
    return gf__call_read(registry, name, GF__KIND_MODEL, get_text, model, err);
}

static gf_status list_model(gf_registry *registry, const gf__name *of, gf__rows *rows,
                            gf__list *list, gf_error *err)
{
    gf__model_row row;
    gf__json *document = NULL;
    gf_status st = read_row(rows, &row, err);
    if (st == GF_OK)
        st = gf__model_document(registry, of->project, &row, &document, err);
    if (st == GF_OK)
        gf__list_add(list, row.name, document);
    gf__model_row_free(&row);
    return st;
}

static gf_status collect_models(gf_registry *registry, const gf__name *of, gf__list *list,
                                gf_error *err)
{
    return gf__list_add_rows(registry, GF__SQL_MODEL_LIST,
                             VALUES(gf__text(of->project), gf__text(list->after)), of, list_model,
                             list, err);
}

gf_status gf_registry_list_models(gf_registry *registry, const char *parent,
                                  const gf_registry_page *page, char **list, gf_error *err)
{
    return gf__list_answer(registry, "models", GF__KIND_PROJECT, parent, page, collect_models, list,
                           err);
}

/* default_version.name of a patch: bare, or the full name of a version of this model. */
static gf_status patch_default(gf_registry *registry, const gf__name *model, const gf__json *body,
                               gf_error *err)
{
    const char *wanted = gf__json_string(
        gf__json_find(gf__json_find(body, "defaultVersion"), "name"), "");
    gf__name name = *model;
    gf__version_row row = {0};
    gf_status st = GF_OK;
    if (strchr(wanted, '/') != NULL)
        st = gf__name_parse(wanted, GF__KIND_VERSION, &name, err);
    else
        st = gf__name_check("version", wanted, err);
    if (st != GF_OK)
        return st;
    if (strchr(wanted, '/') == NULL)
        snprintf(name.version, sizeof name.version, "%s", wanted);
    if (strcmp(name.project, model->project) != 0 || strcmp(name.model, model->model) != 0)
        return gf_error_set(err, GF_EINVAL, "defaultVersion.name: \"%s\" is not of this model",
                            wanted);
    st = gf__version_find(registry, &name, &row, err);
    if (st == GF_OK)
        st = gf__version_make_default(registry, &row, err);
    gf__version_row_free(&row);
    return st;
}

static gf_status finish_patch(gf_registry *registry, const gf__name *name, const gf__model_row *row,
                              char **operation, gf_error *err)
{
    gf__json *document = NULL;
    const gf__operation_plan plan = {
        .type = "UPDATE_MODEL", .verb = "update", .project_id = row->project_id, .about = *name};
    gf_status st = get_document(registry, name, &document, err);
    if (st == GF_OK)
        st = gf__operation_add_done(registry, &plan, GF__TYPE_MODEL, document, operation, err);
    gf__json_free(document);
    return st;
}

static gf_status patch_model(gf_registry *registry, const gf__name *name, const gf__json *body,
                             const gf__mask *mask, char **operation, gf_error *err)
{
    gf__model_row row = {0};
    gf__json *before = NULL, *fields = NULL;
    char *text = NULL;
    gf_status st = gf__model_find(registry, name, &row, err);
    if (st == GF_OK)
        st = gf__model_document(registry, name->project, &row, &before, err);
    if (st == GF_OK)
        st = gf__check_etag(body, before, err);
    if (st == GF_OK)
        st = gf__mask_apply(mask, row.fields, body, &fields, err);
    if (st == GF_OK)
        st = gf__json_text(fields, &text, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_MODEL_SET_FIELDS,
                        VALUES(gf__number(row.id), gf__text(text)), NULL, err);
    if (st == GF_OK && gf__mask_has(mask, "defaultVersion.name"))
        st = patch_default(registry, name, body, err);
    if (st == GF_OK)
        st = finish_patch(registry, name, &row, operation, err);
    gf__free(text);
    gf__json_free(fields);
    gf__json_free(before);
    gf__model_row_free(&row);
    return st;
}

gf_status gf_registry_patch_model(gf_registry *registry, const char *name, const char *body,
                                  const char *mask, char **operation, gf_error *err)
{
    const gf__patch patch = {GF__KIND_MODEL, body, mask, patch_model};
    return gf__call_patch(registry, name, &patch, operation, err);
}

static gf_status delete_model(gf_registry *registry, const gf__name *name, char **operation,
                              gf_error *err)
{
    gf__model_row row;
    gf_status st = gf__model_find(registry, name, &row, err);
    if (st == GF_OK && row.n_versions > 0)
        st = gf_error_set(err, GF_EPRECONDITION,
                          "projects/%s/models/%s: has %lld version%s; delete %s first",
                          name->project, name->model, (long long)row.n_versions,
                          row.n_versions == 1 ? "" : "s", row.n_versions == 1 ? "it" : "them");
    const gf__operation_plan plan = {
        .type = "DELETE_MODEL", .verb = "delete", .project_id = row.project_id, .about = *name};
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_MODEL_DELETE, VALUES(gf__number(row.id)), NULL, err);
    if (st == GF_OK)
        st = gf__operation_add_done(registry, &plan, GF__TYPE_EMPTY, NULL, operation, err);
    gf__model_row_free(&row);
    return st;
}

gf_status gf_registry_delete_model(gf_registry *registry, const char *name, char **operation,
                                   gf_error *err)
{
    return gf__call_write(registry, name, GF__KIND_MODEL, delete_model, operation, err);
}
