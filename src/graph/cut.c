/* cut.c: taking a graph apart and giving it another end. Graphs cut from one another share their
 * weights, nothing else: freezing a layer of one does not freeze it in the other. */
#include <stdio.h>
#include <string.h>

#include "graph/graph_priv.h"
#include "tensor/tensor.h"

/* is_needed[i] for the layers that `end` is computed from, and itself. */
static void mark_needed(const gf_graph *graph, size_t end, bool *is_needed)
{
    is_needed[end] = true;
    for (size_t i = end + 1; i-- > 0;) {
        const gf_layer *layer = graph->layers[i];
        for (size_t k = 0; is_needed[i] && k < layer->n_inputs; k++)
            is_needed[layer->inputs[k]] = true;
    }
}

static gf_status copy_layer(const gf_graph *from, size_t i, size_t *new_index, gf_graph *to,
                            gf_error *err)
{
    const gf_layer *layer = from->layers[i];
    size_t *inputs = gf__calloc(layer->n_inputs, sizeof *inputs);
    if (inputs == NULL)
        return gf__error_nomem(err, "a layer's inputs", layer->n_inputs * sizeof *inputs);
    for (size_t k = 0; k < layer->n_inputs; k++)
        inputs[k] = new_index[layer->inputs[k]];
    new_index[i] = to->n_layers;
    const gf_status st = gf__graph_add_copy(to, layer, inputs, err);
    gf__free(inputs);
    return st;
}

gf_status gf_graph_cut(const gf_graph *graph, const char *layer, gf_graph **out, gf_error *err)
{
    gf_status st;
    size_t end;
    gf_graph *cut = NULL;
    bool *is_needed = NULL;
    size_t *new_index = NULL;

    *out = NULL;
    st = gf_graph_find_layer(graph, layer, &end, err);
    if (st != GF_OK)
        goto done;
    is_needed = gf__calloc(graph->n_layers, sizeof *is_needed);
    new_index = gf__calloc(graph->n_layers, sizeof *new_index);
    if (is_needed == NULL || new_index == NULL) {
        st = gf__error_nomem(err, "a cut", graph->n_layers * sizeof *new_index);
        goto done;
    }
    st = gf__graph_new(graph->name, &cut, err);
    if (st != GF_OK)
        goto done;
    mark_needed(graph, end, is_needed);
    for (size_t i = 0; i <= end; i++) {
        if (!is_needed[i])
            continue;
        st = copy_layer(graph, i, new_index, cut, err);
        if (st != GF_OK)
            goto done;
    }
    /* Depths count from the new end: keras.Model(inputs, layer.output) numbers its layers anew. */
    st = gf__graph_sort_as_keras(cut, err);
    if (st != GF_OK)
        goto done;

    *out = cut;
    cut = NULL; /* moved to the caller */
done:
    gf_graph_free(cut);
    gf__free(new_index);
    gf__free(is_needed);
    return st;
}

/* Keras' names of layers that were given none: "dense", "dense_1", "dense_2" ... */
static const char *free_name(const gf_graph *graph, const char *stem, char name[32])
{
    snprintf(name, 32, "%s", stem);
    for (size_t n = 1; gf__graph_index_of(graph, name) < graph->n_layers; n++)
        snprintf(name, 32, "%s_%zu", stem, n);
    return name;
}

static gf_status append(gf_graph *graph, const gf__layer_config *config, gf_error *err)
{
    if (graph->n_layers == 0)
        return gf_error_set(err, GF_EINVAL, "layer \"%s\": there is no layer to put it after",
                            config->name);
    const size_t last = gf__graph_output(graph);
    return gf__graph_add(graph, config, &last, 1, NULL, err);
}

gf_status gf_graph_add_dense(gf_graph *graph, const gf_dense_options *options, gf_error *err)
{
    char name[32];
    gf__layer_config config = {.class_id = GF__LAYER_DENSE, .is_trainable = true, .has_bias = true};
    config.units = options->units;
    config.name = options->name != NULL ? options->name : free_name(graph, "dense", name);
    if (options->units == 0)
        return gf_error_set(err, GF_EINVAL, "layer \"%.128s\": units is 0, expected at least 1",
                            config.name);
    gf_status st = GF_OK;
    if (options->activation != NULL)
        st = gf__activation_parse(config.name, options->activation, &config.activation, err);
    if (st == GF_OK)
        st = append(graph, &config, err);
    if (st != GF_OK)
        return st;
    st = gf__graph_zero_weights(graph, err);
    if (st != GF_OK)
        gf__graph_drop_last(graph);
    return st;
}

gf_status gf_graph_add_dropout(gf_graph *graph, double rate, gf_error *err)
{
    char name[32];
    gf__layer_config config = {.class_id = GF__LAYER_DROPOUT, .is_trainable = true, .rate = rate};
    config.name = free_name(graph, "dropout", name);
    if (!(rate >= 0.0 && rate < 1.0))
        return gf_error_set(err, GF_EINVAL, "layer \"%s\": rate is %g, expected 0 <= rate < 1",
                            config.name, rate);
    return append(graph, &config, err);
}

gf_status gf_graph_add_global_pool(gf_graph *graph, const char *pool, gf_error *err)
{
    char name[32];
    gf__layer_config config = {.is_trainable = true};
    if (strcmp(pool, "avg") == 0) {
        config.class_id = GF__LAYER_GLOBAL_AVERAGE_POOLING2D;
        config.name = free_name(graph, "global_average_pooling2d", name);
    } else if (strcmp(pool, "max") == 0) {
        config.class_id = GF__LAYER_GLOBAL_MAX_POOLING2D;
        config.name = free_name(graph, "global_max_pooling2d", name);
    } else {
        return gf_error_set(err, GF_EINVAL, "pool is \"%.40s\", expected \"avg\" or \"max\"", pool);
    }
    return append(graph, &config, err);
}

size_t gf__graph_head_start(const gf_graph *graph)
{
    size_t start = graph->n_layers;
    while (start > 0) {
        const gf__layer_class class_id = graph->layers[start - 1]->config.class_id;
        if (class_id != GF__LAYER_DENSE && class_id != GF__LAYER_DROPOUT &&
            class_id != GF__LAYER_ACTIVATION)
            break;
        start--;
    }
    /* An activation at the seam belongs to the trunk: the head starts with something of its own. */
    while (start < graph->n_layers && graph->layers[start]->config.class_id == GF__LAYER_ACTIVATION)
        start++;
    return start;
}
