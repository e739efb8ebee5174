"""The turn of B's axes that brings them nearest to A's: orthogonal Procrustes, phases of planes, signs.

All of them leave ‖B‖ as it is; a general matrix is sought among the rotations, after both sides have been balanced.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from symcheck.align.problem import Problem, Use, rows
from symcheck.weights.element import element_shape, sample
from symcheck.weights.frames import coordinates
from symcheck.weights.spec import Space, Spec

_GAIN = 1e-9  # of the objective's parts: less is rounding


def improve_turn(problem: Problem, space: Space, uses: tuple[Use, ...] | None = None) -> bool:
    """Set one space of turns or signs to its best element, all else as it is; whether that was a gain.

    `uses` are where it is looked at, everywhere by default.
    """
    if space.kind == "tree":  # with the trees themselves, in heads
        return False
    if space.kind == "sign":
        return _improve_sign(problem, space, uses)
    cross = _cross(problem, space, problem.uses(space) if uses is None else uses)
    if cross is None:
        return False
    size = torch.linalg.svdvals(cross).sum()
    if space.kind == "rotation":
        best = torch.atan2(cross[..., 1, 0] - cross[..., 0, 1], cross[..., 0, 0] + cross[..., 1, 1])
        after = (cross[..., 0, 0] + cross[..., 1, 1]).hypot(cross[..., 1, 0] - cross[..., 0, 1]).sum()
    else:
        inner = coordinates(space)
        u, s, v = torch.linalg.svd(cross if inner is None else inner.mT @ cross @ inner)
        best, after = u @ v, s.sum()
        if inner is not None:
            eye = torch.eye(space.size, dtype=torch.float64)
            best = inner @ best @ inner.mT + eye - inner @ inner.mT
            after = (best * cross).sum()
    before = cross.diagonal(dim1=-2, dim2=-1).sum()
    if not float(after - before) > _GAIN * float(size):
        return False
    problem.turn(space, problem.to_units(space, best.reshape(element_shape(space, problem.sizes))))
    return True


def _cross(problem: Problem, space: Space, uses: tuple[Use, ...]) -> Tensor | None:
    """Σ x yᵀ over all that turns, x of A and y of B, (*over, n, n) by A's slots."""
    total: Tensor | None = None
    for use in uses:
        if problem.exponent(space, use):
            x, y = (rows(space, use, view) for view in _pair(problem, use))
            both = x.double() @ y.double().mT
            total = both if total is None else total + both
    return total


def _pair(problem: Problem, use: Use) -> tuple[Tensor, Tensor]:
    return problem.view_a(use.block), problem.view_b(use.block)


def flipped(problem: Problem, space: Space) -> tuple[Use, ...]:
    """Where a space of signs changes the sign; the dimension means nothing where it flips whole tensors."""
    if space.on is None:
        powers = space.exponents or {}
        return tuple(Use(block, 0) for block in problem.blocks if powers.get(block.tensor, (0,))[0] % 2)
    found = (Use(block, d) for block in problem.blocks for d, atom in enumerate(block.atoms) if atom == space.on)
    return tuple(use for use in found if problem.exponent(space, use) % 2)


def _improve_sign(problem: Problem, space: Space, uses: tuple[Use, ...] | None) -> bool:
    """Flip the units, or the whole tensors, whose products with A's are negative in sum.

    One at a time where they stand in a block twice: the gain of a pair depends on both.
    """
    total = torch.zeros(element_shape(space, problem.sizes), dtype=torch.float64)
    for use in flipped(problem, space) if uses is None else uses:
        x, y = _pair(problem, use)
        if space.on is not None:
            x, y = rows(space, use, x), rows(space, use, y)
            total += (x * y).sum(-1, dtype=torch.float64).cpu().reshape(total.shape)
        else:
            total += (x * y).sum(dtype=torch.float64).cpu()
    if not bool((total < -_GAIN * total.abs().max()).any()):
        return space.on is None and uses is None and _improve_with_turns(problem, space)
    signs = torch.where(total < 0, -1.0, 1.0).double()
    if space.name in problem.neighbours[space.name]:
        signs = torch.ones_like(signs)
        signs.view(-1)[total.argmin()] = -1.0
    own = problem.by_atom.get(space.on or "")
    if own is not None and not own.over:
        signs = signs.index_select(-1, problem.source[own.name].argsort())
    problem.turn(space, problem.to_units(space, signs))
    return True


def _improve_with_turns(problem: Problem, space: Space) -> bool:
    """Flip whole tensors and turn again what turns them within a hyperplane: neither alone may be a gain."""
    near = [problem.spec.spaces[name] for name in problem.neighbours[space.name] if name in problem.turning]
    near = [other for other in near if other.kind == "orthogonal" and other.fixes]
    if not near:
        return False
    before, kept = problem.objective(), (dict(problem.b), dict(problem.element))
    problem.turn(space, torch.full(element_shape(space, problem.sizes), -1.0, dtype=torch.float64))
    for other in near:
        improve_turn(problem, other)
    if problem.objective() > before * (1 + _GAIN):
        return True
    problem.restore(*kept)
    return False


def drawn(spec: Spec, seed: int, names: Collection[str]) -> dict[str, Tensor]:
    """A random element of these spaces that leaves norms alone: of a general group a rotation."""
    parts = sample(spec, seed, spaces=names) if names else {}
    return {n: torch.linalg.qr(p)[0] if spec.spaces[n].kind == "general" else p for n, p in parts.items()}
