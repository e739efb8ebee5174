"""How many equivariant maps there are: by the subspace, by characters, and by formula; and what no map can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb, factorial

from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.intertwiners.characters import character_dimension, power_dimension
from symcheck.intertwiners.projection import subspace
from symcheck.intertwiners.representation import Representation, power
from symcheck.intertwiners.subspace import Axis


def dimension(
    out: Representation,
    into: Representation | None = None,
    kernel: Representation | None = None,
    *,
    method: str = "auto",
) -> int:
    """dim Hom(in, out) under the group; `method` as for `subspace`, or `characters`: E χ_out(g) χ_in(g⁻¹)."""
    if method == "characters":
        spaces = [space for space in (into, kernel) if space is not None]
        return character_dimension([Axis(out), *(Axis(space, reads=True) for space in spaces)])
    return subspace(out, into, kernel, method=method).dimension


def symmetric(n: int, m: int) -> int:
    """The orbits of S_n on [n]^m: Σ_{t ≤ n} S2(m, t), which is Bell(m) from n = m on."""
    return sum(stirling(m, t) for t in range(n + 1))


def alternating(n: int, m: int) -> int:
    """The orbits of A_n, n ≥ 3, on [n]^m: those of S_n + S2(m, n-1) + S2(m, n)."""
    if n < 3:
        raise ClaimError(f"the formula for A_n needs n of at least 3, not {n}", where=f"A({n})", hint="use S(n)")
    return symmetric(n, m) + stirling(m, n - 1) + stirling(m, n)


def orthogonal(n: int, m: int) -> int:
    """The invariants of m vectors under O(n), by Weyl's integral; (m-1)!! pairings span them, dependent for n < m/2."""
    return power_dimension("O", n, m)


def rotations(n: int, m: int) -> int:
    """The invariants of m vectors under SO(n), by Weyl's integral."""
    return power_dimension("SO", n, m)


def symplectic(n: int, m: int) -> int:
    """The invariants of m vectors under Sp(n), by Weyl's integral over its compact form."""
    return power_dimension("Sp", n, m)


def stirling(m: int, t: int) -> int:
    """S2(m, t), the partitions of m things into t blocks: Σ_j (-1)^(t-j) C(t, j) j^m / t!."""
    signed: int = sum((1 - 2 * ((t - j) % 2)) * comb(t, j) * j**m for j in range(t + 1))
    return signed // factorial(t)


@dataclass(frozen=True)
class Blindness:
    """What maps between tensor powers can tell of two groups, the smaller inside the larger.

    `order` is the smallest number m of legs, input and output together, at which the smaller group allows more maps;
    None where there is none up to `most`. Below it a layer cannot distinguish the two.
    """

    larger: str
    smaller: str
    order: int | None
    most: int
    dimensions: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        if self.order is None:
            return f"layers up to order {self.most} cannot distinguish {self.smaller} from {self.larger}"
        return f"layers below order {self.order} cannot distinguish {self.smaller} from {self.larger}"


def blindness(
    larger: Group, smaller: Group, most: int = 6, space: Callable[[Group, int], Representation] = power
) -> Blindness:
    """Compare dim Hom of both groups on m = 1, 2, .. legs of `space`, by default tensor powers, up to `most`.

    The maps of the larger group are among those of the smaller one, so equal dimensions mean the same maps.
    Raises ClaimError where a dimension says that the groups are the wrong way round.
    """
    dimensions: list[tuple[int, int]] = []
    for m in range(1, most + 1):
        pair = dimension(space(larger, m)), dimension(space(smaller, m))
        dimensions.append(pair)
        if pair[0] > pair[1]:
            raise ClaimError(
                f"{smaller.name} is not a subgroup of {larger.name}: it allows fewer maps, {pair[1]} of {pair[0]}",
                where=f"order {m}",
                hint="give the larger group first",
            )
        if pair[0] < pair[1]:
            return Blindness(larger.name, smaller.name, m, most, tuple(dimensions))
    return Blindness(larger.name, smaller.name, None, most, tuple(dimensions))
