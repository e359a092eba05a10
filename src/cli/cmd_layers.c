/* cli/cmd_layers.c: graft layers: a network's layers as Keras' model.summary() lists them. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"

typedef struct layers_settings {
    int n_tail;
} layers_settings;

static const gf__option options[] = {
    GF__INT("--tail", "N", "all layers", layers_settings, n_tail, 1, 100000,
            "Only the last N layers. The totals are always those of the whole network."),
};

typedef struct totals {
    size_t n_params, n_trainable;
} totals;

static totals count_params(const gf_graph *graph)
{
    totals t = {0};
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        t.n_params += gf_layer_n_params(layer);
        t.n_trainable += gf_layer_n_trainable_params(layer);
    }
    return t;
}

/* "(None, 149, 149, 32)", as Keras writes it. */
static void format_shape(const gf_layer *layer, char *text, size_t n_text)
{
    size_t n = (size_t)snprintf(text, n_text, "(None");
    for (size_t d = 0; d < gf_layer_n_dims(layer) && n < n_text; d++)
        n += (size_t)snprintf(text + n, n_text - n, ", %zu", gf_layer_shape(layer)[d]);
    if (n < n_text)
        snprintf(text + n, n_text - n, ")");
}

static void print_layer(const gf_graph *graph, size_t i)
{
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
    char shape[64];
    format_shape(layer, shape, sizeof shape);
    printf("%5zu  %-26s %-24s %-22s %10zu  %-9s", i, gf_layer_name(layer),
           gf_layer_class_name(layer), shape, gf_layer_n_params(layer),
           gf_layer_is_trainable(layer) ? "trainable" : "frozen");
    for (size_t k = 0; k < gf_layer_n_inputs(layer); k++)
        printf("%s%s", k == 0 ? "  " : ", ",
               gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)gf_layer_input_at(layer, k))));
    putchar('\n');
}

static void print_table(const gf_graph *graph, size_t first)
{
    printf("%5s  %-26s %-24s %-22s %10s  %-9s  %s\n", "index", "name", "class", "output shape",
           "parameters", "state", "inputs");
    for (size_t i = first; i < gf_graph_n_layers(graph); i++)
        print_layer(graph, i);
    const totals t = count_params(graph);
    printf("\nTotal params: %zu\nTrainable params: %zu\nNon-trainable params: %zu\n", t.n_params,
           t.n_trainable, t.n_params - t.n_trainable);
}

static gf__json *layer_json(const gf_graph *graph, size_t i)
{
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
    gf__json *json = gf__json_object();
    gf__json *shape = gf__json_array();
    gf__json *inputs = gf__json_array();
    for (size_t d = 0; d < gf_layer_n_dims(layer); d++)
        gf__json_append(shape, gf__json_new_int((int64_t)gf_layer_shape(layer)[d]));
    for (size_t k = 0; k < gf_layer_n_inputs(layer); k++)
        gf__json_append(inputs, gf__json_new_string(gf_layer_name(gf_graph_layer_at(
                                    graph, (ptrdiff_t)gf_layer_input_at(layer, k)))));
    gf__json_set_int(json, "index", (int64_t)i);
    gf__json_set_string(json, "name", gf_layer_name(layer));
    gf__json_set_string(json, "class", gf_layer_class_name(layer));
    gf__json_set(json, "output_shape", shape);
    gf__json_set_int(json, "parameters", (int64_t)gf_layer_n_params(layer));
    gf__json_set_bool(json, "trainable", gf_layer_is_trainable(layer));
    gf__json_set(json, "inputs", inputs);
    return json;
}

static gf_status print_json(const gf_graph *graph, size_t first, gf_error *err)
{
    const totals t = count_params(graph);
    gf__json *document = gf__json_object();
    gf__json *layers = gf__json_array();
    for (size_t i = first; i < gf_graph_n_layers(graph); i++)
        gf__json_append(layers, layer_json(graph, i));
    gf__json_set_string(document, "name", gf_graph_name(graph));
    gf__json_set_int(document, "n_layers", (int64_t)gf_graph_n_layers(graph));
    gf__json_set(document, "layers", layers);
    gf__json_set_int(document, "parameters", (int64_t)t.n_params);
    gf__json_set_int(document, "trainable_parameters", (int64_t)t.n_trainable);
    gf__json_set_int(document, "non_trainable_parameters", (int64_t)(t.n_params - t.n_trainable));
    return gf__cli_print_json(document, err);
}

static gf_status run(gf__cli *cli, const void *settings, gf_error *err)
{
    const layers_settings *s = settings;
    const gf_context context = gf__cli_context(cli);
    gf_network *network = NULL;
    gf_status st = gf_network_open(&context, cli->words[0], &network, err);
    if (st != GF_OK)
        return st;
    const gf_graph *graph = gf_network_graph(network);
    const size_t n_layers = gf_graph_n_layers(graph);
    const size_t n_tail = s->n_tail > 0 ? (size_t)s->n_tail : n_layers;
    const size_t first = n_tail < n_layers ? n_layers - n_tail : 0;
    if (cli->is_json)
        st = print_json(graph, first, err);
    else
        print_table(graph, first);
    gf_network_free(network);
    return st;
}

const gf__command gf__command_layers = {
    .name = "layers",
    .words = "MODEL",
    .n_words_low = 1,
    .n_words_high = 1,
    .summary = "List a network's layers: index, name, class, output shape, parameters, inputs.",
    .text = "MODEL is a trunk of the home folder, or a model file: its trunk up to the cut and the "
            "head behind it.\n\n"
            "Order, names and numbers are Keras' own, so that an index means the same layer here "
            "and in "
            "model.layers. Any of the names or indices can be given to graft features --layer and "
            "graft "
            "train --layer.",
    .examples = "graft layers inception_v3 --tail 10\n"
                "graft layers flowers.safetensors --tail 4\n"
                "graft layers inception_v3 --json",
    .options = options,
    .n_options = GF__N_OPTIONS(options),
    .settings_size = sizeof(layers_settings),
    .run = run,
};
