"""Every mistake is answered with what was found, what was expected and what to write instead."""
import os
import re
import shutil
import subprocess
import sys
import unittest

import words

import numpy as np

import graft
from graft import errors, settings
from graft.keras import callbacks, layers, losses, metrics, optimizers
from graft.keras.applications.inception_v3 import (InceptionV3, decode_predictions, preprocess_input)
from graft.keras.layers import Activation, Conv2D, Dense, Dropout, Flatten, GlobalAveragePooling2D, Input
from graft.keras.models import Model, Sequential, load_model
from graft.keras.preprocessing import image
from graft.keras.utils import to_categorical
from graft.model_selection import train_test_split

ROWS = np.arange(24, dtype="float32").reshape(6, 4) / 10
LABELS = np.array([0, 1, 2, 0, 1, 2])


def table_model(*more, units=3, activation="softmax"):
    model = Sequential([Dense(5, activation="relu", input_dim=4), *more, Dense(units, activation=activation)])
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


class Case(unittest.TestCase):
    def fails(self, pattern, call, *arguments, kind=ValueError, **options):
        with self.assertRaises(kind) as caught:
            call(*arguments, **options)
        self.assertIsInstance(caught.exception, (errors.Error, TypeError, ImportError))
        self.assertRegex(str(caught.exception), pattern)
        self.assertNotIn("\n", str(caught.exception))
        return caught.exception


