"""Which arithmetic keeps a symmetry: one claim, audited in every precision, eager and compiled, alone and in a batch.

All cells measure the same pairs (g, x); the floor is ||f − f₆₄|| of both sides, f₆₄ the model in float64.
"""

from __future__ import annotations

import copy
import math
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.claim import Claim
from symcheck.errors import ClaimError, ModelError, SymcheckError
from symcheck.locate.arithmetic import Context, context_of
from symcheck.locate.numerics_result import PRECISIONS, Cell, Numbers, Numerics
from symcheck.measure.audit import Audit, Options
from symcheck.measure.evaluator import Chunks, Evaluator
from symcheck.measure.floors import RATIO
from symcheck.measure.given import Inputs, first_samples, named_inputs, owner_of, without_ignored
from symcheck.measure.plan import Stratum, strata
from symcheck.measure.runner import Runner, environment, measuring
from symcheck.measure.samples import Samples
from symcheck.measure.session import runner_for
from symcheck.report.model import Finding
from symcheck.report.numbers import number
from symcheck.subject import Subject, as_subject
from symcheck.version import __version__

_STOPS = 10.0  # how far above its floor the error in float64 must lie to be told


@dataclass(frozen=True)
class Asked:
    """How much is measured; `compiler` is a backend of torch.compile, empty for none, `batch` the larger batch."""

    samples: int = 16
    elements: int = 8
    seed: int = 0
    tolerance: float = 1e-3
    device: str | None = None
    batch: int = 64
    precisions: tuple[str, ...] = PRECISIONS
    compiler: str = "inductor"


def numerics_matrix(model: Any, claim: str | Claim, inputs: Inputs, options: Asked | None = None) -> Numerics:
    """The error and the floor of one claim in {float64, float32, TF32, bfloat16, float16} × engine × batch 1 and N.

    `inputs` are dense. What cannot run so is a cell without numbers that says why. Raises ClaimError for packed
    graphs and relations, ModelError where the model fails as it is.
    """
    how, subject, text = options or Asked(), as_subject(model), str(claim)
    tensors, [text] = without_ignored(named_inputs(inputs), [text])
    if owner_of([text], tensors) is not None:
        raise ClaimError(f"'{text}' is about packed graphs", where="numerics", hint="give dense samples")
    tensors = first_samples(tensors, how.samples, [text])
    parsed = Claim.parse(text)
    runner = runner_for(subject, text, tensors, how.device, "as-is")
    with measuring(runner):
        data = Samples({name: x.to(runner.device) for name, x in tensors.items()})
        part = _part(parsed, Evaluator(runner, data, _chunks(how.batch)), how)
        cells = tuple(_cells(parsed, part, runner, data, how))
    return Numerics(
        claim=text,
        part=part.name,
        tolerance=how.tolerance,
        cells=cells,
        settings={"samples": data.count, "elements": len(part.g), "seed": how.seed, "compiler": how.compiler},
        environment=environment(runner, {"symcheck": __version__, "python": platform.python_version()}),
        notes=tuple(_notes(cells)),
    )


def _part(claim: Claim, evaluator: Evaluator, how: Asked) -> Stratum:
    """The elements that all cells share: of the first part without resampling, where there is one."""
    audit = Audit(evaluator, Options(), evaluator.runner, None)
    bound, _, outputs = audit.bound(claim)
    if bound.relation is not None:
        raise ClaimError(f"'{claim}' is a relation, no group", where="numerics", hint="state a claim about a group")
    part = min(strata(bound, outputs, how.elements, how.seed), key=lambda one: one.resampled)
    return part if len(part.g) <= how.elements else replace(part, g=part.g[: how.elements], exhaustive=False)


def _cells(claim: Claim, part: Stratum, runner: Runner, data: Samples, how: Asked) -> Iterator[Cell]:
    subject = runner.subject
    fixed = not subject.castable or runner.dtype is None or not runner.dtype.is_floating_point
    top = None if fixed else runner.at(torch.float64)
    sizes = (subject.fixed_batch,) if subject.fixed_batch else (1, how.batch)
    for engine in ("eager", "compiled") if how.compiler else ("eager",):
        for precision in how.precisions:
            try:
                if fixed and precision != _word(runner):
                    raise ModelError("the program has a fixed precision", hint="audit it as it is")
                one, told = _at(runner, precision, engine, how, fixed)
            except SymcheckError as error:
                yield from (Cell(precision, engine, size, {}, f"not measured: {error.message}") for size in sizes)
                continue
            for size in sizes:
                try:
                    yield Cell(precision, engine, size, _measured(claim, part, one, top, data, size, how), told)
                except SymcheckError as error:
                    yield Cell(precision, engine, size, {}, f"not measured: {error.message}")


