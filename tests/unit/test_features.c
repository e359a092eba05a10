/* test_features.c: the one preprocessing path, and features of single pictures and whole data sets.
 * A network of 16 x 16 pixels does for most; the last tests run the real trunk of
 * GRAFT_TEST_HOME. */
#include "engine/engine.h"
#include "features/extractor_priv.h"
#include "tiny.h"

static const gf_recipe tiny_recipe = {
    .version = 1, .width = TINY_SIDE, .height = TINY_SIDE, .scale = 1 / 127.5f, .shift = -1};

#define TINY_BYTES (TINY_SIDE * TINY_SIDE * 3)

/* ---- the recipe ---- */

static gf_status read_recipe(const char *text, gf_recipe *out, gf_error *err)
{
    gf__json *json = NULL;
    CHECK_OK(gf__json_parse(text, strlen(text), &json, &check_err));
    const gf_status st = gf__recipe_from_json(json, out, err);
    gf__json_free(json);
    return st;
}

TEST(recipe__comes_back_from_json)
{
    gf_recipe back = {0};
    gf__json *json = gf__recipe_to_json(&tiny_recipe);
    CHECK_OK(gf__recipe_from_json(json, &back, &check_err));
    CHECK_EQ(back.version, 1);
    CHECK_EQ(back.width, TINY_SIDE);
    CHECK_EQ(back.height, TINY_SIDE);
    assert_true(back.scale == tiny_recipe.scale && back.shift == -1.0f);
    gf__json_free(json);
}

TEST(recipe__refuses_what_no_network_has)
{
    gf_recipe recipe;
    CHECK_FAILS(GF_EUNSUPPORTED, "newer graft",
                read_recipe("{\"version\":99}", &recipe, &check_err));
    CHECK_FAILS(GF_EFORMAT, "recipe: version", read_recipe("{}", &recipe, &check_err));
    CHECK_FAILS(GF_EFORMAT, "found 0", read_recipe("{\"version\":0}", &recipe, &check_err));
    CHECK_FAILS(GF_EFORMAT, "width: 100000 pixels",
                read_recipe("{\"version\":1,\"width\":100000}", &recipe, &check_err));
    CHECK_FAILS(GF_EFORMAT, "height: 0 pixels",
                read_recipe("{\"version\":1,\"width\":9,\"height\":0}", &recipe, &check_err));
    CHECK_FAILS(GF_EFORMAT, "scale",
                read_recipe("{\"version\":1,\"width\":9,\"height\":9,\"scale\":1e99}", &recipe,
                            &check_err));
}

/* ---- preprocessing ---- */

static gf_status preprocess(gf_sample_kind kind, const void *data, size_t n_bytes, size_t width,
                            size_t height, uint8_t *pixels, gf_error *err)
{
    const gf_sample sample = {kind, data, n_bytes, width, height, NULL};
    const gf__preprocess_options options = {.recipe = tiny_recipe};
    return gf__preprocess(&sample, &options, NULL, pixels, err);
}

TEST(preprocess__pixels_of_the_right_size_are_left_alone)
{
    uint8_t pixels[TINY_BYTES];
    gf_image *image = tiny_picture(TINY_SIDE, TINY_SIDE, 1);
    CHECK_OK(preprocess(GF_SAMPLE_PIXELS, gf_image_rgb(image), TINY_BYTES, TINY_SIDE, TINY_SIDE,
                        pixels, &check_err));
    assert_memory_equal(pixels, gf_image_rgb(image), TINY_BYTES);
    gf_image_free(image);
}

/* A picture file and the same picture's pixels in an .npz are one thing to the network. */
TEST(preprocess__file_and_pixels_give_the_same_input)
{
    static const size_t sides[][2] = {{TINY_SIDE, TINY_SIDE}, {40, 24}, {7, 90}, {1, 1}};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        uint8_t from_file[TINY_BYTES], from_pixels[TINY_BYTES], *png = NULL;
        size_t n_bytes = 0;
        const size_t width = sides[i][0], height = sides[i][1];
        gf_image *image = tiny_picture(width, height, 1);
        CHECK_OK(gf_image_encode_png(image, &png, &n_bytes, &check_err));
        CHECK_OK(preprocess(GF_SAMPLE_ENCODED, png, n_bytes, 0, 0, from_file, &check_err));
        CHECK_OK(preprocess(GF_SAMPLE_PIXELS, gf_image_rgb(image), width * height * 3, width,
                            height, from_pixels, &check_err));
        assert_memory_equal(from_file, from_pixels, TINY_BYTES);
        gf_image_bytes_free(png);
        gf_image_free(image);
    }
}

