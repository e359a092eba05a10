/* make_export.c: writes tests/golden/export: the small network in the formats of others, an input, and
 * what graft's reference kernels make of it. `make interop` gives the same files to the runtimes that
 * the formats are of. Run again when what is written changes on purpose:
 *
 *     ninja -C build tests/golden/make_export && build/tests/golden/make_export tests/golden/export */
#include "small_export.h"

static const char *dir;

static void save(const char *name, const float *values, size_t n_rows, size_t n)
{
    gf_tensor *tensor = NULL;
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, (size_t[]){n_rows, n}, 2, &tensor, &check_err));
    memcpy(gf_tensor_mutable_data(tensor), values, n_rows * n * sizeof *values);
    char *path = gf__asprintf("%s/%s.npy", dir, name);
    CHECK_OK(gf_npy_save(path, tensor, &check_err));
    gf__free(path);
    gf_tensor_free(tensor);
}

TEST(small_networks_are_written)
{
    const gf_recipe recipe = {.width = 14, .height = 17, .scale = 1 / 127.5f, .shift = -1};
    float input[SMALL_PICTURES * SMALL_PIXELS];
    for (size_t i = 0; i < N_SMALL_CUTS; i++) {
        gf__export_source source = small_source(small_cuts[i], &recipe);
        gf_graph *graph = (gf_graph *)(uintptr_t)source.graph;
        const size_t n = gf_layer_shape(gf_graph_layer_at(graph, -1))[0];
        for (size_t k = 0; k < SMALL_PICTURES; k++) {
            uint8_t *pixels = make_pixels(graph, (uint32_t)k + 1);
            float *values = scale_pixels(graph, pixels);
            memcpy(input + k * SMALL_PIXELS, values, sizeof input / SMALL_PICTURES);
            free(values);
            free(pixels);
        }
        float *scores = malloc(SMALL_PICTURES * n * sizeof *scores);
        for (size_t k = 0; k < SMALL_PICTURES; k++) {
            float *one = NULL;
            CHECK_OK(gf__engine_run_reference(graph, &(gf_output_spec){small_cuts[i], GF_POOL_NONE},
                                              1, input + k * SMALL_PIXELS, &one, &check_err));
            memcpy(scores + k * n, one, n * sizeof *scores);
            gf__free(one);
        }
        save(small_cuts[i], scores, SMALL_PICTURES, n);
        free(scores);
        char *path = gf__asprintf("%s/%s.onnx", dir, small_cuts[i]);
        CHECK_OK(gf__export_onnx(&source, path, &check_err));
        gf__free(path);
        path = gf__asprintf("%s/%s.savedmodel", dir, small_cuts[i]);
        if (gf__is_dir(path))
            check_remove_dir(strdup(path));
        CHECK_OK(gf__export_savedmodel(&source, path, &check_err));
        gf__free(path);
        gf_graph_free(graph);
    }
    save("input", input, SMALL_PICTURES, SMALL_PIXELS);
}

TEST(a_small_network_that_decodes_is_written)
{
    const gf_recipe recipe = {.width = 14, .height = 17, .scale = 1 / 127.5f, .shift = -1};
    gf__export_source source = small_source("softmax", &recipe);
    source.has_decoder = true;
    char *path = gf__asprintf("%s/decoder.onnx", dir);
    CHECK_OK(gf__export_onnx(&source, path, &check_err));
    gf__free(path);
    gf_graph_free((gf_graph *)(uintptr_t)source.graph);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {UNIT(small_networks_are_written),
                                       UNIT(a_small_network_that_decodes_is_written)};
    if (argc != 2) {
        fprintf(stderr, "usage: make_export DIR\n");
        return 2;
    }
    dir = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
