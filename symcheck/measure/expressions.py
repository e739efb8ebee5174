"""The language of outputs that are computed from others, to frozen trees and back.

    expression =  ["-"] "d(" expression ")/d(" input ")"       -d(energy)/d(pos)
               |  function "(" expression ["," axis] ")"       argmax(logits), mean(layer4.1, -1)
               |  output
               |  part ["@" call] ["[" place "]"]              layer4.1, head@2, encoder[1]
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from symcheck.errors import ConfigError, DataError
from symcheck.registry import suggest

Axis = Any  # int | tuple[int, ...]: which one a function takes, `axis_of` knows

_GRADIENT = re.compile(r"(-?)\s*d\(\s*(.+)\s*\)\s*/\s*d\(\s*([\w.]+)\s*\)")
_APPLIED = re.compile(r"(\w+)\(\s*(.+?)\s*(?:,\s*(-?\d+)\s*)?\)")
_NAMED = re.compile(r"(\w[\w.]*)(?:@(\d+))?(?:\[(\d+)\])?")
_SHOWN = "write -d(energy)/d(pos), argmax(logits), mean(layer4.1, -1), or the path of a part: layer4.1"

FUNCTIONS: dict[str, Callable[[Tensor, Axis], Tensor]] = {
    "softmax": lambda x, axis: x.softmax(axis),
    "log_softmax": lambda x, axis: x.log_softmax(axis),
    "argmax": lambda x, axis: x.argmax(axis),
    "normalize": lambda x, axis: torch.nn.functional.normalize(x, dim=axis),
    "sigmoid": lambda x, axis: x.sigmoid(),
    "positive": lambda x, axis: x > 0,
    "mean": lambda x, axis: x.mean(axis),
    "sum": lambda x, axis: x.sum(axis),
}
_ENTRYWISE = ("sigmoid", "positive")
_REDUCING = ("mean", "sum")  # over all axes but the samples' where none is named; the others take the axis of classes


@dataclass(frozen=True)
class Named:
    """An output by its name, or a part of the module by its path: what it returned, in which call, which tensor."""

    path: str
    call: int | None = None
    place: int | None = None

    def __str__(self) -> str:
        at = "" if self.call is None else f"@{self.call}"
        return f"{self.path}{at}" + ("" if self.place is None else f"[{self.place}]")


@dataclass(frozen=True)
class Applied:
    """A function of the table along an axis, the samples being axis 0."""

    function: str
    inner: Expression
    axis: int | None = None

    def __str__(self) -> str:
        return f"{self.function}({self.inner}{'' if self.axis is None else f', {self.axis}'})"

    def axis_of(self, x: Tensor) -> Axis:
        """The axis as a number from 1 on; DataError where there is no such axis, or none can be told."""
        if self.function in _ENTRYWISE:
            return 1
        if self.axis is not None:
            axis = self.axis if self.axis >= 0 else self.axis + x.dim()
            if not 0 < axis < x.dim():
                raise self._no(x, f"has no axis {self.axis} after the samples", "axis 0 are the samples")
            return axis
        if self.function in _REDUCING and x.dim() > 1:
            return tuple(range(1, x.dim()))
        if x.dim() < 2 or x.dim() == 3 or self.function in _REDUCING:
            what = "could have its classes on either axis" if x.dim() == 3 else "has one number for each sample"
            raise self._no(x, what, f"name the axis: {self.function}({self.inner}, -1)")
        if x.shape[1] == 1:
            raise self._no(x, "has one class", f"sigmoid({self.inner}) and positive({self.inner}) are for one number")
        return 1

    @property
    def labels(self) -> bool:
        """Whether it makes names of categories out of numbers."""
        return self.function in ("argmax", "positive")

    def of(self, x: Tensor) -> Tensor:
        """The function of x."""
        return FUNCTIONS[self.function](x, self.axis_of(x))

    def margin(self, x: Tensor) -> Tensor:
        """How far x is from another label: top1 − top2 for argmax (0 where both are infinite), |x| for positive."""
        axis = self.axis_of(x)
        if self.function == "positive" or not isinstance(axis, int):
            return x.abs()
        top = x.topk(2, dim=axis).values
        first, second = top.select(axis, 0), top.select(axis, 1)
        return torch.where(first == second, 0.0, first - second)

    def _no(self, x: Tensor, what: str, hint: str) -> DataError:
        return DataError(f"'{self}': {self.inner} of shape {tuple(x.shape)} {what}", where="derived outputs", hint=hint)


@dataclass(frozen=True)
class Gradient:
    """± the gradient of the sum of an expression with respect to one input."""

    negative: bool
    inner: Expression
    wrt: str

    def __str__(self) -> str:
        return f"{'-' if self.negative else ''}d({self.inner})/d({self.wrt})"

    def of(self, x: Tensor, wrt: Tensor) -> Tensor:
        """The gradient of Σ x, of the shape of the input."""
        (found,) = torch.autograd.grad(x.sum(), wrt, retain_graph=True)
        return -found if self.negative else found


Expression = Named | Applied | Gradient


def parse_expression(text: str, where: str) -> Expression:
    """Parse one expression; `parse_expression(str(tree)) == tree`. ConfigError for what is none."""
    text = text.strip()
    if found := _GRADIENT.fullmatch(text):
        return Gradient(bool(found[1]), parse_expression(found[2], where), found[3])
    if found := _APPLIED.fullmatch(text):
        if found[1] not in FUNCTIONS:
            message = f"there is no function '{found[1]}'"
            raise ConfigError(message, where=where, hint=suggest(found[1], list(FUNCTIONS)))
        if found[3] and found[1] in _ENTRYWISE:
            raise ConfigError(f"{found[1]} takes no axis", where=where, hint=f"write {found[1]}({found[2]})")
        return Applied(found[1], parse_expression(found[2], where), int(found[3]) if found[3] else None)
    if found := _NAMED.fullmatch(text):
        return Named(found[1], *(int(number) if number else None for number in found.groups()[1:]))
    raise ConfigError(f"the derived output is not understood: '{text}'", where=where, hint=_SHOWN)


def is_label(y: Tensor) -> bool:
    """Whether the entries of an output are names of categories: whole numbers, or true and false."""
    return not (y.is_floating_point() or y.is_complex())


def names_in(tree: Expression) -> list[Named]:
    """The outputs and parts that an expression is made of."""
    return [tree] if isinstance(tree, Named) else names_in(tree.inner)


def inputs_in(tree: Expression) -> list[str]:
    """The inputs with respect to which an expression takes gradients."""
    own = [tree.wrt] if isinstance(tree, Gradient) else []
    return own if isinstance(tree, Named) else [*own, *inputs_in(tree.inner)]
