/* test_graph_cut.c: cutting, another end, freezing, the order of layers. */
#include "check.h"
#include "graph/graph.h"

static size_t add(gf_graph *graph, gf__layer_class class_id, const char *name, const size_t *inputs,
                  size_t n_inputs)
{
    size_t index = 0;
    gf__layer_config config = {.class_id = class_id, .name = name, .is_trainable = true};
    config.n_input_dims = 3;
    config.input_shape[0] = config.input_shape[1] = 8;
    config.input_shape[2] = config.filters = 4;
    config.kernel[0] = config.kernel[1] = config.strides[0] = config.strides[1] = 1;
    CHECK_OK(gf__graph_add(graph, &config, inputs, n_inputs, &index, &check_err));
    return index;
}

/* input - a - b ----- mixed - relu
 *       \ c - d - e - /            with the layers in the order they were written down */
static gf_graph *new_fork(void)
{
    gf_graph *graph = NULL;
    CHECK_OK(gf__graph_new("fork", &graph, &check_err));
    const size_t input = add(graph, GF__LAYER_INPUT, "input_1", NULL, 0);
    const size_t a = add(graph, GF__LAYER_CONV2D, "a", &input, 1);
    const size_t b = add(graph, GF__LAYER_CONV2D, "b", &a, 1);
    const size_t c = add(graph, GF__LAYER_CONV2D, "c", &input, 1);
    const size_t d = add(graph, GF__LAYER_CONV2D, "d", &c, 1);
    const size_t e = add(graph, GF__LAYER_CONV2D, "e", &d, 1);
    const size_t mixed = add(graph, GF__LAYER_CONCATENATE, "mixed", (size_t[]){b, e}, 2);
    add(graph, GF__LAYER_ACTIVATION, "relu", &mixed, 1);
    CHECK_OK(gf__graph_zero_weights(graph, &check_err));
    return graph;
}

static void check_order(const gf_graph *graph, const char *want)
{
    char got[256] = "";
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        strncat(got, gf_layer_name(gf_graph_layer_at(graph, (ptrdiff_t)i)),
                sizeof got - 1 - strlen(got));
        strncat(got, " ", sizeof got - 1 - strlen(got));
    }
    CHECK_STR(got, want);
}

TEST(order__is_by_depth_then_as_met_from_the_output)
{
    gf_graph *graph = new_fork();
    CHECK_OK(gf__graph_sort_as_keras(graph, &check_err));
    /* depths: input 5, c 4, d and a 3, e and b 2; from the output b's branch is met before e's */
    check_order(graph, "input_1 c a d b e mixed relu ");
    const gf_layer *mixed = gf_graph_layer_at(graph, 6);
    CHECK_EQ(gf_layer_input_at(mixed, 0), 4);
    CHECK_EQ(gf_layer_input_at(mixed, 1), 5);
    gf_graph_free(graph);
}

TEST(order__layer_that_leads_nowhere_is_an_error)
{
    gf_graph *graph = new_fork();
    const size_t input = 0;
    add(graph, GF__LAYER_CONV2D, "stray", &input, 1);
    CHECK_FAILS(GF_EINVAL, "does not lead to the output \"stray\"",
                gf__graph_sort_as_keras(graph, &check_err));
    gf_graph_free(graph);
}

TEST(cut__keeps_what_the_layer_needs_and_nothing_else)
{
    gf_graph *graph = new_fork(), *cut = NULL;
    CHECK_OK(gf_graph_cut(graph, "d", &cut, &check_err));
    check_order(cut, "input_1 c d ");
    CHECK(gf_layer_weight(gf_graph_layer_at(cut, 2), "kernel") ==
          gf_layer_weight(gf_graph_layer_at(graph, 4), "kernel"));
    gf_graph_free(graph); /* the cut one lives on */
    CHECK_EQ(gf_tensor_n_values(gf_layer_weight(gf_graph_layer_at(cut, 2), "kernel")), 16);
    gf_graph_free(cut);
}

