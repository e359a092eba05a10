"""Reads a graft file (trunk or model) with nothing but numpy: a safetensors file whose metadata key "graft" holds a
JSON document. docs/formats.md specifies it."""
import json
import struct

import numpy as np

DTYPES = {"F32": np.float32, "U8": np.uint8, "I64": np.int64}


def read(path):
    """(document, tensors): the "graft" document and {name: array}."""
    with open(path, "rb") as file:
        (n_header,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(n_header))
        data = np.frombuffer(file.read(), np.uint8)
    document = json.loads(header.pop("__metadata__")["graft"])
    tensors = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        tensors[name] = data[first:end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return document, tensors


def layers_of(document):
    """The Keras layer list: name, class_name, config, inputs (names)."""
    for layer in document["graph"]["config"]["layers"]:
        nodes = layer["inbound_nodes"]
        yield layer["config"]["name"], layer["class_name"], layer["config"], [n[0] for n in nodes[0]] if nodes else []
