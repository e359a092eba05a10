/* image/decode.c: picture bytes in, upright RGB out, whatever the format.
 *
 * Tells the formats apart by their first bytes, checks the size the header promises against the
 * limit before any memory is taken, lets the format's decoder fill a sink, and applies the EXIF
 * turn. Both public doors and the path to a network's input (gf__image_decode_resized) are here. */
#include "image/image_priv.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_MAX_PIXELS ((uint64_t)64 << 20)

typedef struct decoder {
    const char *name;
    gf_status (*info)(gf__file_view file, gf_image_info *out, gf_error *err);
    gf_status (*decode)(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                        gf_error *err);
} decoder;

static const decoder decoders[] = {
    [GF_IMAGE_UNKNOWN] = {"unknown", NULL, NULL},
    [GF_IMAGE_JPEG] = {"JPEG", gf__jpeg_info, gf__jpeg_decode},
    [GF_IMAGE_PNG] = {"PNG", gf__png_info, gf__png_decode},
    [GF_IMAGE_WEBP] = {"WebP", gf__webp_info, gf__webp_decode},
    [GF_IMAGE_GIF] = {"GIF", gf__gif_info, gf__gif_decode},
    [GF_IMAGE_BMP] = {"BMP", gf__bmp_info, gf__bmp_decode},
};

/* First bytes, at an offset. A format of GF_IMAGE_UNKNOWN is one we only know by name. */
typedef struct signature {
    size_t offset;
    const char *bytes;
    size_t n_bytes;
    gf_image_format format;
    bool is_picture;
    const char *name;
} signature;

#define MAGIC(offset, bytes) (offset), (bytes), sizeof(bytes) - 1
static const signature signatures[] = {
    {MAGIC(0, "\xFF\xD8\xFF"), GF_IMAGE_JPEG, true, "JPEG"},
    {MAGIC(0, "\x89PNG\r\n\x1A\n"), GF_IMAGE_PNG, true, "PNG"},
    {MAGIC(8, "WEBPVP8"), GF_IMAGE_WEBP, true, "WebP"},
    {MAGIC(0, "GIF87a"), GF_IMAGE_GIF, true, "GIF"},
    {MAGIC(0, "GIF89a"), GF_IMAGE_GIF, true, "GIF"},
    {MAGIC(0, "BM"), GF_IMAGE_BMP, true, "BMP"},
    {MAGIC(0, "II*\0"), GF_IMAGE_UNKNOWN, true, "a TIFF"},
    {MAGIC(0, "MM\0*"), GF_IMAGE_UNKNOWN, true, "a TIFF"},
    {MAGIC(4, "ftypavi"), GF_IMAGE_UNKNOWN, true, "an AVIF"},
    {MAGIC(4, "ftyphei"), GF_IMAGE_UNKNOWN, true, "a HEIC"},
    {MAGIC(4, "ftypmif1"), GF_IMAGE_UNKNOWN, true, "a HEIF"},
    {MAGIC(0, "\xFF\x0A"), GF_IMAGE_UNKNOWN, true, "a JPEG XL"},
    {MAGIC(0, "\0\0\0\x0CJXL "), GF_IMAGE_UNKNOWN, true, "a JPEG XL"},
    {MAGIC(0, "\0\0\0\x0CjP  "), GF_IMAGE_UNKNOWN, true, "a JPEG 2000"},
    {MAGIC(0, "8BPS"), GF_IMAGE_UNKNOWN, true, "a Photoshop"},
    {MAGIC(0, "\0\0\1\0"), GF_IMAGE_UNKNOWN, true, "an ICO"},
    {MAGIC(0, "PK\3\4"), GF_IMAGE_UNKNOWN, false, "a zip archive"},
    {MAGIC(0, "\x1F\x8B"), GF_IMAGE_UNKNOWN, false, "gzip data"},
    {MAGIC(0, "%PDF"), GF_IMAGE_UNKNOWN, false, "a PDF document"},
    {MAGIC(0, "<!DOCTYPE"), GF_IMAGE_UNKNOWN, false, "a web page"},
    {MAGIC(0, "<!doctype"), GF_IMAGE_UNKNOWN, false, "a web page"},
    {MAGIC(0, "<html"), GF_IMAGE_UNKNOWN, false, "a web page"},
    {MAGIC(0, "<svg"), GF_IMAGE_UNKNOWN, false, "an SVG drawing"},
    {MAGIC(0, "<?xml"), GF_IMAGE_UNKNOWN, false, "an XML document"},
    {MAGIC(0, "\x93NUMPY"), GF_IMAGE_UNKNOWN, false, "a numpy array"},
    {MAGIC(0, "\x7F"
              "ELF"),
     GF_IMAGE_UNKNOWN, false, "a program"},
    {MAGIC(4, "ftyp"), GF_IMAGE_UNKNOWN, false, "a video"},
};

