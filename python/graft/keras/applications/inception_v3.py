"""Inception-v3 with the weights that the home folder has (`graft pull inception_v3`)."""
import warnings

import numpy as np

from ... import trunks
from ...errors import InvalidError, UnsupportedError
from .. import layers as L
from ..models import Model

LAST_BLOCK = "mixed10"


def InceptionV3(include_top=True, weights="imagenet", input_tensor=None, input_shape=None,
                pooling=None, classes=1000, **options):
    """The pretrained network as a Model.

    weights  'imagenet': the trunk 'inception_v3' of the home. A name of another trunk, or the path
             of a trunk's file, means that one.
    With include_top the layers are Keras': 311 up to mixed10, avg_pool
    (GlobalAveragePooling2D), and the checkpoint's own Dense layers.
    """
    if weights is None:
        raise UnsupportedError("InceptionV3(weights=None): graft does not train networks from "
                               "nothing; weights='imagenet'")
    if input_tensor is not None:
        raise UnsupportedError("InceptionV3: input_tensor; build on model.input")
    trunk = trunks.load("inception_v3" if weights == "imagenet" else weights)
    _check_shape(trunk, input_shape)
    if LAST_BLOCK not in trunk.index:
        raise InvalidError(f"trunk {trunk.name} has no layer {LAST_BLOCK}: it is no Inception-v3")
    made = trunk_layers(trunk, trunk.index[LAST_BLOCK])
    if include_top:
        return _with_top(trunk, made)
    output = made[-1].output
    if pooling == "avg":
        output = L.GlobalAveragePooling2D(name="avg_pool")(output)
    elif pooling == "max":
        output = L.GlobalMaxPooling2D(name="max_pool")(output)
    elif pooling is not None:
        raise InvalidError(f"InceptionV3: pooling is {pooling!r}, expected 'avg', 'max' or None")
    return Model(inputs=made[0].output, outputs=output, name="inception_v3")


def _check_shape(trunk, shape):
    if shape is not None and tuple(shape) != (*trunk.size, 3):
        raise UnsupportedError(f"InceptionV3: input_shape is {tuple(shape)}, graft runs it at "
                               f"{(*trunk.size, 3)}")


def trunk_layers(trunk, last):
    """New layers for those of a trunk, up to number last."""
    made = []
    for info in trunk.layers[:last + 1]:
        inbound = [made[i].output for i in info.inputs]
        made.append(L.class_of(info.class_name).of_trunk(trunk, info, inbound))
    return made


def _with_top(trunk, made):
    """avg_pool by Keras' name and class also where the checkpoint pools in two layers."""
    last = len(made) - 1
    rest = trunk.layers[last + 1:]
    if not rest:
        raise InvalidError(f"trunk {trunk.name} has no top: InceptionV3(include_top=False), or "
                           "`graft pull inception_v3` for one with a top")
    if rest[0].class_name == "GlobalAveragePooling2D":
        for info in rest:
            inbound = [made[i].output for i in info.inputs]
            made.append(L.class_of(info.class_name).of_trunk(trunk, info, inbound))
        return Model(inputs=made[0].output, outputs=made[-1].output, name="inception_v3")
    pool = L.GlobalAveragePooling2D(name="avg_pool")
    output = pool(made[-1].output)
    for info in rest:
        if info.class_name in ("AveragePooling2D", "Flatten"):
            continue
        output = L.class_of(info.class_name).of_trunk(trunk, info, [output]).output
    return Model(inputs=made[0].output, outputs=output, name="inception_v3")


def preprocess_input(x, data_format=None, mode=None):
    """Pixels 0 to 255 into -1 to 1. A float array is changed in place, as Keras does; one with
    values below 0 has been through here before (a notebook's cell run twice) and stays as it is."""
    if data_format not in (None, "channels_last"):
        raise UnsupportedError("preprocess_input: graft has channels last")
    x = np.asarray(x)
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float32)
    if x.size > 0 and x.min() < 0:
        warnings.warn("preprocess_input: the array has values below 0, as this function makes them; "
                      "it is left as it is", stacklevel=2)
        return x
    x /= 127.5
    x -= 1.0
    return x


def decode_predictions(preds, top=5):
    """For each row the classes with the largest scores: [(id, name, score), ...]."""
    preds = np.asarray(preds)
    if preds.ndim != 2:
        raise InvalidError(f"decode_predictions: an array of shape {preds.shape}, expected (N, "
                           "classes)")
    names = _names(preds.shape[1])
    found = []
    for row in preds:
        order = np.argsort(-row, kind="stable")[:top]
        found.append([(*names[k], float(row[k])) for k in order])
    return found


def _names(n_classes):
    """(id, name) of each class of the network that was loaded last and has so many. Ids are
    WordNet's where the classes are ImageNet's, else class_0, class_1, ..."""
    for trunk in reversed(list(trunks.loaded())):
        if len(trunk.classes) == n_classes:
            return list(zip(trunk.class_ids, trunk.classes))
    raise InvalidError(f"decode_predictions: scores of {n_classes} classes, which no loaded "
                       "network has; name the classes of a model of your own yourself")
