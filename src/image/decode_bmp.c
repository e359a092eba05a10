/* image/decode_bmp.c: Windows bitmaps, by hand: 1, 4, 8, 16, 24 and 32 bits, RLE4 and RLE8, bit
 * masks, both row orders, headers from OS/2's 12 bytes to V5.
 *
 * A file promises sizes in several places; each is checked against the bytes that are there before
 * it is used. */
#include "image/image_priv.h"

#include <string.h>

enum { N_FILE_HEADER = 14, N_CORE_HEADER = 12, N_INFO_HEADER = 40 };

typedef enum compression {
    RGB = 0,
    RLE8 = 1,
    RLE4 = 2,
    BITFIELDS = 3,
    ALPHA_BITFIELDS = 6
} compression;

typedef struct channel {
    uint32_t mask;
    unsigned shift;
    uint32_t max; /* mask >> shift; 0 where the file has no such channel */
} channel;

typedef struct bmp {
    gf__file_view file;
    size_t width, height;
    bool is_top_down;
    unsigned n_bits; /* a pixel */
    uint32_t compression;
    channel channels[4]; /* red, green, blue, alpha; for 16 and 32 bits */
    uint8_t palette[256][3];
    size_t n_header; /* of the second header */
    size_t n_colours;
    size_t data_at;
} bmp;

static channel make_channel(uint32_t mask)
{
    channel made = {.mask = mask};

    while (mask != 0 && (mask & 1) == 0) {
        mask >>= 1;
        made.shift++;
    }
    made.max = mask;
    return made;
}

/* The channel's share of its range, as 0..255. */
static uint8_t channel_value(const channel *c, uint32_t pixel, uint8_t fallback)
{
    if (c->max == 0)
        return fallback;
    return (uint8_t)((uint64_t)((pixel & c->mask) >> c->shift) * 255 / c->max);
}

static void read_masks(bmp *b)
{
    static const uint32_t five_bits[4] = {0x7C00, 0x03E0, 0x001F, 0};
    static const uint32_t eight_bits[4] = {0xFF0000, 0xFF00, 0xFF, 0};
    const uint8_t *masks = b->file.bytes + N_FILE_HEADER + N_INFO_HEADER;
    const bool is_default = b->compression == RGB;
    const bool has_alpha = b->compression == ALPHA_BITFIELDS || b->n_header >= 56;

    for (size_t c = 0; c < 4; c++) {
        uint32_t mask = b->n_bits == 16 ? five_bits[c] : eight_bits[c];
        if (!is_default)
            mask = c < 3 || has_alpha ? gf__le32(masks + 4 * c) : 0;
        b->channels[c] = make_channel(mask);
    }
}

/* Size and coding, from either kind of header. */
static gf_status read_sizes(bmp *b, gf_error *err)
{
    const uint8_t *header = b->file.bytes + N_FILE_HEADER;

    if (b->n_header == N_CORE_HEADER) {
        b->width = gf__le16(header + 4);
        b->height = gf__le16(header + 6);
        b->n_bits = gf__le16(header + 10);
        b->n_colours = b->n_bits <= 8 ? (size_t)1 << b->n_bits : 0;
        return GF_OK;
    }
    const int64_t width = (int32_t)gf__le32(header + 4);
    const int64_t height = (int32_t)gf__le32(header + 8);
    if (width < 0)
        return gf_error_set(err, GF_EFORMAT, "corrupt BMP: a width of %lld", (long long)width);
    b->width = (size_t)width;
    b->is_top_down = height < 0;
    b->height = (size_t)(height < 0 ? -height : height);
    b->n_bits = gf__le16(header + 14);
    b->compression = gf__le32(header + 16);
    b->n_colours = gf__le32(header + 32);
    if (b->n_bits > 8)
        b->n_colours = 0; /* a hint for displays of old */
    else if (b->n_colours == 0 || b->n_colours > (size_t)1 << b->n_bits)
        b->n_colours = (size_t)1 << b->n_bits;
    return GF_OK;
}

static gf_status check_coding(const bmp *b, gf_error *err)
{
    static const struct {
        unsigned n_bits;
        uint32_t compression;
    } known[] = {{1, RGB},
                 {4, RGB},
                 {8, RGB},
                 {16, RGB},
                 {24, RGB},
                 {32, RGB},
                 {4, RLE4},
                 {8, RLE8},
                 {16, BITFIELDS},
                 {32, BITFIELDS},
                 {16, ALPHA_BITFIELDS},
                 {32, ALPHA_BITFIELDS}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].n_bits == b->n_bits && known[i].compression == b->compression)
            return GF_OK;
    }
    return gf_error_set(err, GF_EUNSUPPORTED, "BMP with %u bits a pixel and compression %u",
                        b->n_bits, b->compression);
}

