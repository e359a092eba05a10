/* dnnl.c: the only file that sees oneDNN (Debian 12 has 2.6, others 3.x) and OpenMP under it.
 *
 * Version 3 took away the operation descriptors of version 2 and made memory descriptors opaque.
 * Both live behind the functions of the first part ("layout"); from the second part on nothing
 * depends on the version. */
#include <stdio.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#include "engine/dnnl_priv.h"

/* libgomp's, which oneDNN is linked with. Declared here because clang does not come with omp.h. */
extern void omp_set_num_threads(int n_threads);
extern int omp_get_max_threads(void);
extern void omp_set_max_active_levels(int n_levels);
extern int omp_get_max_active_levels(void);
extern int omp_pause_resource_all(int kind); /* 1: soft */

void gf__engine_end_threads(void)
{
    (void)omp_pause_resource_all(1);
}

int gf__threads_enter(int n_threads)
{
    const int before = omp_get_max_threads();
    if (before != n_threads)
        omp_set_num_threads(n_threads);
    return before;
}

void gf__threads_leave(int before)
{
    if (omp_get_max_threads() != before)
        omp_set_num_threads(before);
}

int gf__team_forbid(void)
{
    const int before = omp_get_max_active_levels();
    omp_set_max_active_levels(0);
    return before;
}

void gf__team_allow(int before)
{
    omp_set_max_active_levels(before);
}

struct gf__device {
    dnnl_engine_t engine;
};

struct gf__stream {
    dnnl_stream_t stream;
};

/* ---- layout: a memory descriptor of either version ---- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout; /* a pointer */
#define LAYOUT(l) (l)
#else
typedef dnnl_memory_desc_t layout; /* a struct */
#define LAYOUT(l) (&(l))
#endif

static void layout_free(layout *l)
{
#if DNNL_VERSION_MAJOR >= 3
    if (*l != NULL)
        dnnl_memory_desc_destroy(*l);
    *l = NULL;
#else
    *l = (layout){0};
#endif
}

static dnnl_status_t layout_new(layout *l, int n_dims, const dnnl_dim_t *dims,
                                dnnl_data_type_t type, dnnl_format_tag_t tag)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_tag(l, n_dims, dims, type, tag);
#else
    return dnnl_memory_desc_init_by_tag(l, n_dims, dims, type, tag);
#endif
}

static dnnl_status_t layout_new_strided(layout *l, int n_dims, const dnnl_dim_t *dims,
                                        dnnl_data_type_t type, const dnnl_dim_t *strides)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(l, n_dims, dims, type, strides);
#else
    return dnnl_memory_desc_init_by_strides(l, n_dims, dims, type, strides);
#endif
}

static dnnl_status_t layout_query(layout *l, const_dnnl_primitive_desc_t desc, dnnl_query_t what,
                                  int index)
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

static size_t layout_bytes(const layout *l)
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

static void layout_describe(const layout *l, gf__buffer *out)
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

/* ---- descriptors of primitives, either version ---- */

typedef struct recipe { /* what makes a primitive */
    layout src, weights, bias, dst;
    dnnl_dims_t kernel, strides, dilates, pad_before, pad_after;
    dnnl_alg_kind_t pooling;
    dnnl_primitive_attr_t attr;
} recipe;

static dnnl_status_t new_conv_desc(dnnl_primitive_desc_t *desc, dnnl_engine_t engine,
                                   const recipe *r)
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
                                    const recipe *r)
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
                                   const recipe *r)
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

static dnnl_status_t append_activation(dnnl_post_ops_t ops, gf__activation activation)
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

/* ---- from here on the version does not matter ---- */

struct gf__prim {
    dnnl_primitive_t primitive;
    layout src, dst;
    layout weights;     /* as the primitive wants them; nothing for pooling */
    layout raw_weights; /* as Keras has them */
    size_t weights_bytes, bias_bytes, scratch_bytes;
    char name[64];
};

static gf_status failed(dnnl_status_t status, const char *what, gf_error *err)
{
    if (status == dnnl_out_of_memory)
        return gf_error_set(err, GF_ENOMEM, "out of memory (oneDNN, %s)", what);
    return gf_error_set(err, GF_EUNSUPPORTED, "oneDNN cannot do this %s (status %d)", what,
                        (int)status);
}

gf_status gf__device_new(gf__device **out, gf_error *err)
{
    gf__device *device = gf__calloc(1, sizeof *device);
    if (device == NULL)
        return gf__error_nomem(err, "the engine", sizeof *device);
    const dnnl_status_t status = dnnl_engine_create(&device->engine, dnnl_cpu, 0);
    if (status != dnnl_success) {
        gf__free(device);
        return failed(status, "engine", err);
    }
    *out = device;
    return GF_OK;
}

