/* image/decode_png.c: PNG through libpng.
 *
 * The header and the chunks that matter are read here, so that size limits hold before libpng sees
 * a byte. Every colour type becomes 8-bit RGB or RGBA: 16 bits lose their low byte (as in Pillow),
 * palettes and tRNS are expanded. Only chunks that change pixels are read: compressed text and
 * profiles are where PNG bombs live. */
#include "image/image_priv.h"

#include <setjmp.h>
#include <string.h>

#include <png.h>

enum {
    N_SIGNATURE_BYTES = 8,
    N_CHUNK_OVERHEAD = 12, /* length, type, CRC */
    N_HEADER_BYTES = N_SIGNATURE_BYTES + N_CHUNK_OVERHEAD + 13,
};

typedef struct png_source {
    const uint8_t *bytes;
    size_t n_left;
    bool has_ended;
    size_t n_rows; /* rows done, for the message */
    int pass;      /* of an interlaced picture, from 1; 0 where there is none */
    size_t height;
    gf_error *err;
    gf_status st;
} png_source;

/* Chunks up to the pixels, and behind them for an eXIf that comes late. */
static void scan_chunks(gf__file_view file, gf_image_info *out)
{
    size_t at = N_SIGNATURE_BYTES;

    while (file.n_bytes - at >= N_CHUNK_OVERHEAD) {
        const uint8_t *chunk = file.bytes + at;
        const size_t n_content = gf__be32(chunk);
        if (n_content > file.n_bytes - at - N_CHUNK_OVERHEAD)
            return;
        if (memcmp(chunk + 4, "tRNS", 4) == 0)
            out->has_alpha = true;
        else if (memcmp(chunk + 4, "eXIf", 4) == 0)
            out->orientation = gf__exif_orientation(chunk + 8, n_content);
        else if (memcmp(chunk + 4, "IEND", 4) == 0)
            return;
        at += N_CHUNK_OVERHEAD + n_content;
    }
}

gf_status gf__png_info(gf__file_view file, gf_image_info *out, gf_error *err)
{
    static const int n_channels[] = {[PNG_COLOR_TYPE_GRAY] = 1,
                                     [PNG_COLOR_TYPE_RGB] = 3,
                                     [PNG_COLOR_TYPE_PALETTE] = 1,
                                     [PNG_COLOR_TYPE_GRAY_ALPHA] = 2,
                                     [PNG_COLOR_TYPE_RGB_ALPHA] = 4};
    const uint8_t *header = file.bytes + N_SIGNATURE_BYTES;

    if (file.n_bytes < N_HEADER_BYTES)
        return gf_error_set(err, GF_EFORMAT, "truncated PNG: ended in the header");
    if (gf__be32(header) != 13 || memcmp(header + 4, "IHDR", 4) != 0)
        return gf_error_set(err, GF_EFORMAT, "corrupt PNG: does not begin with a header chunk");
    const uint8_t colour_type = header[17];
    if (colour_type >= sizeof n_channels / sizeof *n_channels || n_channels[colour_type] == 0)
        return gf_error_set(err, GF_EFORMAT, "corrupt PNG: colour type %d", colour_type);
    out->width = gf__be32(header + 8);
    out->height = gf__be32(header + 12);
    if (out->width > PNG_UINT_31_MAX || out->height > PNG_UINT_31_MAX)
        return gf_error_set(err, GF_EFORMAT, "corrupt PNG: a picture of %zux%zu pixels", out->width,
                            out->height);
    out->bit_depth = header[16];
    out->n_channels = n_channels[colour_type];
    out->has_alpha = (colour_type & PNG_COLOR_MASK_ALPHA) != 0;
    scan_chunks(file, out);
    return GF_OK;
}

static void read_bytes(png_structp png, png_bytep to, size_t n)
{
    png_source *source = png_get_io_ptr(png);

    if (n > source->n_left) {
        source->has_ended = true;
        png_error(png, "ended");
    }
    memcpy(to, source->bytes, n);
    source->bytes += n;
    source->n_left -= n;
}

