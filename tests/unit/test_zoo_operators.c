/* Operators become layers: what belongs together is joined, what graft cannot say is refused,
 * names and order are Keras'. */
#include "check.h"
#include "zoo/operators/operators.h"

static gf_tensor *numbered(size_t n_dims, const size_t *shape)
{
    gf_tensor *tensor = NULL;
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, shape, n_dims, &tensor, &check_err));
    float *values = gf_tensor_mutable_data(tensor);
    for (size_t i = 0; i < gf_tensor_n_values(tensor); i++)
        values[i] = (float)i;
    return tensor;
}
#define TENSOR(...) \
    numbered(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), (size_t[]){__VA_ARGS__})

static gf__operators *begin(size_t height, size_t width, size_t channels)
{
    gf__operators *ops = NULL;
    size_t x;
    CHECK_OK(gf__operators_new("net", &ops, &check_err));
    CHECK_OK(gf__op_input(ops, "input_1", (size_t[]){height, width, channels}, 3, &x, &check_err));
    CHECK_EQ(x, 0);
    return ops;
}

static const gf__window valid = {.strides = {1, 1}}, same = {.strides = {1, 1}, .is_same = true};

static size_t conv(gf__operators *ops, const char *node, size_t in, const gf__window *window,
                   gf_tensor *kernel)
{
    size_t out = 0;
    CHECK_OK(gf__op_conv2d(ops, node, in, window, kernel, NULL, &out, &check_err));
    gf_tensor_free(kernel);
    return out;
}

static size_t bias(gf__operators *ops, const char *node, size_t in, size_t n)
{
    size_t out = 0;
    gf_tensor *values = TENSOR(n);
    CHECK_OK(gf__op_bias(ops, node, in, values, &out, &check_err));
    gf_tensor_free(values);
    return out;
}

static size_t activation(gf__operators *ops, const char *node, size_t in, gf__activation kind)
{
    size_t out = 0;
    CHECK_OK(gf__op_activation(ops, node, in, kind, &out, &check_err));
    return out;
}

static gf_graph *end(gf__operators *ops, size_t output)
{
    gf_graph *graph = NULL;
    CHECK_OK(gf__operators_finish(ops, output, &graph, &check_err));
    return graph;
}

static void check_layer(const gf_graph *graph, size_t i, const char *class_name, const char *name)
{
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
    assert_non_null(layer);
    CHECK_STR(gf_layer_class_name(layer), class_name);
    CHECK_STR(gf_layer_name(layer), name);
}

TEST(operators__biases_and_the_activations_of_a_dense_layer_join_it)
{
    gf__operators *ops = begin(4, 4, 2);
    gf_tensor *kernel = TENSOR(3, 5);
    size_t x = conv(ops, "net/conv/Conv2D", 0, &valid, TENSOR(3, 3, 2, 3));
    x = bias(ops, "net/conv/BiasAdd", x, 3);
    x = activation(ops, "net/conv/Relu", x, GF__ACTIVATION_RELU);
    CHECK_OK(gf__op_global_pool(ops, "net/pool/Mean", x, false, false, &x, &check_err));
    CHECK_OK(gf__op_dense(ops, "net/top/MatMul", x, kernel, NULL, &x, &check_err));
    x = bias(ops, "net/top/BiasAdd", x, 5);
    x = activation(ops, "net/top/Softmax", x, GF__ACTIVATION_SOFTMAX);
    gf_graph *graph = end(ops, x);
    CHECK_EQ(gf_graph_n_layers(graph), 5);
    check_layer(graph, 1, "Conv2D", "conv");
    check_layer(graph, 2, "Activation", "conv_Relu");
    check_layer(graph, 4, "Dense", "top");
    const gf_layer *top = gf_graph_layer_at(graph, 4);
    CHECK_EQ(gf__layer_config_of(top)->activation, GF__ACTIVATION_SOFTMAX);
    CHECK_NEAR(gf_tensor_f32(gf_layer_weight(top, "bias"))[4], 4, 0);
    CHECK_NEAR(gf_tensor_f32(gf_layer_weight(gf_graph_layer_at(graph, 1), "bias"))[2], 2, 0);
    gf_graph_free(graph);
    gf_tensor_free(kernel);
    gf__operators_free(ops);
}

