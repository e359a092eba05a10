/* model/document_read.c: the JSON document of a model file, checked member by member before
 * anything is believed. It came with a file that may be damaged, newer than this program, or made
 * to harm. Members that are not known here are left alone. */
#include <string.h>

#include "head/head.h"
#include "model/model_priv.h"

#define MAX_NAME 64

/* The trunk's name becomes a file name below the home. */
static bool is_file_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    const size_t n_chars = strlen(name);
    return n_chars > 0 && n_chars <= MAX_NAME && name[0] != '.' && strspn(name, allowed) == n_chars;
}

static bool is_sha256(const char *text)
{
    return strlen(text) == GF__SHA256_HEX - 1 &&
           strspn(text, "0123456789abcdef") == GF__SHA256_HEX - 1;
}

/* A model of a later format says so before anything else: what follows may have other rules. */
static gf_status check_kind(gf_model *model, gf_error *err)
{
    size_t format = 0;
    const char *kind = NULL;
    gf_status st = gf__json_get_size(model->json, "format", &format, err);
    if (st == GF_OK)
        st = gf__json_get_string(model->json, "kind", &kind, err);
    if (st != GF_OK)
        return st;
    if (strcmp(kind, "model") != 0)
        return gf_error_set(err, GF_EFORMAT, "this file holds a %.40s, expected a model%s", kind,
                            strcmp(kind, "trunk") == 0 ? "; train one on it with graft train" : "");
    if (format < 1)
        return gf_error_set(err, GF_EFORMAT, "format: expected 1 or more, found 0");
    if (format > GF_MODEL_FORMAT)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "model format %zu, this graft reads up to %d; use a newer graft",
                            format, GF_MODEL_FORMAT);
    return GF_OK;
}

/* null: the model takes numbers. */
static bool is_numeric(const gf_model *model)
{
    return gf__json_is_null(gf__json_find(model->json, "trunk"));
}

static gf_status read_trunk(gf_model *model, gf_error *err)
{
    const gf__json *trunk = NULL;
    gf_status st = gf__json_get_object(model->json, "trunk", &trunk, err);
    if (st != GF_OK)
        return st;
    st = gf__json_get_string(trunk, "name", &model->trunk_name, err);
    if (st == GF_OK && !is_file_name(model->trunk_name))
        st = gf_error_set(err, GF_EFORMAT, "name: \"%.64s\" is no trunk's name", model->trunk_name);
    if (st == GF_OK)
        st = gf__json_get_string(trunk, "sha256", &model->trunk_sha256, err);
    if (st == GF_OK && !is_sha256(model->trunk_sha256))
        st = gf_error_set(err, GF_EFORMAT, "sha256: \"%.70s\", expected 64 hex digits",
                          model->trunk_sha256);
    if (st == GF_OK && gf__json_find(trunk, "graph") != NULL)
        st = gf__json_get_object(trunk, "graph", &model->trunk_graph, err);
    if (st != GF_OK)
        gf__error_prefix(err, "trunk");
    return st;
}

/* What is a wrong argument in a call is a wrong word in a file. */
static gf_status restate(gf_status code, gf_error *err)
{
    if (err != NULL)
        err->code = code;
    return code;
}

static gf_status read_pool(gf_model *model, gf_error *err)
{
    const char *word = NULL;
    const gf_status st = gf__json_get_string(model->json, "pool", &word, err);
    if (st == GF_OK && gf__pool_parse(word, &model->pool, err) != GF_OK)
        return restate(GF_EFORMAT, err);
    return st;
}

static gf_status read_precision(gf_model *model, gf_error *err)
{
    const char *word = NULL;
    gf_status st = gf__json_get_string(model->json, "precision", &word, err);
    if (st == GF_OK && gf_precision_parse(word, &model->precision, err) != GF_OK)
        return restate(GF_EUNSUPPORTED, err); /* a later graft may have more of them */
    if (st == GF_OK && model->precision == GF_PRECISION_AUTO)
        st = gf_error_set(err, GF_EFORMAT, "precision: auto, expected what it was trained with");
    return st;
}

static gf_status read_cut(gf_model *model, gf_error *err)
{
    gf_status st = gf__json_get_string(model->json, "layer", &model->layer, err);
    if (st == GF_OK)
        st = read_pool(model, err);
    if (st == GF_OK)
        st = read_precision(model, err);
    return st;
}

static gf_status read_recipe(gf_model *model, gf_error *err)
{
    const gf__json *recipe = NULL;
    const gf_status st = gf__json_get_object(model->json, "recipe", &recipe, err);
    return st == GF_OK ? gf__recipe_from_json(recipe, &model->recipe, err) : st;
}

/* What stands before the head. */
static gf_status read_input(gf_model *model, gf_error *err)
{
    if (is_numeric(model))
        return gf__document_read_numbers(model, err);
    gf_status st = read_trunk(model, err);
    if (st == GF_OK)
        st = read_cut(model, err);
    return st == GF_OK ? read_recipe(model, err) : st;
}

