/* graft/head.h: the trainable end of a classifier: Dense layers on feature vectors.
 *
 *     gf_head_layer layers[2] = {{.units = 1024, .activation = GF_HEAD_RELU},
 *                                {.units = 2, .activation = GF_HEAD_SOFTMAX}};
 *     st = gf_head_new(2048, layers, 2, &head, err);
 *     gf_head_initialise(head, 42);
 *     gf_head_predict(head, features, n, scores, NULL);
 *
 * Weights are float32 in Keras' layout: kernel (inputs, units), bias (units). Threads: a head that
 * nobody changes may be used by any number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_HEAD_H
#define GRAFT_HEAD_H

#include "graft/graph.h"

GF_BEGIN_DECLS

typedef enum gf_head_activation {
    GF_HEAD_LINEAR,
    GF_HEAD_RELU,
    GF_HEAD_SOFTMAX, /* of the last layer only */
    GF_HEAD_TANH,
    GF_HEAD_SIGMOID
} gf_head_activation;

typedef struct gf_head_layer {
    size_t units;
    gf_head_activation activation;
    double dropout;   /* rate applied to the layer's input while training, 0 for none */
    const char *name; /* NULL: "dense", "dense_1", ...; the last one of several "predictions" */
} gf_head_layer;

typedef struct gf_head gf_head; /* opaque */

GF_API gf_status gf_head_new(size_t n_features, const gf_head_layer *layers, size_t n_layers,
                             gf_head **out, gf_error *err);
/* From the Dense tail of a graph (weights copied), and back into it. */
GF_API gf_status gf_head_from_graph(const gf_graph *graph, size_t first_layer, gf_head **out,
                                    gf_error *err);
GF_API gf_status gf_head_to_graph(const gf_head *head, gf_graph *graph, size_t first_layer,
                                  gf_error *err);
GF_API gf_status gf_head_copy(const gf_head *head, gf_head **out, gf_error *err);
GF_API void gf_head_free(gf_head *head);

GF_API size_t gf_head_n_features(const gf_head *head);
GF_API size_t gf_head_n_classes(const gf_head *head); /* units of the last layer */
GF_API size_t gf_head_n_layers(const gf_head *head);
GF_API gf_head_layer gf_head_layer_at(const gf_head *head, size_t i);
GF_API size_t gf_head_n_params(const gf_head *head);
GF_API float *gf_head_kernel(gf_head *head, size_t i); /* (inputs, units), borrowed */
GF_API float *gf_head_bias(gf_head *head, size_t i);   /* (units), borrowed */

/* Kernels uniform in +-sqrt(6 / (fan_in + fan_out)), biases 0: Keras' glorot_uniform (Glorot and
 * Bengio 2010). */
GF_API void gf_head_initialise(gf_head *head, uint64_t seed);

/* scores (n, n_classes) for features (n, n_features), without dropout. One row's scores do not
 * depend on the others. */
GF_API gf_status gf_head_predict(const gf_head *head, const float *features, size_t n,
                                 float *scores, gf_error *err);

GF_END_DECLS

#endif
