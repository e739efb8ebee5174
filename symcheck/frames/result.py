"""What an audit of a canonicaliser finds beyond findings: plain figures. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from symcheck.report.model import Verdict, finite
from symcheck.report.numbers import NOT_MEASURED, number, ratio

JUMPS = 0.5  # slopes below this are jumps


@dataclass(frozen=True)
class Validity:
    """Whether what it returns are elements: the largest ‖RᵀR − 1‖, the range of det R; NaN without matrices.

    `idempotence` is the largest distance of h(h(x)⁻¹·x) from e, as sets where there are several, and `drift` the
    largest ‖c(c(x)) − c(x)‖/‖c(x)‖ of the canonical form c(x) = h(x)⁻¹·x.
    """

    elements: int
    orthogonality: float
    det_low: float
    det_high: float
    idempotence: float
    drift: float


@dataclass(frozen=True)
class Gaps:
    """How near the samples are to a degeneracy: quantiles of the gap, and how many are in each decade below 1.

    `kind` is `eigen-gap`, min(λᵢ − λᵢ₊₁)/λ₁, or `margin`, the best score less the second over their spread. `decades`
    are counts of gaps in [10⁻¹, 1], [10⁻², 10⁻¹), ..., the last of all that are smaller.
    """

    kind: str
    least: float
    q05: float
    median: float
    decades: tuple[int, ...]


@dataclass(frozen=True)
class Continuity:
    """The steepest place of a path through the inputs, halved again and again.

    `slope` of log‖f(x_{t+h}) − f(x_t)‖ in log h: 0 is a jump, 1 is smooth; `jump` is what is left at the smallest h,
    relative to the spread of f on the path; NaN where nothing changes.
    """

    path: str
    slope: float
    jump: float
    steps: tuple[float, ...] = ()
    sizes: tuple[float, ...] = ()

    @property
    def jumps(self) -> bool:
        """Whether it is a jump: not smooth, and more than rounding is left."""
        return self.slope < JUMPS and self.jump > 1e-6


@dataclass(frozen=True)
class Prior:
    """The law of h(x) on the data: the mean angle from e, and how far it is from uniform.

    `measure` says how: `transport`, the circular transport distance on SO(2) in radians; `kl`, the Kullback-Leibler
    divergence over `bins` bins of equal measure, in nats, of which about (bins − 1)/2n are due to n samples alone.
    """

    measure: str
    from_uniform: float
    mean_angle: float
    bins: int = 0


@dataclass(frozen=True)
class Accuracy:
    """Loss and share of right labels of one model, on the data as they are and moved by random elements."""

    model: str
    loss: float
    loss_moved: float
    correct: float | None = None
    correct_moved: float | None = None


@dataclass(frozen=True)
class Budget:
    """One row of the error budget: the worst mean error (spread scale) over the outputs, and its verdict."""

    part: str
    error: float
    verdict: Verdict


@dataclass(frozen=True)
class Figures:
    """Everything that is no finding."""

    canonicalizer: str
    group: str
    validity: Validity
    gaps: Gaps | None = None
    continuity: tuple[Continuity, ...] = ()
    prior: Prior | None = None
    budget: tuple[Budget, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()
    untested: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite become None."""
        plain: dict[str, Any] = finite(asdict(self), [0])
        return plain

    def notes(self) -> Iterator[str]:
        """The figures in words, one sentence each, for a report."""
        yield _validity(self)
        if self.gaps is not None:
            yield _gaps(self.gaps)
        for one in self.continuity:
            yield _continuity(one)
        if self.prior is not None:
            yield _prior(self.prior)
        if self.budget:
            yield "error budget: " + "; ".join(f"{row.part} {ratio(row.error)} ({row.verdict})" for row in self.budget)
        for row in self.accuracy:
            yield _accuracy(row)
        yield from (f"not tested: {what}" for what in self.untested)


def _validity(found: Figures) -> str:
    v = found.validity
    size = "one element" if v.elements == 1 else f"{v.elements} elements"
    valid = f", ‖RᵀR − 1‖ up to {number(v.orthogonality)}, det {number(v.det_low)} to {number(v.det_high)}"
    valid = "" if v.orthogonality != v.orthogonality else valid
    idle = "" if v.idempotence != v.idempotence else f"; h(h(x)⁻¹x) is e to {number(v.idempotence)}"
    return (
        f"{found.canonicalizer} gives {size} of {found.group} for each sample{valid}{idle}; canonicalising twice moves "
        f"the form by {ratio(v.drift)}"
    )


def _gaps(gaps: Gaps) -> str:
    near = sum(gaps.decades[3:])
    words = f"{gaps.kind} of the samples: least {number(gaps.least)}, 5 % below {number(gaps.q05)}"
    return f"{words}, median {number(gaps.median)}; {near} of {sum(gaps.decades)} are below 1e-3"


def _continuity(one: Continuity) -> str:
    if one.slope != one.slope:
        return f"along {one.path} nothing changes"
    tail = f"slope {abs(one.slope):.2f} of log change against log step"
    if one.jumps:
        return f"along {one.path} it jumps by {ratio(one.jump)} of its spread ({tail}), and gradients with it"
    return f"along {one.path} it is continuous ({tail})"


def _prior(prior: Prior) -> str:
    angle = "" if prior.mean_angle != prior.mean_angle else f", on average {number(prior.mean_angle)} radians from e"
    if prior.measure == "transport":
        return f"poses of the data: {number(prior.from_uniform)} radians of circular transport from uniform{angle}"
    return f"poses of the data: {number(prior.from_uniform)} nats from uniform over {prior.bins} bins{angle}"


def _accuracy(row: Accuracy) -> str:
    words = f"{row.model}: loss {number(row.loss, 3)}, on moved data {number(row.loss_moved, 3)}"
    if row.correct is None or row.correct_moved is None:
        return words
    shares = [NOT_MEASURED if v != v else f"{100 * v:.1f} %" for v in (row.correct, row.correct_moved)]
    return f"{words}; right {shares[0]}, on moved data {shares[1]}"
