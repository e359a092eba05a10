/* export/keras.c: Keras' files, which keras.models.load_model() opens: an HDF5 model (of 2.x and 3.x), or by
 * the name's ending a .keras archive (2.15 and 3.x). The tensors go into a safetensors file beside the
 * output, and graft-h5, a process of its own, makes HDF5 of it: libhdf5 stays outside of this one. */
#include <string.h>
#include <unistd.h>

#include "export/keras_priv.h"
#include "tensor/tensor.h"
#include "zoo/zoo.h"

typedef struct keras_model {
    gf_named_tensor *tensors;
    char **names; /* of the tensors, owned */
    size_t n_tensors;
    gf__json *layers;
    bool is_archive;
    gf__keras_groups groups; /* of an archive */
} keras_model;

static void free_model(keras_model *model)
{
    for (size_t i = 0; i < model->n_tensors; i++)
        gf__free(model->names[i]);
    gf__free(model->names);
    gf__free(model->tensors);
    gf__json_free(model->layers);
    gf__keras_groups_free(&model->groups);
}

static size_t count_weights(const gf_graph *graph)
{
    size_t n = 0;
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
        n += gf__layer_n_weights(gf_graph_layer_at(graph, (ptrdiff_t)i));
    return n;
}

/* Layer conv2d_1 has the weights conv2d_1/kernel:0 ... in the group conv2d_1: its name twice. In an archive the
 * group is called after the class, and its weights vars/0 ... New text; NULL out of memory. */
static char *group_name(keras_model *model, const gf_layer *layer)
{
    return model->is_archive ? gf__keras_group_next(&model->groups, gf_layer_class_name(layer), 1)
                             : gf__strdup(gf_layer_name(layer));
}

static char *weight_name(const keras_model *model, const gf_layer *layer, const char *group,
                         size_t i)
{
    const bool is_depthwise = gf__layer_config_of(layer)->class_id == GF__LAYER_DEPTHWISE_CONV2D;
    const char *weight = gf__layer_weight_name(layer, i);
    if (model->is_archive)
        return gf__asprintf("%s/vars/%zu", group, i);
    if (is_depthwise && strcmp(weight, "kernel") == 0)
        weight = "depthwise_kernel";
    return gf__asprintf("%s/%s/%s:0", group, group, weight);
}

