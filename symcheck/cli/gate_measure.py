"""Measures what gates ask for: one audit for all claims that want the same draws, one run for each other check."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from itertools import count, groupby
from pathlib import Path
from typing import Any

from symcheck.api import audit
from symcheck.cli.run import loaded
from symcheck.errors import ConfigError, SymcheckError
from symcheck.gate.config import Gate, GateFile
from symcheck.gate.files import asked, digests
from symcheck.gate.judge import Judgement, judge, judged_barrier, judged_proof, unmeasured
from symcheck.gate.reports import label_of
from symcheck.gate.rules import TOLERANCE, confidence_of, limit_of
from symcheck.measure.certify import Ask
from symcheck.report import numbers
from symcheck.report.model import Report
from symcheck.report.outcome import Status

LOOKS = 3  # how often at most an undecided gate is measured
_EXAMPLES = 4  # inputs that a proof runs on
Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class Measuring:
    """How the gates of one run are measured; `budget` is the most pairs of one claim when more are drawn.

    Every audit has a file of worst pairs of its own: `worst_file`, then the same name with a number.
    """

    config: GateFile
    flags: Mapping[str, Any]
    allow_program: bool = False
    until_decided: bool = False
    budget: int = 0
    worst_file: Path | None = None
    progress: Progress = None
    audits: Iterator[int] = field(default_factory=count)

    def next_file(self) -> Path | None:
        """Where the next audit keeps its worst pairs."""
        path, number = self.worst_file, next(self.audits)
        return path if path is None or number == 0 else path.with_suffix(f".{number}{path.suffix}")

    def settings(self, gate: Gate) -> dict[str, Any]:
        """The settings of a gate's subject."""
        return self.config.settings(gate, self.flags)


def measured(run: Measuring, gates: Sequence[Gate]) -> tuple[list[Judgement], list[Report]]:
    """The judgements of all gates, and the reports they rest on; a gate that fails to be measured says why."""
    judgements: list[Judgement] = []
    reports: list[Report] = []
    claims = sorted((g for g in gates if g.check == "claim"), key=_draws)
    for _, group in groupby(claims, key=_draws):
        found, report = _safely(_claims, run, list(group))
        judgements += found
        reports += report
    checks = {"barrier": _barrier, "weights": _weights, "same-function": _same_function}
    for gate in gates:
        if gate.check in checks:
            found, report = _safely(checks[gate.check], run, [gate])
            judgements += found
            reports += report
    order = {gate.id: i for i, gate in enumerate(gates)}
    return sorted(judgements, key=lambda j: order[j.outcome.gate]), reports


Check = Callable[[Measuring, list[Gate]], tuple[list[Judgement], list[Report]]]


def _safely(check: Check, run: Measuring, gates: list[Gate]) -> tuple[list[Judgement], list[Report]]:
    """What a check found; an error of the user's is the reason why its gates were not measured."""
    try:
        with redirect_stdout(sys.stderr):
            return check(run, gates)
    except SymcheckError as error:
        reason = error.message + (f" ({error.where})" if error.where else "")
        label = label_of(run.config.subject(gates[0]), gates[0].subject)
        return [Judgement(unmeasured(gate, label, reason, error.hint)) for gate in gates], []


def _draws(gate: Gate) -> tuple[str, int, int, float, float, float]:
    """Gates with equal keys share one audit; a certificate is for one limit."""
    limit = limit_of(gate) if gate.fraction is not None else 0.0
    return gate.subject, gate.samples or 0, gate.elements or 0, gate.fraction or 0.0, gate.confidence, limit


def _claims(run: Measuring, gates: list[Gate]) -> tuple[list[Judgement], list[Report]]:
    """All claims in one audit; where that fails, each by itself, so that one that does not fit hides no other."""
    try:
        return _decided(run, gates)
    except SymcheckError:
        if len(gates) == 1:
            raise
    parts = [_safely(_claims, run, [gate]) for gate in gates]
    return [j for found, _ in parts for j in found], [report for _, reports in parts for report in reports]


def _decided(run: Measuring, gates: list[Gate]) -> tuple[list[Judgement], list[Report]]:
    """The judgements on one audit, and on larger ones of what is undecided where more draws may be made."""
    settings, label = run.settings(gates[0]), label_of(run.config.subject(gates[0]), gates[0].subject)
    looks = LOOKS if run.until_decided else 1
    reports: list[Report] = []
    found: dict[str, list[Judgement]] = {}
    open_ = gates
    for look in range(looks):
        report = _audited(run, settings, open_, look)
        reports.append(report)
        for gate in open_:
            fresh = judge(gate, report, label, numbers.replay(report.findings, report.subject), looks)
            found[gate.id] = [_settled(one, fresh) for one in found[gate.id]] if look else fresh
        open_ = [gate for gate in open_ if any(_undecided(j) for j in found[gate.id])]
        grown = _grown(settings, report, run.budget)
        if not open_ or grown is None:
            break
        settings = grown
    return [j for gate in gates for j in found[gate.id]], reports


def _settled(one: Judgement, fresh: Sequence[Judgement]) -> Judgement:
    """An undecided judgement with what more draws say; the baseline stays with the first draws."""
    new = next((j.outcome for j in fresh if j.outcome.fingerprint == one.outcome.fingerprint), None)
    if new is None or not _undecided(one):
        return one
    return replace(one, outcome=new, first=one.first or one.outcome)


