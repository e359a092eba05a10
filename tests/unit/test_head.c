/* Heads: shapes, names and errors, Keras' initialisation, prediction, and the gradients against
 * finite differences. */
#include "check.h"

#include "graph/graph.h"
#include "head/head.h"

static gf_head *new_head(size_t n_features, const gf_head_layer *layers, size_t n_layers)
{
    gf_head *head = NULL;
    CHECK_OK(gf_head_new(n_features, layers, n_layers, &head, &check_err));
    return head;
}

static const gf_head_layer two_layers[] = {{.units = 5, .activation = GF_HEAD_RELU},
                                           {.units = 3, .activation = GF_HEAD_SOFTMAX}};

TEST(head_new__names_layers_as_keras_and_counts_parameters)
{
    const gf_head_layer three[] = {
        {.units = 8}, {.units = 5}, {.units = 3, .activation = GF_HEAD_SOFTMAX}};
    gf_head *head = new_head(7, three, 3);
    CHECK_STR(gf_head_layer_at(head, 0).name, "dense");
    CHECK_STR(gf_head_layer_at(head, 1).name, "dense_1");
    CHECK_STR(gf_head_layer_at(head, 2).name, "predictions");
    CHECK_EQ(gf_head_n_params(head), 7 * 8 + 8 + 8 * 5 + 5 + 5 * 3 + 3);
    CHECK_EQ(gf_head_n_features(head), 7);
    CHECK_EQ(gf_head_n_classes(head), 3);
    CHECK_EQ(gf_head_n_layers(head), 3);
    gf_head_free(head);
}

TEST(head_new__refuses_what_is_no_head)
{
    gf_head *head = NULL;
    CHECK_FAILS(GF_EINVAL, "one feature", gf_head_new(0, two_layers, 2, &head, &check_err));
    CHECK_FAILS(GF_EINVAL, "one layer", gf_head_new(7, two_layers, 0, &head, &check_err));
    const gf_head_layer no_units[] = {{.units = 0}};
    CHECK_FAILS(GF_EINVAL, "units is 0", gf_head_new(7, no_units, 1, &head, &check_err));
    const gf_head_layer all_dropped[] = {{.units = 2, .dropout = 1.0}};
    CHECK_FAILS(GF_EINVAL, "dropout is 1", gf_head_new(7, all_dropped, 1, &head, &check_err));
    const gf_head_layer early[] = {{.units = 2, .activation = GF_HEAD_SOFTMAX}, {.units = 2}};
    CHECK_FAILS(GF_EINVAL, "last layer only", gf_head_new(7, early, 2, &head, &check_err));
    const gf_head_layer twins[] = {{.units = 2, .name = "a"}, {.units = 2, .name = "a"}};
    CHECK_FAILS(GF_EINVAL, "both named \"a\"", gf_head_new(7, twins, 2, &head, &check_err));
    const gf_head_layer huge[] = {{.units = SIZE_MAX / 8}};
    CHECK_FAILS(GF_ELIMIT, "too many", gf_head_new(7, huge, 1, &head, &check_err));
    CHECK(head == NULL);
}

TEST(head_new__survives_every_allocation_failure)
{
    gf_head *head = NULL;
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_head_new(7, two_layers, 2, &head, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && head == NULL));
    }
    CHECK_EQ(st, GF_OK);
    gf_head_free(head);
}

TEST(head_initialise__is_glorot_uniform_and_repeatable)
{
    const gf_head_layer layers[] = {{.units = 100, .activation = GF_HEAD_RELU}, {.units = 2}};
    gf_head *head = new_head(200, layers, 2), *again = new_head(200, layers, 2);
    gf_head_initialise(head, 42);
    gf_head_initialise(again, 42);
    const float *kernel = gf_head_kernel(head, 0);
    const double limit = sqrt(6.0 / 300.0);
    double sum = 0.0, sum_of_squares = 0.0;
    for (size_t i = 0; i < 20000; i++) {
        CHECK(fabs((double)kernel[i]) <= limit);
        sum += (double)kernel[i];
        sum_of_squares += (double)kernel[i] * (double)kernel[i];
    }
    CHECK_NEAR(sum / 20000, 0.0, 0.003);
    CHECK_NEAR(sum_of_squares / 20000, limit * limit / 3.0, 1e-4); /* variance of a uniform */
    CHECK(gf_head_bias(head, 0)[99] == 0.0f);
    CHECK(memcmp(kernel, gf_head_kernel(again, 0), 20000 * sizeof(float)) == 0);
    gf_head_initialise(again, 43);
    CHECK(memcmp(kernel, gf_head_kernel(again, 0), 20000 * sizeof(float)) != 0);
    gf_head_free(head);
    gf_head_free(again);
}

