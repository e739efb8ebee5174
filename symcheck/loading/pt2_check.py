"""What loading a .pt2 would run, checked before anything is loaded.

`torch.export.load` unpickles the sample inputs without restriction when the safe way fails, evaluates
symbolic sizes with `sympy.sympify`, compiles guards to Python, and looks operators up by dotted name. Each of
these is read here with the archive reader that torch itself uses. A `.pt2` stays a program: operators run.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from symcheck.errors import LoadError
from symcheck.files import open_zip, reason
from symcheck.loading.data import read_torch_bytes

_PICKLED_PREFIXES = ("opaque_obj", "custom_obj")
_NATIVE = "data/aotinductor/"
_OPERATORS = re.compile(
    r"_operator\.\w+|math\.\w+|torch\._?sym_\w+|torch\.ops\.\w+\.\w+(\.\w+)?|#\w+:[\w.:]+"
)
_NODES = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Call, ast.keyword,
    ast.Name, ast.Constant, ast.Subscript, ast.Attribute, ast.Tuple, ast.List,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip
_SIZES = "size stride storage_offset shape dim item numel sqrt floor ceil trunc pow exp log"
_WORDS = """
Symbol Integer Float Rational Add Mul Pow Abs Mod Min Max Eq Ne Lt Le Gt Ge And Or Not Where Piecewise
Identity Equality Unequality LessThan GreaterThan StrictLessThan StrictGreaterThan FloorDiv CeilDiv CleanDiv
PythonMod ModularIndexing CeilToInt FloorToInt LShift RShift PowByNatural FloatPow FloatTrueDiv IntTrueDiv
TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat IsNonOverlappingAndDenseIndicator oo int_oo floor
ceiling sqrt true false L args math torch max min abs int float round
"""
_ATTRIBUTES = frozenset(_SIZES.split())
_NAMES = frozenset(_WORDS.split())
_SYMBOL = re.compile(r"[a-z]+\d+|OpaqueUnaryFn_\w+|BitwiseFn_\w+")


def check_exported(path: Path, data: bytes) -> None:
    """Raise LoadError unless everything in the archive that loading would run is harmless; nothing is run."""
    records = _records(path, data)
    native = sorted(name for name in records if name.startswith(_NATIVE))
    if native:
        raise _refused(path, native[0], "compiled native code, which cannot be checked")
    for name in _pickled(path, records):
        if name.rpartition("/")[2].startswith(_PICKLED_PREFIXES):
            raise _refused(path, name, "a pickled object that is no tensor")
        try:
            read_torch_bytes(records[name])
        except Exception as error:  # whatever it is, the safe way failed
            raise _refused(path, name, "a pickle that holds more than tensors") from error
    for name, content in records.items():
        if name.startswith("models/"):
            _check_graph(path, name, _json(path, name, content))


def _records(path: Path, data: bytes) -> dict[str, bytes]:
    """Every record as torch's own reader sees it, which must be what other zip readers see."""
    with open_zip(path, data) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        roots = {name.partition("/")[0] for name in archive.namelist()}
        if len(roots) != 1 or "" in names:
            raise LoadError(
                "the archive has not the one root folder of a .pt2; torch 2.7 and earlier wrote such files",
                where=str(path),
                hint="export it again with a current version of torch",
            )
    try:
        reader = torch._C.PyTorchFileReader(io.BytesIO(data))
        records = {name: bytes(reader.get_record(name)) for name in reader.get_all_records()}
    except (RuntimeError, MemoryError) as error:
        raise _damaged(path, reason(error)) from error
    if set(records) != names:
        raise _damaged(path, f"zip readers disagree about {sorted(set(records) ^ names)[0]}")
    return records


def _pickled(path: Path, records: dict[str, bytes]) -> list[str]:
    """The records that are unpickled: `.pt` files, what a config declares as pickled, what looks like one.

    Raw weights are left out: their bytes are numbers that may begin like anything.
    """
    raw: set[str] = set()
    chosen: set[str] = set()
    for name, content in records.items():
        folder, _, file = name.rpartition("/")
        if not file.endswith("_config.json"):
            continue
        for payload in _json(path, name, content).get("config", {}).values():
            member = f"{folder}/{payload.get('path_name')}"
            odd = payload.get("use_pickle") or str(payload.get("path_name")).startswith(_PICKLED_PREFIXES)
            (chosen if odd else raw).add(member)
    for name, content in records.items():
        if name.endswith((".pt", ".pkl")) or (
            name not in raw and content.startswith((b"PK\x03\x04", b"\x80"))
        ):
            chosen.add(name)
    return sorted(chosen & set(records))


def _check_graph(path: Path, name: str, tree: dict[str, Any]) -> None:
    """Raise LoadError unless symbolic sizes and guards are arithmetic and the operators are torch's."""
    for key, value in _leaves(tree):
        if key in ("expr_str", "guards_code") and not _arithmetic(value):
            raise _refused(path, name, f"a size or guard that is more than arithmetic: {value[:80]!r}")
        if key in ("target", "as_operator") and not _is_operator(value):
            raise _refused(path, name, f"'{value[:80]}', which is no torch operator")


def _leaves(tree: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON tree with the nearest key above it."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _leaves(value, name)
    elif isinstance(tree, list):
        for value in tree:
            yield from _leaves(value, key)
    elif isinstance(tree, str):
        yield key, tree


def _arithmetic(text: str) -> bool:
    """Whether an expression only computes with numbers, symbols and sizes."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            return False
        if isinstance(node, ast.Attribute) and node.attr not in _ATTRIBUTES:
            return False
        if isinstance(node, ast.Name) and node.id not in _NAMES and not _SYMBOL.fullmatch(node.id):
            return False
        # sympy evaluates text that it is given as an argument, so a string may only be a name
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.isidentifier():
            return False
    return True


def _is_operator(target: str) -> bool:
    """Whether a target is an operator, and not a function that a dotted name happens to reach."""
    if not target.startswith(("torch", "_operator", "math", "#")):
        return True  # torch keeps it as text and looks nothing up
    if not _OPERATORS.fullmatch(target):
        return False
    if not target.startswith("torch.ops."):
        return True
    found: Any = torch.ops
    for name in target.split(".")[2:]:
        found = getattr(found, name, None)
    return found is None or isinstance(
        found, torch._ops.OpOverload | torch._ops.OpOverloadPacket | torch._ops.HigherOrderOperator
    )


def _json(path: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"{name} is not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise _damaged(path, f"{name} is not an object")
    return tree


def _refused(path: Path, name: str, what: str) -> LoadError:
    return LoadError(
        f"the program is refused before it is loaded: '{name}' holds {what}",
        where=str(path),
        hint="do not load this file; export the network again from its source, or ask for its state dict",
    )


def _damaged(path: Path, why: str) -> LoadError:
    return LoadError(
        f"the .pt2 archive is damaged: {why}", where=str(path), hint="copy it or export it again"
    )
