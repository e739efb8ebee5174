"""Crystals: the rows of a cell, and fractional coordinates, under rotations and changes of the lattice's basis."""

from __future__ import annotations

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions, no_options
from symcheck.actions.geometric import vector
from symcheck.actions.linear import apply_matrix, check_trailing
from symcheck.actions.planar import only_translates
from symcheck.errors import ClaimError
from symcheck.groups.base import Group


class Lattice(Action):
    """g·A = A Rᵀ, the rows of a cell rotate; U A under GL(n,Z); s A under a factor. Translations leave it.

    Shapes: samples (.., n, d), one basis vector a row.
    """

    name = "lattice"
    uses = frozenset({"linear", "factor", "unimodular"})
    rowwise = True

    def __init__(self) -> None:
        self._rows = vector()

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """A trailing axis of the group's dimension, or as many basis vectors as the group mixes."""
        if "unimodular" not in group.faces:
            return self._rows.check(group, shape, what)
        size = group.face("unimodular", group.identity(1)).shape[-1]
        return check_trailing(shape, (size, shape[-1] if shape else size), self.name, what)

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The matrices U, (n, d, d) float64 so that cells are widened too, or what a vector needs."""
        if "unimodular" in group.faces:
            return (group.face("unimodular", g).double(),)
        return self._rows.represent(group, g)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One batched product."""
        if "unimodular" in group.faces:
            return apply_matrix(rep[0], x.mT).mT
        return self._rows.act(group, rep, x)


class Fractional(Action):
    """g·x = x + t mod 1 with t in units of the cell; x U⁻¹ mod 1 under GL(n,Z), so that x·A stays. Rotations leave it.

    Shapes: samples (.., d). Differences are taken to the nearest image.
    """

    name = "fractional"
    uses = frozenset({"translation", "unimodular"})
    rowwise = True
    curved = True
    affine = True

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """A trailing axis of the group's dimension; a group that rotates and translates is refused."""
        if "unimodular" not in group.faces and not only_translates(group):
            raise ClaimError(
                f"{group.name} rotates its translations, which '{self.name}' measures in units of the cell",
                where=what,
                hint="claim O(3) and T(3) apart: rotations leave fractional coordinates as they are",
            )
        kind = "unimodular" if "unimodular" in group.faces else "translation"
        check_trailing(shape, (group.face(kind, group.identity(1)).shape[-1],), self.name, what)

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The translations (n, d), or U⁻ᵀ (n, d, d), float64."""
        if "unimodular" in group.faces:
            return (group.face("unimodular", group.inverse(g)).mT.double(),)
        return (group.face("translation", g).to(torch.float64),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """The move, then back into the cell."""
        if "unimodular" in group.faces:
            y = apply_matrix(rep[0], x)
        else:
            y = x + rep[0].reshape(len(x), *[1] * (x.dim() - 2), x.shape[-1])
        return y - y.floor() if y.is_floating_point() else y

    def difference(self, y: Tensor, z: Tensor) -> Tensor:
        """y - z to the nearest image, in [-1/2, 1/2]."""
        return y - z - (y - z).round()


@actions.register("lattice")
def lattice(*args: str) -> Lattice:
    """`lattice`: the rows of a cell."""
    no_options("lattice", list(args))
    return Lattice()


@actions.register("fractional")
def fractional(*args: str) -> Fractional:
    """`fractional`: coordinates in units of the cell."""
    no_options("fractional", list(args))
    return Fractional()
