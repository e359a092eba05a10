/* registry/jobs.c: jobs: rows, documents, and the calls of clients. Who works them off is in jobs/;
 * what that needs from here is in job_keeper.c.
 *
 *     QUEUED -> PREPARING -> RUNNING -> SUCCEEDED, FAILED
 *        |          |           |
 *        |          +-----------+--> CANCELLING -> CANCELLED (or an end that was faster)
 *        +--> CANCELLED, FAILED
 */
#include "registry/registry_priv.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "registry/job_fields_priv.h"

#define CANCEL_MESSAGE "The job was cancelled by a client's request."

static const char *const states[] = {
    [GF__JOB_QUEUED] = "QUEUED",       [GF__JOB_PREPARING] = "PREPARING",
    [GF__JOB_RUNNING] = "RUNNING",     [GF__JOB_SUCCEEDED] = "SUCCEEDED",
    [GF__JOB_FAILED] = "FAILED",       [GF__JOB_CANCELLING] = "CANCELLING",
    [GF__JOB_CANCELLED] = "CANCELLED",
};

const char *gf__job_state_name(gf__job_state state)
{
    assert((size_t)state < sizeof states / sizeof states[0]);
    return states[state];
}

static gf__job_state state_of(const char *name)
{
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(states[i], name) == 0)
            return (gf__job_state)i;
    }
    return GF__JOB_FAILED; /* the table's CHECK keeps others out */
}

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

gf_status gf__job_read(gf__rows *rows, gf__job_row *row, gf_error *err)
{
    const char *state = gf__rows_text(rows, 5);
    *row = (gf__job_row){.id = gf__rows_number(rows, 0),
                         .revision = gf__rows_number(rows, 1),
                         .priority = gf__rows_number(rows, 6),
                         .create_time = gf__rows_number(rows, 7),
                         .start_time = gf__rows_number(rows, 8),
                         .end_time = gf__rows_number(rows, 9),
                         .n_attempts = gf__rows_number(rows, 10),
                         .position = gf__rows_number(rows, 14)};
    if (state == NULL) /* the column is NOT NULL: SQLite had no memory */
        return gf__error_nomem(err, "a job", sizeof *row);
    row->state = state_of(state);
    copy_text(rows, 2, row->full_name.project, sizeof row->full_name.project);
    copy_text(rows, 3, row->full_name.job, sizeof row->full_name.job);
    if (!keep_text(rows, 11, &row->place) || !keep_text(rows, 12, &row->output) ||
        !keep_text(rows, 13, &row->error_message))
        return gf__error_nomem(err, "a job", sizeof *row);
    return gf__json_read_stored(gf__rows_text(rows, 4), &row->fields, err);
}

void gf__job_row_free(gf__job_row *row)
{
    gf__json_free(row->fields);
    gf__free(row->place);
    gf__free(row->output);
    gf__free(row->error_message);
    row->fields = NULL;
    row->place = row->output = row->error_message = NULL;
}

/* The first row of a query that began with status st. */
static gf_status read_first(gf_status st, gf__rows *rows, gf__job_row *row, bool *has_row,
                            gf_error *err)
{
    *has_row = false;
    *row = (gf__job_row){0};
    if (st == GF_OK)
        st = gf__rows_next(rows, has_row, err);
    if (st == GF_OK && *has_row)
        st = gf__job_read(rows, row, err);
    gf__rows_end(rows);
    return st;
}

gf_status gf__job_find(gf_registry *registry, const gf__name *name, gf__job_row *row, gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    gf_status st = gf__db_select(registry->db, GF__SQL_JOB_GET,
                                 VALUES(gf__text(name->project), gf__text(name->job)), &rows, err);
    st = read_first(st, rows, row, &has_row, err);
    if (st == GF_OK && !has_row)
        st = gf_error_set(err, GF_ENOTFOUND, "projects/%s/jobs/%s: no such job", name->project,
                          name->job);
    return st;
}

gf_status gf__job_find_id(gf_registry *registry, int64_t id, gf__job_row *row, gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    gf_status st = gf__db_select(registry->db, GF__SQL_JOB_GET_BY_ID, VALUES(gf__number(id)), &rows,
                                 err);
    st = read_first(st, rows, row, &has_row, err);
    if (st == GF_OK && !has_row)
        st = gf_error_set(err, GF_ENOTFOUND, "job %lld: no such job", (long long)id);
    return st;
}

/* ---- documents ---- */

/* An object even before anything was noted, as the API has it. */
static gf_status set_output(const gf__job_row *row, gf__json *document, gf_error *err)
{
    const char *key = gf__json_find(row->fields, "predictionInput") != NULL ? "predictionOutput"
                                                                            : "trainingOutput";
    gf__json *output = NULL;
    if (row->output == NULL) {
        gf__json_set(document, key, gf__json_object());
        return GF_OK;
    }
    const gf_status st = gf__json_read_stored(row->output, &output, err);
    if (st == GF_OK)
        gf__json_set(document, key, output);
    return st;
}