static gf_status read_classes(gf_model *model, gf_error *err)
{
    const gf__json *list = NULL;
    const gf_status st = gf__json_get_array(model->json, "classes", &list, err);
    if (st != GF_OK)
        return st;
    const size_t n = gf__json_n_items(list);
    if (n == 0)
        return gf_error_set(err, GF_EFORMAT, "classes: there are none");
    model->class_names = gf__calloc(n, sizeof *model->class_names);
    if (model->class_names == NULL)
        return gf__error_nomem(err, "class names", n * sizeof *model->class_names);
    model->n_classes = n;
    for (size_t k = 0; k < n; k++) {
        model->class_names[k] = gf__json_string(gf__json_at(list, k), NULL);
        if (model->class_names[k] == NULL)
            return gf_error_set(err, GF_EFORMAT, "classes: item %zu is not a string", k);
    }
    return GF_OK;
}

static gf_status read_activation(const gf__json *json, gf_head_activation *out, gf_error *err)
{
    const char *word = NULL;
    const gf_status st = gf__json_get_string(json, "activation", &word, err);
    if (st == GF_OK && !gf__head_activation_parse(word, out))
        return gf_error_set(err, GF_EUNSUPPORTED, "activation: \"%.40s\" is not known here", word);
    return st;
}

static gf_status read_head_layer(const gf__json *json, gf_head_layer *out, gf_error *err)
{
    gf_status st = gf__json_get_string(json, "name", &out->name, err);
    if (st == GF_OK)
        st = gf__json_get_size(json, "units", &out->units, err);
    if (st == GF_OK)
        st = read_activation(json, &out->activation, err);
    if (st == GF_OK)
        st = gf__json_get_number(json, "dropout", &out->dropout, err);
    return st;
}

/* Sizes are only noted: memory is taken once tensors of these sizes have been found in the file. */
static gf_status read_head(gf_model *model, gf_error *err)
{
    const gf__json *list = NULL;
    gf_status st = gf__json_get_size(model->json, "n_features", &model->n_features, err);
    if (st == GF_OK)
        st = gf__json_get_array(model->json, "head", &list, err);
    if (st != GF_OK)
        return st;
    const size_t n = gf__json_n_items(list);
    if (n < 1 || n > GF__MODEL_MAX_HEAD_LAYERS)
        return gf_error_set(err, GF_EFORMAT, "head: %zu layers, expected 1 to %d", n,
                            GF__MODEL_MAX_HEAD_LAYERS);
    model->n_head_layers = n;
    for (size_t i = 0; i < n; i++) {
        st = read_head_layer(gf__json_at(list, i), &model->head_layers[i], err);
        if (st != GF_OK) {
            gf__error_prefix(err, "head: layer %zu", i);
            return st;
        }
    }
    if (model->head_layers[n - 1].units != model->n_classes)
        return gf_error_set(err, GF_EFORMAT, "head: its last layer has %zu units for %zu classes",
                            model->head_layers[n - 1].units, model->n_classes);
    return GF_OK;
}

static gf_status read_sample(const gf_model *model, const gf__json *json, gf__model_sample *out,
                             gf_error *err)
{
    gf_status st = gf__json_get_string(json, "item", &out->item, err);
    if (st == GF_OK && is_numeric(model))
        st = gf__document_read_floats(json, "numbers", model->n_features, &out->numbers, err);
    else if (st == GF_OK)
        st = gf__json_get_string(json, "png_tensor", &out->png_tensor, err);
    if (st == GF_OK)
        st = gf__document_read_floats(json, "scores", model->n_classes, &out->scores, err);
    return st;
}

static gf_status read_samples(gf_model *model, const gf__json *self_test, gf_error *err)
{
    const gf__json *list = NULL;
    gf_status st = gf__json_get_number(self_test, "tolerance", &model->tolerance, err);
    if (st == GF_OK && !(model->tolerance >= 0 && model->tolerance <= 1))
        st = gf_error_set(err, GF_EFORMAT, "tolerance: %g, expected 0 to 1", model->tolerance);
    if (st == GF_OK)
        st = gf__json_get_array(self_test, "samples", &list, err);
    if (st != GF_OK)
        return st;
    const size_t n = gf__json_n_items(list);
    if (n > GF__MODEL_MAX_SAMPLES)
        return gf_error_set(err, GF_EFORMAT, "%zu samples, at most %d are read", n,
                            GF__MODEL_MAX_SAMPLES);
    model->samples = gf__calloc(n, sizeof *model->samples);
    if (model->samples == NULL)
        return gf__error_nomem(err, "self-test samples", n * sizeof *model->samples);
    model->n_samples = n;
    for (size_t i = 0; i < n; i++) {
        st = read_sample(model, gf__json_at(list, i), &model->samples[i], err);
        if (st != GF_OK) {
            gf__error_prefix(err, "sample %zu", i);
            return st;
        }
    }
    return GF_OK;
}

static gf_status read_self_test(gf_model *model, gf_error *err)
{
    const gf__json *self_test = gf__json_find(model->json, "self_test");
    if (self_test == NULL || gf__json_is_null(self_test))
        return GF_OK;
    gf_status st = gf__json_get_object(model->json, "self_test", &self_test, err);
    if (st != GF_OK)
        return st;
    st = read_samples(model, self_test, err);
    if (st != GF_OK)
        gf__error_prefix(err, "self_test");
    return st;
}

gf_status gf__document_read(gf_model *model, gf_error *err)
{
    static gf_status (*const steps[])(gf_model *, gf_error *) = {
        check_kind, read_input, read_classes, read_head, read_self_test};
    gf_status st = GF_OK;
    if (!gf__json_is_object(model->json))
        return gf_error_set(err, GF_EFORMAT, "the document is not a JSON object");
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && st == GF_OK; i++)
        st = steps[i](model, err);
    return st;
}
