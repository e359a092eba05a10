/* graft/engine.h: runs a graph. The plan is compiled once (layers fused, weights packed, memory
 * laid out), then run many times by any number of threads, each with its own gf_exec.
 *
 *     gf_output_spec spec = {.layer = "avg_pool", .pool = GF_POOL_NONE};
 *     gf_plan_options options = gf_plan_options_default();
 *     st = gf_plan_new(graph, &spec, 1, &options, &plan, err);
 *     st = gf_exec_new(plan, &exec, err);
 *     st = gf_exec_run(exec, pixels, 1, err);
 *     const float *features = gf_exec_output(exec, 0);
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_ENGINE_H
#define GRAFT_ENGINE_H

#include "graft/graph.h"

GF_BEGIN_DECLS

typedef enum gf_precision {
    /* The faster of the two here: bf16 with AMX, and with avx512_core_bf16 except on Intel's CPUs,
     * which without AMX multiply bf16 at half the rate of f32; else f32. */
    GF_PRECISION_AUTO,
    GF_PRECISION_F32,
    GF_PRECISION_BF16 /* values bfloat16, sums float; GF_EUNSUPPORTED where it is only emulated */
} gf_precision;

GF_API const char *gf_precision_name(gf_precision precision); /* "auto", "f32", "bf16" */
GF_API gf_status gf_precision_parse(const char *name, gf_precision *out, gf_error *err);
/* Whether this CPU computes in it: bf16 may be emulated. */
GF_API bool gf_precision_is_native(gf_precision precision);
/* What AUTO means on this CPU. */
GF_API gf_precision gf_precision_resolve(gf_precision precision);
/* "avx512_core_bf16", "avx2", ...: what the kernels are made for here. Static storage. */
GF_API const char *gf_engine_isa(void);
/* "oneDNN 2.6.3". Static storage. */
GF_API const char *gf_engine_library(void);

typedef enum gf_pool { GF_POOL_NONE, GF_POOL_AVG, GF_POOL_MAX } gf_pool;

/* One output of a run: a layer, and for a spatial one how it is pooled over height and width.
 * Output is float32, channels last. A layer that is fused away (a Conv2D before its
 * BatchNormalization) can be asked for: it is then kept. */
typedef struct gf_output_spec {
    const char *layer; /* name or index in digits */
    gf_pool pool;      /* GF_EINVAL unless NONE for a layer that is not spatial */
} gf_output_spec;

typedef enum gf_input_kind {
    GF_INPUT_F32, /* the graph's own input, (N,H,W,C) or (N,D) */
    GF_INPUT_U8   /* pixels 0..255 (N,H,W,3); scaled in the first convolution where that is exact */
} gf_input_kind;

typedef struct gf_plan_options {
    gf_precision precision; /* default AUTO */
    size_t max_batch;       /* pictures in one run, default 1; a run may bring fewer */
    /* Of one run, default 1; 0 means gf_threads_available(). With max_batch 1 they share each
     * picture's work: lowest latency. With more they take a picture each: highest throughput,
     * but a run of one picture then uses one thread. */
    int n_threads;
    gf_input_kind input; /* default GF_INPUT_U8 */
    float scale,
        shift; /* GF_INPUT_U8: network input = pixel * scale + shift; default 1/127.5, -1 */
    const char *pack_dir; /* folder of packed weights, shared by processes; NULL: pack in memory */
    const char *weights_key; /* identity of the weights (their SHA-256); needed with pack_dir */
} gf_plan_options;
GF_API gf_plan_options gf_plan_options_default(void);

typedef struct gf_plan gf_plan; /* opaque: read-only once made, share freely; the graph may go */
typedef struct gf_exec gf_exec; /* opaque: scratch memory and results of one thread */

/* Errors: GF_ENOTFOUND (layer), GF_EUNSUPPORTED (precision here; a layer the kernels cannot do),
 * GF_EINVAL, GF_ENOMEM. A pack file that is damaged or of another build is made again, not an
 * error; one that cannot be written costs only time. */
GF_API gf_status gf_plan_new(const gf_graph *graph, const gf_output_spec *outputs, size_t n_outputs,
                             const gf_plan_options *options, gf_plan **out, gf_error *err);
GF_API void gf_plan_free(gf_plan *plan); /* after its execs */

GF_API gf_precision gf_plan_precision(const gf_plan *plan); /* never AUTO */
GF_API size_t gf_plan_n_outputs(const gf_plan *plan);
/* Values of output i for one picture, and their shape (without the batch; returns the number of
 * dimensions, at most 3). */
GF_API size_t gf_plan_output_size(const gf_plan *plan, size_t i);
GF_API size_t gf_plan_output_shape(const gf_plan *plan, size_t i, size_t shape[3]);
GF_API size_t gf_plan_memory_bytes(const gf_plan *plan); /* weights; mapped or not */
GF_API size_t gf_plan_arena_bytes(const gf_plan *plan);  /* scratch of each exec */

GF_API gf_status gf_exec_new(const gf_plan *plan, gf_exec **out, gf_error *err);
GF_API void gf_exec_free(gf_exec *exec);
/* input: n of what the options said, borrowed for this call. 1 <= n <= max_batch.
 * Threads: one exec per thread; any number of execs share a plan.
 * Results are bytes that depend on the picture, the plan's outputs (a layer that is asked for is
 * not fused into the next) and precision, the library and the CPU's instruction set, and not on n,
 * max_batch, neighbours, exec or thread. Where n_threads > 1 share one picture they are the same on
 * every run with that n_threads: how the work is divided is fixed, and each value is summed by one
 * thread. */
GF_API gf_status gf_exec_run(gf_exec *exec, const void *input, size_t n, gf_error *err);
/* (n, output_size) floats of the last run; valid until the next one. */
GF_API const float *gf_exec_output(const gf_exec *exec, size_t i);

GF_END_DECLS

#endif