static void set_position(const gf__job_row *row, gf__json *document)
{
    char digits[24];
    if (row->state != GF__JOB_QUEUED)
        return;
    snprintf(digits, sizeof digits, "%lld", (long long)row->position);
    gf__json_set_string(document, "jobPosition", digits);
}

gf_status gf__job_document(const gf__job_row *row, gf__json **out, gf_error *err)
{
    gf__json *document = gf__json_object();
    const gf__json *value = NULL;
    *out = NULL;
    gf__json_set_string(document, "jobId", row->full_name.job);
    const char *key = gf__json_next(row->fields, NULL, &value);
    for (; key != NULL; key = gf__json_next(row->fields, key, &value))
        gf__json_set(document, key, gf__json_copy(value));
    gf__set_time(document, "createTime", row->create_time);
    if (row->start_time > 0)
        gf__set_time(document, "startTime", row->start_time);
    if (row->end_time > 0)
        gf__set_time(document, "endTime", row->end_time);
    gf__json_set_string(document, "state", gf__job_state_name(row->state));
    if (row->error_message != NULL)
        gf__json_set_string(document, "errorMessage", row->error_message);
    gf_status st = set_output(row, document, err);
    set_position(row, document);
    gf__set_etag(document, "jobs", row->id, row->revision);
    if (st == GF_OK)
        st = gf__json_status(document, err);
    if (st != GF_OK) {
        gf__json_free(document);
        return st;
    }
    *out = document;
    return GF_OK;
}

static gf_status get_text(gf_registry *registry, const gf__name *name, char **out, gf_error *err)
{
    gf__job_row row;
    gf__json *document = NULL;
    gf_status st = gf__job_find(registry, name, &row, err);
    if (st == GF_OK)
        st = gf__job_document(&row, &document, err);
    if (st == GF_OK)
        st = gf__json_text(document, out, err);
    gf__json_free(document);
    gf__job_row_free(&row);
    return st;
}

/* ---- calls ---- */

static gf_status insert_job(gf_registry *registry, const gf__name *name, const char *fields,
                            int64_t priority, char **job, gf_error *err)
{
    int64_t project_id = 0;
    size_t n_added = 0;
    gf_status st = gf__project_add(registry, name->project, &project_id, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_JOB_ADD,
                        VALUES(gf__number(project_id), gf__text(name->job), gf__text(fields),
                               gf__number(priority), gf__number(gf__now_ms())),
                        &n_added, err);
    if (st == GF_OK && n_added == 0)
        st = gf_error_set(err, GF_EEXISTS, "projects/%s/jobs/%s: exists already", name->project,
                          name->job);
    if (st == GF_OK)
        st = get_text(registry, name, job, err);
    return st;
}

/* The bare name out of a body, checked, into the name of the parent. */
static gf_status take_id(const gf__json *body, gf__name *name, gf_error *err)
{
    const char *id = gf__json_string(gf__json_find(body, "jobId"), "");
    const gf_status st = gf__name_check("job", id, err);
    if (st == GF_OK)
        snprintf(name->job, sizeof name->job, "%s", id);
    else
        gf__error_prefix(err, "jobId");
    return st;
}

/* The fields as text, and checked as they will be read from it: two fractions may have become one,
 * for texts have nine digits of them. */
static gf_status store_fields(gf_registry *registry, const char *project, const gf__json *body,
                              char **fields, int64_t *priority, gf_error *err)
{
    gf__json *stored = gf__fields_stored(body), *kept = NULL;
    gf_status st = gf__json_text(stored, fields, err);
    if (st == GF_OK)
        st = gf__json_read_stored(*fields, &kept, err);
    if (st == GF_OK)
        st = gf__job_check_fields(registry, project, kept, err);
    const gf__json *scheduling = gf__json_find(gf__json_find(kept, "trainingInput"), "scheduling");
    *priority = gf__json_int(gf__json_find(scheduling, "priority"), 0);
    gf__json_free(kept);
    gf__json_free(stored);
    return st;
}

gf_status gf_registry_create_job(gf_registry *registry, const char *parent, const char *body,
                                 char **job, gf_error *err)
{
    gf__name name;
    gf__json *document = NULL;
    char *fields = NULL, *text = NULL;
    int64_t priority = 0;
    *job = NULL;
    gf_status st = gf__name_parse(parent, GF__KIND_PROJECT, &name, err);
    if (st == GF_OK)
        st = gf__fields_read(body, GF__KIND_JOB, &document, err);
    if (st == GF_OK)
        st = take_id(document, &name, err);
    if (st == GF_OK)
        st = store_fields(registry, name.project, document, &fields, &priority, err);
    if (st == GF_OK)
        st = gf__enter_write(registry, err);
    if (st != GF_OK)
        goto done;
    st = insert_job(registry, &name, fields, priority, &text, err);
    st = gf__leave_with(registry, st, text, job, err);
done:
    gf__free(fields);
    gf__json_free(document);
    return st;
}

