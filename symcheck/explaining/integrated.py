"""Explainers that compare x with a baseline x₀: integrated gradients and occlusion.

Both follow a group only where it leaves the baseline alone, g·x₀ = x₀; occlusion also needs blocks to go to blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import final

import torch
from torch import Tensor

from symcheck.explaining.explainers import Asked, Explainer, explainers, real, whole
from symcheck.report.numbers import number

_BLOCKS = 64  # forward passes of occlusion where no window is asked for


@final
class IntegratedGradients(Explainer):
    """(x − x₀) · mean over the path of ∂ score / ∂ x, by the midpoint rule at `steps` points.

    Source: Sundararajan, Taly & Yan 2017, arXiv:1703.01365.
    """

    name = "integrated-gradients"

    def __init__(self, steps: int = 64, baseline: float = 0.0) -> None:
        self.steps, self.baseline = steps, baseline

    def __call__(self, asked: Asked) -> dict[str, Tensor]:
        """`steps` backward passes."""
        return self.along(asked, self.steps)

    def along(self, asked: Asked, steps: int) -> dict[str, Tensor]:
        """The attributions from so many points of the path x₀ + t (x − x₀)."""
        start = {name: torch.full_like(asked.inputs[name], self.baseline or 0.0) for name in asked.wrt}
        total = {name: torch.zeros_like(x) for name, x in start.items()}
        for k in range(steps):
            t = (k + 0.5) / steps
            path = {name: x + t * (asked.inputs[name] - x) for name, x in start.items()}
            for name, g in asked.gradients({**asked.inputs, **path}).items():
                total[name] += g
        return {name: (asked.inputs[name] - start[name]) * g / steps for name, g in total.items()}

    def gap(self, asked: Asked, steps: int) -> float:
        """The completeness gap |Σ IG − (F(x) − F(x₀))| over |F(x) − F(x₀)|, root mean squares over the samples."""
        start = {name: torch.full_like(asked.inputs[name], self.baseline or 0.0) for name in asked.wrt}
        with torch.no_grad():
            owed = (asked.score(asked.inputs) - asked.score({**asked.inputs, **start})).double()
        found = sum(a.double().flatten(1).sum(1) for a in self.along(asked, steps).values())
        size = float(owed.square().mean().sqrt())
        return float((found - owed).square().mean().sqrt()) / size if size > 0 else math.nan

    def notes(self, asked: Asked) -> list[str]:
        """The completeness gap at a quarter of the steps, at all, and at four times as many."""
        counts = sorted({max(self.steps // 4, 1), self.steps, 4 * self.steps})
        gaps = ", ".join(f"{number(self.gap(asked, steps))} at {steps}" for steps in counts)
        return [f"completeness gap over |F(x) − F(x₀)|: {gaps} steps"]


@final
class Occlusion(Explainer):
    """score(x) − score(x with one block at the baseline), for each block.

    A block is `window` wide on every axis of places: of images all but the first axis, of rows (N, d) the first.
    """

    name, kind = "occlusion", "places"

    def __init__(self, window: int | None = None, baseline: float = 0.0) -> None:
        self.window, self.baseline = window, baseline

    def __call__(self, asked: Asked) -> dict[str, Tensor]:
        """One forward pass for every block."""
        found = {}
        with torch.no_grad():
            score = asked.score(asked.inputs)
            for name in asked.wrt:
                x = asked.inputs[name]
                found[name] = torch.zeros_like(x)
                for block in self.blocks(tuple(x.shape[1:])):
                    hidden = x.clone()
                    hidden[(slice(None), *block)] = self.baseline or 0.0
                    change = score - asked.score({**asked.inputs, name: hidden})
                    found[name][(slice(None), *block)] = change.reshape(-1, *[1] * (x.dim() - 1)).to(x.dtype)
        return found

    def blocks(self, shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
        """The blocks of a sample of this shape, each as one slice for every axis."""
        places = range(1, len(shape)) if len(shape) > 2 else range(min(len(shape), 1))
        width = self.window or next(w for w in range(1, max(shape, default=1) + 1) if self._few(shape, places, w))
        steps = [range(0, shape[i], width) if i in places else range(1) for i in range(len(shape))]
        for corner in product(*steps):
            yield tuple(slice(c, c + width) if i in places else slice(None) for i, c in enumerate(corner))

    @staticmethod
    def _few(shape: tuple[int, ...], places: range, width: int) -> bool:
        """Whether blocks of this width fill the places, and are few; one block of everything always is."""
        sizes = [shape[i] for i in places]
        fill = all(size % width == 0 for size in sizes)
        return width >= max(shape, default=1) or (fill and math.prod(size // width for size in sizes) <= _BLOCKS)


@explainers.register("integrated-gradients")
def integrated_gradients(steps: str = "64", baseline: str = "0") -> Explainer:
    """Integrated gradients from a constant baseline."""
    return IntegratedGradients(whole(steps, "steps"), real(baseline, "baseline"))


@explainers.register("occlusion")
def occlusion(window: str = "", baseline: str = "0") -> Explainer:
    """What is lost when a block of the input is replaced by the baseline."""
    return Occlusion(whole(window, "window") if window else None, real(baseline, "baseline"))
