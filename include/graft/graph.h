/* graft/graph.h: a network as a list of layers: look inside, cut, extend, freeze.
 *
 *     gf_graph *net = ..., *mine = NULL;                              Inception-v3, 313 layers
 *     const gf_layer *pool = gf_graph_layer_at(net, 311);   "avg_pool", GlobalAveragePooling2D
 *     st = gf_graph_cut(net, "avg_pool", &mine, err);       layers 0..311; weights shared with net
 *     st = gf_graph_add_dense(mine, &(gf_dense_options){.units = 1024, .activation = "relu"}, err);
 *     st = gf_graph_add_dense(mine, &(gf_dense_options){.units = 2, .activation = "softmax"}, err);
 *     for (size_t i = 0; i < gf_graph_n_layers(mine); i++)
 *         gf_graph_set_trainable(mine, i, i >= 312);
 *
 * Names, classes, order and numbering are Keras'. Tensors are channels-last; shapes leave out the
 * batch dimension.
 * Threads: a graph that nobody changes may be read by any number of threads. Layers are borrowed
 * from their graph.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_GRAPH_H
#define GRAFT_GRAPH_H

#include "graft/tensor.h"

GF_BEGIN_DECLS

typedef struct gf_graph gf_graph; /* opaque */
typedef struct gf_layer gf_layer; /* opaque, owned by its graph */

GF_API void gf_graph_free(gf_graph *graph);

GF_API const char *gf_graph_name(const gf_graph *graph);
GF_API size_t gf_graph_n_layers(const gf_graph *graph);
/* i < n_layers; a negative i counts from the end, -1 is the last. NULL where there is no such
 * layer. */
GF_API const gf_layer *gf_graph_layer_at(const gf_graph *graph, ptrdiff_t i);
/* By name, or by index written in digits ("311", "-1"). GF_ENOTFOUND names the closest layer. */
GF_API gf_status gf_graph_find_layer(const gf_graph *graph, const char *name, size_t *index,
                                     gf_error *err);

GF_API const char *gf_layer_name(const gf_layer *layer);       /* "conv2d_1" */
GF_API const char *gf_layer_class_name(const gf_layer *layer); /* "Conv2D" */
GF_API size_t gf_layer_n_dims(const gf_layer *layer);
GF_API const size_t *
gf_layer_shape(const gf_layer *layer); /* output, without the batch: {149,149,32} */
GF_API size_t gf_layer_n_params(const gf_layer *layer);
/* Of them, those training would change: 0 for a frozen layer; moving averages never count. */
GF_API size_t gf_layer_n_trainable_params(const gf_layer *layer);
GF_API bool gf_layer_is_trainable(const gf_layer *layer);
GF_API size_t gf_layer_n_inputs(const gf_layer *layer);
GF_API size_t gf_layer_input_at(const gf_layer *layer, size_t i); /* index in the graph */
/* "kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"; NULL where the layer has no
 * such weight. Borrowed. */
GF_API const gf_tensor *gf_layer_weight(const gf_layer *layer, const char *name);

/* A new graph of the layers that the named one needs, ending with it. Shares the weights. The
 * classes' names are gone: the end is another. */
GF_API gf_status gf_graph_cut(const gf_graph *graph, const char *layer, gf_graph **out,
                              gf_error *err);

typedef struct gf_dense_options {
    size_t units;           /* outputs, at least 1 */
    const char *activation; /* "linear" (also NULL), "relu", "tanh", "sigmoid" or "softmax" */
    const char *name;       /* NULL: "dense", "dense_1", ... */
} gf_dense_options;
/* Appends a layer after the last one. A spatial end needs pooling first: GF_ESHAPE says so. Weights
 * are there (zero) and are initialised when training starts. */
GF_API gf_status gf_graph_add_dense(gf_graph *graph, const gf_dense_options *options,
                                    gf_error *err);
GF_API gf_status gf_graph_add_dropout(gf_graph *graph, double rate, gf_error *err);
/* pool "avg" or "max": GlobalAveragePooling2D or GlobalMaxPooling2D. */
GF_API gf_status gf_graph_add_global_pool(gf_graph *graph, const char *pool, gf_error *err);

/* Freezes or unfreezes layer i < n_layers. */
GF_API void gf_graph_set_trainable(gf_graph *graph, size_t i, bool is_trainable);

GF_END_DECLS

#endif
