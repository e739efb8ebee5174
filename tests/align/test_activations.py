"""Which outputs carry which units, and whether their correlations lead planted units back to their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from symcheck.align.activations import Correlations, correlations
from symcheck.align.carriers import carriers
from symcheck.errors import DataError, ModelError
from symcheck.patterns import parse_axes, print_axes
from symcheck.weights.derive import derive
from symcheck.weights.spec import Space, Spec

WORDS, STREAM, HEADS, WIDTH = 23, 20, 4, 6


def generic(module: nn.Module, seed: int) -> nn.Module:
    """All tensors random: weights, biases, gains and running statistics."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, t in module.state_dict().items():
            if t.is_floating_point():
                noise = torch.randn(t.shape, generator=rng)
                positive = "var" in name or (t.dim() == 1 and "norm" in name and "weight" in name)
                size = (2 / t[0].numel()) ** 0.5 if t.dim() > 1 else 1.0
                t.copy_((0.4 * noise).exp() if positive else size * noise)
    return module.eval()


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(STREAM, 3 * HEADS * WIDTH), nn.Linear(HEADS * WIDTH, STREAM)
        self.weights = nn.Softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, WIDTH)).transpose(1, 3).unbind(2)
        weights = self.weights(q @ k.mT / WIDTH**0.5)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attention = nn.LayerNorm(STREAM), nn.LayerNorm(STREAM), Attention()
        self.mlp = nn.Sequential(nn.Linear(STREAM, 30), nn.GELU(), nn.Linear(30, STREAM))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, STREAM), nn.Embedding(11, STREAM)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(STREAM), nn.Linear(STREAM, WORDS)

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words) + self.places.weight[: words.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(9, 24), nn.ReLU(inplace=True), nn.Linear(24, 18), nn.Tanh(), nn.Linear(18, 5))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 9, 7),
    )  # fmt: skip


def lstm() -> nn.Module:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(6, 14, batch_first=True), nn.Linear(14, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.lstm(x)[0][:, -1])

    return Last()


def normal(*shape: int) -> Callable[[int, int], Tensor]:
    return lambda count, seed: torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def words(count: int, seed: int) -> Tensor:
    return torch.randint(0, WORDS, (count, 11), generator=torch.Generator().manual_seed(seed))


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[int, int], Tensor]]] = {
    "mlp": (mlp, normal(9)),
    "cnn": (cnn, normal(2, 6, 6)),
    "lstm": (lstm, normal(5, 6)),
    "transformer": (Transformer, words),
}
CARRIED = {
    "mlp": {"0": ". h0", "1": ". h0", "2": ". h2", "3": ". h2"},
    "cnn": {
        "0": ". h0 . .", "1": ". h0 . .", "2": ". h0 . .", "3": ". h0 . .",
        "4": ". h4 . .", "5": ". h4 . .", "6": ". h4 . .", "7": ". (h4 9)",
    },
    "lstm": {"lstm": ". . lstm", "lstm[1]": ". . lstm", "lstm[2]": ". . lstm"},
}  # fmt: skip


def made(case: str, seed: int = 1) -> tuple[nn.Module, Spec, Callable[[int, int], Tensor]]:
    build, draw = CASES[case]
    module = generic(build(), seed)
    return module, derive(module, (draw(3, 0),)), draw


def batches(draw: Callable[[int, int], Tensor], count: int = 6, size: int = 40) -> Iterator[Tensor]:
    return (draw(size, 100 + i) for i in range(count))


