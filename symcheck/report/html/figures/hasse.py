"""The lattice of subgroups: the whole group on top, lines to what lies in it, each in the colour of its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcheck.report import numbers
from symcheck.report.entry import brief
from symcheck.report.html.figures.canvas import Panel, colour
from symcheck.report.model import Verdict
from symcheck.report.page import symbol_of

_TONES = {"exact": "c", "approximate": "a", "broken": "b", "inconclusive": "e", "trivial": "d", "invalid": "d"}
MOST = 48  # nodes that have room
_ROW, _WIDTH = 44, 660
Node = tuple[str, str, float | None, Sequence[int]]  # name, verdict, error, the places of the next larger ones


def hasse_panel(title: str, nodes: Sequence[Node]) -> Panel | None:
    """The nodes by their distance from the whole group; None where they are too many, or not linked from one top."""
    if not 2 < len(nodes) <= MOST or any(not 0 <= p < len(nodes) for *_, parents in nodes for p in parents):
        return None
    depth = _depths(nodes)
    if depth is None:
        return None
    rows = [[i for i, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]
    places = _placed(rows, nodes)
    width = max(340, min(_WIDTH, max(map(len, rows)) * 82))

    def draw(axes: Any) -> None:
        axes.set_axis_off()
        for i, (_, _, _, parents) in enumerate(nodes):
            for parent in parents:
                axes.plot(*zip(places[i], places[parent], strict=True), color=colour("grid"), lw=0.9, zorder=1)
        size = 8.5 if max(map(len, rows)) <= 8 else 7
        for (name, verdict, _, _), at in zip(nodes, places, strict=True):
            tone = colour(_TONES.get(verdict, "muted"))
            mark = symbol_of(Verdict(verdict)) if verdict in _TONES else "?"
            box = {"boxstyle": "round,pad=0.3", "fc": colour("surface"), "ec": tone, "lw": 1.2}
            axes.text(*at, f"{mark} {brief(name, 16)}", fontsize=size, color=tone, ha="center", va="center", bbox=box,
                      zorder=2)  # fmt: skip
        axes.set_xlim(0, 1)
        axes.set_ylim(-len(rows) + 0.5, 0.5)

    return Panel(title, _words(nodes), draw, width, _ROW * len(rows) + 8, (6, 6, 4, 4))


def _depths(nodes: Sequence[Node]) -> list[int] | None:
    """The longest way from the top to each node; None where the parents go round in a circle."""
    depth = [0] * len(nodes)
    for _ in range(len(nodes) + 1):
        deeper = [max((depth[p] + 1 for p in parents), default=0) for *_, parents in nodes]
        if deeper == depth:
            return depth
        depth = deeper
    return None


def _placed(rows: Sequence[Sequence[int]], nodes: Sequence[Node]) -> list[tuple[float, float]]:
    """Where each node stands: below the middle of its parents as far as the order goes, evenly spread."""
    places = [(0.5, 0.0)] * len(nodes)
    for level, row in enumerate(rows):
        above = {i: [places[p][0] for p in nodes[i][3]] for i in row}
        order = sorted(row, key=lambda i: (sum(above[i]) / len(above[i]) if above[i] else 0.5, i))
        for k, i in enumerate(order):
            places[i] = ((k + 0.5) / len(row), -float(level))
    return places


def _words(nodes: Sequence[Node]) -> str:
    told = [
        f"{name} {verdict}{'' if error is None else f' {numbers.ratio(error)}'}" for name, verdict, error, _ in nodes
    ]
    return "; ".join(told[::-1][:12]) + ("; and so on." if len(told) > 12 else ".")
