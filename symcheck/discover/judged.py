"""What the searches for finite symmetries share: claims about one output, their audit, and the group that is told."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from symcheck.claim import Claim
from symcheck.discover.discrete_result import FiniteGroup
from symcheck.errors import SymcheckError
from symcheck.measure.audit import Audit
from symcheck.report.model import Finding, Verdict

SCREEN = 0.3  # a candidate that is off by more, of the spread, gets no audit
_ORDER = {verdict: i for i, verdict in enumerate(Verdict)}


def audited(session: Audit, text: str, output: str, residual: float = 0.0) -> Finding | None:
    """The worst finding of one claim about one output; None where it cannot be measured, or the screen refused it."""
    if not residual <= SCREEN:
        return None
    try:
        pieces = [piece.finding for piece in session.measure(Claim.parse(text)) if piece.finding.output == output]
    except SymcheckError:
        return None
    return min(pieces, key=lambda f: _ORDER[f.verdict], default=None)


def error_of(finding: Finding, otherwise: float) -> float:
    """The mean error on the spread scale, where one was measured."""
    return finding.error.spread.mean if finding.error is not None else otherwise


def sentence(session: Audit, group: str, moves: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    """A claim that moves some inputs and declares some outputs; the other inputs stay, other outputs are left out."""
    inputs = [f"{name}={moves.get(name, 'scalar')}" for name in session.evaluator.samples.tensors]
    base = next(iter(session.evaluator.bases.values()), None)
    known = [name for name in base.tensors if name != base.owner_name] if base is not None else []
    named = [f"{name}={outputs.get(name, 'ignore')}" for name in known if outputs] or ["invariant"]
    return f"{group}: {', '.join(inputs)} -> {', '.join(named)}"


def finite_group(
    finding: Finding, lead: str, text: str, named: tuple[str, int], written: tuple[str, ...], action: str, claim: str
) -> FiniteGroup:
    """The group of a finding; `named` is its name as an abstract group and its order."""
    error = finding.error.spread if finding.error is not None else None
    return FiniteGroup(
        lead, finding.output, text, *named, written, action, claim, str(finding.verdict),
        None if error is None else error.mean, None if error is None else error.high,
        finding.floor.rounding, finding.tolerance, finding.counts.elements,
    )  # fmt: skip


def size_of(delta: Tensor) -> float:
    """Root mean square of ‖δ‖ over samples, δ (B, ...); infinite where it is not finite."""
    size = float(delta.reshape(len(delta), -1).square().sum(1).mean().sqrt())
    return size if size == size else float("inf")
