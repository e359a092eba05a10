/* test_augment.c: views: what each kind does to a picture, and that a seed says it all. */
#include "features/features_priv.h"
#include "tiny.h"

#define SIDE 32

static gf_view view_of(unsigned kinds, uint64_t seed)
{
    return (gf_view){kinds, seed};
}

static unsigned bit(gf_view_kind kind)
{
    return 1u << kind;
}

/* The network's input of a picture of this size seen through a view. */
static void see(size_t width, size_t height, uint64_t picture, gf_view view, uint8_t *pixels)
{
    gf_image *image = tiny_picture(width, height, picture);
    const gf_sample sample = {.kind = GF_SAMPLE_PIXELS,
                              .data = gf_image_rgb(image),
                              .n_bytes = width * height * 3,
                              .width = width,
                              .height = height};
    const gf__preprocess_options options = {
        .recipe = {.version = 1, .width = SIDE, .height = SIDE, .scale = 1 / 127.5f, .shift = -1},
        .view = view};
    CHECK_OK(gf__preprocess(&sample, &options, NULL, pixels, &check_err));
    gf_image_free(image);
}

static double mean_of(const uint8_t *pixels)
{
    double sum = 0;
    for (size_t i = 0; i < SIDE * SIDE * 3; i++)
        sum += pixels[i];
    return sum / (SIDE * SIDE * 3);
}

static double deviation_of(const uint8_t *pixels)
{
    const double mean = mean_of(pixels);
    double sum = 0;
    for (size_t i = 0; i < SIDE * SIDE * 3; i++)
        sum += (pixels[i] - mean) * (pixels[i] - mean);
    return sqrt(sum / (SIDE * SIDE * 3));
}

TEST(view_parse__knows_every_word)
{
    unsigned kinds = 0;
    CHECK_OK(gf_view_parse("flip,crop,rotate,brightness,contrast", &kinds, &check_err));
    CHECK_EQ(kinds, bit(GF_VIEW_FLIP) | bit(GF_VIEW_CROP) | bit(GF_VIEW_ROTATE) |
                        bit(GF_VIEW_BRIGHTNESS) | bit(GF_VIEW_CONTRAST));
    CHECK_OK(gf_view_parse("crop", &kinds, &check_err));
    CHECK_EQ(kinds, bit(GF_VIEW_CROP));
}

TEST(view_parse__names_what_it_does_not_know)
{
    unsigned kinds = 7;
    CHECK_FAILS(GF_EINVAL, "\"mirror\"", gf_view_parse("flip,mirror", &kinds, &check_err));
    CHECK_FAILS(GF_EINVAL, "rotate, brightness", gf_view_parse("", &kinds, &check_err));
    CHECK_FAILS(GF_EINVAL, "\"\"", gf_view_parse("flip,", &kinds, &check_err));
    CHECK_FAILS(GF_EINVAL, "\"fli\"", gf_view_parse("fli", &kinds, &check_err));
    CHECK_EQ(kinds, 7);
}

TEST(view__is_the_same_bytes_for_the_same_seed_and_picture)
{
    uint8_t one[SIDE * SIDE * 3], other[SIDE * SIDE * 3];
    unsigned all = 0;
    CHECK_OK(gf_view_parse("flip,crop,rotate,brightness,contrast", &all, &check_err));
    see(90, 70, 1, view_of(all, 5), one);
    see(90, 70, 1, view_of(all, 5), other);
    assert_memory_equal(one, other, sizeof one);
    see(90, 70, 1, view_of(all, 6), other);
    assert_memory_not_equal(one, other, sizeof one);
}

TEST(view__none_is_the_picture_whatever_the_seed)
{
    uint8_t one[SIDE * SIDE * 3], other[SIDE * SIDE * 3];
    see(90, 70, 1, view_of(0, 5), one);
    see(90, 70, 1, view_of(0, 6), other);
    assert_memory_equal(one, other, sizeof one);
}

static bool is_mirrored(const uint8_t *seen, const uint8_t *plain)
{
    for (size_t y = 0; y < SIDE; y++) {
        for (size_t x = 0; x < SIDE; x++) {
            if (memcmp(seen + 3 * (y * SIDE + x), plain + 3 * (y * SIDE + SIDE - 1 - x), 3) != 0)
                return false;
        }
    }
    return true;
}

TEST(view__flip_mirrors_about_half_of_the_pictures)
{
    uint8_t plain[SIDE * SIDE * 3], seen[SIDE * SIDE * 3];
    size_t n_mirrored = 0;
    for (uint64_t picture = 0; picture < 60; picture++) {
        see(50, 40, picture, view_of(0, 0), plain);
        see(50, 40, picture, view_of(bit(GF_VIEW_FLIP), 9), seen);
        if (is_mirrored(seen, plain))
            n_mirrored++;
        else
            assert_memory_equal(seen, plain, sizeof seen);
    }
    CHECK(n_mirrored > 18 && n_mirrored < 42);
}

/* Adding flip leaves the crop where it was: each kind has a stream of its own. */
TEST(view__kinds_draw_independently)
{
    uint8_t cropped[SIDE * SIDE * 3], both[SIDE * SIDE * 3];
    size_t n_mirrored = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        see(50, 40, 2, view_of(bit(GF_VIEW_CROP), seed), cropped);
        see(50, 40, 2, view_of(bit(GF_VIEW_CROP) | bit(GF_VIEW_FLIP), seed), both);
        if (is_mirrored(both, cropped))
            n_mirrored++;
        else
            assert_memory_equal(both, cropped, sizeof both);
    }
    CHECK(n_mirrored > 2 && n_mirrored < 18);
}

