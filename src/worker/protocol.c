/* worker/protocol.c: see protocol.h. The first half moves frames over a socket, the second half is
 * the payloads. */
#include "worker/protocol.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC        0x314b5747u /* "GWK1" */
#define HEADER_BYTES ((size_t)16)

/* ---- writing and reading numbers ---- */

static void put_uint(gf__buffer *out, uint64_t value, size_t n_bytes)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    gf__buffer_append(out, bytes, n_bytes);
}

static void put_u32(gf__buffer *out, uint32_t value)
{
    put_uint(out, value, 4);
}

static void put_u64(gf__buffer *out, uint64_t value)
{
    put_uint(out, value, 8);
}

static void put_double(gf__buffer *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u64(out, bits);
}

static void put_floats(gf__buffer *out, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        put_u32(out, bits);
    }
}

/* NULL and "" are told apart: NULL has length 0, every other text counts its NUL. */
static void put_text(gf__buffer *out, const char *text)
{
    const size_t n = text != NULL ? strlen(text) + 1 : 0;
    put_u32(out, (uint32_t)n);
    gf__buffer_append(out, text != NULL ? text : "", n);
}

/* What is left of a payload. A read past its end is remembered and gives zeros. */
typedef struct cursor {
    const uint8_t *at;
    size_t left;
    bool failed;
} cursor;

static const uint8_t *take(cursor *in, size_t n_bytes)
{
    if (in->failed || n_bytes > in->left) {
        in->failed = true;
        return NULL;
    }
    const uint8_t *bytes = in->at;
    in->at += n_bytes;
    in->left -= n_bytes;
    return bytes;
}