static void fail(png_structp png, png_const_charp message)
{
    png_source *source = png_get_error_ptr(png);

    if (source->has_ended && source->n_rows == source->height)
        source->st = GF_OK; /* only the end mark is missing */
    else if (source->has_ended && source->pass > 0)
        source->st = gf_error_set(source->err, GF_EFORMAT, "truncated PNG: ended in pass %d of %d",
                                  source->pass, PNG_INTERLACE_ADAM7_PASSES);
    else if (source->has_ended && source->n_rows == 0)
        source->st = gf_error_set(source->err, GF_EFORMAT,
                                  "truncated PNG: ended before the first of %zu rows",
                                  source->height);
    else if (source->has_ended)
        source->st = gf_error_set(source->err, GF_EFORMAT,
                                  "truncated PNG: ended after row %zu of %zu", source->n_rows,
                                  source->height);
    else
        source->st = gf_error_set(source->err, GF_EFORMAT, "corrupt PNG: %s (row %zu of %zu)",
                                  message, source->n_rows, source->height);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void set_limits(png_structp png, const gf_image_info *info)
{
    png_set_user_limits(png, (png_uint_32)info->width, (png_uint_32)info->height);
    png_set_chunk_cache_max(png, 64);
    png_set_chunk_malloc_max(png, (size_t)1 << 20);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
}

/* A libpng reader set up to give 8-bit RGB or RGBA. */
typedef struct png_reader {
    png_structp png;
    png_infop info;
    png_source source;
    int n_passes; /* 7 when interlaced, else 1 */
    size_t n_channels;
} png_reader;

static void start_rows(png_reader *reader)
{
    png_read_info(reader->png, reader->info);
    png_set_expand(reader->png);
    png_set_strip_16(reader->png);
    png_set_gray_to_rgb(reader->png);
    reader->n_passes = png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
    reader->n_channels = png_get_channels(reader->png, reader->info);
}

static void put_row(gf__sink *sink, size_t y, const uint8_t *row, size_t n_channels)
{
    if (n_channels == 4)
        gf__sink_put_rgba(sink, y, row);
    else
        gf__sink_put(sink, y, row);
}

/* Interlaced pictures come in passes over a canvas, the others a row at a time. */
static gf_status read_rows(png_reader *reader, gf__sink *sink, gf_error *err)
{
    const size_t n_row_bytes = reader->n_channels * sink->width;
    size_t n_bytes = n_row_bytes;

    if (reader->n_passes > 1 && !gf__mul_size(n_row_bytes, sink->height, &n_bytes))
        return gf__error_nomem(err, "a PNG", SIZE_MAX);
    gf_status st = gf__block_reserve(&sink->scratch->side, n_bytes, "a PNG", err);
    if (st != GF_OK)
        return st;
    uint8_t *canvas = sink->scratch->side.data;
    if (reader->n_passes == 1) {
        for (size_t y = 0; y < sink->height; y++) {
            png_read_row(reader->png, canvas, NULL);
            put_row(sink, y, canvas, reader->n_channels);
            reader->source.n_rows = y + 1;
        }
        return GF_OK;
    }
    for (int pass = 0; pass < reader->n_passes; pass++) {
        reader->source.pass = pass + 1;
        for (size_t y = 0; y < sink->height; y++)
            png_read_row(reader->png, canvas + y * n_row_bytes, NULL);
    }
    reader->source.n_rows = sink->height;
    for (size_t y = 0; y < sink->height; y++)
        put_row(sink, y, canvas + y * n_row_bytes, reader->n_channels);
    return GF_OK;
}

/* The reader is the caller's: locals of a function that calls setjmp() would be lost after the
 * jump. */
static void read_picture(png_reader *reader, const gf_image_info *info, gf__sink *sink)
{
    png_source *source = &reader->source;

    if (setjmp(png_jmpbuf(reader->png)) != 0)
        return;
    png_set_read_fn(reader->png, source, read_bytes);
    set_limits(reader->png, info);
    start_rows(reader);
    source->st = gf__sink_begin(sink, info->width, info->height, source->err);
    if (source->st == GF_OK)
        source->st = read_rows(reader, sink, source->err);
    if (source->st == GF_OK)
        png_read_end(reader->png, NULL); /* checks the last checksum */
}

gf_status gf__png_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                         gf_error *err)
{
    png_reader reader = {.source = {.bytes = file.bytes,
                                    .n_left = file.n_bytes,
                                    .height = info->height,
                                    .err = err,
                                    .st = GF_OK}};

    reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader.source, fail,
                                        ignore_warning);
    if (reader.png != NULL)
        reader.info = png_create_info_struct(reader.png);
    if (reader.info != NULL)
        read_picture(&reader, info, sink);
    else
        reader.source.st = gf__error_nomem(err, "the PNG reader", 0);
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    return reader.source.st;
}
