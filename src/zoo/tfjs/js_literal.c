/* js_literal.c: JavaScript object literals, as minifiers write them, into JSON. An npm package
 * wraps a model's JSON and its base64 weights in modules; reading them needs no JavaScript, only
 * the literals' grammar:
 *
 *     {name:"conv2d_1",trainable:!1,min:-.76,list:[1,2,],nothing:null}
 *
 * Keys may be names, numbers or strings; !0 and !1 are true and false, void 0 is null; .5, 5. and
 * 0x1f are numbers; strings stand in either quotes. Anything that would need evaluating is refused
 * with its offset. Depth and length are bounded. */
#include <string.h>

#include "zoo/tfjs/tfjs_priv.h"

#define MAX_DEPTH 64

typedef struct reader {
    const char *text;
    size_t n_chars;
    size_t at;
    gf__buffer *out;
    gf_error *err;
} reader;

static char peek(const reader *r)
{
    return r->at < r->n_chars ? r->text[r->at] : '\0';
}

static gf_status unexpected(const reader *r, const char *expected)
{
    const unsigned char c = (unsigned char)peek(r);
    if (r->at >= r->n_chars)
        return gf_error_set(r->err, GF_EFORMAT, "JavaScript literal ends early, expected %s",
                            expected);
    if (c < 0x20 || c > 0x7e)
        return gf_error_set(r->err, GF_EFORMAT,
                            "JavaScript literal: byte 0x%02x at %zu, expected %s", c, r->at,
                            expected);
    return gf_error_set(r->err, GF_EFORMAT, "JavaScript literal: '%c' at %zu, expected %s", c,
                        r->at, expected);
}

static void skip_space(reader *r)
{
    while (r->at < r->n_chars && strchr(" \t\r\n", r->text[r->at]) != NULL &&
           r->text[r->at] != '\0')
        r->at++;
}

static bool accept(reader *r, const char *word)
{
    const size_t length = strlen(word);
    if (r->n_chars - r->at < length || memcmp(r->text + r->at, word, length) != 0)
        return false;
    r->at += length;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '$';
}

/* ---- strings ---- */

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static gf_status read_hex(reader *r, int n_digits, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < n_digits; i++) {
        const int digit = hex_value(peek(r));
        if (digit < 0)
            return unexpected(r, "a hexadecimal digit");
        *out = *out * 16 + (uint32_t)digit;
        r->at++;
    }
    return GF_OK;
}

static void append_utf8(gf__buffer *out, uint32_t c)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | c >> 6);
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | c >> 12);
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | c >> 18);
        bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    }
    gf__buffer_append(out, bytes, n);
}

/* A pair of surrogates is one character; one alone is none and becomes U+FFFD. */
static gf_status read_unicode_escape(reader *r, uint32_t *c)
{
    gf_status st = read_hex(r, 4, c);
    if (st != GF_OK || *c < 0xd800 || *c > 0xdfff)
        return st;
    uint32_t low = 0;
    const uint32_t high = *c;
    *c = 0xfffd;
    if (high >= 0xdc00 || !accept(r, "\\u"))
        return GF_OK;
    st = read_hex(r, 4, &low);
    if (st == GF_OK && low >= 0xdc00 && low <= 0xdfff)
        *c = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return st;
}

static gf_status read_escape(reader *r, gf__buffer *out)
{
    static const char letters[] = "nrtbfv0\\'\"/";
    static const char meanings[] = "\n\r\t\b\f\v\0\\'\"/";
    const char c = peek(r);
    uint32_t code;
    gf_status st;
    const char *letter = c != '\0' ? strchr(letters, c) : NULL;
    if (letter != NULL) {
        r->at++;
        append_utf8(out, (unsigned char)meanings[letter - letters]);
        return GF_OK;
    }
    if (accept(r, "x"))
        st = read_hex(r, 2, &code);
    else if (accept(r, "u"))
        st = read_unicode_escape(r, &code);
    else
        return unexpected(r, "an escape");
    if (st == GF_OK)
        append_utf8(out, code);
    return st;
}

