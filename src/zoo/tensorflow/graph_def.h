/* zoo/tensorflow/graph_def.h: TensorFlow's graphs as somebody else's file has them: nodes that name their
 * inputs, in a main graph and in functions that it calls. A reference leads from a name to the
 * node that makes the value, through calls, arguments, Identity and reads of variables. All of
 * it may be hostile: names, cycles, recursion, counts are checked here; shapes and numbers by
 * who uses them. */
#ifndef GRAFT_ZOO_GRAPH_DEF_H
#define GRAFT_ZOO_GRAPH_DEF_H

#include "proto/proto.h"
#include "proto/tensorflow.pb-c.h"
#include "zoo/tensorflow/tensor_bundle.h"

/* A name, and of which node or function it is. */
typedef struct gf__def_name {
    const char *text;
    size_t index;
} gf__def_name;

/* Nodes of the main graph, or of a function. */
typedef struct gf__def_body {
    GfTf__NodeDef **nodes;
    size_t n_nodes;
    const GfTf__FunctionDef *function; /* NULL: the main graph */
    gf__def_name *names;               /* of the nodes, sorted; NULL: not looked at yet */
    bool restores;                     /* a function: variables from the bundle */
} gf__def_body;

/* A call: the same function called twice is two frames. Frame 0 is the main graph. */
typedef struct gf__def_frame {
    const gf__def_body *body;
    size_t parent; /* the frame that calls */
    size_t caller; /* its node */
    size_t depth;
    size_t *marks; /* one a node, zeroed; the caller's */
} gf__def_frame;

/* Node and output of a frame. */
typedef struct gf__def_ref {
    size_t frame, node, output;
} gf__def_ref;

typedef struct gf__def_graph {
    gf__def_body main;
    gf__def_body *functions;
    size_t n_functions;
    gf__def_name *names; /* of the functions, sorted */
    gf__def_frame *frames;
    size_t n_frames, frame_capacity, n_marks, n_steps, n_loaded;
    gf__tensor_bundle *bundle; /* of the variables; NULL: there are none. Borrowed */
    const char **keys; /* of each node of the main graph: its variable's name in the bundle */
} gf__def_graph;

/* The message must stay while the graph is used. */
gf_status gf__def_graph_open(const GfTf__GraphDef *def, gf__tensor_bundle *bundle,
                             gf__def_graph *out, gf_error *err);
void gf__def_graph_close(gf__def_graph *graph);

const GfTf__NodeDef *gf__def_node_at(const gf__def_graph *graph, gf__def_ref ref);
/* Inputs that are values: those to wait for ("^name") come last and do not count. */
size_t gf__def_n_inputs(const GfTf__NodeDef *node);
/* Of the main graph's node that an input names; the number of nodes where there is none. */
size_t gf__def_index_of(const gf__def_graph *graph, const char *input);
/* The node behind "name", "name:1" or, in a function, "argument", "name:output:1". */
gf_status gf__def_find(gf__def_graph *graph, size_t frame, const char *name, gf__def_ref *out,
                       gf_error *err);
/* The node behind input i of a node. GF_EFORMAT where it has none. */
gf_status gf__def_input(gf__def_graph *graph, gf__def_ref ref, size_t i, gf__def_ref *out,
                        gf_error *err);
bool gf__def_is_op(const gf__def_graph *graph, gf__def_ref ref, const char *op);

/* ---- settings of nodes ----------------------------------------------------------------------- */

/* NULL: there is none of that name. */
const GfTf__AttrValue *gf__def_attr(const GfTf__NodeDef *node, const char *key);
bool gf__def_attr_bool(const GfTf__NodeDef *node, const char *key, bool fallback);
float gf__def_attr_float(const GfTf__NodeDef *node, const char *key, float fallback);
/* True where the text is exactly this, or, where there is none, fallback is. */
bool gf__def_attr_is(const GfTf__NodeDef *node, const char *key, const char *text,
                     const char *fallback);

/* ---- constants and variables ----------------------------------------------------------------- */

/* A Const node or a variable: something that has a tensor. */
bool gf__def_is_constant(const gf__def_graph *graph, gf__def_ref ref);
/* Its values as float32, a new tensor. */
gf_status gf__def_load(gf__def_graph *graph, gf__def_ref ref, gf_tensor **out, gf_error *err);
/* Whole numbers of a Const node (int32 or int64), at most n_max; *n of them. */
gf_status gf__def_numbers(const gf__def_graph *graph, gf__def_ref ref, int64_t *values,
                          size_t n_max, size_t *n, gf_error *err);

/* ---- layers ---------------------------------------------------------------------------------- */

/* graph_def_layers.c: the network that ends with `output`, as operators. picture: height, width
 * and channels where the graph leaves them open; NULL: it must not. */
struct gf__operators;
gf_status gf__def_layers(gf__def_graph *graph, gf__def_ref output, const size_t *picture,
                         const gf_observer *obs, struct gf__operators *ops, size_t *value,
                         gf_error *err);

#endif
