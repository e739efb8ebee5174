"""An analytic potential of packed atoms, molecules or crystals, with one planted fault at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RADIUS = 4.5
IMAGES = torch.cartesian_prod(*[torch.arange(-2.0, 3.0)] * 3).double()


class Pairs(nn.Module):
    """E = Σ_i tanh(b + Σ_j c(z_i, z_j) φ(r_ij)) + Σ_ij Morse, smooth at the radius; forces and stress by autograd.

    Faults: `factor` of the forces, `curl` (forces with a rotation in them), `field` (an outer field in the energy),
    `pooled` (the mean over the atoms), `hard` (the Morse part cut off at the radius), `torque`, `squeeze`.
    """

    def __init__(self, stress: bool = False, **faults: float) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(3)
        table = torch.randn(10, 10, generator=g)
        self.c = nn.Parameter(table + table.T)
        self.b = nn.Parameter(torch.randn(10, generator=g))
        self.stress, self.faults = stress, faults

    def forward(self, pos: Tensor, z: Tensor, cell: Tensor, batch: Tensor) -> dict[str, Tensor]:
        with torch.enable_grad():
            x = pos.detach().clone().requires_grad_()
            strain = torch.zeros(len(cell), 3, 3, dtype=x.dtype).requires_grad_()
            grown = torch.eye(3, dtype=x.dtype) + (strain + strain.mT) / 2
            moved = torch.einsum("ni,nij->nj", x, grown[batch])
            energy = self.energy(moved, z, cell @ grown, batch)
            down, pull = torch.autograd.grad(energy.sum(), (x, strain))
        out = {"energy": energy.detach(), "forces": self.forces(-down, pos, batch)}
        if self.stress:
            volume = torch.linalg.det(cell).abs()[:, None, None]
            out["stress"] = pull / volume + self.faults.get("squeeze", 0.0) * torch.eye(3, dtype=x.dtype)
        return out

    def energy(self, x: Tensor, z: Tensor, cell: Tensor, batch: Tensor) -> Tensor:
        i, j = torch.nonzero(batch[:, None] == batch[None], as_tuple=True)
        images = IMAGES.to(x) if bool((cell != 0).any()) else torch.zeros(1, 3).to(x)
        d = x[j] - x[i] + torch.einsum("mi,pij->mpj", images, cell[batch[i]])
        r2 = d.square().sum(-1)
        near = (r2 > 1e-6) & (r2 < RADIUS**2)
        r = torch.where(near, r2, RADIUS**2 / 4).sqrt()
        fade = torch.where(near, (1 - 1 / (1 - (r / RADIUS) ** 2).clamp(min=1e-3)).exp(), 0.0)
        density = (fade * torch.exp(-r)).sum(0) * self.c[z[i], z[j]]
        inner = torch.zeros_like(x[:, 0]).index_add_(0, i, density)
        morse = (torch.exp(-2 * (r - 1.5)) - 2 * torch.exp(-(r - 1.5))) * torch.where(near, 1.0, 0.0)
        pairs = (0.1 * morse * (1.0 if "hard" in self.faults else fade)).sum(0)
        atoms = (inner + self.b[z]).tanh() + torch.zeros_like(inner).index_add_(0, i, pairs)
        atoms = atoms + self.faults.get("field", 0.0) * x[:, 0] ** 2
        total = torch.zeros(len(cell), dtype=x.dtype).index_add_(0, batch, atoms)
        return total / torch.bincount(batch) if "pooled" in self.faults else total

    def forces(self, forces: Tensor, pos: Tensor, batch: Tensor) -> Tensor:
        turned = torch.stack([-pos[:, 1], pos[:, 0], torch.zeros_like(pos[:, 0])], 1)
        count = torch.bincount(batch)[:, None]
        mean = torch.zeros(len(count), 3, dtype=pos.dtype).index_add_(0, batch, turned) / count
        about = turned - mean[batch]  # no net force, but a torque
        return forces * self.faults.get("factor", 1.0) + self.faults.get("curl", 0.0) * about


def molecules(count: int = 12) -> dict[str, Tensor]:
    """Clusters of three to eight atoms without a cell."""
    g = torch.Generator().manual_seed(5)
    sizes = [3 + k % 6 for k in range(count)]
    batch = torch.arange(count).repeat_interleave(torch.tensor(sizes))
    grid = torch.cartesian_prod(*[torch.arange(2.0)] * 3)
    pos = torch.cat([1.7 * grid[:n] + 0.15 * torch.randn(n, 3, generator=g) for n in sizes])
    z = torch.randint(1, 10, (len(batch),), generator=g)
    return {"pos": pos.double(), "z": z, "cell": torch.zeros(count, 3, 3).double(), "batch": batch}


def crystals(count: int = 6, least: int = 1) -> dict[str, Tensor]:
    """Cells of one to three atoms, or of at least so many, with sides of about four."""
    g = torch.Generator().manual_seed(6)
    sizes = [max(least, 1 + k % 3) for k in range(count)]
    batch = torch.arange(count).repeat_interleave(torch.tensor(sizes))
    cell = 4.2 * torch.eye(3).repeat(count, 1, 1) + 0.3 * torch.randn(count, 3, 3, generator=g)
    spots = torch.tensor([[0.0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]])
    frac = torch.cat([spots[:n] + 0.03 * torch.randn(n, 3, generator=g) for n in sizes])
    pos = torch.einsum("ni,nij->nj", frac, cell[batch])
    z = torch.randint(1, 10, (len(batch),), generator=g)
    return {"pos": pos.double(), "z": z, "cell": cell.double(), "batch": batch}
