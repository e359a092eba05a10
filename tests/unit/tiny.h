/* tiny.h: a network of 16 x 16 pixels that runs in microseconds, pictures for it, and a head, for
 * tests of what stands above the engine. Everything is drawn from seeds: the same on every
 * machine. */
#ifndef GRAFT_TESTS_TINY_H
#define GRAFT_TESTS_TINY_H

#include "check.h"
#include "graph/graph.h"
#include "head/head.h"
#include "image/image.h"
#include "model/model.h"
#include "tensor/tensor.h"
#include "zoo/zoo.h"

#define TINY_SIDE    16
#define TINY_FILTERS 12
#define TINY_BYTES   (TINY_SIDE * TINY_SIDE * 3)

/* size values uniform in +-limit. */
static inline gf_tensor *tiny_random(const size_t *shape, size_t n_dims, double limit,
                                     uint64_t seed)
{
    gf_tensor *tensor = NULL;
    gf__rng rng;
    gf__rng_seed(&rng, seed, 0);
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, shape, n_dims, &tensor, &check_err));
    float *values = gf_tensor_mutable_data(tensor);
    for (size_t i = 0; i < gf_tensor_n_values(tensor); i++)
        values[i] = (float)((2 * gf__rng_uniform(&rng) - 1) * limit);
    return tensor;
}

static inline size_t tiny_add(gf_graph *graph, gf__layer_config config, size_t input)
{
    size_t index = 0;
    const bool is_input = config.class_id == GF__LAYER_INPUT;
    config.is_trainable = true;
    CHECK_OK(gf__graph_add(graph, &config, &input, is_input ? 0 : 1, &index, &check_err));
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)index);
    for (size_t i = 0; i < gf__layer_n_weights(layer); i++) {
        size_t shape[4];
        const size_t n_dims = gf__layer_weight_shape(layer, i, shape);
        gf_tensor *weight = tiny_random(shape, n_dims, 0.5, 100 * index + i);
        CHECK_OK(gf__graph_set_weight(graph, index, gf__layer_weight_name(layer, i), weight,
                                      &check_err));
    }
    return index;
}

/* input_1 (16,16,3), conv (7,7,12) relu, avg_pool (12). */
static inline gf_graph *tiny_graph(void)
{
    gf_graph *graph = NULL;
    CHECK_OK(gf__graph_new("tiny", &graph, &check_err));
    size_t at = tiny_add(graph,
                         (gf__layer_config){.class_id = GF__LAYER_INPUT,
                                            .name = "input_1",
                                            .n_input_dims = 3,
                                            .input_shape = {TINY_SIDE, TINY_SIDE, 3}},
                         0);
    at = tiny_add(graph,
                  (gf__layer_config){.class_id = GF__LAYER_CONV2D,
                                     .name = "conv",
                                     .filters = TINY_FILTERS,
                                     .kernel = {3, 3},
                                     .strides = {2, 2},
                                     .has_bias = true,
                                     .activation = GF__ACTIVATION_RELU},
                  at);
    tiny_add(graph,
             (gf__layer_config){.class_id = GF__LAYER_GLOBAL_AVERAGE_POOLING2D, .name = "avg_pool"},
             at);
    return graph;
}

/* sha256 is made from the name. */
static inline gf_trunk *tiny_trunk(const char *name)
{
    gf_trunk *trunk = NULL;
    char hex[GF__SHA256_HEX];
    gf__sha256_hex(name, strlen(name), hex);
    const gf__trunk_parts parts = {.name = name,
                                   .sha256 = hex,
                                   .origin = "a test",
                                   .scale = 1 / 127.5f,
                                   .shift = -1,
                                   .graph = tiny_graph()};
    CHECK_OK(gf__trunk_take(&parts, &trunk, &check_err));
    return trunk;
}

/* Smooth blobs of colour, width x height. */
static inline gf_image *tiny_picture(size_t width, size_t height, uint64_t seed)
{
    gf_image *small = NULL, *image = NULL;
    uint8_t rgb[4 * 4 * 3];
    gf__rng rng;
    gf__rng_seed(&rng, seed, 1);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)gf__rng_below(&rng, 256);
    CHECK_OK(gf_image_from_rgb(rgb, 4, 4, &small, &check_err));
    CHECK_OK(gf_image_resize(small, width, height, &image, &check_err));
    gf_image_free(small);
    return image;
}

static inline void tiny_png(size_t width, size_t height, uint64_t seed, uint8_t **bytes, size_t *n)
{
    gf_image *image = tiny_picture(width, height, seed);
    CHECK_OK(gf_image_encode_png(image, bytes, n, &check_err));
    gf_image_free(image);
}

static inline char *tiny_path(const char *dir, const char *name)
{
    char *path = gf__path_join(dir, name);
    assert_non_null(path);
    return path;
}

/* dir/a, dir/b, ... with n_each pictures 0.png ... of 20 x 24 pixels. */
static inline void tiny_folder(const char *dir, size_t n_classes, size_t n_each)
{
    for (size_t k = 0; k < n_classes; k++) {
        char name[64];
        snprintf(name, sizeof name, "%c", (char)('a' + k));
        char *folder = tiny_path(dir, name);
        CHECK_OK(gf__make_dirs(folder, &check_err));
        for (size_t i = 0; i < n_each; i++) {
            uint8_t *png = NULL;
            size_t n_bytes = 0;
            snprintf(name, sizeof name, "%03zu.png", i);
            char *path = tiny_path(folder, name);
            tiny_png(20, 24, 1000 * k + i, &png, &n_bytes);
            CHECK_OK(gf__write_file(path, png, n_bytes, &check_err));
            gf_image_bytes_free(png);
            gf__free(path);
        }
        gf__free(folder);
    }
}

static inline gf_dataset *tiny_dataset(const char *dir)
{
    gf_dataset *dataset = NULL;
    CHECK_OK(gf_dataset_open(dir, NULL, NULL, &dataset, &check_err));
    return dataset;
}

/* 12 features, Dense(8, relu), Dense(3, softmax). */
static inline gf_head *tiny_head(uint64_t seed)
{
    const gf_head_layer layers[2] = {{.units = 8, .activation = GF_HEAD_RELU, .dropout = 0.25},
                                     {.units = 3, .activation = GF_HEAD_SOFTMAX}};
    gf_head *head = NULL;
    CHECK_OK(gf_head_new(TINY_FILTERS, layers, 2, &head, &check_err));
    gf_head_initialise(head, seed);
    return head;
}

#endif
