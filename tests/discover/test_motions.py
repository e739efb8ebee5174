"""The small family of motions of images: planted invariances at first order, a network without any, refusals."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from symcheck.discover.discover import Search, discover
from symcheck.discover.images import FAMILY, velocities
from symcheck.discover.result import Discovery
from symcheck.subject import as_subject


def blobs(count: int, size: int = 25) -> Tensor:
    """Smooth images, (count, 1, size, size), that vanish at their border."""
    g = torch.Generator().manual_seed(0)
    at = torch.linspace(-1, 1, size, dtype=torch.float64)
    total = torch.zeros(count, size, size, dtype=torch.float64)
    for _ in range(3):
        x, y = (0.3 * torch.randn(2, count, 1, 1, generator=g, dtype=torch.float64)).clamp(-0.4, 0.4)
        high = 0.5 + torch.rand(count, 1, 1, generator=g, dtype=torch.float64)
        total += high * torch.exp(-((at[None, None] - x) ** 2 + (at[None, :, None] - y) ** 2) / 0.03)
    return total[:, None]


def motions(model: nn.Module | object, x: Tensor) -> Discovery:
    return discover(as_subject(model), {"image": x}, Search(parts=("continuous",), samples=len(x)))


def energy(image: Tensor) -> Tensor:
    """Σ x² and Σ x⁴: shifts and turns leave them alone."""
    return torch.stack([image.square().sum((1, 2, 3)), image.pow(4).sum((1, 2, 3))], 1)


class Normalised(nn.Module):
    """Any network behind (x − mean) / spread: contrast and brightness are gone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(625, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, image: Tensor) -> Tensor:
        centred = image - image.mean((1, 2, 3), keepdim=True)
        return self.net(centred / centred.square().mean((1, 2, 3), keepdim=True).sqrt())


def test_shifts_and_turns_of_pooled_powers() -> None:
    coarse, fine = (motions(energy, blobs(40, size)).motions[0] for size in (25, 49))
    for found in (coarse, fine):
        kinds = [one.direction.kind for one in found.directions]
        assert kinds == ["near", "near", "near", "other", "other", "other"]
        for one in found.directions[:3]:
            assert set(one.shares) <= {"shift to the right", "shift upwards", "rotation"}
    # what is left is the spline's error, which falls with the third power of the resolution at least
    assert fine.directions[2].direction.sigma < coarse.directions[2].direction.sigma / 7


def test_contrast_and_brightness_are_exact() -> None:
    (found,) = motions(Normalised().double(), blobs(40)).motions
    kinds = [one.direction.kind for one in found.directions]
    assert kinds == ["exact", "exact", "other", "other", "other", "other"]
    for one in found.directions[:2]:
        assert set(one.shares) <= {"contrast", "brightness"} and one.direction.sigma < 1e-12


def test_network_without_any() -> None:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(1, 4, 5), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 441, 5)).double()
    (found,) = motions(net, blobs(40)).motions
    assert all(one.direction.kind == "other" for one in found.directions)


def test_velocities_against_moved_blobs() -> None:
    """A Gaussian at (x, y) has known derivatives under every motion."""
    at = torch.linspace(-1, 1, 33, dtype=torch.float64)

    def blob(x: Tensor, y: Tensor, width: Tensor) -> Tensor:
        up = -at[:, None]
        return torch.exp(-((at[None, :] - x) ** 2 + (up - y) ** 2) / width)[None, None]

    place = tuple(torch.tensor(v, dtype=torch.float64) for v in (0.2, -0.1, 0.08))
    found = velocities(blob(*place))
    one, none = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    ways = {
        "shift to the right": (one, none, none),
        "shift upwards": (none, one, none),
        "rotation": (-place[1], place[0], none),
        "zoom": (place[0], place[1], 2 * place[2]),
    }
    for name, way in ways.items():
        _, expected = torch.func.jvp(blob, place, way)
        gap = (found[FAMILY.index(name)] - expected).abs().max() / expected.abs().max()
        assert float(gap) < 0.01, name
