"""Writes tests/golden/zoo/tf/keras3 and keras3.npz: a small network by Keras 3's model.export(), and what it answers.

usage: tests/interop/.venv-keras3/bin/python tests/golden/make_tf_keras3.py        (in the project's folder)
Keras 3 spells batch normalization out, adds biases in the shape of a map, and traces the network twice: all scopes have numbers.
"""
import pathlib
import shutil

import keras
import numpy as np

OUT = pathlib.Path(__file__).parent / "zoo" / "tf"
layers = keras.layers


def main():
    random = np.random.default_rng(3)
    x = first = keras.Input((9, 8, 3), name="input_1")
    x = layers.Conv2D(4, 3, strides=2, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(scale=False, epsilon=0.01, name="norm")(x)
    x = layers.ReLU(6.0, name="relu6")(x)
    x = layers.Add(name="sum")([layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x), x])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(first, layers.Dense(3, activation="softmax", name="predictions")(x))
    for layer in model.layers:
        layer.set_weights([random.uniform(0.5, 1.0, one.shape).astype(np.float32) if one.ndim == 1
                           else (random.standard_normal(one.shape) * 0.5).astype(np.float32) for one in layer.get_weights()])
    shutil.rmtree(OUT / "keras3", ignore_errors=True)
    model.export(str(OUT / "keras3"))
    (OUT / "keras3" / "fingerprint.pb").unlink()
    pixels = random.uniform(-1, 1, (2, 9, 8, 3)).astype(np.float32)
    np.savez(OUT / "keras3.npz", x=pixels, y=np.asarray(model(pixels)))


if __name__ == "__main__":
    main()
