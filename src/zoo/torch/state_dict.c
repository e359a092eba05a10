/* zoo/torch/state_dict.c: tensors by PyTorch's names into a network that graft knows: which one it is, each
 * tensor to its layer with its dimensions in our order, and none left over. */
#include <stdio.h>
#include <string.h>

#include "zoo/torch/torch_priv.h"

/* ---- one tensor ------------------------------------------------------------------------------ */

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

gf_status gf__state_dict_find(gf__state_dict *dict, const char *name, const char *layer,
                              const gf_tensor **out, gf_error *err)
{
    char full[2 * GF__LAYER_NAME_TEXT];
    snprintf(full, sizeof full, "%s%s", dict->prefix, name);
    *out = NULL;
    for (size_t i = 0; i < dict->file->n_tensors; i++) {
        if (strcmp(dict->file->tensors[i].name, full) != 0)
            continue;
        *out = dict->file->tensors[i].tensor;
        dict->is_used[i] = true;
        if (*out != NULL)
            return GF_OK;
        return gf_error_set(err, GF_EMISMATCH,
                            "is not %s: %.100s holds whole numbers, layer \"%s\" takes float",
                            dict->title, full, layer);
    }
    return gf_error_set(err, GF_EMISMATCH, "is not %s: has no %.100s, for layer \"%s\"",
                        dict->title, full, layer);
}

gf_status gf__state_dict_give(const gf__state_dict *dict, gf_graph *graph, size_t index,
                              const char *ours, const char *name, const gf_tensor *tensor,
                              gf_error *err)
{
    char want_text[GF__SHAPE_TEXT], got_text[GF__SHAPE_TEXT];
    size_t want[4] = {0}, n_dims = 0;
    gf_tensor *turned = NULL;
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)index);
    for (size_t i = 0; i < gf__layer_n_weights(layer); i++)
        if (strcmp(gf__layer_weight_name(layer, i), ours) == 0)
            n_dims = gf__layer_weight_shape(layer, i, want);
    const bool is_depthwise = gf__layer_config_of(layer)->class_id == GF__LAYER_DEPTHWISE_CONV2D;
    const size_t theirs_of_conv[4] = {is_depthwise ? want[2] : want[3],
                                      is_depthwise ? want[3] : want[2], want[0], want[1]};
    const size_t theirs_of_dense[2] = {want[1], want[0]};
    const size_t *expected = n_dims == 4 ? theirs_of_conv : n_dims == 2 ? theirs_of_dense : want;
    if (gf_tensor_n_dims(tensor) != n_dims ||
        memcmp(gf_tensor_shape(tensor), expected, n_dims * sizeof *expected) != 0)
        return gf_error_set(
            err, GF_EMISMATCH, "is not %s: %s%.100s is %s, expected %s for layer \"%s\"",
            dict->title, dict->prefix, name,
            gf__shape_text(gf_tensor_shape(tensor), gf_tensor_n_dims(tensor), got_text),
            gf__shape_text(expected, n_dims, want_text), gf_layer_name(layer));
    gf_status st = n_dims == 1 ? gf__tensor_copy(tensor, &turned, err)
                               : gf_tensor_new(GF_DTYPE_F32, want, n_dims, &turned, err);
    if (st == GF_OK && n_dims > 1)
        turn(tensor, turned, is_depthwise);
    if (st == GF_OK)
        st = gf__graph_set_weight(graph, index, ours, turned, err);
    if (st != GF_OK)
        gf_tensor_free(turned);
    return st;
}

gf_status gf__state_dict_set(gf__state_dict *dict, gf_graph *graph, size_t index, const char *ours,
                             const char *module, const char *theirs, gf_error *err)
{
    char name[GF__LAYER_NAME_TEXT];
    const gf_tensor *tensor = NULL;
    snprintf(name, sizeof name, "%s.%s", module, theirs);
    const gf_status st = gf__state_dict_find(
        dict, name, gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)index)), &tensor, err);
    return st == GF_OK ? gf__state_dict_give(dict, graph, index, ours, name, tensor, err) : st;
}

