/* export/keras_archive.c: a .keras archive: config.json, metadata.json and model.weights.h5 in a zip, not
 * compressed, as Keras writes it. One spelling of the network is understood by Keras 2.15 and all of 3:
 * Keras 2's links between layers, in Keras 3's objects that name their module. */
#include <string.h>

#include "export/keras_priv.h"
#include "tensor/tensor.h"

/* Layers of TensorFlow and of Keras 2 may be called "block/conv"; Keras 3 would not open the file. */
gf_status gf__keras_check_names(const gf_graph *graph, gf_error *err)
{
    const char *name = gf_graph_name(graph);
    for (size_t i = 0; strchr(name, '/') == NULL && i < gf_graph_n_layers(graph); i++)
        name = gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i));
    if (strchr(name, '/') == NULL)
        return GF_OK;
    return gf_error_set(
        err, GF_EUNSUPPORTED,
        "\"%.128s\": Keras 3 takes no name with a slash; an output called .h5 is for "
        "Keras 2, which does",
        name);
}

/* ---- config.json ----------------------------------------------------------------------------- */

/* Where a layer's maths depends on it, it is said: a Keras set up for channels first would guess. */
static bool needs_data_format(const char *class_name)
{
    return strcmp(class_name, "GlobalAveragePooling2D") == 0 ||
           strcmp(class_name, "GlobalMaxPooling2D") == 0 || strcmp(class_name, "Flatten") == 0;
}

static gf__json *new_layer(const gf__json *layer)
{
    const char *class_name = gf__json_string(gf__json_find(layer, "class_name"), "");
    gf__json *config = gf__json_copy(gf__json_find(layer, "config"));
    gf__json *json = gf__json_object();
    if (needs_data_format(class_name))
        gf__json_set_string(config, "data_format", "channels_last");
    gf__json_set_string(json, "module", "keras.layers");
    gf__json_set_string(json, "class_name", class_name);
    gf__json_set(json, "config", config);
    gf__json_set(json, "registered_name", gf__json_new_null());
    gf__json_set(json, "name", gf__json_copy(gf__json_find(layer, "name")));
    gf__json_set(json, "inbound_nodes", gf__json_copy(gf__json_find(layer, "inbound_nodes")));
    return json;
}

static gf__json *new_config(const gf__json *old)
{
    gf__json *config = gf__json_object();
    const gf__json *value = NULL;
    for (const char *key = gf__json_next(old, NULL, &value); key != NULL;
         key = gf__json_next(old, key, &value)) {
        if (strcmp(key, "layers") != 0) {
            gf__json_set(config, key, gf__json_copy(value));
            continue;
        }
        gf__json *layers = gf__json_array();
        for (size_t i = 0; i < gf__json_n_items(value); i++)
            gf__json_append(layers, new_layer(gf__json_at(value, i)));
        gf__json_set(config, key, layers);
    }
    return config;
}

/* Model, not Functional: each version has that class in another module. */
static gf_status write_config(const gf_graph *graph, gf__buffer *out, gf_error *err)
{
    gf__json *old = NULL;
    gf_status st = gf__graph_to_config(graph, &old, err);
    if (st != GF_OK)
        return st;
    gf__json *model = gf__json_object();
    gf__json_set_string(model, "module", "keras");
    gf__json_set_string(model, "class_name", "Model");
    gf__json_set(model, "config", new_config(gf__json_find(old, "config")));
    gf__json_set(model, "registered_name", gf__json_new_null());
    gf__json_write(model, false, out);
    gf__json_free(model);
    gf__json_free(old);
    return gf__buffer_status(out, err);
}

/* ---- metadata.json --------------------------------------------------------------------------- */

/* Keras reads nothing in it; what it has no place for can stand here. No date: the same model gives the
 * same bytes. */
static gf_status write_metadata(const gf__export_source *source, gf__buffer *out, gf_error *err)
{
    gf__json *metadata = gf__json_object();
    gf__json_set_string(metadata, "keras_version", "3.0.0"); /* the first that reads all of it */
    gf__json_set(metadata, "graft", gf__export_properties(source));
    gf__json_write(metadata, false, out);
    gf__json_free(metadata);
    return gf__buffer_status(out, err);
}

/* ---- the zip --------------------------------------------------------------------------------- */

/* Bytes that are there, handed out in portions. */
typedef struct member {
    const gf__export_source *source;
    const uint8_t *at;
} member;

static gf_status produce(void *user, uint8_t *out, size_t n_bytes, gf_error *err)
{
    member *m = user;
    memcpy(out, m->at, n_bytes);
    m->at += n_bytes;
    return gf__export_is_wanted(m->source, err);
}

static gf_status write_zip(const gf__export_source *source, const gf__buffer *metadata,
                           const gf__buffer *config, const gf__mapping *weights, const char *path,
                           gf_error *err)
{
    char names[3][20] = {"metadata.json", "config.json", "model.weights.h5"};
    member members[3] = {{source, (const uint8_t *)metadata->data},
                         {source, (const uint8_t *)config->data},
                         {source, weights->data}};
    const size_t sizes[3] = {metadata->size, config->size, weights->size};
    gf__archive_entry entries[3];
    for (size_t i = 0; i < 3; i++)
        entries[i] = (gf__archive_entry){names[i], sizes[i], produce, &members[i]};
    return gf__archive_write(path, entries, 3, false, err);
}

gf_status gf__keras_write_archive(const gf__export_source *source, const char *weights,
                                  const char *path, gf_error *err)
{
    gf__buffer metadata = {0}, config = {0};
    gf__mapping file = {0};
    gf_status st = write_metadata(source, &metadata, err);
    if (st == GF_OK)
        st = write_config(source->graph, &config, err);
    if (st == GF_OK)
        st = gf__map_file(weights, &file, err);
    if (st == GF_OK)
        st = write_zip(source, &metadata, &config, &file, path, err);
    gf__unmap(&file);
    gf__buffer_free(&config);
    gf__buffer_free(&metadata);
    return st;
}
