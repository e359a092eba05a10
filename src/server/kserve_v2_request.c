/* server/kserve_v2_request.c: an inference request's tensor into instances. Data is JSON, flat or
 * nested, or bytes behind the JSON (the binary extension), or the body is one picture and nothing
 * else. Sizes are multiplied with care and compared with what is there before anything is read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "server/kserve_v2_priv.h"

#define MAX_DIMS 5

/* How a value of a datatype lies in memory, little-endian. */
typedef enum value_kind { VALUE_UNSIGNED, VALUE_SIGNED, VALUE_FLOAT, VALUE_BYTES } value_kind;
typedef struct datatype {
    const char *name;
    size_t size_bytes; /* 0: each has its own */
    value_kind kind;
} datatype;
static const datatype datatypes[] = {
    {"BYTES", 0, VALUE_BYTES},     {"UINT8", 1, VALUE_UNSIGNED},  {"INT32", 4, VALUE_SIGNED},
    {"INT64", 8, VALUE_SIGNED},    {"FP32", 4, VALUE_FLOAT},      {"FP64", 8, VALUE_FLOAT},
    {"UINT16", 2, VALUE_UNSIGNED}, {"INT16", 2, VALUE_SIGNED},    {"INT8", 1, VALUE_SIGNED},
    {"UINT32", 4, VALUE_UNSIGNED}, {"UINT64", 8, VALUE_UNSIGNED},
};

/* The tensor being read. */
typedef struct tensor {
    const char *name;
    const datatype *type;
    size_t n_dims, shape[MAX_DIMS], n_values;
    const gf__json *data; /* or */
    const char *bytes;    /* n_bytes behind the JSON */
    size_t n_bytes;
    const gf__json *object; /* the whole of it */
} tensor;

typedef struct reading {
    const gf_model *model;
    size_t max_instances;
    gf__v2_request *out;
    const char *body; /* n_bytes, and may be changed */
    size_t n_bytes;
    const char *tail; /* what lies behind the JSON */
    size_t n_tail;
} reading;

/* ---- the tensor's frame ---------------------------------------------------------------------- */

static gf_status read_shape(tensor *t, gf_error *err)
{
    const gf__json *shape = gf__json_find(t->object, "shape");
    t->n_dims = gf__json_n_items(shape);
    if (!gf__json_is_array(shape) || t->n_dims == 0 || t->n_dims > MAX_DIMS)
        return gf_error_set(err, GF_EINVAL, "shape: expected a list of 1 to %d sizes", MAX_DIMS);
    t->n_values = 1;
    for (size_t i = 0; i < t->n_dims; i++) {
        const int64_t size = gf__json_int(gf__json_at(shape, i), -1);
        if (size < 1)
            return gf_error_set(err, GF_ESHAPE, "shape[%zu]: expected a size of at least 1", i);
        t->shape[i] = (size_t)size;
        if (!gf__mul_size(t->n_values, t->shape[i], &t->n_values))
            return gf_error_set(err, GF_ESHAPE, "shape: more values than any body can hold");
    }
    return GF_OK;
}

static gf_status read_type(tensor *t, gf_error *err)
{
    const char *name = gf__json_string(gf__json_find(t->object, "datatype"), "");
    for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++)
        if (strcmp(datatypes[i].name, name) == 0) {
            t->type = &datatypes[i];
            return GF_OK;
        }
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "datatype \"%.40s\": expected BYTES (encoded pictures), UINT8 (pixels), "
                        "FP32, FP64 or an integer type",
                        name);
}

/* Where the values are: "data", or the next binary_data_size bytes behind the JSON. */
static gf_status find_data(reading *r, tensor *t, gf_error *err)
{
    const gf__json *size = gf__json_find(gf__json_find(t->object, "parameters"),
                                         "binary_data_size");
    t->data = gf__json_find(t->object, "data");
    if (size == NULL && t->data == NULL)
        return gf_error_set(err, GF_EINVAL, "neither \"data\" nor \"binary_data_size\"");
    if (size == NULL)
        return GF_OK;
    if (t->data != NULL)
        return gf_error_set(err, GF_EINVAL, "both \"data\" and \"binary_data_size\"");
    const int64_t n_bytes = gf__json_int(size, -1);
    if (n_bytes < 0)
        return gf_error_set(err, GF_EINVAL, "binary_data_size: expected a number of bytes");
    if ((uint64_t)n_bytes > r->n_tail)
        return gf_error_set(err, GF_EINVAL,
                            "binary_data_size is %lld, %zu bytes are left behind the JSON (is "
                            "the header Inference-Header-Content-Length right?)",
                            (long long)n_bytes, r->n_tail);
    t->bytes = r->tail;
    t->n_bytes = (size_t)n_bytes;
    r->tail += t->n_bytes;
    r->n_tail -= t->n_bytes;
    return GF_OK;
}

