/* Between a graph's tail and a head. The tail is a chain of Dense, Dropout and Activation layers up
 * to the end of the graph, as gf_graph_add_dense() and Keras models make them: a Dropout belongs to
 * the Dense after it, an Activation to the Dense before. */
#include <assert.h>
#include <string.h>

#include "graph/graph.h"
#include "head/head_priv.h"
#include "tensor/tensor.h"

static gf_status convert_activation(gf__activation from, const gf_layer *layer,
                                    gf_head_activation *to, gf_error *err)
{
    switch (from) {
    case GF__ACTIVATION_LINEAR:
        *to = GF_HEAD_LINEAR;
        return GF_OK;
    case GF__ACTIVATION_RELU:
        *to = GF_HEAD_RELU;
        return GF_OK;
    case GF__ACTIVATION_SOFTMAX:
        *to = GF_HEAD_SOFTMAX;
        return GF_OK;
    case GF__ACTIVATION_TANH:
        *to = GF_HEAD_TANH;
        return GF_OK;
    case GF__ACTIVATION_SIGMOID:
        *to = GF_HEAD_SIGMOID;
        return GF_OK;
    case GF__ACTIVATION_RELU6:
        break;
    }
    return gf_error_set(
        err, GF_EUNSUPPORTED,
        "layer \"%s\": a head knows linear, relu, tanh, sigmoid and softmax, not %s",
        gf_layer_name(layer), gf__activation_name(from));
}

/* What was read so far. */
typedef struct found_layers {
    gf_head_layer *layers;
    size_t n_layers;
    double dropout; /* waiting for the next Dense */
} found_layers;

static gf_status read_activation(found_layers *tail, const gf_layer *layer,
                                 gf__activation activation, gf_error *err)
{
    if (activation == GF__ACTIVATION_LINEAR)
        return GF_OK;
    if (tail->n_layers == 0 || tail->layers[tail->n_layers - 1].activation != GF_HEAD_LINEAR)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "layer \"%s\": a head's activation must follow a linear Dense layer",
                            gf_layer_name(layer));
    return convert_activation(activation, layer, &tail->layers[tail->n_layers - 1].activation, err);
}

static gf_status read_layer(found_layers *tail, const gf_layer *layer, gf_error *err)
{
    const gf__layer_config *config = gf__layer_config_of(layer);
    if (config->class_id == GF__LAYER_DENSE) {
        gf_head_layer *next = &tail->layers[tail->n_layers++];
        *next = (gf_head_layer){
            .units = config->units, .dropout = tail->dropout, .name = gf_layer_name(layer)};
        tail->dropout = 0.0;
        return convert_activation(config->activation, layer, &next->activation, err);
    }
    if (config->class_id == GF__LAYER_DROPOUT) {
        tail->dropout = 1.0 - (1.0 - tail->dropout) * (1.0 - config->rate);
        return GF_OK;
    }
    if (config->class_id == GF__LAYER_ACTIVATION)
        return read_activation(tail, layer, config->activation, err);
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "layer \"%s\" is %s; a head is made of Dense, Dropout and Activation",
                        gf_layer_name(layer), gf_layer_class_name(layer));
}

static gf_status check_start(const gf_graph *graph, size_t first_layer, size_t *n_features,
                             gf_error *err)
{
    const size_t n_layers = gf_graph_n_layers(graph);
    if (first_layer == 0 || first_layer >= n_layers)
        return gf_error_set(err, GF_EINVAL,
                            "a head must start behind a layer: index %zu of %zu layers",
                            first_layer, n_layers);
    const gf_layer *below = gf_graph_layer_at(graph, (ptrdiff_t)first_layer - 1);
    if (gf_layer_n_dims(below) != 1)
        return gf_error_set(err, GF_ESHAPE,
                            "layer \"%s\" has %zu dimensions; a head needs one: pool first",
                            gf_layer_name(below), gf_layer_n_dims(below));
    *n_features = gf_layer_shape(below)[0];
    return GF_OK;
}

