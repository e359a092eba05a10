"""What a notebook shows of models, training and pictures: tables and plots as HTML and SVG, without
matplotlib.

    display.layers(model, tail=5)               index, name, class, shape, parameters of the layers
    display.features(values)                    a line of 2048 features; several rows, several lines
    display.curves(history)                     loss and accuracy by epoch, training and validation
    display.confusion(y_test, predicted)        which class was taken for which
    display.pictures(paths, scores, classes)    pictures with what was predicted

Each gives an object that a notebook shows by itself; str() of it is the HTML. Colours can be read
on light and dark pages. All text that comes from names and files is escaped.
"""

import base64
import html
import math
import os

import numpy as np

from .instances import picture_bytes, png_of

COLOURS = ("#3b82f6", "#f97316", "#10b981", "#a855f7", "#ef4444", "#8a8f98")
FONT = "font-family:system-ui,sans-serif;font-size:12px"
MAX_POINTS = 4096


class Shown:
    """A piece of HTML, and where it is one plot also its SVG."""

    def __init__(self, content, svg=None):
        self.html, self.svg = content, svg

    def _repr_html_(self):
        return self.html

    def _repr_svg_(self):
        return self.svg

    def __str__(self):
        return self.html

    def __repr__(self):
        return f"<graft.display.Shown, {len(self.html)} characters of HTML>"


def _escape(value):
    return html.escape(str(value), quote=True)


def _number(value):
    """Short, and the same everywhere: coordinates and captions."""
    return f"{value:.4g}"


# ---- tables


def table(heads, rows, align=None):
    """A table; align: a letter l or r for each column."""
    align = align or "l" * len(heads)
    sides = {"l": "left", "r": "right"}

    def cells(tag, values, more=""):
        return "".join(
            f'<{tag} style="text-align:{sides[side]};padding:2px 10px;{more}">'
            f"{_escape(value)}</{tag}>"
            for side, value in zip(align, values)
        )

    head = cells("th", heads, "border-bottom:1px solid rgba(128,128,128,.5)")
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    style = f"border-collapse:collapse;{FONT};font-variant-numeric:tabular-nums"
    return Shown(
        f'<table style="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def _shape_of(layer):
    shape = getattr(layer, "output_shape", None)
    if shape is None:
        shape = getattr(getattr(layer, "output", None), "shape", None)
    if shape is None:
        return ""
    return "(" + ", ".join("None" if size is None else str(size) for size in shape) + ")"


def _parameters_of(layer):
    count = getattr(layer, "count_params", None)
    return f"{count():,}" if callable(count) else ""


def layers(model, tail=None, head=None):
    """The layers of a model as a table; tail or head: only the last or first ones."""
    rows = [
        (
            i,
            layer.name,
            type(layer).__name__,
            _shape_of(layer),
            _parameters_of(layer),
            "yes" if getattr(layer, "trainable", False) else "no",
        )
        for i, layer in enumerate(model.layers)
    ]
    if tail is not None:
        rows = rows[max(0, len(rows) - tail) :]
    elif head is not None:
        rows = rows[:head]
    return table(("index", "name", "class", "output", "parameters", "trainable"), rows, "rlllrl")


# ---- plots


def ticks(low, high, n_wanted=4):
    """Round numbers from low to high."""
    span = high - low
    if not span > 0:
        return [low]
    step = 10.0 ** math.floor(math.log10(span / n_wanted))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= n_wanted + 0.5)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


class _Panel:
    """One pair of axes at x, y within an SVG."""

    def __init__(self, x, y, width, height, x_range, y_range):
        self.x, self.y, self.width, self.height = x, y, width, height
        self.x_range, self.y_range = x_range, y_range
        self.parts = []

    def place(self, x, y):
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        return (
            self.x + self.width * (x - x0) / ((x1 - x0) or 1),
            self.y + self.height * (1 - (y - y0) / ((y1 - y0) or 1)),
        )

    def text(self, x, y, content, anchor="start", more=""):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor" {more}>'
            f"{_escape(content)}</text>"
        )

    def axes(self, title, x_whole=False):
        self.text(self.x, self.y - 8, title, more='font-weight="600"')
        for value in ticks(*self.y_range):
            _, y = self.place(self.x_range[0], value)
            self.parts.append(
                f'<line x1="{self.x}" x2="{self.x + self.width}" y1="{y:.1f}" y2="{y:.1f}" '
                'stroke="currentColor" stroke-opacity=".15"/>'
            )
            self.text(self.x - 6, y + 4, _number(value), "end", 'opacity=".7"')
        for value in ticks(*self.x_range, n_wanted=6):
            if x_whole and value != int(value):
                continue
            x, _ = self.place(value, self.y_range[0])
            label = _number(value) if abs(value) < 1e4 else f"{value:.0f}"
            self.text(x, self.y + self.height + 16, label, "middle", 'opacity=".7"')

    def line(self, xs, ys, colour):
        points = [self.place(x, y) for x, y in zip(xs, ys) if math.isfinite(y)]
        if len(points) == 1:
            x, y = points[0]
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )

    def legend(self, entries):
        x = self.x + self.width
        for name, colour in reversed(entries):
            self.text(x, self.y - 8, name, "end")
            x -= 7 * len(name) + 6
            self.parts.append(
                f'<rect x="{x - 10:.1f}" y="{self.y - 17:.1f}" width="10" height="10" rx="2" '
                f'fill="{colour}"/>'
            )
            x -= 22


