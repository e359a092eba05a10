/* export/keras.c: Keras' HDF5 model, which keras.models.load_model() of 2.x and 3.x opens. The tensors go
 * into a safetensors file beside the output, and graft-h5, a process of its own, makes HDF5 of it:
 * libhdf5 stays outside of this one. */
#include <string.h>
#include <unistd.h>

#include "export/export_priv.h"
#include "tensor/tensor.h"
#include "zoo/zoo.h"

typedef struct keras_model {
    gf_named_tensor *tensors;
    char **names; /* of the tensors, owned */
    size_t n_tensors;
    gf__json *layers;
} keras_model;

static void free_model(keras_model *model)
{
    for (size_t i = 0; i < model->n_tensors; i++)
        gf__free(model->names[i]);
    gf__free(model->names);
    gf__free(model->tensors);
    gf__json_free(model->layers);
}

static size_t count_weights(const gf_graph *graph)
{
    size_t n = 0;
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
        n += gf__layer_n_weights(gf_graph_layer_at(graph, (ptrdiff_t)i));
    return n;
}

/* Layer conv2d_1 has the weights conv2d_1/kernel:0 ... in the group conv2d_1: its name twice. */
static gf_status add_layer(keras_model *model, const gf_layer *layer, gf_error *err)
{
    const bool is_depthwise = gf__layer_config_of(layer)->class_id == GF__LAYER_DEPTHWISE_CONV2D;
    gf__json *entry = gf__json_array(), *list = gf__json_array();
    gf_status st = GF_OK;
    for (size_t i = 0; i < gf__layer_n_weights(layer) && st == GF_OK; i++) {
        const char *weight = gf__layer_weight_name(layer, i);
        if (is_depthwise && strcmp(weight, "kernel") == 0)
            weight = "depthwise_kernel";
        char *name = gf__asprintf("%s/%s/%s:0", gf_layer_name(layer), gf_layer_name(layer), weight);
        if (name == NULL) {
            st = gf__error_nomem(err, "a weight's name", strlen(weight));
            break;
        }
        model->names[model->n_tensors] = name;
        model->tensors[model->n_tensors++] = (gf_named_tensor){name, gf__layer_weight_at(layer, i)};
        gf__json_append(list, gf__json_new_string(name + strlen(gf_layer_name(layer)) + 1));
    }
    gf__json_append(entry, gf__json_new_string(gf_layer_name(layer)));
    gf__json_append(entry, list);
    gf__json_append(model->layers, entry);
    return st;
}

static gf_status collect(const gf__export_source *source, keras_model *model, gf_error *err)
{
    const gf_graph *graph = source->graph;
    const size_t n = count_weights(graph);
    model->layers = gf__json_array();
    model->tensors = gf__calloc(n + 1, sizeof *model->tensors);
    model->names = gf__calloc(n + 1, sizeof *model->names);
    gf_status st = GF_OK;
    if (model->tensors == NULL || model->names == NULL)
        st = gf__error_nomem(err, "a table of weights", n);
    for (size_t i = 0; i < gf_graph_n_layers(graph) && st == GF_OK; i++)
        st = add_layer(model, gf_graph_layer_at(graph, (ptrdiff_t)i), err);
    if (st == GF_OK)
        st = gf__export_progress(source, 0, err);
    return st;
}

static gf_status save_tensors(const keras_model *model, const gf_graph *graph, const char *path,
                              gf_error *err)
{
    gf__buffer layers = {0}, config_text = {0};
    gf__json *config = NULL;
    gf_status st = gf__graph_to_config(graph, &config, err);
    if (st == GF_OK) {
        gf__json_write(config, false, &config_text);
        gf__json_write(model->layers, false, &layers);
        gf__buffer_append(&config_text, "", 1);
        gf__buffer_append(&layers, "", 1);
        st = gf__buffer_status(&config_text, err);
    }
    if (st == GF_OK)
        st = gf__buffer_status(&layers, err);
    if (st == GF_OK) {
        const gf_metadata metadata[] = {{"layers", layers.data},
                                        {"model_config", config_text.data},
                                        {"backend", "tensorflow"},
                                        {"keras_version", "2.3.0"}}; /* the dialect of the config */
        st = gf_safetensors_save(path, model->tensors, model->n_tensors, metadata,
                                 sizeof metadata / sizeof *metadata, err);
    }
    gf__json_free(config);
    gf__buffer_free(&config_text);
    gf__buffer_free(&layers);
    return st;
}

gf_status gf__export_keras(const gf__export_source *source, const char *path, gf_error *err)
{
    keras_model model = {0};
    if (source->quantisation != GF__EXPORT_F32)
        return gf_error_set(err, GF_EUNSUPPORTED, "Keras files are written in float32 only");
    gf__writer *writer = NULL;
    gf_status st = gf__writer_open(path, &writer, err);
    if (st != GF_OK)
        return st;
    char *tensors = gf__asprintf("%s.tensors", gf__writer_path(writer));
    st = tensors != NULL ? collect(source, &model, err)
                         : gf__error_nomem(err, "a path", strlen(path));
    if (st == GF_OK)
        st = save_tensors(&model, source->graph, tensors, err);
    if (st == GF_OK)
        st = gf__hdf5_write(tensors, gf__writer_path(writer), source->observer, err);
    if (st == GF_OK)
        st = gf__export_end(source, err);
    if (tensors != NULL)
        (void)unlink(tensors);
    if (st != GF_OK)
        gf__export_blame(err, gf__writer_path(writer), path);
    if (st == GF_OK)
        st = gf__writer_commit(writer, err);
    else
        gf__writer_abort(writer);
    gf__free(tensors);
    free_model(&model);
    return st;
}
