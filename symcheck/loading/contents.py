"""What a file of weights holds, whatever its format, and the names of its tensors where a header tells them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from symcheck.loading.data import read_safetensors, read_torch, safetensors_names
from symcheck.loading.msgpack import read_msgpack
from symcheck.loading.onnx import onnx_weights
from symcheck.loading.sharded import read_sharded, sharded_names
from symcheck.loading.sniff import Kind

READERS: Mapping[Kind, Callable[[Path], Any]] = MappingProxyType({
    Kind.SAFETENSORS: read_safetensors,
    Kind.SHARDS: read_sharded,
    Kind.TORCH: partial(read_torch, kind=Kind.TORCH),
    Kind.LEGACY: partial(read_torch, kind=Kind.LEGACY),
    Kind.MSGPACK: read_msgpack,
    Kind.ONNX: onnx_weights,
})  # fmt: skip
NAMES: Mapping[Kind, Callable[[Path], list[str]]] = MappingProxyType({
    Kind.SAFETENSORS: safetensors_names,
    Kind.SHARDS: sharded_names,
})
