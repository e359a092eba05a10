"""From symbolic layers to what the library runs: a trunk up to a cut, and a head behind it."""
import numpy as np

from .. import heads, images, native, settings, trunks
from ..errors import InvalidError, UnsupportedError
from . import layers as L


def ancestors(outputs):
    """All layers that outputs are computed from, inputs first."""
    found, order = set(), []
    stack = [(tensor.layer, False) for tensor in reversed(outputs)]
    while stack:
        layer, is_left = stack.pop()
        if is_left:
            order.append(layer)
        elif layer not in found:
            found.add(layer)
            stack.append((layer, True))
            stack.extend((tensor.layer, False) for tensor in reversed(layer.inbound))
    return order


def in_keras_order(outputs):
    """Layers as model.layers has them: a trunk's by their number, others behind their input."""
    places = {}
    for layer in ancestors(outputs):
        if layer.info is not None:
            places[layer] = (layer.trunk.index[layer.name],)
        else:
            places[layer] = max((places[t.layer] for t in layer.inbound), default=(-1,)) + (0,)
    return sorted(places, key=places.get)


class Path:
    """The way to an output: source (a trunk's layer, or an Input), pool, then the head's layers."""

    def __init__(self, output):
        chain, layer = [], output.layer
        while layer.info is None and not isinstance(layer, L.InputLayer):
            chain.append(layer)
            layer = layer.inbound[0].layer
        chain.reverse()
        self.output = output
        self.source = layer
        self.trunk = layer.trunk
        self.pool = native.POOL_NONE
        self.standardization = None
        self.precision = None  # of a loaded model; else what settings say
        self.dense = []  # of HeadPart
        self.trailing_dropout = None
        self._read_bottom(chain)
        self._read_head(chain)

    def _read_bottom(self, chain):
        shape = self.source.output.shape[1:]
        if chain and isinstance(chain[0], (L.GlobalAveragePooling2D, L.GlobalMaxPooling2D)):
            if self.trunk is None:
                raise UnsupportedError(f"layer {chain[0].name} pools an input: graft pools the "
                                       "outputs of a pretrained network")
            is_avg = isinstance(chain.pop(0), L.GlobalAveragePooling2D)
            self.pool = native.POOL_AVG if is_avg else native.POOL_MAX
        elif chain and len(shape) > 1 and not isinstance(chain[0], L.Flatten):
            raise UnsupportedError(f"layer {chain[0].name} ({type(chain[0]).__name__}) on pictures "
                                   f"of shape {(None, *shape)}: put GlobalAveragePooling2D() or "
                                   "Flatten() first")
        if chain and isinstance(chain[0], L.Standardization):
            self.standardization = chain.pop(0)

    def _read_head(self, chain):
        rate, dropout = 0.0, None
        for layer in chain:
            if isinstance(layer, L.Dropout):
                if dropout is not None and rate > 0 and layer.rate > 0:
                    raise UnsupportedError(f"layer {layer.name} follows {dropout.name}: two "
                                           "Dropout layers in a row; use one")
                rate, dropout = max(rate, layer.rate), layer
            elif isinstance(layer, L.Dense):
                self.dense.append(HeadPart(layer, rate))
                rate, dropout = 0.0, None
            elif isinstance(layer, L.Activation):
                self._fold(layer)
            elif not isinstance(layer, L.Flatten):
                raise UnsupportedError(f"layer {layer.name} ({type(layer).__name__}) cannot stand "
                                       "in the head")
        self.trailing_dropout = dropout if rate > 0 else None

    def _fold(self, layer):
        if layer.activation == "linear":
            return
        if not self.dense or self.dense[-1].activation != "linear":
            raise UnsupportedError(f"layer {layer.name}: an Activation follows a Dense layer "
                                   "without one of its own")
        self.dense[-1].activation = layer.activation

    @property
    def cut(self):
        return self.source.name, self.pool

    def width(self):
        """How many numbers the first Dense layer takes."""
        return self.dense[0].layer.n_inputs

    def initialise(self):
        """Weights of those that have none yet: the same as the library's own for this head."""
        if all(part.layer.has_weights for part in self.dense):
            return
        head = heads.Head(self.width(), [part.describe() for part in self.dense])
        head.initialise(settings.seed())
        for i, part in enumerate(self.dense):
            if not part.layer.has_weights:
                part.layer.set_weights(head.get(i))

    def features(self, x, progress=None):
        """What the first Dense layer takes, or (without one) the output."""
        if self.trunk is not None:
            size = self.trunk.size
            pixels = x if isinstance(x, Pixels) else trunks.to_pixels(x, size)
            return self.trunk.features(np.ascontiguousarray(pixels), (self.cut,), self.precision,
                                       progress)[0]
        return rows(x, self.source.output.shape[1:], self.standardization)


