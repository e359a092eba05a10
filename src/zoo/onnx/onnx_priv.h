/* zoo/onnx/onnx_priv.h: ONNX models on their way to operators.h. onnx.c has the file and the walk over its
 * nodes, onnx_values.c names, attributes and constants, onnx_nodes.c, onnx_windows.c,
 * onnx_arithmetic.c, onnx_shapes.c and onnx_channels.c what the nodes mean.
 *
 * ONNX has channels first, Keras' layers have them last. Nothing is transposed here: a value knows in
 * which order of dimensions the model sees the map that an operator gives, a Transpose changes that
 * alone, and weights are turned into Keras' order. */
#ifndef GRAFT_ZOO_ONNX_PRIV_H
#define GRAFT_ZOO_ONNX_PRIV_H

#include "proto/onnx.pb-c.h"
#include "proto/proto.h"
#include "zoo/onnx/onnx.h"
#include "zoo/operators/operators.h"

/* What the model sees of an operator's value, batch first. */
typedef enum gf__onnx_layout {
    GF__ONNX_VECTOR,        /* (N,D) */
    GF__ONNX_FIRST,         /* a map as (N,C,H,W) */
    GF__ONNX_LAST,          /* a map as (N,H,W,C) */
    GF__ONNX_ONE_FIRST,     /* a vector as (N,C,1,1) */
    GF__ONNX_ONE_LAST,      /* a vector as (N,1,1,C) */
    GF__ONNX_FLAT_FIRST,    /* (N,C*H*W) of a vector that is H*W*C: whoever has weights for it turns
                            them */
    GF__ONNX_CHANNEL,       /* (N,H,W): one channel of the input, scaled */
    GF__ONNX_CHANNEL_FIRST, /* the same as (N,1,H,W) */
    GF__ONNX_N_LAYOUTS
} gf__onnx_layout;

typedef struct gf__onnx_value {
    const char *name;
    size_t n_uses;                /* by nodes that the output needs, and by the output itself */
    bool is_there;                /* made by now */
    bool is_made;                 /* by a node or an initializer: no other may have its name */
    const GfOnnx__Tensor *stored; /* a constant; or NULL */
    gf_tensor *folded; /* a constant made from others, or one that was read, owned; or NULL */
    size_t op;         /* in operators.h, where it is neither */
    gf__onnx_layout layout;
    size_t map[3];        /* FLAT_FIRST: height, width, channels */
    size_t channel;       /* CHANNEL */
    double scale, shift;  /* CHANNEL */
    bool is_input;        /* the input, scaled at most */
    bool can_take_bias;   /* of a convolution or Dense without one */
    bool is_not_negative; /* for sure */
} gf__onnx_value;

/* A file of values beside the model's. */
typedef struct gf__onnx_data {
    char *name;
    gf__mapping file;
} gf__onnx_data;

typedef struct gf__onnx_model {
    const GfOnnx__Graph *graph;
    int64_t opset;
    gf__onnx_value *values; /* by name */
    size_t n_values;
    gf__operators *ops;
    const gf__onnx_value *input;
    bool is_imagenet_undone; /* the network itself wants [-1,1] */
    const char *folder;      /* where files of values would lie; NULL: nowhere */
    gf__onnx_data *data;     /* those that were opened */
    size_t n_data;
    size_t n_file_bytes;   /* of the model, and of those */
    size_t n_weight_bytes; /* of constants, each time that one is used */
} gf__onnx_model;

/* A node whose turn it is: its inputs are there. */
typedef struct gf__onnx_at {
    gf__onnx_model *model;
    const GfOnnx__Node *node;
    const char *name; /* its own, or its output's */
    gf__onnx_value *out;
} gf__onnx_at;

/* 'node "conv1" (Conv): dilations ...'. Returns code. */
gf_status gf__onnx_refuse(const gf__onnx_at *at, gf_status code, gf_error *err, const char *fmt,
                          ...) GF_PRINTF(4, 5);

/* ---- onnx_values.c --------------------------------------------------------------------------- */

/* All names of the graph, those of initializers there. GF_EFORMAT: two things of one name. */
gf_status gf__onnx_values_new(gf__onnx_model *model, gf_error *err);
void gf__onnx_values_free(gf__onnx_model *model);
/* Whether the graph's output needs what the node gives. */
bool gf__onnx_is_needed(const gf__onnx_model *model, const GfOnnx__Node *node);
gf__onnx_value *gf__onnx_value_find(const gf__onnx_model *model, const char *name);
/* Input i; NULL where the node has none. It is there. */
gf__onnx_value *gf__onnx_input(const gf__onnx_at *at, size_t i);
bool gf__onnx_is_constant(const gf__onnx_value *value);
/* Channels of a map, length of a vector. */
size_t gf__onnx_n_channels(const gf__onnx_at *at, const gf__onnx_value *value);
/* Dimensions as the model counts them, batch included: 2 to 4. */
size_t gf__onnx_rank(const gf__onnx_value *value);
/* Where the channels are in them. */
size_t gf__onnx_channel_axis(const gf__onnx_value *value);

