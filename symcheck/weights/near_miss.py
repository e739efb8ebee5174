"""Near misses: changes like those of a space that ought to change the function, so that passing means something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor

from symcheck.errors import SymcheckError
from symcheck.groups.draws import Draws
from symcheck.patterns import Axis, Fixed, Interleave, Leaf, Product, Sum
from symcheck.weights.act import Actor
from symcheck.weights.moves import alone, drawn
from symcheck.weights.sizes import leaves
from symcheck.weights.spec import Spec
from symcheck.weights.terms import names_of, parse_equation

_SINGLE, _SIBLINGS = 4, 3
_STRONG = 5.0  # logarithms of scales and matrices: a miss should be seen where the function depends little on it
_LARGE = 2**22  # entries of a tensor that is tried only after smaller ones


def near_misses(
    spec: Spec, name: str, state: Mapping[str, Tensor], sizes: Mapping[str, int], seed: int
) -> Iterator[dict[str, Tensor]]:
    """Changed tensors, one try after another, made when asked for.

    The element where its atom first stands in one tensor only, large tensors first but the largest last; where a space
    acts on one place alone, its change with random signs, and noise on tensors that share an atom with it.
    """
    element = drawn(spec, [name], seed, scale=_STRONG)
    actor = Actor(spec, element, sizes, lambda tensor: state[tensor])
    touched = [tensor for tensor in spec.axes if actor.changes(tensor)]
    ranked = sorted(touched, key=lambda tensor: (state[tensor].numel() > _LARGE, -state[tensor].numel()))
    for tensor in ranked[:_SINGLE]:
        first = _first_only(spec, name, tensor)
        if first is not None:
            yield {tensor: Actor(first, element, sizes, lambda tensor: state[tensor]).result(tensor)}
        elif len(ranked) > 1:
            yield {tensor: actor.result(tensor)}
    for tensor in ranked if len(ranked) == 1 else ():
        delta = actor.result(tensor) - state[tensor]
        signs = Draws(seed, f"signs:{tensor}").integers(1, *delta.shape, high=2)[0] * 2 - 1
        yield {tensor: state[tensor] + delta * signs.to(delta)}
    for sibling in _siblings(spec, name, ranked)[:_SIBLINGS] if len(ranked) == 1 else ():
        noise = Draws(seed, f"noise:{sibling}").normal(1, *state[sibling].shape)[0]
        size = state[sibling].double().square().mean().sqrt()
        yield {sibling: state[sibling] + (size * noise).to(state[sibling])}


def _first_only(spec: Spec, name: str, tensor: str) -> Spec | None:
    """The space acting where its atom first stands in the tensor; None where it stands there once or not at all."""
    space = spec.spaces[name]
    found = spec.places.get(space.on or "", {}).get(tensor, ())
    powers = (space.exponents or {}).get(tensor, (1,) * len(found))
    acting = [j for j, power in enumerate(powers) if power]
    if len(found) < 2 or len(acting) < 2 or space.kind == "tree":
        return None
    single = alone(spec, name)
    try:
        if space.exponents is not None:
            kept = tuple(power if j == acting[0] else power * 0 for j, power in enumerate(space.exponents[tensor]))
            return replace(
                single, spaces={name: replace(space, exponents={**space.exponents, tensor: kept}, terms=())}
            )
        seen: list[int] = []
        axes = tuple(_keep_first(axis, space.on or "", space.size, seen) for axis in single.axes[tensor])
        gains = {t: each for t, each in space.gains.items() if t != tensor}
        return replace(
            single, axes={**single.axes, tensor: axes}, shapes={}, spaces={name: replace(space, gains=gains)}
        )
    except SymcheckError:
        return None


def _keep_first(axis: Axis, atom: str, size: int, seen: list[int]) -> Axis:
    """The axis with the atom at its first place only; what was an atom elsewhere is a fixed size."""
    if isinstance(axis, Leaf) and axis.name == atom:
        seen.append(1)
        return axis if len(seen) == 1 else Fixed(size)
    if isinstance(axis, Product):
        return Product(tuple(_keep_first(factor, atom, size, seen) for factor in axis.factors))
    if isinstance(axis, Sum | Interleave):
        return type(axis)(tuple(_keep_first(term, atom, size, seen) for term in axis.terms))
    return axis


def _siblings(spec: Spec, name: str, touched: list[str]) -> list[str]:
    """Other tensors with an atom of the space, those with most atoms in common first."""
    space = spec.spaces[name]
    atoms = {*filter(None, (space.on,)), *space.over}
    for term in space.terms:
        atoms |= {atom for axis in parse_equation(term.equation).inputs[0] for atom in names_of(axis)}
    atoms |= {leaf.name for tensor in touched for axis in spec.axes[tensor] for leaf, _ in leaves(axis)}
    common = {
        tensor: len(atoms & {leaf.name for axis in axes for leaf, _ in leaves(axis)})
        for tensor, axes in spec.axes.items()
        if tensor not in touched
    }
    return sorted((tensor for tensor in common if common[tensor]), key=lambda tensor: -common[tensor])
