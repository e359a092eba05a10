"""What may be asked of a model, turned into the JSON instances of a request: picture files, bytes,
arrays, rows of numbers."""

import base64
import binascii
import os
import struct
import zlib

# Of instances together: half of what a server takes unless told otherwise.
MAX_REQUEST_BYTES = 16 << 20
MAX_REQUEST_INSTANCES = 256


def png_of(pixels):
    """A (H,W,3) array of bytes as a PNG: what a server decodes from it are the same bytes."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", binascii.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 6))
        + chunk(b"IEND", b"")
    )


def is_array(value):
    return hasattr(value, "dtype") and hasattr(value, "shape")


def picture_bytes(value):
    """The bytes of a picture that is given as a path, as bytes or as a (H,W,3) array of bytes; None
    for what is no picture."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, os.PathLike) or (isinstance(value, str) and not value.startswith("data:")):
        with open(value, "rb") as file:
            return file.read()
    if is_array(value) and value.ndim == 3 and value.shape[2] == 3 and value.dtype == "uint8":
        return png_of(value)
    return None


def instance_of(value):
    """One JSON instance."""
    picture = picture_bytes(value)
    if picture is not None:
        return {"inputs": {"b64": base64.b64encode(picture).decode("ascii")}}
    if is_array(value):
        return value.tolist()
    if isinstance(value, tuple):
        return list(value)
    return value


def _is_number(value):
    return isinstance(value, (int, float)) or (is_array(value) and value.ndim == 0)


def as_list(inputs):
    """The inputs one by one: a path, bytes, a row of numbers or one picture's array are a single
    input."""
    if is_array(inputs):
        return list(inputs) if inputs.ndim in (2, 4) else [inputs]
    if isinstance(inputs, (str, bytes, bytearray, memoryview, dict, os.PathLike)):
        return [inputs]
    inputs = list(inputs)
    if inputs and all(_is_number(value) for value in inputs):
        return [[float(value) for value in inputs]]
    return inputs


def _size_of(instance):
    """Roughly its bytes in JSON."""
    if isinstance(instance, str):
        return len(instance)
    if isinstance(instance, dict):
        return sum(_size_of(value) for value in instance.values())
    if isinstance(instance, list):
        return len(instance) * (_size_of(instance[0]) if instance else 1)
    return 20


def batches(instances):
    """Lists of instances that fit into one request each, in order; instances may be a generator,
    which is read as needed."""
    batch, n_bytes = [], 0
    for instance in instances:
        size = _size_of(instance)
        if batch and (n_bytes + size > MAX_REQUEST_BYTES or len(batch) == MAX_REQUEST_INSTANCES):
            yield batch
            batch, n_bytes = [], 0
        batch.append(instance)
        n_bytes += size
    if batch:
        yield batch
