"""What Model.fit, evaluate and predict do."""
import dataclasses
import time

import numpy as np

from .. import answers as A, heads, jobs, trunks
from ..errors import InvalidError, UnsupportedError
from . import callbacks as C, network


def outputs(path, x):
    """A model's output of x."""
    features = path.features(x)
    if not path.dense:
        shape = path.output.shape[1:]
        return features.reshape(len(features), *shape).copy()
    features = np.ascontiguousarray(features.reshape(len(features), -1))
    return filled_head(path, path.dense).predict(features)


def filled_head(path, parts, is_plain=False):
    """The library's head of these Dense layers, with their weights."""
    head = heads.Head(parts[0].layer.n_inputs, [part.describe(is_plain) for part in parts])
    for i, part in enumerate(parts):
        head.set(i, part.layer.get_weights())
    return head


def evaluate(model, x, y, sample_weight=None):
    path = _trained_path(model, "evaluate")
    scores = outputs(path, x)
    answers = A.of(y, len(scores), scores.shape[1], model.loss, sample_weight)
    loss, accuracy = heads.evaluate(scores, answers)
    return [loss, *[accuracy for _ in model.metrics]] if model.metrics else loss


def _trained_path(model, what):
    if model.optimizer is None:
        raise InvalidError(f"{what}: compile the model first: model.compile(optimizer='adam', "
                           "loss='categorical_crossentropy', metrics=['accuracy'])",
                           "GF_EPRECONDITION")
    if len(model._paths) != 1:
        raise UnsupportedError(f"{what}: a model with {len(model._paths)} outputs; graft trains "
                               "one")
    path = model._paths[0]
    if not path.dense:
        raise UnsupportedError(
            f"{what}: the model has no Dense layers of its own; put some on it: "
            "Dense(2, activation='softmax')(model.layers[311].output)")
    _check_end(model, path.dense[-1])
    return path


def _check_end(model, last):
    """Whether the last layer gives what the loss and the metrics are about."""
    name, n, activation = last.layer.name, last.layer.units, last.activation
    if activation not in ("softmax", "sigmoid"):
        raise UnsupportedError(
            f"layer {name}: its activation is {activation}; the last layer of a classifier needs "
            "activation='softmax', or 'sigmoid' for yes or no")
    if (activation == "sigmoid") != (model.loss == A.BINARY):
        ask = (f"'{A.BINARY}'" if activation == "sigmoid"
               else "'categorical_crossentropy' or 'sparse_categorical_crossentropy'")
        raise UnsupportedError(f"layer {name} is a {activation}, the loss {model.loss}: compile it "
                               f"with {ask}, or end the model with another activation")
    if activation == "sigmoid" and n > 1 and set(model.metrics) - {"binary_accuracy"}:
        raise UnsupportedError(f"metric 'accuracy' of the {n} answers of layer {name}: Keras' "
                               "looks for the largest; 'binary_accuracy' looks at each of them")


def _line_to_freeze(model, layer):
    number = model.layers.index(layer)
    return f"model.layers[{number}].trainable = False"


def split_head(model, path):
    """(frozen Dense layers, trained ones behind them); whatever else is trainable is refused."""
    for layer in model.layers:
        if layer.info is not None and layer.count_trainable() > 0:
            raise UnsupportedError(
                f"layer {model.layers.index(layer)}, {layer.name} ({type(layer).__name__}), is "
                "trainable: graft trains the Dense layers that were put on a pretrained network; "
                f"write {_line_to_freeze(model, layer)} (and so for all: for layer in "
                "base.layers: layer.trainable = False) before compile()")
    flags = [bool(part.layer.trainable) for part in path.dense]
    if not any(flags):
        raise InvalidError("no layer is trainable; write "
                           f"model.layers[{model.layers.index(path.dense[-1].layer)}].trainable "
                           "= True for the Dense layers at the end")
    first = flags.index(True)
    for part, flag in zip(path.dense[first:], flags[first:]):
        if not flag:
            raise UnsupportedError(
                f"layer {part.layer.name} is frozen, but stands behind the trainable layer "
                f"{path.dense[first].layer.name}; train it too, or freeze that one")
    for part in path.dense[:first]:
        if part.rate > 0:
            raise UnsupportedError(f"a Dropout stands before the frozen layer {part.layer.name}; "
                                   "it only makes sense before trained ones")
    if path.trailing_dropout is not None:
        raise UnsupportedError(f"layer {path.trailing_dropout.name}: a Dropout after the last "
                               "Dense layer; put it before")
    return path.dense[:first], path.dense[first:]


