"""Networks in which a random element is planted, to be found again: how each is built, its spec, pairs of weights.

A has generic weights, or those that it was trained with; B = g·A for a random g of all kinds of spaces but shifts,
plus noise in units of the deviation of every tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
import zoo_text as text
from torch import Tensor, nn
from zoo_entry import generic, normal
from zoo_images import Basic, Pooled, conv
from zoo_plain import Recurrent

from symcheck.align.alignment import align
from symcheck.align.controls import recovered
from symcheck.align.problem import Problem
from symcheck.patterns import parse_axes
from symcheck.weights.session import derive_spec
from symcheck.weights.spec import KINDS, Space, Spec

State = dict[str, Tensor]
MOVED = tuple(kind for kind in KINDS if kind != "shift")


@dataclass(frozen=True)
class Family:
    """`build()` a network, `inputs` of one call; `noises` that are tried. `draw(network, seed)` gives it new weights,
    None leaves those that it has. `given` is a spec by hand: patterns of the tensors, of which there are no others."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Any
    noises: tuple[float, ...] = (0.0, 0.1)
    draw: Callable[[nn.Module, int], nn.Module] | None = None
    given: Mapping[str, str] | None = None

    @cached_property
    def model(self) -> nn.Module:
        """The network, built once."""
        with torch.random.fork_rng(devices=[]):  # networks draw their first weights from the global generator
            return self.build().eval()

    @cached_property
    def spec(self) -> Spec:
        """What moves its weights and not its outputs; permutations alone, where it is written by hand."""
        if self.given is not None:
            axes = {name: parse_axes(pattern) for name, pattern in self.given.items()}
            shapes = {name: tuple(t.shape) for name, t in self.model.state_dict().items() if name in axes}
            sizes = {atom: n for name, pattern in self.given.items()
                     for atom, n in zip(pattern.split(), shapes[name], strict=True) if atom != "."}  # fmt: skip
            spaces = {atom: Space(atom, "permutation", on=atom, size=n) for atom, n in sizes.items()}
            return Spec(spaces, axes, shapes=shapes)
        drawn = self.model if self.draw is None else self.draw(self.model, 0)
        return derive_spec(drawn, self.inputs, verify=False)

    def state(self, seed: int) -> State:
        """Weights of A: fresh ones for every seed, where they are drawn."""
        net, names = self.model if self.draw is None else self.draw(self.model, seed), self.given
        state = {name: t.detach().clone() for name, t in net.state_dict().items()}
        return state if names is None else {name: state[name] for name in names}

    def planted(self, seed: int, noise: float) -> Pair:
        """A and g·A with noise; a variance stays as it is."""
        a, element = self.state(seed), self.spec.sample(seed, MOVED)
        moved, rng = self.spec.apply(element, a), torch.Generator().manual_seed(seed)
        noisy = {name for name, t in moved.items() if t.is_floating_point() and t.numel() > 1} - {*self.spec.offsets}
        b = {n: t + noise * t.std() * torch.randn(t.shape, generator=rng) if n in noisy else t
             for n, t in moved.items()}  # fmt: skip
        return Pair(a, b, element, noise)

    def apart(self, seed: int) -> Pair:
        """A and weights that have nothing to do with it, those of another seed or A's entries in another order; and
        an element that did not lead from one to the other, however much noise there is."""
        a, rng = self.state(seed), torch.Generator().manual_seed(seed)
        if self.draw is None:
            b = {n: t.flatten()[torch.randperm(t.numel(), generator=rng)].view(t.shape) for n, t in a.items()}
        else:
            b = self.state(seed + 1000)
        return Pair(a, b, self.spec.sample(seed, MOVED), 1.0)


@dataclass(frozen=True)
class Pair:
    """Two states, the element that is said to lead from A to B, and the noise that was added."""

    a: State
    b: State
    element: Mapping[str, Tensor]
    noise: float


@dataclass(frozen=True)
class Recovery:
    """One alignment: by space, how many of B's units stand where A's are, and how many there are; and the share that a
    random element would get right, one unit of every copy."""

    spaces: Mapping[str, tuple[int, int]]
    chance: float
    cosine: float
    start: str

    @property
    def units(self) -> int:
        """Units in all."""
        return sum(total for _, total in self.spaces.values())

    @property
    def share(self) -> float:
        """The share of all units that were recovered."""
        return sum(good for good, _ in self.spaces.values()) / self.units

    @property
    def lost(self) -> dict[str, tuple[int, int]]:
        """The spaces of which not all units were recovered."""
        return {name: both for name, both in self.spaces.items() if both[0] < both[1]}


def recovery(spec: Spec, pair: Pair) -> Recovery:
    """Align B on A and count the units in their places.

    Without noise B's unit must be A's to a thousandth, matrices, scales and signs included; with noise it must be the
    one that the element sent there.
    """
    found = align(pair.a, pair.b, spec, controls=False)
    problem, spaces = found.problem, {}
    for name in problem.matched:
        space = spec.spaces[name]
        right = sent(problem, space, pair.element) if pair.noise else recovered(problem, space)
        spaces[name] = int(right.sum()), right.numel()
    copies = sum(total // spec.spaces[name].size for name, (_, total) in spaces.items())
    return Recovery(spaces, copies / sum(total for _, total in spaces.values()), found.cosine[1], found.best.start)


def sent(problem: Problem, space: Space, element: Mapping[str, Tensor]) -> Tensor:
    """For every slot whether the element sent its unit to where it was found, and the units that hold it to theirs."""
    right = problem.source[space.name] == element[space.name]
    for k, atom in enumerate(space.over):
        outer = problem.by_atom.get(atom)
        if outer is not None and not outer.over:
            held = problem.source[outer.name] == element[outer.name]
            right = right & held.view([-1 if d == k else 1 for d in range(right.dim())])
    return right


def standard(net: nn.Module, seed: int) -> nn.Module:
    """Every parameter from N(0, 1)."""
    rng = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng)
    return net


