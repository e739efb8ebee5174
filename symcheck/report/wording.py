"""What an outcome of a gate says, in words; every format shows the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from symcheck.report import numbers
from symcheck.report.model import Verdict
from symcheck.report.outcome import GateReport, Outcome, Status

_RATIOS = ("spread", "relative", "share", "fraction", "flips")  # dimensionless: these read well as percentages
_NEXT: Mapping[str, str] = {  # what to do about a failure of which nothing else is known
    Verdict.BROKEN: "recompute the worst pair and look for the layer that breaks it",
    Verdict.APPROXIMATE: "look at the worst pair, or gate on a limit",
    Verdict.TRIVIAL: "give inputs on which the output varies",
    Verdict.INVALID: "mend what the reason names: nothing follows from such a measurement",
}
_BAD = tuple(verdict for verdict in Verdict if not verdict.holds)
_TALLIED = (Status.PASSED, Status.FAILED, Status.INCONCLUSIVE, Status.UNMEASURED, Status.WAIVED)


def value(outcome: Outcome) -> str:
    """The measured statistic with its interval: `5.2 % [4.8, 5.6]`; `-` where there is no number.

    Of a certificate the bound that decides: `at most 4.9 % of pairs`.
    """
    mean, low, high = outcome.value, outcome.low, outcome.high
    ratio = outcome.metric in _RATIOS
    if outcome.metric == "fraction" and mean is not None:
        above = low is not None and outcome.limit is not None and low > outcome.limit
        return f"at least {numbers.ratio(low)} of pairs" if above else f"at most {numbers.ratio(high)} of pairs"
    if mean is None or low is None or high is None:
        return numbers.ratio(mean) if ratio else numbers.number(mean)
    if ratio:
        return numbers.interval(mean, low, high)
    return f"{numbers.number(mean)} [{numbers.number(low)}, {numbers.number(high)}]"


def dimensionless(outcome: Outcome) -> bool:
    """Whether its numbers read as percentages."""
    return outcome.metric in _RATIOS


def limit(outcome: Outcome) -> str:
    """What the statistic was held against: `0.1 %`, or `baseline 4.0 %` where that decided; `-` where there is none."""
    if outcome.baseline is not None and outcome.status is not Status.PASSED and _within(outcome):
        return f"baseline {_like(outcome, outcome.baseline)}"
    if outcome.limit is None:
        return numbers.NOT_MEASURED
    return numbers.stated(outcome.limit) if outcome.metric in _RATIOS else f"{outcome.limit:g}"


def bound(outcome: Outcome) -> str:
    """`limit 0.1 %` or `baseline 4.0 %`; empty where there is none."""
    words = limit(outcome)
    return "" if words == numbers.NOT_MEASURED else words if words.startswith("baseline") else f"limit {words}"


def against(outcome: Outcome) -> str:
    """`5.2 % [4.8, 5.6], limit 0.1 %`; empty where nothing was measured."""
    return "" if outcome.value is None else ", ".join(filter(None, (value(outcome), bound(outcome))))


def title(outcome: Outcome) -> str:
    """What was judged, told apart from the others of its gate: `energy-rotations, forces, improper`."""
    return ", ".join(filter(None, (outcome.gate, label(outcome))))


def headline(outcome: Outcome) -> str:
    """The title without the claim where a name stands before it, so that the names can be told apart."""
    words = title(outcome)
    name, _, rest = words.partition(outcome.claim) if outcome.claim else (words, "", "")
    return ", ".join(filter(None, (name.rstrip(" :,"), rest.lstrip(" :,")))) if name else words


def label(outcome: Outcome) -> str:
    """Which output and part; empty where the gate is named after them."""
    return "" if outcome.label and outcome.gate.endswith(outcome.label) else outcome.label


def fate(outcome: Outcome) -> str:
    """What became of it in one word: the verdict where one says why it failed, else the status."""
    failed = outcome.status in (Status.FAILED, Status.INCONCLUSIVE)
    return outcome.verdict if failed and outcome.verdict in _BAD else str(outcome.status)


def sentence(outcome: Outcome) -> str:
    """One paragraph: what was measured, why that is its status, what to do."""
    waived = f"waived: {outcome.waiver}" if outcome.waiver else ""
    pieces = (label(outcome), against(outcome), outcome.reason, waived, advice(outcome))
    return "; ".join(filter(None, pieces)) or outcome.rule or str(outcome.status)


def advice(outcome: Outcome) -> str:
    """What to do next; of what has failed without more to say, what its verdict suggests."""
    failed = outcome.status is Status.FAILED and outcome.expect in ("holds", "exact")
    return outcome.advice or (_NEXT.get(outcome.verdict, "") if failed else "")


def details(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Everything else that there is to say, each with its label."""
    worst = "" if outcome.worst == numbers.NOT_MEASURED else outcome.worst
    rows = (
        ("claim", outcome.claim if outcome.claim not in headline(outcome) else ""),
        ("asked", outcome.rule),
        ("found", against(outcome)),
        ("why", outcome.reason),
        ("waived", outcome.waiver),
        ("baseline", "" if outcome.baseline is None else _like(outcome, outcome.baseline)),
        ("worst", worst),
        ("next", advice(outcome)),
        ("replay", outcome.replay),
        ("written", "" if outcome.place is None else f"{outcome.place.file}:{outcome.place.line}"),
    )
    return ((label, words) for label, words in rows if words)


def tally(outcomes: Iterable[Outcome]) -> str:
    """`3 passed, 1 failed, 1 waived`."""
    statuses = [outcome.status for outcome in outcomes]
    parts = [f"{statuses.count(s)} {s}" for s in _TALLIED if s in statuses]
    return ", ".join(parts) or "nothing was judged"


def summary(report: GateReport) -> str:
    """`3 passed, 1 failed, 1 waived in 2.3 s`."""
    return f"{tally(report.outcomes)} in {numbers.duration(report.seconds)}"


def heading(report: GateReport) -> str:
    """What was judged: the configuration, else the subjects."""
    names = dict.fromkeys(str(r.subject.get("name") or "") for r in report.reports)
    return report.config or ", ".join(filter(None, names)) or "symcheck"


def fingerprint(outcome: Outcome) -> str:
    """The same for the same question, whatever the answer."""
    asked = (outcome.check, outcome.subject, outcome.claim, outcome.output, outcome.part, outcome.metric, outcome.stat)
    text = "\0".join((outcome.gate, *asked))
    return outcome.fingerprint or hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _within(outcome: Outcome) -> bool:
    """Whether the limit alone would have let it pass."""
    reach = outcome.value if outcome.high is None else outcome.high
    return outcome.limit is None or (reach is not None and reach <= outcome.limit)


def _like(outcome: Outcome, number: float) -> str:
    return numbers.ratio(number) if outcome.metric in _RATIOS else numbers.number(number)