static gf_status refuse_header(gf_error *err)
{
    return gf_error_set(err, GF_EFORMAT, "truncated BMP: ended in the header");
}

static gf_status read_palette(bmp *b, size_t at, gf_error *err)
{
    const size_t n_entry = b->n_header == N_CORE_HEADER ? 3 : 4;

    if (at > b->file.n_bytes || b->n_colours * n_entry > b->file.n_bytes - at)
        return refuse_header(err);
    for (size_t i = 0; i < b->n_colours; i++) {
        const uint8_t *entry = b->file.bytes + at + i * n_entry;
        for (size_t c = 0; c < 3; c++)
            b->palette[i][c] = entry[2 - c];
    }
    return GF_OK;
}

static gf_status read_header(gf__file_view file, bmp *b, gf_error *err)
{
    *b = (bmp){.file = file};
    if (file.n_bytes < N_FILE_HEADER + N_CORE_HEADER)
        return refuse_header(err);
    b->data_at = gf__le32(file.bytes + 10);
    b->n_header = gf__le32(file.bytes + N_FILE_HEADER);
    if (b->n_header != N_CORE_HEADER && (b->n_header < N_INFO_HEADER || b->n_header > 1024))
        return gf_error_set(err, GF_EFORMAT, "corrupt BMP: a header of %zu bytes", b->n_header);
    if (b->n_header > file.n_bytes - N_FILE_HEADER)
        return refuse_header(err);
    gf_status st = read_sizes(b, err);
    if (st != GF_OK)
        return st;
    st = check_coding(b, err);
    if (st != GF_OK)
        return st;

    size_t after = N_FILE_HEADER + b->n_header;
    const bool has_masks = b->compression == BITFIELDS || b->compression == ALPHA_BITFIELDS;
    if (has_masks) {
        const size_t n_masks = b->compression == ALPHA_BITFIELDS || b->n_header >= 56 ? 4 : 3;
        const size_t end = N_FILE_HEADER + N_INFO_HEADER + 4 * n_masks;
        if (end > file.n_bytes)
            return refuse_header(err);
        after = end > after ? end : after;
    }
    if (b->n_bits == 16 || b->n_bits == 32)
        read_masks(b);
    return read_palette(b, after, err);
}

gf_status gf__bmp_info(gf__file_view file, gf_image_info *out, gf_error *err)
{
    bmp b;

    gf_status st = read_header(file, &b, err);
    if (st != GF_OK)
        return st;
    out->width = b.width;
    out->height = b.height;
    out->has_alpha = b.channels[3].max != 0;
    out->n_channels = b.n_bits <= 8 ? 1 : out->has_alpha ? 4 : 3;
    out->bit_depth = b.n_bits >= 24 ? 8 : b.n_bits == 16 ? 5 : (int)b.n_bits;
    return GF_OK;
}

/* Pixels of less than a byte lie from the high bits down. */
static void convert_indexed(const bmp *b, const uint8_t *data, uint8_t *rgb)
{
    const unsigned n_in_byte = 8 / b->n_bits;
    const unsigned mask = (1U << b->n_bits) - 1;

    for (size_t x = 0; x < b->width; x++) {
        const unsigned shift = 8 - b->n_bits * ((unsigned)(x % n_in_byte) + 1);
        memcpy(rgb + 3 * x, b->palette[(unsigned)data[x / n_in_byte] >> shift & mask], 3);
    }
}

static void convert_masked(const bmp *b, const uint8_t *data, uint8_t *rgb)
{
    for (size_t x = 0; x < b->width; x++) {
        const uint32_t pixel = b->n_bits == 16 ? gf__le16(data + 2 * x) : gf__le32(data + 4 * x);
        const uint8_t alpha = channel_value(&b->channels[3], pixel, 255);
        for (size_t c = 0; c < 3; c++)
            rgb[3 * x + c] = gf__blend_white(channel_value(&b->channels[c], pixel, 0), alpha);
    }
}

static void convert_row(const bmp *b, const uint8_t *data, uint8_t *rgb)
{
    if (b->n_bits <= 8) {
        convert_indexed(b, data, rgb);
    } else if (b->n_bits == 24) {
        for (size_t x = 0; x < b->width; x++) {
            for (size_t c = 0; c < 3; c++)
                rgb[3 * x + c] = data[3 * x + 2 - c];
        }
    } else {
        convert_masked(b, data, rgb);
    }
}