/* Runs without a backslash are copied whole: a shard of weights is one string of megabytes. */
static gf_status read_string(reader *r, gf__buffer *out)
{
    const char quote = peek(r);
    if (quote != '"' && quote != '\'')
        return unexpected(r, "a string");
    r->at++;
    for (;;) {
        const size_t start = r->at;
        while (r->at < r->n_chars && r->text[r->at] != quote && r->text[r->at] != '\\' &&
               r->text[r->at] != '\n')
            r->at++;
        gf__buffer_append(out, r->text + start, r->at - start);
        if (r->at >= r->n_chars || peek(r) == '\n')
            return unexpected(r, "the end of a string");
        if (r->text[r->at++] == quote)
            return GF_OK;
        const gf_status st = read_escape(r, out);
        if (st != GF_OK)
            return st;
    }
}

static void append_json_string(gf__buffer *out, const char *text, size_t n_chars)
{
    gf__buffer_puts(out, "\"");
    for (size_t i = 0; i < n_chars; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            gf__buffer_printf(out, "\\%c", c);
        else if (c < 0x20)
            gf__buffer_printf(out, "\\u%04x", c);
        else
            gf__buffer_append(out, &text[i], 1);
    }
    gf__buffer_puts(out, "\"");
}

static gf_status convert_string(reader *r)
{
    gf__buffer text = {0};
    gf_status st = read_string(r, &text);
    if (st == GF_OK)
        st = gf__buffer_status(&text, r->err);
    if (st == GF_OK)
        append_json_string(r->out, text.size > 0 ? text.data : "", text.size);
    gf__buffer_free(&text);
    return st;
}

/* ---- numbers and words ---- */

static size_t count_digits(reader *r)
{
    const size_t start = r->at;
    while (is_digit(peek(r)))
        r->at++;
    return r->at - start;
}

static gf_status convert_hex(reader *r)
{
    uint64_t value = 0;
    size_t n = 0;
    for (; hex_value(peek(r)) >= 0; n++, r->at++)
        value = value * 16 + (uint64_t)hex_value(peek(r));
    if (n == 0 || n > 13)
        return unexpected(r, "1 to 13 hexadecimal digits");
    gf__buffer_printf(r->out, "%llu", (unsigned long long)value);
    return GF_OK;
}

/* JSON wants a digit before and after the point; minifiers leave out both. */
static gf_status convert_number(reader *r)
{
    if (accept(r, "-"))
        gf__buffer_puts(r->out, "-");
    else
        accept(r, "+");
    if (accept(r, "0x") || accept(r, "0X"))
        return convert_hex(r);
    const size_t whole = r->at;
    const size_t n_whole = count_digits(r);
    if (n_whole > 1 && r->text[whole] == '0')
        return gf_error_set(r->err, GF_EFORMAT, "JavaScript literal: octal number at %zu", whole);
    gf__buffer_append(r->out, n_whole > 0 ? r->text + whole : "0", n_whole > 0 ? n_whole : 1);
    size_t n_fraction = 0;
    if (accept(r, ".")) {
        const size_t fraction = r->at;
        n_fraction = count_digits(r);
        gf__buffer_puts(r->out, ".");
        gf__buffer_append(r->out, n_fraction > 0 ? r->text + fraction : "0",
                          n_fraction > 0 ? n_fraction : 1);
    }
    if (n_whole + n_fraction == 0)
        return unexpected(r, "a digit");
    if (accept(r, "e") || accept(r, "E")) {
        gf__buffer_puts(r->out, "e");
        if (accept(r, "-"))
            gf__buffer_puts(r->out, "-");
        else
            accept(r, "+");
        const size_t exponent = r->at;
        if (count_digits(r) == 0)
            return unexpected(r, "an exponent");
        gf__buffer_append(r->out, r->text + exponent, r->at - exponent);
    }
    return GF_OK;
}

