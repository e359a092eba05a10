/* outputs.c: a requested output (layer by name or index, pooling) into the layer's index and the
 * shape of its result. Plans and the reference agree by sharing this. */
#include <string.h>

#include "engine/engine_priv.h"

gf_status gf__output_resolve(const gf_graph *graph, const gf_output_spec *spec, size_t *layer,
                             gf__output *out, gf_error *err)
{
    gf_status st = gf_graph_find_layer(graph, spec->layer, layer, err);
    if (st != GF_OK)
        return st;
    const gf_layer *found = gf_graph_layer_at(graph, (ptrdiff_t)*layer);
    const size_t *shape = gf_layer_shape(found);
    const size_t n_dims = gf_layer_n_dims(found);
    if (n_dims != 1 && n_dims != 3)
        return gf_error_set(err, GF_EUNSUPPORTED, "%s: output has %zu dimensions, expected 1 or 3",
                            gf_layer_name(found), n_dims);
    if (n_dims == 1 && spec->pool != GF_POOL_NONE)
        return gf_error_set(err, GF_EINVAL,
                            "%s: nothing to pool, its output is a vector of %zu values",
                            gf_layer_name(found), shape[0]);
    *out = (gf__output){.n_dims = 1, .size = 1};
    if (spec->pool != GF_POOL_NONE) {
        out->shape[0] = shape[2];
    } else {
        out->n_dims = n_dims;
        memcpy(out->shape, shape, n_dims * sizeof *shape);
    }
    for (size_t d = 0; d < out->n_dims; d++)
        if (!gf__mul_size(out->size, out->shape[d], &out->size))
            return gf_error_set(err, GF_ELIMIT, "%s: output is too large", gf_layer_name(found));
    return GF_OK;
}
