"""Soundness of a spec by running the network: f(g·θ, x) = f(θ, x) in float64, space by space and jointly."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from zoo_entry import Inputs

from symcheck.weights.spec import Spec

LIMIT = 1e-9
MOVED = 1e-3
ROUNDING = 1e-12


class InDouble(TorchFunctionMode):
    """Networks that cast to float32 inside get float64 instead, or their rounding would hide the answer."""

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is Tensor.float:
            func = Tensor.double
        args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        given = {k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()}
        if func is torch.full and isinstance(args[-1], float):  # a mask of the least number of the wider type
            given.setdefault("dtype", torch.float64)
        return func(*args, **given)


@dataclass(frozen=True)
class Soundness:
    """`unsound`: spaces with their error, "jointly" for all together; `idle`: spaces that change no tensor."""

    unsound: Mapping[str, float]
    idle: tuple[str, ...]
    worst: float
    acted: float
    tried: int


class Judge:
    """A float64 copy of a network with fixed inputs, which says how far other tensors move the outputs."""

    def __init__(self, model: nn.Module, inputs: Iterable[Inputs]) -> None:
        self.net = copy.deepcopy(model).double().eval()
        self.state = {name: t.detach().clone() for name, t in self.net.state_dict().items()}
        self.inputs = [tuple(x.double() if x.is_floating_point() else x for x in each) for each in inputs]
        self.before = self.outputs(self.state)

    def outputs(self, state: Mapping[str, Tensor]) -> list[Tensor]:
        with torch.no_grad(), InDouble():
            return [functional_call(self.net, dict(state), x, tie_weights=False) for x in self.inputs]

    def error(self, state: Mapping[str, Tensor]) -> float:
        """max|Δf| / max|f|, infinite where an output is not finite."""
        after, worst = self.outputs(state), 0.0
        for a, b in zip(after, self.before, strict=True):
            e = float((a - b).abs().max() / b.abs().max())
            worst = max(worst, e if e == e else float("inf"))
        return worst

    def changed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that moved, with a mask of the entries that did."""
        moves = {name: (state[name] - t).abs() / t.abs().max() for name, t in self.state.items() if t.numel()}
        return {name: move > ROUNDING for name, move in moves.items() if move.max() > MOVED}


def moving(spec: Spec, name: str) -> dict[str, Tensor]:
    """A random element of one space other than the identity, which small discrete groups draw now and then."""
    for seed in range(1, 20):
        element = spec.sample(seed, spaces=[name])
        part = element[name]
        rest = torch.arange(part.shape[-1]) if spec.spaces[name].kind == "permutation" else torch.tensor(1.0)
        still = torch.zeros(1) if spec.spaces[name].kind == "tree" else rest
        if not bool((part == still).all()):
            break
    return element


def check(spec: Spec, model: nn.Module, inputs: Iterable[Inputs]) -> Soundness:
    """Act with a random element of every space that claims to be exact, alone and jointly, and run the network."""
    judge = Judge(model, inputs)
    exact = [name for name, space in spec.spaces.items() if not space.approximate]
    unsound: dict[str, float] = {}
    idle, worst, masks = [], 0.0, {n: torch.zeros_like(t, dtype=torch.bool) for n, t in judge.state.items()}
    for name in exact:
        state = spec.apply(moving(spec, name), judge.state)
        changed, error = judge.changed(state), judge.error(state)
        for key, mask in changed.items():
            masks[key] |= mask
        if not changed:
            idle.append(name)
        worst = max(worst, error)
        if not error <= LIMIT:
            unsound[name] = error
    for seed in (1, 2) if exact else ():
        together = judge.error(spec.apply(spec.sample(seed, spaces=exact), judge.state))
        worst = max(worst, together)
        if not together <= LIMIT:
            unsound["jointly"] = together
    names = [name for name, _ in judge.net.named_parameters()]
    total = sum(judge.state[name].numel() for name in names)
    acted = sum(int(masks[name].sum()) for name in names) / total
    return Soundness(unsound, tuple(idle), worst, acted, len(exact))
