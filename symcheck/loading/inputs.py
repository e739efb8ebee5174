"""Inputs by name: from a file of arrays, from a function, or drawn from a stated distribution."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symcheck.errors import DataError, LoadError
from symcheck.files import open_zip, readable
from symcheck.importing import import_object
from symcheck.loading.data import pickled_names, read_safetensors, read_torch
from symcheck.loading.distributions import distribution, draw
from symcheck.loading.packing import pack, packable
from symcheck.loading.sniff import Kind, sniff
from symcheck.loading.texts import MAIN, Encode, load_texts, split_texts
from symcheck.registry import suggest

_OWNERS = ("batch", "owner")
_INTEGERS = (torch.int64, torch.int32)


def load_inputs(
    source: str | Path | Mapping[str, str], *, samples: int, seed: int, base: Path | None = None,
    encode: Encode | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """Tensors with a leading sample axis by name, the first `samples` of them, on the CPU and as stored.

    `source` is a file (.npz, .npy, .safetensors, .pt; `file.npz:key` for one array of it), a function
    `module:function` or `file.py:function` called with (samples, seed) as far as it takes them, a
    distribution such as `normal(3,32,32)`, or a mapping from names to such texts. A lone tensor is called
    `input`, those of a tuple input0, input1, ... Relative paths start at `base`, by default the working
    directory. Packed data (rows with an owner index) are returned whole. Texts (`texts.txt`, one a line) become
    tensors by `encode`, see `symcheck.loading.texts`.
    Raises DataError: empty, not finite or not numeric, or different numbers of samples; LoadError: the file.
    """
    base = Path.cwd() if base is None else base
    if samples < 1:
        raise DataError(f"{samples} samples are too few", where="samples", hint="ask for at least one")
    texts, others = split_texts(source if isinstance(source, Mapping) else {MAIN: str(source)})
    tensors = load_texts(texts, encode, samples=samples, seed=seed, base=base) if texts else {}
    if isinstance(source, Mapping):
        tensors |= {name: _single(name, text, samples, seed, base) for name, text in others.items()}
    elif not texts:
        tensors = _load(str(source), "input", samples, seed, base)
    where = (
        str(source) if not isinstance(source, Mapping) else ", ".join(f"{k}={v}" for k, v in source.items())
    )
    if not tensors:
        raise DataError("there are no inputs", where=where, hint="give at least one tensor")
    for name, x in tensors.items():
        _check(name, x, where)
    return _first(tensors, samples, where)


def _single(name: str, text: str, samples: int, seed: int, base: Path) -> Tensor:
    """The one tensor of a source, or the one in it that has the wanted name."""
    found = _load(text, name, samples, seed, base)
    if name in found:
        return found[name]
    if len(found) == 1:
        return next(iter(found.values()))
    raise DataError(
        f"'{text}' holds {len(found)} tensors, none of them called '{name}'",
        where=f"input '{name}'",
        hint=f"name one: {text}:{sorted(found)[0]}" if found else "the source is empty",
    )


def _load(text: str, name: str, samples: int, seed: int, base: Path) -> dict[str, Tensor]:
    path, key = _file_and_key(text, base)
    if path is not None:
        return _from_file(path, key, name)
    term = distribution(text)
    if term is not None:
        return {name: draw(term, samples, seed, name)}
    if ":" in text:
        return _from_function(text, name, samples, seed, base)
    raise LoadError(
        f"'{text}' is no file, function or distribution",
        where=f"input '{name}', looked for in {base}",
        hint="give data.npz, data.npz:key, texts.txt, module:function, file.py:function, or e.g. normal(3,32,32)",
    )


def _file_and_key(text: str, base: Path) -> tuple[Path | None, str | None]:
    """The file that the text names, and the key behind its last colon."""
    whole = base / Path(text).expanduser()
    if whole.exists():
        return whole, None
    head, colon, key = text.rpartition(":")
    file = base / Path(head).expanduser()
    if colon and key and head and file.is_file() and file.suffix != ".py":
        return file, key
    looks_like_file = not colon and Path(text).suffix in (".npz", ".npy", ".pt", ".pth", ".safetensors")
    return (
        (whole, None) if looks_like_file else (None, None)
    )  # so that the error says which file is not there


def _from_file(path: Path, key: str | None, name: str) -> dict[str, Tensor]:
    path = readable(path)
    kind = sniff(path)
    if kind in (Kind.NPZ, Kind.NPY):
        content: Any = _read_numpy(path, kind, key)
    elif kind is Kind.SAFETENSORS:
        content = read_safetensors(path)
    elif kind in (Kind.TORCH, Kind.LEGACY):
        content = _read_tensors(path, kind)
    else:
        raise LoadError(
            f"the file holds no arrays ({kind.value})",
            where=str(path),
            hint="give .npz, .npy, .safetensors, or a .pt of tensors",
        )
    if key is not None:
        if not isinstance(content, Mapping) or key not in content:
            known = (
                sorted(map(str, content)) if isinstance(content, Mapping) else ["(one array without a name)"]
            )
            raise LoadError(f"the file has no '{key}'", where=str(path), hint=suggest(key, known))
        content = content[key]
    return _named(content, name, str(path))


def _read_tensors(path: Path, kind: Kind) -> Any:
    """What a .pt file holds; graphs that torch_geometric pickled are refused with the way out."""
    try:
        return read_torch(path, kind)
    except LoadError as error:
        if not any(name.startswith("torch_geometric") for name in pickled_names(path, kind)):
            raise
        raise LoadError(
            "the file holds pickled objects of torch_geometric, which are not unpickled",
            where=str(path),
            hint="load them in a function of yours, def graphs(): return torch.load(PATH, weights_only=False), "
            "and give it as -i file.py:graphs",
        ) from error


def _read_numpy(path: Path, kind: Kind, key: str | None) -> Any:
    """The array, or the arrays by name (only `key` if it is there); pickled objects are refused."""
    try:
        if kind is Kind.NPY:
            return np.load(path, allow_pickle=False)
        open_zip(path).close()
        with np.load(path, allow_pickle=False) as archive:
            names = [key] if key in archive.files else archive.files
            return {name: archive[name] for name in names}
    except LoadError:
        raise
    except Exception as error:  # a damaged archive fails in many ways: zlib, struct, memory, pickle
        pickled = "allow_pickle" in str(error)
        raise LoadError(
            "the array file holds pickled objects, which are not unpickled"
            if pickled
            else f"the array file is damaged: {error}",
            where=str(path),
            hint="save plain numbers: numpy.savez(path, name=array.astype('float32'))",
        ) from error


def _from_function(text: str, name: str, samples: int, seed: int, base: Path) -> dict[str, Tensor]:
    function = import_object(text, base=base)
    if not callable(function):
        return _named(function, name, text)
    positional, named = _arguments(function, samples, seed)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            result = function(*positional, **named)
    except (Exception, SystemExit) as error:
        raise DataError(
            f"'{text}' fails: {type(error).__name__}: {error}",
            where=f"input '{name}'",
            hint="it is called with (samples, seed) as far as it takes them; --traceback shows where",
        ) from error
    return _named(result, name, text)


def _arguments(function: Callable[..., Any], samples: int, seed: int) -> tuple[list[int], dict[str, int]]:
    """`samples` and `seed` by name where the function has those names, else by position as needed."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return [samples, seed], {}
    values = {"samples": samples, "seed": seed}
    named = {key: value for key, value in values.items() if key in parameters}
    if named:
        return [], named
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters.values() if p.kind in kinds and p.default is inspect.Parameter.empty]
    return [samples, seed][: len(needed)], {}


