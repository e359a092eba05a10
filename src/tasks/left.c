/* tasks/left.c: what a task leaves in the job's folder for those who wait for it: how far it is,
 * how it ended, and the lines of its shards. Every document is written whole. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tasks/tasks_priv.h"

#define RESULT_MAX_BYTES ((size_t)256 << 20) /* trials and all */
#define LOG_CHUNK_BYTES  ((size_t)1 << 20)

static const char *const state_names[] = {"SUCCEEDED", "FAILED", "CANCELLED"};

static bool is_shard(const gf__task_options *options)
{
    return options->part == GF__TASK_SHARD;
}

/* "DIR/shards/K.json" of a shard, "DIR/result.json" of the others. New. */
static char *result_path(const gf__task_options *options)
{
    return is_shard(options) ? gf__asprintf("%s/shards/%zu.json", options->dir, options->shard)
                             : gf__path_join(options->dir, "result.json");
}

char *gf__left_log_dir(const gf__task_options *options)
{
    return is_shard(options) ? gf__asprintf("%s/shards/%zu.log", options->dir, options->shard)
                             : gf__strdup(options->dir);
}

/* ---- documents ---- */

static gf_status write_document(const char *path, const gf__json *document, gf_error *err)
{
    gf__buffer text = {0};
    gf__json_write(document, true, &text);
    gf__buffer_puts(&text, "\n");
    gf_status st = gf__buffer_status(&text, err);
    if (st == GF_OK && path == NULL)
        st = gf__error_nomem(err, "a path", 0);
    if (st == GF_OK)
        st = gf__write_file(path, text.data, text.size, err);
    gf__buffer_free(&text);
    return st;
}

/* NULL where there is none that can be read. New. */
static gf__json *read_document(const char *path)
{
    char *text = NULL;
    size_t n_bytes = 0;
    gf__json *document = NULL;
    if (path != NULL && gf__is_file(path) &&
        gf__read_file(path, RESULT_MAX_BYTES, &text, &n_bytes, NULL) == GF_OK)
        (void)gf__json_parse(text, n_bytes, &document, NULL);
    gf__free(text);
    return document;
}

bool gf__left_is_done(const gf__task_options *options)
{
    char *path = result_path(options);
    gf__json *result = read_document(path);
    const int64_t attempt = gf__json_int(gf__json_find(result, "attempt"), -1);
    const char *state = gf__json_string(gf__json_find(result, "state"), "");
    /* A whole job's end is final. A shard that failed may do better in the next attempt. Who was
     * asked to end and is started all the same was not cancelled: Slurm wanted its node for
     * another job. */
    const bool is_done = result != NULL && strcmp(state, state_names[GF__END_CANCELLED]) != 0 &&
                         (!is_shard(options) || attempt == options->attempt ||
                          strcmp(state, state_names[GF__END_SUCCEEDED]) == 0);
    gf__json_free(result);
    gf__free(path);
    return is_done;
}

void gf__left_clear(const gf__task_options *options)
{
    char *path = result_path(options);
    if (path != NULL)
        (void)unlink(path);
    gf__free(path);
}

static gf__json *new_result(const gf__task_options *options, gf__end_state state,
                            const char *error_message, const gf__json *output)
{
    gf__json *result = gf__json_object();
    gf__json_set_int(result, "attempt", options->attempt);
    gf__json_set_string(result, "state", state_names[state]);
    if (error_message != NULL)
        gf__json_set_string(result, "errorMessage", error_message);
    if (output != NULL)
        gf__json_set(result, "output", gf__json_copy(output));
    return result;
}

gf_status gf__left_result(const gf__task_options *options, gf__end_state state,
                          const char *error_message, const gf__json *output, gf_error *err)
{
    char *path = result_path(options);
    gf__json *result = new_result(options, state, error_message, output);
    gf_status st = GF_EIO;
    for (int i = 0; i < GF__DISK_TRIES && st == GF_EIO; i++) {
        if (i > 0)
            (void)poll(NULL, 0, GF__DISK_WAIT_MS);
        st = write_document(path, result, err);
    }
    gf__json_free(result);
    gf__free(path);
    return st;
}

