"""What Python saves, a server serves: the same scores of the same pictures, and of the same rows."""
import os
import sys
import unittest

import words

os.environ.setdefault("GRAFT_HTTP_DIR", words.scratch("http"))
sys.path.insert(0, os.path.join(words.TESTS, "http"))
import harness
import numpy as np

from graft.keras.applications.inception_v3 import InceptionV3, preprocess_input
from graft.keras.layers import Dense, GlobalAveragePooling2D
from graft.keras.models import Model, Sequential
from graft.keras.preprocessing import image
from graft.keras.utils import to_categorical

FILES = words.pictures("food", 6) + words.pictures("household", 6)
LABELS = np.repeat([0, 1], 6)


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server(words.HOME)
        cls.addClassCleanup(cls.server.stop)

    def deploy(self, name):
        created = self.server.ask("POST", "/v1/projects/default/models", {"name": name})
        self.assertEqual(created.code, 200, created)
        self.server.finish(self.server.create_version(name, "v1", f"gs://exports/{name}/"))

    def test_pictures(self):
        base = InceptionV3(weights="imagenet")
        x = GlobalAveragePooling2D()(base.get_layer("mixed1").output)
        model = Model(base.input, Dense(2, activation="softmax")(Dense(24, activation="relu")(x)))
        for layer in model.layers[:-2]:
            layer.trainable = False
        model.compile("adam", "categorical_crossentropy", ["accuracy"])
        pictures = [image.load_img(name, target_size=(299, 299)) for name in FILES]
        x = preprocess_input(np.stack([image.img_to_array(picture) for picture in pictures]))
        model.fit(x, to_categorical(LABELS), epochs=10, verbose=0)
        model.save("gs://exports/Pictures/model.safetensors", classes=["food", "household"])
        self.deploy("Pictures")
        contents = [harness.read(name) for name in FILES[:3]] + [image.load_img(FILES[8]).to_jpeg()]
        answer = self.server.predict("Pictures", *contents)
        self.assertEqual(answer.code, 200, answer)
        # One picture at a time runs on all threads, a batch on one each: sums in another order, in bfloat16.
        np.testing.assert_allclose(harness.scores_of(answer), model.predict(contents), atol=0.02)
        np.testing.assert_array_equal(model.predict(contents[:3]), model.predict(x[:3]))

    def test_rows(self):
        rows = np.random.RandomState(0).normal(0, 1, (30, 3)).astype("float32")
        labels = (rows[:, 0] > 0).astype(int)
        model = Sequential([Dense(8, activation="relu", input_dim=3), Dense(2, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(rows, labels, epochs=5, verbose=0)
        model.save("gs://exports/Rows/model.safetensors")
        self.deploy("Rows")
        answer = self.server.ask("POST", "/v1/projects/default/models/Rows:predict", {"instances": rows[:4].tolist()})
        self.assertEqual(answer.code, 200, answer)
        np.testing.assert_allclose(harness.scores_of(answer), model.predict(rows[:4]), atol=1e-6)

    def test_one_answer_a_row(self):
        """[p], as TensorFlow Serving gives of Keras' Dense(1, activation='sigmoid')."""
        rows = np.random.RandomState(0).normal(0, 1, (30, 3)).astype("float32")
        model = Sequential([Dense(8, activation="tanh", input_dim=3), Dense(1, activation="sigmoid")])
        model.compile("adam", "binary_crossentropy", ["accuracy"])
        model.fit(rows, rows[:, 0] > 0, epochs=5, verbose=0)
        model.save("gs://exports/Right/model.safetensors", classes=["right"])
        self.deploy("Right")
        body, want = {"instances": rows[:4].tolist()}, model.predict(rows[:4])
        answer = self.server.ask("POST", "/v1/projects/default/models/Right:predict", body)
        self.assertEqual([list(one) for one in answer.json["predictions"]], [["outputs"]] * 4)
        np.testing.assert_allclose([one["outputs"] for one in answer.json["predictions"]], want, atol=1e-6)
        answer = self.server.ask("POST", "/v1/models/Right:predict", body)
        np.testing.assert_allclose(answer.json["predictions"], want, atol=1e-6)


if __name__ == "__main__":
    unittest.main()
