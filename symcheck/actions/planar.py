"""What a group does to the plane of an image: a 2x2 matrix and a translation, x to the right and y up."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws

_ROUNDING = 1e-9
_TURNS = torch.tensor([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]])
_SQUARE = torch.cat([_TURNS, _TURNS * torch.tensor([1, -1])]).double()  # four turns, then four flips


def matrices(group: Group, g: Tensor) -> Tensor:
    """The linear part, (n, 2, 2) float64; a dilation about the centre by s is s·1."""
    if "linear" in group.faces:
        return group.face("linear", g)
    return group.face("factor", g)[:, None, None] * torch.eye(2, dtype=torch.float64)


def translations(group: Group, g: Tensor) -> Tensor:
    """The translation in pixels, (n, 2) float64, applied after the linear part."""
    if "translation" in group.faces:
        return group.face("translation", g)
    return torch.zeros(len(g), 2, dtype=torch.float64)


def signed(matrix: Tensor) -> Tensor:
    """The eight turns and flips of a square as int64 matrices, (n, 2, 2); zero for any other matrix."""
    rounded = matrix.round()
    lattice = ((matrix - rounded).abs() < _ROUNDING).all(2).all(1)
    lattice &= (rounded.abs().sum(1) == 1).all(1) & (rounded.abs().sum(2) == 1).all(1)
    return torch.where(lattice[:, None, None], rounded, 0.0).to(torch.int64)


def on_lattice(group: Group, g: Tensor) -> Tensor:
    """(n,) bool: where the element is one of the eight turns and flips, or a translation by whole pixels."""
    if "shift" in group.faces:
        return torch.ones(len(g), dtype=torch.bool)
    t = translations(group, g)
    if only_translates(group):
        return (t == t.round()).all(1)
    return signed(matrices(group, g)).any(2).any(1) & (t == 0).all(1)


def only_translates(group: Group) -> bool:
    """Whether the group is a translation group, which acts on an image as on a torus."""
    if "translation" not in group.faces:
        return False
    probe = matrices(group, group.sample(2, Draws(0, "planar")))
    return bool((probe == torch.eye(probe.shape[1])).all())


def lattice_elements(group: Group, reach: int = 2) -> Tensor | None:
    """The elements that move whole pixels, identity left out: turns, flips, translations up to `reach`."""
    listed = group.elements()
    if listed is not None:
        return listed[1:][on_lattice(group, listed[1:])]
    one = group.identity(1)
    if "linear" not in group.faces or group.face("linear", one).shape[1] != 2:
        return None
    if only_translates(group):
        steps = [s for s in product(range(-reach, reach + 1), repeat=2) if any(s)]
        return torch.tensor(steps, dtype=one.dtype)
    elements = one.repeat(7 if group.has_improper else 3, 1, 1)
    elements[:, :2, :2] = _SQUARE[1 : len(elements) + 1]
    return elements


def keeps_axes(group: Group) -> bool:
    """Whether no element turns rows into columns, so that an image may have different height and width."""
    listed = group.elements()
    probe = group.sample(4, Draws(0, "planar")) if listed is None else listed
    matrix = matrices(group, probe)
    return bool(((matrix * (1 - torch.eye(2))).abs() < _ROUNDING).all())


def check_planar(group: Group, name: str, sizes: tuple[int, int], what: str) -> None:
    """Raise unless the group moves the plane, and the image is square where rows become columns."""
    one = group.identity(1)
    if "linear" in group.faces and group.face("linear", one).shape[1] != 2:
        raise ClaimError(
            f"the action '{name}' cannot be moved by {group.name}, whose matrices are not 2x2",
            where=what,
            hint="it understands planar rotations, flips, translations, shifts and dilations: "
            "C4, D4, SO(2), O(2), SE(2), T(2), Shift(4), Scale(0.8,1.25)",
        )
    if sizes[0] != sizes[1] and not keeps_axes(group):
        raise ClaimError(
            f"{group.name} turns rows into columns, but the image has {sizes[0]} rows and {sizes[1]} columns",
            where=what,
            hint="cut or pad the images to squares, or use a group without quarter turns: C2, D2",
        )
