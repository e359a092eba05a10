"""Networks as this Keras (2.15 or 3) saves them, with what it says about them, for check_keras_v3_import.py.

usage: python3 make_keras_archives.py OUT PIXELS.npz
Prints the version. Writes for each network NAME: NAME.keras, NAME.json (layers), NAME.npz (weights in order, and "feature/LAYER": what the
layer, pooled, says to the pixels of its size); of Inception-v3 also NAME.weights.h5.
"""
import json
import pathlib
import sys

import keras
import numpy as np

DRAWS = {"gamma": (0.8, 1.2), "moving_variance": (0.5, 1.5), "beta": (0.0, 0.5), "moving_mean": (-0.2, 0.2), "bias": (-0.2, 0.2)}
APPLICATIONS = keras.applications
NETWORKS = {
    "inception_v3": (lambda: APPLICATIONS.InceptionV3(weights=None), ("avg_pool", "mixed10", "mixed3")),
    "inception_v3_notop": (lambda: APPLICATIONS.InceptionV3(weights=None, include_top=False, input_shape=(299, 299, 3)), ("mixed8",)),
    "mobilenet_v2": (lambda: APPLICATIONS.MobileNetV2(weights=None), ("block_6_expand_relu",)),
    "chain": (lambda: keras.Sequential([keras.layers.Input((64, 64, 3)), keras.layers.Conv2D(8, 3, activation="relu"),
                                        keras.layers.MaxPooling2D(), keras.layers.Conv2D(8, 3, strides=2, padding="same"),
                                        keras.layers.BatchNormalization(), keras.layers.Activation("relu"),
                                        keras.layers.Flatten(name="flat"), keras.layers.Dense(5), keras.layers.Softmax()]), ("flat",)),
}


def kind(variable):
    return variable.name.split("/")[-1].split(":")[0]


def randomise(model):
    """Biases and moving statistics, too, so that an exchange of two shows; values stay near 1 through all the layers."""
    rng = np.random.default_rng(7)
    for layer in model.layers:
        layer.set_weights([rng.uniform(*DRAWS[kind(one)], one.shape).astype(np.float32) if kind(one) in DRAWS
                           else (rng.standard_normal(one.shape) * np.sqrt(2 / np.prod(one.shape[:-1]))).astype(np.float32)
                           for one in layer.weights])
    return model


def layer_of(tensor):
    history = tensor._keras_history
    return getattr(history, "operation", None) or history.layer


def listing(model):
    """Class, output shape, number of parameters, inputs: of each layer behind the input."""
    names = [layer_of(model.inputs[0]).name, *(layer.name for layer in model.layers if layer is not layer_of(model.inputs[0]))]
    for layer in model.layers:
        if layer is layer_of(model.inputs[0]):
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        yield [type(layer).__name__, "x".join(map(str, layer.output.shape[1:])), str(layer.count_params()),
               ",".join(str(names.index(layer_of(one).name)) for one in inputs)]


def feature(model, layer, pixels):
    output = model.get_layer(layer).output
    pooled = output if len(output.shape) == 2 else keras.layers.GlobalAveragePooling2D()(output)
    return np.asarray(keras.Model(model.inputs[0], pooled).predict(pixels, verbose=0))


def main():
    out, pixels = pathlib.Path(sys.argv[1]), np.load(sys.argv[2])
    for name, (make, cuts) in NETWORKS.items():
        model = randomise(make())
        # Trained a little, so that optimizer and metrics are in the file, too.
        model.compile("adam", "categorical_crossentropy" if len(model.outputs[0].shape) == 2 else "mse", metrics=["accuracy"])
        if name == "chain":
            model.fit(pixels["64"], np.eye(5, dtype=np.float32)[np.arange(len(pixels["64"])) % 5], verbose=0)
        model.save(out / f"{name}.keras")
        if name.startswith("inception_v3"):
            model.save_weights(out / f"{name}.weights.h5")
        (out / f"{name}.json").write_text(json.dumps({"layers": list(listing(model)), "cuts": cuts}))
        np.savez(out / f"{name}.npz", **{f"weight/{i}": one for i, one in enumerate(model.get_weights())},
                 **{f"feature/{cut}": feature(model, cut, pixels[str(model.inputs[0].shape[1])]) for cut in cuts})
    print(keras.__version__)


if __name__ == "__main__":
    sys.exit(main())
