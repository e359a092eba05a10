/* test_predictor.c: picture bytes into scores with a model from a file, wherever its trunk is, and
 * the self-test. */
#include <unistd.h>

#include "tiny_model.h"

static char *save_tiny(const char *dir, const char *name, gf_trunk *trunk, bool is_bundle)
{
    char *path = tiny_path(dir, name);
    gf_head *head = tiny_head(3);
    tiny_save_model(path, trunk, head, is_bundle);
    gf_head_free(head);
    return path;
}

static gf_model *load(const char *path)
{
    gf_model *model = NULL;
    CHECK_OK(gf_model_load(path, &model, &check_err));
    return model;
}

static gf_predictor_options options_of(gf_precision precision, int n_threads)
{
    gf_predictor_options options = gf_predictor_options_default();
    options.precision = precision;
    options.n_threads = n_threads;
    return options;
}

static gf_predictor *new_predictor(gf_model *model, const char *home, int n_threads)
{
    const gf_predictor_options options = options_of(GF_PRECISION_AUTO, n_threads);
    gf_predictor *predictor = NULL;
    CHECK_OK(gf_predictor_new(model, home, &options, &predictor, &check_err));
    return predictor;
}

static gf_model *bundle(const char *dir)
{
    gf_trunk *trunk = tiny_trunk("tiny");
    char *path = save_tiny(dir, "bundle.safetensors", trunk, true);
    gf_model *model = load(path);
    gf__free(path);
    gf_trunk_free(trunk);
    return model;
}

TEST(predictor__says_what_extractor_and_head_say)
{
    char *dir = check_temp_dir();
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_head *head = tiny_head(3);
    gf_model *model = bundle(dir);
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        gf_predictor *predictor = new_predictor(model, NULL, n_threads);
        tiny_self_test want;
        tiny_make_self_test(trunk, head, &want);
        for (size_t i = 0; i < TINY_SAMPLES; i++) {
            float scores[3];
            gf_predict_timing timing = {-1, -1, -1};
            CHECK_OK(gf_predictor_picture(predictor, want.samples[i].png, want.samples[i].n_bytes,
                                          scores, &timing, &check_err));
            for (size_t k = 0; k < 3; k++)
                CHECK_NEAR(scores[k], want.scores[i][k], 1e-5);
            CHECK_NEAR(scores[0] + scores[1] + scores[2], 1, 1e-5);
            CHECK(timing.decode_ms >= 0 && timing.network_ms >= 0 && timing.head_ms >= 0);
        }
        tiny_end_self_test(&want);
        gf_predictor_free(predictor);
    }
    gf_model_unref(model);
    gf_head_free(head);
    gf_trunk_free(trunk);
    check_remove_dir(dir);
}

TEST(predictor__keeps_its_model_and_goes_on_after_a_bad_picture)
{
    char *dir = check_temp_dir();
    gf_model *model = bundle(dir);
    gf_predictor *predictor = new_predictor(model, NULL, 1);
    gf_model_unref(model);
    float scores[3];
    uint8_t *png = NULL;
    size_t n_bytes = 0;
    tiny_png(50, 30, 8, &png, &n_bytes);
    CHECK_FAILS(GF_EFORMAT, "",
                gf_predictor_picture(predictor, png, n_bytes / 2, scores, NULL, &check_err));
    CHECK_FAILS(GF_EFORMAT, "",
                gf_predictor_picture(predictor, "hello", 5, scores, NULL, &check_err));
    CHECK_FAILS(GF_EFORMAT, "", gf_predictor_picture(predictor, "", 0, scores, NULL, &check_err));
    CHECK_OK(gf_predictor_picture(predictor, png, n_bytes, scores, NULL, &check_err));
    gf_image_bytes_free(png);
    gf_predictor_free(predictor);
    check_remove_dir(dir);
}

