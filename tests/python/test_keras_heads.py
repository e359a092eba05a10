"""Heads beyond relu and softmax: other activations, answers that are no distribution."""
import json
import subprocess
import unittest

import words

import numpy as np

import graft
from graft.keras import activations
from graft.keras.applications.inception_v3 import InceptionV3
from graft.keras.layers import Activation, Dense, Input
from graft.keras.models import Model, Sequential, load_model
from graft.keras.optimizers import SGD
from graft.keras.preprocessing import image

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(60, 4)).astype("float32")
RINGS = (np.square(ROWS[:, :2]).sum(axis=1) > 1.2).astype(int)  # no straight line divides them


def binary_model():
    model = Sequential([Input(shape=(4,)), Dense(12, activation="tanh"), Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    model.optimizer.learning_rate = 0.03
    return model


def softmax_model():
    model = Sequential([Dense(6, activation="relu", input_dim=4), Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def by_hand(model, rows):
    """What the layers say, in numpy."""
    values = rows.astype("float64")
    for layer in model.layers:
        if isinstance(layer, Dense):
            kernel, bias = layer.get_weights()
            values = values @ kernel.astype("float64") + bias
        values = getattr(activations, layer.activation)(values)
    return values


class Activations(unittest.TestCase):
    def curved_model(self):
        model = Sequential([Dense(12, activation="tanh", input_dim=4), Dense(10), Activation("sigmoid"),
                            Dense(2, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        return model

    def test_tanh_and_sigmoid_learn_what_a_line_cannot(self):
        model = self.curved_model()
        model.optimizer.learning_rate = 0.03
        history = model.fit(ROWS, RINGS, epochs=150, verbose=0)
        self.assertGreater(history.history["accuracy"][-1], 0.95)
        np.testing.assert_allclose(model.predict(ROWS), by_hand(model, ROWS), atol=2e-6)

    def test_functions_name_them_too(self):
        x = np.linspace(-3, 3, 7)
        np.testing.assert_allclose(activations.sigmoid(x), 1 / (1 + np.exp(-x)))
        np.testing.assert_allclose(activations.softmax([x, x])[1], np.exp(x) / np.exp(x).sum())
        self.assertEqual(activations.sigmoid(np.array([-1e4, 1e4])).tolist(), [0, 1])
        named = [Dense(2, activation=getattr(activations, name)).activation for name in activations.__all__]
        self.assertEqual(named, activations.__all__)

    def test_they_stay_in_every_file(self):
        model = self.curved_model()
        model.fit(ROWS, RINGS, verbose=0)
        for name in ("curved.safetensors", "curved.h5", "curved.keras"):
            model.save(words.scratch(name))
            again = load_model(words.scratch(name))
            self.assertEqual([layer.activation for layer in again.layers[1:]], ["tanh", "sigmoid", "softmax"])
            self.assertTrue(np.array_equal(again.predict(ROWS), model.predict(ROWS)))
        self.assertTrue(np.array_equal(graft.load(words.scratch("curved.safetensors")).predict(ROWS), model.predict(ROWS)))


class Binary(unittest.TestCase):
    def test_one_answer_a_row(self):
        model = binary_model()
        history = model.fit(ROWS, RINGS, epochs=150, verbose=0, validation_data=(ROWS, RINGS[:, None]))
        scores = model.predict(ROWS)
        self.assertEqual((scores.shape, scores.dtype), ((60, 1), np.float32))
        np.testing.assert_allclose(scores, by_hand(model, ROWS), atol=2e-6)
        right = (scores[:, 0] > 0.5) == RINGS
        loss = -np.log(np.where(RINGS == 1, scores[:, 0], 1 - scores[:, 0]).astype("float64"))
        for y in (RINGS, RINGS[:, None], RINGS.astype(bool), RINGS.astype("float32").tolist()):
            np.testing.assert_allclose(model.evaluate(ROWS, y), [loss.mean(), right.mean()], rtol=1e-5)
        np.testing.assert_allclose(model.evaluate(ROWS, RINGS, sample_weight=np.arange(60)),
                                   [(loss * np.arange(60)).mean(), right.mean()], rtol=1e-5)
        self.assertEqual(list(model.evaluate(ROWS, RINGS, return_dict=True)), ["loss", "accuracy"])
        self.assertGreater(right.mean(), 0.9)
        self.assertAlmostEqual(history.history["val_accuracy"][-1], right.mean())
        self.assertAlmostEqual(history.history["val_loss"][-1], loss.mean(), places=5)
        self.assertEqual(model.predict_classes(ROWS).tolist(), (scores > 0.5).astype(int).tolist())

    def test_files_and_the_program(self):
        model = binary_model()
        model.fit(ROWS, RINGS, epochs=3, verbose=0)
        want = model.predict(ROWS)
        for name in ("ring.safetensors", "ring.h5", "ring.keras"):
            model.save(words.scratch(name), classes=["outside"])
            again = load_model(words.scratch(name))
            self.assertTrue(np.array_equal(again.predict(ROWS), want))
            self.assertEqual(again.classes, ["outside"])
        again = load_model(words.scratch("ring.safetensors"))
        again.fit(ROWS, RINGS, verbose=0)  # compiled as it was
        path = words.scratch("ring.safetensors")
        words.graft("verify", path)
        numbers = ",".join(map(str, ROWS[0].tolist()))
        answer = json.loads(words.graft("predict", path, "--numbers", numbers, "--json"))[0]
        self.assertEqual([one["class"] for one in answer["top"]], ["outside"])
        self.assertAlmostEqual(answer["top"][0]["score"], float(want[0, 0]), places=5)
        unnamed = binary_model()
        unnamed.save(words.scratch("unnamed.safetensors"))
        self.assertEqual(load_model(words.scratch("unnamed.safetensors")).classes, ["1"])

    def test_the_program_does_not_measure_what_is_no_class(self):
        model = binary_model()
        model.save(words.scratch("no.safetensors"))
        with open(words.scratch("no.csv"), "w", encoding="utf-8") as file:
            file.write("a,b,c,d,label\n1,2,3,4,1\n")
        done = subprocess.run([words.GRAFT, "evaluate", words.scratch("no.safetensors"), words.scratch("no.csv")],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is a sigmoid: its 1 scores are answers of their own", done.stderr)

    def test_pictures(self):
        files = words.pictures("food", 4) + words.pictures("plants", 4)
        base = InceptionV3(weights="imagenet")
        model = Model(base.input, Dense(1, activation="sigmoid")(base.layers[311].output))
        for layer in base.layers:
            layer.trainable = False
        model.compile("adam", "binary_crossentropy", ["accuracy"])
        model.optimizer.learning_rate = 0.01
        y = np.repeat([0, 1], 4)
        pictures = np.stack([np.asarray(image.load_img(name, target_size=(299, 299))) for name in files])
        model.fit(pictures, y, epochs=60, verbose=0)
        self.assertEqual(model.evaluate(pictures, y)[1], 1.0)
        model.save(words.scratch("plant.safetensors"), classes=["plant"])
        self.assertTrue(np.array_equal(graft.load(words.scratch("plant.safetensors")).predict(pictures), model.predict(pictures)))

    def test_several_answers_a_row(self):
        y = (ROWS[:, :3] > 0.2).astype(int)
        model = Sequential([Dense(3, activation="sigmoid", input_dim=4)])
        model.compile("sgd", "binary_crossentropy", ["binary_accuracy"])
        history = model.fit(ROWS, y, epochs=20, verbose=0)
        scores = model.predict(ROWS).astype("float64")
        loss = -np.where(y, np.log(scores), np.log(1 - scores)).mean()
        np.testing.assert_allclose(model.evaluate(ROWS, y), [loss, ((scores > 0.5) == y).mean()], rtol=1e-5)
        self.assertLess(history.history["loss"][-1], history.history["loss"][0])
        model.save(words.scratch("three.safetensors"), classes=["a", "b", "c"])
        self.assertTrue(np.array_equal(load_model(words.scratch("three.safetensors")).predict(ROWS), model.predict(ROWS)))


class Weights(unittest.TestCase):
    def trained(self, make, y, **options):
        model = make()
        model.fit(ROWS, y, epochs=3, batch_size=8, verbose=0, **options)
        return model.get_weights()

    def same(self, one, other):
        self.assertTrue(all(np.array_equal(a, b) for a, b in zip(one, other)))

    def test_class_weight_is_one_of_each_row(self):
        weights = np.where(RINGS == 1, 3.0, 0.5)
        for make in (binary_model, softmax_model):
            self.same(self.trained(make, RINGS, class_weight={0: 0.5, 1: 3.0}), self.trained(make, RINGS, sample_weight=weights))

    def test_both_are_multiplied(self):
        weights = np.linspace(0.5, 1.5, 60).astype("float32")
        for make in (binary_model, softmax_model):
            self.same(self.trained(make, RINGS, class_weight={1: 2.0}, sample_weight=weights),
                      self.trained(make, RINGS, sample_weight=weights * np.where(RINGS == 1, 2, 1).astype("float32")))

    def test_rows_of_no_weight_teach_nothing(self):
        kept = np.arange(60) % 2 == 0
        shuffled = np.where(kept, RINGS, 1 - RINGS)
        for make in (binary_model, softmax_model):
            self.same(self.trained(make, shuffled, sample_weight=kept.astype(float)),
                      self.trained(make, RINGS, sample_weight=kept.astype(float)))

    def test_validation_data_are_weighed_and_divided(self):
        weights = np.arange(60) / 30
        model = binary_model()
        history = model.fit(ROWS, RINGS, verbose=0, validation_data=(ROWS[:20], RINGS[:20], weights[:20]))
        self.assertAlmostEqual(history.history["val_loss"][0], model.evaluate(ROWS[:20], RINGS[:20], sample_weight=weights[:20])[0],
                               places=5)
        first, second = binary_model(), binary_model()
        first.fit(ROWS, RINGS, verbose=0, validation_split=0.25, sample_weight=weights)
        second.fit(ROWS[:45], RINGS[:45], verbose=0, validation_data=(ROWS[45:], RINGS[45:], weights[45:]), sample_weight=weights[:45])
        self.same(first.get_weights(), second.get_weights())
        self.assertEqual(first.history.history, second.history.history)


class Order(unittest.TestCase):
    def test_rows_stay_where_they_are(self):
        """By hand: one step of plain gradient descent a batch, in the order of the rows."""
        model = Sequential([Dense(1, activation="sigmoid", input_dim=4)])
        model.compile(SGD(0.5), "binary_crossentropy")
        kernel, bias = (value.astype("float64") for value in model.get_weights())
        for _ in range(2):
            for at in range(0, 60, 7):
                x, t = ROWS[at:at + 7], RINGS[at:at + 7, None]
                gradient = (1 / (1 + np.exp(-(x @ kernel + bias))) - t) / len(x)
                kernel, bias = kernel - 0.5 * x.T @ gradient, bias - 0.5 * gradient.sum(axis=0)
        model.fit(ROWS, RINGS, epochs=2, batch_size=7, shuffle=False, verbose=0)
        np.testing.assert_allclose(model.get_weights()[0], kernel, atol=1e-5)
        np.testing.assert_allclose(model.get_weights()[1], bias, atol=1e-5)


if __name__ == "__main__":
    unittest.main()
