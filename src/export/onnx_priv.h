/* export/onnx_priv.h: an ONNX model in the making. Messages, names and copied weights live in
 * the arena. */
#ifndef GRAFT_EXPORT_ONNX_PRIV_H
#define GRAFT_EXPORT_ONNX_PRIV_H

#include "export/export.h"
#include "proto/onnx.pb-c.h"
#include "proto/proto.h"

/* TensorProto.DataType */
enum {
    GF__ONNX_FLOAT = 1,
    GF__ONNX_UINT8 = 2,
    GF__ONNX_INT32 = 6,
    GF__ONNX_INT64 = 7,
    GF__ONNX_BOOL = 9
};

typedef struct gf__onnx {
    GfOnnx__Model model;
    GfOnnx__Graph graph;
    size_t node_capacity, initializer_capacity;
    const gf_graph *net;
    const char **values;         /* of each layer: the name of its output */
    const gf_recipe *decoded_as; /* the input is the bytes of a picture; NULL: floats */
    gf__proto_arena arena;
} gf__onnx;

/* A node at the graph's end; inputs NULL at the end. Returns NULL out of memory; the calls below take
 * that. */
GfOnnx__Node *gf__onnx_node(gf__onnx *onnx, const char *op_type, const char *output,
                            const char *const *inputs);
void gf__onnx_ints(gf__onnx *onnx, GfOnnx__Node *node, const char *name, const int64_t *values,
                   size_t n);
void gf__onnx_int(gf__onnx *onnx, GfOnnx__Node *node, const char *name, int64_t value);
void gf__onnx_float(gf__onnx *onnx, GfOnnx__Node *node, const char *name, float value);
void gf__onnx_string(gf__onnx *onnx, GfOnnx__Node *node, const char *name, const char *value);

/* Room for a weight, to be filled; NULL out of memory. */
float *gf__onnx_weight(gf__onnx *onnx, const char *name, const size_t *shape, size_t n_dims);
void gf__onnx_numbers(gf__onnx *onnx, const char *name, const int64_t *values, size_t n);
/* A whole number without dimensions; returns its name. */
const char *gf__onnx_scalar(gf__onnx *onnx, const char *name, int64_t value);

/* onnx_layers.c: the operators of layer i, whose inputs are there; sets values[i]. GF_EUNSUPPORTED. */
gf_status gf__onnx_layer(gf__onnx *onnx, size_t i, gf_error *err);

/* onnx_decoder.c: from "picture", the bytes of a file, to output, (1,C,H,W) as the network takes it.
 * Needs opset 20. */
void gf__onnx_decoder(gf__onnx *onnx, const gf_recipe *recipe, const char *output);

#endif
