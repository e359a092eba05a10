/* zoo/operators/operators.c: operators as they are added. Each is a layer of a graph without weights, for
 * its shape, and beside that an item with what the graph cannot hold: weights still without a
 * place, a bias that is part of another layer, a scaling of the input. */
#include "zoo/operators/operators.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/operators/operators_priv.h"

/* Which no weights were read for: a few bytes could ask for any number. */
#define MAX_CHANNELS ((size_t)1 << 20)

gf_status gf__operators_new(const char *name, gf__operators **out, gf_error *err)
{
    *out = NULL;
    gf__operators *ops = gf__calloc(1, sizeof *ops);
    if (ops == NULL)
        return gf__error_nomem(err, "operators", sizeof *ops);
    const gf_status st = gf__graph_new(name, &ops->shapes, err);
    if (st != GF_OK) {
        gf__operators_free(ops);
        return st;
    }
    *out = ops;
    return GF_OK;
}

void gf__operators_free(gf__operators *ops)
{
    if (ops == NULL)
        return;
    for (size_t i = 0; i < ops->n_items; i++) {
        gf__operator *item = &ops->items[i];
        for (size_t k = 0; k < item->n_weights; k++)
            gf_tensor_free(item->weights[k].tensor);
        gf__free(item->inputs);
        gf__free(item->node);
    }
    gf__free(ops->items);
    gf_graph_free(ops->shapes);
    gf__free(ops);
}

void gf__operators_fold_padding(gf__operators *ops, bool is_wanted)
{
    ops->folds_padding = is_wanted;
}

size_t gf__op_shape(const gf__operators *ops, size_t value, size_t shape[3])
{
    const gf_layer *layer = gf_graph_layer_at(ops->shapes, (ptrdiff_t)value);
    const size_t n_dims = gf_layer_n_dims(layer);
    memcpy(shape, gf_layer_shape(layer), n_dims * sizeof *shape);
    return n_dims;
}

/* ---- items ----------------------------------------------------------------------------------- */

/* Bytes of the letter in front that may stand in a name; 0 where it may not. Names are any UTF-8, but for what
 * ends or splits them elsewhere. */
static size_t n_of_letter(const char *text, size_t n_bytes)
{
    const size_t n = gf__utf8_length(text, n_bytes);
    const bool is_control = n == 2 && text[0] == '\xc2' && (unsigned char)text[1] < 0xa0;
    if (n == 1)
        return text[0] > ' ' && text[0] <= '~' && text[0] != '"' && text[0] != '\\';
    return is_control ? 0 : n;
}

const char *gf__operator_end_of(const char *text, size_t n_cut)
{
    const char *end = text + n_cut;
    while (n_cut > 0 && ((unsigned char)*end & 0xc0) == 0x80)
        end++;
    return end;
}

/* The end of a long name tells nodes apart, its beginning does not. New; NULL out of memory. */
static char *printable(const char *node)
{
    size_t n = strlen(node);
    const size_t n_cut = n > GF__OPERATOR_NAME_BYTES ? n - GF__OPERATOR_NAME_BYTES : 0;
    char *name = gf__strdup(n > 0 ? gf__operator_end_of(node, n_cut) : "node");
    n = name != NULL ? strlen(name) : 0;
    for (size_t i = 0; i < n;) {
        const size_t length = n_of_letter(name + i, n - i);
        if (length == 0)
            name[i] = '_';
        i += length > 0 ? length : 1;
    }
    return name;
}

static gf_status make_room(gf__operators *ops, gf_error *err)
{
    if (ops->n_items < ops->capacity)
        return GF_OK;
    const size_t capacity = ops->capacity == 0 ? 64 : 2 * ops->capacity;
    gf__operator *items = gf__realloc(ops->items, capacity * sizeof *items);
    if (items == NULL)
        return gf__error_nomem(err, "operators", capacity * sizeof *items);
    ops->items = items;
    ops->capacity = capacity;
    return GF_OK;
}

