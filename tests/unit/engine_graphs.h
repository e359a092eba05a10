/* engine_graphs.h: small networks with weights from formulas, for the tests of the engine.
 *
 * tests/golden/make_engine.py repeats the formulas and the network of small_graph() for ONNX
 * Runtime. */
#ifndef GRAFT_TESTS_ENGINE_GRAPHS_H
#define GRAFT_TESTS_ENGINE_GRAPHS_H

#include "check.h"
#include "engine/engine.h"
#include "graph/graph.h"
#include "tensor/tensor.h"

/* The top byte of a multiplicative hash of (index, seed). */
static inline void hash_bytes(uint8_t *out, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t h = ((uint32_t)i + seed * 40503u) * 2654435761u;
        h = (h ^ (h >> 15)) * 2246822519u;
        out[i] = (uint8_t)(h >> 24);
    }
}

/* Multiples of 1/256 in [-1/2, 1/2); around 1 for gamma and the moving variance. */
static inline void fill_weights(gf_graph *graph)
{
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++) {
            const char *name = gf__layer_weight_name(layer, k);
            const bool is_near_one = strcmp(name, "gamma") == 0 ||
                                     strcmp(name, "moving_variance") == 0;
            size_t shape[4], n = 1;
            const size_t n_dims = gf__layer_weight_shape(layer, k, shape);
            for (size_t d = 0; d < n_dims; d++)
                n *= shape[d];
            gf_tensor *tensor = NULL;
            CHECK_OK(gf_tensor_new(GF_DTYPE_F32, shape, n_dims, &tensor, &check_err));
            float *values = gf_tensor_mutable_data(tensor);
            uint8_t *bytes = malloc(n);
            hash_bytes(bytes, n, (uint32_t)(16 * i + k + 1));
            for (size_t v = 0; v < n; v++)
                values[v] = ((float)bytes[v] - 128.0f) / 256.0f + (is_near_one ? 1.0f : 0.0f);
            free(bytes);
            CHECK_OK(gf__graph_set_weight(graph, i, name, tensor, &check_err));
        }
    }
}

static inline size_t add_layer(gf_graph *graph, gf__layer_config config, size_t n_inputs, size_t a,
                               size_t b, size_t c)
{
    size_t index = 0;
    CHECK_OK(gf__graph_add(graph, &config, (size_t[]){a, b, c}, n_inputs, &index, &check_err));
    return index;
}
#define ADD1(graph, a, ...)       add_layer(graph, (gf__layer_config){__VA_ARGS__}, 1, a, 0, 0)
#define ADD2(graph, a, b, ...)    add_layer(graph, (gf__layer_config){__VA_ARGS__}, 2, a, b, 0)
#define ADD3(graph, a, b, c, ...) add_layer(graph, (gf__layer_config){__VA_ARGS__}, 3, a, b, c)

static inline gf_graph *new_graph(size_t height, size_t width, size_t channels)
{
    gf_graph *graph = NULL;
    CHECK_OK(gf__graph_new("small", &graph, &check_err));
    add_layer(graph,
              (gf__layer_config){.class_id = GF__LAYER_INPUT,
                                 .name = "input",
                                 .n_input_dims = 3,
                                 .input_shape = {height, width, channels}},
              0, 0, 0, 0);
    return graph;
}

static inline size_t add_conv(gf_graph *graph, size_t input, const char *name, size_t filters,
                              size_t kernel, size_t stride, bool is_same)
{
    return ADD1(graph, input, .class_id = GF__LAYER_CONV2D, .name = name, .filters = filters,
                .kernel = {kernel, kernel}, .strides = {stride, stride},
                .is_same_padding = is_same);
}

static inline size_t add_norm(gf_graph *graph, size_t input, const char *name)
{
    return ADD1(graph, input, .class_id = GF__LAYER_BATCH_NORMALIZATION, .name = name,
                .has_scale = true, .has_center = true, .epsilon = 1e-3);
}

static inline size_t add_relu(gf_graph *graph, size_t input, const char *name)
{
    return ADD1(graph, input, .class_id = GF__LAYER_ACTIVATION, .name = name,
                .activation = GF__ACTIVATION_RELU);
}

