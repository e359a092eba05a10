/* trunk_save.c: a checkpoint into a trunk's file, and the identity of a network; trunk.c says what
 * the file holds. */
#include <stdio.h>
#include <string.h>

#include "zoo/zoo_priv.h"

/* ---- identity ---- */

static void hash_weights(const gf_layer *layer, gf__hash *hash)
{
    for (size_t k = 0; k < gf__layer_n_weights(layer); k++) {
        const gf_tensor *tensor = gf__layer_weight_at(layer, k);
        char text[GF__SHAPE_TEXT], line[GF__LAYER_NAME_TEXT + GF__SHAPE_TEXT];
        const int n = snprintf(
            line, sizeof line, "\n%s/%s %s\n", gf_layer_name(layer),
            gf__layer_weight_name(layer, k),
            gf__shape_text(gf_tensor_shape(tensor), gf_tensor_n_dims(tensor), text));
        gf__hash_update(hash, line, (size_t)n);
        gf__hash_update(hash, gf_tensor_data(tensor), gf_tensor_size_bytes(tensor));
    }
}

static gf_status hash_network(const gf_graph *graph, const gf__json *config,
                              char hex[GF__SHA256_HEX], gf_error *err)
{
    gf__hash *hash = NULL;
    gf__buffer text = {0};
    gf__json_write(config, false, &text);
    gf_status st = gf__buffer_status(&text, err);
    if (st == GF_OK)
        st = gf__hash_new(GF__HASH_SHA256, &hash, err);
    if (st == GF_OK) {
        gf__hash_update(hash, text.data, text.size);
        for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
            hash_weights(gf_graph_layer_at(graph, (ptrdiff_t)i), hash);
        gf__hash_finish(hash, hex);
    }
    gf__buffer_free(&text);
    return st;
}

gf_status gf__graph_sha256(const gf_graph *graph, char hex[GF__SHA256_HEX], gf_error *err)
{
    gf__json *config = NULL;
    gf_status st = gf__graph_to_config(graph, &config, err);
    if (st == GF_OK)
        st = hash_network(graph, config, hex, err);
    gf__json_free(config);
    return st;
}

/* ---- writing ---- */

static gf__json *new_document(const gf__checkpoint *checkpoint, const char *name,
                              const char *sha256, gf__json *config)
{
    const size_t *shape = gf_layer_shape(gf_graph_layer_at(checkpoint->graph, 0));
    const bool is_picture = gf_layer_n_dims(gf_graph_layer_at(checkpoint->graph, 0)) == 3;
    gf__json *input = gf__json_object();
    gf__json_set_int(input, "width", is_picture ? (int64_t)shape[1] : 0);
    gf__json_set_int(input, "height", is_picture ? (int64_t)shape[0] : 0);
    gf__json_set_number(input, "scale", (double)checkpoint->scale);
    gf__json_set_number(input, "shift", (double)checkpoint->shift);
    gf__json *classes = gf__json_array();
    for (size_t k = 0; k < checkpoint->n_classes; k++)
        gf__json_append(classes, gf__json_new_string(checkpoint->class_names[k]));

    gf__json *document = gf__json_object();
    gf__json_set_int(document, "format", GF__TRUNK_FORMAT);
    gf__json_set_string(document, "kind", "trunk");
    gf__json_set_string(document, "name", name);
    gf__json_set_string(document, "architecture", checkpoint->architecture);
    gf__json_set_string(document, "sha256", sha256);
    gf__json_set(document, "input", input);
    gf__json_set(document, "classes", classes);
    gf__json_set_string(document, "origin", checkpoint->origin);
    gf__json_set(document, "graph", config);
    return document;
}

static size_t count_weights(const gf_graph *graph)
{
    size_t n = 0;
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++)
        n += gf__layer_n_weights(gf_graph_layer_at(graph, (ptrdiff_t)i));
    return n;
}

/* Names are new; end the list with free_named(). */
static gf_status list_weights(const gf_graph *graph, gf_named_tensor *list, gf_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++, n++) {
            list[n].tensor = gf__layer_weight_at(layer, k);
            list[n].name = gf__asprintf("%s/%s", gf_layer_name(layer),
                                        gf__layer_weight_name(layer, k));
            if (list[n].name == NULL)
                return gf__error_nomem(err, "a weight's name", GF__LAYER_NAME_TEXT);
        }
    }
    return GF_OK;
}

static void free_named(gf_named_tensor *list, size_t n)
{
    for (size_t i = 0; list != NULL && i < n; i++)
        gf__free((void *)list[i].name);
    gf__free(list);
}

static gf_status write_file(const char *path, const gf_graph *graph, const gf__json *document,
                            gf_error *err)
{
    gf__buffer text = {0};
    const size_t n = count_weights(graph);
    gf_named_tensor *list = gf__calloc(n, sizeof *list);
    gf_status st = GF_OK;
    if (list == NULL) {
        st = gf__error_nomem(err, "a list of weights", n * sizeof *list);
        goto done;
    }
    st = list_weights(graph, list, err);
    if (st != GF_OK)
        goto done;
    gf__json_write(document, false, &text);
    st = gf__buffer_status(&text, err);
    if (st != GF_OK)
        goto done;
    const gf_metadata metadata = {"graft", text.data};
    st = gf_safetensors_save(path, list, n, &metadata, 1, err);
done:
    free_named(list, n);
    gf__buffer_free(&text);
    return st;
}

gf_status gf__trunk_save(const gf__checkpoint *checkpoint, const char *name, const char *home,
                         char sha256[GF__SHA256_HEX], gf_error *err)
{
    gf_status st;
    gf__json *config = NULL, *document = NULL;
    char *folder = gf__path_join(home, "trunks");
    char *path = gf__trunk_path(home, name);
    if (folder == NULL || path == NULL) {
        st = gf__error_nomem(err, "a path", strlen(home));
        goto done;
    }
    st = gf__graph_to_config(checkpoint->graph, &config, err);
    if (st != GF_OK)
        goto done;
    st = hash_network(checkpoint->graph, config, sha256, err);
    if (st != GF_OK)
        goto done;
    document = new_document(checkpoint, name, sha256, config);
    config = NULL; /* moved into the document, also on failure */
    st = gf__json_status(document, err);
    if (st != GF_OK)
        goto done;
    st = gf__make_dirs(folder, err);
    if (st != GF_OK)
        goto done;
    st = write_file(path, checkpoint->graph, document, err);
done:
    gf__json_free(document);
    gf__json_free(config);
    gf__free(path);
    gf__free(folder);
    return st;
}
