"""Numbers for people: two significant digits, honest about zero, NaN and what was not measured."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from symcheck.report.model import Finding, Flips, Report, Scale, Share, Verdict

NOT_MEASURED = "-"
_PERCENT_FROM, _PERCENT_TO = 1e-3, 100.0  # fractions in this range read better as percentages


def number(value: float | None, digits: int = 2) -> str:
    """`value` with `digits` significant digits: `0.052`, `3.6e-07`, `nan`; `-` for None. Only zero prints as 0."""
    if value is None:
        return NOT_MEASURED
    if not math.isfinite(value):
        return str(float(value))
    if value == 0:
        return "0"
    exponent = _exponent(value, digits)
    if -4 < exponent < 5:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{value:.{digits - 1}e}"


def ratio(value: float | None) -> str:
    """A dimensionless error: `5.2 %` where percent read well, else `3.6e-07`."""
    if value is None or not _as_percent(value):
        return _scientific(value)
    return f"{number(100 * value)} %"


def ticks(values: Sequence[float]) -> list[str]:
    """The labels of one axis of dimensionless errors, all in one style: percent where they read well, else powers."""
    known = [abs(v) for v in values if v != 0 and math.isfinite(v)]
    percent = bool(known) and max(known) >= _PERCENT_FROM * (1 - 1e-12) and min(known) >= _PERCENT_FROM / 50
    return [f"{float(f'{100 * v:.6g}'):g} %" if percent else _power(float(f"{v:.6g}")) for v in values]


def _power(value: float) -> str:
    text = f"{value:g}" if value == 0 or abs(value) >= 0.01 else f"{value:e}"
    digits, mark, exponent = text.partition("e")
    return f"{float(digits):g}e{int(exponent)}" if mark else text


def stated(value: float) -> str:
    """A ratio that the user chose, with the digits that were given: `0.1 %`, `1e-04`."""
    if _as_percent(value):
        return f"{100 * value:g} %"
    digits, _, exponent = f"{value:e}".partition("e")
    return f"{float(digits):g}e{exponent}" if 0 < abs(value) < _PERCENT_FROM else f"{value:g}"


def interval(mean: float, low: float, high: float) -> str:
    """A mean with its interval in the same unit: `5.2 % [4.8, 5.6]`, `3.6e-07 [3.5e-07, 3.7e-07]`."""
    if not _as_percent(mean):
        return f"{_scientific(mean)} [{_scientific(low)}, {_scientific(high)}]"
    decimals = max(1 - _exponent(100 * mean, 2), 0)
    ends = ", ".join(_at(100 * end, decimals) for end in (low, high))
    return f"{number(100 * mean)} % [{ends}]"


def error(finding: Finding) -> str:
    """The mean error on the spread scale; with its interval unless nothing but rounding is left."""
    if finding.error is None:
        return "nan" if finding.verdict is Verdict.INVALID else NOT_MEASURED
    scale = finding.error.spread
    if finding.verdict is Verdict.EXACT:
        return ratio(scale.mean)
    return interval(scale.mean, scale.low, scale.high)


def floor(finding: Finding) -> str:
    """The largest of the floors that were measured (spread scale)."""
    measured = [v for v in (finding.floor.rounding, finding.floor.action, finding.floor.batch) if v is not None]
    return ratio(max(measured)) if measured else NOT_MEASURED


def worst(finding: Finding) -> str:
    """The worst pair: `8.1 % at quarter turn 1, sample 12`."""
    if finding.worst is None or (finding.verdict is Verdict.TRIVIAL and not math.isfinite(finding.worst.value)):
        return NOT_MEASURED
    found = "" if finding.worst.searched is None else " (found by search)"
    return f"{ratio(finding.worst.value)} at {finding.worst.element}, sample {finding.worst.sample}{found}"


def replay(findings: Iterable[Finding], subject: Mapping[str, Any]) -> str:
    """The command that recomputes the worst pairs, naming the code that it runs; empty where none was kept."""
    files = (f.worst.file for f in findings if f.worst and f.worst.file)
    file, model = next(files, ""), str(subject.get("model") or "")
    command = f"symcheck audit --replay {shlex.quote(file.rpartition('#')[0] or file)}"
    what = "calculator" if subject.get("format") == "calculator" else "model"
    return f"{command}{f' --{what} {shlex.quote(model)}' if ':' in model else ''}" if file else ""


def label(finding: Finding) -> str:
    """Which output, and which part of the group: `forces, improper`."""
    return ", ".join(filter(None, (finding.output, finding.part)))


def remark(finding: Finding) -> str:
    """Why the verdict is what it is, and what to do next; empty where nothing needs a word."""
    told = flips(finding.flips) if finding.flips is not None and finding.verdict is not Verdict.TRIVIAL else ""
    return "; ".join(filter(None, (told, _reason(finding), finding.note, finding.advice)))


def flips(found: Flips) -> str:
    """`14 % [9.0, 21] of the labels change`, and where none does how many may."""
    if found.rate == 0:
        return f"no label changes in {count(found.pairs, 'pair')}: at most {ratio(found.high)} do"
    return f"{interval(found.rate, found.low, found.high)} of the labels change"


def scale_row(scale: Scale) -> list[str]:
    """Mean, interval, median, 95 %, 99 %, maximum."""
    ends = f"[{number(scale.low)}, {number(scale.high)}]"
    return [number(scale.mean), ends, *(number(v) for v in (scale.q50, scale.q95, scale.q99, scale.max))]


def share(value: Share) -> str:
    """The share with its interval."""
    return interval(value.value, value.low, value.high)


def count(amount: int, word: str) -> str:
    """`1 forward`, `4160 forwards`, `12,345 forwards`."""
    return (f"{amount:,}" if amount >= 10_000 else str(amount)) + f" {word}" + ("" if amount == 1 else "s")


def duration(seconds: float) -> str:
    """`3.2 s`, `2 min 05 s`, `1 h 02 min`."""
    if not seconds >= 60:
        return f"{number(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def tally(findings: Iterable[Finding]) -> str:
    """`2 exact, 1 broken`; best first."""
    verdicts = [f.verdict for f in findings]
    parts = [f"{verdicts.count(v)} {v}" for v in reversed(Verdict) if v in verdicts]
    return ", ".join(parts) or "nothing was measured"


def facts(report: Report) -> list[str]:
    """What the subject is and how it was measured, in short pieces."""
    subject, environment, settings = report.subject, report.environment, report.settings
    parameters, precision = subject.get("parameters"), environment.get("dtype")
    pieces = [
        count(parameters, "parameter") if isinstance(parameters, int) else "",
        _text(subject, "format"),
        f"{precision} on {environment.get('device', '?')}" if precision else _text(environment, "device"),
        f"{settings['samples']} samples × {settings.get('elements', '?')} elements" if "samples" in settings else "",
        f"SHARD {settings['shard']}: a part of the elements, which decides nothing" if "shard" in settings else "",
        f"seed {settings['seed']}" if "seed" in settings else "",
        f"tolerance {_tolerance(settings)}" if "tolerance" in settings else "",
    ]
    return [piece for piece in pieces if piece]


def details(finding: Finding) -> Iterator[tuple[str, str]]:
    """Everything that one finding holds besides its errors: name and words."""
    floor, counts = finding.floor, finding.counts
    extent = "every element" if counts.exhaustive else "drawn"
    pairs = f"{count(counts.pairs, 'pair')}: {counts.elements} elements ({extent}) × {counts.samples} samples"
    yield "measured", pairs
    yield "law", finding.law
    yield "worst", worst(finding)
    kinds = (("rounding", floor.rounding), ("action", floor.action), ("batch", floor.batch), ("repeat", floor.repeat))
    yield "floors / spread", ", ".join(f"{name} {number(value)}" for name, value in kinds)
    slope = f"{number(floor.low)} to {number(floor.high)}, slope {number(floor.slope)}"
    yield "precision", slope + (f" ({floor.how})" if floor.how else "")
    yield "share", NOT_MEASURED if finding.share is None else share(finding.share)
    yield "pose advantage", ratio(finding.advantage)
    yield "output", f"size {number(finding.size)}, spread {number(finding.spread)}"
    if finding.component is not None:
        yield "one number", f"{ratio(finding.component)} of its own spread"
    if finding.flips is not None:
        yield "flips", f"{flips(finding.flips)}; worth {number(finding.flips.effective)} independent pairs"
        for one in finding.flips.margins:
            rate = f"{interval(one.rate, one.low, one.high)} in {count(one.samples, 'sample')}"
            yield f"margin {number(one.least)} to {number(one.most)}", rate
    if (sure := finding.certificate) is not None:
        bound = f"at most {ratio(sure.fraction)} of {sure.law} has an error above {stated(sure.limit)}"
        drawn = f"{count(sure.draws, 'draw')}, {count(sure.violations, 'violation')}"
        yield "certificate", f"{bound}, with confidence {stated(sure.confidence)} ({drawn})"
    for part in finding.by_graph:
        yield part.name, f"{count(part.pairs, 'pair')}, mean {number(part.mean)}, max {number(part.max)}"
    yield "tolerance", stated(finding.tolerance)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by verdict, worst first, then by the size of the error; errors that are not numbers lead."""
    order = list(Verdict)

    def key(finding: Finding) -> tuple[int, float]:
        mean = math.nan if finding.error is None else finding.error.spread.mean
        return order.index(finding.verdict), -mean if math.isfinite(mean) else -math.inf

    return sorted(findings, key=key)


