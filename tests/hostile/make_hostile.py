"""Files that mean harm or are damaged, each each wrong in one way; every maker returns the path."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

NETWORK = "from torch import nn\n\ndef net():\n    return nn.Linear(3, 4)\n"


class Bomb:
    """A pickle of this object runs `touch marker` when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


class Call:
    """A pickle of this object calls `function(*arguments)` when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def _text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def named(module: str, name: str, *arguments: str) -> bytes:
    """A pickle of protocol 4, by hand: the object `module.name`, called with each argument in turn."""
    calls = b"".join(_text(word) + b"\x85R" for word in arguments)
    return b"\x80\x04" + _text(module) + _text(name) + b"\x93" + calls + b"."


def hand_made(folder: Path, content: bytes) -> Path:
    """What torch.save writes, with another pickle inside."""
    return rewritten(saved(folder, {"x": 1}), lambda name, data: content if name == "data.pkl" else data)


def builtin_bomb(folder: Path, marker: Path) -> Path:
    """Reaches `eval` through a function that is allowed, by the dotted name `f.__builtins__.get`."""
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    return hand_made(folder, named("torch._utils", "_rebuild_tensor.__builtins__.get", "eval", code))


def network(folder: Path) -> str:
    """What --model takes for the network of every weights file here."""
    (folder / "net.py").write_text(NETWORK)
    return f"{folder / 'net.py'}:net"


def state_dict() -> dict[str, Any]:
    return dict(nn.Linear(3, 4).state_dict())


def saved(folder: Path, content: object, *, legacy: bool = False) -> Path:
    path = folder / "file.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def exported(folder: Path) -> Path:
    """A real .pt2 with symbolic sizes, guards and sample inputs."""
    batch = torch.export.Dim("batch", min=2, max=64)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh()).eval()
    program = torch.export.export(network, (torch.randn(3, 3),), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "file.pt2")
    return folder / "file.pt2"


def rewritten(path: Path, change: Callable[[str, bytes], bytes] = lambda name, data: data) -> Path:
    """The zip archive with every member passed through `change(name without root, content)`."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            archive.writestr(name, change(name.partition("/")[2], content))
    return path


def added(path: Path, name: str, content: bytes) -> Path:
    """The zip archive with one more member under its root."""
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].partition("/")[0]
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{root}/{name}", content)
    return path


