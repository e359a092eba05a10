"""A Model into a model file of graft, and back."""
import ctypes
import io
import json
import os
import zipfile

import numpy as np

from .. import errors, native, paths, settings, trunks
from ..errors import ExistsError, InvalidError, UnsupportedError
from . import keras_files, layers as L, models, network, optimizers, training


def save(model, path, overwrite, classes, bundle):
    where = _free_path(path, overwrite)
    if keras_files.is_name(where):
        keras_files.save(model, where, classes)
    else:
        write(model, where, classes, bundle)


def write(model, where, classes=None, bundle=False):
    """A model file of graft, at a path of this machine."""
    ways = model._paths
    if len(ways) != 1 or not ways[0].dense:
        raise UnsupportedError("save: the model has no Dense layers of its own; the pretrained "
                               "network is in the home already, or in a model saved with "
                               "bundle=True")
    way = ways[0]
    if way.dense[-1].activation not in ("softmax", "sigmoid"):
        raise UnsupportedError(f"save: layer {way.dense[-1].layer.name} has the activation "
                               f"{way.dense[-1].activation}; a model file's last layer is a "
                               "softmax or a sigmoid")
    classes = _class_names(model, classes, way.dense[-1].layer.units)
    head = training.filled_head(way, way.dense)
    dataset = _samples(model, way, classes)
    request = native.gf_save_request(
        context=native.context(), head=head.handle.value, dataset=dataset.handle.value,
        output=native.text(where), is_bundle=_is_bundled(way, bundle), training=_record(model))
    kept = _describe_input(request, way)
    native.call(native.lib().gf_service_save, ctypes.byref(request))
    del kept
    model.classes = classes


def _is_bundled(way, bundle):
    return bool(bundle) or (way.trunk is not None and not trunks.is_in_home(way.trunk))


def _describe_input(request, way):
    """Fills in a trunk's cut or the columns' scales; keeps alive what it returns."""
    if way.trunk is None:
        if way.standardization is None:
            return None
        means, scales = way.standardization.means, way.standardization.scales
        request.means, request.scales = native.floats(means), native.floats(scales)
        return means, scales
    request.trunk = way.trunk.handle.value
    request.layer = native.text(way.source.name)
    request.pool = way.pool
    request.precision = way.trunk.extractor((way.cut,), way.precision).precision
    return None


def _free_path(path, overwrite):
    if os.fspath(path).endswith("/"):
        path = os.fspath(path) + "model.safetensors"
        paths.make_folder(os.path.dirname(paths.resolve(path)))
    where = paths.prepare_parent(path)
    if os.path.isdir(where):
        raise InvalidError(f"save: {path} is a folder; give a file's name, like "
                           f"{os.path.join(os.fspath(path), 'model.safetensors')}")
    if not overwrite and os.path.exists(where):
        raise ExistsError(f"save: {path} is there already, and overwrite is False")
    return where


def _class_names(model, classes, n):
    classes = model.classes if classes is None else classes
    if classes is None:
        return ["1"] if n == 1 else [str(k) for k in range(n)]
    classes = [str(name) for name in classes]
    if n == 1 and len(classes) == 2:
        raise InvalidError(f"save: classes has 2 names, the last layer 1 unit: name what its score "
                           f"is of, classes=[{classes[1]!r}]")
    if len(classes) != n or len(set(classes)) != n:
        raise InvalidError(f"save: classes has {len(set(classes))} different names, the last layer "
                           f"{n} units")
    return classes


def _samples(model, way, classes):
    """For the self-test: what was learnt from, else something that is always the same."""
    samples = model._samples or {0: _invented(way)}
    labels = sorted(samples)
    values = np.concatenate([samples[k] for k in labels])
    make = trunks.Rows if way.trunk is None else trunks.Pictures
    return make(np.ascontiguousarray(values), labels, classes)