def _audited(run: Measuring, settings: Mapping[str, Any], gates: Sequence[Gate], look: int) -> Report:
    """One audit of all claims of the gates; the tolerance of a claim is the smallest limit that its gates set."""
    claims = list(dict.fromkeys(gate.claim for gate in gates))
    limits = {claim: _tolerances(settings, [g for g in gates if g.claim == claim]) for claim in claims}
    first, looks = gates[0], LOOKS if run.until_decided else 1
    subject, inputs = loaded(settings, run.allow_program, "gate")
    report = audit(
        subject, claims, inputs,
        samples=settings["samples"], elements=settings["elements"], seed=settings["seed"], tolerance=limits,
        device=settings["device"], dtype=settings["dtype"], batch_size=settings.get("batch_size"), save=run.next_file(),
        certify=None if first.fraction is None else Ask(first.fraction, confidence_of(first, looks), 4**look),
        progress=run.progress,
    )  # fmt: skip
    return replace(report, settings={**report.settings, **_rests_on(settings, report)})


def _rests_on(settings: Mapping[str, Any], report: Report, against: str = "") -> dict[str, Any]:
    """The inputs, how it was asked for, and the digests of all files that a report rests on."""
    settings = {**settings, "claims": report.settings.get("claims") or ()}
    files = digests(settings, against, checkpoint=str(report.subject.get("sha256") or ""))
    given = settings.get("structures", settings.get("inputs"))
    return {"inputs": given, "asked": asked(settings), "files": files}


def _tolerances(settings: Mapping[str, Any], gates: Iterable[Gate]) -> float:
    """The limit that the verdict on a claim is given at."""
    limits = [limit_of(g) for g in gates if g.metric == "spread" and g.stat == "mean" and g.limit is not None]
    common = settings["tolerance"]
    return min(limits) if limits else float(common) if isinstance(common, float | int) else TOLERANCE


def _undecided(judgement: Judgement) -> bool:
    """Whether more draws could decide this."""
    return judgement.outcome.status is Status.INCONCLUSIVE and judgement.outcome.value is not None


def _grown(settings: dict[str, Any], report: Report, budget: int) -> dict[str, Any] | None:
    """Four times as many samples and elements; None where the data or the budget are at an end."""
    counts = max((f.counts for f in report.findings), key=lambda c: c.pairs)
    samples, elements = 4 * settings["samples"], 4 * settings["elements"]
    spent = counts.samples < settings["samples"]  # the data have no more
    if counts.exhaustive and spent:
        return None
    samples = settings["samples"] if spent else samples
    if samples * elements > budget:
        return None
    return {**settings, "samples": samples, "elements": elements}


def _weights(run: Measuring, gates: list[Gate]) -> tuple[list[Judgement], list[Report]]:
    from symcheck.cli.weights_run import Asked, study_of

    gate, settings = gates[0], run.settings(gates[0])
    label = label_of(run.config.subject(gate), gate.subject)
    settings["samples"] = min(settings["samples"], _EXAMPLES)
    study = study_of(settings, run.allow_program, Asked(spec=Path(gate.spec) if gate.spec else None), lambda _: None)
    if study.report is None:
        raise ConfigError("there is no proof", where=f"gate '{gate.id}'", hint="give a model and inputs, or a spec")
    own = {"gate": gate.id, "asked": asked(run.settings(gate)), "files": digests(settings, spec=gate.spec)}
    report = replace(study.report, settings={**study.report.settings, **own})
    return judged_proof(gate, report, label), [report]


def _same_function(run: Measuring, gates: list[Gate]) -> tuple[list[Judgement], list[Report]]:
    from symcheck.cli.pairs import load_network
    from symcheck.testing.same import compare

    gate, settings = gates[0], run.settings(gates[0])
    label = label_of(run.config.subject(gate), gate.subject)
    subject, checkpoints = load_network(settings, [Path(gate.against)], run.allow_program, "gate")
    inputs = _own_inputs(settings, subject)
    limit = None if gate.verdict else limit_of(gate)
    report = compare(
        subject, checkpoints.states[1], inputs, tolerance=limit, samples=settings["samples"], device=settings["device"]
    )
    about = {**report.subject, "name": label, **checkpoints.sources[0]}
    own = {"gate": gate.id, "against": gate.against, **_rests_on(settings, report, gate.against)}
    report = replace(report, subject=about, settings={**report.settings, **own})
    if not report.findings:
        raise ConfigError("; ".join(report.notes), where=gate.against, hint="give two checkpoints of one network")
    return judge(gate, report, label), [report]


def _own_inputs(settings: Mapping[str, Any], subject: Any) -> Any:
    from symcheck.cli.labelled import without_labels
    from symcheck.cli.weights_run import example_inputs

    return without_labels(example_inputs(settings, subject), settings, subject)


def _barrier(run: Measuring, gates: list[Gate]) -> tuple[list[Judgement], list[Report]]:
    from symcheck.cli.connect_run import Asked, run_connect

    gate, settings = gates[0], run.settings(gates[0])
    label = label_of(run.config.subject(gate), gate.subject)
    if not settings.get("checkpoint"):
        raise ConfigError("there is no first checkpoint", where=f"gate '{gate.id}'", hint="name one in the subject")
    asked = Asked(spec=Path(gate.spec) if gate.spec else None, align=gate.align)
    own = {k: v for k, v in settings.items() if k != "samples"} if gate.samples is None else settings
    found = run_connect(Path(settings["checkpoint"]), Path(gate.against), own, run.allow_program, asked, None)
    curves = found.connection.variants["aligned" if gate.align else "naive"].curves
    name, curve = [*curves.items()][-1]
    outcome = judged_barrier(gate, label, curve.barrier.value, curve.barrier.error, name)
    files = digests(settings, gate.against, gate.spec)
    data = ", ".join(f"{k} {v[:16]}" for k, v in files.items() if k.startswith("inputs")) or str(settings["inputs"])
    return [Judgement(replace(outcome, files=files), draws=data)], []
