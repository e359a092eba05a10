"""Does graft read the files of transfer learning in Keras, where a pretrained model is a layer of the network?

usage: python3 check_nested_import.py BUILD
Keras 2.15 on TensorFlow in this environment, Keras 3 on JAX in one of its own. Exit status 1 and one line for everything that differs.

Inception-v3 (in a Sequential, and as in Keras' guide: augmentation, preprocess_input, base(x, training=False)) and MobileNetV2 (Rescaling, partly
frozen), their weights random (seeded), saved as .keras and .h5 by each: weights bit for bit as Keras has them, features of pictures in the middle of the
inner model and the scores at the end within 1e-4 of Keras' own. With Inception-v3 inside, `graft layers`, `graft classify` and `graft train --layer auto`
find in it what they find in Inception-v3 itself.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import check_keras_v3_import as other
from check_keras_v3_import import HERE, HOME, N_PICTURES, PICTURES, TOLERANCE, check, read_file, run, same_weights

SIDES = (299, 224)


def check_features(what, graft, home, trunk, data, folder, features):
    for cut, want in features.items():
        run(graft, "features", data, "--model", trunk, "--layer", cut, "--precision", "f32", "-o", folder / "features.npz", "--home", home, "--quiet")
        with np.load(folder / "features.npz") as file:
            values = file["features"].reshape(len(want), -1)
        worst = np.abs(values - want).max()
        print(f"{what} at {cut}: {worst:.1e} from Keras, values up to {np.abs(want).max():.2f}")
        check(f"{what} at {cut}", np.abs(want).max() > 0.1 and worst <= TOLERANCE, worst)


def check_use(what, graft, home, data, folder):
    """What is done with an Inception-v3."""
    listed = run(graft, "layers", "inception_v3", "--home", home)
    check(f"{what}: layers", " mixed10 " in listed and " scores " in listed, listed[-300:])
    answers = json.loads(run(graft, "classify", next((data / "food").iterdir()), "--model", "inception_v3", "--json", "--home", home))
    check(f"{what}: classify", "class_" in json.dumps(answers), answers)
    model = folder / "model.safetensors"
    run(graft, "train", data, "--model", "inception_v3", "--layer", "auto", "--epochs", "2", "-o", model, "--home", home, "--quiet")
    document = read_file(model)[0]
    check(f"{what}: train --layer auto", "mixed" in document["layer"], document["layer"])


def check_network(graft, folder, data, version, name):
    said = json.loads((folder / f"{name}.json").read_text())
    with np.load(folder / f"{name}.npz") as file:
        weights = [file[f"weight/{i}"] for i in range(sum(key.startswith("weight/") for key in file.files))]
        features = {cut: file[f"feature/{cut}"] for cut in said["cuts"]}
    for ending in ("keras", "h5"):
        home, what, trunk = folder / "home", f"{name}.{ending}, Keras {version}", said["trunk"]
        run(graft, "import", folder / f"{name}.{ending}", "--as", trunk, "--home", home, "--quiet")
        same_weights(what, home / "trunks" / f"{trunk}.safetensors", weights)
        scaling = read_file(home / "trunks" / f"{trunk}.safetensors")[0]["input"]
        check(f"{what}: input", abs(scaling["scale"] * 127.5 - 1) < 1e-6 and scaling["shift"] == -1, scaling)
        check_features(what, graft, home, trunk, data, folder, features)
        if trunk == "inception_v3":
            check_use(what, graft, home, data, folder)
        shutil.rmtree(home)


def check_keras(graft, folder, data, major, python):
    out = folder / f"keras{major}"
    out.mkdir()
    version = run(python, HERE / "make_nested_models.py", out, folder / "pixels.npz", env={**os.environ, "KERAS_BACKEND": "jax"}).split()[-1:]
    check(f"Keras {major}", version and version[0].startswith(f"{major}."), version)
    for name in sorted(path.stem for path in out.glob("*.json")) if version else ():
        check_network(graft, out, data, version[0], name)


def main():
    graft = pathlib.Path(sys.argv[1]) / "graft"
    environment = HERE / ".venv-keras-jax"
    subprocess.run([HERE.parents[1] / "tools" / "make-venv.sh", environment, HERE / "requirements-keras-jax.txt"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        data = folder / "pictures"
        for kind in ("food", "vehicles"):
            (data / kind).mkdir(parents=True)
            for path in sorted((PICTURES / kind).iterdir())[:N_PICTURES]:
                shutil.copy(path, data / kind)
        pixels = {}
        for side in SIDES:
            run(graft, "dataset", "make", data, "--size", side, "-o", folder / "pictures.npz", "--home", HOME, "--quiet")
            with np.load(folder / "pictures.npz") as file:
                pixels[str(side)] = file["features"].astype(np.float32)
        np.savez(folder / "pixels.npz", **pixels)
        check_keras(graft, folder, data, 2, sys.executable)
        check_keras(graft, folder, data, 3, environment / "bin" / "python")
    return 1 if other.failures else 0


if __name__ == "__main__":
    sys.exit(main())
