/* zoo/efficientnet.c: EfficientNet-Lite0 (tensorflow/tpu, models/official/efficientnet/lite): the blocks
 * of EfficientNet-B0 without squeeze-and-excitation, ReLU6 for swish. Layers are named as Keras names
 * those of EfficientNet; beside each stands what the PyTorch port of the weights calls it. */
#include <stdio.h>
#include <string.h>

#include "zoo/torch_priv.h"

static const struct stage {
    size_t n_blocks, kernel, stride, expansion, n_filters;
} stages[] = {
    {1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40},  {3, 3, 2, 6, 80},
    {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320},
};
#define N_STAGES (sizeof stages / sizeof *stages)

enum { STEM_FILTERS = 32, TOP_FILTERS = 1280, SIDE = 224 };

typedef struct builder {
    gf_graph *graph;
    size_t last;
    size_t n_channels;             /* of it */
    size_t n_blocks;               /* so far: their number in the port */
    const gf__torch_file *weights; /* NULL: none */
    gf_error *err;
    gf_status st; /* the first failure; adding does nothing after it */
} builder;

/* ---- weights --------------------------------------------------------------------------------- */

/* PyTorch's order of a kernel's dimensions, by ours: (O,I,H,W) -> (H,W,I,O); of a depthwise one
 * (C,1,H,W) -> (H,W,C,1); of a Dense one (O,I) -> (I,O). */
static void turn(const gf_tensor *from, gf_tensor *to, bool is_depthwise)
{
    const size_t *shape = gf_tensor_shape(from);
    const bool is_dense = gf_tensor_n_dims(from) == 2;
    const size_t O = shape[0], I = shape[1], HW = is_dense ? 1 : shape[2] * shape[3];
    const float *in = gf_tensor_f32(from);
    float *out = gf_tensor_mutable_data(to);
    for (size_t o = 0; o < O; o++)
        for (size_t i = 0; i < I; i++)
            for (size_t k = 0; k < HW; k++)
                out[k * I * O + (is_depthwise ? o * I + i : i * O + o)] = in[(o * I + i) * HW + k];
}

/* Weight `ours` of the layer just added from tensor NAME.theirs. */
static void set_weight(builder *b, const char *ours, const char *name, const char *theirs)
{
    char full[96], want_text[GF__SHAPE_TEXT], got_text[GF__SHAPE_TEXT];
    size_t want[4] = {0}, n_dims = 0;
    const gf_layer *layer = gf_graph_layer_at(b->graph, (ptrdiff_t)b->last);
    if (b->st != GF_OK || b->weights == NULL)
        return;
    snprintf(full, sizeof full, "%s.%s", name, theirs);
    const gf_tensor *tensor = gf__torch_find(b->weights, full);
    if (tensor == NULL) {
        b->st = gf_error_set(b->err, GF_EMISMATCH,
                             "is not EfficientNet-Lite0: has no %s, for layer \"%s\"", full,
                             gf_layer_name(layer));
        return;
    }
    for (size_t i = 0; i < gf__layer_n_weights(layer); i++)
        if (strcmp(gf__layer_weight_name(layer, i), ours) == 0)
            n_dims = gf__layer_weight_shape(layer, i, want);
    const bool is_depthwise = gf__layer_config_of(layer)->class_id == GF__LAYER_DEPTHWISE_CONV2D;
    const size_t theirs_of_conv[4] = {is_depthwise ? want[2] : want[3],
                                      is_depthwise ? want[3] : want[2], want[0], want[1]};
    const size_t theirs_of_dense[2] = {want[1], want[0]};
    const size_t *expected = n_dims == 4 ? theirs_of_conv : n_dims == 2 ? theirs_of_dense : want;
    if (gf_tensor_n_dims(tensor) != n_dims ||
        memcmp(gf_tensor_shape(tensor), expected, n_dims * sizeof *expected) != 0) {
        b->st = gf_error_set(
            b->err, GF_EMISMATCH,
            "is not EfficientNet-Lite0: %s is %s, expected %s for layer \"%s\"", full,
            gf__shape_text(gf_tensor_shape(tensor), gf_tensor_n_dims(tensor), got_text),
            gf__shape_text(expected, n_dims, want_text), gf_layer_name(layer));
        return;
    }
    gf_tensor *turned = NULL;
    b->st = n_dims == 1 ? gf__tensor_copy(tensor, &turned, b->err)
                        : gf_tensor_new(GF_DTYPE_F32, want, n_dims, &turned, b->err);
    if (b->st == GF_OK && n_dims > 1)
        turn(tensor, turned, is_depthwise);
    if (b->st == GF_OK)
        b->st = gf__graph_set_weight(b->graph, b->last, ours, turned, b->err);
    if (b->st != GF_OK)
        gf_tensor_free(turned);
}

