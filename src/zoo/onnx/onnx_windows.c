/* zoo/onnx/onnx_windows.c: operators with a window on the map: convolutions and pools, and reductions over all
 * of it. */
#include <string.h>

#include "zoo/onnx/onnx_priv.h"

/* ---- windows --------------------------------------------------------------------------------- */

/* ONNX' SAME_LOWER has the odd pixel of padding in front, where no layer has it. */
static void pad_lower(const size_t shape[3], gf__window *window)
{
    for (size_t side = 0; side < 2; side++) {
        const size_t n = shape[side], stride = window->strides[side];
        const size_t covered = (n - 1) / stride * stride + window->kernel[side];
        const size_t total = covered > n ? covered - n : 0;
        window->padding[2 * side] = total - total / 2;
        window->padding[2 * side + 1] = total / 2;
    }
}

/* Rounding up adds a window that begins inside and ends outside: more padding, which counts nowhere. */
static gf_status apply_ceil_mode(const gf__onnx_at *at, const size_t shape[3], gf__window *window,
                                 gf_error *err)
{
    if (gf__onnx_int_of(at, "ceil_mode", 0) == 0 || window->is_same)
        return GF_OK;
    for (size_t side = 0; side < 2; side++) {
        const size_t begin = window->padding[2 * side], stride = window->strides[side];
        const size_t n = shape[side] + begin + window->padding[2 * side + 1];
        const size_t rest = n >= window->kernel[side] ? (n - window->kernel[side]) % stride : 0;
        const size_t start = n - window->kernel[side] - rest + stride;
        if (rest == 0 || start >= shape[side] + begin)
            continue; /* nothing left over, or only padding */
        if (gf__onnx_int_of(at, "count_include_pad", 0) != 0)
            return gf__onnx_refuse(
                at, GF_EUNSUPPORTED, err,
                "ceil_mode and count_include_pad are 1 where a window of %zu does "
                "not end with the %zu pixels",
                window->kernel[side], n);
        window->padding[2 * side + 1] += stride - rest;
    }
    return GF_OK;
}

/* window->kernel is known. */
static gf_status read_window(const gf__onnx_at *at, const gf__onnx_value *input, gf__window *window,
                             gf_error *err)
{
    size_t dilations[2], pads[4], shape[3];
    gf__op_shape(at->model->ops, input->op, shape);
    gf_status st = gf__onnx_sizes(at, "dilations", 2, 1, dilations, err);
    if (st == GF_OK && (dilations[0] != 1 || dilations[1] != 1))
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "dilations are %zu,%zu; only 1,1 can be run",
                             dilations[0], dilations[1]);
    if (st == GF_OK)
        st = gf__onnx_sizes(at, "strides", 2, 1, window->strides, err);
    if (st == GF_OK)
        st = gf__onnx_sizes(at, "pads", 4, 0, pads, err);
    if (st != GF_OK)
        return st;
    if (window->strides[0] == 0 || window->strides[1] == 0 || window->kernel[0] == 0 ||
        window->kernel[1] == 0)
        return gf__onnx_refuse(at, GF_EFORMAT, err, "a window or stride of 0");
    const size_t turned[4] = {pads[0], pads[2], pads[1], pads[3]};
    memcpy(window->padding, turned, sizeof turned);
    if (gf__onnx_says(at, "auto_pad", "SAME_UPPER"))
        window->is_same = true;
    else if (gf__onnx_says(at, "auto_pad", "SAME_LOWER"))
        pad_lower(shape, window);
    return apply_ceil_mode(at, shape, window, err);
}

/* ---- convolutions ---------------------------------------------------------------------------- */

/* (O,I,H,W) -> (H,W,I,O); of a depthwise kernel (C,1,H,W) -> (H,W,C,1). */
static gf_status turn_kernel(const gf_tensor *kernel, bool is_depthwise, gf_tensor **out,
                             gf_error *err)
{
    const size_t *have = gf_tensor_shape(kernel);
    const size_t O = have[0], I = have[1], H = have[2], W = have[3];
    const size_t shape[4] = {H, W, is_depthwise ? O : I, is_depthwise ? I : O};
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, shape, 4, out, err);
    if (st != GF_OK)
        return st;
    const float *from = gf_tensor_f32(kernel);
    float *to = gf_tensor_mutable_data(*out);
    for (size_t o = 0; o < O; o++)
        for (size_t i = 0; i < I; i++)
            for (size_t k = 0; k < H * W; k++)
                to[k * I * O + (is_depthwise ? o * I + i : i * O + o)] =
                    from[(o * I + i) * H * W + k];
    return GF_OK;
}

