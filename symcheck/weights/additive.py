"""The value of an additive term: an einsum of the element and of other tensors, spread over its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.weights.operate import powered
from symcheck.weights.sizes import learn
from symcheck.weights.terms import names_of, parse_equation, parse_reference

if TYPE_CHECKING:
    from symcheck.patterns import Axis
    from symcheck.weights.spec import Term


def term_value(
    term: Term, element: Tensor, read: Callable[[str], Tensor], shape: tuple[int, ...], working: torch.dtype
) -> Tensor:
    """factor · einsum(equation, element, operands), computed in `working`, with the shape of its place.

    Raises LoadError when the shapes do not fit the equation.
    """
    equation = parse_equation(term.equation)
    values = [element, *(_operand(text, read) for text in term.operands)]
    sizes: dict[str, int] = {}
    for axes, given in zip((*equation.inputs, equation.output), (*(v.shape for v in values), shape), strict=True):
        _fit(term, axes, given, sizes)
    atoms = {name: i for i, name in enumerate(sizes)}
    device = values[-1].device
    arguments: list[object] = []
    for axes, value in zip(equation.inputs, values, strict=True):
        names = [name for axis in axes for name in names_of(axis)]
        arguments += [value.to(device, working).reshape([sizes[name] for name in names]), [atoms[n] for n in names]]
    bound = {index for names in arguments[1::2] for index in names}  # type: ignore[attr-defined]
    output = [name for axis in equation.output for name in names_of(axis)]
    kept = [name for name in output if atoms[name] in bound]
    result: Tensor = torch.einsum(*arguments, [atoms[name] for name in kept])
    result = result.reshape([sizes[name] if name in kept else 1 for name in output])
    return term.factor * result.expand([sizes[name] for name in output]).reshape(shape)


def _operand(text: str, read: Callable[[str], Tensor]) -> Tensor:
    reference = parse_reference(text)
    value = read(reference.name)
    value = value[reference.index] if reference.index else value
    return value if reference.power == 1 else powered(value.to(torch.float64), reference.power)


def _fit(term: Term, axes: tuple[Axis, ...], shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    pairs = list(zip(axes, shape, strict=False))
    fits = len(axes) == len(shape) and all(learn(axis, total, sizes) for axis, total in pairs)
    unknown = [name for axis in axes for name in names_of(axis) if name not in sizes]
    if not fits or unknown:
        raise LoadError(
            f"the equation '{term.equation}' does not fit a tensor of shape {tuple(shape)}",
            where=f"term to '{term.to}'" + (f", reading {', '.join(term.operands)}" if term.operands else ""),
            hint="the element comes first, then the operands in order, each as it is after slicing",
        )
