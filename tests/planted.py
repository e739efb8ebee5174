"""Planted truths: tiny functions whose symmetry is known by construction, and the verdict each deserves.

`PLANTED` is the table; `tests/test_planted_truths.py` shows with plain torch that every row is as it claims.
Verdicts suppose a tolerance of 1e-3, relative to the spread of the output between samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import planted_models as nets
import torch
import torch.nn.functional as F
from planted_models import After, Conv, Energy, Frozen, Gated, Nearest, Sum, draw
from torch import Tensor, nn

Built = tuple[nn.Module, str, dict[str, Tensor]]
Build = Callable[[], Built]
Finish = Callable[[Tensor, Tensor], Tensor]

BOTH = ("float32", "float64")
SAMPLES, POINTS = 24, 6
TRANSPOSED = f"{Path(nets.__file__).resolve()}:transposed"
VECTOR, SCALAR = "SO(3): points -> vector", "SO(3): points -> scalar"
NODES = "S: nodes -> nodes"


@dataclass(frozen=True)
class Planted:
    """One truth: `build()` gives (model, claim, inputs); `verdict` holds in every one of `dtypes`.

    `leak` is the relative root-mean-square error planted, where the size is known.
    """

    name: str
    build: Build
    verdict: str
    dtypes: tuple[str, ...] = BOTH
    note: str = ""
    leak: float | None = None


def on_points(
    claim: str, model: Callable[[], nn.Module], finish: Finish | None = None, *, d: int = 3
) -> Build:
    """Generic points in d dimensions for a model, whose output `finish(y, x)` may change."""

    def build() -> Built:
        net = model() if finish is None else After(model(), finish)
        return net, claim, {"pos": draw(101, SAMPLES, POINTS, d)}

    return build


def on_images(
    claim: str,
    model: Callable[[], nn.Module],
    finish: Finish | None = None,
    *,
    size: tuple[int, int] = (12, 12),
) -> Build:
    """White-noise images for a model, whose output `finish(y, x)` may change."""

    def build() -> Built:
        net = model() if finish is None else After(model(), finish)
        return net, claim, {"image": draw(102, SAMPLES, 1, *size)}

    return build


# Rows that need more than a model and a claim -----------------------------------------------------------


def rotations(count: int, seed: int = 103) -> Tensor:
    """Haar rotations (count, 3, 3), float64."""
    rng = torch.Generator().manual_seed(seed)
    q, r = torch.linalg.qr(torch.randn(count, 3, 3, generator=rng, dtype=torch.float64))
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    return q * torch.linalg.det(q).reshape(-1, 1, 1)


def leaky(size: float) -> Built:
    """The gated net with a leak whose RMS error under SO(3) is `size` times the RMS output."""
    gated, claim, inputs = on_points(VECTOR, Gated)()
    base, leak, pos, turn = gated.double(), Frozen().double(), inputs["pos"].double(), rotations(SAMPLES)
    with torch.no_grad():
        defect = leak(pos @ turn.mT) - leak(pos) @ turn.mT
        amount = size * float(base(pos).square().mean().sqrt() / defect.square().mean().sqrt())
    return Sum(base.float(), leak.float(), amount), claim, inputs


def vector_neuron() -> Built:
    """Channels that come in nearly equal pairs, so that their differences lose two to three digits."""
    half = draw(104, SAMPLES, 3, 3)
    x = torch.cat([half, half + 3e-3 * draw(105, SAMPLES, 3, 3)], 1)
    return nets.VectorNeuron(6), "SO(3): vector -> vector", {"x": x}


def sometimes_nan() -> Built:
    """NaN when a point is higher than 1.5, for clouds so flat that only some rotations make them so."""
    model, claim, inputs = on_points(VECTOR, Gated, nan_above)()
    return model, claim, {"pos": inputs["pos"] * torch.tensor([1.0, 1.0, 0.1])}


def nan_above(y: Tensor, pos: Tensor) -> Tensor:
    """NaN for samples with a point higher than 1.5."""
    return torch.where(pos[..., 2].amax(-1)[:, None, None] > 1.5, torch.nan, y)


def at_origin() -> Built:
    """All points at the origin: no rotation moves the input, while the charges make the output vary."""
    inputs = {"pos": torch.zeros(SAMPLES, POINTS, 3), "q": draw(106, SAMPLES, POINTS)}
    return nets.Charged(), "SO(3): pos=points, q=scalar -> scalar", inputs


def odd(*, biases: bool) -> Built:
    """A tanh net on a vector; without biases it is odd."""
    return nets.Dense(19, 6, 8, 6, biases=biases), "Sign: vector -> vector", {"x": draw(107, SAMPLES, 6)}


def batch_statistics(y: Tensor, _: Tensor) -> Tensor:
    """Normalised by the batch, whatever the mode of the module."""
    return F.batch_norm(y.unsqueeze(-1), None, None, training=True).squeeze(-1)


def dropout(y: Tensor, _: Tensor) -> Tensor:
    """Dropout, whatever the mode of the module."""
    return F.dropout(y, 0.2, training=True)


def chiral(y: Tensor, pos: Tensor) -> Tensor:
    """E/10 + a·(b×c): invariant under rotations, not under mirrors."""
    return 0.1 * y + nets.triple(pos)


# The table -----------------------------------------------------------------------------------------------

_EXACT = [
    Planted("gated", on_points("O(3): points -> vector", Gated), "exact"),
    Planted("gated, rigid motions", on_points("SE(3): points -> vector", Gated), "exact"),
    Planted("gated, nodes", on_points(NODES, Gated), "exact"),
    Planted(
        "vector neuron", vector_neuron, "exact", note="loses digits, but the error falls with the precision"
    ),
    Planted("large", on_points(VECTOR, Gated, lambda y, _: 1e6 * y), "exact"),
    Planted("offset", on_points(SCALAR, Energy, lambda y, _: y + 1e3), "exact"),
    Planted(
        "float32 constants",
        on_points(VECTOR, nets.Traceless),
        "exact",
        note="constants kept in float32: the error stays near 1e-8 in float64",
    ),
    Planted("odd", partial(odd, biases=False), "exact", note="an accidental symmetry of bias-free tanh nets"),
    Planted("odd, biased", partial(odd, biases=True), "broken"),
]

_APPROXIMATE = [
    Planted("leak 1e-8", partial(leaky, 1e-8), "approximate", ("float64",), "below float32 rounding", 1e-8),
    Planted("leak 1e-6", partial(leaky, 1e-6), "approximate", BOTH, "ten times float32 rounding", 1e-6),
    Planted("leak 1e-4", partial(leaky, 1e-4), "approximate", leak=1e-4),
    Planted("leak 1e-2", partial(leaky, 1e-2), "broken", leak=1e-2),
]

_NOTHING_TESTED = [
    Planted("constant", on_points(SCALAR, Energy, lambda y, _: 0 * y + 3), "trivial"),
    Planted("zero", on_points(SCALAR, Energy, lambda y, _: 0 * y), "trivial"),
    Planted("zero vector", on_points(VECTOR, Gated, lambda y, _: 0 * y), "trivial"),
    Planted("unmoved input", at_origin, "trivial", note="broken away from the origin, where no sample is"),
]

_INVALID = [
    Planted("NaN for some rotations", sometimes_nan, "invalid"),
    Planted("NaN always", on_points(VECTOR, Gated, lambda y, _: y * torch.nan), "invalid"),
    Planted(
        "batch statistics", on_points(SCALAR, Energy, batch_statistics), "invalid", note="sees batch-mates"
    ),
    Planted("dropout", on_points(VECTOR, Gated, dropout), "invalid", note="not deterministic"),
    Planted(
        "transposed input",
        on_points(f"SO(3): {TRANSPOSED} -> vector", Gated),
        "invalid",
        note="the declared action is no homomorphism",
    ),
    Planted(
        "transposed both",
        on_points(f"SO(3): {TRANSPOSED} -> {TRANSPOSED}", Gated),
        "invalid",
        note="the declared action is no homomorphism, though the error is zero",
    ),
]

_SUBGROUPS = [
    Planted("gated, declared scalar", on_points(SCALAR, Gated), "broken"),
    Planted("small broken", on_points(VECTOR, Frozen, lambda y, _: 1e-5 * y), "broken"),
    Planted("icosahedral, I", on_points("I: points -> scalar", nets.Icosahedral), "exact"),
    Planted("icosahedral, SO(3)", on_points(SCALAR, nets.Icosahedral), "broken"),
    Planted("square, C4", on_points("C4: points -> scalar", nets.Square, d=2), "exact"),
    Planted("square, C8", on_points("C8: points -> scalar", nets.Square, d=2), "broken"),
    Planted("square, SO(2)", on_points("SO(2): points -> scalar", nets.Square, d=2), "broken"),
    Planted("axial, SO(2)", on_points("SO(2): points -> scalar", nets.Axial), "exact", note="turns about z"),
    Planted("axial, SO(3)", on_points(SCALAR, nets.Axial), "broken"),
    Planted("chiral, SO(3)", on_points(SCALAR, Energy, chiral), "exact"),
    Planted(
        "chiral, O(3)", on_points("O(3): points -> scalar", Energy, chiral), "broken", note="improper only"
    ),
    Planted(
        "triple product",
        on_points("O(3): points -> pseudoscalar", Energy, lambda y, pos: y * nets.triple(pos)),
        "exact",
    ),
    Planted("all neighbours", on_points(NODES, lambda: Nearest(POINTS)), "exact"),
    Planted("truncated neighbours", on_points(NODES, lambda: Nearest(2)), "broken"),
    Planted("truncated neighbours, turned", on_points(VECTOR, lambda: Nearest(2)), "exact"),
]

_IMAGES = [
    Planted("symmetric kernel", on_images("C4: image -> image", lambda: Conv(turned=True)), "exact"),
    Planted("random kernel", on_images("C4: image -> image", Conv), "broken"),
    Planted("circular", on_images("Shift(1): image -> image", lambda: Conv(circular=True)), "exact"),
    Planted(
        "cosine-blind",
        on_images("Shift(1): image -> image", lambda: Conv(circular=True), nets.unevenly),
        "broken",
        note="the cosine of the two sides is above 0.99",
    ),
    *(
        Planted(
            f"stride 4, width {width}, Shift({step})",
            on_images(f"Shift({step}): image -> invariant", nets.Strided, size=(16, width)),
            "exact" if step == 4 and width % 4 == 0 else "broken",
        )
        for width in (16, 18, 20, 24, 32)
        for step in (4, 1)
    ),
]

PLANTED = [*_EXACT, *_APPROXIMATE, *_NOTHING_TESTED, *_INVALID, *_SUBGROUPS, *_IMAGES]
