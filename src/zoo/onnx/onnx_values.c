/* zoo/onnx/onnx_values.c: what has a name in an ONNX graph, and what is written there as numbers: constants in
 * their five kinds of fields, attributes. All of it is a stranger's: counts are checked against bytes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/onnx/onnx_priv.h"

/* A weight takes eight bytes a value: as it is read, and as it is turned. Of two that a half has in the file
 * and with a node that turns it before, that is eight times the file; what some users of one constant need
 * stands beside it. */
#define TIMES_THE_FILE   16
#define MORE_BYTES       ((size_t)256 << 20)
#define MAX_WEIGHT_BYTES ((size_t)4 << 30)
#define MAX_SIZE         ((int64_t)1 << 30)

gf_status gf__onnx_refuse(const gf__onnx_at *at, gf_status code, gf_error *err, const char *fmt,
                          ...)
{
    char why[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return gf_error_set(err, code, "node \"%.60s\" (%.24s): %s", at->name, at->node->op_type, why);
}

/* ---- names ----------------------------------------------------------------------------------- */

static int compare_values(const void *a, const void *b)
{
    const gf__onnx_value *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static void add_value(gf__onnx_model *model, const char *name, bool is_made,
                      const GfOnnx__Tensor *stored)
{
    if (name == NULL || name[0] == '\0')
        return;
    model->values[model->n_values++] = (gf__onnx_value){
        .name = name, .is_made = is_made, .stored = stored, .is_there = stored != NULL};
}

/* Old files list their initializers among the inputs, too: those are one value. */
static gf_status merge_values(gf__onnx_model *model, gf_error *err)
{
    size_t n = 0;
    qsort(model->values, model->n_values, sizeof *model->values, compare_values);
    for (size_t i = 0; i < model->n_values; i++) {
        gf__onnx_value *value = &model->values[i];
        gf__onnx_value *last = n > 0 ? &model->values[n - 1] : NULL;
        if (last == NULL || strcmp(last->name, value->name) != 0)
            model->values[n++] = *value;
        else if (last->is_made && value->is_made)
            return gf_error_set(err, GF_EFORMAT, "two things in it are called \"%.80s\"",
                                value->name);
        else if (value->is_made)
            *last = *value;
    }
    model->n_values = n;
    return GF_OK;
}

static void use(gf__onnx_model *model, const char *name)
{
    gf__onnx_value *value = gf__onnx_value_find(model, name);
    if (value != NULL)
        value->n_uses++;
}

bool gf__onnx_is_needed(const gf__onnx_model *model, const GfOnnx__Node *node)
{
    for (size_t k = 0; k < node->n_output; k++) {
        const gf__onnx_value *value = gf__onnx_value_find(model, node->output[k]);
        if (value != NULL && value->n_uses > 0)
            return true;
    }
    return false;
}

/* From the end: what nobody needs uses nothing. */
static void count_uses(gf__onnx_model *model)
{
    const GfOnnx__Graph *graph = model->graph;
    for (size_t i = 0; i < graph->n_output; i++)
        use(model, graph->output[i]->name);
    for (size_t i = graph->n_node; i-- > 0;)
        if (gf__onnx_is_needed(model, graph->node[i]))
            for (size_t k = 0; k < graph->node[i]->n_input; k++)
                use(model, graph->node[i]->input[k]);
}

gf_status gf__onnx_values_new(gf__onnx_model *model, gf_error *err)
{
    const GfOnnx__Graph *graph = model->graph;
    size_t n = graph->n_initializer + graph->n_input;
    for (size_t i = 0; i < graph->n_node; i++)
        n += graph->node[i]->n_output;
    model->values = gf__calloc(n + 1, sizeof *model->values);
    if (model->values == NULL)
        return gf__error_nomem(err, "names of values", n * sizeof *model->values);
    for (size_t i = 0; i < graph->n_initializer; i++)
        add_value(model, graph->initializer[i]->name, true, graph->initializer[i]);
    for (size_t i = 0; i < graph->n_input; i++)
        add_value(model, graph->input[i]->name, false, NULL);
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_output; k++)
            add_value(model, graph->node[i]->output[k], true, NULL);
    const gf_status st = merge_values(model, err);
    if (st == GF_OK)
        count_uses(model);
    return st;
}

void gf__onnx_values_free(gf__onnx_model *model)
{
    for (size_t i = 0; i < model->n_values; i++)
        gf_tensor_free(model->values[i].folded);
    gf__free(model->values);
    model->values = NULL;
    model->n_values = 0;
}

gf__onnx_value *gf__onnx_value_find(const gf__onnx_model *model, const char *name)
{
    const gf__onnx_value key = {.name = name};
    if (name == NULL || name[0] == '\0' || model->n_values == 0)
        return NULL;
    return bsearch(&key, model->values, model->n_values, sizeof key, compare_values);
}

gf__onnx_value *gf__onnx_input(const gf__onnx_at *at, size_t i)
{
    return i < at->node->n_input ? gf__onnx_value_find(at->model, at->node->input[i]) : NULL;
}

bool gf__onnx_is_constant(const gf__onnx_value *value)
{
    return value->stored != NULL || value->folded != NULL;
}

size_t gf__onnx_n_channels(const gf__onnx_at *at, const gf__onnx_value *value)
{
    size_t shape[3];
    const size_t n_dims = gf__op_shape(at->model->ops, value->op, shape);
    return shape[n_dims - 1];
}

size_t gf__onnx_rank(const gf__onnx_value *value)
{
    if (value->layout == GF__ONNX_CHANNEL)
        return 3;
    return value->layout == GF__ONNX_VECTOR || value->layout == GF__ONNX_FLAT_FIRST ? 2 : 4;
}

size_t gf__onnx_channel_axis(const gf__onnx_value *value)
{
    return value->layout == GF__ONNX_LAST || value->layout == GF__ONNX_ONE_LAST ? 3 : 1;
}

/* ---- constants ------------------------------------------------------------------------------- */

enum {
    TYPE_FLOAT = 1,
    TYPE_INT32 = 6,
    TYPE_INT64 = 7,
    TYPE_FLOAT16 = 10,
    TYPE_DOUBLE = 11,
    TYPE_BFLOAT16 = 16
};

static const struct constant_type {
    int type;
    gf_dtype dtype;
} constant_types[] = {
    {TYPE_FLOAT, GF_DTYPE_F32},  {TYPE_FLOAT16, GF_DTYPE_F16}, {TYPE_BFLOAT16, GF_DTYPE_BF16},
    {TYPE_DOUBLE, GF_DTYPE_F64}, {TYPE_INT32, GF_DTYPE_I32},   {TYPE_INT64, GF_DTYPE_I64},
};

static const struct constant_type *find_type(const GfOnnx__Tensor *tensor)
{
    for (size_t i = 0; i < sizeof constant_types / sizeof *constant_types; i++)
        if (constant_types[i].type == tensor->data_type)
            return &constant_types[i];
    return NULL;
}

static gf_status read_shape(const gf__onnx_at *at, const GfOnnx__Tensor *tensor, const char *name,
                            size_t *shape, size_t *n_values, gf_error *err)
{
    *n_values = 1;
    if (tensor->n_dims > GF_TENSOR_MAX_DIMS)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                               "\"%.40s\" has %zu dimensions, at most %d can be read", name,
                               tensor->n_dims, GF_TENSOR_MAX_DIMS);
    for (size_t i = 0; i < tensor->n_dims; i++) {
        shape[i] = (size_t)tensor->dims[i];
        if (tensor->dims[i] < 0 || !gf__mul_size(*n_values, shape[i], n_values))
            return gf__onnx_refuse(at, GF_EFORMAT, err, "\"%.40s\" has a dimension of %lld", name,
                                   (long long)tensor->dims[i]);
    }
    return GF_OK;
}

