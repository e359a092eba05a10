/* test_zoo_hdf5.c: Keras' HDF5 files through graft-h5, and the guard in front of it. */
#include <sys/stat.h>
#include <unistd.h>

#include "zoo/keras/keras_priv.h"
#include "zoo_home.h"

/* Both were written from one model (tests/golden/make_zoo.py): same graph, same weights, so the
 * same identity. */
TEST(hdf5__whole_model_equals_the_same_model_from_tensorflow_js)
{
    char *home = check_temp_dir();
    gf_trunk *h5 = import_fixture("golden/zoo/small.h5", "small", home);
    gf_trunk *js = import_fixture("golden/zoo/small_float32", "other", home);
    CHECK_STR(gf_trunk_sha256(h5), gf_trunk_sha256(js));
    CHECK_STR(gf_trunk_origin(h5), "Keras HDF5 model, small.h5");
    gf_trunk_free(h5);
    gf_trunk_free(js);
    check_home_is_clean(home);
}

/* Weight number n of the file is filled with n / 1000, variances with 1 more. */
static void check_filled(const gf_graph *graph, size_t n_weights)
{
    size_t n = 0;
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++, n++) {
            const gf_tensor *tensor = gf__layer_weight_at(layer, k);
            const bool is_variance = strcmp(gf__layer_weight_name(layer, k), "moving_variance") ==
                                     0;
            const float want = (float)((double)n / 1000 + is_variance);
            CHECK(gf_tensor_f32(tensor)[0] == want);
            CHECK(gf_tensor_f32(tensor)[gf_tensor_n_values(tensor) - 1] == want);
        }
    }
    CHECK_EQ(n, n_weights);
}

TEST(hdf5__inception_weights_go_to_layers_by_order)
{
    char *home = check_temp_dir();
    gf_trunk *trunk = import_fixture("golden/zoo/inception_v3_filled.h5", "inception_v3", home);
    CHECK_EQ(gf_graph_n_layers(gf_trunk_graph(trunk)), 313);
    check_filled(gf_trunk_graph(trunk), 378);
    CHECK_EQ(gf_trunk_n_classes(trunk), 1000);
    CHECK_STR(gf_trunk_class_id_at(trunk, 0), "n01440764"); /* tench */
    CHECK_STR(gf_trunk_class_id_at(trunk, 386), "n02504458");
    CHECK_STR(gf_trunk_class_id_at(trunk, 999), "n15075141"); /* toilet tissue */
    CHECK(gf_trunk_class_id_at(trunk, 1000) == NULL);
    for (size_t k = 1; k < 1000; k++) /* the order of the outputs is that of the ids */
        CHECK(strcmp(gf_trunk_class_id_at(trunk, k - 1), gf_trunk_class_id_at(trunk, k)) < 0);
    CHECK_STR(gf_trunk_class_at(trunk, 386), "African_elephant");
    CHECK_STR(gf_trunk_origin(trunk), "Keras HDF5 weights, inception_v3_filled.h5");
    gf_trunk_free(trunk);
    check_home_is_clean(home);
}

TEST(hdf5__inception_without_top)
{
    char *home = check_temp_dir();
    gf_trunk *trunk = import_fixture("golden/zoo/inception_v3_filled_notop.h5", "inception_v3",
                                     home);
    CHECK_EQ(gf_graph_n_layers(gf_trunk_graph(trunk)), 311);
    check_filled(gf_trunk_graph(trunk), 376);
    CHECK_EQ(gf_trunk_n_classes(trunk), 0);
    gf_trunk_free(trunk);
    check_home_is_clean(home);
}

TEST(hdf5__weights_of_another_network_are_refused)
{
    char *home = check_temp_dir();
    CHECK_FAILS(GF_EMISMATCH,
                "small_weights.h5: has 5 layers with weights, the network \"inception_v3\" has 188",
                gf_zoo_import(check_fixture("golden/zoo/small_weights.h5"), "x", home, NULL, NULL,
                              &check_err));
    CHECK_FAILS(GF_EMISMATCH, "small.h5: is not Inception-v3: layer 1 \"pad\" is ZeroPadding2D",
                gf_zoo_import(check_fixture("golden/zoo/small.h5"), "inception_v3", home, NULL,
                              NULL, &check_err));
    check_home_is_clean(home);
}

/* ---- what graft says about its own ---- */

/* A model of one Dense layer that says `properties` of itself. */
static gf_status import_with(const char *properties, gf__checkpoint *out)
{
    static const char *const config =
        "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"net\", \"layers\": "
        "[{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 2, \"use_bias\": "
        "false, \"activation\": \"softmax\", \"batch_input_shape\": [null, 3]}}]}}";
    char *home = check_temp_dir(), *path = gf__path_join(home, "net.h5");
    char *tensors = gf__path_join(home, "net.safetensors");
    gf_tensor *kernel = NULL;
    gf_error err = {.message = ""};
    const gf_metadata metadata[] = {{"layers", "[[\"d\", [\"d/kernel:0\"]]]"},
                                    {"model_config", config},
                                    {"backend", "tensorflow"},
                                    {"keras_version", "2.3.0"},
                                    {"graft_properties", properties}};
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, (const size_t[]){3, 2}, 2, &kernel, &check_err));
    const gf_named_tensor named = {"d/d/kernel:0", kernel};
    CHECK_OK(gf_safetensors_save(tensors, &named, 1, metadata, 5, &check_err));
    CHECK_OK(gf__hdf5_write(tensors, path, NULL, &check_err));
    const gf_status st = gf__hdf5_read(path, home, NULL, out, &err);
    gf_tensor_free(kernel);
    gf__free(tensors);
    gf__free(path);
    check_remove_dir(home);
    check_err = err;
    return st;
}

