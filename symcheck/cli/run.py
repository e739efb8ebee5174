"""What `symcheck audit` does between parsing and rendering; how every command finds its subject and inputs."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from symcheck.api import audit, audit_runner
from symcheck.cli.progress import progress
from symcheck.errors import ConfigError
from symcheck.gate.files import digests
from symcheck.loading import SubjectFile, load_inputs, load_subject, read_subject_file
from symcheck.measure.worst import load_worst, replay
from symcheck.report.model import Report
from symcheck.report.numbers import number
from symcheck.report.write import write_report
from symcheck.subject import Subject

DEFAULTS = {"samples": 64, "elements": 32, "seed": 0, "tolerance": 1e-3, "device": "auto", "dtype": "as-is"}


def run_audit(
    path: Path | None,
    flags: Mapping[str, Any],
    allow_program: bool,
    worst: bool,
    outputs: list[Path] | None,
    console: Console | None,
) -> Report:
    """Load the subject and its inputs, audit, write the files; flags beat the subject file, which beats defaults."""
    settings = {**DEFAULTS, **file_settings(path, flags), **flags}
    subject = subject_of(settings, allow_program)
    inputs = inputs_of(settings)
    beside = outputs[0].with_suffix(".worst.safetensors") if outputs else None
    with progress(console) as tell, redirect_stdout(sys.stderr):
        report = audit(
            subject, settings.get("claims") or None, inputs,
            samples=settings["samples"], elements=settings["elements"], seed=settings["seed"],
            tolerance=settings["tolerance"], device=settings["device"], dtype=settings["dtype"],
            batch_size=settings.get("batch_size"), worst=worst, save=beside, progress=tell,
        )  # fmt: skip
    files = digests(settings, known={"checkpoint": subject.source.sha256})
    report = replace(report, settings={**report.settings, "inputs": settings["inputs"], "files": files})
    for output in outputs or []:
        write_report(report, output)
    return report


def inputs_of(settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """The inputs that the settings name; what a function of the user prints goes to stderr."""
    if "inputs" not in settings:
        raise ConfigError(
            "there are no inputs to measure on",
            where="--inputs",
            hint="give -i data.npz, -i module:function, or a stated distribution such as -i 'normal(3,32,32)'",
        )
    base = settings.get("base", Path.cwd())
    with redirect_stdout(sys.stderr):
        return load_inputs(settings["inputs"], samples=settings["samples"], seed=settings["seed"], base=base)


def replay_pairs(
    file: Path, path: Path | None, flags: Mapping[str, Any], allow_program: bool, console: Console
) -> None:
    """Recompute the stored worst pairs on the subject they came from, or on another checkpoint."""
    pairs, source = load_worst(file)
    stored = {
        "checkpoint": source.get("path") or None, "model": source.get("model") or None,
        "arguments": source.get("arguments", {}), "key": source.get("key") or None,
        "derive": source.get("derive", {}), "dtype": source.get("dtype", "as-is"),
    }  # fmt: skip
    settings = {**DEFAULTS, **stored, **file_settings(path, flags), **flags}
    with redirect_stdout(sys.stderr):
        subject = subject_of(settings, allow_program)
        values = [replay(pair, audit_runner(subject, pair, settings["device"], settings["dtype"])) for pair in pairs]
    if subject.source.sha256 != source.get("sha256"):
        console.print("note: the checkpoint has changed since", style="yellow")
    for pair, value in zip(pairs, values, strict=True):
        rounding = max(pair.error, value) <= 10 * pair.floor
        same = rounding or abs(value - pair.error) <= 0.01 * pair.error
        scale = pair.spread or math.nan
        then, now = number(pair.error / scale, 4), number(value / scale, 4)
        slot = f"{pair.output}, {pair.part}" if pair.part else pair.output
        word = "both within rounding" if rounding else "the same" if same else "changed"
        console.print(f"{pair.claim}\n  {slot}: {then} of the spread then, {now} now: {word}")


def subject_of(settings: Mapping[str, Any], allow_program: bool, command: str = "audit") -> Subject:
    """The subject that the settings name."""
    if not settings.get("checkpoint") and not settings.get("model"):
        raise ConfigError(
            "there is nothing to work on",
            where=f"symcheck {command}",
            hint="give a checkpoint, a subject file (.toml), --model module:factory, or a [tool.symcheck] table",
        )
    subject = load_subject(
        settings.get("checkpoint"), model=settings.get("model"), arguments=settings.get("arguments", {}),
        key=settings.get("key"), allow_program=allow_program,
    )  # fmt: skip
    name = settings.get("name") or subject.name
    return replace(subject, name=name, derive=settings.get("derive", {}))


def file_settings(path: Path | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a subject file, of [tool.symcheck] here, or of a bare checkpoint."""
    if path is not None and path.suffix != ".toml":
        return {"checkpoint": path}
    if path is None:
        path = Path("pyproject.toml")
        if flags.get("model") or not path.is_file() or "[tool.symcheck" not in path.read_text(encoding="utf-8"):
            return {}
    return settings_of(read_subject_file(path), path.resolve().parent, flags)


def settings_of(found: SubjectFile, folder: Path, flags: Mapping[str, Any]) -> dict[str, Any]:
    """What a subject file in `folder` states."""
    settings = {k: v for k, v in vars(found).items() if v not in (None, {}, [], ())}
    return {**settings, "base": folder} if "inputs" not in flags else settings
