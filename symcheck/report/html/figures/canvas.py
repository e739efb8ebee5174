"""One drawing surface for pages and papers: panels drawn by matplotlib, saved as one inline SVG each or as one figure.

Lengths are in px, 72 to the inch. matplotlib is loaded when something is drawn, not before.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from symcheck.report import numbers
from symcheck.report.html.plain import clean

DPI = 72
# told apart also by those who do not see all colours (after Okabe and Ito); on a page each is a variable of its style
PALETTE = {
    "ink": "#1f2428",
    "muted": "#5b6570",
    "grid": "#dbe0e5",
    "surface": "#fefefe",
    "a": "#0072b2",
    "b": "#d55e00",
    "c": "#009e73",
    "d": "#cc79a7",
    "e": "#e69f00",
    "f": "#56b4e9",
}
SERIES = ("muted", "a", "e", "c", "d", "f")
TEXT, SMALL = 10.0, 9.0
_TITLE, _GAP = 20, 24  # px of a heading, and between columns
_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": "symcheck"}}


@dataclass(frozen=True)
class Panel:
    """One plot: what it is called, what it says in words, and how it is drawn on matplotlib axes.

    `margins` are left, right, top, bottom.
    """

    title: str
    words: str
    draw: Callable[[Any], None]
    width: float = 320
    height: float = 230
    margins: tuple[float, float, float, float] = (48, 10, 10, 40)
    projection: str | None = None


def colour(name: str) -> str:
    """The colour of this name in the palette."""
    return PALETTE[name]


def as_svg(panel: Panel) -> str:
    """The panel as an SVG file of its own, without a background."""
    from matplotlib.figure import Figure

    with _style():
        figure = Figure(figsize=(panel.width / DPI, panel.height / DPI))
        panel.draw(_placed(figure, panel, 0, 0))
        return _saved(figure, "svg").decode()


def as_figure(rows: Sequence[tuple[str, Sequence[Panel]]], kind: str) -> bytes:
    """Rows of panels as one figure for a paper, each row with its heading; `kind` is pdf, svg or png."""
    from matplotlib.figure import Figure

    columns = max(len(panels) for _, panels in rows)
    across = max(panel.width for _, panels in rows for panel in panels)
    heights = [max(panel.height for panel in panels) + _TITLE + (_TITLE if head else 6) for head, panels in rows]
    width, height = columns * across + (columns - 1) * _GAP, sum(heights)
    with _style():
        figure = Figure(figsize=(width / DPI, height / DPI))
        top = height
        for (head, panels), tall in zip(rows, heights, strict=True):
            figure.text(4 / width, (top - 12) / height, _fitted(head, width), fontsize=TEXT)
            top -= tall
            for i, panel in enumerate(panels):
                start = i * (across + _GAP)
                floor = top + tall - (_TITLE if head else 0) - _TITLE - panel.height
                title = (start + 4) / width, (floor + panel.height + 6) / height
                figure.text(*title, _fitted(panel.title, across), fontsize=SMALL, color=colour("muted"))
                panel.draw(_placed(figure, panel, start, floor))
        return _saved(figure, kind)


def _placed(figure: Any, panel: Panel, start: float, floor: float) -> Any:
    """Axes for the panel with its lower left corner at (start, floor)."""
    width, height = (DPI * inches for inches in figure.get_size_inches())
    left, right, top, bottom = panel.margins
    corner = (start + left) / width, (floor + bottom) / height
    size = (panel.width - left - right) / width, (panel.height - top - bottom) / height
    return figure.add_axes((*corner, *size), projection=panel.projection)


def _fitted(words: str, width: float) -> str:
    """As much of a heading as has room."""
    room = int(width / 6)
    return words if len(words) <= room else words[: room - 1] + "…"


def plain(axes: Any) -> None:
    """Two spines, a quiet grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=colour("grid"), lw=0.7)
    axes.set_axisbelow(True)


def blank(axes: Any) -> None:
    """No spines, ticks or grid, and one scale for both directions."""
    axes.set_axis_off()
    axes.set_aspect("equal")


def ratios(axis: Any) -> None:
    """Label an axis of dimensionless errors: all its ticks in one style."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    class Ratios(FuncFormatter):
        def format_ticks(self, values: Sequence[float]) -> list[str]:
            return numbers.ticks([float(value) for value in values])

    axis.set_major_formatter(Ratios(lambda value, _: numbers.ticks([float(value)])[0]))
    axis.set_minor_formatter(NullFormatter())


def from_zero(axes: Any, values: Sequence[float], limit: float = math.nan, *, ticks: int = 5) -> None:
    """A vertical axis of errors that starts at zero, with a line at the limit where that is in sight."""
    from matplotlib.ticker import MaxNLocator

    top = max(values, default=0.0) or 1.0
    axes.set_ylim(0, 1.12 * top)
    axes.yaxis.set_major_locator(MaxNLocator(ticks))
    ratios(axes.yaxis)
    if 0.03 * top < limit <= 1.1 * top:
        axes.axhline(limit, color=colour("ink"), lw=1, ls=(0, (4, 3)))
        note(axes, (1.0, limit), "tolerance", ha="right", va="bottom", transform=axes.get_yaxis_transform())


def note(axes: Any, at: tuple[float, float], words: str, **options: Any) -> None:
    """Small words on a plot."""
    axes.text(*at, words, **{"fontsize": SMALL, "color": colour("muted"), **options})


def beside(axes: Any, at: tuple[float, float], words: str) -> None:
    """Small words to the right of a point."""
    options = {"fontsize": SMALL, "color": colour("muted"), "va": "center"}
    axes.annotate(words, at, xytext=(4, 0), textcoords="offset points", **options)


@contextmanager
def _style() -> Iterator[None]:
    """Text stays text, fonts are embedded, nothing depends on the day or on settings of the user's."""
    from matplotlib import rc_context, rcParamsDefault

    ours: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "symcheck", "pdf.fonttype": 42, "text.parse_math": False,
        "font.family": "DejaVu Sans", "font.size": TEXT, "axes.labelsize": TEXT, "legend.fontsize": SMALL,
        "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "axes.titlesize": TEXT, "legend.frameon": False,
        "text.color": colour("ink"), "axes.labelcolor": colour("muted"), "axes.edgecolor": colour("muted"),
        "xtick.color": colour("muted"), "ytick.color": colour("muted"), "axes.linewidth": 0.8,
        "xtick.major.width": 0.8, "ytick.major.width": 0.8, "figure.facecolor": "none", "axes.facecolor": "none",
        "savefig.facecolor": "none", "axes.unicode_minus": True, "path.simplify": True,
    }  # fmt: skip
    others = ("backend", "toolbar", "interactive")
    kept: dict[Any, Any] = {k: v for k, v in rcParamsDefault.items() if not k.startswith(others)}
    with warnings.catch_warnings(), rc_context({**kept, **ours}):
        warnings.simplefilter("ignore")  # names in files may hold letters that the font has not
        yield


def _saved(figure: Any, kind: str) -> bytes:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_text(clean(text.get_text()))
    file = io.BytesIO()
    paper = {} if kind == "svg" else {"facecolor": "white"}
    figure.savefig(file, format=kind, metadata=_DATE.get(kind), dpi=200 if kind == "png" else DPI, **paper)
    return file.getvalue()
