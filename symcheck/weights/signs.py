"""Signs: every flip is chosen so that a sum of cubes is positive, over entries that say something about it alone.

A flip is an element of a sign space, of a tree, or the sign of an axis that a rotation leaves open. Where two flips
change the same entries, the one with the finer units is chosen by them, and the other takes it along from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.weights.balance import Balance
from symcheck.weights.element import element_shape
from symcheck.weights.frames import TURNS, coordinates
from symcheck.weights.slots import Place, effective, places
from symcheck.weights.spec import Space
from symcheck.weights.still import periods
from symcheck.weights.terms import parse_reference

_MANY = 62  # flips that may change one tensor, a bit each

Units = tuple[str, ...]  # the atoms whose every combination of indices has a sign


def units_of(space: Space) -> Units:
    """The atoms that a sign of the space belongs to; a name of its own where it is no matter of slots."""
    if space.kind in ("sign", "general", "orthogonal") and not space.fixes:
        return (*space.over, *filter(None, (space.on,)))
    return (*space.over, f"{space.name} of {space.kind}")


@dataclass(frozen=True)
class Flips:
    """One sign for every unit, acting by one space or by several at once, whose units may be finer."""

    units: Units
    spaces: tuple[Space, ...]

    def taking(self, other: Flips) -> Flips:
        """Both at once; a space that is in both acts twice, which is not at all."""
        names = {space.name for space in self.spaces} ^ {space.name for space in other.spaces}
        both = {space.name: space for space in (*self.spaces, *other.spaces)}
        return Flips(self.units, tuple(both[name] for name in both if name in names))

    def fold(self, space: Space, values: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Sums by the units of one of the spaces, (copies, units), to sums by the units of all."""
        own = units_of(space)
        values = values.expand(-1, shape[-1] if shape else 1).reshape(shape)
        extra = [i for i, atom in enumerate(own) if atom not in self.units]
        values = values.sum(extra) if extra else values
        kept = [atom for atom in own if atom in self.units]
        return values.permute([kept.index(atom) for atom in self.units])

    def spread(self, space: Space, signs: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Signs by the units of all to signs by the units of one of the spaces, (copies, units)."""
        own = units_of(space)
        order = [self.units.index(atom) for atom in own if atom in self.units]
        signs = signs.permute(order)
        sizes = iter(signs.shape)
        signs = signs.reshape([next(sizes) if atom in self.units else 1 for atom in own])
        return signs.expand(shape).reshape(-1, shape[-1] if shape else 1)

    def act(self, balance: Balance, signs: Tensor) -> None:
        """Flip the units with sign −1."""
        for space in self.spaces:
            part = _part(space, self.spread(space, signs, sign_shape(balance, space)))
            balance.act(space.name, part.reshape(element_shape(space, balance.sizes)))


Masks = dict[str, tuple[Tensor, list[Flips]]]  # by tensor: for every entry a bit for each of these flips
Chosen = list[tuple[Flips, Tensor, list[Flips]]]  # flips, their signs, and others that take them along


def flip(balance: Balance) -> list[str]:
    """Choose every flip, in rounds: what has been chosen frees entries for others; the spaces left undecided."""
    kinds = ("sign", "tree", *TURNS)
    spaces = (s for s in balance.spec.spaces.values() if s.kind in kinds and not s.approximate)
    waiting = [Flips(units_of(space), (space,)) for space in spaces]
    undecided: list[str] = []
    while waiting:
        masks, seen = _masks(balance, waiting), _seen(balance)
        chosen = _alone(seen, waiting, masks) or _shared(seen, masks) or _crossed(seen, masks)
        for flips, signs, _ in chosen:
            flips.act(balance, signs)
        done = {id(flips) for flips, _, _ in chosen}
        taken = {id(other): flips for flips, _, others in chosen for other in others}
        if not chosen:  # another group has the same flips: leave it to that one
            worst = min(waiting, key=lambda flips: flips.spaces[0].kind in TURNS)
            undecided.append(worst.spaces[0].name)
            done = {id(worst)}
        waiting = [f.taking(taken[id(f)]) if id(f) in taken else f for f in waiting if id(f) not in done]
        waiting = [flips for flips in waiting if flips.spaces]
    return undecided


def sign_shape(balance: Balance, space: Space) -> tuple[int, ...]:
    """One number for every unit of the space: (*over, units)."""
    over = tuple(balance.sizes[atom] for atom in space.over)
    if space.kind == "rotation":
        return (*over, 1)
    return over if space.on is None else (*over, space.size - bool(space.fixes))


def _alone(balance: Balance, waiting: list[Flips], masks: Masks) -> Chosen:
    """Flips with entries of their own for every unit."""
    found: Chosen = []
    for flips in waiting:
        total, number = _sums(balance, flips, [flips], masks)
        if bool((number > 0).all()):
            found.append((flips, _signs(total), []))
    return found


def _shared(balance: Balance, masks: Masks) -> Chosen:
    """Flips that change entries together with others of the same or coarser units; one for the same units at a time."""
    found: Chosen = []
    used: set[str] = set()
    for mask, present in masks.values():
        for bits in torch.unique(mask).tolist():
            both = [flips for i, flips in enumerate(present) if bits > 0 and bits >> i & 1]
            if len(both) < 2 or used & {atom for flips in both for atom in flips.units}:
                continue
            finest = max(both, key=lambda flips: len(flips.units))
            if not all(set(flips.units) <= set(finest.units) for flips in both):
                continue
            total, number = _sums(balance, finest, both, masks)
            if bool((number > 0).all()):
                used |= set(finest.units)
                found.append((finest, _signs(total), [flips for flips in both if flips is not finest]))
    return found


def _crossed(balance: Balance, masks: Masks) -> Chosen:
    """Where two flips meet as the rows and columns of a matrix, one is chosen by the leading axis of the cubes."""
    for name, (mask, present) in masks.items():
        for bits in torch.unique(mask).tolist():
            both = [flips for i, flips in enumerate(present) if bits > 0 and bits >> i & 1]
            for flips in both if len(both) == 2 else ():
                space = flips.spaces[0]
                rows = [
                    torch.where(_entries(m, place, s) == bits, _entries(balance.state, place, s) ** 3, 0.0)
                    for place, m, s in _places(balance, flips, {name: mask})
                    if s is space
                ]
                if rows and len(flips.spaces) == 1 and bool(rows[0].any()):
                    cubes = sum(rows[1:], rows[0])
                    leading = torch.linalg.eigh(cubes @ cubes.mT)[1][..., -1]
                    return [(flips, _signs(flips.fold(space, leading, sign_shape(balance, space))), [])]
    return []


def _masks(balance: Balance, waiting: list[Flips]) -> Masks:
    """For every tensor that a waiting flip changes, the flips that change the sign of each entry."""
    masks: Masks = {}
    for flips in waiting:
        touched = dict.fromkeys(name for space in flips.spaces for name in _odd_tensors(balance, space))
        for name in touched:
            empty = torch.zeros(balance.state[name].shape, dtype=torch.int64)
            masks.setdefault(name, (empty, []))[1].append(flips)
        held = {name: masks[name][0] for name in touched}
        for space in flips.spaces:
            for place in places(balance.spec, space, held, balance.sizes):
                if odd(space, place):
                    bit = min(len(masks[place.tensor][1]) - 1, _MANY)
                    place.view.bitwise_xor_(torch.tensor(1 << bit))
    whole = periods(balance.spec)
    for flips in waiting:
        for term in (term for space in flips.spaces for term in space.terms):
            name = parse_reference(term.to).name
            if name in masks and name not in whole:  # what a flip adds to says nothing about any flip
                masks[name][0].fill_(-1)
    for mask, present in masks.values():
        if len(present) > _MANY:
            mask.fill_(-1)
    return masks


def _seen(balance: Balance) -> Balance:
    """The balance with phases replaced by sin(4π x / period): odd, and the same after half a period."""
    waves = {n: (4 * torch.pi * balance.state[n] / period).sin() for n, period in periods(balance.spec).items()}
    return replace(balance, state=balance.state | waves)


def _odd_tensors(balance: Balance, space: Space) -> list[str]:
    found = places(balance.spec, space, balance.state, balance.sizes)
    return list(dict.fromkeys(place.tensor for place in found if odd(space, place)))


def odd(space: Space, place: Place) -> bool:
    """Whether a flip changes the sign of the entries at this place."""
    if space.kind in TURNS:
        return bool(place.exponent)
    return place.exponent.denominator == 1 and bool(place.exponent % 2)


def _places(balance: Balance, flips: Flips, masks: Mapping[str, Tensor]) -> Iterator[tuple[Place, Tensor, Space]]:
    """Every place at which one of the spaces acts oddly, the mask there, and the space; each tensor by one only."""
    seen: dict[str, str] = {}
    for space in flips.spaces:
        held = {name: balance.state[name] for name in masks}
        pairs = (places(balance.spec, space, state, balance.sizes) for state in (held, masks))
        for place, mask in zip(*pairs, strict=True):
            if odd(space, place) and seen.setdefault(place.tensor, space.name) == space.name:
                yield place, mask.rows, space


def _entries(source: Mapping[str, Tensor] | Tensor, place: Place, space: Space) -> Tensor:
    """The entries of a place as the flips see them, (copies, units, rest); of a mask, those that agree for a unit."""
    inner = coordinates(space)
    if isinstance(source, Tensor):
        if space.kind == "rotation" or inner is not None:
            same = (source == source[:, :1]).all(1, keepdim=True)
            one = torch.where(same, source[:, :1], -1)
            return one if inner is None else one.expand(-1, source.shape[1] - 1, -1)
        return source
    rows = effective(space, place, source)
    if space.kind == "rotation":  # half a turn flips both coordinates: the first one decides
        return rows[:, :1]
    return rows if inner is None else inner.mT @ rows


def _sums(balance: Balance, flips: Flips, both: list[Flips], masks: Masks) -> tuple[Tensor, Tensor]:
    """The sum of cubes over the entries that exactly the flips `both` change, for every unit; and their number."""
    total = number = torch.zeros([1] * len(flips.units), dtype=torch.float64)
    wanted = {
        name: sum(1 << i for i, other in enumerate(present) if any(other is b for b in both))
        for name, (_, present) in masks.items()
        if all(any(other is b for other in present) for b in both)
    }
    for place, mask, space in _places(balance, flips, {name: masks[name][0] for name in wanted}):
        rows = _entries(balance.state, place, space)
        here = _entries(mask, place, space) == wanted[place.tensor]
        size = rows.square().mean().sqrt().clamp_min(balance.noise)
        shape = sign_shape(balance, space)
        total = total + flips.fold(space, ((rows / size) ** 3 * here).sum(-1), shape)
        number = number + flips.fold(space, here.sum(-1), shape)
    return total, number


def _signs(values: Tensor) -> Tensor:
    return torch.where(values < 0, -1.0, 1.0).double()


def _part(space: Space, signs: Tensor) -> Tensor:
    """The part of the space in an element with these signs, (copies, units)."""
    if space.kind == "tree":
        return (signs < 0).to(torch.int64)
    if space.kind == "sign":
        return signs
    if space.kind == "rotation":
        return torch.pi / 2 * (1 - signs)
    inner = coordinates(space)
    if inner is None:
        return torch.diag_embed(signs)
    n = space.size
    return inner @ torch.diag_embed(signs) @ inner.mT + torch.full((n, n), 1 / n, dtype=torch.float64)
