/* export/onnx.c: the model message around the layers: input, scores, properties, and the way to the
 * file. The file is written as it is packed: no second copy of the weights. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "export/export_priv.h"
#include "export/onnx_priv.h"

/* Opset 13 is what Debian's and everybody's runtimes read; 20 is the first that decodes pictures. */
enum { IR_VERSION = 7, OPSET = 13, DECODER_IR_VERSION = 9, DECODER_OPSET = 20, N_PROPERTIES = 8 };

/* ---- nodes and weights ----------------------------------------------------------------------- */

GfOnnx__Node *gf__onnx_node(gf__onnx *onnx, const char *op_type, const char *output,
                            const char *const *inputs)
{
    GfOnnx__Node *node = gf__proto_new(&onnx->arena, sizeof *node);
    size_t n = 0;
    while (inputs[n] != NULL)
        n++;
    char **names = gf__proto_new(&onnx->arena, (n + 1) * sizeof *names);
    if (node == NULL || names == NULL ||
        !gf__proto_grow(&onnx->arena, &onnx->graph.node, onnx->graph.n_node, &onnx->node_capacity))
        return NULL;
    gf_onnx__node__init(node);
    for (size_t i = 0; i < n; i++)
        names[i] = gf__proto_borrow(inputs[i]);
    names[n] = gf__proto_borrow(output); /* the one output, behind the inputs */
    node->input = names;
    node->n_input = n;
    node->output = names + n;
    node->n_output = 1;
    node->name = gf__proto_borrow(output);
    node->op_type = gf__proto_borrow(op_type);
    onnx->graph.node[onnx->graph.n_node++] = node;
    return node;
}

static GfOnnx__Attribute *add_attribute(gf__onnx *onnx, GfOnnx__Node *node, const char *name)
{
    enum { MOST = 4 };
    if (node == NULL)
        return NULL;
    if (node->attribute == NULL)
        node->attribute = gf__proto_new(&onnx->arena, MOST * sizeof(GfOnnx__Attribute *));
    GfOnnx__Attribute *attribute = gf__proto_new(&onnx->arena, sizeof *attribute);
    if (node->attribute == NULL || attribute == NULL)
        return NULL;
    gf_onnx__attribute__init(attribute);
    attribute->name = gf__proto_borrow(name);
    attribute->has_type = true;
    node->attribute[node->n_attribute++] = attribute;
    return attribute;
}

enum { ATTRIBUTE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_STRING = 3, ATTRIBUTE_INTS = 7 };

void gf__onnx_ints(gf__onnx *onnx, GfOnnx__Node *node, const char *name, const int64_t *values,
                   size_t n)
{
    GfOnnx__Attribute *attribute = add_attribute(onnx, node, name);
    int64_t *copy = gf__proto_new(&onnx->arena, n * sizeof *copy);
    if (attribute == NULL || copy == NULL)
        return;
    memcpy(copy, values, n * sizeof *copy);
    attribute->type = ATTRIBUTE_INTS;
    attribute->ints = copy;
    attribute->n_ints = n;
}

void gf__onnx_int(gf__onnx *onnx, GfOnnx__Node *node, const char *name, int64_t value)
{
    GfOnnx__Attribute *attribute = add_attribute(onnx, node, name);
    if (attribute == NULL)
        return;
    attribute->type = ATTRIBUTE_INT;
    attribute->has_i = true;
    attribute->i = value;
}

void gf__onnx_float(gf__onnx *onnx, GfOnnx__Node *node, const char *name, float value)
{
    GfOnnx__Attribute *attribute = add_attribute(onnx, node, name);
    if (attribute == NULL)
        return;
    attribute->type = ATTRIBUTE_FLOAT;
    attribute->has_f = true;
    attribute->f = value;
}

void gf__onnx_string(gf__onnx *onnx, GfOnnx__Node *node, const char *name, const char *value)
{
    GfOnnx__Attribute *attribute = add_attribute(onnx, node, name);
    if (attribute == NULL)
        return;
    attribute->type = ATTRIBUTE_STRING;
    attribute->has_s = true;
    attribute->s = (ProtobufCBinaryData){.len = strlen(value),
                                         .data = (uint8_t *)gf__proto_borrow(value)};
}

