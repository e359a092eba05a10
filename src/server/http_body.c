/* server/http_body.c: where a request's body goes while it comes: one block of the size that was
 * announced, a growing one for a chunked body, or a file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "server/http_priv.h"

#define FIRST_BYTES ((size_t)16 << 10) /* of a body whose length is not announced */

static gf_status too_long(gf__body *body, gf_error *err)
{
    gf__free(body->bytes);
    body->bytes = NULL;
    body->capacity = 0;
    return gf_error_set(err, GF_ELIMIT, "Request payload size exceeds the limit: %llu bytes.",
                        (unsigned long long)body->max_bytes);
}

gf_status gf__body_begin(gf__body *body, uint64_t n_announced, gf_error *err)
{
    const bool is_chunked = n_announced == GF__CHUNKED;
    if (!is_chunked && n_announced > body->max_bytes)
        return too_long(body, err);
    if (body->spool_path != NULL) {
        body->fd = open(body->spool_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return body->fd >= 0 ? GF_OK : gf__error_errno(err, errno, "the upload cannot be kept");
    }
    if (n_announced == 0)
        return GF_OK;
    body->capacity = is_chunked ? FIRST_BYTES : (size_t)n_announced;
    body->bytes = gf__malloc(body->capacity + 1);
    if (body->bytes == NULL)
        return gf__error_nomem(err, "a request", body->capacity);
    return GF_OK;
}

static gf_status write_file(gf__body *body, const char *bytes, size_t n_bytes, gf_error *err)
{
    while (n_bytes > 0) {
        const ssize_t n = write(body->fd, bytes, n_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gf__error_errno(err, errno, "the upload cannot be kept");
        bytes += n;
        n_bytes -= (size_t)n;
    }
    return GF_OK;
}

static gf_status make_room(gf__body *body, size_t n_bytes, gf_error *err)
{
    if (body->capacity - body->n_bytes >= n_bytes)
        return GF_OK;
    size_t wanted = body->capacity * 2;
    if (wanted < body->n_bytes + n_bytes)
        wanted = (size_t)body->n_bytes + n_bytes;
    char *bytes = gf__realloc(body->bytes, wanted + 1);
    if (bytes == NULL)
        return gf__error_nomem(err, "a request", wanted);
    body->bytes = bytes;
    body->capacity = wanted;
    return GF_OK;
}

gf_status gf__body_take(gf__body *body, const char *bytes, size_t n_bytes, gf_error *err)
{
    if (n_bytes > body->max_bytes - body->n_bytes)
        return too_long(body, err);
    gf_status st = GF_OK;
    if (body->fd >= 0) {
        st = write_file(body, bytes, n_bytes, err);
    } else {
        st = make_room(body, n_bytes, err);
        if (st == GF_OK)
            memcpy(body->bytes + body->n_bytes, bytes, n_bytes);
    }
    if (st == GF_OK)
        body->n_bytes += n_bytes;
    return st;
}

gf_status gf__body_finish(gf__body *body, gf_error *err)
{
    if (body->bytes != NULL)
        body->bytes[body->n_bytes] = '\0';
    if (body->fd < 0)
        return GF_OK;
    const int failed = close(body->fd);
    body->fd = -1;
    return failed == 0 ? GF_OK : gf__error_errno(err, errno, "the upload cannot be kept");
}

void gf__body_free(gf__body *body)
{
    (void)gf__body_finish(body, NULL);
    if (body->spool_path != NULL)
        (void)unlink(body->spool_path);
    gf__free(body->spool_path);
    gf__free(body->bytes);
    body->spool_path = body->bytes = NULL;
}
