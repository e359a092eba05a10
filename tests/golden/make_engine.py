"""Golden values for the engine, from ONNX Runtime.

    python3 make_engine.py PACKAGE_DIR [OUT_DIR]

engine/inception.safetensors: Inception-v3 from PACKAGE_DIR, the unpacked npm package nsfwjs 4.4.0. Its Keras topology is
written out again as ONNX, layer by layer and unfused, with the weights as q * scale + min.
engine/small.safetensors: every output of a small network with each class of layer.
Inputs, and the small network's weights, come from integer formulas that tests/unit/engine_graphs.h repeats, so they
need not be stored. Needs node, numpy, onnx, onnxruntime; their versions are recorded in the files.
"""
import base64
import json
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE = 299
POOLED = ["mixed0", "mixed4", "mixed7", "mixed10"]  # outputs pooled to one value a channel


def read_package(package, name="inception_v3"):
    """(layers, weights): the Keras layer list and {"conv2d_1/kernel": array}."""
    folder = f"{package}/dist/models/{name}"
    script = (
        f"const m=require('{folder}/model.min.js');"
        f"const s=m.weightsManifest[0].paths.map(p=>require('{folder}/'+p+'.min.js'));"
        "process.stdout.write(JSON.stringify({m,s}))"
    )
    document = json.loads(subprocess.run(["node", "-e", script], check=True, stdout=subprocess.PIPE).stdout)
    data = b"".join(base64.b64decode(shard) for shard in document["s"])
    weights, at = {}, 0
    for entry in document["m"]["weightsManifest"][0]["weights"]:
        count = int(np.prod(entry["shape"]))
        quantized = entry.get("quantization")
        dtype = np.dtype(quantized["dtype"] if quantized else entry["dtype"])
        values = np.frombuffer(data, dtype, count, at).astype(np.float32)
        at += count * dtype.itemsize
        if quantized:
            values = (values * np.float64(quantized["scale"]) + np.float64(quantized["min"])).astype(np.float32)
        weights[entry["name"]] = values.reshape(entry["shape"])
    assert at == len(data), (at, len(data))
    return document["m"]["modelTopology"]["model_config"]["config"]["layers"], weights


