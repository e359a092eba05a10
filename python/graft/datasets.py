"""Labelled pictures into arrays: the article's .npz, or a folder of class folders."""
import collections
import os

import numpy as np

from . import images, paths
from .errors import InvalidError, NotFoundError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")

Dataset = collections.namedtuple("Dataset", "features labels classes")


def load(path, size=(299, 299)):
    """Dataset(features, labels, classes) of a path or gs://BUCKET/NAME.

    An .npz gives its arrays as they are ('features', 'labels', and 'classes' where it has them). A
    folder gives uint8 (N, height, width, 3), resized to size, labels int64, and the class folders'
    names, both in the order that graft has them.
    """
    where = paths.resolve(path)
    if os.path.isdir(where):
        return _folder(path, where, size)
    if not os.path.exists(where):
        raise NotFoundError(f"{path}: there is no such file or folder")
    with np.load(where, allow_pickle=False) as file:
        missing = [name for name in ("features", "labels") if name not in file.files]
        if missing:
            raise InvalidError(f"{path}: has the arrays {', '.join(file.files)}; expected "
                               "'features' and 'labels'", "GF_EFORMAT")
        labels = file["labels"]
        if "classes" in file.files:
            classes = [str(name) for name in file["classes"]]
        else:
            is_one_hot = labels.ndim == 2 and labels.shape[1] > 1
            n = labels.shape[1] if is_one_hot else int(labels.max()) + 1
            classes = [str(k) for k in range(n)]
        return Dataset(file["features"], labels, classes)


def _folder(path, where, size):
    classes = sorted((entry.name for entry in os.scandir(where)
                      if entry.is_dir() and not entry.name.startswith(".")), key=os.fsencode)
    features, labels, found = [], [], []
    for name in classes:
        files = sorted((entry.path for entry in os.scandir(os.path.join(where, name))
                        if entry.name.lower().endswith(ENDINGS)), key=os.fsencode)
        if not files:
            continue
        features += [images.load(file, (size[1], size[0])).pixels for file in files]
        labels += [len(found)] * len(files)
        found.append(name)
    if not features:
        raise InvalidError(f"{path}: no class folders with pictures in them")
    return Dataset(np.stack(features), np.array(labels), found)
