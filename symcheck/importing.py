"""Objects named in text, `module:attr` or `path/to/file.py:attr`, with errors that say which step failed."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from symcheck.errors import LoadError
from symcheck.files import nearest
from symcheck.registry import suggest


def import_object(text: str, *, base: Path | None = None) -> Any:
    """The object that `module:attr` or `path/to/file.py:attr` names; `attr` may be dotted.

    Relative files and top-level modules are looked for in `base`, by default the working directory. A file is
    run under a private module name, once per version of its content; whatever it prints goes to stderr.
    Raises LoadError: no such module or file, the import fails (with its cause), or no such attribute.
    """
    module_name, colon, attribute = text.strip().rpartition(":")
    if not (colon and module_name and attribute):
        raise LoadError(
            f"'{text}' does not name an object in a module",
            where=f"'{text}'",
            hint="write module:name or path/to/file.py:name",
        )
    folder = Path.cwd() if base is None else Path(base)
    if module_name.endswith(".py"):
        module = _import_file(folder / Path(module_name).expanduser(), text)
    else:
        module = _import_module(module_name, folder, text)
    return _attribute(module, attribute, text)


def extra(module: str, name: str) -> Any:
    """The optional module `module`; LoadError says how the extra `name` is installed where it is missing."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name and f"{module}.".startswith(f"{error.name}.")):
            raise _failed(module, module, error) from error
        raise LoadError(
            f"this needs {error.name}, which is not installed",
            where=f"the optional package '{error.name}'",
            hint=f"install it with: pip install 'symcheck[{name}]'",
        ) from error
    except (Exception, SystemExit) as error:
        raise _failed(module, module, error) from error


def _import_module(name: str, folder: Path, text: str) -> ModuleType:
    """The named module; `folder` is searched last, so that it hides no installed package."""
    try:
        with _search(folder, front=False):
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise LoadError(
                f"no module is called '{error.name}'",
                where=f"'{text}'",
                hint="install it, run from the folder that holds it, or write path/to/file.py:name",
            ) from error
        raise _failed(name, text, error) from error


def _import_file(path: Path, text: str) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise LoadError(f"there is no file '{path}'", where=f"'{text}'", hint=nearest(path))
    digest = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()
    name = f"_symcheck_file_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"'{path}' is not a Python file", where=f"'{text}'", hint="it must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look the module up while it runs
    try:
        with _search(path.parent, front=True):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(str(path), text, error) from error
    return module


def _attribute(module: ModuleType, dotted: str, text: str) -> Any:
    found: Any = module
    for name in dotted.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            public = [known for known in dir(found) if not known.startswith("_")]
            raise LoadError(
                f"'{text.rpartition(':')[0]}' has no '{dotted}'",
                where=f"'{text}'",
                hint=suggest(name, public) if public else "it defines no public name",
            ) from None
    return found


def _failed(what: str, text: str, error: BaseException) -> LoadError:
    return LoadError(
        f"'{what}' fails to import: {type(error).__name__}: {error}",
        where=f"'{text}'",
        hint="mend that error first; --traceback shows where",
    )


@contextlib.contextmanager
def _search(folder: Path, *, front: bool) -> Iterator[None]:
    """Search `folder` for modules meanwhile, and keep what they print off stdout."""
    before, entry = list(sys.path), str(folder)
    if front:
        sys.path.insert(0, entry)
    else:
        sys.path.append(entry)
    importlib.invalidate_caches()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = before
