"""Loss functions by name: cross-entropy over a softmax, or over answers of their own (sigmoid)."""
from ..errors import UnsupportedError

NAMES = ("categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy")


class CategoricalCrossentropy:
    name = "categorical_crossentropy"

    def __init__(self, from_logits=False, label_smoothing=0, **options):
        if from_logits or label_smoothing:
            raise UnsupportedError(f"{type(self).__name__}: graft's is over the scores of the "
                                   "last layer, without from_logits and label_smoothing")


class SparseCategoricalCrossentropy(CategoricalCrossentropy):
    name = "sparse_categorical_crossentropy"


class BinaryCrossentropy(CategoricalCrossentropy):
    name = "binary_crossentropy"


def categorical_crossentropy(y_true, y_pred):
    """Names the loss; graft computes it itself."""
    raise UnsupportedError("categorical_crossentropy: pass it to compile(); evaluate() computes it")


def sparse_categorical_crossentropy(y_true, y_pred):
    """Names the loss; graft computes it itself."""
    raise UnsupportedError("sparse_categorical_crossentropy: pass it to compile(); evaluate() "
                           "computes it")


def binary_crossentropy(y_true, y_pred):
    """Names the loss; graft computes it itself."""
    raise UnsupportedError("binary_crossentropy: pass it to compile(); evaluate() computes it")


def get(loss):
    name = getattr(loss, "name", None) or getattr(loss, "__name__", loss)
    if name not in NAMES:
        raise UnsupportedError(f"loss {name!r}: graft has {', '.join(NAMES)}")
    return name
