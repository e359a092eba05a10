"""Is what graft imports from Keras' own files what Keras meant?

usage: python3 check_keras.py BUILD
Needs TensorFlow with Keras 2 (tensorflow-cpu 2.15). Exit status 1 and one line for everything that differs.

Inception-v3 and MobileNetV2 with random weights are saved by Keras in each of its HDF5 forms, imported, and compared: layers,
order, shapes, inputs, every weight bit for bit. And back: the configuration in the trunk's file, given to Keras
with the trunk's weights, predicts what the original predicts.
"""
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np

failures = []


def check(what, is_good):
    if not is_good:
        failures.append(what)
        print(f"check_keras: {what}: differs", file=sys.stderr)


def listing(model):
    """The lines that import_trunk prints, as Keras sees them."""
    index = {layer.name: i for i, layer in enumerate(model.layers)}
    for i, layer in enumerate(model.layers):
        shape = layer.output_shape[0] if isinstance(layer.output_shape, list) else layer.output_shape
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        names = [t._keras_history.layer.name for t in inputs if t._keras_history.layer is not layer]
        yield [str(i), layer.name, type(layer).__name__, "x".join(map(str, shape[1:])),
               str(layer.count_params()), ",".join(str(index[name]) for name in names) or "-"]


def read_trunk(path):
    """Document and tensors, in the order of the file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    document = json.loads(header.pop("__metadata__")["graft"])
    tensors = [np.frombuffer(data, "<f4", (end - start) // 4, 8 + size + start).reshape(entry["shape"])
               for entry in header.values() for start, end in [entry["data_offsets"]]]
    return document, tensors


def import_file(program, path, name, home):
    done = subprocess.run([program, path, name, home], capture_output=True, text=True)
    if done.returncode != 0:
        check(f"{path.name}: {done.stderr.strip()}", False)
        return None, None, None
    return [line.split("\t") for line in done.stdout.splitlines()], *read_trunk(home / f"trunks/{name}.safetensors")


def keras_2_2_name(name):
    """The table counts from 1 as Keras 2.2 did: conv2d, conv2d_1 -> conv2d_1, conv2d_2."""
    match = re.fullmatch(r"(conv2d|batch_normalization|activation|max_pooling2d|average_pooling2d|concatenate)(?:_(\d+))?", name)
    return f"{match[1]}_{int(match[2] or 0) + 1}" if match else name


def compare(model, program, path, name, home, is_whole):
    lines, document, tensors = import_file(program, path, name, home)
    if lines is None:
        return
    want = list(listing(model))
    if not is_whole:
        want = [[row[0], "input_1" if row[2] == "InputLayer" else keras_2_2_name(row[1]), *row[2:]] for row in want]
    check(f"{path.name}: layers", lines == want)
    weights = model.get_weights()
    check(f"{path.name}: weights", len(weights) == len(tensors) and
          all(a.shape == b.shape and (a == b).all() for a, b in zip(weights, tensors)))
    if not is_whole:
        return
    again = keras.Model.from_config(document["graph"]["config"])
    again.set_weights(tensors)
    side = model.input_shape[1]
    picture = np.random.default_rng(1).uniform(-1, 1, (1, side, side, 3)).astype(np.float32)
    check(f"{path.name}: prediction", np.abs(model.predict(picture, verbose=0) - again.predict(picture, verbose=0)).max() < 1e-6)


def randomise(model):
    """Also biases and moving statistics, which start as zeros and ones: an exchange of two must show."""
    rng = np.random.default_rng(7)
    model.set_weights([rng.uniform(0.01, 1.0, w.shape).astype(np.float32) if w.ndim == 1 else w for w in model.get_weights()])
    return model


def main():
    program = f"{sys.argv[1]}/tests/interop/import_trunk"
    applications = keras.applications
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for with_top in (True, False):
            keras.backend.clear_session()  # else the names go on counting
            model = randomise(applications.InceptionV3(weights=None, include_top=with_top, input_shape=(299, 299, 3)))
            stem = f"inception_v3_top_{with_top}"
            model.save_weights(folder / f"{stem}_weights.h5")
            compare(model, program, folder / f"{stem}_weights.h5", "inception_v3", folder, is_whole=False)
            model.save(folder / f"{stem}.h5")
            compare(model, program, folder / f"{stem}.h5", "inception_v3", folder, is_whole=True)
        model = randomise(applications.MobileNetV2(weights=None))
        model.save(folder / "mobilenet_v2.h5")
        compare(model, program, folder / "mobilenet_v2.h5", "mobilenet_v2", folder, is_whole=True)
    print(f"check_keras: {len(failures)} differences (Keras {keras.__version__})")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
