"""Where a symmetry breaks: the audit of one claim, and then layer by layer and element by element."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from symcheck.claim import Claim
from symcheck.errors import ConfigError
from symcheck.locate.attribution import PAIRS, attribute
from symcheck.locate.result import Attribution, Located
from symcheck.locate.told import told
from symcheck.measure.audit import Audit, Options
from symcheck.measure.given import Inputs, first_samples, named_inputs, with_graph, without_ignored
from symcheck.measure.piece import findings_of
from symcheck.measure.runner import environment, measuring
from symcheck.measure.session import dtype_of, open_session, runner_for
from symcheck.registry import suggest
from symcheck.report.model import Finding, Verdict
from symcheck.subject import as_subject
from symcheck.version import __version__

PARTS = ("layers", "group", "lie", "certificates", "aliasing", "numerics")
USUAL = ("layers", "group", "certificates")
_SILENT = (Verdict.TRIVIAL, Verdict.INVALID)


@dataclass(frozen=True)
class How:
    """How much is measured, on what, and which `parts` are asked for; `hidden` declares actions by module path."""

    samples: int = 32
    elements: int = 32
    seed: int = 0
    tolerance: float = 1e-3
    device: str | None = None
    dtype: str = ""
    batch_size: int | None = None
    parts: Collection[str] = USUAL
    pairs: int = PAIRS
    hidden: Mapping[str, str] = field(default_factory=dict)


def locate(
    model: Any, claim: str, inputs: Inputs, how: How | None = None, tell: Callable[[str], None] = lambda step: None
) -> Located:
    """Audit `f(g·x) = g·f(x)` and find where it breaks: in which operation, for which part of the group.

    `model` is an nn.Module, a callable on tensors, or a Subject, `claim` one sentence such as `C4: image -> invariant`,
    `inputs` as in `audit`. Everything runs in float64 where the subject can be cast, unless `how` says otherwise.
    `tell` is called with each step. Raises SymcheckError when nothing could be concluded.
    """
    start, how = time.perf_counter(), how or How()
    _check(how)
    subject, parsed = as_subject(model), Claim.parse(claim)
    tensors, texts = without_ignored(named_inputs(inputs), [str(parsed)])
    text, parsed = texts[0], Claim.parse(texts[0])
    dtype = how.dtype or ("float64" if subject.castable and subject.module is not None else "as-is")
    tensors = first_samples(tensors, how.samples, texts)
    tensors = with_graph(tensors, subject.graph, texts, dtype_of(dtype, subject, tensors))
    runner = runner_for(subject, text, tensors, how.device, dtype)
    options = Options(how.elements, how.seed, how.tolerance)
    with measuring(runner):
        audit = open_session(runner, tensors, [text], options, how.batch_size)
        findings = tuple(finding for finding, _ in findings_of(audit.measure(parsed)))
        found = _parts(audit, parsed, findings, how)
    return Located(
        claim=text,
        findings=findings,
        subject={"name": subject.name, "parameters": subject.parameters, **vars(subject.source)},
        settings={"samples": audit.evaluator.samples.count, "elements": how.elements, "seed": how.seed,
                  "tolerance": how.tolerance, "pairs": how.pairs, "hidden": dict(how.hidden), "parts": [*how.parts]},
        environment=environment(runner, {"symcheck": __version__, "python": platform.python_version()}),
        seconds=time.perf_counter() - start,
        forwards=runner.forwards,
        **found,
    )  # fmt: skip


def _parts(audit: Audit, claim: Claim, findings: tuple[Finding, ...], how: How) -> dict[str, Any]:
    """Every part that is asked for and applies; notes say why another does not."""
    found: dict[str, Any] = {}
    notes: list[str] = []
    if silent := [f for f in findings if f.verdict in _SILENT]:
        first = silent[0]
        notes.append(f"the claim is {first.verdict} on '{first.output}': {first.advice or 'nothing can be located'}")
    if "layers" in how.parts and audit.evaluator.runner.module is not None:
        found["attribution"] = _attribution(audit, claim, findings, how)
    elif "layers" in how.parts:
        notes.append("the subject is a function without a module: its operations have no names")
    return {**found, "notes": tuple(notes)}


def _attribution(audit: Audit, claim: Claim, findings: tuple[Finding, ...], how: How) -> Attribution:
    """The attribution of the error to the operations of the network."""
    spread = {f.output: f.spread or 1.0 for f in findings}
    return told(attribute(audit, claim, how.hidden, how.pairs), str(claim), spread)


def _check(how: How) -> None:
    for part in how.parts:
        if part not in PARTS:
            raise ConfigError(f"there is no part '{part}' of a location", where="--with", hint=suggest(part, [*PARTS]))
    if how.pairs < 2 or how.samples < 2 or how.elements < 2:
        raise ConfigError(
            f"{how.pairs} pairs of {how.samples} samples and {how.elements} elements are too few",
            where="--pairs, --samples, --elements",
            hint="give at least 2 of each",
        )
