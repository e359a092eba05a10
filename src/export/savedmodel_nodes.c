/* export/savedmodel_nodes.c: nodes with their inputs and settings out of short texts, and constants. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "export/savedmodel_priv.h"

/* ---- what TensorFlow calls things ------------------------------------------------------------ */

static const struct {
    const char *name;
    int number;
} types[] = {
    {"float", GF__TF_FLOAT}, {"uint8", GF__TF_UINT8}, {"int32", GF__TF_INT32},
    {"int64", GF__TF_INT64}, {"bool", GF__TF_BOOL},   {"string", GF__TF_STRING},
};

/* Every operator that is written: the name of its first output, and the settings that it cannot do
 * without; $1 and $2 are the types given with the node. The others have defaults, which loaders fill in. */
static const struct known_operator {
    const char *name, *output, *settings;
} operators[] = {
    {"AddV2", "z", "T=$1"},
    {"All", "output", "Tidx=int32 keep_dims=false"},
    {"Assert", "", "T=[$1]"},
    {"AvgPool", "output", "T=$1 data_format='NHWC"},
    {"BiasAdd", "output", "T=$1 data_format='NHWC"},
    {"BitwiseAnd", "z", "T=$1"},
    {"Case", "output", ""},
    {"Cast", "y", "SrcT=$1 DstT=$2"},
    {"ConcatV2", "output", "T=$1 Tidx=int32"},
    {"Const", "output", "dtype=$1"},
    {"Conv2D", "output", "T=$1 data_format='NHWC dilations=[1,1,1,1]"},
    {"DecodeBase64", "output", ""},
    {"DecodeJpeg", "image", "channels=3 dct_method='INTEGER_ACCURATE"},
    {"DecodePng", "image", "dtype=uint8"},
    {"DecodeRaw", "output", "out_type=$1"},
    {"DepthwiseConv2dNative", "output", "T=$1 data_format='NHWC dilations=[1,1,1,1]"},
    {"Equal", "z", "T=$1"},
    {"ExpandDims", "output", "T=$1 Tdim=int32"},
    {"ExtractJpegShape", "image_shape", "output_type=int32"},
    {"Floor", "y", "T=$1"},
    {"FloorDiv", "z", "T=$1"},
    {"FusedBatchNormV3", "y", "T=$1 U=$1 data_format='NHWC is_training=false"},
    {"GatherNd", "output", "Tparams=$1 Tindices=int64"},
    {"GatherV2", "output", "Tparams=$1 Tindices=int32 Taxis=int32"},
    {"GreaterEqual", "z", "T=$1"},
    {"Identity", "output", "T=$1"},
    {"LessEqual", "z", "T=$1"},
    {"LogicalAnd", "z", ""},
    {"LogicalNot", "y", ""},
    {"LogicalOr", "z", ""},
    {"MapDefun", "output", ""},
    {"MatMul", "product", "T=$1 transpose_a=false transpose_b=false"},
    {"Max", "output", "T=$1 Tidx=int32 keep_dims=false"},
    {"MaxPool", "output", "T=$1 data_format='NHWC"},
    {"Maximum", "z", "T=$1"},
    {"Mean", "output", "T=$1 Tidx=int32 keep_dims=false"},
    {"Minimum", "z", "T=$1"},
    {"Mul", "z", "T=$1"},
    {"NotEqual", "z", "T=$1"},
    {"Pack", "output", "T=$1 axis=0"},
    {"Pad", "output", "T=$1 Tpaddings=int32"},
    {"PartitionedCall", "output", ""},
    {"Placeholder", "output", "dtype=$1"},
    {"PlaceholderWithDefault", "output", "dtype=$1"},
    {"Range", "output", "Tidx=int32"},
    {"RealDiv", "z", "T=$1"},
    {"Relu", "activations", "T=$1"},
    {"Relu6", "activations", "T=$1"},
    {"Reshape", "output", "T=$1 Tshape=int32"},
    {"Reverse", "output", "T=$1"},
    {"RightShift", "z", "T=$1"},
    {"Rsqrt", "y", "T=$1"},
    {"ScaleAndTranslate", "resized_images", "T=$1 kernel_type='triangle antialias=true"},
    {"SelectV2", "output", "T=$1"},
    {"Shape", "output", "T=$1 out_type=int32"},
    {"Sigmoid", "y", "T=$1"},
    {"Slice", "output", "T=$1 Index=int32"},
    {"Softmax", "softmax", "T=$1"},
    {"Squeeze", "output", "T=$1"},
    {"StatelessCase", "output", ""},
    {"StatelessIf", "output", "Tcond=bool"},
    {"StatelessWhile", "output", ""},
    {"StaticRegexReplace", "output", "replace_global=true"},
    {"StringLength", "output", ""},
    {"Sub", "z", "T=$1"},
    {"Sum", "output", "T=$1 Tidx=int32 keep_dims=false"},
    {"Tanh", "y", "T=$1"},
    {"Transpose", "y", "T=$1 Tperm=int32"},
    {"Unpack", "output", "T=$1 axis=0"},
    {"Where", "index", "T=$1"},
};

