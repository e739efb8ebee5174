"""Assertions about models: equivariance, invariance, and that two models are one function. No torch when imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symcheck.errors import ClaimError, ConfigError
from symcheck.registry import suggest
from symcheck.report.model import Report
from symcheck.testing.judged import Judged

if TYPE_CHECKING:
    from symcheck.measure.given import Inputs


def assert_equivariant(
    model: Any,
    claims: str | Sequence[str],
    inputs: Inputs,
    *,
    tolerance: float | Mapping[str, float] = 1e-3,
    exact: bool = False,
    output: str | None = None,
    save: Path | None = None,
    **options: Any,
) -> Report:
    """Assert f(g·x) = g·f(x): every finding is exact or approximate, with `exact` nothing beyond rounding.

    The arguments and further `options` (samples, elements, seed, device, ...) are those of symcheck.audit; `tolerance`
    is relative to the output's spread. `output` judges one output alone. `save` keeps the worst pairs of a failure.
    Raises AssertionError with error, floor and worst element: what is broken, inconclusive, trivial or invalid never
    passes; SymcheckError when nothing could be measured.
    """
    __tracebackhide__ = True
    options = {"tolerance": tolerance, "exact": exact, "output": output, "save": save, **options}
    return judge_equivariant(model, claims, inputs, **options).demand()


def assert_invariant(
    model: Any,
    claims: str | Sequence[str],
    inputs: Inputs,
    *,
    tolerance: float | Mapping[str, float] = 1e-3,
    exact: bool = False,
    output: str | None = None,
    save: Path | None = None,
    **options: Any,
) -> Report:
    """Assert f(g·x) = f(x) for every output; a claim is only a group and its inputs: `C4: image`.

    Everything else is as for assert_equivariant.
    """
    __tracebackhide__ = True
    options = {"tolerance": tolerance, "exact": exact, "output": output, "save": save, **options}
    return judge_invariant(model, claims, inputs, **options).demand()


def assert_same_function(
    a: Any,
    b: Any,
    inputs: Inputs,
    *,
    tolerance: float | None = None,
    samples: int = 64,
    device: str | None = None,
) -> Report:
    """Assert f_a(x) = f_b(x): two models, or a model and a state dict for it, give the same outputs on these inputs.

    Without a tolerance they must agree up to rounding, decided from float32 against float64; a `tolerance` is relative
    to the output's spread. Raises AssertionError: also where outputs have other names or shapes, are NaN, or constant.
    """
    __tracebackhide__ = True
    return judge_same(a, b, inputs, tolerance=tolerance, samples=samples, device=device).demand()


def judge_equivariant(
    model: Any,
    claims: str | Sequence[str],
    inputs: Inputs,
    *,
    exact: bool = False,
    output: str | None = None,
    save: Path | None = None,
    **options: Any,
) -> Judged:
    """What assert_equivariant judges, without raising; worst pairs stay saved only where something fails."""
    from symcheck.api import audit

    if not claims:
        raise ConfigError(
            "there is no claim to assert",
            where="the second argument",
            hint="state what must hold, e.g. 'C4: image -> invariant'; symcheck.audit proposes claims",
        )
    report = audit(model, claims, inputs, save=save, **options)
    if output is not None:
        report = _only(report, output)
    judged = Judged(str(report.subject["name"]), report, "exact" if exact else "holds")
    if save is None or not judged.holds:
        return judged
    save.unlink(missing_ok=True)
    findings = (replace(f, worst=f.worst and replace(f.worst, file="")) for f in report.findings)
    return replace(judged, report=replace(report, findings=tuple(findings)))


def judge_invariant(model: Any, claims: str | Sequence[str], inputs: Inputs, **options: Any) -> Judged:
    """What assert_invariant judges, without raising."""
    from symcheck.testing.outputs import count_outputs

    how = {key: options[key] for key in ("device", "dtype", "derive") if key in options}
    texts = [claims] if claims and isinstance(claims, str) else list(claims or ())
    for text in texts:
        if "->" in text:
            raise ClaimError(
                f"'{text}' says what the outputs do; here all of them are invariant",
                where="assert_invariant",
                hint=f"write '{text.partition('->')[0].strip()}', or use assert_equivariant",
            )
    full = [f"{text} -> {', '.join(['invariant'] * count_outputs(model, text, inputs, **how))}" for text in texts]
    return judge_equivariant(model, full, inputs, **options)


def judge_same(
    a: Any, b: Any, inputs: Inputs, *, tolerance: float | None = None, samples: int = 64, device: str | None = None
) -> Judged:
    """What assert_same_function judges, without raising."""
    from symcheck.testing.same import compare

    report = compare(a, b, inputs, tolerance=tolerance, samples=samples, device=device)
    return Judged(str(report.subject["name"]), report, "exact" if tolerance is None else "holds", "same-function")


def _only(report: Report, output: str) -> Report:
    findings = tuple(f for f in report.findings if f.output == output)
    if not findings:
        raise ConfigError(
            f"there is no output '{output}' to judge",
            where="output",
            hint=suggest(output, sorted({f.output for f in report.findings})),
        )
    return replace(report, findings=findings)
