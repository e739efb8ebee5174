"""Units that an interrupted run has finished, one file each, named by the digest of all that determines them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symcheck.engines.job import Done, Unit
from symcheck.errors import ConfigError, LoadError
from symcheck.measure.piece_file import load_pieces, save_pieces

_OURS = re.compile(r"\.?[0-9a-f]{32}\.safetensors(\.\d+\.tmp)?")


@dataclass
class Store:
    """A folder of finished units of one job; `notes` says what in it was not trusted."""

    folder: Path
    identity: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)

    def load(self, unit: Unit) -> Done | None:
        """What an earlier run has found of this unit; None where there is nothing, or nothing to be trusted."""
        path, about = self._path(unit), self._about(unit)
        if not path.exists():
            return None
        try:
            pieces, found = load_pieces(path)
            forwards = int(found.pop("forwards", 0))
            if found != json.loads(json.dumps(about, default=str)):
                raise LoadError("it is of another measurement", where=str(path), hint="measure it again")
        except LoadError as error:
            self.notes.append(f"a kept part was not trusted and measured again: {error.message}")
            return None
        return Done(unit, tuple(pieces), forwards)

    def keep(self, done: Done) -> None:
        """Write what a unit has found, whole or not at all."""
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the folder cannot be made: {error.strerror}", where=str(self.folder), hint="choose another place"
            ) from error
        save_pieces(self._path(done.unit), done.pieces, {**self._about(done.unit), "forwards": done.forwards})

    def _about(self, unit: Unit) -> dict[str, Any]:
        return {**self.identity, "claim": unit.text, "block": [unit.block.index, unit.block.count]}

    def _path(self, unit: Unit) -> Path:
        text = json.dumps(self._about(unit), sort_keys=True, default=str)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"


def clear(folder: Path) -> None:
    """Remove the finished units in a folder, those of other runs too, and the folder where nothing else is in it."""
    if not folder.is_dir():
        return
    for path in [path for path in folder.iterdir() if _OURS.fullmatch(path.name)]:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
