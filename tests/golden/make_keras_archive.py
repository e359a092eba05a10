"""Makes tests/golden/zoo/keras: the network of zoo/small.h5 as a .keras archive, as this Keras saves it.

    python3.11 -m venv V && V/bin/pip install 'tensorflow-cpu==2.15.1' && V/bin/python tests/golden/make_keras_archive.py
    python3.11 -m venv V && V/bin/pip install keras==3.12.0 'jax[cpu]==0.6.2' && KERAS_BACKEND=jax V/bin/python tests/golden/make_keras_archive.py

and with tensorflow-cpu==2.13.1, whose groups have other names. Network and weights are those of make_zoo.py (which needs
TensorFlow): the tests compare identities. Each makes the files whose weights are elsewhere, too, which no Keras would write.
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

OUT = pathlib.Path(__file__).parent / "zoo" / "keras"


def small_model():
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


def write_outside(name, fill):
    """Dense(1) on three numbers, whose group or kernel lies in a file of the machine that reads it."""
    bytes_ = io.BytesIO()
    with h5py.File(bytes_, "w") as file:
        fill(file.create_group("layers"))
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "outside", "layers": [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "row", "batch_shape": [None, 3]}},
        {"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "units": 1, "use_bias": False}}]}}
    with zipfile.ZipFile(OUT / name, "w") as file:
        for member, data in (("config.json", json.dumps(config)), ("model.weights.h5", bytes_.getvalue())):
            file.writestr(zipfile.ZipInfo(member), data)


def external_data(group):
    group.create_dataset("dense/vars/0", (3, 1), "float32", external=[("/etc/passwd", 0, 12)])


def external_link(group):
    group["dense"] = h5py.ExternalLink("other.h5", "/layers/dense")


def virtual_data(group):
    layout = h5py.VirtualLayout((3, 1), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "layers/dense/vars/0", (3, 1))
    group.create_virtual_dataset("dense/vars/0", layout)


def main():
    out = OUT / f"small_{'_'.join(keras.__version__.split('.')[:2])}.keras"
    out.parent.mkdir(exist_ok=True)
    small_model().save(out)
    write_outside("external_data.keras", external_data)
    write_outside("external_link.keras", external_link)
    write_outside("virtual_data.keras", virtual_data)
    print(out, out.stat().st_size, "bytes, Keras", keras.__version__)


if __name__ == "__main__":
    sys.exit(main())
