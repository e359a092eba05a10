"""Callbacks, event files, metrics for the job, the split: what is told while training and what stands in files."""
import csv
import glob
import io
import json
import os
import struct
import subprocess
import sys
import unittest
from contextlib import redirect_stdout

import words

import numpy as np

import graft
from graft import events
from graft.keras.callbacks import (Callback, CSVLogger, EarlyStopping, LambdaCallback, LearningRateScheduler,
                                   ModelCheckpoint, ReduceLROnPlateau, TensorBoard)
from graft.keras.layers import Dense
from graft.keras.models import Sequential, load_model
from graft.model_selection import train_test_split

RNG = np.random.RandomState(3)
LABELS = np.repeat([0, 1, 2], 40)
ROWS = (np.eye(3)[LABELS] @ RNG.normal(0, 1, (3, 6)) + RNG.normal(0, 0.5, (120, 6))).astype("float32")
NOISE = RNG.normal(0, 1, (60, 6)).astype("float32")  # says nothing of its labels: the validation loss grows


def model():
    made = Sequential([Dense(16, activation="relu", input_dim=6), Dense(3, activation="softmax")])
    made.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return made


def records(path):
    """The messages of a TFRecord file, with both checksums looked at."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        length, = struct.unpack_from("<Q", data, at)
        message = data[at + 12:at + 12 + length]
        for crc, content in ((data[at + 8:at + 12], data[at:at + 8]),
                             (data[at + 12 + length:at + 16 + length], message)):
            assert struct.unpack("<I", crc)[0] == events.masked(reference_crc32c(content))
        yield message
        at += 16 + length


def reference_crc32c(content):
    """Bit by bit, from the polynomial alone."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def fields(message):
    """[(number, value)] of a protobuf message."""
    at, found = 0, []

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = message[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number
    while at < len(message):
        key = varint()
        if key & 7 == 0:
            value = varint()
        elif key & 7 == 1:
            value, at = struct.unpack_from("<d", message, at)[0], at + 8
        elif key & 7 == 5:
            value, at = struct.unpack_from("<f", message, at)[0], at + 4
        else:
            length = varint()
            value, at = message[at:at + length], at + length
        found.append((key >> 3, value))
    return found


class Order(unittest.TestCase):
    def test_callbacks_are_called_in_order_with_the_logs(self):
        seen = []

        class Watch(Callback):
            def on_train_begin(self, logs=None):
                seen.append(("begin", self.params["epochs"], self.params["samples"]))

            def on_epoch_begin(self, epoch, logs=None):
                seen.append(("epoch", epoch))

            def on_epoch_end(self, epoch, logs=None):
                seen.append(("end", epoch, sorted(logs)))
                seen.append(self.model.layers[0].get_weights()[0].copy())

            def on_train_end(self, logs=None):
                seen.append(("over",))
        made = model()
        history = made.fit(ROWS, LABELS, epochs=5, initial_epoch=3, verbose=0, callbacks=[Watch()],
                           validation_data=(NOISE, np.arange(60) % 3))
        weights = [one for one in seen if isinstance(one, np.ndarray)]
        logs = ["accuracy", "loss", "val_accuracy", "val_loss"]
        self.assertEqual([one for one in seen if isinstance(one, tuple)],
                         [("begin", 5, 120), ("epoch", 3), ("end", 3, logs), ("epoch", 4), ("end", 4, logs), ("over",)])
        self.assertFalse(np.array_equal(weights[0], weights[1]))
        self.assertTrue(np.array_equal(weights[1], made.layers[0].get_weights()[0]))
        self.assertEqual(history.epoch, [3, 4])
        self.assertIs(made.history, history)

    def test_weights_that_a_callback_sets_are_trained_on(self):
        made = model()

        def reset(epoch, logs):
            if epoch == 1:
                for layer in made.layers:
                    layer.set_weights([np.zeros_like(value) for value in layer.get_weights()])
        made.fit(ROWS, LABELS, epochs=2, verbose=0, callbacks=[LambdaCallback(on_epoch_end=reset)])
        self.assertFalse(made.layers[0].get_weights()[0].any())

    def test_what_is_printed(self):
        for verbose, lines in ((0, 0), (1, 5), (2, 5)):
            text = io.StringIO()
            with redirect_stdout(text):
                model().fit(ROWS, LABELS, epochs=2, verbose=verbose, validation_split=0.25)
            self.assertEqual(len(text.getvalue().splitlines()), lines)
            if verbose:
                self.assertTrue(text.getvalue().startswith("Train on 90 samples, validate on 30 samples\nEpoch 1/2\n"))
                self.assertRegex(text.getvalue(), r"- \d+m?s - loss: \d\.\d{4} - accuracy: \d\.\d{4} - val_loss: ")
                self.assertEqual("[====" in text.getvalue(), verbose == 1)


class Stopping(unittest.TestCase):
    def test_early_stopping_restores_the_best_weights(self):
        made, kept = model(), []
        stop = EarlyStopping(patience=3, restore_best_weights=True)
        keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append((logs["val_loss"], made.get_weights())))
        history = made.fit(ROWS, LABELS, epochs=200, verbose=0, callbacks=[keep, stop],
                           validation_data=(NOISE, np.arange(60) % 3))
        losses = history.history["val_loss"]
        best = int(np.argmin(losses))
        self.assertLess(len(losses), 200)
        self.assertEqual(len(losses), best + 4)
        self.assertEqual(stop.stopped_epoch, best + 3)
        for ours, theirs in zip(made.get_weights(), kept[best][1]):
            self.assertTrue(np.array_equal(ours, theirs))

    def test_accuracy_is_better_when_larger(self):
        stop = EarlyStopping(monitor="val_acc", patience=2)
        history = model().fit(ROWS, LABELS, epochs=200, verbose=0, callbacks=[stop], validation_data=(ROWS, LABELS))
        accuracy = history.history["val_accuracy"]
        self.assertEqual(stop.best, max(accuracy))
        self.assertLess(len(accuracy), 200)

    def test_checkpoints_keep_the_best(self):
        made = model()
        best, every, weights = (words.scratch(name) for name in ("best.safetensors", "epoch-{epoch:02d}.safetensors",
                                                                 "w-{epoch}-{val_loss:.1f}.npz"))
        history = made.fit(ROWS, LABELS, epochs=12, verbose=0, validation_data=(NOISE, np.arange(60) % 3), callbacks=[
            ModelCheckpoint(best, save_best_only=True), ModelCheckpoint(every, period=4),
            ModelCheckpoint(weights, save_weights_only=True, period=12)])
        self.assertEqual(sorted(os.path.basename(name) for name in glob.glob(words.scratch("epoch-*"))),
                         ["epoch-04.safetensors", "epoch-08.safetensors", "epoch-12.safetensors"])
        self.assertTrue(glob.glob(words.scratch("w-12-*.npz")))
        again = load_model(best)
        again.compile("adam", "sparse_categorical_crossentropy")
        self.assertAlmostEqual(again.evaluate(NOISE, np.arange(60) % 3), min(history.history["val_loss"]), places=5)
        self.assertTrue(np.array_equal(load_model(every.format(epoch=12)).predict(ROWS), made.predict(ROWS)))


