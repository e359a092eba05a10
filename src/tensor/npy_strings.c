/* tensor/npy_strings.c: numpy's fixed-width Unicode strings (dtype U: UCS-4, padded with NULs) to
 * UTF-8 and back. */
#include <string.h>

#include "tensor/npy_priv.h"

#define UCS4_BYTES     4
#define MAX_UTF8_BYTES 4

static uint32_t read_unit(const uint8_t *at, bool is_big_endian)
{
    if (is_big_endian)
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static bool is_character(uint32_t code)
{
    return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static size_t put_utf8(uint32_t code, char out[MAX_UTF8_BYTES])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    const size_t n_bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n_bytes - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00u >> n_bytes & 0xf0u) | code);
    return n_bytes;
}

/* Characters without the padding. */
static size_t count_used(const uint8_t *item, size_t n_chars)
{
    static const uint8_t nul[UCS4_BYTES] = {0};
    while (n_chars > 0 && memcmp(item + (n_chars - 1) * UCS4_BYTES, nul, UCS4_BYTES) == 0)
        n_chars--;
    return n_chars;
}

/* Appends item i and its NUL. */
static gf_status decode_item(const gf__npy_header *header, const uint8_t *item, size_t i,
                             gf__buffer *text, gf_error *err)
{
    const size_t n_chars = count_used(item, header->item_bytes / UCS4_BYTES);
    for (size_t k = 0; k < n_chars; k++) {
        const uint32_t code = read_unit(item + k * UCS4_BYTES, header->is_big_endian);
        char utf8[MAX_UTF8_BYTES];
        if (code == 0 || !is_character(code))
            return gf_error_set(err, GF_EFORMAT, "string %zu, character %zu: U+%04X is not text", i,
                                k, (unsigned)code);
        gf__buffer_append(text, utf8, put_utf8(code, utf8));
    }
    gf__buffer_append(text, "", 1);
    return GF_OK;
}

gf_status gf__npy_check_text(const gf__npy_header *header, gf_error *err)
{
    if (!header->is_text)
        return gf_error_set(err, GF_EUNSUPPORTED, "the array holds %s values, expected text",
                            gf_dtype_name(header->dtype));
    char shape[GF__SHAPE_TEXT];
    if (header->n_dims != 1)
        return gf_error_set(err, GF_ESHAPE, "text of shape %s, expected one dimension",
                            gf__shape_text(header->shape, header->n_dims, shape));
    return GF_OK;
}

/* n pointers, a NULL, and a copy of the text they point into. */
static gf_status make_block(const gf__buffer *text, size_t n, char ***out, gf_error *err)
{
    size_t n_pointers, size_bytes;
    char **block = NULL;
    if (gf__add_size(n, 1, &n_pointers) && gf__mul_size(n_pointers, sizeof *block, &size_bytes) &&
        gf__add_size(size_bytes, text->size, &size_bytes))
        block = gf__malloc(size_bytes);
    if (block == NULL)
        return gf__error_nomem(err, "strings", text->size);
    char *at = (char *)(block + n_pointers);
    if (text->size > 0)
        memcpy(at, text->data, text->size);
    for (size_t i = 0; i < n; i++, at += strlen(at) + 1)
        block[i] = at;
    block[n] = NULL;
    *out = block;
    return GF_OK;
}

gf_status gf__npy_decode_text(const gf__npy_header *header, const uint8_t *values, char ***out,
                              gf_error *err)
{
    gf__buffer text = {0};
    gf_status st = GF_OK;
    *out = NULL;
    for (size_t i = 0; i < header->n_values && st == GF_OK && !text.failed; i++)
        st = decode_item(header, values + i * header->item_bytes, i, &text, err);
    if (st == GF_OK)
        st = gf__buffer_status(&text, err);
    if (st == GF_OK)
        st = make_block(&text, header->n_values, out, err);
    gf__buffer_free(&text);
    return st;
}

gf_status gf__npy_count_chars(const char *text, size_t *n_chars, gf_error *err)
{
    const size_t n_bytes = strlen(text);
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; n++) {
        const size_t length = gf__utf8_length(text + i, n_bytes - i);
        if (length == 0)
            return gf_error_set(err, GF_EINVAL, "not UTF-8 at byte %zu", i);
        i += length;
    }
    *n_chars = n;
    return GF_OK;
}

/* The character at *text, which moves past it; 0 again and again at the end. The text is known to
 * be UTF-8. */
static uint32_t next_character(const char **text)
{
    const uint8_t first = (uint8_t) * *text;
    if (first == 0)
        return 0;
    const unsigned n_bytes = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t code = n_bytes == 1 ? first : first & (0x7fu >> n_bytes);
    for (unsigned i = 1; i < n_bytes; i++)
        code = code << 6 | ((uint8_t)(*text)[i] & 0x3fu);
    *text += n_bytes;
    return code;
}

void gf__npy_encode_text(const char *text, size_t n_chars, uint8_t *out)
{
    for (size_t k = 0; k < n_chars; k++) {
        const uint32_t code = next_character(&text);
        memcpy(out + k * UCS4_BYTES, &code, UCS4_BYTES);
    }
}
