/* image/image_priv.h: what the files of image share.
 *
 * A decoder reads one format. It is asked twice: for what the header says (cheap; the limits are
 * checked on it), then for the pixels, which it hands row by row to a gf__sink. The sink keeps them
 * as a picture or, on the way to a network's input, resizes each row while it is still in the CPU's
 * cache. */
#ifndef GRAFT_IMAGE_PRIV_H
#define GRAFT_IMAGE_PRIV_H

#include "base/base.h"
#include "image/image.h"

/* Bytes past the end of every pixel buffer that may be read: the resizer loads eight bytes for
 * six. */
#define GF__IMAGE_PADDING 16

struct gf_image {
    size_t width, height;
    uint8_t *rgb; /* width x height x 3, then GF__IMAGE_PADDING */
};

/* width * height * 3, or GF_ELIMIT where that does not fit. */
gf_status gf__rgb_bytes(size_t width, size_t height, size_t *n_bytes, gf_error *err);
/* A picture without pixels set yet. GF_ENOMEM, GF_ELIMIT. */
gf_status gf__image_new(size_t width, size_t height, gf_image **out, gf_error *err);

/* One direction of a resize: output i is the sum over t < n_taps[i] of weights[i * max_taps + t] *
 * input[first[i] + t], weights in 1/2^22. Made again only when the sizes change. Start zeroed. */
typedef struct gf__filter {
    size_t n_in, n_out;
    size_t max_taps;
    size_t *first;
    size_t *n_taps;
    int32_t *weights;
} gf__filter;
gf_status gf__filter_set(gf__filter *filter, size_t n_in, size_t n_out, gf_error *err);
void gf__filter_clear(gf__filter *filter);
/* One row of n_in pixels (padded) into n_out; and n_in rows into n_out rows. */
void gf__resize_row(const gf__filter *filter, const uint8_t *row, uint8_t *out);
void gf__resize_columns(const gf__filter *filter, const uint8_t *rows, size_t n_row_bytes,
                        uint8_t *out);

/* The loops behind them: the plain ones are the specification, the others must equal them bit for
 * bit. */
typedef struct gf__resize_kernels {
    void (*row)(const gf__filter *filter, const uint8_t *row, uint8_t *out);
    void (*columns)(const gf__filter *filter, const uint8_t *rows, size_t n_row_bytes,
                    uint8_t *out);
} gf__resize_kernels;
const gf__resize_kernels *gf__resize_kernels_plain(void);
const gf__resize_kernels *gf__resize_kernels_here(void); /* the fastest this CPU has */

/* Memory that only grows. Start zeroed; end with gf__free(block.data). The content is lost when it
 * grows. */
typedef struct gf__block {
    uint8_t *data;
    size_t capacity;
} gf__block;
gf_status gf__block_reserve(gf__block *block, size_t n_bytes, const char *what, gf_error *err);

struct gf__image_scratch {
    gf__block row;    /* one row of RGB */
    gf__block frame;  /* the whole picture, where rows cannot be resized as they come */
    gf__block turned; /* frame after the EXIF turn */
    gf__block narrow; /* rows already resized to the target's width */
    gf__block side;   /* of the decoder: a canvas, a row before blending */
    gf__filter x_filter, y_filter;
};

/* Gives back buffers that only a giant picture needs. */
void gf__image_scratch_trim(gf__image_scratch *scratch);

/* Where a decoder's rows go. */
typedef struct gf__sink {
    gf__image_scratch *scratch;
    size_t target_width,
        target_height;    /* before the turn; 0 where the picture is wanted as it is */
    bool is_streaming;    /* rows are resized to target_width as they come */
    size_t width, height; /* of the rows, set by begin */
} gf__sink;
gf_status gf__sink_begin(gf__sink *sink, size_t width, size_t height, gf_error *err);
/* Memory for row y (width x 3 bytes): decoding straight into it saves a copy. */
uint8_t *gf__sink_row(gf__sink *sink, size_t y);
/* Row y is ready. Each row once, in any order; rgb may be gf__sink_row(sink, y), else it is
 * copied. */
void gf__sink_put(gf__sink *sink, size_t y, const uint8_t *rgb);
/* The same from RGBA, blended over white. */
void gf__sink_put_rgba(gf__sink *sink, size_t y, const uint8_t *rgba);

/* value * alpha over white, rounded as Pillow's blending does. */
static inline uint8_t gf__blend_white(uint8_t value, uint8_t alpha)
{
    const unsigned sum = value * (unsigned)alpha + 255U * (255U - alpha) + 128U;
    return (uint8_t)((sum + (sum >> 8)) >> 8);
}

/* A file of known format in memory. */
typedef struct gf__file_view {
    const uint8_t *bytes;
    size_t n_bytes;
} gf__file_view;

gf_status gf__jpeg_info(gf__file_view file, gf_image_info *out, gf_error *err);
gf_status gf__jpeg_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                          gf_error *err);
gf_status gf__png_info(gf__file_view file, gf_image_info *out, gf_error *err);
gf_status gf__png_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                         gf_error *err);
gf_status gf__webp_info(gf__file_view file, gf_image_info *out, gf_error *err);
gf_status gf__webp_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                          gf_error *err);
gf_status gf__gif_info(gf__file_view file, gf_image_info *out, gf_error *err);
gf_status gf__gif_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                         gf_error *err);
gf_status gf__bmp_info(gf__file_view file, gf_image_info *out, gf_error *err);
gf_status gf__bmp_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                         gf_error *err);

/* Orientation 1..8 of EXIF data (a TIFF header, with or without "Exif\0\0" before it); 1 where it
 * has none or is damaged: a broken EXIF block must not cost a good picture. */
int gf__exif_orientation(const uint8_t *exif, size_t n_bytes);
/* The same for a JPEG file, whose EXIF block is looked for. */
int gf__exif_orientation_jpeg(gf__file_view file);
/* Orientations 5..8 exchange width and height. */
static inline bool gf__is_transposed(int orientation)
{
    return orientation >= 5;
}
/* Puts the width x height pixels upright. to has the same size and does not overlap from. */
void gf__turn(const uint8_t *from, size_t width, size_t height, int orientation, uint8_t *to);

/* Unsigned numbers of a file, wherever they lie. */
static inline uint16_t gf__le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t gf__le32(const uint8_t *p)
{
    return (uint32_t)gf__le16(p) | (uint32_t)gf__le16(p + 2) << 16;
}
static inline uint16_t gf__be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t gf__be32(const uint8_t *p)
{
    return (uint32_t)gf__be16(p) << 16 | (uint32_t)gf__be16(p + 2);
}

#endif