class Rates(unittest.TestCase):
    def test_a_schedule_sets_the_rate_of_each_epoch(self):
        made, apart = model(), model()
        schedule = LearningRateScheduler(lambda epoch, rate: rate if epoch < 2 else rate / 2)
        history = made.fit(ROWS, LABELS, epochs=4, verbose=0, callbacks=[schedule])
        self.assertEqual(history.history["learning_rate"], [0.001, 0.001, 0.0005, 0.00025])
        self.assertEqual(history.history["lr"], history.history["learning_rate"])  # Keras 2's name
        for rate in history.history["lr"]:
            apart.optimizer.lr = rate
            apart.fit(ROWS, LABELS, verbose=0)
        for ours, theirs in zip(made.get_weights(), apart.get_weights()):
            self.assertTrue(np.array_equal(ours, theirs))
        made.fit(ROWS, LABELS, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: 0.5)])
        self.assertEqual(made.optimizer.learning_rate, 0.5)

    def test_a_plateau_lowers_the_rate(self):
        made = model()
        text = io.StringIO()
        callback = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=2, cooldown=1, min_delta=100, min_lr=0.0003, verbose=1)
        with redirect_stdout(text):
            history = made.fit(ROWS, LABELS, epochs=9, verbose=0, callbacks=[callback])
        # The first loss is better than none, none is better by 100; an epoch of rest after a change; then the least rate.
        self.assertEqual(history.history["lr"], [0.001] * 3 + [0.0005] * 2 + [0.0003] * 4)
        self.assertEqual(text.getvalue().splitlines()[0], "Epoch 3: ReduceLROnPlateau reducing learning rate to 0.0005.")

    def test_best_weights_come_back_where_nothing_was_stopped(self):
        made, kept = model(), []
        keep = LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append((logs["val_loss"], made.get_weights())))
        made.fit(ROWS, LABELS, epochs=40, verbose=0, validation_data=(NOISE, np.arange(60) % 3),
                 callbacks=[keep, EarlyStopping(patience=100, restore_best_weights=True)])
        best = min(range(40), key=lambda i: kept[i][0])
        self.assertLess(best, 39)
        for ours, theirs in zip(made.get_weights(), kept[best][1]):
            self.assertTrue(np.array_equal(ours, theirs))

    def test_stopping_begins_late_and_looks_at_a_baseline(self):
        history = model().fit(ROWS, LABELS, epochs=20, verbose=0,
                              callbacks=[EarlyStopping("loss", min_delta=100, patience=2, start_from_epoch=5)])
        self.assertEqual(len(history.epoch), 8)
        history = model().fit(ROWS, LABELS, epochs=20, verbose=0, callbacks=[EarlyStopping("accuracy", patience=4, baseline=1.5)])
        self.assertLess(len(history.epoch), 20)

    def test_weights_set_before_an_epoch_are_trained_on(self):
        for name in ("on_train_begin", "on_epoch_begin"):
            made = model()

            def clear(*_, made=made):
                for layer in made.layers:
                    layer.set_weights([np.zeros_like(value) for value in layer.get_weights()])
            made.fit(ROWS, LABELS, verbose=0, callbacks=[LambdaCallback(**{name: clear})])
            self.assertFalse(made.layers[0].get_weights()[0].any())  # nothing comes through from behind it
            self.assertTrue(made.layers[1].get_weights()[1].any())


