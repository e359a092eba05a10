"""Writes a trunk of graft as an ONNX model, so that the peers compute with the very same weights.

    python3 make_onnx.py HOME/trunks/inception_v3.safetensors OUT.onnx [--optimized]

Channels first, what ONNX Runtime is made for. BatchNormalization stays a node of its own: the runtime folds it into the
convolution itself. Outputs: "features" (the last layer before the Dense top, pooled) and, where the trunk has a top,
"softmax". The two are written as two models, OUT.onnx and OUT-top.onnx. --optimized stores them the way ONNX Runtime
leaves them after all its graph optimisations on this CPU, which is the quickest for it to load.
"""
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import trunk_file


def pads_of(config, kernel):
    """ONNX pads [top, left, bottom, right]. Keras' "same" at stride 1; other strides do not occur with it here."""
    if config["padding"] == "valid":
        return [0, 0, 0, 0]
    if tuple(config["strides"]) != (1, 1):
        raise SystemExit(f'{config["name"]}: padding "same" with a stride is not written')
    low = [(k - 1) // 2 for k in kernel]
    return low + [k - 1 - l for k, l in zip(kernel, low)]


class Writer:
    """Collects nodes; a tensor is named after the layer that makes it."""

    def __init__(self, weights):
        self.weights, self.nodes, self.constants, self.dense_inputs = weights, [], [], []

    def weight(self, layer, name, *axes):
        values = self.weights[f"{layer}/{name}"]
        full_name = f"{layer}.{name}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values.transpose(axes or None)
                                                                           if axes else values), full_name))
        return full_name

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))

    def activation(self, kind, source, name):
        self.node({"relu": "Relu", "softmax": "Softmax", "linear": "Identity"}[kind], [source], name)

    def convolution(self, name, config, inputs):
        kernel = self.weight(name, "kernel", 3, 2, 0, 1)
        bias = [self.weight(name, "bias")] if config.get("use_bias") else []
        linear = name if config.get("activation", "linear") == "linear" else name + ".linear"
        self.node("Conv", [inputs[0], kernel] + bias, linear, strides=list(config["strides"]),
                  kernel_shape=list(config["kernel_size"]), pads=pads_of(config, config["kernel_size"]))
        if linear != name:
            self.activation(config["activation"], linear, name)

    def batch_norm(self, name, config, inputs):
        beta = self.weights[name + "/beta"]
        self.weights.setdefault(name + "/gamma", np.ones_like(beta))
        parts = [self.weight(name, part) for part in ("gamma", "beta", "moving_mean", "moving_variance")]
        self.node("BatchNormalization", inputs + parts, name, epsilon=config["epsilon"])

    def pooling(self, name, config, inputs, op):
        self.node(op, inputs, name, kernel_shape=list(config["pool_size"]), strides=list(config["strides"]),
                  pads=pads_of(config, config["pool_size"]))

    def dense(self, name, config, inputs):
        self.dense_inputs.append(inputs[0])
        linear = name if config["activation"] == "linear" else name + ".linear"
        self.node("Gemm", inputs + [self.weight(name, "kernel"), self.weight(name, "bias")], linear)
        if linear != name:
            self.activation(config["activation"], linear, name)

    def layer(self, name, kind, config, inputs):
        if kind == "Conv2D":
            self.convolution(name, config, inputs)
        elif kind == "BatchNormalization":
            self.batch_norm(name, config, inputs)
        elif kind == "Activation":
            self.activation(config["activation"], inputs[0], name)
        elif kind in ("MaxPooling2D", "AveragePooling2D"):
            self.pooling(name, config, inputs, "MaxPool" if kind == "MaxPooling2D" else "AveragePool")
        elif kind == "GlobalAveragePooling2D":
            self.node("GlobalAveragePool", inputs, name + ".map")
            self.node("Flatten", [name + ".map"], name)
        elif kind == "Concatenate":
            self.node("Concat", inputs, name, axis=1)
        elif kind == "Flatten":  # of (C,1,1): channels-first and channels-last agree
            self.node("Flatten", inputs, name)
        elif kind == "Dropout":
            self.node("Identity", inputs, name)
        elif kind == "Dense":
            self.dense(name, config, inputs)
        else:
            raise SystemExit(f"{name}: {kind} is not written")


def save(writer, source, output, name, shape, path):
    writer.node("Identity", [source], name)
    graph = helper.make_graph(writer.nodes, "trunk", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)], writer.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(onnx.utils.Extractor(model).extract_model(["picture"], [name]), path)
    del writer.nodes[-1]


def write(trunk_path, path):
    """Writes OUT.onnx and, with a top, OUT-top.onnx. Returns the names of the layers they end with."""
    document, weights = trunk_file.read(trunk_path)
    writer = Writer(dict(weights))
    layers = list(trunk_file.layers_of(document))
    for name, kind, config, inputs in layers:
        if kind == "InputLayer":
            writer.node("Identity", ["picture"], name)
        else:
            writer.layer(name, kind, config, inputs)
    size = document["input"]
    shape = ["n", 3, size["height"], size["width"]]
    features = writer.dense_inputs[0] if writer.dense_inputs else layers[-1][0]
    save(writer, features, features, "features", shape, path)
    if writer.dense_inputs:
        save(writer, layers[-1][0], layers[-1][0], "softmax", shape, path.replace(".onnx", "-top.onnx"))
    return features, layers[-1][0]


def optimize(path, out):
    """Stores what ONNX Runtime's graph optimisations make of the model on this CPU."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = out
    options.log_severity_level = 3  # "hardware specific": it is for this machine only
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    print(*write(sys.argv[1], sys.argv[2]))
    if "--optimized" in sys.argv[3:]:
        optimize(sys.argv[2], sys.argv[2].replace(".onnx", "-optimized.onnx"))
