"""What `symcheck audit --replay` does: measure the worst pairs of an earlier run again, and compare."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from rich.console import Console

from symcheck.cli.run import file_settings, subject_of
from symcheck.errors import ConfigError
from symcheck.explaining.replays import code_in
from symcheck.explaining.replays import subject_of as subject_of_pair
from symcheck.measure.session import audit_runner
from symcheck.measure.worst import WorstPair, load_worst, replay, same_weights
from symcheck.report.numbers import number
from symcheck.subject import Subject
from symcheck.subject_file import DEFAULTS

_CODE = ("model", "calculator")


def replay_pairs(
    file: Path, path: Path | None, flags: Mapping[str, Any], allow_program: bool, console: Console
) -> None:
    """Recompute the stored worst pairs on the subject they came from, or on another checkpoint."""
    pairs, origin = load_worst(file)
    stored = _stored(origin)
    _check_word(file, stored, path, flags, allow_program)
    own = [text for text in code_in(pairs) if text not in flags.get("explainers", ())]
    if own and not allow_program:
        raise ConfigError(
            f"the file names code that would be run: '{own[0]}'",
            where=str(file),
            hint=f"if that is your explainer, add --explainer {shlex.quote(own[0])}",
        )
    known = path is None and any(stored[what] for what in ("checkpoint", *_CODE))
    settings = {**DEFAULTS, **stored, **({} if known else file_settings(path, flags)), **flags}
    with redirect_stdout(sys.stderr):
        subject = subject_of(settings, allow_program)
        same = same_weights(subject, origin)
        shown = [(pair, subject_of_pair(subject, pair)) for pair in pairs]
        values = [replay(pair, audit_runner(one, pair, settings["device"], settings["dtype"])) for pair, one in shown]
    if not same:
        console.print(f"note: {_otherwise(subject, origin, same)}", style="yellow", soft_wrap=True)
    for pair, value in zip(pairs, values, strict=True):
        scale = pair.spread or math.nan
        then, now = number(pair.error / scale, 4), number(value / scale, 4)
        slot = f"{pair.output}, {pair.part}" if pair.part else pair.output
        told = f"{now} now: {_word(pair, value, same)}"
        if pair.together:
            told = "its company is not in the file: audit again"
        console.print(f"{pair.claim}\n  {slot}: {then} of the spread then, {told}")


def _stored(origin: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the file itself holds; what a loader built is named by its checkpoint alone."""
    code, kind, path = str(origin.get("model") or ""), origin.get("format"), origin.get("path") or None
    what = "calculator" if kind == "calculator" else "model"
    return {
        **dict.fromkeys(_CODE), **({what: code} if ":" in code else {}),
        "checkpoint": f"hf:{path}" if kind == "transformers" else path,
        "arguments": origin.get("arguments", {}), "key": origin.get("key") or None,
        "derive": origin.get("derive", {}), "output": tuple(origin.get("output", ())),
        "takes": origin.get("takes") or None, "graph": origin.get("graph") or None,
        "dtype": origin.get("dtype", "as-is"),
    }  # fmt: skip


def _check_word(
    file: Path, stored: Mapping[str, Any], path: Path | None, flags: Mapping[str, Any], allow_program: bool
) -> None:
    """Refuse to run code only because a file of data names it."""
    stated = any(flags.get(what) for what in _CODE) or (path is not None and path.suffix == ".toml")
    what = next((what for what in _CODE if stored[what]), "")
    if what and not stated and not allow_program:
        raise ConfigError(
            f"the file names code that would be run: '{stored[what]}'",
            where=str(file),
            hint=f"if that is your network, add --{what} {shlex.quote(str(stored[what]))}",
        )


def _otherwise(subject: Subject, origin: Mapping[str, Any], same: bool | None) -> str:
    """In what the subject is not the one of then, as far as that is known, and what would be."""
    now = subject.source.path or f"{subject.source.model}, as its factory builds it"
    if same is None:
        return f"the file does not tell of which weights the pairs are; these are of {now}"
    if subject.source.path and subject.source.path == origin.get("path"):
        return f"other weights: the checkpoint {now} has changed since"
    before = origin.get("path") or f"{origin.get('model') or 'a network in memory'}, whose weights were in no file"
    needed = "" if subject.source.path else "; to replay the same network, give a checkpoint with its weights"
    return f"other weights: the pairs are of {before}; these are of {now}{needed}"


def _word(pair: WorstPair, value: float, same: bool | None) -> str:
    """How an error compares with the one of then; what other weights give is another measurement, not a change."""
    limit = 10 * pair.floor
    if pair.error <= limit and value <= limit:
        word = "both within rounding"
    elif str(value) == str(pair.error) or abs(value - pair.error) <= 0.01 * pair.error:  # also NaN then and now
        word = "the same"
    else:
        return {True: "changed", False: "other weights", None: "not the same"}[same]
    return f"{word}, with other weights" if same is False else word