/* Where the values are, and how many bytes of them. Of halves in int32_data every second two bytes:
 * stride tells. */
static const void *find_values(const GfOnnx__Tensor *tensor, gf_dtype dtype, size_t *n_values,
                               size_t *stride)
{
    *stride = gf_dtype_size(dtype);
    if (tensor->raw_data.len > 0) {
        *n_values = tensor->raw_data.len / *stride;
        if (tensor->raw_data.len % *stride != 0)
            *n_values = SIZE_MAX; /* of nothing that is asked for */
        return tensor->raw_data.data;
    }
    switch (tensor->data_type) {
    case TYPE_FLOAT:
        *n_values = tensor->n_float_data;
        return tensor->float_data;
    case TYPE_DOUBLE:
        *n_values = tensor->n_double_data;
        return tensor->double_data;
    case TYPE_INT64:
        *n_values = tensor->n_int64_data;
        return tensor->int64_data;
    default:
        *stride = sizeof(int32_t);
        *n_values = tensor->n_int32_data;
        return tensor->int32_data;
    }
}

static void copy_values(char *to, const void *from, size_t n, size_t width, size_t stride)
{
    const char *at = from;
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * width, at + i * stride, width);
}

/* Into the two types that the rest knows. */
static gf_status widen(gf_tensor *raw, gf_tensor **out, gf_error *err)
{
    const gf_dtype dtype = gf_tensor_dtype(raw);
    if (dtype == GF_DTYPE_F32 || dtype == GF_DTYPE_I64) {
        *out = gf__tensor_ref(raw);
        return GF_OK;
    }
    if (dtype != GF_DTYPE_I32)
        return gf_tensor_to_f32(raw, out, err);
    const gf_status st = gf_tensor_new(GF_DTYPE_I64, gf_tensor_shape(raw), gf_tensor_n_dims(raw),
                                       out, err);
    const int32_t *from = gf_tensor_data(raw);
    for (size_t i = 0; st == GF_OK && i < gf_tensor_n_values(raw); i++)
        ((int64_t *)gf_tensor_mutable_data(*out))[i] = from[i];
    return st;
}

