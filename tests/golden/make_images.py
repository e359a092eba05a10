#!/usr/bin/env python3
"""Makes tests/golden/images: small pictures of every format and oddity, and what Pillow reads from them.

    python3 tests/golden/make_images.py [FOLDER]

NAME.ext is the picture, NAME.rgb the expected pixels: Pillow's own decoding, turned by ImageOps.exif_transpose, alpha
over white. images.txt lists "file width height tolerance"; resize.txt lists sizes and the FNV-1a hash of Pillow's
BILINEAR result on the noise of noise() below, which the test makes again. Versions are recorded in images.txt.
Pictures Pillow cannot write are put together here from bytes; where Pillow reads them otherwise than graft documents
(16-bit grey, a GIF frame smaller than its screen) the expected pixels are computed here and marked in the code.
"""
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps, features

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "images")
W, H = 24, 18
LISTED = []


def photo(w=W, h=H):
    """Colours that no turn or mirror leaves alone, smooth enough for JPEG."""
    y, x = np.mgrid[0:h, 0:w].astype(float)
    red = 255 * x / (w - 1)
    green = 255 * y / (h - 1)
    blue = 127 + 120 * np.sin(x / 3.0) * np.cos(y / 4.0)
    rgb = np.stack([red, green, blue], -1).astype(np.uint8)
    rgb[2:6, 3:9] = (250, 240, 20)
    return rgb


def alpha(w=W, h=H):
    y, x = np.mgrid[0:h, 0:w]
    a = (255 * (x + y) / (w + h - 2)).astype(np.uint8)
    a[:3] = 0
    a[-3:] = 255
    return a


def over_white(image):
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image.convert("RGB"), mask=image.getchannel("A"))
        return np.asarray(white)
    return np.asarray(image.convert("RGB"))


def add(name, content, tolerance=0, expected=None):
    path = OUT / name
    path.write_bytes(content)
    if expected is None:
        with Image.open(path) as image:
            expected = over_white(image)
    path.with_suffix(".rgb").write_bytes(expected.astype(np.uint8).tobytes())
    LISTED.append(f"{name} {expected.shape[1]} {expected.shape[0]} {tolerance}")


def saved(image, extension, **options):
    import io

    buffer = io.BytesIO()
    image.save(buffer, extension, **options)
    return buffer.getvalue()


def exif(orientation, endian=">"):
    block = Image.Exif()
    block.endian = endian
    block[0x0112] = orientation
    return block


def make_jpegs():
    rgb = Image.fromarray(photo())
    add("jpeg-444.jpg", saved(rgb, "JPEG", quality=90, subsampling=0), 2)
    add("jpeg-420.jpg", saved(rgb, "JPEG", quality=85, subsampling=2), 2)
    add("jpeg-progressive.jpg", saved(rgb, "JPEG", quality=85, progressive=True), 2)
    add("jpeg-restart.jpg", saved(rgb, "JPEG", quality=85, restart_marker_blocks=1), 2)
    add("jpeg-grey.jpg", saved(rgb.convert("L"), "JPEG", quality=85), 2)
    add("jpeg-rgb.jpg", saved(rgb, "JPEG", quality=85, keep_rgb=True), 2)
    cmyk = saved(rgb.convert("CMYK"), "JPEG", quality=90)
    add("jpeg-cmyk.jpg", cmyk, 2)
    # The Adobe marker's last byte says whether the four planes are CMYK (0) or YCCK (2).
    at = cmyk.index(b"Adobe") + 11
    add("jpeg-ycck.jpg", cmyk[:at] + b"\2" + cmyk[at + 1:], 2)
    for orientation in range(1, 9):
        content = saved(rgb, "JPEG", quality=85, exif=exif(orientation))
        add(f"jpeg-exif-{orientation}.jpg", content, 2)
    content = saved(rgb, "JPEG", quality=85, exif=exif(6, "<"))
    add("jpeg-exif-6-little.jpg", content, 2)


def png_chunk(kind, content):
    return (struct.pack(">I", len(content)) + kind + content +
            struct.pack(">I", zlib.crc32(kind + content)))


