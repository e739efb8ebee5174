"""Networks with exactly one subgroup: generic ones with biases, averaged over the elements that they shall respect."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from symcheck.claim import Claim
from symcheck.groups.rotations import in_plane
from symcheck.locate.subgroups.plane import reflections
from symcheck.locate.subgroups.result import GroupPart, Spectrum
from symcheck.locate.subgroups.search import which_part
from symcheck.locate.subgroups.spectrum import spectra_of
from symcheck.measure.audit import Audit, Options
from symcheck.measure.plan import strata
from symcheck.measure.runner import measuring
from symcheck.measure.session import open_session, runner_for
from symcheck.subject import as_subject

SAMPLES = 10


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Generic(nn.Module):
    """A two-layer network with biases and without any symmetry."""

    def __init__(self, seed: int, width: int, outputs: int = 2, hidden: int = 24) -> None:
        super().__init__()
        rng = generator(seed)
        self.first = nn.Parameter(torch.randn(hidden, width, generator=rng) / math.sqrt(width))
        self.bias = nn.Parameter(torch.randn(hidden, generator=rng) / 2)
        self.second = nn.Parameter(torch.randn(outputs, hidden, generator=rng) / math.sqrt(hidden))
        self.offset = nn.Parameter(torch.randn(outputs, generator=rng) / 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.first.T + self.bias) @ self.second.T + self.offset


class Averaged(nn.Module):
    """The mean of a generic network over listed matrices: points (B, N, d) to scalars (B, 2)."""

    def __init__(self, matrices: Tensor, points: int, seed: int = 11) -> None:
        super().__init__()
        self.register_buffer("matrices", matrices.double())
        self.net = Generic(seed, points * matrices.shape[-1])

    def forward(self, pos: Tensor) -> Tensor:
        moved = torch.einsum("gij,bnj->gbni", self.matrices.to(pos), pos)
        mean: Tensor = self.net(moved.flatten(2)).mean(0)
        return mean


class Shuffled(nn.Module):
    """The mean of a generic network over listed permutations of its nodes: (B, N, d) to (B, 2)."""

    def __init__(self, permutations: list[list[int]], width: int = 2) -> None:
        super().__init__()
        self.permutations = permutations
        self.net = Generic(4, len(permutations[0]) * width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.net(x[:, p].flatten(1)) for p in self.permutations]).mean(0)


class Summed(nn.Module):
    """One network plus a little of another."""

    def __init__(self, main: nn.Module, leak: nn.Module, size: float) -> None:
        super().__init__()
        self.main, self.leak, self.size = main, leak, size

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.main(x) + self.size * self.leak(x)
        return total


class Axial(nn.Module):
    """A generic function of what turns about one axis leave of three points; `keep` chooses which of it.

    Along the axis: z (changes sign under half turns across it and level mirrors). About it: the turn sense c of two
    points (changes sign under every mirror that holds the axis, and under half turns across it).
    """

    def __init__(self, axis: Tensor, keep: str) -> None:
        super().__init__()
        self.register_buffer("axis", axis.double() / axis.double().norm())
        self.keep, self.net = keep, Generic(3, 8, hidden=20)

    def forward(self, pos: Tensor) -> Tensor:
        u: Tensor = self.axis.to(pos)  # type: ignore[assignment]
        z = pos @ u
        flat = pos - z[..., None] * u
        sense = (torch.linalg.cross(flat[:, 0], flat[:, 1]) @ u)[:, None]
        even = [z[:, :1] * z[:, 1:], z[:, :1] ** 2]
        kept = {
            "SO(2)": [z, sense], "C∞v": [z], "C∞h": [*even, sense], "D∞": [*even, z[:, :1] * sense], "D∞h": even,
        }[self.keep]  # fmt: skip
        gram = (flat @ flat.mT).flatten(1)[:, [0, 1, 4, 5][: 8 - sum(one.shape[1] for one in kept)]]
        seen = torch.cat([gram, *kept], 1)
        out: Tensor = self.net(nn.functional.pad(seen, (0, 8 - seen.shape[1])))
        return out


def points(d: int, n: int = 4, count: int = SAMPLES, seed: int = 5) -> Tensor:
    """Gaussian points, (count, n, d)."""
    return torch.randn(count, n, d, generator=generator(seed))


def turns(n: int) -> Tensor:
    """The elements of C_n in the plane, (n, 2, 2)."""
    return in_plane(torch.arange(n, dtype=torch.float64) * (2 * math.pi / n))


def dihedral(n: int, at: float) -> Tensor:
    """Those of D_n whose first mirror is R(at) diag(1, −1)."""
    return torch.cat([turns(n), reflections(at + torch.arange(n, dtype=torch.float64) * (2 * math.pi / n))])


def tilted(seed: int = 4) -> Tensor:
    """A rotation without any special direction, (3, 3)."""
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=generator(seed), dtype=torch.float64))
    q = torch.mul(q, r.diagonal().sign())
    return torch.mul(q, torch.linalg.det(q))


@contextmanager
def session_of(
    net: Callable[..., object], claim: str, x: Tensor | dict[str, Tensor], tolerance: float = 1e-3
) -> Iterator[Audit]:
    """An audit of a network on these inputs."""
    inputs = x if isinstance(x, dict) else {"x": x}
    runner = runner_for(as_subject(net), claim, inputs, None, "as-is")
    with measuring(runner):
        yield open_session(runner, inputs, (claim,), Options(elements=8, tolerance=tolerance), None)


def part_of(
    net: Callable[..., object], claim: str, x: Tensor | dict[str, Tensor], tolerance: float = 1e-3
) -> GroupPart:
    """What `which_part` finds of one claim."""
    with session_of(net, claim, x, tolerance) as session:
        return which_part(session, Claim.parse(claim))


def spectrum_of(net: Callable[..., object], text: str, x: Tensor) -> Spectrum:
    """The spectrum of a network, exact or not."""
    with session_of(net, text, x) as session:
        claim = Claim.parse(text)
        bound, _, outputs = session.bound(claim)
        return spectra_of(session, claim, strata(bound, outputs, 4, 0))[0][0]


def held(part: GroupPart, output: str = "output") -> set[tuple[str, str]]:
    """The names and verdicts of the largest subgroups that hold."""
    lattice = part.lattice(output)
    return {(lattice.nodes[i].name, str(lattice.nodes[i].verdict)) for i in lattice.holds}


def broken(part: GroupPart, output: str = "output") -> set[str]:
    """The names of what breaks."""
    lattice = part.lattice(output)
    return {lattice.nodes[i].name for i in lattice.breaks}