/* ---- layers ---------------------------------------------------------------------------------- */

static void add(builder *b, gf__layer_config config, const char *block, const char *what)
{
    char name[GF__LAYER_NAME_TEXT];
    if (b->st != GF_OK)
        return;
    snprintf(name, sizeof name, "%s%s", block, what);
    config.name = name;
    config.is_trainable = true;
    b->st = gf__graph_add(b->graph, &config, &b->last, 1, &b->last, b->err);
}

static void add_norm(builder *b, const char *block, const char *what, const char *theirs)
{
    add(b,
        (gf__layer_config){.class_id = GF__LAYER_BATCH_NORMALIZATION,
                           .has_scale = true,
                           .has_center = true,
                           .epsilon = 1e-3},
        block, what);
    set_weight(b, "gamma", theirs, "weight");
    set_weight(b, "beta", theirs, "bias");
    set_weight(b, "moving_mean", theirs, "running_mean");
    set_weight(b, "moving_variance", theirs, "running_var");
}

static void add_relu6(builder *b, const char *block, const char *what)
{
    add(b, (gf__layer_config){.class_id = GF__LAYER_RELU, .max_value = 6.0}, block, what);
}

static void add_conv(builder *b, const char *block, const char *what, const char *theirs,
                     size_t kernel, size_t stride, size_t n_filters)
{
    add(b,
        (gf__layer_config){.class_id = GF__LAYER_CONV2D,
                           .filters = n_filters,
                           .kernel = {kernel, kernel},
                           .strides = {stride, stride},
                           .is_same_padding = true},
        block, what);
    set_weight(b, "kernel", theirs, "weight");
    b->n_channels = n_filters;
}

static void add_depthwise(builder *b, const char *block, const char *theirs, size_t kernel,
                          size_t stride)
{
    add(b,
        (gf__layer_config){.class_id = GF__LAYER_DEPTHWISE_CONV2D,
                           .kernel = {kernel, kernel},
                           .strides = {stride, stride},
                           .is_same_padding = true},
        block, "dwconv");
    set_weight(b, "kernel", theirs, "weight");
}

/* An inverted residual block (Sandler et al. 2018, figure 3). */
static void add_block(builder *b, const struct stage *stage, size_t number, size_t letter)
{
    char block[16], theirs[5][48];
    static const char *const parts[] = {"_expand_conv", "_bn0", "_depthwise_conv", "_bn1",
                                        "_project_conv"};
    const size_t input = b->last, n_in = b->n_channels, stride = letter == 0 ? stage->stride : 1;
    snprintf(block, sizeof block, "block%zu%c_", number, (char)('a' + letter));
    for (size_t i = 0; i < 5; i++)
        snprintf(theirs[i], sizeof theirs[i], "_blocks.%zu.%s", b->n_blocks, parts[i]);
    if (stage->expansion > 1) {
        add_conv(b, block, "expand_conv", theirs[0], 1, 1, n_in * stage->expansion);
        add_norm(b, block, "expand_bn", theirs[1]);
        add_relu6(b, block, "expand_activation");
    }
    add_depthwise(b, block, theirs[2], stage->kernel, stride);
    add_norm(b, block, "bn", theirs[3]);
    add_relu6(b, block, "activation");
    add_conv(b, block, "project_conv", theirs[4], 1, 1, stage->n_filters);
    snprintf(theirs[0], sizeof theirs[0], "_blocks.%zu._bn2", b->n_blocks);
    add_norm(b, block, "project_bn", theirs[0]);
    b->n_blocks++;
    if (stride != 1 || n_in != stage->n_filters || b->st != GF_OK)
        return;
    char name[24];
    snprintf(name, sizeof name, "%sadd", block);
    const gf__layer_config sum = {.class_id = GF__LAYER_ADD, .name = name, .is_trainable = true};
    b->st = gf__graph_add(b->graph, &sum, (size_t[]){b->last, input}, 2, &b->last, b->err);
}

