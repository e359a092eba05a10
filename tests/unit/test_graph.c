/* test_graph.c: storage, lookup, shapes, weights and freezing. */
#include "check.h"
#include "graph/graph.h"

static gf_graph *new_graph(void)
{
    gf_graph *graph = NULL;
    CHECK_OK(gf__graph_new("small", &graph, &check_err));
    return graph;
}

static size_t add(gf_graph *graph, gf__layer_config config, const size_t *inputs, size_t n_inputs)
{
    size_t index = 0;
    config.is_trainable = true;
    CHECK_OK(gf__graph_add(graph, &config, inputs, n_inputs, &index, &check_err));
    return index;
}

static size_t add_after(gf_graph *graph, gf__layer_config config, size_t input)
{
    return add(graph, config, &input, 1);
}

static size_t add_picture_input(gf_graph *graph, size_t height, size_t width, size_t channels)
{
    return add(graph,
               (gf__layer_config){.class_id = GF__LAYER_INPUT,
                                  .name = "input_1",
                                  .n_input_dims = 3,
                                  .input_shape = {height, width, channels}},
               NULL, 0);
}

static const gf__layer_config conv_3x3_2 = {.class_id = GF__LAYER_CONV2D,
                                            .name = "conv",
                                            .filters = 8,
                                            .kernel = {3, 3},
                                            .strides = {2, 2},
                                            .has_bias = true};

static void check_shape(const gf_graph *graph, size_t i, size_t h, size_t w, size_t c)
{
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
    CHECK_EQ(gf_layer_n_dims(layer), 3);
    CHECK_EQ(gf_layer_shape(layer)[0], h);
    CHECK_EQ(gf_layer_shape(layer)[1], w);
    CHECK_EQ(gf_layer_shape(layer)[2], c);
}

TEST(graph__valid_convolution_drops_the_border)
{
    gf_graph *graph = new_graph();
    const size_t input = add_picture_input(graph, 299, 299, 3);
    const size_t conv = add_after(graph, conv_3x3_2, input);
    check_shape(graph, conv, 149, 149, 8);
    CHECK_EQ(gf_layer_n_params(gf_graph_layer_at(graph, 1)), 3 * 3 * 3 * 8 + 8);
    gf_graph_free(graph);
}

/* TensorFlow: of an odd number of padding pixels the extra one goes to the bottom and the right. */
TEST(graph__same_padding_puts_the_odd_pixel_at_the_end)
{
    gf_graph *graph = new_graph();
    const size_t input = add_picture_input(graph, 6, 5, 3);
    gf__layer_config config = conv_3x3_2;
    config.is_same_padding = true;
    const size_t conv = add_after(graph, config, input);
    check_shape(graph, conv, 3, 3, 8);
    const size_t *padding = gf__layer_config_of(gf_graph_layer_at(graph, 1))->padding;
    CHECK_EQ(padding[0], 0); /* height 6: one pixel */
    CHECK_EQ(padding[1], 1);
    CHECK_EQ(padding[2], 1); /* width 5: two */
    CHECK_EQ(padding[3], 1);
    gf_graph_free(graph);
}

TEST(graph__window_larger_than_its_input_is_refused_with_both_sizes)
{
    gf_graph *graph = new_graph();
    const size_t input = add_picture_input(graph, 2, 2, 3);
    CHECK_FAILS(GF_ESHAPE, "\"conv\": a window of 3x3 with strides 2x2 does not fit the 2x2 of",
                gf__graph_add(graph, &conv_3x3_2, &input, 1, NULL, &check_err));
    CHECK_EQ(gf_graph_n_layers(graph), 1);
    gf_graph_free(graph);
}

TEST(graph__zero_and_huge_settings_are_refused)
{
    gf_graph *graph = new_graph();
    const size_t input = add_picture_input(graph, 8, 8, 3);
    gf__layer_config config = conv_3x3_2;
    config.filters = 0;
    CHECK_FAILS(GF_ESHAPE, "\"conv\"", gf__graph_add(graph, &config, &input, 1, NULL, &check_err));
    config.filters = SIZE_MAX / 2;
    CHECK_FAILS(GF_ESHAPE, "\"conv\"", gf__graph_add(graph, &config, &input, 1, NULL, &check_err));
    config = conv_3x3_2;
    config.strides[1] = 0;
    CHECK_FAILS(GF_ESHAPE, "\"conv\"", gf__graph_add(graph, &config, &input, 1, NULL, &check_err));
    config = conv_3x3_2;
    config.is_same_padding = true;
    config.kernel[0] = SIZE_MAX;
    CHECK_FAILS(GF_ESHAPE, "\"conv\"", gf__graph_add(graph, &config, &input, 1, NULL, &check_err));
    CHECK_EQ(gf_graph_n_layers(graph), 1);
    gf_graph_free(graph);
}

