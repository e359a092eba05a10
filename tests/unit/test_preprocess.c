/* test_preprocess.c: the one preprocessing path, from a file, pixels or floats to a network's input, and the
 * recipe of it that a model keeps. */
#include "features/extractor_priv.h"
#include "tiny.h"

static const gf_recipe tiny_recipe = {
    .version = 1, .width = TINY_SIDE, .height = TINY_SIDE, .scale = 1 / 127.5f, .shift = -1};

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

TESTS_MAIN(UNIT(recipe__comes_back_from_json), UNIT(recipe__refuses_what_no_network_has),
           UNIT(preprocess__pixels_of_the_right_size_are_left_alone),
           UNIT(preprocess__file_and_pixels_give_the_same_input),
           UNIT(preprocess__scaled_bytes_come_back_exactly),
           UNIT(preprocess__scaled_floats_between_bytes_move_by_half_a_level),
           UNIT(preprocess__scaled_of_another_size_is_resized_as_its_bytes),
           UNIT(preprocess__refuses_floats_that_are_not_scaled),
           UNIT(preprocess__refuses_bytes_that_do_not_fill_the_picture))
