"""Files that are data: safetensors, and what torch.load reads with weights_only=True. Nothing is run."""

from __future__ import annotations

import contextlib
import io
import pickletools
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.files import open_zip, reason
from symcheck.loading.inert import inert_allowed, inert_names
from symcheck.loading.nested import place, state_keys
from symcheck.loading.outline import Held, outline
from symcheck.loading.pickled import suspicious
from symcheck.loading.sniff import Kind, header_length

_LARGEST_HEADER = 100_000_000
_SHOWN = 10
_MAGIC = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")  # at the start of what torch.save wrote before it wrote zips
_PLAIN = (
    "collections.OrderedDict", "collections.Counter",
    "torch._utils._rebuild_", "torch.nn.parameter.Parameter",
    "torch.Size", "torch.device", "torch.storage.UntypedStorage", "torch.FloatStorage", "torch.LongStorage",
    "torch.DoubleStorage", "torch.HalfStorage", "torch.BFloat16Storage", "torch.IntStorage",
    "torch.ByteStorage", "torch.BoolStorage",
)  # fmt: skip


def safetensors_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file; LoadError when its header is damaged."""
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        raise _damaged(path, error) from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file by name, on the CPU."""
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping, it only has keys)
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise _damaged(path, error) from error


def _check_header(path: Path) -> None:
    length, size = header_length(path), path.stat().st_size
    if length > size - 8:
        raise LoadError(
            f"the header claims {length:,} bytes, but the file has only {size:,}: it is truncated or damaged",
            where=str(path),
            hint="copy or download the file again",
        )
    if length > _LARGEST_HEADER:
        raise LoadError(
            f"the header has {length:,} bytes; the format allows {_LARGEST_HEADER:,}",
            where=str(path),
            hint="write the file again with safetensors.torch.save_file",
        )


def _damaged(path: Path, error: Exception) -> LoadError:
    return LoadError(
        f"the safetensors file is damaged: {error}",
        where=str(path),
        hint="copy or download it again, or write it with safetensors.torch.save_file",
    )


def read_torch(path: Path, kind: Kind) -> Any:
    """What `torch.load(path, weights_only=True)` returns on the CPU; LoadError names the refused globals."""
    if kind is Kind.TORCH:
        open_zip(path).close()
    try:
        with warnings.catch_warnings(), inert_allowed():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols; the error says more
            return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise _refusal(path, kind, error) from error


def read_torch_bytes(data: bytes) -> Any:
    """The same for a file that lies in memory; raises what torch raises."""
    return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")


def refused_globals(path: Path, kind: Kind) -> list[str]:
    """The functions and classes that the pickle names beyond tensors and inert values, sorted."""
    inert = {name for _, name in inert_names()}
    if kind is Kind.TORCH:
        with contextlib.suppress(Exception):  # it does not read every protocol
            return sorted({*torch.serialization.get_unsafe_globals_in_checkpoint(path)} - inert)
    return sorted(n for n in pickled_names(path, kind) - inert if "__." in f"{n}." or not n.startswith(_PLAIN))


def pickled_names(path: Path, kind: Kind) -> set[str]:
    """Every `module.name` that unpickling the file would import; of a damaged file, what it shows."""
    found: set[str] = set()
    with contextlib.suppress(Exception):  # pickletools raises nearly anything; the caller reports the damage
        if kind is Kind.LEGACY:
            data = path.read_bytes()
        else:
            with open_zip(path) as archive:
                name = next(n for n in archive.namelist() if n.partition("/")[2] == "data.pkl")
                data = archive.read(name)
        _collect_names(data, found)
    return found


def _collect_names(data: bytes, found: set[str]) -> None:
    """Add the names in the pickles at the start of the data (a legacy file is five in a row)."""
    stream = io.BytesIO(data)
    for _ in range(5):
        strings: list[str] = []
        memo: dict[int, str] = {}
        last = ""
        for opcode, argument, _position in pickletools.genops(stream):
            if opcode.name in ("GLOBAL", "INST"):
                found.add(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                found.add(".".join(strings[-2:]))
            elif opcode.name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
                memo[len(memo) if argument is None else int(argument)] = last
                continue
            elif opcode.name in ("BINGET", "LONG_BINGET"):
                strings.append(memo.get(int(argument or 0), ""))
            elif isinstance(argument, str):
                strings.append(argument)
            last = strings[-1] if isinstance(argument, str) and strings else ""
        if stream.tell() >= len(data):
            break


def _refusal(path: Path, kind: Kind, error: Exception) -> LoadError:
    names = refused_globals(path, kind)
    if not names:
        return LoadError(
            f"the file cannot be read as tensors: {reason(error)}",
            where=str(path),
            hint="copy or download it again; it should be what torch.save(model.state_dict(), path) wrote",
        )
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    hint = f"if you trust its author, re-save the tensors: {_recipe(path, kind)}"
    if kind is Kind.LEGACY and not _by_torch(path):
        hint = "torch.save did not write this pickle: where it was written, save its arrays as safetensors"
    if any(suspicious(name) for name in names):
        hint = "no network needs that: do not load this file; ask its author for a state dict"
    return LoadError(f"the pickle is refused: to load it would import {shown}", where=str(path), hint=hint)


def _by_torch(path: Path) -> bool:
    """Whether torch.save wrote an old file, which then begins with the magic number."""
    with path.open("rb") as file:
        return _MAGIC in file.read(64)


def _recipe(path: Path, kind: Kind) -> str:
    """The two lines of Python that write the tensors of a refused file alone, as far as its content can be read."""
    content = outline(path, kind)
    whole = isinstance(content, Held) or not isinstance(content, Mapping)
    states = [] if whole else state_keys(content)
    held = [] if whole else [key for key, value in content.items() if isinstance(value, Held)]
    if whole or (held and not states and not any(isinstance(value, Tensor) for value in content.values())):
        found = f"c[{held[0]!r}].state_dict()" if held else "c.state_dict()"
    else:
        found = f"{{k: v for k, v in c{place(content, states[0]) if states else ''}.items() if torch.is_tensor(v)}}"
    target = path.with_name(f"{path.stem}.weights.pt")
    others = f" (or another one: {', '.join(states[1:4])})" if states[1:] else ""
    return (
        f"import torch; c = torch.load({str(path)!r}, map_location='cpu', weights_only=False); "
        f"torch.save({found}, {str(target)!r}){others}; "
        "then give that file with --model module:factory (or run the program as it is with --allow-program)"
    )
