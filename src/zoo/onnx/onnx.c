/* zoo/onnx/onnx.c: an ONNX file: unpacked within bounds, its one input and output found, its nodes run in their
 * order, and what graft's own files say beside the network. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "zoo/onnx/onnx_priv.h"

enum {
    MAX_NODES = 8192, /* some loops over them are quadratic */
    MAX_NAMES = 1 << 18,
    MIN_OPSET = 7, /* before, broadcasting had attributes */
    MAX_OPSET = 25,
    MIN_IR = 3
};
#define MORE_MEMORY ((size_t)64 << 20) /* than the file has bytes */

/* ---- what is asked of a model ---------------------------------------------------------------- */

static gf_status check_opset(const GfOnnx__Model *model, gf__onnx_model *out, gf_error *err)
{
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = model->opset_import[i]->domain;
        if (domain == NULL || domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0)
            out->opset = model->opset_import[i]->version;
    }
    if (model->ir_version < MIN_IR)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "has IR version %lld, ONNX files since 2017 have 3 or more",
                            (long long)model->ir_version);
    if (out->opset < MIN_OPSET || out->opset > MAX_OPSET)
        return gf_error_set(err, GF_EUNSUPPORTED, "is of opset %lld; %d to %d are known",
                            (long long)out->opset, MIN_OPSET, MAX_OPSET);
    return GF_OK;
}

static gf_status check_counts(const GfOnnx__Graph *graph, gf_error *err)
{
    size_t n_names = graph->n_initializer + graph->n_input;
    if (graph->n_node > MAX_NODES)
        return gf_error_set(err, GF_ELIMIT, "has %zu nodes, at most %d are read", graph->n_node,
                            MAX_NODES);
    for (size_t i = 0; i < graph->n_node; i++) {
        const GfOnnx__Node *node = graph->node[i];
        n_names += node->n_input + node->n_output;
        if (node->n_output == 0 || node->op_type == NULL)
            return gf_error_set(err, GF_EFORMAT, "node %zu of it (\"%.40s\") has no %s", i,
                                node->name != NULL ? node->name : "",
                                node->op_type == NULL ? "operator" : "output");
    }
    if (n_names > MAX_NAMES)
        return gf_error_set(err, GF_ELIMIT, "has %zu names of values, at most %d are read", n_names,
                            MAX_NAMES);
    return GF_OK;
}

/* ---- input ----------------------------------------------------------------------------------- */

/* -1: not said, or by a name. */
static int64_t dim_at(const GfOnnx__Shape *shape, size_t i)
{
    return shape->dim[i]->has_dim_value ? shape->dim[i]->dim_value : -1;
}

/* Which of (N,C,H,W) and (N,H,W,C) four dimensions are: channels are the few. */
static bool is_channels_first(const GfOnnx__Shape *shape)
{
    const int64_t second = dim_at(shape, 1), last = dim_at(shape, 3);
    return second > 0 && (second <= 4 || last < 0) && !(last > 0 && last <= 4 && last < second);
}

static gf_status read_input_shape(const GfOnnx__ValueInfo *input, size_t shape[3], size_t *n_dims,
                                  gf__onnx_layout *layout, gf_error *err)
{
    const GfOnnx__TensorType *type = input->type != NULL ? input->type->tensor_type : NULL;
    const GfOnnx__Shape *found = type != NULL ? type->shape : NULL;
    enum { FLOAT = 1, UINT8 = 2, FLOAT16 = 10 };
    if (found == NULL || (found->n_dim != 4 && found->n_dim != 2))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "input \"%.60s\" has %zu dimensions, expected 4 of pictures (or 2)",
                            input->name, found != NULL ? found->n_dim : 0);
    if (type->elem_type != FLOAT && type->elem_type != FLOAT16 && type->elem_type != UINT8)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "input \"%.60s\" has data type %d, expected float, float16 or uint8",
                            input->name, type->elem_type);
    *n_dims = found->n_dim - 1;
    *layout = *n_dims == 1               ? GF__ONNX_VECTOR
              : is_channels_first(found) ? GF__ONNX_FIRST
                                         : GF__ONNX_LAST;
    for (size_t i = 0; i < *n_dims; i++) {
        const size_t axis = *layout == GF__ONNX_FIRST ? (i + 1) % 3 + 1 : i + 1;
        const int64_t dim = dim_at(found, axis);
        if (dim < 1 || dim > INT_MAX)
            return gf_error_set(
                err, GF_EUNSUPPORTED,
                "input \"%.60s\": dimension %zu has no fixed size; export the model "
                "for pictures of one size",
                input->name, axis);
        shape[i] = (size_t)dim;
    }
    return GF_OK;
}

