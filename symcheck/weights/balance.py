"""The balanced representative: scales and general matrices chosen so that the sum of squares of all weights is least.

The sum of squares is convex in log scales and along every geodesic of GL, so that its least value is reached at one
point up to rotations. A scale that only shrinks (all powers of one sign) has no least value: its tensors get mean
square 1 instead. Sources: Kempf and Ness 1979; path normalisation of ReLU nets (Neyshabur et al. 2015,
arXiv:1506.02617).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.weights.element import element_shape
from symcheck.weights.moves import identity, moved
from symcheck.weights.slots import places
from symcheck.weights.spec import Space, Spec

_SWEEPS = 1000
_SETTLED = 1e-13  # largest change of a logarithm in a sweep that still counts as one
_ESCAPED = 20.0  # a logarithm beyond which a scale has no least value
_SINGULAR = 1e-13


@dataclass
class Balance:
    """A working copy in float64 that is brought to balance, and the element that has done so."""

    spec: Spec
    state: dict[str, Tensor]
    sizes: Mapping[str, int]
    element: dict[str, Tensor] = field(default_factory=dict)
    open_ended: set[str] = field(default_factory=set)

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

    def settle(self) -> None:
        """Fold the gains that matrices depend on, then sweep over all scale and general spaces until nothing moves."""
        folded = self._fold()
        names = [
            name
            for name, space in self.spec.spaces.items()
            if space.kind in ("scale", "general") and not space.approximate and name not in folded
        ]
        start, made = dict(self.state), dict(self.element)
        sweep = 0
        while sweep < _SWEEPS:
            sweep += 1
            largest = max((self._step(self.spec.spaces[name]) for name in names), default=0.0)
            if largest <= _SETTLED:
                return
            if far := self._escaping(names):
                self.open_ended.add(far)
                self.state, self.element = dict(start), dict(made)

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

    def _escaping(self, names: list[str]) -> str:
        """A scale that runs away, if there is one."""
        for name in names:
            if self.spec.spaces[name].kind == "scale" and name not in self.open_ended:
                part = self.element.get(name)
                if part is not None and float(part.log().abs().max()) > _ESCAPED:
                    return name
        return ""

    def _step(self, space: Space) -> float:
        """Bring one space to its own least value, given all others; how far it moved (logarithms)."""
        part, size = self._scaled(space) if space.kind == "scale" else self._whitened(space)
        if size > 0:
            self.act(space.name, part)
        return size

    def _scaled(self, space: Space) -> tuple[Tensor, float]:
        """The scales e with Σ p e^2p m over positive powers p equal to that over negative ones."""
        shape = element_shape(space, self.sizes)
        terms: list[tuple[float, Tensor, int]] = []  # power, sum of squares, number of entries
        count = Counter[str]()
        for place in places(self.spec, space, self.state, self.sizes):
            if place.exponent:
                rows = place.rows + self.spec.offsets.get(place.tensor, 0.0)
                terms.append((float(place.exponent), rows.square().sum(-1), rows.shape[-1]))
                count[place.tensor] += 1
        log = torch.zeros_like(terms[0][1])
        ups, downs = ([(abs(p), m, n) for p, m, n in terms if sign * p > 0] for sign in (1, -1))
        single = not ups or not downs or space.name in self.open_ended
        largest = max((p for p, *_ in ups), default=0.0) + (0.0 if single and ups else max(p for p, *_ in downs))
        for _ in range(100):
            up = sum((p * m * (2 * p * log).exp() for p, m, _ in ups), torch.zeros_like(log))
            down = sum((p * m * (-2 * p * log).exp() for p, m, _ in downs), torch.zeros_like(log))
            if single:  # mean square 1 where the powers have one sign
                one = torch.full_like(log, sum(p * n for p, _, n in (ups or downs)))
                up, down = (up, one) if ups else (one, down)
            alive = (up > 0) & (down > 0)
            change = torch.where(alive, (down / up).log() / (2 * largest), 0.0)
            log = log + change
            if not float(change.abs().max()) > 1e-15:
                break
        log = log / max(count.values())
        return log.exp().reshape(shape), float(log.abs().max())

    def _whitened(self, space: Space) -> tuple[Tensor, float]:
        """A = S^½ with S the geometric mean of G₊^-1 and G₋, the Gram matrices of both sides."""
        sides: dict[bool, Tensor] = {}
        entries = 0
        count = Counter[str]()
        for place in places(self.spec, space, self.state, self.sizes):
            if place.exponent:
                gram = place.rows @ place.rows.mT
                sides[place.exponent > 0] = sides.get(place.exponent > 0, torch.zeros_like(gram)) + gram
                count[place.tensor] += 1
                entries += place.rows.shape[-1]
        shape = element_shape(space, self.sizes)
        eye = torch.eye(space.size, dtype=torch.float64)
        up, down = sides.get(True), sides.get(False)
        if not sides or not all(map(_regular, sides.values())):
            return eye.expand(shape), 0.0
        if up is None or down is None:  # one side only: made white
            (one,) = sides.values()
            half = _power(one / entries, -0.5 if down is None else 0.5)
        else:
            root = _power(up, 0.5)
            back = _power(up, -0.5)
            half = _power(back @ _power(root @ down @ root, 0.5) @ back, 0.5)
        if max(count.values()) > 1:
            half = _power(half, 1 / max(count.values()))
        return half.reshape(shape), float((half - eye).abs().max())


def _regular(gram: Tensor) -> bool:
    values = torch.linalg.eigvalsh(gram)
    return bool((values[..., 0] > _SINGULAR * values[..., -1]).all())


def _power(symmetric: Tensor, power: float) -> Tensor:
    """A power of a positive definite matrix."""
    values, vectors = torch.linalg.eigh((symmetric + symmetric.mT) / 2)
    result: Tensor = (vectors * values.clamp_min(1e-300)[..., None, :] ** power) @ vectors.mT
    return result
