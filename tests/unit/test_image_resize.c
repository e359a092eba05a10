/* image resize: equal to Pillow's BILINEAR bit for bit (golden hashes from
 * tests/golden/make_images.py), and what it refuses. */
#include "check.h"

#include "base/base.h"
#include "image/image_priv.h"

/* noise() of make_images.py, as a picture: through a BMP, since pictures are made by decoding
 * only. */
static gf_image *new_noise(size_t width, size_t height)
{
    const size_t stride = (3 * width + 3) / 4 * 4, n_bytes = 54 + stride * height;
    uint8_t *bmp = gf__calloc(n_bytes, 1);
    assert_non_null(bmp);
    const uint32_t fields[] = {(uint32_t)n_bytes,           0, 54, 40, (uint32_t)width,
                               (uint32_t) - (int32_t)height};
    memcpy(bmp, "BM", 2);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        for (size_t b = 0; b < 4; b++)
            bmp[2 + 4 * i + b] = (uint8_t)(fields[i] >> 8 * b);
    }
    bmp[26] = 1;
    bmp[28] = 24;
    uint32_t state = 12345;
    for (size_t y = 0; y < height; y++) {
        for (size_t i = 0; i < 3 * width; i++) {
            state = state * 1664525U + 1013904223U;
            bmp[54 + y * stride + i / 3 * 3 + 2 - i % 3] = (uint8_t)(state >> 24);
        }
    }
    gf_image *image = NULL;
    CHECK_OK(gf_image_decode(bmp, n_bytes, NULL, &image, &check_err));
    gf__free(bmp);
    return image;
}

static uint64_t fnv1a(const uint8_t *bytes, size_t n_bytes)
{
    uint64_t hash = 0xCBF29CE484222325U;
    for (size_t i = 0; i < n_bytes; i++)
        hash = (hash ^ bytes[i]) * 0x100000001B3U;
    return hash;
}

TEST(resize__equals_pillow_bilinear)
{
    FILE *list = fopen(check_fixture("golden/images/resize.txt"), "r");
    char line[256];
    size_t n_cases = 0;

    assert_non_null(list);
    while (fgets(line, sizeof line, list) != NULL) {
        size_t w, h, to_w, to_h;
        unsigned long long want;
        if (sscanf(line, "%zu %zu %zu %zu %llx", &w, &h, &to_w, &to_h, &want) != 5)
            continue;
        gf_image *image = new_noise(w, h), *resized = NULL;
        CHECK_OK(gf_image_resize(image, to_w, to_h, &resized, &check_err));
        CHECK_EQ(gf_image_width(resized), to_w);
        CHECK_EQ(gf_image_height(resized), to_h);
        const unsigned long long got = fnv1a(gf_image_rgb(resized), 3 * to_w * to_h);
        if (got != want)
            fail_msg("%zux%zu to %zux%zu hashes to %016llx, expected %016llx", w, h, to_w, to_h,
                     got, want);
        gf_image_free(resized);
        gf_image_free(image);
        n_cases++;
    }
    fclose(list);
    CHECK_EQ(n_cases, 16);
}

/* Rows of 3 bytes a pixel are also what the columns kernel works on. */
TEST(resize_kernels__equal_the_plain_ones)
{
    static const size_t sides[] = {1, 2, 3, 17, 31, 200, 2048};
    const gf__resize_kernels *plain = gf__resize_kernels_plain(), *here = gf__resize_kernels_here();
    gf__filter filter = {0};

    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        for (size_t j = 0; j < sizeof sides / sizeof *sides; j++) {
            static uint8_t want[3 * 2048 * 7], got[3 * 2048 * 7];
            gf_image *row = new_noise(sides[i], 1), *rows = new_noise(7, sides[i]);
            CHECK_OK(gf__filter_set(&filter, sides[i], sides[j], &check_err));
            plain->row(&filter, gf_image_rgb(row), want);
            here->row(&filter, gf_image_rgb(row), got);
            assert_memory_equal(got, want, 3 * sides[j]);
            plain->columns(&filter, gf_image_rgb(rows), 3 * 7, want);
            here->columns(&filter, gf_image_rgb(rows), 3 * 7, got);
            assert_memory_equal(got, want, 3 * 7 * sides[j]);
            gf_image_free(row);
            gf_image_free(rows);
        }
    }
    gf__filter_clear(&filter);
}

TEST(resize_into__writes_the_target_and_nothing_beside_it)
{
    static const size_t sides[] = {1, 3, 17, 40};
    gf_image *image = new_noise(37, 23);

    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            const size_t n_bytes = 3 * sides[i] * sides[j];
            uint8_t memory[3 * 40 * 40 + 16];
            memset(memory, 0xA5, sizeof memory);
            CHECK_OK(gf_image_resize_into(image, sides[i], sides[j], memory + 8, &check_err));
            for (size_t b = 0; b < 8; b++) {
                CHECK_EQ(memory[b], 0xA5);
                CHECK_EQ(memory[8 + n_bytes + b], 0xA5);
            }
        }
    }
    gf_image_free(image);
}

TEST(resize__keeps_one_colour)
{
    gf_image *white = NULL, *resized = NULL;
    CHECK_OK(
        gf_image_load(check_fixture("golden/images/one-colour.png"), NULL, &white, &check_err));
    CHECK_OK(gf_image_resize(white, 61, 7, &resized, &check_err));
    for (size_t i = 0; i < 3 * 61 * 7; i++)
        CHECK_EQ(gf_image_rgb(resized)[i], 255);
    gf_image_free(resized);
    gf_image_free(white);
}

