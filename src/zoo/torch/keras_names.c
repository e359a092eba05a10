/* zoo/torch/keras_names.c: tensors called LAYER/WEIGHT, as Keras and graft call them, into the network whose layers
 * have such names: EfficientNet-Lite0, where each has one of its own ("block1a_dwconv/depthwise_kernel"), or Keras'
 * Inception-v3: "conv2d_3/kernel", "batch_normalization/beta:0", "inception_v3/predictions/bias".
 *
 * There numbers depend on what else the writing program had built before (the second network of a session
 * begins at conv2d_94), so a layer is known by its place among those of its kind, in the order of
 * their numbers. The file's own order says nothing: its libraries sort by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zoo/torch/torch_priv.h"

static const char inception[] = "Keras' Inception-v3", lite[] = "EfficientNet-Lite0";

typedef enum kind { CONV, NORM, TOP, N_KINDS } kind;

/* A tensor's name, taken apart. */
typedef struct entry {
    kind kind;
    size_t number;      /* 0: none */
    const char *weight; /* static */
    size_t tensor;      /* its place in the file */
} entry;

static const struct {
    const char *name;
    kind kind;
} stems[] = {
    {"conv2d", CONV},
    {"batch_normalization", NORM},
    {"batch_normalization_v1", NORM}, /* TensorFlow 1.13 to 1.15 */
    {"predictions", TOP},
};

static const struct {
    const char *name, *own; /* in a file, in a graph */
} weights[] = {
    {"kernel", "kernel"},
    {"depthwise_kernel", "kernel"},
    {"bias", "bias"},
    {"gamma", "gamma"},
    {"beta", "beta"},
    {"moving_mean", "moving_mean"},
    {"moving_variance", "moving_variance"},
};

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_text(const char *text, size_t n, const char *wanted)
{
    return strlen(wanted) == n && memcmp(text, wanted, n) == 0;
}

/* The start of the last part of the n characters. */
static size_t last_part(const char *name, size_t n)
{
    while (n > 0 && name[n - 1] != '/')
        n--;
    return n;
}

static const char *weight_of(const char *name, size_t *n_before)
{
    size_t n = strlen(name);
    if (n > 2 && strcmp(name + n - 2, ":0") == 0)
        n -= 2;
    const size_t start = last_part(name, n);
    *n_before = start;
    for (size_t i = 0; start > 1 && i < sizeof weights / sizeof *weights; i++)
        if (is_text(name + start, n - start, weights[i].name))
            return weights[i].own;
    return NULL;
}

/* "conv2d_12" is the kind's 12th; "conv2d" comes before "conv2d_1". */
static bool read_layer(const char *layer, size_t n, entry *out)
{
    size_t n_stem = n;
    out->number = 0;
    while (n_stem > 0 && layer[n_stem - 1] >= '0' && layer[n_stem - 1] <= '9')
        n_stem--;
    if (n_stem < n && n - n_stem <= 9 && n_stem > 1 && layer[n_stem - 1] == '_') {
        out->number = strtoul(layer + n_stem, NULL, 10);
        n_stem--;
    } else {
        n_stem = n;
    }
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        if (is_text(layer, n_stem, stems[i].name)) {
            out->kind = stems[i].kind;
            return true;
        }
    }
    return false;
}

static gf_status refuse_name(const char *title, const char *name, gf_error *err)
{
    return gf_error_set(err, GF_EMISMATCH,
                        "is not %s: has %.120s, which that network has no place for", title, name);
}

static gf_status read_name(const char *name, entry *out, gf_error *err)
{
    size_t n = 0;
    out->weight = weight_of(name, &n);
    if (out->weight != NULL) {
        const size_t start = last_part(name, n - 1);
        if (read_layer(name + start, n - 1 - start, out))
            return GF_OK;
    }
    return refuse_name(inception, name, err);
}

