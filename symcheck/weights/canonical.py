"""One representative of every orbit: gauges fixed, signs by a rule, units in an order of their own.

    canonical(g·θ) = canonical(θ)   for every element g of the spec, at generic θ
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from symcheck.weights.act import check_fit
from symcheck.weights.balance import Balance
from symcheck.weights.checks import acted_tensors, stacked
from symcheck.weights.element import element_shape
from symcheck.weights.frames import TURNS, turn
from symcheck.weights.moves import moved
from symcheck.weights.prune import prune
from symcheck.weights.signs import flip
from symcheck.weights.slots import places
from symcheck.weights.spec import Space, Spec
from symcheck.weights.still import still

_TIED = 1e-10  # keys closer than this, over the largest, are told apart by others
_ROUNDS = 3


def canonical(spec: Spec, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The canonical state dict of the orbit of θ under the spec, and the element g that leads there: g·θ.

    In this order: shifts to zero (or to mean zero along what they repeat over), scales and general matrices to the
    least sum of squares, rotations to the frame of their Gram matrix, flips to a positive sum of cubes, units sorted
    by a number that depends on no other order. Approximate spaces are left alone. Computed in float64; the result
    has the dtypes of θ. Units that are equal, and Gram matrices with equal eigenvalues, leave it ambiguous.
    Raises LoadError when the spec does not fit the tensors.
    """
    balance = gauged(spec, state)
    for space in permuting(balance):  # one after another, as they act: a stack of experts moves what others sort
        balance.act(space.name, sorted_slots(balance, space))
    element = {name: balance.element[name] for name in spec.spaces if name in balance.element}
    return spec.apply(element, state), element


def gauged(spec: Spec, state: Mapping[str, Tensor], *, pruned: bool = False) -> Balance:
    """A working copy with everything fixed but the order of units, and the element that leads there.

    Where units are turned into a frame, that is their order. With `pruned`, what is not read has been set to zero
    first, which no element does.
    """
    sizes = check_fit(spec, {name: tuple(t.shape) for name, t in state.items()}, "the state dict")
    source = {spec.ties.get(name, name): t for name, t in state.items()}
    source |= {name: state[name] for name in spec.axes if name in state}
    wide = {name: source[name].detach().cpu() for name in spec.axes}
    wide = {name: (t.double() if t.is_floating_point() else t).contiguous() for name, t in wide.items()}
    balance = Balance(spec, dict(wide), sizes)
    still(balance)
    shifts: dict[str, Tensor] = {}
    if pruned and prune(balance):  # start again from there, with the shifts done
        wide, shifts, balance.element = dict(balance.state), balance.element, {}
    balance.settle()
    turn(balance)
    flip(balance)
    if balance.element:  # as the element acts, in its own order
        balance.state = wide | moved(spec, balance.element, wide, sizes)
    balance.element = shifts | balance.element
    for space in spec.spaces.values():
        if space.kind == "permutation" and framed_by(balance, space):
            _reframe(balance, space, sorted_slots(balance, space))
    return balance


def permuting(balance: Balance) -> list[Space]:
    """The permutation spaces whose order is open still, as they act: first those over most other atoms."""
    spaces = balance.spec.spaces.values()
    found = [s for s in spaces if s.kind == "permutation" and not s.approximate and not framed_by(balance, s)]
    return sorted(found, key=lambda space: (-len(space.over), bool(space.stacks)))


def framed_by(balance: Balance, space: Space) -> list[Space]:
    """The spaces that turn the atom of a permutation into a frame, in which its order is fixed already."""
    spaces = [balance.spec.spaces[name] for name in balance.element]
    return [s for s in spaces if s.kind in TURNS and (s.on, s.over) == (space.on, space.over)]


def framed_tensors(balance: Balance, space: Space) -> set[str]:
    """The tensors that have been turned into a frame along the atom of a permutation."""
    return {name for other in framed_by(balance, space) for name in acted_tensors(balance.spec, other)}


