"""Is what graft imports from Keras 3's model.export() what Keras 3 computes?

usage: python3 check_savedmodel_keras3.py BUILD
Keras 3 does not go together with the other checks' TensorFlow: this one starts itself again in an environment of its own
(requirements-keras3.txt). Inception-v3 and MobileNetV2 in full size, weights random (seeded): weights bit for bit, features of
pictures within 1e-4.
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
VENV = FOLDER / ".venv-keras3"
TOLERANCE = 1e-4
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"check_savedmodel_keras3: {what}: {found}", file=sys.stderr)


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    check(" ".join(map(str, words)), done.returncode == 0, done.stderr.strip())


def restart():
    subprocess.run([FOLDER.parents[1] / "tools" / "make-venv.sh", VENV, FOLDER / "requirements-keras3.txt"], check=True)
    return subprocess.run([VENV / "bin" / "python", __file__, sys.argv[1], "again"]).returncode


def read_trunk(path):
    import numpy as np
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__")
    return {name: np.frombuffer(data, "<f4", (end - start) // 4, 8 + size + start).reshape(entry["shape"])
            for name, entry in header.items() for start, end in [entry["data_offsets"]]}


def randomise(model):
    import numpy as np
    rng = np.random.default_rng(7)
    draws = {"gamma": (0.8, 1.2), "moving_variance": (0.5, 1.5), "beta": (0.0, 0.5), "moving_mean": (-0.2, 0.2), "bias": (-0.2, 0.2)}
    for layer in model.layers:
        layer.set_weights([rng.uniform(*draws[one.name], one.shape).astype(np.float32) if one.name in draws
                           else (rng.standard_normal(one.shape) * np.sqrt(2 / np.prod(one.shape[:-1]))).astype(np.float32)
                           for one in layer.weights])
    return model


def check_network(build, folder, data, name, model, cuts):
    import keras
    import numpy as np
    graft, home, source = build / "graft", folder / f"home-{name}", folder / name
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        told, sys.stdout = sys.stdout, nowhere  # it tells at length
        model.export(str(source))
        sys.stdout = told
    run(graft, "import", source, "--as", name, "--home", home, "--quiet")
    tensors = read_trunk(home / f"trunks/{name}.safetensors")
    check(f"{name}: number of weights", len(tensors) == len(model.weights), len(tensors))
    for layer in model.layers:
        for one in layer.weights:
            found = tensors.get(f"{layer.name}/{one.name}")
            check(f"{name}: {layer.name}/{one.name}", found is not None and found.shape == tuple(one.shape) and
                  (found == np.asarray(one)).all())
    run(graft, "dataset", "make", data, "--size", model.input_shape[1], "-o", home / "pictures.npz", "--home", home, "--quiet")
    with np.load(home / "pictures.npz") as file:
        pixels = file["features"].astype(np.float32) / np.float32(127.5) - np.float32(1)
    for cut in cuts:
        run(graft, "features", data, "--model", name, "--layer", cut, "--precision", "f32", "-o", home / "features.npz", "--home", home,
            "--quiet")
        with np.load(home / "features.npz") as file:
            got = file["features"].reshape(len(pixels), -1)
        want = np.asarray(keras.Model(model.input, model.get_layer(cut).output).predict(pixels, verbose=0))
        want = want.mean(axis=(1, 2)) if want.ndim == 4 else want
        worst = np.abs(got - want).max()
        print(f"{name} at {cut}: {worst:.1e} from Keras {keras.__version__}, values up to {np.abs(want).max():.2f}")
        check(f"{name} at {cut}", np.abs(want).max() > 0.1 and worst <= TOLERANCE, worst)


def main():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    build = pathlib.Path(sys.argv[1])
    pictures = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        data = folder / "pictures"
        for kind in ("food", "vehicles"):
            (data / kind).mkdir(parents=True)
            for path in sorted((pictures / kind).iterdir())[:4]:
                shutil.copy(path, data / kind)
        check_network(build, folder, data, "inception_v3", randomise(keras.applications.InceptionV3(weights=None)), ("avg_pool", "mixed3"))
        check_network(build, folder, data, "mobilenet_v2", randomise(keras.applications.MobileNetV2(weights=None)), ("out_relu",))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) > 2 else restart())
