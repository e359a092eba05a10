/* dnnl_prim.c: primitives. Made once for a plan, weights packed the way each wants them, bound to a
 * thread's memory, and run. */
#include <stdio.h>
#include <string.h>

#include "engine/onednn_priv.h"

struct gf__prim {
    dnnl_primitive_t primitive;
    gf__memory_layout src, dst;
    gf__memory_layout weights;     /* as the primitive wants them; nothing for pooling */
    gf__memory_layout raw_weights; /* as Keras has them */
    size_t weights_bytes, bias_bytes, scratch_bytes;
    char name[64];
};

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
    gf__memory_layout bias = {0}, scratch = {0};
    dnnl_status_t status = dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0,
                                                     (void *)&name);
    if (status != dnnl_success)
        return gf__dnnl_failed(status, kind_name(op), err);
    snprintf(prim->name, sizeof prim->name, "%s", name);
    if (op->kind != GF__OP_POOL && strstr(name, "ref") != NULL &&
        gf__dnnl_has_isa(dnnl_cpu_isa_avx2))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "oneDNN has only its reference implementation (%s) of this %s, which "
                            "is too slow to use",
                            name, kind_name(op));
    gf__layout_query(&prim->src, desc, dnnl_query_src_md, 0);
    gf__layout_query(&prim->dst, desc, dnnl_query_dst_md, 0);
    gf__layout_query(&prim->weights, desc, dnnl_query_weights_md, 0);
    gf__layout_query(&scratch, desc, dnnl_query_scratchpad_md, 0);
    gf__layout_query(&bias, desc, dnnl_query_weights_md, 1);
    prim->weights_bytes = op->kind == GF__OP_POOL ? 0 : gf__layout_bytes(&prim->weights);
    prim->bias_bytes = op->kind == GF__OP_POOL ? 0 : gf__layout_bytes(&bias);
    prim->scratch_bytes = gf__layout_bytes(&scratch);
    gf__layout_free(&scratch);
    gf__layout_free(&bias);
    return GF_OK;
}

gf_status gf__prim_new(const gf__device *device, const gf__program *program, const gf__op *op,
                       gf__prim **out, gf_error *err)
{
    gf_status st = GF_OK;
    gf__recipe r = {0};
    dnnl_primitive_desc_t desc = NULL;
    gf__prim *prim = gf__calloc(1, sizeof *prim);
    if (prim == NULL)
        return gf__error_nomem(err, "a primitive", sizeof *prim);
    dnnl_status_t status = gf__recipe_fill(&r, program, op);
    if (status == dnnl_success)
        status = gf__recipe_describe(&r, device->engine, &desc);
    if (status != dnnl_success) {
        st = gf__dnnl_failed(status, kind_name(op), err);
        goto done;
    }
    st = read_desc(prim, desc, op, err);
    if (st != GF_OK)
        goto done;
    status = dnnl_primitive_create(&prim->primitive, desc);
    if (status != dnnl_success) {
        st = gf__dnnl_failed(status, kind_name(op), err);
        goto done;
    }
    prim->raw_weights = r.raw_weights;
    r.raw_weights = (gf__memory_layout){0};
    *out = prim;
    prim = NULL;
done:
    dnnl_primitive_desc_destroy(desc);
    gf__recipe_clear(&r);
    gf__prim_free(prim);
    return st;
}

void gf__prim_free(gf__prim *prim)
{
    if (prim == NULL)
        return;
    dnnl_primitive_destroy(prim->primitive);
    gf__layout_free(&prim->src);
    gf__layout_free(&prim->dst);
    gf__layout_free(&prim->weights);
    gf__layout_free(&prim->raw_weights);
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
    gf__layout_describe(&prim->weights, out);
}

static dnnl_status_t run_reorder(const gf__device *device, dnnl_primitive_t reorder,
                                 const gf__prim *prim, const float *weights, uint8_t *packed)
{
    dnnl_memory_t from = NULL, to = NULL;
    dnnl_stream_t stream = NULL;
    /* oneDNN's pointers are not const; a reorder only reads what it comes from. */
    dnnl_status_t status = dnnl_memory_create(&from, GF__LAYOUT(prim->raw_weights), device->engine,
                                              (void *)(uintptr_t)weights);
    if (status == dnnl_success)
        status = dnnl_memory_create(&to, GF__LAYOUT(prim->weights), device->engine, packed);
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
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(
        &desc, GF__LAYOUT(prim->raw_weights), device->engine, GF__LAYOUT(prim->weights),
        device->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&reorder, desc);
    if (status == dnnl_success)
        status = run_reorder(device, reorder, prim, weights, packed);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(desc);
    return status == dnnl_success ? GF_OK : gf__dnnl_failed(status, "packing of weights", err);
}

#define MAX_ARGS 5

struct gf__call {
    dnnl_primitive_t primitive; /* borrowed from the plan */
    dnnl_exec_arg_t args[MAX_ARGS];
    int n_args;
};

static dnnl_status_t bind(gf__call *call, const gf__device *device, int arg,
                          const gf__memory_layout *l, const void *address)
{
    dnnl_memory_t memory = NULL;
    const dnnl_status_t status = dnnl_memory_create(&memory, GF__LAYOUT(*l), device->engine,
                                                    (void *)(uintptr_t)address);
    if (status == dnnl_success)
        call->args[call->n_args++] = (dnnl_exec_arg_t){arg, memory};
    return status;
}

/* Binds as a row of bytes. Creating a memory object zeroes the padding of a blocked layout, and
 * packed weights lie in a file mapped for reading: their true gf__memory_layout would be written to.
 * Primitives take layouts from their own descriptor and only the address from here. */
static dnnl_status_t bind_bytes(gf__call *call, const gf__device *device, int arg, size_t n_bytes,
                                const void *address)
{
    gf__memory_layout bytes = {0};
    const dnnl_dims_t dims = {(dnnl_dim_t)n_bytes};
    dnnl_status_t status = gf__layout_new(&bytes, 1, dims, dnnl_u8, dnnl_a);
    if (status == dnnl_success)
        status = bind(call, device, arg, &bytes, address);
    gf__layout_free(&bytes);
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
        return gf__dnnl_failed(status, "call", err);
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
    return status == dnnl_success ? GF_OK : gf__dnnl_failed(status, "run", err);
}
