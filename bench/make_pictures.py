"""The pictures that the benchmark runs on, made from Debian's tuxpaint stamps (photographs with transparent edges).

    python3 make_pictures.py PICTURES_DIR OUT_DIR

OUT_DIR/article/{animal,thing}/   100 pictures each: the article's job, packed into an .npz by graft itself
OUT_DIR/photo-4032.jpg            12 megapixels, quality 90: stamps enlarged side by side, as dense as a photograph
OUT_DIR/photo-640.jpg, small/     40 parts of it at 640x480
"""
import os
import shutil
import sys

from PIL import Image

CLASSES = {"animal": ["animals"], "thing": ["food", "plants", "household"]}
PER_CLASS = 100
WIDTH, HEIGHT, COLUMNS, ROWS = 4032, 3024, 6, 4


def files_of(pictures, kinds):
    for kind in kinds:
        folder = os.path.join(pictures, kind)
        yield from (os.path.join(folder, name) for name in sorted(os.listdir(folder)))


def copy_article(pictures, out):
    for name, kinds in CLASSES.items():
        chosen = list(files_of(pictures, kinds))[:PER_CLASS]
        if len(chosen) < PER_CLASS:
            raise SystemExit(f"make_pictures: {len(chosen)} pictures for {name}, {PER_CLASS} needed")
        os.makedirs(f"{out}/article/{name}", exist_ok=True)
        for i, path in enumerate(chosen):
            shutil.copy(path, f"{out}/article/{name}/{i:03}.png")


def largest(pictures, n):
    """The n stamps with the most pixels that are not far from square."""
    kinds = [kind for group in CLASSES.values() for kind in group]
    sizes = {path: Image.open(path).size for path in files_of(pictures, kinds)}
    squarish = [path for path, (w, h) in sizes.items() if max(w, h) < 1.6 * min(w, h)]
    return sorted(squarish, key=lambda path: -sizes[path][0] * sizes[path][1])[:n]


def make_photo(pictures):
    photo = Image.new("RGB", (WIDTH, HEIGHT))
    cell = (WIDTH // COLUMNS, HEIGHT // ROWS)
    noise = Image.effect_noise(cell, 40).convert("RGB")  # sensor noise: an enlarged picture alone is too smooth
    for i, path in enumerate(largest(pictures, COLUMNS * ROWS)):
        stamp = Image.open(path).convert("RGBA").resize(cell, Image.Resampling.LANCZOS)
        tile = Image.new("RGB", cell, (200, 205, 190))
        tile.paste(stamp, mask=stamp)
        photo.paste(Image.blend(tile, noise, 0.08), (i % COLUMNS * cell[0], i // COLUMNS * cell[1]))
    return photo


def main():
    pictures, out = sys.argv[1:3]
    copy_article(pictures, out)
    photo = make_photo(pictures)
    photo.save(f"{out}/photo-4032.jpg", quality=90)
    os.makedirs(f"{out}/small", exist_ok=True)
    for i in range(40):
        left, top = i % 8 * 480, i // 8 * 580
        part = photo.crop((left, top, left + 640, top + 480))
        part.save(f"{out}/small/{i:02}.jpg", quality=90)
        if i == 11:
            part.save(f"{out}/photo-640.jpg", quality=90)


if __name__ == "__main__":
    main()
