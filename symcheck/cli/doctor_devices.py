"""What `symcheck doctor` examines with torch: devices, determinism, and two planted networks whose verdict is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.api import audit
from symcheck.cli.doctor_checks import Check
from symcheck.groups.draws import Draws
from symcheck.measure.runner import Runner, measuring
from symcheck.report.model import Verdict
from symcheck.subject import as_subject

CLAIM = "O(3): points -> scalar"
LEAK = 0.01
_GIB = 2**30
_PRECISE = 1e-5  # float32 products of 512 terms are off by some 1e-7, TF32 by some 1e-4


class Potential(nn.Module):
    """A sum over pairs of a function of their distance, exactly invariant, plus `leak` times the height of all."""

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        draws = Draws(0, "doctor")
        self.first = nn.Parameter(draws.normal(1, 1, 16)[0].float())
        self.second = nn.Parameter(draws.normal(1, 16, 1)[0].float() / 4)
        self.leak = leak

    def forward(self, points: Tensor) -> Tensor:
        """Shapes: (n, N, 3) -> (n, 1)."""
        squares = (points[:, :, None] - points[:, None]).square().sum(-1, keepdim=True)
        energy = torch.tanh(squares @ self.first) @ self.second
        return energy.mean((1, 2)) + self.leak * points[..., 2].mean(1, keepdim=True)


PLANTED: Mapping[str, tuple[nn.Module, Verdict]] = MappingProxyType(
    {"equivariant": (Potential(), Verdict.EXACT), "leaky": (Potential(LEAK), Verdict.BROKEN)}
)


def devices() -> list[torch.device]:
    """Where symcheck measures: the processor and every CUDA device."""
    return [torch.device("cpu"), *(torch.device("cuda", i) for i in range(torch.cuda.device_count()))]


def hardware() -> Iterator[Check]:
    """The processor with its threads, every CUDA device with its memory, and Metal."""
    yield Check("cpu", True, f"{torch.get_num_threads()} threads, {torch.get_num_interop_threads()} between operators")
    for device in devices()[1:]:
        seen = torch.cuda.get_device_properties(device)
        free, whole = torch.cuda.mem_get_info(device)
        found = f"{seen.name}, {whole / _GIB:.0f} GiB, {free / _GIB:.0f} free, capability {seen.major}.{seen.minor}"
        yield Check(str(device), True, found)
    if not torch.cuda.is_available():
        built = torch.version.cuda
        found = f"torch is built for CUDA {built}, but sees no device" if built else "torch is built without CUDA"
        yield Check("cuda", None, found, "look at nvidia-smi and CUDA_VISIBLE_DEVICES" if built else "")
    if torch.backends.mps.is_available():
        yield Check("mps", None, "Metal has no float64, so symcheck measures on the processor")


def determinism() -> Iterator[Check]:
    """Settings that the numbers depend on; then, on every device, the same batch twice and float32 that is float32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    switches = {
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(), "TF32 products": matmul.allow_tf32,
        "TF32 convolutions": cudnn.allow_tf32, "cuDNN benchmark": cudnn.benchmark,
    }  # fmt: skip
    found = ", ".join(f"{name} {'on' if on else 'off'}" for name, on in switches.items())
    yield Check("settings", None, found, "while measuring TF32 and the benchmark are off")
    for device in devices():
        yield repeats(device, Summing().to(device))
        yield precise(device)


class Summing(nn.Module):
    """A convolution and a sum into slots, whose order of additions some devices leave open."""

    slots: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3)
        self.register_buffer("slots", torch.arange(900) % 7)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes: (n, 3, 32, 32) -> (7, n, 8)."""
        seen = self.convolution(x).flatten(2).permute(2, 0, 1)
        return torch.zeros(7, *seen.shape[1:], device=x.device, dtype=x.dtype).index_add(0, self.slots, seen)


def repeats(device: torch.device, call: Callable[[Tensor], Tensor]) -> Check:
    """Whether the same batch gives the same outputs twice, up to the order of additions."""
    x = Draws(0, "doctor").normal(16, 3, 32, 32).float().to(device)
    with torch.no_grad(), _measuring(call, device):
        first, second = call(x), call(x)
    change = float((first - second).abs().max() / first.abs().max())
    ok = change <= 100 * torch.finfo(first.dtype).eps
    found = "the same batch twice is the same" if change == 0 else f"the same batch twice differs by {change:.1e}"
    return Check(f"repeat on {device}", ok, found, "" if ok else "no verdict on this device can be trusted")


def precise(device: torch.device) -> Check:
    """Whether products in float32 have its precision while symcheck measures."""
    x = Draws(0, "doctor").normal(512, 512).to(device)
    with _measuring(torch.nn.Identity(), device):
        low, high = x.float() @ x.float().mT, x @ x.mT
    error = float((low.double() - high).norm() / high.norm())
    ok = error <= _PRECISE
    hint = "" if ok else "something forces TF32 or lower: look for NVIDIA_TF32_OVERRIDE"
    return Check(f"float32 on {device}", ok, f"products are off by {error:.1e}", hint)


def planted(subjects: Mapping[str, tuple[nn.Module, Verdict]] = PLANTED) -> Iterator[Check]:
    """On every device each network, audited, must end in its known verdict."""
    points = Draws(0, "doctor points").normal(16, 6, 3).float()
    for device in devices():
        for name, (model, expected) in subjects.items():
            report = audit(model, CLAIM, points, samples=16, elements=8, device=str(device))
            verdicts = {finding.verdict for finding in report.findings}
            ok = verdicts == {expected}
            found = f"{CLAIM}: {', '.join(sorted(verdicts))}"
            yield Check(f"{name} on {device}", ok, found, "" if ok else f"it must be {expected}")


def _measuring(call: Any, device: torch.device) -> Any:
    """The settings under which symcheck measures."""
    return measuring(Runner(as_subject(call), device, torch.float32, []))


STAGES: Mapping[str, Callable[[], Iterator[Check]]] = MappingProxyType(
    {"devices": hardware, "determinism": determinism, "planted networks": planted}
)
