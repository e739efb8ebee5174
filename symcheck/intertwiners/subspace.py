"""The equivariant maps as a subspace of all maps, whichever way it was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from symcheck.errors import DataError
from symcheck.intertwiners.representation import Representation


@dataclass(frozen=True)
class Axis:
    """One axis of a weight: the representation on it, and whether it reads (W ρ⁻¹) instead of writes (ρ W)."""

    space: Representation
    reads: bool = False


class Subspace(ABC):
    """Weights W with ρ_out(g) W ρ_in(g)⁻¹ = W for every g; axes of W as in `sizes`.

    `method` is a word for the way it was found; `natural` says that its coefficients belong to a basis that means
    something (orbits, blocks, diagrams), so that counting the ones in use does.
    """

    method: str
    natural: bool = False
    dimension: int

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        self.sizes = tuple(axis.space.size for axis in axes)
        self.unknowns = prod(self.sizes)

    @abstractmethod
    def project(self, weight: Tensor) -> Tensor:
        """The nearest equivariant weights, (b, *sizes) to (b, *sizes) float64."""

    def coefficients(self, weight: Tensor) -> Tensor | None:
        """(b, dimension) of ΠW in an orthonormal basis of the subspace; None where no basis was made."""
        return None

    def rows(self, weight: Tensor) -> Tensor:
        """The weight as (b, *sizes) float64; anything of another size, or not finite, is a DataError."""
        weight = weight.detach().to(device="cpu", dtype=torch.float64)
        if weight.numel() % max(self.unknowns, 1) or not weight.numel():
            raise DataError(
                f"a weight of shape {tuple(weight.shape)} does not fit representations of sizes {self.sizes}",
                where=" -> ".join(str(axis.space) for axis in reversed(self.axes)),
                hint="the first axis is the output, the second the input, then the kernel",
            )
        if not bool(weight.isfinite().all()):
            raise DataError(
                "the weight holds numbers that are not finite",
                where=f"a weight of shape {tuple(weight.shape)}",
                hint="the checkpoint is damaged, or the training diverged",
            )
        return weight.reshape(-1, *self.sizes)
