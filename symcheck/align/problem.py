"""Two checkpoints on one spec, cut into blocks, and the element that is being looked for.

A permutation is kept as its sources: slot i of A is met by unit `source[i]` of B, in B's own numbering, so that
finding the units of one space never moves the tensors of another. Turns and signs act on the working copy of B, in
the numbering of B: first they, then the permutations, as an element acts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from symcheck.align.blocks import Block, blocks_of
from symcheck.weights.act import exponent_of
from symcheck.weights.checks import acted_tensors
from symcheck.weights.element import element_shape
from symcheck.weights.moves import identity, moved
from symcheck.weights.spec import Space, Spec

Sources = dict[str, Tensor]
_AT_ONCE = 2**22  # entries that are multiplied at once


@dataclass(frozen=True)
class Use:
    """One dimension of one block along which a space acts."""

    block: Block
    dim: int


@dataclass
class Problem:
    """A and the working copy of B, by canonical names. `source` holds (*over, n) for every permutation space.

    Where tensors are read when they are needed, `shapes` holds their shapes, and B is given as the element left it.
    `voting` names the tensors whose entries are compared; `matched` the permutation spaces that are looked for,
    `turning` the spaces of matrices, rotations and signs that are found between them.
    """

    spec: Spec
    a: Mapping[str, Tensor]
    b: Mapping[str, Tensor]
    sizes: Mapping[str, int]
    voting: frozenset[str]
    matched: tuple[str, ...]
    turning: tuple[str, ...] = ()
    source: Sources = field(default_factory=dict)
    element: dict[str, Tensor] = field(default_factory=dict)  # turns and signs that B has undergone
    version: dict[str, int] = field(default_factory=dict)  # by tensor, how often B was turned
    soft: dict[str, Tensor] = field(default_factory=dict)  # doubly stochastic (n, n) in the place of sources
    best: set[str] = field(default_factory=set)  # spaces that are at their best for neighbours as they stand
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.matched:
            space = self.spec.spaces[name]
            rest = torch.arange(space.size, device=self.device)
            self.source.setdefault(name, rest.expand(element_shape(space, self.sizes)).clone())

    @cached_property
    def device(self) -> torch.device:
        """Where the tensors are; those that are read when they are needed are on the CPU."""
        return torch.device("cpu") if self.shapes else next((t.device for t in self.a.values()), torch.device("cpu"))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of all voting tensors along which something is matched or turned, and the others."""
        names = [name for name in self.spec.axes if name in self.voting]
        shapes = self.shapes or {n: tuple(self.a[n].shape) for n in names}
        return tuple(b for n in names for b in blocks_of(self.spec, n, shapes[n], self.sizes))

    @cached_property
    def by_atom(self) -> Mapping[str, Space]:
        """The permutation space that is looked for along an atom."""
        return {space.on: space for name in self.matched if (space := self.spec.spaces[name]).on is not None}

    @cached_property
    def _uses(self) -> Mapping[str, tuple[Use, ...]]:
        found: dict[str, list[Use]] = {}
        for block in self.blocks:
            for dim, atom in enumerate(block.atoms):
                if atom:
                    found.setdefault(atom, []).append(Use(block, dim))
        return {atom: tuple(uses) for atom, uses in found.items()}

    def uses(self, space: Space) -> tuple[Use, ...]:
        """Where the atom of a space stands, with all atoms that the space is over."""
        found = self._uses.get(space.on or "", ())
        return tuple(use for use in found if set(space.over) <= set(use.block.atoms))

    @cached_property
    def neighbours(self) -> Mapping[str, frozenset[str]]:
        """The spaces that share a block with each, itself too where it stands in a block twice."""
        found: dict[str, set[str]] = {name: set() for name in (*self.matched, *self.turning)}
        acting: dict[str, list[str]] = {}  # by atom
        for name in found:
            acting.setdefault(self.spec.spaces[name].on or "", []).append(name)
        for block in self.blocks:
            here = [(i, name) for i, atom in enumerate(block.atoms) for name in acting.get(atom, ()) if atom]
            here += [(-1, name) for name in acting.get("", ()) if block.tensor in self.acted[name]]
            for i, name in here:
                found[name] |= {other for j, other in here if j != i}
        return {name: frozenset(names) for name, names in found.items()}

    @cached_property
    def acted(self) -> Mapping[str, frozenset[str]]:
        """The tensors on which each space acts."""
        return {name: frozenset(acted_tensors(self.spec, space)) for name, space in self.spec.spaces.items()}

    def inner(self, space: Space) -> tuple[tuple[Space, ...], tuple[Space, ...]]:
        """The permutations, and the turns, that have one copy for every slot of this space."""
        found = [[self.spec.spaces[name] for name in names] for names in (self.matched, self.turning)]
        permuted, turned = (tuple(other for other in each if space.on in other.over) for each in found)
        return permuted, tuple(other for other in turned if other.kind != "sign")

    def signs(self, space: Space) -> tuple[Space, ...]:
        """The signs that are looked for of the same units."""
        found = (self.spec.spaces[name] for name in self.turning)
        return tuple(s for s in found if s.kind == "sign" and (s.on, s.over) == (space.on, space.over))

    def exponent(self, space: Space, use: Use) -> Fraction:
        """The power with which a space acts at an occurrence of its atom, 0 where it does not; odd: signs flip it."""
        name, j = use.block.tensor, use.block.marks[use.dim]
        return exponent_of(space, name, j, self.spec.places[use.block.atoms[use.dim]][name][j])

    def view_a(self, block: Block) -> Tensor:
        """The block of A."""
        return block.view(self.a[block.tensor])

    def view_b(self, block: Block, sources: Mapping[str, Tensor] | None = None, but: Iterable[int] = ()) -> Tensor:
        """The block of B with every dimension except `but` in the order of A's slots, for these sources."""
        sources = self.source if sources is None else sources
        view = block.view(self.b[block.tensor])
        for dim, space in self._outer_first(block):
            if dim in but:
                continue
            source = sources[space.name]
            if space.name in self.soft:
                view = torch.tensordot(self.soft[space.name].to(view), view.movedim(dim, 0), 1).movedim(0, dim)
                continue
            if not space.over:
                view = view.index_select(dim, source)
                continue
            lead = [block.atoms.index(atom) for atom in space.over]
            shape = [1] * view.dim()
            for d in (*lead, dim):
                shape[d] = view.shape[d]
            order = sorted(range(len(lead) + 1), key=lambda k: (*lead, dim)[k])
            view = view.gather(dim, source.permute(order).reshape(shape).expand(view.shape))
        return view

    def _outer_first(self, block: Block) -> list[tuple[int, Space]]:
        found = [(dim, self.by_atom[atom]) for dim, atom in enumerate(block.atoms) if atom in self.by_atom]
        return sorted(found, key=lambda item: len(item[1].over))

    def objective(self, blocks: Iterable[Block] | None = None) -> float:
        """⟨A, g·B⟩ over the blocks, all of them by default, in float64."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for block in self.blocks if blocks is None else blocks:
            total += dot(self.view_a(block), self.view_b(block))
        return float(total)

    def squares(self) -> tuple[float, float]:
        """‖A‖² and ‖B‖² over the voting tensors."""
        sums = [sum((float(dot(side[n], side[n])) for n in sorted(self.voting)), 0.0) for side in (self.a, self.b)]
        return sums[0], sums[1]

    def to_units(self, space: Space, part: Tensor) -> Tensor:
        """A part of an element by A's slots of the atoms that the space is over, brought into B's numbering."""
        for dim, atom in enumerate(space.over):
            outer = self.by_atom.get(atom)
            if outer is not None and not outer.over:
                part = part.index_select(dim, self.source[outer.name].argsort())
        return part

    def turn(self, space: Space, part: Tensor) -> None:
        """Let a turn or a sign act on the working copy of B, in B's numbering."""
        if not self.shapes:
            self.b = {**self.b, **moved(self.spec, {space.name: part}, self.b, self.sizes)}
        self._turned([space.name])
        before = self.element.get(space.name, identity(space, part))
        if space.kind in ("orthogonal", "general"):
            self.element[space.name] = part @ before
        elif space.kind in ("sign", "scale"):
            self.element[space.name] = part * before
        else:
            self.element[space.name] = part + before

    def restore(self, b: Mapping[str, Tensor], element: Mapping[str, Tensor]) -> None:
        """Take back turns: B's working copy and the element as they were."""
        self.b = b
        self._turned([name for name, part in self.element.items() if element.get(name) is not part])
        self.element.clear()
        self.element.update(element)

    def _turned(self, spaces: Iterable[str]) -> None:
        for name in {tensor for space in spaces for tensor in self.acted[space]}:
            self.version[name] = self.version.get(name, 0) + 1

    def found(self) -> dict[str, Tensor]:
        """The element so far, in the spec's order: turns, signs, and permutations that send source[i] to slot i."""
        parts = {name: part.clone() for name, part in self.element.items()}
        parts |= {name: self.targets(name).cpu() for name in self.matched}
        return {name: parts[name] for name in self.spec.spaces if name in parts}

    def targets(self, name: str) -> Tensor:
        """The permutation of a space as an element: (*over, n) in the numbering of B."""
        return self.to_units(self.spec.spaces[name], self.source[name].argsort(-1))


