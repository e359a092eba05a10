/* The plain kernels, against ONNX Runtime's results for a network with every class of layer. */
#include "engine_graphs.h"

static const char *const layers[] = {"pad",     "conv",    "norm",    "relu6",  "depthwise", "add",
                                     "average", "maximum", "wide",    "concat", "mean",      "max",
                                     "both",    "hidden",  "softmax", "flatten"};
#define N_LAYERS (sizeof layers / sizeof *layers)

TEST(ref__every_layer_agrees_with_onnx_runtime)
{
    gf_graph *graph = small_graph();
    uint8_t *pixels = make_pixels(graph, 0);
    float *input = scale_pixels(graph, pixels);
    gf_output_spec outputs[N_LAYERS];
    float *results[N_LAYERS];
    gf_safetensors *file = NULL;
    for (size_t k = 0; k < N_LAYERS; k++)
        outputs[k] = (gf_output_spec){.layer = layers[k]};
    CHECK_OK(gf__engine_run_reference(graph, outputs, N_LAYERS, input, results, &check_err));
    CHECK_OK(
        gf_safetensors_open(check_fixture("golden/engine/small.safetensors"), &file, &check_err));
    for (size_t k = 0; k < N_LAYERS; k++) {
        const gf_tensor *want = gf_safetensors_find(file, layers[k]);
        CHECK(want != NULL);
        check_values(layers[k], results[k], gf_tensor_f32(want), gf_tensor_n_values(want), 1e-5);
        gf__free(results[k]);
    }
    gf_safetensors_close(file);
    gf_graph_free(graph);
    free(input);
    free(pixels);
}

TEST(ref__pools_an_output_when_asked)
{
    gf_graph *graph = small_graph();
    uint8_t *pixels = make_pixels(graph, 0);
    float *input = scale_pixels(graph, pixels);
    const gf_output_spec outputs[] = {{"concat", GF_POOL_AVG},
                                      {"concat", GF_POOL_MAX},
                                      {"mean", GF_POOL_NONE},
                                      {"12", GF_POOL_NONE}};
    float *results[4];
    CHECK_OK(gf__engine_run_reference(graph, outputs, 4, input, results, &check_err));
    check_values("mean", results[0], results[2], 21, 0.0);
    check_values("max", results[1], results[3], 21, 0.0);
    for (size_t k = 0; k < 4; k++)
        gf__free(results[k]);
    gf_graph_free(graph);
    free(input);
    free(pixels);
}

TEST(ref__refuses_outputs_that_make_no_sense)
{
    gf_graph *graph = small_graph();
    float input[SMALL_PIXELS] = {0};
    float *results[2];
    const gf_output_spec missing[] = {{"concat", GF_POOL_AVG}, {"concatt", GF_POOL_NONE}};
    const gf_output_spec vector = {"mean", GF_POOL_AVG};
    CHECK_FAILS(GF_ENOTFOUND, "concat",
                gf__engine_run_reference(graph, missing, 2, input, results, &check_err));
    CHECK(results[0] == NULL && results[1] == NULL);
    CHECK_FAILS(GF_EINVAL, "21 values",
                gf__engine_run_reference(graph, &vector, 1, input, results, &check_err));
    gf_graph_free(graph);
}

TEST(ref__survives_every_allocation_failure)
{
    gf_graph *graph = small_graph();
    float input[SMALL_PIXELS] = {0};
    float *result = NULL;
    const gf_output_spec output = {"softmax", GF_POOL_NONE};
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__engine_run_reference(graph, &output, 1, input, &result, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && result == NULL));
    }
    CHECK_EQ(st, GF_OK);
    gf__free(result);
    gf_graph_free(graph);
}

TESTS_MAIN(UNIT(ref__every_layer_agrees_with_onnx_runtime), UNIT(ref__pools_an_output_when_asked),
           UNIT(ref__refuses_outputs_that_make_no_sense),
           UNIT(ref__survives_every_allocation_failure))
