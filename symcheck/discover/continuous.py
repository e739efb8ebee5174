"""The Lie algebra of a network: linear equations, their solutions, a name, and an audit of finite elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from symcheck.discover.equations import Equations, equations, probe, slots_of
from symcheck.discover.finite import verify
from symcheck.discover.precision import precisions, rows_of
from symcheck.discover.result import Continuous, Verified
from symcheck.discover.span import Span, describe, span_of
from symcheck.discover.spectrum import Solutions, solve
from symcheck.discover.unknowns import Ask, Block, Slot, blocks_of, spanned
from symcheck.errors import DataError
from symcheck.measure.audit import Audit
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.samples import Samples
from symcheck.report.model import Finding, Verdict
from symcheck.report.numbers import number

_ENOUGH, _PLENTY = 2.0, 30.0  # equations for each unknown, in the part that is solved: at least, and no need of more
_TRAINED, _FEW = 2 / 3, 64  # of the samples that make equations; so many always do
_EXACT, _NEAR = "exact directions", "near directions"
_UNLIKE = 1e3
_ROUNDING, _FAR = 5.0, 2 * math.pi  # of its floor, the error in low precision; how far elements go along generators


@dataclass(frozen=True)
class Found:
    """The frozen result, and the generators as tensors for what is built on them."""

    result: Continuous
    span: Span | None = None  # exact and near directions
    audit: Audit | None = None  # on the samples that the equations have not seen


def find_continuous(session: Audit, ask: Ask) -> Found:
    """Solve J_f(x) X_in x = X_out f(x) on two thirds of the samples; judge and audit on the others.

    Where samples are many, only some make equations, and the audit sees the others. Raises DataError where the inputs
    are too large or too few for so many unknowns, and where the network has no derivative but zero.
    """
    samples = session.evaluator.samples
    high, low = precisions(session, samples)
    blocks = blocks_of(samples, ask)
    slots = slots_of(high, low, samples, ask)
    notes = [*_unspanned(blocks), *_left_out(samples, blocks)]
    if all(slot.acting == "trivial" for slot in slots):
        return Found(_empty("trivial", blocks, slots, (*notes, "no output depends on the inputs: nothing was tested")))
    used, cut = _split(samples, blocks, slots)
    order = torch.arange(samples.count)
    parts = rows_of(
        high, low, _some(samples, order[:used], high.device), probe(samples, blocks, high.device, ask.seed),
        lambda push, data: equations(push, data, blocks, slots),
    )  # fmt: skip
    train, fresh = parts.rows.of(order[:cut]), parts.rows.of(order[cut:used])
    _check_telling(train, fresh)
    solutions = solve(train, fresh, parts.other, [block.gram for block in blocks], parts.ratio)
    held = _on(session, samples, order[cut:])
    result = _empty("nothing", blocks, slots, tuple(notes))
    result = replace(
        result, spectrum=solutions.directions, interval=solutions.interval, gap=solutions.gap, how=parts.how,
        dimension=solutions.count("exact"), near=solutions.count("near"),
        unknowns=sum(train.inputs.shape[1:]) + train.outputs.shape[1], equations=len(train.inputs),
    )  # fmt: skip
    return _judged(result, solutions, blocks, slots, held)


def _judged(
    result: Continuous, solutions: Solutions, blocks: Sequence[Block], slots: Sequence[Slot], held: Audit
) -> Found:
    """The algebra of the exact directions, else of the near ones, with the audit of its finite elements."""
    if not result.dimension + result.near:
        return Found(result, audit=held)
    kinds = ("exact",) if result.dimension else ("near",)
    span = span_of(solutions, kinds, blocks, slots)
    verified = _verified(held, span, _EXACT if result.dimension else _NEAR)
    verdict = _overall(verified)
    every, nearly = span, ""
    if result.dimension and result.near:
        more = span_of(solutions, ("near",), blocks, slots)
        verified += _verified(held, more, _NEAR)
        every = span_of(solutions, ("exact", "near"), blocks, slots)
        nearly = describe(every).name
    if not result.dimension:
        words = "the symmetry is not exact: these directions leave a residual well above rounding"
        result = replace(result, notes=(*result.notes, words))
    result = replace(result, verdict=verdict, algebra=describe(span), nearly=nearly, verified=verified)
    return Found(result, every, held)


def _verified(held: Audit, span: Span, what: str) -> tuple[Verified, ...]:
    accuracy = span.accuracy if what == _EXACT else 0.0  # near directions are not known, but suspected
    return tuple(_line(what, one, accuracy) for one in verify(held, span))


def _line(what: str, finding: Finding, accuracy: float) -> Verified:
    scale, floor = finding.error.spread if finding.error else None, finding.floor
    measured = None not in (floor.rounding, floor.low, floor.high) and finding.verdict is Verdict.APPROXIMATE
    within = measured and (floor.low or 0) <= _ROUNDING * (floor.rounding or 0) and (floor.high or 0) <= _FAR * accuracy
    verdict = Verdict.EXACT if within else finding.verdict
    return Verified(
        what, finding.output, str(verdict), scale.mean if scale else None, scale.high if scale else None,
        finding.tolerance, finding.counts.elements, finding.counts.samples, accuracy,
    )  # fmt: skip


def _overall(verified: Sequence[Verified]) -> str:
    """The worst verdict of the outputs; an output that the group leaves alone anyway decides nothing."""
    order = [str(verdict) for verdict in Verdict]
    counted = [one.verdict for one in verified if one.verdict != Verdict.TRIVIAL] or [one.verdict for one in verified]
    return min(counted, key=order.index)


def _on(session: Audit, samples: Samples, picks: torch.Tensor) -> Audit:
    """The same audit on some of the samples."""
    evaluator = session.evaluator
    part = _some(samples, picks, evaluator.runner.device)
    return replace(session, evaluator=Evaluator(evaluator.runner, part, replace(evaluator.chunks)))


def _some(samples: Samples, picks: torch.Tensor, device: torch.device) -> Samples:
    return Samples(samples.take(picks.to(device)).tensors, samples.owner_name)


def _empty(verdict: str, blocks: Sequence[Block], slots: Sequence[Slot], notes: tuple[str, ...]) -> Continuous:
    return Continuous(
        verdict, 0, 0, (0, 0), None, 0, 0, (), None, "", (), "", tuple(n for b in blocks for n in b.inputs),
        {slot.name: slot.acting for slot in slots}, {n: b.form for b in blocks for n in b.inputs if b.form}, notes,
    )  # fmt: skip


def _split(samples: Samples, blocks: Sequence[Block], slots: Sequence[Slot]) -> tuple[int, int]:
    """How many samples make equations, and how many of them are solved."""
    unknowns = sum(len(b.basis) for b in blocks) + sum(s.width**2 for s in slots if s.acting == "free")
    numbers, count = sum(s.numbers for s in slots if s.acting != "trivial"), samples.count
    wanted = math.ceil(_PLENTY * unknowns * count / (_TRAINED * numbers))
    used = min(count, max(_FEW, wanted))
    cut = min(used - 2, max(2, round(_TRAINED * used)))
    found = round(numbers * max(cut, 0) / count)
    if found < _ENOUGH * unknowns:
        need = math.ceil(_ENOUGH * unknowns * count / (_TRAINED * numbers)) + 2
        raise DataError(
            f"{found} equations are too few for {unknowns} unknown numbers", where=f"{count} samples",
            hint=f"give at least {need} samples, fewer inputs (--input), or a form (--form skew)",
        )  # fmt: skip
    return used, cut


def _check_telling(train: Equations, fresh: Equations) -> None:
    """Refuse where a derivative of zero says nothing: steps, roundings, units that none of the samples reaches."""
    unknowns = train.inputs.shape[1]
    telling = [int((part.inputs != 0).any(1).sum()) for part in (train, fresh)]
    if telling[0] < unknowns or not telling[1]:
        every = len(train.inputs) + len(fresh.inputs)
        raise DataError(
            f"the derivative of the outputs is zero in all but {sum(telling)} of {every} equations, too few "
            f"for {unknowns} unknown numbers", where="derivatives along the inputs",
            hint="steps and roundings have none, saturated units lose it: move the inputs to where the network answers",
        )  # fmt: skip


def _unspanned(blocks: Sequence[Block]) -> list[str]:
    """What the data do not reach cannot be told."""
    found = []
    for block in blocks:
        full, rank = block.width + block.affine, spanned(block)
        if rank < full:
            found.append(
                f"'{block.name}' spans {rank} of {full} directions (constants count): "
                "what generators do in the others is not determined"
            )
        sizes = (block.moment.diagonal()[: block.width]).sqrt()
        unlike = float(sizes.max() / sizes[sizes > 0].min())
        if unlike > _UNLIKE:
            found.append(
                f"the components of '{block.name}' differ {number(unlike)} times in size: what "
                "moves the small ones alone looks nearly symmetric; divide each by its spread"
            )
    return found


def _left_out(samples: Samples, blocks: Sequence[Block]) -> list[str]:
    searched = {name for block in blocks for name in block.inputs}
    real = [n for n, x in samples.tensors.items() if x.is_floating_point() and n not in searched]
    return [f"not searched, they stand still: {', '.join(real)}"] if real else []
