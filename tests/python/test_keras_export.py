"""Models for other programs: Keras' files by a name's ending, there and back; ONNX and TensorFlow.js."""
import json
import os
import subprocess
import sys
import unittest
import zipfile

import words

import numpy as np

import graft
from graft import errors, settings, trunks
from graft.keras.applications.inception_v3 import InceptionV3
from graft.keras.callbacks import ModelCheckpoint
from graft.keras.layers import Dense, Dropout
from graft.keras.models import Model, Sequential, load_model
from graft.keras.preprocessing import image

FILES = words.pictures("food", 2) + words.pictures("plants", 2)
X = np.stack([np.asarray(image.load_img(name, target_size=(299, 299))) for name in FILES])
Y = np.eye(2)[[0, 0, 1, 1]]
ROWS = np.arange(24, dtype="float32").reshape(6, 4) / 10
HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"


def picture_model():
    base = InceptionV3(weights="imagenet")
    x = Dense(8, activation="relu")(base.layers[311].output)
    model = Model(base.input, Dense(2, activation="softmax", name="ours")(Dropout(0.25)(x)))
    for layer in model.layers[:312]:
        layer.trainable = False
    model.compile("adam", "categorical_crossentropy", ["accuracy"])
    model.fit(X, Y, epochs=3, verbose=0)
    return model


def table_model():
    return Sequential([Dense(5, activation="relu", input_dim=4), Dense(3, activation="softmax")])


def begin(path, n=8):
    with open(graft.paths.resolve(path), "rb") as file:
        return file.read(n)


