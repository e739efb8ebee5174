"""Which directions solve the equations: singular values, floors, held-out residuals, and a bootstrap over samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.discover.equations import Equations
from symcheck.discover.forms import block_diagonal
from symcheck.discover.result import Direction

_NEAR, _GAP = 0.05, 10.0  # what is called near: so small, and so far below the next
_DRAWS = 60
_KEPT = 40  # directions that a bootstrap looks at, from the smallest


@dataclass(frozen=True)
class Solutions:
    """Directions by σ, smallest first: `inputs` (p, M) and `outputs` (p, Q) are their coefficients."""

    directions: tuple[Direction, ...]
    inputs: Tensor
    outputs: Tensor
    interval: tuple[int, int]
    gap: float | None

    def count(self, *kinds: str) -> int:
        """How many directions are of these kinds."""
        return sum(one.kind in kinds for one in self.directions)


def solve(train: Equations, fresh: Equations, other: Equations, grams: Sequence[Tensor], ratio: float) -> Solutions:
    """Minimise ‖A_in v + A_out w‖² under vᵀ N v = 1, E‖X x‖² = 1; X_out follows by least squares.

    `grams` are the diagonal blocks of N, the products E⟨X x, Y x⟩ of the bases of the columns of A_in.
    `other` holds the rows of `train` and `fresh` as another precision or step finds them; `ratio` is what of their
    difference is left in `train`. A direction is exact where σ and its held-out residual are at that floor.
    """
    whiten = _whitening(grams)
    reduced, follow = _eliminated(train)
    _, values, vh = torch.linalg.svd(reduced @ whiten, full_matrices=True)
    ordinary = float((train.inputs @ whiten).square().sum() / whiten.shape[1]) ** 0.5
    sigma = torch.cat([values, values.new_zeros(whiten.shape[1] - len(values))]).flip(0) / ordinary
    inputs = (whiten @ vh.flip(0).T).T
    outputs = inputs @ follow.T
    fresh_size = float((fresh.inputs @ whiten).square().sum() / whiten.shape[1]) ** 0.5
    held = _residual(fresh, inputs, outputs) / fresh_size
    both = Equations(*(torch.cat([getattr(train, k), getattr(fresh, k)]) for k in ("inputs", "outputs", "owner")))
    change = Equations(other.inputs - both.inputs, other.outputs - both.outputs, both.owner)
    floor = ratio * _residual(change, inputs, outputs) / ordinary + 200 * torch.finfo(torch.float64).eps
    directions = _kinds(sigma, floor, held)
    inside = sum(one.kind == "exact" for one in directions)
    gap = float(sigma[inside] / sigma[inside - 1]) if 0 < inside < len(sigma) and sigma[inside - 1] > 0 else None
    interval = _bootstrap(train, inputs, directions, ordinary)
    return Solutions(directions, inputs, outputs, interval, gap)


def _whitening(grams: Sequence[Tensor]) -> Tensor:
    """(M, p): coefficients of directions with E⟨X x, Y x⟩ = δ, without those that leave all samples where they are."""
    parts = []
    for gram in grams:
        values, vectors = torch.linalg.eigh(gram)
        keep = values > 1e-10 * values.max()
        parts.append(vectors[:, keep] / values[keep].sqrt())
    return block_diagonal(parts)


def _eliminated(rows: Equations) -> tuple[Tensor, Tensor]:
    """The rows orthogonal to what X_out can explain, and (Q, M) with w = F v the best X_out for v."""
    if not rows.outputs.shape[1]:
        return rows.inputs, rows.inputs.new_zeros((0, rows.inputs.shape[1]))
    u, values, vh = torch.linalg.svd(rows.outputs, full_matrices=False)
    keep = values > 1e-10 * values.max()
    u, values, vh = u[:, keep], values[keep], vh[keep]
    inside = u.T @ rows.inputs
    return rows.inputs - u @ inside, -vh.T @ (inside / values[:, None])


def _residual(rows: Equations, inputs: Tensor, outputs: Tensor) -> Tensor:
    """‖A_in v + A_out w‖ for every direction, (p,)."""
    size: Tensor = torch.linalg.vector_norm(rows.inputs @ inputs.T + rows.outputs @ outputs.T, dim=0)
    return size


def _kinds(sigma: Tensor, floor: Tensor, held: Tensor) -> tuple[Direction, ...]:
    """Exact at the floor, here and on fresh samples; near where a gap follows and fresh samples agree."""
    s, f, h = sigma.tolist(), floor.tolist(), held.tolist()
    exact = next((k for k in range(len(s)) if not (s[k] <= f[k] and h[k] <= 3 * f[k])), len(s))
    near = exact
    for k in range(exact, len(s) - 1):
        if s[k] <= _NEAR and s[k + 1] >= _GAP * s[k] and all(h[i] <= 3 * max(s[i], s[k]) for i in range(exact, k + 1)):
            near = k + 1
    words = ["exact"] * exact + ["near"] * (near - exact) + ["other"] * (len(s) - near)
    return tuple(Direction(*numbers) for numbers in zip(s, f, h, words, strict=True))


def _bootstrap(rows: Equations, inputs: Tensor, directions: Sequence[Direction], ordinary: float) -> tuple[int, int]:
    """The 95 % interval of the number of directions with σ below the middle of the gap, over resampled samples."""
    found = sum(one.kind != "other" for one in directions)
    inside = max((max(one.sigma, one.floor) for one in directions[:found]), default=directions[0].floor)
    outside = directions[found].sigma if found < len(directions) else 1.0
    limit = (inside * max(outside, inside)) ** 0.5
    kept = min(len(directions), max(_KEPT, 2 * found))
    projected = Equations(rows.inputs @ inputs[:kept].T, rows.outputs, rows.owner)
    names, place = torch.unique(rows.owner, return_inverse=True)
    generator, counts = torch.Generator().manual_seed(0), []
    for _ in range(_DRAWS):
        drawn = torch.randint(len(names), (len(names),), generator=generator)
        weight = torch.bincount(drawn, minlength=len(names)).double().sqrt()[place][:, None]
        again = Equations(projected.inputs * weight, projected.outputs * weight, projected.owner)
        values = torch.linalg.svdvals(_eliminated(again)[0])
        counts.append(int((values / ordinary <= limit).sum()) + max(0, kept - len(values)))
    counts.sort()
    return counts[int(0.025 * _DRAWS)], counts[-1 - int(0.025 * _DRAWS)]
