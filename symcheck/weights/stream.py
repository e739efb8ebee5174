"""An element acts on a checkpoint on disk, tensor by tensor: memory holds the largest tensor, never the file.

The output has the same shards, dtypes, heads and index; it is written beside its place and moved there at the end.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from symcheck.errors import ConfigError
from symcheck.files import INDEX, Shards, shards
from symcheck.weights.act import Actor, check_fit
from symcheck.weights.checks import acted_tensors
from symcheck.weights.coverage import acted_entries
from symcheck.weights.spec import Space, Spec
from symcheck.weights.tensor_file import TensorFile

__all__ = ["INDEX", "Applied", "Checkpoint", "apply_to_files", "check_target", "open_checkpoint", "summary"]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of one or more safetensors files, and its index if it has one.

    `tensors` tells which file holds a tensor; `folder` is True where the checkpoint is known by its folder.
    """

    path: Path
    files: tuple[TensorFile, ...]
    tensors: Mapping[str, TensorFile]
    index: Path | None = None
    folder: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor."""
        return {name: file.entries[name].shape for name, file in self.tensors.items()}


@dataclass(frozen=True)
class Applied:
    """What an element did to a checkpoint; entries are counted over all tensors, buffers included."""

    spaces: tuple[Space, ...]
    changed: tuple[str, ...]
    untouched: tuple[str, ...]
    unnamed: tuple[str, ...]
    entries: int
    acted: int


def open_checkpoint(path: Path) -> Checkpoint:
    """A .safetensors file, an index of shards (.index.json), or a folder that holds either.

    Raises LoadError for anything else, for a shard that is missing, or a tensor that is in two shards.
    """
    folder = path.is_dir() or path.name.endswith(".index.json")
    found = shards(path) if folder else Shards(path, (path,))
    opened = {file: TensorFile.open(file) for file in found.files}
    holders = found.holders({file: content.entries for file, content in opened.items()})
    tensors = {name: opened[file] for name, file in holders.items()}
    return Checkpoint(found.path, tuple(opened.values()), tensors, found.index, folder)


def apply_to_files(
    spec: Spec,
    element: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    source: Checkpoint,
    target: Path,
    *,
    inverse: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Applied:
    """Write the checkpoint g·θ to `target`, a file for a file and a folder for shards.

    Several elements act one after another, and are rounded once.
    Existing files of the same names are replaced at the end; other files of a folder are left alone. `progress`
    is called with (tensors done, tensors in all). Raises LoadError when the spec does not fit the checkpoint,
    ConfigError when `target` is the checkpoint itself or cannot be written.
    """
    check_target(source, target)
    sizes = check_fit(spec, source.shapes, str(source.path))
    holders = {spec.ties.get(name, name): name for name in source.tensors}
    holders |= {name: name for name in source.tensors if name in spec.axes}

    def read(key: str) -> Tensor:
        return source.tensors[holders[key]].read(holders[key])

    steps = [element] if isinstance(element, Mapping) else [*element]
    actors = _chained(spec, steps[::-1] if inverse else steps, sizes, read, inverse)
    done = 0

    def changed(name: str) -> Tensor | None:
        nonlocal done
        key = spec.ties.get(name, name)
        acting = [actor for actor in actors if actor.changes(key)]
        moved = source.tensors[name].read(name) if acting else None
        if moved is not None:
            dtype, moved = moved.dtype, moved if len(acting) == 1 else _wide(moved)
            for actor in acting:
                moved = actor.result(key, moved)
            moved = moved.to(dtype)
        done += 1
        if progress is not None:
            progress(done, len(source.tensors))
        return moved

    _write_all(source, target, changed)
    return summary(spec, {name: part for step in steps for name, part in step.items()}, source.shapes)


def _chained(
    spec: Spec,
    steps: Sequence[Mapping[str, Tensor]],
    sizes: Mapping[str, int],
    read: Callable[[str], Tensor],
    inverse: bool,
) -> list[Actor]:
    """An actor for every element, each reading what the one before it gives."""
    actors: list[Actor] = []
    for step in steps:
        before = actors[-1].result if actors else read
        actors.append(Actor(spec, step, sizes, before, inverse=inverse, owned=True))
    return actors


def _wide(tensor: Tensor) -> Tensor:
    """The tensor in the precision in which several elements act on it one after another."""
    if not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.float64 if tensor.dtype.itemsize >= 4 else torch.float32)


def summary(spec: Spec, element: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> Applied:
    """Which tensors of these shapes the element changes, and how many of their entries."""
    spaces = tuple(space for name, space in spec.spaces.items() if name in element)
    acted = {name for space in spaces for name in acted_tensors(spec, space)}
    keys = {name: spec.ties.get(name, name) for name in shapes}
    by_key = {key: shapes[name] for name, key in keys.items()}
    return Applied(
        spaces=spaces,
        changed=tuple(name for name, key in keys.items() if key in acted),
        untouched=tuple(name for name, key in keys.items() if key in spec.axes and key not in acted),
        unnamed=tuple(name for name, key in keys.items() if key not in spec.axes),
        entries=sum(math.prod(shape) for shape in by_key.values()),
        acted=acted_entries(spec, by_key, spaces),
    )


def check_target(source: Checkpoint, target: Path) -> None:
    """Refuse to write over what is read, or a folder where a file must be."""
    inputs = [file.path for file in source.files] + ([source.index] if source.index else [])
    outputs = [target / path.name for path in inputs] if source.folder else [target]
    for output in outputs:
        if any(output.exists() and output.samefile(path) for path in inputs):
            raise ConfigError(
                "the output is the input", where=str(output), hint="write to another place, and move it afterwards"
            )
    if target.is_file() if source.folder else target.is_dir():
        what = "a folder" if source.folder else "a file"
        raise ConfigError(f"the output must be {what}", where=str(target), hint="choose another name")
    if not target.parent.is_dir():
        raise ConfigError(
            f"the folder '{target.parent}' does not exist", where=str(target), hint=f"mkdir -p {target.parent}"
        )


def _write_all(source: Checkpoint, target: Path, changed: Callable[[str], Tensor | None]) -> None:
    """Write into a temporary folder beside the target; move the files when all are whole."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    new = source.folder and not target.exists()
    try:
        temporary.mkdir()
        for file in source.files:
            file.rewrite(temporary / file.path.name, changed)
        if source.index is not None:
            shutil.copyfile(source.index, temporary / source.index.name)
        if new:
            target.mkdir()
        for path in sorted(temporary.iterdir()):
            os.replace(path, target / path.name if source.folder else target)
    except OSError as error:
        raise ConfigError(
            f"the checkpoint cannot be written: {error.strerror}", where=str(target), hint="choose another place"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if new:
            with contextlib.suppress(OSError):
                target.rmdir()  # only if nothing came into it
