"""What was discovered of a network: plain frozen data, to JSON. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from symcheck.discover.discrete_result import DataSymmetry, Discrete, Profile, Representations
from symcheck.report.model import finite

SCHEMA = "symcheck.discover/1"


@dataclass(frozen=True)
class Direction:
    """One direction X of the space of unknown generators; all numbers are relative to an ordinary direction's.

    `sigma` is √(E‖J_f X_in x − X_out f‖²) over the root mean square of E‖J_f X_in x‖ over all X of the same
    E‖X_in x‖²; `floor` is what precision alone leaves of it; `held_out` is the same on fresh samples.
    `kind` is `exact` (at the floor), `near` (small, with a gap above it) or `other`.
    """

    sigma: float
    floor: float
    held_out: float
    kind: str


@dataclass(frozen=True)
class Generator:
    """One generator: its name where it has one, and its matrix on each input and output, rows of numbers.

    An affine one has the shift as a further column: x -> A x + b.
    """

    name: str
    inputs: Mapping[str, tuple[tuple[float, ...], ...]]
    outputs: Mapping[str, tuple[tuple[float, ...], ...]]


@dataclass(frozen=True)
class Named:
    """An algebra to which the found one was compared in the coordinates of the data, by principal angles."""

    name: str
    dimension: int
    cosines: tuple[float, ...]  # cosines of the principal angles, largest first
    contained: bool


@dataclass(frozen=True)
class PreservedForm:
    """Bilinear forms J with AᵀJ + J A = 0 on one input: how many, and the one where there is just one of its kind."""

    input: str
    kind: str  # symmetric or antisymmetric
    dimension: int
    matrix: tuple[tuple[float, ...], ...] = ()
    signature: tuple[int, int] | None = None  # of a symmetric form: eigenvalues above and below zero


@dataclass(frozen=True)
class Algebra:
    """A Lie algebra: its name, its invariants and a basis.

    `closure` is the largest ‖[A, B] − its projection‖ / ‖[A, B]‖ over a basis, `killing` the signature of the Killing
    form (positive, negative, zero), `derived` the dimensions of the derived series; `standard` says that the name
    holds in the coordinates of the data, else it holds up to a change of basis.
    """

    name: str
    standard: bool
    dimension: int
    closure: float
    closed: bool
    killing: tuple[int, int, int]
    centre: int
    derived: tuple[int, ...]
    radical: int
    images: Mapping[str, str]  # the name of the algebra that acts on each input
    forms: tuple[PreservedForm, ...]
    nearest: tuple[Named, ...]
    basis: tuple[Generator, ...]


@dataclass(frozen=True)
class Verified:
    """What the audit says of finite elements on held-out samples: one line for each output.

    `verdict` is `exact` also where no more is left in the higher precision than generators that are known to
    `accuracy` radians leave.
    """

    what: str
    output: str
    verdict: str
    error: float | None
    high: float | None
    tolerance: float
    elements: int
    samples: int
    accuracy: float


@dataclass(frozen=True)
class Continuous:
    """The Lie algebra of a network in closed form: unknown (X_in, X_out) with J_f(x) X_in x = X_out f(x).

    `verdict` is `exact` or `approximate` (found, and the audit agrees), `nothing`, `broken` (the directions are there
    at first order, but finite elements fail), or `trivial` (no output depends on the inputs: nothing was tested).
    `interval` is the 95 % bootstrap interval of the dimension over samples; `gap` is the first σ that is not exact over
    the last that is.
    """

    verdict: str
    dimension: int
    near: int
    interval: tuple[int, int]
    gap: float | None
    unknowns: int
    equations: int
    spectrum: tuple[Direction, ...]
    algebra: Algebra | None
    nearly: str  # the name of the algebra of exact and near directions together, where there are both
    verified: tuple[Verified, ...]
    how: str
    inputs: tuple[str, ...]
    outputs: Mapping[str, str]  # how each may move: free, invariant or trivial
    forms: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Motion:
    """One direction in a family of motions of images: the share of each motion, and how much it is a symmetry."""

    shares: Mapping[str, float]
    direction: Direction


@dataclass(frozen=True)
class Motions:
    """Shift, rotation, zoom, contrast and brightness of one image input, and their combinations, at first order.

    No finite element is verified here: resampled images have no exact group action.
    """

    input: str
    how: str
    directions: tuple[Motion, ...]


@dataclass(frozen=True)
class Discovery:
    """All that was discovered; a part is None where it was not searched for."""

    subject: Mapping[str, Any]
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    continuous: Continuous | None = None
    motions: tuple[Motions, ...] = ()  # of inputs that are images
    discrete: Discrete | None = None
    representations: Representations | None = None
    data: Mapping[str, DataSymmetry] = field(default_factory=dict)  # by input
    profile: Profile | None = None
    claims: tuple[str, ...] = ()  # verified by the audit: exact or approximate
    unsaid: tuple[str, ...] = ()  # what was found and is not in the claims, or more than they say
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    forwards: int = 0
    schema: str = field(default=SCHEMA)

    def to_dict(self) -> dict[str, Any]:
        """Plain data without NaN."""
        plain: dict[str, Any] = finite(asdict(self), [0])
        return {"schema": plain.pop("schema"), **plain}

    def to_json(self) -> str:
        """The document as JSON, schema `symcheck.discover/1`."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
