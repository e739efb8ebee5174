"""What works on a worker of a cluster: a job that is made there once, checked against the client's, and its session."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

from symcheck.engines.job import Done, How, Job, Unit, identity, work
from symcheck.errors import LoadError, SymcheckError
from symcheck.measure.audit import Audit
from symcheck.measure.given import first_samples, named_inputs
from symcheck.measure.runner import measuring


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
                session = self.session = self.session or self._opened()
            except SymcheckError as error:
                return Done(unit, (), 0, error)
            with measuring(session.evaluator.runner):
                return work(session, unit)

    def _opened(self) -> Audit:
        where = f"worker {socket.gethostname()}, process {os.getpid()}"
        try:
            job: Job = pickle.loads(self.making)()
        except SymcheckError as error:
            raise LoadError(f"a worker cannot begin: {error.message}", where=f"{where}: {error.where}",
                            hint="the workers must see the same files and packages as this process") from error  # fmt: skip
        except Exception as error:  # whatever unpickling a network may raise
            raise LoadError(
                f"a worker cannot build the network: {type(error).__name__}: {error}",
                where=where,
                hint="install what defines it on the workers too, or name it: --model path/file.py:factory",
            ) from error
        own = identity(job)
        for what, value in self.identity.items():
            if own.get(what) != value:
                raise LoadError(
                    f"a worker has another {what}: {_brief(own.get(what))} instead of {_brief(value)}",
                    where=where,
                    hint="the workers must see the same files and packages as this process",
                )
        return job.session()


def remade(
    recipe: Callable[[], tuple[Any, Any]], derive: Mapping[str, str], tensors: Sequence[str], how: How
) -> Job:
    """The job from its recipe: the subject and the inputs are loaded anew, and cut to the `tensors` that are measured.
    """
    subject, inputs = recipe()
    given = {name: x for name, x in named_inputs(inputs).items() if name in tensors}
    return Job(replace(subject, derive=derive), first_samples(given, how.samples, how.claims), how)


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "…"
