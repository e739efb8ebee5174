"""The name of a finite group that is given by generators: C_n, D_n, S_n, A_n, Z2^k, their products, or its order."""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor

from symcheck.groups.generated import LISTED, Generated, generated, slot_of
from symcheck.groups.permutations import odd
from symcheck.groups.structures import by_orders

Row = tuple[int, ...]


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
    abelian = _abelian(group)
    factors = by_orders(_orders(group, elements), abelian)
    if abelian and set(factors) <= {"C2"}:
        return {0: "trivial", 1: "Z2"}.get(len(factors), f"Z2^{len(factors)}")
    names = [{"C2": "Z2", "D3": "S3"}.get(factor, factor) for factor in factors]
    return " x ".join(names) or f"order {len(elements):,}"


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


def _has_odd(group: Generated) -> bool:
    return bool(odd(torch.tensor(group.rows)[:, :-1]).any())