static gf_status read_tail(const gf_graph *graph, size_t first_layer, found_layers *tail,
                           gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = first_layer; i < gf_graph_n_layers(graph) && st == GF_OK; i++)
        st = read_layer(tail, gf_graph_layer_at(graph, (ptrdiff_t)i), err);
    if (st == GF_OK && tail->n_layers == 0)
        st = gf_error_set(err, GF_EINVAL, "no Dense layer from layer %zu on", first_layer);
    return st;
}

static bool is_dense(const gf_layer *layer)
{
    return gf__layer_config_of(layer)->class_id == GF__LAYER_DENSE;
}

/* A Dense layer without bias is one with a bias of zeros. */
static void copy_weights(gf_head *head, const gf_graph *graph, size_t first_layer)
{
    size_t n_dense = 0;
    for (size_t i = first_layer; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        if (!is_dense(layer))
            continue;
        const gf__head_part *part = &head->parts[n_dense];
        const gf_tensor *kernel = gf_layer_weight(layer, "kernel");
        const gf_tensor *bias = gf_layer_weight(layer, "bias");
        if (kernel != NULL)
            memcpy(gf_head_kernel(head, n_dense), gf_tensor_f32(kernel),
                   part->n_inputs * part->layer.units * sizeof(float));
        if (bias != NULL)
            memcpy(gf_head_bias(head, n_dense), gf_tensor_f32(bias),
                   part->layer.units * sizeof(float));
        n_dense++;
    }
}

gf_status gf_head_from_graph(const gf_graph *graph, size_t first_layer, gf_head **out,
                             gf_error *err)
{
    size_t n_features = 0;
    found_layers tail = {0};

    *out = NULL;
    gf_status st = check_start(graph, first_layer, &n_features, err);
    if (st != GF_OK)
        return st;
    tail.layers = gf__calloc(gf_graph_n_layers(graph) - first_layer, sizeof *tail.layers);
    if (tail.layers == NULL)
        return gf__error_nomem(err, "a head", sizeof *tail.layers);
    st = read_tail(graph, first_layer, &tail, err);
    if (st == GF_OK)
        st = gf_head_new(n_features, tail.layers, tail.n_layers, out, err);
    if (st == GF_OK)
        copy_weights(*out, graph, first_layer);
    gf__free(tail.layers);
    return st;
}

static gf_status set_weight(gf_graph *graph, size_t layer, const char *name, const float *values,
                            const size_t *shape, size_t n_dims, gf_error *err)
{
    gf_tensor *tensor = NULL;
    gf_status st = gf_tensor_new(GF_DTYPE_F32, shape, n_dims, &tensor, err);
    if (st != GF_OK)
        return st;
    memcpy(gf_tensor_mutable_data(tensor), values, gf_tensor_size_bytes(tensor));
    st = gf__graph_set_weight(graph, layer, name, tensor, err);
    if (st != GF_OK)
        gf_tensor_free(tensor); /* taken only on success */
    return st;
}

gf_status gf_head_to_graph(const gf_head *head, gf_graph *graph, size_t first_layer, gf_error *err)
{
    gf_status st = GF_OK;
    size_t n_dense = 0;
    for (size_t i = first_layer; i < gf_graph_n_layers(graph) && st == GF_OK; i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        if (!is_dense(layer))
            continue;
        if (n_dense == head->n_parts)
            return gf_error_set(err, GF_ESHAPE, "layer \"%s\": the head has only %zu layers",
                                gf_layer_name(layer), head->n_parts);
        const gf__head_part *part = &head->parts[n_dense];
        const size_t shape[2] = {part->n_inputs, part->layer.units};
        st = set_weight(graph, i, "kernel", gf__head_kernel_of(head, n_dense), shape, 2, err);
        if (st == GF_OK && gf__layer_config_of(layer)->has_bias)
            st = set_weight(graph, i, "bias", gf__head_bias_of(head, n_dense), &shape[1], 1, err);
        n_dense++;
    }
    if (st == GF_OK && n_dense != head->n_parts)
        st = gf_error_set(err, GF_ESHAPE, "the head has %zu layers, the graph's end has %zu",
                          head->n_parts, n_dense);
    return st;
}