/* With mean 0, variance 1 and epsilon 0 it only adds, or only multiplies. */
static void check_plain_norm(const gf_graph *graph, size_t i, const char *name, bool scales)
{
    const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
    check_layer(graph, i, "BatchNormalization", name);
    CHECK_NEAR(gf__layer_config_of(layer)->epsilon, 0, 0);
    CHECK(gf__tensor_is_all(gf_layer_weight(layer, "moving_mean"), 0.0f));
    CHECK(gf__tensor_is_all(gf_layer_weight(layer, "moving_variance"), 1.0f));
    CHECK_EQ(gf_layer_weight(layer, "gamma") != NULL, scales);
    CHECK_NEAR(gf_tensor_f32(gf_layer_weight(layer, "beta"))[1], 1, 0);
}

TEST(operators__what_two_use_is_joined_to_none)
{
    gf__operators *ops = begin(4, 4, 2);
    size_t x = conv(ops, "conv/Conv2D", 0, &valid, TENSOR(1, 1, 2, 2));
    size_t sum = 0, y = bias(ops, "conv/BiasAdd", x, 2);
    CHECK_OK(gf__op_add(ops, "add", (size_t[]){x, y}, 2, &sum, &check_err));
    gf_graph *graph = end(ops, sum);
    CHECK_EQ(gf_graph_n_layers(graph), 4);
    CHECK(!gf__layer_config_of(gf_graph_layer_at(graph, 1))->has_bias);
    check_plain_norm(graph, 2, "conv_BiasAdd", false);
    gf_graph_free(graph);
    gf__operators_free(ops);
}

TEST(operators__factors_and_their_bias_are_one_normalization)
{
    gf__operators *ops = begin(4, 4, 2);
    gf_tensor *factors = TENSOR(2);
    size_t x = conv(ops, "conv/Conv2D", 0, &valid, TENSOR(1, 1, 2, 2));
    CHECK_OK(gf__op_scale(ops, "fold/mul", x, factors, &x, &check_err));
    x = bias(ops, "fold/add", x, 2);
    gf_graph *graph = end(ops, x);
    CHECK_EQ(gf_graph_n_layers(graph), 3);
    check_plain_norm(graph, 2, "fold", true);
    gf_graph_free(graph);
    x = bias(ops, "input/add", 0, 2);
    CHECK_FAILS(GF_EUNSUPPORTED, "node \"input/add\" adds a number for each channel to the input",
                gf__operators_finish(ops, x, &graph, &check_err));
    gf_tensor_free(factors);
    gf__operators_free(ops);
}

TEST(operators__padding_is_same_or_a_layer_before)
{
    for (int folds = 0; folds < 2; folds++) {
        gf__operators *ops = begin(8, 8, 1);
        const gf__window to_same = {.strides = {2, 2}, .padding = {0, 1, 0, 1}};
        const gf__window apart = {.strides = {1, 1}, .padding = {1, 1, 2, 2}};
        const gf__window strided = {.strides = {2, 2}};
        gf__operators_fold_padding(ops, folds == 1);
        size_t x = conv(ops, "a/Conv", 0, &to_same, TENSOR(3, 3, 1, 1)); /* 4x4 */
        CHECK_OK(gf__op_pad(ops, "pad/Pad", x, (size_t[]){0, 1, 0, 1}, &x, &check_err));
        x = conv(ops, "b/Conv", x, &strided, TENSOR(3, 3, 1, 1)); /* 2x2 */
        x = conv(ops, "c/Conv", x, &apart, TENSOR(3, 3, 1, 1));   /* 2x4 */
        gf_graph *graph = end(ops, x);
        CHECK_EQ(gf_graph_n_layers(graph), folds ? 5 : 6);
        CHECK(gf__layer_config_of(gf_graph_layer_at(graph, 1))->is_same_padding);
        if (!folds)
            check_layer(graph, 2, "ZeroPadding2D", "pad");
        const gf_layer *b = gf_graph_layer_at(graph, folds ? 2 : 3);
        CHECK_STR(gf_layer_name(b), "b");
        CHECK_EQ(gf__layer_config_of(b)->is_same_padding, folds == 1);
        check_layer(graph, folds ? 3 : 4, "ZeroPadding2D", "c_pad");
        CHECK_EQ(gf_layer_shape(gf_graph_layer_at(graph, -1))[1], 4);
        gf_graph_free(graph);
        gf__operators_free(ops);
    }
}