/* Little-endian values, as raw_data wants them: what this machine has, graft runs on no other. */
static void *add_tensor(gf__onnx *onnx, const char *name, int data_type, size_t value_bytes,
                        const size_t *shape, size_t n_dims)
{
    size_t n_bytes = value_bytes;
    bool fits = true;
    GfOnnx__Tensor *tensor = gf__proto_new(&onnx->arena, sizeof *tensor);
    int64_t *dims = gf__proto_new(&onnx->arena, (n_dims + 1) * sizeof *dims);
    for (size_t i = 0; i < n_dims; i++)
        fits = fits && gf__mul_size(n_bytes, shape[i], &n_bytes);
    unsigned char *bytes = gf__proto_new(&onnx->arena, fits ? n_bytes : SIZE_MAX);
    if (tensor == NULL || dims == NULL || bytes == NULL ||
        !gf__proto_grow(&onnx->arena, &onnx->graph.initializer, onnx->graph.n_initializer,
                        &onnx->initializer_capacity))
        return NULL;
    gf_onnx__tensor__init(tensor);
    for (size_t i = 0; i < n_dims; i++)
        dims[i] = (int64_t)shape[i];
    tensor->dims = dims;
    tensor->n_dims = n_dims;
    tensor->has_data_type = true;
    tensor->data_type = data_type;
    tensor->name = gf__proto_borrow(name);
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){.len = n_bytes, .data = bytes};
    onnx->graph.initializer[onnx->graph.n_initializer++] = tensor;
    return bytes;
}

float *gf__onnx_weight(gf__onnx *onnx, const char *name, const size_t *shape, size_t n_dims)
{
    return add_tensor(onnx, name, GF__ONNX_FLOAT, sizeof(float), shape, n_dims);
}

void gf__onnx_numbers(gf__onnx *onnx, const char *name, const int64_t *values, size_t n)
{
    void *bytes = add_tensor(onnx, name, GF__ONNX_INT64, sizeof *values, &n, 1);
    if (bytes != NULL)
        memcpy(bytes, values, n * sizeof *values);
}

const char *gf__onnx_scalar(gf__onnx *onnx, const char *name, int64_t value)
{
    void *bytes = add_tensor(onnx, name, GF__ONNX_INT64, sizeof value, NULL, 0);
    if (bytes != NULL)
        memcpy(bytes, &value, sizeof value);
    return name;
}

/* ---- what surrounds the layers --------------------------------------------------------------- */

/* A value of the model's outside: "input" (N,H,W,C), "scores" (N,K), "picture" (n_bytes). first: what the
 * dimension in front of shape is called; NULL: it is 1. */
static GfOnnx__ValueInfo *new_value(gf__onnx *onnx, const char *name, int type, const char *first,
                                    const size_t *shape, size_t n_dims)
{
    struct {
        GfOnnx__ValueInfo info;
        GfOnnx__Type type;
        GfOnnx__TensorType tensor;
        GfOnnx__Shape shape;
        GfOnnx__Dimension *dims[GF_TENSOR_MAX_DIMS + 1], at[GF_TENSOR_MAX_DIMS + 1];
    } *v = gf__proto_new(&onnx->arena, sizeof *v);
    if (v == NULL)
        return NULL;
    gf_onnx__value_info__init(&v->info);
    gf_onnx__type__init(&v->type);
    gf_onnx__tensor_type__init(&v->tensor);
    gf_onnx__shape__init(&v->shape);
    v->info.name = gf__proto_borrow(name);
    v->info.type = &v->type;
    v->type.tensor_type = &v->tensor;
    v->tensor.has_elem_type = true;
    v->tensor.elem_type = type;
    v->tensor.shape = &v->shape;
    v->shape.dim = v->dims;
    v->shape.n_dim = n_dims + 1;
    for (size_t i = 0; i <= n_dims; i++) {
        gf_onnx__dimension__init(&v->at[i]);
        v->dims[i] = &v->at[i];
        v->at[i].has_dim_value = i > 0 || first == NULL;
        v->at[i].dim_value = i > 0 ? (int64_t)shape[i - 1] : 1;
    }
    v->at[0].dim_param = first != NULL ? gf__proto_borrow(first) : NULL;
    return &v->info;
}

static void add_property(gf__onnx *onnx, const char *key, const char *value)
{
    GfOnnx__Property *property = gf__proto_new(&onnx->arena, sizeof *property);
    if (onnx->model.metadata_props == NULL)
        onnx->model.metadata_props = gf__proto_new(&onnx->arena, N_PROPERTIES * sizeof property);
    if (property == NULL || onnx->model.metadata_props == NULL)
        return;
    gf_onnx__property__init(property);
    property->key = gf__proto_borrow(key);
    property->value = gf__proto_borrow(value);
    onnx->model.metadata_props[onnx->model.n_metadata_props++] = property;
}