/* Into the graph of shapes, under the node's name, or that and a number. */
static gf_status add_shape(gf__operators *ops, const gf__operator *item, const size_t *in,
                           gf_error *err)
{
    char numbered[GF__OPERATOR_NAME_BYTES + 8];
    gf__layer_config config = item->config;
    size_t index;
    config.name = item->node;
    for (size_t i = 0; i < ops->n_items; i++) {
        if (strcmp(ops->items[i].node, item->node) != 0)
            continue;
        snprintf(numbered, sizeof numbered, "%s#%zu", item->node, ops->n_items);
        config.name = numbered;
        break;
    }
    return gf__graph_add(ops->shapes, &config, in, item->n_inputs, &index, err);
}

/* *out is valid until the next one. */
static gf_status add_item(gf__operators *ops, gf__operator_kind kind, const char *node,
                          const gf__layer_config *config, const size_t *in, size_t n_in,
                          gf__operator **out, gf_error *err)
{
    gf_status st = make_room(ops, err);
    if (st != GF_OK)
        return st;
    gf__operator *item = &ops->items[ops->n_items];
    *item = (gf__operator){.kind = kind, .config = *config, .n_inputs = n_in};
    item->config.is_trainable = true;
    item->node = printable(node);
    item->inputs = gf__calloc(n_in + 1, sizeof *item->inputs);
    if (item->node == NULL || item->inputs == NULL)
        st = gf__error_nomem(err, "an operator", sizeof *item);
    if (st == GF_OK && n_in > 0)
        memcpy(item->inputs, in, n_in * sizeof *in);
    if (st == GF_OK)
        st = add_shape(ops, item, in, err);
    if (st != GF_OK) {
        gf__free(item->inputs);
        gf__free(item->node);
        return st;
    }
    ops->n_items++;
    *out = item;
    return GF_OK;
}

gf_status gf__operator_add(gf__operators *ops, const char *node, const gf__layer_config *config,
                           size_t in, size_t *out, gf__operator **item, gf_error *err)
{
    gf__operator *added = NULL;
    const gf_status st = add_item(ops, GF__OPERATOR_LAYER, node, config, &in, 1, &added, err);
    if (st == GF_OK)
        *out = ops->n_items - 1;
    if (item != NULL)
        *item = added;
    return st;
}

/* NULL: there is none. */
gf_status gf__operator_add_weight(gf__operator *item, const char *name, gf_tensor *tensor,
                                  gf_error *err)
{
    if (tensor == NULL)
        return GF_OK;
    if (item->n_weights == GF__OPERATOR_MAX_WEIGHTS)
        return gf_error_set(err, GF_EUNSUPPORTED, "node \"%s\" has too many weights", item->node);
    item->weights[item->n_weights].name = name;
    item->weights[item->n_weights++].tensor = gf__tensor_ref(tensor);
    return GF_OK;
}

gf_status gf__operator_need_dims(const char *node, const char *what, const gf_tensor *tensor,
                                 size_t n_dims, gf_error *err)
{
    char text[GF__SHAPE_TEXT];
    const size_t n = gf_tensor_n_dims(tensor);
    if (n == n_dims)
        return GF_OK;
    return gf_error_set(err, GF_ESHAPE,
                        "node \"%.120s\": its %s has shape %s, expected %zu dimensions", node, what,
                        gf__shape_text(gf_tensor_shape(tensor), n, text), n_dims);
}

/* ---- operators ------------------------------------------------------------------------------- */

gf_status gf__op_input(gf__operators *ops, const char *node, const size_t *shape, size_t n_dims,
                       size_t *out, gf_error *err)
{
    gf__layer_config config = {.class_id = GF__LAYER_INPUT, .n_input_dims = n_dims};
    gf__operator *item;
    if (n_dims == 1 || n_dims == 3)
        memcpy(config.input_shape, shape, n_dims * sizeof *shape);
    const gf_status st = add_item(ops, GF__OPERATOR_LAYER, node, &config, NULL, 0, &item, err);
    *out = 0;
    return st;
}

