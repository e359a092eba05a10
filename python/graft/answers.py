"""What is right for rows of a training: y as the library takes it, and how much each row counts."""
import numpy as np

from .errors import InvalidError, UnsupportedError

BINARY = "binary_crossentropy"
_SPARSE = "sparse_categorical_crossentropy"
_CLIP = 1e-7  # the library's, and Keras'


class Answers:
    """labels (class numbers, of a softmax) or targets (n, units) from 0 to 1 (of a sigmoid);
    weights of the rows, or None."""

    def __init__(self, labels=None, targets=None, weights=None):
        self.labels, self.targets, self.weights = labels, targets, weights

    def __len__(self):
        return len(self.labels if self.targets is None else self.targets)

    def first_rows(self, n_classes):
        """{class: its first row}, of the first classes; of targets one row for all of them."""
        if self.targets is not None:
            return {0: 0}
        found = {k: np.flatnonzero(self.labels == k) for k in range(n_classes)}
        return {k: int(where[0]) for k, where in found.items() if len(where)}

    def weigh(self, weights):
        """Multiplies what the rows count."""
        self.weights = weights if self.weights is None else self.weights * weights

    def losses(self, scores):
        """Of each row, unweighed."""
        clipped = np.clip(scores.astype(np.float64), _CLIP, 1 - _CLIP)
        if self.targets is None:
            return -np.log(clipped[np.arange(len(scores)), self.labels])
        return -(self.targets * np.log(clipped)
                 + (1 - self.targets) * np.log1p(-clipped)).mean(axis=1)

    def accuracy(self, scores):
        """The share of rows whose largest score is the label's; of targets, of scores that are
        above 0.5 where the target is 1."""
        if self.targets is None:
            return float((scores.argmax(axis=1) == self.labels).mean())
        return float(((scores > 0.5) == self.targets).mean())


def of(y, n, n_units, loss, sample_weight=None, where="y"):
    """Answers of y: numbers for (n, n_units) scores, as the loss wants them."""
    y = np.asarray(y)
    if y.ndim == 0 or len(y) != n:
        raise InvalidError(f"{where} has {len(y) if y.ndim else 'no'} rows, the inputs have {n}",
                           "GF_ESHAPE")
    if y.dtype == object or not (y.dtype == bool or np.issubdtype(y.dtype, np.number)):
        raise InvalidError(f"{where} has values of type {y.dtype}, expected class numbers; of "
                           "names: np.unique(names, return_inverse=True)[1]")
    if loss == BINARY:
        found = Answers(targets=_targets(y, n_units, where))
    elif loss == _SPARSE:
        found = Answers(labels=_numbers(y, n_units, where))
    else:
        found = Answers(labels=_one_hot(y, n_units, loss, where))
    found.weights = _row_weights(sample_weight, n)
    return found


def _targets(y, n_units, where):
    shape = (len(y), n_units)
    if y.shape != shape and not (n_units == 1 and y.ndim == 1):
        more = " or (%d,)" % len(y) if n_units == 1 else ""
        raise InvalidError(f"{where} has shape {y.shape}, expected {shape}{more} for {BINARY}: 0 "
                           "or 1 for each unit of the last layer; one class of several is "
                           f"Dense({max(2, y.size // len(y))}, activation='softmax') with "
                           "'categorical_crossentropy'", "GF_ESHAPE")
    y = np.ascontiguousarray(y.reshape(shape), dtype=np.float32)
    bad = np.argwhere(~((y >= 0) & (y <= 1)))
    if len(bad):
        raise InvalidError(f"{where}[{bad[0][0]}] is {y[tuple(bad[0])]:g}, expected 0 or 1 (or "
                           f"between) for {BINARY}")
    return y


def _one_hot(y, n_classes, loss, where):
    if y.ndim == 1 or y.shape[1:] != (n_classes,):
        raise InvalidError(
            f"{where} has shape {y.shape}, expected ({len(y)}, {n_classes}) for {loss}; for class "
            "numbers use to_categorical(y) or the loss 'sparse_categorical_crossentropy'",
            "GF_ESHAPE")
    labels = y.argmax(axis=1)
    hot = np.zeros_like(y)
    hot[np.arange(len(y)), labels] = 1
    bad = np.flatnonzero((hot != y).any(axis=1))
    if len(bad):
        raise UnsupportedError(f"{where}[{bad[0]}] is {y[bad[0]]}: graft learns from one-hot rows, "
                               "a single 1 and zeros")
    return labels.astype(np.uintp)


def _numbers(y, n_classes, where):
    y = y.reshape(len(y), -1)
    if y.shape[1] != 1:
        raise InvalidError(f"{where} has shape {y.shape}, expected class numbers; for one-hot rows "
                           "use the loss 'categorical_crossentropy'", "GF_ESHAPE")
    y = y[:, 0]
    bad = np.flatnonzero(~((y >= 0) & (y < n_classes) & (y == np.floor(y))))
    if len(bad):
        raise InvalidError(f"{where}[{bad[0]}] is {y[bad[0]]}, expected a class number from 0 to "
                           f"{n_classes - 1}")
    return y.astype(np.uintp)


def _row_weights(given, n):
    if given is None:
        return None
    weights = np.asarray(given)
    if weights.shape not in ((n,), (n, 1)):
        raise InvalidError(f"sample_weight has shape {weights.shape}, expected ({n},): a number "
                           "for each row", "GF_ESHAPE")
    if weights.dtype == object or not np.issubdtype(weights.dtype, np.number):
        raise InvalidError(f"sample_weight has values of type {weights.dtype}, expected numbers")
    weights = np.ascontiguousarray(weights.reshape(n), dtype=np.float32)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise InvalidError(f"sample_weight[{bad[0]}] is {weights[bad[0]]:g}, expected at least 0")
    return weights


def class_weights(given, n_classes):
    """{class: weight} as an array, or None."""
    if given is None:
        return None
    if not isinstance(given, dict):
        given = dict(enumerate(given))
    weights = np.ones(n_classes, np.float32)
    for k, weight in given.items():
        if not 0 <= int(k) < n_classes:
            raise InvalidError(f"class_weight: class {k!r}, expected 0 to {n_classes - 1}")
        weights[int(k)] = weight
    return weights


def weigh_classes(answers, given):
    """class_weight of targets, turned into weights of rows."""
    if given is None:
        return
    if answers.targets.shape[1] != 1:
        raise UnsupportedError(f"class_weight: {answers.targets.shape[1]} answers a row are not "
                               "classes of it; weigh rows with sample_weight")
    weights = class_weights(given, 2)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise InvalidError(f"weight of class {bad[0]} is {weights[bad[0]]:g}, must be at least 0")
    answers.weigh(weights[(answers.targets[:, 0] > 0.5).astype(int)])