class Networks(Case):
    @classmethod
    def setUpClass(cls):
        cls.base = InceptionV3(weights="imagenet")

    def extended(self):
        x = GlobalAveragePooling2D()(self.base.get_layer("mixed0").output)
        model = Model(self.base.input, Dense(2, activation="softmax")(x))
        model.compile("adam", "categorical_crossentropy")
        return model

    def test_a_layer_of_the_trunk_left_trainable(self):
        base = InceptionV3(weights="imagenet")
        model = Model(base.input, Dense(2, activation="softmax")(base.layers[311].output))
        model.compile("adam", "categorical_crossentropy")
        x = np.zeros((2, 299, 299, 3), "uint8")
        self.fails(r"layer 1, conv2d_1 \(Conv2D\), is trainable: .*write model\.layers\[1\]\.trainable = False",
                   model.fit, x, np.eye(2))
        for layer in model.layers:
            layer.trainable = False
        self.fails(r"no layer is trainable; write model\.layers\[312\]\.trainable = True", model.fit, x, np.eye(2))

    def test_shapes_of_pictures(self):
        predict = self.base.predict
        self.fails(r"\(N, 299, 299, 3\), got an array with shape \(299, 299, 3\); one picture needs a batch "
                   r"dimension: np\.expand_dims", predict, np.zeros((299, 299, 3), "uint8"))
        error = self.fails(r"load_img\(path, target_size=\(299, 299\)\) resizes", predict,
                           np.zeros((1, 200, 299, 3), "uint8"))
        self.assertEqual(error.code, "GF_ESHAPE")
        self.fails("without pictures", predict, np.zeros((0, 299, 299, 3), "uint8"))
        self.fails("values from -5 to 0: expected 0 to 255, or -1 to 1", predict,
                   np.linspace(-5, 0, 299 * 299 * 3).reshape(1, 299, 299, 3))
        self.fails("not numbers", predict, np.full((1, 299, 299, 3), np.nan))
        self.fails("type bool", predict, np.zeros((1, 299, 299, 3), bool))

    def test_cells_of_a_notebook_in_another_order(self):
        self.fails("the input is the output of layer avg_pool, expected an array; run the cell", self.base.predict,
                   self.base.layers[311].output)
        once = preprocess_input(np.array([0, 51, 255], "float32"))
        with self.assertWarnsRegex(UserWarning, "values below 0"):
            twice = preprocess_input(once)
        self.assertEqual(np.round(twice, 6).tolist(), np.round([-1, -0.6, 1], 6).astype("float32").tolist())

    def test_what_cannot_be_built(self):
        maps = self.base.get_layer("mixed0").output
        self.fails(r"input has shape \(None, 35, 35, 256\); put GlobalAveragePooling2D\(\) or Flatten\(\)",
                   Dense(2), maps)
        self.fails("global pooling layers", Conv2D(), maps)
        self.fails("on pictures of shape", Model, self.base.input, Dropout(0.2)(maps))
        self.fails("no layer is called 'mixed99'", self.base.get_layer, "mixed99")
        self.fails("outputs of layers, got ndarray", Model, np.zeros(3), maps)
        self.fails("inputs are input", Model, Input(shape=(4,)), maps)
        dense = Dense(2)
        dense(GlobalAveragePooling2D()(maps))
        self.fails("connected already, to .*; make another Dense", dense, self.base.layers[311].output)
        self.fails("called with ndarray", Dense(2), np.zeros((1, 4)))
        self.fails("follows dropout_a: two Dropout", Model, self.base.input,
                   Dense(2)(Dropout(0.2)(Dropout(0.1, name="dropout_a")(self.base.layers[311].output))))
        self.fails("an Activation follows a Dense layer", Model, self.base.input,
                   Activation("relu")(self.base.layers[311].output))
        self.fails("begins with", self.base, Input(shape=(4,)))
        self.fails("cannot be put on another input", self.base, Input(shape=(299, 299, 3)))
        self.fails("weights of a pretrained network do not change", self.base.layers[1].set_weights,
                   [np.zeros((3, 3, 3, 32))])

    def test_options_of_inception(self):
        self.fails("does not train networks from nothing", InceptionV3, weights=None)
        self.fails(r"input_shape is \(150, 150, 3\), graft runs it at \(299, 299, 3\)", InceptionV3,
                   include_top=False, input_shape=(150, 150, 3))
        self.fails("pooling is 'sum'", InceptionV3, include_top=False, pooling="sum")
        error = self.fails("graft pull", InceptionV3, weights="resnet", kind=FileNotFoundError)
        self.assertEqual(error.code, "GF_ENOTFOUND")
        self.fails("scores of 7 classes", decode_predictions, np.zeros((1, 7)))
        self.fails("expected \\(N, classes\\)", decode_predictions, np.zeros(5))
        self.fails("channels last", preprocess_input, np.zeros(3), data_format="channels_first")

    def test_models_without_a_head_are_not_trained_or_saved(self):
        base = InceptionV3(weights="imagenet")
        base.compile("adam", "categorical_crossentropy")
        self.fails(r"no Dense layers of its own; put some on it: Dense\(2", base.fit,
                   np.zeros((1, 299, 299, 3), "uint8"), np.eye(1, 5))
        self.fails("no Dense layers of its own", base.save, words.scratch("no.safetensors"))
        x = GlobalAveragePooling2D()(base.get_layer("mixed0").output)
        linear = Model(base.input, Dense(2)(x))
        self.fails("a model file's last layer is a softmax or a sigmoid", linear.save, words.scratch("no.safetensors"))