/* ---- pictures as files ----------------------------------------------------------------------- */

static gf_status make_instances(reading *r, size_t n, gf_error *err)
{
    if (n > r->max_instances)
        return gf_error_set(err, GF_ELIMIT, "%zu instances, at most %zu may come at once", n,
                            r->max_instances);
    r->out->instances = gf__calloc(n, sizeof *r->out->instances);
    if (r->out->instances == NULL)
        return gf__error_nomem(err, "instances", n * sizeof *r->out->instances);
    r->out->n_instances = n;
    return GF_OK;
}

static size_t length_at(const char *bytes)
{
    const unsigned char *at = (const unsigned char *)bytes;
    return at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
}

/* Each is a length of 4 bytes and so many bytes. */
static gf_status read_binary_files(reading *r, const tensor *t, gf_error *err)
{
    const char *at = t->bytes;
    size_t n_left = t->n_bytes;
    for (size_t i = 0; i < t->n_values; i++) {
        if (n_left < 4)
            return gf_error_set(err, GF_ESHAPE, "the bytes end at element %zu of %zu", i,
                                t->n_values);
        const size_t n = length_at(at);
        at += 4;
        n_left -= 4;
        if (n > n_left)
            return gf_error_set(err, GF_ESHAPE, "element %zu says it has %zu bytes, %zu are left",
                                i, n, n_left);
        r->out->instances[i] = (gf__instance){.kind = GF__RUN_PICTURE, .bytes = at, .n_bytes = n};
        at += n;
        n_left -= n;
    }
    return n_left == 0 ? GF_OK
                       : gf_error_set(err, GF_ESHAPE, "%zu bytes are left after %zu elements",
                                      n_left, t->n_values);
}

/* Lists in lists, taken in order: nested data means the same as flat. */
static gf_status read_json_files(reading *r, const gf__json *value, size_t depth, size_t *n,
                                 gf_error *err)
{
    const char *text = NULL;
    size_t n_chars = 0;
    if (gf__json_long_string(r->out->spans, value, &text, &n_chars)) {
        if (*n >= r->out->n_instances)
            return gf_error_set(err, GF_ESHAPE, "more strings than the shape's %zu",
                                r->out->n_instances);
        const bool is_own = text >= r->body && text < r->body + r->n_bytes;
        gf_sample sample = {0};
        const gf_status st = gf__sample_of_base64(&r->out->arena, text, n_chars, is_own, &sample,
                                                  err);
        r->out->instances[*n] = gf__instance_of_sample(&sample);
        if (st != GF_OK)
            gf__error_prefix(err, "data[%zu]", *n);
        (*n)++;
        return st;
    }
    if (!gf__json_is_array(value) || depth == MAX_DIMS)
        return gf_error_set(err, GF_EFORMAT, "data[%zu]: expected a picture as base64", *n);
    gf_status st = GF_OK;
    for (size_t i = 0; i < gf__json_n_items(value) && st == GF_OK; i++)
        st = read_json_files(r, gf__json_at(value, i), depth + 1, n, err);
    return st;
}

