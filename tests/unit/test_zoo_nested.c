/* test_zoo_nested.c: Keras models whose layers are models, from each form and version that writes them, become
 * the network that they are without: its layers, its weights, its input. tests/golden/make_keras_nested.py
 * made them all of one. */
#include "check.h"
#include "tensor/tensor.h"
#include "zoo/keras/keras_priv.h"

#define FOLDER "golden/zoo/nested/"

static gf_trunk *import_fixture(const char *fixture, const char *home)
{
    char path[256];
    gf_trunk *trunk = NULL;
    snprintf(path, sizeof path, FOLDER "%s", fixture);
    CHECK_OK(gf_zoo_import(check_fixture(path), "x", home, NULL, NULL, &check_err));
    CHECK_OK(gf_trunk_load(home, "x", &trunk, &check_err));
    return trunk;
}

static void check_same_weights(const gf_layer *got, const gf_layer *want)
{
    CHECK_EQ(gf__layer_n_weights(got), gf__layer_n_weights(want));
    for (size_t k = 0; k < gf__layer_n_weights(want); k++) {
        const gf_tensor *a = gf__layer_weight_at(got, k), *b = gf__layer_weight_at(want, k);
        CHECK_EQ(gf_tensor_size_bytes(a), gf_tensor_size_bytes(b));
        if (memcmp(gf_tensor_data(a), gf_tensor_data(b), gf_tensor_size_bytes(a)) != 0)
            fail_msg("layer \"%s\": its %s is another", gf_layer_name(got),
                     gf__layer_weight_name(got, k));
    }
}

static void check_same(const gf_graph *got, const gf_graph *want, bool has_same_names)
{
    CHECK_EQ(gf_graph_n_layers(got), gf_graph_n_layers(want));
    for (size_t i = 0; i < gf_graph_n_layers(want); i++) {
        const gf_layer *a = gf_graph_layer_at(got, (ptrdiff_t)i);
        const gf_layer *b = gf_graph_layer_at(want, (ptrdiff_t)i);
        CHECK_STR(gf_layer_class_name(a), gf_layer_class_name(b));
        if (has_same_names && i > 0)
            CHECK_STR(gf_layer_name(a), gf_layer_name(b));
        CHECK_EQ(gf_layer_n_inputs(a), gf_layer_n_inputs(b));
        for (size_t k = 0; k < gf_layer_n_inputs(a); k++)
            CHECK_EQ(gf_layer_input_at(a, k), gf_layer_input_at(b, k));
        check_same_weights(a, b);
    }
}

/* x / 127.5 - 1 in front, or a Rescaling that says the same. */
static void check_input(const gf_trunk *trunk)
{
    size_t width = 0, height = 0;
    float scale = 0, shift = 0;
    gf_trunk_input(trunk, &width, &height, &scale, &shift);
    CHECK_EQ(width, 16);
    CHECK_EQ(height, 16);
    assert_true(fabsf(scale - 1.0F / 127.5F) < 1e-9F);
    assert_true(shift == -1.0F);
}

TEST(nested__every_form_gives_the_flat_network)
{
    static const struct {
        const char *file;
        bool has_same_names;
    } files[] = {
        {"nested_2_13.h5", true},    {"nested_2_13.keras", true}, {"nested_2_15.h5", true},
        {"nested_2_15.keras", true}, {"nested_3_12.h5", true},    {"nested_3_12.keras", true},
        {"chain_2_13.keras", true},  {"chain_2_15.h5", true},     {"chain_2_15.keras", true},
        {"chain_3_12.h5", true},     {"chain_3_12.keras", true},  {"frozen_2_15.h5", true},
        {"frozen_3_12.h5", true},    {"renamed_3_12.h5", false},  {"tfjs/model.json", false},
    };
    char *home = check_temp_dir();
    gf_trunk *flat = import_fixture("flat_2_15.h5", home);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        gf_trunk *trunk = import_fixture(files[i].file, home);
        check_same(gf_trunk_graph(trunk), gf_trunk_graph(flat), files[i].has_same_names);
        check_input(trunk);
        gf_trunk_free(trunk);
    }
    gf_trunk_free(flat);
    check_remove_dir(home);
}