def noisy(state: dict[str, Tensor], size: float, seed: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    noise = {n: torch.randn(t.shape, generator=rng) for n, t in state.items()}
    return {n: t + size * float(t.std()) * noise[n] if t.dim() > 1 else t for n, t in state.items()}


def matched(found: Correlations, space: str) -> tuple[Tensor, float]:
    """The element that the best assignment gives, and the mean correlation of what it joins."""
    parts, values = [], []
    for matrix in found.matrices[space]:
        i, j = (torch.from_numpy(x) for x in linear_sum_assignment(matrix.numpy(), maximize=True))
        parts.append(j.argsort())  # unit j goes to slot i
        values.append(matrix[i, j].mean())
    return torch.stack(parts), float(torch.stack(values).mean())


@pytest.mark.parametrize("case", CASES)
def test_planted_units_are_led_back(case: str) -> None:
    module, spec, draw = made(case)
    a = dict(module.state_dict())
    names = [name for name, space in spec.spaces.items() if space.kind == "permutation"]
    planted = spec.sample(seed=7, spaces=names)
    b = spec.apply(planted, noisy(a, 0.03, 5))
    found = correlations(module, a, b, spec, batches(draw))
    assert set(found.matrices) == set(names)
    for name in names:
        element, value = matched(found, name)
        assert torch.equal(element.reshape(planted[name].shape), planted[name].argsort(-1))
        assert value > 0.8
    back = spec.apply({name: matched(found, name)[0][0] for name in names}, b)
    assert all(torch.equal(t, back[n]) for n, t in noisy(a, 0.03, 5).items())


@pytest.mark.parametrize("case", ["mlp", "cnn", "transformer"])
def test_units_of_another_network_are_not_found_in_it(case: str) -> None:
    module, spec, draw = made(case)
    a, b = (dict(made(case, seed)[0].state_dict()) for seed in (1, 2))
    found, same = (correlations(module, a, other, spec, batches(draw)) for other in (b, a))
    for name in found.matrices:
        assert matched(found, name)[1] < 0.85 * matched(same, name)[1]
        diagonal = same.matrices[name].diagonal(dim1=1, dim2=2)
        assert float(diagonal.min()) > 0.3 and float(diagonal.max()) <= 1 + 1e-9


@pytest.mark.parametrize("case", CARRIED)
def test_what_carries_what(case: str) -> None:
    module, spec, draw = made(case)
    found = carriers(module, dict(module.state_dict()), spec, draw(4, 0))
    assert {name: print_axes(axes) for name, axes in found.spec.axes.items()} == CARRIED[case]
    assert found.without == ()


def test_the_outputs_of_a_transformer() -> None:
    module, spec, draw = made("transformer")
    found = carriers(module, dict(module.state_dict()), spec, draw(4, 0))
    told = {name: print_axes(axes) for name, axes in found.spec.axes.items()}
    (stream,) = {told[n] for n in ("words", "blocks.0", "blocks.1.norm2", "blocks.1.mlp.2", "blocks.0.attention.proj")}
    heads = [told[f"blocks.{i}.attention.weights"].split()[1] for i in (0, 1)]
    assert told["blocks.0.mlp.0"] == told["blocks.0.mlp.1"] != told["blocks.1.mlp.0"]
    assert heads[0] != heads[1] and all(name in spec.spaces for name in heads)  # the same size, told apart
    assert all(heads[i] in told[f"blocks.{i}.attention.qkv"] for i in (0, 1))
    assert stream.startswith(". . ") and found.without == () and "head" not in told


def test_spaces_of_one_size_are_told_apart() -> None:
    """Of two units there is one permutation but the identity, so that one element does not tell the layers apart."""
    module = generic(nn.Sequential(*(m for _ in range(5) for m in (nn.Linear(2, 2), nn.Tanh()))), 3)
    spec = derive(module, (torch.randn(3, 2),))
    found = carriers(module, dict(module.state_dict()), spec, torch.randn(6, 2))
    patterns = [print_axes(found.spec.axes[str(2 * i)]) for i in range(4)]
    assert len(set(patterns)) == 4 and found.without == ()
    assert [*found.of(patterns[0].split()[1])] == ["0", "1"]


def test_copies_of_a_space_in_one_axis_and_on_two() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Parameter(torch.randn(3, 10, 5)), nn.Parameter(torch.randn(3, 4, 10))
            self.two, self.one = nn.Identity(), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            h = self.two(torch.einsum("ehi,bi->beh", self.up, x).relu())
            h = self.one(2 * h.flatten(1)).unflatten(1, (3, 10))
            return torch.einsum("eoh,beh->bo", self.down, h)

    module = generic(Experts(), 1)
    axes = {"up": parse_axes("e h ."), "down": parse_axes("e . h")}
    spec = Spec({"h": Space("h", "permutation", 10, over=("e",))}, axes, atoms={"e": 3})
    a, draw = dict(module.state_dict()), normal(5)
    found = carriers(module, a, spec, draw(6, 0))
    assert {name: print_axes(axes) for name, axes in found.spec.axes.items()} == {"two": ". e h"} | (
        {"one": ". (e h)"} if "one" in found.spec.axes else {}
    )
    planted = spec.sample(3)
    done = correlations(module, a, spec.apply(planted, a), spec, batches(draw))
    assert done.matrices["h"].shape == (3, 10, 10)
    assert torch.equal(matched(done, "h")[0], planted["h"].argsort(-1))


class Grouped(nn.Module):
    """Two groups of channels, each of which only meets itself."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv1d(3, 12, 1), nn.Conv1d(12, 12, 1, groups=3)
        self.out = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.two(self.one(x).relu()).relu().mean(-1))


def test_copies_that_are_permuted_themselves_are_noted() -> None:
    module = generic(Grouped(), 1)
    draw = normal(3, 5)
    spec = derive(module, (draw(3, 0),))
    permuted = spec.only(kinds=["permutation"]).spaces
    inner, outer = [n for n, s in permuted.items() if s.over], [n for n, s in permuted.items() if not s.over]
    a = dict(module.state_dict())
    found = correlations(module, a, a, spec, batches(draw))
    assert len(inner) == 2 and len(outer) == 1
    for name in inner:
        assert f"'{name}': its copies are units of {outer[0]}: match those first" in found.notes
        assert torch.equal(matched(found, name)[0], torch.arange(4).expand(3, 4))
    assert outer[0] not in found.matrices and f"no output of a module carries {outer[0]} alone" in found.notes
    planted = spec.sample(2, spaces=inner)  # within copies that stand where they stood
    done = correlations(module, a, spec.apply(planted, a), spec, batches(draw))
    assert all(torch.equal(matched(done, name)[0], planted[name].argsort(-1)) for name in inner)


def test_outputs_of_different_samples_are_not_compared() -> None:
    class Routed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.up, self.down = nn.Linear(4, 1), nn.Linear(4, 10), nn.Linear(10, 2)

        def forward(self, x: Tensor) -> Tensor:
            rows = self.gate(x)[:, 0] > 0
            y = x.new_zeros(len(x), 2)
            y[rows] = self.down(self.up(x[rows]).relu())
            return y

    module = generic(Routed(), 1)
    axes = {"up.weight": "h .", "up.bias": "h", "down.weight": ". h"}
    spec = Spec({"h": Space("h", "permutation", 10)}, {name: parse_axes(text) for name, text in axes.items()})
    a = dict(module.state_dict())
    other = a | {"gate.bias": a["gate.bias"] + 0.7}
    found = correlations(module, a, other, spec, batches(normal(4), 1))
    assert not found.matrices and "no output of a module carries h alone" in found.notes


def test_outputs_behind_a_broken_symmetry_carry_nothing() -> None:
    module = generic(mlp(), 1)
    axes = {"0.weight": "h .", "0.bias": "h", "2.weight": "k .", "2.bias": "k", "4.weight": ". k"}
    spaces = {"h": Space("h", "permutation", 24), "k": Space("k", "permutation", 18)}
    wrong = Spec(spaces, {name: parse_axes(text) for name, text in axes.items()})  # 2.weight does not follow h
    found = carriers(module, dict(module.state_dict()), wrong, torch.randn(5, 9))
    assert {*found.spec.axes} == {"0", "1"} and found.without == ("k",)


def test_correlations_are_those_of_the_definition_whatever_the_batches() -> None:
    module, spec, draw = made("mlp")
    a, b = dict(module.double().state_dict()), dict(made("mlp", 2)[0].double().state_dict())
    x = torch.cat([*batches(draw)]).double()
    found, pieces = (correlations(module, a, b, spec, parts) for parts in ([x], x.split(7)))
    values = [torch.func.functional_call(module[0], {n: s[f"0.{n}"] for n in ("weight", "bias")}, (x,)) for s in (a, b)]
    expected = torch.zeros(24, 24, dtype=torch.float64)
    for act in (lambda v: v, torch.relu):
        both = torch.corrcoef(torch.cat([act(v.detach()).T for v in values]))
        expected += both[:24, 24:].nan_to_num() / 2
    assert torch.allclose(found.matrices["h0"][0], expected, atol=1e-10)
    assert found.samples == {"h0": 240, "h2": 240} == pieces.samples and not found.notes
    assert all(torch.allclose(found.matrices[n], pieces.matrices[n], atol=1e-10) for n in found.matrices)


def test_positions_count_as_samples_and_large_means_do_no_harm() -> None:
    module, spec, draw = made("cnn")
    a = dict(module.state_dict())
    found = correlations(module, a, a, spec, batches(draw, 2, 10))
    assert found.samples == {"h0": 20 * 9, "h4": 20 * 9}
    a = dict(module.double().state_dict())
    data = [x.double() for x in batches(draw, 2, 10)]
    shifted = a | {"0.bias": a["0.bias"] + 1e6, "1.running_mean": a["1.running_mean"] + 1e6}  # the norm takes it off
    near, far = (correlations(module, a, other, spec, data) for other in (a, shifted))
    assert float((far.matrices["h0"] - near.matrices["h0"]).abs().max()) < 1e-8


def test_constant_data_are_noted() -> None:
    module, spec, draw = made("mlp")
    a = dict(module.state_dict())
    found = correlations(module, a, a, spec, [draw(1, 0).expand(50, 9)] * 3)
    assert all(not bool(matrix.any()) for matrix in found.matrices.values())
    assert [note for note in found.notes if "no unit varies" in note] == [
        f"'{name}': no unit varies over the data" for name in ("h0", "h2")
    ]


def test_few_samples_and_dead_units_are_noted() -> None:
    module, spec, draw = made("mlp")
    a = dict(module.state_dict())
    found = correlations(module, a, a, spec, [draw(20, 0)])
    assert any("'h0': 20 samples for 24 units" in note for note in found.notes)
    assert not any("'h2'" in note for note in found.notes)
    dead = {n: t.clone() for n, t in a.items()}
    dead["0.weight"][3:5] = 0
    found = correlations(module, a, dead, spec, batches(draw))
    assert any("'h0': 2 of 24 units do not vary" in note for note in found.notes)
    assert not bool(found.matrices["h0"][0, :, 3:5].any()) and bool(found.matrices["h0"][0, :, 5].any())


def test_the_module_and_the_states_stay_as_they_were() -> None:
    module, spec, draw = made("cnn")
    module.train()
    a = dict(module.state_dict())
    before = {n: t.clone() for n, t in a.items()}
    b = {n: t.clone() for n, t in a.items()}
    correlations(module, a, b, spec, batches(draw, 2))
    assert module.training and not module[0]._forward_hooks
    assert all(torch.equal(before[n], a[n]) and torch.equal(before[n], b[n]) for n in before)


def test_no_batch_and_a_model_that_fails() -> None:
    module, spec, _ = made("mlp")
    a = dict(module.state_dict())
    with pytest.raises(DataError, match="no batch"):
        correlations(module, a, a, spec, [])
    with pytest.raises(ModelError, match="the model raised"):
        correlations(module, a, a, spec, [torch.randn(4, 8)])
