"""Multivectors of a Clifford algebra G(p, q, r), moved by the outermorphism of one matrix on vectors.

Blades are ordered by grade, then lexicographically: 1, e_0, e_1, ..., e_01, e_02, ... The basis vectors come
as null (e_0, when r = 1), then the p positive, then the q negative ones; this is GATr's order for (3, 0, 1)
(Brehmer et al. 2023, arXiv:2305.18415) and puts time first for (1, 3).
"""

from __future__ import annotations

from itertools import combinations
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions
from symcheck.actions.linear import apply_matrix, check_spatial, check_trailing, linear_face
from symcheck.errors import ClaimError
from symcheck.groups.base import Group, number
from symcheck.groups.matrices import determinant

MAX_DIMENSION = 6


@final
class Multivector(Action):
    """g·A = ⊕_k C_k(M) A on a trailing axis of 2^n components, C_k the compound matrix (minors of size k).

    Without a null vector M = R. With one, a vector δ e_0 + n·e is the plane n·x + δ = 0, and g = (R, t) moves
    it to n' = R n, δ' = δ - (R n)·t, the plane of the points R x + t; so M = [[1, -t^T R], [0, R]].
    A mirror acts by its plain matrix on vectors: the versor action with the grade involution for odd versors.
    """

    uses = frozenset({"linear", "translation"})
    rowwise = True

    def __init__(self, p: int, q: int = 0, r: int = 0) -> None:
        self.signature = (p, q, r)
        self.isometric = q == 0 and r == 0
        self.name = f"multivector({','.join(map(str, self.signature))})"
        self.size = 2 ** (p + q + r)

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """The trailing axis must have 2^n entries, the group p + q dimensions; no shift without e_0."""
        p, q, r = self.signature
        check_trailing(shape, (self.size,), self.name, what)
        check_spatial(group, p + q, what)
        if "translation" in group.faces and not r:
            raise ClaimError(
                f"{group.name} translates, which '{self.name}' cannot express",
                where=what,
                hint=f"use the projective algebra multivector({p},{q},1), or a group without translations",
            )

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(n, 2^n, 2^n) matrices, block diagonal by grade."""
        p, q, r = self.signature
        linear = linear_face(group, g, p + q)
        _preserves(linear, p, q, self.name, group)
        return (outermorphism(_projective(linear, group, g) if r else linear),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One batched product."""
        return apply_matrix(rep[0], x)


def blades(dimension: int) -> list[tuple[int, ...]]:
    """The basis blades as index tuples, by grade and then lexicographically."""
    return [blade for grade in range(dimension + 1) for blade in combinations(range(dimension), grade)]


def outermorphism(matrix: Tensor) -> Tensor:
    """The extension a∧b -> Ma∧Mb of matrices (n, d, d) to all blades, (n, 2^d, 2^d)."""
    d = matrix.shape[-1]
    whole = torch.zeros((len(matrix), 2**d, 2**d), dtype=matrix.dtype, device=matrix.device)
    whole[:, 0, 0] = 1
    start = 1
    for grade in range(1, d + 1):
        subsets = torch.tensor(list(combinations(range(d), grade)), device=matrix.device)
        minors = matrix[:, subsets[:, None, :, None], subsets[None, :, None, :]]
        stop = start + len(subsets)
        whole[:, start:stop, start:stop] = determinant(minors)
        start = stop
    return whole


def _projective(linear: Tensor, group: Group, g: Tensor) -> Tensor:
    """[[1, -t^T R], [0, R]], with t = 0 for groups that do not translate."""
    n, d = linear.shape[:2]
    matrix = torch.zeros((n, d + 1, d + 1), dtype=linear.dtype)
    matrix[:, 0, 0] = 1
    matrix[:, 1:, 1:] = linear
    if "translation" in group.faces:
        shift = group.face("translation", g).to(linear.dtype)
        shift = torch.nn.functional.pad(shift, (0, d - shift.shape[-1]))
        matrix[:, 0, 1:] = -(shift[:, None, :] @ linear)[:, 0]
    return matrix


def _preserves(linear: Tensor, p: int, q: int, action: str, group: Group) -> None:
    """Raise unless R^T η R = η for the metric of the algebra, so that the geometric product is respected."""
    metric = torch.diag(torch.tensor([1.0] * p + [-1.0] * q, dtype=linear.dtype))
    defect = (linear.mT @ metric @ linear - metric).abs().amax((-2, -1))
    size = linear.abs().amax((-2, -1)).square()
    if not bool((defect <= 1e-8 * size).all()):
        raise ClaimError(
            f"{group.name} does not preserve the metric of '{action}'",
            where=f"{action} under {group.name}",
            hint="multivector(3) and (3,0,1) go with rotations, multivector(1,3) with SO(1,3), time first",
        )


@actions.register("multivector")
def multivector(p: str, q: str = "0", r: str = "0") -> Multivector:
    """The action on multivectors of G(p, q, r), e.g. `multivector(3,0,1)`."""
    counts = [number(text, int, "multivector") for text in (p, q, r)]
    if min(counts) < 0 or counts[2] > 1 or counts[0] + counts[1] == 0 or sum(counts) > MAX_DIMENSION:
        raise ClaimError(
            f"there is no action for the algebra G({p}, {q}, {r})",
            where=f"multivector({p},{q},{r})",
            hint=f"use p + q + r between 1 and {MAX_DIMENSION}, with r at most 1",
        )
    return Multivector(*counts)
