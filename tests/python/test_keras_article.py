"""The article's code, block by block, with `keras` replaced by `graft.keras` and nothing else, on 40 real pictures."""
import io
import os
import re
import unittest
from contextlib import redirect_stdout

import words

import numpy as np


def make_dataset():
    """The article's .npz: features (N,299,299,3), labels; here of pictures of food and of plants."""
    from graft.keras.preprocessing import image
    files = words.pictures("food", 20) + words.pictures("plants", 20)
    features = [image.img_to_array(image.load_img(name, target_size=(299, 299))) for name in files]
    path = words.scratch("dataset.npz")
    np.savez(path, features=np.stack(features), labels=np.repeat([0, 1], 20))
    return path


class Article(unittest.TestCase):
    def test_the_article(self):
        printed = io.StringIO()
        with redirect_stdout(printed):
            names = self.run_the_article()
        text = printed.getvalue()
        self.assertEqual(text.count("Predicted:"), 2)
        self.assertIn("Epoch 20/20", text)
        self.assertIn("validate on 8 samples", text)
        self.assertEqual(names["features"].shape, (1, 2048))
        self.assertEqual([type(layer).__name__ for layer in names["model"].layers[310:313]],
                         ["Concatenate", "GlobalAveragePooling2D", "Dense"])
        self.assertEqual(len(names["transfer_model"].layers), 314)
        self.assertGreaterEqual(names["acc"], 0.75)
        self.assertLess(names["loss"], 0.8)

    def test_the_examples_of_the_documents_run(self):
        from graft.keras.preprocessing import image
        with open(os.path.join(os.path.dirname(words.TESTS), "docs/python.md"), encoding="utf-8") as file:
            blocks = re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
        self.assertEqual(len(blocks), 3)
        os.replace(make_dataset(), words.scratch("opera.npz"))
        image.load_img(words.pictures("food", 1)[0]).save(words.scratch("photo.jpg"))
        rows = np.random.RandomState(1).normal(size=(40, 4))
        np.save(words.scratch("patients.npy"), rows)
        np.save(words.scratch("ill.npy"), (rows[:, 0] > 0).astype(int))
        before = os.getcwd()
        os.chdir(words.HOME)
        self.addCleanup(os.chdir, before)
        names = {}
        with redirect_stdout(io.StringIO()):
            for block, classes in zip(blocks, (None, ["opera", "capitol"], ["ill"])):
                exec(compile(block, "docs/python.md", "exec"), names)  # pylint: disable=exec-used
                self.assertEqual(names["model"].classes or classes, classes)
        self.assertGreaterEqual(names["accuracy"], 0.75)
        self.assertTrue(os.path.exists(words.scratch("opera.safetensors")))

    def run_the_article(self):
        img_path = words.pictures("animals", 1)[0]
        url = make_dataset()

        from graft.keras.applications.inception_v3 import InceptionV3
        model = InceptionV3(weights='imagenet')

        from graft.keras.preprocessing import image
        from graft.keras.applications.inception_v3 import preprocess_input, decode_predictions
        import numpy as np

        # Make input data from Jpeg file
        img = image.load_img(img_path, target_size=(299, 299))
        x = image.img_to_array(img)
        x = np.expand_dims(x, axis=0)
        x = preprocess_input(x)

        # Classify image
        preds = model.predict(x)

        # Print predicted classes
        print('Predicted:')
        for p in decode_predictions(preds, top=5)[0]:
            print("Score {}, Label {}".format(p[2], p[1]))

        from graft.keras.models import Model

        # The model which outputs intermediate layer features
        intermediate_layer_model = Model(inputs=model.input,
                                         outputs=model.layers[311].output)

        features = intermediate_layer_model.predict(x)

        from graft.keras.layers import Dense

        # Connect Dense layers at the end
        x = intermediate_layer_model.output
        x = Dense(1024, activation='relu')(x)
        predictions = Dense(2, activation='softmax')(x)

        # Transfer Learning model
        transfer_model = Model(inputs=intermediate_layer_model.input, outputs=predictions)

        # Freeze all layers
        for layer in transfer_model.layers:
            layer.trainable = False

        # Unfreeze last dense layers
        transfer_model.layers[312].trainable = True
        transfer_model.layers[313].trainable = True

        transfer_model.compile(loss='categorical_crossentropy',
                               optimizer='adam',
                               metrics=['accuracy'])

        dataset = np.load(url)

        X_dataset = dataset['features']
        y_dataset = dataset['labels']

        from graft.keras.utils import np_utils
        from graft.model_selection import train_test_split

        X_dataset = preprocess_input(X_dataset)
        y_dataset = np_utils.to_categorical(y_dataset)
        X_train, X_test, y_train, y_test = train_test_split(
            X_dataset, y_dataset, test_size=0.2, random_state=42)

        x = X_dataset[0]
        x = np.expand_dims(x, axis=0)

        preds = model.predict(x)
        print('Predicted:')
        for p in decode_predictions(preds, top=5)[0]:
            print("Score {}, Label {}".format(p[2], p[1]))

        transfer_model.fit(X_train, y_train, epochs=20,
                           validation_data=(X_test, y_test))
        loss, acc = transfer_model.evaluate(X_test, y_test)
        print('Loss {}, Accuracy {}'.format(loss, acc))
        return locals()


if __name__ == "__main__":
    os.chdir(words.HOME)
    unittest.main()
