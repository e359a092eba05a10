"""Symbolic tensors and layers: what a network looks like, without running it."""
import re

import numpy as np

from ..errors import InvalidError, UnsupportedError

_counts = {}


def clear_names():
    """New layers are named from _1 again."""
    _counts.clear()


def take_name(stem):
    """dense_1, dense_2, ... as Keras names layers that were given no name."""
    _counts[stem] = _counts.get(stem, 0) + 1
    return f"{stem}_{_counts[stem]}"


def note_name(name):
    """A layer of a loaded network has this name: new ones go on counting behind it."""
    match = re.fullmatch(r"(.+)_(\d+)", name)
    if match:
        stem, number = match[1], int(match[2])
        _counts[stem] = max(_counts.get(stem, 0), number)


def snake_case(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("2_d", "2d")


class Tensor:
    """The output of a layer. shape has None for the batch."""

    def __init__(self, layer, shape):
        self.layer = layer
        self.shape = (None, *shape)
        self.dtype = "float32"
        self.name = f"{layer.name}/output:0"

    def get_shape(self):
        return self.shape

    def __repr__(self):
        return f"<graft.keras Tensor {self.name!r} shape={self.shape}>"


class Layer:
    """A place in a network. Made by the caller, or (with info) a layer of a pretrained trunk."""

    is_made_by_caller = True

    def __init__(self, name=None, trainable=True, **options):
        self._start(options)
        self.name = name if name is not None else take_name(snake_case(type(self).__name__))
        self.is_named = name is not None
        self.trainable = trainable
        self.trunk = self.info = None
        self.inbound = []
        self._output = None
        self._dependents = []

    def _start(self, options):
        shape = options.pop("input_shape", None)
        width = options.pop("input_dim", None)
        batch_shape = options.pop("batch_input_shape", None)
        options.pop("dtype", None)
        if batch_shape is not None:
            shape = batch_shape[1:]
        elif width is not None:
            shape = (width,)
        self.batch_input_shape = None if shape is None else (None, *shape)
        if options:
            raise TypeError(f"{type(self).__name__}: graft has no option "
                            f"{', '.join(sorted(options))}")

    @classmethod
    def of_trunk(cls, trunk, info, inbound):
        layer = cls.__new__(cls)
        layer.name, layer.is_named, layer.trainable = info.name, True, True
        layer.trunk, layer.info = trunk, info
        layer.is_made_by_caller = False
        layer.batch_input_shape = None
        layer._dependents = []
        layer._set_info()
        layer._connect(inbound, info.shape)
        note_name(info.name)
        return layer

    def _set_info(self):
        """What a class knows of itself beyond its shape."""

    def _connect(self, inbound, shape):
        self.inbound = list(inbound)
        self._output = Tensor(self, shape)
        for tensor in inbound:
            tensor.layer._dependents.append(self)

    def __call__(self, inputs, **options):
        options.pop("training", None)
        if options:
            raise TypeError(f"{self.name}: calling a layer takes no {', '.join(options)}")
        inbound = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        for tensor in inbound:
            if not isinstance(tensor, Tensor):
                raise InvalidError(f"layer {self.name} was called with {type(tensor).__name__}, "
                                   "expected the output of a layer or Input()")
        if self.inbound and self.inbound != inbound:
            raise UnsupportedError(f"layer {self.name} is connected already, to "
                                   f"{self.inbound[0].layer.name}: graft's layers are used once; "
                                   f"make another {type(self).__name__}")
        if not self.inbound:
            self._connect(inbound, self.compute_shape([t.shape[1:] for t in inbound]))
        return self._output

    def compute_shape(self, shapes):
        raise UnsupportedError(
            f"{type(self).__name__}: graft adds Dense, Dropout, Activation, Flatten and global "
            "pooling layers to pretrained networks, others only stand in them")

    @property
    def output(self):
        if self._output is None:
            raise AttributeError(f"layer {self.name} is not connected yet: it has no output")
        return self._output

    @property
    def input(self):
        if self._output is None:
            raise AttributeError(f"layer {self.name} is not connected yet: it has no input")
        if not self.inbound:
            return self._output
        return self.inbound[0] if len(self.inbound) == 1 else list(self.inbound)

    @property
    def output_shape(self):
        return self.output.shape

    @property
    def input_shape(self):
        found = self.input
        return [t.shape for t in found] if isinstance(found, list) else found.shape

    @property
    def weights_shape(self):
        return []

    def get_weights(self):
        """Copies, as numpy arrays in Keras' order."""
        return self.info.weights() if self.info is not None else []

    def set_weights(self, weights):
        if len(weights) == 0 and self.count_params() == 0:
            return
        raise UnsupportedError(f"layer {self.name} ({type(self).__name__}): the weights of a "
                               "pretrained network do not change in graft")

    def count_params(self):
        return self.info.n_params if self.info is not None else 0

    def count_trainable(self):
        return self.count_params() if self.trainable else 0

    def get_config(self):
        config = {"name": self.name, "trainable": bool(self.trainable)}
        if self.batch_input_shape is not None:
            config["batch_input_shape"] = self.batch_input_shape
        return config

    def __repr__(self):
        return f"<graft.keras.layers.{type(self).__name__} object at {id(self):#x}>"


def check_weight(layer, value, shape, what):
    value = np.ascontiguousarray(value, dtype=np.float32)
    if value.shape != shape:
        raise InvalidError(f"layer {layer.name}: {what} of shape {value.shape}, expected {shape}",
                           "GF_ESHAPE")
    return value
