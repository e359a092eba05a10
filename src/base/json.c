/* base/json.c: the only file that sees jansson. A gf__json is a json_t under another name.
 *
 * A builder's failure has to be remembered inside the tree, where memory is out. Every node of a
 * tree has exactly one owner here, so a container's second reference is a bit that is free: a
 * container that lost something holds two, gf__json_status() looks for it and gf__json_free() drops
 * it. jansson's shared nodes (true, false, null) are never counted. */
#include "base/json.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "base/error.h"
#include "base/json_priv.h"
#include "base/mem.h"
#include "base/mem_priv.h"
#include "base/utf8.h"

#define N_DIGITS 9 /* significant ones: what a float needs to come back as itself */

static json_t *node_of(const gf__json *value)
{
    return (json_t *)value; /* jansson's own readers take const; its macros do not all */
}

static gf__json *json_of(json_t *node)
{
    return (gf__json *)node;
}

gf_status gf__json_parse_at(const char *text, size_t n_chars, gf__json **out, gf__json_place *place,
                            gf_error *err)
{
    *out = NULL;
    *place = (gf__json_place){0};
    /* jansson steps over some of them: [1<NUL>] would be read as [1]. */
    const char *nul = n_chars > 0 ? memchr(text, '\0', n_chars) : NULL;
    if (nul != NULL) {
        place->position = (size_t)(nul - text);
        place->is_byte = true;
        return gf_error_set(err, GF_EFORMAT, "a NUL byte");
    }
    if (gf__mem_refuses())
        return gf__error_nomem(err, "a JSON document", n_chars);
    json_error_t reason;
    json_t *root = json_loadb(text, n_chars, JSON_REJECT_DUPLICATES, &reason);
    if (root != NULL) {
        *out = json_of(root);
        return GF_OK;
    }
    if (json_error_code(&reason) == json_error_out_of_memory)
        return gf__error_nomem(err, "a JSON document", n_chars);
    place->line = reason.line;
    place->column = reason.column;
    place->position = reason.position > 0 ? (size_t)reason.position : 0;
    return gf_error_set(err, GF_EFORMAT, "%s", reason.text);
}

void gf__json_prefix_place(const gf__json_place *place, gf_error *err)
{
    if (err == NULL || err->code != GF_EFORMAT)
        return;
    if (place->is_byte)
        gf__error_prefix(err, "JSON, byte %zu", place->position);
    else
        gf__error_prefix(err, "JSON, line %d, column %d", place->line, place->column);
}

gf_status gf__json_parse(const char *text, size_t n_chars, gf__json **out, gf_error *err)
{
    gf__json_place place;
    const gf_status st = gf__json_parse_at(text, n_chars, out, &place, err);
    if (st != GF_OK)
        gf__json_prefix_place(&place, err);
    return st;
}

static bool is_container(const json_t *node)
{
    return json_is_object(node) || json_is_array(node);
}

static void mark_failed(json_t *container)
{
    if (container->refcount == 1)
        json_incref(container);
}

static void clear_marks(json_t *node)
{
    if (!is_container(node))
        return;
    if (node->refcount == 2)
        json_decref(node);
    for (void *at = json_object_iter(node); at != NULL; at = json_object_iter_next(node, at))
        clear_marks(json_object_iter_value(at));
    for (size_t i = 0; i < json_array_size(node); i++)
        clear_marks(json_array_get(node, i));
}

static bool has_failed(json_t *node)
{
    if (!is_container(node))
        return false;
    bool failed = node->refcount == 2;
    void *at = json_object_iter(node);
    for (; at != NULL && !failed; at = json_object_iter_next(node, at))
        failed = has_failed(json_object_iter_value(at));
    for (size_t i = 0; i < json_array_size(node) && !failed; i++)
        failed = has_failed(json_array_get(node, i));
    return failed;
}

void gf__json_free(gf__json *value)
{
    if (value == NULL)
        return;
    clear_marks(node_of(value));
    json_decref(node_of(value));
}

bool gf__json_is_object(const gf__json *value)
{
    return json_is_object(node_of(value));
}

bool gf__json_is_array(const gf__json *value)
{
    return json_is_array(node_of(value));
}

bool gf__json_is_string(const gf__json *value)
{
    return json_is_string(node_of(value));
}

bool gf__json_is_number(const gf__json *value)
{
    return json_is_number(node_of(value));
}

bool gf__json_is_bool(const gf__json *value)
{
    return json_is_boolean(node_of(value));
}

bool gf__json_is_null(const gf__json *value)
{
    return json_is_null(node_of(value));
}

const gf__json *gf__json_find(const gf__json *object, const char *key)
{
    return json_of(json_object_get(node_of(object), key));
}

