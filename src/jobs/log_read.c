/* jobs/log_read.c: reading a job's log while it is written and rotated. Nobody is locked out: a
 * file that was opened stays what it is, whatever its name becomes meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/log_priv.h"

#define CHUNK ((size_t)64 << 10)

typedef struct part {
    int fd;
    uint64_t start; /* offset of its first line */
    size_t n_head;
} part;

/* *out->fd is -1 where there is no such file, or one without a first line. */
static gf_status open_part(const char *dir, int i, part *out, gf_error *err)
{
    *out = (part){.fd = -1};
    char *path = gf__job_log_name(dir, i);
    if (path == NULL)
        return gf__error_nomem(err, "a path", strlen(dir));
    gf_status st = GF_OK;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        st = gf__error_errno(err, errno, "%s: cannot open", path);
    else if (fd >= 0 && gf__job_log_head(fd, &out->start, &out->n_head))
        out->fd = fd;
    else if (fd >= 0)
        close(fd);
    gf__free(path);
    return st;
}

/* The file that has *offset in it; the oldest, *offset moved to its beginning, where that is gone.
 * From the newest to the oldest: that is also the way that a rotation moves them, so that none is
 * missed; one met twice does no harm. */
static gf_status find_part(const char *dir, uint64_t *offset, part *out, gf_error *err)
{
    gf_status st = GF_OK;
    *out = (part){.fd = -1};
    for (int i = 0; i < GF__JOB_LOG_FILES && st == GF_OK; i++) {
        part found;
        st = open_part(dir, i, &found, err);
        if (found.fd < 0)
            continue;
        if (out->fd >= 0)
            close(out->fd);
        *out = found;
        if (found.start <= *offset)
            return GF_OK;
    }
    if (st == GF_OK && out->fd >= 0)
        *offset = out->start;
    return st;
}

static gf_status read_at(int fd, uint64_t at, size_t n_bytes, gf__buffer *out, gf_error *err)
{
    char *chunk = gf__malloc(n_bytes);
    if (chunk == NULL)
        return gf__error_nomem(err, "reading a log", n_bytes);
    ssize_t n = pread(fd, chunk, n_bytes, (off_t)at);
    while (n < 0 && errno == EINTR)
        n = pread(fd, chunk, n_bytes, (off_t)at);
    if (n > 0)
        gf__buffer_append(out, chunk, (size_t)n);
    const int why = errno;
    gf__free(chunk);
    return n < 0 ? gf__error_errno(err, why, "reading a log") : gf__buffer_status(out, err);
}

/* Whole lines of text, at most max_bytes, one at least; 0: not even one. */
static size_t whole_lines(const char *text, size_t n_bytes, size_t max_bytes)
{
    const size_t n = n_bytes < max_bytes ? n_bytes : max_bytes;
    if (text == NULL) /* n_bytes is 0 then, which gcc does not see in every build */
        return 0;
    const char *last = n > 0 ? memrchr(text, '\n', n) : NULL;
    if (last == NULL && n_bytes > 0)
        last = memchr(text, '\n', n_bytes);
    return last != NULL ? (size_t)(last - text) + 1 : 0;
}

/* Reads on from `at` in the file until there is a line. */
static gf_status read_lines(int fd, uint64_t at, size_t max_bytes, gf__buffer *text,
                            size_t *n_bytes, gf_error *err)
{
    size_t ask = max_bytes > 0 ? max_bytes : 1, before = 0;
    *n_bytes = 0;
    for (;;) {
        const gf_status st = read_at(fd, at + text->size, ask, text, err);
        if (st != GF_OK)
            return st;
        *n_bytes = whole_lines(text->data, text->size, max_bytes);
        if (*n_bytes > 0 || text->size == before)
            return GF_OK;
        before = text->size;
        ask = CHUNK;
    }
}

/* An offset that somebody made up may lie within a line: on to the next one. */
static gf_status go_to_line(const part *file, uint64_t *offset, gf_error *err)
{
    gf__buffer text = {0};
    size_t n_bytes = 0;
    if (*offset == file->start)
        return GF_OK;
    const uint64_t at = *offset - file->start + file->n_head - 1;
    const gf_status st = read_lines(file->fd, at, 1, &text, &n_bytes, err);
    if (st == GF_OK && n_bytes > 1)
        *offset += n_bytes - 1;
    gf__buffer_free(&text);
    return st;
}

gf_status gf__job_log_read(const char *dir, uint64_t *offset, size_t max_bytes, gf__buffer *out,
                           gf_error *err)
{
    part file;
    gf__buffer text = {0};
    size_t n_bytes = 0;
    gf_status st = find_part(dir, offset, &file, err);
    if (st == GF_OK && file.fd >= 0)
        st = go_to_line(&file, offset, err);
    if (st == GF_OK && file.fd >= 0)
        st = read_lines(file.fd, *offset - file.start + file.n_head, max_bytes, &text, &n_bytes,
                        err);
    if (st == GF_OK && n_bytes > 0) {
        gf__buffer_append(out, text.data, n_bytes);
        st = gf__buffer_status(out, err);
        *offset += st == GF_OK ? n_bytes : 0;
    }
    if (file.fd >= 0)
        close(file.fd);
    gf__buffer_free(&text);
    return st;
}