static gf_status read_files(reading *r, const tensor *t, gf_error *err)
{
    size_t n = 0;
    if (!gf__model_takes_pictures(r->model))
        return gf_error_set(err, GF_EUNSUPPORTED, "datatype BYTES: this model takes numbers");
    if (t->n_values != t->shape[0])
        return gf_error_set(err, GF_ESHAPE, "shape: expected (N) or (N,1) for BYTES");
    gf_status st = make_instances(r, t->n_values, err);
    if (st != GF_OK || t->bytes != NULL)
        return st != GF_OK ? st : read_binary_files(r, t, err);
    st = read_json_files(r, t->data, 0, &n, err);
    if (st == GF_OK && n != t->n_values)
        st = gf_error_set(err, GF_ESHAPE, "data has %zu strings, the shape says %zu", n,
                          t->n_values);
    return st;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static float value_at(const datatype *type, const char *bytes)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < type->size_bytes; i++)
        bits |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    if (type->kind == VALUE_UNSIGNED)
        return (float)bits;
    if (type->kind == VALUE_SIGNED) {
        const unsigned n_spare = 64 - 8 * (unsigned)type->size_bytes;
        return (float)((int64_t)(bits << n_spare) >> n_spare);
    }
    if (type->size_bytes == sizeof(float)) {
        const uint32_t word = (uint32_t)bits;
        float value;
        memcpy(&value, &word, sizeof value);
        return value;
    }
    double value;
    memcpy(&value, &bits, sizeof value);
    return (float)value;
}

static gf_status read_binary_numbers(reading *r, const tensor *t, gf__numbers *out, gf_error *err)
{
    size_t n_bytes;
    if (!gf__mul_size(t->n_values, t->type->size_bytes, &n_bytes) || n_bytes != t->n_bytes)
        return gf_error_set(err, GF_ESHAPE,
                            "binary_data_size is %zu, the shape says %zu values of %zu bytes",
                            t->n_bytes, t->n_values, t->type->size_bytes);
    /* As many as lie there: the product below cannot be too large. */
    out->values = gf__arena_alloc(&r->out->arena, t->n_values * sizeof *out->values);
    if (out->values == NULL)
        return gf__error_nomem(err, "numbers", t->n_values * sizeof *out->values);
    out->n_values = t->n_values;
    for (size_t i = 0; i < t->n_values; i++)
        out->values[i] = value_at(t->type, t->bytes + i * t->type->size_bytes);
    for (size_t i = 0; i < out->n_values; i++)
        if (!isfinite(out->values[i]))
            return gf_error_set(err, GF_EFORMAT, "value %zu is not a finite number", i);
    return GF_OK;
}

/* Of JSON, which knows no integer types. Those of 4 and 8 bytes have been rounded to a float. */
static gf_status check_range(const tensor *t, const gf__numbers *all, gf_error *err)
{
    const int n_bits = 8 * (int)t->type->size_bytes;
    const bool is_signed = t->type->kind == VALUE_SIGNED;
    const double most = ldexp(1, is_signed ? n_bits - 1 : n_bits) - (n_bits < 32 ? 1 : 0);
    const double least = is_signed ? -ldexp(1, n_bits - 1) : 0;
    for (size_t i = 0; i < all->n_values && t->type->kind != VALUE_FLOAT; i++) {
        const double value = (double)all->values[i];
        if (value < least || value > most || value != floor(value))
            return gf_error_set(err, GF_EINVAL, "data[%zu]: %g is no %s", i, value, t->type->name);
    }
    return GF_OK;
}

static gf_status read_numbers(reading *r, const tensor *t, gf_error *err)
{
    gf__numbers all = {0};
    gf_status st = t->bytes != NULL
                       ? read_binary_numbers(r, t, &all, err)
                       : gf__numbers_read(&r->out->arena, r->out->spans, t->data, &all, err);
    if (st == GF_OK && all.n_values != t->n_values)
        st = gf_error_set(err, GF_ESHAPE, "data has %zu values, the shape says %zu", all.n_values,
                          t->n_values);
    if (st == GF_OK && t->bytes == NULL)
        st = check_range(t, &all, err);
    /* A list alone is one row. */
    const size_t n = t->n_dims > 1 ? t->shape[0] : 1;
    const size_t n_batch_dims = t->n_dims > 1 ? 1 : 0;
    if (st == GF_OK)
        st = make_instances(r, n, err);
    for (size_t i = 0; i < n && st == GF_OK; i++) {
        gf__numbers one = {.n_dims = t->n_dims - n_batch_dims,
                           .n_values = t->n_values / n,
                           .is_integers = t->type->kind != VALUE_FLOAT,
                           .values = all.values + i * (t->n_values / n)};
        memcpy(one.shape, t->shape + n_batch_dims, one.n_dims * sizeof one.shape[0]);
        gf_sample sample = {0};
        st = gf__sample_of_numbers(&one, &sample, err);
        r->out->instances[i] = gf__instance_of_sample(&sample);
        if (st != GF_OK)
            gf__error_prefix(err, "instance %zu", i);
    }
    return st;
}

