"""Golden values for the engine: Inception-v3 from the npm package nsfwjs, run by ONNX Runtime.

    python3 make_engine.py PACKAGE_DIR [OUT.npz]

PACKAGE_DIR is the unpacked npm package nsfwjs 4.4.0. Its Keras topology is written out again as ONNX, layer by
layer and unfused, with the weights as q * scale + min. Inputs come from the integer formulas below, which
test_engine_plan.c repeats, so they need not be stored. Needs node, numpy, onnx, onnxruntime; their versions are
recorded in the file. Also used by bench/peers: write_onnx() makes the peer's model.
"""
import base64
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE = 299
POOLED = ["mixed0", "mixed4", "mixed7", "mixed10"]  # outputs pooled to one value a channel
DTYPES = {"float32": 4, "uint8": 1, "uint16": 2}


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


def noise_pixels():
    """Every byte from a multiplicative hash of its index."""
    i = np.arange(SIZE * SIZE * 3, dtype=np.uint32)
    h = i * np.uint32(2654435761)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(2246822519)
    return (h >> np.uint32(24)).astype(np.uint8).reshape(SIZE, SIZE, 3)


def wave_pixels():
    """Crossing triangle waves, smooth like a photograph."""
    y, x, c = np.meshgrid(np.arange(SIZE), np.arange(SIZE), np.arange(3), indexing="ij")
    first = np.abs((3 * x + 5 * y + 90 * c) % 512 - 256)
    second = np.abs((11 * x + (y * y) // 64 + 200 * c) % 512 - 256)
    return np.minimum((first + second) // 2, 255).astype(np.uint8)


def main():
    package, out = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "engine_inception.npz"
    names = ["mixed0", "mixed4", "average_pooling2d_10", "dense_3"]
    write_onnx(package, names, "/tmp/engine_inception.onnx")
    session = onnxruntime.InferenceSession("/tmp/engine_inception.onnx", providers=["CPUExecutionProvider"])
    members = {"versions": np.array([f"onnxruntime {onnxruntime.__version__}", f"onnx {onnx.__version__}",
                                     f"numpy {np.__version__}", "npm nsfwjs 4.4.0"])}
    for label, pixels in (("noise", noise_pixels()), ("waves", wave_pixels())):
        picture = (pixels.astype(np.float32) / np.float32(127.5) - 1).transpose(2, 0, 1)[None]
        for name, values in zip(("mixed0", "mixed4", "avg_pool", "softmax"), session.run(None, {"input_1": picture})):
            members[f"{label}_{name}"] = values.reshape(-1).astype(np.float32)
            print(label, name, values.size, values.reshape(-1)[:5])
    np.savez(out, **members)


if __name__ == "__main__":
    main()