TEST(predictor__keeps_to_the_pixel_limit)
{
    char *dir = check_temp_dir();
    gf_model *model = bundle(dir);
    gf_predictor *predictor = NULL;
    gf_predictor_options options = options_of(GF_PRECISION_F32, 1);
    float scores[3];
    uint8_t *png = NULL;
    size_t n_bytes = 0;
    options.max_pixels = 1500;
    CHECK_OK(gf_predictor_new(model, NULL, &options, &predictor, &check_err));
    tiny_png(50, 30, 8, &png, &n_bytes);
    CHECK_OK(gf_predictor_picture(predictor, png, n_bytes, scores, NULL, &check_err));
    gf_image_bytes_free(png);
    tiny_png(50, 31, 8, &png, &n_bytes);
    CHECK_FAILS(GF_ELIMIT, "",
                gf_predictor_picture(predictor, png, n_bytes, scores, NULL, &check_err));
    gf_image_bytes_free(png);
    gf_predictor_free(predictor);
    gf_model_unref(model);
    check_remove_dir(dir);
}

TEST(model_verify__refuses_to_call_a_model_without_samples_good)
{
    char *dir = check_temp_dir();
    gf_trunk *trunk = tiny_trunk("tiny");
    char *path = save_tiny(dir, "m", trunk, true);
    tiny_change_model(path, &(tiny_change){.from = "\"self_test\":", .to = "\"another\":"});
    gf_model *model = load(path);
    CHECK_FAILS(GF_EUNSUPPORTED, "no self-test",
                gf_model_verify(model, NULL, NULL, NULL, NULL, &check_err));
    gf_model_unref(model);
    gf_trunk_free(trunk);
    gf__free(path);
    check_remove_dir(dir);
}

TEST(predictor__says_that_its_trunk_is_there_but_damaged)
{
    static const char damaged[] = "not a safetensors file";
    char *dir = check_temp_dir(), *trunks = tiny_path(dir, "trunks");
    char *trunk_path = tiny_path(trunks, "tiny.safetensors");
    gf_trunk *trunk = tiny_trunk("tiny");
    char *path = save_tiny(dir, "m", trunk, false);
    gf_model *model = load(path);
    gf_predictor *predictor = NULL;
    CHECK_OK(gf__make_dirs(trunks, &check_err));
    CHECK_OK(gf__write_file(trunk_path, damaged, sizeof damaged, &check_err));
    CHECK_FAILS(GF_EFORMAT, "tiny.safetensors",
                gf_predictor_new(model, dir, NULL, &predictor, &check_err));
    assert_null(predictor);
    gf_model_unref(model);
    gf_trunk_free(trunk);
    gf__free(path);
    gf__free(trunk_path);
    gf__free(trunks);
    check_remove_dir(dir);
}

TEST(predictor__names_the_trunk_that_is_not_there)
{
    char *dir = check_temp_dir();
    gf_trunk *trunk = tiny_trunk("tiny");
    char *path = save_tiny(dir, "m", trunk, false);
    gf_model *model = load(path);
    gf_predictor *predictor = NULL;
    CHECK_FAILS(GF_ENOTFOUND, "trunk tiny with SHA-256",
                gf_predictor_new(model, dir, NULL, &predictor, &check_err));
    CHECK(strstr(check_err.message, "graft pull") != NULL);
    assert_null(predictor);
    CHECK_FAILS(GF_ENOTFOUND, "a home",
                gf_predictor_new(model, NULL, NULL, &predictor, &check_err));
    gf_model_unref(model);
    gf__free(path);
    gf_trunk_free(trunk);
    check_remove_dir(dir);
}

TEST(predictor__refuses_a_head_for_other_features)
{
    char *dir = check_temp_dir();
    gf_trunk *trunk = tiny_trunk("tiny");
    char *path = save_tiny(dir, "m", trunk, true);
    const tiny_change unpooled = {.from = "\"pool\":\"avg\"", .to = "\"pool\":\"none\""};
    const tiny_change elsewhere = {.from = "\"layer\":\"conv\"", .to = "\"layer\":\"cnov\""};
    const tiny_change larger = {.from = "\"width\":16", .to = "\"width\":17"};
    gf_predictor *predictor = NULL;

    tiny_change_model(path, &unpooled);
    gf_model *model = load(path);
    CHECK_FAILS(GF_EMISMATCH, "layer conv gives 588 values, the head was trained on 12",
                gf_predictor_new(model, NULL, NULL, &predictor, &check_err));
    gf_model_unref(model);
    tiny_change_model(path, &elsewhere);
    model = load(path);
    CHECK_FAILS(GF_ENOTFOUND, "cnov", gf_predictor_new(model, NULL, NULL, &predictor, &check_err));
    gf_model_unref(model);
    tiny_change_model(path, &larger);
    model = load(path);
    CHECK_FAILS(GF_EMISMATCH, "17 x 16",
                gf_predictor_new(model, NULL, NULL, &predictor, &check_err));
    gf_model_unref(model);
    gf__free(path);
    gf_trunk_free(trunk);
    check_remove_dir(dir);
}

