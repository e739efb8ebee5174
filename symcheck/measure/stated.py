"""What a module says itself of its inputs and outputs, read off its attributes, as claims: irreps and field types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from symcheck.actions.irreps import parse_irreps
from symcheck.errors import ClaimError, DataError
from symcheck.measure.field_types import fibre_text, is_field_type, plane_group

Shape = tuple[int, ...]
Claims = Callable[[Mapping[str, Shape]], list[str]]


def stated_claims(module: nn.Module | None, inputs: Mapping[str, Shape]) -> Claims | None:
    """`O(3): irreps(…) -> irreps(…)` of a module with `irreps_in` (or `irreps_in1`, `irreps_in2`) and `irreps_out`.

    A function of the shapes of the outputs; None where the module states nothing, or has other inputs beside.
    Raises DataError where what it states does not fit the tensors.
    """
    if module is not None and is_field_type(getattr(module, "in_type", None)) and len(inputs) == 1:
        return _fields(module, next(iter(inputs.values())))
    out = _irreps(module, "irreps_out")
    several = [text for name in ("irreps_in1", "irreps_in2") if (text := _irreps(module, name))]
    stated = next((s for s in ([_irreps(module, "irreps_in")], several) if all(s) and len(s) == len(inputs)), None)
    if module is None or not out or not stated:
        return None
    for (name, shape), text in zip(inputs.items(), stated, strict=True):
        _check(module, f"the input '{name}'", text, shape, f"give rows of that width, e.g. -i 'irreps({text})'")

    def claims(outputs: Mapping[str, Shape]) -> list[str]:
        for name, shape in outputs.items():
            _check(module, f"the output '{name}'", out, shape, "state a claim with the irreps that it has")
        return [f"O(3): {', '.join(f'irreps({text})' for text in stated)} -> irreps({out})"]

    return claims


def _fields(module: Any, shape: Shape) -> Claims:
    """`C4: image(fiber=…) -> image(fiber=…)` of a module with field types."""
    fields = {"in_type": module.in_type, "out_type": getattr(module, "out_type", None)}
    group = plane_group(module.in_type)
    if group is None:
        raise DataError(
            "no claim can be proposed: no group here turns the plane as the fields of the module do",
            where=f"{type(module).__name__}, {module.in_type}",
            hint="state a claim of a larger or smaller group, such as C2 or C4",
        )
    words = {what: _action(field, group) for what, field in fields.items()}
    odd = next((what for what in fields if words.get(what) is None), None)
    if odd is not None:
        raise DataError(
            f"no claim can be proposed: image(fiber=…) has no words for the {odd} of the module",
            where=f"{type(module).__name__}, {fields[odd]}",
            hint=f"write actions = field_action(net.{odd}, GROUP) in a file.py, with field_action of "
            "symcheck.loading.frameworks.escnn, and claim e.g. 'D4: image -> file.py:actions'",
        )
    if len(shape) != 3 or shape[0] != int(module.in_type.size):
        raise DataError(
            f"the module states {module.in_type.size} channels, but a sample has the shape {shape}",
            where=f"{type(module).__name__}, {module.in_type}",
            hint=f"give images of {module.in_type.size} channels: -i 'normal({module.in_type.size},33,33)'",
        )
    return lambda outputs: [f"{group}: {words['in_type']} -> {words['out_type']}"]


def _action(field: Any, group: str) -> str | None:
    """The action on fields of this type; without a type the output is taken for invariant."""
    if field is None:
        return "invariant"
    text = fibre_text(field, group) if is_field_type(field) else None
    return None if text is None else f"image(fiber={text})"


def _irreps(module: nn.Module | None, name: str) -> str:
    """The irreps in one attribute of the module; empty where it has none, or something else of that name."""
    value: Any = getattr(module, name, None)
    if value is None or isinstance(value, Mapping | nn.Module | int):
        return ""
    text = str(value)
    try:
        return "+".join(str(block) for block in parse_irreps(text))
    except ClaimError:
        return ""


def _check(module: nn.Module, what: str, text: str, shape: Shape, hint: str) -> None:
    width = sum(block.size for block in parse_irreps(text))
    if not shape or shape[-1] != width:
        raise DataError(
            f"the module states irreps of width {width} for {what}, whose shape is {shape}",
            where=f"{type(module).__name__}, {text}",
            hint=hint,
        )
