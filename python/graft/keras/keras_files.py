"""Keras' own files (.keras, .h5): written by the library's exporter, read by its importer.

Keras has no place for class names and for what training was. Of these, the names come back from a
file that graft wrote; the rest is lost on the way.
"""
import tempfile
import zipfile

import numpy as np

from .. import exporting, native, trunks
from ..errors import UnsupportedError
from . import layers as L, models, network
from .applications.inception_v3 import trunk_layers

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_OF_HEADS = ("Dense", "Dropout", "Activation")
_POOLS = {"GlobalAveragePooling2D": L.GlobalAveragePooling2D,
          "GlobalMaxPooling2D": L.GlobalMaxPooling2D}


def is_name(path):
    return path.endswith((".keras", ".h5", ".hdf5"))


def is_file(path):
    """Whether there is an HDF5 file or an archive of Keras; what cannot be read is the business of
    whoever opens it."""
    try:
        with open(path, "rb") as file:
            begin = file.read(len(_SIGNATURE))
    except OSError:
        return False
    if begin == _SIGNATURE or path.endswith(".keras"):
        return True
    try:
        with zipfile.ZipFile(path) as file:
            return "config.json" in file.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def save(model, where, classes):
    with exporting.written(model, classes) as aside:
        exporting.export(aside, where, "keras")


def _own_names(trunk):
    """Those that graft has written into the file, or None: class_0, class_1 ... are the library's
    for classes without a name."""
    found = trunk.classes
    is_named = len(set(found)) == len(found) > 0
    return found if is_named and found != [f"class_{k}" for k in range(len(found))] else None


def load(path):
    """The model of a Keras file whose last layers are Dense ones."""
    lib = native.lib()
    trunk = _import(path)
    start = len(trunk.layers)
    while start > 0 and trunk.layers[start - 1].class_name in _OF_HEADS:
        start -= 1
    while start < len(trunk.layers) and trunk.layers[start].class_name == "Activation":
        start += 1  # the end of what lies below, not the beginning of a head
    if start in (0, len(trunk.layers)):
        raise UnsupportedError(f"{path}: the network does not end in Dense layers; `graft import` "
                               "takes it as a pretrained one")
    head = native.Handle(lib.gf_head_free)
    native.call(lib.gf_head_from_graph, trunk.graph, start, head.out())
    below = _columns if len(trunk.layers[0].shape) == 1 else _pictures
    begin, tensor = below(trunk, start)
    model = models.Model(inputs=begin, outputs=network.put_head(tensor, head))
    model.classes = _own_names(trunk)
    return model


def _import(path):
    """The whole network as a trunk, of a home that is gone afterwards."""
    lib = native.lib()
    with tempfile.TemporaryDirectory(prefix="graft-keras-") as home:
        native.call_stoppable(lib.gf_zoo_import, native.text(path), b"keras", native.text(home),
                              None, native.OBSERVER)
        handle = native.Handle(lib.gf_trunk_free)
        native.call(lib.gf_trunk_load, native.text(home), b"keras", handle.out())
        return trunks.Trunk(handle)


def _columns(trunk, start):
    begin = L.Input(shape=trunk.layers[0].shape)
    if start == 1:
        return begin, begin
    weights = trunk.layers[1].weights()
    if start > 2 or trunk.layers[1].class_name != "BatchNormalization" or len(weights) != 2:
        raise UnsupportedError(f"layer {trunk.layers[1].name} ({trunk.layers[1].class_name}) of "
                               "rows of numbers: graft knows Dense layers and a standardisation")
    means, variances = weights
    if not means.any() and (variances == 1).all():
        return begin, begin
    return begin, L.Standardization(means, np.sqrt(variances))(begin)


def _pictures(trunk, start):
    """The layers below; those of a network of the home where they are the same."""
    pool = _POOLS.get(trunk.layers[start - 1].class_name)
    n_layers = start if pool is None else start - 1
    of_home = trunks.same_begin(trunk, n_layers)
    made = trunk_layers(of_home or trunk, n_layers - 1)
    for layer in made:
        layer.trainable = False
    output = made[-1].output
    return made[0].output, output if pool is None else pool()(output)
