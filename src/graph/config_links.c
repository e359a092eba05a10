/* config_links.c: which layer of a configuration reads which. In a Functional model they name each other, in
 * two spellings; a Sequential one is a chain. Names are those of one model: what is called from
 * outside is the model, and what its own input gives is what it was called with. */
#include <string.h>

#include "graph/config_priv.h"

/* Each is looked up by name among all layers; DenseNet-264 has about a thousand. */
#define MAX_LINKS 65536

/* ---- a reference ----------------------------------------------------------------------------- */

static gf_status add_link(gf__config_tree *tree, gf__config_node *n, size_t input, gf_error *err)
{
    if (tree->n_links == MAX_LINKS)
        return gf_error_set(err, GF_ELIMIT,
                            "the layers have more than %d inputs in all, no more are read",
                            MAX_LINKS);
    size_t *inputs = gf__realloc(n->inputs, (n->n_inputs + 1) * sizeof *inputs);
    if (inputs == NULL)
        return gf__error_nomem(err, "a layer's inputs", sizeof *inputs);
    n->inputs = inputs;
    n->inputs[n->n_inputs++] = input;
    tree->nodes[input].is_used = true;
    tree->n_links++;
    return GF_OK;
}

static size_t find_node(const gf__config_tree *tree, size_t model, const char *name)
{
    const size_t end = model + 1 + tree->nodes[model].n_inner;
    for (size_t i = model + 1; i < end; i += 1 + tree->nodes[i].n_inner) {
        if (strcmp(tree->nodes[i].name, name) == 0)
            return i;
    }
    return GF__NO_NODE;
}

/* ["conv2d_1", 0, 0, {...}]: layer, call number, output number. Keras 2 and 3 count a model's own making as
 * its first call. */
static gf_status read_reference(gf__config_tree *tree, gf__config_node *n,
                                const gf__json *reference, gf_error *err)
{
    const char *name = gf__json_string(gf__json_at(reference, 0), NULL);
    if (name == NULL)
        return gf_error_set(err, GF_EFORMAT,
                            "layer \"%.128s\": inbound_nodes: expected [\"layer\",0,0]", n->name);
    const size_t input = find_node(tree, n->model, name);
    if (input == GF__NO_NODE)
        return gf_error_set(err, GF_EFORMAT, "layer \"%.128s\": its input \"%.128s\" is missing",
                            n->name, name);
    const int64_t last_call = tree->nodes[input].kind == GF__NODE_MODEL ? 1 : 0;
    const int64_t call = gf__json_int(gf__json_at(reference, 1), 0);
    if (call < 0 || call > last_call || gf__json_int(gf__json_at(reference, 2), 0) != 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%.128s\": takes a second output or call of \"%.128s\"; layers "
                            "with one of each can be run",
                            n->name, name);
    return add_link(tree, n, input, err);
}

/* Keras 3 hides the same reference somewhere in the call's arguments, under "keras_history". The
 * parser has bounded the depth. */
static gf_status read_histories(gf__config_tree *tree, gf__config_node *n, const gf__json *value,
                                gf_error *err)
{
    const gf__json *history = gf__json_find(value, "keras_history");
    if (history != NULL)
        return read_reference(tree, n, history, err);
    gf_status st = GF_OK;
    const gf__json *item = NULL;
    const char *key = gf__json_is_object(value) ? gf__json_next(value, NULL, &item) : NULL;
    for (; key != NULL && st == GF_OK; key = gf__json_next(value, key, &item))
        st = read_histories(tree, n, item, err);
    const size_t n_items = gf__json_is_array(value) ? gf__json_n_items(value) : 0;
    for (size_t i = 0; i < n_items && st == GF_OK; i++)
        st = read_histories(tree, n, gf__json_at(value, i), err);
    return st;
}

/* A normalization that goes on learning, noise that stays. */
static gf_status check_training(const gf__config_node *n, const gf__json *keywords, gf_error *err)
{
    if (!gf__json_bool(gf__json_find(keywords, "training"), false))
        return GF_OK;
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "layer \"%.128s\" is called with training, as if the network were never "
                        "done learning; that cannot be run",
                        n->name);
}

/* [["conv2d", 0, 0, {...}], ...], and of an operation with one input also without the outer brackets. */
static gf_status read_references(gf__config_tree *tree, gf__config_node *n, const gf__json *call,
                                 gf_error *err)
{
    const bool is_bare = gf__json_is_string(gf__json_at(call, 0));
    const size_t n_references = is_bare ? 1 : gf__json_n_items(call);
    for (size_t i = 0; i < n_references; i++) {
        const gf__json *reference = is_bare ? call : gf__json_at(call, i);
        gf_status st = check_training(n, gf__json_at(reference, 3), err);
        if (st == GF_OK)
            st = read_reference(tree, n, reference, err);
        if (st != GF_OK)
            return st;
    }
    return GF_OK;
}

static gf_status read_inputs(gf__config_tree *tree, gf__config_node *n, gf_error *err)
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
    if (!gf__json_is_object(call))
        return read_references(tree, n, call, err);
    const gf_status st = check_training(n, gf__json_find(call, "kwargs"), err);
    return st == GF_OK ? read_histories(tree, n, gf__json_find(call, "args"), err) : st;
}