TEST(graph__concatenate_sums_channels_and_names_what_does_not_fit)
{
    gf_graph *graph = new_graph();
    const size_t input = add_picture_input(graph, 8, 8, 3);
    gf__layer_config config = conv_3x3_2;
    config.is_same_padding = true;
    const size_t conv = add_after(graph, config, input);
    const gf__layer_config pool = {
        .class_id = GF__LAYER_MAX_POOLING2D, .name = "pool", .kernel = {2, 2}, .strides = {2, 2}};
    const size_t pooled = add_after(graph, pool, input);
    const gf__layer_config concat = {.class_id = GF__LAYER_CONCATENATE, .name = "mixed0"};
    const size_t both = add(graph, concat, (size_t[]){conv, pooled}, 2);
    check_shape(graph, both, 4, 4, 11);
    const gf__layer_config bad = {.class_id = GF__LAYER_CONCATENATE, .name = "mixed1"};
    CHECK_FAILS(GF_ESHAPE,
                "\"mixed1\" (Concatenate): \"input_1\" puts out (8,8,3) and \"conv\" (4,4,8)",
                gf__graph_add(graph, &bad, (size_t[]){input, conv}, 2, NULL, &check_err));
    gf__layer_config sum = {.class_id = GF__LAYER_ADD, .name = "add"};
    CHECK_FAILS(GF_ESHAPE, "\"add\" (Add)",
                gf__graph_add(graph, &sum, (size_t[]){conv, pooled}, 2, NULL, &check_err));
    CHECK_FAILS(GF_ESHAPE, "has 0 inputs, expected 1 or more",
                gf__graph_add(graph, &sum, NULL, 0, NULL, &check_err));
    gf_graph_free(graph);
}

TEST(graph__batch_normalization_has_the_weights_its_settings_say)
{
    gf_graph *graph = new_graph();
    const size_t input = add_picture_input(graph, 8, 8, 5);
    const gf__layer_config config = {.class_id = GF__LAYER_BATCH_NORMALIZATION,
                                     .name = "bn",
                                     .has_center = true,
                                     .epsilon = 1e-3};
    add_after(graph, config, input);
    const gf_layer *layer = gf_graph_layer_at(graph, -1);
    CHECK_EQ(gf__layer_n_weights(layer), 3);
    CHECK_STR(gf__layer_weight_name(layer, 0), "beta");
    CHECK_STR(gf__layer_weight_name(layer, 1), "moving_mean");
    CHECK_STR(gf__layer_weight_name(layer, 2), "moving_variance");
    CHECK_EQ(gf_layer_n_params(layer), 15);
    CHECK_EQ(gf_layer_n_trainable_params(layer), 5);
    gf_graph_set_trainable(graph, 1, false);
    CHECK_EQ(gf_layer_n_trainable_params(layer), 0);
    gf_graph_free(graph);
}

TEST(graph__other_classes_have_keras_shapes)
{
    gf_graph *graph = new_graph();
    const size_t input = add_picture_input(graph, 7, 9, 4);
    const gf__layer_config pad = {
        .class_id = GF__LAYER_ZERO_PADDING2D, .name = "pad", .padding = {0, 1, 2, 3}};
    const size_t padded = add_after(graph, pad, input);
    check_shape(graph, padded, 8, 14, 4);
    const gf__layer_config depthwise = {.class_id = GF__LAYER_DEPTHWISE_CONV2D,
                                        .name = "depthwise",
                                        .kernel = {3, 3},
                                        .strides = {1, 1}};
    const size_t deep = add_after(graph, depthwise, padded);
    check_shape(graph, deep, 6, 12, 4);
    CHECK_EQ(gf_layer_n_params(gf_graph_layer_at(graph, -1)), 3 * 3 * 4);
    const gf__layer_config flatten = {.class_id = GF__LAYER_FLATTEN, .name = "flatten"};
    add_after(graph, flatten, deep);
    CHECK_EQ(gf_layer_shape(gf_graph_layer_at(graph, -1))[0], 6 * 12 * 4);
    gf_graph_free(graph);
}

