"""Networks for transfer learning as this Keras (2.15 or 3) saves them: a pretrained model is one of their layers. For check_nested_import.py.

usage: python3 make_nested_models.py OUT PIXELS.npz
Prints the version. PIXELS has raw pixels by side. Writes for each network NAME: NAME.keras, NAME.h5, NAME.json (which trunk, layers to look at), and
NAME.npz: the weights of the model inside and of the layers behind it, and "feature/LAYER", what the layer, pooled, says to the pixels.
"""
import json
import pathlib
import sys

import keras
import numpy as np
from make_keras_archives import randomise

layers, applications = keras.layers, keras.applications


def inception():
    return applications.InceptionV3(weights=None, include_top=False, input_shape=(299, 299, 3))


def top(x):
    x = layers.Dense(8, activation="relu", name="hidden")(layers.Dropout(0.2, name="drop")(x))
    return layers.Dense(3, activation="softmax", name="scores")(x)


def chain():
    """The shortest way; says nothing of its input, which is [-1,1]."""
    base = inception()
    base.trainable = False
    return base, keras.Sequential([base, layers.GlobalAveragePooling2D(name="pooled"), layers.Dense(8, activation="relu", name="hidden"),
                                   layers.Dense(3, activation="softmax", name="scores")]), False


def tutorial():
    """As Keras' and TensorFlow's guides to transfer learning write it."""
    augment = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)], name="augmentation")
    base = inception()
    base.trainable = False
    start = layers.Input((299, 299, 3), name="pixels")
    x = base(applications.inception_v3.preprocess_input(augment(start)), training=False)
    return base, keras.Model(start, top(layers.GlobalAveragePooling2D(name="pooled")(x))), True


def fine_tuned():
    """The first layers frozen, the model pools by itself, Rescaling in front."""
    base = applications.MobileNetV2(weights=None, include_top=False, input_shape=(224, 224, 3), pooling="avg")
    for layer in base.layers[:100]:
        layer.trainable = False
    start = layers.Input((224, 224, 3), name="pixels")
    x = layers.ActivityRegularization(name="regularized")(base(layers.GaussianNoise(0.1)(layers.Rescaling(1 / 127.5, offset=-1.0)(start))))
    return base, keras.Model(start, top(x)), True


NETWORKS = {"chain": (chain, "inception_v3", "mixed3"), "tutorial": (tutorial, "inception_v3", "mixed7"),
            "fine_tuned": (fine_tuned, "mobilenet_v2", "block_6_expand_relu")}


def main():
    out, pixels = pathlib.Path(sys.argv[1]), np.load(sys.argv[2])
    for name, (make, trunk, inner) in NETWORKS.items():
        base, model, scales = make()
        randomise(base)
        rng = np.random.default_rng(11)
        for layer in model.layers:
            if layer.name in ("hidden", "scores"):
                layer.set_weights([rng.normal(0, 0.1, one.shape).astype(np.float32) for one in layer.get_weights()])
        raw = pixels[str(base.inputs[0].shape[1])]
        scaled = raw / np.float32(127.5) - np.float32(1)
        output = layers.GlobalAveragePooling2D()(base.get_layer(inner).output)
        features = {inner: np.asarray(keras.Model(base.inputs, output).predict(scaled, verbose=0)),
                    "scores": np.asarray(model.predict(raw if scales else scaled, verbose=0))}
        model.compile("adam", "categorical_crossentropy")
        for ending in ("keras", "h5"):
            model.save(out / f"{name}.{ending}")
        (out / f"{name}.json").write_text(json.dumps({"trunk": trunk, "cuts": [inner, "scores"], "scales": scales}))
        weights = [one for layer in [*base.layers, model.get_layer("hidden"), model.get_layer("scores")] for one in layer.get_weights()]
        np.savez(out / f"{name}.npz", **{f"weight/{i}": one for i, one in enumerate(weights)},
                 **{f"feature/{cut}": one for cut, one in features.items()})
    print(keras.__version__)


if __name__ == "__main__":
    sys.exit(main())
