"""A model for other programs: ONNX, TensorFlow.js, Keras, TensorFlow. The library's writers (docs/formats.md)."""
import contextlib
import ctypes
import os
import tempfile

from . import native, paths
from .errors import InvalidError


def export(model, path, format="onnx", quantize="none", head_only=False,
           with_decoder=False):
    """Writes a model of graft for other programs, with the pretrained network in it.

    model      a Model, or the path of a model file (gs://BUCKET/NAME, too)
    path       a file; for 'tfjs' and 'savedmodel' a folder that is not there yet
    format     'onnx', 'tfjs', 'keras' (by the name .keras or HDF5), 'savedmodel' (TensorFlow; decodes
               pictures itself) or 'graft' (a model file with the network in it)
    quantize   of the kernels: 'none', 'float16' or 'uint8'; 'tfjs' only
    head_only  without the pretrained network: features in, scores out
    with_decoder  the bytes of a JPEG or PNG file in; 'onnx' only (opset 20)
    """
    if hasattr(model, "_paths"):
        with written(model) as aside:
            export(aside, path, format, quantize, head_only, with_decoder)
        return
    if not isinstance(model, (str, bytes, os.PathLike)):
        raise InvalidError(f"export takes a Model or a model file, got {type(model).__name__}")
    request = native.gf_export_request(
        context=native.context(), model=native.text(paths.resolve(model)),
        format=_number("gf_export_format_parse", format),
        output=native.text(paths.prepare_parent(path)), is_head_only=bool(head_only),
        has_decoder=bool(with_decoder),
        quantisation=_number("gf_quantisation_parse", quantize))
    native.call_stoppable(native.lib().gf_service_export, request)


@contextlib.contextmanager
def written(model, classes=None):
    """The path of a Model's model file, while it is needed."""
    from .keras import saving
    with tempfile.TemporaryDirectory(prefix="graft-export-") as folder:
        aside = os.path.join(folder, "model.safetensors")
        saving.write(model, aside, classes)
        yield aside


def _number(parse, word):
    found = ctypes.c_int()
    native.call(getattr(native.lib(), parse), native.text(str(word)), ctypes.byref(found))
    return found.value
