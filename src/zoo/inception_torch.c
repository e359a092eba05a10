/* zoo/inception_torch.c: Inception-v3 as torchvision and timm save it: what their modules are called, in
 * the order in which inception.c numbers its layers. The auxiliary classifier helps in training only and
 * is left out. */
#include <stdio.h>
#include <string.h>

#include "zoo/torch/torch.h"

#define TITLE "Inception-v3"

#define BLOCK_A                                                                       \
    "branch1x1 branch5x5_1 branch5x5_2 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3 " \
    "branch_pool"
#define BLOCK_C                                                                    \
    "branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 branch7x7dbl_1 branch7x7dbl_2 " \
    "branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5 branch_pool"
#define BLOCK_E                                                                      \
    "branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b branch3x3dbl_1 branch3x3dbl_2 " \
    "branch3x3dbl_3a branch3x3dbl_3b branch_pool"
static const struct {
    const char *module; /* with its dot */
    const char *convs;
} modules[] = {
    {"", "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3"},
    {"Mixed_5b.", BLOCK_A},
    {"Mixed_5c.", BLOCK_A},
    {"Mixed_5d.", BLOCK_A},
    {"Mixed_6a.", "branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3"},
    {"Mixed_6b.", BLOCK_C},
    {"Mixed_6c.", BLOCK_C},
    {"Mixed_6d.", BLOCK_C},
    {"Mixed_6e.", BLOCK_C},
    {"Mixed_7a.",
     "branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4"},
    {"Mixed_7b.", BLOCK_E},
    {"Mixed_7c.", BLOCK_E},
};
#define N_MODULES (sizeof modules / sizeof *modules)

/* TensorFlow's classifiers have a class for the background before the thousand of ImageNet; timm loads
 * its ports of them (tf_in1k, tf_adv_in1k) without it. */
#define N_WITH_BACKGROUND (GF__N_IMAGENET_CLASSES + 1)
/* The network of 2015 that the Frechet Inception Distance is defined by goes round with the same names
 * and is another: its averages do not count padding and its last block pools by maximum. */
#define N_OF_FID 1008

/* ---- layers ---------------------------------------------------------------------------------- */

static gf_status set_all(gf__state_dict *dict, gf_graph *graph, const char *layer,
                         const char *module, const char *const pairs[][2], size_t n_pairs,
                         gf_error *err)
{
    size_t index = 0;
    gf_status st = gf_graph_find_layer(graph, layer, &index, err);
    for (size_t i = 0; i < n_pairs && st == GF_OK; i++)
        st = gf__state_dict_set(dict, graph, index, pairs[i][0], module, pairs[i][1], err);
    return st;
}

/* Module NAME is a convolution and its normalization, ours of that number. */
static gf_status set_conv(gf__state_dict *dict, gf_graph *graph, const char *name, size_t number,
                          gf_error *err)
{
    static const char *const kernel[][2] = {{"kernel", "weight"}};
    static const char *const norm[][2] = {{"gamma", "weight"},
                                          {"beta", "bias"},
                                          {"moving_mean", "running_mean"},
                                          {"moving_variance", "running_var"}};
    char layer[GF__LAYER_NAME_TEXT], module[GF__LAYER_NAME_TEXT];
    snprintf(layer, sizeof layer, "conv2d_%zu", number);
    snprintf(module, sizeof module, "%s.conv", name);
    gf_status st = set_all(dict, graph, layer, module, kernel, 1, err);
    snprintf(layer, sizeof layer, "batch_normalization_%zu", number);
    snprintf(module, sizeof module, "%s.bn", name);
    return st == GF_OK ? set_all(dict, graph, layer, module, norm, 4, err) : st;
}

static gf_status set_convs(gf__state_dict *dict, gf_graph *graph, gf_error *err)
{
    gf_status st = GF_OK;
    size_t number = 0;
    for (size_t i = 0; i < N_MODULES && st == GF_OK; i++) {
        for (const char *at = modules[i].convs; *at != '\0' && st == GF_OK;) {
            char name[GF__LAYER_NAME_TEXT / 2];
            const size_t length = strcspn(at, " ");
            snprintf(name, sizeof name, "%s%.*s", modules[i].module, (int)length, at);
            at += length;
            at += strspn(at, " ");
            st = set_conv(dict, graph, name, ++number, err);
        }
    }
    return st;
}

