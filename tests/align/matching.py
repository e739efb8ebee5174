"""Problems whose answer is known, for the tests of alignment."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from symcheck.align.gauge import Gauged
from symcheck.align.problem import Problem
from symcheck.align.setup import problem_of
from symcheck.patterns import parse_axes
from symcheck.weights.spec import Space, Spec


def mlp(*dims: int) -> Spec:
    """A spec of an MLP with biases: hidden layers h0, h1, ..."""
    axes, shapes, spaces = {}, {}, {}
    last = len(dims) - 2
    for i, (n, m) in enumerate(itertools.pairwise(dims)):
        out, into = ("." if i == last else f"h{i}"), ("." if i == 0 else f"h{i - 1}")
        axes |= {f"w{i}": parse_axes(f"{out} {into}"), f"b{i}": parse_axes(out)}
        shapes |= {f"w{i}": (m, n), f"b{i}": (m,)}
        if i < last:
            spaces[out] = Space(out, "permutation", m)
    return Spec(spaces, axes, shapes=shapes)


def recurrent(n: int = 12) -> Spec:
    """A unit that stands in one tensor twice."""
    axes = {"w": parse_axes("h ."), "u": parse_axes("h h"), "b": parse_axes("h"), "v": parse_axes(". h")}
    return Spec({"h": Space("h", "permutation", n)}, axes, shapes={"w": (n, 3), "u": (n, n), "b": (n,), "v": (2, n)})


def drawn(spec: Spec, seed: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in spec.shapes.items():
        made[name] = torch.randn(shape, generator=rng, dtype=torch.float64) / math.sqrt(shape[-1] or 1)
    return made


def noisy(state: Mapping[str, Tensor], size: float, seed: int = 99) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {n: t + size * t.std(correction=0) * torch.randn(t.shape, generator=rng, dtype=t.dtype)
            for n, t in state.items()}  # fmt: skip


def problem(spec: Spec, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Problem:
    return problem_of(spec, Gauged(dict(a)), Gauged(dict(b)))
