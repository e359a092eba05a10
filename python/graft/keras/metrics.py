"""Metrics by name: accuracy."""
from ..errors import UnsupportedError

NAMES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy")


class Accuracy:
    name = "accuracy"


class CategoricalAccuracy:
    name = "categorical_accuracy"


class SparseCategoricalAccuracy:
    name = "sparse_categorical_accuracy"


def get(metrics):
    """The names that logs and History have."""
    metrics = metrics or []
    if isinstance(metrics, (str, bytes)) or not hasattr(metrics, "__iter__"):
        metrics = [metrics]
    names = []
    for metric in metrics:
        name = getattr(metric, "name", None) or getattr(metric, "__name__", metric)
        if name not in NAMES:
            raise UnsupportedError(f"metric {name!r}: graft measures 'accuracy'")
        names.append(name)
    return names
