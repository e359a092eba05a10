"""Is what graft imports from TensorFlow's files what TensorFlow computes?

usage: python3 check_savedmodel_import.py BUILD
Needs TensorFlow with Keras 2 (tensorflow-cpu 2.15). Exit status 1 and one line for everything that differs.

Inception-v3 in full size, its weights random (seeded), saved by Keras' model.save() and model.export() and as a frozen graph, with and
without its own top: layers, inputs and weights bit for bit as Keras has them, features of pictures within 1e-4 of TensorFlow's at three
cuts. MobileNetV2 the same way. A model that graft exports as SavedModel comes back with the same weights.
"""
import contextlib
import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
HOME = os.environ["GRAFT_TEST_HOME"]
TOLERANCE = 1e-4
N_PICTURES = 4
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"check_savedmodel_import: {what}: {found}", file=sys.stderr)


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    check(" ".join(map(str, words)), done.returncode == 0, done.stderr.strip())
    return done.stdout


def read_file(path):
    """graft's document and the tensors of floats by name."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    document = json.loads(header.pop("__metadata__")["graft"])
    tensors = {name: np.frombuffer(data, "<f4", (end - start) // 4, 8 + size + start).reshape(entry["shape"])
               for name, entry in header.items() if entry["dtype"] == "F32" for start, end in [entry["data_offsets"]]}
    return document, tensors


def randomise(model):
    """Biases and moving statistics, too, so that an exchange of two shows; values stay near 1 through all the layers."""
    rng = np.random.default_rng(7)
    for layer in model.layers:
        kinds = [one.name.split("/")[-1].split(":")[0] for one in layer.weights]
        draws = {"gamma": (0.8, 1.2), "moving_variance": (0.5, 1.5), "beta": (0.0, 0.5), "moving_mean": (-0.2, 0.2), "bias": (-0.2, 0.2)}
        layer.set_weights([rng.uniform(*draws[kind], one.shape).astype(np.float32) if kind in draws
                           else (rng.standard_normal(one.shape) * np.sqrt(2 / np.prod(one.shape[:-1]))).astype(np.float32)
                           for kind, one in zip(kinds, layer.weights)])
    return model


def freeze(model, path):
    function = tf.function(lambda pixels: model(pixels, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec(model.input_shape, tf.float32, name="pixels"))
    path.write_bytes(convert_variables_to_constants_v2(concrete).graph.as_graph_def().SerializeToString())


def listing(model):
    """The lines that import_trunk prints but for names, as Keras sees them."""
    index = {layer.name: i for i, layer in enumerate(model.layers)}
    for i, layer in enumerate(model.layers):
        shape = layer.output_shape[0] if isinstance(layer.output_shape, list) else layer.output_shape
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        names = [t._keras_history.layer.name for t in inputs if t._keras_history.layer is not layer]
        yield [str(i), type(layer).__name__, "x".join(map(str, shape[1:])), str(layer.count_params()),
               ",".join(str(index[name]) for name in names) or "-"]


def compare_layers(what, model, lines, trunk):
    rows = [line.split("\t") for line in lines.splitlines()]
    want = list(listing(model))
    differ = [(a, b) for a, b in zip(want, [row[:1] + row[2:] for row in rows]) if a != b]
    check(f"{what}: layers", len(rows) == len(want) and not differ, f"{len(rows)} layers, {len(want)} expected, {differ[:1]}")
    _, tensors = read_file(trunk)
    names = [row[1] for row in rows]
    for layer, name in zip(model.layers, names):
        for one in layer.weights:
            kind = one.name.split("/")[-1].split(":")[0].replace("depthwise_kernel", "kernel")
            found = tensors.get(f"{name}/{kind}")
            check(f"{what}: {layer.name}/{kind}", found is not None and found.shape == one.shape and (found == one.numpy()).all())
    check(f"{what}: names", [layer.name for layer in model.layers][1:] == names[1:],
          next((pair for pair in zip((layer.name for layer in model.layers), names) if pair[0] != pair[1]), ""))


def compare_features(what, graft, model, trunk, home, data, cuts):
    side = model.input_shape[1]
    run(graft, "dataset", "make", data, "--size", side, "-o", home / "pictures.npz", "--home", home, "--quiet")
    with np.load(home / "pictures.npz") as file:
        pixels = file["features"].astype(np.float32) / np.float32(127.5) - np.float32(1)
    for cut in cuts:
        run(graft, "features", data, "--model", trunk, "--layer", cut, "--precision", "f32", "-o", home / "features.npz", "--home", home,
            "--quiet")
        with np.load(home / "features.npz") as file:
            got = file["features"].reshape(len(pixels), -1)
        layer = model.get_layer(cut).output
        pooled = layer if len(layer.shape) == 2 else tf.reduce_mean(layer, axis=(1, 2))
        want = keras.Model(model.input, pooled).predict(pixels, verbose=0)
        worst = np.abs(got - want).max()
        print(f"{what} at {cut}: {worst:.1e} from TensorFlow, values up to {np.abs(want).max():.2f}")
        check(f"{what} at {cut}", got.shape == want.shape and np.abs(want).max() > 0.1 and worst <= TOLERANCE, worst)


def check_network(build, folder, data, name, model, cuts):
    graft, program = build / "graft", build / "tests" / "interop" / "import_trunk"
    model.save(folder / "saved", save_format="tf")
    with contextlib.redirect_stdout(io.StringIO()):  # it tells at length
        model.export(str(folder / "exported"))
    freeze(model, folder / "frozen.pb")
    for source in ("saved", "exported", "frozen.pb"):
        home = folder / "home" / source
        home.mkdir(parents=True)
        what = f"{name}, {source}"
        compare_layers(what, model, run(program, folder / source, name, home), home / f"trunks/{name}.safetensors")
        if source != "exported":
            compare_features(what, graft, model, name, home, data, cuts)
    for one in ("saved", "exported", "home"):
        shutil.rmtree(folder / one)


def check_round_trip(build, folder, data):
    """graft's own SavedModel: the trunk's weights as far as the cut, and the head's."""
    graft = build / "graft"
    home, model, exported = folder / "back", folder / "model.safetensors", folder / "model.savedmodel"
    home.mkdir()
    run(graft, "train", data, "--hidden", "8", "--precision", "f32", "-o", model, "--home", HOME, "--quiet")
    run(graft, "export", model, "--format", "savedmodel", "-o", exported, "--home", HOME, "--quiet")
    run(graft, "import", exported, "--as", "inception_v3", "--home", home, "--quiet")
    document, got = read_file(home / "trunks" / "inception_v3.safetensors")
    _, want = read_file(pathlib.Path(HOME) / "trunks" / "inception_v3.safetensors")
    head = {name: one for name, one in read_file(model)[1].items() if name.startswith("head/")}
    mine = [one for name, one in got.items() if name not in want]
    check("round trip: architecture", document["architecture"] == "inception_v3", document["architecture"])
    check("round trip: classes", document["classes"] == ["food", "vehicles"], document["classes"])
    check("round trip: trunk", all((want[name] == one).all() for name, one in got.items() if name in want) and
          len(got) - len(mine) > 300, len(got) - len(mine))
    check("round trip: head", len(mine) == len(head) == 4 and
          all(any(a.shape == b.shape and (a == b).all() for b in mine) for a in head.values()), len(mine))


def main():
    build = pathlib.Path(sys.argv[1])
    tf.get_logger().setLevel("ERROR")
    applications = keras.applications
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        data = folder / "pictures"
        for kind in ("food", "vehicles"):
            (data / kind).mkdir(parents=True)
            for path in sorted((PICTURES / kind).iterdir())[:N_PICTURES]:
                shutil.copy(path, data / kind)
        model = randomise(applications.InceptionV3(weights=None, input_shape=(299, 299, 3)))
        check_network(build, folder, data, "inception_v3", model, ("avg_pool", "mixed10", "mixed3"))
        keras.backend.clear_session()
        model = randomise(applications.InceptionV3(weights=None, include_top=False, input_shape=(299, 299, 3)))
        check_network(build, folder, data, "inception_v3", model, ("mixed8",))
        keras.backend.clear_session()
        model = randomise(applications.MobileNetV2(weights=None))
        check_network(build, folder, data, "mobilenet_v2", model, ("global_average_pooling2d", "block_6_expand_relu"))
        check_round_trip(build, folder, data)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
