/* graft/model.h: the model file, and predicting with it.
 *
 *     gf_model *model = NULL;
 *     gf_predictor *predictor = NULL;
 *     gf_predict_timing timing;
 *     st = gf_model_load("flowers.safetensors", &model, err);
 *     st = gf_predictor_new(model, home, NULL, &predictor, err);
 *     st = gf_predictor_picture(predictor, jpeg, n_bytes, scores, &timing, err);
 *
 * One safetensors file: the head's weights (with bundle also the trunk's), and under the metadata
 * key "graft" everything else: trunk identity, cut, recipe, classes, how it was trained, a
 * self-test. docs/formats.md specifies it.
 * Threads: a loaded model is read-only, share freely; one predictor per thread.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_MODEL_H
#define GRAFT_MODEL_H

#include "graft/features.h"
#include "graft/head.h"

GF_BEGIN_DECLS

#define GF_MODEL_FORMAT 1

typedef struct gf_model gf_model; /* opaque, counted */

GF_API gf_status gf_model_load(const char *path, gf_model **out, gf_error *err);
GF_API gf_model *gf_model_ref(gf_model *model);
GF_API void gf_model_unref(gf_model *model); /* NULL is fine */

GF_API const gf_head *gf_model_head(const gf_model *model);
GF_API size_t gf_model_n_classes(const gf_model *model);
GF_API const char *gf_model_class_at(const gf_model *model, size_t k); /* borrowed */
/* A model without a trunk takes numbers: rows of named columns, standardised as its training data
 * was. Then trunk_name, trunk_sha256 and layer are NULL, pool, precision and recipe mean nothing. */
GF_API const char *gf_model_trunk_name(const gf_model *model);
GF_API const char *gf_model_trunk_sha256(const gf_model *model);
GF_API const char *gf_model_layer(const gf_model *model); /* the cut, "avg_pool" or "mixed4" */
GF_API gf_pool gf_model_pool(const gf_model *model);
GF_API gf_precision
gf_model_precision(const gf_model *model); /* of the features it was trained on */
GF_API gf_recipe gf_model_recipe(const gf_model *model);
GF_API bool gf_model_is_bundle(const gf_model *model); /* the trunk is inside */
/* The trunk that it runs on: the one inside it, else HOME/trunks by SHA-256 (GF_ENOTFOUND says which
 * one and how to get it). One inside a model is known by a hash of its own graph and weights, made
 * at the first call, and not by the one the file claims: a file must not be able to put its weights
 * into caches under another trunk's name. home may be NULL for a bundle. Ended with gf_trunk_free().
 * GF_EUNSUPPORTED for a model that takes numbers. Threads: any, also on one model. */
GF_API gf_status gf_model_trunk(gf_model *model, const char *home, gf_trunk **out, gf_error *err);
/* How many numbers the head takes: columns, or features of the cut. */
GF_API size_t gf_model_n_inputs(const gf_model *model);
/* A column's name, borrowed, and how it is standardised: the head sees (x - mean) / scale. NULL, 0
 * and 1 where the model has a trunk. */
GF_API const char *gf_model_column_at(const gf_model *model, size_t i);
GF_API float gf_model_mean_at(const gf_model *model, size_t i);
GF_API float gf_model_scale_at(const gf_model *model, size_t i);
/* The "graft" document as it stands in the file, JSON. Borrowed. */
GF_API const char *gf_model_document(const gf_model *model);

/* Predicts. The trunk comes from the bundle, else from HOME/trunks by SHA-256 (GF_ENOTFOUND says
 * which one and how to get it). */
typedef struct gf_predictor_options {
    gf_precision precision; /* default AUTO: the model's own where this CPU has it, else float32 */
    int n_threads;          /* 0: gf_threads_available() */
    uint64_t max_pixels;    /* 0: default */
} gf_predictor_options;
GF_API gf_predictor_options gf_predictor_options_default(void);

typedef struct gf_predictor gf_predictor; /* opaque; keeps the model */
GF_API gf_status gf_predictor_new(gf_model *model, const char *home,
                                  const gf_predictor_options *options, gf_predictor **out,
                                  gf_error *err);
GF_API void gf_predictor_free(gf_predictor *predictor);

typedef struct gf_predict_timing {
    double decode_ms, network_ms, head_ms;
} gf_predict_timing;
/* scores: n_classes floats of the caller. timing may be NULL. */
GF_API gf_status gf_predictor_picture(gf_predictor *predictor, const void *bytes, size_t n_bytes,
                                      float *scores, gf_predict_timing *timing, gf_error *err);

/* n numbers instead of a picture: a row of columns, or a feature vector where the model has a trunk.
 * GF_ESHAPE, GF_EINVAL. */
GF_API gf_status gf_predictor_numbers(gf_predictor *predictor, const float *numbers, size_t n,
                                      float *scores, gf_predict_timing *timing, gf_error *err);

/* Hashes the trunk's weights and replays the stored samples. GF_EMISMATCH names the damaged trunk, or
 * sample, class, expected and found score; GF_EUNSUPPORTED: the model has no samples. *largest_difference may be NULL. */
GF_API gf_status gf_model_verify(gf_model *model, const char *home,
                                 const gf_predictor_options *options, double *largest_difference,
                                 size_t *n_samples, gf_error *err);

GF_END_DECLS

#endif