def _plot(width, height, panels, label):
    inside = "".join(part for panel in panels for part in panel.parts)
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{_escape(label)}"'
    )
    # In a page text takes the page's colour; alone a grey that can be read on white and black.
    in_page = f'{start} style="max-width:{width}px;width:100%;{FONT}">{inside}</svg>'
    alone = f'{start} width="{width}" height="{height}" color="#808080" style="{FONT}">'
    return Shown(in_page, f"{alone}{inside}</svg>")


def _range_of(values, floor=None, ceiling=None):
    values = [value for value in values if math.isfinite(value)] or [0.0]
    low = min(values) if floor is None else min(floor, min(values))
    high = max(values) if ceiling is None else max(ceiling, max(values))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _thinned(row):
    """At most MAX_POINTS of a row, peaks kept: (positions, values)."""
    if len(row) <= MAX_POINTS:
        return range(len(row)), row
    step = math.ceil(len(row) / MAX_POINTS)
    starts = range(0, len(row), step)
    kept = [start + int(np.argmax(np.abs(row[start : start + step]))) for start in starts]
    return kept, row[kept]


def features(values, title="features"):
    """A vector as a line; rows of a matrix as lines over each other."""
    rows = np.asarray(values, dtype=float)
    is_one = rows.ndim < 2 or rows.shape[0] == rows.size
    rows = rows.reshape(1, -1) if is_one else rows.reshape(rows.shape[0], -1)
    if rows.size == 0:
        raise ValueError(f"features: an array of shape {np.shape(values)} has no values to plot")
    x_range = (0, max(1, rows.shape[1] - 1))
    panel = _Panel(56, 28, 820, 180, x_range, _range_of(rows.ravel().tolist(), floor=0))
    panel.axes(f"{title} ({rows.shape[1]} values)", x_whole=True)
    for i, row in enumerate(rows):
        xs, ys = _thinned(row)
        panel.line(xs, [float(y) for y in ys], COLOURS[i % len(COLOURS)])
    return _plot(890, 236, [panel], title)


def _metrics_of(history):
    """{metric: {"training": values, "validation": values}} in the order of the history."""
    found = {}
    for name, values in getattr(history, "history", history).items():
        part, metric = ("validation", name[4:]) if name.startswith("val_") else ("training", name)
        metric = {"acc": "accuracy"}.get(metric, metric)
        values = [float(value) for value in values]
        if values and metric != "lr":
            found.setdefault(metric, {})[part] = values
    return found


def curves(history):
    """What fit() returned, or its dict: a panel for the loss and one for each metric."""
    metrics = _metrics_of(history)
    if not metrics:
        raise ValueError("curves: the history is empty; fit() at least one epoch first")
    panels = []
    for i, (metric, parts) in enumerate(metrics.items()):
        is_share = metric == "accuracy"
        values = [value for part in parts.values() for value in part]
        n_epochs = max(len(part) for part in parts.values())
        y_range = _range_of(values, floor=None if is_share else 0, ceiling=1 if is_share else None)
        panel = _Panel(56 + 430 * i, 28, 350, 180, (1, max(2, n_epochs)), y_range)
        panel.axes(metric, x_whole=True)
        entries = []
        for part, colour in (("training", COLOURS[0]), ("validation", COLOURS[1])):
            if part in parts:
                panel.line(range(1, len(parts[part]) + 1), parts[part], colour)
                entries.append((part, colour))
        panel.legend(entries)
        panels.append(panel)
    return _plot(430 * len(panels) + 10, 236, panels, "training by epoch")


# ---- predictions


def _indices(values, name):
    """Class numbers of class numbers, one-hot rows or rows of scores."""
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] > 1:
        return values.argmax(axis=1)
    values = values.reshape(-1)
    numbers = values.astype(int)
    if values.size and (numbers != values).any():
        raise ValueError(f"{name}: expected class numbers, one-hot rows or rows of scores")
    return numbers


