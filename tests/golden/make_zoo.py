"""Makes tests/golden/zoo: what Keras says about Inception-v3, and small checkpoints in every form that graft imports.

    python3.11 -m venv V && V/bin/pip install 'tensorflow-cpu==2.15.*' && V/bin/python tests/golden/make_zoo.py

Weights of the small checkpoints follow one rule that the tests repeat, so that no second copy is needed: value k of
weight w (counted over the model, in Keras' order) is w + k / 1024. Those of a quantised file are what its own bytes say.
"""
import json
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers

OUT = pathlib.Path(__file__).parent / "zoo"
CUTS = ["mixed0", "mixed4", "mixed9_0", "concatenate_1", "conv2d_42", "activation_20"]


def write_listing():
    """index, name, class, output shape, parameters, inputs of Keras' own Inception-v3; and the layers of some cuts."""
    model = keras.applications.InceptionV3(weights=None, classes=1000)
    index = {layer.name: i for i, layer in enumerate(model.layers)}
    with open(OUT / "inception_v3_layers.tsv", "w") as file:
        for i, layer in enumerate(model.layers):
            shape = layer.output_shape[0] if isinstance(layer.output_shape, list) else layer.output_shape
            inputs = layer.input if isinstance(layer.input, list) else [layer.input]
            names = [t._keras_history.layer.name for t in inputs if t._keras_history.layer is not layer]
            row = [i, layer.name, type(layer).__name__, "x".join(map(str, shape[1:])), layer.count_params(),
                   ",".join(str(index[name]) for name in names) or "-"]
            print(*row, sep="\t", file=file)
    with open(OUT / "inception_v3_cuts.tsv", "w") as file:
        for name in CUTS:
            cut = keras.Model(model.input, model.get_layer(name).output)
            print(name, *[index[layer.name] for layer in cut.layers], sep="\t", file=file)
    return model


def write_filled(model, path, classes):
    """Inception-v3 as Keras' save_weights writes it, each weight filled with its number / 1000 (variances: + 1), by HDF5's fill value:
    nothing is stored, so 95 MB of weights are a file of a few hundred KiB."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = keras.__version__.encode()
        chosen = [layer for layer in model.layers if classes or layer.name not in ("avg_pool", "predictions")]
        file.attrs["layer_names"] = [layer.name.encode() for layer in chosen]
        number = 0
        for layer in chosen:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [w.name.encode() for w in layer.weights]
            for weight in layer.weights:
                value = number / 1000 + ("variance" in weight.name)
                group.create_dataset(weight.name, shape=weight.shape, dtype="float32", fillvalue=value)
                number += 1


def small_model():
    """One layer of every class that has weights, and most of the others."""
    keras.backend.clear_session()
    x = start = layers.Input((16, 16, 3), name="picture")
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(x)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(epsilon=1e-3, name="norm")(x)
    x = layers.ReLU(6.0, name="relu6")(x)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.BatchNormalization(scale=False, name="norm_depthwise")(y)
    y = layers.Add(name="sum")([x, y])
    z = layers.AveragePooling2D(3, strides=1, padding="same", name="pool")(x)
    x = layers.Concatenate(name="mixed")([y, z])
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(0.5, name="drop")(x)
    x = layers.Dense(3, activation="softmax", name="predictions")(x)
    model = keras.Model(start, x, name="small")
    model.set_weights([number + np.arange(w.size, dtype=np.float32).reshape(w.shape) / 1024
                       for number, w in enumerate(model.get_weights())])
    return model


def quantise(values, dtype):
    """As the TensorFlow.js converter does: the stored value q stands for q * scale + min."""
    if dtype == "float16":
        return values.astype(np.float16), {"dtype": "float16"}
    top = np.iinfo(dtype).max
    low, high = float(values.min()), float(values.max())
    scale = (high - low) / top or 1.0
    return np.round((values - low) / scale).astype(dtype), {"dtype": dtype, "min": low, "scale": scale}


def write_tfjs(model, folder, dtypes):
    """A layers-model with shards of 1000 bytes, so that weights straddle them."""
    folder.mkdir(exist_ok=True)
    manifest, data = [], b""
    number = 0
    for layer in model.layers:
        for weight in layer.weights:
            values = weight.numpy()
            dtype = dtypes[number % len(dtypes)]
            entry = {"name": weight.name.split(":")[0], "shape": list(values.shape), "dtype": "float32"}
            if dtype != "float32":
                values, entry["quantization"] = quantise(values, dtype)
            manifest.append(entry)
            data += values.tobytes()
            number += 1
    shards = [data[i:i + 1000] for i in range(0, len(data), 1000)]
    paths = [f"group1-shard{i + 1}of{len(shards)}.bin" for i in range(len(shards))]
    for path, shard in zip(paths, shards):
        (folder / path).write_bytes(shard)
    topology = {"keras_version": keras.__version__, "backend": "tensorflow",
                "model_config": {"class_name": "Functional", "config": model.get_config()}}
    document = {"format": "layers-model", "modelTopology": topology,
                "weightsManifest": [{"paths": paths, "weights": manifest}]}
    (folder / "model.json").write_text(json.dumps(document))


def main():
    OUT.mkdir(exist_ok=True)
    inception = write_listing()
    write_filled(inception, OUT / "inception_v3_filled.h5", classes=True)
    write_filled(inception, OUT / "inception_v3_filled_notop.h5", classes=False)
    small = small_model()
    small.save(OUT / "small.h5", include_optimizer=False)
    small.save_weights(OUT / "small_weights.h5")
    write_tfjs(small, OUT / "small_float32", ["float32"])
    write_tfjs(small, OUT / "small_quantised", ["uint8", "uint16", "float16", "float32"])
    (OUT / "VERSIONS").write_text(f"made by make_zoo.py with Python {sys.version.split()[0]}, TensorFlow {tf.__version__}, "
                                  f"Keras {keras.__version__}, h5py {h5py.__version__}, numpy {np.__version__}\n")


if __name__ == "__main__":
    main()