size_t gf__json_n_items(const gf__json *value)
{
    const json_t *node = node_of(value);
    return json_is_object(node) ? json_object_size(node) : json_array_size(node);
}

const gf__json *gf__json_at(const gf__json *array, size_t i)
{
    return json_of(json_array_get(node_of(array), i));
}

const char *gf__json_next(const gf__json *object, const char *key, const gf__json **value)
{
    json_t *node = node_of(object);
    void *member = key == NULL ? json_object_iter(node)
                               : json_object_iter_next(node, json_object_key_to_iter(key));
    *value = json_of(json_object_iter_value(member));
    return json_object_iter_key(member);
}

static void *member_at(json_t *object, size_t i)
{
    void *member = json_object_iter(object);
    while (member != NULL && i-- > 0)
        member = json_object_iter_next(object, member);
    return member;
}

const char *gf__json_key_at(const gf__json *object, size_t i)
{
    return json_object_iter_key(member_at(node_of(object), i));
}

const gf__json *gf__json_value_at(const gf__json *object, size_t i)
{
    return json_of(json_object_iter_value(member_at(node_of(object), i)));
}

const char *gf__json_string(const gf__json *value, const char *fallback)
{
    return gf__json_is_string(value) ? json_string_value(node_of(value)) : fallback;
}

double gf__json_number(const gf__json *value, double fallback)
{
    return gf__json_is_number(value) ? json_number_value(node_of(value)) : fallback;
}

int64_t gf__json_int(const gf__json *value, int64_t fallback)
{
    return json_is_integer(node_of(value)) ? json_integer_value(node_of(value)) : fallback;
}

bool gf__json_bool(const gf__json *value, bool fallback)
{
    return gf__json_is_bool(value) ? json_is_true(node_of(value)) : fallback;
}