/* preprocess_input() of Keras in float32, and a copy of it that went through float16. */
TEST(preprocess__scaled_bytes_come_back_exactly)
{
    uint8_t want[TINY_BYTES], pixels[TINY_BYTES];
    float scaled[TINY_BYTES], halves[TINY_BYTES];
    for (size_t i = 0; i < TINY_BYTES; i++) {
        want[i] = (uint8_t)(i % 256);
        scaled[i] = (float)want[i] / 127.5f - 1.0f;
        const float step = fabsf(scaled[i]) > 0.5f ? 0x1p-11f : 0x1p-12f;
        halves[i] = roundf(scaled[i] / step) * step;
    }
    CHECK_OK(preprocess(GF_SAMPLE_SCALED, scaled, sizeof scaled, TINY_SIDE, TINY_SIDE, pixels,
                        &check_err));
    assert_memory_equal(pixels, want, TINY_BYTES);
    CHECK_OK(preprocess(GF_SAMPLE_SCALED, halves, sizeof halves, TINY_SIDE, TINY_SIDE, pixels,
                        &check_err));
    assert_memory_equal(pixels, want, TINY_BYTES);
}

TEST(preprocess__scaled_floats_between_bytes_move_by_half_a_level)
{
    uint8_t pixels[TINY_BYTES];
    float scaled[TINY_BYTES];
    for (size_t i = 0; i < TINY_BYTES; i++)
        scaled[i] = (float)i * 2 / (TINY_BYTES - 1) - 1;
    CHECK_OK(preprocess(GF_SAMPLE_SCALED, scaled, sizeof scaled, TINY_SIDE, TINY_SIDE, pixels,
                        &check_err));
    for (size_t i = 0; i < TINY_BYTES; i++)
        CHECK_NEAR(pixels[i], ((double)scaled[i] + 1) * 127.5, 0.5001);
}

TEST(preprocess__scaled_of_another_size_is_resized_as_its_bytes)
{
    enum { W = 33, H = 20 };
    uint8_t want[TINY_BYTES], pixels[TINY_BYTES];
    float scaled[W * H * 3];
    gf_image *image = tiny_picture(W, H, 5);
    for (size_t i = 0; i < W * H * 3; i++)
        scaled[i] = (float)gf_image_rgb(image)[i] / 127.5f - 1.0f;
    CHECK_OK(preprocess(GF_SAMPLE_PIXELS, gf_image_rgb(image), W * H * 3, W, H, want, &check_err));
    CHECK_OK(preprocess(GF_SAMPLE_SCALED, scaled, sizeof scaled, W, H, pixels, &check_err));
    assert_memory_equal(pixels, want, TINY_BYTES);
    gf_image_free(image);
}

TEST(preprocess__refuses_floats_that_are_not_scaled)
{
    uint8_t pixels[TINY_BYTES];
    float scaled[TINY_BYTES] = {0};
    static const float bad[] = {255.0f, -1.01f, 1.01f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        scaled[17] = bad[i];
        CHECK_FAILS(GF_EFORMAT, "value 17",
                    preprocess(GF_SAMPLE_SCALED, scaled, sizeof scaled, TINY_SIDE, TINY_SIDE,
                               pixels, &check_err));
    }
}

TEST(preprocess__refuses_bytes_that_do_not_fill_the_picture)
{
    uint8_t pixels[TINY_BYTES] = {0};
    CHECK_FAILS(GF_ESHAPE, "11 bytes",
                preprocess(GF_SAMPLE_PIXELS, pixels, 11, 2, 2, pixels, &check_err));
    CHECK_FAILS(GF_ESHAPE, "expected 0",
                preprocess(GF_SAMPLE_PIXELS, pixels, 0, 0, 4, pixels, &check_err));
    CHECK_FAILS(GF_ESHAPE, "expected",
                preprocess(GF_SAMPLE_SCALED, pixels, 12, SIZE_MAX / 2, 4, pixels, &check_err));
    CHECK_FAILS(GF_EFORMAT, "",
                preprocess(GF_SAMPLE_ENCODED, "no picture", 10, 0, 0, pixels, &check_err));
}

/* ---- one picture ---- */

static gf_extractor *new_extractor(gf_trunk *trunk, const char *layer, gf_pool pool,
                                   const gf_extractor_options *options)
{
    gf_extractor *extractor = NULL;
    const gf_output_spec spec = {layer, pool};
    CHECK_OK(gf_extractor_new(trunk, &spec, 1, options, &extractor, &check_err));
    return extractor;
}

static gf_extractor_options f32_options(int n_threads)
{
    gf_extractor_options options = gf_extractor_options_default();
    options.precision = GF_PRECISION_F32;
    options.n_threads = n_threads;
    return options;
}