@dataclasses.dataclass
class FitOptions:
    batch_size: int
    epochs: int
    verbose: int
    callbacks: object
    validation_split: float
    validation_data: object
    class_weight: object
    initial_epoch: int
    shuffle: bool = True
    sample_weight: object = None


def fit(model, x, y, options):
    path = _trained_path(model, "fit")
    frozen, trained = split_head(model, path)
    n_epochs = _check_epochs(options)
    (x, y, weights), val = _divide(model, x, y, options)
    prefix = filled_head(path, frozen, True) if frozen else None

    def features_of(x):
        found = path.features(x, C.features_shown(options.verbose))
        found = np.ascontiguousarray(found.reshape(len(found), -1))
        return found if prefix is None else prefix.predict(found)

    n_classes = trained[-1].layer.units
    features = features_of(x)
    answers = A.of(y, len(features), n_classes, model.loss, weights)
    val_data = None
    if val is not None:
        val_features = features_of(val[0])
        val_data = val_features, A.of(val[1], len(val_features), n_classes, model.loss, val[2],
                                      "validation data's y")
    remember_samples(model, path, x, answers)
    of_classes = None
    if answers.targets is None:
        of_classes = A.class_weights(options.class_weight, n_classes)
    else:
        A.weigh_classes(answers, options.class_weight)
    run = Run(model, path, trained, options, n_epochs)
    return run.train((features, answers), val_data, of_classes)


def _check_epochs(options):
    for name in ("epochs", "batch_size", "initial_epoch"):
        value = getattr(options, name)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise InvalidError(f"fit: {name} is {value!r}, expected a whole number")
    if options.batch_size < 1:
        raise InvalidError(f"fit: batch_size is {options.batch_size}, expected at least 1")
    n_epochs = options.epochs - options.initial_epoch
    if n_epochs < 1:
        raise InvalidError(f"fit: epochs is {options.epochs} and initial_epoch "
                           f"{options.initial_epoch}: nothing to do")
    return n_epochs


def _divide(model, x, y, options):
    """((x, y, weights), the same of the validation or None)."""
    weights = options.sample_weight
    if x is None or y is None:
        raise InvalidError("fit: needs x and y")
    if options.validation_data is not None:
        return (x, y, weights), _validation(model, options.validation_data)
    split = options.validation_split
    if not split:
        return (x, y, weights), None
    if not 0 < split < 1:
        raise InvalidError(f"fit: validation_split is {split!r}, expected 0 <= split < 1")
    at = int(len(x) * (1 - split))
    if at == 0 or at == len(x):
        raise InvalidError(f"fit: validation_split={split} of {len(x)} samples leaves one part "
                           "empty")
    if weights is not None and np.shape(weights)[:1] != (len(x),):
        raise InvalidError(f"sample_weight has shape {np.shape(weights)}, expected ({len(x)},): a "
                           "number for each row", "GF_ESHAPE")
    parts = [None, None] if weights is None else [weights[:at], weights[at:]]
    return (x[:at], y[:at], parts[0]), (x[at:], y[at:], parts[1])


