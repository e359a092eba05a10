/* Plans against the plain kernels: what is fused, folded, placed and pooled gives the same numbers; what
 * cannot be run is refused. */
#include "engine/dnnl_priv.h"
#include "engine_graphs.h"

TEST(plan__fused_layers_give_what_single_layers_give)
{
    gf_graph *graph = small_graph();
    gf_plan_options options = f32_options();
    const gf_output_spec end = {"softmax", GF_POOL_NONE};
    check_against_reference(graph, &end, 1, &options, 1e-5);
    options.input = GF_INPUT_F32;
    check_against_reference(graph, &end, 1, &options, 1e-5);
    gf_graph_free(graph);
}

TEST(plan__gives_every_layer_that_is_asked_for)
{
    gf_graph *graph = small_graph();
    const gf_plan_options options = f32_options();
    gf_output_spec outputs[32];
    const size_t n = gf_graph_n_layers(graph);
    for (size_t i = 0; i < n; i++) /* one by one: everything around it is fused */
        check_against_reference(
            graph,
            &(gf_output_spec){gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i)), GF_POOL_NONE},
            1, &options, 1e-5);
    for (size_t i = 0; i < n; i++) /* all at once: nothing is */
        outputs[i].layer = gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i));
    for (size_t i = 0; i < n; i++)
        outputs[i].pool = GF_POOL_NONE;
    check_against_reference(graph, outputs, n, &options, 1e-5);
    gf_graph_free(graph);
}

TEST(plan__pools_an_output_when_asked)
{
    gf_graph *graph = small_graph();
    const gf_plan_options options = f32_options();
    const gf_output_spec outputs[] = {{"concat", GF_POOL_AVG}, {"add", GF_POOL_MAX},
                                      {"add", GF_POOL_AVG},    {"concat", GF_POOL_MAX},
                                      {"concat", GF_POOL_AVG}, {"add", GF_POOL_NONE}};
    size_t shape[3];
    check_against_reference(graph, outputs, 6, &options, 1e-5);
    uint8_t *pixels = make_pixels(graph, 0);
    ran r = run_plan(graph, outputs, 6, &options, pixels, 1);
    CHECK_EQ(gf_plan_n_outputs(r.plan), 6);
    CHECK_EQ(gf_plan_output_size(r.plan, 1), 8);
    CHECK_EQ(gf_plan_output_shape(r.plan, 1, shape), 1);
    CHECK_EQ(gf_plan_output_shape(r.plan, 5, shape), 3);
    CHECK(shape[0] == 8 && shape[1] == 8 && shape[2] == 8);
    end_run(&r);
    free(pixels);
    gf_graph_free(graph);
}

/* The scaling of pixels can move into a convolution only where no zeros stand around the
 * picture. */
static void check_first_convolution(bool is_same_padding, bool has_norm)
{
    gf_graph *graph = new_graph(15, 13, 3);
    size_t last = add_conv(graph, 0, "conv", 16, 3, 2, is_same_padding);
    if (has_norm)
        last = add_norm(graph, last, "norm");
    add_relu(graph, last, "relu");
    fill_weights(graph);
    const gf_plan_options options = f32_options();
    const gf_output_spec outputs[] = {{"relu", GF_POOL_NONE}, {"input", GF_POOL_NONE}};
    check_against_reference(graph, outputs, 1, &options, 2e-5);
    check_against_reference(graph, outputs, 2, &options, 2e-5); /* the input itself is asked for */
    gf_graph_free(graph);
}

TEST(plan__scales_pixels_in_the_first_convolution_or_before_it)
{
    check_first_convolution(false, false);
    check_first_convolution(false, true);
    check_first_convolution(true, false);
    check_first_convolution(true, true);
}

/* Two convolutions read the input: it is scaled once, before both. */
TEST(plan__scales_pixels_before_two_readers)
{
    gf_graph *graph = new_graph(12, 12, 3);
    const size_t a = add_conv(graph, 0, "a", 4, 3, 1, false);
    const size_t b = add_conv(graph, 0, "b", 4, 3, 1, false);
    ADD2(graph, a, b, .class_id = GF__LAYER_ADD, .name = "sum");
    fill_weights(graph);
    const gf_plan_options options = f32_options();
    check_against_reference(graph, &(gf_output_spec){"sum", GF_POOL_NONE}, 1, &options, 1e-5);
    gf_graph_free(graph);
}