/* Which layers are frozen is part of what a trunk is known by. */
TEST(nested__forms_of_one_model_are_one_trunk)
{
    static const char *const files[] = {"nested_2_13.keras", "nested_2_15.h5", "nested_2_15.keras",
                                        "nested_3_12.h5", "nested_3_12.keras"};
    char *home = check_temp_dir();
    gf_trunk *first = import_fixture("nested_2_13.h5", home);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        gf_trunk *trunk = import_fixture(files[i], home);
        CHECK_STR(gf_trunk_sha256(trunk), gf_trunk_sha256(first));
        gf_trunk_free(trunk);
    }
    size_t index = 0;
    const gf_graph *graph = gf_trunk_graph(first);
    CHECK_OK(gf_graph_find_layer(graph, "stem_conv", &index, &check_err)); /* conv was taken */
    CHECK(!gf_layer_is_trainable(gf_graph_layer_at(graph, (ptrdiff_t)index)));
    CHECK_OK(gf_graph_find_layer(graph, "conv", &index, &check_err));
    CHECK_STR(gf_layer_class_name(gf_graph_layer_at(graph, (ptrdiff_t)index)), "Dense");
    gf_trunk_free(first);
    check_remove_dir(home);
}

TEST(nested__groups_that_go_in_circles_are_left)
{
    char *home = check_temp_dir();
    CHECK_FAILS(
        GF_EFORMAT, "circle.keras: model.weights.h5: models are more than 16 deep",
        gf_zoo_import(check_fixture(FOLDER "circle.keras"), "x", home, NULL, NULL, &check_err));
    check_remove_dir(home);
}

/* ---- weights of a model in an HDF5 file ------------------------------------------------------ */

static const char config[] =
    "{\"class_name\":\"Sequential\",\"config\":{\"layers\":[{\"class_name\":\"Sequential\","
    "\"config\":"
    "{\"name\":\"base\",\"layers\":[{\"class_name\":\"InputLayer\",\"config\":{\"name\":\"i\","
    "\"batch_input_shape\":[null,2]}},{\"class_name\":\"Dense\",\"config\":{\"name\":\"a\","
    "\"units\":2"
    ",\"trainable\":false}},{\"class_name\":\"Dense\",\"config\":{\"name\":\"b\",\"units\":2}}]}}]}"
    "}";

#define N_WEIGHTS 4

/* The file lists these weights, kernels being of twos of 1, 2 ... in its order. */
static gf_status import_names(const char *const names[N_WEIGHTS], gf__checkpoint *out)
{
    gf_error err;
    gf_named_tensor named[N_WEIGHTS];
    char *home = check_temp_dir(), *path = gf__path_join(home, "net.h5");
    char *tensors = gf__path_join(home, "net.safetensors");
    char text[N_WEIGHTS][64];
    gf__buffer layers = {0};
    gf__buffer_puts(&layers, "[[\"base\", [");
    for (size_t i = 0; i < N_WEIGHTS; i++) {
        gf_tensor *tensor = NULL;
        const size_t n_dims = strstr(names[i], "bias") != NULL ? 1 : 2;
        CHECK_OK(gf_tensor_new(GF_DTYPE_F32, (const size_t[]){2, 2}, n_dims, &tensor, &check_err));
        for (size_t k = 0; k < gf_tensor_n_values(tensor); k++)
            ((float *)gf_tensor_mutable_data(tensor))[k] = (float)(i + 1);
        snprintf(text[i], sizeof text[i], "base/%s", names[i]);
        named[i] = (gf_named_tensor){text[i], tensor};
        gf__buffer_printf(&layers, "%s\"%s\"", i > 0 ? ", " : "", names[i]);
    }
    gf__buffer_printf(&layers, "]]]%c", '\0');
    const gf_metadata metadata[] = {{"model_config", config},
                                    {"backend", "tensorflow"},
                                    {"keras_version", "2.15.0"},
                                    {"layers", layers.data}};
    CHECK_OK(gf_safetensors_save(tensors, named, N_WEIGHTS, metadata, 4, &check_err));
    CHECK_OK(gf__hdf5_write(tensors, path, NULL, &check_err));
    const gf_status st = gf__hdf5_read(path, home, NULL, out, &err);
    for (size_t i = 0; i < N_WEIGHTS; i++)
        gf_tensor_free((gf_tensor *)(uintptr_t)named[i].tensor);
    gf__buffer_free(&layers);
    gf__free(tensors);
    gf__free(path);
    check_remove_dir(home);
    check_err = err;
    return st;
}

