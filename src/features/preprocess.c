/* features/preprocess.c: the one way from a sample to a network's input. Whatever comes in (a
 * picture file, pixels, floats that were scaled by somebody else), bytes of the recipe's size go
 * out. */
#include <math.h>
#include <string.h>

#include "features/features_priv.h"

/* preprocess_input(): x = pixel / 127.5 - 1. Half precision keeps a byte's place to 0.03 of a
 * level, so nearest is exact for it too. A value this far (in levels) outside 0..255 was not made
 * that way. */
#define LEVELS 127.5f
#define SLACK  0.5f

static gf_status check_size(const gf_sample *sample, size_t bytes_per_value, gf_error *err)
{
    size_t want = 0;
    if (!gf__mul_size(sample->width, sample->height, &want) ||
        !gf__mul_size(want, 3 * bytes_per_value, &want) || want == 0 || want != sample->n_bytes)
        return gf_error_set(err, GF_ESHAPE, "%zu bytes of pixels, expected %zu x %zu x 3 x %zu",
                            sample->n_bytes, sample->width, sample->height, bytes_per_value);
    return GF_OK;
}

/* scaled (n floats, not always aligned: they may lie in a mapped .npz) back to bytes. */
static gf_status unscale(uint8_t *rgb, const uint8_t *scaled, size_t n, gf_error *err)
{
    for (size_t i = 0; i < n; i++) {
        float value;
        memcpy(&value, scaled + i * sizeof value, sizeof value);
        const float level = (value + 1.0f) * LEVELS;
        if (!(level >= -SLACK && level <= 255.0f + SLACK))
            return gf_error_set(err, GF_EFORMAT,
                                "value %zu is %g: scaled pictures are in [-1,1] (pixel / 127.5 "
                                "- 1), pictures of 0 to 255 belong in a uint8 array",
                                i, (double)value);
        const float nearest = level + 0.5f;
        rgb[i] = (uint8_t)(nearest < 0 ? 0 : nearest > 255.0f ? 255.0f : nearest);
    }
    return GF_OK;
}

static gf_status image_of_scaled(const gf_sample *sample, gf_image **out, gf_error *err)
{
    const size_t n = sample->n_bytes / sizeof(float);
    uint8_t *rgb = gf__malloc(n);
    if (rgb == NULL)
        return gf__error_nomem(err, "a picture", n);
    gf_status st = unscale(rgb, sample->data, n, err);
    if (st == GF_OK)
        st = gf_image_from_rgb(rgb, sample->width, sample->height, out, err);
    gf__free(rgb);
    return st;
}

gf_status gf__sample_image(const gf_sample *sample, const gf_image_options *options, gf_image **out,
                           gf_error *err)
{
    if (sample->kind == GF_SAMPLE_ENCODED)
        return gf_image_decode(sample->data, sample->n_bytes, options, out, err);
    const bool is_float = sample->kind == GF_SAMPLE_SCALED;
    const gf_status st = check_size(sample, is_float ? sizeof(float) : 1, err);
    if (st != GF_OK)
        return st;
    return is_float ? image_of_scaled(sample, out, err)
                    : gf_image_from_rgb(sample->data, sample->width, sample->height, out, err);
}

static gf_image_options image_options(const gf__preprocess_options *options)
{
    gf_image_options result = gf_image_options_default();
    if (options->max_pixels > 0)
        result.max_pixels = options->max_pixels;
    result.target_width = options->recipe.width;
    result.target_height = options->recipe.height;
    return result;
}

/* Through an image: sizes differ, or a view changes it. */
static gf_status reshape(const gf_sample *sample, const gf__preprocess_options *options,
                         uint64_t content, uint8_t *pixels, gf_error *err)
{
    const gf_recipe *recipe = &options->recipe;
    const gf_image_options how = image_options(options);
    gf_image *image = NULL;
    gf_status st = gf__sample_image(sample, &how, &image, err);
    if (st == GF_OK)
        st = gf__view_shape(&options->view, content, &image, err);
    if (st == GF_OK)
        st = gf_image_resize_into(image, recipe->width, recipe->height, pixels, err);
    gf_image_free(image);
    return st;
}

gf_status gf__preprocess(const gf_sample *sample, const gf__preprocess_options *options,
                         gf__image_scratch *scratch, uint8_t *pixels, gf_error *err)
{
    const gf_recipe *recipe = &options->recipe;
    if (options->view.kinds != 0) {
        const uint64_t content = gf__xxh64(sample->data, sample->n_bytes, 0);
        const gf_status st = reshape(sample, options, content, pixels, err);
        if (st == GF_OK)
            gf__view_colour(&options->view, content, pixels, recipe->width, recipe->height);
        return st;
    }
    if (sample->kind == GF_SAMPLE_ENCODED)
        return gf__image_decode_resized(sample->data, sample->n_bytes,
                                        image_options(options).max_pixels, recipe->width,
                                        recipe->height, scratch, pixels, err);
    if (sample->width != recipe->width || sample->height != recipe->height)
        return reshape(sample, options, 0, pixels, err);
    const bool is_float = sample->kind == GF_SAMPLE_SCALED;
    const gf_status st = check_size(sample, is_float ? sizeof(float) : 1, err);
    if (st == GF_OK && is_float)
        return unscale(pixels, sample->data, sample->n_bytes / sizeof(float), err);
    if (st == GF_OK)
        memcpy(pixels, sample->data, sample->n_bytes);
    return st;
}
