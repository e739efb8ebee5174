"""The Python door: `symcheck.audit(model, claims, inputs) -> Report`, the same run that the command line makes."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from symcheck.claim import Claim
from symcheck.errors import ClaimError, ConfigError, DataError
from symcheck.grammar import parse_claim
from symcheck.measure.audit import Audit, Options
from symcheck.measure.certify import Ask
from symcheck.measure.evaluator import Evaluator, chunks_for
from symcheck.measure.given import Inputs, digest, first_samples, named_inputs, owner_of, with_graph, without_ignored
from symcheck.measure.piece import findings_of
from symcheck.measure.propose import propose
from symcheck.measure.runner import Runner, environment, measuring
from symcheck.measure.samples import Samples
from symcheck.measure.worst import WorstPair, origin_of, save_worst, with_sides
from symcheck.registry import suggest
from symcheck.report.model import Finding, Report
from symcheck.subject import Subject, as_subject
from symcheck.version import __version__


def audit(
    model: Any,
    claims: str | Sequence[str] | None = None,
    inputs: Inputs | None = None,
    *,
    samples: int = 64,
    elements: int = 32,
    seed: int = 0,
    tolerance: float | Mapping[str, float] = 1e-3,
    device: str | None = None,
    dtype: str = "as-is",
    batch_size: int | None = None,
    worst: bool = False,
    certify: Ask | None = None,
    derive: Mapping[str, str] | None = None,
    output: str | Sequence[str] | None = None,
    takes: str | None = None,
    graph: str | None = None,
    save: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Measure ||f(g·x) − g·f(x)|| for every claim, over `elements` × the first `samples`, and judge it.

    `model` is an nn.Module, a callable on tensors, or a Subject; `claims` are sentences such as
    `SO(3): pos=points -> energy=scalar`, or None to have them proposed from the input shapes; `inputs` is a tensor,
    a tuple or a dict of tensors with a leading sample axis. `tolerance` is relative to the output's spread.
    `output` chooses what is measured: outputs by name, `probabilities`, `label`, or parts of the module (`layer4.1`).
    `takes` and `graph` say how packed graphs are passed and which neighbour graph they have, as in a subject file.
    `certify=Ask(0.01)` also draws independent pairs, to bound the fraction of data × group above the tolerance.
    `save` writes the worst pairs to a file for replay; `progress` is called with (pairs done, pairs in all).
    Raises SymcheckError (ClaimError, DataError, ModelError, ConfigError) when nothing could be concluded.
    """
    start = time.perf_counter()
    if samples < 2:
        raise ConfigError(f"samples={samples} are too few", where="options of audit", hint="measure at least 2 samples")
    subject = as_subject(model)
    chosen = (output,) if isinstance(output, str) else tuple(output or ())
    own: dict[str, Any] = {"derive": dict(derive or {}), "output": chosen, "takes": takes, "graph": graph}
    subject = replace(subject, **{key: value for key, value in own.items() if value})
    texts = _claims(claims)
    options, stated = replace(_options(elements, seed, tolerance, worst, texts), certify=certify), texts
    tensors, texts = without_ignored(named_inputs(inputs if inputs is not None else ()), texts)
    renamed = dict(zip(stated, texts, strict=True))  # claims without what they ignore keep their tolerance
    options = replace(options, tolerances={renamed[claim]: v for claim, v in options.tolerances.items()})
    tensors = first_samples(tensors, samples, texts)
    precision = _dtype(dtype, subject, tensors)
    tensors = with_graph(tensors, subject.graph, texts, precision)
    runner = Runner(subject, _device(device, subject), precision, [], cast=dtype != "as-is")
    with measuring(runner):
        session, texts, proposed = _session(runner, tensors, texts, options, batch_size, progress)
        findings, worst_pairs, notes = _measure(session, texts, proposed)
    if save is not None:
        drawn = [with_sides(pair, audit_runner(subject, pair, device, dtype)) for pair in worst_pairs]
        save_worst(save, drawn, origin_of(subject, seed, dtype))
        findings = [replace(f, worst=f.worst and replace(f.worst, file=f"{save}#{i}")) for i, f in enumerate(findings)]
    settings = {"elements": elements, "seed": seed, "tolerance": tolerance, "claims": texts, "data": digest(tensors)}
    report = _report(session, findings, (*subject.notes, *notes), settings)
    return replace(report, seconds=time.perf_counter() - start, proposed=proposed)


def _report(session: Audit, findings: Sequence[Finding], notes: tuple[str, ...], settings: Mapping[str, Any]) -> Report:
    runner, subject = session.evaluator.runner, session.evaluator.runner.subject
    tolerance = settings["tolerance"]
    return Report(
        subject={"name": subject.name, "parameters": subject.parameters, **vars(subject.source)},
        environment=environment(runner, {"symcheck": __version__, "python": platform.python_version()}),
        settings={
            **settings,
            "tolerance": dict(tolerance) if isinstance(tolerance, Mapping) else tolerance,
            "samples": session.evaluator.samples.count,
            "batch_size": session.evaluator.chunks.size,
        },
        findings=tuple(findings),
        notes=notes,
        forwards=sum({id(r): r.forwards for r in (runner, session.low, session.high) if r}.values()),
    )


def _claims(claims: str | Sequence[str] | None) -> list[str]:
    """The claims in canonical form; an empty list stands for None, to be proposed."""
    texts = [claims] if isinstance(claims, str) else list(claims or ())
    if claims is not None and not texts:
        raise ConfigError(
            "there are no claims to measure", where="claims", hint="give at least one, or None to propose"
        )
    return [str(Claim.parse(text)) for text in texts]


def _options(
    elements: int, seed: int, tolerance: float | Mapping[str, float], worst: bool, texts: Sequence[str]
) -> Options:
    by_claim = tolerance if isinstance(tolerance, Mapping) else {}
    limits = [*by_claim.values()] if isinstance(tolerance, Mapping) else [tolerance]
    if elements < 2 or not 0 <= seed < 2**64 or any(not (0 <= v < math.inf) for v in limits):
        raise ConfigError(
            f"elements={elements}, seed={seed}, tolerance={tolerance} cannot be measured",
            where="options of audit",
            hint="elements must be at least 2, the seed in 0..2^64-1 and tolerances finite",
        )
    tolerances = {str(Claim.parse(text)): float(v) for text, v in by_claim.items()}
    unknown = [text for text in tolerances if text not in texts]
    if unknown:
        raise ConfigError(
            f"there is a tolerance for '{unknown[0]}', which is no claim of this audit",
            where="tolerance",
            hint=suggest(unknown[0], list(texts)),
        )
    common = Options.tolerance if isinstance(tolerance, Mapping) else float(tolerance)
    return Options(elements, seed, common, tolerances, worst)
