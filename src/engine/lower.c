/* lower.c: a graph and the outputs asked for become a program: operations over values, in the order
 * they run.
 *
 * What is fused: Conv2D, DepthwiseConv2D and Dense take in the BatchNormalization and the ReLU that
 * follow when nobody else reads what lies between (another layer, or a requested output).
 * ZeroPadding2D goes into the convolution's own padding. Dropout is nothing. A Concatenate is
 * memory into which its parts are placed (places.c). Layers that no requested output needs are left
 * out.
 *
 * Numbers: spatial values have the plan's precision; from the first vector on (pooled,
 * flattened) everything is float32. */
#include <string.h>

#include "engine/engine_priv.h"

/* Far beyond any picture, and far below where a sum of sizes could wrap. */
#define MAX_VALUE_BYTES ((size_t)1 << 40)

typedef struct node { /* what is known of a layer */
    bool is_needed, is_requested, is_absorbed;
    bool is_raw; /* the input, when its only reader has scale and shift in its weights */
    /* needed layers that take its output, one that takes it twice counted twice */
    size_t n_readers;
    size_t reader; /* the last of them */
    size_t value;
    size_t padding[4]; /* of a ZeroPadding2D left to its convolution */
} node;

typedef struct lowering {
    const gf_graph *graph;
    const gf_output_spec *specs;
    const size_t *requested; /* layer of each spec */
    size_t n_outputs;
    const gf_plan_options *options;
    gf_dtype dtype; /* of spatial values */
    gf__program *program;
    node *nodes;
    size_t n_layers;
    bool has_input;
    gf_error *err;
} lowering;

static const gf_layer *layer_of(const lowering *low, size_t i)
{
    return gf_graph_layer_at(low->graph, (ptrdiff_t)i);
}

static const gf__layer_config *config_of(const lowering *low, size_t i)
{
    return gf__layer_config_of(layer_of(low, i));
}

static size_t input_value(const lowering *low, size_t i, size_t k)
{
    return low->nodes[gf_layer_input_at(layer_of(low, i), k)].value;
}

