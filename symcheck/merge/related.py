"""Do checkpoints belong together, unit by unit? Found without running anything and without a spec.

Training treats the hidden units of a layer alike, so in checkpoints of independent seeds the rows that lead to them are
exchangeable: θ_b with its rows in another order is as likely as θ_b. Then S = Σ_i ⟨a_i, b_i⟩ is a draw from its values
over all orders, and z = (S − E S) / sd S, whose two moments are known in closed form, is of the size of 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from symcheck.errors import LoadError
from symcheck.merge.sources import State, finite

CLEAR = 4.0  # deviations from what a random order gives
ALIKE = 0.5  # a cosine that no two independent trainings reach
_FEWEST = 8  # units; the order of fewer says little


@dataclass(frozen=True)
class Order:
    """Is the order of units in a tensor of b that of a? `z` and `cosine` are of the side that speaks least for it."""

    name: str
    z: float
    cosine: float
    entries: int

    @property
    def same(self) -> bool:
        """Whether a random order is ruled out."""
        return self.z > CLEAR or self.cosine > ALIKE


@dataclass(frozen=True)
class Relation:
    """How two checkpoints are related: the order of units in every matrix, and over all matrices cos(a, b) and
    ‖b − a‖ / ‖a‖."""

    orders: tuple[Order, ...]
    cosine: float
    distance: float

    @property
    def mixed(self) -> tuple[Order, ...]:
        """The tensors whose units may stand in any order, the largest first."""
        return tuple(sorted((o for o in self.orders if not o.same), key=lambda o: -o.entries))


def relation(a: State, b: State) -> Relation:
    """The relation of b to a, from all tensors with two axes or more."""
    floats = {n: (x, b[n]) for n, x in a.items() if x.is_floating_point() and x.dim() >= 2 and x.numel()}
    orders, products = [], [0.0, 0.0, 0.0]
    for name, (x, y) in floats.items():
        one, two = x.detach().double(), y.detach().double()
        if not (finite(one) and finite(two)):  # masks
            continue
        for i, (p, q) in enumerate(((one, one), (one, two), (two, two))):
            products[i] += float((p * q).sum())
        if not bool((one == two).all()) and (found := order(name, one, two)) is not None:
            orders.append(found)
    aa, ab, bb = products
    size = math.sqrt(aa * bb)
    distance = math.sqrt(max(aa - 2 * ab + bb, 0.0) / aa) if aa > 0 else math.nan
    return Relation(tuple(orders), ab / size if size > 0 else math.nan, distance)


def order(name: str, a: Tensor, b: Tensor) -> Order | None:
    """The order of the rows and of the columns of two tensors; None where neither has eight or more."""
    sides = [_compared(x, y) for x, y in _sides(a, b) if len(x) >= _FEWEST]
    if not sides:
        return None
    z, cosine = min(sides)
    return Order(name, z, cosine, a.numel())


def refuse_mixed(relations: Mapping[str, Relation], hint: str) -> None:
    """LoadError where the units of a checkpoint are not in the order of those that it is mixed with."""
    for which, found in relations.items():
        if mixed := found.mixed:
            worst = mixed[0]
            raise LoadError(
                f"{which} are not aligned: in {len(mixed)} of {len(found.orders)} tensors the units are in no common "
                f"order, as those of independent trainings",
                where=f"{worst.name}: cosine {worst.cosine:.3f}, {worst.z:.1f} deviations from a random order",
                hint=hint,
            )


def _sides(a: Tensor, b: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for axis in (0, 1):
        yield a.movedim(axis, 0).flatten(1), b.movedim(axis, 0).flatten(1)


def _compared(a: Tensor, b: Tensor) -> tuple[float, float]:
    """z and cosine of two matrices (n, m) without the mean of their rows.

    Of centred rows, over all n! orders of b's, S has the mean 0 and the variance ‖A B^T‖² / (n − 1).
    """
    a, b = a - a.mean(0), b - b.mean(0)
    n, m = a.shape
    gram = (a @ b.mT).square().sum() if n <= m else ((a.mT @ a) * (b.mT @ b)).sum()
    s, deviation, size = float((a * b).sum()), math.sqrt(float(gram) / (n - 1)), float(a.norm() * b.norm())
    return (s / deviation if deviation > 0 else 0.0), (s / size if size > 0 else 0.0)
