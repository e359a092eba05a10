/* test_zoo_trunk.c: a trunk's file: what is in it, its identity, and every way it can be wrong. */
#include "check.h"
#include "zoo/zoo.h"

/* A home with the small network as "small"; ended with check_remove_dir(). */
static char *new_home(char sha256[65])
{
    char *home = check_temp_dir();
    CHECK_OK(gf_zoo_import(check_fixture("golden/zoo/small_float32"), "small", home, sha256, NULL,
                           &check_err));
    return home;
}

static char *small_path(const char *home)
{
    char *path = malloc(4096);
    snprintf(path, 4096, "%s/trunks/small.safetensors", home);
    return path;
}

TEST(trunk__loads_what_was_imported)
{
    char sha256[65];
    char *home = new_home(sha256);
    gf_trunk *trunk = NULL;
    size_t width, height;
    float scale, shift;
    CHECK_OK(gf_trunk_load(home, "small", &trunk, &check_err));
    CHECK_STR(gf_trunk_name(trunk), "small");
    CHECK_STR(gf_trunk_sha256(trunk), sha256);
    CHECK_STR(gf_trunk_origin(trunk), "TensorFlow.js layers-model, float32 weights, model.json");
    CHECK_EQ(gf_trunk_n_classes(trunk), 3);
    CHECK_STR(gf_trunk_class_at(trunk, 2), "class_2");
    CHECK(gf_trunk_class_at(trunk, 3) == NULL);
    CHECK(gf_trunk_class_id_at(trunk, 2) == NULL); /* none of ImageNet's */
    gf_trunk_input(trunk, &width, &height, &scale, &shift);
    CHECK_EQ(width, 16);
    CHECK_EQ(height, 16);
    CHECK(scale == 1.0f / 127.5f && shift == -1.0f);
    CHECK_OK(gf__trunk_verify(trunk, &check_err));
    gf_trunk_free(trunk);
    check_remove_dir(home);
}

/* tests/golden/make_zoo.py: value k of weight w of the model is w + k / 1024. */
TEST(trunk__weights_are_the_checkpoints)
{
    char *home = new_home(NULL);
    gf_trunk *trunk = NULL;
    CHECK_OK(gf_trunk_load(home, "small", &trunk, &check_err));
    const gf_graph *graph = gf_trunk_graph(trunk);
    size_t w = 0;
    for (size_t i = 0; i < gf_graph_n_layers(graph); i++) {
        const gf_layer *layer = gf_graph_layer_at(graph, (ptrdiff_t)i);
        for (size_t k = 0; k < gf__layer_n_weights(layer); k++, w++) {
            const gf_tensor *tensor = gf__layer_weight_at(layer, k);
            for (size_t v = 0; v < gf_tensor_n_values(tensor); v++)
                CHECK(gf_tensor_f32(tensor)[v] == (float)w + (float)v / 1024.0f);
        }
    }
    CHECK_EQ(w, 11);
    gf_trunk_free(trunk);
    check_remove_dir(home);
}

TEST(trunk__owners_are_counted)
{
    char *home = new_home(NULL);
    gf_trunk *trunk = NULL;
    CHECK_OK(gf_trunk_load(home, "small", &trunk, &check_err));
    gf_trunk *second = gf_trunk_ref(trunk);
    gf_trunk_free(trunk);
    CHECK_STR(gf_trunk_name(second), "small");
    gf_trunk_free(second);
    gf_trunk_free(NULL);
    check_remove_dir(home);
}

TEST(trunk__is_found_by_path_too)
{
    char *home = new_home(NULL), *path = small_path(home);
    gf_trunk *trunk = NULL;
    CHECK_OK(gf_trunk_load("/nowhere", path, &trunk, &check_err));
    gf_trunk_free(trunk);
    free(path);
    check_remove_dir(home);
}

TEST(trunk__missing_one_says_how_to_get_it)
{
    gf_trunk *trunk = NULL;
    CHECK_FAILS(GF_ENOTFOUND,
                "no trunk \"inception_v3\" in /nowhere/trunks; get one with `graft pull",
                gf_trunk_load("/nowhere", "inception_v3", &trunk, &check_err));
    CHECK(trunk == NULL);
    CHECK_FAILS(GF_ENOTFOUND, "/nowhere/x.safetensors",
                gf_trunk_load("/nowhere", "/nowhere/x.safetensors", &trunk, &check_err));
}

TEST(trunk__names_that_cannot_be_files_are_refused)
{
    char *home = check_temp_dir();
    static const char *const bad[] = {
        "",
        "a/b",
        "..",
        ".hidden",
        "a b",
        "\xc3\xa4",
        "0123456789012345678901234567890123456789012345678901234567890123x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(GF_EINVAL, "cannot name a trunk",
                    gf_zoo_import(check_fixture("golden/zoo/small_float32"), bad[i], home, NULL,
                                  NULL, &check_err));
    check_remove_dir(home);
}

/* One bit of a weight: loading trusts the file, verifying finds it. */
TEST(trunk__verify_finds_a_flipped_bit)
{
    char *home = new_home(NULL), *path = small_path(home), *bytes = NULL;
    size_t size;
    gf_trunk *trunk = NULL;
    CHECK_OK(gf__read_file(path, 1 << 20, &bytes, &size, &check_err));
    bytes[size - 1] ^= 1;
    CHECK_OK(gf__write_file(path, bytes, size, &check_err));
    CHECK_OK(gf_trunk_load(home, "small", &trunk, &check_err));
    CHECK_FAILS(GF_EMISMATCH, "trunk \"small\" is damaged", gf__trunk_verify(trunk, &check_err));
    gf_trunk_free(trunk);
    gf__free(bytes);
    free(path);
    check_remove_dir(home);
}