const char *gf_image_format_name(gf_image_format format)
{
    const size_t i = (size_t)format;
    return i < sizeof decoders / sizeof *decoders ? decoders[i].name : decoders[0].name;
}

gf_image_options gf_image_options_default(void)
{
    return (gf_image_options){.max_pixels = DEFAULT_MAX_PIXELS};
}

static const signature *find_signature(gf__file_view file)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const signature *s = &signatures[i];
        if (file.n_bytes >= s->offset + s->n_bytes &&
            memcmp(file.bytes + s->offset, s->bytes, s->n_bytes) == 0)
            return s;
    }
    return NULL;
}

/* The first bytes as a C string literal, for a message. */
static const char *quote_start(gf__file_view file, char text[64])
{
    const size_t n = file.n_bytes < 8 ? file.n_bytes : 8;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        const uint8_t byte = file.bytes[i];
        const bool is_plain = byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
        at += (size_t)snprintf(text + at, 64 - at, is_plain ? "%c" : "\\x%02x", byte);
    }
    text[at] = '\0';
    return text;
}

static gf_status refuse_unknown(gf__file_view file, const signature *known, gf_error *err)
{
    char start[64];

    if (known != NULL && known->is_picture)
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "%s picture; JPEG, PNG, WebP, GIF and BMP can be read", known->name);
    quote_start(file, start);
    if (known != NULL)
        return gf_error_set(err, GF_EFORMAT, "not a picture: starts with \"%s\" (%s?)", start,
                            known->name);
    bool is_text = true;
    for (size_t i = 0; i < file.n_bytes && i < 64; i++)
        is_text = is_text && (isprint(file.bytes[i]) || isspace(file.bytes[i]));
    return gf_error_set(err, GF_EFORMAT, "not a picture: starts with \"%s\"%s", start,
                        is_text ? " (text?)" : "");
}

gf_status gf_image_read_info(const void *bytes, size_t n_bytes, gf_image_info *out, gf_error *err)
{
    const gf__file_view file = {bytes, n_bytes};
    gf_image_info info = {.orientation = 1};

    if (n_bytes == 0)
        return gf_error_set(err, GF_EFORMAT, "empty file");
    const signature *known = find_signature(file);
    if (known == NULL || known->format == GF_IMAGE_UNKNOWN)
        return refuse_unknown(file, known, err);
    info.format = known->format;
    gf_status st = decoders[info.format].info(file, &info, err);
    if (st != GF_OK)
        return st;
    if (info.width == 0 || info.height == 0)
        return gf_error_set(err, GF_EFORMAT, "corrupt %s: a picture of %zux%zu pixels",
                            decoders[info.format].name, info.width, info.height);
    *out = info;
    return GF_OK;
}

static gf_status check_limit(const gf_image_info *info, uint64_t max_pixels, gf_error *err)
{
    if ((uint64_t)info->width > max_pixels / (uint64_t)info->height)
        return gf_error_set(err, GF_ELIMIT,
                            "picture of %zux%zu pixels is over the limit of %llu (--max-pixels)",
                            info->width, info->height, (unsigned long long)max_pixels);
    return GF_OK;
}

/* Lets the format's decoder fill sink. options.target_* are the upright picture's. */
static gf_status decode_into(gf__file_view file, const gf_image_options *options, bool may_stream,
                             gf__sink *sink, gf_image_info *info, gf_error *err)
{
    gf_status st = gf_image_read_info(file.bytes, file.n_bytes, info, err);
    if (st != GF_OK)
        return st;
    st = check_limit(info, options->max_pixels, err);
    if (st != GF_OK)
        return st;
    const bool is_transposed = gf__is_transposed(info->orientation);
    sink->target_width = is_transposed ? options->target_height : options->target_width;
    sink->target_height = is_transposed ? options->target_width : options->target_height;
    sink->is_streaming = may_stream && info->orientation == 1;
    return decoders[info->format].decode(file, info, sink, err);
}

