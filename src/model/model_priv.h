/* model/model_priv.h: a model in memory, and the steps between it and its file. */
#ifndef GRAFT_MODEL_PRIV_H
#define GRAFT_MODEL_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "features/features.h"
#include "model/model.h"
#include "tensor/tensor.h"

/* The metadata key of a safetensors file that holds graft's document. */
#define GF__DOCUMENT_KEY "graft"

#define GF__MODEL_MAX_HEAD_LAYERS 64
#define GF__MODEL_MAX_SAMPLES     64

typedef struct gf__model_sample {
    const char *item;       /* borrowed from the document */
    const char *png_tensor; /* its name; borrowed from the document */
    float *numbers;         /* n_features; of a model without a trunk, in the place of the next */
    uint8_t *png;
    size_t n_bytes;
    float *scores; /* n_classes */
} gf__model_sample;

struct gf_model {
    atomic_int n_owners;
    char *text;     /* the document as it stands in the file */
    gf__json *json; /* the same, read; strings below are borrowed from it */

    const char *trunk_name, *trunk_sha256; /* NULL: the model takes numbers; so is layer */
    const char **column_names;             /* n_features, or NULL */
    float *means, *scales;                 /* n_features, or NULL */
    const gf__json *trunk_graph;           /* of a bundle; NULL: the trunk is elsewhere */
    const char *layer;
    gf_pool pool;
    gf_precision precision;
    gf_recipe recipe;
    const char **class_names;
    size_t n_classes;
    size_t n_features;
    gf_head_layer head_layers[GF__MODEL_MAX_HEAD_LAYERS];
    size_t n_head_layers;
    double tolerance;
    gf__model_sample *samples;
    size_t n_samples;

    gf_head *head;

    pthread_mutex_t trunk_mutex; /* of the two below */
    gf_safetensors *file;        /* of a bundle, until its trunk takes it over */
    gf_trunk *trunk;
};

/* Everything of the document but the tensors' values. Errors name the member: "head: layer 1:
 * units: expected ...". */
gf_status gf__document_read(gf_model *model, gf_error *err);
/* graph: the trunk as it goes into the file, NULL unless a bundle. */
gf_status gf__document_new(const gf__model_content *content, const gf_graph *graph, gf__json **out,
                           gf_error *err);

/* document_numbers.c: what a model without a trunk has in the place of trunk, cut and recipe. */
gf_status gf__document_read_numbers(gf_model *model, gf_error *err);
void gf__document_set_numbers(gf__json *document, const gf__model_content *content);
/* Member key of the object: n finite numbers, new in *out (also after a failure). */
gf_status gf__document_read_floats(const gf__json *object, const char *key, size_t n, float **out,
                                   gf_error *err);
gf__json *gf__document_floats(const float *values, size_t n); /* new */

/* Tensor names: "head/0/kernel", "head/0/bias", "self_test/0", "trunk/conv2d_1/kernel". New text;
 * NULL out of memory. */
char *gf__head_tensor_name(size_t layer, const char *weight);
char *gf__trunk_tensor_name(const char *layer, const char *weight);
char *gf__sample_tensor_name(size_t sample);

/* What a predictor computes in. */
gf_precision gf__predictor_precision(const gf_predictor *predictor);

/* Index of the first value that is infinite or not a number; n where all are finite. */
size_t gf__first_not_finite(const float *values, size_t n);

#endif
