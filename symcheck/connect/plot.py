"""The curves of a connection as a picture: loss, and error rate where labels are classes, for every path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from symcheck.connect.result import Connection, Curve
from symcheck.errors import ConfigError

# told apart also by those who do not see all colours
_COLOURS = ("#6b7280", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9")
_LINES = ("-", "--")  # train and test


def save_plot(connection: Connection, path: Path, *, names: tuple[str, str] = ("A", "B")) -> None:
    """Write the curves as PNG, SVG or PDF by the suffix of the path, whole or not at all."""
    figure = plot(connection, names=names)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=160)
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(
            f"the picture cannot be written: {error.strerror}", where=str(path), hint="choose another place"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def plot(connection: Connection, *, names: tuple[str, str] = ("A", "B")) -> Any:
    """A matplotlib Figure: train and test in one row of panels, each data set that is moved in a row of its own."""
    from matplotlib.figure import Figure

    naive = connection.variants["naive"].curves
    moved = [name for name in naive if name not in ("train", "test")]
    classes = naive["train"].error is not None
    rows = [[name for name in naive if name in ("train", "test")], *([name] for name in moved)]
    columns = 2 if classes else 1
    figure = Figure(figsize=(4.6 * columns + 0.4, 3.1 * len(rows) + 0.7), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for panels, data in zip(axes, rows, strict=True):
        for panel, rate in zip(panels, (False, True), strict=False):
            _panel(panel, connection, data, rate=rate)
    _label(axes, connection, moved)
    figure.supxlabel(f"A = {names[0]}    B = {names[1]}", fontsize=8, color="#374151")
    figure.legend(handles=_legend(connection, rows[0]), loc="outside upper center", ncols=6, frameon=False, fontsize=8)
    return figure


def _legend(connection: Connection, data: list[str]) -> list[Any]:
    """A colour for each path, a line for each data set."""
    from matplotlib.lines import Line2D

    paths = zip(_COLOURS, connection.variants, strict=False)
    lines = zip(_LINES, data, strict=False) if len(data) > 1 else ()
    return [
        *(Line2D([], [], color=colour, lw=2.5, label=name) for colour, name in paths),
        *(Line2D([], [], color="#111827", lw=1.2, ls=line, label=name) for line, name in lines),
    ]


def _panel(panel: Any, connection: Connection, data: list[str], *, rate: bool) -> None:
    for line, which in zip(_LINES, data, strict=False):
        for i, (colour, variant) in enumerate(zip(_COLOURS, connection.variants.values(), strict=False)):
            curve = variant.curves[which]
            values = [100 * x for x in curve.error] if rate and curve.error is not None else [*curve.loss]
            panel.plot(connection.t, values, line, color=colour, lw=2.8 - 0.4 * i if line == "-" else 1.2)
            if line == "-":
                _mark(panel, connection.t, values, curve, rate, colour)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", color="#e5e7eb", lw=0.6)
    panel.set_axisbelow(True)
    panel.set_xlim(-0.01, 1.01)


def _mark(panel: Any, t: tuple[float, ...], values: list[float], curve: Curve, rate: bool, colour: str) -> None:
    """The barrier: a point at its t, and its error."""
    top = curve.error_barrier if rate else curve.barrier
    if top is None:
        return
    scale = 100 if rate else 1
    panel.errorbar([top.at], [values[t.index(top.at)]], [scale * top.error], fmt="o", ms=3.5, color=colour, capsize=2)


def _label(axes: Any, connection: Connection, moved: list[str]) -> None:
    words = {"cross_entropy": "cross-entropy", "mse": "mean squared error"}
    least = min(min(curve.loss) for variant in connection.variants.values() for curve in variant.curves.values())
    for panels, title in zip(axes, ["", *(f"moved by {claim}" for claim in moved)], strict=True):
        panels[0].set_ylabel(words.get(connection.loss, connection.loss))
        panels[0].set_title(title, loc="left", fontsize=9, color="#374151")
        if moved and least >= 0:  # rows that can be compared
            panels[0].set_ylim(bottom=0)
        if len(panels) > 1:
            panels[1].set_ylabel("error rate, %")
            panels[1].set_ylim(bottom=0)
        for panel in panels:
            panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["A", "¼", "½", "¾", "B"])
