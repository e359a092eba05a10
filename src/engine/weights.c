/* weights.c: the floats of layers into what primitives read: BatchNormalization and the scaling
 * of raw pixels folded into weights and bias, then packed into the primitive's layout. Runs once
 * for each pack file; the graph's weights, views of a mapped file, are not touched otherwise. */
#include <math.h>
#include <string.h>

#include "engine/dnnl_priv.h"
#include "engine/kernels_priv.h"
#include "tensor/tensor.h"

size_t gf__weights_layout(gf__program *program)
{
    size_t end = 0;
    for (size_t i = 0; i < program->n_ops; i++) {
        gf__op *op = &program->ops[i];
        if (op->layer == NULL && op->norm == NULL)
            continue;
        const size_t channel_bytes = program->values[op->dst].channels * sizeof(float);
        op->weights.size_bytes = op->kind == GF__OP_AFFINE ? channel_bytes
                                                           : gf__prim_weights_bytes(op->prim);
        op->bias.size_bytes = channel_bytes;
        op->weights.offset = end;
        op->bias.offset = end + gf__align(op->weights.size_bytes);
        end = op->bias.offset + gf__align(op->bias.size_bytes);
    }
    return end;
}

/* The n floats of a layer's weight; *out is NULL where the layer is not meant to have it. */
static gf_status find_weight(const gf_layer *layer, const char *name, bool is_expected, size_t n,
                             const float **out, gf_error *err)
{
    const gf_tensor *tensor = is_expected ? gf_layer_weight(layer, name) : NULL;
    *out = tensor != NULL ? gf_tensor_f32(tensor) : NULL;
    if (is_expected && *out == NULL)
        return gf_error_set(err, GF_EINVAL, "%s: its %s has not been loaded", gf_layer_name(layer),
                            name);
    if (is_expected && gf_tensor_n_values(tensor) != n)
        return gf_error_set(err, GF_ESHAPE, "%s: %s has %zu values, expected %zu",
                            gf_layer_name(layer), name, gf_tensor_n_values(tensor), n);
    return GF_OK;
}

/* A BatchNormalization of C channels as x * scale + shift. */
static gf_status fold_norm(const gf_layer *norm, size_t C, double *scale, double *shift,
                           gf_error *err)
{
    const gf__layer_config *config = gf__layer_config_of(norm);
    const float *gamma = NULL, *beta = NULL, *mean = NULL, *variance = NULL;
    gf_status st = find_weight(norm, "gamma", config->has_scale, C, &gamma, err);
    if (st == GF_OK)
        st = find_weight(norm, "beta", config->has_center, C, &beta, err);
    if (st == GF_OK)
        st = find_weight(norm, "moving_mean", true, C, &mean, err);
    if (st == GF_OK)
        st = find_weight(norm, "moving_variance", true, C, &variance, err);
    for (size_t c = 0; st == GF_OK && c < C; c++) {
        scale[c] = (gamma != NULL ? (double)gamma[c] : 1.0) /
                   sqrt((double)variance[c] + config->epsilon);
        shift[c] = (beta != NULL ? (double)beta[c] : 0.0) - (double)mean[c] * scale[c];
    }
    return st;
}

/* Moves pixel * scale + shift into folded weights (n values, output channel last) and shift[].
 * The part of shift is computed from the weights as they will be stored: bfloat16 rounds them,
 * and pixels are far from zero mean, so a shift of the unrounded weights would leave the
 * rounding error times 127 in every sum. */
static void fold_pixels(const gf__op *op, bool is_bf16, float *weights, size_t n, double *shift,
                        size_t O)
{
    const double scale = (double)op->scale, ratio = (double)op->shift / scale;
    for (size_t i = 0; i < n; i++) {
        float folded = (float)((double)weights[i] * scale);
        if (is_bf16)
            folded = gf__bf16_to_f32(gf__bf16_round(folded));
        weights[i] = folded;
        shift[i % O] += (double)folded * ratio;
    }
}

static size_t count_weights(const gf_plan *plan, const gf__op *op)
{
    const gf__value *src = &plan->program.values[op->src[0]];
    const size_t O = plan->program.values[op->dst].channels;
    if (op->kind == GF__OP_DENSE)
        return gf__value_size(src) * O;
    return op->kernel[0] * op->kernel[1] * (op->is_depthwise ? 1 : src->channels) * O;
}

/* folded (n weights) and shift (O) of a CONV or DENSE; scale is room for O numbers. */
static gf_status fold(const gf_plan *plan, const gf__op *op, float *folded, size_t n, double *scale,
                      double *shift, size_t O, gf_error *err)
{
    const float *kernel = NULL, *bias = NULL;
    gf_status st = find_weight(op->layer, "kernel", true, n, &kernel, err);
    if (st == GF_OK)
        st = find_weight(op->layer, "bias", gf__layer_config_of(op->layer)->has_bias, O, &bias,
                         err);
    for (size_t o = 0; o < O; o++) {
        scale[o] = 1.0;
        shift[o] = 0.0;
    }
    if (st == GF_OK && op->norm != NULL)
        st = fold_norm(op->norm, O, scale, shift, err);
    if (st != GF_OK)
        return st;
    for (size_t o = 0; bias != NULL && o < O; o++)
        shift[o] += (double)bias[o] * scale[o];
    for (size_t i = 0; i < n; i++)
        folded[i] = (float)((double)kernel[i] * scale[i % O]);
    if (op->scale != 1.0f || op->shift != 0.0f)
        fold_pixels(op, plan->options.precision == GF_PRECISION_BF16, folded, n, shift, O);
    return GF_OK;
}

gf_status gf__weights_pack(const gf_plan *plan, const gf__op *op, uint8_t *weights, uint8_t *bias,
                           gf_error *err)
{
    gf_status st;
    const size_t O = plan->program.values[op->dst].channels;
    const size_t n = op->kind == GF__OP_AFFINE ? 0 : count_weights(plan, op);
    float *folded = gf__alloc_aligned(n * sizeof *folded);
    double *scale = gf__malloc(2 * O * sizeof *scale);
    if (folded == NULL || scale == NULL) {
        st = gf__error_nomem(err, "folded weights", n * sizeof *folded);
        goto done;
    }
    double *shift = scale + O;
    float *out_bias = (float *)(void *)bias;
    if (op->kind == GF__OP_AFFINE) {
        float *out_scale = (float *)(void *)weights;
        st = fold_norm(op->norm, O, scale, shift, err);
        for (size_t o = 0; st == GF_OK && o < O; o++)
            out_scale[o] = (float)scale[o];
    } else {
        st = fold(plan, op, folded, n, scale, shift, O, err);
        if (st == GF_OK)
            st = gf__prim_pack(plan->device, op->prim, folded, weights, err);
    }
    for (size_t o = 0; st == GF_OK && o < O; o++)
        out_bias[o] = (float)shift[o];
done:
    gf__free(scale);
    gf__free(folded);
    return st;
}
