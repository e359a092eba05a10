/* base/json_long.c: long strings and arrays of numbers are cut out of a text before it is parsed, and
 * a short string of ours stands in for each: a random word and a number. The word is drawn for each
 * text, so that nobody can have put it there; it is longer than what jansson repeats in its
 * messages. */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/json_priv.h"
#include "base/mem.h"
#include "base/rng.h"

#define WORD_CHARS 32
#define MIN_CHARS  64 /* a shorter span is not worth its stand-in */
#define MAX_OPEN   8  /* brackets remembered: more than arrays of numbers have dimensions */

typedef struct span {
    size_t start, n_chars; /* in the text; a string's quotes, an array's brackets are inside */
    size_t place;          /* where the stand-in is in the shortened text */
    bool is_numbers;
    gf__json_numbers numbers;
} span;

struct gf__json_spans {
    const char *text;
    size_t n_chars, min_chars;
    span *spans;
    size_t n_spans, capacity;
    size_t open[MAX_OPEN]; /* brackets since which there was nothing but numbers */
    size_t n_open;
    char word[WORD_CHARS + 1];
};

void gf__json_spans_free(gf__json_spans *spans)
{
    if (spans == NULL)
        return;
    gf__free(spans->spans);
    gf__free(spans);
}

static bool add_span(gf__json_spans *spans, size_t start, size_t end, bool is_numbers)
{
    if (spans->n_spans == spans->capacity) {
        const size_t capacity = spans->capacity > 0 ? spans->capacity * 2 : 16;
        span *larger = gf__realloc(spans->spans, capacity * sizeof *larger);
        if (larger == NULL)
            return false;
        spans->spans = larger;
        spans->capacity = capacity;
    }
    spans->spans[spans->n_spans++] = (span){
        .start = start, .n_chars = end - start, .is_numbers = is_numbers};
    return true;
}

/* Printable ASCII without a backslash: what stands for itself, whatever it is used for. Without a
 * branch, so that it is done with vectors. */
static bool is_plain(const char *text, size_t n_chars)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n_chars; i++) {
        const unsigned char c = (unsigned char)text[i];
        bad |= (unsigned)(c < 0x20) | (unsigned)(c > 0x7e) | (unsigned)(c == '\\');
    }
    return bad == 0;
}

