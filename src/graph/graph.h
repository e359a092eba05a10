/* graph/graph.h: the door of graph for other folders: building a graph layer by layer, reading and
 * writing it as Keras configuration, and the layers' settings as the engine needs them. */
#ifndef GRAFT_SRC_GRAPH_H
#define GRAFT_SRC_GRAPH_H

#include "base/base.h"
#include "graft/graph.h"

typedef enum gf__layer_class {
    GF__LAYER_INPUT,
    GF__LAYER_CONV2D,
    GF__LAYER_DEPTHWISE_CONV2D,
    GF__LAYER_BATCH_NORMALIZATION,
    GF__LAYER_ACTIVATION,
    GF__LAYER_RELU, /* with max_value, as in MobileNet */
    GF__LAYER_MAX_POOLING2D,
    GF__LAYER_AVERAGE_POOLING2D,
    GF__LAYER_GLOBAL_AVERAGE_POOLING2D,
    GF__LAYER_GLOBAL_MAX_POOLING2D,
    GF__LAYER_CONCATENATE,
    GF__LAYER_ADD,
    GF__LAYER_ZERO_PADDING2D,
    GF__LAYER_FLATTEN,
    GF__LAYER_DENSE,
    GF__LAYER_DROPOUT,
    GF__N_LAYER_CLASSES
} gf__layer_class;

typedef enum gf__activation {
    GF__ACTIVATION_LINEAR,
    GF__ACTIVATION_RELU,
    GF__ACTIVATION_RELU6,
    GF__ACTIVATION_SOFTMAX,
    GF__ACTIVATION_TANH,
    GF__ACTIVATION_SIGMOID
} gf__activation;
const char *gf__activation_name(gf__activation activation);

/* The settings of every class in one struct; those a class does not have are 0. */
typedef struct gf__layer_config {
    gf__layer_class class_id;
    const char *name;  /* copied */
    bool is_trainable; /* Keras: true unless the configuration says otherwise */
    size_t filters;    /* Conv2D */
    size_t units;      /* Dense */
    size_t kernel[2];  /* height, width: convolution, pooling */
    size_t strides[2];
    size_t padding[4];    /* top, bottom, left, right; resolved for "same" from the input's shape */
    bool is_same_padding; /* "same" as opposed to "valid" */
    bool has_bias;
    bool has_scale;  /* BatchNormalization: gamma */
    bool has_center; /* BatchNormalization: beta */
    double epsilon;  /* BatchNormalization */
    double rate;     /* Dropout */
    size_t axis;     /* Concatenate, BatchNormalization, softmax: 0 once added, the last one */
    gf__activation activation;
    double max_value;      /* ReLU: 0 means none */
    size_t input_shape[3]; /* Input: height, width, channels */
    size_t n_input_dims;   /* Input: 3 for pictures, 1 for features */
} gf__layer_config;

/* Building. Inputs are indices of layers already there. Shapes are inferred and checked; messages
 * name the layer. Weights are missing until set_weight or zero_weights gives them. */
gf_status gf__graph_new(const char *name, gf_graph **out, gf_error *err);
gf_status gf__graph_add(gf_graph *graph, const gf__layer_config *config, const size_t *inputs,
                        size_t n_inputs, size_t *index, gf_error *err);
/* Takes one reference of the tensor; the dtype must be float32 and the shape the layer's own:
 * GF_ESHAPE names both. */
gf_status gf__graph_set_weight(gf_graph *graph, size_t layer, const char *weight, gf_tensor *tensor,
                               gf_error *err);
/* Allocates, zeroed, every weight that is still missing. */
gf_status gf__graph_zero_weights(gf_graph *graph, gf_error *err);
/* Puts the layers in Keras' order: by depth, within a depth as the model's creation visited
 * them. */
gf_status gf__graph_sort_as_keras(gf_graph *graph, gf_error *err);

const gf__layer_config *gf__layer_config_of(const gf_layer *layer);
/* Weights in Keras' order. "kernel", "bias" | "gamma", "beta", "moving_mean", "moving_variance". */
size_t gf__layer_n_weights(const gf_layer *layer);
const char *gf__layer_weight_name(const gf_layer *layer, size_t i);
gf_tensor *gf__layer_weight_at(const gf_layer *layer,
                               size_t i); /* borrowed; NULL before it is set */
/* Shape that weight i must have; returns the number of dimensions. */
size_t gf__layer_weight_shape(const gf_layer *layer, size_t i, size_t shape[4]);
/* Output of the graph: its last layer. */
size_t gf__graph_output(const gf_graph *graph);

/* Keras' model configuration: {"class_name": "Model"|"Functional"|"Sequential", "config": {"name",
 * "layers": [...]}}. Reading understands the spellings of Keras 1.2 to 3 (dilation 1 only) and refuses,
 * naming the layer, what graft cannot run. Layers keep the order of the document. The tree is
 * checked: unknown inputs, cycles, two outputs. A model that is a layer gives the graph its own
 * layers, under their names, with its name in front of those that are taken; what does nothing once
 * training is over (RandomFlip, GaussianNoise ...) gives none. */
gf_status gf__graph_from_config(const gf__json *model, gf_graph **out, gf_error *err);
gf_status gf__graph_to_config(const gf_graph *graph, gf__json **out, gf_error *err);

/* A layer of a configuration, in the document's order. Behind a model come its own layers. */
typedef struct gf__config_entry {
    const gf__json *json; /* borrowed from the document; NULL: an input that is only implied */
    const char *name;     /* as the document calls it; borrowed */
    size_t n_inner;       /* entries behind it that lie in it: more than 0 for a model, only */
    size_t layer;         /* in the graph; SIZE_MAX: a model, or what gives none */
} gf__config_entry;

/* What a graph does not say: where weights are to be looked for, and what is done with the input first. */
typedef struct gf__config_notes {
    gf__config_entry *entries; /* entry 0 is the whole */
    size_t n_entries;
    bool is_scaled; /* the input is multiplied and added to before the first layers read it */
    double scale, shift;
} gf__config_notes;
/* The same with notes; start them with {0}. Without them, a configuration that scales the input is
 * refused. */
gf_status gf__graph_from_noted_config(const gf__json *model, gf__config_notes *notes,
                                      gf_graph **out, gf_error *err);
void gf__config_notes_free(gf__config_notes *notes);
/* Whether a layer's class is a model, which lists layers in its configuration. */
bool gf__config_is_model(const gf__json *layer);
/* Whether a layer is an operation of one input and settings, as `x / 127.5` leaves it: among the
 * arguments of its call are numbers. */
bool gf__config_is_operation(const gf__json *layer);

/* The first layer of the tail of Dense, Dropout and Activation layers that a head is made of;
 * n_layers where there is none. */
size_t gf__graph_head_start(const gf_graph *graph);

#endif
