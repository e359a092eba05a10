/* export/export.h: models written in the formats of others: one file a format. What a format cannot
 * say is refused, never left out silently; docs/formats.md has the table of what each keeps. */
#ifndef GRAFT_SRC_EXPORT_H
#define GRAFT_SRC_EXPORT_H

#include "graph/graph.h"
#include "model/model.h"

typedef enum gf__export_quantisation {
    GF__EXPORT_F32, /* none */
    GF__EXPORT_F16,
    GF__EXPORT_U8
} gf__export_quantisation;

/* A model as one network, from its input to its scores: what every format writes. All borrowed. */
typedef struct gf__export_source {
    const char *name;      /* of the network in the file */
    const gf_graph *graph; /* picture (H,W,C) or features (D) -> scores */
    const char *const *class_names;
    size_t n_classes;
    const gf_recipe *recipe; /* how a picture becomes the input; NULL: the input is numbers */
    /* The input is the bytes of a JPEG or PNG file; ONNX only. Needs a recipe. */
    bool has_decoder;
    const char *const
        *column_names; /* of a model of numbers, which the graph standardises; or NULL */
    const char *trunk_name, *layer;       /* where the features come from; NULL: a table */
    gf__export_quantisation quantisation; /* of weights, where the format has it: GF_EUNSUPPORTED */
    const gf_observer *observer;          /* stage "export", in layers; or NULL */
} gf__export_source;

/* ONNX, opset 13: input "input" float32 (N,H,W,C) as the network takes it (scaled), or (N,D); output
 * "scores" (N,K). With a decoder opset 20, input "picture" uint8 (bytes) of one file. The file's properties: "classes", "preprocessing" or "columns", "trunk", "layer".
 * Written aside and renamed; the same model gives the same bytes. GF_EUNSUPPORTED names a layer that
 * has no operator there; GF_ELIMIT: 2 GB are the most that protobuf can hold. */
gf_status gf__export_onnx(const gf__export_source *source, const char *path, gf_error *err);

/* For keras.models.load_model(): a path that ends in .keras becomes an archive, of 2.15 and 3.x, whose
 * metadata.json has the properties; another one Keras' HDF5 model, of 2.x and 3.x. */
gf_status gf__export_keras(const gf__export_source *source, const char *path, gf_error *err);

/* TensorFlow.js' layers-model: path becomes a folder with model.json and shards of 4 MiB; properties are
 * its userDefinedMetadata. Quantised: kernels only. The folder that it goes into must be there.
 * GF_EEXISTS; GF_EUNSUPPORTED a kernel that float16 or uint8 cannot hold. */
gf_status gf__export_tfjs(const gf__export_source *source, const char *path, gf_error *err);

/* TensorFlow's SavedModel: path becomes a folder. Of a model with a recipe the signatures are
 * "serving_default" (inputs: string (N), base64 of JPEG or PNG files), "bytes" (the files
 * themselves) and "tensor" (float32 (N,H,W,C) as the network takes it); else "serving_default" takes
 * float32 (N,D). All give outputs (N,K). Class names are lines of assets/classes.txt, properties lie in
 * assets.extra/graft.json. GF_EEXISTS; GF_EUNSUPPORTED a layer or class whose name cannot be said. */
gf_status gf__export_savedmodel(const gf__export_source *source, const char *path, gf_error *err);

#endif