static inline size_t add_pool(gf_graph *graph, size_t input, const char *name, bool is_max)
{
    return ADD1(graph, input,
                .class_id = is_max ? GF__LAYER_MAX_POOLING2D : GF__LAYER_AVERAGE_POOLING2D,
                .name = name, .kernel = {3, 3}, .strides = {2, 2}, .is_same_padding = true);
}

static inline size_t add_simple(gf_graph *graph, size_t input, const char *name,
                                gf__layer_class class_id)
{
    return ADD1(graph, input, .class_id = class_id, .name = name);
}

/* Every class of layer. The numbers matter: weights are made from them, here and in
 * make_engine.py. */
static inline gf_graph *small_graph_without_weights(void)
{
    gf_graph *g = new_graph(17, 14, 3);
    const size_t pad = ADD1(g, 0, .class_id = GF__LAYER_ZERO_PADDING2D, .name = "pad",
                            .padding = {0, 1, 1, 2});
    const size_t conv = ADD1(g, pad, .class_id = GF__LAYER_CONV2D, .name = "conv", .filters = 8,
                             .kernel = {3, 3}, .strides = {2, 2}, .has_bias = true);
    const size_t norm = add_norm(g, conv, "norm");
    const size_t relu6 = ADD1(g, norm, .class_id = GF__LAYER_RELU, .name = "relu6",
                              .max_value = 6.0);
    const size_t depthwise = ADD1(g, relu6, .class_id = GF__LAYER_DEPTHWISE_CONV2D,
                                  .name = "depthwise", .kernel = {3, 3}, .strides = {1, 1},
                                  .is_same_padding = true);
    const size_t add = ADD2(g, relu6, depthwise, .class_id = GF__LAYER_ADD, .name = "add");
    const size_t average = add_pool(g, add, "average", false);
    const size_t maximum = add_pool(g, add, "maximum", true);
    const size_t wide = ADD1(g, maximum, .class_id = GF__LAYER_CONV2D, .name = "wide", .filters = 5,
                             .kernel = {1, 3}, .strides = {1, 1}, .is_same_padding = true,
                             .activation = GF__ACTIVATION_RELU);
    const size_t concat = ADD3(g, average, wide, average, .class_id = GF__LAYER_CONCATENATE,
                               .name = "concat");
    const size_t mean = add_simple(g, concat, "mean", GF__LAYER_GLOBAL_AVERAGE_POOLING2D);
    const size_t max = add_simple(g, concat, "max", GF__LAYER_GLOBAL_MAX_POOLING2D);
    const size_t both = ADD2(g, mean, max, .class_id = GF__LAYER_CONCATENATE, .name = "both");
    const size_t hidden = ADD1(g, both, .class_id = GF__LAYER_DENSE, .name = "hidden", .units = 6,
                               .has_bias = true, .activation = GF__ACTIVATION_RELU);
    ADD1(g, hidden, .class_id = GF__LAYER_DENSE, .name = "softmax", .units = 4, .has_bias = true,
         .activation = GF__ACTIVATION_SOFTMAX);
    add_simple(g, concat, "flatten", GF__LAYER_FLATTEN);
    return g;
}

static inline gf_graph *small_graph(void)
{
    gf_graph *graph = small_graph_without_weights();
    fill_weights(graph);
    return graph;
}

#define SMALL_PIXELS (17 * 14 * 3)

static inline size_t input_size(const gf_graph *graph)
{
    const gf_layer *layer = gf_graph_layer_at(graph, 0);
    size_t n = 1;
    for (size_t d = 0; d < gf_layer_n_dims(layer); d++)
        n *= gf_layer_shape(layer)[d];
    return n;
}

/* A picture of the graph's size, and the same as the network's own input. Both ended with
 * free(). */
static inline uint8_t *make_pixels(const gf_graph *graph, uint32_t seed)
{
    uint8_t *pixels = malloc(input_size(graph));
    hash_bytes(pixels, input_size(graph), seed);
    return pixels;
}

