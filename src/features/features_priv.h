/* features/features_priv.h: what the files of this folder share. */
#ifndef GRAFT_FEATURES_PRIV_H
#define GRAFT_FEATURES_PRIV_H

#include "features/features.h"

/* Everything a feature depends on except the picture, one "name value" line each. Equal texts:
 * equal features. */
typedef struct gf__identity {
    const char *trunk_sha256;
    const char *layer;
    gf_pool pool;
    gf_precision precision;
    gf_recipe recipe;
    uint64_t max_pixels; /* beyond it there is no feature, cached or not */
    gf_view view;
} gf__identity;
/* New text, ended with gf__free(); NULL out of memory. */
char *gf__identity_text(const gf__identity *identity);

/* cuts.c */
gf_status gf__cut_find_layer(const gf_graph *graph, const gf_output_spec *spec, size_t *index,
                             gf_pool *pool, gf_error *err);
bool gf__layer_is_boundary(const gf_layer *layer);

/* XXH64 (Collet's xxHash, 64 bits): finds damage, does not resist an attacker. */
uint64_t gf__xxh64(const void *bytes, size_t n_bytes, uint64_t seed);

/* Crop and turn: replaces *image by a new one where the view asks for it. content: of the picture,
 * see gf__preprocess(). */
gf_status gf__view_shape(const gf_view *view, uint64_t content, gf_image **image, gf_error *err);
/* Flip, brightness, contrast, in place on width x height x 3 bytes. */
void gf__view_colour(const gf_view *view, uint64_t content, uint8_t *rgb, size_t width,
                     size_t height);

#endif
