"""Shifts at rest: of every additive gauge the member whose shifted tensor is zero, or has mean zero along what it
repeats over."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from symcheck.patterns import Axis
from symcheck.weights.additive import term_value
from symcheck.weights.balance import Balance
from symcheck.weights.spec import Space, Spec, Term
from symcheck.weights.terms import names_of, parse_equation, parse_reference

_SWEEPS = 20
_NONE = 1e6  # the cost of a target that a shift does not have


def still(balance: Balance) -> None:
    """Bring every shift to rest, in sweeps, since one may move what another has brought to rest."""
    spaces = [s for s in balance.spec.spaces.values() if s.kind == "shift" and not s.approximate]
    start, leading = dict(balance.state), _leading(balance, spaces)
    for _ in range(_SWEEPS):
        largest = 0.0
        for space in spaces:
            term = leading.get(space.name)
            found = _decided(balance, space, term) if term is not None else None
            part = torch.zeros(space.shape, dtype=torch.float64) if found is None else found
            balance.element[space.name] = balance.element.get(space.name, torch.zeros(space.shape).double()) + part
            balance.state = dict(start)
            balance.state |= balance.moved()
            largest = max(largest, float(part.abs().max()))
        if not largest > 1e-14:
            return


def _leading(balance: Balance, spaces: list[Space]) -> dict[str, Term]:
    """For every shift the term whose tensor it brings to rest: one that it decides alone, another tensor for each."""
    ways = {s.name: [term for term in s.terms if _decided(balance, s, term) is not None] for s in spaces}
    targets = list(dict.fromkeys(parse_reference(t.to).name for found in ways.values() for t in found))
    if not targets:
        return {}
    cost = np.full((len(spaces), len(targets) + len(spaces)), _NONE)
    for i, space in enumerate(spaces):
        for rank, term in enumerate(ways[space.name]):
            j = targets.index(parse_reference(term.to).name)
            cost[i, j] = min(cost[i, j], rank + 10 * len(term.operands))
    chosen: dict[str, Term] = {}
    columns = linear_sum_assignment(cost)[1]
    for space, j in zip(spaces, columns.tolist(), strict=True):
        found = ways[space.name]
        mine = [term for term in found if j < len(targets) and parse_reference(term.to).name == targets[j]]
        if mine or found:  # two shifts of one tensor may still have parts of their own
            chosen[space.name] = min(mine or found, key=lambda term: len(term.operands))
    return chosen


def _decided(balance: Balance, space: Space, term: Term) -> Tensor | None:
    """−mean of (tensor / what multiplies the element) over the axes that the element lacks; None for contractions."""
    equation = parse_equation(term.equation)
    element, output = _atoms(equation.inputs[0]), _atoms(equation.output)
    others = {name for axes in equation.inputs[1:] for name in _atoms(axes)}
    if not set(element) <= set(output) or not others <= set(output):
        return None
    target = parse_reference(term.to)
    place = balance.state[target.name][target.index]
    ones = torch.ones(space.shape, dtype=torch.float64)
    factor = term_value(term, ones, lambda name: balance.state[name], tuple(place.shape), torch.float64)
    if not bool((factor != 0).all()):
        return None
    sizes = _sizes(equation.inputs[0], space.shape) | _sizes(equation.output, tuple(place.shape))
    if len(sizes) < len({*element, *output}):
        return None
    wide = (place / factor).reshape([sizes[name] for name in output])
    gone = [i for i, name in enumerate(output) if name not in element]
    mean = wide.mean(gone) if gone else wide
    kept = [name for name in output if name in element]
    return -mean.permute([kept.index(name) for name in element]).reshape(space.shape)


def periods(spec: Spec) -> dict[str, float]:
    """By tensor, what two flips of one unit add to it and leave the function alone: a whole turn of a phase."""
    found: dict[str, float] = {}
    for space in spec.spaces.values():
        for term in space.terms if space.kind == "sign" else ():
            target = parse_reference(term.to).name
            moves = (space.exponents or {}).get(target, (0,))
            if not term.operands and not any(power % 2 for power in moves):
                found[target] = 2 * abs(term.factor)
    return found


def _atoms(axes: tuple[Axis, ...]) -> list[str]:
    return [name for axis in axes for name in names_of(axis)]


def _sizes(axes: tuple[Axis, ...], shape: tuple[int, ...]) -> dict[str, int]:
    """The sizes of atoms that stand alone on an axis, or are the only unknown one of a product."""
    found: dict[str, int] = {}
    for axis, total in zip(axes, shape, strict=True):
        names = names_of(axis)
        open_names = [name for name in names if name not in found]
        if len(open_names) == 1:
            found[open_names[0]] = total // math.prod(found[name] for name in names if name in found)
    return found