/* ---- a model --------------------------------------------------------------------------------- */

static gf_status link_functional(gf__config_tree *tree, size_t m, gf_error *err)
{
    gf_status st = GF_OK;
    const size_t end = m + 1 + tree->nodes[m].n_inner;
    for (size_t i = m + 1; i < end && st == GF_OK; i += 1 + tree->nodes[i].n_inner) {
        if (m == 0 || !gf__config_is_input(&tree->nodes[i]))
            st = read_inputs(tree, &tree->nodes[i], err);
    }
    return st;
}

/* An input that is only implied stands at the end, and is read by the first. */
static gf_status link_chain(gf__config_tree *tree, size_t m, gf_error *err)
{
    gf_status st = GF_OK;
    const size_t end = m + 1 + tree->nodes[m].n_inner;
    const size_t last = end - 1;
    if (tree->nodes[last].json == NULL && tree->nodes[last].model == m)
        st = add_link(tree, &tree->nodes[m + 1], last, err);
    for (size_t i = m + 1; st == GF_OK;) {
        const size_t next = i + 1 + tree->nodes[i].n_inner;
        if (next >= end || tree->nodes[next].json == NULL)
            break;
        st = add_link(tree, &tree->nodes[next], i, err);
        i = next;
    }
    return st;
}

/* A model that is a layer is called once, with one value. */
static gf_status check_call(const gf__config_tree *tree, size_t m, gf_error *err)
{
    const gf__config_node *model = &tree->nodes[m];
    size_t n_inputs = 0;
    const size_t end = m + 1 + model->n_inner;
    for (size_t i = m + 1; i < end; i += 1 + tree->nodes[i].n_inner)
        n_inputs += gf__config_is_input(&tree->nodes[i]);
    if (model->n_inputs == 1 && n_inputs == 1)
        return GF_OK;
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "model \"%.128s\" has %zu inputs and is called with %zu; as a layer, a "
                        "model with one input can be run",
                        model->name, n_inputs, model->n_inputs);
}

gf_status gf__config_find_output(gf__config_tree *tree, size_t m, gf_error *err)
{
    gf__config_node *model = &tree->nodes[m];
    const size_t end = m + 1 + model->n_inner;
    for (size_t i = m + 1; i < end; i += 1 + tree->nodes[i].n_inner) {
        const gf__config_node *n = &tree->nodes[i];
        if (n->is_used)
            continue;
        if (model->output != GF__NO_NODE)
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "layers \"%.128s\" and \"%.128s\" are both outputs; networks with "
                                "one output can be run",
                                tree->nodes[model->output].name, n->name);
        model->output = i;
    }
    if (model->output == GF__NO_NODE)
        return gf_error_set(err, GF_EFORMAT, "model \"%.128s\" has no output (a cycle)",
                            model->name);
    return GF_OK;
}

gf_status gf__config_link(gf__config_tree *tree, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t m = 0; m < tree->n_nodes && st == GF_OK; m++) {
        if (tree->nodes[m].kind != GF__NODE_MODEL)
            continue;
        if (m > 0)
            st = check_call(tree, m, err);
        if (st == GF_OK)
            st = gf__config_is_chain(&tree->nodes[m]) ? link_chain(tree, m, err)
                                                      : link_functional(tree, m, err);
        if (st == GF_OK && m > 0)
            st = gf__config_find_output(tree, m, err);
    }
    return st;
}

/* ---- what a node gives ----------------------------------------------------------------------- */

static size_t step(const gf__config_tree *tree, const gf__config_node *n)
{
    if (n->kind == GF__NODE_MODEL)
        return n->output;
    if (gf__config_is_input(n)) /* of a model that is a layer */
        return tree->nodes[n->model].inputs[0];
    return n->n_inputs == 1 ? n->inputs[0] : GF__NO_NODE;
}

/* y = scale * x + shift, followed from y to x. */
gf_status gf__config_follow(const gf__config_tree *tree, size_t node, gf__config_value *out,
                            gf_error *err)
{
    *out = (gf__config_value){.node = node, .scale = 1.0, .by = GF__NO_NODE};
    for (size_t n_steps = 0; tree->nodes[out->node].kind != GF__NODE_LAYER; n_steps++) {
        const gf__config_node *n = &tree->nodes[out->node];
        const size_t next = step(tree, n);
        if (next == GF__NO_NODE)
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "layer \"%.128s\" has %zu inputs, expected one", n->name,
                                n->n_inputs);
        if (n_steps == tree->n_nodes)
            return gf_error_set(err, GF_EFORMAT,
                                "layer \"%.128s\" is computed from itself (a cycle)", n->name);
        if (n->kind == GF__NODE_SCALING) {
            out->shift += out->scale * n->shift;
            out->scale *= n->scale;
            if (out->by == GF__NO_NODE)
                out->by = out->node;
        }
        out->node = next;
    }
    return GF_OK;
}
