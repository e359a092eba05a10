/* model/instances.c: a prediction's JSON body into instances: rows ("instances") and TensorFlow
 * Serving's columns ("inputs"), and every spelling of a picture in them. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "model/model_priv.h"

typedef struct instances_memory {
    gf__json *document;
    gf__json_spans *spans;
    gf__arena arena;
} instances_memory;

/* One body being read. */
typedef struct asking {
    const gf_model *model;
    instances_memory *memory;
    const char *body; /* long strings lie in it and may be changed */
    size_t n_bytes;
    size_t max_instances;
    const char *rows; /* the name of the list, for messages */
    gf__instances *out;
} asking;

bool gf__model_takes_pictures(const gf_model *model)
{
    const char *trunk = gf_model_trunk_name(model);
    return trunk != NULL && trunk[0] != '\0';
}

/* ---- one instance ---------------------------------------------------------------------------- */

/* What follows "data:image/jpeg;base64,"; the text itself where it is no such address. */
static gf_status skip_data_url(const char **text, size_t *n_chars, gf_error *err)
{
    if (*n_chars < 5 || strncasecmp(*text, "data:", 5) != 0)
        return GF_OK;
    const char *comma = memchr(*text, ',', *n_chars);
    if (comma == NULL || comma - *text < 7 || strncasecmp(comma - 7, ";base64", 7) != 0)
        return gf_error_set(err, GF_EFORMAT,
                            "a data URL without \";base64,\": expected data:image/jpeg;base64,...");
    *n_chars -= (size_t)(comma + 1 - *text);
    *text = comma + 1;
    return GF_OK;
}

/* base64 with line breaks (as MIME and `base64` make them) without them, in the arena. */
static char *without_breaks(gf__arena *arena, const char *text, size_t *n_chars)
{
    char *plain = gf__arena_alloc(arena, *n_chars);
    size_t n = 0;
    for (size_t i = 0; plain != NULL && i < *n_chars; i++)
        if (text[i] != '\n' && text[i] != '\r')
            plain[n++] = text[i];
    *n_chars = n;
    return plain;
}

gf_status gf__sample_of_base64(gf__arena *arena, const char *text, size_t n_chars, bool is_own,
                               gf_sample *out, gf_error *err)
{
    size_t n_bytes = 0;
    gf_status st = skip_data_url(&text, &n_chars, err);
    if (st != GF_OK)
        return st;
    if (n_chars == 0)
        return gf_error_set(err, GF_EFORMAT, "an empty string, expected a picture as base64");
    if (!is_own)
        text = without_breaks(arena, text, &n_chars);
    if (text == NULL)
        return gf__error_nomem(err, "base64", n_chars);
    uint8_t *bytes = (uint8_t *)(uintptr_t)text;
    st = gf__base64_decode_into(bytes, text, n_chars, &n_bytes, err);
    if (st != GF_OK)
        return st;
    *out = (gf_sample){.kind = GF_SAMPLE_ENCODED, .data = bytes, .n_bytes = n_bytes};
    return GF_OK;
}

static gf_status take_string(const asking *ask, const char *text, size_t n_chars, gf_sample *out,
                             gf_error *err)
{
    const bool is_own = text >= ask->body && text < ask->body + ask->n_bytes;
    if (!gf__model_takes_pictures(ask->model))
        return gf_error_set(err, GF_EFORMAT, "a string: this model takes numbers");
    return gf__sample_of_base64(&ask->memory->arena, text, n_chars, is_own, out, err);
}

static gf_status take_numbers(const asking *ask, gf__numbers *numbers, gf_sample *out,
                              gf_error *err)
{
    if (numbers->n_dims > 1 && !gf__model_takes_pictures(ask->model))
        return gf_error_set(err, GF_ESHAPE,
                            "lists in a list: this model takes one list of numbers");
    return gf__sample_of_numbers(numbers, out, err);
}

/* The names of a table's columns; NULL for a model without. */
static const gf__json *columns_of(const gf_model *model)
{
    const gf__json *columns = gf__json_find(gf__model_json(model), "columns");
    return gf__json_is_array(columns) && gf__json_n_items(columns) > 0 ? columns : NULL;
}

