/* server/http_outgoing.c: the answer to a request: asked of whoever answers, then handed to
 * libmicrohttpd as a block of memory, a file, or a stream that is pulled. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/http_mhd_priv.h"

#define SEND_EXTRA_S 1
#define STREAM_BLOCK ((size_t)16 << 10)

static void free_body(void *memory)
{
    gf__free(memory);
}

static struct MHD_Response *file_response(gf__response *from, uint64_t *n_bytes)
{
    struct stat info;
    const int fd = open(from->file_path, O_RDONLY | O_CLOEXEC);
    struct MHD_Response *response = NULL;
    if (fd >= 0 && fstat(fd, &info) == 0) {
        *n_bytes = (uint64_t)info.st_size;
        response = MHD_create_response_from_fd64(*n_bytes, fd);
    }
    if (response == NULL && fd >= 0)
        close(fd);
    return response;
}

static struct MHD_Response *buffer_response(gf__response *from, uint64_t *n_bytes)
{
    size_t size = 0;
    char *body = gf__buffer_take(&from->body, &size);
    struct MHD_Response *response = NULL;
    *n_bytes = size;
    if (body != NULL)
        response = MHD_create_response_from_buffer_with_free_callback(size, body, free_body);
    if (response == NULL)
        gf__free(body);
    return response;
}

void gf__outgoing_set_timeout(gf__incoming *in, bool is_on)
{
    const int ms = in->listener->options.read_timeout_ms;
    const unsigned int seconds = is_on && ms > 0 ? (unsigned int)((ms + 999) / 1000) + SEND_EXTRA_S
                                                 : 0u;
    (void)MHD_set_connection_option(in->http, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

/* A stream may say nothing for longer than a client may take to read. */
static ssize_t pull_stream(void *user, uint64_t n_before, char *bytes, size_t n_room)
{
    gf__incoming *in = user;
    size_t n = 0;
    gf__outgoing_set_timeout(in, false);
    const gf__stream_look look = gf__stream_read(&in->response.stream, gf__peer_fd(in->peer), bytes,
                                                 n_room, &n);
    gf__outgoing_set_timeout(in, true);
    in->n_sent_bytes += n;
    switch (look) {
    case GF__STREAM_MORE:
        return (ssize_t)n;
    case GF__STREAM_END:
        return MHD_CONTENT_READER_END_OF_STREAM;
    case GF__STREAM_BROKEN:
        break;
    }
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(gf__incoming *in)
{
    gf__response *from = &in->response;
    struct MHD_Response *response;
    if (from->stream.pull != NULL)
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, pull_stream,
                                                     in, NULL);
    else if (from->file_path != NULL)
        response = file_response(from, &in->n_sent_bytes);
    else
        response = buffer_response(from, &in->n_sent_bytes);
    if (response == NULL)
        return NULL;
    if (from->content_type == NULL)
        from->content_type = "application/json";
    (void)MHD_add_response_header(response, "Content-Type", from->content_type);
    (void)MHD_add_response_header(response, "X-Request-Id", in->request.id);
    if (in->is_last || atomic_load(&in->listener->lets_go))
        (void)MHD_add_response_header(response, "Connection", "close");
    for (size_t i = 0; i < from->n_headers; i++)
        (void)MHD_add_response_header(response, from->headers[i].name, from->headers[i].value);
    return response;
}

static void finish_body(gf__incoming *in)
{
    gf__request *request = &in->request;
    gf_error ignored;
    gf_status st = gf__body_finish(&in->body, in->st == GF_OK ? &in->err : &ignored);
    if (in->st != GF_OK)
        return;
    if (st == GF_OK && in->body.spool_path != NULL) {
        request->body = in->body.spool_path;
        request->body_bytes = (size_t)in->body.n_bytes;
    } else if (st == GF_OK && in->body.bytes != NULL) {
        request->body = in->body.bytes;
        request->body_bytes = (size_t)in->body.n_bytes;
        st = gf__request_take_query_body(request, &in->err);
    }
    if (st != GF_OK)
        gf__incoming_refuse(in, 0, st);
}

/* The file that was to be sent has been deleted since the handler looked. */
static void respond_gone(gf__incoming *in)
{
    const gf__listener_options *options = &in->listener->options;
    gf__response_clear(&in->response);
    in->response = (gf__response){.code = 404};
    (void)gf__incoming_refuse(
        in, 404, gf_error_set(&in->err, GF_ENOTFOUND, "%.200s was deleted", in->request.path));
    options->respond(options->user, &in->request, in->st, &in->err, &in->response);
}

enum MHD_Result gf__outgoing_send(gf__incoming *in)
{
    const gf__listener_options *options = &in->listener->options;
    if (in->was_answered)
        return MHD_YES;
    in->was_answered = true;
    gf__peer_is_served(in->peer);
    finish_body(in);
    in->response.code = 200;
    options->respond(options->user, &in->request, in->st, &in->err, &in->response);
    struct MHD_Response *response = make_response(in);
    if (response == NULL && in->response.file_path != NULL) {
        respond_gone(in);
        response = make_response(in);
    }
    if (response == NULL)
        return MHD_NO;
    gf__outgoing_set_timeout(in, true);
    const enum MHD_Result result = MHD_queue_response(in->http, (unsigned int)in->response.code,
                                                      response);
    MHD_destroy_response(response);
    return result;
}
