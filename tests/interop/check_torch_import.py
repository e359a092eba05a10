"""Does Inception-v3 from PyTorch's and Keras' checkpoints give in graft what it gives in the framework that wrote them?

usage: python3 check_torch_import.py BUILD
torchvision 0.14 and timm 0.5 run with Debian's PyTorch (make_torch_models.py), Keras 2.15 here, all with random weights and
statistics of their own. Files in both forms of torch.save() and in safetensors, by PyTorch's names and by Keras'. On 8 real pictures
pooled features and softmax within 1e-4; weights to the bit. Then a model trained on such a trunk, exported as ONNX, Keras and TensorFlow.js.
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import onnxruntime
from PIL import Image
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).resolve().parent
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's packages are of no other
TIMM = "timm==0.5.4"
TOLERANCE = 1e-4
failures = []


def check(what, value, is_good):
    print(f"check_torch_import: {what}: {value}")
    if not is_good:
        failures.append(what)
        print(f"check_torch_import: {what}: {value} is not good enough", file=sys.stderr)


def check_near(what, found, want):
    difference = float(np.abs(found - want).max()) if found.shape == want.shape else float("inf")
    check(f"{what}, largest difference", f"{difference:.3g}", difference <= TOLERANCE)


def load_picture(path):
    """As graft: alpha over white, triangle filter."""
    picture = Image.open(path).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return np.asarray(white.convert("RGB").resize((299, 299), Image.Resampling.BILINEAR))


class Graft:
    def __init__(self, program, folder):
        self.program, self.folder, self.home = program, folder, folder / "home"

    def __call__(self, *words):
        done = subprocess.run([self.program, *words, "--home", self.home, "--quiet"], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"check_torch_import: graft {words[0]}: {done.stderr}")
        return done.stdout

    def load(self, file, *options):
        """Imports; the identity of the network and where it came from."""
        answer = json.loads(self("import", file, "--as", "inception_v3", "--json", *options))
        return answer["sha256"], answer["origin"]

    def outputs(self):
        self("features", self.folder / "pictures.npz", "--precision", "f32", "--layer", "avg_pool", "--layer", "predictions",
             "-o", self.folder / "outputs.npz")
        with np.load(self.folder / "outputs.npz") as file:
            return file["avg_pool"], file["predictions"]

    def trunk(self):
        data = (self.home / "trunks/inception_v3.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + size])
        document = json.loads(header.pop("__metadata__")["graft"])
        return document, {name: np.frombuffer(data, "<f4", (end - start) // 4, 8 + size + start).reshape(entry["shape"])
                          for name, entry in header.items() for start, end in [entry["data_offsets"]]}


# ---- PyTorch -----------------------------------------------------------------------------------------------------------------


def compare(graft, case, file, *options):
    identity, origin = graft.load(file, *options)
    features, scores = graft.outputs()
    with np.load(graft.folder / f"{case}-expected.npz") as expected:
        check_near(f"{file.name}: features", features, expected["features"])
        check_near(f"{file.name}: scores", scores, expected["scores"])
    return identity, origin


def as_safetensors(folder, case, name=None):
    with np.load(folder / f"{case}.npz") as file:
        state = {key: np.ascontiguousarray(file[key]) for key in file.files}
    path = folder / (name or f"{case}.safetensors")
    path.parent.mkdir(exist_ok=True)
    save_file(state, path)
    return path, state


def check_weights(graft, state, prefix):
    """Convolutions in the order of the state dict are conv2d_1 to conv2d_94."""
    _, tensors = graft.trunk()
    convs = [name[len(prefix):-len(".conv.weight")] for name in state
             if name.endswith(".conv.weight") and "AuxLogits" not in name]
    same = len(convs) == 94
    for i, module in enumerate(convs, 1):
        same &= bool((np.transpose(state[f"{prefix}{module}.conv.weight"], (2, 3, 1, 0)) == tensors[f"conv2d_{i}/kernel"]).all())
        for ours, theirs in (("gamma", "weight"), ("beta", "bias"), ("moving_mean", "running_mean"),
                             ("moving_variance", "running_var")):
            same &= bool((state[f"{prefix}{module}.bn.{theirs}"] == tensors[f"batch_normalization_{i}/{ours}"]).all())
    same &= bool((state[f"{prefix}fc.weight"].T == tensors["predictions/kernel"]).all())
    same &= bool((state[f"{prefix}fc.bias"] == tensors["predictions/bias"]).all())
    check("weights to the bit", same, same)


def check_torchvision(graft, folder):
    first, origin = compare(graft, "torchvision", folder / "torchvision.pth")
    check("origin", origin, "AuxLogits left out" in origin)
    second, _ = compare(graft, "torchvision-old", folder / "torchvision-old.pth")
    path, state = as_safetensors(folder, "torchvision-safetensors")
    third, _ = compare(graft, "torchvision-safetensors", path)
    check("one network in three files", first == second == third, first == second == third)
    check_weights(graft, state, "module.")
    _, origin = compare(graft, "torchvision-imagenet", folder / "torchvision-imagenet.pth", "--input", "imagenet")
    check("origin", origin, "first convolution" in origin)


def check_timm(graft, folder):
    path, state = as_safetensors(folder, "timm-tv")
    compare(graft, "timm-tv", path)
    check_weights(graft, state, "")
    _, origin = compare(graft, "timm-tf", folder / "timm-tf.pth")
    check("origin", origin, "background" in origin)
    compare(graft, "timm-adv", as_safetensors(folder, "timm-adv")[0])
    path, _ = as_safetensors(folder, "timm-gluon")
    first, _ = compare(graft, "timm-gluon", path, "--input", "imagenet")
    # As the hub has it: a folder with the maker's own word beside the weights.
    path, _ = as_safetensors(folder, "timm-gluon", "hub/model.safetensors")
    config = {"architecture": "inception_v3", "num_classes": 1000, "pretrained_cfg": {
        "tag": "gluon_in1k", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "input_size": [3, 299, 299]}}
    (path.parent / "config.json").write_text(json.dumps(config))
    second, origin = graft.load(path.parent)
    check("config.json is heeded", origin, first == second and "config.json" in origin)


# ---- Keras -------------------------------------------------------------------------------------------------------------------


def check_keras(graft, folder, pixels):
    rng = np.random.default_rng(70)
    keras.utils.set_random_seed(70)
    inputs = pixels.astype(np.float32) / 127.5 - 1
    for case, rename in (("keras-2", lambda name: name), ("keras-3", lambda name: name.split(":")[0])):
        model = keras.applications.InceptionV3(weights=None)  # the second time from conv2d_94 on
        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        for norm in norms:
            norm.momentum = 0.0
            norm.beta.assign(rng.uniform(-0.3, 0.3, norm.beta.shape))
        model(inputs, training=True)  # statistics of these pictures
        for norm in norms[-12:]:  # without gamma features would be ten times those of a trained network
            norm.moving_variance.assign(norm.moving_variance * 16)
        for norm in norms:
            norm.moving_mean.assign(norm.moving_mean + rng.normal(0, 0.05, norm.beta.shape))
            norm.moving_variance.assign(norm.moving_variance * rng.uniform(0.8, 1.25, norm.beta.shape))
        path = folder / f"{case}.safetensors"
        save_file({rename(weight.name): weight.numpy() for weight in model.weights}, path)
        graft.load(path)
        found = graft.outputs()
        both = keras.Model(model.input, [model.get_layer("avg_pool").output, model.output])
        want = both.predict(inputs, verbose=0)
        check(f"{path.name}: features up to", f"{want[0].max():.3g}", 0.5 < want[0].max() < 10)
        check_near(f"{path.name}: features", found[0], want[0])
        check_near(f"{path.name}: scores", found[1], want[1])


# ---- onwards -----------------------------------------------------------------------------------------------------------------


def check_onwards(graft, folder, pixels, paths):
    """A trunk with PyTorch's averages goes through training, classifying and the exports."""
    graft.load(folder / "torchvision.pth")
    document, _ = graft.trunk()
    check("architecture", document["architecture"], document["architecture"] == "inception_v3")
    answers = json.loads(graft("classify", paths[0], "--top", "1", "--precision", "f32", "--json"))
    with np.load(folder / "torchvision-expected.npz") as expected:
        best = document["classes"][int(expected["scores"][0].argmax())]
    check("classify names torchvision's best", answers[0]["class"], answers[0]["class"] == best)

    data = folder / "data"
    for kind in sorted({path.parent.name for path in paths})[:2]:
        (data / kind).mkdir(parents=True)
        for path in sorted((PICTURES / kind).iterdir())[:8]:
            (data / kind / path.name).symlink_to(path)
    items = sorted(data.glob("*/*"))
    graft("dataset", "make", data, "-o", folder / "data.npz")
    with np.load(folder / "data.npz") as file:
        inputs = file["features"].astype(np.float32) / 127.5 - 1
    for layer in ("mixed4", "avg_pool"):
        model = folder / f"{layer}.safetensors"
        graft("train", data, "--model", "inception_v3", "--layer", layer, "--precision", "f32", "--epochs", "40", "-o", model)
        answers = json.loads(graft("predict", model, *items, "--precision", "f32", "--json"))
        classes = sorted(path.name for path in data.iterdir())
        want = np.array([[{one["class"]: one["score"] for one in answer["top"]}[name] for name in classes] for answer in answers])
        check(f"trained on {layer}: scores apart", f"{np.ptp(want[:, 0]):.3g}", np.ptp(want[:, 0]) > 0.1)
        graft("export", model, "--format", "onnx", "-o", folder / f"{layer}.onnx")
        session = onnxruntime.InferenceSession(folder / f"{layer}.onnx", providers=["CPUExecutionProvider"])
        check_near(f"trained on {layer}, exported to ONNX", session.run(["scores"], {"input": inputs})[0], want)
        graft("export", model, "--format", "keras", "-o", folder / f"{layer}.h5")
        loaded = keras.models.load_model(folder / f"{layer}.h5", compile=False)
        check_near(f"trained on {layer}, exported to Keras", loaded.predict(inputs, verbose=0), want)
        graft("export", model, "--format", "tfjs", "-o", folder / f"{layer}-tfjs")
        for source, name in ((folder / f"{layer}.h5", "from_h5"), (folder / f"{layer}-tfjs", "from_tfjs")):
            graft("import", source, "--as", name)
            graft("features", folder / "data.npz", "--model", name, "--layer", "-1", "--precision", "f32", "-o",
                  folder / "back.npz")
            with np.load(folder / "back.npz") as file:
                scores = next(file[key] for key in file.files if file[key].shape == want.shape)
            check_near(f"trained on {layer}, {name}", scores, want)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        graft = Graft(f"{sys.argv[1]}/graft", folder)
        paths = sorted(PICTURES.glob("*/*.png"))[::29][:8]
        pixels = np.stack([load_picture(path) for path in paths])
        np.save(folder / "pixels.npy", pixels)
        np.savez(folder / "pictures.npz", features=pixels, labels=np.arange(len(pixels)) % 2)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--target", folder / "timm", TIMM], check=True)
        made = subprocess.run([SYSTEM_PYTHON, HERE / "make_torch_models.py", folder / "pixels.npy", folder, folder / "timm"])
        if made.returncode != 0:
            raise SystemExit("check_torch_import: needs Debian's PyTorch: tools/install-deps.sh interop")
        check_torchvision(graft, folder)
        check_timm(graft, folder)
        check_keras(graft, folder, pixels)
        check_onwards(graft, folder, pixels, paths)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
