"""ANI-1x and ANI-1ccx: the energy of a molecule from one of eight members, without the constants of its elements."""

from __future__ import annotations

import contextlib
import sys
from functools import cache

import torch
from torch import Tensor, nn
from wheels import installed

HOW = "pip install --no-deps torchani==2.0 lark-parser==0.12.0 'setuptools==80.9.0'"
METHANOL = [
    [-0.0503, 0.6685, 0.0], [-0.0503, -0.7585, 0.0], [-1.0807, 1.0417, 0.0], [0.4650, 1.0417, 0.8924],
    [0.4650, 1.0417, -0.8924], [0.8544, -1.0417, 0.0],
]  # fmt: skip


class Energy(nn.Module):
    """Elements (n, atoms) and positions (n, atoms, 3) in angstrom -> energy (n,) in hartree."""

    def __init__(self, ani: nn.Module, member: int | None) -> None:
        super().__init__()
        self.ani, self.member = ani, member

    def forward(self, z: Tensor, pos: Tensor) -> dict[str, Tensor]:
        if self.member is None:
            return {"energy": self.ani((z, pos)).energies}
        return {"energy": self.ani.neural_networks[self.member](self.ani.aev_computer((z, pos))).energies}


@cache
def ensemble(name: str) -> nn.Module:
    """All members of ANI1x or ANI1ccx, from the installed package torchani==2.0."""
    with contextlib.redirect_stdout(sys.stderr):
        return getattr(installed("torchani", HOW).models, name)().eval()


def ani(name: str = "ANI1x", member: int | None = 0) -> Energy:
    return Energy(ensemble(name), member).eval()


def everyone(name: str = "ANI1x") -> Energy:
    """The mean of all members, with the constants."""
    return ani(name, None)


class Chains(nn.Module):
    """The four networks of a member, each on descriptors (n, 384) of atoms of its element -> energies (n, 1)."""

    def __init__(self, member: nn.Module) -> None:
        super().__init__()
        for name in "HCNO":
            self.add_module(name, getattr(member, name))

    def forward(self, h: Tensor, c: Tensor, n: Tensor, o: Tensor) -> dict[str, Tensor]:
        return {name: getattr(self, name)(x) for name, x in zip("HCNO", (h, c, n, o), strict=True)}


def chains(name: str = "ANI1ccx", member: int = 0) -> Chains:
    """What was learned, without the descriptor."""
    return Chains(ensemble(name).neural_networks[member]).eval()


def descriptors(samples: int) -> dict[str, Tensor]:
    """Random ones."""
    drawn = torch.rand(4, samples, 384, generator=torch.Generator().manual_seed(0))
    return dict(zip("hcno", drawn, strict=True))


def methanol(samples: int) -> dict[str, Tensor]:
    """Methanol, its atoms moved by about 0.1 angstrom; elements by their places in H, C, N, O."""
    moved = 0.1 * torch.randn(samples, 6, 3, generator=torch.Generator().manual_seed(8))
    return {"z": torch.tensor([[1, 3, 0, 0, 0, 0]]).repeat(samples, 1), "pos": torch.tensor(METHANOL) + moved}


def right() -> None:
    """Water has -76.3884 hartree."""
    z, pos = torch.tensor([[3, 0, 0]]), torch.tensor([[[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]])
    with torch.no_grad():
        found = float(everyone()(z, pos)["energy"])
    assert abs(found + 76.3884) < 1e-3, found
