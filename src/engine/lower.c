/* lower.c: a graph and the outputs asked for become a program: operations over values, in the order
 * they run.
 *
 * What is fused (lower_layers.c): Conv2D, DepthwiseConv2D and Dense take in the BatchNormalization and the ReLU that
 * follow when nobody else reads what lies between (another layer, or a requested output).
 * ZeroPadding2D goes into the own padding of a convolution or an average, which then counts it. Dropout is nothing. A Concatenate is
 * memory into which its parts are placed (places.c). Layers that no requested output needs are left
 * out.
 *
 * Numbers: spatial values have the plan's precision; from the first vector on (pooled,
 * flattened) everything is float32. */
#include <string.h>

#include "engine/lower_priv.h"

/* Far beyond any picture, and far below where a sum of sizes could wrap. */
#define MAX_VALUE_BYTES ((size_t)1 << 40)

gf_status gf__lowering_unsupported(const gf__lowering *low, size_t i, const char *what)
{
    return gf_error_set(low->err, GF_EUNSUPPORTED, "%s (%s): %s",
                        gf_layer_name(gf__lowering_layer(low, i)),
                        gf_layer_class_name(gf__lowering_layer(low, i)), what);
}

/* The array with room for one more item; NULL, the array untouched, where memory is out. */
static void *grow(void *items, size_t n_items, size_t *capacity, size_t item_bytes)
{
    if (n_items < *capacity)
        return items;
    const size_t wanted = *capacity > 0 ? 2 * *capacity : 64;
    void *larger = gf__realloc(items, wanted * item_bytes);
    if (larger != NULL)
        *capacity = wanted;
    return larger;
}

gf_status gf__lowering_add_value(gf__lowering *low, const gf__value *value, size_t *index)
{
    gf__program *p = low->program;
    gf__value *values = grow(p->values, p->n_values, &p->values_capacity, sizeof *p->values);
    if (values == NULL)
        return gf__error_nomem(low->err, "the plan", p->n_values * sizeof *p->values);
    p->values = values;
    *index = p->n_values;
    p->values[p->n_values++] = *value;
    return GF_OK;
}

gf_status gf__lowering_add_layer_value(gf__lowering *low, size_t i, size_t *index)
{
    const size_t *shape = gf_layer_shape(gf__lowering_layer(low, i));
    gf__value value = {.height = 1, .width = 1, .dtype = GF_DTYPE_F32, .host = GF__NONE};
    if (gf_layer_n_dims(gf__lowering_layer(low, i)) == 3) {
        value.height = shape[0];
        value.width = shape[1];
        value.channels = shape[2];
        value.dtype = low->dtype;
    } else if (gf_layer_n_dims(gf__lowering_layer(low, i)) == 1) {
        value.channels = shape[0];
    } else {
        return gf__lowering_unsupported(low, i, "only pictures and vectors can be run");
    }
    size_t n_bytes = sizeof(float);
    if (!gf__mul_size(n_bytes, value.height, &n_bytes) ||
        !gf__mul_size(n_bytes, value.width, &n_bytes) ||
        !gf__mul_size(n_bytes, value.channels, &n_bytes) || n_bytes > MAX_VALUE_BYTES)
        return gf_error_set(low->err, GF_ELIMIT, "%s: its output is too large to run",
                            gf_layer_name(gf__lowering_layer(low, i)));
    return gf__lowering_add_value(low, &value, index);
}

gf__op gf__op_of(gf__op_kind kind, size_t src, size_t dst)
{
    return (gf__op){
        .kind = kind, .src = {src, GF__NONE}, .dst = dst, .scale = 1.0f, .output = GF__NONE};
}

gf_status gf__lowering_add_op(gf__lowering *low, const gf__op *op)
{
    gf__program *p = low->program;
    gf__op *ops = grow(p->ops, p->n_ops, &p->ops_capacity, sizeof *p->ops);
    if (ops == NULL)
        return gf__error_nomem(low->err, "the plan", p->n_ops * sizeof *p->ops);
    p->ops = ops;
    p->ops[p->n_ops++] = *op;
    return GF_OK;
}