/* Moves the frame of the sink, turned upright, into a picture of its own. */
static gf_status take_picture(gf__sink *sink, int orientation, gf_image **out, gf_error *err)
{
    const bool is_transposed = gf__is_transposed(orientation);
    gf_image *image = NULL;

    if (orientation != 1) {
        gf_status st = gf__image_new(is_transposed ? sink->height : sink->width,
                                     is_transposed ? sink->width : sink->height, &image, err);
        if (st != GF_OK)
            return st;
        gf__turn(sink->scratch->frame.data, sink->width, sink->height, orientation, image->rgb);
        *out = image;
        return GF_OK;
    }
    image = gf__calloc(1, sizeof *image);
    if (image == NULL)
        return gf__error_nomem(err, "a picture", sizeof *image);
    *image = (gf_image){sink->width, sink->height, sink->scratch->frame.data};
    sink->scratch->frame = (gf__block){0}; /* moved */
    *out = image;
    return GF_OK;
}

gf_status gf_image_decode(const void *bytes, size_t n_bytes, const gf_image_options *options,
                          gf_image **out, gf_error *err)
{
    const gf_image_options used = options != NULL ? *options : gf_image_options_default();
    gf_image_info info;
    gf__sink sink = {0};
    gf_status st;

    *out = NULL;
    st = gf__image_scratch_new(&sink.scratch, err);
    if (st != GF_OK)
        goto done;
    st = decode_into((gf__file_view){bytes, n_bytes}, &used, false, &sink, &info, err);
    if (st != GF_OK)
        goto done;
    st = take_picture(&sink, info.orientation, out, err);
done:
    gf__image_scratch_free(sink.scratch);
    return st;
}

gf_status gf_image_load(const char *path, const gf_image_options *options, gf_image **out,
                        gf_error *err)
{
    gf__mapping file = {0};

    *out = NULL;
    gf_status st = gf__map_file(path, &file, err);
    if (st != GF_OK)
        return st; /* names the path already */
    st = gf_image_decode(file.data, file.size, options, out, err);
    if (st != GF_OK)
        gf__error_prefix(err, "%s", path);
    gf__unmap(&file);
    return st;
}

/* The whole frame to rgb: turn, then resize as any picture. */
static gf_status resize_frame(gf__sink *sink, int orientation, size_t width, size_t height,
                              uint8_t *rgb, gf_error *err)
{
    gf__image_scratch *scratch = sink->scratch;
    const bool is_transposed = gf__is_transposed(orientation);
    const size_t W = is_transposed ? sink->height : sink->width;
    const size_t H = is_transposed ? sink->width : sink->height;
    gf_status st = gf__block_reserve(&scratch->turned, 3 * W * H, "a turned picture", err);
    if (st != GF_OK)
        return st;
    gf__turn(scratch->frame.data, sink->width, sink->height, orientation, scratch->turned.data);

    gf__sink upright = {
        .scratch = scratch, .target_width = width, .target_height = height, .is_streaming = true};
    st = gf__sink_begin(&upright, W, H, err);
    if (st != GF_OK)
        return st;
    for (size_t y = 0; y < H; y++)
        gf__sink_put(&upright, y, scratch->turned.data + 3 * y * W);
    st = gf__filter_set(&scratch->y_filter, H, height, err);
    if (st != GF_OK)
        return st;
    gf__resize_columns(&scratch->y_filter, scratch->narrow.data, 3 * width, rgb);
    return GF_OK;
}

gf_status gf__image_decode_resized(const void *bytes, size_t n_bytes, uint64_t max_pixels,
                                   size_t width, size_t height, gf__image_scratch *scratch,
                                   uint8_t *rgb, gf_error *err)
{
    const gf_image_options options = {max_pixels, width, height};
    gf__image_scratch *own = NULL;
    gf_image_info info;
    gf__sink sink = {.scratch = scratch};
    gf_status st = GF_OK;

    assert(width > 0 && height > 0);
    if (scratch == NULL) {
        st = gf__image_scratch_new(&own, err);
        if (st != GF_OK)
            goto done;
        sink.scratch = own;
    }
    st = decode_into((gf__file_view){bytes, n_bytes}, &options, true, &sink, &info, err);
    if (st != GF_OK)
        goto done;
    if (sink.is_streaming) {
        st = gf__filter_set(&sink.scratch->y_filter, sink.height, height, err);
        if (st != GF_OK)
            goto done;
        gf__resize_columns(&sink.scratch->y_filter, sink.scratch->narrow.data, 3 * width, rgb);
    } else {
        st = resize_frame(&sink, info.orientation, width, height, rgb, err);
    }
done:
    if (sink.scratch != NULL)
        gf__image_scratch_trim(sink.scratch);
    gf__image_scratch_free(own);
    return st;
}
