"""Gauges first: both networks are brought to the representative of least norm, so that what is left leaves norms alone.

Shifts to rest, scales and general matrices to balance (`weights.balance`), and those signs that a gain decides: where
a tensor of gains is far from zero in both networks, it is made positive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import zip_longest

import torch
from torch import Tensor

from symcheck.patterns import Leaf, Product
from symcheck.weights.act import check_fit, in_order
from symcheck.weights.balance import Balance
from symcheck.weights.element import element_shape, inverse
from symcheck.weights.moves import moved
from symcheck.weights.slots import places
from symcheck.weights.spec import KINDS, Space, Spec
from symcheck.weights.still import still
from symcheck.weights.terms import parse_reference

Powers = Mapping[str, tuple[Fraction, ...]]
GAUGES = ("shift", "scale", "general", "sign")
_SETTLED = 1e-6  # logarithms; what is left is far below what tells networks apart
_MEAN, _VARIANCE = "running_mean", "running_var"  # as batch normalisation calls them
_FAR = 0.1  # smallest entry over the root mean square
_ALIKE = 0.5  # deviation of sizes over their mean: gains are alike, biases are not


@dataclass(frozen=True)
class Gauged:
    """A network in its gauge, by canonical names, and the elements that lead there, one after another."""

    state: dict[str, Tensor]
    steps: tuple[dict[str, Tensor], ...] = ()
    fixed: frozenset[str] = field(default=frozenset())  # spaces with nothing left to choose


def by_name(spec: Spec, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the spec by their canonical names, on their device, detached."""
    found = {spec.ties.get(name, name): t for name, t in state.items()}
    found |= {name: state[name] for name in spec.axes if name in state}
    return {name: found[name].detach() for name in spec.axes}


def gauged(spec: Spec, states: Collection[Mapping[str, Tensor]], kinds: Collection[str]) -> list[Gauged]:
    """Every network in the gauge of these kinds of spaces; signs are fixed where the gains of all of them allow it."""
    spec = spec.only(kinds=[kind for kind in KINDS if kind not in GAUGES or kind in kinds], approximate=False)
    spec = spec.without([name for name, space in spec.spaces.items() if _of_statistics(space)])
    found = [_balanced(spec, state) for state in states]
    leads = _leads(spec, found)
    return [_positive(spec, each, leads) for each in found]


def _of_statistics(space: Space) -> bool:
    """Whether a shift moves a running mean: it would no longer be the mean of what is normalised."""
    return space.kind == "shift" and any(parse_reference(term.to).name.endswith(_MEAN) for term in space.terms)


def _balanced(spec: Spec, state: Mapping[str, Tensor]) -> Gauged:
    sizes = check_fit(spec, {name: tuple(t.shape) for name, t in state.items()}, "the state dict")
    wide = {n: (t.double() if t.is_floating_point() else t).cpu().contiguous() for n, t in by_name(spec, state).items()}
    free, mixed = _beside_variances(spec)
    pivots = {name: _unit(spec, name, tensor, wide, sizes) for name, tensor in _pivots(spec).items()}
    balance = Balance(free, wide | moved(spec, pivots, wide, sizes), sizes)
    still(balance)
    balance.settle(_SETTLED)
    element = pivots | {name: part for name, part in balance.element.items() if name not in pivots}
    for name, powers in mixed.items():
        for pivot, power in powers.items() if name in balance.element else ():
            element[pivot] = element[pivot] * balance.element[name] ** float(power)
    element = {name: element[name] for name in spec.spaces if name in element}
    return Gauged(wide | moved(spec, element, wide, sizes), (element,)) if element else Gauged(wide)


def _pivots(spec: Spec) -> dict[str, str]:
    """For every variance that scales act on, one scale space that sets it to 1: that with the fewest tensors."""
    found: dict[str, str] = {}
    for tensor in spec.offsets:
        acting = [s for s in spec.spaces.values() if s.kind == "scale" and tensor in (s.exponents or {})]
        acting = [s for s in acting if s.name not in found and _alone(spec, s, tensor)]
        if acting:
            found[min(acting, key=lambda space: len(space.exponents or {})).name] = tensor
    return found


