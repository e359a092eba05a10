/* graft/service.h: the use cases, whole: what `graft train`, a notebook or a server asks for is one
 * call here.
 *
 *     gf_train_request request = gf_train_request_default();
 *     request.context.home = home;
 *     request.dataset = "flowers/";
 *     request.output = "flowers.safetensors";
 *     gf_train_result *result = NULL;
 *     st = gf_service_train(&request, &watch, &result, err);
 *
 * Requests borrow their strings for the call. Results are new and ended by their _free().
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_SERVICE_H
#define GRAFT_SERVICE_H

#include "graft/data.h"
#include "graft/features.h"
#include "graft/model.h"
#include "graft/train.h"

GF_BEGIN_DECLS

/* What one home folder and one machine give to every use case. */
typedef struct gf_context {
    const char *home;    /* trunks, packs, feature cache; created when something is first written */
    int n_threads;       /* 0: gf_threads_available() */
    uint64_t max_pixels; /* 0: the default of gf_image_options */
} gf_context;

/* ---- look inside ----------------------------------------------------------------------------- */

typedef struct gf_network gf_network; /* opaque: a graph and what holds its weights */
/* name: a trunk of the home, or a model file, which is its trunk up to the cut and the head behind
 * it. */
GF_API gf_status gf_network_open(const gf_context *context, const char *name, gf_network **out,
                                 gf_error *err);
GF_API void gf_network_free(gf_network *network);
GF_API const gf_graph *gf_network_graph(const gf_network *network); /* borrowed */

/* ---- classify: a trunk's own classes --------------------------------------------------------- */

typedef struct gf_classifier gf_classifier; /* opaque; one call at a time */
/* model: a trunk with a top (its own classes), or a model file. GF_EUNSUPPORTED for a trunk without
 * classes. */
GF_API gf_status gf_classifier_open(const gf_context *context, const char *model,
                                    gf_precision precision, gf_classifier **out, gf_error *err);
GF_API void gf_classifier_free(gf_classifier *classifier);
GF_API size_t gf_classifier_n_classes(const gf_classifier *classifier);
GF_API const char *gf_classifier_class_at(const gf_classifier *classifier, size_t k);
/* scores: n_classes floats of the caller; timing may be NULL. */
GF_API gf_status gf_classifier_picture(gf_classifier *classifier, const void *bytes, size_t n_bytes,
                                       float *scores, gf_predict_timing *timing, gf_error *err);
/* n numbers instead of a picture: what the head of a model file takes (n_inputs; 0 of a trunk). */
GF_API size_t gf_classifier_n_inputs(const gf_classifier *classifier);
GF_API gf_status gf_classifier_numbers(gf_classifier *classifier, const float *numbers, size_t n,
                                       float *scores, gf_predict_timing *timing, gf_error *err);
/* Class numbers of the k largest scores, largest first, the smaller number first among equals. k <=
 * n. */
GF_API void gf_top_classes(const float *scores, size_t n, size_t k, size_t *classes);

/* ---- train ----------------------------------------------------------------------------------- */

typedef struct gf_train_request {
    gf_context context;
    const char *dataset; /* folder, .npz, .csv, .jsonl; of numbers, too: then no trunk is needed */
    const char *trunk;   /* default "inception_v3" */
    /* default "avg_pool"; "auto": the block output whose features separate the classes best */
    const char *layer;
    size_t hidden;            /* units of the hidden Dense layer, default 1024; 0: none */
    double dropout;           /* before the last layer, default 0 */
    double val_fraction;      /* held out of dataset, default 0.2; ignored with test_dataset */
    const char *test_dataset; /* NULL: split */
    bool is_stratified;
    unsigned augment;       /* bit set of gf_view_kind */
    size_t n_views;         /* of each training picture besides itself, with augment; default 4 */
    gf_precision precision; /* of the features, default AUTO */
    gf_train_options options;
    const char *output; /* model file; NULL: nothing is written */
    bool is_bundle;
    const char *report;  /* HTML file, or NULL */
    bool is_resumed;     /* go on from OUTPUT.checkpoint */
    const char *command; /* how to reproduce, for the report and the record; may be NULL */
} gf_train_request;
GF_API gf_train_request gf_train_request_default(void);

/* What long training tells. Any may be NULL; observer's progress has the stages "hash", "features",
 * "probe". */
