"""The error against the group element: where on the group it is large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symcheck.groups.base import Group
from symcheck.report.model import Curve

DIGITS = 6


@dataclass(frozen=True)
class Where:
    """The elements of one part: their names, and their coordinates where the group has them."""

    kind: str
    labels: tuple[str, ...]
    at: tuple[tuple[float, ...], ...]


def where_on(group: Group, g: Tensor) -> Where:
    """The elements `g` as they are drawn.

    Plane: the angle θ of R(θ) or of R(θ)·diag(1, −1). Space: axis times angle of R or of −R, from the logarithm.
    """
    kind, at = _coordinates(group, g)
    labels = tuple(group.label(g, i) for i in range(len(g)))
    return Where(kind, labels, tuple(rounded(np.asarray(point)) for point in at))


def curve_of(where: Where, errors: np.ndarray) -> Curve:
    """The errors (K,) over the elements."""
    return Curve(where.kind, where.labels, rounded(errors), where.at)


def rounded(values: np.ndarray) -> tuple[float, ...]:
    """Six significant digits: enough to draw and to compare, and short in a file."""
    return tuple(float(f"{value:.{DIGITS}g}") for value in values.reshape(-1).tolist())


def _coordinates(group: Group, g: Tensor) -> tuple[str, list[list[float]]]:
    if "linear" in group.faces:
        matrices = group.face("linear", g).double()
        identity = torch.eye(matrices.shape[-1], dtype=torch.float64)
        orthogonal = bool(torch.allclose(matrices @ matrices.transpose(-1, -2), identity, atol=1e-6))
        turned = bool((matrices != identity).any())  # translations alone turn nothing
        if turned and orthogonal and matrices.shape[-1] == 2:
            mirrored = (torch.linalg.det(matrices) < 0).double()
            angle = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
            kind = "listed" if group.order is not None and group.has_improper else "angle"
            return kind, torch.stack([angle, mirrored], 1).tolist()
        if turned and orthogonal and matrices.shape[-1] == 3:
            kind = "listed" if group.order is not None else "rotation"
            return kind, _rotations(matrices).tolist()
    if "factor" in group.faces and len(group.factors()) == 1 and group.order is None:
        return "number", group.face("factor", g).double().reshape(-1, 1).tolist()
    if "shift" in group.faces and len(group.factors()) == 1:
        steps = group.face("shift", g).double().reshape(len(g), -1)
        if steps.shape[1] == 1:
            return "number", steps.tolist()
    return "listed", []


def _rotations(matrices: Tensor) -> Tensor:
    """(n, 4): axis times angle of each matrix, or of its negative where it reverses orientation, and which it was."""
    sign = torch.linalg.det(matrices).sign()
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_matrix((matrices * sign[:, None, None]).numpy()).as_rotvec()
    return torch.cat([torch.from_numpy(turns), (sign < 0).double()[:, None]], 1)
