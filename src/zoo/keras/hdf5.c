/* hdf5.c: Keras' HDF5 files into a graph with weights. libhdf5 is not made for files of strangers,
 * so it lives in a program of its own, graft-h5 (hdf5_child.c runs it), which turns the file into
 * safetensors: tensors "<layer>/<weight>", and as metadata
 *
 *     layers         [["conv2d_1", ["conv2d_1/kernel:0"]], ...] in the file's order
 *     model_config   Keras' configuration; only a whole model has it
 *     backend, keras_version
 *     graft_properties  what graft wrote about its own model: classes, scaling of the input
 *     root           of the weights of a .keras archive, which save_weights() writes alone, too; instead of
 *                    the three before (keras_groups.c)
 *
 * Weights go to layers by order, as Keras' own load_weights does: the n-th layer with weights of
 * the file is the n-th of the network. Names cannot be used, because they depend on what else the
 * writing program had built before. A model that is a layer is one layer of the file, with all its
 * weights (hdf5_order.c). */
#include <string.h>

#include "zoo/keras/keras_priv.h"

/* The layers of the file that have weights, and those of the network. */
typedef struct contents {
    const gf_safetensors *file;
    gf__json *config; /* NULL: a file of weights alone */
    gf__config_notes notes;
    gf__json *layers;
    size_t *with_weights; /* indices into layers */
    size_t n_with_weights;
} contents;

static const char *layer_name_at(const contents *c, size_t i)
{
    return gf__json_string(gf__json_at(gf__json_at(c->layers, c->with_weights[i]), 0), "");
}

static const gf__json *weight_names_at(const contents *c, size_t i)
{
    return gf__json_at(gf__json_at(c->layers, c->with_weights[i]), 1);
}

static gf_status read_contents(const gf_safetensors *file, contents *out, gf_error *err)
{
    const char *text = gf_safetensors_metadata(file, "layers");
    if (text == NULL)
        return gf_error_set(err, GF_EFORMAT, "the converted file does not list its layers");
    const gf_status st = gf__json_parse(text, strlen(text), &out->layers, err);
    if (st != GF_OK)
        return st;
    const size_t n = gf__json_n_items(out->layers);
    out->file = file;
    out->with_weights = gf__calloc(n, sizeof *out->with_weights);
    if (out->with_weights == NULL)
        return gf__error_nomem(err, "a list of layers", n * sizeof *out->with_weights);
    for (size_t i = 0; i < n; i++) {
        if (gf__json_n_items(gf__json_at(gf__json_at(out->layers, i), 1)) > 0)
            out->with_weights[out->n_with_weights++] = i;
    }
    return GF_OK;
}

static gf_tensor *find_tensor(const contents *c, size_t i, size_t k)
{
    const char *weight = gf__json_string(gf__json_at(weight_names_at(c, i), k), "");
    char *name = gf__asprintf("%s/%s", layer_name_at(c, i), weight);
    gf_tensor *tensor = name != NULL ? (gf_tensor *)gf_safetensors_find(c->file, name) : NULL;
    gf__free(name);
    return tensor;
}

/* ---- the graph ---- */

/* Keras' files of theano hold kernels turned by 180 degrees; Keras 3 writes the same with all its backends. */
static gf_status check_backend(const gf_safetensors *file, gf_error *err)
{
    static const char *const good[] = {"tensorflow", "jax", "torch", "numpy", "openvino"};
    const char *backend = gf_safetensors_metadata(file, "backend");
    for (size_t i = 0; backend != NULL && i < sizeof good / sizeof *good; i++)
        if (strcmp(backend, good[i]) == 0)
            return GF_OK;
    return backend == NULL
               ? GF_OK
               : gf_error_set(
                     err, GF_EUNSUPPORTED,
                     "was written with the backend %.40s, expected tensorflow, jax or torch",
                     backend);
}

/* A file of weights alone says nothing of its network but this: the classes of its last layer, if
 * that is a classifier. */
static size_t guess_n_classes(const contents *c, size_t n_base)
{
    if (c->n_with_weights != n_base + 1)
        return 0;
    const gf_tensor *kernel = gf_safetensors_metadata(c->file, "root") != NULL
                                  ? gf_safetensors_find(c->file, "dense/vars/0")
                                  : find_tensor(c, n_base, 0);
    return kernel != NULL && gf_tensor_n_dims(kernel) == 2 ? gf_tensor_shape(kernel)[1] : 0;
}

static size_t count_with_weights(const gf_graph *graph)
{
    size_t n = 0;
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
        n += gf__layer_n_weights(gf_graph_layer_at(graph, (ptrdiff_t)i)) > 0;
    return n;
}

static gf_status build_known(const contents *c, gf_graph **out, gf_error *err)
{
    gf_status st = gf__inception_v3_layers(0, out, err);
    if (st != GF_OK)
        return st;
    const size_t n_classes = guess_n_classes(c, count_with_weights(*out));
    if (n_classes == 0)
        return GF_OK;
    gf_graph_free(*out);
    return gf__inception_v3_layers(n_classes, out, err);
}

/* As a configuration of these layers would be noted. */
static gf_status note_layers(const gf_graph *graph, gf__config_notes *notes, gf_error *err)
{
    const size_t n = gf_graph_n_layers(graph);
    notes->entries = gf__calloc(n + 1, sizeof *notes->entries);
    if (notes->entries == NULL)
        return gf__error_nomem(err, "layers", n * sizeof *notes->entries);
    notes->n_entries = n + 1;
    notes->entries[0] = (gf__config_entry){.n_inner = n, .layer = SIZE_MAX};
    for (size_t i = 0; i < n; i++)
        notes->entries[i + 1] = (gf__config_entry){
            .name = gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i)), .layer = i};
    return GF_OK;
}

