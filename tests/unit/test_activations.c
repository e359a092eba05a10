/* tanh and sigmoid everywhere they may stand: behind convolutions and Dense layers and as layers of
 * their own, in plans and in every format that networks are written in and read from. */
#include "engine_graphs.h"
#include "export/export.h"
#include "graft/zoo.h"

static gf_graph *curved_graph(void)
{
    gf_graph *g = new_graph(17, 14, 3);
    const size_t conv = ADD1(g, 0, .class_id = GF__LAYER_CONV2D, .name = "conv", .filters = 8,
                             .kernel = {3, 3}, .strides = {2, 2}, .has_bias = true,
                             .activation = GF__ACTIVATION_SIGMOID);
    const size_t wide = add_conv(g, conv, "wide", 6, 3, 1, true);
    const size_t tanh = ADD1(g, wide, .class_id = GF__LAYER_ACTIVATION, .name = "tanh",
                             .activation = GF__ACTIVATION_TANH);
    const size_t both = ADD2(g, tanh, wide, .class_id = GF__LAYER_ADD, .name = "both");
    const size_t mean = add_simple(g, both, "mean", GF__LAYER_GLOBAL_AVERAGE_POOLING2D);
    const size_t hidden = ADD1(g, mean, .class_id = GF__LAYER_DENSE, .name = "hidden", .units = 5,
                               .has_bias = true, .activation = GF__ACTIVATION_TANH);
    ADD1(g, hidden, .class_id = GF__LAYER_DENSE, .name = "ends", .units = 3, .has_bias = true,
         .activation = GF__ACTIVATION_SIGMOID);
    fill_weights(g);
    return g;
}

/* What the graph makes of one picture by the plain kernels: 3 scores, ended with gf__free(). */
static float *answer(const gf_graph *graph, const float *input)
{
    float *scores = NULL;
    const char *last = gf_layer_name(gf_graph_layer_at(graph, -1));
    CHECK_OK(gf__engine_run_reference(graph, &(gf_output_spec){last, GF_POOL_NONE}, 1, input,
                                      &scores, &check_err));
    return scores;
}

static void check_plan(const gf_graph *graph, const gf_output_spec *outputs, size_t n_outputs,
                       const gf_plan_options *options, double tolerance)
{
    uint8_t *pixels = make_pixels(graph, 5);
    float *input = scale_pixels(graph, pixels), *want[8];
    CHECK_OK(gf__engine_run_reference(graph, outputs, n_outputs, input, want, &check_err));
    ran r = run_plan(graph, outputs, n_outputs, options, pixels, 1);
    for (size_t k = 0; k < n_outputs; k++) {
        check_values(outputs[k].layer, gf_exec_output(r.exec, k), want[k],
                     gf_plan_output_size(r.plan, k), tolerance);
        gf__free(want[k]);
    }
    end_run(&r);
    free(input);
    free(pixels);
}

TEST(plan__gives_tanh_and_sigmoid_of_every_layer)
{
    gf_graph *graph = curved_graph();
    gf_plan_options options = f32_options();
    const gf_output_spec all[] = {{"conv", GF_POOL_NONE},   {"wide", GF_POOL_NONE},
                                  {"tanh", GF_POOL_NONE},   {"both", GF_POOL_NONE},
                                  {"hidden", GF_POOL_NONE}, {"ends", GF_POOL_NONE}};
    for (size_t i = 0; i < 6; i++)
        check_plan(graph, &all[i], 1, &options, 1e-5);
    check_plan(graph, all, 6, &options, 1e-5);
    options.precision = GF_PRECISION_BF16;
    check_plan(graph, &all[5], 1, &options, 1e-2);
    gf_graph_free(graph);
}

/* The graph of a file, from a home that is there for this only. */
static gf_trunk *import(const char *path, const char *home)
{
    gf_trunk *trunk = NULL;
    CHECK_OK(gf_zoo_import(path, "curved", home, NULL, NULL, &check_err));
    CHECK_OK(gf_trunk_load(home, "curved", &trunk, &check_err));
    return trunk;
}

TEST(formats__carry_tanh_and_sigmoid_out_and_in)
{
    static const struct {
        const char *name;
        gf_status (*write)(const gf__export_source *source, const char *path, gf_error *err);
    } formats[] = {{"curved.onnx", gf__export_onnx},
                   {"curved.savedmodel", gf__export_savedmodel},
                   {"curved.h5", gf__export_keras},
                   {"curved.keras", gf__export_keras},
                   {"curved.tfjs", gf__export_tfjs}};
    static const char *const classes[] = {"a", "b", "c"};
    const gf_recipe recipe = {.width = 14, .height = 17, .scale = 1 / 127.5f, .shift = -1};
    gf_graph *graph = curved_graph();
    uint8_t *pixels = make_pixels(graph, 2);
    float *input = scale_pixels(graph, pixels), *want = answer(graph, input);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char *dir = check_temp_dir(), *path = gf__path_join(dir, formats[i].name);
        const gf__export_source source = {.name = "curved",
                                          .graph = graph,
                                          .class_names = classes,
                                          .n_classes = 3,
                                          .recipe = &recipe,
                                          .trunk_name = "curved",
                                          .layer = "ends"};
        CHECK_OK(formats[i].write(&source, path, &check_err));
        gf_trunk *trunk = import(path, dir);
        CHECK_EQ(gf_trunk_n_classes(trunk), 3); /* a sigmoid's, too */
        CHECK_STR(gf_trunk_class_at(trunk, 1), "b");
        float *got = answer(gf_trunk_graph(trunk), input);
        check_values(formats[i].name, got, want, 3, 0.0);
        gf__free(got);
        gf_trunk_free(trunk);
        gf__free(path);
        check_remove_dir(dir);
    }
    gf__free(want);
    free(input);
    free(pixels);
    gf_graph_free(graph);
}

TESTS_MAIN(UNIT(plan__gives_tanh_and_sigmoid_of_every_layer),
           UNIT(formats__carry_tanh_and_sigmoid_out_and_in))
