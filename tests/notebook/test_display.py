"""graft.display: what is shown is well-formed, says the right numbers, and keeps names from being
tags."""

import os
import tempfile
import unittest
import xml.dom.minidom

import numpy as np

import scene  # noqa: F401
from graft import display, instances

EVIL = "<script>alert('x')</script>\"&"


class Layer:
    """As much of a layer as a table needs."""

    def __init__(self, name, trainable):
        self.name, self.trainable, self.output_shape = name, trainable, (None, 2048)

    def count_params(self):
        return 2098176


class Dense(Layer):
    pass


class Model:
    def __init__(self, *layers):
        self.layers = layers


class Display(unittest.TestCase):
    def parse(self, shown):
        """The document, if it is well-formed; no text of a name has become a tag."""
        text = shown._repr_html_()
        self.assertNotIn("<script", text)
        document = xml.dom.minidom.parseString(text)
        if shown._repr_svg_() is not None:
            self.assertEqual(
                xml.dom.minidom.parseString(shown._repr_svg_()).documentElement.tagName, "svg"
            )
        return document

    def texts(self, shown, tag):
        return [
            "".join(child.data for child in node.childNodes if child.nodeType == child.TEXT_NODE)
            for node in self.parse(shown).getElementsByTagName(tag)
        ]

    def test_layers_with_index_name_class_shape_and_parameters(self):
        model = Model(Layer("input_1", False), Dense(EVIL, True), Dense("last", True))
        cells = self.texts(display.layers(model), "td")
        self.assertEqual(cells[:6], ["0", "input_1", "Layer", "(None, 2048)", "2,098,176", "no"])
        self.assertEqual(cells[6:12], ["1", EVIL, "Dense", "(None, 2048)", "2,098,176", "yes"])
        self.assertEqual(self.texts(display.layers(model, tail=1), "td")[:2], ["2", "last"])
        self.assertEqual(self.texts(display.layers(model, head=1), "td")[:2], ["0", "input_1"])
        self.assertEqual(len(self.texts(display.layers(model, tail=9), "td")), 18)

    def test_features_are_a_point_each_and_scaled_to_the_largest(self):
        values = np.random.default_rng(1).random(2048)
        values[700] = 9.0
        shown = display.features(values.reshape(1, 2048))
        line = self.parse(shown).getElementsByTagName("polyline")
        self.assertEqual(len(line), 1)
        points = [
            tuple(map(float, point.split(","))) for point in line[0].getAttribute("points").split()
        ]
        self.assertEqual(len(points), 2048)
        self.assertEqual(min(range(2048), key=lambda i: points[i][1]), 700)
        self.assertAlmostEqual(points[700][1], 28, delta=0.1)
        self.assertIn("features (2048 values)", self.texts(shown, "text"))

    def test_features_of_several_pictures_and_of_odd_shapes(self):
        self.assertEqual(
            len(self.parse(display.features(np.ones((3, 8)))).getElementsByTagName("polyline")), 3
        )
        self.assertEqual(
            len(self.parse(display.features(np.ones((8, 1)))).getElementsByTagName("polyline")), 1
        )
        self.parse(display.features([0.0]))
        self.parse(display.features([np.nan, 1.0, np.inf]))
        with self.assertRaisesRegex(ValueError, "no values"):
            display.features([])

    def test_a_long_vector_keeps_its_peaks(self):
        values = np.zeros(100000)
        values[77777] = 5
        points = (
            self.parse(display.features(values))
            .getElementsByTagName("polyline")[0]
            .getAttribute("points")
            .split()
        )
        self.assertLessEqual(len(points), display.MAX_POINTS)
        self.assertAlmostEqual(min(float(point.split(",")[1]) for point in points), 28, delta=0.1)

    def test_curves_show_training_and_validation(self):
        history = {
            "loss": [1.0, 0.5, 0.25],
            "accuracy": [0.5, 0.75, 1.0],
            "val_loss": [1.1, 0.7, 0.6],
            "val_accuracy": [0.5, 0.6, 0.9],
        }
        shown = display.curves(history)
        self.assertEqual(len(self.parse(shown).getElementsByTagName("polyline")), 4)
        texts = self.texts(shown, "text")
        for text in ("loss", "accuracy", "training", "validation"):
            self.assertIn(text, texts)
        labels = [
            node.firstChild.data
            for node in self.parse(shown).getElementsByTagName("text")
            if node.getAttribute("text-anchor") == "middle"
        ]
        self.assertEqual(labels, ["1", "2", "3"] * 2)

        class History:
            pass

        kept = History()
        kept.history = {"loss": [0.3], EVIL: [1.0]}
        self.assertEqual(len(self.parse(display.curves(kept)).getElementsByTagName("circle")), 2)
        with self.assertRaisesRegex(ValueError, "empty"):
            display.curves({})

    def test_confusion_counts(self):
        true, scores = [0, 0, 1, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0, 1], [1, 0]]
        shown = display.confusion(np.eye(2)[true], scores, ["opera", EVIL])
        self.assertEqual(self.texts(shown, "td"), ["", "1", "1", "1", "2"])
        self.assertIn("3 of 5 right (60.0 %)", self.texts(shown, "caption")[0])
        self.assertEqual(self.texts(shown, "th"), ["opera", EVIL, "opera", EVIL])
        self.assertEqual(self.texts(display.confusion([2], [0]), "td")[-3:], ["1", "0", "0"])
        for wrong in (([0, 1], [0]), ([], []), ([0.5], [1])):
            with self.assertRaises(ValueError):
                display.confusion(*wrong)

    def test_pictures_with_predictions(self):
        pixels = np.zeros((2, 4, 5, 3), np.uint8)
        pixels[1, :, :, 0] = 255
        shown = display.pictures(
            pixels,
            [[0.25, 0.75], [0.9, 0.1]],
            classes=[EVIL, "capitol"],
            true=["capitol", "capitol"],
        )
        self.assertEqual(self.texts(shown, "figcaption"), ["capitol 75.0 %", EVIL + " 90.0 %"])
        figures = self.parse(shown).getElementsByTagName("figure")
        self.assertEqual(
            [figure.getAttribute("title") for figure in figures], ["", "expected capitol"]
        )
        for image in self.parse(shown).getElementsByTagName("img"):
            self.assertRegex(
                image.getAttribute("src"), r"^data:image/png;base64,iVBORw0KGgo[A-Za-z0-9+/]+=*$"
            )
        answers = [{"label": "rose", "score": 0.5, "top": []}, {"label": EVIL, "score": 1}]
        self.assertEqual(
            self.texts(display.pictures(pixels, answers), "figcaption"),
            ["rose 50.0 %", EVIL + " 100.0 %"],
        )

    def test_pictures_as_the_network_sees_them_are_shown_as_they_were(self):
        pixels = np.random.default_rng(2).integers(0, 256, (6, 7, 3)).astype(np.uint8)
        wanted = display._data_url(pixels)
        self.assertEqual(display._data_url(pixels / np.float32(127.5) - 1), wanted)
        self.assertEqual(display._data_url((pixels / np.float32(255))[None]), wanted)
        self.assertEqual(display._data_url(pixels.astype(np.float32)), wanted)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.png")
            with open(path, "wb") as file:
                file.write(instances.png_of(pixels))
            self.assertEqual(display._data_url(path), wanted)
        large = np.repeat(np.repeat(pixels, 3, axis=0), 3, axis=1)
        self.assertEqual(display._data_url(large, longest=7), wanted)
        self.assertEqual(display._pixels(np.zeros((1, 900, 3)), 100).shape, (1, 100, 3))
        with self.assertRaisesRegex(ValueError, "is no PNG"):
            display._data_url(b"<svg onload=alert(1)>")
        with self.assertRaisesRegex(ValueError, "expected \\(height, width, 3\\)"):
            display._data_url(np.zeros((3, 3)))

    def test_ticks_are_round_and_inside(self):
        for low, high in ((0, 1), (0.13, 0.97), (-3, 2000), (1, 20), (1e-6, 3e-6)):
            found = display.ticks(low, high)
            self.assertTrue(2 <= len(found) <= 5, (low, high, found))
            self.assertTrue(all(low - 1e-9 <= value <= high + 1e-9 for value in found))
            step = found[1] - found[0]
            self.assertIn(f"{step:e}"[:3], ("1.0", "2.0", "5.0"), found)
            for value in found:
                self.assertAlmostEqual(value / step, round(value / step), places=6)
        self.assertEqual(display.ticks(5, 5), [5])


if __name__ == "__main__":
    unittest.main()
