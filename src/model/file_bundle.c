/* model/file_bundle.c: a model file once more, with its trunk inside or without it. Everything else stays as
 * it is in the file, also what this version does not know: the bytes are those that training with or
 * without a bundle would have written. */
#include <string.h>

#include "graph/graph.h"
#include "model/model_priv.h"

/* The tensors of the new file: names of the trunk's are owned, the rest is the old file's. */
typedef struct contents {
    const gf_safetensors *file;
    const gf_graph *graph; /* the trunk as far as the cut; NULL: goes without */
    gf_named_tensor *tensors;
    size_t n_tensors;
    char **names;
    size_t n_names;
} contents;

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

static size_t count_weights(const gf_graph *graph)
{
    size_t n = 0;
    for (size_t i = 0; graph != NULL && i < gf_graph_n_layers(graph); i++)
        n += gf__layer_n_weights(gf_graph_layer_at(graph, (ptrdiff_t)i));
    return n;
}

static gf_status add_layer(contents *c, const gf_layer *layer, gf_error *err)
{
    for (size_t i = 0; i < gf__layer_n_weights(layer); i++) {
        char *name = gf__trunk_tensor_name(gf_layer_name(layer), gf__layer_weight_name(layer, i));
        if (name == NULL)
            return gf__error_nomem(err, "a tensor's name", strlen(gf_layer_name(layer)));
        c->names[c->n_names++] = name;
        c->tensors[c->n_tensors++] = (gf_named_tensor){name, gf__layer_weight_at(layer, i)};
    }
    return GF_OK;
}

static gf_status add_trunk(contents *c, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; c->graph != NULL && i < gf_graph_n_layers(c->graph) && st == GF_OK; i++)
        st = add_layer(c, gf_graph_layer_at(c->graph, (ptrdiff_t)i), err);
    return st;
}

/* The old file's in their order; the trunk's stand behind the head's. */
static gf_status collect(contents *c, gf_error *err)
{
    const size_t n = gf_safetensors_n_tensors(c->file), n_weights = count_weights(c->graph);
    size_t n_before = 0; /* up to the last tensor of the head */
    gf_status st = GF_OK;
    c->tensors = gf__calloc(n + n_weights + 1, sizeof *c->tensors);
    c->names = gf__calloc(n_weights + 1, sizeof *c->names);
    if (c->tensors == NULL || c->names == NULL)
        return gf__error_nomem(err, "a table of tensors", n + n_weights);
    for (size_t i = 0; i < n; i++)
        if (begins_with(gf_safetensors_name_at(c->file, i), "head/"))
            n_before = i + 1;
    for (size_t i = 0; i < n && st == GF_OK; i++) {
        const char *name = gf_safetensors_name_at(c->file, i);
        if (!begins_with(name, "trunk/"))
            c->tensors[c->n_tensors++] = (gf_named_tensor){name,
                                                           gf_safetensors_find(c->file, name)};
        if (i + 1 == n_before)
            st = add_trunk(c, err);
    }
    return st;
}

/* Member "trunk" with another "graph", or without one. */
static gf_status new_trunk(const gf__json *trunk, const gf_graph *graph, gf__json **out,
                           gf_error *err)
{
    gf__json *config = NULL;
    const gf__json *value = NULL;
    gf_status st = graph != NULL ? gf__graph_to_config(graph, &config, err) : GF_OK;
    if (st != GF_OK)
        return st;
    *out = gf__json_object();
    for (const char *key = gf__json_next(trunk, NULL, &value); key != NULL;
         key = gf__json_next(trunk, key, &value))
        if (strcmp(key, "graph") != 0)
            gf__json_set(*out, key, gf__json_copy(value));
    if (config != NULL)
        gf__json_set(*out, "graph", config);
    return GF_OK;
}

static gf_status write_document(const gf_model *model, const gf_graph *graph, gf__buffer *text,
                                gf_error *err)
{
    gf__json *document = gf__json_object(), *trunk = NULL;
    const gf__json *value = NULL;
    const gf_status st = new_trunk(gf__json_find(model->json, "trunk"), graph, &trunk, err);
    for (const char *key = gf__json_next(model->json, NULL, &value); key != NULL;
         key = gf__json_next(model->json, key, &value)) {
        const bool is_trunk = strcmp(key, "trunk") == 0;
        gf__json_set(document, key, is_trunk ? trunk : gf__json_copy(value));
    }
    if (st == GF_OK)
        gf__json_write(document, false, text);
    gf__json_free(document);
    return st == GF_OK ? gf__buffer_status(text, err) : st;
}

static gf_status save(const gf_model *model, const char *path, const gf_graph *graph,
                      const char *output, gf_error *err)
{
    contents c = {.graph = graph};
    gf_safetensors *file = NULL;
    gf__buffer text = {0};
    gf_status st = gf_safetensors_open(path, &file, err);
    if (st != GF_OK)
        return st;
    c.file = file;
    st = collect(&c, err);
    if (st == GF_OK)
        st = write_document(model, graph, &text, err);
    if (st == GF_OK) {
        const gf_metadata metadata = {GF__DOCUMENT_KEY, text.data};
        st = gf_safetensors_save(output, c.tensors, c.n_tensors, &metadata, 1, err);
    }
    for (size_t i = 0; i < c.n_names; i++)
        gf__free(c.names[i]);
    gf__free(c.names);
    gf__free(c.tensors);
    gf__buffer_free(&text);
    gf_safetensors_close(file);
    return st;
}

gf_status gf__model_save_bundle(const gf_model *model, const char *path, const gf_trunk *trunk,
                                const char *output, gf_error *err)
{
    gf_graph *graph = NULL;
    gf_status st = trunk != NULL ? gf__model_check_recipe(model, trunk, err) : GF_OK;
    if (st == GF_OK && trunk != NULL)
        st = gf_graph_cut(gf_trunk_graph(trunk), model->layer, &graph, err);
    if (st == GF_OK)
        st = save(model, path, graph, output, err);
    gf_graph_free(graph);
    return st;
}
