"""Gates judged on reports that were made before: which report is about which gate. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symcheck.errors import ConfigError, LoadError
from symcheck.files import sha256
from symcheck.gate.config import Gate, GateFile
from symcheck.gate.files import changed
from symcheck.gate.judge import Judgement, judge, judged_barrier, judged_proof, unmeasured
from symcheck.report.model import Report
from symcheck.report.outcome import GateReport, Outcome, Status
from symcheck.subject_file import SubjectFile


@dataclass(frozen=True)
class Given:
    """A document with the file it came from: a report, or what `symcheck connect` found."""

    path: str
    report: Report | None = None
    barrier: Mapping[str, Any] | None = None
    outcomes: tuple[Outcome, ...] = ()


def opened(path: Path, document: Report | GateReport | Mapping[str, Any]) -> list[Given]:
    """The parts of one document that gates can be judged on."""
    if isinstance(document, Report):
        return [Given(str(path), document)]
    if isinstance(document, GateReport):
        return [*(Given(str(path), r) for r in document.reports), Given(str(path), outcomes=document.outcomes)]
    if document.get("schema") == "symcheck.connect/1":
        return [Given(str(path), barrier=document)]
    raise ConfigError(
        f"no gate is judged on a {document.get('schema')} document",
        where=str(path),
        hint="give what symcheck audit, gate or connect wrote with -o FILE.json",
    )


def judged(gate: Gate, config: GateFile, given: Sequence[Given]) -> list[Judgement]:
    """What the documents say of one gate; a gate that none is about was not measured."""
    subject = config.subject(gate)
    label = label_of(subject, gate.subject)
    if gate.check == "barrier":
        return [_barrier(gate, label, given, subject)]
    asked = gate.id if gate.check != "claim" else None
    reports = [g for g in given if g.report is not None and g.report.settings.get("gate") == asked]
    mine = [g for g in reports if g.report is not None and about(g.report, subject, gate.subject)]
    if not mine:
        names = ", ".join(sorted({str(g.report.subject.get("name")) for g in given if g.report is not None}))
        reason = f"no report is about {label}" + (f": they are about {names}" if names else "")
        return [Judgement(unmeasured(gate, label, reason, "name the report of this subject, or measure it"))]
    for g in mine:
        if g.report is not None and (stale := _stale(g.report, gate, subject)):
            return [Judgement(unmeasured(gate, label, f"{g.path}: {stale}", "measure again: symcheck audit"))]
    found = [_judge(gate, g.report, label) for g in mine if g.report is not None]
    told = [judgements for judgements in found if all(j.outcome.status != Status.UNMEASURED for j in judgements)]
    return (told or found)[-1]


def _stale(report: Report, gate: Gate, subject: SubjectFile) -> str:
    """Why a report is not about the files that are there now."""
    before = report.settings.get("files") or {"checkpoint": report.subject.get("sha256")}
    return changed(before, vars(subject), gate.against)


def _judge(gate: Gate, report: Report, label: str) -> list[Judgement]:
    return judged_proof(gate, report, label) if gate.check == "weights" else judge(gate, report, label)


def _barrier(gate: Gate, label: str, given: Sequence[Given], subject: SubjectFile) -> Judgement:
    pair = subject.checkpoint or "", gate.against
    for g in given:
        try:
            if g.barrier is not None and (found := _connected(gate, label, g.path, g.barrier, pair)) is not None:
                return found
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as lack:
            hint = "write it again with symcheck connect A B -o FILE.json"
            raise LoadError("the document does not hold what a connection has", where=g.path, hint=hint) from lack
        for outcome in g.outcomes:
            if outcome.gate == gate.id and outcome.check == "barrier" and outcome.value is not None:
                if stale := changed(outcome.files, vars(subject), gate.against):
                    return Judgement(unmeasured(gate, label, f"{g.path}: {stale}", "measure again: symcheck gate"))
                error = ((outcome.high or outcome.value) - outcome.value) / 1.96
                return Judgement(judged_barrier(gate, label, outcome.value, error, outcome.output))
    return Judgement(unmeasured(gate, label, "no document holds the barrier", "symcheck connect A B -o FILE.json"))


def _connected(
    gate: Gate, label: str, source: str, document: Mapping[str, Any], pair: tuple[str, str]
) -> Judgement | None:
    """What a connection says of the checkpoints of the gate, if it has the path that is asked for."""
    for known, path in zip(document["checkpoints"], map(Path, pair), strict=True):
        if path.is_file() and sha256(path) != known["sha256"]:
            reason = f"{source}: {path.name} is another file than the one that was measured"
            return Judgement(unmeasured(gate, label, reason, "measure again: symcheck connect"))
    variant = document["variants"].get("aligned" if gate.align else "naive")
    if variant is None:
        return None
    name, curve = [*variant["curves"].items()][-1]
    value, error = (_number(curve["barrier"][key]) for key in ("value", "error"))
    return Judgement(judged_barrier(gate, label, value, error, name))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def label_of(subject: SubjectFile, name: str) -> str:
    """What a subject is called in outcomes: its name in the configuration, its own name, or its file's."""
    if name and not name.endswith(".toml"):
        return name
    return subject.name or Path(subject.checkpoint or subject.model or name or "subject").stem


def about(report: Report, subject: SubjectFile, name: str) -> bool:
    """Whether a report is about a subject: the same name, checkpoint or factory."""
    path, title = str(report.subject.get("path") or ""), report.subject.get("name")
    if title and title in (subject.name, name, label_of(subject, name)):
        return True
    if subject.checkpoint:
        return bool(path) and Path(path).name == Path(subject.checkpoint).name
    return bool(subject.model) and _same_factory(str(report.subject.get("model") or ""), subject.model or "")


def _same_factory(one: str, two: str) -> bool:
    """Whether two texts module:factory name the same code, whatever the folder."""
    (file_one, _, name_one), (file_two, _, name_two) = one.rpartition(":"), two.rpartition(":")
    return name_one == name_two and Path(file_one).name == Path(file_two).name
