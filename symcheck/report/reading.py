"""JSON objects back to frozen data, by the annotations of its classes; what does not fit is named by its place."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from symcheck.errors import LoadError
from symcheck.report.consistent import contradiction

DEEPEST = 50  # levels of nesting in what has no form of its own: settings, environment
_LARGE = "is too large for a number"
T = TypeVar("T")
Reader = Callable[[Any], Any]


class _Unfit(ValueError):
    """A value that does not fit, with its place: `findings[3].error.spread.mean`."""

    def __init__(self, what: str, place: str = "") -> None:
        super().__init__(what)
        self.what, self.place = what, place

    def under(self, step: str) -> _Unfit:
        return _Unfit(self.what, step + self.place)


def read_as(kind: type[T], data: Any, where: str, hint: str) -> T:
    """A frozen object from its JSON object: null numbers come back as NaN, keys of a later version pass.

    Raises `LoadError` with the place of the first value that is missing, has the wrong type, or cannot be.
    """
    annotation: Any = kind
    try:
        found: T = _reader(annotation)(data)
        return found
    except _Unfit as fault:
        place = fault.place.removeprefix(".") or "the document"
        raise LoadError(f"the report cannot be read: {place} {fault.what}", where=where, hint=hint) from fault


def unfit(value: Any, limit: int = DEEPEST) -> str:
    """What is wrong with plain data of no form: nested more than `limit` levels deep, or a number beyond all floats."""
    level, depth = [value], 0
    while level:
        depth += 1
        inner = [one for v in level for one in (v.values() if isinstance(v, dict) else v)]
        if any(isinstance(one, int | float) and _endless(one) for one in inner):
            return "holds a number that is too large"
        level = [one for one in inner if isinstance(one, dict | list)]
        if level and depth >= limit:
            return f"is nested more than {limit} levels deep"
    return ""


def _endless(number: int | float) -> bool:
    """Whether a number has no place among floats."""
    return not -sys.float_info.max <= number <= sys.float_info.max and number == number


@cache
def _reader(kind: Any) -> Reader:
    """How a value of one annotation is read."""
    origin, arguments = get_origin(kind), get_args(kind)
    if NoneType in arguments:
        return _optional(_reader(next(a for a in arguments if a is not NoneType)))
    if origin is tuple:
        return _list(_reader(arguments[0]))
    if origin is Mapping:
        return _table if arguments[1] is Any else _named(_reader(arguments[1]))
    if is_dataclass(kind):
        return _object(kind)
    if issubclass(kind, StrEnum):
        return _word(kind)
    return _number if kind is float else _plain(kind)


def _object(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    entries = []
    for f in fields(kind):
        inner = _constant(f.default) if f.name == "schema" else _reader(hints[f.name])
        needed = f.name == "schema" or (f.default is MISSING and f.default_factory is MISSING)
        entries.append((f.name, inner, needed))

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _Unfit(f"is {shown(value)}, not an object")
        made = {}
        for name, inner, needed in entries:
            if name in value:
                try:
                    made[name] = inner(value[name])
                except _Unfit as fault:
                    raise fault.under(f".{name}") from None
            elif needed:
                raise _Unfit("is missing", f".{name}")
        thing = kind(**made)
        if found := contradiction(thing):
            raise _Unfit(found[1], f".{found[0]}")
        return thing

    return read


def _list(inner: Reader) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise _Unfit(f"is {shown(value)}, not a list")
        made = []
        for item in value:
            try:
                made.append(inner(item))
            except _Unfit as fault:
                raise fault.under(f"[{len(made)}]") from None
        return tuple(made)

    return read


def _named(inner: Reader) -> Reader:
    def read(value: Any) -> Any:
        made = {}
        for name, item in _table(value).items():
            try:
                made[name] = inner(item)
            except _Unfit as fault:
                raise fault.under(f".{name}") from None
        return made

    return read


def _optional(inner: Reader) -> Reader:
    return lambda value: None if value is None else inner(value)


def _word(kind: type[StrEnum]) -> Reader:
    words = {str(member): member for member in kind}

    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise _Unfit(f"is {shown(value)}, not one of {', '.join(words)}")
        return words[value]

    return read


def _constant(expected: Any) -> Reader:
    def read(value: Any) -> Any:
        if value != expected:
            raise _Unfit(f"is {shown(value)}, not '{expected}'")
        return value

    return read


def _plain(kind: type) -> Reader:
    names = {str: "text", int: "a whole number", bool: "true or false"}

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise _Unfit(f"is {shown(value)}, not {names[kind]}")
        if type(value) is int and _endless(value):
            raise _Unfit(_LARGE)
        return value

    return read


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if type(value) not in (float, int):
        raise _Unfit(f"is {shown(value)}, not a number")
    if _endless(value):
        raise _Unfit(_LARGE)
    return float(value)


def _table(value: Any) -> Any:
    if not isinstance(value, dict):
        raise _Unfit(f"is {shown(value)}, not an object")
    if fault := unfit(value):
        raise _Unfit(fault)
    return value


def shown(value: Any) -> str:
    """A value in few words, whatever it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "…")
    return f"{value:g}" if isinstance(value, float) else "a number"
