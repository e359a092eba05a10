/* dnnl_versions.c: what oneDNN 2 (Debian 12 has 2.6) and 3 say differently, said the same way: memory
 * descriptors, which version 3 made opaque, and descriptors of primitives, of which it took away
 * those of operations. Besides these functions only the type gf__memory_layout depends on the
 * version. */
#include "engine/onednn_priv.h"

void gf__layout_free(gf__memory_layout *l)
{
#if DNNL_VERSION_MAJOR >= 3
    if (*l != NULL)
        dnnl_memory_desc_destroy(*l);
    *l = NULL;
#else
    *l = (gf__memory_layout){0};
#endif
}

dnnl_status_t gf__layout_new(gf__memory_layout *l, int n_dims, const dnnl_dim_t *dims,
                             dnnl_data_type_t type, dnnl_format_tag_t tag)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_tag(l, n_dims, dims, type, tag);
#else
    return dnnl_memory_desc_init_by_tag(l, n_dims, dims, type, tag);
#endif
}

dnnl_status_t gf__layout_new_strided(gf__memory_layout *l, int n_dims, const dnnl_dim_t *dims,
                                     dnnl_data_type_t type, const dnnl_dim_t *strides)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(l, n_dims, dims, type, strides);
#else
    return dnnl_memory_desc_init_by_strides(l, n_dims, dims, type, strides);
#endif
}

dnnl_status_t gf__layout_query(gf__memory_layout *l, const_dnnl_primitive_desc_t desc,
                               dnnl_query_t what, int index)
{
#if DNNL_VERSION_MAJOR >= 3
    const_dnnl_memory_desc_t found = dnnl_primitive_desc_query_md(desc, what, index);
    return found != NULL ? dnnl_memory_desc_clone(l, found) : dnnl_success;
#else
    const dnnl_memory_desc_t *found = dnnl_primitive_desc_query_md(desc, what, index);
    if (found != NULL)
        *l = *found;
    return dnnl_success;
#endif
}

size_t gf__layout_bytes(const gf__memory_layout *l)
{
#if DNNL_VERSION_MAJOR >= 3
    return *l != NULL ? dnnl_memory_desc_get_size(*l) : 0;
#else
    return l->ndims > 0 ? dnnl_memory_desc_get_size(l) : 0;
#endif
}

static void describe_dims(gf__buffer *out, const char *what, const dnnl_dim_t *dims, int n)
{
    gf__buffer_printf(out, " %s", what);
    for (int d = 0; d < n; d++)
        gf__buffer_printf(out, ",%lld", (long long)dims[d]);
}

void gf__layout_describe(const gf__memory_layout *l, gf__buffer *out)
{
#if DNNL_VERSION_MAJOR >= 3
    dnnl_data_type_t type = dnnl_data_type_undef;
    int n_dims = 0, n_blocks = 0;
    dnnl_dims_t *padded = NULL, *strides = NULL, *blocks = NULL, *indices = NULL;
    if (*l == NULL)
        return;
    dnnl_memory_desc_query(*l, dnnl_query_ndims_s32, &n_dims);
    dnnl_memory_desc_query(*l, dnnl_query_data_type, &type);
    dnnl_memory_desc_query(*l, dnnl_query_padded_dims, &padded);
    dnnl_memory_desc_query(*l, dnnl_query_strides, &strides);
    dnnl_memory_desc_query(*l, dnnl_query_inner_nblks_s32, &n_blocks);
    dnnl_memory_desc_query(*l, dnnl_query_inner_blks, &blocks);
    dnnl_memory_desc_query(*l, dnnl_query_inner_idxs, &indices);
    gf__buffer_printf(out, " type,%d", (int)type);
    describe_dims(out, "padded", *padded, n_dims);
    describe_dims(out, "strides", *strides, n_dims);
    describe_dims(out, "blocks", *blocks, n_blocks);
    describe_dims(out, "indices", *indices, n_blocks);
#else
    const dnnl_blocking_desc_t *blocking = &l->format_desc.blocking;
    gf__buffer_printf(out, " type,%d format,%d extra,%llu", (int)l->data_type, (int)l->format_kind,
                      (unsigned long long)l->extra.flags);
    describe_dims(out, "padded", l->padded_dims, l->ndims);
    if (l->format_kind != dnnl_blocked)
        return;
    describe_dims(out, "strides", blocking->strides, l->ndims);
    describe_dims(out, "blocks", blocking->inner_blks, blocking->inner_nblks);
    describe_dims(out, "indices", blocking->inner_idxs, blocking->inner_nblks);
#endif
}

