"""Terms of a Lie derivative: they close, name the guilty operation, and are its own defect pushed to the output."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from symcheck.claim import Claim
from symcheck.errors import ClaimError
from symcheck.groups.draws import Draws
from symcheck.locate.attribution import attribute
from symcheck.locate.lie import lie_layers
from symcheck.locate.lie_result import LieLayers
from symcheck.measure.audit import Audit, Options
from symcheck.measure.lie import lie_derivatives
from symcheck.measure.runner import measuring
from symcheck.measure.session import open_session, runner_for
from symcheck.subject import as_subject


def normal(*shape: int, key: str = "x") -> Tensor:
    return Draws(0, key).normal(*shape)


class Gate(nn.Module):
    """Mixes vector channels, (n, c, 3), and gates them by their lengths; `leak` adds to the third component."""

    def __init__(self, into: int, out: int, key: str, leak: float = 0.0) -> None:
        super().__init__()
        self.mix = nn.Parameter(normal(out, into, key=key) / into**0.5)
        self.leak = leak

    def forward(self, x: Tensor) -> Tensor:
        x = torch.einsum("oc,ncd->nod", self.mix, x)
        if self.leak:
            x = x + self.leak * torch.tanh(x) * torch.tensor([0.0, 0.0, 1.0], dtype=x.dtype)
        return x * torch.sigmoid(x.square().sum(-1, keepdim=True) - 0.5)


def gates(leaky: int | None, leak: float = 0.1, depth: int = 5) -> nn.Sequential:
    sizes = [2, *[4] * (depth - 1), 1]
    return nn.Sequential(
        *(Gate(sizes[i], sizes[i + 1], f"W{i}", leak if i == leaky else 0.0) for i in range(depth))
    ).double()


def located(model: nn.Module, claim: str, inputs: dict[str, Tensor], **more: object) -> tuple[LieLayers, Audit]:
    subject = replace(as_subject(model), **more)  # type: ignore[arg-type]
    audit = open_session(runner_for(subject, claim, inputs, None, "float64"), inputs, [claim], Options(), None)
    with measuring(audit.evaluator.runner):
        return lie_layers(audit, Claim.parse(claim)), audit


def test_the_guilty_layer_is_named_and_the_terms_close() -> None:
    found, audit = located(gates(2), "SO(3): vector -> vector", {"x": normal(13, 2, 3)})
    (whole,) = lie_derivatives(audit, Claim.parse("SO(3): vector -> vector"))
    assert found.closure["output"] < 1e-10
    assert sum(term.share["output"] for term in found.terms) == pytest.approx(1.0, abs=1e-10)
    rms = sum(flow.size**2 for flow in whole.flows) / len(whole.flows)
    assert found.error["output"] == pytest.approx(rms**0.5, rel=1e-10)
    first = found.ranked("output")[0]
    assert first.path == "2"
    guilty = sum(term.share["output"] for term in found.terms if term.path == "2")
    assert guilty == pytest.approx(1.0, abs=1e-9)
    assert json.dumps(found.to_dict())


def test_a_term_is_the_defect_of_its_layer_pushed_to_the_output() -> None:
    """RMS of J_(>2) (J_2 dρ h_1 − dρ f_2(h_1)), by torch.func on the layers alone."""
    net, x = gates(2), normal(13, 2, 3)
    found, _ = located(net, "SO(3): vector -> vector", {"x": x})
    head, leaky, tail = net[:2], net[2], net[3:]
    with torch.no_grad():
        h = head(x)
    total = 0.0
    for k in range(3):
        a = torch.zeros(3, 3, dtype=torch.float64)
        a[(k + 2) % 3, (k + 1) % 3], a[(k + 1) % 3, (k + 2) % 3] = 1.0, -1.0
        y, slope = torch.func.jvp(leaky, (h,), (h @ a.T,))  # type: ignore[misc]
        total += float(torch.func.jvp(tail, (y,), (slope - y @ a.T,))[1].detach().square().sum())
    assert found.modules["output"]["2"] == pytest.approx((total / 3 / 13) ** 0.5, rel=1e-9)
    assert max(size for path, size in found.modules["output"].items() if path != "2") < 1e-12


def test_a_healthy_network_has_no_terms() -> None:
    found, _ = located(gates(None), "SO(3): vector -> vector", {"x": normal(13, 2, 3)})
    assert found.error["output"] < 1e-13
    assert all(term.size["output"] < 1e-13 for term in found.terms)


def test_two_guilty_layers_share() -> None:
    net = gates(1)
    net[3].leak = 0.3  # type: ignore[assignment]
    found, _ = located(net, "SO(3): vector -> vector", {"x": normal(13, 2, 3)})
    paths = {path: sum(t.share["output"] for t in found.terms if t.path == path) for path in ("0", "1", "2", "3", "4")}
    assert found.closure["output"] < 1e-10
    assert abs(paths["1"]) > 1e-3
    assert abs(paths["3"]) > 1e-3
    assert max(abs(paths[path]) for path in ("0", "2", "4")) < 1e-9


class Stack(nn.Module):
    """Circular convolutions, one of them padded with zeros."""

    def __init__(self, zeros: int | None, depth: int = 4) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.ModuleList(
            nn.Conv2d(1 if i == 0 else 3, 3, 3, padding=1, padding_mode="zeros" if i == zeros else "circular")
            for i in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def test_padding_is_found_among_convolutions() -> None:
    x = {"x": normal(9, 1, 11, 11)}
    found, _ = located(Stack(1).double(), "T(2): image -> image", x)
    assert found.closure["output"] < 1e-10
    assert sum(t.share["output"] for t in found.terms if t.path == "layers.1") == pytest.approx(1.0, abs=1e-9)
    healthy, _ = located(Stack(None).double(), "T(2): image -> image", x)
    assert healthy.error["output"] < 1e-12


class Energy(nn.Module):
    """Energy of a point set from its distances, in two named layers, the second one with a preferred axis."""

    def __init__(self, leak: float) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.near, self.far = Near(), Axis(leak)

    def forward(self, pos: Tensor) -> Tensor:
        y: Tensor = self.near(pos) + self.far(pos)
        return y


class Near(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 6), nn.SiLU(), nn.Linear(6, 1))

    def forward(self, pos: Tensor) -> Tensor:
        gaps = (pos[:, :, None] - pos[:, None]).square().sum(-1, keepdim=True)
        energies: Tensor = self.net(1 / (1 + gaps)).sum((1, 2, 3))
        return energies


class Axis(nn.Module):
    def __init__(self, leak: float) -> None:
        super().__init__()
        self.leak = leak

    def forward(self, pos: Tensor) -> Tensor:
        arm = pos - pos.mean(1, keepdim=True)
        return (arm.square() * (1 + self.leak * torch.tensor([0.0, 0.0, 1.0], dtype=pos.dtype))).sum((1, 2))


def test_energies_with_forces_close_too() -> None:
    claim = "SO(3): pos=points -> output=scalar, forces=vector"
    found, _ = located(
        Energy(1e-2).double(), claim, {"pos": normal(7, 4, 3)}, derive={"forces": "-d(output)/d(pos)"}
    )
    assert max(found.closure.values()) < 1e-10
    assert sum(t.share["output"] for t in found.terms if t.path == "far") == pytest.approx(1.0, abs=1e-8)
    assert found.error["forces"] > 1e-4


def test_fused_and_written_operations() -> None:
    """In place, with batch normalisation and pooling; and a layer of attention that torch would fuse."""
    torch.manual_seed(0)
    first = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
    body = [nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1)]
    net = nn.Sequential(first, *body, nn.Flatten(), nn.Linear(4, 3)).double()
    found, _ = located(net, "T(2): image -> invariant", {"x": normal(13, 1, 11, 11)})
    assert found.closure["output"] < 1e-10
    assert {path for path, size in found.modules["output"].items() if size > 1e-9} == {"2", "3"}  # aliasing, padding
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    fused = nn.Sequential(Gate(2, 2, "a"), nn.Flatten(2), nn.Linear(3, 8), layer, nn.Flatten(), nn.Linear(16, 1))
    found, audit = located(fused.double(), "SO(3): vector -> invariant", {"x": normal(13, 2, 3)})
    claim = Claim.parse("SO(3): vector -> invariant")
    with measuring(audit.evaluator.runner):
        again = lie_layers(audit, claim, attributed=attribute(audit, claim, {}))
    assert again.error == found.error
    assert found.closure["output"] < 1e-10
    assert found.modules["output"]["2"] == pytest.approx(found.error["output"], rel=1e-9)


def test_discrete_groups_are_refused() -> None:
    with pytest.raises(ClaimError, match="lattice"):
        located(Stack(1).double(), "Shift: image -> image", {"x": normal(9, 1, 11, 11)})
    with pytest.raises(ClaimError, match="discrete"):
        located(Stack(1).double(), "C4: image -> image", {"x": normal(9, 1, 11, 11)})
