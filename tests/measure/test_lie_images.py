"""The Lie derivative of networks on images: turns and translations, lattices, and convolutions in forward mode."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from lie_cases import measured, normal, opened
from torch import Tensor, nn

from symcheck.measure.dual import Differential
from symcheck.measure.lie import LATTICE


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(2, 4, 3, stride=2, padding="valid", groups=2), (3, 2, 9, 9)),
        (nn.Conv2d(2, 4, 3, padding="same", dilation=2, bias=False), (3, 2, 9, 9)),
        (nn.Conv1d(2, 4, 3, padding=1), (3, 2, 9)),
        (nn.Conv3d(1, 2, 3, padding_mode="circular", padding=1), (3, 1, 5, 5, 5)),
    ],
)
def test_convolutions_are_pushed_as_they_are(layer: nn.Module, shape: tuple[int, ...]) -> None:
    layer, x, v = layer.double(), normal(*shape), normal(*shape, key="v")
    audit = opened(layer, "Sign: homogeneous(1) -> homogeneous(1)", {"x": x})
    made = Differential(audit.evaluator.runner)(audit.evaluator.samples.take(torch.arange(3)), {"x": v})
    y, wanted = torch.func.jvp(layer, (x,), (v,))  # type: ignore[misc]
    assert made.without == ""
    assert torch.allclose(made.tangents["output"], wanted.detach(), atol=1e-13)
    assert torch.equal(made.outputs["output"], y.detach())


def conv(kernel: Tensor, mode: Literal["circular", "zeros"] = "circular") -> nn.Sequential:
    layer = nn.Conv2d(1, 1, 5, padding=2, padding_mode=mode, bias=False).double()
    layer.weight.data = kernel[None, None]
    return nn.Sequential(layer, nn.Tanh())


def round_kernel(leak: float = 0.0) -> Tensor:
    across = torch.arange(5, dtype=torch.float64) - 2
    kernel = torch.exp(-(across[:, None] ** 2 + across**2) / 2)
    return kernel / kernel.sum() * (1 + leak * across / 2)


def smooth_images(n: int, size: int) -> Tensor:
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    blur = torch.exp(-((frequency[:, None] ** 2 + frequency**2) * 40))
    across = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) / (0.3 * size)
    window = torch.exp(-((across[:, None] ** 2 + across**2) ** 2))  # nothing near the border
    images: Tensor = torch.fft.ifft2(torch.fft.fft2(normal(n, 1, size, size)) * blur).real * 4 * window
    return images


def test_images_turn_and_move() -> None:
    x = smooth_images(4, 25)
    claim = "SO(2): image(mask=disc) -> image(mask=disc)"
    exact, leaky = (measured(conv(round_kernel(leak)), claim, {"x": x})["output"] for leak in (0.0, 0.6))
    assert exact.flows[0].method == "cubic spline derivative"
    assert exact.error < 0.05 < 4 * exact.error < leaky.error
    assert 0 < exact.flows[0].floor < exact.error < 2 * exact.flows[0].floor  # pixels leave that much open
    assert 5 * leaky.flows[0].floor < leaky.error
    torus = "T(2): image -> image"
    moved = measured(conv(round_kernel(0.6))[:1], torus, {"x": normal(4, 1, 25, 25)})["output"]
    assert moved.error < 1e-12  # linear: there is nothing to alias
    assert (moved.flows[0].method, moved.flows[0].floor) == ("spectral derivative", 0.0)
    assert measured(conv(round_kernel(), "zeros")[:1], torus, {"x": normal(4, 1, 25, 25)})["output"].error > 1e-2


def test_lattices_take_their_exact_step() -> None:
    x = normal(5, 1, 8, 8)
    claim = "Shift: image -> image"
    found = measured(conv(round_kernel(0.3)), claim, {"x": x})["output"]
    assert {flow.method for flow in found.flows} == {LATTICE}
    assert len(found.flows) == 2
    assert found.error < 1e-14
    assert measured(conv(round_kernel(), "zeros"), claim, {"x": x})["output"].error > 1e-3