TEST(plan__places_the_parts_of_nested_concatenates)
{
    gf_graph *graph = nested_concatenates();
    const gf_plan_options options = f32_options();
    const gf_output_spec outputs[] = {{"end", GF_POOL_NONE},     {"twice", GF_POOL_NONE},
                                      {"inner", GF_POOL_AVG},    {"middle", GF_POOL_NONE},
                                      {"dropped", GF_POOL_NONE}, {"a_relu", GF_POOL_MAX}};
    for (size_t k = 0; k < 6; k++)
        check_against_reference(graph, &outputs[k], 1, &options, 1e-4);
    check_against_reference(graph, outputs, 6, &options, 1e-4);
    gf_graph_free(graph);
}

/* Each one is part of the next and nothing else, so all of them are views into the last. */
TEST(plan__places_parts_through_many_concatenates)
{
    gf_graph *g = new_graph(5, 6, 3);
    size_t last = add_conv(g, 0, "first", 8, 1, 1, true);
    char name[16];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "part%d", i);
        const size_t part = add_conv(g, 0, name, 8, 1, 1, true);
        snprintf(name, sizeof name, "level%d", i);
        last = i % 2 == 0 ? ADD2(g, last, part, .class_id = GF__LAYER_CONCATENATE, .name = name)
                          : ADD2(g, part, last, .class_id = GF__LAYER_CONCATENATE, .name = name);
    }
    fill_weights(g);
    const gf_plan_options options = f32_options();
    check_against_reference(g, &(gf_output_spec){"level4", GF_POOL_NONE}, 1, &options, 1e-5);
    check_against_reference(g, &(gf_output_spec){"level2", GF_POOL_AVG}, 1, &options, 1e-5);
    gf_graph_free(g);
}

/* What no convolution takes in: a normalisation after an activation, one of a vector, a padding
 * that is read twice. */
TEST(plan__runs_layers_that_cannot_be_fused)
{
    gf_graph *g = new_graph(10, 9, 3);
    const size_t conv = ADD1(g, 0, .class_id = GF__LAYER_CONV2D, .name = "conv", .filters = 8,
                             .kernel = {3, 3}, .strides = {1, 1}, .has_bias = true,
                             .activation = GF__ACTIVATION_RELU);
    const size_t norm = add_norm(g, conv, "norm");
    const size_t pad = ADD1(g, norm, .class_id = GF__LAYER_ZERO_PADDING2D, .name = "pad",
                            .padding = {1, 2, 0, 1});
    const size_t pooled = add_pool(g, pad, "pooled", true);
    const size_t softmax = ADD1(g, pooled, .class_id = GF__LAYER_ACTIVATION, .name = "channels",
                                .activation = GF__ACTIVATION_SOFTMAX);
    const size_t mean = add_simple(g, softmax, "mean", GF__LAYER_GLOBAL_AVERAGE_POOLING2D);
    const size_t scaled = add_norm(g, mean, "scaled");
    const size_t relu = ADD1(g, scaled, .class_id = GF__LAYER_RELU, .name = "relu");
    const size_t dense = ADD1(g, relu, .class_id = GF__LAYER_DENSE, .name = "dense", .units = 3);
    add_norm(g, dense, "dense_norm");
    add_conv(g, pad, "other", 4, 1, 1, false);
    fill_weights(g);
    const gf_plan_options options = f32_options();
    const gf_output_spec outputs[] = {{"dense_norm", GF_POOL_NONE}, {"other", GF_POOL_NONE}};
    check_against_reference(g, outputs, 2, &options, 1e-5);
    check_against_reference(g, &outputs[1], 1, &options, 1e-5);
    gf_graph_free(g);
}

