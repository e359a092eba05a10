/* tasks/child_output.c: what a child writes: line by line into the log, the last lines kept for
 * messages. */
#include <errno.h>
#include <string.h>

#include "tasks/child_priv.h"

#define TAIL_LINE 1024 /* of one line in the tail */

/* The oldest lines go when it is full. */
static void add_to_tail(gf__child *child, const char *text, size_t n_bytes)
{
    const size_t n_line = n_bytes < TAIL_LINE ? n_bytes : TAIL_LINE;
    while (child->n_tail + n_line + 1 > GF__CHILD_TAIL_BYTES) {
        const char *end = memchr(child->tail, '\n', child->n_tail);
        const size_t n_oldest = end != NULL ? (size_t)(end - child->tail) + 1 : child->n_tail;
        child->n_tail -= n_oldest;
        memmove(child->tail, child->tail + n_oldest, child->n_tail);
    }
    if (child->n_tail > 0)
        child->tail[child->n_tail++] = '\n';
    memcpy(child->tail + child->n_tail, text, n_line);
    child->n_tail += n_line;
    child->tail[child->n_tail] = '\0';
}

/* A full disk loses lines, never the job: the log counts them. */
static void log_line(gf__child *child, const gf__child_stream *from, size_t n_bytes)
{
    add_to_tail(child, from->line, n_bytes);
    if (child->task->log != NULL)
        (void)gf__job_log_write(child->task->log, from->name, child->trial, from->line, n_bytes,
                                NULL);
}

static void end_line(gf__child *child, gf__child_stream *from)
{
    size_t n_bytes = from->n_bytes;
    if (n_bytes > 0 && from->line[n_bytes - 1] == '\r')
        n_bytes--;
    if (n_bytes > 0 || !from->is_cut) /* an end alone is no line more */
        log_line(child, from, n_bytes);
    from->n_bytes = 0;
    from->is_cut = false;
}

/* A line that is longer than a line may be: what is there goes, up to the last whole character. */
static void cut_line(gf__child *child, gf__child_stream *from)
{
    size_t n_bytes = from->n_bytes;
    for (size_t back = 1; back < 4; back++) {
        const char *last = from->line + from->n_bytes - back;
        if (((unsigned char)*last & 0xC0) == 0x80)
            continue;
        if (gf__utf8_length(last, back) == 0 && ((unsigned char)*last & 0xC0) == 0xC0)
            n_bytes -= back;
        break;
    }
    log_line(child, from, n_bytes);
    from->is_cut = true;
    from->n_bytes -= n_bytes;
    memmove(from->line, from->line + n_bytes, from->n_bytes);
}

static void take_output(gf__child *child, gf__child_stream *from, const char *bytes, size_t n_bytes)
{
    while (n_bytes > 0) {
        const char *end = memchr(bytes, '\n', n_bytes);
        const size_t n_wanted = end != NULL ? (size_t)(end - bytes) : n_bytes;
        const size_t n_room = sizeof from->line - from->n_bytes;
        const size_t n_taken = n_wanted < n_room ? n_wanted : n_room;
        memcpy(from->line + from->n_bytes, bytes, n_taken);
        from->n_bytes += n_taken;
        bytes += n_taken;
        n_bytes -= n_taken;
        if (end != NULL && n_taken == n_wanted) {
            end_line(child, from);
            bytes++;
            n_bytes--;
        } else if (from->n_bytes == sizeof from->line) {
            cut_line(child, from);
        }
    }
}

void gf__child_close_stream(gf__child *child, gf__child_stream *from)
{
    if (from->fd < 0)
        return;
    close(from->fd);
    from->fd = -1;
    if (from->n_bytes > 0)
        end_line(child, from);
}

/* One pipe's worth at most: a fast writer must not keep us from the others, nor from the end of the
 * time. */
void gf__child_read(gf__child *child, gf__child_stream *from)
{
    ssize_t n;
    char *chunk = child->task->children->chunk;
    do
        n = read(from->fd, chunk, GF__CHILD_CHUNK_BYTES);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        take_output(child, from, chunk, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        gf__child_close_stream(child, from);
}