static gf_status decode_plain(const bmp *b, gf__sink *sink, gf_error *err)
{
    const size_t stride = (b->width * b->n_bits + 31) / 32 * 4; /* rows end on four bytes */
    const size_t n_left = b->data_at < b->file.n_bytes ? b->file.n_bytes - b->data_at : 0;

    if (n_left / stride < b->height)
        return gf_error_set(err, GF_EFORMAT, "truncated BMP: ended after row %zu of %zu",
                            n_left / stride, b->height);
    for (size_t i = 0; i < b->height; i++) {
        const size_t y = b->is_top_down ? i : b->height - 1 - i;
        uint8_t *row = gf__sink_row(sink, y);
        convert_row(b, b->file.bytes + b->data_at + i * stride, row);
        gf__sink_put(sink, y, row);
    }
    return GF_OK;
}

/* The state of unpacking a run-length coded picture into one byte a pixel. */
typedef struct rle {
    const bmp *b;
    const uint8_t *at, *end;
    uint8_t *indices;
    size_t x, row; /* row 0 is the first in the file */
} rle;

/* Pixels past the end of a row are counted, not walked through: a file of nothing else would cost
 * hundreds of steps a byte. */
static bool is_past_row(rle *r, size_t n)
{
    if (r->x < r->b->width)
        return false;
    r->x += n;
    return true;
}

static void rle_put(rle *r, unsigned index)
{
    if (r->x < r->b->width && r->row < r->b->height)
        r->indices[r->row * r->b->width + r->x] = (uint8_t)index;
    r->x++;
}

/* n pixels out of one byte, or two where they have four bits: high, low, high ... */
static void rle_run(rle *r, size_t n, uint8_t value)
{
    if (is_past_row(r, n))
        return;
    for (size_t i = 0; i < n; i++) {
        if (r->b->compression == RLE8)
            rle_put(r, value);
        else
            rle_put(r, i % 2 == 0 ? value >> 4 : value & 15U);
    }
}

static bool rle_literal(rle *r, size_t n)
{
    const size_t n_bytes = r->b->compression == RLE8 ? n : (n + 1) / 2;

    if ((size_t)(r->end - r->at) < n_bytes)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (r->b->compression == RLE8)
            rle_put(r, r->at[i]);
        else
            rle_put(r, i % 2 == 0 ? r->at[i / 2] >> 4 : r->at[i / 2] & 15U);
    }
    r->at += n_bytes;
    if (n_bytes % 2 != 0 && r->at < r->end)
        r->at++; /* literals end on two bytes */
    return true;
}

/* False when the bytes end before the picture does. */
static bool rle_unpack(rle *r)
{
    enum { END_OF_ROW, END_OF_PICTURE, DELTA };

    while (r->row < r->b->height) {
        if (r->end - r->at < 2)
            return false;
        const uint8_t n = r->at[0], code = r->at[1];
        r->at += 2;
        if (n > 0) {
            rle_run(r, n, code);
        } else if (code == END_OF_ROW) {
            r->x = 0;
            r->row++;
        } else if (code == END_OF_PICTURE) {
            return true;
        } else if (code == DELTA) {
            if (r->end - r->at < 2)
                return false;
            r->x += r->at[0];
            r->row += r->at[1];
            r->at += 2;
        } else if (!rle_literal(r, code)) {
            return false;
        }
    }
    return true;
}

static gf_status decode_rle(const bmp *b, gf__sink *sink, gf_error *err)
{
    gf__block *side = &sink->scratch->side;
    const size_t data_at = b->data_at < b->file.n_bytes ? b->data_at : b->file.n_bytes;

    gf_status st = gf__block_reserve(side, b->width * b->height, "a BMP", err);
    if (st != GF_OK)
        return st;
    memset(side->data, 0, b->width * b->height);
    rle unpacking = {.b = b,
                     .at = b->file.bytes + data_at,
                     .end = b->file.bytes + b->file.n_bytes,
                     .indices = side->data};
    /* All rows but no end mark is a complete picture. */
    if (!rle_unpack(&unpacking) && (unpacking.row + 1 < b->height || unpacking.x < b->width))
        return gf_error_set(err, GF_EFORMAT, "truncated BMP: ended after row %zu of %zu",
                            unpacking.row, b->height);
    for (size_t i = 0; i < b->height; i++) {
        const size_t y = b->is_top_down ? i : b->height - 1 - i;
        uint8_t *row = gf__sink_row(sink, y);
        for (size_t x = 0; x < b->width; x++)
            memcpy(row + 3 * x, b->palette[side->data[i * b->width + x]], 3);
        gf__sink_put(sink, y, row);
    }
    return GF_OK;
}

gf_status gf__bmp_decode(gf__file_view file, const gf_image_info *info, gf__sink *sink,
                         gf_error *err)
{
    bmp b;

    gf_status st = read_header(file, &b, err);
    if (st != GF_OK)
        return st;
    st = gf__sink_begin(sink, info->width, info->height, err);
    if (st != GF_OK)
        return st;
    if (b.compression == RLE8 || b.compression == RLE4)
        return decode_rle(&b, sink, err);
    return decode_plain(&b, sink, err);
}