def bomb_bytes(marker: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save((Bomb(marker),), buffer)
    return buffer.getvalue()


def sample_input_bomb(folder: Path, marker: Path) -> Path:
    def change(name: str, data: bytes) -> bytes:
        return bomb_bytes(marker) if name == "data/sample_inputs/model.pt" else data

    return rewritten(exported(folder), change)


def weight_bomb(folder: Path, marker: Path) -> Path:
    """One weight is declared as pickled, and its bytes are a bomb."""

    def change(name: str, data: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            config = json.loads(data)
            next(iter(config["config"].values()))["use_pickle"] = True
            return json.dumps(config).encode()
        return bomb_bytes(marker) if name == "data/weights/weight_0" else data

    return rewritten(exported(folder), change)


def constant_bomb(folder: Path, marker: Path) -> Path:
    """An opaque constant, which torch unpickles with the plain pickle module."""

    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("constants_config.json"):
            return data
        payload = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        return json.dumps({"config": {"evil": payload}}).encode()

    path = rewritten(exported(folder), change)
    return added(path, "data/constants/opaque_obj_0", pickle.dumps(Bomb(marker)))


def edited_graph(folder: Path, old: str, new: str) -> Path:
    """The text of the graph with `old` replaced wherever it stands in a JSON text."""

    def change(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        inside = json.dumps(old)[1:-1]
        text = data.decode()
        if inside not in text:
            raise LookupError(f"the graph holds no {old}")
        return text.replace(inside, json.dumps(new)[1:-1]).encode()

    return rewritten(exported(folder), change)


def symbol_in_graph(folder: Path) -> str:
    """The text of the batch size in the graph, such as Symbol('s77', positive=True, integer=True)."""
    with zipfile.ZipFile(exported(folder)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("models/model.json"))
        graph = json.loads(archive.read(name))["graph_module"]["graph"]
    sizes = graph["tensor_values"]["input"]["sizes"]
    return str(sizes[0]["as_expr"]["expr_str"])


def size_bomb(folder: Path, marker: Path) -> Path:
    """A symbolic size that is Python code, which sympify evaluates."""
    code = f"__import__('os').system(\"touch '{marker}'\")"
    return edited_graph(folder, symbol_in_graph(folder), code)


def nested_size_bomb(folder: Path, marker: Path) -> Path:
    """The same inside a text argument, which sympy evaluates in turn."""
    code = f"Max(__import__('os').system(\"touch '{marker}'\"), 2)"
    return edited_graph(folder, symbol_in_graph(folder), f"Max({code!r}, 2)")


def guard_bomb(folder: Path, marker: Path) -> Path:
    def change(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        graph = json.loads(data)
        graph["guards_code"] = [f"__import__('pathlib').Path({str(marker)!r}).touch() is None"]
        return json.dumps(graph).encode()

    return rewritten(exported(folder), change)


def operator_bomb(folder: Path) -> Path:
    return edited_graph(folder, "torch.ops.aten.tanh.default", "torch.serialization.os.system")


def library_bomb(folder: Path) -> Path:
    return edited_graph(folder, "torch.ops.aten.tanh.default", "torch.ops.load_library")


def registry_call(folder: Path) -> Path:
    return edited_graph(folder, "torch.ops.aten.tanh.default", "torch.ops.loaded_libraries.add")


def native_code(folder: Path) -> Path:
    return added(exported(folder), "data/aotinductor/model/code.so", b"\x7fELF")


def member_twice(folder: Path, marker: Path) -> Path:
    """A bomb and a good payload of one name: which one counts depends on the reader."""
    with zipfile.ZipFile(exported(folder)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("sample_inputs/model.pt"))
        good = archive.read(name)
    path = sample_input_bomb(folder, marker)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(name, good)
    return path


def old_layout(folder: Path, marker: Path) -> Path:
    """Members without the root folder: torch falls back to its older reader, which unpickles the same way."""
    path = folder / "file.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", "8.1")
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_example_inputs.pt", bomb_bytes(marker))
    return path


def safetensors(folder: Path, header: object, data: bytes = b"", *, length: int | None = None) -> Path:
    """A safetensors file with any header, and any claim about its length."""
    text = json.dumps(header).encode()
    path = folder / "file.safetensors"
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def good_header() -> dict[str, Any]:
    return {
        "weight": {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48]},
        "bias": {"dtype": "F32", "shape": [4], "data_offsets": [48, 64]},
    }


def million_keys(folder: Path) -> Path:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return safetensors(folder, {f"k{i:06}": entry for i in range(1_000_000)})


def array_file(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "file.npz", **arrays)
    return folder / "file.npz"


def object_array(folder: Path, marker: Path) -> Path:
    array = np.empty(2, dtype=object)
    array[:] = [Bomb(marker), Bomb(marker)]
    return array_file(folder, images=array)


def swollen_archive(folder: Path) -> Path:
    """A quarter of a megabyte that unpacks to 256 MB of zeros."""
    path = folder / "file.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w") as member,
    ):
        for _ in range(256):
            member.write(bytes(2**20))
    return path


def boastful_archive(folder: Path) -> Path:
    """A member that declares four gigabytes in the directory of the archive and has none."""
    path = array_file(folder, images=np.zeros((2, 3), np.float32))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", b"")
        archive.getinfo("more.npy").file_size = 4_000_000_000
    return path


def lying_array(folder: Path) -> Path:
    """An array header that claims a trillion numbers."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (118 - len(header)) + b"\n"
    path = folder / "file.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64)
    return path
