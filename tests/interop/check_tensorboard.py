"""Does TensorBoard open what the TensorBoard callback writes, and does Keras train a head as graft.keras does?

usage: python3 check_tensorboard.py BUILD
Needs tensorboard and TensorFlow with Keras 2 (tensorflow-cpu 2.15). Exit status 1 and one line for everything that differs.

The event files are read by TensorBoard's own reader and compared with the History. Two Dense layers with the same initial
weights are trained on the same rows by Keras and by graft, all rows in one batch (the order of rows is each one's own), with each
optimizer; losses, accuracies and weights are compared.
"""
import os
import pathlib
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["GRAFT_LIBRARY"] = os.path.join(os.path.abspath(sys.argv[1]), "libgraft.so")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))

import keras
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import graft.keras as ours

failures = []
RNG = np.random.RandomState(11)
LABELS = np.repeat([0, 1, 2], 30)
ROWS = (np.eye(3)[LABELS] @ RNG.normal(0, 1, (3, 8)) + RNG.normal(0, 0.7, (90, 8))).astype("float32")
TEST = (np.eye(3)[LABELS] @ RNG.normal(0, 1, (3, 8))).astype("float32")


def check(what, is_good):
    if not is_good:
        failures.append(what)
        print(f"check_tensorboard: {what}: differs", file=sys.stderr)


def build(k):
    return k.models.Sequential([k.layers.Dense(16, activation="relu", input_shape=(8,)),
                                k.layers.Dense(3, activation="softmax")])


def check_event_files(folder):
    model = build(ours)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    history = model.fit(ROWS, LABELS, epochs=4, verbose=0, validation_data=(TEST, LABELS),
                        callbacks=[ours.callbacks.TensorBoard(log_dir=folder)])
    for part, prefix in (("train", ""), ("validation", "val_")):
        reader = EventAccumulator(os.path.join(folder, part))
        reader.Reload()
        names = {"epoch_loss", "epoch_accuracy"} | ({"epoch_learning_rate"} if part == "train" else set())
        check(f"{part}: tags {reader.Tags()['scalars']}", set(reader.Tags()["scalars"]) == names)
        for name in ("loss", "accuracy"):
            points = reader.Scalars(f"epoch_{name}")
            check(f"{part}: steps of {name}", [point.step for point in points] == [0, 1, 2, 3])
            check(f"{part}: values of {name}", np.allclose([point.value for point in points],
                                                           history.history[prefix + name], rtol=1e-6))


def check_training(name, make):
    theirs, mine = build(keras), build(ours)
    theirs.set_weights(mine.get_weights())
    logs = []
    for k, model in ((keras, theirs), (ours, mine)):
        model.compile(make(k), "categorical_crossentropy", ["accuracy"])
        y = k.utils.to_categorical(LABELS)
        history = model.fit(ROWS, y, batch_size=90, epochs=25, verbose=0, validation_data=(TEST, y))
        logs.append([history.history[key] for key in ("loss", "accuracy", "val_loss", "val_accuracy")])
    check(f"{name}: history", np.allclose(logs[0], logs[1], atol=2e-4))
    for a, b in zip(theirs.get_weights(), mine.get_weights()):
        check(f"{name}: weights, by {np.abs(a - b).max():g}", np.allclose(a, b, atol=2e-4))
    check(f"{name}: scores", np.allclose(theirs.predict(TEST, verbose=0), mine.predict(TEST), atol=2e-4))


with tempfile.TemporaryDirectory() as scratch:
    check_event_files(os.path.join(scratch, "logs"))
for name, make in {
    "adam": lambda k: k.optimizers.Adam(learning_rate=0.01),
    "sgd": lambda k: k.optimizers.SGD(learning_rate=0.1),
    "momentum": lambda k: k.optimizers.SGD(learning_rate=0.05, momentum=0.9),
    "rmsprop": lambda k: k.optimizers.RMSprop(learning_rate=0.005),
}.items():
    check_training(name, make)
sys.exit(1 if failures else 0)