def png(values, n_bits, colour_type, chunks=b"", interlaced=False):
    """values (H,W) or (H,W,C) of n_bits each."""
    h, w = values.shape[:2]
    values = values.reshape(h, w, -1)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    data = b""
    for left, top, right, down in passes:
        for row in values[top::down, left::right]:
            if row.size == 0:
                continue
            bits = "".join(format(int(v), f"0{n_bits}b") for v in row.ravel())
            bits += "0" * (-len(bits) % 8)
            data += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    header = struct.pack(">IIBBBBB", w, h, n_bits, colour_type, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + chunks +
            png_chunk(b"IDAT", zlib.compress(data, 9)) + png_chunk(b"IEND", b""))


def make_pngs():
    rgb, a = photo(), alpha()
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    rgba = np.dstack([rgb, a])
    y, x = np.mgrid[0:H, 0:W]
    wide = (rgb.astype(np.uint16) << 8) + ((37 * x + 101 * y) % 256)[..., None].astype(np.uint16)

    def blended(colour, opacity):
        image = Image.fromarray(np.dstack([colour, opacity]).astype(np.uint8), "RGBA")
        return over_white(image)

    add("png-rgb.png", png(rgb, 8, 2))
    add("png-rgb-interlaced.png", png(rgb, 8, 2, interlaced=True))
    add("png-rgba.png", png(rgba, 8, 6))
    add("png-rgba-interlaced.png", png(rgba, 8, 6, interlaced=True))
    add("png-grey.png", png(grey, 8, 0))
    add("png-grey-1.png", png(grey >> 7, 1, 0))
    add("png-grey-2.png", png(grey >> 6, 2, 0))
    add("png-grey-4.png", png(grey >> 4, 4, 0))
    add("png-grey-alpha.png", png(np.dstack([grey, a]), 8, 4))
    # Pillow clips 16-bit grey when converting; graft keeps the high byte, as Pillow does for 16-bit colour.
    add("png-grey-16.png", png(wide[..., 1], 16, 0), 0, np.dstack([rgb[..., 1]] * 3))
    add("png-rgb-16.png", png(wide, 16, 2), 0, rgb)
    add("png-rgba-16.png", png(np.dstack([wide, a.astype(np.uint16) << 8]), 16, 6), 0, blended(rgb, a))
    add("png-grey-transparent.png",
        png(grey, 8, 0, png_chunk(b"tRNS", struct.pack(">H", int(grey[3, 4])))))
    add("png-rgb-transparent.png",
        png(rgb, 8, 2, png_chunk(b"tRNS", struct.pack(">HHH", 250, 240, 20))))
    add("png-exif-6.png", saved(Image.fromarray(rgb), "PNG", exif=exif(6)))
    for n_bits in (1, 2, 4, 8):
        n = 1 << n_bits
        index = (x + 3 * y) % n
        colours = np.stack([np.arange(n) * 255 // (n - 1), 255 - np.arange(n) * 200 // (n - 1),
                            (np.arange(n) * 77) % 256], -1).astype(np.uint8)
        palette = png_chunk(b"PLTE", colours.tobytes())
        add(f"png-palette-{n_bits}.png", png(index, n_bits, 3, palette))
        if n_bits == 4:
            opacity = (np.arange(n) * 17).astype(np.uint8)
            chunks = palette + png_chunk(b"tRNS", opacity[:10].tobytes())
            add("png-palette-transparent.png", png(index, n_bits, 3, chunks))
    (OUT / "one-colour.png").write_bytes(png(np.full((50, 70), 255), 8, 0))


