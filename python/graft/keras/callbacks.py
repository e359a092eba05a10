"""Callbacks. They are called once an epoch: graft runs an epoch in one call."""
import csv
import inspect
import os
import sys
import warnings

import numpy as np

from .. import errors, events, paths
from ..errors import InvalidError, UnsupportedError

_BATCH = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class Callback:
    """To be extended: on_train_begin, on_epoch_begin, on_epoch_end, on_train_end."""

    def __init__(self):
        self.model = None
        self.params = {}

    def set_params(self, params):
        self.params = params

    def set_model(self, model):
        self.model = model

    def on_train_begin(self, logs=None):
        """Before the first epoch."""

    def on_train_end(self, logs=None):
        """After the last epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before an epoch, from 0."""

    def on_epoch_end(self, epoch, logs=None):
        """After an epoch; self.model.stop_training = True ends the training."""


class Record(dict):
    """History's dict: 'acc' is found under 'accuracy', 'lr' under 'learning_rate', and the other
    way round."""

    def __missing__(self, key):
        other = {"acc": "accuracy", "accuracy": "acc", "val_acc": "val_accuracy",
                 "val_accuracy": "val_acc", "lr": "learning_rate", "learning_rate": "lr"}.get(key)
        if other in self:
            return self[other]
        raise KeyError(key)


class History(Callback):
    """What fit() returns: .epoch and .history, a list a name."""

    def on_train_begin(self, logs=None):
        self.epoch, self.history = [], Record()

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class _Watching(Callback):
    """Looks at one of the logs, the smaller or the larger the better."""

    def __init__(self, monitor, mode):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise InvalidError(f"{type(self).__name__}: mode is {mode!r}, expected auto, min or "
                               "max")
        self.monitor = monitor
        self.is_max = mode == "max" or (mode == "auto" and "acc" in monitor)
        self.best = -np.inf if self.is_max else np.inf

    def _value(self, logs):
        value = Record(logs or {}).get(self.monitor)
        if value is None:
            try:
                value = Record(logs or {})[self.monitor]
            except KeyError:
                found = ", ".join(logs or {})
                raise InvalidError(f"{type(self).__name__}: monitor is {self.monitor!r}, the epoch "
                                   f"has {found}") from None
        return value

    def _is_better(self, value, least=0.0):
        return value - least > self.best if self.is_max else value + least < self.best


class EarlyStopping(_Watching):
    """Ends the training after patience epochs without an improvement. restore_best_weights: the
    model ends with the weights of its best epoch, whether it was stopped or not, as in Keras 3."""

    def __init__(self, monitor="val_loss", min_delta=0, patience=0, verbose=0, mode="auto",
                 baseline=None, restore_best_weights=False, start_from_epoch=0):
        super().__init__(monitor, mode)
        self.min_delta, self.patience, self.verbose = abs(min_delta), patience, verbose
        self.baseline, self.restore_best_weights = baseline, restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.stopped_epoch = self.best_epoch = 0

    def on_train_begin(self, logs=None):
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = -np.inf if self.is_max else np.inf
        self.best_weights = None

    def on_epoch_end(self, epoch, logs=None):
        value = self._value(logs)
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = own_weights(self.model)
        self.wait += 1
        if self._is_better(value, self.min_delta):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = own_weights(self.model)
            if self._beats_baseline(value):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _beats_baseline(self, value):
        if self.baseline is None:
            return True
        sign = 1 if self.is_max else -1
        return sign * (value - self.baseline) > self.min_delta

    def on_train_end(self, logs=None):
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                print("Restoring model weights from the end of the best epoch: "
                      f"{self.best_epoch + 1}.")
            restore(self.best_weights)


def own_weights(model):
    """Of the layers made by the caller; a pretrained network's do not change."""
    return [(layer, layer.get_weights()) for layer in model.layers
            if layer.info is None and layer.count_params() > 0]


def restore(weights):
    for layer, values in weights:
        layer.set_weights(values)


def _with_rate(model, logs):
    """As Keras does: History and those behind find the rate of the epoch in its logs."""
    if logs is not None:
        logs["learning_rate"] = model.optimizer.learning_rate


