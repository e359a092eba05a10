"""Is what graft imports from .keras archives what Keras computes?

usage: python3 check_keras_v3_import.py BUILD
Keras 2.15 on TensorFlow in this environment, Keras 3 on JAX in one of its own. Exit status 1 and one line for everything that differs.

Inception-v3 in full size with and without its top, MobileNetV2 and a small Sequential model, their weights random (seeded), saved by each: layers, inputs
and weights bit for bit as Keras has them, features of pictures within 1e-4 of Keras' own. Inception-v3's weights alone (.weights.h5), too. And a
model that graft exports as .keras comes back with the same weights.
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
HOME = os.environ["GRAFT_TEST_HOME"]
TOLERANCE = 1e-4
N_PICTURES = 4
SIDES = {"inception_v3": 299, "inception_v3_notop": 299, "mobilenet_v2": 224, "chain": 64}
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"check_keras_v3_import: {what}: {found}", file=sys.stderr)


def run(*words, env=None):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=env)
    check(" ".join(map(str, words)), done.returncode == 0, done.stderr.strip()[-500:])
    return done.stdout


def read_file(path):
    """graft's document and the tensors of floats by name, in the order of the file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    document = json.loads(header.pop("__metadata__")["graft"])
    tensors = {name: np.frombuffer(data, "<f4", (end - start) // 4, 8 + size + start).reshape(entry["shape"])
               for name, entry in header.items() if entry["dtype"] == "F32" for start, end in [entry["data_offsets"]]}
    return document, tensors


def same_weights(what, trunk, want):
    got = list(read_file(trunk)[1].values())
    check(f"{what}: number of weights", len(got) == len(want), f"{len(got)} of {len(want)}")
    for i, (a, b) in enumerate(zip(got, want)):
        check(f"{what}: weight {i}", a.shape == b.shape and (a == b).all(), f"{a.shape} of {b.shape}")


def class_of(row):
    return ["Activation", *row[1:]] if row[0] == "Softmax" else row


def check_network(build, folder, data, version, name):
    graft, program = build / "graft", build / "tests" / "interop" / "import_trunk"
    home, trunk = folder / "home", "inception_v3" if name.startswith("inception") else name
    home.mkdir()
    what = f"{name}, Keras {version}"
    said = json.loads((folder / f"{name}.json").read_text())
    with np.load(folder / f"{name}.npz") as file:
        weights = [file[f"weight/{i}"] for i in range(sum(key.startswith("weight/") for key in file.files))]
        features = {cut: file[f"feature/{cut}"] for cut in said["cuts"]}
    rows = [line.split("\t") for line in run(program, folder / f"{name}.keras", trunk, home).splitlines()]
    got, want = [row[2:] for row in rows[1:]], [class_of(row) for row in said["layers"]]
    check(f"{what}: layers", got == want, next(((a, b) for a, b in zip(got, want) if a != b), (len(got), len(want))))
    same_weights(what, home / "trunks" / f"{trunk}.safetensors", weights)
    for cut in said["cuts"]:
        run(graft, "features", data, "--model", trunk, "--layer", cut, "--precision", "f32", "-o", folder / "features.npz", "--home", home,
            "--quiet")
        with np.load(folder / "features.npz") as file:
            values = file["features"].reshape(len(features[cut]), -1)
        worst = np.abs(values - features[cut]).max()
        print(f"{what} at {cut}: {worst:.1e} from Keras, values up to {np.abs(features[cut]).max():.2f}")
        check(f"{what} at {cut}", np.abs(features[cut]).max() > 0.1 and worst <= TOLERANCE, worst)
    if trunk == "inception_v3":
        run(graft, "import", folder / f"{name}.weights.h5", "--as", trunk, "--home", home, "--quiet")
        same_weights(f"{what}, weights alone", home / "trunks" / f"{trunk}.safetensors", weights)
    shutil.rmtree(home)


def check_keras(build, folder, data, major, python):
    out = folder / f"keras{major}"
    out.mkdir()
    version = run(python, HERE / "make_keras_archives.py", out, folder / "pixels.npz", env={**os.environ, "KERAS_BACKEND": "jax"}).split()[-1:]
    check(f"Keras {major}", version and version[0].startswith(f"{major}."), version)
    for name in SIDES if version else ():
        check_network(build, out, data, version[0], name)


def check_round_trip(build, folder, data):
    """graft's own archive: the trunk's weights as far as the cut, and the head's."""
    graft = build / "graft"
    home, model, exported = folder / "back", folder / "model.safetensors", folder / "model.keras"
    home.mkdir()
    run(graft, "train", data, "--hidden", "8", "--precision", "f32", "-o", model, "--home", HOME, "--quiet")
    run(graft, "export", model, "--format", "keras", "-o", exported, "--home", HOME, "--quiet")
    run(graft, "import", exported, "--as", "inception_v3", "--home", home, "--quiet")
    document, got = read_file(home / "trunks" / "inception_v3.safetensors")
    _, want = read_file(pathlib.Path(HOME) / "trunks" / "inception_v3.safetensors")
    head = {name: one for name, one in read_file(model)[1].items() if name.startswith("head/")}
    mine = [one for name, one in got.items() if name not in want]
    check("round trip: classes", document["classes"] == ["food", "vehicles"], document["classes"])
    check("round trip: trunk", all((want[name] == one).all() for name, one in got.items() if name in want) and
          len(got) - len(mine) > 300, len(got) - len(mine))
    check("round trip: head", len(mine) == len(head) == 4 and all((a == b).all() for a, b in zip(mine, head.values())), len(mine))


def main():
    build = pathlib.Path(sys.argv[1])
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
        for side in set(SIDES.values()):
            run(build / "graft", "dataset", "make", data, "--size", side, "-o", folder / "pictures.npz", "--home", HOME, "--quiet")
            with np.load(folder / "pictures.npz") as file:
                pixels[str(side)] = file["features"].astype(np.float32) / np.float32(127.5) - np.float32(1)
        np.savez(folder / "pixels.npz", **pixels)
        check_keras(build, folder, data, 2, sys.executable)
        check_keras(build, folder, data, 3, environment / "bin" / "python")
        check_round_trip(build, folder, data)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
