/* features/cuts.c: the places of a network that vectors are taken from, and how its plans are made:
 * what the extractor and the workers that serve must agree on to the byte. */
#include "features/features_priv.h"
#include "graph/graph.h"
#include "zoo/zoo.h"

/* The layer that a caller means: as it stands, or (the zoo's word) "avg_pool" of a network that
 * pools under other names. */
gf_status gf__cut_find_layer(const gf_graph *graph, const gf_output_spec *spec, size_t *index,
                             gf_pool *pool, gf_error *err)
{
    gf_error not_found;
    *pool = spec->pool;
    const gf_status st = gf_graph_find_layer(graph, spec->layer, index, &not_found);
    if (st == GF_OK)
        return GF_OK;
    const char *layer = NULL;
    bool needs_pool = false;
    if (gf__zoo_resolve_cut(graph, spec->layer, &layer, &needs_pool, NULL) != GF_OK)
        return gf_error_set(err, st, "%s", not_found.message);
    if (needs_pool && *pool == GF_POOL_NONE)
        *pool = GF_POOL_AVG;
    return gf_graph_find_layer(graph, layer, index, err);
}

/* Layers that end what the engine computes as one: taking them out changes nothing for the rest.
 * Taking out what is fused into its successor (a Conv2D before its BatchNormalization, the input
 * whose scale goes into the first Conv2D) makes the engine round there, and moves the last bits of
 * all that follows. */
bool gf__layer_is_boundary(const gf_layer *layer)
{
    const gf__layer_config *config = gf__layer_config_of(layer);
    switch (config->class_id) {
    case GF__LAYER_ACTIVATION: /* a linear one is passed through on the way to a normalisation */
        return config->activation != GF__ACTIVATION_LINEAR;
    case GF__LAYER_RELU:
    case GF__LAYER_MAX_POOLING2D:
    case GF__LAYER_AVERAGE_POOLING2D:
    case GF__LAYER_GLOBAL_AVERAGE_POOLING2D:
    case GF__LAYER_GLOBAL_MAX_POOLING2D:
    case GF__LAYER_CONCATENATE:
    case GF__LAYER_FLATTEN:
        return true;
    default:
        return false;
    }
}

gf_status gf__cut_find(const gf_graph *graph, const gf_output_spec *spec, gf__cut *out,
                       gf_error *err)
{
    *out = (gf__cut){0};
    const gf_status st = gf__cut_find_layer(graph, spec, &out->index, &out->pool, err);
    if (st != GF_OK)
        return st;
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)out->index);
    out->layer = gf_layer_name(layer);
    out->is_independent = gf__layer_is_boundary(layer);
    return GF_OK;
}

gf_plan_options gf__trunk_plan_options(const gf_trunk *trunk, gf_precision precision, int n_threads,
                                       const char *pack_dir)
{
    const gf_recipe recipe = gf_recipe_of(trunk);
    gf_plan_options options = gf_plan_options_default();
    options.precision = precision;
    options.n_threads = n_threads;
    options.input = GF_INPUT_U8;
    options.scale = recipe.scale;
    options.shift = recipe.shift;
    options.pack_dir = pack_dir;
    options.weights_key = gf_trunk_sha256(trunk);
    return options;
}
