/* server/access_log.c: one JSON line a request, in one write, so that lines of many threads do not
 * mix and a rotated file is whole. A pipe that nobody reads loses lines, and the next that is written
 * says how many ("lostLines"): requests do not wait for it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/server_priv.h"

#define PATIENCE_MS 500 /* with a reader that is slow; none with one that has stopped */
/* Of a text that a client chose. Where a line is longer than what a pipe with room takes at once (its
 * control characters take six), they are cut shorter. */
#define MAX_CHARS       512
#define MAX_CHARS_SHORT 64

struct gf__access_log {
    char *path;            /* NULL: stdout */
    pthread_mutex_t mutex; /* of what follows */
    int fd;
    uint64_t n_lost; /* lines, since the last that was written */
};

static gf_status open_file(const char *path, int *fd, gf_error *err)
{
    *fd = path == NULL ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                       : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (*fd < 0)
        return gf__error_errno(err, errno, "access log %s", path != NULL ? path : "(stdout)");
    return GF_OK;
}

gf_status gf__access_log_open(const char *path, gf__access_log **out, gf_error *err)
{
    *out = NULL;
    if (path == NULL)
        return GF_OK;
    gf__access_log *log = gf__calloc(1, sizeof *log);
    if (log == NULL)
        return gf__error_nomem(err, "an access log", sizeof *log);
    log->fd = -1;
    pthread_mutex_init(&log->mutex, NULL);
    gf_status st = GF_OK;
    if (strcmp(path, "-") != 0) {
        log->path = gf__strdup(path);
        if (log->path == NULL)
            st = gf__error_nomem(err, "a path", strlen(path));
    }
    if (st == GF_OK)
        st = open_file(log->path, &log->fd, err);
    if (st != GF_OK) {
        gf__access_log_close(log);
        return st;
    }
    *out = log;
    return GF_OK;
}

gf_status gf__access_log_reopen(gf__access_log *log, gf_error *err)
{
    int fd;
    if (log == NULL || log->path == NULL)
        return GF_OK;
    const gf_status st = open_file(log->path, &fd, err);
    if (st != GF_OK)
        return st; /* the old one goes on */
    pthread_mutex_lock(&log->mutex);
    close(log->fd);
    log->fd = fd;
    pthread_mutex_unlock(&log->mutex);
    return GF_OK;
}

void gf__access_log_close(gf__access_log *log)
{
    if (log == NULL)
        return;
    if (log->fd >= 0)
        close(log->fd);
    pthread_mutex_destroy(&log->mutex);
    gf__free(log->path);
    gf__free(log);
}

static void set_time(gf__json *line)
{
    struct timespec now;
    struct tm parts;
    char day[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    char *text = gf__asprintf("%s.%03ldZ", day, now.tv_nsec / 1000000);
    gf__json_set_string(line, "time", text);
    gf__free(text);
}

static double round_ms(double ms)
{
    return round(ms * 1e3) / 1e3;
}

static void set_cut(gf__json *line, const char *key, const char *text, size_t max_chars)
{
    char cut[MAX_CHARS + 1];
    (void)snprintf(cut, sizeof cut, "%.*s", (int)max_chars, text);
    gf__json_set_string(line, key, cut);
}

static void set_texts(gf__json *line, const gf__request *request, size_t max_chars)
{
    set_cut(line, "method", request->method != NULL ? request->method : "", max_chars);
    set_cut(line, "path", request->path, max_chars);
    if (request->model != NULL)
        set_cut(line, "model", request->model, max_chars);
    if (request->version != NULL)
        set_cut(line, "version", request->version, max_chars);
}

static gf__json *make_line(const gf__request *request, const gf__response *response,
                           double total_ms, uint64_t n_sent_bytes, const char *client_address,
                           bool is_complete)
{
    gf__json *line = gf__json_object();
    set_time(line);
    gf__json_set_string(line, "id", request->id);
    if (request->trace[0] != '\0')
        gf__json_set_string(line, "trace", request->trace);
    gf__json_set_string(line, "client", client_address);
    set_texts(line, request, MAX_CHARS);
    gf__json_set_int(line, "code", response->code);
    gf__json_set_int(line, "bytesIn", (int64_t)request->body_bytes);
    gf__json_set_int(line, "bytesOut", (int64_t)n_sent_bytes);
    gf__json_set_number(line, "millis", round_ms(total_ms));
    if (response->queue_ms > 0 || response->predict_ms > 0) {
        gf__json_set_number(line, "queueMillis", round_ms(response->queue_ms));
        gf__json_set_number(line, "predictMillis", round_ms(response->predict_ms));
    }
    if (!is_complete)
        gf__json_set_bool(line, "cut", true);
    return line;
}

static void write_text(const gf__json *line, gf__buffer *text)
{
    gf__buffer_free(text);
    *text = (gf__buffer){0};
    gf__json_write(line, false, text);
    gf__buffer_puts(text, "\n");
}

/* Under the mutex. What poll() says has room takes PIPE_BUF bytes without waiting. */
static void write_line(gf__access_log *log, const gf__request *request, gf__json *line)
{
    gf__buffer text = {0};
    struct pollfd room = {.fd = log->fd, .events = POLLOUT};
    if (poll(&room, 1, log->n_lost == 0 ? PATIENCE_MS : 0) == 0) {
        log->n_lost++;
        return;
    }
    if (log->n_lost > 0)
        gf__json_set_int(line, "lostLines", (int64_t)log->n_lost);
    write_text(line, &text);
    if (text.size > PIPE_BUF) {
        set_texts(line, request, MAX_CHARS_SHORT);
        write_text(line, &text);
    }
    if (!text.failed) {
        const ssize_t n = write(log->fd, text.data, text.size);
        (void)n; /* a full disk must not stop the service */
        log->n_lost = 0;
    }
    gf__buffer_free(&text);
}

void gf__access_log_write(gf__access_log *log, const gf__request *request,
                          const gf__response *response, double total_ms, uint64_t n_sent_bytes,
                          const char *client_address, bool is_complete)
{
    if (log == NULL)
        return;
    gf__json *line = make_line(request, response, total_ms, n_sent_bytes, client_address,
                               is_complete);
    pthread_mutex_lock(&log->mutex);
    write_line(log, request, line);
    pthread_mutex_unlock(&log->mutex);
    gf__json_free(line);
}