/* The quote that ends the string which starts at start (its opening quote); n_chars: none does. */
static size_t find_string_end(const gf__json_spans *spans, size_t start)
{
    const char *text = spans->text, *end = text + spans->n_chars;
    const char *at = text + start + 1;
    const char *quote = memchr(at, '"', (size_t)(end - at));
    while (quote != NULL) {
        const char *escape = memchr(at, '\\', (size_t)(quote - at));
        if (escape == NULL)
            return (size_t)(quote - text);
        at = escape + 2 < end ? escape + 2 : end;
        if (quote < at)
            quote = memchr(at, '"', (size_t)(end - at));
    }
    return spans->n_chars;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Two keys must be told apart by the parser, so they stay. */
static bool is_key(const gf__json_spans *spans, size_t after)
{
    while (after < spans->n_chars && is_space(spans->text[after]))
        after++;
    return after < spans->n_chars && spans->text[after] == ':';
}

/* A string from its opening quote; *at goes behind it. */
static bool scan_string(gf__json_spans *spans, size_t *at)
{
    const size_t start = *at;
    const size_t last = find_string_end(spans, start);
    spans->n_open = 0;
    *at = last < spans->n_chars ? last + 1 : last;
    if (*at - start < spans->min_chars || last == spans->n_chars)
        return true;
    if (!is_plain(spans->text + start + 1, last - start - 1) || is_key(spans, *at))
        return true;
    return add_span(spans, start, *at, false);
}

static void open_bracket(gf__json_spans *spans, size_t at)
{
    if (spans->n_open == MAX_OPEN) {
        memmove(spans->open, spans->open + 1, (MAX_OPEN - 1) * sizeof spans->open[0]);
        spans->n_open--;
    }
    spans->open[spans->n_open++] = at;
}

/* The arrays inside this one are part of it: the largest that holds only numbers is kept. */
static bool close_bracket(gf__json_spans *spans, size_t at)
{
    if (spans->n_open == 0)
        return true;
    const size_t start = spans->open[--spans->n_open];
    if (at + 1 - start < spans->min_chars)
        return true;
    while (spans->n_spans > 0 && spans->spans[spans->n_spans - 1].start > start)
        spans->n_spans--;
    return add_span(spans, start, at + 1, true);
}

/* What each byte outside of strings does: nothing (it may be part of numbers), a bracket, a quote,
 * or it ends every array that is nothing but numbers. */
enum { PART_OF_NUMBERS, OPENS, CLOSES, QUOTE, OTHER };

static void fill_kinds(uint8_t kinds[256])
{
    memset(kinds, OTHER, 256);
    for (const char *c = "0123456789+-.eE, \t\r\n"; *c != '\0'; c++)
        kinds[(uint8_t)*c] = PART_OF_NUMBERS;
    kinds['['] = OPENS;
    kinds[']'] = CLOSES;
    kinds['"'] = QUOTE;
}

static bool scan(gf__json_spans *spans)
{
    uint8_t kinds[256];
    fill_kinds(kinds);
    size_t at = 0;
    bool is_ok = true;
    while (is_ok && at < spans->n_chars) {
        const uint8_t kind = kinds[(uint8_t)spans->text[at]];
        if (kind == QUOTE) {
            is_ok = scan_string(spans, &at);
            continue;
        }
        if (kind == OPENS)
            open_bracket(spans, at);
        else if (kind == CLOSES)
            is_ok = close_bracket(spans, at);
        else if (kind == OTHER)
            spans->n_open = 0;
        at++;
    }
    return is_ok;
}

/* Arrays that are not what JSON has, or have no one shape, are left to the parser, and so is a
 * text that is one array as a whole: a document may be that, and no string. */
static void check_arrays(gf__json_spans *spans)
{
    size_t n = 0, first = 0;
    while (first < spans->n_chars && is_space(spans->text[first]))
        first++;
    for (size_t i = 0; i < spans->n_spans; i++) {
        span *found = &spans->spans[i];
        if (found->start == first)
            continue;
        if (found->is_numbers &&
            !gf__json_numbers_check(spans->text + found->start, found->n_chars, &found->numbers))
            continue;
        if (n != i)
            spans->spans[n] = *found;
        n++;
    }
    spans->n_spans = n;
}

static gf_status draw_word(gf__json_spans *spans, gf_error *err)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[WORD_CHARS / 2];
    const gf_status st = gf__random_bytes(bytes, sizeof bytes, err);
    for (size_t i = 0; st == GF_OK && i < sizeof bytes; i++) {
        spans->word[2 * i] = digits[bytes[i] >> 4];
        spans->word[2 * i + 1] = digits[bytes[i] & 15];
    }
    return st;
}

static void write_short(gf__json_spans *spans, gf__buffer *out)
{
    size_t at = 0;
    for (size_t i = 0; i < spans->n_spans; i++) {
        span *cut = &spans->spans[i];
        gf__buffer_append(out, spans->text + at, cut->start - at);
        cut->place = out->size;
        gf__buffer_printf(out, "\"%s%zu\"", spans->word, i);
        at = cut->start + cut->n_chars;
    }
    gf__buffer_append(out, spans->text + at, spans->n_chars - at);
}

static size_t stand_in_chars(size_t i)
{
    size_t n = WORD_CHARS + 3;
    for (; i >= 10; i /= 10)
        n++;
    return n;
}

/* A place in the shortened text is moved to where it is in the real one. A span is on one line
 * where it is a string; an array may go over several, and the line moves with it. */
static void move_place(const gf__json_spans *spans, gf__json_place *place)
{
    const size_t position = place->position;
    for (size_t i = 0; i < spans->n_spans && spans->spans[i].place < position; i++)
        place->position += spans->spans[i].n_chars - stand_in_chars(i);
    if (place->is_byte)
        return;
    const size_t end = place->position < spans->n_chars ? place->position : spans->n_chars;
    size_t column = 0;
    place->line = 1;
    for (size_t i = 0; i < end; i++) {
        const unsigned char c = (unsigned char)spans->text[i];
        if (c == '\n') {
            place->line++;
            column = 0;
        } else if ((c & 0xc0) != 0x80) {
            column++;
        }
    }
    place->column = (int)column;
}

