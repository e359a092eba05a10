/* A layers-model that is written is read again: the same weights to the bit, or as near as its
 * quantisation allows. `make interop` gives the same to TensorFlow.js itself. */
#include "small_export.h"
#include "zoo/tfjs/tfjs.h"

/* Not what is taken where a file says nothing. */
static const gf_recipe recipe = {.width = 14, .height = 17, .scale = 1 / 64.0f, .shift = -0.5f};

static void end_source(const gf__export_source *source)
{
    gf_graph_free((gf_graph *)(uintptr_t)source->graph);
}

static void read_back(const char *dir, gf__checkpoint *out)
{
    gf__source source = {.kind = GF__SOURCE_TFJS, .path = gf__path_join(dir, "model.json")};
    CHECK_OK(gf__tfjs_read(&source, NULL, out, &check_err));
    gf__free(source.path);
}

/* The largest difference of a kernel from what was written, relative to its largest value; other
 * weights must be the same. */
static double compare(const gf_graph *want, const gf_graph *got)
{
    double worst = 0;
    CHECK_EQ(gf_graph_n_layers(got), gf_graph_n_layers(want));
    for (size_t i = 0; i < gf_graph_n_layers(want); i++) {
        const gf_layer *a = gf_graph_layer_at(want, (ptrdiff_t)i);
        const gf_layer *b = gf_graph_layer_at(got, (ptrdiff_t)i);
        CHECK_STR(gf_layer_name(a), gf_layer_name(b));
        for (size_t k = 0; k < gf__layer_n_weights(a); k++) {
            const float *x = gf_tensor_f32(gf__layer_weight_at(a, k));
            const float *y = gf_tensor_f32(gf__layer_weight_at(b, k));
            const size_t n = gf_tensor_n_values(gf__layer_weight_at(a, k));
            double most = 0;
            for (size_t v = 0; v < n; v++)
                most = fmax(most, fabs((double)x[v] - (double)y[v]));
            if (strcmp(gf__layer_weight_name(a, k), "kernel") != 0)
                CHECK_EQ(most, 0);
            worst = fmax(worst, most / largest(x, n));
        }
    }
    return worst;
}

static double round_trip(gf__export_quantisation quantisation)
{
    char *dir = check_temp_dir();
    char *path = gf__path_join(dir, "web");
    gf__export_source source = small_source("softmax", &recipe);
    gf__checkpoint checkpoint = {0};
    source.quantisation = quantisation;
    CHECK_OK(gf__export_tfjs(&source, path, &check_err));
    read_back(path, &checkpoint);
    const double worst = compare(source.graph, checkpoint.graph);
    CHECK(checkpoint.has_input);
    CHECK(checkpoint.scale == recipe.scale);
    CHECK(checkpoint.shift == recipe.shift);
    CHECK_EQ(checkpoint.n_classes, 4);
    CHECK_STR(checkpoint.class_names[3], "3");
    gf__checkpoint_free(&checkpoint);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
    return worst;
}

TEST(export_tfjs__comes_back_to_the_bit)
{
    CHECK_EQ(round_trip(GF__EXPORT_F32), 0);
}

TEST(export_tfjs__quantised_kernels_come_back_within_half_a_step)
{
    CHECK(round_trip(GF__EXPORT_F16) <= 0x1p-11);
    CHECK(round_trip(GF__EXPORT_U8) <= 2.0 / 255 * 0.51);
}

TEST(export_tfjs__says_what_the_model_is)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "web");
    char *file = gf__path_join(path, "model.json"), *text = NULL;
    size_t n_bytes = 0;
    gf__json *json = NULL;
    const gf__export_source source = small_source("softmax", &recipe);
    CHECK_OK(gf__export_tfjs(&source, path, &check_err));
    CHECK_OK(gf__read_file(file, 1 << 20, &text, &n_bytes, &check_err));
    CHECK_OK(gf__json_parse(text, n_bytes, &json, &check_err));
    const gf__json *properties = gf__json_find(json, "userDefinedMetadata");
    CHECK_EQ(gf__json_n_items(gf__json_find(properties, "classes")), 4);
    CHECK_STR(gf__json_string(gf__json_find(properties, "layer"), ""), "softmax");
    CHECK_STR(gf__json_string(gf__json_find(json, "format"), ""), "layers-model");
    assert_non_null(strstr(text, "depthwise/depthwise_kernel"));
    gf__json_free(json);
    gf__free(text);
    gf__free(file);
    gf__free(path);
    end_source(&source);
    check_remove_dir(dir);
}

