/* inception.c: Inception-v3 as Keras builds it, from one line of text a block: easily held against
 * the function InceptionV3() of keras/applications/inception_v3.py, whose calls it lists in the
 * same order.
 *
 *     FILTERS:HxW     convolution without bias, normalization without scale, ReLU; padding "same"
 *     /2              with strides 2,2
 *     v               padding "valid"
 *     max, avg        3x3 pooling: maximum, strides 2,2; average, strides 1,1, padding "same"
 *     |               the next branch, which starts from the block's input
 *     ( + )           two ways from the same place, concatenated
 *     =NAME           the name of that concatenation; without it concatenate_1, concatenate_2
 *
 * Layers are named as Keras 2.2 did, counting from 1 (conv2d_1); TensorFlow's Keras starts with
 * conv2d.
 *
 * PyTorch's form (torchvision, timm) has the same layers in the same order with two differences: its
 * normalization has a scale, and its average pooling counts the zeros around the picture, which is a
 * ZeroPadding2D and an average with padding "valid". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/zoo_priv.h"

/* clang-format off */
static const struct {
    const char *name; /* NULL: the stem, which concatenates nothing */
    const char *branches;
} blocks[] = {
    {NULL, "32:3x3/2v 32:3x3v 64:3x3 max 80:1x1v 192:3x3v max"},
    {"mixed0", "64:1x1 | 48:1x1 64:5x5 | 64:1x1 96:3x3 96:3x3 | avg 32:1x1"},
    {"mixed1", "64:1x1 | 48:1x1 64:5x5 | 64:1x1 96:3x3 96:3x3 | avg 64:1x1"},
    {"mixed2", "64:1x1 | 48:1x1 64:5x5 | 64:1x1 96:3x3 96:3x3 | avg 64:1x1"},
    {"mixed3", "384:3x3/2v | 64:1x1 96:3x3 96:3x3/2v | max"},
    {"mixed4", "192:1x1 | 128:1x1 128:1x7 192:7x1 | 128:1x1 128:7x1 128:1x7 128:7x1 192:1x7 "
               "| avg 192:1x1"},
    {"mixed5", "192:1x1 | 160:1x1 160:1x7 192:7x1 | 160:1x1 160:7x1 160:1x7 160:7x1 192:1x7 "
               "| avg 192:1x1"},
    {"mixed6", "192:1x1 | 160:1x1 160:1x7 192:7x1 | 160:1x1 160:7x1 160:1x7 160:7x1 192:1x7 "
               "| avg 192:1x1"},
    {"mixed7", "192:1x1 | 192:1x1 192:1x7 192:7x1 | 192:1x1 192:7x1 192:1x7 192:7x1 192:1x7 "
               "| avg 192:1x1"},
    {"mixed8", "192:1x1 320:3x3/2v | 192:1x1 192:1x7 192:7x1 192:3x3/2v | max"},
    {"mixed9", "320:1x1 | 384:1x1 ( 384:1x3 + 384:3x1 )=mixed9_0 "
               "| 448:1x1 384:3x3 ( 384:1x3 + 384:3x1 ) | avg 192:1x1"},
    {"mixed10", "320:1x1 | 384:1x1 ( 384:1x3 + 384:3x1 )=mixed9_1 "
               "| 448:1x1 384:3x3 ( 384:1x3 + 384:3x1 ) | avg 192:1x1"},
};
/* clang-format on */
#define N_BLOCKS (sizeof blocks / sizeof blocks[0])

/* What is being built: where the next layer attaches, and how many layers of each kind there are.
 */
typedef struct builder {
    gf_graph *graph;
    bool is_torch;
    size_t last;        /* the layer just added */
    size_t block_input; /* where every branch starts */
    size_t fork;        /* where both ways of a fork start */
    size_t way;         /* the end of a fork's first way */
    size_t ends[4];     /* of the block's branches */
    size_t n_ends;
    int n_conv, n_max, n_avg, n_concat;
} builder;

static gf_status add(builder *b, gf__layer_config *config, const char *stem, int number,
                     gf_error *err)
{
    char name[GF__LAYER_NAME_TEXT];
    snprintf(name, sizeof name, "%s_%d", stem, number);
    config->name = name;
    config->is_trainable = true;
    return gf__graph_add(b->graph, config, &b->last, 1, &b->last, err);
}

static gf_status add_conv(builder *b, const char *token, gf_error *err)
{
    char *at;
    gf__layer_config conv = {.class_id = GF__LAYER_CONV2D, .strides = {1, 1}};
    gf__layer_config norm = {.class_id = GF__LAYER_BATCH_NORMALIZATION,
                             .has_scale = b->is_torch,
                             .has_center = true,
                             .epsilon = 1e-3};
    gf__layer_config relu = {.class_id = GF__LAYER_ACTIVATION, .activation = GF__ACTIVATION_RELU};
    conv.filters = strtoul(token, &at, 10);
    conv.kernel[0] = strtoul(at + 1, &at, 10);
    conv.kernel[1] = strtoul(at + 1, &at, 10);
    if (*at == '/')
        conv.strides[0] = conv.strides[1] = strtoul(at + 1, &at, 10);
    conv.is_same_padding = *at != 'v';

    const int number = ++b->n_conv;
    gf_status st = add(b, &conv, "conv2d", number, err);
    if (st == GF_OK)
        st = add(b, &norm, "batch_normalization", number, err);
    if (st == GF_OK)
        st = add(b, &relu, "activation", number, err);
    return st;
}

