"""What a measurement rests on: its files, told apart by digests, and how it was asked for. It may be otherwise now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symcheck.files import is_sharded, scheme, sha256
from symcheck.subject_file import read_subject_file

_SUFFIXES = (
    ".py", ".npz", ".npy", ".safetensors", ".pt", ".pth", ".pt2", ".ckpt", ".bin", ".onnx", ".toml", ".txt",
    ".xyz", ".extxyz", ".cif", ".traj",
)  # fmt: skip
_CODE = re.compile(r"([^\s=*:]+\.py):[A-Za-z_]")  # a user's group, action or relation in a claim
_ASKED = (
    "model", "calculator", "arguments", "key", "derive", "output", "takes", "graph", "reference", "dtype", "inputs",
    "structures", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Digests:
    """SHA-256 of files, each taken once."""

    known: dict[Path, str] = field(default_factory=dict)

    def of(self, path: Path) -> str:
        """The digest of one file."""
        path = path.resolve()
        if path not in self.known:
            self.known[path] = sha256(path)
        return self.known[path]


def digests(settings: Mapping[str, Any], against: str = "", spec: str = "", checkpoint: str = "") -> dict[str, str]:
    """SHA-256 of the checkpoint, the code of the model, the inputs, the other checkpoint and the spec that are files.

    `settings` are those of a subject; the digest of its `checkpoint` may be known. The keys say what the files are
    for, so that they stay the same on another machine.
    """
    found = Digests()
    return {
        what: checkpoint if what == "checkpoint" and checkpoint else found.of(path)
        for what, path in _files(settings, against, spec)
    }


def asked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """How a measurement was asked for, without the folders of its files: what gives other numbers when it differs."""
    found = {name: _bare(settings[name]) for name in _ASKED if settings.get(name) not in (None, {}, "", ())}
    return {**found, "samples": settings["samples"], "elements": settings["elements"]}


def changed(
    before: Mapping[str, Any], settings: Mapping[str, Any], known: Digests, against: str = "", spec: str = ""
) -> str:
    """Which file is another one than before, in words; empty when none is, or when they are not here."""
    for what, path in _files(settings, against, spec):
        if before.get(what) and known.of(path) != before[what]:
            return f"{path.name} is another file than the one that was measured"
    return ""


def differs(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what a measurement was asked for otherwise than it is now; more samples and elements are as good."""
    for name in _ASKED:
        if before.get(name) != now.get(name):
            return f"it was measured with {name} {before.get(name)!r}, the gate asks for {now.get(name)!r}"
    for name in ("samples", "elements"):
        if not (before.get(name, 0) >= now[name]):
            return f"it was measured with {before.get(name)} {name}, the gate asks for {now[name]}"
    return ""


def read_files(settings: Mapping[str, Any], against: str = "", spec: str = "") -> list[Path]:
    """The files that a measurement reads."""
    return [path for _, path in _files(settings, against, spec)]


def _bare(value: Any) -> Any:
    """A setting without the folders of the files in it."""
    if isinstance(value, Mapping):
        return {str(name): _bare(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bare(item) for item in value]
    if isinstance(value, str) and "/" in value and "(" not in value:
        return value.rpartition("/")[2]
    return value if isinstance(value, bool | int | float | str) else str(value)


def _files(settings: Mapping[str, Any], against: str, spec: str) -> Iterator[tuple[str, Path]]:
    if against.endswith(".toml"):
        against = read_subject_file(against).checkpoint or against
    for what, text in _named(settings, against, spec):
        for name in (text, text.partition("(")[0], text.rpartition(":")[0]):
            if name and (Path(name).is_file() or is_sharded(Path(name))):
                yield what, Path(name)
                break


def _named(settings: Mapping[str, Any], against: str, spec: str) -> Iterator[tuple[str, str]]:
    """Every text that may name a file, with what the file is for."""
    inputs = settings.get("inputs") or {}
    own = {what: settings.get(what) for what in ("checkpoint", "model", "calculator", "structures", "preset")}
    if found := scheme(own["checkpoint"] or ""):
        own |= {"checkpoint": None, "folder": found[1]}
    named = {**own, "against": against, "spec": spec}
    named |= {f"inputs.{k}": v for k, v in inputs.items()} if isinstance(inputs, Mapping) else {"inputs": inputs}
    claims = settings.get("claims") or ()
    for claim in (claims,) if isinstance(claims, str) else claims:
        named |= {f"claims.{Path(file).name}": file for file in _CODE.findall(claim)}
    return ((what, str(text)) for what, text in named.items() if text)


def absent(settings: Mapping[str, Any], against: str = "", spec: str = "") -> Iterator[tuple[str, str]]:
    """What a subject or gate names that is no file here: what it is for, and its name."""
    for what, text in _named(settings, against, spec):
        path = text.rpartition(":")[0] if ".py:" in text else text
        if Path(path).suffix in _SUFFIXES and "(" not in path and not Path(path).exists():
            yield what, path
