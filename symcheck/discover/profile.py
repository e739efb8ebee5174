"""The symmetry profile: for every candidate what the data, the labels, the network and its layers say, side by side.

Disagreements are the finding: a network that is symmetric where the data is not, data that is where the network is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.batch import Batch
from symcheck.claim import BoundClaim, Claim
from symcheck.discover.discrete_result import Extent, Profile, ProfileRow, TwoSample
from symcheck.discover.moved import at_rest, bound_to, moved_outputs, spread_of
from symcheck.discover.two_sample import Rows, two_sample
from symcheck.errors import SymcheckError
from symcheck.groups.base import Flow, Group
from symcheck.groups.draws import Draws
from symcheck.measure.audit import Audit
from symcheck.measure.propose import propose
from symcheck.measure.samples import elements_in, move_batch
from symcheck.report.model import Finding, Verdict

Layers = Callable[[str], Mapping[str, float]]
LEVELS = {"q10": 0.1, "median": 0.5, "q90": 0.9}
DATA_ONLY = "the data has it, the network does not"
NETWORK_ONLY = "the network has it, the data does not"
BOTH, NEITHER = "the data and the network have it", "neither the data nor the network has it"
_SILENT = "of the data nothing can be said"
_POOL = 4096
_STEPS, _FAR = 12, 3.0  # points on each side of a flow; how far along one without a period
_ORDER = {verdict: i for i, verdict in enumerate(Verdict)}


def find_profile(
    session: Audit,
    claims: Sequence[str] = (),
    *,
    found: Sequence[str] = (),
    labels: Tensor | None = None,
    layers: Layers | None = None,
) -> Profile:
    """One row for each claim: those that are given, those that were `found`, else those that the shapes propose.

    `labels`, (B, ...), are those of the samples; `layers` maps a claim to a number for each layer.
    """
    origins = {**dict.fromkeys(claims, "stated"), **{text: "found" for text in found if text not in claims}}
    notes: list[str] = []
    if not origins:
        origins = dict.fromkeys(propose(session.evaluator), "proposed")
    rows, seen = [], set()
    for text, origin in origins.items():
        try:
            if (meaning := _meaning(session, text)) in seen:
                continue
            seen.add(meaning)
            rows.append(_row(session, text, origin, labels, layers))
        except SymcheckError as error:
            notes.append(f"{text}: {error.message}")
    return Profile(tuple(_corrected(rows)), tuple(notes))


def _meaning(session: Audit, text: str) -> tuple[object, ...]:
    """What a claim says once it is bound: equal for texts that differ in what they leave out only."""
    bound = Claim.parse(text).bind(session.evaluator.samples.shapes())
    if bound.relation is not None:
        return (text,)
    outputs = bound.outputs(session.evaluator.base(bound).shapes())
    sides = (bound.inputs, outputs)
    words = (tuple(sorted((n, str([p.action.name for p in one.parts])) for n, one in side.items())) for side in sides)
    return (bound.group.name, *words)


def _corrected(rows: Sequence[ProfileRow]) -> list[ProfileRow]:
    """The rows with the p-values of all candidates corrected together (Holm 1979): that any is wrong has the level."""
    tested = sorted(((i, row.data) for i, row in enumerate(rows) if row.data is not None), key=lambda one: one[1].p)
    found, least = [*rows], 0.0
    for k, (i, data) in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - k) * data.p))
        lost = data.verdict == "differ" and not least <= data.level
        data = replace(data, p=least, verdict="inconclusive" if lost else data.verdict)
        told = rows[i].finding if rows[i].finding.startswith(_SILENT) else _finding(Verdict(rows[i].model), data)
        found[i] = replace(rows[i], data=data, finding=told)
    return found


def data_test(session: Audit, text: str, labels: Tensor | None = None) -> TwoSample:
    """Whether the inputs of one claim are distributed as moved ones are, together with labels that stay.

    Raises ClaimError and DataError: packed samples, too few of them, a relation in the place of a group.
    """
    bound = bound_to(session.evaluator, text)
    samples = session.evaluator.samples
    moving = [name for name, one in bound.inputs.items() if not one.trivial]
    shown = {name: x for name, x in samples.tensors.items() if not bound.inputs[name].actions[0].hidden}
    beside = [x for name, x in shown.items() if name not in moving]
    if labels is not None:
        beside.append(labels)
    sizes = {name: samples.tensors[name][0].numel() for name in moving}

    pool = _pool(bound.group, session.options.seed)

    def move(rows: Tensor, seed: int) -> Tensor:
        tensors = {
            name: part.reshape(-1, *samples.tensors[name].shape[1:]).to(samples.tensors[name])
            for name, part in zip(moving, torch.split_with_sizes(rows, list(sizes.values()), 1), strict=True)
        }
        return _moved_rows(bound, samples.tensors, tensors, moving, pool, seed)

    x = torch.cat([samples.tensors[name].reshape(samples.count, -1).double() for name in moving], 1)
    haar = bound.group.compact and bound.group.law.startswith(("uniform", "all"))
    return two_sample(Rows.of(x, *beside), move, text, haar=haar, seed=session.options.seed)


def label_agreement(session: Audit, text: str, labels: Tensor) -> tuple[float, float]:
    """How well the label of x agrees with that of the sample nearest to g·x, and to x itself: what neighbours share.

    The share of equal labels; of labels that are numbers 1 − E(y − y')²/2 var y, at least 0.
    """
    bound = bound_to(session.evaluator, text)
    samples = session.evaluator.samples
    names = [name for name, one in bound.inputs.items() if not one.trivial]
    x = torch.cat([samples.tensors[name].reshape(samples.count, -1).double() for name in names], 1)
    moving, pool = {n: samples.tensors[n] for n in names}, _pool(bound.group, session.options.seed)
    moved = _moved_rows(bound, samples.tensors, moving, names, pool, session.options.seed)
    found = []
    for rows in (moved, x):
        distance = torch.cdist(rows, x).fill_diagonal_(float("inf"))
        found.append(_agree(labels.cpu(), labels.cpu()[distance.argmin(1).cpu()]))
    return found[0], found[1]


def extents(session: Audit, text: str) -> list[Extent]:
    """How far along each one-parameter subgroup the error stays within the tolerance, for each output.

    |t| grows to half the period, or to 3 where there is none, in steps; ext(x) is the last |t| up to which all errors,
    on both sides, are within the tolerance.
    """
    bound = bound_to(session.evaluator, text)
    still = at_rest(session.evaluator, bound)
    found = []
    for flow in bound.group.flows():
        steps, at = _along(flow)
        moved = moved_outputs(session.evaluator, bound, at)
        outputs = bound.outputs({name: tuple(y.shape[1:]) for name, y in still.items()})
        for name, action in outputs.items():
            if name in still and spread_of(still[name]) > 0:
                errors = _errors(action, at, still[name], moved[name])
                found.append(_extent(flow.name, name, steps, errors, session.options.tolerance_of(text)))
    return found


def _row(session: Audit, text: str, origin: str, labels: Tensor | None, layers: Layers | None) -> ProfileRow:
    worst = _worst(session, text)
    error = worst.error.spread.mean if worst.error is not None else None
    row = ProfileRow(
        text, origin, str(worst.verdict), error, None, None, None, dict(layers(text)) if layers else {}, (), ""
    )
    try:
        row = replace(row, data=data_test(session, text, labels))
        if labels is not None:
            agree, rest = label_agreement(session, text, labels)
            row = replace(row, labels=agree, labels_at_rest=rest)
        row = replace(row, extents=tuple(extents(session, text)))
    except SymcheckError as error_:
        return replace(row, finding=f"{_SILENT}: {error_.message}")
    return replace(row, finding=_finding(worst.verdict, row.data))


def _worst(session: Audit, text: str) -> Finding:
    return min((piece.finding for piece in session.measure(Claim.parse(text))), key=lambda f: _ORDER[f.verdict])


def _finding(verdict: Verdict, data: TwoSample | None) -> str:
    if data is None or data.verdict == "inconclusive" or not (verdict.holds or verdict is Verdict.BROKEN):
        return "undecided"
    alike = data.verdict == "alike"
    if verdict.holds:
        return BOTH if alike else NETWORK_ONLY
    return DATA_ONLY if alike else NEITHER


def _pool(group: Group, seed: int) -> Tensor:
    """All elements of a small group, else many that are drawn once: each sample is then moved by one of them."""
    listed = group.elements()
    if listed is not None and len(listed) <= _POOL:
        return listed
    return group.sample(_POOL, Draws(seed, f"data {group.name}"))


def _moved_rows(
    bound: BoundClaim,
    kept: Mapping[str, Tensor],
    moving: Mapping[str, Tensor],
    names: Sequence[str],
    pool: Tensor,
    seed: int,
) -> Tensor:
    """Every sample moved by a random element of the pool, as rows (B, Σ sizes) float64."""
    first = next(iter(moving.values()))
    count, device = len(first), first.device
    picks = torch.from_numpy(np.random.default_rng([seed, 5]).integers(0, len(pool), count))
    elements = elements_in(bound, pool[picks], device)
    tensors = {name: moving.get(name, x[:1].expand(count, *x.shape[1:])) for name, x in kept.items()}
    moved = move_batch(bound, elements, torch.arange(count, device=device), Batch(tensors, count))
    return torch.cat([moved.tensors[name].reshape(count, -1).double() for name in names], 1)


def _along(flow: Flow) -> tuple[Tensor, Tensor]:
    """(|t| of the steps (n,), elements at t, then at −t)."""
    far = flow.period / 2 if flow.period is not None else _FAR
    steps = torch.linspace(0, far, _STEPS + 1, dtype=torch.float64)[1:]
    return steps, torch.cat([flow.at(steps), flow.at(-steps)])


def _errors(action: Bound, g: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """‖f(g·x) − g·f(x)‖ over the spread of f(x), (K, B)."""
    rows = (action.difference(z[k], action(g[k].expand(len(y), *g.shape[1:]), y)) for k in range(len(g)))
    return torch.stack([delta.reshape(len(y), -1).norm(dim=1) for delta in rows]) / spread_of(y)


def _extent(flow: str, output: str, steps: Tensor, errors: Tensor, tolerance: float) -> Extent:
    """Quantiles of ext(x) from errors (2n, B) at t and −t."""
    within = ((errors[: len(steps)] <= tolerance) & (errors[len(steps) :] <= tolerance)).long().cumprod(0).sum(0)
    reached = torch.cat([steps.new_zeros(1), steps])[within].numpy()
    quantiles = {name: float(np.quantile(reached, level, method="lower")) for name, level in LEVELS.items()}
    return Extent(flow, output, float(steps[-1]), quantiles)


def _agree(a: Tensor, b: Tensor) -> float:
    if not a.is_floating_point():
        return float((a == b).double().mean())
    a, b = a.double().reshape(len(a), -1), b.double().reshape(len(b), -1)
    variance = float(a.var(0).sum())
    return max(0.0, 1 - float((a - b).square().sum(1).mean()) / (2 * variance)) if variance > 0 else 1.0