def riff(chunks):
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def make_webps():
    rgb, a = photo(), alpha()
    image = Image.fromarray(rgb)
    rgba = Image.fromarray(np.dstack([rgb, a]), "RGBA")
    add("webp-lossy.webp", saved(image, "WEBP", quality=80), 2)
    add("webp-lossless.webp", saved(image, "WEBP", lossless=True))
    add("webp-lossy-alpha.webp", saved(rgba, "WEBP", quality=80), 2)
    add("webp-lossless-alpha.webp", saved(rgba, "WEBP", lossless=True))
    add("webp-exif-8.webp", saved(image, "WEBP", lossless=True, exif=exif(8).tobytes()))
    other = Image.fromarray(255 - rgb)
    add("webp-animated.webp",
        saved(image, "WEBP", lossless=True, save_all=True, append_images=[other], duration=100))
    # A first frame smaller than its canvas, 4 right and 2 down.
    still = saved(rgba, "WEBP", lossless=True)
    frame = still[still.index(b"VP8L"):]

    def u24(value):
        return struct.pack("<I", value)[:3]

    canvas = (W + 8, H + 6)
    anmf = u24(2) + u24(1) + u24(W - 1) + u24(H - 1) + u24(100) + b"\0" + frame
    content = riff([(b"VP8X", b"\x12\0\0\0" + u24(canvas[0] - 1) + u24(canvas[1] - 1)),
                    (b"ANIM", struct.pack("<IH", 0, 0)), (b"ANMF", anmf)])
    add("webp-frame.webp", content)


def make_gifs():
    image = Image.fromarray(photo()).quantize(32, dither=Image.Dither.NONE)
    plain = saved(image, "GIF", interlace=0)
    add("gif-plain.gif", plain)
    add("gif-interlaced.gif", saved(image, "GIF", interlace=1))
    add("gif-transparent.gif", saved(image, "GIF", transparency=image.getpixel((4, 3))))
    other = Image.fromarray(255 - photo()).quantize(32, dither=Image.Dither.NONE)
    add("gif-animated.gif", saved(image, "GIF", save_all=True, append_images=[other], duration=100))
    # A screen larger than its frame: what is outside is white here, the background colour in Pillow.
    canvas = np.full((H + 5, W + 7, 3), 255, np.uint8)
    canvas[:H, :W] = np.asarray(image.convert("RGB"))
    add("gif-frame.gif", plain[:6] + struct.pack("<HH", W + 7, H + 5) + plain[10:], 0, canvas)


def bmp(rows, n_bits, header_bytes=40, compression=0, palette=b"", masks=b"", top_down=False, size=(W, H)):
    """rows: the pixel data as it stands in the file."""
    if header_bytes == 12:
        header = struct.pack("<IHHHH", 12, size[0], size[1], 1, n_bits)
    else:
        header = struct.pack("<IiiHHIIiiII", header_bytes, size[0], -size[1] if top_down else size[1], 1,
                             n_bits, compression, len(rows), 2835, 2835, len(palette) // 4, 0)
        header += masks
        header += b"\0" * (header_bytes - len(header))
    offset = 14 + len(header) + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(rows), 0, 0, offset) + header + palette + rows


