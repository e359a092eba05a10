/* dnnl_recipe.c: an operation of a program in oneDNN's words: shapes and layouts of what its primitive
 * reads and writes, strides, padding, and what is done to the result at once. */
#include "engine/onednn_priv.h"

static dnnl_data_type_t type_of(const gf__value *value)
{
    return value->dtype == GF_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* (1,C,H,W) lying as height, width, channels; the channels of a wider tensor where the value has
 * a host. */
static dnnl_status_t picture_layout(gf__memory_layout *l, const gf__program *program,
                                    const gf__value *value)
{
    const gf__value *memory = value->host == GF__NONE ? value : &program->values[value->host];
    const dnnl_dim_t H = (dnnl_dim_t)value->height, W = (dnnl_dim_t)value->width;
    const dnnl_dim_t step = (dnnl_dim_t)memory->channels;
    const dnnl_dims_t dims = {1, (dnnl_dim_t)value->channels, H, W};
    const dnnl_dims_t strides = {H * W * step, 1, W * step, step};
    return gf__layout_new_strided(l, 4, dims, type_of(value), strides);
}

static dnnl_status_t fill_conv(gf__recipe *r, const gf__program *program, const gf__op *op)
{
    const gf__value *src = &program->values[op->src[0]], *dst = &program->values[op->dst];
    const dnnl_dim_t I = (dnnl_dim_t)src->channels, O = (dnnl_dim_t)dst->channels;
    const dnnl_dim_t KH = (dnnl_dim_t)op->kernel[0], KW = (dnnl_dim_t)op->kernel[1];
    const dnnl_dims_t full = {O, I, KH, KW}, depthwise = {O, 1, 1, KH, KW}, bias = {O};
    const int n_dims = op->is_depthwise ? 5 : 4;
    const dnnl_dim_t *dims = op->is_depthwise ? depthwise : full;
    for (size_t k = 0; k < 2; k++) {
        r->strides[k] = (dnnl_dim_t)op->strides[k];
        r->pad_before[k] = (dnnl_dim_t)op->padding[2 * k];
        r->pad_after[k] = (dnnl_dim_t)op->padding[2 * k + 1];
    }
    dnnl_status_t status = picture_layout(&r->src, program, src);
    if (status == dnnl_success)
        status = picture_layout(&r->dst, program, dst);
    if (status == dnnl_success)
        status = gf__layout_new(&r->weights, n_dims, dims, type_of(src), dnnl_format_tag_any);
    if (status == dnnl_success)
        status = gf__layout_new(&r->raw_weights, n_dims, dims, dnnl_f32,
                                op->is_depthwise ? dnnl_hwigo : dnnl_hwio);
    if (status == dnnl_success)
        status = gf__layout_new(&r->bias, 1, bias, dnnl_f32, dnnl_a);
    return status;
}

static dnnl_status_t fill_dense(gf__recipe *r, const gf__program *program, const gf__op *op)
{
    const dnnl_dim_t I = (dnnl_dim_t)gf__value_size(&program->values[op->src[0]]);
    const dnnl_dim_t O = (dnnl_dim_t)program->values[op->dst].channels;
    const dnnl_dims_t src = {1, I}, dst = {1, O}, weights = {O, I}, bias = {O};
    dnnl_status_t status = gf__layout_new(&r->src, 2, src, dnnl_f32, dnnl_ab);
    if (status == dnnl_success)
        status = gf__layout_new(&r->dst, 2, dst, dnnl_f32, dnnl_ab);
    if (status == dnnl_success)
        status = gf__layout_new(&r->weights, 2, weights, dnnl_f32, dnnl_format_tag_any);
    if (status == dnnl_success)
        status = gf__layout_new(&r->raw_weights, 2, weights, dnnl_f32, dnnl_ba);
    if (status == dnnl_success)
        status = gf__layout_new(&r->bias, 1, bias, dnnl_f32, dnnl_a);
    return status;
}

static dnnl_status_t fill_pool(gf__recipe *r, const gf__program *program, const gf__op *op)
{
    /* Keras and TensorFlow leave the padding of "same" out of an average. */
    const dnnl_alg_kind_t average = op->counts_padding ? dnnl_pooling_avg_include_padding
                                                       : dnnl_pooling_avg_exclude_padding;
    r->pooling = op->is_max ? dnnl_pooling_max : average;
    for (size_t k = 0; k < 2; k++) {
        r->kernel[k] = (dnnl_dim_t)op->kernel[k];
        r->strides[k] = (dnnl_dim_t)op->strides[k];
        r->pad_before[k] = (dnnl_dim_t)op->padding[2 * k];
        r->pad_after[k] = (dnnl_dim_t)op->padding[2 * k + 1];
    }
    dnnl_status_t status = picture_layout(&r->src, program, &program->values[op->src[0]]);
    if (status == dnnl_success)
        status = picture_layout(&r->dst, program, &program->values[op->dst]);
    return status;
}

static dnnl_status_t make_attributes(gf__recipe *r, gf__activation activation)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&r->attr);
    if (status != dnnl_success)
        return status;
    /* The caller's scratch: a primitive with memory of its own could not be run by two threads
     * at once. */
    status = dnnl_primitive_attr_set_scratchpad_mode(r->attr, dnnl_scratchpad_mode_user);
    if (status != dnnl_success || activation == GF__ACTIVATION_LINEAR)
        return status;
    status = dnnl_post_ops_create(&ops);
    if (status == dnnl_success)
        status = gf__post_ops_activate(ops, activation);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(r->attr, ops);
    dnnl_post_ops_destroy(ops);
    return status;
}

dnnl_status_t gf__recipe_fill(gf__recipe *r, const gf__program *program, const gf__op *op)
{
    r->kind = op->kind;
    const dnnl_status_t status = make_attributes(r, op->activation);
    if (status != dnnl_success)
        return status;
    if (op->kind == GF__OP_CONV)
        return fill_conv(r, program, op);
    if (op->kind == GF__OP_DENSE)
        return fill_dense(r, program, op);
    return fill_pool(r, program, op);
}

void gf__recipe_clear(gf__recipe *r)
{
    gf__layout_free(&r->src);
    gf__layout_free(&r->weights);
    gf__layout_free(&r->raw_weights);
    gf__layout_free(&r->bias);
    gf__layout_free(&r->dst);
    dnnl_primitive_attr_destroy(r->attr);
}
