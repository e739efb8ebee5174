"""A page for the terminal: rows of wrapped cells, and marks for verdicts and statuses, as the encoding allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.console import Console
from rich.text import Text

from symcheck.report.model import Verdict
from symcheck.report.outcome import Status

# a word and a symbol, so that colour never carries the verdict alone
_MARKS: Mapping[str, tuple[str, str, str]] = {
    Verdict.EXACT: ("✓", "+", "green"),
    Verdict.APPROXIMATE: ("≈", "~", "cyan"),
    Verdict.INCONCLUSIVE: ("?", "?", "yellow"),
    Verdict.BROKEN: ("✗", "x", "bold red"),
    Verdict.TRIVIAL: ("○", "o", "magenta"),
    Verdict.INVALID: ("!", "!", "bold magenta"),
    Status.PASSED: ("✓", "+", "green"),
    Status.WAIVED: ("○", "o", "cyan"),
    Status.FAILED: ("✗", "x", "bold red"),
    Status.UNMEASURED: ("!", "!", "bold magenta"),
}
_ASCII = str.maketrans(
    {"→": "->", "·": ".", "×": "x", "±": "+-", "≈": "~", "≤": "<=", "≥": ">=", "−": "-", "–": "-", "—": "-", "…": "...",
     "°": " deg", "²": "^2", "³": "^3", "⁻": "^-", "¹": "1", "‖": "||", "δ": "delta", "π": "pi", "θ": "theta",
     "σ": "sigma", "ε": "eps", "√": "sqrt", "∞": "inf", "’": "'", "‘": "'", "“": '"', "”": '"',
     "ᵀ": "^T", "ⁿ": "^n", "⁹": "^9", "₁": "1", "₂": "2", "₃": "3", "½": "1/2", "≠": "!=", "↔": "<->", "⟨": "<",
     "⟩": ">", "⊗": "(x)", "⊕": "(+)", "\u0304": "_mean", "\u0302": "_hat", "Å": "A", "Σ": "Sigma", "Δ": "Delta",
     "Ω": "Omega", "α": "alpha", "λ": "lambda", "τ": "tau", "μ": "mu", "φ": "phi",
     "ρ": "rho", "Π": "Pi", "∫": "integral ", "χ": "chi"}
)  # fmt: skip
GAP, INDENT = 2, 2


@dataclass(frozen=True)
class Page:
    """A console that gets only what its encoding can show, and no control characters from names in files."""

    console: Console

    @property
    def width(self) -> int:
        """Columns."""
        return self.console.width

    @property
    def unicode(self) -> bool:
        """Whether more than ASCII can be shown."""
        return self.console.encoding.lower().replace("-", "").startswith("utf")

    def text(self, words: str, style: str = "") -> Text:
        """Words as this console can show them."""
        shown = "".join(c if c.isprintable() else " " for c in words)
        if not self.unicode:
            shown = shown.translate(_ASCII).encode("ascii", "replace").decode()
        return Text(shown, style)

    def line(self, words: str = "", style: str = "", indent: int = 0) -> None:
        """Words that wrap under themselves."""
        self.row([(self.text(words, style), max(self.width - indent, 1))], indent)

    def labelled(self, label: Text, words: Text, width: int) -> None:
        """A label and words that wrap beside it."""
        self.row([(label, width), (words, max(self.width - width - 1, 1))], gap=1)

    def row(self, cells: Sequence[tuple[Text, int]], indent: int = 0, gap: int = GAP) -> None:
        """Cells side by side, each wrapped to its width; no spaces at the end of a line."""
        columns = [cell.wrap(self.console, width) for cell, width in cells]
        for lines in zip_longest(*columns, fillvalue=Text()):
            whole = Text(" " * indent)
            for (_, width), line in zip(cells, lines, strict=True):
                piece = line.copy()
                piece.rstrip()
                piece.pad_right(width - piece.cell_len + gap)
                whole.append_text(piece)
            whole.rstrip()
            self.whole(whole)

    def table(self, head: Sequence[str], body: Sequence[Sequence[str]]) -> None:
        """Columns as wide as their cells: names to the left, cut where there is no room, numbers to the right."""
        rows = [[self.text(word, "dim") for word in head], *([self.text(cell) for cell in row] for row in body)]
        sizes = [max(row[i].cell_len for row in rows) for i in range(len(head))]
        wide = sum(sizes) + GAP * (len(sizes) - 1) + INDENT - self.width
        sizes[0] -= max(0, min(wide, sizes[0] - 12))
        for row in rows:
            for cell, size in zip(row[1:], sizes[1:], strict=True):
                cell.align("right", size)
            self.row(list(zip(row, sizes, strict=True)), INDENT)

    def whole(self, text: Text) -> None:
        """A line as it is, so that a command in it can be copied."""
        self.console.print(text, soft_wrap=True)

    def mark(self, verdict: Verdict | Status, *, word: bool = True) -> Text:
        """The symbol of a verdict or status, and its word."""
        symbol, plain, style = _MARKS[verdict]
        return Text(f"{symbol if self.unicode else plain}{f' {verdict}' if word else ''}", style)


def style_of(verdict: Verdict | Status) -> str:
    """The colour of a verdict or status."""
    return _MARKS[verdict][2]


def symbol_of(verdict: Verdict | Status) -> str:
    """The symbol of a verdict or status."""
    return _MARKS[verdict][0]


def packed(pieces: Iterable[str], separator: str, width: int) -> list[str]:
    """The pieces joined into lines; a line breaks between pieces only."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1] + separator + piece) <= width:
            lines[-1] += separator + piece
        else:
            lines.append(piece)
    return lines