static uint64_t get_uint(cursor *in, size_t n_bytes)
{
    const uint8_t *bytes = take(in, n_bytes);
    uint64_t value = 0;
    for (size_t i = 0; bytes != NULL && i < n_bytes; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static uint32_t get_u32(cursor *in)
{
    return (uint32_t)get_uint(in, 4);
}

static uint64_t get_u64(cursor *in)
{
    return get_uint(in, 8);
}

/* Below n, else the payload is none of ours. */
static uint32_t get_enum(cursor *in, uint32_t n)
{
    const uint32_t value = get_u32(in);
    if (value >= n)
        in->failed = true;
    return value < n ? value : 0;
}

static double get_double(cursor *in)
{
    const uint64_t bits = get_u64(in);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static size_t get_size(cursor *in)
{
    const uint64_t value = get_u64(in);
    if (value > SIZE_MAX / 2)
        in->failed = true;
    return in->failed ? 0 : (size_t)value;
}

static const char *get_text(cursor *in)
{
    const size_t n = get_u32(in);
    const char *text = (const char *)take(in, n);
    if (text == NULL || n == 0)
        return NULL;
    if (memchr(text, '\0', n) != text + n - 1) {
        in->failed = true;
        return NULL;
    }
    return text;
}

static gf_status end_of(const cursor *in, const char *what, gf_error *err)
{
    if (in->failed || in->left > 0)
        return gf_error_set(err, GF_EFORMAT, "a %s that breaks the protocol of workers (%s)", what,
                            in->failed ? "too short, or a value that there is not" : "too long");
    return GF_OK;
}

/* ---- frames ---- */

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
    put_u32(&header, MAGIC);
    put_uint(&header, (uint64_t)kind, 2);
    put_uint(&header, 0, 2);
    put_u64(&header, (uint64_t)n_head + n_body);
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
    cursor in = {header, HEADER_BYTES, false};
    const uint32_t magic = get_u32(&in);
    out->kind = (uint16_t)get_uint(&in, 2);
    const uint64_t zero = get_uint(&in, 2), n_bytes = get_u64(&in);
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

/* ---- payloads ---- */

void gf__setup_write(const gf__worker_options *options, double started_s, gf__buffer *out)
{
    put_double(out, started_s);
    put_text(out, options->home);
    put_text(out, options->trunk_sha256);
    put_text(out, options->trunk_name);
    put_text(out, options->trunk_file);
    put_u32(out, (uint32_t)options->precision);
    put_u32(out, (uint32_t)options->n_threads);
    put_u64(out, options->max_pixels);
    put_u64(out, options->max_memory_bytes);
    put_u32(out, (uint32_t)options->n_cuts);
    for (size_t i = 0; i < options->n_cuts; i++) {
        put_text(out, options->cuts[i].layer);
        put_u32(out, (uint32_t)options->cuts[i].pool);
    }
}

gf_status gf__setup_read(const uint8_t *payload, size_t n_bytes, gf__setup *out, gf_error *err)
{
    cursor in = {payload, n_bytes, false};
    gf__worker_options *options = &out->options;
    *out = (gf__setup){0};
    out->started_s = get_double(&in);
    options->home = get_text(&in);
    options->trunk_sha256 = get_text(&in);
    options->trunk_name = get_text(&in);
    options->trunk_file = get_text(&in);
    options->precision = (gf_precision)get_enum(&in, GF_PRECISION_BF16 + 1);
    options->n_threads = (int)get_enum(&in, GF__WORKER_MAX_THREADS + 1);
    options->max_pixels = get_u64(&in);
    options->max_memory_bytes = get_u64(&in);
    options->n_cuts = get_enum(&in, GF__WORKER_MAX_CUTS + 1);
    if (!in.failed) {
        out->cuts = gf__calloc(options->n_cuts, sizeof *out->cuts);
        if (out->cuts == NULL)
            return gf__error_nomem(err, "cuts", options->n_cuts * sizeof *out->cuts);
    }
    for (size_t i = 0; !in.failed && i < options->n_cuts; i++) {
        out->cuts[i].layer = get_text(&in);
        out->cuts[i].pool = (gf_pool)get_enum(&in, GF_POOL_MAX + 1);
        in.failed = in.failed || out->cuts[i].layer == NULL;
    }
    options->cuts = out->cuts;
    in.failed = in.failed || options->home == NULL || options->n_threads < 1 ||
                (options->trunk_sha256 == NULL) != (options->trunk_name == NULL);
    const gf_status st = end_of(&in, "set-up", err);
    if (st != GF_OK) {
        gf__free(out->cuts);
        *out = (gf__setup){0};
    }
    return st;
}

void gf__number_write(uint64_t number, gf__buffer *out)
{
    put_u64(out, number);
}

gf_status gf__number_read(const uint8_t *payload, size_t n_bytes, uint64_t *out, gf_error *err)
{
    cursor in = {payload, n_bytes, false};
    *out = get_u64(&in);
    return end_of(&in, "request", err);
}

void gf__run_write(const gf__run *run, gf__buffer *out)
{
    put_u64(out, run->id);
    put_u64(out, run->head);
    put_u32(out, (uint32_t)run->kind);
    put_u32(out, run->wants_debug ? 1 : 0);
    put_u64(out, run->height);
    put_u64(out, run->width);
}

gf_status gf__run_read(const uint8_t *payload, size_t n_bytes, gf__run *out, gf_error *err)
{
    cursor in = {payload, n_bytes, false};
    *out = (gf__run){0};
    out->id = get_u64(&in);
    out->head = get_u64(&in);
    out->kind = (gf__run_kind)get_enum(&in, GF__RUN_SELF_TEST + 1);
    out->wants_debug = get_enum(&in, 2) == 1;
    out->height = get_size(&in);
    out->width = get_size(&in);
    out->n_bytes = in.left;
    out->bytes = take(&in, in.left);
    return end_of(&in, "run", err);
}

void gf__report_write(const gf__report *report, gf__buffer *out)
{
    put_u32(out, (uint32_t)report->kind);
    put_u32(out, (uint32_t)report->status);
    put_text(out, report->message != NULL ? report->message : "");
    put_u32(out, (uint32_t)report->precision);
    put_double(out, report->start_ms);
    put_u32(out, report->is_locked_down_fs ? 1 : 0);
    put_u64(out, report->head);
    put_u64(out, report->resident_bytes);
    put_double(out, report->load_ms);
    put_u64(out, report->id);
    put_double(out, report->timing.wait_ms);
    put_double(out, report->timing.decode_ms);
    put_double(out, report->timing.network_ms);
    put_double(out, report->timing.head_ms);
    put_u32(out, report->timing.n_batch);
    put_u32(out, report->timing.n_threads);
    put_text(out, report->tensor_sha256);
    put_text(out, report->features_sha256);
    put_text(out, report->logits_sha256);
    put_u64(out, report->scores != NULL ? report->n_scores : 0);
    put_u32(out, report->logits != NULL ? 1 : 0);
    if (report->scores != NULL)
        put_floats(out, report->scores, report->n_scores);
    if (report->logits != NULL)
        put_floats(out, report->logits, report->n_scores);
}

/* 64 digits, or nothing. */
static void get_hash(cursor *in, char hex[GF__SHA256_HEX])
{
    const char *text = get_text(in);
    const size_t n = text != NULL ? strlen(text) : 0;
    if (text == NULL || (n != 0 && (n != GF__SHA256_HEX - 1 ||
                                    strspn(text, "0123456789abcdef") != GF__SHA256_HEX - 1)))
        in->failed = true;
    else
        memcpy(hex, text, n + 1);
}

static double get_time(cursor *in)
{
    const double ms = get_double(in);
    if (!(ms >= 0 && isfinite(ms)))
        in->failed = true;
    return in->failed ? 0 : ms;
}

static bool is_utf8(const char *text)
{
    for (size_t left = strlen(text), n; left > 0; text += n, left -= n) {
        n = gf__utf8_length(text, left);
        if (n == 0)
            return false;
    }
    return true;
}

static const char *get_message(cursor *in)
{
    const char *text = get_text(in);
    if (text != NULL && strlen(text) < GF_ERROR_MAX && is_utf8(text))
        return text;
    in->failed = true;
    return "";
}

static gf_status read_floats(cursor *in, gf__report *out, bool has_logits, float **floats,
                             gf_error *err)
{
    const size_t n = out->n_scores * (has_logits ? 2 : 1);
    *floats = gf__malloc(n * sizeof **floats);
    if (*floats == NULL)
        return gf__error_nomem(err, "scores", n * sizeof **floats);
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = get_u32(in);
        memcpy(&(*floats)[i], &bits, sizeof bits);
        if (!isfinite((*floats)[i]))
            in->failed = true;
    }
    out->scores = *floats;
    out->logits = has_logits ? *floats + out->n_scores : NULL;
    return GF_OK;
}

gf_status gf__report_read(const uint8_t *payload, size_t n_bytes, gf__report *out, float **floats,
                          gf_error *err)
{
    cursor in = {payload, n_bytes, false};
    *out = (gf__report){0};
    *floats = NULL;
    out->kind = (gf__report_kind)get_enum(&in, GF__REPORT_RESULT + 1);
    out->status = (gf_status)get_enum(&in, GF_ETIMEOUT + 1);
    out->message = get_message(&in);
    out->precision = (gf_precision)get_enum(&in, GF_PRECISION_BF16 + 1);
    out->start_ms = get_time(&in);
    out->is_locked_down_fs = get_enum(&in, 2) == 1;
    out->head = get_u64(&in);
    out->resident_bytes = get_size(&in);
    out->load_ms = get_time(&in);
    out->id = get_u64(&in);
    out->timing.wait_ms = get_time(&in);
    out->timing.decode_ms = get_time(&in);
    out->timing.network_ms = get_time(&in);
    out->timing.head_ms = get_time(&in);
    out->timing.n_batch = get_u32(&in);
    out->timing.n_threads = get_u32(&in);
    get_hash(&in, out->tensor_sha256);
    get_hash(&in, out->features_sha256);
    get_hash(&in, out->logits_sha256);
    out->n_scores = get_size(&in);
    const bool has_logits = get_enum(&in, 2) == 1;
    if (out->n_scores > in.left / sizeof(float))
        in.failed = true;
    gf_status st = GF_OK;
    if (!in.failed && out->n_scores > 0)
        st = read_floats(&in, out, has_logits, floats, err);
    if (st == GF_OK)
        st = end_of(&in, "report", err);
    if (st != GF_OK) {
        gf__free(*floats);
        *floats = NULL;
    }
    return st;
}
