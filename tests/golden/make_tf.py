"""Writes tests/golden/zoo/tf: small networks as TensorFlow writes them, and graphs that nobody should write.

usage: tests/interop/.venv/bin/python tests/golden/make_tf.py        (TensorFlow 2.15; in the project's folder)
export/     every kind of layer, by Keras' model.export()
saved/      a few, with Rescaling and Flatten, by Keras 2's model.save()
frozen.pb   the network of export/, its variables made constants
spelled.pb  as Keras 3 writes it: biases added by AddV2 in the shape of a map, batch normalization spelled out
old.pb      as TensorFlow 0.x: decodes a JPEG, resizes, scales; BatchNormWithGlobalNormalization, Concat, Squeeze
*.npz       x, the input as the network's first layer but for scaling sees it, and y, what TensorFlow answers
hostile/    one .pb for each way to be wrong
Weights are random, seeded; TensorFlow does not write the same bytes twice, so the files are made once.
"""
import pathlib
import shutil

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

OUT = pathlib.Path(__file__).parent / "zoo" / "tf"
HOSTILE = OUT / "hostile"
layers = tf.keras.layers
random = np.random.RandomState(5)


def weight(*shape, spread=0.5):
    return (random.standard_normal(shape) * spread).astype(np.float32)


def positive(*shape):
    return (0.5 + random.random_sample(shape)).astype(np.float32)


def randomise(model):
    for layer in model.layers:
        kinds = [one.name.split("/")[-1].split(":")[0] for one in layer.weights]
        layer.set_weights([positive(*one.shape) if kind in ("gamma", "moving_variance") else weight(*one.shape)
                           for kind, one in zip(kinds, layer.weights)])
    return model


def every_layer():
    x = first = layers.Input((17, 14, 3), name="input_1")
    x = layers.Conv2D(4, 3, strides=2, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(scale=False, epsilon=0.01, name="norm")(x)
    x = layers.Activation("relu", name="relu")(x)
    a = layers.AveragePooling2D(3, 1, "same", name="average")(x)
    b = layers.Conv2D(3, 1, activation="relu", name="conv_b")(x)
    x = layers.Concatenate(name="mixed")([a, b])
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(x)
    x = layers.DepthwiseConv2D(3, strides=2, use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(name="norm_2")(x)
    x = layers.ReLU(6.0, name="relu6")(x)
    x = layers.Add(name="sum")([x, layers.Conv2D(7, 1, padding="same", name="conv_c")(x)])
    x = layers.MaxPooling2D(2, 1, name="max")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    x = layers.Dense(5, activation="relu", name="dense")(x)
    x = layers.Dense(3, activation="softmax", name="predictions")(x)
    return randomise(tf.keras.Model(first, x))


def few_layers():
    x = first = layers.Input((6, 5, 3), name="input_1")
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescaling")(x)
    x = layers.Conv2D(2, 3, name="conv")(x)
    x = layers.Flatten(name="flatten")(x)
    return randomise(tf.keras.Model(first, layers.Dense(2, activation="softmax", name="predictions")(x)))


def freeze(function, shape, path):
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec((None, *shape), tf.float32, name="pixels"))
    path.write_bytes(convert_variables_to_constants_v2(concrete).graph.as_graph_def().SerializeToString())


def save_answer(name, x, y):
    np.savez(OUT / f"{name}.npz", x=np.ascontiguousarray(x, np.float32), y=np.ascontiguousarray(y, np.float32))


def inputs(*shape):
    return (random.random_sample((2, *shape)) * 2 - 1).astype(np.float32)


def write_spelled():
    kernel, bias, dense, top = (tf.Variable(one) for one in (weight(3, 3, 3, 4), weight(4), weight(4, 3), weight(3)))
    gamma, beta, mean, variance = (tf.Variable(one) for one in (positive(4), weight(4), weight(4), positive(4)))

    def network(x):
        with tf.name_scope("conv"):
            x = tf.nn.conv2d(x, kernel, 2, "SAME") + tf.reshape(bias, (1, 1, 1, 4))
        with tf.name_scope("norm"):
            x = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 0.001)
        with tf.name_scope("norm_2"):
            x = tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, None, None, 0.01))
        with tf.name_scope("pool"):
            x = tf.reduce_mean(x, axis=(-3, -2))
        with tf.name_scope("predictions"):
            return tf.nn.softmax(tf.matmul(x, dense) + top)

    freeze(network, (9, 9, 3), OUT / "spelled.pb")
    x = inputs(9, 9, 3)
    save_answer("spelled", x, network(tf.constant(x)))