class HeadPart:
    """A Dense layer with the rate of the Dropout before it and the Activation behind it."""

    def __init__(self, layer, rate):
        self.layer, self.rate, self.activation = layer, rate, layer.activation

    def describe(self, is_plain=False):
        """is_plain: without what only training needs."""
        name = self.layer.name if self.layer.is_named else None
        return heads.HeadLayer(self.layer.units, self.activation, 0 if is_plain else self.rate,
                               name)


def put_head(tensor, head):
    """New layers on tensor: those of a head of the library, with its weights. The output."""
    lib = native.lib()
    activations = {number: name for name, number in native.ACTIVATION.items()}
    if len(tensor.shape) > 2:
        tensor = L.Flatten()(tensor)
    for i in range(lib.gf_head_n_layers(head)):
        described = lib.gf_head_layer_at(head, i)
        if described.dropout > 0:
            tensor = L.Dropout(described.dropout)(tensor)
        n_inputs = tensor.shape[-1]
        layer = L.Dense(described.units, activation=activations[described.activation],
                        name=described.name.decode())
        tensor = layer(tensor)
        kernel = np.ctypeslib.as_array(lib.gf_head_kernel(head, i), (n_inputs, described.units))
        bias = np.ctypeslib.as_array(lib.gf_head_bias(head, i), (described.units,))
        layer.set_weights([kernel.copy(), bias.copy()])
    return tensor


class Pixels(np.ndarray):
    """uint8 pictures of the network's size that need no more looking at."""


def rows(x, shape, standardization=None):
    """(N, D) float32 of numbers (N, *shape)."""
    x = np.asarray(x)
    if x.ndim == 0 or x.dtype == object or not np.issubdtype(x.dtype, np.number):
        raise InvalidError(f"inputs of type {x.dtype}, expected numbers")
    if x.shape[1:] != tuple(shape):
        hint = "; one row needs a batch dimension: x.reshape(1, -1)" if x.shape == shape else ""
        raise InvalidError(f"expected inputs of shape {('N', *shape)}, got an array with shape "
                           f"{x.shape}{hint}".replace("'N'", "N"), "GF_ESHAPE")
    if len(x) == 0:
        raise InvalidError("an array without rows")
    x = np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float32)
    if not np.isfinite(x).all():
        raise InvalidError(f"row {np.flatnonzero(~np.isfinite(x).all(axis=1))[0]} has a value that "
                           "is not a number")
    if standardization is not None:
        x = (x - standardization.means) / standardization.scales
    return x


def pictures(x, size):
    """Picture files (paths or bytes, one or a list) as Pixels; None where x is something else."""
    if isinstance(x, (str, bytes)) or hasattr(x, "__fspath__") or isinstance(x, images.Image):
        x = [x]
    if not isinstance(x, (list, tuple)) or not x:
        return None
    if not all(isinstance(one, (str, bytes, images.Image)) or hasattr(one, "__fspath__")
               for one in x):
        return None
    wanted = (size[1], size[0])
    found = [one if isinstance(one, images.Image) else images.load(one, wanted) for one in x]
    found = [one if one.size == wanted else one.resize(wanted) for one in found]
    return np.stack([one.pixels for one in found]).view(Pixels)
