"""State dicts for the commands that act on weights, with or without the network that they belong to."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from symcheck.errors import ConfigError, LoadError
from symcheck.loading.contents import READERS
from symcheck.loading.nested import select_state
from symcheck.loading.sniff import Kind, sniff
from symcheck.weights.stream import open_checkpoint


def is_tensors(path: Path) -> bool:
    """Whether this is safetensors: a file, a folder of shards, or their index."""
    named = path.name.endswith((".index.json", ".safetensors"))
    return path.is_dir() or sniff(path) is Kind.SAFETENSORS or named


def read_state(path: Path, key: str | None) -> dict[str, Tensor]:
    """The state dict of a checkpoint of weights, all of it."""
    if not is_tensors(path):
        return pickled_state(path, key)
    if key is not None:
        raise ConfigError("a key belongs to a .pt file", where=f"--key {key}", hint="drop --key")
    return {name: file.read(name) for name, file in open_checkpoint(path).tensors.items()}


def pickled_state(path: Path, key: str | None) -> dict[str, Tensor]:
    """The state dict of a file of weights that is read whole: what torch.save or flax wrote, the weights of a graph."""
    kind = sniff(path)
    if kind not in READERS:
        raise LoadError(
            f"the file is no checkpoint of weights but {kind.value}",
            where=str(path),
            hint="give .safetensors, or the state dict that torch.save wrote",
        )
    state = select_state(READERS[kind](path), key, str(path))
    if other := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise LoadError(
            f"the state dict holds what is no tensor: {', '.join(other[:5])}",
            where=str(path),
            hint="save the tensors alone, or name with --key where they are",
        )
    return {name: value.detach() for name, value in state.items()}
