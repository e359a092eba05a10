"""The trainable end of a network: the library's head, filled from and copied back into layers."""
import ctypes

import numpy as np

from . import native, settings
from .errors import CanceledError


class HeadLayer:
    """units, activation (a key of native.ACTIVATION), dropout of the input, name or None."""

    def __init__(self, units, activation, dropout=0.0, name=None):
        self.units, self.activation, self.dropout, self.name = units, activation, dropout, name


class Head:
    def __init__(self, n_features, layers):
        lib = native.lib()
        self.layers = layers
        described = (native.gf_head_layer * len(layers))(
            *[native.gf_head_layer(layer.units, native.ACTIVATION[layer.activation], layer.dropout,
                                   native.text(layer.name)) for layer in layers])
        self.handle = native.Handle(lib.gf_head_free)
        native.call(lib.gf_head_new, n_features, described, len(layers), self.handle.out())
        self.n_features = n_features
        self.n_classes = layers[-1].units

    def initialise(self, seed):
        native.lib().gf_head_initialise(self.handle, seed)

    def _views(self, i):
        lib = native.lib()
        n_inputs = self.n_features if i == 0 else self.layers[i - 1].units
        units = self.layers[i].units
        return (np.ctypeslib.as_array(lib.gf_head_kernel(self.handle, i), (n_inputs, units)),
                np.ctypeslib.as_array(lib.gf_head_bias(self.handle, i), (units,)))

    def get(self, i):
        return [view.copy() for view in self._views(i)]

    def set(self, i, weights):
        for view, value in zip(self._views(i), weights):
            view[...] = value

    def predict(self, features):
        scores = np.empty((len(features), self.n_classes), np.float32)
        native.call(native.lib().gf_head_predict, self.handle, native.floats(features),
                    len(features), native.floats(scores))
        return scores


class FitState:
    """The optimizer's memory between two trainings of one head."""

    def __init__(self):
        lib = native.lib()
        self.handle = native.Handle(lib.gf_fit_state_free)
        native.call(lib.gf_fit_state_new, self.handle.out())


def _fit_data(features, answers, class_weights=None):
    """Borrows the arrays."""
    data = native.gf_fit_data(features=native.floats(features), n=len(features), n_views=0)
    if answers.targets is None:
        data.labels = native.sizes(answers.labels)
    else:
        data.targets = native.floats(answers.targets)
    if answers.weights is not None:
        data.row_weights = native.floats(answers.weights)
    if class_weights is not None:
        data.class_weights = native.floats(class_weights)
    return data


def fit(head, train, val, optimizer, n_epochs, batch_size, state, class_weights, on_epoch,
        shuffle=True):
    """Trains. train, val: (features, Answers) or None. on_epoch(number from 0, logs) returns False
    to stop; what it raises comes out here. The optimizer's learning rate is looked at before every
    epoch."""
    lib = native.lib()
    options = lib.gf_train_options_default()
    options.n_epochs, options.batch_size = n_epochs, batch_size
    options.keeps_order = not shuffle
    options.optimizer = native.OPTIMIZER[optimizer.name]
    options.learning_rate, options.momentum = optimizer.learning_rate, optimizer.momentum
    options.seed, options.n_threads = settings.seed(), settings.threads()
    raised = []
    rate = ctypes.c_double(optimizer.learning_rate)

    @native.EPOCH
    def epoch(_user, at, _n_epochs):
        found = at[0]
        logs = {"loss": found.loss, "accuracy": found.accuracy}
        if val is not None:
            logs.update(val_loss=found.val_loss, val_accuracy=found.val_accuracy)
        try:
            goes_on = on_epoch(found.number - 1, logs) is not False
            rate.value = optimizer.learning_rate
            return goes_on and not interrupts.is_asked
        except BaseException as error:  # it must not pass through C
            raised.append(error)
            return False

    callbacks = native.gf_fit_callbacks(epoch=epoch, state=state.handle.value,
                                        learning_rate=ctypes.pointer(rate))
    data = _fit_data(*train, class_weights)
    val_data = None if val is None else ctypes.byref(_fit_data(*val))
    history = native.Handle(lib.gf_history_free)
    try:
        with native.Interrupts() as interrupts:
            native.call(lib.gf_fit, head.handle, ctypes.byref(data), val_data,
                        ctypes.byref(options), ctypes.byref(callbacks), history.out())
    except CanceledError:  # a callback stopped it, or raised
        if raised:
            raise raised[0] from None


def evaluate(scores, answers):
    """Mean loss, weighed, and accuracy."""
    if answers.targets is not None or answers.weights is not None:
        losses = answers.losses(scores)
        if answers.weights is not None:
            losses = losses * answers.weights
        return float(losses.mean()), answers.accuracy(scores)
    lib = native.lib()
    metrics = native.Handle(lib.gf_metrics_free)
    native.call(lib.gf_metrics_new, native.floats(scores), native.sizes(answers.labels),
                *scores.shape, metrics.out())
    found = ctypes.cast(metrics.value, ctypes.POINTER(native.gf_metrics)).contents
    return found.loss, found.accuracy
