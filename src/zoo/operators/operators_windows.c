/* zoo/operators/operators_windows.c: convolutions and poolings, and what their padding is in Keras: none,
 * "same", or a layer of zeros before. */
#include <stdio.h>
#include <string.h>

#include "zoo/operators/operators_priv.h"

void gf__same_padding(size_t n_pixels, size_t window, size_t stride, size_t sides[2])
{
    const size_t covered = ((n_pixels - 1) / stride) * stride + window;
    const size_t total = covered > n_pixels ? covered - n_pixels : 0;
    sides[0] = total / 2;
    sides[1] = total - total / 2;
}

/* What a window's padding is in Keras: none, "same", or something before it. */
static void name_padding(const gf__operators *ops, size_t in, const gf__window *window,
                         const size_t kernel[2], bool *is_same, bool *is_apart)
{
    size_t shape[3], sides[4];
    const size_t *p = window->padding;
    *is_same = window->is_same;
    *is_apart = false;
    if (window->is_same || (p[0] == 0 && p[1] == 0 && p[2] == 0 && p[3] == 0))
        return;
    *is_apart = true;
    if (gf__op_shape(ops, in, shape) != 3 || window->strides[0] == 0 || window->strides[1] == 0)
        return; /* whatever comes after this says so */
    for (size_t side = 0; side < 2; side++)
        gf__same_padding(shape[side], kernel[side], window->strides[side], &sides[2 * side]);
    *is_same = memcmp(sides, p, sizeof sides) == 0;
    *is_apart = !*is_same;
}

/* The zeros before a window, as a layer of their own. */
static gf_status pad_before(gf__operators *ops, const char *node, const gf__window *window,
                            size_t *in, gf_error *err)
{
    char name[GF__OPERATOR_NAME_BYTES + 8];
    const char *slash = strrchr(node, '/');
    const size_t n = slash != NULL && slash > node ? (size_t)(slash - node) : strlen(node);
    const size_t n_cut = n > GF__OPERATOR_NAME_BYTES - 8 ? n - (GF__OPERATOR_NAME_BYTES - 8) : 0;
    const char *end = gf__operator_end_of(node, n_cut);
    snprintf(name, sizeof name, "%.*s_pad/Pad", (int)(node + n - end), end);
    return gf__op_pad(ops, name, *in, window->padding, in, err);
}

static gf_status add_convolution(gf__operators *ops, const char *node, size_t in,
                                 gf__layer_config config, const gf__window *window,
                                 gf_tensor *kernel, gf_tensor *bias, size_t *out, gf_error *err)
{
    gf__operator *item;
    bool is_apart;
    gf_status st = gf__operator_need_dims(node, "kernel", kernel, 4, err);
    if (st != GF_OK)
        return st;
    memcpy(config.kernel, gf_tensor_shape(kernel), sizeof config.kernel);
    memcpy(config.strides, window->strides, sizeof config.strides);
    config.has_bias = bias != NULL;
    if (config.class_id == GF__LAYER_CONV2D)
        config.filters = gf_tensor_shape(kernel)[3];
    name_padding(ops, in, window, config.kernel, &config.is_same_padding, &is_apart);
    if (is_apart)
        st = pad_before(ops, node, window, &in, err);
    if (st == GF_OK)
        st = gf__operator_add(ops, node, &config, in, out, &item, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "kernel", kernel, err);
    if (st == GF_OK)
        st = gf__operator_add_weight(item, "bias", bias, err);
    return st;
}

gf_status gf__op_conv2d(gf__operators *ops, const char *node, size_t in, const gf__window *window,
                        gf_tensor *kernel, gf_tensor *bias, size_t *out, gf_error *err)
{
    const gf__layer_config config = {.class_id = GF__LAYER_CONV2D};
    return add_convolution(ops, node, in, config, window, kernel, bias, out, err);
}

gf_status gf__op_depthwise(gf__operators *ops, const char *node, size_t in,
                           const gf__window *window, gf_tensor *kernel, gf_tensor *bias,
                           size_t *out, gf_error *err)
{
    const gf__layer_config config = {.class_id = GF__LAYER_DEPTHWISE_CONV2D};
    return add_convolution(ops, node, in, config, window, kernel, bias, out, err);
}

static gf_status add_pool(gf__operators *ops, const char *node, size_t in, gf__layer_class class_id,
                          const gf__window *window, bool pads_before, size_t *out, gf_error *err)
{
    gf__layer_config config = {.class_id = class_id};
    gf_status st = GF_OK;
    bool is_apart;
    memcpy(config.kernel, window->kernel, sizeof config.kernel);
    memcpy(config.strides, window->strides, sizeof config.strides);
    name_padding(ops, in, window, config.kernel, &config.is_same_padding, &is_apart);
    if (is_apart && !pads_before)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "node \"%.120s\" pools with padding %zu,%zu,%zu,%zu, which is not "
                            "Keras' \"same\"; graft has no such pooling",
                            node, window->padding[0], window->padding[1], window->padding[2],
                            window->padding[3]);
    if (is_apart)
        st = pad_before(ops, node, window, &in, err);
    if (st == GF_OK)
        st = gf__operator_add(ops, node, &config, in, out, NULL, err);
    return st;
}

gf_status gf__op_max_pool(gf__operators *ops, const char *node, size_t in, const gf__window *window,
                          size_t *out, gf_error *err)
{
    return add_pool(ops, node, in, GF__LAYER_MAX_POOLING2D, window, false, out, err);
}

gf_status gf__op_average_pool(gf__operators *ops, const char *node, size_t in,
                              const gf__window *window, bool counts_padding, size_t *out,
                              gf_error *err)
{
    gf__window valid = *window;
    gf_status st = GF_OK;
    if (counts_padding && window->is_same)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "node \"%.120s\" averages over \"same\" padding, too; graft leaves it "
                            "out",
                            node);
    const size_t *p = window->padding;
    if (counts_padding && (p[0] > 0 || p[1] > 0 || p[2] > 0 || p[3] > 0)) {
        st = pad_before(ops, node, window, &in, err);
        memset(valid.padding, 0, sizeof valid.padding);
    }
    if (st == GF_OK)
        st = add_pool(ops, node, in, GF__LAYER_AVERAGE_POOLING2D, &valid, false, out, err);
    return st;
}

gf_status gf__op_global_pool(gf__operators *ops, const char *node, size_t in, bool is_max,
                             bool keeps_map, size_t *out, gf_error *err)
{
    const gf__layer_config config = {.class_id = is_max ? GF__LAYER_GLOBAL_MAX_POOLING2D
                                                        : GF__LAYER_GLOBAL_AVERAGE_POOLING2D};
    size_t shape[3];
    if (!keeps_map || gf__op_shape(ops, in, shape) != 3)
        return gf__operator_add(ops, node, &config, in, out, NULL, err);
    const gf__window whole = {.kernel = {shape[0], shape[1]}, .strides = {1, 1}};
    return is_max ? gf__op_max_pool(ops, node, in, &whole, out, err)
                  : gf__op_average_pool(ops, node, in, &whole, false, out, err);
}
