/* server/http_stream.c: answers that come piece by piece: what the source has ready is handed on, and
 * a client that has gone is noticed while the source has nothing. */
#include <poll.h>
#include <string.h>

#include "server/http_priv.h"

/* A client that half-closes has gone, too: what it would read of an answer without end, nobody could
 * tell from a client that does not listen any more. */
static bool has_gone(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLRDHUP};
    return poll(&wait, 1, 0) > 0 && (wait.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static size_t take(gf__stream *stream, char *bytes, size_t n_room)
{
    const size_t n_left = stream->ready.size - stream->n_taken;
    const size_t n = n_left < n_room ? n_left : n_room;
    memcpy(bytes, stream->ready.data + stream->n_taken, n);
    stream->n_taken += n;
    if (stream->n_taken == stream->ready.size) {
        gf__buffer_free(&stream->ready); /* one long piece must not be kept for a day */
        stream->ready = (gf__buffer){0};
        stream->n_taken = 0;
    }
    return n;
}

gf__stream_look gf__stream_read(gf__stream *stream, int fd, char *bytes, size_t n_room, size_t *n)
{
    gf_error ignored;
    *n = 0;
    while (stream->ready.size == 0) {
        if (stream->is_at_end)
            return GF__STREAM_END;
        if (has_gone(fd))
            return GF__STREAM_BROKEN;
        if (stream->pull(stream->user, &stream->ready, &stream->is_at_end, &ignored) != GF_OK ||
            gf__buffer_status(&stream->ready, &ignored) != GF_OK)
            return GF__STREAM_BROKEN;
    }
    *n = take(stream, bytes, n_room);
    return GF__STREAM_MORE;
}

void gf__stream_clear(gf__stream *stream)
{
    if (stream->end != NULL)
        stream->end(stream->user);
    gf__buffer_free(&stream->ready);
    *stream = (gf__stream){0};
}
