"""Pictures: decoding, resizing and encoding by the library's own code, the same that serves."""
import ctypes
import io
import os

import numpy as np

from . import errors, native, paths
from .errors import InvalidError


class Image:
    """An RGB picture. np.asarray(image) is (height, width, 3) uint8; image.size (width, height)."""

    mode = "RGB"

    def __init__(self, pixels):
        pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise InvalidError(f"a picture of shape {pixels.shape}, expected (height, width, 3)")
        self.pixels = pixels

    @property
    def size(self):
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def width(self):
        return self.pixels.shape[1]

    @property
    def height(self):
        return self.pixels.shape[0]

    def __array__(self, dtype=None, copy=None):
        return np.array(self.pixels, dtype=dtype)

    def __repr__(self):
        return f"<graft.Image {self.width}x{self.height}>"

    def _repr_png_(self):
        return self.to_png()

    def _handle(self):
        lib = native.lib()
        image = native.Handle(lib.gf_image_free)
        native.call(lib.gf_image_from_rgb, self.pixels.ctypes.data, self.width, self.height,
                    image.out())
        return image

    def resize(self, size, resample=None):
        """A new picture of (width, height); one filter, antialiased bilinear."""
        lib = native.lib()
        resized = native.Handle(lib.gf_image_free)
        native.call(lib.gf_image_resize, self._handle(), int(size[0]), int(size[1]), resized.out())
        return Image(_pixels(resized))

    def to_png(self):
        return _encoded(native.lib().gf_image_encode_png, self._handle())

    def to_jpeg(self, quality=95):
        return _encoded(native.lib().gf_image_encode_jpeg, self._handle(), quality)

    def save(self, path, quality=95):
        """Writes a PNG or JPEG file, as the name's ending says."""
        ending = os.path.splitext(os.fspath(path))[1].lower()
        if ending not in (".png", ".jpg", ".jpeg"):
            raise InvalidError(f"{path}: expected a name that ends in .png, .jpg or .jpeg")
        content = self.to_png() if ending == ".png" else self.to_jpeg(quality)
        paths.write_whole(paths.prepare_parent(path), content)


def _pixels(image):
    lib = native.lib()
    height, width = lib.gf_image_height(image), lib.gf_image_width(image)
    rgb = ctypes.string_at(lib.gf_image_rgb(image), height * width * 3)
    return np.frombuffer(rgb, np.uint8).reshape(height, width, 3)


def _encoded(encode, image, *arguments):
    content, n_bytes = ctypes.c_void_p(), ctypes.c_size_t()
    native.call(encode, image, *arguments, ctypes.byref(content), ctypes.byref(n_bytes))
    try:
        return ctypes.string_at(content, n_bytes.value)
    finally:
        native.lib().gf_image_bytes_free(content)


def read(source):
    """The bytes of a picture file: a path, an open file, or bytes as they are."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, io.IOBase) or hasattr(source, "read"):
        return source.read()
    with errors.at(source), open(paths.resolve(source), "rb") as file:
        return file.read()


def load(source, size=None):
    """A picture file, decoded and turned as its EXIF data says; with size (width, height) resized
    as models do it."""
    lib = native.lib()
    content = read(source)
    options = native.gf_image_options(64 << 20, *(size or (0, 0)))
    image = native.Handle(lib.gf_image_free)
    try:
        native.call(lib.gf_image_decode, content, len(content), ctypes.byref(options), image.out())
    except InvalidError as error:
        if isinstance(source, (str, os.PathLike)):
            raise type(error)(f"{os.fspath(source)}: {error}", error.code) from None
        raise
    if size is not None and (lib.gf_image_width(image), lib.gf_image_height(image)) != tuple(size):
        resized = native.Handle(lib.gf_image_free)
        native.call(lib.gf_image_resize, image, int(size[0]), int(size[1]), resized.out())
        image = resized
    return Image(_pixels(image))
