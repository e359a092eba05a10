"""Models as Keras has them: layers, cutting and extending, training, repeating, saving and loading."""
import hashlib
import io
import json
import os
import threading
import unittest

import words

import numpy as np

import graft
import graft.datasets
from graft import settings
from graft.keras import backend
from graft.keras.applications.inception_v3 import InceptionV3, decode_predictions, preprocess_input
from graft.keras.layers import (Activation, Dense, Dropout, Flatten, GlobalAveragePooling2D,
                                GlobalMaxPooling2D, Input)
from graft.keras.models import Model, Sequential, load_model
from graft.keras.optimizers import SGD, Adam, RMSprop
from graft.keras.preprocessing import image
from graft.keras.utils import to_categorical

FILES = words.pictures("food", 8) + words.pictures("plants", 8)
X = np.stack([np.asarray(image.load_img(name, target_size=(299, 299))) for name in FILES])
Y = to_categorical(np.repeat([0, 1], 8))


def golden():
    """ONNX Runtime's numbers for two pictures that a formula makes."""
    import struct
    with open(os.path.join(words.TESTS, "golden/engine/inception.safetensors"), "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    values = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values[name] = np.frombuffer(data[8 + size + begin:8 + size + end], "<f4")
    y, x, c = np.indices((299, 299, 3))
    first = np.abs((3 * x + 5 * y + 90 * c) % 512 - 256)
    second = np.abs((11 * x + (y * y) // 64 + 200 * c) % 512 - 256)
    return np.minimum((first + second) // 2, 255).astype(np.uint8)[None], values


def transfer_model(units=32, classes=2, cut="mixed1"):
    base = InceptionV3(weights="imagenet")
    x = GlobalAveragePooling2D()(base.get_layer(cut).output)
    x = Dense(units, activation="relu")(x)
    model = Model(inputs=base.input, outputs=Dense(classes, activation="softmax")(x))
    for layer in model.layers[:-2]:
        layer.trainable = False
    model.compile("adam", "categorical_crossentropy", ["accuracy"])
    return model


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Golden(unittest.TestCase):
    def setUp(self):
        settings.configure(precision="f32")
        self.addCleanup(settings.configure, precision="auto")

    def test_scores_and_features_are_the_reference_s(self):
        waves, want = golden()
        model = InceptionV3(weights="imagenet")
        for x in (waves, preprocess_input(waves.astype("float32")), waves.astype("float64")):
            found = model.predict(x)
            self.assertEqual(found.dtype, np.float32)
            np.testing.assert_allclose(found[0], want["waves_softmax"], atol=1e-4)
        cut = Model(inputs=model.input, outputs=model.layers[311].output)
        np.testing.assert_allclose(cut.predict(waves)[0], want["waves_avg_pool"], atol=2e-3)
        both = Model(inputs=model.input, outputs=[
            GlobalAveragePooling2D()(model.get_layer("mixed0").output),
            GlobalAveragePooling2D()(model.get_layer("mixed4").output)])
        for found, name in zip(both.predict(waves), ("waves_mixed0", "waves_mixed4")):
            np.testing.assert_allclose(found[0], want[name], atol=2e-3)

    def test_a_map_is_what_pooling_averages(self):
        waves, want = golden()
        model = InceptionV3(weights="imagenet", include_top=False)
        maps = Model(inputs=model.input, outputs=model.get_layer("mixed0").output).predict(waves)
        self.assertEqual(maps.shape, (1, 35, 35, 256))
        np.testing.assert_allclose(maps.mean(axis=(1, 2))[0], want["waves_mixed0"], atol=2e-3)
        highest = Model(model.input, GlobalMaxPooling2D()(model.get_layer("mixed0").output)).predict(waves)
        np.testing.assert_allclose(highest[0], maps.max(axis=(1, 2))[0], atol=1e-5)
        flat = Model(model.input, Flatten()(model.get_layer("mixed0").output)).predict(waves)
        np.testing.assert_array_equal(flat, maps.reshape(1, -1))


class Looking(unittest.TestCase):
    def test_layers_are_keras_own(self):
        backend.clear_session()
        model = InceptionV3(weights="imagenet")
        self.assertEqual([layer.name for layer in model.layers[:3]],
                         ["input_1", "conv2d_1", "batch_normalization_1"])
        conv = model.layers[1]
        self.assertRegex(repr(conv), r"<graft\.keras\.layers\.Conv2D object at 0x[0-9a-f]+>")
        self.assertEqual(conv.output_shape, (None, 149, 149, 32))
        self.assertEqual(conv.input_shape, (None, 299, 299, 3))
        self.assertEqual(conv.get_weights()[0].shape, (3, 3, 3, 32))
        self.assertEqual(conv.count_params(), 864)
        self.assertIs(conv.input, model.layers[0].output)
        pool = model.layers[311]
        self.assertEqual((pool.name, pool.output_shape), ("avg_pool", (None, 2048)))
        self.assertEqual(model.input_shape, (None, 299, 299, 3))
        self.assertEqual(len(InceptionV3(include_top=False).layers), 311)
        pooled = InceptionV3(include_top=False, pooling="avg")
        self.assertEqual(pooled.output_shape, (None, 2048))

    def test_new_layers_count_on_and_have_weights_at_once(self):
        backend.clear_session()
        first, second = Dense(3, activation="relu"), Dense(2)
        self.assertEqual((first.name, second.name), ("dense_1", "dense_2"))
        start = Input(shape=(4,))
        model = Model(start, Activation("softmax")(second(first(start))))
        kernel, bias = first.get_weights()
        limit = np.sqrt(6 / 7)
        self.assertTrue((np.abs(kernel) <= limit).all() and kernel.std() > 0.2)
        self.assertFalse(bias.any())
        config = first.get_config()
        self.assertEqual((config["units"], config["activation"]), (3, "relu"))
        self.assertEqual(json.loads(model.to_json())["config"]["layers"][1]["class_name"], "Dense")
        weights = [np.full((4, 3), 0.5), np.zeros(3), np.eye(3, 2), np.zeros(2)]
        model.set_weights(weights)
        x = np.array([[1, 2, 3, 4.0]])
        np.testing.assert_allclose(model.predict(x), [[0.5, 0.5]])

    def test_summary_prints_what_keras_prints(self):
        backend.clear_session()
        model = Sequential([Dense(10, activation="relu", input_dim=4), Dropout(0.5),
                            Dense(3, activation="softmax")], name="iris")
        lines = []
        model.summary(print_fn=lines.append)
        self.assertEqual("\n".join(lines), """Model: "iris"
_________________________________________________________________
Layer (type)                 Output Shape              Param #   
=================================================================
dense_1 (Dense)              (None, 10)                50        
_________________________________________________________________
dropout_1 (Dropout)          (None, 10)                0         
_________________________________________________________________
dense_2 (Dense)              (None, 3)                 33        
=================================================================
Total params: 83
Trainable params: 83
Non-trainable params: 0
_________________________________________________________________""")
        lines.clear()
        base = InceptionV3(weights="imagenet", include_top=False)
        base.summary(print_fn=lines.append)
        self.assertEqual(lines[0], 'Model: "inception_v3"')
        self.assertIn("Total params: 21,802,784", lines)
        self.assertIn("Trainable params: 21,768,352", lines)

    def test_decode_predictions_names_the_network_s_own_classes(self):
        model = InceptionV3(weights="imagenet")
        found = decode_predictions(np.array([[0.1, 0.5, 0.2, 0.15, 0.05]]), top=2)[0]
        names = graft.trunks.load().classes
        self.assertEqual([one[:2] for one in found], [("class_1", names[1]), ("class_2", names[2])])
        self.assertAlmostEqual(found[0][2], 0.5)
        self.assertEqual(len(decode_predictions(model.predict(X[:2]))[1]), 5)


class Training(unittest.TestCase):
    def test_features_are_computed_once_for_an_array(self):
        model = transfer_model()
        x = preprocess_input(X.astype("float32"))
        model.fit(x, Y, epochs=1, verbose=0)
        trunk = graft.trunks.load()
        extractor = trunk.extractor((("mixed1", 1),))
        runs, run = [], extractor.run
        extractor.run = lambda pixels, progress: runs.append(len(pixels)) or run(pixels, progress)
        self.addCleanup(delattr, extractor, "run")
        model.fit(x, Y, epochs=1, verbose=0, validation_data=(X.copy(), Y))
        model.evaluate(x, Y)
        scores = model.predict(x)
        self.assertEqual(runs, [])
        self.assertTrue(np.array_equal(model.predict(X[3:5]), scores[3:5]))
        self.assertEqual(runs, [2])

    def test_threads_may_ask_one_network(self):
        base = InceptionV3(weights="imagenet")
        wanted = np.random.default_rng(5).integers(0, 256, (4, 2, 299, 299, 3), "uint8")
        found = [None] * len(wanted)

        def ask(i):
            found[i] = base.predict(wanted[i])
        asking = [threading.Thread(target=ask, args=(i,)) for i in range(len(wanted))]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        for pictures, scores in zip(wanted, found):
            self.assertTrue(np.array_equal(base.predict(pictures), scores))

    def test_warnings_of_the_library_are_logged(self):
        home = words.scratch("home without a cache")
        os.mkdir(home)
        os.symlink(os.path.join(words.HOME, "trunks"), os.path.join(home, "trunks"))
        with open(os.path.join(home, "features"), "w", encoding="utf-8") as file:
            file.write("a file in the place of the folder")
        settings.configure(home=home)
        self.addCleanup(settings.configure, home=words.HOME)
        model = transfer_model()
        with self.assertLogs("graft", "WARNING") as logged:
            model.predict(X[:1] // 2)
        self.assertIn("the feature cache is not written", logged.output[0])

    def test_two_runs_give_the_same_bytes_and_two_fits_go_on(self):
        paths = []
        for parts in ((4,), (4,), (2, 2)):
            model = transfer_model()
            for epochs in parts:
                model.fit(X, Y, epochs=epochs, batch_size=4, verbose=0)
            model._training = None  # the record says how many fits there were
            paths.append(words.scratch(f"same-{len(paths)}.safetensors"))
            model.save(paths[-1], classes=["food", "plants"])
        self.assertEqual(len({digest(path) for path in paths}), 1)
        settings.configure(seed=7)
        self.addCleanup(settings.configure, seed=42)
        model = transfer_model()
        model.fit(X, Y, epochs=4, batch_size=4, verbose=0)
        model._training = None
        model.save(words.scratch("other-seed.safetensors"), classes=["food", "plants"])
        self.assertNotEqual(digest(words.scratch("other-seed.safetensors")), digest(paths[0]))

    def test_the_rate_may_change_between_two_fits(self):
        rows = np.random.default_rng(3).random((30, 4), "float32")
        labels = np.arange(30) % 3

        def trained(*rates):
            model = Sequential([Dense(5, activation="relu", input_dim=4), Dense(3, activation="softmax")])
            model.compile(SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
            for rate in rates:
                model.optimizer.lr = rate
                model.fit(rows, labels, verbose=0)
            return model.get_weights()
        once, faster, slower = trained(0.1), trained(0.1, 0.2), trained(0.1, 1e-9)
        self.assertTrue(all(np.allclose(a, b, atol=1e-2) for a, b in zip(once, slower)))
        self.assertFalse(all(np.allclose(a, b, atol=1e-2) for a, b in zip(once, faster)))
        # The momentum of the first fit is still there: without it the smallest of rates would change nothing.
        self.assertFalse(all(np.array_equal(a, b) for a, b in zip(once, slower)))

    def test_the_weights_are_those_of_graft_train(self):
        np.savez(words.scratch("own.npz"), features=X, labels=np.repeat([0, 1], 8))
        np.savez(words.scratch("held.npz"), features=X[::4], labels=np.repeat([0, 1], 8)[::4])
        output = words.scratch("program.safetensors")
        words.graft("train", words.scratch("own.npz"), "--test", words.scratch("held.npz"), "--layer", "mixed1",
                      "--hidden", "32", "--epochs", "5", "--batch", "4", "-o", output)
        model = transfer_model()
        model.fit(X, Y, epochs=5, batch_size=4, verbose=0, validation_data=(X[::4], Y[::4]))
        theirs = load_model(output)
        self.assertEqual(theirs.classes, ["0", "1"])
        for ours, other in zip(model.layers[-2:], theirs.layers[-2:]):
            for a, b in zip(ours.get_weights(), other.get_weights()):
                self.assertTrue(np.array_equal(a, b))
        self.assertTrue(np.array_equal(model.predict(X), theirs.predict(X)))

    def test_frozen_dense_layers_stay_as_they_are(self):
        model = transfer_model()
        model.layers[-2].trainable = False
        model.compile("sgd", "sparse_categorical_crossentropy", ["acc"])
        before = [layer.get_weights() for layer in model.layers[-2:]]
        history = model.fit(X, Y.argmax(axis=1), epochs=2, verbose=0)
        after = [layer.get_weights() for layer in model.layers[-2:]]
        self.assertTrue(np.array_equal(before[0][0], after[0][0]))
        self.assertFalse(np.array_equal(before[1][0], after[1][0]))
        self.assertEqual(sorted(history.history), ["acc", "loss"])

    def test_class_weight_and_validation_split(self):
        plain, weighted = transfer_model(), transfer_model()
        plain.fit(X, Y, epochs=1, verbose=0)
        history = weighted.fit(X, Y, epochs=2, verbose=0, class_weight={0: 5.0}, validation_split=0.25)
        self.assertFalse(np.array_equal(plain.layers[-1].get_weights()[0], weighted.layers[-1].get_weights()[0]))
        self.assertEqual(sorted(history.history), ["accuracy", "loss", "val_accuracy", "val_loss"])
        self.assertEqual(history.epoch, [0, 1])
        loss, accuracy = weighted.evaluate(X[12:], Y[12:])
        self.assertAlmostEqual(loss, history.history["val_loss"][-1], places=5)
        self.assertEqual(accuracy, history.history["val_acc"][-1])


class Numbers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rng = np.random.RandomState(5)
        centres = np.array([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
        cls.labels = np.repeat([0, 1, 2], 50)
        cls.rows = centres[cls.labels] + rng.normal(0, 0.25, (150, 4))

    def test_each_optimizer_learns_an_iris_like_table(self):
        rows = (self.rows - self.rows.mean(axis=0)) / self.rows.std(axis=0)
        for optimizer in (SGD(learning_rate=0.05, momentum=0.9), SGD(lr=0.1), Adam(lr=0.02), RMSprop(lr=0.01), "sgd"):
            model = Sequential()
            model.add(Dense(16, activation="relu", input_shape=(4,)))
            model.add(Dense(3, activation="softmax"))
            model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
            model.fit(rows, self.labels, epochs=60, batch_size=16, verbose=0)
            self.assertGreaterEqual(model.evaluate(rows, self.labels)[1], 0.95, optimizer)

    def test_a_saved_table_model_answers_the_program(self):
        model = Sequential([Dense(8, activation="relu"), Dropout(0.2), Dense(3), Activation("softmax")])
        model.compile(Adam(0.02), "categorical_crossentropy")
        self.assertEqual(model.layers[0].count_params() if model.outputs else 0, 0)
        history = model.fit(self.rows, to_categorical(self.labels), epochs=30, verbose=0)
        self.assertEqual(list(history.history), ["loss"])
        self.assertIsInstance(model.evaluate(self.rows, to_categorical(self.labels)), float)
        path = words.scratch("iris.safetensors")
        model.save(path, classes=["setosa", "versicolor", "virginica"])
        row = ",".join(f"{value:.3f}" for value in self.rows[0])
        answer = json.loads(words.graft("predict", path, "--numbers", row, "--json"))[0]
        want = model.predict(np.array([[float(value) for value in row.split(",")]]))[0]
        self.assertEqual(answer["class"], "setosa")
        self.assertAlmostEqual(answer["score"], float(want.max()), places=6)
        self.assertIn("3 stored rows", words.graft("verify", path))
        again = graft.load(path)
        self.assertEqual(again.classes, ["setosa", "versicolor", "virginica"])
        self.assertTrue(np.array_equal(again.predict(self.rows), model.predict(self.rows)))

    def test_a_model_of_the_program_is_standardised_and_trained_on(self):
        path = words.scratch("program-iris.safetensors")
        table = os.path.join(words.TESTS, "cli/data/iris.csv")
        words.graft("train", table, "--hidden", "16", "--epochs", "60", "--lr", "0.02", "--stratify", "-o", path)
        model = graft.load(path)
        row = [5.1, 3.5, 1.4, 0.2]
        answer = json.loads(words.graft("predict", path, "--numbers", "5.1,3.5,1.4,0.2", "--json"))[0]
        scores = model.predict([row])[0]
        self.assertEqual(model.classes[scores.argmax()], answer["class"])
        self.assertAlmostEqual(float(scores.max()), answer["score"], places=6)
        model.save(words.scratch("again.safetensors"))
        self.assertTrue(np.array_equal(graft.load(words.scratch("again.safetensors")).predict([row])[0], scores))
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        model.fit(self.rows, self.labels, epochs=20, verbose=0)
        self.assertGreaterEqual(model.evaluate(self.rows, self.labels)[1], 0.9)

    def test_two_dimensional_inputs_are_flattened(self):
        model = Sequential([Flatten(input_shape=(2, 2)), Dense(3, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        model.fit(self.rows.reshape(-1, 2, 2), self.labels, epochs=40, verbose=0)
        self.assertEqual(model.predict(self.rows[:5].reshape(-1, 2, 2)).shape, (5, 3))
        model.pop()
        self.assertEqual(len(model.layers), 1)
        model.add(Dense(2, activation="softmax"))
        self.assertEqual(model.output_shape, (None, 2))


class Files(unittest.TestCase):
    def test_a_saved_model_says_the_same_of_arrays_pictures_and_paths(self):
        model = transfer_model()
        model.fit(X, Y, epochs=5, verbose=0)
        path = "gs://bucket/models/own.safetensors"
        model.save(path, classes=["food", "plants"])
        where = os.path.join(words.HOME, "buckets/bucket/models/own.safetensors")
        self.assertEqual(graft.paths.resolve(path), where)
        want = model.predict(X)
        again = graft.load(path)
        self.assertEqual(again.classes, ["food", "plants"])
        self.assertTrue(np.array_equal(again.predict(X), want))
        with open(FILES[3], "rb") as file:
            content = file.read()
        for one in (FILES[3], content, [FILES[3]], image.load_img(FILES[3])):
            self.assertTrue(np.array_equal(again.predict(one)[0], want[3]))
        self.assertTrue(np.array_equal(again.predict(FILES[:4]), want[:4]))
        answers = json.loads(words.graft("predict", where, FILES[3], "--json"))
        scores = {one["class"]: one["score"] for one in answers[0]["top"]}
        for name, score in zip(again.classes, want[3]):
            self.assertAlmostEqual(scores[name], float(score), places=5)
        self.assertIn("2 stored pictures", words.graft("verify", where))
        self.assertEqual(again.document["training"]["history"]["epochs"][-1]["epoch"], 5)
        self.assertEqual(again.evaluate(X, Y), model.evaluate(X, Y))  # compiled as it was
        again.fit(X, Y, epochs=1, verbose=0)
        again.save("gs://bucket/folder/")
        self.assertTrue(np.array_equal(graft.load("gs://bucket/folder/model.safetensors").predict(X), again.predict(X)))
        self.assertEqual(again.predict_classes(X).tolist(), again.predict(X).argmax(axis=1).tolist())

    def test_a_bundle_needs_no_home(self):
        model = transfer_model()
        model.fit(X, Y, epochs=1, verbose=0)
        path = words.scratch("bundle.safetensors")
        model.save(path, bundle=True)
        want = model.predict(X[:2])
        home = words.scratch("empty-home")
        os.mkdir(home)
        settings.configure(home=home)
        self.addCleanup(settings.configure, home=words.HOME)
        again = graft.load(path)
        self.assertEqual(again.classes, ["0", "1"])
        np.testing.assert_allclose(again.predict(X[:2]), want, atol=1e-6)

    def test_data_sets_into_arrays(self):
        np.savez(words.scratch("three.npz"), features=X[:3], labels=[0, 2, 1])
        found = graft.datasets.load(words.scratch("three.npz"))
        self.assertTrue(np.array_equal(found.features, X[:3]))
        self.assertEqual(found.classes, ["0", "1", "2"])
        folder = words.scratch("folder")
        for i, name in enumerate(FILES[6:10]):
            os.makedirs(os.path.join(folder, ["plants", "food"][i % 2]), exist_ok=True)
            os.symlink(name, os.path.join(folder, ["plants", "food"][i % 2], os.path.basename(name)))
        found = graft.datasets.load(folder)
        self.assertEqual(found.classes, ["food", "plants"])
        self.assertEqual(found.labels.tolist(), [0, 0, 1, 1])
        order = [*sorted((7, 9), key=lambda i: os.path.basename(FILES[i])),
                 *sorted((6, 8), key=lambda i: os.path.basename(FILES[i]))]
        self.assertTrue(np.array_equal(found.features, X[order]))
        with self.assertRaisesRegex(FileNotFoundError, "no such file"):
            graft.datasets.load(words.scratch("nothing"))
        with self.assertRaisesRegex(ValueError, "no class folders"):
            graft.datasets.load(os.path.join(folder, "food"))

    def test_a_sequence_begins_with_a_network(self):
        base = InceptionV3(include_top=False)
        base.trainable = False
        model = Sequential([base, GlobalAveragePooling2D(), Dense(2, activation="softmax")])
        model.compile(Adam(0.02), "sparse_categorical_crossentropy", ["accuracy"])
        model.fit(X, Y.argmax(axis=1), epochs=30, verbose=0)
        self.assertGreaterEqual(model.evaluate(X, Y.argmax(axis=1))[1], 0.9)
        self.assertEqual(len(model.layers), 313)

    def test_weights_alone(self):
        model, other = transfer_model(), transfer_model()
        model.fit(X, Y, epochs=2, verbose=0)
        path = words.scratch("weights.npz")
        model.save_weights(path)
        other.load_weights(path)
        self.assertTrue(np.array_equal(model.predict(X), other.predict(X)))

    def test_pictures_in_and_out(self):
        img = image.load_img(FILES[0])
        self.assertEqual(img.size, (img.width, img.height))
        self.assertTrue(img._repr_png_().startswith(b"\x89PNG"))
        x = image.img_to_array(img)
        self.assertEqual((x.dtype, x.shape), (np.float32, (img.height, img.width, 3)))
        again = image.array_to_img(x, scale=False)
        self.assertTrue(np.array_equal(np.asarray(again), np.asarray(img)))
        again.save(words.scratch("again.png"))
        self.assertTrue(np.array_equal(np.asarray(image.load_img(words.scratch("again.png"))), np.asarray(img)))
        again.save("gs://bucket/pictures/again.jpg")
        self.assertEqual(image.load_img("gs://bucket/pictures/again.jpg").size, img.size)
        with open(FILES[0], "rb") as file:
            small = image.load_img(io.BytesIO(file.read()), target_size=(20, 10))
        self.assertEqual(small.size, (10, 20))
        self.assertEqual(np.asarray(image.array_to_img(np.eye(4)[:, :, None])).max(), 255)
        self.assertEqual(img.resize((7, 5)).size, (7, 5))


if __name__ == "__main__":
    unittest.main()
