/* tensor/npy_header.c: the header of .npy, both ways.
 *
 * It is the text of a Python dict with three keys, as in {'descr': '<f4', 'fortran_order': False,
 * 'shape': (3, 4), }. numpy evaluates it; here a parser accepts what such dicts hold and nothing
 * else. Untrusted bytes: everything is checked against the bytes that are there. */
#include "tensor/npy_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAGIC       "\x93NUMPY"
#define N_MAGIC     6
#define ALIGNMENT   64 /* of the values in a file, since numpy 1.14 */
#define N_GROW      21 /* digits numpy leaves free for the first dimension, to append in place */
#define UCS4_BYTES  4
#define N_MAX_DESCR 40 /* longer ones are cut in messages */

typedef struct cursor {
    const char *start;
    const char *at;
    const char *end;
} cursor;

static gf_status complain(const cursor *c, const char *expected, gf_error *err)
{
    if (c->at == c->end)
        return gf_error_set(err, GF_EFORMAT, ".npy header: expected %s, found its end", expected);
    return gf_error_set(err, GF_EFORMAT, ".npy header: expected %s at character %zu", expected,
                        (size_t)(c->at - c->start));
}

static void skip_space(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

/* Takes the character if it is next, after white space. */
static bool take(cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *word)
{
    const size_t n_chars = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->at) < n_chars || memcmp(c->at, word, n_chars) != 0)
        return false;
    c->at += n_chars;
    return true;
}

/* 'text' or "text"; numpy never escapes anything in these. */
static gf_status parse_quoted(cursor *c, const char **text, size_t *n_chars, gf_error *err)
{
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return complain(c, "a quoted string", err);
    const char *close = memchr(c->at + 1, *c->at, (size_t)(c->end - c->at) - 1);
    if (close == NULL)
        return complain(c, "a string that ends", err);
    *text = c->at + 1;
    *n_chars = (size_t)(close - *text);
    c->at = close + 1;
    return GF_OK;
}

static gf_status parse_size(cursor *c, size_t *out, gf_error *err)
{
    skip_space(c);
    const char *first = c->at;
    size_t value = 0;
    for (; c->at < c->end && isdigit((unsigned char)*c->at); c->at++) {
        if (!gf__mul_size(value, 10, &value) ||
            !gf__add_size(value, (size_t)(*c->at - '0'), &value))
            return gf_error_set(err, GF_EFORMAT, ".npy header: a dimension is too large");
    }
    if (c->at == first)
        return complain(c, "a dimension", err);
    if (c->at < c->end && *c->at == 'L') /* Python 2's long */
        c->at++;
    *out = value;
    return GF_OK;
}

static gf_status parse_shape(cursor *c, gf__npy_header *header, gf_error *err)
{
    if (!take(c, '('))
        return complain(c, "a shape in parentheses", err);
    while (!take(c, ')')) {
        if (header->n_dims == GF_TENSOR_MAX_DIMS)
            return gf_error_set(err, GF_EUNSUPPORTED, "the array has more than %d dimensions",
                                GF_TENSOR_MAX_DIMS);
        const gf_status st = parse_size(c, &header->shape[header->n_dims], err);
        if (st != GF_OK)
            return st;
        header->n_dims++;
        if (take(c, ','))
            continue;
        if (!take(c, ')'))
            return complain(c, "',' or ')' after a dimension", err);
        break;
    }
    return GF_OK;
}

static gf_status parse_order(cursor *c, gf__npy_header *header, gf_error *err)
{
    if (take_word(c, "True"))
        header->is_fortran = true;
    else if (!take_word(c, "False"))
        return complain(c, "True or False", err);
    return GF_OK;
}

/* <U12: twelve UCS-4 characters. */
static gf_status read_text_type(const char *digits, size_t n_digits, gf__npy_header *header,
                                gf_error *err)
{
    cursor c = {digits, digits, digits + n_digits};
    size_t n_chars = 0;
    const gf_status st = parse_size(&c, &n_chars, err);
    if (st != GF_OK)
        return st;
    if (c.at != c.end || n_chars == 0 || !gf__mul_size(n_chars, UCS4_BYTES, &header->item_bytes))
        return gf_error_set(err, GF_EFORMAT, ".npy header: dtype U without a usable length");
    header->is_text = true;
    return GF_OK;
}

