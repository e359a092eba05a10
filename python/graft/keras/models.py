"""Model and Sequential: predict, compile, fit, evaluate, save."""
import json

import numpy as np

from .. import errors, paths
from ..errors import InvalidError, UnsupportedError
from . import engine, layers as L, losses, metrics as metrics_, network, optimizers, training


class Model:
    """A network from inputs to outputs, as keras.models.Model.

    Only Dense layers made here are trained. What lies below runs once for an array, through the
    library's engine, and its features are remembered.
    """

    def __init__(self, inputs=None, outputs=None, name=None, input=None, output=None):
        inputs = input if inputs is None else inputs
        outputs = output if outputs is None else outputs
        self.name = name or engine.take_name("model")
        self.optimizer = self.loss = self.history = None
        self.metrics = []
        self.stop_training = False
        self.classes = None
        self._fit_state = None
        self._samples = {}
        self._training = None
        if inputs is not None or outputs is not None:
            self._set(inputs, outputs)

    def _set(self, inputs, outputs):
        self._is_list = isinstance(outputs, (list, tuple))
        self.outputs = list(outputs) if self._is_list else [outputs]
        self.inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        for tensor in self.inputs + self.outputs:
            if not isinstance(tensor, engine.Tensor):
                raise InvalidError(f"Model(inputs=, outputs=) takes outputs of layers, got "
                                   f"{type(tensor).__name__}")
        self._layers = network.in_keras_order(self.outputs)
        starts = [layer for layer in self._layers if not layer.inbound]
        if len(self.inputs) != 1 or starts != [self.inputs[0].layer]:
            found = ", ".join(layer.name for layer in starts)
            raise InvalidError(f"the outputs are computed from {found}, but the inputs are "
                               f"{', '.join(t.layer.name for t in self.inputs)}")
        self._paths = [network.Path(tensor) for tensor in self.outputs]
        for path in self._paths:
            if path.dense:
                path.initialise()

    # ---- looking -----------------------------------------------------------------------------

    @property
    def layers(self):
        return list(self._layers)

    @property
    def input(self):
        return self.inputs[0]

    @property
    def output(self):
        return self.outputs if self._is_list else self.outputs[0]

    @property
    def input_shape(self):
        return self.input.shape

    @property
    def output_shape(self):
        return [t.shape for t in self.outputs] if self._is_list else self.outputs[0].shape

    @property
    def trainable(self):
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value):
        for layer in self.layers:
            layer.trainable = value

    def get_layer(self, name=None, index=None):
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise errors.InvalidError(f"no layer is called {name!r}; the last is "
                                  f"{self.layers[-1].name!r}", "GF_ENOTFOUND")

    def get_weights(self):
        return [value for layer in self.layers for value in layer.get_weights()]

    def set_weights(self, weights):
        """Of the layers made here; a pretrained network's must be what they are."""
        weights = list(weights)
        if len(weights) != len(self.get_weights()):
            raise InvalidError(f"{len(weights)} arrays of weights, the model has "
                               f"{len(self.get_weights())}", "GF_ESHAPE")
        for layer in self.layers:
            own = [weights.pop(0) for _ in layer.get_weights()]
            if own and layer.info is None:
                layer.set_weights(own)

    def count_params(self):
        return sum(layer.count_params() for layer in self.layers)

    def summary(self, line_length=None, positions=None, print_fn=print):
        from .summary import lines
        for line in lines(self, line_length, positions):
            print_fn(line)

    def get_config(self):
        return {"name": self.name, "layers": [
            {"name": layer.name, "class_name": type(layer).__name__, "config": layer.get_config(),
             "inbound_nodes": [tensor.layer.name for tensor in layer.inbound]}
            for layer in self.layers]}

    def to_json(self, **options):
        config = {"class_name": type(self).__name__, "config": self.get_config(),
                  "backend": "graft"}
        return json.dumps(config, default=list, **options)

    def __call__(self, inputs, training=None):
        """The output, where inputs is what this model begins with, or an Input of that shape."""
        if inputs is self.input:
            return self.output
        if not isinstance(inputs, engine.Tensor) or inputs.shape != self.input.shape:
            raise UnsupportedError(f"{self.name} begins with {self.input.shape}; call it on an "
                                   "Input of that shape")
        raise UnsupportedError(
            f"{self.name} cannot be put on another input: build on its own, "
            "Model(inputs=base.input, outputs=...(base.output))")

    def __repr__(self):
        return f"<graft.keras.models.{type(self).__name__} object at {id(self):#x}>"

    # ---- running -----------------------------------------------------------------------------

    def _inputs(self, x):
        """x, with picture files decoded."""
        if isinstance(x, engine.Tensor):
            raise InvalidError(f"{self.name}: the input is the output of layer {x.layer.name}, "
                               "expected an array; run the cell that makes the array again")
        if isinstance(x, list) and len(x) == 1 and isinstance(x[0], np.ndarray):
            x = x[0]
        trunk = self._paths[0].trunk
        found = None if trunk is None else network.pictures(x, trunk.size)
        return x if found is None else found

    def predict(self, x, batch_size=None, verbose=0, steps=None):
        """Outputs of x: an array of pictures or rows, or picture files (paths, bytes)."""
        x = self._inputs(x)
        found = [training.outputs(path, x) for path in self._paths]
        return found if self._is_list else found[0]

    predict_on_batch = predict

    def predict_classes(self, x, batch_size=None, verbose=0):
        """Numbers of the classes with the largest scores; of a single sigmoid 0 or 1, (N, 1)."""
        scores = self.predict(x)
        if scores.shape[-1] == 1:
            return (scores > 0.5).astype("int32")
        return scores.argmax(axis=-1)

    def compile(self, optimizer="rmsprop", loss=None, metrics=None, **options):
        _refuse(options, "compile")
        self.optimizer = optimizers.get(optimizer)
        self.loss = losses.get(loss)
        self.metrics = metrics_.get(metrics, self.loss)
        self._fit_state = None

    @property
    def metrics_names(self):
        return ["loss", *self.metrics]

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose=1, callbacks=None,
            validation_split=0.0, validation_data=None, shuffle=True, class_weight=None,
            sample_weight=None, initial_epoch=0, nb_epoch=None, **options):
        """Trains the Dense layers at the end. Returns the History."""
        _refuse(options, "fit")
        if shuffle not in (True, False):
            raise UnsupportedError(f"fit: shuffle={shuffle!r}; True is a new order for every "
                                   "epoch, False the order of x")
        if verbose not in (0, 1, 2, "auto"):
            raise InvalidError(f"fit: verbose is {verbose!r}, expected 0 (nothing), 1 (a bar an "
                               "epoch) or 2 (a line an epoch)")
        return training.fit(self, self._inputs(x), y, training.FitOptions(
            batch_size=32 if batch_size is None else batch_size,
            epochs=nb_epoch if nb_epoch is not None else epochs,
            verbose=1 if verbose == "auto" else int(verbose), callbacks=callbacks,
            validation_split=validation_split, validation_data=validation_data,
            class_weight=class_weight, initial_epoch=initial_epoch, shuffle=bool(shuffle),
            sample_weight=sample_weight))

    def evaluate(self, x=None, y=None, batch_size=None, verbose=0, sample_weight=None,
                 callbacks=None, return_dict=False, **options):
        """The loss, or [loss, metric...] where metrics were compiled; return_dict: by names."""
        _refuse(options, "evaluate")
        found = training.evaluate(self, self._inputs(x), y, sample_weight)
        if return_dict:
            return dict(zip(self.metrics_names, found if self.metrics else [found]))
        return found

    def save(self, path, overwrite=True, include_optimizer=True, classes=None, bundle=False):
        """Writes a graft model: `graft predict` and `graft serve` take it as it is. A name that
        ends in .keras, .h5 or .hdf5 gets Keras' own format.

        path     a file; one that ends in a slash is a folder, for model.safetensors
        classes  names, in the order of the outputs (else model.classes, else '0', '1', ...)
        bundle   with the pretrained network inside; always where the home does not have it
        """
        from . import saving
        saving.save(self, path, overwrite, classes, bundle)

    def export(self, path, format="onnx", quantize="none", head_only=False, with_decoder=False):
        """As graft.export()."""
        from .. import exporting
        exporting.export(self, path, format, quantize, head_only, with_decoder)

    def save_weights(self, path, overwrite=True):
        from . import saving
        saving.save_weights(self, path, overwrite)

    def load_weights(self, path):
        from . import saving
        saving.load_weights(self, path)