static size_t most_weight_bytes(const gf__onnx_model *model)
{
    size_t most;
    return gf__mul_size(model->n_file_bytes, TIMES_THE_FILE, &most) &&
                   most < MAX_WEIGHT_BYTES - MORE_BYTES
               ? most + MORE_BYTES
               : MAX_WEIGHT_BYTES;
}

gf_status gf__onnx_count_weights(const gf__onnx_at *at, size_t n_values, gf_error *err)
{
    size_t n_bytes;
    const size_t most = most_weight_bytes(at->model);
    if (!gf__mul_size(n_values, sizeof(int64_t), &n_bytes) ||
        !gf__add_size(at->model->n_weight_bytes, n_bytes, &n_bytes) || n_bytes > most)
        return gf__onnx_refuse(at, GF_ELIMIT, err,
                               "constants are used that take more than %zu MB, too much for a file "
                               "of %zu bytes",
                               most >> 20, at->model->n_file_bytes);
    at->model->n_weight_bytes = n_bytes;
    return GF_OK;
}

gf_status gf__onnx_load(const gf__onnx_at *at, const GfOnnx__Tensor *tensor, gf_tensor **out,
                        gf_error *err)
{
    size_t shape[GF_TENSOR_MAX_DIMS], n_values, n_found, stride;
    gf_tensor *raw = NULL;
    const struct constant_type *type = find_type(tensor);
    const char *name = tensor->name != NULL ? tensor->name : "a constant";
    const bool is_outside = tensor->data_location != 0 || tensor->n_external_data > 0;
    *out = NULL;
    if (type == NULL)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                               "\"%.40s\" has data type %d; float, float16, bfloat16, double and "
                               "int32 or int64 are read",
                               name, tensor->data_type);
    gf_status st = read_shape(at, tensor, name, shape, &n_values, err);
    if (st != GF_OK)
        return st;
    const void *values = find_values(tensor, type->dtype, &n_found, &stride);
    if (is_outside)
        n_found = n_values;
    if (n_found != n_values)
        return gf__onnx_refuse(at, GF_EFORMAT, err,
                               "\"%.40s\" has %zu values, its dimensions ask for %zu", name,
                               n_found == SIZE_MAX ? 0 : n_found, n_values);
    st = gf__onnx_count_weights(at, n_values, err);
    if (st != GF_OK)
        return st;
    if (is_outside) {
        stride = gf_dtype_size(type->dtype);
        st = gf__onnx_find_outside(at, tensor, n_values * stride, &values, err);
        if (st != GF_OK)
            return st;
    }
    st = gf_tensor_new(type->dtype, shape, tensor->n_dims, &raw, err);
    if (st == GF_OK) {
        copy_values(gf_tensor_mutable_data(raw), values, n_values, gf_dtype_size(type->dtype),
                    stride);
        st = widen(raw, out, err);
    }
    gf_tensor_free(raw);
    return st;
}

/* What has more users is kept for them. */
static gf_status load_stored(const gf__onnx_at *at, const gf__onnx_value *value, gf_tensor **out,
                             gf_error *err)
{
    const gf_status st = gf__onnx_load(at, value->stored, out, err);
    if (st == GF_OK && value->n_uses > 1)
        gf__onnx_value_find(at->model, value->name)->folded = gf__tensor_ref(*out);
    return st;
}

gf_status gf__onnx_load_value(const gf__onnx_at *at, const gf__onnx_value *value, gf_tensor **out,
                              gf_error *err)
{
    *out = NULL;
    if (!gf__onnx_is_constant(value))
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                               "\"%.60s\" is computed; here only a constant can be run",
                               value->name);
    if (value->folded == NULL)
        return load_stored(at, value, out, err);
    const gf_status st = gf__onnx_count_weights(at, gf_tensor_n_values(value->folded), err);
    if (st == GF_OK)
        *out = gf__tensor_ref(value->folded);
    return st;
}

