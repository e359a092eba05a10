"""Do networks in ONNX files give in graft what they give in ONNX Runtime?

usage: python3 check_onnx_import.py BUILD
Full-size networks with random weights: Keras 2.15's Inception-v3, MobileNetV2 (with a Rescaling in it) and ResNet50 by tf2onnx,
torchvision's by torch.onnx of Debian's PyTorch (make_onnx_models.py), graft's own, and one of them in float16. Outputs on 6
real pictures within 1e-4 of ONNX Runtime, relative to the largest where that is above 1; Inception-v3 of every exporter is
recognised as that, with its blocks; what graft exported comes back with its weights to the bit.
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
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx

HERE = pathlib.Path(__file__).resolve().parent
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
IMAGENET = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
TOLERANCE = 1e-4
failures = []


def check(what, value, is_good):
    print(f"check_onnx_import: {what}: {value}")
    if not is_good:
        failures.append(what)
        print(f"check_onnx_import: {what}: {value} is not good enough", file=sys.stderr)


class Graft:
    def __init__(self, program, home):
        self.program, self.home = program, home

    def __call__(self, *words, home=None):
        done = subprocess.run([self.program, *words, "--home", home or self.home, "--quiet"], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"check_onnx_import: graft {words[0]}: {done.stderr}")
        return done.stdout

    def outputs(self, pictures, trunk, *layers):
        out = pictures.with_suffix(".features.npz")
        wanted = [word for layer in layers for word in ("--layer", layer)]
        self("features", pictures, "--model", trunk, "--precision", "f32", *wanted, "-o", out)
        with np.load(out) as file:
            return {name: file[name] for name in file.files}

    def trunk(self, name):
        data = (self.home / f"trunks/{name}.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + size])
        document = json.loads(header.pop("__metadata__")["graft"])
        return document, {key: data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]]
                          for key, entry in header.items()}


def run(path, inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    is_first = given.shape[1] == 3
    inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2)) if is_first else inputs
    return session.run(None, {given.name: inputs.astype(np.float16 if "float16" in given.type else np.float32)})[0]


def scaled(pixels, how):
    values = pixels.astype(np.float32)
    return {"raw": lambda: values, "tf": lambda: values / np.float32(127.5) - 1,
            "imagenet": lambda: (values / 255 - IMAGENET[0]) / IMAGENET[1]}[how]()


def compare(graft, path, pictures, how, name=None, tolerance=TOLERANCE, options=()):
    """Imports, and compares the last layer's output with the model's."""
    name = name or path.stem
    graft("import", path, "--as", name, *options)
    with np.load(pictures) as file:
        want = run(path, scaled(file["features"], how))
    layers = json.loads(graft("layers", name, "--json"))["layers"]
    found = graft.outputs(pictures, name, layers[-1]["name"])
    found = next(value for key, value in found.items() if value.dtype == np.float32)
    want = want.reshape(found.shape).astype(np.float32)
    most = float(np.abs(want).max())
    difference = float(np.abs(found - want).max())
    spread = float(np.ptp(want, axis=0).max())
    check(f"{path.name}: answers apart", f"{spread:.3g}", spread > 1e-3 * most)
    check(f"{path.name} ({len(layers)} layers): largest difference", f"{difference:.3g} of {most:.3g}",
          difference <= tolerance * max(1.0, most))


def check_blocks(graft, name):
    document, _ = graft.trunk(name)
    names = [layer["config"]["name"] for layer in document["graph"]["config"]["layers"]]
    is_whole = document["architecture"] == "inception_v3" and all(f"mixed{i}" in names for i in range(11))
    check(f"{name} is Inception-v3 with its blocks", document["architecture"], is_whole)


def make_data(graft, folder, side):
    path = folder / f"pictures-{side}.npz"
    graft("dataset", "make", folder / "pictures", "--size", str(side), "-o", path)
    return path


def settle(model, inputs):
    """Statistics of these pictures, and moved: an exchange of two must show."""
    rng = np.random.default_rng(3)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
        norm.beta.assign(rng.uniform(-0.3, 0.3, norm.beta.shape))
    model(inputs, training=True)
    for norm in norms:
        norm.moving_mean.assign(norm.moving_mean + rng.normal(0, 0.05, norm.beta.shape))
        norm.moving_variance.assign(norm.moving_variance * rng.uniform(0.8, 1.25, norm.beta.shape))
    return model


def check_keras(graft, folder):
    applications = keras.applications
    keras.utils.set_random_seed(5)
    pictures, small = make_data(graft, folder, 299), make_data(graft, folder, 224)
    with np.load(pictures) as file:
        large_inputs = scaled(file["features"], "tf")
    with np.load(small) as file:
        small_inputs = scaled(file["features"], "tf")
    inception = settle(applications.InceptionV3(weights=None), large_inputs)
    mobilenet = settle(applications.MobileNetV2(weights=None), small_inputs)
    pixels = keras.layers.Input((224, 224, 3))
    mobilenet = keras.Model(pixels, mobilenet(keras.layers.Rescaling(1 / 127.5, -1)(pixels)))
    resnet = settle(applications.ResNet50(weights=None), small_inputs)
    for name, model, data, how, opset in (("keras_inception", inception, pictures, "tf", 17),
                                          ("keras_mobilenet", mobilenet, small, "raw", 15),
                                          ("keras_resnet", resnet, small, "tf", 13)):
        side = model.input_shape[1]
        tf2onnx.convert.from_keras(model, [tf.TensorSpec((None, side, side, 3), tf.float32, name="x")], opset=opset,
                                   output_path=str(folder / f"{name}.onnx"))
        compare(graft, folder / f"{name}.onnx", data, how)
    check_blocks(graft, "keras_inception")
    compare(graft, folder / "keras_inception.onnx", pictures, "tf", name="inception_v3")
    features = keras.Model(inception.input, inception.get_layer("avg_pool").output).predict(large_inputs, verbose=0)
    found = next(value for value in graft.outputs(pictures, "inception_v3", "avg_pool").values() if value.dtype == np.float32)
    difference = float(np.abs(found.reshape(features.shape) - features).max())
    check("features of Keras itself: largest difference", f"{difference:.3g} of {features.max():.3g}",
          difference <= TOLERANCE * max(1.0, float(features.max())))


def check_torch(graft, folder):
    pictures = make_data(graft, folder, 299)
    with np.load(pictures) as file:
        np.save(folder / "pixels.npy", file["features"])
    subprocess.run(["/usr/bin/python3", HERE / "make_onnx_models.py", folder / "pixels.npy", folder], check=True)
    for path in sorted(folder.glob("torch_*.onnx")):
        data = pictures if "inception" in path.name else make_data(graft, folder, 224)
        compare(graft, path, data, path.with_suffix(".txt").read_text())
    for name in ("torch_inception", "torch_inception_norms", "torch_inception_transform"):
        check_blocks(graft, name)


def check_halves(graft, folder):
    """Weights in float16, which come in to the bit; what is computed in float32 is nearer to them than ONNX Runtime's halves."""
    model = onnx.load(folder / "torch_resnet18.onnx")
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            halves = onnx.numpy_helper.from_array(values.astype(np.float16), tensor.name + "/half")
            tensor.CopyFrom(halves)
            model.graph.node.insert(0, onnx.helper.make_node("Cast", [halves.name], [halves.name.removesuffix("/half")], to=1))
    onnx.checker.check_model(model)
    onnx.save(model, folder / "halves.onnx")
    compare(graft, folder / "halves.onnx", make_data(graft, folder, 224), "tf")
    # And the values in a file of their own, as PyTorch's newer exporter leaves them.
    onnx.save(model, folder / "outside.onnx", save_as_external_data=True, location="outside.onnx.data", size_threshold=0)
    compare(graft, folder / "outside.onnx", make_data(graft, folder, 224), "tf")
    same = graft.trunk("halves")[1] == graft.trunk("outside")[1]
    check("values inside and outside are the same", same, same)