static const struct known_operator *find_operator(const char *name)
{
    const size_t n = sizeof operators / sizeof *operators;
    size_t i = 0;
    while (i < n && strcmp(operators[i].name, name) != 0)
        i++;
    assert(i < n);
    return &operators[i];
}

const char *gf__tf_output_name(const char *op)
{
    return find_operator(op)->output;
}

int gf__tf_type(const char *name, size_t n_chars)
{
    const size_t n = sizeof types / sizeof *types;
    size_t i = 0;
    while (i < n &&
           (strlen(types[i].name) != n_chars || strncmp(types[i].name, name, n_chars) != 0))
        i++;
    assert(i < n);
    return types[i].number;
}

/* ---- settings -------------------------------------------------------------------------------- */

/* The next word of *text, which moves behind it; false at the end. */
static bool next_word(const char **text, char separator, const char **word, size_t *n_chars)
{
    while (**text == separator)
        (*text)++;
    *word = *text;
    while (**text != '\0' && **text != separator)
        (*text)++;
    *n_chars = (size_t)(*text - *word);
    return *n_chars > 0;
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)gf__proto_borrow(text)};
}

static GfTf__AttrValue *add_setting(gf__tf_scope *scope, GfTf__NodeDef *node, const char *key)
{
    enum { MOST = 16 };
    struct {
        GfTf__AttrEntry entry;
        GfTf__AttrValue value;
    } *made = gf__proto_new(scope->arena, sizeof *made);
    if (node == NULL || made == NULL)
        return NULL;
    if (node->attr == NULL)
        node->attr = gf__proto_new(scope->arena, MOST * sizeof *node->attr);
    if (node->attr == NULL)
        return NULL;
    assert(node->n_attr < MOST);
    gf_tf__attr_entry__init(&made->entry);
    gf_tf__attr_value__init(&made->value);
    made->entry.key = gf__proto_borrow(key);
    made->entry.value = &made->value;
    node->attr[node->n_attr++] = &made->entry;
    return &made->value;
}

static GfTf__NameAttrList *new_function_name(gf__tf_scope *scope, const char *name)
{
    GfTf__NameAttrList *list = gf__proto_new(scope->arena, sizeof *list);
    if (list == NULL)
        return NULL;
    gf_tf__name_attr_list__init(list);
    list->name = gf__proto_borrow(name);
    return list;
}

/* Room for as many items as a list has commas, and one. */
static void *new_items(gf__tf_scope *scope, const char *items, size_t item_bytes)
{
    size_t n = 1;
    for (const char *c = items; *c != '\0'; c++)
        n += *c == ',';
    return gf__proto_new(scope->arena, n * item_bytes);
}

/* items: what is between the brackets. */
static GfTf__ListValue *new_list(gf__tf_scope *scope, const char *items)
{
    GfTf__ListValue *list = gf__proto_new(scope->arena, sizeof *list);
    const char *word = NULL;
    size_t n = 0;
    if (list == NULL)
        return NULL;
    gf_tf__list_value__init(list);
    list->i = new_items(scope, items, sizeof *list->i);
    list->type = new_items(scope, items, sizeof *list->type);
    list->func = new_items(scope, items, sizeof *list->func);
    while (!scope->arena->is_out_of_memory && next_word(&items, ',', &word, &n)) {
        if (*word == '@')
            list->func[list->n_func++] = new_function_name(
                scope, gf__proto_text(scope->arena, "%.*s", (int)n - 1, word + 1));
        else if (*word == '-' || (*word >= '0' && *word <= '9'))
            list->i[list->n_i++] = strtoll(word, NULL, 10);
        else
            list->type[list->n_type++] = gf__tf_type(word, n);
    }
    return list;
}

