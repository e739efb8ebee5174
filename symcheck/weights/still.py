"""Shifts at rest: of every additive gauge the member whose shifted tensor is zero, or has mean zero along what it
repeats over."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from symcheck.patterns import Axis
from symcheck.weights.additive import term_value
from symcheck.weights.balance import Balance
from symcheck.weights.spec import Space, Spec, Term
from symcheck.weights.terms import names_of, parse_equation, parse_reference

_SWEEPS = 20


def still(balance: Balance) -> None:
    """Bring every shift to rest, in sweeps, since one may move what another has brought to rest."""
    spaces = [s for s in balance.spec.spaces.values() if s.kind == "shift" and not s.approximate]
    start = dict(balance.state)
    for _ in range(_SWEEPS):
        largest = 0.0
        for space in spaces:
            part = _rest(balance, space)
            balance.element[space.name] = balance.element.get(space.name, torch.zeros(space.shape).double()) + part
            balance.state = dict(start)
            balance.state |= balance.moved()
            largest = max(largest, float(part.abs().max()))
        if not largest > 1e-14:
            return


def _rest(balance: Balance, space: Space) -> Tensor:
    """The shift after which its leading term's tensor is at rest; zero where no term decides it alone."""
    for term in sorted(space.terms, key=lambda term: len(term.operands)):
        found = _decided(balance, space, term)
        if found is not None:
            return found
    return torch.zeros(space.shape, dtype=torch.float64)


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
