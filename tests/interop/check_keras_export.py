"""Do Keras 2 and Keras 3 open the .h5 that `graft export --format keras` writes, and give graft's scores?

usage: python3 check_keras_export.py BUILD
Keras 2.15 on TensorFlow in this environment; Keras 3 on JAX, installed beside for the check. A model of pictures (whole
trunk), EfficientNet's classes of layers by the small network of tests/golden, and a table: within 1e-4. Weights come back to the bit.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

KERAS_3 = ["keras==3.12.0", "jax[cpu]==0.6.2", "h5py==3.14.0", "numpy==2.2.6"]
HOME = os.environ["GRAFT_TEST_HOME"]
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
IRIS = pathlib.Path(__file__).resolve().parents[1] / "cli" / "data" / "iris.csv"
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


def graft(program, *words):
    return subprocess.run([program, *words, "--home", HOME, "--quiet"], check=True, capture_output=True, text=True).stdout


def pythons(folder):
    """The Python that has each Keras."""
    subprocess.run([sys.executable, "-m", "venv", folder / "keras3"], check=True)
    python = folder / "keras3" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *KERAS_3], check=True)
    return {"2": sys.executable, "3": python}


def check_model(program, folder, model, inputs, answers, kerases):
    exported = model.with_suffix(".h5")
    graft(program, "export", model, "--format", "keras", "-o", exported)
    classes = sorted({one["class"] for one in answers[0]["top"]})
    want = np.array([[{one["class"]: one["score"] for one in answer["top"]}[name] for name in classes] for answer in answers])
    np.save(folder / "inputs.npy", inputs)
    for major, python in kerases.items():
        version = subprocess.run([python, "-c", PREDICT, exported, folder / "inputs.npy", folder / "scores.npy"], check=True,
                                 env={**os.environ, "KERAS_BACKEND": "jax"}, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
        check(f"{model.stem}: Keras", version, version.startswith(f"{major}."))
        difference = float(np.abs(np.load(folder / "scores.npy") - want).max())
        check(f"{model.stem}, Keras {version}, largest difference", difference, difference <= 1e-4)


def main():
    program = str(pathlib.Path(sys.argv[1]) / "graft")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        kerases = pythons(folder)
        graft(program, "train", IRIS, "--hidden", "16", "--epochs", "30", "-o", folder / "iris.safetensors")
        rows = np.array([line.split(",")[:-1] for line in IRIS.read_text().splitlines()[1:]], np.float32)
        answers = json.loads(graft(program, "predict", folder / "iris.safetensors", "--numbers", IRIS, "--json"))
        check_model(program, folder, folder / "iris.safetensors", rows, answers, kerases)

        data, model = folder / "pictures", folder / "pictures.safetensors"
        for kind in ("food", "vehicles"):
            (data / kind).mkdir(parents=True)
            for path in sorted((PICTURES / kind).iterdir())[:3]:
                shutil.copy(path, data / kind)
        graft(program, "train", data, "--layer", "mixed2", "--epochs", "5", "--hidden", "16", "--dropout", "0.1", "-o", model)
        graft(program, "dataset", "make", data, "-o", folder / "pictures.npz")
        with np.load(folder / "pictures.npz") as file:
            pixels = file["features"]
        answers = json.loads(graft(program, "predict", model, *sorted(data.glob("*/*")), "--precision", "f32", "--json"))
        check_model(program, folder, model, (pixels / 127.5 - 1).astype(np.float32), answers, kerases)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
