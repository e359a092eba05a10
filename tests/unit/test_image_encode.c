/* image encode: what is written can be read back; and the difference hash, which finds the same
 * picture again. */
#include "check.h"

#include "base/base.h"
#include "image/image.h"

static gf_image *load(const char *name)
{
    char relative[512];
    gf_image *image = NULL;
    snprintf(relative, sizeof relative, "golden/images/%s", name);
    CHECK_OK(gf_image_load(check_fixture(relative), NULL, &image, &check_err));
    return image;
}

static gf_image *decode(const uint8_t *bytes, size_t n_bytes)
{
    gf_image *image = NULL;
    CHECK_OK(gf_image_decode(bytes, n_bytes, NULL, &image, &check_err));
    return image;
}

TEST(encode_png__keeps_every_pixel)
{
    gf_image *image = load("png-rgb.png");
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;

    CHECK_OK(gf_image_encode_png(image, &bytes, &n_bytes, &check_err));
    gf_image *again = decode(bytes, n_bytes);
    CHECK_EQ(gf_image_width(again), gf_image_width(image));
    CHECK_EQ(gf_image_height(again), gf_image_height(image));
    assert_memory_equal(gf_image_rgb(again), gf_image_rgb(image),
                        3 * gf_image_width(image) * gf_image_height(image));
    gf_image_bytes_free(bytes);
    gf_image_free(again);
    gf_image_free(image);
}

static double mean_difference(const gf_image *a, const gf_image *b)
{
    const size_t n = 3 * gf_image_width(a) * gf_image_height(a);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += abs(gf_image_rgb(a)[i] - gf_image_rgb(b)[i]);
    return sum / (double)n;
}

TEST(encode_jpeg__is_closer_and_larger_with_more_quality)
{
    gf_image *image = load("png-rgb.png");
    size_t n_before = 0;
    double before = 256;

    for (int quality = 10; quality <= 100; quality += 30) {
        uint8_t *bytes = NULL;
        size_t n_bytes = 0;
        CHECK_OK(gf_image_encode_jpeg(image, quality, &bytes, &n_bytes, &check_err));
        gf_image *again = decode(bytes, n_bytes);
        const double difference = mean_difference(image, again);
        CHECK(n_bytes > n_before && difference < before);
        n_before = n_bytes;
        before = difference;
        gf_image_free(again);
        gf_image_bytes_free(bytes);
    }
    CHECK(before < 16); /* colour at half resolution costs this picture's yellow square */
    gf_image_free(image);
}

TEST(encode_jpeg__refuses_a_quality_there_is_not)
{
    gf_image *image = load("png-rgb.png");
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    CHECK_FAILS(GF_EINVAL, "quality 0",
                gf_image_encode_jpeg(image, 0, &bytes, &n_bytes, &check_err));
    CHECK_FAILS(GF_EINVAL, "quality 101",
                gf_image_encode_jpeg(image, 101, &bytes, &n_bytes, &check_err));
    assert_null(bytes);
    gf_image_free(image);
}

TEST(encode_jpeg__refuses_more_than_65500_pixels_a_side)
{
    gf_image *image = load("png-rgb.png"), *wide = NULL;
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    CHECK_OK(gf_image_resize(image, 65501, 1, &wide, &check_err));
    CHECK_FAILS(GF_ELIMIT, "65500", gf_image_encode_jpeg(wide, 90, &bytes, &n_bytes, &check_err));
    CHECK_OK(gf_image_encode_png(wide, &bytes, &n_bytes, &check_err));
    gf_image_bytes_free(bytes);
    gf_image_free(wide);
    gf_image_free(image);
}

TEST(encode__survives_every_allocation_failure)
{
    gf_image *image = load("png-rgb.png");

    for (int kind = 0; kind < 2; kind++) {
        gf_status st = GF_ENOMEM;
        uint8_t *bytes = NULL;
        size_t n_bytes = 0;
        for (size_t n = 0; st == GF_ENOMEM; n++) {
            gf__mem_fail_after(n);
            st = kind == 0 ? gf_image_encode_png(image, &bytes, &n_bytes, &check_err)
                           : gf_image_encode_jpeg(image, 90, &bytes, &n_bytes, &check_err);
            gf__mem_fail_never();
            CHECK(st == GF_OK || (st == GF_ENOMEM && bytes == NULL && n_bytes == 0));
        }
        CHECK_EQ(st, GF_OK);
        gf_image_bytes_free(bytes);
    }
    gf_image_free(image);
}

static int n_different_bits(uint64_t a, uint64_t b)
{
    return __builtin_popcountll(a ^ b);
}

TEST(difference_hash__stays_close_at_other_sizes_and_qualities)
{
    gf_image *image = load("png-rgb.png"), *large = NULL;
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    const uint64_t hash = gf__image_difference_hash(image);

    CHECK_OK(gf_image_resize(image, 240, 180, &large, &check_err));
    CHECK(n_different_bits(hash, gf__image_difference_hash(large)) <= 8);
    const uint64_t large_hash = gf__image_difference_hash(large);
    CHECK_OK(gf_image_encode_jpeg(large, 40, &bytes, &n_bytes, &check_err));
    gf_image *poor = decode(bytes, n_bytes);
    CHECK(n_different_bits(large_hash, gf__image_difference_hash(poor)) <= 4);
    gf_image_free(poor);
    gf_image_bytes_free(bytes);
    gf_image_free(large);
    gf_image_free(image);
}

TEST(difference_hash__tells_other_pictures_apart)
{
    gf_image *image = load("png-rgb.png"), *mirror = NULL;
    CHECK_OK(gf_image_flip(image, &mirror, &check_err));
    CHECK(n_different_bits(gf__image_difference_hash(image), gf__image_difference_hash(mirror)) >
          16);
    gf_image_free(mirror);
    gf_image_free(image);
}

TEST(difference_hash__is_the_sign_of_steps_to_the_right)
{
    gf_image *white = load("one-colour.png"), *dot = NULL;
    CHECK_EQ(gf__image_difference_hash(white), 0);
    CHECK_OK(gf_image_resize(white, 1, 1, &dot, &check_err)); /* smaller than the grid */
    CHECK_EQ(gf__image_difference_hash(dot), 0);
    gf_image_free(dot);
    gf_image_free(white);
}

TESTS_MAIN(UNIT(encode_png__keeps_every_pixel),
           UNIT(encode_jpeg__is_closer_and_larger_with_more_quality),
           UNIT(encode_jpeg__refuses_a_quality_there_is_not),
           UNIT(encode_jpeg__refuses_more_than_65500_pixels_a_side),
           UNIT(encode__survives_every_allocation_failure),
           UNIT(difference_hash__stays_close_at_other_sizes_and_qualities),
           UNIT(difference_hash__tells_other_pictures_apart),
           UNIT(difference_hash__is_the_sign_of_steps_to_the_right))