static gf_status add_layer(keras_model *model, const gf_layer *layer, gf_error *err)
{
    char *group = group_name(model, layer);
    if (group == NULL)
        return gf__error_nomem(err, "a layer's name", strlen(gf_layer_name(layer)));
    gf__json *entry = gf__json_array(), *list = gf__json_array();
    gf_status st = GF_OK;
    for (size_t i = 0; i < gf__layer_n_weights(layer) && st == GF_OK; i++) {
        char *name = weight_name(model, layer, group, i);
        if (name == NULL) {
            st = gf__error_nomem(err, "a weight's name", strlen(group));
            break;
        }
        model->names[model->n_tensors] = name;
        model->tensors[model->n_tensors++] = (gf_named_tensor){name, gf__layer_weight_at(layer, i)};
        gf__json_append(list, gf__json_new_string(name + strlen(group) + 1));
    }
    gf__json_append(entry, gf__json_new_string(group));
    gf__json_append(entry, list);
    gf__json_append(model->layers, entry);
    gf__free(group);
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

static gf_status write_json(const gf__json *json, gf__buffer *text, gf_error *err)
{
    gf__json_write(json, false, text);
    gf__buffer_append(text, "", 1);
    return gf__buffer_status(text, err);
}

/* A group's weights need no more than their list: the archive has the rest beside them. */
static gf_status save_archived(const keras_model *model, const char *layers, const char *path,
                               gf_error *err)
{
    const gf_metadata metadata[] = {{"layers", layers}, {"root", "layers"}};
    return gf_safetensors_save(path, model->tensors, model->n_tensors, metadata, 2, err);
}

static gf_status save_whole(const gf__export_source *source, const keras_model *model,
                            const char *layers, const char *path, gf_error *err)
{
    gf__buffer config_text = {0}, properties_text = {0};
    gf__json *config = NULL, *properties = gf__export_properties(source);
    gf_status st = gf__graph_to_config(source->graph, &config, err);
    if (st == GF_OK)
        st = write_json(config, &config_text, err);
    if (st == GF_OK)
        st = write_json(properties, &properties_text, err);
    if (st == GF_OK) {
        const gf_metadata metadata[] = {{"layers", layers},
                                        {"model_config", config_text.data},
                                        {"backend", "tensorflow"},
                                        {"keras_version", "2.3.0"}, /* the dialect of the config */
                                        {"graft_properties", properties_text.data}};
        st = gf_safetensors_save(path, model->tensors, model->n_tensors, metadata, 5, err);
    }
    gf__json_free(properties);
    gf__json_free(config);
    gf__buffer_free(&properties_text);
    gf__buffer_free(&config_text);
    return st;
}

static gf_status save_tensors(const gf__export_source *source, const keras_model *model,
                              const char *path, gf_error *err)
{
    gf__buffer layers = {0};
    gf_status st = write_json(model->layers, &layers, err);
    if (st == GF_OK)
        st = model->is_archive ? save_archived(model, layers.data, path, err)
                               : save_whole(source, model, layers.data, path, err);
    gf__buffer_free(&layers);
    return st;
}

/* The tensors' file and, of an archive, the HDF5 file beside what is being written: gone when this
 * returns, and the first as soon as it is not needed. */
static gf_status write_files(const gf__export_source *source, keras_model *model, const char *path,
                             gf_error *err)
{
    char *tensors = gf__asprintf("%s.tensors", path), *weights = gf__asprintf("%s.h5", path);
    gf_status st = tensors != NULL && weights != NULL
                       ? collect(source, model, err)
                       : gf__error_nomem(err, "a path", strlen(path));
    if (st == GF_OK)
        st = save_tensors(source, model, tensors, err);
    if (st == GF_OK)
        st = gf__hdf5_write(tensors, model->is_archive ? weights : path, source->observer, err);
    if (tensors != NULL)
        (void)unlink(tensors);
    if (st == GF_OK && model->is_archive)
        st = gf__keras_write_archive(source, weights, path, err);
    if (weights != NULL && model->is_archive)
        (void)unlink(weights);
    gf__free(tensors);
    gf__free(weights);
    return st;
}

static gf_status export_named(const gf__export_source *source, const char *path, gf_error *err)
{
    keras_model model = {.is_archive = strcmp(gf__path_extension(path), ".keras") == 0};
    gf__writer *writer = NULL;
    gf_status st = model.is_archive ? gf__keras_check_names(source->graph, err) : GF_OK;
    if (st == GF_OK)
        st = gf__writer_open(path, &writer, err);
    if (st != GF_OK)
        return st;
    st = write_files(source, &model, gf__writer_path(writer), err);
    if (st == GF_OK)
        st = gf__export_end(source, err);
    if (st != GF_OK)
        gf__export_blame(err, gf__writer_path(writer), path);
    if (st == GF_OK)
        st = gf__writer_commit(writer, err);
    else
        gf__writer_abort(writer);
    free_model(&model);
    return st;
}

/* Keras 2 makes scopes of TensorFlow of the names. */
gf_status gf__export_keras(const gf__export_source *source, const char *path, gf_error *err)
{
    gf__export_source named = *source;
    gf_graph *renamed = NULL;
    if (source->quantisation != GF__EXPORT_F32)
        return gf_error_set(err, GF_EUNSUPPORTED, "Keras files are written in float32 only");
    gf_status st = gf__export_rename(&named, &renamed, err);
    if (st == GF_OK)
        st = export_named(&named, path, err);
    gf_graph_free(renamed);
    return st;
}
