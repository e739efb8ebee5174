"""The Lie derivative of networks: closed forms, slopes of error curves, forces, images, and what has no derivative."""

from __future__ import annotations

import json
import math

import pytest
import torch
from lie_cases import Model, measured, normal, opened
from torch import Tensor, nn

from symcheck.claim import Claim
from symcheck.errors import ClaimError
from symcheck.measure.dual import Differential
from symcheck.measure.lie import Lie, lie_derivatives


class Potential(nn.Module):
    """Energy of a cloud from its distances, plus a leak along a preferred axis."""

    def __init__(self, leak: float = 0.0, *, own: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(1, 12), nn.SiLU(), nn.Linear(12, 1)).double()
        self.leak, self.own = leak, own

    def energy(self, pos: Tensor) -> Tensor:
        gaps = (pos[:, :, None] - pos[:, None]).square().sum(-1, keepdim=True)
        leak: Tensor = self.leak * (pos[..., 2] ** 3).sum(1)
        energies: Tensor = self.net(1 / (1 + gaps)).sum((1, 2, 3))
        return energies + leak

    def forward(self, pos: Tensor) -> dict[str, Tensor]:
        if not self.own:
            return {"energy": self.energy(pos)}
        with torch.enable_grad():
            pos = pos.detach().requires_grad_(True)
            energy = self.energy(pos)
            (slope,) = torch.autograd.grad(energy.sum(), pos)
        return {"energy": energy.detach(), "forces": -slope}


def test_the_commutator_in_closed_form() -> None:
    """f(x) = x + εNx has L_A f = ε[N, A]x."""
    n, x, eps = normal(3, 3, key="N"), normal(20, 3), 1e-3
    claim = "SO(3): vector -> vector"
    audit = opened(lambda x: x + eps * x @ n.T, claim, {"x": x})
    lie = Lie(audit, Claim.parse(claim))
    for one in lie.variations():
        a = torch.zeros(3, 3, dtype=torch.float64)
        i, j = (one.place + 1) % 3, (one.place + 2) % 3
        a[j, i], a[i, j] = 1.0, -1.0
        assert float((one.errors["output"] - eps * x[one.rows] @ (n @ a - a @ n).T).abs().max()) < 1e-15
    found = lie_derivatives(audit, Claim.parse(claim))[0]
    assert found.error == pytest.approx(eps * 2.0, rel=0.6)
    assert {flow.scale for flow in found.flows} == {"generator"}
    assert json.dumps(found.to_dict())


def test_the_slope_of_the_error_curve_at_zero() -> None:
    claim, x = "SO(3): vector -> vector", normal(12, 3)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    audit = opened(net, claim, {"x": x})
    lie = Lie(audit, Claim.parse(claim))
    squared = {one.place: one.squared["output"] for one in lie.variations()}
    for place, flow in enumerate(lie.bound.group.flows()):
        slopes = []
        for t in (1e-3, -1e-3):
            g = flow.at(torch.full((12,), t, dtype=torch.float64))
            gap = net((g @ x[..., None])[..., 0]) - (g @ net(x)[..., None])[..., 0]
            slopes.append(gap.norm(dim=1) / 1e-3)
        assert torch.allclose(torch.stack(slopes).mean(0), squared[place].sqrt(), rtol=1e-4)


@pytest.mark.parametrize("leak", [0.0, 1e-4])
@pytest.mark.parametrize("own", [False, True])
def test_energies_and_forces(leak: float, own: bool) -> None:
    """Forward over reverse, for derived outputs and for networks that take their own gradient."""
    claim = "SE(3): pos=points -> energy=scalar, forces=vector"
    derive = {} if own else {"forces": "-d(energy)/d(pos)"}
    found = measured(Potential(leak, own=own), claim, {"pos": normal(6, 5, 3)}, derive=derive)
    kinds = {flow.name: (flow.scale, flow.error, flow.method) for flow in found["forces"].flows}
    assert {method for _, _, method in kinds.values()} == {"forward mode"}
    assert kinds["rotation about x"][0] == "generator"
    assert kinds["translation along x"][0] == "spread"
    for output in ("energy", "forces"):
        errors = {flow.name: flow.error for flow in found[output].flows}
        if leak:
            assert min(errors["rotation about x"], errors["rotation about y"], errors["translation along z"]) > 1e-5
            assert max(errors["rotation about z"], errors["translation along x"]) < 1e-12
            assert found[output].worst.name != "rotation about z"
        else:
            assert found[output].error < 1e-12


class Dropped(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "numpy":
            return torch.from_numpy(x.detach().cpu().numpy() ** 3).sum(1) + x.sum(1) ** 2
        if self.how == "cdist":
            return torch.cdist(x[:, None], x[:, None].flip(2)).sum((1, 2)) + x[:, 0] ** 2
        if self.how == "detach":
            return (x.detach() * x).sum(1) + x[:, 0] ** 2
        return Doubled.apply(x).square().sum(1) + x[:, 0]  # type: ignore[no-any-return, no-untyped-call]


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: object, y: Tensor) -> Tensor:
        return 2 * y


