"""Gates judged on reports that were made before: which report is about which gate. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symcheck.errors import ConfigError, LoadError
from symcheck.gate.config import Gate, GateFile
from symcheck.gate.files import Digests, asked, changed, differs
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


def judged(
    gate: Gate, config: GateFile, given: Sequence[Given], known: Digests, flags: Mapping[str, Any]
) -> list[Judgement]:
    """What the documents say of one gate; a gate that none is about, as it is asked now, was not measured."""
    subject, settings = config.subject(gate), config.settings(gate, flags)
    label = label_of(subject, gate.subject)
    if gate.check == "barrier":
        return [_barrier(gate, label, given, settings, known)]
    own = gate.id if gate.check != "claim" else None
    reports = [g.report for g in given if g.report is not None and g.report.settings.get("gate") == own]
    mine = [report for report in reports if about(report, subject, gate.subject)]
    if not mine:
        names = ", ".join(sorted({str(g.report.subject.get("name")) for g in given if g.report is not None}))
        reason = f"no report is about {label}" + (f": they are about {names}" if names else "")
        return [Judgement(unmeasured(gate, label, reason, "name the report of this subject, or measure it"))]
    against = {id(report): _otherwise(report, gate, settings, known) for report in mine}
    good = [report for report in mine if not against[id(report)]]
    if not good:
        reason = "; ".join(list(dict.fromkeys(against.values()))[:3])
        return [Judgement(unmeasured(gate, label, reason, "measure again: symcheck gate, or symcheck audit"))]
    good.sort(key=lambda report: _effort(report.settings.get("asked")) == _effort(settings))  # the same effort last
    found = [_judge(gate, report, label) for report in good]
    told = [judgements for judgements in found if all(j.outcome.status != Status.UNMEASURED for j in judgements)]
    return (told or found)[-1]


def _effort(settings: Mapping[str, Any] | None) -> tuple[Any, Any]:
    return ((settings or {}).get("samples"), (settings or {}).get("elements"))


def _otherwise(report: Report, gate: Gate, settings: Mapping[str, Any], known: Digests) -> str:
    """Why a report does not answer the gate: it is about other files, or was asked for otherwise."""
    if "shard" in report.settings:
        return f"it is shard {report.settings['shard']} of an audit: join the shards with symcheck report merge"
    files = report.settings.get("files") or {"checkpoint": report.subject.get("sha256")}
    if stale := changed(files, settings, known, gate.against, gate.spec):
        return stale
    now, before = asked(settings), report.settings.get("asked")
    if isinstance(before, Mapping):
        return differs(before, now)
    stated = {name: report.subject.get(name) for name in ("arguments", "key") if report.subject.get(name)}
    wanted = {name: now.get(name) for name in ("arguments", "key") if now.get(name)}
    if stated != wanted:
        return f"it is about {stated or 'a network without arguments'}, the gate about {wanted or 'one without'}"
    return ""


def _judge(gate: Gate, report: Report, label: str) -> list[Judgement]:
    return judged_proof(gate, report, label) if gate.check == "weights" else judge(gate, report, label)


def _barrier(
    gate: Gate, label: str, given: Sequence[Given], settings: Mapping[str, Any], known: Digests
) -> Judgement:
    """What the documents say of a barrier: the first that is about these two checkpoints as they are now."""
    refused = ""
    for g in given:
        for value, error, output, stale in _barriers(gate, g, settings, known):
            if not stale:
                judged = judged_barrier(gate, label, value, error, output)
                return Judgement(judged, draws=f"inputs of {g.path}")
            refused = refused or f"{g.path}: {stale}"
    advice = "measure again: symcheck connect A B -o FILE.json, or symcheck gate"
    return Judgement(unmeasured(gate, label, refused or "no document holds the barrier", advice))


def _barriers(
    gate: Gate, given: Given, settings: Mapping[str, Any], known: Digests
) -> Iterator[tuple[float, float, str, str]]:
    """Value, standard error, data set and what speaks against it, of every barrier in a document."""
    try:
        if given.barrier is not None:
            marks = [checkpoint["sha256"] for checkpoint in given.barrier["checkpoints"]]
            files = dict(zip(("checkpoint", "against"), marks, strict=True))
            variant = given.barrier["variants"].get("aligned" if gate.align else "naive")
            if variant is not None:
                name, curve = [*variant["curves"].items()][-1]
                value, error = (_number(curve["barrier"][key]) for key in ("value", "error"))
                yield value, error, name, changed(files, settings, known, gate.against)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as lack:
        hint = "write it again with symcheck connect A B -o FILE.json"
        raise LoadError("the document does not hold what a connection has", where=given.path, hint=hint) from lack
    for outcome in given.outcomes:
        if outcome.gate == gate.id and outcome.check == "barrier" and outcome.value is not None:
            error = ((outcome.value if outcome.high is None else outcome.high) - outcome.value) / 1.96
            stale = changed(outcome.files, settings, known, gate.against, gate.spec)
            yield outcome.value, error, outcome.output, stale


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


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
    factory = subject.model or subject.calculator or ""
    return bool(factory) and _same_factory(str(report.subject.get("model") or ""), factory)


def _same_factory(one: str, two: str) -> bool:
    """Whether two texts module:factory name the same code, whatever the folder."""
    (file_one, _, name_one), (file_two, _, name_two) = one.rpartition(":"), two.rpartition(":")
    return name_one == name_two and Path(file_one).name == Path(file_two).name