TEST(operators__a_pooling_with_other_padding_is_refused_or_padded_where_zeros_count)
{
    gf__operators *ops = begin(8, 8, 1);
    const gf__window window = {.kernel = {3, 3}, .strides = {2, 2}, .padding = {1, 1, 1, 1}};
    size_t x = 0;
    CHECK_FAILS(GF_EUNSUPPORTED, "node \"p\" pools with padding 1,1,1,1",
                gf__op_max_pool(ops, "p", 0, &window, &x, &check_err));
    gf__operators_free(ops);
    ops = begin(8, 8, 1);
    CHECK_OK(gf__op_average_pool(ops, "q/AvgPool", 0, &window, true, &x, &check_err));
    gf_graph *graph = end(ops, x);
    check_layer(graph, 1, "ZeroPadding2D", "q_pad");
    check_layer(graph, 2, "AveragePooling2D", "q");
    gf_graph_free(graph);
    gf__operators_free(ops);
}

TEST(operators__the_input_is_scaled_once)
{
    gf__operators *ops = begin(4, 4, 2);
    float scale = 0, shift = 0;
    size_t x = 0;
    CHECK_OK(gf__op_affine(ops, "sub", 0, 1, -128, &x, &check_err));
    CHECK_OK(gf__op_affine(ops, "mul", x, 1.0 / 128, 0, &x, &check_err));
    const size_t first = conv(ops, "a/Conv2D", x, &valid, TENSOR(1, 1, 2, 2));
    gf_graph *graph = end(ops, first);
    CHECK_EQ(gf_graph_n_layers(graph), 2);
    CHECK(gf__operators_input(ops, &scale, &shift));
    CHECK_NEAR(scale, 1.0 / 128, 1e-9);
    CHECK_NEAR(shift, -1, 1e-7);
    gf_graph_free(graph);
    size_t sum, other = conv(ops, "b/Conv2D", 0, &valid, TENSOR(1, 1, 2, 2));
    CHECK_OK(gf__op_add(ops, "add", (size_t[]){first, other}, 2, &sum, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "node \"b/Conv2D\" sees the input scaled in another way",
                gf__operators_finish(ops, sum, &graph, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "node \"late\" scales what \"add\" puts out",
                gf__op_affine(ops, "late", sum, 2, 0, &x, &check_err));
    gf__operators_free(ops);
}

TEST(operators__an_input_of_0_to_1_is_known_by_its_scale)
{
    gf__operators *ops = begin(4, 4, 2);
    float scale = 0, shift = 0;
    size_t x = 0;
    CHECK_OK(gf__op_affine(ops, "hub", 0, 2, -1, &x, &check_err));
    gf_graph *graph = end(ops, conv(ops, "a/Conv2D", x, &valid, TENSOR(1, 1, 2, 2)));
    CHECK(gf__operators_input(ops, &scale, &shift));
    CHECK_NEAR(scale, 2.0 / 255, 1e-9);
    CHECK_NEAR(shift, -1, 0);
    gf_graph_free(graph);
    gf__operators_free(ops);
}

TEST(operators__weights_of_another_shape_and_layers_without_input_are_told)
{
    gf__operators *ops = begin(4, 4, 2);
    gf_graph *graph = NULL;
    size_t x = conv(ops, "net/a/Conv2D", 0, &same, TENSOR(3, 3, 5, 2));
    CHECK_FAILS(GF_ESHAPE, "layer \"a\": kernel has shape (3,3,5,2), expected (3,3,2,2)",
                gf__operators_finish(ops, x, &graph, &check_err));
    gf_tensor *vector = TENSOR(2);
    CHECK_FAILS(GF_ESHAPE, "node \"d\": its kernel has shape (2), expected 4 dimensions",
                gf__op_conv2d(ops, "d", 0, &same, vector, NULL, &x, &check_err));
    gf_tensor_free(vector);
    gf__operators_free(ops);
}

TEST(operators__names_are_scopes_and_all_different)
{
    gf__operators *ops = begin(4, 4, 2);
    size_t x = conv(ops, "net/one/conv/Conv2D", 0, &same, TENSOR(1, 1, 2, 2));
    x = conv(ops, "net/two/conv/Conv2D", x, &same, TENSOR(1, 1, 2, 2));
    x = conv(ops, "net/three/Conv2D", x, &same, TENSOR(1, 1, 2, 2));
    x = conv(ops, "net/three/Conv2D", x, &same, TENSOR(1, 1, 2, 2));
    x = conv(ops, "net/three/Conv2D", x, &same, TENSOR(1, 1, 2, 2));
    x = activation(ops, "a\n\"b", x, GF__ACTIVATION_RELU6);
    gf_graph *graph = end(ops, x);
    check_layer(graph, 1, "Conv2D", "net_one_conv");
    check_layer(graph, 2, "Conv2D", "net_two_conv");
    check_layer(graph, 3, "Conv2D", "three");
    check_layer(graph, 4, "Conv2D", "three_Conv2D");
    check_layer(graph, 5, "Conv2D", "three_Conv2D_Conv2D");
    check_layer(graph, 6, "ReLU", "a__b");
    gf_graph_free(graph);
    gf__operators_free(ops);
}

TEST(operators__names_may_be_in_any_script_and_are_cut_between_letters)
{
    gf__buffer many = {0};
    gf__operators *ops = begin(4, 4, 2);
    size_t x = conv(ops, "réseau/couche_α/Conv2D", 0, &same, TENSOR(1, 1, 2, 2));
    x = conv(ops, "\xff\xc3/\xc2\x85/Conv2D", x, &same, TENSOR(1, 1, 2, 2));
    for (size_t i = 0; i < 40; i++)
        gf__buffer_puts(&many, "日");
    gf__buffer_append(&many, "/Conv2D", 8);
    x = conv(ops, many.data, x, &same, TENSOR(1, 1, 2, 2));
    gf__buffer_free(&many);
    gf_graph *graph = end(ops, x);
    check_layer(graph, 1, "Conv2D", "couche_α");
    check_layer(graph, 2, "Conv2D", "__");
    check_layer(graph, 3, "Conv2D", "日日日日日日日日日日日日日日日日日日日日日日日");
    gf_graph_free(graph);
    gf__operators_free(ops);
}

/* Each name that is taken asks for the next number. Not in a minute, as once. */
TEST(operators__four_thousand_nodes_of_one_name)
{
    gf__operators *ops = begin(1, 1, 2);
    size_t x = 0;
    for (size_t i = 0; i < 4000; i++)
        x = activation(ops, "x", x, GF__ACTIVATION_RELU);
    gf_graph *graph = end(ops, x);
    check_layer(graph, 2, "Activation", "x_Activation");
    check_layer(graph, 4000, "Activation", "x_Activation_3998");
    gf_graph_free(graph);
    gf__operators_free(ops);
}

TEST(operators__numbers_behind_all_scopes_are_not_the_layers)
{
    static const char *const nodes[][3] = {
        {"net_1/conv_1/Conv2D", "net_1/conv_1_2/Conv2D", "net_1/relu_1/Relu"}, /* all of them */
        {"net/conv_1/Conv2D", "net/conv_2/Conv2D", "net/relu_1/Relu"},         /* two conv */
        {"net/conv_1/Conv2D", "net/conv_1_2/Conv2D", "net/relu/Relu"},         /* but one */
    };
    static const char *const names[][3] = {
        {"conv", "conv_1", "relu"}, {"conv_1", "conv_2", "relu_1"}, {"conv_1", "conv_1_2", "relu"}};
    for (size_t i = 0; i < 3; i++) {
        gf__operators *ops = begin(4, 4, 2);
        size_t x = conv(ops, nodes[i][0], 0, &same, TENSOR(1, 1, 2, 2));
        x = conv(ops, nodes[i][1], x, &same, TENSOR(1, 1, 2, 2));
        x = activation(ops, nodes[i][2], x, GF__ACTIVATION_RELU);
        gf_graph *graph = end(ops, x);
        CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, 0)), "input_1");
        for (size_t k = 0; k < 3; k++)
            CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)k + 1)), names[i][k]);
        gf_graph_free(graph);
        gf__operators_free(ops);
    }
}

