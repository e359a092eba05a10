"""Heads beyond relu and softmax: other activations, answers that are no distribution."""
import unittest

import words

import numpy as np

import graft
from graft.keras.layers import Activation, Dense
from graft.keras.models import Sequential, load_model

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(60, 4)).astype("float32")
RINGS = (np.square(ROWS[:, :2]).sum(axis=1) > 1.2).astype(int)  # no straight line divides them


def by_hand(model, rows):
    """What the layers say, in numpy."""
    functions = {"linear": lambda x: x, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
                 "softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)}
    values = rows.astype("float64")
    for layer in model.layers:
        if isinstance(layer, Dense):
            kernel, bias = layer.get_weights()
            values = values @ kernel.astype("float64") + bias
        values = functions[layer.activation](values)
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

    def test_they_stay_in_every_file(self):
        model = self.curved_model()
        model.fit(ROWS, RINGS, verbose=0)
        for name in ("curved.safetensors", "curved.h5", "curved.keras"):
            model.save(words.scratch(name))
            again = load_model(words.scratch(name))
            self.assertEqual([layer.activation for layer in again.layers[1:]], ["tanh", "sigmoid", "softmax"])
            self.assertTrue(np.array_equal(again.predict(ROWS), model.predict(ROWS)))
        self.assertTrue(np.array_equal(graft.load(words.scratch("curved.safetensors")).predict(ROWS), model.predict(ROWS)))


if __name__ == "__main__":
    unittest.main()
