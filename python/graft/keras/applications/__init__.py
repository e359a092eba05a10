"""keras.applications"""
from . import inception_v3
from .inception_v3 import InceptionV3

__all__ = ["InceptionV3", "inception_v3"]