/* The npm checkpoint pools so: the window is the picture, then it is flattened. */
TEST(plan__pools_the_whole_picture_in_a_window)
{
    gf_graph *g = new_graph(8, 8, 3);
    const size_t conv = add_conv(g, 0, "conv", 16, 1, 1, false);
    const size_t pool = ADD1(g, conv, .class_id = GF__LAYER_AVERAGE_POOLING2D, .name = "pool",
                             .kernel = {8, 8}, .strides = {8, 8});
    add_simple(g, pool, "flat", GF__LAYER_FLATTEN);
    fill_weights(g);
    const gf_plan_options options = f32_options();
    const gf_output_spec outputs[] = {{"flat", GF_POOL_NONE}, {"pool", GF_POOL_AVG}};
    check_against_reference(g, outputs, 1, &options, 1e-5);
    check_against_reference(g, outputs, 2, &options, 1e-5);
    gf_graph_free(g);
}

/* PyTorch's average pooling counts the zeros around the picture: ZeroPadding2D, then a window without
 * padding. One operation where nobody else sees the zeros. */
TEST(plan__averages_count_the_zeros_of_a_padding_before_them)
{
    static const struct {
        size_t padding[4], kernel, stride;
    } rows[] = {
        {{1, 1, 1, 1}, 3, 1}, {{1, 0, 0, 2}, 3, 2}, {{1, 1, 1, 1}, 8, 8}, {{3, 3, 3, 3}, 3, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gf_graph *g = new_graph(8, 8, 3);
        const size_t conv = add_conv(g, 0, "conv", 16, 1, 1, false);
        const size_t *p = rows[i].padding, k = rows[i].kernel, stride = rows[i].stride;
        const size_t pad = ADD1(g, conv, .class_id = GF__LAYER_ZERO_PADDING2D, .name = "pad",
                                .padding = {p[0], p[1], p[2], p[3]});
        ADD1(g, pad, .class_id = GF__LAYER_AVERAGE_POOLING2D, .name = "pool", .kernel = {k, k},
             .strides = {stride, stride});
        fill_weights(g);
        const gf_plan_options options = f32_options();
        const gf_output_spec outputs[] = {{"pool", GF_POOL_NONE}, {"pad", GF_POOL_NONE}};
        check_against_reference(g, outputs, 1, &options, 1e-5);
        check_against_reference(g, outputs, 2, &options, 1e-5);
        gf_graph_free(g);
    }
}

static gf_graph *vector_graph(void)
{
    gf_graph *g = NULL;
    CHECK_OK(gf__graph_new("vectors", &g, &check_err));
    add_layer(g,
              (gf__layer_config){.class_id = GF__LAYER_INPUT,
                                 .name = "features",
                                 .n_input_dims = 1,
                                 .input_shape = {37}},
              0, 0, 0, 0);
    const size_t hidden = ADD1(g, 0, .class_id = GF__LAYER_DENSE, .name = "hidden", .units = 19,
                               .has_bias = true, .activation = GF__ACTIVATION_RELU);
    ADD1(g, hidden, .class_id = GF__LAYER_DENSE, .name = "scores", .units = 3,
         .activation = GF__ACTIVATION_SOFTMAX);
    fill_weights(g);
    return g;
}

TEST(plan__runs_a_graph_of_vectors)
{
    gf_graph *graph = vector_graph();
    gf_plan_options options = f32_options();
    gf_plan *plan = NULL;
    const gf_output_spec output = {"scores", GF_POOL_NONE};
    options.input = GF_INPUT_F32;
    check_against_reference(graph, &output, 1, &options, 1e-6);
    options.input = GF_INPUT_U8;
    CHECK_FAILS(GF_EINVAL, "features takes vectors",
                gf_plan_new(graph, &output, 1, &options, &plan, &check_err));
    CHECK(plan == NULL);
    gf_graph_free(graph);
}

TEST(plan__runs_only_what_the_outputs_need)
{
    gf_graph *graph = small_graph();
    const gf_plan_options options = f32_options();
    uint8_t *pixels = make_pixels(graph, 0);
    const gf_output_spec early = {"conv", GF_POOL_NONE}, late = {"softmax", GF_POOL_NONE};
    ran first = run_plan(graph, &early, 1, &options, pixels, 1);
    ran all = run_plan(graph, &late, 1, &options, pixels, 1);
    CHECK(gf_plan_memory_bytes(first.plan) < gf_plan_memory_bytes(all.plan));
    end_run(&first);
    end_run(&all);
    free(pixels);
    gf_graph_free(graph);
}

/* Twenty convolutions in a row: two values are alive at a time, so two is what the arena has
 * room for. */
TEST(plan__arena_holds_what_is_alive_and_no_more)
{
    gf_graph *g = new_graph(32, 32, 16);
    size_t last = 0;
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "conv%d", i);
        last = add_conv(g, last, name, 16, 3, 1, true);
    }
    fill_weights(g);
    gf_plan_options options = f32_options();
    gf_plan *plan = NULL;
    options.input = GF_INPUT_F32;
    CHECK_OK(
        gf_plan_new(g, &(gf_output_spec){"conv19", GF_POOL_NONE}, 1, &options, &plan, &check_err));
    CHECK_EQ(plan->arena_bytes, 2 * 32 * 32 * 16 * sizeof(float));
    gf_plan_free(plan);
    gf_graph_free(g);
}

