"""Metrics by name: accuracy."""
from ..errors import UnsupportedError

NAMES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy",
         "binary_accuracy")


class Accuracy:
    name = "accuracy"


class CategoricalAccuracy:
    name = "categorical_accuracy"


class SparseCategoricalAccuracy:
    name = "sparse_categorical_accuracy"


class BinaryAccuracy:
    name = "binary_accuracy"

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        if threshold != 0.5 or name != self.name:
            raise UnsupportedError("BinaryAccuracy: graft's has the threshold 0.5 and the name "
                                   "'binary_accuracy'")


def get(metrics, loss):
    """The names that logs and History have."""
    metrics = metrics or []
    if isinstance(metrics, (str, bytes)) or not hasattr(metrics, "__iter__"):
        metrics = [metrics]
    names = []
    for metric in metrics:
        name = getattr(metric, "name", None) or getattr(metric, "__name__", metric)
        if name not in NAMES:
            raise UnsupportedError(f"metric {name!r}: graft measures 'accuracy'")
        is_binary = name == "binary_accuracy"
        if name not in ("accuracy", "acc") and is_binary != (loss == "binary_crossentropy"):
            raise UnsupportedError(f"metric {name!r} with the loss {loss}: use 'accuracy'")
        names.append(name)
    return names
