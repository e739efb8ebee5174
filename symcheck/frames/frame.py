"""Frames: sets of group elements computed from the input, with F(g·x) = g·F(x).

The frame average ⟨φ⟩(x) = |F(x)|⁻¹ Σ_{g ∈ F(x)} g·φ(g⁻¹·x) is then equivariant whatever φ is; with one element in
F(x) that is a canonicaliser, with the whole group in it the group average. Source: Puny et al. 2022, arXiv:2110.03336.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from symcheck.errors import ConfigError
from symcheck.frames.scene import NoFrame, Scene, euclidean, motions
from symcheck.groups.draws import Draws
from symcheck.groups.matrices import determinant


@dataclass(frozen=True)
class Poses:
    """The frames of a batch: elements g, (K, *E) float64 or int64; sample b has those at `index[b]`, (B, F).

    `fixed`: the elements are the same for every batch, only the index is not.
    """

    g: Tensor
    index: Tensor
    fixed: bool = False

    @classmethod
    def of(cls, elements: Tensor) -> Poses:
        """Frames of their own for every sample, (B, F, *E)."""
        count, size = elements.shape[:2]
        return cls(elements.flatten(0, 1).cpu(), torch.arange(count * size).reshape(count, size))

    @property
    def size(self) -> int:
        """|F|, how many elements each sample has."""
        return self.index.shape[1]


class Frame(ABC):
    """How a frame is computed; `name` is what the command line calls it."""

    name: str

    @abstractmethod
    def poses(self, scene: Scene) -> Poses:
        """The frames of a batch; raises NoFrame where the group or the inputs have none."""


@final
class PCA(Frame):
    """The principal axes with all signs about the centroid: 2^d elements of O(d) and E(d), 2^(d−1) of SO(d) and SE(d).

    C = Σ w (x − t)(x − t)ᵀ, t the centroid where the group translates and else 0, axes by falling eigenvalue. `on` is
    the input that is read (the first points, else vectors), `weights` one that weighs its points, such as a mask.
    `draw` takes so many of the elements at random, anew at every call: a stochastic frame, not equivariant by itself.
    """

    name = "pca"

    def __init__(self, on: str = "", weights: str = "", draw: int | None = None, seed: int = 0) -> None:
        self.on, self.weights, self.draw, self.seed = on, weights, draw, seed
        self._calls = 0

    def poses(self, scene: Scene) -> Poses:
        """(B, 2^d) or (B, 2^(d−1)) elements; one for T(d)."""
        group = scene.group
        d, mirrors, turns, shifts = euclidean(group, "a PCA frame")
        centre, covariance = self.moments(scene)
        t = centre[:, None] if shifts else torch.zeros_like(centre[:, None])
        if not turns:
            return Poses.of(motions(group, covariance[:, None], t))
        axes = torch.linalg.eigh(covariance)[1].flip(-1)
        r = axes[:, None] * signs(d, axes)[None, :, None, :]
        if not mirrors:  # of two that differ in the last sign, the one with determinant 1
            half = r[:, ::2]
            r = torch.cat([half[..., :-1], half[..., -1:] * determinant(half)[..., None, None].sign()], -1)
        r = self._drawn(r)
        return Poses.of(motions(group, r, t.expand(-1, r.shape[1], -1)))

    def moments(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Centroids (B, d), zero where the group has no translations, and covariances (B, d, d), float64."""
        name = self.on or scene.driver()
        d, _, _, shifts = euclidean(scene.group, "a PCA frame")
        if name not in scene.batch.tensors:
            raise ConfigError(f"there is no input '{name}'", where="frame pca", hint=", ".join(scene.batch.tensors))
        x = scene.columns(name, d)
        w = scene.batch.tensors[self.weights].double() if self.weights else torch.ones_like(x[..., 0])
        w = w.reshape(x.shape[:-1])[..., None]
        total = scene.summed(name, w)
        centre = scene.summed(name, w * x) / total if shifts else torch.zeros_like(scene.summed(name, x))
        y = x - scene.spread(name, centre)
        return centre, scene.summed(name, w[..., None] * y[..., :, None] * y[..., None, :]) / total[..., None]

    def _drawn(self, r: Tensor) -> Tensor:
        if self.draw is None:
            return r
        rng = Draws(self.seed, "frame", self._calls)
        self._calls += len(r)
        pick = rng.integers(len(r), self.draw, high=r.shape[1])
        return r[torch.arange(len(r))[:, None], pick]