class LearningRateScheduler(Callback):
    """schedule(epoch, rate), or schedule(epoch), gives the rate of the epoch that begins."""

    def __init__(self, schedule, verbose=0):
        super().__init__()
        if not callable(schedule):
            raise InvalidError(f"LearningRateScheduler: schedule is {schedule!r}, expected a "
                               "function of the epoch and the rate")
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch, logs=None):
        before = self.model.optimizer.learning_rate
        n_taken = _n_positional(self.schedule)
        rate = self.schedule(epoch, before) if n_taken > 1 else self.schedule(epoch)
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)):
            raise InvalidError(f"LearningRateScheduler: schedule gave {rate!r} for epoch {epoch}, "
                               "expected a number")
        self.model.optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch, logs=None):
        _with_rate(self.model, logs)


def _n_positional(function):
    """How many arguments it takes by place; 2 where it does not tell."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    if any(one.kind is one.VAR_POSITIONAL for one in found):
        return 2
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in found)


class ReduceLROnPlateau(_Watching):
    """Multiplies the rate with factor after patience epochs without an improvement."""

    def __init__(self, monitor="val_loss", factor=0.1, patience=10, verbose=0, mode="auto",
                 min_delta=1e-4, cooldown=0, min_lr=0.0, epsilon=None):
        super().__init__(monitor, mode)
        if not 0 < factor < 1:
            raise InvalidError(f"ReduceLROnPlateau: factor is {factor!r}, expected above 0 and "
                               "below 1")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.min_delta = min_delta if epsilon is None else epsilon
        self.cooldown, self.min_lr = cooldown, min_lr

    def on_train_begin(self, logs=None):
        self.best = -np.inf if self.is_max else np.inf
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch, logs=None):
        _with_rate(self.model, logs)
        value = self._value(logs)
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_better(value, self.min_delta):
            self.best, self.wait = value, 0
            return
        if self.cooldown_counter > 0:
            return
        self.wait += 1
        before = self.model.optimizer.learning_rate
        if self.wait < self.patience or before <= self.min_lr:
            return
        self.model.optimizer.learning_rate = max(before * self.factor, self.min_lr)
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to "
                  f"{self.model.optimizer.learning_rate}.")
        self.cooldown_counter, self.wait = self.cooldown, 0


class ModelCheckpoint(_Watching):
    """Saves the model (or with save_weights_only the new layers' weights) after epochs."""

    def __init__(self, filepath, monitor="val_loss", verbose=0, save_best_only=False,
                 save_weights_only=False, mode="auto", period=1, save_freq="epoch"):
        super().__init__(monitor, mode)
        if save_freq != "epoch":
            raise UnsupportedError(f"ModelCheckpoint: save_freq={save_freq!r}; graft saves at the "
                                   "end of epochs")
        self.filepath, self.verbose, self.period = os.fspath(filepath), verbose, period
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self._since = 0

    def on_epoch_end(self, epoch, logs=None):
        self._since += 1
        if self._since < self.period:
            return
        self._since = 0
        if self.save_best_only:
            value = self._value(logs)
            if not self._is_better(value):
                return
            self.best = value
        path = self._path(epoch, logs)
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: saving model to {path}")
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)

    def _path(self, epoch, logs):
        values = Record({**(logs or {}), "epoch": epoch + 1})
        try:
            return self.filepath.format_map(values)
        except (KeyError, ValueError, IndexError) as error:
            raise InvalidError(f"ModelCheckpoint: filepath is {self.filepath!r}: {error}; the "
                               f"epoch has {', '.join(values)}") from None


class LambdaCallback(Callback):
    def __init__(self, on_epoch_begin=None, on_epoch_end=None, on_batch_begin=None,
                 on_batch_end=None, on_train_begin=None, on_train_end=None):
        super().__init__()
        if on_batch_begin is not None or on_batch_end is not None:
            raise UnsupportedError("LambdaCallback: graft runs an epoch in one call; there is no "
                                   "on_batch_begin and on_batch_end")
        for name, function in (("on_epoch_begin", on_epoch_begin), ("on_epoch_end", on_epoch_end),
                               ("on_train_begin", on_train_begin), ("on_train_end", on_train_end)):
            if function is not None:
                setattr(self, name, function)


