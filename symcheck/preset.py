"""Presets: the claims of a whole family of networks, in plain files that a user can copy and edit. No torch.

A preset is a subject file without a checkpoint. Its claims are templates: a slot has several names, is optional, or
stands for the rest, `O(3): pos|R=points, cell?=lattice, *=scalar -> energy=scalar, forces?=vector`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from symcheck.errors import ClaimError, ConfigError, DataError
from symcheck.files import readable
from symcheck.grammar import Slot, parse_claim
from symcheck.registry import plugins, suggest
from symcheck.subject_file import DEFAULTS, read_subject_file

PLUGINS = "symcheck.presets"  # entry points that name a file
_REST = "*"
_UNNAMED = re.compile(r"(input|output|arr_)\d*")
KEYS = ("claims", "samples", "elements", "tolerance", "takes", "graph", "output", "derive")


class Templates(tuple[str, ...]):
    """Claims that leave open what the slots are called and which of them there are."""


@dataclass(frozen=True)
class Missing:
    """A template that does not apply to the data or the model, and what they lack."""

    claim: str
    why: str

    def __str__(self) -> str:
        return f"{parse_claim(self.claim).group} ({self.why})"


def read_preset(name: str | Path) -> dict[str, Any]:
    """What a preset states: settings under those of the subject file and the flags, and keywords of `symcheck.audit`.

    `name` is a preset of ours, one of a plug-in, or a file ending in .toml. Raises ConfigError for an unknown name, for
    keys that belong to one network or one run, and for a preset without claims; ClaimError for a claim that is none.
    """
    path = _path(str(name))
    stated = {key: value for key, value in vars(read_subject_file(path)).items() if value not in (None, {}, [], ())}
    if foreign := [key for key in stated if key not in KEYS]:
        raise ConfigError(
            f"a preset has no '{foreign[0]}': it serves every network of its family",
            where=f"{path}, key '{foreign[0]}'",
            hint=f"put it into a subject file, beside preset = '{name}'",
        )
    if "claims" not in stated:
        raise ConfigError("the preset has no claims", where=str(path), hint='add claims = ["C4: image -> invariant"]')
    for claim in stated["claims"]:
        parse_claim(claim)
    return {**stated, "claims": Templates(stated["claims"])}


def with_preset(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings above those of the preset that they name, above the defaults."""
    family = read_preset(settings["preset"]) if "preset" in settings else {}
    return {**DEFAULTS, **family, **settings}


def preset_text(name: str) -> str:
    """The file of a preset as it stands, to be copied."""
    return _path(name).read_text(encoding="utf-8")


def header(text: str) -> str:
    """The comment at the head of a preset, without its number signs."""
    found = re.match(r"(#.*\n)*", text)
    return re.sub(r"^# ?", "", found[0], flags=re.M).strip() if found else ""


def built_in() -> dict[str, Path]:
    """The files of our own presets by name."""
    folder = Path(str(files("symcheck"))) / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def settled(text: str) -> str:
    """A claim that leaves nothing open, as it is. Raises ClaimError for another name, an optional slot, a rest."""
    tree = parse_claim(text)
    for slot in (*tree.inputs, *tree.outputs):
        if slot.name and (slot.name == _REST or "|" in slot.name or slot.name.endswith("?")):
            raise ClaimError(
                f"'{text}' leaves '{slot.name}' open",
                where=f"the slot '{slot}'",
                hint="name what is there, or put the claim into a preset: --preset mine.toml",
            )
    return text


def fit_inputs(text: str, names: Sequence[str]) -> str | Missing:
    """The template with its inputs called as the data call them, in their order; Missing where a needed one is not.

    One input alone takes the one needed slot, whatever it is called; inputs without names take the slots in order.
    Raises DataError for an input that the template does not name.
    """
    tree = parse_claim(text)
    found = _fit(tree.inputs, names, "input", text)
    return found if isinstance(found, Missing) else str(replace(tree, inputs=found))


def fit_outputs(text: str, names: Sequence[str]) -> str | Missing:
    """The template with its outputs called as the model calls them; as `fit_inputs`."""
    tree = parse_claim(text)
    found = _fit(tree.outputs, names, "output", text)
    return found if isinstance(found, Missing) else str(replace(tree, outputs=found))


def output_names(text: str) -> list[str]:
    """What a template calls its outputs: the first of the names of each slot."""
    return [_names(slot)[0] for slot in _stated(parse_claim(text).outputs) if slot.name]


def _fit(slots: tuple[Slot, ...], names: Sequence[str], kind: str, text: str) -> tuple[Slot, ...] | Missing:
    stated, rest = _stated(slots), [slot for slot in slots if slot.name == _REST]
    chosen = {hit: slot for slot in stated if slot.name and (hit := _hit(slot.name, names))}
    left = [name for name in names if name not in chosen]
    if not chosen or all(map(_UNNAMED.fullmatch, left)):
        chosen |= _by_position([slot for slot in stated if slot not in chosen.values()], left)
    lacking = [slot for slot in stated if not _optional(slot) and slot not in chosen.values()]
    if lacking or (stated and not chosen):
        what = " or ".join(_names((lacking or stated)[0])) or f"for each of its {len(stated)} slots"
        return Missing(text, f"there is no {kind} {what}, but {', '.join(names) or 'none'}")
    extra = [name for name in names if name not in chosen]
    if extra and not rest:
        raise DataError(
            f"the preset's claim '{text}' does not declare the {kind}(s) {', '.join(extra)}",
            where=f"the {kind}s are: {', '.join(names)}",
            hint=f"copy the preset and add {extra[0]}={'scalar' if kind == 'input' else 'ignore'} to its claims, "
            "or leave it out",
        )
    return tuple(replace(chosen[name] if name in chosen else rest[0], name=name) for name in names)


def _by_position(slots: Sequence[Slot], names: Sequence[str]) -> dict[str, Slot]:
    """The slots that names without a meaning take: the needed ones if they are as many, else the first ones."""
    needed = [slot for slot in slots if not _optional(slot)] or list(slots[:1])
    alone = len(names) == len(needed) == 1
    if not (alone or all(map(_UNNAMED.fullmatch, names)) or all(slot.name is None for slot in slots)):
        return {}
    taken = needed if len(needed) == len(names) else slots[: len(names)]
    return dict(zip(names, taken, strict=True)) if len(taken) == len(names) else {}


def _hit(wanted: str, names: Iterable[str]) -> str | None:
    """The first of the alternatives that is there."""
    return next((name for name in wanted.rstrip("?").split("|") if name in names), None)


def _stated(slots: Iterable[Slot]) -> list[Slot]:
    return [slot for slot in slots if slot.name != _REST]


def _names(slot: Slot) -> list[str]:
    return slot.name.rstrip("?").split("|") if slot.name else []


def _optional(slot: Slot) -> bool:
    return slot.name is not None and slot.name.endswith("?")


def _path(name: str) -> Path:
    """The file of a preset: one that ends in .toml, one of ours, one of a plug-in."""
    if name.endswith(".toml"):
        return readable(name)
    own = built_in()
    if name in own:
        return own[name]
    added = {entry.name: entry for entry in plugins(PLUGINS)}
    if name in added:
        return readable(added[name].load())
    raise ConfigError(
        f"unknown preset '{name}'",
        where="preset",
        hint=suggest(name, [*own, *added], "symcheck list presets shows them all; a file of your own ends in .toml"),
    )
