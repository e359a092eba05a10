"""Does graft hold out the very rows that scikit-learn's train_test_split holds out?

usage: python3 check_split.py BUILD
Calls gf_split_labels() of BUILD/libgraft.so for many sizes, fractions and seeds, plain and stratified.
"""
import ctypes
import sys

import numpy as np
import sklearn
from sklearn.model_selection import train_test_split

SIZES = [2, 3, 5, 10, 37, 200, 1001, 5000]
FRACTIONS = [0.1, 0.2, 0.25, 1 / 3, 0.5, 0.9]
SEEDS = [0, 1, 42, 2018, 4294967295]


class Split(ctypes.Structure):
    _fields_ = [("train", ctypes.POINTER(ctypes.c_size_t)), ("n_train", ctypes.c_size_t),
                ("test", ctypes.POINTER(ctypes.c_size_t)), ("n_test", ctypes.c_size_t)]


class SplitOptions(ctypes.Structure):
    _fields_ = [("test_fraction", ctypes.c_double), ("seed", ctypes.c_uint32), ("is_stratified", ctypes.c_bool)]


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 512)]


def by_graft(library, labels, fraction, seed, is_stratified):
    """(train, test), or None where graft refuses."""
    rows = np.ascontiguousarray(labels, np.uintp)
    split, error = ctypes.POINTER(Split)(), Error()
    options = SplitOptions(fraction, seed, is_stratified)
    status = library.gf_split_labels(rows.ctypes.data_as(ctypes.POINTER(ctypes.c_size_t)), ctypes.c_size_t(len(rows)),
                                     ctypes.c_size_t(int(labels.max()) + 1), ctypes.byref(options),
                                     ctypes.byref(split), ctypes.byref(error))
    if status != 0:
        return None
    found = split.contents
    parts = found.train[:found.n_train], found.test[:found.n_test]
    library.gf_split_free(split)
    return parts


def by_sklearn(labels, fraction, seed, is_stratified):
    try:
        train, test = train_test_split(np.arange(len(labels)), test_size=fraction, random_state=seed,
                                       stratify=labels if is_stratified else None)
    except ValueError:
        return None
    return train.tolist(), test.tolist()


def main():
    library = ctypes.CDLL(f"{sys.argv[1]}/libgraft.so")
    n_checked, failures = 0, []
    for size in SIZES:
        labels = np.random.default_rng(size).choice(3, size, p=[0.6, 0.3, 0.1])
        for fraction in FRACTIONS:
            for seed in SEEDS:
                for is_stratified in (False, True):
                    case = labels, fraction, seed, is_stratified
                    n_checked += 1
                    if by_graft(library, *case) != by_sklearn(*case):
                        failures.append(f"{size} rows, fraction {fraction:g}, seed {seed}, stratified {is_stratified}")
    for failure in failures:
        print(f"check_split: {failure}: differs", file=sys.stderr)
    print(f"check_split: {n_checked} splits, {len(failures)} differences (scikit-learn {sklearn.__version__})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