/* Types that users do meet, with what to do about them. */
static const struct {
    char kind;
    const char *advice;
} foreign_types[] = {
    {'O', "Python objects, which only Python can read; save it with a numeric dtype"},
    {'c', "complex numbers, which are not supported"},
    {'S', "byte strings; save text as numpy's U dtype"},
    {'V', "raw bytes or records; save it with a numeric dtype"},
    {'M', "dates; save it with a numeric dtype"},
    {'m', "time spans; save it with a numeric dtype"},
};

static gf_status refuse_type(const char *descr, size_t n_chars, gf_error *err)
{
    for (size_t i = 0; n_chars > 1 && i < sizeof foreign_types / sizeof foreign_types[0]; i++) {
        if (descr[1] == foreign_types[i].kind)
            return gf_error_set(err, GF_EUNSUPPORTED, "the array holds %s",
                                foreign_types[i].advice);
    }
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "dtype '%.*s' is not supported; integers, float16 to float64, bool, U are",
                        (int)(n_chars < N_MAX_DESCR ? n_chars : N_MAX_DESCR), descr);
}

static gf_status read_type(const char *descr, size_t n_chars, gf__npy_header *header, gf_error *err)
{
    if (n_chars < 2 || strchr("<>|=", descr[0]) == NULL)
        return refuse_type(descr, n_chars, err);
    header->is_big_endian = descr[0] == '>';
    if (descr[1] == 'U')
        return read_text_type(descr + 2, n_chars - 2, header, err);
    for (size_t i = 0; i < GF__N_DTYPES; i++) {
        const gf__dtype_info *info = gf__dtype_info_of((gf_dtype)i);
        if (info->npy == NULL || strlen(info->npy) != n_chars - 1 ||
            memcmp(info->npy, descr + 1, n_chars - 1) != 0)
            continue;
        header->dtype = (gf_dtype)i;
        header->item_bytes = info->size_bytes;
        return GF_OK;
    }
    return refuse_type(descr, n_chars, err);
}

static gf_status parse_type(cursor *c, gf__npy_header *header, gf_error *err)
{
    const char *descr;
    size_t n_chars;
    if (take(c, '[') || take(c, '('))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "the array has records of several fields; save one array a field");
    const gf_status st = parse_quoted(c, &descr, &n_chars, err);
    return st == GF_OK ? read_type(descr, n_chars, header, err) : st;
}

static const struct {
    const char *key;
    gf_status (*parse)(cursor *c, gf__npy_header *header, gf_error *err);
} fields[] = {
    {"descr", parse_type},
    {"fortran_order", parse_order},
    {"shape", parse_shape},
};
#define N_FIELDS (sizeof fields / sizeof fields[0])

/* KEY: VALUE, each key once. */
static gf_status parse_field(cursor *c, bool seen[N_FIELDS], gf__npy_header *header, gf_error *err)
{
    const char *key;
    size_t n_chars;
    const char *first = c->at;
    gf_status st = parse_quoted(c, &key, &n_chars, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (strlen(fields[i].key) != n_chars || memcmp(fields[i].key, key, n_chars) != 0)
            continue;
        if (seen[i])
            return gf_error_set(err, GF_EFORMAT, ".npy header: key '%s' twice", fields[i].key);
        seen[i] = true;
        return take(c, ':') ? fields[i].parse(c, header, err) : complain(c, "':'", err);
    }
    c->at = first;
    return complain(c, "the key descr, fortran_order or shape", err);
}

static gf_status parse_dict(cursor *c, gf__npy_header *header, gf_error *err)
{
    bool seen[N_FIELDS] = {false};
    if (!take(c, '{'))
        return complain(c, "'{'", err);
    while (!take(c, '}')) {
        const gf_status st = parse_field(c, seen, header, err);
        if (st != GF_OK)
            return st;
        if (take(c, ','))
            continue;
        if (!take(c, '}'))
            return complain(c, "',' or '}'", err);
        break;
    }
    skip_space(c);
    if (c->at != c->end)
        return complain(c, "nothing more", err);
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (!seen[i])
            return gf_error_set(err, GF_EFORMAT, ".npy header: key '%s' is missing", fields[i].key);
    }
    return GF_OK;
}

/* Bytes before the header's text: magic, two of version, and 2 (version 1) or 4 of length. */
static size_t text_offset_of(unsigned major)
{
    return major == 1 ? 10 : 12;
}

