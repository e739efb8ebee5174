"""What is written into a space and not read from it, or read and never written, set to zero: the function stays.

No element of GL does it, but a sequence of elements comes as near as one likes: two networks that differ in such
parts only have no common canonical form before they are pruned.
"""

from __future__ import annotations

import torch
from torch import Tensor

from symcheck.weights.balance import Balance, span
from symcheck.weights.slots import places
from symcheck.weights.spec import Space


def prune(balance: Balance) -> list[str]:
    """Project readers on what is written and writers on what is read, for every general space; those changed."""
    changed = []
    for space in balance.spec.spaces.values():
        if space.kind != "general" or space.approximate or space.gains:
            continue
        for positive in (True, False, True):
            found = _span(balance, space, positive)
            full = found is None or float((found - torch.eye(space.size, dtype=torch.float64)).abs().max()) < 1e-9
            if found is not None and not full:
                _project(balance, space, found, not positive)
                changed.append(space.name)
    return list(dict.fromkeys(changed))


def _span(balance: Balance, space: Space, positive: bool) -> Tensor | None:
    """The projection on what the tensors on one side span, (copies, n, n)."""
    total: Tensor | None = None
    for place in places(balance.spec, space, balance.state, balance.sizes):
        if place.exponent and (place.exponent > 0) == positive:
            gram = place.rows @ place.rows.mT
            total = gram if total is None else total + gram
    return None if total is None else span(total)


def _project(balance: Balance, space: Space, onto: Tensor, positive: bool) -> None:
    """Project the rows on one side, in copies of the tensors."""
    sides = list(places(balance.spec, space, balance.state, balance.sizes))
    names = {place.tensor for place in sides if place.exponent and (place.exponent > 0) == positive}
    balance.state |= {name: balance.state[name].clone() for name in names}
    for place in places(balance.spec, space, balance.state, balance.sizes):
        if place.exponent and (place.exponent > 0) == positive:
            place.view.copy_((onto @ place.rows).reshape(place.view.shape))