static gf_status add_pool(builder *b, bool is_max, gf_error *err)
{
    gf__layer_config max = {
        .class_id = GF__LAYER_MAX_POOLING2D, .kernel = {3, 3}, .strides = {2, 2}};
    gf__layer_config zeros = {.class_id = GF__LAYER_ZERO_PADDING2D, .padding = {1, 1, 1, 1}};
    gf__layer_config avg = {.class_id = GF__LAYER_AVERAGE_POOLING2D,
                            .kernel = {3, 3},
                            .strides = {1, 1},
                            .is_same_padding = !b->is_torch};
    if (is_max)
        return add(b, &max, "max_pooling2d", ++b->n_max, err);
    b->n_avg++;
    gf_status st = b->is_torch ? add(b, &zeros, "zero_padding2d", b->n_avg, err) : GF_OK;
    if (st == GF_OK)
        st = add(b, &avg, "average_pooling2d", b->n_avg, err);
    return st;
}

static gf_status add_concat(builder *b, const char *name, const size_t *inputs, size_t n_inputs,
                            gf_error *err)
{
    char counted[GF__LAYER_NAME_TEXT];
    if (name == NULL) {
        snprintf(counted, sizeof counted, "concatenate_%d", ++b->n_concat);
        name = counted;
    }
    const gf__layer_config config = {
        .class_id = GF__LAYER_CONCATENATE, .name = name, .is_trainable = true};
    return gf__graph_add(b->graph, &config, inputs, n_inputs, &b->last, err);
}

static gf_status run_token(builder *b, const char *token, gf_error *err)
{
    switch (token[0]) {
    case '|':
        b->ends[b->n_ends++] = b->last;
        b->last = b->block_input;
        return GF_OK;
    case '(':
        b->fork = b->last;
        return GF_OK;
    case '+':
        b->way = b->last;
        b->last = b->fork;
        return GF_OK;
    case ')':
        return add_concat(b, token[1] == '=' ? token + 2 : NULL, (size_t[]){b->way, b->last}, 2,
                          err);
    case 'm':
    case 'a':
        return add_pool(b, token[0] == 'm', err);
    default:
        return add_conv(b, token, err);
    }
}

static gf_status run_block(builder *b, const char *name, const char *branches, gf_error *err)
{
    b->block_input = b->last;
    b->n_ends = 0;
    for (const char *at = branches; *at != '\0';) {
        char token[32];
        const size_t length = strcspn(at, " ");
        snprintf(token, sizeof token, "%.*s", (int)length, at);
        at += length;
        at += strspn(at, " ");
        const gf_status st = run_token(b, token, err);
        if (st != GF_OK)
            return st;
    }
    if (name == NULL)
        return GF_OK;
    b->ends[b->n_ends++] = b->last;
    return add_concat(b, name, b->ends, b->n_ends, err);
}

static gf_status add_top(builder *b, size_t n_classes, gf_error *err)
{
    const gf__layer_config pool = {
        .class_id = GF__LAYER_GLOBAL_AVERAGE_POOLING2D, .name = "avg_pool", .is_trainable = true};
    const gf__layer_config dense = {.class_id = GF__LAYER_DENSE,
                                    .name = "predictions",
                                    .is_trainable = true,
                                    .units = n_classes,
                                    .has_bias = true,
                                    .activation = GF__ACTIVATION_SOFTMAX};
    gf_status st = gf__graph_add(b->graph, &pool, &b->last, 1, &b->last, err);
    if (st == GF_OK)
        st = gf__graph_add(b->graph, &dense, &b->last, 1, &b->last, err);
    return st;
}

static gf_status build(bool is_torch, size_t n_classes, gf_graph **out, gf_error *err)
{
    builder b = {.is_torch = is_torch};
    const gf__layer_config input = {.class_id = GF__LAYER_INPUT,
                                    .name = "input_1",
                                    .is_trainable = true,
                                    .n_input_dims = 3,
                                    .input_shape = {299, 299, 3}};
    *out = NULL;
    gf_status st = gf__graph_new("inception_v3", &b.graph, err);
    if (st != GF_OK)
        goto done;
    st = gf__graph_add(b.graph, &input, NULL, 0, &b.last, err);
    if (st != GF_OK)
        goto done;
    for (size_t i = 0; i < N_BLOCKS; i++) {
        st = run_block(&b, blocks[i].name, blocks[i].branches, err);
        if (st != GF_OK)
            goto done;
    }
    if (n_classes > 0) {
        st = add_top(&b, n_classes, err);
        if (st != GF_OK)
            goto done;
    }
    st = gf__graph_sort_as_keras(b.graph, err);
    if (st != GF_OK)
        goto done;

    *out = b.graph;
    b.graph = NULL; /* moved to the caller */
done:
    gf_graph_free(b.graph);
    return st;
}

gf_status gf__inception_v3_layers(size_t n_classes, gf_graph **out, gf_error *err)
{
    return build(false, n_classes, out, err);
}

gf_status gf__inception_v3_torch_layers(size_t n_classes, gf_graph **out, gf_error *err)
{
    return build(true, n_classes, out, err);
}

gf_status gf__zoo_inception_v3(size_t n_classes, gf_graph **out, gf_error *err)
{
    gf_status st = gf__inception_v3_layers(n_classes, out, err);
    if (st == GF_OK)
        st = gf__graph_zero_weights(*out, err);
    if (st != GF_OK) {
        gf_graph_free(*out);
        *out = NULL;
    }
    return st;
}
