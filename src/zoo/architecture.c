/* architecture.c: the networks that graft knows by name: is a graph one of them, where can it be
 * cut, what does its classifier say. A checkpoint is compared with the table layer by layer, by
 * what the layers compute and where their inputs come from, not by their names, which differ
 * between versions of Keras. */
#include <stdio.h>
#include <string.h>

#include "zoo/zoo_priv.h"

static const char *const inception_v3_blocks[] = {"mixed0", "mixed1", "mixed2", "mixed3",
                                                  "mixed4", "mixed5", "mixed6", "mixed7",
                                                  "mixed8", "mixed9", "mixed10"};

static const char *const efficientnet_lite0_blocks[] = {
    "block1a_project_bn", "block2b_add", "block3b_add",        "block4c_add",
    "block5c_add",        "block6d_add", "block7a_project_bn", "top_activation"};

/* A network that exists in two forms has two rows of one name, blocks and input. */
static const struct architecture {
    const char *name;
    const char *title; /* for messages */
    gf_status (*layers)(size_t n_classes, gf_graph **out, gf_error *err);
    const char *const *blocks;
    size_t n_blocks;
    float scale, shift; /* of pixels */
} architectures[] = {
    {"inception_v3", "Inception-v3", gf__inception_v3_layers, inception_v3_blocks,
     sizeof inception_v3_blocks / sizeof inception_v3_blocks[0], 1.0f / 127.5f, -1.0f},
    {"inception_v3", "PyTorch's Inception-v3", gf__inception_v3_torch_layers, inception_v3_blocks,
     sizeof inception_v3_blocks / sizeof inception_v3_blocks[0], 1.0f / 127.5f, -1.0f},
    {"efficientnet_lite0", "EfficientNet-Lite0", gf__efficientnet_lite0_layers,
     efficientnet_lite0_blocks,
     sizeof efficientnet_lite0_blocks / sizeof efficientnet_lite0_blocks[0], 1.0f / 128.0f,
     -127.0f / 128.0f},
};
#define N_ARCHITECTURES (sizeof architectures / sizeof architectures[0])

static const struct architecture *find_architecture(const char *name)
{
    for (size_t i = 0; i < N_ARCHITECTURES; i++) {
        if (strcmp(architectures[i].name, name) == 0)
            return &architectures[i];
    }
    return NULL;
}

bool gf__architecture_is_known(const char *name)
{
    return find_architecture(name) != NULL;
}

/* Every Keras application that graft can run was trained on [-1,1]. */
void gf__architecture_input(const char *name, float *scale, float *shift)
{
    const struct architecture *known = name != NULL ? find_architecture(name) : NULL;
    *scale = known != NULL ? known->scale : 1.0f / 127.5f;
    *shift = known != NULL ? known->shift : -1.0f;
}

bool gf__architecture_shape(const char *name, size_t shape[3])
{
    gf_graph *graph = NULL;
    const struct architecture *known = find_architecture(name);
    if (known == NULL || known->layers(0, &graph, NULL) != GF_OK)
        return false;
    memcpy(shape, gf_layer_shape(gf_graph_layer_at(graph, 0)), 3 * sizeof *shape);
    gf_graph_free(graph);
    return true;
}

/* ---- comparing ---- */

/* "Conv2D 3x3/2x2 valid, 32 filters, linear" for messages. */
static const char *layer_text(const gf_layer *layer, char text[96])
{
    const gf__layer_config *c = gf__layer_config_of(layer);
    int n = snprintf(text, 96, "%s", gf_layer_class_name(layer));
    if (c->kernel[0] > 0)
        n += snprintf(text + n, 96 - (size_t)n, " %zux%zu/%zux%zu %s", c->kernel[0], c->kernel[1],
                      c->strides[0], c->strides[1], c->is_same_padding ? "same" : "valid");
    if (c->filters > 0)
        snprintf(text + n, 96 - (size_t)n, ", %zu filters%s", c->filters,
                 c->has_bias ? " with bias" : "");
    else if (c->class_id == GF__LAYER_BATCH_NORMALIZATION)
        snprintf(text + n, 96 - (size_t)n, " scale %d center %d epsilon %g", c->has_scale,
                 c->has_center, c->epsilon);
    else if (c->class_id == GF__LAYER_ZERO_PADDING2D)
        snprintf(text + n, 96 - (size_t)n, " %zu,%zu %zu,%zu", c->padding[0], c->padding[1],
                 c->padding[2], c->padding[3]);
    else if (c->class_id == GF__LAYER_ACTIVATION)
        snprintf(text + n, 96 - (size_t)n, " %s", gf__activation_name(c->activation));
    return text;
}