TEST(extractor__knows_its_outputs_without_a_plan)
{
    gf_trunk *trunk = tiny_trunk("tiny");
    const gf_output_spec specs[] = {{"avg_pool", GF_POOL_NONE},
                                    {"1", GF_POOL_NONE},
                                    {"conv", GF_POOL_AVG},
                                    {"conv", GF_POOL_MAX}};
    static const size_t sizes[] = {TINY_FILTERS, 7 * 7 * TINY_FILTERS, TINY_FILTERS, TINY_FILTERS};
    gf_extractor *extractor = NULL;
    size_t shape[3];
    CHECK_OK(gf_extractor_new(trunk, specs, 4, NULL, &extractor, &check_err));
    CHECK_EQ(gf_extractor_n_outputs(extractor), 4);
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(gf_extractor_output_size(extractor, i), sizes[i]);
    CHECK_EQ(gf_extractor_output_shape(extractor, 0, shape), 1);
    CHECK_EQ(gf_extractor_output_shape(extractor, 1, shape), 3);
    CHECK_EQ(shape[0] * 100 + shape[1] * 10 + shape[2], 700 + 70 + TINY_FILTERS);
    CHECK_STR(extractor->outputs[1].layer, "conv");
    CHECK(gf_extractor_precision(extractor) != GF_PRECISION_AUTO);
    assert_null(extractor->plan);
    gf_extractor_free(extractor);
    gf_trunk_free(trunk);
}

TEST(extractor__names_what_cannot_be_had)
{
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_extractor *extractor = NULL;
    const gf_output_spec unknown = {"cnov", GF_POOL_NONE}, pooled = {"avg_pool", GF_POOL_AVG};
    CHECK_FAILS(GF_ENOTFOUND, "cnov",
                gf_extractor_new(trunk, &unknown, 1, NULL, &extractor, &check_err));
    assert_null(extractor);
    CHECK_FAILS(GF_EINVAL, "no height and width",
                gf_extractor_new(trunk, &pooled, 1, NULL, &extractor, &check_err));
    gf_trunk_free(trunk);
}

TEST(extractor__gives_what_the_plain_kernels_give)
{
    gf_trunk *trunk = tiny_trunk("tiny");
    const gf_extractor_options options = f32_options(1);
    gf_extractor *extractor = new_extractor(trunk, "conv", GF_POOL_NONE, &options);
    const size_t size = gf_extractor_output_size(extractor, 0);
    float *features = calloc(size, sizeof *features), *want = NULL;
    float input[TINY_BYTES];
    uint8_t *png = NULL;
    size_t n_bytes = 0;
    gf_extract_timing timing = {-1, -1};

    gf_image *image = tiny_picture(TINY_SIDE, TINY_SIDE, 3);
    CHECK_OK(gf_image_encode_png(image, &png, &n_bytes, &check_err));
    for (size_t i = 0; i < TINY_BYTES; i++)
        input[i] = (float)gf_image_rgb(image)[i] / 127.5f - 1.0f;
    const gf_output_spec spec = {"conv", GF_POOL_NONE};
    CHECK_OK(gf__engine_run_reference(gf_trunk_graph(trunk), &spec, 1, input, &want, &check_err));
    CHECK_OK(gf_extractor_picture(extractor, png, n_bytes, &features, &timing, &check_err));
    for (size_t i = 0; i < size; i++)
        CHECK_NEAR(features[i], want[i], 1e-5);
    CHECK(timing.decode_ms >= 0 && timing.network_ms >= 0);

    CHECK_FAILS(GF_EFORMAT, "",
                gf_extractor_picture(extractor, png, n_bytes / 2, &features, NULL, &check_err));
    gf_image_free(image);
    gf_image_bytes_free(png);
    gf__free(want);
    free(features);
    gf_extractor_free(extractor);
    gf_trunk_free(trunk);
}

/* ---- data sets ---- */

static gf_tensor *extract(gf_trunk *trunk, const char *layer, const gf_dataset *dataset,
                          const gf_extract_request *request, const gf_extractor_options *options)
{
    gf_tensor *features = NULL;
    gf_extractor *extractor = new_extractor(trunk, layer, GF_POOL_AVG, options);
    CHECK_OK(gf_extractor_dataset(extractor, dataset, request, NULL, &features, &check_err));
    gf_extractor_free(extractor);
    return features;
}

static void check_same(const gf_tensor *a, const gf_tensor *b)
{
    CHECK_EQ(gf_tensor_size_bytes(a), gf_tensor_size_bytes(b));
    assert_memory_equal(gf_tensor_data(a), gf_tensor_data(b), gf_tensor_size_bytes(a));
}