def rows(space: Space, use: Use, view: Tensor) -> Tensor:
    """A block as rows along a space, (*over, n, rest)."""
    lead = [use.block.atoms.index(atom) for atom in space.over]
    moved = view.movedim((*lead, use.dim), tuple(range(len(lead) + 1)))
    return moved.reshape(*moved.shape[: len(lead) + 1], -1)


def cosine_of(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Σ ⟨x, y⟩ / √(Σ ‖x‖² Σ ‖y‖²), 0 where there is nothing."""
    sums = [[float(dot(x, y)), float(dot(x, x)), float(dot(y, y))] for x, y in pairs]
    both, one, two = (sum(column) for column in zip(*sums, strict=True)) if sums else (0.0, 0.0, 0.0)
    return both / math.sqrt(one * two) if one * two > 0 else 0.0


def dot(x: Tensor, y: Tensor) -> Tensor:
    """⟨x, y⟩ in float64, without a copy of either in float64, and a part at a time."""
    if x.numel() > _AT_ONCE and len(x) > 1:
        rows = max(1, len(x) * _AT_ONCE // x.numel())
        parts = zip(torch.split(x, rows), torch.split(y, rows), strict=True)
        return torch.stack([dot(*part) for part in parts]).sum()
    return (x * y).sum().double()