class KerasFiles(unittest.TestCase):
    def test_pictures_there_and_back(self):
        model = picture_model()
        want = model.predict(X)
        for path, start in ((words.scratch("own.h5"), HDF5), ("gs://bucket/job/own.hdf5", HDF5), (words.scratch("own.keras"), ZIP),
                            ("gs://bucket/job/own.keras", ZIP)):
            model.save(path)
            self.assertEqual(begin(path, len(start)), start)
            again = load_model(path)
            self.assertTrue(np.array_equal(again.predict(X), want))
        self.assertEqual([type(layer).__name__ for layer in again.layers[311:]],
                         ["GlobalAveragePooling2D", "Dense", "Dropout", "Dense"])
        self.assertIs(again.layers[0].trunk, trunks.load("inception_v3"))  # recognised: features are shared
        again.compile("adam", "categorical_crossentropy", ["accuracy"])
        again.fit(X, Y, verbose=0)
        again.save(words.scratch("small.safetensors"), classes=["food", "plants"])
        self.assertLess(os.path.getsize(words.scratch("small.safetensors")), 1 << 20)
        self.assertTrue(np.array_equal(graft.load(words.scratch("small.safetensors")).predict(X), again.predict(X)))

    def test_where_the_home_has_no_such_network(self):
        model = picture_model()
        model.save(words.scratch("alone.h5"))
        model.save(words.scratch("alone.keras"))
        want = model.predict(X)
        os.makedirs(words.scratch("nothing"))
        settings.configure(home=words.scratch("nothing"))
        self.addCleanup(settings.configure, home=words.HOME)
        for name in ("alone.keras", "alone.h5"):
            again = load_model(words.scratch(name))
            self.assertTrue(np.array_equal(again.predict(X), want))
        again.save(words.scratch("alone.safetensors"))  # with the network inside: nothing else has it
        self.assertTrue(np.array_equal(load_model(words.scratch("alone.safetensors")).predict(X), want))

    def test_rows_checkpoints_and_weights(self):
        model = table_model()
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        best = words.scratch("best-{epoch:02d}-{val_acc:.1f}.h5")  # val_accuracy by its older name
        labels = [0, 1, 2, 0, 1, 2]
        history = model.fit(ROWS, labels, epochs=1, verbose=0, validation_data=(ROWS, labels),
                            callbacks=[ModelCheckpoint(best, monitor="val_acc", save_best_only=True)])
        path = best.format(epoch=1, val_acc=history.history["val_accuracy"][0])
        self.assertEqual(begin(path), HDF5)
        self.assertTrue(np.array_equal(load_model(path).predict(ROWS), model.predict(ROWS)))
        for name, start in (("weights.h5", HDF5), ("weights.keras", ZIP)):
            model.save_weights(words.scratch(name))
            self.assertEqual(begin(words.scratch(name), len(start)), start)
            other = table_model()
            other.set_weights([value + 1 for value in other.get_weights()])
            other.load_weights(words.scratch(name))
            self.assertTrue(np.array_equal(other.predict(ROWS), model.predict(ROWS)))

    def test_a_standardisation_stays(self):
        rows = np.random.default_rng(1).normal([1, 10, 100], [1, 5, 20], (30, 3))
        with open(words.scratch("rows.csv"), "w", encoding="utf-8") as file:
            file.write("a,b,c,label\n")
            for i, row in enumerate(rows):
                file.write(",".join(f"{value:.6f}" for value in row) + f",{'xy'[i % 2]}\n")
        words.graft("train", words.scratch("rows.csv"), "--hidden", "4", "--epochs", "2", "--quiet",
                    "-o", words.scratch("rows.safetensors"))
        model = graft.load(words.scratch("rows.safetensors"))
        for name in ("rows.h5", "rows.keras"):
            model.save(words.scratch(name))
            np.testing.assert_allclose(load_model(words.scratch(name)).predict(rows), model.predict(rows), atol=1e-6)

    def test_an_archive_keeps_the_names_of_classes(self):
        model = table_model()
        model.save(words.scratch("named.keras"), classes=["a", "b", "ä"])
        self.assertEqual(load_model(words.scratch("named.keras")).classes, ["a", "b", "ä"])
        with zipfile.ZipFile(words.scratch("named.keras")) as file:
            self.assertEqual(file.namelist(), ["metadata.json", "config.json", "model.weights.h5"])
            rest = [(name, file.read(name)) for name in file.namelist()[1:]]
        for metadata in ({}, {"graft": None}, {"graft": {"classes": ["a"]}}, {"graft": {"classes": ["a", "a", "b"]}}):
            with zipfile.ZipFile(words.scratch("renamed"), "w") as file:  # by content, whatever it is called
                file.writestr("metadata.json", json.dumps(metadata))
                for name, content in rest:
                    file.writestr(name, content)
            again = load_model(words.scratch("renamed"))
            self.assertIsNone(again.classes)
            self.assertTrue(np.array_equal(again.predict(ROWS), model.predict(ROWS)))

    def test_what_is_no_such_file(self):
        model = table_model()
        model.save(words.scratch("whole.h5"))
        with open(words.scratch("torn.h5"), "wb") as file:
            file.write(begin(words.scratch("whole.h5"), 900))
        with self.assertRaisesRegex(errors.InvalidError, "torn.h5: is not an HDF5 file, or a damaged one"):
            load_model(words.scratch("torn.h5"))
        model.save(words.scratch("whole.keras"))
        with open(words.scratch("torn.keras"), "wb") as file:
            file.write(begin(words.scratch("whole.keras"), 900))
        with self.assertRaisesRegex(errors.InvalidError, "torn.keras: a zip file without its directory"):
            load_model(words.scratch("torn.keras"))
        with self.assertRaises(FileNotFoundError):
            load_model(words.scratch("nowhere.keras"))
        with self.assertRaisesRegex(errors.InvalidError, "2 different names, the last layer 3 units"):
            model.save(words.scratch("names.h5"), classes=["a", "b"])
        with self.assertRaises(FileNotFoundError):
            model.save(words.scratch("no-folder/model.h5"))


