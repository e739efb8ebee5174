"""Inputs that belong together: masks of sets, cameras of images, planes of directions, cells of crystals.

Each passes a sound network; planted are a part that does not move with the rest, and a network that misreads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import symcheck
from symcheck.groups.draws import Draws


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with generic weights, biases included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / math.sqrt(max(weight.shape[-1], 4)))
    return module


def verdicts(model: nn.Module, claim: str, inputs: Mapping[str, Tensor]) -> set[str]:
    return {str(found.verdict) for found in symcheck.audit(model, claim, dict(inputs), elements=12).findings}


# Masked sets


class MaskedSet(nn.Module):
    """A sum over the entries of a set that are there."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        result: Tensor = self.outer((torch.tanh(self.inner(x)) * mask[..., None]).sum(1))
        return result


def test_a_mask_moves_with_its_set() -> None:
    lengths = 7 - Draws(0, "lengths").integers(12, high=4)
    data = {"x": Draws(0, "x").normal(12, 7, 3), "mask": (torch.arange(7) < lengths[:, None]).double()}
    assert verdicts(seeded(MaskedSet()), "S: x=nodes, mask=nodes -> scalar", data) == {"exact"}
    assert verdicts(seeded(MaskedSet()), "S: x=nodes, mask=mask -> scalar", data) == {"broken"}


# Cameras


class Lifted(nn.Module):
    """The mean direction of the bright pixels in the camera's frame, (x right, y up, depth), from K."""

    def __init__(self, own: bool = True) -> None:
        super().__init__()
        self.own = own
        self.register_buffer("fixed", torch.tensor([[6.5, 0.0, 3.0], [0.0, 5.5, 2.5], [0.0, 0.0, 1.0]]))

    def forward(self, image: Tensor, camera: Tensor) -> Tensor:
        rows, columns = image.shape[-2:]
        v, u = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        pixels = torch.stack([u, v, torch.ones_like(u)], -1).reshape(-1, 3).to(image)
        camera = camera if self.own else self.fixed.to(camera).expand_as(camera)
        rays = (torch.linalg.inv(camera)[:, None] @ pixels[:, :, None])[..., 0]
        weights = torch.softmax(image.flatten(1), -1)[..., None]
        return (weights * F.normalize(rays, dim=-1)).sum(1) * torch.tensor([1.0, -1.0, 1.0]).to(rays)


def views() -> dict[str, Tensor]:
    """Images with a camera each, no two of them alike, and principal points off the centre."""
    camera = torch.diag_embed(torch.tensor([6.0, 5.0, 1.0], dtype=torch.float64) + Draws(0, "f").uniform(12, 3))
    camera[:, :2, 2] = 2 + 3 * Draws(0, "c").uniform(12, 2)
    camera[:, 2, 2] = 1
    return {"image": Draws(0, "image").normal(12, 8, 8), "camera": camera}


@pytest.mark.parametrize("group", ["C4", "D4"])
def test_a_camera_moves_with_its_image(group: str) -> None:
    claim = f"{group}: image=image, camera={{}} -> vector"
    assert verdicts(seeded(Lifted()), claim.format("intrinsics(8x8)"), views()) == {"exact"}
    assert verdicts(seeded(Lifted()), claim.format("scalar"), views()) == {"broken"}
    assert verdicts(seeded(Lifted(own=False)), claim.format("intrinsics(8x8)"), views()) == {"broken"}


class Bright(Lifted):
    """The ray through the brightest pixel, (right, down, 1)."""

    def forward(self, image: Tensor, camera: Tensor) -> Tensor:
        peak = image.flatten(1).argmax(1)
        width = image.shape[-1]
        pixel = torch.stack([peak % width, peak // width, torch.ones_like(peak)], -1).to(camera)
        return torch.linalg.solve(camera if self.own else self.fixed.to(camera).expand_as(camera), pixel)


def test_a_camera_follows_real_shifts() -> None:
    canvas = torch.zeros(12, 14, 14, dtype=torch.float64)
    places = 6 + Draws(0, "peaks").integers(12, 2, high=2)
    canvas[torch.arange(12), places[:, 0], places[:, 1]] = 1
    data = {"image": canvas, "camera": views()["camera"]}
    claim = "Shift: image=image(crop=3), camera={} -> scalar"
    assert verdicts(Bright(), claim.format("intrinsics(8x8)"), data) == {"exact"}
    assert verdicts(Bright(), claim.format("scalar"), data) == {"broken"}
    assert verdicts(Bright(own=False), claim.format("intrinsics(8x8)"), data) == {"broken"}


# Directions


class Exits(nn.Module):
    """A maze: for every cell its content and four planes that say where it is open; how far one step spreads."""

    def __init__(self, order: tuple[int, ...] = (0, 1, 2, 3)) -> None:
        super().__init__()
        self.order = order
        self.gain, self.bias = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))

    def forward(self, maze: Tensor) -> Tensor:
        content = torch.tanh((maze[:, :3] * self.gain[:, None, None]).sum(1) + self.bias)
        steps = [(0, 1), (-1, 0), (0, -1), (1, 0)]  # +x, +y, -x, -y in rows and columns
        opened = [torch.sigmoid(maze[:, 3 + k]) * content for k in self.order]
        return torch.stack([y.roll(step, (-2, -1)) for y, step in zip(opened, steps, strict=True)]).sum(0)