TEST(view__crop_takes_80_to_100_percent_of_each_side)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        const gf_view view = view_of(bit(GF_VIEW_CROP), seed);
        gf_image *image = tiny_picture(100, 60, 3);
        CHECK_OK(gf__view_shape(&view, 77, &image, &check_err));
        CHECK(gf_image_width(image) >= 80 && gf_image_width(image) <= 100);
        CHECK(gf_image_height(image) >= 48 && gf_image_height(image) <= 60);
        gf_image_free(image);
    }
}

TEST(view__works_on_a_single_pixel)
{
    uint8_t pixels[SIDE * SIDE * 3];
    unsigned all = 0;
    CHECK_OK(gf_view_parse("flip,crop,rotate,contrast", &all, &check_err));
    const uint8_t rgb[3] = {10, 20, 30};
    const gf_sample sample = {
        .kind = GF_SAMPLE_PIXELS, .data = rgb, .n_bytes = 3, .width = 1, .height = 1};
    const gf__preprocess_options options = {
        .recipe = {.version = 1, .width = SIDE, .height = SIDE, .scale = 1, .shift = 0},
        .view = view_of(all, 3)};
    CHECK_OK(gf__preprocess(&sample, &options, NULL, pixels, &check_err));
}

/* A ramp from left to right, turned by a: its value falls off along the rows and down the columns
 * as cos a and sin a. */
TEST(view__rotate_turns_by_at_most_15_degrees)
{
    enum { W = 101, H = 101 };
    static uint8_t ramp[W * H * 3];
    double most = 0;
    for (size_t i = 0; i < sizeof ramp; i++)
        ramp[i] = (uint8_t)(2 * (i / 3 % W));
    for (uint64_t seed = 0; seed < 40; seed++) {
        gf_image *image = NULL;
        const gf_view view = view_of(bit(GF_VIEW_ROTATE), seed);
        CHECK_OK(gf_image_from_rgb(ramp, W, H, &image, &check_err));
        CHECK_OK(gf__view_shape(&view, 0, &image, &check_err));
        const uint8_t *rgb = gf_image_rgb(image);
        const double across = (rgb[3 * (50 * W + 70)] - rgb[3 * (50 * W + 30)]) / 40.0;
        const double down = (rgb[3 * (70 * W + 50)] - rgb[3 * (30 * W + 50)]) / 40.0;
        const double degrees = atan2(down, across) * 180 / 3.14159265358979;
        CHECK_EQ(rgb[3 * (50 * W + 50)], 100); /* the centre stays */
        CHECK(fabs(degrees) < 15.8);           /* a level of rounding at each end */
        most = fmax(most, fabs(degrees));
        gf_image_free(image);
    }
    CHECK(most > 12);
}

TEST(view__brightness_scales_all_values_by_0_7_to_1_3)
{
    uint8_t plain[SIDE * SIDE * 3], seen[SIDE * SIDE * 3];
    double least = 2, most = 0;
    see(SIDE, SIDE, 4, view_of(0, 0), plain);
    for (uint64_t seed = 0; seed < 60; seed++) {
        see(SIDE, SIDE, 4, view_of(bit(GF_VIEW_BRIGHTNESS), seed), seen);
        double factor = 0;
        for (size_t i = 0; i < sizeof plain; i++)
            if (plain[i] > 100 && plain[i] < 190)
                factor = (double)seen[i] / plain[i];
        for (size_t i = 0; i < sizeof plain; i++) {
            const double want = fmin(plain[i] * factor, 255);
            CHECK_NEAR(seen[i], want, 2.0);
        }
        least = fmin(least, factor);
        most = fmax(most, factor);
    }
    CHECK(least > 0.69 && least < 0.8);
    CHECK(most > 1.2 && most < 1.31);
}

TEST(view__contrast_keeps_the_mean_and_scales_the_deviation)
{
    uint8_t plain[SIDE * SIDE * 3], seen[SIDE * SIDE * 3];
    see(SIDE, SIDE, 4, view_of(0, 0), plain);
    for (uint64_t seed = 0; seed < 20; seed++) {
        see(SIDE, SIDE, 4, view_of(bit(GF_VIEW_CONTRAST), seed), seen);
        const double factor = deviation_of(seen) / deviation_of(plain);
        CHECK(factor > 0.69 && factor < 1.31);
        if (factor < 1)
            CHECK_NEAR(mean_of(seen), mean_of(plain), 1.0);
    }
}

TESTS_MAIN(UNIT(view_parse__knows_every_word), UNIT(view_parse__names_what_it_does_not_know),
           UNIT(view__is_the_same_bytes_for_the_same_seed_and_picture),
           UNIT(view__none_is_the_picture_whatever_the_seed),
           UNIT(view__flip_mirrors_about_half_of_the_pictures),
           UNIT(view__kinds_draw_independently),
           UNIT(view__crop_takes_80_to_100_percent_of_each_side),
           UNIT(view__works_on_a_single_pixel), UNIT(view__rotate_turns_by_at_most_15_degrees),
           UNIT(view__brightness_scales_all_values_by_0_7_to_1_3),
           UNIT(view__contrast_keeps_the_mean_and_scales_the_deviation))