/* value: ends with the text. */
static void set_value(gf__tf_scope *scope, GfTf__AttrValue *to, const char *value)
{
    const size_t n = strlen(value);
    if (*value == '@') {
        to->func = new_function_name(scope, value + 1);
    } else if (*value == '[') {
        to->list = new_list(scope, gf__proto_text(scope->arena, "%.*s", (int)n - 2, value + 1));
    } else if (*value == '\'') {
        to->has_s = true;
        to->s = bytes_of(value + 1);
    } else if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0) {
        to->has_b = true;
        to->b = *value == 't';
    } else if (*value == '-' || (*value >= '0' && *value <= '9')) {
        to->has_i = true;
        to->i = strtoll(value, NULL, 10);
    } else {
        to->has_type = true;
        to->type = gf__tf_type(value, n);
    }
}

/* The words key=value of settings; given: those of the node, whose types stand for $1 and $2. */
static void add_settings(gf__tf_scope *scope, GfTf__NodeDef *node, const char *settings,
                         const char *given)
{
    const char *types_given[2] = {"", ""}, *word = NULL;
    size_t n = 0, n_types = 0;
    for (const char *at = given; n_types < 2 && next_word(&at, ' ', &word, &n);)
        if (memchr(word, '=', n) == NULL)
            types_given[n_types++] = gf__proto_text(scope->arena, "%.*s", (int)n, word);
    while (next_word(&settings, ' ', &word, &n)) {
        const char *equals = memchr(word, '=', n);
        if (equals == NULL)
            continue; /* a type */
        const int n_key = (int)(equals - word), n_value = (int)n - n_key - 1;
        const char *hole = memchr(word, '$', n);
        const char *value = hole == NULL ? gf__proto_text(scope->arena, "%.*s", n_value, equals + 1)
                                         : gf__proto_text(scope->arena, "%.*s%s%.*s",
                                                          (int)(hole - equals) - 1, equals + 1,
                                                          types_given[hole[1] == '1' ? 0 : 1],
                                                          (int)(word + n - hole) - 2, hole + 2);
        GfTf__AttrValue *to = add_setting(scope, node,
                                          gf__proto_text(scope->arena, "%.*s", n_key, word));
        if (to != NULL && !scope->arena->is_out_of_memory)
            set_value(scope, to, value);
    }
}

void gf__tf_set_float(gf__tf_scope *scope, GfTf__NodeDef *node, const char *key, float value)
{
    GfTf__AttrValue *to = add_setting(scope, node, key);
    if (to == NULL)
        return;
    to->has_f = true;
    to->f = value;
}

void gf__tf_set_text(gf__tf_scope *scope, GfTf__NodeDef *node, const char *key, const char *text)
{
    GfTf__AttrValue *to = add_setting(scope, node, key);
    if (to == NULL)
        return;
    to->has_s = true;
    to->s = bytes_of(text);
}

/* has_batch: a first dimension of any size before the others. */
static GfTf__TensorShape *new_shape(gf__proto_arena *arena, const size_t *shape, size_t n_dims,
                                    bool has_batch)
{
    struct {
        GfTf__TensorShape shape;
        GfTf__Dim *dims[GF_TENSOR_MAX_DIMS + 1], at[GF_TENSOR_MAX_DIMS + 1];
    } *made = gf__proto_new(arena, sizeof *made);
    if (made == NULL)
        return NULL;
    gf_tf__tensor_shape__init(&made->shape);
    made->shape.dim = made->dims;
    made->shape.n_dim = n_dims + has_batch;
    for (size_t i = 0; i < n_dims + has_batch; i++) {
        gf_tf__dim__init(&made->at[i]);
        made->dims[i] = &made->at[i];
        made->at[i].has_size = true;
        made->at[i].size = has_batch && i == 0 ? -1 : (int64_t)shape[i - has_batch];
    }
    return &made->shape;
}

GfTf__TensorShape *gf__tf_batch_shape(gf__proto_arena *arena, const size_t *shape, size_t n_dims)
{
    return new_shape(arena, shape, n_dims, true);
}

void gf__tf_set_batch_shape(gf__tf_scope *scope, GfTf__NodeDef *node, const char *key,
                            const size_t *shape, size_t n_dims)
{
    GfTf__AttrValue *to = add_setting(scope, node, key);
    if (to != NULL)
        to->shape = new_shape(scope->arena, shape, n_dims, true);
}