/* ---- the request ----------------------------------------------------------------------------- */

static gf_status read_input(reading *r, const gf__json *object, gf_error *err)
{
    tensor t = {.object = object, .name = gf__json_string(gf__json_find(object, "name"), "")};
    gf_status st = read_shape(&t, err);
    if (st == GF_OK)
        st = read_type(&t, err);
    if (st == GF_OK)
        st = find_data(r, &t, err);
    if (st == GF_OK)
        st = t.type->kind == VALUE_BYTES ? read_files(r, &t, err) : read_numbers(r, &t, err);
    if (st != GF_OK)
        gf__error_prefix(err, "input \"%.60s\"", t.name);
    return st;
}

static gf_status read_output(gf__v2_request *out, const gf__json *outputs, gf_error *err)
{
    if (outputs == NULL || (gf__json_is_array(outputs) && gf__json_n_items(outputs) == 0))
        return GF_OK;
    const gf__json *output = gf__json_at(outputs, 0);
    const char *name = gf__json_string(gf__json_find(output, "name"), "");
    if (gf__json_n_items(outputs) != 1 || strcmp(name, GF__V2_OUTPUT) != 0)
        return gf_error_set(err, GF_EINVAL,
                            "outputs: this model has one, \"" GF__V2_OUTPUT "\"; found \"%.60s\"",
                            name);
    const gf__json *parameters = gf__json_find(output, "parameters");
    const gf__json *k = gf__json_find(parameters, "classification");
    out->is_binary = gf__json_bool(gf__json_find(parameters, "binary_data"), out->is_binary);
    if (k != NULL && gf__json_int(k, 0) < 1)
        return gf_error_set(err, GF_EINVAL, "outputs: classification: expected a number from 1");
    out->n_classes = k != NULL ? (size_t)gf__json_int(k, 0) : 0;
    return GF_OK;
}

/* To be given back: the memory of a long one lies in the body, without an end. */
static gf_status keep_id(gf__v2_request *out, gf_error *err)
{
    const char *text = NULL;
    size_t n_chars = 0;
    const gf__json *given = gf__json_find(out->document, "id");
    if (given == NULL || gf__json_is_null(given))
        return GF_OK;
    if (!gf__json_long_string(out->spans, given, &text, &n_chars))
        return gf_error_set(err, GF_EINVAL, "id: expected a string");
    char *id = gf__arena_alloc(&out->arena, n_chars + 1);
    if (id == NULL)
        return gf__error_nomem(err, "an id", n_chars);
    memcpy(id, text, n_chars);
    id[n_chars] = '\0';
    out->id = id;
    return GF_OK;
}

/* Microseconds, as Triton counts them: how long the answer is worth waiting for. */
static gf_status read_timeout(gf__v2_request *out, const gf__json *timeout, gf_error *err)
{
    if (timeout == NULL)
        return GF_OK;
    const int64_t microseconds = gf__json_int(timeout, -1);
    if (microseconds < 0)
        return gf_error_set(err, GF_EINVAL,
                            "parameters: timeout: expected a number of microseconds, 0 for none");
    const int64_t ms = microseconds / 1000 + (microseconds % 1000 > 0 ? 1 : 0);
    out->timeout_ms = ms < INT32_MAX ? (int)ms : INT32_MAX;
    return GF_OK;
}

static gf_status read_document(reading *r, gf_error *err)
{
    gf__v2_request *out = r->out;
    const gf__json *inputs = gf__json_find(out->document, "inputs");
    const gf__json *parameters = gf__json_find(out->document, "parameters");
    out->is_binary = gf__json_bool(gf__json_find(parameters, "binary_data_output"), false);
    gf_status st = read_timeout(out, gf__json_find(parameters, "timeout"), err);
    if (st == GF_OK && (!gf__json_is_array(inputs) || gf__json_n_items(inputs) != 1))
        st = gf_error_set(err, GF_EINVAL, "inputs: expected a list of one tensor, found %zu",
                          gf__json_n_items(inputs));
    if (st == GF_OK)
        st = keep_id(out, err);
    if (st == GF_OK)
        st = read_output(out, gf__json_find(out->document, "outputs"), err);
    if (st == GF_OK)
        st = read_input(r, gf__json_at(inputs, 0), err);
    if (st == GF_OK && r->n_tail > 0)
        st = gf_error_set(err, GF_EINVAL, "%zu bytes behind the JSON belong to no tensor",
                          r->n_tail);
    return st;
}

