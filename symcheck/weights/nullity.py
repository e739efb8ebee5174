"""Is a spec complete in its continuous part? Count the directions at θ that leave the function alone, both ways.

    nullity  =  #parameters − rank ∂f/∂θ   over many random inputs, at generic θ
    predicted  =  rank of the tangent vectors d/dt (exp(tX)·θ) of all continuous spaces
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symcheck.errors import ConfigError
from symcheck.weights.act import check_fit
from symcheck.weights.element import element_shape
from symcheck.weights.examples import redrawn
from symcheck.weights.moves import identity, moved
from symcheck.weights.spec import Space, Spec
from symcheck.weights.twin import Twin

LARGEST = 5000  # parameters; the singular values cost their cube
CONTINUOUS = ("scale", "general", "orthogonal", "rotation", "shift")
_WIDE = 3.0  # inputs are spread wider than the example, so that no piece of a piecewise linear model is missed
_ROWS = 1.5  # rows for each parameter
_PROJECTED = 1024  # outputs of one input, above which random combinations of them are taken
_ZERO = 1e-11  # singular values below this times the largest are zero
_STEP = 1e-3  # of the group parameter; the error of the tangents is its fourth power


@dataclass(frozen=True)
class Completeness:
    """The count of function-preserving directions: as the function has them, and as the spec says.

    `rank` is that of the Jacobian of the outputs by the parameters, `nullity` = parameters − rank. `gap` holds the
    largest singular value that counts as zero and the smallest that does not, both over the largest of all.
    `leak` is the largest ‖J t‖ over ‖J‖ ‖t‖ of a tangent vector: rounding where the spec is right.
    """

    parameters: int
    rank: int
    nullity: int
    predicted: int
    rows: int
    gap: tuple[float, float]
    leak: float
    approximate: bool

    @property
    def equal(self) -> bool:
        """Whether the spec holds every continuous symmetry at generic weights, and nothing else."""
        return self.predicted == self.nullity and self.leak < 1e-6 and self.clear

    @property
    def clear(self) -> bool:
        """Whether zero and non-zero singular values are far apart."""
        return self.gap[1] > 100 * self.gap[0]


def completeness(
    spec: Spec, model: nn.Module, example_inputs: Any, seed: int = 0, *, approximate: bool = False
) -> Completeness:
    """Compare the nullity of the Jacobian with the dimension of the spec's continuous part, at random generic weights.

    Buffers stay: of a space that moves buffers too only the combinations that leave them alone count. Approximate
    spaces count when asked for; the normalisers' eps is 0 then. Raises ConfigError above 5000 parameters.
    """
    count = sum(p.numel() for p in model.parameters())
    if not 0 < count <= LARGEST:
        raise ConfigError(
            f"completeness is counted for 1 to {LARGEST} parameters, and the model has {count}",
            where=type(model).__name__,
            hint="build the same architecture with smaller widths: the families of symmetries are the same",
        )
    twin = Twin.of(model, example_inputs, seed, inputs=1)
    twin = twin.without_eps() if approximate else twin
    if twin.dtype != torch.float64:
        raise ConfigError(
            "completeness needs double precision, in which the model fails",
            where="; ".join(twin.notes),
            hint="let the model run in float64",
        )
    rng = np.random.default_rng([seed & 0xFFFFFFFF, 0x2A11])
    _jitter(twin, rng)
    jacobian, rows = _jacobian(twin, rng, count)
    scale = _sizes(jacobian)
    rank, gap = _rank(jacobian / scale)
    tangents = _tangents(spec, twin, approximate) * scale
    predicted, _ = _rank(tangents)
    leak = 0.0
    if len(tangents):
        pushed = torch.linalg.vector_norm(tangents @ (jacobian / scale).T, dim=1)
        norms: Tensor = torch.linalg.vector_norm(tangents, dim=1) * torch.linalg.matrix_norm(jacobian / scale, 2)
        leak = float((pushed / norms.clamp_min(1e-300)).max())
    return Completeness(count, rank, count - rank, predicted, rows, gap, leak, approximate)


def _jitter(twin: Twin, rng: np.random.Generator) -> None:
    """Move every parameter to a generic place near it; positive and negative ones keep their sign."""
    with torch.no_grad():
        for parameter in twin.module.parameters():
            noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape))).to(parameter)
            one_sign = bool((parameter > 0).all() or (parameter < 0).all())
            size = parameter.square().mean().sqrt()
            parameter.copy_(parameter * (0.3 * noise).exp() if one_sign else parameter + 0.5 * size * noise)


def _jacobian(twin: Twin, rng: np.random.Generator, count: int) -> tuple[Tensor, int]:
    """∂outputs/∂parameters over random inputs, reduced to a square factor of the same row space; and its rows.

    More inputs are taken until a further half of them no longer raises the rank.
    """
    reduced = torch.zeros(0, count, dtype=torch.float64)
    rows, want, last = 0, _ROWS * count, -1
    for _ in range(5):
        while rows < want:
            block = _rows(twin, rng)
            rows += len(block)
            reduced = torch.cat([reduced, block])
            if len(reduced) > 2 * count + 512:
                reduced = torch.linalg.qr(reduced, mode="r").R
        reduced = torch.linalg.qr(reduced, mode="r").R
        rank, _ = _rank(reduced / _sizes(reduced))
        if rank == last:
            break
        last, want = rank, 1.5 * want
    return reduced, rows


def _sizes(jacobian: Tensor) -> Tensor:
    """The norm of every column, so that parameters of most sizes count alike; a column of rounding stays small."""
    norms: Tensor = torch.linalg.vector_norm(jacobian, dim=0)
    return norms.clamp_min(1e-3 * float(norms.max()) or 1.0)


def _rows(twin: Twin, rng: np.random.Generator) -> Tensor:
    """The Jacobian at one random input; random combinations of the outputs where there are very many."""
    call = redrawn(twin.calls[0], rng, noise=_WIDE)
    parameters = list(twin.module.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    outputs = [y for y in twin.call(call, gradients=True) if y.requires_grad]
    if not outputs:
        return torch.zeros(1, sum(p.numel() for p in parameters), dtype=torch.float64)
    flat = torch.cat([(torch.view_as_real(y) if y.is_complex() else y).flatten() for y in outputs])
    weights = torch.eye(len(flat), dtype=flat.dtype)
    if len(flat) > _PROJECTED:
        weights = torch.from_numpy(rng.standard_normal((_PROJECTED, len(flat)))) / len(flat) ** 0.5
    try:
        found = torch.autograd.grad(
            flat, parameters, weights, is_grads_batched=True, retain_graph=True, allow_unused=True
        )
        blocks = [found]
        lead = len(weights)
    except RuntimeError:  # an operator that has no batched gradient
        blocks = [torch.autograd.grad(flat, parameters, w, retain_graph=True, allow_unused=True) for w in weights]
        lead = 1
    return torch.cat([_joined(block, parameters, lead) for block in blocks])


def _joined(gradients: tuple[Tensor | None, ...], parameters: list[nn.Parameter], lead: int) -> Tensor:
    """Gradients side by side, (lead, #parameters); zero where a parameter plays no part."""
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([torch.zeros(lead, p.numel()).double() if g is None else g.reshape(lead, -1) for g, p in pairs], 1)


def _tangents(spec: Spec, twin: Twin, approximate: bool) -> Tensor:
    """The directions in parameter space along which the continuous spaces move θ, (directions, #parameters)."""
    sizes = check_fit(spec, {n: tuple(t.shape) for n, t in twin.state.items()}, "the state dict of the model")
    place = _places(twin.module)
    own, others = [], []
    for space in spec.spaces.values():
        if space.kind not in CONTINUOUS or (space.approximate and not approximate):
            continue
        for generator in _generators(space, element_shape(space, sizes)):
            tangent = _tangent(spec, space, generator, twin, sizes)
            own.append({n: t for n, t in tangent.items() if n in place})
            others.append({n: t for n, t in tangent.items() if n not in place})
    vectors = _stacked(own, place, sum(p.numel() for p in twin.module.parameters()))
    buffers, end = {}, 0
    for name in dict.fromkeys(name for tangent in others for name in tangent):
        buffers[name] = slice(end, end + twin.state[name].numel())
        end += twin.state[name].numel()
    if not end:
        return vectors
    still: Tensor = _still(_stacked(others, buffers, end)) @ vectors
    return still


def _places(module: nn.Module) -> dict[str, slice]:
    """Where each parameter stands in the vector of all; second names of one parameter too."""
    starts: dict[int, slice] = {}
    end = 0
    for parameter in module.parameters():
        starts[id(parameter)] = slice(end, end + parameter.numel())
        end += parameter.numel()
    return {name: starts[id(p)] for name, p in module.named_parameters(remove_duplicate=False)}


def _stacked(tangents: list[dict[str, Tensor]], place: Mapping[str, slice], width: int) -> Tensor:
    rows = torch.zeros(len(tangents), width, dtype=torch.float64)
    for row, tangent in zip(rows, tangents, strict=True):
        for name, t in tangent.items():
            row[place[name]] = t.flatten()
    return rows


def _still(buffers: Tensor) -> Tensor:
    """The combinations of rows that are zero, (combinations, rows)."""
    u: Tensor
    u, s, _ = torch.linalg.svd(buffers, full_matrices=True)
    rank = int((s > _ZERO * s.max().clamp_min(1e-300)).sum())
    return u[:, rank:].T


def _generators(space: Space, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """A basis of the Lie algebra, each shaped like an element."""
    if space.kind in ("scale", "rotation", "shift", "general"):
        basis = torch.eye(int(np.prod(shape)), dtype=torch.float64)
        yield from (row.reshape(shape) for row in basis)
        return
    n = space.size
    frame = torch.eye(n, dtype=torch.float64)
    if space.fixes:
        frame = torch.linalg.qr(torch.cat([torch.ones(n, 1).double(), frame[:, 1:]], 1)).Q[:, 1:]
    copies = int(np.prod(shape[:-2]))
    for copy in range(copies):
        for i in range(frame.shape[1]):
            for j in range(i):
                skew = torch.outer(frame[:, i], frame[:, j])
                whole = torch.zeros(copies, n, n, dtype=torch.float64)
                whole[copy] = skew - skew.T
                yield whole.reshape(shape)


def _tangent(spec: Spec, space: Space, generator: Tensor, twin: Twin, sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """d/dt exp(tX)·θ at t = 0 by central differences at two steps, extrapolated."""

    def slope(step: float) -> dict[str, Tensor]:
        ahead, behind = (
            moved(spec, {space.name: _exponential(space, t * generator)}, twin.state, sizes) for t in (step, -step)
        )
        return {name: (ahead[name] - behind[name]) / (2 * step) for name in ahead}

    coarse, fine = slope(_STEP), slope(_STEP / 2)
    return {name: (4 * fine[name] - coarse[name]) / 3 for name in coarse if coarse[name].is_floating_point()}


def _exponential(space: Space, x: Tensor) -> Tensor:
    if space.kind == "scale":
        return x.exp()
    if space.kind in ("general", "orthogonal"):
        exponential: Tensor = torch.linalg.matrix_exp(x)
        return exponential
    return identity(space, x) + x


def _rank(matrix: Tensor) -> tuple[int, tuple[float, float]]:
    """The rank, with the largest singular value that counts as zero and the smallest that does not."""
    if not matrix.numel():
        return 0, (0.0, 1.0)
    values = torch.linalg.svdvals(matrix)
    if not float(values[0]) > 0:
        return 0, (0.0, 1.0)
    values = values / values[0]
    rank = int((values > _ZERO).sum())
    below = float(values[rank]) if rank < len(values) else 0.0
    return rank, (below, float(values[rank - 1]))
