"""Do attributions follow the symmetry of the model? The ordinary audit, of the explained subject.

    e(g·x) = g·e(x)        measured only where f(g·x) = g·f(x) holds: else the error would be that of the model too
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from symcheck.claim import BoundClaim, Claim
from symcheck.errors import ClaimError, ConfigError, SymcheckError
from symcheck.explaining.claims import Target, check_baseline, explained_claim, target_of
from symcheck.explaining.explained import Explained, explained_subject, scene_of
from symcheck.explaining.explainers import Stated, state
from symcheck.explaining.implementation import implementation
from symcheck.explaining.replays import save as save_pairs
from symcheck.explaining.replays import with_recipe
from symcheck.explaining.scores import Score, Scores
from symcheck.grammar import parse_claim
from symcheck.measure.audit import Audit, Options
from symcheck.measure.given import Inputs, first_samples, named_inputs, owner_of
from symcheck.measure.piece import findings_of
from symcheck.measure.runner import Runner, measuring
from symcheck.measure.session import device_of, dtype_of, open_session, output_names
from symcheck.measure.worst import WorstPair
from symcheck.relations.base import Relation
from symcheck.report.model import Finding, Report, Verdict
from symcheck.report.numbers import number
from symcheck.subject import Subject, as_subject

_FEW = 8  # samples on which an explainer is tried


@dataclass(frozen=True)
class How:
    """How much is measured, and where: as the audit of the model itself; `weights`: also under rewrites of them."""

    options: Options = field(default_factory=Options)
    samples: int = 64
    device: str | None = None
    dtype: str = "as-is"
    batch_size: int | None = None
    weights: bool = True


@dataclass(frozen=True)
class Explanation:
    """What was found of one explainer under one claim, finding by finding; `made` is the subject that was audited."""

    stated: Stated
    claim: str
    made: Subject
    findings: tuple[Finding, ...]
    scores: tuple[Score, ...]
    worst: tuple[WorstPair, ...]
    notes: tuple[str, ...]
    forwards: int


def explain(
    report: Report,
    model: object,
    inputs: Inputs,
    texts: Sequence[str],
    how: How | None = None,
    *,
    save: Path | None = None,
) -> Report:
    """The report of a model's audit, with a finding for every attribution under every claim that the model holds.

    `texts` are explainers: `gradient`, `integrated-gradients(steps=64)`, `module:function`, see `explainers.state`.
    `save` writes the worst pairs to a file for replay. A claim that does not hold for the model gets none, and a note.
    Then, whatever the claims, whether networks of the same function are explained alike, see `implementation`.
    Raises SymcheckError where a stated claim cannot be asked of an explanation (ClaimError, ConfigError), or the
    explainer fails (DataError, ModelError).
    """
    texts = list(dict.fromkeys(texts))
    how, subject, stated = how or How(), as_subject(model), [state(text) for text in texts]
    found, notes = explanations(report, subject, inputs, stated, how)
    tensors = _asked(report, inputs, how)[1]
    findings = [finding for one in found for finding in one.findings]
    if save is not None and findings:
        pairs = [pair for one in found for pair in one.worst]
        save_pairs(save, pairs, subject, how.options.seed, how.device, how.dtype)
        findings = [replace(f, worst=f.worst and replace(f.worst, file=f"{save}#{i}")) for i, f in enumerate(findings)]
    options = how.options
    changes, more = list[Finding](), list[str]()
    if how.weights:
        changes, more = implementation(subject, tensors, stated, seed=options.seed, tolerance=options.tolerance)
    return replace(
        report,
        findings=(*report.findings, *findings, *changes),
        notes=tuple(dict.fromkeys([*report.notes, *notes, *(note for one in found for note in one.notes), *more])),
        settings={**report.settings, "explainers": list(texts)},
        forwards=report.forwards + sum(one.forwards for one in found),
    )


def explanations(
    report: Report, subject: Subject, inputs: Inputs, stated: Sequence[Stated], how: How
) -> tuple[list[Explanation], list[str]]:
    """Every explainer under every claim that holds, and why there are none for the others."""
    words = [one.word for one in stated]
    if twice := next((one for one in stated if words.count(one.word) > 1), None):
        raise ConfigError(
            f"two explainers are called '{twice.explainer.name}'", where="--explainer", hint="audit them one by one"
        )
    heard, tensors = _asked(report, inputs, how)
    runner = Runner(
        subject, device_of(how.device, subject), dtype_of(how.dtype, subject, tensors), output_names(heard),
        cast=how.dtype != "as-is",
    )  # fmt: skip
    found, notes = [], []
    with measuring(runner):
        session = open_session(runner, tensors, heard, how.options, how.batch_size)
        for own in heard:
            if not any(f.verdict.holds for f in report.findings if f.claim == own):
                notes.append(
                    f"not explained: '{own}' does not hold for the model itself, so that the score of an explanation "
                    "would mix its failure with the model's"
                )
                continue
            claim = Claim.parse(own)
            if isinstance(claim.group(), Relation):
                notes.append(f"not explained: '{own}' is a relation, no group")
                continue
            for one in stated:
                try:
                    found.append(_one(report, session, claim, one, how))
                except SymcheckError as error:
                    if not (report.proposed and isinstance(error, ClaimError | ConfigError)):
                        raise
                    notes.append(f"not explained: {one.text} under {own} ({error.message})")
    if stated and not found and report.holds:  # nothing broken, nothing measured: no pass
        raise ConfigError("there is nothing to explain", where=notes[-1] if notes else "no claim", hint="state a claim")
    return found, notes


def _asked(report: Report, inputs: Inputs, how: How) -> tuple[list[str], dict[str, Tensor]]:
    """The claims of the report, and the inputs that were measured."""
    claims, tensors = list(dict.fromkeys(finding.claim for finding in report.findings)), named_inputs(inputs)
    declared = {slot.name for claim in claims for slot in parse_claim(claim).inputs}  # not what all of them ignore
    if None not in declared:
        tensors = {name: x for name, x in tensors.items() if name in declared}
    if owner_of(claims, tensors) is not None:
        raise ConfigError("packed graphs cannot be explained", where="the claims", hint="give dense samples")
    return claims, first_samples(tensors, how.samples, claims)


def _one(report: Report, session: Audit, claim: Claim, stated: Stated, how: How) -> Explanation:
    """One explainer under one claim."""
    evaluator = session.evaluator
    samples, subject = evaluator.samples, evaluator.runner.subject
    bound = claim.bind(samples.shapes())
    base = evaluator.base(bound)
    actions = replace(bound, offer=evaluator.runner.outputs.offer).outputs(base.shapes())
    target = target_of(stated, bound, base, actions, how.options.seed)
    shown = {n: x for n, x in samples.tensors.items() if not bound.inputs[n].actions[0].hidden}
    module = evaluator.runner.module  # on the device
    placed = replace(subject, module=module, call=module) if subject.call is subject.module and module else subject
    scene = scene_of(placed, target.output, shown)
    check_baseline(stated, bound, scene, samples.shapes())
    extra = "target" if "target" not in samples.tensors else "target_"
    asked = explained_claim(claim, scene, stated, bound, extra)
    made = Explained(scene, stated.explainer, stated.word, seed=how.options.seed)
    tensors = {**samples.tensors, extra: target.labels}
    notes = _tried(made, bound, tensors)
    found = _audited(made, stated, asked, tensors, how)
    return _told(found, report, claim, target, stated, notes)


def _tried(made: Explained, bound: BoundClaim, tensors: Mapping[str, Tensor]) -> list[str]:
    """What is to be told of the explainer on a few samples; one with random numbers explains each sample alone."""
    own, few = made.scene.subject.dtype, [bound.inputs[n].observe(tensors[n][:_FEW]) for n in made.scene.names]
    given = [x.to(own) if own is not None and x.is_floating_point() else x for x in few]
    given.append([*tensors.values()][-1][:_FEW])
    notes = made.explainer.notes(made.asked(given))
    if not made.explainer.own:
        return notes
    first = made(*given)
    made.seed += 1
    change = {name: other - first[name] for name, other in made(*given).items()}
    made.seed -= 1
    moved = sum(float(x.double().square().sum()) for x in change.values())
    if moved > 0:
        made.alone = True
        size = sum(float(x.double().square().sum()) for x in first.values())
        share = number((moved / size) ** 0.5) if size > 0 else "inf"
        notes.append(f"draws random numbers: another seed changes the attributions by {share} of their size")
    return notes


def _audited(made: Explained, stated: Stated, claim: Claim, tensors: Mapping[str, Tensor], how: How) -> Explanation:
    """The audit of the explained subject, and the scores of the same pairs."""
    subject, text = explained_subject(made), str(claim)
    device, dtype = device_of(how.device, made.scene.subject), dtype_of(how.dtype, made.scene.subject, tensors)
    runner = Runner(subject, device, dtype, output_names([text]), cast=how.dtype != "as-is")
    scores = Scores(samples=len(next(iter(tensors.values()))))
    with measuring(runner):
        session = open_session(runner, tensors, [text], how.options, how.batch_size)
        session.evaluator.watch = scores
        pieces = session.measure(claim)
        pairs = findings_of(pieces)
    parts = [(p.facts.stratum, p.facts.output) for p in sorted(pieces, key=lambda p: p.place)]
    told = tuple(scores.of(part.g, output, part.exhaustive) for part, output in parts)
    forwards = sum({id(r): r.forwards for r in (runner, session.low, session.high) if r is not None}.values())
    findings, worst = (tuple(column) for column in zip(*pairs, strict=True))
    kept = tuple(with_recipe(pair, stated.text, made) for pair in worst)
    return Explanation(stated, text, subject, findings, told, kept, (), forwards)


def _told(
    found: Explanation, report: Report, claim: Claim, target: Target, stated: Stated, notes: Sequence[str]
) -> Explanation:
    """The findings with their scores in words, and no pass for parts of the group that the model does not hold."""
    own = {f.part: f.verdict for f in report.findings if f.claim == str(claim) and f.output == target.output}
    findings = []
    for finding, score in zip(found.findings, found.scores, strict=True):
        verdict, words = finding.verdict, [str(score)]
        model = own.get(finding.part)
        if model is not None and not model.holds:
            verdict = Verdict.INCONCLUSIVE
            words.append(f"the model itself is {model} here: the score mixes its failure with the explainer's")
        elif model is Verdict.APPROXIMATE:
            words.append("the model itself holds only approximately: part of the error may be its own")
        note = "; ".join(filter(None, (finding.note, *words)))
        findings.append(replace(finding, verdict=verdict, note=note, advice=_advice(finding, stated)))
    told = [f"{stated.text}: explains {target.words}", *(f"{stated.text}: {note}" for note in notes)]
    return replace(found, findings=tuple(findings), notes=tuple(told))


def _advice(finding: Finding, stated: Stated) -> str:
    """What to do about an explanation that does not follow."""
    if finding.verdict is not Verdict.BROKEN:
        return finding.advice
    if stated.explainer.kind == "entries" and "=vector" in finding.claim:
        return "products of single coordinates do not turn as a vector: take gradient, or sum x·∂f over the coordinates"
    return "average the explanation over the group: mean of g⁻¹·e(g·x)"

