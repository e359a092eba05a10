/* graph_priv.h: how a graph is stored, and the table of layer classes: one row a class, with the
 * functions that infer its shape, read its Keras configuration and write it. Never leaves this
 * folder. */
#ifndef GRAFT_GRAPH_PRIV_H
#define GRAFT_GRAPH_PRIV_H

#include "graph/graph.h"

#define GF__LAYER_MAX_WEIGHTS 4
#define GF__LAYER_NAME_MAX    128 /* bytes; keeps every message that names a layer in one line */
#define GF__GRAPH_MAX_LAYERS \
    4096 /* the deepest recursion over a graph, and the bound of what is quadratic */

typedef struct gf__weight {
    const char *name; /* static */
    bool is_trainable;
    size_t shape[4];
    size_t n_dims;
    size_t n_values;
    gf_tensor *tensor; /* NULL until it is set */
} gf__weight;

struct gf_layer {
    gf__layer_config config; /* config.name is owned */
    size_t *inputs;          /* each smaller than the layer's own index */
    size_t n_inputs;
    size_t shape[3];
    size_t n_dims;
    gf__weight weights[GF__LAYER_MAX_WEIGHTS];
    size_t n_weights;
};

struct gf_graph {
    char *name;
    gf_layer **layers; /* every layer after its inputs; the last one is the output */
    size_t n_layers;
    size_t capacity;
};

/* Sets the output shape, declares the weights and resolves "same" padding from the inputs' shapes.
 */
typedef gf_status gf__infer(const gf_graph *graph, gf_layer *layer, gf_error *err);
/* Fills the class's settings from Keras' configuration, config->name being set. */
typedef gf_status gf__read(const gf__json *json, gf__layer_config *config, gf_error *err);
/* Adds the class's settings to Keras' configuration. */
typedef void gf__write(const gf__layer_config *config, gf__json *json);

typedef struct gf__class {
    const char *name;     /* Keras 2 */
    const char *old_name; /* another name it is read by, or NULL */
    size_t min_inputs;
    size_t max_inputs;
    gf__infer *infer;
    gf__read *read;
    gf__write *write;
} gf__class;

/* Indexed by gf__layer_class. */
extern const gf__class gf__classes[GF__N_LAYER_CLASSES];

gf__infer gf__infer_input, gf__infer_conv2d, gf__infer_depthwise, gf__infer_batch_normalization,
    gf__infer_same, gf__infer_pooling, gf__infer_global_pooling, gf__infer_concatenate,
    gf__infer_add, gf__infer_zero_padding, gf__infer_flatten, gf__infer_dense;
gf__read gf__read_input, gf__read_conv2d, gf__read_depthwise, gf__read_batch_normalization,
    gf__read_activation, gf__read_relu, gf__read_pooling, gf__read_concatenate,
    gf__read_zero_padding, gf__read_dense, gf__read_dropout, gf__read_nothing;
gf__write gf__write_input, gf__write_conv2d, gf__write_depthwise, gf__write_batch_normalization,
    gf__write_activation, gf__write_relu, gf__write_pooling, gf__write_concatenate,
    gf__write_zero_padding, gf__write_dense, gf__write_dropout, gf__write_nothing;

/* The class of that Keras name, old or new; GF__N_LAYER_CLASSES where there is none. */
gf__layer_class gf__class_find(const char *name);
/* GF_EUNSUPPORTED with the list, the layer named. */
gf_status gf__activation_parse(const char *layer, const char *name, gf__activation *out,
                               gf_error *err);

/* A layer of `from`, weights shared, appended to `graph` with the given inputs. */
gf_status gf__graph_add_copy(gf_graph *graph, const gf_layer *from, const size_t *inputs,
                             gf_error *err);
/* Takes the last layer away again. */
void gf__graph_drop_last(gf_graph *graph);
/* Index of the layer of exactly that name; n_layers where there is none. */
size_t gf__graph_index_of(const gf_graph *graph, const char *name);

#endif
