/* test_model_file.c: a model comes back from its file as it was, a file of format 1 opens for ever,
 * and a file that is damaged, foreign or newer says so. */
#include "tiny_model.h"

static char *save_tiny(const char *dir, const char *name, bool is_bundle)
{
    char *path = tiny_path(dir, name);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_head *head = tiny_head(3);
    tiny_save_model(path, trunk, head, is_bundle);
    gf_head_free(head);
    gf_trunk_free(trunk);
    return path;
}

static void check_is_tiny(const gf_model *model)
{
    const gf_head *head = gf_model_head(model);
    const gf_recipe recipe = gf_model_recipe(model);
    char hex[GF__SHA256_HEX];
    gf__sha256_hex("tiny", 4, hex);
    CHECK_STR(gf_model_trunk_name(model), "tiny");
    CHECK_STR(gf_model_trunk_sha256(model), hex);
    CHECK_STR(gf_model_layer(model), "conv");
    CHECK_EQ(gf_model_pool(model), GF_POOL_AVG);
    CHECK_EQ(gf_model_precision(model), GF_PRECISION_F32);
    CHECK_EQ(recipe.version, 1);
    CHECK_EQ(recipe.width * 100 + recipe.height, TINY_SIDE * 101);
    assert_true(recipe.scale == 1 / 127.5f && recipe.shift == -1.0f);
    CHECK_EQ(gf_model_n_classes(model), 3);
    for (size_t k = 0; k < 3; k++)
        CHECK_STR(gf_model_class_at(model, k), tiny_classes[k]);
    CHECK_EQ(gf_head_n_features(head), TINY_FILTERS);
    CHECK_EQ(gf_head_n_layers(head), 2);
    CHECK_EQ(gf_head_layer_at(head, 0).units, 8);
    CHECK_EQ(gf_head_layer_at(head, 0).activation, GF_HEAD_RELU);
    assert_true(gf_head_layer_at(head, 0).dropout == 0.25);
    CHECK_STR(gf_head_layer_at(head, 0).name, "dense");
    CHECK_EQ(gf_head_layer_at(head, 1).activation, GF_HEAD_SOFTMAX);
    CHECK_STR(gf_head_layer_at(head, 1).name, "predictions");
    const gf__json *metrics = gf__json_find(gf__json_find(gf__model_json(model), "training"),
                                            "metrics");
    CHECK_NEAR(gf__json_number(gf__json_find(metrics, "accuracy"), 0), 0.975, 1e-9);
}

/* Only for files of today: how a head is initialised may change. */
static void check_weights(const gf_model *model)
{
    gf_head *want = tiny_head(3);
    const gf_head *head = gf_model_head(model);
    assert_memory_equal(gf__head_kernel_of(head, 0), gf__head_kernel_of(want, 0),
                        TINY_FILTERS * 8 * sizeof(float));
    assert_memory_equal(gf__head_kernel_of(head, 1), gf__head_kernel_of(want, 1),
                        8 * 3 * sizeof(float));
    assert_memory_equal(gf__head_bias_of(head, 1), gf__head_bias_of(want, 1), 3 * sizeof(float));
    gf_head_free(want);
}

TEST(model_file__comes_back_as_it_was)
{
    char *dir = check_temp_dir();
    for (int is_bundle = 0; is_bundle < 2; is_bundle++) {
        char *path = save_tiny(dir, "m.safetensors", is_bundle != 0);
        gf_model *model = NULL;
        CHECK_OK(gf_model_load(path, &model, &check_err));
        check_is_tiny(model);
        check_weights(model);
        CHECK_EQ(gf_model_is_bundle(model), is_bundle);
        CHECK(gf_model_document(model)[0] == '{');
        gf_model *mine = gf_model_ref(model);
        gf_model_unref(model);
        CHECK_STR(gf_model_layer(mine), "conv");
        gf_model_unref(mine);
        gf__free(path);
    }
    check_remove_dir(dir);
}

