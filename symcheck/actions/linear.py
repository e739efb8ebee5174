"""What the vector-like actions share: the matrix of an element in the sample's dimension, and applying it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import Group


def linear_face(group: Group, g: Tensor, dimension: int) -> Tensor:
    """The matrices R(g), (n, dimension, dimension); planar ones turn about the third axis."""
    matrix = group.face("linear", g).to(torch.float64)
    check_dimension(group, matrix.shape[-1], dimension, group.name)
    return embed(matrix, dimension)


def orthogonal_face(group: Group, g: Tensor, dimension: int, action: str) -> Tensor:
    """Like `linear_face`, for actions that are defined on rotations and mirrors only."""
    matrix = linear_face(group, g, dimension)
    defect = matrix @ matrix.mT - torch.eye(dimension, dtype=torch.float64)
    if not bool((defect.abs() < 1e-8).all()):
        raise ClaimError(
            f"'{action}' is defined for rotations and mirrors, but {group.name} also stretches",
            where=f"{action} under {group.name}",
            hint="use vector, covector or tensor(ij), which any matrix can move",
        )
    return matrix


def embed(matrix: Tensor, dimension: int) -> Tensor:
    """A planar matrix (n, 2, 2) as a rotation about the third axis when the sample has three components."""
    if matrix.shape[-1] != 2 or dimension != 3:
        return matrix
    larger = torch.zeros((len(matrix), 3, 3), dtype=matrix.dtype, device=matrix.device)
    larger[:, :2, :2] = matrix
    larger[:, 2, 2] = 1
    return larger


def linear_dimension(group: Group) -> int:
    """The size d of the group's matrices."""
    return int(group.face("linear", group.identity(1)).shape[-1])


def check_dimension(group: Group, acts: int, size: int, what: str) -> None:
    """Raise unless d x d matrices can move `size` components: d = size, or 2 on 3."""
    if acts != size and (acts, size) != (2, 3):
        raise ClaimError(
            f"{group.name} moves {acts} components, but there are {size}",
            where=what,
            hint=f"'vector' and 'points' read the last axis: it must hold the {acts} components "
            "(transpose channel-first data in the model), or declare another action",
        )


def check_spatial(group: Group, size: int, what: str) -> None:
    """Raise unless the group's matrices can move `size` components."""
    check_dimension(group, linear_dimension(group), size, what)


def check_components(group: Group, shape: tuple[int, ...], rank: int, action: str, what: str) -> None:
    """Raise unless the last `rank` axes of a sample hold components that the group's matrices can move."""
    acts, trailing = linear_dimension(group), shape[max(len(shape) - rank, 0) :]
    if len(trailing) < rank or len(set(trailing)) > 1:
        raise DataError(
            f"'{action}' needs {rank} trailing axes of size {acts}, but a sample has shape {shape}",
            where=what,
            hint="move the components to the trailing axes; nodes and channels go before them",
        )
    check_dimension(group, acts, trailing[-1], what)


def check_trailing(shape: tuple[int, ...], sizes: tuple[int, ...], action: str, what: str) -> None:
    """Raise unless the sample's trailing axes have exactly these sizes."""
    if shape[max(len(shape) - len(sizes), 0) :] != sizes:
        raise DataError(
            f"'{action}' needs the trailing axes {sizes}, but a sample has shape {shape}",
            where=what,
            hint="move the components to the trailing axes; nodes and channels go before them",
        )


def apply_matrix(matrix: Tensor, x: Tensor) -> Tensor:
    """Σ_j matrix[n, i, j] x[n, ..., j]: one batched product, whatever lies between."""
    dtype = torch.promote_types(matrix.dtype, x.dtype)
    rows = x.to(dtype).reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])
    return (rows @ matrix.to(dtype).mT).reshape(x.shape)


def apply_number(number: Tensor, x: Tensor) -> Tensor:
    """number[n] x[n, ...]."""
    return number.reshape(-1, *[1] * (x.dim() - 1)) * x
