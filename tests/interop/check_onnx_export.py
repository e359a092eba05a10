"""Does ONNX Runtime give a model's scores from the file that `graft export --format onnx` writes?

usage: python3 check_onnx_export.py BUILD
Models of two cuts (one behind the trunk's own pooling, one pooled by graft) on real pictures, the head alone, and a table of
numbers: within 1e-4 of `graft predict --precision f32`, in one batch and one by one; the committed files of tests/golden/export.
The ONNX project's own checker takes all of them.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "export"
HOME = os.environ["GRAFT_TEST_HOME"]
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
IRIS = pathlib.Path(__file__).resolve().parents[1] / "cli" / "data" / "iris.csv"
TOLERANCE = 1e-4
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"check_onnx_export: {what}: {found}", file=sys.stderr)


def graft(program, *words):
    return subprocess.run([program, *words, "--home", HOME, "--quiet"], check=True, capture_output=True, text=True).stdout


def choose_pictures(folder):
    for kind in ("food", "vehicles"):
        (folder / kind).mkdir(parents=True)
        for path in sorted((PICTURES / kind).iterdir())[:8]:
            shutil.copy(path, folder / kind)


def scores_of_graft(program, model, items, classes, *options):
    answers = json.loads(graft(program, "predict", model, *items, "--json", "--top", str(len(classes)), *options))
    by_name = [{one["class"]: one["score"] for one in answer["top"]} for answer in answers]
    return np.array([[scores[name] for name in classes] for scores in by_name], np.float32)


def open_exported(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    properties = {one.key: one.value for one in model.metadata_props}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, properties


def compare(what, session, inputs, want):
    together = session.run(["scores"], {"input": inputs})[0]
    alone = np.concatenate([session.run(["scores"], {"input": row[None]})[0] for row in inputs])
    for how, found in (("together", together), ("one by one", alone)):
        difference = float(np.abs(found - want).max())
        print(f"check_onnx_export: {what}, {how}: largest difference {difference:.3g}")
        check(f"{what}, {how}", difference <= TOLERANCE, difference)


def check_pictures(program, folder, layer, cut):
    data, model, exported = folder / "pictures", folder / f"{layer}.safetensors", folder / f"{layer}.onnx"
    graft(program, "train", data, "--layer", layer, "--epochs", "5", "--hidden", "64", "--dropout", "0.2", "-o", model)
    graft(program, "export", model, "--format", "onnx", "-o", exported)
    session, properties = open_exported(exported)
    classes, recipe = json.loads(properties["classes"]), json.loads(properties["preprocessing"])
    check("classes", classes == ["food", "vehicles"], classes)
    check("the cut", properties["layer"] == cut and properties["trunk"] == "inception_v3", properties)
    graft(program, "dataset", "make", data, "--size", str(recipe["width"]), "-o", folder / "pictures.npz")
    with np.load(folder / "pictures.npz") as file:
        pixels = file["features"]
    inputs = pixels.astype(np.float32) * np.float32(recipe["scale"]) + np.float32(recipe["shift"])
    items = sorted(data.glob("*/*"))
    compare(f"cut at {layer}", session, inputs, scores_of_graft(program, model, items, classes, "--precision", "f32"))

    graft(program, "features", data, "--layer", layer, "--precision", "f32", "-o", folder / "features.npz")
    graft(program, "export", model, "--head-only", "-o", exported)
    session, properties = open_exported(exported)
    check("a head has no preprocessing", "preprocessing" not in properties, properties)
    with np.load(folder / "features.npz") as file:
        features = file["features"].reshape(len(items), -1)
    compare(f"head behind {layer}", session, features,
            scores_of_graft(program, model, items, classes, "--precision", "f32"))


def check_table(program, folder):
    model, exported = folder / "iris.safetensors", folder / "iris.onnx"
    graft(program, "train", IRIS, "--hidden", "16", "--epochs", "30", "-o", model)
    graft(program, "export", model, "-o", exported)
    session, properties = open_exported(exported)
    lines = IRIS.read_text().splitlines()
    columns, classes = lines[0].split(",")[:-1], json.loads(properties["classes"])
    check("columns", json.loads(properties["columns"]) == columns, properties["columns"])
    rows = np.array([line.split(",")[:-1] for line in lines[1:]], np.float32)
    compare("iris", session, rows, scores_of_graft(program, model, [], classes, "--numbers", str(IRIS)))


def check_golden():
    """The committed files, whose bytes the unit test compares: every class of layer."""
    inputs = np.load(GOLDEN / "input.npy").reshape(-1, 17, 14, 3)
    for path in (GOLDEN / "flatten.onnx", GOLDEN / "softmax.onnx"):  # check_onnx_decoder.py has the third
        session, properties = open_exported(path)
        check("preprocessing", json.loads(properties["preprocessing"])["height"] == 17, properties)
        compare(f"every class of layer, {path.name}", session, inputs, np.load(path.with_suffix(".npy")))


def main():
    program = str(pathlib.Path(sys.argv[1]) / "graft")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        choose_pictures(folder / "pictures")
        check_pictures(program, folder, "avg_pool", "mixed10")
        check_pictures(program, folder, "mixed3", "mixed3")
        check_table(program, folder)
    check_golden()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
