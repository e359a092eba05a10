/* zoo/tensorflow/graph_def_values.c: what is written in nodes: settings, and tensors in Const nodes. A
 * tensor's values are bytes, or a list whose last value stands for all that follow. */
#include <string.h>

#include "zoo/tensorflow/graph_def.h"

#define MAX_VALUES ((size_t)1 << 29) /* of all tensors that are loaded */
#define MAX_FILLED ((size_t)1 << 20) /* of one whose list is shorter than its shape */

/* ---- settings -------------------------------------------------------------------------------- */

const GfTf__AttrValue *gf__def_attr(const GfTf__NodeDef *node, const char *key)
{
    for (size_t i = 0; i < node->n_attr; i++) {
        if (node->attr[i]->key != NULL && strcmp(node->attr[i]->key, key) == 0)
            return node->attr[i]->value;
    }
    return NULL;
}

bool gf__def_attr_bool(const GfTf__NodeDef *node, const char *key, bool fallback)
{
    const GfTf__AttrValue *value = gf__def_attr(node, key);
    return value != NULL && value->has_b ? value->b != 0 : fallback;
}

float gf__def_attr_float(const GfTf__NodeDef *node, const char *key, float fallback)
{
    const GfTf__AttrValue *value = gf__def_attr(node, key);
    return value != NULL && value->has_f ? value->f : fallback;
}

bool gf__def_attr_is(const GfTf__NodeDef *node, const char *key, const char *text,
                     const char *fallback)
{
    const GfTf__AttrValue *value = gf__def_attr(node, key);
    if (value == NULL || !value->has_s)
        return strcmp(fallback, text) == 0;
    return value->s.len == strlen(text) && memcmp(value->s.data, text, value->s.len) == 0;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static bool is_variable(const char *op)
{
    return strcmp(op, "VarHandleOp") == 0 || strcmp(op, "VariableV2") == 0 ||
           strcmp(op, "Variable") == 0;
}

bool gf__def_is_constant(const gf__def_graph *graph, gf__def_ref ref)
{
    const char *op = gf__def_node_at(graph, ref)->op;
    return strcmp(op, "Const") == 0 || is_variable(op);
}

/* A Const node's tensor and its shape. */
static gf_status tensor_of(const gf__def_graph *graph, gf__def_ref ref, const GfTf__Tensor **out,
                           size_t shape[GF_TENSOR_MAX_DIMS], size_t *n_dims, size_t *n_values,
                           gf_error *err)
{
    const GfTf__NodeDef *node = gf__def_node_at(graph, ref);
    const GfTf__AttrValue *value = gf__def_attr(node, "value");
    if (strcmp(node->op, "Const") != 0 || value == NULL || value->tensor == NULL)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "node \"%.100s\" (%.40s) is computed; a constant was expected",
                            node->name, node->op);
    const GfTf__TensorShape *s = value->tensor->tensor_shape;
    const size_t n = s != NULL ? s->n_dim : 0;
    bool is_good = n <= GF_TENSOR_MAX_DIMS;
    *n_values = 1;
    for (size_t i = 0; is_good && i < n; i++) {
        const int64_t side = s->dim[i]->size;
        is_good = side >= 0 && (uint64_t)side <= MAX_VALUES &&
                  gf__mul_size(*n_values, (size_t)side, n_values) && *n_values <= MAX_VALUES;
        shape[i] = is_good ? (size_t)side : 0;
    }
    if (!is_good)
        return gf_error_set(err, GF_EFORMAT, "node \"%.100s\" has no usable shape", node->name);
    *n_dims = n;
    *out = value->tensor;
    return GF_OK;
}

/* Value i of a list of n, the last one standing for all that follow; none is 0. */
#define LISTED(values, n, i) ((n) == 0 ? 0 : (values)[(i) < (n) ? (i) : (n)-1])

typedef struct kind {
    int type; /* DataType */
    gf_dtype dtype;
} kind;

static const kind kinds[] = {
    {1, GF_DTYPE_F32}, {2, GF_DTYPE_F64}, {19, GF_DTYPE_F16}, {14, GF_DTYPE_BF16}};

/* As numbers of the tensor's own type, from its bytes. */
static gf_status from_bytes(const GfTf__NodeDef *node, const GfTf__Tensor *tensor, gf_dtype dtype,
                            const size_t *shape, size_t n_dims, gf_tensor **out, gf_error *err)
{
    gf_tensor *raw = NULL;
    gf_status st = gf_tensor_new(dtype, shape, n_dims, &raw, err);
    if (st == GF_OK && tensor->tensor_content.len != gf_tensor_size_bytes(raw))
        st = gf_error_set(err, GF_EFORMAT, "node \"%.100s\" has %zu bytes, its shape needs %zu",
                          node->name, tensor->tensor_content.len, gf_tensor_size_bytes(raw));
    if (st == GF_OK) {
        memcpy(gf_tensor_mutable_data(raw), tensor->tensor_content.data,
               tensor->tensor_content.len);
        if (dtype == GF_DTYPE_F32) {
            *out = raw;
            return GF_OK;
        }
        st = gf_tensor_to_f32(raw, out, err);
    }
    gf_tensor_free(raw);
    return st;
}

