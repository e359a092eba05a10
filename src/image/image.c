/* image/image.c: the picture itself: new, free, looked at, cut, mirrored. */
#include "image/image_priv.h"

#include <assert.h>
#include <string.h>

gf_status gf__rgb_bytes(size_t width, size_t height, size_t *n_bytes, gf_error *err)
{
    size_t n_pixels = 0;

    if (!gf__mul_size(width, height, &n_pixels) || !gf__mul_size(n_pixels, 3, n_bytes) ||
        *n_bytes > PTRDIFF_MAX - GF__IMAGE_PADDING)
        return gf_error_set(err, GF_ELIMIT, "a picture of %zux%zu pixels does not fit in memory",
                            width, height);
    return GF_OK;
}

gf_status gf__image_new(size_t width, size_t height, gf_image **out, gf_error *err)
{
    size_t n_bytes = 0;

    *out = NULL;
    gf_status st = gf__rgb_bytes(width, height, &n_bytes, err);
    if (st != GF_OK)
        return st;
    gf_image *image = gf__calloc(1, sizeof *image);
    if (image == NULL)
        return gf__error_nomem(err, "a picture", sizeof *image);
    image->width = width;
    image->height = height;
    image->rgb = gf__alloc_aligned(n_bytes + GF__IMAGE_PADDING);
    if (image->rgb == NULL) {
        gf_image_free(image);
        return gf__error_nomem(err, "a picture", n_bytes);
    }
    *out = image;
    return GF_OK;
}

gf_status gf_image_from_rgb(const uint8_t *rgb, size_t width, size_t height, gf_image **out,
                            gf_error *err)
{
    gf_image *image = NULL;

    *out = NULL;
    if (width == 0 || height == 0)
        return gf_error_set(err, GF_EINVAL, "a picture of %zux%zu pixels has none", width, height);
    gf_status st = gf__image_new(width, height, &image, err);
    if (st != GF_OK)
        return st;
    memcpy(image->rgb, rgb, 3 * width * height);
    *out = image;
    return GF_OK;
}

void gf_image_free(gf_image *image)
{
    if (image == NULL)
        return;
    gf__free(image->rgb);
    gf__free(image);
}

size_t gf_image_width(const gf_image *image)
{
    return image->width;
}

size_t gf_image_height(const gf_image *image)
{
    return image->height;
}

const uint8_t *gf_image_rgb(const gf_image *image)
{
    return image->rgb;
}

gf_status gf_image_crop(const gf_image *image, size_t left, size_t top, size_t width, size_t height,
                        gf_image **out, gf_error *err)
{
    gf_image *part = NULL;

    *out = NULL;
    if (width == 0 || height == 0 || left > image->width || width > image->width - left ||
        top > image->height || height > image->height - top)
        return gf_error_set(err, GF_EINVAL,
                            "a part of %zux%zu pixels at %zu,%zu is not inside %zux%zu", width,
                            height, left, top, image->width, image->height);
    gf_status st = gf__image_new(width, height, &part, err);
    if (st != GF_OK)
        return st;
    for (size_t y = 0; y < height; y++)
        memcpy(part->rgb + 3 * y * width, image->rgb + 3 * ((top + y) * image->width + left),
               3 * width);
    *out = part;
    return GF_OK;
}

gf_status gf_image_flip(const gf_image *image, gf_image **out, gf_error *err)
{
    gf_image *mirror = NULL;

    *out = NULL;
    gf_status st = gf__image_new(image->width, image->height, &mirror, err);
    if (st != GF_OK)
        return st;
    gf__turn(image->rgb, image->width, image->height, 2, mirror->rgb);
    *out = mirror;
    return GF_OK;
}
