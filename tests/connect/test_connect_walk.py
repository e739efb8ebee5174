"""Walking a path: against a loop of one's own, stacked or not; what is not finite, or does not fit, is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from small_nets import labelled, normed, plain, state_of
from torch import Tensor, nn
from torch.nn import functional as F

from symcheck.connect.path import grid, linear
from symcheck.connect.walk import Treatment, Walker
from symcheck.errors import DataError, ModelError
from symcheck.measure.loss import Labelled, loss_of

CPU, CE = torch.device("cpu"), loss_of("cross_entropy")
IMAGES = labelled(2, 6, 6, count=48)
State = dict[str, Tensor]


def pair() -> tuple[nn.Sequential, State, State]:
    return normed(), state_of(normed(seed=0)), state_of(normed(seed=1))


def oracle(
    net: nn.Module, a: State, b: State, t: float, data: Labelled, *, buffers: bool = True, reset: bool = False
) -> float:
    """The mean loss at t, by hand; a reset is one pass in training mode over everything at once."""
    net = copy.deepcopy(net)
    moving = {n for n, x in a.items() if x.is_floating_point() and (buffers or "running" not in n)}
    net.load_state_dict({n: (1 - t) * a[n] + t * b[n] if n in moving else a[n] for n in a})
    with torch.no_grad():
        if reset:
            for part in net.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.reset_running_stats()
                    part.momentum = None
            net.train()
            net(data.inputs["x"])
        return float(F.cross_entropy(net.eval()(data.inputs["x"]), data.labels))


def test_the_losses_are_those_of_a_plain_loop() -> None:
    net, a, b = pair()
    walked = Walker.of(net, {"train": IMAGES}, CE, CPU).walk(linear(a, b), grid(5))
    means = [float(one.loss.mean()) for one in walked.scores["train"]]
    assert means == pytest.approx([oracle(net, a, b, t, IMAGES) for t in grid(5)], rel=1e-5)
    skipped = [oracle(net, a, b, t, IMAGES, buffers=False) for t in grid(5)]
    assert abs(means[2] - skipped[2]) > 0.01  # what an oracle without the buffers finds


@pytest.mark.parametrize("batch_size", [2, 7, 48, 300])
def test_a_reset_is_that_of_one_large_batch_whatever_the_batches(batch_size: int) -> None:
    net, a, b = pair()
    walker = Walker.of(net, {"train": IMAGES}, CE, CPU, batch_size)
    walked = walker.walk(linear(a, b), grid(5), Treatment.RESET)
    means = [float(one.loss.mean()) for one in walked.scores["train"]]
    assert means == pytest.approx([oracle(net, a, b, t, IMAGES, reset=True) for t in grid(5)], rel=1e-5)
    assert not any(part.training for part in walker.network.module.modules())
    assert walker.forwards == (2 if batch_size >= 48 else 3) * 5 * IMAGES.count  # as many passes as layers that learn


@pytest.mark.parametrize("batch_size", [2, 300])
@pytest.mark.parametrize("make", [plain, normed])
def test_repair_is_that_of_two_passes_over_everything(make: Callable[..., nn.Sequential], batch_size: int) -> None:
    """Layer after layer: mean and deviation of what comes in after the layers before were corrected, then the scale."""
    nets, t = [make(seed=0), make(seed=1), make(seed=2)], 0.3
    a, b = state_of(nets[0]), state_of(nets[1])
    nets[2].load_state_dict({n: (1 - t) * x + t * b[n] if x.is_floating_point() else x for n, x in a.items()})
    data = labelled(*((6,) if make is plain else (2, 6, 6)), count=48)
    walker = Walker.of(nets[0], {"train": data}, CE, CPU, batch_size)
    after = {key[0] for key in walker.network.corrected}
    xs = [data.inputs["x"].double() for _ in nets]
    with torch.no_grad():
        for name, *parts in zip(nets[0]._modules, *nets, strict=True):
            xs = [part.double()(x) for part, x in zip(parts, xs, strict=True)]
            if name in after:
                axes = [0, *range(2, xs[0].dim())]
                (m0, s0), (m1, s1), (m, s) = (
                    (x.mean(axes, keepdim=True), x.std(axes, correction=0, keepdim=True)) for x in xs
                )
                xs[2] = (xs[2] - m) / s * ((1 - t) * s0 + t * s1) + (1 - t) * m0 + t * m1
    expected = F.cross_entropy(xs[2], data.labels, reduction="none")
    ends = walker.walk(linear(a, b), (0.0, 1.0), watched=(0.0, 1.0)).layers
    found = walker.walk(linear(a, b), (t,), Treatment.REPAIR, ends=(ends[0.0], ends[1.0]))
    assert torch.allclose(found.scores["train"][0].loss, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [2, 300])
@pytest.mark.parametrize("treatment", [Treatment.RESET, Treatment.REPAIR])
def test_between_a_network_and_itself_both_treatments_change_nothing(treatment: Treatment, batch_size: int) -> None:
    net = normed().train()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
            part.reset_running_stats()
    with torch.no_grad():
        net(IMAGES.inputs["x"])  # now the statistics that it keeps are those of the data
    a = state_of(net.eval())
    walker = Walker.of(net, {"train": IMAGES}, CE, CPU, batch_size)
    known = walker.walk(linear(a, a), (0.0, 1.0), watched=(0.0, 1.0))
    found = walker.walk(linear(a, a), (0.5,), treatment, ends=(known.layers[0.0], known.layers[1.0]))
    assert torch.allclose(found.scores["train"][0].loss, known.scores["train"][0].loss, rtol=1e-5, atol=1e-6)


def test_a_network_whose_statistics_were_reset_is_left_as_it_is_by_torch() -> None:
    net, a, _ = pair()
    walker = Walker.of(net, {"train": IMAGES}, CE, CPU, 16)
    walked = walker.walk(linear(a, a), (0.0,), Treatment.RESET)
    again = copy.deepcopy(walker.network.module).train()
    torch.optim.swa_utils.update_bn([IMAGES.inputs["x"]], again)
    with torch.no_grad():
        loss = F.cross_entropy(again.eval()(IMAGES.inputs["x"]), IMAGES.labels, reduction="none")
    assert torch.allclose(loss.double(), walked.scores["train"][0].loss, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("treatment", [*Treatment])
@pytest.mark.parametrize("stack", [2, 3, 9])
def test_stacked_points_are_the_same_points(treatment: Treatment, stack: int) -> None:
    net, a, b = pair()
    found = []
    for width in (1, stack):
        walker = Walker.of(net, {"train": IMAGES, "test": labelled(2, 6, 6, seed=5)}, CE, CPU, 20, width)
        ends = walker.walk(linear(a, b), (0.0, 1.0), watched=(0.0, 1.0)).layers
        statistics = ends[0.0], ends[1.0]
        found.append(walker.walk(linear(a, b), grid(7), treatment, ends=statistics, watched=(0.5,)))
    for name in ("train", "test"):
        for one, other in zip(found[0].scores[name], found[1].scores[name], strict=True):
            assert torch.allclose(one.loss, other.loss, rtol=1e-3, atol=1e-5)
    for key, moments in found[0].layers[0.5].items():
        assert torch.allclose(moments.deviation, found[1].layers[0.5][key].deviation, rtol=1e-3)


def test_a_trial_stacks_what_is_small_and_can_be_stacked() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.lstm(x)[0][:, -1]

    a, b = state_of(plain(seed=0)), state_of(plain(seed=1))
    with torch.no_grad():
        walker = Walker.of(plain(), {"train": labelled(6, count=8)}, CE, CPU)
        assert walker.trial(linear(a, b), grid(25)) == 25  # 25 tiny calls take longer than one
        walker = Walker.of(Recurrent(), {"train": labelled(5, 3)}, CE, CPU)
        state = state_of(Recurrent())
        assert walker.trial(linear(state, state), grid(25)) == 1  # no rule for stacked recurrent weights
        assert len(walker.walk(linear(state, state), grid(3)).scores["train"]) == 3 and walker.stack == 1


def test_the_module_itself_is_left_alone() -> None:
    net, a, b = pair()
    before = state_of(net)
    net.train()
    Walker.of(net, {"train": IMAGES}, CE, CPU).walk(linear(a, b), grid(3), Treatment.RESET)
    assert net.training
    assert all(torch.equal(before[name], x) for name, x in net.state_dict().items())
    assert all(torch.equal(x, y) for x, y in zip(a.values(), state_of(normed(seed=0)).values(), strict=True))


def test_tied_weights_are_walked_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.out = nn.Linear(5, 5, bias=False), nn.Linear(5, 5)
            self.out.weight = self.into.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.into(x).tanh())

    nets = [Tied(), Tied()]
    a, b = map(state_of, nets)
    data = labelled(5, classes=5)
    with torch.no_grad():
        expected = float(F.cross_entropy(nets[1](data.inputs["x"]), data.labels))
    losses = []
    for stack in (1, 3):
        walker = Walker.of(nets[0], {"train": data}, CE, CPU, None, stack)
        assert [*walker.network.slots] == ["into.weight", "out.bias"]
        losses.append([float(one.loss.mean()) for one in walker.walk(linear(a, b), grid(3)).scores["train"]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][2] == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_names_the_point() -> None:
    net, a = plain(), state_of(plain())
    b = {name: x.clone() for name, x in a.items()}
    b["4.bias"][0] = float("nan")
    with pytest.raises(DataError, match="not finite for 60 of 60") as error:
        Walker.of(net, {"train": labelled(6)}, CE, CPU).walk(linear(a, b), grid(5), name="naive")
    assert error.value.where == "naive at t = 1"  # an end that is at fault is named first


def test_one_class_alone_is_measured() -> None:
    data = Labelled({"x": torch.randn(20, 6)}, torch.zeros(20, dtype=torch.int64))
    net, other = plain(seed=0), plain(seed=1)
    walked = Walker.of(net, {"train": data}, CE, CPU).walk(linear(state_of(net), state_of(other)), grid(3))
    right = [one.correct for one in walked.scores["train"]]
    assert all(r is not None and 0 <= float(r.mean()) <= 1 for r in right)


def test_labels_that_do_not_fit_are_refused_before_anything_is_walked() -> None:
    odd = Labelled(IMAGES.inputs, IMAGES.labels + 3)
    with pytest.raises(DataError, match="none of the 4 classes"):
        Walker.of(normed(), {"train": IMAGES, "test": odd}, CE, CPU)


def test_inputs_that_the_model_does_not_take_are_its_error() -> None:
    with pytest.raises(ModelError, match="the model raised"):
        Walker.of(normed(), {"train": labelled(3, 6, 6)}, CE, CPU)
