"""From what was measured to the outcome of a gate. The decision is on the interval, never on the mean."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from symcheck.gate.config import Gate
from symcheck.gate.intervals import widened
from symcheck.gate.rules import Statistic, asked_of, bounds, confidence_of, decide, limit_of, metric_of, rule
from symcheck.grammar import heard
from symcheck.report import numbers
from symcheck.report.model import Finding, Report, Verdict
from symcheck.report.outcome import Outcome, Status


@dataclass(frozen=True)
class Judgement:
    """An outcome with the finding and the draws that it rests on.

    `first` is the outcome on these draws where more draws have decided: the baseline is compared on the same draws.
    """

    outcome: Outcome
    finding: Finding | None = None
    draws: str = ""
    first: Outcome | None = None


def judge(gate: Gate, report: Report, subject: str, replay: str = "", looks: int = 1) -> list[Judgement]:
    """One judgement for every finding that the gate selects; an expected break needs one finding that shows it.

    A question that is asked up to `looks` times gets wider intervals, and certificates of higher confidence.
    """
    chosen = selected(gate, report.findings)
    if not chosen:
        return [Judgement(nothing(gate, report.findings, subject))]
    found = [Judgement(_outcome(gate, f, subject, replay, looks), f, draws_of(report, f)) for f in chosen]
    if gate.expect == "holds":
        return found
    empty = [j for j in found if j.outcome.verdict in (Verdict.INVALID, Verdict.TRIVIAL)]
    if refused := [j for j in empty if failed(j)]:
        return refused
    order = (Status.PASSED, Status.INCONCLUSIVE, Status.FAILED)
    told = [j for j in found if j not in empty]  # what is allowed to tell nothing shows no break
    if told:
        return [min(told, key=lambda j: order.index(j.outcome.status))]
    reason = "expected to break, but nothing was tested"
    return [replace(found[0], outcome=replace(found[0].outcome, status=Status.FAILED, reason=reason))]


def failed(judgement: Judgement) -> bool:
    """Whether this one has failed."""
    return judgement.outcome.status is Status.FAILED


def draws_of(report: Report, finding: Finding) -> str:
    """What the measured pairs depend on: equal texts mean the same draws."""
    settings, counts = report.settings, finding.counts
    size = f"{counts.elements} × {counts.samples}"
    return f"seed {settings.get('seed')}, {size}, data {settings.get('data', 'unknown')}"


def selected(gate: Gate, findings: Sequence[Finding]) -> list[Finding]:
    """The findings that the gate is about."""
    alike = _alike(gate, findings)
    return [f for f in alike if gate.output in ("", f.output) and (not gate.part or gate.part in parts_of(f.part))]


def _alike(gate: Gate, findings: Sequence[Finding]) -> list[Finding]:
    if not gate.claim:
        return list(findings)
    wanted = heard(gate.claim)
    return [f for f in findings if f.claim == gate.claim or heard(f.claim) == wanted]


def parts_of(part: str) -> list[str]:
    """What a part of a group answers to: `proper, lattice` is also `proper` and `lattice`."""
    return [part, *part.split(", ")]


def nothing(gate: Gate, findings: Sequence[Finding], subject: str) -> Outcome:
    """The outcome of a gate that selects no finding."""
    alike = _alike(gate, findings)
    if alike:
        known = ", ".join(dict.fromkeys(f"'{numbers.label(f)}'" for f in alike))
        reason = f"nothing is called '{', '.join(filter(None, (gate.output, gate.part)))}'"
        advice = f"the claim has {known}"
    else:
        reason, advice = "the claim was not measured", "measure it: symcheck audit, or symcheck gate without --report"
    return replace(blank(gate, subject), status=Status.UNMEASURED, reason=reason, advice=advice)


def unmeasured(gate: Gate, subject: str, reason: str, advice: str) -> Outcome:
    """The outcome of a gate that could not be measured."""
    return replace(blank(gate, subject), status=Status.UNMEASURED, reason=reason, advice=advice)


def blank(gate: Gate, subject: str, output: str = "", part: str = "") -> Outcome:
    """What an outcome says of its gate before anything is decided."""
    output, part = output or gate.output, part or gate.part
    key = (gate.id, gate.check, subject, gate.claim, output, part, gate.metric, gate.stat, gate.expect)
    mark = hashlib.sha256("\x1f".join(key).encode(errors="backslashreplace")).hexdigest()[:16]
    measured = gate.check in ("claim", "same-function")
    return Outcome(
        gate=gate.id, status=Status.UNMEASURED, check=gate.check, subject=subject, claim=gate.claim, output=output,
        part=part, metric=metric_of(gate) if measured else "", stat=gate.stat if measured else "",
        expect=gate.expect, rule=rule(gate), limit=asked_of(gate), fingerprint=mark, place=gate.place,
    )  # fmt: skip


def _outcome(gate: Gate, finding: Finding, subject: str, replay: str, looks: int) -> Outcome:
    value, low, high = statistic(gate, finding, looks)
    decision = decide(gate, finding, (value, low, high), looks)
    note = numbers.remark(finding) if decision.status is not Status.PASSED and finding.tolerance == gate.limit else ""
    advice = decision.advice or (finding.advice if decision.status is not Status.PASSED else "")
    return replace(
        blank(gate, subject, finding.output, finding.part),
        status=decision.status, value=value, low=low, high=high, limit=asked_of(gate),
        verdict=str(finding.verdict), reason=decision.reason or note, advice=advice,
        worst=numbers.worst(finding) if finding.worst is not None else "", replay=replay,
    )  # fmt: skip


def statistic(gate: Gate, finding: Finding, looks: int = 1) -> Statistic:
    """The gate's statistic with its interval; None where there is no such number.

    A maximum is a fact about the measured pairs and has no interval: what it says of others is a certificate's work.
    """
    wider = widened(looks)
    if gate.fraction is not None:
        return bounds(finding.certificate, confidence_of(gate, looks))
    if gate.metric == "share":
        share = finding.share
        return (None, None, None) if share is None else _stretched(share.value, share.low, share.high, wider)
    if gate.metric == "flips":
        flips = finding.flips
        return (None, None, None) if flips is None else _stretched(flips.rate, flips.low, flips.high, wider)
    if finding.error is None:
        return None, None, None
    scale = getattr(finding.error, gate.metric)
    if gate.stat == "mean":
        return _stretched(scale.mean, scale.low, scale.high, wider)
    if gate.stat == "max":
        top = _finite(scale.max)
        return top, top, top
    name = gate.stat
    return _stretched(getattr(scale, name), getattr(scale, f"{name}_low"), getattr(scale, f"{name}_high"), wider)


def _stretched(value: float, low: float | None, high: float | None, wider: float) -> Statistic:
    return (
        _finite(value),
        None if _finite(low) is None else max(value - wider * (value - (low or 0.0)), 0.0),
        None if _finite(high) is None else value + wider * ((high or 0.0) - value),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def judged_proof(gate: Gate, report: Report, subject: str) -> list[Judgement]:
    """A proof of weight symmetries: every space that is not proved, or one judgement when all are."""
    if not report.findings:
        nothing_there = unmeasured(gate, subject, "there is no symmetry to prove", "give a spec, or check the model")
        return [Judgement(nothing_there)]
    bad = [f for f in report.findings if not f.verdict.holds and str(f.verdict) not in gate.allow]
    if not bad:
        reason = f"{numbers.count(len(report.findings), 'space')} proved"
        passed = replace(blank(gate, subject), status=Status.PASSED, verdict=str(report.worst), reason=reason)
        return [Judgement(passed)]
    found = []
    for f in bad:
        status = Status.INCONCLUSIVE if f.verdict is Verdict.INCONCLUSIVE else Status.FAILED
        one = replace(blank(gate, subject, f.output, f.part), status=status, verdict=str(f.verdict))
        found.append(Judgement(replace(one, reason=numbers.remark(f), advice=f.advice), f))
    return found


def judged_barrier(gate: Gate, subject: str, value: float, error: float, output: str) -> Outcome:
    """A loss barrier with its standard error: passed when even 1.96 errors more are within the limit."""
    limit, reach = limit_of(gate), 1.96 * error
    low, high = value - reach, value + reach
    outcome = replace(blank(gate, subject, output), value=_finite(value), low=low, high=high)
    if not math.isfinite(value) or not math.isfinite(reach) or not reach >= 0:
        reason = "the loss along the path is no number"
        return replace(outcome, status=Status.FAILED, low=None, high=None, reason=reason)
    shown = numbers.number(limit)
    if value + reach <= limit:
        return replace(outcome, status=Status.PASSED)
    if value - reach > limit:
        reason = f"the barrier lies above {shown}: the two checkpoints are not linearly connected"
        advice = "align them again: symcheck align A B -o FILE" if not gate.align else "see symcheck connect A B"
        return replace(outcome, status=Status.FAILED, reason=reason, advice=advice)
    reason = f"the limit {shown} lies inside the interval"
    return replace(outcome, status=Status.INCONCLUSIVE, reason=reason, advice="measure the loss on more samples")
