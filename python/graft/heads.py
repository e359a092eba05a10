"""The trainable end of a network: the library's head, filled from and copied back into layers."""
import ctypes

import numpy as np

from . import native, settings
from .errors import CanceledError, InvalidError, UnsupportedError


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


def _fit_data(features, labels, class_weights=None):
    data = native.gf_fit_data(features=native.floats(features), labels=native.sizes(labels),
                              n=len(features), n_views=0)
    if class_weights is not None:
        data.class_weights = native.floats(class_weights)
    return data


def fit(head, train, val, optimizer, n_epochs, batch_size, state, class_weights, on_epoch):
    """Trains. train, val: (features, labels) or None. on_epoch(number from 0, logs) returns False
    to stop; what it raises comes out here."""
    lib = native.lib()
    options = lib.gf_train_options_default()
    options.n_epochs, options.batch_size = n_epochs, batch_size
    options.optimizer = native.OPTIMIZER[optimizer.name]
    options.learning_rate, options.momentum = optimizer.learning_rate, optimizer.momentum
    options.seed, options.n_threads = settings.seed(), settings.threads()
    raised = []

    @native.EPOCH
    def epoch(_user, at, _n_epochs):
        found = at[0]
        logs = {"loss": found.loss, "accuracy": found.accuracy}
        if val is not None:
            logs.update(val_loss=found.val_loss, val_accuracy=found.val_accuracy)
        try:
            return on_epoch(found.number - 1, logs) is not False and not interrupts.is_asked
        except BaseException as error:  # it must not pass through C
            raised.append(error)
            return False

    callbacks = native.gf_fit_callbacks(epoch=epoch, state=state.handle.value)
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


def evaluate(scores, labels):
    """Mean cross-entropy and accuracy."""
    lib = native.lib()
    metrics = native.Handle(lib.gf_metrics_free)
    native.call(lib.gf_metrics_new, native.floats(scores), native.sizes(labels), *scores.shape,
                metrics.out())
    found = ctypes.cast(metrics.value, ctypes.POINTER(native.gf_metrics)).contents
    return found.loss, found.accuracy


def labels_of(y, n, n_classes, loss, where="y"):
    """Class numbers of one-hot rows (categorical_crossentropy) or of numbers (sparse_...)."""
    y = np.asarray(y)
    is_sparse = loss == "sparse_categorical_crossentropy"
    if len(y) != n or y.ndim == 0:
        raise InvalidError(f"{where} has {len(y) if y.ndim else 'no'} rows, the inputs have {n}",
                           "GF_ESHAPE")
    if y.dtype == object or not (y.dtype == bool or np.issubdtype(y.dtype, np.number)):
        raise InvalidError(f"{where} has values of type {y.dtype}, expected class numbers; of "
                           "names: np.unique(names, return_inverse=True)[1]")
    if is_sparse:
        return _numbers(y, n_classes, where)
    if y.ndim == 1 or y.shape[1:] != (n_classes,):
        raise InvalidError(
            f"{where} has shape {y.shape}, expected ({n}, {n_classes}) for {loss}; for class "
            "numbers use to_categorical(y) or the loss 'sparse_categorical_crossentropy'",
            "GF_ESHAPE")
    labels = y.argmax(axis=1)
    hot = np.zeros_like(y)
    hot[np.arange(n), labels] = 1
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
