/* cli/jobs_stream.c: a job's log while it grows: the server's events, printed, and asked for again
 * where the connection ends before the job does. */
#include "cli/jobs.h"

#include <string.h>
#include <time.h>

#define FIRST_WAIT_MS 100
#define LAST_WAIT_MS  2000
#define PATIENCE_MS   120000 /* for a server that is away */

typedef struct follower {
    gf__cli *cli;
    bool allows_multiline;
    gf__buffer rest;            /* of what came: behind the last whole line */
    char event[16], id[24];     /* of the event that is coming */
    gf__buffer data;            /* its data */
    char last_id[24];           /* of the last one that was printed; "" none yet */
    bool has_answered, has_end; /* an event came since the last request; "end" did */
    gf__json *end;
    char state[24]; /* the last that was told */
} follower;

/* ---- printing -------------------------------------------------------------------------------- */

static void print_record(const gf__json *line, const char *message, int n_chars)
{
    const char *trial = gf__json_string(gf__json_find(line, "trialId"), NULL);
    printf("%s  %s%s%s  %.*s\n", gf__json_string(gf__json_find(line, "time"), ""),
           gf__json_string(gf__json_find(line, "stream"), ""), trial != NULL ? " trial " : "",
           trial != NULL ? trial : "", n_chars, message);
}

static void print_log(const follower *f, const gf__json *line)
{
    const char *message = gf__json_string(gf__json_find(line, "message"), "");
    gf__bar_end(&f->cli->bar);
    if (f->cli->is_json) {
        printf("%s\n", f->data.data);
    } else if (f->allows_multiline) {
        print_record(line, message, (int)strlen(message));
    } else {
        do {
            const size_t n_chars = strcspn(message, "\n");
            print_record(line, message, (int)n_chars);
            message += n_chars + (message[n_chars] == '\n');
        } while (*message != '\0');
    }
    fflush(stdout); /* somebody watches */
}

static void note_state(follower *f, const gf__json *data)
{
    const char *state = gf__json_string(gf__json_find(data, "state"), "");
    if (strcmp(state, f->state) != 0) /* a new connection says it again */
        gf__cli_note(f->cli, "%s", state);
    (void)snprintf(f->state, sizeof f->state, "%s", state);
}

/* ---- events ---------------------------------------------------------------------------------- */

static gf_status take_event(follower *f, gf_error *err)
{
    gf__json *data = NULL;
    gf_status st = gf__buffer_status(&f->data, err);
    if (st == GF_OK && f->data.size > 0)
        st = gf__json_parse(f->data.data, f->data.size, &data, err);
    if (st == GF_OK && data != NULL) {
        f->has_answered = true;
        if (strcmp(f->event, "log") == 0) {
            print_log(f, data);
        } else if (strcmp(f->event, "state") == 0) {
            note_state(f, data);
        } else if (strcmp(f->event, "end") == 0) {
            f->has_end = true;
            gf__json_free(f->end);
            f->end = data;
            data = NULL;
        }
        if (f->id[0] != '\0')
            memcpy(f->last_id, f->id, sizeof f->last_id);
    }
    gf__json_free(data);
    gf__buffer_free(&f->data);
    f->data = (gf__buffer){0};
    f->event[0] = f->id[0] = '\0';
    return st;
}

/* "name: value"; ": comment" keeps the connection alive. An id is kept only as a number: it goes into
 * a header. */
static gf_status take_line(follower *f, const char *line, gf_error *err)
{
    if (line[0] == '\0')
        return take_event(f, err);
    const size_t n_name = strcspn(line, ":");
    const char *value = line + n_name + (line[n_name] == ':');
    value += *value == ' ';
    if (n_name == 5 && strncmp(line, "event", 5) == 0) {
        (void)snprintf(f->event, sizeof f->event, "%s", value);
    } else if (n_name == 2 && strncmp(line, "id", 2) == 0) {
        if (value[strspn(value, "0123456789")] == '\0')
            (void)snprintf(f->id, sizeof f->id, "%s", value);
    } else if (n_name == 4 && strncmp(line, "data", 4) == 0) {
        if (f->data.size > 0)
            gf__buffer_puts(&f->data, "\n");
        gf__buffer_puts(&f->data, value);
    }
    return GF_OK;
}

