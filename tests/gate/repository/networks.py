"""The networks of this repository, and where each has its symmetry.

| factory  | forward            | symmetry                                                        | held by         |
|----------|--------------------|-----------------------------------------------------------------|-----------------|
| `handed` | image -> 2 scores  | invariant under quarter turns; reflections must change it       | the weights     |
| `energy` | pos -> energy      | rotations, reflections, permutations of the atoms               | the code        |
| `trend`  | sequence -> slope  | none: the order of the values matters                           | the weights     |
| `ring`   | x -> 2 scores      | rotations of the plane, learned from data: approximate          | the training    |
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Handed(nn.Module):
    """Images (B, 1, 8, 8) to scores (B, 2): each kernel is stored in four turns, and the head treats them alike."""

    def __init__(self, kernels: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4 * kernels, 3)
        self.head = nn.Linear(4 * kernels, 2)

    def forward(self, image: Tensor) -> Tensor:
        """The mean response of every kernel, weighed."""
        return self.head(F.relu(self.conv(image)).mean((2, 3)))


class Energy(nn.Module):
    """Positions (B, N, 3) to energies (B,), from lengths and volumes of three vectors for each atom."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.radial = nn.Linear(4, 3)
        self.readout = nn.Sequential(nn.Linear(4, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, pos: Tensor) -> Tensor:
        """A sum over atoms; the sign of a volume would tell a molecule from its mirror image."""
        offset = pos.unsqueeze(1) - pos.unsqueeze(2)
        basis = torch.exp(-offset.square().sum(-1, keepdim=True) * torch.tensor([0.2, 0.5, 1.0, 2.0]).to(pos))
        vectors = torch.einsum("bijk,bijd->bikd", self.radial(basis), offset)
        volume = torch.linalg.det(vectors).square()
        lengths = vectors.square().sum(-1)
        return self.readout(torch.cat([lengths, volume.unsqueeze(-1)], -1)).sum((1, 2))


class Trend(nn.Module):
    """Sequences (B, 8, 1) to slopes (B, 1): features of each value, weighed by its place."""

    def __init__(self, length: int = 8, width: int = 8) -> None:
        super().__init__()
        self.value = nn.Linear(1, width)
        self.places = nn.Parameter(torch.zeros(length, width))
        self.slope = nn.Linear(width, 1)

    def forward(self, sequence: Tensor) -> Tensor:
        """One number for the whole sequence."""
        return self.slope((torch.tanh(self.value(sequence)) * self.places).sum(1))


def handed() -> nn.Module:
    """Which of two mirror images is in the picture?"""
    return Handed()


def energy() -> nn.Module:
    """The energy of five atoms."""
    return Energy()


def trend() -> nn.Module:
    """Does the sequence rise?"""
    return Trend()


def ring(width: int = 32) -> nn.Module:
    """Points of the plane (B, 2) to scores (B, 2): on the ring or not?"""
    return nn.Sequential(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, 2))
