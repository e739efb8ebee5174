"""Two models are one function: up to rounding, within a tolerance, or not at all."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.errors import ConfigError, DataError, LoadError
from symcheck.testing import assert_same_function

INPUTS = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 3))


class Leaky(nn.Module):
    """A network with a leak whose root mean square is about `size` times the spread of the output."""

    def __init__(self, net: nn.Module, size: float) -> None:
        super().__init__()
        self.net, self.size = net, size

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + self.size * torch.tanh(x[:, :1])


def permuted(net: nn.Sequential) -> nn.Sequential:
    other, order = copy.deepcopy(net), torch.randperm(16, generator=torch.Generator().manual_seed(3))
    other[0].weight.data, other[0].bias.data = net[0].weight.data[order], net[0].bias.data[order]
    other[3].weight.data = net[3].weight.data[:, order]
    return other


def failure(a: Any, b: Any, inputs: Any = INPUTS, **options: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_same_function(a, b, inputs, **options)
    return str(caught.value)


SAME: dict[str, Callable[[nn.Sequential], Any]] = {
    "itself": lambda net: net,
    "a copy": copy.deepcopy,
    "its state dict": lambda net: net.state_dict(),
    "hidden units permuted": permuted,
    "the state dict of that": lambda net: permuted(net).state_dict(),
    "in double precision": lambda net: copy.deepcopy(net).double(),
    "in a wrapper": lambda net: Leaky(net, 0.0),
}


@pytest.mark.parametrize("other", SAME)
def test_the_same_function_passes_and_leaves_the_models_alone(other: str) -> None:
    net = network()
    before, b = copy.deepcopy(net.state_dict()), SAME[other](net)
    report = assert_same_function(net, b, INPUTS)
    assert [str(f.verdict) for f in report.findings] == ["exact"]
    assert net.training and all(type(p) is nn.Parameter for p in net.parameters())
    assert all(torch.equal(t, before[name]) and t.dtype == before[name].dtype for name, t in net.state_dict().items())


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("apart", [True, False])
def test_a_leak_is_found_and_may_be_tolerated(size: float, apart: bool) -> None:
    net = network()
    other = Leaky(copy.deepcopy(net) if apart else net, size)
    words = failure(net, other)
    assert words.startswith("Sequential and Leaky are not the same function: 1 ")
    assert "f_a(x) = f_b(x) (output)" in words and "demanded: exact" in words and "at b against a, sample" in words
    assert "replay" not in words
    report = assert_same_function(net, other, INPUTS, tolerance=100 * size)
    mean = report.findings[0].error.spread.mean
    assert 0.2 * size < mean < 5 * size


def test_a_leak_above_the_tolerance_fails() -> None:
    assert "1 broken" in failure(network(), Leaky(network(), 1e-2), tolerance=1e-3)


def test_coarser_weights_are_another_function() -> None:
    net = network()
    assert "1 broken" in failure(net, copy.deepcopy(net).bfloat16())
    assert "1 broken" in failure(copy.deepcopy(net).bfloat16(), net)


def test_plain_functions_are_compared() -> None:
    def squares(x: Tensor) -> Tensor:
        return x.square().sum(1, keepdim=True)

    assert_same_function(squares, lambda x: squares(x.flip(1)), INPUTS)
    assert "1 broken" in failure(squares, lambda x: squares(x) + 0.1)


def test_constants_test_nothing() -> None:
    assert "1 trivial" in failure(lambda x: torch.ones(len(x), 2), lambda x: torch.ones(len(x), 2), tolerance=1.0)
    assert "1 broken" in failure(lambda x: torch.ones(len(x), 2), lambda x: 2 * torch.ones(len(x), 2))


@pytest.mark.parametrize("swap", [False, True])
def test_nan_and_noise_never_pass_on_either_side(swap: bool) -> None:
    net = network()
    for odd, why in (
        (lambda x: net(x) * float("nan"), "NaN"),
        (lambda x: torch.where(x[:, :1] > 1.5, float("nan"), net(x)), "NaN"),
        (lambda x: nn.functional.dropout(net(x)), "not deterministic"),
    ):
        words = failure(*((odd, net) if swap else (net, odd)), tolerance=1e9)
        assert "1 invalid" in words and why in words


def test_outputs_must_have_the_same_names_and_shapes() -> None:
    net = network()
    for other, what in (
        (lambda x: net(x)[:, :2], "output (2,)"),
        (lambda x: {"logits": net(x)}, "logits (3,)"),
        (lambda x: (net(x), net(x)), "output0 (3,), output1 (3,)"),
    ):
        words = failure(net, other)
        assert f"the outputs of a are output (3,), those of b {what}" in words and "nothing was measured" in words


def test_several_inputs_by_name_and_several_outputs() -> None:
    def one(u: Tensor, v: Tensor) -> dict[str, Tensor]:
        return {"sum": u + v, "gap": u - v}

    def two(v: Tensor, u: Tensor) -> dict[str, Tensor]:
        return {"gap": u - v, "sum": v + u}

    given = {"u": INPUTS, "v": INPUTS.flip(0)}
    assert {f.output for f in assert_same_function(one, lambda u, v: two(v, u), given).findings} == {"sum", "gap"}
    assert "2 broken" not in (words := failure(one, lambda u, v: {**two(v, u), "gap": v - u}, given))
    assert "1 exact, 1 broken" in words


def test_a_state_dict_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LoadError, match="does not fit 'Sequential'") as caught:
        assert_same_function(network(), nn.Linear(2, 2).state_dict(), INPUTS)
    assert "0.weight" in caught.value.where
    with pytest.raises(ConfigError, match="takes no state dict"):
        assert_same_function(lambda x: x, network().state_dict(), INPUTS)


def test_no_inputs_are_no_comparison() -> None:
    with pytest.raises(DataError, match="no inputs"):
        assert_same_function(network(), network(), {})


class Twice(nn.Module):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Linear(4, 4)
        self.second = self.first

    def forward(self, nodes: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(nodes)))


def test_a_part_with_two_names_is_as_it_was_after_an_audit() -> None:
    net = Twice()
    weight = net.first.weight
    before = weight.clone()
    (finding,) = symcheck.audit(net, "Sign(1): vector -> vector", INPUTS[:, :4]).findings
    assert finding.verdict == "broken"
    assert net.first.weight is weight and torch.equal(weight, before)
