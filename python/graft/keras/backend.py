"""keras.backend: what is left of it where there are no sessions."""
from .. import trunks
from . import engine


def clear_session():
    """Forgets loaded networks and remembered features, and names layers from _1 again."""
    trunks.forget()
    engine.clear_names()


def image_data_format():
    return "channels_last"


def floatx():
    return "float32"


def epsilon():
    return 1e-7


def backend():
    return "graft"