gf_status gf_registry_get_job(gf_registry *registry, const char *name, char **job, gf_error *err)
{
    return gf__call_read(registry, name, GF__KIND_JOB, get_text, job, err);
}

static gf_status list_job(gf_registry *registry, const gf__name *of, gf__rows *rows, gf__list *list,
                          gf_error *err)
{
    gf__job_row row;
    gf__json *document = NULL;
    char position[24];
    gf_status st = gf__job_read(rows, &row, err);
    if (st == GF_OK)
        st = gf__job_document(&row, &document, err);
    snprintf(position, sizeof position, "%lld", (long long)row.id);
    if (st == GF_OK)
        gf__list_add(list, position, document);
    gf__job_row_free(&row);
    return st;
}

static gf_status collect_jobs(gf_registry *registry, const gf__name *of, gf__list *list,
                              gf_error *err)
{
    return gf__list_add_rows(registry, GF__SQL_JOB_LIST,
                             VALUES(gf__text(of->project), gf__number(gf__list_before(list))), of,
                             list_job, list, err);
}

gf_status gf_registry_list_jobs(gf_registry *registry, const char *parent,
                                const gf_registry_page *page, char **list, gf_error *err)
{
    return gf__list_answer(registry, "jobs", GF__KIND_PROJECT, parent, page, collect_jobs, list,
                           err);
}

static gf_status patch_job(gf_registry *registry, const gf__name *name, const gf__json *body,
                           const gf__mask *mask, char **job, gf_error *err)
{
    gf__job_row row = {0};
    gf__json *before = NULL, *fields = NULL;
    char *text = NULL;
    gf_status st = gf__job_find(registry, name, &row, err);
    if (st == GF_OK)
        st = gf__job_document(&row, &before, err);
    if (st == GF_OK)
        st = gf__check_etag(body, before, err);
    if (st == GF_OK)
        st = gf__mask_apply(mask, row.fields, body, &fields, err);
    if (st == GF_OK)
        st = gf__json_text(fields, &text, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_JOB_SET_FIELDS,
                        VALUES(gf__number(row.id), gf__text(text)), NULL, err);
    if (st == GF_OK)
        st = get_text(registry, name, job, err);
    gf__free(text);
    gf__json_free(fields);
    gf__json_free(before);
    gf__job_row_free(&row);
    return st;
}

gf_status gf_registry_patch_job(gf_registry *registry, const char *name, const char *body,
                                const char *mask, char **job, gf_error *err)
{
    const gf__patch patch = {GF__KIND_JOB, body, mask, patch_job};
    return gf__call_patch(registry, name, &patch, job, err);
}

static gf_status cancel(gf_registry *registry, const gf__name *name, gf_error *err)
{
    gf__job_row row;
    gf_status st = gf__job_find(registry, name, &row, err);
    if (st == GF_OK && row.state == GF__JOB_QUEUED)
        st = gf__db_run(registry->db, GF__SQL_JOB_FINISH,
                        VALUES(gf__number(row.id), gf__text(states[GF__JOB_CANCELLED]),
                               gf__number(gf__now_ms()), gf__text(CANCEL_MESSAGE)),
                        NULL, err);
    else if (st == GF_OK && (row.state == GF__JOB_PREPARING || row.state == GF__JOB_RUNNING))
        st = gf__db_run(registry->db, GF__SQL_JOB_SET_STATE,
                        VALUES(gf__number(row.id), gf__text(states[GF__JOB_CANCELLING]),
                               gf__text(CANCEL_MESSAGE)),
                        NULL, err);
    else if (st == GF_OK && (row.state == GF__JOB_SUCCEEDED || row.state == GF__JOB_FAILED))
        st = gf_error_set(err, GF_EPRECONDITION,
                          "projects/%s/jobs/%s: has %s; only a job that has not ended can be "
                          "cancelled",
                          name->project, name->job, states[row.state]);
    gf__job_row_free(&row);
    return st;
}

gf_status gf_registry_cancel_job(gf_registry *registry, const char *name, gf_error *err)
{
    gf__name parts;
    gf_status st = gf__name_parse(name, GF__KIND_JOB, &parts, err);
    if (st == GF_OK)
        st = gf__enter_write(registry, err);
    if (st != GF_OK)
        return st;
    return gf__leave(registry, cancel(registry, &parts, err), err);
}
