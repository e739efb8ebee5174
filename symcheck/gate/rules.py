"""The rules of a gate: from a statistic with its interval to a status, a reason and what to do next."""

from __future__ import annotations

import math
from dataclasses import dataclass

from symcheck.gate.certificate import draws_needed, violating_fraction
from symcheck.gate.checks import ONE_NUMBER
from symcheck.gate.config import Gate
from symcheck.gate.intervals import NEVER, samples_to_decide
from symcheck.report import numbers
from symcheck.report.model import Certificate, Finding, Verdict
from symcheck.report.outcome import Status

TOLERANCE = 1e-3  # what an expected break must exceed where the gate has no limit
_FLOORS = 3.0  # an error below so many floors of the resampling may be the resampling's
Statistic = tuple[float | None, float | None, float | None]  # value, low, high


@dataclass(frozen=True)
class Decision:
    """A status and why."""

    status: Status
    reason: str = ""
    advice: str = ""


def rule(gate: Gate) -> str:
    """What a gate asks, in words."""
    if gate.check == "barrier":
        return f"loss barrier ≤ {numbers.number(gate.limit)}" + (", aligned" if gate.align else "")
    if gate.check == "weights":
        return "every weight symmetry is proved"
    if gate.check == "same-function" and gate.verdict:
        return "the same function"
    if gate.verdict:
        return f"verdict {gate.verdict}"
    limit = limit_of(gate)
    shown = numbers.number(limit) if gate.metric == "absolute" else numbers.stated(limit)
    if gate.fraction is not None:
        sure, part = f"{100 * gate.confidence:g} %", f"{100 * gate.fraction:g} %"
        return f"at confidence {sure} at most {part} of data × group above {shown}"
    statistic = gate.metric if gate.metric in ONE_NUMBER else f"{gate.stat} error ({gate.metric})"
    return f"{statistic} {'>' if gate.expect == 'breaks' else '≤'} {shown}"


def limit_of(gate: Gate) -> float:
    """The limit of a gate; an expected break without one must exceed the audit's own tolerance."""
    return TOLERANCE if gate.limit is None else gate.limit


def asked_of(gate: Gate) -> float | None:
    """The number that the gate's statistic is compared with."""
    if gate.fraction is not None:
        return gate.fraction
    return None if gate.verdict or gate.check == "weights" else limit_of(gate)


def metric_of(gate: Gate) -> str:
    """The unit of the gate's statistic; `fraction` is that of data × group above the limit."""
    return gate.metric if gate.fraction is None else "fraction"


def confidence_of(gate: Gate, looks: int) -> float:
    """The confidence of a certificate that is asked for up to `looks` times: Bonferroni's."""
    return 1 - (1 - gate.confidence) / looks


def bounds(certificate: Certificate | None, confidence: float) -> Statistic:
    """The fraction of pairs above the limit, with a lower and an upper bound, each of this confidence."""
    if certificate is None or not 0 <= certificate.violations <= certificate.draws or not certificate.draws:
        return None, None, None
    v, n = certificate.violations, certificate.draws
    return v / n, 1 - violating_fraction(n - v, n, confidence), violating_fraction(v, n, confidence)


def decide(gate: Gate, finding: Finding, found: Statistic, looks: int = 1) -> Decision:
    """The decision on one finding; the decision is on the interval, and a number that is missing never passes."""
    value, low, high = found
    verdict = finding.verdict
    if verdict in (Verdict.INVALID, Verdict.TRIVIAL):
        if str(verdict) in gate.allow:
            return Decision(Status.PASSED, f"{verdict}: allowed by the gate")
        return Decision(Status.FAILED, f"{verdict}: {finding.note}", finding.advice)
    if gate.verdict:
        return _by_verdict(gate, finding)
    if gate.fraction is not None:
        return _certified(gate, finding.certificate, found, confidence_of(gate, looks))
    if gate.metric == "flips" and finding.flips is None:
        advice = "name a label as the output, or derive one: label = \"argmax(logits)\""
        return Decision(Status.FAILED, "this output is no label, and nothing flips", advice)
    if value is None or not _sound(value, low, high):
        return Decision(Status.FAILED, "there is no number to judge", finding.advice)
    if gate.expect == "breaks":
        return _breaks(gate, finding, value, low, high)
    return _holds(gate, finding, value, low, high)


def _sound(value: float, low: float | None, high: float | None) -> bool:
    """Whether a statistic lies in its own interval, up to rounding, and is not negative."""
    slack = 1e-9 * abs(value)
    return value >= 0 and (low is None or low <= value + slack) and (high is None or value <= high + slack)