def _named(content: Any, name: str, where: str) -> dict[str, Tensor]:
    if packable(content):
        return pack(content, where)
    if isinstance(content, Mapping):
        return {str(key): _tensor(value, str(key), where) for key, value in content.items()}
    if isinstance(content, tuple | list):
        return {f"{name}{i}": _tensor(value, f"{name}{i}", where) for i, value in enumerate(content)}
    return {name: _tensor(content, name, where)}


def _tensor(value: Any, name: str, where: str) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray):
        try:
            native = value.astype(value.dtype.newbyteorder("="), copy=True)
            return torch.from_numpy(np.ascontiguousarray(native).reshape(value.shape))
        except (TypeError, ValueError) as error:
            raise _not_numeric(f"an array of {value.dtype}", name, where) from error
    raise _not_numeric(f"a {type(value).__name__}", name, where)


def _not_numeric(what: str, name: str, where: str) -> DataError:
    return DataError(
        f"input '{name}' is {what}, not a numeric array",
        where=where,
        hint="give tensors or numeric NumPy arrays",
    )


def _check(name: str, x: Tensor, where: str) -> None:
    if not x.dim() or not x.numel():
        shape = f"shape {tuple(x.shape)}"
        raise DataError(
            f"input '{name}' is empty or has no sample axis ({shape})",
            where=where,
            hint="give arrays whose first axis counts the samples",
        )
    bad = int((~torch.isfinite(x)).sum())
    if bad:
        raise DataError(
            f"input '{name}' has {bad:,} of {x.numel():,} entries that are NaN or infinite",
            where=where,
            hint="clean the data: nothing can be concluded from such inputs",
        )


def _first(tensors: dict[str, Tensor], samples: int, where: str) -> dict[str, Tensor]:
    """The first samples of dense inputs; packed inputs whole, since their rows are no samples."""
    counts = {name: len(x) for name, x in tensors.items()}
    if _packed(tensors, counts):
        return tensors
    if len(set(counts.values())) > 1:
        listing = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(
            f"the inputs have different numbers of samples: {listing}",
            where=where,
            hint="give all the same leading axis; packed graphs need an owner index called 'batch'",
        )
    return {name: x[:samples] for name, x in tensors.items()}


def _packed(tensors: Mapping[str, Tensor], counts: Mapping[str, int]) -> bool:
    """Whether an integer vector is an owner index: by its name, or lengths differ and it covers rows."""
    vectors = [name for name, x in tensors.items() if x.dim() == 1 and x.dtype in _INTEGERS]
    if any(name.lower().endswith(_OWNERS) for name in vectors):
        return True
    differ = len(set(counts.values())) > 1
    return differ and any(counts[v] == counts[other] for v in vectors for other in counts if other != v)
