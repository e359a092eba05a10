/* image/decode_webp.c: WebP through libwebp: lossy, lossless, with alpha, and an animation's first
 * frame.
 *
 * The RIFF container is walked here for what libwebp's decoder leaves out: the EXIF chunk and the
 * frames of an animation. */
#include "image/image_priv.h"

#include <string.h>

#include <webp/decode.h>

enum {
    N_RIFF_BYTES = 12, /* "RIFF", size, "WEBP" */
    N_CHUNK_HEADER = 8,
    N_FRAME_HEADER = 16, /* of an ANMF chunk: place, size, duration, flags */
};

static size_t le24(const uint8_t *p)
{
    return (size_t)gf__le16(p) | (size_t)p[2] << 16;
}

/* The content of the first chunk of that name; false where there is none, or it is cut off. */
static bool find_chunk(gf__file_view file, const char *name, gf__file_view *out)
{
    size_t at = N_RIFF_BYTES;

    while (at <= file.n_bytes && file.n_bytes - at >= N_CHUNK_HEADER) {
        const uint8_t *chunk = file.bytes + at;
        const size_t n_content = gf__le32(chunk + 4);
        if (n_content > file.n_bytes - at - N_CHUNK_HEADER)
            return false;
        if (memcmp(chunk, name, 4) == 0) {
            *out = (gf__file_view){chunk + N_CHUNK_HEADER, n_content};
            return true;
        }
        at += N_CHUNK_HEADER + n_content + (n_content & 1);
    }
    return false;
}

static gf_status refuse(VP8StatusCode code, gf__file_view file, gf_error *err)
{
    static const char *const reasons[] = {
        [VP8_STATUS_OUT_OF_MEMORY] = "out of memory",
        [VP8_STATUS_INVALID_PARAM] = "sizes that do not agree",
        [VP8_STATUS_BITSTREAM_ERROR] = "damaged data",
        [VP8_STATUS_UNSUPPORTED_FEATURE] = "an unknown feature",
        [VP8_STATUS_SUSPENDED] = "data ends early",
        [VP8_STATUS_USER_ABORT] = "stopped",
        [VP8_STATUS_NOT_ENOUGH_DATA] = "data ends early",
    };
    const uint64_t n_promised = (uint64_t)gf__le32(file.bytes + 4) + 8;

    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return gf_error_set(err, GF_ENOMEM, "out of memory for a WebP picture");
    if (n_promised > file.n_bytes)
        return gf_error_set(err, GF_EFORMAT, "truncated WebP: %zu bytes of %llu", file.n_bytes,
                            (unsigned long long)n_promised);
    if (code == VP8_STATUS_UNSUPPORTED_FEATURE)
        return gf_error_set(err, GF_EUNSUPPORTED, "WebP with an unknown feature");
    const size_t i = (size_t)code;
    return gf_error_set(err, GF_EFORMAT, "corrupt WebP: %s",
                        i < sizeof reasons / sizeof *reasons ? reasons[i] : "unknown reason");
}

gf_status gf__webp_info(gf__file_view file, gf_image_info *out, gf_error *err)
{
    WebPBitstreamFeatures features;
    gf__file_view exif;

    const VP8StatusCode code = WebPGetFeatures(file.bytes, file.n_bytes, &features);
    if (code != VP8_STATUS_OK)
        return refuse(code, file, err);
    out->width = (size_t)features.width;
    out->height = (size_t)features.height;
    out->has_alpha = features.has_alpha != 0;
    out->n_channels = out->has_alpha ? 4 : 3;
    out->bit_depth = 8;
    if (find_chunk(file, "EXIF", &exif))
        out->orientation = gf__exif_orientation(exif.bytes, exif.n_bytes);
    return GF_OK;
}

/* A still picture, or a frame somewhere on the canvas of an animation. */
typedef struct webp_frame {
    gf__file_view data;
    size_t left, top;
    WebPBitstreamFeatures features;
} webp_frame;