TEST(hdf5__what_graft_wrote_about_it_comes_back)
{
    gf__checkpoint checkpoint = {0};
    CHECK_OK(import_with("{\"classes\": [\"rosé\", \"tulip\"], "
                         "\"preprocessing\": {\"scale\": 0.25, \"shift\": -2}}",
                         &checkpoint));
    CHECK_EQ(checkpoint.n_classes, 2);
    CHECK_STR(checkpoint.class_names[0], "rosé");
    CHECK(checkpoint.has_input && checkpoint.scale == 0.25F && checkpoint.shift == -2.0F);
    gf__checkpoint_free(&checkpoint);
}

TEST(hdf5__what_cannot_be_about_it_is_refused)
{
    gf__checkpoint checkpoint = {0};
    CHECK_FAILS(GF_EFORMAT, "net.h5: graft_properties: JSON", import_with("{", &checkpoint));
    gf__checkpoint_free(&checkpoint);
    checkpoint = (gf__checkpoint){0};
    CHECK_FAILS(GF_EFORMAT, "net.h5: graft_properties: scales the input by 0",
                import_with("{\"preprocessing\": {\"scale\": 0, \"shift\": 0}}", &checkpoint));
    gf__checkpoint_free(&checkpoint);
}

/* ---- the guard ---- */

static gf_status import_bytes(const char *bytes, size_t size)
{
    char path[4200];
    gf_error err = {.message = ""};
    char *home = check_temp_dir();
    snprintf(path, sizeof path, "%s/file.h5", home);
    CHECK_OK(gf__write_file(path, bytes, size, &check_err));
    const gf_status st = gf_zoo_import(path, "x", home, NULL, NULL, &err);
    check_home_is_clean(home);
    check_err = err;
    return st;
}

TEST(guard__signature_alone_is_not_a_file)
{
    CHECK_FAILS(GF_EFORMAT, "file.h5: is not an HDF5 file, or a damaged one",
                import_bytes("\x89HDF\r\n\x1a\n", 8));
    CHECK_FAILS(GF_EFORMAT, "is not a checkpoint that can be read",
                import_bytes("\x89HDF\r\n\x1a", 7));
    CHECK_FAILS(GF_EFORMAT, "is an empty file", import_bytes("", 0));
}

/* Damage anywhere gives an error or, where it hit nothing that matters, a trunk: never a crash or a
 * hang of ours. */
TEST(guard__damaged_files_end_the_child_at_most)
{
    char *bytes = NULL;
    size_t size;
    CHECK_OK(
        gf__read_file(check_fixture("golden/zoo/small.h5"), 1 << 20, &bytes, &size, &check_err));
    for (size_t n = 16; n < size; n += size / 12)
        CHECK(import_bytes(bytes, n) != GF_OK);
    for (size_t at = 8; at < size; at += size / 40) {
        const char was = bytes[at];
        bytes[at] = (char)(was ^ 0xff);
        (void)import_bytes(bytes, size);
        bytes[at] = was;
    }
    gf__free(bytes);
}

TEST(guard__what_is_no_plain_file_is_refused)
{
    char path[4200];
    char *home = check_temp_dir();
    gf_safetensors *file = NULL;
    snprintf(path, sizeof path, "%s/pipe.h5", home);
    assert_int_equal(mkfifo(path, 0600), 0);
    CHECK_FAILS(GF_EFORMAT, "is not an HDF5 file (no signature in front)",
                gf__hdf5_convert(path, home, NULL, &file, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "/nowhere.h5",
                gf__hdf5_convert("/nowhere.h5", home, NULL, &file, &check_err));
    check_remove_dir(home);
}

TEST(guard__import_survives_every_allocation_failure)
{
    char *home = check_temp_dir();
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n += 61) {
        gf__mem_fail_after(n);
        st = gf_zoo_import(check_fixture("golden/zoo/small.h5"), "small", home, NULL, NULL,
                           &check_err);
        gf__mem_fail_never();
        if (st != GF_OK && st != GF_ENOMEM)
            fail_msg("allocation %zu: %s: %s", n, gf_status_name(st), check_err.message);
    }
    check_home_is_clean(home);
}

TESTS_MAIN(UNIT(hdf5__whole_model_equals_the_same_model_from_tensorflow_js),
           UNIT(hdf5__inception_weights_go_to_layers_by_order), UNIT(hdf5__inception_without_top),
           UNIT(hdf5__weights_of_another_network_are_refused),
           UNIT(hdf5__what_graft_wrote_about_it_comes_back),
           UNIT(hdf5__what_cannot_be_about_it_is_refused),
           UNIT(guard__signature_alone_is_not_a_file),
           UNIT(guard__damaged_files_end_the_child_at_most),
           UNIT(guard__what_is_no_plain_file_is_refused),
           UNIT(guard__import_survives_every_allocation_failure))
