/* model/model.c: a loaded model: counting its owners, answering what it is, and finding the trunk
 * it runs on. */
#include <assert.h>
#include <string.h>

#include "graph/graph.h"
#include "model/model_priv.h"
#include "zoo/zoo.h"

gf_model *gf_model_ref(gf_model *model)
{
    atomic_fetch_add_explicit(&model->n_owners, 1, memory_order_relaxed);
    return model;
}

void gf_model_unref(gf_model *model)
{
    if (model == NULL || atomic_fetch_sub_explicit(&model->n_owners, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < model->n_samples; i++) {
        gf__free(model->samples[i].png);
        gf__free(model->samples[i].numbers);
        gf__free(model->samples[i].scores);
    }
    gf__free(model->samples);
    gf__free(model->class_names);
    gf__free(model->column_names);
    gf__free(model->means);
    gf__free(model->scales);
    gf_head_free(model->head);
    gf_trunk_free(model->trunk);
    gf_safetensors_close(model->file);
    pthread_mutex_destroy(&model->trunk_mutex);
    gf__json_free(model->json);
    gf__free(model->text);
    gf__free(model);
}

const gf_head *gf_model_head(const gf_model *model)
{
    return model->head;
}

size_t gf_model_n_classes(const gf_model *model)
{
    return model->n_classes;
}

const char *gf_model_class_at(const gf_model *model, size_t k)
{
    assert(k < model->n_classes);
    return model->class_names[k];
}

const char *gf_model_trunk_name(const gf_model *model)
{
    return model->trunk_name;
}

const char *gf_model_trunk_sha256(const gf_model *model)
{
    return model->trunk_sha256;
}

const char *gf_model_layer(const gf_model *model)
{
    return model->layer;
}

gf_pool gf_model_pool(const gf_model *model)
{
    return model->pool;
}

gf_precision gf_model_precision(const gf_model *model)
{
    return model->precision;
}

gf_recipe gf_model_recipe(const gf_model *model)
{
    return model->recipe;
}

bool gf_model_is_bundle(const gf_model *model)
{
    return model->trunk_graph != NULL;
}

const char *gf_model_document(const gf_model *model)
{
    return model->text;
}

const gf__json *gf__model_json(const gf_model *model)
{
    return model->json;
}

/* ---- the trunk inside ---- */

static gf_status attach_weight(gf_graph *graph, size_t layer, size_t i, const gf_safetensors *file,
                               gf_error *err)
{
    const gf_layer *owner = gf_graph_layer_at(graph, (ptrdiff_t)layer);
    const char *weight = gf__layer_weight_name(owner, i);
    char *name = gf__trunk_tensor_name(gf_layer_name(owner), weight);
    if (name == NULL)
        return gf__error_nomem(err, "a tensor's name", 0);
    const gf_tensor *tensor = gf_safetensors_find(file, name);
    gf_tensor *view = NULL;
    gf_status st = GF_OK;
    if (tensor == NULL)
        st = gf_error_set(err, GF_EFORMAT, "tensor %.200s is missing", name);
    else
        st = gf__tensor_view(gf_tensor_dtype(tensor), gf_tensor_shape(tensor),
                             gf_tensor_n_dims(tensor), gf_tensor_data(tensor), &view, err);
    if (st == GF_OK)
        st = gf__graph_set_weight(graph, layer, weight, view, err);
    if (st != GF_OK)
        gf_tensor_free(view); /* otherwise the graph's */
    gf__free(name);
    return st;
}

static gf_status attach_weights(gf_graph *graph, const gf_safetensors *file, gf_error *err)
{
    for (size_t layer = 0; layer < gf_graph_n_layers(graph); layer++) {
        const size_t n = gf__layer_n_weights(gf_graph_layer_at(graph, (ptrdiff_t)layer));
        for (size_t i = 0; i < n; i++) {
            const gf_status st = attach_weight(graph, layer, i, file, err);
            if (st != GF_OK)
                return st;
        }
    }
    return GF_OK;
}

/* Under the mutex. */
static gf_status unpack_trunk(gf_model *model, gf_error *err)
{
    gf_graph *graph = NULL;
    char hex[GF__SHA256_HEX];
    gf_status st = gf__graph_from_config(model->trunk_graph, &graph, err);
    if (st == GF_OK)
        st = attach_weights(graph, model->file, err);
    if (st == GF_OK)
        st = gf__graph_sha256(graph, hex, err);
    if (st == GF_OK) {
        const gf__trunk_parts parts = {.name = model->trunk_name,
                                       .sha256 = hex,
                                       .origin = "a model file",
                                       .scale = model->recipe.scale,
                                       .shift = model->recipe.shift,
                                       .graph = graph,
                                       .file = model->file};
        st = gf__trunk_take(&parts, &model->trunk, err);
        if (st == GF_OK) {
            graph = NULL;
            model->file = NULL;
        }
    } else {
        gf__error_prefix(err, "the model's own trunk");
    }
    gf_graph_free(graph);
    return st;
}

static gf_status trunk_inside(gf_model *model, gf_trunk **out, gf_error *err)
{
    gf_status st = GF_OK;
    pthread_mutex_lock(&model->trunk_mutex);
    if (model->trunk == NULL)
        st = unpack_trunk(model, err);
    if (st == GF_OK)
        *out = gf_trunk_ref(model->trunk);
    pthread_mutex_unlock(&model->trunk_mutex);
    return st;
}

/* ---- the trunk in a home ---- */

/* *out is the trunk called name if it is the model's, NULL if it is another. Loading maps a file
 * and reads its header: weights are not touched. */
static gf_status load_if_same(const char *sha256, const char *home, const char *name,
                              gf_trunk **out, gf_error *err)
{
    gf_trunk *trunk = NULL;
    const gf_status st = gf_trunk_load(home, name, &trunk, err);
    if (st == GF_OK && strcmp(gf_trunk_sha256(trunk), sha256) == 0) {
        *out = trunk;
        trunk = NULL;
    }
    gf_trunk_free(trunk);
    return st;
}

/* Under another name: the user may have imported it as something else. */
static bool search_home(const char *sha256, const char *home, gf_trunk **out)
{
    static const char ending[] = ".safetensors";
    gf__dir_list list = {0};
    bool is_found = false;
    char *dir = gf__path_join(home, "trunks");
    if (dir != NULL && gf__list_dir(dir, &list, NULL) == GF_OK) {
        for (size_t i = 0; i < list.n_names && !is_found; i++) {
            char *name = list.names[i];
            const size_t n_chars = strlen(name);
            if (n_chars < sizeof ending || strcmp(gf__path_extension(name), ending) != 0)
                continue;
            name[n_chars - (sizeof ending - 1)] = '\0'; /* the list is ours */
            is_found = load_if_same(sha256, home, name, out, NULL) == GF_OK && *out != NULL;
        }
    }
    gf__dir_list_free(&list);
    gf__free(dir);
    return is_found;
}

gf_status gf_model_trunk(gf_model *model, const char *home, gf_trunk **out, gf_error *err)
{
    *out = NULL;
    if (gf__model_takes_numbers(model))
        return gf_error_set(err, GF_EUNSUPPORTED, "the model takes numbers: it has no trunk");
    if (gf_model_is_bundle(model))
        return trunk_inside(model, out, err);
    return gf__home_trunk(home, model->trunk_name, model->trunk_sha256, out, err);
}

gf_status gf__home_trunk(const char *home, const char *name, const char *sha256, gf_trunk **out,
                         gf_error *err)
{
    *out = NULL;
    if (home != NULL) {
        gf_error why;
        const gf_status st = load_if_same(sha256, home, name, out, &why);
        if (*out != NULL || search_home(sha256, home, out))
            return GF_OK;
        /* A file that is there and cannot be read is the news, not that its trunk is missing. */
        if (st != GF_OK && st != GF_ENOTFOUND)
            return gf_error_set(err, st, "%s", why.message);
    }
    return gf_error_set(err, GF_ENOTFOUND,
                        "the model runs on trunk %s with SHA-256 %.12s..., which is not in %s; get "
                        "it with graft pull or graft import, or use a model made with --bundle",
                        name, sha256, home != NULL ? home : "a home");
}