static gf_status add_input(gf__onnx_model *model, gf_error *err)
{
    const GfOnnx__ValueInfo *input = NULL;
    gf__onnx_value *value = NULL;
    size_t shape[3] = {0}, n_dims = 0;
    for (size_t i = 0; i < model->graph->n_input; i++) {
        gf__onnx_value *one = gf__onnx_value_find(model, model->graph->input[i]->name);
        if (one == NULL || one->is_made)
            continue; /* an initializer's default */
        if (input != NULL)
            return gf_error_set(err, GF_EUNSUPPORTED,
                                "has the inputs \"%.60s\" and \"%.60s\"; only one can be run",
                                input->name, one->name);
        input = model->graph->input[i];
        value = one;
    }
    if (input == NULL)
        return gf_error_set(err, GF_EFORMAT, "has no input");
    gf_status st = read_input_shape(input, shape, &n_dims, &value->layout, err);
    if (st == GF_OK)
        st = gf__op_input(model->ops, input->name, shape, n_dims, &value->op, err);
    value->is_there = value->is_input = true;
    model->input = value;
    return st;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static gf_status run_node(gf__onnx_model *model, const GfOnnx__Node *node, gf_error *err)
{
    const bool has_name = node->name != NULL && node->name[0] != '\0';
    const gf__onnx_at at = {.model = model,
                            .node = node,
                            .name = has_name ? node->name : node->output[0],
                            .out = gf__onnx_value_find(model, node->output[0])};
    if (at.out == NULL)
        return gf__onnx_refuse(&at, GF_EUNSUPPORTED, err, "its first output has no name");
    return gf__onnx_run(&at, err);
}

static gf_status run_nodes(gf__onnx_model *model, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < model->graph->n_node && st == GF_OK; i++)
        if (gf__onnx_is_needed(model, model->graph->node[i]))
            st = run_node(model, model->graph->node[i], err);
    return st;
}

static gf_status find_output(const gf__onnx_model *model, size_t *op, gf_error *err)
{
    const GfOnnx__Graph *graph = model->graph;
    if (graph->n_output != 1)
        return gf_error_set(err, GF_EUNSUPPORTED, "has %zu outputs, expected one", graph->n_output);
    const gf__onnx_value *value = gf__onnx_value_find(model, graph->output[0]->name);
    if (value == NULL || !value->is_there || gf__onnx_is_constant(value))
        return gf_error_set(err, GF_EFORMAT, "no node gives its output \"%.60s\"",
                            graph->output[0]->name != NULL ? graph->output[0]->name : "");
    if (gf__onnx_is_channel(value))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "output \"%.60s\" is one channel of the input, scaled", value->name);
    if (value->layout == GF__ONNX_FLAT_FIRST)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "output \"%.60s\" is a map flattened with channels first; graft's come "
                            "in another order",
                            value->name);
    *op = value->op;
    return GF_OK;
}

/* ---- what graft wrote beside the network ----------------------------------------------------- */

static gf_status read_properties(const GfOnnx__Model *model, gf__checkpoint *out, gf_error *err)
{
    gf_status st = GF_OK;
    const bool is_own = model->producer_name != NULL && strcmp(model->producer_name, "graft") == 0;
    gf__json *properties = gf__json_object();
    for (size_t i = 0; is_own && i < model->n_metadata_props && st == GF_OK; i++) {
        const GfOnnx__Property *property = model->metadata_props[i];
        gf__json *value = NULL;
        if (property->key == NULL || property->value == NULL ||
            (strcmp(property->key, "classes") != 0 && strcmp(property->key, "preprocessing") != 0))
            continue;
        st = gf__json_parse(property->value, strlen(property->value), &value, err);
        if (st == GF_OK)
            gf__json_set(properties, property->key, value);
        else
            gf__error_prefix(err, "property \"%s\"", property->key);
    }
    if (st == GF_OK)
        st = gf__json_status(properties, err);
    if (st == GF_OK)
        st = gf__checkpoint_read_properties(properties, out, err);
    gf__json_free(properties);
    return st;
}

