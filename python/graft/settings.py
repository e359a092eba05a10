"""What the library is told and never finds out itself: the home folder, threads, precision, seed.

The C library does not read the environment; this module does, once for each question.
"""
import os

from .errors import InvalidError

PRECISIONS = ("auto", "f32", "bf16")
_chosen = {"home": None, "threads": None, "precision": None, "seed": 42}


def configure(home=None, threads=None, precision=None, seed=None):
    """Chooses for this process; None leaves a setting as it is.

    home       folder of trunks, feature cache and buckets ($GRAFT_HOME)
    threads    of long work, 0: all that the machine gives ($GRAFT_THREADS)
    precision  of the network: 'auto', 'f32' or 'bf16' ($GRAFT_PRECISION)
    seed       of initial weights, shuffling and dropout, default 42
    """
    if home is not None:
        _chosen["home"] = os.fspath(home)
    if threads is not None:
        _chosen["threads"] = _threads(threads, "threads")
    if precision is not None:
        _chosen["precision"] = _precision(precision, "precision")
    if seed is not None:
        _chosen["seed"] = _seed(seed)


def home():
    """The folder of trunks, features and buckets, as the program graft finds it."""
    if _chosen["home"] is not None:
        return _chosen["home"]
    if os.environ.get("GRAFT_HOME"):
        return os.environ["GRAFT_HOME"]
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"),
                                                          ".local", "share")
    return os.path.join(data, "graft")


def threads():
    if _chosen["threads"] is not None:
        return _chosen["threads"]
    return _threads(os.environ.get("GRAFT_THREADS") or 0, "GRAFT_THREADS")


def precision():
    if _chosen["precision"] is not None:
        return _chosen["precision"]
    return _precision(os.environ.get("GRAFT_PRECISION") or "auto", "GRAFT_PRECISION")


def seed():
    return _chosen["seed"]


def _threads(value, name):
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= 1024:
        raise InvalidError(f"{name} is {value!r}, expected a number from 0 (all) to 1024")
    return number


def _precision(value, name):
    word = {"float32": "f32", "bfloat16": "bf16"}.get(value, value)
    if word not in PRECISIONS:
        raise InvalidError(f"{name} is {value!r}, expected auto, f32 or bf16")
    return word


def _seed(value):
    number = int(value)
    if not 0 <= number < 2 ** 64:
        raise InvalidError(f"seed is {value!r}, expected a whole number from 0 to 2**64 - 1")
    return number
