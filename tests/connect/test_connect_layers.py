"""Layers found by running a network, their statistics, and what REPAIR gives them, checked at the definition."""

from __future__ import annotations

import pytest
import torch
from small_nets import labelled, normed, plain, state_of
from torch import Tensor, nn

from symcheck.connect.layers import Correction, Moments, Watch, find_layers, moments_of
from symcheck.connect.path import linear
from symcheck.connect.walk import Treatment, Walker
from symcheck.measure.loss import loss_of

CPU, CE = torch.device("cpu"), loss_of("cross_entropy")


def found(net: nn.Module, *shape: int) -> dict[str, bool]:
    """Every layer and whether it is corrected."""
    net.eval()
    return {layer.name: layer.corrected for layer in find_layers(net, lambda: net(torch.randn(3, *shape))).values()}


class Twice(nn.Module):
    """A layer that is called twice, one of a kind that nobody knows, and one that is not affine."""

    def __init__(self) -> None:
        super().__init__()
        self.same, self.norm = nn.Linear(5, 5), nn.LayerNorm(5)
        self.own, self.bent, self.last = Own(), Bent(), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.tanh(self.same(torch.tanh(self.same(x)))))
        return self.last(self.bent(self.own(x))).log_softmax(-1)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.shift = nn.Parameter(torch.randn(5, 5)), nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix + self.shift


class Bent(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class Activated(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.left, self.right = nn.Linear(4, 6), nn.Linear(6, 2), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.body(x).relu()
        return {"left": self.left(hidden).view(-1, 2, 1), "right": self.right(hidden)}


def test_the_last_layer_is_not_corrected() -> None:
    assert found(plain(), 6) == {"0": True, "2": True, "4": False}
    assert found(Heads(), 4) == {"body": True, "left": False, "right": False}


def test_a_batch_normalisation_is_corrected_in_place_of_the_layer_before_it() -> None:
    assert found(normed(), 2, 6, 6) == {"0": False, "1": True, "3": False, "4": True, "8": False}


def test_a_normalisation_that_does_more_gets_no_correction_and_one_behind_an_activation_spares_nothing() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 1), Activated(3), nn.Flatten(), nn.Linear(12, 2))
    assert found(net, 2, 2, 2) == {"0": True, "1": False, "3": False}
    net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    assert found(net, 2, 2, 2) == {"0": True, "2": True, "4": False}


def test_calls_are_layers_of_their_own_and_affine_is_what_is_affine() -> None:
    expected = {"same": True, "same (call 2)": True, "norm": False, "own": True, "last": False}
    with torch.random.fork_rng():
        torch.manual_seed(0)  # where all units of what is bent are off, it cannot be told from affine
        assert found(Twice(), 5) == expected


def test_moments_gathered_in_batches_are_those_of_everything() -> None:
    x = 3 + torch.randn(50, 4, 3, 3) * torch.tensor([0.1, 1, 5, 0])[:, None, None]
    moments = Moments()
    for part in x.split([7, 20, 23]):
        moments.add(part, 1)
    flat = x.double().movedim(1, 0).flatten(1)
    assert torch.allclose(moments.mean, flat.mean(1), atol=1e-6)
    assert torch.allclose(moments.deviation, flat.std(1, correction=0), rtol=1e-5)
    last = Moments()
    last.add(x.movedim(1, -1), -1)
    assert torch.allclose(last.deviation, moments.deviation, rtol=1e-5)


def test_a_correction_gives_the_interpolated_mean_and_deviation() -> None:
    a, b, x = Moments(), Moments(), 4 * torch.randn(300, 6) - 2
    for moments, scale in ((a, 1.0), (b, 3.0)):
        moments.add(scale * torch.randn(200, 6) + scale, -1)
    correction = Correction.towards(a, b, 0.25)
    batch = moments_of(x, -1)
    y = correction(x, -1, batch)
    correction.mean.copy_(batch[0])
    correction.var.copy_(batch[1])
    assert torch.equal(correction(x, -1), y)
    assert torch.allclose(y.mean(0).double(), 0.75 * a.mean + 0.25 * b.mean, atol=1e-5)
    assert torch.allclose(y.std(0, correction=0).double(), 0.75 * a.deviation + 0.25 * b.deviation, rtol=1e-4)


def test_a_constant_channel_stays_finite() -> None:
    a = Moments()
    a.add(torch.zeros(10, 2), -1)
    correction = Correction.towards(a, a, 0.5)
    x = torch.ones(10, 2)
    assert torch.equal(correction(x, -1, moments_of(x, -1)), torch.zeros(10, 2))


def test_a_watch_replaces_what_it_is_given_and_is_gone_afterwards() -> None:
    net, x = plain(), torch.randn(5, 6)
    layers = find_layers(net, lambda: net(x))
    before, names = net(x), list[str]()

    def act(layer: object, output: Tensor) -> Tensor | None:
        names.append(layer.name)  # type: ignore[attr-defined]
        return torch.zeros_like(output) if len(names) == 2 else None

    with Watch(net, layers)(act):
        changed = net(x)
    assert names == ["0", "2", "4"]
    assert torch.allclose(changed, net[4].bias.expand(5, 4))
    assert torch.equal(net(x), before)


@pytest.mark.parametrize("make", [plain, normed])
def test_repair_gives_every_corrected_layer_the_statistics_between_the_ends(make: type) -> None:
    """Straight from the definition, on the data that the statistics come from."""
    net, other = make(seed=0), make(seed=1)
    data = labelled(*((6,) if make is plain else (2, 6, 6)), count=4000)
    walker = Walker.of(net, {"train": data}, CE, CPU, 4000)
    path = linear(state_of(net), state_of(other))
    ends = walker.walk(path, (0.0, 0.3, 1.0), watched=(0.0, 0.3, 1.0)).layers
    repaired = walker.walk(path, (0.3,), Treatment.REPAIR, ends=(ends[0.0], ends[1.0]), watched=(0.3,)).layers[0.3]
    off = []
    for key in walker.network.corrected:
        mean = 0.7 * ends[0.0][key].mean + 0.3 * ends[1.0][key].mean
        deviation = 0.7 * ends[0.0][key].deviation + 0.3 * ends[1.0][key].deviation
        assert torch.allclose(repaired[key].mean, mean, atol=1e-5), key
        assert torch.allclose(repaired[key].deviation, deviation, rtol=1e-5), key
        off.append(float((ends[0.3][key].deviation / deviation - 1).abs().max()))
    assert min(off) > 0.05  # without it they are somewhere else
    assert not net[0]._forward_hooks and not walker.network.module[0]._forward_hooks
