/* import_trunk.c: FILE NAME HOME. Imports a checkpoint and prints the network it became, a layer a
 * line, tabs between: index, name, class, output shape, parameters, inputs. check_keras.py compares
 * that with Keras. */
#include <stdio.h>

#include "graft/zoo.h"

static void print_layer(const gf_layer *layer, size_t i)
{
    printf("%zu\t%s\t%s\t", i, gf_layer_name(layer), gf_layer_class_name(layer));
    for (size_t k = 0; k < gf_layer_n_dims(layer); k++)
        printf("%s%zu", k > 0 ? "x" : "", gf_layer_shape(layer)[k]);
    printf("\t%zu\t", gf_layer_n_params(layer));
    for (size_t k = 0; k < gf_layer_n_inputs(layer); k++)
        printf("%s%zu", k > 0 ? "," : "", gf_layer_input_at(layer, k));
    printf("%s\n", gf_layer_n_inputs(layer) == 0 ? "-" : "");
}

int main(int argc, char **argv)
{
    gf_error err;
    gf_trunk *trunk = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: import_trunk FILE NAME HOME\n");
        return 2;
    }
    if (gf_zoo_import(argv[1], argv[2], argv[3], NULL, NULL, &err) != GF_OK ||
        gf_trunk_load(argv[3], argv[2], &trunk, &err) != GF_OK) {
        fprintf(stderr, "import_trunk: %s\n", err.message);
        return 1;
    }
    const gf_graph *graph = gf_trunk_graph(trunk);
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
        print_layer(gf_graph_layer_at(graph, (ptrdiff_t)i), i);
    gf_trunk_free(trunk);
    return 0;
}
