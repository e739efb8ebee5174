"""What a page is made of: sections of blocks, each a figure, a table, a list of facts, or words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from symcheck.report.html.figures.bars import bars_panel
from symcheck.report.html.figures.canvas import Panel, as_svg
from symcheck.report.html.figures.inline import inlined
from symcheck.report.html.plain import clean

ROOM = 2_200_000  # characters of all figures of a page
ROWS = 80  # of one table
_WIDE = 400  # px: a wider panel gets a row of its own


@dataclass(frozen=True)
class Figure:
    """An inline SVG with its title."""

    title: str
    svg: str
    wide: bool = False
    kind: str = "figure"


@dataclass(frozen=True)
class Table:
    """Rows of words below a head; the first column names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    kind: str = "table"


@dataclass(frozen=True)
class Facts:
    """Names and words."""

    pairs: Sequence[tuple[str, str]]
    title: str = ""
    kind: str = "facts"


@dataclass(frozen=True)
class Words:
    """A paragraph; or a command, which is shown as it is typed."""

    text: str
    kind: str = "words"


@dataclass(frozen=True)
class Bars:
    """Signed numbers by name, and words beside each: drawn on a page, rows of blocks in a terminal."""

    title: str
    rows: Sequence[tuple[str, float, str]]
    kind: str = "bars"


Block = Figure | Table | Facts | Words | Bars


def tables(head: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> list[Block]:
    """The first rows as a table, and how many more there are; nothing where there are none."""
    more = [Words(f"and {len(rows) - ROWS} more, in the data of this document")] if len(rows) > ROWS else []
    return [Table(head, rows[:ROWS], title), *more] if rows else []


@dataclass(frozen=True)
class Section:
    """Blocks under a heading; figures side by side where there is room."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False

    @property
    def grid(self) -> list[Block]:
        """Figures and tables, where there are figures: they stand side by side."""
        drawn = [block for block in self.blocks if isinstance(block, Figure)]
        return [*drawn, *(block for block in self.blocks if isinstance(block, Table))] if drawn else []

    @property
    def below(self) -> list[Block]:
        """All else, in its order."""
        beside = {id(block) for block in self.grid}
        return [block for block in self.blocks if id(block) not in beside]


@dataclass
class Easel:
    """Draws panels one after another, each with ids of its own, as long as the page has room; in words, none."""

    room: int = ROOM
    words: bool = False
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def figures(self, panels: Iterable[Panel]) -> list[Block]:
        """The panels as figures; one sentence where the page is full."""
        drawn: list[Block] = []
        for panel in () if self.words else panels:
            if self.room <= 0:
                return [*drawn, Words("Not drawn, to keep this page small: the numbers are in the data of this page.")]
            title, words = clean(panel.title), clean(panel.words)
            svg = inlined(as_svg(panel), f"fig{next(self.numbers)}", title, words)
            figure = Figure(title, svg, panel.width > _WIDE)
            self.room -= len(figure.svg)
            drawn.append(figure)
        return drawn

    def bars(self, bars: Iterable[Bars]) -> list[Block]:
        """Bars as figures; in words as they are."""
        if self.words:
            return [one for one in bars if one.rows]
        return self.figures(bars_panel(one.title, one.rows) for one in bars if one.rows)
