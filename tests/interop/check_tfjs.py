"""Does TensorFlow.js give a model's scores from the folder that `graft export --format tfjs` writes?

usage: python3 check_tfjs.py BUILD
A table's model with its standardisation, and a model of pictures cut early (TensorFlow.js' own CPU backend is slow), within 1e-4 of
`graft predict --precision f32`; quantised ones name the same class. Needs node and npm.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

HOME = os.environ["GRAFT_TEST_HOME"]
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
HERE = pathlib.Path(__file__).resolve().parent
IRIS = HERE.parent / "cli" / "data" / "iris.csv"
PACKAGES = [f"@tensorflow/tfjs-{name}@4.22.0" for name in ("core", "layers", "backend-cpu")]
failures = []


def check(what, found, is_good):
    print(f"check_tfjs: {what}: {found}")
    if not is_good:
        failures.append(what)
        print(f"check_tfjs: {what}: {found} is not good enough", file=sys.stderr)


def graft(program, *words):
    return subprocess.run([program, *words, "--home", HOME, "--quiet"], check=True, capture_output=True, text=True).stdout


def by_tfjs(folder, exported, inputs):
    (folder / "inputs.json").write_text(json.dumps({"shape": inputs.shape, "values": inputs.ravel().tolist()}))
    out = subprocess.run(["node", folder / "run_tfjs.mjs", exported, folder / "inputs.json"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    answer = json.loads(out.splitlines()[-1])
    return np.array(answer["scores"]), answer


def scores_of(answers, classes):
    return np.array([[{one["class"]: one["score"] for one in answer["top"]}[name] for name in classes] for answer in answers])


def check_model(program, folder, model, inputs, answers):
    for kind in ("none", "float16", "uint8"):
        exported = folder / f"{model.stem}-{kind}"
        graft(program, "export", model, "--format", "tfjs", "--quantize", kind, "-o", exported)
        scores, answer = by_tfjs(folder, exported, inputs)
        want = scores_of(answers, answer["metadata"]["classes"])
        difference = float(np.abs(scores - want).max())
        check(f"{model.stem}, {kind}, largest difference", difference, difference <= (1e-4 if kind == "none" else 0.1))
        check(f"{model.stem}, {kind}, same classes", int((scores.argmax(1) == want.argmax(1)).sum()),
              kind == "uint8" or (scores.argmax(1) == want.argmax(1)).all())
        check(f"{model.stem}, {kind}, largest shard", answer["largestShard"], answer["largestShard"] <= 4 << 20)


def main():
    program = str(pathlib.Path(sys.argv[1]) / "graft")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shutil.copy(HERE / "run_tfjs.mjs", folder)
        (folder / "package.json").write_text("{}")
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES], cwd=folder, check=True)

        graft(program, "train", IRIS, "--hidden", "16", "--epochs", "30", "-o", folder / "iris.safetensors")
        rows = np.array([line.split(",")[:-1] for line in IRIS.read_text().splitlines()[1:]], np.float32)
        answers = json.loads(graft(program, "predict", folder / "iris.safetensors", "--numbers", IRIS, "--json"))
        check_model(program, folder, folder / "iris.safetensors", rows, answers)

        data = folder / "pictures"
        for kind in ("food", "vehicles"):
            (data / kind).mkdir(parents=True)
            for path in sorted((PICTURES / kind).iterdir())[:3]:
                shutil.copy(path, data / kind)
        model = folder / "pictures.safetensors"
        graft(program, "train", data, "--layer", "mixed0", "--epochs", "5", "--hidden", "16", "-o", model)
        graft(program, "dataset", "make", data, "-o", folder / "pictures.npz")
        with np.load(folder / "pictures.npz") as file:
            pixels = file["features"][::3]
        items = sorted(data.glob("*/*"))[::3]
        answers = json.loads(graft(program, "predict", model, *items, "--precision", "f32", "--json"))
        check_model(program, folder, model, (pixels / 127.5 - 1).astype(np.float32), answers)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
