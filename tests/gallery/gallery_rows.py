"""A row of the gallery's table for every finding: written into the page, and read back from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from symcheck.grammar import parse_claim
from symcheck.report import numbers
from symcheck.report.model import Finding, Report

HEADINGS = ("network", "claim", "who says so", "output", "verdict", "error / spread", "floor", "largest", "took")
STILL = ("scalar", "invariant", "ignore", "owner")
# tried in this order where a claim does not hold: the first that holds is the answer
SMALLER = {
    "E(3)": ("SE(3)",),
    "O(3)": ("SO(3)", "Ih", "Oh", "I", "O", "T", "D4", "C4", "C2"),
    "SE(3)": ("SO(3)", "T(3)"),
    "SO(3)": ("I", "O", "T", "C4", "C2"),
    "D4": ("C4", "D2", "C2", "D1"),
}


@dataclass(frozen=True)
class Row:
    """What one line of the table says; `low` and `high` are the interval as it is printed, None for exact ones."""

    network: str
    claim: str
    says: str
    output: str
    verdict: str
    error: str
    floor: str
    largest: str
    took: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.network, self.claim, self.output

    @property
    def interval(self) -> tuple[float, float] | None:
        """The printed ends, as fractions, rounded outwards by half a printed digit."""
        found = re.search(r"( %)? \[(.*), (.*)\]", self.error)
        if found is None:
            return None
        unit = 0.01 if found[1] else 1.0
        digit = 0.5 * 10.0 ** -len(found[2].partition(".")[2]) if found[1] else 0.05 * float(found[3])
        return unit * (float(found[2]) - digit), unit * (float(found[3]) + digit)


def claim_of(finding: Finding) -> str:
    """The group and the inputs that it moves."""
    tree = parse_claim(finding.claim)
    moved = [str(slot) for slot in tree.inputs if slot.terms[0].name not in STILL]
    return f"{tree.group}: {', '.join(moved)}" if moved else str(tree.group)


def output_of(finding: Finding) -> str:
    """The output with its action, and the part of the group."""
    slots = [str(slot) for slot in parse_claim(finding.claim).outputs if slot.name == finding.output]
    return ", ".join(filter(None, (slots[0] if slots else finding.output, finding.part)))


def rows_of(
    name: str, report: Report, says: Mapping[str, str], took: str = "", ladder: Report | None = None
) -> list[Row]:
    """The rows of one subject, in the order of its findings."""
    found, largest = [], largest_of(report, ladder)
    for finding in report.findings:
        group = "itself" if finding.verdict.holds else largest[finding.claim, finding.output]
        cells = (
            name, claim_of(finding), says[finding.claim], output_of(finding), str(finding.verdict),
            numbers.error(finding), numbers.floor(finding),
            group, f"{took} s" if took else "–",
        )  # fmt: skip
        found.append(Row(*cells))
    return found


def table(headings: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(headings)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *map(list, lines))) + "\n"


def cells_of(row: Row) -> list[str]:
    """The row as it is written: the network points to its section, claims and outputs are code."""
    verdict = f"**{row.verdict}**" if row.verdict == "broken" else row.verdict
    link = f"[{row.network}](#{row.network})"
    return [link, f"`{row.claim}`", row.says, f"`{row.output}`", verdict, row.error, row.floor, row.largest, row.took]


def read_rows(page: Path) -> list[Row]:
    """The rows of the first table of a page."""
    found = []
    for line in page.read_text().partition("## Symmetries")[0].splitlines():
        if line.startswith("| ["):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            cells[0] = cells[0].strip("| ").partition("]")[0].removeprefix("[")
            found.append(Row(*(cell.strip("`*| ") for cell in cells)))
    return found


def smaller(claim: str, report: Report) -> list[str]:
    """The claims of subgroups that are worth a try, largest first, where a claim does not hold; else nothing."""
    if all(f.verdict.holds for f in report.findings if f.claim == claim):
        return []
    group, _, rest = claim.partition(": ")
    if group == "Shift":
        crop = re.search(r"crop=(\d+)", rest)
        reach = int(crop[1]) if crop else 8
        return [f"Shift({2**k}): {rest}" for k in range(1, 6) if 2**k <= reach]
    found = []
    for name in SMALLER.get(group, ()):
        known = [f.verdict.holds for f in report.findings if f.claim == f"{name}: {rest}"]
        if known and all(known):
            break
        found += [f"{name}: {rest}"] if not known else []
    return found


def largest_of(report: Report, ladder: Report | None) -> dict[tuple[str, str], str]:
    """By claim and output, where it does not hold: the largest of the smaller groups under which it does."""
    found: dict[tuple[str, str], str] = {}
    tried = (*report.findings, *(ladder.findings if ladder else ()))
    for finding in report.findings:
        if all(f.verdict.holds for f in tried if (f.claim, f.output) == (finding.claim, finding.output)):
            continue
        group, _, rest = finding.claim.partition(": ")
        names = SMALLER.get(group) or [f"Shift({2**k})" for k in range(1, 6)]
        asked = {n: [f for f in tried if (f.claim, f.output) == (f"{n}: {rest}", finding.output)] for n in names}
        held = [n for n, parts in asked.items() if parts and all(f.verdict.holds for f in parts)]
        known = [n for n, parts in asked.items() if parts]
        words = f"none of {', '.join(known)}" if known else "–"
        found[finding.claim, finding.output] = held[0] if held else words
    return found


def errors_of(ladder: Report, claim: str, output: str) -> list[tuple[str, str]]:
    """The smaller groups of a claim that were tried, each with its largest mean error over the parts."""
    rest, found = claim.partition(": ")[2], {}
    for f in ladder.findings:
        group, _, own = f.claim.partition(": ")
        if own == rest and f.output == output and f.error is not None:
            found[group] = max(found.get(group, 0.0), f.error.spread.mean)
    return [(group, numbers.ratio(value)) for group, value in found.items()]