def _invented(way):
    if way.trunk is None:
        return np.zeros((1, way.width()), np.float32)
    height, width = way.trunk.size
    ramp = np.arange(height)[:, None, None] + np.arange(width)[None, :, None]
    return np.broadcast_to((ramp * 255 // (height + width - 2)).astype(np.uint8),
                           (height, width, 3))[None]


def _record(model):
    if model._training is None:
        return None
    record = {"api": "graft.keras", "options": model._training}
    history = model.history
    if history is not None and history.epoch:
        names = {"loss": "loss", "accuracy": model.metrics[0] if model.metrics else None}
        names.update({f"val_{name}": f"val_{own}" for name, own in list(names.items()) if own})
        epochs = []
        for i in range(len(history.epoch)):
            row = {"epoch": i + 1}
            for name, own in names.items():
                values = history.history.get(own) if own else None
                row[name] = None if values is None else values[i]
            epochs.append(row)
        record["history"] = {"epochs": epochs, "best_epoch": len(epochs), "is_complete": True}
    return json.dumps(record).encode()


# ---- back --------------------------------------------------------------------------------------

def load(path):
    """The model of a file."""
    if keras_files.is_file(path):
        return keras_files.load(path)
    lib = native.lib()
    handle = native.Handle(lib.gf_model_unref)
    native.call(lib.gf_model_load, native.text(path), handle.out())
    takes_numbers = lib.gf_model_trunk_name(handle) is None
    start, tensor, precision = (_columns if takes_numbers else _trunk)(handle)
    tensor = network.put_head(tensor, lib.gf_model_head(handle))
    model = models.Model(inputs=start, outputs=tensor)
    model.classes = [lib.gf_model_class_at(handle, k).decode()
                     for k in range(lib.gf_model_n_classes(handle))]
    model._paths[0].precision = precision
    model.document = json.loads(lib.gf_model_document(handle).decode())
    _compile_again(model)
    return model


def _compile_again(model):
    """As it was compiled when it was saved; a model of the program is not compiled."""
    training_record = model.document.get("training") or {}
    options = training_record.get("options") or {}
    if training_record.get("api") != "graft.keras" or not options.get("optimizer"):
        return
    config = dict(options["optimizer"])
    kind = type(optimizers.get(config.pop("name")))
    if not config.get("momentum"):
        config.pop("momentum", None)
    model.compile(kind(**config), options["loss"], options.get("metrics"))


def _columns(handle):
    lib = native.lib()
    n = lib.gf_model_n_inputs(handle)
    start = L.Input(shape=(n,))
    means = [lib.gf_model_mean_at(handle, i) for i in range(n)]
    scales = [lib.gf_model_scale_at(handle, i) for i in range(n)]
    if all(mean == 0 for mean in means) and all(scale == 1 for scale in scales):
        return start, start, None
    return start, L.Standardization(means, scales)(start), None


def _trunk(handle):
    from .applications.inception_v3 import trunk_layers
    lib = native.lib()
    found = native.Handle(lib.gf_trunk_free, handle)
    native.call(lib.gf_model_trunk, handle, native.text(settings.home()), found.out())
    trunk = trunks.of_handle(found)
    made = trunk_layers(trunk, trunk.index[lib.gf_model_layer(handle).decode()])
    for layer in made:
        layer.trainable = False
    tensor = made[-1].output
    pool = lib.gf_model_pool(handle)
    if pool != native.POOL_NONE:
        kind = L.GlobalAveragePooling2D if pool == native.POOL_AVG else L.GlobalMaxPooling2D
        tensor = kind()(tensor)
    precision = "bf16" if lib.gf_model_precision(handle) == native.PRECISION["bf16"] else "f32"
    return made[0].output, tensor, precision


# ---- weights alone -----------------------------------------------------------------------------

def _own(model):
    return [layer for layer in model.layers if layer.info is None and layer.count_params() > 0]


def save_weights(model, path, overwrite):
    """The new layers' weights as .npz: LAYER/kernel, LAYER/bias. In Keras' files (.h5, .keras): the
    model, which Keras' load_weights() takes, too."""
    where = _free_path(path, overwrite)
    if keras_files.is_name(where):
        keras_files.save(model, where, None)
        return
    values = {}
    for i, layer in enumerate(_own(model)):
        kernel, bias = layer.get_weights()
        values[f"{i}/kernel"], values[f"{i}/bias"] = kernel, bias
    content = io.BytesIO()
    np.savez(content, **values)
    paths.write_whole(where, content.getbuffer())


def load_weights(model, path):
    where = paths.resolve(path)
    own = _own(model)
    if keras_files.is_file(where):
        found = [layer.get_weights() for layer in _own(keras_files.load(where))]
    else:
        found = _read_npz(path, where)
    if len(found) != len(own):
        raise InvalidError(f"{path}: weights of {len(found)} layers, the model has {len(own)}",
                           "GF_ESHAPE")
    for layer, weights in zip(own, found):
        layer.set_weights(weights)


def _read_npz(path, where):
    try:
        with errors.at(path), np.load(where, allow_pickle=False) as file:
            n = len(file.files) // 2
            return [[file[f"{i}/kernel"], file[f"{i}/bias"]] for i in range(n)]
    except (AttributeError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidError(f"{path}: no weights of graft's save_weights(): {error}",
                           "GF_EFORMAT") from None