TEST(head_copy__has_the_same_weights_and_its_own_memory)
{
    gf_head *head = new_head(7, two_layers, 2), *copy = NULL;
    gf_head_initialise(head, 1);
    CHECK_OK(gf_head_copy(head, &copy, &check_err));
    CHECK(gf_head_kernel(head, 1) != gf_head_kernel(copy, 1));
    CHECK(memcmp(gf_head_kernel(head, 1), gf_head_kernel(copy, 1), 15 * sizeof(float)) == 0);
    CHECK_STR(gf_head_layer_at(copy, 1).name, "predictions");
    gf_head_free(head);
    CHECK_STR(gf_head_layer_at(copy, 0).name, "dense");
    gf_head_free(copy);
}

/* Weights at any float: where they lie does not change a byte. A copy can be written to. */
TEST(head_view__predicts_from_weights_where_they_lie)
{
    float weights[4 * 5 + 5 + 5 * 3 + 3 + 1], features[4] = {0.5f, -1.0f, 2.0f, 0.25f}, got[3],
                                              want[3];
    gf_head *head = new_head(4, two_layers, 2), *view = NULL, *copy = NULL;
    gf_head_initialise(head, 9);
    const float *const kernels[] = {weights + 1, weights + 26};
    const float *const biases[] = {weights + 21, weights + 41};
    memcpy(weights + 1, gf_head_kernel(head, 0), 20 * sizeof(float));
    memcpy(weights + 21, gf_head_bias(head, 0), 5 * sizeof(float));
    memcpy(weights + 26, gf_head_kernel(head, 1), 15 * sizeof(float));
    memcpy(weights + 41, gf_head_bias(head, 1), 3 * sizeof(float));
    CHECK_OK(gf__head_new_view(4, two_layers, 2, kernels, biases, &view, &check_err));
    assert_ptr_equal(gf__head_kernel_of(view, 1), kernels[1]);
    assert_ptr_equal(gf__head_bias_of(view, 0), biases[0]);
    CHECK_EQ(gf_head_n_params(view), gf_head_n_params(head));
    CHECK_OK(gf_head_predict(head, features, 1, want, &check_err));
    CHECK_OK(gf_head_predict(view, features, 1, got, &check_err));
    assert_memory_equal(got, want, sizeof got);
    CHECK_OK(gf_head_copy(view, &copy, &check_err));
    gf_head_bias(copy, 1)[0] += 1.0f;
    CHECK_OK(gf_head_predict(copy, features, 1, got, &check_err));
    CHECK(got[0] > want[0]);
    gf_head_free(copy);
    CHECK_OK(gf_head_predict(view, features, 1, got, &check_err));
    assert_memory_equal(got, want, sizeof got);
    CHECK_FAILS(GF_EINVAL, "one feature",
                gf__head_new_view(0, two_layers, 2, kernels, biases, &copy, &check_err));
    gf_head_free(view);
    gf_head_free(head);
}

TEST(head_predict__gives_a_row_the_same_bytes_alone_and_among_others)
{
    enum { N = 150 };
    gf_head *head = new_head(7, two_layers, 2);
    gf_head_initialise(head, 3);
    float features[N * 7], all[N * 3], one[3];
    gf__rng rng;
    gf__rng_seed(&rng, 5, 0);
    for (size_t i = 0; i < N * 7; i++)
        features[i] = (float)gf__rng_normal(&rng);
    CHECK_OK(gf_head_predict(head, features, N, all, &check_err));
    for (size_t n = 0; n < N; n++) {
        CHECK_OK(gf_head_predict(head, features + n * 7, 1, one, &check_err));
        CHECK(memcmp(one, all + n * 3, sizeof one) == 0);
        CHECK_NEAR((double)one[0] + (double)one[1] + (double)one[2], 1.0, 1e-6);
    }
    CHECK_OK(gf_head_predict(head, features, 0, all, &check_err));
    gf__mem_fail_after(0);
    CHECK_FAILS(GF_ENOMEM, "prediction", gf_head_predict(head, features, 1, one, &check_err));
    gf__mem_fail_never();
    gf_head_free(head);
}

