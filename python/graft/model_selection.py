"""Splitting arrays, index for index as scikit-learn's train_test_split."""
import ctypes

import numpy as np

from . import native
from .errors import InvalidError, UnsupportedError


def train_test_split(*arrays, test_size=None, train_size=None, random_state=42, shuffle=True,
                     stratify=None):
    """[train, test] of each array. test_size is a fraction or a number of rows, default 0.25.

    Where no random_state is given scikit-learn splits anew each time; here it is 42.
    """
    if not arrays:
        raise InvalidError("train_test_split: no arrays")
    n = len(arrays[0])
    for array in arrays:
        if len(array) != n:
            raise InvalidError(f"train_test_split: arrays of {n} and {len(array)} rows",
                               "GF_ESHAPE")
    if not shuffle:
        raise UnsupportedError("train_test_split: shuffle=False; slice the arrays: X[:n], X[n:]")
    train, test = _indices(n, _fraction(test_size, train_size, n), random_state, stratify)
    parts = []
    for array in arrays:
        parts += [_take(array, train), _take(array, test)]
    return parts


def _fraction(test_size, train_size, n):
    if test_size is None:
        test_size = 0.25 if train_size is None else (
            n - train_size if isinstance(train_size, int) else 1 - train_size)
    elif train_size is not None:
        raise UnsupportedError("train_test_split: test_size and train_size; give one of them")
    if isinstance(test_size, (int, np.integer)) and not isinstance(test_size, bool):
        if not 0 < test_size < n:
            raise InvalidError(f"train_test_split: test_size is {test_size} of {n} rows")
        # The library takes ceil(fraction * n): half a row less than asked for gives what was asked.
        return (test_size - 0.5) / n
    if not 0 < test_size < 1:
        raise InvalidError(f"train_test_split: test_size is {test_size!r}, expected a fraction "
                           "between 0 and 1 or a number of rows")
    return float(test_size)


def _indices(n, fraction, random_state, stratify):
    if random_state is None:
        random_state = 42
    if not 0 <= random_state < 2 ** 32:
        raise InvalidError(f"train_test_split: random_state is {random_state!r}, expected 0 to "
                           "2**32 - 1")
    options = native.gf_split_options(fraction, random_state, stratify is not None)
    labels, n_classes = None, 0
    if stratify is not None:
        stratify = np.asarray(stratify)
        if len(stratify) != n:
            raise InvalidError(f"train_test_split: stratify has {len(stratify)} rows, the arrays "
                               f"{n}", "GF_ESHAPE")
        axis = None if stratify.ndim == 1 else 0
        classes, numbers = np.unique(stratify, return_inverse=True, axis=axis)
        labels, n_classes = np.ascontiguousarray(numbers.reshape(-1), np.uintp), len(classes)
    lib = native.lib()
    split = native.Handle(lib.gf_split_free)
    native.call(lib.gf_split_labels, None if labels is None else native.sizes(labels), n,
                n_classes, ctypes.byref(options), split.out())
    found = ctypes.cast(split.value, ctypes.POINTER(native.gf_split)).contents
    return (np.ctypeslib.as_array(found.train, (found.n_train,)).astype(np.intp),
            np.ctypeslib.as_array(found.test, (found.n_test,)).astype(np.intp))


def _take(array, rows):
    return array[rows] if isinstance(array, np.ndarray) else type(array)(array[i] for i in rows) \
        if isinstance(array, (list, tuple)) else np.asarray(array)[rows]
