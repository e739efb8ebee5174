"""The weight symmetry spec: which axes of which tensors move together, and under which groups. No torch.

A spec is data. Its spaces are groups, each acting along one atom of the axis patterns; every space alone leaves
the function of the network unchanged at any weights. `f(g·θ, x) = f(θ, x)`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symcheck.errors import ConfigError
from symcheck.patterns import Axis
from symcheck.weights.sizes import Occurrence, occurrences, stated_sizes
from symcheck.weights.space_rules import problems

if TYPE_CHECKING:
    from torch import Tensor

    from symcheck.weights.coverage import Coverage

# In the order in which an element acts.
KINDS = ("shift", "tree", "orthogonal", "general", "rotation", "scale", "sign", "permutation")
MATRICES = ("orthogonal", "general", "rotation")


@dataclass(frozen=True)
class Term:
    """An additive change `to += factor · einsum(equation)` of a shift, or of a sign (with δ = (1 − s)/2).

    `to` and `operands` refer to tensors: `name`, `name[0:8, :]`, `name^-1`, `name[:, 3]^2` (slice, then power).
    `equation` lists axis patterns, of the element first and then of the operands: `kv d, o (kv g d) -> o`.
    A name that stands only in the output broadcasts.
    """

    to: str
    equation: str
    operands: tuple[str, ...] = ()
    factor: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "operands", tuple(self.operands))
        object.__setattr__(self, "factor", float(self.factor))


@dataclass(frozen=True)
class Space:
    """One group acting along one atom: its elements, and how they act on the tensors that have the atom.

    Shapes of an element, with the sizes of the atoms `over` in front: permutation, sign, scale, tree (n,);
    orthogonal, general (n, n); rotation (), an angle in radians; shift `shape`.
    `on` is the atom, by default called like the space; None is one scalar for whole tensors (scale, sign).
    `exponents` holds a power for every occurrence of the atom in a tensor's pattern, in reading order; without it
    +1, and −1 where the pattern has a prime. With it, a tensor that is not listed is left alone.
    `gains` holds, for every occurrence, powers of 1-D tensors whose product T scales the basis: A becomes T A T^-1.
    `approximate` marks a symmetry that is exact only where the eps of a normaliser is 0.
    `stacks` names whole tensors that a permutation moves: of `experts.*.up.weight` number i goes to number p(i).
    Raises ConfigError when the fields do not fit together.
    """

    name: str
    kind: str
    size: int
    on: str | None = ""
    over: tuple[str, ...] = ()
    exponents: Mapping[str, tuple[Fraction, ...]] | None = None
    gains: Mapping[str, tuple[Mapping[str, Fraction], ...]] = field(default_factory=dict)
    fixes: str = ""
    terms: tuple[Term, ...] = ()
    shape: tuple[int, ...] = ()
    leaves: str = ""
    approximate: bool = False
    note: str = ""
    stacks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        exponents = self.exponents
        if exponents is not None:
            exponents = {tensor: tuple(map(_rational, powers)) for tensor, powers in exponents.items()}
        gains = {
            tensor: tuple({gain: _rational(power) for gain, power in one.items()} for one in each)
            for tensor, each in self.gains.items()
        }
        values: dict[str, object] = {"over": tuple(self.over), "terms": tuple(self.terms), "shape": tuple(self.shape)}
        values["stacks"] = tuple(self.stacks)
        values |= {"on": self._atom(), "exponents": exponents, "gains": gains}
        for key, value in values.items():
            object.__setattr__(self, key, value)
        for wrong, problem, hint in problems(self):
            if wrong:
                raise ConfigError(f"the space '{self.name}' {problem}", where=f"space '{self.name}'", hint=hint)

    @property
    def whole(self) -> bool:
        """Whether it is one scalar for whole tensors."""
        return self.on is None and self.kind != "shift"

    @property
    def depth(self) -> int:
        """The depth D of the trees, with 2^D − 1 nodes and 2^D leaves."""
        return (self.size + 1).bit_length() - 1

    def _atom(self) -> str | None:
        if self.kind == "shift":
            return None
        return self.name if self.on == "" else self.on


@dataclass(frozen=True)
class Pinned:
    """Tensors on which nothing could be shown to act, and why."""

    reason: str
    tensors: tuple[str, ...]
    parameters: int
    where: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", tuple(self.tensors))


@dataclass(frozen=True)
class Spec:
    """The weight symmetries of one network, by the names of its state dict.

    `ties` maps a second name of one storage to the first, by which everything is keyed. `offsets` maps a tensor to
    an eps: scales act on tensor + eps. `atoms` holds the sizes of atoms along which no space acts.
    Raises ConfigError when its parts do not fit together.
    """

    spaces: Mapping[str, Space]
    axes: Mapping[str, tuple[Axis, ...]]
    ties: Mapping[str, str] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)
    pinned: tuple[Pinned, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    certificate: Mapping[str, Any] | None = None
    atoms: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from symcheck.weights.checks import check_spec

        object.__setattr__(self, "pinned", tuple(self.pinned))
        object.__setattr__(self, "axes", {name: tuple(axes) for name, axes in self.axes.items()})
        object.__setattr__(self, "shapes", {name: tuple(shape) for name, shape in self.shapes.items()})
        if self.certificate is not None:  # as it would be read back, and no other objects
            object.__setattr__(self, "certificate", json.loads(json.dumps(self.certificate, allow_nan=False)))
        check_spec(self)

    @cached_property
    def places(self) -> Mapping[str, Mapping[str, tuple[Occurrence, ...]]]:
        """Where each atom stands, tensor by tensor."""
        found: dict[str, dict[str, tuple[Occurrence, ...]]] = {}
        for name, axes in self.axes.items():
            for atom, where in occurrences(axes).items():
                found.setdefault(atom, {})[name] = where
        return found

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The size of every atom that is stated, or follows from the shapes."""
        return stated_sizes(self)

    @cached_property
    def coverage(self) -> Coverage:
        """How much of the network the spaces act on, and how large their groups are."""
        from symcheck.weights.coverage import coverage

        return coverage(self)

    def sample(
        self,
        seed: int,
        kinds: Collection[str] | None = None,
        spaces: Collection[str] | None = None,
        *,
        approximate: bool = False,
        scale: float = 1.0,
    ) -> dict[str, Tensor]:
        """A random element: one tensor a space; see `element.sample`."""
        from symcheck.weights.element import sample

        return sample(self, seed, kinds, spaces, approximate=approximate, scale=scale)

    def apply(
        self, element: Mapping[str, Tensor], state: Mapping[str, Tensor], *, inverse: bool = False
    ) -> dict[str, Tensor]:
        """The tensors g·θ, or g^-1·θ; see `act.apply`."""
        from symcheck.weights.act import apply

        return apply(self, element, state, inverse=inverse)

    def only(
        self,
        kinds: Collection[str] | None = None,
        spaces: Collection[str] | None = None,
        *,
        approximate: bool = True,
    ) -> Spec:
        """The spec with the spaces of these kinds and names, all of them by default."""
        from symcheck.weights.checks import chosen, stated_by

        spaces = chosen(self, kinds, spaces, approximate=approximate)
        lost = {atom: size for atom, size in self.sizes.items() if atom not in stated_by(spaces.values())}
        return replace(self, spaces=spaces, atoms=lost)

    def without(self, spaces: Collection[str]) -> Spec:
        """The spec without the spaces of these names."""
        from symcheck.weights.checks import chosen

        dropped = chosen(self, spaces=spaces)
        return self.only(spaces=[name for name in self.spaces if name not in dropped])

    def save(self, path: str | Path) -> None:
        """Write the spec as .toml or .json, whole or not at all."""
        from symcheck.weights.spec_file import write_spec

        write_spec(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Spec:
        """Read a spec from .toml or .json; `Spec.load(path) == spec` after `spec.save(path)`."""
        from symcheck.weights.spec_file import read_spec

        return read_spec(Path(path))


def _rational(power: Any) -> Fraction:
    return Fraction(power).limit_denominator(10**6)
