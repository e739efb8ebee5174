"""Opening a measurement: the device, the precision, and the copies of the subject that one audit needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from symcheck.errors import ConfigError, DataError
from symcheck.grammar import parse_claim
from symcheck.measure.audit import Audit, Options
from symcheck.measure.evaluator import Evaluator, chunks_for
from symcheck.measure.given import owner_of
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples
from symcheck.measure.worst import WorstPair
from symcheck.registry import suggest
from symcheck.subject import Subject

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def open_session(
    runner: Runner, tensors: Mapping[str, Tensor], texts: Sequence[str], options: Options, batch_size: int | None
) -> Audit:
    """An audit of the subject of a runner on these inputs; DataError where they are fewer than two samples."""
    data = Samples({n: x.to(runner.device) for n, x in tensors.items()}, owner_of(texts, tensors))
    if data.count < 2:
        raise DataError(
            f"{data.count} sample(s) are too few", where="inputs", hint="give at least 2 samples along the leading axis"
        )
    runner.limit = batch_size or runner.limit
    low, high = _precisions(runner)
    return Audit(Evaluator(runner, data, chunks_for(data, batch_size)), options, low, high)


def audit_runner(subject: Subject, pair: WorstPair, device: str | None, dtype: str) -> Runner:
    """A runner for the replay of a stored pair."""
    return runner_for(subject, pair.claim, pair.inputs, device, dtype)


def runner_for(
    subject: Subject, claim: str, inputs: Mapping[str, Tensor], device: str | None, dtype: str
) -> Runner:
    """A runner on a device (None: the one of the subject) that names the outputs as the claim does."""
    names, cast = output_names([claim]), dtype != "as-is"
    return Runner(subject, device_of(device, subject), dtype_of(dtype, subject, inputs), names, cast=cast)


def _precisions(runner: Runner) -> tuple[Runner, Runner | None]:
    """The subject at the lower and at the higher of two precisions; None where it cannot be cast."""
    if not runner.subject.castable or runner.dtype is None:
        return runner, None
    try:
        if runner.dtype == torch.float64:
            return runner.at(torch.float32), runner
        return runner, runner.at(torch.float64)
    except (RuntimeError, TypeError):
        return runner, None


def output_names(texts: Sequence[str]) -> list[str]:
    """The outputs that claims name, each once."""
    slots = (slot for text in texts for slot in parse_claim(text).outputs)
    return list(dict.fromkeys(slot.name for slot in slots if slot.name))


def device_of(device: str | None, subject: Subject) -> torch.device:
    """The device that is asked for; `auto` is the accelerator where there is one, None where the subject is."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device is None:
        tensors = [*subject.module.parameters(), *subject.module.buffers()] if subject.module is not None else []
        return tensors[0].device if tensors else torch.device("cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
        return chosen
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"the device '{device}' cannot be used", where=str(error).splitlines()[0][:90], hint="use cpu or auto"
        ) from error


def dtype_of(dtype: str, subject: Subject, tensors: Mapping[str, Tensor]) -> torch.dtype | None:
    """The precision that is asked for; `as-is` is the one of the subject, else of its inputs."""
    if dtype == "as-is":
        return subject.dtype or next((x.dtype for x in tensors.values() if x.is_floating_point()), None)
    if dtype not in DTYPES:
        raise ConfigError(f"unknown dtype '{dtype}'", where="dtype", hint=suggest(dtype, [*DTYPES, "as-is"]))
    if not subject.castable:
        raise ConfigError(
            f"'{subject.name}' is a program of fixed precision and cannot be cast to {dtype}",
            where="dtype",
            hint="use --dtype as-is",
        )
    return DTYPES[dtype]
