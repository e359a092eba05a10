/* registry/job_keeper.c: what the keeper of jobs reads and writes: one transaction a call, so that a
 * client's cancel comes before or after it, never in between. */
#include "registry/registry_priv.h"

#include <assert.h>
#include <string.h>

/* ---- reading ---- */

void gf__job_list_free(gf__job_list *list)
{
    for (size_t i = 0; i < list->n_jobs; i++) {
        gf__free(list->jobs[i].name);
        gf__free(list->jobs[i].place);
        gf__free(list->jobs[i].document);
    }
    gf__free(list->jobs);
    *list = (gf__job_list){0};
}

/* Fills a job in the list, whose texts are freed with it even if one is missing. */
static gf_status fill_job(gf__job *job, gf__job_row *row, gf_error *err)
{
    gf__json *document = NULL;
    *job = (gf__job){.id = row->id,
                     .state = row->state,
                     .priority = (int)row->priority,
                     .create_time_ms = row->create_time,
                     .start_time_ms = row->start_time,
                     .n_attempts = (int)row->n_attempts,
                     .name = gf__name_text(&row->full_name),
                     .place = row->place};
    row->place = NULL; /* moved */
    if (job->name == NULL)
        return gf__error_nomem(err, "a job", sizeof *job);
    gf_status st = gf__job_document(row, &document, err);
    if (st == GF_OK)
        st = gf__json_text(document, &job->document, err);
    gf__json_free(document);
    return st;
}

static gf_status add_job(gf__job_list *list, size_t *capacity, gf__job_row *row, gf_error *err)
{
    if (list->n_jobs == *capacity) {
        const size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
        gf__job *jobs = gf__realloc(list->jobs, wanted * sizeof *jobs);
        if (jobs == NULL)
            return gf__error_nomem(err, "a list of jobs", wanted * sizeof *jobs);
        list->jobs = jobs;
        *capacity = wanted;
    }
    return fill_job(&list->jobs[list->n_jobs++], row, err);
}

static gf_status collect_open(gf_registry *registry, gf__job_list *list, gf_error *err)
{
    gf__rows *rows = NULL;
    bool has_row = false;
    size_t capacity = 0;
    gf_status st = gf__db_select(registry->db, GF__SQL_JOB_LIST_OPEN, NULL, 0, &rows, err);
    if (st == GF_OK)
        st = gf__rows_next(rows, &has_row, err);
    while (st == GF_OK && has_row) {
        gf__job_row row;
        st = gf__job_read(rows, &row, err);
        if (st == GF_OK)
            st = add_job(list, &capacity, &row, err);
        gf__job_row_free(&row);
        if (st == GF_OK)
            st = gf__rows_next(rows, &has_row, err);
    }
    gf__rows_end(rows);
    return st;
}

gf_status gf__registry_open_jobs(gf_registry *registry, gf__job_list *out, gf_error *err)
{
    assert(registry->lock != NULL);
    *out = (gf__job_list){0};
    gf_status st = gf__enter_read(registry, err);
    if (st != GF_OK)
        return st;
    return gf__leave(registry, collect_open(registry, out, err), err);
}

gf_status gf__registry_job_dir(gf_registry *registry, const char *name, char **dir,
                               gf__job_state *state, gf_error *err)
{
    gf__name parts;
    gf__job_row row;
    *dir = NULL;
    gf_status st = gf__name_parse(name, GF__KIND_JOB, &parts, err);
    if (st == GF_OK)
        st = gf__enter_read(registry, err);
    if (st != GF_OK)
        return st;
    st = gf__leave(registry, gf__job_find(registry, &parts, &row, err), err);
    if (st == GF_OK) {
        *dir = gf__asprintf("%s/jobs/%lld", registry->home, (long long)row.id);
        if (*dir == NULL)
            st = gf__error_nomem(err, "a path", strlen(registry->home));
    }
    if (st == GF_OK && state != NULL)
        *state = row.state;
    gf__job_row_free(&row);
    return st;
}

/* ---- writing ---- */

static bool has_ended(gf__job_state state)
{
    return state == GF__JOB_SUCCEEDED || state == GF__JOB_FAILED || state == GF__JOB_CANCELLED;
}

static gf_status refuse_state(const gf__job_row *row, const char *what, gf_error *err)
{
    return gf_error_set(err, GF_EPRECONDITION, "projects/%s/jobs/%s: is %s, %s",
                        row->full_name.project, row->full_name.job, gf__job_state_name(row->state),
                        what);
}

/* One change of one job: a transaction around what decides by its row. */
typedef struct change {
    gf_status (*work)(gf_registry *registry, const gf__job_row *row, const struct change *change,
                      gf_error *err);
    const char *text; /* place, or error message */
    const char *output;
    bool is_running;
    gf__job_state state;
} change;

