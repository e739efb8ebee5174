"""What must hold for a report on any network, whatever the network does; and twins with a fault that must be found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from symcheck.claim import Claim
from symcheck.grammar import parse_claim
from symcheck.report.model import Finding, Report, Verdict

ATTENTION = (Verdict.INVALID, Verdict.TRIVIAL)
Audited = Callable[..., Report]  # (network, model, claims, inputs, **options) -> report
HEADINGS = ("network", "claim", "part", "output", "verdict", "error", "floor")


def check_report(report: Report, claims: Sequence[str]) -> None:
    """Every output of every claim is judged, parts apart, numbers and verdict consistent, and JSON keeps it all."""
    for text in claims:
        found = [f for f in report.findings if f.claim == str(Claim.parse(text))]
        slots = [slot for slot in parse_claim(text).outputs if slot.terms[0].name != "ignore"]
        assert {f.output for f in found} == {slot.name for slot in slots} if all(s.name for s in slots) else found, text
    for finding in report.findings:
        check_finding(finding)
    assert Report.from_json(report.to_json()).to_json() == report.to_json()


def check_finding(f: Finding) -> None:
    """The laws that tie the numbers of a finding to each other and to its verdict."""
    if f.verdict in ATTENTION:
        assert f.note, f
        return
    assert f.error is not None and f.share is not None and f.worst is not None
    for scale in (f.error.absolute, f.error.relative, f.error.spread):
        assert 0 <= scale.low <= scale.high and math.isfinite(scale.mean)
        assert scale.q50 <= scale.q95 <= scale.q99 <= scale.max
    assert f.spread and f.spread > 0 and f.size and f.floor.rounding is not None
    assert math.isclose(f.error.relative.mean * f.size, f.error.spread.mean * f.spread, rel_tol=1e-6)
    assert f.worst.value >= f.error.spread.max * (1 - 1e-9)
    assert 0 <= f.share.value <= 1
    if f.verdict is Verdict.EXACT:
        assert f.error.spread.mean <= 10 * f.floor.rounding
    if f.verdict is Verdict.BROKEN:
        assert f.error.spread.low > f.tolerance
    if f.verdict is Verdict.APPROXIMATE:
        assert f.error.spread.high <= f.tolerance


def verdicts(report: Report, output: str | None = None) -> list[Verdict]:
    """The verdicts on one output, or on all."""
    return [f.verdict for f in report.findings if output in (None, f.output)]


def parts(report: Report) -> set[str]:
    """Which parts of the groups were reported apart."""
    return {f.part for f in report.findings}


def table(rows: Iterable[tuple[str, Finding]]) -> str:
    """Network, claim, part, output, verdict, error and floor (both relative to the spread), as aligned text."""
    lines = [HEADINGS, *(_row(network, f) for network, f in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _row(network: str, f: Finding) -> tuple[str, ...]:
    error = f"{f.error.spread.mean:.2g}" if f.error else "-"
    floor = f"{f.floor.rounding:.2g}" if f.floor.rounding is not None else "-"
    return network, f.claim.partition(" -> ")[0], f.part or "all", f.output, str(f.verdict), error, floor


class Planted(nn.Module):
    """A network with one fault: `size` times the output's spread times a standardised functional of one input.

    The functional weighs every entry of the input by its position, so no group that moves entries keeps it.
    """

    def __init__(self, net: nn.Module, output: str, inputs: Sequence[Tensor], which: int = 0, size: float = 1e-2):
        super().__init__()
        self.net, self.output, self.which = net, output, which
        x = inputs[which]
        weight = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        with torch.no_grad():
            y = net.eval()(*inputs)[output]
            code = (x.double() * weight).flatten(1).sum(1)
        self.size = size * float(y.double().std(0, correction=0).square().mean().sqrt())
        self.middle, self.scale = float(code.mean()), float(code.std())
        self.register_buffer("weight", weight.to(x.dtype) if x.is_floating_point() else weight.float())

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        outputs = dict(self.net(*inputs))
        x, y = inputs[self.which], outputs[self.output]
        code = ((x.to(self.weight.dtype) * self.weight).flatten(1).sum(1) - self.middle) / self.scale
        outputs[self.output] = y + self.size * code.to(y.dtype).view(-1, *(1,) * (y.dim() - 1))
        return outputs


Back = Callable[[int, Tensor], Tensor]


class Averaged(nn.Module):
    """A network averaged over the eight turns and flips of a square: equivariant whatever its weights are.

    `back[name](k, y)` undoes element k on output `name`; outputs without an entry are invariant.
    """

    def __init__(self, net: nn.Module, back: Mapping[str, Back]) -> None:
        super().__init__()
        self.net, self.back = net, back

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}
        for k in range(8):
            for name, y in self.net(square(k, image)).items():
                undone = self.back[name](k, y) if name in self.back else y
                sums[name] = sums[name] + undone if name in sums else undone
        return {name: y / 8 for name, y in sums.items()}


def square(k: int, image: Tensor) -> Tensor:
    """Element k of D4 on the last two axes: k % 4 quarter turns, after a flip when k > 3."""
    return torch.rot90(image.flip(-1) if k > 3 else image, k % 4, (-2, -1))


def unsquare(k: int, image: Tensor) -> Tensor:
    """The inverse of `square`."""
    turned = torch.rot90(image, -(k % 4), (-2, -1))
    return turned.flip(-1) if k > 3 else turned