TEST(export_tfjs__writes_over_nothing_and_leaves_nothing)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "web");
    const gf__export_source source = small_source("softmax", &recipe);
    gf__dir_list list = {0};
    gf_status st = GF_ENOMEM;
    CHECK_FAILS(GF_EEXISTS, "is there already", gf__export_tfjs(&source, dir, &check_err));
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__export_tfjs(&source, path, &check_err);
        gf__mem_fail_never();
        CHECK_OK(gf__list_dir(dir, &list, &check_err));
        CHECK_EQ(list.n_names, st == GF_OK ? 1 : 0);
        gf__dir_list_free(&list);
    }
    CHECK_EQ(st, GF_OK);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
}

/* A half ends at 65504: beyond it there is only infinity. */
TEST(export_tfjs__refuses_to_quantise_what_becomes_infinite)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "web");
    gf__export_source source = small_source("softmax", &recipe);
    gf__dir_list list = {0};
    const gf_layer *layer = gf_graph_layer_at(source.graph, -1);
    for (size_t i = gf_graph_n_layers(source.graph); gf_layer_weight(layer, "kernel") == NULL;)
        layer = gf_graph_layer_at(source.graph, (ptrdiff_t)--i);
    const gf_tensor *kernel = gf_layer_weight(layer, "kernel");
    float *values = gf_tensor_mutable_data((gf_tensor *)(uintptr_t)kernel);
    values[1] = -70000.0f;
    source.quantisation = GF__EXPORT_F16;
    CHECK_FAILS(GF_EUNSUPPORTED, "kernel: has the value -70000, at most 65504 can be quantised",
                gf__export_tfjs(&source, path, &check_err));
    source.quantisation = GF__EXPORT_U8;
    values[1] = INFINITY;
    CHECK_FAILS(GF_EUNSUPPORTED, "kernel: has the value inf",
                gf__export_tfjs(&source, path, &check_err));
    CHECK_OK(gf__list_dir(dir, &list, &check_err));
    CHECK_EQ(list.n_names, 0);
    gf__dir_list_free(&list);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
}

static bool count_down(void *user, const gf_progress *progress)
{
    size_t *left = user;
    CHECK(progress->n_done <= progress->n_total || progress->n_total == 0);
    return (*left)-- > 0;
}

/* Stopped at every moment that is asked about, in every format: GF_ECANCELED, and nothing is left. */
TEST(export__stops_when_asked_and_leaves_nothing)
{
    gf_status (*const write[])(const gf__export_source *source, const char *path, gf_error *err) = {
        gf__export_tfjs, gf__export_onnx, gf__export_keras, gf__export_savedmodel};
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "out");
    for (size_t f = 0; f < sizeof write / sizeof *write; f++) {
        gf_status st = GF_ECANCELED;
        for (size_t n = 0; st == GF_ECANCELED; n++) {
            size_t left = n;
            const gf_observer observer = {.progress = count_down, .user = &left};
            gf__export_source source = small_source("softmax", &recipe);
            gf__dir_list list = {0};
            source.observer = &observer;
            st = write[f](&source, path, &check_err);
            CHECK(st == GF_OK || st == GF_ECANCELED);
            CHECK_OK(gf__list_dir(dir, &list, &check_err));
            CHECK_EQ(list.n_names, st == GF_OK ? 1 : 0);
            gf__dir_list_free(&list);
            end_source(&source);
        }
        check_remove_dir(dir);
        dir = check_temp_dir();
        gf__free(path);
        path = gf__path_join(dir, "out");
    }
    gf__free(path);
    check_remove_dir(dir);
}

TEST(f16__every_half_comes_back_and_ties_go_to_even)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float value = gf__f16_to_f32((uint16_t)h);
        if (value == value)
            CHECK_EQ(gf__f32_to_f16(value), h);
        else
            CHECK_EQ(gf__f32_to_f16(value) & 0x7e00, 0x7e00);
    }
    CHECK_EQ(gf__f32_to_f16(1 + 0x1p-11f), 0x3c00);
    CHECK_EQ(gf__f32_to_f16(1 + 3 * 0x1p-11f), 0x3c02);
    CHECK_EQ(gf__f32_to_f16(65519.0f), 0x7bff);
    CHECK_EQ(gf__f32_to_f16(65520.0f), 0x7c00);
    CHECK_EQ(gf__f32_to_f16(-0x1p-25f), 0x8000);
    CHECK_EQ(gf__f32_to_f16(0x1.8p-25f), 0x0001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(export_tfjs__comes_back_to_the_bit),
        UNIT(export_tfjs__quantised_kernels_come_back_within_half_a_step),
        UNIT(export_tfjs__says_what_the_model_is),
        UNIT(export_tfjs__writes_over_nothing_and_leaves_nothing),
        UNIT(export_tfjs__refuses_to_quantise_what_becomes_infinite),
        UNIT(export__stops_when_asked_and_leaves_nothing),
        UNIT(f16__every_half_comes_back_and_ties_go_to_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