def bmp_rows(values, n_bits):
    data = b""
    for row in values[::-1]:
        bits = "".join(format(int(v), f"0{n_bits}b") for v in row)
        line = int(bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big")
        data += line + b"\0" * (-len(line) % 4)
    return data


def rle(values, n_bits):
    """Runs, one literal a row where it fits, end of row marks, end of picture."""
    data = b""
    for row in values[::-1]:
        x = 0
        while x < len(row):
            if x == 0:
                n = 5
                part = [int(v) for v in row[:n]]
                if n_bits == 8:
                    literal = bytes(part)
                else:
                    part.append(0)
                    literal = bytes(part[i] << 4 | part[i + 1] for i in range(0, 6, 2))
                data += bytes([0, n]) + literal + b"\0" * (len(literal) % 2)
                x = n
                continue
            n = 1
            while x + n < len(row) and row[x + n] == row[x]:
                n += 1
            value = int(row[x])
            data += bytes([n, value if n_bits == 8 else value << 4 | value])
            x += n
        data += b"\0\0"
    return data + b"\0\1"


def make_bmps():
    rgb, a = photo(), alpha()
    y, x = np.mgrid[0:H, 0:W]
    bgr = rgb[..., ::-1]
    lines = [row.tobytes() + b"\0" * (-3 * W % 4) for row in bgr[::-1]]
    add("bmp-24.bmp", bmp(b"".join(lines), 24))
    add("bmp-24-top-down.bmp", bmp(b"".join(lines[::-1]), 24, top_down=True))
    add("bmp-24-os2.bmp", bmp(b"".join(lines), 24, header_bytes=12))
    bgrx = np.dstack([bgr, a])[::-1].tobytes()
    add("bmp-32.bmp", bmp(bgrx, 32))
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    add("bmp-32-v4-alpha.bmp", bmp(bgrx, 32, header_bytes=108, compression=3, masks=masks))
    add("bmp-32-v5-alpha.bmp", bmp(bgrx, 32, header_bytes=124, compression=3, masks=masks))
    r, g, b = (rgb[::-1, :, c].astype(np.uint16) for c in range(3))
    add("bmp-16-555.bmp", bmp((r >> 3 << 10 | g >> 3 << 5 | b >> 3).astype("<u2").tobytes(), 16))
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    add("bmp-16-565.bmp",
        bmp((r >> 3 << 11 | g >> 2 << 5 | b >> 3).astype("<u2").tobytes(), 16, compression=3, masks=masks))
    for n_bits in (1, 4, 8):
        n = 1 << n_bits
        index = ((x // 3) + 2 * y) % n
        palette = np.stack([np.arange(n) * 255 // (n - 1), 255 - np.arange(n) * 200 // (n - 1),
                            (np.arange(n) * 77) % 256, np.zeros(n, int)], -1).astype(np.uint8).tobytes()
        add(f"bmp-{n_bits}.bmp", bmp(bmp_rows(index, n_bits), n_bits, palette=palette))
        if n_bits > 1:
            add(f"bmp-{n_bits}-rle.bmp",
                bmp(rle(index, n_bits), n_bits, compression=1 if n_bits == 8 else 2, palette=palette))


def noise(w, h):
    """The test makes the same: a 32-bit linear congruential generator, its high byte."""
    values = np.empty(w * h * 3, np.uint8)
    state = 12345
    for i in range(values.size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = state >> 24
    return values.reshape(h, w, 3)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def make_resizes():
    bilinear = Image.Resampling.BILINEAR
    lines = ["# source width and height, target width and height, FNV-1a of the pixels"]
    cases = [(37, 23, 13, 7), (37, 23, 61, 40), (37, 23, 37, 10), (37, 23, 5, 23), (37, 23, 37, 23),
             (37, 23, 1, 1), (37, 23, 100, 3), (1, 1, 7, 5), (2, 2, 299, 299), (299, 299, 299, 299),
             (300, 298, 299, 299), (403, 301, 299, 299), (403, 301, 31, 29), (640, 480, 224, 224),
             (1000, 3, 299, 299), (3, 700, 64, 48)]
    for w, h, to_w, to_h in cases:
        # Rows, then columns, as Pillow up to 12 did for every size. Pillow 13 takes the columns first where that is less
        # work; its pixels then differ by one level at most.
        image = Image.fromarray(noise(w, h))
        resized = image.resize((to_w, h), bilinear).resize((to_w, to_h), bilinear)
        at_once = image.resize((to_w, to_h), bilinear)
        assert np.abs(np.asarray(at_once).astype(int) - np.asarray(resized)).max() <= 1
        lines.append(f"{w} {h} {to_w} {to_h} {fnv1a(np.asarray(resized).tobytes()):016x}")
    (OUT / "resize.txt").write_text("\n".join(lines) + "\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    make_jpegs()
    make_pngs()
    make_webps()
    make_gifs()
    make_bmps()
    make_resizes()
    versions = (f"# Pillow {PIL.__version__}, numpy {np.__version__}, libjpeg-turbo "
                f"{features.version_feature('libjpeg_turbo')}, libwebp {features.version('webp')}")
    (OUT / "images.txt").write_text(
        "\n".join([versions, "# file width height tolerance", *LISTED]) + "\n")


if __name__ == "__main__":
    main()