static gf_status run_change(gf_registry *registry, int64_t id, const change *of, gf_error *err)
{
    gf__job_row row = {0};
    assert(registry->lock != NULL);
    gf_status st = gf__enter_write(registry, err);
    if (st != GF_OK)
        return st;
    st = gf__job_find_id(registry, id, &row, err);
    if (st == GF_OK)
        st = of->work(registry, &row, of, err);
    st = gf__leave(registry, st, err);
    gf__job_row_free(&row);
    return st;
}

/* It comes from a file that a job's process wrote. */
static gf_status check_output(const char *output, gf_error *err)
{
    gf__json *document = NULL;
    if (output == NULL)
        return GF_OK;
    gf_status st = gf__json_parse(output, strlen(output), &document, err);
    if (st == GF_OK && !gf__json_is_object(document))
        st = gf_error_set(err, GF_EFORMAT, "expected an object");
    if (st == GF_EFORMAT)
        gf__error_prefix(err, "a job's output");
    gf__json_free(document);
    return st;
}

static gf_status set_output(gf_registry *registry, const gf__job_row *row, const char *output,
                            gf_error *err)
{
    if (output == NULL || (row->output != NULL && strcmp(output, row->output) == 0))
        return GF_OK; /* nothing new: nothing is written to the disk */
    return gf__db_run(registry->db, GF__SQL_JOB_SET_OUTPUT,
                      VALUES(gf__number(row->id), gf__text(output)), NULL, err);
}

static gf_status begin_attempt(gf_registry *registry, const gf__job_row *row, const change *of,
                               gf_error *err)
{
    (void)of;
    if (row->state != GF__JOB_QUEUED && row->state != GF__JOB_PREPARING &&
        row->state != GF__JOB_RUNNING)
        return refuse_state(row, "no attempt may begin", err);
    const gf__job_state next = row->state == GF__JOB_QUEUED ? GF__JOB_PREPARING : row->state;
    return gf__db_run(registry->db, GF__SQL_JOB_BEGIN,
                      VALUES(gf__number(row->id), gf__text(gf__job_state_name(next))), NULL, err);
}

gf_status gf__registry_begin_attempt(gf_registry *registry, int64_t id, gf_error *err)
{
    const change of = {.work = begin_attempt};
    return run_change(registry, id, &of, err);
}

static gf_status note_place(gf_registry *registry, const gf__job_row *row, const change *of,
                            gf_error *err)
{
    if (row->state == GF__JOB_QUEUED || has_ended(row->state))
        return refuse_state(row, "it has no attempt that could be anywhere", err);
    return gf__db_run(registry->db, GF__SQL_JOB_SET_PLACE,
                      VALUES(gf__number(row->id), gf__text(of->text)), NULL, err);
}

gf_status gf__registry_note_place(gf_registry *registry, int64_t id, const char *place,
                                  gf_error *err)
{
    const change of = {.work = note_place, .text = place};
    return run_change(registry, id, &of, err);
}

static gf_status note_progress(gf_registry *registry, const gf__job_row *row, const change *of,
                               gf_error *err)
{
    gf_status st = GF_OK;
    if (row->state == GF__JOB_QUEUED || has_ended(row->state))
        return refuse_state(row, "it has no attempt that could make progress", err);
    if (of->is_running && row->state == GF__JOB_PREPARING)
        st = gf__db_run(registry->db, GF__SQL_JOB_START,
                        VALUES(gf__number(row->id), gf__number(gf__now_ms())), NULL, err);
    if (st == GF_OK)
        st = set_output(registry, row, of->output, err);
    return st;
}

gf_status gf__registry_note_progress(gf_registry *registry, int64_t id, bool is_running,
                                     const char *output, gf_error *err)
{
    const change of = {.work = note_progress, .is_running = is_running, .output = output};
    const gf_status st = check_output(output, err);
    return st == GF_OK ? run_change(registry, id, &of, err) : st;
}

static gf_status end_job(gf_registry *registry, const gf__job_row *row, const change *of,
                         gf_error *err)
{
    if (has_ended(row->state))
        return refuse_state(row, "it cannot end again", err);
    const char *message = of->text;
    if (message == NULL && of->state == GF__JOB_CANCELLED)
        message = row->error_message; /* who cancelled it, said when that was asked for */
    gf_status st = set_output(registry, row, of->output, err);
    if (st == GF_OK)
        st = gf__db_run(registry->db, GF__SQL_JOB_FINISH,
                        VALUES(gf__number(row->id), gf__text(gf__job_state_name(of->state)),
                               gf__number(gf__now_ms()), gf__text(message)),
                        NULL, err);
    return st;
}

gf_status gf__registry_end_job(gf_registry *registry, int64_t id, gf__job_state state,
                               const char *error_message, const char *output, gf_error *err)
{
    const change of = {.work = end_job, .state = state, .text = error_message, .output = output};
    assert(has_ended(state));
    const gf_status st = check_output(output, err);
    return st == GF_OK ? run_change(registry, id, &of, err) : st;
}