static gf_status build_graph(contents *c, gf_graph **out, gf_error *err)
{
    const char *text = gf_safetensors_metadata(c->file, "model_config");
    if (text == NULL) {
        const gf_status st = build_known(c, out, err);
        return st == GF_OK ? note_layers(*out, &c->notes, err) : st;
    }
    gf_status st = gf__json_parse(text, strlen(text), &c->config, err);
    if (st == GF_OK)
        st = gf__keras_check_dialect(c->config, err);
    if (st == GF_OK)
        st = gf__graph_from_noted_config(c->config, &c->notes, out, err);
    return st;
}

/* ---- its weights ---- */

static gf_status assign_layer(const contents *c, size_t i, gf_graph *graph,
                              const gf__weight_place *places, gf_error *err)
{
    const size_t n = gf__json_n_items(weight_names_at(c, i));
    for (size_t k = 0; k < n; k++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)places[k].layer);
        gf_tensor *tensor = find_tensor(c, i, k);
        if (tensor == NULL)
            return gf_error_set(err, GF_EFORMAT, "layer \"%.128s\": weight %zu is missing",
                                layer_name_at(c, i), k);
        const gf_status st = gf__graph_set_weight(graph, places[k].layer,
                                                  gf__layer_weight_name(layer, places[k].weight),
                                                  gf__tensor_ref(tensor), err);
        if (st != GF_OK) {
            gf_tensor_free(tensor); /* the reference that was not taken */
            gf__error_prefix(err, "\"%.128s\" of the file", layer_name_at(c, i));
            return st;
        }
    }
    return GF_OK;
}

/* Entry e of the network is layer i with weights of the file. */
static gf_status assign_entry(const contents *c, size_t e, size_t i, gf_graph *graph, gf_error *err)
{
    gf__weight_place *places = NULL;
    const size_t n = gf__hdf5_n_weights(graph, &c->notes, e);
    const size_t n_found = gf__json_n_items(weight_names_at(c, i));
    if (n_found != n)
        return gf_error_set(err, GF_EMISMATCH,
                            "layer \"%.128s\" has %zu weights, \"%.128s\" of the file has %zu",
                            c->notes.entries[e].name, n, layer_name_at(c, i), n_found);
    gf_status st = gf__hdf5_order(graph, &c->notes, e, weight_names_at(c, i), &places, err);
    if (st == GF_OK)
        st = assign_layer(c, i, graph, places, err);
    gf__free(places);
    return st;
}

static size_t count_entries(const contents *c, const gf_graph *graph)
{
    size_t n = 0;
    const gf__config_entry *entries = c->notes.entries;
    for (size_t e = 1; e < c->notes.n_entries; e += 1 + entries[e].n_inner)
        n += gf__hdf5_n_weights(graph, &c->notes, e) > 0;
    return n;
}

static gf_status assign_weights(const contents *c, gf_graph *graph, gf_error *err)
{
    gf_status st = GF_OK;
    const gf__config_entry *entries = c->notes.entries;
    const size_t n = count_entries(c, graph);
    size_t next = 0;
    if (n != c->n_with_weights)
        return gf_error_set(err, GF_EMISMATCH,
                            "has %zu layers with weights, the network \"%s\" has %zu",
                            c->n_with_weights, gf_graph_name(graph), n);
    if (gf_safetensors_metadata(c->file, "root") != NULL)
        return gf__keras_assign(c->file, &c->notes, graph, err);
    for (size_t e = 1; e < c->notes.n_entries && st == GF_OK; e += 1 + entries[e].n_inner) {
        if (gf__hdf5_n_weights(graph, &c->notes, e) > 0)
            st = assign_entry(c, e, next++, graph, err);
    }
    return st;
}

static void contents_free(contents *c)
{
    gf__config_notes_free(&c->notes);
    gf__json_free(c->config);
    gf__json_free(c->layers);
    gf__free(c->with_weights);
}

static gf_status read_properties(gf__checkpoint *out, gf_error *err)
{
    gf__json *properties = NULL;
    const char *text = gf_safetensors_metadata(out->file, "graft_properties");
    if (text == NULL)
        return GF_OK;
    gf_status st = gf__json_parse(text, strlen(text), &properties, err);
    if (st == GF_OK)
        st = gf__checkpoint_read_properties(properties, out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "graft_properties");
    gf__json_free(properties);
    return st;
}

gf_status gf__hdf5_read(const char *path, const char *scratch_dir, const gf_observer *obs,
                        gf__checkpoint *out, gf_error *err)
{
    contents c = {0};
    gf_status st = gf__observe_progress(obs, "import", 0, 2, gf__path_base(path), err);
    if (st == GF_OK)
        st = gf__hdf5_convert(path, scratch_dir, obs, &out->file, err);
    if (st != GF_OK)
        return st; /* names the path itself */
    st = gf__observe_progress(obs, "import", 1, 2, gf__path_base(path), err);
    if (st != GF_OK)
        return st;
    st = check_backend(out->file, err);
    if (st != GF_OK)
        goto done;
    st = read_contents(out->file, &c, err);
    if (st != GF_OK)
        goto done;
    st = build_graph(&c, &out->graph, err);
    if (st != GF_OK)
        goto done;
    st = assign_weights(&c, out->graph, err);
    if (st != GF_OK)
        goto done;
    gf__checkpoint_scale_input(&c.notes, out);
    st = read_properties(out, err);
    if (st != GF_OK)
        goto done;
    out->origin = gf__asprintf("Keras HDF5 %s, %s", c.config != NULL ? "model" : "weights",
                               gf__path_base(path));
    if (out->origin == NULL)
        st = gf__error_nomem(err, "an origin", strlen(path));
done:
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    contents_free(&c);
    return st;
}