TEST(cut__by_index_and_with_an_unknown_name)
{
    gf_graph *graph = new_fork(), *cut = NULL;
    CHECK_OK(gf_graph_cut(graph, "-2", &cut, &check_err));
    CHECK_STR(gf_layer_name(gf_graph_layer_at(cut, -1)), "mixed");
    gf_graph_free(cut);
    CHECK_FAILS(GF_ENOTFOUND, "closest name is \"mixed\"",
                gf_graph_cut(graph, "mixed1", &cut, &check_err));
    CHECK(cut == NULL);
    gf_graph_free(graph);
}

TEST(cut__article_network_can_be_built_and_frozen)
{
    gf_graph *graph = new_fork(), *mine = NULL;
    CHECK_OK(gf_graph_cut(graph, "relu", &mine, &check_err));
    CHECK_OK(gf_graph_add_global_pool(mine, "avg", &check_err));
    CHECK_OK(gf_graph_add_dense(mine, &(gf_dense_options){.units = 16, .activation = "relu"},
                                &check_err));
    CHECK_OK(gf_graph_add_dropout(mine, 0.5, &check_err));
    CHECK_OK(gf_graph_add_dense(mine, &(gf_dense_options){.units = 2, .activation = "softmax"},
                                &check_err));
    const size_t head = gf__graph_head_start(mine);
    check_order(mine,
                "input_1 c a d b e mixed relu global_average_pooling2d dense dropout dense_1 ");
    CHECK_STR(gf_layer_name(gf_graph_layer_at(mine, (ptrdiff_t)head)), "dense");
    for (size_t i = 0; i < gf_graph_n_layers(mine); i++)
        gf_graph_set_trainable(mine, i, i >= head);
    CHECK(!gf_layer_is_trainable(gf_graph_layer_at(mine, 1)));
    CHECK(gf_layer_is_trainable(gf_graph_layer_at(graph, 1))); /* the original is not touched */
    CHECK_EQ(gf_layer_n_trainable_params(gf_graph_layer_at(mine, -1)), 16 * 2 + 2);
    gf_graph_free(mine);
    gf_graph_free(graph);
}

TEST(head__without_a_head_starts_past_the_end)
{
    gf_graph *graph = new_fork();
    CHECK_EQ(gf__graph_head_start(graph), gf_graph_n_layers(graph));
    gf_graph_free(graph);
}

TEST(add__refuses_bad_options_and_changes_nothing)
{
    gf_graph *graph = new_fork();
    CHECK_FAILS(GF_EINVAL, "units is 0",
                gf_graph_add_dense(graph, &(gf_dense_options){.units = 0}, &check_err));
    CHECK_FAILS(GF_EUNSUPPORTED, "activation \"swish\" is not one of linear, relu",
                gf_graph_add_dense(graph, &(gf_dense_options){.units = 1, .activation = "swish"},
                                   &check_err));
    CHECK_FAILS(GF_EINVAL, "rate is 1", gf_graph_add_dropout(graph, 1.0, &check_err));
    CHECK_FAILS(GF_EINVAL, "rate is nan", gf_graph_add_dropout(graph, (double)NAN, &check_err));
    CHECK_FAILS(GF_EINVAL, "pool is \"sum\"", gf_graph_add_global_pool(graph, "sum", &check_err));
    CHECK_EQ(gf_graph_n_layers(graph), 8);
    gf_graph_free(graph);
}

TEST(cut__survives_every_allocation_failure)
{
    gf_graph *graph = new_fork();
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf_graph *cut = NULL;
        gf__mem_fail_after(n);
        st = gf_graph_cut(graph, "mixed", &cut, NULL);
        if (st == GF_OK)
            st = gf_graph_add_global_pool(cut, "max", NULL);
        if (st == GF_OK)
            st = gf_graph_add_dense(cut, &(gf_dense_options){.units = 3}, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || st == GF_ENOMEM);
        gf_graph_free(cut);
    }
    gf_graph_free(graph);
}

TESTS_MAIN(UNIT(order__is_by_depth_then_as_met_from_the_output),
           UNIT(order__layer_that_leads_nowhere_is_an_error),
           UNIT(cut__keeps_what_the_layer_needs_and_nothing_else),
           UNIT(cut__by_index_and_with_an_unknown_name),
           UNIT(cut__article_network_can_be_built_and_frozen),
           UNIT(head__without_a_head_starts_past_the_end),
           UNIT(add__refuses_bad_options_and_changes_nothing),
           UNIT(cut__survives_every_allocation_failure))
