/* jobs/log.c: writing a job's log. A line is one write() of whole lines; what a killed writer or a
 * full disk left half is cut off again, so that readers see nothing but whole lines. A new file is
 * complete, first line and all, before it takes the name of the full one. */
#include "jobs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "jobs/log_priv.h"

#define HEAD      "{\"offset\": "
#define HEAD_MAX  64
#define BLOCK     ((size_t)64 << 10)
#define MARK      "\xef\xbf\xbd" /* U+FFFD */
#define FILE_MODE 0666

struct gf__job_log {
    pthread_mutex_t mutex;
    char *dir;
    int fd;           /* of DIR/log, appending */
    uint64_t start;   /* offset of its first line */
    size_t n_head;    /* bytes before that line */
    uint64_t n_bytes; /* of the file, whole lines all */
    uint64_t n_lost;
};

char *gf__job_log_name(const char *dir, int i)
{
    return i == 0 ? gf__asprintf("%s/log", dir) : gf__asprintf("%s/log.%d", dir, i);
}

bool gf__job_log_head(int fd, uint64_t *start, size_t *head_bytes)
{
    char text[HEAD_MAX + 1] = "";
    const ssize_t n = pread(fd, text, HEAD_MAX, 0);
    const char *end = n > 0 ? memchr(text, '\n', (size_t)n) : NULL;
    if (end == NULL || strncmp(text, HEAD, strlen(HEAD)) != 0)
        return false;
    *start = strtoull(text + strlen(HEAD), NULL, 10);
    *head_bytes = (size_t)(end - text) + 1;
    return true;
}

/* ---- files ---- */

/* Where the file i ends, or begins to be missing: the offset that the next newer one starts at. */
static uint64_t end_offset(const char *dir, int i)
{
    uint64_t start = 0;
    size_t n_head = 0;
    struct stat info;
    char *path = gf__job_log_name(dir, i);
    const int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    gf__free(path);
    if (fd < 0)
        return 0;
    const bool has_head = gf__job_log_head(fd, &start, &n_head) && fstat(fd, &info) == 0;
    close(fd);
    return has_head ? start + (uint64_t)info.st_size - n_head : 0;
}

static gf_status write_new(const char *path, uint64_t start, gf_error *err)
{
    char head[HEAD_MAX];
    const int n = snprintf(head, sizeof head, HEAD "%llu}\n", (unsigned long long)start);
    return gf__write_file(path, head, (size_t)n, err);
}

/* Bytes behind the last '\n' are half a line. */
static gf_status cut_half_line(gf__job_log *log, const char *path, gf_error *err)
{
    char *block = gf__malloc(BLOCK);
    if (block == NULL)
        return gf__error_nomem(err, "a log", BLOCK);
    uint64_t end = log->n_bytes;
    bool is_found = false;
    while (end > log->n_head && !is_found) {
        const uint64_t from = end - log->n_head > BLOCK ? end - BLOCK : log->n_head;
        const ssize_t n = pread(log->fd, block, (size_t)(end - from), (off_t)from);
        const char *last = n > 0 ? memrchr(block, '\n', (size_t)n) : NULL;
        is_found = last != NULL;
        end = is_found ? from + (uint64_t)(last - block) + 1 : from;
    }
    gf__free(block);
    if (end == log->n_bytes)
        return GF_OK;
    if (ftruncate(log->fd, (off_t)end) != 0)
        return gf__error_errno(err, errno, "%s: cannot cut off half a line", path);
    log->n_bytes = end;
    return GF_OK;
}

/* Opens DIR/log as it is; *is_usable false: it is not there, or has no first line (the power went
 * before it was on the disk). */
static gf_status open_existing(gf__job_log *log, const char *path, bool *is_usable, gf_error *err)
{
    struct stat info;
    *is_usable = false;
    const int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return GF_OK;
    if (fd < 0)
        return gf__error_errno(err, errno, "%s: cannot open", path);
    if (fstat(fd, &info) != 0 || !gf__job_log_head(fd, &log->start, &log->n_head)) {
        close(fd);
        return GF_OK;
    }
    log->fd = fd;
    log->n_bytes = (uint64_t)info.st_size;
    *is_usable = true;
    return GF_OK;
}

