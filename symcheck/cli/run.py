"""What `symcheck audit` does between parsing and rendering; how every command finds its subject and inputs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from symcheck.api import audit
from symcheck.cli.explaining_run import check_explainers, explained
from symcheck.cli.progress import progress
from symcheck.cli.spread import Asked
from symcheck.engines.store import clear
from symcheck.errors import ConfigError, LoadError
from symcheck.gate.files import asked, digests, read_files
from symcheck.loading import load_inputs, load_subject, read_subject_file
from symcheck.loading.structures import Structures
from symcheck.preset import with_preset
from symcheck.report.model import Report
from symcheck.report.write import check_path, worst_file, write_report
from symcheck.subject import Subject
from symcheck.subject_file import has_table, stated


def run_audit(
    path: Path | None,
    flags: Mapping[str, Any],
    allow_program: bool,
    worst: bool,
    spread: Asked,
    console: Console | None,
) -> Report:
    """Load the subject and its inputs, audit, write the files; flags beat the subject file, which beats defaults."""
    settings = with_preset({**file_settings(path, flags), **flags})
    outputs, options = spread.outputs, _spread(spread, settings, flags, allow_program)
    for output in outputs or []:
        check_path(output, keep=read_files(settings))
    check_explainers(settings, spread)
    subject, inputs = loaded(settings, allow_program)
    beside = worst_file(outputs[0]) if outputs else None
    with progress(console) as tell, redirect_stdout(sys.stderr):
        report = audit(
            subject, settings.get("claims") or None, inputs,
            samples=settings["samples"], elements=settings["elements"], seed=settings["seed"],
            tolerance=settings["tolerance"], device=settings["device"], dtype=settings["dtype"],
            batch_size=settings.get("batch_size"), worst=worst, save=beside, progress=tell, **options,
        )  # fmt: skip
    if settings.get("explainers"):
        report = explained(report, subject, inputs, settings, beside)
    given = settings.get("structures", settings.get("inputs"))
    own = {"inputs": given, "files": digests(settings, checkpoint=subject.source.sha256)}
    report = replace(report, settings={**report.settings, **own, "asked": asked(settings)})
    for output in outputs or []:
        write_report(report, output)
    if "resume" in options:
        clear(options["resume"])
    return report


def _spread(asked: Asked, settings: dict[str, Any], flags: Mapping[str, Any], allow_program: bool) -> dict[str, Any]:
    """Who measures, as options of `audit`; a device that only a file names gives way to them."""
    options = dict(asked.options)
    if "devices" in options and "device" not in flags:
        settings["device"] = "auto"
    if asked.device is not None and settings["device"] == "auto" and torch.cuda.is_available():
        settings["device"] = f"cuda:{asked.device % torch.cuda.device_count()}"
    if "scheduler" in options:
        options["recipe"] = partial(_loaded, dict(settings), allow_program, Path.cwd())
    return options


def _loaded(settings: Mapping[str, Any], allow_program: bool, folder: Path) -> tuple[Subject, dict[str, Tensor]]:
    """The subject and its inputs as another process sees them, relative paths from the `folder` of the first one."""
    if not folder.is_dir():
        raise LoadError("there is no such folder", where=str(folder), hint="work in a folder that all machines share")
    with chdir(folder):
        return loaded(settings, allow_program)


def loaded(
    settings: Mapping[str, Any], allow_program: bool, command: str = "audit"
) -> tuple[Subject, dict[str, Tensor]]:
    """The subject and its inputs; structures say how they were made, and energies stand on their reference."""
    subject = subject_of(settings, allow_program, command)
    if "structures" not in settings:
        inputs = inputs_of(settings, subject)
    else:
        found = structures_of(settings)
        subject, inputs = replace(subject, notes=(*subject.notes, found.how)), found.tensors
    if "reference" not in settings and subject.source.format != "calculator":
        return subject, inputs
    from symcheck.loading.atoms import referenced

    with redirect_stdout(sys.stderr):
        return referenced(subject, inputs, settings.get("reference")), inputs


def inputs_of(settings: Mapping[str, Any], subject: Subject | None = None) -> dict[str, Tensor]:
    """The inputs that the settings name, texts as the subject takes them; what a function prints goes to stderr."""
    if "structures" in settings:
        return structures_of(settings).tensors
    if "inputs" not in settings and settings.get("calculator"):
        raise ConfigError(
            "there are no structures to measure on",
            where="--structures",
            hint="give a file that ASE reads, builtin:molecules, builtin:crystals, or one such as builtin:Cu",
        )
    if "inputs" not in settings:
        raise ConfigError(
            "there are no inputs to measure on",
            where="--inputs",
            hint="give -i data.npz, -i module:function, or a stated distribution such as -i 'normal(3,32,32)'",
        )
    base = settings.get("base", Path.cwd())
    with redirect_stdout(sys.stderr):
        return load_inputs(
            settings["inputs"], samples=settings["samples"], seed=settings["seed"], base=base,
            encode=subject.encode if subject is not None else None,
        )  # fmt: skip


def subject_of(settings: Mapping[str, Any], allow_program: bool, command: str = "audit") -> Subject:
    """The subject that the settings name."""
    if settings.get("calculator"):
        from symcheck.loading.atoms import load_calculator

        return finished(load_calculator(settings["calculator"], settings.get("arguments", {})), settings)
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
    return finished(subject, settings)


def finished(subject: Subject, settings: Mapping[str, Any]) -> Subject:
    """The subject with what the settings say about its name, its outputs and how it is called."""
    own = {key: settings[key] for key in ("name", "derive", "output", "takes", "graph") if settings.get(key)}
    return replace(subject, **own)


def structures_of(settings: Mapping[str, Any]) -> Structures:
    """The atoms that the settings name, packed."""
    from symcheck.loading.structures import read_structures

    base = settings.get("base", Path.cwd())
    with redirect_stdout(sys.stderr):
        return read_structures(settings["structures"], samples=settings["samples"], seed=settings["seed"], base=base)


def file_settings(path: Path | None, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a subject file, of [tool.symcheck] here, or of a bare checkpoint."""
    if path is not None and path.suffix != ".toml":
        return {"checkpoint": path}
    if path is None:
        path = Path("pyproject.toml")
        if flags.get("model") or not has_table(path):
            return {}
    return stated(read_subject_file(path), path.resolve().parent, flags)
