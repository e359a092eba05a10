"""keras.utils"""
from ... import settings
from . import np_utils
from .np_utils import normalize, to_categorical


def set_random_seed(seed):
    """Of initial weights, shuffling and dropout."""
    settings.configure(seed=seed)


__all__ = ["normalize", "np_utils", "set_random_seed", "to_categorical"]
