"""The baseline: what each gate with a ratchet measured before, one finding a line, and the comparison with it.

    new ≤ (1 + ratchet) · base + 2 · floor, decided on the interval of the paired difference

Elements and samples are the same draws in both runs, so that what they share cancels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from symcheck.errors import ConfigError, LoadError
from symcheck.gate.checks import ONE_NUMBER
from symcheck.gate.intervals import crossed
from symcheck.gate.rules import Decision
from symcheck.report import numbers
from symcheck.report.model import Finding
from symcheck.report.outcome import Outcome, Status

SCHEMA = "symcheck.baseline/1"
_HINT = "write it again with symcheck gate --update-baseline"


@dataclass(frozen=True)
class Entry:
    """One measurement: the statistic with its interval, its floor, its draws, and its means by element and sample."""

    gate: str
    label: str
    fingerprint: str
    value: float
    low: float
    high: float
    floor: float
    draws: str  # what the draws depend on: seed, counts, data; equal texts mean the same draws
    exhaustive: bool = False
    rows: tuple[float, ...] = ()
    columns: tuple[float, ...] = ()


@dataclass(frozen=True)
class Change:
    """What an update does to one entry: new, tightened, loosened, kept or gone."""

    kind: str
    label: str
    old: float | None
    new: float | None

    def __str__(self) -> str:
        values = " -> ".join(numbers.number(v, 3) for v in (self.old, self.new) if v is not None)
        return f"{self.kind}: {self.label} {values}"


def read_baseline(path: Path) -> dict[str, Entry]:
    """The entries by fingerprint; a missing or damaged file is an error, never an empty baseline."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        hint = "make one with symcheck gate --update-baseline"
        raise ConfigError("there is no baseline to compare with", where=f"{path}: {error}", hint=hint) from error
    entries: dict[str, Entry] = {}
    for i, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line, parse_constant=_refuse)
            if i == 1:
                if data.get("schema") != SCHEMA:
                    raise ValueError(f"the first line must name the schema {SCHEMA}")
                continue
            entry = _entry(data)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            message = f"the baseline cannot be read: {error}"
            raise LoadError(message, where=f"{path}:{i}", hint=f"mend the line, or {_HINT}") from error
        if entry.fingerprint in entries:
            raise LoadError(f"two lines are for '{entry.label}'", where=f"{path}:{i}", hint="keep one of them")
        entries[entry.fingerprint] = entry
    if not any(line.strip() for line in lines):
        raise LoadError("the baseline is empty", where=str(path), hint=_HINT)
    return entries


def render_baseline(entries: Iterable[Entry]) -> str:
    """Sorted lines of JSON, one finding a line, so that files differ and merge line by line."""
    ranked = sorted(entries, key=lambda entry: (entry.label, entry.fingerprint))
    lines = [json.dumps({"schema": SCHEMA}), *(json.dumps(asdict(entry), allow_nan=False) for entry in ranked)]
    return "\n".join(lines) + "\n"


def compared(outcome: Outcome, now: Entry | None, base: Entry | None, ratchet: float) -> Outcome:
    """The outcome with what the comparison says; only one that has passed can still fail here."""
    if base is None or now is None:
        missing = "it was not measured" if now is None else "the baseline has no entry for it"
        return replace(
            outcome, status=Status.UNMEASURED if outcome.status is Status.PASSED else outcome.status,
            reason="; ".join(filter(None, (outcome.reason, missing))),
            advice="symcheck gate --update-baseline adds it" if base is None else outcome.advice,
        )  # fmt: skip
    decision = compare(now, base, ratchet)
    outcome = replace(outcome, baseline=base.value)
    if outcome.status is not Status.PASSED:
        return outcome
    return replace(outcome, status=decision.status, reason=decision.reason or outcome.reason, advice=decision.advice)


def compare(now: Entry, base: Entry, ratchet: float) -> Decision:
    """Whether the error has stayed within (1 + ratchet) of its baseline, up to two floors."""
    if now.draws != base.draws:
        return Decision(
            Status.UNMEASURED,
            f"the baseline was measured on other draws ({base.draws}, now {now.draws})",
            "measure as the baseline did, or symcheck gate --update-baseline --loosen",
        )
    slack, allowed = 2 * now.floor, (1 + ratchet) * base.value
    low, high = difference(now, base, 1 + ratchet)
    words = f"{numbers.number(base.value, 3)} before, {numbers.number(now.value, 3)} now"
    if high <= slack or (not _paired(now, base) and now.value <= allowed + slack):  # the same draws: no chance in it
        return Decision(Status.PASSED)
    if low > slack:
        reason = f"worse than the baseline by more than {numbers.stated(ratchet)}: {words}"
        return Decision(Status.FAILED, reason, "mend the model, or symcheck gate --update-baseline --loosen")
    reason = f"perhaps worse than the baseline: {words}"
    return Decision(Status.INCONCLUSIVE, reason, "measure more samples, or widen the ratchet")