def drawn(net: nn.Module, seed: int) -> nn.Module:
    """Generic weights: biases, gains and running statistics too."""
    return generic(net, f"planted {seed}")


class Stream(nn.Module):
    """Embedding, x + down(gelu(up x)) twice, head."""

    def __init__(self, width: int, hidden: int, inputs: int = 16, outputs: int = 10) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(inputs, width, bias=False), nn.Linear(width, outputs, bias=False)
        self.up = nn.ModuleList(nn.Linear(width, hidden) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(hidden, width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for up, down in zip(self.up, self.down, strict=True):
            x = x + down(F.gelu(up(x)))
        return self.head(x)


def stream(width: int, hidden: int, ends: bool) -> Family:
    """Permutations of the stream and of the units: matching from the identity stays where it is, since what all
    tensors share is nowhere pinned, or only at the ends."""
    patterns = {"embed.weight": "stream .", "head.weight": ". stream"} if ends else {}
    for k in range(2):
        patterns |= {f"up.{k}.weight": f"h{k} stream", f"up.{k}.bias": f"h{k}"}
        patterns |= {f"down.{k}.weight": f"stream h{k}", f"down.{k}.bias": "stream"}
    name = f"residual {width}/{hidden}{'' if ends else ', no ends'}"
    return Family(name, lambda: Stream(width, hidden), normal(2, 16)(0), (0.0, 0.3, 0.6), standard, patterns)


def turned(width: int, hidden: int) -> Family:
    """The same network by what is derived: its stream has no norm, and turns by any matrix."""
    name = f"residual {width}/{hidden}, GL({width})"
    return Family(name, lambda: Stream(width, hidden), normal(2, 16)(0), (0.0, 0.1), standard)


def mlp(width: int, inputs: int) -> Family:
    def build() -> nn.Module:
        sizes = [inputs, width, width, width, 10]
        layers = [part for i, o in pairwise(sizes) for part in (nn.Linear(i, o), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    return Family(f"mlp {inputs}-{width}x3", build, normal(2, inputs)(0), (0.0, 0.1), drawn)


def resnet(width: int, depth: int) -> Family:
    """ResNet for small images; BatchNorm after every convolution."""

    def build() -> nn.Module:
        body, before = [conv(3, width)], width
        for after in (width, 2 * width, 4 * width):
            body += [Basic(after if i else before, after, after) for i in range(depth)]
            before = after
        return Pooled(before, *body)

    return Family(f"resnet{6 * depth + 2} x{width}", build, normal(2, 3, 8, 8)(0), (0.0, 0.1), drawn)


def gpt2(width: int, layers: int, heads: int) -> Family:
    sizes = {"n_embd": width, "n_layer": layers, "n_head": heads, "n_inner": 4 * width, "n_positions": 32}
    return Family(
        f"gpt2 {layers}x{width}, {heads} heads",
        lambda: text.Logits(text.build("GPT2Config", "GPT2LMHeadModel", attention="eager", **sizes)),
        text.tokens(0), (0.0, 0.1), drawn,
    )  # fmt: skip


def llama(width: int, layers: int, heads: int, groups: int, turns: int) -> Family:
    """Rotary positions: a phase and a scale for every plane of every group of heads."""
    sizes = {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "head_dim": turns,
        "num_key_value_heads": groups, "intermediate_size": 2 * width, "max_position_embeddings": 32,
    }  # fmt: skip
    return Family(
        f"llama {layers}x{width}, {heads}/{groups} heads",
        lambda: text.Logits(text.build("LlamaConfig", "LlamaForCausalLM", **sizes)), text.tokens(0), (0.0, 0.1), drawn,
    )  # fmt: skip


def bert(width: int, layers: int, heads: int) -> Family:
    sizes = {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": 2 * width, "max_position_embeddings": 32,
    }  # fmt: skip
    return Family(
        f"bert {layers}x{width}, {heads} heads",
        lambda: text.Logits(text.build("BertConfig", "BertForMaskedLM", **sizes)), text.tokens(0), (0.0, 0.1), drawn,
    )  # fmt: skip


def lstm(width: int) -> Family:
    """Two layers: units on all four gates, and between the layers."""
    return Family(
        f"lstm 2x{width}", lambda: Recurrent(nn.LSTM(5, width, 2, batch_first=True), width), normal(2, 4, 5)(0),
        (0.0, 0.1), drawn,
    )  # fmt: skip


SMALL = (
    stream(30, 50, ends=False), stream(30, 50, ends=True), turned(16, 30), mlp(24, 9), resnet(6, 1), gpt2(24, 2, 3),
    llama(24, 2, 4, 2, 6), bert(24, 2, 3), lstm(14),
)  # fmt: skip
LARGE = (
    *(stream(w, h, ends) for w, h in ((30, 50), (128, 512)) for ends in (False, True)), turned(64, 128), mlp(256, 784),
    resnet(16, 3), gpt2(96, 4, 6), llama(96, 3, 8, 2, 12), bert(96, 3, 6), lstm(64),
)  # fmt: skip