static gf_status convert_word(reader *r)
{
    static const struct {
        const char *word, *json;
    } words[] = {{"!0", "true"},     {"!1", "false"},  {"true", "true"},
                 {"false", "false"}, {"null", "null"}, {"void 0", "null"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (accept(r, words[i].word)) {
            if (is_name_char(peek(r)))
                return unexpected(r, "the end of a value");
            gf__buffer_puts(r->out, words[i].json);
            return GF_OK;
        }
    }
    return unexpected(r, "a value");
}

/* ---- objects and arrays ---- */

static gf_status convert_value(reader *r, int depth);

static gf_status convert_key(reader *r)
{
    const size_t start = r->at;
    if (peek(r) == '"' || peek(r) == '\'')
        return convert_string(r);
    while (is_name_char(peek(r)))
        r->at++;
    if (r->at == start)
        return unexpected(r, "a key");
    append_json_string(r->out, r->text + start, r->at - start);
    return GF_OK;
}

static gf_status convert_member(reader *r, bool is_object, int depth)
{
    if (is_object) {
        const gf_status st = convert_key(r);
        if (st != GF_OK)
            return st;
        skip_space(r);
        if (!accept(r, ":"))
            return unexpected(r, "':'");
        gf__buffer_puts(r->out, ":");
    }
    return convert_value(r, depth + 1);
}

/* A comma after the last member is allowed. */
static gf_status convert_members(reader *r, int depth)
{
    const bool is_object = peek(r) == '{';
    const char *close = is_object ? "}" : "]";
    bool is_first = true;
    r->at++;
    gf__buffer_puts(r->out, is_object ? "{" : "[");
    for (;;) {
        skip_space(r);
        if (accept(r, close)) {
            gf__buffer_puts(r->out, close);
            return GF_OK;
        }
        if (!is_first)
            gf__buffer_puts(r->out, ",");
        is_first = false;
        const gf_status st = convert_member(r, is_object, depth);
        if (st != GF_OK)
            return st;
        skip_space(r);
        if (!accept(r, ",") && peek(r) != close[0])
            return unexpected(r, is_object ? "',' or '}'" : "',' or ']'");
    }
}

static gf_status convert_value(reader *r, int depth)
{
    if (depth > MAX_DEPTH)
        return gf_error_set(r->err, GF_ELIMIT, "JavaScript literal: more than %d levels at %zu",
                            MAX_DEPTH, r->at);
    skip_space(r);
    const char c = peek(r);
    if (c == '{' || c == '[')
        return convert_members(r, depth);
    if (c == '"' || c == '\'')
        return convert_string(r);
    if (is_digit(c) || c == '.' || c == '-' || c == '+')
        return convert_number(r);
    return convert_word(r);
}

gf_status gf__js_to_json(const char *text, size_t n_chars, gf__buffer *out, size_t *n_used,
                         gf_error *err)
{
    reader r = {.text = text, .n_chars = n_chars, .out = out, .err = err};
    gf_status st = convert_value(&r, 0);
    if (st == GF_OK)
        st = gf__buffer_status(out, err);
    if (st == GF_OK && n_used != NULL)
        *n_used = r.at;
    return st;
}

gf_status gf__js_string(const char *text, size_t n_chars, gf__buffer *out, size_t *n_used,
                        gf_error *err)
{
    reader r = {.text = text, .n_chars = n_chars, .out = out, .err = err};
    gf_status st = read_string(&r, out);
    if (st == GF_OK)
        st = gf__buffer_status(out, err);
    if (st == GF_OK && n_used != NULL)
        *n_used = r.at;
    return st;
}

gf_status gf__js_find(const char *text, size_t n_chars, const char *key, size_t *offset,
                      gf_error *err)
{
    const size_t length = strlen(key);
    reader r = {.text = text, .n_chars = n_chars, .err = err};
    while (r.at < n_chars) {
        const char *found = memmem(text + r.at, n_chars - r.at, key, length);
        if (found == NULL)
            break;
        r.at = (size_t)(found - text) + length;
        skip_space(&r);
        if (!accept(&r, "="))
            continue;
        skip_space(&r);
        const char c = peek(&r);
        if (c == '{' || c == '[' || c == '"' || c == '\'') {
            *offset = r.at;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EFORMAT, "no \"%s = {...}\" or \"%s = '...'\" in this JavaScript",
                        key, key);
}
