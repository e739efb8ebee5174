"""The balanced representative: scales and general matrices chosen so that the sum of squares of all weights is least.

The sum of squares is convex in log scales and along every geodesic of GL, so that its least value is reached at one
point up to rotations. Entries that could be shrunk to nothing have no least value: for them Σ (x² − log x²) is taken
instead, which is convex in the same way and draws them to mean square 1. Sources: Kempf and Ness 1979; path
normalisation of ReLU nets (Neyshabur et al. 2015, arXiv:1506.02617).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from symcheck.weights.element import element_shape
from symcheck.weights.loose import loose_entries
from symcheck.weights.moves import identity, moved
from symcheck.weights.slots import Place, places
from symcheck.weights.spec import Space, Spec

_SWEEPS = 1000
_SETTLED = 1e-13  # largest change of a logarithm in a sweep that still counts as one
_INNER = 200
_SINGULAR = 1e-12  # eigenvalues of Gram matrices, over the largest
_ASKEW = 1e-6


@dataclass
class Balance:
    """A working copy in float64 that is brought to balance, and the element that has done so."""

    spec: Spec
    state: dict[str, Tensor]
    sizes: Mapping[str, int]
    element: dict[str, Tensor] = field(default_factory=dict)
    loose: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def noise(self) -> float:
        """A size below which entries are what rounding has left of zeros."""
        floats = [t for t in self.state.values() if t.is_floating_point() and t.numel()]
        squares, count = sum(float(t.square().sum()) for t in floats), sum(t.numel() for t in floats)
        return 1e-10 * math.sqrt(squares / count) if squares > 0 else 1e-300

    def act(self, name: str, part: Tensor) -> None:
        """Let one space act on the working copy, after what it has done before."""
        space = self.spec.spaces[name]
        self.state |= moved(self.spec, {name: part}, self.state, self.sizes)
        before = self.element.get(name, identity(space, part))
        if space.kind in ("general", "orthogonal"):
            self.element[name] = part @ before
        elif space.kind in ("scale", "sign"):
            self.element[name] = part * before
        elif space.kind in ("rotation", "shift"):
            self.element[name] = part + before
        else:
            self.element[name] = part

    def moved(self) -> dict[str, Tensor]:
        """The tensors of the working copy that the element so far would change."""
        return moved(self.spec, self.element, self.state, self.sizes)

    def settle(self, settled: float = _SETTLED) -> None:
        """Fold the gains that matrices depend on, then sweep over all scale and general spaces until nothing moves.

        `settled` is the largest change of a logarithm in a sweep that counts as none.
        """
        folded = self._fold()
        names = [
            name
            for name, space in self.spec.spaces.items()
            if space.kind in ("scale", "general") and not space.approximate and name not in folded
        ]
        self.loose = loose_entries(self.spec, names, self.state, self.sizes)
        for _ in range(_SWEEPS):
            if max((self._step(self.spec.spaces[name], settled) for name in names), default=0.0) <= settled:
                return

    def _fold(self) -> set[str]:
        """Set the gains in whose basis a matrix acts to ±1 by their own scales; the spaces used up for that."""
        used: set[str] = set()
        gains = {g for s in self.spec.spaces.values() for each in s.gains.values() for one in each for g in one}
        for gain in sorted(gains):
            for name, space in self.spec.spaces.items():
                power = (space.exponents or {}).get(gain, (0,))[0]
                if space.kind == "scale" and not space.whole and power and name not in used:
                    size = self.state[gain].abs().clamp_min(1e-300)
                    part = size.reshape(element_shape(space, self.sizes)) ** (-1 / float(power))
                    self.act(name, part)
                    used.add(name)
                    break
        return used

    def _step(self, space: Space, settled: float) -> float:
        """Bring one space to its own least value, given all others; how far it moved (logarithms)."""
        part, size = self._scaled(space, settled / 100) if space.kind == "scale" else self._whitened(space)
        if size > 0:
            self.act(space.name, part)
        return size

    def _scaled(self, space: Space, settled: float) -> tuple[Tensor, float]:
        """The scales e with Σ p m e^2p = Σ p c: sums of squares m, and numbers c of entries that would vanish."""
        powers: list[tuple[float, Tensor]] = []
        constant: Tensor | float = 0.0
        count = Counter[str]()
        for place, loose in self._places(space):
            p = float(place.exponent)
            powers.append((p, (place.rows + self.spec.offsets.get(place.tensor, 0.0)).square().sum(-1)))
            constant = constant + p * loose.sum(-1)
            count[place.tensor] += 1
        log = torch.zeros_like(powers[0][1])
        up, down = (torch.as_tensor(side * constant).double().clamp_min(0.0).expand_as(log) for side in (-1, 1))
        steep = sum(max((side * p for p, _ in powers if side * p > 0), default=0.0) for side in (-1, 1))
        for _ in range(_INNER):
            rising = up + sum(p * m * (2 * p * log).exp() for p, m in powers if p > 0)
            falling = down + sum(-p * m * (2 * p * log).exp() for p, m in powers if p < 0)
            alive = (rising > 0) & (falling > 0)
            change = torch.where(alive, (falling / rising).log() / (2 * steep), 0.0)
            log = log + change
            if not float(change.abs().max()) > settled:
                break
        log = log / max(count.values())
        return log.exp().reshape(element_shape(space, self.sizes)), float(log.abs().max())

    def _whitened(self, space: Space) -> tuple[Tensor, float]:
        """A = S^½ with S G₊ S − G₋ = c S: the Gram matrices of both sides, and c as for scales."""
        eye = torch.eye(space.size, dtype=torch.float64)
        sides: dict[bool, Tensor] = {}
        surplus = 0.0
        count = Counter[str]()
        for place, loose in self._places(space):
            gram = place.rows @ place.rows.mT
            sides[place.exponent > 0] = sides.get(place.exponent > 0, torch.zeros_like(gram)) + gram
            surplus += float(place.exponent) * float(loose.double().sum(-1).mean())
            count[place.tensor] += 1
        shape = element_shape(space, self.sizes)
        up, down = sides.get(True), sides.get(False)
        spans = [span(gram) for gram in sides.values()]
        if not spans or float((spans[0] - spans[-1]).abs().max()) > _ASKEW:
            return eye.expand(shape), 0.0
        if up is None:
            half = _power(sides[False] / -surplus, 0.5) if surplus < 0 else eye.expand(shape)
        else:
            root, back = _power(up, 0.5), _power(up, -0.5)
            inner = root @ down @ root if down is not None else torch.zeros_like(up)
            both = surplus / 2 * spans[0] + _power(surplus**2 / 4 * spans[0] + inner, 0.5)
            half = _power(back @ both @ back, 0.5)
        if max(count.values()) > 1:
            half = _power(half, 1 / max(count.values()))
        half = half + eye - spans[0]
        return half.reshape(shape), float((half - eye).abs().max())

    def _places(self, space: Space) -> Iterator[tuple[Place, Tensor]]:
        """Every place at which the space acts, with which of its entries would vanish."""
        marks = places(self.spec, space, self.loose, self.sizes)
        for place, mark in zip(places(self.spec, space, self.state, self.sizes), marks, strict=True):
            if place.exponent:
                yield place, mark.rows


def span(gram: Tensor) -> Tensor:
    """The projection on the range of a positive semidefinite matrix."""
    return _power(gram, 0.0)


def _power(symmetric: Tensor, power: float) -> Tensor:
    """A power of a positive semidefinite matrix; of what is zero up to rounding, zero."""
    values, vectors = torch.linalg.eigh((symmetric + symmetric.mT) / 2)
    kept = values > _SINGULAR * values[..., -1:]
    raised = torch.where(kept, values.clamp_min(1e-300) ** power, 0.0)
    result: Tensor = (vectors * raised[..., None, :]) @ vectors.mT
    return result
