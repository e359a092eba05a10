"""keras.utils.np_utils"""
import numpy as np

from ...errors import InvalidError


def to_categorical(y, num_classes=None, dtype="float32"):
    """Class numbers as one-hot rows."""
    y = np.asarray(y)
    if y.size == 0 or not (np.issubdtype(y.dtype, np.number) or y.dtype == bool):
        raise InvalidError(f"to_categorical: expected class numbers, got {y.dtype} of shape "
                           f"{y.shape}")
    numbers = y.astype(np.int64)
    if (numbers != y).any() or numbers.min() < 0:
        raise InvalidError("to_categorical: expected whole numbers from 0")
    shape = numbers.shape[:-1] if numbers.ndim > 1 and numbers.shape[-1] == 1 else numbers.shape
    numbers = numbers.ravel()
    n_classes = num_classes or int(numbers.max()) + 1
    if numbers.max() >= n_classes:
        raise InvalidError(f"to_categorical: class {numbers.max()} of {n_classes} classes")
    rows = np.zeros((len(numbers), n_classes), dtype=dtype)
    rows[np.arange(len(numbers)), numbers] = 1
    return rows.reshape(*shape, n_classes)


def normalize(x, axis=-1, order=2):
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return x / np.expand_dims(norm, axis)
