"""Does the real trunk give the features and scores that ONNX Runtime gives from the same weights and pixels?

usage: python3 check_features.py BUILD
16 real pictures, pooled features and softmax: float32 within 1e-4; bfloat16, where this CPU has it, by a cosine of at
least 0.999. One picture is decoded by graft and by Pillow too: what a user does with a file.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import make_onnx  # noqa: E402
import peer_ort  # noqa: E402

TRUNK = f'{os.environ["GRAFT_TEST_HOME"]}/trunks/inception_v3.safetensors'
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
failures = []


def check(what, value, is_good):
    print(f"check_features: {what}: {value:.6g}")
    if not is_good:
        failures.append(what)
        print(f"check_features: {what}: {value:.6g} is not good enough", file=sys.stderr)


def load_picture(path):
    """As graft: alpha over white, triangle filter."""
    picture = Image.open(path).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return np.asarray(white.convert("RGB").resize((299, 299), Image.Resampling.BILINEAR))


def by_graft(graft, source, out, *options):
    subprocess.run([graft, "features", source, "--home", out.parent / "home", "--quiet", "--output", out, *options],
                   check=True, stdout=subprocess.DEVNULL)
    if out.suffix == ".npy":
        return np.load(out)
    with np.load(out) as file:
        return {name: file[name] for name in file.files}


def smallest_cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(((a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))).min())


def compare(graft, folder, pixels, features, softmax, names):
    data = folder / "pictures.npz"
    np.savez(data, features=pixels, labels=np.arange(len(pixels)) % 2)
    layers = ["--layer", names[0], "--layer", names[1]]
    ours = by_graft(graft, data, folder / "f32.npz", "--precision", "f32", *layers)
    difference = float(np.abs(ours[names[0]] - features).max())
    check("features, f32, largest difference", difference, difference <= 1e-4)
    difference = float(np.abs(ours[names[1]] - softmax).max())
    check("softmax, f32, largest difference", difference, difference <= 1e-4)
    if "bf16" in subprocess.run([graft, "--version"], check=True, capture_output=True, text=True).stdout:
        ours = by_graft(graft, data, folder / "bf16.npz", "--precision", "bf16", *layers)
        cosine = smallest_cosine(ours[names[0]], features)
        check("features, bf16, smallest cosine", cosine, cosine >= 0.999)


def compare_file(graft, folder, path, features):
    """From a file: graft's decoder may differ from Pillow by a level here and there."""
    ours = by_graft(graft, path, folder / "one.npy", "--precision", "f32").reshape(1, -1)
    cosine = smallest_cosine(ours, features.reshape(1, -1))
    check(f"features of {path.name}, cosine", cosine, cosine >= 0.99999)


def main():
    graft = f"{sys.argv[1]}/graft"
    paths = sorted(PICTURES.glob("*/*.png"))[::17][:16]
    pixels = np.stack([load_picture(path) for path in paths])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # A home of its own: nothing is to come from the cache of another build.
        (folder / "home/trunks").mkdir(parents=True)
        (folder / "home/trunks/inception_v3.safetensors").symlink_to(TRUNK)
        names = make_onnx.write(TRUNK, f"{folder}/trunk.onnx")
        feed = {"picture": peer_ort.as_input(pixels)}
        features = peer_ort.open_session(f"{folder}/trunk.onnx", 0).run(None, feed)[0].reshape(len(pixels), -1)
        softmax = peer_ort.open_session(f"{folder}/trunk-top.onnx", 0).run(None, feed)[0]
        compare(graft, folder, pixels, features, softmax, names)
        compare_file(graft, folder, paths[0], features[0])
    print(f"check_features: {len(paths)} pictures, {len(failures)} differences (ONNX Runtime {onnxruntime.__version__})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