static void add_properties(gf__onnx *onnx, const gf__export_source *source)
{
    gf__json *properties = gf__export_properties(source);
    for (size_t i = 0; i < gf__json_n_items(properties); i++) {
        const gf__json *value = gf__json_value_at(properties, i);
        gf__buffer text = {0};
        if (gf__json_is_string(value))
            gf__buffer_puts(&text, gf__json_string(value, ""));
        else
            gf__json_write(value, false, &text);
        gf__buffer_append(&text, "", 1);
        if (text.failed)
            onnx->arena.is_out_of_memory = true;
        else
            add_property(onnx, gf__proto_text(&onnx->arena, "%s", gf__json_key_at(properties, i)),
                         gf__proto_text(&onnx->arena, "%s", text.data));
        gf__buffer_free(&text);
    }
    gf__json_free(properties);
}

static gf_status build(gf__onnx *onnx, const gf__export_source *source, gf_error *err)
{
    const size_t n = gf_graph_n_layers(source->graph);
    const gf_layer *first = gf_graph_layer_at(source->graph, 0);
    onnx->values = gf__proto_new(&onnx->arena, n * sizeof *onnx->values);
    for (size_t i = 0; i < n && !onnx->arena.is_out_of_memory; i++) {
        gf_status st = gf__onnx_layer(onnx, i, err);
        if (st == GF_OK)
            st = gf__export_progress(source, i, err);
        if (st != GF_OK)
            return st;
    }
    GfOnnx__ValueInfo **outside = gf__proto_new(&onnx->arena, 2 * sizeof *outside);
    GfOnnx__OperatorSet **set = gf__proto_new(&onnx->arena, sizeof *set + sizeof **set);
    if (onnx->arena.is_out_of_memory)
        return gf__error_nomem(err, "ONNX model", 0);
    gf__onnx_node(onnx, "Identity", "scores",
                  (const char *const[]){onnx->values[gf__graph_output(source->graph)], NULL});
    if (source->has_decoder)
        outside[0] = new_value(onnx, "picture", GF__ONNX_UINT8, "n_bytes", NULL, 0);
    else
        outside[0] = new_value(onnx, "input", GF__ONNX_FLOAT, "N", gf_layer_shape(first),
                               gf_layer_n_dims(first));
    outside[1] = new_value(onnx, "scores", GF__ONNX_FLOAT, source->has_decoder ? NULL : "N",
                           &source->n_classes, 1);
    onnx->graph.name = gf__proto_borrow(source->name);
    onnx->graph.input = outside;
    onnx->graph.output = outside + 1;
    onnx->graph.n_input = onnx->graph.n_output = 1;
    set[0] = (GfOnnx__OperatorSet *)(set + 1);
    gf_onnx__operator_set__init(set[0]);
    set[0]->domain = gf__proto_borrow("");
    set[0]->has_version = true;
    set[0]->version = source->has_decoder ? DECODER_OPSET : OPSET;
    onnx->model.opset_import = set;
    onnx->model.n_opset_import = 1;
    onnx->model.has_ir_version = true;
    onnx->model.ir_version = source->has_decoder ? DECODER_IR_VERSION : IR_VERSION;
    onnx->model.producer_name = gf__proto_borrow("graft");
    onnx->model.graph = &onnx->graph;
    add_properties(onnx, source);
    return onnx->arena.is_out_of_memory ? gf__error_nomem(err, "ONNX model", 0) : GF_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Between two larger pieces. */
static gf_status go_on(void *user, gf_error *err)
{
    return gf__export_is_wanted(user, err);
}

static gf_status write_file(const gf__onnx *onnx, const gf__export_source *source, const char *path,
                            gf_error *err)
{
    gf__writer *writer = NULL;
    gf__export_source copy = *source; /* a callback's user is not const */
    gf_status st = gf__writer_open(path, &writer, err);
    if (st != GF_OK)
        return st;
    st = gf__proto_write(&onnx->model.base, writer, go_on, &copy, err);
    if (st == GF_ELIMIT)
        gf__error_prefix(err, "%s", path);
    if (st == GF_OK) /* the last moment to say no */
        st = gf__export_end(source, err);
    if (st == GF_OK)
        return gf__writer_commit(writer, err);
    gf__writer_abort(writer);
    return st;
}

gf_status gf__export_onnx(const gf__export_source *source, const char *path, gf_error *err)
{
    gf__onnx onnx = {.net = source->graph,
                     .decoded_as = source->has_decoder ? source->recipe : NULL};
    assert(!source->has_decoder || source->recipe != NULL);
    if (source->quantisation != GF__EXPORT_F32)
        return gf_error_set(err, GF_EUNSUPPORTED, "ONNX files are written in float32 only");
    gf_onnx__model__init(&onnx.model);
    gf_onnx__graph__init(&onnx.graph);
    gf_status st = build(&onnx, source, err);
    if (st == GF_OK)
        st = write_file(&onnx, source, path, err);
    gf__proto_arena_free(&onnx.arena);
    return st;
}
