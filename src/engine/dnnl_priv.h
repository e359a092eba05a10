/* dnnl_priv.h: what the rest of the engine knows of oneDNN: primitives that are made once,
 * packed weights of a layout that only oneDNN understands, and calls that bind a primitive to
 * memory. The files dnnl_*.c alone see its header, of version 2 or 3, through onednn_priv.h. */
#ifndef GRAFT_ENGINE_DNNL_PRIV_H
#define GRAFT_ENGINE_DNNL_PRIV_H

#include "engine/engine_priv.h"

/* Appends library version, build and instruction set: what packed layouts depend on besides the
 * primitives. */
void gf__dnnl_describe(gf__buffer *out);
const char *gf__dnnl_version(void); /* "oneDNN 2.6.3", of the headers this was built with */
const char *gf__dnnl_isa(void);     /* "avx512_core_bf16" */
bool gf__dnnl_has_amx(void);
bool gf__dnnl_has_bf16(void); /* computed by the CPU, not emulated */

/* OpenMP keeps the number of threads per calling thread. Everything between enter and leave, in
 * this thread, uses n_threads; leave puts back what enter returned. */
int gf__threads_enter(int n_threads);
void gf__threads_leave(int before);

/* Between forbid and allow, operations run on the calling thread alone, also those of primitives that
 * were made for several; allow puts back what forbid returned. Not for a DENSE: its primitive may
 * have shared out the sums among the threads it was made for. */
int gf__team_forbid(void);
void gf__team_allow(int before);

gf_status gf__device_new(gf__device **out, gf_error *err);
void gf__device_free(gf__device *device);

/* The primitive for a CONV, DENSE or POOL. GF_EUNSUPPORTED where oneDNN has only its reference
 * implementation, which takes seconds where a kernel takes milliseconds. Between enter and
 * leave: packed layouts depend on the number. */
gf_status gf__prim_new(const gf__device *device, const gf__program *program, const gf__op *op,
                       gf__prim **out, gf_error *err);
void gf__prim_free(gf__prim *prim);
size_t gf__prim_weights_bytes(const gf__prim *prim); /* packed; 0 for pooling */
size_t gf__prim_scratch_bytes(const gf__prim *prim);
const char *gf__prim_name(
    const gf__prim *prim); /* "brgconv:avx512_core": oneDNN's own; valid with the primitive */
/* Appends everything that the packed layout depends on. */
void gf__prim_describe(const gf__prim *prim, gf__buffer *out);
/* packed (gf__prim_weights_bytes, aligned) from weights in Keras' order: (KH,KW,I,O), depthwise
 * (KH,KW,C,1), Dense (I,O). */
gf_status gf__prim_pack(const gf__device *device, const gf__prim *prim, const float *weights,
                        uint8_t *packed, gf_error *err);

/* A primitive bound to memory, for one thread. Addresses are kept, not copied. NULL where there
 * is none. */
typedef struct gf__call gf__call;
typedef struct gf__stream gf__stream;
gf_status gf__stream_new(const gf__device *device, gf__stream **out, gf_error *err);
void gf__stream_free(gf__stream *stream);
gf_status gf__call_new(const gf__device *device, const gf__prim *prim, const void *src,
                       const void *weights, const void *bias, void *dst, void *scratch,
                       gf__call **out, gf_error *err);
void gf__call_free(gf__call *call);
gf_status gf__call_run(const gf__call *call, gf__stream *stream, gf_error *err);

#endif