gf_status gf__op_pad(gf__operators *ops, const char *node, size_t in, const size_t padding[4],
                     size_t *out, gf_error *err)
{
    gf__layer_config config = {.class_id = GF__LAYER_ZERO_PADDING2D};
    memcpy(config.padding, padding, sizeof config.padding);
    return gf__operator_add(ops, node, &config, in, out, NULL, err);
}

gf_status gf__op_dense(gf__operators *ops, const char *node, size_t in, gf_tensor *kernel,
                       gf_tensor *bias, size_t *out, gf_error *err)
{
    gf__layer_config config = {.class_id = GF__LAYER_DENSE, .has_bias = bias != NULL};
    gf__operator *item;
    gf_status st = gf__operator_need_dims(node, "kernel", kernel, 2, err);
    if (st != GF_OK)
        return st;
    config.units = gf_tensor_shape(kernel)[1];
    st = gf__operator_add(ops, node, &config, in, out, &item, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "kernel", kernel, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "bias", bias, err);
    return st;
}

gf_status gf__op_bias(gf__operators *ops, const char *node, size_t in, gf_tensor *bias, size_t *out,
                      gf_error *err)
{
    const gf__layer_config config = {.class_id = GF__LAYER_ACTIVATION};
    gf__operator *item;
    gf_status st = gf__operator_need_dims(node, "bias", bias, 1, err);
    if (st == GF_OK)
        st = add_item(ops, GF__OPERATOR_BIAS, node, &config, &in, 1, &item, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "bias", bias, err);
    if (st == GF_OK)
        *out = ops->n_items - 1;
    return st;
}

/* 0.001, of which the file has the nearest float: what Keras' configuration says. */
static double shortest(float value)
{
    char text[32];
    for (int n = 1; n < 9; n++) {
        snprintf(text, sizeof text, "%.*g", n, (double)value);
        const double back = strtod(text, NULL);
        if ((float)back == value)
            return back;
    }
    return value;
}

gf_status gf__op_batch_norm(gf__operators *ops, const char *node, size_t in,
                            const gf__op_norm *norm, size_t *out, gf_error *err)
{
    const gf__layer_config config = {.class_id = GF__LAYER_BATCH_NORMALIZATION,
                                     .has_scale = norm->gamma != NULL,
                                     .has_center = norm->beta != NULL,
                                     .epsilon = shortest(norm->epsilon)};
    gf__operator *item;
    if (!(norm->epsilon >= 0.0f && norm->epsilon < 1e6f))
        return gf_error_set(err, GF_EFORMAT, "node \"%.120s\": epsilon is %g", node,
                            (double)norm->epsilon);
    gf_status st = gf__operator_add(ops, node, &config, in, out, &item, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "gamma", norm->gamma, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "beta", norm->beta, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "moving_mean", norm->mean, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "moving_variance", norm->variance, err);
    return st;
}

gf_status gf__plain_norm_vector(size_t n, float value, gf_tensor **out, gf_error *err)
{
    if (n > MAX_CHANNELS)
        return gf_error_set(err, GF_ELIMIT,
                            "one number is added to or multiplied with %zu channels, at most %zu "
                            "can be run",
                            n, MAX_CHANNELS);
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, &n, 1, out, err);
    float *values = st == GF_OK ? gf_tensor_mutable_data(*out) : NULL;
    for (size_t i = 0; values != NULL && i < n; i++)
        values[i] = value;
    return st;
}

gf_status gf__op_scale(gf__operators *ops, const char *node, size_t in, gf_tensor *factors,
                       size_t *out, gf_error *err)
{
    gf__op_norm norm = {.gamma = factors};
    gf_status st = gf__operator_need_dims(node, "factor", factors, 1, err);
    const size_t n = gf_tensor_n_values(factors);
    if (st == GF_OK)
        st = gf__plain_norm_vector(n, 0.0f, &norm.mean, err);
    if (st == GF_OK)
        st = gf__plain_norm_vector(n, 1.0f, &norm.variance, err);
    if (st == GF_OK)
        st = gf__op_batch_norm(ops, node, in, &norm, out, err);
    gf_tensor_free(norm.mean);
    gf_tensor_free(norm.variance);
    return st;
}

