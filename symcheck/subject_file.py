"""The subject file: what to measure and how, in TOML or as `[tool.symcheck]`. Imports no torch."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from symcheck.errors import ConfigError
from symcheck.files import readable, scheme
from symcheck.registry import suggest


@dataclass(frozen=True)
class SubjectFile:
    """What a subject file says; None or empty where it says nothing. Paths are absolute."""

    checkpoint: str | None = None
    model: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    inputs: str | Mapping[str, str] | None = None
    claims: tuple[str, ...] = ()
    tolerance: float | Mapping[str, float] | None = None
    samples: int | None = None
    elements: int | None = None
    seed: int | None = None
    dtype: str | None = None
    device: str | None = None
    batch_size: int | None = None
    derive: Mapping[str, str] = field(default_factory=dict)
    output: tuple[str, ...] = ()
    takes: str | None = None
    graph: str | None = None
    preset: str | None = None
    calculator: str | None = None
    structures: str | None = None
    reference: str | Mapping[str, float] | None = None
    name: str | None = None


DEFAULTS = {"samples": 64, "elements": 32, "seed": 0, "tolerance": 1e-3, "device": "auto", "dtype": "as-is"}


def stated(found: SubjectFile, folder: Path, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What a subject file in `folder` says, as settings; inputs given by a flag start at the current folder."""
    settings = {k: v for k, v in vars(found).items() if v not in (None, {}, [], ())}
    return {**settings, "base": folder} if "inputs" not in flags else settings


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_positive(value: Any) -> bool:
    return _is_count(value) and value > 0


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _table_of(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(kind(item) for item in value.values())


def _either(*kinds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: any(kind(value) for kind in kinds)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_signed(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: value in words


_TEXT = (_is_text, "a text in quotes")
_POSITIVE = (_is_positive, "a positive whole number")
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "checkpoint": _TEXT,
    "model": _TEXT,
    "arguments": (_is_table, "a table of names and values"),
    "key": _TEXT,
    "inputs": (_either(_is_text, _table_of(_is_text)), "a text, or a table of names and texts"),
    "claims": (_either(_is_text, _is_texts), "a text or a list of texts"),
    "tolerance": (
        _either(_is_number, _table_of(_is_number)),
        "a number that is not negative, or a table of claims and such numbers",
    ),
    "samples": _POSITIVE,
    "elements": _POSITIVE,
    "seed": (_is_count, "a whole number that is not negative"),
    "dtype": _TEXT,
    "device": _TEXT,
    "batch_size": _POSITIVE,
    "derive": (_table_of(_is_text), "a table of names and texts"),
    "output": (_either(_is_text, _is_texts), "the name of an output, or a list of names"),
    "takes": (_one_of("arguments", "dict", "data", "dense"), "'arguments', 'dict', 'data' or 'dense'"),
    "graph": _TEXT,
    "preset": _TEXT,
    "calculator": _TEXT,
    "structures": _TEXT,
    "reference": (_either(_is_text, _table_of(_is_signed)), "a text, or a table of elements and energies"),
    "name": _TEXT,
}
_EXAMPLES = {
    "checkpoint": 'checkpoint = "weights.safetensors"',
    "model": 'model = "network.py:Net"',
    "arguments": "arguments = { width = 32 }",
    "key": 'key = "model_state_dict"',
    "inputs": 'inputs = "data.npz" or inputs = { image = "normal(3,32,32)" }',
    "claims": 'claims = ["C4: image -> invariant"]',
    "tolerance": 'tolerance = 1e-3 or tolerance = { "C4: image -> invariant" = 1e-3 }',
    "samples": "samples = 64",
    "elements": "elements = 32",
    "seed": "seed = 0",
    "dtype": 'dtype = "float64"',
    "device": 'device = "cpu"',
    "batch_size": "batch_size = 256",
    "derive": 'derive = { forces = "-d(energy)/d(pos)" }',
    "output": 'output = ["logits", "label"]',
    "takes": 'takes = "dict"',
    "graph": 'graph = "radius(5.0)"',
    "preset": 'preset = "potential"',
    "calculator": 'calculator = "module:factory"',
    "structures": 'structures = "molecules.extxyz"',
    "reference": 'reference = "isolated" or reference = { H = -13.6 }',
    "name": 'name = "my network"',
}


# what stands beside a subject in a configuration: read by the gates
GATE_KEYS = ("gate", "waiver", "subject", "baseline")


def read_subject_file(path: str | Path) -> SubjectFile:
    """The subject that a TOML file states, its relative paths taken from the folder of the file.

    Of the arguments of a factory those texts are paths that begin with `./`.

    In a file called pyproject.toml the table `[tool.symcheck]` is read; what belongs to gates is left alone. Raises
    ConfigError with the line for a syntax error, with a suggestion for an unknown key, with the expected type for a
    wrong value; LoadError when the file cannot be read.
    """
    path = readable(path)
    table, prefix = read_table(path)
    own = {key: value for key, value in table.items() if key not in GATE_KEYS}
    return subject_from(own, path, prefix, known=[*_KINDS, *GATE_KEYS])


def subject_from(table: Mapping[str, Any], path: Path, prefix: str = "", known: Iterable[str] = _KINDS) -> SubjectFile:
    """The subject that one table of the file `path` states; `prefix` is what stands before its keys."""
    for key, value in table.items():
        where = f"{path}, key '{prefix}{key}'"
        if key not in _KINDS:
            raise ConfigError(f"unknown key '{key}'", where=where, hint=suggest(key, [*known]))
        fits, expected = _KINDS[key]
        if not fits(value):
            raise ConfigError(
                f"'{key}' must be {expected}, not {value!r}", where=where, hint=f"write {_EXAMPLES[key]}"
            )
    return _resolved(table, path.resolve().parent)


def has_table(path: Path) -> bool:
    """Whether a file is there and has a table `[tool.symcheck]`, in whatever encoding."""
    return path.is_file() and b"[tool.symcheck" in path.read_bytes()


def read_table(path: Path) -> tuple[dict[str, Any], str]:
    """The table of a configuration file that is ours, and what stands before its keys."""
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:  # its message ends in "(at line 3, column 9)"
        raise ConfigError(
            f"this is not TOML: {error}", where=str(path), hint="mend that line; texts need quotes"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError("this is not text in UTF-8", where=str(path), hint="save it as UTF-8") from error
    if path.name != "pyproject.toml":
        return document, ""
    tool = document.get("tool", {})
    table = tool.get("symcheck") if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(
            "there is no table [tool.symcheck]",
            where=str(path),
            hint="add one, or give a subject file of its own",
        )
    return table, "tool.symcheck."


def _resolved(table: Mapping[str, Any], folder: Path) -> SubjectFile:
    values = {f.name: table[f.name] for f in fields(SubjectFile) if f.name in table}
    claims = values.get("claims", [])
    values["claims"] = (claims,) if isinstance(claims, str) else tuple(claims)
    if "output" in values:
        values["output"] = (values["output"],) if isinstance(values["output"], str) else tuple(values["output"])
    for key in ("calculator", "structures"):
        if key in values:
            values[key] = _resolve(values[key], folder)
    if Path(values.get("preset", "")).suffix == ".toml":
        values["preset"] = str(folder / values["preset"])
    if "checkpoint" in values:
        values["checkpoint"] = _resolved_checkpoint(values["checkpoint"], folder)
    if "model" in values:
        values["model"] = _resolve(values["model"], folder)
    if "arguments" in values:
        values["arguments"] = {name: _beside(value, folder) for name, value in values["arguments"].items()}
    inputs = values.get("inputs")
    if isinstance(inputs, dict):
        values["inputs"] = {name: _resolve(text, folder) for name, text in inputs.items()}
    elif inputs is not None:
        values["inputs"] = _resolve(inputs, folder)
    return SubjectFile(**values)


def _resolved_checkpoint(text: str, folder: Path) -> str:
    """The absolute path of a checkpoint; of `scheme:rest`, the rest as far as it is a path."""
    path = folder / Path(text).expanduser()
    named = None if path.exists() else scheme(text)
    return str(path) if named is None else f"{named[0]}:{_resolve(named[1], folder)}"


def _beside(value: Any, folder: Path) -> Any:
    """An argument that begins with `./` from the folder; any other as it is."""
    return _resolve(value, folder) if isinstance(value, str) and value.startswith("./") else value


def _resolve(text: str, folder: Path) -> str:
    """A file, or a file and what follows its last colon, with an absolute path; any other text as it is."""
    if (folder / text).exists():
        return str(folder / text)
    head, colon, tail = text.rpartition(":")
    if colon and head and (head.endswith(".py") or (folder / head).is_file()):
        return f"{folder / Path(head).expanduser()}:{tail}"
    return text