TEST(model_file__can_be_asked_for_its_document_alone)
{
    char *dir = check_temp_dir();
    gf_trunk *trunk = NULL;
    gf_model *model = NULL;
    char *path = save_tiny(dir, "m.safetensors", true);
    CHECK_OK(gf__model_load_document(path, &model, &check_err));
    assert_null(gf_model_head(model));
    CHECK_EQ(gf_model_n_classes(model), 3);
    CHECK_STR(gf_model_class_at(model, 2), tiny_classes[2]);
    CHECK_STR(gf_model_layer(model), "conv");
    CHECK_OK(gf_model_trunk(model, NULL, &trunk, &check_err));
    CHECK_EQ(gf__model_choose_precision(model, GF_PRECISION_AUTO), GF_PRECISION_F32);
    gf_trunk_free(trunk);
    gf_model_unref(model);
    CHECK_FAILS(GF_ENOTFOUND, "nowhere", gf__model_load_document("/nowhere", &model, &check_err));
    gf__free(path);
    check_remove_dir(dir);
}

TEST(model_file__is_the_same_bytes_for_the_same_model)
{
    char *dir = check_temp_dir(), first[GF__SHA256_HEX], second[GF__SHA256_HEX];
    char *one = save_tiny(dir, "one", true), *other = save_tiny(dir, "other", true);
    CHECK_OK(gf__hash_file(GF__HASH_SHA256, one, first, &check_err));
    CHECK_OK(gf__hash_file(GF__HASH_SHA256, other, second, &check_err));
    CHECK_STR(first, second);
    gf__free(one);
    gf__free(other);
    check_remove_dir(dir);
}

/* tests/golden/make_model.c made it with graft 0.1.0. Never made again: it stands for the files
 * people have. */
TEST(model_file__of_format_1_opens_in_this_version)
{
    gf_model *model = NULL;
    gf_trunk *trunk = NULL;
    CHECK_OK(gf_model_load(check_fixture("golden/model/format-1.safetensors"), &model, &check_err));
    check_is_tiny(model);
    CHECK(gf_model_is_bundle(model));
    CHECK_OK(gf_model_trunk(model, NULL, &trunk, &check_err));
    CHECK_STR(gf_trunk_name(trunk), "tiny");
    CHECK_EQ(gf_graph_n_layers(gf_trunk_graph(trunk)), 2); /* as far as the cut */
    gf_model_unref(model);
    CHECK_STR(gf_trunk_origin(trunk), "a model file"); /* stays without its model */
    gf_trunk_free(trunk);
}

TEST(model_file__keeps_members_it_does_not_know)
{
    char *dir = check_temp_dir(), *path = save_tiny(dir, "m", false);
    const tiny_change change = {.from = "{\"format\":1,", .to = "{\"format\":1,\"shape\":[1,2],"};
    gf_model *model = NULL;
    tiny_change_model(path, &change);
    CHECK_OK(gf_model_load(path, &model, &check_err));
    check_is_tiny(model);
    CHECK_EQ(gf__json_n_items(gf__json_find(gf__model_json(model), "shape")), 2);
    CHECK(strstr(gf_model_document(model), "\"shape\":[1,2]") != NULL);
    gf_model_unref(model);
    gf__free(path);
    check_remove_dir(dir);
}