bool gf__has_keras_names(const gf__torch_file *file)
{
    for (size_t i = 0; i < file->n_tensors; i++) {
        size_t n = 0;
        const char *weight = weight_of(file->tensors[i].name, &n);
        if (weight != NULL && strcmp(weight, "kernel") == 0)
            return true;
    }
    return false;
}

/* ---- order ----------------------------------------------------------------------------------- */

static int compare_entries(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return strcmp(a->weight, b->weight);
}

static gf_status read_entries(const gf__torch_file *file, entry **out, gf_error *err)
{
    gf_status st = GF_OK;
    entry *entries = gf__calloc(file->n_tensors + 1, sizeof *entries);
    *out = entries;
    if (entries == NULL)
        return gf__error_nomem(err, "a list of tensors", file->n_tensors);
    for (size_t i = 0; i < file->n_tensors && st == GF_OK; i++) {
        entries[i].tensor = i;
        st = read_name(file->tensors[i].name, &entries[i], err);
    }
    if (st != GF_OK)
        return st;
    qsort(entries, file->n_tensors, sizeof *entries, compare_entries);
    for (size_t i = 1; i < file->n_tensors; i++)
        if (compare_entries(&entries[i - 1], &entries[i]) == 0)
            return gf_error_set(err, GF_EFORMAT, "%.100s and %.100s are the same weight",
                                file->tensors[entries[i - 1].tensor].name,
                                file->tensors[entries[i].tensor].name);
    return GF_OK;
}

/* Outputs of the classifier; 0 without one. */
static size_t count_classes(const gf__torch_file *file, const entry *entries)
{
    for (size_t i = 0; i < file->n_tensors; i++) {
        const gf_tensor *tensor = file->tensors[entries[i].tensor].tensor;
        if (entries[i].kind == TOP && strcmp(entries[i].weight, "kernel") == 0 && tensor != NULL &&
            gf_tensor_n_dims(tensor) == 2)
            return gf_tensor_shape(tensor)[1];
    }
    return 0;
}

/* ---- weights --------------------------------------------------------------------------------- */

static gf_status give(const gf__torch_tensor *from, const char *title, gf_graph *graph,
                      const char *layer, const char *weight, gf_error *err)
{
    size_t index = 0;
    if (gf_graph_find_layer(graph, layer, &index, NULL) != GF_OK)
        return gf_error_set(err, GF_EMISMATCH,
                            "is not %s: %.100s would be of \"%s\", which that network has not",
                            title, from->name, layer);
    if (from->tensor == NULL)
        return gf_error_set(err, GF_EMISMATCH,
                            "is not %s: %.100s holds whole numbers, expected float", title,
                            from->name);
    gf_error why = {0};
    if (gf__graph_set_weight(graph, index, weight, gf__tensor_ref(from->tensor), &why) == GF_OK)
        return GF_OK;
    gf_tensor_free(from->tensor); /* the reference that was not taken */
    return gf_error_set(err, GF_EMISMATCH, "is not %s: %.100s: %s", title, from->name, why.message);
}

static gf_status give_all(const gf__torch_file *file, const entry *entries, gf_graph *graph,
                          gf_error *err)
{
    static const char *const names[N_KINDS] = {"conv2d", "batch_normalization", "predictions"};
    gf_status st = GF_OK;
    size_t place = 0;
    for (size_t i = 0; i < file->n_tensors && st == GF_OK; i++) {
        char layer[GF__LAYER_NAME_TEXT];
        if (i == 0 || entries[i].kind != entries[i - 1].kind)
            place = 1;
        else if (entries[i].number != entries[i - 1].number)
            place++;
        if (entries[i].kind == TOP && place == 1)
            snprintf(layer, sizeof layer, "%s", names[TOP]);
        else
            snprintf(layer, sizeof layer, "%s_%zu", names[entries[i].kind], place);
        st = give(&file->tensors[entries[i].tensor], inception, graph, layer, entries[i].weight,
                  err);
    }
    return st;
}