/* A batch of its own with fixed dropout: the same rng for every call. */
typedef struct problem {
    gf_head *head;
    gf__head_pass *pass;
    float features[6 * 7];
    size_t labels[6];
    float class_weights[3], targets[6 * 3], row_weights[6];
    bool has_dropout, has_targets;
} problem;

static double loss_of(problem *p)
{
    gf__rng rng;
    double loss, n_correct;
    gf__rng_seed(&rng, 11, 0);
    const gf__head_batch batch = {
        .features = p->features,
        .n = 6,
        .labels = p->has_targets ? NULL : p->labels,
        .targets = p->has_targets ? p->targets : NULL,
        .class_weights = p->has_targets ? NULL : p->class_weights,
        .row_weights = p->row_weights,
    };
    gf__head_forward(p->pass, p->head, &batch, p->has_dropout ? &rng : NULL, &loss, &n_correct);
    return loss;
}

/* Central difference; float weights and activations allow about 1e-3 with a step of 1e-2. */
static double numeric_gradient(problem *p, float *weight)
{
    const float kept = *weight, step = 1e-2f;
    *weight = kept + step;
    const double above = loss_of(p);
    *weight = kept - step;
    const double below = loss_of(p);
    *weight = kept;
    return (above - below) / (2.0 * (double)step);
}

static void check_gradients(gf_head_activation first, gf_head_activation second,
                            gf_head_activation end, double dropout)
{
    const gf_head_layer layers[] = {{.units = 5, .activation = first, .dropout = dropout},
                                    {.units = 4, .activation = second, .dropout = dropout},
                                    {.units = 3, .activation = end, .dropout = dropout}};
    problem p = {.head = new_head(7, layers, 3),
                 .labels = {0, 1, 2, 2, 1, 0},
                 .class_weights = {1.0f, 0.5f, 2.0f},
                 .row_weights = {1.0f, 0.25f, 2.0f, 1.0f, 0.0f, 1.5f},
                 .has_targets = end == GF_HEAD_SIGMOID,
                 .has_dropout = dropout > 0.0};
    const size_t inputs[] = {7, 5, 4};
    gf__rng rng;
    gf__rng_seed(&rng, 5, 0);
    gf_head_initialise(p.head, 9);
    for (size_t i = 0; i < 6 * 7; i++)
        p.features[i] = (float)gf__rng_normal(&rng);
    for (size_t i = 0; i < 6 * 3; i++)
        p.targets[i] = i % 5 == 0 ? 0.3f : (float)(i % 2);
    for (size_t i = 0; i < 4; i++)
        gf_head_bias(p.head, 1)[i] = 0.5f; /* away from the corner of ReLU */
    CHECK_OK(gf__head_pass_new(p.head, 6, NULL, &p.pass, &check_err));

    for (size_t i = 0; i < 3; i++) {
        float gradient[7 * 5];
        const size_t K = layers[i].units;
        for (size_t d = 0; d < inputs[i]; d++) {
            loss_of(&p);
            gf__head_backward(p.pass, p.head);
            gf__dense_backward_weights(gradient, gf__head_pass_input(p.pass, i),
                                       gf__head_pass_delta(p.pass, i), 6, inputs[i], K, d, 1);
            for (size_t k = 0; k < K; k++)
                CHECK_NEAR((double)gradient[k],
                           numeric_gradient(&p, gf_head_kernel(p.head, i) + d * K + k), 1.5e-3);
        }
        for (size_t k = 0; k < K; k++) {
            double sum = 0.0;
            loss_of(&p);
            gf__head_backward(p.pass, p.head);
            for (size_t n = 0; n < 6; n++)
                sum += (double)gf__head_pass_delta(p.pass, i)[n * K + k];
            CHECK_NEAR(sum, numeric_gradient(&p, gf_head_bias(p.head, i) + k), 1.5e-3);
        }
    }
    gf__head_pass_free(p.pass);
    gf_head_free(p.head);
}

