"""Loss functions by name: cross-entropy over a softmax."""
from ..errors import UnsupportedError

NAMES = ("categorical_crossentropy", "sparse_categorical_crossentropy")


class CategoricalCrossentropy:
    name = "categorical_crossentropy"

    def __init__(self, from_logits=False, label_smoothing=0, **options):
        if from_logits or label_smoothing:
            raise UnsupportedError(f"{type(self).__name__}: graft's is over a softmax layer, "
                                   "without from_logits and label_smoothing")


class SparseCategoricalCrossentropy(CategoricalCrossentropy):
    name = "sparse_categorical_crossentropy"


def categorical_crossentropy(y_true, y_pred):
    """Names the loss; graft computes it itself."""
    raise UnsupportedError("categorical_crossentropy: pass it to compile(); evaluate() computes it")


def sparse_categorical_crossentropy(y_true, y_pred):
    """Names the loss; graft computes it itself."""
    raise UnsupportedError("sparse_categorical_crossentropy: pass it to compile(); evaluate() "
                           "computes it")


def get(loss):
    name = getattr(loss, "name", None) or getattr(loss, "__name__", loss)
    if name not in NAMES:
        raise UnsupportedError(f"loss {name!r}: graft has {' and '.join(NAMES)}; a classifier of "
                               "two classes is Dense(2, activation='softmax') with one of them")
    return name
