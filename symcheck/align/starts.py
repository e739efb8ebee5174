"""Where an ascent starts from: the order as it is, at random, or found step by step from what does not move.

The last one takes the spaces in the order in which most of their entries meet what is settled: inputs, outputs and
spaces that came before. Where hardly any do, units are compared by their signatures, the sorted entries along what is
not settled, which depend on no other order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from symcheck.align.assign import assign
from symcheck.align.blocks import Block
from symcheck.align.certainty import WORTH, searched
from symcheck.align.heads import improve_heads
from symcheck.align.problem import Problem, Use, rows
from symcheck.align.products import Products
from symcheck.align.turns import drawn, flipped, improve_turn
from symcheck.groups.draws import Draws
from symcheck.weights.spec import Space

_ENOUGH, _COLUMNS = 0.1, 64  # the share, or the number for each unit, of settled entries from which they decide alone
_QUANTILES = 512
_ENTRIES = 2048  # of each unit that are sorted


def random_start(problem: Problem, seed: int) -> None:
    """Every space in an order, and turned, as drawn from (seed, name)."""
    problem.best.clear()
    turning = [n for n in problem.turning if problem.spec.spaces[n].kind != "tree"]
    for name, part in drawn(problem.spec, seed, turning).items():
        problem.turn(problem.spec.spaces[name], part)
    for name in problem.matched:
        shape = problem.source[name].shape
        order = Draws(seed, f"start:{name}").permutations(math.prod(shape[:-1]), shape[-1])
        problem.source[name] = order.reshape(shape).to(problem.device)


def signature_start(
    problem: Problem,
    products: Products | None = None,
    settled: Sequence[str] = (),
    tell: Callable[[list[str]], None] | None = None,
) -> list[str]:
    """Settle every space once, in the order described above, which is returned.

    `settled` are those that are settled already, in that order; `tell` hears all that are so far, after each.
    """
    products = products or Products.of(problem)
    spaces = {name: problem.spec.spaces[name] for name in (*problem.matched, *problem.turning)}
    waiting = [name for name, space in spaces.items() if space.kind != "sign" and name not in settled]
    open_atoms = {spaces[name].on or "" for name in waiting}
    signs = [space for space in spaces.values() if space.kind == "sign"]
    order = [*settled]
    _settle_signs(problem, signs, open_atoms)
    while waiting:
        known = {name: _known(problem, spaces[name], open_atoms) for name in waiting}
        ready = [name for name in waiting if not set(spaces[name].over) & open_atoms]
        name = max(ready, key=lambda n: (min(known[n], 1.0), known[n]))
        plain = [n for n in ready if spaces[n].kind == "permutation" and not any(problem.inner(spaces[n]))]
        if known[name] < 1 and plain:
            name = max(plain, key=lambda n: _size(problem, spaces[n]))
        _settle(problem, products, spaces[name], open_atoms, signs, known[name] >= 1)
        inside = [other.name for both in problem.inner(spaces[name]) for other in both]
        for done in (name, *inside) if spaces[name].kind == "permutation" else (name,):
            if done in waiting:
                waiting.remove(done)
                order.append(done)
            open_atoms.discard(spaces[done].on or "")
        _settle_signs(problem, signs, open_atoms)
        if tell is not None:
            tell(order)
    again = [improve_turn(problem, space) for space in spaces.values() if space.kind == "sign"]
    if any(again):
        problem.best.clear()
    return [name for name in order if spaces[name].kind == "permutation"]


def _settle_signs(problem: Problem, signs: list[Space], open_atoms: set[str]) -> None:
    """Settle the signs that act where all else is settled, one by one, and take them off the list."""
    left: list[Space] | None = None
    while left != signs:
        left = [*signs]
        for sign in left:
            others = [other for other in signs if other is not sign]
            uses = tuple(
                use for use in flipped(problem, sign)
                if not open_atoms & {*use.block.atoms} and not _flipped(problem, use.block, others)
            )  # fmt: skip
            if uses:
                improve_turn(problem, sign, uses)
                signs.remove(sign)


def _settle(
    problem: Problem, products: Products, space: Space, open_atoms: set[str], signs: list[Space], enough: bool
) -> None:
    """Set one space from what is settled, and from signatures where that is little."""
    known = tuple(use for use in problem.uses(space) if not _open(use, space, open_atoms))
    if space.kind != "permutation":
        improve_turn(problem, space, known if enough else None)
        return
    if any(problem.inner(space)):
        improve_heads(problem, space)
        return
    gains: Tensor | None = None
    if enough and not space.over and not any(_flipped(problem, use.block, signs) for use in known):
        source = None
        if space.size >= WORTH:
            gains, source = searched(products, space, known)
        else:
            gains = sum(products.gains(space, known).values(), torch.zeros(()))
        if gains is not None and gains.dim():
            problem.source[space.name] = assign(gains) if source is None else source
        if len(known) == len(problem.uses(space)):
            problem.best.add(space.name)
        return
    for use in (*known, *(() if enough else _largest(problem, space, known))):
        settled = use in known
        x, y = problem.view_a(use.block), problem.view_b(use.block, but=[use.dim])
        if settled:
            x, y = rows(space, use, x), rows(space, use, y)
        else:
            away = _flipped(problem, use.block, signs)
            x, y = (_signature(problem, space, use, view.abs() if away else view, open_atoms) for view in (x, y))
            x, y = x - x.mean(-2, keepdim=True), y - y.mean(-2, keepdim=True)
        here = x @ y.mT
        here = here.abs() if settled and _flipped(problem, use.block, signs) else here
        gains = here if gains is None else gains + here
    if gains is not None:
        problem.source[space.name] = assign(gains)


def _largest(problem: Problem, space: Space, but: Collection[Use]) -> Iterator[Use]:
    """The other places of a space, the largest first, until there are entries enough to tell units apart."""
    entries = 0
    for use in sorted((u for u in problem.uses(space) if u not in but), key=lambda u: -math.prod(u.block.shape)):
        if entries >= _ENTRIES:
            return
        entries += math.prod(use.block.shape) // space.size
        yield use


def _signature(problem: Problem, space: Space, use: Use, view: Tensor, open_atoms: set[str]) -> Tensor:
    """The entries of every unit, sorted along what is not settled, (*over, n, entries)."""
    atoms = use.block.atoms
    lead = [atoms.index(atom) for atom in space.over]
    kinds = {problem.spec.spaces[name].on: problem.spec.spaces[name].kind for name in problem.turning}
    unsettled = [d for d, atom in enumerate(atoms) if atom in open_atoms and d not in (*lead, use.dim)]
    turning = [d for d in unsettled if kinds.get(atoms[d], "sign") != "sign"]
    if turning:
        view = view.square().sum(turning, keepdim=True).sqrt()
    settled = [d for d in range(len(atoms)) if d not in (*lead, use.dim, *unsettled)]
    moved = view.permute([*lead, use.dim, *settled, *unsettled])
    moved = _sorted(moved.reshape(*moved.shape[: len(lead) + 1 + len(settled)], -1))
    if moved.shape[-1] > _QUANTILES:
        at = torch.linspace(0, moved.shape[-1] - 1, _QUANTILES, device=moved.device).round().long()
        moved = moved.index_select(-1, at) * math.sqrt(moved.shape[-1] / _QUANTILES)
    return moved.reshape(*moved.shape[: len(lead) + 1], -1)


def _sorted(values: Tensor) -> Tensor:
    """Sorted along the last axis; numpy does it several times faster on a CPU."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.sort(values.numpy(), -1))
    return values.sort(-1).values