static dnnl_status_t new_conv_desc(dnnl_primitive_desc_t *desc, dnnl_engine_t engine,
                                   const gf__recipe *r)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_forward_primitive_desc_create(
        desc, engine, dnnl_forward_inference, dnnl_convolution_direct, r->src, r->weights, r->bias,
        r->dst, r->strides, r->dilates, r->pad_before, r->pad_after, r->attr);
#else
    dnnl_convolution_desc_t op;
    const dnnl_status_t status = dnnl_convolution_forward_desc_init(
        &op, dnnl_forward_inference, dnnl_convolution_direct, &r->src, &r->weights, &r->bias,
        &r->dst, r->strides, r->pad_before, r->pad_after);
    return status != dnnl_success ? status
                                  : dnnl_primitive_desc_create(desc, &op, r->attr, engine, NULL);
#endif
}

static dnnl_status_t new_dense_desc(dnnl_primitive_desc_t *desc, dnnl_engine_t engine,
                                    const gf__recipe *r)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_inner_product_forward_primitive_desc_create(
        desc, engine, dnnl_forward_inference, r->src, r->weights, r->bias, r->dst, r->attr);
#else
    dnnl_inner_product_desc_t op;
    const dnnl_status_t status = dnnl_inner_product_forward_desc_init(
        &op, dnnl_forward_inference, &r->src, &r->weights, &r->bias, &r->dst);
    return status != dnnl_success ? status
                                  : dnnl_primitive_desc_create(desc, &op, r->attr, engine, NULL);
#endif
}

static dnnl_status_t new_pool_desc(dnnl_primitive_desc_t *desc, dnnl_engine_t engine,
                                   const gf__recipe *r)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_pooling_forward_primitive_desc_create(
        desc, engine, dnnl_forward_inference, r->pooling, r->src, r->dst, r->strides, r->kernel,
        r->dilates, r->pad_before, r->pad_after, r->attr);
#else
    dnnl_pooling_desc_t op;
    const dnnl_status_t status = dnnl_pooling_forward_desc_init(
        &op, dnnl_forward_inference, r->pooling, &r->src, &r->dst, r->strides, r->kernel,
        r->pad_before, r->pad_after);
    return status != dnnl_success ? status
                                  : dnnl_primitive_desc_create(desc, &op, r->attr, engine, NULL);
#endif
}

dnnl_status_t gf__post_ops_activate(dnnl_post_ops_t ops, gf__activation activation)
{
    const dnnl_alg_kind_t kind = activation == GF__ACTIVATION_RELU6 ? dnnl_eltwise_clip
                                                                    : dnnl_eltwise_relu;
    const float beta = activation == GF__ACTIVATION_RELU6 ? 6.0f : 0.0f;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_eltwise(ops, kind, 0.0f, beta);
#else
    return dnnl_post_ops_append_eltwise(ops, 1.0f, kind, 0.0f, beta);
#endif
}

dnnl_status_t gf__recipe_describe(const gf__recipe *r, dnnl_engine_t engine,
                                  dnnl_primitive_desc_t *desc)
{
    if (r->kind == GF__OP_CONV)
        return new_conv_desc(desc, engine, r);
    return r->kind == GF__OP_DENSE ? new_dense_desc(desc, engine, r)
                                   : new_pool_desc(desc, engine, r);
}
