/* graft/zoo.h: pretrained trunks: importing checkpoints of others, and the trunks of a home folder.
 *
 *     gf_trunk *trunk = NULL;
 *     st = gf_zoo_import("model.json", "inception_v3", home, NULL, NULL, err);    once
 *     st = gf_trunk_load(home, "inception_v3", &trunk, err);
 *     -> HOME/trunks/inception_v3.safetensors
 *     const gf_graph *graph = gf_trunk_graph(trunk);
 *
 * A trunk is a safetensors file whose metadata key "graft" describes the network (docs/formats.md).
 * It is identified by the SHA-256 of its contents, never by its name alone. Threads: a loaded trunk
 * is read-only, share freely.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_ZOO_H
#define GRAFT_ZOO_H

#include "graft/graph.h"

GF_BEGIN_DECLS

typedef struct gf_trunk gf_trunk; /* opaque */

/* name: a trunk of the home ("inception_v3"), or a path that contains a slash or ends in
 * ".safetensors". GF_ENOTFOUND says how to get it. The weights are views of the mapped file. */
GF_API gf_status gf_trunk_load(const char *home, const char *name, gf_trunk **out, gf_error *err);
GF_API void gf_trunk_free(gf_trunk *trunk);
/* One more owner; gf_trunk_free() drops one. Safe from any thread. */
GF_API gf_trunk *gf_trunk_ref(gf_trunk *trunk);

GF_API const char *gf_trunk_name(const gf_trunk *trunk);
GF_API const char *
gf_trunk_sha256(const gf_trunk *trunk); /* 64 hex digits; of graph and weights, not of the file */
/* Borrowed. A graph cut from it shares the mapped weights and may not outlive the trunk. */
GF_API const gf_graph *gf_trunk_graph(const gf_trunk *trunk);
/* The checkpoint's own classes; 0 without a top. */
GF_API size_t gf_trunk_n_classes(const gf_trunk *trunk);
GF_API const char *gf_trunk_class_at(const gf_trunk *trunk, size_t k);
/* Its WordNet id, "n01440764", where the classes are ImageNet's thousand; NULL otherwise. Static
 * storage. */
GF_API const char *gf_trunk_class_id_at(const gf_trunk *trunk, size_t k);
/* What the network was trained on: pixel * scale + shift, at this size. */
GF_API void gf_trunk_input(const gf_trunk *trunk, size_t *width, size_t *height, float *scale,
                           float *shift);
/* Where it came from: "TensorFlow.js layers-model, uint8 weights, model.min.js". */
GF_API const char *gf_trunk_origin(const gf_trunk *trunk);

/* Reads a checkpoint and writes HOME/trunks/NAME.safetensors (replacing one of that name). path is
 * one of
 *   model.json of a TensorFlow.js layers-model with its shards beside it (float32, or quantised
 *   to uint8, uint16, float16);
 *   the npm wrapping of one (model.min.js, shards in *.min.js);
 *   a folder that holds one of these, or an unpacked npm package with one in dist/models/NAME;
 *   a Keras HDF5 file (.h5): a full model, or Inception-v3 weights with or without the top;
 *   a PyTorch state dict (.pth, .pt, .bin, in either form of torch.save()) of Inception-v3 as torchvision
 *   and timm have it, or of EfficientNet-Lite0; also in a wheel;
 *   a safetensors file with such names, or with those of Keras' Inception-v3, or another home's trunk;
 *   an ONNX file (.onnx, opset 7 to 25; values also in a file beside it) of a network made of the layers that graft has.
 * The topology of a known architecture is checked layer by layer; a mismatch names the layer.
 * *sha256 (65 chars) may be NULL. */
GF_API gf_status gf_zoo_import(const char *path, const char *name, const char *home, char *sha256,
                               const gf_observer *obs, gf_error *err);

/* What a network wants done with pixels, where its file cannot tell. */
typedef enum gf_import_input {
    GF_IMPORT_INPUT_AUTO,    /* timm's config.json beside the file, else as documented: [-1,1] for
                                Inception-v3, from Keras, torchvision (transform_input) and timm */
    GF_IMPORT_INPUT_TF,      /* [-1,1] */
    GF_IMPORT_INPUT_IMAGENET /* ImageNet's mean and deviation of each channel, without
                                transform_input; timm's gluon_in1k. Made part of the first convolution;
                                GF_EUNSUPPORTED where that cannot be exact */
} gf_import_input;
/* "auto", "tf", "imagenet". GF_EINVAL names them. */
GF_API gf_status gf_import_input_parse(const char *name, gf_import_input *out, gf_error *err);
typedef struct gf_import_options {
    gf_import_input input;
} gf_import_options;
GF_API gf_import_options gf_import_options_default(void);
/* gf_zoo_import() with more said. */
GF_API gf_status gf_zoo_import_with(const char *path, const char *name, const char *home,
                                    const gf_import_options *options, char *sha256,
                                    const gf_observer *obs, gf_error *err);

/* Gets a known trunk ("inception_v3"): from a file, folder or URL, or where from is NULL from the
 * address its authors publish, checked against their checksum. Resumes an interrupted download.
 * with_top chooses the published file. */
GF_API gf_status gf_zoo_pull(const char *name, const char *from, bool with_top, const char *home,
                             const gf_observer *obs, gf_error *err);

GF_END_DECLS

#endif