/* The body is one row of FP32 numbers. */
static gf_status take_raw_numbers(reading *r, const char *body, size_t n_bytes, gf_error *err)
{
    const size_t n = gf_model_n_inputs(r->model);
    tensor t = {.n_dims = 2, .shape = {1, n}, .n_values = n, .bytes = body, .n_bytes = n_bytes};
    for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++)
        if (strcmp(datatypes[i].name, "FP32") == 0)
            t.type = &datatypes[i];
    if (n_bytes != n * sizeof(float))
        return gf_error_set(err, GF_ESHAPE,
                            "Inference-Header-Content-Length is 0: the body has %zu bytes, one row "
                            "of %zu FP32 numbers has %zu",
                            n_bytes, n, n * sizeof(float));
    r->out->is_binary = true;
    return read_numbers(r, &t, err);
}

/* The body is one picture: what `curl --data-binary @photo.jpg` can say. Some clients write its
 * length before it, as elements of BYTES have it elsewhere; no picture begins with its own. */
static gf_status take_raw(reading *r, const char *body, size_t n_bytes, gf_error *err)
{
    if (!gf__model_takes_pictures(r->model))
        return take_raw_numbers(r, body, n_bytes, err);
    if (n_bytes == 0)
        return gf_error_set(err, GF_EINVAL, "an empty body, expected a picture");
    if (n_bytes > 4 && length_at(body) == n_bytes - 4) {
        body += 4;
        n_bytes -= 4;
    }
    r->out->is_binary = true;
    const gf_status st = make_instances(r, 1, err);
    if (st == GF_OK)
        r->out->instances[0] = (gf__instance){
            .kind = GF__RUN_PICTURE, .bytes = body, .n_bytes = n_bytes};
    return st;
}

/* *n_json: how much of the body is JSON. */
static gf_status read_header_length(const char *text, size_t n_bytes, size_t *n_json, gf_error *err)
{
    *n_json = n_bytes;
    if (text == NULL)
        return GF_OK;
    char *end = NULL;
    const unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value > n_bytes)
        return gf_error_set(err, GF_EINVAL,
                            "Inference-Header-Content-Length is \"%.40s\", expected a number up "
                            "to the body's %zu bytes",
                            text, n_bytes);
    *n_json = (size_t)value;
    return GF_OK;
}

gf_status gf__v2_request_parse(const gf_model *model, size_t max_instances,
                               const char *header_length, char *body, size_t n_bytes,
                               gf__v2_request *out, gf_error *err)
{
    *out = (gf__v2_request){0};
    reading r = {.model = model,
                 .max_instances = max_instances,
                 .out = out,
                 .body = body,
                 .n_bytes = n_bytes};
    size_t n_json = 0;
    gf_status st = read_header_length(header_length, n_bytes, &n_json, err);
    if (st == GF_OK && header_length != NULL && n_json == 0)
        st = take_raw(&r, body, n_bytes, err);
    else if (st == GF_OK) {
        r.tail = body + n_json;
        r.n_tail = n_bytes - n_json;
        st = gf__json_parse_long(body, n_json, GF__LONG_CHARS, &out->document, &out->spans, err);
        if (st == GF_OK && !gf__json_is_object(out->document))
            st = gf_error_set(err, GF_EINVAL, "the body: expected an object with \"inputs\"");
        if (st == GF_OK)
            st = read_document(&r, err);
    }
    if (st != GF_OK)
        gf__v2_request_free(out);
    return st;
}

void gf__v2_request_free(gf__v2_request *request)
{
    gf__free(request->instances);
    gf__json_free(request->document);
    gf__json_spans_free(request->spans);
    gf__arena_free(&request->arena);
    *request = (gf__v2_request){0};
}
