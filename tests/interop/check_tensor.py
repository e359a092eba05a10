"""Do numpy and safetensors read what graft writes?

usage: python3 check_tensor.py BUILD
Needs numpy and safetensors. Exit status 1 and one line for every file that differs.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import safetensors

DTYPES = ["float32", "float64", "float16", "uint8", "int8", "uint16", "int16", "uint32", "int32",
          "uint64", "int64", "bool"]
failures = []


def check(what, is_good):
    if not is_good:
        failures.append(what)
        print(f"check_tensor: {what}: differs", file=sys.stderr)


def same(got, want):
    return got.dtype == want.dtype and got.shape == want.shape and bool((got == want).all())


def sample(dtype):
    """What write_tensors.c makes."""
    values = np.arange(6, dtype=np.int64)
    values = values % 2 if dtype == "bool" else 3 * values - 5
    return values.astype(dtype).reshape(2, 3)


def check_npy(folder):
    for dtype in DTYPES:
        path = folder / f"{dtype}.npy"
        check(path.name, same(np.load(path), sample(dtype)))
        np.save(folder / "again.npy", sample(dtype))
        check(f"{path.name}, bytes", path.read_bytes() == (folder / "again.npy").read_bytes())


def check_npz(folder):
    for name in ("stored", "deflated"):
        with np.load(folder / f"{name}.npz") as file:
            check(f"{name}, names", file.files == ["features", "classes", "rows"])
            check(f"{name}, features", same(file["features"], sample("uint8")))
            check(f"{name}, classes", file["classes"].tolist() == ["rose", "Zoë", "花", "", "🌹"])
            rows = np.arange(3000, dtype=np.float32).reshape(1000, 3)
            check(f"{name}, rows", same(file["rows"], rows))


def check_safetensors(folder):
    path = folder / "all.safetensors"
    data = path.read_bytes()
    tensors = dict(safetensors.deserialize(data))
    check("safetensors, names", sorted(tensors) == sorted(DTYPES + ["bfloat16"]))
    for dtype in DTYPES:
        entry = tensors[dtype]
        got = np.frombuffer(bytes(entry["data"]), dtype=dtype).reshape(entry["shape"])
        check(f"safetensors, {dtype}", same(got, sample(dtype)))
    # bfloat16 is the upper half of a float32.
    wide = np.frombuffer(bytes(tensors["bfloat16"]["data"]), np.uint16).astype(np.uint32) << 16
    check("safetensors, bfloat16", same(wide.view(np.float32).reshape(2, 3), sample("float32")))
    check("safetensors, bfloat16 type", tensors["bfloat16"]["dtype"] == "BF16")
    with safetensors.safe_open(path, framework="numpy") as file:
        check("safetensors, metadata", file.metadata() == {"graft": '{"classes":["Zoë"]}'})
    n_header = int.from_bytes(data[:8], "little")
    check("safetensors, alignment", (8 + n_header) % 64 == 0)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([f"{sys.argv[1]}/tests/interop/write_tensors", name], check=True)
        check_npy(folder)
        check_npz(folder)
        check_safetensors(folder)
    print(f"check_tensor: numpy {np.__version__}, safetensors {safetensors.__version__}: "
          f"{'FAILED' if failures else 'ok'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
