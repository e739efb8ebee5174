"""Where a symmetry breaks: the audit of one claim, and then layer by layer and element by element."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from symcheck.claim import Claim
from symcheck.errors import ClaimError, ConfigError, SymcheckError
from symcheck.locate.aliasing import aliasing
from symcheck.locate.attribution import SILENT, attribute
from symcheck.locate.features import certificate_of
from symcheck.locate.lie import lie_layers
from symcheck.locate.numerics import Asked as Numbers
from symcheck.locate.numerics import numerics_matrix
from symcheck.locate.pairs import PAIRS
from symcheck.locate.result import Infinitesimal, Located
from symcheck.locate.subgroups.search import which_part
from symcheck.locate.terms import Attributed
from symcheck.locate.told import told
from symcheck.measure.audit import Audit, Options
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.given import Inputs, first_samples, named_inputs, with_graph, without_ignored
from symcheck.measure.lie import lie_derivatives
from symcheck.measure.piece import findings_of
from symcheck.measure.runner import environment, measuring
from symcheck.measure.samples import Samples
from symcheck.measure.session import dtype_of, open_session, runner_for
from symcheck.registry import suggest
from symcheck.report.model import Finding, Verdict
from symcheck.subject import as_subject
from symcheck.version import __version__

PARTS = ("layers", "group", "lie", "certificates", "aliasing", "numerics")
USUAL = ("layers", "group", "certificates")
SEARCHED = 16  # samples on which the group is searched
_ROUGH = 0.1  # of an output: rounding that may hide a whole error
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
        found = _parts(audit, parsed, findings, how, tell)
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


def _parts(
    audit: Audit, claim: Claim, findings: tuple[Finding, ...], how: How, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Every part that is asked for and applies; notes say why another does not."""
    found: dict[str, Any] = {}
    notes = [
        f"the claim is {f.verdict} on '{f.output}': {f.advice or 'nothing can be located'}"
        for f in findings if f.verdict in _SILENT
    ]  # fmt: skip
    layers: Attributed | None = None
    if {"layers", "certificates", "lie"} & {*how.parts} and not all(f.verdict in _SILENT for f in findings):
        if audit.evaluator.runner.module is None:
            notes.append("the subject is a function without a module: its operations have no names, and no layers can "
                         "be certified")  # fmt: skip
        else:
            tell("following the operations")
            layers = attribute(audit, claim, how.hidden, how.pairs)
    if layers is not None and "layers" in how.parts:
        found["attribution"] = told(layers, str(claim), {f.output: f.spread or 1.0 for f in findings})
        unseen = [f.output for f in findings if f.verdict is Verdict.BROKEN and f.output not in layers.terms]
        if unseen:
            notes.append(_unseen(unseen, layers))
    for part, measure in _FURTHER.items():
        if part in how.parts:
            tell(part)
            try:
                found[part] = measure(audit, claim, how, layers)
            except SymcheckError as error:  # one part that does not apply leaves the others
                if {*how.parts} == {part}:
                    raise
                notes.append(f"{part}: {error.message}" + (f" ({error.where})" if error.where else ""))
    return {**found, "notes": tuple(notes)}


def _unseen(names: Sequence[str], layers: Attributed) -> str:
    """Why an error of the audit is not there among the pairs: they are too few, or rounding could be as large."""
    dtype = layers.course.runner.dtype or torch.get_default_dtype()
    if SILENT * torch.finfo(dtype).eps < _ROUGH:
        return f"the error of {', '.join(names)} does not show on these pairs: follow more with --pairs"
    return (
        f"the error of {', '.join(names)} is no larger than what rounding in {str(dtype).removeprefix('torch.')} may "
        "add up to, so that operations cannot be told apart: run it in float64, or float32"
    )


def _group(audit: Audit, claim: Claim, how: How, layers: Attributed | None) -> Any:
    return which_part(_fewer(audit, claim), claim)


def _fewer(audit: Audit, claim: Claim) -> Audit:
    """The audit of the first samples alone: a search over a group runs each of them thousands of times."""
    evaluator = audit.evaluator
    few = first_samples(evaluator.samples.tensors, SEARCHED, [str(claim)])
    samples = Samples(few, evaluator.samples.owner_name)
    return replace(audit, evaluator=Evaluator(evaluator.runner, samples, evaluator.chunks))


def _lie(audit: Audit, claim: Claim, how: How, layers: Attributed | None) -> Any:
    """The Lie derivative end to end, and by layer where there are any."""
    whole = lie_derivatives(audit, claim)
    return Infinitesimal(whole, None if layers is None else lie_layers(audit, claim, how.hidden, layers))


def _certificates(audit: Audit, claim: Claim, how: How, layers: Attributed | None) -> Any:
    return certificate_of(layers) if layers is not None else None


def _aliasing(audit: Audit, claim: Claim, how: How, layers: Attributed | None) -> Any:
    """What sampling explains; ClaimError unless images are all that moves among the inputs."""
    found = aliasing(audit, claim)
    if found is None:
        raise ClaimError(
            "sampling is told apart from weights for images alone",
            where=f"'{claim}': what the group moves is not images, or not images alone",
            hint="claim image -> …, or leave --part aliasing out",
        )
    return found


def _numerics(audit: Audit, claim: Claim, how: How, layers: Attributed | None) -> Any:
    asked = Numbers(samples=min(how.samples, 16), elements=min(how.elements, 8), seed=how.seed, tolerance=how.tolerance)
    return numerics_matrix(audit.evaluator.runner.subject, claim, audit.evaluator.samples.tensors, asked)


_FURTHER = {
    "group": _group, "certificates": _certificates, "lie": _lie, "aliasing": _aliasing, "numerics": _numerics,
}  # fmt: skip


def _check(how: How) -> None:
    for part in how.parts:
        if part not in PARTS:
            raise ConfigError(f"there is no part '{part}' of a location", where="--part", hint=suggest(part, [*PARTS]))
    if how.pairs < 2 or how.samples < 2 or how.elements < 2:
        raise ConfigError(
            f"{how.pairs} pairs of {how.samples} samples and {how.elements} elements are too few",
            where="--pairs, --samples, --elements",
            hint="give at least 2 of each",
        )
