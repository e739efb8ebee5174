"""Near misses: changes like those of a space that ought to change the function, so that passing means something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from symcheck.groups.draws import Draws
from symcheck.weights.moves import drawn, moved
from symcheck.weights.sizes import leaves
from symcheck.weights.spec import Spec
from symcheck.weights.terms import names_of, parse_equation

_SINGLE, _SIBLINGS = 4, 3


def near_misses(
    spec: Spec, name: str, state: Mapping[str, Tensor], sizes: Mapping[str, int], seed: int
) -> Iterator[dict[str, Tensor]]:
    """Changed tensors, one try after another: the element on one tensor only, the largest first; where a space acts
    on a single tensor, the change with random signs, and noise on tensors that share an atom with it."""
    changed = moved(spec, drawn(spec, [name], seed), state, sizes)
    ranked = sorted(changed, key=lambda tensor: -changed[tensor].numel())
    if len(ranked) > 1:
        yield from ({tensor: changed[tensor]} for tensor in ranked[:_SINGLE])
        return
    for tensor in ranked:
        delta = changed[tensor] - state[tensor]
        signs = Draws(seed, f"signs:{tensor}").integers(1, *delta.shape, high=2)[0] * 2 - 1
        yield {tensor: state[tensor] + delta * signs.to(delta)}
    for sibling in _siblings(spec, name, ranked)[:_SIBLINGS]:
        noise = Draws(seed, f"noise:{sibling}").normal(1, *state[sibling].shape)[0]
        size = state[sibling].double().square().mean().sqrt()
        yield {sibling: state[sibling] + (size * noise).to(state[sibling])}


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