@pytest.mark.parametrize("group", ["C4", "D4"])
def test_planes_of_directions_change_places(group: str) -> None:
    data = {"maze": Draws(0, "maze").normal(8, 7, 5, 5)}
    claim = f"{group}: maze=image{{}} -> image"
    assert verdicts(seeded(Exits()), claim.format("(fiber=3*trivial+directions)"), data) == {"exact"}
    assert verdicts(seeded(Exits()), claim.format(""), data) == {"broken"}
    assert verdicts(seeded(Exits((0, 3, 2, 1))), claim.format("(fiber=3*trivial+directions)"), data) == {"broken"}


# Crystals


class Crystal(nn.Module):
    """Σ z z' φ(d) over pairs and images within `reach` cells; planted: terms in the cell's edges and in the origin."""

    def __init__(self, reach: int = 6, edges: float = 0.0, origin: float = 0.0) -> None:
        super().__init__()
        self.edges, self.origin = edges, origin
        steps = torch.arange(-reach, reach + 1, dtype=torch.float64)
        self.register_buffer("steps", torch.cartesian_prod(steps, steps, steps))

    def forward(self, cell: Tensor, frac: Tensor, z: Tensor) -> Tensor:
        gaps = frac[:, :, None] - frac[:, None]
        gaps = gaps - gaps.round()
        across = (gaps[..., None, :] + self.steps.to(gaps)) @ cell[:, None, None]
        squared = across.square().sum(-1)
        pairs = torch.where(squared < 9.0, (1 - squared / 9.0).clamp(min=0) ** 3, 0).sum(-1)
        energy = torch.einsum("ni,nij,nj->n", z, pairs, z)
        edges = cell.norm(dim=-1).prod(-1) * self.edges
        return energy + edges + self.origin * (2 * torch.pi * frac[..., 0]).cos().sum(1)


def crystals() -> dict[str, Tensor]:
    """Six oblique cells with three atoms each."""
    cell = 4 * torch.eye(3, dtype=torch.float64) + 0.6 * Draws(1, "cell").normal(6, 3, 3)
    return {"cell": cell, "frac": Draws(1, "frac").uniform(6, 3, 3), "z": 1 + Draws(1, "z").uniform(6, 3)}


CELL = "cell=lattice, frac=fractional, z=scalar -> scalar"


@pytest.mark.parametrize("group", ["GL(3,Z)", "T(3)", "O(3)"])
def test_a_sum_over_images_does_not_see_the_choice_of_cell(group: str) -> None:
    assert verdicts(Crystal(), f"{group}: {CELL}", crystals()) == {"exact"}


def test_a_term_in_edges_or_origin_is_found_by_its_own_claim() -> None:
    found = {
        (fault, group): verdicts(Crystal(**{fault: 0.3}), f"{group}: {CELL}", crystals())
        for fault in ("edges", "origin")
        for group in ("GL(3,Z)", "T(3)", "O(3)")
    }
    assert {key for key, verdict in found.items() if verdict != {"exact"}} == {
        ("edges", "GL(3,Z)"),
        ("origin", "GL(3,Z)"),
        ("origin", "T(3)"),
    }


class Relaxed(nn.Module):
    """Atoms moved along the gradient-like sum of their neighbours, wrapped into the cell or not."""

    def __init__(self, wrapped: bool, drift: float = 0.0) -> None:
        super().__init__()
        self.wrapped, self.drift = wrapped, drift

    def forward(self, cell: Tensor, frac: Tensor, z: Tensor) -> Tensor:
        gaps = frac[:, :, None] - frac[:, None]
        pull = (torch.sin(2 * torch.pi * gaps) * z[:, None, :, None]).sum(2) / 20
        moved = frac + pull + self.drift * frac
        return moved - moved.floor() if self.wrapped else moved


def test_outputs_in_the_cell_are_compared_to_the_nearest_image() -> None:
    claim = "T(3): cell=lattice, frac=fractional, z=scalar -> fractional"
    assert verdicts(Relaxed(wrapped=True), claim, crystals()) == {"exact"}
    assert verdicts(Relaxed(wrapped=False), claim, crystals()) == {"exact"}
    assert verdicts(Relaxed(wrapped=True, drift=0.05), claim, crystals()) == {"broken"}


# Packed crystals


class PackedCrystal(nn.Module):
    """The same sum over packed rows, each with the cell of its crystal; planted: a term in the origin."""

    def __init__(self, origin: float = 0.0) -> None:
        super().__init__()
        self.dense = Crystal(origin=origin)

    def forward(self, cell: Tensor, frac: Tensor, z: Tensor, batch: Tensor) -> Tensor:
        rows = [torch.nonzero(batch == i).flatten() for i in range(len(cell))]
        return torch.cat([self.dense(cell[i, None], frac[row][None], z[row][None]) for i, row in enumerate(rows)])


def packed_crystals() -> dict[str, Tensor]:
    """Five crystals of 2, 4, 3, 2 and 4 atoms."""
    sizes = torch.tensor([2, 4, 3, 2, 4])
    cell = 4 * torch.eye(3, dtype=torch.float64) + 0.6 * Draws(2, "cell").normal(5, 3, 3)
    frac, z = Draws(2, "frac").uniform(15, 3), 1 + Draws(2, "z").uniform(15)
    return {"cell": cell, "frac": frac, "z": z, "batch": torch.repeat_interleave(torch.arange(5), sizes)}


@pytest.mark.parametrize("group", ["GL(3,Z)", "T(3)", "O(3)"])
def test_packed_rows_move_with_the_cell_of_their_crystal(group: str) -> None:
    claim = f"{group}: cell=lattice, frac=fractional, z=scalar, batch=owner -> scalar"
    assert verdicts(PackedCrystal(), claim, packed_crystals()) == {"exact"}
    assert (verdicts(PackedCrystal(0.5), claim, packed_crystals()) == {"exact"}) == (group == "O(3)")