def _alone(spec: Spec, space: Space, tensor: str) -> bool:
    """Whether every entry of the tensor is one slot of the space, and of no other."""
    axes = spec.axes[tensor]
    parts = axes[0].factors if axes and isinstance(axes[0], Product) else axes
    atoms = [part.name for part in parts if isinstance(part, Leaf)]
    return len(axes) == 1 and len(atoms) == len(parts) and {*atoms} == {space.on or "", *space.over}


def _slots(spec: Spec, space: Space, tensor: str, values: Tensor, sizes: Mapping[str, int]) -> Tensor:
    """The entries of such a tensor in the shape of the space's elements."""
    (place,) = places(spec, space, {tensor: values}, sizes)
    return place.view.reshape(element_shape(space, sizes))


def _beside_variances(spec: Spec) -> tuple[Spec, dict[str, dict[str, Fraction]]]:
    """The spec whose scales leave variances alone, each multiplied by powers of the pivots, and these powers.

    A variance is no weight: it can take any value if the gain beside it follows, and has no least norm.
    """
    pivots, spaces = _pivots(spec), dict(spec.spaces)
    mixed: dict[str, dict[str, Fraction]] = {}
    for pivot, tensor in pivots.items():
        own = spaces.pop(pivot)
        for name, space in spaces.items():
            power = (space.exponents or {}).get(tensor, (Fraction(0),))[0]
            if space.kind != "scale" or not power or (space.on, space.over) != (own.on, own.over):
                continue
            ratio = -power / (own.exponents or {})[tensor][0]
            spaces[name] = replace(space, exponents=_combined(space.exponents or {}, own.exponents or {}, ratio))
            mixed.setdefault(name, {})[pivot] = ratio
            for further, before in mixed.get(pivot, {}).items():
                mixed[name][further] = mixed[name].get(further, Fraction(0)) + ratio * before
    held = [n for n, s in spaces.items() if s.kind == "scale" and any(t in (s.exponents or {}) for t in spec.offsets)]
    spaces = {name: space for name, space in spaces.items() if name not in held}
    kept = {atom: size for atom, size in spec.sizes.items() if atom not in {s.on for s in spaces.values()}}
    return replace(spec, spaces=spaces, atoms=kept), mixed


def _combined(one: Powers, two: Powers, ratio: Fraction) -> Powers:
    """The exponents of one space plus a multiple of those of another."""
    none = (Fraction(0),)
    sums = {
        name: tuple(
            x + ratio * y
            for x, y in zip_longest(one.get(name, none), two.get(name, none), fillvalue=Fraction(0))
        )
        for name in {**one, **two}
    }
    return {name: powers for name, powers in sums.items() if any(powers)}


def _unit(spec: Spec, name: str, tensor: str, state: Mapping[str, Tensor], sizes: Mapping[str, int]) -> Tensor:
    """The scales that bring a variance with its eps to 1."""
    space = spec.spaces[name]
    variance = (state[tensor] + spec.offsets[tensor]).abs().clamp_min(1e-300)
    power = float((space.exponents or {})[tensor][0])
    return _slots(spec, space, tensor, variance, sizes) ** (-1 / power)


@dataclass(frozen=True)
class _Lead:
    """A tensor of gains, the spaces of signs that together flip it and no other lead, and all gains that they flip."""

    tensor: str
    spaces: frozenset[str]
    gains: frozenset[str]


def _leads(spec: Spec, found: list[Gauged]) -> list[_Lead]:
    """The gains that decide signs in every network, one for each space of which signs are decided: by elimination."""
    leads: list[_Lead] = []
    for name, space in spec.spaces.items():
        gains, names = _gains(spec, space, found), frozenset({name})
        for lead in leads:
            if lead.tensor in gains:
                gains, names = gains ^ lead.gains, names ^ lead.spaces
        if gains:
            new = _Lead(min(gains), names, gains)
            leads = [
                _Lead(lead.tensor, lead.spaces ^ names, lead.gains ^ gains) if new.tensor in lead.gains else lead
                for lead in leads
            ]
            leads.append(new)
    return leads


