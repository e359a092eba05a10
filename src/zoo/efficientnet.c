/* zoo/efficientnet.c: EfficientNet-Lite0 (tensorflow/tpu, models/official/efficientnet/lite): the blocks
 * of EfficientNet-B0 without squeeze-and-excitation, ReLU6 for swish. Layers are named as Keras names
 * those of EfficientNet; beside each stands what the PyTorch port of the weights calls it. */
#include <stdio.h>
#include <string.h>

#include "zoo/torch/torch.h"

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
    size_t n_channels;       /* of it */
    size_t n_blocks;         /* so far: their number in the port */
    gf__state_dict *weights; /* NULL: none */
    gf_error *err;
    gf_status st; /* the first failure; adding does nothing after it */
} builder;

/* Weight `ours` of the layer just added from tensor NAME.theirs. */
static void set_weight(builder *b, const char *ours, const char *name, const char *theirs)
{
    if (b->st == GF_OK && b->weights != NULL)
        b->st = gf__state_dict_set(b->weights, b->graph, b->last, ours, name, theirs, b->err);
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

static gf_status build(size_t n_classes, gf__state_dict *weights, gf_graph **out, gf_error *err)
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

gf_status gf__efficientnet_lite0_read_torch(const gf__torch_file *file, const char *prefix,
                                            gf__checkpoint *out, gf_error *err)
{
    gf__state_dict dict = {.file = file, .title = "EfficientNet-Lite0", .prefix = prefix};
    char name[GF__LAYER_NAME_TEXT];
    snprintf(name, sizeof name, "%s_fc.bias", prefix);
    const gf_tensor *bias = gf__torch_find(file, name);
    out->origin = gf__strdup(file->kind);
    if (out->origin == NULL)
        return gf__error_nomem(err, "an origin", 32);
    gf_status st = gf__state_dict_begin(&dict, err);
    if (st != GF_OK)
        return st;
    st = build(bias != NULL ? gf_tensor_n_values(bias) : 0, &dict, &out->graph, err);
    const gf_status left = gf__state_dict_end(&dict, st == GF_OK ? err : NULL);
    return st != GF_OK ? st : left;
}
