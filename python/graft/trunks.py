"""Pretrained networks of the home, what their layers are, and features of arrays of pictures.

Features are kept twice: on disk by the library (HOME/features), and in memory by the content of
the array, so that fit, evaluate and predict on the same array run the network once.
"""
import collections
import ctypes
import hashlib
import os
import threading

import numpy as np

from . import native, settings
from .errors import Error, InvalidError

REMEMBERED_BYTES = 256 << 20
_trunks = {}
_remembered = collections.OrderedDict()  # (what, content) -> features
_lock = threading.Lock()  # of the two, and of extractors: they take one call at a time


class Trunk:
    """One loaded network. layers: what is known of each, in Keras' order."""

    def __init__(self, handle):
        lib = native.lib()
        self.handle = handle
        self.name = lib.gf_trunk_name(self.handle).decode()
        self.sha256 = lib.gf_trunk_sha256(self.handle).decode()
        self.graph = ctypes.c_void_p(lib.gf_trunk_graph(self.handle))
        self.layers = [LayerInfo(self, i) for i in range(lib.gf_graph_n_layers(self.graph))]
        self.index = {info.name: i for i, info in enumerate(self.layers)}
        self.classes = [lib.gf_trunk_class_at(self.handle, k).decode()
                        for k in range(lib.gf_trunk_n_classes(self.handle))]
        ids = [lib.gf_trunk_class_id_at(self.handle, k) for k in range(len(self.classes))]
        self.class_ids = [f"class_{k}" if wordnet is None else wordnet.decode()
                          for k, wordnet in enumerate(ids)]
        self.size, self.scale, self.shift = self._input()
        self._extractors = {}

    def _input(self):
        width, height = ctypes.c_size_t(), ctypes.c_size_t()
        scale, shift = ctypes.c_float(), ctypes.c_float()
        native.lib().gf_trunk_input(self.handle, *map(ctypes.byref, (width, height, scale, shift)))
        return (height.value, width.value), scale.value, shift.value

    def extractor(self, cuts, precision=None):
        """Of the outputs named: ((layer, pool), ...). precision: what a model was trained in."""
        wanted = settings.precision()
        if wanted == "auto" and precision is not None:
            wanted = precision if self._has(precision) else "f32"
        key = cuts, settings.home(), settings.threads(), wanted
        if key not in self._extractors:
            self._extractors[key] = Extractor(self, cuts, wanted)
        return self._extractors[key]

    @staticmethod
    def _has(precision):
        """Whether this CPU computes in it natively."""
        automatic = native.lib().gf_precision_resolve(native.PRECISION["auto"])
        return precision == "f32" or automatic == native.PRECISION[precision]

    def features(self, pixels, cuts, precision=None, progress=None):
        """One array an output, (N, ...) float32, of pixels (N, height, width, 3) uint8."""
        extractor = self.extractor(cuts, precision)
        content = hashlib.sha256(pixels).digest() + repr(pixels.shape).encode()
        key = self.sha256, cuts, extractor.precision, content
        with _lock:
            if key not in _remembered:
                _remembered[key] = extractor.run(pixels, progress)
            _remembered.move_to_end(key)
            _drop_oldest()
            return _remembered[key]


def _drop_oldest():
    """What was used last stays, however large it is."""
    n_bytes = sum(array.nbytes for arrays in _remembered.values() for array in arrays)
    while len(_remembered) > 1 and n_bytes > REMEMBERED_BYTES:
        n_bytes -= sum(array.nbytes for array in _remembered.popitem(last=False)[1])