def check_own(graft, folder):
    """A model on the trunk of the tests' home, there and back."""
    home, model, exported = os.environ["GRAFT_TEST_HOME"], folder / "own.safetensors", folder / "own.onnx"
    graft("train", folder / "pictures", "--epochs", "3", "--hidden", "8", "-o", model, home=home)
    graft("export", model, "-o", exported, home=home)
    compare(graft, exported, make_data(graft, folder, 299), "tf", name="own")
    check_blocks(graft, "own")
    document, tensors = graft.trunk("own")
    check("classes", document["classes"], document["classes"] == ["food", "vehicles"])
    data = (pathlib.Path(home) / "trunks/inception_v3.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    trunk = {key: data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]]
             for key, entry in json.loads(data[8:8 + size]).items() if key != "__metadata__"}
    both = [key for key in trunk if key in tensors]
    same = [key for key in both if trunk[key] == tensors[key]]
    check("the trunk's weights to the bit", f"{len(same)} of {len(both)}", len(same) == len(both) == 94 + 3 * 94)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        graft = Graft(f"{sys.argv[1]}/graft", folder / "home")
        for kind in ("food", "vehicles"):
            (folder / "pictures" / kind).mkdir(parents=True)
            for path in sorted((PICTURES / kind).iterdir())[::7][:3]:
                (folder / "pictures" / kind / path.name).symlink_to(path)
        check_own(graft, folder)
        check_keras(graft, folder)
        check_torch(graft, folder)
        check_halves(graft, folder)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
