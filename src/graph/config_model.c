/* config_model.c: Keras' configuration of a whole model into a graph. The document is a list of
 * nodes that name their inputs, in any order; they are put into the graph in the document's order,
 * a node's inputs before it. Models among the layers are taken apart: their layers become the
 * graph's. Everything is checked: the document may come from anywhere. */
#include <math.h>
#include <string.h>

#include "graph/config_priv.h"

#define MAX_SCALING 1e6
#define MAX_TWINS   32 /* layers of one name in models of one name */

typedef struct reading {
    gf__config_tree tree;
    gf_graph *graph;
    gf__config_value input; /* how the network's input is scaled */
    bool has_input;         /* a layer has read it */
} reading;

/* ---- names ----------------------------------------------------------------------------------- */

static const char *name_in_graph(const gf__config_node *n)
{
    return n->graph_name != NULL ? n->graph_name : n->name;
}

/* By a layer of the whole, which keep their names, or by one that has its name already. */
static bool is_taken(const gf__config_tree *tree, size_t self, const char *name)
{
    for (size_t i = 1; i < tree->n_nodes; i++) {
        const gf__config_node *n = &tree->nodes[i];
        if (n->kind == GF__NODE_LAYER && (i < self || n->model == 0) && i != self &&
            strcmp(name_in_graph(n), name) == 0)
            return true;
    }
    return false;
}

/* A layer of an inner model is called as there, or after its model, too, where that is taken. */
static gf_status name_layer(gf__config_tree *tree, size_t i, gf_error *err)
{
    gf__config_node *n = &tree->nodes[i];
    const char *model = tree->nodes[n->model].name;
    bool is_free = !is_taken(tree, i, n->name);
    for (int number = 1; !is_free && number <= MAX_TWINS; number++) {
        char *made = number == 1 ? gf__asprintf("%s_%s", model, n->name)
                                 : gf__asprintf("%s_%s_%d", model, n->name, number);
        if (made == NULL)
            return gf__error_nomem(err, "a layer's name", strlen(n->name));
        is_free = !is_taken(tree, i, made);
        gf__free(n->graph_name);
        n->graph_name = made;
    }
    return is_free ? GF_OK
                   : gf_error_set(err, GF_ELIMIT,
                                  "more than %d layers are called \"%.60s\", in models called "
                                  "\"%.60s\"",
                                  MAX_TWINS, n->name, model);
}

static gf_status name_layers(gf__config_tree *tree, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 1; i < tree->n_nodes && st == GF_OK; i++) {
        if (tree->nodes[i].kind == GF__NODE_LAYER && tree->nodes[i].model > 0)
            st = name_layer(tree, i, err);
    }
    return st;
}

/* ---- nodes into the graph -------------------------------------------------------------------- */

static gf_status node_class(const gf__config_node *n, gf__layer_class *out, gf_error *err)
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

static gf_status add_node(reading *r, gf__config_node *n, const size_t *inputs, gf_error *err)
{
    gf__layer_config config = {.name = name_in_graph(n)};
    gf_status st = node_class(n, &config.class_id, err);
    if (st != GF_OK)
        return st;
    config.is_trainable = gf__json_bool(gf__json_find(n->config, "trainable"), true);
    if (config.class_id == GF__LAYER_INPUT)
        config.is_trainable = true; /* it has nothing to train; Keras writes no such setting */
    st = gf__check_fixed_settings(n->config, config.name, err);
    if (st == GF_OK)
        st = gf__classes[config.class_id].read(n->config, &config, err);
    if (st == GF_OK)
        st = gf__graph_add(r->graph, &config, inputs, n->n_inputs, &n->layer, err);
    return st;
}

/* Only the network's input may be scaled, and for all that read it alike: then pixels are. */
static gf_status note_scaling(reading *r, const gf__config_node *reader,
                              const gf__config_value *value, gf_error *err)
{
    const gf__config_node *source = &r->tree.nodes[value->node];
    if (!gf__config_is_input(source)) {
        if (value->by == GF__NO_NODE)
            return GF_OK;
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%.100s\" scales what \"%.100s\" puts out; only the network's "
                            "input can be scaled",
                            r->tree.nodes[value->by].name, source->name);
    }
    if (!r->has_input)
        r->input = *value;
    r->has_input = true;
    if (r->input.scale == value->scale && r->input.shift == value->shift)
        return GF_OK;
    return gf_error_set(
        err, GF_EUNSUPPORTED,
        "layer \"%.128s\" sees the input scaled in another way than others do; it can "
        "be scaled once",
        reader->name);
}

static gf_status place_node(reading *r, gf__config_node *n, gf_error *err);

static gf_status place_inputs(reading *r, gf__config_node *n, size_t *inputs, gf_error *err)
{
    for (size_t i = 0; i < n->n_inputs; i++) {
        gf__config_value value;
        gf_status st = gf__config_follow(&r->tree, n->inputs[i], &value, err);
        if (st == GF_OK)
            st = place_node(r, &r->tree.nodes[value.node], err);
        if (st == GF_OK)
            st = note_scaling(r, n, &value, err);
        if (st != GF_OK)
            return st;
        inputs[i] = r->tree.nodes[value.node].layer;
    }
    return GF_OK;
}

