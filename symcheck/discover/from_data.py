"""One-parameter symmetries of a data set without a network: learned against a discriminator, then tested.

g = exp(Σ w_i L_i) with w ~ N(0, 1); a discriminator tells (x, y) from (g·x, g·y), the generators L_i learn to deceive
it (Yang et al. 2023, arXiv:2302.00236). Nothing is believed of what was learned: every generator is tested alone, on
samples that were not used, and several seeds are run. E‖Lx‖² = E‖x‖² keeps g away from the identity on the data.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from symcheck.discover.discrete_result import DataGenerator, DataSymmetry
from symcheck.discover.two_sample import Rows, two_sample
from symcheck.errors import DataError

_STEPS, _BATCH, _WIDTH = 600, 256, 64
_LARGEST = 16
_FAR = 30.0  # how far w goes where the generator turns
_APART = 0.5  # sine of the angle to the span of the generators that are kept, below which one is no news
_PLAIN = 0.97  # how much of a generator must be skew, or a multiple of the identity, for its name


def data_symmetries(
    x: Tensor,
    y: Tensor | None = None,
    *,
    generators: int = 1,
    seeds: int = 2,
    moves: bool = False,
    skew: bool = False,
    seed: int = 0,
) -> DataSymmetry:
    """One-parameter linear symmetries of rows x, (B, d) or (B, N, d) with one action on all points.

    `y`, (B, ...), stands beside x and stays, or with `moves` is moved as x is (then (B, d) too). With `skew` only
    rotations are searched: a Gaussian of any covariance has others. One half of the samples is for learning, the other
    for the tests. Raises DataError for d above 16 or few samples.
    """
    if x.dim() not in (2, 3) or not 1 < x.shape[-1] <= _LARGEST or len(x) < 64 or not bool(torch.isfinite(x).all()):
        raise DataError(
            f"linear symmetries cannot be learned from data of shape {tuple(x.shape)}",
            where="discover from data",
            hint=f"give at least 64 finite samples (B, d) or (B, N, d), d from 2 to {_LARGEST}",
        )
    x = x.double()
    scale = float(x.square().mean().sqrt()) or 1.0
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    learn, test = order[: len(x) // 2], order[len(x) // 2 :]
    beside = None if y is None else (y.double() / (float(y.double().std()) or 1.0))
    found: list[DataGenerator] = []
    for k in range(seeds):
        still = None if beside is None or moves else beside[learn]
        turning = beside[learn] if beside is not None and moves else None
        for matrix in learned(x[learn] / scale, still, turning, generators, skew, seed + k):
            for plain in canonical(matrix) if _news(matrix, found) else ():
                one = _tested(plain, x[test] / scale, None if beside is None else beside[test], moves, seed + k)
                if one.test.verdict == "alike":
                    found.append(one)
                    break
    notes = () if found else ("no generator passed the test on fresh samples",)
    return DataSymmetry(tuple(found), seeds, notes)


def learned(
    x: Tensor, still: Tensor | None, turning: Tensor | None, count: int, skew: bool, seed: int
) -> Tensor:
    """Generators (c, d, d) that a discriminator was played against; not tested."""
    rng = torch.Generator().manual_seed(seed)
    d = x.shape[-1]
    raw = torch.randn(count, d, d, generator=rng, dtype=torch.float64).requires_grad_(True)
    size = x[0].numel() + (still[0].numel() if still is not None else 0) + (d if turning is not None else 0)
    judge = _judge(size, rng)
    players = torch.optim.Adam([raw], lr=1e-2), torch.optim.Adam(judge.parameters(), lr=2e-3, betas=(0.5, 0.9))
    moments = (x.reshape(-1, d).T @ x.reshape(-1, d)) / x.reshape(-1, d).shape[0]
    decide = nn.functional.binary_cross_entropy_with_logits
    for _ in range(_STEPS):
        rows = torch.randint(len(x), (2, min(_BATCH, len(x))), generator=rng)
        w = torch.randn(rows.shape[1], count, generator=rng, dtype=torch.float64)
        g = torch.linalg.matrix_exp(torch.einsum("bc,cij->bij", w, _sized(raw, moments, skew)))
        real, fake = judge(_joined(x, still, turning, rows[0], None)), _joined(x, still, turning, rows[1], g)
        loss = decide(real, torch.ones_like(real)) + decide(judge(fake.detach()), torch.zeros_like(real))
        players[1].zero_grad()
        torch.autograd.backward(loss)
        players[1].step()
        answer = judge(fake)
        players[0].zero_grad()
        torch.autograd.backward(decide(answer, torch.ones_like(answer)) + _alike(_sized(raw, moments, skew)))
        players[0].step()
    return _sized(raw, moments, skew).detach()


def _judge(size: int, rng: torch.Generator) -> nn.Sequential:
    layers = [nn.Linear(size, _WIDTH), nn.LeakyReLU(0.2), nn.Linear(_WIDTH, _WIDTH), nn.LeakyReLU(0.2),
              nn.Linear(_WIDTH, 1)]  # fmt: skip
    judge = nn.Sequential(*layers).double()
    with torch.no_grad():
        for p in judge.parameters():
            bound = math.sqrt(3 / p.shape[-1]) if p.dim() > 1 else 0.1
            p.copy_(torch.rand(p.shape, generator=rng, dtype=torch.float64) * 2 * bound - bound)
    return judge


def _sized(raw: Tensor, moments: Tensor, skew: bool) -> Tensor:
    """The generators with E‖Lx‖² = tr(L C Lᵀ) = E‖x‖²."""
    raw = raw - raw.mT if skew else raw
    size = torch.einsum("cij,jk,cik->c", raw, moments, raw) / moments.trace()
    return raw / size.clamp(min=1e-12).sqrt()[:, None, None]


def _joined(x: Tensor, still: Tensor | None, turning: Tensor | None, rows: Tensor, g: Tensor | None) -> Tensor:
    """What the discriminator sees: x and y flat, moved by g, (b, d, d), where there is one."""
    parts = [x[rows] if g is None else _moved(x[rows], g)]
    if turning is not None:
        parts.append(turning[rows] if g is None else _moved(turning[rows], g))
    if still is not None:
        parts.append(still[rows])
    return torch.cat([part.reshape(len(rows), -1) for part in parts], 1)


def _moved(x: Tensor, g: Tensor) -> Tensor:
    return (x.reshape(len(x), -1, x.shape[-1]) @ g.mT).reshape(x.shape)


def _alike(generators: Tensor) -> Tensor:
    """Σ |cosine| of pairs of generators."""
    flat = nn.functional.normalize(generators.flatten(1), dim=1)
    return (flat @ flat.T).triu(1).abs().sum()


def _tested(matrix: Tensor, x: Tensor, y: Tensor | None, moves: bool, seed: int) -> DataGenerator:
    """One generator, alone, on samples that were not used."""
    whole = torch.cat([x.reshape(len(x), -1), *([y] if y is not None and moves else [])], 1)

    turns = _turns(matrix)

    def move(rows: Tensor, draw: int) -> Tensor:
        rng = np.random.default_rng([seed, draw])
        w = torch.from_numpy(rng.uniform(-_FAR, _FAR, len(rows)) if turns else rng.standard_normal(len(rows)))
        g = torch.linalg.matrix_exp(w[:, None, None] * matrix)
        return _moved(rows.reshape(len(rows), -1, x.shape[-1]), g).reshape(rows.shape)

    data = Rows.of(whole, *([y] if y is not None and not moves else []))
    name = name_of(matrix)
    test = two_sample(data, move, name or "one generator", haar=turns, seed=seed)
    return DataGenerator(tuple(tuple(row) for row in matrix.tolist()), name, test)


def canonical(matrix: Tensor) -> list[Tensor]:
    """What a learned generator may stand for, plainest first: its skew part, a scaling, one that turns, or itself."""
    found, total = [], float(matrix.square().sum())
    skew, scaling = (matrix - matrix.T) / 2, torch.eye(len(matrix), dtype=matrix.dtype) * matrix.diagonal().mean()
    found += [skew] if float(skew.square().sum()) > _PLAIN * total else []
    found += [scaling] if float(scaling.square().sum()) > _PLAIN * total else []
    values, vectors = torch.linalg.eig(matrix)
    if float(values.real.abs().max()) < 0.2 * float(values.imag.abs().max()):
        found.append((vectors @ torch.diag(1j * values.imag) @ torch.linalg.inv(vectors)).real)
    return found or [matrix]


def _turns(matrix: Tensor) -> bool:
    """Whether exp(wL) nearly stays bounded: w uniform over many turns is then nearly uniform on a compact group."""
    values = torch.linalg.eigvals(matrix)
    return bool(values.real.abs().max() * _FAR <= 0.1 and values.imag.abs().max() > 0)


def name_of(matrix: Tensor) -> str:
    """`rotation`, `rotation about (0.0, 0.0, 1.0)`, `scaling`, or nothing."""
    total = float(matrix.square().sum())
    skew, even = (matrix - matrix.T) / 2, torch.eye(len(matrix), dtype=matrix.dtype) * matrix.diagonal().mean()
    if float(even.square().sum()) > _PLAIN * total:
        return "scaling"
    if not float(skew.square().sum()) > _PLAIN * total:
        return ""
    if len(matrix) != 3:
        return "rotation"
    axis = torch.stack([skew[2, 1], skew[0, 2], skew[1, 0]])
    axis = axis / axis.norm() * (1 if float(axis[axis.abs().argmax()]) > 0 else -1)
    return "rotation about (" + ", ".join(f"{v + 0.0:.2f}" for v in axis.tolist()) + ")"


def _news(matrix: Tensor, found: list[DataGenerator]) -> bool:
    """Whether a generator is not nearly in the span of those that were found."""
    if not found:
        return True
    basis = torch.tensor([one.matrix for one in found], dtype=torch.float64).flatten(1)
    q = torch.linalg.qr(basis.T).Q
    flat = matrix.flatten()
    return bool((flat - q @ (q.T @ flat)).norm() > _APART * flat.norm())
