"""Can a model file be read, and its answers be computed, without graft?

usage: python3 check_model_file.py BUILD
Trains a head on real pictures. The file opens in the safetensors library; its head, applied by numpy to the features
that graft gives, gives the scores of graft predict; its self-test pictures open in Pillow and are scored as recorded. A
bundle also holds the trunk, weight for weight.
"""
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import safetensors
import safetensors.numpy
from PIL import Image

HOME, PICTURES = os.environ["GRAFT_TEST_HOME"], pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
KINDS, PER_KIND = ["animals", "food", "vehicles"], 12
TOLERANCE = 1e-5
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"check_model_file: {what}: {found}", file=sys.stderr)


def graft(program, *words):
    done = subprocess.run([program, *map(str, words), "--home", HOME, "--quiet", "--json"], check=True, capture_output=True,
                          text=True)
    return json.loads(done.stdout)


def read_model(path):
    with safetensors.safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["graft"]), {name: file.get_tensor(name) for name in file.keys()}


def head_scores(document, tensors, features):
    """The head as docs/formats.md describes it."""
    x = features.astype(np.float64)
    for i, layer in enumerate(document["head"]):
        x = x @ tensors[f"head/{i}/kernel"] + tensors[f"head/{i}/bias"]
        if layer["activation"] == "relu":
            x = np.maximum(x, 0)
        elif layer["activation"] == "softmax":
            x = np.exp(x - x.max(-1, keepdims=True))
            x /= x.sum(-1, keepdims=True)
    return x


def predicted(program, model, paths, classes):
    """(N, classes) in the order of the file's classes."""
    results = graft(program, "predict", model, *paths, "--top", len(classes))
    rows = [{entry["class"]: entry["score"] for entry in result["top"]} for result in results]
    return np.array([[row[name] for name in classes] for row in rows])


def check_scores(program, folder, model):
    document, tensors = read_model(model)
    classes = document["classes"]
    check("classes", classes == KINDS, classes)
    features = folder / "features.npz"
    graft(program, "features", folder / "set", "--precision", document["precision"], "--output", features)
    with np.load(features) as file:
        scores = head_scores(document, tensors, file["features"])
        items = [str(item) for item in file["items"]]
    ours = predicted(program, model, [folder / "set" / item for item in items], classes)
    difference = np.abs(scores - ours).max()
    print(f"check_model_file: {len(items)} pictures, largest difference of a score {difference:.2g}")
    check("scores", difference <= TOLERANCE, f"{difference:.3g} away from numpy's")


def check_self_test(program, folder, model):
    document, tensors = read_model(model)
    samples = document["self_test"]["samples"]
    check("self-test", len(samples) > 0, "no samples")
    for i, sample in enumerate(samples):
        png = tensors[sample["png_tensor"]].tobytes()
        size = Image.open(io.BytesIO(png)).size
        check(f"self-test picture {i}", size == (document["recipe"]["width"], document["recipe"]["height"]), size)
        path = folder / f"sample-{i}.png"
        path.write_bytes(png)
        difference = np.abs(predicted(program, model, [path], document["classes"])[0] - sample["scores"]).max()
        check(f"self-test scores {i}", difference <= TOLERANCE, f"{difference:.3g} away from the recorded ones")


def check_bundle(program, folder, options):
    path = folder / "bundle.safetensors"
    graft(program, "train", folder / "set", *options, "--bundle", "--output", path)
    bundled = safetensors.numpy.load_file(path)
    trunk = safetensors.numpy.load_file(f"{HOME}/trunks/inception_v3.safetensors")
    document, _ = read_model(path)
    layers = {layer["config"]["name"] for layer in document["trunk"]["graph"]["config"]["layers"]}
    wanted = [name for name in trunk if name.split("/")[0] in layers]
    same = [name for name in wanted if np.array_equal(trunk[name], bundled.get(f"trunk/{name}"))]
    check("bundle", len(wanted) > 0 and same == wanted, f"{len(same)} of {len(wanted)} trunk weights found")


def main():
    program = f"{sys.argv[1]}/graft"
    options = ["--epochs", 5, "--hidden", 64]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind in KINDS:
            (folder / "set" / kind).mkdir(parents=True)
            for path in sorted((PICTURES / kind).iterdir())[:PER_KIND]:
                shutil.copy(path, folder / "set" / kind)
        model = folder / "model.safetensors"
        graft(program, "train", folder / "set", *options, "--output", model)
        check_scores(program, folder, model)
        check_self_test(program, folder, model)
        check_bundle(program, folder, options)
    print(f"check_model_file: {len(failures)} differences (safetensors {safetensors.__version__}, numpy {np.__version__})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
