"""The Python door: `symcheck.audit(model, claims, inputs) -> Report`, the same run that the command line makes."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from symcheck.claim import Claim
from symcheck.engines.job import How, Job
from symcheck.engines.measure import Measured, measure
from symcheck.engines.shards import save_shard
from symcheck.engines.spread import Spread, check
from symcheck.errors import ConfigError
from symcheck.measure.asked import asked_of
from symcheck.measure.audit import Audit, Options
from symcheck.measure.certify import Ask
from symcheck.measure.given import Inputs, digest, named_inputs, without_ignored
from symcheck.measure.propose import family_of, propose, states
from symcheck.measure.runner import environment, measuring
from symcheck.measure.session import audit_runner, output_names
from symcheck.measure.worst import WorstPair, origin_of, save_worst, with_sides
from symcheck.preset import Templates, read_preset, settled
from symcheck.registry import suggest
from symcheck.report.model import Finding, Report
from symcheck.subject import Subject, as_subject
from symcheck.version import __version__


def audit(
    model: Any,
    claims: str | Sequence[str] | Templates | None = None,
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
    **spread: Unpack[Spread],
) -> Report:
    """Measure ||f(g·x) − g·f(x)|| for every claim, over `elements` × the first `samples`, and judge it.

    `model` is an nn.Module, a callable on tensors, or a Subject; `claims` are sentences such as
    `SO(3): pos=points -> energy=scalar`, or None to have them proposed from the input shapes; `inputs` is a tensor,
    a tuple or a dict of tensors with a leading sample axis. `tolerance` is relative to the output's spread.
    `output` chooses what is measured: outputs by name, `probabilities`, `label`, or parts of the module (`layer4.1`).
    `**read_preset("potential")` gives the claims of a whole family, of which those are measured that apply.
    `takes` and `graph` say how packed graphs are passed and which neighbour graph they have, as in a subject file.
    `certify=Ask(0.01)` also draws independent pairs, to bound the fraction of data × group above the tolerance.
    `save` writes the worst pairs to a file for replay; `progress` is called with (pairs done, pairs in all).
    Who measures: several `devices`, the workers of a dask `scheduler`, `shard=(i, n)` of the elements with its `parts`
    in a file, all of it kept in a folder to `resume`; see `symcheck.engines.spread.Spread`.
    Raises SymcheckError (ClaimError, DataError, ModelError, ConfigError) when nothing could be concluded.
    """
    start = time.perf_counter()
    check(spread, device, certify is not None)
    subject = _chosen(as_subject(model), derive, output, takes, graph)
    given, device = named_inputs(inputs if inputs is not None else ()), spread.get("devices", (device,))[0]
    first = Job(subject, given, How((), (), Options(), samples, device, dtype, batch_size))
    family = family_of(given) if claims is None else ""
    stated = Templates(read_preset(family)["claims"]) if family else claims
    texts, tolerance, left = _asked(stated, tolerance, first)
    subject = replace(subject, notes=(*subject.notes, *left))
    options = replace(_options(elements, seed, tolerance, worst, texts), certify=certify)
    job = _job(subject, given, How(tuple(texts), (), options, samples, device, dtype, batch_size))
    report = _audited(job, tolerance, spread, save, progress)
    return replace(report, seconds=time.perf_counter() - start, proposed=report.proposed or bool(family))


def _chosen(
    subject: Subject,
    derive: Mapping[str, str] | None,
    output: str | Sequence[str] | None,
    takes: str | None,
    graph: str | None,
) -> Subject:
    """The subject with what was said about its outputs and how it is called."""
    chosen = (output,) if isinstance(output, str) else tuple(output or ())
    own: dict[str, Any] = {"derive": dict(derive or {}), "output": chosen, "takes": takes, "graph": graph}
    return replace(subject, **{key: value for key, value in own.items() if value})


def _job(subject: Subject, inputs: Inputs, how: How) -> Job:
    """The inputs as the subject is given them; claims without what they ignore keep their tolerance."""
    if how.samples < 2:
        raise ConfigError(
            f"samples={how.samples} are too few", where="options of audit", hint="measure at least 2 samples"
        )
    tensors, texts = without_ignored(named_inputs(inputs), how.claims)
    renamed = dict(zip(how.claims, texts, strict=True))
    options = replace(how.options, tolerances={renamed[text]: v for text, v in how.options.tolerances.items()})
    how = replace(how, claims=tuple(texts), names=tuple(output_names(texts)), options=options)
    return Job(subject, how.cut(subject, tensors), how)


def _audited(
    job: Job,
    tolerance: float | Mapping[str, float],
    spread: Spread,
    save: Path | None,
    progress: Callable[[int, int], None] | None,
) -> Report:
    subject, how = job.subject, job.how
    runner, proposed = job.runner(), not how.claims
    with measuring(runner):
        session = job.session(runner)
        read_off = proposed and states(session.evaluator)
        if proposed:
            how = replace(how, claims=tuple(propose(session.evaluator)))
            job = replace(job, how=how)
        if progress is not None and not spread:
            session.evaluator.progress = _by_pairs(progress, job, session.evaluator.samples.count)
        measured = measure(session, job, proposed, spread, progress)
    findings, origin = [finding for finding, _ in measured.found], {}
    if save is not None or "parts" in spread:
        origin = origin_of(subject, how.options.seed, how.dtype)

    def drawn(pair: WorstPair) -> WorstPair:
        return with_sides(pair, audit_runner(subject, pair, how.device, how.dtype))

    if "parts" in spread:
        save_shard(spread["parts"], measured.pieces, job, spread["shard"], origin, drawn)
    if save is not None:
        save_worst(save, [drawn(pair) for _, pair in measured.found], origin)
        findings = [replace(f, worst=f.worst and replace(f.worst, file=f"{save}#{i}")) for i, f in enumerate(findings)]
    return replace(_report(session, job, findings, tolerance, measured), proposed=proposed and not read_off)


def _by_pairs(progress: Callable[[int, int], None], job: Job, samples: int) -> Callable[[int], None]:
    """Tells of pairs as they are measured."""
    done, total = [0], len(job.how.claims) * job.how.options.elements * samples

    def tell(pairs: int) -> None:
        done[0] += pairs
        progress(done[0], max(total, done[0]))

    return tell


def _report(
    session: Audit, job: Job, findings: Sequence[Finding], tolerance: float | Mapping[str, float], measured: Measured
) -> Report:
    runner, subject, options = session.evaluator.runner, job.subject, job.how.options
    return Report(
        subject={"name": subject.name, "parameters": subject.parameters, **vars(subject.source)},
        environment=environment(runner, {"symcheck": __version__, "python": platform.python_version()}),
        settings={
            "elements": options.elements,
            "seed": options.seed,
            "tolerance": dict(tolerance) if isinstance(tolerance, Mapping) else tolerance,
            "claims": list(job.how.claims),
            "data": digest(job.tensors),
            "samples": session.evaluator.samples.count,
            "batch_size": session.evaluator.chunks.size,
            **measured.settings,
        },
        findings=tuple(findings),
        notes=(*subject.notes, *measured.notes),
        forwards=measured.forwards,
    )


def _asked(
    claims: str | Sequence[str] | None, tolerance: float | Mapping[str, float], job: Job
) -> tuple[list[str], float | Mapping[str, float], tuple[str, ...]]:
    """The claims, their tolerance and what is not asked; those of a preset are fitted to the data and the model."""
    if not isinstance(claims, Templates):
        return _claims(claims), tolerance, ()
    runner = job.runner()
    with measuring(runner):
        found = asked_of(claims, runner, job.tensors)
    return [*found.claims.values()], found.limits(tolerance), found.missing


def _claims(claims: str | Sequence[str] | None) -> list[str]:
    """The claims in canonical form; an empty list stands for None, to be proposed."""
    texts = [claims] if isinstance(claims, str) else list(claims or ())
    if claims is not None and not texts:
        raise ConfigError(
            "there are no claims to measure", where="claims", hint="give at least one, or None to propose"
        )
    return [str(Claim.parse(settled(text))) for text in texts]


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
