"""The output action, when only the inputs' action is known: ρ(g) fitted by least squares, and stated actions ranked.

Outputs are rows, f(g·x) ≈ f(x) M_g with ρ(g) = M_gᵀ, fitted on one half of the samples and scored on the other, in the
space that the outputs span over samples and group. What was fitted is a representation only if ρ(gh) = ρ(g) ρ(h).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.actions.plain import make_action
from symcheck.claim import BoundClaim, Claim
from symcheck.discover.discrete_result import Candidate, OutputAction, Representations
from symcheck.discover.irreps_fit import integrality, multiplicities, written
from symcheck.discover.moved import at_rest, bound_to, moved_outputs, spread_of
from symcheck.errors import SymcheckError
from symcheck.grammar import parse_term
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.measure.audit import Audit
from symcheck.measure.suggest import CANDIDATES

LARGEST = 64  # features whose d² numbers are fitted
_LISTED, _PAIRS = 64, 24
_RANK = 1e-5  # singular values below this, of the largest, are taken for rounding
_NEAR = 0.1  # a fit that is off by more is no action
_LAWFUL = 10.0  # how much worse than the residual's limit the homomorphism may be


@dataclass(frozen=True)
class Sampled:
    """Elements with pairs among them: g[third[i]] = g[first[i]] g[second[i]]; `whole`: all elements of the group."""

    g: Tensor
    first: Tensor
    second: Tensor
    third: Tensor
    whole: bool


@dataclass(frozen=True)
class Fit:
    """ρ(g), (K, r, r), on the space that is spanned, and how well it does on held-out samples."""

    rho: Tensor
    rank: int
    residual: float
    homomorphism: float
    orthogonality: float
    shuffled: float


def find_representations(session: Audit, claims: Sequence[str]) -> Representations:
    """The output actions under the groups and input actions of some claims; what they say of outputs is not read."""
    found: list[OutputAction] = []
    notes: list[str] = []
    for text in dict.fromkeys(_left(text) for text in claims):
        try:
            found += represent(session, f"{text} -> invariant")
        except SymcheckError as error:
            notes.append(f"{text}: {error.message}")
    return Representations(tuple(found), tuple(notes))


def represent(session: Audit, text: str) -> list[OutputAction]:
    """What every output does under the group and input actions of one claim; outputs of the claim are not read.

    Raises ClaimError and DataError where the claim does not fit the inputs.
    """
    bound = bound_to(session.evaluator, text)
    sampled = sampled_elements(bound.group, session.options.seed)
    still = at_rest(session.evaluator, bound)
    moved = moved_outputs(session.evaluator, bound, sampled.g)
    return [_judged(session, text, bound, sampled, name, y, moved[name]) for name, y in still.items()]


def sampled_elements(group: Group, seed: int = 0) -> Sampled:
    """All elements of a small group, else g, h and gh for some pairs."""
    listed = group.elements() if group.order is not None and group.order <= _LISTED else None
    if listed is None:
        rng = Draws(seed, f"representation {group.name}")
        a, b = group.sample(_PAIRS, rng), group.sample(_PAIRS, rng)
        k = torch.arange(_PAIRS)
        return Sampled(torch.cat([a, b, group.compose(a, b)]), k, k + _PAIRS, k + 2 * _PAIRS, False)
    n = len(listed)
    order = Draws(seed, "pairs").permutations(1, n * n)[0][: 4 * _PAIRS]
    first, second = order // n, order % n
    product = group.compose(listed[first], listed[second])
    same = (product[:, None] - listed[None]).reshape(len(order), n, -1).double().abs().amax(2)
    return Sampled(listed, first, second, same.argmin(1), True)


def fitted(y: Tensor, z: Tensor, sampled: Sampled, seed: int = 0) -> Fit | None:
    """ρ(g) from f(x), (B, n, q), and f(g·x), (K, B, n, q), on every other sample, scored on the others.

    None where there are fewer than 2 r rows to fit r² numbers for each element.
    """
    basis, scale = _spanned(torch.cat([y[None, ::2], z[:, ::2]]).reshape(-1, y.shape[-1]))
    still, moved = (y[::2] @ basis / scale).flatten(0, 1), (z[:, ::2] @ basis / scale).flatten(1, 2)
    held, target = (y[1::2] @ basis / scale).flatten(0, 1), z[:, 1::2].flatten(1, 2)
    rank, spread = len(scale), spread_of(y[1::2]) / y.shape[1] ** 0.5
    if len(still) < 2 * rank or not spread > 0:
        return None
    matrices = torch.linalg.pinv(still) @ moved
    rho, back = matrices.mT, scale[:, None] * basis.T
    rng = Draws(seed, "shuffled")
    mixed, other = rng.permutations(1, len(still))[0], rng.permutations(1, len(held))[0]
    product, composed = rho[sampled.third], rho[sampled.first] @ rho[sampled.second]
    norms = torch.linalg.matrix_norm(product).clamp(min=1e-300)
    gram = matrices @ rho - torch.eye(rank, dtype=rho.dtype)
    exchanged = torch.linalg.pinv(still) @ moved[:, mixed]
    return Fit(
        rho=rho,
        rank=rank,
        residual=_rms(target - held @ matrices @ back) / spread,
        homomorphism=float((torch.linalg.matrix_norm(product - composed) / norms).max()),
        orthogonality=float(torch.linalg.matrix_norm(gram).max()) / rank**0.5,
        shuffled=_rms(target[:, other] - held @ exchanged @ back) / spread,
    )


def ranked(bound: BoundClaim, sampled: Sampled, name: str, y: Tensor, z: Tensor) -> list[Candidate]:
    """Stated actions, and those of the inverse element, by ‖f(g·x) − ρ(g) f(x)‖ over the spread of f(x), best first.

    Of actions that do the same here only the first is kept.
    """
    spread = spread_of(y)
    seen: list[Tensor] = []
    found: list[Candidate] = []
    for text, actions, inverse in _stated(bound.group, tuple(y.shape[1:]), name):
        g = bound.group.inverse(sampled.g) if inverse else sampled.g
        try:
            reps = actions.represent(g)
            carried = torch.stack(
                [actions.act(tuple(tuple(t[k].expand(len(y), *t.shape[1:]) for t in rep) for rep in reps), y)
                 for k in range(len(g))]
            )  # fmt: skip
        except (SymcheckError, RuntimeError, IndexError):
            continue
        if any(_rms(carried - other) <= 1e-9 * spread for other in seen):
            continue
        seen.append(carried)
        found.append(Candidate(text, _rms(z - carried) / spread, 0))
    return sorted(found, key=lambda one: one.residual)


def _judged(
    session: Audit, text: str, bound: BoundClaim, sampled: Sampled, name: str, y: Tensor, z: Tensor
) -> OutputAction:
    """One output: stated actions, and the fit, on rows of features where that suffices, else on all numbers."""
    group, inputs = (part.strip() for part in _left(text).split(":", 1))
    silent = _silent(y, z)
    found = OutputAction(group, inputs, name, silent[0], len(y), len(sampled.g), notes=silent[1:])
    if silent[0]:
        return found
    tolerance, candidates = session.options.tolerance, ranked(bound, sampled, name, y, z)
    fits = [fit for rows in _layouts(y, z) if (fit := fitted(*rows, sampled, session.options.seed)) is not None]
    fit = next((f for f in fits if f.residual <= tolerance), min(fits, key=lambda f: f.residual) if fits else None)
    stated = bool(candidates) and candidates[0].residual <= tolerance
    if len(candidates) > 1:
        found = replace(found, margin=candidates[1].residual / max(candidates[0].residual, 1e-16))
    if fit is None:
        why = f"{len(y)} samples are too few, or {y[0].numel()} numbers too many, to fit an action"
        found = replace(found, verdict="inconclusive", notes=(why,))
    else:
        candidates.append(Candidate("linear, fitted", fit.residual, fit.rank**2))
        found = _with_fit(found, fit, bound.group, sampled.g, _word(fit, tolerance))
    if stated:
        claim = _verified(session, text, name, candidates[0].action)
        found = replace(found, verdict="action", best=candidates[0].action, claim=claim)
    return replace(found, candidates=tuple(sorted(candidates, key=lambda one: one.residual)))


def _silent(y: Tensor, z: Tensor) -> tuple[str, ...]:
    """The verdict on outputs that test nothing, and why; ("",) for others."""
    if not bool(torch.isfinite(y).all() and torch.isfinite(z).all()):
        return "inconclusive", "NaN or infinity in the output"
    constant = not spread_of(y) > 1e-9 * max(float(y.abs().max()), 1e-300)
    return ("trivial", "the output does not depend on the samples: nothing was tested") if constant else ("",)


def _with_fit(found: OutputAction, fit: Fit, group: Group, g: Tensor, verdict: str) -> OutputAction:
    """The numbers of a fit, and its irreps where it is one."""
    known = fit.residual <= _NEAR and fit.homomorphism <= 2 * _NEAR
    irreps = multiplicities(group, g, fit.rho.diagonal(dim1=1, dim2=2).sum(1), fit.rank) if known else ()
    return replace(
        found, verdict=verdict, best="linear" if verdict in ("action", "approximate") else "", rank=fit.rank,
        residual=fit.residual, homomorphism=fit.homomorphism, orthogonality=fit.orthogonality, shuffled=fit.shuffled,
        irreps=written(irreps), multiplicities=irreps, integrality=integrality(irreps),
    )  # fmt: skip


def _word(fit: Fit, tolerance: float) -> str:
    if fit.residual <= tolerance and fit.homomorphism <= _LAWFUL * tolerance:
        return "action"
    near = fit.residual <= _NEAR and fit.homomorphism <= 2 * _NEAR and fit.residual <= 0.2 * fit.shuffled
    return "approximate" if near else "no action"


def _layouts(y: Tensor, z: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """f(x) (B, n, q) and f(g·x) (K, B, n, q), n rows of q features: the last axis where there are others, then all."""
    if y.dim() > 2 and y.shape[-1] <= LARGEST:
        yield y.flatten(1, -2), z.flatten(2, -2)
    if y[0].numel() <= LARGEST:
        yield y.reshape(len(y), 1, -1), z.reshape(*z.shape[:2], 1, -1)


def _spanned(rows: Tensor) -> tuple[Tensor, Tensor]:
    """An orthonormal basis (q, r) of what the rows span, and their root mean square along each vector, (r,)."""
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    keep = values > _RANK**2 * values.max().clamp(min=1e-300)
    return vectors[:, keep], values[keep].sqrt()


def _stated(group: Group, shape: tuple[int, ...], name: str) -> Iterator[tuple[str, Bound, bool]]:
    """Actions that fit the group and the shape, and the same of the inverse element where that differs."""
    texts = [*CANDIDATES, "homogeneous"]
    if shape and shape[-1] % 2 and 1 <= shape[-1] <= 23:
        texts += [f"irreps(1x{(shape[-1] - 1) // 2}{parity})" for parity in "eo"]
    if len(shape) > 1 and shape[-1] == shape[-2]:
        texts += ["tensor(ij)", "tensor(ij,pseudo)"]
    for text in texts:
        try:
            actions = Bound((make_action(parse_term(text)),), group)
            for part in actions.parts:
                part.action.check(part.group, shape, name)
        except SymcheckError:
            continue
        if actions.parts or text == "scalar":
            yield "invariant" if text == "scalar" else text, actions, False
            if actions.parts:
                yield f"{text} of the inverse element", actions, True


def _verified(session: Audit, text: str, name: str, action: str) -> str:
    """The claim with this output action, where it can be written and the audit finds it exact or approximate."""
    if "inverse" in action:
        return ""
    outputs = session.evaluator.base(bound_to(session.evaluator, text)).tensors
    said = ", ".join(f"{other}={action if other == name else 'ignore'}" for other in outputs)
    try:
        findings = [piece.finding for piece in session.measure(Claim.parse(f"{_left(text)} -> {said}"))]
    except SymcheckError:
        return ""
    return f"{_left(text)} -> {said}" if findings and all(f.verdict.holds for f in findings) else ""


def _left(text: str) -> str:
    return text.partition("->")[0].strip()


def _rms(delta: Tensor) -> float:
    """Root mean square of ‖δ‖ over elements and samples, δ (K, B, ...)."""
    pairs = delta.shape[0] * delta.shape[1]
    return float((delta.square().sum() / pairs).sqrt())