static gf_status unsupported(const lowering *low, size_t i, const char *what)
{
    return gf_error_set(low->err, GF_EUNSUPPORTED, "%s (%s): %s", gf_layer_name(layer_of(low, i)),
                        gf_layer_class_name(layer_of(low, i)), what);
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

static gf_status add_value(lowering *low, const gf__value *value, size_t *index)
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

/* The value of layer i's output shape. */
static gf_status add_layer_value(lowering *low, size_t i, size_t *index)
{
    const size_t *shape = gf_layer_shape(layer_of(low, i));
    gf__value value = {.height = 1, .width = 1, .dtype = GF_DTYPE_F32, .host = GF__NONE};
    if (gf_layer_n_dims(layer_of(low, i)) == 3) {
        value.height = shape[0];
        value.width = shape[1];
        value.channels = shape[2];
        value.dtype = low->dtype;
    } else if (gf_layer_n_dims(layer_of(low, i)) == 1) {
        value.channels = shape[0];
    } else {
        return unsupported(low, i, "only pictures and vectors can be run");
    }
    size_t n_bytes = sizeof(float);
    if (!gf__mul_size(n_bytes, value.height, &n_bytes) ||
        !gf__mul_size(n_bytes, value.width, &n_bytes) ||
        !gf__mul_size(n_bytes, value.channels, &n_bytes) || n_bytes > MAX_VALUE_BYTES)
        return gf_error_set(low->err, GF_ELIMIT, "%s: its output is too large to run",
                            gf_layer_name(layer_of(low, i)));
    return add_value(low, &value, index);
}

static gf__op new_op(gf__op_kind kind, size_t src, size_t dst)
{
    return (gf__op){
        .kind = kind, .src = {src, GF__NONE}, .dst = dst, .scale = 1.0f, .output = GF__NONE};
}

static gf_status add_op(lowering *low, const gf__op *op)
{
    gf__program *p = low->program;
    gf__op *ops = grow(p->ops, p->n_ops, &p->ops_capacity, sizeof *p->ops);
    if (ops == NULL)
        return gf__error_nomem(low->err, "the plan", p->n_ops * sizeof *p->ops);
    p->ops = ops;
    p->ops[p->n_ops++] = *op;
    return GF_OK;
}

/* Layer i is there; whoever asked for it gets it now, while it is warm and before its memory is
 * reused. */
static gf_status finish(lowering *low, size_t i, size_t value)
{
    low->nodes[i].value = value;
    for (size_t k = 0; low->nodes[i].is_requested && k < low->n_outputs; k++) {
        if (low->requested[k] != i)
            continue;
        const gf_pool pool = low->specs[k].pool;
        gf__op op = new_op(pool == GF_POOL_NONE ? GF__OP_OUTPUT : GF__OP_GLOBAL_POOL, value,
                           GF__NONE);
        op.is_max = pool == GF_POOL_MAX;
        op.output = k;
        gf_status st = add_op(low, &op);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

/* The activation a layer is, or has. */
static gf_status activation_of(const lowering *low, size_t i, gf__activation *out)
{
    const gf__layer_config *config = config_of(low, i);
    *out = config->activation;
    if (config->class_id != GF__LAYER_RELU)
        return GF_OK;
    *out = config->max_value > 0 ? GF__ACTIVATION_RELU6 : GF__ACTIVATION_RELU;
    if (config->max_value > 0 && config->max_value != 6.0)
        return unsupported(low, i, "a maximum other than 6 cannot be run");
    return GF_OK;
}

/* Follows the chain of layers after *i that op can take in, and moves *i to the last of them. */
static gf_status absorb(lowering *low, gf__op *op, size_t *i)
{
    const bool has_weights = op->layer != NULL;
    while (!low->nodes[*i].is_requested && low->nodes[*i].n_readers == 1) {
        const size_t next = low->nodes[*i].reader;
        const gf__layer_class class_id = config_of(low, next)->class_id;
        if (class_id == GF__LAYER_BATCH_NORMALIZATION) {
            if (!has_weights || op->norm != NULL || op->activation != GF__ACTIVATION_LINEAR)
                return GF_OK;
            op->norm = layer_of(low, next);
        } else if (class_id == GF__LAYER_ACTIVATION || class_id == GF__LAYER_RELU) {
            gf__activation activation;
            gf_status st = activation_of(low, next, &activation);
            if (st != GF_OK)
                return st;
            if (op->activation != GF__ACTIVATION_LINEAR || activation == GF__ACTIVATION_SOFTMAX)
                return GF_OK;
            op->activation = activation;
        } else if (class_id != GF__LAYER_DROPOUT) {
            return GF_OK;
        }
        low->nodes[next].is_absorbed = true;
        *i = next;
    }
    return GF_OK;
}

/* Adds op with what it can take in; a softmax becomes an operation of its own. The result
 * belongs to the last layer taken in. */
static gf_status add_fused(lowering *low, gf__op *op, size_t i)
{
    const bool has_softmax = op->activation == GF__ACTIVATION_SOFTMAX;
    if (!has_softmax) {
        gf_status st = absorb(low, op, &i);
        if (st != GF_OK)
            return st;
    }
    gf__op softmax = new_op(GF__OP_ACTIVATION, op->dst, GF__NONE);
    softmax.activation = GF__ACTIVATION_SOFTMAX;
    if (has_softmax)
        op->activation = GF__ACTIVATION_LINEAR;
    gf_status st = add_op(low, op);
    if (st != GF_OK || !has_softmax)
        return st != GF_OK ? st : finish(low, i, op->dst);
    st = add_layer_value(low, i, &softmax.dst);
    if (st == GF_OK)
        st = add_op(low, &softmax);
    return st == GF_OK ? finish(low, i, softmax.dst) : st;
}

static gf_status lower_conv(lowering *low, size_t i)
{
    const gf__layer_config *config = config_of(low, i);
    const size_t input = gf_layer_input_at(layer_of(low, i), 0);
    gf__op op = new_op(GF__OP_CONV, low->nodes[input].value, GF__NONE);
    op.layer = layer_of(low, i);
    op.activation = config->activation;
    op.is_depthwise = config->class_id == GF__LAYER_DEPTHWISE_CONV2D;
    for (size_t k = 0; k < 2; k++) {
        op.kernel[k] = config->kernel[k];
        op.strides[k] = config->strides[k];
    }
    for (size_t k = 0; k < 4; k++)
        op.padding[k] = config->padding[k] + low->nodes[input].padding[k];
    if (low->nodes[input].is_raw) {
        op.scale = low->options->scale;
        op.shift = low->options->shift;
    }
    gf_status st = add_layer_value(low, i, &op.dst);
    return st == GF_OK ? add_fused(low, &op, i) : st;
}

/* Whether x * scale + shift may move into the weights of the only reader: with zero padding
 * around the picture it may not, because there zero means shift. */
static bool can_fold_scale(const lowering *low, size_t i)
{
    const node *n = &low->nodes[i];
    if (low->options->input != GF_INPUT_U8 || n->is_requested || n->n_readers != 1)
        return false;
    const gf__layer_config *reader = config_of(low, n->reader);
    if (reader->class_id != GF__LAYER_CONV2D && reader->class_id != GF__LAYER_DEPTHWISE_CONV2D)
        return false;
    return reader->padding[0] + reader->padding[1] + reader->padding[2] + reader->padding[3] == 0;
}

static gf_status lower_input(lowering *low, size_t i)
{
    gf__op op = new_op(GF__OP_INPUT, GF__NONE, GF__NONE);
    if (low->has_input)
        return unsupported(low, i, "a graph with a second input cannot be run");
    if (low->options->input == GF_INPUT_U8 && gf_layer_n_dims(layer_of(low, i)) != 3)
        return gf_error_set(low->err, GF_EINVAL, "%s takes vectors, not pixels: use GF_INPUT_F32",
                            gf_layer_name(layer_of(low, i)));
    gf_status st = add_layer_value(low, i, &op.dst);
    if (st != GF_OK)
        return st;
    low->has_input = true;
    low->program->input_values = gf__value_size(&low->program->values[op.dst]);
    low->nodes[i].is_raw = can_fold_scale(low, i);
    if (low->options->input == GF_INPUT_U8 && !low->nodes[i].is_raw) {
        op.scale = low->options->scale;
        op.shift = low->options->shift;
    }
    st = add_op(low, &op);
    return st == GF_OK ? finish(low, i, op.dst) : st;
}

static gf_status lower_dense(lowering *low, size_t i)
{
    gf__op op = new_op(GF__OP_DENSE, input_value(low, i, 0), GF__NONE);
    if (low->program->values[op.src[0]].dtype != GF_DTYPE_F32 ||
        gf_layer_n_dims(layer_of(low, i)) != 1)
        return unsupported(low, i, "a Dense layer needs a vector: flatten or pool first");
    op.layer = layer_of(low, i);
    op.activation = config_of(low, i)->activation;
    gf_status st = add_layer_value(low, i, &op.dst);
    return st == GF_OK ? add_fused(low, &op, i) : st;
}

static gf_status lower_norm(lowering *low, size_t i)
{
    gf__op op = new_op(GF__OP_AFFINE, input_value(low, i, 0), GF__NONE);
    op.norm = layer_of(low, i);
    gf_status st = add_layer_value(low, i, &op.dst);
    return st == GF_OK ? add_fused(low, &op, i) : st;
}

static gf_status lower_activation(lowering *low, size_t i)
{
    gf__op op = new_op(GF__OP_ACTIVATION, input_value(low, i, 0), GF__NONE);
    gf_status st = activation_of(low, i, &op.activation);
    if (st != GF_OK)
        return st;
    if (op.activation == GF__ACTIVATION_LINEAR)
        return finish(low, i, op.src[0]);
    st = add_layer_value(low, i, &op.dst);
    if (st == GF_OK)
        st = add_op(low, &op);
    return st == GF_OK ? finish(low, i, op.dst) : st;
}

/* Older Inception files end in an AveragePooling2D of the whole picture and a Flatten instead of a
 * GlobalAveragePooling2D. Features stay float32 there too. */
static bool is_global_pool(const lowering *low, size_t i)
{
    const gf__layer_config *config = config_of(low, i);
    const gf__value *src = &low->program->values[input_value(low, i, 0)];
    const size_t *shape = gf_layer_shape(layer_of(low, i));
    const node *n = &low->nodes[i];
    return config->kernel[0] == src->height && config->kernel[1] == src->width && shape[0] == 1 &&
           shape[1] == 1 && config->padding[0] + config->padding[1] == 0 &&
           config->padding[2] + config->padding[3] == 0 &&
           (n->n_readers == 0 ||
            (n->n_readers == 1 && config_of(low, n->reader)->class_id == GF__LAYER_FLATTEN));
}

static gf_status lower_pool(lowering *low, size_t i)
{
    const gf__layer_config *config = config_of(low, i);
    const bool is_global = is_global_pool(low, i);
    gf__op op = new_op(is_global ? GF__OP_GLOBAL_POOL : GF__OP_POOL, input_value(low, i, 0),
                       GF__NONE);
    op.is_max = config->class_id == GF__LAYER_MAX_POOLING2D;
    memcpy(op.kernel, config->kernel, sizeof op.kernel);
    memcpy(op.strides, config->strides, sizeof op.strides);
    memcpy(op.padding, config->padding, sizeof op.padding);
    gf_status st = add_layer_value(low, i, &op.dst);
    if (st != GF_OK)
        return st;
    if (is_global)
        low->program->values[op.dst].dtype = GF_DTYPE_F32;
    st = add_op(low, &op);
    return st == GF_OK ? finish(low, i, op.dst) : st;
}

static gf_status lower_global_pool(lowering *low, size_t i)
{
    gf__op op = new_op(GF__OP_GLOBAL_POOL, input_value(low, i, 0), GF__NONE);
    op.is_max = config_of(low, i)->class_id == GF__LAYER_GLOBAL_MAX_POOLING2D;
    gf_status st = add_layer_value(low, i, &op.dst);
    if (st == GF_OK)
        st = add_op(low, &op);
    return st == GF_OK ? finish(low, i, op.dst) : st;
}

/* A part that is itself a Concatenate and read by nobody else becomes a view into this one. */
static bool can_be_view(const lowering *low, size_t i)
{
    return config_of(low, i)->class_id == GF__LAYER_CONCATENATE && !low->nodes[i].is_requested &&
           low->nodes[i].n_readers == 1;
}

static gf_status lower_concatenate(lowering *low, size_t i)
{
    const gf_layer *layer = layer_of(low, i);
    size_t whole, first_channel = 0;
    gf_status st = add_layer_value(low, i, &whole);
    for (size_t k = 0; st == GF_OK && k < gf_layer_n_inputs(layer); k++) {
        const size_t part = input_value(low, i, k);
        gf__value slot = low->program->values[part];
        slot.host = whole;
        slot.first_channel = first_channel;
        first_channel += slot.channels;
        if (can_be_view(low, gf_layer_input_at(layer, k))) {
            low->program->values[part] = slot;
            continue;
        }
        gf__op place = new_op(GF__OP_PLACE, part, GF__NONE);
        st = add_value(low, &slot, &place.dst);
        if (st == GF_OK)
            st = add_op(low, &place);
    }
    return st == GF_OK ? finish(low, i, whole) : st;
}

static gf_status lower_add(lowering *low, size_t i)
{
    const size_t n_inputs = gf_layer_n_inputs(layer_of(low, i));
    size_t sum = input_value(low, i, 0);
    for (size_t k = 1; k < n_inputs; k++) {
        gf__op op = new_op(GF__OP_ADD, sum, GF__NONE);
        op.src[1] = input_value(low, i, k);
        gf_status st = add_layer_value(low, i, &op.dst);
        if (st != GF_OK)
            return st;
        if (k + 1 == n_inputs)
            return add_fused(low, &op, i);
        st = add_op(low, &op);
        if (st != GF_OK)
            return st;
        sum = op.dst;
    }
    return finish(low, i, sum);
}

static gf_status lower_padding(lowering *low, size_t i)
{
    const gf__layer_config *config = config_of(low, i);
    node *n = &low->nodes[i];
    if (!n->is_requested && n->n_readers == 1) {
        const gf__layer_class reader = config_of(low, n->reader)->class_id;
        if (reader == GF__LAYER_CONV2D || reader == GF__LAYER_DEPTHWISE_CONV2D) {
            memcpy(n->padding, config->padding, sizeof n->padding);
            return finish(low, i, input_value(low, i, 0));
        }
    }
    gf__op op = new_op(GF__OP_PAD, input_value(low, i, 0), GF__NONE);
    memcpy(op.padding, config->padding, sizeof op.padding);
    gf_status st = add_layer_value(low, i, &op.dst);
    if (st == GF_OK)
        st = add_op(low, &op);
    return st == GF_OK ? finish(low, i, op.dst) : st;
}

/* Channels last in memory already, so flattening moves nothing; the copy is for the change of
 * precision, or because a vector is described as 1 x 1 x D. */
static gf_status lower_flatten(lowering *low, size_t i)
{
    gf__op op = new_op(GF__OP_CONVERT, input_value(low, i, 0), GF__NONE);
    gf_status st = add_layer_value(low, i, &op.dst);
    if (st == GF_OK)
        st = add_op(low, &op);
    return st == GF_OK ? finish(low, i, op.dst) : st;
}

static gf_status lower_nothing(lowering *low, size_t i)
{
    return finish(low, i, input_value(low, i, 0));
}

static gf_status (*const lower_layer[GF__N_LAYER_CLASSES])(lowering *, size_t) = {
    [GF__LAYER_INPUT] = lower_input,
    [GF__LAYER_CONV2D] = lower_conv,
    [GF__LAYER_DEPTHWISE_CONV2D] = lower_conv,
    [GF__LAYER_BATCH_NORMALIZATION] = lower_norm,
    [GF__LAYER_ACTIVATION] = lower_activation,
    [GF__LAYER_RELU] = lower_activation,
    [GF__LAYER_MAX_POOLING2D] = lower_pool,
    [GF__LAYER_AVERAGE_POOLING2D] = lower_pool,
    [GF__LAYER_GLOBAL_AVERAGE_POOLING2D] = lower_global_pool,
    [GF__LAYER_GLOBAL_MAX_POOLING2D] = lower_global_pool,
    [GF__LAYER_CONCATENATE] = lower_concatenate,
    [GF__LAYER_ADD] = lower_add,
    [GF__LAYER_ZERO_PADDING2D] = lower_padding,
    [GF__LAYER_FLATTEN] = lower_flatten,
    [GF__LAYER_DENSE] = lower_dense,
    [GF__LAYER_DROPOUT] = lower_nothing,
};

/* Puts the layers that layer `last` needs into order[], each after its inputs and as late as it
 * can be: a branch is finished before the next one starts, so what it works on is still in the
 * cache and few values live at once. stack has room for n_layers items, next_input says how far
 * each layer on it is. */
static void visit(lowering *low, size_t last, size_t *stack, size_t *next_input, size_t *order,
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
        if (next_input[i] == gf_layer_n_inputs(layer_of(low, i))) {
            order[(*n_order)++] = i;
            depth--;
            continue;
        }
        const size_t input = gf_layer_input_at(layer_of(low, i), next_input[i]++);
        low->nodes[input].n_readers++;
        low->nodes[input].reader = i;
        if (!low->nodes[input].is_needed) {
            low->nodes[input].is_needed = true;
            next_input[input] = 0;
            stack[depth++] = input;
        }
    }
}

static gf_status lower_in_order(lowering *low, const size_t *order, size_t n_order)
{
    for (size_t k = 0; k < n_order; k++) {
        if (low->nodes[order[k]].is_absorbed)
            continue;
        const gf__layer_class class_id = config_of(low, order[k])->class_id;
        gf_status st = class_id < GF__N_LAYER_CLASSES && lower_layer[class_id] != NULL
                           ? lower_layer[class_id](low, order[k])
                           : unsupported(low, order[k], "the engine has no kernel for it");
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

static gf_status lower_needed(lowering *low)
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
    lowering low = {.graph = graph,
                    .specs = specs,
                    .n_outputs = n_outputs,
                    .options = options,
                    .dtype = options->precision == GF_PRECISION_BF16 ? GF_DTYPE_BF16 : GF_DTYPE_F32,
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
