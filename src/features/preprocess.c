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

static uint64_t pixel_limit(const gf__preprocess_options *options)
{
    return options->max_pixels > 0 ? options->max_pixels : gf_image_options_default().max_pixels;
}

static gf_status decode(const gf_sample *sample, const gf__preprocess_options *options,
                        gf_image **out, gf_error *err)
{
    gf_image_options image_options = gf_image_options_default();
    image_options.max_pixels = pixel_limit(options);
    image_options.target_width = options->recipe.width;
    image_options.target_height = options->recipe.height;
    return gf_image_decode(sample->data, sample->n_bytes, &image_options, out, err);
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

static gf_status image_of(const gf_sample *sample, const gf__preprocess_options *options,
                          gf_image **out, gf_error *err)
{
    switch (sample->kind) {
    case GF_SAMPLE_PIXELS:
        return gf_image_from_rgb(sample->data, sample->width, sample->height, out, err);
    case GF_SAMPLE_SCALED:
        return image_of_scaled(sample, out, err);
    case GF_SAMPLE_ENCODED:
        break;
    }
    return decode(sample, options, out, err);
}

/* Through an image: sizes differ, or a view changes it. */
static gf_status reshape(const gf_sample *sample, const gf__preprocess_options *options,
                         uint64_t content, uint8_t *pixels, gf_error *err)
{
    const gf_recipe *recipe = &options->recipe;
    gf_image *image = NULL;
    gf_status st = image_of(sample, options, &image, err);
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
    const bool has_view = options->view.kinds != 0;
    const bool is_encoded = sample->kind == GF_SAMPLE_ENCODED;
    if (!is_encoded) {
        const bool is_float = sample->kind == GF_SAMPLE_SCALED;
        const gf_status st = check_size(sample, is_float ? sizeof(float) : 1, err);
        if (st != GF_OK)
            return st;
    }
    if (has_view) {
        const uint64_t content = gf__xxh64(sample->data, sample->n_bytes, 0);
        const gf_status st = reshape(sample, options, content, pixels, err);
        if (st == GF_OK)
            gf__view_colour(&options->view, content, pixels, recipe->width, recipe->height);
        return st;
    }
    if (is_encoded)
        return gf__image_decode_resized(sample->data, sample->n_bytes, pixel_limit(options),
                                        recipe->width, recipe->height, scratch, pixels, err);
    if (sample->width != recipe->width || sample->height != recipe->height)
        return reshape(sample, options, 0, pixels, err);
    if (sample->kind == GF_SAMPLE_SCALED)
        return unscale(pixels, sample->data, sample->n_bytes / sizeof(float), err);
    memcpy(pixels, sample->data, sample->n_bytes);
    return GF_OK;
}
