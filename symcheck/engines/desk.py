"""What works on a worker of a cluster: a job that is made there once, checked against the client's, and its session."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

from symcheck.engines.job import Done, How, Job, Unit, identity, work
from symcheck.errors import LoadError, SymcheckError
from symcheck.loading.sent import unpacked
from symcheck.measure.audit import Audit
from symcheck.measure.given import named_inputs
from symcheck.measure.runner import measuring

_ALIKE = "the workers must see the same files and packages as this process"


class Desk:
    """Measures units of one job in one process, one at a time; travels without its session.

    `making` is a pickled function that returns the job, `identity` what the client's job has.
    """

    def __init__(self, making: bytes, identity: Mapping[str, Any]) -> None:
        self.making, self.identity = making, identity
        self.lock = Lock()
        self.session: Audit | None = None

    def __reduce__(self) -> tuple[type[Desk], tuple[bytes, Mapping[str, Any]]]:
        return Desk, (self.making, self.identity)

    def measure(self, unit: Unit) -> Done:
        """What one unit finds; errors that the user can act on are part of the answer."""
        with self.lock:
            try:
                if self.session is None:
                    self.session = self._opened()
            except SymcheckError as error:
                return Done(unit, (), 0, error)
            with measuring(self.session.evaluator.runner):
                return work(self.session, unit)

    def _opened(self) -> Audit:
        where = f"worker {socket.gethostname()}, process {os.getpid()}"
        making: Callable[[], Job] = unpacked(self.making, where)
        try:
            job = making()
        except SymcheckError as error:
            raise LoadError(
                f"a worker cannot begin: {error.message}", where=f"{where}: {error.where}", hint=_ALIKE
            ) from error
        own = identity(job)
        for what, value in self.identity.items():
            if own.get(what) != value:
                raise LoadError(
                    f"a worker has another {what}: {_brief(own.get(what))} instead of {_brief(value)}",
                    where=where,
                    hint=_ALIKE,
                )
        runner = job.runner()
        with measuring(runner):
            return job.session(runner)


def remade(
    recipe: Callable[[], tuple[Any, Any]], own: Mapping[str, Any], tensors: Sequence[str], how: How
) -> Job:
    """The job from its recipe: subject (with its `own` settings) and inputs loaded anew, of which `tensors` are used.
    """
    subject, inputs = recipe()
    subject = replace(subject, **own)
    given = {name: x for name, x in named_inputs(inputs).items() if name in tensors}
    return Job(subject, how.cut(subject, given), how)


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "…"