class LayerInfo:
    """A layer of a trunk as the library describes it."""

    def __init__(self, trunk, i):
        lib = native.lib()
        self._layer = ctypes.c_void_p(lib.gf_graph_layer_at(trunk.graph, i))
        self.name = lib.gf_layer_name(self._layer).decode()
        self.class_name = lib.gf_layer_class_name(self._layer).decode()
        shape = lib.gf_layer_shape(self._layer)
        self.shape = tuple(shape[k] for k in range(lib.gf_layer_n_dims(self._layer)))
        self.n_params = lib.gf_layer_n_params(self._layer)
        self.inputs = [lib.gf_layer_input_at(self._layer, k)
                       for k in range(lib.gf_layer_n_inputs(self._layer))]

    def weights(self):
        """Copies, in Keras' order."""
        lib = native.lib()
        found = []
        for name in (b"kernel", b"bias", b"gamma", b"beta", b"moving_mean", b"moving_variance"):
            tensor = lib.gf_layer_weight(self._layer, name)
            if tensor:
                dims = lib.gf_tensor_shape(tensor)
                shape = tuple(dims[k] for k in range(lib.gf_tensor_n_dims(tensor)))
                values = np.ctypeslib.as_array(lib.gf_tensor_f32(tensor), shape or (1,))
                found.append(values.reshape(shape).copy())
        return found


    def is_same(self, other):
        """Whether both compute the same of the same inputs, whatever they are called."""
        if (self.class_name, self.shape, self.inputs, self.n_params) != (
                other.class_name, other.shape, other.inputs, other.n_params):
            return False
        pairs = zip(self.weights(), other.weights())
        return self.n_params == 0 or all(np.array_equal(a, b) for a, b in pairs)


class Extractor:
    def __init__(self, trunk, cuts, precision):
        lib = native.lib()
        home = settings.home()
        options = lib.gf_extractor_options_default()
        options.precision = native.PRECISION[precision]
        options.n_threads = settings.threads()
        options.cache_dir = native.text(os.path.join(home, "features"))
        options.pack_dir = native.text(os.path.join(home, "packs"))
        specs = (native.gf_output_spec * len(cuts))(
            *[native.gf_output_spec(native.text(layer), pool) for layer, pool in cuts])
        self.n_outputs = len(cuts)
        self.handle = native.Handle(lib.gf_extractor_free, trunk.handle)
        native.call(lib.gf_extractor_new, trunk.handle, specs, len(cuts), ctypes.byref(options),
                    self.handle.out())
        self.precision = lib.gf_extractor_precision(self.handle)
        self.shapes = [self._shape(i) for i in range(len(cuts))]

    def _shape(self, i):
        shape = (ctypes.c_size_t * 3)()
        n_dims = native.lib().gf_extractor_output_shape(self.handle, i, shape)
        return tuple(shape[:n_dims])

    def run(self, pixels, progress=None):
        lib = native.lib()
        tensors = (ctypes.c_void_p * self.n_outputs)()
        dataset = Pictures(pixels)
        native.call_stoppable(lib.gf_extractor_dataset, self.handle, dataset.handle, None,
                              native.OBSERVER, tensors, progress=progress)
        try:
            return [np.ctypeslib.as_array(lib.gf_tensor_f32(tensor), (len(pixels), *shape)).copy()
                    for tensor, shape in zip(tensors, self.shapes)]
        finally:
            for tensor in tensors:
                lib.gf_tensor_free(tensor)


class Arrays:
    """Arrays in memory as the library's data set, with labels and class names where there are."""

    def __init__(self, kind, values, height, width, labels=None, classes=None):
        lib = native.lib()
        self._kept = values, labels = values, (
            None if labels is None else np.ascontiguousarray(labels, dtype=np.uintp))
        arrays = native.gf_dataset_arrays(kind=kind, values=values.ctypes.data, n=len(values),
                                          height=height, width=width)
        if labels is not None:
            arrays.labels = native.sizes(labels)
        if classes is not None:
            names = native.texts(classes)
            arrays.class_names = ctypes.cast(names, native.c_char_pp)
            arrays.n_class_names = len(classes)
        self.handle = native.Handle(lib.gf_dataset_free)
        native.call(lib.gf_dataset_new, ctypes.byref(arrays), self.handle.out())


class Pictures(Arrays):
    def __init__(self, pixels, labels=None, classes=None):
        super().__init__(native.SAMPLE_PIXELS, pixels, pixels.shape[1], pixels.shape[2], labels,
                         classes)