static gf_status parse_short(gf__json_spans *spans, gf__json **out, gf_error *err)
{
    gf__buffer text = {0};
    gf__json_place place = {0};
    gf_status st = draw_word(spans, err);
    if (st == GF_OK) {
        write_short(spans, &text);
        st = gf__buffer_status(&text, err);
    }
    if (st == GF_OK) {
        st = gf__json_parse_at(text.data, text.size, out, &place, err);
        if (st != GF_OK) {
            move_place(spans, &place);
            gf__json_prefix_place(&place, err);
        }
    }
    gf__buffer_free(&text);
    return st;
}

gf_status gf__json_parse_long(const char *text, size_t n_chars, size_t min_chars, gf__json **out,
                              gf__json_spans **spans, gf_error *err)
{
    *out = NULL;
    *spans = NULL;
    gf__json_spans *found = gf__calloc(1, sizeof *found);
    if (found == NULL)
        return gf__error_nomem(err, "a JSON document", sizeof *found);
    found->text = text;
    found->n_chars = n_chars;
    found->min_chars = min_chars > MIN_CHARS ? min_chars : MIN_CHARS;
    gf_status st = GF_OK;
    if (!scan(found)) {
        st = gf__error_nomem(err, "a JSON document", n_chars);
        goto done;
    }
    check_arrays(found);
    st = found->n_spans > 0 ? parse_short(found, out, err)
                            : gf__json_parse(text, n_chars, out, err);
    if (st == GF_OK) {
        *spans = found;
        found = NULL;
    }
done:
    gf__json_spans_free(found);
    return st;
}

/* The span that a string of the document stands for. */
static const span *span_of(const gf__json_spans *spans, const char *string)
{
    if (spans == NULL || spans->n_spans == 0 || strncmp(string, spans->word, WORD_CHARS) != 0)
        return NULL;
    size_t i = 0;
    for (const char *digit = string + WORD_CHARS; *digit != '\0'; digit++)
        i = i * 10 + (size_t)(*digit - '0');
    assert(i < spans->n_spans);
    return &spans->spans[i];
}

bool gf__json_long_string(const gf__json_spans *spans, const gf__json *value, const char **text,
                          size_t *n_chars)
{
    const char *string = gf__json_string(value, NULL);
    if (string == NULL)
        return false;
    const span *cut = span_of(spans, string);
    if (cut != NULL && cut->is_numbers)
        return false;
    *text = cut != NULL ? spans->text + cut->start + 1 : string;
    *n_chars = cut != NULL ? cut->n_chars - 2 : strlen(string);
    return true;
}

bool gf__json_long_numbers(const gf__json_spans *spans, const gf__json *value,
                           gf__json_numbers *out)
{
    const char *string = gf__json_string(value, NULL);
    const span *cut = string != NULL ? span_of(spans, string) : NULL;
    if (cut == NULL || !cut->is_numbers)
        return false;
    *out = cut->numbers;
    return true;
}

static gf__json *copy_cut(const gf__json_spans *spans, const span *cut)
{
    gf__json *copy = NULL;
    if (cut->is_numbers) {
        (void)gf__json_parse(spans->text + cut->start, cut->n_chars, &copy, NULL);
        return copy;
    }
    char *text = gf__strndup(spans->text + cut->start + 1, cut->n_chars - 2);
    copy = text != NULL ? gf__json_new_string(text) : NULL;
    gf__free(text);
    return copy;
}

gf__json *gf__json_copy_long(const gf__json_spans *spans, const gf__json *value)
{
    gf__json *copy = NULL;
    const gf__json *item = NULL;
    const char *string = gf__json_string(value, NULL);
    const span *cut = string != NULL ? span_of(spans, string) : NULL;
    if (cut != NULL)
        return copy_cut(spans, cut);
    if (gf__json_is_object(value)) {
        copy = gf__json_object();
        for (const char *key = gf__json_next(value, NULL, &item); key != NULL;
             key = gf__json_next(value, key, &item))
            gf__json_set(copy, key, gf__json_copy_long(spans, item));
        return copy;
    }
    if (!gf__json_is_array(value))
        return gf__json_copy(value);
    copy = gf__json_array();
    for (size_t i = 0; i < gf__json_n_items(value); i++)
        gf__json_append(copy, gf__json_copy_long(spans, gf__json_at(value, i)));
    return copy;
}
