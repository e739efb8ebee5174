"""Loss, error rate and equivariance error along the paths between two checkpoints (schema symcheck.connect/1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from symcheck.report import numbers
from symcheck.report.html.figures.canvas import SERIES, Panel, colour, plain, ratios

_LOSSES = {"cross_entropy": "cross-entropy", "mse": "mean squared error"}
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))


def barrier_panels(data: Mapping[str, Any]) -> list[Panel]:
    """For each data set the loss, and the error rate where labels are classes; then each mechanism."""
    variants, t = data["variants"], data["t"]
    first = next(iter(variants.values()))
    panels = []
    for name in first["curves"]:
        curves = {key: variant["curves"][name] for key, variant in variants.items()}
        loss = {key: (t, curve["loss"], curve["barrier"]) for key, curve in curves.items()}
        panels.append(_panel(f"Loss on {data_name(name)}", _LOSSES.get(data["loss"], str(data["loss"])), loss))
        if all(curve.get("error") is not None for curve in curves.values()):
            rate = {key: (t, curve["error"], curve["error_barrier"]) for key, curve in curves.items()}
            panels.append(_panel(f"Error rate on {data_name(name)}", "error rate", rate, rate=True))
    for i, one in enumerate(first.get("mechanisms") or ()):
        paths = {k: (m["t"], m["error"], None) for k, v in variants.items() for m in [v["mechanisms"][i]]}
        what = "share" if one["measure"] == "share" else "error / spread"
        panels.append(_panel(f"Equivariance: {one['claim']}", what, paths, rate=True))
    return panels


def checkpoint_names(data: Mapping[str, Any]) -> list[str]:
    """The names of the checkpoints of a document, else those of their files."""
    sources = data.get("checkpoints") or data.get("sources") or ()
    return [str(source.get("name") or PurePath(str(source["path"])).stem) for source in sources]


def ends(data: Mapping[str, Any]) -> str:
    """What A and B are; empty where the document does not say."""
    return ", ".join(f"{letter} is {name}" for letter, name in zip("AB", checkpoint_names(data), strict=False))


def data_name(name: str) -> str:
    """A data set in words: train, test, or moved by a claim."""
    return f"{name} data" if name in ("train", "test") else f"data moved by {name}"


def _panel(title: str, unit: str, paths: Mapping[str, Sequence[Any]], *, rate: bool = False) -> Panel:
    def draw(axes: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        plain(axes)
        tones = [SERIES[i % len(SERIES)] for i in range(len(paths))]
        for i, (tone, (name, (t, values, top))) in enumerate(zip(tones, paths.items(), strict=True)):
            shown = [float("nan") if v is None else v for v in values]
            axes.plot(t, shown, color=colour(tone), ls=_DASHES[i % len(_DASHES)], lw=1.7, label=name)
            if top and top.get("at") in t:
                at = [*t].index(top["at"])
                axes.errorbar([t[at]], [shown[at]], [top["error"] or 0], fmt="o", ms=4, color=colour(tone), capsize=2.5)
        known = [v for _, values, _ in paths.values() for v in values if v is not None]
        if known and min(known) >= 0:
            axes.set_ylim(0, 1.12 * max(known) or 1)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if rate:
            ratios(axes.yaxis)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["A", "¼", "½", "¾", "B"])
        axes.set_ylabel(unit)
        columns = min(len(paths), 2)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.14, 1.0), ncols=columns, columnspacing=1.2, handlelength=2.2)

    lines = -(-len(paths) // 2)
    return Panel(title, _words(paths, rate=rate), draw, 340, 216 + 16 * lines, (56, 10, 8 + 16 * lines, 26))


def _words(paths: Mapping[str, Sequence[Any]], *, rate: bool) -> str:
    """Each path by its ends and its largest value."""
    show = numbers.ratio if rate else numbers.number
    said = []
    for name, (_, values, _) in paths.items():
        known = [v for v in values if v is not None]
        if known:
            ends = " to ".join(show(values[i]) for i in (0, -1))
            said.append(f"{name}: {ends}, at most {show(max(known))}")
    return "From A to B. " + "; ".join(said) + "."