TEST(graph__layers_are_found_by_name_index_and_from_the_end)
{
    gf_graph *graph = new_graph();
    size_t index;
    const size_t input = add_picture_input(graph, 9, 9, 3);
    add_after(graph, conv_3x3_2, input);
    CHECK_OK(gf_graph_find_layer(graph, "conv", &index, &check_err));
    CHECK_EQ(index, 1);
    CHECK_OK(gf_graph_find_layer(graph, "0", &index, &check_err));
    CHECK_EQ(index, 0);
    CHECK_OK(gf_graph_find_layer(graph, "-1", &index, &check_err));
    CHECK_EQ(index, 1);
    CHECK(gf_graph_layer_at(graph, 2) == NULL);
    CHECK(gf_graph_layer_at(graph, -3) == NULL);
    CHECK_FAILS(GF_ENOTFOUND, "no layer 2: \"small\" has 2 layers, 0 to 1",
                gf_graph_find_layer(graph, "2", &index, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "no layer \"imput_1\" in \"small\"; the closest name is \"input_1\"",
                gf_graph_find_layer(graph, "imput_1", &index, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "no layer \"",
                gf_graph_find_layer(graph, "99999999999999999999", &index, &check_err));
    gf_graph_free(graph);
}

TEST(graph__names_are_unique_short_and_printable)
{
    gf_graph *graph = new_graph();
    const size_t input = add_picture_input(graph, 9, 9, 3);
    gf__layer_config config = conv_3x3_2;
    config.name = "input_1";
    CHECK_FAILS(GF_EFORMAT, "layers 0 and 1 are both called \"input_1\"",
                gf__graph_add(graph, &config, &input, 1, NULL, &check_err));
    config.name = "two\nlines";
    CHECK_FAILS(GF_EFORMAT, "control character",
                gf__graph_add(graph, &config, &input, 1, NULL, &check_err));
    config.name = "";
    CHECK_FAILS(GF_EFORMAT, "no name", gf__graph_add(graph, &config, &input, 1, NULL, &check_err));
    char longest[130];
    memset(longest, 'a', 129);
    longest[129] = '\0';
    config.name = longest;
    CHECK_FAILS(GF_ELIMIT, "129 bytes, at most 128",
                gf__graph_add(graph, &config, &input, 1, NULL, &check_err));
    longest[128] = '\0';
    CHECK_OK(gf__graph_add(graph, &config, &input, 1, NULL, &check_err));
    gf_graph_free(graph);
}

TEST(graph__second_input_is_refused)
{
    gf_graph *graph = new_graph();
    add_picture_input(graph, 9, 9, 3);
    const gf__layer_config config = {
        .class_id = GF__LAYER_INPUT, .name = "input_2", .n_input_dims = 1, .input_shape = {4}};
    CHECK_FAILS(GF_EUNSUPPORTED, "\"input_2\" is a second input",
                gf__graph_add(graph, &config, NULL, 0, NULL, &check_err));
    gf_graph_free(graph);
}

TEST(graph__weights_are_checked_and_kept)
{
    gf_graph *graph = new_graph();
    const size_t input = add_picture_input(graph, 9, 9, 3);
    const size_t conv = add_after(graph, conv_3x3_2, input);
    const gf_layer *layer = gf_graph_layer_at(graph, 1);
    CHECK(gf_layer_weight(layer, "kernel") == NULL);

    gf_tensor *bias = NULL, *wrong = NULL, *integers = NULL;
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, (size_t[]){8}, 1, &bias, &check_err));
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, (size_t[]){7}, 1, &wrong, &check_err));
    CHECK_OK(gf_tensor_new(GF_DTYPE_I32, (size_t[]){8}, 1, &integers, &check_err));
    CHECK_FAILS(GF_ESHAPE, "\"conv\": bias has shape (7), expected (8)",
                gf__graph_set_weight(graph, conv, "bias", wrong, &check_err));
    CHECK_FAILS(GF_ESHAPE, "bias is int32, expected float32",
                gf__graph_set_weight(graph, conv, "bias", integers, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "\"conv\" (Conv2D) has no weight \"gamma\"",
                gf__graph_set_weight(graph, conv, "gamma", bias, &check_err));
    CHECK_OK(gf__graph_set_weight(graph, conv, "bias", bias, &check_err));
    CHECK(gf_layer_weight(layer, "bias") == bias);
    CHECK_OK(gf__graph_zero_weights(graph, &check_err));
    CHECK(gf_layer_weight(layer, "bias") == bias);
    CHECK_EQ(gf_tensor_n_values(gf_layer_weight(layer, "kernel")), 3 * 3 * 3 * 8);
    gf_tensor_free(wrong);
    gf_tensor_free(integers);
    gf_graph_free(graph);
}

TEST(graph__dense_on_a_picture_says_pool_it_first)
{
    gf_graph *graph = new_graph();
    add_picture_input(graph, 9, 9, 3);
    CHECK_FAILS(GF_ESHAPE,
                "\"dense\" (Dense) needs one dimension, \"input_1\" puts out (9,9,3): pool",
                gf_graph_add_dense(graph, &(gf_dense_options){.units = 2}, &check_err));
    gf_graph_free(graph);
}

TESTS_MAIN(UNIT(graph__valid_convolution_drops_the_border),
           UNIT(graph__same_padding_puts_the_odd_pixel_at_the_end),
           UNIT(graph__window_larger_than_its_input_is_refused_with_both_sizes),
           UNIT(graph__zero_and_huge_settings_are_refused),
           UNIT(graph__concatenate_sums_channels_and_names_what_does_not_fit),
           UNIT(graph__batch_normalization_has_the_weights_its_settings_say),
           UNIT(graph__other_classes_have_keras_shapes),
           UNIT(graph__layers_are_found_by_name_index_and_from_the_end),
           UNIT(graph__names_are_unique_short_and_printable), UNIT(graph__second_input_is_refused),
           UNIT(graph__weights_are_checked_and_kept),
           UNIT(graph__dense_on_a_picture_says_pool_it_first))
