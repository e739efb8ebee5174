"""The name of a finite group that is given by generators: C_n, D_n, S_n, A_n, Z2^k, their products, or its order."""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor

from symcheck.groups.generated import LISTED, Generated, generated, slot_of
from symcheck.groups.permutations import odd

Row = tuple[int, ...]

# groups of order up to 120 that the orders of their elements tell apart from all others of their order
_BY_ORDERS = {
    "A4": {1: 1, 2: 3, 3: 8},
    "S4": {1: 1, 2: 9, 3: 8, 4: 6},
    "A5": {1: 1, 2: 15, 3: 20, 5: 24},
    "S5": {1: 1, 2: 25, 3: 20, 4: 30, 5: 24, 6: 20},
    "Q8": {1: 1, 2: 1, 4: 6},
    "S4 x Z2": {1: 1, 2: 19, 3: 8, 4: 12, 6: 8},
    "A4 x Z2": {1: 1, 2: 7, 3: 8, 6: 8},
}


def name_of(group: Generated) -> str:
    """`S3 x Z2^2`: generators with disjoint supports give a direct product, whose parts are named one by one."""
    parts = [_name(generated(group.kind, rows)) for rows in _independent(group.rows)]
    binary = sum(_binary(part) for part in parts)
    names = sorted((part for part in parts if not _binary(part)), reverse=True)
    names += [f"Z2^{binary}" if binary > 1 else "Z2"] if binary else []
    counted = [f"{name}^{count}" if count > 1 and " " not in name else " x ".join([name] * count)
               for name, count in Counter(names).items()]  # fmt: skip
    return " x ".join(counted) or "trivial"


def needed(group: Generated) -> Generated:
    """The same group without the generators that the others give, dropped one at a time, those that move most first."""
    kept = [row for row in dict.fromkeys(group.rows) if any(slot_of(q) != q or q != i for i, q in enumerate(row))]
    for row in sorted(kept, key=lambda row: -sum(q != i for i, q in enumerate(row))):
        rest = [other for other in kept if other != row]
        if rest and generated(group.kind, rest).order == group.order:
            kept = rest
    return generated(group.kind, kept or list(group.rows[:1]))


def _binary(name: str) -> int:
    """k of Z2^k, 0 for other names."""
    return {"Z2": 1}.get(name, int(name[3:]) if name.startswith("Z2^") and " " not in name else 0)


def _independent(rows: tuple[Row, ...]) -> list[list[Row]]:
    """The generators in classes whose supports do not meet; signs of elements count as support."""
    classes: list[tuple[set[int], list[Row]]] = []
    for row in rows:
        support = {i for i, q in enumerate(row) if q != i}
        met = [one for one in classes if one[0] & support]
        classes = [one for one in classes if not one[0] & support]
        classes.append((support.union(*(s for s, _ in met)), [r for _, rs in met for r in rs] + [row]))
    return [rows for support, rows in classes if support]


def _name(group: Generated) -> str:
    order = int(group.order or 0)
    signed = any(q < 0 for row in group.rows for q in row)
    moved = sum(any(row[i] != i for row in group.rows) for i in range(group.degree))
    if not signed and moved > 2 and order == math.factorial(moved):
        return f"S{moved}"
    if not signed and moved > 3 and 2 * order == math.factorial(moved) and not _has_odd(group):
        return f"A{moved}"
    if signed and not group.odd and moved > 2 and order == 2**moved * math.factorial(moved):
        return f"B{moved}"
    elements = group.elements() if order <= LISTED else None
    return f"order {order:,}" if elements is None else _small(group, elements)


def _small(group: Generated, elements: Tensor) -> str:
    """The name of a group whose elements are listed."""
    orders, n = _orders(group, elements), len(elements)
    if _abelian(group):
        return _abelian_name(orders)
    half = n // 2
    turns = [i for i, k in enumerate(orders) if k == half]
    if n % 2 == 0 and turns and half > 2 and _dihedral(group, elements, elements[turns[0]], half):
        return "S3" if half == 3 else f"D{half}"
    counts = dict(sorted(Counter(orders).items()))
    return next((name for name, known in _BY_ORDERS.items() if known == counts), f"order {n:,}")


def _orders(group: Generated, elements: Tensor) -> list[int]:
    """The order of every element."""
    one, power = group.identity(len(elements)), elements
    orders = torch.zeros(len(elements), dtype=torch.int64)
    for k in range(1, len(elements) + 1):
        done = (power == one).all(1) & (orders == 0)
        orders[done] = k
        if bool((orders > 0).all()):
            break
        power = group.compose(elements, power)
    found: list[int] = orders.tolist()
    return found


def _abelian(group: Generated) -> bool:
    rows = torch.tensor(group.rows)
    count = len(rows)
    a, b = rows.repeat_interleave(count, 0), rows.repeat(count, 1)
    return bool((group.compose(a, b) == group.compose(b, a)).all())


def _abelian_name(orders: list[int]) -> str:
    """Invariant factors from how many elements have an order that divides p^k."""
    n, factors = len(orders), []
    for p in _primes(n):
        ranks, before, k = [], 1, 1
        while True:
            now = sum(p**k % order == 0 for order in orders)
            if now == before:
                break
            ranks.append(round(math.log(now / before, p)))
            before, k = now, k + 1
        ranks.append(0)
        factors.append([p ** (i + 1) for i in range(len(ranks) - 1) for _ in range(ranks[i] - ranks[i + 1])][::-1])
    longest = max(map(len, factors), default=0)
    sizes = [math.prod(f[i] for f in factors if i < len(f)) for i in range(longest)]
    if not sizes:
        return "trivial"
    if set(sizes) == {2}:
        return f"Z2^{len(sizes)}" if len(sizes) > 1 else "Z2"
    return " x ".join("Z2" if size == 2 else f"C{size}" for size in sizes)


def _dihedral(group: Generated, elements: Tensor, turn: Tensor, count: int) -> bool:
    """Whether an element outside the powers of `turn` inverts it."""
    powers, power = set(), group.identity(1)
    for _ in range(count):
        powers.add(tuple(power[0].tolist()))
        power = group.compose(turn[None], power)
    outside = next(e for e in elements if tuple(e.tolist()) not in powers)[None]
    twisted = group.compose(group.compose(outside, turn[None]), group.inverse(outside))
    square = group.compose(outside, outside)
    return bool((twisted == group.inverse(turn[None])).all() and (square == group.identity(1)).all())


def _has_odd(group: Generated) -> bool:

    return bool(odd(torch.tensor(group.rows)[:, :-1]).any())


def _primes(n: int) -> list[int]:
    found, p = [], 2
    while n > 1:
        if n % p == 0:
            found.append(p)
            while n % p == 0:
                n //= p
        p += 1
    return found
