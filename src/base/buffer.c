/* base/buffer.c: growing by doubling, and base64 both ways. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define MIN_CAPACITY 256u

/* Room for n_bytes more and the NUL; false (remembered) where that cannot be had. */
static bool reserve(gf__buffer *buffer, size_t n_bytes)
{
    if (buffer->failed)
        return false;
    size_t need;
    if (!gf__add_size(buffer->size, n_bytes, &need) || !gf__add_size(need, 1, &need)) {
        buffer->failed = true;
        return false;
    }
    if (need <= buffer->capacity)
        return true;

    size_t capacity = buffer->capacity > 0 ? buffer->capacity : MIN_CAPACITY;
    while (capacity < need) {
        if (!gf__mul_size(capacity, 2, &capacity))
            capacity = need;
    }
    char *data = gf__realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void gf__buffer_append(gf__buffer *buffer, const void *bytes, size_t n_bytes)
{
    if (!reserve(buffer, n_bytes))
        return;
    if (n_bytes > 0)
        memcpy(buffer->data + buffer->size, bytes, n_bytes);
    buffer->size += n_bytes;
    buffer->data[buffer->size] = '\0';
}

void gf__buffer_puts(gf__buffer *buffer, const char *text)
{
    gf__buffer_append(buffer, text, strlen(text));
}

void gf__buffer_printf(gf__buffer *buffer, const char *fmt, ...)
{
    if (!reserve(buffer, 0))
        return;
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const size_t room = buffer->capacity - buffer->size;
    const int n_chars = vsnprintf(buffer->data + buffer->size, room, fmt, args);
    if (n_chars < 0) {
        buffer->failed = true;
    } else if ((size_t)n_chars < room) {
        buffer->size += (size_t)n_chars;
    } else if (reserve(buffer, (size_t)n_chars)) {
        vsnprintf(buffer->data + buffer->size, (size_t)n_chars + 1, fmt, again);
        buffer->size += (size_t)n_chars;
    }
    va_end(again);
    va_end(args);
    /* Whatever the first try left behind the end is not text. */
    buffer->data[buffer->size] = '\0';
}

gf_status gf__buffer_status(const gf__buffer *buffer, gf_error *err)
{
    if (!buffer->failed)
        return GF_OK;
    return gf_error_set(err, GF_ENOMEM, "out of memory (text grew past %zu bytes)", buffer->size);
}

char *gf__buffer_take(gf__buffer *buffer, size_t *size)
{
    if (buffer->failed || !reserve(buffer, 0)) {
        gf__buffer_free(buffer);
        if (size != NULL)
            *size = 0;
        return NULL;
    }
    char *data = buffer->data;
    data[buffer->size] = '\0';
    if (size != NULL)
        *size = buffer->size;
    *buffer = (gf__buffer){0};
    return data;
}

void gf__buffer_free(gf__buffer *buffer)
{
    gf__free(buffer->data);
    *buffer = (gf__buffer){0};
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void gf__buffer_base64(gf__buffer *buffer, const void *bytes, size_t n_bytes)
{
    size_t n_chars;
    if (!gf__mul_size(n_bytes / 3 + (n_bytes % 3 != 0), 4, &n_chars)) {
        buffer->failed = true;
        return;
    }
    if (!reserve(buffer, n_chars))
        return;
    const uint8_t *in = bytes;
    char *out = buffer->data + buffer->size;
    for (size_t i = 0; i < n_bytes; i += 3, out += 4) {
        const size_t n_left = n_bytes - i;
        const uint32_t b1 = n_left > 1 ? in[i + 1] : 0, b2 = n_left > 2 ? in[i + 2] : 0;
        const uint32_t group = (uint32_t)in[i] << 16 | b1 << 8 | b2;
        out[0] = base64_alphabet[group >> 18];
        out[1] = base64_alphabet[group >> 12 & 63];
        out[2] = n_left > 1 ? base64_alphabet[group >> 6 & 63] : '=';
        out[3] = n_left > 2 ? base64_alphabet[group & 63] : '=';
    }
    buffer->size += n_chars;
    buffer->data[buffer->size] = '\0';
}

#define NOT_BASE64 0xff

static void fill_base64_values(uint8_t values[256])
{
    memset(values, NOT_BASE64, 256);
    for (uint8_t i = 0; i < 64; i++)
        values[(uint8_t)base64_alphabet[i]] = i;
    values['-'] = 62; /* URL-safe: RFC 4648, section 5 */
    values['_'] = 63;
}

/* Characters before the padding, which is one or two '='. */
static size_t count_data_chars(const char *text, size_t n_chars)
{
    size_t n = n_chars;
    while (n > 0 && n_chars - n < 2 && text[n - 1] == '=')
        n--;
    return n;
}

/* After the characters themselves, since white space in the middle is the likelier fault. Padding
 * may be left out; what is there must fill a group of four. */
static gf_status check_base64_length(size_t n_data, size_t n_chars, gf_error *err)
{
    const bool is_padded = n_data < n_chars;
    if (n_data % 4 != 1 && !(is_padded && (n_chars % 4 != 0 || n_data % 4 == 0)))
        return GF_OK;
    return gf_error_set(err, GF_EFORMAT,
                        "base64: wrong length at byte %zu: %zu characters and %zu of padding",
                        n_data, n_data, n_chars - n_data);
}

/* Names the first character that does not belong, of which there is one from i on. */
static gf_status report_stray_char(const uint8_t values[256], const char *text, size_t i,
                                   gf_error *err)
{
    while (values[(uint8_t)text[i]] != NOT_BASE64)
        i++;
    return gf_error_set(err, GF_EFORMAT, "base64: byte %zu (0x%02x) does not belong", i,
                        (unsigned)(uint8_t)text[i]);
}

/* out may be text itself: what is written trails what was read. A group of four is looked up whole
 * and checked with one test. */
static gf_status decode_base64_chars(uint8_t *out, const char *text, size_t n_chars, gf_error *err)
{
    uint8_t values[256];
    fill_base64_values(values);
    const uint8_t *in = (const uint8_t *)text;
    size_t i = 0;
    for (; n_chars - i >= 4; i += 4, out += 3) {
        const uint32_t a = values[in[i]], b = values[in[i + 1]];
        const uint32_t c = values[in[i + 2]], d = values[in[i + 3]];
        if (((a | b | c | d) & 0x80) != 0)
            return report_stray_char(values, text, i, err);
        const uint32_t group = a << 18 | b << 12 | c << 6 | d;
        out[0] = (uint8_t)(group >> 16);
        out[1] = (uint8_t)(group >> 8);
        out[2] = (uint8_t)group;
    }
    uint32_t bits = 0;
    const size_t n_rest = n_chars - i;
    for (size_t j = 0; j < n_rest; j++) {
        const uint32_t value = values[in[i + j]];
        if (value == NOT_BASE64)
            return report_stray_char(values, text, i, err);
        bits |= value << (18 - 6 * j);
    }
    for (size_t j = 0; j + 1 < n_rest; j++)
        out[j] = (uint8_t)(bits >> (16 - 8 * j));
    return GF_OK;
}

gf_status gf__base64_decode_into(uint8_t *out, const char *text, size_t n_chars, size_t *n_bytes,
                                 gf_error *err)
{
    const size_t n = count_data_chars(text, n_chars);
    *n_bytes = 0;
    gf_status st = decode_base64_chars(out, text, n, err);
    if (st == GF_OK)
        st = check_base64_length(n, n_chars, err);
    if (st == GF_OK)
        *n_bytes = n / 4 * 3 + n % 4 * 3 / 4;
    return st;
}

gf_status gf__base64_decode(const char *text, size_t n_chars, uint8_t **out, size_t *n_bytes,
                            gf_error *err)
{
    *out = NULL;
    *n_bytes = 0;
    const size_t n_most = n_chars / 4 * 3 + 3;
    uint8_t *bytes = gf__malloc(n_most);
    if (bytes == NULL)
        return gf__error_nomem(err, "base64", n_most);
    const gf_status st = gf__base64_decode_into(bytes, text, n_chars, n_bytes, err);
    if (st != GF_OK) {
        gf__free(bytes);
        return st;
    }
    *out = bytes;
    return GF_OK;
}