TEST(head_backward__agrees_with_finite_differences)
{
    check_gradients(GF_HEAD_LINEAR, GF_HEAD_RELU, GF_HEAD_SOFTMAX, 0.0);
    check_gradients(GF_HEAD_TANH, GF_HEAD_SIGMOID, GF_HEAD_SOFTMAX, 0.0);
    check_gradients(GF_HEAD_SIGMOID, GF_HEAD_TANH, GF_HEAD_SIGMOID, 0.0);
}

TEST(head_backward__agrees_with_finite_differences_under_dropout)
{
    check_gradients(GF_HEAD_LINEAR, GF_HEAD_RELU, GF_HEAD_SOFTMAX, 0.4);
    check_gradients(GF_HEAD_TANH, GF_HEAD_SIGMOID, GF_HEAD_SOFTMAX, 0.4);
}

TEST(head_activations__are_exact_to_a_float_from_end_to_end)
{
    const float points[] = {0.0f,   -0.0f, 1e-30f, -3e-5f, 9.99e-5f, 1.01e-4f, -1e-3f,
                            -0.25f, 0.7f,  -3.5f,  9.0f,   -20.0f,   88.0f,    -200.0f};
    enum { POINTS = sizeof points / sizeof *points };
    float curved[POINTS], squashed[POINTS];
    memcpy(curved, points, sizeof points);
    memcpy(squashed, points, sizeof points);
    gf__tanh(curved, POINTS);
    gf__sigmoid(squashed, POINTS);
    for (size_t i = 0; i < POINTS; i++) {
        const double x = (double)points[i];
        CHECK_NEAR((double)curved[i], tanh(x), 1e-7 * fabs(tanh(x)));
        CHECK_NEAR((double)squashed[i], 1.0 / (1.0 + exp(-x)), 1e-7 / (1.0 + exp(-x)) + 1e-37);
    }
    CHECK(signbit(curved[1]));
    CHECK(squashed[POINTS - 1] >= 0.0f && squashed[POINTS - 1] < 1e-30f);
}

TEST(head_forward__drops_inputs_only_while_training_and_keeps_their_mean)
{
    enum { N = 50, D = 200 };
    const gf_head_layer layers[] = {{.units = 2, .activation = GF_HEAD_SOFTMAX, .dropout = 0.25}};
    gf_head *head = new_head(D, layers, 1);
    gf__head_pass *pass = NULL;
    static float ones[N * D];
    size_t labels[N] = {0}, n_zero = 0;
    double loss, n_correct, sum = 0.0;
    const gf__head_batch batch = {.features = ones, .n = N, .labels = labels};
    gf__rng rng;
    gf__rng_seed(&rng, 1, GF__STREAM_DROPOUT);
    for (size_t i = 0; i < N * D; i++)
        ones[i] = 1.0f;
    CHECK_OK(gf__head_pass_new(head, N, NULL, &pass, &check_err));
    gf__head_forward(pass, head, &batch, &rng, &loss, &n_correct);
    for (size_t i = 0; i < N * D; i++) {
        n_zero += gf__head_pass_input(pass, 0)[i] == 0.0f;
        sum += (double)gf__head_pass_input(pass, 0)[i];
    }
    CHECK_NEAR((double)n_zero / (N * D), 0.25, 0.02);
    CHECK_NEAR(sum / (N * D), 1.0, 0.03);
    gf__head_forward(pass, head, &batch, NULL, &loss, &n_correct);
    CHECK(gf__head_pass_input(pass, 0) == ones);
    CHECK_NEAR(loss, log(2.0), 1e-6);
    CHECK_NEAR(n_correct, (double)N, 0.0); /* equal scores: the first class counts */
    gf__head_pass_free(pass);
    gf_head_free(head);
}

