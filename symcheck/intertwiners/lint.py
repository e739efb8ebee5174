"""Which pointwise functions, gains, biases and normalisations a representation admits, without any data.

σ commutes with ρ(g) for every g where ρ(g) is: anything (σ linear), monomial with positive entries (σ positively
homogeneous), a signed permutation (σ odd), a permutation (σ generic); see Pacini et al. 2024 (arXiv:2401.09235).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from symcheck.errors import DataError
from symcheck.groups.base import Group
from symcheck.intertwiners.generating import generating
from symcheck.intertwiners.kinds import Kind, Pointwise
from symcheck.intertwiners.representation import Representation

_NEAR = 1e-9
_GENERIC_TIME = 0.7  # where exp(tX) is no accidental permutation


class Structure(StrEnum):
    """What all matrices ρ(g) are, the narrowest word first."""

    TRIVIAL = "the identity"
    PERMUTATION = "permutations"
    POSITIVE = "monomial with positive entries"
    SIGNED = "signed permutations"
    OTHER = "no monomial matrices"


ADMITS: dict[Kind, tuple[Structure, ...]] = {
    Kind.LINEAR: tuple(Structure),
    Kind.HOMOGENEOUS: (Structure.TRIVIAL, Structure.PERMUTATION, Structure.POSITIVE),
    Kind.ODD: (Structure.TRIVIAL, Structure.PERMUTATION, Structure.SIGNED),
    Kind.GENERIC: (Structure.TRIVIAL, Structure.PERMUTATION),
}


@dataclass(frozen=True)
class Ruling:
    """Whether an operation commutes with the group, by how much it fails where a number says so, and why."""

    allowed: bool
    reason: str
    level: float | None = None


def probes(group: Group) -> Tensor:
    """Elements (k, *E) whose matrices decide a structure: generators, drawn ones, and exp(0.7 X) of every flow."""
    found = generating(group)
    times = torch.full((1,), _GENERIC_TIME, dtype=torch.float64)
    return torch.cat([found.elements, *(flow.at(times) for flow in found.flows)])


def structure(space: Representation) -> Structure:
    """What the matrices of generators and drawn elements have in common; it then holds for all products."""
    worst = {_structure(space, g[None]) for g in probes(space.group)}
    if Structure.OTHER in worst or {Structure.POSITIVE, Structure.SIGNED} <= worst:
        return Structure.OTHER
    order = [Structure.TRIVIAL, Structure.PERMUTATION, Structure.POSITIVE, Structure.SIGNED]
    return max(worst, key=order.index)


def activation(kind: Kind, space: Representation, name: str = "σ") -> Ruling:
    """Whether a pointwise function of this kind commutes with ρ."""
    found = structure(space)
    if found in ADMITS[kind]:
        return Ruling(True, f"{space.group.name} acts by {found}, which any {kind} function commutes with")
    moved = int(_moved(space).sum())
    what = f"{space.group.name} moves {moved} of the {space.size} channels by {_words(found)}"
    if found is Structure.OTHER and space.group.order is None:
        return Ruling(False, f"{name} on l ≥ 1 cannot be exact unless the model is merely invariant: {what}")
    needed = ADMITS[kind][-1]
    return Ruling(False, f"{name} is {kind}, which needs {needed}, but {what}")


def gain(values: Tensor, space: Representation, floor: float = _NEAR) -> Ruling:
    """Whether diag(values) commutes with ρ: max_g ||ρ(g) D − D ρ(g)||_F / ||D||_F."""
    values = _finite(values, space, "gain")
    size = float(values.norm())
    level = 0.0
    for g in probes(space.group):
        matrix = space.matrices(g[None])[0]
        level = max(level, float((matrix * values - values[:, None] * matrix).norm()) / size if size else 0.0)
    if level <= floor:
        return Ruling(True, "the gain is the same on all components of each irreducible part", level)
    return Ruling(False, f"its {len(values)} gains differ within components that {space.group.name} mixes", level)


def layer_norm(space: Representation) -> Ruling:
    """Whether x ↦ (x − mean)/std over all components commutes with ρ: ρ orthogonal, and ρ(g) 1 = 1."""
    ones = torch.ones(space.size, dtype=torch.float64)
    level = 0.0
    for g in probes(space.group):
        matrix = space.matrices(g[None])[0]
        eye = torch.eye(space.size, dtype=torch.float64)
        level = max(level, float((matrix @ ones - ones).abs().max()), float((matrix.T @ matrix - eye).abs().max()))
    if level <= _NEAR:
        return Ruling(True, f"{space.group.name} keeps the mean and the norm of the components")
    return Ruling(
        False, f"it subtracts the mean over components that {space.group.name} turns; a norm of each irrep does not"
    )


def rms_norm(space: Representation) -> Ruling:
    """Whether x ↦ x/‖x‖ commutes with ρ: ρ orthogonal."""
    if all(space.orthogonal(g[None]) for g in probes(space.group)):
        return Ruling(True, f"{space.group.name} keeps the norm of the components")
    return Ruling(False, f"{space.group.name} does not keep the norm of the components")


def by_channel(space: Representation, what: str) -> Ruling:
    """Whether statistics or masks of single channels may be used: ρ permutes channels, up to signs."""
    found = structure(space)
    if found not in (Structure.POSITIVE, Structure.OTHER):
        return Ruling(True, f"{space.group.name} acts by {found}")
    return Ruling(False, f"{what} treats single components, which {space.group.name} mixes by {_words(found)}")


def defect(function: Pointwise, space: Representation, h: Tensor, g: Tensor | None = None) -> float:
    """max_g ||σ(ρ(g) h) − ρ(g) σ(h)|| / ||σ(h)|| over the elements g and a batch h, (b, size), in float64.

    `h` is what a hook saw at the activation; without `g` the probes of the group are taken. NaN stays NaN.
    """
    rows = _finite(h, space, "features").reshape(-1, space.size)
    g = probes(space.group) if g is None else g
    with torch.no_grad():
        plain = function(rows).double()
        moved = function(space.act(g, rows.expand(len(g), -1, -1))).double()
    gap = (moved - space.act(g, plain.expand(len(g), -1, -1))).flatten(1).norm(dim=1).max()
    size = plain.norm()
    return float(gap / size) if float(size) or float(gap) else 0.0


def _structure(space: Representation, g: Tensor) -> Structure:
    signed = space.signed_permutation(g)
    if signed is not None:
        source, sign = signed
        if bool((sign < 0).any()):
            return Structure.SIGNED
        moved = not torch.equal(source, torch.arange(space.size))
        return Structure.PERMUTATION if moved else Structure.TRIVIAL
    matrix = space.matrices(g)[0]
    large = matrix.abs() > _NEAR * float(matrix.abs().max())
    monomial = bool((large.sum(0) == 1).all() and (large.sum(1) == 1).all())
    return Structure.POSITIVE if monomial and bool((matrix[large] > 0).all()) else Structure.OTHER


def _moved(space: Representation) -> Tensor:
    """(size,) bool: the components that some probe changes."""
    moved = torch.zeros(space.size, dtype=torch.bool)
    for g in probes(space.group):
        moved |= ((space.matrices(g[None])[0] - torch.eye(space.size, dtype=torch.float64)).abs() > _NEAR).any(1)
    return moved


def _words(found: Structure) -> str:
    return "matrices that mix them" if found is Structure.OTHER else str(found)


def _finite(values: Tensor, space: Representation, what: str) -> Tensor:
    values = values.detach().cpu().double()
    if values.shape[-1:] != (space.size,) or not bool(values.isfinite().all()):
        raise DataError(
            f"{what} of shape {tuple(values.shape)} do not fit {space.size} components, or are not finite",
            where=str(space),
            hint="give one number for each component of the representation",
        )
    return values
