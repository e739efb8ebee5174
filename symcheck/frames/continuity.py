"""Does a canonicalised network jump? Paths through the inputs, and their steepest place halved again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from symcheck.frames.frame import PCA, Frame
from symcheck.frames.result import Continuity
from symcheck.frames.scene import Scene

At = Callable[[Tensor], dict[str, Tensor]]  # inputs at the times (n,), one sample for each
Run = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]

_GRID, _HALVINGS, _FITTED = 48, 22, 12
_ROUNDING = 1e-11  # changes below this, relative to the spread, are rounding


def continuity(run: Run, here: Scene, frame: Frame, pairs: int = 4) -> tuple[Continuity, ...]:
    """The steepest of some straight paths between samples and, of a PCA frame, of paths on which two axes swap."""
    found = []
    count = min(pairs, here.batch.count - 1)
    if count > 0 and not here.batch.packed:
        paths = [_straight(here, i, i + 1) for i in range(count)]
        found.append(_steepest("straight paths between samples", run, paths))
    if isinstance(frame, PCA) and not here.batch.packed and here.batch.tensors[frame.on or here.driver()].dim() == 3:
        paths = [_swap(here, frame, i) for i in range(min(pairs, here.batch.count))]
        found.append(_steepest("paths on which two principal axes swap", run, paths))
    return tuple(found)


def _steepest(name: str, run: Run, paths: list[At]) -> Continuity:
    """The path with the lowest slope."""
    measured = [_halved(name, run, path) for path in paths]
    return min(measured, key=lambda one: math.inf if math.isnan(one.slope) else one.slope)


def _halved(name: str, run: Run, path: At) -> Continuity:
    def at(times: list[float]) -> Tensor:
        outputs = run(path(torch.tensor(times, dtype=torch.float64)))
        return torch.cat([y.double().reshape(len(y), -1) for y in outputs.values() if y.is_floating_point()], 1)

    grid = [i / _GRID for i in range(_GRID + 1)]
    values = at(grid)
    spread = float((values - values.mean(0)).square().sum(1).mean().sqrt())
    i = int((values[1:] - values[:-1]).square().sum(1).argmax())
    (low, high), (left, right) = (grid[i], grid[i + 1]), values[i : i + 2]
    steps, sizes = [], []
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inner = at([middle])[0]
        before, after = float((inner - left).norm()), float((right - inner).norm())
        low, high, left, right = (low, middle, left, inner) if before >= after else (middle, high, inner, right)
        steps.append(high - low)
        sizes.append(max(before, after) / spread if spread > 0 else math.nan)
    slope = _slope(steps[-_FITTED:], sizes[-_FITTED:])
    return Continuity(name, slope, sizes[-1], tuple(steps), tuple(sizes))


def _slope(steps: list[float], sizes: list[float]) -> float:
    """Of the least-squares line through (log h, log size), of the sizes above rounding; NaN where there are few."""
    kept = [(math.log(h), math.log(s)) for h, s in zip(steps, sizes, strict=True) if s > _ROUNDING]
    if len(kept) < 3:
        return math.nan
    x, y = (torch.tensor(column, dtype=torch.float64) for column in zip(*kept, strict=True))
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def _straight(here: Scene, i: int, j: int) -> At:
    """From sample i to sample j in the floating inputs that move, the others those of i."""
    tensors = here.batch.tensors

    def at(times: Tensor) -> dict[str, Tensor]:
        found = {}
        for name, x in tensors.items():
            many = x[i].expand(len(times), *x.shape[1:])
            if name in here.moved and x.is_floating_point():
                t = times.reshape(-1, *[1] * (x.dim() - 1)).to(x)
                many = (1 - t) * x[i] + t * x[j]
            found[name] = many
        return found

    return at


def _swap(here: Scene, frame: PCA, i: int) -> At:
    """Sample i stretched along its two longest axes, so that their eigenvalues are m(1 ∓ (t − ½)), equal at t = ½."""
    name = frame.on or here.driver()
    centre, covariance = (x[i].cpu() for x in frame.moments(here))
    values, axes = torch.linalg.eigh(covariance)
    middle = (values[-1] + values[-2]) / 2

    def at(times: Tensor) -> dict[str, Tensor]:
        found = {n: x[i].expand(len(times), *x.shape[1:]) for n, x in here.batch.tensors.items()}
        scale = torch.ones(len(times), len(values), dtype=torch.float64)
        scale[:, -1] = (middle * (1.5 - times) / values[-1]).sqrt()
        scale[:, -2] = (middle * (0.5 + times) / values[-2]).sqrt()
        stretch = axes @ (scale[:, :, None] * axes.mT)
        x = here.batch.tensors[name][i]
        found[name] = ((x.double().cpu() - centre) @ stretch + centre).to(x)
        return found

    return at
