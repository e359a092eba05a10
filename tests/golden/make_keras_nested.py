"""Makes tests/golden/zoo/nested: networks whose layers are models, as this Keras saves them, and the same network flat.

    python3.11 -m venv V && V/bin/pip install 'tensorflow-cpu==2.15.1' && V/bin/python tests/golden/make_keras_nested.py
    python3.11 -m venv V && V/bin/pip install keras==3.12.0 'jax[cpu]==0.6.2' && KERAS_BACKEND=jax V/bin/python tests/golden/make_keras_nested.py

and with tensorflow-cpu==2.13.1. All are one network with one set of weights: value k of weight w, counted over the flat network, is w + k / 1024.
Written are

    nested      pixels go through augmentation (a Sequential), x / 127.5 - 1 and a model in which is another; a Dense layer is called as one of its
    chain       Sequential([Rescaling, model, pooling, Dense, Dense])
    frozen      nested, the model frozen but for one layer: which weights come first is not the same in Keras 2 and 3
    renamed     nested, layers of the model called otherwise after they were made: their weights are not (Keras 3 only)
    flat        no models in it (2.15 only), and tfjs, nested as TensorFlow.js has it (2.15 only)
    circle      what no Keras writes: in the group of a model's layers is, by a link, that group itself (2.15 only)
"""
import io
import json
import os
import pathlib
import sys
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import h5py
import keras
import numpy as np
from keras import layers

OUT = pathlib.Path(__file__).parent / "zoo" / "nested"
VERSION = "_".join(keras.__version__.split(".")[:2])


def stem():
    return keras.Sequential([layers.InputLayer(**{"input_shape" if VERSION < "3" else "shape": (16, 16, 3)}),
                             layers.Conv2D(4, 3, strides=2, use_bias=False, name="conv"),
                             layers.BatchNormalization(name="norm"), layers.GaussianNoise(0.1)], name="stem")


def body(x, begin, conv, norm):
    """What is between the picture and the pooling, the first two layers being given."""
    x = begin(x) if begin else layers.BatchNormalization(name=norm)(layers.Conv2D(4, 3, strides=2, use_bias=False, name=conv)(x))
    x = layers.Activation("relu", name="act")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.BatchNormalization(name="norm_b", scale=False)(y)
    return layers.Concatenate(name="mixed0")([x, y])


def model_inside():
    start = layers.Input((16, 16, 3), name="picture")
    return keras.Model(start, body(start, stem(), None, None), name="base")


def top(x, first):
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(5, activation="relu", name=first)(x)
    return layers.Dense(3, activation="softmax", name="scores")(layers.Dropout(0.2, name="drop")(x))


def flat():
    start = layers.Input((16, 16, 3), name="in")
    return keras.Model(start, top(body(start, None, "stem_conv", "norm"), "conv"), name="network")


def nested(base, first="conv"):
    augment = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)], name="augment")
    start = layers.Input((16, 16, 3), name="in")
    x = base(augment(start) / 127.5 - 1.0, training=False)
    x = layers.ActivityRegularization(1e-4)(x)
    return keras.Model(start, top(x, first), name="network")


def chain(base):
    return keras.Sequential([layers.Rescaling(1 / 127.5, offset=-1.0, input_shape=(16, 16, 3), name="in"), base,
                             layers.GlobalAveragePooling2D(name="pool"), layers.Dense(5, activation="relu", name="conv"),
                             layers.Dropout(0.2, name="drop"), layers.Dense(3, activation="softmax", name="scores")], name="network")


def plain_layers(model):
    for layer in model.layers:
        yield from plain_layers(layer) if hasattr(layer, "layers") else [layer]


def fill(model):
    """Layer by layer, in the order of the flat network."""
    number = 0
    for layer in plain_layers(model):
        values = []
        for weight in layer.weights:
            if "seed" in weight.name:
                continue
            values.append((number + np.arange(np.prod(weight.shape)) / 1024).astype(np.float32).reshape(weight.shape))
            number += 1
        if values:
            layer.set_weights(values)
    assert number == 14, number
    return model


def save(model, name, endings=("h5", "keras")):
    for ending in endings:
        options = {"include_optimizer": False} if ending == "h5" and VERSION < "3" else {}
        fill(model).save(OUT / f"{name}_{VERSION}.{ending}", **options)


def write_circle():
    bytes_ = io.BytesIO()
    with h5py.File(bytes_, "w") as file:
        group = file.create_group("layers").create_group("functional")
        group.create_dataset("vars/0", (3, 1), "float32")
        group["layers"] = file["layers"]
    start = {"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "row", "batch_shape": [None, 3]}}
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "circle", "layers": [start]}}
    with zipfile.ZipFile(OUT / "circle.keras", "w") as file:
        for member, data in (("config.json", json.dumps(config)), ("model.weights.h5", bytes_.getvalue())):
            file.writestr(zipfile.ZipInfo(member), data)


def main():
    OUT.mkdir(exist_ok=True)
    base = model_inside()
    base.get_layer("stem").get_layer("conv").trainable = False
    save(nested(base), "nested")
    save(chain(model_inside()), "chain", ("keras",) if VERSION < "2_15" else ("h5", "keras"))
    if VERSION == "2_13":
        return
    base = model_inside()
    base.trainable = False
    base.get_layer("depthwise").trainable = True
    save(nested(base), "frozen", ("h5",))
    if VERSION > "3":
        base = model_inside()
        model = nested(base)
        for layer in plain_layers(base):
            if layer.weights:
                layer.name = f"r_{layer.name}"
        save(model, "renamed", ("h5",))
        return
    save(flat(), "flat", ("h5",))
    write_circle()
    from make_zoo import write_tfjs
    write_tfjs(fill(nested(model_inside(), "hidden")), OUT / "tfjs", ["float32"])


if __name__ == "__main__":
    sys.exit(main())
