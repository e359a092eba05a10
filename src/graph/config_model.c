/* config_model.c: Keras' configuration of a whole model into a graph. The document is a list of
 * nodes that name their inputs, in any order; they are put into the graph in the document's order,
 * a node's inputs before it. A Sequential model is a chain. Everything is checked: the document may
 * come from anywhere. */
#include <string.h>

#include "graph/config_priv.h"

/* Each is looked up by name among all layers; DenseNet-264 has about a thousand. */
#define MAX_LINKS 65536

typedef enum mark { UNSEEN, IN_PROGRESS, ADDED } mark;

typedef struct node {
    const gf__json *json;   /* {"class_name", "config", "inbound_nodes"} */
    const gf__json *config; /* its settings */
    const char *name;       /* borrowed from the document, or owned_name */
    char *owned_name;       /* of an input that Sequential only implies */
    const char **inputs;    /* names; owned array of borrowed names */
    size_t n_inputs;
    size_t index; /* in the graph, once added */
    bool is_used; /* is an input of another */
    mark mark;
} node;

typedef struct model {
    node *nodes;
    size_t n_nodes;
    gf_graph *graph;
} model;

static void free_nodes(model *m)
{
    for (size_t i = 0; i < m->n_nodes; i++) {
        gf__free(m->nodes[i].inputs);
        gf__free(m->nodes[i].owned_name);
    }
    gf__free(m->nodes);
}

/* ---- a node and the names of its inputs ---- */

static gf_status add_input_name(node *n, const char *name, gf_error *err)
{
    const char **inputs = gf__realloc(n->inputs, (n->n_inputs + 1) * sizeof *inputs);
    if (inputs == NULL)
        return gf__error_nomem(err, "a layer's inputs", sizeof *inputs);
    n->inputs = inputs;
    n->inputs[n->n_inputs++] = name;
    return GF_OK;
}

/* ["conv2d_1", 0, 0, {...}]: layer, call number, output number. */
static gf_status read_reference(node *n, const gf__json *reference, gf_error *err)
{
    const char *name = gf__json_string(gf__json_at(reference, 0), NULL);
    if (name == NULL)
        return gf_error_set(err, GF_EFORMAT,
                            "layer \"%.128s\": inbound_nodes: expected [\"layer\",0,0]", n->name);
    if (gf__json_int(gf__json_at(reference, 1), 0) != 0 ||
        gf__json_int(gf__json_at(reference, 2), 0) != 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%.128s\": takes a second output or call of \"%.128s\"; layers "
                            "with one of each can be run",
                            n->name, name);
    return add_input_name(n, name, err);
}

/* Keras 3 hides the same reference somewhere in the call's arguments, under "keras_history". The
 * parser has bounded the depth. */
static gf_status read_histories(node *n, const gf__json *value, gf_error *err)
{
    const gf__json *history = gf__json_find(value, "keras_history");
    if (history != NULL)
        return read_reference(n, history, err);
    gf_status st = GF_OK;
    const gf__json *item = NULL;
    const char *key = gf__json_is_object(value) ? gf__json_next(value, NULL, &item) : NULL;
    for (; key != NULL && st == GF_OK; key = gf__json_next(value, key, &item))
        st = read_histories(n, item, err);
    const size_t n_items = gf__json_is_array(value) ? gf__json_n_items(value) : 0;
    for (size_t i = 0; i < n_items && st == GF_OK; i++)
        st = read_histories(n, gf__json_at(value, i), err);
    return st;
}