gf_status gf__lowering_finish(gf__lowering *low, size_t i, size_t value)
{
    low->nodes[i].value = value;
    for (size_t k = 0; low->nodes[i].is_requested && k < low->n_outputs; k++) {
        if (low->requested[k] != i)
            continue;
        const gf_pool pool = low->specs[k].pool;
        gf__op op = gf__op_of(pool == GF_POOL_NONE ? GF__OP_OUTPUT : GF__OP_GLOBAL_POOL, value,
                              GF__NONE);
        op.is_max = pool == GF_POOL_MAX;
        op.output = k;
        gf_status st = gf__lowering_add_op(low, &op);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

/* Puts the layers that layer `last` needs into order[], each after its inputs and as late as it
 * can be: a branch is finished before the next one starts, so what it works on is still in the
 * cache and few values live at once. stack has room for n_layers items, next_input says how far
 * each layer on it is. */
static void visit(gf__lowering *low, size_t last, size_t *stack, size_t *next_input, size_t *order,
                  size_t *n_order)
{
    size_t depth = 0;
    if (low->nodes[last].is_needed)
        return;
    low->nodes[last].is_needed = true;
    next_input[last] = 0;
    stack[depth++] = last;
    while (depth > 0) {
        const size_t i = stack[depth - 1];
        if (next_input[i] == gf_layer_n_inputs(gf__lowering_layer(low, i))) {
            order[(*n_order)++] = i;
            depth--;
            continue;
        }
        const size_t input = gf_layer_input_at(gf__lowering_layer(low, i), next_input[i]++);
        low->nodes[input].n_readers++;
        low->nodes[input].reader = i;
        if (!low->nodes[input].is_needed) {
            low->nodes[input].is_needed = true;
            next_input[input] = 0;
            stack[depth++] = input;
        }
    }
}

static gf_status lower_in_order(gf__lowering *low, const size_t *order, size_t n_order)
{
    for (size_t k = 0; k < n_order; k++) {
        if (low->nodes[order[k]].is_absorbed)
            continue;
        gf_status st = gf__lower_layer(low, order[k]);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

static gf_status lower_needed(gf__lowering *low)
{
    gf_status st = GF_OK;
    size_t *room = gf__calloc(low->n_layers, 3 * sizeof *room);
    size_t n_order = 0;
    if (room == NULL)
        return gf__error_nomem(low->err, "the plan", low->n_layers * 3 * sizeof *room);
    size_t *stack = room, *next_input = room + low->n_layers, *order = room + 2 * low->n_layers;
    for (size_t k = 0; k < low->n_outputs; k++) {
        low->nodes[low->requested[k]].is_requested = true;
        visit(low, low->requested[k], stack, next_input, order, &n_order);
    }
    st = lower_in_order(low, order, n_order);
    gf__free(room);
    return st;
}

gf_status gf__lower(const gf_graph *graph, const gf_output_spec *specs, size_t n_outputs,
                    const gf_plan_options *options, gf__program *program, gf__output *outputs,
                    gf_error *err)
{
    gf__lowering low = {.graph = graph,
                        .specs = specs,
                        .n_outputs = n_outputs,
                        .options = options,
                        .dtype = options->precision == GF_PRECISION_BF16 ? GF_DTYPE_BF16
                                                                         : GF_DTYPE_F32,
                        .program = program,
                        .n_layers = gf_graph_n_layers(graph),
                        .err = err};
    gf_status st = GF_OK;
    size_t *requested = gf__calloc(n_outputs, sizeof *requested);
    low.nodes = gf__calloc(low.n_layers, sizeof *low.nodes);
    if (requested == NULL || low.nodes == NULL) {
        st = gf__error_nomem(err, "the plan", low.n_layers * sizeof *low.nodes);
        goto done;
    }
    low.requested = requested;
    for (size_t k = 0; st == GF_OK && k < n_outputs; k++)
        st = gf__output_resolve(graph, &specs[k], &requested[k], &outputs[k], err);
    if (st != GF_OK)
        goto done;
    st = lower_needed(&low);
    if (st != GF_OK)
        goto done;
    st = gf__place_parts(program, err);
done:
    gf__free(requested);
    gf__free(low.nodes);
    return st;
}

void gf__program_clear(gf__program *program)
{
    gf__free(program->values);
    gf__free(program->ops);
    *program = (gf__program){0};
}
