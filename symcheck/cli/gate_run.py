"""What `symcheck gate` does between parsing and rendering: choose, measure or read, compare, waive, update."""

from __future__ import annotations

import datetime
import fnmatch
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symcheck.errors import ConfigError
from symcheck.gate.baseline import Change, Entry, compared, entry_of, read_baseline, render_baseline, updated
from symcheck.gate.config import Gate, GateFile, check_words, find_config, read_gates
from symcheck.gate.files import Digests, read_files
from symcheck.gate.judge import Judgement
from symcheck.gate.reports import judged, opened
from symcheck.gate.waive import idle, waive
from symcheck.registry import suggest
from symcheck.report.documents import read_document
from symcheck.report.model import Report
from symcheck.report.outcome import GateReport, Status
from symcheck.report.write import check_path, worst_file, write_report, write_text
from symcheck.version import __version__


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    config: Path | None = None
    only: tuple[str, ...] = ()
    reports: tuple[Path, ...] = ()
    baseline: Path | None = None
    update: bool = False
    loosen: bool = False
    until_decided: bool = False
    budget: int = 0
    allow_program: bool = False
    outputs: tuple[Path, ...] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """What there is to tell: the record, and what became of the baseline."""

    report: GateReport
    changes: tuple[Change, ...] = ()
    baseline: Path | None = None

    @property
    def exit_code(self) -> int:
        """That of the record; 1 as well where the baseline would have to be loosened."""
        refused = any(change.kind == "refused to loosen" for change in self.changes)
        return max(self.report.exit_code, int(refused))


def checked(asked: Asked) -> tuple[GateFile, list[Gate]]:
    """The configuration and the gates that are asked for; everything is refused here that can be without measuring."""
    config = read_gates(find_config(asked.config), datetime.date.today())
    if not asked.reports:
        check_words(config)
    gates = [gate for gate in config.gates if not asked.only or any(fnmatch.fnmatch(gate.id, p) for p in asked.only)]
    for pattern in asked.only:
        if not any(fnmatch.fnmatch(gate.id, pattern) for gate in config.gates):
            hint = suggest(pattern.strip("*?[]"), [gate.id for gate in config.gates])
            raise ConfigError(f"no gate is called '{pattern}'", where=f"--only, {config.path}", hint=hint)
    keep = [config.path, *asked.reports, *([asked.baseline] if asked.baseline else [])]
    keep += [Path(config.baseline)] if config.baseline else []
    keep += [f for g in gates for f in read_files(config.settings(g, asked.flags), g.against, g.spec)]
    for path in asked.outputs:
        check_path(path, keep=keep)
    if asked.loosen and not asked.update:
        raise ConfigError("--loosen changes no baseline by itself", where="--loosen", hint="add --update-baseline")
    if asked.reports and asked.until_decided:
        raise ConfigError("a report draws no more", where="--until-decided", hint="leave out --report to measure")
    return config, gates


def run_gates(asked: Asked, progress: Callable[[int, int], None] | None = None) -> Done:
    """Judge every gate, compare with the baseline, waive, and write all files."""
    start = time.perf_counter()
    config, gates = checked(asked)
    path, base = _baseline(asked, config, gates)
    judgements, reports = _judgements(asked, config, gates, progress)
    entries = {j.outcome.fingerprint: entry_of(j.first or j.outcome, j.finding, j.draws) for j in judgements}
    ratchets = {gate.id: gate.ratchet for gate in gates}
    outcomes = []
    for judgement in judgements:
        outcome = judgement.outcome
        ratchet, mark = ratchets[outcome.gate], outcome.fingerprint
        if ratchet is not None and not asked.update:
            outcome = compared(outcome, entries[mark], base.get(mark), ratchet)
        outcomes.append(waive(outcome, config.waivers))
    report = GateReport(
        config=str(config.path), outcomes=tuple(outcomes), reports=tuple(reports),
        notes=tuple(idle(config.waivers, outcomes)),
        environment={"symcheck": __version__, "python": platform.python_version()},
        seconds=time.perf_counter() - start,
    )  # fmt: skip
    for output in asked.outputs:
        write_report(report, output)
    if not asked.update or path is None:
        return Done(report)
    now = [e for j in judgements if (e := _accepted(j, entries, ratchets)) is not None]
    standing = [gate.id for gate in config.gates if gate.ratchet is not None]
    fresh, changes = updated(now, base, asked.loosen, standing)
    if fresh != list(base.values()):
        write_text(path, render_baseline(fresh))
    return Done(report, tuple(changes), path)


def _accepted(
    judgement: Judgement, entries: Mapping[str, Entry | None], ratchets: Mapping[str, float | None]
) -> Entry | None:
    """The entry of a gate with a ratchet that passed by its own limit: a failure is no baseline."""
    outcome = judgement.outcome
    if ratchets[outcome.gate] is None or outcome.status is not Status.PASSED:
        return None
    return entries[outcome.fingerprint]


def _baseline(asked: Asked, config: GateFile, gates: Sequence[Gate]) -> tuple[Path | None, dict[str, Entry]]:
    """Where the baseline is kept and what it says; a gate with a ratchet needs one."""
    path = asked.baseline or (Path(config.baseline) if config.baseline else None)
    wanting = next((gate for gate in gates if gate.ratchet is not None), None)
    if path is None:
        if wanting is None and not asked.update:
            return None, {}
        who = f"gate '{wanting.id}' has a ratchet" if wanting is not None else "--update-baseline"
        where = f"{config.path}:{wanting.place.line}" if wanting is not None else "symcheck gate"
        raise ConfigError(f"{who}, but no baseline is named", where=where, hint='write baseline = "baseline.jsonl"')
    if asked.update:
        if wanting is None:
            raise ConfigError("no gate has a ratchet", where=str(config.path), hint="write ratchet = 0.1 in a gate")
        if not path.parent.is_dir():
            hint = f"mkdir -p {path.parent}"
            raise ConfigError("the folder of the baseline does not exist", where=str(path), hint=hint)
        return path, read_baseline(path) if path.exists() else {}
    return path, read_baseline(path) if wanting is not None else {}


def _judgements(
    asked: Asked, config: GateFile, gates: list[Gate], progress: Callable[[int, int], None] | None
) -> tuple[list[Judgement], list[Report]]:
    if asked.reports:
        given = [part for path in asked.reports for part in opened(path, read_document(path))]
        known = Digests()
        found = [j for gate in gates for j in judged(gate, config, given, known, asked.flags)]
        return found, [g.report for g in given if g.report is not None]
    from symcheck.cli.gate_measure import Measuring, measured

    beside = worst_file(asked.outputs[0]) if asked.outputs else None
    run = Measuring(config, asked.flags, asked.allow_program, asked.until_decided, asked.budget, beside, progress)
    return measured(run, gates)
