"""Names of abstract finite groups that the orders of their elements tell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

# non-abelian groups of order up to 120 that the orders of their elements tell apart from all others of their order
_KNOWN: tuple[tuple[tuple[str, ...], dict[int, int]], ...] = (
    (("A4",), {1: 1, 2: 3, 3: 8}),
    (("S4",), {1: 1, 2: 9, 3: 8, 4: 6}),
    (("A5",), {1: 1, 2: 15, 3: 20, 5: 24}),
    (("S5",), {1: 1, 2: 25, 3: 20, 4: 30, 5: 24, 6: 20}),
    (("Q8",), {1: 1, 2: 1, 4: 6}),
    (("S4", "C2"), {1: 1, 2: 19, 3: 8, 4: 12, 6: 8}),
    (("A4", "C2"), {1: 1, 2: 7, 3: 8, 6: 8}),
)


def by_orders(orders: Sequence[int], abelian: bool) -> tuple[str, ...]:
    """The direct factors, `("C4", "C2")`, `("D3",)`; none of the trivial group, and where the orders do not tell.

    Among the groups of order 2m > 4 with a turn of order m only D_m has m flips, and one more where m is even.
    """
    if abelian:
        return tuple(f"C{size}" for size in invariant_factors(orders))
    n, top, count = len(orders), max(orders), Counter(orders)
    if n == 2 * top and count[2] == top + (top % 2 == 0):
        return (f"D{top}",)
    return next((names for names, known in _KNOWN if known == count), ())


def invariant_factors(orders: Sequence[int]) -> list[int]:
    """a, b, .. of an abelian group C_a x C_b x .., each divided by the next: Π p^min(e_i, k) orders divide p^k."""
    factors: list[int] = []
    n = len(orders)
    for p in (p for p in range(2, n + 1) if n % p == 0 and all(p % q for q in range(2, p))):
        k, before = 1, 1
        while (now := sum(p**k % order == 0 for order in orders)) > before:
            rank = round(math.log(now / before, p))
            factors += [1] * (rank - len(factors))
            factors[:rank] = [factor * p for factor in factors[:rank]]
            k, before = k + 1, now
    return factors
