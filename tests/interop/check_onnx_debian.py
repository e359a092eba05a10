"""Does the onnx of Debian (python3-onnx, 1.12 in bookworm) take the files that `graft export --format onnx` writes?

usage: python3 check_onnx_debian.py BUILD
Under Debian's own /usr/bin/python3: the checker, and shape inference, strictly: every value has a shape, the scores are
(N, classes).
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CHECK = """
import sys
import onnx
for path in sys.argv[1:]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    known = {one.name for one in inferred.graph.value_info if one.type.tensor_type.HasField("shape")}
    made = {name for node in model.graph.node for name in node.output} - {one.name for one in model.graph.output}
    if made - known:
        sys.exit(f"{path}: no shape for {sorted(made - known)[:3]}")
    scores = inferred.graph.output[0]
    dims = [one.dim_param or one.dim_value for one in scores.type.tensor_type.shape.dim]
    if scores.name != "scores" or dims[0] != "N" or len(dims) != 2:
        sys.exit(f"{path}: {scores.name} {dims}")
    print(f"check_onnx_debian: {path.rsplit('/', 1)[-1]}: opset {model.opset_import[0].version}, {len(made)} values, "
          f"scores {dims} (onnx {onnx.__version__})")
"""


def main():
    program, home = str(pathlib.Path(sys.argv[1]) / "graft"), os.environ["GRAFT_TEST_HOME"]
    pictures = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
    subprocess.run([HERE.parents[1] / "tools" / "install-deps.sh", "interop"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for kind in ("food", "vehicles"):
            (folder / "pictures" / kind).mkdir(parents=True)
            for path in sorted((pictures / kind).iterdir())[:2]:
                shutil.copy(path, folder / "pictures" / kind)
        for data, name in ((folder / "pictures", "pictures"), (HERE.parent / "cli" / "data" / "iris.csv", "iris")):
            model = folder / f"{name}.safetensors"
            subprocess.run([program, "train", data, "--epochs", "2", "--hidden", "8", "-o", model, "--home", home, "--quiet"],
                           check=True, stdout=subprocess.DEVNULL)
            subprocess.run([program, "export", model, "-o", folder / f"{name}.onnx", "--home", home, "--quiet"], check=True)
        golden = [HERE.parent / "golden" / "export" / f"{cut}.onnx" for cut in ("flatten", "softmax")]
        found = subprocess.run(["/usr/bin/python3", "-c", CHECK, *sorted(folder.glob("*.onnx")), *golden])
    return found.returncode


if __name__ == "__main__":
    sys.exit(main())