static gf_status write_progress(const char *path, int attempt, bool is_running,
                                const gf__json *output, gf_error *err)
{
    gf__json *progress = gf__json_object();
    gf__json_set_int(progress, "attempt", attempt);
    gf__json_set_string(progress, "state", is_running ? "RUNNING" : "PREPARING");
    if (output != NULL)
        gf__json_set(progress, "output", gf__json_copy(output));
    const gf_status st = write_document(path, progress, err);
    gf__json_free(progress);
    return st;
}

/* The first shard that runs says so for the job, too: no process of the whole may be there to. */
static gf_status write_first_progress(const gf__task_options *options, gf_error *err)
{
    char *path = gf__path_join(options->dir, "progress.json");
    gf__json *before = read_document(path);
    gf_status st = GF_OK;
    if (gf__json_int(gf__json_find(before, "attempt"), 0) < options->attempt)
        st = write_progress(path, options->attempt, true, NULL, err);
    gf__json_free(before);
    gf__free(path);
    return st;
}

gf_status gf__task_progress(gf__task *task, bool is_running, const gf__json *output, gf_error *err)
{
    const gf__task_options *options = task->options;
    char *path = is_shard(options)
                     ? gf__asprintf("%s/shards/%zu.progress.json", options->dir, options->shard)
                     : gf__path_join(options->dir, "progress.json");
    gf_status st = write_progress(path, options->attempt, is_running, output, err);
    if (st == GF_OK && is_shard(options) && is_running)
        st = write_first_progress(options, err);
    gf__free(path);
    return st;
}

/* ---- logs of shards ---- */

static void gather_line(gf__task *task, const char *line, size_t n_bytes)
{
    gf__json *entry = NULL;
    if (gf__json_parse(line, n_bytes, &entry, NULL) != GF_OK)
        return;
    const char *message = gf__json_string(gf__json_find(entry, "message"), "");
    (void)gf__job_log_write(task->log, gf__json_string(gf__json_find(entry, "stream"), "graft"),
                            gf__json_string(gf__json_find(entry, "trialId"), NULL), message,
                            strlen(message), NULL);
    gf__json_free(entry);
}

static void gather_lines(gf__task *task, const gf__buffer *lines)
{
    size_t start = 0;
    while (start < lines->size) {
        const char *line = lines->data + start;
        const char *end = memchr(line, '\n', lines->size - start);
        const size_t n_bytes = end != NULL ? (size_t)(end - line) : lines->size - start;
        gather_line(task, line, n_bytes);
        start += n_bytes + 1;
    }
}

/* What has been gathered goes, so that an attempt after this one does not gather it again. */
static void remove_log(const char *dir)
{
    gf__dir_list list;
    if (gf__list_dir(dir, &list, NULL) != GF_OK)
        return;
    for (size_t i = 0; i < list.n_names; i++) {
        char *path = gf__path_join(dir, list.names[i]);
        if (path != NULL)
            unlink(path);
        gf__free(path);
    }
    gf__dir_list_free(&list);
    rmdir(dir);
}

static void gather_log(gf__task *task, const char *dir)
{
    uint64_t offset = 0, before;
    do {
        gf__buffer lines = {0};
        before = offset;
        if (gf__job_log_read(dir, &offset, LOG_CHUNK_BYTES, &lines, NULL) == GF_OK)
            gather_lines(task, &lines);
        gf__buffer_free(&lines);
    } while (offset != before);
    remove_log(dir);
}

void gf__left_gather_logs(gf__task *task)
{
    const int64_t n_shards = gf__json_int(gf__json_find(task->spec, "nShards"), 1);
    for (int64_t i = 0; i < n_shards && task->options->part != GF__TASK_SHARD; i++) {
        char *dir = gf__asprintf("%s/shards/%lld.log", task->options->dir, (long long)i);
        if (dir != NULL && gf__is_dir(dir))
            gather_log(task, dir);
        gf__free(dir);
    }
}
