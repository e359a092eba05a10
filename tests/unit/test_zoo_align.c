/* What other frameworks' exporters made of a network becomes that network again: with the table's names,
 * order and layers, and the same answers. Networks that only look like it stay as they are. */
#include "engine_graphs.h"
#include "zoo/zoo_priv.h"

#define CONV(...) \
    .class_id = GF__LAYER_CONV2D, .kernel = {1, 1}, .strides = {1, 1}, .filters = 4, __VA_ARGS__
#define NORM(...) \
    .class_id = GF__LAYER_BATCH_NORMALIZATION, .has_center = true, .epsilon = 1e-3, __VA_ARGS__
#define RELU(...) .class_id = GF__LAYER_ACTIVATION, .activation = GF__ACTIVATION_RELU, __VA_ARGS__

/* Two convolutions with normalizations, a fork whose ways are concatenated twice. */
static gf_graph *new_table(size_t n_channels)
{
    gf_graph *table = new_graph(5, 6, n_channels);
    size_t x = ADD1(table, 0, CONV(.name = "conv_1", .is_same_padding = true));
    x = ADD1(table, x, NORM(.name = "norm_1"));
    x = ADD1(table, x, RELU(.name = "relu_1"));
    size_t y = ADD1(table, x, CONV(.name = "conv_2", .is_same_padding = true));
    y = ADD1(table, y, NORM(.name = "norm_2", .has_scale = true));
    y = ADD1(table, y, RELU(.name = "relu_2"));
    const size_t inner = ADD2(table, y, x, .class_id = GF__LAYER_CONCATENATE, .name = "inner");
    ADD2(table, x, inner, .class_id = GF__LAYER_CONCATENATE, .name = "block");
    return table;
}

/* The same with normalizations in convolutions, one Concatenate, other names, another order, and a top. */
static gf_graph *new_exported(size_t n_channels, size_t kernel)
{
    gf_graph *graph = new_graph(5, 6, n_channels);
    size_t x = ADD1(graph, 0, CONV(.name = "/a/Conv", .has_bias = true));
    x = ADD1(graph, x, RELU(.name = "/a/Relu"));
    size_t y = ADD1(graph, x, .class_id = GF__LAYER_CONV2D, .kernel = {kernel, kernel},
                    .strides = {1, 1}, .filters = 4, .name = "/b/Conv", .has_bias = true,
                    .is_same_padding = kernel > 1);
    y = ADD1(graph, y, RELU(.name = "relu_1"));
    const size_t end = ADD3(graph, x, y, x, .class_id = GF__LAYER_CONCATENATE, .name = "cat");
    const size_t pool = ADD1(graph, end, .class_id = GF__LAYER_GLOBAL_AVERAGE_POOLING2D,
                             .name = "pool");
    ADD1(graph, pool, .class_id = GF__LAYER_DENSE, .units = 3, .has_bias = true, .name = "conv_1");
    fill_weights(graph);
    return graph;
}

static float *answers(const gf_graph *graph)
{
    float input[5 * 6 * 8], *out = NULL;
    const gf_output_spec last = {gf_layer_name(gf_graph_layer_at(graph, -1)), GF_POOL_NONE};
    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        input[i] = (float)(i % 17) / 8.0f - 1.0f;
    CHECK_OK(gf__engine_run_reference(graph, &last, 1, input, &out, &check_err));
    return out;
}

TEST(align__an_exported_network_becomes_the_table_s)
{
    static const char *const names[] = {"input",  "conv_1", "norm_1",      "relu_1",
                                        "conv_2", "norm_2", "relu_2",      "inner",
                                        "block",  "pool",   "conv_1_top_7"};
    gf_graph *table = new_table(8), *graph = new_exported(8, 1);
    float *want = answers(graph), *got;
    bool is_aligned = false;
    CHECK_OK(gf__graph_align(&graph, table, &is_aligned, &check_err));
    CHECK(is_aligned);
    CHECK_EQ(gf_graph_n_layers(graph), sizeof names / sizeof *names);
    for (size_t i = 1; i < gf_graph_n_layers(graph); i++)
        CHECK_STR(gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i)), names[i]);
    got = answers(graph);
    for (size_t i = 0; i < 3; i++)
        CHECK(fabsf(got[i] - want[i]) <= 1e-6f);
    gf__free(got);
    gf__free(want);
    gf_graph_free(graph);
    gf_graph_free(table);
}

TEST(align__another_network_stays_as_it_is)
{
    const struct {
        size_t n_channels, kernel;
    } others[] = {{8, 3}, {7, 1}}; /* another window; another input */
    for (size_t i = 0; i < 2; i++) {
        gf_graph *table = new_table(8),
                 *graph = new_exported(others[i].n_channels, others[i].kernel);
        const gf_graph *before = graph;
        bool is_aligned = true;
        CHECK_OK(gf__graph_align(&graph, table, &is_aligned, &check_err));
        CHECK(!is_aligned);
        CHECK(graph == before);
        gf_graph_free(graph);
        gf_graph_free(table);
    }
}

TEST(align__survives_every_allocation_failure)
{
    gf_graph *table = new_table(8), *graph = new_exported(8, 1);
    gf_status st = GF_ENOMEM;
    bool is_aligned = false;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__graph_align(&graph, table, &is_aligned, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && !is_aligned));
    }
    CHECK_EQ(st, GF_OK);
    CHECK(is_aligned);
    gf_graph_free(graph);
    gf_graph_free(table);
}

TESTS_MAIN(UNIT(align__an_exported_network_becomes_the_table_s),
           UNIT(align__another_network_stays_as_it_is),
           UNIT(align__survives_every_allocation_failure))
