"""A group: elements are tensors with a leading batch axis; four abstract methods, the rest is derived.

Conventions, pinned by law tests: left actions, (ab)x = a(bx); a permutation p sends slot i to slot p(i);
angles in radians; everything in float64 or int64 on the CPU until an action turns it into numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.draws import Draws
from symcheck.groups.matrices import determinant
from symcheck.registry import Registry


@dataclass(frozen=True)
class Extents:
    """What the data decides about a group: permutation degree, vector dimension, grid size and free reach.

    `reach` is how far a shift may go before wrapped content shows (None: shifts are circular).
    """

    degree: int | None = None
    dimension: int | None = None
    grid: tuple[int, ...] | None = None
    reach: int | None = None

    def merge(self, other: Extents, what: str) -> Extents:
        """The union of two sets of facts; a contradiction is an error."""
        facts = {}
        for key in ("degree", "dimension", "grid", "reach"):
            mine, theirs = getattr(self, key), getattr(other, key)
            if mine is not None and theirs is not None and mine != theirs:
                raise ClaimError(
                    f"the inputs disagree on the {key} that the group acts on: {mine} and {theirs}",
                    where=what,
                    hint="check which axis each action works on",
                )
            facts[key] = theirs if mine is None else mine
        return replace(self, **facts)


@dataclass(frozen=True)
class Flow:
    """A one-parameter subgroup t -> exp(tX): `at` takes t, (n,) float64, to elements (n, *E), differentiable in t.

    `period` is the smallest t > 0 with exp(tX) = e, None where there is none.
    """

    name: str
    at: Callable[[Tensor], Tensor]
    period: float | None = None


class Group(ABC):
    """A group whose elements are rows of a tensor, (n, *element).

    `name` parses back to the group, `order` is None when infinite, `law` says from which distribution
    `sample` draws, and `faces` lists the homomorphisms that actions may ask for:

    linear       (n, d, d)  matrix on vectors            translation  (n, d)     shift of points
    permutation  (n, m)     slot i goes to slot p(i)     shift        (n, d)     integer grid shift
    factor       (n,)       number that multiplies       regular      (n, |G|)   left multiplication
    unimodular   (n, d, d)  change of a lattice's basis
    """

    name: str
    order: int | None = None
    compact: bool = True
    related: bool = False  # a relation: changes without inverses
    law: str = "uniform (Haar)"
    faces: frozenset[str] = frozenset()

    @abstractmethod
    def identity(self, n: int) -> Tensor:
        """n copies of the neutral element."""

    @abstractmethod
    def sample(self, n: int, rng: Draws) -> Tensor:
        """n independent elements drawn from `law`."""

    @abstractmethod
    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """a after b: (ab)x = a(bx)."""

    @abstractmethod
    def inverse(self, a: Tensor) -> Tensor:
        """The element with compose(inverse(a), a) = identity."""

    def face(self, kind: str, g: Tensor) -> Tensor:
        """The image of the elements g under the homomorphism `kind`."""
        raise ClaimError(f"group {self.name} has no face '{kind}'", hint=f"it offers {sorted(self.faces)}")

    def bind(self, extents: Extents) -> Group:
        """This group with everything that the data decides filled in."""
        return self

    def factors(self) -> tuple[Group, ...]:
        """The direct factors; an indivisible group is its own only factor."""
        return (self,)

    def split(self, g: Tensor) -> tuple[Tensor, ...]:
        """The part of g in each direct factor."""
        return (g,)

    def elements(self) -> Tensor | None:
        """All elements, identity first, or None when they are not listed."""
        return None

    def flows(self) -> tuple[Flow, ...]:
        """One-parameter subgroups whose generators X span the Lie algebra; () where the group is discrete."""
        return ()

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """Random elements about `size` radians, or a fraction `size` of the group's reach, away from g.

        `size` is one number, or one for each row, (n,). The default, for groups without a notion of nearness,
        is a fresh sample.
        """
        return self.sample(len(g), rng)

    def proper(self, g: Tensor) -> Tensor:
        """(n,) bool: True where the element keeps orientation; groups without mirrors are all proper."""
        if "linear" not in self.faces:
            return torch.ones(len(g), dtype=torch.bool)
        return determinant(self.face("linear", g)) > 0

    @property
    def has_improper(self) -> bool:
        """Whether `sample` can return elements that reverse orientation."""
        return False

    def label(self, g: Tensor, i: int) -> str:
        """A short human-readable name of element i, for reports."""
        return str([round(v, 4) for v in g[i].double().flatten().tolist()])

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


class MatrixGroup(Group):
    """A group of d×d matrices, elements (n, d, d) float64: only `sample` is left to write."""

    dimension: int
    faces = frozenset({"linear"})

    def identity(self, n: int) -> Tensor:
        """n identity matrices."""
        return torch.eye(self.dimension, dtype=torch.float64).repeat(n, 1, 1)

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """The matrix product."""
        return a @ b

    def inverse(self, a: Tensor) -> Tensor:
        """The matrix inverse."""
        inverse: Tensor = torch.linalg.inv(a)
        return inverse

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`linear`: the matrices themselves."""
        return g if kind == "linear" else super().face(kind, g)


GroupMaker = Callable[..., Group]

groups: Registry[GroupMaker] = Registry(
    "group",
    modules=(
        "symcheck.groups.finite",
        "symcheck.groups.permutations",
        "symcheck.groups.generated",
        "symcheck.groups.shifts",
        "symcheck.groups.polyhedral",
        "symcheck.groups.lie",
        "symcheck.groups.noncompact",
        "symcheck.groups.unimodular",
        "symcheck.relations.sequences",
        "symcheck.relations.mates",
        "symcheck.relations.atoms",
        "symcheck.relations.mechanics",
        "symcheck.relations.cutoff",
        "symcheck.relations.images",
        "symcheck.relations.user",
    ),
    entry_point="symcheck.groups",
)


def per_row(size: float | Tensor, dims: int) -> Tensor:
    """One number or (n,), shaped to multiply rows of `dims` axes each: (1 or n, 1, ..., 1) float64."""
    return torch.as_tensor(size, dtype=torch.float64).reshape(-1, *[1] * dims)


def number(text: str, kind: type[int] | type[float], group: str) -> Any:
    """An integer or float argument of a group, or a clear error."""
    try:
        return kind(text)
    except ValueError:
        raise ClaimError(
            f"'{text}' is not a number that {group} accepts",
            where=f"{group}({text})",
            hint=f"write {group}({'3' if kind is int else '0.5'})",
        ) from None
