"""Weight matching: coordinate ascent of ⟨A, g·B⟩ over the spaces, one linear assignment at a time.

After Git Re-Basin (Ainsworth et al. 2022, arXiv:2209.04836). A space is looked at again only when a neighbour has
moved since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.align.assign import assign
from symcheck.align.certainty import certain
from symcheck.align.heads import improve_heads
from symcheck.align.problem import Problem
from symcheck.align.products import Products
from symcheck.align.turns import improve_turn
from symcheck.weights.spec import Space

_VISITS = 100  # of every space at most
_GAIN = 1e-9  # of the objective; less is rounding


@dataclass
class Ascent:
    """What one ascent did: ⟨A, g·B⟩ after every sweep, assignments solved, and whether it came to rest."""

    objective: list[float] = field(default_factory=list)
    solved: int = 0
    settled: bool = True


def match(
    problem: Problem,
    order: list[str] | None = None,
    tell: Callable[[float], None] | None = None,
    *,
    held: frozenset[str] = frozenset(),
    products: Products | None = None,
) -> Ascent:
    """Weight matching from where the problem stands; the sources and turns are left in the problem.

    `order` are the permutation spaces as they are visited first; those that are `held` stay as they are.
    `products` are those of a start, whose work is used again.
    """
    return ascend(problem, products or Products.of(problem), order, tell=tell, held=held)


def ascend(
    problem: Problem,
    products: Products,
    order: Sequence[str] | None = None,
    *,
    tell: Callable[[float], None] | None = None,
    held: frozenset[str] = frozenset(),
) -> Ascent:
    """Solve space after space until none moves, the one that has waited longest first; `tell` hears the objective."""
    spaces = [n for n in (*(problem.matched if order is None else order), *problem.turning) if n not in held]
    waiting, sweep = [n for n in spaces if n not in problem.best], max(1, len(spaces))
    problem.best.clear()
    done = Ascent([problem.objective()])
    moves = seen = 0
    for _, moved in solving(problem, products, waiting, spaces):
        done.solved, moves = done.solved + 1, moves + moved
        if done.solved % sweep == 0 or not waiting:
            done.objective.append(problem.objective() if moves > seen else done.objective[-1])
            seen = moves
            if tell is not None:
                tell(done.objective[-1])
        if waiting and done.solved >= _VISITS * sweep:
            done.settled = False
            break
    return done


def solving(
    problem: Problem, products: Products, waiting: list[str], spaces: Sequence[str]
) -> Iterator[tuple[str, bool]]:
    """Solve the space that has waited longest, of which those nearby wait again if it moved: its name, and whether."""
    while waiting:
        space = problem.spec.spaces[waiting.pop(0)]
        moved = improve(problem, products, space)
        if moved:
            near = [n for n in spaces if n in problem.neighbours[space.name]]
            waiting += [n for n in near if n not in waiting]
        yield space.name, moved


def improve(problem: Problem, products: Products, space: Space) -> bool:
    """Set one space to its best element, all else as it is; whether that was a gain.

    Where a space stands in a block twice, what is best for each place need not be so for both: then the step is taken
    back unless the objective rises.
    """
    if space.name not in problem.neighbours[space.name]:
        return _improved(problem, products, space)
    blocks = [block for block in problem.blocks if space.on in block.atoms]
    before, kept = problem.objective(blocks), (dict(problem.source), dict(problem.b), dict(problem.element))
    if not _improved(problem, products, space):
        return False
    if problem.objective(blocks) > before + _GAIN * abs(before):
        return True
    problem.source.update(kept[0])
    problem.restore(*kept[1:])
    return False


def _improved(problem: Problem, products: Products, space: Space) -> bool:
    if space.name in problem.turning:
        return improve_turn(problem, space)
    if any(problem.inner(space)):
        return improve_heads(problem, space)
    source = certain(products, space)
    if source is not None:
        if torch.equal(source, problem.source[space.name]):
            return False
        problem.source[space.name] = source
        return True
    return _reassigned(problem, products, space)


def _reassigned(problem: Problem, products: Products, space: Space) -> bool:
    """Solve the assignment of one space, with the signs of its units."""
    classes = products.gains(space)
    alone = {key: next(iter(key)) for key in classes if len(key) == 1}
    gains = sum((g.abs() if key in alone else g for key, g in classes.items()), torch.zeros(()))
    source, before = assign(gains), problem.source[space.name]
    now = sum(float(_picked(g, before).sum(dtype=torch.float64)) for g in classes.values())
    best = float(_picked(gains, source).sum(dtype=torch.float64))
    if not best - now > _tolerance(gains) * (abs(best) + abs(now)):
        return False
    problem.source[space.name] = source
    for key, name in alone.items():
        picked = _picked(classes[key], source)
        if bool((picked < 0).any()):
            signs = torch.ones_like(picked, dtype=torch.float64)
            signs.scatter_(-1, source, torch.where(picked < 0, -1.0, 1.0).double())
            sign = problem.spec.spaces[name]
            problem.turn(sign, problem.to_units(sign, signs))
    return True


def _picked(gains: Tensor, source: Tensor) -> Tensor:
    return gains.gather(-1, source[..., None])[..., 0]


def _tolerance(gains: Tensor) -> float:
    return 8 * torch.finfo(gains.dtype).eps