static void check_document(const char *from, const char *to, gf_status want, const char *message)
{
    char *dir = check_temp_dir(), *path = save_tiny(dir, "flowers.safetensors", false);
    const tiny_change change = {.from = from, .to = to};
    gf_model *model = NULL;
    tiny_change_model(path, &change);
    CHECK_FAILS(want, message, gf_model_load(path, &model, &check_err));
    CHECK(strstr(check_err.message, "flowers.safetensors: ") != NULL);
    CHECK_EQ(check_err.code, want);
    assert_null(model);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(model_file__names_the_member_that_is_wrong)
{
    static const struct {
        const char *from, *to;
        gf_status status;
        const char *message;
    } cases[] = {
        {"\"format\":1", "\"format\":2", GF_EUNSUPPORTED, "newer graft"},
        {"\"format\":1", "\"format\":0", GF_EFORMAT, "format"},
        {"\"format\":1,", "", GF_EFORMAT, "format"},
        {"\"kind\":\"model\"", "\"kind\":\"trunk\"", GF_EFORMAT, "graft train"},
        {"\"kind\":\"model\"", "\"kind\":\"checkpoint\"", GF_EFORMAT, "a checkpoint"},
        {"\"name\":\"tiny\"", "\"name\":\"../tiny\"", GF_EFORMAT, "trunk: name"},
        {"\"name\":\"tiny\"", "\"name\":\".tiny\"", GF_EFORMAT, "trunk: name"},
        {"\"sha256\":\"", "\"sha256\":\"x", GF_EFORMAT, "trunk: sha256"},
        {"\"pool\":\"avg\"", "\"pool\":\"mean\"", GF_EFORMAT, "none, avg or max"},
        {"\"pool\":\"avg\"", "\"pool\":7", GF_EFORMAT, "pool"},
        {"\"precision\":\"f32\"", "\"precision\":\"auto\"", GF_EFORMAT, "precision"},
        {"\"precision\":\"f32\"", "\"precision\":\"int8\"", GF_EUNSUPPORTED, "int8"},
        {"\"recipe\":{\"version\":1", "\"recipe\":{\"version\":9", GF_EUNSUPPORTED, "recipe"},
        {"\"width\":16", "\"width\":-16", GF_EFORMAT, "recipe: width"},
        {"\"classes\":[\"rose\"", "\"classes\":[17", GF_EFORMAT, "classes: item 0"},
        {"\"classes\":[\"rose\",", "\"classes\":[", GF_EFORMAT, "3 units for 2 classes"},
        {"\"n_features\":12", "\"n_features\":13", GF_EFORMAT, "head/0/kernel"},
        {"\"units\":8", "\"units\":9", GF_EFORMAT, "expected float32 (12,9)"},
        {"\"units\":8", "\"units\":99999999999999", GF_EFORMAT, "head/0/kernel"},
        {"\"activation\":\"relu\"", "\"activation\":\"gelu\"", GF_EUNSUPPORTED, "head: layer 0"},
        {"\"activation\":\"relu\"", "\"activation\":\"softmax\"", GF_EFORMAT, "softmax"},
        {"\"dropout\":0.25", "\"dropout\":2", GF_EFORMAT, "dropout"},
        {"\"tolerance\":", "\"tolerance\":5,\"was\":", GF_EFORMAT, "self_test: tolerance"},
        {"\"png_tensor\":\"self_test/1\"", "\"png_tensor\":\"self_test/9\"", GF_EFORMAT,
         "self_test/9"},
        {"\"png_tensor\":\"self_test/1\"", "\"png_tensor\":\"head/0/bias\"", GF_EFORMAT,
         "head/0/bias"},
        {"\"scores\":[", "\"scores\":[0.5,", GF_EFORMAT, "self_test: sample 0: scores: 4 for 3"},
        {"\"scores\":[", "\"scores\":[null],\"was\":[", GF_EFORMAT, "scores"},
        {"{\"format\"", "[{\"format\"", GF_EFORMAT, "document"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_document(cases[i].from, cases[i].to, cases[i].status, cases[i].message);
}

TEST(model_file__names_the_tensor_that_is_missing_or_wrong)
{
    char *dir = check_temp_dir();
    const size_t shape[2] = {TINY_FILTERS, 8};
    gf_tensor *nan = tiny_random(shape, 2, 1, 1), *twisted = tiny_random(&shape[1], 1, 1, 1);
    ((float *)gf_tensor_mutable_data(nan))[17] = NAN;
    const struct {
        tiny_change change;
        const char *message;
    } cases[] = {{{.drop = "head/1/bias"}, "head/1/bias is missing"},
                 {{.drop = "self_test/0"}, "self_test/0"},
                 {{.replace = "head/0/kernel", .by = nan}, "value 17 is"},
                 {{.replace = "head/0/kernel", .by = twisted}, "(8), expected float32 (12,8)"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = save_tiny(dir, "m", false);
        gf_model *model = NULL;
        tiny_change_model(path, &cases[i].change);
        CHECK_FAILS(GF_EFORMAT, cases[i].message, gf_model_load(path, &model, &check_err));
        gf__free(path);
    }
    gf_tensor_free(nan);
    gf_tensor_free(twisted);
    check_remove_dir(dir);
}

/* The trunk of a bundle is looked at when it is first needed. */
TEST(model_file__names_what_is_wrong_with_the_trunk_inside)
{
    char *dir = check_temp_dir();
    const tiny_change cases[] = {{.drop = "trunk/conv/kernel"},
                                 {.from = "\"Conv2D\"", .to = "\"Conv9D\""},
                                 {.from = "\"filters\":12", .to = "\"filters\":13"}};
    static const char *const messages[] = {"trunk/conv/kernel is missing", "Conv9D", "conv"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = save_tiny(dir, "m", true);
        gf_model *model = NULL;
        gf_trunk *trunk = NULL;
        tiny_change_model(path, &cases[i]);
        CHECK_OK(gf_model_load(path, &model, &check_err));
        CHECK(gf_model_trunk(model, NULL, &trunk, &check_err) != GF_OK);
        if (strstr(check_err.message, messages[i]) == NULL)
            fail_msg("case %zu: %s", i, check_err.message);
        assert_null(trunk);
        gf_model_unref(model);
        gf__free(path);
    }
    check_remove_dir(dir);
}

/* Two bundles that claim one trunk but bring other weights must not meet in a cache. */
TEST(model_file__trunk_inside_is_known_by_its_own_weights)
{
    char *dir = check_temp_dir(), *path = save_tiny(dir, "m", true);
    const size_t shape[1] = {TINY_FILTERS};
    gf_tensor *other = tiny_random(shape, 1, 1, 77);
    const tiny_change change = {.replace = "trunk/conv/bias", .by = other};
    char first[GF__SHA256_HEX];
    gf_model *model = NULL;
    gf_trunk *trunk = NULL, *again = NULL;
    CHECK_OK(gf_model_load(path, &model, &check_err));
    CHECK_OK(gf_model_trunk(model, NULL, &trunk, &check_err));
    CHECK_OK(gf_model_trunk(model, NULL, &again, &check_err));
    CHECK(trunk == again);
    snprintf(first, sizeof first, "%s", gf_trunk_sha256(trunk));
    CHECK(strcmp(first, gf_model_trunk_sha256(model)) != 0);
    gf_trunk_free(trunk);
    gf_trunk_free(again);
    gf_model_unref(model);

    tiny_change_model(path, &change);
    CHECK_OK(gf_model_load(path, &model, &check_err));
    CHECK_OK(gf_model_trunk(model, NULL, &trunk, &check_err));
    CHECK(strcmp(first, gf_trunk_sha256(trunk)) != 0);
    gf_trunk_free(trunk);
    gf_model_unref(model);
    gf_tensor_free(other);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(model_file__is_not_any_safetensors_file)
{
    char *dir = check_temp_dir(), *path = tiny_path(dir, "m");
    const size_t shape[1] = {3};
    gf_tensor *tensor = tiny_random(shape, 1, 1, 1);
    const gf_named_tensor named = {"x", tensor};
    const gf_metadata metadata = {"graft", "{\"format\":1,"};
    gf_model *model = NULL;
    CHECK_OK(gf_safetensors_save(path, &named, 1, NULL, 0, &check_err));
    CHECK_FAILS(GF_EFORMAT, "not one of graft's", gf_model_load(path, &model, &check_err));
    CHECK_OK(gf_safetensors_save(path, &named, 1, &metadata, 1, &check_err));
    CHECK_FAILS(GF_EFORMAT, "document", gf_model_load(path, &model, &check_err));
    CHECK_OK(gf__write_file(path, "hello", 5, &check_err));
    CHECK_FAILS(GF_EFORMAT, "safetensors", gf_model_load(path, &model, &check_err));
    CHECK_FAILS(GF_ENOTFOUND, "nowhere", gf_model_load("/nowhere", &model, &check_err));
    gf_tensor_free(tensor);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(model_file__is_refused_when_cut_short_anywhere)
{
    char *bytes = NULL;
    size_t size = 0;
    CHECK_OK(gf__read_file(check_fixture("golden/model/format-1.safetensors"), 1 << 20, &bytes,
                           &size, &check_err));
    for (size_t n = 0; n < size; n += n < 200 || n + 200 > size ? 1 : 37) {
        gf_model *model = NULL;
        CHECK(gf__model_parse(bytes, n, &model, &check_err) != GF_OK);
        assert_null(model);
    }
    gf__free(bytes);
}

TEST(model_save__refuses_weights_that_are_not_numbers)
{
    char *dir = check_temp_dir(), *path = tiny_path(dir, "m");
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_head *head = tiny_head(3);
    gf_head_bias(head, 1)[2] = INFINITY;
    const gf__model_content content = {.head = head,
                                       .class_names = tiny_classes,
                                       .trunk = trunk,
                                       .layer = "conv",
                                       .pool = GF_POOL_AVG,
                                       .precision = GF_PRECISION_F32,
                                       .recipe = gf_recipe_of(trunk)};
    CHECK_FAILS(GF_EINVAL, "predictions: value 2 of its bias is inf: the training diverged",
                gf__model_save(path, &content, &check_err));
    CHECK(!gf__is_file(path));
    gf_head_free(head);
    gf_trunk_free(trunk);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(model_save__and_load_survive_every_allocation_failure)
{
    char *dir = check_temp_dir(), *path = save_tiny(dir, "m", true);
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st != GF_OK; n++) {
        gf_model *model = NULL;
        gf_trunk *trunk = NULL;
        gf__mem_fail_after(n);
        st = gf_model_load(path, &model, NULL);
        if (st == GF_OK)
            st = gf_model_trunk(model, NULL, &trunk, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || trunk == NULL);
        gf_trunk_free(trunk);
        gf_model_unref(model);
        CHECK(n < 100000);
    }
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_head *head = tiny_head(3);
    const gf__model_content content = {.head = head,
                                       .class_names = tiny_classes,
                                       .trunk = trunk,
                                       .layer = "conv",
                                       .pool = GF_POOL_AVG,
                                       .precision = GF_PRECISION_F32,
                                       .recipe = gf_recipe_of(trunk),
                                       .is_bundle = true};
    st = GF_ENOMEM;
    for (size_t n = 0; st != GF_OK; n++) {
        gf__mem_fail_after(n);
        st = gf__model_save(path, &content, NULL);
        gf__mem_fail_never();
        CHECK(n < 100000);
    }
    gf_head_free(head);
    gf_trunk_free(trunk);
    gf__free(path);
    check_remove_dir(dir);
}

/* The file at `path` written anew, with the trunk or without. */
static void rebundle(const char *path, const gf_trunk *trunk, const char *output)
{
    gf_model *model = NULL;
    CHECK_OK(gf_model_load(path, &model, &check_err));
    CHECK_OK(gf__model_save_bundle(model, path, trunk, output, &check_err));
    gf_model_unref(model);
}

static void check_same_bytes(const char *path, const char *want_path)
{
    char *bytes = NULL, *want = NULL;
    size_t n = 0, n_want = 0;
    CHECK_OK(gf__read_file(path, 1 << 20, &bytes, &n, &check_err));
    CHECK_OK(gf__read_file(want_path, 1 << 20, &want, &n_want, &check_err));
    CHECK_EQ(n, n_want);
    assert_memory_equal(bytes, want, n);
    gf__free(bytes);
    gf__free(want);
}

TEST(model_bundle__is_the_file_that_training_would_have_written)
{
    char *dir = check_temp_dir(), *output = tiny_path(dir, "output.safetensors");
    char *alone = save_tiny(dir, "alone.safetensors", false);
    char *bundle = save_tiny(dir, "bundle.safetensors", true);
    gf_trunk *trunk = tiny_trunk("tiny");
    rebundle(alone, trunk, output);
    check_same_bytes(output, bundle);
    rebundle(bundle, NULL, output);
    check_same_bytes(output, alone);
    gf_trunk_free(trunk);
    gf__free(alone);
    gf__free(bundle);
    gf__free(output);
    check_remove_dir(dir);
}

/* A later version's members and tensors, there and back. */
TEST(model_bundle__keeps_what_this_version_does_not_know)
{
    char *dir = check_temp_dir(), *bundle = tiny_path(dir, "bundle.safetensors");
    char *path = save_tiny(dir, "m.safetensors", false), *back = tiny_path(dir, "back.safetensors");
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_tensor *extra = tiny_random((const size_t[]){3}, 1, 1, 1);
    gf_model *model = NULL;
    tiny_change_model(path, &(tiny_change){.from = "\"sha256\":",
                                           .to = "\"licence\":\"CC0\",\"sha256\":",
                                           .extra = "unknown/0",
                                           .by = extra});
    rebundle(path, trunk, bundle);
    CHECK_OK(gf_model_load(bundle, &model, &check_err));
    CHECK(gf_model_is_bundle(model));
    assert_non_null(strstr(gf_model_document(model), "\"licence\":\"CC0\""));
    gf_model_unref(model);
    rebundle(bundle, NULL, back);
    check_same_bytes(back, path);
    gf_tensor_free(extra);
    gf_trunk_free(trunk);
    gf__free(path);
    gf__free(back);
    gf__free(bundle);
    check_remove_dir(dir);
}

TEST(model_bundle__refuses_a_trunk_that_wants_other_pictures)
{
    char *dir = check_temp_dir(), *output = tiny_path(dir, "output.safetensors");
    char *path = save_tiny(dir, "m.safetensors", false);
    gf_model *model = NULL;
    gf_trunk *trunk = tiny_trunk("tiny");
    tiny_change_model(path, &(tiny_change){.from = "\"shift\":-1", .to = "\"shift\":-2"});
    CHECK_OK(gf_model_load(path, &model, &check_err));
    CHECK_FAILS(GF_EMISMATCH, "the model prepares pictures as 16 x 16",
                gf__model_save_bundle(model, path, trunk, output, &check_err));
    CHECK(!gf__is_file(output));
    gf_model_unref(model);
    gf_trunk_free(trunk);
    gf__free(path);
    gf__free(output);
    check_remove_dir(dir);
}

TEST(model_bundle__survives_every_allocation_failure)
{
    char *dir = check_temp_dir(), *output = tiny_path(dir, "output.safetensors");
    char *path = save_tiny(dir, "m.safetensors", false);
    gf_model *model = NULL;
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_status st = GF_ENOMEM;
    CHECK_OK(gf_model_load(path, &model, &check_err));
    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf__model_save_bundle(model, path, trunk, output, NULL);
        gf__mem_fail_never();
        CHECK_EQ(gf__is_file(output), st == GF_OK);
    }
    CHECK_EQ(st, GF_OK);
    gf_model_unref(model);
    gf_trunk_free(trunk);
    gf__free(path);
    gf__free(output);
    check_remove_dir(dir);
}

TESTS_MAIN(UNIT(model_file__comes_back_as_it_was),
           UNIT(model_file__can_be_asked_for_its_document_alone),
           UNIT(model_file__is_the_same_bytes_for_the_same_model),
           UNIT(model_file__of_format_1_opens_in_this_version),
           UNIT(model_file__keeps_members_it_does_not_know),
           UNIT(model_file__names_the_member_that_is_wrong),
           UNIT(model_file__names_the_tensor_that_is_missing_or_wrong),
           UNIT(model_file__names_what_is_wrong_with_the_trunk_inside),
           UNIT(model_file__trunk_inside_is_known_by_its_own_weights),
           UNIT(model_file__is_not_any_safetensors_file),
           UNIT(model_file__is_refused_when_cut_short_anywhere),
           UNIT(model_save__refuses_weights_that_are_not_numbers),
           UNIT(model_save__and_load_survive_every_allocation_failure),
           UNIT(model_bundle__is_the_file_that_training_would_have_written),
           UNIT(model_bundle__keeps_what_this_version_does_not_know),
           UNIT(model_bundle__refuses_a_trunk_that_wants_other_pictures),
           UNIT(model_bundle__survives_every_allocation_failure))