static gf_status from_list(const GfTf__NodeDef *node, const GfTf__Tensor *tensor, gf_dtype dtype,
                           const size_t *shape, size_t n_dims, size_t n_values, gf_tensor **out,
                           gf_error *err)
{
    const size_t n_listed = tensor->n_float_val + tensor->n_double_val + tensor->n_half_val;
    if (n_values > MAX_FILLED && n_values > n_listed)
        return gf_error_set(err, GF_ELIMIT,
                            "node \"%.100s\" lists %zu values and says that it has %zu", node->name,
                            n_listed, n_values);
    const gf_status st = gf_tensor_new(GF_DTYPE_F32, shape, n_dims, out, err);
    if (st != GF_OK)
        return st;
    float *values = gf_tensor_mutable_data(*out);
    for (size_t i = 0; i < gf_tensor_n_values(*out); i++) {
        const uint16_t half = (uint16_t)LISTED(tensor->half_val, tensor->n_half_val, i);
        if (dtype == GF_DTYPE_F32)
            values[i] = LISTED(tensor->float_val, tensor->n_float_val, i);
        else if (dtype == GF_DTYPE_F64)
            values[i] = (float)LISTED(tensor->double_val, tensor->n_double_val, i);
        else
            values[i] = dtype == GF_DTYPE_F16 ? gf__f16_to_f32(half) : gf__bf16_to_f32(half);
    }
    return GF_OK;
}

static gf_status load_variable(const gf__def_graph *graph, gf__def_ref ref, gf_tensor **out,
                               gf_error *err)
{
    const GfTf__NodeDef *node = gf__def_node_at(graph, ref);
    if (graph->bundle == NULL || ref.frame != 0)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "node \"%.100s\" is a variable, and there are no values for it: freeze "
                            "the graph, or import the SavedModel's folder",
                            node->name);
    if (graph->keys[ref.node] == NULL)
        return gf_error_set(err, GF_EFORMAT, "node \"%.100s\" is a variable that nothing restores",
                            node->name);
    const gf_status st = gf__tensor_bundle_load(graph->bundle, graph->keys[ref.node], out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "node \"%.100s\"", node->name);
    return st;
}

static gf_status load(const gf__def_graph *graph, gf__def_ref ref, gf_tensor **out, gf_error *err)
{
    size_t shape[GF_TENSOR_MAX_DIMS] = {0}, n_dims = 0, n_values = 0;
    const GfTf__Tensor *tensor = NULL;
    const GfTf__NodeDef *node = gf__def_node_at(graph, ref);
    *out = NULL;
    if (is_variable(node->op))
        return load_variable(graph, ref, out, err);
    const gf_status st = tensor_of(graph, ref, &tensor, shape, &n_dims, &n_values, err);
    if (st != GF_OK)
        return st;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].type != tensor->dtype)
            continue;
        return tensor->tensor_content.len > 0
                   ? from_bytes(node, tensor, kinds[i].dtype, shape, n_dims, out, err)
                   : from_list(node, tensor, kinds[i].dtype, shape, n_dims, n_values, out, err);
    }
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "node \"%.100s\" is of TensorFlow's type %d; weights are float32, float64, "
                        "float16 or bfloat16",
                        node->name, tensor->dtype);
}

gf_status gf__def_load(gf__def_graph *graph, gf__def_ref ref, gf_tensor **out, gf_error *err)
{
    const gf_status st = load(graph, ref, out, err);
    if (st != GF_OK)
        return st;
    graph->n_loaded += gf_tensor_n_values(*out);
    if (graph->n_loaded <= MAX_VALUES)
        return GF_OK;
    gf_tensor_free(*out);
    *out = NULL;
    return gf_error_set(err, GF_ELIMIT, "its layers have more than %zu weights", MAX_VALUES);
}

enum { TYPE_INT32 = 3, TYPE_INT64 = 9 };

static int64_t whole_number(const GfTf__Tensor *tensor, size_t i)
{
    int32_t narrow = 0;
    int64_t wide = 0;
    const uint8_t *bytes = tensor->tensor_content.data;
    const bool is_wide = tensor->dtype == TYPE_INT64;
    if (tensor->tensor_content.len == 0)
        return is_wide ? LISTED(tensor->int64_val, tensor->n_int64_val, i)
                       : LISTED(tensor->int_val, tensor->n_int_val, i);
    if (is_wide)
        memcpy(&wide, bytes + i * sizeof wide, sizeof wide);
    else
        memcpy(&narrow, bytes + i * sizeof narrow, sizeof narrow);
    return is_wide ? wide : narrow;
}

gf_status gf__def_numbers(const gf__def_graph *graph, gf__def_ref ref, int64_t *values,
                          size_t n_max, size_t *n, gf_error *err)
{
    size_t shape[GF_TENSOR_MAX_DIMS] = {0}, n_dims = 0;
    const GfTf__Tensor *tensor = NULL;
    const GfTf__NodeDef *node = gf__def_node_at(graph, ref);
    const gf_status st = tensor_of(graph, ref, &tensor, shape, &n_dims, n, err);
    if (st != GF_OK)
        return st;
    const size_t width = tensor->dtype == TYPE_INT64 ? 8 : 4;
    if ((tensor->dtype != TYPE_INT32 && tensor->dtype != TYPE_INT64) || *n > n_max ||
        (tensor->tensor_content.len > 0 && tensor->tensor_content.len != *n * width))
        return gf_error_set(err, GF_EFORMAT,
                            "node \"%.100s\" has not the whole numbers that were expected (at most "
                            "%zu, found %zu of type %d)",
                            node->name, n_max, *n, tensor->dtype);
    for (size_t i = 0; i < *n; i++)
        values[i] = whole_number(tensor, i);
    return GF_OK;
}
