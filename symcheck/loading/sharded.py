"""A checkpoint in several safetensors files, all of it: a folder, or the index that names the shards."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from symcheck.files import shards
from symcheck.loading.data import read_safetensors, safetensors_names


def sharded_names(path: Path) -> list[str]:
    """The names of all tensors; LoadError unless each is in one shard, and every shard is there and whole."""
    found = shards(path)
    return [*found.holders({file: safetensors_names(file) for file in found.files})]


def read_sharded(path: Path) -> dict[str, Tensor]:
    """Every tensor by name, on the CPU; LoadError as for the names."""
    sharded_names(path)  # before gigabytes are read for nothing
    return {name: tensor for file in shards(path).files for name, tensor in read_safetensors(file).items()}
