"""Where `symcheck align` may write: refused before anything is run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from symcheck.errors import ConfigError


def check_outputs(outputs: Mapping[str, Path | None], *, force: bool, folder: bool, several: bool) -> None:
    """Every output can be written, is no other output, and replaces nothing unless asked to.

    `outputs` are -o, --save-element, --save-spec and --report, where given. `folder`: the aligned checkpoint is a
    folder of shards; `several`: there are more checkpoints than one.
    """
    given = {option: path for option, path in outputs.items() if path is not None}
    suffixes = {"--save-spec": (".toml", ".json"), "--report": (".json",)}
    if not several:
        suffixes |= {"--save-element": (".safetensors",), **({} if folder else {"-o": (".safetensors",)})}
    for option, path in given.items():
        where = f"{option} {path}"
        _check_folder(path.parent, where)
        if option in suffixes and path.suffix not in suffixes[option]:
            hint = f"end in {' or '.join(suffixes[option])}"
            raise ConfigError(f"nothing is written as '{path.suffix or path.name}'", where=where, hint=hint)
        if option not in suffixes and (path.is_file() or (several and path.suffix)):
            what = "several checkpoints need a folder" if several else "a folder of shards becomes a folder"
            raise ConfigError(what, where=where, hint=f"give {option} FOLDER")
        if (path.is_file() or (path.is_dir() and any(path.iterdir()))) and not force:
            raise ConfigError("the output exists", where=where, hint="choose another name, or add --force")
        for other, second in given.items():
            if other != option and second.resolve() == path.resolve():
                raise ConfigError("two outputs have one name", where=f"{option} and {other} {path}", hint="give two")


def _check_folder(folder: Path, where: str) -> None:
    if not folder.is_dir():
        raise ConfigError(f"the folder '{folder}' does not exist", where=where, hint=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"the folder '{folder}' cannot be written", where=where, hint="choose another place")
