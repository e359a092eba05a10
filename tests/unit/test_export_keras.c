/* A Keras .h5 or .keras that is written is read again, to the bit; a failure leaves nothing. */
#include "small_export.h"
#include "zoo/keras/keras_priv.h"

static const gf_recipe recipe = {.width = 14, .height = 17, .scale = 1 / 64.0f, .shift = -0.5f};

static void end_source(const gf__export_source *source)
{
    gf_graph_free((gf_graph *)(uintptr_t)source->graph);
}

static gf_status read_back(const char *path, const char *dir, gf__checkpoint *out)
{
    return strcmp(gf__path_extension(path), ".keras") == 0
               ? gf__keras_read(path, dir, NULL, out, &check_err)
               : gf__hdf5_read(path, dir, NULL, out, &check_err);
}

static void comes_back(const char *name)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, name);
    const gf__export_source source = small_source("softmax", &recipe);
    gf__checkpoint checkpoint = {0};
    char want[GF__SHA256_HEX], got[GF__SHA256_HEX];
    CHECK_OK(gf__export_keras(&source, path, &check_err));
    CHECK_OK(read_back(path, dir, &checkpoint));
    CHECK_OK(gf__graph_sha256(source.graph, want, &check_err));
    CHECK_OK(gf__graph_sha256(checkpoint.graph, got, &check_err));
    CHECK_STR(got, want);
    CHECK(checkpoint.has_input);
    CHECK(checkpoint.scale == 1 / 64.0f && checkpoint.shift == -0.5f);
    CHECK_EQ(checkpoint.n_classes, source.n_classes);
    for (size_t k = 0; k < source.n_classes; k++)
        CHECK_STR(checkpoint.class_names[k], source.class_names[k]);
    gf__checkpoint_free(&checkpoint);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(export_keras__comes_back_to_the_bit_with_classes_and_scaling)
{
    comes_back("small.h5");
    comes_back("small.keras");
}

static void has_the_same_bytes(const char *const names[2])
{
    char *dir = check_temp_dir(), *bytes[2] = {NULL};
    size_t n_bytes[2] = {0};
    const gf__export_source source = small_source("softmax", &recipe);
    for (size_t i = 0; i < 2; i++) {
        char *path = gf__path_join(dir, names[i]);
        CHECK_OK(gf__export_keras(&source, path, &check_err));
        CHECK_OK(gf__read_file(path, 1 << 20, &bytes[i], &n_bytes[i], &check_err));
        gf__free(path);
    }
    CHECK_EQ(n_bytes[0], n_bytes[1]);
    assert_memory_equal(bytes[0], bytes[1], n_bytes[0]);
    gf__free(bytes[0]);
    gf__free(bytes[1]);
    end_source(&source);
    check_remove_dir(dir);
}

TEST(export_keras__writes_the_same_bytes_twice)
{
    has_the_same_bytes((const char *const[2]){"a.h5", "b.h5"});
    has_the_same_bytes((const char *const[2]){"a.keras", "b.keras"});
}

static void leaves_nothing(const char *name, size_t step)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, name);
    const gf__export_source source = small_source("softmax", &recipe);
    gf__dir_list list = {0};
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n += step) {
        gf__mem_fail_after(n);
        st = gf__export_keras(&source, path, &check_err);
        gf__mem_fail_never();
        CHECK_OK(gf__list_dir(dir, &list, &check_err));
        CHECK_EQ(list.n_names, st == GF_OK ? 1 : 0);
        gf__dir_list_free(&list);
    }
    if (st != GF_OK)
        fail_msg("%s: %s", gf_status_name(st), check_err.message);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(export_keras__leaves_nothing_where_it_fails)
{
    leaves_nothing("small.h5", 1);
    leaves_nothing("small.keras", 5);
}

/* In the archive stands what Keras has no place for, and no time. */
TEST(export_keras__an_archive_has_class_names_and_preprocessing)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "small.keras");
    const gf__export_source source = small_source("softmax", &recipe);
    gf__mapping file = {0};
    gf__archive *zip = NULL;
    char text[16384] = "";
    size_t n = 0;
    CHECK_OK(gf__export_keras(&source, path, &check_err));
    CHECK_OK(gf__map_file(path, &file, &check_err));
    CHECK_OK(gf__archive_open(file.data, file.size, &zip, &check_err));
    CHECK_EQ(gf__archive_n_members(zip), 3);
    CHECK_STR(gf__archive_name_at(zip, 0), "metadata.json");
    CHECK_STR(gf__archive_name_at(zip, 1), "config.json");
    CHECK_STR(gf__archive_name_at(zip, 2), "model.weights.h5");
    CHECK_OK(gf__archive_begin(zip, 0, &n, &check_err));
    CHECK(n < sizeof text);
    CHECK_OK(gf__archive_read(zip, text, n, &check_err));
    gf__archive_end(zip);
    assert_non_null(
        strstr(text, "{\"keras_version\":\"3.0.0\",\"graft\":{\"classes\":[\"0\",\"1\","));
    assert_non_null(strstr(text, "\"height\":17,\"width\":14"));
    assert_null(strstr(text, "date"));
    gf__archive_close(zip);
    gf__unmap(&file);
    end_source(&source);
    gf__free(path);
    check_remove_dir(dir);
}

/* "block/conv" is a name in TensorFlow and Keras 2. */
TEST(export_keras__an_archive_takes_no_name_with_a_slash)
{
    char *dir = check_temp_dir(), *path = gf__path_join(dir, "m.keras");
    char *h5 = gf__path_join(dir, "m.h5");
    gf_graph *graph = NULL;
    const gf__layer_config input = {
        .class_id = GF__LAYER_INPUT, .name = "row", .input_shape = {3}, .n_input_dims = 1};
    const gf_dense_options dense = {.units = 2, .activation = "softmax", .name = "block/dense"};
    size_t index = 0;
    CHECK_OK(gf__graph_new("net", &graph, &check_err));
    CHECK_OK(gf__graph_add(graph, &input, NULL, 0, &index, &check_err));
    CHECK_OK(gf_graph_add_dense(graph, &dense, &check_err));
    const gf__export_source source = {.name = "net", .graph = graph};
    CHECK_FAILS(GF_EUNSUPPORTED, "\"block/dense\": Keras 3 takes no name with a slash",
                gf__export_keras(&source, path, &check_err));
    CHECK(!gf__is_file(path));
    CHECK_OK(gf__export_keras(&source, h5, &check_err));
    gf_graph_free(graph);
    gf__free(path);
    gf__free(h5);
    check_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(export_keras__comes_back_to_the_bit_with_classes_and_scaling),
        UNIT(export_keras__writes_the_same_bytes_twice),
        UNIT(export_keras__leaves_nothing_where_it_fails),
        UNIT(export_keras__an_archive_has_class_names_and_preprocessing),
        UNIT(export_keras__an_archive_takes_no_name_with_a_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
