"""The additive terms of a spec as text: references to tensors and equations, parsed. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import EllipsisType
from typing import TYPE_CHECKING

from symcheck.errors import ConfigError
from symcheck.patterns import Axis, Fixed, Leaf, Product, parse_axes, print_axes

if TYPE_CHECKING:
    from symcheck.weights.spec import Term

Index = tuple[int | slice | EllipsisType, ...]

_REFERENCE = re.compile(r"(?P<name>[^\[\]^]+)(\[(?P<index>[^\]]*)\])?(\^(?P<power>-?\d+(/\d+)?))?")
_ITEM = re.compile(r"\.\.\.|-?\d+|(-?\d+)?:(-?\d+)?(:\d+)?")


@dataclass(frozen=True)
class Reference:
    """A tensor by its name, then a part of it, then an elementwise power of that."""

    name: str
    index: Index = ()
    power: Fraction = Fraction(1)


@dataclass(frozen=True)
class Equation:
    """Axis patterns of the element and the operands, and of the result; atoms and products of atoms only."""

    inputs: tuple[tuple[Axis, ...], ...]
    output: tuple[Axis, ...]


@lru_cache(maxsize=4096)
def parse_reference(text: str) -> Reference:
    """Parse `name`, `name[0:8, :]`, `name^-1` or `name[:, 3]^2`; ConfigError quotes what is none of these."""
    found = _REFERENCE.fullmatch(text.strip())
    items = [item.strip() for item in (found["index"] or "").split(",")] if found else []
    items = [item for item in items if item]
    if not found or not all(_ITEM.fullmatch(item) for item in items):
        raise ConfigError(
            f"'{text}' refers to no tensor",
            where="terms",
            hint="write name, name[0:8, :], name^-1 or name[:, 3]^2",
        )
    return Reference(found["name"].strip(), tuple(map(_item, items)), Fraction(found["power"] or 1))


def _item(text: str) -> int | slice | EllipsisType:
    if text == "...":
        return ...
    if ":" not in text:
        return int(text)
    return slice(*(int(part) if part else None for part in text.split(":")))


@lru_cache(maxsize=4096)
def parse_equation(text: str) -> Equation:
    """Parse `kv d, o (kv g d) -> o`; ConfigError where an axis is no product of atoms."""
    left, arrow, right = text.partition("->")
    sides = [parse_axes(part.strip()) for part in (*left.split(","), right)]
    factors = [f for side in sides for axis in side for f in (axis.factors if isinstance(axis, Product) else (axis,))]
    wrong = [str(f) for f in factors if not (isinstance(f, Leaf) and not f.dual) and f != Fixed(1)]
    repeated = [print_axes(side) for side in sides[-1:] if len({*_names(side)}) < len(_names(side))]
    if not arrow or wrong or repeated:
        problem = f"it holds '{(wrong or repeated)[0]}'" if wrong or repeated else "it has no '->'"
        raise ConfigError(
            f"the equation '{text}' is not understood: {problem}",
            where="terms",
            hint="write the element, the operands and the result as products of names: kv d, o (kv g d) -> o",
        )
    return Equation(tuple(sides[:-1]), sides[-1])


def _names(axes: tuple[Axis, ...]) -> list[str]:
    factors = (f for axis in axes for f in (axis.factors if isinstance(axis, Product) else (axis,)))
    return [f.name for f in factors if isinstance(f, Leaf)]


def names_of(axis: Axis) -> list[str]:
    """The atoms of one axis of an equation, the slowest first."""
    return _names((axis,))


def tensors_of(term: Term) -> tuple[str, ...]:
    """The names of the tensors that a term changes and reads, the changed one first."""
    return tuple(parse_reference(text).name for text in (term.to, *term.operands))
