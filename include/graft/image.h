/* graft/image.h: picture files into RGB bytes, resizing, and back into PNG and JPEG.
 *
 *     gf_image *photo = NULL, *small = NULL;
 *     st = gf_image_load("opera.jpg", NULL, &photo, err);
 *     st = gf_image_resize(photo, 299, 299, &small, err);
 *
 * JPEG, PNG, WebP, GIF (first frame) and BMP, told apart by their content. EXIF orientation
 * applied; grey, CMYK, 16-bit, palette and alpha become 8-bit RGB, alpha blended over white. Memory
 * is bounded by max_pixels before any is taken.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GRAFT_IMAGE_H
#define GRAFT_IMAGE_H

#include "graft/base.h"

GF_BEGIN_DECLS

typedef struct gf_image gf_image; /* opaque: width x height x 3 bytes, rows without padding */

typedef enum gf_image_format {
    GF_IMAGE_UNKNOWN,
    GF_IMAGE_JPEG,
    GF_IMAGE_PNG,
    GF_IMAGE_WEBP,
    GF_IMAGE_GIF,
    GF_IMAGE_BMP
} gf_image_format;

GF_API const char *gf_image_format_name(gf_image_format format); /* "JPEG"; static storage */

typedef struct gf_image_options {
    uint64_t max_pixels; /* width x height refused beyond (GF_ELIMIT), default 64 Mi (67,108,864) */
    /* Not 0: the picture will be resized to this; a JPEG is decoded at the smallest DCT scale that
     * is still at least twice as large on both sides. */
    size_t target_width, target_height;
} gf_image_options;
GF_API gf_image_options gf_image_options_default(void);

/* What the file says, without decoding the pixels. */
typedef struct gf_image_info {
    gf_image_format format;
    size_t width, height; /* as stored, before the EXIF turn */
    int orientation;      /* EXIF 1..8, 1 where there is none */
    bool has_alpha;
    int n_channels; /* as stored: 1 grey, 3, 4 (CMYK or alpha) */
    int bit_depth;
} gf_image_info;
GF_API gf_status gf_image_read_info(const void *bytes, size_t n_bytes, gf_image_info *out,
                                    gf_error *err);

/* options may be NULL. *out is new, ended with gf_image_free(). Errors: GF_EFORMAT (truncated,
 * corrupt, empty, no known format), GF_ELIMIT, GF_EUNSUPPORTED, GF_ENOMEM. A JPEG that ends early
 * is an error, not a grey area. */
GF_API gf_status gf_image_decode(const void *bytes, size_t n_bytes, const gf_image_options *options,
                                 gf_image **out, gf_error *err);
GF_API gf_status gf_image_load(const char *path, const gf_image_options *options, gf_image **out,
                               gf_error *err); /* messages start with the path */

/* From width x height x 3 bytes, copied. */
GF_API gf_status gf_image_from_rgb(const uint8_t *rgb, size_t width, size_t height, gf_image **out,
                                   gf_error *err);
GF_API void gf_image_free(gf_image *image);

GF_API size_t gf_image_width(const gf_image *image);
GF_API size_t gf_image_height(const gf_image *image);
GF_API const uint8_t *gf_image_rgb(const gf_image *image); /* borrowed, height x width x 3 */

/* Antialiased bilinear (triangle filter of support max(1, scale), centres at half pixels), the one
 * filter of graft: what Pillow's resize(..., BILINEAR) computes, within 1 level. The aspect ratio
 * is not kept. */
GF_API gf_status gf_image_resize(const gf_image *image, size_t width, size_t height, gf_image **out,
                                 gf_error *err);
/* The same into memory of the caller, width x height x 3 bytes. */
GF_API gf_status gf_image_resize_into(const gf_image *image, size_t width, size_t height,
                                      uint8_t *rgb, gf_error *err);

/* A part, and the mirror image (left and right exchanged). */
GF_API gf_status gf_image_crop(const gf_image *image, size_t left, size_t top, size_t width,
                               size_t height, gf_image **out, gf_error *err);
GF_API gf_status gf_image_flip(const gf_image *image, gf_image **out, gf_error *err);

/* Encoded bytes, new, ended with gf_image_bytes_free(). quality 1..100. */
GF_API gf_status gf_image_encode_jpeg(const gf_image *image, int quality, uint8_t **bytes,
                                      size_t *n_bytes, gf_error *err);
GF_API gf_status gf_image_encode_png(const gf_image *image, uint8_t **bytes, size_t *n_bytes,
                                     gf_error *err);
GF_API void gf_image_bytes_free(uint8_t *bytes);

GF_END_DECLS

#endif
