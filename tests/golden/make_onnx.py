"""Writes tests/golden/zoo/onnx: small ONNX models as exporters write them, what they answer, and hostile ones.

usage: python3 tests/golden/make_onnx.py        (in the project's folder; in the environment of make interop)
NAME.onnx with NAME.npy: what ONNX Runtime makes of input.npy (three pictures of 14x17 bytes, scaled to [-1,1] where the
model does not scale them itself; the reference evaluator of onnx 1.17 pads SAME_UPPER wrongly). refused_NAME.onnx: the test says why.
"""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OUT = pathlib.Path(__file__).parent / "zoo" / "onnx"
H, W = 14, 17
random = np.random.default_rng(5)


class Graph:
    """Nodes and weights as they are added; every name is given."""

    def __init__(self, opset=17, ir=8, producer=("", "")):
        self.nodes, self.weights, self.opset, self.ir, self.producer = [], [], opset, ir, producer

    def weight(self, name, *shape, scale=None, values=None, dtype=np.float32, typed=False):
        if values is None:
            fan = int(np.prod(shape[1:])) or 1
            values = random.normal(0, scale or 1.5 / np.sqrt(fan), shape)
        values = np.asarray(values, dtype)
        if typed:
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            flat = values.view(np.uint16).ravel() if dtype == np.float16 else values.ravel()
            tensor = TensorProto(name=name, data_type=kind, dims=values.shape)
            {np.float16: tensor.int32_data, np.float32: tensor.float_data, np.float64: tensor.double_data,
             np.int64: tensor.int64_data, np.int32: tensor.int32_data}[dtype].extend(flat.tolist())
        else:
            tensor = numpy_helper.from_array(values, name)
        self.weights.append(tensor)
        return name

    def node(self, op, inputs, output, name="", **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def norm(self, x, out, channels, name, epsilon=1e-3, plain=False):
        ones = dict(values=np.ones(channels)) if plain else dict(scale=0.2)
        names = [self.weight(f"{name}.gamma", channels, **ones), self.weight(f"{name}.beta", channels, scale=0.2),
                 self.weight(f"{name}.mean", channels, scale=0.2),
                 self.weight(f"{name}.var", values=random.uniform(0.5, 2, channels))]
        return self.node("BatchNormalization", [x, *names], out, name=f"{name}/BatchNormalization", epsilon=epsilon)

    def model(self, shape, output, elem_type=TensorProto.FLOAT, graph_inputs=(), rank=2):
        inputs = [helper.make_tensor_value_info("x", elem_type, shape), *graph_inputs]
        graph = helper.make_graph(self.nodes, "small", inputs,
                                  [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None] * rank)], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=self.ir)
        model.producer_name, model.producer_version = self.producer
        return model