class Options(Case):
    def test_layers(self):
        self.fails("units is 0", Dense, 0)
        self.fails("units is 2.5", Dense, 2.5)
        self.fails("activation 'swish', graft has linear, relu, tanh, sigmoid, softmax", Dense, 2,
                   activation="swish")
        self.fails("have a bias", Dense, 2, use_bias=False)
        self.fails("kernel_initializer 'he_normal'", Dense, 2, kernel_initializer="he_normal")
        self.fails("kernel_regularizer 'l2'", Dense, 2, kernel_regularizer="l2")
        self.fails("no option groups", Dense, 2, groups=2, kind=TypeError)
        self.fails("rate is 1.5", Dropout, 1.5)
        self.fails("activation 'elu'", Activation, "elu")
        self.fails("Input needs shape", Input)
        self.fails("InputLayer needs input_shape", layers.InputLayer)
        self.fails("kernel of shape \\(2, 2\\), expected \\(4, 5\\)", table_model().layers[0].set_weights,
                   [np.zeros((2, 2)), np.zeros(5)])

    def test_compile(self):
        model = table_model()
        self.fails("loss 'mse': graft has categorical_crossentropy, sparse.*, binary_crossentropy", model.compile,
                   "adam", "mse")
        self.fails("metric 'categorical_accuracy' with the loss binary_crossentropy: use 'accuracy'", model.compile,
                   "adam", "binary_crossentropy", ["categorical_accuracy"])
        self.fails("metric 'binary_accuracy' with the loss categorical", model.compile, "adam",
                   "categorical_crossentropy", ["binary_accuracy"])
        self.fails("threshold 0.5", metrics.BinaryAccuracy, threshold=0.7)
        self.fails("optimizer 'adagrad': graft has adam, sgd and rmsprop", model.compile, "adagrad",
                   "categorical_crossentropy")
        self.fails("metric 'auc': graft measures 'accuracy'", model.compile, "adam", "categorical_crossentropy",
                   ["auc"])
        self.fails("no option loss_weights", model.compile, "adam", "categorical_crossentropy", loss_weights=[2])
        self.fails("learning rate is 0, expected above 0", optimizers.Adam, 0)
        self.fails("learning rate <", optimizers.Adam, object())
        self.fails("beta_1=0.5; graft's has beta_1=0.9", optimizers.Adam, beta_1=0.5)
        self.fails("nesterov=True", optimizers.SGD, nesterov=True)
        self.fails("momentum is 1", optimizers.SGD, momentum=1)
        self.fails("no option speed", optimizers.SGD, speed=3, kind=TypeError)
        self.fails("without from_logits", losses.CategoricalCrossentropy, from_logits=True)
        self.fails("pass it to compile", losses.categorical_crossentropy, 1, 2)
        self.fails("pass it to compile", losses.binary_crossentropy, 1, 2)

    def test_fit(self):
        model = table_model()
        fresh = Sequential([Dense(3, activation="softmax", input_dim=4)])
        self.fails("compile the model first: model.compile", fresh.fit, ROWS, LABELS)
        self.fails("epochs is 0 and initial_epoch 0", model.fit, ROWS, LABELS, epochs=0)
        self.fails("epochs is 2.5, expected a whole number", model.fit, ROWS, LABELS, epochs=2.5)
        self.fails("batch_size is 0, expected at least 1", model.fit, ROWS, LABELS, batch_size=0)
        self.fails("batch_size is -1, expected at least 1", model.fit, ROWS, LABELS, batch_size=-1)
        self.fails("validation_data is int, expected", model.fit, ROWS, LABELS, validation_data=3)
        self.fails("y has values of type <U1, expected class numbers", model.fit, ROWS, list("abcabc"))
        self.fails("y has 5 rows, the inputs have 6", model.fit, ROWS, LABELS[:5])
        self.fails(r"y\[1\] is 3, expected a class number from 0 to 2", model.fit, ROWS, [0, 3, 0, 0, 0, 0])
        self.fails("use the loss 'categorical_crossentropy'", model.fit, ROWS, to_categorical(LABELS))
        self.fails(r"expected inputs of shape \(N, 4\), got an array with shape \(6, 3\)", model.fit, ROWS[:, :3],
                   LABELS)
        self.fails("row 2 has a value that is not a number", model.fit, np.where(ROWS == ROWS[2, 1], np.inf, ROWS),
                   LABELS)
        self.fails(r"sample_weight has shape \(1,\), expected \(6,\)", model.fit, ROWS, LABELS, sample_weight=[1])
        self.fails(r"sample_weight has shape \(5,\), expected \(6,\)", model.fit, ROWS, LABELS,
                   sample_weight=np.ones(5), validation_split=0.5)
        self.fails(r"sample_weight\[2\] is -1, expected at least 0", model.fit, ROWS, LABELS,
                   sample_weight=[1, 1, -1, 1, 1, 1])
        self.fails("sample_weight has values of type <U1", model.evaluate, ROWS, LABELS, sample_weight=list("abcabc"))
        self.fails("shuffle='batch'; True is a new order", model.fit, ROWS, LABELS, shuffle="batch")
        self.fails("verbose is 3, expected 0", model.fit, ROWS, LABELS, verbose=3)
        self.fails("no option steps_per_epoch: an epoch is all rows", model.fit, ROWS, LABELS, steps_per_epoch=10)
        self.fails("no option speed$", model.fit, ROWS, LABELS, speed=3)
        self.fails("validation_data has 1 parts", model.fit, ROWS, LABELS, validation_data=[ROWS])
        self.fails("validation_split is 2", model.fit, ROWS, LABELS, validation_split=2)
        self.fails("leaves one part empty", model.fit, ROWS, LABELS, validation_split=0.99)
        self.fails("class 3, expected 0 to 2", model.fit, ROWS, LABELS, class_weight={3: 1})
        self.fails("weight of class 0 is -1", model.fit, ROWS, LABELS, class_weight={0: -1}, verbose=0)
        self.fails("needs x and y", model.fit, ROWS)
        self.fails("expected a Callback", model.fit, ROWS, LABELS, callbacks=[3])
        wild = Sequential([Dense(50, activation="relu", input_dim=4), Dense(3, activation="softmax")])
        wild.compile(optimizers.SGD(1e37), "sparse_categorical_crossentropy")
        self.fails("a learning rate below 1e\\+37 may help", wild.fit, ROWS, LABELS, epochs=5, batch_size=2,
                   verbose=0)
        model.compile("adam", "categorical_crossentropy")
        self.fails(r"expected \(6, 3\) .* use to_categorical\(y\)", model.fit, ROWS, LABELS)
        self.fails(r"y\[0\] is \[0\.5 0\.5 0\. *\]: graft learns from one-hot rows", model.fit, ROWS,
                   [[0.5, 0.5, 0]] * 6)
        linear = table_model(activation="linear")
        self.fails("needs activation='softmax', or 'sigmoid' for yes or no", linear.fit, ROWS, LABELS)
        model = table_model()
        model.layers[1].trainable = False
        self.fails("is frozen, but stands behind the trainable layer", model.fit, ROWS, LABELS)
        late = Sequential([Dense(3, activation="softmax", input_dim=4), Dropout(0.1)])
        late.compile("adam", "sparse_categorical_crossentropy")
        self.fails("a Dropout after the last Dense layer", late.fit, ROWS, LABELS)
        self.fails("no layers yet", Sequential().predict, ROWS)
        self.fails("takes a layer, got str", Sequential().add, "Dense")
        self.fails("only be the first", Sequential([Dense(2, input_dim=4)]).add, model)
        self.fails("no layer to take away", Sequential().pop)

    def test_callbacks(self):
        model = table_model()
        self.fails("monitor is 'val_loss', the epoch has loss, accuracy", model.fit, ROWS, LABELS, verbose=0,
                   callbacks=[callbacks.EarlyStopping()])
        self.fails("there is no on_batch_begin", callbacks.LambdaCallback, on_batch_end=print)
        self.fails("histogram_freq", callbacks.TensorBoard, histogram_freq=1)
        self.fails("update_freq='batch'", callbacks.TensorBoard, update_freq="batch")
        self.fails("mode is 'best'", callbacks.EarlyStopping, mode="best")
        self.fails("save_freq=10", callbacks.ModelCheckpoint, "x", save_freq=10)

        self.fails("filepath is 'm-{val_loss}': 'val_loss'; the epoch has loss, accuracy, epoch", model.fit, ROWS,
                   LABELS, verbose=0, callbacks=[callbacks.ModelCheckpoint("m-{val_loss}")])

        self.fails("schedule is 0.1, expected a function", callbacks.LearningRateScheduler, 0.1)
        self.fails("schedule gave None for epoch 0, expected a number", model.fit, ROWS, LABELS, verbose=0,
                   callbacks=[callbacks.LearningRateScheduler(lambda epoch: None)])
        self.fails("learning rate is -0.5, expected above 0", model.fit, ROWS, LABELS, verbose=0,
                   callbacks=[callbacks.LearningRateScheduler(lambda epoch, rate: -0.5)])
        self.fails("factor is 1, expected above 0 and below 1", callbacks.ReduceLROnPlateau, factor=1)

        class Batches(callbacks.Callback):
            def on_batch_end(self, batch, logs=None):
                raise AssertionError("nobody calls this")
        with self.assertWarnsRegex(UserWarning, "Batches.on_batch_end is not called"):
            model.fit(ROWS, LABELS, verbose=0, callbacks=[Batches()])

        def stumble(epoch, logs):
            raise RuntimeError("a callback's own")
        with self.assertRaisesRegex(RuntimeError, "a callback's own"):
            model.fit(ROWS, LABELS, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_end=stumble)])


