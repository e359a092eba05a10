/* export/names.c: a network under names that TensorFlow takes. It takes letters of ASCII, digits and a few signs,
 * and says so only when a model is loaded; Keras 2 makes its names TensorFlow's. */
#include <string.h>

#include "export/export_priv.h"
#include "tensor/tensor.h"

/* What is not taken becomes "_", one for a letter of several bytes. A name begins with a letter, a digit or "."; one
 * that does not gets a word in front. New; NULL out of memory. */
static char *new_name(const char *name)
{
    static const char inside[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                 "_.\\-/>";
    char *made = gf__strdup(name), *to = made;
    for (const char *from = name; made != NULL && *from != '\0'; from++) {
        if (strchr(inside, *from) != NULL)
            *to++ = *from;
        else if (((unsigned char)*from & 0xc0) != 0x80)
            *to++ = '_';
    }
    if (made == NULL)
        return NULL;
    *to = '\0';
    if (made[0] != '\0' && strchr("_\\-/>", made[0]) == NULL)
        return made;
    char *longer = gf__asprintf("layer%s", made);
    gf__free(made);
    return longer;
}

/* *is_same stays as it is where the name is taken as it stands. */
static gf_status check_name(const char *name, bool *is_same, gf_error *err)
{
    char *made = new_name(name);
    if (made == NULL)
        return gf__error_nomem(err, "a name", strlen(name));
    *is_same = *is_same && strcmp(made, name) == 0;
    gf__free(made);
    return GF_OK;
}

static bool is_taken(const gf_graph *graph, const char *name)
{
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
        if (strcmp(gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i)), name) == 0)
            return true;
    return false;
}

static gf_status copy_layer(const gf_graph *graph, size_t i, gf_graph *copy, gf_error *err)
{
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
    gf__layer_config config = *gf__layer_config_of(layer);
    const size_t n_inputs = gf_layer_n_inputs(layer);
    char *name = new_name(gf_layer_name(layer));
    size_t *inputs = gf__calloc(n_inputs + 1, sizeof *inputs);
    gf_status st = name != NULL && inputs != NULL
                       ? GF_OK
                       : gf__error_nomem(err, "a layer", n_inputs * sizeof *inputs);
    if (st == GF_OK && is_taken(copy, name))
        st = gf_error_set(err, GF_EUNSUPPORTED,
                          "layer \"%.80s\": in TensorFlow, which takes letters of ASCII alone, it "
                          "and another would be called \"%.80s\"; rename one",
                          gf_layer_name(layer), name);
    for (size_t k = 0; st == GF_OK && k < n_inputs; k++)
        inputs[k] = gf_layer_input_at(layer, k);
    config.name = name;
    if (st == GF_OK)
        st = gf__graph_add(copy, &config, inputs, n_inputs, NULL, err);
    gf__free(inputs);
    gf__free(name);
    for (size_t k = 0; st == GF_OK && k < gf__layer_n_weights(layer); k++) {
        gf_tensor *tensor = gf__tensor_ref(gf__layer_weight_at(layer, k));
        st = gf__graph_set_weight(copy, i, gf__layer_weight_name(layer, k), tensor, err);
        if (st != GF_OK)
            gf_tensor_free(tensor); /* the reference that was not taken */
    }
    return st;
}

static gf_status copy_graph(const gf_graph *graph, gf_graph **out, gf_error *err)
{
    char *name = new_name(gf_graph_name(graph));
    gf_status st = name != NULL ? gf__graph_new(name, out, err)
                                : gf__error_nomem(err, "a name", strlen(gf_graph_name(graph)));
    for (size_t i = 0; st == GF_OK && i < gf_graph_n_layers(graph); i++)
        st = copy_layer(graph, i, *out, err);
    gf__free(name);
    return st;
}

gf_status gf__export_rename(gf__export_source *source, gf_graph **renamed, gf_error *err)
{
    const gf_graph *graph = source->graph;
    bool is_same = true;
    *renamed = NULL;
    gf_status st = check_name(gf_graph_name(graph), &is_same, err);
    for (size_t i = 0; st == GF_OK && i < gf_graph_n_layers(graph); i++)
        st = check_name(gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i)), &is_same, err);
    if (st != GF_OK || is_same)
        return st;
    st = copy_graph(graph, renamed, err);
    if (st == GF_OK) {
        source->graph = *renamed;
        return GF_OK;
    }
    gf_graph_free(*renamed);
    *renamed = NULL;
    return st;
}
