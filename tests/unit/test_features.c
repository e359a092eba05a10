/* test_features.c: features of single pictures. A network of 16 x 16 pixels does for most; the last tests
 * run the real trunk of GRAFT_TEST_HOME. */
#include "engine/engine.h"
#include "tiny_extractor.h"

/* ---- one picture ---- */

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

TESTS_MAIN(UNIT(extractor__knows_its_outputs_without_a_plan),
           UNIT(extractor__names_what_cannot_be_had),
           UNIT(extractor__gives_what_the_plain_kernels_give),
           UNIT(real_trunk__one_picture_has_one_feature_vector),
           UNIT(real_trunk__cut_does_not_depend_on_the_cuts_beside_it))
