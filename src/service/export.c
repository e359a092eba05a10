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
    [GF_EXPORT_TFJS] = {"tfjs", gf__export_tfjs},
    [GF_EXPORT_KERAS] = {"keras", gf__export_keras},
    [GF_EXPORT_SAVEDMODEL] = {"savedmodel", gf__export_savedmodel},
    [GF_EXPORT_GRAFT] = {"graft", NULL}, /* no network: the model file itself */
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
    return gf_error_set(
        err, GF_EINVAL,
        "format \"%.32s\" is unknown, expected onnx, tfjs, keras, savedmodel or graft", name);
}

_Static_assert((int)GF_QUANTISE_NONE == (int)GF__EXPORT_F32 &&
                   (int)GF_QUANTISE_FLOAT16 == (int)GF__EXPORT_F16 &&
                   (int)GF_QUANTISE_UINT8 == (int)GF__EXPORT_U8,
               "the public names are the same numbers");

gf_status gf_quantisation_parse(const char *name, gf_quantisation *out, gf_error *err)
{
    static const char *const names[] = {"none", "float16", "uint8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (gf_quantisation)i;
            return GF_OK;
        }
    }
    return gf_error_set(err, GF_EINVAL,
                        "quantisation \"%.32s\" is unknown, expected none, float16 or uint8", name);
}

static gf_status new_vector(const float *values, size_t n, gf_tensor **out, gf_error *err)
{
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, &n, 1, out, err);
    if (st == GF_OK)
        memcpy(gf_tensor_mutable_data(*out), values, n * sizeof *values);
    return st;
}

/* (x - mean) / scale as every format can say it: a BatchNormalization without gamma, beta and
 * epsilon, whose variance is the square of the scale. */
static gf_status add_standardisation(const gf_model *model, gf_graph *graph, gf_error *err)
{
    const gf__layer_config config = {.class_id = GF__LAYER_BATCH_NORMALIZATION,
                                     .name = "standardisation"};
    const gf__standardisation how = gf__model_standardisation(model);
    const size_t n = gf_model_n_inputs(model), input = 0;
    size_t index = 0;
    gf_tensor *mean = NULL, *variance = NULL;
    gf_status st = gf__graph_add(graph, &config, &input, 1, &index, err);
    if (st == GF_OK)
        st = new_vector(how.means, n, &mean, err);
    if (st == GF_OK)
        st = new_vector(how.scales, n, &variance, err);
    for (size_t i = 0; st == GF_OK && i < n; i++)
        ((float *)gf_tensor_mutable_data(variance))[i] *= how.scales[i];
    if (st == GF_OK)
        st = gf__graph_set_weight(graph, index, "moving_mean", mean, err);
    mean = st == GF_OK ? NULL : mean; /* the graph's now */
    if (st == GF_OK)
        st = gf__graph_set_weight(graph, index, "moving_variance", variance, err);
    variance = st == GF_OK ? NULL : variance;
    gf_tensor_free(mean);
    gf_tensor_free(variance);
    return st;
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
    if (st == GF_OK && gf_model_trunk_name(model) == NULL)
        st = add_standardisation(model, *out, err);
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
            .has_decoder = request->has_decoder,
            .column_names = columns,
            .trunk_name = gf_model_trunk_name(model),
            .layer = gf_model_layer(model),
            .quantisation = (gf__export_quantisation)request->quantisation,
            .observer = request->observer,
        };
        st = formats[request->format].write(&source, request->output, err);
    }
    gf__free(classes);
    gf__free(columns);
    return st;
}

/* A decoder gives pictures: to a network that takes them, in the format that has one. */
static gf_status check_decoder(const gf_export_request *request, const gf_model *model,
                               gf_error *err)
{
    if (!request->has_decoder)
        return GF_OK;
    if (request->format == GF_EXPORT_SAVEDMODEL)
        return gf_error_set(err, GF_EINVAL, "a SavedModel always has its decoder");
    if (request->format != GF_EXPORT_ONNX)
        return gf_error_set(err, GF_EUNSUPPORTED, "%s has no place for a decoder, onnx has",
                            formats[request->format].name);
    if (request->is_head_only)
        return gf_error_set(err, GF_EINVAL, "a head alone takes features: it needs no decoder");
    if (gf_model_trunk_name(model) == NULL)
        return gf_error_set(err, GF_EINVAL, "%s takes numbers: it needs no decoder",
                            request->model);
    return GF_OK;
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
    st = check_decoder(request, model, err);
    if (st != GF_OK)
        goto done;
    if (request->format == GF_EXPORT_GRAFT)
        st = gf__export_graft(request, model, err);
    else if (gf_model_trunk_name(model) == NULL || request->is_head_only)
        st = head_graph(model, &head, err);
    else
        st = gf_network_open(&request->context, request->model, &network, err);
    if (st == GF_OK && request->format != GF_EXPORT_GRAFT)
        st = write_model(request, model, head != NULL ? head : gf_network_graph(network), err);
done:
    gf_network_free(network);
    gf_graph_free(head);
    gf_model_unref(model);
    return st;
}
