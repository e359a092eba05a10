/* model/instances_numbers.c: nested lists of numbers: of one shape, and then a picture, a feature
 * vector or a table's row. */
#include <math.h>
#include <string.h>

#include "model/model_priv.h"

struct gf__arena_block {
    struct gf__arena_block *next;
    max_align_t bytes[];
};

void *gf__arena_alloc(gf__arena *arena, size_t n_bytes)
{
    size_t size;
    if (!gf__add_size(n_bytes, sizeof(struct gf__arena_block), &size))
        return NULL;
    struct gf__arena_block *block = gf__malloc(size);
    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

void gf__arena_free(gf__arena *arena)
{
    while (arena->blocks != NULL) {
        struct gf__arena_block *next = arena->blocks->next;
        gf__free(arena->blocks);
        arena->blocks = next;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The shape that the first item at each depth has. */
static gf_status find_shape(const gf__json *value, gf__numbers *out, gf_error *err)
{
    for (; gf__json_is_array(value); value = gf__json_at(value, 0)) {
        if (out->n_dims == GF__JSON_DIMS)
            return gf_error_set(err, GF_ESHAPE, "lists in lists deeper than %d", GF__JSON_DIMS);
        const size_t n = gf__json_n_items(value);
        if (n == 0)
            return gf_error_set(err, GF_ESHAPE, "an empty list, expected numbers");
        out->shape[out->n_dims++] = n;
    }
    return GF_OK;
}

/* Numbers below value, all of which must be at depth n_dims in lists of the shape's sizes. */
static gf_status count_numbers(const gf__json *value, size_t depth, gf__numbers *out, gf_error *err)
{
    if (depth == out->n_dims) {
        if (!gf__json_is_number(value))
            return gf_error_set(err, GF_EFORMAT, "expected numbers, found something else");
        out->n_values++;
        out->is_integers = out->is_integers && gf__json_int(value, 0) == gf__json_int(value, 1);
        return GF_OK;
    }
    if (!gf__json_is_array(value) || gf__json_n_items(value) != out->shape[depth])
        return gf_error_set(err, GF_ESHAPE,
                            "lists of different lengths: expected %zu items at depth %zu, "
                            "found %zu",
                            out->shape[depth], depth + 1,
                            gf__json_is_array(value) ? gf__json_n_items(value) : 0);
    gf_status st = GF_OK;
    for (size_t i = 0; i < out->shape[depth] && st == GF_OK; i++)
        st = count_numbers(gf__json_at(value, i), depth + 1, out, err);
    return st;
}

static void copy_numbers(const gf__json *value, size_t n_left, float **next)
{
    if (n_left == 0) {
        *(*next)++ = (float)gf__json_number(value, 0);
        return;
    }
    for (size_t i = 0; i < gf__json_n_items(value); i++)
        copy_numbers(gf__json_at(value, i), n_left - 1, next);
}

static gf_status check_finite(const gf__numbers *numbers, gf_error *err)
{
    for (size_t i = 0; i < numbers->n_values; i++)
        if (!isfinite(numbers->values[i]))
            return gf_error_set(err, GF_EFORMAT, "value %zu is too large for a float32", i);
    return GF_OK;
}

static gf_status alloc_values(gf__arena *arena, gf__numbers *out, gf_error *err)
{
    size_t n_bytes;
    out->values = gf__mul_size(out->n_values, sizeof(float), &n_bytes)
                      ? gf__arena_alloc(arena, n_bytes)
                      : NULL;
    return out->values != NULL ? GF_OK : gf__error_nomem(err, "numbers", out->n_values);
}

gf_status gf__numbers_read(gf__arena *arena, const gf__json_spans *spans, const gf__json *value,
                           gf__numbers *out, gf_error *err)
{
    gf__json_numbers found;
    *out = (gf__numbers){.is_integers = true};
    if (gf__json_long_numbers(spans, value, &found)) {
        out->n_dims = found.n_dims;
        out->n_values = found.n_values;
        out->is_integers = found.is_integers;
        memcpy(out->shape, found.shape, sizeof out->shape);
        const gf_status st = alloc_values(arena, out, err);
        if (st != GF_OK)
            return st;
        gf__json_numbers_read(&found, out->values);
        return check_finite(out, err);
    }
    gf_status st = find_shape(value, out, err);
    if (st == GF_OK)
        st = count_numbers(value, 0, out, err);
    if (st == GF_OK)
        st = alloc_values(arena, out, err);
    if (st != GF_OK)
        return st;
    float *next = out->values;
    copy_numbers(value, out->n_dims, &next);
    return check_finite(out, err);
}

/* ---- what they are --------------------------------------------------------------------------- */

typedef struct range {
    float low, high;
} range;

static range range_of(const gf__numbers *numbers)
{
    range found = {numbers->values[0], numbers->values[0]};
    for (size_t i = 1; i < numbers->n_values; i++) {
        const float value = numbers->values[i];
        found.low = value < found.low ? value : found.low;
        found.high = value > found.high ? value : found.high;
    }
    return found;
}

/* The bytes take the floats' place: what is written trails what is read. */
static void make_bytes(gf__numbers *numbers)
{
    uint8_t *bytes = (uint8_t *)numbers->values;
    for (size_t i = 0; i < numbers->n_values; i++) {
        float value;
        memcpy(&value, (const char *)numbers->values + i * sizeof value, sizeof value);
        bytes[i] = (uint8_t)(value + 0.5f);
    }
}

static gf_status picture_of_numbers(gf__numbers *numbers, gf_sample *out, gf_error *err)
{
    const range found = range_of(numbers);
    const bool fits_bytes = found.low >= 0 && found.high <= 255;
    /* Half a level beyond is what rounding leaves in half precision. */
    const float slack = 0.5f / 127.5f;
    const bool is_scaled = found.low >= -1 - slack && found.high <= 1 + slack;
    out->height = numbers->shape[0];
    out->width = numbers->shape[1];
    out->data = numbers->values;
    if (is_scaled && !(numbers->is_integers && fits_bytes)) {
        out->kind = GF_SAMPLE_SCALED;
        out->n_bytes = numbers->n_values * sizeof(float);
        return GF_OK;
    }
    if (!fits_bytes)
        return gf_error_set(err, GF_EFORMAT,
                            "values from %g to %g: expected a picture's bytes (0 to 255), or "
                            "scaled to [-1,1]",
                            (double)found.low, (double)found.high);
    make_bytes(numbers);
    out->kind = GF_SAMPLE_PIXELS;
    out->n_bytes = numbers->n_values;
    return GF_OK;
}

gf_status gf__sample_of_numbers(gf__numbers *numbers, gf_sample *out, gf_error *err)
{
    *out = (gf_sample){0};
    if (numbers->n_dims <= 1) {
        out->kind = GF_SAMPLE_NUMBERS;
        out->data = numbers->values;
        out->n_bytes = numbers->n_values * sizeof(float);
        return GF_OK;
    }
    if (numbers->n_dims == 3 && numbers->shape[2] == 3)
        return picture_of_numbers(numbers, out, err);
    gf__buffer shape = {0};
    for (size_t i = 0; i < numbers->n_dims; i++)
        gf__buffer_printf(&shape, "%s%zu", i > 0 ? "," : "", numbers->shape[i]);
    const gf_status st = gf_error_set(
        err, GF_ESHAPE, "numbers of shape (%s): expected a picture (height,width,3) or a list",
        shape.failed ? "?" : shape.data);
    gf__buffer_free(&shape);
    return st;
}
