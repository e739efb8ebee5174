"""Maps between tensor powers of the matrices of O(n), SO(n) and Sp(n), spanned by pairings of the legs.

O(n): products of δ. SO(n): one Levi-Civita symbol besides. Sp(n): the form J between two legs on the same side.
The span is not a basis when n < m/2 (O) or n < m (Sp): the Gram matrix is inverted on its range
(Brauer 1937; Pearce-Crump 2022, arXiv:2212.08630).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import torch
from torch import Tensor

from symcheck.errors import DataError
from symcheck.groups.base import Group
from symcheck.groups.lie import Orthogonal
from symcheck.intertwiners.diagrams import diagonal, matchings
from symcheck.intertwiners.subspace import Axis, Subspace
from symcheck.intertwiners.symplectic import Symplectic

MOST_LEGS = 8
_RANK = 1e-9


@dataclass(frozen=True)
class Pairing:
    """Pairs of legs that share an index, with J where `twisted`, and legs on one Levi-Civita symbol."""

    pairs: tuple[tuple[int, ...], ...]
    twisted: tuple[bool, ...] = ()
    symbol: tuple[int, ...] = ()

    def view(self, x: Tensor) -> Tensor:
        """The entries where the pairs agree: axes of the symbol's legs first, then one a pair; no copy is made."""
        return diagonal(x, [*((leg,) for leg in self.symbol), *self.pairs])


class Span(Subspace):
    """ΠW = Σ pinv(G)_ab ⟨E_b, W⟩ E_a over the pairings E, G_ab = ⟨E_a, E_b⟩."""

    method = "Brauer diagrams"

    def __init__(self, axes: Sequence[Axis], family: str, n: int) -> None:
        super().__init__(axes)
        out, into = axes[0].space.power or 0, sum(axis.space.power or 0 for axis in axes[1:])
        self._shape, self._n = (n,) * (out + into), n
        self.pairings = tuple(_pairings(family, n, out, into))
        rows = [self._inner(self._expand(p, torch.ones(1, dtype=torch.float64))) for p in self.pairings]
        gram = torch.cat([torch.zeros(0, len(rows), dtype=torch.float64), *rows])
        values, vectors = torch.linalg.eigh(gram)
        kept = values > _RANK * (float(values[-1]) if len(values) else 1.0)
        self.dimension = int(kept.sum())
        self.natural = self.dimension == len(self.pairings)
        self._inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
        self._norms = gram.diagonal().sqrt()

    def project(self, weight: Tensor) -> Tensor:
        """Contract with every pairing, solve, expand."""
        numbers = self._inner(weight.reshape(-1, *self._shape)) @ self._inverse
        whole = torch.zeros((len(weight), *self._shape), dtype=torch.float64)
        for i, pairing in enumerate(self.pairings):
            whole += self._expand(pairing, numbers[:, i])
        return whole.reshape(weight.shape)

    def coefficients(self, weight: Tensor) -> Tensor:
        """The factor of each pairing times its norm."""
        return torch.matmul(self._inner(weight.reshape(-1, *self._shape)), self._inverse) * self._norms

    def _inner(self, w: Tensor) -> Tensor:
        """⟨E_b, W⟩, (b, pairings)."""
        columns = [self._contract(pairing, w.contiguous()) for pairing in self.pairings]
        return torch.stack(columns, 1) if columns else w.new_zeros(len(w), 0)

    def _contract(self, pairing: Pairing, w: Tensor) -> Tensor:
        rows = [pairing.view(row) for row in self._twist(pairing, w, 1.0)]
        if pairing.symbol:
            symbol = levi_civita(self._n)
            return torch.stack([(row.reshape(*symbol.shape, -1).sum(-1) * symbol).sum() for row in rows])
        return torch.stack([row.sum() for row in rows])

    def _expand(self, pairing: Pairing, numbers: Tensor) -> Tensor:
        """numbers[b] E, (b, n, .., n)."""
        whole = torch.zeros(self._shape, dtype=torch.float64)
        view = pairing.view(whole)
        symbol = levi_civita(self._n) if pairing.symbol else torch.ones((), dtype=torch.float64)
        view += symbol[(..., *[None] * len(pairing.pairs))]
        return self._twist(pairing, whole[None], -1.0) * numbers.reshape(-1, *[1] * len(self._shape))

    def _twist(self, pairing: Pairing, w: Tensor, sign: float) -> Tensor:
        """J on the second leg of each twisted pair (sign 1), so that E becomes a product of δ; J⁻¹ = -J back."""
        for (_, leg), twisted in zip(pairing.pairs, pairing.twisted, strict=bool(pairing.twisted)):
            if twisted:
                low, high = w.chunk(2, leg + 1)
                w = torch.cat([sign * high, -sign * low], leg + 1)
        return w.contiguous()


def brauer(axes: Sequence[Axis]) -> Span | None:
    """The subspace between tensor powers of one group's matrices, up to eight legs; else None."""
    found = family_of(axes[0].space.group)
    legs = [axis.space.power for axis in axes]
    if found is None or any(k is None for k in legs) or sum(k or 0 for k in legs) > MOST_LEGS:
        return None
    return Span(axes, *found)


def family_of(group: Group) -> tuple[str, int] | None:
    """(`O`, `SO` or `Sp`, the size of the matrices); None for other groups."""
    if isinstance(group, Orthogonal):
        return "O" if group.has_improper else "SO", group.dimension
    return ("Sp", group.dimension) if isinstance(group, Symplectic) else None


def levi_civita(n: int) -> Tensor:
    """ε of n legs, (n, .., n): the sign of the permutation, and zero where an index repeats."""
    symbol = torch.zeros((n,) * n, dtype=torch.float64)
    for order in permutations(range(n)):
        inversions = sum(a > b for a, b in combinations(order, 2))
        symbol[order] = 1.0 - 2.0 * (inversions % 2)
    return symbol


def _pairings(family: str, n: int, out: int, into: int) -> Iterator[Pairing]:
    legs = tuple(range(out + into))
    if family not in ("O", "SO", "Sp"):
        raise DataError(f"there are no diagrams for {family}({n})", where="Brauer diagrams", hint="use O, SO or Sp")
    for pairs in matchings(legs):
        twisted = tuple(family == "Sp" and (a < out) == (b < out) for a, b in pairs)
        yield Pairing(pairs, twisted)
    if family == "SO":
        for symbol in combinations(legs, n):
            for pairs in matchings(tuple(leg for leg in legs if leg not in symbol)):
                yield Pairing(pairs, (False,) * len(pairs), symbol)