TEST(plan__needs_nothing_of_the_graph_once_it_is_made)
{
    gf_graph *graph = small_graph();
    const gf_plan_options options = f32_options();
    const gf_output_spec output = {"softmax", GF_POOL_NONE};
    uint8_t *pixels = make_pixels(graph, 3);
    gf_plan *plan = NULL;
    gf_exec *exec = NULL;
    ran before = run_plan(graph, &output, 1, &options, pixels, 1);
    CHECK_OK(gf_plan_new(graph, &output, 1, &options, &plan, &check_err));
    gf_graph_free(graph);
    CHECK_OK(gf_exec_new(plan, &exec, &check_err));
    CHECK_OK(gf_exec_run(exec, pixels, 1, &check_err));
    check_values("softmax", gf_exec_output(exec, 0), gf_exec_output(before.exec, 0), 4, 0.0);
    gf_exec_free(exec);
    gf_plan_free(plan);
    end_run(&before);
    free(pixels);
}

/* ---- what is refused ---- */

TEST(plan__refuses_options_that_make_no_sense)
{
    gf_graph *graph = small_graph();
    gf_plan *plan = NULL;
    const gf_output_spec output = {"softmax", GF_POOL_NONE};
    gf_plan_options options = f32_options();
    options.max_batch = 0;
    CHECK_FAILS(GF_EINVAL, "batch of 0",
                gf_plan_new(graph, &output, 1, &options, &plan, &check_err));
    options = f32_options();
    options.n_threads = -1;
    CHECK_FAILS(GF_EINVAL, "-1 threads",
                gf_plan_new(graph, &output, 1, &options, &plan, &check_err));
    options = f32_options();
    options.scale = 0.0f;
    CHECK_FAILS(GF_EINVAL, "scaled by 0",
                gf_plan_new(graph, &output, 1, &options, &plan, &check_err));
    options = f32_options();
    options.pack_dir = "/tmp";
    CHECK_FAILS(GF_EINVAL, "identity", gf_plan_new(graph, &output, 1, &options, &plan, &check_err));
    options = f32_options();
    CHECK_FAILS(GF_EINVAL, "without outputs",
                gf_plan_new(graph, &output, 0, &options, &plan, &check_err));
    CHECK(plan == NULL);
    gf_graph_free(graph);
}

TEST(plan__refuses_outputs_that_make_no_sense)
{
    gf_graph *graph = small_graph();
    gf_plan *plan = NULL;
    const gf_plan_options options = f32_options();
    const gf_output_spec missing = {"softmaxx", GF_POOL_NONE}, vector = {"mean", GF_POOL_MAX};
    CHECK_FAILS(GF_ENOTFOUND, "softmax",
                gf_plan_new(graph, &missing, 1, &options, &plan, &check_err));
    CHECK_FAILS(GF_EINVAL, "vector of 21 values",
                gf_plan_new(graph, &vector, 1, &options, &plan, &check_err));
    gf_graph_free(graph);
}

TEST(plan__names_the_layer_it_cannot_run)
{
    gf_graph *graph = new_graph(8, 8, 3);
    gf_plan *plan = NULL;
    const gf_plan_options options = f32_options();
    ADD1(graph, 0, .class_id = GF__LAYER_RELU, .name = "odd", .max_value = 4.5);
    CHECK_FAILS(
        GF_EUNSUPPORTED, "odd (ReLU)",
        gf_plan_new(graph, &(gf_output_spec){"odd", GF_POOL_NONE}, 1, &options, &plan, &check_err));
    gf_graph_free(graph);
}