class CSVLogger(Callback):
    """A line an epoch."""

    def __init__(self, filename, separator=",", append=False):
        super().__init__()
        self.filename, self.separator, self.append = filename, separator, append
        self._file = self._writer = None

    def on_train_begin(self, logs=None):
        path = paths.prepare_parent(self.filename)
        self._has_header = self.append and os.path.exists(path) and os.path.getsize(path) > 0
        with errors.at(path):
            self._file = open(path, "a" if self.append else "w", newline="", encoding="utf-8")
        self._writer = None

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch, **(logs or {})}
        with errors.at(self.filename):
            if self._writer is None:
                self._writer = csv.DictWriter(self._file, list(row), delimiter=self.separator,
                                              lineterminator="\n", extrasaction="ignore")
                if not self._has_header:
                    self._writer.writeheader()
            self._writer.writerow(row)
            self._file.flush()

    def on_train_end(self, logs=None):
        self._file.close()


class TensorBoard(Callback):
    """Event files that TensorBoard opens: LOG_DIR/train and LOG_DIR/validation, as Keras 2 does."""

    def __init__(self, log_dir="./logs", histogram_freq=0, batch_size=None, write_graph=True,
                 write_grads=False, write_images=False, update_freq="epoch", **options):
        super().__init__()
        if histogram_freq or write_images or write_grads:
            raise UnsupportedError("TensorBoard: graft writes scalars; histogram_freq, write_grads "
                                   "and write_images are not there")
        if update_freq != "epoch":
            raise UnsupportedError(f"TensorBoard: update_freq={update_freq!r}; graft writes once "
                                   "an epoch")
        self.log_dir = log_dir
        self._writers = {}

    def _writer(self, part):
        if part not in self._writers:
            folder = os.path.join(paths.resolve(self.log_dir), part)
            self._writers[part] = events.EventWriter(folder)
        return self._writers[part]

    def on_epoch_end(self, epoch, logs=None):
        with errors.at(self.log_dir):
            self._write(epoch, logs or {})

    def _write(self, epoch, logs):
        for name, value in logs.items():
            is_val = name.startswith("val_")
            tag = "epoch_" + (name[4:] if is_val else name)
            self._writer("validation" if is_val else "train").scalar(tag, value, epoch)
        rate = self.model.optimizer.learning_rate
        self._writer("train").scalar("epoch_learning_rate", rate, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs=None):
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def as_list(callbacks):
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


class CallbackList:
    def __init__(self, callbacks, model, params):
        self.callbacks, self.params = callbacks, params
        for callback in callbacks:
            if not hasattr(callback, "on_epoch_end"):
                raise InvalidError(f"fit: callbacks has {callback!r}, expected a Callback")
            named = [name for name in _BATCH if hasattr(callback, name)]
            if named:
                warnings.warn(f"{type(callback).__name__}.{named[0]} is not called: graft runs an "
                              "epoch in one call", stacklevel=5)
            callback.set_model(model)
            callback.set_params(params)

    def _call(self, name, *arguments):
        for callback in self.callbacks:
            getattr(callback, name)(*arguments)

    def train_begin(self):
        self._call("on_train_begin", {})

    def train_end(self):
        self._call("on_train_end", {})

    def epoch_begin(self, epoch):
        self._call("on_epoch_begin", epoch, {})

    def epoch_end(self, epoch, logs):
        self._call("on_epoch_end", epoch, logs)


def features_shown(verbose):
    """Shows on a terminal how far the network is, for extraction's progress; None: nothing."""
    if verbose != 1 or not sys.stdout.isatty():
        return None

    def show(stage, n_done, n_total):
        end = "\r\033[K" if n_done == n_total else ""
        sys.stdout.write(f"\r{stage}: {n_done}/{n_total}{end}")
        sys.stdout.flush()
    return show


class Progress:
    """What fit prints: verbose 1 a bar an epoch, 2 a line an epoch, 0 nothing."""

    def __init__(self, options, n_train, n_val):
        self.verbose, self.epochs, self.n_train = options.verbose, options.epochs, n_train
        if self.verbose:
            more = "" if n_val is None else f", validate on {n_val} samples"
            self._print(f"Train on {n_train} samples{more}")

    def begin(self, epoch):
        if self.verbose:
            self._print(f"Epoch {epoch + 1}/{self.epochs}")

    def end(self, logs, seconds):
        if not self.verbose:
            return
        values = "".join(f" - {name}: {value:.4f}" for name, value in logs.items())
        took = f"{seconds:.0f}s" if seconds >= 1 else f"{seconds * 1000:.0f}ms"
        bar = f"{self.n_train}/{self.n_train} [{'=' * 30}]" if self.verbose == 1 else ""
        self._print(f"{bar} - {took}{values}")

    @staticmethod
    def _print(text):
        print(text)
        sys.stdout.flush()
