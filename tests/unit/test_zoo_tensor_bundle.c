/* TensorFlow's checkpoints: a checkpoint's index is believed nothing. */
#include "tf_files.h"
#include "zoo/tensorflow/tensor_bundle.h"

/* ---- tensor bundles -------------------------------------------------------------------------- */

static char *read_index(size_t *size)
{
    return read_fixture("export/variables/variables.index", size);
}

TEST(bundle__finds_tensors_by_name)
{
    gf__tensor_bundle *bundle = NULL;
    gf_tensor *tensor = NULL;
    size_t size;
    char *bytes = read_index(&size);
    CHECK_OK(gf__tensor_bundle_parse(bytes, size, &bundle, &check_err));
    CHECK(gf__tensor_bundle_n_tensors(bundle) >= 17);
    CHECK_STR(gf__tensor_bundle_name_at(bundle, 0), "_CHECKPOINTABLE_OBJECT_GRAPH");
    CHECK_FAILS(GF_ENOTFOUND, "the checkpoint has no \"nothing\"",
                gf__tensor_bundle_load(bundle, "nothing", &tensor, &check_err));
    CHECK_FAILS(
        GF_EUNSUPPORTED, "\"_CHECKPOINTABLE_OBJECT_GRAPH\": is of TensorFlow's type 7",
        gf__tensor_bundle_load(bundle, "_CHECKPOINTABLE_OBJECT_GRAPH", &tensor, &check_err));
    CHECK_FAILS(
        GF_EFORMAT, "is not inside of the data file",
        gf__tensor_bundle_load(bundle, gf__tensor_bundle_name_at(bundle, 1), &tensor, &check_err));
    gf__tensor_bundle_close(bundle);
    gf__free(bytes);
}

TEST(bundle__every_cut_and_every_changed_byte_of_an_index_is_an_error)
{
    size_t size;
    char *bytes = read_index(&size);
    gf__tensor_bundle *bundle = NULL;
    for (size_t n = 0; n < size; n++) {
        char *cut = malloc(n + 1); /* so that reading past it is seen */
        memcpy(cut, bytes, n);
        CHECK(gf__tensor_bundle_parse(cut, n, &bundle, &check_err) != GF_OK);
        free(cut);
    }
    for (size_t i = 0; i < size - 48; i++) { /* the footer has padding, which nobody reads */
        bytes[i] = (char)(bytes[i] ^ 0x41);
        const gf_status st = gf__tensor_bundle_parse(bytes, size, &bundle, &check_err);
        CHECK(st == GF_EMISMATCH || st == GF_EUNSUPPORTED || st == GF_EFORMAT);
        bytes[i] = (char)(bytes[i] ^ 0x41);
    }
    gf__free(bytes);
}

TEST(bundle__a_compressed_block_is_told)
{
    size_t size, n_found = 0;
    char *bytes = read_index(&size);
    gf__tensor_bundle *bundle = NULL;
    for (size_t i = 0; i < size - 48; i++) { /* one of them is the kind of a block's compression */
        const char was = bytes[i];
        bytes[i] = 1; /* snappy */
        n_found += gf__tensor_bundle_parse(bytes, size, &bundle, &check_err) == GF_EUNSUPPORTED &&
                   strstr(check_err.message, "is compressed (kind 1)") != NULL;
        gf__tensor_bundle_close(bundle);
        bundle = NULL;
        bytes[i] = was;
    }
    CHECK_EQ(n_found, 3);
    gf__free(bytes);
}

/* The folder again, with its data file changed. */
static void check_data(gf_status status, const char *message, ptrdiff_t n_more, size_t changed)
{
    static const char *const files[] = {"saved_model.pb", "variables/variables.index",
                                        "variables/variables.data-00000-of-00001"};
    gf__checkpoint checkpoint = {0};
    char *dir = check_temp_dir(), *folder = gf__path_join(dir, "variables"), name[64];
    CHECK_OK(gf__make_dirs(folder, &check_err));
    for (size_t i = 0; i < 3; i++) {
        char *bytes = NULL, *path = gf__path_join(dir, files[i]);
        size_t size;
        snprintf(name, sizeof name, "export/%s", files[i]);
        CHECK_OK(gf__read_file(fixture(name), 1 << 20, &bytes, &size, &check_err));
        if (i == 2) {
            size = (size_t)((ptrdiff_t)size + n_more);
            bytes[changed] = (char)(bytes[changed] ^ 1);
        }
        CHECK_OK(gf__write_file(path, bytes, size, &check_err));
        gf__free(path);
        gf__free(bytes);
    }
    CHECK_FAILS(status, message, read_path(dir, &checkpoint));
    gf__free(folder);
    check_remove_dir(dir);
}

TEST(bundle__damaged_data_is_told_with_the_variables_name)
{
    check_data(GF_EFORMAT, "is not inside of the data file: cut short?", -3300, 0);
    check_data(GF_EMISMATCH, "is damaged: wrong checksum", 0, 40);
}

TESTS_MAIN(UNIT(bundle__finds_tensors_by_name),
           UNIT(bundle__every_cut_and_every_changed_byte_of_an_index_is_an_error),
           UNIT(bundle__a_compressed_block_is_told),
           UNIT(bundle__damaged_data_is_told_with_the_variables_name))
