/* image/sink.c: between a decoder and the resizer.
 *
 * Rows come in, in any order. When the picture is on its way to a network and lies upright, each
 * row is resized to the target's width at once and only the narrow picture is kept: a 12-megapixel
 * PNG needs 2.7 MB here instead of 36. Otherwise the rows become a whole frame. The buffers live in
 * the scratch, across pictures. */
#include "image/image_priv.h"

#include <string.h>

/* A scratch does not hold on to more than this after a picture: one giant must not fix the size of
 * a server. */
#define KEPT_BYTES ((size_t)64 << 20)

/* The row is off every vector's alignment on purpose: into aligned memory libjpeg-turbo's colour
 * conversion writes past the cache, and the resizer would wait for the row to come back (half the
 * time of a 640x480 picture). */
#define ROW_OFFSET 4

gf_status gf__block_reserve(gf__block *block, size_t n_bytes, const char *what, gf_error *err)
{
    if (block->capacity >= n_bytes && block->data != NULL)
        return GF_OK;
    gf__free(block->data);
    *block = (gf__block){0};
    block->data = gf__alloc_aligned(n_bytes + GF__IMAGE_PADDING);
    if (block->data == NULL)
        return gf__error_nomem(err, what, n_bytes);
    block->capacity = n_bytes;
    return GF_OK;
}

gf_status gf__image_scratch_new(gf__image_scratch **out, gf_error *err)
{
    *out = gf__calloc(1, sizeof **out);
    if (*out == NULL)
        return gf__error_nomem(err, "image scratch", sizeof **out);
    return GF_OK;
}

void gf__image_scratch_free(gf__image_scratch *scratch)
{
    if (scratch == NULL)
        return;
    gf__free(scratch->row.data);
    gf__free(scratch->frame.data);
    gf__free(scratch->turned.data);
    gf__free(scratch->narrow.data);
    gf__free(scratch->side.data);
    gf__filter_clear(&scratch->x_filter);
    gf__filter_clear(&scratch->y_filter);
    gf__free(scratch);
}

/* A picture of one row and all the pixels there may be has weights of half a gigabyte. */
static void trim_filter(gf__filter *filter)
{
    if (filter->n_out * filter->max_taps * sizeof *filter->weights > KEPT_BYTES)
        gf__filter_clear(filter);
}

void gf__image_scratch_trim(gf__image_scratch *scratch)
{
    gf__block *const blocks[] = {&scratch->row, &scratch->frame, &scratch->turned, &scratch->narrow,
                                 &scratch->side};

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        if (blocks[i]->capacity <= KEPT_BYTES)
            continue;
        gf__free(blocks[i]->data);
        *blocks[i] = (gf__block){0};
    }
    trim_filter(&scratch->x_filter);
    trim_filter(&scratch->y_filter);
}

gf_status gf__sink_begin(gf__sink *sink, size_t width, size_t height, gf_error *err)
{
    gf__image_scratch *scratch = sink->scratch;
    size_t n_bytes = 0;
    gf_status st;

    sink->width = width;
    sink->height = height;
    st = gf__rgb_bytes(sink->is_streaming ? sink->target_width : width, height, &n_bytes, err);
    if (st != GF_OK)
        return st;
    if (!sink->is_streaming)
        return gf__block_reserve(&scratch->frame, n_bytes, "a picture", err);
    st = gf__filter_set(&scratch->x_filter, width, sink->target_width, err);
    if (st != GF_OK)
        return st;
    st = gf__block_reserve(&scratch->row, ROW_OFFSET + 3 * width, "a row of pixels", err);
    if (st != GF_OK)
        return st;
    return gf__block_reserve(&scratch->narrow, n_bytes, "a picture", err);
}

uint8_t *gf__sink_row(gf__sink *sink, size_t y)
{
    if (sink->is_streaming)
        return sink->scratch->row.data + ROW_OFFSET;
    return sink->scratch->frame.data + 3 * y * sink->width;
}

void gf__sink_put(gf__sink *sink, size_t y, const uint8_t *rgb)
{
    uint8_t *row = gf__sink_row(sink, y);

    if (rgb != row)
        memcpy(row, rgb, 3 * sink->width);
    if (sink->is_streaming)
        gf__resize_row(&sink->scratch->x_filter, row,
                       sink->scratch->narrow.data + 3 * y * sink->target_width);
}

void gf__sink_put_rgba(gf__sink *sink, size_t y, const uint8_t *rgba)
{
    uint8_t *row = gf__sink_row(sink, y);

    for (size_t x = 0; x < sink->width; x++) {
        for (size_t c = 0; c < 3; c++)
            row[3 * x + c] = gf__blend_white(rgba[4 * x + c], rgba[4 * x + 3]);
    }
    gf__sink_put(sink, y, row);
}
