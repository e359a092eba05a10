/* base/buffer.h: bytes that grow. A failed append is remembered, so a builder checks once at the
 * end. */
#ifndef GRAFT_BASE_BUFFER_H
#define GRAFT_BASE_BUFFER_H

#include "graft/base.h"

typedef struct gf__buffer {
    char *data; /* NUL after size bytes whenever data is not NULL */
    size_t size;
    size_t capacity;
    bool failed; /* an append ran out of memory; later appends do nothing */
} gf__buffer;

/* Start with gf__buffer b = {0}; end with gf__buffer_free(&b). */
void gf__buffer_append(gf__buffer *buffer, const void *bytes, size_t n_bytes);
void gf__buffer_puts(gf__buffer *buffer, const char *text);
void gf__buffer_printf(gf__buffer *buffer, const char *fmt, ...) GF_PRINTF(2, 3);
/* Appends base64 (standard alphabet, padded) of the bytes: data URLs in reports. */
void gf__buffer_base64(gf__buffer *buffer, const void *bytes, size_t n_bytes);
/* GF_ENOMEM if any append failed. */
gf_status gf__buffer_status(const gf__buffer *buffer, gf_error *err);
/* Hands over the bytes (caller ends them with gf__free()) and leaves the buffer empty. NULL where
 * an append failed; "" for a buffer that nothing was appended to. size may be NULL. */
char *gf__buffer_take(gf__buffer *buffer, size_t *size);
void gf__buffer_free(gf__buffer *buffer);

/* Decodes base64, standard or URL-safe, padded or not, no white space. *out is new, ended with
 * gf__free(). GF_EFORMAT names the offset of the first byte that does not belong. */
gf_status gf__base64_decode(const char *text, size_t n_chars, uint8_t **out, size_t *n_bytes,
                            gf_error *err);
/* The same into out, which has room for n_chars / 4 * 3 + 2 bytes, or is text itself. */
gf_status gf__base64_decode_into(uint8_t *out, const char *text, size_t n_chars, size_t *n_bytes,
                                 gf_error *err);

#endif