bool gf__npy_is(const uint8_t *bytes, size_t n_bytes)
{
    return n_bytes >= N_MAGIC && memcmp(bytes, MAGIC, N_MAGIC) == 0;
}

gf_status gf__npy_data_offset(const uint8_t *bytes, size_t n_bytes, size_t n_total, size_t *offset,
                              gf_error *err)
{
    if (!gf__npy_is(bytes, n_bytes))
        return gf_error_set(err, GF_EFORMAT,
                            "not a .npy array (it does not begin with \\x93NUMPY)");
    if (n_bytes < N_MAGIC + 2)
        return gf_error_set(err, GF_EFORMAT, ".npy array ends in its preamble, after %zu bytes",
                            n_bytes);
    const unsigned major = bytes[N_MAGIC], minor = bytes[N_MAGIC + 1];
    if (major < 1 || major > 3 || minor != 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            ".npy format version %u.%u; versions 1.0, 2.0 and 3.0 are known", major,
                            minor);
    const size_t text_offset = text_offset_of(major);
    if (n_bytes < text_offset)
        return gf_error_set(err, GF_EFORMAT, ".npy array ends in its preamble, after %zu bytes",
                            n_bytes);
    size_t n_chars = 0;
    for (size_t i = text_offset; i > N_MAGIC + 2; i--)
        n_chars = n_chars << 8 | bytes[i - 1];
    if (n_chars > n_total - text_offset)
        return gf_error_set(err, GF_EFORMAT, ".npy header of %zu bytes, only %zu are there",
                            n_chars, n_total - text_offset);
    *offset = text_offset + n_chars;
    return GF_OK;
}

gf_status gf__npy_parse_header(const uint8_t *bytes, size_t offset, size_t n_total,
                               gf__npy_header *out, gf_error *err)
{
    const char *text = (const char *)bytes + text_offset_of(bytes[N_MAGIC]);
    cursor c = {text, text, (const char *)bytes + offset};
    *out = (gf__npy_header){0};
    const gf_status st = parse_dict(&c, out, err);
    if (st != GF_OK)
        return st;
    char shape[GF__SHAPE_TEXT];
    gf__shape_text(out->shape, out->n_dims, shape);
    if (!gf__shape_size(out->shape, out->n_dims, out->item_bytes, &out->n_values, &out->size_bytes))
        return gf_error_set(err, GF_EFORMAT, "an array of shape %s does not fit into memory",
                            shape);
    if (out->size_bytes != n_total - offset)
        return gf_error_set(err, GF_EFORMAT,
                            "shape %s with %zu bytes a value needs %zu bytes, %zu are there", shape,
                            out->item_bytes, out->size_bytes, n_total - offset);
    return GF_OK;
}

gf_status gf__npy_describe(gf_dtype dtype, char descr[GF__NPY_DESCR], gf_error *err)
{
    const gf__dtype_info *info = gf__dtype_info_of(dtype);
    if (info->npy == NULL)
        return gf_error_set(err, GF_EUNSUPPORTED, "numpy has no %s; convert to float32 first",
                            info->name);
    snprintf(descr, GF__NPY_DESCR, "%c%s", info->size_bytes > 1 ? '<' : '|', info->npy);
    return GF_OK;
}

void gf__npy_build_header(const char *descr, const size_t *shape, size_t n_dims, gf__buffer *out)
{
    gf__buffer text = {0};
    gf__buffer_printf(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (size_t d = 0; d < n_dims; d++)
        gf__buffer_printf(&text, "%zu%s", shape[d],
                          d + 1 < n_dims ? ", " : (n_dims == 1 ? "," : ""));
    gf__buffer_puts(&text, "), }");
    if (n_dims > 0) {
        const int n_digits = snprintf(NULL, 0, "%zu", shape[0]);
        gf__buffer_printf(&text, "%*s", N_GROW - n_digits, "");
    }
    const size_t n_used = text_offset_of(1) + text.size + 1;
    gf__buffer_printf(&text, "%*s\n", (int)(ALIGNMENT - n_used % ALIGNMENT), "");

    const uint8_t preamble[] = {1, 0, (uint8_t)(text.size & 0xff), (uint8_t)(text.size >> 8)};
    gf__buffer_append(out, MAGIC, N_MAGIC);
    gf__buffer_append(out, preamble, sizeof preamble);
    gf__buffer_append(out, text.data, text.size);
    out->failed = out->failed || text.failed;
    gf__buffer_free(&text);
}
