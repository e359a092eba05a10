/* zoo_priv.h: what the importers, the architectures and the trunk writer share. Never leaves this
 * folder. Each importer has a folder and a door of its own: zoo/onnx/onnx.h. */
#ifndef GRAFT_ZOO_PRIV_H
#define GRAFT_ZOO_PRIV_H

#include "zoo/zoo.h"

#define GF__TRUNK_FORMAT       1
#define GF__N_IMAGENET_CLASSES 1000
#define GF__LAYER_NAME_TEXT    160 /* room for a layer's name and a number */

/* A network read from somebody else's file, on its way into a trunk. Start with {0}. */
typedef struct gf__checkpoint {
    gf_graph *graph;          /* with all its weights */
    gf_safetensors *file;     /* what the weights are views of, or NULL */
    char *origin;             /* "TensorFlow.js layers-model, uint8 weights, model.min.js" */
    const char *architecture; /* static; NULL where it is none that graft knows */
    bool has_input;           /* the file itself says scale and shift */
    float scale, shift;
    char **class_names; /* each owned */
    size_t n_classes;
} gf__checkpoint;
void gf__checkpoint_free(gf__checkpoint *checkpoint);
/* properties.c: takes names of classes and the input's scaling from what an export has written (NULL is fine).
 * out->graph is there. */
gf_status gf__checkpoint_read_properties(const gf__json *properties, gf__checkpoint *out,
                                         gf_error *err);

/* ---- where it is read from; the importers have a folder each, import.c calls them ---- */

typedef enum gf__source_kind {
    GF__SOURCE_TFJS, /* model.json */
    GF__SOURCE_NPM,  /* model.min.js */
    GF__SOURCE_HDF5,
    GF__SOURCE_KERAS, /* .keras, a zip archive */
    GF__SOURCE_TORCH, /* torch.save(), or a zip archive with such a file in it */
    GF__SOURCE_SAFETENSORS,
    GF__SOURCE_SAVEDMODEL, /* saved_model.pb by whatever name, variables/ beside it */
    GF__SOURCE_GRAPHDEF,   /* a frozen graph */
    GF__SOURCE_ONNX
} gf__source_kind;

typedef struct gf__source {
    gf__source_kind kind;
    char *path; /* of the file itself; owned */
} gf__source;
/* Looks at content, not at names; in a folder, for the files that a checkpoint called `name` may be
 * in. */
gf_status gf__source_find(const char *path, const char *name, gf__source *out, gf_error *err);

/* ---- input scaling ---- */

/* A network that scales its input itself: what is done with pixels of 0 to 255. One that spreads its input
 * (scale above 1/16, shift of at most 16) was made for pictures of 0 to 1: its scale is divided by 255. */
void gf__pixel_scaling(double scale, double shift, float *pixel_scale, float *pixel_shift);
/* What a Keras configuration says of it, if it does. */
void gf__checkpoint_scale_input(const gf__config_notes *notes, gf__checkpoint *out);

/* x = (pixel / 255 - mean) / deviation, for red, green, blue. */
typedef struct gf__normalization {
    double mean[3], deviation[3];
} gf__normalization;
/* The one that torchvision documents for ImageNet. */
const gf__normalization *gf__imagenet_normalization(void);
/* True for what a trunk's own [-1,1] is. */
bool gf__is_plain_normalization(const gf__normalization *n);
/* Makes a network that wants pixels so want them in [-1,1]. GF_EUNSUPPORTED where that would be an
 * approximation, with the layer's name. */
gf_status gf__fold_normalization(gf_graph *graph, const gf__normalization *n, gf_error *err);
/* What timm's config.json beside the checkpoint says; *is_there false without one, or with one of
 * something else. */
gf_status gf__read_normalization(const char *checkpoint, gf__normalization *out, bool *is_there,
                                 gf_error *err);
/* The same from the text of such a file. */
gf_status gf__parse_normalization(const char *text, size_t n_chars, gf__normalization *out,
                                  bool *is_there, gf_error *err);

/* ---- architectures ---- */

/* Inception-v3 without weights; n_classes 0 for none. */
gf_status gf__inception_v3_layers(size_t n_classes, gf_graph **out, gf_error *err);
/* The same as torchvision and timm have it: layers of the same names, and zero_padding2d_N. */
gf_status gf__inception_v3_torch_layers(size_t n_classes, gf_graph **out, gf_error *err);
/* EfficientNet-Lite0, the same way. */
gf_status gf__efficientnet_lite0_layers(size_t n_classes, gf_graph **out, gf_error *err);
/* How a picture becomes the input of the architecture (NULL: as Keras' applications, [-1,1]). */
void gf__architecture_input(const char *name, float *scale, float *shift);
/* Height, width, channels of its pictures; false where it is none that is known. */
bool gf__architecture_shape(const char *name, size_t shape[3]);
/* Sets *architecture to the known one that the graph's layers are, or NULL. Where `name` is a known
 * architecture the graph must be it: GF_EMISMATCH names the first layer that differs. */
gf_status gf__architecture_match(const gf_graph *graph, const char *name, const char **architecture,
                                 gf_error *err);
/* Makes a network that computes what a known architecture does (the one called `name`, where that is known,
 * else any) into that architecture's own layers, with the same weights; others stay as they are. */
gf_status gf__architecture_align(gf_graph **graph, const char *name, gf_error *err);
/* The same with one table. align.c. */
gf_status gf__graph_align(gf_graph **graph, const gf_graph *table, bool *is_aligned, gf_error *err);
/* True for a name that is the table's. */
bool gf__architecture_is_known(const char *name);
/* Outputs of the classifier at the end: the last layer, where it is a softmax or a sigmoid; else 0. */
size_t gf__graph_n_classes(const gf_graph *graph);

/* ---- trunks ---- */

/* HOME/trunks/NAME.safetensors; new, NULL out of memory. */
char *gf__trunk_path(const char *home, const char *name);
/* A name that can be a file's. GF_EINVAL says which letters may be in it. */
gf_status gf__trunk_check_name(const char *name, gf_error *err);
/* A trunk's own file, its identity checked. */
gf_status gf__trunk_read(const char *path, gf__checkpoint *out, gf_error *err);
gf_status gf__trunk_save(const gf__checkpoint *checkpoint, const char *name, const char *home,
                         char sha256[GF__SHA256_HEX], gf_error *err);

#endif
