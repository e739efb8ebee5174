"""Names to objects: built-in modules first, then entry points, with a suggestion for a misspelt name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Generic, TypeVar

from symcheck.errors import ClaimError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


def suggest(word: str, known: Iterator[str] | list[str], otherwise: str = "") -> str:
    """A hint that names the closest known words; where none is close `otherwise`, or else all of them."""
    names = sorted(known)
    by_lower = {name.lower(): name for name in names}
    close = get_close_matches(word.lower(), list(by_lower), n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(f"'{by_lower[c]}'" for c in close) + "?"
    return otherwise or "known: " + ", ".join(names)


def plugins(group: str) -> tuple[EntryPoint, ...]:
    """What installed packages add under an entry point, not loaded; nothing when SYMCHECK_PLUGINS is set and empty."""
    if not group or os.environ.get("SYMCHECK_PLUGINS") == "":
        return ()
    from importlib.metadata import entry_points  # slow to load, and seldom needed

    return tuple(entry_points(group=group))


class Registry(Generic[T]):
    """Objects of one kind by name; `modules` register themselves when first imported."""

    def __init__(self, kind: str, modules: tuple[str, ...] = (), entry_point: str = "") -> None:
        self.kind = kind
        self._modules = modules
        self._entry_point = entry_point
        self._items: dict[str, T] = {}
        self._loaded = False

    def register(self, *names: str) -> Callable[[T], T]:
        """Decorator: make the object known under each of `names`."""

        def add(item: T) -> T:
            for name in names:
                if name in self._items and self._items[name] is not item:
                    raise ClaimError(
                        f"two {self.kind}s are called '{name}'",
                        where=f"{self._items[name]!r} and {item!r}",
                        hint="register the new one under another name",
                    )
                self._items[name] = item
            return item

        return add

    def get(self, name: str, *, where: str = "") -> T:
        """The object called `name`; an unknown name is an error with a suggestion."""
        self._load()
        if name not in self._items:
            self._load_plugin(name)
        if name not in self._items:
            known = [*self.names(), *(entry.name for entry in plugins(self._entry_point))]
            raise ClaimError(f"unknown {self.kind} '{name}'", where=where, hint=suggest(name, known))
        return self._items[name]

    def names(self) -> list[str]:
        """Every known name, sorted."""
        self._load()
        return sorted(self._items)

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            for module in self._modules:
                importlib.import_module(module)

    def _load_plugin(self, name: str) -> None:
        for entry in plugins(self._entry_point):
            if entry.name == name:
                self._items[name] = entry.load()