def torch_like():
    """Channels first, names with slashes and dots, pools with padding on either side, a flattened map."""
    g = Graph(producer=("pytorch", "2.1.0"))
    g.node("Conv", ["x", g.weight("stem.weight", 6, 3, 3, 3)], "/stem/conv/Conv_output_0", name="/stem/conv/Conv",
           kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], dilations=[1, 1], group=1)
    g.norm("/stem/conv/Conv_output_0", "/stem/bn_output_0", 6, "/stem/bn")
    g.node("Relu", ["/stem/bn_output_0"], "/stem/relu_output_0", name="/stem/relu/Relu")
    g.node("MaxPool", ["/stem/relu_output_0"], "/pool_output_0", name="/pool/MaxPool", kernel_shape=[3, 3], strides=[2, 2],
           pads=[1, 1, 1, 1], ceil_mode=0)
    g.node("Conv", ["/pool_output_0", g.weight("b1.weight", 5, 6, 1, 1), g.weight("b1.bias", 5, scale=0.1)], "b1", name="/b1/Conv")
    g.node("AveragePool", ["/pool_output_0"], "b2", name="/b2/AveragePool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1],
           count_include_pad=1)
    g.node("AveragePool", ["/pool_output_0"], "b3", name="/b3/AveragePool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    g.node("Concat", ["b1", "b2", "b3"], "cat", name="/Concat", axis=1)
    g.node("Dropout", ["cat"], "dropped", name="/Dropout")
    g.node("Flatten", ["dropped"], "flat", name="/Flatten", axis=1)
    g.node("Gemm", ["flat", g.weight("fc.weight", 10, 17 * 4 * 5), g.weight("fc.bias", 10, scale=0.1)], "logits", name="/fc/Gemm",
           alpha=1.0, beta=1.0, transB=1)
    g.node("Softmax", ["logits"], "y", name="/Softmax", axis=1)
    return g.model(["batch", 3, H, W], "y")


def tf_like():
    """Channels last outside, transposes around everything, scaling inside, a Dense of MatMul and Add."""
    g = Graph(opset=13, producer=("tf2onnx", "1.17.0"))
    g.weight("127.5", values=127.5)
    g.weight("one", values=[1.0])
    g.node("Div", ["x", "127.5"], "scaled", name="model/scaling/truediv")
    g.node("Sub", ["scaled", "one"], "shifted", name="model/scaling/sub")
    g.node("Transpose", ["shifted"], "first", perm=[0, 3, 1, 2])
    g.node("Conv", ["first", g.weight("k1", 8, 3, 3, 3), g.weight("c1", 8, scale=0.1)], "conv1", name="model/conv1/Conv2D",
           auto_pad="SAME_UPPER", strides=[2, 2])
    g.node("Clip", ["conv1", g.weight("0", values=0.0), g.weight("6", values=6.0)], "relu1", name="model/relu1/Relu6")
    g.node("Conv", ["relu1", g.weight("dw", 8, 1, 3, 3)], "depth", name="model/depthwise/depthwise", group=8, auto_pad="SAME_UPPER")
    g.norm("depth", "depth_bn", 8, "model/bn", plain=True)
    g.node("Transpose", ["depth_bn"], "last", perm=[0, 2, 3, 1])
    g.node("Transpose", ["relu1"], "relu1_last", perm=[0, 2, 3, 1])
    g.node("Add", ["last", "relu1_last"], "sum", name="model/add/add")
    g.node("Mul", ["sum", g.weight("scales", 8)], "product", name="model/scale/mul")
    g.node("Add", ["product", g.weight("shifts", 1, 1, 1, 8)], "shifted2", name="model/shift/add")
    g.node("Identity", ["shifted2"], "same")
    g.node("ReduceMean", ["same"], "mean", name="model/avg_pool/Mean", axes=[1, 2], keepdims=0)
    g.node("MatMul", ["mean", g.weight("kernel", 8, 6)], "product2", name="model/predictions/MatMul")
    g.node("Add", ["product2", g.weight("bias", 6)], "logits", name="model/predictions/BiasAdd")
    g.node("Softmax", ["logits"], "y", name="model/predictions/Softmax", axis=-1)
    return g.model([None, H, W, 3], "y")


def old():
    """Opset 9: attributes for what are inputs today, initializers among the inputs, values in typed fields, halves."""
    g = Graph(opset=9, ir=3, producer=("old", ""))
    g.node("Pad", ["x"], "padded", pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=0.0)
    g.node("Cast", [g.weight("k", 7, 3, 3, 2, dtype=np.float16, typed=True)], "kernel", to=TensorProto.FLOAT)
    g.node("Conv", ["padded", "kernel", g.weight("b", 7, scale=0.1, typed=True)], "conv", name="c")
    g.node("Clip", ["conv"], "clipped", name="relu6", min=0.0, max=6.0)
    g.node("Constant", [], "gains", value=numpy_helper.from_array(random.normal(1, 0.2, (7, 1, 1)).astype(np.float64)))
    g.node("Cast", ["gains"], "real_gains", to=TensorProto.FLOAT)
    g.node("Mul", ["clipped", "real_gains"], "gained", name="gain")
    g.node("GlobalAveragePool", ["gained"], "pooled", name="pool")
    g.node("Conv", ["pooled", g.weight("one_pixel", 9, 7, 1, 1)], "mixed", name="mix")
    g.node("Squeeze", ["mixed"], "squeezed", axes=[2, 3])
    g.node("Transpose", [g.weight("turned", 5, 9, typed=True)], "matrix", perm=[1, 0])
    g.node("MatMul", ["squeezed", "matrix"], "y", name="out")
    model = g.model(["N", 3, H, W], "y")
    for tensor in g.weights:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return model


def fresh():
    """Opset 22: axes as inputs, a reshape to a vector, bfloat16, a node that nobody needs."""
    g = Graph(opset=22, ir=10, producer=("fresh", "1"))
    bits = (random.normal(0, 0.3, (4, 3, 5, 5)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    g.weights.append(helper.make_tensor("k", TensorProto.BFLOAT16, (4, 3, 5, 5), bits.tobytes(), raw=True))
    g.node("Cast", ["k"], "kernel", to=TensorProto.FLOAT)
    g.node("Conv", ["x", "kernel"], "conv", name="conv", auto_pad="SAME_LOWER", strides=[2, 2])
    g.node("Shape", ["conv"], "nobody")
    g.node("Reshape", ["conv", g.weight("to", values=[0, -1], dtype=np.int64)], "flat", name="flat")
    g.node("Gemm", ["flat", g.weight("w", 4 * 7 * 9, 3)], "dense", name="dense")
    g.node("Unsqueeze", ["dense", g.weight("axes", values=[2, 3], dtype=np.int64)], "one")
    g.node("Squeeze", ["one", "axes"], "y")
    return g.model([1, 3, H, W], "y")


def affine():
    """Of each channel, as ImageNet's mean and deviation: a normalization, not a scaling of the input."""
    g = Graph()
    g.node("Sub", ["x", g.weight("mean", values=np.reshape([0.485, 0.456, 0.406], (1, 3, 1, 1)))], "centred", name="/norm/Sub")
    g.node("Div", ["centred", g.weight("std", values=np.reshape([0.229, 0.224, 0.225], (3, 1, 1)))], "normal", name="/norm/Div")
    g.node("Conv", ["normal", g.weight("k", 5, 3, 3, 3)], "conv", name="/conv/Conv")
    g.node("Add", ["conv", g.weight("b", 5, 1, 1)], "biased", name="/conv/Add")
    g.node("Relu", ["biased"], "y", name="/relu/Relu")
    return g.model(["N", 3, H, W], "y", rank=4)


def outside():
    """Values in a file beside the model's."""
    return affine()


def scale_channels(g, scales, shifts):
    """As torchvision's transform_input is exported."""
    for c in range(3):
        g.node("Gather", ["x", g.weight(f"index{c}", values=c, dtype=np.int64)], f"g{c}", name=f"/Gather_{c}", axis=1)
        g.node("Unsqueeze", [f"g{c}", g.weight(f"axes{c}", values=[1], dtype=np.int64)], f"u{c}", name=f"/Unsqueeze_{c}")
        g.node("Mul", [f"u{c}", g.weight(f"scale{c}", values=scales[c])], f"m{c}", name=f"/Mul_{c}")
        g.node("Add", [f"m{c}", g.weight(f"shift{c}", values=shifts[c])], f"a{c}", name=f"/Add_{c}")
    g.node("Concat", ["a0", "a1", "a2"], "scaled", name="/Concat", axis=1)
    g.node("MaxPool", ["scaled"], "pooled", name="/pool/MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    g.node("Conv", ["pooled", g.weight("k", 5, 3, 3, 3)], "y", name="/conv/Conv", pads=[0, 1, 2, 1])
    return g.model(["N", 3, H, W], "y", rank=4)


def transform():
    """Undoes what ImageNet's mean and deviation did: the network itself wants [-1,1]."""
    return scale_channels(Graph(), np.array([0.229, 0.224, 0.225]) / 0.5, (np.array([0.485, 0.456, 0.406]) - 0.5) / 0.5)


def channels():
    """The same of other numbers: a normalization."""
    return scale_channels(Graph(), [0.5, 1, 2], [0.1, 0, -0.1])


def curves():
    """Sigmoid of a map, tanh and sigmoid behind matrices: answers of their own instead of a distribution."""
    g = Graph()
    g.node("Conv", ["x", g.weight("conv.weight", 6, 3, 3, 3), g.weight("conv.bias", 6, scale=0.1)], "conv", name="conv")
    g.node("Sigmoid", ["conv"], "squashed", name="squash")
    g.node("GlobalAveragePool", ["squashed"], "mean", name="pool")
    g.node("Flatten", ["mean"], "flat", name="flat")
    g.node("Gemm", ["flat", g.weight("hidden.weight", 5, 6), g.weight("hidden.bias", 5, scale=0.1)], "hidden", name="hidden", transB=1)
    g.node("Tanh", ["hidden"], "curved", name="curve")
    g.node("Gemm", ["curved", g.weight("last.weight", 2, 5), g.weight("last.bias", 2, scale=0.1)], "last", name="last", transB=1)
    g.node("Sigmoid", ["last"], "y", name="answers")
    return g.model(["batch", 3, H, W], "y")


def write_good():
    pictures = random.integers(0, 256, (3, H, W, 3), np.uint8)
    np.save(OUT / "input.npy", pictures)
    for make in (torch_like, tf_like, old, fresh, affine, transform, channels, outside, curves):
        model = make()
        onnx.checker.check_model(model, full_check=True)
        is_raw, is_last = make is tf_like, make is tf_like
        x = pictures.astype(np.float32) if is_raw else pictures.astype(np.float32) / np.float32(127.5) - 1
        if make is transform:
            x = (pictures.astype(np.float32) / 255 - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
        x = x if is_last else x.transpose(0, 3, 1, 2)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        y = np.concatenate([session.run(None, {"x": np.ascontiguousarray(x[i:i + 1])})[0] for i in range(3)])
        if y.ndim == 4:
            y = y.transpose(0, 2, 3, 1)
        np.save(OUT / f"{make.__name__}.npy", y.reshape(3, -1).astype(np.float32))
        if make is outside:
            (OUT / "outside.bin").unlink(missing_ok=True)
        onnx.save(model, OUT / f"{make.__name__}.onnx", save_as_external_data=make is outside, location="outside.bin", size_threshold=0)


# ---- what is refused ----


def one_node(op, attributes=None, weights=(), opset=17, shape=("N", 3, H, W), inputs=("x",)):
    g = Graph(opset=opset)
    for name, values in weights:
        g.weight(name, values=values)
    g.node(op, list(inputs), "y", name="odd", **(attributes or {}))
    return g.model(list(shape), "y")


def kernel(*shape):
    return "k", np.zeros(shape)


def add_of_two_maps():
    """Of 1x9 pixels with two channels, and of 1x6 with three: flattened, both are 18 values."""
    g = Graph()
    g.weight("k", values=np.ones((2, 3, 1, 1)))
    g.node("MaxPool", ["x"], "p1", kernel_shape=[2, 3], strides=[2, 3])
    g.node("Conv", ["x", "k"], "c")
    g.node("MaxPool", ["c"], "p2", kernel_shape=[2, 2], strides=[2, 2])
    g.node("Flatten", ["p1"], "f1")
    g.node("Flatten", ["p2"], "f2")
    g.node("Add", ["f1", "f2"], "s")
    g.node("MatMul", ["s", g.weight("w", values=np.ones((18, 2)))], "y")
    return g.model(["N", 3, 2, 18], "y")


def refused():
    conv = {"inputs": ("x", "k")}
    yield "dilations", one_node("Conv", {"dilations": [2, 2]}, [kernel(4, 3, 3, 3)], **conv)
    yield "group", one_node("Conv", {"group": 2}, [kernel(4, 2, 3, 3)], shape=("N", 4, H, W), **conv)
    yield "kernel_shape", one_node("Conv", {"kernel_shape": [5, 5]}, [kernel(4, 3, 3, 3)], **conv)
    yield "conv1d", one_node("Conv", {}, [kernel(4, 3, 3)], **conv)
    yield "strides", one_node("Conv", {"strides": [0, 1]}, [kernel(4, 3, 3, 3)], **conv)
    yield "negative_pads", one_node("Conv", {"pads": [-1, 0, 0, 0]}, [kernel(4, 3, 3, 3)], **conv)
    yield "channels", one_node("Conv", {}, [kernel(4, 5, 3, 3)], **conv)
    yield "beyond", one_node("Conv", {}, [kernel(1, 3, 20, 20)], **conv)
    yield "ceil", one_node("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1})
    yield "gather", one_node("Gather", {"axis": 2}, inputs=("x", "p"))
    yield "channel", one_node("Gather", {"axis": 1}, inputs=("x", "p"))
    yield "clip", one_node("Clip", {}, [("low", -1.0), ("high", 1.0)], inputs=("x", "low", "high"))
    yield "elu", one_node("Elu")
    yield "reflect", one_node("Pad", {"mode": "reflect"}, inputs=("x", "p"))
    yield "transpose", one_node("Transpose", {"perm": [0, 1, 3, 2]})
    yield "softmax_of_a_map", one_node("Softmax", {"axis": 2})
    yield "reshape", one_node("Reshape", {}, inputs=("x", "p"))
    yield "dynamic_size", one_node("Relu", shape=("N", 3, "height", "width"))
    yield "three_dims", one_node("Relu", shape=("N", 3, H))
    yield "huge_input", one_node("Relu", shape=("N", 3, 1 << 30, 1 << 30))
    yield "opset_99", one_node("Relu", opset=99)
    yield "opset_6", one_node("Relu", opset=6)
    yield "loose_end", one_node("Relu", inputs=("nowhere",))
    yield "per_row", one_node("Add", {}, [("row", np.zeros((H, 1)))], inputs=("x", "row"))
    yield "flat_output", one_node("Flatten", {"axis": 1})
    norm = [(f"n{i}", np.ones(3)) for i in range(4)]
    model = one_node("BatchNormalization", {}, norm, opset=9, inputs=("x", "n0", "n1", "n2", "n3"))
    model.graph.node[0].output.extend(["m1", "v1", "m2", "v2"])
    yield "training", model
    g = Graph()
    g.node("Relu", ["x"], "r")
    g.node("Mul", ["r", g.weight("two", values=2.0)], "y")
    yield "huge_vector", g.model(["N", 1 << 30], "y")
    yield "channels_first_twice", add_of_two_maps()
    yield "zero", one_node("Div", {}, [("zero", 0.0)], inputs=("x", "zero"))

    model = one_node("Relu")
    model.graph.node[0].domain = "com.somebody"
    yield "domain", model
    model = one_node("Relu")
    model.ir_version = 2
    yield "ir_version", model

    model = one_node("Conv", {}, [kernel(4, 3, 3, 3)], **conv)
    model.graph.initializer[0].raw_data = bytes(4 * 3 * 3 * 3 * 4 - 4)
    yield "short", model
    model = one_node("Conv", {}, [kernel(4, 3, 3, 3)], **conv)
    model.graph.initializer[0].dims[0] = 1 << 40
    yield "absurd_dims", model
    model = one_node("Conv", {}, [kernel(4, 3, 3, 3)], **conv)
    for i in range(4):
        model.graph.initializer[0].dims[i] = 1 << 62
    yield "wrapping_dims", model
    model = one_node("Conv", {}, [kernel(4, 3, 3, 3)], **conv)
    model.graph.initializer[0].dims[0] = -4
    yield "negative_dims", model
    model = one_node("Conv", {}, [kernel(4, 3, 3, 3)], **conv)
    model.graph.initializer[0].data_type = TensorProto.STRING
    yield "strings", model
    for name, place in (("", {"location": "../../../etc/passwd"}), ("_hidden", {"location": ".netrc"}), ("_nowhere", {"offset": "0"}),
                        ("_missing", {"location": "missing.bin"}), ("_offset", {"location": "outside.bin", "offset": str(1 << 40)}),
                        ("_length", {"location": "outside.bin", "length": "8"}), ("_number", {"location": "outside.bin", "offset": "-1"})):
        model = one_node("Conv", {}, [kernel(4, 3, 3, 3)], **conv)
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in place.items():
            weight.external_data.add(key=key, value=value)
        yield f"external{name}", model

    g = Graph()
    g.node("Add", ["x", "b"], "a", name="first")
    g.node("Relu", ["a"], "b", name="second")
    yield "cycle", g.model(["N", 3, H, W], "b")
    g = Graph()
    g.node("Relu", ["y"], "y", name="itself")
    yield "itself", g.model(["N", 3, H, W], "y")
    g = Graph()
    g.node("Relu", ["x"], "y", name="one")
    g.node("Relu", ["x"], "y", name="two")
    yield "two_of_a_name", g.model(["N", 3, H, W], "y")
    g = Graph()
    g.node("Add", ["x", "z"], "y", name="add")
    yield "two_inputs", g.model(["N", 3, H, W], "y", graph_inputs=[helper.make_tensor_value_info("z", 1, ["N", 3, H, W])])
    model = one_node("Relu")
    model.graph.output.append(helper.make_tensor_value_info("x", 1, ["N", 3, H, W]))
    yield "two_outputs", model
    g = Graph()
    g.node("Relu", [g.weight("w", 3)], "y", name="constant")
    yield "constant_only", g.model(["N", 3, H, W], "y")

    inner = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "inner", [], [helper.make_tensor_value_info("z", 1, None)])
    g = Graph()
    g.nodes.append(helper.make_node("If", [g.weight("yes", values=True, dtype=bool)], ["y"], name="choice", then_branch=inner,
                                    else_branch=inner))
    yield "if", g.model(["N", 3, H, W], "y")
    g = Graph()
    g.nodes.append(helper.make_node("Loop", ["", "", "x"], ["y"], name="round", body=inner))
    yield "loop", g.model(["N", 3, H, W], "y")
    model = one_node("Relu")
    model.ClearField("graph")
    yield "no_graph", model


def field(number, content):
    """A length-delimited field of a protobuf message."""
    size, length = len(content), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def nested_bytes(depth):
    """Graphs in attributes of nodes in graphs, deeper than the library that makes them would go."""
    inner = b""
    for _ in range(depth):
        node = field(2, b"y") + field(4, b"If") + field(5, field(1, b"then_branch") + field(6, field(1, inner)))
        inner = node
    graph = field(1, inner) + field(11, field(1, b"x")) + field(12, field(1, b"y"))
    return b"\x08\x08" + field(7, graph) + field(8, b"\x10\x11")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write_good()
    for name, model in refused():
        whole = {"reflect": [0, 0, 1, 1, 0, 0, 1, 1], "reshape": [0, 3, 7, -1], "gather": 1, "channel": 1}.get(name)
        if whole is not None:
            model.graph.initializer.append(numpy_helper.from_array(np.array(whole, np.int64), "p"))
        (OUT / f"refused_{name}.onnx").write_bytes(model.SerializeToString())
    (OUT / "refused_nested.onnx").write_bytes(nested_bytes(600))


if __name__ == "__main__":
    main()