/* {"sepal_length": 5.1, ...} in the order of the columns; each number may also be a list of one. */
static gf_status take_row(const asking *ask, const gf__json *columns, const gf__json *object,
                          gf_sample *out, gf_error *err)
{
    const size_t n = gf__json_n_items(columns);
    float *values = gf__arena_alloc(&ask->memory->arena, n * sizeof *values);
    if (values == NULL)
        return gf__error_nomem(err, "numbers", n * sizeof *values);
    for (size_t i = 0; i < n; i++) {
        const char *name = gf__json_string(gf__json_at(columns, i), "");
        const gf__json *value = gf__json_find(object, name);
        if (gf__json_is_array(value) && gf__json_n_items(value) == 1)
            value = gf__json_at(value, 0);
        if (!gf__json_is_number(value))
            return gf_error_set(err, GF_EFORMAT, "%s: expected a number, found %s", name,
                                value == NULL ? "nothing" : "something else");
        values[i] = (float)gf__json_number(value, 0);
        if (!isfinite(values[i]))
            return gf_error_set(err, GF_EFORMAT, "%s: too large for a float32", name);
    }
    *out = (gf_sample){.kind = GF_SAMPLE_NUMBERS, .data = values, .n_bytes = n * sizeof *values};
    return GF_OK;
}

/* The one member that is the input, beside "key"; NULL where there is none or more than one. */
static const gf__json *find_input(const gf__json *object)
{
    const gf__json *value = NULL, *found = NULL;
    size_t n = 0;
    if (gf__json_n_items(object) > 2)
        return NULL;
    for (const char *name = gf__json_next(object, NULL, &value); name != NULL;
         name = gf__json_next(object, name, &value)) {
        if (strcmp(name, "key") == 0 && gf__json_n_items(object) == 2)
            continue;
        found = value;
        n++;
    }
    return n == 1 ? found : NULL;
}

/* Of {"b64": "..."}, which has no other member. */
static const gf__json *b64_of(const gf__json *value)
{
    return gf__json_is_object(value) && gf__json_n_items(value) == 1 ? gf__json_find(value, "b64")
                                                                     : NULL;
}

static gf_status take_value(const asking *ask, const gf__json *value, gf_sample *out, gf_error *err)
{
    const char *text = NULL;
    size_t n_chars = 0;
    gf__numbers numbers;
    const gf__json *b64 = b64_of(value);
    const gf__json_spans *spans = ask->memory->spans;
    if (gf__json_long_string(spans, b64 != NULL ? b64 : value, &text, &n_chars))
        return take_string(ask, text, n_chars, out, err);
    if (b64 != NULL)
        return gf_error_set(err, GF_EFORMAT, "b64: expected a string");
    if (gf__json_is_array(value) || gf__json_is_string(value) || gf__json_is_number(value)) {
        const gf_status st = gf__numbers_read(&ask->memory->arena, spans, value, &numbers, err);
        return st == GF_OK ? take_numbers(ask, &numbers, out, err) : st;
    }
    return gf_error_set(err, GF_EFORMAT,
                        "expected a picture (base64 as a string, or {\"b64\": ...}) or numbers");
}

/* Given back with the answer, and so for longer than the body lasts. */
static gf_status keep_key(const asking *ask, size_t i, const gf__json *key, gf_error *err)
{
    ask->out->keys[i] = gf__json_copy_long(ask->memory->spans, key);
    const gf_status st = gf__json_status(ask->out->keys[i], err);
    if (st != GF_OK)
        gf__error_prefix(err, "key");
    return st;
}

static gf_status take_instance(const asking *ask, const gf__json *value, size_t i, gf_error *err)
{
    gf_sample *out = &ask->out->samples[i];
    const gf__json *columns = columns_of(ask->model);
    if (!gf__json_is_object(value) || b64_of(value) != NULL)
        return take_value(ask, value, out, err);
    const gf__json *key = gf__json_n_items(value) > 1 ? gf__json_find(value, "key") : NULL;
    if (key != NULL && keep_key(ask, i, key, err) != GF_OK)
        return GF_ENOMEM;
    const gf__json *input = find_input(value);
    if (columns != NULL && (input == NULL || gf__json_n_items(columns) == 1))
        return take_row(ask, columns, value, out, err);
    if (input == NULL)
        return gf_error_set(err, GF_EFORMAT,
                            "an object of %zu members: expected one input, and \"key\" at most",
                            gf__json_n_items(value));
    return take_value(ask, input, out, err);
}

/* ---- the list -------------------------------------------------------------------------------- */

static gf_status check_count(const asking *ask, size_t n, gf_error *err)
{
    if (n == 0)
        return gf_error_set(err, GF_EINVAL, "%s: an empty list, expected one item a prediction",
                            ask->rows);
    if (n > ask->max_instances)
        return gf_error_set(err, GF_ELIMIT, "%s: %zu items, at most %zu may come at once",
                            ask->rows[0] != '\0' ? ask->rows : "the list", n, ask->max_instances);
    ask->out->samples = gf__calloc(n, sizeof *ask->out->samples);
    ask->out->keys = gf__calloc(n, sizeof *ask->out->keys);
    if (ask->out->samples == NULL || ask->out->keys == NULL)
        return gf__error_nomem(err, "instances", n * sizeof *ask->out->samples);
    ask->out->n = n;
    return GF_OK;
}