def signs(d: int, like: Tensor) -> Tensor:
    """All (2^d, d) choices of d signs; the last changes first."""
    return torch.tensor([*itertools.product((1.0, -1.0), repeat=d)], dtype=like.dtype, device=like.device)


@final
class GramSchmidt(Frame):
    """The frame of given vectors: orthonormalised in their order (d of them for O(d), d − 1 for SO(d)).

    A vector is an input, `velocity`, or one of its rows, `pos[1]`; points are taken from their centroid.
    """

    name = "gram-schmidt"

    def __init__(self, *vectors: str) -> None:
        self.vectors = vectors

    def poses(self, scene: Scene) -> Poses:
        """One element a sample."""
        group = scene.group
        d, mirrors, turns, shifts = euclidean(group, "gram-schmidt")
        needed = d if mirrors else d - 1
        if len(self.vectors) != needed or not turns:
            raise NoFrame(
                f"gram-schmidt needs {needed} vectors for {group.name}, not {len(self.vectors)}",
                where=f"gram-schmidt({','.join(self.vectors)})",
                hint="a frame of fewer vectors does not turn with mirrors: name as many as there are dimensions",
            )
        v = torch.stack([self._vector(scene, text, d) for text in self.vectors], -1)
        q, upper = torch.linalg.qr(v, mode="complete")
        facing = 1.0 - 2.0 * (upper.diagonal(dim1=-2, dim2=-1) < 0).to(v)
        if not mirrors:
            kept = q[..., :-1] * facing[:, None]
            last = q[..., -1:]
            turned = determinant(torch.cat([kept, last], -1)).sign()[:, None, None]
            r = torch.cat([kept, last * turned], -1)
        else:
            r = q * facing[:, None]
        return Poses.of(motions(group, r[:, None], self._centre(scene, d, shifts)))

    def _vector(self, scene: Scene, text: str, d: int) -> Tensor:
        name, opened, row = text.rstrip("]").partition("[")
        known = [*scene.batch.tensors]
        if name not in known or scene.batch.packed or (opened and not row.isdigit()):
            raise ConfigError(
                f"gram-schmidt cannot read '{text}'",
                where="frame gram-schmidt",
                hint=f"name a dense input, or one row of it: velocity, pos[1]; there are {', '.join(known)}",
            )
        x = scene.columns(name, d)
        if scene.bound.inputs[name].parts[0].action.affine:
            x = x - x.mean(1, keepdim=True)
        if not int(row or 0) < x.shape[1]:
            raise ConfigError(
                f"there is no {text}: '{name}' has {x.shape[1]} {'row' if x.shape[1] == 1 else 'rows'} a sample",
                where=f"gram-schmidt({','.join(self.vectors)})",
                hint=f"rows are counted from 0: the last one is {name}[{x.shape[1] - 1}]",
            )
        return x[:, int(row or 0)]

    def _centre(self, scene: Scene, d: int, shifts: bool) -> Tensor:
        if not shifts:
            return scene.columns(scene.driver(), d)[:, :1] * 0.0
        return scene.columns(scene.driver(), d).mean(1, keepdim=True)


@final
class Whole(Frame):
    """The same elements for every sample: all of a finite group, or `count` drawn from the law of any other.

    An average over drawn elements is equivariant only in the limit of many.
    """

    name = "average"

    def __init__(self, count: int = 64, seed: int = 0) -> None:
        self.count, self.seed = count, seed

    def poses(self, scene: Scene) -> Poses:
        """(B, |G|) or (B, count)."""
        group = scene.group
        g = group.elements() if group.order is not None else None
        g = group.sample(self.count, Draws(self.seed, f"average over {group.name}")) if g is None else g
        return Poses(g, torch.arange(len(g)).expand(scene.batch.count, -1), fixed=True)
