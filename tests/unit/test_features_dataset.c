/* test_features_dataset.c: features of whole data sets: the same bytes on any number of threads, pictures
 * that cannot be read, stopping, and what the cache may be asked for. */
#include "tiny_extractor.h"

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

/* Rows of a list as they are in the whole. */
static void check_rows(const gf_tensor *whole, const gf_tensor *rows, const size_t *items, size_t n)
{
    const size_t size = gf_tensor_shape(whole)[1];
    CHECK_EQ(gf_tensor_shape(rows)[0], n);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(gf_tensor_f32(rows) + i * size, gf_tensor_f32(whole) + items[i] * size,
                            size * sizeof(float));
}

TEST(extractor_lists__have_their_own_rows_marks_and_counts)
{
    enum { N_FIRST = 4, N_SECOND = 3 };
    static const size_t first[N_FIRST] = {5, 0, 3, 7}, second[N_SECOND] = {6, 2, 1};
    char *dir = check_temp_dir(), *pictures = tiny_path(dir, "pictures");
    char *cache_dir = tiny_path(dir, "cache");
    bool is_bad[2][N_FIRST];
    size_t n_cached[2] = {9, 9};
    gf_tensor *out[2];
    tiny_folder(pictures, 2, 4);
    gf_dataset *dataset = tiny_dataset(pictures);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_extractor_options options = f32_options(3);
    gf_tensor *whole = extract(trunk, "conv", dataset, NULL, &options);
    const gf__extract_list lists[2] = {
        {{.items = first, .n_items = N_FIRST, .is_bad = is_bad[0], .n_cached = &n_cached[0]},
         &out[0]},
        {{.items = second, .n_items = N_SECOND, .is_bad = is_bad[1], .n_cached = &n_cached[1]},
         &out[1]}};
    options.cache_dir = cache_dir;
    gf_extractor *extractor = new_extractor(trunk, "conv", GF_POOL_AVG, &options);
    for (size_t run = 0; run < 2; run++) {
        CHECK_OK(gf__extractor_lists(extractor, dataset, lists, 2, NULL, &check_err));
        check_rows(whole, out[0], first, N_FIRST);
        check_rows(whole, out[1], second, N_SECOND);
        CHECK_EQ(n_cached[0], run * N_FIRST);
        CHECK_EQ(n_cached[1], run * N_SECOND);
        gf_tensor_free(out[0]);
        gf_tensor_free(out[1]);
    }
    gf_extractor_free(extractor);

    /* One that cannot be read is marked in its own list. */
    spoil(pictures, "a/002.png");
    extractor = new_extractor(trunk, "conv", GF_POOL_AVG, &options);
    CHECK_OK(gf__extractor_lists(extractor, dataset, lists, 2, NULL, &check_err));
    for (size_t i = 0; i < N_FIRST; i++)
        CHECK(!is_bad[0][i]);
    for (size_t i = 0; i < N_SECOND; i++)
        CHECK_EQ(is_bad[1][i], i == 1);
    gf_tensor_free(out[0]);
    gf_tensor_free(out[1]);
    gf_extractor_free(extractor);
    gf_tensor_free(whole);
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

TEST(extractor_dataset__cache_is_known_to_be_empty_without_making_a_file)
{
    char *dir = check_temp_dir(), *pictures = tiny_path(dir, "pictures");
    char *cache_dir = tiny_path(dir, "cache");
    tiny_folder(pictures, 1, 2);
    gf_dataset *dataset = tiny_dataset(pictures);
    gf_trunk *trunk = tiny_trunk("tiny");
    gf_extractor_options options = f32_options(1);
    gf_extractor *uncached = new_extractor(trunk, "conv", GF_POOL_AVG, &options);
    CHECK(!gf__extractor_has_cached(uncached));

    options.cache_dir = cache_dir;
    gf_extractor *extractor = new_extractor(trunk, "conv", GF_POOL_AVG, &options);
    CHECK(!gf__extractor_has_cached(extractor));
    CHECK(!gf__is_dir(cache_dir));
    gf_tensor_free(extract(trunk, "conv", dataset, NULL, &options));
    CHECK(gf__extractor_has_cached(extractor));
    gf_extractor_free(extractor);
    gf_extractor_free(uncached);
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

TESTS_MAIN(UNIT(extractor_dataset__is_the_same_bytes_on_any_number_of_threads),
           UNIT(extractor_dataset__gives_the_items_asked_for_in_their_order),
           UNIT(extractor_dataset__names_the_first_picture_it_cannot_read),
           UNIT(extractor_dataset__marks_pictures_it_cannot_read_where_asked),
           UNIT(extractor_dataset__stops_when_told_and_keeps_what_is_done),
           UNIT(extractor_lists__have_their_own_rows_marks_and_counts),
           UNIT(extractor_dataset__starts_no_engine_when_all_is_cached),
           UNIT(extractor_dataset__cache_is_known_to_be_empty_without_making_a_file),
           UNIT(extractor_dataset__caches_by_trunk_cut_precision_and_view),
           UNIT(extractor_dataset__gives_several_outputs_of_one_pass),
           UNIT(extractor_dataset__keeps_no_rows_of_cuts_that_depend_on_each_other),
           UNIT(extractor_dataset__is_not_for_an_extractor_of_single_pictures),
           UNIT(extractor_dataset__survives_every_allocation_failure))
