/* config_priv.h: between the files that read a model's configuration: config_nodes.c (the document as a
 * list), config_links.c (who reads whom), config_scaling.c (what is no layer of a graph),
 * config_model.c (the list into a graph) and config_read.c (one layer's settings). Never leaves
 * this folder. */
#ifndef GRAFT_GRAPH_CONFIG_PRIV_H
#define GRAFT_GRAPH_CONFIG_PRIV_H

#include <stdio.h>

#include "graph/graph_priv.h"

#define GF__CONFIG_MAX_DEPTH 16 /* models in models; people have two */
#define GF__NO_NODE          SIZE_MAX

typedef enum gf__node_kind {
    GF__NODE_LAYER,   /* becomes one of the graph's */
    GF__NODE_MODEL,   /* its layers stand behind it in the list */
    GF__NODE_NOTHING, /* gives what its input gives */
    GF__NODE_SCALING  /* gives its input * scale + shift */
} gf__node_kind;

typedef enum gf__node_mark { GF__UNSEEN, GF__IN_PROGRESS, GF__ADDED } gf__node_mark;

/* A layer of the document, a model among them, or an input that Sequential only implies. */
typedef struct gf__config_node {
    gf__node_kind kind;
    const gf__json *json;   /* {"class_name", "config", "inbound_nodes"}; NULL: an implied input */
    const gf__json *config; /* its settings */
    const char *name;       /* as its model calls it; borrowed from the document, or owned_name */
    char *owned_name;
    char *graph_name; /* where the graph calls it otherwise; owned */
    size_t model;     /* node of the model it lies in; GF__NO_NODE: it is the whole */
    size_t n_inner;   /* nodes behind it that lie in it */
    size_t *inputs;   /* nodes of the same model; owned */
    size_t n_inputs;
    double scale, shift; /* GF__NODE_SCALING */
    size_t output;       /* GF__NODE_MODEL: the node in it that no other there reads */
    size_t layer;        /* in the graph; GF__NO_NODE where it is none */
    bool is_used;        /* is an input of another */
    gf__node_mark mark;
} gf__config_node;

/* The document's layers in its order; node 0 is the whole, and behind every model come its own. */
typedef struct gf__config_tree {
    gf__config_node *nodes;
    size_t n_nodes, capacity;
    size_t n_links;
} gf__config_tree;

/* ---- config_nodes.c ---- */

/* Start with {0}; end with gf__config_tree_free(), also after an error. */
gf_status gf__config_list(gf__config_tree *tree, const gf__json *model, gf_error *err);
void gf__config_tree_free(gf__config_tree *tree);
bool gf__config_is_chain(const gf__config_node *model);
bool gf__config_is_input(const gf__config_node *node);

/* ---- config_links.c ---- */

/* Fills inputs, and output of every model but the whole. */
gf_status gf__config_link(gf__config_tree *tree, gf_error *err);
/* The same for model m: GF_EUNSUPPORTED where two layers of it are outputs. */
gf_status gf__config_find_output(gf__config_tree *tree, size_t m, gf_error *err);

/* What a node gives: the layer behind models and nodes that do nothing, and how it is scaled on the
 * way (by: the last that does; GF__NO_NODE: none). */
typedef struct gf__config_value {
    size_t node;
    double scale, shift;
    size_t by;
} gf__config_value;
gf_status gf__config_follow(const gf__config_tree *tree, size_t node, gf__config_value *out,
                            gf_error *err);

/* ---- config_scaling.c ---- */

/* Sets kind, scale and shift of a node that is no layer of a graph. */
gf_status gf__config_classify(gf__config_node *node, gf_error *err);

/* ---- config_read.c ---- */

/* GF_EUNSUPPORTED where a setting has a value that cannot be run: dilation, groups, channels first
 * ... */
gf_status gf__check_fixed_settings(const gf__json *json, const char *layer, gf_error *err);

/* Keras 1's class Merge is Concatenate or Add by its mode. */
gf_status gf__read_merge_class(const gf__json *json, const char *layer, gf__layer_class *out,
                               gf_error *err);

#endif