class Sigmoid(Case):
    def model(self, units=1, metrics=("accuracy",)):
        made = Sequential([Dense(units, activation="sigmoid", input_dim=4)])
        made.compile("adam", "binary_crossentropy", list(metrics))
        return made

    def test_what_it_learns_from(self):
        self.fails(r"y has shape \(6, 3\), expected \(6, 1\) or \(6,\) .* Dense\(3, activation='softmax'\)",
                   self.model().fit, ROWS, to_categorical(LABELS))
        self.fails(r"y\[2\] is 2, expected 0 or 1", self.model().fit, ROWS, LABELS)
        self.fails(r"y\[0\] is -1, expected 0 or 1", self.model().fit, ROWS, [-1, 1] * 3)
        self.fails("y has 5 rows", self.model().evaluate, ROWS, [0, 1, 0, 1, 0])
        self.fails(r"validation data's y\[1\] is 7", self.model().fit, ROWS, [0, 1] * 3, validation_data=(ROWS[:2], [0, 7]))
        self.fails(r"y has shape \(6,\), expected \(6, 2\) for", self.model(2, ()).fit, ROWS, [0, 1] * 3)
        self.fails("class 2, expected 0 to 1", self.model().fit, ROWS, [0, 1] * 3, class_weight={2: 1})
        self.fails("weight of class 1 is -2", self.model().fit, ROWS, [0, 1] * 3, class_weight={1: -2})
        self.fails("2 answers a row are not classes of it; weigh rows", self.model(2, ()).fit, ROWS, [[0, 1]] * 6,
                   class_weight={0: 2})

    def test_loss_metric_and_last_layer_must_be_each_other_s(self):
        wrong = table_model()
        wrong.compile("adam", "binary_crossentropy")
        self.fails("is a softmax, the loss binary_crossentropy: compile it with 'categorical_crossentropy' or", wrong.fit,
                   ROWS, LABELS)
        wrong = self.model()
        wrong.compile("adam", "sparse_categorical_crossentropy")
        self.fails("is a sigmoid, the loss sparse_.*: compile it with 'binary_crossentropy'", wrong.fit, ROWS, [0, 1] * 3)
        self.fails("'binary_accuracy' looks at each of them", self.model(2).fit, ROWS, [[0, 1]] * 6)

    def test_names(self):
        self.fails(r"2 names, the last layer 1 unit: name what its score is of, classes=\['dog'\]", self.model().save,
                   words.scratch("dog.safetensors"), classes=["cat", "dog"])