class Exports(unittest.TestCase):
    def test_the_program_writes_the_same(self):
        model = table_model()
        model.save(words.scratch("table.safetensors"), classes=["a", "b", "c"])
        words.graft("export", words.scratch("table.safetensors"), "-o", words.scratch("program.onnx"))
        want = begin(words.scratch("program.onnx"), -1)
        model.export(words.scratch("model.onnx"))
        graft.export(words.scratch("table.safetensors"), "gs://bucket/exports/file.onnx", format="onnx")
        self.assertEqual(begin(words.scratch("model.onnx"), -1), want)
        self.assertEqual(begin("gs://bucket/exports/file.onnx", -1), want)
        model.export(words.scratch("web"), format="tfjs", quantize="uint8")
        self.assertIn("model.json", os.listdir(words.scratch("web")))

    def test_a_picture_model_s_head(self):
        model = picture_model()
        model.export(words.scratch("head.onnx"), head_only=True)
        model.export(words.scratch("served"), format="savedmodel")
        self.assertEqual(sorted(os.listdir(words.scratch("served"))), ["assets", "assets.extra", "saved_model.pb"])
        self.assertLess(os.path.getsize(words.scratch("head.onnx")), 1 << 20)

    def test_an_onnx_file_that_decodes(self):
        picture_model().export(words.scratch("decoder.onnx"), with_decoder=True)
        self.assertIn(b"ImageDecoder", begin(words.scratch("decoder.onnx"), -1))
        with self.assertRaisesRegex(errors.InvalidError, "takes numbers: it needs no decoder"):
            table_model().export(words.scratch("rows.onnx"), with_decoder=True)

    def test_a_model_that_brings_its_network(self):
        model = picture_model()
        small, whole, parted = (words.scratch(name) for name in ("small.safetensors", "whole.safetensors", "parted.safetensors"))
        model.save(small)
        model.export(words.scratch("direct.safetensors"), format="graft")
        graft.export(small, whole, format="graft")
        self.assertEqual(begin(whole, -1), begin(words.scratch("direct.safetensors"), -1))
        want = model.predict(X)
        os.makedirs(words.scratch("empty"))
        settings.configure(home=words.scratch("empty"))
        self.addCleanup(settings.configure, home=words.HOME)
        self.assertTrue(np.array_equal(load_model(whole).predict(X), want))
        graft.export(whole, parted, format="graft", head_only=True)
        self.assertEqual(begin(parted, -1), begin(small, -1))

    def test_ctrl_c_leaves_nothing(self):
        picture_model().save(words.scratch("stopped.safetensors"), classes=["food", "plants"])
        code = """
import os, signal, sys, threading
import graft
try:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    while True:
        graft.export(sys.argv[1], sys.argv[2], format="onnx")
except KeyboardInterrupt:
    print("stopped")
"""
        os.mkdir(words.scratch("stopped"))
        done = subprocess.run([sys.executable, "-c", code, words.scratch("stopped.safetensors"),
                               words.scratch("stopped/out.onnx")], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.stdout, "stopped\n", done.stderr)
        self.assertLessEqual(set(os.listdir(words.scratch("stopped"))), {"out.onnx"})  # one before may have been whole

    def test_what_cannot_be_written(self):
        model = table_model()
        for pattern, options in (("format \"pickle\" is unknown, expected onnx, tfjs, keras, savedmodel or graft", {"format": "pickle"}),
                                 ("quantisation \"int4\" is unknown", {"quantize": "int4"}),
                                 ("float32 only", {"quantize": "uint8"})):
            with self.assertRaisesRegex(errors.Error, pattern):
                model.export(words.scratch("refused"), **options)
        with self.assertRaisesRegex(errors.InvalidError, "takes a Model or a model file, got int"):
            graft.export(3, words.scratch("refused"))
        with self.assertRaises(FileNotFoundError):
            graft.export(words.scratch("nowhere.safetensors"), words.scratch("refused"))
        self.assertFalse(os.path.exists(words.scratch("refused")))


if __name__ == "__main__":
    unittest.main()