static inline float *scale_pixels(const gf_graph *graph, const uint8_t *pixels)
{
    float *values = malloc(input_size(graph) * sizeof *values);
    for (size_t i = 0; i < input_size(graph); i++)
        values[i] = (float)pixels[i] / 127.5f - 1.0f;
    return values;
}

/* |got - want| <= tolerance for n values; a failure names the place. */
static inline void check_values(const char *what, const float *got, const float *want, size_t n,
                                double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance))
            fail_msg("%s[%zu] is %.9g, expected %.9g +- %g", what, i, (double)got[i],
                     (double)want[i], tolerance);
}

static inline double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static inline double largest(const float *values, size_t n)
{
    double max = 0.0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, fabs((double)values[i]));
    return max;
}

/* A plan with an exec that has run once over n pictures. */
typedef struct ran {
    gf_plan *plan;
    gf_exec *exec;
} ran;

static inline ran run_plan(const gf_graph *graph, const gf_output_spec *outputs, size_t n_outputs,
                           const gf_plan_options *options, const void *input, size_t n)
{
    ran r = {NULL, NULL};
    CHECK_OK(gf_plan_new(graph, outputs, n_outputs, options, &r.plan, &check_err));
    CHECK_OK(gf_exec_new(r.plan, &r.exec, &check_err));
    CHECK_OK(gf_exec_run(r.exec, input, n, &check_err));
    return r;
}

static inline void end_run(ran *r)
{
    gf_exec_free(r->exec);
    gf_plan_free(r->plan);
}

static inline gf_plan_options f32_options(void)
{
    gf_plan_options options = gf_plan_options_default();
    options.precision = GF_PRECISION_F32;
    return options;
}

/* Every output of a plan against the reference, the picture given as bytes. */
static inline void check_against_reference(const gf_graph *graph, const gf_output_spec *outputs,
                                           size_t n_outputs, const gf_plan_options *options,
                                           double tolerance)
{
    uint8_t *pixels = make_pixels(graph, 5);
    float *input = scale_pixels(graph, pixels);
    float *want[32];
    CHECK(n_outputs <= 32);
    CHECK_OK(gf__engine_run_reference(graph, outputs, n_outputs, input, want, &check_err));
    ran r = run_plan(graph, outputs, n_outputs, options,
                     options->input == GF_INPUT_U8 ? (const void *)pixels : input, 1);
    for (size_t k = 0; k < n_outputs; k++) {
        check_values(outputs[k].layer, gf_exec_output(r.exec, k), want[k],
                     gf_plan_output_size(r.plan, k), tolerance);
        gf__free(want[k]);
    }
    end_run(&r);
    free(input);
    free(pixels);
}

static inline gf_graph *nested_concatenates(void)
{
    gf_graph *g = new_graph(9, 10, 3);
    const size_t stem = add_relu(g, add_conv(g, 0, "stem", 16, 3, 1, true), "stem_relu");
    const size_t a = add_relu(g, add_conv(g, stem, "a", 16, 1, 1, true), "a_relu");
    const size_t b = add_relu(g, add_conv(g, stem, "b", 8, 3, 1, true), "b_relu");
    const size_t c = add_relu(g, add_conv(g, b, "c", 24, 3, 1, true), "c_relu");
    const size_t inner = ADD2(g, b, c, .class_id = GF__LAYER_CONCATENATE,
                              .name = "inner"); /* b is read twice */
    const size_t middle = ADD2(g, a, inner, .class_id = GF__LAYER_CONCATENATE, .name = "middle");
    const size_t twice = ADD3(g, middle, stem, middle, .class_id = GF__LAYER_CONCATENATE,
                              .name = "twice"); /* middle is read by three parts of the graph */
    const size_t dropped = add_simple(g, twice, "dropped", GF__LAYER_DROPOUT);
    const size_t after = add_conv(g, dropped, "after", 8, 1, 1, true);
    ADD2(g, after, b, .class_id = GF__LAYER_ADD, .name = "end");
    fill_weights(g);
    return g;
}

#endif
