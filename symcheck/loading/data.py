"""Files that are data: safetensors, and what torch.load reads with weights_only=True. Nothing in them is run."""

from __future__ import annotations

import io
import pickletools
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.loading.files import open_zip
from symcheck.loading.sniff import Kind, header_length

_LARGEST_HEADER = 100_000_000
_SHOWN = 10


def safetensors_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file, without reading them; LoadError when the header is damaged."""
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
    """What `torch.load(path, weights_only=True, map_location="cpu")` returns; LoadError names the refused globals."""
    if kind is Kind.TORCH:
        open_zip(path).close()
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise _refusal(path, kind, error) from error


def read_torch_bytes(data: bytes) -> Any:
    """The same for a file that lies in memory; raises what torch raises."""
    return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")


def refused_globals(path: Path, kind: Kind) -> list[str]:
    """The functions and classes that the pickle needs beyond tensors and plain containers, sorted."""
    try:
        if kind is Kind.TORCH:
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        found = _pickle_globals(path.read_bytes())
    except Exception:  # a damaged pickle has no list; the caller reports the damage itself
        return []
    allowed = {f"{item.__module__}.{item.__qualname__}" for item in torch.serialization.get_safe_globals()}
    plain = ("collections.OrderedDict", "torch._utils._rebuild_", "torch.nn.parameter.Parameter")
    return sorted(n for n in found - allowed if not n.startswith(plain) and not n.endswith("Storage"))


def _pickle_globals(data: bytes) -> set[str]:
    """Every `module.name` in the pickles at the start of the data (a legacy file is five pickles in a row)."""
    stream, found = io.BytesIO(data), set()
    for _ in range(5):
        strings: list[str] = []
        for opcode, argument, _position in pickletools.genops(stream):
            if opcode.name in ("GLOBAL", "INST"):
                found.add(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                found.add(".".join(strings[-2:]))
            elif isinstance(argument, str):
                strings.append(argument)
        if stream.tell() >= len(data):
            break
    return found


def _refusal(path: Path, kind: Kind, error: Exception) -> LoadError:
    names = refused_globals(path, kind)
    if not names:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return LoadError(
            f"the file cannot be read as tensors: {reason}",
            where=str(path),
            hint="copy or download it again; it should be what torch.save(model.state_dict(), path) wrote",
        )
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return LoadError(
        f"the pickle is refused: to load it would import {shown}",
        where=str(path),
        hint=(
            "if you trust its author, re-save the tensors: "
            "m = torch.load(path, weights_only=False); torch.save(m.state_dict(), 'weights.pt'); "
            "then give weights.pt with --model module:factory (or run the program as it is with --allow-program)"
        ),
    )
