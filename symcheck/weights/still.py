"""Shifts at rest: of every additive gauge the member whose shifted tensor is zero, or has mean zero along what it
repeats over."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.groups.draws import Draws
from symcheck.patterns import Axis
from symcheck.weights.additive import term_value
from symcheck.weights.balance import Balance
from symcheck.weights.moves import moved
from symcheck.weights.spec import Space, Spec, Term
from symcheck.weights.terms import names_of, parse_equation, parse_reference

_SWEEPS, _MOVES = 6, 50
_REST = 1e-13  # a shift smaller than this, over the largest entry, is rounding
_SAME = 1e-9


def still(balance: Balance) -> None:
    """Bring every shift to rest, each by a tensor of its own; a shift that others amount to stays out."""
    rest = _Rest(balance)
    start = dict(balance.state)
    spaces = [s for s in balance.spec.spaces.values() if s.kind == "shift" and not s.approximate]
    for space in sorted(spaces, key=lambda space: len(rest.ways(space))):  # those with one way only go first
        rest.take(space)
    for _ in range(_SWEEPS):  # as the element acts: all shifts in their order, on the tensors as they were
        balance.state = dict(start)
        balance.state |= balance.moved()
        if not rest.settle(rest.leading):
            return


@dataclass
class _Rest:
    """The shifts taken so far, each with the term whose tensor it brings to rest."""

    balance: Balance
    leading: dict[str, Term] = field(default_factory=dict)
    touched: dict[str, Tensor] = field(default_factory=dict)  # by tensor, the entries that a taken shift changes

    def take(self, space: Space) -> None:
        """Give the shift a term, one whose tensor no other shift changes if there is one; and bring it to rest."""
        ways = self.ways(space)
        free = [term for term in ways if not self._changed(term)]
        if not ways or (not free and self._redundant(space)):
            return
        targets = {lead.to for lead in self.leading.values()}
        own = [term for term in ways if term.to not in targets]
        self.leading[space.name] = (free or own or ways)[0]
        for term in space.terms:
            self._mask(term).fill_(True)
        self.settle([space.name])

    def ways(self, space: Space) -> list[Term]:
        """The terms that can decide the shift alone, the simplest first."""
        found = [term for term in space.terms if _decided(self.balance, space, term) is not None]
        return sorted(found, key=lambda term: len(term.operands))

    def settle(self, names: list[str] | dict[str, Term]) -> bool:
        """Bring these to rest, and those that they disturb; whether anything moved."""
        queue = deque(names)
        counts: dict[str, int] = {}
        while queue:
            name = queue.popleft()
            space = self.balance.spec.spaces[name]
            part = _decided(self.balance, space, self.leading[name])
            counts[name] = counts.get(name, 0) + 1
            size = max(float(t.abs().max()) for t in self._places(self.leading[name])) or 1.0
            if part is None or not float(part.abs().max()) > _REST * size or counts[name] > _MOVES:
                continue
            self.balance.act(name, part)
            queue.extend(other for other in self._disturbed(space) if other not in queue)
        return any(count > 1 for count in counts.values())

    def _places(self, term: Term) -> list[Tensor]:
        target = parse_reference(term.to)
        return [self.balance.state[target.name][target.index]]

    def _disturbed(self, space: Space) -> list[str]:
        """The other shifts whose resting tensor this one changes."""
        moving = {parse_reference(term.to).name for term in space.terms}
        leads = ((name, parse_reference(lead.to).name) for name, lead in self.leading.items())
        return [name for name, tensor in leads if tensor in moving and name != space.name]

    def _mask(self, term: Term) -> Tensor:
        target = parse_reference(term.to)
        empty = torch.zeros(self.balance.state[target.name].shape, dtype=torch.bool)
        return self.touched.setdefault(target.name, empty)[target.index]

    def _changed(self, term: Term) -> bool:
        return bool(self._mask(term).any())

    def _redundant(self, space: Space) -> bool:
        """Whether a random shift of this space is taken back, everywhere, by bringing the others to rest again."""
        balance = self.balance
        size = max(float(t.abs().max()) for term in space.terms for t in self._places(term)) or 1.0
        part = size * Draws(0, f"probe:{space.name}").normal(1, *space.shape)[0]
        trial = _Rest(Balance(balance.spec, dict(balance.state), balance.sizes), self.leading, self.touched)
        trial.balance.state |= moved(balance.spec, {space.name: part}, balance.state, balance.sizes)
        trial.settle(self._disturbed(space))
        pairs = ((trial.balance.state[name], t) for name, t in balance.state.items() if t.is_floating_point())
        return all(float((x - t).abs().max()) <= _SAME * (float(t.abs().max()) + size) for x, t in pairs if t.numel())


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