/* ---- the whole ------------------------------------------------------------------------------- */

gf_status gf__state_dict_begin(gf__state_dict *dict, gf_error *err)
{
    dict->is_used = gf__calloc(dict->file->n_tensors + 1, sizeof *dict->is_used);
    return dict->is_used != NULL ? GF_OK
                                 : gf__error_nomem(err, "a list of tensors", dict->file->n_tensors);
}

gf_status gf__state_dict_end(gf__state_dict *dict, gf_error *err)
{
    gf_status st = GF_OK;
    for (size_t i = 0; i < dict->file->n_tensors && st == GF_OK && err != NULL; i++)
        if (!dict->is_used[i] && dict->file->tensors[i].tensor != NULL)
            st = gf_error_set(err, GF_EMISMATCH,
                              "is not %s: has %.120s, which that network has no place for",
                              dict->title, dict->file->tensors[i].name);
    gf__free(dict->is_used);
    dict->is_used = NULL;
    return st;
}

/* What names a network's first convolution has in its files, and who reads them. */
static const struct network {
    const char *name; /* the architecture's */
    const char *first;
    gf_status (*read)(const gf__torch_file *file, const char *prefix, gf__checkpoint *out,
                      gf_error *err);
} networks[] = {
    {"inception_v3", "Conv2d_1a_3x3.conv.weight", gf__inception_v3_read_torch},
    {"efficientnet_lite0", "_conv_stem.weight", gf__efficientnet_lite0_read_torch},
};
#define N_NETWORKS (sizeof networks / sizeof *networks)

/* What stands before `first` in the file: "", or what wrappers put there ("module.", "model."); new. NULL
 * where it is nowhere. */
static gf_status find_prefix(const gf__torch_file *file, const char *first, char **out,
                             gf_error *err)
{
    const size_t n_first = strlen(first);
    *out = NULL;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const char *name = file->tensors[i].name;
        const size_t n = strlen(name);
        if (n < n_first || n - n_first > GF__LAYER_NAME_TEXT / 2 ||
            strcmp(name + n - n_first, first) != 0 || (n > n_first && name[n - n_first - 1] != '.'))
            continue;
        *out = gf__strndup(name, n - n_first);
        return *out != NULL ? GF_OK : gf__error_nomem(err, "a name", n);
    }
    return GF_OK;
}

gf_status gf__state_dict_read(const gf__torch_file *file, const char *name, gf__checkpoint *out,
                              gf_error *err)
{
    const struct network *named = NULL;
    for (size_t i = 0; i < N_NETWORKS; i++) {
        char *prefix = NULL;
        gf_status st = find_prefix(file, networks[i].first, &prefix, err);
        if (strcmp(networks[i].name, name) == 0)
            named = &networks[i];
        if (prefix != NULL)
            st = networks[i].read(file, prefix, out, err);
        const bool is_found = prefix != NULL || st != GF_OK;
        gf__free(prefix);
        if (is_found)
            return st;
    }
    if (named != NULL) /* says what is missing */
        return named->read(file, "", out, err);
    return gf_error_set(err, GF_EUNSUPPORTED,
                        "a state dict whose first tensor is %.80s: those of Inception-v3 "
                        "(Conv2d_1a_3x3.conv.weight ...) and EfficientNet-Lite0 (_conv_stem.weight "
                        "...) are known",
                        file->n_tensors > 0 ? file->tensors[0].name : "missing");
}

gf_status gf__torch_read(const char *path, const char *name, gf__checkpoint *out, gf_error *err)
{
    gf__torch_file file = {0};
    gf_status st = gf__torch_open(path, &file, err);
    if (st != GF_OK)
        goto done; /* names the path itself */
    file.kind = file.is_zip ? "PyTorch state dict, zip form" : "PyTorch state dict, older form";
    st = gf__state_dict_read(&file, name, out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
done:
    gf__torch_file_free(&file);
    return st;
}
