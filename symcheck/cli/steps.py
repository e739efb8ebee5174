"""What a command is doing, step by step, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

Tell = Callable[[str], None]


@contextmanager
def steps(console: Console | None) -> Iterator[Tell]:
    """What is being done, on stderr; nothing when stderr is no terminal."""
    if console is None or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        yield lambda step: status.update(step)