typedef struct gf_train_watch {
    gf_observer observer;
    /* n_cached: SIZE_MAX where there are rows of numbers in the place of pictures. */
    void (*started)(void *user, size_t n_train, size_t n_test, size_t n_classes, size_t n_cached,
                    size_t n_features);
    bool (*epoch)(void *user, const gf_epoch *epoch, int n_epochs); /* false stops, resumably */
    void *user;                                                     /* of started and epoch */
} gf_train_watch;

typedef struct gf_train_result {
    char *layer; /* the cut chosen; NULL for a table of numbers */
    gf_precision precision;
    size_t n_train, n_test, n_skipped; /* pictures; skipped ones could not be read */
    gf_history *history;
    gf_metrics *metrics; /* of the held-out part */
    char **class_names;
    size_t n_classes;
    char **mistakes; /* "item: is A, taken for B (0.93)", most certain first */
    size_t n_mistakes;
    const char *const *probe_layers; /* with "auto": static names and the accuracy each reached */
    double *probe_accuracy;
    size_t n_probes;
    double features_s, fit_s, total_s;
} gf_train_result;
/* A stop by the caller gives GF_ECANCELED; the checkpoint OUTPUT.checkpoint then holds everything
 * up to the last whole epoch. */
GF_API gf_status gf_service_train(const gf_train_request *request, const gf_train_watch *watch,
                                  gf_train_result **out, gf_error *err);
GF_API void gf_train_result_free(gf_train_result *result);

/* ---- evaluate -------------------------------------------------------------------------------- */

typedef struct gf_evaluation {
    gf_metrics *metrics;
    char **class_names; /* the model's */
    size_t n_classes;
    char **mistakes;
    size_t n_mistakes;
    size_t n_skipped;
} gf_evaluation;
/* Classes are matched by name; a class of the data set that the model does not know is
 * GF_EMISMATCH, naming it. report may be NULL. */
GF_API gf_status gf_service_evaluate(const gf_context *context, const char *model,
                                     const char *dataset, const char *report,
                                     const gf_observer *obs, gf_evaluation **out, gf_error *err);
GF_API void gf_evaluation_free(gf_evaluation *evaluation);

/* ---- features: what the layers see ----------------------------------------------------------- */

typedef struct gf_features_request {
    gf_context context;
    const char *source;        /* a picture file, or a data set */
    const char *trunk;         /* default "inception_v3" */
    const char *const *layers; /* names or indices; none: "avg_pool" */
    size_t n_layers;
    /* How spatial layers are pooled; without has_pool a picture's are left as they are and a data
     * set's are averaged. */
    bool has_pool;
    gf_pool pool;
    gf_precision precision; /* default AUTO */
    /* Above 0: only part number shard (from 0) of so many of a data set's pictures, and only into
     * the cache: several processes, or machines with one home, share the work. */
    size_t n_shards, shard;
} gf_features_request;

typedef struct gf_features_result {
    bool is_dataset;
    size_t n_items; /* 1 for a picture; unreadable pictures of a data set are left out */
    size_t n_skipped, n_cached;
    size_t n_layers;
    char **layers;        /* as they are called in the network */
    gf_tensor **features; /* (n_items, ...) float32, one a layer; NULL each with n_shards */
    char **items;         /* n_items names; NULL with n_shards */
    size_t *labels;       /* n_items; NULL for a picture, and with n_shards */
    char **class_names;
    size_t n_classes;
} gf_features_result;
GF_API gf_status gf_service_features(const gf_features_request *request, const gf_observer *obs,
                                     gf_features_result **out, gf_error *err);
GF_API void gf_features_result_free(gf_features_result *result);
/* path .npy: one layer's array. .npz: "features" (several layers: each under its name), and for a
 * data set "labels", "classes", "items". */
GF_API gf_status gf_features_save(const gf_features_result *result, const char *path,
                                  gf_error *err);
/* The first item, .png or .svg: a line plot of a vector's values, or for a spatial layer its first
 * maps in a strip, a row a layer. */
GF_API gf_status gf_features_plot(const gf_features_result *result, const char *path,
                                  gf_error *err);

/* ---- leaving for other programs -------------------------------------------------------------- */