@pytest.mark.parametrize(
    ("how", "word"),
    [("numpy", "lost"), ("cdist", "_cdist_forward"), ("detach", ""), ("custom", "custom autograd.Function")],
)
def test_what_forward_mode_cannot_do_is_done_by_differences(how: str, word: str) -> None:
    claim, x, model = "SO(3): vector -> invariant", normal(9, 3), Dropped(how)
    audit = opened(model, claim, {"x": x})
    lie = Lie(audit, Claim.parse(claim))
    for one in lie.variations():
        flow = lie.bound.group.flows()[one.place]
        h = 1e-4
        g, back = (flow.at(torch.full((9,), t, dtype=torch.float64)) for t in (h, -h))
        slope = (model((g @ x[..., None])[..., 0]) - model((back @ x[..., None])[..., 0])) / (2 * h)
        assert torch.allclose(one.errors["output"], slope[one.rows], rtol=1e-5, atol=1e-6)
    words = "; ".join(lie.methods[0])
    assert word in words
    assert ("finite differences" in words) == bool(word)


def test_attention_in_forward_mode() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).double()
    pushed = Differential(opened(layer, "SO(4): vector -> vector", {"x": normal(4, 5, 4)}).evaluator.runner)
    batch = opened(layer, "SO(4): vector -> vector", {"x": normal(4, 5, 4)}).evaluator.samples.take(torch.arange(4))
    v = normal(4, 5, 4, key="v")
    layer.eval()
    slope = (layer(batch.tensors["x"] + 1e-5 * v) - layer(batch.tensors["x"] - 1e-5 * v)) / 2e-5
    made = pushed(batch, {"x": v})
    assert made.without == ""
    assert torch.allclose(made.tangents["output"], slope.detach(), atol=1e-7)


def test_poses_are_compared_on_their_manifold() -> None:
    """A rotation output whose frame is off by a fixed turn Q on the left: the rate is that of the angle."""

    def frame(x: Tensor) -> Tensor:
        first = nn.functional.normalize(x[:, 0], dim=-1)
        second = nn.functional.normalize(x[:, 1] - (x[:, 1] * first).sum(-1, keepdim=True) * first, dim=-1)
        return torch.stack([first, second, torch.linalg.cross(first, second)], -1)

    x, claim = normal(7, 2, 3), "SO(3): vector -> rotation"
    assert measured(frame, claim, {"x": x})["output"].error < 1e-9
    half = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    found = measured(lambda x: half @ frame(x), claim, {"x": x})["output"]
    about = {flow.name: flow.error for flow in found.flows}
    assert about["rotation about x"] < 1e-9
    assert about["rotation about y"] == pytest.approx(2.0, rel=1e-6)  # a turn one way for a turn the other way


def test_packed_samples() -> None:
    sizes = [3, 4, 2, 5]
    owner = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes))

    def model(pos: Tensor, batch: Tensor) -> dict[str, Tensor]:
        count = int(batch.max()) + 1
        mean = torch.zeros(count, 3, dtype=pos.dtype).index_add_(0, batch, pos)
        mean = mean / torch.bincount(batch, minlength=count)[:, None]
        arm = pos - mean[batch]
        energy = torch.zeros(count, dtype=pos.dtype).index_add_(0, batch, arm.square().sum(-1).sqrt())
        return {"energy": energy + 1e-3 * mean[:, 2], "dipole": arm * arm.norm(dim=1, keepdim=True)}

    claim = "SE(3): pos=points, batch=owner -> energy=scalar, dipole=vector"
    found = measured(model, claim, {"pos": normal(sum(sizes), 3), "batch": owner})
    errors = {flow.name: flow.size for flow in found["energy"].flows}
    assert errors["translation along z"] == pytest.approx(1e-3, rel=1e-6)
    assert errors["translation along x"] < 1e-12
    assert found["dipole"].error < 1e-12


def test_products_and_other_scales() -> None:
    x = normal(8, 3).abs() + 1
    found = measured(lambda x: x * x.norm(dim=1, keepdim=True), "SO(3) x Scale(0.5,2): vector -> vector", {"x": x})
    errors = {flow.name: flow.error for flow in found["output"].flows}
    assert errors["Scale(0.5,2): scaling"] == pytest.approx(1.0)  # it doubles: x|x| is of degree two
    assert max(v for name, v in errors.items() if name.startswith("SO(3)")) < 1e-12


@pytest.mark.parametrize(
    ("claim", "word"),
    [
        ("S: nodes -> invariant", "discrete"),
        ("C4: vector -> invariant", "discrete"),
        ("SO(3): vector -> label=invariant", "labels"),
    ],
)
def test_what_has_no_generators_is_refused(claim: str, word: str) -> None:
    x = normal(6, 2) if "C4" in claim else normal(6, 3)
    model: Model = (lambda x: x.argmax(1)) if "label" in claim else (lambda x: x.sum(1))
    with pytest.raises(ClaimError, match=word):
        measured(model, claim, {"x": x})


def test_nan_is_never_small() -> None:
    found = measured(lambda x: x * torch.tensor(math.nan), "SO(3): vector -> vector", {"x": normal(6, 3)})["output"]
    assert not found.error < 1e9
    assert not found.worst.error < 1e9
    assert found.to_dict()["error"] is None


def test_lower_precision_is_lifted() -> None:
    torch.manual_seed(0)
    x = {"x": normal(6, 3).float()}
    found = measured(nn.Linear(3, 3, bias=False), "SO(3): vector -> vector", x, dtype="float32")
    assert found["output"].dtype == "float64"
    assert found["output"].passes == 3 * (6 + (1 + 5) * 2)  # three generators; two samples of each are checked
