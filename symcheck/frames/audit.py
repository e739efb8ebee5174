"""The audit of a canonicaliser: alone, with the network, at its degeneracies; findings of a report, and plain figures.

Every error is measured by the one evaluator, as a claim: the canonicaliser alone by `G: inputs -> frame=frame`, the
network with an oracle's element by one more input `pose=frame`, and end to end by the claim itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import Claim
from symcheck.errors import SymcheckError
from symcheck.frames.continuity import continuity
from symcheck.frames.degenerate import DEGENERATE, families
from symcheck.frames.figures import gaps, gaps_of, prior, validity
from symcheck.frames.frame import Frame
from symcheck.frames.modules import Canonicalized, FrameAveraged, Symmetrised
from symcheck.frames.pose import Inverted, User, frame_of
from symcheck.frames.poser import CANONICAL, FRAME, POSE, Oracle, Poser, oracle_claim, posing, posing_claim
from symcheck.frames.result import Budget, Figures
from symcheck.frames.scene import Scene, owner_in, scene
from symcheck.frames.special import at_degeneracy, refused, told
from symcheck.measure.audit import Options
from symcheck.measure.given import first_samples
from symcheck.measure.piece import findings_of
from symcheck.measure.runner import Runner, environment, measuring
from symcheck.measure.samples import Samples
from symcheck.measure.session import device_of, dtype_of, open_session, output_names
from symcheck.report.model import Finding, Report, Verdict
from symcheck.subject import Subject


@dataclass(frozen=True)
class How:
    """How much to measure, as in any audit."""

    samples: int = 64
    elements: int = 32
    seed: int = 0
    tolerance: float = 1e-3
    device: str | None = None
    dtype: str = "as-is"
    batch_size: int | None = None


@dataclass(frozen=True)
class Audited:
    """What was found of one claim: findings, figures, and how many samples were run forward."""

    findings: tuple[Finding, ...]
    figures: Figures
    forwards: int
    environment: Mapping[str, Any]

    def report(self, subject: Subject, settings: Mapping[str, Any], seconds: float = 0.0) -> Report:
        """The report: findings, the figures as notes, and in full under settings.canonicalizer."""
        return reported([self], subject, settings, seconds)


def audit_canonicalizer(
    canonicalizer: Frame | str,
    claim: str,
    inputs: Mapping[str, Tensor],
    model: Subject | None = None,
    how: How | None = None,
) -> Audited:
    """d(h(g·x), g·h(x)), the drift of h(x)⁻¹·x, and with a model f(x) = h(x)·φ(h(x)⁻¹·x) by parts and end to end.

    `canonicalizer` is text of `frame_of` or a Frame; `inputs` are those that the model takes. Samples of `inputs` at a
    degeneracy of a PCA frame, and clouds made so on purpose, are findings of their own. Raises SymcheckError.
    """
    frame = frame_of(canonicalizer) if isinstance(canonicalizer, str) else canonicalizer
    with torch.no_grad():
        return _Work(frame, Claim.parse(claim), model, how or How()).audited(inputs)


def reported(audits: Sequence[Audited], subject: Subject, settings: Mapping[str, Any], seconds: float = 0.0) -> Report:
    """One report of the audits of several claims."""
    return Report(
        subject={"name": subject.name, "parameters": subject.parameters, **vars(subject.source)},
        environment={key: value for one in audits for key, value in one.environment.items()},
        settings={**settings, "canonicalizer": [one.figures.to_dict() for one in audits]},
        findings=tuple(finding for one in audits for finding in one.findings),
        notes=(*subject.notes, *dict.fromkeys(note for one in audits for note in one.figures.notes())),
        forwards=sum(one.forwards for one in audits),
        seconds=seconds,
    )


@dataclass
class _Work:
    frame: Frame
    claim: Claim
    model: Subject | None
    how: How
    forwards: int = 0
    environment: Mapping[str, Any] = field(default_factory=dict)

    def audited(self, inputs: Mapping[str, Tensor]) -> Audited:
        """Everything, in the order of the report."""
        tensors = first_samples(dict(inputs), self.how.samples, [str(self.claim)])
        here = scene(self.claim, _wide(tensors))
        whole = self.symmetrised(tensors, here)
        sets, untested = self._sets(tensors, here)
        findings: list[Finding] = []
        budget: dict[str, tuple[Finding, ...]] = {}
        for name, own in sets.items():
            if name:
                findings += self._special(own, name, whole)
                continue
            alone = self._advised(self._alone(own), own)
            after = self.measured(whole, str(self.claim), own) if whole is not None else []
            oracle = self._oracle(own) if self.model is not None else []
            findings += [*alone, *oracle, *after]
            parts = {"canonicaliser": alone, "network with an oracle": oracle, "end to end": after}
            budget = {part: tuple(one) for part, one in parts.items()}
        order = list(dict.fromkeys(finding.claim for finding in findings))
        findings.sort(key=lambda finding: order.index(finding.claim))
        figures = self._figures(here, tensors, whole, budget, untested)
        return Audited(tuple(told(findings)), figures, self.forwards, self.environment)

    def _special(self, own: Mapping[str, Tensor], name: str, whole: Subject | None) -> list[Finding]:
        """The findings on inputs that are degenerate; a canonicaliser that refuses them is one, too."""
        found: list[Finding] = []
        try:
            found += [at_degeneracy(one, name, True) for one in self._alone(own)]
            after = self.measured(whole, str(self.claim), own) if whole is not None else []
            found += [at_degeneracy(one, name, whole is not None and whole.castable) for one in after]
        except SymcheckError as error:
            claim = posing_claim(self.claim, own, {FRAME: torch.empty(0)})
            found.append(at_degeneracy(refused(claim, FRAME, error, self.how.tolerance), name, False))
        return found

    def symmetrised(self, tensors: Mapping[str, Tensor], here: Scene) -> Subject | None:
        """The network with the canonicaliser around it, as a subject."""
        if self.model is None:
            return None
        kind = FrameAveraged if self.frame.poses(here).size > 1 else Canonicalized
        return wrapped(self.model, kind(self.model, self.claim, self.frame, [*tensors]))

    def measured(self, subject: Subject, claim: str, tensors: Mapping[str, Tensor]) -> list[Finding]:
        """The findings of an ordinary audit of one claim."""
        runner = self._runner(subject, claim, tensors)
        options = Options(self.how.elements, self.how.seed, self.how.tolerance)
        with measuring(runner):
            session = open_session(runner, tensors, [claim], options, self.how.batch_size)
            found = [finding for finding, _ in findings_of(session.measure(Claim.parse(claim)))]
        self.forwards += runner.forwards
        self.environment = environment(runner)
        return found

    def _runner(self, subject: Subject, claim: str, tensors: Mapping[str, Tensor], dtype: str = "") -> Runner:
        chosen = dtype or self.how.dtype
        device, precision = device_of(self.how.device, subject), dtype_of(chosen, subject, tensors)
        return Runner(subject, device, precision, output_names([claim]), cast=chosen != "as-is")

    def _advised(self, found: list[Finding], tensors: Mapping[str, Tensor]) -> list[Finding]:
        """The findings, with the word that it is the inverses which would be right, where that is so."""
        if not (isinstance(self.frame, User) and any(f.verdict is Verdict.BROKEN for f in found)):
            return found
        if not all(f.verdict is Verdict.EXACT for f in self._alone(tensors, Inverted(self.frame))):
            return found
        advice = "it returns the inverse: h(x) takes the canonical form to x, so that h(g·x) = g·h(x); transpose it"
        return [replace(f, advice=advice) if f.verdict is Verdict.BROKEN else f for f in found]

    def _alone(self, tensors: Mapping[str, Tensor], frame: Frame | None = None) -> list[Finding]:
        frame = frame or self.frame
        subject = posing(frame, self.claim)
        found = Poser(frame, self.claim)(tensors)
        return self.measured(subject, posing_claim(self.claim, tensors, found), tensors)

    def _oracle(self, tensors: Mapping[str, Tensor]) -> list[Finding]:
        """The network where g·x comes with the element g·h(x)."""
        found = Poser(self.frame, self.claim)(tensors)
        if self.model is None or FRAME not in found:
            return []
        oracle = Oracle(self.model, self.claim, [*tensors])
        given = {**tensors, POSE: found[FRAME].double()}
        return self.measured(wrapped(self.model, oracle), oracle_claim(self.claim, tensors), given)

    def _sets(self, tensors: dict[str, Tensor], here: Scene) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
        """The data without the degenerate samples, those, and clouds that are degenerate on purpose."""
        found, untested = {"": tensors}, []
        near = gaps_of(self.frame, here)
        flat = torch.zeros(here.batch.count, dtype=torch.bool) if near is None else (near.cpu() < DEGENERATE)
        if bool(flat.any()):
            owner = owner_in(self.claim, [*tensors])
            samples, rows = Samples(tensors, owner), torch.arange(here.batch.count)
            parts = {"": rows[~flat], f"{int(flat.sum())} degenerate samples": rows[flat]}
            found = {name: _taken(samples, own) for name, own in parts.items() if len(own)}
        driver = _driver(here)
        if driver is None:
            untested.append("clouds without a frame (collinear, tetrahedral): no dense input of points (samples, n, d)")
        else:
            x = tensors[driver]
            for name, cloud in families(x.cpu(), self.how.seed).items():
                found[name] = {**tensors, driver: cloud.to(x)}
        return found, untested

    def _figures(
        self,
        here: Scene,
        tensors: Mapping[str, Tensor],
        whole: Subject | None,
        budget: Mapping[str, Sequence[Finding]],
        untested: list[str],
    ) -> Figures:
        poser = Poser(self.frame, self.claim)
        subject = whole if whole is not None else posing(self.frame, self.claim)
        claim = str(self.claim) if whole is not None else posing_claim(self.claim, tensors, poser(tensors))
        precision = "float64" if subject.castable else "as-is"
        runner = self._runner(subject, claim, tensors, precision)
        wide = scene(self.claim, {n: runner.prepared(x) for n, x in tensors.items()})

        def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            found = runner(Batch(dict(inputs), next(iter(inputs.values())).shape[0]))
            return {name: y for name, y in found.items() if name != FRAME}

        with measuring(runner):
            paths = continuity(run, wide, self.frame)
        self.forwards += runner.forwards
        sets = poser(here.batch.tensors).get(FRAME)
        law = None if sets is None else prior(sets.cpu())
        extra = [] if law is not None or sets is None else [f"the law of the poses: {sets.shape[1]} elements a sample"]
        return Figures(
            self.frame.name, here.group.name, validity(poser, here), gaps(self.frame, here), paths, law,
            tuple(_budget(budget)), untested=(*untested, *extra),
        )  # fmt: skip


def wrapped(model: Subject, module: Symmetrised) -> Subject:
    """The subject that a symmetrised network is: outputs are derived as before, inputs come as one dict."""
    return replace(model, call=module, module=module, takes="dict", fixed_batch=None)


def _budget(parts: Mapping[str, Sequence[Finding]]) -> Iterator[Budget]:
    for name, findings in parts.items():
        form = [f for f in findings if f.output == CANONICAL] or list(findings)
        errors = [f.error.spread.mean for f in form if f.error is not None]
        if form:
            worst = min((f.verdict for f in form), key=list(Verdict).index)
            yield Budget(name, max(errors, default=float("nan")), worst)


def _driver(here: Scene) -> str | None:
    """The dense input of points (samples, n, d) that degenerate clouds can stand in for."""
    for name, one in here.bound.inputs.items():
        names = [part.action.name for part in one.parts]
        if not here.batch.packed and "points" in names and here.batch.tensors[name].dim() == 3:
            x = here.batch.tensors[name]
            return name if x.shape[-1] in (2, 3) and x.shape[1] > 1 and x.is_floating_point() else None
    return None


def _taken(samples: Samples, rows: Tensor) -> dict[str, Tensor]:
    """Some samples, one of them twice where it is alone."""
    return dict(samples.take(rows.repeat(2) if len(rows) == 1 else rows).tensors)


def _wide(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.double() if x.is_floating_point() else x for name, x in tensors.items()}
