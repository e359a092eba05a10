"""Layers. Dense, Dropout, Activation, Flatten and the global pooling layers are made and put on
pretrained networks; the others are what those networks consist of."""
import numpy as np

from ..errors import InvalidError, UnsupportedError
from .engine import Layer, Tensor, check_weight

ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "softmax")


def _activation(value, layer):
    name = "linear" if value is None else getattr(value, "__name__", value)
    if name not in ACTIVATIONS:
        raise UnsupportedError(f"{layer}: activation {name!r}, graft has "
                               f"{', '.join(ACTIVATIONS)}")
    return name


class InputLayer(Layer):
    def __init__(self, input_shape=None, batch_input_shape=None, name=None, dtype=None, **options):
        super().__init__(name=name or None, batch_input_shape=batch_input_shape,
                         input_shape=input_shape, **options)
        if self.batch_input_shape is None:
            raise InvalidError("InputLayer needs input_shape=(...)")
        self._connect([], self.batch_input_shape[1:])

    def _set_info(self):
        self.batch_input_shape = (None, *self.info.shape)


def Input(shape=None, batch_shape=None, name=None, dtype=None, tensor=None):
    """The beginning of a network: shape without the batch, (4,) or (299, 299, 3)."""
    if tensor is not None:
        return tensor
    if batch_shape is not None:
        shape = batch_shape[1:]
    if shape is None:
        raise InvalidError("Input needs shape=(...)")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if name is None:
        from .engine import take_name
        name = take_name("input")
    layer = InputLayer(input_shape=shape, name=name)
    return layer.output


class Dense(Layer):
    """activation(x kernel + bias); activation None ('linear'), 'relu', 'tanh', 'sigmoid' or
    'softmax'."""

    def __init__(self, units=None, activation=None, use_bias=True,
                 kernel_initializer="glorot_uniform", bias_initializer="zeros", output_dim=None,
                 **options):
        name = options.get("name") or "Dense"
        units = output_dim if units is None else units
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
            raise InvalidError(f"{name}: units is {units!r}, expected a whole number of at least 1")
        if not use_bias:
            raise UnsupportedError(f"{name}: graft's Dense layers have a bias (use_bias=True)")
        _only(name, "kernel_initializer", kernel_initializer, "glorot_uniform", "GlorotUniform")
        _only(name, "bias_initializer", bias_initializer, "zeros", "Zeros")
        for option in ("kernel_regularizer", "bias_regularizer", "activity_regularizer",
                       "kernel_constraint", "bias_constraint"):
            _only(name, option, options.pop(option, None), None)
        super().__init__(**options)
        self.units = int(units)
        self.activation = _activation(activation, name)
        self.use_bias = True
        self._weights = None
        self.version = 0

    def _set_info(self):
        self.units = self.info.shape[-1]
        self.activation = None  # the library's own business
        self.use_bias = True

    def compute_shape(self, shapes):
        if len(shapes[0]) != 1:
            raise InvalidError(
                f"layer {self.name}: its input has shape {(None, *shapes[0])}; put "
                "GlobalAveragePooling2D() or Flatten() between", "GF_ESHAPE")
        return (self.units,)

    @property
    def n_inputs(self):
        return self.inbound[0].shape[-1]

    @property
    def has_weights(self):
        return self._weights is not None

    def get_weights(self):
        if self.info is not None:
            return self.info.weights()
        return [] if self._weights is None else [value.copy() for value in self._weights]

    def set_weights(self, weights):
        if self.info is not None:
            super().set_weights(weights)
        if len(weights) != 2:
            raise InvalidError(f"layer {self.name}: {len(weights)} arrays, expected kernel and "
                               "bias")
        self._weights = [check_weight(self, weights[0], (self.n_inputs, self.units), "kernel"),
                         check_weight(self, weights[1], (self.units,), "bias")]
        self.version += 1

    def count_params(self):
        return (self.n_inputs + 1) * self.units

    def get_config(self):
        return {**super().get_config(), "units": self.units, "activation": self.activation,
                "use_bias": True}


def _only(layer, option, value, *allowed):
    name = value if value is None or isinstance(value, str) else type(value).__name__
    if name not in allowed:
        raise UnsupportedError(f"{layer}: {option} {name!r} is not something graft does (only "
                               f"{allowed[0]!r})")


class Dropout(Layer):
    def __init__(self, rate=None, p=None, **options):
        rate = p if rate is None else rate
        name = options.get("name") or "Dropout"
        if not isinstance(rate, (int, float, np.floating)) or not 0 <= rate < 1:
            raise InvalidError(f"{name}: rate is {rate!r}, expected 0 <= rate < 1")
        for option in ("noise_shape", "seed"):
            _only(name, option, options.pop(option, None), None)
        super().__init__(**options)
        self.rate = float(rate)

    def _set_info(self):
        self.rate = None

    def compute_shape(self, shapes):
        return shapes[0]

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


class Activation(Layer):
    def __init__(self, activation, **options):
        self.activation = _activation(activation, options.get("name") or "Activation")
        super().__init__(**options)

    def _set_info(self):
        self.activation = None

    def compute_shape(self, shapes):
        return shapes[0]

    def get_config(self):
        return {**super().get_config(), "activation": self.activation}


class Flatten(Layer):
    def compute_shape(self, shapes):
        return (int(np.prod(shapes[0])),)


class _GlobalPooling(Layer):
    def compute_shape(self, shapes):
        if len(shapes[0]) != 3:
            raise InvalidError(f"layer {self.name}: its input has shape {(None, *shapes[0])}, "
                               "expected (None, height, width, channels)", "GF_ESHAPE")
        return (shapes[0][2],)


class GlobalAveragePooling2D(_GlobalPooling):
    pass


class GlobalMaxPooling2D(_GlobalPooling):
    pass


class Conv2D(Layer):
    pass


class DepthwiseConv2D(Layer):
    pass


class BatchNormalization(Layer):
    def count_trainable(self):
        """Moving averages never count."""
        n_channels = self.info.shape[-1]
        return self.count_params() - 2 * n_channels if self.trainable else 0


class MaxPooling2D(Layer):
    pass


class AveragePooling2D(Layer):
    pass


class Concatenate(Layer):
    pass


class Add(Layer):
    pass


class ReLU(Layer):
    pass


class ZeroPadding2D(Layer):
    pass


class Standardization(Layer):
    """(x - mean) / scale of each column: the first layer of a model that `graft train` made of a
    table."""

    def __init__(self, means, scales, **options):
        super().__init__(**options)
        self.means = np.ascontiguousarray(means, dtype=np.float32)
        self.scales = np.ascontiguousarray(scales, dtype=np.float32)

    def compute_shape(self, shapes):
        return shapes[0]

    def get_config(self):
        return {**super().get_config(), "means": self.means.tolist(),
                "scales": self.scales.tolist()}


_CLASSES = {cls.__name__: cls for cls in (
    InputLayer, Dense, Dropout, Activation, Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D,
    Conv2D, DepthwiseConv2D, BatchNormalization, MaxPooling2D, AveragePooling2D, Concatenate, Add,
    ReLU, ZeroPadding2D)}
_CLASSES["Input"] = InputLayer


def class_of(name):
    """The class of a trunk's layer."""
    return _CLASSES.get(name) or type(name, (Layer,), {})


__all__ = [*sorted(_CLASSES), "Layer", "Standardization", "Tensor"]
