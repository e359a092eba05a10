/* layout.c: where each value lies in the arena. A value's bytes are its own from the operation
 * that makes it to the last that reads it, and somebody else's before and after. Largest first,
 * each at the lowest place that is free for its whole life: for Inception-v3 that comes within a
 * few percent of the most that is ever alive at once. */
#include <stdlib.h>

#include "engine/engine_priv.h"

size_t gf__align(size_t size_bytes)
{
    return (size_bytes + GF__ALIGNMENT - 1) / GF__ALIGNMENT * GF__ALIGNMENT;
}

size_t gf__value_size(const gf__value *value)
{
    return value->height * value->width * value->channels;
}

size_t gf__value_bytes(const gf__value *value)
{
    return gf__value_size(value) * gf_dtype_size(value->dtype);
}

/* Memory is lived in by the host, whichever of its parts is written or read. */
static void touch(gf__program *program, size_t v, size_t op)
{
    if (v == GF__NONE)
        return;
    if (program->values[v].host != GF__NONE)
        v = program->values[v].host;
    gf__value *value = &program->values[v];
    if (value->first_op == GF__NONE)
        value->first_op = op;
    value->last_op = op;
}

static void find_lifetimes(gf__program *program)
{
    for (size_t v = 0; v < program->n_values; v++)
        program->values[v].first_op = GF__NONE;
    for (size_t i = 0; i < program->n_ops; i++) {
        touch(program, program->ops[i].src[0], i);
        touch(program, program->ops[i].src[1], i);
        touch(program, program->ops[i].dst, i);
    }
}

static bool live_together(const gf__value *a, const gf__value *b)
{
    return a->first_op <= b->last_op && b->first_op <= a->last_op;
}

static int by_size_falling(const void *a, const void *b)
{
    const gf__value *x = *(gf__value *const *)a, *y = *(gf__value *const *)b;
    const size_t x_bytes = gf__value_bytes(x), y_bytes = gf__value_bytes(y);
    if (x_bytes != y_bytes)
        return x_bytes < y_bytes ? 1 : -1;
    return x < y ? -1 : x > y; /* qsort is not stable, a plan must be the same every time */
}

/* The lowest offset that collides with none of the values already laid out. Each collision moves
 * the offset past one of them, so the search starts again until there is none. */
static size_t find_offset(gf__value *const *placed, size_t n_placed, const gf__value *value)
{
    const size_t need = gf__align(gf__value_bytes(value));
    size_t offset = 0;
    for (size_t i = 0; i < n_placed; i++) {
        const size_t start = placed[i]->offset;
        const size_t end = start + gf__align(gf__value_bytes(placed[i]));
        if (!live_together(placed[i], value) || offset >= end || offset + need <= start)
            continue;
        offset = end;
        i = (size_t)-1;
    }
    return offset;
}

gf_status gf__layout(gf__program *program, size_t *arena_bytes, gf_error *err)
{
    size_t n = 0, end = 0;
    gf__value **order = gf__malloc((program->n_values + 1) * sizeof(gf__value *));
    if (order == NULL)
        return gf__error_nomem(err, "the plan", program->n_values * sizeof *order);
    find_lifetimes(program);
    for (size_t v = 0; v < program->n_values; v++)
        if (program->values[v].first_op != GF__NONE)
            order[n++] = &program->values[v];
    qsort(order, n, sizeof(gf__value *), by_size_falling);
    for (size_t i = 0; i < n; i++) {
        order[i]->offset = find_offset(order, i, order[i]);
        if (order[i]->offset + gf__align(gf__value_bytes(order[i])) > end)
            end = order[i]->offset + gf__align(gf__value_bytes(order[i]));
    }
    for (size_t v = 0; v < program->n_values; v++) {
        gf__value *value = &program->values[v];
        if (value->host != GF__NONE)
            value->offset = program->values[value->host].offset +
                            value->first_channel * gf_dtype_size(value->dtype);
    }
    gf__free(order);
    *arena_bytes = end;
    return GF_OK;
}
