"""Networks with one fault in one module, and their healthy twins: what an attribution of errors must find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import planted_planes as planes
import planted_spaces as spaces
import torch
from planted_weights import draws, generic
from torch import Tensor, nn

SAMPLES = 8


@dataclass(frozen=True)
class Case:
    """One network: `build(fault, draw)`, inputs, the claim that its healthy twin keeps, who is guilty, and why."""

    name: str
    fault: str
    build: Callable[..., nn.Module]
    inputs: Mapping[str, Tensor]
    claim: str
    guilty: str
    cause: str
    verdict: str = "broken"


def built(kind: Callable[[bool], nn.Module], seed: int, fault: bool, draw: int = 0) -> nn.Module:
    """A network with the weights of this seed and draw."""
    return generic(kind(fault), seed + 100 * draw)


def _windows(fault: bool, draw: int = 0) -> nn.Module:
    model = planes.WindowNet()
    generic(model, 14 + 100 * draw)
    model.symmetrise(but=2 if fault else None)
    return model


def _at_the_cutoff() -> Tensor:
    """Pairs of points exactly five apart: dyadic coordinates and offsets of 3 and 4."""
    pos = (draws(41, SAMPLES, 6, 3) * 2 * 64).round() / 64
    pos[:, 1] = pos[:, 0] + torch.tensor([0.0, 3.0, 4.0], dtype=pos.dtype)
    pos[:, 3] = pos[:, 2] + torch.tensor([4.0, 0.0, -3.0], dtype=pos.dtype)
    pos[:, 5] = pos[:, 4] + torch.tensor([-3.0, 4.0, 0.0], dtype=pos.dtype)
    return pos


_CLOUD, _CHARGES = draws(42, SAMPLES, 5, 3), draws(43, SAMPLES, 5)

CASES = (
    Case(
        "CNN",
        "wrong padding",
        partial(built, planes.TextureNet, 11),
        {"image": draws(31, SAMPLES, 3, 8, 8)},
        "Shift(1): image -> invariant",
        "blocks.1.conv",
        "zero_padding",
    ),
    Case(
        "ResNet",
        "stride phase",
        partial(built, planes.ResNet, 12),
        {"image": draws(32, SAMPLES, 1, 8, 8)},
        "Shift(1): image -> invariant",
        "down",
        "stride",
    ),
    Case(
        "ViT",
        "positional encoding",
        partial(built, planes.ViT, 13),
        {"image": draws(33, SAMPLES, 1, 12, 12)},
        "Shift(3): image -> invariant",
        "embed",
        "position_added",
    ),
    Case(
        "Swin",
        "one un-symmetrised weight",
        _windows,
        {"image": draws(34, SAMPLES, 2, 8, 8)},
        "C4: image -> invariant",
        "blocks.2.attn",
        "unsymmetrised_weight",
    ),
    Case(
        "gated network",
        "BatchNorm on vectors",
        partial(built, spaces.GatedNet, 15),
        {"pos": _CLOUD, "z": _CHARGES},
        "SO(3): pos=points, z=scalar -> energy=scalar, dipole=vector",
        "layers.1.norm_v",
        "batch_norm_vectors",
    ),
    Case(
        "EGNN",
        "ReLU on vectors",
        partial(built, spaces.Egnn, 16),
        {"pos": _CLOUD, "vel": draws(44, SAMPLES, 5, 3)},
        "E(3): pos=points, vel=vector -> points",
        "layers.1",
        "pointwise_on_vectors",
    ),
    Case(
        "Deep Sets",
        "one per-slot weight",
        partial(built, planes.DeepSets, 17),
        {"points": draws(35, SAMPLES, 6, 3)},
        "S: nodes -> invariant",
        "layers.1",
        "position_weights",
    ),
    Case(
        "LSTM",
        "handed frame",
        partial(built, spaces.Trajectory, 18),
        {"pos": draws(45, SAMPLES, 8, 3)},
        "O(3): points -> vector",
        "frames",
        "handed_frame",
    ),
    Case(
        "graph transformer",
        "cut-off without smoothing",
        partial(built, spaces.GraphTransformer, 19),
        {"pos": _at_the_cutoff(), "z": draws(46, SAMPLES, 6)},
        "SO(3): pos=points, z=scalar -> scalar",
        "layers.1.attention",
        "cutoff",
        verdict="inconclusive",  # it is rounding, made large: the floor lies above the tolerance
    ),
    Case(
        "contour network",
        "transposed rotation",
        partial(built, planes.ContourNet, 20),
        {"contour": draws(36, SAMPLES, 8, 2)},
        "SO(2) x Shift(1): sequence(shift)*vector -> sequence(shift)*vector",
        "blocks.1",
        "transposed_rotation",
    ),
    Case(
        "quadrupoles",
        "float32 constants",
        partial(built, spaces.QuadrupoleNet, 21),
        {"pos": _CLOUD},
        "SO(3): points -> vector",
        "blocks.1",
        "float32_constants",
        verdict="exact",
    ),
)
