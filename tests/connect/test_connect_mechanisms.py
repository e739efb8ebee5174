"""Symmetry along a path: errors of the audit at each point, its barrier, and the loss on moved data."""

from __future__ import annotations

import math

import pytest
import torch
from small_nets import state_of
from torch import Tensor, nn

import symcheck
from symcheck.connect.connect import connect
from symcheck.connect.mechanisms import TIMES, moved
from symcheck.connect.walk import Walker
from symcheck.errors import ClaimError, DataError
from symcheck.measure.loss import Labelled, loss_of

C4 = "C4: image -> invariant"


class Pooled(nn.Module):
    """Invariant under quarter turns where the kernel is symmetric and the mask is even."""

    def __init__(self, *, seed: int, skewed: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        kernel = torch.randn(6, 1, 3, 3, generator=generator)
        turns = sum(torch.rot90(kernel, k, (2, 3)) for k in range(4)) / 4
        self.kernel = nn.Parameter(turns + skewed * kernel)
        self.head = nn.Linear(6, 3)
        with torch.no_grad():
            self.head.weight.copy_(torch.randn(3, 6, generator=generator))
            self.head.bias.copy_(torch.randn(3, generator=generator))

    def forward(self, image: Tensor) -> Tensor:
        hidden = torch.conv2d(image, self.kernel, padding=1).relu()
        return self.head(hidden.mean((2, 3)))


class Turning(nn.Module):
    """Vectors in, vectors out: equivariant."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.7))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x * x.square().sum(-1, keepdim=True)


def images(count: int = 80) -> Labelled:
    generator = torch.Generator().manual_seed(3)
    return Labelled(
        {"image": torch.randn(count, 1, 6, 6, generator=generator)},
        torch.randint(0, 3, (count,), generator=generator),
    )


def test_equivariant_networks_stay_equivariant_on_the_way() -> None:
    a, b = Pooled(seed=0), Pooled(seed=1)
    found = connect(a, state_of(a), state_of(b), images(), align=False, points=5, mechanisms=(C4,))
    (one,) = found.variants["naive"].mechanisms
    assert one.t == TIMES and max(one.error) < 1e-5 and abs(one.barrier) < 1e-5
    curves = found.variants["naive"].curves
    assert curves[C4].loss == pytest.approx(curves["train"].loss, rel=1e-4)


def test_symmetry_that_is_lost_halfway_is_a_barrier() -> None:
    """Both ends are invariant, the second in another way: by a kernel that is turned against its copy."""
    a, b = Pooled(seed=0), Pooled(seed=0, skewed=0.8)
    found = connect(a, state_of(a), state_of(b), images(), align=False, points=5, mechanisms=(C4,))
    (one,) = found.variants["naive"].mechanisms
    assert one.measure == "share" and one.error[0] < 1e-5 < one.error[2] < one.error[-1]
    report = symcheck.audit(b, C4, images().inputs["image"], samples=64, seed=0)
    assert one.error[-1] == pytest.approx(report.findings[0].share.value, rel=1e-3)
    line = [(1 - t) * one.error[0] + t * one.error[-1] for t in TIMES]
    excess = [e - x for e, x in zip(one.error, line, strict=True)]
    assert one.barrier == pytest.approx(max(excess[1:-1])) and one.midpoint == pytest.approx(excess[2])
    assert one.at == TIMES[excess.index(one.barrier)]


def test_each_sample_is_moved_by_an_element_of_its_own() -> None:
    net, data = Pooled(seed=0), images()
    walker = Walker.of(net, {"train": data}, loss_of("cross_entropy"), torch.device("cpu"))
    turned = moved(walker.network, walker.train, C4, 5)
    x, y = data.inputs["image"], turned.inputs["image"]
    which = [next(k for k in range(4) if torch.equal(torch.rot90(x[i], k, (1, 2)), y[i])) for i in range(len(x))]
    assert {*which} == {0, 1, 2, 3}
    assert torch.equal(turned.labels, data.labels)
    again = moved(walker.network, walker.train, C4, 5)
    assert torch.equal(again.inputs["image"], y)


def test_labels_move_with_outputs_that_move() -> None:
    net = Turning()
    x = torch.randn(30, 3)
    with torch.no_grad():
        data = Labelled({"x": x}, net(x))
    walker = Walker.of(net, {"train": data}, loss_of("mse"), torch.device("cpu"))
    turned = moved(walker.network, walker.train, "SO(3): vector -> vector", 0)
    assert not torch.allclose(turned.labels, data.labels, atol=0.1)
    with torch.no_grad():
        assert torch.allclose(net(turned.inputs["x"]), turned.labels, atol=1e-4)


def test_labels_that_cannot_move_are_noted_and_the_error_is_measured_all_the_same() -> None:
    net = Turning()
    data = Labelled({"x": torch.randn(30, 3)}, torch.randint(0, 3, (30,)))
    other = {"scale": torch.tensor(0.4)}
    found = connect(net, state_of(net), other, data, align=False, points=3, mechanisms=("SO(3): vector -> vector",))
    assert any("labels cannot be moved" in note for note in found.notes)
    assert [*found.variants["naive"].curves] == ["train"]
    assert max(found.variants["naive"].mechanisms[0].error) < 1e-5
    walker = Walker.of(net, {"train": data}, loss_of("cross_entropy"), torch.device("cpu"))
    with pytest.raises(DataError, match="labels cannot be moved"):
        moved(walker.network, walker.train, "SO(3): vector -> vector", 0)


def test_a_claim_that_does_not_fit_is_refused() -> None:
    a = Pooled(seed=0)
    with pytest.raises(ClaimError):
        connect(a, state_of(a), state_of(a), images(), align=False, points=3, mechanisms=("C4: imag -> invariant",))


def test_a_constant_midpoint_has_no_share_that_is_a_number_or_says_so() -> None:
    """Opposite heads cancel at the midpoint: nothing moves there, and the document stays without NaN."""
    a = Pooled(seed=0, skewed=0.8)
    b = {name: -x if name.startswith("head") else x.clone() for name, x in state_of(a).items()}
    found = connect(a, state_of(a), b, images(), align=False, points=3, mechanisms=(C4,))
    (one,) = found.variants["naive"].mechanisms
    assert math.isnan(one.error[2]) or one.error[2] <= max(one.error)
    assert "NaN" not in found.to_json()
