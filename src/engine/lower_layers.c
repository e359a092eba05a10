/* engine/lower_layers.c: what each class of layer becomes, and which layers after it are fused into it. */
#include <string.h>

#include "engine/lower_priv.h"

/* The activation a layer is, or has. */
static gf_status activation_of(const gf__lowering *low, size_t i, gf__activation *out)
{
    const gf__layer_config *config = gf__lowering_config(low, i);
    *out = config->activation;
    if (config->class_id != GF__LAYER_RELU)
        return GF_OK;
    *out = config->max_value > 0 ? GF__ACTIVATION_RELU6 : GF__ACTIVATION_RELU;
    if (config->max_value > 0 && config->max_value != 6.0)
        return gf__lowering_unsupported(low, i, "a maximum other than 6 cannot be run");
    return GF_OK;
}

/* Whether primitives and kernels apply it to what they write. The others are operations of their
 * own: they stand at the ends of networks, where few values are. */
static bool is_fused(gf__activation activation)
{
    return activation == GF__ACTIVATION_RELU || activation == GF__ACTIVATION_RELU6;
}

/* Follows the chain of layers after *i that op can take in, and moves *i to the last of them. */
static gf_status absorb(gf__lowering *low, gf__op *op, size_t *i)
{
    const bool has_weights = op->layer != NULL;
    while (!low->nodes[*i].is_requested && low->nodes[*i].n_readers == 1) {
        const size_t next = low->nodes[*i].reader;
        const gf__layer_class class_id = gf__lowering_config(low, next)->class_id;
        if (class_id == GF__LAYER_BATCH_NORMALIZATION) {
            if (!has_weights || op->norm != NULL || op->activation != GF__ACTIVATION_LINEAR)
                return GF_OK;
            op->norm = gf__lowering_layer(low, next);
        } else if (class_id == GF__LAYER_ACTIVATION || class_id == GF__LAYER_RELU) {
            gf__activation activation;
            gf_status st = activation_of(low, next, &activation);
            if (st != GF_OK)
                return st;
            if (op->activation != GF__ACTIVATION_LINEAR ||
                (activation != GF__ACTIVATION_LINEAR && !is_fused(activation)))
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

/* Adds op with what it can take in; an activation that is not fused becomes an operation of its own.
 * The result belongs to the last layer taken in. */
static gf_status add_fused(gf__lowering *low, gf__op *op, size_t i)
{
    const bool is_alone = op->activation != GF__ACTIVATION_LINEAR && !is_fused(op->activation);
    if (!is_alone) {
        gf_status st = absorb(low, op, &i);
        if (st != GF_OK)
            return st;
    }
    gf__op next = gf__op_of(GF__OP_ACTIVATION, op->dst, GF__NONE);
    if (is_alone) {
        next.activation = op->activation;
        op->activation = GF__ACTIVATION_LINEAR;
    }
    gf_status st = gf__lowering_add_op(low, op);
    if (st != GF_OK || !is_alone)
        return st != GF_OK ? st : gf__lowering_finish(low, i, op->dst);
    st = gf__lowering_add_layer_value(low, i, &next.dst);
    if (st == GF_OK)
        st = gf__lowering_add_op(low, &next);
    return st == GF_OK ? gf__lowering_finish(low, i, next.dst) : st;
}

static gf_status lower_conv(gf__lowering *low, size_t i)
{
    const gf__layer_config *config = gf__lowering_config(low, i);
    const size_t input = gf_layer_input_at(gf__lowering_layer(low, i), 0);
    gf__op op = gf__op_of(GF__OP_CONV, low->nodes[input].value, GF__NONE);
    op.layer = gf__lowering_layer(low, i);
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
    gf_status st = gf__lowering_add_layer_value(low, i, &op.dst);
    return st == GF_OK ? add_fused(low, &op, i) : st;
}

/* Whether x * scale + shift may move into the weights of the only reader: with zero padding
 * around the picture it may not, because there zero means shift. */
static bool can_fold_scale(const gf__lowering *low, size_t i)
{
    const gf__lowering_node *n = &low->nodes[i];
    if (low->options->input != GF_INPUT_U8 || n->is_requested || n->n_readers != 1)
        return false;
    const gf__layer_config *reader = gf__lowering_config(low, n->reader);
    if (reader->class_id != GF__LAYER_CONV2D && reader->class_id != GF__LAYER_DEPTHWISE_CONV2D)
        return false;
    return reader->padding[0] + reader->padding[1] + reader->padding[2] + reader->padding[3] == 0;
}

static gf_status lower_input(gf__lowering *low, size_t i)
{
    gf__op op = gf__op_of(GF__OP_INPUT, GF__NONE, GF__NONE);
    if (low->has_input)
        return gf__lowering_unsupported(low, i, "a graph with a second input cannot be run");
    if (low->options->input == GF_INPUT_U8 && gf_layer_n_dims(gf__lowering_layer(low, i)) != 3)
        return gf_error_set(low->err, GF_EINVAL, "%s takes vectors, not pixels: use GF_INPUT_F32",
                            gf_layer_name(gf__lowering_layer(low, i)));
    gf_status st = gf__lowering_add_layer_value(low, i, &op.dst);
    if (st != GF_OK)
        return st;
    low->has_input = true;
    low->program->input_values = gf__value_size(&low->program->values[op.dst]);
    low->nodes[i].is_raw = can_fold_scale(low, i);
    if (low->options->input == GF_INPUT_U8 && !low->nodes[i].is_raw) {
        op.scale = low->options->scale;
        op.shift = low->options->shift;
    }
    st = gf__lowering_add_op(low, &op);
    return st == GF_OK ? gf__lowering_finish(low, i, op.dst) : st;
}

static gf_status lower_dense(gf__lowering *low, size_t i)
{
    gf__op op = gf__op_of(GF__OP_DENSE, gf__lowering_input(low, i, 0), GF__NONE);
    if (low->program->values[op.src[0]].dtype != GF_DTYPE_F32 ||
        gf_layer_n_dims(gf__lowering_layer(low, i)) != 1)
        return gf__lowering_unsupported(low, i,
                                        "a Dense layer needs a vector: flatten or pool first");
    op.layer = gf__lowering_layer(low, i);
    op.activation = gf__lowering_config(low, i)->activation;
    gf_status st = gf__lowering_add_layer_value(low, i, &op.dst);
    return st == GF_OK ? add_fused(low, &op, i) : st;
}

static gf_status lower_norm(gf__lowering *low, size_t i)
{
    gf__op op = gf__op_of(GF__OP_AFFINE, gf__lowering_input(low, i, 0), GF__NONE);
    op.norm = gf__lowering_layer(low, i);
    gf_status st = gf__lowering_add_layer_value(low, i, &op.dst);
    return st == GF_OK ? add_fused(low, &op, i) : st;
}

static gf_status lower_activation(gf__lowering *low, size_t i)
{
    gf__op op = gf__op_of(GF__OP_ACTIVATION, gf__lowering_input(low, i, 0), GF__NONE);
    gf_status st = activation_of(low, i, &op.activation);
    if (st != GF_OK)
        return st;
    if (op.activation == GF__ACTIVATION_LINEAR)
        return gf__lowering_finish(low, i, op.src[0]);
    st = gf__lowering_add_layer_value(low, i, &op.dst);
    if (st == GF_OK)
        st = gf__lowering_add_op(low, &op);
    return st == GF_OK ? gf__lowering_finish(low, i, op.dst) : st;
}

/* Older Inception files end in an AveragePooling2D of the whole picture and a Flatten instead of a
 * GlobalAveragePooling2D. Features stay float32 there too. */
static bool is_global_pool(const gf__lowering *low, size_t i, const size_t padding[4])
{
    const gf__layer_config *config = gf__lowering_config(low, i);
    const gf__value *src = &low->program->values[gf__lowering_input(low, i, 0)];
    const size_t *shape = gf_layer_shape(gf__lowering_layer(low, i));
    const gf__lowering_node *n = &low->nodes[i];
    return config->kernel[0] == src->height && config->kernel[1] == src->width && shape[0] == 1 &&
           shape[1] == 1 && padding[0] + padding[1] + padding[2] + padding[3] == 0 &&
           (n->n_readers == 0 ||
            (n->n_readers == 1 &&
             gf__lowering_config(low, n->reader)->class_id == GF__LAYER_FLATTEN));
}

static gf_status lower_pool(gf__lowering *low, size_t i)
{
    const gf__layer_config *config = gf__lowering_config(low, i);
    const gf__lowering_node *input = &low->nodes[gf_layer_input_at(gf__lowering_layer(low, i), 0)];
    gf__op op = gf__op_of(GF__OP_POOL, input->value, GF__NONE);
    op.is_max = config->class_id == GF__LAYER_MAX_POOLING2D;
    memcpy(op.kernel, config->kernel, sizeof op.kernel);
    memcpy(op.strides, config->strides, sizeof op.strides);
    for (size_t k = 0; k < 4; k++) {
        op.padding[k] = config->padding[k] + input->padding[k];
        op.counts_padding = op.counts_padding || input->padding[k] > 0;
    }
    const bool is_global = is_global_pool(low, i, op.padding);
    if (is_global)
        op.kind = GF__OP_GLOBAL_POOL;
    gf_status st = gf__lowering_add_layer_value(low, i, &op.dst);
    if (st != GF_OK)
        return st;
    if (is_global)
        low->program->values[op.dst].dtype = GF_DTYPE_F32;
    st = gf__lowering_add_op(low, &op);
    return st == GF_OK ? gf__lowering_finish(low, i, op.dst) : st;
}

static gf_status lower_global_pool(gf__lowering *low, size_t i)
{
    gf__op op = gf__op_of(GF__OP_GLOBAL_POOL, gf__lowering_input(low, i, 0), GF__NONE);
    op.is_max = gf__lowering_config(low, i)->class_id == GF__LAYER_GLOBAL_MAX_POOLING2D;
    gf_status st = gf__lowering_add_layer_value(low, i, &op.dst);
    if (st == GF_OK)
        st = gf__lowering_add_op(low, &op);
    return st == GF_OK ? gf__lowering_finish(low, i, op.dst) : st;
}

/* A part that is itself a Concatenate and read by nobody else becomes a view into this one. */
static bool can_be_view(const gf__lowering *low, size_t i)
{
    return gf__lowering_config(low, i)->class_id == GF__LAYER_CONCATENATE &&
           !low->nodes[i].is_requested && low->nodes[i].n_readers == 1;
}

static gf_status lower_concatenate(gf__lowering *low, size_t i)
{
    const gf_layer *layer = gf__lowering_layer(low, i);
    size_t whole, first_channel = 0;
    gf_status st = gf__lowering_add_layer_value(low, i, &whole);
    for (size_t k = 0; st == GF_OK && k < gf_layer_n_inputs(layer); k++) {
        const size_t part = gf__lowering_input(low, i, k);
        gf__value slot = low->program->values[part];
        slot.host = whole;
        slot.first_channel = first_channel;
        first_channel += slot.channels;
        if (can_be_view(low, gf_layer_input_at(layer, k))) {
            low->program->values[part] = slot;
            continue;
        }
        gf__op place = gf__op_of(GF__OP_PLACE, part, GF__NONE);
        st = gf__lowering_add_value(low, &slot, &place.dst);
        if (st == GF_OK)
            st = gf__lowering_add_op(low, &place);
    }
    return st == GF_OK ? gf__lowering_finish(low, i, whole) : st;
}

static gf_status lower_add(gf__lowering *low, size_t i)
{
    const size_t n_inputs = gf_layer_n_inputs(gf__lowering_layer(low, i));
    size_t sum = gf__lowering_input(low, i, 0);
    for (size_t k = 1; k < n_inputs; k++) {
        gf__op op = gf__op_of(GF__OP_ADD, sum, GF__NONE);
        op.src[1] = gf__lowering_input(low, i, k);
        gf_status st = gf__lowering_add_layer_value(low, i, &op.dst);
        if (st != GF_OK)
            return st;
        if (k + 1 == n_inputs)
            return add_fused(low, &op, i);
        st = gf__lowering_add_op(low, &op);
        if (st != GF_OK)
            return st;
        sum = op.dst;
    }
    return gf__lowering_finish(low, i, sum);
}

/* Whether the reader of a ZeroPadding2D can see to the zeros itself: a convolution, or an average that
 * counts them (PyTorch's). oneDNN wants every window to touch the picture. */
static bool can_leave_padding(const gf__layer_config *reader, const size_t padding[4])
{
    const size_t *own = reader->padding;
    if (reader->class_id == GF__LAYER_CONV2D || reader->class_id == GF__LAYER_DEPTHWISE_CONV2D)
        return true;
    return reader->class_id == GF__LAYER_AVERAGE_POOLING2D &&
           own[0] + own[1] + own[2] + own[3] == 0 && padding[0] < reader->kernel[0] &&
           padding[1] < reader->kernel[0] && padding[2] < reader->kernel[1] &&
           padding[3] < reader->kernel[1];
}

static gf_status lower_padding(gf__lowering *low, size_t i)
{
    const gf__layer_config *config = gf__lowering_config(low, i);
    gf__lowering_node *n = &low->nodes[i];
    if (!n->is_requested && n->n_readers == 1 &&
        can_leave_padding(gf__lowering_config(low, n->reader), config->padding)) {
        memcpy(n->padding, config->padding, sizeof n->padding);
        return gf__lowering_finish(low, i, gf__lowering_input(low, i, 0));
    }
    gf__op op = gf__op_of(GF__OP_PAD, gf__lowering_input(low, i, 0), GF__NONE);
    memcpy(op.padding, config->padding, sizeof op.padding);
    gf_status st = gf__lowering_add_layer_value(low, i, &op.dst);
    if (st == GF_OK)
        st = gf__lowering_add_op(low, &op);
    return st == GF_OK ? gf__lowering_finish(low, i, op.dst) : st;
}

/* Channels last in memory already, so flattening moves nothing; the copy is for the change of
 * precision, or because a vector is described as 1 x 1 x D. */
static gf_status lower_flatten(gf__lowering *low, size_t i)
{
    gf__op op = gf__op_of(GF__OP_CONVERT, gf__lowering_input(low, i, 0), GF__NONE);
    gf_status st = gf__lowering_add_layer_value(low, i, &op.dst);
    if (st == GF_OK)
        st = gf__lowering_add_op(low, &op);
    return st == GF_OK ? gf__lowering_finish(low, i, op.dst) : st;
}

static gf_status lower_nothing(gf__lowering *low, size_t i)
{
    return gf__lowering_finish(low, i, gf__lowering_input(low, i, 0));
}

static gf_status (*const lower_layer[GF__N_LAYER_CLASSES])(gf__lowering *, size_t) = {
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

gf_status gf__lower_layer(gf__lowering *low, size_t i)
{
    const gf__layer_class class_id = gf__lowering_config(low, i)->class_id;
    if (class_id < GF__N_LAYER_CLASSES && lower_layer[class_id] != NULL)
        return lower_layer[class_id](low, i);
    return gf__lowering_unsupported(low, i, "the engine has no kernel for it");
}