/* Depth first, so that a node's inputs are there before it. At most as deep as there are nodes. */
static gf_status place_node(reading *r, gf__config_node *n, gf_error *err)
{
    if (n->mark == GF__ADDED)
        return GF_OK;
    if (n->mark == GF__IN_PROGRESS)
        return gf_error_set(err, GF_EFORMAT, "layer \"%.128s\" is computed from itself (a cycle)",
                            n->name);
    n->mark = GF__IN_PROGRESS;
    size_t *inputs = gf__calloc(n->n_inputs, sizeof *inputs);
    if (inputs == NULL)
        return gf__error_nomem(err, "a layer's inputs", n->n_inputs * sizeof *inputs);
    gf_status st = place_inputs(r, n, inputs, err);
    if (st == GF_OK)
        st = add_node(r, n, inputs, err);
    n->mark = GF__ADDED;
    gf__free(inputs);
    return st;
}

static gf_status place_nodes(reading *r, gf_error *err)
{
    gf__config_value end = {.by = GF__NO_NODE};
    gf_status st = GF_OK;
    for (size_t i = 1; i < r->tree.n_nodes && st == GF_OK; i++) {
        if (r->tree.nodes[i].kind == GF__NODE_LAYER)
            st = place_node(r, &r->tree.nodes[i], err);
    }
    if (st == GF_OK)
        st = gf__config_find_output(&r->tree, 0, err);
    if (st == GF_OK)
        st = gf__config_follow(&r->tree, r->tree.nodes[0].output, &end, err);
    if (st == GF_OK && end.by != GF__NO_NODE)
        st = gf_error_set(err, GF_EUNSUPPORTED,
                          "layer \"%.128s\" scales the network's output; only its input can be "
                          "scaled",
                          r->tree.nodes[end.by].name);
    return st;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static gf_status make_graph(reading *r, const gf__json *model, gf_error *err)
{
    gf_status st = gf__config_list(&r->tree, model, err);
    if (st == GF_OK)
        st = gf__config_link(&r->tree, err);
    if (st == GF_OK)
        st = name_layers(&r->tree, err);
    if (st == GF_OK)
        st = gf__graph_new(r->tree.nodes[0].name, &r->graph, err);
    if (st == GF_OK)
        st = place_nodes(r, err);
    return st;
}

static bool is_scaled(const reading *r)
{
    return r->has_input && r->input.by != GF__NO_NODE;
}

static gf_status write_notes(const reading *r, gf__config_notes *notes, gf_error *err)
{
    const gf__config_tree *tree = &r->tree;
    notes->is_scaled = is_scaled(r);
    notes->scale = r->input.scale;
    notes->shift = r->input.shift;
    if (notes->is_scaled && !(fabs(notes->scale) > 0.0 && fabs(notes->scale) < MAX_SCALING &&
                              fabs(notes->shift) < MAX_SCALING))
        return gf_error_set(err, GF_EFORMAT, "layer \"%.128s\" scales the input by %g and adds %g",
                            tree->nodes[r->input.by].name, notes->scale, notes->shift);
    notes->entries = gf__calloc(tree->n_nodes, sizeof *notes->entries);
    if (notes->entries == NULL)
        return gf__error_nomem(err, "layers", tree->n_nodes * sizeof *notes->entries);
    for (size_t i = 0; i < tree->n_nodes; i++) {
        const gf__config_node *n = &tree->nodes[i];
        notes->entries[i] = (gf__config_entry){.json = n->json,
                                               .name = n->json != NULL ? n->name : NULL,
                                               .n_inner = n->n_inner,
                                               .layer = n->layer};
    }
    notes->n_entries = tree->n_nodes;
    return GF_OK;
}

void gf__config_notes_free(gf__config_notes *notes)
{
    gf__free(notes->entries);
    *notes = (gf__config_notes){0};
}

static gf_status refuse_scaling(const reading *r, gf_error *err)
{
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "layer \"%.128s\" scales the input, which is no part of a graph",
                        r->tree.nodes[r->input.by].name);
}

gf_status gf__graph_from_noted_config(const gf__json *model, gf__config_notes *notes,
                                      gf_graph **out, gf_error *err)
{
    reading r = {0};
    *out = NULL;
    gf_status st = make_graph(&r, model, err);
    if (st == GF_OK && notes == NULL && is_scaled(&r))
        st = refuse_scaling(&r, err);
    if (st == GF_OK && notes != NULL)
        st = write_notes(&r, notes, err);
    if (st == GF_OK) {
        *out = r.graph;
        r.graph = NULL; /* moved to the caller */
    }
    gf_graph_free(r.graph);
    gf__config_tree_free(&r.tree);
    return st;
}

gf_status gf__graph_from_config(const gf__json *model, gf_graph **out, gf_error *err)
{
    return gf__graph_from_noted_config(model, NULL, out, err);
}
