"""Engines: this process alone, or the devices of this machine, each with a session of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

import torch

from symcheck.engines.job import Done, Job, Unit, copied, work
from symcheck.measure.audit import Audit
from symcheck.measure.runner import measuring
from symcheck.measure.session import device_of

BLOCKS = 8  # of the elements of each claim, where units are shared out or kept


@dataclass(frozen=True)
class Engine:
    """Runs units, in any order; `blocks` is how many it wants for each claim, `settings` what the report says of it."""

    blocks: int
    run: Callable[[Sequence[Unit]], Generator[Done]]
    settings: Mapping[str, Any] = field(default_factory=dict)


def alone(session: Audit, blocks: int = 1) -> Engine:
    """One unit after the other in the session that is there."""
    return Engine(blocks, lambda units: (work(session, unit) for unit in units))


def on_devices(job: Job, devices: Sequence[str]) -> Engine:
    """A thread with a session for each device; each takes the next unit when it has done one."""

    def run(units: Sequence[Unit]) -> Generator[Done]:
        crew = _Crew(iter(units))
        threads = [Thread(target=crew.drain, args=(job, device, i), daemon=True) for i, device in enumerate(devices)]
        try:
            for thread in threads:
                thread.start()
            at_work = len(threads)
            while at_work:
                found = crew.found.get()
                if isinstance(found, BaseException):
                    raise found
                at_work -= found is None
                if found is not None:
                    yield found
        finally:
            crew.stop.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    return Engine(max(BLOCKS, 2 * len(devices)), run, {"devices": list(devices)})


class _Stopped(Exception):
    """Ends the forward passes of a unit that nobody waits for."""


@dataclass
class _Crew:
    """What the threads share: the units that are left, and what was found (an exception: failed; None: at an end)."""

    units: Iterator[Unit]
    found: SimpleQueue[Done | BaseException | None] = field(default_factory=SimpleQueue)
    lock: Lock = field(default_factory=Lock)
    stop: Event = field(default_factory=Event)

    def drain(self, job: Job, device: str, index: int) -> None:
        """Work on one device until no unit is left, or another thread has failed."""
        try:
            chosen = device_of(device, job.subject)
            job = replace(job, subject=copied(job.subject, chosen)) if index else job
            runner = job.runner(str(chosen))
            own = torch.cuda.device(chosen) if chosen.type == "cuda" else nullcontext()
            with own, measuring(runner):
                session = job.session(runner)
                session.evaluator.progress = self._go_on
                while (unit := self._next()) is not None:
                    self.found.put(work(session, unit))
            self.found.put(None)
        except _Stopped:
            self.found.put(None)
        except BaseException as error:
            self.found.put(error)

    def _next(self) -> Unit | None:
        with self.lock:
            return None if self.stop.is_set() else next(self.units, None)

    def _go_on(self, pairs: int) -> None:
        if self.stop.is_set():
            raise _Stopped