static gf_status find_frame(gf__file_view file, const gf_image_info *info, webp_frame *out,
                            gf_error *err)
{
    gf__file_view chunk;

    *out = (webp_frame){.data = file};
    VP8StatusCode code = WebPGetFeatures(file.bytes, file.n_bytes, &out->features);
    if (code == VP8_STATUS_OK && out->features.has_animation) {
        if (!find_chunk(file, "ANMF", &chunk) || chunk.n_bytes < N_FRAME_HEADER)
            return refuse(VP8_STATUS_NOT_ENOUGH_DATA, file, err);
        out->left = 2 * le24(chunk.bytes);
        out->top = 2 * le24(chunk.bytes + 3);
        out->data = (gf__file_view){chunk.bytes + N_FRAME_HEADER, chunk.n_bytes - N_FRAME_HEADER};
        code = WebPGetFeatures(out->data.bytes, out->data.n_bytes, &out->features);
    }
    if (code != VP8_STATUS_OK)
        return refuse(code, file, err);
    const size_t width = (size_t)out->features.width, height = (size_t)out->features.height;
    if (out->features.has_animation || out->left > info->width || width > info->width - out->left ||
        out->top > info->height || height > info->height - out->top)
        return refuse(VP8_STATUS_BITSTREAM_ERROR, file, err);
    return GF_OK;
}

/* The frame's pixels into the scratch's side block, 3 or 4 bytes each. */
static gf_status decode_frame(gf__file_view file, const webp_frame *frame, gf__sink *sink,
                              gf_error *err)
{
    WebPDecoderConfig config;
    const size_t width = (size_t)frame->features.width, height = (size_t)frame->features.height;
    const size_t n_channels = frame->features.has_alpha ? 4 : 3;
    gf__block *side = &sink->scratch->side; /* at most 16383 x 16383: no overflow */

    gf_status st = gf__block_reserve(side, n_channels * width * height, "a WebP", err);
    if (st != GF_OK)
        return st;
    if (!WebPInitDecoderConfig(&config))
        return gf_error_set(err, GF_EUNSUPPORTED,
                            "libwebp of another version than graft was built for");
    config.output.colorspace = frame->features.has_alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = side->data;
    config.output.u.RGBA.stride = (int)(n_channels * width);
    config.output.u.RGBA.size = n_channels * width * height;
    const VP8StatusCode code = WebPDecode(frame->data.bytes, frame->data.n_bytes, &config);
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK ? GF_OK : refuse(code, file, err);
}

static void put_frame_row(const webp_frame *frame, gf__sink *sink, size_t y)
{
    const size_t width = (size_t)frame->features.width, height = (size_t)frame->features.height;
    const size_t n_channels = frame->features.has_alpha ? 4 : 3;
    uint8_t *row = gf__sink_row(sink, y);

    if (width != sink->width || height != sink->height)
        memset(row, 255, 3 * sink->width);
    if (y >= frame->top && y - frame->top < height) {
        const uint8_t *pixel = sink->scratch->side.data + n_channels * width * (y - frame->top);
        for (size_t x = 0; x < width; x++, pixel += n_channels) {
            const uint8_t alpha = n_channels == 4 ? pixel[3] : 255;
            for (size_t c = 0; c < 3; c++)
                row[3 * (frame->left + x) + c] = gf__blend_white(pixel[c], alpha);
        }
    }
    gf__sink_put(sink, y, row);
}

gf_status gf__webp_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                          gf_error *err)
{
    webp_frame frame;

    gf_status st = find_frame(file, info, &frame, err);
    if (st != GF_OK)
        return st;
    st = gf__sink_begin(sink, info->width, info->height, err);
    if (st != GF_OK)
        return st;
    st = decode_frame(file, &frame, sink, err);
    if (st != GF_OK)
        return st;
    for (size_t y = 0; y < sink->height; y++)
        put_frame_row(&frame, sink, y);
    return GF_OK;
}
