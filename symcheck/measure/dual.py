"""Directional derivatives of a subject, J_f(x)[v], through its runner: one pass in forward mode, checked.

Forward mode goes through gradients that the network takes itself (forces), and through `detach`, which changes no
value and so no derivative. Where an operation has no forward derivative, or the network loses it on its way, the same
number comes from finite differences of fourth order, and the operation is named.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from symcheck.actions.tangents import bare, carried, dual, level, tangent
from symcheck.batch import Batch
from symcheck.errors import ModelError
from symcheck.measure.runner import Runner

_MISSING = re.compile(r"forward AD with (?:aten::)?(\w+)")
_CHECKED = 2  # samples of which the derivative is also taken by differences
_AGREE = 0.02
_LOST = "the derivative is lost inside the network (numpy, .data)"
_KINK = "the network has a kink at these inputs (ReLU of 0, a tied maximum)"


@dataclass(frozen=True)
class Push:
    """f(x) and J_f(x)[v] of one batch by output, and why forward mode could not be used ("" where it was)."""

    outputs: Mapping[str, Tensor]
    tangents: Mapping[str, Tensor]
    without: str = ""


@dataclass
class Differential:
    """Derivatives of one subject; in every direction forward mode is first compared with differences on a few samples.

    `without` is why it cannot be trusted, "" where it can.
    """

    runner: Runner
    without: str = ""
    passes: int = 0
    checked: set[Hashable] = field(default_factory=set)
    own: Runner = field(init=False)

    def __post_init__(self) -> None:
        self.own = copy.copy(self.runner)
        self.own.mode = max(self.own.mode, 1)  # tensors of inference mode carry no derivatives

    def __call__(self, batch: Batch, velocity: Mapping[str, Tensor], direction: Hashable = 0) -> Push:
        """f(x) and J_f(x)[v]; inputs that `velocity` does not name, and integers, stand still.

        Batches of one `direction` move in one way, and only the first of them is checked.
        """
        batch = self.own.as_given(batch)
        moving = {n: v.to(batch.tensors[n]) for n, v in velocity.items() if batch.tensors[n].is_floating_point()}
        if direction not in self.checked and not self.without:
            self.without = self._trouble(batch, moving)
            self.checked.add(direction)
        if self.without:
            return self._by_differences(batch, moving, self.without)
        return self._pushed(batch, moving)

    def _trouble(self, batch: Batch, moving: Mapping[str, Tensor]) -> str:
        """Why forward mode cannot be used here; "" where it agrees with differences."""
        few = batch.slice(0, min(_CHECKED, batch.count))
        part = batch.with_tensors({**batch.tensors, **moving}).slice(0, few.count).tensors
        moving = {name: part[name] for name in moving}
        try:
            pushed = self._pushed(few, moving).tangents
        except ModelError as error:
            found = _MISSING.search(str(error))
            if found is None and "jvp" not in str(error):
                raise
            return f"{found[1] if found else 'a custom autograd.Function'} has no forward derivative"
        for shrink in (1.0, 1e-2):
            other = self._by_differences(few, moving, "", shrink).tangents
            if all(_near(pushed[name], other[name]) for name in other):
                return ""
        return _KINK if self._kinked(few, moving) else _LOST

    def _kinked(self, batch: Batch, moving: Mapping[str, Tensor]) -> bool:
        """Whether the slope forwards is another than the slope backwards, however short the step."""
        h = 1e-3 * _step(batch, moving)
        rest, one, back = (self.own.kept(_stepped(batch, moving, t)) for t in (0.0, h, -h))
        return not all(_near(one[n] - y, y - back[n]) for n, y in rest.items() if _smooth(y))

    def _pushed(self, batch: Batch, moving: Mapping[str, Tensor]) -> Push:
        self.passes += batch.count
        with carrying(), level():
            given = {n: dual(x.clone(), moving[n]) if n in moving else x for n, x in batch.tensors.items()}
            outputs = self.own(batch.with_tensors(given))
            tangents = {name: tangent(y).detach().clone() for name, y in outputs.items()}
            return Push({n: bare(y).detach().clone() for n, y in outputs.items()}, tangents)

    def _by_differences(
        self, batch: Batch, moving: Mapping[str, Tensor], why: str, shrink: float = 1.0
    ) -> Push:
        """(8 (f(x + hv) - f(x - hv)) - (f(x + 2hv) - f(x - 2hv))) / 12h: two central differences, extrapolated."""
        self.passes += 5 * batch.count
        h = shrink * _step(batch, moving)

        rest, one, back, two, far = (
            self.own.kept(_stepped(batch, moving, t * h)) for t in (0.0, 1.0, -1.0, 2.0, -2.0)
        )
        slopes = {
            n: (8 * (one[n] - back[n]) - (two[n] - far[n])) / (12 * h) if _smooth(y) else torch.zeros_like(y)
            for n, y in rest.items()
        }
        return Push(rest, slopes, why)


class _Carried(TorchFunctionMode):
    """Keeps derivatives where a network drops gradients: detach is the identity, and inner gradients have their own."""

    def __torch_function__(
        self, func: Any, types: Iterable[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is torch.autograd.grad:
            named["create_graph"] = True
        if func in _CONVOLUTIONS and not torch.is_grad_enabled():
            return _convolved(func, args, named)
        made = func(*args, **named)
        if func not in _DETACHING or not isinstance(made, Tensor):
            return made
        kept = carried(args[0])
        return made if kept is None else dual(made, func(kept))


_DETACHING = (torch.Tensor.detach, torch.detach)
_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def _convolved(func: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """A convolution by constant weights, of the values and of their derivative; of its own it takes twice the time."""
    terms: dict[str, Any] = {**dict(zip(_ARGUMENTS, args, strict=False)), **named}
    moving = carried(terms["input"])
    constant = all(terms.get(n) is None or carried(terms[n]) is None for n in ("weight", "bias"))
    if moving is None or not constant:
        return func(*args, **named)
    return dual(func(**{**terms, "input": bare(terms["input"])}), func(**{**terms, "input": moving, "bias": None}))


@contextmanager
def carrying() -> Iterator[None]:
    """Forward mode through gradients and `detach`, and no fused attention, which has no forward derivative."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _Carried(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _stepped(batch: Batch, moving: Mapping[str, Tensor], t: float) -> Batch:
    """x + t v."""
    return batch.with_tensors({n: x + t * moving[n] if n in moving else x for n, x in batch.tensors.items()})


def _step(batch: Batch, moving: Mapping[str, Tensor]) -> float:
    """A step that is eps^(1/5) of the size of the inputs: rounding and the fourth-order remainder balance."""
    if not moving:
        return 1.0
    size = max(float(batch.tensors[n].abs().max()) for n in moving) or 1.0
    speed = max(float(v.abs().max()) for v in moving.values()) or 1.0
    eps = max(float(torch.finfo(v.dtype).eps) for v in moving.values())
    step: float = 0.1 * eps**0.2 * size / speed
    return step


def _near(y: Tensor, z: Tensor) -> bool:
    y, z = (torch.nan_to_num(t.to(torch.complex128)) for t in (y, z))
    gap, sizes = float((y - z).norm()), (float(y.norm()), float(z.norm()))
    return gap <= _AGREE * max(sizes) + 1e-9 * math.sqrt(y.numel())


def _smooth(y: Tensor) -> bool:
    return y.is_floating_point() or y.is_complex()