TEST(operators__survive_every_allocation_failure)
{
    gf_status st = GF_ENOMEM;
    gf_tensor *kernel = TENSOR(1, 1, 2, 2), *vector = TENSOR(2);
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__operators *ops = NULL;
        gf_graph *graph = NULL;
        size_t x = 0;
        const gf__op_norm norm = {
            .gamma = vector, .beta = vector, .mean = vector, .variance = vector, .epsilon = 0.001f};
        gf__mem_fail_after(n);
        st = gf__operators_new("net", &ops, &check_err);
        if (st == GF_OK)
            st = gf__op_input(ops, "x", (size_t[]){4, 4, 2}, 3, &x, &check_err);
        if (st == GF_OK)
            st = gf__op_affine(ops, "scale", x, 0.01, 0, &x, &check_err);
        if (st == GF_OK)
            st = gf__op_conv2d(ops, "a/Conv2D", x, &same, kernel, NULL, &x, &check_err);
        if (st == GF_OK)
            st = gf__op_bias(ops, "a/BiasAdd", x, vector, &x, &check_err);
        if (st == GF_OK)
            st = gf__op_batch_norm(ops, "b/Norm", x, &norm, &x, &check_err);
        if (st == GF_OK)
            st = gf__operators_finish(ops, x, &graph, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && graph == NULL));
        if (st == GF_OK)
            CHECK_NEAR(gf__layer_config_of(gf_graph_layer_at(graph, 2))->epsilon, 0.001, 0);
        gf_graph_free(graph);
        gf__operators_free(ops);
    }
    gf_tensor_free(vector);
    gf_tensor_free(kernel);
}

TESTS_MAIN(UNIT(operators__biases_and_the_activations_of_a_dense_layer_join_it),
           UNIT(operators__what_two_use_is_joined_to_none),
           UNIT(operators__factors_and_their_bias_are_one_normalization),
           UNIT(operators__padding_is_same_or_a_layer_before),
           UNIT(operators__a_pooling_with_other_padding_is_refused_or_padded_where_zeros_count),
           UNIT(operators__the_input_is_scaled_once),
           UNIT(operators__an_input_of_0_to_1_is_known_by_its_scale),
           UNIT(operators__weights_of_another_shape_and_layers_without_input_are_told),
           UNIT(operators__names_are_scopes_and_all_different),
           UNIT(operators__names_may_be_in_any_script_and_are_cut_between_letters),
           UNIT(operators__four_thousand_nodes_of_one_name),
           UNIT(operators__numbers_behind_all_scopes_are_not_the_layers),
           UNIT(operators__survive_every_allocation_failure))