class Written(unittest.TestCase):
    def test_csv_logger(self):
        path = words.scratch("log.csv")
        history = model().fit(ROWS, LABELS, epochs=2, verbose=0, callbacks=[CSVLogger(path)])
        model().fit(ROWS, LABELS, epochs=1, verbose=0, callbacks=[CSVLogger(path, append=True)])
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        self.assertEqual(rows[0], ["epoch", "loss", "accuracy"])
        self.assertEqual([row[0] for row in rows[1:]], ["0", "1", "0"])
        self.assertEqual(float(rows[2][1]), history.history["loss"][1])

    def test_crc32c_is_the_standard_s(self):
        # RFC 3720, appendix B.4.
        self.assertEqual(events.crc32c(bytes(32)), 0x8A9136AA)
        self.assertEqual(events.crc32c(b"\xff" * 32), 0x62A8AB43)
        self.assertEqual(events.crc32c(bytes(range(32))), 0x46DD794E)
        self.assertEqual(events.crc32c(b"123456789"), 0xE3069283)

    def test_an_event_is_what_protobuf_writes(self):
        # TensorFlow 2.15: Event(wall_time=1.5, step=300, summary=Summary(value=[Value(tag="loss", simple_value=0.25)]))
        self.assertEqual(events.event(1.5, 300, scalars=[("loss", 0.25)]).hex(),
                         "09000000000000f83f10ac022a0d0a0b0a046c6f7373150000803e")
        self.assertEqual(events.event(1.5, file_version="brain.Event:2").hex(),
                         "09000000000000f83f1a0d627261696e2e4576656e743a32")
        self.assertEqual(events.frame(b"ab").hex()[:16], "0200000000000000")

    def test_tensorboard_writes_a_point_an_epoch(self):
        folder = words.scratch("logs")
        history = model().fit(ROWS, LABELS, epochs=3, verbose=0, validation_split=0.25,
                              callbacks=[TensorBoard(log_dir=folder)])
        self.assertEqual(sorted(os.listdir(folder)), ["train", "validation"])
        for part, prefix in (("train", ""), ("validation", "val_")):
            path, = glob.glob(os.path.join(folder, part, "events.out.tfevents.*"))
            first, *rest = [fields(message) for message in records(path)]
            self.assertEqual(dict(first)[3], b"brain.Event:2")
            points = {}
            for message in rest:
                event = dict(message)
                value = dict(fields(dict(fields(event[5]))[1]))
                points.setdefault(value[1].decode(), []).append((event.get(2, 0), value[2]))
            for name in ("loss", "accuracy"):
                steps, values = zip(*points[f"epoch_{name}"])
                self.assertEqual(steps, (0, 1, 2))
                np.testing.assert_allclose(values, history.history[prefix + name], rtol=1e-6)
            self.assertEqual("epoch_learning_rate" in points, part == "train")

    def test_a_job_is_told_every_epoch(self):
        path = words.scratch("metrics.jsonl")
        code = ("import sys, numpy as np, graft\n"
                "from graft.keras.models import Sequential\nfrom graft.keras.layers import Dense\n"
                "model = Sequential([Dense(2, activation='softmax', input_dim=3)])\n"
                "model.compile('adam', 'sparse_categorical_crossentropy', ['accuracy'])\n"
                "model.fit(np.eye(3), [0, 1, 0], epochs=2, validation_data=(np.eye(3), [0, 1, 1]))\n"
                "graft.report_metric('mine', 0.5, 7)\n")
        environment = dict(os.environ, CLOUD_ML_HP_METRIC_FILE=path, CLOUD_ML_TRIAL_ID="4")
        subprocess.run([sys.executable, "-c", code], check=True, env=environment, stdout=subprocess.DEVNULL)
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual([line["global_step"] for line in lines], [1, 2, 7])
        self.assertEqual({line["trial"] for line in lines}, {"4"})
        self.assertEqual(sorted(set(lines[0]) - {"timestamp", "trial", "global_step"}),
                         ["accuracy", "loss", "training/hptuning/metric", "val_accuracy", "val_loss"])
        self.assertEqual(lines[1]["training/hptuning/metric"], lines[1]["val_accuracy"])
        self.assertEqual(lines[2]["mine"], 0.5)

    def test_outside_of_a_job_nothing_is_written(self):
        before = set(os.listdir(words.HOME))
        graft.report_metric("x", 1.0, 1)
        self.assertEqual(set(os.listdir(words.HOME)), before)


