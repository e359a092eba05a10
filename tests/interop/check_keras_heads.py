"""Do heads of graft.keras learn what the same layers learn in Keras 2 and Keras 3, and open in them with the same scores?

usage: python3 check_keras_heads.py BUILD
Keras 2.15 on TensorFlow in this environment; Keras 3 on JAX, in one of its own. Hidden tanh and sigmoid, Dense(1) and Dense(3)
with binary_crossentropy, class and sample weights, rows in their order, rates that a schedule or a plateau sets, an early stop
with the best weights: history and weights after the training within 2e-5, scores of files written by either within 1e-6, and so those of
ONNX Runtime and TensorFlow of what is exported.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
# What is trained, for both: layers, loss, and words of fit(); "y" and weights are arrays of data().
CASES = {
    "curves": {"layers": [[8, "tanh"], [6, "sigmoid"], [3, "softmax"]], "optimizer": "Adam", "rate": 0.01,
               "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "y": "classes", "class_weight": [0.5, 1.0, 2.0],
               "validation_split": 0.25},
    "binary": {"layers": [[8, "tanh"], [1, "sigmoid"]], "optimizer": "RMSprop", "rate": 0.01, "loss": "binary_crossentropy",
               "metrics": ["accuracy"], "y": "ill", "sample_weight": "weights", "validation": True},
    "binary_classes": {"layers": [[1, "sigmoid"]], "optimizer": "SGD", "rate": 0.1, "loss": "binary_crossentropy",
                       "metrics": ["accuracy"], "y": "ill", "class_weight": [0.5, 3.0], "schedule": 0.8},
    "answers": {"layers": [[6, "relu"], [3, "sigmoid"]], "optimizer": "Adam", "rate": 0.01, "loss": "binary_crossentropy",
                "metrics": ["binary_accuracy"], "y": "answers"},
    "stopped": {"layers": [[16, "tanh"], [1, "sigmoid"]], "optimizer": "Adam", "rate": 0.02, "loss": "binary_crossentropy",
                "metrics": ["accuracy"], "y": "ill", "validation": True, "epochs": 60, "patience": 6, "plateau": 2},
}
TRAIN = '''
import json, sys
import numpy as np
folder, who = sys.argv[1:3]
if who == "graft":
    from graft.keras import callbacks as C, layers as L, models as M, optimizers as O
    version = "graft"
else:
    import keras
    from keras import callbacks as C, layers as L, models as M, optimizers as O
    version = keras.__version__
cases, data = json.load(open(f"{folder}/cases.json")), dict(np.load(f"{folder}/data.npz"))
rows = data["rows"]


def train(name, case):
    model = M.Sequential([L.Input(shape=(rows.shape[1],)), *[L.Dense(units, activation=activation) for units, activation in case["layers"]]])
    model.set_weights([data[f"{name}/{i}"] for i in range(2 * len(case["layers"]))])
    model.compile(getattr(O, case["optimizer"])(learning_rate=case["rate"]), case["loss"], metrics=case["metrics"])
    callbacks, words = [], {}
    if "schedule" in case:
        callbacks.append(C.LearningRateScheduler(lambda epoch, rate: rate * case["schedule"]))
    if "plateau" in case:
        callbacks.append(C.ReduceLROnPlateau(patience=case["plateau"], factor=0.5, min_lr=0.001, min_delta=0.001))
    if "patience" in case:
        callbacks.append(C.EarlyStopping(patience=case["patience"], restore_best_weights=True))
    if "class_weight" in case:
        words["class_weight"] = dict(enumerate(case["class_weight"]))
    if "sample_weight" in case:
        words["sample_weight"] = data[case["sample_weight"]]
    if "validation_split" in case:
        words["validation_split"] = case["validation_split"]
    if "validation" in case:
        words["validation_data"] = (data["other_rows"], data["other_" + case["y"]], data["other_weights"])
    y = data[case["y"]]
    history = model.fit(rows, y, epochs=case.get("epochs", 4), batch_size=7, shuffle=False, verbose=0, callbacks=callbacks, **words).history
    rates = history.pop("learning_rate", None) or history.pop("lr", [])
    found = {"version": version, "history": {key: list(map(float, values)) for key, values in history.items()}, "rates": list(map(float, rates)),
             "evaluate": list(map(float, model.evaluate(rows, y, verbose=0, sample_weight=words.get("sample_weight"))))}
    json.dump(found, open(f"{folder}/{who}-{name}.json", "w"))
    np.savez(f"{folder}/{who}-{name}.npz", *model.get_weights(), scores=model.predict(rows, verbose=0))
    for ending in ("h5", "keras"):
        model.save(f"{folder}/{who}-{name}.{ending}")
    if who == "graft":
        for ending in ("onnx", "savedmodel"):
            model.export(f"{folder}/{who}-{name}.{ending}", ending)


for name, case in cases.items():
    train(name, case)
'''
OPEN = '''
import sys
import numpy as np
folder, who = sys.argv[1:3]
if who == "graft":
    from graft.keras.models import load_model
else:
    import keras
    load_model = lambda path: keras.models.load_model(path, compile=False)
rows = np.load(f"{folder}/data.npz")["rows"]
for name in sys.argv[3:]:
    np.save(f"{folder}/{who}-{name}.npy", load_model(f"{folder}/{name}").predict(rows, verbose=0))
'''
RUN = '''
import sys
import numpy as np
import onnxruntime
import tensorflow as tf
folder = sys.argv[1]
rows = np.load(f"{folder}/data.npz")["rows"]
for name in sys.argv[2:]:
    session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx", providers=["CPUExecutionProvider"])
    np.save(f"{folder}/onnx-{name}.npy", session.run(None, {session.get_inputs()[0].name: rows})[0])
    signature = tf.saved_model.load(f"{folder}/{name}.savedmodel").signatures["serving_default"]
    np.save(f"{folder}/tensorflow-{name}.npy", list(signature(inputs=tf.constant(rows)).values())[0].numpy())
'''
failures = []


def check(what, found, is_good):
    print(f"check_keras_heads: {what}: {found}")
    if not is_good:
        failures.append(what)
        print(f"check_keras_heads: {what}: {found} is not good enough", file=sys.stderr)


def data(folder):
    random = np.random.default_rng(11)
    found = {}
    for prefix, n in (("", 53), ("other_", 31)):
        rows = random.normal(size=(n, 5)).astype("float32")
        found[prefix + "rows"] = rows
        found[prefix + "classes"] = rows[:, :3].argmax(axis=1)
        found[prefix + "ill"] = (rows[:, 0] * rows[:, 1] + random.normal(size=n) * 0.5 > 0).astype("float32")
        found[prefix + "answers"] = (rows[:, :3] > 0.3).astype("float32")
        found[prefix + "weights"] = random.uniform(0, 2, n).astype("float32")
    for name, case in CASES.items():
        n_inputs = 5
        for i, (units, _) in enumerate(case["layers"]):
            found[f"{name}/{2 * i}"] = (random.normal(size=(n_inputs, units)) * 0.5).astype("float32")
            found[f"{name}/{2 * i + 1}"] = (random.normal(size=units) * 0.1).astype("float32")
            n_inputs = units
    np.savez(folder / "data.npz", **found)
    (folder / "cases.json").write_text(json.dumps(CASES))


def pythons(build):
    """The Python and the environment of each; graft's is the one with numpy that runs this."""
    jax = HERE / ".venv-keras-jax"
    subprocess.run([HERE.parents[1] / "tools" / "make-venv.sh", jax, HERE / "requirements-keras-jax.txt"], check=True)
    own = {"PYTHONPATH": str(HERE.parents[1] / "python"), "GRAFT_LIBRARY": str(build / "libgraft.so")}
    return {"graft": (sys.executable, own), "keras2": (sys.executable, {}), "keras3": (jax / "bin" / "python", {"KERAS_BACKEND": "jax"})}


