/* service/network.c: a name into a graph to look at: a trunk's, or a model file's, trunk and head
 * in one. */
#include <string.h>

#include "graph/graph.h"
#include "head/head.h"
#include "service/service_priv.h"

struct gf_network {
    gf_model *model; /* NULL for a trunk */
    gf_trunk *trunk;
    gf_graph *own; /* a model's graph; a trunk's is borrowed from it */
};

static bool is_path(const char *name)
{
    return strchr(name, '/') != NULL || strcmp(gf__path_extension(name), ".safetensors") == 0;
}

gf_status gf__is_model_file(const char *name, bool *is_model, gf_error *err)
{
    gf_safetensors *file = NULL;
    gf__json *document = NULL;
    *is_model = false;
    if (!is_path(name))
        return GF_OK;
    gf_status st = gf_safetensors_open(name, &file, err);
    if (st != GF_OK)
        return st;
    const char *text = gf_safetensors_metadata(file, "graft");
    if (text == NULL)
        st = gf_error_set(err, GF_EFORMAT,
                          "%s: a safetensors file, but not one of graft's (no \"graft\" metadata)",
                          name);
    else
        st = gf__json_parse(text, strlen(text), &document, err);
    if (st == GF_OK)
        *is_model = strcmp(gf__json_string(gf__json_find(document, "kind"), ""), "model") == 0;
    gf__json_free(document);
    gf_safetensors_close(file);
    return st;
}

gf_status gf__append_head(gf_graph *graph, const gf_head *head, gf_error *err)
{
    const size_t first = gf_graph_n_layers(graph);
    gf_status st = GF_OK;
    for (size_t i = 0; i < gf_head_n_layers(head) && st == GF_OK; i++) {
        const gf_head_layer layer = gf_head_layer_at(head, i);
        const gf_dense_options options = {.units = layer.units,
                                          .activation = gf__head_activation_name(layer.activation),
                                          .name = layer.name};
        if (layer.dropout > 0)
            st = gf_graph_add_dropout(graph, layer.dropout, err);
        if (st == GF_OK)
            st = gf_graph_add_dense(graph, &options, err);
    }
    for (size_t i = 0; i < first; i++)
        gf_graph_set_trainable(graph, i, false);
    return st == GF_OK ? gf_head_to_graph(head, graph, first, err) : st;
}

static gf_status open_model(gf_network *n, const gf_context *context, const char *path,
                            gf_error *err)
{
    gf_status st = gf_model_load(path, &n->model, err);
    if (st == GF_OK)
        st = gf_model_trunk(n->model, context->home, &n->trunk, err);
    if (st == GF_OK)
        st = gf_graph_cut(gf_trunk_graph(n->trunk), gf_model_layer(n->model), &n->own, err);
    if (st == GF_OK && gf_model_pool(n->model) != GF_POOL_NONE)
        st = gf_graph_add_global_pool(n->own,
                                      gf_model_pool(n->model) == GF_POOL_AVG ? "avg" : "max", err);
    return st == GF_OK ? gf__append_head(n->own, gf_model_head(n->model), err) : st;
}

gf_status gf_network_open(const gf_context *context, const char *name, gf_network **out,
                          gf_error *err)
{
    *out = NULL;
    gf_network *n = gf__calloc(1, sizeof *n);
    if (n == NULL)
        return gf__error_nomem(err, "network", sizeof *n);
    bool is_model = false;
    gf_status st = gf__is_model_file(name, &is_model, err);
    if (st == GF_OK)
        st = is_model ? open_model(n, context, name, err)
                      : gf_trunk_load(context->home, name, &n->trunk, err);
    if (st == GF_OK) {
        *out = n;
        n = NULL;
    }
    gf_network_free(n);
    return st;
}

void gf_network_free(gf_network *network)
{
    if (network == NULL)
        return;
    gf_graph_free(network->own);
    gf_trunk_free(network->trunk);
    gf_model_unref(network->model);
    gf__free(network);
}

const gf_graph *gf_network_graph(const gf_network *network)
{
    return network->own != NULL ? network->own : gf_trunk_graph(network->trunk);
}