def _validation(model, given):
    if not isinstance(given, (tuple, list)):
        raise InvalidError(f"fit: validation_data is {type(given).__name__}, expected (x, y)")
    if len(given) not in (2, 3):
        raise InvalidError(f"fit: validation_data has {len(given)} parts, expected (x, y) or "
                           "(x, y, sample_weight)")
    x, y, weights = (*given, None)[:3]
    return model._inputs(x), y, weights


def remember_samples(model, path, x, answers):
    """One picture (row) of each of the first classes, for the self-test of a saved model."""
    found = {}
    for k, row in answers.first_rows(3).items():
        one = x[row:row + 1]
        if path.trunk is not None:
            found[k] = np.array(trunks.to_pixels(one, path.trunk.size))
        else:
            found[k] = network.rows(one, path.source.output.shape[1:])
    model._samples = found


class Run:
    """One call of fit."""

    def __init__(self, model, path, trained, options, n_epochs):
        self.model, self.path, self.trained = model, path, trained
        self.options, self.n_epochs = options, n_epochs
        self.head = filled_head(path, trained)
        key = tuple(id(part.layer) for part in trained)
        if model._fit_state is None or model._fit_state[0] != key:
            model._fit_state = key, heads.FitState()
        self.state = model._fit_state[1]
        self.history = C.History()
        self.callbacks = C.CallbackList([*C.as_list(options.callbacks), self.history], model, {
            "epochs": options.epochs, "batch_size": options.batch_size,
            "verbose": options.verbose, "metrics": list(model.metrics)})
        self.versions = None

    def train(self, train, val, weights):
        model, options = self.model, self.options
        n_train = len(train[0])
        self.progress = C.Progress(options, n_train, None if val is None else len(val[0]))
        model.stop_training = False
        self.callbacks.params.update(samples=n_train, do_validation=val is not None)
        self.callbacks.train_begin()
        self._begin_epoch(0)
        self._from_layers()  # what callbacks have made of them
        try:
            heads.fit(self.head, train, val, model.optimizer, self.n_epochs, options.batch_size,
                      self.state, weights, self._end_epoch, options.shuffle)
        except InvalidError:
            model._fit_state = None
            raise
        finally:
            self._to_layers()
        self.callbacks.train_end()
        model.history = self.history
        model._training = {
            "loss": model.loss, "metrics": list(model.metrics),
            "optimizer": model.optimizer.get_config(),
            "batch_size": options.batch_size, "n_train": n_train,
            "n_test": 0 if val is None else len(val[0]), "epochs": len(self.history.epoch)}
        return self.history

    def _begin_epoch(self, number):
        self.started_s = time.monotonic()
        self.progress.begin(self.options.initial_epoch + number)
        self.callbacks.epoch_begin(self.options.initial_epoch + number)

    def _end_epoch(self, number, logs):
        epoch = self.options.initial_epoch + number
        logs = self._named(logs)
        self._to_layers()
        self.progress.end(logs, time.monotonic() - self.started_s)
        self.callbacks.epoch_end(epoch, logs)
        jobs.report_epoch(epoch, logs)
        goes_on = not self.model.stop_training
        if goes_on and number + 1 < self.n_epochs:
            self._begin_epoch(number + 1)
        if [part.layer.version for part in self.trained] != self.versions:
            self._from_layers()  # a callback has changed them
        return goes_on

    def _named(self, logs):
        """Under the names that the metrics were compiled with."""
        found = {"loss": logs["loss"], **{name: logs["accuracy"] for name in self.model.metrics}}
        if "val_loss" in logs:
            found["val_loss"] = logs["val_loss"]
            found.update({f"val_{name}": logs["val_accuracy"] for name in self.model.metrics})
        return found

    def _to_layers(self):
        for i, part in enumerate(self.trained):
            part.layer.set_weights(self.head.get(i))
        self.versions = [part.layer.version for part in self.trained]

    def _from_layers(self):
        for i, part in enumerate(self.trained):
            self.head.set(i, part.layer.get_weights())


