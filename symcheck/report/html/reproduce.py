"""The command that repeats a run, from what its document says of itself."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from symcheck.report.model import Report

_LOADED = "transformers"  # the format of what hf:FOLDER loads, whose network is no factory


def audit_command(report: Report) -> str:
    """`symcheck audit …`, `weights …` or `gate …` with the claims, inputs and settings of the report."""
    subject, settings, environment = report.subject, report.settings, report.environment
    if settings.get("gate"):  # a question that only a gate asks
        return shlex.join(["symcheck", "gate", "--only", str(settings["gate"])])
    weights = "weights" in settings
    words = ["symcheck", "weights" if weights else "audit", *_texts([_checkpoint(subject)])]
    if not weights and not report.proposed:
        words += _texts(settings.get("claims") or dict.fromkeys(finding.claim for finding in report.findings))
    words += _model(subject)
    asked = settings.get("asked") or {}
    words += ["--structures", str(settings["inputs"])] if "structures" in asked else _inputs(settings.get("inputs"))
    words += [] if weights else _outputs(asked)
    for name, default in (("samples", 64), ("elements", 32), ("seed", 0), ("tolerance", 1e-3)):
        value = settings.get(name)
        if not weights and value is not None and value != default and isinstance(value, int | float):
            words += [f"--{name}", f"{value:g}"]
    if weights and settings.get("seed"):
        words += ["--seed", str(settings["seed"])]
    dtype = asked.get("dtype") or environment.get("dtype")
    if not weights and dtype not in (None, "float32", "as-is"):
        words += ["--dtype", str(dtype)]
    return shlex.join(words)


def pair_command(data: Mapping[str, Any], command: str) -> str:
    """`symcheck connect A B …` and its like, from a document that names its checkpoints."""
    settings = data.get("settings") or {}
    sources = data.get("checkpoints") or data.get("sources") or ()
    words = ["symcheck", command, *_texts(source.get("path") for source in sources)]
    words += _model(settings)
    words += _inputs(settings.get("inputs") or (data.get("data") or {}).get("inputs"))
    words += ["--method", str(data["method"])] if command == "merge" and data.get("method") else []
    for claim in settings.get("mechanisms") or ():
        words += ["--mechanisms", str(claim)]
    words += ["--seed", str(settings["seed"])] if settings.get("seed") else []
    return shlex.join(words)


def subject_command(data: Mapping[str, Any], command: str) -> str:
    """`symcheck locate FILE …` and its like, from a document that names its subject."""
    subject, settings = data.get("subject") or {}, data.get("settings") or {}
    words = ["symcheck", command, *_texts([_checkpoint(subject)])]
    words += ["-c", str(data["claim"])] if data.get("claim") else []
    words += _model(subject)
    located = command == "locate"
    words += _inputs(settings.get("inputs" if located else "source of inputs"))
    if settings.get("source of structures"):
        words += ["--structures", str(settings["source of structures"])]
    for flag, key in (("--part", "parts"),) if located else (("--under", "under"), ("--input", "inputs")):
        found = settings.get(key)
        words += [word for one in (found if isinstance(found, list | tuple) else ()) for word in (flag, str(one))]
    for name, default in (("samples", 64 if located else 256), ("elements", 32), ("seed", 0), ("tolerance", 1e-3)):
        value = settings.get(name)
        if value is not None and value != default and isinstance(value, int | float):
            words += [f"--{name}", f"{value:g}"]
    hidden = settings.get("hidden")
    for path, action in (hidden if isinstance(hidden, Mapping) else {}).items():
        words += ["--hidden", f"{path}={action}"]
    return shlex.join(words)


def _model(about: Mapping[str, Any]) -> list[str]:
    """The factory with its arguments, and the entry of the file."""
    code, what = str(about.get("model") or ""), "calculator" if about.get("format") == "calculator" else "model"
    words = [f"--{what}", code] if code and about.get("format") != _LOADED else []
    arguments = about.get("arguments")
    for name, value in (arguments if isinstance(arguments, Mapping) else {}).items():
        words += ["-m", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    return words + (["--key", str(about["key"])] if about.get("key") else [])


def _checkpoint(subject: Mapping[str, Any]) -> str:
    """The checkpoint as it is given on the command line."""
    path = str(subject.get("path") or "")
    return f"hf:{path}" if subject.get("format") == _LOADED else path


def _outputs(asked: Mapping[str, Any]) -> list[str]:
    """What is measured, and how graphs are passed."""
    words = [word for name, text in (asked.get("derive") or {}).items() for word in ("--derive", f"{name}={text}")]
    words += [word for name in asked.get("output") or () for word in ("--output", str(name))]
    return words + [word for key in ("takes", "graph") if asked.get(key) for word in (f"--{key}", str(asked[key]))]


def _inputs(inputs: Any) -> list[str]:
    if isinstance(inputs, Mapping):
        return [word for name, source in inputs.items() for word in ("-i", f"{name}={source}")]
    return ["-i", str(inputs)] if inputs else []


def _texts(values: Sequence[Any] | Any) -> list[str]:
    return [str(value) for value in ([values] if isinstance(values, str) else values) if value]
