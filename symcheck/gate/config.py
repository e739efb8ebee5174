"""The gates of a project: what must hold for which subject, read from symcheck.toml or [tool.symcheck]. No torch."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from symcheck.errors import ConfigError, SymcheckError
from symcheck.files import readable
from symcheck.gate.checks import check_gate, check_keys, refuse
from symcheck.gate.lines import Lines, tables
from symcheck.grammar import parse_claim
from symcheck.preset import with_preset
from symcheck.registry import suggest
from symcheck.report.outcome import Place
from symcheck.subject_file import (
    GATE_KEYS,
    SubjectFile,
    has_table,
    read_subject_file,
    read_table,
    stated,
    subject_from,
)
from symcheck.topics import unknown_words

NAMES = ("symcheck.toml", "pyproject.toml")
EXAMPLE = '[[gate]] with id = "turns", claim = "C4: image -> invariant" and limit = 0.01'


@dataclass(frozen=True)
class Gate:
    """What must hold: a limit on one statistic of one claim's error, or a verdict, or another check.

    `metric` is spread, relative, absolute, share or flips; `stat` is mean, q95, q99 or max. `expect = "breaks"` asks
    that the error be above the limit. `ratchet` is by how much the error may exceed its baseline, as a fraction of it;
    `fraction` and `confidence` ask for a certificate: at most that fraction of data × group above the limit.
    """

    id: str
    place: Place
    subject: str = ""
    check: str = "claim"
    claim: str = ""
    output: str = ""
    part: str = ""
    metric: str = "spread"
    stat: str = "mean"
    limit: float | None = None
    verdict: str = ""
    expect: str = "holds"
    ratchet: float | None = None
    fraction: float | None = None
    confidence: float = 0.95
    allow: tuple[str, ...] = ()
    samples: int | None = None
    elements: int | None = None
    against: str = ""  # the other checkpoint of a barrier or of a same-function check
    spec: str = ""
    align: bool = False


@dataclass(frozen=True)
class Waiver:
    """A failure that is accepted, with the reason, up to and including a day."""

    gate: str
    reason: str
    until: datetime.date
    output: str = ""
    part: str = ""
    place: Place = field(default_factory=lambda: Place("", 1))


@dataclass(frozen=True)
class GateFile:
    """One configuration: subjects by name, gates in their order, waivers, and where the baseline is kept."""

    path: Path
    subjects: Mapping[str, SubjectFile]
    gates: tuple[Gate, ...]
    waivers: tuple[Waiver, ...] = ()
    baseline: str = ""

    def subject(self, gate: Gate) -> SubjectFile:
        """The subject of a gate."""
        return self.subjects[gate.subject]

    def settings(self, gate: Gate, flags: Mapping[str, Any]) -> dict[str, Any]:
        """How a gate is measured; flags beat the gate, which beats the subject, which beats the defaults."""
        folder = self.path.resolve().parent
        if gate.subject.endswith(".toml"):
            folder = (folder / gate.subject).resolve().parent
        own = {k: getattr(gate, k) for k in ("samples", "elements") if getattr(gate, k) is not None}
        own |= {"claims": (gate.claim,)} if gate.claim else {}
        return with_preset({**stated(self.subject(gate), folder, flags), **own, **flags})


def find_config(path: Path | None) -> Path:
    """The configuration that is given, or symcheck.toml or pyproject.toml here; ConfigError when there is none."""
    if path is not None:
        return path
    for name in NAMES:
        here = Path(name)
        if has_table(here) if name == "pyproject.toml" else here.is_file():
            return here
    raise ConfigError(
        "there is no configuration", where=str(Path.cwd()), hint=f"write symcheck.toml with {EXAMPLE}, or name a file"
    )


def read_gates(path: Path, today: datetime.date) -> GateFile:
    """Read and check a configuration; nothing is measured.

    Raises ConfigError with the file and line for an unknown key or name, a contradiction, a waiver that has expired
    or that fits no gate, and where there is no gate at all; LoadError when the file cannot be read.
    """
    path = readable(path)
    table, prefix = read_table(path)
    text = path.read_text(encoding="utf-8")
    own = {key: value for key, value in table.items() if key not in GATE_KEYS}
    subjects = _subjects(table, path, prefix)
    if own:
        subjects[""] = subject_from(own, path, prefix, known=[*(f.name for f in fields(SubjectFile)), *GATE_KEYS])
    gates: list[Gate] = []
    for data, lines in _entries(table, "gate", path, text, prefix):
        gate = _gate(data, lines, path, subjects)
        if any(gate.id == other.id for other in gates):
            raise refuse(f"two gates are called '{gate.id}'", path, lines.of("id"), "give each gate an id of its own")
        gates.append(gate)
    if not gates:
        raise ConfigError("there is no gate", where=str(path), hint=f"add {EXAMPLE}")
    entries = _entries(table, "waiver", path, text, prefix)
    waivers = tuple(_waiver(data, lines, path, [g.id for g in gates], today) for data, lines in entries)
    baseline = table.get("baseline", "")
    if not isinstance(baseline, str):
        raise refuse(f"'baseline' must be a file name, not {baseline!r}", path, 1, 'write baseline = "baseline.jsonl"')
    where = str(path.resolve().parent / baseline) if baseline else ""
    return GateFile(path, subjects, tuple(gates), waivers, where)


def check_words(config: GateFile) -> None:
    """Refuse claims with groups or actions that nobody knows, before any model is loaded."""
    for gate in config.gates:
        for word, hint in unknown_words(gate.claim) if gate.claim else ():
            message = f"gate '{gate.id}', '{gate.claim}': there is no group or action '{word}'"
            raise refuse(message, config.path, gate.place.line, hint)


def _subjects(table: Mapping[str, Any], path: Path, prefix: str) -> dict[str, SubjectFile]:
    named = table.get("subject", {})
    if not isinstance(named, dict) or not all(isinstance(value, dict) for value in named.values()):
        raise refuse("'subject' must hold tables", path, 1, f'write [{prefix}subject.NAME] with checkpoint = "…"')
    return {name: subject_from(value, path, f"{prefix}subject.{name}.") for name, value in named.items()}


def _entries(
    table: Mapping[str, Any], name: str, path: Path, text: str, prefix: str
) -> list[tuple[Mapping[str, Any], Lines]]:
    entries = table.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise refuse(f"'{name}' must be written as [[{prefix}{name}]]", path, 1, EXAMPLE)
    return list(zip(entries, tables(text, f"{prefix}{name}", len(entries)), strict=True))


def _gate(data: Mapping[str, Any], lines: Lines, path: Path, subjects: dict[str, SubjectFile]) -> Gate:
    known = [f.name for f in fields(Gate) if f.name != "place"]
    check_keys("gate", data, known, lines, path)
    values = {"id": "", **data, "allow": tuple(data.get("allow", ()))}
    if data.get("check") == "same-function" and "limit" not in data:
        values["verdict"] = "exact"
    if "claim" in data:
        values["claim"] = _claim(data["claim"], path, lines.of("claim"))
    gate = Gate(**{**values, "place": Place(str(path), lines.start)})
    check_gate(gate, data, lines, path)
    folder = path.resolve().parent
    relative = {name: str(folder / getattr(gate, name)) for name in ("against", "spec") if getattr(gate, name)}
    subject = _named(gate, subjects, path, lines)
    return Gate(**{**vars(gate), **relative, "subject": subject})


def _claim(text: str, path: Path, line: int) -> str:
    try:
        return str(parse_claim(text))
    except SymcheckError as error:
        raise refuse(error.message, path, line, error.hint) from error


def _named(gate: Gate, subjects: dict[str, SubjectFile], path: Path, lines: Lines) -> str:
    """The name of the gate's subject: written, or the only one; a subject file is read and named by its path."""
    if gate.subject in subjects:
        return gate.subject
    if gate.subject.endswith(".toml"):
        file = path.resolve().parent / gate.subject
        subjects[gate.subject] = read_subject_file(file)
        return gate.subject
    if not gate.subject and len(subjects) == 1:
        return next(iter(subjects))
    if not gate.subject:
        why = f"it could be {' or '.join(sorted(subjects))}" if subjects else "none is described"
        hint = "write subject = \"NAME\", with [subject.NAME] or the path of a subject file"
        raise refuse(f"gate '{gate.id}' does not say for which subject it is: {why}", path, lines.start, hint)
    message = f"gate '{gate.id}' is for '{gate.subject}', which is no subject of this file"
    hint = suggest(gate.subject, [name for name in subjects if name]) if any(subjects) else "add [subject.NAME]"
    raise refuse(message, path, lines.of("subject"), hint)


def _waiver(data: Mapping[str, Any], lines: Lines, path: Path, gates: list[str], today: datetime.date) -> Waiver:
    known = [f.name for f in fields(Waiver) if f.name != "place"]
    check_keys("waiver", data, known, lines, path)
    for key in ("gate", "reason", "until"):
        if not str(data.get(key) or "").strip():
            hint = 'write gate = "turns", reason = "…" and until = 2030-01-31'
            raise refuse(f"a waiver must have '{key}'", path, lines.start, hint)
    if data["gate"] not in gates:
        message = f"the waiver is for '{data['gate']}', which is no gate"
        raise refuse(message, path, lines.of("gate"), suggest(data["gate"], gates))
    until = data["until"]
    until = until.date() if isinstance(until, datetime.datetime) else until
    if not until >= today:
        raise refuse(
            f"the waiver for '{data['gate']}' expired on {until}: {data['reason']}", path, lines.of("until"),
            "mend the model, or renew the waiver with a reason",
        )  # fmt: skip
    return Waiver(**{**data, "until": until}, place=Place(str(path), lines.start))
