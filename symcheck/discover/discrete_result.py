"""What was discovered besides generators: finite groups, output actions, symmetries of data, the profile. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symcheck.grammar import parse_claim


@dataclass(frozen=True)
class Tried:
    """One candidate element or group, what the output does under it, and what the audit said.

    `error` is relative to the output's spread; `verdict` is empty where it failed by so much that no audit was made.
    """

    what: str
    origin: str
    input: str
    output: str
    action: str
    error: float | None
    verdict: str


@dataclass(frozen=True)
class FiniteGroup:
    """A verified group: `group` as claims write it, its name as an abstract group, and the audit of all of it.

    `claim` is empty where the language has no words for it (arguments that are exchanged).
    """

    input: str
    output: str
    group: str
    name: str
    order: int
    generators: tuple[str, ...]
    action: str
    claim: str
    verdict: str
    error: float | None
    high: float | None
    floor: float | None
    tolerance: float
    elements: int


@dataclass(frozen=True)
class Discrete:
    """The finite groups of a network; `tried` has every candidate, also those that failed."""

    groups: tuple[FiniteGroup, ...]
    tried: tuple[Tried, ...]
    notes: tuple[str, ...] = ()

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that the audit found exact or approximate, those of one group on several outputs as one."""
        joined: dict[tuple[str, str], dict[str, str]] = {}
        for tree in (parse_claim(g.claim) for g in self.groups if g.claim):
            outputs = {str(slot.name): str(slot).partition("=")[2] for slot in tree.outputs}
            known = joined.setdefault((str(tree.group), ", ".join(map(str, tree.inputs))), outputs)
            known |= {name: action for name, action in outputs.items() if known[name] == "ignore"}
        told = [(left, ", ".join(f"{n}={a}" for n, a in outputs.items())) for left, outputs in joined.items()]
        return tuple(f"{group}: {inputs} -> {outputs}" for (group, inputs), outputs in told)


@dataclass(frozen=True)
class Candidate:
    """One output action: its held-out residual ‖f(gx) − ρ(g) f(x)‖ relative to the output's spread."""

    action: str
    residual: float
    parameters: int  # numbers that were fitted: 0 for a stated action, r² for each element else


@dataclass(frozen=True)
class Multiplicity:
    """How often one irrep occurs: the number that was measured, and the integer nearest to it."""

    irrep: str
    dimension: int
    value: float
    count: int


@dataclass(frozen=True)
class OutputAction:
    """What one output does under a known input group, with the candidates by residual, best first.

    `verdict`: `action` (a linear representation), `approximate`, `no action`, `trivial` (a constant), or
    `inconclusive`. `rank` is the dimension of the space that the outputs span, on which everything is fitted; `margin`
    is the residual of the second best stated action over that of the best. `homomorphism` is the largest
    ‖M_gh − M_g M_h‖/‖M_gh‖, `orthogonality` the largest ‖MᵀM − 1‖/√r where the outputs have unit covariance, `shuffled`
    the residual that the fit has when pairs are exchanged, `integrality` the largest distance of a multiplicity from an
    integer.
    """

    group: str
    inputs: str
    output: str
    verdict: str
    samples: int
    elements: int
    best: str = ""
    margin: float | None = None
    candidates: tuple[Candidate, ...] = ()
    rank: int = 0
    residual: float | None = None
    homomorphism: float | None = None
    orthogonality: float | None = None
    shuffled: float | None = None
    irreps: str = ""
    multiplicities: tuple[Multiplicity, ...] = ()
    integrality: float | None = None
    claim: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Representations:
    """The output actions of a network, one for each group and output."""

    outputs: tuple[OutputAction, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TwoSample:
    """Whether x and g·x have one distribution.

    `p` is exact for uniform g of a compact group, else twice the median over several splits; in a profile it is that of
    all candidates together (Holm). `control` is the same for data with a planted preference of one side, and says
    whether so many samples could show one. `verdict`: `differ`, `alike` (no difference is seen at this level, and the
    control is), or `inconclusive`.
    """

    what: str
    verdict: str
    p: float
    control: float
    level: float
    splits: int
    samples: int


@dataclass(frozen=True)
class DataGenerator:
    """One generator L whose exp(wL) leaves the data as it was, with E‖Lx‖² = E‖x‖²; rows of numbers."""

    matrix: tuple[tuple[float, ...], ...]
    name: str
    test: TwoSample


@dataclass(frozen=True)
class DataSymmetry:
    """One-parameter symmetries of a data set, found adversarially and then tested on samples that were not used."""

    generators: tuple[DataGenerator, ...]
    seeds: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extent:
    """How far along one one-parameter subgroup the error stays within the tolerance: quantiles of |t| over samples.

    `reach` is the largest |t| that was tried; a quantile that equals it is a lower bound.
    """

    flow: str
    output: str
    reach: float
    quantiles: Mapping[str, float]


@dataclass(frozen=True)
class ProfileRow:
    """One candidate symmetry: what the data, the labels, the network and its layers say of it."""

    claim: str
    origin: str
    model: str  # verdict of the audit
    error: float | None
    data: TwoSample | None
    labels: float | None  # share of samples whose label agrees with that of the nearest sample to g·x
    labels_at_rest: float | None  # the same for x itself: what neighbours agree on anyway
    layers: Mapping[str, float]
    extents: tuple[Extent, ...]
    finding: str


@dataclass(frozen=True)
class Profile:
    """The symmetry profile: one row a candidate; disagreements of data and network are named in `finding`."""

    rows: tuple[ProfileRow, ...]
    notes: tuple[str, ...] = ()