static void add_top(builder *b, size_t n_classes)
{
    add(b, (gf__layer_config){.class_id = GF__LAYER_GLOBAL_AVERAGE_POOLING2D}, "", "avg_pool");
    add(b,
        (gf__layer_config){.class_id = GF__LAYER_DENSE,
                           .units = n_classes,
                           .has_bias = true,
                           .activation = GF__ACTIVATION_SOFTMAX},
        "", "predictions");
    set_weight(b, "kernel", "_fc", "weight");
    set_weight(b, "bias", "_fc", "bias");
}

static gf_status build(size_t n_classes, const gf__torch_file *weights, gf_graph **out,
                       gf_error *err)
{
    builder b = {.weights = weights, .err = err, .n_channels = 3};
    const gf__layer_config input = {.class_id = GF__LAYER_INPUT,
                                    .name = "input_1",
                                    .is_trainable = true,
                                    .n_input_dims = 3,
                                    .input_shape = {SIDE, SIDE, 3}};
    *out = NULL;
    b.st = gf__graph_new("efficientnet_lite0", &b.graph, err);
    if (b.st == GF_OK)
        b.st = gf__graph_add(b.graph, &input, NULL, 0, &b.last, err);
    add_conv(&b, "stem_", "conv", "_conv_stem", 3, 2, STEM_FILTERS);
    add_norm(&b, "stem_", "bn", "_bn0");
    add_relu6(&b, "stem_", "activation");
    for (size_t i = 0; i < N_STAGES; i++)
        for (size_t k = 0; k < stages[i].n_blocks; k++)
            add_block(&b, &stages[i], i + 1, k);
    add_conv(&b, "top_", "conv", "_conv_head", 1, 1, TOP_FILTERS);
    add_norm(&b, "top_", "bn", "_bn1");
    add_relu6(&b, "top_", "activation");
    if (n_classes > 0)
        add_top(&b, n_classes);
    if (b.st != GF_OK) {
        gf_graph_free(b.graph);
        return b.st;
    }
    *out = b.graph;
    return GF_OK;
}

gf_status gf__efficientnet_lite0_layers(size_t n_classes, gf_graph **out, gf_error *err)
{
    return build(n_classes, NULL, out, err);
}

/* ---- a file of the port ---------------------------------------------------------------------- */

static gf_status read_lite0(const gf__torch_file *file, gf__checkpoint *out, gf_error *err)
{
    const gf_tensor *bias = gf__torch_find(file, "_fc.bias");
    out->origin = gf__asprintf("PyTorch state dict, %s", file->is_zip ? "zip form" : "older form");
    if (out->origin == NULL)
        return gf__error_nomem(err, "an origin", 32);
    return build(bias != NULL ? gf_tensor_n_values(bias) : 0, file, &out->graph, err);
}

gf_status gf__torch_read(const char *path, const char *name, gf__checkpoint *out, gf_error *err)
{
    gf__torch_file file = {0};
    gf_status st = gf__torch_open(path, &file, err);
    if (st != GF_OK)
        return st;
    if (strcmp(name, "efficientnet_lite0") == 0 ||
        gf__torch_find(&file, "_conv_stem.weight") != NULL)
        st = read_lite0(&file, out, err);
    else
        st = gf_error_set(err, GF_EUNSUPPORTED,
                          "a PyTorch file whose first tensor is %.80s: only EfficientNet-Lite0 "
                          "(_conv_stem.weight ...) is known",
                          file.n_tensors > 0 ? file.tensors[0].name : "missing");
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    gf__torch_file_free(&file);
    return st;
}
