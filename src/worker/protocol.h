/* worker/protocol.h: the frames between whoever holds a worker and the worker.
 *
 *     frame    u32 magic, u16 kind, u16 zero, u64 bytes of payload; then the payload
 *     SETUP    what gf__worker_options say, the time the process was started; the busy table's file
 *     LOAD     u64 head; the model's file         UNLOAD  u64 head
 *     SHARE    u32 threads                        STOP    nothing
 *     RUN      gf__run without its bytes; the bytes
 *     READY, FAILED, LOADED, RESULT   gf__report
 *
 * Integers are little-endian, floats their bits, texts a length and their characters with a NUL.
 * Open files ride on the first byte of a frame (SCM_RIGHTS). Neither side trusts the other: every
 * length is compared with the bytes that are left before anything is taken for it. */
#ifndef GRAFT_WORKER_PROTOCOL_H
#define GRAFT_WORKER_PROTOCOL_H

#include "worker/worker.h"

/* The largest payloads: a picture of max_pixels floats, and the scores of a million classes. */
#define GF__REQUEST_MAX_BYTES ((uint64_t)1 << 30)
#define GF__REPORT_MAX_BYTES  ((uint64_t)64 << 20)

#define GF__WORKER_MAX_THREADS 256
#define GF__WORKER_MAX_CUTS    1024

typedef enum gf__frame_kind {
    GF__FRAME_SETUP = 1,
    GF__FRAME_LOAD,
    GF__FRAME_UNLOAD,
    GF__FRAME_SHARE,
    GF__FRAME_RUN,
    GF__FRAME_STOP,
    GF__FRAME_REPORT
} gf__frame_kind;

typedef struct gf__frame {
    uint16_t kind;
    int fd; /* the open file that came with it; -1: none. The receiver's */
    uint8_t *payload;
    size_t n_bytes;
} gf__frame;

/* head and body one after the other; handed_fd -1: none. GF_EUNAVAILABLE where the other side is
 * gone, GF_EIO. One call at a time for each socket; a call that failed leaves it useless. */
gf_status gf__frame_send(int socket, gf__frame_kind kind, const gf__buffer *head, const void *body,
                         size_t n_body, int handed_fd, gf_error *err);
/* GF_EUNAVAILABLE: the other side is gone. GF_EFORMAT: no frame, or a larger one than max_bytes.
 * takes_fd false: files that ride on the frame are refused by the kernel. */
gf_status gf__frame_receive(int socket, uint64_t max_bytes, bool takes_fd, gf__frame *out,
                            gf_error *err);
void gf__frame_clear(gf__frame *frame);

/* ---- payloads ---- */

/* Strings point into the payload. */
typedef struct gf__setup {
    gf__worker_options options; /* program is NULL */
    double started_s;           /* gf__clock_s() of the starter: the clock is the machine's */
    gf_output_spec *cuts;       /* options.cuts; ended with gf__free() */
} gf__setup;
void gf__setup_write(const gf__worker_options *options, double started_s, gf__buffer *out);
gf_status gf__setup_read(const uint8_t *payload, size_t n_bytes, gf__setup *out, gf_error *err);

/* LOAD, UNLOAD (u64), SHARE. */
void gf__number_write(uint64_t number, gf__buffer *out);
gf_status gf__number_read(const uint8_t *payload, size_t n_bytes, uint64_t *out, gf_error *err);

void gf__run_write(const gf__run *run, gf__buffer *out); /* all but the bytes */
/* bytes points into the payload. */
gf_status gf__run_read(const uint8_t *payload, size_t n_bytes, gf__run *out, gf_error *err);

void gf__report_write(const gf__report *report, gf__buffer *out);
/* message points into the payload; scores and logits into *floats, which is new (ended with
 * gf__free()). What it accepts can be shown to strangers: texts are UTF-8, scores finite. */
gf_status gf__report_read(const uint8_t *payload, size_t n_bytes, gf__report *out, float **floats,
                          gf_error *err);

/* ---- the busy table ---- */

/* At most so many runs are answered by one pass. */
#define GF__GROUP_MAX 64

/* One for each thread, in memory that both processes map: the worker writes, the other side reads
 * it also when the worker is dead. */
typedef struct gf__busy {
    _Atomic uint32_t n;
    _Atomic uint64_t ids[GF__GROUP_MAX];
} gf__busy;

#endif
