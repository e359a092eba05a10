/* worker/frames.c: frames over a socket, with the open files that ride on them. See protocol.h. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "worker/protocol.h"
#include "worker/wire_priv.h"

#define MAGIC        0x314b5747u /* "GWK1" */
#define HEADER_BYTES ((size_t)16)

/* The whole of the parts, which are moved on. fd rides on the first byte. */
static gf_status send_all(int socket, struct iovec *parts, size_t n_parts, int fd, gf_error *err)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = n_parts};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    while (message.msg_iovlen > 0) {
        ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return gf_error_set(err, GF_EUNAVAILABLE, "the worker is gone");
        if (n < 0)
            return gf__error_errno(err, errno, "sending to a worker");
        message.msg_control = NULL;
        message.msg_controllen = 0;
        while (message.msg_iovlen > 0 && (size_t)n >= message.msg_iov->iov_len) {
            n -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen > 0) {
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + n;
            message.msg_iov->iov_len -= (size_t)n;
        }
    }
    return GF_OK;
}

gf_status gf__frame_send(int socket, gf__frame_kind kind, const gf__buffer *head, const void *body,
                         size_t n_body, int handed_fd, gf_error *err)
{
    gf__buffer header = {0};
    gf_status st = head != NULL ? gf__buffer_status(head, err) : GF_OK;
    if (st != GF_OK)
        return st;
    const size_t n_head = head != NULL ? head->size : 0;
    gf__wire_put_u32(&header, MAGIC);
    gf__wire_put_uint(&header, (uint64_t)kind, 2);
    gf__wire_put_uint(&header, 0, 2);
    gf__wire_put_u64(&header, (uint64_t)n_head + n_body);
    st = gf__buffer_status(&header, err);
    if (st == GF_OK) {
        struct iovec parts[3] = {{header.data, header.size}};
        size_t n_parts = 1;
        if (n_head > 0)
            parts[n_parts++] = (struct iovec){head->data, n_head};
        if (n_body > 0)
            parts[n_parts++] = (struct iovec){(void *)(uintptr_t)body, n_body};
        st = send_all(socket, parts, n_parts, handed_fd, err);
    }
    gf__buffer_free(&header);
    return st;
}

/* Closes what came along, but for the first where it is wanted. False: more than one came. */
static bool take_files(struct msghdr *message, int *fd)
{
    bool is_good = (message->msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int got;
            memcpy(&got, CMSG_DATA(header) + i * sizeof got, sizeof got);
            if (*fd < 0) {
                *fd = got;
            } else {
                close(got);
                is_good = false;
            }
        }
    }
    return is_good;
}

/* Exactly n_bytes; fd NULL: files are not taken. */
static gf_status receive_all(int socket, uint8_t *bytes, size_t n_bytes, int *fd, gf_error *err)
{
    size_t n_read = 0;
    while (n_read < n_bytes) {
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec part = {bytes + n_read, n_bytes - n_read};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (fd != NULL) {
            message.msg_control = control.bytes;
            message.msg_controllen = sizeof control.bytes;
        }
        const ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return gf_error_set(err, GF_EUNAVAILABLE, "the worker is gone");
        if (n < 0)
            return gf__error_errno(err, errno, "receiving from a worker");
        if (fd != NULL && !take_files(&message, fd))
            return gf_error_set(err, GF_EFORMAT, "a frame with more than one open file");
        n_read += (size_t)n;
    }
    return GF_OK;
}

static gf_status read_header(const uint8_t header[HEADER_BYTES], uint64_t max_bytes, gf__frame *out,
                             gf_error *err)
{
    gf__wire_cursor in = {header, HEADER_BYTES, false};
    const uint32_t magic = gf__wire_get_u32(&in);
    out->kind = (uint16_t)gf__wire_get_uint(&in, 2);
    const uint64_t zero = gf__wire_get_uint(&in, 2), n_bytes = gf__wire_get_u64(&in);
    if (magic != MAGIC || zero != 0)
        return gf_error_set(err, GF_EFORMAT, "no frame of a worker: it begins with %08x, not %08x",
                            magic, MAGIC);
    if (n_bytes > max_bytes)
        return gf_error_set(err, GF_EFORMAT, "a frame of %llu bytes, at most %llu are taken",
                            (unsigned long long)n_bytes, (unsigned long long)max_bytes);
    out->n_bytes = (size_t)n_bytes;
    return GF_OK;
}

gf_status gf__frame_receive(int socket, uint64_t max_bytes, bool takes_fd, gf__frame *out,
                            gf_error *err)
{
    uint8_t header[HEADER_BYTES];
    *out = (gf__frame){.fd = -1};
    gf_status st = receive_all(socket, header, sizeof header, takes_fd ? &out->fd : NULL, err);
    if (st == GF_OK)
        st = read_header(header, max_bytes, out, err);
    if (st == GF_OK) {
        out->payload = gf__malloc(out->n_bytes);
        st = out->payload != NULL ? receive_all(socket, out->payload, out->n_bytes, NULL, err)
                                  : gf__error_nomem(err, "a frame", out->n_bytes);
    }
    if (st != GF_OK)
        gf__frame_clear(out);
    return st;
}

void gf__frame_clear(gf__frame *frame)
{
    if (frame->fd >= 0)
        close(frame->fd);
    gf__free(frame->payload);
    *frame = (gf__frame){.fd = -1};
}
