/* image/decode_gif.c: the first frame of a GIF through giflib, on a white canvas.
 *
 * The canvas is the screen the file declares, or the frame's own extent where that reaches
 * further. */
#include "image/image_priv.h"

#include <string.h>

#include <gif_lib.h>

typedef struct gif_source {
    const uint8_t *bytes;
    size_t n_left;
    bool has_ended;
} gif_source;

static int read_bytes(GifFileType *gif, GifByteType *to, int n)
{
    gif_source *source = gif->UserData;
    size_t n_given = n > 0 ? (size_t)n : 0;

    if (n_given > source->n_left) {
        source->has_ended = true;
        n_given = source->n_left;
    }
    memcpy(to, source->bytes, n_given);
    source->bytes += n_given;
    source->n_left -= n_given;
    return (int)n_given;
}

/* A reader that stands at its first frame. */
typedef struct gif_reader {
    GifFileType *gif;
    gif_source source;
    int transparent; /* index, or NO_TRANSPARENT_COLOR */
} gif_reader;

static gf_status refuse(const gif_reader *reader, int code, gf_error *err)
{
    const char *reason = GifErrorString(code);

    if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
        return gf_error_set(err, GF_ENOMEM, "out of memory for a GIF picture");
    if (reader->source.has_ended)
        return gf_error_set(err, GF_EFORMAT, "truncated GIF: ended before its first frame");
    return gf_error_set(err, GF_EFORMAT, "corrupt GIF: %s",
                        reason != NULL ? reason : "damaged data");
}

static bool read_extension(gif_reader *reader)
{
    GraphicsControlBlock control;
    GifByteType *block = NULL;
    int code = 0;

    if (DGifGetExtension(reader->gif, &code, &block) == GIF_ERROR)
        return false;
    while (block != NULL) {
        if (code == GRAPHICS_EXT_FUNC_CODE &&
            DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
            reader->transparent = control.TransparentColor;
        if (DGifGetExtensionNext(reader->gif, &block) == GIF_ERROR)
            return false;
    }
    return true;
}

static void close_reader(gif_reader *reader)
{
    if (reader->gif != NULL)
        DGifCloseFile(reader->gif, NULL);
    reader->gif = NULL;
}

/* The caller calls close_reader(), also after a failure. */
static gf_status open_reader(gif_reader *reader, gf__file_view file, gf_error *err)
{
    int code = 0;
    GifRecordType record = UNDEFINED_RECORD_TYPE;

    *reader = (gif_reader){.source = {file.bytes, file.n_bytes, false},
                           .transparent = NO_TRANSPARENT_COLOR};
    reader->gif = DGifOpen(&reader->source, read_bytes, &code);
    if (reader->gif == NULL)
        return refuse(reader, code, err);
    while (record != IMAGE_DESC_RECORD_TYPE) {
        bool is_read = DGifGetRecordType(reader->gif, &record) == GIF_OK;
        if (is_read && record == EXTENSION_RECORD_TYPE)
            is_read = read_extension(reader);
        else if (is_read && record == TERMINATE_RECORD_TYPE)
            return gf_error_set(err, GF_EFORMAT, "GIF without a frame");
        if (!is_read)
            return refuse(reader, reader->gif->Error, err);
    }
    if (DGifGetImageHeader(reader->gif) == GIF_ERROR)
        return refuse(reader, reader->gif->Error, err);
    return GF_OK;
}

static size_t canvas_side(GifWord screen, GifWord start, GifWord extent)
{
    const size_t end = (size_t)start + (size_t)extent;
    return end > (size_t)screen ? end : (size_t)screen;
}

gf_status gf__gif_info(gf__file_view file, gf_image_info *out, gf_error *err)
{
    gif_reader reader;

    gf_status st = open_reader(&reader, file, err);
    if (st == GF_OK) {
        const GifFileType *gif = reader.gif;
        out->width = canvas_side(gif->SWidth, gif->Image.Left, gif->Image.Width);
        out->height = canvas_side(gif->SHeight, gif->Image.Top, gif->Image.Height);
        out->has_alpha = reader.transparent != NO_TRANSPARENT_COLOR;
        out->n_channels = 1;
        out->bit_depth = 8;
    }
    close_reader(&reader);
    return st;
}

typedef struct palette {
    uint8_t colours[256][3];
} palette;

/* Colour of every index; beyond the palette black, transparent white. */
static gf_status fill_palette(const gif_reader *reader, palette *out, gf_error *err)
{
    const GifFileType *gif = reader->gif;
    const ColorMapObject *map = gif->Image.ColorMap != NULL ? gif->Image.ColorMap : gif->SColorMap;

    if (map == NULL)
        return gf_error_set(err, GF_EFORMAT, "corrupt GIF: no palette");
    memset(out, 0, sizeof *out);
    for (int i = 0; i < map->ColorCount && i < 256; i++) {
        out->colours[i][0] = map->Colors[i].Red;
        out->colours[i][1] = map->Colors[i].Green;
        out->colours[i][2] = map->Colors[i].Blue;
    }
    if (reader->transparent >= 0 && reader->transparent < 256)
        memset(out->colours[reader->transparent], 255, 3);
    return GF_OK;
}

/* Which row of the frame the i-th one in the file is. */
static size_t interlaced_row(size_t i, size_t height)
{
    static const struct {
        size_t start, step;
    } passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};

    for (size_t p = 0; p < sizeof passes / sizeof *passes; p++) {
        const size_t start = passes[p].start, step = passes[p].step;
        const size_t n_rows = height > start ? (height - start + step - 1) / step : 0;
        if (i < n_rows)
            return start + i * step;
        i -= n_rows;
    }
    return height - 1;
}

