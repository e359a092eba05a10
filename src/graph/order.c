/* order.c: Keras' order of layers. Keras numbers a model's layers by depth (the longest way to the
 * output, deepest first) and, within a depth, as a walk from the output backwards first met them:
 * _map_graph_network() in its engine. Layer indices that people quote ("311 is avg_pool") come from
 * there. */
#include <stdlib.h>

#include "graph/graph_priv.h"

typedef struct place {
    size_t layer; /* index before sorting */
    size_t depth;
    size_t visit; /* 0 for the output, growing */
    bool is_visited;
} place;

/* Preorder, as Keras: a layer gets its number before its inputs do. At most GF__GRAPH_MAX_LAYERS
 * deep. */
static void visit(const gf_graph *graph, place *places, size_t i, size_t *n_visited)
{
    if (places[i].is_visited)
        return;
    places[i].is_visited = true;
    places[i].visit = (*n_visited)++;
    const gf_layer *layer = graph->layers[i];
    for (size_t k = 0; k < layer->n_inputs; k++)
        visit(graph, places, layer->inputs[k], n_visited);
}

static void measure_depths(const gf_graph *graph, place *places)
{
    for (size_t i = graph->n_layers; i-- > 0;) {
        const gf_layer *layer = graph->layers[i];
        for (size_t k = 0; k < layer->n_inputs; k++) {
            place *input = &places[layer->inputs[k]];
            if (input->depth < places[i].depth + 1)
                input->depth = places[i].depth + 1;
        }
    }
}

static int compare_places(const void *a, const void *b)
{
    const place *left = a, *right = b;
    if (left->depth != right->depth)
        return left->depth > right->depth ? -1 : 1;
    return left->visit < right->visit ? -1 : left->visit > right->visit;
}

/* Moves the layers to their places and renames their inputs accordingly. */
static void apply_order(gf_graph *graph, const place *places, gf_layer **layers, size_t *new_index)
{
    for (size_t i = 0; i < graph->n_layers; i++) {
        layers[i] = graph->layers[places[i].layer];
        new_index[places[i].layer] = i;
    }
    for (size_t i = 0; i < graph->n_layers; i++) {
        for (size_t k = 0; k < layers[i]->n_inputs; k++)
            layers[i]->inputs[k] = new_index[layers[i]->inputs[k]];
        graph->layers[i] = layers[i];
    }
}

gf_status gf__graph_sort_as_keras(gf_graph *graph, gf_error *err)
{
    gf_status st = GF_OK;
    size_t n_visited = 0;
    const size_t n = graph->n_layers;
    place *places = gf__calloc(n, sizeof *places);
    gf_layer **layers = gf__calloc(n, sizeof *layers);
    size_t *new_index = gf__calloc(n, sizeof *new_index);
    if (places == NULL || layers == NULL || new_index == NULL) {
        st = gf__error_nomem(err, "the order of layers", n * sizeof *places);
        goto done;
    }
    if (n == 0)
        goto done;
    for (size_t i = 0; i < n; i++)
        places[i].layer = i;
    visit(graph, places, gf__graph_output(graph), &n_visited);
    for (size_t i = 0; i < n; i++) {
        if (!places[i].is_visited) {
            st = gf_error_set(err, GF_EINVAL, "layer \"%s\" does not lead to the output \"%s\"",
                              graph->layers[i]->config.name,
                              graph->layers[gf__graph_output(graph)]->config.name);
            goto done;
        }
    }
    measure_depths(graph, places);
    qsort(places, n, sizeof *places, compare_places);
    apply_order(graph, places, layers, new_index);
done:
    gf__free(new_index);
    gf__free(layers);
    gf__free(places);
    return st;
}
