"""Whole pickled objects, unpickled only with the user's word, and even then without what could run commands.

A pickle names functions and calls them. `Guard.find` sees every name before it is used, in the very
unpickler that loads the file, so that no second reading can disagree with the first. It is a second line of
defence, no proof: the class of a network is code of its package, and the user has allowed that code to run.
"""

from __future__ import annotations

import importlib
import io
import pickle
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, SimpleNamespace
from typing import IO, Any

import numpy as np
import torch
from torch import nn

from symcheck.errors import LoadError

_STANDARD = {
    "builtins": "set frozenset dict list tuple int float complex bool str bytes bytearray slice range object",
    "collections": "OrderedDict defaultdict deque Counter",
    "functools": "partial",
    "argparse": "Namespace",
    "types": "SimpleNamespace",
    "pathlib": "Path PurePath PosixPath PurePosixPath WindowsPath PureWindowsPath",
    "datetime": "date datetime time timedelta timezone",
    "copyreg": "_reconstructor",
    "typing": "Any",
    "_codecs": "encode",
}
_NUMPY = ("_reconstruct", "scalar", "ndarray", "dtype", "_frombuffer")
_TORCH = (
    "torch._utils._rebuild_",
    "torch._tensor._rebuild_from_type_v2",
    "torch.serialization._get_layout",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
)


def suspicious(full: str) -> bool:
    """Whether a refused `module.name` is one that no network needs."""
    module, _, name = full.rpartition(".")
    module, name = _current(module, name)
    if (module, name) == ("builtins", "getattr"):  # operators are pickled by it
        return False
    standard = module.partition(".")[0] in sys.stdlib_module_names
    return ".__" in full or (standard and name not in _STANDARD.get(module, "").split())


def _current(module: str, name: str) -> tuple[str, str]:
    """The name of today: protocol 2 writes that of Python 2, such as `__builtin__.xrange`."""
    module, name = NAME_MAPPING.get((module, name), (module, name))
    return IMPORT_MAPPING.get(module, module), name


def load_pickled(path: Path, data: bytes) -> tuple[Any, list[str]]:
    """The object that `torch.save` pickled whole into `data`, and the sorted names that it needed.

    Raises LoadError when a name could run commands or cannot be imported, or when the file is damaged.
    """
    guard = Guard(path)
    try:
        content = torch.load(
            io.BytesIO(data), map_location="cpu", weights_only=False, pickle_module=guard.module()
        )
    except LoadError:
        raise
    except Exception as error:  # anything may happen while a foreign object is rebuilt
        raise LoadError(
            f"the pickled object cannot be rebuilt: {type(error).__name__}: {error}",
            where=str(path),
            hint="where it was saved, save its state_dict(), and give that with --model module:factory",
        ) from error
    return content, sorted(guard.used)


class Guard:
    """The names that one pickle may use; third-party names only once a network of their package was named."""

    def __init__(self, path: Path) -> None:
        """`path` is named in errors."""
        self.path = path
        self.used: set[str] = set()
        self._trusted: set[str] = set()

    def module(self) -> Any:
        """What torch.load takes as `pickle_module`."""
        guard = self

        class Guarded(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                return guard.find(module, name)

        def load(file: IO[bytes], **options: Any) -> Any:
            return Guarded(file, **options).load()

        return SimpleNamespace(Unpickler=Guarded, load=load, __name__="symcheck.loading.pickled")

    def find(self, module: str, name: str) -> Any:
        """The object `module.name`, or LoadError."""
        module, name = _current(module, name)
        full = f"{module}.{name}"
        if full == "builtins.getattr":
            return self._operator
        root = module.partition(".")[0]
        standard = root in sys.stdlib_module_names
        if ".__" in f".{name}" or (standard and name not in _STANDARD.get(module, "").split()):
            raise self._refused(full)
        found = self._import(module, name, full)
        inside = "." in name and not isinstance(
            found, type
        )  # a path through an object, such as f.__globals__.get
        if inside or not (standard or self._allowed(root, full, found)):
            raise self._refused(full)
        self.used.add(full)
        return found

    def _operator(self, owner: Any, name: str) -> Any:
        """What stands in for getattr, by which pickles name operators such as torch.tanh."""
        if owner is not _OPERATORS or name.startswith("_") or name == "from_file":
            raise self._refused(f"builtins.getattr for {name}")
        self.used.add(f"torch.{name}")
        return getattr(owner, name)

    def _import(self, module: str, name: str, full: str) -> Any:
        try:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
            return found
        except (Exception, SystemExit) as error:
            raise LoadError(
                f"the pickle needs '{full}', which cannot be imported: {type(error).__name__}: {error}",
                where=str(self.path),
                hint="install its package or set PYTHONPATH to its folder; better, save a state_dict and give --model",
            ) from error

    def _allowed(self, root: str, full: str, found: Any) -> bool:
        home = str(getattr(found, "__module__", None) or "")
        if root == "torch":
            return _torch_allowed(full, home, found)
        if root == "numpy":
            return (home.startswith("numpy") and full.rpartition(".")[2] in _NUMPY) or _is_array_type(found)
        if home.partition(".")[0] != root:  # an import of its own, such as package.module.os.system
            return False
        if isinstance(found, type) and issubclass(found, nn.Module):
            self._trusted.add(root)
        return root in self._trusted and isinstance(found, type | FunctionType)

    def _refused(self, full: str) -> LoadError:
        return LoadError(
            f"the pickle would use '{full}', which no network needs and which may run commands",
            where=str(self.path),
            hint="do not load this file; ask its author for a state dict or a safetensors file",
        )


def _torch_allowed(full: str, home: str, found: Any) -> bool:
    if full.startswith(_TORCH) or isinstance(found, torch.dtype | torch.layout | torch.memory_format):
        return True
    if isinstance(found, type):
        own = home.startswith(("torch.nn.", "torch.ao.nn.", "torch.storage")) or found in _PLAIN_TYPES
        return own or full.endswith("Storage")
    if isinstance(found, FunctionType):
        return home.startswith(
            ("torch.nn.modules.", "torch.nn.functional", "torch.nn.init", "torch.nn.parameter")
        )
    # an operator that was stored as an activation, such as torch.tanh
    operator = full.rpartition(".")[0] in ("torch", "torch._C._nn")
    return operator and isinstance(found, BuiltinFunctionType) and full != "torch.from_file"


_OPERATORS: type = torch._C._VariableFunctionsClass  # type: ignore[attr-defined]
_PLAIN_TYPES = (torch.Size, torch.device, torch.Tensor, torch.Generator, _OPERATORS)


def _is_array_type(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, np.generic | np.dtype | np.ndarray)