/* A weight that is not a number passes the trunk's shape checks and must not become an answer. */
TEST(predictor__gives_no_scores_that_are_not_numbers)
{
    char *dir = check_temp_dir();
    gf_trunk *trunk = tiny_trunk("tiny");
    char *path = save_tiny(dir, "m", trunk, true);
    const size_t shape[1] = {TINY_FILTERS};
    gf_tensor *bias = tiny_random(shape, 1, 1, 1);
    for (size_t i = 0; i < TINY_FILTERS; i++)
        ((float *)gf_tensor_mutable_data(bias))[i] = INFINITY;
    const tiny_change change = {.replace = "trunk/conv/bias", .by = bias};
    tiny_change_model(path, &change);
    gf_model *model = load(path);
    gf_predictor *predictor = new_predictor(model, NULL, 1);
    float scores[3];
    uint8_t *png = NULL;
    size_t n_bytes = 0;
    tiny_png(50, 30, 8, &png, &n_bytes);
    CHECK_FAILS(GF_EMISMATCH, "damaged",
                gf_predictor_picture(predictor, png, n_bytes, scores, NULL, &check_err));
    gf_image_bytes_free(png);
    gf_predictor_free(predictor);
    gf_model_unref(model);
    gf_tensor_free(bias);
    gf__free(path);
    gf_trunk_free(trunk);
    check_remove_dir(dir);
}

/* ---- the self-test ---- */

TEST(model_verify__holds_for_a_file_of_format_1)
{
    gf_model *model = load(check_fixture("golden/model/format-1.safetensors"));
    double difference = -1;
    size_t n_samples = 0;
    CHECK_OK(gf_model_verify(model, NULL, NULL, &difference, &n_samples, &check_err));
    CHECK_EQ(n_samples, TINY_SAMPLES);
    CHECK(difference >= 0 && difference < 1e-5);
    gf_model_unref(model);
}

TEST(model_verify__allows_for_another_precision)
{
    gf_model *model = load(check_fixture("golden/model/format-1.safetensors"));
    const gf_predictor_options options = options_of(GF_PRECISION_BF16, 1);
    if (gf_precision_is_native(GF_PRECISION_BF16))
        CHECK_OK(gf_model_verify(model, NULL, &options, NULL, NULL, &check_err));
    else
        CHECK_FAILS(GF_EUNSUPPORTED, "",
                    gf_model_verify(model, NULL, &options, NULL, NULL, &check_err));
    gf_model_unref(model);
}

TEST(model_verify__names_sample_class_and_scores_that_differ)
{
    char *dir = check_temp_dir();
    gf_trunk *trunk = tiny_trunk("tiny");
    char *path = save_tiny(dir, "m", trunk, true);
    const size_t shape[1] = {3};
    gf_tensor *bias = tiny_random(shape, 1, 4, 5);
    const tiny_change change = {.replace = "head/1/bias", .by = bias};
    double difference = 0;
    tiny_change_model(path, &change);
    gf_model *model = load(path);
    CHECK_FAILS(GF_EMISMATCH, ".jpg: score of",
                gf_model_verify(model, NULL, NULL, &difference, NULL, &check_err));
    CHECK(strstr(check_err.message, "expected 0.") != NULL);
    CHECK(difference > 0.01);
    gf_model_unref(model);
    gf_tensor_free(bias);
    gf__free(path);
    gf_trunk_free(trunk);
    check_remove_dir(dir);
}