def _gains(spec: Spec, space: Space, found: list[Gauged]) -> frozenset[str]:
    """The tensors of gains that a space of signs flips."""
    if space.kind != "sign" or space.terms or space.on is None:
        return frozenset()
    odd = [name for name, powers in (space.exponents or {}).items() if len(powers) == 1 and powers[0] % 2 == 1]
    odd = [name for name in odd if _alone(spec, space, name)]
    return frozenset(name for name in odd if all(_is_gain(each.state[name]) for each in found))


def _is_gain(values: Tensor) -> bool:
    """Whether these look like gains and not like biases: of one size, and none near zero."""
    sizes = values.abs()
    far = float(sizes.min()) > _FAR * float(sizes.square().mean().sqrt())
    return far and float(sizes.std(correction=0)) < _ALIKE * float(sizes.mean())


def _positive(spec: Spec, one: Gauged, leads: list[_Lead]) -> Gauged:
    """The network with these gains positive, one lead after another."""
    state, steps = dict(one.state), [*one.steps]
    sizes = check_fit(spec, {name: tuple(t.shape) for name, t in state.items()}, "the state dict")
    for lead in leads:
        negative = torch.where(state[lead.tensor] < 0, -1.0, 1.0).double()
        if bool((negative < 0).any()):
            acting = min(name for name in lead.spaces if lead.tensor in (spec.spaces[name].exponents or {}))
            part = _slots(spec, spec.spaces[acting], lead.tensor, negative, sizes)
            steps.append({name: part for name in spec.spaces if name in lead.spaces})
            state |= spec.apply(steps[-1], state)
    return Gauged(state, tuple(steps), frozenset().union(*(lead.spaces for lead in leads)))


def undone(spec: Spec, steps: tuple[dict[str, Tensor], ...]) -> tuple[dict[str, Tensor], ...]:
    """The elements that lead back: the inverse of each space, in reversed order; shifts one at a time."""
    back: list[dict[str, Tensor]] = []
    for step in reversed(steps):
        for space in reversed(in_order(spec, step)):
            part = {space.name: inverse(space, step[space.name])}
            last = [spec.spaces[name].kind for name in back[-1]] if back else []
            if space.kind in ("scale", "general") and last == [space.kind] * len(last) and last:
                back[-1] |= part
            else:
                back.append(part)
    return tuple(back)




def natural(
    spec: Spec, steps: tuple[dict[str, Tensor], ...], state: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> dict[str, Tensor]:
    """The element that makes variances again those of what is normalised, after the steps.

    A variance and the gain beside it can be scaled together, and the stored statistics stay right in name only: they
    are re-estimated from data as the square of what the mean was scaled by. Batch normalisation calls both by name.
    """
    kept = {name for name, space in spec.spaces.items() if space.kind in ("scale", "permutation")}
    factors = {name: torch.ones_like(t, dtype=torch.float64, device="cpu") for name, t in state.items()}
    for step in steps:
        factors = spec.apply({name: part for name, part in step.items() if name in kept}, factors)
    found: dict[str, Tensor] = {}
    for name, tensor in _pivots(spec).items():
        mean = tensor.removesuffix(_VARIANCE) + _MEAN
        if not tensor.endswith(_VARIANCE) or mean not in factors:
            continue
        eps = spec.offsets[tensor]
        scaled = (factors[tensor] + eps) / (1 + eps)
        power = float((spec.spaces[name].exponents or {})[tensor][0])
        part = _slots(spec, spec.spaces[name], tensor, (factors[mean].square() / scaled) ** (1 / power), sizes)
        if float((part - 1).abs().max()) > _SETTLED:
            found[name] = part
    return found