def _reason(finding: Finding) -> str:
    if finding.verdict is not Verdict.BROKEN or finding.error is None:
        return ""
    if not finding.error.spread.low > finding.tolerance:
        return ""
    of = "output's spread" if finding.flips is None else "spread (how often two samples differ)"
    return f"the whole interval lies above the tolerance, {stated(finding.tolerance)} of the {of}"


def _tolerance(settings: Mapping[str, Any]) -> str:
    value = settings["tolerance"]
    return stated(value) if isinstance(value, float | int) else "by claim"


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return "" if value is None else str(value)


def _as_percent(value: float) -> bool:
    return math.isfinite(value) and _PERCENT_FROM * (1 - 1e-12) <= abs(value) < _PERCENT_TO


def _scientific(value: float | None) -> str:
    if value is None or value == 0 or not math.isfinite(value):
        return number(value)
    return f"{value:.1e}"


def _at(value: float, decimals: int) -> str:
    """`value` with fixed decimals, more where it would print as zero without being it."""
    text = f"{value:.{decimals}f}"
    return number(value) if not math.isfinite(value) or (value != 0 and float(text) == 0) else text


def _exponent(value: float, digits: int) -> int:
    """The decimal exponent of `value` after rounding to `digits` digits: 1 for 9.96."""
    return int(f"{value:.{digits - 1}e}".split("e")[1])