TEST(model_verify__says_when_a_stored_picture_is_damaged)
{
    char *dir = check_temp_dir();
    gf_trunk *trunk = tiny_trunk("tiny");
    char *path = save_tiny(dir, "m", trunk, true);
    gf_tensor *noise = NULL;
    const size_t shape[1] = {100};
    CHECK_OK(gf_tensor_new(GF_DTYPE_U8, shape, 1, &noise, &check_err));
    const tiny_change change = {.replace = "self_test/1", .by = noise};
    tiny_change_model(path, &change);
    gf_model *model = load(path);
    CHECK_FAILS(GF_EFORMAT, "self-test: tulip/7.jpg: ",
                gf_model_verify(model, NULL, NULL, NULL, NULL, &check_err));
    gf_model_unref(model);
    gf_tensor_free(noise);
    gf__free(path);
    gf_trunk_free(trunk);
    check_remove_dir(dir);
}

/* ---- trunks of a home ---- */

/* A home with the real trunk under a name of our own: found by what it is, not by what it is
 * called. */
TEST(predictor__finds_the_trunk_by_its_hash_whatever_its_name)
{
    const char *real_home = getenv("GRAFT_TEST_HOME");
    if (real_home == NULL)
        fail_msg("GRAFT_TEST_HOME is not set: run the tests with make test");
    char *home = check_temp_dir(), *trunks = tiny_path(home, "trunks");
    char *mine = tiny_path(trunks, "my_own.safetensors"),
         *other = tiny_path(trunks, "a.safetensors");
    char *theirs = gf__asprintf("%s/trunks/inception_v3.safetensors", real_home);
    char *path = tiny_path(home, "m");
    gf_trunk *trunk = NULL;
    gf_head *head = NULL;
    const gf_head_layer layer = {.units = 3, .activation = GF_HEAD_SOFTMAX};

    CHECK_OK(gf__make_dirs(trunks, &check_err));
    CHECK_OK(gf__write_file(other, "no trunk", 8, &check_err));
    assert_int_equal(symlink(theirs, mine), 0);
    CHECK_OK(gf_trunk_load(real_home, "inception_v3", &trunk, &check_err));
    CHECK_OK(gf_head_new(192, &layer, 1, &head, &check_err));
    gf_head_initialise(head, 1);
    const gf__model_content content = {.head = head,
                                       .class_names = tiny_classes,
                                       .trunk = trunk,
                                       .layer = "max_pooling2d_2",
                                       .pool = GF_POOL_AVG,
                                       .precision = GF_PRECISION_F32,
                                       .recipe = gf_recipe_of(trunk)};
    CHECK_OK(gf__model_save(path, &content, &check_err));
    gf_trunk_free(trunk);

    gf_model *model = load(path);
    gf_predictor *predictor = new_predictor(model, home, 1);
    float scores[3];
    uint8_t *png = NULL;
    size_t n_bytes = 0;
    tiny_png(320, 200, 8, &png, &n_bytes);
    CHECK_OK(gf_predictor_picture(predictor, png, n_bytes, scores, NULL, &check_err));
    CHECK_NEAR(scores[0] + scores[1] + scores[2], 1, 1e-5);
    gf_image_bytes_free(png);
    gf_predictor_free(predictor);
    gf_model_unref(model);
    gf_head_free(head);
    gf__free(trunks);
    gf__free(mine);
    gf__free(other);
    gf__free(theirs);
    gf__free(path);
    check_remove_dir(home);
}

TESTS_MAIN(UNIT(predictor__says_what_extractor_and_head_say),
           UNIT(predictor__keeps_its_model_and_goes_on_after_a_bad_picture),
           UNIT(predictor__keeps_to_the_pixel_limit),
           UNIT(model_verify__refuses_to_call_a_model_without_samples_good),
           UNIT(predictor__says_that_its_trunk_is_there_but_damaged),
           UNIT(predictor__names_the_trunk_that_is_not_there),
           UNIT(predictor__refuses_a_head_for_other_features),
           UNIT(predictor__gives_no_scores_that_are_not_numbers),
           UNIT(model_verify__holds_for_a_file_of_format_1),
           UNIT(model_verify__allows_for_another_precision),
           UNIT(model_verify__names_sample_class_and_scores_that_differ),
           UNIT(model_verify__says_when_a_stored_picture_is_damaged),
           UNIT(predictor__finds_the_trunk_by_its_hash_whatever_its_name))
