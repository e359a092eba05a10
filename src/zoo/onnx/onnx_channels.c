/* zoo/onnx/onnx_channels.c: red, green and blue scaled one by one: what torchvision's transform_input exports to.
 * A Gather takes a channel of the input, a Mul and an Add scale it, a Concat puts them together again. */
#include <math.h>
#include <string.h>

#include "zoo/onnx/onnx_priv.h"

bool gf__onnx_is_channel(const gf__onnx_value *value)
{
    return !gf__onnx_is_constant(value) &&
           (value->layout == GF__ONNX_CHANNEL || value->layout == GF__ONNX_CHANNEL_FIRST);
}

gf_status gf__onnx_gather(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *input = gf__onnx_input(at, 0);
    gf_tensor *index = NULL;
    gf_status st = gf__onnx_load_value(at, gf__onnx_input(at, 1), &index, err);
    if (st != GF_OK)
        return st;
    const bool is_one = gf_tensor_dtype(index) == GF_DTYPE_I64 && gf_tensor_n_values(index) == 1 &&
                        gf_tensor_n_dims(index) <= 1;
    const int64_t channel = is_one ? ((const int64_t *)gf_tensor_data(index))[0] : -1;
    const bool is_flat = gf_tensor_n_dims(index) == 0;
    gf_tensor_free(index);
    if (gf__onnx_is_constant(input) || !input->is_input || input->layout != GF__ONNX_FIRST ||
        gf__onnx_axis(gf__onnx_int_of(at, "axis", 0), 4) != 1 || channel < 0 ||
        (size_t)channel >= gf__onnx_n_channels(at, input))
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                               "only one channel of the input, to be scaled, can be run");
    gf__onnx_give(at, input->op, is_flat ? GF__ONNX_CHANNEL : GF__ONNX_CHANNEL_FIRST);
    at->out->channel = (size_t)channel;
    at->out->scale = 1.0;
    return GF_OK;
}

gf_status gf__onnx_scale_channel(const gf__onnx_at *at, const gf__onnx_value *value, double scale,
                                 double shift, gf_error *err)
{
    if (!(fabs(scale) < 1e6 && fabs(shift) < 1e6))
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "scales a channel by %g and adds %g",
                               scale, shift);
    gf__onnx_give(at, value->op, value->layout);
    at->out->channel = value->channel;
    at->out->scale = value->scale * scale;
    at->out->shift = value->shift * scale + shift;
    return GF_OK;
}

/* Whether pixels made ready as ImageNet's are come out in [-1,1]: torchvision's networks that were trained
 * on that say so in this way. */
static bool undoes_imagenet(const double *scale, const double *shift, size_t n)
{
    const gf__normalization *imagenet = gf__imagenet_normalization();
    for (size_t c = 0; c < n; c++) {
        const double by = scale[c] / imagenet->deviation[c];
        if (fabs(by - 2.0) > 1e-5 || fabs(shift[c] - by * imagenet->mean[c] + 1.0) > 1e-5)
            return false;
    }
    return n == 3;
}

static gf_status join(const gf__onnx_at *at, size_t input_op, size_t n_uses, const double *scale,
                      const double *shift, size_t n, gf_error *err)
{
    const gf__onnx_value input = {.op = input_op, .layout = GF__ONNX_FIRST, .is_input = true};
    if (input_op == at->model->input->op && n_uses == n && undoes_imagenet(scale, shift, n)) {
        at->model->is_imagenet_undone = true;
        gf__onnx_give(at, input_op, GF__ONNX_FIRST);
        return GF_OK;
    }
    return gf__onnx_apply_affine(at, &input, scale, shift, n, err);
}

gf_status gf__onnx_join_channels(const gf__onnx_at *at, gf_error *err)
{
    const gf__onnx_value *first = gf__onnx_input(at, 0);
    const size_t n = gf__onnx_n_channels(at, first);
    double *scale = gf__calloc(n, sizeof *scale), *shift = gf__calloc(n, sizeof *shift);
    gf_status st = GF_OK;
    bool is_whole = at->node->n_input == n && gf__onnx_axis(gf__onnx_int_of(at, "axis", 1), 4) == 1;
    if (scale == NULL || shift == NULL)
        st = gf__error_nomem(err, "channels", n * sizeof *scale);
    for (size_t c = 0; st == GF_OK && is_whole && c < n; c++) {
        const gf__onnx_value *value = gf__onnx_input(at, c);
        is_whole = gf__onnx_is_channel(value) && value->layout == GF__ONNX_CHANNEL_FIRST &&
                   value->channel == c && value->op == first->op;
        scale[c] = value->scale;
        shift[c] = value->shift;
    }
    if (st == GF_OK && !is_whole)
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                             "not all channels of the input, in their order");
    if (st == GF_OK)
        st = join(at, first->op, at->model->input->n_uses, scale, shift, n, err);
    gf__free(scale);
    gf__free(shift);
    return st;
}