void gf__tf_set_shape_list(gf__tf_scope *scope, GfTf__NodeDef *node, const char *key,
                           const size_t *shape, size_t n_dims)
{
    struct {
        GfTf__ListValue list;
        GfTf__TensorShape *shapes[1];
    } *made = gf__proto_new(scope->arena, sizeof *made);
    GfTf__AttrValue *to = add_setting(scope, node, key);
    if (made == NULL || to == NULL)
        return;
    gf_tf__list_value__init(&made->list);
    made->shapes[0] = new_shape(scope->arena, shape, n_dims, false);
    made->list.shape = made->shapes;
    made->list.n_shape = made->shapes[0] != NULL;
    to->list = &made->list;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

GfTf__NodeDef *gf__tf_node(gf__tf_scope *scope, const char *name, const char *op,
                           const char *inputs, const char *settings)
{
    const char *word = NULL;
    size_t n = 0, n_inputs = 1;
    for (const char *c = inputs; *c != '\0'; c++)
        n_inputs += *c == ' ';
    GfTf__NodeDef *node = gf__proto_new(scope->arena, sizeof *node);
    char **names = gf__proto_new(scope->arena, n_inputs * sizeof *names);
    if (node == NULL || names == NULL ||
        !gf__proto_grow(scope->arena, &scope->nodes, scope->n_nodes, &scope->capacity))
        return NULL;
    gf_tf__node_def__init(node);
    node->name = gf__proto_borrow(name);
    node->op = gf__proto_borrow(op);
    node->input = names;
    while (next_word(&inputs, ' ', &word, &n))
        names[node->n_input++] = gf__proto_borrow(
            gf__proto_text(scope->arena, "%.*s", (int)n, word));
    scope->nodes[scope->n_nodes++] = node;
    add_settings(scope, node, find_operator(op)->settings, settings);
    add_settings(scope, node, settings, "");
    return node;
}

GfTf__Tensor *gf__tf_constant(gf__tf_scope *scope, const char *name, const char *type,
                              const size_t *shape, size_t n_dims)
{
    GfTf__AttrValue *to = add_setting(scope, gf__tf_node(scope, name, "Const", "", type), "value");
    GfTf__Tensor *tensor = gf__proto_new(scope->arena, sizeof *tensor);
    if (to == NULL || tensor == NULL)
        return NULL;
    gf_tf__tensor__init(tensor);
    tensor->has_dtype = true;
    tensor->dtype = gf__tf_type(type, strlen(type));
    tensor->tensor_shape = new_shape(scope->arena, shape, n_dims, false);
    to->tensor = tensor;
    return tensor;
}

/* Little-endian, as TensorFlow has them on the machines that graft runs on. */
void gf__tf_floats(gf__tf_scope *scope, const char *name, const float *values, const size_t *shape,
                   size_t n_dims)
{
    GfTf__Tensor *tensor = gf__tf_constant(scope, name, "float", shape, n_dims);
    size_t n = 1;
    if (tensor == NULL)
        return;
    for (size_t i = 0; i < n_dims; i++)
        n *= shape[i];
    tensor->has_tensor_content = true;
    tensor->tensor_content = (ProtobufCBinaryData){.len = n * sizeof *values,
                                                   .data = (uint8_t *)(uintptr_t)values};
}

void gf__tf_numbers(gf__tf_scope *scope, const char *name, const int32_t *values,
                    const size_t *shape, size_t n_dims)
{
    GfTf__Tensor *tensor = gf__tf_constant(scope, name, "int32", shape, n_dims);
    size_t n = 1;
    for (size_t i = 0; i < n_dims; i++)
        n *= shape[i];
    int32_t *copy = gf__proto_new(scope->arena, n * sizeof *copy);
    if (tensor == NULL || copy == NULL)
        return;
    memcpy(copy, values, n * sizeof *copy);
    tensor->int_val = copy;
    tensor->n_int_val = n;
}

void gf__tf_string(gf__tf_scope *scope, const char *name, const char *text)
{
    GfTf__Tensor *tensor = gf__tf_constant(scope, name, "string", NULL, 0);
    ProtobufCBinaryData *value = gf__proto_new(scope->arena, sizeof *value);
    if (tensor == NULL || value == NULL)
        return;
    *value = bytes_of(text);
    tensor->string_val = value;
    tensor->n_string_val = 1;
}