static bool have_same_settings(const gf__layer_config *a, const gf__layer_config *b)
{
    /* Some Keras files carry epsilon as a rounded float. */
    const double epsilon_off = a->epsilon > b->epsilon ? a->epsilon - b->epsilon
                                                       : b->epsilon - a->epsilon;
    return a->class_id == b->class_id && a->filters == b->filters &&
           memcmp(a->kernel, b->kernel, sizeof a->kernel) == 0 &&
           memcmp(a->strides, b->strides, sizeof a->strides) == 0 &&
           a->is_same_padding == b->is_same_padding && a->has_bias == b->has_bias &&
           a->has_scale == b->has_scale && a->has_center == b->has_center && epsilon_off < 1e-8 &&
           a->activation == b->activation && a->max_value == b->max_value &&
           (a->class_id != GF__LAYER_ZERO_PADDING2D ||
            memcmp(a->padding, b->padding, sizeof a->padding) == 0);
}

static bool have_same_inputs(const gf_layer *a, const gf_layer *b)
{
    if (gf_layer_n_inputs(a) != gf_layer_n_inputs(b))
        return false;
    for (size_t i = 0; i < gf_layer_n_inputs(a); i++) {
        if (gf_layer_input_at(a, i) != gf_layer_input_at(b, i))
            return false;
    }
    return true;
}

/* Layers 0 to the last block must be the table's; what follows is the checkpoint's own top. *n_same gets
 * the number of layers before the first that differs. */
static gf_status compare(const gf_graph *graph, const gf_graph *table, const char *title,
                         size_t *n_same, gf_error *err)
{
    char found[96], expected[96];
    for (size_t i = 0; i < gf_graph_n_layers(table); i++) {
        const gf_layer *want = gf_graph_layer_at(table, (ptrdiff_t)i);
        const gf_layer *got = gf_graph_layer_at(graph, (ptrdiff_t)i);
        *n_same = i;
        if (got == NULL)
            return gf_error_set(
                err, GF_EMISMATCH, "is not %s: ends after %zu layers, before %s (\"%s\")", title,
                gf_graph_n_layers(graph), layer_text(want, expected), gf_layer_name(want));
        if (!have_same_settings(gf__layer_config_of(got), gf__layer_config_of(want)))
            return gf_error_set(err, GF_EMISMATCH,
                                "is not %s: layer %zu \"%s\" is %s, expected %s (\"%s\")", title, i,
                                gf_layer_name(got), layer_text(got, found),
                                layer_text(want, expected), gf_layer_name(want));
        if (!have_same_inputs(got, want))
            return gf_error_set(err, GF_EMISMATCH,
                                "is not %s: layer %zu \"%s\" has other inputs than \"%s\"", title,
                                i, gf_layer_name(got), gf_layer_name(want));
    }
    return GF_OK;
}

static gf_status match(const gf_graph *graph, const struct architecture *architecture,
                       size_t *n_same, gf_error *err)
{
    gf_graph *table = NULL;
    *n_same = 0;
    gf_status st = architecture->layers(0, &table, err);
    if (st == GF_OK)
        st = compare(graph, table, architecture->title, n_same, err);
    gf_graph_free(table);
    return st;
}

/* One of the forms that `name` has; where it is none of them, what differs from the nearest is told. */
static gf_status match_named(const gf_graph *graph, const char *name, gf_error *err)
{
    gf_error nearest = {0};
    size_t n_nearest = 0;
    for (size_t i = 0; i < N_ARCHITECTURES; i++) {
        gf_error one = {0};
        size_t n_same = 0;
        if (strcmp(architectures[i].name, name) != 0)
            continue;
        const gf_status st = match(graph, &architectures[i], &n_same, &one);
        if (st == GF_OK)
            return GF_OK;
        if (nearest.code == GF_OK || st != GF_EMISMATCH || n_same > n_nearest) {
            nearest = one;
            n_nearest = n_same;
        }
        if (st != GF_EMISMATCH)
            break;
    }
    return gf_error_set(err, nearest.code, "%s", nearest.message);
}