static gf_status open_file(gf__job_log *log, gf_error *err)
{
    bool is_usable = false;
    char *path = gf__job_log_name(log->dir, 0);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(log->dir));
    gf_status st = open_existing(log, path, &is_usable, err);
    if (st == GF_OK && !is_usable) {
        st = write_new(path, end_offset(log->dir, 1), err);
        if (st == GF_OK)
            st = open_existing(log, path, &is_usable, err);
        if (st == GF_OK && !is_usable)
            st = gf_error_set(err, GF_EIO, "%s: was written, and is not there", path);
    }
    if (st == GF_OK)
        st = cut_half_line(log, path, err);
    gf__free(path);
    return st;
}

/* log.2 becomes log.3, log.1 log.2, log log.1: the oldest first, so that a reader who goes from the
 * newest to the oldest meets each at least once. */
static gf_status shift_files(const char *dir, gf_error *err)
{
    gf_status st = GF_OK;
    for (int i = GF__JOB_LOG_FILES - 2; i >= 0 && st == GF_OK; i--) {
        char *from = gf__job_log_name(dir, i), *to = gf__job_log_name(dir, i + 1);
        if (from == NULL || to == NULL)
            st = gf__error_nomem(err, "a path", strlen(dir));
        else if (rename(from, to) != 0 && errno != ENOENT)
            st = gf__error_errno(err, errno, "%s: cannot rename", from);
        gf__free(from);
        gf__free(to);
    }
    return st;
}

static gf_status rotate(gf__job_log *log, gf_error *err)
{
    char *next = gf__asprintf("%s/log.new", log->dir), *path = gf__job_log_name(log->dir, 0);
    gf_status st = GF_OK;
    if (next == NULL || path == NULL)
        st = gf__error_nomem(err, "a path", strlen(log->dir));
    if (st == GF_OK)
        st = write_new(next, log->start + log->n_bytes - log->n_head, err);
    if (st == GF_OK)
        st = shift_files(log->dir, err);
    if (st == GF_OK && rename(next, path) != 0)
        st = gf__error_errno(err, errno, "%s: cannot rename", next);
    if (st == GF_OK) {
        close(log->fd);
        log->fd = -1;
        st = open_file(log, err);
    }
    gf__free(next);
    gf__free(path);
    return st;
}

/* ---- lines ---- */

/* As the inside of a JSON string; what is no UTF-8 becomes U+FFFD, a byte each. */
static void append_escaped(gf__buffer *out, const char *text, size_t n_bytes)
{
    size_t i = 0;
    while (i < n_bytes) {
        size_t n_plain = 0;
        size_t length = 0;
        for (; i + n_plain < n_bytes; n_plain += length) {
            const unsigned char c = (unsigned char)text[i + n_plain];
            length = c < 0x80 ? 1 : gf__utf8_length(text + i + n_plain, n_bytes - i - n_plain);
            if (length == 0 || c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
                break;
        }
        gf__buffer_append(out, text + i, n_plain);
        i += n_plain;
        if (i == n_bytes)
            return;
        const unsigned char c = (unsigned char)text[i++];
        if (c == '"' || c == '\\')
            gf__buffer_printf(out, "\\%c", c);
        else if (c == '\n' || c == '\t')
            gf__buffer_puts(out, c == '\n' ? "\\n" : "\\t");
        else if (c > 0 && c < 0x80) /* "\u0000" is what JSON parsers refuse, our own too */
            gf__buffer_printf(out, "\\u%04x", c);
        else
            gf__buffer_puts(out, MARK);
    }
}

static void append_line(gf__buffer *out, const char *stream, const char *trial, const char *text,
                        size_t n_bytes)
{
    struct timespec now;
    struct tm utc;
    char second[32] = "1970-01-01T00:00:00";
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc) != NULL)
        strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &utc);
    gf__buffer_printf(out, "{\"time\": \"%s.%03ldZ\", \"stream\": \"%s\", ", second,
                      now.tv_nsec / 1000000, stream);
    if (trial != NULL) {
        gf__buffer_puts(out, "\"trialId\": \"");
        append_escaped(out, trial, strlen(trial));
        gf__buffer_puts(out, "\", ");
    }
    gf__buffer_puts(out, "\"message\": \"");
    append_escaped(out, text, n_bytes);
    gf__buffer_puts(out, "\"}\n");
}