def difference(now: Entry, base: Entry, factor: float) -> tuple[float, float]:
    """The 95 % interval of now − factor · base, paired element by element and sample by sample where both are kept."""
    if _paired(now, base):
        rows = [a - factor * b for a, b in zip(now.rows, base.rows, strict=True)]
        columns = [a - factor * b for a, b in zip(now.columns, base.columns, strict=True)]
        mean, reach = crossed(rows, columns, now.exhaustive)
        return mean - reach, mean + reach
    return now.low - factor * base.high, now.high - factor * base.low


def _paired(now: Entry, base: Entry) -> bool:
    """Whether both keep the means of the same elements and samples."""
    return len(now.rows) == len(base.rows) > 0 and len(now.columns) == len(base.columns) > 1


def updated(
    now: Sequence[Entry], base: Mapping[str, Entry], loosen: bool, standing: Collection[str]
) -> tuple[list[Entry], list[Change]]:
    """The new entries and what changed: tightened where the paired difference shows it, loosened only when allowed.

    Entries of `standing` gates stay, also where nothing was measured for them; others are dropped.
    """
    found = [_moved(entry, base.get(entry.fingerprint), loosen) for entry in now]
    entries, changes = [entry for entry, _ in found], [change for _, change in found]
    mine = {entry.fingerprint for entry in now}
    for old in base.values():
        if old.fingerprint not in mine and old.gate in standing:
            entries.append(old)
        elif old.fingerprint not in mine:
            changes.append(Change("gone", old.label, old.value, None))
    return entries, changes


def _moved(entry: Entry, old: Entry | None, loosen: bool) -> tuple[Entry, Change]:
    """What becomes of one entry. Other draws cannot be compared: to take them is to loosen."""
    if old is None:
        return entry, Change("new", entry.label, None, entry.value)
    alike = entry.draws == old.draws
    low, high = difference(entry, old, 1.0) if alike else (1.0, 1.0)
    if alike and high < 0:
        return entry, Change("tightened", entry.label, old.value, entry.value)
    if not (alike and low <= 0):
        kind = "loosened" if loosen else "refused to loosen"
        return entry if loosen else old, Change(kind, entry.label, old.value, entry.value)
    return old, Change("kept", entry.label, old.value, entry.value)


def entry_of(outcome: Outcome, finding: Finding | None, draws: str) -> Entry | None:
    """The entry of an outcome; None where there is no number, or nothing was tested."""
    if outcome.value is None or outcome.verdict in ("invalid", "trivial"):
        return None
    rows: tuple[float, ...] = ()
    columns: tuple[float, ...] = ()
    floor, exhaustive = 0.0, False
    if finding is not None and finding.error is not None:
        spread = finding.error.spread.mean
        unit = outcome.value / spread if spread > 0 else 1.0
        floor, exhaustive = (finding.floor.rounding or 0.0) * unit, finding.counts.exhaustive
        if outcome.stat == "mean" and outcome.metric not in ONE_NUMBER and finding.curve is not None:
            rows, columns = _short(finding.curve.errors, unit), _short(finding.by_sample, unit)
    low, high = (outcome.value if end is None else end for end in (outcome.low, outcome.high))
    label = ", ".join(filter(None, (outcome.gate, outcome.label)))
    value, low, high, floor = (_shortened(v) for v in (outcome.value, low, high, floor))
    return Entry(outcome.gate, label, outcome.fingerprint, value, low, high, floor, draws, exhaustive, rows, columns)


def _short(values: Iterable[float], unit: float) -> tuple[float, ...]:
    return tuple(_shortened(value * unit) for value in values)


def _shortened(value: float) -> float:
    return float(f"{value:.6g}")


def _entry(data: Mapping[str, Any]) -> Entry:
    known = {f.name: data[f.name] for f in fields(Entry) if f.name in data}
    for name in ("gate", "label", "fingerprint", "draws"):
        if not isinstance(known.get(name), str):
            raise ValueError(f"'{name}' must be a text")
    numbers_ = {name: _plain(known.get(name), name) for name in ("value", "low", "high", "floor")}
    if not numbers_["low"] <= numbers_["value"] <= numbers_["high"]:
        raise ValueError("'value' must lie between 'low' and 'high'")
    lists = {}
    for name in ("rows", "columns"):
        if not isinstance(known.get(name, []), list):
            raise ValueError(f"'{name}' must be a list of numbers")
        lists[name] = tuple(_plain(v, name) for v in known.get(name, ()))
        if lists[name] and not math.isclose(fmean(lists[name]), numbers_["value"], rel_tol=0.01, abs_tol=1e-12):
            raise ValueError(f"the mean of '{name}' is not 'value'")
    return Entry(**{**known, **numbers_, **lists})


def _plain(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e300:
        raise ValueError(f"'{name}' must be a number that is not negative")
    return float(value)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")
