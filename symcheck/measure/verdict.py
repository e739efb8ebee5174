"""From measured numbers to one word, in a fixed order: invalid, trivial, exact, then the tolerance decides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from symcheck.gate.intervals import samples_to_decide
from symcheck.measure.floors import RATIO, Precision
from symcheck.measure.statistics import Interval
from symcheck.report.model import Verdict


@dataclass(frozen=True)
class Evidence:
    """Everything the verdict on one output depends on; errors and floors in the output's unit unless named.

    `spread` is the slot scale S, `size` the root mean square of f(x), `error` the interval of the error on the
    spread scale, `moved_in` and `moved_out` how far the group moves inputs and outputs (relative), None: it cannot.
    """

    finite: bool
    law_in: bool
    law_out: bool
    precision: Precision
    repeat: float
    company: float
    spread: float
    size: float
    error: Interval
    moved_in: float
    moved_out: float | None
    resampled: bool
    action_floor: float
    tolerance: float
    samples: int


@dataclass(frozen=True)
class Decision:
    """The verdict, why, and what to do next."""

    verdict: Verdict
    note: str = ""
    advice: str = ""


def decide(e: Evidence) -> Decision:
    """The verdict on one output of one part of a claim."""
    return _invalid(e) or _trivial(e) or _exact(e) or _judged(e)


def _invalid(e: Evidence) -> Decision | None:
    if not (e.law_in and e.law_out):
        side = "input" if not e.law_in else "output"
        return Decision(
            Verdict.INVALID,
            f"the {side} action is not a left action of this group: (gh)x differs from g(hx)",
            "check the action: a transpose or an inverse (R.T for R) is the usual cause",
        )
    if not e.finite:
        return Decision(
            Verdict.INVALID,
            "NaN or infinity in the output",
            "replay the worst pair and look for a division by zero, or a root of a negative number",
        )
    floor = max(e.precision.floor, e.spread * 1e-12)
    # randomness and batch-mates inflate the floor itself, so both also have a limit that does not depend on it
    limit = min(1000 * e.precision.unit, 0.03) * max(e.size, e.spread)
    if not (e.repeat <= min(max(30 * floor, 1e-6 * e.spread), limit)):
        return Decision(
            Verdict.INVALID,
            f"the same batch twice differs by {_over(e.repeat, e.spread)} of the spread: not deterministic",
            "switch dropout and sampling off, or fix their seed inside the model",
        )
    if not (e.company <= min(max(100 * floor, 1e-4 * e.spread), 3 * limit)):
        return Decision(
            Verdict.INVALID,
            "the output of a sample depends on its batch-mates",
            "look for batch normalisation in training mode or a padding leak; --batch-size 1 audits samples alone",
        )
    return None


def _trivial(e: Evidence) -> Decision | None:
    if not (e.moved_in > 1e-12):
        return Decision(
            Verdict.TRIVIAL, "the group does not move these inputs: nothing was tested", "give inputs that it moves"
        )
    floor = min(3 * e.precision.floor, 1000 * e.precision.unit * e.size)  # a contaminated floor is no constant
    structural = not math.isnan(e.precision.high) and e.precision.worst > RATIO
    if not structural and not (e.spread > max(floor, 1e-9 * e.size, 1e-300)):
        return Decision(
            Verdict.TRIVIAL,
            "the output is constant over samples and group, up to rounding: nothing was tested",
            "a constant passes every test; check that the samples differ and that the output is not dead",
        )
    if e.moved_out is not None and not (e.moved_out > max(1e-9, 10 * e.precision.floor / (e.size or 1.0))):
        return Decision(
            Verdict.TRIVIAL,
            "the output has no component on which the group acts: nothing was tested",
            "declare the output invariant to test its invariance",
        )
    return None


def _exact(e: Evidence) -> Decision | None:
    p = e.precision
    if not p.exact:
        return None
    if p.constants and p.worst > RATIO:
        return Decision(
            Verdict.EXACT,
            "exact up to constants stored in float32: in float64 the error is what rounding the stored numbers makes",
            "build the model in float64 (not only cast it) to remove it",
        )
    if math.isnan(p.high) and not (3 * p.floor <= e.tolerance * e.spread):
        return Decision(
            Verdict.INCONCLUSIVE,
            f"the rounding floor is {_over(p.floor, e.spread)} of the spread, above the tolerance, "
            "and the precision of this subject could not be raised",
            "run it in float64, or subtract constants from its output",
        )
    if math.isnan(p.high):
        return Decision(
            Verdict.EXACT,
            "to working precision: the precision of this subject could not be raised, so leaks below the floor hide",
        )
    return Decision(Verdict.EXACT, _jumps(e))


def _jumps(e: Evidence) -> str:
    """What the user should know of rounding that the model blows up: it jumps where a comparison tips over."""
    p = e.precision
    if p.low <= max(e.tolerance * e.spread, 1000 * p.unit * max(e.size, e.spread)):
        return ""
    return (
        f"in exact arithmetic; but where rounding tips a comparison over (a cut-off, nearest neighbours, an argmax) "
        f"the output jumps: {_over(p.low, e.spread)} of the spread among the probed pairs"
    )


def _judged(e: Evidence) -> Decision:
    error = e.error
    if not (math.isfinite(error.low) and math.isfinite(error.high)):
        return Decision(
            Verdict.INCONCLUSIVE,
            "too few samples or elements for an interval",
            "measure at least 2 samples and 2 elements",
        )
    if error.high <= e.tolerance:
        return Decision(Verdict.APPROXIMATE, _structural(e))
    if e.resampled and error.mean <= 3 * e.action_floor:
        return Decision(
            Verdict.INCONCLUSIVE,
            f"cannot be told from the resampling itself, whose own floor is {e.action_floor:.2g}",
            "the lattice part decides; smoother (band-limited) images lower this floor",
        )
    if error.low > e.tolerance:
        return Decision(Verdict.BROKEN, _structural(e))
    need = samples_to_decide(error.mean, error.high, e.tolerance, e.samples)
    return Decision(
        Verdict.INCONCLUSIVE,
        f"the tolerance {e.tolerance:.3g} lies inside the interval",
        f"about {need} samples (and as many more elements) would decide",
    )


def _structural(e: Evidence) -> str:
    p = e.precision
    if math.isnan(p.high) or p.slope is None:
        return ""
    if p.ratio <= RATIO:
        return f"within float32 rounding, but {_over(p.high, e.spread)} of the spread remains in float64"
    return ""


def _over(value: float, scale: float) -> str:
    return f"{value / scale:.2g}" if scale > 0 else f"{value:.2g}"
