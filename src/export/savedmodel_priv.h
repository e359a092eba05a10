/* export/savedmodel_priv.h: TensorFlow's graph in the making: nodes, and the functions that its loops and
 * branches call. All lives in the arena; after a failed allocation everything is a no-op. */
#ifndef GRAFT_EXPORT_SAVEDMODEL_PRIV_H
#define GRAFT_EXPORT_SAVEDMODEL_PRIV_H

#include "export/export.h"
#include "proto/proto.h"
#include "proto/tensorflow.pb-c.h"

enum { /* DataType */
       GF__TF_FLOAT = 1,
       GF__TF_INT32 = 3,
       GF__TF_UINT8 = 4,
       GF__TF_STRING = 7,
       GF__TF_INT64 = 9,
       GF__TF_BOOL = 10
};

/* Nodes of the graph, or of a function's body. */
typedef struct gf__tf_scope {
    gf__proto_arena *arena;
    GfTf__NodeDef **nodes;
    size_t n_nodes, capacity;
} gf__tf_scope;

typedef struct gf__tf {
    gf__proto_arena arena;
    gf__tf_scope graph;
    GfTf__FunctionDefLibrary library;
    size_t library_capacity;
    const gf_graph *net;
    const gf_recipe *recipe; /* NULL: the input is numbers */
    const char **values;     /* of each layer: the name of its output */
} gf__tf;

/* A node at the scope's end. inputs: names with spaces between, as TensorFlow writes them. settings: types
 * first, for the places that the operator's row in the table leaves open; then key=value: a number, true,
 * false, a type, 'text, @function, or a [list,of,them]. NULL out of memory; the calls below take that. */
GfTf__NodeDef *gf__tf_node(gf__tf_scope *scope, const char *name, const char *op,
                           const char *inputs, const char *settings);
void gf__tf_set_float(gf__tf_scope *scope, GfTf__NodeDef *node, const char *key, float value);
/* What gf__tf_node() cannot say. */
void gf__tf_set_text(gf__tf_scope *scope, GfTf__NodeDef *node, const char *key, const char *text);
/* (any number, shape...); as the one shape, without that number, of a list of shapes. */
void gf__tf_set_batch_shape(gf__tf_scope *scope, GfTf__NodeDef *node, const char *key,
                            const size_t *shape, size_t n_dims);
void gf__tf_set_shape_list(gf__tf_scope *scope, GfTf__NodeDef *node, const char *key,
                           const size_t *shape, size_t n_dims);
GfTf__TensorShape *gf__tf_batch_shape(gf__proto_arena *arena, const size_t *shape, size_t n_dims);

/* Const nodes. Values are borrowed until the model is written; those of numbers are copied. */
void gf__tf_floats(gf__tf_scope *scope, const char *name, const float *values, const size_t *shape,
                   size_t n_dims);
void gf__tf_numbers(gf__tf_scope *scope, const char *name, const int32_t *values,
                    const size_t *shape, size_t n_dims);
void gf__tf_string(gf__tf_scope *scope, const char *name, const char *text);

/* One whose values are still to be given. */
GfTf__Tensor *gf__tf_constant(gf__tf_scope *scope, const char *name, const char *type,
                              const size_t *shape, size_t n_dims);

/* What the operator's first output is called: inside of functions, names are NODE:OUTPUT:0. */
const char *gf__tf_output_name(const char *op);
/* By its name in TensorFlow's Python. */
int gf__tf_type(const char *name, size_t n_chars);

/* savedmodel_functions.c: a function as a table. Inputs of a row: an argument; a row's name, with .1
 * for its second output; ^NAME to wait for; a literal: 4, [1,2], [[1],[2]], uint8[1,2], int64:4; or
 * $NAME, a number of the model's. */
typedef struct gf__tf_row {
    const char *name, *op, *inputs, *settings; /* settings: see gf__tf_node() */
} gf__tf_row;

typedef struct gf__tf_function {
    const char *name;
    const char *arguments; /* "file:string bytes:uint8" */
    const char *results;   /* "pixels:uint8=ROW turn:int32=ROW.1" */
    const gf__tf_row *rows;
    size_t n_rows;
} gf__tf_function;

typedef struct gf__tf_number { /* integers, or one float */
    const char *name;          /* with the $ */
    int32_t integers[2];
    size_t n_integers; /* 0: a float; 1: a scalar */
    float value;
} gf__tf_number;

void gf__tf_add_function(gf__tf *tf, const gf__tf_function *function, const gf__tf_number *numbers,
                         size_t n_numbers);

/* savedmodel_pictures.c: nodes from a picture file's bytes (N) to the network's input (N,H,W,3), as graft
 * decodes, turns, resizes and scales; the last one is called name. The recipe's sides are int32_t. */
void gf__tf_pictures(gf__tf *tf, const char *bytes, const char *name);

/* savedmodel_layers.c: the operators of layer i, whose inputs are there; sets values[i].
 * GF_EUNSUPPORTED. */
gf_status gf__tf_layer(gf__tf *tf, size_t i, gf_error *err);
/* GF_EUNSUPPORTED where one is no int32_t: 'layer "pad": a padding of 3000000000; ...'. */
gf_status gf__tf_check_numbers(const char *layer, const char *what, const size_t *values, size_t n,
                               gf_error *err);

#endif