def confusion(true, predicted, classes=None):
    """Rows are the true classes, columns the predicted ones; the diagonal is right."""
    true, predicted = _indices(true, "true"), _indices(predicted, "predicted")
    if len(true) != len(predicted) or not len(true):
        raise ValueError(f"confusion: {len(true)} true classes and {len(predicted)} predicted ones")
    n_classes = max(int(max(true.max(), predicted.max())) + 1, len(classes or ()))
    names = [str(name) for name in classes or ()]
    names += [str(k) for k in range(len(names), n_classes)]
    counts = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(counts, (true, predicted), 1)

    def cell(i, k):
        strength = 0.55 * counts[i, k] / max(1, counts[i].sum())
        colour = "59,130,246" if i == k else "239,68,68"
        style = f"text-align:right;padding:4px 12px;background:rgba({colour},{strength:.2f})"
        title = f"{_escape(names[i])} taken for {_escape(names[k])}"
        return f'<td style="{style}" title="{title}">{counts[i, k]}</td>'

    head = "".join(f'<th style="padding:2px 10px">{_escape(name)}</th>' for name in names)
    rows = "".join(
        f'<tr><th style="text-align:right;padding:2px 10px">{_escape(names[i])}</th>'
        + "".join(cell(i, k) for k in range(n_classes))
        + "</tr>"
        for i in range(n_classes)
    )
    right = int(np.trace(counts))
    share = f"{right} of {len(true)} right ({100 * right / len(true):.1f} %)"
    return Shown(
        f'<table style="border-collapse:collapse;{FONT}">'
        f'<caption style="caption-side:bottom;padding:4px">{share}; rows: true, columns: predicted'
        f"</caption><tr><td></td>{head}</tr>{rows}</table>"
    )


def _pixels(array, longest):
    """Bytes (H,W,3) of an array of pixels, in bytes, in [0,1] or as networks see them, in [-1,1];
    where a side is longer than that, means of blocks."""
    array = np.asarray(array)
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"pictures: an array of shape {array.shape}, expected (height, width, 3)")
    if array.dtype != np.uint8:
        if array.min() < 0:
            array = (array + 1) * 127.5
        elif array.max() <= 1:
            array = array * 255
    step = math.ceil(max(array.shape[:2]) / longest)
    if step > 1:
        height, width = (max(1, size // step) for size in array.shape[:2])
        array = array[: height * step, : width * step]
        blocks = array.reshape(height, array.shape[0] // height, width, array.shape[1] // width, 3)
        array = blocks.mean(axis=(1, 3))
    return np.ascontiguousarray(np.clip(np.rint(array), 0, 255).astype(np.uint8))


_KINDS = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8", "jpeg"),
    (b"GIF8", "gif"),
    (b"RIFF", "webp"),
    (b"BM", "bmp"),
)


def _data_url(picture, longest=512):
    if isinstance(picture, (str, bytes, bytearray, memoryview, os.PathLike)):
        content = picture_bytes(picture)
    else:
        content = png_of(_pixels(picture, longest))
    kind = next((kind for start, kind in _KINDS if content.startswith(start)), None)
    if kind is None:
        raise ValueError(f"pictures: {content[:8]!r}... is no PNG, JPEG, GIF, WebP or BMP")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _caption(prediction, classes, true):
    """(text, whether it is wrong): of a label, a classify() answer, or a row of scores."""
    if prediction is None:
        return "", False
    if isinstance(prediction, dict):
        label, score = prediction["label"], prediction["score"]
    elif isinstance(prediction, str):
        label, score = prediction, None
    else:
        scores = np.asarray(prediction, dtype=float).reshape(-1)
        best = int(scores.argmax())
        label, score = classes[best] if classes is not None else best, float(scores[best])
    text = str(label) if score is None else f"{label} {100 * score:.1f} %"
    return text, true is not None and str(true) != str(label)


def pictures(images, predictions=None, classes=None, true=None, size=112):
    """Pictures in a grid, each with its prediction.

    images       paths, bytes, or arrays (a whole (N,H,W,3) one too), which are made smaller
    predictions  rows of scores, answers of Client.classify(), or texts
    classes      names for rows of scores
    true         names of the true classes: what is wrong is framed
    """
    tiles = []
    for i, image in enumerate(images):
        expected = true[i] if true is not None else None
        prediction = predictions[i] if predictions is not None else None
        text, is_wrong = _caption(prediction, classes, expected)
        title = f' title="expected {_escape(expected)}"' if is_wrong else ""
        style = f"width:{size}px;height:{size}px;object-fit:contain;margin:0;border:2px solid "
        style += "#ef4444" if is_wrong else "transparent"
        tiles.append(
            f'<figure style="margin:0;width:{size + 4}px"{title}>'
            f'<img src="{_data_url(image, size)}" alt="{_escape(text)}" style="{style}"/>'
            f'<figcaption style="text-align:center">{_escape(text)}</figcaption></figure>'
        )
    grid = f"display:flex;flex-wrap:wrap;gap:8px;{FONT}"
    return Shown(f'<div style="{grid}">{"".join(tiles)}</div>')