def _reframe(balance: Balance, space: Space, targets: Tensor) -> None:
    """Permute what does not turn, such as gains; all else turns to where the permutation brings it back from."""
    balance.act(space.name, targets)
    back = turned_back(balance, space, targets)
    balance.state |= moved(balance.spec, back, balance.state, balance.sizes)
    for name, part in back.items():
        balance.element[name] = part @ balance.element[name]


def turned_back(balance: Balance, space: Space, targets: Tensor) -> dict[str, Tensor]:
    """The rotations that undo a permutation on the tensors that turn."""
    index = targets[..., None].expand(*targets.shape, space.size)
    back = torch.eye(space.size, dtype=torch.float64).expand(index.shape).gather(-2, index)
    return {other.name: back for other in framed_by(balance, space)}


def sorted_slots(balance: Balance, space: Space) -> Tensor:
    """Where the slots of a space go when they are sorted by their keys."""
    framed = framed_tensors(balance, space)
    keys = unit_keys(balance, space, framed)
    for depth in range(1, _ROUNDS + 1):
        groups = _groups(keys)
        if framed or bool((groups.max(-1).values == space.size - 1).all()):
            break
        finer = unit_keys(balance, space, framed, depth)
        low, high = finer.amin(-1, keepdim=True), finer.amax(-1, keepdim=True)
        keys = groups + 0.5 * (finer - low) / (high - low).clamp_min(1e-300)
    shape = element_shape(space, balance.sizes)
    return keys.argsort(dim=-1, stable=True).argsort(-1).expand(-1, space.size).reshape(shape)


def unit_keys(balance: Balance, space: Space, skipped: Collection[str] = (), depth: int = 0) -> Tensor:
    """A number for every slot, (copies, n): Σ sin(c x + c') over its entries, with other numbers for each tensor.

    It does not depend on the order of anything else, nor on the number of a tensor in its stack. With `depth` the
    entries are first multiplied by numbers that stand for the slots of the other axes, by keys of their own.
    """
    state = balance.state if depth == 0 else _weighted(balance, depth)
    stacks = {n: stack for other in balance.spec.spaces.values() for n, (stack, _) in stacked(other).items()}
    total = torch.zeros(1, space.size, dtype=torch.float64)
    for place in places(balance.spec, space, {n: t for n, t in state.items() if n not in skipped}, balance.sizes):
        rows = place.rows.double()
        size = rows.square().mean().sqrt().clamp_min(balance.noise)
        a, b = _constants(stacks.get(place.tensor, place.tensor), place.j)
        total = total + (a * (rows / size) + b).sin().sum(-1) / rows.shape[-1] ** 0.5
    return total


def _constants(tensor: str, j: int) -> tuple[float, float]:
    word = zlib.crc32(f"{tensor}#{j}".encode())
    return 0.7 + 0.6 * (word % 1000) / 1000, 0.3 + 0.8 * (word // 1000 % 1000) / 1000


def _weighted(balance: Balance, depth: int) -> dict[str, Tensor]:
    """The tensors with every entry multiplied by numbers that stand for the slots in which it lies."""
    state = {name: t.clone() for name, t in balance.state.items()}
    for space in permuting(balance):
        keys = unit_keys(balance, space, (), depth - 1)
        factors = 1 + 0.5 * (keys * (1.1 + depth)).sin()
        for place in places(balance.spec, space, state, balance.sizes):
            if place.view.is_floating_point():
                lead = place.view.shape[: place.lead + 1]
                place.view.mul_(factors.reshape(*lead, *(1,) * (place.view.dim() - len(lead))))
    return state


def _groups(keys: Tensor) -> Tensor:
    """For every slot the number of its group, by increasing key; keys that only rounding tells apart are a group."""
    ranked, order = keys.sort(-1)
    new = ranked.diff(dim=-1, prepend=ranked[..., :1]) > _TIED * keys.abs().max().clamp_min(1e-300)
    numbers = new.cumsum(-1).double()
    return torch.empty_like(keys).scatter_(-1, order, numbers)
