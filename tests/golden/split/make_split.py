"""Writes cases.txt: splits by scikit-learn's train_test_split, which gf_split_labels() must repeat index for index.

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1 numpy==2.4.6
    venv/bin/python make_split.py > cases.txt

One case is four lines: "n test_fraction seed is_stratified", the labels ("-" for none), the training part, the test part.
Small splits are listed whole; those of more than 60 items give first the length, then the first 10 and the last 10 items and a
checksum over all: c = (c * 31 + item) mod 2**32.
"""

import random
import sys
import warnings

import numpy
import sklearn
from sklearn.model_selection import train_test_split


def listed(items):
    items = [int(i) for i in items]
    if len(items) <= 60:
        return " ".join(map(str, [len(items)] + items))
    checksum = 0
    for item in items:
        checksum = (checksum * 31 + item) % 2**32
    return " ".join(map(str, [len(items)] + items[:10] + items[-10:] + [checksum]))


def write_case(n, fraction, seed, labels):
    try:
        train, test = train_test_split(numpy.arange(n), test_size=fraction, random_state=seed,
                                       stratify=labels)
    except ValueError:
        train, test = [], []  # refused: both parts are empty
    print(n, repr(fraction), seed, int(labels is not None))
    # Labels follow from the class sizes and one rule, see labels_of(); the sizes are enough.
    print("-" if labels is None else " ".join(map(str, numpy.bincount(labels))))
    print(listed(train))
    print(listed(test))


def labels_of(sizes):
    """Item i gets the class that has most items left, the first of equals: interleaved, and easy to repeat in C."""
    left = list(sizes)
    labels = []
    for _ in range(sum(sizes)):
        k = max(range(len(left)), key=lambda k: (left[k], -k))
        left[k] -= 1
        labels.append(k)
    return numpy.array(labels)


def main():
    warnings.simplefilter("ignore")
    print("# scikit-learn %s, numpy %s, Python %s, make_split.py"
          % (sklearn.__version__, numpy.__version__, sys.version.split()[0]))
    for n in [1, 2, 3, 5, 7, 10, 29, 50, 100, 200, 1000, 4097]:
        for fraction in [0.1, 0.2, 0.25, 1 / 3, 0.5, 0.7, 0.99]:
            for seed in [0, 42]:
                write_case(n, fraction, seed, None)
    for seed in [1, 7, 123456789, 2**31, 2**32 - 1]:
        write_case(200, 0.2, seed, None)
    sizes = [[100, 100], [2, 2], [3, 2], [5, 5, 5], [10, 1, 10], [7, 7, 7, 7, 7], [50, 3, 2],
             [2, 2, 2, 2, 2, 2, 2, 2], [13, 0, 8], [1, 20], [40, 30, 20, 10], [3] * 17, [500, 500],
             [5, 4, 4, 4, 3, 3, 2]]
    rng = random.Random(20180101)
    for _ in range(40):
        sizes.append([rng.randint(2, 30) for _ in range(rng.randint(2, 12))])
    for counts in sizes:
        for fraction in [0.1, 0.2, 0.25, 1 / 3, 0.5, 0.7]:
            for seed in [0, 42] if fraction in (0.2, 0.5) else [7]:
                write_case(sum(counts), fraction, seed, labels_of(counts))


main()
