/* worker/wire_priv.h: what frames and payloads are made of, written to a buffer and read back: integers
 * little-endian, floats their bits, texts a length and their characters with a NUL. */
#ifndef GRAFT_WORKER_WIRE_PRIV_H
#define GRAFT_WORKER_WIRE_PRIV_H

#include "base/base.h"

void gf__wire_put_uint(gf__buffer *out, uint64_t value, size_t n_bytes); /* at most 8 */
void gf__wire_put_u32(gf__buffer *out, uint32_t value);
void gf__wire_put_u64(gf__buffer *out, uint64_t value);
void gf__wire_put_double(gf__buffer *out, double value);
void gf__wire_put_floats(gf__buffer *out, const float *values, size_t n);
/* NULL and "" are told apart: NULL has length 0, every other text counts its NUL. */
void gf__wire_put_text(gf__buffer *out, const char *text);

/* What is left to be read. A read past the end, or of a value that there is not, is remembered and gives
 * zeros and NULL. */
typedef struct gf__wire_cursor {
    const uint8_t *at;
    size_t left;
    bool failed;
} gf__wire_cursor;
const uint8_t *gf__wire_take(gf__wire_cursor *in, size_t n_bytes);
uint64_t gf__wire_get_uint(gf__wire_cursor *in, size_t n_bytes);
uint32_t gf__wire_get_u32(gf__wire_cursor *in);
uint64_t gf__wire_get_u64(gf__wire_cursor *in);
uint32_t gf__wire_get_enum(gf__wire_cursor *in, uint32_t n); /* below n */
double gf__wire_get_double(gf__wire_cursor *in);
size_t gf__wire_get_size(gf__wire_cursor *in);
const char *gf__wire_get_text(gf__wire_cursor *in); /* where it lies */
/* GF_EFORMAT where a read has failed, or something is left; what names the payload. */
gf_status gf__wire_end(const gf__wire_cursor *in, const char *what, gf_error *err);

#endif
