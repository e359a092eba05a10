/* image/exif.c: the one EXIF field that changes what a network sees: orientation.
 *
 * In: EXIF bytes from a JPEG's APP1 segment, a PNG's eXIf or a WebP's EXIF chunk. Out: 1..8.
 * Nothing here fails: what cannot be read counts as upright. Also the turning itself. */
#include "image/image_priv.h"

#include <string.h>

enum {
    TAG_ORIENTATION = 0x0112,
    TYPE_SHORT = 3,
    N_ENTRY_BYTES = 12,
};

typedef struct tiff_reader {
    const uint8_t *bytes;
    size_t n_bytes;
    bool is_big_endian;
} tiff_reader;

static uint16_t read_u16(const tiff_reader *tiff, size_t at)
{
    return tiff->is_big_endian ? gf__be16(tiff->bytes + at) : gf__le16(tiff->bytes + at);
}

static uint32_t read_u32(const tiff_reader *tiff, size_t at)
{
    return tiff->is_big_endian ? gf__be32(tiff->bytes + at) : gf__le32(tiff->bytes + at);
}

static bool open_tiff(const uint8_t *bytes, size_t n_bytes, tiff_reader *tiff)
{
    if (n_bytes < 8)
        return false;
    *tiff = (tiff_reader){.bytes = bytes, .n_bytes = n_bytes};
    if (memcmp(bytes, "MM\0*", 4) == 0)
        tiff->is_big_endian = true;
    else if (memcmp(bytes, "II*\0", 4) != 0)
        return false;
    return true;
}

int gf__exif_orientation(const uint8_t *exif, size_t n_bytes)
{
    tiff_reader tiff;

    if (n_bytes >= 6 && memcmp(exif, "Exif\0\0", 6) == 0) {
        exif += 6;
        n_bytes -= 6;
    }
    if (!open_tiff(exif, n_bytes, &tiff))
        return 1;
    const size_t ifd = read_u32(&tiff, 4);
    if (ifd > n_bytes - 2)
        return 1;
    const size_t n_entries = read_u16(&tiff, ifd);
    for (size_t i = 0; i < n_entries; i++) {
        const size_t entry = ifd + 2 + i * N_ENTRY_BYTES;
        if (entry + N_ENTRY_BYTES > n_bytes)
            return 1;
        if (read_u16(&tiff, entry) != TAG_ORIENTATION || read_u16(&tiff, entry + 2) != TYPE_SHORT)
            continue;
        const int orientation = read_u16(&tiff, entry + 8);
        return orientation >= 1 && orientation <= 8 ? orientation : 1;
    }
    return 1;
}

/* Walks the segments up to the first scan. */
int gf__exif_orientation_jpeg(gf__file_view file)
{
    size_t at = 2;

    while (file.n_bytes >= 4 && at <= file.n_bytes - 4 && file.bytes[at] == 0xFF) {
        const uint8_t marker = file.bytes[at + 1];
        if (marker == 0xFF) { /* fill byte */
            at++;
            continue;
        }
        if (marker == 0xDA || marker == 0xD9)
            break;
        const size_t n_bytes = gf__be16(file.bytes + at + 2); /* counts itself */
        if (n_bytes < 2 || n_bytes > file.n_bytes - at - 2)
            break;
        const uint8_t *content = file.bytes + at + 4;
        if (marker == 0xE1 && n_bytes >= 8 && memcmp(content, "Exif\0\0", 6) == 0)
            return gf__exif_orientation(content, n_bytes - 2);
        at += 2 + n_bytes;
    }
    return 1;
}

/* Where stored pixel (0,0) goes and how far apart its neighbours to the right and below land, in
 * pixels. */
typedef struct turn_plan {
    ptrdiff_t start, right, down;
} turn_plan;

static turn_plan plan_turn(ptrdiff_t W, ptrdiff_t H, int orientation)
{
    switch (orientation) {
    case 2:
        return (turn_plan){W - 1, -1, W};
    case 3:
        return (turn_plan){W * H - 1, -1, -W};
    case 4:
        return (turn_plan){W * (H - 1), 1, -W};
    case 5:
        return (turn_plan){0, H, 1};
    case 6:
        return (turn_plan){H - 1, H, -1};
    case 7:
        return (turn_plan){W * H - 1, -H, -1};
    case 8:
        return (turn_plan){H * (W - 1), -H, 1};
    default:
        return (turn_plan){0, 1, W};
    }
}

/* In tiles, because a transposition walks one of the two pictures across its rows. */
void gf__turn(const uint8_t *from, size_t width, size_t height, int orientation, uint8_t *to)
{
    enum { TILE = 32 };
    const turn_plan plan = plan_turn((ptrdiff_t)width, (ptrdiff_t)height, orientation);

    for (size_t top = 0; top < height; top += TILE) {
        const size_t bottom = top + TILE < height ? top + TILE : height;
        for (size_t left = 0; left < width; left += TILE) {
            const size_t right = left + TILE < width ? left + TILE : width;
            for (size_t y = top; y < bottom; y++) {
                const uint8_t *source = from + 3 * (y * width + left);
                ptrdiff_t at = 3 * (plan.start + (ptrdiff_t)y * plan.down +
                                    (ptrdiff_t)left * plan.right);
                for (size_t x = left; x < right; x++) {
                    to[at] = source[0];
                    to[at + 1] = source[1];
                    to[at + 2] = source[2];
                    source += 3;
                    at += 3 * plan.right;
                }
            }
        }
    }
}