def node(graph, name, op, *of, **attrs):
    added = graph.node.add(name=name, op=op, input=of)
    for key, value in attrs.items():
        if isinstance(value, bool):
            added.attr[key].b = value
        elif isinstance(value, float):
            added.attr[key].f = value
        elif isinstance(value, bytes):
            added.attr[key].s = value
        elif isinstance(value, tf.DType):
            added.attr[key].type = value.as_datatype_enum
        elif isinstance(value, np.ndarray):
            added.attr[key].tensor.CopyFrom(tf.make_tensor_proto(value))
        elif isinstance(value, tf.TensorShape):
            added.attr[key].shape.CopyFrom(value.as_proto())
        else:
            added.attr[key].list.i.extend(value)
    return name


def const(graph, name, value):
    value = np.asarray(value)
    return node(graph, name, "Const", value=value, dtype=tf.as_dtype(value.dtype))


def write_old():
    graph = graph_pb2.GraphDef()
    f = {"T": tf.float32}
    node(graph, "DecodeJpeg/contents", "Placeholder", dtype=tf.string)
    node(graph, "DecodeJpeg", "DecodeJpeg", "DecodeJpeg/contents", channels=(3,))
    graph.node[-1].attr["channels"].i = 3
    node(graph, "Cast", "Cast", "DecodeJpeg", SrcT=tf.uint8, DstT=tf.float32)
    const(graph, "ExpandDims/dim", np.int32(0))
    node(graph, "ExpandDims", "ExpandDims", "Cast", "ExpandDims/dim", Tdim=tf.int32, **f)
    const(graph, "ResizeBilinear/size", np.int32([8, 8]))
    node(graph, "ResizeBilinear", "ResizeBilinear", "ExpandDims", "ResizeBilinear/size", align_corners=False, **f)
    const(graph, "Sub/y", np.float32(128))
    node(graph, "Sub", "Sub", "ResizeBilinear", "Sub/y", **f)
    const(graph, "Mul/y", np.float32(0.0078125))
    node(graph, "Mul", "Mul", "Sub", "Mul/y", **f)
    ends = []
    for branch in ("conv", "conv_1"):
        const(graph, f"{branch}/conv2d_params", weight(3, 3, 3, 2))
        node(graph, f"{branch}/Conv2D", "Conv2D", "Mul", f"{branch}/conv2d_params", strides=(1, 1, 1, 1), padding=b"SAME",
             use_cudnn_on_gpu=True, **f)
        for key, value in (("moving_mean", weight(2)), ("moving_variance", positive(2)), ("beta", weight(2)), ("gamma", positive(2))):
            const(graph, f"{branch}/batchnorm/{key}", value)
        node(graph, f"{branch}/batchnorm", "BatchNormWithGlobalNormalization", f"{branch}/Conv2D", f"{branch}/batchnorm/moving_mean",
             f"{branch}/batchnorm/moving_variance", f"{branch}/batchnorm/beta", f"{branch}/batchnorm/gamma",
             variance_epsilon=0.001, scale_after_normalization=branch == "conv", **f)
        node(graph, f"{branch}/CheckNumerics", "CheckNumerics", f"{branch}/batchnorm", message=b"", **f)
        node(graph, f"{branch}/control_dependency", "Identity", f"{branch}/batchnorm", f"^{branch}/CheckNumerics", **f)
        ends.append(node(graph, branch, "Relu", f"{branch}/control_dependency", **f))
    const(graph, "join/concat_dim", np.int32(3))
    node(graph, "join", "Concat", "join/concat_dim", *ends, **f)
    graph.node[-1].attr["N"].i = 2
    node(graph, "pool", "MaxPool", "join", ksize=(1, 2, 2, 1), strides=(1, 2, 2, 1), padding=b"VALID", **f)
    node(graph, "pool_3", "AvgPool", "pool", ksize=(1, 4, 4, 1), strides=(1, 1, 1, 1), padding=b"VALID", **f)
    const(graph, "pool_3/_reshape/shape", np.int32([1, 4]))
    node(graph, "pool_3/_reshape", "Reshape", "pool_3", "pool_3/_reshape/shape", Tshape=tf.int32, **f)
    const(graph, "softmax/weights", weight(4, 3))
    const(graph, "softmax/biases", weight(3))
    node(graph, "softmax/logits/MatMul", "MatMul", "pool_3/_reshape", "softmax/weights", transpose_a=False, transpose_b=False, **f)
    node(graph, "softmax/logits", "BiasAdd", "softmax/logits/MatMul", "softmax/biases", **f)
    node(graph, "softmax", "Softmax", "softmax/logits", **f)
    graph.versions.producer = 8
    (OUT / "old.pb").write_bytes(graph.SerializeToString())
    pixels = (random.random_sample((1, 8, 8, 3)) * 255).astype(np.float32)
    with tf.Graph().as_default() as built, tf.compat.v1.Session() as session:
        tf.import_graph_def(graph, name="")
        y = session.run(built.get_tensor_by_name("softmax:0"), {"ResizeBilinear:0": pixels})
    save_answer("old", pixels, y)


