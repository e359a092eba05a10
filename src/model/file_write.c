/* model/file_write.c: a model into one safetensors file: float tensors first (head, then the trunk
 * of a bundle), pictures last, so that every float stays where a float may lie. The file appears
 * whole or not at all. */
#include <assert.h>
#include <string.h>

#include "graph/graph.h"
#include "head/head.h"
#include "model/model_priv.h"

/* What goes into the file: views of values that the content owns, under names made here. */
typedef struct tensor_list {
    gf_named_tensor *items;
    size_t n_items, capacity;
} tensor_list;

static void free_list(tensor_list *list)
{
    for (size_t i = 0; i < list->n_items; i++) {
        gf__free((char *)(uintptr_t)list->items[i].name);
        gf_tensor_free((gf_tensor *)(uintptr_t)list->items[i].tensor);
    }
    gf__free(list->items);
}

static gf_status make_room(tensor_list *list, gf_error *err)
{
    if (list->n_items < list->capacity)
        return GF_OK;
    const size_t capacity = 2 * list->capacity + 16;
    gf_named_tensor *items = gf__realloc(list->items, capacity * sizeof *items);
    if (items == NULL)
        return gf__error_nomem(err, "a table of tensors", capacity * sizeof *items);
    list->items = items;
    list->capacity = capacity;
    return GF_OK;
}

/* name is taken, whatever comes back. */
static gf_status add(tensor_list *list, char *name, gf_dtype dtype, const size_t *shape,
                     size_t n_dims, const void *data, gf_error *err)
{
    gf_tensor *view = NULL;
    gf_status st = name != NULL ? make_room(list, err) : gf__error_nomem(err, "a name", 0);
    if (st == GF_OK)
        st = gf__tensor_view(dtype, shape, n_dims, data, &view, err);
    if (st != GF_OK) {
        gf__free(name);
        return st;
    }
    list->items[list->n_items++] = (gf_named_tensor){name, view};
    return GF_OK;
}

static gf_status check_weights(const char *layer, const char *weight, const float *values, size_t n,
                               gf_error *err)
{
    const size_t i = gf__first_not_finite(values, n);
    if (i < n)
        return gf_error_set(
            err, GF_EINVAL,
            "head layer %s: value %zu of its %s is %g: the training diverged; try a "
            "smaller learning rate",
            layer, i, weight, (double)values[i]);
    return GF_OK;
}

static gf_status add_head(tensor_list *list, const gf_head *head, gf_error *err)
{
    gf_status st = GF_OK;
    size_t inputs = gf_head_n_features(head);
    for (size_t i = 0; i < gf_head_n_layers(head) && st == GF_OK; i++) {
        const gf_head_layer layer = gf_head_layer_at(head, i);
        const size_t shape[2] = {inputs, layer.units};
        const float *kernel = gf__head_kernel_of(head, i), *bias = gf__head_bias_of(head, i);
        st = check_weights(layer.name, "kernel", kernel, inputs * layer.units, err);
        if (st == GF_OK)
            st = check_weights(layer.name, "bias", bias, layer.units, err);
        if (st == GF_OK)
            st = add(list, gf__head_tensor_name(i, "kernel"), GF_DTYPE_F32, shape, 2, kernel, err);
        if (st == GF_OK)
            st = add(list, gf__head_tensor_name(i, "bias"), GF_DTYPE_F32, &shape[1], 1, bias, err);
        inputs = layer.units;
    }
    return st;
}

static gf_status add_layer(tensor_list *list, const gf_layer *layer, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < gf__layer_n_weights(layer) && st == GF_OK; i++) {
        const gf_tensor *weight = gf__layer_weight_at(layer, i);
        const char *name = gf__layer_weight_name(layer, i);
        if (weight == NULL)
            return gf_error_set(err, GF_EINVAL, "layer %s has no %s to put into a bundle",
                                gf_layer_name(layer), name);
        st = add(list, gf__trunk_tensor_name(gf_layer_name(layer), name), gf_tensor_dtype(weight),
                 gf_tensor_shape(weight), gf_tensor_n_dims(weight), gf_tensor_data(weight), err);
    }
    return st;
}

static gf_status add_trunk(tensor_list *list, const gf_graph *graph, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < gf_graph_n_layers(graph) && st == GF_OK; i++)
        st = add_layer(list, gf_graph_layer_at(graph, (ptrdiff_t)i), err);
    return st;
}

static gf_status add_pictures(tensor_list *list, const gf__model_content *content, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < content->n_samples && content->trunk != NULL && st == GF_OK; i++)
        st = add(list, gf__sample_tensor_name(i), GF_DTYPE_U8, &content->samples[i].n_bytes, 1,
                 content->samples[i].png, err);
    return st;
}

static gf_status add_tensors(tensor_list *list, const gf__model_content *content,
                             const gf_graph *graph, gf_error *err)
{
    gf_status st = add_head(list, content->head, err);
    if (st == GF_OK && graph != NULL)
        st = add_trunk(list, graph, err);
    return st == GF_OK ? add_pictures(list, content, err) : st;
}

static gf_status save(const char *path, const gf__model_content *content, const gf_graph *graph,
                      gf_error *err)
{
    tensor_list list = {0};
    gf__json *document = NULL;
    gf__buffer text = {0};
    gf_status st = add_tensors(&list, content, graph, err);
    if (st == GF_OK)
        st = gf__document_new(content, graph, &document, err);
    if (st == GF_OK) {
        gf__json_write(document, false, &text);
        st = gf__buffer_status(&text, err);
    }
    if (st == GF_OK) {
        const gf_metadata metadata = {GF__DOCUMENT_KEY, text.data};
        st = gf_safetensors_save(path, list.items, list.n_items, &metadata, 1, err);
    }
    gf__buffer_free(&text);
    gf__json_free(document);
    free_list(&list);
    return st;
}

gf_status gf__model_save(const char *path, const gf__model_content *content, gf_error *err)
{
    assert(content->trunk == NULL || content->precision != GF_PRECISION_AUTO);
    assert(content->trunk != NULL || !content->is_bundle);
    gf_graph *graph = NULL;
    gf_status st = GF_OK;
    if (content->n_samples > GF__MODEL_MAX_SAMPLES ||
        gf_head_n_layers(content->head) > GF__MODEL_MAX_HEAD_LAYERS)
        return gf_error_set(err, GF_EINVAL,
                            "%zu self-test samples and %zu head layers, at most %d and %d fit",
                            content->n_samples, gf_head_n_layers(content->head),
                            GF__MODEL_MAX_SAMPLES, GF__MODEL_MAX_HEAD_LAYERS);
    if (content->is_bundle) /* as far as the cut: the rest would never run */
        st = gf_graph_cut(gf_trunk_graph(content->trunk), content->layer, &graph, err);
    if (st == GF_OK)
        st = save(path, content, graph, err);
    gf_graph_free(graph);
    return st;
}
