/* jobs/outcome.c: progress.json and result.json, as their processes left them, and what is said of a
 * process that left nothing. Programs of users can write there: what is not as it should be is as good
 * as not there. */
#include <stdio.h>
#include <string.h>

#include "jobs/keeper_priv.h"

#define MAX_BYTES       ((size_t)64 << 20)
#define TAIL_LINES      10
#define TAIL_BYTES      4000
#define MAX_PROCESS_LOG ((size_t)1 << 20)

static bool state_of(const char *name, const gf__job_state *known, size_t n_known,
                     gf__job_state *out)
{
    for (size_t i = 0; name != NULL && i < n_known; i++) {
        *out = known[i];
        if (strcmp(gf__job_state_name(known[i]), name) == 0)
            return true;
    }
    return false;
}

static gf_status write_output(const gf__json *output, char **out, gf_error *err)
{
    gf__buffer text = {0};
    gf__json_write(output, false, &text);
    const gf_status st = gf__buffer_status(&text, err);
    if (st == GF_OK)
        *out = gf__buffer_take(&text, NULL);
    gf__buffer_free(&text);
    return st;
}

static gf_status take(const gf__json *document, const gf__job_state *known, size_t n_known,
                      gf__job_left *out, gf_error *err)
{
    const char *message = gf__json_string(gf__json_find(document, "errorMessage"), NULL);
    const gf__json *output = gf__json_find(document, "output");
    gf_status st = GF_OK;
    if (!state_of(gf__json_string(gf__json_find(document, "state"), NULL), known, n_known,
                  &out->state))
        return GF_OK;
    out->attempt = (int)gf__json_int(gf__json_find(document, "attempt"), 0);
    if (message != NULL) {
        out->error_message = gf__strdup(message);
        if (out->error_message == NULL)
            return gf__error_nomem(err, "a message", strlen(message));
    }
    if (gf__json_is_object(output))
        st = write_output(output, &out->output, err);
    out->is_there = st == GF_OK;
    return st;
}

static gf_status read_left(const char *dir, const char *name, const gf__job_state *known,
                           size_t n_known, gf__job_left *out, gf_error *err)
{
    char *path = gf__path_join(dir, name), *text = NULL;
    size_t size = 0;
    gf__json *document = NULL;
    gf_status st = GF_OK;
    *out = (gf__job_left){.is_there = false};
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(dir));
    if (gf__is_file(path))
        st = gf__read_file(path, MAX_BYTES, &text, &size, err);
    if (st == GF_OK && text != NULL) {
        st = gf__json_parse(text, size, &document, err);
        if (st == GF_OK)
            st = take(document, known, n_known, out, err);
    }
    if (st == GF_EFORMAT || st == GF_ELIMIT || st == GF_ENOTFOUND)
        st = GF_OK;
    gf__json_free(document);
    gf__free(text);
    gf__free(path);
    return st;
}

gf_status gf__job_progress_read(const char *dir, gf__job_left *out, gf_error *err)
{
    static const gf__job_state known[] = {GF__JOB_PREPARING, GF__JOB_RUNNING};
    return read_left(dir, "progress.json", known, 2, out, err);
}

gf_status gf__job_result_read(const char *dir, gf__job_left *out, gf_error *err)
{
    static const gf__job_state known[] = {GF__JOB_SUCCEEDED, GF__JOB_FAILED, GF__JOB_CANCELLED};
    return read_left(dir, "result.json", known, 3, out, err);
}

void gf__job_left_free(gf__job_left *left)
{
    gf__free(left->error_message);
    gf__free(left->output);
    *left = (gf__job_left){.is_there = false};
}

/* What the program said last; else what the process itself did: that it lacks a library, or memory.
 * New; NULL: nothing. */
static char *last_words(const char *dir)
{
    char *tail = NULL, *text = NULL, *path = NULL;
    size_t size = 0;
    if (gf__job_log_tail(dir, TAIL_LINES, TAIL_BYTES, &tail, NULL) == GF_OK && tail[0] != '\0')
        return tail;
    gf__free(tail);
    tail = NULL;
    path = gf__path_join(dir, "process.log");
    if (path != NULL && gf__read_file(path, MAX_PROCESS_LOG, &text, &size, NULL) == GF_OK) {
        while (size > 0 && text[size - 1] == '\n')
            text[--size] = '\0';
        tail = gf__strdup(size > TAIL_BYTES ? text + size - TAIL_BYTES : text);
    }
    gf__free(path);
    gf__free(text);
    return tail;
}

/* text is taken; NULL: out of memory. */
static gf_status add_last_words(const char *dir, char *text, char **out, gf_error *err)
{
    char *tail = last_words(dir);
    const bool has_tail = tail != NULL && tail[0] != '\0';
    *out = text != NULL ? gf__asprintf("%s%s%s", text, has_tail ? "\n" : "", has_tail ? tail : "")
                        : NULL;
    gf__free(tail);
    gf__free(text);
    return *out != NULL ? GF_OK : gf__error_nomem(err, "a message", 0);
}

gf_status gf__job_refusal_text(const char *dir, const char *reason, char **out, gf_error *err)
{
    return add_last_words(dir, gf__asprintf("The job was not done: it %s.", reason), out, err);
}

gf_status gf__job_crash_text(const char *dir, int n_attempts, const char *reason, char **out,
                             gf_error *err)
{
    char *text = gf__asprintf("The job's process ended %d time%s without a result: %s.", n_attempts,
                              n_attempts == 1 ? "" : "s",
                              reason[0] != '\0' ? reason : "nobody knows why");
    return add_last_words(dir, text, out, err);
}