/* "ONNX of pytorch 2.1.0, opset 17". What stands there is the file's word: printable letters of it. */
static gf_status tell_origin(const GfOnnx__Model *model, int64_t opset, gf__checkpoint *out,
                             gf_error *err)
{
    const char *name = model->producer_name != NULL ? model->producer_name : "";
    const char *version = model->producer_version != NULL ? model->producer_version : "";
    out->origin = gf__asprintf("ONNX%s%.40s%s%.20s, opset %lld", name[0] != '\0' ? " of " : "",
                               name, version[0] != '\0' ? " " : "", version, (long long)opset);
    if (out->origin == NULL)
        return gf__error_nomem(err, "an origin", 64);
    for (char *c = out->origin; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return GF_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static gf_status read_graph(gf__onnx_model *model, const char *name, gf__checkpoint *out,
                            gf_error *err)
{
    size_t op = 0;
    /* The file's own word, so that what it becomes does not depend on what it is called here. */
    const char *own = model->graph->name != NULL ? model->graph->name : "";
    gf_status st = gf__onnx_values_new(model, err);
    if (st == GF_OK)
        st = gf__operators_new(gf__trunk_check_name(own, NULL) == GF_OK ? own : name, &model->ops,
                               err);
    if (st == GF_OK)
        st = add_input(model, err);
    if (st == GF_OK)
        st = run_nodes(model, err);
    if (st == GF_OK)
        st = find_output(model, &op, err);
    if (st == GF_OK)
        st = gf__operators_finish(model->ops, op, &out->graph, err);
    if (st == GF_OK)
        out->has_input = gf__operators_input(model->ops, &out->scale, &out->shift);
    if (st == GF_OK && model->is_imagenet_undone) {
        out->has_input = true;
        out->scale = 1.0f / 127.5f;
        out->shift = -1.0f;
    }
    return st;
}

gf_status gf__onnx_parse(const void *bytes, size_t n_bytes, const char *name, const char *folder,
                         gf__checkpoint *out, gf_error *err)
{
    gf__unpacked unpacked = {0};
    gf__onnx_model model = {.folder = folder, .n_file_bytes = n_bytes};
    if (n_bytes > INT_MAX)
        return gf_error_set(err, GF_ELIMIT, "%zu bytes, an ONNX file has at most %d", n_bytes,
                            INT_MAX);
    gf_status st = gf__proto_unpack(&gf_onnx__model__descriptor, bytes, n_bytes,
                                    n_bytes + MORE_MEMORY, &unpacked, err);
    const GfOnnx__Model *found = (const GfOnnx__Model *)unpacked.message;
    if (st == GF_OK && found->graph == NULL)
        st = gf_error_set(err, GF_EFORMAT, "is no ONNX model: it has no graph");
    if (st == GF_OK)
        st = check_opset(found, &model, err);
    if (st == GF_OK)
        st = check_counts(found->graph, err);
    if (st == GF_OK) {
        model.graph = found->graph;
        st = read_graph(&model, name, out, err);
    }
    if (st == GF_OK)
        st = read_properties(found, out, err);
    if (st == GF_OK)
        st = tell_origin(found, model.opset, out, err);
    gf__operators_free(model.ops);
    gf__onnx_values_free(&model);
    gf__onnx_end_outside(&model);
    gf__unpacked_free(&unpacked);
    return st;
}

gf_status gf__onnx_read(const char *path, const char *name, gf__checkpoint *out, gf_error *err)
{
    gf__mapping mapping = {0};
    const size_t n_folder = (size_t)(gf__path_base(path) - path);
    gf_status st = gf__map_file(path, &mapping, err);
    if (st != GF_OK)
        return st;
    char *folder = n_folder > 0 ? gf__strndup(path, n_folder) : gf__strdup(".");
    if (folder == NULL)
        st = gf__error_nomem(err, "a path", n_folder);
    else
        st = gf__onnx_parse(mapping.data, mapping.size, name, folder, out, err);
    gf__free(folder);
    gf__unmap(&mapping);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    return st;
}