TEST(extractor_dataset__is_the_same_bytes_on_any_number_of_threads)
{
    char *dir = check_temp_dir();
    tiny_folder(dir, 3, 7);
    gf_dataset *dataset = tiny_dataset(dir);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_extractor_options options = f32_options(1);
    gf_tensor *one = extract(trunk, "conv", dataset, NULL, &options);
    CHECK_EQ(gf_tensor_shape(one)[0], 21);
    CHECK_EQ(gf_tensor_shape(one)[1], TINY_FILTERS);
    for (int n_threads = 2; n_threads <= 5; n_threads++) {
        options.n_threads = n_threads;
        gf_tensor *many = extract(trunk, "conv", dataset, NULL, &options);
        check_same(one, many);
        gf_tensor_free(many);
    }
    gf_tensor_free(one);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

TEST(extractor_dataset__gives_the_items_asked_for_in_their_order)
{
    char *dir = check_temp_dir();
    tiny_folder(dir, 2, 5);
    gf_dataset *dataset = tiny_dataset(dir);
    gf_trunk *trunk = tiny_trunk("tiny");
    const gf_extractor_options options = f32_options(2);
    const size_t items[] = {7, 0, 7, 3};
    const gf_extract_request request = {.items = items, .n_items = 4};
    gf_tensor *all = extract(trunk, "conv", dataset, NULL, &options);
    gf_tensor *some = extract(trunk, "conv", dataset, &request, &options);
    CHECK_EQ(gf_tensor_shape(some)[0], 4);
    for (size_t i = 0; i < 4; i++)
        assert_memory_equal(gf_tensor_f32(some) + i * TINY_FILTERS,
                            gf_tensor_f32(all) + items[i] * TINY_FILTERS,
                            TINY_FILTERS * sizeof(float));
    gf_tensor_free(all);
    gf_tensor_free(some);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

static void spoil(const char *dir, const char *name)
{
    char *path = tiny_path(dir, name);
    CHECK_OK(gf__write_file(path, "\x89PNG\r\n\x1a\n and then nothing", 25, &check_err));
    gf__free(path);
}

TEST(extractor_dataset__names_the_first_picture_it_cannot_read)
{
    char *dir = check_temp_dir();
    tiny_folder(dir, 2, 5);
    gf_dataset *dataset = tiny_dataset(dir);
    spoil(dir, "a/003.png");
    gf_trunk *trunk = tiny_trunk("tiny");
    const gf_extractor_options options = f32_options(2);
    gf_extractor *extractor = new_extractor(trunk, "conv", GF_POOL_AVG, &options);
    gf_tensor *features = NULL;
    CHECK_FAILS(GF_EFORMAT, "a/003.png",
                gf_extractor_dataset(extractor, dataset, NULL, NULL, &features, &check_err));
    assert_null(features);
    gf_extractor_free(extractor);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

typedef struct watch {
    int n_warnings, n_calls;
    uint64_t last;
    uint64_t stop_at;
} watch;

static void watch_log(void *user, gf_log_level level, const char *message)
{
    watch *w = user;
    w->n_warnings += level == GF_LOG_WARNING && strstr(message, "003.png") != NULL;
}

static bool watch_progress(void *user, const gf_progress *progress)
{
    watch *w = user;
    CHECK_STR(progress->stage, "features");
    CHECK_EQ(progress->n_done, w->last + 1);
    w->last = progress->n_done;
    w->n_calls++;
    return w->stop_at == 0 || progress->n_done < w->stop_at;
}

TEST(extractor_dataset__marks_pictures_it_cannot_read_where_asked)
{
    char *dir = check_temp_dir();
    tiny_folder(dir, 2, 5);
    gf_dataset *dataset = tiny_dataset(dir);
    gf_trunk *trunk = tiny_trunk("tiny");
    char *cache_dir = tiny_path(dir, "cache");
    gf_extractor_options options = f32_options(2);
    options.cache_dir = cache_dir;
    gf_tensor *before = extract(trunk, "conv", dataset, NULL, &options);
    spoil(dir, "a/003.png");

    bool is_bad[10];
    watch w = {0};
    const gf_observer obs = {watch_progress, watch_log, &w};
    const gf_extract_request request = {.is_bad = is_bad};
    gf_extractor *extractor = new_extractor(trunk, "conv", GF_POOL_AVG, &options);
    gf_tensor *features = NULL;
    CHECK_OK(gf_extractor_dataset(extractor, dataset, &request, &obs, &features, &check_err));
    const float *values = gf_tensor_f32(features), *whole = gf_tensor_f32(before);
    for (size_t i = 0; i < 10; i++) {
        CHECK_EQ(is_bad[i], i == 3);
        for (size_t k = 0; k < TINY_FILTERS; k++)
            assert_true(values[i * TINY_FILTERS + k] ==
                        (i == 3 ? 0.0f : whole[i * TINY_FILTERS + k]));
    }
    CHECK_EQ(w.n_warnings, 1);
    CHECK_EQ(w.n_calls, 10);
    gf_tensor_free(before);
    gf_tensor_free(features);
    gf_extractor_free(extractor);
    gf__free(cache_dir);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

TEST(extractor_dataset__stops_when_told_and_keeps_what_is_done)
{
    char *dir = check_temp_dir(), *pictures = tiny_path(dir, "pictures");
    char *cache_dir = tiny_path(dir, "cache");
    tiny_folder(pictures, 2, 10);
    gf_dataset *dataset = tiny_dataset(pictures);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_extractor_options options = f32_options(1);
    options.cache_dir = cache_dir;
    gf_extractor *extractor = new_extractor(trunk, "conv", GF_POOL_AVG, &options);
    gf_tensor *features = NULL;
    watch w = {.stop_at = 6};
    const gf_observer obs = {watch_progress, watch_log, &w};
    CHECK_FAILS(GF_ECANCELED, "",
                gf_extractor_dataset(extractor, dataset, NULL, &obs, &features, &check_err));
    assert_null(features);
    CHECK_EQ(w.last, 6);
    gf_extractor_free(extractor);

    size_t n_cached = 0;
    const gf_extract_request request = {.n_cached = &n_cached};
    features = extract(trunk, "conv", dataset, &request, &options);
    CHECK_EQ(n_cached, 6);
    gf_tensor_free(features);
    gf__free(pictures);
    gf__free(cache_dir);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

TEST(extractor_dataset__starts_no_engine_when_all_is_cached)
{
    char *dir = check_temp_dir(), *pictures = tiny_path(dir, "pictures");
    char *cache_dir = tiny_path(dir, "cache");
    tiny_folder(pictures, 2, 50);
    gf_dataset *dataset = tiny_dataset(pictures);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_extractor_options options = f32_options(2);
    options.cache_dir = cache_dir;
    size_t n_cached = 99;
    const gf_extract_request request = {.n_cached = &n_cached};
    gf_tensor *cold = extract(trunk, "conv", dataset, &request, &options);
    CHECK_EQ(n_cached, 0);

    gf_extractor *extractor = new_extractor(trunk, "conv", GF_POOL_AVG, &options);
    gf_tensor *warm = NULL;
    CHECK_OK(gf_extractor_dataset(extractor, dataset, &request, NULL, &warm, &check_err));
    CHECK_EQ(n_cached, 100);
    assert_null(extractor->plan);
    check_same(cold, warm);
    gf_tensor_free(cold);
    gf_tensor_free(warm);
    gf_extractor_free(extractor);
    gf__free(pictures);
    gf__free(cache_dir);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

/* How many of a data set's features are cached under these circumstances. */
static size_t n_cached_for(const char *trunk_name, const char *layer, const gf_view *view,
                           const gf_dataset *dataset, const gf_extractor_options *options)
{
    size_t n_cached = 0;
    gf_trunk *trunk = tiny_trunk(trunk_name);
    const gf_extract_request request = {.view = view, .n_cached = &n_cached};
    gf_tensor_free(extract(trunk, layer, dataset, &request, options));
    gf_trunk_free(trunk);
    return n_cached;
}

TEST(extractor_dataset__caches_by_trunk_cut_precision_and_view)
{
    char *dir = check_temp_dir(), *pictures = tiny_path(dir, "pictures");
    char *cache_dir = tiny_path(dir, "cache");
    tiny_folder(pictures, 1, 5);
    gf_dataset *dataset = tiny_dataset(pictures);
    gf_extractor_options options = f32_options(1);
    options.cache_dir = cache_dir;
    const gf_view flip = {1u << GF_VIEW_FLIP, 1}, flip_2 = {1u << GF_VIEW_FLIP, 2}, none = {0, 7};
    CHECK_EQ(n_cached_for("tiny", "conv", NULL, dataset, &options), 0);
    CHECK_EQ(n_cached_for("tiny", "1", NULL, dataset, &options), 5); /* the same layer */
    CHECK_EQ(n_cached_for("tiny", "conv", &none, dataset, &options), 5);
    CHECK_EQ(n_cached_for("tiny", "input_1", NULL, dataset, &options), 0);
    CHECK_EQ(n_cached_for("other", "conv", NULL, dataset, &options), 0);
    CHECK_EQ(n_cached_for("tiny", "conv", &flip, dataset, &options), 0);
    CHECK_EQ(n_cached_for("tiny", "conv", &flip_2, dataset, &options), 0);
    CHECK_EQ(n_cached_for("tiny", "conv", &flip, dataset, &options), 5);
    options.max_pixels = 20 * 24; /* a picture that is refused has no features, cached or not */
    CHECK_EQ(n_cached_for("tiny", "conv", NULL, dataset, &options), 0);
    options.max_pixels = 0;
    if (gf_precision_is_native(GF_PRECISION_BF16)) {
        options.precision = GF_PRECISION_BF16;
        CHECK_EQ(n_cached_for("tiny", "conv", NULL, dataset, &options), 0);
        options.precision = GF_PRECISION_AUTO;
        CHECK_EQ(n_cached_for("tiny", "conv", NULL, dataset, &options), 5);
    }
    gf__free(pictures);
    gf__free(cache_dir);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

TEST(extractor_dataset__gives_several_outputs_of_one_pass)
{
    char *dir = check_temp_dir();
    tiny_folder(dir, 1, 4);
    gf_dataset *dataset = tiny_dataset(dir);
    gf_trunk *trunk = tiny_trunk("tiny");
    const gf_extractor_options options = f32_options(2);
    const gf_output_spec specs[] = {{"avg_pool", GF_POOL_NONE}, {"conv", GF_POOL_AVG}};
    gf_extractor *extractor = NULL;
    gf_tensor *out[2];
    CHECK_OK(gf_extractor_new(trunk, specs, 2, &options, &extractor, &check_err));
    CHECK_OK(gf_extractor_dataset(extractor, dataset, NULL, NULL, out, &check_err));
    for (size_t i = 0; i < gf_tensor_n_values(out[0]); i++)
        CHECK_NEAR(gf_tensor_f32(out[0])[i], gf_tensor_f32(out[1])[i], 1e-5);
    gf_tensor_free(out[0]);
    gf_tensor_free(out[1]);
    gf_extractor_free(extractor);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

/* Taking a convolution out between its neighbours changes their last bits, and so does the input,
 * whose scale is then not folded into the first weights: such a pass must not fill their cache. */
TEST(extractor_dataset__keeps_no_rows_of_cuts_that_depend_on_each_other)
{
    char *dir = check_temp_dir(), *pictures = tiny_path(dir, "pictures");
    char *cache_dir = tiny_path(dir, "cache");
    tiny_folder(pictures, 1, 4);
    gf_dataset *dataset = tiny_dataset(pictures);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_extractor_options options = f32_options(1);
    options.cache_dir = cache_dir;
    const gf_output_spec specs[2][2] = {{{"conv", GF_POOL_AVG}, {"avg_pool", GF_POOL_NONE}},
                                        {{"input_1", GF_POOL_AVG}, {"avg_pool", GF_POOL_NONE}}};
    gf_extractor *extractor = NULL;
    gf_tensor *out[2];
    size_t n_cached = 9;
    const gf_extract_request request = {.n_cached = &n_cached};
    for (int round = 0; round < 4; round++) {
        CHECK_OK(gf_extractor_new(trunk, specs[round / 2], 2, &options, &extractor, &check_err));
        CHECK_OK(gf_extractor_dataset(extractor, dataset, &request, NULL, out, &check_err));
        CHECK_EQ(n_cached, 0);
        gf_tensor_free(out[0]);
        gf_tensor_free(out[1]);
        gf_extractor_free(extractor);
    }
    gf__free(pictures);
    gf__free(cache_dir);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

TEST(extractor_dataset__is_not_for_an_extractor_of_single_pictures)
{
    char *dir = check_temp_dir();
    tiny_folder(dir, 1, 2);
    gf_dataset *dataset = tiny_dataset(dir);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_extractor_options options = f32_options(1);
    options.for_latency = true;
    gf_extractor *extractor = new_extractor(trunk, "conv", GF_POOL_AVG, &options);
    gf_tensor *features = NULL;
    CHECK_FAILS(GF_EINVAL, "latency",
                gf_extractor_dataset(extractor, dataset, NULL, NULL, &features, &check_err));
    gf_extractor_free(extractor);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

TEST(extractor_dataset__survives_every_allocation_failure)
{
    char *dir = check_temp_dir(), *pictures = tiny_path(dir, "pictures");
    char *cache_dir = tiny_path(dir, "cache");
    tiny_folder(pictures, 1, 3);
    gf_dataset *dataset = tiny_dataset(pictures);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_extractor_options options = f32_options(1);
    options.cache_dir = cache_dir;
    gf_tensor_free(extract(trunk, "conv", dataset, NULL, &options)); /* then all is cached */
    gf_status st = GF_ENOMEM;
    for (size_t n = 0; st != GF_OK; n++) {
        gf_extractor *extractor = NULL;
        gf_tensor *features = NULL;
        const gf_output_spec spec = {"conv", GF_POOL_AVG};
        gf__mem_fail_after(n);
        st = gf_extractor_new(trunk, &spec, 1, &options, &extractor, NULL);
        if (st == GF_OK)
            st = gf_extractor_dataset(extractor, dataset, NULL, NULL, &features, NULL);
        gf__mem_fail_never();
        CHECK(st == GF_OK || features == NULL);
        gf_tensor_free(features);
        gf_extractor_free(extractor);
        CHECK(n < 100000);
    }
    gf__free(pictures);
    gf__free(cache_dir);
    gf_trunk_free(trunk);
    gf_dataset_free(dataset);
    check_remove_dir(dir);
}

/* ---- the real trunk ---- */

static gf_trunk *real_trunk(void)
{
    const char *home = getenv("GRAFT_TEST_HOME");
    gf_trunk *trunk = NULL;
    if (home == NULL)
        fail_msg("GRAFT_TEST_HOME is not set: run the tests with make test");
    CHECK_OK(gf_trunk_load(home, "inception_v3", &trunk, &check_err));
    return trunk;
}

/* Four pictures as JPEGs of 400 x 350 in class folders. */
static void write_jpegs(const char *dir)
{
    char *folder = tiny_path(dir, "a");
    CHECK_OK(gf__make_dirs(folder, &check_err));
    for (uint64_t i = 0; i < 4; i++) {
        char name[32];
        uint8_t *jpeg = NULL;
        size_t n_bytes = 0;
        gf_image *image = tiny_picture(400, 350, 50 + i);
        CHECK_OK(gf_image_encode_jpeg(image, 90, &jpeg, &n_bytes, &check_err));
        snprintf(name, sizeof name, "%d.jpg", (int)i);
        char *path = tiny_path(folder, name);
        CHECK_OK(gf__write_file(path, jpeg, n_bytes, &check_err));
        gf__free(path);
        gf_image_bytes_free(jpeg);
        gf_image_free(image);
    }
    gf__free(folder);
}

/* The article's .npz of the same pictures, as bytes and as floats in [-1,1]. */
static void write_npz(const char *dir, const char *bytes_path, const char *floats_path)
{
    enum { SIDE = 299, N = 4, BYTES = SIDE * SIDE * 3 };
    const size_t shape[4] = {N, SIDE, SIDE, 3}, n = N;
    gf_tensor *bytes = NULL, *floats = NULL, *labels = NULL;
    gf_dataset *dataset = tiny_dataset(dir);
    CHECK_OK(gf_tensor_new(GF_DTYPE_U8, shape, 4, &bytes, &check_err));
    CHECK_OK(gf_tensor_new(GF_DTYPE_F32, shape, 4, &floats, &check_err));
    CHECK_OK(gf_tensor_new(GF_DTYPE_I64, &n, 1, &labels, &check_err));
    uint8_t *pixels = gf_tensor_mutable_data(bytes);
    float *values = gf_tensor_mutable_data(floats);
    for (size_t i = 0; i < N; i++) {
        gf_sample sample;
        CHECK_OK(gf_dataset_read(dataset, i, &sample, &check_err));
        CHECK_OK(gf__image_decode_resized(sample.data, sample.n_bytes,
                                          gf_image_options_default().max_pixels, SIDE, SIDE, NULL,
                                          pixels + i * BYTES, &check_err));
        gf_sample_release(&sample);
    }
    for (size_t i = 0; i < (size_t)N * BYTES; i++)
        values[i] = (float)pixels[i] / 127.5f - 1.0f;
    const gf_npz_member members[] = {{.name = "features", .tensor = bytes},
                                     {.name = "labels", .tensor = labels}};
    CHECK_OK(gf_npz_save(bytes_path, members, 2, false, &check_err));
    const gf_npz_member scaled[] = {{.name = "features", .tensor = floats},
                                    {.name = "labels", .tensor = labels}};
    CHECK_OK(gf_npz_save(floats_path, scaled, 2, true, &check_err));
    gf_tensor_free(bytes);
    gf_tensor_free(floats);
    gf_tensor_free(labels);
    gf_dataset_free(dataset);
}

TEST(real_trunk__one_picture_has_one_feature_vector)
{
    char *dir = check_temp_dir(), *pictures = tiny_path(dir, "pictures");
    char *bytes_path = tiny_path(dir, "bytes.npz"), *floats_path = tiny_path(dir, "floats.npz");
    gf_trunk *trunk = real_trunk();
    gf_extractor_options options = gf_extractor_options_default();
    write_jpegs(pictures);
    write_npz(pictures, bytes_path, floats_path);
    gf_dataset *jpegs = tiny_dataset(pictures), *bytes = tiny_dataset(bytes_path);
    gf_dataset *floats = tiny_dataset(floats_path);

    options.n_threads = 1;
    gf_tensor *one = extract(trunk, "mixed4", jpegs, NULL, &options);
    options.n_threads = 2;
    gf_tensor *two = extract(trunk, "mixed4", jpegs, NULL, &options);
    gf_tensor *from_bytes = extract(trunk, "mixed4", bytes, NULL, &options);
    gf_tensor *from_floats = extract(trunk, "mixed4", floats, NULL, &options);
    check_same(one, two);         /* whatever the number of threads */
    check_same(one, from_bytes);  /* whether it comes as a file, */
    check_same(one, from_floats); /* as pixels, or as somebody's floats */

    gf_tensor_free(one);
    gf_tensor_free(two);
    gf_tensor_free(from_bytes);
    gf_tensor_free(from_floats);
    gf_dataset_free(jpegs);
    gf_dataset_free(bytes);
    gf_dataset_free(floats);
    gf_trunk_free(trunk);
    gf__free(pictures);
    gf__free(bytes_path);
    gf__free(floats_path);
    check_remove_dir(dir);
}

/* Several cuts of one pass share the cache with each of them alone: the bytes must be the same. */
TEST(real_trunk__cut_does_not_depend_on_the_cuts_beside_it)
{
    char *dir = check_temp_dir();
    gf_trunk *trunk = real_trunk();
    const gf_output_spec specs[] = {
        {"mixed0", GF_POOL_AVG}, {"mixed3", GF_POOL_MAX}, {"mixed4", GF_POOL_AVG}};
    gf_extractor_options options = gf_extractor_options_default();
    gf_extractor *extractor = NULL;
    gf_tensor *together[3];
    write_jpegs(dir);
    gf_dataset *dataset = tiny_dataset(dir);
    options.n_threads = 1;
    CHECK_OK(gf_extractor_new(trunk, specs, 3, &options, &extractor, &check_err));
    CHECK_OK(gf_extractor_dataset(extractor, dataset, NULL, NULL, together, &check_err));
    gf_extractor_free(extractor);
    for (size_t i = 0; i < 3; i++) {
        gf_tensor *alone = NULL;
        extractor = new_extractor(trunk, specs[i].layer, specs[i].pool, &options);
        CHECK_OK(gf_extractor_dataset(extractor, dataset, NULL, NULL, &alone, &check_err));
        check_same(alone, together[i]);
        gf_extractor_free(extractor);
        gf_tensor_free(alone);
        gf_tensor_free(together[i]);
    }
    gf_dataset_free(dataset);
    gf_trunk_free(trunk);
    check_remove_dir(dir);
}

TESTS_MAIN(UNIT(recipe__comes_back_from_json), UNIT(recipe__refuses_what_no_network_has),
           UNIT(preprocess__pixels_of_the_right_size_are_left_alone),
           UNIT(preprocess__file_and_pixels_give_the_same_input),
           UNIT(preprocess__scaled_bytes_come_back_exactly),
           UNIT(preprocess__scaled_floats_between_bytes_move_by_half_a_level),
           UNIT(preprocess__scaled_of_another_size_is_resized_as_its_bytes),
           UNIT(preprocess__refuses_floats_that_are_not_scaled),
           UNIT(preprocess__refuses_bytes_that_do_not_fill_the_picture),
           UNIT(extractor__knows_its_outputs_without_a_plan),
           UNIT(extractor__names_what_cannot_be_had),
           UNIT(extractor__gives_what_the_plain_kernels_give),
           UNIT(extractor_dataset__is_the_same_bytes_on_any_number_of_threads),
           UNIT(extractor_dataset__gives_the_items_asked_for_in_their_order),
           UNIT(extractor_dataset__names_the_first_picture_it_cannot_read),
           UNIT(extractor_dataset__marks_pictures_it_cannot_read_where_asked),
           UNIT(extractor_dataset__stops_when_told_and_keeps_what_is_done),
           UNIT(extractor_dataset__starts_no_engine_when_all_is_cached),
           UNIT(extractor_dataset__caches_by_trunk_cut_precision_and_view),
           UNIT(extractor_dataset__gives_several_outputs_of_one_pass),
           UNIT(extractor_dataset__keeps_no_rows_of_cuts_that_depend_on_each_other),
           UNIT(extractor_dataset__is_not_for_an_extractor_of_single_pictures),
           UNIT(extractor_dataset__survives_every_allocation_failure),
           UNIT(real_trunk__one_picture_has_one_feature_vector),
           UNIT(real_trunk__cut_does_not_depend_on_the_cuts_beside_it))
