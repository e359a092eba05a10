"""Does OpenVINO give a model's scores from the file that `graft export --format onnx` writes?

usage: python3 check_openvino.py BUILD
In an environment of its own (requirements-openvino.txt). A model of pictures (trunk and head) on real pictures, in batches and
one by one, a table of numbers, and the committed small networks of tests/golden/export: within 1e-4 of graft, computed in float32.
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
GOLDEN = HERE.parent / "golden" / "export"
IRIS = HERE.parent / "cli" / "data" / "iris.csv"
TOLERANCE = 1e-4
# Its plugin picks bfloat16 where the CPU has it.
RUN = """
import sys
import numpy as np
import openvino
core = openvino.Core()
model = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
rows = np.load(sys.argv[2])
together = model({"input": rows})["scores"]
alone = np.concatenate([model({"input": row[None]})["scores"] for row in rows])
np.savez(sys.argv[3], together=together, alone=alone)
print(openvino.__version__)
"""
failures = []


def compare(python, folder, what, exported, inputs, want):
    np.save(folder / "inputs.npy", inputs)
    version = subprocess.run([python, "-c", RUN, exported, folder / "inputs.npy", folder / "scores.npz"], check=True,
                             stdout=subprocess.PIPE, text=True).stdout.split("-")[0].strip()
    with np.load(folder / "scores.npz") as found:
        for how in ("together", "alone"):
            difference = float(np.abs(found[how] - want).max())
            print(f"check_openvino: {what}, {how}: largest difference {difference:.3g} (OpenVINO {version})")
            if not difference <= TOLERANCE:
                failures.append(what)
                print(f"check_openvino: {what}, {how}: {difference} is more than {TOLERANCE}", file=sys.stderr)


def main():
    program, home = str(pathlib.Path(sys.argv[1]) / "graft"), os.environ["GRAFT_TEST_HOME"]
    pictures = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])

    def graft(*words):
        return subprocess.run([program, *words, "--home", home, "--quiet"], check=True, capture_output=True, text=True).stdout

    def scores(classes, *words):
        answers = json.loads(graft("predict", *words, "--json", "--top", str(len(classes))))
        return np.array([[{one["class"]: one["score"] for one in answer["top"]}[name] for name in classes] for answer in answers])

    environment = HERE / ".venv-openvino"
    subprocess.run([HERE.parents[1] / "tools" / "make-venv.sh", environment, HERE / "requirements-openvino.txt"], check=True)
    python = environment / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for kind in ("food", "vehicles"):
            (folder / "pictures" / kind).mkdir(parents=True)
            for path in sorted((pictures / kind).iterdir())[:4]:
                shutil.copy(path, folder / "pictures" / kind)
        model, exported = folder / "model.safetensors", folder / "model.onnx"
        graft("train", folder / "pictures", "--layer", "avg_pool", "--epochs", "5", "--hidden", "16", "-o", model)
        graft("export", model, "-o", exported)
        graft("dataset", "make", folder / "pictures", "-o", folder / "pictures.npz")
        with np.load(folder / "pictures.npz") as file:
            inputs = file["features"].astype(np.float32) / np.float32(127.5) - 1
        items = sorted((folder / "pictures").glob("*/*"))
        compare(python, folder, "a model of pictures", exported, inputs,
                scores(["food", "vehicles"], model, *items, "--precision", "f32"))

        graft("train", IRIS, "--hidden", "16", "--epochs", "30", "-o", model)
        graft("export", model, "-o", exported)
        lines = [line.split(",") for line in IRIS.read_text().splitlines()[1:]]
        classes = sorted({line[-1] for line in lines})
        compare(python, folder, "iris", exported, np.array([line[:-1] for line in lines], np.float32),
                scores(classes, model, "--numbers", str(IRIS)))

        for cut in ("flatten", "softmax"):
            compare(python, folder, f"every class of layer, {cut}", GOLDEN / f"{cut}.onnx",
                    np.load(GOLDEN / "input.npy").reshape(-1, 17, 14, 3), np.load(GOLDEN / f"{cut}.npy"))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
