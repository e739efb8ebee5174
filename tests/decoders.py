"""Small decoders on disk, and their re-labelled copies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from symcheck.patterns import parse_axes
from symcheck.weights.spec import Space, Spec
from symcheck.weights.stream import INDEX


@dataclass(frozen=True)
class Sizes:
    """The sizes of a decoder: key-value heads, queries for each, width of a head."""

    stream: int = 24
    hidden: int = 40
    kv: int = 3
    group: int = 2
    width: int = 4
    words: int = 150
    layers: int = 2


@dataclass(frozen=True)
class Pair:
    """A, and B = noise + a random element of the spec on A."""

    spec: Spec
    a: dict[str, Tensor]
    b: dict[str, Tensor]
    element: dict[str, Tensor]


Tensors = dict[str, tuple[tuple[int, ...], str]]


def decoder(sizes: Sizes, *, rotary: bool = True) -> tuple[Tensors, Spec]:
    """Shapes and patterns of the tensors: grouped queries, SwiGLU, RMSNorm; and the spec."""
    stream, hidden, width = sizes.stream, sizes.hidden, sizes.width
    query, key = sizes.kv * sizes.group * width, sizes.kv * width
    tensors: Tensors = {"embed": ((sizes.words, stream), ". res")}
    spaces = [Space("res", "permutation", stream)]
    for i in range(sizes.layers):
        h, kv, g, c, p, d, e = (f"{name}{i}" for name in ("h", "kv", "g", "c", "p", "d", "e"))
        code = (f"{c} {p}", f"{c} {p}") if rotary else (d, f"{d}'")
        block = {
            "q": ((query, stream), f"({kv} {g} {code[0]}) res"), "k": ((key, stream), f"({kv} {code[1]}) res"),
            "v": ((key, stream), f"({kv} {e}) res"), "o": ((stream, query), f"res ({kv} {g} {e}')"),
            "up": ((hidden, stream), f"{h} res"), "gate": ((hidden, stream), f"{h} res"),
            "down": ((stream, hidden), f"res {h}"), "norm1": ((stream,), "res"), "norm2": ((stream,), "res"),
        }  # fmt: skip
        tensors |= {f"layers.{i}.{name}": value for name, value in block.items()}
        ends = {f"layers.{i}.up": (1,), f"layers.{i}.down": (-1,)}
        spaces += [
            Space(h, "permutation", hidden), Space(f"{h}_scale", "scale", hidden, on=h, exponents=ends),
            Space(kv, "permutation", sizes.kv), Space(g, "permutation", sizes.group, over=(kv,)),
            Space(e, "general", width, over=(kv,)),
        ]  # fmt: skip
        ends = {f"layers.{i}.q": (1,), f"layers.{i}.k": (-1,)}
        spaces += (
            [Space(c, "rotation", 2, over=(kv, p)), Space(p, "scale", width // 2, over=(kv,), exponents=ends)]
            if rotary
            else [Space(d, "general", width, over=(kv,))]
        )
    tensors |= {"norm": ((stream,), "res"), "head": ((sizes.words, stream), ". res")}
    axes = {name: parse_axes(text) for name, (_, text) in tensors.items()}
    shapes = {name: shape for name, (shape, _) in tensors.items()}
    return tensors, Spec({space.name: space for space in spaces}, axes, shapes=shapes)


def hidden_by(spec: Spec, seed: int) -> dict[str, Tensor]:
    """A random element of what leaves norms alone: permutations, phases, and rotations for general matrices."""
    found = spec.sample(seed, kinds=("permutation", "rotation"))
    return found | {n: torch.linalg.qr(part)[0] for n, part in spec.sample(seed, kinds=("general",)).items()}


def pair(noise: float = 0.05, seed: int = 0, *, rotary: bool = True) -> Pair:
    """A small decoder with generic weights and gains, and its re-labelled copy with noise."""
    tensors, spec = decoder(Sizes(), rotary=rotary)
    rng = torch.Generator().manual_seed(seed)
    a = {name: torch.randn(shape, generator=rng) for name, (shape, _) in tensors.items()}
    element = hidden_by(spec, seed + 1)
    b = spec.apply(element, {n: x.double() for n, x in a.items()})
    b = {name: (x + noise * torch.randn(x.shape, generator=rng)).float() for name, x in b.items()}
    return Pair(spec, a, b, element)


def write(state: Mapping[str, Tensor], folder: Path, dtype: torch.dtype = torch.float32, shards: int = 3) -> Path:
    """A folder of shards with an index."""
    folder.mkdir()
    where = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(state)}
    for file in sorted(set(where.values())):
        part = {name: x.to(dtype).contiguous() for name, x in state.items() if where[name] == file}
        save_file(part, folder / file, {"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
    return folder