/* All instances in one array of numbers: (N,H,W,3), (N,D) or (N) for heads that take one. */
static gf_status take_batch(const asking *ask, gf__numbers *all, gf_error *err)
{
    gf_status st = check_count(ask, all->shape[0], err);
    const size_t n_each = st == GF_OK ? all->n_values / all->shape[0] : 0;
    for (size_t i = 0; i < ask->out->n && st == GF_OK; i++) {
        gf__numbers one = {.n_dims = all->n_dims - 1,
                           .n_values = n_each,
                           .is_integers = all->is_integers,
                           .values = all->values + i * n_each};
        memcpy(one.shape, all->shape + 1, one.n_dims * sizeof one.shape[0]);
        st = take_numbers(ask, &one, &ask->out->samples[i], err);
        if (st != GF_OK)
            gf__error_prefix(err, "%s[%zu]", ask->rows, i);
    }
    return st;
}

static gf_status take_list(const asking *ask, const gf__json *list, gf_error *err)
{
    gf__json_numbers found;
    gf__numbers all;
    if (gf__json_long_numbers(ask->memory->spans, list, &found)) {
        gf_status st = gf__numbers_read(&ask->memory->arena, ask->memory->spans, list, &all, err);
        return st == GF_OK ? take_batch(ask, &all, err) : st;
    }
    if (!gf__json_is_array(list))
        return gf_error_set(err, GF_EINVAL, "%s: expected a list", ask->rows);
    gf_status st = check_count(ask, gf__json_n_items(list), err);
    for (size_t i = 0; i < ask->out->n && st == GF_OK; i++) {
        st = take_instance(ask, gf__json_at(list, i), i, err);
        if (st != GF_OK)
            gf__error_prefix(err, "%s[%zu]", ask->rows, i);
    }
    return st;
}

/* ---- columns --------------------------------------------------------------------------------- */

