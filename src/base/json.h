/* base/json.h: a JSON value that can be read, built and written; the library behind it is json.c's
 * secret.
 *
 * Objects keep their key order, duplicate keys are refused, text must be UTF-8. Numbers are written
 * with 9 significant digits: exact for every float, readable for people.
 *
 *     gf__json *doc = NULL;
 *     st = gf__json_parse(text, size, &doc, err);
 *     st = gf__json_get_size(doc, "n_classes", &n, err);
 *     -> "n_classes: expected an integer, found a string"
 *     gf__json_free(doc); */
#ifndef GRAFT_BASE_JSON_H
#define GRAFT_BASE_JSON_H

#include "base/buffer.h"
#include "graft/base.h"

typedef struct gf__json gf__json;

/* Reading. A document is an object or an array, and ends where the text ends. It is freed whole;
 * values inside it are borrowed. Depth is limited (2048). GF_EFORMAT names line and column. */
gf_status gf__json_parse(const char *text, size_t n_chars, gf__json **out, gf_error *err);
void gf__json_free(gf__json *value);

/* The same for a body that holds a few very long strings (base64) or arrays of numbers (pixels),
 * which the parser would crawl through: every string of at least min_chars of printable ASCII
 * without a backslash, and every array of at least min_chars that holds nothing but numbers, or
 * arrays of them with one shape, is cut out before parsing. In the document a string of our own stands for
 * it, which only the two calls below know from others. Spans point into text, which must outlive the
 * document. *spans is ended with gf__json_spans_free(). What is refused,
 * and where, is the same as in gf__json_parse(). */
typedef struct gf__json_spans gf__json_spans;
gf_status gf__json_parse_long(const char *text, size_t n_chars, size_t min_chars, gf__json **out,
                              gf__json_spans **spans, gf_error *err);
void gf__json_spans_free(gf__json_spans *spans); /* NULL is fine */
/* The characters of a string value, long or not; false where it is no string. Not NUL-terminated
 * where it is long. Nothing that a client writes can pass for a long string. */
bool gf__json_long_string(const gf__json_spans *spans, const gf__json *value, const char **text,
                          size_t *n_chars);

/* Numbers of a rectangular array: (H,W,3) pixels, (D) features. */
#define GF__JSON_DIMS 5
typedef struct gf__json_numbers {
    size_t n_dims, shape[GF__JSON_DIMS];
    size_t n_values;  /* the product */
    bool is_integers; /* each is spelled without a fraction and an exponent */
    const char *text; /* the array as it is written */
    size_t n_chars;
} gf__json_numbers;
/* The array of numbers that was cut out where value stands; false where none was. */
bool gf__json_long_numbers(const gf__json_spans *spans, const gf__json *value,
                           gf__json_numbers *out);
/* gf__json_copy() with what was cut out back in its place, for a document that outlives the text. */
gf__json *gf__json_copy_long(const gf__json_spans *spans, const gf__json *value);
/* Its n_values in order, each as (float)strtod() would read it. */
void gf__json_numbers_read(const gf__json_numbers *numbers, float *values);

bool gf__json_is_object(const gf__json *value);
bool gf__json_is_array(const gf__json *value);
bool gf__json_is_string(const gf__json *value);
bool gf__json_is_number(const gf__json *value);
bool gf__json_is_bool(const gf__json *value);
bool gf__json_is_null(const gf__json *value);

/* Members. find gives NULL where the key is missing (or value is no object). */
const gf__json *gf__json_find(const gf__json *object, const char *key);
size_t gf__json_n_items(const gf__json *value);                      /* array or object */
const gf__json *gf__json_at(const gf__json *array, size_t i);        /* NULL past the end */
const char *gf__json_key_at(const gf__json *object, size_t i);       /* NULL past the end */
const gf__json *gf__json_value_at(const gf__json *object, size_t i); /* NULL past the end */
/* The member after key in order, the first for NULL: its key (borrowed, hand that same pointer
 * back) and value; NULL after the last. The way through objects of any size: the two _at calls
 * above count from the front.
 *     for (key = gf__json_next(o, NULL, &value); key != NULL;
 *          key = gf__json_next(o, key, &value)) */
const char *gf__json_next(const gf__json *object, const char *key, const gf__json **value);

/* Values without a check: the fallback where the kind is another. Strings are borrowed. */
const char *gf__json_string(const gf__json *value, const char *fallback);
double gf__json_number(const gf__json *value, double fallback);
int64_t gf__json_int(const gf__json *value, int64_t fallback);
bool gf__json_bool(const gf__json *value, bool fallback);

/* Members that must be there; GF_EFORMAT names the key, what was expected and what was found. */
gf_status gf__json_get_string(const gf__json *object, const char *key, const char **out,
                              gf_error *err);
gf_status gf__json_get_number(const gf__json *object, const char *key, double *out, gf_error *err);
gf_status gf__json_get_size(const gf__json *object, const char *key, size_t *out, gf_error *err);
gf_status gf__json_get_bool(const gf__json *object, const char *key, bool *out, gf_error *err);
gf_status gf__json_get_object(const gf__json *object, const char *key, const gf__json **out,
                              gf_error *err);
gf_status gf__json_get_array(const gf__json *object, const char *key, const gf__json **out,
                             gf_error *err);

/* Building. A constructor gives NULL when memory is out; set and append take their value over (also
 * a NULL one, and also when they fail, and when the container is NULL itself) and remember the
 * failure in the container, so a builder checks the root once with gf__json_status(). A value has
 * one owner: fill it first, then set or append it once, then leave it alone. */
gf__json *gf__json_object(void);
gf__json *gf__json_array(void);
gf__json *gf__json_new_string(const char *text); /* bytes that are not UTF-8 become U+FFFD */
gf__json *gf__json_new_number(double number);    /* not finite becomes null */
gf__json *gf__json_new_int(int64_t number);
gf__json *gf__json_new_bool(bool truth);
gf__json *gf__json_new_null(void);
gf__json *gf__json_copy(const gf__json *value); /* deep */
void gf__json_set(gf__json *object, const char *key, gf__json *value);
void gf__json_append(gf__json *array, gf__json *value);
void gf__json_set_string(gf__json *object, const char *key, const char *text); /* NULL: null */
void gf__json_set_number(gf__json *object, const char *key, double number);
void gf__json_set_int(gf__json *object, const char *key, int64_t number);
void gf__json_set_bool(gf__json *object, const char *key, bool truth);
gf_status gf__json_status(const gf__json *root, gf_error *err);

/* Writing: compact, or indented by two spaces. Appends to the buffer; a value that is NULL or whose
 * building failed fails the buffer, so gf__buffer_status() answers for both. */
void gf__json_write(const gf__json *value, bool indent, gf__buffer *out);

#endif