/* Seven features and then what the article puts behind them, with a dropout. */
static gf_graph *graph_with_tail(void)
{
    gf_graph *graph = NULL;
    size_t index;
    const gf__layer_config input = {
        .class_id = GF__LAYER_INPUT, .name = "features", .input_shape = {7}, .n_input_dims = 1};
    CHECK_OK(gf__graph_new("tail", &graph, &check_err));
    CHECK_OK(gf__graph_add(graph, &input, NULL, 0, &index, &check_err));
    CHECK_OK(gf_graph_add_dense(
        graph, &(gf_dense_options){.units = 5, .activation = "relu", .name = "hidden"},
        &check_err));
    CHECK_OK(gf_graph_add_dropout(graph, 0.5, &check_err));
    CHECK_OK(gf_graph_add_dense(graph, &(gf_dense_options){.units = 3, .activation = "softmax"},
                                &check_err));
    return graph;
}

TEST(head_from_graph__takes_the_dense_tail_and_gives_it_back)
{
    gf_graph *graph = graph_with_tail(), *other = graph_with_tail();
    gf_head *head = NULL, *again = NULL;
    CHECK_OK(gf_head_from_graph(graph, 1, &head, &check_err));
    CHECK_EQ(gf_head_n_layers(head), 2);
    CHECK_EQ(gf_head_n_features(head), 7);
    CHECK_STR(gf_head_layer_at(head, 0).name, "hidden");
    CHECK_EQ(gf_head_layer_at(head, 0).activation, GF_HEAD_RELU);
    CHECK_NEAR(gf_head_layer_at(head, 1).dropout, 0.5, 1e-12);
    CHECK_EQ(gf_head_layer_at(head, 1).activation, GF_HEAD_SOFTMAX);
    gf_head_initialise(head, 5);
    CHECK_OK(gf_head_to_graph(head, other, 1, &check_err));
    CHECK_OK(gf_head_from_graph(other, 1, &again, &check_err));
    CHECK(memcmp(gf_head_kernel(head, 0), gf_head_kernel(again, 0), 35 * sizeof(float)) == 0);
    CHECK(memcmp(gf_head_kernel(head, 1), gf_head_kernel(again, 1), 15 * sizeof(float)) == 0);
    gf_head_free(head);
    gf_head_free(again);
    gf_graph_free(graph);
    gf_graph_free(other);
}

TEST(head_from_graph__refuses_what_is_no_tail)
{
    gf_graph *graph = graph_with_tail();
    gf_head *head = NULL, *small = new_head(7, two_layers, 1);
    CHECK_FAILS(GF_EINVAL, "behind a layer", gf_head_from_graph(graph, 0, &head, &check_err));
    CHECK_FAILS(GF_EINVAL, "index 4 of 4", gf_head_from_graph(graph, 4, &head, &check_err));
    CHECK_FAILS(GF_ESHAPE, "has only 1 layers", gf_head_to_graph(small, graph, 1, &check_err));
    CHECK_FAILS(GF_ESHAPE, "the graph's end has 0", gf_head_to_graph(small, graph, 4, &check_err));
    CHECK(head == NULL);
    gf_head_free(small);
    gf_graph_free(graph);
}

TESTS_MAIN(UNIT(head_view__predicts_from_weights_where_they_lie),
           UNIT(head_from_graph__takes_the_dense_tail_and_gives_it_back),
           UNIT(head_from_graph__refuses_what_is_no_tail),
           UNIT(head_new__names_layers_as_keras_and_counts_parameters),
           UNIT(head_new__refuses_what_is_no_head),
           UNIT(head_new__survives_every_allocation_failure),
           UNIT(head_initialise__is_glorot_uniform_and_repeatable),
           UNIT(head_copy__has_the_same_weights_and_its_own_memory),
           UNIT(head_predict__gives_a_row_the_same_bytes_alone_and_among_others),
           UNIT(head_activations__are_exact_to_a_float_from_end_to_end),
           UNIT(head_backward__agrees_with_finite_differences),
           UNIT(head_backward__agrees_with_finite_differences_under_dropout),
           UNIT(head_forward__drops_inputs_only_while_training_and_keeps_their_mean))
