/* service/export.c: a model file as one network, handed to the writer of the format. */
#include <string.h>

#include "export/export.h"
#include "head/head.h"
#include "service/service_priv.h"

static const struct {
    const char *name;
    gf_status (*write)(const gf__export_source *source, const char *path, gf_error *err);
} formats[] = {
    [GF_EXPORT_ONNX] = {"onnx", gf__export_onnx},
};
#define N_FORMATS (sizeof formats / sizeof *formats)

gf_status gf_export_format_parse(const char *name, gf_export_format *out, gf_error *err)
{
    for (size_t i = 0; i < N_FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            *out = (gf_export_format)i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EINVAL, "format \"%.32s\" is unknown, expected onnx", name);
}

/* A network of the head alone: features, or a table's columns, to scores. */
static gf_status head_graph(const gf_model *model, gf_graph **out, gf_error *err)
{
    const gf__layer_config input = {.class_id = GF__LAYER_INPUT,
                                    .name = "features",
                                    .is_trainable = true,
                                    .input_shape = {gf_model_n_inputs(model)},
                                    .n_input_dims = 1};
    size_t index = 0;
    gf_status st = gf__graph_new("head", out, err);
    if (st == GF_OK)
        st = gf__graph_add(*out, &input, NULL, 0, &index, err);
    return st == GF_OK ? gf__append_head(*out, gf_model_head(model), err) : st;
}

/* Names of classes, or of columns: borrowed in a list that is new. */
static gf_status name_list(const gf_model *model, size_t n,
                           const char *(*at)(const gf_model *model, size_t i), const char ***out,
                           gf_error *err)
{
    *out = gf__calloc(n + 1, sizeof **out);
    if (*out == NULL)
        return gf__error_nomem(err, "names", n * sizeof **out);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = at(model, i);
    return GF_OK;
}

static gf_status write_model(const gf_export_request *request, const gf_model *model,
                             const gf_graph *graph, gf_error *err)
{
    const gf_recipe recipe = gf_model_recipe(model);
    const bool is_table = gf_model_trunk_name(model) == NULL;
    const gf__standardisation standardisation = is_table ? gf__model_standardisation(model)
                                                         : (gf__standardisation){NULL, NULL};
    const char **classes = NULL, **columns = NULL;
    gf_status st = name_list(model, gf_model_n_classes(model), gf_model_class_at, &classes, err);
    if (st == GF_OK && is_table)
        st = name_list(model, gf_model_n_inputs(model), gf_model_column_at, &columns, err);
    if (st == GF_OK) {
        const gf__export_source source = {
            .name = gf_graph_name(graph),
            .graph = graph,
            .class_names = classes,
            .n_classes = gf_model_n_classes(model),
            .recipe = is_table || request->is_head_only ? NULL : &recipe,
            .standardisation = is_table ? &standardisation : NULL,
            .column_names = columns,
            .trunk_name = gf_model_trunk_name(model),
            .layer = gf_model_layer(model),
        };
        st = formats[request->format].write(&source, request->output, err);
    }
    gf__free(classes);
    gf__free(columns);
    return st;
}

gf_status gf_service_export(const gf_export_request *request, gf_error *err)
{
    gf_model *model = NULL;
    gf_network *network = NULL;
    gf_graph *head = NULL;
    gf_status st = gf__check_spares(request->output, request->model, "model", err);
    if (st == GF_OK)
        st = gf_model_load(request->model, &model, err);
    if (st != GF_OK)
        return st;
    if (gf_model_trunk_name(model) == NULL || request->is_head_only)
        st = head_graph(model, &head, err);
    else
        st = gf_network_open(&request->context, request->model, &network, err);
    if (st == GF_OK)
        st = write_model(request, model, head != NULL ? head : gf_network_graph(network), err);
    gf_network_free(network);
    gf_graph_free(head);
    gf_model_unref(model);
    return st;
}
