"""The parts of Keras that transfer learning on pictures needs, under Keras' names."""
from . import (activations, applications, backend, callbacks, layers, losses, metrics, models,
               optimizers, preprocessing, utils)
from .layers import Input
from .models import Model, Sequential

__all__ = ["Input", "Model", "Sequential", "activations", "applications", "backend", "callbacks",
           "layers", "losses", "metrics", "models", "optimizers", "preprocessing", "utils"]
