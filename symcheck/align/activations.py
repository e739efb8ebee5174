"""Correlations between the hidden units of two checkpoints, from the outputs that carry them.

    C_ij = corr(unit i of A, unit j of B)        over samples and positions

The best assignment on C is activation matching: where it joins i and j, the element p of the space with p(j) = i brings
unit j of B to slot i. Sources: Li et al. 2015, arXiv:1511.07543; Ainsworth et al. 2022, arXiv:2209.04836.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from symcheck.align.blocks import Block, blocks_of
from symcheck.align.carriers import Carriers, carriers, run, watching
from symcheck.errors import DataError
from symcheck.weights.doubled import private
from symcheck.weights.examples import Call, as_call
from symcheck.weights.sizes import fitted, occurrences
from symcheck.weights.spec import MATRICES, Space, Spec

State = Mapping[str, Tensor]
_ROUNDING = 64  # machine epsilons of a unit's size, below which its deviation is rounding


@dataclass(frozen=True)
class Correlations:
    """Correlations by permutation space.

    Shapes: matrices (copies, n, n), rows are A's units and columns B's, the mean over all outputs that carry the
    space. `samples` counts what each is taken over: samples times positions, the fewest of its outputs. A unit that
    does not vary correlates 0 with all others. `notes` say what is too little to go by.
    """

    matrices: Mapping[str, Tensor] = field(repr=False)
    samples: Mapping[str, int]
    carriers: Carriers
    notes: tuple[str, ...] = ()


def correlations(
    module: nn.Module,
    a: State,
    b: State,
    spec: Spec,
    batches: Iterable[Any],
    *,
    found: Carriers | None = None,
    device: torch.device | str | None = None,
) -> Correlations:
    """The correlations of all permutation spaces at once, in one pass over the batches, in float64.

    A batch is a tensor, a tuple of arguments or a mapping of keywords, as the module takes them. Without `found` the
    carriers are looked for on the first batch. Runs where A's tensors are unless a `device` is given. Raises DataError
    without a batch.
    """
    own = private(module)
    place = torch.device(device) if device is not None else next((t.device for t in a.values()), torch.device("cpu"))
    own.to(place)
    sides = [{name: t.detach().to(place) for name, t in state.items()} for state in (a, b)]
    sums: dict[tuple[str, str, int], Sums] = {}
    for batch in batches:
        if found is None:
            near: Call = tree_map_only(Tensor, Tensor.cpu, as_call(batch))
            found = carriers(module, {name: t.cpu() for name, t in a.items()}, spec, near)
        call: Call = tree_map_only(Tensor, lambda t: t.to(place), as_call(batch))
        _add(own, sides, call, found.spec, sums)
    if found is None:
        raise DataError("there is no batch to run the networks on", where="batches", hint="give at least one")
    return _result(sums, found, spec)


@dataclass
class Sums:
    """Sums over samples of the units of A and B less their first sample, of their squares and of their products."""

    units: list[Tensor]  # the first samples, (copies, n, 1) each
    count: int = 0
    first: list[Tensor] = field(default_factory=list)  # (copies, n) each
    second: list[Tensor] = field(default_factory=list)
    product: Tensor | None = None
    eps: float = 0.0

    def add(self, a: Tensor, b: Tensor) -> None:
        """More samples of both, (copies, n, samples)."""
        x, y = (u.double() - origin for u, origin in zip((a, b), self.units, strict=True))
        first, second = [x.sum(-1), y.sum(-1)], [x.square().sum(-1), y.square().sum(-1)]
        product = x @ y.mT
        if self.product is None:
            self.first, self.second, self.product = first, second, product
        else:
            self.first = [old + new for old, new in zip(self.first, first, strict=True)]
            self.second = [old + new for old, new in zip(self.second, second, strict=True)]
            self.product += product
        self.count += a.shape[-1]
        self.eps = torch.finfo(a.dtype).eps

    @property
    def correlation(self) -> Tensor:
        """cov / √(var var), 0 where a unit varies by no more than rounding, (copies, n, n)."""
        if self.product is None:
            raise DataError("nothing was added up", where="activations", hint="add samples first")
        means = [first / self.count for first in self.first]
        covariance = self.product / self.count - means[0][:, :, None] * means[1][:, None, :]
        deviations = []
        for mean, second, origin in zip(means, self.second, self.units, strict=True):
            deviation = (second / self.count - mean.square()).clamp_min(0).sqrt()
            size = (mean + origin[..., 0]).abs()
            deviations.append(torch.where(deviation > _ROUNDING * self.eps * size, deviation, math.inf))
        return covariance / (deviations[0][:, :, None] * deviations[1][:, None, :])


def _add(
    module: nn.Module, sides: list[dict[str, Tensor]], call: Call, spec: Spec, sums: dict[tuple[str, str, int], Sums]
) -> None:
    """One batch: A's outputs are kept until B's come."""
    kept: dict[str, Tensor] = {}

    def keep(name: str, y: Tensor) -> None:
        if name in spec.axes:
            kept[name] = y.clone()

    def add(name: str, y: Tensor) -> None:
        if name in kept and kept[name].shape == y.shape:  # others are of different samples
            _compare(spec, name, kept.pop(name), y, sums)

    with watching(module, keep):
        run(module, sides[0], call)
    with watching(module, add):
        run(module, sides[1], call)


def _compare(spec: Spec, name: str, y: Tensor, z: Tensor, sums: dict[tuple[str, str, int], Sums]) -> None:
    """Add an output of A and that of B to the sums of every space whose atom it carries."""
    sizes = fitted(Spec({}, {name: spec.axes[name]}, atoms=spec.sizes), {name: tuple(y.shape)}, f"output '{name}'")
    for number, block in enumerate(blocks_of(spec, name, tuple(y.shape), sizes)):
        for space in spec.spaces.values():
            if _usable(spec, space, block):
                one, two = (_units(space, block, x) for x in (y, z))
                key = space.name, name, number
                if key not in sums:
                    sums[key] = Sums([x[..., :1].to(torch.float64, copy=True) for x in (one, two)])
                sums[key].add(one, two)


def _usable(spec: Spec, space: Space, block: Block) -> bool:
    """Whether the block has the atom once, its copies, and no other atom whose order is not known."""
    moved = [other.on for other in spec.spaces.values() if other.on in block.atoms]
    return block.atoms.count(space.on or "") == 1 and {*moved} <= {space.on, *space.over} and all(
        block.atoms.count(atom) == 1 for atom in space.over
    )


def _units(space: Space, block: Block, y: Tensor) -> Tensor:
    """The units of a space in an output, (copies, n, samples)."""
    view = block.view(y)
    dims = [block.atoms.index(atom) for atom in (*space.over, space.on or "")]
    rest = [dim for dim in range(view.dim()) if dim not in dims]
    return view.permute(*dims, *rest).reshape(-1, space.size, math.prod(view.shape[dim] for dim in rest))


def _result(sums: Mapping[tuple[str, str, int], Sums], found: Carriers, spec: Spec) -> Correlations:
    matrices, samples, notes = dict[str, Tensor](), dict[str, int](), list[str]()
    for name, space in spec.spaces.items():
        mine = [each for key, each in sums.items() if key[0] == name]
        if not mine:
            continue
        matrices[name] = torch.stack([each.correlation for each in mine]).mean(0)
        samples[name] = min(each.count for each in mine)
        if samples[name] < space.size:
            notes.append(f"'{name}': {samples[name]} samples for {space.size} units say little")
        still = [not bool(matrices[name].any(dim).all()) for dim in (1, 2)]
        if not bool(matrices[name].any()):
            notes.append(f"'{name}': no unit varies over the data")
        elif any(still):
            dead = max(int((~matrices[name].any(dim)).sum()) for dim in (1, 2))
            notes.append(f"'{name}': {dead} of {matrices[name][..., 0].numel()} units do not vary over the data")
        notes += _apart(name, found, spec)
    without = [name for name, s in spec.spaces.items() if s.kind == "permutation" and name not in matrices]
    if without:
        notes.append(f"no output of a module carries {', '.join(without)} alone")
    return Correlations(matrices, samples, found, tuple(notes))


def _apart(name: str, found: Carriers, spec: Spec) -> list[str]:
    """Notes where what stands at one place in both networks may not be the same yet: a basis, copies of a space."""
    own = spec.spaces[name]
    beside = {atom for output in found.of(name) for atom in occurrences(found.spec.axes[output])} - {own.on}
    others = [space for space in spec.spaces.values() if space.on in beside]
    turned = ", ".join(sorted(space.name for space in others if space.kind in MATRICES))
    copies = ", ".join(sorted(s.name for s in others if s.kind == "permutation" and s.on in own.over))
    notes = [f"'{name}': bring both networks into one gauge of {turned} first"] if turned else []
    return notes + ([f"'{name}': its copies are units of {copies}: match those first"] if copies else [])