def run(python, script, *words):
    program, more = python
    subprocess.run([program, "-c", script, *map(str, words)], check=True, env={**os.environ, **more})


def differences(folder, name, who):
    """(of histories, of weights, of scores), the largest."""
    ours, theirs = (json.loads((folder / f"{one}-{name}.json").read_text()) for one in ("graft", who))
    same = ours["history"].keys() == theirs["history"].keys() and all(
        len(ours["history"][key]) == len(theirs["history"][key]) for key in ours["history"])
    check(f"{name}, Keras {theirs['version']}: epochs and names", len(theirs["history"]["loss"]), same)
    if not same:
        return
    rows = [(ours["history"][key], theirs["history"][key]) for key in ours["history"]]
    rows += [(ours["evaluate"], theirs["evaluate"])]
    rows += [(ours["rates"], theirs["rates"])]
    most = max(float(np.abs(np.subtract(a, b)).max(initial=0)) for a, b in rows)
    check(f"{name}, Keras {theirs['version']}: history", most, most <= 2e-5)
    with np.load(folder / f"graft-{name}.npz") as a, np.load(folder / f"{who}-{name}.npz") as b:
        most = max(float(np.abs(a[key] - b[key]).max()) for key in a.files)
        check(f"{name}, Keras {theirs['version']}: weights and scores", most, most <= 2e-5 and a["scores"].shape == b["scores"].shape)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        data(folder)
        found = pythons(build)
        for who, python in found.items():
            run(python, TRAIN, folder, who)
        for name in CASES:
            for who in ("keras2", "keras3"):
                differences(folder, name, who)
        for reader, writers in {"keras2": ["graft"], "keras3": ["graft"], "graft": ["keras2", "keras3"]}.items():
            files = [(f"{writer}-{name}", ending) for writer in writers for name in CASES for ending in ("h5", "keras")]
            run(found[reader], OPEN, folder, reader, *[f"{stem}.{ending}" for stem, ending in files])
            for stem, ending in files:
                with np.load(folder / f"{stem}.npz") as file:
                    most = float(np.abs(np.load(folder / f"{reader}-{stem}.{ending}.npy") - file["scores"]).max())
                check(f"{stem}.{ending} in {reader}", most, most <= 1e-6)
        run(found["keras2"], RUN, folder, *[f"graft-{name}" for name in CASES])
        for name in CASES:
            for reader in ("onnx", "tensorflow"):
                with np.load(folder / f"graft-{name}.npz") as file:
                    most = float(np.abs(np.load(folder / f"{reader}-graft-{name}.npy") - file["scores"]).max())
                check(f"graft-{name} in {reader}", most, most <= 1e-6)
    return len(failures) > 0


if __name__ == "__main__":
    sys.exit(main())