static gf_status read_inputs(node *n, gf_error *err)
{
    const gf__json *calls = gf__json_find(n->json, "inbound_nodes");
    const size_t n_calls = gf__json_n_items(calls);
    if (n_calls == 0)
        return GF_OK;
    if (n_calls > 1)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%.128s\" is called %zu times; shared layers cannot be run",
                            n->name, n_calls);
    const gf__json *call = gf__json_at(calls, 0);
    if (gf__json_is_object(call))
        return read_histories(n, gf__json_find(call, "args"), err);
    for (size_t i = 0; i < gf__json_n_items(call); i++) {
        const gf_status st = read_reference(n, gf__json_at(call, i), err);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

static gf_status read_node(const gf__json *json, size_t i, node *n, gf_error *err)
{
    const gf__json *config = gf__json_find(json, "config");
    const char *name = gf__json_string(gf__json_find(json, "name"), NULL);
    if (!gf__json_is_string(gf__json_find(json, "class_name")))
        return gf_error_set(err, GF_EFORMAT, "layers[%zu] has no class_name", i);
    n->json = json;
    n->config = config;
    n->name = gf__json_string(gf__json_find(config, "name"), name);
    if (name != NULL)
        n->name = name; /* the one that others refer to */
    if (n->name == NULL)
        return gf_error_set(err, GF_EFORMAT, "layers[%zu] has no name", i);
    return GF_OK;
}

/* ---- nodes into the graph ---- */

static gf_status node_class(const node *n, gf__layer_class *out, gf_error *err)
{
    const char *name = gf__json_string(gf__json_find(n->json, "class_name"), "InputLayer");
    if (strcmp(name, "Merge") == 0)
        return gf__read_merge_class(n->config, n->name, out, err);
    *out = gf__class_find(name);
    if (*out == GF__N_LAYER_CLASSES)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%.128s\": the class %.60s is not one that can be run", n->name,
                            name);
    return GF_OK;
}

static gf_status add_node(model *m, node *n, const size_t *inputs, gf_error *err)
{
    gf__layer_config config = {.name = n->name};
    gf_status st = node_class(n, &config.class_id, err);
    if (st != GF_OK)
        return st;
    config.is_trainable = gf__json_bool(gf__json_find(n->config, "trainable"), true);
    if (config.class_id == GF__LAYER_INPUT)
        config.is_trainable = true; /* it has nothing to train; Keras writes no such setting */
    st = gf__check_fixed_settings(n->config, n->name, err);
    if (st == GF_OK)
        st = gf__classes[config.class_id].read(n->config, &config, err);
    if (st == GF_OK)
        st = gf__graph_add(m->graph, &config, inputs, n->n_inputs, &n->index, err);
    return st;
}

static node *find_node(const model *m, const char *name)
{
    for (size_t i = 0; i < m->n_nodes; i++) {
        if (strcmp(m->nodes[i].name, name) == 0)
            return &m->nodes[i];
    }
    return NULL;
}

/* Depth first, so that a node's inputs are there before it. At most GF__GRAPH_MAX_LAYERS deep. */
static gf_status place_node(model *m, node *n, gf_error *err)
{
    gf_status st = GF_OK;
    if (n->mark == ADDED)
        return GF_OK;
    if (n->mark == IN_PROGRESS)
        return gf_error_set(err, GF_EFORMAT, "layer \"%.128s\" is computed from itself (a cycle)",
                            n->name);
    n->mark = IN_PROGRESS;
    size_t *inputs = gf__calloc(n->n_inputs, sizeof *inputs);
    if (inputs == NULL)
        return gf__error_nomem(err, "a layer's inputs", n->n_inputs * sizeof *inputs);
    for (size_t i = 0; i < n->n_inputs; i++) {
        node *input = find_node(m, n->inputs[i]);
        if (input == NULL) {
            st = gf_error_set(err, GF_EFORMAT, "layer \"%.128s\": its input \"%.128s\" is missing",
                              n->name, n->inputs[i]);
            goto done;
        }
        st = place_node(m, input, err);
        if (st != GF_OK)
            goto done;
        input->is_used = true;
        inputs[i] = input->index;
    }
    st = add_node(m, n, inputs, err);
    n->mark = ADDED;
done:
    gf__free(inputs);
    return st;
}

static gf_status place_nodes(model *m, gf_error *err)
{
    const node *output = NULL;
    for (size_t i = 0; i < m->n_nodes; i++) {
        const gf_status st = place_node(m, &m->nodes[i], err);
        if (st != GF_OK)
            return st;
    }
    for (size_t i = 0; i < m->n_nodes; i++) {
        const node *n = &m->nodes[i];
        if (n->is_used)
            continue;
        if (output != NULL)
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "layers \"%.128s\" and \"%.128s\" are both outputs; networks with "
                                "one output can be run",
                                output->name, n->name);
        output = n;
    }
    return GF_OK;
}

/* ---- the two kinds of model ---- */

/* A Sequential model's first layer may carry the input's shape instead of following an InputLayer.
 */