TEST(trunk__every_truncation_is_an_error)
{
    char *home = new_home(NULL), *path = small_path(home), *bytes = NULL;
    size_t size;
    CHECK_OK(gf__read_file(path, 1 << 20, &bytes, &size, &check_err));
    for (size_t n = 0; n < size; n += n < 64 ? 1 : 97) {
        gf_trunk *trunk = NULL;
        CHECK_OK(gf__write_file(path, bytes, n, &check_err));
        CHECK(gf_trunk_load(home, "small", &trunk, &check_err) != GF_OK);
        CHECK(trunk == NULL);
    }
    gf__free(bytes);
    free(path);
    check_remove_dir(home);
}

static void check_document(const char *document, gf_status want, const char *part)
{
    char *home = check_temp_dir(), *path = small_path(home);
    char folder[4200];
    gf_tensor *tensor = NULL;
    gf_trunk *trunk = NULL;
    snprintf(folder, sizeof folder, "%s/trunks", home);
    CHECK_OK(gf__make_dirs(folder, &check_err));
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, (size_t[]){1}, 1, &tensor, &check_err));
    const gf_named_tensor named = {"x/kernel", tensor};
    const gf_metadata metadata = {document != NULL ? "graft" : "other",
                                  document != NULL ? document : ""};
    CHECK_OK(gf_safetensors_save(path, &named, 1, &metadata, 1, &check_err));
    CHECK_FAILS(want, part, gf_trunk_load(home, "small", &trunk, &check_err));
    CHECK(strstr(check_err.message, "small.safetensors") != NULL);
    gf_tensor_free(tensor);
    free(path);
    check_remove_dir(home);
}

TEST(trunk__wrong_documents_are_errors_that_name_the_file)
{
#define HEAD "{\"format\":1,\"kind\":\"trunk\",\"name\":\"n\",\"origin\":\"o\","
#define SHA  "\"sha256\":\"0000000000000000000000000000000000000000000000000000000000000000\","
#define REST                                                                                    \
    "\"input\":{\"scale\":1,\"shift\":0},\"graph\":{\"class_name\":\"Sequential\",\"config\":[" \
    "{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\",\"units\":2,"                         \
    "\"batch_input_shape\":[null,2]}}]}"
    check_document(NULL, GF_EFORMAT, "has no \"graft\" metadata");
    check_document("{", GF_EFORMAT, "small.safetensors");
    check_document("{\"format\":2,\"kind\":\"trunk\"}", GF_EUNSUPPORTED, "trunk format 2");
    check_document("{\"format\":1,\"kind\":\"model\"}", GF_EFORMAT,
                   "holds a model, expected a trunk");
    check_document(HEAD "\"sha256\":\"12\"," REST ",\"classes\":[]}", GF_EFORMAT,
                   "\"d/kernel\" is missing");
    check_document(HEAD SHA REST ",\"classes\":[]}", GF_EFORMAT,
                   "the tensor \"d/kernel\" is missing");
    check_document(HEAD SHA "\"input\":{\"scale\":\"1\"},\"graph\":{}}", GF_EFORMAT, "scale");
    check_document(HEAD SHA "\"input\":{\"scale\":1,\"shift\":0},\"graph\":{\"class_name\":\"X\"}}",
                   GF_EUNSUPPORTED, "expected Model");
}

TEST(take__keeps_the_parts_on_failure)
{
    gf_graph *graph = NULL;
    gf_trunk *trunk = NULL;
    char hex[65];
    CHECK_OK(gf__zoo_inception_v3(0, &graph, &check_err));
    gf__trunk_parts parts = {.name = "n", .sha256 = "12", .origin = "o", .graph = graph};
    CHECK_FAILS(GF_EFORMAT, "expected 64 hexadecimal digits, found \"12\"",
                gf__trunk_take(&parts, &trunk, &check_err));
    CHECK_OK(gf__graph_sha256(graph, hex, &check_err));
    parts.sha256 = hex;
    CHECK_OK(gf__trunk_take(&parts, &trunk, &check_err));
    CHECK_OK(gf__trunk_verify(trunk, &check_err));
    CHECK(gf_trunk_graph(trunk) == graph);
    gf_trunk_free(trunk);
}

TEST(trunk__loading_survives_every_allocation_failure)
{
    char *home = new_home(NULL);
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf_trunk *trunk = NULL;
        gf__mem_fail_after(n);
        st = gf_trunk_load(home, "small", &trunk, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && trunk == NULL));
        gf_trunk_free(trunk);
    }
    check_remove_dir(home);
}

TESTS_MAIN(UNIT(trunk__loads_what_was_imported), UNIT(trunk__weights_are_the_checkpoints),
           UNIT(trunk__owners_are_counted), UNIT(trunk__is_found_by_path_too),
           UNIT(trunk__missing_one_says_how_to_get_it),
           UNIT(trunk__names_that_cannot_be_files_are_refused),
           UNIT(trunk__verify_finds_a_flipped_bit), UNIT(trunk__every_truncation_is_an_error),
           UNIT(trunk__wrong_documents_are_errors_that_name_the_file),
           UNIT(take__keeps_the_parts_on_failure),
           UNIT(trunk__loading_survives_every_allocation_failure))
