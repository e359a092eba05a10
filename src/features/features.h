/* features/features.h: the door of features for other folders. */
#ifndef GRAFT_SRC_FEATURES_H
#define GRAFT_SRC_FEATURES_H

#include "base/base.h"
#include "graft/features.h"
#include "image/image.h"

/* {"version":1,"width":299,"height":299,"scale":0.00784313772,"shift":-1}. Reading refuses a
 * version of a newer graft (GF_EUNSUPPORTED) and sizes or factors that no network has
 * (GF_EFORMAT). */
gf__json *gf__recipe_to_json(const gf_recipe *recipe);
gf_status gf__recipe_from_json(const gf__json *json, gf_recipe *out, gf_error *err);

/* "none", "avg", "max". */
const char *gf__pool_name(gf_pool pool);
gf_status gf__pool_parse(const char *name, gf_pool *out, gf_error *err);

/* Appends what gf_view_parse() reads: "flip,crop", or nothing for no kinds. */
void gf__view_kinds_write(unsigned kinds, gf__buffer *out);

typedef struct gf__preprocess_options {
    gf_recipe recipe;
    gf_view view;        /* {0}: the picture as it is */
    uint64_t max_pixels; /* 0: the default of gf_image_options */
} gf__preprocess_options;

/* THE way from a sample of any kind to a network's input: recipe.width x recipe.height x 3 bytes
 * into pixels (the caller's). Training, command line and server all come through here, and every
 * picture is bytes when it leaves, so that a model sees in production what it was trained on:
 *   ENCODED  decoded, turned, blended over white and resized
 *   PIXELS   resized where the size differs
 *   SCALED   back to bytes, (x + 1) * 127.5 rounded to the nearest, then as PIXELS. Floats made
 *            from bytes come back exactly; others move by at most half a level. GF_EFORMAT for
 *            values outside [-1,1] or NaN.
 * Views: crop and turn come before resizing, flip, brightness and contrast after it. Every picture
 * has a draw of its own, made from the view's seed and the sample's content. Threads: one scratch
 * per thread. */
gf_status gf__preprocess(const gf_sample *sample, const gf__preprocess_options *options,
                         gf__image_scratch *scratch, uint8_t *pixels, gf_error *err);

/* A sample of any kind as a picture, before recipe and views: a file is decoded as options say,
 * floats become bytes as above. *out is new. Errors: those of decoding, GF_ESHAPE, GF_EFORMAT. */
gf_status gf__sample_image(const gf_sample *sample, const gf_image_options *options, gf_image **out,
                           gf_error *err);

/* A place of a network that vectors are taken from. */
typedef struct gf__cut {
    const char *layer; /* its name in the graph, borrowed; "avg_pool" is resolved */
    size_t index;      /* of the layer: what is deeper has a larger one */
    gf_pool pool;
    bool is_independent; /* taking it in the same pass as others changes no byte of theirs */
} gf__cut;
/* GF_ENOTFOUND names the closest layer. */
gf_status gf__cut_find(const gf_graph *graph, const gf_output_spec *spec, gf__cut *out,
                       gf_error *err);
/* How every plan of a trunk that runs on pictures is made. */
gf_plan_options gf__trunk_plan_options(const gf_trunk *trunk, gf_precision precision, int n_threads,
                                       const char *pack_dir);

/* gf_extractor_dataset() for several lists of items of one data set, seen through one view: no thread
 * waits for the last picture of a list before it begins with the next. */
typedef struct gf__extract_list {
    gf_extract_request request; /* n_items is always set; the view of the first list counts */
    gf_tensor **out;            /* as many as the extractor has outputs */
} gf__extract_list;
gf_status gf__extractor_lists(gf_extractor *extractor, const gf_dataset *dataset,
                              const gf__extract_list *lists, size_t n_lists, const gf_observer *obs,
                              gf_error *err);

/* Compiles the plan now instead of at the first picture, so that its errors and its time come
 * here. */
gf_status gf__extractor_prepare(gf_extractor *extractor, gf_error *err);
/* Whether the cache has features of all outputs, of whatever pictures; without, every picture will
 * need the plan. Makes no file. */
bool gf__extractor_has_cached(const gf_extractor *extractor);

#endif