void gf__device_free(gf__device *device)
{
    if (device == NULL)
        return;
    dnnl_engine_destroy(device->engine);
    gf__free(device);
}

typedef struct isa_name {
    unsigned isa;
    const char *name;
} isa_name;

/* Best first; the values of the enumeration are sets of bits, a later one includes what it
 * builds on. */
static const isa_name isa_names[] = {
    {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
    {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
    {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
    {dnnl_cpu_isa_avx512_core, "avx512_core"},
    {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
    {dnnl_cpu_isa_avx2, "avx2"},
    {dnnl_cpu_isa_avx, "avx"},
    {dnnl_cpu_isa_sse41, "sse41"},
};

static bool has_isa(unsigned isa)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & isa) == isa;
}

const char *gf__dnnl_isa(void)
{
    for (size_t i = 0; i < sizeof isa_names / sizeof *isa_names; i++)
        if (has_isa(isa_names[i].isa))
            return isa_names[i].name;
    return "none";
}

bool gf__dnnl_has_amx(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core_amx);
}

bool gf__dnnl_has_bf16(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core_bf16);
}

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

const char *gf__dnnl_version(void)
{
    return "oneDNN " TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(
        DNNL_VERSION_PATCH);
}

void gf__dnnl_describe(gf__buffer *out)
{
    const dnnl_version_t *version = dnnl_version();
    gf__buffer_printf(out, "oneDNN %d.%d.%d %s %s", version->major, version->minor, version->patch,
                      version->hash, gf__dnnl_isa());
}

static dnnl_data_type_t type_of(const gf__value *value)
{
    return value->dtype == GF_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* (1,C,H,W) lying as height, width, channels; the channels of a wider tensor where the value has
 * a host. */
static dnnl_status_t picture_layout(layout *l, const gf__program *program, const gf__value *value)
{
    const gf__value *memory = value->host == GF__NONE ? value : &program->values[value->host];
    const dnnl_dim_t H = (dnnl_dim_t)value->height, W = (dnnl_dim_t)value->width;
    const dnnl_dim_t step = (dnnl_dim_t)memory->channels;
    const dnnl_dims_t dims = {1, (dnnl_dim_t)value->channels, H, W};
    const dnnl_dims_t strides = {H * W * step, 1, W * step, step};
    return layout_new_strided(l, 4, dims, type_of(value), strides);
}

static dnnl_status_t describe_conv(recipe *r, gf__prim *prim, const gf__program *program,
                                   const gf__op *op)
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
        status = layout_new(&r->weights, n_dims, dims, type_of(src), dnnl_format_tag_any);
    if (status == dnnl_success)
        status = layout_new(&prim->raw_weights, n_dims, dims, dnnl_f32,
                            op->is_depthwise ? dnnl_hwigo : dnnl_hwio);
    if (status == dnnl_success)
        status = layout_new(&r->bias, 1, bias, dnnl_f32, dnnl_a);
    return status;
}

static dnnl_status_t describe_dense(recipe *r, gf__prim *prim, const gf__program *program,
                                    const gf__op *op)
{
    const dnnl_dim_t I = (dnnl_dim_t)gf__value_size(&program->values[op->src[0]]);
    const dnnl_dim_t O = (dnnl_dim_t)program->values[op->dst].channels;
    const dnnl_dims_t src = {1, I}, dst = {1, O}, weights = {O, I}, bias = {O};
    dnnl_status_t status = layout_new(&r->src, 2, src, dnnl_f32, dnnl_ab);
    if (status == dnnl_success)
        status = layout_new(&r->dst, 2, dst, dnnl_f32, dnnl_ab);
    if (status == dnnl_success)
        status = layout_new(&r->weights, 2, weights, dnnl_f32, dnnl_format_tag_any);
    if (status == dnnl_success)
        status = layout_new(&prim->raw_weights, 2, weights, dnnl_f32, dnnl_ba);
    if (status == dnnl_success)
        status = layout_new(&r->bias, 1, bias, dnnl_f32, dnnl_a);
    return status;
}

static dnnl_status_t describe_pool(recipe *r, const gf__program *program, const gf__op *op)
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

static dnnl_status_t make_attributes(recipe *r, gf__activation activation)
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
        status = append_activation(ops, activation);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(r->attr, ops);
    dnnl_post_ops_destroy(ops);
    return status;
}

static dnnl_status_t describe(recipe *r, gf__prim *prim, const gf__program *program,
                              const gf__op *op)
{
    dnnl_status_t status = make_attributes(r, op->activation);
    if (status != dnnl_success)
        return status;
    if (op->kind == GF__OP_CONV)
        return describe_conv(r, prim, program, op);
    if (op->kind == GF__OP_DENSE)
        return describe_dense(r, prim, program, op);
    return describe_pool(r, program, op);
}