static gf_status take_only(const asking *ask, const gf__json *value, gf_error *err)
{
    gf_status st = check_count(ask, 1, err);
    if (st == GF_OK)
        st = take_value(ask, value, &ask->out->samples[0], err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", ask->rows);
    return st;
}

/* {"sepal_length": [5.1, 4.9], ...}: a list for each of a table's columns. */
static gf_status take_table(const asking *ask, const gf__json *columns, const gf__json *object,
                            gf_error *err)
{
    const size_t n_columns = gf__json_n_items(columns);
    float *values = NULL;
    gf_status st = GF_OK;
    for (size_t k = 0; k < n_columns && st == GF_OK; k++) {
        const char *name = gf__json_string(gf__json_at(columns, k), "");
        gf__numbers column;
        st = gf__numbers_read(&ask->memory->arena, ask->memory->spans, gf__json_find(object, name),
                              &column, err);
        if (st == GF_OK && k == 0)
            st = check_count(ask, column.n_values, err);
        if (st == GF_OK && k == 0) {
            values = gf__arena_alloc(&ask->memory->arena,
                                     column.n_values * n_columns * sizeof *values);
            st = values != NULL ? GF_OK : gf__error_nomem(err, "numbers", column.n_values);
        }
        if (st == GF_OK && column.n_values != ask->out->n)
            st = gf_error_set(err, GF_ESHAPE, "%zu values, the first column has %zu",
                              column.n_values, ask->out->n);
        if (st != GF_OK)
            gf__error_prefix(err, "%s: %s", ask->rows, name);
        for (size_t i = 0; st == GF_OK && i < column.n_values; i++)
            values[i * n_columns + k] = column.values[i];
    }
    for (size_t i = 0; st == GF_OK && i < ask->out->n; i++)
        ask->out->samples[i] = (gf_sample){.kind = GF_SAMPLE_NUMBERS,
                                           .data = values + i * n_columns,
                                           .n_bytes = n_columns * sizeof *values};
    return st;
}

static gf_status take_key_column(const asking *ask, const gf__json *keys, gf_error *err)
{
    if (keys == NULL)
        return GF_OK;
    if (!gf__json_is_array(keys) || gf__json_n_items(keys) != ask->out->n)
        return gf_error_set(err, GF_ESHAPE, "%s: key: expected a list of %zu", ask->rows,
                            ask->out->n);
    for (size_t i = 0; i < ask->out->n; i++) {
        if (keep_key(ask, i, gf__json_at(keys, i), err) != GF_OK)
            return GF_ENOMEM;
    }
    return GF_OK;
}

/* The value of the one input, or an object that names it. A value that is no list is one item. */
static gf_status take_columns(const asking *ask, const gf__json *inputs, gf_error *err)
{
    const char *text = NULL;
    size_t n_chars = 0;
    if (gf__json_long_string(ask->memory->spans, inputs, &text, &n_chars) ||
        b64_of(inputs) != NULL || gf__json_is_number(inputs))
        return take_only(ask, inputs, err);
    if (!gf__json_is_object(inputs))
        return take_list(ask, inputs, err);
    const gf__json *columns = columns_of(ask->model);
    const gf__json *input = find_input(inputs);
    if (columns != NULL && (input == NULL || gf__json_n_items(columns) == 1))
        return take_table(ask, columns, inputs, err);
    if (input == NULL)
        return gf_error_set(err, GF_EINVAL, "%s: an object of %zu inputs, this model has one",
                            ask->rows, gf__json_n_items(inputs));
    const bool is_list = !gf__json_long_string(ask->memory->spans, input, &text, &n_chars) &&
                         !gf__json_is_object(input);
    gf_status st = is_list ? take_list(ask, input, err) : take_only(ask, input, err);
    if (st == GF_OK && gf__json_n_items(inputs) == 2)
        st = take_key_column(ask, gf__json_find(inputs, "key"), err);
    return st;
}

/* ---- the body -------------------------------------------------------------------------------- */

static gf_status keep_rest(const asking *ask, const char *other, gf_error *err)
{
    const gf__json *value = NULL;
    const gf__json *document = ask->memory->document;
    const gf__json *signature = gf__json_find(document, "signature_name");
    const char *text = NULL;
    size_t n_chars = 0;
    if (signature != NULL && !gf__json_long_string(ask->memory->spans, signature, &text, &n_chars))
        return gf_error_set(err, GF_EINVAL, "signature_name: expected a string");
    ask->out->rest = gf__json_object();
    for (const char *name = gf__json_next(document, NULL, &value); name != NULL;
         name = gf__json_next(document, name, &value)) {
        if (strcmp(name, ask->rows) == 0 || strcmp(name, other) == 0 || value == signature)
            continue;
        gf__json_set(ask->out->rest, name, gf__json_copy_long(ask->memory->spans, value));
    }
    if (signature != NULL) {
        ask->out->signature_name = gf__strndup(text, n_chars);
        if (ask->out->signature_name == NULL)
            return gf__error_nomem(err, "signature_name", 0);
    }
    return gf__json_status(ask->out->rest, err);
}

static gf_status take_body(asking *ask, const char *columns, gf_error *err)
{
    const gf__json *document = ask->memory->document;
    if (!gf__json_is_object(document))
        return gf_error_set(err, GF_EINVAL, "the body: expected an object with \"%s\"", ask->rows);
    const gf__json *rows = gf__json_find(document, ask->rows);
    const gf__json *inputs = columns[0] != '\0' ? gf__json_find(document, columns) : NULL;
    if (rows != NULL && inputs != NULL)
        return gf_error_set(err, GF_EINVAL, "the body has both \"%s\" and \"%s\", expected one",
                            ask->rows, columns);
    if (rows == NULL && inputs == NULL)
        return gf_error_set(err, GF_EINVAL, "the body has no \"%s\"", ask->rows);
    gf_status st = keep_rest(ask, columns, err);
    if (st != GF_OK)
        return st;
    ask->out->is_column_form = rows == NULL;
    if (rows != NULL)
        return take_list(ask, rows, err);
    ask->rows = columns;
    return take_columns(ask, inputs, err);
}

gf_status gf__instances_parse(const gf_model *model, const gf__instances_form *form, char *body,
                              size_t n_bytes, gf__instances *out, gf_error *err)
{
    *out = (gf__instances){0};
    instances_memory *memory = gf__calloc(1, sizeof *memory);
    if (memory == NULL)
        return gf__error_nomem(err, "a request", sizeof *memory);
    out->memory = memory;
    asking ask = {.model = model,
                  .memory = memory,
                  .body = body,
                  .n_bytes = n_bytes,
                  .max_instances = form->max_instances,
                  .rows = form->rows,
                  .out = out};
    gf_status st = gf__json_parse_long(body, n_bytes, GF__LONG_CHARS, &memory->document,
                                       &memory->spans, err);
    if (st == GF_OK)
        st = form->rows[0] == '\0' ? take_list(&ask, memory->document, err)
                                   : take_body(&ask, form->columns, err);
    if (st != GF_OK)
        gf__instances_free(out);
    return st;
}

void gf__instances_free(gf__instances *asked)
{
    instances_memory *memory = asked->memory;
    for (size_t i = 0; asked->keys != NULL && i < asked->n; i++)
        gf__json_free(asked->keys[i]);
    gf__free(asked->keys);
    gf__free(asked->samples);
    gf__free(asked->signature_name);
    gf__json_free(asked->rest);
    if (memory != NULL) {
        gf__json_free(memory->document);
        gf__json_spans_free(memory->spans);
        gf__arena_free(&memory->arena);
        gf__free(memory);
    }
    *asked = (gf__instances){0};
}