class Rows(Arrays):
    def __init__(self, rows, labels=None, classes=None):
        super().__init__(native.SAMPLE_NUMBERS, rows, 1, rows.shape[1], labels, classes)


def load(name="inception_v3"):
    """The trunk of that name in the home, loaded once."""
    key = settings.home(), name
    if key not in _trunks:
        lib = native.lib()
        handle = native.Handle(lib.gf_trunk_free)
        native.call(lib.gf_trunk_load, native.text(key[0]), native.text(name), handle.out())
        _trunks[key] = of_handle(handle)
    return _trunks[key]


def of_handle(handle):
    """The trunk of a handle; the one that is loaded already where it is the same."""
    sha256 = native.lib().gf_trunk_sha256(handle).decode()
    for trunk in _trunks.values():
        if trunk.sha256 == sha256:
            return trunk
    return Trunk(handle)


def is_in_home(trunk):
    """Whether a model file that names this trunk finds it again."""
    try:
        return load(trunk.name).sha256 == trunk.sha256
    except Error:
        return False


def same_begin(trunk, n_layers):
    """A trunk of the home whose first layers are those of this one, or None."""
    folder = os.path.join(settings.home(), "trunks")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in [name[:-len(".safetensors")] for name in names if name.endswith(".safetensors")]:
        try:
            found = load(name)
        except Error:  # a damaged neighbour
            continue
        if len(found.layers) >= n_layers and all(
                a.is_same(b) for a, b in zip(found.layers[:n_layers], trunk.layers)):
            return found
    return None


def loaded():
    """Trunks that are in use, oldest first."""
    return list(_trunks.values())


def forget():
    """Drops loaded trunks and remembered features."""
    _trunks.clear()
    _remembered.clear()


def to_pixels(x, size):
    """uint8 (N, height, width, 3) of an array of pictures: bytes, floats of 0 to 255, or floats in
    [-1,1] as preprocess_input() makes them. size: (height, width) that the network takes."""
    x = np.asarray(x)
    if x.ndim != 4 or x.shape[3] != 3 or x.shape[1:3] != tuple(size):
        hint = ""
        if x.shape == (*size, 3):
            hint = "; one picture needs a batch dimension: np.expand_dims(x, axis=0)"
        elif x.ndim == 4 and x.shape[3] == 3:
            hint = f"; image.load_img(path, target_size={tuple(size)}) resizes"
        raise InvalidError(f"expected pictures of shape (N, {size[0]}, {size[1]}, 3), got an array "
                           f"with shape {x.shape}{hint}", "GF_ESHAPE")
    if len(x) == 0:
        raise InvalidError("an array without pictures")
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    if x.dtype == bool or not np.issubdtype(x.dtype, np.number):
        raise InvalidError(f"pictures of type {x.dtype}, expected uint8 or float32")
    return _bytes_of_numbers(x)


def _bytes_of_numbers(x):
    pixels = np.empty(x.shape, np.uint8)
    low, high = float(x.min()), float(x.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise InvalidError("pictures with values that are not numbers")
    is_scaled = low >= -1.01 and high <= 1.01
    if not is_scaled and not (low >= 0 and high <= 255):
        raise InvalidError(f"pictures with values from {low:g} to {high:g}: expected 0 to 255, or "
                           "-1 to 1 as preprocess_input(x) makes them")
    is_within = not is_scaled or (low >= -1 and high <= 1)
    levels = np.empty(x.shape[1:], np.float32)
    for i, picture in enumerate(x):  # one at a time: a float copy of all would be large
        if is_scaled:
            np.add(picture, 1, out=levels, casting="same_kind", dtype=np.float32)
            levels *= np.float32(127.5)
        else:
            levels[...] = picture
        levels += np.float32(0.5)
        if not is_within:
            np.clip(levels, 0, 255, out=levels)
        pixels[i] = levels  # towards zero: to the nearest level, with the half above
    return pixels
