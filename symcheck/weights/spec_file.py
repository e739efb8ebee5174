"""Weight symmetry specs as files, TOML or JSON: read strictly, written whole, read back equal. No torch."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

from symcheck.errors import ConfigError, LoadError, SymcheckError
from symcheck.patterns import parse_axes, print_axes
from symcheck.registry import suggest
from symcheck.report.write import write_text
from symcheck.weights.spec import Pinned, Space, Spec, Term
from symcheck.weights.toml_text import toml_text

SCHEMA = "symcheck.spec/1"
SUFFIXES = (".toml", ".json")

Check = Callable[[Any], bool]


def write_spec(spec: Spec, path: Path) -> None:
    """Write the spec as TOML or JSON, by suffix, whole or not at all."""
    _check_suffix(path)
    table = to_table(spec)
    if path.suffix == ".json":
        write_text(path, json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        write_text(path, toml_text(table))


def read_spec(path: Path) -> Spec:
    """Read a spec; an unknown key, a wrong type or a contradiction is a ConfigError that names the place."""
    _check_suffix(path)
    try:
        text = path.read_text(encoding="utf-8")
        table = _json(text) if path.suffix == ".json" else _toml(text)
    except OSError as error:
        raise LoadError(
            f"the spec cannot be read: {error.strerror}", where=str(path), hint="give a .toml or .json file"
        ) from error
    except (ValueError, RecursionError) as error:  # both parsers say at which line
        raise ConfigError(
            f"this is no {path.suffix[1:].upper()}: {error}", where=str(path), hint="mend that line; texts need quotes"
        ) from error
    try:
        return from_table(table)
    except SymcheckError as error:
        raise ConfigError(error.message, where=f"{path}, {error.where}", hint=error.hint) from error


def to_table(spec: Spec) -> dict[str, Any]:
    """The spec as plain tables, lists, texts and numbers, without what has its default."""
    table: dict[str, Any] = {"schema": SCHEMA, "spaces": {k: _space_table(s) for k, s in spec.spaces.items()}}
    parts: dict[str, Any] = {
        "atoms": dict(spec.atoms),
        "axes": {name: print_axes(axes) for name, axes in spec.axes.items()},
        "ties": dict(spec.ties),
        "offsets": dict(spec.offsets),
        "shapes": {name: list(shape) for name, shape in spec.shapes.items()},
        "pinned": [
            {"reason": p.reason, "tensors": list(p.tensors), "parameters": p.parameters} | _given(where=p.where)
            for p in spec.pinned
        ],
    }
    table |= _given(**parts)
    return table if spec.certificate is None else {**table, "certificate": dict(spec.certificate)}


def from_table(table: Mapping[str, Any]) -> Spec:
    """The spec that plain tables state."""
    if not isinstance(table, dict) or table.get("schema") != SCHEMA:
        found = table.get("schema") if isinstance(table, dict) else None
        raise ConfigError(
            f"the schema is {found!r}, not '{SCHEMA}'", where="schema", hint=f'the file begins: schema = "{SCHEMA}"'
        )
    _check(table, _SPEC, "")
    return Spec(
        spaces={name: _space(name, given) for name, given in table.get("spaces", {}).items()},
        axes={name: _axes(name, text) for name, text in table.get("axes", {}).items()},
        ties=table.get("ties", {}),
        offsets=table.get("offsets", {}),
        pinned=tuple(_pinned(i, given) for i, given in enumerate(table.get("pinned", ()))),
        shapes=table.get("shapes", {}),
        certificate=table.get("certificate"),
        atoms=table.get("atoms", {}),
    )


def _given(**values: Any) -> dict[str, Any]:
    """What is not empty."""
    return {name: value for name, value in values.items() if value}


def _space_table(space: Space) -> dict[str, Any]:
    exponents = {name: [_power(p) for p in powers] for name, powers in (space.exponents or {}).items()}
    gains = {
        name: [{gain: _power(power) for gain, power in one.items()} for one in each]
        for name, each in space.gains.items()
    }
    terms = [
        {"to": term.to, "equation": term.equation}
        | _given(operands=list(term.operands))
        | ({} if term.factor == 1 else {"factor": term.factor})
        for term in space.terms
    ]
    table = {"kind": space.kind, "size": space.size} | _given(
        on="" if space.on == space.name else space.on, whole=space.whole, over=list(space.over), fixes=space.fixes,
        leaves=space.leaves, shape=list(space.shape), stacks=list(space.stacks), approximate=space.approximate,
        note=space.note,
        exponents=exponents, gains=gains, terms=terms,
    )  # fmt: skip
    return table | ({"exponents": {}} if space.exponents == {} else {})


def _power(power: Fraction) -> int | str:
    return int(power) if power.denominator == 1 else str(power)


def _space(name: str, table: Mapping[str, Any]) -> Space:
    where = f"spaces.{name}"
    _check(table, _SPACE, where)
    if "kind" not in table:
        _wrong(where, f"the space '{name}' has no kind", 'write kind = "permutation"')
    values: dict[str, Any] = {key: value for key, value in table.items() if key not in ("whole", "terms", "size")}
    size = table.get("size", _size(table))
    if size is None:
        _wrong(where, f"the space '{name}' has no size", "write size = 64")
    if table.get("whole"):
        values["on"] = None
    if "exponents" in values:
        values["exponents"] = {k: tuple(map(Fraction, powers)) for k, powers in values["exponents"].items()}
    if "gains" in values:
        values["gains"] = {
            k: tuple({gain: Fraction(p) for gain, p in one.items()} for one in each)
            for k, each in values["gains"].items()
        }
    terms = tuple(_term(f"{where}.terms[{i}]", given) for i, given in enumerate(table.get("terms", ())))
    return Space(name, size=size, terms=terms, **values)


def _size(table: Mapping[str, Any]) -> int | None:
    """The size that follows from the other keys."""
    if table["kind"] == "shift" and table.get("shape"):
        return int(math.prod(table["shape"]))
    return 1 if table.get("whole") else 2 if table["kind"] == "rotation" else None


def _term(where: str, table: Mapping[str, Any]) -> Term:
    _check(table, _TERM, where)
    if not {"to", "equation"} <= table.keys():
        _wrong(where, "a term has no target or no equation", 'write { to = "fc.bias", equation = "h -> h" }')
    return Term(**table)


def _pinned(i: int, table: Mapping[str, Any]) -> Pinned:
    where = f"pinned[{i}]"
    _check(table, _PINNED, where)
    if "reason" not in table:
        _wrong(where, "a pinned entry has no reason", 'write reason = "..."')
    return Pinned(table["reason"], table.get("tensors", ()), table.get("parameters", 0), table.get("where", ""))


def _axes(name: str, text: str) -> Any:
    try:
        return parse_axes(text)
    except SymcheckError as error:
        raise ConfigError(error.message, where=f"axes.{name}, {error.where}", hint=error.hint) from error


def _toml(text: str) -> dict[str, Any]:
    """A TOML document; its certificate is a JSON text, since TOML has no null."""
    table = tomllib.loads(text)
    match table.get("certificate"):
        case {"json": str(inner)}:
            table["certificate"] = _json(inner)
    return table


def _json(text: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        if twice := {key for key in keys if keys.count(key) > 1} if len({*keys}) < len(keys) else None:
            raise ValueError(f"the key '{sorted(twice)[0]}' stands twice")
        return dict(items)

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"it holds {constant}")

    return json.loads(text, object_pairs_hook=pairs, parse_constant=refuse)


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"specs are not kept as '{path.suffix or path.name}'",
            where=str(path),
            hint=f"end the name in {' or '.join(SUFFIXES)}",
        )


def _check(table: Any, known: Mapping[str, tuple[Check, str]], where: str) -> None:
    if not isinstance(table, dict):
        _wrong(where, f"this must be a table, not {table!r}", f"known keys: {', '.join(known)}")
    for key, value in table.items():
        place = f"{where}.{key}".lstrip(".")
        if key not in known:
            _wrong(place, f"unknown key '{key}'", suggest(key, [*known]))
        fits, expected = known[key]
        if not fits(value):
            _wrong(place, f"'{key}' must be {expected}, not {value!r:.80}", f"give {expected}")


def _wrong(where: str, message: str, hint: str) -> NoReturn:
    raise ConfigError(message, where=where, hint=hint)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _rational(value: Any) -> bool:
    try:
        return isinstance(value, int | str) and not isinstance(value, bool) and bool(Fraction(value) or True)
    except (ValueError, ZeroDivisionError):
        return False


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _list(kind: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(kind, value))


def _table(kind: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


_SPEC: dict[str, tuple[Check, str]] = {
    "schema": (_text, "a text"),
    "spaces": (_table(_table(lambda value: True)), "a table of spaces"),
    "atoms": (_table(_count), "a table of names and sizes"),
    "axes": (_table(_text), "a table of tensors and patterns in quotes"),
    "ties": (_table(_text), "a table of names and names"),
    "offsets": (_table(_number), "a table of tensors and numbers"),
    "shapes": (_table(_list(_count)), "a table of tensors and lists of whole numbers"),
    "pinned": (_list(_table(lambda value: True)), "a list of tables"),
    "certificate": (_table(lambda value: True), "a table"),
}
_SPACE: dict[str, tuple[Check, str]] = {
    "kind": (_text, "a text in quotes"),
    "size": (_count, "a positive whole number"),
    "on": (_text, "the name of an atom in quotes"),
    "whole": (_flag, "true or false"),
    "over": (_list(_text), "a list of names in quotes"),
    "exponents": (_table(_list(_rational)), 'a table of tensors and lists of whole numbers or fractions "1/2"'),
    "gains": (_table(_list(_table(_rational))), "a table of tensors and lists of tables of tensors and powers"),
    "fixes": (_text, "a text in quotes"),
    "terms": (_list(_table(lambda value: True)), "a list of tables"),
    "shape": (_list(_count), "a list of whole numbers"),
    "leaves": (_text, "the name of an atom in quotes"),
    "stacks": (_list(_text), "a list of names with * for the index"),
    "approximate": (_flag, "true or false"),
    "note": (_text, "a text in quotes"),
}
_TERM: dict[str, tuple[Check, str]] = {
    "to": (_text, "a tensor in quotes"),
    "equation": (_text, "a text in quotes"),
    "operands": (_list(_text), "a list of tensors in quotes"),
    "factor": (_number, "a number"),
}
_PINNED: dict[str, tuple[Check, str]] = {
    "reason": (_text, "a text in quotes"),
    "tensors": (_list(_text), "a list of tensors in quotes"),
    "parameters": (_count, "a whole number"),
    "where": (_text, "a text in quotes"),
}
