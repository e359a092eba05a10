/* engine_priv.h: what passes between the steps of making and running a plan.
 *
 *     lower.c    graph + outputs     -> program: fused operations over values
 *     places.c   program             -> parts of a Concatenate go to their place at once
 *     layout.c   program             -> where each value lies in the arena
 *     dnnl_*.c   program             -> primitives: the only files that see oneDNN and OpenMP
 *     weights.c  layers              -> folded and packed, packs.c keeps them in a file
 *     exec.c     plan + arena        -> results
 *
 * A program is for one picture. A run of n pictures walks it n times: measured, the walk is as
 * fast as one of batch 16 (here and in ONNX Runtime), needs a sixteenth of the arena, and a
 * picture's bytes cannot depend on its neighbours. */
#ifndef GRAFT_ENGINE_PRIV_H
#define GRAFT_ENGINE_PRIV_H

#include "base/base.h"
#include "engine/engine.h"
#include "graph/graph.h"

#define GF__NONE      ((size_t)-1)
#define GF__ALIGNMENT 64 /* of values, weights and scratch: one cache line, one AVX-512 register */

/* One tensor of a picture, channels last. A flat one is 1 x 1 x D. */
typedef struct gf__value {
    size_t height, width, channels;
    gf_dtype dtype; /* f32 or bf16 */
    /* Not GF__NONE: the value is no memory of its own but the channels from first_channel on of
     * another one. */
    size_t host;
    size_t first_channel;
    size_t first_op, last_op; /* it must be kept between these */
    size_t offset;            /* bytes into the arena */
} gf__value;

typedef enum gf__op_kind {
    GF__OP_INPUT, /* the caller's pixels or floats into the first value */
    GF__OP_CONV,
    GF__OP_DENSE,
    GF__OP_POOL,
    GF__OP_GLOBAL_POOL,
    GF__OP_PLACE,  /* a part of a Concatenate into its channels */
    GF__OP_AFFINE, /* x * a[c] + b[c]: a BatchNormalization that no convolution could take in */
    GF__OP_PAD,
    GF__OP_ADD,
    GF__OP_ACTIVATION,
    GF__OP_CONVERT, /* into another dtype, shape seen flat */
    GF__OP_OUTPUT   /* into the caller's floats */
} gf__op_kind;

typedef struct gf__prim gf__prim; /* an oneDNN primitive, read-only once made */

/* A piece of the packed weights. */
typedef struct gf__span {
    size_t offset, size_bytes;
} gf__span;

typedef struct gf__op {
    gf__op_kind kind;
    size_t src[2]; /* values; GF__NONE where there is none */
    size_t dst;
    gf__activation activation;
    bool is_max;         /* pooling */
    bool counts_padding; /* POOL: the average is over the zeros of the padding too */
    bool is_depthwise;
    size_t kernel[2], strides[2], padding[4]; /* as in gf__layer_config */
    float scale, shift; /* of raw pixels: INPUT applies them, or CONV has them folded in */
    size_t output;      /* index, for OUTPUT and a GLOBAL_POOL into the results */
    /* Borrowed from the graph, NULL once the weights are packed. */
    const gf_layer *layer, *norm;
    gf__prim *prim;
    gf__span weights, bias;
    const uint8_t *weights_at, *bias_at; /* packed */
    /* SHA-256 of all that the packed bytes depend on besides the trunk: plans of one trunk may
     * lend each other's. "": there are none. */
    char identity[GF__SHA256_HEX];
} gf__op;

typedef struct gf__program {
    gf__value *values;
    size_t n_values, values_capacity;
    gf__op *ops;
    size_t n_ops, ops_capacity;
    size_t input_values; /* numbers in one picture of the input */
} gf__program;

typedef struct gf__output {
    size_t shape[3], n_dims, size; /* size in floats */
} gf__output;

typedef struct gf__device gf__device; /* oneDNN's engine */
typedef struct gf__pack_file gf__pack_file;

struct gf_plan {
    gf_plan_options options; /* resolved; strings are not kept */
    gf__program program;
    gf__output *outputs;
    size_t n_outputs;
    size_t n_lanes;      /* pictures that a run works on at once, each with an arena of its own */
    int n_inner_threads; /* inside an operation; 1 where there are lanes */
    gf__device *device;
    size_t arena_bytes;   /* values */
    size_t scratch_bytes; /* the largest that a primitive asks for */
    size_t weights_bytes;
    size_t owned_bytes;     /* of them, those that are not borrowed */
    const uint8_t *weights; /* all of them in one piece, NULL where some are borrowed; in: */
    gf__mapping pack;
    uint8_t *owned_weights;
    gf__pack_file *pack_file; /* while the plan is being made */
};

/* lower.c. precision is resolved. outputs gets n_outputs shapes. */
gf_status gf__lower(const gf_graph *graph, const gf_output_spec *specs, size_t n_outputs,
                    const gf_plan_options *options, gf__program *program, gf__output *outputs,
                    gf_error *err);
void gf__program_clear(gf__program *program);

/* places.c: values that view others are resolved to memory, and every PLACE moves up behind what
 * makes its part. */
gf_status gf__place_parts(gf__program *program, gf_error *err);

/* layout.c. Sets every value's offset and *arena_bytes. */
gf_status gf__layout(gf__program *program, size_t *arena_bytes, gf_error *err);
size_t gf__value_size(const gf__value *value); /* numbers */
size_t gf__value_bytes(const gf__value *value);
size_t gf__align(size_t size_bytes); /* up to GF__ALIGNMENT */

/* weights.c: offsets of every operation's weights, and the packed bytes themselves. */
size_t gf__weights_layout(gf__program *program);
gf_status gf__weights_pack(const gf_plan *plan, const gf__op *op, uint8_t *weights, uint8_t *bias,
                           gf_error *err);

/* packs.c: fills plan->weights, from a mapped file where it can. begin before there are primitives: a
 * thread checks the file meanwhile; end whatever came of it. */
gf_status gf__packs_begin(gf_plan *plan, const gf_plan_options *options, gf_error *err);
void gf__packs_end(gf_plan *plan);
gf_status gf__packs_load(gf_plan *plan, const gf_plan_options *options, gf_error *err);
/* The same with what the lender has packed; only the rest is packed, in memory. */
gf_status gf__packs_borrow(gf_plan *plan, const gf_plan *lender, gf_error *err);

/* outputs.c: what lower.c and ref.c agree on. Index and shape of a requested layer, checked. */
gf_status gf__output_resolve(const gf_graph *graph, const gf_output_spec *spec, size_t *layer,
                             gf__output *out, gf_error *err);

#endif
