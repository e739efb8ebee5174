"""Symmetries guessed from the shape of the graph, and kept only where the network, when run, says so.

Subtrees of soft trees: an axis of 2^D − 1 splits behind functions with f(−z) = c − f(z), and one of 2^D leaves.
Whole experts: an axis that is read index by index, and as many modules with tensors of the same shapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch

from symcheck.errors import SymcheckError
from symcheck.groups.draws import Draws
from symcheck.patterns import Fixed, Leaf
from symcheck.weights.act import check_fit
from symcheck.weights.axes import Axis
from symcheck.weights.moves import drawn, moved
from symcheck.weights.near_miss import near_misses
from symcheck.weights.relations import Monomial
from symcheck.weights.sizes import leaves
from symcheck.weights.spec import Space, Spec
from symcheck.weights.trace import Traced
from symcheck.weights.twin import Twin
from symcheck.weights.verify import EXACT, POWER

DRAWS = 3
SHAKEN = 0.3  # relative change of every parameter, so that nothing holds by chance
Spots = Mapping[str, int]  # tensor -> one of its axes


@dataclass(frozen=True)
class Proposal:
    """A space, and the axes that get the atoms that it needs."""

    space: Space
    atoms: Mapping[str, Spots]

    def joined(self, spec: Spec) -> Spec | None:
        """The spec with the space; None where something acts on one of the axes already."""
        axes = dict(spec.axes)
        for atom, spots in self.atoms.items():
            for tensor, axis in spots.items():
                if not isinstance(axes[tensor][axis], Fixed):
                    return None
                axes[tensor] = (*axes[tensor][:axis], Leaf(atom), *axes[tensor][axis + 1 :])
        try:
            return replace(spec, axes=axes, spaces={**spec.spaces, self.space.name: self.space})
        except SymcheckError:
            return None


def extended(spec: Spec, traced: Traced, model: Any, example: Any) -> Spec:
    """The spec with every guess that holds when the model is run on its example."""
    proposals = [p for p in (*trees(spec, traced), *experts(spec, traced)) if p.joined(spec)]
    if not proposals:
        return spec
    try:
        twin = _shaken(model, example)
    except SymcheckError:
        return spec
    for proposal in proposals:
        made = proposal.joined(spec)
        if made is not None and holds(made, proposal.space.name, twin):
            spec = made
    return spec


def _shaken(model: Any, example: Any) -> Twin:
    """A private copy of the model with every parameter changed a little; experts that are copies differ then."""
    twin = Twin.of(model, example)
    with torch.no_grad():
        for name, parameter in twin.module.named_parameters():
            if parameter.is_floating_point():
                noise = Draws(0, f"shaken:{name}").uniform(1, *parameter.shape, low=-SHAKEN, high=SHAKEN)[0]
                parameter.mul_(1 + noise.to(parameter))
    twin.base = twin.run({})
    return twin


def holds(spec: Spec, name: str, twin: Twin) -> bool:
    """Whether random elements of a space leave the function alone, and near misses do not."""
    sizes = check_fit(spec, {key: tuple(t.shape) for key, t in twin.state.items()}, "the state dict of the model")
    if not twin.finite or twin.floor > EXACT or twin.repeat > EXACT:
        return False
    for seed in range(DRAWS):
        error = twin.distance(moved(spec, drawn(spec, [name], seed), twin.state, sizes))
        if not error <= EXACT:
            return False
    return any(twin.distance(changed) > POWER for changed in near_misses(spec, name, twin.state, sizes, seed=0))


def trees(spec: Spec, traced: Traced) -> Iterator[Proposal]:
    """Flips of the nodes of full binary trees in heap order, the left and the right subtree changing places."""
    spots = _spots(traced)
    split = dict.fromkeys(
        axis.root()
        for relation in traced.network.relations
        if isinstance(relation, Monomial) and relation.centre
        for axis in relation.out.axes
        if axis.size > 1 and not axis.size & (axis.size + 1)
    )
    for nodes in split:
        for ends in spots if nodes in spots else ():
            if ends.size == nodes.size + 1:
                yield from _flips(spec, spots[nodes], spots[ends], nodes.size)


def _flips(spec: Spec, nodes: list[tuple[str, int]], ends: list[tuple[str, int]], size: int) -> Iterator[Proposal]:
    """The proposal for these axes, one tree for every index of what all tensors have in common; then a single tree."""
    on, off = dict(nodes), dict(ends)
    if len(on) < len(nodes) or len(off) < len(ends) or on.keys() & off.keys():
        return
    name, leaf = _unused(spec, f"{next(iter(on))}_nodes"), _unused(spec, f"{next(iter(on))}_leaves")
    held = [{part.name for axis in spec.axes[t] for part, _ in leaves(axis)} for t in (*on, *off)]
    common = set.intersection(*held)
    for over in (tuple(sorted(common)), ()) if common else ((),):
        space = Space(name, "tree", size, over=over, exponents=dict.fromkeys(on, (Fraction(1),)), leaves=leaf)
        yield Proposal(space, {name: on, leaf: off})


def experts(spec: Spec, traced: Traced) -> Iterator[Proposal]:
    """Permutations of modules alike, with an axis of which each reads one index: the router's rows and the experts."""
    rows = _stacks(spec)
    for axis, spots in _spots(traced).items():
        size, on = axis.size, dict(spots)
        apart = axis.kind == "sum" and all(part.size == 1 for part in axis.parts)
        near = [prefix for prefix, count in rows if count == size and all(_beside(prefix, tensor) for tensor in on)]
        for prefix in near if apart and len(on) == len(spots) else ():
            name = _unused(spec, f"{prefix}experts")
            yield Proposal(Space(name, "permutation", size, stacks=tuple(rows[prefix, size])), {name: on})


def _stacks(spec: Spec) -> dict[tuple[str, int], list[str]]:
    """Tensors of one shape whose names differ in one number, from 0 on: by what stands before it, and how many."""
    shapes: dict[str, dict[int, tuple[int, ...]]] = {}
    for name, shape in spec.shapes.items():
        for found in re.finditer(r"(?<![^.])(\d+)(?![^.])", name):
            shapes.setdefault(f"{name[: found.start()]}*{name[found.end() :]}", {})[int(found[1])] = shape
    rows: dict[tuple[str, int], list[str]] = {}
    for stack, members in shapes.items():
        if len(members) > 1 and members.keys() == set(range(len(members))) and len({*members.values()}) == 1:
            rows.setdefault((stack.partition("*")[0], len(members)), []).append(stack)
    return rows


def _beside(prefix: str, tensor: str) -> bool:
    """Whether a tensor is in the module that holds the modules with this prefix, and in none of them."""
    parent = prefix.rstrip(".").rpartition(".")[0]
    return tensor.startswith(f"{parent}." if parent else "") and not tensor.startswith(prefix)


def _spots(traced: Traced) -> dict[Axis, list[tuple[str, int]]]:
    """Where parameters have an axis: tensor and number."""
    found: dict[Axis, list[tuple[str, int]]] = {}
    for name, value in traced.parameters.items():
        for i, axis in enumerate(value.axes):
            if axis.size > 1:
                found.setdefault(axis.root(), []).append((name, i))
    return found


def _unused(spec: Spec, name: str) -> str:
    """A name that neither a space nor an atom has."""
    name = re.sub(r"\W", "_", name)
    taken = {*spec.spaces, *spec.sizes, *spec.places}
    return next(made for i in range(len(taken) + 1) if (made := f"{name}_{i}" if i else name) not in taken)