def _word(runner: Runner) -> str:
    return str(runner.dtype).removeprefix("torch.")


def _at(runner: Runner, precision: str, engine: str, how: Asked, fixed: bool) -> tuple[Runner, str]:
    """The model in one arithmetic, and how that is done; ModelError where it cannot be."""
    dtype = torch.float64 if precision == "float64" else torch.float32
    context, told = context_of(precision, runner.device)
    other = copy.copy(runner) if fixed else runner.at(dtype)
    other.mode, other.gradients, other.limit = runner.mode, runner.gradients, runner.subject.fixed_batch
    if engine == "compiled":
        if "emulated" in told:
            raise ModelError("the device has no TF32, and compiled code is not emulated", hint="run it on a GPU")
        other.call = _compiled(runner.subject, dtype, runner.device, how.compiler)
    other.call = _within(context, other.call)
    return other, told


def _within(context: Context, call: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **named: Any) -> Any:
        with context():
            return call(*args, **named)

    return run


def _compiled(subject: Subject, dtype: torch.dtype, device: torch.device, backend: str) -> Callable[..., Any]:
    """A compiled copy of the module in this precision."""
    if subject.module is None or subject.call is not subject.module:
        raise ModelError("the subject is no module that could be compiled", hint="give an nn.Module")
    module: nn.Module = copy.deepcopy(subject.module).to(device=device, dtype=dtype)
    for part in module.modules():
        for name, value in [*vars(part).items()]:
            if isinstance(value, Tensor) and value.is_floating_point():
                setattr(part, name, value.to(device=device, dtype=dtype))
    module.eval()
    torch.compiler.reset()
    try:
        compiled: Callable[..., Any] = torch.compile(module, backend=backend, dynamic=True)
    except Exception as error:  # whatever a backend may raise
        raise ModelError(
            f"{type(error).__name__}: {str(error).splitlines()[0]}",
            where=f"torch.compile, {backend}",
            hint="name a backend of torch.compiler.list_backends()",
        ) from error
    return compiled


def _measured(
    claim: Claim, part: Stratum, one: Runner, top: Runner | None, data: Samples, size: int, how: Asked
) -> Mapping[str, Numbers]:
    """The audit of one cell: its pairs at this batch size, the floor against float64."""
    one.limit = size
    high = None if one.dtype == torch.float64 or top is None else top
    audit = Audit(Evaluator(one, data, _chunks(size)), Options(how.elements, how.seed, how.tolerance), one, high)
    [found] = audit.judge(claim, [part])
    return {name: _numbers(finding) for name, finding in found.items()}


def _numbers(finding: Finding) -> Numbers:
    if finding.error is None:
        return Numbers(math.nan, math.nan, math.nan, finding.floor.rounding, finding.verdict)
    scale = finding.error.spread
    return Numbers(scale.mean, scale.low, scale.high, finding.floor.rounding, finding.verdict)


def _chunks(size: int) -> Chunks:
    return Chunks(size=size, fixed=True, cap=size)


def _notes(cells: tuple[Cell, ...]) -> Iterator[str]:
    """What the matrix shows as a whole: numbers that float64 does not refine, and outputs that are no numbers."""
    plain = {cell.precision: cell for cell in cells if cell.engine == "eager" and cell.measured}
    fine, coarse = plain.get("float64"), plain.get("float32")
    for name, top in (fine.outputs if fine is not None else {}).items():
        low = None if coarse is None else coarse.outputs.get(name)
        stops = top.floor is not None and top.error > _STOPS * top.floor
        if low is not None and low.floor is not None and stops and top.error <= low.error <= RATIO * low.floor:
            yield (
                f"'{name}': in float64 the error stops at {number(top.error)}, its floor is {number(top.floor)}: "
                "something is stored or computed in float32, unless the violation itself is as small"
            )
    for cell in cells:
        if odd := [name for name, one in cell.outputs.items() if not math.isfinite(one.error)]:
            yield f"{cell}: NaN or infinity in {', '.join(odd)}"