/* The trap: with a destination inside a wider tensor oneDNN 2.6 quietly takes an implementation
 * that needs seconds. A library that has a fast one for it may also succeed; "ref" it must never
 * be. */
TEST(plan__never_takes_a_reference_convolution)
{
    gf__value values[] = {
        {.height = 16, .width = 16, .channels = 32, .host = GF__NONE, .dtype = GF_DTYPE_F32},
        {.height = 16, .width = 16, .channels = 32, .host = 2, .dtype = GF_DTYPE_F32},
        {.height = 16, .width = 16, .channels = 96, .host = GF__NONE, .dtype = GF_DTYPE_F32}};
    const gf__program program = {.values = values, .n_values = 3};
    gf__op op = {.kind = GF__OP_CONV,
                 .dst = 1,
                 .kernel = {3, 3},
                 .strides = {1, 1},
                 .padding = {1, 1, 1, 1}};
    gf__device *device = NULL;
    gf__prim *prim = NULL;
    CHECK_OK(gf__device_new(&device, &check_err));
    const gf_status st = gf__prim_new(device, &program, &op, &prim, &check_err);
    if (st == GF_OK) {
        CHECK(strstr(gf__prim_name(prim), "ref") == NULL);
    } else {
        CHECK_EQ(st, GF_EUNSUPPORTED);
        CHECK(strstr(check_err.message, "reference implementation") != NULL);
    }
    gf__prim_free(prim);
    values[1].host = GF__NONE; /* on its own it is fast */
    CHECK_OK(gf__prim_new(device, &program, &op, &prim, &check_err));
    CHECK(strstr(gf__prim_name(prim), "ref") == NULL);
    gf__prim_free(prim);
    gf__device_free(device);
}

TEST(plan__survives_every_allocation_failure)
{
    gf_graph *graph = small_graph();
    gf_plan_options options = f32_options();
    const gf_output_spec output = {"softmax", GF_POOL_NONE};
    uint8_t *pixels = make_pixels(graph, 0);
    gf_status st = GF_ENOMEM;
    options.max_batch = 2;
    options.n_threads = 2;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf_plan *plan = NULL;
        gf_exec *exec = NULL;
        gf__mem_fail_after(n);
        st = gf_plan_new(graph, &output, 1, &options, &plan, NULL);
        if (st == GF_OK)
            st = gf_exec_new(plan, &exec, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && exec == NULL));
        if (st == GF_OK)
            CHECK_OK(gf_exec_run(exec, pixels, 1, &check_err));
        gf_exec_free(exec);
        gf_plan_free(plan);
    }
    CHECK_EQ(st, GF_OK);
    free(pixels);
    gf_graph_free(graph);
}

TESTS_MAIN(UNIT(plan__fused_layers_give_what_single_layers_give),
           UNIT(plan__gives_every_layer_that_is_asked_for), UNIT(plan__pools_an_output_when_asked),
           UNIT(plan__scales_pixels_in_the_first_convolution_or_before_it),
           UNIT(plan__scales_pixels_before_two_readers),
           UNIT(plan__places_the_parts_of_nested_concatenates),
           UNIT(plan__places_parts_through_many_concatenates),
           UNIT(plan__runs_layers_that_cannot_be_fused),
           UNIT(plan__pools_the_whole_picture_in_a_window),
           UNIT(plan__averages_count_the_zeros_of_a_padding_before_them),
           UNIT(plan__runs_a_graph_of_vectors), UNIT(plan__runs_only_what_the_outputs_need),
           UNIT(plan__arena_holds_what_is_alive_and_no_more),
           UNIT(plan__needs_nothing_of_the_graph_once_it_is_made),
           UNIT(plan__refuses_options_that_make_no_sense),
           UNIT(plan__refuses_outputs_that_make_no_sense),
           UNIT(plan__names_the_layer_it_cannot_run),
           UNIT(plan__never_takes_a_reference_convolution),
           UNIT(plan__survives_every_allocation_failure))
