"""What the user says about who measures, and which of it goes together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from symcheck.errors import ConfigError
from symcheck.registry import suggest


class Spread(TypedDict, total=False):
    """Options of `symcheck.audit`, all of which may be left out.

    `devices` of this machine; the address of a dask `scheduler`; `shard` (i, n), with the file for its `parts`;
    the folder in which finished units are kept to `resume`. A `recipe` gives (subject, inputs) on a worker.
    """

    devices: Sequence[str]
    scheduler: str
    shard: tuple[int, int]
    parts: Path
    resume: Path
    recipe: Callable[[], tuple[Any, Any]]


_TOGETHER = (("devices", "scheduler"), ("shard", "scheduler"))


def check(spread: Mapping[str, Any], device: str | None, certified: bool) -> None:
    """Refuse options that are unknown, of a wrong value, or do not go together."""
    unknown = [name for name in spread if name not in Spread.__annotations__]
    if unknown:
        raise TypeError(f"audit() got an unexpected keyword argument '{unknown[0]}'"
                        f" ({suggest(unknown[0], list(Spread.__annotations__))})")  # fmt: skip
    for one, other in _TOGETHER:
        if one in spread and other in spread:
            raise _refused(f"{one} and {other} do not go together", f"leave out {one} or {other}")
    if certified and spread:
        raise _refused(f"a certificate is not drawn in parts: {', '.join(spread)}", "leave out certify, or the rest")
    if "devices" in spread and not spread["devices"]:
        raise _refused("there are no devices", "name some: cuda:0, cuda:1")
    if "devices" in spread and device not in (None, "auto"):
        raise _refused(f"device {device} and devices do not go together", "name all of them in devices")
    if "shard" in spread:
        index, count = spread["shard"]
        if not 1 <= index <= count:
            raise _refused(f"there is no shard {index} of {count}", "count from 1: (1, 4), ... (4, 4)")
    if "parts" in spread and "shard" not in spread:
        raise _refused("parts are written of a shard", "give shard=(i, n) too")


def _refused(what: str, hint: str) -> ConfigError:
    return ConfigError(what, where="options of audit", hint=hint)