def _flipped(problem: Problem, block: Block, signs: Sequence[Space]) -> bool:
    """Whether any of these signs changes the block."""
    return any(use.block == block for sign in signs for use in flipped(problem, sign))


def _known(problem: Problem, space: Space, open_atoms: set[str]) -> float:
    """How much of a space meets only what is settled; from 1 on that is enough."""
    total = settled = columns = 0
    for use in problem.uses(space):
        size = math.prod(use.block.shape)
        total += size
        if not _open(use, space, open_atoms - _within(problem, space)):
            settled += size
            columns += size // (use.block.shape[use.dim] * math.prod(problem.sizes[atom] for atom in space.over))
    enough = _COLUMNS if space.kind == "permutation" else 2 * space.size
    return max(settled / total / _ENOUGH, columns / enough) if total else 0.0


def _within(problem: Problem, space: Space) -> set[str]:
    return {other.on or "" for both in problem.inner(space) for other in both}


def _open(use: Use, space: Space, open_atoms: set[str]) -> bool:
    """Whether another axis of the block is not settled."""
    return any(atom in open_atoms for d, atom in enumerate(use.block.atoms) if d != use.dim)


def _size(problem: Problem, space: Space) -> int:
    return sum(math.prod(use.block.shape) for use in problem.uses(space))