class Writer:
    """Collects ONNX nodes; tensors are named after the Keras layers that make them."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))

    def layer(self, kind, config, inputs, weights):
        name = config["name"]
        if kind == "Conv2D":
            kernel = self.constant(name + ".w", weights[name + "/kernel"].transpose(3, 2, 0, 1))
            pad = "SAME_UPPER" if config["padding"] == "same" else "VALID"
            self.node("Conv", [inputs[0], kernel], name, strides=config["strides"], auto_pad=pad)
        elif kind == "BatchNormalization":
            beta = weights[name + "/beta"]
            gamma = weights.get(name + "/gamma", np.ones_like(beta))
            names = [self.constant(name + suffix, values) for suffix, values in (
                (".g", gamma), (".b", beta), (".m", weights[name + "/moving_mean"]),
                (".v", weights[name + "/moving_variance"]))]
            self.node("BatchNormalization", inputs + names, name, epsilon=config["epsilon"])
        elif kind == "Activation":
            self.node({"relu": "Relu", "softmax": "Softmax"}[config["activation"]], inputs, name)
        elif kind in ("MaxPooling2D", "AveragePooling2D"):
            pad = "SAME_UPPER" if config["padding"] == "same" else "VALID"
            op = "MaxPool" if kind[0] == "M" else "AveragePool"
            self.node(op, inputs, name, kernel_shape=config["pool_size"], strides=config["strides"], auto_pad=pad)
        elif kind == "Concatenate":
            self.node("Concat", inputs, name, axis=1)
        elif kind == "Flatten":  # of (C,1,1): the order of channels-last and channels-first agree
            self.node("Flatten", inputs, name)
        elif kind == "Dropout":
            self.node("Identity", inputs, name)
        elif kind == "Dense":
            names = [self.constant(name + ".w", weights[name + "/kernel"]),
                     self.constant(name + ".b", weights[name + "/bias"])]
            linear = name if config["activation"] == "linear" else name + ".linear"
            self.node("Gemm", inputs + names, linear)
            if config["activation"] != "linear":
                self.node({"relu": "Relu", "softmax": "Softmax"}[config["activation"]], [linear], name)
        else:
            raise SystemExit(f"{name}: {kind} is not written yet")


def write_onnx(package, outputs, path):
    """The network up to `outputs`; each name in POOLED is averaged over height and width. Input "input_1"
    (N,3,299,299)."""
    layers, weights = read_package(package)
    writer = Writer()
    for layer in layers:
        if layer["class_name"] != "InputLayer":
            inputs = [node[0] for node in layer["inbound_nodes"][0]]
            writer.layer(layer["class_name"], layer["config"], inputs, weights)
    results = []
    for name in outputs:
        if name in POOLED:
            writer.node("GlobalAveragePool", [name], name + ".pooled")
            name += ".pooled"
        results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    picture = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])
    graph = helper.make_graph(writer.nodes, "inception_v3", [picture], results, writer.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    needed = onnx.utils.Extractor(model).extract_model(["input_1"], [r.name for r in results])
    onnx.save(needed, path)


def hash_bytes(n, seed=0):
    """The top byte of a multiplicative hash of (index, seed)."""
    i = np.arange(n, dtype=np.uint32) + np.uint32(seed) * np.uint32(40503)
    h = i * np.uint32(2654435761)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(2246822519)
    return (h >> np.uint32(24)).astype(np.uint8)


def noise_pixels():
    return hash_bytes(SIZE * SIZE * 3).reshape(SIZE, SIZE, 3)


def wave_pixels():
    """Crossing triangle waves, smooth like a photograph."""
    y, x, c = np.meshgrid(np.arange(SIZE), np.arange(SIZE), np.arange(3), indexing="ij")
    first = np.abs((3 * x + 5 * y + 90 * c) % 512 - 256)
    second = np.abs((11 * x + (y * y) // 64 + 200 * c) % 512 - 256)
    return np.minimum((first + second) // 2, 255).astype(np.uint8)


def small_weights(layer, weight, shape):
    """Weight number `weight` of layer number `layer`: multiples of 1/256 in [-1/2, 1/2)."""
    values = hash_bytes(int(np.prod(shape)), 16 * layer + weight + 1).astype(np.float32)
    return ((values - 128) / 256).reshape(shape)


def run_small():
    """Outputs by layer name, channels last. Layer numbers are those of engine_graphs.h."""
    w = Writer()

    def conv(number, name, source, shape, groups=1, bias=False, **attributes):
        kernel = small_weights(number, 0, shape).transpose(3, 2, 0, 1)
        if groups > 1:  # Keras (KH,KW,C,1), ONNX (C,1,KH,KW)
            kernel = kernel.transpose(1, 0, 2, 3)
        names = [source, w.constant(name + ".w", kernel)]
        if bias:
            names.append(w.constant(name + ".b", small_weights(number, 1, [kernel.shape[0]])))
        w.node("Conv", names, name, group=groups, **attributes)

    def dense(number, name, source, inputs, units, activation):
        names = [w.constant(name + ".w", small_weights(number, 0, [inputs, units])),
                 w.constant(name + ".b", small_weights(number, 1, [units]))]
        w.node("Gemm", [source] + names, name + ".linear")
        w.node(activation, [name + ".linear"], name)

    w.node("Pad", ["input", w.constant("pads", np.array([0, 0, 0, 1, 0, 0, 1, 2], np.int64))], "pad")
    conv(2, "conv", "pad", [3, 3, 3, 8], bias=True, strides=[2, 2], auto_pad="VALID")
    norm = [w.constant(f"norm.{k}", small_weights(3, k, [8]) + (1 if k in (0, 3) else 0)) for k in range(4)]
    w.node("BatchNormalization", ["conv"] + norm, "norm", epsilon=1e-3)
    w.node("Clip", ["norm", w.constant("zero", np.float32(0)), w.constant("six", np.float32(6))], "relu6")
    conv(5, "depthwise", "relu6", [3, 3, 8, 1], groups=8, auto_pad="SAME_UPPER")
    w.node("Add", ["relu6", "depthwise"], "add")
    w.node("AveragePool", ["add"], "average", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    w.node("MaxPool", ["add"], "maximum", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    conv(9, "wide.linear", "maximum", [1, 3, 8, 5], auto_pad="SAME_UPPER")
    w.node("Relu", ["wide.linear"], "wide")
    w.node("Concat", ["average", "wide", "average"], "concat", axis=1)
    w.node("GlobalAveragePool", ["concat"], "mean.4d")
    w.node("Flatten", ["mean.4d"], "mean")
    w.node("GlobalMaxPool", ["concat"], "max.4d")
    w.node("Flatten", ["max.4d"], "max")
    w.node("Concat", ["mean", "max"], "both", axis=1)
    dense(14, "hidden", "both", 42, 6, "Relu")
    dense(15, "softmax", "hidden", 6, 4, "Softmax")
    w.node("Transpose", ["concat"], "concat.last", perm=[0, 2, 3, 1])
    w.node("Flatten", ["concat.last"], "flatten")
    names = ["pad", "conv", "norm", "relu6", "depthwise", "add", "average", "maximum", "wide", "concat", "mean",
             "max", "both", "hidden", "softmax", "flatten"]
    graph = helper.make_graph(
        w.nodes, "small", [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 17, 14])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names], w.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = hash_bytes(17 * 14 * 3).reshape(17, 14, 3).astype(np.float32)
    picture = (pixels / np.float32(127.5) - 1).transpose(2, 0, 1)[None]
    outputs = dict(zip(names, session.run(None, {"input": picture})))
    return {k: (v[0].transpose(1, 2, 0) if v.ndim == 4 else v[0]).astype(np.float32) for k, v in outputs.items()}


def run_inception(package):
    names = ["mixed0", "mixed4", "average_pooling2d_10", "dense_3"]
    members = {}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/inception_v3.onnx"
        write_onnx(package, names, path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for label, pixels in (("noise", noise_pixels()), ("waves", wave_pixels())):
        picture = (pixels.astype(np.float32) / np.float32(127.5) - 1).transpose(2, 0, 1)[None]
        for name, values in zip(("mixed0", "mixed4", "avg_pool", "softmax"), session.run(None, {"input_1": picture})):
            members[f"{label}_{name}"] = values.reshape(-1).astype(np.float32)
    return members


def write_safetensors(path, arrays):
    versions = {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, "numpy": np.__version__,
                "nsfwjs": "4.4.0"}
    header, at = {"__metadata__": versions}, 0
    for name, values in arrays.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in arrays.values():
            file.write(np.ascontiguousarray(values).tobytes())


def main():
    package, folder = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "engine"
    write_safetensors(f"{folder}/small.safetensors", run_small())
    write_safetensors(f"{folder}/inception.safetensors", run_inception(package))


if __name__ == "__main__":
    main()