class Split(unittest.TestCase):
    def test_the_split_is_scikit_learn_s(self):
        # sklearn 1.x: train_test_split(range(10), test_size=0.3, random_state=42)
        train, test = train_test_split(np.arange(10), test_size=0.3, random_state=42)
        self.assertEqual(train.tolist(), [0, 7, 2, 9, 4, 3, 6])
        self.assertEqual(test.tolist(), [8, 1, 5])
        same = train_test_split(np.arange(10), test_size=3, random_state=42)
        self.assertEqual([part.tolist() for part in same], [train.tolist(), test.tolist()])
        self.assertEqual(len(train_test_split(np.arange(10), train_size=0.6)[1]), 4)

    def test_arrays_lists_and_strata_stay_together(self):
        names = [f"{i}" for i in range(120)]
        parts = train_test_split(ROWS, LABELS, names, test_size=0.25, random_state=1, stratify=LABELS)
        self.assertEqual([len(part) for part in parts], [90, 30, 90, 30, 90, 30])
        self.assertEqual(np.bincount(parts[3]).tolist(), [10, 10, 10])
        for row, label, name in zip(parts[1], parts[3], parts[5]):
            self.assertTrue(np.array_equal(row, ROWS[int(name)]))
            self.assertEqual(label, LABELS[int(name)])
        hot = train_test_split(ROWS, np.eye(3)[LABELS], test_size=0.25, random_state=1, stratify=np.eye(3)[LABELS])
        self.assertEqual(hot[3].sum(axis=0).tolist(), [10, 10, 10])


if __name__ == "__main__":
    unittest.main()