static const char *kind_name(const gf__op *op)
{
    if (op->kind == GF__OP_CONV)
        return op->is_depthwise ? "depthwise convolution" : "convolution";
    return op->kind == GF__OP_DENSE ? "inner product" : "pooling";
}

/* What is in the descriptor and is needed after it. */
static gf_status read_desc(gf__prim *prim, const_dnnl_primitive_desc_t desc, const gf__op *op,
                           gf_error *err)
{
    const char *name = "";
    layout bias = {0}, scratch = {0};
    dnnl_status_t status = dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0,
                                                     (void *)&name);
    if (status != dnnl_success)
        return failed(status, kind_name(op), err);
    snprintf(prim->name, sizeof prim->name, "%s", name);
    if (op->kind != GF__OP_POOL && strstr(name, "ref") != NULL && has_isa(dnnl_cpu_isa_avx2))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "oneDNN has only its reference implementation (%s) of this %s, which "
                            "is too slow to use",
                            name, kind_name(op));
    layout_query(&prim->src, desc, dnnl_query_src_md, 0);
    layout_query(&prim->dst, desc, dnnl_query_dst_md, 0);
    layout_query(&prim->weights, desc, dnnl_query_weights_md, 0);
    layout_query(&scratch, desc, dnnl_query_scratchpad_md, 0);
    layout_query(&bias, desc, dnnl_query_weights_md, 1);
    prim->weights_bytes = op->kind == GF__OP_POOL ? 0 : layout_bytes(&prim->weights);
    prim->bias_bytes = op->kind == GF__OP_POOL ? 0 : layout_bytes(&bias);
    prim->scratch_bytes = layout_bytes(&scratch);
    layout_free(&scratch);
    layout_free(&bias);
    return GF_OK;
}

static void recipe_clear(recipe *r)
{
    layout_free(&r->src);
    layout_free(&r->weights);
    layout_free(&r->bias);
    layout_free(&r->dst);
    dnnl_primitive_attr_destroy(r->attr);
}

gf_status gf__prim_new(const gf__device *device, const gf__program *program, const gf__op *op,
                       gf__prim **out, gf_error *err)
{
    gf_status st = GF_OK;
    recipe r = {0};
    dnnl_primitive_desc_t desc = NULL;
    gf__prim *prim = gf__calloc(1, sizeof *prim);
    if (prim == NULL)
        return gf__error_nomem(err, "a primitive", sizeof *prim);
    dnnl_status_t status = describe(&r, prim, program, op);
    if (status == dnnl_success)
        status = op->kind == GF__OP_CONV    ? new_conv_desc(&desc, device->engine, &r)
                 : op->kind == GF__OP_DENSE ? new_dense_desc(&desc, device->engine, &r)
                                            : new_pool_desc(&desc, device->engine, &r);
    if (status != dnnl_success) {
        st = failed(status, kind_name(op), err);
        goto done;
    }
    st = read_desc(prim, desc, op, err);
    if (st != GF_OK)
        goto done;
    status = dnnl_primitive_create(&prim->primitive, desc);
    if (status != dnnl_success) {
        st = failed(status, kind_name(op), err);
        goto done;
    }
    *out = prim;
    prim = NULL;
done:
    dnnl_primitive_desc_destroy(desc);
    recipe_clear(&r);
    gf__prim_free(prim);
    return st;
}

void gf__prim_free(gf__prim *prim)
{
    if (prim == NULL)
        return;
    dnnl_primitive_destroy(prim->primitive);
    layout_free(&prim->src);
    layout_free(&prim->dst);
    layout_free(&prim->weights);
    layout_free(&prim->raw_weights);
    gf__free(prim);
}

size_t gf__prim_weights_bytes(const gf__prim *prim)
{
    return prim->weights_bytes;
}

size_t gf__prim_scratch_bytes(const gf__prim *prim)
{
    return prim->scratch_bytes;
}

const char *gf__prim_name(const gf__prim *prim)
{
    return prim->name;
}

void gf__prim_describe(const gf__prim *prim, gf__buffer *out)
{
    gf__buffer_puts(out, prim->name);
    layout_describe(&prim->weights, out);
}

static dnnl_status_t run_reorder(const gf__device *device, dnnl_primitive_t reorder,
                                 const gf__prim *prim, const float *weights, uint8_t *packed)
{
    dnnl_memory_t from = NULL, to = NULL;
    dnnl_stream_t stream = NULL;
    /* oneDNN's pointers are not const; a reorder only reads what it comes from. */
    dnnl_status_t status = dnnl_memory_create(&from, LAYOUT(prim->raw_weights), device->engine,
                                              (void *)(uintptr_t)weights);
    if (status == dnnl_success)
        status = dnnl_memory_create(&to, LAYOUT(prim->weights), device->engine, packed);
    if (status == dnnl_success)
        status = dnnl_stream_create(&stream, device->engine, dnnl_stream_default_flags);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    if (status == dnnl_success)
        status = dnnl_primitive_execute(reorder, stream, 2, args);
    if (status == dnnl_success)
        status = dnnl_stream_wait(stream);
    dnnl_stream_destroy(stream);
    dnnl_memory_destroy(to);
    dnnl_memory_destroy(from);
    return status;
}

