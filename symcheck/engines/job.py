"""The work: a job (what determines every number), its units, and what one unit has found."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePath
from types import CodeType
from typing import Any

import torch
from torch import Tensor

from symcheck.claim import Claim
from symcheck.errors import ConfigError, SymcheckError
from symcheck.files import sha256
from symcheck.measure.audit import WHOLE, Audit, Options
from symcheck.measure.given import digest, first_samples, with_graph
from symcheck.measure.piece import Block, Piece
from symcheck.measure.piece_file import on_host
from symcheck.measure.runner import Runner
from symcheck.measure.session import device_of, dtype_of, open_session
from symcheck.measure.worst import weights_digest
from symcheck.subject import Subject
from symcheck.version import __version__

_NO_DATA = ("call", "module", "source", "encode", "notes")  # fields of a subject that are no settings


@dataclass(frozen=True)
class How:
    """How a subject is measured; `names` are those of the outputs, `samples` how many of the data were asked for."""

    claims: tuple[str, ...]
    names: tuple[str, ...]
    options: Options
    samples: int
    device: str | None
    dtype: str
    batch_size: int | None

    def cut(self, subject: Subject, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The samples of these inputs that are measured, with the edges of a graph that is built once."""
        few = first_samples(tensors, self.samples, self.claims)
        return with_graph(few, subject.graph, self.claims, dtype_of(self.dtype, subject, few))


@dataclass(frozen=True)
class Job:
    """A subject, its data and how to measure: what every process that takes part must have alike."""

    subject: Subject
    tensors: Mapping[str, Tensor]
    how: How

    def runner(self, device: str | None = None) -> Runner:
        """The subject on a device, by default the one of the job; sessions are opened while it is `measuring`."""
        how, subject = self.how, self.subject
        precision = dtype_of(how.dtype, subject, self.tensors)
        return Runner(
            subject, device_of(device or how.device, subject), precision, list(how.names), cast=how.dtype != "as-is"
        )

    def session(self, runner: Runner) -> Audit:
        """An audit of this job with a runner of it."""
        return open_session(runner, self.tensors, self.how.claims, self.how.options, self.how.batch_size)


@dataclass(frozen=True)
class Unit:
    """One block of elements of one claim; `claim` is its number."""

    claim: int
    text: str
    block: Block


@dataclass(frozen=True)
class Done:
    """What one unit has found, or the error that it ended with; `forwards` counts the samples that were run."""

    unit: Unit
    pieces: tuple[Piece, ...]
    forwards: int
    error: SymcheckError | None = None


def units_of(claims: Sequence[str], blocks: int, shard: tuple[int, int] = (1, 1)) -> list[Unit]:
    """Every claim in `blocks` blocks of elements, or those of them that make shard i of n."""
    index, count = shard
    return [
        Unit(claim, text, Block((index - 1) * blocks + k, count * blocks))
        for claim, text in enumerate(claims)
        for k in range(blocks)
    ]


def work(session: Audit, unit: Unit) -> Done:
    """Measure one unit; an error that the user can act on is part of the answer."""
    before = forwards_of(session)
    try:
        pieces = session.measure(Claim.parse(unit.text), unit.block)
    except SymcheckError as error:
        return Done(unit, (), forwards_of(session) - before, error)
    pieces = pieces if unit.block == WHOLE else on_host(pieces)
    return Done(unit, tuple(pieces), forwards_of(session) - before)


def forwards_of(session: Audit) -> int:
    """How many samples the runners of a session have been called with."""
    runners = (session.evaluator.runner, session.low, session.high)
    return sum({id(runner): runner.forwards for runner in runners if runner is not None}.values())


def identity(job: Job) -> dict[str, Any]:
    """What determines the pieces of a job, as plain data without folders: equal where the pieces may be joined."""
    subject, options = job.subject, job.how.options
    source, model = subject.source, subject.source.model
    return {
        "version of symcheck": __version__,
        "weights": weights_digest(subject),
        "checkpoint": source.sha256,
        "code": _code(subject),
        "model": [PurePath(model).name, str(dict(source.arguments)), source.key],
        "subject": {f.name: str(getattr(subject, f.name)) for f in fields(subject) if f.name not in _NO_DATA},
        "data": digest(job.tensors),
        "elements": options.elements,
        "seed": options.seed,
        "tolerance": [options.tolerance, dict(options.tolerances)],
        "search for the worst case": options.worst,
        "precision": job.how.dtype,
    }


def _code(subject: Subject) -> str:
    """The digest of the file that builds the network, else of what its parts, or the function, compute."""
    file = Path(subject.source.model.rpartition(":")[0])
    if file.is_file():
        return sha256(file)
    parts = {type(part) for part in subject.module.modules()} if subject.module is not None else set()
    functions = [kind.forward for kind in parts] if subject.module is not None else [subject.call]
    found = sorted(_instructions(code) for f in functions if (code := getattr(f, "__code__", None)) is not None)
    return hashlib.sha256("\n".join(found).encode()).hexdigest() if found else ""


def _instructions(code: CodeType) -> str:
    constants = [
        _instructions(c) if isinstance(c, CodeType) else repr(sorted(map(repr, c)) if isinstance(c, frozenset) else c)
        for c in code.co_consts
    ]
    return " ".join([code.co_name, code.co_code.hex(), *code.co_names, *constants])


def copied(subject: Subject, device: torch.device) -> Subject:
    """The subject with a module of its own on a device; ConfigError where it cannot be copied."""
    if subject.module is None:
        return subject
    try:
        other = copy.deepcopy(replace(subject, encode=None))
    except (RuntimeError, TypeError) as error:
        raise _not_copied(subject, str(error).splitlines()[0]) from error
    if other.call is subject.call or other.module is None:
        raise _not_copied(subject, "its function holds on to one module")
    other.module.to(device)
    return other


def _not_copied(subject: Subject, why: str) -> ConfigError:
    return ConfigError(
        f"'{subject.name}' cannot be copied to another device: {why}",
        where="several devices or workers",
        hint="measure it in shards, one process each: --shard 1/2, --shard 2/2",
    )