/* A constant's values, a reference of the caller's: float32 of any real type, int64 of any whole one. Shared
 * by all who use it: not to be written to. GF_EUNSUPPORTED where the value is none. */
gf_status gf__onnx_floats(const gf__onnx_at *at, const gf__onnx_value *value, gf_tensor **out,
                          gf_error *err);
/* The same of a vector of at most MOST whole numbers, into out. */
gf_status gf__onnx_whole(const gf__onnx_at *at, const gf__onnx_value *value, int64_t *out,
                         size_t most, size_t *n, gf_error *err);
/* Before a constant is read, used, or made from another: GF_ELIMIT once it is much more than the file has.
 * A constant may have many users, and each may need it in an order of its own. */
gf_status gf__onnx_count_weights(const gf__onnx_at *at, size_t n_values, gf_error *err);
/* Of a value or an attribute: either type. */
gf_status gf__onnx_load(const gf__onnx_at *at, const GfOnnx__Tensor *tensor, gf_tensor **out,
                        gf_error *err);
gf_status gf__onnx_load_value(const gf__onnx_at *at, const gf__onnx_value *value, gf_tensor **out,
                              gf_error *err);

/* onnx_external.c: the n_bytes of a tensor's values in a file beside the model's. Borrowed until the end. */
gf_status gf__onnx_find_outside(const gf__onnx_at *at, const GfOnnx__Tensor *tensor, size_t n_bytes,
                                const void **out, gf_error *err);
void gf__onnx_end_outside(gf__onnx_model *model);

/* NULL: the node does not say. */
const GfOnnx__Attribute *gf__onnx_attribute(const gf__onnx_at *at, const char *name);
int64_t gf__onnx_int_of(const gf__onnx_at *at, const char *name, int64_t otherwise);
float gf__onnx_float_of(const gf__onnx_at *at, const char *name, float otherwise);
bool gf__onnx_says(const gf__onnx_at *at, const char *name, const char *text);
/* Exactly n of them, each 0 to 2^30; all `otherwise` where the node does not say. */
gf_status gf__onnx_sizes(const gf__onnx_at *at, const char *name, size_t n, size_t otherwise,
                         size_t *out, gf_error *err);
/* Axes from input 1 or the attribute, counted from the front; *n 0: the node does not say. */
gf_status gf__onnx_axes(const gf__onnx_at *at, size_t rank, int64_t axes[4], size_t *n,
                        gf_error *err);
/* From the front; SIZE_MAX where it is none of rank. */
size_t gf__onnx_axis(int64_t axis, size_t rank);

/* ---- nodes ----------------------------------------------------------------------------------- */

/* The node's output is this operator's, in this layout. */
void gf__onnx_give(const gf__onnx_at *at, size_t op, gf__onnx_layout layout);
/* The node's output is its input, seen in this layout. */
void gf__onnx_pass(const gf__onnx_at *at, const gf__onnx_value *from, gf__onnx_layout layout);
/* The same settings of a value that an operator made of it: a map stays a map. */
void gf__onnx_give_like(const gf__onnx_at *at, const gf__onnx_value *from, size_t op);
/* For messages: "a map with channels first". */
const char *gf__onnx_layout_text(const gf__onnx_value *value);
/* GF_EUNSUPPORTED where it is seen otherwise, or a constant. */
gf_status gf__onnx_need_layout(const gf__onnx_at *at, const gf__onnx_value *value,
                               gf__onnx_layout layout, gf_error *err);
gf_status gf__onnx_need_computed(const gf__onnx_at *at, const gf__onnx_value *value, gf_error *err);
bool gf__onnx_has_extra_output(const gf__onnx_at *at);
/* Dispatches: GF_EUNSUPPORTED names the operator. */
gf_status gf__onnx_run(const gf__onnx_at *at, gf_error *err);

typedef gf_status gf__onnx_meaning(const gf__onnx_at *at, gf_error *err);
gf__onnx_meaning gf__onnx_arithmetic, gf__onnx_sum, gf__onnx_gemm, gf__onnx_matmul,
    gf__onnx_constant, gf__onnx_transpose, gf__onnx_reshape, gf__onnx_flatten, gf__onnx_squeeze,
    gf__onnx_unsqueeze, gf__onnx_cast, gf__onnx_same, gf__onnx_gather, gf__onnx_join_channels,
    gf__onnx_conv, gf__onnx_max_pool, gf__onnx_average_pool, gf__onnx_global_pool, gf__onnx_reduce;

/* x * scale + shift, of n channels or of all (n 1): of the input, as a bias, or as a normalization. */
gf_status gf__onnx_apply_affine(const gf__onnx_at *at, const gf__onnx_value *value,
                                const double *scale, const double *shift, size_t n, gf_error *err);
bool gf__onnx_is_channel(const gf__onnx_value *value);
gf_status gf__onnx_scale_channel(const gf__onnx_at *at, const gf__onnx_value *value, double scale,
                                 double shift, gf_error *err);

/* ---- onnx.c ---------------------------------------------------------------------------------- */

/* From memory; folder as in gf__onnx_model. */
gf_status gf__onnx_parse(const void *bytes, size_t n_bytes, const char *name, const char *folder,
                         gf__checkpoint *out, gf_error *err);

#endif