def chain(name, change):
    """input -> conv -> relu -> flatten -> dense -> softmax, with something changed."""
    graph = graph_pb2.GraphDef()
    f = {"T": tf.float32}
    node(graph, "pixels", "Placeholder", dtype=tf.float32, shape=tf.TensorShape((None, 4, 4, 3)))
    const(graph, "conv/kernel", weight(1, 1, 3, 2))
    node(graph, "conv/Conv2D", "Conv2D", "pixels", "conv/kernel", strides=(1, 1, 1, 1), padding=b"VALID", **f)
    node(graph, "conv/Relu", "Relu", "conv/Conv2D", **f)
    const(graph, "pool/axes", np.int32([1, 2]))
    node(graph, "pool/Mean", "Mean", "conv/Relu", "pool/axes", keep_dims=False, Tidx=tf.int32, **f)
    const(graph, "top/kernel", weight(2, 3))
    node(graph, "top/MatMul", "MatMul", "pool/Mean", "top/kernel", **f)
    node(graph, "top/Softmax", "Softmax", "top/MatMul", **f)
    change(graph, {one.name: one for one in graph.node})
    (HOSTILE / f"{name}.pb").write_bytes(graph.SerializeToString())


def set_shape(of, *sides):
    del of.attr["value"].tensor.tensor_shape.dim[:]
    for side in sides:
        of.attr["value"].tensor.tensor_shape.dim.add(size=side)


def insert(graph, at, name, op, *of, **attrs):
    """A node between the network's node and the one that used it, first among its inputs."""
    for one in graph.node:
        one.input[:] = [name if given == at else given for given in one.input]
    return node(graph, name, op, at, *of, T=tf.float32, **attrs)