static gf_status check_all_given(const gf_graph *graph, const char *title, gf_error *err)
{
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++)
            if (gf__layer_weight_at(layer, k) == NULL)
                return gf_error_set(err, GF_EMISMATCH, "is not %s: has no %s for layer \"%s\"",
                                    title, gf__layer_weight_name(layer, k), gf_layer_name(layer));
    }
    return GF_OK;
}

static gf_status read_inception(const gf__torch_file *file, gf_graph **out, gf_error *err)
{
    entry *entries = NULL;
    gf_status st = read_entries(file, &entries, err);
    if (st == GF_OK)
        st = gf__inception_v3_layers(count_classes(file, entries), out, err);
    if (st == GF_OK)
        st = give_all(file, entries, *out, err);
    if (st == GF_OK)
        st = check_all_given(*out, inception, err);
    gf__free(entries);
    return st;
}

/* ---- EfficientNet-Lite0 ---------------------------------------------------------------------- */

/* "stem_conv" and "kernel" of "net/stem_conv/kernel:0"; a layer "" where the name is none of a weight. */
typedef struct owner {
    char layer[GF__LAYER_NAME_TEXT];
    const char *weight; /* static */
} owner;

static owner owner_of(const char *name)
{
    size_t n = 0;
    owner found = {.weight = weight_of(name, &n)};
    if (found.weight != NULL) {
        const size_t start = last_part(name, n - 1);
        snprintf(found.layer, sizeof found.layer, "%.*s", (int)(n - 1 - start), name + start);
    }
    return found;
}

static const gf__torch_tensor *find_kernel(const gf__torch_file *file, const char *layer)
{
    for (size_t i = 0; i < file->n_tensors; i++) {
        const owner found = owner_of(file->tensors[i].name);
        if (strcmp(found.layer, layer) == 0 && strcmp(found.weight, "kernel") == 0)
            return &file->tensors[i];
    }
    return NULL;
}

static gf_status give_by_name(const gf__torch_tensor *from, gf_graph *graph, gf_error *err)
{
    size_t index = 0;
    const owner to = owner_of(from->name);
    if (to.layer[0] == '\0')
        return refuse_name(lite, from->name, err);
    if (gf_graph_find_layer(graph, to.layer, &index, NULL) == GF_OK &&
        gf_layer_weight(gf_graph_layer_at(graph, (ptrdiff_t)index), to.weight) != NULL)
        return gf_error_set(err, GF_EFORMAT, "%.100s is a weight that it has twice", from->name);
    return give(from, lite, graph, to.layer, to.weight, err);
}

static gf_status read_lite(const gf__torch_file *file, gf_graph **out, gf_error *err)
{
    const gf__torch_tensor *top = find_kernel(file, "predictions");
    const bool has_top = top != NULL && top->tensor != NULL && gf_tensor_n_dims(top->tensor) == 2;
    gf_status st = gf__efficientnet_lite0_layers(has_top ? gf_tensor_shape(top->tensor)[1] : 0, out,
                                                 err);
    for (size_t i = 0; st == GF_OK && i < file->n_tensors; i++)
        st = give_by_name(&file->tensors[i], *out, err);
    return st == GF_OK ? check_all_given(*out, lite, err) : st;
}

/* ---- both ------------------------------------------------------------------------------------ */

gf_status gf__keras_names_read(const gf__torch_file *file, gf__checkpoint *out, gf_error *err)
{
    const bool is_lite = find_kernel(file, "stem_conv") != NULL;
    const gf_status st = is_lite ? read_lite(file, &out->graph, err)
                                 : read_inception(file, &out->graph, err);
    if (st != GF_OK)
        return st;
    out->origin = gf__asprintf("%s of %s", file->kind, is_lite ? lite : inception);
    return out->origin != NULL ? GF_OK : gf__error_nomem(err, "an origin", 64);
}
