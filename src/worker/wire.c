/* worker/wire.c: the numbers, floats and texts that frames and payloads are made of. */
#include "worker/wire_priv.h"

#include <string.h>

void gf__wire_put_uint(gf__buffer *out, uint64_t value, size_t n_bytes)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    gf__buffer_append(out, bytes, n_bytes);
}

void gf__wire_put_u32(gf__buffer *out, uint32_t value)
{
    gf__wire_put_uint(out, value, 4);
}

void gf__wire_put_u64(gf__buffer *out, uint64_t value)
{
    gf__wire_put_uint(out, value, 8);
}

void gf__wire_put_double(gf__buffer *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    gf__wire_put_u64(out, bits);
}

void gf__wire_put_floats(gf__buffer *out, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        gf__wire_put_u32(out, bits);
    }
}

void gf__wire_put_text(gf__buffer *out, const char *text)
{
    const size_t n = text != NULL ? strlen(text) + 1 : 0;
    gf__wire_put_u32(out, (uint32_t)n);
    gf__buffer_append(out, text != NULL ? text : "", n);
}

const uint8_t *gf__wire_take(gf__wire_cursor *in, size_t n_bytes)
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

uint64_t gf__wire_get_uint(gf__wire_cursor *in, size_t n_bytes)
{
    const uint8_t *bytes = gf__wire_take(in, n_bytes);
    uint64_t value = 0;
    for (size_t i = 0; bytes != NULL && i < n_bytes; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

uint32_t gf__wire_get_u32(gf__wire_cursor *in)
{
    return (uint32_t)gf__wire_get_uint(in, 4);
}

uint64_t gf__wire_get_u64(gf__wire_cursor *in)
{
    return gf__wire_get_uint(in, 8);
}

uint32_t gf__wire_get_enum(gf__wire_cursor *in, uint32_t n)
{
    const uint32_t value = gf__wire_get_u32(in);
    if (value >= n)
        in->failed = true;
    return value < n ? value : 0;
}

double gf__wire_get_double(gf__wire_cursor *in)
{
    const uint64_t bits = gf__wire_get_u64(in);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

size_t gf__wire_get_size(gf__wire_cursor *in)
{
    const uint64_t value = gf__wire_get_u64(in);
    if (value > SIZE_MAX / 2)
        in->failed = true;
    return in->failed ? 0 : (size_t)value;
}

const char *gf__wire_get_text(gf__wire_cursor *in)
{
    const size_t n = gf__wire_get_u32(in);
    const char *text = (const char *)gf__wire_take(in, n);
    if (text == NULL || n == 0)
        return NULL;
    if (memchr(text, '\0', n) != text + n - 1) {
        in->failed = true;
        return NULL;
    }
    return text;
}

gf_status gf__wire_end(const gf__wire_cursor *in, const char *what, gf_error *err)
{
    if (in->failed || in->left > 0)
        return gf_error_set(err, GF_EFORMAT, "a %s that breaks the protocol of workers (%s)", what,
                            in->failed ? "too short, or a value that there is not" : "too long");
    return GF_OK;
}