TEST(resize__refuses_a_side_of_zero_and_sizes_that_wrap)
{
    gf_image *image = new_noise(2, 2), *resized = NULL;
    CHECK_FAILS(GF_EINVAL, "0x7", gf_image_resize(image, 0, 7, &resized, &check_err));
    CHECK_FAILS(GF_EINVAL, "7x0", gf_image_resize(image, 7, 0, &resized, &check_err));
    CHECK_FAILS(GF_ELIMIT, "fit in memory",
                gf_image_resize(image, SIZE_MAX / 2, 3, &resized, &check_err));
    assert_null(resized);
    gf_image_free(image);
}

TEST(resize__survives_every_allocation_failure)
{
    gf_image *image = new_noise(9, 9), *resized = NULL;
    gf_status st = GF_ENOMEM;

    for (size_t n = 0; st == GF_ENOMEM; n++) {
        gf__mem_fail_after(n);
        st = gf_image_resize(image, 4, 4, &resized, &check_err);
        gf__mem_fail_never();
        CHECK(st == GF_OK || (st == GF_ENOMEM && resized == NULL));
    }
    CHECK_EQ(st, GF_OK);
    gf_image_free(resized);
    gf_image_free(image);
}

TEST(from_rgb__copies_the_bytes)
{
    uint8_t rgb[2 * 3 * 3];
    gf_image *image = NULL;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 7);
    CHECK_OK(gf_image_from_rgb(rgb, 2, 3, &image, &check_err));
    CHECK_EQ(gf_image_width(image), 2);
    CHECK_EQ(gf_image_height(image), 3);
    CHECK(gf_image_rgb(image) != rgb);
    assert_memory_equal(gf_image_rgb(image), rgb, sizeof rgb);
    gf_image_free(image);
    CHECK_FAILS(GF_EINVAL, "0x3", gf_image_from_rgb(rgb, 0, 3, &image, &check_err));
    assert_null(image);
}

TEST(crop__takes_the_part_asked_for)
{
    gf_image *image = new_noise(7, 5), *part = NULL;
    CHECK_OK(gf_image_crop(image, 2, 1, 4, 3, &part, &check_err));
    CHECK_EQ(gf_image_width(part), 4);
    CHECK_EQ(gf_image_height(part), 3);
    for (size_t y = 0; y < 3; y++)
        assert_memory_equal(gf_image_rgb(part) + 3 * 4 * y,
                            gf_image_rgb(image) + 3 * (7 * (y + 1) + 2), 3 * 4);
    gf_image_free(part);
    gf_image_free(image);
}

TEST(crop__refuses_what_is_outside)
{
    gf_image *image = new_noise(7, 5), *part = NULL;
    CHECK_FAILS(GF_EINVAL, "not inside 7x5", gf_image_crop(image, 4, 0, 4, 1, &part, &check_err));
    CHECK_FAILS(GF_EINVAL, "not inside 7x5", gf_image_crop(image, 0, 5, 1, 1, &part, &check_err));
    CHECK_FAILS(GF_EINVAL, "not inside 7x5",
                gf_image_crop(image, SIZE_MAX, 0, 2, 1, &part, &check_err));
    CHECK_FAILS(GF_EINVAL, "not inside 7x5", gf_image_crop(image, 0, 0, 0, 1, &part, &check_err));
    assert_null(part);
    gf_image_free(image);
}

TEST(flip__exchanges_left_and_right)
{
    gf_image *image = new_noise(7, 5), *mirror = NULL;
    CHECK_OK(gf_image_flip(image, &mirror, &check_err));
    for (size_t y = 0; y < 5; y++) {
        for (size_t x = 0; x < 7; x++)
            assert_memory_equal(gf_image_rgb(mirror) + 3 * (7 * y + x),
                                gf_image_rgb(image) + 3 * (7 * y + 6 - x), 3);
    }
    gf_image_free(mirror);
    gf_image_free(image);
}

/* One row of 9 million pixels: 72 MB of weights, for 27 MB of picture. */
TEST(scratch__does_not_keep_the_weights_of_a_giant)
{
    gf_image *image = NULL;
    gf__image_scratch *scratch = NULL;
    uint8_t *bytes = NULL, rgb[3];
    size_t n_bytes = 0;

    CHECK_OK(gf__image_new(9000000, 1, &image, &check_err));
    CHECK_OK(gf_image_encode_png(image, &bytes, &n_bytes, &check_err));
    CHECK_OK(gf__image_scratch_new(&scratch, &check_err));
    CHECK_OK(gf__image_decode_resized(bytes, n_bytes, UINT64_MAX, 1, 1, scratch, rgb, &check_err));
    CHECK(scratch->x_filter.weights == NULL && scratch->x_filter.n_in == 0);
    gf__image_scratch_free(scratch);
    gf_image_bytes_free(bytes);
    gf_image_free(image);
}

TESTS_MAIN(UNIT(resize__equals_pillow_bilinear), UNIT(resize_kernels__equal_the_plain_ones),
           UNIT(resize_into__writes_the_target_and_nothing_beside_it),
           UNIT(resize__keeps_one_colour), UNIT(resize__refuses_a_side_of_zero_and_sizes_that_wrap),
           UNIT(resize__survives_every_allocation_failure), UNIT(from_rgb__copies_the_bytes),
           UNIT(crop__takes_the_part_asked_for), UNIT(crop__refuses_what_is_outside),
           UNIT(flip__exchanges_left_and_right),
           UNIT(scratch__does_not_keep_the_weights_of_a_giant))
