"""The same equations at two precisions: what of a solution is rounding is read off, never assumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.discover.equations import Equations
from symcheck.errors import ModelError
from symcheck.measure.audit import Audit
from symcheck.measure.dual import Differential
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples

_SAFETY = 30.0  # how far σ may exceed what the other precision predicts


@dataclass(frozen=True)
class Rows:
    """The equations of all samples, the same as another precision finds them, and what of the change is left here."""

    rows: Equations
    other: Equations
    ratio: float
    how: str


def precisions(session: Audit, samples: Samples) -> tuple[Runner, Runner]:
    """The runners at the higher and at the lower precision; one twice where the subject has only one."""
    try:
        session.low.kept(samples.take(torch.arange(2, device=session.low.device)))
        return session.high or session.low, session.low
    except ModelError:
        if session.high is None:
            raise
        return session.high, session.high


def rows_of(
    high: Runner,
    low: Runner,
    samples: Samples,
    first: tuple[Batch, Mapping[str, Tensor]],
    rows: Callable[[Differential, Samples], Equations],
) -> Rows:
    """`rows` at the higher precision and at the lower one; with one precision only, on inputs shaken by its epsilon.

    `first` is a batch with changes that reach the outputs: on it derivatives are checked.
    """
    fine = Differential(high)
    fine(*first)
    how = f"central differences, because {fine.without}" if fine.without else "forward-mode derivatives"
    how += f" in {str(high.dtype or torch.float32).removeprefix('torch.')}"
    found = rows(fine, samples)
    if low is high:
        return Rows(found, rows(fine, _shaken(samples, _eps(high))), _SAFETY, f"{how}, one precision only")
    power = 0.8 if fine.without else 1.0  # what differences of fourth order leave of rounding: eps^(4/5)
    ratio = _SAFETY * (_eps(high) / _eps(low)) ** power
    return Rows(found, rows(Differential(low, without=fine.without), samples), ratio, how)


def _shaken(samples: Samples, eps: float) -> Samples:
    """The samples with every float multiplied by 1 ± eps."""
    generator = torch.Generator().manual_seed(11)

    def shake(x: Tensor) -> Tensor:
        signs = torch.randint(0, 2, x.shape, generator=generator).to(x) * 2 - 1
        return x * (1 + eps * signs) if x.is_floating_point() else x

    return Samples({name: shake(x) for name, x in samples.tensors.items()}, samples.owner_name)


def _eps(runner: Runner) -> float:
    dtype = runner.dtype
    return torch.finfo(dtype if dtype is not None and dtype.is_floating_point else torch.float32).eps