/* Of a map of one pixel: (O,I,1,1) as the kernel of a Dense layer. */
static gf_status run_on_one_pixel(const gf__onnx_at *at, const gf__onnx_value *input,
                                  gf_tensor *kernel, gf_tensor *bias, gf_error *err)
{
    size_t op = 0;
    gf_tensor *turned = NULL, *flat = NULL;
    const size_t *shape = gf_tensor_shape(kernel);
    const gf__onnx_value *stored = gf__onnx_input(at, 1);
    if (shape[2] != 1 || shape[3] != 1 || gf__onnx_int_of(at, "group", 1) != 1)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                               "\"%.40s\" is larger than the one pixel that there is",
                               stored->name);
    gf_status st = turn_kernel(kernel, false, &turned, err);
    if (st == GF_OK)
        st = gf_tensor_new(GF_DTYPE_F32, (const size_t[]){shape[1], shape[0]}, 2, &flat, err);
    if (st == GF_OK) {
        memcpy(gf_tensor_mutable_data(flat), gf_tensor_data(turned), gf_tensor_size_bytes(flat));
        st = gf__op_dense(at->model->ops, at->name, input->op, flat, bias, &op, err);
    }
    if (st == GF_OK)
        gf__onnx_give_like(at, input, op);
    gf_tensor_free(turned);
    gf_tensor_free(flat);
    return st;
}

static gf_status run_convolution(const gf__onnx_at *at, const gf__onnx_value *input,
                                 gf_tensor *kernel, gf_tensor *bias, gf_error *err)
{
    const size_t *shape = gf_tensor_shape(kernel);
    const size_t n_channels = gf__onnx_n_channels(at, input);
    const int64_t group = gf__onnx_int_of(at, "group", 1);
    const bool is_depthwise = group > 1 && (size_t)group == n_channels && shape[0] == n_channels;
    gf__window window = {.kernel = {shape[2], shape[3]}};
    gf_tensor *turned = NULL;
    size_t op = 0;
    gf_status st = GF_OK;
    if (group != 1 && !is_depthwise)
        return gf__onnx_refuse(
            at, GF_EUNSUPPORTED, err,
            "group is %lld of %zu channels and %zu filters; only 1, or one each, "
            "can be run",
            (long long)group, n_channels, shape[0]);
    st = read_window(at, input, &window, err);
    if (st == GF_OK)
        st = turn_kernel(kernel, is_depthwise, &turned, err);
    if (st == GF_OK)
        st = is_depthwise ? gf__op_depthwise(at->model->ops, at->name, input->op, &window, turned,
                                             bias, &op, err)
                          : gf__op_conv2d(at->model->ops, at->name, input->op, &window, turned,
                                          bias, &op, err);
    if (st == GF_OK)
        gf__onnx_give(at, op, GF__ONNX_FIRST);
    at->out->can_take_bias = bias == NULL;
    gf_tensor_free(turned);
    return st;
}

static gf_status check_kernel(const gf__onnx_at *at, const gf_tensor *kernel, gf_error *err)
{
    size_t stated[2];
    char text[GF__SHAPE_TEXT];
    const size_t *shape = gf_tensor_shape(kernel);
    const size_t n_dims = gf_tensor_n_dims(kernel);
    if (n_dims != 4 || gf_tensor_n_values(kernel) == 0)
        return gf__onnx_refuse(
            at, GF_EUNSUPPORTED, err,
            "its kernel has shape %s; only convolutions in two dimensions can be "
            "run",
            gf__shape_text(shape, n_dims, text));
    if (gf__onnx_attribute(at, "kernel_shape") == NULL)
        return GF_OK;
    const gf_status st = gf__onnx_sizes(at, "kernel_shape", 2, 0, stated, err);
    if (st != GF_OK || (stated[0] == shape[2] && stated[1] == shape[3]))
        return st;
    return gf__onnx_refuse(at, GF_EFORMAT, err, "kernel_shape says %zux%zu, its kernel is %zux%zu",
                           stated[0], stated[1], shape[2], shape[3]);
}

gf_status gf__onnx_conv(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0), *bias_value = gf__onnx_input(at, 2);
    gf_tensor *kernel = NULL, *bias = NULL;
    const bool is_one = !gf__onnx_is_constant(input) && input->layout == GF__ONNX_ONE_FIRST;
    gf_status st = is_one ? GF_OK : gf__onnx_need_layout(at, input, GF__ONNX_FIRST, err);
    if (st == GF_OK)
        st = gf__onnx_floats(at, gf__onnx_input(at, 1), &kernel, err);
    if (st == GF_OK && bias_value != NULL)
        st = gf__onnx_floats(at, bias_value, &bias, err);
    if (st == GF_OK)
        st = check_kernel(at, kernel, err);
    if (st == GF_OK)
        st = is_one ? run_on_one_pixel(at, input, kernel, bias, err)
                    : run_convolution(at, input, kernel, bias, err);
    gf_tensor_free(kernel);
    gf_tensor_free(bias);
    return st;
}