static const char *name_kind(const gf__json *value)
{
    if (value == NULL)
        return "nothing";
    switch (json_typeof(node_of(value))) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static gf_status wrong_kind(const gf__json *object, const char *key, const char *expected,
                            gf_error *err)
{
    if (!gf__json_is_object(object))
        return gf_error_set(err, GF_EFORMAT, "%s: expected an object around it, found %s", key,
                            name_kind(object));
    return gf_error_set(err, GF_EFORMAT, "%s: expected %s, found %s", key, expected,
                        name_kind(gf__json_find(object, key)));
}

gf_status gf__json_get_string(const gf__json *object, const char *key, const char **out,
                              gf_error *err)
{
    const gf__json *value = gf__json_find(object, key);
    if (!gf__json_is_string(value))
        return wrong_kind(object, key, "a string", err);
    *out = json_string_value(node_of(value));
    return GF_OK;
}

gf_status gf__json_get_number(const gf__json *object, const char *key, double *out, gf_error *err)
{
    const gf__json *value = gf__json_find(object, key);
    if (!gf__json_is_number(value))
        return wrong_kind(object, key, "a number", err);
    *out = json_number_value(node_of(value));
    return GF_OK;
}

gf_status gf__json_get_size(const gf__json *object, const char *key, size_t *out, gf_error *err)
{
    const gf__json *value = gf__json_find(object, key);
    if (!json_is_integer(node_of(value)))
        return wrong_kind(object, key, "an integer", err);
    const json_int_t number = json_integer_value(node_of(value));
    if (number < 0)
        return gf_error_set(err, GF_EFORMAT, "%s: expected an integer of 0 or more, found %lld",
                            key, (long long)number);
    if ((uintmax_t)number > SIZE_MAX)
        return gf_error_set(err, GF_EFORMAT, "%s: %lld is too large", key, (long long)number);
    *out = (size_t)number;
    return GF_OK;
}

gf_status gf__json_get_bool(const gf__json *object, const char *key, bool *out, gf_error *err)
{
    const gf__json *value = gf__json_find(object, key);
    if (!gf__json_is_bool(value))
        return wrong_kind(object, key, "true or false", err);
    *out = json_is_true(node_of(value));
    return GF_OK;
}

gf_status gf__json_get_object(const gf__json *object, const char *key, const gf__json **out,
                              gf_error *err)
{
    const gf__json *value = gf__json_find(object, key);
    if (!gf__json_is_object(value))
        return wrong_kind(object, key, "an object", err);
    *out = value;
    return GF_OK;
}

gf_status gf__json_get_array(const gf__json *object, const char *key, const gf__json **out,
                             gf_error *err)
{
    const gf__json *value = gf__json_find(object, key);
    if (!gf__json_is_array(value))
        return wrong_kind(object, key, "an array", err);
    *out = value;
    return GF_OK;
}

gf__json *gf__json_object(void)
{
    return gf__mem_refuses() ? NULL : json_of(json_object());
}

gf__json *gf__json_array(void)
{
    return gf__mem_refuses() ? NULL : json_of(json_array());
}

/* Text with every byte that is not UTF-8 replaced by U+FFFD; new, ended with gf__free(). */
static char *make_utf8(const char *text)
{
    gf__buffer clean = {0};
    const size_t n_bytes = strlen(text);
    for (size_t i = 0; i < n_bytes;) {
        const size_t length = gf__utf8_length(text + i, n_bytes - i);
        if (length > 0)
            gf__buffer_append(&clean, text + i, length);
        else
            gf__buffer_puts(&clean, "\xef\xbf\xbd");
        i += length > 0 ? length : 1;
    }
    return gf__buffer_take(&clean, NULL);
}

gf__json *gf__json_new_string(const char *text)
{
    if (gf__mem_refuses())
        return NULL;
    json_t *node = json_string(text);
    if (node != NULL)
        return json_of(node);
    char *clean = make_utf8(text);
    node = clean != NULL ? json_string(clean) : NULL;
    gf__free(clean);
    return json_of(node);
}

gf__json *gf__json_new_number(double number)
{
    if (!isfinite(number))
        return gf__json_new_null();
    return gf__mem_refuses() ? NULL : json_of(json_real(number));
}

gf__json *gf__json_new_int(int64_t number)
{
    return gf__mem_refuses() ? NULL : json_of(json_integer(number));
}

gf__json *gf__json_new_bool(bool truth)
{
    return json_of(json_boolean(truth));
}

gf__json *gf__json_new_null(void)
{
    return json_of(json_null());
}

gf__json *gf__json_copy(const gf__json *value)
{
    if (value == NULL || gf__mem_refuses())
        return NULL;
    json_t *copy = json_deep_copy(node_of(value));
    if (copy != NULL && has_failed(node_of(value)))
        mark_failed(copy);
    return json_of(copy);
}

/* After an attempt to put node into container: our own reference goes, the container's stays. */
static void finish_insert(json_t *container, json_t *node, bool is_inserted)
{
    if (is_inserted) {
        json_decref(node);
        return;
    }
    gf__json_free(json_of(node));
    if (container != NULL)
        mark_failed(container);
}

void gf__json_set(gf__json *object, const char *key, gf__json *value)
{
    json_t *container = node_of(object);
    assert(container == NULL || json_is_object(container));
    char *clean_key = gf__mem_refuses() ? NULL : make_utf8(key);
    bool is_set = false;
    if (container != NULL && value != NULL && clean_key != NULL) {
        clear_marks(json_object_get(container, clean_key)); /* of a value about to be replaced */
        is_set = json_object_set(container, clean_key, node_of(value)) == 0;
    }
    finish_insert(container, node_of(value), is_set);
    gf__free(clean_key);
}

void gf__json_append(gf__json *array, gf__json *value)
{
    json_t *container = node_of(array);
    assert(container == NULL || json_is_array(container));
    const bool is_set = container != NULL && value != NULL && !gf__mem_refuses() &&
                        json_array_append(container, node_of(value)) == 0;
    finish_insert(container, node_of(value), is_set);
}

void gf__json_set_string(gf__json *object, const char *key, const char *text)
{
    gf__json_set(object, key, text != NULL ? gf__json_new_string(text) : gf__json_new_null());
}

void gf__json_set_number(gf__json *object, const char *key, double number)
{
    gf__json_set(object, key, gf__json_new_number(number));
}

void gf__json_set_int(gf__json *object, const char *key, int64_t number)
{
    gf__json_set(object, key, gf__json_new_int(number));
}

void gf__json_set_bool(gf__json *object, const char *key, bool truth)
{
    gf__json_set(object, key, gf__json_new_bool(truth));
}

gf_status gf__json_status(const gf__json *root, gf_error *err)
{
    if (root != NULL && !has_failed(node_of(root)))
        return GF_OK;
    return gf_error_set(err, GF_ENOMEM, "out of memory (for a JSON document)");
}

static int append_chunk(const char *chunk, size_t n_bytes, void *out)
{
    gf__buffer_append(out, chunk, n_bytes);
    return ((const gf__buffer *)out)->failed ? -1 : 0;
}

void gf__json_write(const gf__json *value, bool indent, gf__buffer *out)
{
    const size_t layout = indent ? JSON_INDENT(2) : JSON_COMPACT;
    const size_t flags = layout | JSON_REAL_PRECISION(N_DIGITS) | JSON_ENCODE_ANY;
    if (gf__json_status(value, NULL) != GF_OK ||
        json_dump_callback(node_of(value), append_chunk, out, flags) != 0)
        out->failed = true;
}
