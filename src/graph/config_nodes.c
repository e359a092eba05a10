/* config_nodes.c: a model's configuration as one list of its layers, those of models among them behind
 * each. A network for transfer learning is often written so: Sequential([base, pooling, Dense]). */
#include <string.h>

#include "graph/config_priv.h"

#define MAX_NODES (2 * (size_t)GF__GRAPH_MAX_LAYERS) /* models and what does nothing among them */

void gf__config_tree_free(gf__config_tree *tree)
{
    for (size_t i = 0; i < tree->n_nodes; i++) {
        gf__free(tree->nodes[i].inputs);
        gf__free(tree->nodes[i].owned_name);
        gf__free(tree->nodes[i].graph_name);
    }
    gf__free(tree->nodes);
    *tree = (gf__config_tree){0};
}

/* ---- what a node is -------------------------------------------------------------------------- */

static const char *class_of(const gf__json *json)
{
    return gf__json_string(gf__json_find(json, "class_name"), "");
}

bool gf__config_is_model(const gf__json *layer)
{
    const char *name = class_of(layer);
    return strcmp(name, "Functional") == 0 || strcmp(name, "Sequential") == 0 ||
           strcmp(name, "Model") == 0;
}

bool gf__config_is_chain(const gf__config_node *model)
{
    return strcmp(class_of(model->json), "Sequential") == 0;
}

bool gf__config_is_input(const gf__config_node *node)
{
    return node->json == NULL || strcmp(class_of(node->json), "InputLayer") == 0;
}

/* Sequential was a bare list of layers before Keras 2.2.3. */
static const gf__json *layers_of(const gf__config_node *model)
{
    return gf__json_is_array(model->config) ? model->config
                                            : gf__json_find(model->config, "layers");
}

/* ---- the list -------------------------------------------------------------------------------- */

static gf_status add_node(gf__config_tree *tree, const gf__config_node *node, gf_error *err)
{
    if (tree->n_nodes == MAX_NODES)
        return gf_error_set(err, GF_ELIMIT, "the models in it have more than %zu layers in all",
                            MAX_NODES);
    if (tree->n_nodes == tree->capacity) {
        const size_t capacity = tree->capacity == 0 ? 32 : tree->capacity * 2;
        gf__config_node *nodes = gf__realloc(tree->nodes, capacity * sizeof *nodes);
        if (nodes == NULL)
            return gf__error_nomem(err, "layers", capacity * sizeof *nodes);
        tree->nodes = nodes;
        tree->capacity = capacity;
    }
    tree->nodes[tree->n_nodes] = *node;
    tree->nodes[tree->n_nodes].layer = GF__NO_NODE;
    tree->nodes[tree->n_nodes].output = GF__NO_NODE;
    tree->n_nodes++;
    return GF_OK;
}

static gf_status read_node(const gf__json *json, size_t model, size_t i, gf__config_node *n,
                           gf_error *err)
{
    const gf__json *config = gf__json_find(json, "config");
    const char *name = gf__json_string(gf__json_find(json, "name"), NULL);
    if (!gf__json_is_string(gf__json_find(json, "class_name")))
        return gf_error_set(err, GF_EFORMAT, "layers[%zu] has no class_name", i);
    *n = (gf__config_node){.json = json, .config = config, .model = model};
    n->name = gf__json_string(gf__json_find(config, "name"), name);
    if (name != NULL)
        n->name = name; /* the one that others refer to */
    if (n->name == NULL)
        return gf_error_set(err, GF_EFORMAT, "layers[%zu] has no name", i);
    if (gf__config_is_model(json)) {
        n->kind = GF__NODE_MODEL;
        return GF_OK;
    }
    if (model > 0 && gf__config_is_input(n)) { /* gets what its model is called with */
        n->kind = GF__NODE_NOTHING;
        return GF_OK;
    }
    return gf__config_classify(n, err);
}

/* The settings in which a chain says its input's shape: its first layer's, or those of the input of the
 * model that is its first layer. */
static const gf__json *shape_settings(const gf__config_tree *tree, size_t m)
{
    const gf__config_node *first = &tree->nodes[m + 1];
    while (first->kind == GF__NODE_MODEL) /* which has layers */
        first++;
    return first->config;
}

/* A Sequential model's first layer may carry the input's shape instead of following an InputLayer. Its place
 * is behind the model's other layers. */
