"""How long the work that is left will take, from what like work has taken so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Task = tuple[str, float]  # what kind of work, and how many entries it looks at


@dataclass
class Pace:
    """Seconds for every entry, by kind of work."""

    _spent: dict[str, tuple[float, float]] = field(default_factory=dict)

    def took(self, task: Task, seconds: float) -> None:
        """Remember how long a task took."""
        kind, entries = task
        before = self._spent.get(kind, (0.0, 0.0))
        self._spent[kind] = before[0] + seconds, before[1] + entries

    def left(self, tasks: Iterable[Task]) -> float | None:
        """The seconds that these tasks will take; kinds that were not met yet go like all others together."""
        seconds, entries = (sum(spent[k] for spent in self._spent.values()) for k in (0, 1))
        if not entries:
            return None
        rates = {kind: spent[0] / spent[1] for kind, spent in self._spent.items() if spent[1]}
        return sum(rates.get(kind, seconds / entries) * size for kind, size in tasks)
