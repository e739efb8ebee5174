"""What a gate or a waiver may say: kinds of values, words, and what contradicts what."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symcheck.errors import ConfigError
from symcheck.gate.certificate import draws_needed
from symcheck.gate.lines import Lines
from symcheck.registry import suggest

if TYPE_CHECKING:
    from symcheck.gate.config import Gate

MOST = 1_000_000  # independent pairs of a certificate
WORDS = {
    "check": ("claim", "barrier", "weights", "same-function"),
    "metric": ("spread", "relative", "absolute", "share", "flips"),
    "stat": ("mean", "q95", "q99", "max"),
    "expect": ("holds", "breaks"),
    "verdict": ("exact",),
}
ONE_NUMBER = ("share", "flips")  # metrics without quantiles
_TEXTS = ("id", "subject", "claim", "output", "part", "against", "spec", "gate", "reason")
_NUMBERS = ("limit", "ratchet")
_SHARES = ("fraction", "confidence")
_COUNTS = ("samples", "elements")
# which keys only some checks read: a key that nothing reads is refused
_READ_BY = {
    "claim": ("claim",), "output": ("claim", "same-function"), "part": ("claim",),
    "metric": ("claim", "same-function"), "stat": ("claim", "same-function"),
    "fraction": ("claim",), "confidence": ("claim",), "elements": ("claim",), "expect": ("claim",),
    "allow": ("claim", "weights", "same-function"),
    "against": ("barrier", "same-function"), "spec": ("barrier", "weights"),
    "align": ("barrier",), "ratchet": ("claim", "barrier", "same-function"),
    "samples": ("claim", "barrier", "same-function"),
}  # fmt: skip


def refuse(message: str, path: Path, line: int, hint: str) -> ConfigError:
    """The error of a configuration: what, which file and line, what to do."""
    return ConfigError(message, where=f"{path}:{line}", hint=hint)


def check_keys(kind: str, data: Mapping[str, Any], known: Sequence[str], lines: Lines, path: Path) -> None:
    """Refuse keys that are unknown and values of another kind."""
    for key, value in data.items():
        if key not in known:
            raise refuse(f"unknown key '{key}' of a {kind}", path, lines.of(key), suggest(key, list(known)))
        expected = _expected(key, value)
        if expected:
            raise refuse(f"'{key}' must be {expected}", path, lines.of(key), f"it is {value!r}")
        words = WORDS.get(key, ())
        if words and value not in words:
            raise refuse(f"unknown {key} '{value}'", path, lines.of(key), suggest(str(value), list(words)))


def _expected(key: str, value: Any) -> str:
    """What the value of a key should be; empty where it is."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300
    if key in _TEXTS or key in WORDS:
        return "" if isinstance(value, str) else "a text in quotes"
    if key in _NUMBERS:
        return "" if number and value >= 0 else "a number that is not negative"
    if key in _SHARES:
        return "" if number and 0 < value < 1 else "a number between 0 and 1"
    if key in _COUNTS:
        return "" if number and isinstance(value, int) and value >= 2 else "a whole number of at least 2"
    if key == "allow":
        good = isinstance(value, list) and all(word in ("trivial", "invalid") for word in value)
        return "" if good else '["trivial"], ["invalid"] or both'
    if key == "align":
        return "" if isinstance(value, bool) else "true or false"
    if key == "until":
        return "" if isinstance(value, datetime.date) else "a date such as 2030-01-31, without quotes"
    return ""


def check_gate(gate: Gate, given: Mapping[str, Any], lines: Lines, path: Path) -> None:
    """Refuse a gate that contradicts itself, that asks for nothing, or that has a key which its check does not read."""

    def no(message: str, hint: str, key: str = "") -> ConfigError:
        return refuse(f"gate '{gate.id}' {message}", path, lines.of(key), hint)

    if not given.get("id"):
        raise refuse("a gate must have an id", path, lines.start, 'write id = "turns"')
    for key in given:
        if gate.check not in _READ_BY.get(key, (gate.check,)):
            raise no(f"has '{key}', which check = \"{gate.check}\" does not read", f"remove {key}", key)
    if gate.check == "claim":
        _check_claim(gate, given, no)
    if gate.check in ("barrier", "same-function") and not gate.against:
        raise no("has no second checkpoint", 'write against = "other.safetensors"')
    if gate.check == "same-function":
        _check_limit(gate, given, no)
    if gate.check == "barrier" and gate.limit is None:
        raise no("has no limit", "write limit = 0.05, in the unit of the loss")
    if gate.check == "barrier" and gate.verdict:
        raise no("asks for a verdict, which a barrier does not have", "write limit = 0.05", "verdict")
    if gate.check == "weights" and gate.limit is not None:
        raise no("has a limit, which a proof does not have", "remove it: every space must be proved", "limit")
    if gate.spec and gate.check == "barrier" and not gate.align:
        raise no("has a spec but does not align", "write align = true, or remove spec", "spec")


def _check_claim(gate: Gate, given: Mapping[str, Any], no: Any) -> None:
    if not gate.claim:
        raise no("has no claim", 'write claim = "C4: image -> invariant", or a check')
    _check_limit(gate, given, no)
    if gate.fraction is not None and (gate.metric != "spread" or "stat" in given or gate.expect == "breaks"):
        message = "asks for a certificate, which is on the spread scale and has no statistic"
        raise no(message, "remove stat, metric and expect", "fraction")
    if gate.fraction is not None and draws_needed(gate.fraction, gate.confidence) > MOST:
        message = f"asks for {draws_needed(gate.fraction, gate.confidence):,} independent pairs"
        raise no(message, f"at most {MOST:,}: ask for a larger fraction", "fraction")
    if gate.expect == "breaks" and "trivial" in gate.allow:
        raise no("expects a break and allows that nothing is tested", "remove allow", "allow")
    if "confidence" in given and gate.fraction is None:
        raise no("has a confidence but no fraction", "write fraction = 0.01 for a certificate", "confidence")
    if gate.metric in ONE_NUMBER and gate.stat != "mean":
        raise no(f"asks for the {gate.stat} of the {gate.metric}, which is one number", "remove stat", "stat")
    if gate.ratchet is not None and (gate.expect == "breaks" or gate.fraction is not None):
        raise no("has a ratchet, which is for errors that should be small", "remove ratchet", "ratchet")


def _check_limit(gate: Gate, given: Mapping[str, Any], no: Any) -> None:
    """A limit or a verdict, and what goes with each."""
    if (gate.limit is None) == (not gate.verdict) and gate.expect == "holds":
        word = "neither a limit nor a verdict" if gate.limit is None else "both a limit and a verdict"
        raise no(f"has {word}", 'write limit = 0.01 or verdict = "exact"')
    if gate.verdict:
        for key in ("metric", "stat", "fraction", "ratchet"):
            if key in given:
                raise no(f"asks for a verdict: '{key}' is not read", f"write a limit, or remove {key}", key)
        if gate.expect == "breaks":
            raise no("expects a claim to break and to be exact", 'write limit = 0.01 with expect = "breaks"', "expect")
