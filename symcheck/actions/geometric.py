"""Cartesian quantities on the trailing axes: vectors, pseudovectors, covectors, points and tensors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions
from symcheck.actions.linear import apply_matrix, apply_number, check_components, embed
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.matrices import determinant

Entries = Callable[[Tensor], Tensor]

_FORMULA = re.compile(r"([a-z]+)((?:=-?[a-z]+)*)")


@final
class Components(Action):
    """g·v = M(R) v + t on a trailing axis of d components, m(s) v under a factor.

    `matrix` is M, `scaling` is m; t is the group's translation if `uses` names it, and else nothing.
    """

    rowwise = True

    def __init__(self, name: str, uses: frozenset[str], matrix: Entries, scaling: Entries) -> None:
        self.name, self.uses = name, uses
        self.affine = "translation" in uses
        self._matrix, self._scaling = matrix, scaling

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """The trailing axis must have the group's dimension (or 3, for a planar group)."""
        if self._asks("factor", group):
            return
        check_components(group, shape, 1, self.name, what)

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(n,) factors; or (n, d, d) matrices, with (n, d) shifts where points are translated."""
        if self._asks("factor", group):
            return (self._scaling(group.face("factor", g).to(torch.float64)),)
        matrix = self._matrix(group.face("linear", g).to(torch.float64))
        if not self._asks("translation", group):
            return (matrix,)
        return (matrix, group.face("translation", g).to(torch.float64))

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One batched product, then the shift."""
        if self._asks("factor", group):
            return apply_number(rep[0], x)
        y = apply_matrix(embed(rep[0], x.shape[-1]), x)
        if not self._asks("translation", group):
            return y
        shift = torch.nn.functional.pad(rep[1], (0, x.shape[-1] - rep[1].shape[-1]))
        return y + shift.reshape(len(x), *[1] * (x.dim() - 2), x.shape[-1])

    def _asks(self, face: str, group: Group) -> bool:
        return face in self.uses & group.faces


@final
class CartesianTensor(Action):
    """g·T = (R ⊗ ... ⊗ R) T on one trailing axis of size d per index, times sign(det R) if pseudo.

    The formula states symmetries as it does in e3nn: `ij=ji`, `ij=-ji`, `ijkl=jikl=klij`. They do not change
    the action; `symmetry_defect` measures them.
    """

    uses = frozenset({"linear"})
    rowwise = True

    def __init__(self, formula: str, *, pseudo: bool = False) -> None:
        self.formula, self.pseudo = formula, pseudo
        self.name = f"tensor({formula}{',pseudo' if pseudo else ''})"
        self.rank, self.symmetries = _parse_formula(formula)

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """The trailing `rank` axes must all have the group's dimension (or 3, for a planar group)."""
        check_components(group, shape, self.rank, self.name, what)

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(n, d, d) matrices, with (n,) signs if pseudo."""
        linear = group.face("linear", g).to(torch.float64)
        return (linear, determinant(linear).sign()) if self.pseudo else (linear,)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One batched product per index."""
        matrix = embed(rep[0], x.shape[-1])
        for _ in range(self.rank):  # each turn moves the last index and brings it to the front of the indices
            x = apply_matrix(matrix, x).movedim(-1, -self.rank)
        return apply_number(rep[1], x) if self.pseudo else x

    def symmetry_defect(self, x: Tensor) -> Tensor:
        """max over the stated symmetries of ||T - ±T^π|| / ||T|| per row, (n,); 0 where T vanishes."""
        worst = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        size = torch.linalg.vector_norm(x.reshape(len(x), -1), dim=1)
        lead = x.dim() - self.rank
        for sign, order in self.symmetries:
            turned = x.permute(*range(lead), *(lead + i for i in order))
            gap = torch.linalg.vector_norm((x - sign * turned).reshape(len(x), -1), dim=1)
            worst = torch.maximum(worst, torch.where(size > 0, gap / size, gap))
        return worst


def _parse_formula(formula: str) -> tuple[int, tuple[tuple[int, tuple[int, ...]], ...]]:
    """The rank and the (sign, axis order) of each symmetry of `ij=-ji`."""
    found = _FORMULA.fullmatch(formula)
    indices = found[1] if found else ""
    relations = found[2].split("=")[1:] if found else []
    fits = all(sorted(r.removeprefix("-")) == sorted(indices) for r in relations)
    if not indices or len(set(indices)) < len(indices) or not fits:
        raise ClaimError(
            f"'{formula}' is not an index formula",
            where=f"tensor({formula})",
            hint="name each index once and permute the same letters, e.g. tensor(ij=ji), tensor(ij=-ji)",
        )
    signs = [-1 if r.startswith("-") else 1 for r in relations]
    orders = [tuple(indices.index(c) for c in r.removeprefix("-")) for r in relations]
    return len(indices), tuple(zip(signs, orders, strict=True))


def _same(x: Tensor) -> Tensor:
    return x


def _with_sign(linear: Tensor) -> Tensor:
    return apply_number(determinant(linear).sign(), linear)


def _inverse_transpose(linear: Tensor) -> Tensor:
    inverse: Tensor = torch.linalg.inv(linear)
    return inverse.mT


@actions.register("vector")
def vector() -> Components:
    """g·v = R v: velocities, forces, displacements; s v under a factor; translations do not move it."""
    return Components("vector", frozenset({"linear", "factor"}), _same, _same)


@actions.register("points")
def points() -> Components:
    """g·x = R x + t: positions; s x under a factor. The difference of two is a vector."""
    return Components("points", frozenset({"linear", "translation", "factor"}), _same, _same)


@actions.register("pseudovector")
def pseudovector() -> Components:
    """g·v = sign(det R) R v: axial vectors, such as a cross product or a magnetic moment."""
    return Components("pseudovector", frozenset({"linear"}), _with_sign, _same)


@actions.register("covector", "dual")
def covector() -> Components:
    """g·w = R^-T w, so that w·v is invariant: gradients; w / s under a factor."""
    return Components("covector", frozenset({"linear", "factor"}), _inverse_transpose, torch.reciprocal)


@actions.register("tensor")
def tensor(formula: str, parity: str = "") -> CartesianTensor:
    """g·T = R ⊗ ... ⊗ R T with indices and symmetries by formula, e.g. `tensor(ij=ji)` for a stress."""
    if parity not in ("", "pseudo"):
        raise ClaimError(
            f"a tensor's second argument is 'pseudo', not '{parity}'",
            where=f"tensor({formula},{parity})",
            hint="write tensor(ij) or tensor(ij,pseudo)",
        )
    return CartesianTensor(formula, pseudo=bool(parity))