def write_hostile():
    shutil.rmtree(HOSTILE, ignore_errors=True)
    HOSTILE.mkdir(parents=True)

    def vector(graph, nodes):
        const(graph, "means", np.float32([1, 2, 3]))
        insert(graph, "pixels", "normalise/Mul", "Mul", "means")

    def late(graph, nodes):
        const(graph, "half", np.float32(0.5))
        insert(graph, "conv/Relu", "late/RealDiv", "RealDiv", "half")

    def call(graph, nodes, itself):
        function = graph.library.function.add()
        function.signature.name = "f"
        function.signature.input_arg.add(name="x")
        function.signature.output_arg.add(name="y")
        inner = function.node_def.add(name="inner", op="PartitionedCall", input=["x"])
        inner.attr["f"].func.name = "f" if itself else "g"
        function.ret["y"] = "inner:output:0"
        insert(graph, "conv/Relu", "call", "PartitionedCall")
        graph.node[-1].attr["f"].func.name = "f"

    def second_input(graph, nodes):
        node(graph, "more", "Placeholder", dtype=tf.float32, shape=tf.TensorShape((None, 4, 4, 2)))
        insert(graph, "conv/Relu", "add", "AddV2", "more")

    def trained(graph, nodes):
        const(graph, "ones", np.float32([1, 1]))
        insert(graph, "conv/Conv2D", "norm", "FusedBatchNormV3", "ones", "ones", "ones", "ones", is_training=True)

    def dilated(graph, nodes):
        nodes["conv/Conv2D"].attr["dilations"].list.i.extend((1, 2, 2, 1))

    def short(graph, nodes):
        tensor = nodes["conv/kernel"].attr["value"].tensor
        tensor.tensor_content = tensor.tensor_content[:-4]

    def filled(graph, nodes):
        tensor = nodes["conv/kernel"].attr["value"].tensor
        tensor.tensor_content = b""
        tensor.float_val.append(1)
        set_shape(nodes["conv/kernel"], 1, 1, 3, 1 << 26)

    def added(graph, *way):
        """Two numbers on their way to being added to the convolution's two channels."""
        const(graph, "numbers", np.float32([0.5, 1.5]))
        last = "numbers"
        for name, op, *shape, attrs in way:
            if shape:
                const(graph, f"{name}/shape", np.int32(shape[0]))
            last = node(graph, name, op, last, *([f"{name}/shape"] if shape else []), **attrs)
        insert(graph, "conv/Conv2D", "add", "AddV2", last)

    chain("plain", lambda graph, nodes: None)
    chain("lrn", lambda graph, nodes: insert(graph, "conv/Relu", "lrn", "LRN"))
    chain("cycle", lambda graph, nodes: nodes["conv/Conv2D"].input.__setitem__(0, "conv/Relu"))
    chain("circle", lambda graph, nodes: (node(graph, "a", "Identity", "b"), node(graph, "b", "Identity", "a"),
                                          nodes["conv/Conv2D"].input.__setitem__(0, "a")))
    chain("recursion", lambda graph, nodes: call(graph, nodes, True))
    chain("no_function", lambda graph, nodes: call(graph, nodes, False))
    chain("missing", lambda graph, nodes: nodes["conv/Conv2D"].input.__setitem__(0, "nothing"))
    chain("twice", lambda graph, nodes: setattr(nodes["conv/Relu"], "name", "pixels"))
    chain("unnamed", lambda graph, nodes: setattr(nodes["conv/Relu"], "name", ""))
    chain("line", lambda graph, nodes: setattr(nodes["conv/Relu"], "name", "two\nlines"))
    chain("negative", lambda graph, nodes: set_shape(nodes["conv/kernel"], 1, 1, -3, 2))
    chain("absurd", lambda graph, nodes: set_shape(nodes["conv/kernel"], 1 << 40, 1 << 40, 3, 2))
    chain("deep", lambda graph, nodes: set_shape(nodes["conv/kernel"], *[1] * 60, 3, 2))
    chain("short", short)
    chain("rounded", lambda graph, nodes: added(graph, ("whole", "Cast", {"SrcT": tf.float32, "DstT": tf.int32}),
                                                ("real", "Cast", {"SrcT": tf.int32, "DstT": tf.float32})))
    chain("upright", lambda graph, nodes: added(graph, ("up", "Reshape", [2, 1], {"T": tf.float32, "Tshape": tf.int32})))
    chain("axes", lambda graph, nodes: nodes["pool/axes"].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.int64([2**63 - 1] * 2))))
    chain("filled", filled)
    chain("channels_first", lambda graph, nodes: nodes["conv/Conv2D"].attr["data_format"].__setattr__("s", b"NCHW"))
    chain("dilated", dilated)
    chain("trained", trained)
    chain("vector", vector)
    chain("late", late)
    chain("any_size", lambda graph, nodes: nodes["pixels"].attr["shape"].shape.CopyFrom(tf.TensorShape((None, None, 4, 3)).as_proto()))
    chain("two_inputs", second_input)
    chain("two_outputs", lambda graph, nodes: node(graph, "other/Softmax", "Softmax", "pool/Mean", T=tf.float32))
    chain("transposed", lambda graph, nodes: nodes["top/MatMul"].attr["transpose_b"].__setattr__("b", True))
    chain("kernel", lambda graph, nodes: nodes["conv/Conv2D"].input.__setitem__(1, "pixels"))
    chain("variable", lambda graph, nodes: (nodes["conv/kernel"].__setattr__("op", "VarHandleOp"),
                                            nodes["conv/kernel"].attr.clear()))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for folder in ("export", "saved"):
        shutil.rmtree(OUT / folder, ignore_errors=True)
    model, few = every_layer(), few_layers()
    model.export(str(OUT / "export"))
    few.save(str(OUT / "saved"), save_format="tf")
    for folder in ("export", "saved"):
        (OUT / folder / "fingerprint.pb").unlink()
    freeze(lambda x: model(x, training=False), (17, 14, 3), OUT / "frozen.pb")
    x = inputs(17, 14, 3)
    save_answer("export", x, model(x))
    save_answer("frozen", x, model(x))
    pixels = (random.random_sample((2, 6, 5, 3)) * 255).astype(np.float32)
    save_answer("saved", pixels, few(pixels))
    write_spelled()
    write_old()
    write_hostile()


if __name__ == "__main__":
    main()