/* One tensor of the classifier, of which the first n_skipped outputs are left out. */
static gf_status set_classifier(gf__state_dict *dict, gf_graph *graph, const char *ours,
                                const char *name, size_t n_skipped, gf_error *err)
{
    size_t index = 0, shape[GF_TENSOR_MAX_DIMS];
    const gf_tensor *whole = NULL;
    gf_tensor *part = NULL;
    gf_status st = gf_graph_find_layer(graph, "predictions", &index, err);
    if (st == GF_OK)
        st = gf__state_dict_find(dict, name, "predictions", &whole, err);
    if (st != GF_OK)
        return st;
    const size_t n_dims = gf_tensor_n_dims(whole);
    memcpy(shape, gf_tensor_shape(whole), n_dims * sizeof *shape);
    if (n_skipped == 0 || n_dims == 0 || shape[0] <= n_skipped)
        return gf__state_dict_give(dict, graph, index, ours, name, whole, err);
    const size_t n_row = gf_tensor_n_values(whole) / shape[0];
    shape[0] -= n_skipped;
    st = gf__tensor_view(GF_DTYPE_F32, shape, n_dims, gf_tensor_f32(whole) + n_skipped * n_row,
                         &part, err);
    if (st == GF_OK)
        st = gf__state_dict_give(dict, graph, index, ours, name, part, err);
    gf_tensor_free(part);
    return st;
}

/* ---- a file ---------------------------------------------------------------------------------- */

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Marks the auxiliary classifier as seen to; true where there is one. */
static bool leave_out_auxiliary(gf__state_dict *dict)
{
    bool is_there = false;
    const size_t n_prefix = strlen(dict->prefix);
    for (size_t i = 0; i < dict->file->n_tensors; i++) {
        const char *name = dict->file->tensors[i].name;
        if (starts_with(name, dict->prefix) && starts_with(name + n_prefix, "AuxLogits."))
            is_there = dict->is_used[i] = true;
    }
    return is_there;
}

/* Outputs of the classifier in the file; 0 without one (a network for features). */
static size_t count_outputs(const gf__state_dict *dict)
{
    char name[GF__LAYER_NAME_TEXT];
    snprintf(name, sizeof name, "%sfc.weight", dict->prefix);
    const gf_tensor *weight = gf__torch_find(dict->file, name);
    return weight != NULL && gf_tensor_n_dims(weight) == 2 ? gf_tensor_shape(weight)[0] : 0;
}

static gf_status fill(gf__state_dict *dict, gf__checkpoint *out, gf_error *err)
{
    const bool has_auxiliary = leave_out_auxiliary(dict);
    const size_t n_outputs = count_outputs(dict);
    const size_t n_skipped = n_outputs == N_WITH_BACKGROUND ? 1 : 0;
    if (n_outputs == N_OF_FID && !has_auxiliary)
        return gf_error_set(
            err, GF_EUNSUPPORTED,
            "has 1008 outputs and no AuxLogits: the Inception-v3 of 2015 (as for the "
            "FID score), whose layers differ from torchvision's behind the same names");
    gf_status st = gf__inception_v3_torch_layers(n_outputs - n_skipped, &out->graph, err);
    if (st == GF_OK)
        st = set_convs(dict, out->graph, err);
    if (st == GF_OK && n_outputs > 0)
        st = set_classifier(dict, out->graph, "kernel", "fc.weight", n_skipped, err);
    if (st == GF_OK && n_outputs > 0)
        st = set_classifier(dict, out->graph, "bias", "fc.bias", n_skipped, err);
    if (st != GF_OK)
        return st;
    out->origin = gf__asprintf("%s of Inception-v3%s%s", dict->file->kind,
                               has_auxiliary ? ", AuxLogits left out" : "",
                               n_skipped > 0 ? ", background class left out" : "");
    return out->origin != NULL ? GF_OK : gf__error_nomem(err, "an origin", 64);
}

gf_status gf__inception_v3_read_torch(const gf__torch_file *file, const char *prefix,
                                      gf__checkpoint *out, gf_error *err)
{
    gf__state_dict dict = {.file = file, .title = TITLE, .prefix = prefix};
    gf_status st = gf__state_dict_begin(&dict, err);
    if (st != GF_OK)
        return st;
    st = fill(&dict, out, err);
    const gf_status left = gf__state_dict_end(&dict, st == GF_OK ? err : NULL);
    return st != GF_OK ? st : left;
}
