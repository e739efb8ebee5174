"""What the zoo holds: an architecture, its inputs, and the weight symmetries that must be found in it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor, nn

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class Expect:
    """One symmetry written down from the architecture.

    `on` and `off` are places, `tensor` or `tensor:axis`: it must act on each of `on` (where `a|b` is either) and on
    none of `off`. A scale, sign or shift may be written in another basis, so it names one place that tells it apart
    from the others of the network, whatever the basis.
    `size` is that of the group's one copy and `over` the number of independent copies; for scale, sign and shift
    `size` is the number of independent numbers in all. `eps`: exact only where a normaliser's eps is 0.
    """

    kind: str
    size: int
    on: tuple[str, ...]
    over: int = 1
    off: tuple[str, ...] = ()
    eps: bool = False

    def __str__(self) -> str:
        copies = f" x{self.over}" if self.over > 1 else ""
        return f"{self.kind} {self.size}{copies} on {', '.join(self.on)}" + (" (eps)" if self.eps else "")


Expects = tuple[Expect, ...]


def expects(*parts: Expect | Iterable[Expect]) -> Expects:
    """Symmetries and groups of symmetries as one flat tuple."""
    return tuple(e for part in parts for e in ((part,) if isinstance(part, Expect) else part))


@dataclass(frozen=True)
class Entry:
    """One architecture: `build()` the network, `inputs(seed)` what it is called with, `expected` what must be found.

    `needs` names the package without which it cannot be built.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], Inputs]
    expected: Expects
    needs: str = ""

    @property
    def here(self) -> bool:
        """Whether what it needs is installed."""
        return not self.needs or find_spec(self.needs) is not None

    def model(self) -> nn.Module:
        """The network in eval mode with generic parameters and running statistics."""
        with torch.random.fork_rng(devices=[]):  # the networks draw their first weights from the global generator
            net = self.build().eval()
        return generic(net, self.name)


def generic(net: nn.Module, name: str) -> nn.Module:
    """Every parameter and running statistic drawn anew, so that nothing hides behind a 0 or a 1.

    Matrices have entries of deviation 1/√(fan-in); vectors that scale are in ±[0.5, 1.5], others have mean 0.2
    and deviation 0.3, so that few units behind a ReLU are dead.
    """
    rng = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    for key, parameter in net.named_parameters():
        if parameter.dim() > 1:
            values = torch.randn(parameter.shape, generator=rng) / math.sqrt(parameter[0].numel())
        elif key.endswith(("weight", "gamma", ".D", ".d")):
            values = torch.rand(parameter.shape, generator=rng) + 0.5
            values = values * (torch.rand(parameter.shape, generator=rng) < 0.7).mul(2).sub(1)
        else:
            values = 0.3 * torch.randn(parameter.shape, generator=rng) + 0.2
        parameter.data = values.to(parameter.dtype)
        parameter.requires_grad_(True)
    for key, buffer in net.named_buffers():
        if key.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=rng))
        elif key.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=rng) * 1.5 + 0.5)
    return net


def normal(*shape: int) -> Callable[[int], Inputs]:
    """Inputs: one standard normal tensor."""
    return lambda seed: (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)),)
