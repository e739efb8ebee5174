"""Subgroups of many permutations and of grid shifts: blocks of slots, even permutations, turns, multiples of a step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from symcheck.groups.draws import Draws
from symcheck.groups.permutations import Permutations, odd
from symcheck.groups.shifts import CircularShifts, Shifts
from symcheck.groups.subgroups import elements_of
from symcheck.locate.subgroups.candidates import Subgroup, among, symmetric_name
from symcheck.locate.subgroups.orientation import Sought

PAIRS, TRIPLES = 300, 300  # so many transpositions and 3-cycles are tried one by one
_LISTED, _WHOLE = 64, 128


def permutation_subgroups(sought: Sought, group: Permutations, count: int) -> tuple[list[Subgroup], list[str]]:
    """A(n); S and A on the blocks of slots that transpositions and 3-cycles with a small error tie; C_n and D_n."""
    n = len(group.identity(1)[0])
    notes = ["C_n and D_n of the slots were tried in the given order alone"]
    found = []
    if not group.even:
        alternating = Permutations("A", n)
        drawn = _moving(alternating.sample(count, Draws(0, "A")))
        found.append(Subgroup(f"A({n})", drawn, lambda p: ~odd(p), alternating.order))
    pairs = torch.tensor(list(itertools.combinations(range(n), 2)))
    if len(pairs) > PAIRS:
        pairs = torch.stack([torch.arange(n - 1), torch.arange(1, n)], 1)
        notes.append("of the transpositions only those of neighbouring slots were tried")
    if not group.even:
        found += _blocks(sought, pairs, n, "S", count)
    triples = torch.tensor(list(itertools.combinations(range(n), 3)))
    found += _blocks(sought, triples, n, "A", count) if len(triples) <= TRIPLES else []
    steps = torch.arange(n)
    turns = (steps[None] + torch.arange(n)[:, None]) % n
    flips = turns.flip(1)
    for name, g in ((f"C{n}", turns), (f"D{n}", torch.cat([turns, flips]))):
        if not (group.even and bool(odd(g).any())):
            found.append(Subgroup(name, g[1:], among(g), len(g), "turns and reversals of the slots as they stand"))
    return found, notes


def _blocks(sought: Sought, tied: Tensor, n: int, letter: str, count: int) -> list[Subgroup]:
    """S or A on the connected blocks of slots that cycles with a small error tie together; none when that is all."""
    cycles = torch.arange(n).repeat(len(tied), 1).scatter_(1, tied, tied.roll(-1, 1))
    holding = tied[sought.holding(cycles)].tolist()
    block = list(range(n))
    for slots in holding:
        least = min(block[i] for i in slots)
        merged = {block[i] for i in slots}
        block = [least if b in merged else b for b in block]
    blocks = [[i for i in range(n) if block[i] == b] for b in sorted(set(block)) if block.count(b) > 1]
    if not blocks or len(blocks[0]) == n:
        return []
    order, g = _of_blocks(blocks, n, letter, count)
    label = torch.tensor(block)

    def contains(p: Tensor) -> Tensor:
        kept = (label[p] == label).all(1)
        if letter == "S":
            return kept
        even = [~odd(torch.argsort(torch.argsort(p[:, slots], 1), 1)) for slots in blocks]
        return kept & torch.stack(even).all(0)

    return [Subgroup(symmetric_name(blocks, n, letter), _moving(g), contains, order)]


def _of_blocks(blocks: Sequence[Sequence[int]], n: int, letter: str, count: int) -> tuple[int, Tensor]:
    """The order of a product of S or A on blocks of slots, and its elements: all of a small one, else drawn ones."""
    groups = [Permutations(letter, len(slots)) for slots in blocks]
    order = math.prod(group.order or 1 for group in groups)
    if order <= _WHOLE:
        inner = [[row.tolist() for row in elements_of(group)] for group in groups]
        rows = [*itertools.product(*inner)]
    else:
        rng = Draws(0, f"blocks {letter}")
        rows = [*zip(*(group.sample(count, rng).tolist() for group in groups), strict=True)]
    g = torch.arange(n).repeat(len(rows), 1)
    for k, slots in enumerate(blocks):
        g[:, list(slots)] = torch.tensor(list(slots))[torch.tensor([row[k] for row in rows])]
    return order, g


def shift_subgroups(group: Shifts, count: int) -> list[Subgroup]:
    """Multiples of larger steps, along each axis alone and along all of them."""
    one = group.identity(1)
    axes, room = one.shape[1], _room(group)
    found, alike = [], set()
    for axis in range(axes):
        for factor in _factors(group, room[axis]):
            step = group.steps[axis] * factor
            steps = tuple(step if k == axis else 0 for k in range(axes))
            found += [_multiples(group, steps, room, count)] if steps != tuple(group.steps) else []
            alike.add(step)
    if axes > 1:
        shared = [s for s in sorted(alike) if all(_fits(group, k, s, room[k]) for k in range(axes))]
        wanted = [tuple([s] * axes) for s in shared if tuple([s] * axes) != tuple(group.steps)]
        found += [_multiples(group, steps, room, count) for steps in wanted]
    return found


def _room(group: Shifts) -> list[int]:
    """How many steps there are along each axis: all of them around a circle, or to one side."""
    if isinstance(group, CircularShifts):
        return list(group.counts)
    reach = group.nearby(group.identity(256), 1e3, Draws(0, "room")).abs().amax(0)
    return [int(r) // max(s, 1) for r, s in zip(reach.tolist(), group.steps, strict=True)]


def _factors(group: Shifts, room: int) -> list[int]:
    """By what the step of an axis may be multiplied and something still moves."""
    if isinstance(group, CircularShifts):
        return [f for f in range(1, room) if room % f == 0]
    return [f for f in (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32) if f <= room]


def _fits(group: Shifts, axis: int, step: int, room: int) -> bool:
    own = group.steps[axis]
    return own > 0 and step % own == 0 and step // own in _factors(group, room)


def _multiples(group: Shifts, steps: tuple[int, ...], room: list[int], count: int) -> Subgroup:
    ranges = []
    for step, own, most in zip(steps, group.steps, room, strict=True):
        times = most * own // step if step else 1
        circular = isinstance(group, CircularShifts)
        ranges.append([step * k for k in (range(times) if circular else range(-times, times + 1))] if step else [0])
    total = 1
    for one in ranges:
        total *= len(one)
    if total <= _LISTED:
        g = torch.tensor(list(itertools.product(*ranges)))
    else:
        rng = Draws(0, f"shift {steps}")
        g = torch.stack([torch.tensor(one)[rng.integers(count, high=len(one))] for one in ranges], 1)
    unit = torch.tensor([max(step, 1) for step in steps])
    still = torch.tensor([step == 0 for step in steps])

    def contains(s: Tensor) -> Tensor:
        return ((s % unit == 0) & (~still | (s == 0))).all(1)

    shown = [steps[0]] if len(set(steps)) == 1 else steps
    name = f"Shift({','.join(map(str, shown))})"
    return Subgroup(name, g[(g != 0).any(1)], contains, total if isinstance(group, CircularShifts) else None)


def _moving(p: Tensor) -> Tensor:
    return p[(p != torch.arange(p.shape[1])).any(1)]