/* ---- the tail ---- */

typedef struct tail {
    char **messages; /* the last one first */
    size_t n, n_max, n_bytes, max_bytes;
} tail;

static bool is_full(const tail *t)
{
    return t->n == t->n_max || t->n_bytes >= t->max_bytes;
}

static gf_status take_line(tail *t, const char *line, size_t n_chars, gf_error *err)
{
    gf__json *doc = NULL;
    const gf_status st = gf__json_parse(line, n_chars, &doc, NULL);
    const char *stream = gf__json_string(gf__json_find(doc, "stream"), "graft");
    const char *message = gf__json_string(gf__json_find(doc, "message"), NULL);
    char *copy = NULL;
    if (st == GF_OK && strcmp(stream, "graft") != 0 && message != NULL) {
        copy = gf__strdup(message);
        if (copy == NULL) {
            gf__json_free(doc);
            return gf__error_nomem(err, "a line of a log", n_chars);
        }
        t->messages[t->n++] = copy;
        t->n_bytes += strlen(copy) + 1;
    }
    gf__json_free(doc);
    return GF_OK;
}

/* Lines of one file from its end to its beginning, block by block; `rest` begins with the half
 * line that the block behind began with. */
static gf_status take_block(tail *t, gf__buffer *text, gf__buffer *rest, bool is_first,
                            gf_error *err)
{
    gf_status st = GF_OK;
    gf__buffer_append(text, rest->data, rest->size);
    st = gf__buffer_status(text, err);
    size_t end = text->size;
    while (st == GF_OK && end > 0 && !is_full(t)) {
        /* end is behind a '\n', except for a half line at the very end, which is nobody's. */
        const size_t n_line = text->data[end - 1] == '\n' ? end - 1 : end;
        const char *before = n_line > 0 ? memrchr(text->data, '\n', n_line) : NULL;
        if (before == NULL && !is_first)
            break;
        const size_t begin = before != NULL ? (size_t)(before - text->data) + 1 : 0;
        if (n_line > begin && n_line != end)
            st = take_line(t, text->data + begin, n_line - begin, err);
        end = begin;
    }
    rest->size = 0;
    gf__buffer_append(rest, text->data, end);
    return st == GF_OK ? gf__buffer_status(rest, err) : st;
}

static gf_status take_file(tail *t, const part *file, gf_error *err)
{
    struct stat info;
    gf_status st = GF_OK;
    gf__buffer rest = {0};
    if (fstat(file->fd, &info) != 0)
        return gf__error_errno(err, errno, "looking at a log");
    uint64_t end = (uint64_t)info.st_size;
    while (st == GF_OK && end > file->n_head && !is_full(t)) {
        gf__buffer text = {0};
        const uint64_t from = end - file->n_head > CHUNK ? end - CHUNK : file->n_head;
        st = read_at(file->fd, from, (size_t)(end - from), &text, err);
        if (st == GF_OK)
            st = take_block(t, &text, &rest, from == file->n_head, err);
        gf__buffer_free(&text);
        end = from;
    }
    gf__buffer_free(&rest);
    return st;
}

/* In their order, joined; of what is too long, the end. */
static gf_status join(const tail *t, char **out, gf_error *err)
{
    gf__buffer text = {0};
    for (size_t i = t->n; i > 0; i--) {
        gf__buffer_puts(&text, t->messages[i - 1]);
        if (i > 1)
            gf__buffer_puts(&text, "\n");
    }
    const gf_status st = gf__buffer_status(&text, err);
    size_t from = st == GF_OK && text.size > t->max_bytes ? text.size - t->max_bytes : 0;
    while (from > 0 && from < text.size && ((unsigned char)text.data[from] & 0xc0) == 0x80)
        from++;
    if (st == GF_OK)
        *out = gf__strdup(text.data != NULL ? text.data + from : "");
    gf__buffer_free(&text);
    return st == GF_OK && *out == NULL ? gf__error_nomem(err, "a log's end", 1) : st;
}

gf_status gf__job_log_tail(const char *dir, size_t n_lines, size_t max_bytes, char **out,
                           gf_error *err)
{
    tail t = {.n_max = n_lines, .max_bytes = max_bytes};
    uint64_t oldest = UINT64_MAX; /* start of the file read last: one met twice is read once */
    gf_status st = GF_OK;
    *out = NULL;
    t.messages = gf__calloc(n_lines + 1, sizeof *t.messages);
    if (t.messages == NULL)
        return gf__error_nomem(err, "a log's end", n_lines * sizeof *t.messages);
    for (int i = 0; i < GF__JOB_LOG_FILES && st == GF_OK && !is_full(&t); i++) {
        part file;
        st = open_part(dir, i, &file, err);
        if (file.fd < 0)
            continue;
        if (file.start < oldest)
            st = take_file(&t, &file, err);
        oldest = file.start < oldest ? file.start : oldest;
        close(file.fd);
    }
    if (st == GF_OK)
        st = join(&t, out, err);
    for (size_t i = 0; i < t.n; i++)
        gf__free(t.messages[i]);
    gf__free(t.messages);
    return st;
}
