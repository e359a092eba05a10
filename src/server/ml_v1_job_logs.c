/* server/ml_v1_job_logs.c: GET projects/P/jobs/J:streamLogs: a job's log as server-sent events, while
 * it grows.
 *
 *     id: 1189                 bytes of the log up to behind this line
 *     event: log
 *     data: {"time": ..., "stream": "stdout", "message": "..."}
 *
 *     event: state             at the beginning, and when it changes
 *     data: {"state": "RUNNING"}
 *
 *     event: end               nothing comes behind it
 *     data: the whole Job
 *
 * A stream that ends without "end" was broken off, or says "closing" because the server ends; who
 * asks again with Last-Event-ID misses nothing and sees nothing twice. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/ml_v1_priv.h"

#define LOOK_EVERY_MS 100
#define KEEP_ALIVE_MS 15000
#define PIECE_BYTES   ((size_t)64 << 10)
#define RETRY_MS      1000

typedef struct log_stream {
    gf_server *server;
    char *name;
    uint64_t offset; /* of what was sent */
    bool is_following, has_begun;
    gf__job_state state; /* as it was told, once it has begun */
    int64_t said_ms;     /* when anything was sent */
} log_stream;

static void end_stream(void *user)
{
    log_stream *stream = user;
    gf__free(stream->name);
    gf__free(stream);
}

static bool has_ended(gf__job_state state)
{
    return state == GF__JOB_SUCCEEDED || state == GF__JOB_FAILED || state == GF__JOB_CANCELLED;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void say_state(log_stream *stream, gf__job_state state, gf__buffer *out)
{
    if (!stream->has_begun)
        gf__buffer_printf(out, "retry: %d\n\n", RETRY_MS);
    if (!stream->has_begun || state != stream->state)
        gf__buffer_printf(out, "event: state\ndata: {\"state\":\"%s\"}\n\n",
                          gf__job_state_name(state));
    stream->has_begun = true;
    stream->state = state;
}

/* An event a line; what was read ends at stream->offset. */
static void say_lines(const log_stream *stream, const gf__buffer *lines, gf__buffer *out)
{
    uint64_t offset = stream->offset - lines->size;
    for (const char *at = lines->data, *end = at + lines->size; at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const size_t n_chars = (size_t)((line_end != NULL ? line_end : end) - at);
        const size_t n_bytes = n_chars + (line_end != NULL ? 1 : 0);
        offset += n_bytes;
        gf__buffer_printf(out, "id: %llu\nevent: log\ndata: ", (unsigned long long)offset);
        gf__buffer_append(out, at, n_chars);
        gf__buffer_puts(out, "\n\n");
        at += n_bytes;
    }
}

static gf_status say_end(log_stream *stream, gf__buffer *out, gf_error *err)
{
    char *job = NULL;
    const gf_status st = gf_registry_get_job(stream->server->registry, stream->name, &job, err);
    if (st == GF_OK)
        gf__buffer_printf(out, "event: end\ndata: %s\n\n", job);
    gf_registry_free_text(job);
    return st;
}

static void say_closing(gf__buffer *out)
{
    gf__buffer_puts(out, "event: closing\ndata: {\"reason\":\"the server ends; ask again with "
                         "Last-Event-ID\"}\n\n");
}

static void wait_a_moment(log_stream *stream, gf__buffer *out)
{
    const struct timespec moment = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    if (gf__clock_ms() - stream->said_ms >= KEEP_ALIVE_MS)
        gf__buffer_puts(out, ": nothing new\n\n");
    else
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
}

/* The state is asked for before the log is read: what ended before then has written all its lines,
 * and they come before the end is told. */
static gf_status look(log_stream *stream, gf__buffer *out, bool *is_end, gf_error *err)
{
    char *dir = NULL;
    gf__job_state state = GF__JOB_QUEUED;
    gf__buffer lines = {0};
    gf_status st = gf__registry_job_dir(stream->server->registry, stream->name, &dir, &state, err);
    if (st == GF_OK)
        st = gf__job_log_read(dir, &stream->offset, PIECE_BYTES, &lines, err);
    gf__free(dir);
    if (st == GF_OK)
        st = gf__buffer_status(&lines, err);
    if (st == GF_OK && (lines.size == 0 || !has_ended(state)))
        say_state(stream, state, out);
    if (st == GF_OK && lines.size > 0) {
        say_lines(stream, &lines, out);
    } else if (st == GF_OK && (has_ended(state) || !stream->is_following)) {
        st = say_end(stream, out, err);
        *is_end = true;
    }
    gf__buffer_free(&lines);
    return st;
}

static gf_status pull(void *user, gf__buffer *out, bool *is_end, gf_error *err)
{
    log_stream *stream = user;
    if (atomic_load(&stream->server->is_draining)) {
        say_closing(out);
        *is_end = true;
        return GF_OK;
    }
    const gf_status st = look(stream, out, is_end, err);
    if (st == GF_OK && out->size == 0)
        wait_a_moment(stream, out);
    if (out->size > 0)
        stream->said_ms = gf__clock_ms();
    return st;
}

/* ---- the request ----------------------------------------------------------------------------- */

/* The header is what a browser sends when it comes back to the same address: it is the later one. */
static gf_status read_offset(const gf__request *request, uint64_t *offset, gf_error *err)
{
    const char *name = "Last-Event-ID", *text = gf__request_header(request, name);
    char *end = NULL;
    *offset = 0;
    if (text == NULL || text[0] == '\0') {
        name = "offset";
        text = gf__request_query(request, name);
    }
    if (text == NULL || text[0] == '\0')
        return GF_OK;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > INT64_MAX)
        return gf_error_set(err, GF_EINVAL,
                            "%s: \"%.40s\", expected a number of bytes: the id of an event", name,
                            text);
    *offset = number;
    return GF_OK;
}

static gf_status read_follow(const gf__request *request, bool *is_following, gf_error *err)
{
    const char *text = gf__request_query(request, "follow");
    *is_following = text == NULL || text[0] == '\0' || gf__request_flag(request, "follow");
    if (*is_following || strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
        return GF_OK;
    return gf_error_set(err, GF_EINVAL, "follow: \"%.40s\", expected true or false", text);
}

gf_status gf__jobs_stream_logs(gf_server *server, gf__request *request, gf__response *response,
                               gf_error *err)
{
    char *dir = NULL;
    gf_status st = GF_OK;
    log_stream *stream = gf__calloc(1, sizeof *stream);
    if (stream == NULL)
        return gf__error_nomem(err, "a stream", sizeof *stream);
    stream->server = server;
    stream->said_ms = gf__clock_ms();
    st = read_offset(request, &stream->offset, err);
    if (st == GF_OK)
        st = read_follow(request, &stream->is_following, err);
    if (st == GF_OK)
        st = gf__request_job_name(request, &stream->name, err);
    if (st == GF_OK)
        st = gf__registry_job_dir(server->registry, stream->name, &dir, &stream->state, err);
    gf__free(dir);
    if (st != GF_OK) {
        end_stream(stream);
        return st;
    }
    response->content_type = "text/event-stream";
    gf__response_header(response, "Cache-Control", "no-cache");
    gf__response_header(response, "X-Accel-Buffering", "no"); /* nginx would keep events back */
    response->stream = (gf__stream){.pull = pull, .end = end_stream, .user = stream};
    return GF_OK;
}