static gf_status refuse_row(const gif_reader *reader, size_t row, gf_error *err)
{
    const GifFileType *gif = reader->gif;

    if (!reader->source.has_ended)
        return refuse(reader, gif->Error, err);
    return gf_error_set(err, GF_EFORMAT, "truncated GIF: ended after row %zu of %d", row,
                        gif->Image.Height);
}

static gf_status read_rows(gif_reader *reader, gf__sink *sink, gf_error *err)
{
    GifFileType *gif = reader->gif;
    const size_t left = (size_t)gif->Image.Left, top = (size_t)gif->Image.Top;
    const size_t width = (size_t)gif->Image.Width, height = (size_t)gif->Image.Height;
    palette table;

    if (width == 0 || height == 0)
        return gf_error_set(err, GF_EFORMAT, "corrupt GIF: a frame of %zux%zu pixels", width,
                            height);
    gf_status st = fill_palette(reader, &table, err);
    if (st != GF_OK)
        return st;
    st = gf__block_reserve(&sink->scratch->side, width, "a GIF row", err);
    if (st != GF_OK)
        return st;
    uint8_t *line = sink->scratch->side.data;
    for (size_t i = 0; i < height; i++) {
        if (DGifGetLine(gif, line, (int)width) == GIF_ERROR)
            return refuse_row(reader, i, err);
        const size_t y = top + (gif->Image.Interlace ? interlaced_row(i, height) : i);
        uint8_t *row = gf__sink_row(sink, y);
        memset(row, 255, 3 * sink->width);
        for (size_t x = 0; x < width; x++)
            memcpy(row + 3 * (left + x), table.colours[line[x]], 3);
        gf__sink_put(sink, y, row);
    }
    return GF_OK;
}

static void put_white_row(gf__sink *sink, size_t y)
{
    uint8_t *row = gf__sink_row(sink, y);
    memset(row, 255, 3 * sink->width);
    gf__sink_put(sink, y, row);
}

gf_status gf__gif_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                         gf_error *err)
{
    gif_reader reader;

    gf_status st = open_reader(&reader, file, err);
    if (st != GF_OK)
        goto done;
    st = gf__sink_begin(sink, info->width, info->height, err);
    if (st != GF_OK)
        goto done;
    const size_t top = (size_t)reader.gif->Image.Top;
    const size_t bottom = top + (size_t)reader.gif->Image.Height;
    for (size_t y = 0; y < sink->height; y++) {
        if (y < top || y >= bottom)
            put_white_row(sink, y);
    }
    st = read_rows(&reader, sink, err);
done:
    close_reader(&reader);
    return st;
}