# Options of Keras that change nothing in what comes out here, and what to do instead of others.
_WITHOUT_EFFECT = ("validation_batch_size", "max_queue_size", "workers", "use_multiprocessing",
                   "jit_compile", "steps_per_execution", "auto_scale_loss")
_INSTEAD = {
    "steps_per_epoch": "an epoch is all rows of x; give fewer rows",
    "validation_steps": "all rows of validation_data are looked at; give fewer rows",
    "validation_freq": "validation data are looked at after every epoch",
    "weighted_metrics": "metrics are means over all rows; the loss is weighed",
    "loss_weights": "there is one loss; sample_weight weighs rows",
    "steps": "all rows of x are looked at; give fewer rows",
}


def _refuse(options, what):
    for name, value in options.items():
        if name in _WITHOUT_EFFECT or value is None or value is False or value == 1:
            continue
        more = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise UnsupportedError(f"{what}: graft has no option {name}{more}")


class Sequential(Model):
    """Layers one after another."""

    def __init__(self, layers=None, name=None):
        super().__init__(name=name or engine.take_name("sequential"))
        self._stack, self._layers = [], []
        self._base = None
        self.outputs = self.inputs = []
        self._paths = []
        self._is_list = False
        for layer in layers or []:
            self.add(layer)

    @property
    def layers(self):
        if not self.outputs:
            return list(self._stack)
        return [layer for layer in self._layers
                if layer.info is not None or not isinstance(layer, L.InputLayer)]

    def add(self, layer):
        if isinstance(layer, Model):
            if self._stack or self._base is not None:
                raise UnsupportedError("Sequential: a model can only be the first of its layers")
            self._base = layer
            self._build_from(layer.output, layer.input)
            return
        if isinstance(layer, engine.Tensor) and isinstance(layer.layer, L.InputLayer):
            layer = layer.layer  # Input(shape=...)
        if not isinstance(layer, engine.Layer):
            raise InvalidError(f"Sequential.add takes a layer, got {type(layer).__name__}")
        self._stack.append(layer)
        if self.outputs:
            self._build_from(layer(self.outputs[0]), self.inputs[0])
        elif isinstance(layer, L.InputLayer):
            self._build_from(layer.output, layer.output)
        elif layer.batch_input_shape is not None:
            self._begin(layer.batch_input_shape[1:])

    def pop(self):
        """Takes the last layer away."""
        if not self._stack:
            raise InvalidError("Sequential.pop: there is no layer to take away")
        layer = self._stack.pop()
        if layer.inbound:
            before = layer.inbound[0]
            before.layer._dependents.remove(layer)
            layer.inbound, layer._output = [], None
            self._build_from(before, self.inputs[0])

    def _begin(self, shape):
        start = L.Input(shape=shape)
        tensor = start
        for layer in self._stack:
            tensor = layer(tensor)
        self._build_from(tensor, start)

    def _build_from(self, output, start):
        self._set(start, output)

    def build(self, input_shape):
        if not self.outputs:
            self._begin(tuple(input_shape)[1:])

    def _inputs(self, x):
        if not self.outputs:
            if not self._stack:
                raise InvalidError("Sequential: no layers yet; add(Dense(...))")
            self.build(np.shape(x))
        return super()._inputs(x)


def load_model(path, compile=True, custom_objects=None):
    """A model file of graft, or of Keras (.keras, .h5), as a Model: predict, look at its layers,
    train on."""
    from . import saving
    return saving.load(paths.resolve(path))


__all__ = ["Model", "Sequential", "load_model"]