bool gf__tensor_is_all(const gf_tensor *tensor, float value)
{
    const float *values = gf_tensor_f32(tensor);
    for (size_t i = 0; i < gf_tensor_n_values(tensor); i++) {
        if (values == NULL || values[i] != value)
            return false;
    }
    return true;
}

gf_status gf__op_activation(gf__operators *ops, const char *node, size_t in,
                            gf__activation activation, size_t *out, gf_error *err)
{
    const gf__layer_config relu6 = {.class_id = GF__LAYER_RELU, .max_value = 6.0};
    const gf__layer_config other = {.class_id = GF__LAYER_ACTIVATION, .activation = activation};
    return gf__operator_add(ops, node, activation == GF__ACTIVATION_RELU6 ? &relu6 : &other, in,
                            out, NULL, err);
}

static gf_status add_merge(gf__operators *ops, gf__layer_class class_id, const char *node,
                           const size_t *in, size_t n_in, size_t *out, gf_error *err)
{
    const gf__layer_config config = {.class_id = class_id};
    gf__operator *item;
    const gf_status st = add_item(ops, GF__OPERATOR_LAYER, node, &config, in, n_in, &item, err);
    if (st == GF_OK)
        *out = ops->n_items - 1;
    return st;
}

gf_status gf__op_concat(gf__operators *ops, const char *node, const size_t *in, size_t n_in,
                        size_t *out, gf_error *err)
{
    return add_merge(ops, GF__LAYER_CONCATENATE, node, in, n_in, out, err);
}

gf_status gf__op_add(gf__operators *ops, const char *node, const size_t *in, size_t n_in,
                     size_t *out, gf_error *err)
{
    return add_merge(ops, GF__LAYER_ADD, node, in, n_in, out, err);
}

gf_status gf__op_flatten(gf__operators *ops, const char *node, size_t in, size_t *out,
                         gf_error *err)
{
    const gf__layer_config config = {.class_id = GF__LAYER_FLATTEN};
    size_t shape[3];
    if (gf__op_shape(ops, in, shape) == 3)
        return gf__operator_add(ops, node, &config, in, out, NULL, err);
    *out = in;
    return GF_OK;
}

bool gf__op_is_input(const gf__operators *ops, size_t value)
{
    const gf__operator *item = &ops->items[value];
    return item->config.class_id == GF__LAYER_INPUT || item->kind == GF__OPERATOR_AFFINE;
}

gf_status gf__op_affine(gf__operators *ops, const char *node, size_t in, double scale, double shift,
                        size_t *out, gf_error *err)
{
    const gf__layer_config config = {.class_id = GF__LAYER_ACTIVATION};
    const gf__operator *from = &ops->items[in];
    gf__operator *item;
    const bool is_input = from->config.class_id == GF__LAYER_INPUT;
    if (!(fabs(scale) > 0.0 && fabs(scale) < 1e6 && fabs(shift) < 1e6))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "node \"%.120s\" scales the input by %g and adds %g", node, scale,
                            shift);
    if (!gf__op_is_input(ops, in))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "node \"%.120s\" scales what \"%s\" puts out; graft scales the "
                            "network's input only",
                            node, from->node);
    const double first_scale = is_input ? 1.0 : from->scale;
    const double first_shift = is_input ? 0.0 : from->shift;
    const gf_status st = add_item(ops, GF__OPERATOR_AFFINE, node, &config, &in, 1, &item, err);
    if (st != GF_OK)
        return st;
    item->scale = first_scale * scale;
    item->shift = first_shift * scale + shift;
    *out = ops->n_items - 1;
    return GF_OK;
}