/* Of n_bytes, those of the next line: not in the middle of a character. */
static size_t next_piece(const char *text, size_t n_bytes)
{
    if (n_bytes <= GF__JOB_LINE_BYTES)
        return n_bytes;
    size_t n = GF__JOB_LINE_BYTES;
    while (n > GF__JOB_LINE_BYTES - 4 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static gf_status put(gf__job_log *log, const gf__buffer *line, gf_error *err)
{
    gf_status st = gf__buffer_status(line, err);
    if (st == GF_OK && log->fd < 0)
        st = open_file(log, err); /* what went wrong before may be over */
    if (st == GF_OK && log->n_bytes > log->n_head && log->n_bytes + line->size > GF__JOB_LOG_BYTES)
        st = rotate(log, err);
    if (st != GF_OK)
        return st;
    ssize_t n = write(log->fd, line->data, line->size);
    while (n < 0 && errno == EINTR)
        n = write(log->fd, line->data, line->size);
    if (n == (ssize_t)line->size) {
        log->n_bytes += line->size;
        return GF_OK;
    }
    const int why = n < 0 ? errno : ENOSPC;
    if (n > 0 && ftruncate(log->fd, (off_t)log->n_bytes) != 0) {
        close(log->fd); /* the next line looks where the last whole one ends */
        log->fd = -1;
    }
    return gf__error_errno(err, why, "%s/log: cannot write", log->dir);
}

gf_status gf__job_log_write(gf__job_log *log, const char *stream, const char *trial,
                            const char *message, size_t n_bytes, gf_error *err)
{
    gf_status st = GF_OK;
    gf__buffer line = {0};
    pthread_mutex_lock(&log->mutex);
    do {
        const size_t n = next_piece(message, n_bytes);
        line.size = 0;
        append_line(&line, stream, trial, message, n);
        const gf_status one = put(log, &line, st == GF_OK ? err : NULL);
        log->n_lost += one != GF_OK ? 1 : 0;
        st = st == GF_OK ? one : st;
        message += n;
        n_bytes -= n;
    } while (n_bytes > 0);
    pthread_mutex_unlock(&log->mutex);
    gf__buffer_free(&line);
    return st;
}

/* ---- open and close ---- */

gf_status gf__job_log_open(const char *dir, gf__job_log **out, gf_error *err)
{
    *out = NULL;
    gf__job_log *log = gf__calloc(1, sizeof *log);
    if (log == NULL)
        return gf__error_nomem(err, "a log", sizeof *log);
    log->fd = -1;
    pthread_mutex_init(&log->mutex, NULL);
    log->dir = gf__strdup(dir);
    gf_status st = log->dir != NULL ? open_file(log, err) : gf__error_nomem(err, "a path", 1);
    if (st == GF_OK)
        *out = log;
    else
        gf__job_log_close(log, NULL);
    return st;
}

void gf__job_log_close(gf__job_log *log, uint64_t *n_lost)
{
    if (n_lost != NULL)
        *n_lost = log != NULL ? log->n_lost : 0;
    if (log == NULL)
        return;
    if (log->fd >= 0)
        close(log->fd);
    pthread_mutex_destroy(&log->mutex);
    gf__free(log->dir);
    gf__free(log);
}
