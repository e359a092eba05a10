/* zoo/zoo.h: the door of zoo for other folders. */
#ifndef GRAFT_SRC_ZOO_H
#define GRAFT_SRC_ZOO_H

#include "base/base.h"
#include "graft/zoo.h"
#include "graph/graph.h"
#include "tensor/tensor.h"

/* A trunk made of parts instead of loaded from a home: one that came inside a model file, or a
 * test's. On success graph and file are the trunk's, which frees them with its last owner; on
 * failure they stay the caller's. Strings are copied. */
typedef struct gf__trunk_parts {
    const char *name;
    const char *sha256; /* 64 hex digits: what graph and weights are known by */
    const char *origin;
    float scale, shift; /* of the input; its size is that of the graph's input layer */
    gf_graph *graph;    /* taken */
    gf_safetensors
        *file; /* taken: what the graph's weights are views of; NULL where they are not */
} gf__trunk_parts;
gf_status gf__trunk_take(const gf__trunk_parts *parts, gf_trunk **out, gf_error *err);

/* Makes a Keras HDF5 model of a safetensors file, in a process of its own: tensors "LAYER/WEIGHT", metadata
 * model_config, backend, keras_version, graft_properties (may be missing), layers ([["LAYER", ["WEIGHT",
 * ...]], ...]). With metadata "root" instead of the first four: model.weights.h5 of a .keras archive, whose
 * weights are called "GROUP/vars/0". GF_ENOTFOUND: no program graft-h5. */
gf_status gf__hdf5_write(const char *tensors, const char *path, const gf_observer *obs,
                         gf_error *err);

/* Names of the groups of model.weights.h5 in a .keras archive: for each layer in turn, its class in snake
 * case and a number. Start with {0}. */
typedef struct gf__keras_group_base {
    char *name;
    size_t n;
} gf__keras_group_base;
typedef struct gf__keras_groups {
    gf__keras_group_base *bases;
    size_t n_bases;
} gf__keras_groups;
/* New; NULL out of memory. n_uses: how far it counts on, 1. */
char *gf__keras_group_next(gf__keras_groups *groups, const char *class_name, size_t n_uses);
void gf__keras_groups_free(gf__keras_groups *groups);

/* Gives back the memory that reading the trunk's weights has filled, once plans have them packed.
 * Whoever reads them again gets them from the file. Threads: any. */
void gf__trunk_release_pages(const gf_trunk *trunk);

/* Computes the SHA-256 of graph and weights, and compares it with what the trunk's file says:
 * loading trusts it (hashing 95 MB costs more than starting). GF_EMISMATCH for a damaged file. */
gf_status gf__trunk_verify(const gf_trunk *trunk, gf_error *err);
/* What a trunk of this graph and these weights is known by: 64 hex digits. Every weight must be
 * set. */
gf_status gf__graph_sha256(const gf_graph *graph, char hex[GF__SHA256_HEX], gf_error *err);

/* The block outputs a cut is chosen from when the user says "auto", in order: "mixed0" ...
 * "mixed10". *n of them; borrowed static strings. 0 for an architecture that has no table: the
 * caller takes the layer before the top. */
const char *const *gf__zoo_block_outputs(const gf_graph *graph, size_t *n);

/* The layer a head is put on when nothing is said: "avg_pool" by that name, or the layer that pools
 * (the npm checkpoint pools with average_pooling2d_10 + flatten_1; asking it for "avg_pool" means
 * this place: mixed10 pooled by its average). *layer is borrowed from the graph; *needs_pool tells
 * that it is spatial and must be pooled. Any other name or index is looked up as it stands. */
gf_status gf__zoo_resolve_cut(const gf_graph *graph, const char *name, const char **layer,
                              bool *needs_pool, gf_error *err);

/* The 1000 ImageNet names in Keras' order. */
const char *gf__zoo_imagenet_class(size_t k);

/* Inception-v3 as Keras builds it, with a classes-way top, or without (0). Weights zero. */
gf_status gf__zoo_inception_v3(size_t n_classes, gf_graph **out, gf_error *err);

#endif
