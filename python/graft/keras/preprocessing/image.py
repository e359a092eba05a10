"""keras.preprocessing.image: picture files into arrays, by graft's own decoder and filter."""
import numpy as np

from ... import images
from ...errors import InvalidError, UnsupportedError


def load_img(path, grayscale=False, color_mode="rgb", target_size=None, interpolation=None,
             keep_aspect_ratio=False):
    """A picture file (path, gs://BUCKET/NAME, bytes or an open file); target_size is (height,
    width). Resized with graft's filter, antialiased bilinear: the one that serving uses."""
    if grayscale or color_mode not in ("rgb", "rgba"):
        raise UnsupportedError(f"load_img: color_mode {'grayscale' if grayscale else color_mode!r};"
                               " graft's networks see RGB")
    if interpolation not in (None, "bilinear"):
        raise UnsupportedError(f"load_img: interpolation {interpolation!r}; a model is served with "
                               "antialiased bilinear, leave it out")
    if keep_aspect_ratio:
        raise UnsupportedError("load_img: keep_aspect_ratio; graft's recipe does not")
    size = None
    if target_size is not None:
        if len(target_size) < 2:
            raise InvalidError(f"load_img: target_size is {target_size!r}, expected (height, "
                               "width)")
        size = int(target_size[1]), int(target_size[0])
    return images.load(path, size)


def img_to_array(img, data_format=None, dtype="float32"):
    """(height, width, 3) float32, 0 to 255."""
    if data_format not in (None, "channels_last"):
        raise UnsupportedError("img_to_array: graft has channels last")
    x = np.asarray(img, dtype=dtype)
    if x.ndim == 2:
        x = x[:, :, None]
    if x.ndim != 3:
        raise InvalidError(f"img_to_array: a picture of shape {x.shape}")
    return x


def array_to_img(x, data_format=None, scale=True, dtype="float32"):
    """A picture of an array (height, width, 3 or 1); scale brings its values to 0 to 255."""
    if data_format not in (None, "channels_last"):
        raise UnsupportedError("array_to_img: graft has channels last")
    x = np.asarray(x)
    if x.ndim != 3 or x.shape[2] not in (1, 3):
        raise InvalidError(f"array_to_img: an array of shape {x.shape}, expected (height, width, "
                           "3)")
    if x.dtype != np.uint8 or scale:
        x = x.astype("float32")
        if scale:
            x = x - x.min()
            largest = x.max()
            if largest != 0:
                x = x / largest
            x = x * 255
        x = np.clip(x, 0, 255).astype(np.uint8)
    return images.Image(np.repeat(x, 3, axis=2) if x.shape[2] == 1 else x)


def save_img(path, x, data_format=None, file_format=None, scale=True, **options):
    array_to_img(x, data_format, scale).save(path)


__all__ = ["array_to_img", "img_to_array", "load_img", "save_img"]
