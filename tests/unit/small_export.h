/* small_export.h: the small network of engine_graphs.h as something to be exported: its map flattened,
 * and its scores. */
#ifndef GRAFT_TESTS_SMALL_EXPORT_H
#define GRAFT_TESTS_SMALL_EXPORT_H

#include "engine_graphs.h"
#include "export/export.h"

static const char *const small_cuts[] = {"flatten", "softmax"};
#define N_SMALL_CUTS   (sizeof small_cuts / sizeof *small_cuts)
#define SMALL_PICTURES 3

/* Ended with gf_graph_free(); class names are numbers, borrowed from a table of 400. */
static inline gf__export_source small_source(const char *cut, const gf_recipe *recipe)
{
    static char names[400][4];
    static const char *classes[400];
    gf_graph *whole = small_graph(), *graph = NULL;
    CHECK_OK(gf_graph_cut(whole, cut, &graph, &check_err));
    gf_graph_free(whole);
    const gf_layer *last = gf_graph_layer_at(graph, -1);
    for (size_t i = 0; i < 400; i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        classes[i] = names[i];
    }
    return (gf__export_source){.name = "small",
                               .graph = graph,
                               .class_names = classes,
                               .n_classes = gf_layer_shape(last)[0],
                               .recipe = recipe,
                               .trunk_name = "small",
                               .layer = cut};
}

#endif