def _by_verdict(gate: Gate, finding: Finding) -> Decision:
    """Exact, or not: where the precision could be raised, an error that stays is one, whatever the tolerance says."""
    if finding.verdict is Verdict.EXACT:
        return Decision(Status.PASSED)
    size = "" if finding.error is None else f", with an error of {numbers.error(finding)} of the spread"
    if finding.verdict is Verdict.INCONCLUSIVE and (finding.floor.high is None or "resampled" in finding.part):
        reason = f"it cannot be told whether it is exact{size}: {finding.note}"
        return Decision(Status.INCONCLUSIVE, reason, finding.advice)
    other = "symcheck distance says how far apart the two are" if gate.against else "replay the worst pair"
    return Decision(Status.FAILED, f"not exact{size}", f"{other}; or gate on a limit")


def _holds(gate: Gate, finding: Finding, value: float, low: float | None, high: float | None) -> Decision:
    limit, shown = limit_of(gate), _shown(gate, limit_of(gate))
    hidden = finding.component
    exact = finding.verdict is Verdict.EXACT and gate.metric != "flips"  # few pairs may show no flip
    if low is not None and low > limit and not exact:
        return _resampled(finding) or Decision(Status.FAILED, f"the whole interval lies above {shown}")
    if gate.metric == "spread" and hidden is not None and not exact and not (hidden <= 10 * limit):
        return Decision(
            Status.FAILED,
            f"one number of this output is off by {numbers.ratio(hidden)} of its own spread, hidden by larger ones",
            "return numbers of different scale as outputs of their own",
        )
    if high is not None and high <= limit:
        return Decision(Status.PASSED)
    if exact:
        if value <= limit:
            return Decision(Status.PASSED)
        advice = 'ask for verdict = "exact", which is decided from the rounding floor'
        return Decision(Status.FAILED, f"nothing but rounding is left, yet that is above {shown}", advice)
    return _undecided(gate, finding, value, high)


def _breaks(gate: Gate, finding: Finding, value: float, low: float | None, high: float | None) -> Decision:
    shown = _shown(gate, limit_of(gate))
    if finding.verdict is Verdict.EXACT:
        return Decision(Status.FAILED, "expected to break, but it is exact", "is this the model you meant to check?")
    if low is not None and low > limit_of(gate):
        return _resampled(finding) or Decision(Status.PASSED)
    if high is not None and high <= limit_of(gate):
        return Decision(Status.FAILED, f"expected to break, but the whole interval lies within {shown}")
    return _undecided(gate, finding, value, high)


def _undecided(gate: Gate, finding: Finding, value: float, high: float | None) -> Decision:
    limit, samples = limit_of(gate), finding.counts.samples
    inside = f"the limit {_shown(gate, limit)} lies inside the interval"
    if high is None:
        words = f"so few pairs do not bound the {gate.stat} from above"
        advice = f"measure more than {finding.counts.elements} elements and {samples} samples"
        return Decision(Status.INCONCLUSIVE, words, advice)
    need = samples_to_decide(value, high, limit, samples)
    if need >= NEVER:
        return Decision(Status.INCONCLUSIVE, inside, "no number of samples would decide: move the limit")
    return Decision(Status.INCONCLUSIVE, inside, f"about {need} samples (and as many more elements) would decide")


def _resampled(finding: Finding) -> Decision | None:
    floor = finding.floor.action
    if finding.error is None or floor is None or "resampled" not in finding.part:
        return None
    if not finding.error.spread.mean <= _FLOORS * floor:
        return None
    words = f"cannot be told from the resampling itself, whose own floor is {numbers.ratio(floor)}"
    return Decision(Status.INCONCLUSIVE, words, "gate the lattice part, or use smoother images")


def _shown(gate: Gate, limit: float) -> str:
    return numbers.number(limit) if gate.metric == "absolute" else f"{numbers.stated(limit)}"


def _certified(gate: Gate, certificate: Certificate | None, found: Statistic, confidence: float) -> Decision:
    wanted, (value, low, high) = gate.fraction or 0.0, found
    if certificate is None or not math.isclose(certificate.limit, limit_of(gate), rel_tol=1e-9, abs_tol=0.0):
        advice = "measure it: symcheck gate without --report"
        words = f"there is no certificate for a limit of {numbers.stated(limit_of(gate))}"
        return Decision(Status.UNMEASURED, words, advice)
    if value is None or low is None or high is None:
        return Decision(Status.FAILED, "the certificate contradicts itself", "measure it again")
    v, n = certificate.violations, certificate.draws
    words = (
        f"at confidence {100 * confidence:.4g} % at most {numbers.ratio(high)} of data × group is above "
        f"{numbers.stated(certificate.limit)}: {v} of n = {n} independent pairs were"
    )
    if high <= wanted:
        return Decision(Status.PASSED, words)
    if low > wanted:
        return Decision(Status.FAILED, words, "see the worst pair, or ask for a larger fraction or limit")
    need = draws_needed(wanted, confidence) if v == 0 else math.ceil(n * max(2.0, (high / wanted) ** 2))
    advice = f"about {need} independent pairs would decide: --until-decided draws more"
    return Decision(Status.INCONCLUSIVE, words, advice)