/* ---- pooling --------------------------------------------------------------------------------- */

static gf_status read_pool(const gf__onnx_at *at, const gf__onnx_value *input, gf__window *window,
                           gf_error *err)
{
    gf_status st = gf__onnx_need_layout(at, input, GF__ONNX_FIRST, err);
    if (st == GF_OK && gf__onnx_has_extra_output(at))
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                             "gives indices (\"%.40s\"), which graft has not", at->node->output[1]);
    if (st == GF_OK)
        st = gf__onnx_sizes(at, "kernel_shape", 2, 0, window->kernel, err);
    return st == GF_OK ? read_window(at, input, window, err) : st;
}

/* Zeros around a map without negative values change no maximum: nor does ONNX' padding. */
static gf_status pad_with_zeros(const gf__onnx_at *at, gf__window *window, size_t *op,
                                gf_error *err)
{
    size_t shape[3];
    gf__window upper = *window;
    gf__op_shape(at->model->ops, *op, shape);
    pad_lower(shape, &upper);
    const size_t same[4] = {upper.padding[1], upper.padding[0], upper.padding[3], upper.padding[2]};
    const size_t *p = window->padding;
    if (window->is_same || memcmp(same, p, sizeof same) == 0 || p[0] + p[1] + p[2] + p[3] == 0)
        return GF_OK;
    const gf_status st = gf__op_pad(at->model->ops, at->name, *op, p, op, err);
    memset(window->padding, 0, sizeof window->padding);
    return st;
}

gf_status gf__onnx_max_pool(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    gf__window window = {0};
    gf_status st = read_pool(at, input, &window, err);
    size_t op = input->op;
    if (st == GF_OK && input->is_not_negative)
        st = pad_with_zeros(at, &window, &op, err);
    if (st == GF_OK)
        st = gf__op_max_pool(at->model->ops, at->name, op, &window, &op, err);
    if (st == GF_OK)
        gf__onnx_give(at, op, GF__ONNX_FIRST);
    at->out->is_not_negative = input->is_not_negative;
    return st;
}

gf_status gf__onnx_average_pool(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    gf__window window = {0};
    size_t op = 0;
    const bool counts_padding = gf__onnx_int_of(at, "count_include_pad", 0) != 0;
    gf_status st = read_pool(at, input, &window, err);
    if (st == GF_OK)
        st = gf__op_average_pool(at->model->ops, at->name, input->op, &window, counts_padding, &op,
                                 err);
    if (st == GF_OK)
        gf__onnx_give(at, op, GF__ONNX_FIRST);
    at->out->is_not_negative = input->is_not_negative;
    return st;
}

static gf_status pool_globally(const gf__onnx_at *at, bool is_max, gf__onnx_layout layout,
                               gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    size_t op = 0;
    const gf_status st = gf__op_global_pool(at->model->ops, at->name, input->op, is_max, false, &op,
                                            err);
    if (st == GF_OK)
        gf__onnx_give(at, op, layout);
    at->out->is_not_negative = input->is_not_negative;
    return st;
}

gf_status gf__onnx_global_pool(const gf__onnx_at *at, gf_error *err)
{
    const gf_status st = gf__onnx_need_layout(at, gf__onnx_input(at, 0), GF__ONNX_FIRST, err);
    const bool is_max = strcmp(at->node->op_type, "GlobalMaxPool") == 0;
    return st == GF_OK ? pool_globally(at, is_max, GF__ONNX_ONE_FIRST, err) : st;
}

/* Over height and width. */
gf_status gf__onnx_reduce(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    int64_t axes[4] = {0};
    size_t n = 0;
    gf_status st = gf__onnx_need_computed(at, input, err);
    if (st == GF_OK && input->layout != GF__ONNX_LAST)
        st = gf__onnx_need_layout(at, input, GF__ONNX_FIRST, err);
    if (st == GF_OK)
        st = gf__onnx_axes(at, 4, axes, &n, err);
    if (st != GF_OK)
        return st;
    const bool is_first = input->layout == GF__ONNX_FIRST;
    const int64_t height = is_first ? 2 : 1;
    const bool is_there = n == 2 && ((axes[0] == height && axes[1] == height + 1) ||
                                     (axes[1] == height && axes[0] == height + 1));
    if (!is_there)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                               "over other axes than height and width of %s",
                               gf__onnx_layout_text(input));
    const bool is_map = gf__onnx_int_of(at, "keepdims", 1) != 0;
    const bool is_max = strcmp(at->node->op_type, "ReduceMax") == 0;
    return pool_globally(at, is_max,
                         !is_map    ? GF__ONNX_VECTOR
                         : is_first ? GF__ONNX_ONE_FIRST
                                    : GF__ONNX_ONE_LAST,
                         err);
}