class Files(Case):
    def test_saving_and_loading(self):
        model = table_model()
        path = words.scratch("model.safetensors")
        model.save(path)
        self.fails("there already, and overwrite is False", model.save, path, overwrite=False, kind=FileExistsError)
        self.fails("is a folder; give a file's name", model.save, words.HOME)
        self.fails("classes has 2 different names, the last layer 3 units", model.save, path, classes=["a", "b"])
        self.fails("cannot open", load_model, words.scratch("nowhere.safetensors"), kind=FileNotFoundError)
        with open(words.scratch("text.safetensors"), "w", encoding="utf-8") as file:
            file.write("no model, but long enough to be looked at")
        error = self.fails("text.safetensors", load_model, words.scratch("text.safetensors"))
        self.assertEqual(error.code, "GF_EFORMAT")
        self.fails("no weights of graft", model.load_weights, words.scratch("text.safetensors"))
        self.fails("nowhere.npz: No such file", model.load_weights, words.scratch("nowhere.npz"), kind=FileNotFoundError)
        self.fails("without '..'", graft.load, "gs://bucket/../secret")
        self.fails("gs://BUCKET/NAME", graft.load, "gs:///x")

    def test_a_full_disk(self):
        """And a limit of the size of files, which is told in the same way: nothing is left of what was begun."""
        model = table_model()
        folder = words.scratch("full")
        os.mkdir(folder)
        self.fails("No space left on device", model.fit, ROWS, LABELS, verbose=0, kind=OSError,
                   callbacks=[callbacks.CSVLogger("/dev/full")])
        script = """if 1:
            import resource, signal, sys
            sys.path.insert(0, sys.argv[1])
            from graft.keras.layers import Dense
            from graft.keras.models import Sequential
            model = Sequential([Dense(500, activation="relu", input_dim=400), Dense(3, activation="softmax")])
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            for save, name in ((model.save, "m.safetensors"), (model.save, "m.h5"), (model.save_weights, "w.npz")):
                try:
                    save(f"{sys.argv[2]}/{name}")
                except OSError as error:
                    print(name, type(error).__name__, error)
            """
        done = subprocess.run([sys.executable, "-c", script, os.environ["PYTHONPATH"], folder], text=True,
                              capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertEqual([line.split()[:2] for line in lines],
                         [[name, "InputOutputError"] for name in ("m.safetensors", "m.h5", "w.npz")], lines)
        self.assertEqual(os.listdir(folder), [])

    def test_pictures(self):
        self.fails("nowhere.png: No such file", image.load_img, words.scratch("nowhere.png"), kind=FileNotFoundError)
        self.fails("broken.png: ", image.load_img, self.broken())
        self.fails("no known format|not a picture|expected", image.load_img, b"plain text")
        with self.assertRaises(FileNotFoundError):
            image.load_img(words.scratch("nowhere.jpg"))
        self.fails("graft's networks see RGB", image.load_img, self.broken(), grayscale=True)
        self.fails("interpolation 'nearest'", image.load_img, self.broken(), interpolation="nearest")
        self.fails("target_size is", image.load_img, self.broken(), target_size=(3,))
        self.fails(r"shape \(2, 2, 4\)", image.array_to_img, np.zeros((2, 2, 4)))
        self.fails("ends in .png", image.array_to_img(np.zeros((2, 2, 3))).save, words.scratch("x.tiff"))

    def broken(self):
        path = words.scratch("broken.png")
        with open(path, "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n and then nothing")
        return path

    def test_arrays_and_splits(self):
        self.fails("expected class numbers", to_categorical, ["a"])
        self.fails("whole numbers from 0", to_categorical, [0.5])
        self.fails("class 4 of 3 classes", to_categorical, [4], num_classes=3)
        self.fails("arrays of 6 and 5 rows", train_test_split, ROWS, LABELS[:5])
        self.fails("test_size is 1.5", train_test_split, ROWS, test_size=1.5)
        self.fails("test_size is 6 of 6 rows", train_test_split, ROWS, test_size=6)
        self.fails("shuffle=False; slice", train_test_split, ROWS, shuffle=False)
        self.fails("random_state is -1", train_test_split, ROWS, random_state=-1)
        self.fails("no arrays", train_test_split)

    def test_settings(self):
        self.fails("threads is 'many'", settings.configure, threads="many")
        self.fails("precision is 'int4', expected auto, f32 or bf16", settings.configure, precision="int4")
        self.fails("seed is -1", settings.configure, seed=-1)
        os.environ["GRAFT_THREADS"] = "x"
        self.addCleanup(os.environ.pop, "GRAFT_THREADS")
        self.fails("GRAFT_THREADS is 'x'", settings.threads)


class Library(unittest.TestCase):
    def run_python(self, code, **environment):
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              env=dict(os.environ, **environment))

    def test_a_library_that_is_none(self):
        done = self.run_python("from graft import native; native.lib()", GRAFT_LIBRARY="/nowhere/libgraft.so")
        self.assertRegex(done.stderr, r"ImportError: the library of graft cannot be loaded: /nowhere/libgraft\.so "
                                      r".*set GRAFT_LIBRARY")
        with open("/proc/self/maps", encoding="utf-8") as file:
            libc = next(line.split()[-1] for line in file if re.search(r"/libc\.so", line))
        done = self.run_python("from graft import native; native.lib()", GRAFT_LIBRARY=libc)
        self.assertRegex(done.stderr, r"ImportError: .*is no library of graft")

    def test_an_installed_package_finds_the_library_of_its_prefix(self):
        prefix = words.scratch("prefix with a space")
        package = os.path.join(prefix, "share/graft/python/graft")
        shutil.copytree(os.path.dirname(graft.__file__), package, ignore=shutil.ignore_patterns("__pycache__"))
        library = os.path.join(prefix, "lib/some-linux-gnu/libgraft.so.0")
        os.makedirs(os.path.dirname(library))
        os.symlink(os.environ["GRAFT_LIBRARY"], library)
        environment = {name: value for name, value in os.environ.items() if name != "GRAFT_LIBRARY"}
        done = subprocess.run([sys.executable, "-c", "from graft import native; print(native.lib()._name)"],
                              capture_output=True, text=True, check=False,
                              env=dict(environment, PYTHONPATH=os.path.dirname(package)))
        self.assertEqual(done.stdout.strip(), library, done.stderr)

    def test_importing_needs_no_library(self):
        done = self.run_python("import graft, graft.keras; print(graft.__version__)", GRAFT_LIBRARY="/nowhere/x.so")
        self.assertEqual(done.stdout.strip(), graft.__version__, done.stderr)

    def test_another_version_is_refused(self):
        done = self.run_python("from graft import native; native.VERSION = '9.9.0'; native.lib()")
        self.assertRegex(done.stderr, r"is graft \d+\.\d+\.\d+, this Python package is 9\.9\.0: install both from one")

    def test_ctrl_c_stops_the_network_and_the_training(self):
        code = """
import os, signal, sys, threading, time
import numpy as np
from graft.keras.applications.inception_v3 import InceptionV3
from graft.keras.models import Sequential
from graft.keras.layers import Dense
def interrupt(after):
    threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT)).start()
model = InceptionV3(weights="imagenet")
x = np.random.RandomState(int(sys.argv[1])).randint(0, 256, (400, 299, 299, 3), dtype=np.uint8)
model.predict(x[:1])
started = time.monotonic()
model.predict(x[:40])
whole = 10 * (time.monotonic() - started)
started = time.monotonic()
try:
    interrupt(whole / 20)
    model.predict(x)
except KeyboardInterrupt:
    print("network stopped", time.monotonic() - started < whole * 0.7)
table = Sequential([Dense(512, activation="relu", input_dim=256), Dense(2, activation="softmax")])
table.compile("adam", "sparse_categorical_crossentropy")
try:
    interrupt(0.5)
    table.fit(np.random.rand(2000, 256), np.arange(2000) % 2, epochs=100000, verbose=0)
except KeyboardInterrupt:
    print("training stopped", table.layers[0].get_weights()[0].std() > 0)
"""
        done = subprocess.run([sys.executable, "-c", code, "1"], capture_output=True, text=True, timeout=500)
        self.assertEqual(done.stdout.split("\n")[:2], ["network stopped True", "training stopped True"], done.stderr)


if __name__ == "__main__":
    unittest.main()
