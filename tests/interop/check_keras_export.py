"""Do Keras 2 and Keras 3 open the .h5 and the .keras that `graft export --format keras` writes, and give graft's scores?

usage: python3 check_keras_export.py BUILD
Keras 2.15 on TensorFlow in this environment; Keras 3 on JAX, in one of its own. A model of pictures (whole
trunk), EfficientNet's classes of layers by the small network of tests/golden, and a table: within 1e-4.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
HOME = os.environ["GRAFT_TEST_HOME"]
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
IRIS = HERE.parent / "cli" / "data" / "iris.csv"
PREDICT = """
import sys
import numpy as np
import keras
model = keras.models.load_model(sys.argv[1], compile=False)
np.save(sys.argv[3], np.asarray(model.predict(np.load(sys.argv[2]), verbose=0)))
print(keras.__version__)
"""
failures = []


def check(what, found, is_good):
    print(f"check_keras_export: {what}: {found}")
    if not is_good:
        failures.append(what)
        print(f"check_keras_export: {what}: {found} is not good enough", file=sys.stderr)


def graft(program, *words, home=HOME):
    return subprocess.run([program, *words, "--home", home, "--quiet"], check=True, capture_output=True, text=True).stdout


def pythons():
    """The Python that has each Keras."""
    environment = HERE / ".venv-keras-jax"
    subprocess.run([HERE.parents[1] / "tools" / "make-venv.sh", environment, HERE / "requirements-keras-jax.txt"], check=True)
    return {"2": sys.executable, "3": environment / "bin" / "python"}


def check_model(program, folder, model, inputs, answers, kerases, home=HOME):
    for ending in (".h5", ".keras"):
        check_file(program, folder, model, model.with_suffix(ending), inputs, answers, kerases, home)


def check_file(program, folder, model, exported, inputs, answers, kerases, home):
    graft(program, "export", model, "--format", "keras", "-o", exported, home=home)
    classes = sorted({one["class"] for one in answers[0]["top"]})
    want = np.array([[{one["class"]: one["score"] for one in answer["top"]}[name] for name in classes] for answer in answers])
    np.save(folder / "inputs.npy", inputs)
    for major, python in kerases.items():
        version = subprocess.run([python, "-c", PREDICT, exported, folder / "inputs.npy", folder / "scores.npy"], check=True,
                                 env={**os.environ, "KERAS_BACKEND": "jax"}, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
        check(f"{exported.name}: Keras", version, version.startswith(f"{major}."))
        difference = float(np.abs(np.load(folder / "scores.npy") - want).max())
        check(f"{exported.name}, Keras {version}, largest difference", difference, difference <= 1e-4)


def pixels(program, folder, data, side):
    graft(program, "dataset", "make", data, "--size", str(side), "-o", folder / "pictures.npz")
    with np.load(folder / "pictures.npz") as file:
        return (file["features"] / 127.5 - 1).astype(np.float32)


def main():
    program = str(pathlib.Path(sys.argv[1]) / "graft")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        kerases = pythons()
        graft(program, "train", IRIS, "--hidden", "16", "--epochs", "30", "-o", folder / "iris.safetensors")
        rows = np.array([line.split(",")[:-1] for line in IRIS.read_text().splitlines()[1:]], np.float32)
        answers = json.loads(graft(program, "predict", folder / "iris.safetensors", "--numbers", IRIS, "--json"))
        check_model(program, folder, folder / "iris.safetensors", rows, answers, kerases)

        data, model, small = folder / "pictures", folder / "pictures.safetensors", folder / "small.safetensors"
        for kind in ("food", "vehicles"):
            (data / kind).mkdir(parents=True)
            for path in sorted((PICTURES / kind).iterdir())[:3]:
                shutil.copy(path, data / kind)
        graft(program, "train", data, "--layer", "mixed2", "--epochs", "5", "--hidden", "16", "--dropout", "0.1", "-o", model)
        answers = json.loads(graft(program, "predict", model, *sorted(data.glob("*/*")), "--precision", "f32", "--json"))
        check_model(program, folder, model, pixels(program, folder, data, 299), answers, kerases)

        home = folder / "home"
        graft(program, "import", HERE.parent / "golden" / "zoo" / "small.h5", "--as", "small", home=home)
        graft(program, "train", data, "--model", "small", "--layer", "avg_pool", "--epochs", "5", "-o", small, home=home)
        answers = json.loads(graft(program, "predict", small, *sorted(data.glob("*/*")), "--precision", "f32", "--json", home=home))
        check_model(program, folder, small, pixels(program, folder, data, 16), answers, kerases, home)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
