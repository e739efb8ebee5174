"""Bring one set of weights onto another: units by what their entries look like, then by the entries themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from symcheck.weights.balance import Balance
from symcheck.weights.canonical import framed_by, framed_tensors, permuting, sorted_slots, turned_back
from symcheck.weights.element import element_shape
from symcheck.weights.frames import TURNS, coordinates
from symcheck.weights.moves import at_rest, moved
from symcheck.weights.signs import odd
from symcheck.weights.slots import effective, places
from symcheck.weights.spec import Space

_ROUNDS = 8
_LARGEST = 2048  # units of one space that are assigned; more are sorted
_QUANTILES = 12


@dataclass
class Match:
    """Weights `one` on their way to the weights `two`, both with their gauges fixed; the steps taken, in order."""

    one: Balance
    two: Balance
    steps: list[dict[str, Tensor]] = field(default_factory=list)

    def run(self) -> None:
        """Assign units by their quantiles, outer atoms first; then refine everything until nothing moves."""
        spaces = [s for s in self.one.spec.spaces.values() if not s.approximate]
        framed = [s for s in spaces if s.kind == "permutation" and framed_by(self.one, s)]
        for space in (*framed, *reversed(permuting(self.one))):
            targets = self._assigned(space, signatures=True)
            back = turned_back(self.one, space, targets) if targets is not None and space in framed else {}
            self._act(space, targets)
            for name, part in back.items():
                self._act(self.one.spec.spaces[name], part)
        for _ in range(_ROUNDS):
            moves = [self._act(s, self._better(s)) for s in spaces if s.kind in (*TURNS, "sign", "permutation")]
            if not any(moves):
                return

    def distance(self) -> float:
        """‖one − two‖ / ‖two‖ over all floating tensors."""
        pairs = [(x, self.two.state[n]) for n, x in self.one.state.items() if x.is_floating_point()]
        squares = sum(float((x - y).square().sum()) for x, y in pairs), sum(float(y.square().sum()) for _, y in pairs)
        return math.sqrt(squares[0] / squares[1]) if squares[1] else math.sqrt(squares[0])

    def _act(self, space: Space, part: Tensor | None) -> bool:
        if part is None or at_rest(space, part):
            return False
        self.steps.append({space.name: part})
        self.one.state |= moved(self.one.spec, self.steps[-1], self.one.state, self.one.sizes)
        return True

    def _better(self, space: Space) -> Tensor | None:
        """The element of one space that brings it nearest; None where it is there."""
        if space.kind == "permutation":
            return self._assigned(space) if space in permuting(self.one) else None
        if space.kind == "sign":
            return self._signs(space)
        cross = self._cross(space)
        if cross is None:
            return None
        shape = element_shape(space, self.one.sizes)
        if space.kind == "rotation":
            angle = torch.atan2(cross[:, 1, 0] - cross[:, 0, 1], cross[:, 0, 0] + cross[:, 1, 1])
            return angle.reshape(shape) if float(angle.abs().max()) > 1e-12 else None
        inner = coordinates(space)
        u, _, v = torch.linalg.svd(cross if inner is None else inner.mT @ cross @ inner)
        eye = torch.eye(space.size, dtype=torch.float64)
        turned = u @ v if inner is None else inner @ u @ v @ inner.mT + eye - inner @ inner.mT
        return turned.reshape(shape) if float((turned - eye).abs().max()) > 1e-12 else None

    def _cross(self, space: Space) -> Tensor | None:
        """Σ x₂ x₁ᵀ over all places, (copies, n, n)."""
        total: Tensor | None = None
        for a, b in zip(*(places(self.one.spec, space, s.state, s.sizes) for s in (self.one, self.two)), strict=True):
            if a.exponent and a.view.is_floating_point():
                both = effective(space, b, self.two.state) @ effective(space, a, self.one.state).mT
                total = both if total is None else total + both
        return total

    def _signs(self, space: Space) -> Tensor | None:
        total = torch.zeros(1, 1, dtype=torch.float64)
        for a, b in zip(*(places(self.one.spec, space, s.state, s.sizes) for s in (self.one, self.two)), strict=True):
            if odd(space, a):
                total = total + (a.rows * b.rows).sum(-1)
        if space.terms or not bool((total < 0).any()):
            return None
        return torch.where(total < 0, -1.0, 1.0).double().reshape(element_shape(space, self.one.sizes))

    def _assigned(self, space: Space, *, signatures: bool = False) -> Tensor | None:
        """Where each unit goes: a linear assignment of quantiles of its entries, or of the entries themselves."""
        shape = element_shape(space, self.one.sizes)
        if space.size > _LARGEST:
            if not signatures:
                return None
            mine, theirs = (sorted_slots(side, space) for side in (self.one, self.two))
            return theirs.argsort(-1).gather(-1, mine)
        framed = framed_tensors(self.one, space)
        gain: Tensor | None = None
        for a, b in zip(*(places(self.one.spec, space, s.state, s.sizes) for s in (self.one, self.two)), strict=True):
            if a.tensor in framed:
                continue
            x, y = a.rows.double(), b.rows.double()
            if signatures:
                x, y = _signature(x), _signature(y)
            size = y.square().mean().sqrt().clamp_min(self.two.noise)
            both = (x / size) @ (y / size).mT - (x / size).square().sum(-1)[..., None] / 2
            gain = both if gain is None else gain + both
        if gain is None:
            return None
        targets = [torch.from_numpy(linear_sum_assignment(-copy.numpy())[1]) for copy in gain]
        return torch.stack(targets).expand(-1, space.size).reshape(shape)


def _signature(rows: Tensor) -> Tensor:
    """The quantiles of the entries of every unit, whatever their order, (copies, n, quantiles)."""
    ranked = rows.sort(-1).values
    at = torch.linspace(0, rows.shape[-1] - 1, min(_QUANTILES, rows.shape[-1]))
    return ranked[..., at.round().long()]