static gf_status read_implied_input(model *m, const node *first, gf_error *err)
{
    node *input = &m->nodes[m->n_nodes];
    input->owned_name = gf__asprintf("%.120s_input", first->name);
    if (input->owned_name == NULL)
        return gf__error_nomem(err, "a layer's name", strlen(first->name));
    input->name = input->owned_name;
    input->config = first->config;
    m->n_nodes++;
    return GF_OK;
}

static gf_status link_chain(model *m, gf_error *err)
{
    const size_t n = m->n_nodes;
    const char *class_name = gf__json_string(gf__json_find(m->nodes[0].json, "class_name"), "");
    if (strcmp(class_name, "InputLayer") != 0) {
        gf_status st = read_implied_input(m, &m->nodes[0], err);
        if (st == GF_OK)
            st = add_input_name(&m->nodes[0], m->nodes[n].name, err);
        if (st != GF_OK)
            return st;
    }
    for (size_t i = 1; i < n; i++) {
        const gf_status st = add_input_name(&m->nodes[i], m->nodes[i - 1].name, err);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

static gf_status link_tree(model *m, gf_error *err)
{
    size_t n_links = 0;
    for (size_t i = 0; i < m->n_nodes; i++) {
        const gf_status st = read_inputs(&m->nodes[i], err);
        if (st != GF_OK)
            return st;
        n_links += m->nodes[i].n_inputs;
        if (n_links > MAX_LINKS)
            return gf_error_set(err, GF_ELIMIT,
                                "the layers have more than %d inputs in all, no more are read",
                                MAX_LINKS);
    }
    return GF_OK;
}

/* [["dense",0,0]], or ["dense",0,0] in Keras 3. */
static gf_status check_single_output(const gf__json *config, gf_error *err)
{
    const gf__json *outputs = gf__json_find(config, "output_layers");
    if (gf__json_is_array(gf__json_at(outputs, 0)) && gf__json_n_items(outputs) > 1)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "the model has %zu outputs; networks with one output can be run",
                            gf__json_n_items(outputs));
    return GF_OK;
}

static gf_status read_nodes(model *m, const gf__json *layers, gf_error *err)
{
    const size_t n = gf__json_n_items(layers);
    if (!gf__json_is_array(layers) || n == 0)
        return gf_error_set(err, GF_EFORMAT, "the model configuration has no layers");
    if (n > GF__GRAPH_MAX_LAYERS)
        return gf_error_set(err, GF_ELIMIT, "the model has %zu layers, at most %d are read", n,
                            GF__GRAPH_MAX_LAYERS);
    m->nodes = gf__calloc(n + 1, sizeof *m->nodes); /* one more for an implied input */
    if (m->nodes == NULL)
        return gf__error_nomem(err, "layers", n * sizeof *m->nodes);
    for (size_t i = 0; i < n; i++) {
        const gf_status st = read_node(gf__json_at(layers, i), i, &m->nodes[i], err);
        if (st != GF_OK)
            return st;
        m->n_nodes++;
    }
    return GF_OK;
}

gf_status gf__graph_from_config(const gf__json *json, gf_graph **out, gf_error *err)
{
    gf_status st;
    model m = {0};
    const char *class_name = gf__json_string(gf__json_find(json, "class_name"), "");
    const gf__json *config = gf__json_find(json, "config");
    const bool is_chain = strcmp(class_name, "Sequential") == 0;

    *out = NULL;
    if (!is_chain && strcmp(class_name, "Model") != 0 && strcmp(class_name, "Functional") != 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "class_name is \"%.60s\", expected Model, Functional or Sequential",
                            class_name);
    st = check_single_output(config, err);
    if (st != GF_OK)
        goto done;
    /* Sequential was a bare list of layers before Keras 2.2.3. */
    st = read_nodes(&m, gf__json_is_array(config) ? config : gf__json_find(config, "layers"), err);
    if (st != GF_OK)
        goto done;
    st = is_chain ? link_chain(&m, err) : link_tree(&m, err);
    if (st != GF_OK)
        goto done;
    st = gf__graph_new(gf__json_string(gf__json_find(config, "name"), "model"), &m.graph, err);
    if (st != GF_OK)
        goto done;
    st = place_nodes(&m, err);
    if (st != GF_OK)
        goto done;

    *out = m.graph;
    m.graph = NULL; /* moved to the caller */
done:
    gf_graph_free(m.graph);
    free_nodes(&m);
    return st;
}