typedef enum gf_export_format {
    GF_EXPORT_ONNX,       /* opset 13: ONNX Runtime, OpenVINO, Triton ... */
    GF_EXPORT_TFJS,       /* a folder: TensorFlow.js' layers-model */
    GF_EXPORT_KERAS,      /* Keras' HDF5 model (.h5), of 2.x, which 3.x opens, too */
    GF_EXPORT_SAVEDMODEL, /* a folder: TensorFlow's SavedModel, which decodes pictures itself */
    GF_EXPORT_GRAFT       /* a model file with its trunk inside; head only: without it */
} gf_export_format;
GF_API gf_status gf_export_format_parse(const char *name, gf_export_format *out, gf_error *err);

typedef enum gf_quantisation {
    GF_QUANTISE_NONE,
    GF_QUANTISE_FLOAT16,
    GF_QUANTISE_UINT8
} gf_quantisation;
GF_API gf_status gf_quantisation_parse(const char *name, gf_quantisation *out, gf_error *err);

typedef struct gf_export_request {
    gf_context context;
    const char *model; /* a model file */
    gf_export_format format;
    const char *output;
    /* Without the trunk: features (or a table's columns) to scores. */
    bool is_head_only;
    /* ONNX, models of pictures: the input is the bytes of a JPEG or PNG file (opset 20). */
    bool has_decoder;
    gf_quantisation quantisation; /* of the kernels; TFJS only */
    const gf_observer *observer;  /* stage "export", in layers; may be NULL */
} gf_export_request;
/* What the format cannot say is refused: GF_EUNSUPPORTED. docs/formats.md tells what each keeps.
 * GF_EINVAL the output is the model itself; GF_ECANCELED by the observer, and nothing is left. */
GF_API gf_status gf_service_export(const gf_export_request *request, gf_error *err);

/* ---- the article's way: a graph of one's own ------------------------------------------------- */

/* Compiles, fits, evaluates and predicts with a graph made by gf_graph_cut() and
 * gf_graph_add_dense(). Only the Dense layers at the end may be trainable; GF_EUNSUPPORTED names
 * the first other one. Frozen layers are run once a picture, not once an epoch.
 * Opaque; keeps the trunk; the graph is borrowed and must outlive it. */
typedef struct gf_learner gf_learner;
GF_API gf_status gf_learner_new(const gf_context *context, gf_trunk *trunk, gf_graph *graph,
                                const gf_train_options *options, gf_learner **out, gf_error *err);
GF_API void gf_learner_free(gf_learner *learner);
/* items NULL: all. The trained weights are in the graph afterwards. val may be NULL. */
GF_API gf_status gf_learner_fit(gf_learner *learner, const gf_dataset *dataset,
                                const gf_split *split, const gf_train_watch *watch,
                                gf_history **history, gf_error *err);
GF_API gf_status gf_learner_evaluate(gf_learner *learner, const gf_dataset *dataset,
                                     const size_t *items, size_t n_items, gf_metrics **metrics,
                                     gf_error *err);
GF_API gf_status gf_learner_predict(gf_learner *learner, const void *picture, size_t n_bytes,
                                    float *scores, gf_error *err);
/* dataset gives the class names, and pictures for the self-test. */
GF_API gf_status gf_learner_save(gf_learner *learner, const gf_dataset *dataset, const char *path,
                                 bool is_bundle, gf_error *err);

/* A head that was fitted by hand (gf_fit) on features of one's own as a model file. */
typedef struct gf_save_request {
    gf_context context;
    const gf_head *head;
    gf_trunk *trunk; /* borrowed; NULL: the head takes rows of numbers */
    /* How the rows' columns are brought to what the head takes, (x - mean) / scale, one a column;
     * both NULL: as they are. */
    const float *means, *scales;
    const char *layer; /* whose output the head takes; "avg_pool" as everywhere */
    gf_pool pool;
    gf_precision precision; /* of the features that it was fitted on, default AUTO */
    /* Class names, and pictures (rows) of which one of each of the first classes becomes the
     * self-test; their features come from the cache where they are there. */
    const gf_dataset *dataset;
    const char *training; /* how it was trained, a JSON object kept in the model; may be NULL */
    const char *output;
    bool is_bundle;
} gf_save_request;
/* GF_ESHAPE where head, layer and classes do not fit each other. */
GF_API gf_status gf_service_save(const gf_save_request *request, gf_error *err);

GF_END_DECLS

#endif
