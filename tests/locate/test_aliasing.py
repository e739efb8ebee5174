"""What sampling breaks and what the weights do: planted strides and asymmetric kernels against healthy networks."""

from __future__ import annotations

import io
from typing import Literal

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from symcheck.claim import Claim
from symcheck.cli.numerics_text import show_aliasing, show_numerics
from symcheck.locate.aliasing import aliasing
from symcheck.locate.aliasing_result import Aliasing, Phase
from symcheck.locate.numerics import Asked, numerics_matrix
from symcheck.locate.phases import stride_of
from symcheck.measure.audit import Options
from symcheck.measure.runner import measuring
from symcheck.measure.session import open_session, runner_for
from symcheck.report.model import Verdict
from symcheck.subject import as_subject

TURNS, IMAGES = "C4: image -> invariant", "SO(2): image -> image"


class Kernels(nn.Module):
    """Convolution, ReLU, convolution with kernels of the distance alone, weighed by 1 ± `tilt` to the right."""

    def __init__(self, tilt: float = 0.0) -> None:
        super().__init__()
        squares = torch.tensor([[2.0, 1, 2], [1, 0, 1], [2, 1, 2]])
        kernels = torch.stack([torch.exp(-squares / width) for width in (0.5, 1.0, 3.0)])
        kernels = kernels / kernels.sum((1, 2), keepdim=True)
        kernels[1] -= 1 / 9
        kernels = kernels * (1 + tilt * torch.tensor([-1.0, 0, 1]))
        self.first = nn.Parameter(kernels[:, None])
        self.second = nn.Parameter(torch.stack([kernels[0], -kernels[1], kernels[2]])[None])
        self.bias = nn.Parameter(torch.tensor([0.1, -0.05, 0.0]))

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, H, W) to the same."""
        hidden = torch.relu(nn.functional.conv2d(image, self.first, self.bias, padding=1))
        sharp: Tensor = nn.functional.conv2d(hidden, self.second, padding=1)
        return sharp


class Strided(nn.Module):
    """A strided convolution, ReLU and the mean: exact at multiples of the stride where it is circular."""

    def __init__(self, stride: int | tuple[int, int], mode: Literal["circular", "zeros"] = "circular") -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv2d(1, 4, 3, stride=stride, padding=1, padding_mode=mode)
        self.head = nn.Linear(4, 3)

    def forward(self, image: Tensor) -> Tensor:
        """(n, 1, H, W) -> (n, 3)."""
        scores: Tensor = self.head(torch.relu(self.conv(image)).mean((2, 3)))
        return scores


def smooth(size: int, count: int = 8) -> Tensor:
    """Images without high frequencies."""
    x = torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(0))
    k = torch.fft.fftfreq(size)
    band = (k[:, None] ** 2 + k[None] ** 2) < 0.15**2
    images: Tensor = torch.fft.ifft2(torch.fft.fft2(x) * band).real.float()
    return images


def found(model: nn.Module, claim: str, x: Tensor, **inputs: Tensor) -> Aliasing | None:
    tensors = {"image": x, **inputs}
    runner = runner_for(as_subject(model), claim, tensors, None, "float64")
    with measuring(runner):
        audit = open_session(runner, tensors, [claim], Options(elements=12), None)
        return aliasing(audit, Claim.parse(claim))


def test_an_isotropic_network_only_aliases() -> None:
    one = found(Kernels(), IMAGES, smooth(19))
    assert one is not None
    [control] = one.controls
    assert control.resampled > 5e-3 and control.lattice < 1e-12 and control.averaged == 4
    assert control.control == pytest.approx(control.resampled, rel=1e-6)
    assert control.excess < 1e-3 * control.resampled


def test_an_asymmetric_kernel_stands_out_above_the_control() -> None:
    healthy, tilted = found(Kernels(), IMAGES, smooth(19)), found(Kernels(0.2), IMAGES, smooth(19))
    assert healthy is not None and tilted is not None
    [good], [bad] = healthy.controls, tilted.controls
    assert bad.low > 3 * good.resampled  # what sampling does is not charged to the weights
    assert bad.low <= bad.excess <= bad.high and bad.excess == pytest.approx(bad.lattice, rel=0.3)
    assert bad.control == pytest.approx(good.control, rel=0.3)
    assert bad.resampled**2 == pytest.approx(bad.control**2 + bad.excess**2, rel=1e-6)


@pytest.mark.parametrize("stride", [1, 2, (2, 4)])
def test_the_stride_is_found_and_which_phases_are_exact(stride: int | tuple[int, int]) -> None:
    one = found(Strided(stride), TURNS, smooth(16))
    assert one is not None
    [phases] = one.phases
    expected = (stride, stride) if isinstance(stride, int) else stride
    assert phases.stride == expected and not phases.least
    assert len(phases.phases) == expected[0] * expected[1] - 1
    assert all(phase.verdict is Verdict.BROKEN and phase.error > 1e-3 for phase in phases.phases)
    inside = [p for p in phases.along if p.shift[0] % expected[0] == 0 and p.shift[1] % expected[1] == 0]
    assert inside and all(p.verdict is Verdict.EXACT for p in inside)


def test_borders_leave_no_phase_exact() -> None:
    one = found(Strided(2, "zeros"), TURNS, smooth(16))
    assert one is not None and one.phases[0].stride is None
    assert all(phase.verdict is Verdict.BROKEN for phase in one.phases[0].along)


def test_a_period_that_is_only_least_wrong() -> None:
    def line(errors: list[float]) -> list[Phase]:
        rows = [Phase((k, 0), e, Verdict.BROKEN) for k, e in enumerate(errors, 1)]
        return [*rows, *(Phase((0, k), e, Verdict.BROKEN) for k, e in enumerate(errors, 1))]

    assert stride_of(line([0.5, 0.1, 0.6, 0.12])) == ((2, 2), True)
    assert stride_of(line([0.5, 0.4, 0.6, 0.45])) == (None, False)
    assert stride_of(line([0.5, float("nan"), 0.6, 0.1])) == (None, False)


def test_sizes_modulo_the_stride() -> None:
    class Sampled(nn.Module):
        """Every second pixel: quarter turns keep them where (size − 1) is even."""

        def forward(self, image: Tensor) -> Tensor:
            return torch.relu(image[..., ::2, ::2] - 0.01).square().mean((2, 3))

    one = found(Sampled(), TURNS, smooth(13))
    assert one is not None
    verdicts = {size.size[0]: size.verdict for size in one.sizes}
    assert len(verdicts) == 8
    assert all((verdict is Verdict.EXACT) == (size % 2 == 1) for size, verdict in verdicts.items())


def test_sizes_that_a_network_does_not_take() -> None:
    torch.manual_seed(0)
    rigid = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    one = found(rigid, TURNS, smooth(8))
    assert one is not None
    assert one.sizes[0].verdict is Verdict.BROKEN
    assert all(size.verdict is None and size.why for size in one.sizes[1:])


def test_other_claims_are_left_alone() -> None:
    torch.manual_seed(0)
    mean = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    assert found(mean, "SO(3): points -> invariant", torch.randn(6, 4, 3)) is None


def test_a_group_without_resampled_elements_has_no_control_and_says_so() -> None:
    one = found(Strided(2), TURNS, smooth(16))
    assert one is not None and one.controls == ()
    assert any("no control" in note for note in one.notes)


def test_what_is_found_is_told() -> None:
    one = found(Kernels(0.2), IMAGES, smooth(19))
    two = found(Strided(2), TURNS, smooth(16))
    torch.manual_seed(0)
    asked = Asked(samples=4, elements=3, batch=4, compiler="no-such-backend", precisions=("tf32", "float32"))
    three = numerics_matrix(Strided(1), TURNS, smooth(16), asked)
    out = Console(file=io.StringIO(), width=200)
    assert one is not None and two is not None
    show_aliasing(one, out)
    show_aliasing(two, out)
    show_numerics(three, out)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "belongs to the weights" in text and "which is sampling" in text
    assert "exact at multiples of 2 × 2, the stride; of its 4 phases 3 are broken" in text
    assert "float32, eager, batch 4" in text and "not measured: " in text and "emulated: " in text
    assert one.to_dict()["controls"][0]["averaged"] == 4
