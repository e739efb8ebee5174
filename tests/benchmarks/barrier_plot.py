"""The picture of the barrier benchmark: against the width, against the training time, and what resets do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pair_training import EPOCHS

if TYPE_CHECKING:
    from barriers import Row

COLOURS = {
    "naive": "#b4452c",
    "aligned": "#2f6db5",
    "permuted": "#8fb8d9",
    "+ flips": "#63a6c9",
    "+ flips, order": "#c98a2b",
    "naive + reset": "#dd9f8f",
    "aligned + reset": "#3f9b76",
    "aligned + REPAIR": "#7a5ca8",
}


def draw(rows: Sequence[Row], path: Path) -> Path:
    """Draw all rows; a panel without any says nothing and is left out. Returns the path."""
    from matplotlib.figure import Figure

    mlps = [row for row in rows if row.case.training.factory == "mlp" and "hidden" not in row.case.training.arguments]
    widths = [row for row in mlps if row.case.training.epochs == EPOCHS]
    times = [row for row in mlps if row.case.training.arguments["width"] == 512]
    others = [row for row in rows if row not in mlps]
    panels: list[tuple[Callable[..., None], Sequence[Row], str]] = [
        (lambda axes, found: _curves(axes, found, lambda row: row.case.training.arguments["width"]), widths, "width"),
        (lambda axes, found: _curves(axes, found, lambda row: row.case.training.epochs), times, "epochs of training"),
        (_bars, others, ""),
    ]
    panels = [panel for panel in panels if panel[1]]
    shares = [2.2 if not label else 1 for _, _, label in panels]
    figure = Figure(figsize=(3.8 * sum(shares), 3.9), layout="constrained")
    grid = figure.subplots(1, len(panels), width_ratios=shares, squeeze=False)[0]
    for axes, (paint, found, label) in zip(grid, panels, strict=True):
        paint(axes, found)
        axes.set_xlabel(label)
        axes.set_ylabel("loss barrier on test data")
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=160)
    return path


def _curves(axes: Any, rows: Sequence[Row], key: Callable[[Row], int]) -> None:
    for variant, colour in COLOURS.items():
        found = sorted((row for row in rows if row.variant == variant), key=key)
        if not found:
            continue
        x, y = [key(row) for row in found], [row.loss.value for row in found]
        errors = [row.loss.error for row in found]
        axes.errorbar(x, y, errors, marker="o", markersize=4, color=colour, label=variant, capsize=2)
    places = sorted({key(row) for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_yscale("symlog", linthresh=0.01, linscale=0.6)  # barriers may be negative
    values = [row.loss.value for row in rows]
    axes.set_ylim(min(-0.02, 1.6 * min(values)), 1.6 * max(values))
    axes.axhline(0, color="#9a9a9a", linewidth=0.8)
    axes.set_xticks(places, [str(place) for place in places])


def _bars(axes: Any, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(row.case.name for row in rows))
    variants = [variant for variant in COLOURS if any(row.variant == variant for row in rows)]
    thick = 0.8 / len(variants)
    for i, variant in enumerate(variants):
        found = [(names.index(row.case.name), row.loss) for row in rows if row.variant == variant]
        x = [place + (i - (len(variants) - 1) / 2) * thick for place, _ in found]
        axes.bar(x, [loss.value for _, loss in found], thick, color=COLOURS[variant], label=variant)
    axes.set_xticks(range(len(names)), [name.replace(", ", "\n") for name in names], fontsize=8)
