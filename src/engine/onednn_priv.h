/* onednn_priv.h: oneDNN's own header, and what the files that may see it (dnnl_*.c) share. The rest
 * of the engine includes dnnl_priv.h.
 *
 *     dnnl_device.c    the CPU, threads, streams
 *     dnnl_recipe.c    operation -> recipe
 *     dnnl_versions.c  recipe    -> descriptor, with oneDNN 2 or 3
 *     dnnl_prim.c      descriptor -> primitive -> call */
#ifndef GRAFT_ENGINE_ONEDNN_PRIV_H
#define GRAFT_ENGINE_ONEDNN_PRIV_H

#include <oneapi/dnnl/dnnl.h>

#include "engine/dnnl_priv.h"

struct gf__device {
    dnnl_engine_t engine;
};

struct gf__stream {
    dnnl_stream_t stream;
};

/* ---- dnnl_device.c ---- */

/* GF_ENOMEM or GF_EUNSUPPORTED: "oneDNN cannot do this WHAT". */
gf_status gf__dnnl_failed(dnnl_status_t status, const char *what, gf_error *err);
/* isa: of dnnl_cpu_isa_t, a set of bits; whether the CPU has all of them. */
bool gf__dnnl_has_isa(unsigned isa);

/* ---- dnnl_versions.c: how a tensor lies in memory, {0} for none ---- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t gf__memory_layout; /* a pointer */
#define GF__LAYOUT(l) (l)
#else
typedef dnnl_memory_desc_t gf__memory_layout; /* a struct */
#define GF__LAYOUT(l) (&(l))
#endif

dnnl_status_t gf__layout_new(gf__memory_layout *l, int n_dims, const dnnl_dim_t *dims,
                             dnnl_data_type_t type, dnnl_format_tag_t tag);
dnnl_status_t gf__layout_new_strided(gf__memory_layout *l, int n_dims, const dnnl_dim_t *dims,
                                     dnnl_data_type_t type, const dnnl_dim_t *strides);
/* A copy of the one that the descriptor has; *l stays as it is where it has none. */
dnnl_status_t gf__layout_query(gf__memory_layout *l, const_dnnl_primitive_desc_t desc,
                               dnnl_query_t what, int index);
void gf__layout_free(gf__memory_layout *l);
size_t gf__layout_bytes(const gf__memory_layout *l);
void gf__layout_describe(const gf__memory_layout *l, gf__buffer *out);

/* ---- dnnl_versions.c: what makes a primitive ---- */

typedef struct gf__recipe {
    gf__op_kind kind; /* CONV, DENSE or POOL */
    gf__memory_layout src, weights, bias, dst;
    gf__memory_layout raw_weights; /* as Keras has them; no primitive takes these */
    dnnl_dims_t kernel, strides, dilates, pad_before, pad_after;
    dnnl_alg_kind_t pooling;
    dnnl_primitive_attr_t attr;
} gf__recipe;

dnnl_status_t gf__recipe_describe(const gf__recipe *r, dnnl_engine_t engine,
                                  dnnl_primitive_desc_t *desc);
dnnl_status_t gf__post_ops_activate(dnnl_post_ops_t ops, gf__activation activation);

/* ---- dnnl_recipe.c ---- */

/* *r is {0}; whatever comes of it, it ends with gf__recipe_clear(). */
dnnl_status_t gf__recipe_fill(gf__recipe *r, const gf__program *program, const gf__op *op);
void gf__recipe_clear(gf__recipe *r);

#endif
