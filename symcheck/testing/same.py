"""Two models as one subject with a switch: they are the same function where its output is invariant under the switch.

f(x, s) = f_a(x) for s = 1 and f_b(x) for s = -1, claimed invariant under the sign of s. So floors, precisions,
intervals and verdicts are those of every other claim.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.api import audit
from symcheck.batch import Batch
from symcheck.errors import ConfigError, LoadError
from symcheck.measure.calling import by_keyword
from symcheck.measure.given import Inputs, first_samples, named_inputs
from symcheck.measure.runner import measuring
from symcheck.measure.session import runner_for
from symcheck.report.model import Finding, Report
from symcheck.subject import Subject, as_subject, named_outputs

QUESTION = "f_a(x) = f_b(x)"
_SWITCH = "(switch)"


class Switched(nn.Module):
    """Row i goes through the first model where switch[i] > 0, else through the second."""

    def __init__(self, one: Subject, two: Subject, names: list[str]) -> None:
        super().__init__()
        self.one, self.two, self.names = one.call, two.call, names
        self.keywords = [by_keyword(subject, names) for subject in (one, two)]

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The outputs by name, rows in the order of the inputs."""
        *tensors, switch = inputs
        first = switch.flatten() > 0
        rows = [torch.nonzero(side).flatten() for side in (first, ~first)]
        parts = [self.side(i, [x[picked] for x in tensors]) for i, picked in enumerate(rows) if len(picked)]
        if len(parts) == 1:
            return parts[0]
        order = torch.cat(rows).argsort()
        return {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}

    def side(self, i: int, tensors: list[Tensor]) -> dict[str, Tensor]:
        """The outputs of one model, which gets floats in its own precision."""
        model = self.two if i else self.one
        dtype = as_subject(model).dtype if isinstance(model, nn.Module) else None
        given = [x.to(dtype) if dtype is not None and x.is_floating_point() else x for x in tensors]
        keywords = dict(zip(self.names, given, strict=True))
        return named_outputs(model(**keywords) if self.keywords[i] else model(*given), [])


def compare(a: Any, b: Any, inputs: Inputs, *, tolerance: float | None, samples: int, device: str | None) -> Report:
    """The report on f_a(x) = f_b(x), one finding an output; without findings where the outputs cannot be compared.

    Raises LoadError when a state dict does not fit the first model, ConfigError for programs of a fixed batch size.
    """
    one = as_subject(a)
    two = _loaded(one, b) if isinstance(b, Mapping) else as_subject(b)
    if one.fixed_batch or two.fixed_batch:
        raise ConfigError(
            "a program with a fixed batch size cannot be compared",
            where=f"{one.name}, {two.name}",
            hint="export it with a dynamic batch axis",
        )
    tensors = first_samples(named_inputs(inputs), samples, [])
    switched = Switched(one, two, list(tensors))
    name = f"{one.name} and {'its state dict' if isinstance(b, Mapping) else two.name}"
    subject = Subject(name, switched, switched, castable=one.castable and two.castable)
    dtype = _widest(one, two)
    first, second = _shapes(subject, tensors, device, dtype)
    if first != second:
        problem = f"the outputs of a are {_listed(first)}, those of b {_listed(second)}"
        return Report({"name": name}, {}, {"samples": samples}, (), notes=(problem,))
    claim = f"Sign(1): {'scalar, ' * len(tensors)}vector -> {', '.join(['invariant'] * len(first))}"
    sides = 1.0 - 2.0 * (torch.arange(len(next(iter(tensors.values())))) % 2)  # half of f(x) is a's, so both are rerun
    limit = 1e-3 if tolerance is None else tolerance
    given = (*tensors.values(), sides[:, None])
    report = audit(subject, claim, given, samples=samples, device=device, dtype=dtype, tolerance=limit)
    findings = tuple(_worded(finding) for finding in report.findings)
    return replace(report, findings=findings, settings={**report.settings, "claims": [QUESTION]})


def _widest(one: Subject, two: Subject) -> str:
    """The wider precision of the two, in which both are run: rounding is then that of neither's weights alone."""
    dtypes = [subject.dtype for subject in (one, two) if subject.dtype is not None]
    if not (one.castable and two.castable and dtypes):
        return "as-is"
    widest = min(dtypes, key=lambda dtype: torch.finfo(dtype).eps)
    return str(widest).removeprefix("torch.")


def _shapes(
    subject: Subject, tensors: Mapping[str, Tensor], device: str | None, dtype: str
) -> list[dict[str, tuple[int, ...]]]:
    """What each model returns for one sample."""
    runner = runner_for(subject, "Sign(1): vector -> invariant", tensors, device, dtype)
    runner.names = []
    few = {name: x[:2].to(runner.device) for name, x in tensors.items()}
    count = len(next(iter(few.values())))
    switches = (torch.full((count, 1), sign, device=runner.device) for sign in (1.0, -1.0))
    with measuring(runner):
        both = [runner(Batch({**few, _SWITCH: switch}, count)) for switch in switches]
    return [{name: tuple(y.shape[1:]) for name, y in outputs.items()} for outputs in both]


def _loaded(one: Subject, state: Mapping[str, Any]) -> Subject:
    """The first model with other weights."""
    if one.module is None or one.call is not one.module:
        raise ConfigError(
            f"'{one.name}' takes no state dict", where="assert_same_function(a, b, inputs)", hint="give two models"
        )
    module = copy.deepcopy(one.module)
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise LoadError(
            f"the state dict does not fit '{one.name}'",
            where="; ".join(line.strip() for line in str(error).splitlines()[1:3]),
            hint="give the state dict of a model of the same architecture",
        ) from error
    return replace(one, call=module, module=module)


def _worded(finding: Finding) -> Finding:
    """The finding in the words of the question; what could be wrong with an action does not apply."""
    worst = finding.worst and replace(finding.worst, element="b against a")
    advice = "" if finding.verdict == "broken" else finding.advice
    return replace(finding, claim=QUESTION, part="", law="every sample", worst=worst, advice=advice)


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())
