"""Plain data from files that nobody vouches for, read value by value; what does not fit is named by its place."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from symcheck.errors import LoadError
from symcheck.report.reading import shown

_LONG = 120  # characters of a name that are shown


@dataclass(frozen=True)
class Entry:
    """One value of a document and its place in it, `attribution.modules[3].share`.

    All that reads it raises `LoadError` with the place where the value is missing or of another kind.
    """

    value: Any
    place: str = ""

    def __getitem__(self, key: str) -> Entry:
        """What an object holds under this name; null where it holds nothing."""
        return Entry(self._object().get(key), f"{self.place}.{key}" if self.place else key)

    def __bool__(self) -> bool:
        """Whether there is anything: not null, nothing empty."""
        return self.value not in (None, "", [], {}, ())

    def __iter__(self) -> Iterator[Entry]:
        """The values of a list; none where it is null."""
        if self.value is None:
            return
        if not isinstance(self.value, list | tuple):
            self.refuse("a list")
        for i, one in enumerate(self.value):
            yield Entry(one, f"{self.place}[{i}]")

    @property
    def named(self) -> Mapping[str, Entry]:
        """The values of an object by name; none where it is null."""
        return {} if self.value is None else {str(key): self[key] for key in self._object()}

    @property
    def text(self) -> str:
        """Text, empty where it is null; the middle of what is very long goes."""
        if self.value is not None and not isinstance(self.value, str):
            self.refuse("text")
        return brief(self.value or "")

    @property
    def whole(self) -> str:
        """Text in full length."""
        return str(self.value) if self.text else ""

    @property
    def number(self) -> float:
        """A number; NaN where it is null."""
        if self.value is None:
            return math.nan
        if type(self.value) not in (int, float) or abs(self.value) > sys.float_info.max:
            self.refuse("a number")
        return float(self.value)

    @property
    def optional(self) -> float | None:
        """A number, or None."""
        return None if self.value is None else self.number

    @property
    def count(self) -> int:
        """A whole number."""
        if type(self.value) is not int or abs(self.value) > sys.float_info.max:
            self.refuse("a whole number")
        return int(self.value)

    @property
    def flag(self) -> bool:
        """True or false."""
        if type(self.value) is not bool:
            self.refuse("true or false")
        return bool(self.value)

    @property
    def texts(self) -> list[str]:
        """A list of text."""
        return [one.text for one in self]

    @property
    def sentences(self) -> list[str]:
        """A list of text in full length."""
        return [one.whole for one in self]

    @property
    def numbers(self) -> list[float]:
        """A list of numbers."""
        return [one.number for one in self]

    @property
    def places(self) -> list[int]:
        """A list of whole numbers that are not negative."""
        found = [one.count for one in self]
        if any(place < 0 for place in found):
            self.refuse("a list of places")
        return found

    @property
    def by_name(self) -> dict[str, float]:
        """Numbers by name."""
        return {name: one.number for name, one in self.named.items()}

    def at(self, place: int) -> Entry:
        """One value of a list."""
        values = list(self)
        if not 0 <= place < len(values):
            raise LoadError(f"the document cannot be shown: {self.place} has no entry {place}", where="report",
                            hint="write it again with the command that made it")  # fmt: skip
        return values[place]

    def refuse(self, what: str) -> NoReturn:
        """Raise `LoadError`: here stands something else."""
        raise LoadError(
            f"the document cannot be shown: {self.place or 'it'} is {shown(self.value)}, not {what}",
            where="report",
            hint="write it again with the command that made it",
        )

    def _object(self) -> Mapping[str, Any]:
        if not isinstance(self.value, Mapping):
            self.refuse("an object")
        found: Mapping[str, Any] = self.value
        return found


def brief(words: str, most: int = _LONG) -> str:
    """Words of at most `most` characters: of longer ones the middle goes."""
    half = (most - 1) // 2
    return words if len(words) <= most else f"{words[:half]}…{words[-half:]}"
