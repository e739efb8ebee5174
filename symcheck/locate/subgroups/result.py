"""Which part of a group a network respects: plain frozen data, no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from symcheck.report.model import Verdict, finite


@dataclass(frozen=True)
class Node:
    """One subgroup that was measured: its verdict, and its error relative to the output's spread.

    `where` says how it lies in the group, `conjugates` how many of its kind there are, `order` is None when infinite;
    `parents` are the places, in its lattice, of the next larger subgroups.
    """

    name: str
    factor: str
    order: int | None
    where: str
    conjugates: int
    verdict: Verdict
    error: float | None
    floor: float | None
    worst: str
    worst_error: float | None
    elements: int
    note: str = ""
    parents: tuple[int, ...] = ()

    @property
    def placed(self) -> str:
        """The name, and how it lies in the group where that is no matter of course."""
        where = "" if self.where.startswith("standard orientation") else self.where
        return f"{self.title}{', ' if where else ''}{where}"

    @property
    def title(self) -> str:
        """The name, with what it is where the name alone is no word."""
        words = {"Ci": "Ci (inversion)", "Cs": "Cs (mirror)", "D1": "D1 (mirror)"}
        return words.get(self.name, self.name)


@dataclass(frozen=True)
class Lattice:
    """The subgroups of a claim's group for one output; the last node is the whole group.

    `holds` are the places of the largest subgroups that hold, `exact` of the largest exact ones, `breaks` of the
    smallest broken ones of a kind of which none holds, `beyond` of the smallest above the largest that do not hold.
    """

    output: str
    nodes: tuple[Node, ...]
    holds: tuple[int, ...]
    exact: tuple[int, ...]
    breaks: tuple[int, ...]
    beyond: tuple[int, ...]

    def names(self, places: Iterable[int]) -> tuple[str, ...]:
        """The names of some nodes, each once."""
        return tuple(dict.fromkeys(self.nodes[i].title for i in places))

    @property
    def sentence(self) -> str:
        """`holds: SO(3) (exact); breaks: Ci (inversion), Cs (mirror)`."""
        held = [self.nodes[i] for i in self.holds]
        first = ", ".join(dict.fromkeys(f"{one.placed} ({one.verdict})" for one in held)) or "nothing but the identity"
        further = [i for i in self.exact if i not in self.holds]
        exactly = f"; exactly: {', '.join(self.names(further))}" if further else ""
        beyond = [self.nodes[i] for i in self.beyond]
        broken = self.names(self.breaks or [i for i in self.beyond if self.nodes[i].verdict is Verdict.BROKEN])
        open_ = [f"{one.title} ({one.verdict})" for one in beyond if one.verdict is not Verdict.BROKEN]
        parts = [f"holds: {first}{exactly}", f"breaks: {', '.join(broken)}" if broken else ""]
        return "; ".join(filter(None, [*parts, f"not decided: {', '.join(open_)}" if open_ else ""]))


@dataclass(frozen=True)
class Spectrum:
    """How the variance over one factor splits by its irreducible representations: `powers` sum to the share `total`.

    `kind`: frequency (turns of a plane), degree (turns of space; parity after it), character (finite groups). Powers
    are fractions of the squared spread; `floors` what rounding alone leaves; `rest` the variance above the last one;
    `order` the n of the C_n that all frequencies above the floor leave alone, 0 for all turns.
    """

    output: str
    factor: str
    kind: str
    labels: tuple[str, ...]
    powers: tuple[float, ...]
    floors: tuple[float, ...]
    variance: float
    rest: float
    order: int | None
    reading: str
    note: str = ""


@dataclass(frozen=True)
class Along:
    """The error along one one-parameter subgroup, at its parameters `at`, or of one generator (a single point).

    `extent` is the largest parameter up to which the error stays within the tolerance, None where it always does.
    """

    output: str
    name: str
    at: tuple[float, ...]
    errors: tuple[float, ...]
    period: float | None
    extent: float | None


@dataclass(frozen=True)
class Element:
    """One element with its error, and a verdict where it was judged alone."""

    output: str
    label: str
    error: float
    verdict: Verdict | None = None


@dataclass(frozen=True)
class GroupPart:
    """What was found of one claim: lattices, spectra and curves by output, and the elements, worst first."""

    claim: str
    group: str
    lattices: tuple[Lattice, ...] = ()
    spectra: tuple[Spectrum, ...] = ()
    curves: tuple[Along, ...] = ()
    elements: tuple[Element, ...] = ()
    notes: tuple[str, ...] = ()
    forwards: int = 0

    def lattice(self, output: str) -> Lattice:
        """The lattice of one output."""
        return next(one for one in self.lattices if one.output == output)

    def to_dict(self) -> dict[str, Any]:
        """Plain data without NaN; each lattice with its `sentence`."""
        plain: dict[str, Any] = finite(asdict(self), [0])
        for lattice, one in zip(plain["lattices"], self.lattices, strict=True):
            lattice["sentence"] = one.sentence
        return plain
