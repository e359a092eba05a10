"""Adam, SGD and RMSprop, with Keras' constants."""
from ..errors import InvalidError, UnsupportedError


class Optimizer:
    name = None
    default_rate = 0.001
    momentum = 0.0
    fixed = {}

    def __init__(self, learning_rate=None, lr=None, **options):
        rate = lr if learning_rate is None else learning_rate
        self.learning_rate = self.default_rate if rate is None else rate
        for option, value in options.items():
            if option == "name":
                continue
            if option not in self.fixed and option not in ("decay", "clipnorm", "clipvalue"):
                raise TypeError(f"{type(self).__name__} has no option {option}")
            if value is not None and value != self.fixed.get(option, 0) and value != 0.0:
                raise UnsupportedError(
                    f"{type(self).__name__}: {option}={value!r}; graft's has "
                    f"{option}={self.fixed.get(option, 0)!r}")

    @property
    def learning_rate(self):
        """May be set between two calls of fit; what the optimizer remembers is kept."""
        return self._rate

    @learning_rate.setter
    def learning_rate(self, rate):
        if callable(rate) or isinstance(rate, bool) or not isinstance(rate, (int, float)):
            try:
                rate = float(rate)
            except (TypeError, ValueError):
                raise UnsupportedError(f"{type(self).__name__}: learning rate {rate!r}; graft's "
                                       "is a number") from None
        if not rate > 0:
            raise InvalidError(f"{type(self).__name__}: learning rate is {rate!r}, expected above "
                               "0")
        self._rate = float(rate)

    @property
    def lr(self):
        return self.learning_rate

    @lr.setter
    def lr(self, rate):
        self.learning_rate = rate

    def get_config(self):
        return {"name": self.name, "learning_rate": self.learning_rate, "momentum": self.momentum}


class Adam(Optimizer):
    name = "adam"
    fixed = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False}


class RMSprop(Optimizer):
    name = "rmsprop"
    fixed = {"rho": 0.9, "epsilon": 1e-7, "centered": False}


class SGD(Optimizer):
    name = "sgd"
    default_rate = 0.01
    fixed = {"nesterov": False}

    def __init__(self, learning_rate=None, momentum=0.0, lr=None, **options):
        super().__init__(learning_rate, lr, **options)
        if not 0 <= momentum < 1:
            raise InvalidError(f"SGD: momentum is {momentum!r}, expected 0 <= momentum < 1")
        self.momentum = float(momentum)


adam, sgd, rmsprop = Adam, SGD, RMSprop
_CLASSES = {"adam": Adam, "sgd": SGD, "rmsprop": RMSprop}


def get(optimizer):
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer()
    found = _CLASSES.get(str(optimizer).lower())
    if found is None:
        raise UnsupportedError(f"optimizer {optimizer!r}: graft has adam, sgd and rmsprop")
    return found()
