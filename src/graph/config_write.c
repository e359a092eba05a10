/* config_write.c: a graph as Keras' model configuration, in the spelling that Keras 2.2 wrote and
 * every Keras 2 reads. The text is also what a trunk's identity is computed from: the same graph
 * gives the same bytes. */
#include "graph/graph_priv.h"

static void set_pair(gf__json *json, const char *key, size_t a, size_t b)
{
    gf__json *pair = gf__json_array();
    gf__json_append(pair, gf__json_new_int((int64_t)a));
    gf__json_append(pair, gf__json_new_int((int64_t)b));
    gf__json_set(json, key, pair);
}

static void set_window(gf__json *json, const char *key, const gf__layer_config *config)
{
    set_pair(json, key, config->kernel[0], config->kernel[1]);
    set_pair(json, "strides", config->strides[0], config->strides[1]);
    gf__json_set_string(json, "padding", config->is_same_padding ? "same" : "valid");
    gf__json_set_string(json, "data_format", "channels_last");
}

void gf__write_nothing(const gf__layer_config *config, gf__json *json)
{
    (void)config;
    (void)json;
}

void gf__write_input(const gf__layer_config *config, gf__json *json)
{
    gf__json *shape = gf__json_array();
    gf__json_append(shape, gf__json_new_null());
    for (size_t i = 0; i < config->n_input_dims; i++)
        gf__json_append(shape, gf__json_new_int((int64_t)config->input_shape[i]));
    gf__json_set(json, "batch_input_shape", shape);
    gf__json_set_string(json, "dtype", "float32");
    gf__json_set_bool(json, "sparse", false);
}

void gf__write_activation(const gf__layer_config *config, gf__json *json)
{
    gf__json_set_string(json, "activation", gf__activation_name(config->activation));
}

void gf__write_conv2d(const gf__layer_config *config, gf__json *json)
{
    gf__json_set_int(json, "filters", (int64_t)config->filters);
    gf__write_depthwise(config, json);
}

void gf__write_depthwise(const gf__layer_config *config, gf__json *json)
{
    set_window(json, "kernel_size", config);
    gf__write_activation(config, json);
    gf__json_set_bool(json, "use_bias", config->has_bias);
}

void gf__write_batch_normalization(const gf__layer_config *config, gf__json *json)
{
    gf__json_set_int(json, "axis", -1);
    gf__json_set_number(json, "epsilon", config->epsilon);
    gf__json_set_bool(json, "center", config->has_center);
    gf__json_set_bool(json, "scale", config->has_scale);
}

void gf__write_relu(const gf__layer_config *config, gf__json *json)
{
    if (config->max_value > 0)
        gf__json_set_number(json, "max_value", config->max_value);
    else
        gf__json_set(json, "max_value", gf__json_new_null());
}

void gf__write_pooling(const gf__layer_config *config, gf__json *json)
{
    set_window(json, "pool_size", config);
}

void gf__write_concatenate(const gf__layer_config *config, gf__json *json)
{
    (void)config;
    gf__json_set_int(json, "axis", -1);
}

void gf__write_zero_padding(const gf__layer_config *config, gf__json *json)
{
    gf__json *padding = gf__json_array();
    for (size_t side = 0; side < 2; side++) {
        gf__json *pair = gf__json_array();
        gf__json_append(pair, gf__json_new_int((int64_t)config->padding[2 * side]));
        gf__json_append(pair, gf__json_new_int((int64_t)config->padding[2 * side + 1]));
        gf__json_append(padding, pair);
    }
    gf__json_set(json, "padding", padding);
    gf__json_set_string(json, "data_format", "channels_last");
}

void gf__write_dense(const gf__layer_config *config, gf__json *json)
{
    gf__json_set_int(json, "units", (int64_t)config->units);
    gf__write_activation(config, json);
    gf__json_set_bool(json, "use_bias", config->has_bias);
}

void gf__write_dropout(const gf__layer_config *config, gf__json *json)
{
    gf__json_set_number(json, "rate", config->rate);
}

/* ["conv2d_1", 0, 0]: a layer's only output. */
static gf__json *new_reference(const gf_layer *layer)
{
    gf__json *reference = gf__json_array();
    gf__json_append(reference, gf__json_new_string(layer->config.name));
    gf__json_append(reference, gf__json_new_int(0));
    gf__json_append(reference, gf__json_new_int(0));
    return reference;
}

static gf__json *new_inbound_nodes(const gf_graph *graph, const gf_layer *layer)
{
    gf__json *nodes = gf__json_array();
    if (layer->n_inputs == 0)
        return nodes;
    gf__json *node = gf__json_array();
    for (size_t i = 0; i < layer->n_inputs; i++) {
        gf__json *reference = new_reference(graph->layers[layer->inputs[i]]);
        gf__json_append(reference, gf__json_object()); /* keyword arguments of the call */
        gf__json_append(node, reference);
    }
    gf__json_append(nodes, node);
    return nodes;
}

static gf__json *new_layer(const gf_graph *graph, const gf_layer *layer)
{
    const gf__class *class = &gf__classes[layer->config.class_id];
    gf__json *config = gf__json_object();
    gf__json_set_string(config, "name", layer->config.name);
    if (layer->config.class_id != GF__LAYER_INPUT)
        gf__json_set_bool(config, "trainable", layer->config.is_trainable);
    class->write(&layer->config, config);

    gf__json *json = gf__json_object();
    gf__json_set_string(json, "name", layer->config.name);
    gf__json_set_string(json, "class_name", class->name);
    gf__json_set(json, "config", config);
    gf__json_set(json, "inbound_nodes", new_inbound_nodes(graph, layer));
    return json;
}

static gf__json *new_reference_list(const gf_layer *layer)
{
    gf__json *list = gf__json_array();
    gf__json_append(list, new_reference(layer));
    return list;
}

gf_status gf__graph_to_config(const gf_graph *graph, gf__json **out, gf_error *err)
{
    *out = NULL;
    gf__json *layers = gf__json_array();
    for (size_t i = 0; i < graph->n_layers; i++)
        gf__json_append(layers, new_layer(graph, graph->layers[i]));
    gf__json *config = gf__json_object();
    gf__json_set_string(config, "name", graph->name);
    gf__json_set(config, "layers", layers);
    if (graph->n_layers > 0) {
        gf__json_set(config, "input_layers", new_reference_list(graph->layers[0]));
        gf__json_set(config, "output_layers",
                     new_reference_list(graph->layers[gf__graph_output(graph)]));
    }
    gf__json *model = gf__json_object();
    gf__json_set_string(model, "class_name", "Model");
    gf__json_set(model, "config", config);

    const gf_status st = gf__json_status(model, err);
    if (st != GF_OK) {
        gf__json_free(model);
        return st;
    }
    *out = model;
    return GF_OK;
}
