/* What is written as ONNX: the same bytes as the committed files, which `make interop` shows ONNX
 * Runtime to answer like graft; and what happens where it cannot be written. */
#include "small_export.h"

static const gf_recipe recipe = {.width = 14, .height = 17, .scale = 1 / 127.5f, .shift = -1};

static void end_source(const gf__export_source *source)
{
    gf_graph_free((gf_graph *)(uintptr_t)source->graph);
}

static void check_bytes(const gf__export_source *source, const char *golden)
{
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "small.onnx");
    char *got = NULL, *want = NULL;
    size_t n_got = 0, n_want = 0;
    char name[64];
    snprintf(name, sizeof name, "golden/export/%s.onnx", golden);
    CHECK_OK(gf__export_onnx(source, path, &check_err));
    CHECK_OK(gf__read_file(path, 1 << 20, &got, &n_got, &check_err));
    CHECK_OK(gf__read_file(check_fixture(name), 1 << 20, &want, &n_want, &check_err));
    CHECK_EQ(n_got, n_want);
    assert_memory_equal(got, want, n_want);
    gf__free(got);
    gf__free(want);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(export_onnx__writes_the_bytes_that_others_were_shown)
{
    for (size_t i = 0; i < N_SMALL_CUTS; i++) {
        const gf__export_source source = small_source(small_cuts[i], &recipe);
        check_bytes(&source, small_cuts[i]);
        end_source(&source);
    }
}

TEST(export_onnx__writes_the_decoder_that_others_were_shown)
{
    gf__export_source source = small_source("softmax", &recipe);
    source.has_decoder = true;
    check_bytes(&source, "decoder");
    end_source(&source);
}

TEST(export_onnx__refuses_a_bound_that_onnx_would_need_another_operator_for)
{
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "relu.onnx");
    gf_graph *graph = new_graph(4, 4, 3);
    ADD1(graph, 0, .class_id = GF__LAYER_RELU, .name = "relu4", .max_value = 4.0);
    const char *const classes[] = {"a"};
    const gf__export_source source = {
        .name = "relu", .graph = graph, .class_names = classes, .n_classes = 1};
    CHECK_FAILS(GF_EUNSUPPORTED, "relu4: a ReLU up to 4",
                gf__export_onnx(&source, path, &check_err));
    CHECK(!gf__is_file(path));
    gf_graph_free(graph);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(export_onnx__leaves_nothing_where_it_cannot_write)
{
    const gf__export_source source = small_source("softmax", &recipe);
    CHECK_FAILS(GF_ENOTFOUND, "/nowhere/small.onnx",
                gf__export_onnx(&source, "/nowhere/small.onnx", &check_err));
    end_source(&source);
}

TEST(export_onnx__survives_every_allocation_failure)
{
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "small.onnx");
    gf__export_source source = small_source("softmax", &recipe);
    source.has_decoder = true;
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__export_onnx(&source, path, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && !gf__is_file(path)));
    }
    CHECK_EQ(st, GF_OK);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(export_onnx__writes_the_bytes_that_others_were_shown),
        UNIT(export_onnx__writes_the_decoder_that_others_were_shown),
        UNIT(export_onnx__refuses_a_bound_that_onnx_would_need_another_operator_for),
        UNIT(export_onnx__leaves_nothing_where_it_cannot_write),
        UNIT(export_onnx__survives_every_allocation_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