static void check_numbers(const char *const names[N_WEIGHTS], const float want[N_WEIGHTS])
{
    gf__checkpoint checkpoint = {0};
    CHECK_OK(import_names(names, &checkpoint));
    for (size_t i = 0; i < N_WEIGHTS; i++) {
        const gf_layer *layer = gf_graph_layer_at(checkpoint.graph, i < 2 ? 1 : 2);
        CHECK(gf_tensor_f32(gf__layer_weight_at(layer, i % 2))[0] == want[i]);
    }
    gf__checkpoint_free(&checkpoint);
}

TEST(nested__weights_go_by_names_and_else_by_what_is_trained)
{
    check_numbers((const char *const[]){"b/kernel:0", "s/b/bias:0", "a/kernel:0", "a/bias:0"},
                  (const float[]){3, 4, 1, 2});
    check_numbers((const char *const[]){"a/bias:0", "b/bias:0", "a/kernel:0", "b/kernel:0"},
                  (const float[]){3, 1, 4, 2});
    /* Names of nobody here: b's come first, since a is frozen. */
    check_numbers((const char *const[]){"x/kernel:0", "x/bias:0", "y/kernel:0", "y/bias:0"},
                  (const float[]){3, 4, 1, 2});
}

TEST(nested__weights_of_other_kinds_are_refused)
{
    gf__checkpoint checkpoint = {0};
    CHECK_FAILS(
        GF_EMISMATCH,
        "net.h5: model \"base\": its weights in the file have neither the names nor the order",
        import_names((const char *const[]){"x/bias:0", "x/kernel:0", "y/kernel:0", "y/bias:0"},
                     &checkpoint));
    gf__checkpoint_free(&checkpoint);
}

TEST(nested__import_survives_every_allocation_failure)
{
    static const char *const files[] = {FOLDER "nested_2_15.h5", FOLDER "nested_3_12.keras"};
    char *home = check_temp_dir();
    for (size_t i = 0; i < 2; i++) {
        gf_status st = GF_ENOMEM;
        for (size_t n = 0; st == GF_ENOMEM; n += 97) {
            gf__mem_fail_after(n);
            st = gf_zoo_import(check_fixture(files[i]), "x", home, NULL, NULL, &check_err);
            gf__mem_fail_never();
            if (st != GF_OK && st != GF_ENOMEM)
                fail_msg("allocation %zu: %s: %s", n, gf_status_name(st), check_err.message);
        }
    }
    check_remove_dir(home);
}

TESTS_MAIN(UNIT(nested__every_form_gives_the_flat_network),
           UNIT(nested__forms_of_one_model_are_one_trunk),
           UNIT(nested__groups_that_go_in_circles_are_left),
           UNIT(nested__weights_go_by_names_and_else_by_what_is_trained),
           UNIT(nested__weights_of_other_kinds_are_refused),
           UNIT(nested__import_survives_every_allocation_failure))
