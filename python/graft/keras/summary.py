"""Model.summary() as Keras prints it."""


def _row(fields, positions):
    line = ""
    for field, end in zip(fields, positions):
        if line:
            line = line[:-1] + " "
        line += str(field)
        line = line[:end]
        line += " " * (end - len(line))
    return line


def _shape(layer):
    return str(layer.output_shape)


def _connected(layer):
    return [f"{tensor.layer.name}[0][0]" for tensor in layer.inbound]


def _is_chain(layers):
    return all(len(layer.inbound) <= 1 for layer in layers)


def lines(model, line_length=None, positions=None):
    """The lines, for print_fn."""
    layers = model.layers
    is_chain = _is_chain(layers)
    width = line_length or (65 if is_chain else 98)
    places = positions or ([.45, .85, 1.] if is_chain else [.33, .55, .67, 1.])
    if places[-1] <= 1:
        places = [int(width * place) for place in places]
    fields = ["Layer (type)", "Output Shape", "Param #"] + ([] if is_chain else ["Connected to"])
    yield f'Model: "{model.name}"'
    yield "_" * width
    yield _row(fields, places)
    yield "=" * width
    for i, layer in enumerate(layers):
        connected = _connected(layer)
        row = [f"{layer.name} ({type(layer).__name__})", _shape(layer), layer.count_params()]
        yield _row(row + ([] if is_chain else [connected[0] if connected else ""]), places)
        for name in connected[1:]:
            yield _row(["", "", "", name], places)
        yield ("=" if i == len(layers) - 1 else "_") * width
    yield from totals(layers)
    yield "_" * width


def totals(layers):
    n_all = sum(layer.count_params() for layer in layers)
    n_trainable = sum(layer.count_trainable() for layer in layers)
    yield f"Total params: {n_all:,}"
    yield f"Trainable params: {n_trainable:,}"
    yield f"Non-trainable params: {n_all - n_trainable:,}"
