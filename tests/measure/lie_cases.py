"""Measuring the Lie derivative of a model in a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from symcheck.claim import Claim
from symcheck.groups.draws import Draws
from symcheck.measure.audit import Audit, Options
from symcheck.measure.lie import lie_derivatives
from symcheck.measure.lie_result import LieDerivative
from symcheck.measure.runner import measuring
from symcheck.measure.session import open_session, runner_for
from symcheck.subject import as_subject

Model = Callable[..., object]


def opened(model: Model, claim: str, inputs: dict[str, Tensor], dtype: str = "float64", **subject: object) -> Audit:
    made = replace(as_subject(model), **subject)  # type: ignore[arg-type]
    runner = runner_for(made, claim, inputs, None, dtype)
    return open_session(runner, inputs, [claim], Options(), None)


def measured(model: Model, claim: str, inputs: dict[str, Tensor], **more: object) -> dict[str, LieDerivative]:
    audit = opened(model, claim, inputs, **more)  # type: ignore[arg-type]
    with measuring(audit.evaluator.runner):
        return {one.output: one for one in lie_derivatives(audit, Claim.parse(claim))}


def normal(*shape: int, key: str = "x") -> Tensor:
    return Draws(0, key).normal(*shape)
