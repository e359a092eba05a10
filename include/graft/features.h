/* graft/features.h: pictures into feature vectors: the one preprocessing path, the extractor, the
 * cache on disk.
 *
 *     gf_extractor *extractor = NULL;
 *     gf_tensor *features = NULL;
 *     gf_extractor_options options = gf_extractor_options_default();
 *     options.cache_dir = "/home/me/.local/share/graft/features";
 *     st = gf_extractor_new(trunk, specs, 1, &options, &extractor, err);
 *     st = gf_extractor_dataset(extractor, dataset, NULL, obs, &features, err);
 *     -> (N,2048) float32
 *
 * A picture's features depend on the picture, the view, the recipe, the trunk, the cut, the
 * precision and the engine: not on its neighbours, the number of threads, or whether it comes as a
 * file or as pixels. Those seven, and max_pixels, are also the key of the cache.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_FEATURES_H
#define GRAFT_FEATURES_H

#include "graft/data.h"
#include "graft/engine.h"
#include "graft/zoo.h"

GF_BEGIN_DECLS

/* How a picture becomes the network's input. Recorded in every model and replayed by it. */
typedef struct gf_recipe {
    int version;          /* of graft's decoder and filter */
    size_t width, height; /* resized to this, aspect ratio not kept; triangle filter */
    float scale, shift;   /* network input = pixel * scale + shift */
} gf_recipe;
GF_API gf_recipe gf_recipe_of(const gf_trunk *trunk);

/* What is done to a picture before the recipe; views of one picture are features of their own in
 * the cache. */
typedef enum gf_view_kind {
    GF_VIEW_NONE,
    GF_VIEW_FLIP,       /* left and right exchanged, or not: a seeded coin */
    GF_VIEW_CROP,       /* a seeded part of 80-100 % of each side */
    GF_VIEW_ROTATE,     /* a seeded turn of up to 15 degrees, edges repeated */
    GF_VIEW_BRIGHTNESS, /* all values times a seeded factor in 0.7-1.3 */
    GF_VIEW_CONTRAST    /* distance from the mean times a seeded factor in 0.7-1.3 */
} gf_view_kind;
typedef struct gf_view {
    unsigned kinds; /* bit set of 1u << gf_view_kind; 0 is the picture as it is */
    uint64_t seed;  /* of the random part */
} gf_view;
/* "flip,crop" into a bit set; GF_EINVAL names the word and the words there are. */
GF_API gf_status gf_view_parse(const char *text, unsigned *kinds, gf_error *err);

typedef struct gf_extractor_options {
    gf_precision precision; /* default AUTO */
    int n_threads;          /* 0: gf_threads_available() */
    const char *cache_dir;  /* NULL: no cache */
    const char *pack_dir;   /* NULL: weights packed in memory */
    uint64_t max_pixels;    /* 0: the default of gf_image_options */
    /* one picture at a time with all threads (gf_extractor_picture only), instead of one thread a
     * picture */
    bool for_latency;
} gf_extractor_options;
GF_API gf_extractor_options gf_extractor_options_default(void);

typedef struct gf_extractor gf_extractor; /* opaque; one call at a time */

/* Several outputs share one pass. Plans are compiled when first needed: all answers from the cache
 * start no engine. The trunk is kept. */
GF_API gf_status gf_extractor_new(gf_trunk *trunk, const gf_output_spec *outputs, size_t n_outputs,
                                  const gf_extractor_options *options, gf_extractor **out,
                                  gf_error *err);
GF_API void gf_extractor_free(gf_extractor *extractor);
GF_API gf_precision gf_extractor_precision(const gf_extractor *extractor);
GF_API size_t gf_extractor_n_outputs(const gf_extractor *extractor);
/* Values a picture of output i. */
GF_API size_t gf_extractor_output_size(const gf_extractor *extractor, size_t i);
GF_API size_t gf_extractor_output_shape(const gf_extractor *extractor, size_t i, size_t shape[3]);

/* Where the time of one picture went. */
typedef struct gf_extract_timing {
    double decode_ms, network_ms;
} gf_extract_timing;

/* One encoded picture. features[i] receives output i (gf_extractor_output_size floats, the caller's
 * memory). timing may be NULL. Not cached. */
GF_API gf_status gf_extractor_picture(gf_extractor *extractor, const void *bytes, size_t n_bytes,
                                      float *const *features, gf_extract_timing *timing,
                                      gf_error *err);
/* The same from a sample of any kind. */
GF_API gf_status gf_extractor_sample(gf_extractor *extractor, const gf_sample *sample,
                                     const gf_view *view, float *const *features, gf_error *err);

/* Every item of a data set (items NULL: all; otherwise these n_items item numbers) seen through a
 * view (NULL: as it is). out[i] receives output i as a new (n_items, size) float32 tensor. A
 * picture that cannot be read fails the call with its name, unless is_bad (n_items bools, may be
 * NULL) is given: then it is marked there, logged, and its row is zero. n_cached may be NULL. */
typedef struct gf_extract_request {
    const size_t *items;
    size_t n_items;
    const gf_view *view;
    bool *is_bad;
    size_t *n_cached;
} gf_extract_request;
GF_API gf_status gf_extractor_dataset(gf_extractor *extractor, const gf_dataset *dataset,
                                      const gf_extract_request *request, const gf_observer *obs,
                                      gf_tensor **out, gf_error *err);

GF_END_DECLS

#endif