gf_status gf__onnx_floats(const gf__onnx_at *at, const gf__onnx_value *value, gf_tensor **out,
                          gf_error *err)
{
    gf_status st = gf__onnx_load_value(at, value, out, err);
    if (st == GF_OK && gf_tensor_dtype(*out) != GF_DTYPE_F32) {
        gf_tensor_free(*out);
        *out = NULL;
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "\"%.60s\" is whole numbers", value->name);
    }
    return st;
}

gf_status gf__onnx_whole(const gf__onnx_at *at, const gf__onnx_value *value, int64_t *out,
                         size_t most, size_t *n, gf_error *err)
{
    gf_tensor *tensor = NULL;
    gf_status st = gf__onnx_load_value(at, value, &tensor, err);
    if (st != GF_OK)
        return st;
    *n = gf_tensor_n_values(tensor);
    if (gf_tensor_dtype(tensor) != GF_DTYPE_I64 || *n > most)
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err,
                             "\"%.60s\" is %zu of %s, expected at most %zu whole numbers",
                             value->name, *n, gf_dtype_name(gf_tensor_dtype(tensor)), most);
    else if (*n > 0)
        memcpy(out, gf_tensor_data(tensor), *n * sizeof *out);
    gf_tensor_free(tensor);
    return st;
}

/* ---- attributes ------------------------------------------------------------------------------ */

const GfOnnx__Attribute *gf__onnx_attribute(const gf__onnx_at *at, const char *name)
{
    for (size_t i = 0; i < at->node->n_attribute; i++) {
        const GfOnnx__Attribute *attribute = at->node->attribute[i];
        if (attribute->name != NULL && strcmp(attribute->name, name) == 0)
            return attribute;
    }
    return NULL;
}

int64_t gf__onnx_int_of(const gf__onnx_at *at, const char *name, int64_t otherwise)
{
    const GfOnnx__Attribute *attribute = gf__onnx_attribute(at, name);
    return attribute != NULL && attribute->has_i ? attribute->i : otherwise;
}

float gf__onnx_float_of(const gf__onnx_at *at, const char *name, float otherwise)
{
    const GfOnnx__Attribute *attribute = gf__onnx_attribute(at, name);
    return attribute != NULL && attribute->has_f ? attribute->f : otherwise;
}

bool gf__onnx_says(const gf__onnx_at *at, const char *name, const char *text)
{
    const GfOnnx__Attribute *attribute = gf__onnx_attribute(at, name);
    return attribute != NULL && attribute->has_s && attribute->s.len == strlen(text) &&
           memcmp(attribute->s.data, text, attribute->s.len) == 0;
}

gf_status gf__onnx_sizes(const gf__onnx_at *at, const char *name, size_t n, size_t otherwise,
                         size_t *out, gf_error *err)
{
    const GfOnnx__Attribute *attribute = gf__onnx_attribute(at, name);
    if (attribute != NULL && attribute->n_ints != n)
        return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "%s has %zu numbers, expected %zu", name,
                               attribute->n_ints, n);
    for (size_t i = 0; i < n; i++) {
        const int64_t found = attribute != NULL ? attribute->ints[i] : (int64_t)otherwise;
        if (found < 0 || found > MAX_SIZE)
            return gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "%s has %lld in it", name,
                                   (long long)found);
        out[i] = (size_t)found;
    }
    return GF_OK;
}

size_t gf__onnx_axis(int64_t axis, size_t rank)
{
    const int64_t n = (int64_t)rank;
    if (axis < -n || axis >= n)
        return SIZE_MAX;
    return (size_t)(axis < 0 ? axis + n : axis);
}

gf_status gf__onnx_axes(const gf__onnx_at *at, size_t rank, int64_t axes[4], size_t *n,
                        gf_error *err)
{
    const GfOnnx__Attribute *attribute = gf__onnx_attribute(at, "axes");
    const gf__onnx_value *value = gf__onnx_input(at, 1);
    gf_status st = GF_OK;
    *n = 0;
    if (value != NULL)
        st = gf__onnx_whole(at, value, axes, 4, n, err);
    else if (attribute != NULL && attribute->n_ints > 4)
        st = gf__onnx_refuse(at, GF_EUNSUPPORTED, err, "has %zu axes", attribute->n_ints);
    else if (attribute != NULL) {
        *n = attribute->n_ints;
        for (size_t i = 0; i < *n; i++)
            axes[i] = attribute->ints[i];
    }
    for (size_t i = 0; st == GF_OK && i < *n; i++) {
        const size_t axis = gf__onnx_axis(axes[i], rank);
        if (axis == SIZE_MAX)
            return gf__onnx_refuse(at, GF_EFORMAT, err, "has axis %lld of %zu dimensions",
                                   (long long)axes[i], rank);
        axes[i] = (int64_t)axis;
    }
    return st;
}