static gf_status add_implied_input(gf__config_tree *tree, size_t m, gf_error *err)
{
    gf__config_node input = {.model = m};
    const char *first = tree->nodes[m + 1].name;
    input.kind = m > 0 ? GF__NODE_NOTHING : GF__NODE_LAYER;
    input.config = shape_settings(tree, m);
    input.owned_name = gf__asprintf("%.120s_input", first);
    input.name = input.owned_name;
    if (input.owned_name == NULL)
        return gf__error_nomem(err, "a layer's name", strlen(first));
    const gf_status st = add_node(tree, &input, err);
    if (st != GF_OK)
        gf__free(input.owned_name);
    return st;
}

static gf_status check_layers(const gf__json *layers, gf_error *err)
{
    const size_t n = gf__json_n_items(layers);
    if (!gf__json_is_array(layers) || n == 0)
        return gf_error_set(err, GF_EFORMAT, "the model configuration has no layers");
    if (n > GF__GRAPH_MAX_LAYERS)
        return gf_error_set(err, GF_ELIMIT, "the model has %zu layers, at most %d are read", n,
                            GF__GRAPH_MAX_LAYERS);
    return GF_OK;
}

/* [["dense",0,0]], or ["dense",0,0] in Keras 3. */
static gf_status check_single_output(const gf__config_node *model, gf_error *err)
{
    const gf__json *outputs = gf__json_find(model->config, "output_layers");
    if (gf__json_is_array(gf__json_at(outputs, 0)) && gf__json_n_items(outputs) > 1)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "the model has %zu outputs; networks with one output can be run",
                            gf__json_n_items(outputs));
    return GF_OK;
}

/* Of the layers of an inner model, which get other names where others have them; the graph itself refuses
 * twins among those of the whole. */
static gf_status check_names(const gf__config_tree *tree, size_t m, gf_error *err)
{
    const size_t end = m + 1 + tree->nodes[m].n_inner;
    for (size_t i = m + 1; i < end; i += 1 + tree->nodes[i].n_inner) {
        for (size_t k = m + 1; k < i; k += 1 + tree->nodes[k].n_inner) {
            if (strcmp(tree->nodes[i].name, tree->nodes[k].name) == 0)
                return gf_error_set(err, GF_EFORMAT, "two layers are called \"%.128s\"",
                                    tree->nodes[i].name);
        }
    }
    return GF_OK;
}

/* The layers of model m, which is the last of the list. At most GF__CONFIG_MAX_DEPTH deep. */
static gf_status list_layers(gf__config_tree *tree, size_t m, size_t depth, gf_error *err)
{
    const gf__json *layers = layers_of(&tree->nodes[m]);
    if (depth > GF__CONFIG_MAX_DEPTH)
        return gf_error_set(err, GF_ELIMIT, "models are more than %d deep in one another",
                            GF__CONFIG_MAX_DEPTH);
    gf_status st = check_single_output(&tree->nodes[m], err);
    if (st == GF_OK)
        st = check_layers(layers, err);
    for (size_t i = 0; st == GF_OK && i < gf__json_n_items(layers); i++) {
        gf__config_node node;
        const size_t index = tree->n_nodes;
        st = read_node(gf__json_at(layers, i), m, i, &node, err);
        if (st == GF_OK)
            st = add_node(tree, &node, err);
        if (st == GF_OK && node.kind == GF__NODE_MODEL) {
            st = list_layers(tree, index, depth + 1, err);
            if (st != GF_OK && depth == 1)
                gf__error_prefix(err, "in \"%.60s\"", node.name);
        }
    }
    if (st == GF_OK && gf__config_is_chain(&tree->nodes[m]) &&
        !gf__config_is_input(&tree->nodes[m + 1]))
        st = add_implied_input(tree, m, err);
    tree->nodes[m].n_inner = tree->n_nodes - m - 1;
    return st == GF_OK && m > 0 ? check_names(tree, m, err) : st;
}

gf_status gf__config_list(gf__config_tree *tree, const gf__json *model, gf_error *err)
{
    gf__config_node whole = {.kind = GF__NODE_MODEL, .json = model, .model = GF__NO_NODE};
    whole.config = gf__json_find(model, "config");
    whole.name = gf__json_string(gf__json_find(whole.config, "name"), "model");
    if (!gf__config_is_model(model))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "class_name is \"%.60s\", expected Model, Functional or Sequential",
                            class_of(model));
    const gf_status st = add_node(tree, &whole, err);
    return st == GF_OK ? list_layers(tree, 0, 1, err) : st;
}
