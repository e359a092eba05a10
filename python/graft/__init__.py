"""graft: transfer learning on frozen pretrained networks, from Python.

    from graft.keras.applications.inception_v3 import InceptionV3
    model = InceptionV3(weights='imagenet')

graft.keras has the parts of Keras that classifying pictures needs, graft.load() opens a model file,
graft.Client asks a server. Only numpy is needed; the work is done by libgraft.
"""
from . import errors, paths, settings
from .errors import Error
from .jobs import report_metric
from .native import VERSION as __version__
from .settings import configure


def load(path):
    """Opens a model file (a path, or gs://BUCKET/NAME): predict() on pictures or rows, .classes."""
    from .keras.models import load_model
    return load_model(path)


def export(model, path, format="onnx", quantize="none", head_only=False, with_decoder=False):
    """Writes a Model or a model file for other programs: 'onnx', 'tfjs', 'savedmodel' ..."""
    from . import exporting
    exporting.export(model, path, format, quantize, head_only, with_decoder)


def set_seed(seed):
    """Of initial weights, shuffling and dropout; the same seed, data and build give the same
    bytes."""
    settings.configure(seed=seed)


def __getattr__(name):
    if name == "Image":
        from .images import Image
        return Image
    if name in ("Client", "ApiError"):
        from . import client
        return getattr(client, name)
    if name == "display":
        import importlib
        return importlib.import_module(".display", __name__)
    raise AttributeError(f"module 'graft' has no attribute {name!r}")


def load_ipython_extension(ipython):
    """%load_ext graft"""
    from . import magics
    magics.load_ipython_extension(ipython)


__all__ = ["ApiError", "Client", "Error", "Image", "configure", "display", "errors", "export",
           "load", "paths", "report_metric", "set_seed", "settings"]
