"""Elements that really move something, the tensors that they change, and one space of a spec on its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from symcheck.weights.act import Actor
from symcheck.weights.checks import acted_tensors, stated_by
from symcheck.weights.element import sample
from symcheck.weights.spec import Space, Spec
from symcheck.weights.terms import tensors_of

_TRIES = 64


def drawn(spec: Spec, names: Collection[str], seed: int, *, scale: float = 1.0) -> dict[str, Tensor]:
    """A random element of these spaces, no part of which is the identity; it depends on the seed and each name alone.

    Small groups draw the identity often: then the next seed is taken. What cannot move stays as drawn.
    """
    found: dict[str, Tensor] = {}
    open_names = list(names)
    for attempt in range(_TRIES):
        found |= sample(spec, seed + 1009 * attempt, spaces=open_names, approximate=True, scale=scale)
        open_names = [name for name in open_names if at_rest(spec.spaces[name], found[name])]
        if not open_names:
            break
    return {name: found[name] for name in names}


def at_rest(space: Space, part: Tensor) -> bool:
    """Whether the part of an element is the identity."""
    return bool(torch.equal(part, identity(space, part).to(part.dtype)))


def identity(space: Space, part: Tensor) -> Tensor:
    """The identity of the space's group, shaped like `part`."""
    if space.kind == "permutation":
        return torch.arange(space.size).expand(part.shape).clone()
    if space.kind in ("scale", "sign"):
        return torch.ones(part.shape, dtype=torch.float64)
    if space.kind in ("orthogonal", "general"):
        return torch.eye(space.size, dtype=torch.float64).expand(part.shape).clone()
    return torch.zeros(part.shape, dtype=part.dtype)


def moved(
    spec: Spec, element: Mapping[str, Tensor], state: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> dict[str, Tensor]:
    """The tensors of g·θ that the element acts on, by their canonical names; the others are not touched.

    `sizes` are those of the atoms, from `act.check_fit`.
    """
    actor = Actor(spec, element, sizes, lambda name: state[name])
    return {name: actor.result(name) for name in spec.axes if actor.changes(name)}


def alone(spec: Spec, name: str, also: Collection[str] = ()) -> Spec:
    """The spec with one space and the tensors that it acts on or reads, and those of `also`."""
    space = spec.spaces[name]
    needed = {*acted_tensors(spec, space), *also}
    needed |= {tensor for term in space.terms for tensor in tensors_of(term)}
    needed |= {*(space.exponents or {}), *space.gains}
    needed |= {gain for each in space.gains.values() for gains in each for gain in gains}
    axes = {tensor: axes for tensor, axes in spec.axes.items() if tensor in needed}
    atoms = {atom: size for atom, size in spec.sizes.items() if atom not in stated_by([space])}
    return replace(
        spec,
        spaces={name: space},
        axes=axes,
        ties={},
        offsets={tensor: eps for tensor, eps in spec.offsets.items() if tensor in axes},
        pinned=(),
        shapes={tensor: shape for tensor, shape in spec.shapes.items() if tensor in axes},
        certificate=None,
        atoms=atoms,
    )