static gf_status take_bytes(void *user, const char *bytes, size_t n_bytes, gf_error *err)
{
    follower *f = user;
    gf__buffer_append(&f->rest, bytes, n_bytes);
    gf_status st = gf__buffer_status(&f->rest, err);
    size_t n_used = 0;
    while (st == GF_OK) {
        char *line = f->rest.data + n_used;
        char *line_end = memchr(line, '\n', f->rest.size - n_used);
        if (line_end == NULL)
            break;
        *line_end = '\0';
        if (line_end > line && line_end[-1] == '\r')
            line_end[-1] = '\0';
        n_used = (size_t)(line_end - f->rest.data) + 1;
        st = take_line(f, line, err);
    }
    if (n_used > 0) {
        memmove(f->rest.data, f->rest.data + n_used, f->rest.size - n_used + 1);
        f->rest.size -= n_used;
    }
    return st;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Half an event of a connection that broke is not an event. */
static void forget_half(follower *f)
{
    gf__buffer_free(&f->rest);
    gf__buffer_free(&f->data);
    f->rest = f->data = (gf__buffer){0};
    f->event[0] = f->id[0] = '\0';
}

static gf_status ask(follower *f, gf__remote *remote, const char *path, gf_error *err)
{
    gf__http_answer answer = {0};
    char header[48];
    (void)snprintf(header, sizeof header, "Last-Event-ID: %s", f->last_id);
    forget_half(f);
    f->has_answered = false;
    const gf_status st = gf__remote_send(
        remote,
        &(gf__http_request){.url = path,
                            .accept = "text/event-stream",
                            .take = take_bytes,
                            .take_user = f,
                            .extra_header = f->last_id[0] != '\0' ? header : NULL},
        &answer, err);
    gf__http_answer_free(&answer);
    return st;
}

/* Whether it can be that the server is back in a moment. */
static bool is_worth_asking(gf_status st)
{
    return st == GF_OK || st == GF_ENETWORK || st == GF_EUNAVAILABLE || st == GF_EOVERLOAD ||
           st == GF_ETIMEOUT;
}

static void wait_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL); /* Ctrl-C ends it */
}

static gf_status follow(follower *f, gf__remote *remote, const char *path, gf_error *err)
{
    long pause_ms = FIRST_WAIT_MS;
    int64_t answered_ms = 0; /* it never did */
    for (;;) {
        const gf_status st = ask(f, remote, path, err);
        if (f->has_end)
            return GF_OK;
        if (gf__cli_is_interrupted())
            return gf_error_set(err, GF_ECANCELED, "interrupted");
        if (f->has_answered) {
            answered_ms = gf__clock_ms();
            pause_ms = FIRST_WAIT_MS;
            gf__cli_note(f->cli, "the connection ended before the job; asking again");
        }
        if (!is_worth_asking(st) || answered_ms == 0)
            return st != GF_OK ? st
                               : gf_error_set(err, GF_ENETWORK, "%s: answered without an event",
                                              remote->server);
        if (gf__clock_ms() - answered_ms > PATIENCE_MS)
            return st != GF_OK ? st
                               : gf_error_set(err, GF_ENETWORK, "%s: says nothing any more",
                                              remote->server);
        wait_ms(pause_ms);
        pause_ms = pause_ms * 2 < LAST_WAIT_MS ? pause_ms * 2 : LAST_WAIT_MS;
    }
}

gf_status gf__job_follow(gf__cli *cli, gf__remote *remote, const char *job, bool allows_multiline,
                         gf__json **end, gf_error *err)
{
    follower f = {.cli = cli, .allows_multiline = allows_multiline};
    char *path = gf__job_path(remote, job, ":streamLogs");
    gf_status st = path != NULL ? follow(&f, remote, path, err)
                                : gf__error_nomem(err, "an address", strlen(job));
    if (st == GF_ECANCELED)
        st = gf_error_set(err, st,
                          "the job goes on: graft jobs stream-logs %.128s shows more of it, graft "
                          "jobs cancel %.128s ends it",
                          job, job);
    forget_half(&f);
    *end = f.end;
    gf__free(path);
    return st;
}

gf_status gf__job_judge(gf__cli *cli, const gf__json *job, gf_error *err)
{
    const char *state = gf__json_string(gf__json_find(job, "state"), "");
    const char *message = gf__json_string(gf__json_find(job, "errorMessage"), "");
    if (strcmp(state, "SUCCEEDED") == 0)
        return GF_OK;
    const size_t n_first = strcspn(message, "\n");
    if (message[n_first] == '\n') /* what the program said last: more than an error has room for */
        gf__cli_note(cli, "%s", message + n_first + 1);
    return gf_error_set(err, GF_EPRECONDITION, "%.100s ended %s%s%.*s",
                        gf__json_string(gf__json_find(job, "jobId"), "the job"), state,
                        n_first > 0 ? ": " : "", (int)n_first, message);
}
