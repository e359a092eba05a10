"""The article's job as the article does it, in Keras with TensorFlow: the trunk is run again in every epoch.

    python3 peer_keras.py train TRUNK.safetensors PICTURES.npz EPOCHS OUT.keras     the times go to OUT.keras.json
    python3 peer_keras.py features TRUNK.safetensors PICTURES.npz N OUT.npy         pooled features of the first N

The weights are those of graft's trunk, put into keras.applications' own Inception-v3, so that both train the same head
on the same network.
"""
import json
import os
import re
import sys
import time

start = time.perf_counter()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras  # noqa: E402
import numpy as np  # noqa: E402

import trunk_file  # noqa: E402

import_s = time.perf_counter() - start
PARTS = {"Conv2D": ["kernel"], "BatchNormalization": ["beta", "moving_mean", "moving_variance"]}


def in_order_of_creation(names):
    """conv2d, conv2d_1, ... or conv2d_1, conv2d_2, ...: layers are made in the same order in every Keras."""
    return sorted(names, key=lambda name: int((re.findall(r"_(\d+)$", name) or ["0"])[0]))


def load_trunk(path):
    """keras.applications' Inception-v3 up to the pooled features, with the trunk's weights."""
    document, weights = trunk_file.read(path)
    trunk = keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg", input_shape=(299, 299, 3))
    for kind, parts in PARTS.items():
        theirs = in_order_of_creation([layer.name for layer in trunk.layers if type(layer).__name__ == kind])
        ours = in_order_of_creation([n for n, k, _, _ in trunk_file.layers_of(document) if k == kind])
        if len(theirs) != len(ours):
            raise SystemExit(f"{len(ours)} {kind} layers in the trunk, {len(theirs)} in Keras")
        for mine, other in zip(ours, theirs):
            trunk.get_layer(other).set_weights([weights[f"{mine}/{part}"] for part in parts])
    return trunk


def load_pictures(path):
    with np.load(path) as file:
        features, labels = file["features"], file["labels"]
    pictures = keras.applications.inception_v3.preprocess_input(features.astype(np.float32))
    return pictures, keras.utils.to_categorical(labels)


def split(n, test_size=0.2, random_state=42):
    """scikit-learn's train_test_split, which is this permutation."""
    order = np.random.RandomState(random_state).permutation(n)
    n_test = int(np.ceil(n * test_size))
    return order[n_test:], order[:n_test]


class Epochs(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seconds, self.last = [], time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now
        print(f"Keras: epoch {epoch + 1}: {self.seconds[-1]:.1f} s", file=sys.stderr, flush=True)


def train(trunk_path, pictures_path, n_epochs, out):
    keras.utils.set_random_seed(42)
    trunk = load_trunk(trunk_path)
    x = keras.layers.Dense(1024, activation="relu")(trunk.output)
    model = keras.Model(trunk.input, keras.layers.Dense(2, activation="softmax")(x))
    for layer in model.layers[:-2]:
        layer.trainable = False
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    pictures, labels = load_pictures(pictures_path)
    in_train, in_test = split(len(pictures))
    epochs = Epochs()
    model.fit(pictures[in_train], labels[in_train], epochs=n_epochs, verbose=0, callbacks=[epochs],
              validation_data=(pictures[in_test], labels[in_test]))
    before = time.perf_counter()
    loss, accuracy = model.evaluate(pictures[in_test], labels[in_test], verbose=0)
    evaluated = time.perf_counter()
    model.save(out)
    with open(out + ".json", "w", encoding="utf-8") as file:
        json.dump({"import_s": import_s, "epochs_s": epochs.seconds, "evaluate_s": evaluated - before,
                   "save_s": time.perf_counter() - evaluated, "loss": loss, "accuracy": accuracy,
                   "keras": keras.__version__}, file)


def features(trunk_path, pictures_path, n, out):
    np.save(out, load_trunk(trunk_path).predict(load_pictures(pictures_path)[0][:n], verbose=0))


if __name__ == "__main__":
    {"train": train, "features": features}[sys.argv[1]](sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