gf_status gf__prim_pack(const gf__device *device, const gf__prim *prim, const float *weights,
                        uint8_t *packed, gf_error *err)
{
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&desc, LAYOUT(prim->raw_weights),
                                                              device->engine, LAYOUT(prim->weights),
                                                              device->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&reorder, desc);
    if (status == dnnl_success)
        status = run_reorder(device, reorder, prim, weights, packed);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(desc);
    return status == dnnl_success ? GF_OK : failed(status, "packing of weights", err);
}

gf_status gf__stream_new(const gf__device *device, gf__stream **out, gf_error *err)
{
    gf__stream *stream = gf__calloc(1, sizeof *stream);
    if (stream == NULL)
        return gf__error_nomem(err, "a stream", sizeof *stream);
    const dnnl_status_t status = dnnl_stream_create(&stream->stream, device->engine,
                                                    dnnl_stream_default_flags);
    if (status != dnnl_success) {
        gf__free(stream);
        return failed(status, "stream", err);
    }
    *out = stream;
    return GF_OK;
}

void gf__stream_free(gf__stream *stream)
{
    if (stream == NULL)
        return;
    dnnl_stream_destroy(stream->stream);
    gf__free(stream);
}

#define MAX_ARGS 5

struct gf__call {
    dnnl_primitive_t primitive; /* borrowed from the plan */
    dnnl_exec_arg_t args[MAX_ARGS];
    int n_args;
};

static dnnl_status_t bind(gf__call *call, const gf__device *device, int arg, const layout *l,
                          const void *address)
{
    dnnl_memory_t memory = NULL;
    const dnnl_status_t status = dnnl_memory_create(&memory, LAYOUT(*l), device->engine,
                                                    (void *)(uintptr_t)address);
    if (status == dnnl_success)
        call->args[call->n_args++] = (dnnl_exec_arg_t){arg, memory};
    return status;
}

/* Binds as a row of bytes. Creating a memory object zeroes the padding of a blocked layout, and
 * packed weights lie in a file mapped for reading: their true layout would be written to.
 * Primitives take layouts from their own descriptor and only the address from here. */
static dnnl_status_t bind_bytes(gf__call *call, const gf__device *device, int arg, size_t n_bytes,
                                const void *address)
{
    layout bytes = {0};
    const dnnl_dims_t dims = {(dnnl_dim_t)n_bytes};
    dnnl_status_t status = layout_new(&bytes, 1, dims, dnnl_u8, dnnl_a);
    if (status == dnnl_success)
        status = bind(call, device, arg, &bytes, address);
    layout_free(&bytes);
    return status;
}

gf_status gf__call_new(const gf__device *device, const gf__prim *prim, const void *src,
                       const void *weights, const void *bias, void *dst, void *scratch,
                       gf__call **out, gf_error *err)
{
    gf__call *call = gf__calloc(1, sizeof *call);
    if (call == NULL)
        return gf__error_nomem(err, "a call", sizeof *call);
    call->primitive = prim->primitive;
    dnnl_status_t status = bind(call, device, DNNL_ARG_SRC, &prim->src, src);
    if (status == dnnl_success)
        status = bind(call, device, DNNL_ARG_DST, &prim->dst, dst);
    if (status == dnnl_success && weights != NULL)
        status = bind_bytes(call, device, DNNL_ARG_WEIGHTS, prim->weights_bytes, weights);
    if (status == dnnl_success && bias != NULL)
        status = bind_bytes(call, device, DNNL_ARG_BIAS, prim->bias_bytes, bias);
    if (status == dnnl_success && prim->scratch_bytes > 0)
        status = bind_bytes(call, device, DNNL_ARG_SCRATCHPAD, prim->scratch_bytes, scratch);
    if (status != dnnl_success) {
        gf__call_free(call);
        return failed(status, "call", err);
    }
    *out = call;
    return GF_OK;
}

void gf__call_free(gf__call *call)
{
    if (call == NULL)
        return;
    for (int i = 0; i < call->n_args; i++)
        dnnl_memory_destroy(call->args[i].memory);
    gf__free(call);
}

gf_status gf__call_run(const gf__call *call, gf__stream *stream, gf_error *err)
{
    const dnnl_status_t status = dnnl_primitive_execute(call->primitive, stream->stream,
                                                        call->n_args, call->args);
    return status == dnnl_success ? GF_OK : failed(status, "run", err);
}