gf_status gf__architecture_match(const gf_graph *graph, const char *name, const char **architecture,
                                 gf_error *err)
{
    const struct architecture *named = find_architecture(name);
    *architecture = NULL;
    if (named != NULL) {
        *architecture = named->name;
        return match_named(graph, named->name, err);
    }
    for (size_t i = 0; i < N_ARCHITECTURES && *architecture == NULL; i++) {
        size_t n_same = 0;
        const gf_status st = match(graph, &architectures[i], &n_same, NULL);
        if (st == GF_OK)
            *architecture = architectures[i].name;
        else if (st != GF_EMISMATCH)
            return gf_error_set(err, st, "comparing with %s", architectures[i].title);
    }
    return GF_OK;
}

/* With the table's own classifier, or without it. */
static gf_status align_with(const struct architecture *architecture, gf_graph **graph,
                            bool *is_aligned, gf_error *err)
{
    const size_t n_classes[] = {gf__graph_n_classes(*graph), 0};
    gf_status st = GF_OK;
    for (size_t i = 0; i < 2 && st == GF_OK && !*is_aligned; i++) {
        gf_graph *table = NULL;
        st = architecture->layers(n_classes[i], &table, err);
        if (st == GF_OK)
            st = gf__graph_align(graph, table, is_aligned, err);
        gf_graph_free(table);
    }
    return st;
}

gf_status gf__architecture_align(gf_graph **graph, const char *name, gf_error *err)
{
    const bool is_known = find_architecture(name) != NULL;
    bool is_aligned = false;
    gf_status st = GF_OK;
    for (size_t i = 0; i < N_ARCHITECTURES && st == GF_OK && !is_aligned; i++)
        if (!is_known || strcmp(architectures[i].name, name) == 0)
            st = align_with(&architectures[i], graph, &is_aligned, err);
    return st;
}

/* ---- cuts and classes ---- */

const char *const *gf__zoo_block_outputs(const gf_graph *graph, size_t *n)
{
    for (size_t i = 0; i < N_ARCHITECTURES; i++) {
        size_t n_there = 0, index;
        while (n_there < architectures[i].n_blocks &&
               gf_graph_find_layer(graph, architectures[i].blocks[n_there], &index, NULL) == GF_OK)
            n_there++;
        if (n_there > 0) {
            *n = n_there; /* a graph cut at "mixed4" has the first five */
            return architectures[i].blocks;
        }
    }
    *n = 0;
    return NULL;
}

/* The last layer that still has a height and a width: what an average pool before the classifier
 * sees. */
static const gf_layer *last_spatial(const gf_graph *graph)
{
    for (size_t i = gf_graph_n_layers(graph); i-- > 0;) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        const size_t *shape = gf_layer_shape(layer);
        if (gf_layer_n_dims(layer) == 3 && shape[0] * shape[1] > 1)
            return layer;
    }
    return NULL;
}

gf_status gf__zoo_resolve_cut(const gf_graph *graph, const char *name, const char **layer,
                              bool *needs_pool, gf_error *err)
{
    size_t index;
    const gf_layer *found = NULL;
    gf_status st = gf_graph_find_layer(graph, name, &index, err);
    if (st == GF_OK)
        found = gf_graph_layer_at(graph, (ptrdiff_t)index);
    else if (strcmp(name, "avg_pool") == 0)
        found = last_spatial(graph);
    if (found == NULL)
        return st;
    *layer = gf_layer_name(found);
    *needs_pool = gf_layer_n_dims(found) == 3;
    return GF_OK;
}

size_t gf__graph_n_classes(const gf_graph *graph)
{
    const gf_layer *last = gf_graph_layer_at(graph, -1);
    if (last == NULL || gf_layer_n_dims(last) != 1)
        return 0;
    const gf__activation end = gf__layer_config_of(last)->activation;
    const bool is_classifier = end == GF__ACTIVATION_SOFTMAX || end == GF__ACTIVATION_SIGMOID;
    return is_classifier ? gf_layer_shape(last)[0] : 0;
}
